"""Backup and restore, rehearsed with PostgreSQL's own tools: database and key ring are worth nothing alone."""

import base64
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.core import mail

from portal.connectors.base import ClientContext
from portal.ledger import balances, cards, operations
from portal.merchants import ring, tenancy
from portal.merchants.models import Connection
from portal.money import Money
from tests import environment
from tests.ledger.conftest import Till

ROOT = Path(__file__).resolve().parents[2]
CARD, OTHER_CARD = "914639000000123", "6280390000000123"
SAID = {
    "card": CARD,
    "the other card": OTHER_CARD,
    "PIN": "canary-pin-77",
    "customer": "canary-first-name",
    "mail": "https://till.example.com/canary-link",
    "browser": "canary-browser",
}
# As docs/operations.md says: the owner is bound by row-level security and is let see all rows for the dump.
EVERY_ROW = {"PGOPTIONS": "-c tillside.every=on"}


@pytest.fixture
def tools() -> Path:
    """PostgreSQL's programs of the server the tests run on."""
    return environment._running[0]._programs()


@pytest.fixture
def ring_folder(tmp_path: Path, settings: Any) -> Path:
    folder = tmp_path / "ring"
    ring.create(folder)
    settings.SEALING_KEYS, settings.OPENING_KEYS = folder / "sealing.json", folder / "opening.json"
    return folder


@pytest.fixture
def canaries(ring_folder: Path, till_for_good: Till) -> dict[str, str]:
    """Every kind of secret put away in the database; what each was."""
    till = till_for_good
    merchant = till.member.merchant
    with tenancy.merchant(merchant.pk):
        wish = operations.Wish(
            verb="top_up", card=till.card(CARD), amount=Money(100, "USD"), private={"first_name": SAID["customer"]}
        )
        operations.request(member=till.member, key=uuid.uuid4(), wish=wish)
        link = Connection.objects.get(provider="cardinquiry")
        look_up = balances.open_look_up(
            member=till.member,
            key=uuid.uuid4(),
            connection=link,
            number=OTHER_CARD,
            client=ClientContext(address="127.0.0.1", headers=(("user-agent", SAID["browser"]),)),
        )
        balances.give_pin(look_up, pin=SAID["PIN"])
        mail.get_connection("portal.mail.backend.Outbox").send_messages(
            [mail.EmailMessage("Hello", f"Open {SAID['mail']}", to=["anna@example.com"])]
        )
    keys = {
        f"{provider} {name}": str(secret)
        for provider in ("cardinquiry", "paywizard")
        for name, secret in till.sandbox.credentials(provider).items()
        if name in ("api_key", "client_secret", "token")
    }
    assert len(keys) == 3
    return {**SAID, **keys}


@pytest.fixture
def dump(canaries: dict[str, str], tools: Path, tmp_path: Path) -> Path:
    path = tmp_path / "dump"
    run(
        [tools / "pg_dump", "--format=custom", "--enable-row-security", f"--file={path}"],
        os.environ["DATABASE_OWNER_URL"],
    )
    return path


@pytest.fixture
def restored(dump: Path, tools: Path) -> Iterator[dict[str, str]]:
    """The dump in another database, made ready by a release; a worker's environment there, without a ring."""
    server = environment._running[0]
    app_url, owner_url = server.create_database("restored")
    run(
        [tools / "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", f"--dbname={owner_url}", dump],
    )
    env = {**os.environ, "DATABASE_URL": app_url, "DATABASE_OWNER_URL": owner_url}
    answer = manage(env, "release")
    assert answer.returncode == 0, answer.stderr
    yield env
    server.drop_database("restored")


def run(command: list[Any], *more: str) -> str:
    env = {**os.environ, **EVERY_ROW}
    return subprocess.run([*map(str, command), *more], env=env, capture_output=True, text=True, check=True).stdout


def manage(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=env, capture_output=True, text=True)


def with_ring(env: dict[str, str], folder: Path) -> dict[str, str]:
    return {**env, "SEALING_KEYS": str(folder / "sealing.json"), "OPENING_KEYS": str(folder / "opening.json")}


def test_the_restored_pair_opens_every_box_and_finds_every_card(restored, ring_folder, tmp_path):
    kept_apart = tmp_path / "backup of the ring"
    shutil.copytree(ring_folder, kept_apart)
    shutil.rmtree(ring_folder)

    answer = manage(with_ring(restored, kept_apart), "keyring", "--check")

    assert answer.returncode == 0, answer.stdout + answer.stderr
    for column in ("merchants_connection.sealed_secrets", "ledger_card.sealed_number", "ledger_inquiry.sealed_pin"):
        assert f"{column}  0 open" not in answer.stdout
        assert f"{column}  " in answer.stdout
    assert " 0 do not" in answer.stdout
    assert "All " in answer.stdout
    assert CARD not in answer.stdout


def test_the_restored_pair_rotates_and_retires(restored, ring_folder):
    env = with_ring(restored, ring_folder)

    for command in (["--pause", "0"], ["--retire", "k1", "--pause", "0", "--after", "0"]):
        answer = manage(env, "rotate_keys", *command)
        assert answer.returncode == 0, answer.stdout + answer.stderr
    assert manage(env, "keyring", "--check").returncode == 0


def test_without_its_ring_or_with_another_nothing_opens(restored, ring_folder, tmp_path):
    ring.create(tmp_path / "another")
    answer = manage(with_ring(restored, tmp_path / "another"), "keyring", "--check")

    assert answer.returncode != 0
    assert "not the ring of this database" in answer.stderr
    assert " 0 open" in answer.stdout
    assert "All " not in answer.stdout


def test_a_dump_without_the_ring_yields_no_secret(dump, canaries, tools):
    """Looked for as text, in hexadecimal as bytes are dumped, and in base64, in the dump and in the SQL it makes."""
    written = dump.read_bytes() + run([tools / "pg_restore", "--file=-", dump]).encode()
    lower = written.lower()

    assert b"ledger_card" in written
    assert b"anna@example.com" in written  # it would be found if it were there
    found = [
        name
        for name, secret in canaries.items()
        if secret.encode() in written
        or secret.encode().hex().encode() in lower
        or base64.b64encode(secret.encode()).rstrip(b"=")[:-1] in written
    ]
    assert found == []


def test_a_dump_without_leave_to_see_every_row_stops_instead_of_leaving_rows_out(canaries, tools, tmp_path):
    answer = subprocess.run(
        [tools / "pg_dump", "--format=custom", f"--file={tmp_path / 'short'}", os.environ["DATABASE_OWNER_URL"]],
        capture_output=True,
        text=True,
    )

    assert answer.returncode != 0
    assert "row-level security" in answer.stderr


def test_the_card_that_is_looked_for_is_there(canaries, till_for_good):
    """The canaries are in the database, sealed: the search above is not one for nothing."""
    assert cards.number_of(till_for_good.card(CARD)) == CARD
    assert configured.OPENING_KEYS
