"""Hosts: where a merchant's providers may be called, and the only writer of what administrators say about it.

A provider's own hosts stand in its connector, and the environment may allow more (PROVIDER_ORIGINS_ALLOWED). Any other
needs an administrator's approval, for one merchant, one provider and one origin:

    WAITING ─┬→ APPROVED ─→ WITHDRAWN     by an administrator: the next call is refused
             ├→ REFUSED
             └→ WITHDRAWN                 by the merchant

It is asked when a connection is saved and again before each call (`require`). Approved or not, a name must lead to the
public internet whenever it is called; connectors/addresses.py looks at that with every call and connects to the very
address it looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from portal.connectors import PROVIDERS, addresses
from portal.connectors.base import Misconfigured, Reason
from portal.merchants import audit, owners, standing, tenancy
from portal.merchants.fields import one_line
from portal.merchants.models import HostApproval, HostState, Member, Merchant, Person, host_writer
from portal.merchants.roles import Permission

TEXT_LENGTH = 500


class Standing(StrEnum):
    """What is known of an address."""

    PRESET = "preset"  # the provider's own
    ALLOWED = "allowed"  # by the environment
    APPROVED = "approved"  # by an administrator, for this merchant
    WANTS_APPROVAL = "wants_approval"
    REFUSED = "refused"  # by the rules: nobody can approve it


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What `judge` says. `sentence` is for whoever typed an address that is REFUSED; `last` is what was last asked
    about one that WANTS_APPROVAL, if anything was: it may wait for an administrator or have been turned down."""

    standing: Standing
    origin: str = ""
    sentence: str = ""
    last: HostApproval | None = None

    @property
    def may_be_called(self) -> bool:
        return self.standing in (Standing.PRESET, Standing.ALLOWED, Standing.APPROVED)


