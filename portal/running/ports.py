"""Ports of this machine: which are free, and who has the others."""

import random
import socket
from contextlib import suppress
from pathlib import Path

from portal.running import CannotStart, processes


def require_free(setting: str, port: int, hosts: list[str]) -> None:
    """Raise CannotStart, naming the holder and a free port, if `port` is taken on any of the hosts."""
    for host in hosts:
        try:
            _listen(host, port).close()
        except PermissionError:
            raise CannotStart(f"Only root may use port {port}: make run {setting}=8000.") from None
        except OSError:
            free = next(number for number in range(port + 1, port + 1000) if _is_free(number, hosts))
            advice = f"Choose another: make run {setting}={free}."
            raise CannotStart(f"Port {port} is taken{_holder(port)}. {advice}") from None


def loopbacks() -> list[str]:
    """Where `localhost` may lead a browser: this machine in IPv4, and in IPv6 if it has that."""
    found = ["127.0.0.1"]
    with suppress(OSError):
        _listen("[::1]", 0).close()
        found.append("[::1]")
    return found


def a_free_one() -> int:
    """A port on which nobody listens, from below those the system gives to outgoing connections: one of theirs could be
    taken again before we listen on it."""
    while True:
        port = random.randrange(10_000, 32_000)
        with suppress(OSError), _listen("127.0.0.1", port):
            return port


def answers(port: int) -> bool:
    """Whether somebody listens on 127.0.0.1."""
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    return False


def _is_free(port: int, hosts: list[str]) -> bool:
    with suppress(OSError, OverflowError):
        for host in hosts:
            _listen(host, port).close()
        return True
    return False


def _listen(host: str, port: int) -> socket.socket:
    """A listener there; OSError if somebody else has the place."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host.strip("[]"), port), family=family)


def _holder(port: int) -> str:
    """Who listens on a port, as ` by process 7 (command)`, or nothing where this system does not say."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
            inodes |= {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(descriptor.readlink()) in inodes:
                pid = int(descriptor.parts[2])
                return f" by process {pid} ({processes.command_of(pid)[:60]})"
    return ""
