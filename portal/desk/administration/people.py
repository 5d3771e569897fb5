"""People who sign in: where they work, where they are signed in, and how they prove who they are."""

from typing import Any, cast

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.desk.administration.deeds import Deed
from portal.desk.administration.facts import Fact, language, link, when, yes_or_no
from portal.desk.administration.rows import Rows
from portal.merchants import accounts, second_factor, sessions
from portal.merchants.account_pages import device_words
from portal.merchants.models import Member, Person


def _end_sessions(request: HttpRequest, row: Person, said: dict[str, Any]) -> tuple[str, str]:
    sessions.end_all_of(row, by=cast(Person, request.user), reason=said["reason"], request=request)
    return gettext("%(name)s is signed in nowhere any more.") % {"name": row.name}, ""


def _allow_tries(request: HttpRequest, row: Person, said: dict[str, Any]) -> tuple[str, str]:
    accounts.allow_tries(row, by=cast(Person, request.user), reason=said["reason"], request=request)
    return gettext("%(name)s can try to sign in again at once.") % {"name": row.name}, ""


DEEDS = (
    Deed(
        slug="end-sessions",
        label=_("End all sessions"),
        sentence=lambda row: (
            gettext(
                "Wherever %(name)s is signed in, the next page asks to sign in. What was typed there and not sent is"
                " lost."
            )
            % {"name": row.name}
        ),
        do=_end_sessions,
    ),
    Deed(
        slug="allow-tries",
        label=_("Let them try again"),
        sentence=lambda row: (
            gettext(
                "Wrong passwords tried at the account of %(name)s are forgotten, so that nobody has to wait. The"
                " password stays what it is."
            )
            % {"name": row.name}
        ),
        do=_allow_tries,
    ),
)


class People(Rows):
    title = _("People")
    what = _("Everybody who signs in. Passwords and second factors are known to nobody but them.")
    in_rail = True
    notes_lists = False  # where they work stands on their pages
    deeds = DEEDS
    search_help_text = _("The whole e-mail address")
    lists = (
        Fact(_("Name"), "name"),
        Fact(_("E-mail"), "email", cell="mail"),
        Fact(_("May sign in"), "is_active", yes_or_no),
        Fact(_("Administrator"), "is_staff", yes_or_no),
        when(_("Signed up"), "joined_at"),
    )
    shows = (
        *lists,
        when(_("Last signed in"), "last_login"),
        Fact(_("Second factor"), lambda row: second_factor.has_one(row), yes_or_no),
        Fact(_("Language"), lambda row: language(row.language) or gettext("As the browser asks for")),
        Fact(_("Works at"), lambda row: works_at(row)),
        Fact(_("Signed in now"), lambda row: signed_in(row)),
    )

    def found(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        return rows.filter(email=text.lower())

    def merchants_of(self, row: Person) -> list[int]:
        return list(row.member_set.values_list("merchant", flat=True))


def memberships(row: Person) -> QuerySet[Member]:
    """Where the person works, by the merchant's name."""
    return Member.objects.filter(person=row).select_related("merchant").order_by("merchant__name", "pk")


def works_at(row: Person) -> SafeString:
    """Each merchant with the role there."""
    return format_html_join(
        ", ", "{} ({})", ((link(each, each.merchant.name), each.get_role_display()) for each in memberships(row))
    )


def signed_in(row: Person) -> str:
    """Each browser: what it says it is, from where, and when it was last seen."""
    return "\n".join(
        f"{device_words(each.browser)} · {each.address or '–'} · {formats.in_one_line(each.seen_at)}"
        for each in sessions.open_ones(row)
    )
