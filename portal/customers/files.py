"""Customers as files: all of them as a table for a spreadsheet, and one as everything we know of them."""

from collections.abc import Iterator

from django.utils.translation import gettext

from portal import spreadsheet
from portal.customers import finding, words
from portal.customers.models import PERSONAL, Consent, Customer, ProviderNumber, Purpose
from portal.merchants import tenancy
from portal.merchants.models import Merchant

AT_ONCE = 500  # rows held in memory while a table is written


def table(merchant: Merchant) -> Iterator[str]:
    """All customers as CSV, a few hundred rows a piece. Each piece asks anew, on behalf of the merchant: it is sent
    when the view has long returned."""
    return _written(
        merchant, head=spreadsheet.MARK + spreadsheet.line([*map(_label, PERSONAL), *map(str, Purpose.labels)])
    )


def _written(merchant: Merchant, *, head: str) -> Iterator[str]:
    yield head
    after: Customer | None = None
    while True:
        with tenancy.merchant(merchant.pk):
            rows = finding.page(finding.live(merchant, consenting_only=False), sort="name", after=after, size=AT_ONCE)[
                :AT_ONCE
            ]
            agreed = _agreed(merchant, rows)
        yield "".join(_row(row, agreed.get(row.pk, set())) for row in rows)
        if len(rows) < AT_ONCE:
            return
        after = rows[-1]


def _agreed(merchant: Merchant, rows: list[Customer]) -> dict[int, set[str]]:
    """What each agrees to now, by the last word."""
    found: dict[int, set[str]] = {}
    said = Consent.objects.filter(merchant=merchant, customer__in=rows).order_by("at", "id")
    for customer, purpose, given in said.values_list("customer_id", "purpose", "given"):
        (found.setdefault(customer, set()).add if given else found.setdefault(customer, set()).discard)(purpose)
    return found


def _row(row: Customer, agreed: set[str]) -> str:
    consents = [gettext("yes") if purpose in agreed else "" for purpose in Purpose.values]
    return spreadsheet.line([*(getattr(row, name) for name in PERSONAL), *consents])


def _label(name: str) -> str:
    return str(words.LABELS[name])


# ---- One person's data --------------------------------------------------------------------------------------------
def everything(customer: Customer) -> dict[str, object]:
    """What stands in the customers' book about one person, for whoever asks for their own data."""
    merged = Customer.objects.filter(merchant=customer.merchant_id, merged_into=customer).order_by("id")
    said = Consent.objects.filter(merchant=customer.merchant_id, customer=customer).order_by("at", "id")
    return {
        **_personal(customer),
        "known_since": customer.created_at.isoformat(),
        "consent": [
            {"to": word.purpose, "given": word.given, "at": word.at.isoformat(), "where": word.source} for word in said
        ],
        "merged_records": [_personal(each) | {"known_since": each.created_at.isoformat()} for each in merged],
    }


def _personal(customer: Customer) -> dict[str, object]:
    numbers = ProviderNumber.objects.filter(merchant=customer.merchant_id, customer=customer)
    return {name: getattr(customer, name) for name in PERSONAL} | {
        "numbers_at_providers": dict(numbers.values_list("connection__name", "number").order_by("connection__name"))
    }
