"""The web process's entry point: `gunicorn portal.wsgi`."""

import os

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application


def _start() -> WSGIHandler:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    ready = get_wsgi_application()
    from portal.checks import refuse_unsafe_web

    refuse_unsafe_web()
    return ready


application = _start()
