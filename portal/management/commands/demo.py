"""`manage.py demo`: load the two demo merchants; run again it changes nothing. `--logins` only says who they are,
`--history` makes their last month, `--follow` brings practice connections to a sandbox that moved, `--remove` takes all
of it away."""

from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal.desk import demo, history
from portal.merchants import practice
from portal.merchants.connections import NotNow


class Command(BaseCommand):
    help = "Load the demo merchants, with people in every role and connections to the sandboxes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        others = parser.add_mutually_exclusive_group()
        others.add_argument("--logins", action="store_true", help="only print who can sign in")
        others.add_argument(
            "--follow", action="store_true", help="only bring practice connections to where the sandbox is now"
        )
        others.add_argument(
            "--history",
            action="store_true",
            help="make last month's operations of Bäckerei Jung, as a worker (needs OPENING_KEYS) and without haste",
        )
        others.add_argument(
            "--remove", action="store_true", help="take it all away again, as the owner (needs DATABASE_OWNER_URL)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["history"]:
            self._make_history()
        elif options["remove"]:
            self._remove()
        elif options["follow"]:
            self._follow()
        else:
            if not options["logins"]:
                demo.load(self._credentials())
                self._follow()
            self._say_who_can_sign_in()

    def _say_who_can_sign_in(self) -> None:
        for person in demo.logins():
            self.stdout.write(f"  {person['email']:<22} {person['role']:<11} {person['merchant']}")
        self.stdout.write(f"  Password for all: {demo.PASSWORD}")
        self.stdout.write("")
        for number, step in enumerate(demo.first_steps(), start=1):
            self.stdout.write(f"  {number}. {step}")

    def _make_history(self) -> None:
        if settings.OPENING_KEYS is None:
            raise CommandError("The history is made as a worker makes it: it needs OPENING_KEYS, the private key ring.")
        if not settings.SANDBOX_URL:
            raise CommandError("The history is made at the sandbox: set SANDBOX_URL, such as http://127.0.0.1:8100.")
        try:
            made = history.make()
        except history.NoDemo:
            raise CommandError("There is no demo to give a history to. Load it first: manage.py demo.") from None
        except NotNow as not_now:
            raise CommandError(f"{not_now.connection.name} is paused. Resume it, then run this once more.") from None
        except OSError:
            raise CommandError(f"The sandbox does not answer at {settings.SANDBOX_URL}. Run this once more.") from None
        self.stdout.write(f"{made} operations were made." if made else "The history is there already.")

    def _follow(self) -> None:
        if settings.SANDBOX_URL and (followed := practice.follow()):
            self.stdout.write(f"{followed} practice connections follow the sandbox to {settings.SANDBOX_URL}.")
        if settings.SANDBOX_URL and (address := demo.callback_address()):
            with suppress(practice.NoSandbox):  # it tells its merchant nothing, then
                practice.told_at(address)

    def _remove(self) -> None:
        if "owner" not in settings.DATABASES:
            raise CommandError("What is over can only be removed by the tables' owner: set DATABASE_OWNER_URL.")
        gone = demo.remove()
        self.stdout.write(f"Removed: {', '.join(gone)}." if gone else "There is no demo here.")

    def _credentials(self) -> dict[str, dict[str, str]]:
        if not settings.SANDBOX_URL:
            raise CommandError("The demo needs the sandbox: set SANDBOX_URL, such as http://127.0.0.1:8100.")
        try:
            return practice.credentials()
        except practice.NoSandbox:
            raise CommandError(
                f"The sandbox does not answer at {settings.SANDBOX_URL}. Start it: manage.py sandbox."
            ) from None
