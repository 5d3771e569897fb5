"""Signing in: by e-mail and password, with limits that hold, and nothing told to a stranger."""

import pytest

from portal.merchants.models import Person

LOGIN = "/accounts/login/"


@pytest.fixture
def door(client, db):
    client.defaults["HTTP_HOST"] = "localhost"
    return client


def sign_in(door, email, password, **headers):
    return door.post(LOGIN, {"login": email, "password": password}, **headers)


def said(answer) -> str:
    """What stands in the summary of errors."""
    return answer.text.split("data-errors", 1)[-1].split("</ul>", 1)[0]


def test_the_right_password_leads_to_the_desk(door, alice):
    answer = sign_in(door, "alice@example.com", "open sesame")

    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert door.get("/").headers["Location"] == "/m/baeckerei-jung/"


def test_capitals_in_the_address_do_not_matter(door, alice):
    assert sign_in(door, "Alice@Example.com", "open sesame").status_code == 302


def test_after_signing_in_one_comes_to_the_page_that_was_asked_for(door, alice):
    answer = door.post(
        LOGIN, {"login": "alice@example.com", "password": "open sesame", "next": "/m/baeckerei-jung/settings/"}
    )

    assert answer["Location"] == "/m/baeckerei-jung/settings/"


def test_the_page_afterwards_is_never_on_another_site(door, alice):
    answer = door.post(
        LOGIN, {"login": "alice@example.com", "password": "open sesame", "next": "https://evil.example/"}
    )

    assert answer["Location"] == "/"


def test_known_and_unknown_people_are_refused_in_the_same_words(door, alice):
    known, unknown = (sign_in(door, who, "wrong") for who in ("alice@example.com", "nobody@example.com"))

    assert known.status_code == unknown.status_code
    assert said(known) == said(unknown)


def test_somebody_made_inactive_is_out_at_once(signed_in, alice):
    client = signed_in(alice)
    Person.objects.filter(pk=alice.pk).update(is_active=False)

    assert client.get("/m/baeckerei-jung/").status_code == 302


def test_after_some_wrong_tries_even_the_right_password_has_to_wait(door, alice):
    for _ in range(5):
        sign_in(door, "alice@example.com", "wrong")

    answer = sign_in(door, "alice@example.com", "open sesame")

    assert answer.status_code != 302
    assert "Too many failed" in answer.text


def test_the_limit_on_one_person_holds_for_tries_from_everywhere(door, alice, settings):
    settings.TRUSTED_PROXY_COUNT = settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    for last in range(5):
        sign_in(door, "alice@example.com", "wrong", HTTP_X_FORWARDED_FOR=f"203.0.113.{last}")

    answer = sign_in(door, "alice@example.com", "open sesame", HTTP_X_FORWARDED_FOR="203.0.113.99")

    assert answer.status_code != 302


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(door, alice):
    cookie = sign_in(door, "alice@example.com", "open sesame").cookies["tillside_session"]

    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
