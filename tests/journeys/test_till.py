"""A cashier's work with one card, at the imitated PayWizard: two beats, one outcome, and a way on."""

import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from io import BytesIO
from urllib.parse import urlencode, urlsplit

import pytest
import zxingcpp
from PIL import Image

CARD = "914639000000000"  # 10,000.00 and 10,000 points, as the next ones
INACTIVE, SMALL = "914639258868501", "914639258868503"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SMALL_PHONE = {"viewport": {"width": 320, "height": 568}, "has_touch": True, "is_mobile": True}
SCREENS = [{}, {"color_scheme": "dark"}, {**PHONE, "color_scheme": "dark"}, SMALL_PHONE]


_untouched = itertools.count(int(CARD) + 700)


def card(place: int) -> str:
    """A rich card of its own for each journey: 900 and more; each place belongs to one."""
    return str(int(CARD) + 900 + place)


def untouched_card() -> str:
    """A rich card that no other journey meets: what is left on it, or left open, is nobody else's start."""
    return str(next(_untouched))


def scans(visitor, number: str) -> None:
    """Type the card over the PayWizard connection and see its balance."""
    offered = visitor.page.get_by_label("Connection", exact=True)
    if offered.count() and offered.is_visible():
        offered.select_option(
            label=next(text for text in offered.locator("option").all_inner_texts() if "PayWizard" in text)
        )
    visitor.types("Card number", number)
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/cards/**")
    visitor.page.locator("#reading:not([data-pending])").wait_for()


def arrives(visitor, number: str) -> None:
    visitor.signs_in("alice")
    scans(visitor, number)


def types_an_amount(visitor, text: str) -> None:
    """Where the cursor stands by itself. As fast hands do: all digits in one instant would be over before a
    box that just came listens."""
    visitor.page.locator("#id_amount:focus").wait_for()
    visitor.page.keyboard.type(text, delay=40)


def opens_action(visitor, name: str) -> None:
    visitor.page.get_by_role("link", name=name, exact=True).click()
    visitor.page.locator(".tabs [aria-current=true]").get_by_text(name, exact=True).wait_for()


def confirms(visitor) -> None:
    visitor.page.locator("[data-confirm-button]").click()
    visitor.page.wait_for_url("**/operations/**")


def test_a_payment_is_two_beats_and_the_keyboard_is_enough(visitor):
    arrives(visitor, card(0))

    types_an_amount(visitor, "1250")
    visitor.sees("= $12.50")
    visitor.presses("Enter")
    visitor.sees("at PayWizard.")
    assert "Take $12.50 from card ••••\u00a00900 at PayWizard." in visitor.page.locator("#question").inner_text()
    assert "/cards/" in visitor.page.url
    visitor.presses("Control+Enter")

    visitor.page.wait_for_url("**/operations/**")
    visitor.sees("Took $12.50 from •••• 0900.")
    visitor.sees("New balance $9,987.50")
    visitor.page.locator("#next-customer:focus").wait_for()
    visitor.finds_no_barrier()


@pytest.mark.parametrize("somebody_reads", [False, True])
def test_after_a_payment_the_next_customers_page_comes_by_itself_unless_somebody_reads(visitor, somebody_reads):
    arrives(visitor, card(20 + somebody_reads))
    types_an_amount(visitor, "1250")
    visitor.presses("Enter")
    visitor.page.locator("#question").wait_for()
    visitor.page.clock.install()
    visitor.presses("Control+Enter")
    visitor.sees("New balance $9,987.50")
    visitor.page.clock.run_for(2_000)
    visitor.sees("The next customer's page comes in")
    if somebody_reads:
        visitor.presses("Shift")

    visitor.page.clock.run_for(30_000)

    if somebody_reads:
        visitor.sees("New balance $9,987.50")
        assert not visitor.page.get_by_text("The next customer's page comes in").is_visible()
    else:
        visitor.page.wait_for_url("**/m/baeckerei-jung/")


def test_enter_alone_never_confirms(visitor):
    arrives(visitor, card(1))
    types_an_amount(visitor, "500")
    visitor.presses("Enter")
    visitor.page.locator("#question").wait_for()

    for _ in range(3):
        visitor.presses("Enter")
    visitor.page.wait_for_timeout(300)

    assert "/cards/" in visitor.page.url
    visitor.presses("Escape")
    visitor.page.locator("#id_amount").wait_for()
    assert visitor.page.input_value("#id_amount") == "5.00"


