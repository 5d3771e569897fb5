"""Connections: their sealed secrets, and whether they are asked at the moment. Pausing them is in pauses.py."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal import formats
from portal.connectors.base import Reason
from portal.merchants import audit, credentials, hosts, switches, vault
from portal.merchants.models import Connection, Person, Switch


class NotNow(Exception):
    """This is not asked at the moment: the connection is paused, the provider wants us to wait, or an administrator
    has switched it off. `words` say which, to the person who asked."""

    def __init__(self, connection: Connection, words: str) -> None:
        super().__init__(f"{connection.name} is not asked at the moment.")
        self.connection, self.words = connection, words


UNTESTED = "untested"

PAUSE_WORDS: dict[str, Promise] = {
    Reason.KEY_REFUSED: gettext_lazy("the provider does not accept its key."),
    Reason.ACCESS_REFUSED: gettext_lazy("the provider refuses access with its key."),
    Reason.WRONG_KEY: gettext_lazy("its key is the one meant for browsers."),
    Reason.ADDRESS_REFUSED: gettext_lazy("its address is not one we may call."),
    UNTESTED: gettext_lazy("it has not passed its test yet."),
}


USED_EVERY = timedelta(minutes=5)
# Time for a provider's support to answer, and for somebody here to be on holiday meanwhile.
ENDS_SOON = timedelta(days=21)


def seal_secrets(connection: Connection, secrets: Mapping[str, str], *, by: Person | None = None) -> None:
    """Put all its secrets away on the connection, and note who set those that are new; the caller saves it."""
    connection.sealed_secrets = vault.seal(_place(connection), json.dumps(dict(secrets)).encode())
    before, now = connection.secret_notes, timezone.now()
    connection.secret_notes = {}
    for name, secret in secrets.items():
        fresh = credentials.note(secret, merchant=connection.merchant_id, at=now, by=by.pk if by else None).kept()
        told = before.get(name, {}).get("fingerprint", "")
        known = told and told == credentials.fingerprint(secret, merchant=connection.merchant_id, like=told)
        connection.secret_notes[name] = before[name] if known else fresh


def note_use(connection: Connection) -> None:
    """A worker is about to use it. Of all its calls only one in USED_EVERY costs a write."""
    now = timezone.now()
    if connection.used_at is None or now - connection.used_at > USED_EVERY:
        long_ago = Q(used_at=None) | Q(used_at__lt=now - USED_EVERY)
        Connection.objects.filter(long_ago, pk=connection.pk).update(used_at=now)


def note_certificate(connection: Connection, until: datetime | None) -> None:
    """What a worker saw of the provider's certificate: a write only where it is another one than before."""
    if until is not None and until != connection.certificate_until:
        Connection.objects.filter(pk=connection.pk).update(certificate_until=until)


def open_secrets(connection: Connection) -> dict[str, str]:
    """The connection's secrets, in a worker. Raises vault.CannotOpen for a box of another row."""
    secrets: dict[str, str] = json.loads(vault.open_sealed(_place(connection), connection.sealed_secrets))
    return secrets


def settings_for_a_call(connection: Connection) -> dict[str, object]:
    """All its settings, opened secrets included, in a worker that is about to call the provider.

    Raises Misconfigured (ADDRESS_REFUSED) where its address is not one we may call (any more), vault.CannotOpen.
    """
    hosts.require(connection.merchant_id, connection.provider, connection.options)
    return {**connection.options, **open_secrets(connection)}


def _place(connection: Connection) -> vault.Context:
    return vault.Context(
        merchant=connection.merchant_id,
        table="merchants_connection",
        row=str(connection.key),
        field="secrets",
    )


def same_secrets(one: Connection, other: Connection) -> bool:
    """Whether two readings of a connection hold the same secrets. By what is noted of them: their box is another one
    when keys have changed, and nothing else has."""
    return bool(one.secret_notes == other.secret_notes)


def is_asked(connection: Connection) -> bool:
    """Whether the provider may be asked now: not paused, and not told to wait."""
    return not connection.paused_at and not (connection.held_until and connection.held_until > timezone.now())


def hold(connection: Connection, *, seconds: int) -> None:
    """Wait as long as the provider asked."""
    with transaction.atomic():
        Connection.objects.filter(pk=connection.pk).update(held_until=Now() + timedelta(seconds=seconds))
        audit.record("connection held", connection.name, merchant=connection.merchant, seconds=seconds)


def pause_words(connection: Connection) -> str:
    """Why it is paused, as the end of a sentence: in our words, or in those of the person who paused it."""
    return reason_words(connection.pause_reason)


def reason_words(reason: str) -> str:
    """The same for a pause's reason."""
    if reason in PAUSE_WORDS:
        return str(PAUSE_WORDS[reason])
    return _("“%(reason)s”.") % {"reason": reason} if reason else _("the provider refuses it.")


def banner(connection: Connection) -> str:
    """What a till shows as long as the connection is paused."""
    return _("%(name)s is paused since %(since)s: %(why)s What was accepted before waits and runs in order.") % {
        "name": connection.name,
        "since": formats.moment(connection.paused_at) if connection.paused_at else "",
        "why": pause_words(connection),
    }


def refuse_unless_asked(connection: Connection, verb: str) -> None:
    """Raise NotNow where this verb of the connector is not asked at the moment."""
    if words := not_now(connection, verb):
        raise NotNow(connection, words)


def not_now(connection: Connection, verb: str, thrown: Sequence[Switch] | None = None) -> str:
    """Why this is not asked at the moment, for the person at the till; nothing where it is. `thrown`: the switches in
    force, where the caller has read them."""
    if connection.paused_at:
        return _(
            "%(name)s is paused since %(since)s: %(why)s An owner or manager can resume it in Settings."
            " Nothing was sent."
        ) % {
            "name": connection.name,
            "since": formats.moment(connection.paused_at),
            "why": pause_words(connection),
        }
    if switch := switches.off(connection, verb, thrown):
        return _("%(why)s Nothing was sent.") % {"why": switches.words(switch)}
    if connection.held_until and connection.held_until > timezone.now():
        until = formats.clock_exact(connection.held_until)
        return _("%(name)s asked us to wait until %(until)s. Nothing was sent.") % {
            "name": connection.name,
            "until": until,
        }
    return ""


def state_words(connection: Connection) -> tuple[str, str]:
    """The shape of its state, and the state in words, for lists of connections."""
    if connection.paused_at:
        return "person", _("Paused since %(since)s: %(why)s") % {
            "since": formats.moment(connection.paused_at),
            "why": pause_words(connection),
        }
    if connection.held_until and connection.held_until > timezone.now():
        until = formats.clock_exact(connection.held_until)
        return "waiting", _("Waiting until %(until)s, as the provider asked") % {"until": until}
    if ending := endings(connection):
        return "checking", ending[0]
    return "done", _("Ready")


def endings(connection: Connection) -> list[str]:
    """What of it ends soon, or has ended: a sentence each, with what to do about it."""
    told = []
    today = timezone.localdate()
    if (day := connection.credentials_until) is not None and day - today <= ENDS_SOON:
        over = _("Its credentials served until %(day)s. Ask the provider for new ones and replace them.")
        soon = _("Its credentials serve until %(day)s. Ask the provider for new ones and replace them before.")
        told.append((over if day < today else soon) % {"day": formats.day(day)})
    if (until := connection.certificate_until) is not None and until - timezone.now() <= ENDS_SOON:
        told.append(
            _("The provider's certificate ends on %(day)s; without a new one it cannot be reached. Tell the provider.")
            % {"day": formats.day(timezone.localtime(until).date())}
        )
    return told
