"""Tillside's processes on one machine, as `make run` and the journey and fault tests have them: real ones.

Knows what is started, in which order, with which secrets, and how each is watched and stopped. What the
person at the terminal reads is in portal/run.py.
"""

import base64
import http.client
import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from portal import services
from portal.running import BASE, CannotStart, ports, processes
from portal.running.preparing import Preparation
from portal.running.program import Program
from portal.running.runfile import MARK, RunFile

START_SECONDS = 60
STOP_SECONDS = 10  # for a call to a provider under way; past this, its lease takes care of it
# Who is given which secret, beside the settings that are none. Beat asks for nothing but the sweeps.
_PLAIN = {"SECRET_KEY", "DATABASE_URL", "CELERY_BROKER_URL", "SEALING_KEYS"}
_OWNER, _OPENING, _MAIL = {"DATABASE_OWNER_URL"}, {"OPENING_KEYS"}, {"MAIL_USER", "MAIL_PASSWORD"}
_SIGN_IN = {"SIGN_IN_KEYS"}
_SETTINGS = _PLAIN | _OWNER | _OPENING | _MAIL | _SIGN_IN | {"PUBLIC_URL", "SANDBOX_URL", "VAR", "DEMO"}
_SETTINGS |= {"MAIL_HOST", "MAIL_PORT", "MAIL_TLS"}
_GIVEN = {
    "web": _PLAIN | _SIGN_IN,
    "worker": _PLAIN | _OPENING | _MAIL,
    "bulk": _PLAIN | _OPENING | _MAIL,
    "manage": _PLAIN | _OWNER,
    "sandbox": set[str](),
    "catcher": set[str](),
}


