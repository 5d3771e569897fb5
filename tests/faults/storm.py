"""One run: people ask, providers fail, workers die, broker and database go away; then a calm, and the verdict.

The seed fixes what is asked and what is done to the processes, and when. The sandbox's dice and the system's
scheduling are not ours, so a seed tells a run again in kind, not to the letter.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import psycopg

from portal.running import BASE, processes
from portal.running.program import Program
from portal.running.stack import Stack
from tests.conftest import Sandbox
from tests.faults import checker, providers
from tests.faults.checker import Asked, Breach, History
from tests.running.servers import Server

# Short limits: a lost worker, a lost answer and a lost message are each found within seconds.
LIMITS = {
    "OPERATION_CONNECT_SECONDS": "1",
    "OPERATION_SECONDS": "2",
    "OPERATION_LEASE_SECONDS": "6",
    "QUIET_SECONDS": "3",
    "SWEEP_SECONDS": "1",
}
# One call in five that moves value goes wrong, more than half of those after it did its work. Seconds beyond our own
# limit of 2 are the caller's time-out; a late effect comes within the quiet period or just after it.
FAULTS: Mapping[str, tuple[float, float | None]] = {
    "timeout_after": (0.05, 4),
    "timeout_before": (0.02, 4),
    "cut": (0.03, None),
    "error_after": (0.03, None),
    "garbage": (0.02, None),
    "late": (0.02, 4),
    "refuse": (0.01, None),
    "redirect": (0.01, None),
    "throttle": (0.01, 1),
    "slow": (0.02, 1),
}
INQUIRY_FAULTS: Mapping[str, tuple[float, float | None]] = {
    "timeout_before": (0.01, 4),
    "error_after": (0.01, None),
    "garbage": (0.01, None),
    "throttle": (0.002, 1),
}


# Seconds beyond the planned ones for which people go on pressing: a machine that is busy with other things takes their
# wishes later, and none the less.
PATIENCE = 160


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much of everything."""

    operations: int
    cards: int
    seconds: float  # over which they are asked
    kill_every: float
    broker_away: float
    # At most, until all that can end by itself has ended: whatever failed unsent four times has waited 82 seconds.
    calm: float = 150


SHORT = Scale(operations=500, cards=200, seconds=22, kill_every=5, broker_away=5)
LONG = Scale(operations=5000, cards=900, seconds=400, kill_every=5, broker_away=60, calm=180)


def dismiss(stack: Stack) -> list[str]:
    """Stop the stack's own worker for good; the command it ran."""
    command = [str(word) for word in cast(Sequence[str], stack.child("worker").args)]
    stack.stop_process("worker")
    stack.env["DEMO"] = "0"  # the demo's history would write into the journal of a run
    return command


class Workers:
    """Two processes in place of the stack's one, so that one can die while the other lives. The same command and
    environment but for what a test changes on purpose."""

    def __init__(self, stack: Stack, command: Sequence[str], *, app: str = "portal.celery:app", **env: str) -> None:
        command = [app if word == "portal.celery:app" else word for word in command]
        self._log = stack.var / "log"
        self._env = stack.environment("worker") | env
        self.programs = [
            Program(name, [word.replace("-nworker@", f"-n{name}@") for word in command], lambda one: one.says("ready."))
            for name in ("worker-a", "worker-b")
        ]
        self.kills = 0
        for program in self.programs:
            self._start(program)
        assert processes.wait_until(lambda: all(program.is_up() for program in self.programs), 60)

    def kill(self, program: Program) -> None:
        """kill -9, and start again at once."""
        self.kills += 1
        assert program.child is not None
        processes.kill(program.child)
        self._start(program)

    def kill_all(self) -> None:
        """kill -9, and nobody starts again."""
        for program in self.programs:
            self.kills += 1
            assert program.child is not None
            processes.kill(program.child)

    def start_all(self) -> None:
        for program in self.programs:
            self._start(program)

    def watch(self) -> None:
        """Start again what ended by itself."""
        for program in self.programs:
            if not program.is_alive():
                self._start(program)

    def stop(self) -> None:
        for program in self.programs:
            if program.child is not None:
                processes.kill(program.child)

    def _start(self, program: Program) -> None:
        program.start(self._log / f"{program.name}.log", self._env)


