"""An incident taken away: what happened between two moments, by reference only."""

import csv
import io
import re
import time
from datetime import datetime, timedelta

import pytest
from django.db import connection as database
from django.utils import timezone

from portal.desk import incident
from portal.desk.models import Alert, alert_writer
from portal.ledger.models import Operation
from portal.merchants import pauses, tenancy
from portal.merchants.models import AuditEntry, Merchant
from tests.addresses import Shop
from tests.desk.test_on_call import a_card, ago, changed
from tests.desk.test_on_call_plans import _house, house

__all__ = ["_house", "house"]
PAGE = "/on-call/incident/"
pytestmark = pytest.mark.django_db


def paid(shop: Shop, digit: str, *, begun_at: datetime, **ended: object) -> Operation:
    """A payment whose end nobody knew at first."""
    made = shop._pays(a_card(shop, digit), running={"lease_until": timezone.now()}, checking={"lease_until": None})
    changed(made, begun_at=begun_at)
    if ended:
        changed(made, **ended)
    made.refresh_from_db()
    return made


@pytest.fixture
def night(jung_shop: Shop, arrange) -> dict[str, Operation]:
    """Three payments whose answers got lost an hour ago, what became of them, and one of last week."""
    with arrange():
        return {
            "open": paid(jung_shop, "3", begun_at=ago(3600)),
            "done": paid(
                jung_shop, "4", begun_at=ago(3500), state="done", settled_by="balance", ended_at=ago(3000),
                provider_reference="=4711",
            ),
            "refused": paid(jung_shop, "5", begun_at=ago(3400), state="refused", settled_by="balance", ended_at=ago(9)),
            "older": paid(jung_shop, "6", begun_at=ago(8 * 86400)),
        }  # fmt: skip


@pytest.fixture
def alert(db) -> Alert:
    alert_writer._open.set(True)
    try:
        return Alert.objects.create(
            kind="unclear-too-long",
            told={"count": 3, "names": ["Bäckerei Jung"]},
            since=ago(3300),
            opened_at=ago(3200),
            seen_at=ago(100),
            resolved_at=ago(60),
        )
    finally:
        alert_writer._open.set(False)


def span(since: float, until: float) -> dict[str, str]:
    """Seconds ago, as a form has them."""
    return {"since": f"{ago(since):%Y-%m-%dT%H:%M}", "until": f"{ago(until):%Y-%m-%dT%H:%M}"}


def last_day() -> dict[str, str]:
    return span(86400, -60)


# ---- Who ------------------------------------------------------------------------------------------------------
def test_to_anybody_but_administrators_it_is_not_there(signed_in, olivia):
    assert signed_in(olivia).get(PAGE).status_code == 404
    assert signed_in(olivia).post(PAGE, last_day()).status_code == 404


def test_a_session_left_open_takes_nothing_away(ada, night, arrange):
    session = ada.session
    session["account_authentication_methods"] = [{"method": "mfa", "at": time.time() - 400}]
    session.save()

    answer = ada.post(PAGE, last_day() | {"as": "report"})

    assert answer.status_code == 302
    assert "prove" in answer["Location"]
    with arrange():
        assert not AuditEntry.objects.filter(verb="incident exported").exists()


# ---- What -----------------------------------------------------------------------------------------------------
def test_the_report_says_what_happened_whom_it_touched_and_what_became_of_the_money(ada, night, alert, jung_shop):
    with tenancy.merchant(jung_shop.merchant.pk):
        pauses.because_refused(jung_shop.connection, "key_refused")

    answer = ada.post(PAGE, last_day() | {"as": "report"})
    report = answer.text

    assert answer["Content-Type"] == "text/markdown; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="incident-[0-9-]+\.md"', answer["Content-Disposition"])
    assert "Of 3 operations nobody knew the end at first." in report
    assert "Alert: Operations at Checking for too long: 3 | Merchants: Bäckerei Jung |" in report
    assert "Over: Operations at Checking for too long: 3" in report
    assert "Paused: PayWizard of Bäckerei Jung" in report
    assert "| Bäckerei Jung | PayWizard of Bäckerei Jung | 3 | 3 | 1 | 1 | 1 | 0 |" in report
    assert "| €30.00 | €10.00 | €10.00 | €10.00 |" in report
    for name, row in night.items():
        assert (row.reference in report) == (name != "older"), name


