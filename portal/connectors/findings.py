"""What the doctor finds, and the words for it: one sentence for every way to fail, and what to do about it.

Sentences are message ids: whoever shows them translates them. `%(provider)s` in them is the provider's name. A
connector says more exactly what is different at its provider in `Connector.words`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from portal.connectors.failures import Detail, Reason
from portal.connectors.fields import Message, Sentence


class Step(StrEnum):
    """What is proved, one after the other."""

    REACHABLE = "reachable"  # the provider's own server answers, and the clocks agree
    ACCEPTED = "accepted"  # it knows our credentials and finds our signature right
    READS = "reads"  # a harmless question got a good answer


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One step, proved or not: `sentence` says which, `fix` what to do about it, "" where it passed.

    `reason` and `detail` are None where it passed; where only the clock is wrong, `detail` alone says so.
    `clock_offset`, with the first step, is how many seconds our clock is ahead of theirs, negative where behind, None
    where they did not tell the time. `retry_after` is in seconds. `said` is the provider's own text and `trace` its
    id for the call: redacted and cleaned, but foreign, so escape them.
    """

    step: Step
    passed: bool
    sentence: Sentence
    fix: str = ""  # a Sentence, where there is one
    reason: Reason | None = None
    detail: Detail | None = None
    clock_offset: int | None = None
    retry_after: int | None = None
    said: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Words:
    """What is wrong and what to do: `fix` in the sandbox, `live` for real cards where that is something else."""

    sentence: str
    fix: str
    live: str = ""

    def texts(self) -> tuple[str, ...]:
        """The message ids in it."""
        return tuple(text for text in (self.sentence, self.fix, self.live) if text)


_AGAIN = "Test again in a few minutes, and if it stays so, ask %(provider)s."
_CHANGED = "Tell your administrator: what %(provider)s answers may have changed."
_COPY = "Copy them again, those of the test environment: live ones are not accepted there."
_COPY_LIVE = "Copy them again, the live ones: those of the test environment are not accepted for real cards."
_A_PAYMENT = Words("%(provider)s answers a mere question as if it were a payment.", _CHANGED)

