"""The demo: loaded twice it is there once, its history is what truly happened at the sandbox, and it can be removed."""

import json
import uuid
from collections import Counter
from datetime import timedelta
from io import StringIO
from urllib.request import urlopen
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction
from django.db import connections as databases
from django.db.models import QuerySet
from django.utils import timezone

from portal.connectors.base import Misconfigured, Reason
from portal.customers.models import Customer
from portal.desk import demo, history, history_plan
from portal.ledger import calls, cards, holders, operations, settling
from portal.ledger.models import Operation, OperationState
from portal.merchants import connections, pauses, practice, tenancy
from portal.merchants.models import AuditEntry, Connection, Member, Merchant, Person
from portal.money import Money
from tests.conftest import make_connection, make_merchant, make_person

S = OperationState
EARNING = [card for card in history_plan.OWN_CARDS if card.startswith("92762")]


@pytest.fixture
def loaded(everything, sandbox, settings):
    """The demo, at a sandbox as new."""
    settings.OPERATION_SECONDS, settings.OPERATION_LEASE_SECONDS = 3, 8
    call_command("demo", stdout=StringIO())
    Connection.objects.update(per_second=1000)
    calls.wire.cache_clear()
    return Merchant.objects.get(slug="baeckerei-jung")


def effects(*providers: str) -> list[dict[str, object]]:
    with urlopen(f"{settings.SANDBOX_URL}/_sandbox/effects", timeout=10) as answer:
        lines = [json.loads(line) for line in answer.read().decode().splitlines()]
    return [line for line in lines if line["provider"] in providers]


def at(provider: str) -> QuerySet[Operation]:
    """What was asked there."""
    return Operation.objects.filter(connection__provider=provider).select_related("card", "original__card")


def counted() -> dict[str, int]:
    return {model.__name__: model.objects.count() for model in (Merchant, Member, Person, Connection)}


# ---- Loading --------------------------------------------------------------------------------------------------
def test_loaded_again_it_is_still_there_once(loaded):
    before = counted()

    call_command("demo", stdout=StringIO())

    assert counted() == before


def test_connections_follow_a_sandbox_that_moved_to_another_port(loaded, settings):
    """A shop's practice connection, too; and what paused because the old address is not allowed any more resumes."""
    here = settings.SANDBOX_URL
    shop = make_merchant("corner-shop", "Corner Shop", currency="USD", time_zone="UTC")
    practice.add(shop, practice.credentials())
    Connection.objects.filter(merchant=shop, provider="cardinquiry").update(name="Practice")
    own = make_connection(shop, base_url="https://cards.example.com/cardinquiry")
    settings.SANDBOX_URL, settings.PROVIDER_ORIGINS_ALLOWED = "http://127.0.0.1:9", ["http://127.0.0.1:9"]
    asked = Connection.objects.get(merchant=loaded, provider="paywizard")
    with pytest.raises(Misconfigured):
        connections.settings_for_a_call(asked)
    pauses.because_refused(asked, Reason.ADDRESS_REFUSED)
    key_refused = Connection.objects.get(merchant=loaded, provider="cardinquiry")
    pauses.because_refused(key_refused, Reason.KEY_REFUSED)

    call_command("demo", follow=True, stdout=(said := StringIO()))

    assert said.getvalue() == "12 practice connections follow the sandbox to http://127.0.0.1:9.\n"
    for each in Connection.objects.exclude(pk=own.pk):
        assert each.options["base_url"] == f"http://127.0.0.1:9/{each.provider}"
        assert connections.settings_for_a_call(each)
    paused = Connection.objects.exclude(paused_at=None)
    assert [each.pk for each in paused] == [key_refused.pk]
    own.refresh_from_db()
    assert own.options["base_url"] == "https://cards.example.com/cardinquiry"
    assert here not in str(list(Connection.objects.values_list("options", flat=True)))


def test_loading_the_demo_again_leaves_a_connection_of_the_merchants_own_alone(loaded):
    mine = Connection.objects.get(merchant=loaded, provider="paywizard")
    Connection.objects.filter(pk=mine.pk).update(
        environment="live", options=mine.options | {"base_url": "https://x.example"}
    )

    call_command("demo", stdout=StringIO())

    mine.refresh_from_db()
    assert (mine.environment, mine.options["base_url"]) == ("live", "https://x.example")
    assert Connection.objects.filter(merchant=loaded, provider="paywizard").count() == 2