class Stack:
    """All processes over one `var` folder. Settings come from `env` alone; what it lacks is made here."""

    def __init__(
        self,
        *,
        var: Path,
        port: int,
        sandbox_port: int,
        env: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.var, self.port, self.sandbox_port, self._say = var.resolve(), port, sandbox_port, say
        self.url, self.sandbox_url = f"http://localhost:{port}", f"http://127.0.0.1:{sandbox_port}"
        # Every secret is in it: for `manage.py` and tests beside the running stack.
        self.env = {name: value for name, value in os.environ.items() if name not in _SETTINGS} | dict(env or {})
        self.logins = ""  # what `manage.py demo` said
        self.postgres = None if "DATABASE_URL" in self.env else services.Postgres(self.var)
        self._makes_broker = "CELERY_BROKER_URL" not in self.env
        # Without a mail server of somebody's own, mails are caught: none leaves this machine.
        self._catches = "MAIL_HOST" not in self.env
        self._catcher_port = ports.a_free_one()
        self._programs = {program.name: program for program in self._list()}
        self._wanted: set[str] = set()
        self._run = RunFile(self.var)
        self.history: processes.Child | None = None  # who makes the demo's past
        self.is_stopping = self._hurried = False

    def start(self) -> None:
        self.is_stopping = self._hurried = False
        self.var.mkdir(parents=True, exist_ok=True)
        (self.var / "log").mkdir(mode=0o700, exist_ok=True)
        services.require_space(self.var)
        self._run.take(self.url)
        try:
            ports.require_free("PORT", self.port, ports.loopbacks())
            ports.require_free("SANDBOX_PORT", self.sandbox_port, ports.loopbacks()[:1])
            self._make_environment()
            self._start("sandbox", *self._catcher())
            preparation = Preparation(self.var, self.environment("manage"))
            if preparation.was_done():  # then nothing moves under the processes' feet
                self._start("worker", "web", "bulk", "beat")
                self.logins = preparation.look_over()
            else:
                self._say("Preparing the database and the pages; the first time takes a little longer.")
                preparation.make()
                self._start("worker", "web", "bulk", "beat")
                self._await("sandbox")
                self.logins = preparation.load_demo()
            self._await("sandbox", *self._catcher(), "web", "worker", "bulk")
            preparation.remember()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything: those who call first, then those who are called, PostgreSQL last."""
        self.is_stopping = True
        self._wanted.clear()
        if self.history is not None:
            processes.kill(self.history)
        self._end("beat", "web", "worker", "bulk")
        self._end("sandbox", *self._catcher())
        processes.end(self._run.leftovers(), patience=0)
        if self.postgres is not None:
            self.postgres.stop()
        self._run.release()

    def hurry(self) -> None:
        """Wait for nobody any more."""
        self._hurried = True

    def erase(self) -> None:
        """Stop, and remove what this stack keeps outside `var`."""
        self.stop()
        if self.postgres is not None:
            self.postgres.erase()

    def start_process(self, name: str) -> None:
        """Start one process, or "postgres", and wait until it is at work."""
        if name == "postgres":
            self._own_postgres().start()
            self._wanted.add(name)
        else:
            self._start(name)
            self._await(name)

    def stop_process(self, name: str) -> None:
        """Stop one in an orderly way; `watch` leaves it stopped."""
        self._wanted.discard(name)
        if name == "postgres":
            self._own_postgres().stop()
        else:
            self._end(name)

    def kill(self, name: str) -> None:
        """kill -9; only `watch` or `start_process` starts it again."""
        if name == "postgres":
            self._own_postgres().kill()
        else:
            processes.kill(self.child(name))

    def child(self, name: str) -> processes.Child:
        """The running process of that name."""
        child = self._programs[name].child
        assert child is not None, f"{name} does not run"
        return child

    def watch(self) -> None:
        """One look round: what died starts again after growing pauses; what keeps dying raises."""
        if self.history is None and self.env["DEMO"] == "1":
            self._make_history()
        if self._makes_broker and services.broker_was_wiped(self.var):
            self._say("The broker's folder was emptied: it is made anew, and the workers start again.")
            services.local_broker(self.var)
            workers = self._wanted & {"worker", "bulk"}
            for name in workers:
                self.kill(name)
            self._start(*workers)
        if "postgres" in self._wanted and not self._own_postgres().is_alive():
            self._say(f"PostgreSQL stopped and is started again; its log is {self._own_postgres().log}.")
            self._own_postgres().kill()
            self._own_postgres().start()
        for program in [self._programs[name] for name in self._wanted - {"postgres"}]:
            if program.is_due():
                self._start(program.name)
            elif not program.is_alive() and program.starts_at is None:
                self._say(program.bury())

    # ---- What runs, and with what

    def _list(self) -> list[Program]:
        celery = ["celery", "-A", "portal.celery:app"]
        worker = [*celery, "worker", "-l", "INFO", "-P", "threads", "--without-gossip", "--without-mingle"]
        beat = [*celery, "beat", "-l", "INFO", "-s", str(self.var / "beat.schedule"), "--pidfile="]
        sandbox = ["portal.sandboxes", f"--port={self.sandbox_port}", f"--store={self.var / 'sandboxes'}"]
        catcher = ["portal.mail.catcher", f"--port={self._catcher_port}", f"--store={self.var / 'caught'}"]
        web = ["gunicorn", "portal.wsgi", "--worker-class=gthread", "--workers=2", "--threads=4"]
        web += [f"--bind={host}:{self.port}" for host in ports.loopbacks()]
        web += ["--no-control-socket", f"--graceful-timeout={STOP_SECONDS}"]
        python = [sys.executable, "-m"]

        def ready(program: Program) -> bool:
            return program.says("ready.")

        return [
            Program("catcher", python + catcher, lambda _: ports.answers(self._catcher_port)),
            Program("sandbox", python + sandbox, lambda _: ports.answers(self.sandbox_port)),
            Program("web", python + web, lambda _: self._web_answers()),
            Program("worker", [*python, *worker, "-c50", "-Qwork", "-nworker@%h"], ready),
            Program("bulk", [*python, *worker, "-c10", "-Qbulk", "-nbulk@%h"], ready),
            Program("beat", python + beat, Program.is_alive),
        ]

    def _catcher(self) -> list[str]:
        return ["catcher"] if self._catches else []

    def _make_environment(self) -> None:
        if self.postgres is not None:
            self.postgres.start()
            self._wanted.add("postgres")
            if self.postgres.notice:
                self._say(self.postgres.notice)
            self.env |= {"DATABASE_URL": self.postgres.app_url, "DATABASE_OWNER_URL": self.postgres.owner_url}
        if self._makes_broker:
            self.env["CELERY_BROKER_URL"] = services.local_broker(self.var)
        keyring = self.var / "keyring"
        made = {
            **self._secrets(),
            "SEALING_KEYS": str(keyring / "sealing.json"),
            "OPENING_KEYS": str(keyring / "opening.json"),
            "PUBLIC_URL": self.url,
            "SANDBOX_URL": self.sandbox_url,
            "DEMO": "1",
        }
        if self._catches:
            made |= {"MAIL_HOST": "127.0.0.1", "MAIL_PORT": str(self._catcher_port), "MAIL_TLS": "none"}
        ours = {"VAR": str(self.var), "TMPDIR": str(self._run.temporary), MARK: self._run.token}
        self.env = {**made, **self.env, **ours}

    def environment(self, name: str) -> dict[str, str]:
        """What a process of this name is given: no secret that is not its own."""
        withheld = (_PLAIN | _OWNER | _OPENING | _MAIL | _SIGN_IN) - _GIVEN.get(name, _PLAIN)
        return {key: value for key, value in self.env.items() if key not in withheld}

    def _secrets(self) -> dict[str, str]:
        """Made once and kept; what an older version did not have yet is added."""
        file = self.var / "secrets.json"
        kept: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        made = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "SIGN_IN_KEYS": base64.b64encode(secrets.token_bytes(32)).decode(),
        }
        if made.keys() - kept.keys():
            kept = made | kept
            services.write_private(file, json.dumps(kept))
        return kept

    def _make_history(self) -> None:
        """What the demo's merchant did last month, made while people look around; nothing waits for it. It does the
        workers' work itself and wakes none of them."""
        self.history = processes.spawn(
            [sys.executable, "manage.py", "demo", "--history"],
            log=self.var / "log" / "history.log",
            env={**self.environment("worker"), "CELERY_BROKER_URL": "memory://"},
            cwd=BASE,
        )

    # ---- Starting, ending, starting again

    def _start(self, *names: str) -> None:
        for name in names:
            self._programs[name].start(self.var / "log" / f"{name}.log", self.environment(name))
            self._wanted.add(name)
        self._run.note(program.child for program in self._programs.values() if program.child)

    def _await(self, *names: str) -> None:
        for name in names:
            if not processes.wait_until(self._programs[name].is_up, START_SECONDS):
                log = self._programs[name].log
                raise CannotStart(f"The {name} process is not at work after {START_SECONDS} s; its log is {log}.")

    def _end(self, *names: str) -> None:
        programs = [program for name in names if (program := self._programs[name]).child]
        for program in programs:
            processes.ask(self.child(program.name))
        processes.wait_until(lambda: self._hurried or not any(map(Program.is_alive, programs)), STOP_SECONDS)
        for program in programs:
            processes.kill(self.child(program.name))
            program.child = None

    def _own_postgres(self) -> services.Postgres:
        if self.postgres is None:
            raise CannotStart("PostgreSQL is not ours to start or stop here: DATABASE_URL names another.")
        return self.postgres

    def _web_answers(self) -> bool:
        asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with suppress(OSError, http.client.HTTPException):
            asking.request("GET", "/healthz", headers={"Host": urlsplit(self.env["PUBLIC_URL"]).netloc})
            return asking.getresponse().status == http.client.OK
        return False


def without_settings(env: Mapping[str, str]) -> dict[str, str]:
    """An environment with nothing of ours in it: paths, language and the like."""
    return {name: value for name, value in env.items() if name not in _SETTINGS}
