"""The installed servers of the fault tests: they answer, keep what they were given, and leave nothing."""

from pathlib import Path

import psycopg
import pytest
from kombu import Connection

from tests.running import servers


@pytest.mark.parametrize("starter", [servers.start_redis, servers.start_rabbitmq])
def test_a_broker_keeps_its_messages_over_a_restart_and_leaves_nothing(starter, var: Path, living, needs):
    broker = needs(starter, var)
    with Connection(broker.url) as connection, connection.SimpleQueue("work") as queue:
        queue.put("wake up")

    broker.stop()
    assert living() == []
    broker.start()

    with Connection(broker.url) as connection, connection.SimpleQueue("work") as queue:
        assert queue.get(timeout=10).payload == "wake up"
    broker.kill()
    assert living() == []


def test_the_systems_own_postgresql_has_our_roles(var: Path, living, needs):
    server = needs(servers.start_debian_postgres, var)

    with psycopg.connect(server.app_url) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("tillside",)

    server.erase()
    assert living() == []
