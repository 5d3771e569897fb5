"""What the broker wakes workers for. Each task is one line of work, takes ids, and may run twice."""

import logging

from celery import shared_task
from kombu.exceptions import OperationalError

from portal.ledger import balances

log = logging.getLogger(__name__)


@shared_task(queue="work")
def answer_look_up(*, inquiry_id: int) -> None:
    """Ask for one look-up's balance."""
    balances.answer(inquiry_id)


@shared_task(queue="work")
def sweep_look_ups() -> None:
    """Wake workers again for look-ups that nobody took."""
    for inquiry_id in balances.sweep():
        wake(inquiry_id)


def wake(inquiry_id: int) -> None:
    """Tell a worker. A broker that is away costs the seconds until the next sweep, never the request."""
    try:
        answer_look_up.delay(inquiry_id=inquiry_id)
    except (OperationalError, OSError):
        log.warning("The broker is away; the sweep will find the look-up.")
