"""`manage.py rotate_keys`: new keys for old, while everything runs. See docs/operations.md, "New keys"."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError
from django.db import connection as database
from django.db.models import BinaryField, QuerySet
from django.db.models.functions import Substr
from django.utils import timezone

from portal.ledger import balances
from portal.ledger.models import Card
from portal.merchants import audit, resealing, ring, tenancy, vault

_ROTATION_LOCK = 7441  # any number; it names this use of advisory locks
ROUNDS = 20  # through a column, with growing pauses, for what somebody else was at


class Command(BaseCommand):
    help = (
        "Put new keys on the ring and seal everything anew with them. Runs where a worker runs, as often as you like:"
        " what was broken off goes on where it stood."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--plan", action="store_true", help="say what is under which key, and change nothing")
        what.add_argument("--add", action="store_true", help="only put new keys on the ring, to be carried elsewhere")
        what.add_argument("--retire", metavar="KEY", help="take an old key off the ring, if nothing is under it")
        parser.add_argument(
            "--pause", type=float, default=5, help="seconds until every process has seen a changed ring (5)"
        )
        parser.add_argument(
            "--after", type=float, default=900, help="seconds for which a key must be out of use to be retired (900)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.OPENING_KEYS is None:
            raise CommandError(
                "This process has no OPENING_KEYS, so it can open nothing and seal nothing anew. Run it where a worker"
                " runs, with a worker's environment."
            )
        with tenancy.every_merchant("keys rotate: the boxes of all merchants are sealed anew"), _alone():
            if options["plan"]:
                self._plan()
            elif options["add"]:
                self._add()
            elif options["retire"]:
                self._retire(options["retire"], pause=options["pause"], after=options["after"])
            else:
                self._rotate(pause=options["pause"])

    # ---- Saying what is there ---------------------------------------------------------------------------------
    def _plan(self) -> None:
        keys = ring.sealing()
        self.stdout.write(f"Sealing with {keys['current']}, hashing with {keys['index']['current']}.")
        self.stdout.write(f"On the ring: {', '.join([*keys['keys'], *keys['index']['keys']])}.")
        self._print(resealing.counts())
        waiting = _waits()
        if (keys["current"], keys["index"]["current"]) != ring.newest():
            self.stdout.write(f"It would put {' and '.join(ring.newest())} to use, then seal everything anew.")
        elif waiting:
            self.stdout.write(f"It would go on: {waiting} boxes and cards are to be brought under the newest keys.")
        else:
            self.stdout.write("It would add a new pair of keys and seal everything anew. Nothing was changed.")

    def _print(self, found: dict[resealing.Column, dict[str, int]]) -> None:
        for column, by_key in found.items():
            told = ", ".join(f"{key or 'no key'}: {count}" for key, count in by_key.items()) or "nothing"
            self.stdout.write(f"  {column}  {told}")

    # ---- The steps --------------------------------------------------------------------------------------------
    def _add(self) -> None:
        added = ring.add()
        audit.record("keys added", " ".join(added), merchant=None)
        self.stdout.write(
            f"{' and '.join(added)} are on the ring, and nothing is sealed with them yet. Bring sealing.json to every"
            " machine and opening.json to the workers' (opening.json first), then run rotate_keys."
        )

    def _rotate(self, *, pause: float) -> None:
        keys = ring.sealing()
        if (keys["current"], keys["index"]["current"]) == ring.newest() and not _waits():
            added = ring.add()
            audit.record("keys added", " ".join(added), merchant=None)
            self.stdout.write(f"{' and '.join(added)} are on the ring.")
            time.sleep(pause)  # others must be able to open and find what is put away with them
        if ring.use_newest():
            audit.record("keys put to use", " ".join(ring.newest()), merchant=None)
            self.stdout.write(f"{' and '.join(ring.newest())} are in use.")
            time.sleep(pause)  # what others seal from now on is sealed with them
        rows = self._reseal()
        audit.record("sealed anew", " ".join(ring.newest()), merchant=None, rows=rows)
        self.stdout.write(f"{rows} rows were brought under them. What is under which key now:")
        self._print(resealing.counts())

    def _reseal(self) -> int:
        rows = stuck = 0
        for attempt in range(ROUNDS):
            done = stuck = 0
            for column in resealing.of_boxes():
                some, shut = resealing.reseal(column)
                done, stuck = done + some, stuck + shut
            some, shut = _index_anew()
            rows, stuck = rows + done + some, stuck + shut
            if _waits() <= stuck:
                break
            time.sleep(min(0.05 * 2**attempt, 2))
        if stuck:
            self.stderr.write(
                f"{stuck} do not open, or are there twice: the log says which rows. Their key stays on the ring."
            )
        return rows

    def _retire(self, key: str, *, pause: float, after: float) -> None:
        keys = ring.sealing()
        if key in (keys["current"], keys["index"]["current"]):
            raise CommandError(f"{key} is in use. Run rotate_keys first: it puts another in its place.")
        if key not in keys["keys"] and key not in keys["index"]["keys"]:
            raise CommandError(f"{key} is not on the ring.")
        since = ring.since()
        if key in ring.newest() or since is None:
            raise CommandError(f"{key} was never in use: it is the one to come.")
        if (old_enough := since + timedelta(seconds=after)) > timezone.now():
            raise CommandError(
                f"{key} was in use until {since:%H:%M:%S}: somebody may hold something sealed with it. Retire it after"
                f" {old_enough:%H:%M:%S} (UTC)."
            )
        for seconds in (pause, 0):  # what was being written while we counted is seen the second time
            if left := resealing.under(key):
                self._print({column: {key: count} for column, count in left.items()})
                raise CommandError(f"{sum(left.values())} are still under {key}: it stays on the ring.")
            time.sleep(seconds)
        ring.retire(key)
        audit.record("key retired", key, merchant=None)
        self.stdout.write(
            f"{key} is off the ring. Keep the ring's older backups as long as dumps of their days: only they open them."
        )


@contextmanager
def _alone() -> Iterator[None]:
    """One rotation at a time, on whichever machine. The lock is the session's: it ends with us, however we end."""
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_ROTATION_LOCK])
        if not cursor.fetchone()[0]:
            raise CommandError("Another rotate_keys is at work.")
    try:
        yield
    finally:
        with database.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_ROTATION_LOCK])


def _waits() -> int:
    """How many boxes and cards are not under the newest keys."""
    key, index_key = ring.newest()
    counted = resealing.counts()
    boxes = sum(count for column in resealing.of_boxes() for each, count in counted[column].items() if each != key)
    return boxes + _older_cards(index_key).count()


def _older_cards(index_key: str) -> QuerySet[Card]:
    prefix = f"{index_key}:".encode()
    start = Substr("index", 1, len(prefix), output_field=BinaryField())
    return Card.objects.annotate(start=start).exclude(start=prefix)


def _index_anew() -> tuple[int, int]:
    """Every card whose index is not under the newest key: how many were moved, and how many cannot be."""
    done = stuck = after = 0
    while True:
        older = _older_cards(ring.sealing()["index"]["current"]).filter(pk__gt=after)
        rows = list(older.select_related("connection").order_by("pk")[: resealing.BATCH])
        if not rows:
            return done, stuck
        for card in rows:
            after = card.pk
            try:
                done += balances.index_anew(card)
            except (vault.CannotOpen, IntegrityError):
                stuck += 1
