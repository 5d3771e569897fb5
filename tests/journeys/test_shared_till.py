"""A shop's one browser and the people at it: PIN, lock, switch, and the end of a shift."""

import re
from urllib.parse import urlsplit

import pytest

PIN = "3951"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
TABLET = {"viewport": {"width": 1024, "height": 768}, "has_touch": True}
SCREENS = [{}, {"color_scheme": "dark"}, TABLET, {**PHONE, "color_scheme": "dark"}]


def opens_till(visitor, name: str) -> None:
    """As Milan, the manager, does it in the shop in the morning."""
    visitor.signs_in("milan")
    visitor.opens("/m/baeckerei-jung/settings/tills/")
    visitor.has_no_sideways_scroll()
    visitor.types("Name of the till", name)
    visitor.clicks("Make it a till")
    visitor.page.wait_for_url("**/till/**")
    visitor.sees(f"This browser is now the till {name}.")


def chooses(visitor, name: str) -> None:
    other = visitor.page.get_by_role("link", name="Somebody else")
    if other.count():
        other.click()
    visitor.page.get_by_role("link", name=name).click()
    visitor.page.get_by_role("heading", name=name).wait_for()


def unlocks(visitor, name: str, *, shift: str = "Without a shift") -> None:
    chooses(visitor, name)
    visitor.page.locator("#id_pin").fill(PIN)
    visitor.clicks("Unlock")
    visitor.page.wait_for_url("**/m/**")
    if visitor.page.url.endswith("/shift/"):
        visitor.clicks(shift)
        visitor.page.wait_for_url(re.compile("/m/[a-z-]+/$"))


def test_a_pin_on_the_number_pad_opens_the_till_and_starts_the_shift(visitor):
    opens_till(visitor, "Pad till")
    visitor.finds_no_barrier()
    chooses(visitor, "Alice Sommer")
    visitor.finds_no_barrier()

    for digit in "3952":
        visitor.page.locator("[data-pad]").get_by_role("button", name=digit, exact=True).click()
    visitor.clicks("Unlock")
    visitor.sees("That did not open the till.")
    visitor.finds_no_barrier()
    for digit in PIN:
        visitor.page.locator("[data-pad]").get_by_role("button", name=digit, exact=True).click()
    visitor.clicks("Unlock")

    visitor.clicks("Start the shift")
    visitor.page.wait_for_url(re.compile("/m/baeckerei-jung/$"))
    assert "Alice Sommer" in visitor.page.locator(".at-till").inner_text()
    visitor.sees("Shift since")


def test_a_scanners_enter_unlocks_nothing_and_is_no_try(visitor):
    opens_till(visitor, "Scanner till")
    chooses(visitor, "Alice Sommer")
    tries = []
    visitor.page.on("request", lambda request: tries.append(request.url) if request.method == "POST" else None)

    visitor.page.locator("#id_pin").focus()
    visitor.page.keyboard.type("6280390000000001\n", delay=5)
    visitor.page.wait_for_timeout(300)

    assert tries == []
    assert visitor.page.input_value("#id_pin") == ""


def test_the_lock_key_hides_the_customer_and_keeps_what_was_begun_for_the_same_person(visitor):
    opens_till(visitor, "Key till")
    unlocks(visitor, "Alice Sommer")
    visitor.page.get_by_label("Connection", exact=True).select_option(label="PayWizard · sandbox")
    visitor.types("Card number", "914639000000930")
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/cards/**")
    visitor.page.locator("#reading:not([data-pending])").wait_for()
    card = urlsplit(visitor.page.url).path
    visitor.types("Amount", "12.34")

    visitor.presses("F8")
    visitor.page.wait_for_url("**/till/")
    assert "0930" not in visitor.page.content()
    visitor.page.go_back()
    visitor.page.wait_for_url("**/till/**")
    assert "0930" not in visitor.page.content()
    unlocks(visitor, "Alice Sommer")
    visitor.page.wait_for_url("**/cards/**")
    assert visitor.page.input_value("#id_amount") == "12.34"

    visitor.clicks("Lock or switch")
    visitor.page.wait_for_url("**/till/")
    unlocks(visitor, "Milan Becker")
    assert urlsplit(visitor.page.url).path == "/m/baeckerei-jung/"
    visitor.opens(card)
    visitor.page.locator("#id_amount").wait_for()
    assert visitor.page.input_value("#id_amount") == ""
    visitor.opens("/m/baeckerei-jung/settings/")
    visitor.sees("A PIN does not open this page.")


