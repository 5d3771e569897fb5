"""Shifts: begun with a tap, ended with a note, and told from the operations themselves."""

import re
import uuid
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection, transaction
from django.test import RequestFactory
from django.utils import timezone

from portal.ledger import operations, shifts
from portal.ledger.models import Operation, Shift
from portal.merchants import tenancy
from portal.merchants.models import AuditEntry, Member, Store
from portal.money import Money, Points
from tests.ledger.conftest import CARD
from tests.merchants.tills import DESK, OTHER_PIN, choose_pin, open_till

SHIFT = f"{DESK}shift/"
NOW = RequestFactory().get("/")


@pytest.fixture
def store(arrange, jung):
    with arrange():
        Store.objects.create(merchant=jung, name="Markthalle", address="Marheinekeplatz 15, Berlin")
        return Store.objects.create(merchant=jung, name="Hauptstraße", address="Hauptstraße 12, Berlin")


@pytest.fixture
def shop(signed_in, olivia, jung, store):
    return open_till(signed_in(olivia), jung, store)


@pytest.fixture
def alices(alice, jung):
    return choose_pin(alice, jung)


def pays(till, shop, amount=100, *, member=None, verb="pay"):
    """Ask for it at the shop's till; no worker has begun it."""
    wish = operations.Wish(
        verb=verb,
        card=till.card(),
        amount=None if verb.endswith("points") else Money(amount, "USD"),
        points=Points(amount) if verb.endswith("points") else None,
    )
    return operations.request(
        member=member or till.member, key=uuid.uuid4(), wish=wish, till=shop.row if shop else None
    )


def works():
    while operations.work():
        pass


def begins(till, shop):
    return shifts.start(till.member, shop.row, request=NOW)


# ---- Its tap and its end ------------------------------------------------------------------------------------------
def test_the_first_unlock_of_the_day_leads_to_the_shift_and_the_next_ones_to_work(shop, alices):
    assert shop.unlocks(alices)["Location"] == SHIFT
    assert "Start the shift" in shop.client.get(SHIFT).text

    assert shop.client.post(f"{SHIFT}start/")["Location"] == DESK
    assert "Shift since" in shop.client.get(DESK).text
    shop.client.post("/till/lock/", {"path": DESK})
    assert shop.unlocks(alices)["Location"] == DESK


def test_who_works_without_a_shift_is_not_asked_again(shop, alices):
    shop.unlocks(alices)
    shop.client.post(f"{SHIFT}start/", {"later": "1"})
    shop.client.post("/till/lock/", {"path": DESK})

    assert shop.unlocks(alices)["Location"] == DESK
    assert "No shift" in shop.client.get(DESK).text


def test_two_taps_begin_one_shift(till, shop):
    assert begins(till, shop) == begins(till, shop)


def test_ending_leaves_a_note_for_whoever_comes_next(shop, alices, olivia, jung, arrange):
    shop.unlocks(alices)
    shop.client.post(f"{SHIFT}start/")
    answer = shop.client.post(f"{SHIFT}end/", {"note": "Paper is low.\u202e\r\nCall the bank."}, follow=True)
    assert "Shift ended" in answer.text

    shop.unlocks(choose_pin(olivia, jung, OTHER_PIN), OTHER_PIN)

    page = shop.client.get(SHIFT).text
    assert "Alice left a note" in page
    assert "Paper is low.\nCall the bank." in page
    with arrange():
        verbs = AuditEntry.objects.filter(verb__startswith="shift").order_by("id").values_list("verb", flat=True)
        assert list(verbs) == ["shift started", "shift ended"]


def test_a_note_too_long_is_said_and_kept(shop, alices):
    shop.unlocks(alices)
    shop.client.post(f"{SHIFT}start/")

    answer = shop.client.post(f"{SHIFT}end/", {"note": "x" * 501})

    assert answer.status_code == 422
    assert "x" * 501 in answer.text
    assert "500" in answer.text


