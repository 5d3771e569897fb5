"""Where our workers may connect to. A merchant types a provider's address; it must not lead into our own
network.

A name is resolved and judged anew at every call, and the caller connects to the address that was judged, so a
name that answers differently the second time (DNS rebinding) gains nothing.
"""

import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from urllib.parse import SplitResult, urlsplit

Resolve = Callable[[str, int], Sequence[str]]

_PORTS = {"https": 443, "http": 80}
_LABEL = re.compile("[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# What inet_aton and browsers read as an IPv4 address ends in a number, decimal, octal or hexadecimal.
_NUMBER = re.compile("[0-9]+|0x[0-9a-f]*")

_NOT_PUBLIC = tuple(
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; also a cloud's metadata service
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's host service on an address that looks public
        "169.254.0.0/16",  # link-local, metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "2001::/23",  # Teredo and other special uses
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation
    )
)
# All public IPv6 addresses are in here. Everything outside is refused without a list: ::, ::1, IPv4-mapped,
# 64:ff9b::/96 (NAT64), fc00::/7, fe80::/10, ff00::/8.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


class AddressRefused(ValueError):
    """An address we never call. The message is one sentence for the person who typed it; it names no address
    found behind the name, so that nobody can explore our network by typing."""


@dataclass(frozen=True)
class Checked:
    """An origin that passed: `scheme` and `host` in lower case (IDNA), `port`, and the addresses to connect
    to."""

    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...]

    @property
    def address(self) -> str:
        """The address to try first."""
        return self.addresses[0]


def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """The addresses of `host` by the system's resolver, in its order of preference. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


_looked_up_at_once = threading.BoundedSemaphore(4)


def resolve_in_time(host: str, port: int, *, seconds: float = 3.0) -> Sequence[str]:
    """As `resolve_by_system`, for a process that people wait for. Raises OSError also where it takes longer, or where
    several names are being looked up already: the system's own patience is some ten seconds, whoever chose the name.
    """
    if not _looked_up_at_once.acquire(blocking=False):
        raise TimeoutError("Too many names are being looked up.")
    found: SimpleQueue[Sequence[str] | OSError] = SimpleQueue()

    def look_up() -> None:
        try:
            found.put(resolve_by_system(host, port))
        except OSError as error:
            found.put(error)
        finally:
            _looked_up_at_once.release()

    threading.Thread(target=look_up, daemon=True).start()
    try:
        answer = found.get(timeout=seconds)
    except Empty:
        raise TimeoutError("Looking the name up takes too long.") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def origin(url: str) -> str:
    """`scheme://host[:port]` in the one spelling in which addresses are compared. Raises AddressRefused."""
    scheme, host, port = _origin(url)
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + ("" if port == _PORTS.get(scheme) else f":{port}")


def check(url: str, *, allow: Iterable[str] = (), resolve: Resolve = resolve_by_system) -> Checked:
    """The checked origin of `url`, or AddressRefused; OSError where the name cannot be resolved just now.

    The rules: https on port 443; a host name with a dot, no user-info and no IP address in any notation;
    every address it resolves to public. Origins in `allow`, such as "http://127.0.0.1:8100", are exempt from
    all of them: our own sandbox and providers' test hosts, set in the environment only, never by a merchant.
    """
    parts, port = _split(url)
    host = _normal(parts.hostname or "")
    if not is_exempt(url, allow=allow):
        if parts.scheme != "https" or port != 443:
            raise AddressRefused("The address must begin with https:// and use the usual port.")
        _refuse_all_but_names(host)
        return Checked(parts.scheme, host, port, _public(resolve(host, port)))
    return Checked(parts.scheme, host, port, tuple(resolve(host, port)))


def is_exempt(url: str, *, allow: Iterable[str]) -> bool:
    """Whether `allow` exempts the origin of `url` from the rules. Raises AddressRefused where it has none."""
    return _origin(url) in {_origin(each) for each in allow}


def _split(url: str) -> tuple[SplitResult, int]:
    # urlsplit drops tabs and line breaks and browsers turn a backslash into a slash: what two readers see
    # differently is refused before anybody reads it.
    if not url.isprintable() or re.search(r"[\s\\]", url):
        raise AddressRefused("The address contains characters that do not belong in one.")
    try:
        parts = urlsplit(url)
        port = parts.port if parts.port is not None else _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise AddressRefused("This is not an address.") from None
    if not parts.hostname:
        raise AddressRefused("The address has no host name.")
    if "@" in parts.netloc:
        raise AddressRefused("The address must not contain a user name or password.")
    return parts, port


def _normal(host: str) -> str:
    if host.isascii():
        return host.lower().removesuffix(".")
    try:
        # Also folds look-alikes such as full-width digits and full stops, so it comes before every other
        # rule.
        return host.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        raise AddressRefused("This host name cannot be written in the international form.") from None


def _origin(url: str) -> tuple[str, str, int]:
    parts, port = _split(url)
    return parts.scheme, _normal(parts.hostname or ""), port


def _refuse_all_but_names(host: str) -> None:
    labels = host.split(".")
    if ":" in host or _NUMBER.fullmatch(labels[-1]):
        raise AddressRefused("Type a host name, not a numeric address.")
    if len(labels) < 2 or len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise AddressRefused("Type a full host name such as cards.example.com.")


def _public(found: Sequence[str]) -> tuple[str, ...]:
    if not found or not all(_is_public(address) for address in found):
        raise AddressRefused("This host is not on the public internet.")
    return tuple(found)


def _is_public(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not any(address in net for net in _NOT_PUBLIC)
