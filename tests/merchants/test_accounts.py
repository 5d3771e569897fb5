"""Signing up, forgotten passwords and changed addresses: codes by mail, and nothing told to a stranger."""

import re

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import hashers
from django.core import mail
from django.test import Client

from portal.merchants.models import Person

PASSWORD = "four words of mine"
NEWCOMER = {"name": "Nora Neu", "email": "nora@example.org", "password1": PASSWORD}


@pytest.fixture(autouse=True)
def _nothing_counted_yet(db):
    """The limits are counted in the database's cache, which is rolled back with each test."""


@pytest.fixture
def browser():
    return Client(HTTP_HOST="localhost")


def code_in(message) -> str:
    """The code a person would read in the mail: alone on its line."""
    found = re.search(r"^ {4}([A-Z0-9-]+)$", message.body, re.MULTILINE)
    assert found, message.body
    return found[1]


def signs_up(browser, **changes):
    return browser.post("/accounts/sign-up/", NEWCOMER | changes)


def shape(answer) -> tuple[object, ...]:
    """What a stranger can see of an answer: status, headers, length, and the page but for what is new each time."""
    text = re.sub(r'value="[^"]{64}"|"X-CSRFToken": "[^"]+"|<code>[0-9a-f]{12}</code>', "", answer.text)
    text = re.sub(r"[\w.]+@[\w.]+", "…", text)
    return answer.status_code, answer.get("Location"), sorted(answer.headers), text


# ---- Signing up -----------------------------------------------------------------------------------------------
def test_who_signs_up_is_in_after_typing_the_code_that_came_by_mail(browser):
    signs_up(browser)
    before = browser.get("/")

    browser.post("/accounts/confirm-email/", {"action": "verify", "code": code_in(mail.outbox[0])})

    assert before["Location"].startswith("/accounts/login/")
    assert browser.get("/").status_code == 302
    assert browser.get("/account/").status_code == 200
    nora = Person.objects.get(email="nora@example.org")
    assert nora.name == "Nora Neu"
    assert EmailAddress.objects.get(user=nora).verified


def test_who_has_just_signed_up_is_not_asked_for_the_password_again(browser):
    signs_up(browser)
    browser.post("/accounts/confirm-email/", {"action": "verify", "code": code_in(mail.outbox[0])})

    assert browser.get("/accounts/second-factor/app/").status_code == 200


def test_the_mail_with_the_code_is_plain_text_to_one_address(browser):
    signs_up(browser)

    [message] = mail.outbox
    assert message.to == ["nora@example.org"]
    assert message.alternatives == []
    assert "\n" not in message.subject


def test_without_the_code_the_password_opens_nothing(browser):
    signs_up(browser)

    other = Client(HTTP_HOST="localhost")
    other.post("/accounts/login/", {"login": "nora@example.org", "password": PASSWORD})

    assert "_auth_user_id" not in other.session
    assert other.get("/account/").status_code == 302


def test_three_wrong_codes_are_the_end_of_it(browser):
    signs_up(browser)
    for _ in range(3):
        browser.post("/accounts/confirm-email/", {"action": "verify", "code": "WRNG-WRNG"})

    browser.post("/accounts/confirm-email/", {"action": "verify", "code": code_in(mail.outbox[0])})

    assert "_auth_user_id" not in browser.session


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "a@b.example, c@d.example"),
        ("email", '"x" <a@b.example>'),
        ("email", "nora@example.org\r\nBcc: victim@example.com"),
        ("email", f"{'a' * 320}@example.org"),
        ("name", "\u202e\u200b \u2066"),
        ("name", "n" * 101),
        ("password1", "too short"),
        ("password1", "password1234"),
        ("password1", "nora@example.org"),
    ],
)
def test_what_cannot_be_is_said_beside_the_field_and_nothing_is_stored(browser, field, value):
    answer = signs_up(browser, **{field: value})

    assert answer.status_code == 200
    assert f"id_{field}_error" in answer.text
    assert not Person.objects.exists()
    assert mail.outbox == []


