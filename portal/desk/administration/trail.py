"""The audit trail over all merchants, and the lines that belong to none."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from portal.desk import trail_words
from portal.desk.administration.facts import OF_MERCHANT, Fact, reference, when
from portal.desk.administration.ledger import anywhere, as_key
from portal.desk.administration.lists import OfMerchant
from portal.desk.administration.rows import Rows
from portal.ledger.operation_words import name_of
from portal.merchants.models import AuditEntry, Person

MOST = 500  # lines that a search finds


class OfPerson(SimpleListFilter):
    """What one person did, by address. Offered where the person stands, not as a list of everybody."""

    title = _("Person")
    parameter_name = "person"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(self.value() or "", self.value() or "")] if self.value() else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        found = Person.objects.filter(email=self.value()).values_list("pk", flat=True).first()
        return queryset.none() if found is None else queryset.filter(person=found)


def about(row: AuditEntry) -> str:
    """What it was done to; one of our references by its beginning."""
    return reference(row.subject) if as_key(row.subject) else trail_words.about(row)


class Trail(Rows):
    title = _("Audit trail")
    what = _("Who did what, when and from where. Lines are added; none is ever changed or deleted.")
    in_rail = True
    related = ("merchant", "person")
    list_filter = (OfMerchant, OfPerson)
    search_help_text = _("What it is about, in full: a reference, a name, an address")
    lists = (
        Fact(_("What"), trail_words.sentence),
        Fact(_("About"), lambda row: about(row)),
        Fact(_("Who"), lambda row: name_of(row.person)),
        OF_MERCHANT,
        when(_("When"), "at"),
    )
    shows = (
        Fact(_("What"), trail_words.sentence),
        Fact(_("About"), trail_words.about),
        *lists[2:],
        Fact(_("From where"), "address"),
        Fact(_("Request"), "request_id"),
        Fact(_("Changes"), lambda row: "\n".join(f"{a} {b} → {c}".strip() for a, b, c in trail_words.changes(row))),
        Fact(_("Details"), lambda row: "\n".join(f"{label}: {text}" for label, text in trail_words.facts(row))),
    )
    in_trail = "trail"

    def get_ordering(self, request: HttpRequest) -> Any:
        """One merchant's lines stand in their index by the moment, all merchants' by their number."""
        return ("-at", "-pk") if request.GET.get("merchant") else ("-pk",)

    def name(self, row: AuditEntry) -> str:
        return trail_words.sentence(row)

    def subject(self, row: AuditEntry) -> str:
        return f"trail {row.pk}"

    def found(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        # In two steps, each by its index: together they would read every line.
        of_merchants, of_none = anywhere(rows, subject=text), rows.filter(merchant=None, subject=text)
        found = [pk for each in (of_merchants, of_none) for pk in each.values_list("pk", flat=True)[:MOST]]
        return rows.filter(pk__in=found)
