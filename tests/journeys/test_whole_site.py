"""Every page that links lead to, in a real browser: nothing the policy forbids, no barrier, and room at twice the size.

A page is visited once for each name of its address and each person. What the browser would save as a file is not one.
"""

import re
from collections.abc import Callable
from urllib.parse import urldefrag, urlsplit

import pytest
from django.urls import Resolver404, resolve
from playwright.sync_api import Error

from tests.journeys.conftest import PASSWORD, Visitor
from tests.journeys.test_admin import LISTENS, becomes_an_administrator

JUNG, SHOPPERS = "/m/baeckerei-jung/", "/b/baeckerei-jung/"
# At 200 % a window of 1280 px has room for 640.
SIZES = ({"width": 1280, "height": 800}, {"width": 640, "height": 400}, {"width": 320, "height": 640})
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "object-src 'none'",
}


class Walk:
    """One person's way over the site, from page to page by its links. `met` are the names of the addresses seen."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor, self.page = visitor, visitor.page
        self.page.add_init_script(LISTENS)
        self.met: dict[str, str] = {}
        self.wrong: list[str] = []

    def goes(self, *starts: str) -> None:
        ahead = list(starts)
        while ahead:
            path = ahead.pop(0)
            name = name_of(path)
            if name is None or name in self.met:
                continue
            self.met[name] = path
            ahead += self._visits(path)
        assert self.wrong == [], "\n".join(self.wrong)

    def _visits(self, path: str) -> list[str]:
        try:
            answer = self.page.goto(self.visitor.stack.url + path)
        except Error as error:
            if "Download is starting" not in error.message:
                raise
            return []
        assert answer is not None
        self._looks(path, answer.status, answer.all_headers())
        return [urldefrag(each).url for each in self.page.eval_on_selector_all("a[href]", LINKS)]

    def _looks(self, path: str, status: int, headers: dict[str, str]) -> None:
        if status != 200:
            self.wrong.append(f"{path}: {status}")
            return
        missing = POLICY - {each.strip() for each in headers.get("content-security-policy", "").split(";")}
        if missing:
            self.wrong.append(f"{path}: the policy lacks {missing}")
        if "no-store" not in headers.get("cache-control", ""):
            self.wrong.append(f"{path}: may be kept by whoever hands it on")
        for size in SIZES:
            self.page.set_viewport_size(size)
            self._tries(path, size["width"], self.visitor.has_no_sideways_scroll)
        self.page.set_viewport_size(SIZES[0])
        self._tries(path, SIZES[0]["width"], self.visitor.finds_no_barrier)

    def _tries(self, path: str, width: int, look: Callable[[], None]) -> None:
        try:
            look()
        except AssertionError as wrong:
            self.wrong.append(f"{path} at {width} px: {wrong}")


LINKS = "links => links.filter(a => a.origin === location.origin).map(a => a.pathname + a.search)"


def name_of(path: str) -> str | None:
    """The name of an address of ours, or nothing for a file."""
    try:
        return resolve(urlsplit(path).path).view_name
    except Resolver404:
        return None


def signs_in(visitor: Visitor, who: str) -> None:
    """Wherever that leads: Olivia has several merchants to choose from."""
    visitor.opens("/accounts/login/")
    visitor.types("Email", f"{who}@example.com")
    visitor.types("Password", PASSWORD)
    visitor.presses("Enter")
    visitor.page.wait_for_url(re.compile("/(m|merchants)/"))


@pytest.mark.parametrize("who", ["olivia", "alice"])
def test_every_page_the_staff_can_walk_to_is_sound(visitor: Visitor, who: str) -> None:
    signs_in(visitor, who)
    walk = Walk(visitor)

    walk.goes(JUNG, "/account/", "/merchants/")

    expected = {"desk", "operations", "cards", "attention", "customers", "account", "choose"}
    if who == "olivia":
        expected |= {"settings", "people", "invite", "roles", "limits", "tills", "trail", "outbox", "connection"}
        expected |= {"balance_settings", "balance_tries", "balance_poster", "balance_snippets", "balance_page"}
    assert expected <= walk.met.keys(), expected - walk.met.keys()


def test_every_page_of_the_administration_is_sound(visitor: Visitor) -> None:
    becomes_an_administrator(visitor)
    walk = Walk(visitor)

    walk.goes("/admin/", "/on-call/")

    assert {"admin:index", "admin:ledger_operation_changelist", "on_call", "switches"} <= walk.met.keys(), walk.met


def test_every_page_before_signing_in_is_sound(visitor: Visitor) -> None:
    walk = Walk(visitor)

    walk.goes("/accounts/login/", "/accounts/sign-up/", "/accounts/reset/")

    assert {"account_login", "account_signup", "account_reset_password"} <= walk.met.keys()


def test_the_public_page_and_its_answer_are_sound_for_nobody_signed_in(visitor: Visitor) -> None:
    visitor.opens(SHOPPERS)
    visitor.types("Card number, or its last 5 characters", "6280390000012345")
    visitor.types("PIN or password on the card", "1234")
    visitor.clicks("Show the balance")
    visitor.sees("€42.00", within=30)
    walk = Walk(visitor)

    walk.goes(urlsplit(visitor.page.url).path)

    assert walk.met.keys() == {"balance_page", "balance_answer"}


# ---- Without a mouse ----------------------------------------------------------------------------------------------
FOCUSED = """() => {
    const at = document.activeElement;
    const label = at.labels && at.labels[0] ? at.labels[0].innerText : '';
    return (at.getAttribute('aria-label') || label || at.innerText || at.value || '').trim();
}"""
# The ring may be drawn around what belongs together, such as the scan box with its button.
RINGED = """() => {
    for (let at = document.activeElement; at && !at.matches('main, body'); at = at.parentElement) {
        const drawn = getComputedStyle(at);
        if (drawn.outlineStyle !== 'none' || drawn.boxShadow !== 'none') return true;
    }
    return false;
}"""


def tabs_to(visitor: Visitor, name: str) -> None:
    """Press Tab until `name` has the focus, which has to be seen wherever it stands."""
    for _ in range(80):
        if visitor.page.evaluate(FOCUSED) == name:
            assert visitor.page.evaluate(RINGED), f"nobody sees that {name} has the focus"
            return
        visitor.page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {name} on {visitor.page.url}")


def test_from_signing_in_to_the_receipt_without_a_mouse(visitor: Visitor) -> None:
    keyboard = visitor.page.keyboard
    visitor.opens("/")
    tabs_to(visitor, "Email")
    keyboard.type("alice@example.com")
    tabs_to(visitor, "Password")
    keyboard.type(PASSWORD)
    keyboard.press("Enter")
    visitor.page.wait_for_url("**/m/**")

    tabs_to(visitor, "Skip to the content")
    tabs_to(visitor, "Connection")
    keyboard.type("PayWizard")
    tabs_to(visitor, "Card number")
    keyboard.type("914639000000041")
    keyboard.press("Enter")
    visitor.page.wait_for_url("**/cards/**")
    visitor.sees("10,000.00", within=20)
    tabs_to(visitor, "Amount")
    keyboard.type("1250")
    keyboard.press("Enter")
    visitor.sees("Take $12.50 from card")
    tabs_to(visitor, "Take $12.50")
    keyboard.press("Enter")
    visitor.sees("New balance", within=20)
    tabs_to(visitor, "Print receipt")
    keyboard.press("Enter")
    visitor.page.wait_for_url("**/receipt/")
    visitor.sees("$12.50")
