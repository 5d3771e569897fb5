"""Connecting a provider, and changing what a connection tells it: the only writer of drafts.

    TYPING ──→ WAITING → ASKING ─┬→ PASSED    it is a connection now, or took the place of what the connection had
      ↑           ↑  │           └→ FAILED    with what the doctor found; nothing else has changed
      │           └──┼── a worker's lease ran out
      └──────────────┴── somebody typed: whatever a worker finds of what stood there before is not stored

Two rules guard secrets that are there already. A secret is typed for one address: a draft whose address leads to
another host forgets its secrets, and a connection's own are never sent to a host they were not given for. And the
connection goes on with what it has until the new secrets have passed; then all of it changes in one transaction.
"""

import base64
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.connectors import PROVIDERS
from portal.connectors.base import secret_names
from portal.connectors.doctor import Finding
from portal.connectors.fields import Sentence
from portal.merchants import audit, becoming, connections, credentials, standing, tenancy, vault, wake
from portal.merchants.models import (
    Connection,
    ConnectionDraft,
    DraftState,
    Environment,
    Member,
    Merchant,
    draft_writer,
)
from portal.merchants.roles import Permission

# A worker that dies while asking is replaced once; after the second death a person should see it, not wait.
TRIES = 2
MOST_DRAFTS = 20  # of one merchant; more is a mistake or a flood

# Ends of a test that no doctor found: message ids.
WORKER_LOST = gettext_noop("Nobody finished this test. Nothing was changed.")
SEALED_ELSEWHERE = gettext_noop("A stored secret cannot be opened any more. Type the secrets again.")
INCOMPLETE = gettext_noop("The settings are not complete, or one of them does not fit. Nothing was sent.")
NOT_APPROVED = gettext_noop("An administrator has to approve this address first. Nothing was sent.")
NOT_ANY_MORE = gettext_noop("Whoever asked for this test may not connect providers any more. Nothing was changed.")


class TooMany(Exception):
    """The merchant has as many drafts as anybody needs."""


class NotNow(Exception):
    """It is a connection already, or cannot be kept as it is."""


# ---- What people type -----------------------------------------------------------------------------------------
@draft_writer.writes
def start(member: Member, provider: str) -> ConnectionDraft:
    """A new draft for this provider, in the sandbox until somebody says otherwise. Raises TooMany, PermissionDenied."""
    with transaction.atomic(durable=True):
        standing.still_may(member, Permission.CONNECT)
        if open_ones(member.merchant).count() >= MOST_DRAFTS:
            raise TooMany
        draft = ConnectionDraft(merchant=member.merchant, provider=provider, author=member.person)
        draft.name = becoming.free_name(member.merchant, PROVIDERS[provider].name)
        declared = PROVIDERS[provider].Settings.declared()
        if "currency" in declared and declared["currency"].required:
            draft.typed = {"currency": member.merchant.currency}
        draft.typed |= presets(draft)
        draft.changed_at = timezone.now()
        draft.save(force_insert=True)
    return draft


@draft_writer.writes
def change_of(member: Member, connection: Connection) -> ConnectionDraft:
    """The draft in which this connection's secrets and settings are changed; the one that is there, if any."""
    with transaction.atomic(durable=True):
        standing.still_may(member, Permission.CONNECT)
        row = Connection.objects.select_for_update(no_key=True).get(merchant=member.merchant_id, pk=connection.pk)
        rows = ConnectionDraft.objects.filter(merchant=member.merchant_id, connection=row)
        rows.filter(state=DraftState.PASSED).delete()
        draft = rows.first()
        if draft is None:
            draft = ConnectionDraft(
                merchant=member.merchant,
                provider=row.provider,
                connection=row,
                author=member.person,
                name=row.name,
                environment=row.environment,
                shop_named=row.environment == Environment.LIVE,  # when it was connected
                typed={name: _as_typed(value) for name, value in row.options.items()},
                changed_at=timezone.now(),
            )
            draft.save(force_insert=True)
    return draft