@pytest.mark.parametrize("slug", ["baeckerei-jung", "kauri-books"])
def test_both_merchants_are_connected_to_every_sandbox(loaded, slug):
    mine = Connection.objects.filter(merchant__slug=slug).order_by("name")

    assert [(each.name, each.environment, each.only_this_desk) for each in mine] == [
        ("CardInquiry", "sandbox", False),
        ("PayWizard", "sandbox", True),
        ("Revenue Monster", "sandbox", False),
        ("secuconnect", "sandbox", True),
    ]
    assert [each.options["currency"] for each in mine] == [mine[0].merchant.currency, "USD", "MYR", "EUR"]


def test_the_scan_box_offers_every_connection(loaded, signed_in):
    page = signed_in(Person.objects.get(email="alice@example.com")).get("/m/baeckerei-jung/").text

    names = ("CardInquiry", "PayWizard", "Revenue Monster", "secuconnect")
    places = [page.index(f"{name} · sandbox") for name in names]
    assert places == sorted(places)


@pytest.mark.parametrize("slug", ["baeckerei-jung", "kauri-books"])
def test_a_dozen_customers_hold_cards_and_loaded_again_nobody_is_added_or_comes_back(loaded, slug):
    def customers() -> list[tuple[str, str, int]]:
        rows = Customer.objects.filter(merchant__slug=slug, erased_at=None).order_by("id")
        return list(rows.values_list("first_name", "email", "card"))

    before = customers()
    owner = Member.objects.select_related("merchant", "person").get(merchant__slug=slug, role="owner")
    holders.erase(member=owner, customer=Customer.objects.filter(merchant__slug=slug).order_by("id")[0])

    call_command("demo", stdout=StringIO())

    assert len(before) == 12
    assert len([card for _name, _email, card in before if card]) == 10
    assert customers() == before[1:]


# ---- The history ----------------------------------------------------------------------------------------------
def told_by_ledger(rows: list[Operation]) -> Counter[tuple[object, ...]]:
    return Counter((row.reference, row.verb, row.amount_minor, row.points) for row in rows)


def test_the_history_in_the_ledger_is_what_happened_at_the_provider(loaded):
    made = history.make(days=13, pace=0)

    assert made == Operation.objects.count()
    rows = list(at("paywizard").order_by("id"))
    unclear = {row.reference for row in rows if row.state == S.NEEDS_PERSON}
    happened = Counter(
        (each["reference"], each["verb"], each["amount"], each["points"]) for each in effects("paywizard")
    )
    proved = Counter({line: count for line, count in happened.items() if line[0] not in unclear})
    assert len(rows) > 80
    assert told_by_ledger([row for row in rows if row.state == S.DONE]) == proved
    states = Counter(row.state for row in rows)
    assert set(states) == {S.DONE, S.REFUSED, S.NEEDS_PERSON}
    assert states[S.NEEDS_PERSON] == 3
    assert states[S.REFUSED] >= 3
    assert {row.settled_by for row in rows if row.state == S.DONE} == {"answer", "balance"}


def test_what_the_houses_own_cards_did_is_what_secuconnect_booked(loaded):
    history.make(days=13, pace=0)

    rows = list(at("secuconnect").order_by("id"))
    done = [row for row in rows if row.state == S.DONE]
    assert {row.verb for row in done} == {"activate", "top_up", "sale", "pay", "void"}
    assert {(row.verb, row.state) for row in rows if row not in done} == {("pay", S.REFUSED)}
    assert len(done) > 25
    assert {row.settled_by for row in done} == {"answer", "record"}
    assert any(row.load_minor for row in done)

    expected = Counter(booked for row in done for booked in booked_for(row))
    happened = Counter((each["reference"], each["verb"], each["amount"]) for each in effects("secuconnect"))
    assert happened == expected


