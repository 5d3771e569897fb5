"""`manage.py demo`: load the two demo merchants; run again it changes nothing. `--logins` only says who they are."""

import json
from argparse import ArgumentParser
from typing import Any
from urllib.request import ProxyHandler, build_opener

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal.desk import demo


class Command(BaseCommand):
    help = "Load the demo merchants, with people in every role and connections to the sandbox."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--logins", action="store_true", help="only print who can sign in")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["logins"]:
            demo.load(self._credentials())
        for person in demo.logins():
            self.stdout.write(f"  {person['email']:<22} {person['role']:<11} {person['merchant']}")
        self.stdout.write(f"  Password for all: {demo.PASSWORD}")
        self.stdout.write("")
        for number, step in enumerate(demo.first_steps(), start=1):
            self.stdout.write(f"  {number}. {step}")

    def _credentials(self) -> dict[str, str]:
        if not settings.SANDBOX_URL:
            raise CommandError("The demo needs the sandbox: set SANDBOX_URL, such as http://127.0.0.1:8100.")
        address = f"{settings.SANDBOX_URL}/_sandbox/credentials"
        try:
            # No proxy of the environment: the sandbox listens on this machine only.
            with build_opener(ProxyHandler({})).open(address, timeout=5) as answer:
                credentials: dict[str, str] = json.load(answer)["cardinquiry"]
        except (OSError, ValueError, KeyError):
            raise CommandError(f"The sandbox does not answer at {address}. Start it: manage.py sandbox.") from None
        return credentials
