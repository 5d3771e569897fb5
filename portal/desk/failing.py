"""The pages of last resort: something of ours broke, or a form is too old."""

import sys
from contextlib import suppress

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.templatetags.static import static

from portal.middleware import current_request_id


def broken(request: HttpRequest) -> HttpResponse:
    """Django's last resort. Stands on nothing that may be what broke: no database, no session, no request context."""
    away = isinstance(sys.exc_info()[1], OperationalError)
    words = {"request_id": current_request_id()}
    with suppress(ValueError):  # no manifest yet: the page reads well without its stylesheet
        words["stylesheet"] = static("css/tillside.css")
    return HttpResponse(render_to_string("503.html" if away else "500.html", words), status=503 if away else 500)


def form_expired(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF refusal, in our words."""
    return render(request, "403_csrf.html", status=403)
