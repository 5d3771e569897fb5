"""Tells workers that there is work. A broker that is away costs the seconds until the next sweep, never the request.

Tasks are named, not imported: they call the modules that wake them.
"""

import logging

from celery import current_app
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


def for_look_up(inquiry_id: int) -> None:
    """A look-up waits."""
    _send("answer_look_up", inquiry_id=inquiry_id)


def for_operations() -> None:
    """An operation is due; which one comes first is decided when a worker claims it."""
    _send("work_on_operations")


def _send(task: str, **ids: int) -> None:
    try:
        current_app.send_task(f"portal.ledger.tasks.{task}", kwargs=ids, queue="work")
    except (OperationalError, OSError):
        log.warning("The broker is away; the sweep will find what waits.")
