"""What was asked today, the newest of it: the desk's look into the list of operations."""

from collections.abc import Sequence

from django.urls import reverse
from django.utils.safestring import SafeString

from portal import dates
from portal.ledger import list_words
from portal.ledger.models import Operation
from portal.merchants.access import StaffRequest
from portal.merchants.models import Connection

SHOWN = 5


def rows(request: StaffRequest, connections: Sequence[Connection]) -> SafeString:
    """The day's newest operations, as the list of operations shows them. `connections` are all of the merchant's."""
    since, until = dates.bounds(dates.today(), dates.today())
    newest = (
        Operation.objects.filter(merchant=request.merchant, asked_at__gte=since, asked_at__lt=until)
        .order_by("-asked_at", "-id")
        .values_list(*list_words.OPERATION_COLUMNS, named=True)[:SHOWN]
    )
    writer = list_words.OperationWriter(
        prefix=reverse("operations", args=[request.merchant.slug]), connections=connections
    )
    return writer.rows(newest)
