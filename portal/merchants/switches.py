"""Kill switches: what administrators switch off for everybody, for one connection, or of one merchant's public page.
The only writer of them.

What is switched off is not asked: a person is told at once, with the administrator's words; what was accepted waits and
runs in order when it is switched on again. Pages read all that is in force at once and look in that list; the claim of
operations joins the same few rows (operations.py).
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.connectors import PROVIDERS
from portal.merchants import audit, tenancy
from portal.merchants.models import Connection, Merchant, Person, Scope, Switch, switch_writer

REASON_LENGTH, BANNER_LENGTH = 300, 200
LOOK_UP = "balance"  # the verb of a look-up

DOINGS: dict[str, Promise] = {
    LOOK_UP: _("Looking up cards"),
    "pay": _("Taking payments"),
    "top_up": _("Adding money"),
    "sale": _("Selling with a card"),
    "award": _("Giving the points for a purchase"),
    "issue_code": _("Showing codes that give points"),
    "issue_points": _("Giving points"),
    "redeem_points": _("Redeeming points"),
    "tip": _("Taking tips"),
    "void": _("Voiding"),
    "activate": _("Activating cards"),
}


class ThrownAlready(Exception):
    """The same is switched off already. Nothing was changed."""


@switch_writer.writes
def throw(
    person: Person,
    *,
    scope: str,
    provider: str = "",
    verb: str = "",
    connection: Connection | None = None,
    merchant: Merchant | None = None,
    reason: str,
    banner: str,
    expires_at: datetime | None = None,
    request: HttpRequest | None = None,
) -> Switch:
    """Switch it off; with `merchant`, its public page alone. Who calls it has made sure that the person is an
    administrator.

    Raises ThrownAlready; ValueError without reason or banner, or for a time that is over.
    """
    if not reason or not banner or (expires_at is not None and expires_at <= timezone.now()):
        raise ValueError("A switch has a reason and a text for tills, and is not over before it begins.")
    switch = Switch(scope=scope, provider=provider, verb=verb, connection=connection, thrown_by=person)
    switch.merchant = connection.merchant if connection else merchant
    switch.reason, switch.banner = reason[:REASON_LENGTH], banner[:BANNER_LENGTH]
    switch.expires_at = expires_at
    try:
        with transaction.atomic():
            switch.save(force_insert=True)
            until = expires_at.isoformat(timespec="minutes") if expires_at else None
            _note("switched off", switch, person, request, reason=switch.reason, until=until)
    except IntegrityError as broken:
        if "_once" in str(broken):
            raise ThrownAlready from None
        raise
    return switch


@switch_writer.writes
def end(switch: Switch, person: Person, *, request: HttpRequest | None = None) -> bool:
    """Switch it on again. False where it was already."""
    with transaction.atomic():
        ended = Switch.objects.filter(pk=switch.pk, ended_at=None).update(ended_at=Now(), ended_by=person)
        if ended:
            _note("switched on", switch, person, request)
    return bool(ended)


@switch_writer.writes
def end_expired() -> int:
    """Note the end of those whose time has come; they have been without effect since. Returns how many."""
    with tenancy.every_merchant("switches whose time has come are noted as ended"), transaction.atomic():
        due = Switch.objects.filter(ended_at=None, expires_at__lte=Now()).select_related("connection", "merchant")
        over = list(due.select_for_update(of=("self",), skip_locked=True))
        Switch.objects.filter(pk__in=[each.pk for each in over]).update(ended_at=Now())
        for each in over:
            _note("switched on", each, None, None)
    return len(over)


def _note(verb: str, switch: Switch, person: Person | None, request: HttpRequest | None, **detail: audit.Value) -> None:
    audit.record(
        verb, subject(switch), merchant=switch.merchant, person=person, request=request, changes=None, **detail
    )


def subject(switch: Switch) -> str:
    """What it is about, as the trail names it, in no language: `pay at paywizard`."""
    if switch.connection:
        return switch.connection.name
    return " at ".join(filter(None, [switch.verb, switch.provider])) or switch.scope


# ---- What is off ----------------------------------------------------------------------------------------------
def in_force() -> list[Switch]:
    """All that is switched off and concerns whoever asks, in one query: a handful at the worst of times, and none at
    any other, when no connection is read beside them."""
    return list(_in_force().prefetch_related("connection", "merchant").order_by("id"))


def _in_force() -> QuerySet[Switch]:
    return Switch.objects.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), ended_at=None)


def off(connection: Connection, verb: str, thrown: Sequence[Switch] | None = None) -> Switch | None:
    """What keeps this verb from being asked at the connection, if anything. `thrown`: what is in force, where the
    caller has read it."""
    found = in_force() if thrown is None else thrown
    return next((each for each in found if each.verb in ("", verb) and concerns(each, connection)), None)


def concerns(switch: Switch, connection: Connection) -> bool:
    """Whether the connection, or one of its verbs, is switched off by it."""
    if switch.scope == Scope.CONNECTION:
        return switch.connection_id == connection.pk
    return switch.scope in (Scope.PROVIDER, Scope.VERB) and switch.provider in ("", connection.provider)


def stopped() -> Q:
    """A filter for rows that have a `connection`: those where it is switched off as a whole."""
    rows = Q(pk__in=())
    for each in _in_force().filter(scope__in=(Scope.PROVIDER, Scope.CONNECTION)):
        rows |= Q(connection=each.connection_id) if each.connection_id else Q(connection__provider=each.provider)
    return rows


def of_public_page() -> Switch | None:
    """What keeps shoppers from the page of the merchant that asks, if anything. Shoppers themselves are kept from it by
    a statement of their own (shopper/shops.py)."""
    return next((each for each in in_force() if each.scope == Scope.PUBLIC_PAGE), None)


# ---- In words -------------------------------------------------------------------------------------------------
def title(switch: Switch) -> str:
    """What is switched off: PayWizard; Taking payments at PayWizard; the name of a connection."""
    provider = PROVIDERS[switch.provider].name if switch.provider in PROVIDERS else switch.provider
    if switch.connection:
        return switch.connection.name
    if switch.scope == Scope.VERB:
        doing = str(DOINGS.get(switch.verb, switch.verb))
        return gettext("%(doing)s at %(provider)s") % {"doing": doing, "provider": provider} if provider else doing
    if switch.merchant:
        return gettext("The public balance page of %(name)s") % {"name": switch.merchant.name}
    return provider or str(Scope(switch.scope).label)


def words(switch: Switch) -> str:
    """What a till shows as long as it is off."""
    return gettext("%(what)s: switched off by the administrator since %(since)s. “%(banner)s”") % {
        "what": title(switch),
        "since": formats.moment(switch.thrown_at),
        "banner": switch.banner,
    }
