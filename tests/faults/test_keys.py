"""Keys rotate while two workers work, people ask and a cashier looks cards up: no call and no look-up fails."""

import os
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager

import psycopg

from portal.running import BASE
from tests.conftest import Sandbox
from tests.faults import checker
from tests.faults.checker import History
from tests.faults.storm import read_record, run_workload, start_workload
from tests.faults.till import Till
from tests.faults.workload import MERCHANT

OPERATIONS, CARDS, SECONDS = 300, 120, 25
CARD, BALANCE = "6280390000000001", "€25.50"
# No reason at all, or the provider's own no to this very wish, which is an answer like any other.
SAID_NO = ("", "refused", "original_unknown", "too_late")
# A machine that is busy with other things is no failed call.
PATIENT = {"OPERATION_SECONDS": "30", "OPERATION_LEASE_SECONDS": "45", "LOOK_UP_SECONDS": "20"}


def test_keys_rotate_under_load_without_one_failed_call_or_look_up(standing, hiring, say):
    with hiring(standing, **PATIENT):
        connection = run_workload(standing, "prepare", "paywizard")
        Sandbox(standing.sandbox_url).reset()
        record = standing.var / "accepted-while-keys-changed.jsonl"
        record.touch()
        words = {"seed": 12, "count": OPERATIONS, "cards": CARDS, "seconds": SECONDS, "until": SECONDS + 60}
        asking = start_workload(
            standing,
            "submit",
            connection,
            f"--record={record}",
            *(f"--{name}={value}" for name, value in words.items()),
        )
        with looking_up(standing.url) as looks:
            begun_and_killed(standing)
            told = rotate(standing)  # goes on where the other was killed
            told += rotate(standing)  # and once more from the beginning
            assert asking.wait(timeout=SECONDS + 60) == 0
            told += rotate(standing, "--retire", "k1", "--after", "0")
            told += rotate(standing, "--retire", "k2", "--after", "0")
        assert run_workload(standing, "decide", connection, "--seconds=30") == "0"  # nobody had to

    asked = read_record(record)
    ledger = checker.ledger(standing.env["DATABASE_OWNER_URL"], [int(connection)])
    moved = [line for line in checker.journal(standing.sandbox_url) if line["provider"] == "paywizard"]
    history = History(asked=asked, ledger=ledger, journal=moved)
    say(
        f"\nkeys: {len(asked)} operations, {looks['seen']} look-ups, {Counter(entry.state for entry in ledger)}\n{told}"
    )
    assert len(asked) == OPERATIONS
    assert [entry for entry in ledger if entry.settled_by != "answer" or entry.reason not in SAID_NO] == []
    assert checker.check(history, over=True) == []
    assert looks["failed"] == 0
    assert looks["seen"] >= 5
    assert "k1 is off the ring" in told
    assert "k2 is off the ring" in told
    assert len({entry.card for entry in ledger}) == len({one.number for one in asked})  # no card is there twice
    assert never_paused(standing)
    assert sum(entry.state == "done" for entry in ledger) > 0.9 * OPERATIONS


@contextmanager
def looking_up(url):
    """A cashier who looks one card after the other up, until the block ends."""
    counted: Counter[str] = Counter()
    over = threading.Event()

    def look() -> None:
        till = Till(url)
        till.signs_in()
        while not over.is_set():
            seen = till.sees(BALANCE, till.looks_up(CARD), seconds=40)
            counted["seen" if seen and till.status == 200 else "failed"] += 1

    cashier = threading.Thread(target=look)
    cashier.start()
    try:
        yield counted
    finally:
        over.set()
        cashier.join()


def rotate(stack, *words):
    """`manage.py rotate_keys` in a worker's place, to its end."""
    done = subprocess.run(command(*words), env=environment(stack), cwd=BASE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def begun_and_killed(stack):
    """The same, killed in the moment in which the new keys are put to use."""
    with subprocess.Popen(command(), env=environment(stack), cwd=BASE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert any("are in use" in line for line in child.stdout)
        child.kill()


def command(*words):
    return [sys.executable, "manage.py", "rotate_keys", "--pause", "1", *words]


def environment(stack):
    return {**os.environ, **stack.environment("worker"), "PYTHONUNBUFFERED": "1"}


def never_paused(stack):
    with psycopg.connect(stack.env["DATABASE_OWNER_URL"]) as database:
        database.execute("SELECT set_config('tillside.every', 'on', false)")
        paused = database.execute(
            "SELECT count(*) FROM merchants_auditentry a JOIN merchants_merchant m ON m.id = a.merchant_id"
            " WHERE m.slug = %s AND a.verb = 'connection paused'",
            [MERCHANT],
        ).fetchone()
    return paused == (0,)
