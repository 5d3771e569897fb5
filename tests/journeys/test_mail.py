"""A mail is written, caught and read; what did not leave is seen, sent again and withdrawn."""

import subprocess
import sys

import pytest

from portal.running import BASE
from tests.journeys.conftest import logs
from tests.journeys.test_canaries import broker_files, dump, spellings

WIDE = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
LOOKS = [WIDE, PHONE, {**WIDE, "color_scheme": "dark"}, {**PHONE, "color_scheme": "dark"}]
OUTBOX = "/m/baeckerei-jung/outbox/"

WRITE = """
from django.core.mail import send_mail
from portal.merchants import tenancy
from portal.merchants.models import Member, Person

olivia = Person.objects.get(email="olivia@example.com")
with tenancy.memberships_of(olivia.pk):
    jung = Member.objects.get(person=olivia, merchant__slug="baeckerei-jung").merchant_id
with tenancy.merchant(jung):
    send_mail("{subject}", "Go to http://localhost/secret-journey/", None, ["{to}"])
"""


@pytest.fixture
def write(stack):
    """`write("Subject", "to@example.com")`: a mail of the bakery's."""

    def written(subject: str, to: str = "kim@example.com") -> None:
        script = WRITE.format(subject=subject, to=to)
        subprocess.run([sys.executable, "manage.py", "shell", "-v0", "-c", script], cwd=BASE, env=stack.env, check=True)

    return written


def looks_right(visitor) -> None:
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()


@pytest.mark.parametrize("visitor", LOOKS[:2], indirect=True)
def test_a_new_password_is_asked_for_and_its_mail_is_read_in_the_catcher(visitor):
    visitor.opens("/accounts/reset/")
    visitor.types("Email", "finn@example.com")
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/accounts/reset/code/**")
    visitor.opens("/demo/mail/")
    for _ in range(240):  # a minute
        if visitor.page.get_by_text("finn@example.com").count():
            break
        visitor.page.wait_for_timeout(250)
        visitor.page.reload()
    looks_right(visitor)
    visitor.page.get_by_text("finn@example.com").first.click()
    visitor.sees("Caught")
    looks_right(visitor)


@pytest.mark.parametrize("visitor", LOOKS, indirect=True)
def test_a_manager_follows_mails_in_the_outbox_and_withdraws_one(visitor, stack, write):
    write("Welcome to the bakery")
    write("Your card", "nobody")
    visitor.signs_in("milan")
    visitor.goes_to("Settings")
    visitor.clicks("Outbox", "link")
    visitor.sees("Welcome to the bakery")
    visitor.sees("This is not an address we can write to.")
    looks_right(visitor)

    visitor.page.get_by_role("link", name="Welcome to the bakery").first.click()
    visitor.sees("Handed over to the mail server, which took it.")
    assert "secret-journey" not in visitor.page.content()
    looks_right(visitor)

    stack.stop_process("worker")
    try:
        write("To be withdrawn")
        visitor.opens(OUTBOX)
        visitor.clicks("Queued", "link")
        visitor.page.get_by_role("checkbox").first.check()
        visitor.clicks("Withdraw the chosen ones")
        visitor.sees("Withdraw this mail?")
        looks_right(visitor)
        visitor.clicks("Withdraw it")
        visitor.sees("Withdrawn by Milan Becker.")
        looks_right(visitor)
        visitor.opens(f"{OUTBOX}?state=queued")
        visitor.sees("No mail is in this state.")
        looks_right(visitor)
    finally:
        stack.start_process("worker")


def test_a_link_that_works_once_stands_nowhere_but_in_the_mail(visitor, stack, write):
    secret = "secret-journey"
    stack.stop_process("worker")
    try:
        write("Canary", "kim@example.com")
        waiting = dump(stack) + broker_files(stack)
    finally:
        stack.start_process("worker")
    visitor.signs_in("milan")
    visitor.opens(OUTBOX)
    visitor.page.get_by_role("link", name="Canary").first.click()
    visitor.sees("Handed over to the mail server, which took it.")

    assert b"Canary" in waiting  # the dump is one, and the mail was there
    assert b"deliver_mails" in waiting
    kept = waiting + dump(stack) + broker_files(stack) + "".join(logs(stack).values()).encode()
    assert not [spelling for spelling in spellings(secret) if spelling in kept]
    assert any(secret in mail.read_text() for mail in stack.var.joinpath("caught").iterdir())
