"""Mails on their way out: whose, to whom as far as an administrator sees it, and what became of them."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.desk.administration.facts import OF_MERCHANT, Fact, state, when
from portal.desk.administration.lists import OfMerchant
from portal.desk.administration.rows import Rows
from portal.mail import words
from portal.mail.models import MailState, MailStep, OutgoingMail


class InState(SimpleListFilter):
    """Where a mail stands; without a merchant these are the site's own mails, too."""

    title = _("State")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, str(state.label)) for state in MailState]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() in MailState.values else queryset


class Mails(Rows):
    title = _("Mails")
    what = _("Every mail of the site and of its merchants, and what became of it. Their texts are sealed.")
    in_rail = True
    related = ("merchant",)
    list_filter = (InState, OfMerchant)
    lists = (
        Fact(_("Subject"), "subject"),
        Fact(_("To"), lambda row: words.recipient(row, whole=False), cell="mail"),
        state(_("State"), words.outcome),
        OF_MERCHANT,
        when(_("Written"), "created_at"),
    )
    shows = (
        *lists,
        Fact(_("Why"), words.why),
        Fact(_("What the mail server said"), lambda row: words.quote(row.answer, row, whole=False)),
        Fact(_("Attempts"), "attempt"),
        when(_("Next attempt"), "next_attempt_at"),
        when(_("Ended"), "ended_at"),
        Fact(_("Its story"), lambda row: story(row)),
    )
    in_trail = "mails"

    def name(self, row: OutgoingMail) -> str:
        return row.subject

    def subject(self, row: OutgoingMail) -> str:
        return str(row.key)


def story(row: OutgoingMail) -> str:
    """Each step with its moment."""
    steps = list(MailStep.objects.filter(mail=row).order_by("id"))
    return "\n".join(
        f"{formats.in_one_line(step.at)}: {step.text} {step.quote}".strip()
        for step in words.story(row, steps, whole=False)
    )
