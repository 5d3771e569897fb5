"""From credentials to the first balance: connecting CardInquiry and PayWizard at the real sandbox, in a browser."""

import json
import re
import uuid
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.journeys.conftest import PASSWORD

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WITHOUT_SCRIPT = {"java_script_enabled": False}


def sandbox(visitor) -> str:
    return f"http://127.0.0.1:{visitor.stack.sandbox_port}"


def credentials(visitor, provider: str) -> dict[str, str]:
    with build_opener(ProxyHandler({})).open(f"{sandbox(visitor)}/_sandbox/credentials") as answer:
        return json.load(answer)[provider]


def opens_a_shop(visitor, country: str) -> str:
    """A new shop without any connection; its name."""
    name = f"Kiwi {uuid.uuid4().hex[:6]}"
    visitor.opens("/")
    visitor.types("Email", "olivia@example.com")  # who works at two merchants: one more changes nothing for others
    visitor.types("Password", PASSWORD)
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/merchants/")
    visitor.opens("/merchants/found/")
    visitor.types("Name of the shop", name)
    visitor.page.get_by_label("Country", exact=True).select_option(country)
    if visitor.page.evaluate("document.documentElement.classList.contains('script')"):
        visitor.sees(
            {"NZ": "often use CardInquiry", "US": "often use PayWizard", "DE": "often use secuconnect"}[country]
        )
    else:
        visitor.clicks("Propose what follows from it")
    visitor.clicks("Open the shop")
    visitor.page.wait_for_url("**/m/kiwi-*/")
    visitor.sees("First connect a provider")
    return name


def chooses(visitor, provider: str) -> None:
    visitor.clicks("Connect your own provider", "link")
    visitor.sees("Usual in your country")
    visitor.finds_no_barrier()
    visitor.clicks(f"Connect {provider}")
    visitor.sees("Have these ready")


def presses_on_a_fold_while_the_address_is_answered(visitor, secret: str, address: str) -> None:
    """As slowly as people press: what is wrong with the address is known, and moves the form, before the button is let
    go again."""
    page = visitor.page
    page.get_by_label("Address of the API").fill(address)
    fold = page.locator("details.more").filter(has=page.get_by_label(secret, exact=True))
    at = fold.locator("> summary").bounding_box()
    page.mouse.move(at["x"] + 20, at["y"] + at["height"] / 2)
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.mouse.down()
    page.wait_for_load_state("networkidle")
    page.mouse.up()
    page.get_by_label(secret, exact=True).wait_for()


@pytest.mark.parametrize("visitor", [{}, PHONE, {"color_scheme": "dark"}], indirect=True)
def test_cardinquiry_from_empty_to_the_first_balance(visitor):
    opens_a_shop(visitor, "NZ")
    chooses(visitor, "CardInquiry")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    key = credentials(visitor, "cardinquiry")["api_key"]

    visitor.types("Address of the API", "cards.example.com")
    visitor.sees("Type an address such as https://cards.example.com/api.")
    visitor.finds_no_barrier()
    visitor.types("Address of the API", f"{sandbox(visitor)}/cardinquiry")
    visitor.types("Server key", key)
    visitor.presses("Tab")
    visitor.sees(f"…{key[-4:]}")
    visitor.page.get_by_text("Type an address such as").wait_for(state="hidden")
    visitor.finds_no_barrier()
    assert key not in visitor.page.content()
    visitor.clicks("Test the connection")
    visitor.sees("With this connection you can", within=30)
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    visitor.clicks("Look up a card", "link")
    visitor.looks_up("6280390000000001")

    visitor.sees("$25.50", within=20)


def test_half_filled_in_it_waits_for_whoever_comes_back(visitor):
    opens_a_shop(visitor, "NZ")
    chooses(visitor, "CardInquiry")
    key = credentials(visitor, "cardinquiry")["api_key"]
    visitor.types("Address of the API", f"{sandbox(visitor)}/cardinquiry")
    visitor.types("Server key", key)
    visitor.presses("Tab")
    visitor.sees(f"…{key[-4:]}")
    desk = re.sub("/settings/.*", "/", visitor.page.url)

    visitor.page.goto(desk + "settings/")
    visitor.sees("Begun and not finished")
    visitor.finds_no_barrier()
    visitor.page.get_by_role("link", name="CardInquiry", exact=True).click()

    visitor.sees(f"…{key[-4:]}")
    assert visitor.page.get_by_label("Address of the API").input_value() == f"{sandbox(visitor)}/cardinquiry"


