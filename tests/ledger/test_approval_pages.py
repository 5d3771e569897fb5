"""The pages of limits and approvals, as browsers without JavaScript use them."""

import re
import uuid
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import escape

from portal.ledger import approvals, clock, limits, operations
from portal.ledger.models import Approval, ApprovalState, Operation
from portal.merchants.models import AuditEntry, Member, Merchant
from portal.merchants.roles import Role
from portal.money import Money
from tests.conftest import make_connection, make_person
from tests.ledger.conftest import Till
from tests.ledger.test_approvals import limit
from tests.ledger.test_till import Browser, hidden

DESK = "/m/baeckerei-jung/"
LIMITS = f"{DESK}settings/limits/"


@pytest.fixture
def cautious(jung) -> Merchant:
    """Cashiers take up to 10.00 alone, managers up to 20.00."""
    limit(jung, Role.CASHIER, "pay", 10_00)
    limit(jung, Role.MANAGER, "pay", 20_00)
    return jung


@pytest.fixture
def browser(signed_in, alice, till: Till, cautious, olivia) -> Browser:
    return Browser(signed_in(alice), till)


@pytest.fixture
def manager(signed_in, jung, arrange) -> Client:
    with arrange():
        return signed_in(make_person("Milan", (jung, "manager")))


@pytest.fixture
def owner(signed_in, olivia) -> Client:
    return signed_in(olivia)


def asks(browser: Browser, amount: str = "12.50") -> str:
    """Both beats at the till; the page of the approval."""
    answer = browser.confirms(browser.fills_in("pay", amount=amount))
    assert answer.status_code == 303, answer.text
    assert "/approvals/" in answer["Location"]
    return answer["Location"]


def says(browser: Client, page: str, verdict: str, reason: str = "", **more: str) -> Any:
    return browser.post(page, {"verdict": verdict, "reason": reason, **more})


def plain(answer: Any) -> str:
    return " ".join(answer.text.split())


# ---- At the till --------------------------------------------------------------------------------------------------
def test_the_sentence_says_that_it_takes_a_second_person_before_anything_is_asked(browser):
    above, below = browser.fills_in("pay", amount="12.50"), browser.fills_in("pay", amount="10.00")

    assert "Alone you may move up to $10.00. A second person has to approve this first." in above.text
    assert "Ask a second person" in above.text
    assert "second person" not in below.text


def test_the_till_says_what_waits_for_whom_and_until_when(browser, manager):
    page = asks(browser)

    shown = plain(browser.client.get(page))
    until = Approval.objects.get().expires_at.astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M")
    assert "Needs a second person" in shown
    assert "Take $12.50 from •••• 8500." in shown
    assert f"Milan or Olivia can approve it until {until}. Nothing has been sent." in shown
    assert "Take it back" in shown
    assert 'value="approve"' not in shown
    assert "which somebody has to approve." in browser.sees(browser.page_of())


def test_approved_by_somebody_else_the_askers_page_goes_on_to_the_operation(browser, manager):
    page = asks(browser)
    waiting = browser.client.get(page, headers={"HX-Request": "true"})
    assert "data-pending" in waiting.text
    assert "<html" not in waiting.text

    queue = plain(manager.get(f"{DESK}attention/"))
    assert "Payment</a>" in queue
    assert "You can approve it." in queue
    assert '<span class="count">1</span>' in queue
    beat = says(manager, page, "approve", "He is a regular.")
    assert "Let Alice take $12.50 from ••••\u00a08500 at PayWizard." in beat.text
    assert not Operation.objects.exists()
    done = says(manager, page, "approve", "He is a regular.", confirmed="1")
    assert "Approved: Payment of $12.50 is on its way." in manager.get(done["Location"]).text
    while operations.work():
        pass

    operation = Operation.objects.get()
    went_on = browser.client.get(page, headers={"HX-Request": "true"})
    assert went_on["HX-Redirect"] == f"{DESK}operations/{operation.key}/"
    shown = plain(browser.client.get(page, follow=True))
    assert "Took $12.50 from •••• 8500." in shown
    assert "Milan approved it." in shown
    assert "He is a regular." in shown
    assert shown.index("Alice asked for it.") < shown.index("Milan approved it.")


def test_refused_the_asker_reads_by_whom_and_why_and_can_go_on(browser, manager):
    page = asks(browser)
    key = browser.draws("pay")["key"]

    assert "Do not let Alice take $12.50" in says(manager, page, "refuse").text
    says(manager, page, "refuse", "Not <b>today</b>.", confirmed="1")

    shown = browser.sees(page)
    assert "Milan said no. Nothing was sent." in shown
    assert "Not &lt;b&gt;today&lt;/b&gt;." in shown
    assert "data-pending" not in shown
    assert browser.draws("pay")["key"] != key


