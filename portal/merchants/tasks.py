"""What the broker wakes workers for. Each task is one line of work, takes ids, and may run twice."""

from celery import shared_task

from portal.merchants import connecting, practice, provider_tokens, trials, wake


@shared_task(queue="work")
def connect_practice(*, merchant_id: int) -> None:
    """Connect one merchant to the sandboxes."""
    practice.connect(merchant_id)


@shared_task(queue="work")
def try_connection(*, draft_id: int) -> None:
    """Test one connection."""
    trials.try_out(draft_id)


@shared_task(queue="work")
def sweep_drafts() -> None:
    """Wake workers again for tests that nobody took, and forget old drafts and tokens."""
    provider_tokens.sweep()
    for draft_id in connecting.sweep():
        wake.for_trial(draft_id)