@draft_writer.writes
def keep(
    member: Member,
    draft: ConnectionDraft,
    *,
    typed: Mapping[str, str],
    secrets: Mapping[str, str],
    environment: str = "",
    name: str = "",
) -> ConnectionDraft:
    """Keep what was typed; what is not among it stays. Secrets are sealed at once. Ends a test that is under way or
    over, unless nothing is new: a field that keeps itself may arrive after the button that took all of them along.

    Raises NotNow where it is a connection already, PermissionDenied if the member may no longer.
    """
    with transaction.atomic(durable=True):
        standing.still_may(member, Permission.CONNECT)
        row = _hold(draft)
        if row.state != DraftState.TYPING and not _is_new(
            row, typed=typed, secrets=secrets, environment=environment, name=name
        ):
            return row
        before = _hosts(row.provider, row.typed)
        if environment and environment != row.environment and row.connection is None:
            stale = presets(row)
            row.environment, row.shop_named = environment, False
            left = {field: text for field, text in typed.items() if text != stale.get(field)}
            row.typed = {field: text for field, text in row.typed.items() if text != stale.get(field)}
            row.typed = presets(row) | row.typed | left
        else:
            row.typed |= typed
        if before != _hosts(row.provider, row.typed):
            row.sealed, row.notes = {}, {}
        for field, secret in secrets.items():
            row.sealed[field] = base64.b64encode(vault.seal(place(row, field), secret.encode())).decode()
            row.notes[field] = credentials.note(
                secret, merchant=row.merchant_id, at=timezone.now(), by=member.person_id
            ).kept()
        row.name = row.name if row.connection else name or row.name
        row.state, row.findings, row.sealed_secrets = DraftState.TYPING, [], None
        row.lease_until = row.woken_at = None
        row.changed_at = timezone.now()
        row.save()
    return row


def _is_new(
    row: ConnectionDraft, *, typed: Mapping[str, str], secrets: Mapping[str, str], environment: str, name: str
) -> bool:
    """Whether any of it is otherwise than the draft has it."""
    known = {field: credentials.Note.read(kept).fingerprint for field, kept in row.notes.items()}
    others = {
        field
        for field, secret in secrets.items()
        if known.get(field, "") != credentials.fingerprint(secret, merchant=row.merchant_id, like=known.get(field, ""))
    }
    said = ((environment, row.environment), (name, row.name))
    return bool(others) or any(new not in ("", old) for new, old in said) or not typed.items() <= row.typed.items()


@draft_writer.writes
def ask_for_test(
    member: Member, draft: ConnectionDraft, *, shop_named: bool = False, request: HttpRequest | None = None
) -> ConnectionDraft:
    """Have it tested. What is typed must be complete: the form has seen to that. Pressed twice it is one test.

    Raises NotNow where it is a connection already, ValueError for a live one without the shop's name, PermissionDenied.
    """
    with transaction.atomic(durable=True):
        standing.still_may(member, Permission.CONNECT)
        row = _hold(draft)
        row.shop_named = row.shop_named or shop_named
        if row.environment == Environment.LIVE and not row.shop_named:
            raise ValueError("Live is meant only where the shop's name was typed.")
        if row.pending:
            return row
        row.author, row.state, row.findings, row.sealed_secrets = member.person, DraftState.WAITING, [], None
        row.tries, row.woken_at = 0, timezone.now()
        row.changed_at = timezone.now()
        row.save()
        audit.record(
            "connection test asked",
            row.name,
            merchant=member.merchant,
            person=member.person,
            request=request,
            provider=PROVIDERS[row.provider].name,
            environment=row.environment,
        )
        transaction.on_commit(lambda: wake.for_trial(row.pk))
    return row


@draft_writer.writes
def discard(member: Member, draft: ConnectionDraft) -> None:
    """Forget it with its secrets. What has become a connection stays."""
    with transaction.atomic(durable=True):
        standing.still_may(member, Permission.CONNECT)
        _hold(draft).delete()


