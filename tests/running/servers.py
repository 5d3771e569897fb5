"""Servers installed on this machine, as instances of our own: free ports of the loopback, private folders.

Each raises Missing, which says how to get the program, where it is not installed: see the `needs` fixture.
"""

import os
import secrets
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from kombu import Connection

from portal.running import ports, processes
from portal.services import Missing, Postgres

MARK = "TILLSIDE_SERVER"
PATHS = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


class Server:
    """A program that can be started, stopped and killed over the same folder and port."""

    def __init__(self, url: str, argv: list[str], folder: Path, env: dict[str, str], is_up: Callable[[], bool]) -> None:
        self.url, self._argv, self._folder, self._is_up = url, argv, folder, is_up
        self._token = secrets.token_hex(8)
        self._env = {"PATH": PATHS, "LC_ALL": "C.UTF-8", MARK: self._token, **env}
        self.start()

    def start(self) -> None:
        log = self._folder / "server.log"
        self._child = processes.spawn(self._argv, log=log, env=self._env, cwd=self._folder)
        try:
            assert processes.wait_until(self._is_up, 60, every=0.1), processes.last_line(log)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        processes.ask(self._child)
        processes.wait_until(lambda: self._child.poll() is not None, 30)
        self.kill()

    def kill(self) -> None:
        """As a power cut would, with whatever the program started beside itself."""
        processes.kill(self._child)
        processes.end(processes.carrying(MARK, self._token), patience=0)


def start_redis(folder: Path) -> Server:
    """Redis, which writes every change down and so knows its messages after a restart."""
    program, port = _installed("redis-server"), ports.a_free_one()
    folder.mkdir(parents=True, exist_ok=True)
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "appendonly": "yes", "daemonize": "no"}
    argv = [program, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
    return Server(f"redis://127.0.0.1:{port}/0", argv, folder, {}, lambda: _pongs(port))


def start_rabbitmq(folder: Path) -> Server:
    """RabbitMQ with an epmd of its own, so that nothing stays behind and no other node is met."""
    _installed("rabbitmq-server")
    script = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's other one changes user and folder
    epmd, port, ports_of_its_own = (
        _installed("epmd"),
        ports.a_free_one(),
        (ports.a_free_one(), ports.a_free_one()),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plugins").write_text("[].")
    env = {
        "HOME": str(folder),  # of the Erlang cookie
        "ERL_EPMD_PORT": str(ports_of_its_own[0]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"tillside{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(ports_of_its_own[1]),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }
    url = f"amqp://guest:guest@127.0.0.1:{port}//"
    argv = ["/bin/sh", "-c", f"{epmd} & exec {script}"]
    return Server(url, argv, folder, env, lambda: _speaks_amqp(url))


def start_debian_postgres(var: Path) -> Postgres:
    """The PostgreSQL of this system, with our roles; remove it with `erase`."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        raise Missing("postgresql is not installed: apt-get install postgresql")
    server = Postgres(var, programs=found[-1].parent)
    server.start()
    return server


def _installed(program: str) -> str:
    path = shutil.which(program, path=PATHS)
    if path is None:
        package = {"epmd": "rabbitmq-server"}.get(program, program)
        raise Missing(f"{program} is not installed: apt-get install {package}")
    return path


def _pongs(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as caller:
            caller.sendall(b"PING\r\n")
            return caller.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


def _speaks_amqp(url: str) -> bool:
    try:
        with Connection(url, connect_timeout=2, transport_options={"max_retries": 0}) as connection:
            connection.connect()
        return True
    except OSError:
        return False
