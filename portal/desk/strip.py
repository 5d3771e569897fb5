"""Thirty days of a connection as a strip: a bar for each, and below it a line where it was paused."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal import formats
from portal.ledger import health

# In units of its own.
WIDTH, GAP, HEIGHT, PAUSE_AT = 20, 4, 60, 66
BAD = 0.05  # from this share of calls on a day counts as a bad one
SIZE = (health.DAYS * WIDTH, PAUSE_AT + GAP)

Span = tuple[date, date]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One day. `kind`: none, good, some or bad; `x` to `tall` are the strip's units."""

    on: date
    calls: int
    errors: int
    paused: bool
    kind: str
    word: str
    x: int
    y: int
    tall: int


def bars(days: Sequence[health.Day], pauses: Collection[Span]) -> list[Bar]:
    """The bars of these days; `pauses` are their first and last days."""
    most = max((day.calls for day in days), default=0) or 1
    kinds = {"none": _("no calls"), "good": _("all answered"), "some": _("a few errors"), "bad": _("many errors")}
    found = []
    for number, day in enumerate(days):
        kind = "none" if not day.calls else "good" if not day.errors else "some"
        if day.calls and day.errors / day.calls >= BAD:
            kind = "bad"
        tall = max(round(HEIGHT * day.calls / most), GAP) if day.calls else 1
        found.append(
            Bar(
                on=day.on,
                calls=day.calls,
                errors=day.errors,
                paused=any(first <= day.on <= last for first, last in pauses),
                kind=kind,
                word=kinds[kind],
                x=number * WIDTH,
                y=HEIGHT - tall,
                tall=tall,
            )
        )
    return found


def outlines(found: Sequence[Bar]) -> list[tuple[str, str]]:
    """The whole strip as a few paths, for where many stand below each other: each kind, and the pauses."""
    kinds = sorted({bar.kind for bar in found})
    drawn = [(kind, "".join(_box(bar.x, bar.y, 16, bar.tall) for bar in found if bar.kind == kind)) for kind in kinds]
    paused = "".join(_box(bar.x, PAUSE_AT, WIDTH, GAP) for bar in found if bar.paused)
    return [*drawn, ("paused", paused)] if paused else drawn


def _box(x: int, y: int, wide: int, tall: int) -> str:
    return f"M{x} {y}h{wide}v{tall}h-{wide}z"


def summary(found: Sequence[Bar]) -> str:
    """What the strip shows, in a sentence or two."""
    calls, errors = sum(each.calls for each in found), sum(each.errors for each in found)
    if not calls:
        return _("No call in the last 30 days.")
    bad = sum(each.kind == "bad" for each in found)
    told = ngettext(
        "%(calls)s call in 30 days, %(errors)s went wrong.", "%(calls)s calls in 30 days, %(errors)s went wrong.", calls
    ) % {"calls": formats.number(calls), "errors": formats.number(errors)}
    days = ngettext("%(days)s day was bad.", "%(days)s days were bad.", bad) % {"days": formats.number(bad)}
    return f"{told} {days}" if bad else told
