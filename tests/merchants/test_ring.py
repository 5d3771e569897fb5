"""The key ring's files: whole or not at all, readable by whoever could read them before, and seen by all at once."""

import json
import os
import stat
import subprocess
import sys

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


def test_a_new_key_is_on_the_ring_before_anything_is_sealed_with_it():
    assert ring.add() == ("k2", "i2")

    assert vault.seal(HERE, b"x").startswith(b"1:k1:")
    assert vault.card_index(merchant=1, provider="p", number="1").startswith(b"i1:")
    assert [index[:3] for index in vault.card_indexes(merchant=1, provider="p", number="1")] == [b"i1:", b"i2:"]


def test_from_its_turn_on_everything_is_sealed_with_it_and_what_was_before_still_opens():
    before = vault.seal(HERE, b"old")
    ring.add()
    assert ring.use_newest()
    assert not ring.use_newest()

    after = vault.seal(HERE, b"new")

    assert after.startswith(b"1:k2:")
    assert [vault.open_sealed(HERE, box) for box in (before, after)] == [b"old", b"new"]
    assert ring.since() is not None


def test_another_process_sees_a_changed_ring_without_a_restart(settings):
    """A process of its own seals, is told to go on when the ring has changed, and seals again."""
    program = (
        "import sys; from django.conf import settings; from pathlib import Path;"
        f"settings.configure(SEALING_KEYS=Path({str(settings.SEALING_KEYS)!r}), OPENING_KEYS=None, USE_TZ=True);"
        "from portal.merchants import vault; c = vault.Context(merchant=1, table='t', row='r', field='f')\n"
        "for line in sys.stdin: print(vault.seal(c, b'x')[:5].decode(), flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin
        assert other.stdout

        def seals() -> str:
            print(file=other.stdin, flush=True)
            return other.stdout.readline().strip()

        assert seals() == "1:k1:"
        ring.add()
        assert seals() == "1:k1:"
        ring.use_newest()
        assert seals() == "1:k2:"
        other.stdin.close()


def test_a_retired_key_opens_nothing_and_its_number_is_not_used_again():
    before = vault.seal(HERE, b"old")
    ring.add()
    ring.use_newest()
    ring.retire("k1")
    ring.retire("i1")

    with pytest.raises(vault.CannotOpen, match="k1 is not on the ring"):
        vault.open_sealed(HERE, before)
    assert ring.add() == ("k3", "i3")


@pytest.mark.parametrize("key", ["k1", "i1"])
def test_the_current_key_is_not_taken_away(key):
    with pytest.raises(ValueError, match="current"):
        ring.retire(key)


def test_whoever_could_read_the_ring_before_can_read_it_after(folder):
    os.chmod(folder / "sealing.json", 0o640)
    if os.getuid() == 0:
        os.chown(folder / "opening.json", 65534, 65534)
    owner = (folder / "opening.json").stat().st_uid

    ring.add()
    ring.use_newest()

    assert stat.S_IMODE((folder / "sealing.json").stat().st_mode) == 0o640
    assert stat.S_IMODE((folder / "opening.json").stat().st_mode) == 0o600
    assert (folder / "opening.json").stat().st_uid == owner


def test_a_ring_behind_a_link_is_changed_where_it_is(folder, settings, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("mounted")
    for name in ("sealing.json", "opening.json"):
        (elsewhere / name).symlink_to(folder / name)
    settings.SEALING_KEYS, settings.OPENING_KEYS = elsewhere / "sealing.json", elsewhere / "opening.json"

    ring.add()

    assert (elsewhere / "sealing.json").is_symlink()
    assert "k2" in json.loads((folder / "sealing.json").read_text())["keys"]


def test_a_change_that_breaks_off_leaves_the_file_as_it_was(folder, monkeypatch):
    before = (folder / "sealing.json").read_text()

    def no_disk(*_args):
        raise OSError("no space left")

    monkeypatch.setattr(ring.os, "replace", no_disk)
    with pytest.raises(OSError, match="no space"):
        ring.use_newest() or ring.add()

    assert (folder / "sealing.json").read_text() == before
    assert sorted(each.name for each in folder.iterdir()) == ["opening.json", "sealing.json"]


def test_broken_off_between_the_two_files_the_next_run_goes_on(monkeypatch):
    """The private half is there first: at no moment is anything sealed that nobody opens."""
    write = ring._write
    calls: list[str] = []

    def once(path, content, **more):
        if calls:
            raise OSError("killed")
        calls.append(path.name)
        write(path, content, **more)

    monkeypatch.setattr(ring, "_write", once)
    with pytest.raises(OSError, match="killed"):
        ring.add()
    monkeypatch.undo()

    assert calls == ["opening.json"]
    assert vault.open_sealed(HERE, vault.seal(HERE, b"x")) == b"x"
    assert ring.add() == ("k2", "i2")
    ring.use_newest()
    assert vault.open_sealed(HERE, vault.seal(HERE, b"x")) == b"x"


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"no": "keys"}'])
def test_a_ring_that_is_gone_or_broken_fails_no_call_of_a_process_that_has_read_it(folder, broken, caplog):
    vault.seal(HERE, b"x")
    (folder / "sealing.json").unlink() if not broken else (folder / "sealing.json").write_text(broken)

    assert vault.seal(HERE, b"x").startswith(b"1:k1:")
    assert "cannot be read any more" in caplog.text


def test_a_process_that_never_read_a_ring_says_what_to_do(settings, tmp_path):
    settings.SEALING_KEYS = tmp_path / "nowhere.json"

    with pytest.raises(ImproperlyConfigured, match="keyring --create"):
        vault.seal(HERE, b"x")


def test_without_the_private_ring_no_key_is_added(settings):
    settings.OPENING_KEYS = None

    with pytest.raises(ImproperlyConfigured, match="OPENING_KEYS"):
        ring.add()


def test_sealing_anew_keeps_content_and_place_and_opens_nothing_that_was_copied():
    box = vault.seal(HERE, b"secret")
    ring.add()
    ring.use_newest()
    anew = vault.resealed(box)

    assert anew.startswith(b"1:k2:")
    assert vault.open_sealed(HERE, anew) == b"secret"
    with pytest.raises(vault.CannotOpen, match="another row"):
        vault.open_sealed(vault.Context(merchant=2, table=HERE.table, row=HERE.row, field=HERE.field), anew)
