"""A balance that does not fit what was done, at the real secuconnect sandbox: when a case is opened, and who closes
it."""

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.forms.models import model_to_dict
from django.utils import timezone

from portal.connectors.base import BasketLine, Receipt
from portal.connectors.results import CASH, Balance
from portal.ledger import cases, operations, pages, settling
from portal.ledger.baskets import Basket
from portal.ledger.calls import Caller
from portal.ledger.models import Case, Operation, OperationState, case_writer
from portal.merchants.models import AuditEntry, Connection, Member
from portal.money import Money
from tests.conftest import make_person
from tests.desk.test_home import numbers
from tests.ledger.conftest import Till
from tests.ledger.test_till import written

S = OperationState
PLAIN, EARNS, OLD_BALANCE = "9276004424644001", "9276004424644352", "9276004424644013"
CARDS = "/api/v2/Loyalty/MerchantCards"
GOODS = BasketLine(text="Cake", article="30200", quantity=1, price=Money(5900, "EUR"), vat=7)


def load(till: Till, number: str = OLD_BALANCE) -> Operation:
    operation = till.gets("top_up", 2000, number=number)
    assert (operation.state, operation.settled_by) == (S.DONE, "answer")
    return operation


def sell(till: Till, loads: int, number: str) -> Operation:
    basket = Basket(lines=(GOODS,), load=Money(loads, "EUR") if loads else None)
    wish = operations.Wish(verb="sale", card=till.card(number), amount=basket.total, basket=basket)
    operation = operations.request(member=till.member, key=uuid.uuid4(), wish=wish)
    while operations.work():
        pass
    operation.refresh_from_db()
    assert operation.state == S.DONE
    return operation


def elsewhere_loads(till: Till, number: str) -> None:
    """Somebody who is not this desk puts money on the card: as another of the provider's clients would."""
    connection, before = till.connection, till.card(number)
    stranger = Operation(connection=connection, card=before, key=uuid.uuid4(), verb="top_up", currency="EUR")
    stranger.merchant_id, stranger.amount_minor, stranger.attempt = connection.merchant_id, 700, 1
    Caller(stranger).call()


@contextmanager
def in_between(does: Callable[[], object], *, purpose: str) -> Iterator[None]:
    """Once, something happens just before a card is read for this purpose, or just after the call."""
    read, call, left = Caller.read, Caller.call, [does]

    def reads(caller: Caller, why: str) -> Any:
        if why == purpose and left:
            left.pop()()
        return read(caller, why)

    def calls(caller: Caller, why: str = "call") -> Any:
        receipt = call(caller, why)
        if purpose == "call" and left:
            left.pop()()
        return receipt

    with patch.object(Caller, "read", reads), patch.object(Caller, "call", calls):
        yield


def page_of(operation: Operation, part: str = "") -> str:
    return f"/m/baeckerei-jung/{part or 'operations'}/{operation.key}/{'balance/' if part else ''}"


@pytest.fixture
def milan(loads: Till, jung):
    return make_person("Milan", (jung, "manager"))


@pytest.fixture
def manager(milan, signed_in):
    """Milan's browser."""
    return signed_in(milan)


@pytest.fixture
def misfit(loads: Till) -> Case:
    return Case.objects.get(operation=load(loads))


# ---- When a case is opened ----------------------------------------------------------------------------------------
def test_an_answer_with_the_balance_from_before_opens_one_case_and_stays_done(loads: Till):
    operation = load(loads)

    case = Case.objects.get()
    assert (case.operation_id, operation.before_cash_minor) == (operation.pk, 5000)
    assert (case.answered_minor, case.read_minor, case.closed_at) == (5000, 7000, None)
    line = AuditEntry.objects.get(verb="case opened")
    assert (line.subject, line.person) == (operation.reference, None)
    assert loads.card(OLD_BALANCE).cash_minor == 7000


