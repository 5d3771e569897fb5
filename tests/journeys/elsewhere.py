"""Where an address may lead that is no sandbox: to a server with a certificate of any kind, to a port nobody listens
on, and to one that lets nobody in. The workers of the journeys may call all three."""

import socket
import ssl
from contextlib import suppress
from email.utils import formatdate
from http.client import HTTPResponse, IncompleteRead
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509

from tests.connectors.certificates import NAME, Issuer, tls_1_1
from tests.connectors.servers import Manners, Server, response

HERE = "127.0.0.1"
KEPT = ("Date", "Retry-After", "Location")
OURS = x509.IPAddress(ip_address(HERE))


class Elsewhere:
    """Holds its ports from the beginning, so that the stack can be told of them. The workers trust `ca_file`."""

    def __init__(self, folder: Path, sandbox_port: int) -> None:
        known, stranger = folder / "known", folder / "stranger"
        known.mkdir(parents=True)
        stranger.mkdir()
        issuer = Issuer(known)
        self.ca_file = issuer.ca_file
        self.good = issuer.server_context(OURS)
        self.wrong: dict[str, ssl.SSLContext | None] = {
            "expired": issuer.server_context(OURS, valid_days=(-30, -1)),
            "not yet": issuer.server_context(OURS, valid_days=(1, 30)),
            "another host": issuer.server_context(x509.DNSName(NAME)),
            "unknown issuer": Issuer(stranger, "Stranger").server_context(OURS),
            "too old": tls_1_1(issuer.server_context(OURS)),
            "none": None,
        }
        self._sandbox_port = sandbox_port
        self._relay = Server(relaying(sandbox_port), tls=self.good)
        self._unheard = socket.socket()
        self._unheard.bind((HERE, 0))  # and nobody listens
        self._full = socket.create_server((HERE, 0), backlog=0)
        self._waiting = [socket.socket() for _ in range(4)]
        for each in self._waiting:
            each.setblocking(False)
            each.connect_ex(self._full.getsockname())
        self.encrypted = f"https://{HERE}:{self._relay.port}"
        self.refusing = f"http://{HERE}:{self._unheard.getsockname()[1]}"
        self.full = f"http://{HERE}:{self._full.getsockname()[1]}"
        self.origins = ",".join((self.encrypted, self.refusing, self.full))

    def shows(self, certificate: ssl.SSLContext | None) -> None:
        """From now on, to who connects anew; None speaks no TLS."""
        self._relay.tls = certificate
        self._relay.manners = relaying(self._sandbox_port) if certificate else puzzled

    def answers(self, status: int = 0, body: bytes = b"") -> None:
        """From now on, so to whatever is asked; without a status, as the sandbox does."""
        self._relay.manners = saying(status, body) if status else relaying(self._sandbox_port)

    def close(self) -> None:
        self._relay.close()
        for each in (self._unheard, self._full, *self._waiting):
            each.close()


def saying(status: int, body: bytes) -> Manners:
    """The same answer to every request."""

    def manners(server: Server, connection: socket.socket) -> None:
        server.read_request(connection)
        headers = {"Date": formatdate(usegmt=True), "Connection": "close"}
        connection.sendall(response(body, status=status, headers=headers))

    return manners


def puzzled(server: Server, connection: socket.socket) -> None:
    """Says what a server without TLS says to a greeting in it."""
    connection.recv(65536)
    connection.sendall(response(status=400))


def relaying(port: int) -> Manners:
    """One request on each connection, passed on to a server of this machine as it is, and its answer back."""

    def manners(server: Server, connection: socket.socket) -> None:
        asked = server.read_request(connection)
        with socket.create_connection((HERE, port)) as inside:
            inside.sendall(asked)
            answer = HTTPResponse(inside)
            answer.begin()
            headers = {name: answer.headers[name] for name in KEPT if name in answer.headers} | {"Connection": "close"}
            with suppress(IncompleteRead):  # then we hang up as well
                connection.sendall(response(answer.read(), status=answer.status, headers=headers))

    return manners