def test_taken_back_it_is_over_for_both(browser, manager):
    page = asks(browser)

    browser.client.post(f"{page}withdraw/")

    assert "Alice took it back. Nothing was sent." in browser.sees(page)
    late = says(manager, page, "approve", confirmed="1")
    assert "It is too late: this is over." in manager.get(late["Location"]).text
    assert not Operation.objects.exists()
    again = browser.client.post(f"{page}withdraw/", follow=True)
    assert "It is too late to take it back." in again.text


def test_expired_it_says_so_before_any_sweep(browser, manager):
    with clock.set_to(lambda: timezone.now() - timedelta(hours=1)):
        page = asks(browser)

    for seen_by in (browser.client, manager):
        shown = seen_by.get(page).text
        assert "Expired" in shown
        assert "Nobody approved it until" in shown
        assert 'value="approve"' not in shown
        assert "Take it back" not in shown
    late = says(manager, page, "approve", confirmed="1")
    assert "It is too late: this is over." in manager.get(late["Location"]).text
    assert "Needs a second person" not in manager.get(f"{DESK}attention/").text


def test_pressed_twice_and_reloaded_it_is_one(browser):
    beat = browser.fills_in("pay", amount="12.50")

    first, second = browser.confirms(beat), browser.confirms(beat)

    assert first["Location"] == second["Location"]
    assert Approval.objects.count() == 1


def test_the_form_drawn_again_while_it_waits_asks_for_nothing_new(browser):
    asks(browser)
    again = browser.confirms(browser.fills_in("pay", amount="5.00"))

    assert again.status_code == 409
    assert "This form was sent before, with other content." in again.text
    assert "Take $12.50 from" in again.text
    new = browser.client.post(browser.page_of(), {**hidden(again.text, f'action="{browser.page_of()}"'), "change": "1"})
    assert 'value="5.00"' in new.text
    assert hidden(new.text, "data-first-beat")["key"] != str(Approval.objects.get().key)


def test_where_nobody_may_approve_the_form_says_so_and_keeps_what_was_typed(browser, jung):
    limit(jung, Role.OWNER, "pay", 1)

    answer = browser.confirms(browser.fills_in("pay", amount="12.50"))

    assert answer.status_code == 422
    assert "nobody else here may approve so much" in answer.text
    assert 'value="12.50"' in answer.text


# ---- Who may, who may not, and what if it is not there --------------------------------------------------------
@pytest.mark.parametrize("role", Role)
def test_the_approvals_page_is_for_those_who_see_operations_and_its_buttons_for_those_whose_limit_covers_it(
    role, browser, signed_in, jung, arrange
):
    page = asks(browser)
    with arrange():
        somebody = signed_in(make_person("Somebody", (jung, role)))

    shown = somebody.get(page)
    assert shown.status_code == (403 if role == Role.MARKETING else 200)
    decides = role in (Role.OWNER, Role.MANAGER)
    assert ('value="approve"' in shown.text) == decides
    for verdict in ("approve", "refuse"):
        assert says(somebody, page, verdict).status_code == (200 if decides else 403)


def test_a_manager_above_whose_limit_it_is_reads_so(browser, manager):
    page = asks(browser, "25.00")

    denied = says(manager, page, "approve", confirmed="1")

    assert denied.status_code == 403
    assert "It is above your own limit, too." in denied.text
    assert not Operation.objects.exists()


def test_only_the_asker_takes_it_back(browser, manager):
    page = asks(browser)

    answer = manager.post(f"{page}withdraw/", follow=True)

    assert "Only Alice can take it back." in answer.text
    assert Approval.objects.get().state == ApprovalState.PENDING


def test_another_merchants_approval_looks_like_one_that_never_was(browser, signed_in, ben, kauri, arrange):
    key = asks(browser).split("/")[-2]
    with arrange():
        make_connection(kauri)
    theirs = signed_in(ben)

    foreign = theirs.get(f"/m/kauri-books/approvals/{key}/")
    missing = theirs.get(f"/m/kauri-books/approvals/{uuid.uuid4()}/")

    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert foreign.text.replace(foreign["X-Request-ID"], "") == missing.text.replace(missing["X-Request-ID"], "")


@pytest.mark.parametrize(
    ("reason", "said"),
    [("x" * 501, "at most 500"), ("a\0b", "Null characters"), ("x" * 100_000, "at most 500")],
)
def test_a_reason_that_cannot_be_kept_is_refused_beside_the_field_and_kept(browser, manager, reason, said):
    page = asks(browser)

    answer = says(manager, page, "approve", reason, confirmed="1")

    assert answer.status_code == 422
    assert said in answer.text
    assert not Operation.objects.exists()


def test_what_became_impossible_is_said_and_nothing_is_lost(browser, manager, till, arrange, alice):
    page = asks(browser)
    with arrange():
        Member.objects.filter(person=alice).update(role=Role.MARKETING)

    answer = says(manager, page, "approve", "Fine by me.", confirmed="1")

    assert answer.status_code == 422
    assert "Who asked for it may not any more. Nothing was sent." in answer.text
    assert "Fine by me." in answer.text