def test_paywizard_with_a_wrong_token_says_so_and_with_the_right_one_shows_a_balance(visitor):
    opens_a_shop(visitor, "US")
    chooses(visitor, "PayWizard")
    keys = credentials(visitor, "paywizard")
    assert visitor.page.get_by_label("Address of the API").input_value() == "https://uat.paywizard.biz"
    visitor.types("Client ID", keys["client_id"])
    visitor.types("Client secret", keys["client_secret"])
    visitor.presses("Tab")
    visitor.sees(f"…{keys['client_secret'][-4:]}")
    presses_on_a_fold_while_the_address_is_answered(visitor, "Client secret", "elsewhere.example.com")
    visitor.sees("Type an address such as")
    visitor.types("Address of the API", f"{sandbox(visitor)}/paywizard")
    visitor.presses("Tab")
    visitor.page.get_by_text("Type an address such as").wait_for(state="hidden")
    visitor.types("Client secret", keys["client_secret"])
    visitor.presses("Tab")
    visitor.types("Transaction token", "NOBODYSTOKEN0000000000000000000X")
    visitor.presses("Tab")
    visitor.clicks("Test the connection")
    visitor.sees("Not connected yet", within=30)
    visitor.sees("PayWizard answers")
    visitor.sees("PayWizard does not know our token.")
    visitor.finds_no_barrier()

    visitor.clicks("Change what was typed", "link")
    visitor.page.get_by_text("Type another one").nth(1).click()
    visitor.types("Transaction token", keys["token"])
    visitor.presses("Tab")
    visitor.sees(f"…{keys['token'][-4:]}")
    visitor.clicks("Test the connection")
    visitor.sees("With this connection you can", within=30)
    visitor.clicks("Look up a card", "link")
    visitor.types("Card number", "914639258868500")
    visitor.presses("Enter")

    visitor.sees("$30.10", within=20)


@pytest.mark.parametrize("visitor", [WITHOUT_SCRIPT], indirect=True)
def test_without_a_script_it_is_connected_just_the_same(visitor):
    opens_a_shop(visitor, "NZ")
    visitor.clicks("Connect your own provider", "link")
    visitor.clicks("Connect CardInquiry")
    visitor.types("Address of the API", f"{sandbox(visitor)}/cardinquiry")
    visitor.page.get_by_label("Or take it from a file").set_input_files(
        {
            "name": "key.txt",
            "mimeType": "text/plain",
            "buffer": credentials(visitor, "cardinquiry")["api_key"].encode() + b"\n",
        }
    )
    visitor.clicks("Test the connection")

    visitor.sees("With this connection you can", within=30)


def test_a_secret_is_replaced_and_the_old_one_serves_until_the_new_one_has_passed(visitor):
    opens_a_shop(visitor, "NZ")
    chooses(visitor, "CardInquiry")
    key = credentials(visitor, "cardinquiry")["api_key"]
    visitor.types("Address of the API", f"{sandbox(visitor)}/cardinquiry")
    visitor.types("Server key", key)
    visitor.presses("Tab")
    visitor.clicks("Test the connection")
    visitor.clicks("Choose its stores and limits", "link")
    visitor.sees("Nobody can read them here")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    page = visitor.page.url

    visitor.clicks("Replace secrets or change these settings")
    visitor.sees("Stays as it is")
    visitor.finds_no_barrier()
    visitor.page.get_by_text("Replace it").click()
    visitor.types("Server key", "nobodys-key-0000000000")
    visitor.presses("Tab")
    visitor.sees("…0000")
    visitor.clicks("Test the connection")
    visitor.sees("goes on with what it had", within=30)
    visitor.page.goto(re.sub("/settings/.*", "/", page))
    visitor.looks_up("6280390000000001")
    visitor.sees("$25.50", within=20)

    visitor.page.goto(page)
    visitor.clicks("Replace secrets or change these settings")
    visitor.page.get_by_text("Type another one").click()
    visitor.types("Server key", key)
    visitor.presses("Tab")
    visitor.sees(f"…{key[-4:]}")
    visitor.clicks("Test the connection")
    visitor.sees("Tested and changed", within=30)
    visitor.finds_no_barrier()
