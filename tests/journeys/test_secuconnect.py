"""secuconnect in a browser: connected, looked up, loaded, a card made, a lost answer settled by itself, a refusal."""

import itertools
import re

import psycopg
import pytest

from tests.conftest import Sandbox
from tests.journeys.test_connecting import chooses, credentials, opens_a_shop, sandbox

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
GERMAN_PHONE = {**PHONE, "color_scheme": "dark", "locale": "de-DE"}
# For load runs, 1,000.00 on each: every journey takes cards of its own.
_cards = itertools.count(9276100000000500)
_earning = itertools.count(9276200000000500)  # with 10 % bonus on what is paid in
NO_CANCEL, OLD_BALANCE = "9276004424644014", "9276004424644013"
TRANSACTIONS = "/api/v2/Smart/Transactions"


def own_card() -> str:
    return str(next(_cards))


def quiet_period_passes(visitor) -> None:
    """As two minutes would do it: the open operation may be looked at now."""
    key = visitor.page.url.rstrip("/").rsplit("/", 1)[-1]
    with psycopg.connect(visitor.stack.env["DATABASE_OWNER_URL"]) as session:
        session.execute("SELECT set_config('tillside.every', 'on', false)")
        session.execute("UPDATE ledger_operation SET next_attempt_at = now() WHERE key = %s", [key])


