"""A connection is paused, every till says why, what was accepted waits, and runs in order when it is resumed; and what
an administrator switches off says so, too."""

from tests.journeys.conftest import Visitor
from tests.journeys.test_admin import becomes_an_administrator
from tests.journeys.test_till import confirms, scans, untouched_card

SETTINGS = "/m/baeckerei-jung/settings/"


def another(visitor, browser, stack):
    """Somebody else at a browser of their own."""
    return Visitor(browser.new_context(viewport={"width": 1280, "height": 800}).new_page(), stack)


def row(visitor, name: str):
    return visitor.page.locator("tr").filter(has=visitor.page.get_by_role("link", name=name, exact=True))


def test_a_pause_is_said_at_the_till_and_its_page_tells_how_it_went_on(visitor, browser, stack):
    visitor.signs_in("milan")
    visitor.opens(SETTINGS)
    row(visitor, "PayWizard").get_by_role("link", name="Pause").click()
    visitor.types("Why", "PayWizard is being serviced until noon")
    visitor.finds_no_barrier()
    visitor.clicks("Continue")
    visitor.sees("Pause PayWizard? Nothing is sent there until somebody resumes it.")
    visitor.finds_no_barrier()
    visitor.clicks("Pause PayWizard")
    visitor.sees("Nothing waits.")
    visitor.finds_no_barrier()

    alice = another(visitor, browser, stack)
    alice.signs_in("alice")
    alice.sees("PayWizard is paused since")
    alice.sees("PayWizard is being serviced until noon")
    alice.finds_no_barrier()

    visitor.page.locator("#resume").click()
    visitor.sees("PayWizard is asked again.")
    alice.opens("/m/baeckerei-jung/")
    assert alice.page.get_by_text("PayWizard is paused since").count() == 0
    scans(alice, untouched_card())
    alice.page.locator("#id_amount").fill("1.00")
    alice.presses("Enter")
    confirms(alice)
    alice.sees("Done", within=20)

    visitor.opens(SETTINGS)
    row(visitor, "PayWizard").get_by_role("link", name="Health").click()
    visitor.sees("PayWizard is being serviced until noon")
    visitor.finds_no_barrier()
    visitor.page.get_by_role("table", name="Pauses").get_by_role("link").first.click()
    visitor.sees("Nothing had to wait.")
    assert alice.complaints == []


def test_an_administrator_switches_a_provider_off_and_on_again(visitor, browser, stack):
    becomes_an_administrator(visitor)
    visitor.opens("/on-call/switches/")
    visitor.sees("Nothing is switched off.")
    visitor.page.get_by_label("Provider", exact=True).select_option(label="PayWizard")
    visitor.types("Reason", "Their status page says so")
    visitor.types("What tills say", "Take cash for now.")
    visitor.finds_no_barrier()
    visitor.clicks("Continue")
    visitor.sees("Switch off PayWizard, for all it concerns, until somebody switches it on again?")
    visitor.finds_no_barrier()
    visitor.clicks("Switch it off")
    visitor.sees("PayWizard is switched off.")
    visitor.finds_no_barrier()

    alice = another(visitor, browser, stack)
    alice.signs_in("alice")
    alice.sees("Take cash for now.")
    alice.finds_no_barrier()
    visitor.clicks("Switch it on again", "link")
    visitor.sees("What will run, in this order")
    visitor.finds_no_barrier()
    visitor.clicks("Switch on PayWizard")
    visitor.sees("PayWizard is switched on again.")

    alice.opens("/m/baeckerei-jung/")
    assert alice.page.get_by_text("Take cash for now.").count() == 0
