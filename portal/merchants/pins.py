"""PINs: a member's few digits for the merchant's tills, and the limits on guessing them. The only writer of them.

A PIN has some ten thousand values, so no hash alone can hide it. It is hashed under a key that stands outside the
database (the key ring's index key): who has only the database has nothing to guess against. The slow hash on top makes
each guess dear to whoever holds both. What stops guessing at a till are the limits, and they stand in the database, so
that they hold over all web processes.
"""

import re
import uuid
from datetime import timedelta

from django.contrib.auth.hashers import ScryptPasswordHasher
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from portal.merchants import audit, vault
from portal.merchants.models import Member, Person, Pin, pin_writer
from portal.merchants.roles import Permission, may
from portal.merchants.standing import still_administers, still_may

DIGITS = re.compile(r"[0-9]{4,8}", re.ASCII)
# How long after so many wrong tries the next one has to wait, in seconds; after DEAD_AFTER only the password helps.
WAITS = {3: 30, 4: 60, 5: 120, 6: 300, 7: 600, 8: 900, 9: 900}
DEAD_AFTER = 10
# The straight line down the number pad and its way back, and runs of digits.
_RUNS = "01234567890", "09876543210", "2580", "0852"


class TooSimple(Exception):
    """These digits are among the first that anybody would try. They are not repeated here."""


class _Hasher(ScryptPasswordHasher):
    """Scrypt with 16 MiB, some 50 ms: a till unlocks many times an hour, and the key carries the weight."""

    parallelism = 1


_hasher = _Hasher()


@pin_writer.writes
def choose(member: Member, digits: str, *, request: HttpRequest | None) -> None:
    """Set the member's PIN, and forget wrong tries at the old one.

    Raises TooSimple, ValueError for what is not 4 to 8 digits, PermissionDenied for somebody who may not any more.
    """
    if not DIGITS.fullmatch(digits):
        raise ValueError("A PIN has 4 to 8 digits.")
    if is_simple(digits):
        raise TooSimple
    with transaction.atomic():
        still_may(member, Permission.CHOOSE_PIN)
        pin, is_new = Pin.objects.select_for_update().get_or_create(
            merchant_id=member.merchant_id, member=member, defaults={"hash": "", "set_at": timezone.now()}
        )
        pin.hash, pin.set_at = _hash(pin, digits), timezone.now()
        pin.failures, pin.blocked_until, pin.dead_at = 0, None, None
        pin.save()
        audit.record(
            "PIN chosen" if is_new else "PIN changed",
            member.person.name,
            merchant=member.merchant,
            person=member.person,
            request=request,
        )


def is_simple(digits: str) -> bool:
    """Whether these digits are among the first anybody would try: 0000, 1234, 4321, 1212, 123123, 2580."""
    runs = any(digits in run for run in _RUNS)
    return (
        runs or re.fullmatch(r"(\d{1,4})\1+", digits) is not None or re.fullmatch(r"(\d)\1*(\d)\2*", digits) is not None
    )


@pin_writer.writes
def check(merchant_id: int, who: uuid.UUID, digits: str, *, refused: str = "") -> tuple[Member | None, str]:
    """The member whose PIN this is, or nobody and our word why, for the trail. Counts; call it inside a transaction.

    The row is held, so that of many tries at the same moment each is counted. Every answer takes as long as the others:
    one slow hash. `refused` is a reason the caller has already: nothing is counted then.
    """
    pin = (
        Pin.objects.select_for_update(of=("self",))
        .select_related("member__person", "member__merchant")
        .filter(merchant_id=merchant_id, key=who)
        .first()
    )
    now = timezone.now()
    is_right = _is_right(pin, digits)
    if pin is None:
        return None, refused or "unknown"
    if not DIGITS.fullmatch(digits):
        return None, refused or "no PIN"  # a scanned card, mostly: it cannot be anybody's, so it tells nobody anything
    person = pin.member.person
    if refused:
        return None, refused
    if not person.is_active or not may(pin.member.role, Permission.CHOOSE_PIN):
        return None, "may not"
    if pin.dead_at and (person.last_login is None or person.last_login < pin.dead_at):
        return None, "dead"
    if pin.blocked_until and pin.blocked_until > now:
        return None, "waits"
    if pin.dead_at:
        pin.failures, pin.dead_at = 0, None  # they have signed in with their password since
    if is_right:
        pin.failures, pin.blocked_until = 0, None
        if not vault.is_current(pin.hash.encode()):  # the one moment in which it can be hashed under a newer key
            pin.hash = _hash(pin, digits)
        pin.save()
        return pin.member, ""
    pin.failures += 1
    pin.blocked_until = now + timedelta(seconds=WAITS[pin.failures]) if pin.failures in WAITS else None
    if pin.failures >= DEAD_AFTER:
        pin.dead_at = now
    pin.save()
    return None, "dead now" if pin.dead_at else "wrong"


@pin_writer.writes
def forget_wrong_tries(member: Member, *, by: Person, reason: str, request: HttpRequest) -> bool:
    """An administrator lets a PIN work again that wrong tries have stopped; it stays the same PIN. False where nothing
    stopped it. Raises PermissionDenied for whoever is no administrator any more."""
    with transaction.atomic():
        still_administers(by)
        stopped = Pin.objects.filter(merchant=member.merchant_id, member=member, failures__gt=0)
        changed = stopped.update(failures=0, blocked_until=None, dead_at=None)
        if changed:
            name = member.person.name
            audit.record("PIN unlocked", name, merchant=member.merchant, person=by, request=request, reason=reason)
    return bool(changed)


def _hash(pin: Pin, digits: str) -> str:
    peppered = _peppered(pin, digits)
    return f"{_key_id(peppered)}:{_hasher.encode(peppered.hex(), _hasher.salt())}"


def _is_right(pin: Pin | None, digits: str) -> bool:
    """Always one slow hash, even where there is nothing to compare with."""
    known = pin is not None and pin.hash and DIGITS.fullmatch(digits)
    if pin is None or not known:
        _hasher.encode("nobody", "nobody")
        return False
    key_id, _, hashed = pin.hash.partition(":")
    return bool(_hasher.verify(_peppered(pin, digits, like=key_id.encode()).hex(), hashed))


def _peppered(pin: Pin, digits: str, *, like: bytes = b"") -> bytes:
    # Bound to its row: a hash copied into a colleague's row opens nothing.
    return vault.verifier("pin", f"{pin.merchant_id}:{pin.key.hex}:{digits}", like=like)


def _key_id(verifier: bytes) -> str:
    return verifier.partition(b":")[0].decode()
