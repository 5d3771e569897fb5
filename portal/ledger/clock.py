"""What time it is, for everything the ledger writes down. The demo's history is made with another clock.

Leases and pauses are not measured with it: they go by the database's clock, which all workers share.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from django.utils import timezone

_clock: ContextVar[Callable[[], datetime]] = ContextVar("clock", default=timezone.now)


def now() -> datetime:
    """The time to write down, aware."""
    return _clock.get()()


@contextmanager
def set_to(clock: Callable[[], datetime]) -> Iterator[None]:
    """Within this block `now()` asks `clock`."""
    before = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(before)
