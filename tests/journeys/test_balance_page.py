"""A shopper with a telephone, and the public balance page of Bäckerei Jung."""

import io
import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Route

from tests.journeys.test_papers import printed

PAGE = "/b/baeckerei-jung/"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SMALL_PHONE = {"viewport": {"width": 320, "height": 568}, "has_touch": True, "is_mobile": True}
GERMAN = {"locale": "de-DE", **SMALL_PHONE}
# Cards of this journey's own.
CARD, VOUCHER = "6280390000020100", "6280390000007525"


def asks(visitor, number: str, pin: str = "1234") -> None:
    visitor.opens(PAGE)
    visitor.types("Card number, or its last 5 characters", number)
    visitor.types("PIN or password on the card", pin)
    visitor.clicks("Show the balance")


@pytest.mark.parametrize(
    "visitor", [PHONE, SMALL_PHONE, {**PHONE, "color_scheme": "dark"}, {"color_scheme": "dark"}], indirect=True
)
def test_a_balance_on_a_telephone(visitor):
    visitor.opens(PAGE)
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()

    asks(visitor, CARD)
    visitor.sees("€100.00", within=30)

    visitor.has_no_sideways_scroll()
    assert visitor.page.locator("#said").inner_text().startswith("The balance is €100.00. Valid until")
    assert CARD not in visitor.page.content()
    assert CARD not in visitor.page.url


@pytest.mark.parametrize("visitor", [PHONE], indirect=True)
def test_the_barcode_can_be_scanned_from_the_screen(visitor):
    asks(visitor, VOUCHER)
    visitor.sees("€7.25", within=30)
    visitor.clicks("Show barcode for the till")
    visitor.page.locator("dialog.barcode svg").wait_for()
    visitor.finds_no_barrier()

    screen = Image.open(io.BytesIO(visitor.page.screenshot()))
    assert [each.text for each in zxingcpp.read_barcodes(screen)] == [VOUCHER]

    visitor.clicks("Close")
    visitor.clicks("Check another card", "link")
    visitor.page.wait_for_url(f"**{PAGE}")


@pytest.mark.parametrize("visitor", [PHONE], indirect=True)
def test_what_is_wrong_is_said_once_and_alike_and_nothing_typed_is_lost(visitor):
    asks(visitor, "12")
    visitor.sees("Type at least 5 characters of the card number.", within=30)
    visitor.finds_no_barrier()
    assert visitor.page.input_value("#id_number") == "12"
    assert visitor.page.input_value("#id_pin") == "1234"

    visitor.types("Card number, or its last 5 characters", "6280390000041414")
    visitor.clicks("Show the balance")
    visitor.sees("We could not show a balance for these details.", within=30)
    visitor.finds_no_barrier()


@pytest.mark.parametrize("visitor", [SMALL_PHONE], indirect=True)
def test_an_end_that_two_cards_have_asks_for_the_whole_number(visitor):
    asks(visitor, "77777")
    visitor.sees("Please type the whole number.", within=30)
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()

    visitor.types("Whole card number", "6280391100077777")
    visitor.clicks("Show the balance")

    visitor.sees("€60.00", within=30)


@pytest.mark.parametrize("visitor", [GERMAN], indirect=True)
def test_in_german(visitor):
    visitor.opens(PAGE)
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()
    visitor.types("Kartennummer oder deren letzte 5 Zeichen", "20100")
    visitor.types("PIN oder Passwort auf der Karte", "1234")
    visitor.clicks("Guthaben anzeigen")

    visitor.sees("100,00\u00a0€", within=30)
    visitor.has_no_sideways_scroll()
    visitor.clicks("English")
    visitor.page.wait_for_url(f"**{PAGE}")  # from the answer's own address back to the form
    visitor.sees("Balance of your card", within=30)
    assert visitor.page.locator("html").get_attribute("lang") == "en"


