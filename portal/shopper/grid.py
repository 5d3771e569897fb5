"""When an answer may be seen: at the next multiple of a step after it was asked for, and not before 1.5 seconds.

Found, not found and never asked then take the same time to look at. The step is half a second, or what 95 of 100
answers of the last hour took, where that is longer; it is fixed when the try is taken in. Nobody waits on the server:
the page asks again when it is time.
"""

import math
from datetime import datetime, timedelta

LEAST_STEP_MS, MOST_STEP_MS = 500, 10_000
FLOOR_MS = 1_500


def step_of(slow_ms: int | None) -> int:
    """The step in milliseconds, where 95 of 100 answers took at most `slow_ms`."""
    return min(max(slow_ms or 0, LEAST_STEP_MS), MOST_STEP_MS)


def seen_at(asked_at: datetime, step_ms: int, *, ended_at: datetime) -> datetime:
    """The first moment on the grid at which an answer that was there at `ended_at` may be seen."""
    elapsed = (ended_at - asked_at) / timedelta(milliseconds=1)
    return asked_at + timedelta(milliseconds=math.ceil(max(elapsed, FLOOR_MS) / step_ms) * step_ms)


def next_look(asked_at: datetime, step_ms: int, *, now: datetime) -> int:
    """In how many milliseconds a page should ask again: at the next moment of the grid, a little after."""
    following = seen_at(asked_at, step_ms, ended_at=now)
    if following <= now:
        following += timedelta(milliseconds=step_ms)
    return math.ceil((following - now) / timedelta(milliseconds=1)) + 20
