"""What an imitated provider is made of, and how one call of it is answered, with or without a fault.

A provider says what its server does: a handler works on the store inside one transaction and returns what it
did and what it answers. Everything that can go wrong on the way back is decided here, once for all of them.
"""

import random
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Protocol

from flask import Response

from portal.sandboxes.faults import Fault, Kind
from portal.sandboxes.store import Effect, Store

PRIVATE_ADDRESS = "http://169.254.169.254/"
RUBBISH = b'{"data": {"Cards": [{"Stat\x00\xff\xfe us": o'
FOREIGN_PAGE = "<!doctype html><title>Welcome</title><h1>It works!</h1><p>Nothing is published here yet.</p>"
ERROR_PAGE = "<!doctype html><title>500</title><h1>Internal Server Error</h1><p>Something went wrong.</p>"

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, as its provider sees it. `path` begins after the provider's prefix."""

    method: str
    path: str
    parts: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes
    at: datetime
    lenient_clock: bool  # a provider that checks timestamps lets old ones pass
    url: str = ""  # the whole address as it was asked for, letter for letter: some sign it


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back. `phrase` stands beside the status where a provider says something of its own there. `wait` and
    `drip` are how it goes: after some seconds, one byte a second."""

    status: int = 200
    phrase: str = ""
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    drip: bool = False


@dataclass(frozen=True)
class Outcome:
    """The answer, and what was done for it. What is not named as an effect did not happen."""

    answer: Answer
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Card:
    """A magic card: what to type to see something happen."""

    number: str
    pin: str
    does: str


Handler = Callable[[Call, sqlite3.Connection], Outcome]


@dataclass(frozen=True, kw_only=True)
class Route:
    method: str
    path: re.Pattern[str]
    handle: Handler


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One imitated server. Its `name` is the prefix of its paths and of its tables."""

    name: str
    title: str
    routes: tuple[Route, ...]
    credentials: Mapping[str, str]
    cards: tuple[Card, ...]
    # Whom a call is about, for counting: a card, a phone, an order. Never a PIN.
    subject: Callable[[Call], str]
    refusal: Callable[[Call], Answer]
    throttled: Callable[[Call, int], Answer]
    # Some providers let the caller ask for trouble in a header.
    wish: Callable[[Call], Fault | None] = lambda call: None
    # What a browser asks before a call from another site; None refuses.
    preflight: Callable[[Call], Answer] | None = None
    tables: tuple[str, ...] = ()
    stock: Callable[[sqlite3.Connection], None] = lambda db: None
    # Makes so many plain cards, with PINs of so many digits, in place of those it made before.
    crowd: Callable[[sqlite3.Connection, int, int], None] | None = None
    # Credentials that are made for one store alone, such as keys, and read from it.
    own_credentials: Callable[[sqlite3.Connection], Mapping[str, str]] = lambda db: {}
    # The headers of a callback it sends now; None where it sends none.
    signed: Callable[[sqlite3.Connection, str, datetime], Mapping[str, str]] | None = None
    # What was put off and is due by now, each with its moment.
    due: Callable[[sqlite3.Connection, datetime], Sequence[tuple[datetime, Effect]]] = lambda db, now: ()


class Line(Protocol):
    """The open connection to the caller."""

    def hold(self, seconds: float) -> bool:
        """Keep the caller waiting. False as soon as the caller has gone or the server is to stop."""

    def rest(self, seconds: float) -> bool:
        """Wait whether the caller is there or not. False when the server is to stop."""

    def hang_up(self) -> None:
        """Close it here and now; what was not sent is never sent."""


