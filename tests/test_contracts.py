"""The packages keep their order; and each contract would notice if they did not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

BREAKS = {
    "Packages depend downwards only": ("merchants/roles.py", "import portal.ledger.models"),
    "Connectors and money know neither Django nor Celery nor the ledger": (
        "connectors/base.py",
        "import django.conf",
    ),
    "Only connectors open connections outward": ("ledger/words.py", "import urllib3"),
    "Only the outbox speaks SMTP": ("merchants/audit.py", "import smtplib"),
    "Sandboxes import nothing of ours": ("sandboxes/kit.py", "import portal.money"),
    "Nothing that serves people imports the sandboxes": ("desk/home.py", "import portal.sandboxes.kit"),
}


def lint(folder: Path) -> str:
    """What import-linter says of the tree in `folder`."""
    program = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout + found.stderr


def test_the_contracts_hold():
    said = lint(ROOT)

    assert f"Contracts: {len(BREAKS)} kept, 0 broken." in said, said


@pytest.mark.parametrize("contract", BREAKS)
def test_a_forbidden_import_breaks_its_contract(contract, tmp_path):
    shutil.copytree(ROOT / "portal", tmp_path / "portal", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    module, line = BREAKS[contract]
    with (tmp_path / "portal" / module).open("a") as file:
        file.write(f"\n{line}\n")

    assert f"{contract} BROKEN" in lint(tmp_path)
