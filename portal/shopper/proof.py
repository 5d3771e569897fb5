"""Proof of work: a browser hashes for a while before its try is taken. A cost for machines, never a wall.

The server signs a challenge and keeps nothing; the browser searches, for each of four parts, a counter whose
PBKDF2-HMAC-SHA256 of 2,000 rounds lies below a threshold; the server looks at four hashes. Four parts, because the sum
of four waits varies half as much as one. PBKDF2, because browsers have it built in, while a bare SHA-256 is what the
cheapest machines are made for. Each challenge is bound to one page and taken once, see tries.py. Why not a finished
widget: docs/decisions/0028.
"""

import hashlib
import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core import signing

PARTS, ROUNDS = 4, 2_000
MOST_TIMES = 16
_SALT = "portal.shopper.proof"


class NoProof(Exception):
    """The proof is not one: `why` is "forged", "old", "early" or "wrong"."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """What a browser has to do. `token` comes back with its solution."""

    token: str
    nonce: uuid.UUID
    times: int
    threshold: int

    @property
    def parts(self) -> int:
        return PARTS

    @property
    def rounds(self) -> int:
        return ROUNDS


def issue(place: str, *, times: int, at: datetime) -> Challenge:
    """A challenge for one place (a merchant's page, or one try), worth `times` the usual work. `at` is the database's
    time. Nothing is kept, so that nobody is kept out by somebody else who asks for many."""
    nonce, times = uuid.uuid4(), min(max(times, 1), MOST_TIMES)
    token = signing.Signer(salt=_SALT).sign_object([place, nonce.hex, times, round(at.timestamp() * 1000)])
    return Challenge(token=token, nonce=nonce, times=times, threshold=_threshold(times))


def check(place: str, token: str, solution: str, *, at: datetime, typing_seconds: float = 0) -> Challenge:
    """The challenge that `solution` solves. Raises NoProof."""
    try:
        for_place, nonce, times, issued_ms = signing.Signer(salt=_SALT).unsign_object(token)
    except (signing.BadSignature, ValueError):
        raise NoProof("forged") from None
    if for_place != place:
        raise NoProof("forged")
    age = at - datetime.fromtimestamp(issued_ms / 1000, tz=at.tzinfo)
    if not timedelta() <= age <= timedelta(seconds=settings.SHOPPER_PROOF_SECONDS):
        raise NoProof("old")
    if age < timedelta(seconds=typing_seconds):
        raise NoProof("early")
    challenge = Challenge(token=token, nonce=uuid.UUID(nonce), times=times, threshold=_threshold(times))
    if not re.fullmatch(rf"[0-9]{{1,9}}(\.[0-9]{{1,9}}){{{PARTS - 1}}}", solution, re.ASCII):
        raise NoProof("wrong")
    counters = solution.split(".")
    if not all(_fits(challenge, part, int(counter)) for part, counter in enumerate(counters)):
        raise NoProof("wrong")
    return challenge


def solve(challenge: Challenge) -> str:
    """What a browser does; for tests and benches."""
    found = []
    for part in range(PARTS):
        counter = 0
        while not _fits(challenge, part, counter):
            counter += 1
        found.append(str(counter))
    return ".".join(found)


def _fits(challenge: Challenge, part: int, counter: int) -> bool:
    hashed = hashlib.pbkdf2_hmac("sha256", f"{part}:{counter}".encode(), challenge.nonce.hex.encode(), ROUNDS)
    return int.from_bytes(hashed[:4]) < challenge.threshold


def _threshold(times: int) -> int:
    """Below which the first 32 bits of a hash lie as rarely as SHOPPER_WORK × times hashings in all want it."""
    return max(round(2**32 / max(settings.SHOPPER_WORK * times / PARTS, 1)), 1)
