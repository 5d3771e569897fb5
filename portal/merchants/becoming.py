"""What a tested draft becomes: a connection, or the new secrets and settings of the one it changes.

Called by connecting.py, in its transaction. Each leaves a line in the trail, with the keyed fingerprints of secrets;
new secrets of a connection are told to all owners by mail.
"""

from collections.abc import Mapping

from django.conf import settings
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from portal import formats
from portal.connectors import PROVIDERS
from portal.merchants import audit, connections, owners, pauses, provider_tokens
from portal.merchants.audit import Value
from portal.merchants.fields import one_line
from portal.merchants.models import Connection, ConnectionDraft, Environment, Merchant, Person


def connect(draft: ConnectionDraft, *, options: Mapping[str, object], secrets: Mapping[str, str]) -> Connection:
    """The new connection, ready to be asked."""
    connection = _new(draft, options)
    connections.seal_secrets(connection, secrets, by=draft.author)
    return _add(connection, by=draft.author)


def connect_untested(
    draft: ConnectionDraft, *, options: Mapping[str, object], by: Person, request: HttpRequest | None
) -> Connection:
    """The new connection, paused until it has passed its test. The worker that tried it has sealed its secrets."""
    assert draft.sealed_secrets is not None, "a worker has sealed them"
    connection = _new(draft, options)
    connection.sealed_secrets, connection.secret_notes = draft.sealed_secrets, draft.notes
    _add(connection, by=by, request=request, tested=False)
    pauses.until_tested(connection, by=by)
    return connection


def _new(draft: ConnectionDraft, options: Mapping[str, object]) -> Connection:
    # Two drafts that pass in the same moment, one after the other: each gets a name of its own.
    merchant = Merchant.objects.select_for_update(no_key=True).get(pk=draft.merchant_id)
    return Connection(
        merchant=merchant,
        key=draft.key,
        provider=draft.provider,
        name=free_name(merchant, draft.name),
        environment=draft.environment,
        options=dict(options),
        # Where nothing is real, nobody else is there either.
        only_this_desk=draft.environment == Environment.SANDBOX,
    )


def _add(
    connection: Connection, *, by: Person | None, request: HttpRequest | None = None, tested: bool = True
) -> Connection:
    connection.save(force_insert=True)
    audit.record(
        "connection added",
        connection.name,
        merchant=connection.merchant,
        person=by,
        request=request,
        provider=PROVIDERS[connection.provider].name,
        environment=connection.environment,
        tested=tested,
        changes={name: (None, mark) for name, mark in _fingerprints(connection).items()},
    )
    return connection


def free_name(merchant: Merchant, wanted: str) -> str:
    """The name, with a number behind it where the merchant has a connection of that name."""
    rows = Connection.objects.filter(merchant=merchant, name__startswith=wanted[:90])
    taken = set(rows.values_list("name", flat=True))
    names = (wanted, *(f"{wanted[:90]} {number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def switch(draft: ConnectionDraft, *, options: Mapping[str, object], secrets: Mapping[str, str]) -> Connection | None:
    """The changed connection; it was asked with what it had until now. None where its secrets were changed meanwhile:
    then what was tested is not what would come of it."""
    assert draft.connection is not None
    rows = Connection.objects.select_for_update(no_key=True, of=("self",)).select_related("merchant")
    row = rows.get(pk=draft.connection.pk, merchant=draft.merchant_id)
    if not connections.same_secrets(row, draft.connection):
        return None
    known, before = dict(row.options), _fingerprints(row)
    row.options = dict(options)
    connections.seal_secrets(row, secrets, by=draft.author)
    row.save(update_fields=["options", "sealed_secrets", "secret_notes"])
    pauses.tested(row, by=draft.author)
    marks = _fingerprints(row)
    provider_tokens.throw_away(row)
    replaced = [name for name, mark in marks.items() if mark != before.get(name)]
    changes: dict[str, tuple[Value, Value]] = {name: (before.get(name), marks[name]) for name in replaced}
    changes |= {name: (known.get(name), row.options[name]) for name in row.options}
    audit.record(
        "secrets replaced" if replaced else "connection changed",
        row.name,
        merchant=row.merchant,
        person=draft.author,
        changes=changes,
    )
    if replaced:
        _tell_owners(row, replaced, by=draft.author)
    return row


def _fingerprints(connection: Connection) -> dict[str, str]:
    return {name: note["fingerprint"] for name, note in connection.secret_notes.items()}


def _tell_owners(connection: Connection, replaced: list[str], *, by: Person | None) -> None:
    """Queued in the transaction of the change."""
    merchant, declared = connection.merchant, PROVIDERS[connection.provider].Settings.declared()

    def write(owner: Person) -> tuple[str, str]:
        words = {
            "merchant": one_line(merchant.name),
            "connection": one_line(connection.name),
            "environment": connection.get_environment_display(),
            "secrets": formats.listed([translation.gettext(declared[name].label) for name in replaced]),
            "person": one_line(by.name) if by else "–",
            "at": timezone.now(),
            "zone": merchant.time_zone,
            "link": settings.PUBLIC_URL + reverse("connection", args=[merchant.slug, connection.key]),
        }
        subject = _("New secrets for %(connection)s at %(merchant)s") % words
        return subject, render_to_string("merchants/secrets_mail.txt", words)

    owners.tell(merchant, write)
