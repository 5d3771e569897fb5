"""Pages that so many wrong tries have closed, over all merchants: for those on call. Whoever calls has opened every
merchant's rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection as database

from portal.merchants.models import Connection
from portal.shopper import risk, tries
from portal.shopper.models import BalancePage


class ClosedPage(NamedTuple):
    """A page whose day's budget of wrong tries is used up; the last of them came `since`."""

    merchant_id: int
    merchant: str
    wrong: int
    budget: int
    since: datetime


# No page closes below the least budget there is; what is left is next to none, so that its budget can be reckoned.
_USED_MUCH = """
SELECT p.id, w.wrong, w.last
FROM shopper_balancepage p CROSS JOIN LATERAL (
    SELECT count(*) AS wrong, max(at) AS last FROM (
        SELECT at FROM shopper_try WHERE merchant_id = p.merchant_id AND outcome IN ('asked', 'refused')
        AND at > greatest(statement_timestamp() - interval '1 day', p.forgiven_at)
        ORDER BY at DESC LIMIT %(most)s
    ) t
) w
WHERE p.is_open AND w.wrong >= %(least)s ORDER BY w.last
"""


def closed_pages() -> list[ClosedPage]:
    """Those that take no more tries from strangers. A page with several connections counts as closed with the first of
    them that is."""
    with database.cursor() as cursor:
        cursor.execute(_USED_MUCH, {"least": risk.LEAST, "most": risk.MOST})
        used = cursor.fetchall()
    pages = BalancePage.objects.select_related("merchant").defer("logo").in_bulk([row[0] for row in used])
    asked = Connection.objects.filter(merchant__in=[each.merchant_id for each in pages.values()], public_use=True)
    found = []
    for pk, wrong, last in used:
        page = pages[pk]
        budget = _budget(page, [each for each in asked if each.merchant_id == page.merchant_id])
        if budget is not None and wrong >= budget:
            found.append(ClosedPage(page.merchant_id, page.merchant.name, wrong, budget, last))
    return found


def _budget(page: BalancePage, asked: Sequence[Connection]) -> int | None:
    return min((tries.budget(page, each) for each in asked), default=None)
