"""Little servers with bad manners, on real sockets: the other side of every test in this folder."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

Manners = Callable[["Server", socket.socket], None]


class Server:
    """Listens on 127.0.0.1 and treats each connection as `manners` say. Counts what arrives."""

    def __init__(self, manners: Manners, tls: ssl.SSLContext | None = None) -> None:
        self.manners = manners
        self.tls = tls
        self.requests: list[bytes] = []
        self.server_names: list[str | None] = []
        self.connections = 0
        self.dripped_out = False
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.over.set()
        # shutdown() wakes accept(); close() alone would leave it waiting.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(10)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                self.manners(self, connection)

    def read_request(self, connection: socket.socket) -> bytes:
        """One whole request, remembered; b"" where the other side has hung up."""
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return b""
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].split(b":")[1]) if lengths else 0
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]


def response(body: bytes = b"{}", *, status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole HTTP answer with its length."""
    fields = {"Content-Type": "application/json", **(headers or {}), "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + body


def cards(*records: object) -> bytes:
    """A CardInquiry answer with these records."""
    return response(json.dumps({"data": {"Cards": records}}).encode())


def answering(*answers: bytes) -> Manners:
    """Keeps the connection and gives these answers in turn, the last one for ever."""
    left = list(answers)

    def manners(server: Server, connection: socket.socket) -> None:
        while server.read_request(connection):
            connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    return manners


def after(known: Mapping[bytes, bytes], manners: Manners) -> Manners:
    """Gives these answers to the calls whose first line begins so, and treats the first that none of them is for, and
    all that follows on its connection, as `manners` say."""

    def first(server: Server, connection: socket.socket) -> None:
        while line := _next_line(connection):
            answer = next((answer for begun, answer in known.items() if line.startswith(begun)), None)
            if answer is None:
                return manners(server, connection)
            server.read_request(connection)
            connection.sendall(answer)

    return first


def _next_line(connection: socket.socket) -> bytes:
    """The first line of the next request, left where it is."""
    while received := connection.recv(65536, socket.MSG_PEEK):
        if b"\r\n" in received:
            return received.partition(b"\r\n")[0]
    return b""


def hanging_up_after(*pieces: bytes) -> Manners:
    """Reads a request, sends these bytes and closes."""

    def manners(server: Server, connection: socket.socket) -> None:
        server.read_request(connection)
        for piece in pieces:
            connection.sendall(piece)

    return manners


def silent_after(sent: bytes = b"") -> Manners:
    """Reads a request, sends these bytes and keeps the connection open without another word."""

    def manners(server: Server, connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(sent)
        server.over.wait(5)

    return manners


def dripping(sent: bytes, drip: bytes) -> Manners:
    """Reads a request, sends some bytes at once and then drips, never pausing as long as a timeout."""

    def manners(server: Server, connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(sent)
        for _ in range(500):  # an end of its own, so that a test can fail
            server.over.wait(0.02)
            connection.sendall(drip)
        server.dripped_out = True

    return manners
