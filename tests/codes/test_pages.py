"""A code on screen: asked for in two beats, shown large, and what its page says in each state."""

import re
import uuid
from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse

from portal.codes import pages
from portal.ledger import balances, clock, codes, operations, settling
from portal.ledger.models import Approval, Code, Inquiry, Limit, Operation, OperationState, limit_writer
from portal.merchants import tenancy
from portal.merchants.models import Connection
from tests.conftest import make_person
from tests.ledger.conftest import Till
from tests.ledger.test_codes import CANCELLING, MAKING, cancels, claims, makes, wish, works

HERE, MAKE = "/m/baeckerei-jung/codes/new/", "/m/baeckerei-jung/codes/new/make/"
WAY = {"extra_paid_with": "other"}


@pytest.fixture
def browser(awards: Till, signed_in):
    return signed_in(awards.member.person)


def page_of(made: Operation) -> str:
    return reverse("code", args=["baeckerei-jung", made.key])


def cancel_page(made: Operation) -> str:
    return reverse("cancel_code", args=["baeckerei-jung", made.key])


def shows(page: str) -> bool:
    return "code-square" in page


# ---- Asked for ----------------------------------------------------------------------------------------------------
def test_a_code_is_asked_for_in_two_beats_and_shown(browser, awards: Till):
    assert HERE in browser.get("/m/baeckerei-jung/").text
    key = str(uuid.uuid4())
    asked = browser.post(HERE, {"key": key, "do": "issue_code", "amount": "12,50", **WAY})
    sentence = re.sub("<[^>]*>", "", asked.text)
    assert "Show a code at Revenue Monster. Whoever scans it first is given the points for a purchase of" in sentence
    assert 'name="minor" value="1250"' in asked.text
    assert not Operation.objects.exists()

    answer = browser.post(MAKE, {"key": key, "do": "issue_code", "minor": "1250", **WAY})

    made = Operation.objects.get()
    assert (answer.status_code, answer.url) == (303, page_of(made))
    assert not shows(browser.get(answer.url).text)
    works(made)
    shown = browser.get(answer.url).text
    assert shows(shown)
    assert "12 points" in shown
    address = Code.objects.get().address
    assert str(pages._drawn(address)) in shown
    assert address not in shown


def test_the_points_for_the_purchase_stand_beside_the_sentence_once_a_worker_has_asked(browser, awards: Till):
    asked = browser.post(HERE, {"key": str(uuid.uuid4()), "do": "issue_code", "amount": "12,50", **WAY}).text
    assert "Asking Revenue Monster how many points that is…" in asked
    (again,) = re.findall('hx-get="([^"]*prediction=[^"]*)"', asked)
    headers = {"HX-Request": "true", "HX-Target": "prediction"}
    assert "data-pending" in browser.get(unescape(again), headers=headers).text

    balances.answer(Inquiry.objects.get(purchase_minor=1250).pk)

    known = browser.get(unescape(again), headers=headers).text
    assert "That is about <strong>12 points</strong>, by the rule of Revenue Monster." in known
    assert "data-pending" not in known


def test_pressed_twice_one_code_is_made(browser, awards: Till):
    typed = {"key": str(uuid.uuid4()), "do": "issue_code", "minor": "1250", **WAY}

    first, second = (browser.post(MAKE, typed) for _ in range(2))

    assert first.url == second.url
    assert Operation.objects.count() == 1


def test_the_same_form_with_another_amount_shows_the_first_and_the_way_to_a_new_one(browser, awards: Till):
    typed = {"key": str(uuid.uuid4()), "do": "issue_code", **WAY}
    browser.post(MAKE, {**typed, "minor": "1250"})

    answer = browser.post(MAKE, {**typed, "minor": "9900"})

    assert answer.status_code == 409
    assert "Nothing new was asked." in answer.text
    again = browser.post(HERE, {**typed, "minor": "9900", "change": "1"})
    assert 'value="99.00"' in again.text


def test_what_is_wrong_is_said_beside_it_and_nothing_typed_is_lost(browser, awards: Till):
    answer = browser.post(HERE, {"key": str(uuid.uuid4()), "amount": "twelve", **WAY})
    assert answer.status_code == 422
    assert 'value="twelve"' in answer.text
    unsaid = browser.post(HERE, {"key": str(uuid.uuid4()), "amount": "12.50"})
    assert "Choose one of the list." in unsaid.text

    assert not Operation.objects.exists()


def test_whoever_paid_with_wechat_is_warned_about(browser, awards: Till):
    answer = browser.post(HERE, {"key": str(uuid.uuid4()), "amount": "12.50", "extra_paid_with": "wechat_oa"})

    assert "Revenue Monster has probably given these points already" in answer.text


