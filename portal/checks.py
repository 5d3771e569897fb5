"""What a process must have, and must not have, before it serves anybody. Each refusal is one sentence."""

import logging

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection

log = logging.getLogger(__name__)


def refuse_unsafe_web() -> None:
    """Raise ImproperlyConfigured where a web process could open secrets or read over the policies."""
    if settings.OPENING_KEYS is not None:
        raise ImproperlyConfigured(
            "This web process was given OPENING_KEYS. Web processes may seal secrets, never open them:"
            " give the private key ring to workers only."
        )
    if settings.MAIL_PASSWORD:
        raise ImproperlyConfigured(
            "This web process was given MAIL_PASSWORD. Only workers speak to the mail server: give it to them only."
        )
    from portal.merchants import web_vault

    web_vault.check_keys()
    _refuse_wrong_keys()
    _refuse_powerful_role()


def refuse_unsafe_worker() -> None:
    """Raise ImproperlyConfigured where a worker could not open secrets, or could read over the policies."""
    from portal.merchants import vault

    if settings.SIGN_IN_KEYS:
        raise ImproperlyConfigured(
            "This worker was given SIGN_IN_KEYS, which open people's sessions and second factors: give them to web"
            " processes only."
        )
    if settings.OPENING_KEYS is None:
        raise ImproperlyConfigured(
            "This worker has no OPENING_KEYS, so it could not use any connection. Give it the private key ring."
        )
    if not settings.MAIL_HOST and not settings.MAIL_WITHHELD:
        raise ImproperlyConfigured(
            "This worker has no MAIL_HOST, so no mail would leave. Name your mail server, or set MAIL_WITHHELD=1."
        )
    _refuse_wrong_keys()
    probe = vault.Context(merchant=0, table="checks", row="start", field="probe")
    vault.open_sealed(probe, vault.seal(probe, b"probe"))
    _refuse_powerful_role()


def _refuse_wrong_keys() -> None:
    from portal.merchants import vault

    vault.card_index(merchant=0, provider="", number="")


def _refuse_powerful_role() -> None:
    """The role is looked at when a connection is made; make one now. A database that is away is waited for later."""
    try:
        connection.ensure_connection()
    except OperationalError:
        log.warning("The database does not answer yet; the role is checked with the first connection.")
    finally:
        connection.close()
