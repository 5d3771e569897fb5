"""The desk: large numbers for what needs somebody, how the connections are, and yesterday, in as few queries."""

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import escape

from portal.desk import yesterday
from portal.ledger import approvals, clock, health, operations, settling
from portal.ledger.models import Operation, operation_writer
from portal.mail.models import MailState, OutgoingMail, mail_writer
from portal.merchants import tenancy
from portal.merchants.models import Connection, Member
from portal.merchants.roles import Role
from portal.money import Money
from tests.conftest import make_person
from tests.ledger.conftest import paywizard, revenuemonster, secuconnect, till

__all__ = ["paywizard", "revenuemonster", "secuconnect", "till"]

DESK = "/m/baeckerei-jung/"


def numbers(page: str) -> dict[str, str]:
    """What stands below each large number, and the number."""
    return {
        " ".join(label.split()): number
        for number, label in re.findall(r"<strong>([^<]+)</strong>\s*<span>([^<]+)</span>", page)
    }


def becomes(operation: Operation, **values: object) -> None:
    operation_writer._open.set(True)
    try:
        Operation.objects.filter(pk=operation.pk).update(**values)
    finally:
        operation_writer._open.set(False)


def needs_a_person(till, number: str) -> Operation:
    asked = till.asks("pay", 500, number=number)
    for state in ("running", "checking", "needs_person"):
        becomes(asked, state=state, lease_until=timezone.now() if state == "running" else None)
    return asked


@pytest.fixture
def milan(arrange, jung):
    with arrange():
        return make_person("Milan", (jung, "manager"))


# ---- The numbers ----------------------------------------------------------------------------------------------
def test_nothing_waiting_is_said_with_calm_zeroes(till, signed_in, milan):
    page = signed_in(milan).get(DESK).text

    assert numbers(page) == {
        "need a person": "0",
        "are being checked": "0",
        "wait for a second person": "0",
        "mails failed": "0",
        "connections are paused": "0",
    }
    assert page.count("need-none") == 5


def test_each_number_opens_the_list_of_just_these(till, signed_in, milan, paywizard):
    needs_a_person(till, "914639258868501")
    needs_a_person(till, "914639258868502")
    checking = till.asks("pay", 500, number="914639258868503")
    becomes(checking, state="running", lease_until=timezone.now())
    becomes(checking, state="checking", lease_until=None)
    Connection.objects.filter(pk=paywizard.pk).update(paused_at=timezone.now(), pause_reason="key_refused")
    browser = signed_in(milan)

    page = browser.get(DESK).text
    assert numbers(page)["need a person"] == "2"
    assert numbers(page)["connection is paused"] == "1"

    urls = dict(re.findall(r'href="([^"]+)"><strong>[^<]+</strong>\s*<span>([^<]+)</span>', page))
    opened = {label: browser.get(url.replace("&amp;", "&")) for url, label in urls.items()}
    assert all(answer.status_code == 200 for answer in opened.values())
    assert opened["need a person"].text.count("/attention/") > 2
    listed = opened["is being checked"].text.split("<main")[1]
    assert listed.count(f"{DESK}operations/{checking.key}/") == 1
    assert "8501" not in listed
    assert "Nothing waits for a second person." in opened["wait for a second person"].text
    assert "8501" not in opened["wait for a second person"].text
    assert "Paused since" in opened["connection is paused"].text


@pytest.mark.parametrize(("role", "offered"), [("cashier", True), ("accountant", False), ("read_only", False)])
def test_whoever_may_ask_without_a_card_is_shown_the_way(
    arrange, jung, secuconnect, revenuemonster, signed_in, role, offered
):
    with arrange():
        person = make_person("Robin", (jung, role))
    browser = signed_in(person)

    page = browser.get(DESK).text
    for url in (f"{DESK}cards/new/", f"{DESK}codes/new/"):
        assert (f'href="{url}"' in page) is offered
        opened = browser.get(url)
        assert opened.status_code == (200 if offered else 403)
        if offered:
            [here] = re.findall(r'href="([^"]+)"[^>]* aria-current="page"', opened.text)[:1]
            assert here == DESK, "it belongs to the desk"


def test_the_list_of_paused_connections_has_no_others(till, signed_in, milan, paywizard, connection):
    Connection.objects.filter(pk=paywizard.pk).update(paused_at=timezone.now(), pause_reason="key_refused")

    page = signed_in(milan).get(f"{DESK}settings/?only=paused").text

    assert "PayWizard" in page
    assert "CardInquiry" not in page.split("<main")[1]