def booked_for(row: Operation) -> list[tuple[str, str, int | None]]:
    """What the provider books for an operation, under its reference; a cancellation under that of what it undoes."""
    if row.verb == "void":
        assert row.original is not None
        undone = {"top_up": "void", "bonus": "void_bonus"}
        return [(reference, undone[verb], amount) for reference, verb, amount in booked_for(row.original)]
    lines = [(row.reference, row.verb, row.amount_minor)] if row.verb != "sale" else []
    if row.card is not None and row.card.last_four in {card[-4:] for card in EARNING} and row.amount_minor:
        lines.append((row.reference, "bonus", (row.amount_minor + 5) // 10))  # a load earns as well there
    if row.load_minor:
        lines.append((row.reference, "top_up", row.load_minor))
    return lines


def test_the_balances_after_the_history_are_the_sum_of_it(loaded):
    history.make(days=6, pace=0)

    rows = at("paywizard").order_by("id")
    last = {row.card_id: row for row in rows}
    moved: Counter[int] = Counter()
    for row in rows.filter(state=S.DONE):
        moved[row.card.pk] += settling.expected(row)[0]  # type: ignore[index]
    # Where the balance itself settled the last one, nobody has asked for the card's state since.
    read = {row.card for row in last.values() if row.settled_by == "answer" and row.state == S.DONE}
    assert len(read) > 20
    for card in read:
        assert card.balance_minor == 10_000_00 + moved[card.pk]


def test_the_history_was_made_at_its_time_by_those_who_may(loaded):
    history.make(days=3, pace=0)

    rows = list(Operation.objects.select_related("asked_by").order_by("id"))
    asked = [row.asked_at for row in rows]
    assert asked == sorted(asked)
    assert timedelta(days=2) < timezone.now() - asked[0] < timedelta(days=4)
    assert all(timedelta() <= row.ended_at - row.asked_at < timedelta(minutes=5) for row in rows if row.ended_at)
    assert {row.asked_by.name.split()[0] for row in rows} == {"Alice", "Milan", "Olivia"}
    assert AuditEntry.objects.filter(verb="operation asked").count() == len(rows)


def test_a_month_is_a_few_hundred_lines_of_every_kind():
    lines = history_plan.plan(timezone.now())

    assert 250 <= len(lines) <= 500
    assert len({line.card for line in lines}) >= 50
    assert {line.verb for line in lines if line.provider == "paywizard"} == {
        *("pay", "top_up", "issue_points", "redeem_points", "void", "tip")
    }
    assert {line.verb for line in lines if line.provider == "secuconnect"} == {
        *("pay", "top_up", "sale", "void", "activate")
    }
    assert {line.lost for line in lines} >= {"", *history_plan.LOST}


def test_made_again_or_after_a_break_nothing_happens_twice(loaded, monkeypatch):
    now = timezone.localtime(timezone=ZoneInfo(loaded.time_zone))
    monkeypatch.setattr(timezone, "now", lambda: now)  # past midnight, the wishes of other days would be meant
    left = iter(range(5))
    bring = history._bring_to_its_end
    monkeypatch.setattr(history, "_bring_to_its_end", lambda *each: (next(left), bring(*each)))
    with pytest.raises(StopIteration):
        history.make(days=2, pace=0)
    monkeypatch.setattr(history, "_bring_to_its_end", bring)
    broken_off = Operation.objects.count()
    while operations.work():  # a worker meanwhile
        pass

    history.make(days=2, pace=0)
    assert history.make(days=2, pace=0) == 0

    assert broken_off == 6
    references = [each["reference"] for each in effects("paywizard")]
    assert len(references) == len(set(references))
    booked = [(each["reference"], each["verb"]) for each in effects("secuconnect")]
    assert len(booked) == len(set(booked))
    assert Operation.objects.count() == len(history_plan.plan(now, days=2))


def test_the_history_leaves_other_peoples_operations_alone(loaded):
    alice = Member.objects.select_related("merchant", "person").get(person__email="alice@example.com")
    connection = Connection.objects.get(merchant=loaded, provider="paywizard")
    wish = operations.Wish(verb="pay", card=cards.card_of(connection, "914639258868504"), amount=Money(100, "USD"))
    hers = operations.request(member=alice, key=uuid.uuid4(), wish=wish)

    history.make(days=1, pace=0)

    hers.refresh_from_db()
    assert hers.state == S.WAITING


def test_no_fault_stays_armed(loaded, sandbox):
    history.make(days=3, pace=0)

    assert sandbox.call("GET", "/_sandbox/faults") == []


@pytest.mark.parametrize(
    ("missing", "said"), [("OPENING_KEYS", "private key ring"), ("SANDBOX_URL", "set SANDBOX_URL")]
)
def test_without_what_it_needs_the_history_says_so(db, settings, missing, said):
    setattr(settings, missing, None)

    with pytest.raises(CommandError, match=said):
        call_command("demo", history=True)


def test_without_a_demo_there_is_no_history(everything):
    with pytest.raises(CommandError, match=r"Load it first: manage\.py demo"):
        call_command("demo", history=True)


# ---- Taking it away -------------------------------------------------------------------------------------------
@pytest.fixture
def for_good(django_db_setup, django_db_blocker, sandbox, settings):
    """Rows that are truly there, for the owner's own connection to see; all gone afterwards."""
    settings.OPERATION_SECONDS, settings.OPERATION_LEASE_SECONDS = 3, 8
    calls.wire.cache_clear()
    with django_db_blocker.unblock(), tenancy.every_merchant("a test arranges its rows"):
        call_command("demo", stdout=StringIO())
        yield
        demo.remove()
        with transaction.atomic("owner"), databases["owner"].cursor() as cursor:
            demo._delete(
                cursor, demo._of_merchants(), "merchant_id", list(Merchant.objects.values_list("pk", flat=True))
            )
            demo._delete(cursor, [Merchant], "id", list(Merchant.objects.values_list("pk", flat=True)))
            demo._delete(cursor, [AuditEntry], "person_id", list(Person.objects.values_list("pk", flat=True)))
            Person.objects.using("owner").all().delete()
        for alias in ("default", "owner"):
            databases[alias].close()


def rows_of(merchant: Merchant) -> dict[str, int]:
    return {model.__name__: model._base_manager.filter(merchant=merchant).count() for model in demo._of_merchants()}


def test_removing_takes_the_demo_with_all_its_rows_and_leaves_others_alone(for_good, sandbox, signed_in):
    credentials = {name: sandbox.credentials(name) for name in ("cardinquiry", "paywizard")}
    other = make_merchant("corner-shop", "Corner Shop", currency="USD", time_zone="UTC")
    olivia = Person.objects.get(email="olivia@example.com")
    member = Member.objects.create(merchant=other, person=olivia, role="owner")
    Member.objects.create(merchant=other, person=make_person("Ada"), role="cashier")
    practice.add(other, credentials)
    connection = Connection.objects.get(merchant=other, provider="paywizard")
    wish = operations.Wish(verb="pay", card=cards.card_of(connection, "914639258868504"), amount=Money(100, "USD"))
    operations.work_on(operations.request(member=member, key=uuid.uuid4(), wish=wish))
    signed_in(Person.objects.get(email="ben@example.com")).get("/m/corner-shop/")  # a door that stayed shut
    history.make(days=1, pace=0)
    before = rows_of(other)

    call_command("demo", remove=True, stdout=(said := StringIO()))

    assert said.getvalue() == "Removed: Bäckerei Jung, Kauri Books.\n"
    assert list(Merchant.objects.all()) == [other]
    assert rows_of(other) == before
    assert before["Operation"] == 1
    for model in demo._of_merchants():
        assert not model._base_manager.exclude(merchant=other).exclude(merchant=None).exists()
    assert {person.email for person in Person.objects.all()} == {"olivia@example.com", "ada@example.com"}
    for table in ("ledger_operation", "ledger_exchange", "merchants_auditentry"):
        with pytest.raises(DatabaseError), databases["owner"].cursor() as cursor:  # the triggers watch again
            cursor.execute(f"DELETE FROM {table}")


def test_what_was_removed_can_be_loaded_again(for_good):
    history.make(days=1, pace=0)
    call_command("demo", remove=True, stdout=StringIO())
    call_command("demo", remove=True, stdout=(said := StringIO()))
    assert said.getvalue() == "There is no demo here.\n"

    call_command("demo", stdout=StringIO())

    assert Merchant.objects.count() == 2
    assert history.make(days=1, pace=0) > 0


def test_only_the_owner_removes(monkeypatch):
    monkeypatch.delitem(settings.DATABASES, "owner")

    with pytest.raises(CommandError, match="DATABASE_OWNER_URL"):
        call_command("demo", remove=True)
