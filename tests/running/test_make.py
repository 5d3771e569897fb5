"""What `make` says before anything of ours can run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from portal.running import BASE


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Only what the environment is made from."""
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(BASE / name, tmp_path)
    return tmp_path


def make(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *words], cwd=checkout, capture_output=True, text=True, check=False)


def test_too_old_a_python_is_named_with_its_version(checkout: Path):
    old = checkout / "python3"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 9, 2)\n$2"\n')
    old.chmod(0o755)

    answer = make(checkout, "run", f"PYTHON={old}")

    assert answer.returncode != 0
    assert f"Tillside needs Python 3.11 or newer; {old} here is 3.9.2. Set PYTHON=" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_python_that_is_not_there_is_named(checkout: Path):
    answer = make(checkout, "run", "PYTHON=python-of-the-future")

    assert answer.returncode != 0
    assert "there is no python-of-the-future here" in answer.stderr


def test_a_python_without_environments_says_what_to_install(checkout: Path):
    bare = checkout / "python3"
    bare.write_text(f"#!/bin/sh\nexec {sys.executable} -c \"import sys; sys.modules['ensurepip'] = None\n$2\"\n")
    bare.chmod(0o755)

    answer = make(checkout, "run", f"PYTHON={bare}")

    assert answer.returncode != 0
    assert "apt-get install python3-venv" in answer.stderr


def test_an_environment_that_another_make_is_filling_is_left_alone(checkout: Path):
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "half-made").write_text("1\n")

    answer = make(checkout, "run", f"PYTHON={sys.executable}")

    assert answer.returncode != 0
    assert "Another make is installing" in answer.stderr


def test_a_half_made_environment_is_made_anew(checkout: Path):
    (checkout / "requirements.txt").write_text("")
    rubbish = checkout / ".venv" / "rubbish"
    rubbish.mkdir(parents=True)
    (checkout / ".venv" / "half-made").write_text("999999999\n")

    answer = make(checkout, ".venv/ready", f"PYTHON={sys.executable}")

    assert answer.returncode == 0, answer.stderr
    assert not rubbish.exists()
    assert not (checkout / ".venv" / "half-made").exists()
