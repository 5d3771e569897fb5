"""From an invitation to the first page of whoever was invited, and what becomes of people who are signed in."""

import uuid

import pytest

from tests.journeys.conftest import Visitor

WIDE = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
LOOKS = [WIDE, PHONE, {**WIDE, "color_scheme": "dark"}, {**PHONE, "color_scheme": "dark"}]
JUNG = "/m/baeckerei-jung/"
PEOPLE = f"{JUNG}settings/people/"


@pytest.fixture
def newcomer(browser, stack, visitor):
    """A second person at a browser that looks like the first one's."""
    context = browser.new_context(viewport=visitor.page.viewport_size)
    person = Visitor(context.new_page(), stack)
    yield person
    context.close()
    assert person.complaints == [], "the browser complained"


def looks_right(visitor) -> None:
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()


def link_mailed_to(visitor, email: str) -> str:
    """The link in the newest mail to this address, as it stands in the demo's mail catcher."""
    for _ in range(240):  # a minute
        visitor.opens("/demo/mail/")
        if visitor.page.get_by_text(email).count():
            break
        visitor.page.wait_for_timeout(250)
    visitor.page.get_by_text(email).first.click()
    return str(visitor.page.locator("a[href*='/invitations/']").first.get_attribute("href"))


def invites(visitor, email: str, role: str) -> None:
    visitor.opens(PEOPLE)
    visitor.clicks("Invite somebody", "link")
    visitor.types("E-mail address", email)
    visitor.page.get_by_label(role, exact=True).check()
    visitor.clicks("Send the invitation")
    visitor.sees(f"The invitation to {email} is on its way.")


def joins(newcomer, link: str, name: str) -> None:
    newcomer.page.goto(link)
    newcomer.types("Your name", name)
    newcomer.types("Password", "correct horse battery")
    newcomer.clicks("Make my account and accept")
    newcomer.page.wait_for_url(f"**{JUNG}")


@pytest.mark.parametrize("visitor", LOOKS, indirect=True)
def test_a_manager_invites_somebody_who_makes_an_account_and_stands_at_the_desk(visitor, newcomer):
    email = f"nora-{uuid.uuid4().hex[:8]}@example.org"
    visitor.signs_in("milan")
    visitor.goes_to("Settings")
    visitor.sees("People and invitations")
    looks_right(visitor)
    visitor.clicks("People and invitations", "link")
    visitor.clicks("Invite somebody", "link")
    visitor.sees("Send the invitation")
    looks_right(visitor)
    visitor.types("E-mail address", "nora@")
    visitor.clicks("Send the invitation")
    visitor.sees("Type one whole address")
    looks_right(visitor)

    visitor.types("E-mail address", email)
    visitor.page.get_by_label("Marketing", exact=True).check()
    visitor.sees("Not allowed")
    visitor.clicks("Send the invitation")
    visitor.sees(f"The invitation to {email} is on its way.")
    looks_right(visitor)
    newcomer.page.goto(link_mailed_to(newcomer, email))
    newcomer.sees("Milan Becker invites you to work at Bäckerei Jung as Marketing.")
    assert newcomer.page.url.endswith("/invitation/")
    looks_right(newcomer)
    newcomer.page.get_by_text("What Marketing can do").click()
    newcomer.sees("Seeing the desk")
    newcomer.types("Your name", "Nora Neu")
    newcomer.types("Password", "short")
    newcomer.clicks("Make my account and accept")
    newcomer.sees("This password is too short.")
    looks_right(newcomer)
    newcomer.types("Password", "correct horse battery")
    newcomer.clicks("Make my account and accept")

    newcomer.sees("Welcome to Bäckerei Jung. You are Marketing here.")
    looks_right(newcomer)
    newcomer.opens(f"{JUNG}roles/")
    looks_right(newcomer)
    newcomer.opens(f"{JUNG}leave/")
    looks_right(newcomer)
    newcomer.clicks("Leave Bäckerei Jung")
    newcomer.sees("You have left Bäckerei Jung.")


def test_a_role_changes_and_ends_while_somebody_is_signed_in(visitor, newcomer):
    email = f"theo-{uuid.uuid4().hex[:8]}@example.org"
    visitor.signs_in("milan")
    invites(visitor, email, "Marketing")
    joins(newcomer, link_mailed_to(newcomer, email), "Theo Neu")
    newcomer.opens(PEOPLE)
    newcomer.sees("Seeing stores, people and connections is for")

    visitor.opens(PEOPLE)
    visitor.clicks("Theo Neu", "link")
    visitor.sees("Another role")
    looks_right(visitor)
    visitor.page.get_by_label("Accountant", exact=True).check()
    visitor.clicks("Change the role")
    visitor.sees("Theo Neu becomes Accountant instead of Marketing.")
    looks_right(visitor)
    visitor.clicks("Make Theo Neu Accountant")
    visitor.sees("Theo Neu is Accountant now.")

    newcomer.page.reload()
    newcomer.sees("Working here")
    visitor.clicks("Theo Neu", "link")
    visitor.clicks("Remove Theo Neu", "link")
    visitor.sees("loses Bäckerei Jung at once, on every device.")
    looks_right(visitor)
    visitor.clicks("Remove Theo Neu")
    visitor.sees("Theo Neu does not work here any more.")
    newcomer.page.reload()
    newcomer.sees("There is no such page")


def test_somebody_signed_in_as_another_is_told_and_goes_on_after_signing_out(visitor, newcomer):
    visitor.signs_in("milan")
    invites(visitor, "lucy@example.com", "Cashier")
    link = link_mailed_to(newcomer, "lucy@example.com")
    newcomer.signs_in("ben")

    newcomer.page.goto(link)
    newcomer.sees("You are signed in as ben@example.com, but the invitation is for lucy@example.com.")
    looks_right(newcomer)
    newcomer.clicks("Sign out and go on")
    newcomer.sees("There is an account with this address.")
    looks_right(newcomer)
    newcomer.clicks("Sign in", "link")
    newcomer.types("Email", "lucy@example.com")
    newcomer.types("Password", "look-around-2026")
    newcomer.presses("Enter")
    newcomer.sees("You are signed in as Lucy Moana")
    looks_right(newcomer)
    newcomer.clicks("Decline")
    newcomer.sees("This invitation was declined")
    looks_right(newcomer)


@pytest.mark.parametrize("visitor", [{**WIDE, "java_script_enabled": False}], indirect=True)
def test_people_are_invited_without_any_script(visitor):
    visitor.signs_in("finn")
    visitor.opens("/m/kauri-books/settings/people/invite/")
    visitor.types("E-mail address", f"noscript-{uuid.uuid4().hex[:8]}@example.org")
    visitor.page.get_by_label("Cashier", exact=True).check()
    visitor.clicks("Send the invitation")
    visitor.sees("is on its way.")
    visitor.clicks("Withdraw")
    visitor.sees("is withdrawn. Its link is dead.")
