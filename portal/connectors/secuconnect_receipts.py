"""The receipt in a Smart Transaction of secuconnect, as lines to print.

From the provider's document: its four kinds of items, and that a space has no value. From its public pages: captions
and decorations.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from portal.connectors.redaction import clean
from portal.connectors.results import LONGEST_LINE, Align, ReceiptLine, first_lines

Data = Mapping[str, Any]


def receipt_lines(data: Data, number: str, private: Collection[str] = ()) -> tuple[ReceiptLine, ...]:
    """The provider's receipt, the card by its last four and none of the `private` texts in it; what is not known in it
    is passed over.

    German, and for people: no amount is ever read out of it.
    """
    items = data.get("receipt")
    return first_lines(_lines(items if isinstance(items, list) else [], _masking(number, private)))


def _lines(items: list[Any], mask: Callable[[str], str]) -> Iterator[ReceiptLine]:
    for item in items:
        if not isinstance(item, dict):
            continue
        value = item.get("value")  # a space has none
        parts = value if isinstance(value, dict) else {}
        decorations = _decorations(parts.get("decoration"))
        important = "important" in decorations
        match item.get("type"):
            case "separator":
                yield ReceiptLine.separator(mask(_text(parts, "caption")))
            case "name-value":
                yield ReceiptLine.pair(mask(_text(parts, "name")), mask(_text(parts, "value")), important=important)
            case "textline":
                align = next((each for word, each in _ALIGNED.items() if word in decorations), Align.LEFT)
                yield ReceiptLine.of_text(mask(_text(parts, "text")), important=important, align=align)
            case "space":
                yield ReceiptLine.space()


_ALIGNED: Mapping[str, Align] = {f"align-{each}": each for each in Align}


def _decorations(listed: object) -> frozenset[str]:
    """In the spelling of today: the provider's older clients write align_left."""
    words = listed if isinstance(listed, list) else []
    return frozenset(word.replace("_", "-") for word in words if isinstance(word, str))


def _masking(number: str, private: Collection[str]) -> Callable[[str], str]:
    """Foreign text made fit to be kept: the card's number, also in groups, by its last four, and of what was told of a
    person nothing that stands there as a word."""
    grouped = re.compile("[ -]?".join(map(re.escape, number))) if number else None
    said = sorted(filter(None, private), key=len, reverse=True)
    told = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, said))})(?!\w)", re.IGNORECASE) if said else None

    def mask(text: str) -> str:
        if grouped:
            text = grouped.sub(f"•••• {number[-4:]}", text)
        return told.sub("…", text) if told else text

    return mask


def _text(parts: Data, name: str) -> str:
    text = parts.get(name)
    return clean(text, limit=LONGEST_LINE) if isinstance(text, str) else ""
