"""What the broker wakes workers for. Each task is one line of work, takes ids, and may run twice."""

from celery import shared_task

from portal import presence
from portal.ledger import approvals, balances, health, holding, operations, settling, wake
from portal.merchants import switches


@shared_task(queue="work")
def answer_look_up(*, inquiry_id: int) -> None:
    """Ask for one look-up's balance."""
    balances.answer(inquiry_id)


@shared_task(queue="work")
def sweep_look_ups() -> None:
    """Wake workers again for look-ups that nobody took."""
    for inquiry_id in balances.sweep():
        wake.for_look_up(inquiry_id)


@shared_task(queue="work")
def work_on_operations() -> None:
    """Bring the operation that is due first as far as it goes, and the next, while there are any."""
    for _ in range(50):  # then the message is given back; the sweep sees to the rest
        if not operations.work():
            break
        presence.goes_on()


@shared_task(queue="work")
def sweep_operations() -> None:
    """End pauses and switches whose time has come, take back what dead workers left, look at what became of lost
    answers, wake workers for what waits, and close what nobody approved in time."""
    holding.resume_expired()
    switches.end_expired()
    if operations.sweep():
        wake.for_operations()
    settling.settle_due()
    approvals.expire_due()


@shared_task(queue="work")
def fold_calls() -> None:
    """Count the calls that were made since, for the pages that say how connections are."""
    health.fold()
