"""What may be known of a secret without opening it: how it ends, its keyed fingerprint, who set it and when.

A secret is typed once and shown to nobody again. Its owner knows it by its last four signs; the trail tells two of them
apart by a keyed hash, which is worth nothing to whoever has only the database.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Self

from portal.merchants import vault

# The last four signs of a shorter secret would be too much of it.
SHORTEST_TO_END = 16
_FRAME = re.compile("-----(?:BEGIN|END) [A-Z ]+-----")


@dataclass(frozen=True, kw_only=True)
class Note:
    """What stands beside one sealed secret. `set_by` is a person's id, or None where the machine set it."""

    ending: str
    fingerprint: str
    set_at: datetime
    set_by: int | None = None

    def kept(self) -> dict[str, object]:
        """As JSON keeps it."""
        return asdict(self) | {"set_at": self.set_at.isoformat()}

    @classmethod
    def read(cls, kept: Mapping[str, str | int | None]) -> Self:
        """From JSON."""
        return cls(
            ending=str(kept["ending"]),
            fingerprint=str(kept["fingerprint"]),
            set_at=datetime.fromisoformat(str(kept["set_at"])),
            set_by=int(by) if (by := kept.get("set_by")) is not None else None,
        )


def note(secret: str, *, merchant: int, at: datetime, by: int | None) -> Note:
    """The note of a secret that was set just now."""
    return Note(ending=ending(secret), fingerprint=fingerprint(secret, merchant=merchant), set_at=at, set_by=by)


def ending(secret: str) -> str:
    """The last four signs, or nothing of a short secret; of a key in a file, of what stands between its frame."""
    bare = _FRAME.sub("", secret)  # also of one that was pasted into one line
    body = "".join(line.strip() for line in bare.splitlines())
    return body[-4:] if len(body) >= SHORTEST_TO_END else ""


def fingerprint(secret: str, *, merchant: int, like: str = "") -> str:
    """A keyed hash, `<key id>:<16 hexadecimal digits>`: alike for alike secrets of one merchant only.

    `like` is an older one: the new one is made under the same key, if that is on the ring still.
    """
    purpose = f"secret of {merchant}"
    try:
        made = vault.verifier(purpose, secret, like=like.encode())
    except vault.CannotOpen:
        made = vault.verifier(purpose, secret)
    key_id, _colon, digest = made.partition(b":")
    return f"{key_id.decode()}:{digest[:8].hex()}"