def test_the_table_holds_each_operation_and_is_safe_in_a_spreadsheet(ada, night):
    answer = ada.post(PAGE, last_day() | {"as": "operations"})
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))

    assert [row["reference"] for row in rows] == [night[name].reference for name in ("open", "done", "refused")]
    assert [row["state"] for row in rows] == ["checking", "done", "refused"]
    assert (rows[1]["amount"], rows[1]["currency"], rows[1]["provider_reference"]) == ("10.00", "EUR", "'=4711")


def test_no_card_no_person_and_nothing_typed_is_in_it(ada, night, alert, jung_shop, arrange):
    with tenancy.merchant(jung_shop.merchant.pk):
        pauses.begin(jung_shop.connection, member=jung_shop.owner, reason="Ask Karl Vogel, +49 30 1234567")
    with arrange():
        changed(night["open"], state="needs_person", provider_text="Karl Vogel paid cash")
        last_four = {row.card.last_four for row in night.values()}

    both = "".join(ada.post(PAGE, last_day() | {"as": kind}).text for kind in ("report", "operations"))

    assert "by a person" in both
    for secret in ("Karl", "1234567", jung_shop.owner.person.name, jung_shop.owner.person.email, "914639"):
        assert secret not in both
    cells = {cell.strip(' "') for cell in re.findall(r"[^|,\n]+", both)}
    assert cells.isdisjoint(last_four)


def test_a_merchants_name_is_text_and_no_link_in_the_report(ada, night, jung_shop, arrange):
    with arrange():
        Merchant.objects.filter(pk=jung_shop.merchant.pk).update(name="[Jung](https://x.example) <b>|")

    report = ada.post(PAGE, last_day() | {"as": "report"}).text

    assert r"\[Jung\](https://x.example) \<b\>\|" in report


def test_that_it_was_taken_stands_in_the_trail_and_in_that_of_the_merchants_it_tells_of(ada, night, jung_shop, arrange):
    ada.post(PAGE, last_day() | {"as": "report"})

    with arrange():
        line = AuditEntry.objects.get(verb="incident exported")
        assert (line.merchant, line.person.name, line.detail) == (None, "Ada", {"rows": 3})
        looked = AuditEntry.objects.get(verb="administrator looked", merchant=jung_shop.merchant)
        assert looked.subject == "incident"


# ---- The page -------------------------------------------------------------------------------------------------
def test_the_page_shows_the_last_day_and_from_an_alert_what_led_to_it(ada, night, alert):
    page = ada.get(PAGE).text
    assert "Of 3 operations nobody knew the end at first." in page
    assert "Bäckerei Jung" in page

    about = ada.get(PAGE, {"alert": alert.pk}).text
    assert "Alert: Operations at Checking for too long: 3" in about
    assert f'value="{timezone.localtime(alert.since) - timedelta(minutes=15):%Y-%m-%dT%H:%M}"' in about


@pytest.mark.parametrize("number", ["", "x", "999999", "9" * 40, "-1", "٣"])
def test_an_alert_that_is_not_there_is_the_last_day(ada, number):
    assert ada.get(PAGE, {"alert": number}).status_code == 200


@pytest.mark.parametrize(
    ("days", "error"),
    [
        ((0, 1), "It ends after it began."),
        ((9, 0), "Take seven days at most."),
    ],
)
def test_a_span_that_is_none_is_said_and_nothing_taken(ada, days, error, arrange):
    typed = span(days[0] * 86400, days[1] * 86400)
    for answer in (ada.get(PAGE, typed), ada.post(PAGE, typed | {"as": "report"})):
        assert answer.status_code == 422
        assert error in answer.text
    assert "Type a day and a time." in ada.get(PAGE, {"since": "yesterday", "until": ""}).text
    with arrange():
        assert not AuditEntry.objects.filter(verb="incident exported").exists()


# ---- In a full house ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["_AFFECTED", "_SUMS", "_LOST"])
def test_it_reads_only_what_was_begun_in_the_span(name, house):
    values = {"since": ago(86400), "until": timezone.now()}
    with database.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {getattr(incident, name)}", values)
        found = "\n".join(row[0] for row in cursor.fetchall())

    assert "operation_begun" in found, found
    assert "Seq Scan on ledger_operation" not in found, found
