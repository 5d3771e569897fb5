"""Open connections to providers: made, kept while idle, cut at a deadline. Knows sockets and TLS, not HTTP's
meaning."""

import errno
import heapq
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from urllib3.connection import HTTPConnection, HTTPSConnection

from portal.connectors.addresses import Checked
from portal.connectors.failures import Detail, Reason, Unreachable

_TOO_OLD = {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"}
_OTHER_NAME = {"TLSV1_UNRECOGNIZED_NAME"}  # said by the host itself, before it shows any certificate
# OpenSSL's X509_V_ERR_…; the first that it meets on the way from the issuer down is the one it tells.
_CERTIFICATES = {
    9: Detail.CERTIFICATE_NOT_YET,
    10: Detail.CERTIFICATE_EXPIRED,
    **dict.fromkeys((18, 19, 20, 21), Detail.CERTIFICATE_UNKNOWN_ISSUER),
    **dict.fromkeys((62, 64), Detail.CERTIFICATE_OTHER_HOST),
}
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EACCES, errno.EPERM}

Key = tuple[str, str, str, int]


class Watch:
    """One guarded stretch of time; `cut` tells whether the watchdog ended it."""

    def __init__(self, handle: socket.socket) -> None:
        self.handle: socket.socket | None = handle
        self.cut = False


class Watchdog:
    """Shuts sockets down at their deadline, from one thread.

    A socket's own timeout counts anew with every byte received, so a server that drips outlives it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Watch]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def over(self, handle: socket.socket, ends: float) -> Iterator[Watch]:
        """While the block runs, `handle` is shut down when time.monotonic() passes `ends`."""
        watch = Watch(handle)
        with self._changed:
            if self._thread is None or not self._thread.is_alive():  # not started, or lost in a fork
                self._thread = threading.Thread(target=self._run, name="wire-watchdog", daemon=True)
                self._thread.start()
            heapq.heappush(self._heap, (ends, next(self._order), watch))
            if self._heap[0][2] is watch:
                self._changed.notify()
        try:
            yield watch
        finally:
            with self._changed:  # after this the thread cannot touch the handle any more
                watch.handle = None

    def close(self) -> None:
        """Ends the thread; what it still guarded loses its deadline."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                while self._heap and self._heap[0][0] <= now:
                    watch = heapq.heappop(self._heap)[2]
                    if watch.handle is not None:
                        watch.cut = True
                        with suppress(OSError):  # the other side may have closed it already
                            watch.handle.shutdown(socket.SHUT_RDWR)
                self._changed.wait(self._heap[0][0] - now if self._heap else None)


@dataclass
class Line:
    """One open connection. `handle` is a second descriptor of its socket: shutting that down ends reads and
    writes in another thread without touching the state of the TLS object they are using. `certificate_until`
    is when the certificate of the other side ends, None without TLS."""

    key: Key
    http: HTTPConnection
    handle: socket.socket
    idle_since: float = field(default=0.0)
    certificate_until: datetime | None = None

    def close(self) -> None:
        self.http.close()
        self.handle.close()

    def is_quiet(self) -> bool:
        """Whether nothing waits to be read: neither the other side's goodbye nor an answer nobody asked for,
        which would be taken for the next caller's."""
        sock = self.http.sock
        held_by_tls = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        return self.http.is_connected and not held_by_tls


