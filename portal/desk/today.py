"""What was asked today, the newest of it: the desk's look into the list of operations."""

from collections.abc import Sequence

from django.urls import reverse

from portal import dates
from portal.ledger import list_words
from portal.ledger.models import Operation
from portal.merchants.access import StaffRequest
from portal.merchants.models import Connection, Person

SHOWN = 5


def lines(request: StaffRequest, connections: Sequence[Connection]) -> list[list_words.OperationLine]:
    """The day's newest operations, as the list of operations shows them. `connections` are all of the merchant's."""
    since, until = dates.bounds(dates.today(), dates.today())
    newest = list(
        Operation.objects.filter(merchant=request.merchant, asked_at__gte=since, asked_at__lt=until)
        .select_related("card")
        .only(*list_words.OPERATION_COLUMNS)
        .order_by("-asked_at", "-id")[:SHOWN]
    )
    askers = Person.objects.filter(pk__in={row.asked_by_id for row in newest}).values_list("pk", "name")
    writer = list_words.OperationWriter(
        prefix=reverse("operations", args=[request.merchant.slug]),
        connections={each.pk: each for each in connections},
        people=dict(askers),
    )
    return [writer.line(row) for row in newest]