@draft_writer.writes
def keep_untested(member: Member, draft: ConnectionDraft, *, request: HttpRequest | None = None) -> Connection:
    """Make it a connection that is paused until it has passed its test: its provider was away. Raises NotNow where it
    was not, PermissionDenied."""
    with transaction.atomic(durable=True):
        standing.still_may(member, Permission.CONNECT)
        row = _hold(draft)
        if row.state != DraftState.FAILED or row.sealed_secrets is None:
            raise NotNow
        options = PROVIDERS[row.provider].Settings.options(row.typed)
        connection = becoming.connect_untested(row, options=options, by=member.person, request=request)
        row.delete()
    return connection


def _hold(draft: ConnectionDraft) -> ConnectionDraft:
    rows = ConnectionDraft.objects.select_for_update(of=("self",)).select_related("connection")
    row = rows.get(pk=draft.pk, merchant=draft.merchant_id)
    if row.state == DraftState.PASSED:
        raise NotNow
    return row


# ---- What is known of a draft ---------------------------------------------------------------------------------
def open_ones(merchant: Merchant) -> QuerySet[ConnectionDraft]:
    """The drafts of this merchant that are not done with, the latest first."""
    rows = ConnectionDraft.objects.filter(merchant=merchant).exclude(state=DraftState.PASSED)
    return rows.select_related("connection").order_by("-changed_at", "-id")


def missing_secrets(draft: ConnectionDraft) -> set[str]:
    """The secrets that have to be typed before it can be tested. Those of a connection serve on, at their own host."""
    wanted = set(secret_names(PROVIDERS[draft.provider].Settings))
    if draft.connection is not None and not leads_elsewhere(draft):
        return set()
    return wanted - set(draft.sealed)


def leads_elsewhere(draft: ConnectionDraft) -> bool:
    """Whether it changes a connection's address to another host."""
    if draft.connection is None:
        return False
    return _hosts(draft.provider, draft.typed) != _hosts(draft.provider, draft.connection.options)


