"""Taking a payment from a card that was looked up, as a browser without JavaScript uses the pages."""

import re
import uuid
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from portal.ledger import balances, operations, settling
from portal.ledger.models import Card, Inquiry, Operation, OperationState
from portal.merchants.models import Connection
from tests.conftest import make_person
from tests.ledger import test_balances
from tests.ledger.conftest import Counter
from tests.ledger.test_operations import write
from tests.ledger.test_till import DESK, hidden

S = OperationState
CARD, END, RICH = "6280390000012345", "12345", "6280395550009753"


class Desk:
    """A browser at the counter: what is posted is what the pages' forms hold."""

    def __init__(self, client, counter: Counter) -> None:
        self.client, self.counter = client, counter

    def looks_up(self, number: str = CARD, pin: str = "1234") -> str:
        """Scan, type the password, let a worker answer: the page that shows it."""
        asked = {"key": str(uuid.uuid4()), "connection": str(self.counter.connection.key), "number": number}
        page = self.client.post(f"{DESK}scan/", asked)["Location"]
        return self.types(page, pin)

    def types(self, page: str, pin: str = "1234") -> str:
        after = self.client.post(page, {"pin": pin})["Location"]
        balances.answer(Inquiry.objects.order_by("-id").values_list("pk", flat=True)[0])
        return after

    def sees(self, path: str, **headers: str) -> str:
        return self.client.get(path, **headers).text

    def takes(self, amount: str = "900", number: str = CARD):
        """From the card's page through both beats, to the operation's page."""
        page = card_page(self.counter.card(number))
        form = hidden(self.sees(f"{page}?do=pay"), "data-first-beat")
        asked = self.client.post(page, {**form, "amount": amount})
        sure = self.client.post(f"{page}confirm/", hidden(asked.text, "data-confirm"))
        assert sure.status_code == 303, sure.text
        return sure["Location"]


def card_page(card: Card) -> str:
    return f"{DESK}cards/{card.key}/"


@pytest.fixture
def desk(signed_in, alice, counter: Counter) -> Desk:
    return Desk(signed_in(alice), counter)


def works() -> None:
    while operations.work():
        pass


def test_from_the_answer_a_payment_is_one_press_away(desk: Desk):
    answer = desk.sees(desk.looks_up())

    assert "€42.00" in answer
    [page] = re.findall(r'id="take-payment"[^>]* href="([^"]+)"', answer)
    assert "Take €9.00" not in answer
    assert 'name="amount"' in desk.sees(page)


def test_both_beats_and_the_outcome(desk: Desk):
    desk.looks_up()
    operation_page = desk.takes()
    works()
    page = " ".join(desk.sees(operation_page).split())

    assert "Took €9.00 from •••• 2345." in page
    assert "New balance" not in page, "only whoever has the password can ask"
    receipt = desk.sees(f"{operation_page}receipt/")
    assert "€9.00" in receipt
    assert Operation.objects.get().provider_reference in receipt


def test_after_a_payment_the_reading_is_said_to_be_older(desk: Desk):
    desk.looks_up()
    assert "Read before the last movement" not in desk.sees(card_page(desk.counter.card(CARD)))
    desk.takes()
    works()

    page = desk.sees(card_page(desk.counter.card(CARD)))

    assert "Read before the last movement" in page
    assert "each look-up pays once" in page


def test_by_the_end_of_a_number_no_payment_is_offered_and_why(desk: Desk):
    answer = desk.sees(desk.looks_up(END))

    assert "€42.00" in answer
    assert "take-payment" not in answer
    assert "look the card up by its whole number" in answer


def test_who_may_look_nothing_up_sees_nothing_of_it(desk: Desk, arrange, signed_in, jung):
    with arrange():
        reader = make_person("Reader", (jung, "read_only"))

    assert signed_in(reader).get(desk.looks_up()).status_code == 403


@pytest.mark.parametrize("product", [0, 12345])
def test_a_payment_is_offered_where_it_is_set_up(desk: Desk, product: int):
    options = {**desk.counter.connection.options, "product": product}
    Connection.objects.filter(pk=desk.counter.connection.pk).update(options=options)

    answer = desk.sees(desk.looks_up())

    assert ("take-payment" in answer) == bool(product)
    assert "whole number" not in answer


