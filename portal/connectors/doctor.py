"""The credential doctor: tries a connection step by step and says in one sentence what is wrong and what to do.

It only reads. What is harmless to ask, and how each answer is to be understood, is `Connector.check`'s; what a
failure means is in `findings`. Nothing here knows a provider.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from portal.connectors import PROVIDERS, addresses, connect, findings
from portal.connectors.base import VERBS, Connector
from portal.connectors.failures import Detail, Failure, Misconfigured, Reason
from portal.connectors.fields import Sentence
from portal.connectors.findings import Finding, Step, Words
from portal.connectors.http import Exchange, Wire

__all__ = ["Capabilities", "Finding", "Step", "capabilities", "examine"]

LIVE = "live"
# Found before anybody's program has looked at what was asked: no sign that a stranger answers.
_ON_THE_WAY = frozenset(
    {
        *(Reason.ADDRESS_REFUSED, Reason.UNREACHABLE, Reason.CERTIFICATE, Reason.TIMEOUT, Reason.CUT),
        *(Reason.REDIRECTED, Reason.SERVER_ERROR, Reason.THROTTLED),
    }
)
# Statuses a gateway in front of the provider may give for it, in words of its own.
_FOR_IT = frozenset({401, 403, 408, 429})


# ---- Examining a connection --------------------------------------------------------------------------------


def examine(
    slug: str,
    settings: Mapping[str, object],
    *,
    wire: Wire,
    environment: str,
    on_finding: Callable[[Finding], None] = lambda finding: None,
    on_exchange: Callable[[Exchange], None] = lambda exchange: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    connect_seconds: float | None = None,
    total_seconds: float | None = None,
) -> tuple[Finding, ...]:
    """Try a connection in order of Step, and stop at the first that fails. Moves nothing, tries nothing twice.

    `settings` are all of the connection's, opened secrets included; `environment` is "sandbox" or "live".
    `on_finding` gets each finding as soon as it is known, `on_exchange` the redacted record of each call. `clock` is
    ours. The limits, in seconds, are the provider's own unless given. Raises KeyError for an unknown `slug`.
    """
    examination = _Examination(PROVIDERS[slug], environment, on_finding, on_exchange, clock)
    try:
        connector = connect(
            slug,
            settings,
            wire=wire,
            on_exchange=examination.hear,
            connect_seconds=connect_seconds,
            total_seconds=total_seconds,
            environment=environment,
        )
        _refuse_wrong_environment(connector, environment)
        for step in connector.check():
            examination.proved(step)
            if examination.over:
                break
    except Failure as failure:
        examination.failed(failure)
    return tuple(examination.findings)


def _refuse_wrong_environment(connector: Connector, environment: str) -> None:
    """Before anything is sent: live credentials do not belong in a test environment, nor practice among real cards."""
    elsewhere = {
        _host(address) for named, hosts in connector.hosts.items() if named != environment for address in hosts.values()
    }
    for name, field in connector.settings.declared().items():
        if field.kind != "address":
            continue
        address = str(getattr(connector.settings, name))
        try:
            exempt = connector.wire.exempts(address)
        except addresses.AddressRefused:
            raise Misconfigured(reason=Reason.ADDRESS_REFUSED) from None
        if environment == LIVE and (exempt or _host(address) in elsewhere):
            raise Misconfigured(reason=Reason.SETTINGS, detail=Detail.TEST_ADDRESS)
        if environment != LIVE and _host(address) in elsewhere:
            raise Misconfigured(reason=Reason.SETTINGS, detail=Detail.LIVE_ADDRESS)


def _host(address: str) -> str:
    return (urlsplit(address).hostname or "").lower()


class _Examination:
    """What is found, step by step."""

    def __init__(
        self,
        provider: type[Connector],
        environment: str,
        on_finding: Callable[[Finding], None],
        on_exchange: Callable[[Exchange], None],
        clock: Callable[[], datetime],
    ) -> None:
        self.findings: list[Finding] = []
        self._provider = provider
        self._environment = environment
        self._on_finding = on_finding
        self._on_exchange = on_exchange
        self._clock = clock
        self._last: Exchange | None = None
        self._offset: int | None = None

    @property
    def over(self) -> bool:
        """Whether a step failed, or the last one passed."""
        return bool(self.findings) and (not self.findings[-1].passed or self._next is None)

    def hear(self, exchange: Exchange) -> None:
        """A call has ended, well or not."""
        self._on_exchange(exchange)
        self._last = exchange
        if self._offset is None:
            self._offset = clock_offset(exchange, self._clock())

    def proved(self, step: Step) -> None:
        """The connector has seen proof of `step`, and with it of those before."""
        while not self.over and self._next is not None and _order(self._next) <= _order(step):
            self._pass(self._next)

    def failed(self, failure: Failure) -> None:
        """The connector got this instead of the next step's proof."""
        if self.over:
            return
        detail = failure.detail
        if self._next is Step.REACHABLE and self._last is not None:
            if _is_from(self._provider, self._last):
                self._pass(Step.REACHABLE)
                if self.over:  # the clock is the trouble behind whatever else there is
                    return
            elif failure.reason not in _ON_THE_WAY:
                detail = Detail.FOREIGN
        step = self._next
        assert step is not None, "it is not over"
        words = self._words(failure, detail)
        self._add(
            Finding(
                step=step,
                passed=False,
                sentence=self._say(words.sentence),
                fix=self._say(self._fix(words), seconds=failure.retry_after),
                reason=failure.reason,
                detail=detail,
                clock_offset=self._offset if step is Step.REACHABLE else None,
                retry_after=failure.retry_after,
                said=failure.provider_text[:200],
                trace=failure.trace,
            )
        )

    @property
    def _next(self) -> Step | None:
        steps = list(Step)
        return steps[len(self.findings)] if len(self.findings) < len(steps) else None

    def _pass(self, step: Step) -> None:
        if step is Step.REACHABLE:
            self._judge_clock()
        else:
            words = findings.ACCEPTED if step is Step.ACCEPTED else findings.READS
            self._add(Finding(step=step, passed=True, sentence=self._say(words.sentence)))

    def _judge_clock(self) -> None:
        """The first step's second half: a provider was reached, and by whose clock."""
        off, tolerance = abs(self._offset or 0), self._provider.clock_tolerance
        wrong = tolerance is not None and off > tolerance
        if wrong:
            words = findings.CLOCK_TOO_FAR
        elif off > self._provider.clock_limit:
            words = findings.CLOCKS_DIFFER
        else:
            words = findings.ANSWERS if self._offset is None else findings.CLOCKS_AGREE
        self._add(
            Finding(
                step=Step.REACHABLE,
                passed=not wrong,
                sentence=self._say(words.sentence, seconds=off),
                fix=self._say(words.fix),
                detail=Detail.CLOCK if wrong else None,
                clock_offset=self._offset,
            )
        )

    def _add(self, finding: Finding) -> None:
        self.findings.append(finding)
        self._on_finding(finding)

    def _words(self, failure: Failure, detail: Detail | None) -> Words:
        if failure.reason is Reason.THROTTLED and failure.retry_after is not None:
            return findings.WAIT
        return words_for(self._provider, failure.reason, detail)

    def _fix(self, words: Words) -> str:
        return words.live if self._environment == LIVE and words.live else words.fix

    def _say(self, message: str, **values: object) -> Sentence:
        # Only what the sentence names, so that what is stored of it is what it needs.
        known = {"provider": self._provider.name, **values}
        return Sentence(message, **{name: value for name, value in known.items() if f"%({name})s" in message})