def test_the_queue_asks_the_database_as_often_for_many_as_for_few(browser, manager):
    manager.get(f"{DESK}attention/")
    counts = []
    for _ in range(2):
        for number in range(3):
            approvals.request(member=browser.till.member, key=uuid.uuid4(), wish=_wish(browser.till, 12_50 + number))
        with CaptureQueriesContext(connection) as asked:
            manager.get(f"{DESK}attention/")
        counts.append(len(asked))

    assert counts[0] == counts[1]


def _wish(till: Till, amount: int) -> operations.Wish:
    return operations.Wish(verb="pay", card=till.card(), amount=Money(amount, "USD"))


# ---- The page of limits -------------------------------------------------------------------------------------------
def fills_in(client: Client, **typed: str) -> Any:
    """Post the page of limits as it is drawn, but for what is typed."""
    page = client.get(LIMITS).text
    drawn = dict(re.findall(r'<input type="(?:text|hidden)" name="([^"]+)"(?: value="([^"]*)")?', page))
    drawn.pop("csrfmiddlewaretoken", None)
    return client.post(LIMITS, {**drawn, **typed})


@pytest.mark.parametrize("role", Role)
def test_limits_are_the_owners(role, signed_in, jung, arrange):
    with arrange():
        somebody = signed_in(make_person("Somebody", (jung, role)))

    assert somebody.get(LIMITS).status_code == (200 if role == Role.OWNER else 403)
    assert somebody.post(LIMITS).status_code == (422 if role == Role.OWNER else 403)


def test_each_change_stands_in_the_trail_before_and_after(owner, cautious, olivia, arrange):
    typed = {"pay-cashier": "20", "pay-manager": "", "issue_points-cashier": "50", "two": "100,00", "two_points": "7"}
    answer = fills_in(owner, **typed)

    assert answer.status_code == 302
    assert "5 limits were changed." in owner.get(LIMITS).text
    with arrange():
        assert limits.table(cautious) == {("cashier", "pay"): 20_00, ("cashier", "issue_points"): 50}
        cautious.refresh_from_db()
        assert (cautious.second_person_from, cautious.second_person_from_points) == (100_00, 7)
        lines = AuditEntry.objects.filter(verb="limit changed", person=olivia).values_list("subject", "detail")
        assert dict(lines) == {
            "cashier: pay": {"before": "10.00 EUR", "after": "20.00 EUR"},
            "manager: pay": {"before": "20.00 EUR", "after": None},
            "cashier: issue_points": {"before": None, "after": "50"},
            "second person": {"before": None, "after": "100.00 EUR"},
            "second person: points": {"before": None, "after": "7"},
        }


def test_saved_as_drawn_nothing_is_changed(owner, cautious, arrange):
    assert "Nothing was changed." in owner.get(fills_in(owner)["Location"]).text
    with arrange():
        assert not AuditEntry.objects.filter(verb="limit changed").exists()


def test_nought_means_never_alone(owner, browser, jung, arrange):
    fills_in(owner, **{"pay-cashier": "0"})

    assert "/approvals/" in browser.confirms(browser.fills_in("pay", amount="0.01"))["Location"]


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("pay-cashier", "-5", "more than nothing"),
        ("pay-cashier", "1,234", "two ways"),
        ("pay-cashier", "٤٢", "Type an amount such as"),
        ("pay-cashier", "99999999999", "too large"),
        ("pay-cashier", "1" * 41, "at most 40"),
        ("pay-cashier", "1\0", "Null characters"),
        ("pay-cashier", "<b>", "Type an amount such as"),
        ("issue_points-cashier", "1.5", "whole number"),
        ("issue_points-cashier", "2000000000", "too many points"),
        ("two", "NaN", "Type an amount such as"),
        ("two_points", "1e9", "whole number"),
    ],
)
def test_what_is_no_limit_is_refused_beside_its_field_and_kept(owner, cautious, arrange, field, typed, said):
    answer = fills_in(owner, **{field: typed, "pay-manager": "30"})

    assert answer.status_code == 422
    [beside] = re.findall(rf'id="id_{field}_error">(.*?)</p>', answer.text, re.DOTALL)
    assert said in beside
    assert f'value="{escape(typed)}"' in answer.text
    with arrange():
        assert limits.table(cautious)[("manager", "pay")] == 20_00


def test_limits_that_changed_meanwhile_are_not_overwritten(owner, cautious, arrange):
    drawn = hidden(owner.get(LIMITS).text, 'class="limits"')
    limit(cautious, Role.CASHIER, "pay", 5_00)

    answer = owner.post(LIMITS, {**drawn, "pay-cashier": "99"})

    assert answer.status_code == 422
    assert "Somebody changed the limits meanwhile." in answer.text
    assert 'value="99"' in answer.text
    with arrange():
        assert limits.table(cautious)[("cashier", "pay")] == 5_00


def test_settings_show_the_way_to_those_who_may(owner, manager):
    assert LIMITS in owner.get(f"{DESK}settings/").text
    assert LIMITS not in manager.get(f"{DESK}settings/").text
