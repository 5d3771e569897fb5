"""Cards that are made on the fly, and money that was paid in or given, at the real secuconnect sandbox."""

import re
import uuid
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.db.models.functions import Now
from django.urls import reverse

from portal.ledger import cards, operations, settling
from portal.ledger.models import Card, Operation, OperationState
from portal.merchants.models import Connection, ServedStore, Store
from tests.ledger.conftest import CARD, Till
from tests.ledger.test_operations import write
from tests.merchants.tills import DESK, choose_pin, open_till

S = OperationState
KNOWN, LOADED = "9276004424644001", "9276004424644352"
HERE = "/m/baeckerei-jung/cards/new/"


def makes(till: Till, *, key: uuid.UUID | None = None, **more) -> Operation:
    wish = operations.Wish(verb="activate", card=None, connection=till.connection, **more)
    return till.worked_on(operations.request(member=till.member, key=key or uuid.uuid4(), wish=wish))


# ---- In the ledger ------------------------------------------------------------------------------------------------
def test_a_card_is_made_and_remembered_by_its_number(loads: Till):
    operation = makes(loads)

    assert (operation.state, operation.settled_by) == (S.DONE, "answer")
    assert [effect["verb"] for effect in loads.effects()] == ["activate"]
    card = Card.objects.get()
    assert operation.card == card
    assert (card.last_four, card.balance_minor) == (cards.number_of(card)[-4:], 0)
    assert loads.gets("top_up", 2000, number=cards.number_of(card)).state == S.DONE


def test_asked_twice_under_one_key_one_card_is_made(loads: Till):
    key = uuid.uuid4()

    assert makes(loads, key=key).pk == makes(loads, key=key).pk
    assert len(loads.effects()) == 1
    with pytest.raises(operations.OtherContent):
        makes(loads, key=key, private={"first_name": "Max"})


def test_two_new_cards_do_not_wait_for_each_other(loads: Till):
    first, second = makes(loads), makes(loads)

    assert first.card_id != second.card_id
    assert {first.state, second.state} == {S.DONE}


@pytest.mark.parametrize("kind", ["cut", "timeout_after", "garbage"])
def test_a_card_whose_making_was_not_told_is_found_with_its_number(loads: Till, kind):
    loads.arm(kind, "/", seconds=3)
    operation = makes(loads)
    assert (operation.state, operation.card) == (S.CHECKING, None)

    write(operation, next_attempt_at=Now() - timedelta(seconds=1))
    settling.settle_due()

    operation.refresh_from_db()
    assert (operation.state, operation.settled_by, len(loads.effects())) == (S.DONE, "record", 1)
    assert operation.card is not None


def test_a_card_that_is_there_needs_no_activation_and_none_is_made_without_a_group(loads: Till, till: Till):
    with pytest.raises(operations.CannotAsk):
        loads.asks("activate", number=KNOWN)
    with pytest.raises(operations.CannotAsk):  # elsewhere a card has to be there
        makes(till)
    Connection.objects.filter(pk=loads.connection.pk).update(options=loads.connection.options | {"card_group": ""})
    loads.connection.refresh_from_db()
    with pytest.raises(operations.CannotAsk):
        makes(loads)

    assert not Operation.objects.exists()


def test_an_operation_gets_its_card_once_and_only_by_its_end(loads: Till):
    other = loads.card(KNOWN)
    wish = operations.Wish(verb="activate", card=None, connection=loads.connection)
    waiting = operations.request(member=loads.member, key=uuid.uuid4(), wish=wish)
    with pytest.raises(DatabaseError), transaction.atomic():
        write(waiting, card=other)
    done = makes(loads)
    with pytest.raises(DatabaseError), transaction.atomic():
        write(done, card=other)


# ---- Paid in and given --------------------------------------------------------------------------------------------
def test_what_was_paid_in_and_what_was_given_are_told_apart(loads: Till, signed_in):
    operation = loads.gets("top_up", 2000, number=LOADED)  # 10 % bonus, on a load, too
    browser = signed_in(loads.member.person)

    page = browser.get(reverse("card", args=["baeckerei-jung", loads.card(LOADED).key])).text
    for text in ("€24.20", "<dt>Paid in</dt><dd>€22.00</dd>", "<dt>Bonus</dt><dd>€2.20</dd>"):
        assert text in page
    assert "0 points" not in page  # this provider gives none
    told = "€24.20 (Paid in €22.00, Bonus €2.20)"
    for place in ("operation", "receipt"):
        assert told in browser.get(reverse(place, args=["baeckerei-jung", operation.key])).text


def test_after_an_operation_neither_bonus_nor_points_are_told_where_there_are_none(loads: Till, signed_in):
    operation = loads.gets("top_up", 2000, number=KNOWN)
    browser = signed_in(loads.member.person)

    assert loads.card(KNOWN).points == 0
    for place in ("operation", "receipt"):
        page = browser.get(reverse(place, args=["baeckerei-jung", operation.key])).text
        assert "New balance" in page
        assert "Bonus" not in page
        assert "0 points" not in page.partition("What happened")[0]
    page = browser.get(reverse("card", args=["baeckerei-jung", loads.card(KNOWN).key])).text
    assert "<dt>Bonus</dt>" not in page
    assert "0 points" not in page


def test_where_the_provider_does_not_tell_them_apart_nothing_is_said(till: Till, signed_in):
    till.gets("top_up", 2000)
    page = signed_in(till.member.person).get(reverse("card", args=["baeckerei-jung", till.card(CARD).key])).text

    assert "Paid in" not in page
    assert "Bonus" not in page


