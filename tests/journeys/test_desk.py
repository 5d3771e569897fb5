"""The desk, the search over it and the keys: a manager's morning and a cashier's keyboard, in both languages."""

import pytest

from tests.journeys.test_till import scans

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DESK = "/m/baeckerei-jung/"
CARD = "914639000000990"


def looks_right(visitor) -> None:
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()


def palette(visitor):
    return visitor.page.locator("#palette[open]")


def types_into_the_search(visitor, text: str) -> None:
    visitor.page.locator("#palette[open] [data-finder]:focus").wait_for()
    # As fast hands do: all letters in one instant would be over before the box that just came listens.
    visitor.page.keyboard.type(text, delay=40)
    visitor.page.locator(f"#found[data-for={text}]").wait_for()


@pytest.mark.parametrize("visitor", [{}, {**PHONE, "color_scheme": "dark"}], indirect=True)
def test_a_manager_opens_what_a_number_counts_and_finds_everything_by_the_search(visitor):
    visitor.signs_in("milan")
    looks_right(visitor)
    visitor.page.locator(".needs a").first.click()
    visitor.page.wait_for_url("**/attention/?only=unclear")
    looks_right(visitor)
    visitor.opens(DESK)
    visitor.page.locator(".needs a").last.click()
    visitor.page.wait_for_url("**/settings/?only=paused")
    looks_right(visitor)

    visitor.clicks("Search", "link")
    palette(visitor).wait_for()
    looks_right(visitor)
    types_into_the_search(visitor, "audit")
    looks_right(visitor)
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/settings/trail/")

    visitor.opens(f"{DESK}search/")
    looks_right(visitor)
    visitor.page.get_by_role("searchbox").fill("alice")
    visitor.presses("Enter")
    visitor.sees("Alice Sommer")
    visitor.page.locator(".finder button:enabled").wait_for(timeout=9000)  # before it is given up, after ten seconds
    assert "alice" not in visitor.page.url.lower()
    looks_right(visitor)


def test_the_keyboard_is_enough_and_its_letters_can_be_switched_off(visitor):
    visitor.signs_in("alice")
    visitor.presses("Escape")  # out of the scan box
    visitor.presses("?")
    palette(visitor).wait_for()
    visitor.sees("Show these keys")
    looks_right(visitor)
    map_of_keys = visitor.page.locator("#palette-body").bounding_box()
    assert visitor.page.get_by_role("heading", name="Keyboard").bounding_box()["y"] >= map_of_keys["y"]  # its beginning
    assert visitor.page.get_by_role("button", name="Close").bounding_box()["y"] < 800
    visitor.presses("Escape")
    palette(visitor).wait_for(state="detached")

    visitor.presses("g")
    visitor.page.wait_for_timeout(250)  # as a hand does: faster ones are a scanner's
    visitor.presses("a")
    visitor.page.wait_for_url("**/attention/")

    visitor.presses("Control+k")
    types_into_the_search(visitor, "desk")
    visitor.presses("ArrowDown")
    visitor.presses("Enter")
    visitor.page.wait_for_url(f"**{DESK}")

    scans(visitor, CARD)
    visitor.presses("Escape")
    visitor.presses("u")
    visitor.page.locator(".tabs [aria-current=true]").get_by_text("Add money").wait_for()

    visitor.opens(f"{DESK}keys/")
    visitor.clicks("Switch single letters off")
    visitor.sees("Single letters do nothing now.")
    looks_right(visitor)
    visitor.presses("g")
    visitor.page.wait_for_timeout(250)
    visitor.presses("a")
    visitor.page.wait_for_timeout(500)
    assert visitor.page.url.endswith("/keys/")
    visitor.presses("Control+k")
    palette(visitor).wait_for()
    visitor.presses("Escape")
    visitor.clicks("Switch single letters on")
    visitor.sees("Single letters do something again.")


@pytest.mark.parametrize("visitor", [{"java_script_enabled": False}], indirect=True)
def test_without_a_script_the_search_and_the_keys_are_pages(visitor):
    visitor.signs_in("milan")
    visitor.clicks("Search", "link")
    visitor.page.get_by_role("searchbox").fill("limits")
    visitor.page.locator(".finder button").click()
    visitor.sees("Limits")
    assert "limits" not in visitor.page.url
    visitor.opens(f"{DESK}keys/")
    visitor.sees("Show these keys")


@pytest.mark.parametrize("visitor", [{"locale": "de-DE"}], indirect=True)
def test_a_receipts_text_leads_to_its_operation_in_german(visitor):
    visitor.opens("/")
    visitor.page.locator("[name=login]").fill("alice@example.com")
    visitor.page.locator("[name=password]").fill("look-around-2026")
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/m/**")
    visitor.sees("sind zu klären")
    looks_right(visitor)
    visitor.page.get_by_label("Verbindung", exact=True).select_option(label="PayWizard · Testumgebung")
    visitor.page.locator("#scan-number").fill("914639000000991")
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/cards/**")
    visitor.page.locator("#reading:not([data-pending])").wait_for()
    visitor.page.locator("#id_amount").fill("1250")
    visitor.presses("Enter")
    visitor.page.locator("[data-confirm-button]").click()
    visitor.page.wait_for_url("**/operations/**")
    page = visitor.page.url
    reference = page.rstrip("/").rsplit("/", 1)[1].replace("-", "")

    visitor.opens(DESK)
    visitor.page.locator("#scan-number").fill(reference)
    visitor.presses("Enter")
    visitor.page.wait_for_url(page)
    looks_right(visitor)

    visitor.page.locator("#scan-number").fill("https://example.com/x")
    visitor.presses("Enter")
    visitor.sees("Das ist eine Webadresse (example.com), keine Karte.")
    looks_right(visitor)
