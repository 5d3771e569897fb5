"""The on-call page and its alerts: who sees them, what they say, when they begin and end."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from portal.desk import alerts, facts, on_call_words
from portal.desk.facts import MailGroup
from portal.desk.models import Alert, FailedTask, Process, alert_writer
from portal.desk.on_call_words import RUNBOOKS
from portal.desk.workers import Condition, Crew, Seen
from portal.ledger import cards
from portal.ledger.models import CallCount, Card, Operation, OperationState, Pulse, operation_writer
from portal.mail.models import OutgoingMail
from portal.merchants import pauses, tenancy
from tests.addresses import CARD, Shop

PAGE = "/on-call/"
pytestmark = pytest.mark.django_db


def look(*, later: float = 0) -> None:
    """Somebody looks round, `later` seconds from when they last did."""
    Pulse.objects.filter(name="look").update(at=timezone.now() - timedelta(days=1))
    alerts.look_round()


def kinds() -> set[str]:
    return {alert.kind for alert in Alert.objects.filter(resolved_at=None)}


def changed(operation: Operation, **values: object) -> None:
    """As no code of ours would."""
    operation_writer._open.set(True)
    try:
        Operation.objects.filter(pk=operation.pk).update(**values)
    finally:
        operation_writer._open.set(False)


def a_card(shop: Shop, digit: str) -> Card:
    return cards.card_of(shop.connection, CARD[:-1] + digit)


def ago(seconds: float) -> datetime:
    return timezone.now() - timedelta(seconds=seconds)


def hours_ago(hours: int) -> datetime:
    return (timezone.now() - timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)


def process(kind: str, name: str, **values: object) -> Process:
    """The row of one that is dead: nobody holds its lock."""
    moments = {"started_at": ago(600), "told_at": ago(90), "called_at": ago(90)}
    return Process.objects.create(kind=kind, name=name, pid=7, **{**moments, **values})


# ---- Who may, who may not -------------------------------------------------------------------------------------
def test_an_administrator_sees_that_all_is_well(ada):
    answer = ada.get(PAGE)

    assert answer.status_code == 200
    assert "No alert is open." in answer.text
    assert "There is no worker." in answer.text


def test_to_anybody_else_it_is_not_there(signed_in, olivia):
    assert signed_in(olivia).get(PAGE).status_code == 404
    assert Client(HTTP_HOST="localhost").get(PAGE).status_code == 302


def test_an_administrator_without_a_second_factor_is_led_to_one(ada, administrator):
    administrator.authenticator_set.all().delete()

    assert ada.get(PAGE).url == "/account/#second-factor"


# ---- What it shows --------------------------------------------------------------------------------------------
def test_what_waits_what_is_unclear_and_what_failed_is_shown_by_merchant_and_cause(ada, jung_shop: Shop, arrange):
    with arrange():
        assert jung_shop.unclear.state == OperationState.NEEDS_PERSON
    page = ada.get(PAGE).text

    assert re.search(r"<strong>1</strong> <span>need a person</span>", page)
    assert "Bäckerei Jung" in page
    assert ">PayWizard</td>" in page


def test_a_count_that_stops_says_that_there_may_be_more(ada, jung_shop: Shop, arrange, monkeypatch):
    with arrange():
        assert jung_shop.unclear.state == OperationState.NEEDS_PERSON
    for module in (facts, on_call_words):
        monkeypatch.setattr(module, "MOST", 1)
    page = ada.get(PAGE).text

    assert "<strong>at least 1</strong> <span>need a person</span>" in page
    assert '<td data-label="Operations">at least 1</td>' in page
    assert "<strong>0</strong>" in page


def test_an_alert_whose_count_stopped_says_so(monkeypatch):
    monkeypatch.setattr(on_call_words, "MOST", 10_000)
    alert = Alert(kind="mail-backlog", told={"count": 10_000}, since=ago(60), opened_at=ago(1))

    assert on_call_words.view(alert).title == "Mails that wait: at least 10,000"


def test_connections_stand_the_worst_first_with_their_state_and_their_thirty_days(
    ada, jung_shop: Shop, kauri_shop: Shop, arrange
):
    with arrange():
        well, paused = jung_shop.connection, kauri_shop.connection
        CallCount.objects.bulk_create(
            CallCount(
                merchant=well.merchant, connection=well, hour=hours_ago(back), cause=cause, bucket=10, calls=calls,
                last_at=hours_ago(back),
            )
            for back, cause, calls in ((1, "", 950), (1, "timeout", 50), (24 * 20, "", 7))
        )  # fmt: skip
    with tenancy.merchant(kauri_shop.merchant.pk):
        pauses.because_refused(paused, "key_refused")
    page = ada.get(PAGE).text

    listed = re.findall(r'<td class="lead" data-label="Connection"><a href="[^"]*">([^<]*)</a>', page)
    assert listed[:2] == [paused.name, well.name]
    assert "Paused since" in page
    assert "1,000 calls, wrong: 50 (5%), 95 of 100 within about 27 ms" in page
    assert "1,007 calls in 30 days, 50 went wrong. 1 day was bad." in page
    assert 'class="day-paused"' in page
    assert '<path class="day-bad"' in page


def test_a_refusal_leads_to_an_example(ada, jung_shop: Shop, arrange):
    with arrange():
        refused = {"ended_at": timezone.now(), "lease_until": None, "reason": "not_enough"}
        row = jung_shop._pays(a_card(jung_shop, "3"), running={"lease_until": timezone.now()}, refused=refused)
    page = ada.get(PAGE).text

    assert f'href="/on-call/operations/{row.pk}/"' in page


def test_the_numbers_are_asked_for_again_unless_they_are_held_still(ada):
    assert 'hx-trigger="every 15s"' in ada.get(PAGE).text
    assert "hx-trigger" not in ada.get(PAGE, {"still": "1"}).text
    fragment = ada.get(PAGE, headers={"HX-Request": "true"}).text
    assert fragment.strip().startswith('<section id="numbers"')
    assert "<html" not in fragment


# ---- Alerts begin and end -------------------------------------------------------------------------------------
def test_a_killed_worker_is_an_alert_with_what_who_since_when_and_what_to_do(ada):
    process("worker", "worker@shop", in_hand=3)
    page = ada.get(PAGE).text

    assert "worker@shop was killed" in page
    assert "It had 3 in hand when it last wrote." in page
    assert "Start it again, unless its supervisor does." in page
    assert "A payment may have stayed at Checking" in page
    assert Alert.objects.get(kind="worker-killed").since == Process.objects.get().told_at


@pytest.mark.parametrize("kind", RUNBOOKS)
def test_an_alert_names_its_runbook_as_the_operations_document_does(kind):
    told = {"name": "x", "names": ["x"], "merchant": "x", "reference": "x", "cause": "x", "place": "x"}
    numbers = dict.fromkeys(["count", "in_hand", "percent", "asked", "normal", "budget"], 1)
    view = on_call_words.view(Alert(pk=7, kind=kind, told=told | numbers, since=ago(60), opened_at=ago(1)))
    document = Path(settings.BASE_DIR, "docs", "operations.md").read_text()

    assert f"\n### {view.runbook}\n" in document
    assert f"- **Do** {view.first}\n" in document
    assert view.title
    assert "%(" not in view.title + view.who


def alerts_on(page: str) -> list[str]:
    return [each.partition("</article>")[0] for each in page.split("<article")[1:]]


def test_the_page_says_of_an_alert_what_who_since_when_and_what_to_do_first_before_all_else(ada, jung_shop: Shop):
    with tenancy.merchant(jung_shop.merchant.pk):
        pauses.because_refused(jung_shop.connection, "key_refused")
    [alert] = alerts_on(ada.get(PAGE).text)

    what, who = "PayWizard of Bäckerei Jung: credentials refused", "Bäckerei Jung; the connection is paused"
    order = [what, who, "Since <time", "<strong>First</strong> Tell the merchant", "Runbook", "It means"]
    assert sorted(order, key=alert.index) == order
    assert '<span lang="en">Credentials refused</span>' in alert
    assert "The same stands in docs/operations.md under “Credentials refused”." in alert


def test_of_several_alerts_the_runbooks_are_folded_so_that_all_are_seen_at_once(ada, jung_shop: Shop):
    with tenancy.merchant(jung_shop.merchant.pk):
        pauses.because_refused(jung_shop.connection, "key_refused")
    assert '<details class="more" open>' in ada.get(PAGE).text

    process("worker", "worker@shop")
    look()
    page = ada.get(PAGE).text
    assert len(alerts_on(page)) > 1
    assert '<details class="more" open>' not in page


def test_an_alert_is_opened_once_and_resolved_when_it_has_been_calm(settings):
    settings.ALERT_CALM_SECONDS = 0
    row = process("worker", "worker@shop")
    look()
    look()
    assert Alert.objects.filter(kind="worker-killed").count() == 1

    row.delete()
    look()
    assert "worker-killed" not in kinds()
    assert Alert.objects.get(kind="worker-killed").resolved_at is not None


def test_what_comes_and_goes_stays_one_alert(settings):
    settings.ALERT_CALM_SECONDS = 60
    row = process("worker", "worker@shop")
    look()
    row.delete()
    look()

    assert "worker-killed" in kinds()


def test_looking_again_at_once_looks_at_nothing():
    assert alerts.look_round() is not None
    assert alerts.look_round() is None


def test_nobody_at_work_and_a_silent_beat_are_found_without_any_worker(ada):
    process("worker", "worker@shop")
    process("beat", "beat@shop")
    ada.get(PAGE)

    assert kinds() == {"no-worker", "worker-killed", "beat-silent"}


def test_readyz_looks_too_since_it_is_asked_while_no_worker_could(client):
    process("worker", "worker@shop")
    client.get("/readyz", headers={"Host": "localhost"})

    assert "worker-killed" in kinds()


def test_refused_credentials_are_an_alert_until_somebody_resumes(settings, jung_shop: Shop, arrange):
    settings.ALERT_CALM_SECONDS = 0
    with tenancy.merchant(jung_shop.merchant.pk):
        pauses.because_refused(jung_shop.connection, "key_refused")
    look()
    alert = on_call_words.view(Alert.objects.get(kind="credentials-refused"))
    assert alert.title == "PayWizard of Bäckerei Jung: credentials refused"
    assert alert.who == "Bäckerei Jung; the connection is paused"

    with tenancy.merchant(jung_shop.merchant.pk):
        jung_shop.connection.refresh_from_db()
        pause = pauses.under_way(jung_shop.connection)
        pauses.end(pause, held=(None, None), person=jung_shop.owner.person)
    look()
    assert "credentials-refused" not in kinds()


def test_what_is_unclear_for_more_than_five_minutes_is_an_alert(jung_shop: Shop, arrange):
    with arrange():
        leased, left = {"lease_until": timezone.now()}, {"lease_until": None}
        row = jung_shop._pays(a_card(jung_shop, "3"), running=leased, checking=left)
        changed(row, begun_at=ago(settings.ALERT_UNCLEAR_SECONDS - 10), next_attempt_at=ago(-30))
    look()
    assert "unclear-too-long" not in kinds()

    with arrange():
        changed(row, begun_at=ago(settings.ALERT_UNCLEAR_SECONDS + 10))
    look()
    assert on_call_words.view(Alert.objects.get(kind="unclear-too-long")).who == "Merchants: Bäckerei Jung"


def test_operations_that_could_begin_and_do_not_are_an_alert_and_those_of_a_paused_connection_are_not(
    jung_shop: Shop, arrange
):
    with arrange():
        row = jung_shop._pays(a_card(jung_shop, "3"))
        changed(row, next_attempt_at=ago(settings.ALERT_WAITING_SECONDS + 5))
    look()
    assert "waiting-too-long" in kinds()

    Alert.objects.all()._raw_delete("default")
    with tenancy.merchant(jung_shop.merchant.pk):
        pauses.begin(jung_shop.connection, member=jung_shop.owner, reason="They repair it")
    look()
    assert "waiting-too-long" not in kinds()


def test_a_reference_of_the_provider_that_was_used_twice_is_an_alert(jung_shop: Shop, arrange):
    with arrange():
        done = {"ended_at": timezone.now(), "lease_until": None, "provider_reference": "twice"}
        for digit in "34":
            running = {"lease_until": timezone.now(), "begun_at": ago(5)}
            jung_shop._pays(a_card(jung_shop, digit), running=running, done=done)
    look()

    assert Alert.objects.get(kind="doubled-reference").told["reference"] == "twice"


def test_lost_answers_far_above_the_ordinary_are_an_alert_of_their_connection(jung_shop: Shop, arrange):
    with arrange():
        for digit in "345":
            leased, left = {"lease_until": timezone.now()}, {"lease_until": None}
            row = jung_shop._pays(a_card(jung_shop, digit), running=leased, checking=left)
            changed(row, begun_at=ago(60), next_attempt_at=ago(-60))
    look()

    told = Alert.objects.get(kind="unclear-share").told
    assert (told["percent"], told["count"], told["normal"]) == (100, 3, 0)


def test_a_task_that_broke_is_an_alert_without_what_it_was_about():
    FailedTask.objects.create(
        task="t", cause="KeyError", place="ledger/x.py:1", first_at=ago(9), last_at=ago(3), times=2
    )
    look()

    assert on_call_words.view(Alert.objects.get(kind="task-broke")).who == "t at ledger/x.py:1, 2 times"


def crew(*seen: Seen) -> Crew:
    beats = [each for each in seen if each.process.kind == "beat"]
    return Crew(workers=[each for each in seen if each not in beats], beats=beats)


def of_kind(kind: str, name: str, condition: Condition) -> Seen:
    moments = {"started_at": ago(600), "told_at": ago(90)}
    return Seen(process=Process(kind=kind, name=name, pid=7, **moments), condition=condition, since=ago(90))


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("worker-deaf", lambda seen: {"crew": crew(of_kind("worker", "w@shop", Condition.DEAF))}),
        (
            "beat-doubled",
            lambda seen: {"crew": crew(*(of_kind("beat", name, Condition.AT_WORK) for name in ("b@one", "b@two")))},
        ),
        ("mail-backlog", lambda seen: {"mails": [MailGroup("queued", "", 3, ago(settings.ALERT_MAIL_SECONDS + 5))]}),
        ("migrations-pending", lambda seen: {"database": seen.database._replace(pending=["ledger 0099_more"])}),
        (
            "old-transaction",
            lambda seen: {"database": seen.database._replace(oldest=ago(settings.ALERT_TRANSACTION_SECONDS + 5))},
        ),
    ],
)
def test_what_no_other_test_brings_about_is_an_alert_with_what_since_when_and_the_first_action(kind, what, everything):
    seen = replace(facts.gather(), crew=crew(), mails=[])
    seen = replace(seen, database=seen.database._replace(oldest=None))
    assert list(alerts.judged(seen)) == []

    [found] = [each for each in alerts.judged(replace(seen, **what(seen))) if each.kind == kind]

    alert = Alert(kind=kind, told=found.told, since=found.since, opened_at=seen.now)
    told = on_call_words.view(alert)
    assert told.title
    assert "%(" not in told.title + told.who
    assert told.first == str(RUNBOOKS[kind].act)
    assert found.since <= seen.now


# ---- Mail -----------------------------------------------------------------------------------------------------
def test_alerts_are_mailed_once_when_they_begin_and_once_when_they_end(settings, arrange):
    settings.ALERT_MAIL, settings.ALERT_CALM_SECONDS = ["oncall@example.com"], 0
    settings.EMAIL_BACKEND = "portal.mail.backend.Outbox"
    row = process("worker", "worker@shop")
    look()
    look()
    with arrange():
        assert OutgoingMail.objects.get().subject == "[Tillside] No worker does any work, and 2 more"

    row.delete()
    look()
    look()
    with arrange():
        last = OutgoingMail.objects.latest("pk")
        assert last.subject.startswith("[Tillside] Over: ")
        assert last.recipient == "oncall@example.com"


def test_the_mail_says_what_who_since_when_and_the_first_action():
    alert = Alert(
        kind="worker-deaf", about="w", told={"name": "worker@shop", "in_hand": 2}, since=ago(60), opened_at=ago(1)
    )
    subject, text = on_call_words.mail([alert], [])

    assert subject == "[Tillside] worker@shop is deaf"
    assert "It had 2 in hand when it last wrote." in text
    assert "Since " in text
    assert "First: Restart this worker." in text
    assert f"{settings.PUBLIC_URL}/on-call/" in text


# ---- Runbooks -------------------------------------------------------------------------------------------------
def test_the_document_holds_the_same_runbooks_as_the_page():
    document = Path(settings.BASE_DIR, "docs/operations.md").read_text()

    assert on_call_words.as_document() in document, "copy on_call_words.as_document() below ## Runbooks"


def test_every_alert_that_can_be_found_has_its_runbook_and_the_other_way_round():
    source = Path(alerts.__file__).read_text()
    found = set(re.findall(r'kind="([a-z-]+)"', source)) | set(re.findall(r'Condition\.\w+: "([a-z-]+)"', source))

    assert found == set(RUNBOOKS)


def test_only_their_module_writes_alerts():
    assert alert_writer.modules == ("portal.desk.alerts",)