def test_a_line_break_in_a_name_becomes_a_space_and_never_a_header(browser):
    signs_up(browser, name="Nora\r\nBcc: victim@example.com")

    assert Person.objects.get().name == "Nora Bcc: victim@example.com"
    assert mail.outbox[0].recipients() == ["nora@example.org"]


def test_what_was_typed_is_kept_except_the_password(browser):
    answer = signs_up(browser, email="nobody")

    assert 'value="Nora Neu"' in answer.text
    assert PASSWORD not in answer.text


# ---- Equal answers --------------------------------------------------------------------------------------------
@pytest.fixture
def hashed(monkeypatch):
    """Counts what takes the time: password hashes made."""
    made = []
    real = hashers.MD5PasswordHasher.encode

    def encode(self, *args, **kwargs):
        made.append(1)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(hashers.MD5PasswordHasher, "encode", encode)
    return made


def both(hashed, act):
    """What a stranger sees of a known and of an unknown address, how many hashes and how many mails each cost."""
    seen = []
    for email in ("alice@example.com", "nobody@example.com"):
        hashed.clear()
        mail.outbox.clear()
        browser = Client(HTTP_HOST="localhost")
        answer = act(browser, email)
        seen.append((shape(answer), len(hashed), len(mail.outbox)))
    return seen


def test_signing_in_looks_and_costs_the_same_for_known_and_unknown_people(alice, hashed):
    known, unknown = both(
        hashed, lambda browser, email: browser.post("/accounts/login/", {"login": email, "password": "wrong"})
    )

    assert known == unknown
    assert known[1] == 1


def test_signing_up_looks_and_costs_the_same_for_known_and_unknown_people(alice, hashed):
    known, unknown = both(hashed, lambda browser, email: signs_up(browser, email=email))

    assert known == unknown
    assert known[1:] == (1, 1)


def test_the_page_after_signing_up_is_the_same_for_known_and_unknown_people(alice, hashed):
    def act(browser, email):
        signs_up(browser, email=email)
        return browser.get("/accounts/confirm-email/")

    known, unknown = both(hashed, act)

    assert known == unknown


def test_a_wrong_code_after_signing_up_is_refused_the_same_way_for_known_and_unknown_people(alice, hashed):
    def act(browser, email):
        signs_up(browser, email=email)
        return browser.post("/accounts/confirm-email/", {"action": "verify", "code": "WRNG-WRNG"})

    known, unknown = both(hashed, act)

    assert known == unknown


def test_a_forgotten_password_looks_and_costs_the_same_for_known_and_unknown_people(alice, hashed):
    def act(browser, email):
        browser.post("/accounts/reset/", {"email": email})
        return browser.get("/accounts/reset/code/")

    known, unknown = both(hashed, act)

    assert known == unknown
    assert known[2] == 1


def test_signing_up_with_an_address_that_has_an_account_changes_nothing_and_says_so_by_mail_only(alice, browser):
    before = Person.objects.get(pk=alice.pk).password

    signs_up(browser, email="alice@example.com")

    assert Person.objects.get().password == before
    assert "has an account already" in mail.outbox[0].body
    assert "http://localhost:8000/accounts/reset/" in mail.outbox[0].body


# ---- A forgotten password -------------------------------------------------------------------------------------
def test_with_the_code_from_the_mail_a_new_password_is_chosen(alice, browser):
    browser.post("/accounts/reset/", {"email": "Alice@Example.com"})
    browser.post("/accounts/reset/code/", {"code": code_in(mail.outbox[0])})
    browser.post("/accounts/reset/password/", {"password1": PASSWORD, "password2": PASSWORD})

    answer = browser.post("/accounts/login/", {"login": "alice@example.com", "password": PASSWORD})

    assert answer.status_code == 302
    assert "_auth_user_id" in browser.session
    assert "was changed" in mail.outbox[1].body


def test_a_new_password_ends_every_session(alice, browser, signed_in):
    elsewhere = signed_in(alice)
    browser.post("/accounts/reset/", {"email": "alice@example.com"})
    browser.post("/accounts/reset/code/", {"code": code_in(mail.outbox[0])})

    browser.post("/accounts/reset/password/", {"password1": PASSWORD, "password2": PASSWORD})

    assert elsewhere.get("/m/baeckerei-jung/")["Location"].startswith("/accounts/login/")


