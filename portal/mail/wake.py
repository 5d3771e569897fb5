"""Tells workers that mail waits. A broker that is away costs the seconds until the next sweep, never the request.

The task is named, not imported: it calls the module that wakes it.
"""

import logging

from celery import current_app
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


def for_mail() -> None:
    """A mail is due; which one comes first is decided when a worker claims it."""
    try:
        current_app.send_task("portal.mail.tasks.deliver_mails", queue="work")
    except (OperationalError, OSError):
        log.warning("The broker is away; the sweep will find what waits.")
