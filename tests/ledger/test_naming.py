"""Whom something at the till is for: what the provider is told of the customer, and who is written to."""

import json
import re

import pytest

from portal.customers import book
from portal.customers.models import Customer
from portal.ledger import holders, naming, operations
from portal.ledger.models import Exchange, Operation, OperationState
from portal.merchants.models import Connection, Member
from portal.merchants.roles import Role
from tests.conftest import make_person
from tests.customers.conftest import keep
from tests.ledger.conftest import Till
from tests.ledger.test_till import Browser

CARD, KNOWN = "9276004424644001", "PCU_H8ZQSFS9G2X07TF5JF89V55H645UA2"
VOGEL = {
    "salutation": "ms",
    "title": "Dr.",
    "first_name": "Canary-mara",
    "last_name": "Canary-vogel",
    "email": "canary@example.org",
    "phone": "+493012345678",
    "street": "Canary-weg 1",
    "city": "Canary-stadt",
    "postal_code": "99999",
    "country": "DE",
}


@pytest.fixture
def browser(signed_in, alice, loads: Till) -> Browser:
    """Alice's, at secuconnect's cards, one of which Dr. Vogel holds."""
    browser = Browser(signed_in(alice), loads)
    browser.reads(CARD)
    keep(loads.member, card=loads.card(CARD), **VOGEL)
    return browser


@pytest.fixture
def with_mail(loads: Till) -> Connection:
    """The connection says that the provider sends the e-mail."""
    template = loads.sandbox.credentials("secuconnect")["template_id"]
    connection = Connection.objects.get(pk=loads.connection.pk)
    Connection.objects.filter(pk=connection.pk).update(options={**connection.options, "template": template})
    return connection


def holder(till: Till) -> Customer:
    found = till.card(CARD).customer
    assert found is not None
    return found


def question(answer) -> str:
    found = re.search(r'id="question".*?</div>', answer.text, re.DOTALL)
    assert found, answer.text
    return " ".join(re.sub("<[^>]+>", " ", found[0]).split())


def sent(operation: Operation) -> dict[str, object]:
    created = next(each for each in operation.exchange_set.order_by("id") if each.url.endswith("/Smart/Transactions"))
    return json.loads(created.request_body)


def told(till: Till) -> list[str]:
    return [each["verb"] for each in till.effects()]


def names_the_holder(browser: Browser, **typed: str):
    return browser.fills_in("top_up", CARD, **{"amount": "20", "for_holder": str(holder(browser.till).key), **typed})


def test_the_holder_can_be_named_and_the_sentence_says_who_gets_an_email(browser, with_mail):
    form = browser.sees(f"{browser.page_of(CARD)}?do=top_up")
    assert "For C. Canary-vogel, who holds the card" in form

    answer = names_the_holder(browser)

    assert "An e-mail from secuconnect goes to c•••@e•••.org." in question(answer)
    browser.confirms(answer, CARD)
    while operations.work():
        pass
    operation = Operation.objects.latest("id")
    assert operation.state == OperationState.DONE
    assert sent(operation)["communications"] == {
        "action_type": "charge",
        "template_id": browser.till.sandbox.credentials("secuconnect")["template_id"],
    }
    assert told(browser.till) == ["top_up", "notify"]


def test_nothing_of_the_holder_is_kept_of_the_call(browser, with_mail):
    answer = browser.does("top_up", CARD, amount="20", for_holder=str(holder(browser.till).key))

    operation = Operation.objects.latest("id")
    kept = [*Exchange.objects.filter(operation=operation).values(), *Operation.objects.filter(pk=operation.pk).values()]
    assert operation.state == OperationState.DONE
    assert operation.sealed_input is None
    assert "canary" not in repr(kept).lower()
    assert "12345678" not in repr(kept)
    assert "canary" not in re.sub("<nav.*?</nav>", "", answer.text, flags=re.DOTALL).lower()


def test_a_holder_the_provider_knows_is_named_by_its_number(browser, with_mail, loads):
    assert naming.details_of(holder(loads), with_mail)["first_name"] == VOGEL["first_name"]
    book.change(
        member=loads.member,
        customer=holder(loads),
        details=book.Details(**VOGEL, numbers={with_mail.pk: KNOWN}),
    )

    answer = names_the_holder(browser)

    assert "An e-mail from secuconnect goes to the address on record there." in question(answer)
    browser.confirms(answer, CARD)
    while operations.work():
        pass
    assert sent(Operation.objects.latest("id"))["customer"] == {"id": "‹number›"}
    assert told(loads) == ["top_up", "notify"]


def test_a_number_that_is_none_of_the_providers_names_nobody_to_it(browser, loads):
    book.change(
        member=loads.member,
        customer=holder(loads),
        details=book.Details(**VOGEL, numbers={loads.connection.pk: "4711"}),
    )

    assert naming.details_of(holder(loads), loads.connection)["last_name"] == VOGEL["last_name"]
    assert "number" not in naming.details_of(holder(loads), loads.connection)


@pytest.mark.parametrize(
    ("typed", "mail"),
    [
        ({}, "Nobody gets an e-mail from secuconnect: no customer is named."),
        ({"email": "max@example.com"}, "An e-mail from secuconnect goes to m•••@e•••.com."),
        ({"first_name": "Max"}, "Nobody gets an e-mail from secuconnect: there is no address."),
    ],
    ids=["nobody", "an address", "no address"],
)
def test_the_sentence_says_who_gets_an_email(browser, with_mail, typed, mail):
    assert mail in question(browser.fills_in("top_up", CARD, amount="20", **typed))


def test_without_a_template_nobody_is_written_to(browser, loads):
    answer = names_the_holder(browser)

    assert "We tell secuconnect whose card it is. Nobody gets an e-mail." in question(answer)
    browser.confirms(answer, CARD)
    while operations.work():
        pass
    assert "communications" not in sent(Operation.objects.latest("id"))
    assert told(loads) == ["top_up"]
    assert "e-mail" not in question(browser.fills_in("top_up", CARD, amount="20"))


def test_the_holder_and_somebody_else_cannot_both_be_meant(browser):
    answer = names_the_holder(browser, email="max@example.com")

    assert answer.status_code == 422
    assert "Name whoever holds the card, or somebody else, but not both." in answer.text
    assert "max@example.com" in answer.text


def test_who_was_confirmed_is_who_is_told(browser, loads):
    """Between the two beats somebody else takes the card."""
    answer = names_the_holder(browser)
    holders.detach(member=loads.member, card=loads.card(CARD), customer=holder(loads))
    keep(loads.member, card=loads.card(CARD), last_name="Other")

    refused = browser.confirms(answer, CARD)

    assert refused.status_code == 422
    assert "Somebody else holds the card by now." in refused.text
    assert told(loads) == []


def test_who_may_not_see_customers_is_not_offered_the_holder(browser, loads, jung, signed_in, arrange):
    with arrange():
        person = make_person("role@example.com")
        Member(merchant=jung, person=person, role=Role.CASHIER).save()
    form = Browser(signed_in(person), loads).sees(f"{browser.page_of(CARD)}?do=top_up")

    assert ("who holds the card" in form) is ("Canary-vogel" in form)
    assert VOGEL["first_name"] not in form


def test_a_card_nobody_holds_offers_nobody(loads, signed_in, alice):
    browser = Browser(signed_in(alice), loads)
    browser.reads(CARD)

    assert "who holds the card" not in browser.sees(f"{browser.page_of(CARD)}?do=top_up")
