"""What the usual way makes of the same work and the same faults, measured: it is why ours is more than a task."""

import pytest

from portal.running.processes import wait_until
from tests.faults import checker
from tests.faults.checker import History
from tests.faults.storm import LONG, SHORT, Storm, arm, is_long, read_record
from tests.running.servers import start_rabbitmq, start_redis

SCALE = LONG if is_long() else SHORT
SEED = 20_260
BROKERS = [("Redis", start_redis), ("RabbitMQ", start_rabbitmq)]


@pytest.mark.parametrize(("title", "start_broker"), BROKERS if is_long() else BROKERS[:1])
def test_the_tutorials_pattern_does_work_twice(title, start_broker, standing, hiring, needs, var, say):
    folder = var / "broker"
    broker = needs(start_broker, folder)
    over = {"CELERY_BROKER_URL": broker.url}
    try:
        with hiring(standing, app="tests.faults.tutorial:app", **over) as workers:
            storm = Storm(standing, workers, seed=SEED, scale=SCALE, broker=broker, broker_folder=folder, **over)
            storm.sandbox.reset()
            arm(storm.sandbox)
            storm.blow(f"tutorial over {title}", people="tests.faults.tutorial")
            journal = wait_for_silence(standing.sandbox_url)
    finally:
        broker.kill()

    history = History(asked=read_record(storm.record), ledger=[], journal=journal)
    missing = sum(asked.reference not in history.effects for asked in history.asked)
    say(
        f"\nThe tutorial's pattern over {title}, seed {SEED}\n"
        f"  accepted   {len(history.asked)}, effects {len(history.journal)}\n"
        f"  lost       {missing}\n"
        f"  doubled    {history.doubled}\n"
    )
    assert history.doubled > 0


def wait_for_silence(sandbox: str) -> list[dict[str, object]]:
    """The journal once nothing was added for as long as the longest of its pauses."""
    seen: list[int] = []

    def silent() -> bool:
        seen.append(len(checker.journal(sandbox)))
        return seen[-8:] == [seen[-1]] * 8

    wait_until(silent, 40, every=1)
    return checker.journal(sandbox)
