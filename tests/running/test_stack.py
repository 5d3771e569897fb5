"""The stack as journey and fault tests use it: real processes, each with its secrets, started one by one."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from portal.running import CannotStart, ports, processes
from portal.running.program import Program
from portal.running.stack import Stack
from tests import prepared
from tests.running import servers


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="tillside-test-") as folder:
        Path(folder).chmod(0o711)
        running = make_stack(Path(folder))
        prepared.lay_into(running.var)
        running.start()
        yield running
        running.erase()


def make_stack(var: Path, **settings: str) -> Stack:
    return Stack(var=var, port=ports.a_free_one(), sandbox_port=ports.a_free_one(), env=settings)


def given(stack: Stack, name: str, variable: str) -> bool:
    """Whether a process was started with the variable."""
    child = stack.child(name)
    entries = Path(f"/proc/{child.pid}/environ").read_bytes().split(b"\0")
    return any(entry.startswith(f"{variable}=".encode()) for entry in entries)


@pytest.mark.parametrize(
    ("variable", "holders"),
    [
        ("OPENING_KEYS", {"worker", "bulk"}),
        ("DATABASE_OWNER_URL", set()),
        ("SECRET_KEY", {"web", "worker", "bulk", "beat"}),
        ("DATABASE_URL", {"web", "worker", "bulk", "beat"}),
    ],
)
def test_a_secret_goes_to_those_who_need_it(stack: Stack, variable: str, holders: set[str]):
    names = ["web", "worker", "bulk", "beat", "sandbox", "catcher"]

    assert {name for name in names if given(stack, name, variable)} == holders


@pytest.mark.parametrize("name", ["web", "worker", "beat", "sandbox", "catcher"])
def test_a_killed_process_is_seen_and_started_again_by_hand(stack: Stack, name: str):
    before = stack.child(name).pid

    stack.kill(name)
    stack.start_process(name)

    assert stack.child(name).pid != before


def test_the_database_comes_back_at_the_same_address(stack: Stack):
    stack.kill("postgres")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(stack.env["DATABASE_URL"])

    stack.start_process("postgres")

    psycopg.connect(stack.env["DATABASE_URL"]).close()


def test_what_was_stopped_on_purpose_stays_stopped(stack: Stack):
    stack.stop_process("web")

    stack.watch()

    assert not ports.answers(stack.port)
    stack.start_process("web")


def test_while_people_look_around_the_demos_history_is_made_once(stack: Stack):
    def done() -> int:
        with psycopg.connect(stack.env["DATABASE_OWNER_URL"]) as session:
            session.execute("SELECT set_config('tillside.every', 'on', false)")
            row = session.execute("SELECT count(*) FROM ledger_operation WHERE state = 'done'").fetchone()
            return row[0] if row else 0

    stack.watch()
    assert processes.wait_until(lambda: done() >= 3, 30)
    maker = stack.history
    stack.watch()

    assert stack.history is maker
    stack.stop()
    assert maker.poll() is not None
    stack.start()


def test_the_same_stack_runs_on_redis_and_the_systems_postgresql(var: Path, living, needs):
    postgres = needs(servers.start_debian_postgres, var / "system")
    redis = needs(servers.start_redis, var / "redis")
    stack = make_stack(
        var,
        DATABASE_URL=postgres.app_url,
        DATABASE_OWNER_URL=postgres.owner_url,
        CELERY_BROKER_URL=redis.url,
    )
    stack.start()
    try:
        assert "alice@example.com" in stack.logins
        assert not (var / "broker").exists()
        with psycopg.connect(postgres.owner_url) as connection:
            assert connection.execute("SELECT count(*) > 0 FROM django_migrations").fetchone() == (True,)
    finally:
        stack.stop()
        redis.stop()
        postgres.erase()
    assert living() == []


def test_a_process_that_keeps_dying_is_given_up_with_its_last_words(tmp_path: Path):
    program = Program("web", [sys.executable, "-c", "print('no such module')"], Program.is_alive)
    notices: list[str] = []

    for _ in range(5):
        program.start(tmp_path / "web.log", {})
        assert processes.wait_until(lambda: not program.is_alive(), 10)
        if len(notices) < 4:
            notices.append(program.bury())
    with pytest.raises(CannotStart) as sentence:
        program.bury()

    assert [notice.split(" in ")[1].split(";")[0] for notice in notices] == ["0.5 s", "1 s", "2 s", "4 s"]
    assert str(sentence.value).startswith("The web process died 5 times")
    assert str(tmp_path / "web.log") in str(sentence.value)
    assert "no such module" in str(sentence.value)
