"""Tells workers that there is work. A broker that is away costs the seconds until the next sweep, never the request.

Tasks are named, not imported: they call the modules that wake them.
"""

import logging

from celery import current_app
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


def for_trial(draft_id: int) -> None:
    """A connection waits for its test."""
    _send("try_connection", draft_id=draft_id)


def for_practice(merchant_id: int) -> None:
    """A merchant wants the practice connections. No sweep looks for this one: the page asks again."""
    _send("connect_practice", merchant_id=merchant_id)


def _send(task: str, **ids: int) -> None:
    try:
        current_app.send_task(f"portal.merchants.tasks.{task}", kwargs=ids, queue="work")
    except (OperationalError, OSError):
        log.warning("The broker is away; what waits is found later.")
