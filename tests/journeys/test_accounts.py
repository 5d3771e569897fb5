"""From signing up to the first balance, and every way to prove who one is."""

import re
import time
import uuid
from email import message_from_bytes, policy

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

PASSWORD = "four words of mine"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def newcomer() -> str:
    return f"nora-{uuid.uuid4().hex[:8]}@example.org"


def code_for(stack, email: str) -> str:
    """The code in the newest mail to this address, once a worker has delivered it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for file in sorted((stack.var / "caught").glob("*.eml"), reverse=True):
            mail = message_from_bytes(file.read_bytes(), policy=policy.default)
            body = mail.get_body(("plain",))
            if email in str(mail["To"]) and body is not None:
                found = re.search(r"^ {4}([A-Z0-9-]+)\s*$", body.get_content(), re.MULTILINE)
                if found:
                    file.unlink()
                    return found[1]
        time.sleep(0.2)
    raise AssertionError(f"No mail with a code came for {email}.")


def signs_up(visitor, email: str) -> None:
    visitor.opens("/accounts/sign-up/")
    visitor.types("Your name", "Nora Neu")
    visitor.types("Email", email)
    visitor.types("Password", PASSWORD)
    visitor.clicks("Sign up")
    visitor.sees("Look into your mail")
    visitor.finds_no_barrier()
    visitor.types("Code", code_for(visitor.stack, email))
    visitor.presses("Enter")
    visitor.sees("Open your shop")


def opens_a_shop(visitor) -> None:
    visitor.types("Name of the shop", "Kiwi & Co")
    visitor.page.get_by_label("Country", exact=True).select_option("NZ")
    visitor.sees("often use CardInquiry")
    visitor.finds_no_barrier()
    visitor.clicks("Open the shop")
    visitor.page.wait_for_url("**/m/kiwi-co*/")


def signs_in(visitor, email: str, password: str = PASSWORD) -> None:
    visitor.opens("/accounts/login/")
    visitor.types("Email", email)
    visitor.types("Password", password)
    visitor.presses("Enter")


def signs_out(visitor) -> None:
    visitor.opens("/accounts/logout/")
    visitor.clicks("Sign out")
    visitor.page.wait_for_url("**/accounts/login/")


@pytest.mark.parametrize("visitor", [{}, PHONE], indirect=True)
def test_from_signing_up_to_the_first_balance(visitor):
    signs_up(visitor, newcomer())
    opens_a_shop(visitor)
    visitor.sees("First connect a provider")
    visitor.finds_no_barrier()
    visitor.clicks("Connect the practice provider")
    visitor.page.locator("#scan-number").wait_for(timeout=30000)

    visitor.looks_up("6280390000000001")

    visitor.sees("$25.50")
    visitor.has_no_sideways_scroll()


def test_an_app_as_second_factor_and_a_recovery_code_when_it_is_lost(visitor):
    email = newcomer()
    signs_up(visitor, email)
    opens_a_shop(visitor)
    visitor.opens("/account/")
    visitor.finds_no_barrier()
    visitor.clicks("Set up an app", "link")
    visitor.finds_no_barrier()
    secret = visitor.page.locator(".to-copy").inner_text()
    visitor.types("Authenticator code", format_hotp_value(hotp_value(secret, int(time.time()) // 30)))
    visitor.clicks("Set it up")
    visitor.sees("Recovery codes")
    visitor.finds_no_barrier()
    codes = visitor.page.locator(".recovery li").all_inner_texts()
    assert len(codes) == 10
    signs_out(visitor)

    signs_in(visitor, email)
    visitor.sees("Your second factor")
    visitor.finds_no_barrier()
    visitor.types("Code", format_hotp_value(hotp_value(secret, int(time.time()) // 30 + 1)))
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/m/kiwi-co*/")

    visitor.page.context.clear_cookies()
    signs_in(visitor, email)
    visitor.sees("Your second factor")
    visitor.types("Code", codes[0])
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/m/kiwi-co*/")


def test_a_passkey_signs_in_without_a_password(visitor):
    device = visitor.page.context.new_cdp_session(visitor.page)
    device.send("WebAuthn.enable")
    device.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    email = newcomer()
    signs_up(visitor, email)
    opens_a_shop(visitor)
    visitor.opens("/accounts/passkeys/add/")
    visitor.finds_no_barrier()
    visitor.clicks("Add the passkey")
    visitor.sees("Recovery codes")
    visitor.opens("/account/")
    visitor.sees("Passkey 1")
    visitor.finds_no_barrier()
    signs_out(visitor)

    visitor.clicks("Sign in with a passkey")

    visitor.page.wait_for_url("**/m/kiwi-co*/")
    signs_out(visitor)
    visitor.page.context.clear_cookies()
    signs_in(visitor, email)
    visitor.sees("Your second factor")
    visitor.clicks("Use a passkey")
    visitor.page.wait_for_url("**/m/kiwi-co*/")


def test_a_forgotten_password_is_replaced_and_ends_other_sessions(visitor):
    email = newcomer()
    signs_up(visitor, email)
    opens_a_shop(visitor)
    desk = visitor.page.url
    elsewhere = visitor.page.context.browser.new_context(storage_state=visitor.page.context.storage_state())
    visitor.page.context.clear_cookies()
    visitor.opens("/accounts/login/")
    visitor.clicks("Forgot your password?", "link")
    visitor.finds_no_barrier()
    visitor.types("Email", email)
    visitor.clicks("Send the code")
    visitor.types("Code", code_for(visitor.stack, email))
    visitor.clicks("Go on")
    visitor.sees("Choose a new password")
    visitor.finds_no_barrier()
    visitor.types("New Password", "other words of mine")
    visitor.types("New Password (again)", "other words of mine")
    visitor.clicks("Change the password")
    visitor.sees("The password is changed")

    signs_in(visitor, email, "other words of mine")

    visitor.page.wait_for_url("**/m/kiwi-co*/")
    page = elsewhere.new_page()
    page.goto(desk)
    assert "/accounts/login/" in page.url
    elsewhere.close()
