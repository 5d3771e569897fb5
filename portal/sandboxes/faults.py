"""The ways a provider can fail on demand, and how a tester asks for one.

It decides nothing about HTTP: `kit.answer` acts on a fault, `store` remembers the armed ones.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self, TypeGuard

LONGEST_WAIT = 60.0  # seconds; every exchange deadline of a real client is shorter
WRONGEST_CLOCK = 86400.0  # seconds, ahead or behind
LONGEST_RETRY_AFTER = 999_999_999  # clients must clamp such a number, so it can be sent
MOST_TIMES = 1_000_000


class Kind(StrEnum):
    """Done means: committed and in the journal."""

    REFUSE = "refuse"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    CUT = "cut"
    ERROR_AFTER = "error_after"
    GARBAGE = "garbage"
    LATE = "late"
    SLOW = "slow"
    THROTTLE = "throttle"
    REDIRECT = "redirect"
    CLOCK = "clock"
    FOREIGN = "foreign"


MEANING = {
    Kind.REFUSE: "Not done; the provider's own refusal.",
    Kind.TIMEOUT_BEFORE: "Not done; the line is held for the seconds given, then closed without an answer.",
    Kind.TIMEOUT_AFTER: "Done; the line is held for the seconds given, then closed without an answer.",
    Kind.CUT: "Done; the answer stops in the middle of its body.",
    Kind.ERROR_AFTER: "Done; answered with 500 and an HTML page.",
    Kind.GARBAGE: "Done; answered with 200 and a body that cannot be read.",
    Kind.LATE: "No answer: the line closes at half of the seconds; done only at the end of them.",
    Kind.SLOW: "Done and answered properly, after the seconds given.",
    Kind.THROTTLE: "Not done; 429 with the seconds as Retry-After.",
    Kind.REDIRECT: "Not done; 302 to a private address.",
    Kind.CLOCK: "Answered by a clock that is so many seconds ahead, or behind if negative, as by its Date.",
    Kind.FOREIGN: "Not done; a web page of somebody else, as at a wrong address.",
}
USUAL_SECONDS = {
    Kind.TIMEOUT_BEFORE: 60.0,
    Kind.TIMEOUT_AFTER: 60.0,
    Kind.LATE: 60.0,
    Kind.SLOW: 3.0,
    Kind.THROTTLE: 30.0,
    Kind.CLOCK: 94.0,
}


@dataclass(frozen=True)
class Fault:
    """What happens to one call. Kinds that do not wait ignore the seconds."""

    kind: Kind
    seconds: float

    @classmethod
    def of(cls, kind: str, seconds: float | None = None) -> Self:
        kind = Kind(kind)
        return cls(kind, USUAL_SECONDS.get(kind, 0.0) if seconds is None else seconds)


@dataclass(frozen=True, kw_only=True)
class Armed:
    """What a tester asked for: this fault, on calls whose path begins so, so often. A `*` is any one part of a path."""

    provider: str
    kind: Kind
    path: str | None = None
    times: int | None = None
    probability: float | None = None
    seconds: float | None = None


class Misarmed(ValueError):
    """The request for a fault makes no sense; its text tells the tester why."""


def read(wanted: object, *, providers: Collection[str]) -> Armed:
    """The fault a control request describes. Unknown fields are refused: they are typing errors."""
    if not isinstance(wanted, Mapping):
        raise Misarmed("The body must be a JSON object.")
    if unknown := set(wanted) - set(Armed.__dataclass_fields__):
        raise Misarmed(f"Unknown field: {', '.join(sorted(map(str, unknown)))}.")
    provider, kind, path = wanted.get("provider"), wanted.get("kind"), wanted.get("path")
    if provider not in list(providers):
        raise Misarmed(f"provider must be one of: {', '.join(sorted(providers))}.")
    if kind not in list(Kind):
        raise Misarmed(f"kind must be one of: {', '.join(Kind)}.")
    if path is not None and not (isinstance(path, str) and path.startswith("/")):
        raise Misarmed("path must begin with a slash; it is the beginning of the path after the provider's prefix.")
    times, probability = wanted.get("times"), wanted.get("probability")
    if times is not None and probability is not None:
        raise Misarmed("Give times or probability, not both.")
    if times is not None and not (type(times) is int and 1 <= times <= MOST_TIMES):
        raise Misarmed(f"times must be a whole number from 1 to {MOST_TIMES}.")
    if probability is not None and not (_is_number(probability) and 0 < probability <= 1):
        raise Misarmed("probability must be a number above 0 and at most 1.")
    return Armed(
        provider=str(provider),
        kind=Kind(str(kind)),
        path=path,
        times=1 if times is None and probability is None else times,
        probability=probability,
        seconds=_seconds(wanted.get("seconds"), Kind(str(kind))),
    )


def _seconds(wanted: object, kind: Kind) -> float | None:
    if wanted is None:
        return None
    least, most = {
        Kind.THROTTLE: (0.0, LONGEST_RETRY_AFTER),
        Kind.CLOCK: (-WRONGEST_CLOCK, WRONGEST_CLOCK),
    }.get(kind, (0.0, LONGEST_WAIT))
    if not (_is_number(wanted) and least <= wanted <= most):
        raise Misarmed(f"seconds must be a number from {least:g} to {most:g}.")
    return float(wanted)


def _is_number(value: object) -> TypeGuard[float]:
    # bool is an int to Python, but true is no number of seconds.
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