def test_a_load_within_a_sale_is_compared_too(loads: Till):
    sell(loads, 2000, OLD_BALANCE)

    assert (Case.objects.get().answered_minor, cases.expected(Case.objects.get().operation)) == (5000, 7000)


@pytest.mark.parametrize("number", [PLAIN, EARNS])
def test_a_balance_that_fits_opens_none_whatever_bonus_is_given_beside_it(loads: Till, number):
    load(loads, number)
    sell(loads, 2000, number)
    sell(loads, 0, number)

    assert not Case.objects.exists()
    assert loads.card(number).cash_minor == {PLAIN: 4000, EARNS: 4200}[number]


def test_what_only_the_balance_read_afterwards_shows_opens_one_too(loads: Till):
    with in_between(lambda: elsewhere_loads(loads, PLAIN), purpose="after"):
        load(loads, PLAIN)

    case = Case.objects.get()
    assert (case.answered_minor, case.read_minor) == (2000, 2700)


def test_where_others_may_move_the_card_none_is_opened_and_the_page_says_so(loads: Till, manager):
    Connection.objects.filter(pk=loads.connection.pk).update(only_this_desk=False)
    with in_between(lambda: elsewhere_loads(loads, OLD_BALANCE), purpose="after"):
        operation = load(loads)

    assert not Case.objects.exists()
    assert "Not known: others may move this card, too." in manager.get(page_of(operation)).text


def test_another_operation_of_ours_in_between_opens_none_and_the_page_says_so(loads: Till, manager):
    further = []

    def the_next_one_begins() -> None:
        further.append(loads.asks("top_up", 700, number=PLAIN))
        assert operations.work()

    with in_between(the_next_one_begins, purpose="after"):
        operation = load(loads, PLAIN)

    further[0].refresh_from_db()
    assert (further[0].state, loads.card(PLAIN).cash_minor) == (S.DONE, 2700)
    assert not Case.objects.exists()
    said = "Not known: another operation had begun on the card before it was read."
    assert said in manager.get(page_of(operation)).text
    assert said not in manager.get(page_of(further[0])).text


def test_the_answer_is_compared_even_so(loads: Till):
    with in_between(lambda: (loads.asks("top_up", 700, number=OLD_BALANCE), operations.work()), purpose="after"):
        first = load(loads)

    case = Case.objects.get(operation=first)
    assert (case.answered_minor, case.read_minor) == (5000, None)


def test_a_card_that_was_not_read_before_opens_none_and_the_page_says_so(loads: Till, manager):
    Connection.objects.filter(pk=loads.connection.pk).update(reads_balance_first=False)
    operation = load(loads)

    assert not Case.objects.exists()
    assert "Not known: the card was not read before." in manager.get(page_of(operation)).text


def test_a_card_that_cannot_be_read_afterwards_is_said_not_to_be_known(loads: Till, manager, monkeypatch):
    monkeypatch.setattr(pages, "AFTER_PATIENCE", timedelta(0))  # until then the page waits for it
    breaks = {"kind": "error_after", "provider": "secuconnect", "path": CARDS, "times": 1}
    with in_between(lambda: loads.sandbox.call("POST", "/_sandbox/faults", breaks), purpose="call"):
        operation = load(loads, PLAIN)

    assert not Case.objects.exists()
    assert "Not known: the card was not read afterwards." in manager.get(page_of(operation)).text


def test_of_a_files_row_the_answer_is_compared(loads: Till):
    wish = operations.Wish(verb="top_up", card=loads.card(OLD_BALANCE), amount=Money(2000, "EUR"))
    operations.request(member=loads.member, key=uuid.uuid4(), wish=wish, priority=10)
    while operations.work():
        pass

    assert (Case.objects.get().answered_minor, Case.objects.get().read_minor) == (5000, None)


