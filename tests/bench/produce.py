"""Puts work in front of the workers: `python -m tests.bench.produce bare|nothing|ledger COUNT EVERY_SECONDS`."""

import os
import sys
import time
import uuid

import django

from portal.celery import app

CARDS = 1000


def tasks(name: str, count: int, every: float) -> None:
    """Rows of the bare table, and a message for each."""
    from django.db import connection

    for _ in range(count):
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO bench_bare (state, asked) VALUES ('waiting', %s) RETURNING id", [time.time()])
            [row] = cursor.fetchone()
        app.send_task(f"bench.{name}", kwargs={"row": row}, queue="work")
        time.sleep(every)


def payments(count: int, every: float) -> None:
    """Payments of one cent, each from the next of a thousand cards, as a file asks for them: nobody waits to read the
    new balance, and the connection reads none before."""
    from portal.ledger import cards, operations
    from portal.merchants import tenancy
    from portal.merchants.models import Connection, Member
    from portal.money import Money

    with tenancy.every_merchant("the bench finds its cashier"):
        member = Member.objects.select_related("merchant", "person").get(person__email="alice@example.com")
    with tenancy.merchant(member.merchant_id):
        till = Connection.objects.filter(merchant=member.merchant, name="Bench").first() or _connection(member)
        known = [cards.card_of(till, f"9146390000{number:05}") for number in range(CARDS)]
        for number in range(count):
            wish = operations.Wish(verb="pay", card=known[number % CARDS], amount=Money(1, "USD"))
            operations.request(member=member, key=uuid.uuid4(), wish=wish, priority=1)
            time.sleep(every)


def _connection(member: "Member") -> "Connection":  # type: ignore[name-defined]  # noqa: F821
    from portal.connectors import PROVIDERS
    from portal.merchants import connections
    from portal.merchants.models import Connection

    fresh = Connection(merchant=member.merchant, provider="paywizard", name="Bench", environment="sandbox")
    fresh.concurrency, fresh.per_second, fresh.reads_balance_first = 100, 10_000, False
    fresh.options = PROVIDERS["paywizard"].Settings.options(
        {"base_url": os.environ["BENCH_PROVIDER"], "client_id": "825429536610058240", "currency": "USD"}
    )
    connections.seal_secrets(fresh, {"client_secret": "0" * 32, "token": "BENCH"})
    fresh.save()
    return fresh


if __name__ == "__main__":
    django.setup()
    what, count, every = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    if what == "ledger":
        payments(count, every)
    else:
        tasks(what, count, every)