class Lines:
    """The idle connections of one process, by checked address; safe for any number of threads. `max_idle`
    seconds."""

    def __init__(self, *, tls: ssl.SSLContext, max_idle: float) -> None:
        self._tls = tls
        self._max_idle = max_idle
        self._lock = threading.Lock()
        self._idle: dict[Key, list[Line]] = {}
        self._swept = time.monotonic()

    def take(self, checked: Checked, *, idle_at_most: float) -> Line | None:
        """The most recently used idle connection to this very origin and address, or None."""
        for address in checked.addresses:
            key = (checked.scheme, checked.host, address, checked.port)
            while True:
                with self._lock:
                    stack = self._idle.get(key)
                    if not stack or time.monotonic() - stack[-1].idle_since > min(idle_at_most, self._max_idle):
                        break  # the others below it are older still
                    line = stack.pop()
                if line.is_quiet():
                    return line
                line.close()
        return None

    def give_back(self, line: Line) -> None:
        """Keeps a connection whose last answer was read to its end."""
        now = line.idle_since = time.monotonic()
        stale: list[Line] = []
        with self._lock:
            self._idle.setdefault(line.key, []).append(line)
            if now - self._swept > self._max_idle:
                self._swept = now
                for key, stack in list(self._idle.items()):
                    stale += [each for each in stack if now - each.idle_since > self._max_idle]
                    self._idle[key] = [each for each in stack if now - each.idle_since <= self._max_idle]
                    if not self._idle[key]:
                        del self._idle[key]
        for each in stale:
            each.close()

    def close(self) -> None:
        with self._lock:
            stacks, self._idle = list(self._idle.values()), {}
        for line in itertools.chain.from_iterable(stacks):
            line.close()

    def open(self, checked: Checked, *, ends: float) -> Line:
        """A new connection, TLS included, before time.monotonic() passes `ends`. Raises Unreachable whatever
        breaks."""
        detail = Detail.NO_CONNECTION
        for address in checked.addresses:
            left = ends - time.monotonic()
            if left <= 0:
                break
            try:
                sock = socket.create_connection((address, checked.port), timeout=left)
            except OSError as error:
                detail = _connection_detail(error)
                continue  # nothing was sent: the next address of the same name may be tried
            return self._secure(sock, checked, address, ends)
        # One reason for every way of not connecting. The detail tells more of public hosts only: whatever else a
        # merchant could type to explore a network is refused before we get here.
        raise Unreachable(reason=Reason.UNREACHABLE, detail=detail)

    def _secure(self, sock: socket.socket, checked: Checked, address: str, ends: float) -> Line:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handle = sock.dup()
        try:
            if checked.scheme == "https":
                # For a handshake this is a limit to all of it, not to each read.
                sock.settimeout(max(ends - time.monotonic(), 0.001))
                # The name, not the address, goes into SNI and is compared with the certificate.
                sock = self._tls.wrap_socket(sock, server_hostname=checked.host)
        except OSError as error:
            sock.close()
            handle.close()
            raise _handshake_failure(error) from None
        # The classes differ only in their usual port, which the Host header leaves out.
        http = (HTTPSConnection if checked.scheme == "https" else HTTPConnection)(checked.host, checked.port)
        http.sock = sock
        http.auto_open = 0  # it must never connect by itself: that would be to the name, unchecked and in the clear
        key = (checked.scheme, checked.host, address, checked.port)
        return Line(key, http, handle, certificate_until=_certificate_until(sock))


@cache  # reading all the system's issuers takes 20 ms
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Certificates and names always verified, TLS 1.2 or newer. `ca_file` adds an issuer to the system's."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def _certificate_until(sock: socket.socket) -> datetime | None:
    """When the certificate that was just accepted ends; None without TLS."""
    if not isinstance(sock, ssl.SSLSocket):
        return None
    ends = (sock.getpeercert() or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(ends)), UTC) if ends else None


def _connection_detail(error: OSError) -> Detail:
    if isinstance(error, ConnectionRefusedError):
        return Detail.CONNECTION_REFUSED
    return Detail.NO_ROUTE if error.errno in _NO_ROUTE else Detail.NO_CONNECTION


def _handshake_failure(error: OSError) -> Unreachable:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(reason=Reason.CERTIFICATE, detail=_CERTIFICATES.get(error.verify_code))
    if isinstance(error, ssl.SSLError) and error.reason in _TOO_OLD:
        return Unreachable(reason=Reason.CERTIFICATE, detail=Detail.TLS_TOO_OLD)
    if isinstance(error, ssl.SSLError) and error.reason in _OTHER_NAME:
        return Unreachable(reason=Reason.CERTIFICATE, detail=Detail.CERTIFICATE_OTHER_HOST)
    silent = isinstance(error, TimeoutError)
    return Unreachable(reason=Reason.UNREACHABLE, detail=Detail.NO_CONNECTION if silent else Detail.NO_TLS)
