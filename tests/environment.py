"""The environment tests run in: real PostgreSQL and the real sandbox server, on ports of their own.

Tests in lanes (pytest -n 2) have all of it once a lane. Loaded before pytest-django (see pyproject.toml), because the
settings read the environment once, when imported.
"""

import os
import shutil
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import hypothesis
import pytest

from portal import services
from portal.running.ports import a_free_one as free_port
from tests import prepared

__all__ = ["free_port"]

ROOT = Path(__file__).resolve().parent.parent
LANE = os.environ.get("PYTEST_XDIST_WORKER", "")
VAR = Path(os.environ.get("TEST_VAR", ROOT / "var" / "test")) / LANE

_running: list[services.Postgres] = []


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(args: list[str]) -> None:
    """Start the database; tests that need none say `-p no:django`."""
    if "no:django" in args:
        return
    if not LANE and {"-n", "--numprocesses"}.intersection(args):
        # It only hands tests out to lanes; the settings are read in it all the same.
        _set_environment("postgresql:///none", "postgresql:///none")
        return
    try:
        prepared.lay_into(VAR)
        postgres = services.start_postgres(VAR)
    except services.CannotStart as reason:
        raise pytest.UsageError(str(reason)) from None
    _running.append(postgres)
    _set_environment(postgres.app_url, postgres.owner_url)


def _set_environment(app_url: str, owner_url: str) -> None:
    port = free_port()
    os.environ.update(
        DATABASE_URL=app_url,
        DATABASE_OWNER_URL=owner_url,
        CELERY_BROKER_URL=services.local_broker(VAR),
        SECRET_KEY="tests",
        SIGN_IN_KEYS="dGVzdHMgbWF5IGtub3cgdGhpcyBrZXksIHRoZXkgZG8=",
        PUBLIC_URL="http://localhost:8000",
        SEALING_KEYS=str(VAR / "keyring" / "sealing.json"),
        OPENING_KEYS=str(VAR / "keyring" / "opening.json"),
        SANDBOX_URL=f"http://127.0.0.1:{port}",
        MAIL_HOST="127.0.0.1",
        MAIL_PORT=str(free_port()),
        MAIL_TLS="none",
        VAR=str(VAR),
    )


def pytest_configure() -> None:
    """The same examples every time, and none that fails for having taken long: a machine may be busy. And tests sign in
    hundreds of times; a slow hash would be most of their time."""
    hypothesis.settings.register_profile(
        "tillside", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("tillside")
    if _running:
        from django.conf import settings

        settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_unconfigure() -> None:
    """Stop what was started."""
    while _running:
        _running.pop().stop()


def start_sandbox(port: int, store: Path) -> subprocess.Popen[bytes]:
    """The sandbox server as a process of its own, answering."""
    shutil.rmtree(store, ignore_errors=True)
    server = subprocess.Popen(
        [sys.executable, "-m", "portal.sandboxes", "--port", str(port), "--store", str(store)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            probe = HTTPConnection("127.0.0.1", port, timeout=1)
            probe.request("GET", "/_sandbox/credentials")
            if probe.getresponse().status == 200:
                return server
        except OSError:
            time.sleep(0.05)
    server.kill()
    raise RuntimeError("The sandbox server did not start.")
