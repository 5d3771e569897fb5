"""Secrets are sealed for one place, opened by workers only, and found again without being readable."""

import json
import stat

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal.merchants import ring, vault

HERE = vault.Context(merchant=1, table="merchants_connection", row="4ea0", field="secrets")


@pytest.fixture(autouse=True)
def folder(tmp_path, settings):
    """A fresh key ring of its own."""
    ring.create(tmp_path)
    settings.SEALING_KEYS, settings.OPENING_KEYS = tmp_path / "sealing.json", tmp_path / "opening.json"
    return tmp_path


def test_what_was_sealed_is_opened_in_its_own_place():
    assert vault.open_sealed(HERE, vault.seal(HERE, "Schlüssel".encode())).decode() == "Schlüssel"


@pytest.mark.parametrize(
    "elsewhere",
    [
        vault.Context(merchant=2, table=HERE.table, row=HERE.row, field=HERE.field),
        vault.Context(merchant=1, table="ledger_inquiry", row=HERE.row, field=HERE.field),
        vault.Context(merchant=1, table=HERE.table, row="4ea1", field=HERE.field),
        vault.Context(merchant=1, table=HERE.table, row=HERE.row, field="pin"),
    ],
)
def test_a_box_copied_to_another_merchant_table_row_or_field_does_not_open(elsewhere):
    sealed = vault.seal(HERE, b"secret")

    with pytest.raises(vault.CannotOpen, match="another row"):
        vault.open_sealed(elsewhere, sealed)


def test_contexts_whose_parts_run_together_differently_are_different():
    one = vault.Context(merchant=1, table="a", row="b,c", field="d")
    other = vault.Context(merchant=1, table="a,b", row="c", field="d")

    with pytest.raises(vault.CannotOpen):
        vault.open_sealed(other, vault.seal(one, b"secret"))


def test_sealing_twice_gives_two_different_boxes():
    assert vault.seal(HERE, b"1234") != vault.seal(HERE, b"1234")


def test_a_damaged_box_does_not_open_and_says_nothing_of_its_content():
    sealed = bytearray(vault.seal(HERE, b"canary"))
    sealed[-1] ^= 1

    with pytest.raises(vault.CannotOpen) as refusal:
        vault.open_sealed(HERE, bytes(sealed))

    assert "canary" not in str(refusal.value)


def test_a_process_without_the_private_ring_seals_but_cannot_open(settings):
    settings.OPENING_KEYS = None

    sealed = vault.seal(HERE, b"secret")

    with pytest.raises(ImproperlyConfigured, match="may seal but not open"):
        vault.open_sealed(HERE, sealed)


def test_the_sealing_file_holds_no_key_that_opens(folder):
    private = json.loads((folder / "opening.json").read_text())["keys"]["k1"]

    assert private not in (folder / "sealing.json").read_text()


def test_an_older_key_on_the_ring_still_opens_after_a_newer_one_took_over(folder):
    before = vault.seal(HERE, b"old")
    other = folder / "newer"
    ring.create(other)
    for name in ("sealing.json", "opening.json"):
        content = json.loads((folder / name).read_text())
        content["keys"]["k2"] = json.loads((other / name).read_text())["keys"]["k1"]
        if "current" in content:
            content["current"] = "k2"
        (folder / name).write_text(json.dumps(content))

    after = vault.seal(HERE, b"new")

    assert after.startswith(b"1:k2:")
    assert [vault.open_sealed(HERE, box) for box in (before, after)] == [b"old", b"new"]


def test_key_files_are_readable_by_their_owner_only(folder):
    for name in ("sealing.json", "opening.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_an_existing_ring_is_left_alone(folder):
    before = (folder / "opening.json").read_text()

    assert ring.create(folder) is False
    assert (folder / "opening.json").read_text() == before


def test_half_a_ring_is_not_completed_by_a_half_that_does_not_fit(folder):
    (folder / "opening.json").unlink()

    with pytest.raises(ImproperlyConfigured, match="backup"):
        ring.create(folder)


def test_a_card_is_found_again_by_the_same_index():
    once = vault.card_index(merchant=1, provider="cardinquiry", number="9276004424644352")

    assert once == vault.card_index(merchant=1, provider="cardinquiry", number="9276004424644352")
    assert b"4352" not in once


def test_the_same_number_at_another_merchant_or_provider_has_another_index():
    indexes = {
        vault.card_index(merchant=merchant, provider=provider, number="4352")
        for merchant in (1, 2)
        for provider in ("cardinquiry", "paywizard")
    }

    assert len(indexes) == 4


def test_an_index_depends_on_the_ring_and_cannot_be_guessed_from_the_number(folder):
    before = vault.card_index(merchant=1, provider="cardinquiry", number="4352")
    content = json.loads((folder / "sealing.json").read_text())
    content["index"]["keys"]["i1"] = "00" * 32
    (folder / "sealing.json").write_text(json.dumps(content))

    assert vault.card_index(merchant=1, provider="cardinquiry", number="4352") != before
