"""What the broker wakes workers for."""

from celery import shared_task

from portal.codes import callbacks
from portal.ledger import codes


@shared_task(queue="work")
def sweep_codes() -> None:
    """Erase the addresses of codes that are over, and what is kept of old messages."""
    codes.erase_due()
    callbacks.forget_old()
