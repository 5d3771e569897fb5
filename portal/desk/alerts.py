"""Alerts: the only writer of them. Found from the facts, opened once, resolved when it is no more so.

Nobody may be left to look: beat may be silent, and every worker dead or busy. So whoever hears the roll call looks,
whoever asks /readyz, and whoever opens the page; one of them every LOOK_SECONDS, the others find it done.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone, translation

from portal.connectors.base import Reason
from portal.desk import facts as facts_module
from portal.desk import on_call_words as words
from portal.desk.facts import Facts, Share
from portal.desk.models import Alert, alert_writer
from portal.desk.workers import Condition, Seen, forget_old
from portal.ledger.models import OperationState, Pulse
from portal.mail.models import MailState
from portal.merchants import tenancy

KEPT = timedelta(days=30)
# Why a connection pauses itself that somebody has to mend at the provider.
CREDENTIALS = (Reason.KEY_REFUSED, Reason.ACCESS_REFUSED, Reason.WRONG_KEY)
_LOOK = "look"  # the pulse that says when somebody last looked


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is so now. `told` holds names and numbers for its sentence, nothing secret."""

    kind: str
    since: datetime
    about: str = ""
    told: dict[str, str | int | list[str]] = field(default_factory=dict)


def look_round() -> Facts | None:
    """Look at everything, unless somebody did a moment ago; open and resolve alerts, and write to ALERT_MAIL of them.
    Returns what was seen, if anybody looked."""
    if not _is_our_turn():
        return None
    with tenancy.every_merchant("alerts are found in the facts of all merchants"):
        facts = facts_module.gather()
        findings = list(judged(facts))
    with transaction.atomic():
        opened, resolved = _store(findings, facts.now)
        if settings.ALERT_MAIL and (opened or resolved):
            _write(opened, resolved)
    forget_old()
    return facts


def _is_our_turn() -> bool:
    now = timezone.now()
    Pulse.objects.get_or_create(name=_LOOK, defaults={"at": now - timedelta(days=1)})
    long_ago = now - timedelta(seconds=settings.LOOK_SECONDS)
    return bool(Pulse.objects.filter(name=_LOOK, at__lt=long_ago).update(at=now))


# ---- What is so -----------------------------------------------------------------------------------------------
def judged(facts: Facts) -> Iterator[Finding]:
    """Everything in these facts that somebody should know."""
    yield from _of_workers(facts)
    yield from _of_beats(facts)
    yield from _of_work(facts)
    yield from _of_connections(facts)
    yield from _of_pages(facts)
    yield from _of_the_house(facts)


def _of_workers(facts: Facts) -> Iterator[Finding]:
    heard = facts.crew.heard_at
    if heard is not None and facts.now - heard > facts_module.stale_after():
        yield Finding(kind="no-worker", since=heard)
    kinds = {Condition.KILLED: "worker-killed", Condition.DEAF: "worker-deaf"}
    for seen in facts.crew.workers:
        if seen.condition in kinds:
            told: dict[str, str | int | list[str]] = {"name": seen.process.name, "in_hand": seen.process.in_hand}
            yield Finding(kind=kinds[seen.condition], about=_about(seen), since=seen.since, told=told)


def _of_beats(facts: Facts) -> Iterator[Finding]:
    beats = facts.crew.beats
    living = [seen for seen in beats if seen.condition != Condition.KILLED]
    if len(living) > 1:
        names = [seen.process.name for seen in living]
        yield Finding(kind="beat-doubled", since=max(seen.since for seen in living), told={"names": names})
    elif not any(seen.is_well for seen in beats) and (beats or facts.crew.workers):
        since = max((seen.since for seen in beats), default=min(seen.process.started_at for seen in facts.crew.workers))
        if facts.now - since > timedelta(seconds=settings.WORKER_DEAF_SECONDS):
            yield Finding(kind="beat-silent", since=since)


def _of_work(facts: Facts) -> Iterator[Finding]:
    queue = facts.queue
    if queue.since and facts.now - queue.since > timedelta(seconds=settings.ALERT_WAITING_SECONDS):
        busy = [seen.process.name for seen in facts.crew.workers if seen.condition == Condition.OVERLOADED]
        yield Finding(kind="waiting-too-long", since=queue.since, told={"count": queue.ready, "names": busy})
    checking = facts.oldest(OperationState.CHECKING)
    if checking and facts.now - checking > timedelta(seconds=settings.ALERT_UNCLEAR_SECONDS):
        who = sorted({each.merchant for each in facts.unclear if each.state == OperationState.CHECKING})
        count = facts.count(OperationState.CHECKING)
        yield Finding(kind="unclear-too-long", since=checking, told={"count": count, "names": who[:5]})
    due = [each for each in facts.mails if each.state in (MailState.QUEUED, MailState.WILL_RETRY)]
    oldest = min((each.since for each in due), default=facts.now)
    if facts.now - oldest > timedelta(seconds=settings.ALERT_MAIL_SECONDS):
        yield Finding(kind="mail-backlog", since=oldest, told={"count": sum(each.number for each in due)})