@dataclass(frozen=True, kw_only=True)
class Switchboard:
    """Where calls are answered: the store, the clock and the dice they share."""

    store: Store
    clock: Callable[[], datetime]
    dice: Callable[[], float] = random.random
    rang: threading.Event = field(default_factory=threading.Event)  # set when a callback may be waiting

    def answer(self, provider: Provider, route: Route, call: Call, line: Line) -> Response:
        """Count the call, let it do what it does, and send the answer, unless a fault is in the way.

        Whatever is done is in the journal and on the disk before the first byte of an answer.
        """
        with self.store.writing() as db:
            self.store.count(db, provider=provider.name, subject=provider.subject(call))
            fault = self.store.strike(db, provider=provider.name, path=call.path, dice=self.dice)
            resets = self.store.resets
        fault = fault or provider.wish(call)
        if fault is None:
            return send(self._do(provider, route, call), line)
        match fault.kind:
            case Kind.REFUSE:
                return send(provider.refusal(call), line)
            case Kind.THROTTLE:
                return send(provider.throttled(call, int(fault.seconds)), line)
            case Kind.REDIRECT:
                return send(Answer(status=302, headers={"Location": PRIVATE_ADDRESS}), line)
            case Kind.FOREIGN:
                return send(Answer(body=FOREIGN_PAGE.encode(), content_type=HTML), line)
            case Kind.CLOCK:
                return self._by_another_clock(provider, route, call, line, ahead=timedelta(seconds=fault.seconds))
            case Kind.TIMEOUT_BEFORE:
                line.hold(fault.seconds)
                return _nothing(line)
            case Kind.LATE:
                return self._late(provider, route, call, line, seconds=fault.seconds, resets=resets)
            case Kind.SLOW:
                line.hold(fault.seconds)
                return send(self._do(provider, route, call), line)
        answer = self._do(provider, route, call)
        match fault.kind:
            case Kind.TIMEOUT_AFTER:
                line.hold(fault.seconds)
                return _nothing(line)
            case Kind.CUT:
                return _cut(answer, line)
            case Kind.ERROR_AFTER:
                return send(Answer(status=500, body=ERROR_PAGE.encode(), content_type=HTML), line)
            case Kind.GARBAGE:
                return send(Answer(body=RUBBISH), line)

    def catch_up(self, provider: Provider) -> None:
        """Do what is due, before anybody looks: so nobody can tell that it was not done on time."""
        with self.store.writing() as db:
            self._do_what_is_due(provider, db, self.clock())

    def _do(self, provider: Provider, route: Route, call: Call, *, ahead: timedelta = timedelta()) -> Answer:
        with self.store.writing() as db:
            answer = self._happen(provider, route, call, db, ahead=ahead)
        if provider.signed:
            self.rang.set()
        return answer

    def _by_another_clock(
        self, provider: Provider, route: Route, call: Call, line: Line, *, ahead: timedelta
    ) -> Response:
        """Its clock decides what it makes of a time in the request, and what time its answer says it is."""
        answer = self._do(provider, route, call, ahead=ahead)
        date = format_datetime(self.clock() + ahead, usegmt=True)
        return send(replace(answer, headers={**answer.headers, "Date": date}), line)

    def _late(
        self, provider: Provider, route: Route, call: Call, line: Line, *, seconds: float, resets: int
    ) -> Response:
        """The caller hears nothing, and it is done afterwards unless a stop or a reset comes first."""
        due = time.monotonic() + seconds
        line.hold(seconds / 2)
        line.hang_up()
        if line.rest(due - time.monotonic()):
            with self.store.writing() as db:
                if self.store.resets == resets:
                    self._happen(provider, route, call, db)
        return Response()

    def _happen(
        self,
        provider: Provider,
        route: Route,
        call: Call,
        db: sqlite3.Connection,
        *,
        ahead: timedelta = timedelta(),
    ) -> Answer:
        now = self.clock()
        self._do_what_is_due(provider, db, now)
        outcome = route.handle(replace(call, at=now + ahead), db)
        self.store.record(db, provider=provider.name, at=now, effects=outcome.effects)
        return outcome.answer

    def _do_what_is_due(self, provider: Provider, db: sqlite3.Connection, now: datetime) -> None:
        for at, effect in provider.due(db, now):
            self.store.record(db, provider=provider.name, at=at, effects=[effect])


def send(answer: Answer, line: Line) -> Response:
    """The answer as it goes over the line, in its own time."""
    if answer.wait:
        line.hold(answer.wait)
    status = f"{answer.status} {answer.phrase}" if answer.phrase else answer.status
    response = Response(answer.body, status, dict(answer.headers), content_type=answer.content_type)
    if answer.drip:
        response.headers["Content-Length"] = str(len(answer.body))
        response.response = _dripping(answer.body, line)
    return response


def _dripping(body: bytes, line: Line) -> Iterator[bytes]:
    for byte in body:
        yield bytes([byte])
        if not line.hold(1.0):
            line.hang_up()
            return


def _cut(answer: Answer, line: Line) -> Response:
    def half() -> Iterator[bytes]:
        yield answer.body[: max(1, len(answer.body) // 2)]
        line.hang_up()

    response = send(answer, line)
    response.headers["Content-Length"] = str(max(2, len(answer.body)))
    response.response = half()
    return response


def _nothing(line: Line) -> Response:
    line.hang_up()
    return Response()