def test_a_shift_is_ended_by_its_person_only(till, shop, olivia):
    mine = begins(till, shop)
    hers = Member.objects.select_related("person", "merchant").get(person=olivia)

    assert not shifts.end(hers, mine, note="", request=NOW)
    assert shifts.end(till.member, mine, note="", request=NOW)
    assert not shifts.end(till.member, mine, note="again", request=NOW)


def test_somebody_removed_begins_no_shift(till, shop, alice, arrange):
    with arrange():
        Member.objects.filter(person=alice).update(role="read_only")

    with pytest.raises(PermissionDenied):
        begins(till, shop)


def test_a_shift_forgotten_overnight_is_not_gone_on_with(till, shop):
    forgotten = begins(till, shop)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    yesterday = timezone.now() - timedelta(hours=20)
    aged = Shift(merchant=shop.merchant, till=shop.row, person=till.member.person, started_at=yesterday)
    shifts.end(till.member, forgotten, note="", request=NOW)
    _save(aged)

    fresh = begins(till, shop)

    assert fresh.pk != aged.pk
    aged.refresh_from_db()
    assert aged.ended_at == yesterday + shifts.LONGEST


def _save(shift):
    shifts.shift_writer._open.set(True)
    try:
        shift.save(force_insert=True)
    finally:
        shifts.shift_writer._open.set(False)


# ---- What it tells ------------------------------------------------------------------------------------------------
def test_totals_are_of_this_person_at_this_till_in_this_time(till, shop, olivia):
    other = Member.objects.select_related("person", "merchant").get(person=olivia)
    pays(till, shop, 90)
    works()
    shift = begins(till, shop)
    for amount in (100, 250):
        pays(till, shop, amount)
    pays(till, shop, 7, verb="issue_points")
    pays(till, shop, 50, member=other)
    pays(till, None, 60)
    works()
    shifts.end(till.member, shift, note="", request=NOW)
    pays(till, shop, 80)
    works()
    shift.refresh_from_db()

    told = {(each.kind, each.connection): each for each in shifts.totals(shift)}

    assert set(told) == {("pay", "PayWizard"), ("issue_points", "PayWizard")}
    paid, given = told["pay", "PayWizard"], told["issue_points", "PayWizard"]
    assert (paid.done, paid.minor, paid.currency, paid.unsettled) == (2, 350, "USD", 0)
    assert (given.done, given.points) == (1, 7)


def test_what_was_refused_counts_for_nothing(till, shop):
    shift = begins(till, shop)
    pays(till, shop, 99_000)
    works()

    assert shifts.totals(shift) == []


def test_totals_cost_one_query(till, shop, django_assert_num_queries):
    shift = begins(till, shop)
    for amount in (100, 200, 300):
        pays(till, shop, amount)

    with django_assert_num_queries(1):
        shifts.totals(shift)


def test_what_is_still_being_checked_is_listed_and_its_end_told_later(till, shop, alices):
    shift = begins(till, shop)
    waiting = pays(till, shop, 100)
    shifts.end(till.member, shift, note="", request=NOW)
    shop.unlocks(alices)
    report = f"{DESK}shifts/{shift.key}/"

    assert [each.pk for each in shifts.unsettled(shift)] == [waiting.pk]
    assert "Not ended yet" in shop.client.get(report).text

    works()
    page = shop.client.get(report).text
    assert "Not ended yet" not in page
    assert "$1.00" in page


def test_the_list_goes_on_where_a_page_ends(till, shop, alices, monkeypatch):
    monkeypatch.setattr("portal.ledger.shift_pages.PAGE", 2)
    for _ in range(3):
        shifts.end(till.member, begins(till, shop), note="", request=NOW)
    shop.unlocks(alices)

    first = shop.client.get(f"{DESK}shifts/")
    [after] = re.findall(r"\?after=([0-9a-f-]{36})", first.text)
    second = shop.client.get(f"{DESK}shifts/?after={after}")

    assert (first.text.count('class="lead"'), second.text.count('class="lead"')) == (2, 1)


