"""A sale with a secuconnect card: scanned and typed into a basket, loaded with one press, confirmed as a sentence, and
on the shopper's paper. Each journey has a card of its own."""

import re
import time
from typing import Any

import pytest

from tests.journeys.test_till import PHONE, SMALL_PHONE, confirms, opens_action

CARD = 9276100000000000  # the first of a thousand for load runs: 1,000.00 on each, no bonus
EARNING = "9276200000000700"  # of a thousand more, as the seed's: 10 % on everything
EAN, OTHER_EAN, WRONG_EAN = "4006381333931", "4006381333948", "4006381333932"
SCREENS = [{}, {"color_scheme": "dark"}, {**PHONE, "color_scheme": "dark"}, SMALL_PHONE]


def card(place: int) -> str:
    """A card of its own for each journey of this file."""
    return str(CARD + 700 + place)


def arrives(visitor, number: str) -> None:
    """At the till, with the card scanned over secuconnect and the basket open."""
    visitor.signs_in("alice")
    offered = visitor.page.get_by_label("Connection", exact=True)
    names = offered.locator("option").all_inner_texts()
    offered.select_option(label=next(text for text in names if "secuconnect" in text))
    visitor.types("Card number", number)
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/cards/**")
    visitor.page.locator("#reading:not([data-pending])").wait_for()
    opens_action(visitor, "Sell")


def scans(visitor, code: str) -> None:
    """As a scanner types: a key every 5 ms by the keyboard's own clock, however busy this machine is, and Enter."""
    keyboard = visitor.page.context.new_cdp_session(visitor.page)
    begun = time.time() + 0.2
    enter: dict[str, Any] = {"key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}
    for at, key in enumerate([*({"key": sign, "text": sign} for sign in code), enter]):
        for kind in ("keyDown", "keyUp"):
            keyboard.send("Input.dispatchKeyEvent", {"type": kind, "timestamp": begun + at * 0.005, **key})
    keyboard.detach()


def comes_to(visitor, field: str) -> None:
    """Wait until the cursor stands in this field."""
    visitor.page.locator(f"[name={field}]:focus").wait_for()


def test_a_sale_that_also_loads_and_its_paper(visitor):
    arrives(visitor, EARNING)
    comes_to(visitor, "scan")
    visitor.page.keyboard.type("Dining service")
    visitor.presses("Enter")
    comes_to(visitor, "line0_price")
    visitor.page.keyboard.type("59,00")
    visitor.presses("Tab")
    visitor.page.keyboard.type("19")
    visitor.page.locator("[data-basket-sum]").get_by_text("€59.00").wait_for()
    visitor.clicks("+ €20.00")
    visitor.page.locator("[data-basket-sum]").get_by_text("€79.00").wait_for()
    visitor.finds_no_barrier()

    visitor.clicks("Continue")
    visitor.page.locator("#question").wait_for()
    told = " ".join(visitor.page.locator("#question").inner_text().split())
    assert "Sell Dining service for €59.00 with card •••• 0700 at secuconnect." in told
    assert "€20.00 is put onto the card. To be paid: €79.00." in told
    visitor.finds_no_barrier()
    confirms(visitor)

    visitor.sees("Sold for €79.00 with •••• 0700.")
    visitor.sees("New balance €1,027.90")
    visitor.clicks("Print receipt", role="link")
    paper = visitor.page.locator(".paper")
    paper.wait_for()
    text = paper.inner_text()
    for said in ("Dining service", "Loaded onto the card", "€20.00", "€79.00", "Umsatz erfasst:", "79,00 EUR"):
        assert said in text
    assert text.index("7,90 EUR") < text.index("Kundenkarte Aufladung")
    visitor.has_no_sideways_scroll()


def test_a_scanners_enter_adds_lines_and_never_goes_further(visitor):
    arrives(visitor, card(0))
    comes_to(visitor, "scan")
    scans(visitor, EAN)
    comes_to(visitor, "line0_text")
    visitor.page.keyboard.type("Cup", delay=120)

    scans(visitor, EAN)  # while the line is being filled in
    comes_to(visitor, "scan")
    assert visitor.page.input_value("#id_line0_text") == "Cup"
    assert visitor.page.input_value("#id_line0_quantity") == "2"
    visitor.page.get_by_role("button", name="Continue", exact=True).focus()
    scans(visitor, OTHER_EAN)  # with the button in focus
    comes_to(visitor, "line1_text")
    assert visitor.page.input_value("#id_line1_ean") == OTHER_EAN
    visitor.page.locator("h1").first.click()
    scans(visitor, WRONG_EAN)  # from anywhere
    visitor.sees("The check digit of this EAN is wrong.")

    assert visitor.page.locator("#question").count() == 0
    assert visitor.page.input_value("#scan-number") == ""
    assert "/cards/" in visitor.page.url


def test_what_is_wrong_is_said_beside_the_field_of_its_line_and_nothing_is_lost(visitor):
    arrives(visitor, card(1))
    comes_to(visitor, "scan")
    visitor.page.keyboard.type("Cup")
    visitor.presses("Enter")
    comes_to(visitor, "line0_price")
    visitor.page.keyboard.type("1,234")
    visitor.clicks("Continue")

    visitor.page.locator("#id_line0_price_error").get_by_text("two ways").wait_for()
    visitor.page.locator("[data-errors]:focus").wait_for()
    assert visitor.page.input_value("#id_line0_text") == "Cup"
    assert "line0_vat" in visitor.page.locator("[data-errors] a").nth(1).get_attribute("href")
    visitor.finds_no_barrier()
    visitor.types("Price of one", "4.50")
    visitor.types("VAT in %", "7")
    visitor.clicks("Continue")
    visitor.page.locator("#question").wait_for()
    visitor.presses("Escape")
    visitor.page.locator("#id_line0_price").wait_for()
    assert visitor.page.input_value("#id_line0_price") == "4.50"


def test_a_line_is_taken_away_and_the_others_stay(visitor):
    arrives(visitor, card(2))
    for at, text in enumerate(("Cup", "Plate", "Bowl")):
        comes_to(visitor, "scan")
        visitor.page.keyboard.type(text)
        visitor.presses("Enter")
        comes_to(visitor, f"line{at}_price")
        visitor.page.keyboard.type("100")
        visitor.presses("Enter")

    visitor.page.get_by_role("button", name=re.compile("Take away line 2")).click()
    visitor.page.locator("#id_line1_text").wait_for(state="detached")

    assert visitor.page.input_value("#id_line0_text") == "Cup"
    assert visitor.page.input_value("#id_line2_text") == "Bowl"
    assert visitor.page.locator("[data-basket-sum]").inner_text() == "€2.00"


@pytest.mark.parametrize("visitor", [{"java_script_enabled": False}], indirect=True)
def test_without_javascript_a_basket_is_sold_all_the_same(visitor):
    visitor.signs_in("alice")
    offered = visitor.page.get_by_label("Connection", exact=True)
    names = offered.locator("option").all_inner_texts()
    offered.select_option(label=next(text for text in names if "secuconnect" in text))
    visitor.types("Card number", card(3))
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/cards/**")
    visitor.clicks("Sell", role="link")
    visitor.types("Scan or type an article", "Cup")
    visitor.presses("Enter")
    visitor.types("Price of one", "4.50")
    visitor.types("VAT in %", "7")
    visitor.clicks("+ €5.00")
    visitor.sees("€9.50")
    visitor.clicks("Continue")
    visitor.sees("To be paid:")
    visitor.clicks("Sell for €9.50")
    visitor.page.wait_for_url("**/operations/**")
    visitor.sees("Sold for €9.50 with •••• 0703.")


@pytest.mark.parametrize("visitor", SCREENS, indirect=True)
def test_the_basket_fits_every_screen(visitor):
    arrives(visitor, card(4))
    visitor.types("Scan or type an article", EAN)
    visitor.presses("Enter")
    comes_to(visitor, "line0_text")
    visitor.types("Description", "A very long description of an article that goes on and on, Geschirrspülmaschinensalz")
    visitor.types("Price of one", "1234.50")
    visitor.types("VAT in %", "19")
    visitor.clicks("+ €50.00")
    visitor.page.locator("[data-basket-sum]").get_by_text("€1,284.50").wait_for()
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    visitor.clicks("Continue")
    visitor.page.locator("#question").wait_for()
    visitor.has_no_sideways_scroll()