def test_a_till_nobody_touches_locks_itself(visitor):
    visitor.page.clock.install()
    opens_till(visitor, "Lonely till")
    unlocks(visitor, "Alice Sommer")

    visitor.page.clock.fast_forward(30_000)
    with visitor.page.expect_response("**/till/awake/") as told:
        visitor.presses("Shift")
    assert told.value.status == 204
    visitor.page.clock.fast_forward(100_000)
    visitor.page.wait_for_timeout(300)
    assert visitor.page.url.endswith("/m/baeckerei-jung/")
    visitor.page.clock.fast_forward(30_000)

    visitor.page.wait_for_url("**/till/")
    visitor.sees("Alice Sommer")


def test_a_shift_ends_with_its_totals_on_paper(visitor):
    opens_till(visitor, "Shift till")
    unlocks(visitor, "Olivia Jung", shift="Start the shift")
    visitor.page.get_by_label("Connection", exact=True).select_option(label="PayWizard · sandbox")
    visitor.types("Card number", "914639000000931")
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/cards/**")
    visitor.page.locator("#reading:not([data-pending])").wait_for()
    visitor.types("Amount", "12.50")
    visitor.presses("Enter")
    visitor.page.locator("[data-confirm-button]").click()
    visitor.page.wait_for_url("**/operations/**")
    visitor.sees("New balance")

    visitor.page.get_by_role("link", name=re.compile("Shift since")).click()
    visitor.sees("Payments")
    visitor.finds_no_barrier()
    visitor.types("Note for whoever comes next", "Paper is low.")
    visitor.page.locator("main").get_by_role("button", name="End the shift").click()

    visitor.page.wait_for_url("**/shifts/**")
    paper = visitor.page.locator(".paper").inner_text()
    assert "$12.50" in paper
    assert "Paper is low." in paper
    visitor.finds_no_barrier()
    visitor.page.emulate_media(media="print")
    assert not visitor.page.get_by_role("link", name="All shifts").is_visible()
    visitor.page.emulate_media(media="screen")


@pytest.mark.parametrize("visitor", [{"java_script_enabled": False}], indirect=True)
def test_without_javascript_a_till_locks_and_unlocks_the_same(visitor):
    opens_till(visitor, "Plain till")
    unlocks(visitor, "Alice Sommer")
    assert 'http-equiv="refresh"' in visitor.page.content()

    visitor.clicks("Lock or switch")

    visitor.page.wait_for_url("**/till/")
    unlocks(visitor, "Milan Becker")
    visitor.page.get_by_text("Milan Becker").first.wait_for()


@pytest.mark.parametrize("visitor", SCREENS, indirect=True)
def test_the_shared_tills_pages_stand_on_any_screen_in_light_and_dark(visitor):
    is_dark = visitor.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    opens_till(visitor, f"Screen {visitor.page.viewport_size['width']} {is_dark}")
    visitor.has_no_sideways_scroll()
    for page in ("/till/?all", "/till/"):
        visitor.opens(page)
        visitor.has_no_sideways_scroll()
        visitor.finds_no_barrier()
    unlocks(visitor, "Alice Sommer", shift="Start the shift")
    for page in ("", "shift/", "shifts/"):
        visitor.opens(f"/m/baeckerei-jung/{page}")
        visitor.has_no_sideways_scroll()
        visitor.finds_no_barrier()
