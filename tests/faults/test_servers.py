"""The same look-up over every broker and database it may run on, and while they are away."""

import pytest

from tests.faults.till import DESK, Till
from tests.running.servers import start_debian_postgres, start_rabbitmq, start_redis

CARD = "6280390000000001"
BALANCE = "€25.50"


@pytest.mark.parametrize("start_broker", [start_redis, start_rabbitmq])
def test_a_look_up_is_answered_over_a_broker_from_debian_and_survives_its_absence(start_broker, starting, needs, var):
    broker = needs(start_broker, var / "broker")
    try:
        stack = starting(CELERY_BROKER_URL=broker.url)
        till = Till(stack.url)
        till.signs_in()
        assert till.sees(BALANCE, till.looks_up(CARD))

        broker.kill()
        asked_meanwhile = till.looks_up(CARD)
        assert till.status == 200, "a broker that is away must not fail the till"
        broker.start()

        assert till.sees(BALANCE, asked_meanwhile, seconds=60)
    finally:
        broker.kill()


def test_a_look_up_is_answered_over_postgresql_from_debian(starting, needs, var):
    database = needs(start_debian_postgres, var / "debian")
    try:
        stack = starting(DATABASE_URL=database.app_url, DATABASE_OWNER_URL=database.owner_url)
        till = Till(stack.url)
        till.signs_in()

        assert till.sees(BALANCE, till.looks_up(CARD))
    finally:
        database.erase()


def test_with_the_database_away_the_page_says_so_and_goes_on_when_it_is_back(starting):
    stack = starting()
    till = Till(stack.url)
    till.signs_in()
    stack.kill("postgres")

    page = till.get(DESK)
    assert (till.status, "Tillside is away for a moment" in page) == (503, True)
    till.get("/healthz")
    assert till.status == 200
    till.get("/readyz")
    assert till.status == 503

    stack.start_process("postgres")
    assert till.sees("Desk", DESK)
    assert till.sees(BALANCE, till.looks_up(CARD))
