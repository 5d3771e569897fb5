"""Merchants with years of operations and cards, put into the tables by their owner at one go.

Everything is spread as in a shop: most operations done, some refused, few not sent, hardly any that need a person;
payments mostly, then top-ups, a few voids and tips of the payment before. No trigger, no worker and no provider takes
part, so only benches, tests of plans and journeys through long lists use it.

    python -m tests.bench.archive MERCHANTS CARDS OPERATIONS PASSWORD

fills the database that the environment names, for people who sign in with that password.
"""

import sys
from typing import Any

SLUGS = "archive-"

_CARDS = """
INSERT INTO ledger_card (merchant_id, connection_id, key, index, last_four, sealed_number, first_seen_at,
    balance_minor, balance_currency, points, card_status, read_at)
SELECT m.id, m.connections[1 + n / m.count %% 2], gen_random_uuid(), decode(md5('card' || n), 'hex'),
    lpad((n * 7919 %% 10000)::text, 4, '0'), '\\x00', now() - (%(cards)s - n) * interval '2 years' / %(cards)s,
    n * 37 %% 20000, 'EUR', NULL,
    CASE WHEN n %% 40 = 0 THEN 'expired' WHEN n %% 9 = 0 THEN 'empty' ELSE 'usable' END, now()
FROM generate_series(1, %(cards)s::bigint) n JOIN archive m ON m.number = n %% m.count
ORDER BY n
"""
# Cards stand in their order; so the nth card of the archive is the first one's number and n, and likewise operations.
_OPERATIONS = """
INSERT INTO ledger_operation (id, merchant_id, connection_id, card_id, original_id, key, verb, amount_minor, currency,
    points, also_activate, extra, fingerprint, priority, asked_by_id, asked_at, till_id, state, attempt, ended_at,
    checks, provider_reference, reason, provider_text, trace, settled_by, decided_by_id, decision, decision_reason)
SELECT %(first_id)s + n, m.id, c.connection_id, c.id,
    CASE WHEN n %% 50 < 2 AND n > m.count * 50 THEN %(first_id)s + n - m.count * (2 + n %% 5) END,
    gen_random_uuid(),
    CASE WHEN n %% 50 < 2 AND n > m.count * 50 THEN 'tip' WHEN n %% 4 = 0 THEN 'top_up' ELSE 'pay' END,
    1 + n * 7919 %% 20000, 'EUR', NULL, false, '{}', '\\x00', 0, m.people[1 + n / m.count %% 5],
    now() - (%(operations)s - n) * interval '2 years' / %(operations)s,
    CASE WHEN n %% 2 = 0 THEN m.tills[1 + n / m.count %% 4] END,
    s.state, 1, CASE WHEN s.state <> 'needs_person' THEN now() END, 0,
    CASE WHEN s.state = 'done' THEN 'STX_' || md5('theirs' || n) ELSE '' END,
    CASE WHEN s.state = 'refused' THEN 'not_enough' ELSE '' END, '',
    CASE WHEN s.state = 'refused' THEN 'req-' || n ELSE '' END,
    CASE WHEN s.state = 'done' AND n %% 997 = 0 THEN 'balance' WHEN s.state IN ('done', 'refused') THEN 'answer'
         ELSE '' END, NULL, '', ''
FROM generate_series(1, %(operations)s::bigint) n
JOIN archive m ON m.number = n %% m.count
JOIN ledger_card c ON c.id = %(first_card)s + m.number + m.count * (1 + n * 31 / m.count %% (%(cards)s / m.count - 1)),
LATERAL (SELECT CASE WHEN n %% 10007 = 0 THEN 'needs_person' WHEN n %% 50 = 7 THEN 'refused'
                     WHEN n %% 100 = 33 THEN 'failed' ELSE 'done' END AS state) s
"""
_CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND conrelid IN ('ledger_operation'::regclass, 'ledger_card'::regclass)
"""


def fill(cursor: Any, *, merchants: int, cards: int, operations: int) -> None:
    """Merchants `archive-1` to `archive-n` with five people, two connections and four tills each, and what they did in
    two years. `cursor` is the owner's, outside a transaction, with every merchant's rows open."""
    _surroundings(cursor, merchants)
    links = _without_links(cursor)
    cursor.execute("ALTER TABLE ledger_operation DISABLE TRIGGER USER")
    cursor.execute("SELECT coalesce(max(id), 0) FROM ledger_operation")
    [first_id] = cursor.fetchone()
    asked = {"cards": cards, "operations": operations, "first_id": first_id}
    cursor.execute(_CARDS, asked)
    cursor.execute("SELECT min(id) FROM ledger_card WHERE merchant_id IN (SELECT id FROM archive)")
    [first_card] = cursor.fetchone()
    cursor.execute(_OPERATIONS, asked | {"first_card": first_card - 1})
    cursor.execute("ALTER TABLE ledger_operation ENABLE TRIGGER USER")
    cursor.execute("SELECT setval(pg_get_serial_sequence('ledger_operation', 'id'), %s)", [first_id + operations + 1])
    for table, name, definition in links:
        # What was put in is right by its making; looking at each row again would take longer than putting it in.
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition} NOT VALID")
    cursor.execute("DROP TABLE archive")
    cursor.execute("VACUUM ANALYZE ledger_operation, ledger_card, merchants_person, merchants_merchant")


def clear(cursor: Any) -> None:
    """Take all of it away again."""
    mine = "IN (SELECT id FROM merchants_merchant WHERE slug LIKE 'archive-%')"
    cursor.execute("ALTER TABLE ledger_operation DISABLE TRIGGER USER")
    cursor.execute(f"UPDATE ledger_operation SET original_id = NULL WHERE merchant_id {mine}")
    cursor.execute(f"DELETE FROM ledger_operation WHERE merchant_id {mine}")
    cursor.execute("ALTER TABLE ledger_operation ENABLE TRIGGER USER")
    for table in ("ledger_card", "merchants_till", "merchants_store", "merchants_connection"):
        cursor.execute(f"DELETE FROM {table} WHERE merchant_id {mine}")
    cursor.execute("ALTER TABLE merchants_member DISABLE TRIGGER USER")
    cursor.execute(f"DELETE FROM merchants_member WHERE merchant_id {mine}")
    cursor.execute("ALTER TABLE merchants_member ENABLE TRIGGER USER")
    cursor.execute("DELETE FROM merchants_merchant WHERE slug LIKE 'archive-%'")
    cursor.execute("DELETE FROM merchants_person WHERE email LIKE 'archive%'")


def _surroundings(cursor: Any, merchants: int) -> None:
    """Merchants, people, connections and tills, by Django, which knows what their rows must hold."""
    from django.utils import timezone

    from portal.merchants.models import Connection, Member, Merchant, Person, Store, Till, till_writer

    made = Merchant.objects.using("owner").bulk_create(
        Merchant(slug=f"{SLUGS}{n}", name=f"Archive {n}", currency="EUR", time_zone="Europe/Berlin")
        for n in range(1, merchants + 1)
    )
    cursor.execute(
        "CREATE TABLE archive (number int, id bigint, count int, connections bigint[], people bigint[], tills bigint[])"
    )
    for number, merchant in enumerate(made):
        people = [Person(email=f"archive{number}-{n}@example.com", name=f"Archie {n}") for n in range(5)]
        Person.objects.using("owner").bulk_create(people)
        roles = ["owner", "manager", "cashier", "cashier", "cashier"]
        Member.objects.using("owner").bulk_create(
            Member(merchant=merchant, person=person, role=role) for person, role in zip(people, roles, strict=True)
        )
        connections = [
            Connection(
                merchant=merchant,
                provider="paywizard",
                name=f"PayWizard {environment}",
                environment=environment,
                options={"currency": "EUR"},
                sealed_secrets=b"\x00",
            )
            for environment in ("live", "sandbox")
        ]
        Connection.objects.using("owner").bulk_create(connections)
        stores = [Store(merchant=merchant, name=f"Store {n}") for n in range(2)]
        Store.objects.using("owner").bulk_create(stores)
        tills = [
            Till(
                merchant=merchant,
                store=stores[n % 2],
                name=f"Till {n}",
                token_verifier=b"\x00",
                opened_at=timezone.now(),
                active_at=timezone.now(),
            )
            for n in range(4)
        ]
        till_writer._open.set(True)
        Till.objects.using("owner").bulk_create(tills)
        till_writer._open.set(False)
        ids = [[row.pk for row in rows] for rows in (connections, people, tills)]
        cursor.execute("INSERT INTO archive VALUES (%s, %s, %s, %s, %s, %s)", [number, merchant.pk, len(made), *ids])


def _without_links(cursor: Any) -> list[tuple[str, str, str]]:
    cursor.execute(_CONSTRAINTS)
    links = list(cursor.fetchall())
    for table, name, _definition in links:
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    return links


def main(merchants: int, cards: int, operations: int, password: str) -> None:
    import django

    django.setup()
    from django.db import connections

    from portal.merchants import accounts, tenancy
    from portal.merchants.models import Person

    connections["owner"].ensure_connection()
    with tenancy.every_merchant("an archive is put in"), connections["owner"].cursor() as cursor:
        fill(cursor, merchants=merchants, cards=cards, operations=operations)
    for person in Person.objects.filter(email__startswith="archive"):
        person.set_password(password)
        person.save(update_fields=["password"])
        accounts.confirm_address(person)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
