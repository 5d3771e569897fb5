"""What a purchase would give, asked by a worker while somebody reads the sentence: shown when it comes."""

import re
import uuid
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.urls import reverse

from portal.ledger import balances, operations
from portal.ledger.models import Inquiry, Operation, OperationState, State
from portal.merchants import tenancy
from portal.merchants.models import Connection, Member
from portal.merchants.roles import Role
from portal.money import Money
from tests.conftest import make_merchant, make_person
from tests.ledger.conftest import Till
from tests.ledger.test_balances import write

MEMBER = "2777058682717858418"
ASKING = "Asking Revenue Monster how many points that is…"
KNOWN = "That is about <strong>12 points</strong>, by the rule of Revenue Monster."
UNKNOWN = "How many points that is, Revenue Monster does not say now."


class Sentence:
    """Alice at the card's page, without JavaScript: the sentence she is asked to confirm, and what it holds."""

    def __init__(self, client, till: Till) -> None:
        self.client, self.till = client, till
        self.url = reverse("card", args=[till.member.merchant.slug, till.card(MEMBER).key])

    def reads(self, **fields: str) -> str:
        if "key" not in fields:
            drawn = self.client.get(f"{self.url}?do=award").text.partition('id="action"')[2]
            (fields["key"],) = set(re.findall(r'name="key" value="([0-9a-f-]{36})"', drawn))
        asked = {"do": "award", "amount": "12.50", "extra_paid_with": "other", **fields}
        self.shown = self.client.post(self.url, asked).text
        self.exact = dict(
            re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', self.shown.partition("data-confirm")[2])
        )
        return self.shown

    def looks_again(self, key: object = "") -> str:
        """As htmx does while nobody has said it."""
        key = key or self.asked.key
        headers = {"HX-Request": "true", "HX-Target": "prediction"}
        return self.client.get(f"{self.url}?prediction={key}", headers=headers).text

    @property
    def asked(self) -> Inquiry:
        return Inquiry.objects.get(purchase_minor__isnull=False)

    def is_answered(self) -> None:
        balances.answer(self.asked.pk)

    def confirms(self) -> Operation:
        self.client.post(f"{self.url}confirm/", self.exact)
        while operations.work():
            pass
        return Operation.objects.get(key=self.exact["key"])


@pytest.fixture
def sentence(awards: Till, alice, signed_in) -> Sentence:
    return Sentence(signed_in(alice), awards)


def test_the_points_appear_once_a_worker_has_asked(sentence):
    assert ASKING in sentence.reads()
    assert "data-pending" in sentence.looks_again()

    sentence.is_answered()

    known = sentence.looks_again()
    assert KNOWN in known
    assert "data-pending" not in known
    assert (sentence.asked.state, sentence.asked.points, sentence.asked.card) == (State.ANSWERED, 12, None)


def test_without_javascript_the_sentence_read_again_has_them(sentence):
    assert "See whether it is known now" in sentence.reads()
    sentence.is_answered()

    again = sentence.reads(key=sentence.exact["key"], amount="", minor=sentence.exact["minor"])

    assert KNOWN in again
    assert "See whether" not in again


def test_it_is_asked_once_for_each_form_and_amount(sentence):
    sentence.reads()
    sentence.reads(key=sentence.exact["key"])
    assert Inquiry.objects.count() == 1

    sentence.reads(key=sentence.exact["key"], amount="3.00")
    assert {each.purchase_minor for each in Inquiry.objects.all()} == {1250, 300}


def test_whoever_confirms_first_has_lost_nothing(sentence):
    sentence.reads()

    operation = sentence.confirms()

    assert (operation.state, operation.predicted_points) == (OperationState.DONE, 12)
    assert sentence.asked.state == State.WAITING


@pytest.mark.parametrize("kind", ["refuse", "garbage", "error_after", "foreign"])
def test_what_nobody_can_say_is_said_and_stops_nothing(sentence, awards, kind):
    awards.arm(kind, "spending-reward/calculate")
    sentence.reads()
    sentence.is_answered()

    shown = sentence.looks_again()

    assert UNKNOWN in shown
    assert "data-pending" not in shown
    assert sentence.confirms().state == OperationState.DONE


def test_a_worker_that_is_away_is_said_after_a_while(sentence):
    sentence.reads()
    write(sentence.asked, asked_at=Now() - timedelta(seconds=6))

    assert "has not said yet how many points that is. You need not wait for it." in sentence.looks_again()


def test_a_connection_that_is_held_is_not_asked(sentence, awards):
    Connection.objects.filter(pk=awards.connection.pk).update(held_until=Now() + timedelta(minutes=1))
    drawn = str(uuid.uuid4())

    sentence.reads(key=drawn)

    assert not Inquiry.objects.exists()


def test_an_answer_that_was_erased_is_not_known_and_the_page_stays(sentence):
    sentence.reads()
    key = sentence.asked.key
    write(sentence.asked, asked_at=Now() - timedelta(hours=1))
    balances.sweep()

    shown = sentence.looks_again(key)

    assert UNKNOWN in shown
    assert 'id="prediction"' in shown


def test_what_another_merchant_asked_is_not_known_here(sentence, arrange, signed_in):
    sentence.reads()
    sentence.is_answered()
    with arrange():
        other = make_merchant("kopitiam", "Kopitiam", currency="MYR", time_zone="Asia/Kuala_Lumpur")
        ben = make_person("Benny", (other, Role.OWNER))
    elsewhere = signed_in(ben).get(
        sentence.url.replace(sentence.till.member.merchant.slug, other.slug) + f"?prediction={sentence.asked.key}"
    )

    assert elsewhere.status_code == 404
    for nonsense in ("x", str(uuid.uuid4())):
        assert UNKNOWN in sentence.looks_again(nonsense)


def test_it_is_no_look_up_of_a_card(sentence, alice, signed_in):
    """Not on the desk, not on a page of its own, and not for the reading on the card's page."""
    sentence.reads()
    sentence.is_answered()
    slug, browser = sentence.till.member.merchant.slug, signed_in(alice)

    assert browser.get(reverse("look_up", args=[slug, sentence.asked.key])).status_code == 404
    assert "8418" not in browser.get(reverse("desk", args=[slug])).text
    assert "No card found" not in browser.get(sentence.url).text


def test_who_may_not_give_points_asks_nobody(sentence, arrange):
    with arrange():
        make_person("Rita", (sentence.till.member.merchant, Role.READ_ONLY))
        rita = Member.objects.select_related("merchant", "person").get(person__name="Rita")
    with tenancy.merchant(rita.merchant_id), pytest.raises(PermissionDenied):
        balances.ask_points(member=rita, key=uuid.uuid4(), card=sentence.till.card(MEMBER), purchase=Money(100, "MYR"))

    assert not Inquiry.objects.exists()


def test_the_database_knows_a_question_about_a_card_from_one_about_a_purchase(sentence, awards):
    sentence.reads()
    for wrong in ({"card": awards.card(MEMBER)}, {"purchase_minor": 0}, {"sealed_number": b"x"}):
        with pytest.raises(IntegrityError, match="inquiry_about_a_card_or_a_purchase"), transaction.atomic():
            write(sentence.asked, **wrong)
