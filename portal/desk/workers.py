"""What each worker, and beat, is doing: judged from the rows they write and from their sessions at the database."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Q, TextChoices
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from portal import presence
from portal.desk.models import Process

# One that was killed stands in the list, and on alert, until it is back under its name or for so long.
MOURNED = timedelta(hours=1)
STARTING = timedelta(seconds=20)  # loading the code on a busy machine


class Condition(TextChoices):
    """The words people see."""

    AT_WORK = "at_work", _("At work")
    BUSY = "busy", _("All threads busy")
    OVERLOADED = "overloaded", _("Overloaded")
    DEAF = "deaf", _("Deaf")
    KILLED = "killed", _("Killed")
    SILENT = "silent", _("Silent")
    DOUBLED = "doubled", _("Doubled")
    NOT_CALLED = "not_called", _("Not called")
    STARTING = "starting", _("Starting")


WELL = (Condition.AT_WORK, Condition.BUSY, Condition.STARTING)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One process and what is the matter with it. `since` is when that began, as far as it is known."""

    process: Process
    condition: Condition
    since: datetime

    @property
    def is_well(self) -> bool:
        return self.condition in WELL


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Everybody who should be at work."""

    workers: list[Seen]
    beats: list[Seen]

    @property
    def heard_at(self) -> datetime | None:
        """When any worker last did anything real."""
        moments = [
            moment
            for seen in self.workers
            for moment in (seen.process.called_at, seen.process.begun_at, seen.process.ended_at)
            if moment
        ]
        return max(moments, default=None)


def look(now: datetime, *, waits: bool) -> Crew:
    """All processes that live or were killed within the hour. `waits` says that work waits which could begin."""
    living = _living()
    recent = Q(told_at__gt=now - MOURNED) | Q(stopped_at__gt=now - MOURNED)
    found = list(Process.objects.filter(Q(pk__in=living) | recent).order_by("kind", "name", "pk"))
    newest = {(each.kind, each.name): each.pk for each in found}
    # Who lives, and of the dead those that neither said goodbye nor were replaced.
    found = [
        each
        for each in found
        if each.pk in living or (each.stopped_at is None and newest[each.kind, each.name] == each.pk)
    ]
    beats = [each for each in found if each.kind == Process.Kind.BEAT]
    alive = [each for each in beats if each.pk in living]
    called_at = max((each.called_at for each in beats if each.called_at), default=None)
    silent = called_at is None or now - called_at > timedelta(seconds=settings.WORKER_DEAF_SECONDS)
    return Crew(
        workers=[
            _worker(each, now, is_alive=each.pk in living, called_at=called_at, silent=silent, waits=waits)
            for each in found
            if each.kind == Process.Kind.WORKER
        ],
        beats=[_beat(each, now, is_alive=each.pk in living, doubled=len(alive) > 1) for each in beats],
    )


def _living() -> set[int]:
    """The rows whose process holds its session at the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2 AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [presence.LOCK],
        )
        return {row[0] for row in cursor.fetchall()}


def _worker(
    row: Process, now: datetime, *, is_alive: bool, called_at: datetime | None, silent: bool, waits: bool
) -> Seen:
    heard = max(filter(None, (row.called_at, row.begun_at, row.ended_at, row.started_at)))
    if not is_alive:
        return Seen(process=row, condition=Condition.KILLED, since=row.told_at)
    if row.full_since is not None:
        # It cannot hear the call. What it has in hand ends within the longest call to a provider.
        if now - heard > timedelta(seconds=settings.OPERATION_LEASE_SECONDS):
            return Seen(process=row, condition=Condition.DEAF, since=heard)
        condition = Condition.OVERLOADED if waits else Condition.BUSY
        return Seen(process=row, condition=condition, since=row.full_since)
    patience = timedelta(seconds=settings.WORKER_DEAF_SECONDS)
    if silent:
        return Seen(process=row, condition=Condition.NOT_CALLED, since=called_at or row.started_at)
    if row.called_at is None and now - row.started_at < max(patience, STARTING):
        return Seen(process=row, condition=Condition.STARTING, since=row.started_at)
    if now - max(row.called_at or row.started_at, row.started_at) > patience:
        return Seen(process=row, condition=Condition.DEAF, since=row.called_at or row.started_at)
    return Seen(process=row, condition=Condition.AT_WORK, since=row.started_at)


def _beat(row: Process, now: datetime, *, is_alive: bool, doubled: bool) -> Seen:
    called = row.called_at or row.started_at
    if not is_alive:
        return Seen(process=row, condition=Condition.KILLED, since=row.told_at)
    if doubled:
        return Seen(process=row, condition=Condition.DOUBLED, since=row.started_at)
    if now - called > timedelta(seconds=settings.WORKER_DEAF_SECONDS):
        return Seen(process=row, condition=Condition.SILENT, since=called)
    return Seen(process=row, condition=Condition.AT_WORK, since=row.started_at)


def forget_old() -> None:
    """Take away the rows of processes that ended long ago."""
    long_ago = timezone.now() - timedelta(days=1)
    old = Process.objects.filter(told_at__lt=long_ago).exclude(pk__in=_living())
    old.delete()
