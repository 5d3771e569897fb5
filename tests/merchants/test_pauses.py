"""Pauses of connections: who begins and ends them, and the one mail that a refused key sends."""

from datetime import timedelta

import pytest
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from portal.ledger import holding
from portal.merchants import connections, pauses, tenancy
from portal.merchants.models import AuditEntry, Member, Pause, pause_writer
from portal.merchants.writers import WrittenElsewhere
from tests.conftest import make_person


@pytest.fixture
def at_jung(jung, connection):
    with tenancy.merchant(jung.pk):
        yield


@pytest.fixture
def owner(olivia, at_jung) -> Member:
    return Member.objects.select_related("merchant", "person").get(person=olivia)


def begins(connection, member, **more) -> Pause:
    return pauses.begin(connection, member=member, **{"reason": "Maintenance until noon", **more})


def test_an_owner_pauses_with_a_reason_and_it_stands_in_the_trail(connection, owner):
    pause = begins(connection, owner)

    connection.refresh_from_db()
    assert (connection.paused_at, connection.pause_reason) == (pause.begun_at, "Maintenance until noon")
    assert not connections.is_asked(connection)
    [line] = AuditEntry.objects.filter(verb="connection paused")
    assert (line.person, line.detail["reason"]) == (owner.person, "Maintenance until noon")


def test_nobody_pauses_twice(connection, owner):
    begins(connection, owner)

    with pytest.raises(pauses.PausedAlready):
        begins(connection, owner, reason="Me too")
    assert Pause.objects.count() == 1


def test_the_database_itself_knows_one_pause_at_a_time(connection, owner):
    first = begins(connection, owner)
    second = Pause(merchant=first.merchant, connection=connection, reason="x", begun_at=Now(), begun_by=owner.person)

    before = pause_writer._open.set(True)
    try:
        with pytest.raises(IntegrityError, match="under_way_once"), transaction.atomic():
            second.save()
    finally:
        pause_writer._open.reset(before)


def test_a_pause_is_written_by_its_own_module_only(connection, owner):
    with pytest.raises(WrittenElsewhere):
        begins(connection, owner).save()


def test_a_cashier_pauses_nothing(connection, alice, at_jung):
    cashier = Member.objects.select_related("merchant", "person").get(person=alice)

    with pytest.raises(PermissionDenied):
        begins(connection, cashier)
    assert Pause.objects.count() == 0


@pytest.mark.parametrize("wrong", [{"reason": ""}, {"expires_at": timezone.now() - timedelta(seconds=1)}])
def test_a_pause_without_a_reason_or_that_is_over_before_it_begins_is_none(connection, owner, wrong):
    with pytest.raises(ValueError, match="A pause"):
        begins(connection, owner, **wrong)


def test_resumed_it_is_asked_again_and_the_trail_says_by_whom(connection, owner):
    pause = begins(connection, owner)

    assert holding.resume(pause, member=owner)
    assert not holding.resume(pause, member=owner), "somebody was faster"

    connection.refresh_from_db()
    assert connections.is_asked(connection)
    assert AuditEntry.objects.get(verb="connection resumed").person == owner.person


def test_a_pause_ends_by_itself_when_its_time_has_come_and_not_before(connection, owner):
    soon = begins(connection, owner, expires_at=timezone.now() + timedelta(hours=1))
    assert holding.resume_expired() == 0
    before = pause_writer._open.set(True)
    Pause.objects.update(begun_at=Now() - timedelta(hours=2), expires_at=Now() - timedelta(seconds=1))
    pause_writer._open.reset(before)

    assert holding.resume_expired() == 1

    soon.refresh_from_db()
    connection.refresh_from_db()
    assert (soon.ended_by, connection.paused_at) == (None, None)
    assert AuditEntry.objects.get(verb="connection resumed").person is None


# ---- A refused key --------------------------------------------------------------------------------------------
def test_a_refused_key_writes_to_owners_and_managers_once_however_many_refusals_follow(
    connection, owner, alice, arrange, jung
):
    with arrange():
        milan = make_person("Milan", (jung, "manager"))
        milan.language = "de"
        milan.save()

    for _ in range(5):
        pauses.because_refused(connection, "key_refused")

    assert [each.to for each in mail.outbox] == [["milan@example.com"], ["olivia@example.com"]]
    german, english = (each.body for each in mail.outbox)
    pause = Pause.objects.get()
    for body in (german, english):
        assert connection.options["base_url"] in body, "it names the address where the key was refused"
        assert f"/settings/connections/{connection.key}/pauses/{pause.key}/" in body
        assert "no-key" not in body
    assert "the provider does not accept its key." in english
    assert "pausiert" in german


def test_what_a_refused_key_paused_no_clock_resumes(connection, owner):
    pauses.because_refused(connection, "key_refused")
    before = pause_writer._open.set(True)
    try:
        for forbidden in ({"expires_at": Now()}, {"ended_at": Now()}):
            with pytest.raises(IntegrityError), transaction.atomic():
                Pause.objects.update(**forbidden)
    finally:
        pause_writer._open.reset(before)

    assert holding.resume_expired() == 0
    assert holding.resume(Pause.objects.select_related("connection").get(), member=owner)


def test_a_refused_key_after_a_resume_is_news_again(connection, owner):
    pauses.because_refused(connection, "key_refused")
    holding.resume(Pause.objects.get(), member=owner)

    pauses.because_refused(connection, "access_refused")

    assert len(mail.outbox) == 2
    assert Pause.objects.filter(ended_at=None).count() == 1


def test_a_persons_pause_is_not_taken_over_by_a_refusal_that_comes_late(connection, owner):
    begins(connection, owner)

    pauses.because_refused(connection, "key_refused")

    connection.refresh_from_db()
    assert connection.pause_reason == "Maintenance until noon"
    assert mail.outbox == []
