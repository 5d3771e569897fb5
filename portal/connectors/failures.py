"""The five ways a call can fail, named by what is known about it afterwards."""

from enum import StrEnum

from portal.connectors.redaction import clean

RETRY_AFTER = range(1, 3600 + 1)
"""The waits we accept from a provider, in seconds: 0 would be a storm, a year would be for ever."""


class Reason(StrEnum):
    """Why, in our words; a provider's words stand beside it in `provider_text`."""

    BAD_INPUT = "bad_input"  # what we were asked cannot be sent: number, PIN, amount, reference …; never sent
    MEMBER_WANTED = "member_wanted"  # it takes a member's own ID, which nobody told for this phone number; never sent
    REFUSED = "refused"  # the provider read the request and said no in an error of its own
    NOT_ENOUGH = "not_enough"  # refused: the card holds less money, or fewer points, than were asked for
    CARD_UNKNOWN = "card_unknown"  # refused: the provider has no such card
    CARD_INACTIVE = "card_inactive"  # refused: the card is not active yet, or not any more (blocked, expired)
    TOKEN_LAPSED = "token_lapsed"  # refused: what a look-up gave for the card is not good any more; look it up again
    ORIGINAL_UNKNOWN = "original_unknown"  # refused: the provider does not know what should be undone or tipped
    TOO_LATE = "too_late"  # refused: what should be undone is settled by now
    CLAIMED = "claimed"  # refused: somebody has claimed the code by now, and has what it gives
    ENDED = "ended"  # refused: the time of the code was over before anybody claimed it
    PENDING = "pending"  # the provider has it in hand and does not say yet how it ends
    DUPLICATE = "duplicate"  # the provider has seen this reference: how the first attempt ended is not said
    MISMATCH = "mismatch"  # a good answer, but about another card, amount or operation than ours
    THROTTLED = "throttled"  # the provider asks us to slow down, see retry_after
    KEY_REFUSED = "key_refused"  # the provider does not know our credentials
    ACCESS_REFUSED = "access_refused"  # it knows them and does not let them do this
    WRONG_KEY = "wrong_key"  # a key meant for browsers was stored where a server's key belongs
    SETTINGS = "settings"  # the stored settings of the connection do not pass its own rules
    ADDRESS_REFUSED = "address_refused"  # the provider's address is, or now resolves to, one we never call
    UNREACHABLE = "unreachable"  # no connection: unknown name, refused, no answer to the connection attempt
    CERTIFICATE = "certificate"  # no trustworthy TLS: expired, wrong host, unknown issuer, protocol too old
    TIMEOUT = "timeout"  # the time for the whole call was used up
    CUT = "cut"  # the connection broke after we began to write
    UNREADABLE = "unreadable"  # an answer that is garbage, too long, undocumented or contradicts itself or us
    UNKNOWN_WORD = "unknown_word"  # a well-formed answer with a status we do not know, in provider_text
    REDIRECTED = "redirected"  # an answer that sends us elsewhere; never followed
    SERVER_ERROR = "server_error"  # the provider reports trouble of its own (5xx, 408): try later
    UNSUPPORTED = "unsupported"  # this provider has no such verb


class Detail(StrEnum):
    """What lies behind a Reason, where it can be told: for whoever sets a connection up, in `doctor.examine`. Nothing
    is decided by it."""

    NAME_UNKNOWN = "name_unknown"  # nobody knows the host
    NAME_UNANSWERED = "name_unanswered"  # our own name service gives no answer
    CONNECTION_REFUSED = "connection_refused"  # the host is there and nothing listens, or it sends us away
    NO_CONNECTION = "no_connection"  # no answer to the connection attempt
    NO_ROUTE = "no_route"  # our own network has no way there
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET = "certificate_not_yet"  # it is not valid yet, or our clock is behind
    CERTIFICATE_OTHER_HOST = "certificate_other_host"
    CERTIFICATE_UNKNOWN_ISSUER = "certificate_unknown_issuer"
    TLS_TOO_OLD = "tls_too_old"  # it speaks only what is older than TLS 1.2
    NO_TLS = "no_tls"  # it does not speak TLS at all, or none that we understand
    FOREIGN = "foreign"  # something answers that is not this provider
    TEST_ADDRESS = "test_address"  # a live connection, and the address of the test environment
    LIVE_ADDRESS = "live_address"  # a sandbox connection, and the address of real cards
    SIGNATURE = "signature"  # the provider finds our signature wrong
    TOKEN_REFUSED = "token_refused"  # it does not know our token
    TOKEN_EXPIRED = "token_expired"
    CLOCK = "clock"  # our clock and theirs differ by more than a signature may be old


class Failure(Exception):
    """A call that did not succeed. Catch the subclass that says what is known, never this to carry on.

    `reason` is our word, `detail` what lies behind it, where that is known. `provider_text` is the provider's,
    cleaned of control and bidirectional characters and cut at 500 characters: still foreign text, so escape it, and
    show it to staff only. `retry_after` is in seconds, clamped to 1..3600, or None. `trace` is the provider's id for
    the call or what it began, to quote to its support. `provider_reference` is its handle for the movement, as in a
    Receipt, where it gave one for certain and only does not say yet how the movement ends. Neither str() nor repr()
    holds any of the foreign text.
    """

    def __init__(
        self,
        *,
        reason: Reason,
        provider_text: str = "",
        retry_after: int | None = None,
        trace: str = "",
        provider_reference: str = "",
        detail: Detail | None = None,
    ) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail
        self.provider_text = clean(provider_text)
        self.retry_after = None if retry_after is None else min(max(retry_after, RETRY_AFTER[0]), RETRY_AFTER[-1])
        self.trace = clean(trace, limit=100)
        self.provider_reference = clean(provider_reference, limit=100)


class Declined(Failure):
    """Not done, and final: a documented no. Asking again gives the same no (THROTTLED: for a while)."""


class Misconfigured(Failure):
    """Not done, and nothing will be until a person changes the connection; pause it and tell its merchant."""


class Unreachable(Failure):
    """No byte of the request left, so it may be tried again, with growing pauses."""


class Unclear(Failure):
    """Perhaps done. Bytes left and no documented answer came back; a call that moves value is never just
    repeated."""


class Unsupported(Failure):
    """This provider cannot do that; nothing was sent. Raised by verbs a connector does not override."""


def bad_input() -> Declined:
    """What we were asked cannot be sent."""
    return Declined(reason=Reason.BAD_INPUT)


def unreadable() -> Unclear:
    """An answer that nobody can rely on."""
    return Unclear(reason=Reason.UNREADABLE)


def never_begun(failure: Failure) -> Unreachable:
    """What failed was on the way to the call that moves value, which was not sent."""
    return Unreachable(
        reason=failure.reason,
        provider_text=failure.provider_text,
        retry_after=failure.retry_after,
        trace=failure.trace,
        detail=failure.detail,
    )
