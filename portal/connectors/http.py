"""One exchange with a provider: connect, send, read. Timed, capped, redacted, and failing in the right word.

The connection is made first, as its own step: whatever breaks in it is Unreachable (not sent), whatever
breaks later is Unclear (perhaps done), and no exception's name is asked for that. There are no retries, no
redirects, no proxies from the environment, no compression.
"""

import logging
import re
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.response import BaseHTTPResponse

from portal.connectors import addresses
from portal.connectors.evidence import Exchange, HttpRequest, Progress, evidence
from portal.connectors.failures import RETRY_AFTER, Detail, Failure, Misconfigured, Reason, Unclear, Unreachable
from portal.connectors.lines import Line, Lines, Watchdog, tls_context
from portal.connectors.redaction import Redactor

__all__ = ["Exchange", "HttpAnswer", "HttpRequest", "Wire"]

LARGEST_ANSWER = 256 * 1024
"""Bytes of a body we read at most; the largest documented answer is a few KiB."""
# urllib3 writes whole URLs to its log, card and PIN included: on DEBUG for every request, on WARNING for odd
# headers. A level could be lowered by whoever configures logging; a filter cannot.
logging.getLogger("urllib3").setLevel(logging.WARNING)
for _name in ("urllib3.connection", "urllib3.connectionpool", "urllib3.response", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(lambda record: False)


@dataclass(frozen=True)
class HttpAnswer:
    """A whole answer that is no redirect. Header names are in lower case; `redact` strikes this call's
    secrets from a text, for what is passed on of the answer; `kept` is the body as the record has it."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    redact: Callable[[str], str] = field(repr=False, compare=False)
    kept: str = field(default="", repr=False)

    def retry_after(self) -> int | None:
        """Seconds from the Retry-After header, given as seconds or as a date, clamped to 1..3600; None
        without one."""
        asked = self.headers.get("retry-after", "").strip()
        if re.fullmatch("[+-]?[0-9]+", asked):
            # No provider means more than a day; int() itself refuses thousands of digits.
            seconds = int(asked) if len(asked) < 8 else -1 if asked.startswith("-") else RETRY_AFTER[-1]
        else:
            try:
                moment = parsedate_to_datetime(asked)
            except (ValueError, TypeError, IndexError, OverflowError):
                return None
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            seconds = int((moment - datetime.now(UTC)).total_seconds())
        return min(max(seconds, RETRY_AFTER[0]), RETRY_AFTER[-1])


class Wire:
    """This process's way out to the providers; one per process, safe for any number of threads.

    `allow` holds the origins exempt from the address rules (see `addresses.check`), from the environment
    only. `value_idle`: a connection idle for longer (seconds) is not used for a call that moves value: the
    other side may be closing it just then, and we could not tell whether it read the request. `max_idle` is
    the same for all other calls. `ca_file` adds an issuer of certificates; verification cannot be switched
    off.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        value_idle: float = 2.0,
        max_idle: float = 20.0,  # well below the keep-alive of common servers and load balancers
        ca_file: str | None = None,
        resolve: addresses.Resolve = addresses.resolve_by_system,
    ) -> None:
        self._allow = tuple(allow)
        self._resolve = resolve
        self._value_idle = value_idle
        self._max_idle = max_idle
        self._watchdog = Watchdog()
        self._lines = Lines(tls=tls_context(ca_file), max_idle=max_idle)

    def exempts(self, url: str) -> bool:
        """Whether the origin of `url` is one of those the environment exempts: a sandbox or a test host."""
        return addresses.is_exempt(url, allow=self._allow)

    def close(self) -> None:
        """Closes idle connections and ends the watchdog. For tests and for the end of a process."""
        self._lines.close()
        self._watchdog.close()

    def exchange(
        self,
        request: HttpRequest,
        *,
        secrets: Mapping[str, str],
        deadline: float,
        connect_timeout: float,
        moves_value: bool,
        on_exchange: Callable[[Exchange], None],
        hidden: Collection[str] = (),
    ) -> HttpAnswer:
        """Sends `request` once and returns the whole answer, whatever its status, unless it is a redirect.

        `deadline` and `connect_timeout` are seconds from now, for all of it and for connecting. `secrets` is
        {label: value}, `hidden` names JSON members of either body; neither appears in the Exchange that
        `on_exchange` gets, exactly once, before this returns or raises. Raises Misconfigured
        (ADDRESS_REFUSED), Unreachable (nothing sent: UNREACHABLE, CERTIFICATE, TIMEOUT) or Unclear (TIMEOUT,
        CUT, UNREADABLE, REDIRECTED). Resolving a name is the one step the deadline cannot interrupt; it is
        over before anything is sent.
        """
        redact = Redactor(secrets)
        started_at, started = datetime.now(UTC), time.monotonic()
        progress = Progress()
        try:
            line = self._line(request, progress, started, started + deadline, connect_timeout, moves_value)
            self._converse(line, request, progress, started + deadline)
            progress.reason = ""
        except Failure as failure:
            progress.reason = failure.reason.value
            raise
        finally:
            seconds = time.monotonic() - started
            record = evidence(request, progress, redact=redact, hidden=hidden, started_at=started_at, seconds=seconds)
            on_exchange(record)
        assert progress.status is not None, "an answer without a status"
        return HttpAnswer(progress.status, _joined(progress.headers), progress.body, redact, kept=record.response_body)

    def _line(
        self,
        request: HttpRequest,
        progress: Progress,
        started: float,
        ends: float,
        connect_timeout: float,
        moves_value: bool,
    ) -> Line:
        try:
            checked = addresses.check(request.url, allow=self._allow, resolve=self._resolve)
        except addresses.AddressRefused:
            raise Misconfigured(reason=Reason.ADDRESS_REFUSED) from None
        except OSError as error:
            raise Unreachable(reason=Reason.UNREACHABLE, detail=_name_detail(error)) from None
        line = self._lines.take(checked, idle_at_most=self._value_idle if moves_value else self._max_idle)
        progress.reused = line is not None
        if line is None:
            line = self._lines.open(checked, ends=min(started + connect_timeout, ends))
        progress.certificate_until = line.certificate_until
        progress.connect_seconds = time.monotonic() - started
        return line

    def _converse(self, line: Line, request: HttpRequest, progress: Progress, ends: float) -> None:
        left = ends - time.monotonic()
        if left <= 0:  # e.g. this process was paused: what is written now would surprise whoever gave up on it
            line.close()
            raise Unreachable(reason=Reason.TIMEOUT)
        keep = False
        try:
            with self._watchdog.over(line.handle, ends) as watch:
                try:
                    _send_and_read(line, request, progress, left)
                except (OSError, HTTPError, HTTPException) as error:
                    late = watch.cut or time.monotonic() >= ends
                    reason = Reason.TIMEOUT if late else _broken_reason(error)
                    # `from None`: these errors quote what the server sent.
                    raise Unclear(reason=reason) from None
                if watch.cut:  # a body without a length looks complete when it is cut
                    raise Unclear(reason=Reason.TIMEOUT)
            # urllib3 drops its socket where the answer says that the connection ends.
            # After an interim answer (1xx) the real one is still to come, for whoever is next.
            keep = line.http.sock is not None and (progress.status or 0) >= 200
        finally:
            if keep:
                self._lines.give_back(line)
            else:
                line.close()
        _refuse_unusable(progress)


