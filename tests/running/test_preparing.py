"""When a start may skip the slow steps, and when it may not."""

from pathlib import Path

import pytest

from portal.running import preparing
from portal.running.preparing import Preparation


@pytest.fixture
def env(tmp_path: Path, monkeypatch) -> dict[str, str]:
    """A var folder in which everything was made once."""
    monkeypatch.setattr(preparing, "_fingerprint", lambda: "these files")
    made = {"DATABASE_URL": "postgresql:///one", "SEALING_KEYS": str(tmp_path / "sealing.json"), "DEMO": "1"}
    (tmp_path / "sealing.json").touch()
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "staticfiles.json").touch()
    Preparation(tmp_path, made).remember()
    return made


def test_nothing_is_made_again_when_nothing_changed(env: dict[str, str], tmp_path: Path):
    assert Preparation(tmp_path, env).was_done()


def test_a_first_start_makes_everything(env: dict[str, str], tmp_path: Path):
    (tmp_path / "prepared.json").unlink()

    assert not Preparation(tmp_path, env).was_done()


def test_another_database_is_prepared(env: dict[str, str], tmp_path: Path):
    assert not Preparation(tmp_path, env | {"DATABASE_URL": "postgresql:///two"}).was_done()


def test_a_sandbox_that_moved_is_followed(env: dict[str, str], tmp_path: Path):
    assert not Preparation(tmp_path, env | {"SANDBOX_URL": "http://127.0.0.1:8101"}).was_done()


def test_changed_files_are_prepared(env: dict[str, str], tmp_path: Path, monkeypatch):
    monkeypatch.setattr(preparing, "_fingerprint", lambda: "other files")

    assert not Preparation(tmp_path, env).was_done()


@pytest.mark.parametrize("lost", ["sealing.json", "static/staticfiles.json"])
def test_what_was_lost_is_made_again(env: dict[str, str], tmp_path: Path, lost: str):
    (tmp_path / lost).unlink()

    assert not Preparation(tmp_path, env).was_done()
