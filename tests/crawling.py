"""A visitor who asks any address and leaves no trace, and the forms that stand on pages."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.test import Client
from django.urls import resolve

from portal.merchants.models import Person
from tests.addresses import Shop, addresses
from tests.conftest import typed_just_now

ADDRESSES = addresses()
STAFF = [each for each in ADDRESSES if each.below_merchant]
METHODS = ("GET", "HEAD", "POST")


@dataclass(frozen=True)
class Answer:
    """What came back, read to its end."""

    path: str
    status: int
    text: str
    location: str
    request_id: str


class Visitor:
    """Somebody with a browser, whose session has begun. Nothing a visit does stays: the next one finds everything as it
    was, and need not begin it again."""

    def __init__(self, who: str, person: Person | None = None) -> None:
        self.who = who
        self.signed_in = person is not None
        self.browser = Client(HTTP_HOST="localhost")
        if person is not None:
            self.browser.force_login(person)
            typed_just_now(self.browser, person, with_factor=True)
            self.browser.get("/account/")
        self._cookies = self.browser.cookies.output(header="", sep="")

    def asks(self, method: str, path: str, data: Any = None, **more: Any) -> Answer:
        """The answer, or an assertion that names the address where the site broke."""
        self.browser.cookies.clear()
        self.browser.cookies.load(self._cookies)
        before = transaction.savepoint()
        try:
            answer = getattr(self.browser, method.lower())(path, data, **more)
            text = answer.getvalue().decode()
        except Exception as broken:
            raise AssertionError(f"{method} {path} as {self.who} broke: {broken!r}") from broken
        finally:
            transaction.set_rollback(False)
            transaction.savepoint_rollback(before)
        not_ready = path == "/readyz" and answer.status_code == 503  # no worker is at work here
        assert answer.status_code < 500 or not_ready, f"{method} {path} as {self.who}: {answer.status_code}"
        return Answer(
            path, answer.status_code, text, answer.headers.get("Location", ""), answer.headers["X-Request-ID"]
        )


class Findings:
    """All that is wrong, said at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def check(self, right: bool, sentence: str) -> None:
        if not right:
            self.lines.append(sentence)

    def none(self) -> None:
        assert not self.lines, "\n" + "\n".join(self.lines)


_accepted: dict[str, list[str]] = {}


def accepted(visitor: Visitor, path: str) -> list[str]:
    """The methods this address takes at all. That stands in the code and not in the data: each is asked once a run."""
    route = resolve(path).route
    if route not in _accepted:
        _accepted[route] = [method for method in METHODS if visitor.asks(method, path).status != 405]
    return _accepted[route]


def told_apart(one: tuple[int, str], other: tuple[int, str]) -> str:
    """How two answers differ: the statuses, or the first piece of the page."""
    if one[0] != other[0]:
        return f"{one[0]} and {other[0]}"
    lines = ((a, b) for a, b in zip(one[1].splitlines(), other[1].splitlines(), strict=False) if a != b)
    return "{!r} and {!r}".format(*next(lines, ("one is longer", "the other shorter")))


def essence(answer: Answer, *own: str) -> tuple[int, str]:
    """Status and body without the request's id, the form's token and what was asked for."""
    text = re.sub("[0-9A-Za-z]{64}", "", answer.text)  # tokens of forms
    text = re.sub(r'value="[0-9a-f]{8}-[0-9a-f-]{27}"', "", text)  # keys that a form mints for itself
    for each in (answer.request_id, *own):
        text = text.replace(each, "…")
    return answer.status, text


# ---- Forms -----------------------------------------------------------------------------------------------------
TYPED = {"number": "914639258868500", "amount": "1.00", "points": "1", "reason": "They told us by phone."}


Pairs = list[tuple[str, str]]
Form = tuple[str, Pairs, Pairs]


class Forms(HTMLParser):
    """The post forms of a page: where each goes, and what its fields hold. `chosen` are the values that were offered
    or put in by us; what a person types is filled in."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.forms: list[Form] = []
        self.asked_for: set[str] = set()  # what forms that only search put into the query
        self._select: str | None = None
        self._searches = self._pressed = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        name = given.get("name", "")
        if tag == "form":
            self._searches, self._select = given.get("method", "").lower() != "post", None
            if not self._searches:
                self.forms.append((given.get("action") or self.path, [], []))
                self._pressed = False
        if self._searches and name:
            self.asked_for.add(name)
        if self._searches or not self.forms:
            return
        _action, typed, chosen = self.forms[-1]
        if tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            chosen.append((self._select, given.get("value", "")))
        elif tag in ("input", "button") and name and name != "csrfmiddlewaretoken":
            kind = "submit" if tag == "button" else given.get("type", "text")
            if kind == "submit" and self._pressed:
                return  # one button is pressed, not all of them
            self._pressed = self._pressed or kind == "submit"
            of_ours = kind in ("hidden", "radio", "checkbox", "submit")
            (chosen if of_ours else typed).append((name, given.get("value", "") or TYPED.get(name, "")))
        elif tag == "textarea":
            typed.append((name, TYPED.get(name, "x")))

    def different(self) -> list[Form]:
        """The forms, each once: those with the same fields for the same place are one."""
        return list(
            {
                (action, *(name for name, _ in [*typed, *chosen])): (action, typed, chosen)
                for action, typed, chosen in reversed(self.forms)
            }.values()
        )


def forms_on(visitor: Visitor, path: str) -> list[Form]:
    """The forms of a page, of its tabs, and of the second beats that follow from filling them in."""
    page = Forms(path)
    for query in ("", *tabs(visitor, path)):
        page.feed(visitor.asks("GET", path + query).text)
    later = Forms(path)
    for action, typed, chosen in page.different():
        answer = visitor.asks("POST", action, dict([*chosen, *typed]))
        if answer.status == 200:
            later.feed(answer.text)
    return page.different() + later.different()


def tabs(visitor: Visitor, path: str) -> set[str]:
    """The page's own links that differ in the query only."""
    links = re.findall(r'href="([^"]*\?[^"]*)"', visitor.asks("GET", path).text)
    return {f"?{urlsplit(link).query}" for link in links if urlsplit(link).path in ("", path)}


def forms_of(visitor: Visitor, shop: Shop) -> dict[str, list[tuple[str, str]]]:
    """Every post form on any page, by where it goes, with its fields as they would be sent."""
    found: dict[str, list[tuple[str, str]]] = {}
    for address in ADDRESSES:
        path = address.of(shop)
        if "GET" not in accepted(visitor, path):
            continue
        for action, typed, chosen in forms_on(visitor, path):
            names = {name for name, _value in found.setdefault(action, [])}
            found[action] += [pair for pair in [*typed, *chosen] if pair[0] not in names]
    return found