@dataclass(kw_only=True)
class Verdict:
    """What came of a run. `at_rest` is what was broken before anybody decided anything, `at_last` after."""

    title: str
    seed: int
    history: History
    listed: int
    states: Mapping[str, int]
    at_rest: list[Breach]
    at_last: list[Breach] = field(default_factory=list)
    events: Mapping[str, int]
    seconds: Mapping[str, float]

    def table(self) -> str:
        """The run in a few lines."""
        settled = Counter(entry.settled_by or "-" for entry in self.history.ledger)
        breaches = Counter(breach.rule for breach in [*self.at_rest, *self.at_last])
        asked, rows, effects = map(len, (self.history.asked, self.history.ledger, self.history.journal))
        where = Counter(providers.of(each.number).slug for each in self.history.asked)
        lines = {
            "accepted": f"{asked} ({_counted(where)}), rows {rows}, effects {effects}",
            "at rest": _counted(self.states),
            "in the end": _counted(Counter(entry.state for entry in self.history.ledger)),
            "ended by": _counted(settled),
            "lost": str(self.history.lost),
            "doubled": str(self.history.doubled),
            "listed": f"{self.listed} for a person",
            "done to it": _counted(self.events),
            "seconds": ", ".join(f"{name} {seconds:.0f}" for name, seconds in self.seconds.items()),
            "breaches": _counted(breaches) or "none",
        }
        head = f"\n{self.title}, seed {self.seed}\n"
        return head + "".join(f"  {name:<10} {text}\n" for name, text in lines.items())


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


Event = tuple[float, str, Callable[[], None]]


class Storm:
    """A run over one stack. `workers` are those of the run, `broker` a server of ours or None for the folder,
    `elsewhere` the part of the wishes that goes to secuconnect, where all others go to PayWizard."""

    def __init__(
        self,
        stack: Stack,
        workers: Workers,
        *,
        seed: int,
        scale: Scale,
        broker: Server | None = None,
        broker_folder: Path | None = None,
        elsewhere: float = 0,
        **changes: str,
    ) -> None:
        self.stack, self.workers, self.seed, self.scale = stack, workers, seed, scale
        self.broker, self.broker_folder, self.changes = broker, broker_folder, changes
        self.elsewhere = elsewhere
        self.sandbox = Sandbox(stack.sandbox_url)
        self.dice = random.Random(seed)
        self.events: Counter[str] = Counter()
        self.seconds: dict[str, float] = {}
        self.record = stack.var / f"accepted-{time.monotonic_ns()}.jsonl"
        self.record.touch()
        self.connections: list[int] = []

    def rage(self, title: str, *, lawless: bool = False) -> Verdict:
        """The whole run. A `lawless` one ends as soon as something happened twice, and nobody decides anything."""
        prepared = run_workload(self.stack, "prepare", *providers.STORMED)
        self.connections = [int(each) for each in prepared.split(",")]
        self.sandbox.reset()  # from here on nobody works on what a run before left
        arm(self.sandbox)
        with self._timed("storm"):
            self.blow(prepared)
        with self._timed("calm"):
            self._wait_for_rest(lawless)
        rest = self._history()
        verdict = Verdict(
            title=title,
            seed=self.seed,
            history=rest,
            listed=sum(entry.state == "needs_person" for entry in rest.ledger),
            states=Counter(entry.state for entry in rest.ledger),
            at_rest=checker.check(rest),
            events=self.events,
            seconds=self.seconds,
        )
        if not lawless and not verdict.at_rest:
            with self._timed("people"):
                self.sandbox.call("DELETE", "/_sandbox/faults")
                run_workload(self.stack, "decide", prepared, "--seconds=60")
            verdict.history = self._history()
            verdict.at_last = checker.check(verdict.history, over=True)
        self.events["kills"] = self.workers.kills
        return verdict

    # ---- The storm

    def blow(self, run: str, *, people: str = "tests.faults.workload") -> None:
        """People ask while everything goes wrong, until the last has asked."""
        scale = self.scale
        words = {"seed": self.seed, "count": scale.operations, "cards": scale.cards, "seconds": scale.seconds}
        words["until"] = scale.seconds + PATIENCE
        words |= {"elsewhere": self.elsewhere} if self.elsewhere else {}
        arguments = [f"--{name}={value}" for name, value in words.items()]
        asking = start_workload(
            self.stack, "submit", run, f"--record={self.record}", *arguments, module=people, **self.changes
        )
        events = sorted(self._planned(), key=lambda event: event[0])
        begun = time.monotonic()
        while asking.poll() is None or events:
            assert time.monotonic() - begun < scale.seconds + PATIENCE + 20, "the people do not come to an end"
            self._look_round()
            if events and time.monotonic() - begun >= events[0][0]:
                _, name, happen = events.pop(0)
                self.events[name] += 1
                happen()
            time.sleep(0.05)
        assert asking.returncode == 0, (self.stack.var / "log" / "workload.log").read_text()[-3000:]

    def _planned(self) -> Iterator[Event]:
        end, away = self.scale.seconds, self.scale.broker_away
        at = 3.0
        while at < end:
            victim = self.dice.choice(self.workers.programs)
            yield at, "worker killed", partial(self._kill_at_the_worst_moment, victim)
            at += self.dice.uniform(0.7, 1.3) * self.scale.kill_every
        sleeper = self.dice.choice(self.workers.programs)
        yield end * 0.2, "worker asleep", lambda: self._signal(sleeper, signal.SIGSTOP)
        yield end * 0.2 + 8, "worker awake", lambda: self._signal(sleeper, signal.SIGCONT)
        yield end * 0.7, "database killed", self._kill_database
        if self.broker is None:
            yield end * 0.3, "broker wiped", self._wipe_folder
            yield end * 0.55, "broker wiped", self._wipe_folder
        else:
            yield end * 0.3, "broker away", self.broker.kill
            yield end * 0.3 + away, "broker back", self.broker.start
            yield end * 0.3 + away + 3, "broker wiped", self._wipe_server

    def _look_round(self) -> None:
        self.stack.watch()
        self.workers.watch()

    def _signal(self, program: Program, sign: signal.Signals) -> None:
        assert program.child is not None
        processes.ask(program.child, sign)

    def _kill_at_the_worst_moment(self, victim: Program) -> None:
        """While some call has had its effect and its worker does not know yet; not later than in a second."""

        def is_worst() -> bool:
            running = {
                one.reference for one in checker.ledger(self.database, self.connections) if one.state == "running"
            }
            return any(line["reference"] in running for line in checker.journal(self.stack.sandbox_url))

        with suppress(psycopg.OperationalError):  # the database is away as well
            processes.wait_until(is_worst, 1, every=0.1)
        self.workers.kill(victim)

    def _kill_database(self) -> None:
        self.stack.kill("postgres")
        time.sleep(1)
        self.stack.start_process("postgres")

    def _wipe_folder(self) -> None:
        gone = self.stack.var / "broker-gone"
        (self.stack.var / "broker").rename(gone)  # at one stroke: workers write into it all the time
        shutil.rmtree(gone, ignore_errors=True)
        self.stack.watch()  # makes it anew, as `make run` does; then the workers bind their queues again
        for program in self.workers.programs:
            self.workers.kill(program)

    def _wipe_server(self) -> None:
        assert self.broker is not None
        assert self.broker_folder is not None
        self.broker.kill()
        for name in ("appendonlydir", "mnesia"):
            shutil.rmtree(self.broker_folder / name, ignore_errors=True)
        self.broker.start()

    # ---- The calm

    def _wait_for_rest(self, lawless: bool) -> None:
        """Until nothing more ends by itself; what does not in time is for the checker to say."""

        def rested() -> bool:
            self._look_round()
            entries = checker.ledger(self.database, self.connections)
            journal = checker.journal(self.stack.sandbox_url) if lawless else []
            history = History(asked=[], ledger=entries, journal=journal)
            return history.doubled > 0 or not list(checker.nothing_is_left_lying(history))

        processes.wait_until(rested, self.scale.calm, every=0.5)
        if not lawless:
            time.sleep(4)  # the longest a late effect may take

    @property
    def database(self) -> str:
        return self.stack.env["DATABASE_OWNER_URL"]

    def _history(self) -> History:
        asked = read_record(self.record)
        return History(
            asked=asked,
            ledger=checker.ledger(self.database, self.connections),
            journal=checker.journal(self.stack.sandbox_url),
            balances=self._balances(asked),
        )

    def _balances(self, asked: Sequence[Asked]) -> dict[str, tuple[int, int]]:
        armed = self.sandbox.call("GET", "/_sandbox/faults")
        self.sandbox.call("DELETE", "/_sandbox/faults")
        found = checker.balances(self.stack.sandbox_url, {one.number for one in asked})
        for fault in armed:
            del fault["id"]
            self.sandbox.call("POST", "/_sandbox/faults", {k: v for k, v in fault.items() if v is not None})
        return found

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - begun


def arm(sandbox: Sandbox) -> None:
    """Let one call in five go wrong."""
    for provider in providers.STORMED.values():
        for paths, kinds in ((provider.movers, FAULTS), (provider.lookers, INQUIRY_FAULTS)):
            for path in paths:
                for kind, (probability, seconds) in kinds.items():
                    fault = {"provider": provider.slug, "kind": kind, "path": path, "probability": probability}
                    sandbox.call(
                        "POST", "/_sandbox/faults", fault if seconds is None else {**fault, "seconds": seconds}
                    )


def read_record(record: Path) -> list[Asked]:
    """The wishes the portal said it took."""
    return [Asked(**json.loads(line)) for line in record.read_text().splitlines()]


def start_workload(stack: Stack, *words: str, module: str = "tests.faults.workload", **changes: str) -> processes.Child:
    """People, as a process beside the stack; they may seal secrets, and not open them."""
    return processes.spawn(
        [sys.executable, "-m", module, *words],
        log=stack.var / "log" / "workload.log",
        env=stack.environment("web") | changes,
        cwd=BASE,
        stdout=subprocess.PIPE,
    )


def run_workload(stack: Stack, *words: str) -> str:
    """The same, to its end; what it printed."""
    child = start_workload(stack, *words)
    printed, _ = child.communicate(timeout=120)
    assert child.returncode == 0, (stack.var / "log" / "workload.log").read_text()[-3000:]
    return printed.decode().strip()


def is_long() -> bool:
    """Whether the long forms are wanted: `PROOF=1`."""
    return os.environ.get("PROOF") == "1"