def words_for(provider: type[Connector], reason: Reason, detail: Detail | None) -> Words:
    """What is said of a failure at this provider: of what lies behind it where that is known, else of the reason."""
    tables = (provider.words, findings.WORDS)
    keys = (reason,) if detail is None else (detail, reason)
    return next(table[key] for key in keys for table in tables if key in table)


def _is_from(provider: type[Connector], exchange: Exchange) -> bool:
    """Whether a whole answer came, and one that this provider gives rather than some other server."""
    status, body = exchange.status or 0, exchange.response_body.lstrip()
    if not status or exchange.reason in {Reason.REDIRECTED, Reason.TIMEOUT, Reason.CUT}:
        return False
    if not body:
        return status in _FOR_IT or status >= 500
    if not body.startswith("{"):
        return False
    # By its text: an answer that breaks off in the middle is still known by its beginning.
    marks = "|".join(re.escape(mark) for mark in sorted(provider.marks))
    return status in _FOR_IT or re.search(rf'"(?:{marks})"\s*:', body) is not None


def clock_offset(exchange: Exchange, ended_at: datetime) -> int | None:
    """How many seconds our clock is ahead of theirs, by the Date of an answer that came at `ended_at` by our clock.

    None where there is no Date, or not one of that moment.
    """
    headers = dict(exchange.response_headers)
    if "age" in headers:  # out of some cache, and so is its date
        return None
    try:
        theirs = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    # It was written somewhere between our first byte and their last, and has no parts of a second.
    waited = timedelta(seconds=max(exchange.total_seconds - exchange.connect_seconds, 0.0))
    between = (ended_at - waited / 2 - theirs).total_seconds() - 0.5
    return 0 if abs(between) <= waited.total_seconds() / 2 + 0.5 else round(between)


def _order(step: Step) -> int:
    return list(Step).index(step)


# ---- What a connection can do ------------------------------------------------------------------------------


class Capabilities(NamedTuple):
    """`can` are verbs, `cannot` verbs with the reason why, both in the order of VERBS."""

    can: tuple[str, ...]
    cannot: tuple[tuple[str, Sentence], ...]


def capabilities(slug: str, options: Mapping[str, object]) -> Capabilities:
    """What a connection with these `options` (its settings without the secrets) can do, and what not. Calls nobody."""
    provider = PROVIDERS[slug]
    unable = {verb: findings.NO_SUCH_CALL for verb in VERBS if verb not in provider.supports()}
    unable |= provider.unable(options)
    return Capabilities(
        can=tuple(verb for verb in VERBS if verb not in unable),
        cannot=tuple((verb, Sentence(unable[verb], provider=provider.name)) for verb in VERBS if verb in unable),
    )
