"""An administrator, from the second factor to looking at a merchant's pages, with nothing changed on the way."""

import re
import subprocess
import sys
import time
import uuid

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

from portal.running import BASE
from tests.journeys.test_accounts import opens_a_shop, signs_in, signs_up
from tests.journeys.test_till import arrives, confirms, types_an_amount, untouched_card

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
JUNG = "/m/baeckerei-jung/"
# Chromium says in the console what the policy forbade; this says it in words, and for what Chromium keeps to itself.
LISTENS = "addEventListener('securitypolicyviolation', e => console.error(`policy: ${e.violatedDirective}`))"


def becomes_an_administrator(visitor) -> None:
    """Signs up like anybody, is made an administrator on the server, and sets up a second factor."""
    visitor.page.add_init_script(LISTENS)
    email = f"ada-{uuid.uuid4().hex[:8]}@example.org"
    signs_up(visitor, email)
    opens_a_shop(visitor)
    command = [sys.executable, "manage.py", "administrator", email]
    subprocess.run(command, cwd=BASE, env=visitor.stack.env, check=True, capture_output=True)
    signs_in(visitor, email)
    visitor.sees("Administrators need a second factor")
    visitor.clicks("Set up an app", "link")
    secret = visitor.page.locator(".to-copy").inner_text()
    visitor.types("Authenticator code", format_hotp_value(hotp_value(secret, int(time.time()) // 30)))
    visitor.clicks("Set it up")
    visitor.sees("Recovery codes")
    visitor.opens("/admin/")
    visitor.types("Code", format_hotp_value(hotp_value(secret, int(time.time()) // 30 + 1)))
    visitor.presses("Enter")
    visitor.sees("Find a merchant")


def takes_a_payment(visitor) -> None:
    """At Jung, by Alice: an operation to be found."""
    arrives(visitor, untouched_card())
    types_an_amount(visitor, "100")
    visitor.presses("Enter")
    confirms(visitor)
    visitor.page.context.clear_cookies()


@pytest.mark.parametrize("visitor", [{}, {**PHONE, "color_scheme": "dark"}], indirect=True)
def test_an_administrator_finds_a_merchant_and_looks_at_its_pages_without_changing_anything(visitor):
    takes_a_payment(visitor)
    becomes_an_administrator(visitor)
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    visitor.types("Find a merchant", "Bäcker")
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/merchant/?q=*")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    visitor.clicks("Bäckerei Jung", "link")
    visitor.sees("Time zone")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    visitor.page.get_by_role("main").get_by_role("link", name="Operations", exact=True).click()
    visitor.page.wait_for_url("**/operation/?merchant=*")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    visitor.page.locator("main td.lead a").first.click()
    visitor.sees("Our reference")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()
    [reference] = re.findall(r"\b[0-9a-f]{32}\b", visitor.page.get_by_role("main").inner_text())
    visitor.opens(f"/admin/ledger/operation/?q={reference}")
    assert visitor.page.locator("main td.lead").count() == 1
    visitor.page.get_by_role("link", name="Bäckerei Jung").first.click()

    visitor.clicks("Look at its pages", "link")
    visitor.page.wait_for_url("**/look/")
    visitor.finds_no_barrier()
    visitor.types("Reason", "Olivia called: the desk shows an old balance.")
    visitor.clicks("Look at its pages")
    visitor.page.wait_for_url(f"**{JUNG}")
    for page in ("", "attention/", "settings/", "settings/people/", "outbox/"):
        visitor.opens(JUNG + page)
        visitor.sees("You look at Bäckerei Jung as an administrator; nothing can be changed.")
        visitor.finds_no_barrier()
        visitor.has_no_sideways_scroll()

    # What no page offers is tried all the same, with the page's own token.
    visitor.opens(JUNG)
    answer = visitor.page.evaluate(
        """async path => {
            const token = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
            const answer = await fetch(path, {method: "POST", headers: {"X-CSRFToken": token}});
            return [answer.status, await answer.text()];
        }""",
        f"{JUNG}leave/",
    )
    assert answer[0] == 403
    assert "nothing can be changed" in answer[1]
    visitor.clicks("Stop looking")
    visitor.sees("Time zone")
    visitor.opens(JUNG)
    visitor.sees("There is no such page")


def test_the_merchant_reads_who_looked(visitor):
    """In the trail, with the reason."""
    becomes_an_administrator(visitor)
    visitor.opens("/admin/merchants/merchant/?q=baeckerei-jung")
    visitor.clicks("Bäckerei Jung", "link")
    visitor.clicks("Look at its pages", "link")
    visitor.types("Reason", "Olivia called: the trail should say so.")
    visitor.clicks("Look at its pages")
    visitor.page.wait_for_url(f"**{JUNG}")
    visitor.page.context.clear_cookies()

    visitor.signs_in("milan")
    visitor.opens(f"{JUNG}settings/trail/")

    visitor.sees("Olivia called: the trail should say so.")
    visitor.sees("Began to look at all pages as an administrator")
