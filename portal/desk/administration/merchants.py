"""Merchants and what belongs to them: stores, members, invitations, connections, tills."""

from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.connectors import PROVIDERS
from portal.desk.administration.deeds import Deed
from portal.desk.administration.rows import OF_MERCHANT, Fact, OfMerchant, Rows, link, when, yes_or_no
from portal.desk.administration.site import site
from portal.ledger import models as ledger
from portal.mail.models import OutgoingMail
from portal.merchants import connections, viewing
from portal.merchants.models import AuditEntry, Connection, Invitation, Member, Merchant, Pin, Store, Till
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


class Merchants(Rows):
    title = _("Merchants")
    what = _("Whose cards run here. All else of a merchant is reached from its page.")
    in_rail = True
    ordering = ("name", "pk")
    deeds = (LOOK,)
    search_help_text = _("The beginning of a name, or the name in the address")
    lists = (
        Fact(_("Name"), "name"),
        Fact(_("In the address"), "slug"),
        Fact(_("Country"), "country"),
        Fact(_("Currency"), "currency"),
        when(_("Founded"), "founded_at"),
    )
    shows = (
        *lists,
        Fact(_("Time zone"), "time_zone"),
        Fact(_("Language of its papers"), "language"),
        Fact(_("Two people decide from"), lambda row: _money(row, row.second_person_from)),
        Fact(_("Two people decide from, in points"), "second_person_from_points", formats.number),
        Fact(_("Tills lock themselves after, in seconds"), "lock_after_seconds"),
    )

    def found(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        return rows.filter(Q(slug__startswith=text.lower()) | Q(name__istartswith=text))

    def merchants_of(self, row: Merchant) -> list[int]:
        return [row.pk]

    def ways(self, row: Merchant) -> list[tuple[str, str]]:
        kinds = (Store, Member, Invitation, Connection, Till, ledger.Operation, ledger.Card, ledger.Approval)
        return [
            (str(admin.title), admin.list_url(row))
            for admin in (Rows.of(site, kind) for kind in (*kinds, ledger.Inquiry, OutgoingMail, AuditEntry))
        ]


def _money(row: Merchant, minor: int | None) -> str:
    return "" if minor is None else formats.money(Money(minor, row.currency))


class Stores(Rows):
    title = _("Stores")
    what = _("Where merchants sell.")
    related = ("merchant",)
    list_filter = (OfMerchant,)
    lists = (Fact(_("Name"), "name"), OF_MERCHANT, Fact(_("Address"), "address"))
    shows = lists


class Members(Rows):
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


class Invitations(Rows):
    title = _("Invitations")
    what = _("Who was invited, by whom, and what became of it.")
    related = ("merchant", "invited_by")
    list_filter = (OfMerchant,)
    lists = (
        Fact(_("Address"), "email"),
        Fact(_("Role"), "get_role_display"),
        Fact(_("State"), "get_state_display"),
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
        Fact(_("Provider"), "provider", lambda slug: PROVIDERS[slug].name if slug in PROVIDERS else slug),
        Fact(_("Environment"), "get_environment_display"),
        Fact(_("State"), lambda row: connection_words(row)),
    )
    shows = (
        *lists,
        Fact(_("Settings"), "options", lambda options: ", ".join(f"{key}: {value}" for key, value in options.items())),
        Fact(_("Secrets"), lambda row: gettext("Sealed. Only a worker can open them, and nobody can read them here.")),
        Fact(_("Operations at once, at most"), "concurrency"),
        Fact(_("Operations a second, at most"), "per_second"),
        Fact(_("Only this desk moves its cards"), "only_this_desk", yes_or_no),
        Fact(_("Reads the balance first"), "reads_balance_first", yes_or_no),
    )


def connection_words(row: Connection) -> str:
    """Whether the provider is asked, and if not, why."""
    if row.paused_at:
        since, why = formats.exact(row.paused_at), connections.pause_words(row)
        return gettext("Paused since %(since)s: %(why)s") % {"since": since, "why": why}
    if row.held_until and row.held_until > timezone.now():
        until = formats.clock_exact(row.held_until)
        return gettext("Waiting until %(until)s, as the provider asked") % {"until": until}
    return gettext("Ready")


class Tills(Rows):
    title = _("Tills")
    what = _("Browsers that several cashiers share.")
    related = ("merchant", "store", "cashier", "opened_by")
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
