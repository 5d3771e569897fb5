"""`manage.py release`: bring the database to this version, as its owner, and give the application's role its rights."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from psycopg import sql

# Added to and read, by anyone who signs in as the application; changed by nobody.
APPEND_ONLY = ["merchants_auditentry", "ledger_exchange"]
READ_ONLY = ["django_migrations"]


class Command(BaseCommand):
    help = "Migrate as the owner (DATABASE_OWNER_URL), make the cache's table, and grant the application its rights."

    def handle(self, *args: Any, **options: Any) -> None:
        if "owner" not in connections:
            raise CommandError("release changes tables, so it needs the owner's login in DATABASE_OWNER_URL.")
        call_command("migrate", database="owner", interactive=False, verbosity=options["verbosity"] - 1)
        call_command("createcachetable", database="owner", verbosity=0)
        with connections["owner"].cursor() as cursor:
            for step in _grants(str(settings.DATABASES["default"]["USER"])):
                cursor.execute(step)
        connections["owner"].close()


def _grants(role: str) -> list[sql.Composed]:
    app = sql.Identifier(role)
    steps = [
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(app),
        sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}").format(app),
        sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}").format(app),
    ]
    for rights, tables in (("UPDATE, DELETE", APPEND_ONLY), ("INSERT, UPDATE, DELETE", READ_ONLY)):
        for table in tables:
            steps.append(sql.SQL("REVOKE {} ON {} FROM {}").format(sql.SQL(rights), sql.Identifier(table), app))
    return steps
