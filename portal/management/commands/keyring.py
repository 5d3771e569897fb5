"""`manage.py keyring --create DIR`: a new key ring, if there is none."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from portal.merchants import ring


class Command(BaseCommand):
    help = "Make the key ring: DIR/sealing.json for every process, DIR/opening.json for workers only."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--create", metavar="DIR", type=Path, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        if ring.create(options["create"]):
            self.stdout.write("Key ring made. Back it up apart from the database: without it no secret can be opened.")
