"""Keeps secrets and unprintable characters out of what we store and show of an exchange."""

import base64
import html
import json
import re
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import quote, quote_plus

SHORT = 3
"""Values up to this length are redacted only where they stand alone: striking every "5" out of a text would
destroy it and, beside the balance shown elsewhere, tell what was struck out."""

# Controls (tab and line breaks excepted), soft hyphen, bidirectional and zero-width marks, line separators,
# lone surrogates, private use, byte order mark, annotation and tag characters: invisible, or able to reorder
# a line. PostgreSQL refuses NUL and surrogates outright.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ue000-\uf8ff\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
_BASE64_SHORTEST = 5  # a shorter stretch of base64 turns up by chance


def printable(text: str) -> str:
    """`text` without characters that cannot be seen or stored; tabs and line breaks stay."""
    return _UNPRINTABLE.sub("", text)


def clean(text: str, *, limit: int = 500) -> str:
    """One line of foreign text, at most `limit` characters, fit to store and (escaped) to show.

    500: long enough for any honest error message, short enough for a table cell.
    """
    return " ".join(printable(text[: limit * 8]).split())[:limit]


class Redactor:
    """Replaces every secret value in a text by ‹its label›, however the value was written.

    Made from `{label: value}`. Found are the plain value, percent- and plus-encoded, JSON- and HTML-escaped
    and base64 forms at any alignment (as inside a Basic header), in either case. Values of up to SHORT
    characters are replaced only as whole words: a whole path segment, query value or JSON string. The result
    is printable().
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._long: list[tuple[str, str]] = []
        self._short: list[tuple[re.Pattern[str], str]] = []
        for label, value in secrets.items():
            if len(value) > SHORT:
                self._long += [(form, label) for form in {*_written(value), *_base64(value)}]
            elif value:
                either = "|".join(re.escape(form) for form in _written(value))
                whole = re.compile(f"(?<![0-9A-Za-z])(?:{either})(?![0-9A-Za-z])")
                self._short.append((whole, label))
        # Longest first, so that a secret that contains another is replaced as a whole.
        self._long.sort(key=lambda pair: len(pair[0]), reverse=True)

    def __call__(self, text: str) -> str:
        text = printable(text)
        # In between, each label is one private-use character (printable() left none), so that no secret can
        # match inside a label that was just put in.
        labels: dict[str, str] = {}

        def mark(label: str) -> str:
            character = chr(0xE000 + len(labels))
            labels[character] = f"‹{label}›"
            return character

        for form, label in self._long:
            if form in text:
                text = text.replace(form, mark(label))
        for whole, label in self._short:
            text = whole.sub(mark(label), text)
        for character, shown in labels.items():
            text = text.replace(character, shown)
        return text


def hide_members(text: str, names: Collection[str]) -> str:
    """A JSON text with the values of the members called `names` (in any case) replaced by ‹name›; an object or a list
    is left, and what is in it is looked at by its own names.

    For what only the answer reveals, such as a token. Works on the text, so also on JSON that was cut off.
    """
    if not names:
        return text
    either = "|".join(re.escape(name) for name in names)
    member = re.compile(rf'("({either})"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^\s,}}\]"{{\[]+)', re.IGNORECASE)
    return member.sub(lambda found: f'{found[1]}"‹{found[2]}›"', text)


def _written(value: str) -> set[str]:
    utf8 = value.encode("utf-8", "replace")
    percent = quote(utf8, safe="")
    escaped = json.dumps(value)[1:-1]
    forms = {
        value,
        percent,
        quote_plus(utf8),
        re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), percent),
        escaped,
        escaped.replace("/", "\\/"),
        json.dumps(value, ensure_ascii=False)[1:-1],
        html.escape(value),
    }
    return {case for form in forms for case in (form, form.lower(), form.upper())}


def _base64(value: str) -> Iterator[str]:
    raw = value.encode("utf-8", "replace")
    for before in range(3):  # bytes before the value, modulo three, decide how it comes out
        coded = base64.b64encode(b"\0" * before + raw).decode()
        # Only the characters made of the value's own bits: 8 bits a byte in, 6 bits a character out.
        own = coded[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]
        if len(own) >= _BASE64_SHORTEST:
            yield own
            yield own.replace("+", "-").replace("/", "_")
