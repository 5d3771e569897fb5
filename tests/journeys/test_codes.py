"""Points by a code on the screen: shown, scanned and claimed; cancelled, ended, and one whose answer got lost."""

from io import BytesIO

import pytest
import zxingcpp
from PIL import Image

from tests.conftest import Sandbox
from tests.journeys.test_till import SMALL_PHONE

PHONE = "172826990"  # of a member whom no other journey meets
GERMAN_PHONE = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "color_scheme": "dark",
    "locale": "de-DE",
}


def asks_for_a_code(visitor, typed: str) -> None:
    visitor.page.get_by_label("Amount", exact=True).click()
    visitor.page.keyboard.type(typed, delay=40)
    visitor.page.get_by_label("Another wallet, a card or cash").check()
    visitor.page.locator("#action").get_by_role("button", name="Continue").last.click()
    visitor.sees("Whoever scans it first")
    visitor.sees("by the rule of Revenue Monster.", within=20)
    visitor.finds_no_barrier()


def shows_a_code(visitor, typed: str) -> str:
    """From the desk to a code on the screen; what a telephone reads of it."""
    visitor.clicks("Give points by code", "link")
    visitor.sees("No card and no number")
    asks_for_a_code(visitor, typed)
    visitor.page.locator("[data-confirm-button]").click()
    return scanned(visitor)


def scanned(visitor) -> str:
    """What stands in the code, by its picture."""
    square = visitor.page.locator(".code-square")
    square.wait_for(timeout=20_000)
    found = zxingcpp.read_barcode(Image.open(BytesIO(square.screenshot())))
    assert found is not None, "no telephone could read that"
    return found.text


def cancels(visitor) -> None:
    visitor.clicks("Cancel the code", "link")
    visitor.sees("Whoever scans it then is given nothing.")
    visitor.finds_no_barrier()
    visitor.page.locator("[data-confirm-button]").click()


@pytest.mark.parametrize("visitor", [{}, {**SMALL_PHONE, "color_scheme": "dark"}], indirect=True)
def test_a_customer_scans_the_code_and_the_screen_says_so(visitor):
    visitor.signs_in("alice")
    address = shows_a_code(visitor, "1250")
    visitor.sees("12 points")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    visitor.page.emulate_media(media="print")
    assert scanned(visitor) == address  # on paper, too
    assert not visitor.page.get_by_role("link", name="Next customer").is_visible()
    visitor.page.emulate_media(media="screen")

    telephone = visitor.page.context.new_page()
    telephone.goto(address)
    telephone.get_by_label("Your phone number").fill(PHONE)
    telephone.get_by_role("button", name="Collect").click()
    telephone.get_by_text("12 points collected").wait_for()
    telephone.close()

    visitor.sees("Somebody has claimed it: 12 points for a purchase of", within=20)
    assert not visitor.page.locator(".code-square").count()
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()


def test_a_code_is_cancelled_one_has_ended_and_one_was_never_shown(visitor):
    visitor.signs_in("milan")
    desk = visitor.page.url
    shows_a_code(visitor, "500")
    cancels(visitor)
    visitor.sees("It gives nobody the points", within=20)
    assert not visitor.page.locator(".code-square").count()
    visitor.finds_no_barrier()

    visitor.page.goto(desk)
    address = shows_a_code(visitor, "666")  # the sandbox lets it live for two seconds
    telephone = visitor.page.context.new_page()
    telephone.goto(address)
    while not telephone.get_by_text("Too late").count():
        telephone.wait_for_timeout(200)
        telephone.reload()
    telephone.close()
    visitor.page.bring_to_front()
    cancels(visitor)
    visitor.sees("Its time was over before anybody claimed the points", within=20)
    visitor.sees("LOYALTY_EXPIRED")
    visitor.finds_no_barrier()

    visitor.page.goto(desk)
    visitor.clicks("Give points by code", "link")
    visitor.sees("No card and no number")
    asks_for_a_code(visitor, "700")
    Sandbox(visitor.stack.sandbox_url).arm("cut", provider="revenuemonster", path="/v3/loyalty/spending-reward$")
    visitor.page.locator("[data-confirm-button]").click()
    visitor.sees("nobody has seen it, so nobody can claim it", within=20)
    visitor.finds_no_barrier()
    visitor.clicks("Make another", "link")
    asks_for_a_code(visitor, "700")
    visitor.page.locator("[data-confirm-button]").click()
    assert scanned(visitor).startswith(visitor.stack.sandbox_url)


@pytest.mark.parametrize("visitor", [GERMAN_PHONE], indirect=True)
def test_in_german_on_a_phone_in_the_dark_a_code_can_be_scanned(visitor):
    visitor.opens("/")
    visitor.page.locator("input[name=login]").fill("milan@example.com")
    visitor.page.locator("input[name=password]").fill("look-around-2026")
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/m/**")
    visitor.clicks("Punkte per Code gutschreiben", "link")
    visitor.sees("Ohne Karte und ohne Nummer")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    visitor.page.locator("#id_amount").click()
    visitor.page.keyboard.type("12,50", delay=40)
    visitor.page.locator("input[name=extra_paid_with][value=other]").check()
    visitor.page.locator("#action button[type=submit]").last.click()
    visitor.sees("Wer ihn zuerst scannt")
    visitor.page.locator("[data-confirm-button]").click()
    assert scanned(visitor).startswith(visitor.stack.sandbox_url)
    visitor.sees("Mit der Kamera Ihres Telefons scannen.")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
