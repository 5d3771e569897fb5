"""The key ring: two files outside the database, `sealing.json` for every process and `opening.json` for workers.

    sealing.json   {"current": "k2", "since": …, "keys": {id: public key}, "index": {"current": "i2", "keys": {…}}}
    opening.json   {"keys": {id: private key}}

Both are looked at whenever a key is needed, and read again when they were replaced: keys change while everything runs.
Each change fits processes that have not seen it yet: a new key is on both files before anything is sealed with it, and
an old one is taken away long after the last was. Keys are numbered, and no number is used twice.
"""

import json
import logging
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from nacl.encoding import Base64Encoder
from nacl.public import PrivateKey
from nacl.utils import random

log = logging.getLogger(__name__)

Ring = dict[str, Any]

_read: dict[Path, tuple[object, Ring]] = {}


# ---- Reading --------------------------------------------------------------------------------------------------
def sealing() -> Ring:
    """Public keys, and the keys of keyed hashes. Raises ImproperlyConfigured."""
    return _latest(settings.SEALING_KEYS, "SEALING_KEYS")


def opening() -> Ring:
    """Private keys, in a worker. Raises ImproperlyConfigured, also in a process that was given none."""
    if settings.OPENING_KEYS is None:
        raise ImproperlyConfigured("This process may seal but not open: it has no OPENING_KEYS.")
    return _latest(settings.OPENING_KEYS, "OPENING_KEYS")


def _latest(path: Path, name: str) -> Ring:
    """The file as it is now. One that is gone or broken meanwhile fails no call: what was read last still holds."""
    known = _read.get(path)
    try:
        stamp = _stamp(path)
        if known and known[0] == stamp:
            return known[1]
        ring = json.loads(path.read_text())
        if not isinstance(ring, dict) or "keys" not in ring:
            raise ValueError("not a key ring")
    except (OSError, ValueError):
        if known:
            log.error("The key ring %s cannot be read any more; the keys read before are used.", path)
            return known[1]
        raise ImproperlyConfigured(
            f"{name} names {path}, which cannot be read as a key ring. Make one: manage.py keyring --create DIR."
        ) from None
    _read[path] = (stamp, ring)
    return ring


def _stamp(path: Path) -> object:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


# ---- Making and changing --------------------------------------------------------------------------------------
def create(folder: Path) -> bool:
    """Write a new key ring. False if one is there already."""
    sealing_file, opening_file = folder / "sealing.json", folder / "opening.json"
    if sealing_file.exists() and opening_file.exists():
        return False
    if sealing_file.exists() or opening_file.exists():
        # A new half would not fit the old one, and what was sealed could never be opened again.
        raise ImproperlyConfigured(f"The key ring in {folder} is incomplete. Put both files back from the backup.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    private, public = _pair()
    index = {"current": "i1", "keys": {"i1": random(32).hex()}}
    _write(opening_file, {"keys": {"k1": private}})
    _write(sealing_file, {"current": "k1", "keys": {"k1": public}, "index": index})
    return True


def add() -> tuple[str, str]:
    """Put a new pair of keys and a new key for hashes on the ring; nothing is sealed with them yet. Their ids."""
    ring = sealing()
    key, index_key = _next("k", ring["keys"]), _next("i", ring["index"]["keys"])
    private, public = _pair()
    _change(settings.OPENING_KEYS, lambda ring: ring["keys"].update({key: private}))

    def extend(ring: Ring) -> None:
        ring["keys"][key] = public
        ring["index"]["keys"][index_key] = random(32).hex()

    _change(settings.SEALING_KEYS, extend)
    return key, index_key


def use_newest() -> bool:
    """Seal and hash with the newest keys from now on. False where that is so already."""
    ring = sealing()
    if (ring["current"], ring["index"]["current"]) == newest():
        return False

    def turn(ring: Ring) -> None:
        ring["current"], ring["index"]["current"] = newest()
        ring["since"] = timezone.now().isoformat()

    _change(settings.SEALING_KEYS, turn)
    return True


def retire(key: str) -> None:
    """Take a key off the ring for good. The caller has made sure that nothing needs it."""
    if key in (sealing()["current"], sealing()["index"]["current"]):
        raise ValueError("The current key is not taken away.")

    def shorten(ring: Ring) -> None:
        ring["keys"].pop(key, None)
        ring["index"]["keys"].pop(key, None)

    _change(settings.SEALING_KEYS, shorten)
    _change(settings.OPENING_KEYS, lambda ring: ring["keys"].pop(key, None))


def newest() -> tuple[str, str]:
    """The ids of the newest pair and of the newest key for hashes."""
    ring = sealing()
    return in_order(ring["keys"])[-1], in_order(ring["index"]["keys"])[-1]


def in_order(keys: Ring) -> list[str]:
    """The ids of keys, the oldest first."""
    return sorted(keys, key=_number)


def since() -> datetime | None:
    """Since when the current keys are current; None for the first."""
    told = sealing().get("since")
    return datetime.fromisoformat(told) if told else None


def _next(letter: str, keys: Ring) -> str:
    return f"{letter}{max(map(_number, keys)) + 1}"


def _number(key_id: str) -> int:
    return int(key_id[1:]) if key_id[1:].isdigit() else 0


def _pair() -> tuple[str, str]:
    private = PrivateKey.generate()
    return private.encode(Base64Encoder).decode(), private.public_key.encode(Base64Encoder).decode()


def _change(path: Path | None, change: Callable[[Ring], object]) -> None:
    if path is None:
        raise ImproperlyConfigured("Keys are changed where both files are: this process has no OPENING_KEYS.")
    file = path.resolve()  # a mounted secret is a link; the file behind it is replaced
    ring = json.loads(file.read_text())
    change(ring)
    _write(file, ring, like=file.stat())


def _write(path: Path, ring: Ring, *, like: os.stat_result | None = None) -> None:
    """Whole or not at all, and on the disk when this returns. Owner and permissions stay as they are: whoever could
    read the file before can read it after."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # readable by us only
    try:
        with os.fdopen(handle, "w") as file:
            if like is not None:
                if (like.st_uid, like.st_gid) != (os.getuid(), os.getgid()):
                    os.fchown(file.fileno(), like.st_uid, like.st_gid)
                os.fchmod(file.fileno(), like.st_mode & 0o777)
            file.write(json.dumps(ring, indent=1))
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