def _hosts(provider: str, values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Scheme, host and port of each address among the settings. Written otherwise it counts as another one."""
    declared = PROVIDERS[provider].Settings.declared()
    urls = (str(values.get(name, "")).strip().lower() for name, field in declared.items() if field.kind == "address")
    found = []
    for url in urls:
        try:
            found.append(urlsplit(url)[:2])
        except ValueError:
            found.append(("", url))
    return found


def presets(draft: ConnectionDraft) -> Mapping[str, str]:
    """The provider's own addresses in the draft's environment, by setting."""
    return PROVIDERS[draft.provider].hosts.get(draft.environment, {})


def place(draft: ConnectionDraft, secret: str) -> vault.Context:
    """Where this secret's box belongs."""
    return vault.Context(
        merchant=draft.merchant_id, table="merchants_connectiondraft", row=str(draft.key), field=secret
    )


def _as_typed(value: object) -> str:
    return ("on" if value else "") if isinstance(value, bool) else str(value)


# ---- What a worker reports ------------------------------------------------------------------------------------
@draft_writer.writes
def claim(draft_id: int) -> ConnectionDraft | None:
    """Take a waiting test on, for as long as the lease lasts. None where it is not waiting."""
    claimed = ConnectionDraft.objects.filter(pk=draft_id, state=DraftState.WAITING).update(
        state=DraftState.ASKING,
        attempt=F("attempt") + 1,
        tries=F("tries") + 1,
        findings=[],
        woken_at=None,
        lease_until=Now() + timedelta(seconds=settings.TRIAL_LEASE_SECONDS),
    )
    rows = ConnectionDraft.objects.select_related("merchant", "connection__merchant", "author")
    return rows.get(pk=draft_id) if claimed else None


@draft_writer.writes
def found(draft: ConnectionDraft, finding: Finding) -> None:
    """One step more is known."""
    draft.findings = [*draft.findings, _kept(finding)]
    _mine(draft).update(findings=draft.findings)


@draft_writer.writes
def failed(draft: ConnectionDraft, *, why: str = "", secrets: Mapping[str, str] | None = None) -> None:
    """The test was not passed. `why` says so where the doctor has not. `secrets` where the provider was only away: they
    are sealed for the connection to come, so that it can be kept, paused, without having been tested."""
    box = None
    if secrets is not None and draft.connection is None:
        to_come = Connection(merchant=draft.merchant, key=draft.key)
        connections.seal_secrets(to_come, secrets)
        box = to_come.sealed_secrets
    if why:
        draft.findings = [*draft.findings, {"passed": False, "sentence": _sentence(why)}]
    _mine(draft).update(state=DraftState.FAILED, lease_until=None, sealed_secrets=box, findings=draft.findings)


@draft_writer.writes
def passed(draft: ConnectionDraft, *, options: Mapping[str, object], secrets: Mapping[str, str]) -> None:
    """The test was passed: now, and in this one transaction, what was typed counts."""
    with transaction.atomic(durable=True):
        if not _mine(draft).select_for_update(of=("self",)).exists():
            return  # somebody has typed since
        if not _author_may(draft):
            failed(draft, why=NOT_ANY_MORE)
            return
        become = becoming.switch if draft.connection else becoming.connect
        connection = become(draft, options=options, secrets=secrets)
        if connection is None:
            _again(_mine(draft))
        else:
            _mine(draft).update(
                state=DraftState.PASSED, connection=connection, lease_until=None, sealed={}, sealed_secrets=None
            )


def _mine(draft: ConnectionDraft) -> QuerySet[ConnectionDraft]:
    """The row, if this worker still holds it: a worker that was given up for dead writes nothing, and neither does one
    that tested what somebody has changed since."""
    return ConnectionDraft.objects.filter(pk=draft.pk, state=DraftState.ASKING, attempt=draft.attempt)


def _author_may(draft: ConnectionDraft) -> bool:
    member = Member.objects.filter(merchant=draft.merchant_id, person=draft.author, person__is_active=True).first()
    try:
        return member is not None and bool(standing.still_may(member, Permission.CONNECT))
    except PermissionDenied:
        return False


def _again(rows: QuerySet[ConnectionDraft]) -> None:
    """Let another worker take it on; the sweep wakes one."""
    rows.update(state=DraftState.WAITING, lease_until=None, woken_at=Now(), findings=[])


def _kept(finding: Finding) -> dict[str, object]:
    """A finding as JSON keeps it: sentences as message and values, for readers of any language."""
    return {
        "step": finding.step.value,
        "passed": finding.passed,
        "sentence": _sentence(finding.sentence),
        "fix": _sentence(finding.fix) if finding.fix else None,
        "said": finding.said,
        "trace": finding.trace,
    }


def _sentence(text: str) -> dict[str, object]:
    if isinstance(text, Sentence):
        return {"message": text.message, "values": text.values}
    return {"message": text, "values": {}}


# ---- What the clock does --------------------------------------------------------------------------------------
@draft_writer.writes
def sweep() -> list[int]:
    """Take back tests of dead workers, forget old drafts, and return the ids of those that wait for a worker."""
    with tenancy.every_merchant("the sweep finds tests of dead workers and old drafts"):
        lapsed = ConnectionDraft.objects.filter(state=DraftState.ASKING, lease_until__lt=Now())
        lost = {"passed": False, "sentence": _sentence(WORKER_LOST)}
        lapsed.filter(tries__gte=TRIES).update(state=DraftState.FAILED, lease_until=None, findings=[lost])
        _again(lapsed.filter(tries__lt=TRIES))
        kept = timedelta(days=settings.DRAFT_DAYS)
        ConnectionDraft.objects.filter(changed_at__lt=Now() - kept).delete()
        patience = timedelta(seconds=settings.SWEEP_SECONDS)
        overdue = ConnectionDraft.objects.filter(state=DraftState.WAITING, woken_at__lt=Now() - patience)
        return list(overdue.order_by("woken_at").values_list("pk", flat=True)[:500])
