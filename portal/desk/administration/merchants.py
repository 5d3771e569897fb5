"""Merchants and what belongs to them: stores, members, invitations, connections, tills."""

from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.connectors import provider_name
from portal.desk.administration import limits
from portal.desk.administration.deeds import Deed, NotDone
from portal.desk.administration.facts import (
    OF_MERCHANT,
    Fact,
    country,
    decided,
    language,
    link,
    page_url,
    state,
    when,
    yes_or_no,
)
from portal.desk.administration.lists import OfMerchant
from portal.desk.administration.rows import Rows
from portal.desk.administration.site import site
from portal.ledger import models as ledger
from portal.ledger.operation_words import name_of
from portal.mail.models import OutgoingMail
from portal.merchants import connections, hosts, invitations, pins, viewing
from portal.merchants.connection_pages import option_lines, secret_lines
from portal.merchants.models import (
    AuditEntry,
    Connection,
    DailyLimit,
    HostApproval,
    HostState,
    Invitation,
    InvitationState,
    Member,
    Merchant,
    Person,
    Pin,
    Store,
    Till,
)
from portal.money import Money


def _look(request: HttpRequest, row: Merchant, said: dict[str, Any]) -> tuple[str, str]:
    viewing.begin(request, row, reason=said["reason"])
    return gettext("The owners were told. Every page you open stands in their trail."), reverse("desk", args=[row.slug])


