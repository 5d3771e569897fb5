"""The administration's long lists: one page from a place in them, and of one merchant."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.db import connection, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from portal.merchants.models import Merchant

PAGE = 50
AFTER, BEFORE = "after", "before"  # a place in a list: the number of the row that comes before it, or right after


class OfMerchant(SimpleListFilter):
    """One merchant's rows. Offered from the merchant's page: a list of all merchants would be no choice."""

    title = _("Merchant")
    parameter_name = "merchant"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        slug = self.value()
        return [(merchant.slug, merchant.name) for merchant in Merchant.objects.filter(slug=slug)] if slug else []

    def has_output(self) -> bool:
        # Django leaves out a filter that offers nothing: for a merchant that is not there it would show everybody's.
        return bool(self.value())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        slug = self.value()
        if not slug:
            return queryset
        # The number itself, so that the plan is made for this merchant and begins at its index.
        found = Merchant.objects.filter(slug=slug).values_list("pk", flat=True).first()
        return queryset.none() if found is None else queryset.filter(merchant=found)


class Listed(ChangeList):
    """One page of Django's list, from a place in it, without the visitor's say in its order. Nothing is counted: a page
    costs the same wherever it is."""

    newer: int | None
    older: int | None

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return list(self.model_admin.get_ordering(request))

    def get_filters_params(self, params: Any = None) -> Any:
        """A place narrows nothing."""
        asked = super().get_filters_params(params)
        return {name: value for name, value in asked.items() if name not in (AFTER, BEFORE)}

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """The same list from its beginning, unless `new_params` name a place."""
        return super().get_query_string(new_params, [*(remove or []), AFTER, BEFORE])

    def get_results(self, request: HttpRequest) -> None:
        order = self.get_ordering(request, self.queryset)
        after, before = _number(request.GET.get(AFTER)), _number(request.GET.get(BEFORE))
        with transaction.atomic(), connection.cursor() as cursor:
            # Along the index. PostgreSQL takes the policy for a filter that leaves one row in 200, and where it thinks
            # that no more than a page is left it would rather read thousands and sort them.
            for each in ("enable_seqscan", "enable_bitmapscan", "jit"):
                cursor.execute(f"SET LOCAL {each} = off")
            rows, self.newer, self.older = _page(self.queryset, order, after, before)
        self.result_list, self.result_count, self.full_result_count = rows, len(rows), None
        self.can_show_all, self.multi_page = False, False
        self.show_full_result_count = self.show_admin_actions = False


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 18 else None


def _page(
    rows: QuerySet[Any], order: list[str], after: int | None, before: int | None
) -> tuple[list[Any], int | None, int | None]:
    """The rows of a page, and the numbers from which the page before it and the next one go on, where there are any."""
    if before is not None:
        turned = [each.removeprefix("-") if each.startswith("-") else f"-{each}" for each in order]
        found = list(_beyond(rows, turned, before)[: PAGE + 1])
        if len(found) > PAGE:
            page = found[:PAGE][::-1]
            return page, page[0].pk, page[-1].pk
        after = None  # the beginning is reached: a whole page from there
    found = list((rows.order_by(*order) if after is None else _beyond(rows, order, after))[: PAGE + 1])
    page = found[:PAGE]
    if after is not None and not page:
        return _page(rows, order, None, None)
    newer = None if after is None else page[0].pk
    return page, newer, page[-1].pk if len(found) > PAGE else None


def _beyond(rows: QuerySet[Any], order: list[str], number: int) -> QuerySet[Any]:
    """What stands behind this row; nothing, where its place is not known because it has gone. `order` is that of the
    number alone, or of something else and then the number."""
    rows = rows.order_by(*order)
    onwards, past = ("lt", "gte") if order[0].startswith("-") else ("gt", "lte")
    first = order[0].removeprefix("-")
    if first == "pk":
        return rows.filter(**{f"pk__{onwards}": number})
    place = rows.model._default_manager.filter(pk=number).values_list(first, flat=True).first()
    if place is None:
        return rows.none()
    # Bound first, then the equals taken out: a range the index can begin at, which a pair of ORs is not.
    return rows.filter(**{f"{first}__{onwards}e": place}).exclude(**{first: place, f"pk__{past}": number})


def around(listed: Listed) -> dict[str, object]:
    """The choices above a list and the ways to its other pages."""
    return {
        "choices": [(spec.title, list(spec.choices(listed))) for spec in listed.filter_specs],
        "newer": listed.get_query_string({BEFORE: listed.newer}) if listed.newer is not None else "",
        "older": listed.get_query_string({AFTER: listed.older}) if listed.older is not None else "",
    }