def test_a_card_without_a_fresh_look_up_says_how_to_get_one(desk: Desk):
    inquiry = desk.counter.looks_up(CARD)
    test_balances.write(inquiry, sealed_usage_token=None)

    page = " ".join(desk.sees(f"{card_page(inquiry.card)}?do=pay").split())

    assert "data-first-beat" not in page
    assert "Look the card up again, with its password" in page


def test_asking_again_takes_the_password_and_leads_back_to_the_cards_page(desk: Desk):
    inquiry = desk.counter.looks_up(CARD)
    page = card_page(inquiry.card)

    pin_page = desk.client.post(f"{page}ask-again/", {"key": str(uuid.uuid4())})["Location"]
    after = desk.types(pin_page)

    assert after == page
    assert 'name="amount"' in desk.sees(f"{page}?do=pay")


def test_a_page_that_waits_for_the_answer_is_drawn_anew_with_what_it_makes_possible(desk: Desk):
    inquiry = desk.counter.looks_up(CARD)
    page = card_page(inquiry.card)
    test_balances.write(inquiry, sealed_usage_token=None)
    htmx = {"HX-Request": "true", "HX-Target": "reading"}
    balances.give_pin(balances.ask_again(member=desk.counter.member, key=uuid.uuid4(), card=inquiry.card), pin="1234")
    assert "The card is being looked up." in desk.sees(f"{page}?do=pay")
    waiting = desk.client.get(page, headers=htmx)
    balances.answer(Inquiry.objects.order_by("-id").values_list("pk", flat=True)[0])

    answered = desk.client.get(page, headers=htmx)

    assert "HX-Refresh" not in waiting
    assert answered["HX-Refresh"] == "true"


def test_a_form_that_lay_too_long_is_refused_beside_its_field_and_nothing_is_lost(desk: Desk):
    inquiry = desk.counter.looks_up(CARD)
    page = card_page(inquiry.card)
    form = hidden(desk.sees(f"{page}?do=pay"), "data-first-beat")
    sure = hidden(desk.client.post(page, {**form, "amount": "900"}).text, "data-confirm")
    test_balances.write(inquiry, sealed_usage_token=None)

    refused = desk.client.post(f"{page}confirm/", sure)

    assert refused.status_code == 422
    assert "each look-up pays once" in refused.text
    assert Operation.objects.count() == 0


def test_pressed_twice_it_is_one_payment(desk: Desk):
    page = card_page(desk.counter.looks_up(CARD).card)
    form = hidden(desk.sees(f"{page}?do=pay"), "data-first-beat")
    sure = hidden(desk.client.post(page, {**form, "amount": "900"}).text, "data-confirm")

    first = desk.client.post(f"{page}confirm/", sure)["Location"]
    works()
    second = desk.client.post(f"{page}confirm/", sure)["Location"]

    assert first == second
    assert len(desk.counter.sold()) == 1


def test_while_it_is_sent_again_the_page_says_what_that_means(desk: Desk):
    desk.looks_up(RICH)
    desk.counter.arm("cut", "")
    operation_page = desk.takes(number=RICH)
    works()

    page = " ".join(desk.sees(operation_page).split())
    assert "We send the same again until CardInquiry answers: it is done once" in page

    write(Operation.objects.get(), next_attempt_at=Now() - timedelta(seconds=1))
    settling.settle_due()
    page = " ".join(desk.sees(operation_page).split())
    assert "the same was sent again, and CardInquiry says that it is done" in page
    assert "Sent the same once more to CardInquiry" in page


def test_a_lapsed_look_up_is_refused_with_the_way_on(desk: Desk):
    number = "6280390000000037"
    desk.looks_up(number)
    operation_page = desk.takes(number=number)
    works()

    page = " ".join(desk.sees(operation_page).split())

    assert "The look-up is too old, or was used already." in page
    assert "Look the card up again, with its password" in page
    assert "Start a new one" in page


def test_what_needs_a_person_shows_that_it_was_sent_again(desk: Desk, signed_in, arrange, jung):
    desk.looks_up(RICH)
    desk.counter.arm("cut", "", times=settling.CHECKS + 1)
    desk.takes(number=RICH)
    works()
    operation = Operation.objects.get()
    for _ in range(settling.CHECKS):
        settling.settle(operation)
    operation.refresh_from_db()
    assert operation.state == S.NEEDS_PERSON
    with arrange():
        milan = make_person("Milan", (jung, "manager"))

    page = signed_in(milan).get(f"{DESK}attention/{operation.key}/").text

    assert page.count("Sent the same once more.") == settling.CHECKS
