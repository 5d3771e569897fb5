"""Whom a mail may be written to, and texts that are safe in a mail's head.

One mailbox, in ASCII: a name of another script is turned into what the internet's registers call it (IDNA 2008), so
that a look-alike shows itself.
"""

import re
import unicodedata

import idna

LONGEST = 254  # characters; RFC 5321's path less its brackets
_LOCAL = re.compile(r"[A-Za-z0-9!#$&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_JOINERS = "\u200c\u200d"  # written within words of some scripts


class NotAnAddress(ValueError):
    """This is not one mailbox that we can write to."""


def single(text: str) -> str:
    """The one address in `text`, its domain in lower case and IDNA. Raises NotAnAddress.

    Refused are lists, names beside the address, quoted local parts and those with `%` (old source routes) or letters
    beyond ASCII (which many servers cannot deliver to), and domains that are numbers or have no dot.
    """
    local, at, domain = text.strip().rpartition("@")
    if not at or len(local) > 64 or not _LOCAL.fullmatch(local):
        raise NotAnAddress
    try:
        domain = idna.encode(domain, uts46=True, std3_rules=True).decode().lower()
    except (idna.IDNAError, UnicodeError):
        raise NotAnAddress from None
    labels = domain.split(".")
    if len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise NotAnAddress
    address = f"{local}@{domain}"
    if len(address) > LONGEST:
        raise NotAnAddress
    return address


def mailbox(address: str) -> str:
    """The same text for spellings that reach one mailbox: without case and without what follows a plus sign."""
    local, _, domain = address.casefold().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"[:320]


def one_line(text: str, *, most: int) -> str:
    """`text` on one line of at most so many characters, without control and bidi characters.

    What looks like an encoded word is broken up: Python's email package would decode it, line breaks and all, and write
    what follows them as a header (tried with 3.11).
    """
    pieces = (" " if character.isspace() else character for character in text if _is_shown(character))
    return " ".join("".join(pieces).replace("=?", "= ?").split())[:most].strip()


def paragraph(text: str) -> str:
    """`text` with its lines kept, without other control and bidi characters."""
    lines = re.split("\r\n|\r|\n", text)
    return "\n".join("".join(each for each in line if each == "\t" or _is_shown(each)) for line in lines)


def _is_shown(character: str) -> bool:
    if character.isspace() or character in _JOINERS:
        return True
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
