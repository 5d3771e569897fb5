"""Keyed hashes by which a visitor, a card and a PIN are known again, and nothing else can be told of them.

Every one is bound to the merchant: what happens at one merchant says nothing about a visitor of another. While keys
change, each is looked for under all keys of the ring.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

from portal.merchants import vault

LAST = 5  # characters of a number by which a card is counted, however many were typed


@dataclass(frozen=True, kw_only=True)
class Print:
    """One keyed hash: `now` under the current key, `all` under each key of the ring."""

    now: bytes
    all: Sequence[bytes]


def of_address(merchant: int, address: str) -> Print:
    """Of one IPv4, or of the 64 bits of an IPv6 that one household has: all further bits are its own to choose."""
    return _print("address", merchant, _net(address, 32, 64))


def of_network(merchant: int, address: str) -> Print:
    """Of the network an address is in: /24, or /48."""
    return _print("network", merchant, _net(address, 24, 48))


def of_card(merchant: int, number: str, *, last_digits: int = 0) -> Print:
    """Of the end of a number, so that 12345, 912345 and 8912345 are one card. Where a page takes four characters, four
    are the end."""
    bare = re.sub("[^0-9a-z]", "", number.casefold())
    return _print("card", merchant, bare[-(min(last_digits, LAST) or LAST) :])


def of_pin(merchant: int, pin: str) -> Print:
    """Of a PIN, to notice one that is tried over many cards."""
    return _print("pin", merchant, pin)


def of_browser(merchant: int, token: str) -> Print:
    """Of the cookie of who asked."""
    return _print("browser", merchant, token)


def of_known(merchant: int, token: str) -> Print:
    """Of the cookie of a browser that looked this card up before."""
    return _print("known", merchant, token)


def _print(what: str, merchant: int, text: str) -> Print:
    purpose, token = f"shopper {what}", f"{merchant}:{text}"
    return Print(now=vault.token_hash(purpose, token), all=vault.token_hashes(purpose, token))


def _net(address: str, bits4: int, bits6: int) -> str:
    found = ip_address(address)
    if mapped := getattr(found, "ipv4_mapped", None):
        found = mapped  # ::ffff:192.0.2.1 is 192.0.2.1
    return str(ip_network((found, bits4 if isinstance(found, IPv4Address) else bits6), strict=False))
