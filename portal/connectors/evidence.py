"""What is sent in one exchange, and what is kept of it as evidence."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from portal.connectors.redaction import Redactor, hide_members

LARGEST_RECORD = 16 * 1024
"""Characters of a body kept as evidence; enough for every documented message, small enough for a row."""

# Headers that are secret whatever they hold; recorded by name only.
_SECRET_HEADERS = {
    *("authorization", "authenticate", "proxy-authorization", "x-api-key", "jwt-token", "sign"),
    *("cookie", "set-cookie"),
}


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """What to send, byte for byte. `url` is complete and percent-encoded.

    Headers named in `unrecorded` (lower case), and the body unless `record_body`, are sent but not kept as
    evidence. Raises ValueError where a URL or header could not be sent as it is.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    unrecorded: frozenset[str] = frozenset()
    record_body: bool = True

    def __post_init__(self) -> None:
        # Here, so that nothing can be found wrong after the first byte has left. The messages repeat no
        # value.
        if not re.fullmatch("[!-~]+", self.url) or "#" in self.url:
            raise ValueError("The URL is not percent-encoded.")
        for name, value in self.headers.items():
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch("[ -~]*", value):
                raise ValueError("A header cannot be sent as it is.")


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """The evidence of one call, answered or not: every text in it is redacted, printable and cut to
    LARGEST_RECORD.

    `status` is None where no answer came; `reason` is our Reason's value,
    "" where all went well. Seconds are by the monotonic clock. `certificate_until` is when the certificate of their
    server ends, None without TLS.
    """

    method: str
    url: str
    request_headers: tuple[tuple[str, str], ...]
    request_body: str
    status: int | None
    response_headers: tuple[tuple[str, str], ...]
    response_body: str
    started_at: datetime
    connect_seconds: float
    total_seconds: float
    reused: bool
    reason: str
    certificate_until: datetime | None = None


@dataclass
class Progress:
    """What is known of a call while it runs."""

    connect_seconds: float = 0.0
    reused: bool = False
    certificate_until: datetime | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    reason: str = "unexpected"  # stays only if an error of our own breaks the call


def evidence(
    request: HttpRequest,
    progress: Progress,
    *,
    redact: Redactor,
    hidden: Collection[str],
    started_at: datetime,
    seconds: float,
) -> Exchange:
    """The record of a call that ended after `seconds`, without the secrets of `redact` and the members in
    `hidden`."""

    def kept(body: bytes) -> str:
        return redact(hide_members(body.decode("utf-8", "replace"), hidden))[:LARGEST_RECORD]

    def headers(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        return tuple((redact(n), "‹hidden›" if n.lower() in _SECRET_HEADERS else redact(v)) for n, v in pairs)

    sent = [pair for pair in request.headers.items() if pair[0].lower() not in request.unrecorded]
    return Exchange(
        method=request.method,
        url=redact(request.url),
        request_headers=headers(sent),
        request_body=kept(request.body) if request.record_body else "‹hidden›",
        status=progress.status,
        response_headers=headers(progress.headers),
        response_body=kept(progress.body),
        started_at=started_at,
        connect_seconds=progress.connect_seconds,
        total_seconds=seconds,
        reused=progress.reused,
        reason=progress.reason,
        certificate_until=progress.certificate_until,
    )