WORDS: Mapping[Reason | Detail, Words] = MappingProxyType(
    {
        Reason.BAD_INPUT: Words(
            "The card number for tests cannot be one of %(provider)s's.",
            "Type another card number for tests.",
        ),
        Reason.REFUSED: Words(
            "%(provider)s refuses to answer a harmless question.",
            "Ask %(provider)s whether this account may look cards up, or type another card number for tests.",
        ),
        Reason.MEMBER_WANTED: _A_PAYMENT,
        Reason.NOT_ENOUGH: _A_PAYMENT,
        Reason.TOKEN_LAPSED: _A_PAYMENT,
        Reason.ORIGINAL_UNKNOWN: _A_PAYMENT,
        Reason.TOO_LATE: _A_PAYMENT,
        Reason.CLAIMED: _A_PAYMENT,
        Reason.ENDED: _A_PAYMENT,
        Reason.PENDING: _A_PAYMENT,
        Reason.DUPLICATE: _A_PAYMENT,
        Reason.CARD_UNKNOWN: Words(
            "%(provider)s does not know the card number for tests.",
            "Type the number of a card it knows.",
        ),
        Reason.CARD_INACTIVE: Words(
            "The card number for tests is that of a card that is not active.",
            "Type the number of another card.",
        ),
        Reason.MISMATCH: Words("%(provider)s answers about another card than the one we asked for.", _CHANGED),
        Reason.THROTTLED: Words(
            "%(provider)s asks us to slow down.",
            "Test again in a few minutes, and ask %(provider)s how many calls it allows.",
        ),
        Reason.KEY_REFUSED: Words("%(provider)s does not accept our credentials.", _COPY, _COPY_LIVE),
        Reason.ACCESS_REFUSED: Words(
            "%(provider)s knows our credentials and does not let them look cards up.",
            "Ask %(provider)s to allow this account to look cards up.",
        ),
        Reason.WRONG_KEY: Words(
            "The stored key is one meant for browsers.",
            "Ask %(provider)s for the server key and type it instead.",
        ),
        Reason.SETTINGS: Words(
            "The settings are not complete, or one of them does not fit.",
            "Look through the settings and fill in what is missing.",
        ),
        Reason.ADDRESS_REFUSED: Words(
            "This is an address we never call.",
            "Type the public address %(provider)s gave you: https://, a host name and the usual port.",
        ),
        Reason.UNREACHABLE: Words("%(provider)s cannot be reached.", _AGAIN),
        Reason.CERTIFICATE: Words(
            "The certificate of this host is not valid.",
            "Check the address, and if it is right, tell %(provider)s.",
        ),
        Reason.TIMEOUT: Words("%(provider)s did not answer in time.", _AGAIN),
        Reason.CUT: Words("The connection broke before the answer of %(provider)s was complete.", _AGAIN),
        Reason.UNREADABLE: Words("The answer of %(provider)s cannot be read.", _CHANGED),
        Reason.UNKNOWN_WORD: Words("%(provider)s answers with something we do not know.", _CHANGED),
        Reason.REDIRECTED: Words(
            "This address sends us on to another one, which we never follow.",
            "Type the address of the API as %(provider)s gave it to you, not that of a web page.",
        ),
        Reason.SERVER_ERROR: Words("%(provider)s has trouble of its own.", _AGAIN),
        Reason.UNSUPPORTED: Words("%(provider)s takes no harmless question.", "Look up a card instead."),
        Detail.NAME_UNKNOWN: Words("Nobody knows a host with this name.", "Check the address for typing errors."),
        Detail.NAME_UNANSWERED: Words(
            "The name of the host could not be looked up just now.",
            "Test again in a few minutes, and if it stays so, tell your administrator that our name service is silent.",
        ),
        Detail.CONNECTION_REFUSED: Words(
            "The host is there and refuses the connection.",
            "Check the address, and if it is right, ask %(provider)s whether its service is running.",
        ),
        Detail.NO_CONNECTION: Words(
            "The host gives no answer when we try to connect.",
            "Check the address, and if it is right, ask %(provider)s whether it must let our server in first.",
        ),
        Detail.NO_ROUTE: Words(
            "There is no way from our server to this host.",
            "Tell your administrator: our own network or firewall is in between.",
        ),
        Detail.CERTIFICATE_EXPIRED: Words(
            "The certificate of this host has expired.",
            "Tell %(provider)s to renew it.",
        ),
        Detail.CERTIFICATE_NOT_YET: Words(
            "The certificate of this host is not valid yet.",
            "Ask your administrator whether our clock is right, and if it is, tell %(provider)s.",
        ),
        Detail.CERTIFICATE_OTHER_HOST: Words(
            "The certificate is for another host than the one in the address.",
            "Check the host name in the address for typing errors.",
        ),
        Detail.CERTIFICATE_UNKNOWN_ISSUER: Words(
            "The certificate of this host was issued by nobody we know.",
            "Check the address, and if it is right, ask %(provider)s for one with a valid certificate.",
        ),
        Detail.TLS_TOO_OLD: Words(
            "This host encrypts only in an old way that is no longer safe.",
            "Ask %(provider)s for an address with TLS 1.2 or newer.",
        ),
        Detail.NO_TLS: Words(
            "This host does not answer with an encrypted connection.",
            "Check the address, the host name and the port.",
        ),
        Detail.FOREIGN: Words(
            "Something answers at this address, and it is not %(provider)s.",
            "Check the address, the host name and what comes after it, and whether %(provider)s lets our server in.",
        ),
        Detail.TEST_ADDRESS: Words(
            "This connection is for real cards, and its address is that of a test environment.",
            "Type the live address, or make it a sandbox connection.",
        ),
        Detail.LIVE_ADDRESS: Words(
            "This connection is for practice, and its address is that of real cards.",
            "Type the address of the test environment, or make it a live connection.",
        ),
        Detail.SIGNATURE: Words(
            "%(provider)s finds our signature wrong.",
            "Copy the secret that signs again, whole and without spaces: one of the test environment signs only there.",
            "Copy the secret that signs again, whole and without spaces: for real cards it is the live one.",
        ),
        Detail.TOKEN_REFUSED: Words("%(provider)s does not know our token.", _COPY, _COPY_LIVE),
        Detail.TOKEN_EXPIRED: Words(
            "Our token at %(provider)s has expired.",
            "Ask %(provider)s for a new one and type it into the settings.",
        ),
        Detail.CLOCK: Words(
            "%(provider)s says that our clock is wrong.",
            "Tell your administrator to set our clock by a time server.",
        ),
    }
)
"""For every Reason, and for what lies behind it. Looked up by the Detail first, then by the Reason."""

ANSWERS = Words("%(provider)s answers.", "")
CLOCKS_AGREE = Words("%(provider)s answers, and our clocks agree.", "")
CLOCKS_DIFFER = Words("%(provider)s answers, but our clock and theirs differ by %(seconds)s seconds.", "")
CLOCK_TOO_FAR = Words(
    "Our clock and theirs differ by %(seconds)s seconds.",
    "Tell your administrator to set our clock by a time server: %(provider)s refuses what is signed at a wrong time.",
)
WAIT = Words("%(provider)s asks us to slow down.", "Test again in %(seconds)s seconds.")
ACCEPTED = Words("%(provider)s accepts our credentials.", "")
READS = Words("%(provider)s answered a harmless question.", "")

NO_SUCH_CALL = Message("There is no such call at %(provider)s.")
"""Why a connection cannot do something, unless its connector knows better."""


def every_text() -> tuple[str, ...]:
    """Every message id of this module."""
    own = (ANSWERS, CLOCKS_AGREE, CLOCKS_DIFFER, CLOCK_TOO_FAR, WAIT, ACCEPTED, READS)
    return (*(text for words in (*WORDS.values(), *own) for text in words.texts()), NO_SUCH_CALL)
