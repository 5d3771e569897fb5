"""A table as a file that every spreadsheet reads as the text it is (RFC 4180; OWASP ASVS 1.2.10)."""

import csv
import io
from collections.abc import Iterable

# Spreadsheets take UTF-8 without this mark at its beginning for another alphabet.
MARK = "\ufeff"
# What a spreadsheet would take for a formula. A quote before it makes it text.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def line(cells: Iterable[str]) -> str:
    """One line of the file, with its end."""
    kept = io.StringIO()
    csv.writer(kept, quoting=csv.QUOTE_ALL).writerow([_as_text(cell) for cell in cells])
    return kept.getvalue()


def _as_text(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
