"""`manage.py administrator EMAIL`: make somebody an administrator, or no longer one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from portal.merchants import audit, second_factor, sessions
from portal.merchants.models import Person


class Command(BaseCommand):
    help = (
        "Make somebody who has signed up an administrator. Nobody's password is typed here: whoever it is has chosen"
        " one, and confirmed the address, at signing up."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--remove", action="store_true", help="They are an administrator no longer.")

    def handle(self, *args: Any, email: str, remove: bool, **options: Any) -> None:
        person = Person.objects.filter(email=email.lower(), is_active=True).first()
        if person is None:
            raise CommandError(f"Nobody has signed up as {email}. Let them sign up first, at the site itself.")
        if person.is_staff != remove:
            self.stdout.write(f"{person.name} is {'no' if remove else 'an'} administrator already.")
            return
        with transaction.atomic():
            Person.objects.filter(pk=person.pk).update(is_staff=not remove)
            sessions.end_all(person)
            audit.record("administrator removed" if remove else "administrator made", person.email, merchant=None)
        if remove:
            self.stdout.write(f"{person.name} is no administrator any more, and signed in nowhere.")
        elif second_factor.has_one(person):
            self.stdout.write(f"{person.name} is an administrator, and signs in anew with the second factor.")
        else:
            self.stdout.write(f"{person.name} is an administrator. Signing in leads to setting up a second factor.")
