"""The search language of secuconnect's lists: `q`, `sort`, `count` and `offset`.

    property:condition     card.cardnumber:9276004424644352, merchantRef:"A 1", created:[2026-01-01 TO 2026-02-01]

Documented: dots lead into objects, `?` and `*` stand for any letter or letters, `[a TO b]` for a range, and conditions
are joined by AND, OR, NOT and parentheses. ASSUMED: case counts, quotes keep a text together and make its `?` and `*`
plain, and one element of a list that fits is enough.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]
Test = Callable[[Document], bool]

LONGEST = 2000
MOST = 1000
TOKEN = re.compile(
    r"""\s*(?:
        (?P<open>\() | (?P<close>\)) | (?P<word>(?:AND|OR|NOT)\b)
        | (?P<name>[A-Za-z_][\w.]*)\s*:\s*
          (?: \[\s*(?P<least>\S+)\s+TO\s+(?P<most>[^\s\]]+)\s*\] | "(?P<quoted>[^"]*)" | (?P<plain>[^\s()"\[\]]+) )
    )""",
    re.VERBOSE,
)


class Unreadable(ValueError):
    """What is asked for is not in this language; its text says where."""


def read(query: str) -> Test:
    """What a document must be like. Raises Unreadable."""
    if len(query) > LONGEST:
        raise Unreadable("q is too long")
    tokens = _tokens(query)
    try:
        test = _either(tokens)
    except RecursionError:
        raise Unreadable("q is nested too deeply") from None
    if tokens:
        raise Unreadable("q goes on after its end")
    return test


def must_equal(query: str, name: str) -> str | None:
    """The one text that `name` must have, where nothing else is asked for: so that nobody reads all there is."""
    tokens = _tokens(query)
    if len(tokens) != 1 or tokens[0]["name"] != name or tokens[0]["least"] is not None:
        return None
    if tokens[0]["quoted"] is not None:
        return str(tokens[0]["quoted"])
    plain = str(tokens[0]["plain"] or "")
    return None if re.search("[?*]", plain) else plain


def _tokens(query: str) -> list[dict[str, str | None]]:
    found, at = [], 0
    while query[at:].strip():
        match = TOKEN.match(query, at)
        if match is None:
            raise Unreadable(f"q cannot be read from its character {at + 1} on")
        found.append(match.groupdict())
        at = match.end()
    return found


def _either(tokens: list[dict[str, str | None]]) -> Test:
    tests = [_all(tokens)]
    while tokens and tokens[0]["word"] == "OR":
        tokens.pop(0)
        tests.append(_all(tokens))
    return lambda document: any(test(document) for test in tests)


def _all(tokens: list[dict[str, str | None]]) -> Test:
    tests = [_one(tokens)]
    while tokens and tokens[0]["word"] == "AND":
        tokens.pop(0)
        tests.append(_one(tokens))
    return lambda document: all(test(document) for test in tests)


def _one(tokens: list[dict[str, str | None]]) -> Test:
    if not tokens:
        raise Unreadable("q ends too early")
    token = tokens.pop(0)
    if token["word"] == "NOT":
        refused = _one(tokens)
        return lambda document: not refused(document)
    if token["open"]:
        inner = _either(tokens)
        if not tokens or not tokens.pop(0)["close"]:
            raise Unreadable("a parenthesis of q is not closed")
        return inner
    if token["name"] is None:
        raise Unreadable("a condition is missing in q")
    condition, steps = _condition(token), token["name"].split(".")
    return lambda document: any(condition(value) for value in _values(document, steps))


def _condition(token: dict[str, str | None]) -> Callable[[object], bool]:
    least, most, quoted = token["least"], token["most"], token["quoted"]
    if least is not None and most is not None:
        return lambda value: _between(least, value, most)
    if quoted is not None:
        return lambda value: _text(value) == quoted
    plain = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in str(token["plain"]))
    wanted = re.compile(plain, re.DOTALL)
    return lambda value: bool(wanted.fullmatch(_text(value)))


def _between(least: str, value: object, most: str) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        if not all(re.fullmatch(r"\*|-?[0-9]{1,15}", end) for end in (least, most)):
            return False
        return (least == "*" or int(least) <= value) and (most == "*" or value <= int(most))
    text = _text(value)
    return (least == "*" or least <= text) and (most == "*" or text <= most)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _values(found: Any, steps: list[str]) -> Iterator[object]:
    if isinstance(found, list):
        for each in found:
            yield from _values(each, steps)
    elif not steps:
        yield found
    elif isinstance(found, Mapping) and steps[0] in found:
        yield from _values(found[steps[0]], steps[1:])


def page(documents: list[Document], asked: Mapping[str, str]) -> dict[str, object]:
    """One page of a list: {"count": how many there are, "data": those that were asked for}. Raises Unreadable."""
    if asked.get("q"):
        test = read(asked["q"])
        documents = [each for each in documents if test(each)]
    if "sort" in asked:
        name, _, way = asked["sort"].partition(":")
        if not re.fullmatch(r"[\w.]+", name) or way not in {"asc", "desc", ""}:
            raise Unreadable("sort must be a field and asc or desc")
        steps = name.split(".")
        documents = sorted(documents, key=lambda each: _text(next(_values(each, steps), "")), reverse=way == "desc")
    offset, count = _whole(asked, "offset", 0), _whole(asked, "count", 10)
    shown = documents[offset : offset + count]
    if "fields" in asked:
        names = {"object", "id", *(name.strip() for name in asked["fields"].split(","))}
        shown = [{name: value for name, value in each.items() if name in names} for each in shown]
    return {"count": len(documents), "data": shown}


def _whole(asked: Mapping[str, str], name: str, usual: int) -> int:
    text = asked.get(name, "")
    if not text:
        return usual
    if not re.fullmatch("[0-9]{1,9}", text) or (name == "count" and int(text) > MOST):
        raise Unreadable(f"{name} must be a whole number")
    return int(text)