# ---- Kept by the database -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ledger_shift SET note = 'nicer'",
        "UPDATE ledger_shift SET ended_at = NULL",
        "UPDATE ledger_shift SET started_at = now()",
        "DELETE FROM ledger_shift",
        "UPDATE ledger_operation SET till_id = NULL",
    ],
)
def test_what_a_shift_said_is_changed_by_nobody(till, shop, sql):
    shift = begins(till, shop)
    pays(till, shop)
    shifts.end(till.member, shift, note="as it was", request=NOW)

    with pytest.raises(DatabaseError, match=r"never|once"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


# ---- The till stands on what is done at it ------------------------------------------------------------------------
def test_a_payment_at_a_till_knows_it_and_its_receipt_the_store(till, shop, alices):
    operation = pays(till, shop)
    works()
    shop.unlocks(alices)

    paper = shop.client.get(f"{DESK}operations/{operation.key}/receipt/").text

    assert "Hauptstraße, Hauptstraße 12, Berlin" in paper
    assert "Markthalle" not in paper


def test_the_two_beats_at_a_till_write_down_the_till(till, shop, alices):
    card = f"{DESK}cards/{till.card().key}/"
    shop.unlocks(alices)
    shop.client.get(card)
    key = str(uuid.uuid4())

    shop.client.post(f"{card}confirm/", {"do": "pay", "key": key, "minor": "100"})

    with tenancy.merchant(shop.merchant.pk):
        operation = Operation.objects.get(key=key)
    assert (operation.till, operation.asked_by.name) == (shop.row, "Alice")


def test_what_was_half_typed_comes_back_to_the_same_person_only(till, shop, alices, olivia, jung):
    card = f"{DESK}cards/{till.card().key}/"
    hers = choose_pin(olivia, jung, OTHER_PIN)
    shop.unlocks(alices)
    shop.client.post(f"{SHIFT}start/")

    def locks():
        shop.client.get(card)
        shop.client.post("/till/lock/", {"path": card, "draft-do": "pay", "draft-amount": "12.34"})

    locks()
    place = shop.unlocks(alices)["Location"]
    assert place == f"{card}?do=pay"
    assert 'value="12.34"' in shop.client.get(place).text
    assert 'value="12.34"' not in shop.client.get(place).text

    locks()
    shop.unlocks(alices)
    assert 'value="12.34"' not in shop.client.get(f"{DESK}cards/{till.card(CARD[:-1] + '2').key}/").text

    locks()
    shop.unlocks(hers, OTHER_PIN)
    assert 'value="12.34"' not in shop.client.get(place).text


def test_a_form_sent_to_a_locked_till_does_nothing_and_is_kept_for_its_person(till, shop, alices):
    card = f"{DESK}cards/{till.card().key}/"
    shop.unlocks(alices)
    shop.client.post(f"{SHIFT}start/")
    shop.left_alone()

    answer = shop.client.post(f"{card}confirm/", {"do": "pay", "key": str(uuid.uuid4()), "minor": "1234"})

    assert answer["Location"] == "/till/"
    with tenancy.merchant(shop.merchant.pk):
        assert not Operation.objects.exists()
    place = shop.unlocks(alices)["Location"]
    assert 'value="12.34"' in shop.client.get(place).text


def test_what_is_under_way_goes_on_behind_the_lock_and_is_found_on_the_desk(till, shop, alices):
    shop.works(alices)
    operation = pays(till, shop)
    shop.client.post("/till/lock/")
    shop.unlocks(alices)

    page = shop.client.get(DESK).text
    assert "Not ended yet" in page
    assert f"{DESK}operations/{operation.key}/" in page

    works()
    assert "Not ended yet" not in shop.client.get(DESK).text
