"""Some rows are written by one module only."""

import ast
from pathlib import Path

import pytest

from portal.ledger.models import Inquiry
from portal.merchants.writers import Writer, WrittenElsewhere

PORTAL = Path(__file__).resolve().parents[2] / "portal"


def test_a_row_saved_from_elsewhere_is_refused():
    with pytest.raises(WrittenElsewhere, match=r"portal\.ledger\.balances"):
        Inquiry().save()


def test_a_row_deleted_from_elsewhere_is_refused():
    with pytest.raises(WrittenElsewhere):
        Inquiry(pk=1).delete()


@pytest.mark.parametrize(
    "write",
    [
        lambda rows: rows.update(state="answered"),
        lambda rows: rows.delete(),
        lambda rows: rows.bulk_create([]),
        lambda rows: rows.bulk_update([], ["state"]),
        lambda rows: rows.create(state="answered"),
    ],
)
def test_rows_written_in_bulk_from_elsewhere_are_refused(write):
    with pytest.raises(WrittenElsewhere):
        write(Inquiry.objects.all())


def test_the_right_to_write_is_not_given_to_another_module():
    with pytest.raises(WrittenElsewhere):
        Writer("portal.ledger.balances").writes(lambda: None)


def test_only_the_writer_modules_use_the_right():
    users = {
        path.relative_to(PORTAL).as_posix()
        for path in PORTAL.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "writes" and isinstance(node.value, ast.Name)
    }

    assert users == {
        "customers/book.py",
        "desk/alerts.py",
        "ledger/approvals.py",
        "ledger/balances.py",
        "ledger/cases.py",
        "ledger/codes.py",
        "ledger/limits.py",
        "ledger/operations.py",
        "ledger/saved_views.py",
        "ledger/settling.py",
        "ledger/shifts.py",
        "mail/outbox.py",
        "merchants/connecting.py",
        "merchants/daily_limits.py",
        "merchants/hosts.py",
        "merchants/invitations.py",
        "merchants/pauses.py",
        "merchants/pins.py",
        "merchants/provider_tokens.py",
        "merchants/switches.py",
        "merchants/tills.py",
        "shopper/deciding.py",
        "shopper/tries.py",
    }