def test_what_waits_for_a_second_person_is_a_number_of_its_own(arrange, till, signed_in, milan, jung):
    from tests.ledger.test_approvals import limit

    limit(jung, Role.CASHIER, "pay", 100)
    wish = operations.Wish(verb="pay", card=till.card(), amount=Money(500, "USD"))
    approvals.request(member=till.member, key=uuid.uuid4(), wish=wish)
    browser = signed_in(milan)

    assert numbers(browser.get(DESK).text)["waits for a second person"] == "1"
    only = browser.get(f"{DESK}attention/?only=second").text
    assert "You can approve it." in only
    assert "Nothing unclear" not in only
    assert "You can approve it." not in browser.get(f"{DESK}attention/?only=unclear").text


def test_failed_mails_are_counted_and_listed(arrange, jung, signed_in, milan, connection):
    from django.core.mail import EmailMessage

    from portal.mail.backend import Outbox

    with tenancy.merchant(jung.pk):
        Outbox().send_messages([EmailMessage("Hello", "", to=["anna@example.com"])])
        mail_writer._open.set(True)
        now = timezone.now()
        OutgoingMail.objects.update(state=MailState.SENDING, lease_until=now, next_attempt_at=None, begun_at=now)
        OutgoingMail.objects.update(state=MailState.FAILED, lease_until=None, ended_at=now)
        mail_writer._open.set(False)

    assert numbers(signed_in(milan).get(DESK).text)["mail failed"] == "1"


@pytest.mark.parametrize(
    ("role", "seen"),
    [
        ("cashier", {"need a person", "are being checked", "wait for a second person"}),
        ("marketing", set()),
        ("accountant", {"need a person", "are being checked", "wait for a second person", "connections are paused"}),
        (
            "read_only",
            {
                "need a person",
                "are being checked",
                "wait for a second person",
                "mails failed",
                "connections are paused",
            },
        ),
    ],
)
def test_a_role_sees_the_numbers_of_what_it_may_open(arrange, jung, connection, signed_in, role, seen):
    with arrange():
        person = make_person("Somebody", (jung, role))
    page = signed_in(person).get(DESK).text

    assert set(numbers(page)) == seen
    assert ("Yesterday" in page) == (role in ("accountant", "read_only"))


# ---- Yesterday ------------------------------------------------------------------------------------------------
@pytest.fixture
def noon(monkeypatch) -> Iterator[datetime]:
    """It is and stays noon in Berlin, so that yesterday is not the day before while a test runs."""
    with timezone.override("Europe/Berlin"):
        found = timezone.localtime().replace(hour=12, minute=0)
        monkeypatch.setattr(timezone, "now", lambda: found)
        yield found


@pytest.fixture
def at_noon(till, noon):
    """Makes an operation of yesterday noon in Berlin, or `at` another time, and takes it to `state`."""

    yesterdays = noon - timedelta(days=1)

    def make(verb: str, amount: int, *, state: str = "done", at: datetime = yesterdays, number: str = "914639258868500",
             **more: object) -> Operation:  # fmt: skip
        with clock.set_to(lambda: at):
            asked = till.asks(verb, amount, number=number, **more)
        if state != "waiting":
            becomes(asked, state="running", lease_until=timezone.now())
            over = {"ended_at": at} if state in ("done", "refused", "failed") else {}
            becomes(asked, state=state, lease_until=None, provider_reference=f"r{asked.pk}", **over)
        asked.refresh_from_db()
        return asked

    return make


def test_yesterday_is_one_line_per_connection_with_money_points_and_what_did_not_work(at_noon, jung):
    paid = at_noon("pay", 12_50)
    at_noon("top_up", 20_00)
    at_noon("tip", 1_00, original=paid)
    at_noon("issue_points", 12)
    at_noon("redeem_points", 5)
    at_noon("pay", 80_00, state="refused")
    at_noon("pay", 1_00, state="checking", number="914639258868501")

    (line,) = yesterday.lines(jung, yesterday.date())

    assert (line.connection, line.done, line.refused, line.open) == ("PayWizard", 5, 1, 1)
    assert line.onto == ["$20.00"]
    assert line.taken == ["$13.50"]
    assert line.points == ["+12", "\N{MINUS SIGN}5"]


def test_a_void_goes_back_the_way_its_payment_came(at_noon, jung):
    paid = at_noon("pay", 12_50)
    at_noon("void", 12_50, original=paid)

    (line,) = yesterday.lines(jung, yesterday.date())

    assert line.taken == ["$12.50"]
    assert line.onto == ["$12.50"]