def test_where_nobody_makes_codes_the_desk_offers_none(till: Till, signed_in):
    browser = signed_in(till.member.person)

    assert HERE not in browser.get("/m/baeckerei-jung/").text
    assert "None of your connections makes codes" in browser.get(HERE).text
    assert browser.get(f"{HERE}?connection={till.connection.key}").status_code == 404


def test_a_paused_connection_says_why_nobody_is_asked(browser, awards: Till):
    Connection.objects.filter(pk=awards.connection.pk).update(paused_at=clock.now(), pause_reason="key_refused")

    assert "does not accept its key" in browser.get(HERE).text
    answer = browser.post(MAKE, {"key": str(uuid.uuid4()), "do": "issue_code", "minor": "1250", **WAY})
    assert answer.status_code == 422
    assert "does not accept its key" in answer.text
    assert not Operation.objects.exists()


def test_above_the_limit_it_takes_a_second_person(browser, awards: Till, jung, signed_in):
    limit_writer._open.set(True)
    try:
        Limit.objects.create(merchant=jung, role="cashier", verb="award", most=1000)
    finally:
        limit_writer._open.set(False)
    milan = make_person("Milan", (jung, "manager"))
    typed = {"key": str(uuid.uuid4()), "do": "issue_code", **WAY}
    assert "Ask a second person" in browser.post(HERE, {**typed, "amount": "12.50"}).text

    answer = browser.post(MAKE, {**typed, "minor": "1250"})

    asked = Approval.objects.get()
    assert answer.url == reverse("approval", args=["baeckerei-jung", asked.key])
    assert "Make a code for a purchase of" in browser.get(answer.url).text
    other = signed_in(milan)
    assert "Alice wants to show a code that gives the points" in other.get(answer.url).text
    question = other.post(answer.url, {"verdict": "approve"}).text
    assert "Let Alice show a code of Revenue Monster" in question
    assert "Code" in other.get("/m/baeckerei-jung/attention/").text
    other.post(answer.url, {"verdict": "approve", "confirmed": "1"})
    made = works(Operation.objects.get())
    assert shows(browser.get(page_of(made)).text)


# ---- Its states ---------------------------------------------------------------------------------------------------
def test_an_open_code_looks_for_news_and_says_nothing_new_where_there_is_none(browser, awards: Till):
    made = makes(awards)
    first = browser.get(page_of(made)).text
    again = browser.get(page_of(made), headers={"HX-Request": "true", "HX-Target": "outcome"}).text

    assert "every 2s" in first
    (state,) = set(re.findall(r'data-state="([^"]*)"', first + again))
    assert state == "open-"
    assert "<html" not in again


def test_who_may_not_give_points_sees_its_state_and_not_the_code(awards: Till, jung, signed_in):
    made = makes(awards)
    for role in ("accountant", "read_only"):
        person = make_person(f"A-{role}", (jung, role))
        shown = signed_in(person).get(page_of(made)).text
        assert "Open" in shown
        assert not shows(shown)
        assert "Issuing and redeeming points is for" in shown
        assert cancel_page(made) not in shown


def test_without_the_providers_key_the_page_says_that_it_will_hear_nothing(browser, awards: Till):
    made = makes(awards)
    options = awards.connection.options | {"public_key": ""}
    Connection.objects.filter(pk=awards.connection.pk).update(options=options)

    assert "This page cannot say when it is claimed" in browser.get(page_of(made)).text


def test_a_purchase_that_gives_nothing_is_said(browser, awards: Till):
    assert "such a purchase gives no points" in browser.get(page_of(makes(awards, 50))).text


def test_a_claimed_code_is_shown_no_more_and_says_what_it_gave(browser, awards: Till):
    made = makes(awards)
    codes.claimed(made, points=12, at=clock.now())

    shown = browser.get(page_of(made)).text

    assert not shows(shown)
    assert "Somebody has claimed it: 12 points for a purchase of" in shown
    assert "data-pending" not in shown
    assert cancel_page(made) not in shown


def test_a_code_is_cancelled_after_a_sentence(browser, awards: Till):
    made = makes(awards)
    asked = browser.get(cancel_page(made)).text
    assert "Whoever scans it then is given nothing." in asked
    (key,) = re.findall(r'name="key" value="([0-9a-f-]{36})"', asked.partition("data-confirm")[2])
    assert Operation.objects.count() == 1

    answer = browser.post(cancel_page(made), {"key": key})

    assert (answer.status_code, answer.url) == (303, page_of(made))
    assert "Being cancelled" in browser.get(answer.url).text
    assert not shows(browser.get(answer.url).text)
    while operations.work():
        pass
    told = browser.get(answer.url).text
    assert "Cancelled" in told
    again = browser.post(cancel_page(made), {"key": key})
    assert again.url == answer.url
    assert Operation.objects.count() == 2