# What the browser fetched for a page: bytes over the line, from where, and what it waits for before it draws anything.
FETCHED = """
    [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")].map((each) => (
        {url: each.name, bytes: each.transferSize, blocks: each.renderBlockingStatus === "blocking"}))
"""


@pytest.mark.parametrize("visitor", [PHONE], indirect=True)
def test_on_a_bad_line_the_first_page_is_light_waits_for_nobody_else_and_works_with_what_has_come(visitor):
    visitor.opens(PAGE)
    fetched = visitor.page.evaluate(FETCHED)
    ours = urlsplit(visitor.stack.url).netloc
    assert {urlsplit(each["url"]).netloc for each in fetched if not each["url"].startswith("data:")} == {ours}
    assert sum(each["bytes"] for each in fetched) < 30_000, fetched
    assert [PurePosixPath(each["url"]).suffix for each in fetched if each["blocks"]] == [".css"]
    assert {each["name"] for each in visitor.page.context.cookies()} <= {"tillside_csrf"}

    held: list[Route] = []

    def does_not_come_yet(route: Route) -> None:
        held.append(route)

    bad = visitor.page.context.browser.new_context(**PHONE).new_page()
    bad.route("**/*.css", lambda route: route.abort())
    bad.route("**/balance*.js", does_not_come_yet)
    bad.goto(visitor.stack.url + PAGE, wait_until="commit")
    bad.get_by_label("Card number, or its last 5 characters").fill(VOUCHER)
    bad.get_by_label("PIN or password on the card").fill("1234")
    button = bad.get_by_role("button", name="Show the balance")
    assert button.is_disabled(), "it would send what was typed without a proof, and lose it"
    with bad.expect_event("domcontentloaded"):  # the script came, and has run
        held[0].continue_()
    button.click()
    bad.get_by_text("€7.25", exact=True).wait_for(timeout=30_000)
    bad.context.close()


@pytest.mark.parametrize("visitor", [{"java_script_enabled": False, **PHONE}], indirect=True)
def test_without_scripts_the_page_says_what_to_do(visitor):
    visitor.opens(PAGE)

    assert visitor.page.locator("noscript p").last.is_visible()
    assert not visitor.page.get_by_role("button", name="Show the balance").is_visible()


@pytest.mark.parametrize("visitor", [PHONE], indirect=True)
def test_an_answer_comes_by_itself_where_scripts_stopped_after_the_question(visitor):
    asks(visitor, VOUCHER)
    visitor.page.wait_for_url(re.compile(f"{PAGE}.+/$"))
    cookies = visitor.page.context.cookies()

    without = visitor.page.context.browser.new_context(**PHONE, java_script_enabled=False)
    without.add_cookies(cookies)
    plain = without.new_page()
    plain.goto(visitor.page.url)
    plain.get_by_text("€7.25").wait_for(timeout=30_000)
    without.close()


@pytest.mark.parametrize("visitor", [{}, SMALL_PHONE], indirect=True)
def test_the_merchants_pages_about_it_are_sound(visitor):
    visitor.signs_in("milan")
    for name in ("", "tries/", "poster/?paper=a6", "snippets/"):
        visitor.opens(f"/m/baeckerei-jung/settings/balance-page/{name}")
        visitor.has_no_sideways_scroll()
        visitor.finds_no_barrier()

    for size, sheet in (("a4", (210, 297)), ("a6", (105, 148))):
        visitor.opens(f"/m/baeckerei-jung/settings/balance-page/poster/?paper={size}")
        sheets, text = printed(visitor)
        assert sheets == [sheet]
        assert text.startswith("Bäckerei Jung Wie viel ist auf Ihrer Karte?")
    visitor.opens("/m/baeckerei-jung/settings/balance-page/snippets/")

    visitor.types("Browser key", "demo-server-key")
    visitor.clicks("Make the lines")
    visitor.sees("it does not contain the words VisibleKey")
    assert visitor.page.input_value("#id_key") == ""
