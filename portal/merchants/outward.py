"""What a worker needs before it calls a provider: the process's one way out, and the database given back."""

from functools import cache

from django.conf import settings
from django.db import connection as database

from portal.connectors import http


@cache
def wire() -> http.Wire:
    """This process's one way out."""
    return http.Wire(allow=settings.PROVIDER_ORIGINS_ALLOWED)


def give_back_database() -> None:
    """Return the connection to the pool: a slow provider must not keep it."""
    if not database.in_atomic_block:  # never so in a worker; a unit test holds its own transaction
        database.close()
