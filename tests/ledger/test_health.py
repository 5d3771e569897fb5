"""How connections are: every call counted once, whatever commits late, and what the page makes of it."""

import os
import random
import threading
import time
import uuid
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from django.conf import settings as site
from django.db import connection as database
from django.db import connections as databases
from django.utils import timezone

from portal.ledger import balances, calls, health, holding
from portal.ledger.models import CallCount, Exchange, Inquiry, Operation, inquiry_writer
from portal.merchants import connections, pauses, tenancy
from portal.merchants.models import Connection, Member
from portal.money import Money
from tests.conftest import make_connection, make_person
from tests.ledger.conftest import Till

HEALTH = "/m/baeckerei-jung/settings/connections/{}/health/"


def counted() -> int:
    with tenancy.every_merchant("a test looks"):
        return sum(CallCount.objects.values_list("calls", flat=True))


def of(till: Till) -> health.Health:
    return next(each for each in health.of_connections(till.member.merchant) if each.connection == till.connection)


# ---- Exactly once ---------------------------------------------------------------------------------------------
def test_every_exchange_is_counted_once_however_often_it_is_folded(till: Till):
    till.gets("pay", 1_00)
    till.gets("pay", 1_00, number="914639258868504")

    for _ in range(3):
        health.fold()

    assert counted() == Exchange.objects.count() == 6