def test_a_card_scanned_into_the_amount_asks_for_nothing_and_can_be_moved(visitor):
    arrives(visitor, card(2))

    visitor.page.locator("#id_amount:focus").wait_for()
    visitor.page.keyboard.type(card(3), delay=5)
    visitor.presses("Enter")
    visitor.sees("That looks like a card.")
    visitor.clicks("Put it into the scan box")

    assert visitor.page.input_value("#scan-number") == card(3)
    assert visitor.page.input_value("#id_amount") == ""


def test_letters_open_actions_unless_a_field_is_being_filled(visitor):
    arrives(visitor, card(4))
    visitor.page.locator("h1").click()

    visitor.presses("u")
    visitor.page.get_by_label("Also activate the card").wait_for()
    visitor.page.keyboard.type("p5")
    assert visitor.page.input_value("#id_amount") == "p5"
    visitor.presses("Escape")
    visitor.presses("r")

    visitor.page.get_by_label("Points", exact=True).wait_for()


def test_money_is_added_and_the_card_activated_where_told(visitor):
    arrives(visitor, INACTIVE)
    opens_action(visitor, "Add money")
    visitor.types("Amount", "20,00")
    visitor.page.get_by_label("Also activate the card").check()
    visitor.clicks("Continue")
    visitor.sees("The card is activated, too.")
    visitor.finds_no_barrier()
    confirms(visitor)

    visitor.sees("Added $20.00 to •••• 8501. It is activated, too.")


def test_a_card_is_activated_with_its_holder(visitor):
    arrives(visitor, card(5))
    opens_action(visitor, "Activate")
    visitor.page.get_by_text("Customer details, if wanted").click()
    visitor.types("First name", "Max")
    visitor.types("E-mail", "max@example.com")
    visitor.finds_no_barrier()
    visitor.clicks("Continue")
    visitor.page.locator("#question").wait_for()
    confirms(visitor)

    visitor.sees("Activated •••• 0905.")
    assert "max@example.com" not in visitor.page.content()


def test_points_are_given_and_redeemed_by_half(visitor):
    arrives(visitor, card(6))
    opens_action(visitor, "Give points")
    visitor.types("Points", "12")
    visitor.presses("Enter")
    visitor.page.locator("#question").wait_for()
    confirms(visitor)
    visitor.sees("Gave 12 points to •••• 0906.")
    visitor.sees("10,012 points")

    visitor.clicks("Back to the card", "link")
    opens_action(visitor, "Redeem points")
    visitor.page.get_by_role("button", name=re.compile("Half")).click()
    visitor.page.locator("#question").wait_for()
    confirms(visitor)

    visitor.sees("Redeemed 5,006 points from •••• 0906.")


def test_a_tip_is_added_and_another_payment_voided(visitor):
    arrives(visitor, card(7))
    for amount in ("10.00", "3.00"):
        visitor.types("Amount", amount)
        visitor.presses("Enter")
        visitor.page.locator("#question").wait_for()
        confirms(visitor)
        visitor.sees("New balance")
        visitor.clicks("Back to the card", "link")
    opens_action(visitor, "Tip")
    visitor.page.get_by_label(re.compile(r"Payment of \$10\.00")).check()
    visitor.types("Amount", "2.00")
    visitor.finds_no_barrier()
    visitor.presses("Enter")
    visitor.page.locator("#question").wait_for()
    confirms(visitor)
    visitor.sees("Took a tip of $2.00 from •••• 0907.")

    visitor.clicks("Back to the card", "link")
    opens_action(visitor, "Void")
    visitor.clicks("Continue")
    visitor.sees("goes back onto the card.")
    assert "Undo a payment of $3.00 by Alice" in visitor.page.locator("#question").inner_text()
    confirms(visitor)

    visitor.sees("Voided a payment of $3.00 on •••• 0907.")


def test_a_small_card_offers_what_it_has(visitor):
    arrives(visitor, SMALL)
    visitor.types("Amount", "12.50")
    visitor.presses("Enter")

    visitor.sees("Card has $7.60. Take $7.60 and collect $4.90 otherwise?")
    visitor.page.get_by_role("button", name="Take $7.60").wait_for()
    visitor.finds_no_barrier()


