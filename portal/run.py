"""`make run`: Tillside on this machine, and what the person at the terminal reads.

Checks first, one sentence each; then everything in portal/stack.py; then watch it until Ctrl-C.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

from portal.running import BASE, CannotStart, processes
from portal.running.stack import Stack

GLANCE_SECONDS = 0.3  # how soon a process that died is noticed


class Leave:
    """Ctrl-C, a closed terminal, `kill`: the first stops everything, a second one does not wait for it."""

    def __init__(self) -> None:
        self.stack: Stack | None = None
        for number in processes.ENDING:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
                signal.signal(number, self._called)

    def _called(self, number: int, frame: FrameType | None) -> None:
        if self.stack is not None and self.stack.is_stopping:
            self.stack.hurry()
        else:
            raise KeyboardInterrupt


def main(env: Mapping[str, str]) -> int:
    leave = Leave()
    try:
        stack = leave.stack = checked(env)
        try:
            _say("Tillside is starting …")
            stack.start()
            _say(_welcome(stack))
            while True:
                stack.watch()
                time.sleep(GLANCE_SECONDS)
        except KeyboardInterrupt:
            _say("\nStopping …")
            raise
        finally:
            stack.stop()
    except KeyboardInterrupt:
        _say("Everything is stopped.")
        return 0
    except CannotStart as sentence:
        _say(str(sentence))
        return 1


def checked(env: Mapping[str, str]) -> Stack:
    """The stack that was asked for, or CannotStart with what is wrong about it."""
    if sys.version_info < (3, 11):  # noqa: UP036  make looks too; this is for who comes without it
        raise CannotStart(f"Tillside needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    port, sandbox_port = _port(env, "PORT", "8000"), _port(env, "SANDBOX_PORT", "8100")
    if port == sandbox_port:
        raise CannotStart(f"PORT and SANDBOX_PORT are both {port}: choose two different ones.")
    if env.get("DATABASE_URL") and not env.get("DATABASE_OWNER_URL"):
        raise CannotStart(
            "DATABASE_URL is set and DATABASE_OWNER_URL is not. The owner's login brings the tables to date: "
            "set both, or neither to use the PostgreSQL that comes with Tillside."
        )
    var = BASE / Path(env.get("VAR") or "var").expanduser()
    try:
        var.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=var).close()
    except OSError as error:
        raise CannotStart(f"{var} cannot be written to ({error.strerror}). Use another: make run VAR=…") from None
    return Stack(var=var, port=port, sandbox_port=sandbox_port, env=env, say=_say)


def _port(env: Mapping[str, str], name: str, default: str) -> int:
    text = env.get(name) or default
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise CannotStart(f"{name} must be a port number such as {default}, not {text!r}.")
    return int(text)


def _welcome(stack: Stack) -> str:
    parts = [
        f"Tillside runs at {stack.url}",
        stack.logins.rstrip(),
        f"The providers, imitated: {stack.sandbox_url}\nLogs: {stack.var / 'log'}\nCtrl-C stops everything.",
    ]
    return "\n" + "\n\n".join(part for part in parts if part)


def _say(words: str) -> None:
    with suppress(OSError):  # the terminal may be gone
        print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main(os.environ))
