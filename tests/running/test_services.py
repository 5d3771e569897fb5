"""PostgreSQL from the wheel and the local broker: roles, places, leftovers, damage."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from portal import services
from portal.running import CannotStart

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give its files away")


@pytest.fixture
def postgres(var: Path) -> Iterator[services.Postgres]:
    server = services.start_postgres(var)
    yield server
    server.erase()


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        answer = connection.execute(question)
        return answer.fetchone() if answer.description else None


def test_the_applications_role_has_no_powers(postgres: services.Postgres):
    question = "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"

    assert ask(postgres.app_url, question) == (False, False, False, False)
    assert ask(postgres.owner_url, question) == (False, False, False, False)


def test_the_owner_makes_tables_and_the_application_does_not(postgres: services.Postgres):
    ask(postgres.owner_url, "CREATE TABLE card (id int)")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(postgres.app_url, "CREATE TABLE another (id int)")


def test_nobody_enters_without_the_password(postgres: services.Postgres):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.app_url.replace("tillside:", "tillside:x", 1))


def test_every_write_is_on_disk_before_it_is_confirmed(postgres: services.Postgres):
    assert ask(postgres.app_url, "SHOW fsync") == ("on",)
    assert ask(postgres.app_url, "SHOW synchronous_commit") == ("on",)


def test_letters_beyond_ascii_have_two_cases(postgres: services.Postgres):
    assert ask(postgres.app_url, "SELECT lower('Ü')") == ("ü",)


def test_data_outlives_stop_and_kill(postgres: services.Postgres):
    ask(postgres.owner_url, "CREATE TABLE card AS SELECT 7 AS id")

    postgres.stop()
    postgres.start()
    postgres.kill()
    postgres.start()

    assert ask(postgres.owner_url, "SELECT id FROM card") == (7,)


def test_stop_leaves_no_process(postgres: services.Postgres, living):
    assert living() != []

    postgres.stop()

    assert living() == []


def test_a_database_made_twice_is_empty_again(postgres: services.Postgres):
    _, owner_url = postgres.create_database("trial")
    ask(owner_url, "CREATE TABLE card (id int)")

    _, owner_url = postgres.create_database("trial")

    assert ask(owner_url, "SELECT to_regclass('card')") == (None,)


def test_two_processes_never_share_the_data(postgres: services.Postgres, var: Path):
    with pytest.raises(CannotStart, match="already runs on"):
        services.start_postgres(var)


def test_a_server_whose_starter_was_killed_is_followed_by_a_working_one(var: Path, living):
    lines = ["import os", "from pathlib import Path", "from portal import services"]
    lines += [f"services.start_postgres(Path({str(var)!r}))", "os.kill(os.getpid(), 9)"]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=False)

    server = services.start_postgres(var)

    assert ask(server.app_url, "SELECT 1") == (1,)
    server.stop()
    assert living() == []


def test_the_number_of_a_dead_server_may_be_another_process_by_now(postgres: services.Postgres):
    postgres.kill()
    file = postgres.data / "postmaster.pid"
    lines = file.read_text().splitlines() if file.exists() else [""] * 6
    file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")

    postgres.start()

    assert ask(postgres.app_url, "SELECT 1") == (1,)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: (data / "PG_VERSION").unlink(), "is damaged"),
        (lambda data: (data / "PG_VERSION").write_text("9.6\n"), "was written by PostgreSQL 9.6"),
        (lambda data: (data / "global" / "pg_control").write_bytes(b""), "does not start"),
    ],
)
def test_damaged_data_is_named_with_its_log_and_a_way_out(postgres: services.Postgres, damage, words: str):
    postgres.stop()
    damage(postgres.data)

    with pytest.raises(CannotStart) as refusal:
        postgres.start()

    sentence = str(refusal.value)
    assert words in sentence
    assert str(postgres.data) in sentence
    assert str(postgres.log) in sentence
    assert "make run VAR=elsewhere" in sentence


def test_a_nearly_full_disk_is_refused_before_anything_is_written(var: Path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=12 * 1024**2))

    with pytest.raises(CannotStart, match=r"Only 12 MB are free .* needs 500 MB"):
        services.start_postgres(var)

    assert not (var / "postgres" / "data").exists()


def test_a_disk_that_fills_up_while_the_data_is_made_says_so(var: Path, tmp_path: Path):
    initdb = tmp_path / "initdb"
    initdb.write_text("#!/bin/sh\necho 'could not write: No space left on device' >&2\nexit 1\n")
    initdb.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)

    with pytest.raises(CannotStart, match="is full"):
        services.Postgres(var, programs=tmp_path).start()


@as_root
def test_as_root_the_data_leaves_a_private_folder_and_no_permission_changes(tmp_path: Path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)

    server = services.start_postgres(private / "var")
    try:
        assert not server.home.is_relative_to(private)
        assert str(server.home) in server.notice
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert server.data.owner() == "nobody"
    finally:
        server.erase()

    assert not server.home.exists()


@as_root
def test_as_root_data_whose_var_folder_was_removed_is_made_anew(tmp_path: Path):
    first = services.start_postgres(tmp_path / "var")
    ask(first.owner_url, "CREATE TABLE card (id int)")
    first.stop()
    shutil.rmtree(tmp_path / "var")

    second = services.start_postgres(tmp_path / "var")
    try:
        assert ask(second.owner_url, "SELECT to_regclass('card')") == (None,)
    finally:
        second.erase()


def test_a_path_too_long_for_a_socket_is_served_over_the_loopback(var: Path):
    server = services.start_postgres(var / ("long" * 30))

    assert "@127.0.0.1:" in server.app_url
    assert ask(server.app_url, "SELECT 1") == (1,)
    server.stop()


def test_the_brokers_folder_is_private_and_made_again_when_it_was_removed(var: Path):
    url = services.local_broker(var)
    assert url == f"filesystem://{var}/broker"
    assert stat.S_IMODE((var / "broker").stat().st_mode) == 0o700

    shutil.rmtree(var / "broker")
    assert services.broker_was_wiped(var)

    services.local_broker(var)
    assert not services.broker_was_wiped(var)
