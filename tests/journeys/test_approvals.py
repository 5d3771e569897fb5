"""A cashier asks above the limit, a manager answers in another browser, and the till goes on by itself."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.journeys.conftest import PASSWORD, Visitor
from tests.journeys.test_till import PHONE, card, opens_action, scans

WIDE = {"viewport": {"width": 1280, "height": 800}}
SCREENS = [WIDE, PHONE, {**WIDE, "color_scheme": "dark"}, {**PHONE, "color_scheme": "dark"}]


@pytest.fixture
def colleague(browser: Browser, stack, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """Somebody else, in a browser of their own."""
    context = browser.new_context(**{**WIDE, **getattr(request, "param", {})})
    person = Visitor(context.new_page(), stack)
    yield person
    person.finds_no_barrier()
    context.close()
    assert person.complaints == [], "the browser complained"


def looks_right(visitor: Visitor) -> None:
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()


def asks_for(visitor: Visitor, number: str, amount: str = "25000") -> None:
    """Alice wants to take more than she may alone; her page waits."""
    visitor.signs_in("alice")
    scans(visitor, number)
    visitor.page.locator("#id_amount").fill(amount)
    visitor.presses("Enter")
    visitor.sees("Alone you may move up to $200.00. A second person has to approve this first.")
    looks_right(visitor)
    visitor.page.locator("[data-confirm-button]").click()
    visitor.page.wait_for_url("**/approvals/**")
    visitor.sees("Milan Becker or Olivia Jung can approve it until")
    looks_right(visitor)


def finds_it(colleague: Visitor, last_four: str) -> None:
    colleague.signs_in("milan")
    colleague.clicks("Attention", "link")
    colleague.sees("You can approve it.")
    looks_right(colleague)
    colleague.page.locator("tr", has_text=last_four).locator("a").click()
    colleague.sees("Alice Sommer wants to take $250.00")
    looks_right(colleague)


@pytest.mark.parametrize(("visitor", "colleague"), [(screen, screen) for screen in SCREENS], indirect=True)
def test_a_manager_approves_in_another_browser_and_the_till_shows_done(visitor, colleague, request):
    number = card(40 + SCREENS.index(request.node.callspec.params["visitor"]))
    asks_for(visitor, number)
    finds_it(colleague, number[-4:])
    colleague.types("A word to go with it, if you like", "A birthday party.")
    colleague.clicks("Approve")
    colleague.sees(f"Let Alice Sommer take $250.00 from •••• {number[-4:]} at PayWizard.")
    looks_right(colleague)
    colleague.clicks("Approve")
    colleague.sees("Approved: Payment of $250.00 is on its way.")

    visitor.page.wait_for_url("**/operations/**")
    visitor.sees(f"Took $250.00 from •••• {number[-4:]}.")
    visitor.sees("Milan Becker approved it.")
    looks_right(visitor)


def test_refused_the_till_says_by_whom_and_why(visitor, colleague):
    number = card(45)
    asks_for(visitor, number)
    finds_it(colleague, number[-4:])
    colleague.types("A word to go with it, if you like", "Ask for cash instead.")
    colleague.clicks("Refuse")
    colleague.sees("Nothing is sent, and Alice Sommer sees your answer at once.")
    colleague.clicks("Refuse")
    colleague.sees("Refused: Payment of $250.00.")

    visitor.sees("Milan Becker said no. Nothing was sent.")
    visitor.sees("Ask for cash instead.")
    looks_right(visitor)


@pytest.mark.parametrize("visitor", [{**PHONE, "java_script_enabled": False}], indirect=True)
def test_without_javascript_it_is_asked_for_and_taken_back(visitor):
    visitor.signs_in("alice")
    visitor.opens("/m/baeckerei-jung/")
    visitor.page.get_by_label("Connection", exact=True).select_option(label="PayWizard · sandbox")
    visitor.types("Card number", card(46))
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/cards/**")
    opens_action(visitor, "Add money")
    visitor.page.locator("#id_amount").fill("250.00")
    visitor.presses("Enter")
    visitor.clicks("Ask a second person")
    visitor.page.wait_for_url("**/approvals/**")
    visitor.clicks("Take it back")

    visitor.sees("Alice Sommer took it back. Nothing was sent.")


@pytest.mark.parametrize("visitor", SCREENS, indirect=True)
def test_an_owner_sets_limits_and_reads_what_is_wrong_beside_its_field(visitor):
    visitor.opens("/accounts/login/?next=/m/baeckerei-jung/settings/limits/")
    visitor.types("Email", "olivia@example.com")
    visitor.types("Password", PASSWORD)
    visitor.presses("Enter")
    visitor.sees("The most that somebody moves alone")
    looks_right(visitor)
    visitor.types("Taking tips: Cashier", "lots")
    visitor.clicks("Save the limits")
    visitor.sees("Type an amount such as 12.50.")
    looks_right(visitor)
    visitor.types("Taking tips: Cashier", "50")
    visitor.clicks("Save the limits")
    visitor.page.get_by_role("status").get_by_text("1 limit was changed.").wait_for()
    visitor.types("Taking tips: Cashier", "")
    visitor.clicks("Save the limits")
    visitor.sees("1 limit was changed.")