# ---- Its page -----------------------------------------------------------------------------------------------------
def test_a_card_is_asked_for_in_two_beats(loads: Till, signed_in):
    browser = signed_in(loads.member.person)
    assert HERE in browser.get("/m/baeckerei-jung/").text
    key = str(uuid.uuid4())
    asked = browser.post(HERE, {"key": key, "do": "activate", "first_name": "Max"})
    assert "Make a new card at" in asked.text
    assert 'name="first_name" value="Max"' in asked.text
    assert not Operation.objects.exists()

    answer = browser.post(f"{HERE}make/", {"key": key, "do": "activate", "first_name": "Max"})

    operation = Operation.objects.get()
    assert (answer.status_code, answer.url) == (303, reverse("operation", args=["baeckerei-jung", operation.key]))
    assert "Make a new card." in browser.get(answer.url).text
    while operations.work():
        pass
    told = browser.get(answer.url).text
    assert f"Made ••••\u00a0{Card.objects.get().last_four}." in told


def test_pressed_twice_one_card_is_made(loads: Till, signed_in):
    browser, key = signed_in(loads.member.person), str(uuid.uuid4())

    first, second = (browser.post(f"{HERE}make/", {"key": key, "do": "activate"}) for _ in range(2))

    assert first.url == second.url
    assert Operation.objects.count() == 1


def test_the_same_form_for_somebody_else_shows_the_first_and_the_way_to_a_new_one(loads: Till, signed_in):
    browser, typed = signed_in(loads.member.person), {"key": str(uuid.uuid4()), "do": "activate"}
    browser.post(f"{HERE}make/", {**typed, "first_name": "Max"})

    answer = browser.post(f"{HERE}make/", {**typed, "first_name": "Mia"})

    assert answer.status_code == 409
    assert "Nothing new was asked." in answer.text
    assert Operation.objects.count() == 1
    (start_new,) = re.findall(r'action="([^"]*)"', answer.text.partition("start-new")[2].partition("</form>")[0])
    assert start_new == f"{HERE}?connection={loads.connection.key}"
    again = browser.post(start_new, {"do": "activate", "first_name": "Mia", "change": "1"}).text
    assert 'value="Mia"' in again
    assert typed["key"] not in again


def test_what_is_wrong_is_said_beside_it_and_nothing_typed_is_lost(loads: Till, signed_in):
    answer = signed_in(loads.member.person).post(HERE, {"key": str(uuid.uuid4()), "email": "nobody", "last_name": "Q"})

    assert answer.status_code == 422
    assert 'value="nobody"' in answer.text
    assert 'value="Q"' in answer.text


def test_what_was_made_is_a_new_card_wherever_it_is_listed_and_no_activation(loads: Till, signed_in):
    makes(loads)
    browser = signed_in(loads.member.person)

    for query in ("", "?verb=make"):
        rows = browser.get(f"/m/baeckerei-jung/operations/{query}").text.partition("<tbody>")[2]
        assert "New card" in rows
        assert "Activation" not in rows
    assert "Nothing here is like this." in browser.get("/m/baeckerei-jung/operations/?verb=activate").text


def test_where_nobody_makes_cards_the_page_says_so_and_the_desk_offers_none(till: Till, signed_in):
    browser = signed_in(till.member.person)

    assert HERE not in browser.get("/m/baeckerei-jung/").text
    assert "None of your connections makes cards." in browser.get(HERE).text
    assert browser.get(f"{HERE}?connection={till.connection.key}").status_code == 404


def test_on_a_till_a_card_is_made_only_at_a_connection_that_serves_its_store(
    loads: Till, arrange, jung, alice, olivia, signed_in
):
    with arrange():
        here, there = (Store.objects.create(merchant=jung, name=name, address="") for name in ("Markthalle", "Bahnhof"))
    shop = open_till(signed_in(olivia), jung, here)
    shop.unlocks(choose_pin(alice, jung))
    assert "The card gets its number from" in shop.client.get(HERE).text

    with arrange():
        ServedStore.objects.create(merchant=jung, connection=loads.connection, store=there)

    assert "None of your connections makes cards." in shop.client.get(HERE).text
    assert HERE not in shop.client.get(DESK).text


def test_a_paused_connection_says_why_nobody_is_asked(loads: Till, signed_in):
    Connection.objects.filter(pk=loads.connection.pk).update(paused_at=Now(), pause_reason="key_refused")
    browser = signed_in(loads.member.person)

    assert "does not accept its key" in browser.get(HERE).text
    answer = browser.post(f"{HERE}make/", {"key": str(uuid.uuid4()), "do": "activate"})
    assert answer.status_code == 422
    assert not Operation.objects.exists()


def test_the_card_page_says_that_no_activation_is_needed(loads: Till, signed_in):
    page = signed_in(loads.member.person).get(
        reverse("card", args=["baeckerei-jung", loads.card(KNOWN).key]), {"do": "activate"}
    )

    assert "need no activation" in page.text
    top_up = signed_in(loads.member.person).get(
        reverse("card", args=["baeckerei-jung", loads.card(KNOWN).key]), {"do": "top_up"}
    )
    assert "Also activate the card" not in top_up.text


def test_an_activation_that_its_connector_refuses_is_not_asked_for(loads: Till):
    with pytest.raises(operations.CannotAsk, match="not_offered"):
        loads.gets("top_up", 2000, number=KNOWN, also_activate=True)

    assert not Operation.objects.exists()
    assert loads.effects() == []
