"""Tillside's processes on one machine, for `make run` and for tests: started, watched, stopped."""

from pathlib import Path

BASE = Path(__file__).resolve().parent.parent.parent  # where manage.py is


class CannotStart(Exception):
    """One sentence for the person at the terminal: what is wrong and what to do about it."""