def test_what_the_providers_record_settles_late_opens_one_and_comparing_again_no_second(loads: Till):
    loads.arm("cut", "/")
    operation = loads.gets("top_up", 2000, number=OLD_BALANCE)
    assert operation.state == S.CHECKING
    written(operation, next_attempt_at=timezone.now() - timedelta(seconds=1))
    settling.settle_due()
    operation = Operation.objects.select_related("connection__merchant").get(pk=operation.pk)
    assert (operation.state, operation.settled_by) == (S.DONE, "record")
    assert (Case.objects.get().answered_minor, Case.objects.get().read_minor) == (5000, 7000)

    told = (Balance(CASH, Money(1, "EUR")),)
    cases.compare(operation, Receipt(provider_reference="", balances=told, lines=(), raw=""))

    assert Case.objects.get().answered_minor == 5000
    assert AuditEntry.objects.filter(verb="case opened").count() == 1


@pytest.mark.parametrize(("provider", "asked"), [("secuconnect", True), ("revenuemonster", False)])
def test_whether_only_this_desk_moves_the_cards_is_asked_where_a_balance_proves_something(
    loads: Till, revenuemonster, manager, provider, asked
):
    there = Connection.objects.get(merchant=loads.member.merchant, provider=provider)

    page = manager.get(f"/m/baeckerei-jung/settings/connections/{there.key}/").text

    assert [f'name="{name}"' in page for name in ("only_this_desk", "reads_balance_first")] == [asked, asked]
    assert ("then opens a case for a person" in page) == asked


# ---- What people see ----------------------------------------------------------------------------------------------
def test_the_case_waits_in_attention_and_its_card_and_operation_lead_to_it(loads: Till, misfit, manager):
    address = page_of(misfit.operation, "attention")
    card = f"/m/baeckerei-jung/cards/{misfit.operation.card.key}/"

    for page in ("/m/baeckerei-jung/attention/", "/m/baeckerei-jung/attention/?only=unclear"):
        shown = manager.get(page).text
        assert address in shown
        assert "€50.00 instead of €70.00" in shown
        assert "Nothing unclear" not in shown
    assert address not in manager.get("/m/baeckerei-jung/attention/?only=second").text
    assert address in manager.get(page_of(misfit.operation)).text
    assert address in manager.get(card).text
    desk = manager.get("/m/baeckerei-jung/").text
    assert numbers(desk)["needs a person"] == "1"
    assert re.search(r'attention/"[^>]*>.*?<span[^>]*>1<', desk.split("<main")[0], re.DOTALL)


def test_the_evidence_says_what_was_there_what_was_asked_what_was_answered_and_what_fits(loads: Till, misfit, manager):
    evidence = f"{page_of(misfit.operation)}evidence/"
    for page in (page_of(misfit.operation, "attention"), evidence):
        shown = manager.get(page).text
        for sentence in (
            "Paid in before it was sent: €50.00.",
            "It loads €20.00, so this should be paid in afterwards: €70.00.",
            "secuconnect answered that it is done, and that this is paid in: €50.00. That is €20.00 too little.",
            "Read afterwards, this was paid in: €70.00. That fits.",
        ):
            assert sentence in shown


def test_nobody_elses_case_is_there(misfit, kauri, arrange, signed_in):
    with arrange():
        nora = make_person("Nora", (kauri, "owner"))
    stranger = signed_in(nora)

    assert stranger.get(page_of(misfit.operation, "attention").replace("baeckerei-jung", kauri.slug)).status_code == 404
    assert str(misfit.operation.key) not in stranger.get(f"/m/{kauri.slug}/attention/").text


