"""A provider's JSON, read so strictly that two readers cannot disagree about it."""

import json
from decimal import Decimal
from typing import Any, NoReturn, TypeGuard

from portal.connectors.failures import Unclear, unreadable


def read_json(body: bytes) -> object:
    """The document. Numbers come as int or Decimal, never float.

    Raises Unclear (UNREADABLE) for anything but UTF-8 without byte order mark, duplicate keys, NaN and infinities,
    numbers of over 64 characters, lone surrogates and bottomless nesting.
    """
    try:
        document: object = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_int=lambda digits: int(_short(digits)),
            parse_float=lambda digits: Decimal(_short(digits)),
        )
        _encodable(document)
    except (ValueError, ArithmeticError, RecursionError):
        # `from None`: a decoding error carries the document, and with it perhaps a secret, into the
        # traceback.
        raise unreadable() from None
    return document


def read_object(body: bytes) -> dict[str, Any]:
    """The object a body is, empty where it is none: an error page, perhaps, and HTTP alone decides."""
    try:
        document = read_json(body)
    except Unclear:
        return {}
    return document if isinstance(document, dict) else {}


def is_whole(number: object) -> TypeGuard[int]:
    """Whether it is an integer; True, which is 1 to Python, is none."""
    return isinstance(number, int) and not isinstance(number, bool)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate key")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError("not a number")


def _short(digits: str) -> str:
    if len(digits) > 64:
        raise ValueError("number too long")
    return digits


def _encodable(document: object) -> None:
    todo = [document]
    while todo:
        part = todo.pop()
        if isinstance(part, str):
            part.encode("utf-8")  # a lone surrogate has no bytes: UnicodeEncodeError is a ValueError
        elif isinstance(part, dict):
            todo += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            todo += part
