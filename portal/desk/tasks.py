"""What the broker wakes workers for. Each task is one line of work and may run twice."""

from celery import shared_task

from portal.desk import alerts


@shared_task(acks_late=False)  # the next one comes soon; an old one tells nothing
def roll_call() -> None:
    """Be heard: that this ran, and when, is written by portal/presence.py. And look whether all is well."""
    alerts.look_round()
