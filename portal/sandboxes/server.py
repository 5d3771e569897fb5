"""The sandboxes' web server: starts and stops it, on this machine only, and holds the line to each caller."""

import argparse
import contextlib
import os
import select
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from cheroot import wsgi

from portal.sandboxes import PROVIDERS
from portal.sandboxes.callbacks import Courier
from portal.sandboxes.control import LINE, application
from portal.sandboxes.kit import Switchboard
from portal.sandboxes.store import Store

ADDRESS = "127.0.0.1"  # no option: what imitates a bank must not be reachable from a network
# A held call keeps a thread, and cheroot's pool never grows by itself. Two workers of 50 can all be held at
# once, with room left for the control paths.
THREADS = 160
# Idle connections cost no thread; cheroot's own limit of 10 would refuse keep-alive to most of 100 callers.
KEPT_CONNECTIONS = 1000
WAITING_CONNECTIONS = 256
IDLE_SECONDS = 30
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOP_SECONDS = 5
GLANCE_SECONDS = 0.2  # how often a held call looks whether its caller is still there


class SocketLine:
    """The caller's connection, while a call on it is being answered."""

    def __init__(self, caller: socket.socket, stopping: threading.Event) -> None:
        self._caller = caller
        self._stopping = stopping

    def hold(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._gone() or self._stopping.wait(min(left, GLANCE_SECONDS)):
                return False
        return True

    def rest(self, seconds: float) -> bool:
        return not self._stopping.wait(max(seconds, 0.0))

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):  # the caller may have been faster
            self._caller.shutdown(socket.SHUT_RDWR)

    def _gone(self) -> bool:
        """True when the caller has closed: nothing more to read, and not because nothing came yet."""
        look = select.poll()  # select() itself knows no descriptor above 1023
        look.register(self._caller, select.POLLIN)
        try:
            return bool(look.poll(0)) and not self._caller.recv(1, socket.MSG_PEEK)
        except OSError:
            return True


class Gateway(wsgi.Gateway_10):
    """cheroot's, with the caller's line in the environment; the faults need to hold it and hang up."""

    def __init__(self, req: Any) -> None:
        super().__init__(req)
        self.env[LINE] = SocketLine(req.conn.socket, req.server.stopping)


class Server(wsgi.Server):
    def __init__(self, port: int, app: Any) -> None:
        super().__init__(
            (ADDRESS, port),
            app,
            numthreads=THREADS,
            max=THREADS,
            request_queue_size=WAITING_CONNECTIONS,
            timeout=IDLE_SECONDS,
            shutdown_timeout=2,
            server_name="Sandbox",
        )
        self.gateway = Gateway
        self.keep_alive_conn_limit = KEPT_CONNECTIONS
        self.stopping = threading.Event()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=_port, default=8100, help="port on 127.0.0.1; 0 takes any free one")
    parser.add_argument("--lenient-clock", action="store_true", help="accept requests with an old timestamp")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m portal.sandboxes", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--store", type=Path, required=True, help="the folder that keeps the state")
    return serve(**vars(parser.parse_args(arguments)))


def serve(*, port: int, store: Path, lenient_clock: bool) -> int:
    """Answer calls until somebody ends the process; the result is its exit code."""
    # A service manager could otherwise hand cheroot a socket that listens elsewhere.
    os.environ.pop("LISTEN_PID", None)
    kept = Store(store, tables=[table for provider in PROVIDERS for table in provider.tables], stock=_stock)
    board = Switchboard(store=kept, clock=lambda: datetime.now(UTC))
    server = Server(port, application(PROVIDERS, board, lenient_clock=lenient_clock))
    courier = Courier(PROVIDERS, board)
    # Between the first thread and the first call a request to stop waits, or it would leave threads behind.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    for number in STOP_SIGNALS:
        signal.signal(number, _leave)
    try:
        server.prepare()
    except OSError as error:
        kept.close()
        sys.stderr.write(f"The sandboxes cannot use port {port} on {ADDRESS}: {error.strerror or error}\n")
        return 1
    try:
        sys.stdout.write(f"Sandboxes on http://localhost:{server.bind_addr[1]}/\n")
        sys.stdout.flush()
        courier.start()  # while signals are blocked: its thread inherits that, and they stay the main one's
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        server.serve()
    except SystemExit:
        pass
    finally:
        server.stopping.set()
        courier.stop()
        # cheroot joins its threads without a limit, and now and then one of them waits for ever. What is journalled is
        # on the disk by then.
        last_resort = threading.Timer(STOP_SECONDS, os._exit, [0])
        last_resort.daemon = True
        last_resort.start()
        server.stop()
        kept.close()
    return 0


def _stock(db: sqlite3.Connection) -> None:
    for provider in PROVIDERS:
        provider.stock(db)


def _leave(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second request to stop does not wait
    raise SystemExit(0)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"give a port number alone; the sandboxes listen on {ADDRESS} only")
    return int(text)