LOOK = Deed(
    slug="look",
    label=_("Look at its pages"),
    sentence=lambda row: (
        gettext(
            "For %(minutes)s minutes you see the pages of %(name)s as the role Read-only sees them, and change nothing."
            " Its owners get a mail with your name and the reason."
        )
        % {"minutes": settings.VIEW_AS_SECONDS // 60, "name": row.name}
    ),
    do=_look,
)


LEDGER = (ledger.Operation, ledger.Card, ledger.Approval, ledger.Inquiry)


class Merchants(Rows):
    title = _("Merchants")
    what = _("Whose cards run here. All else of a merchant is reached from its page.")
    in_rail = True
    notes_lists = False  # their names, to find one
    ordering = ("name", "pk")
    deeds = (LOOK, *limits.SET)
    search_help_text = _("The beginning of a name, or the name in the address")
    lists = (
        Fact(_("Name"), "name"),
        Fact(_("In the address"), "slug"),
        Fact(_("Country"), "country", country),
        Fact(_("Currency"), "currency"),
        when(_("Founded"), "founded_at"),
    )
    shows = (
        *lists,
        Fact(_("Time zone"), "time_zone"),
        Fact(_("Language of its papers"), "language", language),
        Fact(_("Two people decide from"), lambda row: _money(row, row.second_person_from)),
        Fact(_("Two people decide from, in points"), "second_person_from_points", formats.number),
        Fact(_("The most that roles move alone"), limits.role_words),
        Fact(_("In 24 hours at most"), limits.daily_words),
        Fact(_("Tills lock themselves after, in seconds"), "lock_after_seconds"),
    )

    def found(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        return rows.filter(Q(slug__startswith=text.lower()) | Q(name__istartswith=text))

    def merchants_of(self, row: Merchant) -> list[int]:
        return [row.pk]

    def ways(self, row: Merchant) -> list[tuple[str, str]]:
        kinds = (
            Store,
            Member,
            Invitation,
            Connection,
            HostApproval,
            DailyLimit,
            Till,
            *LEDGER,
            OutgoingMail,
            AuditEntry,
        )
        return [(str(admin.title), admin.list_url(row)) for admin in (Rows.of(site, kind) for kind in kinds)]


def _money(row: Merchant, minor: int | None) -> str:
    return "" if minor is None else formats.money(Money(minor, row.currency))


class Stores(Rows):
    title = _("Stores")
    what = _("Where merchants sell.")
    related = ("merchant",)
    list_filter = (OfMerchant,)
    lists = (Fact(_("Name"), "name"), OF_MERCHANT, Fact(_("Address"), "address"))
    shows = lists


def _unlock_pin(request: HttpRequest, row: Member, said: dict[str, Any]) -> tuple[str, str]:
    if not pins.forget_wrong_tries(row, by=cast(Person, request.user), reason=said["reason"], request=request):
        raise NotDone(gettext("Nothing stops this PIN."))
    return gettext("The PIN of %(name)s works again.") % {"name": row.person.name}, ""


UNLOCK_PIN = Deed(
    slug="unlock-pin",
    label=_("Unlock the PIN"),
    sentence=lambda row: (
        gettext("Wrong tries at the PIN of %(name)s are forgotten. It stays the same PIN.") % {"name": row.person.name}
    ),
    do=_unlock_pin,
    offered=lambda row: Pin.objects.filter(merchant=row.merchant_id, member=row, failures__gt=0).exists(),
)


class Members(Rows):
    deeds = (UNLOCK_PIN,)
    title = _("Members")
    what = _("Who works at which merchant, and as what.")
    related = ("merchant", "person")
    list_filter = (OfMerchant,)
    lists = (
        Fact(_("Person"), "person.name"),
        Fact(_("Role"), "get_role_display"),
        OF_MERCHANT,
        when(_("Since"), "since"),
        when(_("Last seen"), "seen_at"),
    )
    shows = (*lists, Fact(_("Sign-in"), "person", link), Fact(_("PIN"), lambda row: pin_words(row)))

    def name(self, row: Member) -> str:
        return row.person.name


def pin_words(row: Member) -> str:
    """Where the member's PIN stands."""
    pin = Pin.objects.filter(merchant=row.merchant_id, member=row).defer("hash").first()
    if pin is None:
        return gettext("none chosen")
    if pin.dead_at:
        return gettext("dead after too many wrong tries, until the person signs in with the password")
    if pin.blocked_until and pin.blocked_until > timezone.now():
        return gettext("waits after wrong tries")
    return gettext("chosen on %(day)s") % {"day": formats.day(pin.set_at)}


def _resend(request: HttpRequest, row: Invitation, said: dict[str, Any]) -> tuple[str, str]:
    try:
        sent = invitations.resend_for(row, by=cast(Person, request.user), reason=said["reason"], request=request)
    except invitations.NotOpen:
        raise NotDone(gettext("This invitation has ended meanwhile. Nothing was sent.")) from None
    except invitations.TooMany:
        raise NotDone(gettext("As many invitations as a day allows were sent. Nothing was sent.")) from None
    return gettext("The invitation is sent again."), page_url(sent)


RESEND = Deed(
    slug="resend",
    label=_("Send it again"),
    sentence=lambda row: (
        gettext("%(email)s gets another link, in the name of %(name)s. The link sent before is dead from then on.")
        % {"email": row.email, "name": row.invited_by.name}
    ),
    do=_resend,
    offered=lambda row: row.state == InvitationState.PENDING,
)


class Invitations(Rows):
    deeds = (RESEND,)
    title = _("Invitations")
    what = _("Who was invited, by whom, and what became of it.")
    related = ("merchant",)
    page_related = ("invited_by",)
    list_filter = (OfMerchant,)
    lists = (
        Fact(_("Address"), "email"),
        Fact(_("Role"), "get_role_display"),
        state(_("State"), decided),
        OF_MERCHANT,
        when(_("Invited"), "invited_at"),
    )
    shows = (
        *lists,
        Fact(_("By"), "invited_by", link),
        when(_("Valid until"), "expires_at"),
        when(_("Ended"), "ended_at"),
    )

    def name(self, row: Invitation) -> str:
        return row.email


class Connections(Rows):
    title = _("Connections")
    what = _("Accounts of merchants at providers, and which of them are paused. Secrets are sealed, for everybody.")
    in_rail = True
    related = ("merchant",)
    list_filter = (OfMerchant,)
    lists = (
        Fact(_("Name"), "name"),
        OF_MERCHANT,
        Fact(_("Provider"), "provider", provider_name),
        Fact(_("Environment"), "get_environment_display"),
        state(_("State"), connections.state_words),
        when(_("Last used"), "used_at"),
    )
    shows = (
        *lists,
        Fact(_("Key"), "key"),
        Fact(_("Settings"), lambda row: settings_words(row)),
        Fact(_("Secrets"), lambda row: gettext("Sealed. Only a worker can open them, and nobody can read them here.")),
        Fact(_("When they were set"), lambda row: secrets_words(row)),
        Fact(_("Operations at once, at most"), "concurrency"),
        Fact(_("Operations a second, at most"), "per_second"),
        Fact(_("Only this desk moves its cards"), "only_this_desk", yes_or_no),
        Fact(_("Reads the balance first"), "reads_balance_first", yes_or_no),
    )

    def ways(self, row: Connection) -> list[tuple[str, str]]:
        return [(gettext("Switches"), reverse("switches"))]


def settings_words(row: Connection) -> str:
    """What the provider asked for beside secrets."""
    return "\n".join(f"{label}: {text or '–'}" for label, text, _typed in option_lines(row))


def secrets_words(row: Connection) -> str:
    """When each secret was set, and by whom. No more of it."""
    lines: list[dict[str, Any]] = secret_lines(row)
    return "\n".join(
        gettext("%(secret)s: set on %(day)s by %(name)s")
        % {"secret": each["label"], "day": formats.day(each["note"].set_at), "name": name_of(each["by"])}
        for each in lines
        if each["note"] is not None
    )


def _approve(request: HttpRequest, row: HostApproval, said: dict[str, Any]) -> tuple[str, str]:
    _decide(hosts.decide, request, row, said, approve=True)
    return gettext("%(host)s may be called for %(name)s.") % {"host": row.origin, "name": row.merchant.name}, ""


def _refuse(request: HttpRequest, row: HostApproval, said: dict[str, Any]) -> tuple[str, str]:
    _decide(hosts.decide, request, row, said, approve=False)
    return gettext("The owners are told that it is refused."), ""


def _revoke(request: HttpRequest, row: HostApproval, said: dict[str, Any]) -> tuple[str, str]:
    _decide(hosts.revoke, request, row, said)
    return gettext("%(host)s may not be called any more.") % {"host": row.origin}, ""


def _decide(
    service: Callable[..., None], request: HttpRequest, row: HostApproval, said: dict[str, Any], **how: bool
) -> None:
    try:
        service(row, by=cast(Person, request.user), note=said["reason"], request=request, **how)
    except hosts.DecidedAlready:
        raise NotDone(gettext("Somebody else has decided this meanwhile. Nothing was changed by you.")) from None


HOST_DEEDS = (
    Deed(
        slug="approve",
        label=_("Approve"),
        sentence=lambda row: (
            gettext("Workers then call %(host)s with the secrets of %(name)s. Be sure whose it is.")
            % {"host": row.origin, "name": row.merchant.name}
        ),
        do=_approve,
        offered=lambda row: row.state == HostState.WAITING,
    ),
    Deed(
        slug="refuse",
        label=_("Refuse"),
        sentence=lambda row: (
            gettext("%(host)s is not called for %(name)s. They can ask again.")
            % {"host": row.origin, "name": row.merchant.name}
        ),
        do=_refuse,
        offered=lambda row: row.state == HostState.WAITING,
    ),
    Deed(
        slug="revoke",
        label=_("Take the approval back"),
        sentence=lambda row: (
            gettext("The next call to %(host)s for %(name)s is refused, and the connection pauses.")
            % {"host": row.origin, "name": row.merchant.name}
        ),
        do=_revoke,
        offered=lambda row: row.state == HostState.APPROVED,
    ),
)


class Hosts(Rows):
    title = _("Hosts")
    what = _("Where merchants want their providers to be called, other than at the provider’s own addresses.")
    related = ("merchant",)
    page_related = ("asked_by", "decided_by")
    list_filter = (OfMerchant,)
    deeds = HOST_DEEDS
    in_trail = "hosts"
    lists = (
        Fact(_("Address"), "origin"),
        state(_("State"), decided),
        OF_MERCHANT,
        Fact(_("Provider"), "provider", provider_name),
        when(_("Asked"), "asked_at"),
    )
    shows = (
        *lists,
        Fact(_("Reason"), "reason"),
        Fact(_("Asked by"), "asked_by", link),
        Fact(_("Decided by"), "decided_by", link),
        when(_("Decided"), "decided_at"),
        Fact(_("What was said about it"), "note"),
    )


class Tills(Rows):
    title = _("Tills")
    what = _("Browsers that several cashiers share.")
    related = ("merchant", "store", "cashier")
    page_related = ("opened_by",)
    list_filter = (OfMerchant,)
    lists = (
        Fact(_("Name"), "name"),
        OF_MERCHANT,
        Fact(_("Store"), "store.name"),
        Fact(_("At it now"), "cashier.name"),
        when(_("Last used"), "active_at"),
    )
    shows = (
        *lists,
        when(_("Opened"), "opened_at"),
        Fact(_("By"), "opened_by", link),
        when(_("Ended"), "ended_at"),
        when(_("Waits after wrong PINs until"), "blocked_until"),
    )
