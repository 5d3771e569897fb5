"""What the broker wakes workers for."""

from celery import shared_task

from portal.shopper import tries


@shared_task(queue="work")
def sweep_tries() -> None:
    """Carry over how shoppers' look-ups ended."""
    tries.sweep()