def test_that_a_claimed_code_cannot_be_cancelled_is_said_plainly(browser, awards: Till):
    made = makes(awards)
    claims(awards, made)
    cancels(awards, made)

    shown = browser.get(page_of(made)).text

    assert "Claimed" in shown
    assert "Somebody has claimed the points for a purchase of" in shown
    assert "LOYALTY_POINT_ALREADY_REDEEMED" in shown


def test_a_cancelling_that_was_refused_for_another_reason_leaves_it_open_and_says_so(browser, awards: Till):
    made = makes(awards)
    awards.arm("refuse", CANCELLING)
    refused = cancels(awards, made)
    assert refused.state == OperationState.REFUSED

    shown = browser.get(page_of(made)).text

    assert shows(shown)
    assert "It was not cancelled." in shown


def test_a_lost_cancelling_hides_the_code_and_leads_to_what_is_known(browser, awards: Till):
    made = makes(awards)
    awards.arm("cut", CANCELLING)
    lost = cancels(awards, made)
    shown = browser.get(page_of(made)).text
    assert "Perhaps cancelled" in shown
    assert not shows(shown)

    settling.settle_due()

    shown = browser.get(page_of(made)).text
    assert "An owner or manager has to find out whether it was cancelled." in shown
    assert reverse("operation", args=["baeckerei-jung", lost.key]) in shown


def test_the_case_of_a_lost_cancelling_is_told_without_a_card(awards: Till, jung, signed_in):
    made = makes(awards)
    awards.arm("cut", CANCELLING)
    lost = cancels(awards, made)
    settling.settle_due()

    manager = signed_in(make_person("Milan", (jung, "manager")))

    assert "Cancelling of a code" in manager.get("/m/baeckerei-jung/attention/").text
    case = manager.get(reverse("attention_case", args=["baeckerei-jung", lost.key])).text
    assert "The code may or may not have been cancelled." in case
    assert "nobody's points have moved yet" in case.replace("&#x27;", "'")


def test_a_lost_code_says_that_none_was_shown_and_offers_another(browser, awards: Till):
    awards.arm("cut", MAKING)
    made = makes(awards)

    shown = browser.get(page_of(made)).text

    assert "Not shown" in shown
    assert "Refused" not in shown
    assert "nobody has seen it, so nobody can claim it" in shown
    assert f'href="{HERE}?connection={awards.connection.key}"' in shown
    assert "data-pending" not in shown


def test_after_a_day_it_is_shown_no_more_and_may_be_cancelled(browser, awards: Till, settings):
    made = makes(awards)
    later = clock.now() + timedelta(hours=settings.CODE_HOURS)
    with clock.set_to(lambda: later):
        shown = browser.get(page_of(made)).text

    assert "Unknown" in shown
    assert not shows(shown)
    assert cancel_page(made) in shown


# ---- Its operations' own pages ------------------------------------------------------------------------------------
def test_the_operations_of_a_code_lead_to_it_and_speak_of_no_card(browser, awards: Till):
    made = makes(awards)
    gone = cancels(awards, made)
    for operation in (made, gone):
        for place in ("operation", "receipt", "evidence"):
            shown = browser.get(reverse(place, args=["baeckerei-jung", operation.key]))
            assert shown.status_code == 200
            assert "a new card" not in shown.text
        assert page_of(made) in browser.get(reverse("operation", args=["baeckerei-jung", operation.key])).text
    listed = browser.get("/m/baeckerei-jung/operations/").text
    assert reverse("operation", args=["baeckerei-jung", made.key]) in listed


# ---- Who may, and what is not there -------------------------------------------------------------------------------
def test_only_the_code_of_this_merchant_is_there(browser, awards: Till, arrange, kauri, signed_in):
    made = makes(awards)
    with arrange():
        ben = make_person("Ben", (kauri, "owner"))
    there = signed_in(ben)

    assert there.get(page_of(made)).status_code == 404
    assert there.get(page_of(made).replace("baeckerei-jung", "kauri-books")).status_code == 404
    assert there.post(cancel_page(made).replace("baeckerei-jung", "kauri-books")).status_code == 404
    assert browser.get(reverse("code", args=["baeckerei-jung", uuid.uuid4()])).status_code == 404
    with tenancy.merchant(awards.member.merchant_id):
        assert Operation.objects.count() == 1


def test_an_operation_that_made_no_code_has_no_such_page(browser, awards: Till):
    other = awards.gets("issue_points", 5, number="2777058682717858418")

    assert browser.get(page_of(other)).status_code == 404
    assert browser.get(cancel_page(other)).status_code == 404


def test_what_was_not_made_yet_cannot_be_cancelled(browser, awards: Till):
    made = operations.request(member=awards.member, key=uuid.uuid4(), wish=wish(awards))

    assert browser.post(cancel_page(made), {"key": str(uuid.uuid4())}).url == page_of(made)
    assert Operation.objects.count() == 1