def _of_connections(facts: Facts) -> Iterator[Finding]:
    for share in facts.shares:
        percent = 100 * share.unclear / share.asked
        if share.unclear >= settings.ALERT_UNCLEAR_LEAST and percent >= settings.ALERT_UNCLEAR_PERCENT:
            normal = facts_module.normal_share(share.connection)
            if percent >= settings.ALERT_UNCLEAR_TIMES_NORMAL * normal:
                yield _unclear_share(facts, share, percent, normal)
    for each in facts.halted:
        if each.paused_at is not None and each.pause_reason in CREDENTIALS:
            told: dict[str, str | int | list[str]] = {"name": each.name, "merchant": each.merchant.name}
            yield Finding(kind="credentials-refused", about=str(each.pk), since=each.paused_at, told=told)
    for merchant, name, reference in facts.doubled:
        told = {"name": name, "merchant": merchant, "reference": reference}
        about = f"{merchant} {name} {reference}"[:200]
        yield Finding(kind="doubled-reference", about=about, since=facts.now, told=told)


def _unclear_share(facts: Facts, share: Share, percent: float, normal: float) -> Finding:
    told: dict[str, str | int | list[str]] = {
        "name": share.name,
        "merchant": share.merchant,
        "percent": round(percent),
        "count": share.unclear,
        "asked": share.asked,
        "normal": round(normal),
    }
    since = facts.now - facts_module.LATELY
    return Finding(kind="unclear-share", about=str(share.connection), since=since, told=told)


def _of_pages(facts: Facts) -> Iterator[Finding]:
    for page in facts.closed_pages:
        told: dict[str, str | int | list[str]] = {
            "name": page.merchant,
            "count": page.wrong,
            "budget": page.budget,
        }
        yield Finding(kind="page-closed", about=str(page.merchant_id), since=page.since, told=told)


def _of_the_house(facts: Facts) -> Iterator[Finding]:
    hour_ago = facts.now - timedelta(hours=1)
    for task in facts.tasks:
        if task.last_at > hour_ago:
            about = f"{task.task} {task.cause} {task.place}"[:200]
            told: dict[str, str | int | list[str]] = {"name": task.task, "cause": task.cause, "place": task.place}
            told["count"] = task.times
            yield Finding(kind="task-broke", about=about, since=task.first_at, told=told)
    if facts.database.pending:
        yield Finding(kind="migrations-pending", since=facts.now, told={"count": len(facts.database.pending)})
    oldest = facts.database.oldest
    if oldest and facts.now - oldest > timedelta(seconds=settings.ALERT_TRANSACTION_SECONDS):
        yield Finding(kind="old-transaction", since=oldest)


def _about(seen: Seen) -> str:
    return seen.process.name[:200]


# ---- Keeping it -----------------------------------------------------------------------------------------------
@alert_writer.writes
def _store(findings: list[Finding], now: datetime) -> tuple[list[Alert], list[Alert]]:
    """The alerts that were opened and those that were resolved. What is found again keeps its beginning."""
    found = {(each.kind, each.about): each for each in findings}
    open_ones = {(each.kind, each.about): each for each in Alert.objects.select_for_update().filter(resolved_at=None)}
    for which, alert in open_ones.items():
        if which in found:
            alert.told, alert.seen_at = found[which].told, now
    Alert.objects.bulk_update([open_ones[which] for which in found if which in open_ones], ["told", "seen_at"])
    fresh = [
        Alert(kind=each.kind, about=each.about, told=each.told, since=each.since, opened_at=now, seen_at=now)
        for which, each in found.items()
        if which not in open_ones
    ]
    opened = Alert.objects.bulk_create(fresh)
    calm = now - timedelta(seconds=settings.ALERT_CALM_SECONDS)
    resolved = [each for which, each in open_ones.items() if which not in found and each.seen_at <= calm]
    for alert in resolved:
        alert.resolved_at = now
    Alert.objects.bulk_update(resolved, ["resolved_at"])
    Alert.objects.filter(resolved_at__lt=now - KEPT).delete()
    return opened, resolved


def _write(opened: list[Alert], resolved: list[Alert]) -> None:
    """One mail about all that changed in this look: a bad night is one mail, not thirty."""
    with translation.override(settings.LANGUAGE_CODE):
        subject, text = words.mail(opened, resolved)
        for recipient in settings.ALERT_MAIL:
            send_mail(subject, text, None, [recipient])