def test_fifty_presses_of_one_button_are_one_payment(visitor, stack):
    arrives(visitor, card(8))
    visitor.types("Amount", "1.00")
    visitor.presses("Enter")
    form = visitor.page.locator("form[data-confirm]")
    form.wait_for()
    fields = form.evaluate("form => Object.fromEntries(new FormData(form))")
    address = urlsplit(form.evaluate("form => form.action"))
    cookie = "; ".join(f"{each['name']}={each['value']}" for each in visitor.page.context.cookies())

    def press(_: int) -> tuple[int, str | None]:
        line = HTTPConnection("localhost", address.port, timeout=60)
        headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded", "Origin": stack.url}
        line.request("POST", address.path, urlencode(fields), headers)
        answer = line.getresponse()
        answer.read()
        return answer.status, answer.getheader("Location")

    with ThreadPoolExecutor(50) as pool:
        answers = set(pool.map(press, range(50)))

    assert len(answers) == 1
    [(status, place)] = answers
    assert status == 303
    visitor.opens(str(place))
    visitor.sees("New balance $9,999.00")


@pytest.mark.parametrize("visitor", [{"java_script_enabled": False}], indirect=True)
def test_without_javascript_a_payment_is_two_posts_and_a_page_that_refreshes(visitor):
    visitor.signs_in("alice")
    visitor.page.get_by_label("Connection", exact=True).select_option(label="PayWizard · sandbox")
    visitor.types("Card number", card(9))
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/cards/**")
    visitor.sees("$10,000.00")

    visitor.types("Amount", "2,50")
    visitor.presses("Enter")
    visitor.sees("Balance after:")
    confirms(visitor)

    visitor.sees("Took $2.50 from •••• 0909.")


def test_the_receipt_is_printed_without_the_page_around_it_and_its_code_leads_back(visitor):
    arrives(visitor, card(10))
    visitor.types("Amount", "2.50")
    visitor.presses("Enter")
    visitor.page.locator("#question").wait_for()
    confirms(visitor)
    visitor.sees("New balance")
    visitor.page.emulate_media(media="print")
    assert visitor.page.locator(".paper").is_visible()
    assert not visitor.page.locator("#next-customer").is_visible()

    visitor.page.emulate_media(media="screen")
    visitor.clicks("Print receipt", "link")
    visitor.page.wait_for_url("**/receipt/**")
    visitor.finds_no_barrier()
    visitor.page.emulate_media(media="print")

    printed = visitor.page.locator("body").inner_text()
    read = [each.text for each in zxingcpp.read_barcodes(Image.open(BytesIO(visitor.page.screenshot(full_page=True))))]
    visitor.page.emulate_media(media="screen")
    assert "$2.50" in printed
    assert "Look up" not in printed

    [reference] = read
    visitor.opens("/m/baeckerei-jung/")
    visitor.types("Card number", reference)
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/operations/**")
    visitor.sees(reference.lower())


def sees_its_tab(visitor) -> None:
    """On a phone the tabs are one row, and the one that is open stands in it where one looks."""
    tabs = visitor.page.locator("#action .tabs")
    if visitor.page.viewport_size["width"] < 640:
        assert len({each.bounding_box()["y"] for each in tabs.locator("a").all()}) == 1
    row, tab = tabs.bounding_box(), tabs.locator("[aria-current]").bounding_box()
    assert row["x"] - 24 <= tab["x"]
    assert tab["x"] + tab["width"] <= row["x"] + row["width"] + 24


@pytest.mark.parametrize("visitor", SCREENS, indirect=True)
def test_the_tills_pages_stand_on_any_screen_in_light_and_dark(visitor):
    arrives(visitor, card(11))
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()
    path = urlsplit(visitor.page.url).path
    for verb in ("top_up", "issue_points", "redeem_points", "tip", "void", "activate"):
        visitor.opens(f"{path}?do={verb}")
        sees_its_tab(visitor)
        visitor.has_no_sideways_scroll()
        visitor.finds_no_barrier()
    visitor.opens(path)
    visitor.types("Amount", "1.00")
    visitor.page.locator("#id_amount").press("Enter")
    visitor.page.locator("#question").wait_for()
    visitor.has_no_sideways_scroll()
    confirms(visitor)
    visitor.sees("New balance")
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()
    place = urlsplit(visitor.page.url).path
    for page in ("receipt/", "receipt/?paper=a4", "evidence/"):
        visitor.opens(place + page)
        visitor.has_no_sideways_scroll()
        visitor.finds_no_barrier()
