"""What the broker wakes workers for. Each task may run twice; what is due stands in the rows."""

from celery import shared_task

from portal import presence
from portal.mail import outbox, wake


@shared_task(queue="work")
def deliver_mails() -> None:
    """Deliver the mail that is due first, and the next, while there are any."""
    for _ in range(50):  # then the message is given back; the sweep sees to the rest
        if not outbox.work():
            break
        presence.goes_on()


@shared_task(queue="work")
def sweep_mails() -> None:
    """Take back what dead workers left, erase what is old, and wake workers for what waits."""
    if outbox.sweep():
        wake.for_mail()
