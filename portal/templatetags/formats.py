"""The filters of portal/formats.py, in every template without loading: {{ at|exact }}. Nothing stays nothing."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from django import template
from django.utils import timezone

from portal import formats

register = template.Library()


def _unless_nothing(write: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: "" if value is None or value == "" else write(value)


def iso(at: date | datetime) -> str:
    """2026-11-20T10:14:03+01:00, for the `datetime` of a <time>."""
    return timezone.localtime(at).isoformat(timespec="seconds") if isinstance(at, datetime) else at.isoformat()


for write in (formats.money, formats.points, formats.number, formats.masked, formats.day, formats.weekday,
              formats.clock, formats.clock_exact, formats.in_utc, formats.exact, formats.moment, formats.age,
              iso):  # fmt: skip
    register.filter(write.__name__, _unless_nothing(write))
