"""Points at Revenue Monster in a browser: given for a purchase and without one, taken, refused, warned about; and an
award whose answer was lost, decided by hand."""

import itertools

import pytest

from portal.connectors import connect
from portal.connectors.base import PointsRequest
from portal.connectors.http import Wire
from portal.money import Points
from tests.conftest import Sandbox
from tests.journeys.test_connecting import credentials, sandbox
from tests.journeys.test_secuconnect import quiet_period_passes

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
OTHER_WALLET = "Another wallet, a card or cash"
# For load runs, 1,000,000 points each: every journey takes members of its own, by ID and by phone number.
_members = itertools.count(700)


def own_member() -> tuple[str, str]:
    number = next(_members)
    return str(2777100000000000000 + number), f"+60 {190000000 + number}"


def looks_up(visitor, number: str) -> None:
    offered = visitor.page.locator("select[name=connection]")
    offered.select_option(
        label=next(text for text in offered.locator("option").all_inner_texts() if "Revenue Monster" in text)
    )
    visitor.page.locator("#scan-number").fill(number)
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/cards/**")
    visitor.page.locator("#reading:not([data-pending])").wait_for()


def opens_action(visitor, name: str) -> None:
    if visitor.page.locator(".tabs [aria-current=true]").inner_text() != name:
        visitor.page.get_by_role("link", name=name, exact=True).click()
    visitor.page.locator(".tabs [aria-current=true]").get_by_text(name, exact=True).wait_for()


def asks_for_award(visitor, amount: str = "1250", paid: str = OTHER_WALLET) -> None:
    """To the sentence that is to be confirmed."""
    opens_action(visitor, "Points for a purchase")
    visitor.page.get_by_label("Amount", exact=True).press_sequentially(amount, delay=40)
    visitor.page.get_by_label(paid).check()
    visitor.presses("Enter")
    visitor.page.locator("#question").wait_for()


def changes_it(visitor) -> None:
    """From the sentence back to the form, as it was filled in."""
    visitor.clicks("Change")
    visitor.page.locator("[data-first-beat]").wait_for()


def asks_for_points(visitor, action: str, count: int) -> None:
    opens_action(visitor, action)
    visitor.page.get_by_label("Points", exact=True).press_sequentially(str(count), delay=40)
    visitor.presses("Enter")
    visitor.page.locator("#question").wait_for()


def confirms(visitor) -> None:
    visitor.page.locator("[data-confirm-button]").click()
    visitor.page.wait_for_url("**/operations/**")


def goes_back(visitor) -> None:
    visitor.page.get_by_role("link", name="Back to the card").click()
    visitor.page.wait_for_url("**/cards/**")
    visitor.page.locator("#reading:not([data-pending])").wait_for()


def looks_right(visitor) -> None:
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()


def takes_elsewhere(visitor, number: str, count: int) -> None:
    """As another till of the merchant would, which Tillside knows nothing of."""
    known = credentials(visitor, "revenuemonster")
    addresses = dict.fromkeys(("base_url", "oauth_url"), f"{sandbox(visitor)}/revenuemonster")
    wire = Wire(allow=[sandbox(visitor)])
    del known["cards"]
    there = connect("revenuemonster", {**known, **addresses}, wire=wire, on_exchange=lambda _: None)
    there.redeem_points(PointsRequest(number=number, points=Points(count), reference="elsewhere"))
    wire.close()


@pytest.mark.parametrize("visitor", [{}, {**PHONE, "color_scheme": "dark"}], indirect=True)
def test_points_are_given_and_taken_and_giving_twice_is_warned_about(visitor):
    member, _phone = own_member()
    visitor.signs_in("alice")
    looks_up(visitor, member)
    visitor.sees("1,000,000 points")
    asks_for_award(visitor, paid="WeChat Pay, and our official account there gives points")
    visitor.sees("Revenue Monster has probably given these points already: WeChat Pay does so by itself.")
    looks_right(visitor)
    changes_it(visitor)
    visitor.page.get_by_label(OTHER_WALLET).check()
    visitor.page.locator("#action").get_by_role("button", name="Continue").last.click()
    visitor.sees("That is about 12 points, by the rule of Revenue Monster.")
    looks_right(visitor)
    confirms(visitor)
    visitor.sees("New balance 1,000,012 points.")
    looks_right(visitor)

    goes_back(visitor)
    asks_for_award(visitor)
    visitor.sees("Points for a purchase of MYR12.50: done for this card at")
    visitor.sees("That is about 12 points")
    looks_right(visitor)
    changes_it(visitor)

    asks_for_points(visitor, "Give points", 20)
    visitor.sees("Balance after: 1,000,032 points.")
    confirms(visitor)
    visitor.sees("New balance 1,000,032 points.")
    goes_back(visitor)
    asks_for_points(visitor, "Redeem points", 32)
    confirms(visitor)
    visitor.sees("New balance 1,000,000 points.")

    goes_back(visitor)
    takes_elsewhere(visitor, member, 999_999)
    asks_for_points(visitor, "Redeem points", 50)
    confirms(visitor)
    visitor.sees("There is not enough on the card.")
    visitor.sees("LOYALTY_INSUFFICIENT")
    looks_right(visitor)


@pytest.mark.parametrize("visitor", [{**PHONE}, {"color_scheme": "dark"}], indirect=True)
def test_a_lost_award_by_phone_is_decided_by_hand(visitor):
    _member, phone = own_member()
    visitor.signs_in("milan")
    looks_up(visitor, phone)
    visitor.sees("1,000,000 points")
    asks_for_award(visitor)
    visitor.sees("That is about 12 points")
    looks_right(visitor)
    Sandbox(visitor.stack.sandbox_url).arm("cut", provider="revenuemonster", path="/v3/loyalty/spending-reward$")
    confirms(visitor)
    visitor.sees("Do not repeat it. We are checking")
    looks_right(visitor)
    reference = visitor.page.url.rstrip("/").rsplit("/", 1)[-1]

    quiet_period_passes(visitor)
    visitor.sees("Do not repeat it. An owner or manager has to find out whether it happened.", within=30)
    visitor.opens(f"/m/baeckerei-jung/attention/{reference}/")
    visitor.sees("The points for this purchase may or may not have been given.")
    visitor.sees("If it happened, the card has 12 points more.")
    visitor.sees("The card has exactly 12 points more. That fits, but others may move this card, too.")
    visitor.sees("The provider said that it would be 12 points")
    looks_right(visitor)
    visitor.types("How do you know?", "The customer's own app shows the points.")
    visitor.clicks("It happened")
    visitor.sees("Record that the points for a purchase of MYR12.50 went to")
    looks_right(visitor)
    visitor.clicks("Record it")
    visitor.sees("Recorded: The points for a purchase of MYR12.50 went to")

    looks_up(visitor, phone)
    visitor.sees("1,000,012 points")


@pytest.mark.parametrize("visitor", [{**PHONE, "locale": "de-DE"}], indirect=True)
def test_in_german_points_are_given_by_phone_and_taken_only_by_member_id(visitor):
    _member, phone = own_member()
    visitor.opens("/")
    visitor.page.locator("input[name=login]").fill("milan@example.com")
    visitor.page.locator("input[name=password]").fill("look-around-2026")
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/m/**")
    looks_up(visitor, phone)
    opens_action(visitor, "Punkte für einen Einkauf")
    visitor.page.locator("#id_amount").press_sequentially("12,50", delay=40)
    visitor.page.locator("input[value=other]").check()
    visitor.presses("Enter")
    visitor.sees("Das sind voraussichtlich 12 Punkte, nach der Regel von Revenue Monster.")
    looks_right(visitor)
    confirms(visitor)
    visitor.sees("1.000.012 Punkte")
    looks_right(visitor)

    visitor.page.get_by_role("link", name="Zurück zur Karte").click()
    opens_action(visitor, "Punkte einlösen")
    visitor.page.locator("#id_points").press_sequentially("5", delay=40)
    visitor.presses("Enter")
    visitor.page.locator("#question").wait_for()
    confirms(visitor)
    visitor.sees("Punkte werden nur über die Mitgliedsnummer abgebucht")
    looks_right(visitor)
