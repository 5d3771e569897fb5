"""`manage.py keyring`: make a key ring, or look whether the one at hand opens what is in the database."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal.merchants import resealing, ring, tenancy


class Command(BaseCommand):
    help = (
        "--create DIR makes the key ring if there is none: DIR/sealing.json for every process, DIR/opening.json for"
        " workers only. --check opens every box in the database, where a worker runs; nothing is shown or changed."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--create", metavar="DIR", type=Path)
        what.add_argument("--check", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            self._check()
        elif ring.create(options["create"]):
            self.stdout.write("Key ring made. Back it up apart from the database: without it no secret can be opened.")

    def _check(self) -> None:
        if settings.OPENING_KEYS is None:
            raise CommandError("This process has no OPENING_KEYS: run it with a worker's environment.")
        opened = shut = 0
        with tenancy.every_merchant("every box is opened once, to see whether the key ring fits"):
            for column in resealing.of_boxes():
                some, others = resealing.opened(column)
                self.stdout.write(f"  {column}  {some} open, {others} do not")
                opened, shut = opened + some, shut + others
        if shut:
            raise CommandError(f"{shut} of {opened + shut} boxes do not open: this is not the ring of this database.")
        self.stdout.write(f"All {opened} boxes open.")