def test_a_day_is_the_merchants_from_midnight_to_midnight(at_noon, jung):
    at_noon("pay", 1_00, at=datetime(2026, 10, 23, 21, 59, 59, tzinfo=UTC))  # 23:59:59 of the 23rd in Berlin
    at_noon("pay", 2_00, at=datetime(2026, 10, 23, 22, 0, 0, tzinfo=UTC))
    at_noon("pay", 4_00, at=datetime(2026, 10, 25, 22, 59, 59, tzinfo=UTC))  # the day that is 25 hours long
    at_noon("pay", 8_00, at=datetime(2026, 10, 25, 23, 0, 0, tzinfo=UTC))

    found = {day: yesterday.lines(jung, date(2026, 10, day)) for day in (23, 24, 25, 26)}

    assert {day: line.taken for day, (line,) in found.items()} == {
        23: ["$1.00"],
        24: ["$2.00"],
        25: ["$4.00"],
        26: ["$8.00"],
    }


def test_the_page_names_the_day_and_the_zone(at_noon, jung, signed_in, milan):
    at_noon("pay", 12_50)
    browser = signed_in(milan)
    page = browser.get(DESK).text

    assert "$12.50" in page
    assert "in Europe/Berlin" in page
    (url,) = re.findall(r'href="([^"]+when=yesterday[^"]+)"', page)
    assert "$12.50" in browser.get(url.replace("&amp;", "&")).text


def test_nothing_of_another_merchants_day_is_told(at_noon, kauri):
    at_noon("pay", 12_50)

    with tenancy.merchant(kauri.pk):
        assert yesterday.lines(kauri, yesterday.date()) == []


def test_today_is_the_newest_of_the_day_and_leads_to_all(at_noon, noon, till, signed_in, milan):
    yesterdays = at_noon("pay", 1_00)
    with clock.set_to(lambda: noon):
        todays = [till.asks("pay", amount) for amount in (1_01, 2_02, 3_03, 4_04, 5_05, 6_06)]

    shown = signed_in(milan).get(DESK).text.split('id="today-title"')[1].split("</section>")[0]

    found = re.findall(r"/operations/([0-9a-f-]{36})/", shown)
    assert found == [str(each.key) for each in reversed(todays)][:5]
    assert str(yesterdays.key) not in shown
    assert "Alice" in shown
    assert f'href="{DESK}operations/"' in shown


# ---- Connections ----------------------------------------------------------------------------------------------
def test_a_connection_says_when_it_last_answered_well(till, signed_in, milan):
    browser = signed_in(milan)
    assert "none in the last 24 hours" in browser.get(DESK).text

    till.gets("pay", 500)
    health.fold()

    page = browser.get(DESK).text
    assert "none in the last 24 hours" not in page
    assert "Ready" in page


def test_a_persons_word_is_no_good_call(till, signed_in, milan, jung):
    asked = needs_a_person(till, "914639258868501")
    health.fold()
    before = health.of_connections(jung, days=1)[0].good_at
    member = Member.objects.select_related("merchant", "person").get(person=milan)
    settling.decide(asked, member=member, happened=True, reason="The customer showed the receipt.")

    health.fold()
    assert health.of_connections(jung, days=1)[0].good_at == before


def test_a_markup_in_a_connections_name_is_text(till, signed_in, milan, paywizard):
    Connection.objects.filter(pk=paywizard.pk).update(name="<b>Pay</b>")

    page = signed_in(milan).get(DESK).text

    assert escape("<b>Pay</b>") in page
    assert "<b>Pay" not in page


# ---- Cost -----------------------------------------------------------------------------------------------------
def test_the_desk_costs_no_query_per_row(at_noon, till, signed_in, milan, alice, jung, paywizard):
    browsers = [signed_in(milan), signed_in(alice)]

    def cost() -> list[int]:
        counts = []
        for browser in browsers:
            browser.get(DESK)
            with CaptureQueriesContext(database) as asked:
                assert browser.get(DESK).status_code == 200
            counts.append(len(asked))
        return counts

    at_noon("pay", 1_00)
    till.asks("pay", 1_00)
    empty = cost()
    for number in range(3):
        at_noon("pay", 1_00)
        needs_a_person(till, f"91463925886851{number}")
        copy = Connection.objects.get(pk=paywizard.pk)
        copy.pk, copy.key, copy.name = None, uuid.uuid4(), f"PayWizard {number}"
        copy.save()

    assert cost() == empty
    manager, cashier = empty
    assert manager <= 24
    assert cashier <= 16
