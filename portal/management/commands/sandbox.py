"""`manage.py sandbox`: the imitated providers, for a person at the terminal."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from portal.sandboxes import server


class Command(BaseCommand):
    help = "Starts the imitated card providers on this machine. Their page lists the magic cards."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        server.add_arguments(parser)

    def handle(self, *args: Any, port: int, lenient_clock: bool, **options: Any) -> None:
        sys.exit(server.serve(port=port, store=settings.VAR / "sandboxes", lenient_clock=lenient_clock))
