"""A lost answer comes to the queue, and people say what became of it."""

import itertools
import subprocess
import sys

import pytest

from portal.running import BASE

QUEUE = "/m/baeckerei-jung/attention/"
WIDE = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

# Alice asks for a payment, the answer is lost, nothing happened, and the balance proves nothing.
LOSE = """
from datetime import timedelta
from uuid import uuid4
from django.utils import timezone
from portal.desk import history
from portal.merchants import tenancy
from portal.merchants.models import Connection
from portal.merchants.roles import Role

alice = history._members()[Role.CASHIER]
with tenancy.merchant(alice.merchant_id):
    paywizard = Connection.objects.get(merchant=alice.merchant, provider="paywizard")
    line = history.Wanted(
        at=timezone.now() - timedelta(minutes=5),
        role=Role.CASHIER,
        verb="pay",
        card="{card}",
        amount={amount},
        lost="redirect",
    )
    line.made = history._ask(alice, paywizard, uuid4(), line)
    history._bring_to_its_end(line.made, line)
    print(line.made.key)
"""
_cards = itertools.count(914639_000_000_980)


@pytest.fixture
def lose(stack):
    """`lose(amount)`: a payment that nobody knows the end of; its page and its card's last four."""

    def lost(amount: int) -> tuple[str, str]:
        card = str(next(_cards))
        made = subprocess.run(
            [sys.executable, "manage.py", "shell", "-v0", "-c", LOSE.format(card=card, amount=amount)],
            cwd=BASE,
            env={**stack.env, "CELERY_BROKER_URL": "memory://"},  # it works itself
            capture_output=True,
            text=True,
            check=True,
        )
        return f"{QUEUE}{made.stdout.split()[-1]}/", card[-4:]

    return lost


def looks_right(visitor) -> None:
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()


@pytest.mark.parametrize(
    "visitor",
    [WIDE, PHONE, {**WIDE, "color_scheme": "dark"}, {**PHONE, "color_scheme": "dark"}],
    indirect=True,
)
def test_a_lost_answer_is_decided_by_hand_from_the_queue(visitor, lose):
    page, last_four = lose(1250)
    visitor.signs_in("milan")
    visitor.clicks("Attention", "link")
    visitor.sees(last_four)
    looks_right(visitor)

    visitor.page.locator(f'td a[href="{page}"]').click()
    visitor.sees("The money may or may not have been taken.")
    visitor.sees("The balance has not moved.")
    visitor.page.locator("details.exchange").first.locator("summary").click()
    looks_right(visitor)
    visitor.types("How do you know?", "Ms Lee of PayWizard: there is no such order.")
    visitor.clicks("It did not")
    visitor.sees(f"Record that $12.50 was not taken from •••• {last_four}.")
    visitor.sees("This cannot be changed.")
    looks_right(visitor)
    visitor.clicks("Record it")

    visitor.page.wait_for_url(f"**{QUEUE}")
    visitor.sees(f"Recorded: $12.50 was not taken from •••• {last_four}.")
    assert visitor.page.locator(f'a[href="{page}"]').count() == 0
    looks_right(visitor)
    visitor.opens(page)
    visitor.sees("Milan Becker said so.")
    looks_right(visitor)


@pytest.mark.parametrize("visitor", [{**PHONE, "java_script_enabled": False}], indirect=True)
def test_without_javascript_it_is_decided_just_the_same(visitor, lose):
    page, last_four = lose(1250)
    visitor.signs_in("milan")
    visitor.opens(page)
    visitor.types("How do you know?", "It is on the statement.")
    visitor.clicks("It happened")
    visitor.clicks("Back")
    assert visitor.page.input_value("#id_reason") == "It is on the statement."
    visitor.clicks("It happened")
    visitor.clicks("Record it")

    visitor.sees(f"Recorded: $12.50 was taken from •••• {last_four}.")


def test_above_the_limit_it_waits_for_somebody_else(visitor, lose):
    page, _last_four = lose(150_00)
    visitor.signs_in("milan")
    visitor.opens(page)
    visitor.sees("From $100.00 on, two people have to say the same.")
    visitor.types("How do you know?", "The customer showed the receipt.")
    visitor.clicks("It happened")
    visitor.clicks("Say so")
    visitor.sees("Your word is kept. Somebody else has to say the same.")
    looks_right(visitor)
    visitor.opens(page)
    visitor.sees("You have said so already.")
    looks_right(visitor)

    visitor.page.context.clear_cookies()
    visitor.opens(f"/accounts/login/?next={page}")
    visitor.types("Email", "olivia@example.com")
    visitor.types("Password", "look-around-2026")
    visitor.presses("Enter")
    visitor.sees("The customer showed the receipt.")
    visitor.types("How do you know?", "I saw the receipt, too.")
    visitor.clicks("It happened")
    visitor.clicks("Record it")

    visitor.sees("Recorded: $150.00 was taken")
    visitor.opens(page)
    visitor.sees("Milan Becker and Olivia Jung said so.")
    looks_right(visitor)


def test_the_question_for_the_provider_is_copied_with_one_press(visitor, lose):
    page, last_four = lose(1250)
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.signs_in("milan")
    visitor.opens(page)

    visitor.clicks("Copy the text")

    visitor.sees("Copied")
    assert f"Card ending in: {last_four}" in visitor.page.evaluate("navigator.clipboard.readText()")


def test_after_it_did_not_a_new_one_can_be_started(visitor, lose):
    page, _last_four = lose(1250)
    visitor.signs_in("milan")
    visitor.opens(page)
    visitor.types("How do you know?", "There is no such order.")
    visitor.clicks("It did not")
    visitor.clicks("Record it")
    visitor.sees("Recorded:")

    visitor.opens(page.replace("/attention/", "/operations/"))
    visitor.clicks("Start a new one", "link")

    visitor.sees("Amount")
    assert "do=pay" in visitor.page.url


def test_a_cashier_looks_and_reads_who_decides(visitor, lose):
    page, _last_four = lose(1250)
    visitor.signs_in("alice")
    visitor.opens(page)

    visitor.sees("Deciding what became of an operation is for Owner and Manager.")
    looks_right(visitor)


@pytest.mark.parametrize("visitor", [WIDE, PHONE], indirect=True)
def test_an_empty_queue_says_when_somebody_last_looked(visitor):
    visitor.signs_in("finn")
    visitor.clicks("Attention", "link")

    visitor.sees("Nothing unclear.")
    visitor.sees("Last check")
    looks_right(visitor)
