"""One child process: started so that it cannot outlive us, recognised again later, stopped for certain."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

Child = subprocess.Popen[bytes]
ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_LOG_LIMIT = 10 * 1024 * 1024  # a log past this is set aside at the next start, so two files are the most


class Mark(NamedTuple):
    """A process as it is known again: its number alone may be somebody else's by now."""

    pid: int
    started: str


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str],
    cwd: Path | None = None,
    account: pwd.struct_passwd | None = None,
    farewell: signal.Signals = signal.SIGTERM,
    stdout: int | None = None,
) -> Child:
    """Start a child in a session of its own that writes to `log` and gets `farewell` if we are killed.

    Linux sends the farewell when the *thread* that started the child ends: call this from the main one.
    """
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_name(log.name + ".1"))
    with _undisturbed() as mask, log.open("ab") as output:
        return subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=partial(_follow, os.getpid(), farewell, mask),
            **run_as(account),
        )


def run_as(account: pwd.struct_passwd | None) -> Any:
    """Arguments for subprocess: run as that account, with none of our groups."""
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}


def ask(child: Child, sign: signal.Signals = signal.SIGTERM) -> None:
    """Send a signal, unless the child has ended by itself."""
    with suppress(ProcessLookupError):
        child.send_signal(sign)


def kill(child: Child) -> None:
    """End the child at once, and what it left in its session."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def mark(pid: int) -> Mark | None:
    """What tells this living process from any other; None if it is gone or only waits to be collected."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        started = "" if Path("/proc/self/stat").exists() else _ps(pid, "lstart")
        return Mark(pid, started) if started else None
    after_name = text.rpartition(")")[2].split()  # a process may carry blanks and brackets in its name
    return None if after_name[0] in "ZX" else Mark(pid, f"{_boot()}:{after_name[19]}")


def end(left: Sequence[Mark], *, first: signal.Signals = signal.SIGTERM, patience: float = 5) -> None:
    """Stop processes of an earlier run, those that still are the very same, all at once."""

    def alive() -> list[Mark]:
        return [one for one in left if mark(one.pid) == one]

    for sign, seconds in ((first, patience), (signal.SIGKILL, 5)):
        for one in alive():
            with suppress(ProcessLookupError):
                os.kill(one.pid, sign)
        wait_until(lambda: not alive(), seconds)


def command_of(pid: int) -> str:
    """The command line of a process, as far as this system lets us see it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return _ps(pid, "command")


def carrying(variable: str, value: str) -> list[Mark]:
    """The living processes whose environment holds `variable=value` (Linux; elsewhere none can be found)."""
    wanted = f"{variable}={value}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(mark(int(folder.name)))
    return [one for one in found if one and one.pid != os.getpid()]


def last_line(log: Path, since: int = 0) -> str:
    """How a log ends, for a sentence about its process."""
    lines = [line.strip() for line in said(log, since).splitlines() if line.strip()]
    return f"It ends: {lines[-1][:300]}" if lines else "It is empty."


def said(log: Path, since: int = 0) -> str:
    """What was written to a log after its first `since` bytes."""
    return log.read_bytes()[since:].decode(errors="replace") if log.exists() else ""


def wait_until(condition: Callable[[], bool], seconds: float, *, every: float = 0.02) -> bool:
    """Whether `condition()` came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


@contextmanager
def _undisturbed() -> Iterator[Any]:
    """A signal while we fork would be lost, or the child with it: hold it until we know the child."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield mask
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _follow(parent: int, farewell: signal.Signals, mask: Any) -> None:
    """In the child: die with the parent. A change of account undoes it, so subprocess does that first."""
    for sign in ENDING:
        if signal.getsignal(sign) != signal.SIG_IGN:  # the parent's handlers are not for us
            signal.signal(sign, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, int(farewell))
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"


def _ps(pid: int, column: str) -> str:
    answer = subprocess.run(["ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip()