def test_a_fold_that_breaks_leaves_nothing_and_the_next_one_counts_it(till: Till, monkeypatch):
    health.fold()
    till.gets("pay", 1_00)

    def dies(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as broken:
        broken.setattr(health.Folded, "save", dies)
        with pytest.raises(RuntimeError):
            health.fold()
    assert counted() == 0

    health.fold()
    assert counted() == 3


_EXCHANGE = """
INSERT INTO ledger_exchange (merchant_id, operation_id, purpose, attempt, at, method, url, request_headers,
    request_body, response_headers, response_body, connect_ms, total_ms, reused, reason)
VALUES (%s, %s, 'call', 1, now(), 'POST', '', '[]', '', '[]', '', 1, %s, false, '') RETURNING id
"""


@pytest.fixture
def asked(till_for_good: Till) -> Operation:
    """An operation, committed, to which calls of any transaction can be added."""
    with tenancy.merchant(till_for_good.member.merchant_id):
        made = till_for_good.asks("pay", 1_00)
    health.fold()  # the demo's own, and what tests before left
    return made


def session() -> psycopg.Connection:
    made = psycopg.connect(os.environ["DATABASE_URL"])
    made.execute("SELECT set_config('tillside.every', 'on', false)")
    made.commit()
    return made


def test_a_call_that_commits_after_a_later_one_was_seen_is_not_lost(asked, monkeypatch):
    monkeypatch.setattr(health, "_PATIENCE", 0.2)
    before = counted()
    with session() as late, session() as early:
        [[late_id]] = late.execute(_EXCHANGE, [asked.merchant_id, asked.pk, 10]).fetchall()
        [[early_id]] = early.execute(_EXCHANGE, [asked.merchant_id, asked.pk, 10]).fetchall()
        early.commit()
        assert late_id < early_id

        health.fold()
        assert counted() == before, "nothing is counted past somebody who may still commit"
        late.commit()

    health.fold()
    assert counted() == before + 2


def test_a_call_that_is_rolled_back_is_waited_for_and_never_counted(asked):
    before = counted()
    with session() as other:
        other.execute(_EXCHANGE, [asked.merchant_id, asked.pk, 10])
        other.rollback()
        other.execute(_EXCHANGE, [asked.merchant_id, asked.pk, 10])
        other.commit()

    health.fold()
    assert counted() == before + 1


def test_folding_while_many_write_and_commit_in_any_order_counts_each_once(asked):
    before, written, dice = counted(), [], random.Random(7)

    def writes(number: int) -> None:
        with session() as mine:
            for _ in range(25):
                mine.execute(_EXCHANGE, [asked.merchant_id, asked.pk, dice.randint(1, 5000)])
                time.sleep(dice.random() * 0.02)
                if dice.random() < 0.2:
                    mine.rollback()
                else:
                    mine.commit()
                    written.append(number)

    def folds() -> None:
        while any(each.is_alive() for each in writers):
            health.fold()
        databases.close_all()

    writers = [threading.Thread(target=writes, args=[number]) for number in range(6)]
    folders = [threading.Thread(target=folds) for _ in range(2)]
    for each in [*writers, *folders]:
        each.start()
    for each in [*writers, *folders]:
        each.join()
    health.fold()

    assert len(written) > 80
    assert counted() == before + len(written)


def test_a_look_up_is_counted_once_before_and_after_it_is_erased(till: Till, settings):
    settings.LOOK_UP_KEPT_SECONDS = 60
    look_up = balances.open_look_up(
        member=till.member, key=uuid.uuid4(), connection=till.connection, number="914639258868500", client=None
    )
    assert of(till).calls == 0, "nothing was asked yet"
    balances.answer(look_up.pk)
    assert (of(till).calls, counted()) == (1, 0)

    before = inquiry_writer._open.set(True)
    Inquiry.objects.update(asked_at=timezone.now() - timedelta(seconds=61))
    inquiry_writer._open.reset(before)
    balances.sweep()
    balances.sweep()

    assert Inquiry.objects.count() == 0
    assert (of(till).calls, counted()) == (1, 1)


def test_what_is_too_old_is_forgotten(till: Till):
    till.gets("pay", 1_00)
    health.fold()
    CallCount.objects.update(hour=timezone.now() - timedelta(days=site.HEALTH_KEPT_DAYS + 1))

    health.fold()

    assert counted() == 0


# ---- What it says -------------------------------------------------------------------------------------------------
def test_a_no_is_an_answer_and_a_lost_one_is_not(till: Till):
    till.gets("pay", 80_00, number="914639258868503")  # not enough
    till.arm("timeout_after", "giftTransaction", seconds=3)
    unclear = till.gets("pay", 12_50)
    health.fold()

    told = of(till)
    assert list(told.causes) == [("timeout", 1)]
    assert told.calls == Exchange.objects.count()
    assert told.good_at is not None
    assert (told.unclear, told.unclear_money) == (1, Money(12_50, "USD"))
    assert CallCount.objects.get(cause="timeout").example == unclear.pk


def test_a_refused_key_and_trouble_of_the_providers_are_causes(till: Till):
    Connection.objects.filter(pk=till.connection.pk).update(reads_balance_first=False)
    till.arm("error_after", "giftTransaction")
    till.gets("pay", 1_00)
    till.gets("pay", 1_00, number="914639258868528")  # pauses the connection
    health.fold()

    assert dict(of(till).causes) == {"server_error": 1, "key_refused": 1}


@pytest.mark.django_db
def test_lengths_are_right_to_within_a_fifth():
    for ms in (1, 2, 9, 40, 150, 999, 1000, 7321, 60_000):
        with database.cursor() as cursor:
            cursor.execute(f"SELECT {health._BUCKET.format(ms='%s')}", [ms])
            [bucket] = cursor.fetchone()
        assert health.length({bucket: 3}, 0.95) == pytest.approx(ms, rel=0.2, abs=1)


def test_of_a_hundred_the_ninety_fifth_counts():
    assert health.length({10: 95, 20: 5}, 0.95) == health.length({10: 1}, 0.5)
    assert health.length({10: 94, 20: 6}, 0.95) == health.length({20: 1}, 0.5)
    assert health.length({}, 0.5) is None


def test_all_connections_are_told_in_one_query_and_nobody_elses(till: Till, kauri, arrange, django_assert_num_queries):
    with arrange():
        make_connection(kauri)
        for number in range(5):
            other = make_connection(till.member.merchant)
            other.name = f"Other {number}"
            other.save()

    with django_assert_num_queries(1):
        told = health.of_connections(till.member.merchant)
    assert len(told) == 6
    with arrange():
        assert len(health.of_everybody()) == 7


# ---- The page -------------------------------------------------------------------------------------------------
def test_the_page_tells_it_and_leads_to_an_example_and_the_pauses(till: Till, signed_in, jung):
    milan = Member.objects.select_related("merchant", "person").get(person=make_person("Milan", (jung, "manager")))
    till.arm("timeout_after", "giftTransaction", seconds=3)
    unclear = till.gets("pay", 12_50)
    health.fold()
    pause = pauses.begin(till.connection, member=milan, reason="Being serviced")
    holding.resume(pause, member=milan)

    page = signed_in(milan.person).get(HEALTH.format(till.connection.key)).text

    for told in ("The card company did not answer in time.", "$12.50", "went wrong", "Being serviced"):
        assert told in page
    assert f"/operations/{unclear.key}/" in page
    assert f"/pauses/{pause.key}/" in page
    assert page.count('<rect class="day ') == 30


def test_a_connection_that_was_never_asked_says_so(till: Till, signed_in, olivia):
    page = signed_in(olivia).get(HEALTH.format(till.connection.key)).text

    assert "No call in the last 30 days." in page
    assert "none in 30 days" in page


# ---- What ends ------------------------------------------------------------------------------------------------
def test_what_ends_soon_stands_wherever_the_connections_state_does(till: Till, signed_in, olivia):
    connections.note_certificate(till.connection, timezone.now() + timedelta(days=5))
    Connection.objects.filter(pk=till.connection.pk).update(credentials_until=timezone.localdate() - timedelta(days=1))
    office = signed_in(olivia)

    settings, page = (
        office.get(path).text for path in ("/m/baeckerei-jung/settings/", HEALTH.format(till.connection.key))
    )

    assert "Its credentials served until" in settings
    assert "Its credentials served until" in page
    assert "The provider&#x27;s certificate ends on" in page


def test_what_ends_later_is_told_on_the_page_and_nowhere_else(till: Till, signed_in, olivia):
    later = timezone.now() + connections.ENDS_SOON + timedelta(days=2)
    connections.note_certificate(till.connection, later)
    till.connection.refresh_from_db()

    assert connections.endings(till.connection) == []
    assert "Provider's certificate" in signed_in(olivia).get(HEALTH.format(till.connection.key)).text


def test_a_certificate_costs_a_write_only_where_it_is_another_one(till: Till, django_assert_num_queries):
    until = timezone.now()
    connections.note_certificate(till.connection, until)
    till.connection.refresh_from_db()

    with django_assert_num_queries(0):
        connections.note_certificate(till.connection, until)
        connections.note_certificate(till.connection, None)


def test_a_worker_notes_the_certificate_it_met(till: Till, monkeypatch):
    until = timezone.now() + timedelta(days=5)
    keep = calls.Caller._keep
    monkeypatch.setattr(calls.Caller, "_keep", lambda self, made: keep(self, replace(made, certificate_until=until)))

    till.gets("pay", 1_00)

    till.connection.refresh_from_db()
    assert till.connection.certificate_until == until