def _name_detail(error: OSError) -> Detail:
    unknown = isinstance(error, socket.gaierror) and error.errno in {socket.EAI_NONAME, socket.EAI_NODATA}
    return Detail.NAME_UNKNOWN if unknown else Detail.NAME_UNANSWERED


def _send_and_read(line: Line, request: HttpRequest, progress: Progress, left: float) -> None:
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"User-Agent": "Tillside", "Accept-Encoding": "identity", **request.headers}
    body = request.body or (None if request.method in {"GET", "HEAD", "DELETE"} else b"")
    line.http.timeout = left
    line.http.request(request.method, target, body=body, headers=headers, preload_content=False, decode_content=False)
    response = line.http.getresponse()
    progress.status = response.status
    progress.headers = tuple((name.lower(), value) for name, value in response.headers.items())
    _read_body(response, progress)


def _read_body(response: BaseHTTPResponse, progress: Progress) -> None:
    pieces: list[bytes] = []
    size = 0
    try:
        # One byte over the cap is read, so that an endless body is told from one that ends there.
        while size <= LARGEST_ANSWER and (piece := response.read(min(16384, LARGEST_ANSWER + 1 - size))):
            pieces.append(piece)
            size += len(piece)
    finally:
        progress.body = b"".join(pieces)[:LARGEST_ANSWER]
    if size > LARGEST_ANSWER:
        raise Unclear(reason=Reason.UNREADABLE)


def _broken_reason(error: Exception) -> Reason:
    # urllib3 wraps what goes wrong while a body is read.
    cause = error.__cause__ if isinstance(error, ProtocolError) else error
    cut = isinstance(cause, OSError | RemoteDisconnected | IncompleteRead)
    return Reason.CUT if cut else Reason.UNREADABLE


def _refuse_unusable(progress: Progress) -> None:
    status = progress.status or 0
    if 300 <= status < 400:
        raise Unclear(reason=Reason.REDIRECTED)
    if status < 200 or status > 599:
        raise Unclear(reason=Reason.UNREADABLE)
    # We asked for none, and unpacking is where a small answer becomes a large one.
    if _joined(progress.headers).get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise Unclear(reason=Reason.UNREADABLE)


def _joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined
