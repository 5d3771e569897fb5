"""The whole ledger beside a bare Celery task: the same broker, database, provider (100 ms) and two times 50 threads.

    python -m tests.bench.pipeline [--operations 2000] [--rounds 3]

G1 operations a second · G2 worker processor time an operation · G4 connections opened at the provider a call, when each
thread has had its first · G5 from asking to beginning, p95, beside a task that does nothing · G6 database connections
with 100 calls under way.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from portal.running import BASE, ports, processes
from portal.running.stack import Stack
from tests.environment import free_port
from tests.faults.storm import Workers, dismiss
from tests.running.servers import start_redis

BARE, LEDGER = "tests.bench.bare:app", "portal.celery:app"
DONE = {
    BARE: "SELECT count(*) FROM bench_bare WHERE state = 'done'",
    LEDGER: "SELECT count(*) FROM ledger_operation WHERE state = 'done'",
}
BEGUN = {
    BARE: "SELECT begun - asked FROM bench_bare ORDER BY id DESC LIMIT %s",
    LEDGER: "SELECT extract(epoch FROM begun_at - asked_at)::float FROM ledger_operation ORDER BY id DESC LIMIT %s",
}
TABLE = """
CREATE TABLE IF NOT EXISTS bench_bare (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state text NOT NULL, asked float NOT NULL, begun float
)
"""
WHAT = {BARE: "bare", LEDGER: "ledger"}
OPENED = "SELECT count(*) FILTER (WHERE NOT reused)::float, count(*) FROM ledger_exchange"


class Bench:
    """A stack whose workers are ours to start, and a provider beside it."""

    def __init__(self, folder: Path) -> None:
        self.redis = start_redis(folder / "redis")
        port = free_port()
        provider = f"http://127.0.0.1:{port}"
        self.provider = processes.spawn(
            [sys.executable, "-m", "tests.bench.provider", str(port)],
            log=folder / "provider.log",
            env=dict(os.environ),
            cwd=BASE,
        )
        assert processes.wait_until(lambda: ports.answers(port), 10)
        env = {"CELERY_BROKER_URL": self.redis.url, "BENCH_PROVIDER": provider, "SWEEP_SECONDS": "60"}
        self.stack = Stack(var=folder / "stack", port=free_port(), sandbox_port=free_port(), env=env)
        self.stack.start()
        self.command = dismiss(self.stack)
        for name in ("web", "bulk", "beat"):
            self.stack.stop_process(name)
        self.stack.env["SANDBOX_URL"] = provider  # the one address that is exempt from the rules for addresses
        with self._database() as database:
            database.execute(TABLE)
            database.execute("GRANT ALL ON bench_bare TO tillside")

    @contextmanager
    def workers(self, app: str) -> Iterator[list[int]]:
        """Two processes of fifty threads, at work: their process ids."""
        workers = Workers(self.stack, self.command, app=app)
        try:
            yield [one.child.pid for one in workers.programs if one.child]
        finally:
            workers.stop()

    def produce(self, what: str, count: int, *, every: float = 0) -> processes.Child:
        words = [sys.executable, "-m", "tests.bench.produce", what, str(count), str(every)]
        return processes.spawn(words, log=self.stack.var / "log" / "produce.log", env=self.stack.env, cwd=BASE)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._database() as database:
            return database.execute(statement, values).fetchall()

    @contextmanager
    def _database(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.stack.env["DATABASE_OWNER_URL"], autocommit=True) as database:
            database.execute("SELECT set_config('tillside.every', 'on', false)")
            yield database

    def close(self) -> None:
        self.stack.erase()
        self.redis.kill()
        processes.kill(self.provider)


def cpu_seconds(pids: list[int]) -> float:
    """Processor time these processes have used."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def work_off(bench: Bench, app: str, count: int) -> dict[str, float]:
    """What waits already, worked off: operations a second, milliseconds of processor each, most connections seen.
    Timed from the first tenth to the ninth, so that neither start nor end is in it."""
    before = bench.rows(DONE[app])[0][0]
    assert bench.produce(WHAT[app], count).wait(300) == 0
    most, marks = 0, []
    with bench.workers(app) as pids:
        deadline = time.monotonic() + 180
        for mark in (count // 10, count * 9 // 10):
            while (done := bench.rows(DONE[app])[0][0] - before) < mark:
                assert time.monotonic() < deadline, f"{done} of {count} after three minutes"
                live = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tillside'"
                most = max(most, bench.rows(live)[0][0])
                time.sleep(0.05)
            marks.append((time.monotonic(), done, cpu_seconds(pids), *bench.rows(OPENED)[0]))
        while bench.rows(DONE[app])[0][0] - before < count and time.monotonic() < deadline:
            time.sleep(0.05)
    (begun, first, idle, opened, calls), (ended, last, busy, opened_later, calls_later) = marks
    return {
        "per second": (last - first) / (ended - begun),
        "cpu ms": 1000 * (busy - idle) / (last - first),
        "connections": most,
        "opened a call": (opened_later - opened) / max(calls_later - calls, 1),
    }


def dispatch(bench: Bench, app: str, count: int = 200) -> float:
    """p95 from asking to beginning, in milliseconds, at 20 a second with idle workers."""
    what = "nothing" if app == BARE else "ledger"
    with bench.workers(app):
        for some in (40, count):  # the first open the connections, and are not counted
            assert bench.produce(what, some, every=0.05).wait(120) == 0
        time.sleep(1)
    waits = [float(row[0]) for row in bench.rows(BEGUN[app], count)]
    return 1000 * statistics.quantiles(waits, n=20)[18]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tillside-bench-"))
    folder.chmod(0o711)  # PostgreSQL may not run as root, and must come through
    bench = Bench(folder)
    try:
        rounds = []
        for number in range(asked.rounds):
            order = (BARE, LEDGER) if number % 2 == 0 else (LEDGER, BARE)
            rounds.append({app: work_off(bench, app, asked.operations) for app in order})
            for app in (BARE, LEDGER):
                told = "  ".join(f"{name} {value:.3g}" for name, value in rounds[-1][app].items())
                sys.stdout.write(f"round {number + 1}  {WHAT[app]:<7} {told}\n")
        [(opened_ever, calls)] = bench.rows(OPENED)
        nothing, begun = dispatch(bench, BARE), dispatch(bench, LEDGER)
    finally:
        bench.close()
        shutil.rmtree(folder, ignore_errors=True)

    def ratio(name: str) -> str:
        each = [one[LEDGER][name] / one[BARE][name] for one in rounds]
        return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"

    most = max(one[LEDGER]["connections"] for one in rounds)
    opened = statistics.median(one[LEDGER]["opened a call"] for one in rounds)
    for line in (
        f"G1  operations a second, ledger / bare           {ratio('per second'):<22} at least 0.6, in the end 0.85",
        f"G2  worker processor time, ledger / bare         {ratio('cpu ms'):<22} at most 2, in the end 1.3",
        f"G4  connections opened / calls                   {opened:<22.3f} at most 0.05"
        f"  ({opened_ever / calls:.3f} with the first ones)",
        f"G5  asking to beginning, ledger / no-op, p95     {begun / nothing:<22.2f} at most 2.5"
        f"  ({begun:.0f} / {nothing:.0f} ms)",
        f"G6  database connections, 100 calls under way    {most:<22.0f} at most 25",
    ):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
