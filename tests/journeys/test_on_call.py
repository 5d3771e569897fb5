"""On call at night: from a shopper's receipt to what became of it, and what to do, by the page alone."""

import subprocess
import sys
import time

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

from portal.running import BASE
from tests.journeys.conftest import PASSWORD
from tests.journeys.test_till import untouched_card

WIDE = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
MINUTE = 60

ADMINISTRATOR = """
from portal.merchants import accounts
from portal.merchants.models import Person
if not Person.objects.filter(email="{email}").exists():
    accounts.confirm_address(Person.objects.create_user("{email}", "{password}", name="Ada Night"))
"""

# Alice takes a payment, the answer gets lost, and an hour later it is still at Checking.
STUCK = """
from datetime import timedelta
from uuid import uuid4
from django.utils import timezone
from portal.desk import history
from portal.ledger.models import Operation, operation_writer
from portal.merchants import tenancy
from portal.merchants.models import Connection
from portal.merchants.roles import Role

alice = history._members()[Role.CASHIER]
with tenancy.merchant(alice.merchant_id):
    paywizard = Connection.objects.get(merchant=alice.merchant, provider="paywizard")
    hour_ago = timezone.now() - timedelta(hours=1)
    line = history.Wanted(at=hour_ago, role=Role.CASHIER, verb="pay", card="{card}", amount=1250, lost="redirect")
    operation = history._ask(alice, paywizard, uuid4(), line)
    with history.clock.set_to(history._running_from(line.at)), history._fault("paywizard", "pay", "redirect"):
        history._work(operation)
    operation_writer._open.set(True)
    later = timezone.now() + timedelta(hours=1)
    Operation.objects.filter(pk=operation.pk).update(begun_at=hour_ago, next_attempt_at=later)
    print(operation.key)
"""


def manage(stack, *arguments: str) -> str:
    made = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=BASE,
        env={**stack.env, "CELERY_BROKER_URL": "memory://"},  # the script works itself
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout


@pytest.fixture
def ada(visitor, stack, request):
    """An administrator at a browser, signed in with her second factor."""
    email = f"ada-{abs(hash(request.node.name)) % 10**8}@example.com"
    manage(stack, "shell", "-v0", "-c", ADMINISTRATOR.format(email=email, password=PASSWORD))
    manage(stack, "administrator", email)
    visitor.opens("/accounts/login/")
    visitor.types("Email", email)
    visitor.types("Password", PASSWORD)
    visitor.presses("Enter")
    visitor.page.wait_for_url(lambda url: "login" not in url)
    visitor.opens("/accounts/second-factor/app/")
    secret = visitor.page.locator(".to-copy").inner_text()
    step = int(time.time()) // 30
    visitor.types("Authenticator code", format_hotp_value(hotp_value(secret, step)))
    visitor.clicks("Set it up")
    visitor.sees("Recovery codes")
    visitor.opens("/on-call/")
    if "/prove/" in visitor.page.url:
        visitor.types("Code", format_hotp_value(hotp_value(secret, step + 1)))
        visitor.presses("Enter")
        visitor.page.wait_for_url("**/on-call/")
    return visitor


def looks_right(visitor) -> None:
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()


@pytest.mark.parametrize(
    "visitor",
    [WIDE, PHONE, {**WIDE, "color_scheme": "dark"}, {**PHONE, "color_scheme": "dark"}],
    indirect=True,
)
def test_from_a_shoppers_receipt_to_what_to_do_in_under_a_minute(ada, stack):
    stuck = manage(stack, "shell", "-v0", "-c", STUCK.format(card=untouched_card())).split()[-1].replace("-", "")
    ada.opens("/on-call/")
    looks_right(ada)

    began, before = time.monotonic(), ada.actions
    ada.types("Find anything", stuck)
    ada.presses("Enter")
    ada.sees("What comes next")

    assert time.monotonic() - began < MINUTE
    assert ada.actions - before == 2
    ada.sees("Payment of $12.50")
    ada.sees("Bäckerei Jung")
    ada.sees("We look again at")
    ada.sees("Alice")
    assert ada.page.get_by_role("link", name="Hand to the merchant").count() == 1
    ada.page.locator("details.exchange").first.locator("summary").click()
    looks_right(ada)

    ada.clicks("Hand to the merchant", "link")
    ada.types("Reason", "The shopper asks, and PayWizard does not answer: ticket 4711.")
    ada.clicks("Hand to the merchant")
    ada.sees("It stands in the merchant’s queue now.")
    ada.opens("/on-call/")
    ada.types("Find anything", stuck)
    ada.presses("Enter")
    ada.sees("It waits for the merchant’s people")
    looks_right(ada)


def test_the_page_says_who_is_at_work_and_its_numbers_hold_still_if_one_likes(ada):
    ada.opens("/on-call/")
    worker = ada.page.locator("#numbers tr", has_text="worker@")
    worker.get_by_text("At work").first.wait_for(timeout=60_000)  # it may have been started anew a moment ago
    before = ada.page.locator("#numbers .section-head p").inner_text()
    ada.page.wait_for_function(
        "text => document.querySelector('#numbers .section-head p').innerText !== text", arg=before, timeout=30_000
    )
    ada.clicks("Hold the numbers still", "link")
    ada.page.locator("#numbers:not([hx-trigger])").wait_for()
    looks_right(ada)


@pytest.mark.parametrize("visitor", [WIDE, PHONE], indirect=True)
def test_in_german_too(ada, stack):
    ada.page.context.add_cookies([{"name": "tillside_language", "value": "de", "url": stack.url}])
    ada.opens("/on-call/")
    ada.sees("Worauf es steht")
    looks_right(ada)


@pytest.mark.parametrize("visitor", [{**PHONE, "java_script_enabled": False}], indirect=True)
def test_without_javascript_something_is_found_just_the_same(ada):
    ada.types("Find anything", "no-such-reference")
    ada.clicks("Find")
    ada.sees("Nothing is known by this.")
