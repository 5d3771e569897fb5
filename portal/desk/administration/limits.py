"""Limits as administrators handle them: how much a merchant may do in a day, and how much its roles move alone."""

from typing import Any, cast

from django import forms
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.desk.administration.deeds import Deed, NotDone, ReasonForm
from portal.desk.administration.facts import OF_MERCHANT, Fact, decided, link, state, when
from portal.desk.administration.lists import OfMerchant
from portal.desk.administration.rows import Rows
from portal.ledger import limits
from portal.ledger.limit_forms import KINDS, LimitsForm
from portal.merchants import daily_limits
from portal.merchants.models import DailyLimit, LimitKind, LimitState, Merchant, Person
from portal.merchants.roles import Role
from portal.money import Money


# ---- What a merchant asked for --------------------------------------------------------------------------------
def _approve(request: HttpRequest, row: DailyLimit, said: dict[str, Any]) -> tuple[str, str]:
    _decide(request, row, said, approve=True)
    return gettext("It holds from now on, and the owners are told."), ""


def _refuse(request: HttpRequest, row: DailyLimit, said: dict[str, Any]) -> tuple[str, str]:
    _decide(request, row, said, approve=False)
    return gettext("The owners are told that it is refused."), ""


def _decide(request: HttpRequest, row: DailyLimit, said: dict[str, Any], *, approve: bool) -> None:
    try:
        daily_limits.decide(row, by=cast(Person, request.user), approve=approve, note=said["reason"], request=request)
    except daily_limits.DecidedAlready:
        raise NotDone(gettext("Somebody else has decided this meanwhile. Nothing was changed by you.")) from None


def _what_holds(row: DailyLimit, sentence: str | Promise) -> str:
    kind = LimitKind(row.kind)
    return str(sentence) % {
        "name": row.merchant.name,
        "kind": kind.label,
        "most": formats.number(row.most),
        "now": formats.number(daily_limits.of(row.merchant_id, kind)),
    }


DECISIONS = (
    Deed(
        slug="approve",
        label=_("Approve"),
        sentence=lambda row: _what_holds(
            row, _("%(kind)s of %(name)s in 24 hours: at most %(most)s from now on, instead of %(now)s.")
        ),
        do=_approve,
        offered=lambda row: row.state == LimitState.WAITING,
    ),
    Deed(
        slug="refuse",
        label=_("Refuse"),
        sentence=lambda row: _what_holds(
            row, _("%(kind)s of %(name)s in 24 hours: it stays at %(now)s. They can ask again.")
        ),
        do=_refuse,
        offered=lambda row: row.state == LimitState.WAITING,
    ),
)


class DailyLimits(Rows):
    title = _("Daily limits")
    what = _("How many mails and invitations a merchant may send in 24 hours, where it is not what everybody may.")
    related = ("merchant",)
    page_related = ("asked_by", "decided_by")
    list_filter = (OfMerchant,)
    deeds = DECISIONS
    in_trail = "daily limits"
    lists = (
        Fact(_("What"), "get_kind_display"),
        Fact(_("At most"), "most", formats.number),
        state(_("State"), decided),
        OF_MERCHANT,
        when(_("Asked"), "asked_at"),
    )
    shows = (
        *lists,
        Fact(_("Reason"), "reason"),
        Fact(_("Asked by"), "asked_by", link),
        Fact(_("Decided by"), "decided_by", link),
        when(_("Decided"), "decided_at"),
        Fact(_("What was said about it"), "note"),
        Fact(_("Holds now"), lambda row: formats.number(daily_limits.of(row.merchant_id, LimitKind(row.kind)))),
    )

    def name(self, row: DailyLimit) -> str:
        return f"{row.get_kind_display()}: {formats.number(row.most)}"

    def subject(self, row: DailyLimit) -> str:
        return str(row)


# ---- What an administrator sets -------------------------------------------------------------------------------
class DailyLimitForm(ReasonForm):
    """A number for one kind, or the installation's again."""

    kind = forms.ChoiceField(label=_("What"), choices=LimitKind.choices)
    most = forms.IntegerField(
        label=_("In 24 hours at most"),
        help_text=_("Empty: what every merchant may."),
        required=False,
        min_value=1,
        max_value=daily_limits.MOST,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    field_order = ("kind", "most", "reason")


def _set_daily(request: HttpRequest, row: Merchant, said: dict[str, Any]) -> tuple[str, str]:
    daily_limits.put(
        row,
        LimitKind(said["kind"]),
        said["most"],
        by=cast(Person, request.user),
        note=said["reason"],
        request=request,
    )
    return gettext("It holds from now on, and the owners are told."), ""


class HelpForm(ReasonForm, LimitsForm):
    """The merchant's own grid of limits, with a reason."""

    def __init__(self, *args: Any, row: Merchant, **kwargs: Any) -> None:
        super().__init__(*args, row=row, merchant=row, **kwargs)
        self.order_fields([name for name in self.fields if name != "reason"])
        self.fields["two"].label = gettext("Two people decide from")
        self.fields["two_points"].label = gettext("Two people decide from, in points")


def _set_limits(request: HttpRequest, row: Merchant, said: dict[str, Any]) -> tuple[str, str]:
    form = HelpForm(row=row)
    try:
        changed = limits.change_for(
            row,
            by=cast(Person, request.user),
            reason=said["reason"],
            wanted={(role, verb): said[name] for (role, verb), name in form.names().items()},
            second_person_from=said["two"],
            second_person_from_points=said["two_points"],
            seen=said["seen"],
            request=request,
        )
    except limits.ChangedMeanwhile:
        raise NotDone(gettext("Somebody changed the limits meanwhile. Nothing was changed by you.")) from None
    said_so = ngettext("%(count)s limit was changed.", "%(count)s limits were changed.", changed)
    return said_so % {"count": changed} if changed else gettext("Nothing was changed."), ""


SET = (
    Deed(
        slug="daily-limit",
        label=_("Set a daily limit"),
        sentence=lambda row: (
            gettext("How many of them %(name)s may send in 24 hours. Its owners get a mail with the reason.")
            % {"name": row.name}
        ),
        do=_set_daily,
        form=DailyLimitForm,
    ),
    Deed(
        slug="limits",
        label=_("Change its limits"),
        sentence=lambda row: (
            gettext(
                "The most that each role of %(name)s moves alone, and from where on two people decide. An empty field"
                " means no limit; amounts are in %(currency)s."
            )
            % {"name": row.name, "currency": row.currency}
        ),
        do=_set_limits,
        form=HelpForm,
    ),
)


def daily_words(row: Merchant) -> str:
    """What holds of each kind."""
    return "\n".join(f"{kind.label}: {formats.number(daily_limits.of(row.pk, kind))}" for kind in LimitKind)


def role_words(row: Merchant) -> str:
    """The most that each role moves alone, where it may not move any amount."""
    stands = limits.table(row)
    return "\n".join(
        f"{KINDS[verb]}: {Role(role).label} {_most(row, verb, stands[role, verb])}"
        for role, verb in sorted(stands, key=lambda pair: (limits.VERBS.index(pair[1]), Role.values.index(pair[0])))
    )


def _most(row: Merchant, verb: str, most: int) -> str:
    return formats.number(most) if verb in limits.POINTS else formats.money(Money(most, row.currency))
