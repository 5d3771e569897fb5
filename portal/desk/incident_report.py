"""An incident as a report in Markdown: what happened, whom it touched, and what became of the money."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext, ngettext

from portal import formats
from portal.desk import on_call_words
from portal.desk.incident import Affected, Incident, Lost, Sum
from portal.ledger import operation_words
from portal.ledger.models import OperationState
from portal.merchants.fields import one_line
from portal.money import Money

LISTED = 200  # operations in the report; the table has all of them


def write(incident: Incident) -> str:
    """The whole report."""
    return "\n".join(_lines(incident)) + "\n"


def lost_words(incident: Incident) -> str:
    """How many operations there were of which nobody knew the end, in a sentence."""
    count = len(incident.lost)
    if not count:
        return gettext("The end of every operation was known at once.")
    return ngettext(
        "Of %(count)s operation nobody knew the end at first.",
        "Of %(count)s operations nobody knew the end at first.",
        count,
    ) % {"count": on_call_words.how_many(count)}


def _lines(incident: Incident) -> Iterator[str]:
    span = {"since": formats.exact(incident.since), "until": formats.exact(incident.until)}
    zone = timezone.get_current_timezone_name()
    yield "# " + gettext("Incident from %(since)s until %(until)s (%(zone)s)") % {**span, "zone": zone}
    yield ""
    yield lost_words(incident)
    yield gettext(
        "Operations are named by our reference. No card, no person and nothing that somebody typed is in this report."
    )
    yield from _table(
        gettext("What happened"),
        [gettext("When"), gettext("What"), gettext("Who")],
        [[_moment(each.at), each.what, each.who] for each in incident.events],
    )
    columns = (gettext("Merchant"), gettext("Connection"), gettext("Asked"), gettext("Unclear at first"))
    became = (gettext("of these Done"), gettext("of these not done"), gettext("still unclear"))
    yield from _table(
        gettext("Whom it touched"),
        [*columns, *became, gettext("Refused or not sent")],
        [_affected(each) for each in incident.affected],
    )
    yield from _table(
        gettext("What became of the money"),
        [gettext("Unclear at first"), *became],
        [_sum(each) for each in incident.sums],
    )
    yield from _table(
        gettext("Operations whose end nobody knew at first"),
        [gettext("Begun"), gettext("Reference"), *columns[:2], gettext("What"), gettext("State"), gettext("Ended")],
        [_operation(each) for each in incident.lost[:LISTED]],
    )
    if len(incident.lost) > LISTED:
        yield ""
        yield gettext("These are the first %(count)s; the table of operations has all of them.") % {
            "count": formats.number(LISTED)
        }


def _affected(each: Affected) -> list[str]:
    counts = (each.asked, each.lost, each.done, each.not_done, each.unclear, each.failed)
    return [each.merchant, each.connection, *map(formats.number, counts)]


def _sum(each: Sum) -> list[str]:
    return [formats.money(money) for money in each]


def _operation(each: Lost) -> list[str]:
    what = f"{operation_words.TITLES[each.verb]} {_amount(each.amount, each.points)}".strip()
    ended = _moment(each.ended_at) if each.ended_at else "–"
    state = str(OperationState(each.state).label)
    return [_moment(each.begun_at), each.reference, each.merchant, each.connection, what, state, ended]


def _amount(amount: Money | None, points: int | None) -> str:
    if amount is not None:
        return formats.money(amount)
    return "" if points is None else formats.points(points)


def _moment(at: datetime) -> str:
    return formats.exact(timezone.localtime(at))


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    lines = [_row(each) for each in rows]
    if not lines:
        return
    yield from ("", f"## {title}", "", _row(heads), "|" + " --- |" * len(heads), *lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(each) for each in cells) + " |"


def _plain(text: str) -> str:
    """As text and nothing else: names are merchants' own, and whoever shows the report would follow their links."""
    return re.sub(r"([\\`*_\[\]<>|#&!~])", r"\\\1", one_line(text))
