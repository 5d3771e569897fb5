"""What the broker wakes workers for. Each task is one line of work, takes ids, and may run twice."""

import logging

from celery import shared_task
from kombu.exceptions import OperationalError

from portal.ledger import balances, operations

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


@shared_task(queue="work")
def work_on_operations() -> None:
    """Bring the operation that is due first as far as it goes, and the next, while there are any."""
    for _ in range(50):  # then the message is given back; the sweep sees to the rest
        if not operations.work():
            break


@shared_task(queue="work")
def sweep_operations() -> None:
    """Take back what dead workers left, look at what became of lost answers, and wake workers for what waits."""
    if operations.sweep():
        wake_for_operations()
    operations.settle_due()


def wake_for_operations() -> None:
    """Tell a worker that something is due. A broker that is away costs the seconds until the next sweep."""
    try:
        work_on_operations.delay()
    except (OperationalError, OSError):
        log.warning("The broker is away; the sweep will find the operation.")
