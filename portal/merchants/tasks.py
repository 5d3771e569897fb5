"""What the broker wakes workers for. Each task is one line of work, takes ids, and may run twice."""

from celery import shared_task

from portal.merchants import practice


@shared_task(queue="work")
def connect_practice(*, merchant_id: int) -> None:
    """Connect one merchant to the sandboxes."""
    practice.connect(merchant_id)