# ---- How it is closed ---------------------------------------------------------------------------------------------
def test_a_manager_closes_it_with_a_reason_and_the_operation_stays_as_it_was(loads: Till, misfit, manager, milan):
    before = model_to_dict(misfit.operation)
    address = page_of(misfit.operation, "attention")

    answer = manager.post(address, {"reason": "Ms Lee: their display was late."}, follow=True)

    assert "The case is closed." in answer.text
    assert address not in manager.get("/m/baeckerei-jung/attention/").text
    misfit.refresh_from_db()
    assert (misfit.closed_by, misfit.reason) == (milan, "Ms Lee: their display was late.")
    assert model_to_dict(Operation.objects.get(pk=misfit.operation_id)) == before
    line = AuditEntry.objects.get(verb="case closed")
    assert (line.person, line.subject, line.detail) == (milan, misfit.operation.reference, {"reason": misfit.reason})
    assert "Ms Lee: their display was late." in manager.get(address).text
    assert "The case is closed." in manager.get(page_of(misfit.operation)).text
    assert address not in manager.get(f"/m/baeckerei-jung/cards/{misfit.operation.card.key}/").text


@pytest.mark.parametrize("reason", ["", "   "])
def test_without_a_reason_it_stays_open(misfit, manager, reason):
    answer = manager.post(page_of(misfit.operation, "attention"), {"reason": reason})

    assert (answer.status_code, "Write what you found. Others will rely on it." in answer.text) == (422, True)
    assert cases.waiting(misfit.merchant_id).get() == misfit


def test_of_two_who_close_it_the_second_changes_nothing(misfit, manager):
    address = page_of(misfit.operation, "attention")
    manager.post(address, {"reason": "First."})

    answer = manager.post(address, {"reason": "Second."}, follow=True)

    assert "Somebody else has closed this case meanwhile." in answer.text
    misfit.refresh_from_db()
    assert misfit.reason == "First."
    assert AuditEntry.objects.filter(verb="case closed").count() == 1


@pytest.mark.parametrize("role", ["cashier", "accountant", "read_only"])
def test_who_may_not_decide_sees_the_evidence_and_closes_nothing(misfit, jung, signed_in, role):
    browser = signed_in(make_person("Ruth", (jung, role)))
    address = page_of(misfit.operation, "attention")

    shown = browser.get(address).text
    assert "Paid in before it was sent: €50.00." in shown
    assert "<textarea" not in shown
    assert browser.post(address, {"reason": "Mine."}).status_code == 403
    assert cases.waiting(misfit.merchant_id).exists()


def test_the_role_is_looked_at_once_more_when_it_is_closed(misfit, milan):
    member = Member.objects.select_related("merchant", "person").get(person=milan)
    Member.objects.filter(pk=member.pk).update(role="cashier")

    with pytest.raises(PermissionDenied):
        cases.close(misfit, member=member, reason="Still me.")

    assert cases.waiting(misfit.merchant_id).exists()


# ---- The database promises it once more ---------------------------------------------------------------------------
@contextmanager
def by_hand() -> Iterator[None]:
    before = case_writer._open.set(True)
    try:
        with transaction.atomic():
            yield
    finally:
        case_writer._open.reset(before)


@pytest.mark.parametrize("change", [{"reason": "Otherwise."}, {"closed_at": None, "closed_by": None, "reason": ""}])
def test_once_closed_nothing_of_it_changes(misfit, milan, change):
    member = Member.objects.select_related("merchant", "person").get(person=milan)
    cases.close(misfit, member=member, reason="Seen to.")

    with pytest.raises(IntegrityError), by_hand():
        Case.objects.filter(pk=misfit.pk).update(**change)


@pytest.mark.parametrize("change", [{"answered_minor": 7000}, {"read_minor": 1}, {"closed_at": timezone.now()}])
def test_what_was_found_never_changes_and_nobody_closes_it_without_a_word(misfit, change):
    with pytest.raises(IntegrityError), by_hand():
        Case.objects.filter(pk=misfit.pk).update(**change)


def test_it_is_never_deleted(misfit):
    with pytest.raises(IntegrityError), by_hand():
        Case.objects.filter(pk=misfit.pk).delete()


def test_none_is_opened_about_what_is_not_done(loads: Till):
    waits = loads.asks("top_up", 2000, number=PLAIN)

    with pytest.raises(IntegrityError), by_hand():
        Case.objects.create(merchant_id=waits.merchant_id, operation=waits, opened_at=timezone.now())
