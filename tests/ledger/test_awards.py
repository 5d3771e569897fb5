"""The points for a purchase, at the real Revenue Monster sandbox: what is known of one, what only a person can say."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from portal.ledger import attention_words, clock, operations, settling, story_words
from portal.ledger.models import Exchange, Operation, OperationState
from portal.money import Money
from tests.conftest import make_person
from tests.ledger.conftest import Till

S = OperationState
MEMBER, PHONE, DOUBLE = "2777058682717858418", "+60176473298", "2777058682717858502"
OTHER = {"paid_with": "other"}


def award(till: Till, sen: int = 1250, *, number: str = MEMBER) -> Operation:
    return till.gets("award", sen, number=number, extra=OTHER)


def moved(till: Till) -> list[tuple[str, str, int | None, int | None]]:
    return [(each["verb"], each["subject"], each["amount"], each["points"]) for each in till.effects()]


def lost(till: Till, kind: str, **more: object) -> Operation:
    """An award whose answer never came, as far as a machine can bring it."""
    till.arm(kind, "spending-reward$", seconds=4)
    operation = award(till, **more)
    assert operation.state == S.CHECKING
    settling.settle_due()
    operation.refresh_from_db()
    return operation


# ---- What is known ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [MEMBER, PHONE])
def test_a_purchase_gives_its_points_once(awards: Till, number):
    operation = award(awards, number=number)

    assert (operation.state, operation.settled_by) == (S.DONE, "answer")
    assert (operation.predicted_points, operation.points) == (12, None)
    assert moved(awards) == [("award", MEMBER, 1250, 12)]
    assert awards.card(number).points == 1012


def test_points_are_given_and_taken_without_a_purchase(awards: Till):
    assert awards.gets("issue_points", 20, number=PHONE).state == S.DONE
    assert awards.gets("redeem_points", 5, number=MEMBER).state == S.DONE

    assert [each[0] for each in moved(awards)] == ["issue_points", "redeem_points"]


def test_a_purchase_that_gives_nothing_here_is_refused(awards: Till):
    operation = award(awards, number="2777058682717858503")

    assert (operation.state, moved(awards)) == (S.REFUSED, [])
    assert operation.provider_text.startswith("LOYALTY_SPENDING_NOT_ALLOWED")


def test_one_token_serves_every_award(awards: Till):
    award(awards)
    award(awards, 300)

    asked = Exchange.objects.filter(url__endswith="/v1/token")
    assert asked.count() == 1
    assert "‹accessToken›" in asked.get().response_body


def test_a_prediction_that_cannot_be_had_stops_nothing(awards: Till):
    awards.arm("garbage", "spending-reward/calculate")

    operation = award(awards)

    assert (operation.state, operation.predicted_points) == (S.DONE, None)


# ---- What only a person can say -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "done"), [("timeout_after", 1), ("cut", 1), ("error_after", 1), ("timeout_before", 0)]
)
def test_a_lost_answer_goes_to_a_person_with_both_readings_and_the_prediction(awards: Till, kind, done):
    operation = lost(awards, kind)

    assert operation.state == S.NEEDS_PERSON
    assert len(moved(awards)) == done
    assert (operation.before_points, operation.after_points) == (1000, 1000 + 12 * done)
    assert operation.predicted_points == 12
    assert attention_words.expected(operation) == "If it happened, the card has 12 points more."
    fits = "The card has exactly 12 points more. That fits, but others may move this card, too."
    assert (attention_words.suggestion(operation) == fits) is bool(done)


def test_what_happened_is_told_call_by_call(awards: Till, jung):
    operation = lost(awards, "cut")
    exchanges = list(Exchange.objects.filter(operation=operation).order_by("id"))

    told = [moment.text.split(" after ")[0] for moment in attention_words.moments(operation, exchanges)]
    assert told == [
        "Alice asked for it",
        "Asked Revenue Monster to let us in. Answered",
        "Read the card before: 1,000 points",
        "The provider said that it would be 12 points",
        "Sent, attempt 1",
        "The connection broke",
        "Read the card again: 1,012 points",
        "Left to a person",
    ]
    assert "Asked Revenue Monster how many points it would give: 12 points" in [
        moment.text.split(", after ")[0] for moment in story_words.story(operation, exchanges)
    ]


def test_what_was_only_read_on_the_way_is_not_told_as_sent(awards: Till):
    operation = awards.gets("redeem_points", 5, number=PHONE)

    assert (operation.state, operation.reason, moved(awards)) == (S.REFUSED, "member_wanted", [])
    titles = [story_words.exchange_title(operation, each) for each in Exchange.objects.filter(purpose="call")]
    assert titles == ["Asked Revenue Monster for what is needed to send it"]


def test_a_tier_that_gives_more_does_not_fit_the_prediction(awards: Till):
    operation = lost(awards, "cut", number=DOUBLE)

    assert (operation.before_points, operation.after_points, operation.predicted_points) == (500, 524, 12)
    assert attention_words.suggestion(operation).startswith("The card has 24 points more. That does not fit")


def test_without_a_prediction_a_person_compares(awards: Till):
    awards.arm("garbage", "spending-reward/calculate")
    operation = lost(awards, "cut")

    assert attention_words.suggestion(operation) == (
        "The provider did not say how many points it would be: compare both readings yourself."
    )


def test_what_a_person_said_is_the_end_and_nothing_is_sent_again(awards: Till, jung):
    operation = lost(awards, "timeout_after")
    before = moved(awards)
    make_person("Milan", (jung, "manager"))
    member = jung.member_set.select_related("merchant", "person").get(person__name="Milan")

    settling.decide(operation, member=member, happened=True, reason="Asked the customer, the points are there.")

    operation.refresh_from_db()
    assert (operation.state, operation.settled_by) == (S.DONE, "person")
    while operations.work():
        pass
    assert moved(awards) == before


# ---- Twice --------------------------------------------------------------------------------------------------------
def wish(till: Till, sen: int = 1250) -> operations.Wish:
    return operations.Wish(verb="award", card=till.card(MEMBER), amount=Money(sen, "MYR"), extra=OTHER)


def test_the_same_purchase_a_moment_later_is_noticed(awards: Till):
    first = award(awards)

    assert operations.done_just_now(wish(awards)) == first
    assert operations.done_just_now(wish(awards, 1251)) is None
    later = timezone.now() + operations.AGAIN_WITHIN + timedelta(seconds=1)
    with clock.set_to(lambda: later):
        assert operations.done_just_now(wish(awards)) is None


def test_what_was_refused_is_no_purchase(awards: Till):
    operation = awards.gets("award", 1250, number="2777058682717858503", extra=OTHER)
    asked = operations.Wish(verb="award", card=operation.card, amount=wish(awards).amount, extra=OTHER)

    assert operations.done_just_now(asked) is None


# ---- At the till --------------------------------------------------------------------------------------------------
@pytest.fixture
def browser(awards: Till, alice, signed_in):
    return signed_in(alice)


def page_of(till: Till) -> str:
    return reverse("card", args=[till.member.merchant.slug, till.card(MEMBER).key])


def typed(browser, till: Till, **fields: str) -> str:
    drawn = browser.get(f"{page_of(till)}?do=award").content.decode()
    (key,) = set(re.findall(r'name="key" value="([0-9a-f-]{36})"', drawn.partition('id="action"')[2]))
    asked = {"do": "award", "key": key, "amount": "12.50", **fields}
    return browser.post(page_of(till), asked).content.decode()


def test_how_the_customer_paid_has_to_be_said(browser, awards: Till):
    shown = typed(browser, awards)

    assert "Choose one of the list." in shown
    assert 'href="#id_extra_paid_with_0"' in shown
    assert "checked" not in shown


def test_an_award_is_a_sentence_before_it_is_asked(browser, awards: Till):
    shown = typed(browser, awards, extra_paid_with="other")

    assert "Give member ••••\u00a08418 at Revenue Monster the points" in shown
    assert "Balance after" not in shown
    assert "WeChat" not in shown


def test_whoever_paid_with_wechat_is_warned_about(browser, awards: Till):
    shown = typed(browser, awards, extra_paid_with="wechat_oa")

    assert "Revenue Monster has probably given these points already" in shown


def test_the_same_award_again_is_warned_about(browser, awards: Till):
    award(awards)

    shown = typed(browser, awards, extra_paid_with="other")

    assert "Go on only if this is another purchase." in shown