class NothingToAsk(Exception):
    """This address needs no approval, or none can be given. `verdict` says which."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.standing.value)
        self.verdict = verdict


class DecidedAlready(Exception):
    """Somebody else was faster. Nothing was changed."""


# ---- Judging --------------------------------------------------------------------------------------------------
def judge(
    merchant: Merchant, provider: str, url: str, *, resolve: addresses.Resolve = addresses.resolve_in_time
) -> Verdict:
    """Whether this merchant's connection to `provider` may have this address.

    Looks a name up only where the address is new, and then for a few seconds at most.
    """
    try:
        if known := _known(merchant.pk, provider, [url]):
            return Verdict(standing=known[0], origin=addresses.origin(url))
        addresses.check(url, resolve=resolve)
    except addresses.AddressRefused as refused:
        return Verdict(standing=Standing.REFUSED, sentence=_(str(refused)))
    except OSError:
        sentence = _("This host name cannot be found just now. Check its spelling.")
        return Verdict(standing=Standing.REFUSED, sentence=sentence)
    origin = addresses.origin(url)
    last = HostApproval.objects.filter(merchant=merchant, provider=provider, origin=origin).order_by("-id").first()
    return Verdict(standing=Standing.WANTS_APPROVAL, origin=origin, last=last)


def require(merchant_id: int, provider: str, values: Mapping[str, object]) -> None:
    """Call before each call to a provider: raise Misconfigured (ADDRESS_REFUSED) unless every address among the
    settings `values` may be called now."""
    declared = PROVIDERS[provider].Settings.declared()
    urls = [str(values[name]) for name, field in declared.items() if field.kind == "address" and values.get(name)]
    try:
        known = _known(merchant_id, provider, urls)
    except addresses.AddressRefused:
        known = []
    if len(known) != len(urls):
        raise Misconfigured(reason=Reason.ADDRESS_REFUSED)


def _known(merchant_id: int, provider: str, urls: list[str]) -> list[Standing]:
    """How those of the addresses stand that may be called. Asks the database only where nothing else knows them."""
    preset = {addresses.origin(url) for by_name in PROVIDERS[provider].hosts.values() for url in by_name.values()}
    allowed = {addresses.origin(url) for url in settings.PROVIDER_ORIGINS_ALLOWED}
    origins = [addresses.origin(url) for url in urls]
    approved: set[str] = set()
    if others := set(origins) - preset - allowed:
        rows = HostApproval.objects.filter(merchant=merchant_id, provider=provider, state=HostState.APPROVED)
        approved = set(rows.filter(origin__in=others).values_list("origin", flat=True))
    by_standing = {Standing.PRESET: preset, Standing.ALLOWED: allowed, Standing.APPROVED: approved}
    found = [[known for known, these in by_standing.items() if origin in these] for origin in origins]
    return [known[0] for known in found if known]


# ---- Asking ---------------------------------------------------------------------------------------------------
@host_writer.writes
def ask(
    member: Member, provider: str, url: str, *, reason: str = "", request: HttpRequest | None = None
) -> HostApproval:
    """Ask the administrators for this address; once, however often it is pressed.

    Raises NothingToAsk where it may be called already, or never may; DecidedAlready where the same wish was decided in
    this moment; PermissionDenied if the member may no longer.
    """
    verdict = judge(member.merchant, provider, url)
    if verdict.standing != Standing.WANTS_APPROVAL:
        raise NothingToAsk(verdict)
    with transaction.atomic(durable=True):
        standing.still_may(member, Permission.CONNECT)
        fresh = HostApproval(
            merchant=member.merchant,
            provider=provider,
            origin=verdict.origin,
            reason=one_line(reason)[:TEXT_LENGTH],
            asked_by=member.person,
        )
        HostApproval.objects.bulk_create([fresh], ignore_conflicts=True)
        rows = HostApproval.objects.filter(merchant=member.merchant, provider=provider, origin=verdict.origin)
        stored = rows.filter(state__in=(HostState.WAITING, HostState.APPROVED)).first()
        if stored is None:
            raise DecidedAlready
        if stored.key == fresh.key:
            _note("host asked", stored, member.person, request, reason=stored.reason)
    return stored


@host_writer.writes
def take_back(member: Member, approval: HostApproval, *, request: HttpRequest | None = None) -> bool:
    """The merchant needs it no longer. False where it was decided meanwhile; that leaves it as it is."""
    with transaction.atomic(durable=True):
        standing.still_may(member, Permission.CONNECT)
        taken = _move(approval, HostState.WAITING, HostState.WITHDRAWN, member.person, "")
        if taken:
            _note("host request withdrawn", approval, member.person, request)
    return taken


# ---- Deciding -------------------------------------------------------------------------------------------------
def decide(
    approval: HostApproval, *, by: Person, approve: bool, note: str = "", request: HttpRequest | None = None
) -> None:
    """An administrator says yes or no; the merchant's owners are told by mail.

    Raises DecidedAlready, and PermissionDenied for whoever is no administrator (any more). That they showed their
    second factor today is the page's to ask.
    """
    state = HostState.APPROVED if approve else HostState.REFUSED
    _decide(approval, HostState.WAITING, state, by, note, request, verb="host approved" if approve else "host refused")


def revoke(approval: HostApproval, *, by: Person, note: str = "", request: HttpRequest | None = None) -> None:
    """An administrator takes an approval back: the next call there is refused, and the connection pauses. Raises as
    `decide` does."""
    _decide(approval, HostState.APPROVED, HostState.WITHDRAWN, by, note, request, verb="host approval withdrawn")


@host_writer.writes
def _decide(
    approval: HostApproval,
    before: HostState,
    after: HostState,
    by: Person,
    note: str,
    request: HttpRequest | None,
    *,
    verb: str,
) -> None:
    with tenancy.merchant(approval.merchant_id), transaction.atomic(durable=True):
        standing.still_administers(by)
        if not _move(approval, before, after, by, one_line(note)[:TEXT_LENGTH]):
            raise DecidedAlready
        approval.refresh_from_db()
        _note(verb, approval, by, request, note=approval.note)
        _tell_owners(approval)


def _move(approval: HostApproval, before: HostState, after: HostState, by: Person, note: str) -> bool:
    rows = HostApproval.objects.filter(pk=approval.pk, merchant=approval.merchant_id, state=before)
    return bool(rows.update(state=after, decided_by=by, decided_at=Now(), note=note))


def _note(verb: str, approval: HostApproval, person: Person, request: HttpRequest | None, **detail: Any) -> None:
    detail = {name: text for name, text in detail.items() if text} | {"provider": PROVIDERS[approval.provider].name}
    audit.record(verb, approval.origin, merchant=approval.merchant, person=person, request=request, **detail)


def _tell_owners(approval: HostApproval) -> None:
    merchant = approval.merchant

    def write(owner: Person) -> tuple[str, str]:
        words = {
            "merchant": one_line(merchant.name),
            "provider": PROVIDERS[approval.provider].name,
            "origin": approval.origin,
            "state": approval.state,
            "note": approval.note,
            "link": settings.PUBLIC_URL + reverse("settings", args=[merchant.slug]),
        }
        subject = {
            HostState.APPROVED: _("%(merchant)s may reach %(provider)s at %(origin)s"),
            HostState.REFUSED: _("%(merchant)s may not reach %(provider)s at %(origin)s"),
            HostState.WITHDRAWN: _("%(merchant)s may no longer reach %(provider)s at %(origin)s"),
        }[HostState(approval.state)]
        return subject % words, render_to_string("merchants/host_mail.txt", words)

    owners.tell(merchant, write)