def looks_up(visitor, number: str) -> None:
    offered = visitor.page.get_by_label("Connection", exact=True)
    offered.select_option(label="secuconnect · sandbox")
    visitor.types("Card number", number)
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/cards/**")
    visitor.page.locator("#reading:not([data-pending])").wait_for()


def loads(visitor, number: str, typed: str = "2000") -> None:
    looks_up(visitor, number)
    adds(visitor, typed)


def adds(visitor, typed: str) -> None:
    """From the card's page: the amount, the sentence, and the operation's page."""
    visitor.page.get_by_role("link", name="Add money", exact=True).click()
    visitor.page.locator(".tabs [aria-current=true]").get_by_text("Add money", exact=True).wait_for()
    visitor.types("Amount", typed)
    visitor.presses("Enter")
    visitor.page.locator("[data-confirm-button]").click()
    visitor.page.wait_for_url("**/operations/**")


def test_an_owner_connects_it_herself_and_looks_a_card_up(visitor):
    opens_a_shop(visitor, "DE")
    chooses(visitor, "secuconnect")
    visitor.sees("secuconnect’s project contact")
    known = credentials(visitor, "secuconnect")
    visitor.types("Address of the API", f"{sandbox(visitor)}/secuconnect")
    visitor.types("Client ID", known["client_id"])
    visitor.types("Client secret", known["client_secret"])
    visitor.presses("Tab")
    visitor.types("Contract", known["contract_id"])
    visitor.types("Device", known["device_id"])
    visitor.presses("Tab")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    visitor.clicks("Test the connection")
    visitor.sees("With this connection you can", within=40)
    visitor.sees("Cards of secuconnect are made in a card group, and this connection names none.")
    visitor.finds_no_barrier()

    visitor.clicks("Look up a card", "link")
    visitor.types("Card number", "9276004424644016")
    visitor.presses("Enter")
    visitor.sees("50.00", within=20)
    visitor.sees("120 points")
    visitor.finds_no_barrier()


@pytest.mark.parametrize("visitor", [{}, PHONE, {"color_scheme": "dark"}], indirect=True)
def test_a_card_is_loaded_and_what_was_paid_in_and_given_stand_apart(visitor):
    visitor.signs_in("alice")
    loads(visitor, str(next(_earning)))

    visitor.sees("€1,022.00", within=20)
    visitor.sees("New balance €1,022.00")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    visitor.page.get_by_role("link", name="Back to the card").click()
    visitor.page.locator(".asides").get_by_text("Paid in").wait_for()
    visitor.page.locator(".asides").get_by_text("€2.00").wait_for()


def test_a_card_is_made_on_the_fly_and_loaded(visitor):
    visitor.signs_in("milan")
    visitor.clicks("Make a new card", "link")
    visitor.sees("gets its number from secuconnect")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    visitor.page.locator("#action").get_by_role("button", name="Continue").last.click()
    visitor.sees("Make a new card at")
    visitor.finds_no_barrier()
    visitor.clicks("Make the card")
    visitor.page.wait_for_url("**/operations/**")
    visitor.sees("Made ••••", within=20)
    visitor.finds_no_barrier()

    visitor.page.get_by_role("link", name="Back to the card").click()
    visitor.sees("€0.00", within=20)
    adds(visitor, "2500")
    visitor.sees("New balance €25.00.", within=20)


def test_a_lost_answer_to_a_load_is_settled_by_itself(visitor):
    visitor.signs_in("alice")
    number = own_card()
    looks_up(visitor, number)
    Sandbox(visitor.stack.sandbox_url).arm("cut", provider="secuconnect", path=f"{TRANSACTIONS}/")
    loads(visitor, number)
    visitor.sees("Do not repeat it. We are checking", within=20)
    visitor.finds_no_barrier()

    quiet_period_passes(visitor)
    visitor.sees("own record says that it is done", within=30)
    visitor.sees("Read what secuconnect has on record of it")
    visitor.finds_no_barrier()


def test_a_refused_cancellation_says_so_and_nothing_moved(visitor):
    visitor.signs_in("milan")
    loads(visitor, NO_CANCEL)
    visitor.sees("New balance", within=20)
    visitor.clicks("Void it", "link")
    visitor.page.locator("#action").get_by_role("button", name="Continue").last.click()
    visitor.page.locator("[data-confirm-button]").click()
    visitor.sees("It is too late for that", within=20)
    visitor.sees("Die Buchung kann nicht storniert werden.")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()


@pytest.mark.parametrize("visitor", [GERMAN_PHONE], indirect=True)
def test_in_german_on_a_phone_a_card_is_made(visitor):
    visitor.opens("/")
    visitor.page.locator("input[name=login]").fill("milan@example.com")
    visitor.page.locator("input[name=password]").fill("look-around-2026")
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/m/**")
    visitor.opens(f"{re.sub('^https?://[^/]*', '', visitor.page.url)}cards/new/")
    visitor.page.locator("#action button[type=submit]").last.wait_for()
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()


@pytest.mark.parametrize("visitor", [{}, {**PHONE, "color_scheme": "dark"}], indirect=True)
def test_a_balance_that_does_not_fit_waits_for_a_person_and_the_load_stays_done(visitor):
    def looks_right() -> None:
        visitor.finds_no_barrier()
        visitor.has_no_sideways_scroll()

    visitor.signs_in("alice")
    loads(visitor, OLD_BALANCE)
    visitor.sees("The card's balance does not fit what was done.")
    looks_right()
    operation = visitor.page.url
    visitor.page.get_by_role("link", name="Back to the card").click()
    visitor.sees("A case is open: the balance of this card does not fit what was done.")
    looks_right()
    visitor.page.locator("#action").get_by_role("link", name="Show it").click()
    visitor.sees("Deciding what became of an operation is for Owner and Manager.")
    looks_right()

    visitor.page.context.clear_cookies()
    visitor.signs_in("milan")
    visitor.goes_to("Attention")
    visitor.page.get_by_role("heading", name="The balance does not fit").wait_for()
    looks_right()
    visitor.page.locator("[aria-labelledby=cases-title] td a").first.click()
    visitor.sees("That is €")
    visitor.sees("That fits.")
    looks_right()
    visitor.page.set_extra_http_headers({"Accept-Language": "de"})
    visitor.page.reload()
    visitor.sees("Das passt.")
    looks_right()
    visitor.page.set_extra_http_headers({})
    visitor.page.reload()
    visitor.types("What did you find?", "Ms Lee of secuconnect: their display was late.")
    visitor.clicks("Close the case")

    visitor.sees("The case is closed.")
    visitor.opens(f"{re.sub('^https?://[^/]*', '', operation)}")
    visitor.sees("The card's balance did not fit what was done. The case is closed.")
    visitor.page.locator("h1").get_by_text("Done", exact=True).wait_for()
    looks_right()
