"""What was put into the scan box, read by its looks alone. Asks nobody and stores nothing.

Only what cannot be a card is named here. Whatever may be one is looked up at the connection the cashier chose, unless
it is our own reference: nothing is guessed.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

from django.utils.translation import gettext, ngettext
from stdnum import ean

# What keyboards, scanners and pages add around a text without showing it: controls, marks of direction and width.
_UNSEEN = "".join(map(chr, [*range(0x21), 0x7F, 0xA0, *range(0x200B, 0x2010), 0x2060, 0xFEFF]))
# ISO/IEC 15424: scanners may say first of which kind the code is, such as "]C1".
_SYMBOLOGY = re.compile(r"^\][A-Za-z][0-9]")
# ISO/IEC 7813: track 1 (%B…^NAME^…?) and track 2 (;…=…?) of a magnetic stripe, the number first.
_TRACK = re.compile(r"%[A-Za-z]?(?P<one>[^^?%;]+)(?:\^.*)?\??.*|;(?P<two>[^=?;]+)(?:=.*)?\??.*")
_OURS = re.compile(
    r"/m/(?P<slug>[-a-zA-Z0-9_]+)/(?P<place>operations|approvals|attention|cards)/(?P<key>[0-9a-f-]{36})/"
)
# A wiQR is the wiCode, a bar and the tip in cents.
_WIQR = re.compile(r"[0-9]{4,12}\|[0-9]{1,9}")
_CLAIM = re.compile(r"/qr/[0-9]+/loyalty/[0-9a-f]+/?")
# A reference of a provider's that is shorter may be the end of a card's number that somebody typed.
TELLING = 12


class Place(StrEnum):
    """Where an address of ours leads."""

    OPERATION = "operation"
    CARD = "card"


@dataclass(frozen=True, kw_only=True)
class Ours:
    """Our own reference, or an address of ours that names a thing: what a receipt's text or code holds. `slug` is the
    merchant's, where the address says it."""

    place: Place
    key: UUID
    slug: str = ""


def clean(scanned: str) -> str:
    """What was meant, without what scanners and magnetic stripes put around it. The number itself stays as it is."""
    text = _SYMBOLOGY.sub("", scanned.strip(_UNSEEN), count=1).strip(_UNSEEN)
    track = _TRACK.fullmatch(text)
    return (track["one"] or track["two"]).strip(_UNSEEN) if track else text


def ours(text: str, *, origin: str) -> Ours | None:
    """What of ours the text names: 32 hexadecimal digits however they are grouped, or an address below `origin`."""
    digits = re.sub("[ -]", "", text)
    if re.fullmatch("[0-9a-fA-F]{32}", digits):
        return Ours(place=Place.OPERATION, key=UUID(digits))
    address = _address(text)
    if address is None or not text.lower().startswith(f"{origin.lower()}/"):
        return None
    found = _OURS.match(address.path)
    try:
        key = UUID(found["key"]) if found else None
    except ValueError:
        return None
    if found is None or key is None:
        return None
    return Ours(place=Place.CARD if found["place"] == "cards" else Place.OPERATION, key=key, slug=found["slug"])


def _address(text: str) -> SplitResult | None:
    if not re.match("https?://", text, re.IGNORECASE):
        return None
    try:
        parts = urlsplit(text)
        return parts if parts.hostname else parts._replace(netloc="")
    except ValueError:  # such as a half-open bracket
        return urlsplit("")


def no_card(text: str) -> str:
    """What it is instead, in a sentence, where it can be no card's number; nothing where it may be one."""
    if _WIQR.fullmatch(text):
        return gettext("This is a wiCode with a tip, not a card. Its shopper shows it where wiCodes are taken.")
    if (address := _address(text)) is not None:
        host = address.hostname or ""
        if _CLAIM.fullmatch(address.path) or host == "revenuemonster.my" or host.endswith(".revenuemonster.my"):
            return gettext("This is a code of Revenue Monster, not a card. The shopper scans it with their own phone.")
        return gettext("This is a web address (%(host)s), not a card.") % {"host": host or gettext("unreadable")}
    if text[:1] in "{[" and text[-1:] in "}]" and len(text) > 1:
        return gettext("This is a code made for another program, not a card.")
    if re.search(r"\s", text) and not re.search("[0-9]", text):  # an end of letters alone may be typed, in one piece
        return gettext("These are words, not a card number.")
    return ""


def product(text: str) -> str:
    """For a number whose check digit is a product's: what it looks like, in a sentence."""
    if not (text.isascii() and text.isdigit() and ean.is_valid(text)):
        return ""
    return ngettext(
        "%(count)d digit with a right check digit: it looks like a product.",
        "%(count)d digits with a right check digit: it looks like a product.",
        len(text),
    ) % {"count": len(text)}
