"""The one vocabulary for all providers: what is asked, what comes back, how it fails. Knows no provider."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, NoReturn

from portal.connectors import fields
from portal.connectors.failures import (
    Declined,
    Failure,
    Misconfigured,
    Reason,
    Unclear,
    Unreachable,
    Unsupported,
)
from portal.connectors.fields import Field, Settings, SettingsError, secret_names
from portal.money import Money, Points

if TYPE_CHECKING:
    from portal.connectors.http import Exchange, Wire

__all__ = [
    "BadNumber",
    "Balance",
    "BalanceRequest",
    "CardStatus",
    "ClientContext",
    "Connector",
    "Declined",
    "Failure",
    "Field",
    "Misconfigured",
    "Reading",
    "Reason",
    "Settings",
    "SettingsError",
    "Unclear",
    "Unreachable",
    "Unsupported",
    "read_json",
    "secret_names",
]


@dataclass(frozen=True)
class ClientContext:
    """The browser on whose behalf we ask: its address as our trusted proxy saw it, and its headers."""

    address: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, kw_only=True)
class BalanceRequest:
    """A look-up of one card. `number` is what `clean_number` returned, `pin` the card's password as typed."""

    number: str = field(repr=False)
    pin: str = field(default="", repr=False)
    client: ClientContext | None = field(default=None, repr=False)


class CardStatus(StrEnum):
    """What a provider's answer says about the card."""

    USABLE = "usable"
    EMPTY = "empty"  # good, with nothing on it
    EXPIRED = "expired"  # the details were right
    NEEDS_FULL_NUMBER = "needs_full_number"  # ask for the whole number
    NEAR_MISS = "near_miss"  # the PIN has a small slip: a hint for staff, for the public the same as not found
    NOT_FOUND = "not_found"  # no such card, or the wrong PIN: providers do not say which


@dataclass(frozen=True)
class Balance:
    """One of a card's balances. `kind` is "total" where a provider has only one."""

    kind: str
    value: Money | Points


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a provider says of one card now.

    `balances` is empty where the provider named none, which is not the same as a balance of zero. At most one
    of the two expiries is set. `expires` is a day: the card is good to the end of it in the merchant's time
    zone, which the caller knows and we do not. `expires_at` is an aware moment: good before it. `description`
    is the provider's text on the card, or on why there is none: cleaned, to be escaped. `usage_token` stands
    for card and PIN in a later sale and is a secret. `status_word` is the provider's own word, "" where it
    gave none.
    """

    status: CardStatus
    balances: tuple[Balance, ...] = ()
    expires: date | None = None
    expires_at: datetime | None = None
    description: str = ""
    usage_token: str = field(default="", repr=False)
    status_word: str = ""

    def __post_init__(self) -> None:
        if self.expires is not None and (self.expires_at is not None or isinstance(self.expires, datetime)):
            raise ValueError("A card expires after a day or at a moment, not both.")


class BadNumber(ValueError):
    """A typed card number that cannot be one. `message` % `values` is a sentence; so is str()."""

    def __init__(self, message: str, **values: int) -> None:
        super().__init__(message % values)
        self.message = message
        self.values = values


class Connector:
    """One provider. Subclasses set `slug`, `name` and `Settings` and override the verbs the provider has.

    A verb takes one request and returns its result or raises a Failure. Every exchange with the provider,
    failed ones too, goes to `on_exchange`, redacted. `connect_seconds` and `total_seconds` shorten the limits
    for fault runs.
    """

    slug: ClassVar[str]
    name: ClassVar[str]
    Settings: ClassVar[type[fields.Settings]]
    CONNECT_SECONDS: ClassVar[float] = 3.0
    TOTAL_SECONDS: ClassVar[float] = 10.0

    def __init__(
        self,
        settings: fields.Settings,
        wire: "Wire",
        on_exchange: Callable[["Exchange"], None],
        *,
        connect_seconds: float | None = None,
        total_seconds: float | None = None,
    ) -> None:
        self.settings = settings
        self.wire = wire
        self.on_exchange = on_exchange
        self.connect_seconds = self.CONNECT_SECONDS if connect_seconds is None else connect_seconds
        self.total_seconds = self.TOTAL_SECONDS if total_seconds is None else total_seconds

    @classmethod
    def supports(cls) -> frozenset[str]:
        """The verbs this provider has: those it overrides."""
        return frozenset(verb for verb in VERBS if getattr(cls, verb) is not getattr(Connector, verb))

    def balance(self, request: BalanceRequest) -> Reading:
        """Looks up one card; moves nothing. Raises any Failure."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    # What a page needs before anything is asked. Class methods of the settings without the secrets
    # (`Settings.options`), because the process that draws pages cannot open secrets.

    @classmethod
    def wants_pin(cls, options: Mapping[str, object]) -> bool:
        """Whether a look-up over a connection with these `options` needs the card's PIN."""
        return False

    @classmethod
    def clean_number(cls, typed: str, options: Mapping[str, object]) -> str:
        """The card number to ask for, from what a person typed or scanned. Calls nobody. Raises BadNumber."""
        raise Unsupported(reason=Reason.UNSUPPORTED)


VERBS = ("balance",)
"""Every verb any provider may have; each is a method of Connector that raises Unsupported."""


def read_json(body: bytes) -> object:
    """A provider's JSON, read so strictly that two readers cannot disagree about it.

    Numbers come as int or Decimal, never float. Raises Unclear (UNREADABLE) for anything but UTF-8 without
    byte order mark, duplicate keys, NaN and infinities, numbers of over 64 characters, lone surrogates and
    bottomless nesting.
    """
    try:
        document: object = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_int=lambda digits: int(_short(digits)),
            parse_float=lambda digits: Decimal(_short(digits)),
        )
        _encodable(document)
    except (ValueError, ArithmeticError, RecursionError):
        # `from None`: a decoding error carries the document, and with it perhaps a secret, into the
        # traceback.
        raise Unclear(reason=Reason.UNREADABLE) from None
    return document


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate key")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError("not a number")


def _short(digits: str) -> str:
    if len(digits) > 64:
        raise ValueError("number too long")
    return digits


def _encodable(document: object) -> None:
    todo = [document]
    while todo:
        part = todo.pop()
        if isinstance(part, str):
            part.encode("utf-8")  # a lone surrogate has no bytes: UnicodeEncodeError is a ValueError
        elif isinstance(part, dict):
            todo += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            todo += part
