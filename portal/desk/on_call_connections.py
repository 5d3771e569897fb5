"""The connections of all merchants on the on-call page: how each is, the worst first, and how each provider is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext

from portal import formats
from portal.connectors import provider_name
from portal.desk import strip
from portal.desk.administration.facts import page_url
from portal.desk.connection_health import length_words
from portal.desk.facts import Facts, Share
from portal.ledger import health
from portal.ledger.health import Health
from portal.merchants import connections
from portal.merchants.models import Connection, Pause

LISTED = 20  # connections with their strips; the others are a number


@dataclass(frozen=True, kw_only=True)
class Told:
    """One connection. `late` is what it did in the last minutes, if it was asked."""

    connection: Connection
    shape: str
    state: str
    url: str
    late: Share | None
    health: Health
    wrong: str
    p95: str
    outlines: list[tuple[str, str]]
    summary: str

    @property
    def is_well(self) -> bool:
        return self.shape == "done" and not self.health.errors and not self.health.unclear and not self._late_wrong

    @property
    def _late_wrong(self) -> int:
        return self.late.unclear + self.late.failed if self.late else 0


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One provider over all merchants, in 24 hours."""

    name: str
    connections: int
    calls: int
    wrong: str
    p95: str
    unclear: int


@dataclass(frozen=True, kw_only=True)
class Picture:
    """`others` connections are not listed: they were asked less, and answered no worse."""

    providers: list[Provider]
    listed: list[Told]
    others: int


def picture(seen: Facts) -> Picture:
    """Every connection there is, in four queries."""
    found = health.of_everybody()
    late = {each.connection: each for each in seen.shares}
    found.sort(key=lambda each: _worse(each, late.get(each.connection.pk)), reverse=True)
    listed = found[:LISTED]
    days = health.days_of([each.connection.pk for each in listed], today=timezone.localdate())
    pauses = _pauses(listed)
    return Picture(
        providers=_providers(found),
        listed=[
            _told(each, late.get(each.connection.pk), days[each.connection.pk], pauses.get(each.connection.pk, []))
            for each in listed
        ],
        others=len(found) - len(listed),
    )


def _worse(each: Health, late: Share | None) -> tuple[bool, float, int, float, int]:
    halted = bool(each.connection.paused_at or each.connection.held_until)
    return halted, late.unclear / late.asked if late else 0.0, each.unclear, each.share, each.calls


def _told(each: Health, late: Share | None, days: list[health.Day], pauses: list[strip.Span]) -> Told:
    shape, state = connections.state_words(each.connection)
    bars = strip.bars(days, pauses)
    return Told(
        connection=each.connection,
        shape=shape,
        state=state,
        url=page_url(each.connection),
        late=late,
        health=each,
        wrong=_wrong(each.errors, each.calls),
        p95=length_words(each.p95_ms),
        outlines=strip.outlines(bars),
        summary=strip.summary(bars),
    )


def _wrong(errors: int, calls: int) -> str:
    if not errors:
        return gettext("none") if calls else "–"
    share = formats.number(errors / calls, "0.#%")
    return gettext("%(count)s (%(share)s)") % {"count": formats.number(errors), "share": share}


def _pauses(listed: Sequence[Health]) -> dict[int, list[strip.Span]]:
    since = timezone.now() - timedelta(days=health.DAYS)
    rows = Pause.objects.filter(connection__in=[each.connection.pk for each in listed]).exclude(ended_at__lt=since)
    found: dict[int, list[strip.Span]] = {}
    for connection, begun_at, ended_at in rows.values_list("connection", "begun_at", "ended_at"):
        found.setdefault(connection, []).append((_day(begun_at), _day(ended_at or timezone.now())))
    return found


def _day(at: datetime) -> date:
    return timezone.localtime(at).date()


def _providers(found: Sequence[Health]) -> list[Provider]:
    by_provider: dict[str, list[Health]] = {}
    for each in found:
        by_provider.setdefault(each.connection.provider, []).append(each)
    told = [_provider(slug, its) for slug, its in by_provider.items()]
    return sorted(told, key=lambda each: (-each.calls, each.name))


def _provider(slug: str, its: Sequence[Health]) -> Provider:
    lengths: Counter[int] = Counter()
    for each in its:
        lengths.update(each.lengths)
    calls = sum(each.calls for each in its)
    return Provider(
        name=provider_name(slug),
        connections=len(its),
        calls=calls,
        wrong=_wrong(sum(each.errors for each in its), calls),
        p95=length_words(health.length(lengths, 0.95)),
        unclear=sum(each.unclear for each in its),
    )
