"""Five hundred operations while one call in five fails, workers die, and broker and database go away. One in five is
asked at secuconnect, where a movement takes two steps, and its end is read from the provider's record."""

import random

import pytest

from tests.faults.providers import SECUCONNECT
from tests.faults.storm import LIMITS, LONG, SHORT, Storm, Verdict, is_long
from tests.running.servers import start_rabbitmq, start_redis

SCALE = LONG if is_long() else SHORT
ELSEWHERE = 0.2
SEED = random.SystemRandom().randrange(10**6) if is_long() else 20_260


def test_over_the_folder_broker_journal_and_ledger_agree_exactly(standing, hiring, say):
    with hiring(standing) as workers:
        verdict = Storm(standing, workers, seed=SEED, scale=SCALE, elsewhere=ELSEWHERE).rage("Folder broker")

    say(verdict.table())
    _agree_exactly(verdict)


@pytest.mark.parametrize(("title", "start_broker"), [("Redis", start_redis), ("RabbitMQ", start_rabbitmq)])
def test_over_a_broker_from_debian_journal_and_ledger_agree_exactly(
    title, start_broker, starting, hiring, needs, var, say
):
    folder = var / "broker"
    broker = needs(start_broker, folder)
    try:
        stack = starting(CELERY_BROKER_URL=broker.url, **LIMITS)
        with hiring(stack) as workers:
            storm = Storm(
                stack, workers, seed=SEED, scale=SCALE, broker=broker, broker_folder=folder, elsewhere=ELSEWHERE
            )
            verdict = storm.rage(title)
    finally:
        broker.kill()

    say(verdict.table())
    _agree_exactly(verdict)


def _agree_exactly(verdict: Verdict) -> None:
    assert (verdict.at_rest, verdict.at_last) == ([], [])
    assert len(verdict.history.asked) == SCALE.operations
    elsewhere = sum(SECUCONNECT.has(asked.number) for asked in verdict.history.asked)
    assert elsewhere > ELSEWHERE / 2 * SCALE.operations