def test_a_code_is_of_no_use_in_another_browser(alice, browser):
    browser.post("/accounts/reset/", {"email": "alice@example.com"})
    other = Client(HTTP_HOST="localhost")
    other.post("/accounts/reset/", {"email": "alice@example.com"})

    other.post("/accounts/reset/code/", {"code": code_in(mail.outbox[0])})

    assert other.get("/accounts/reset/password/").status_code == 302


def test_nobody_is_flooded_with_codes(alice, browser):
    answers = [browser.post("/accounts/reset/", {"email": "alice@example.com"}).status_code for _ in range(6)]

    assert answers == [302, 302, 302, 429, 429, 429]
    assert len(mail.outbox) == 3


def test_mail_to_one_address_is_limited_over_all_the_ways_to_have_it_sent(alice, settings):
    settings.SIGN_IN_LIMITS = settings.SIGN_IN_LIMITS | {"mail_to_one": "2/h/key"}
    Client(HTTP_HOST="localhost").post("/accounts/reset/", {"email": "alice@example.com"})
    signs_up(Client(HTTP_HOST="localhost"), email="alice@example.com")

    answer = Client(HTTP_HOST="localhost").post("/accounts/reset/", {"email": "alice@example.com"})

    assert answer.status_code == 429
    assert len(mail.outbox) == 2


def test_mail_to_strangers_is_limited_over_all_addresses(settings):
    settings.SIGN_IN_LIMITS = settings.SIGN_IN_LIMITS | {"mail_to_all": "3/h/key"}
    for number in range(5):
        address = {"HTTP_X_FORWARDED_FOR": "", "REMOTE_ADDR": f"203.0.113.{number}"}
        Client(HTTP_HOST="localhost", **address).post("/accounts/reset/", {"email": f"{number}@example.com"})

    assert len(mail.outbox) == 3


# ---- One's own account ----------------------------------------------------------------------------------------
def test_a_changed_password_ends_all_other_sessions_and_keeps_this_one(alice, signed_in):
    here, elsewhere = signed_in(alice), signed_in(alice)
    key = here.session.session_key

    here.post("/accounts/password/", {"oldpassword": "open sesame", "password1": PASSWORD, "password2": PASSWORD})

    assert here.get("/m/baeckerei-jung/").status_code == 200
    assert here.session.session_key != key
    assert elsewhere.get("/m/baeckerei-jung/").status_code == 302
    assert "was changed" in mail.outbox[0].body


def test_a_new_address_counts_once_its_code_is_typed_and_the_old_one_hears_of_it(alice, signed_in):
    here = signed_in(alice)
    here.post("/accounts/email/", {"email": "alice@new.example", "action_add": ""})
    before = Person.objects.get(pk=alice.pk).email

    here.post("/accounts/confirm-email/", {"action": "verify", "code": code_in(mail.outbox[0])})

    assert before == "alice@example.com"
    assert Person.objects.get(pk=alice.pk).email == "alice@new.example"
    assert [message.to for message in mail.outbox] == [["alice@new.example"], ["alice@example.com"]]


def test_an_address_of_another_account_is_not_told_to_be_one(alice, ben, signed_in):
    here = signed_in(alice)

    answer = here.post("/accounts/email/", {"email": "ben@example.com", "action_add": ""})

    assert answer["Location"] == "/accounts/confirm-email/"
    here.post("/accounts/confirm-email/", {"action": "verify", "code": code_in(mail.outbox[0])})
    assert Person.objects.get(pk=alice.pk).email == "alice@example.com"
    assert EmailAddress.objects.get(email="ben@example.com").user == ben


def test_people_change_their_own_name(alice, signed_in):
    here = signed_in(alice)

    here.post("/account/", {"name": "  Alice \u202e Sommer "})

    assert Person.objects.get(pk=alice.pk).name == "Alice Sommer"


def test_ones_own_account_is_for_those_who_are_signed_in(browser):
    for path in ("/account/", "/accounts/email/", "/accounts/password/", "/accounts/prove/"):
        assert browser.get(path)["Location"].startswith("/accounts/login/"), path
