"""Where people are signed in, how long, and how all of it ends at once."""

import time
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.merchants import sessions, web_vault
from portal.merchants.models import BrowserSession, Person

DESK = "/m/baeckerei-jung/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PASSWORD = "open sesame"


def sign_in(email="alice@example.com", **traits):
    browser = Client(HTTP_HOST="localhost", **traits)
    browser.post("/accounts/login/", {"login": email, "password": PASSWORD})
    return browser


def is_in(browser) -> bool:
    return browser.get(DESK).status_code == 200


def test_a_session_gets_a_new_id_at_signing_in(alice):
    browser = Client(HTTP_HOST="localhost")
    browser.get("/accounts/login/")
    session = browser.session
    session["left"] = "behind"
    session.save()
    fixed = str(session.session_key)
    browser.cookies["tillside_session"] = fixed

    browser.post("/accounts/login/", {"login": "alice@example.com", "password": PASSWORD})

    assert browser.session.session_key != fixed
    assert not is_in_with(fixed)
    assert is_in(browser)


def is_in_with(key) -> bool:
    other = Client(HTTP_HOST="localhost")
    other.cookies["tillside_session"] = key
    return is_in(other)


def test_an_id_that_somebody_made_up_is_not_taken_over(alice):
    browser = Client(HTTP_HOST="localhost")
    browser.cookies["tillside_session"] = "a" * 32

    browser.post("/accounts/login/", {"login": "alice@example.com", "password": PASSWORD})

    assert browser.session.session_key != "a" * 32
    assert not is_in_with("a" * 32)


def test_each_session_is_listed_with_device_address_and_the_one_that_asks(alice):
    sign_in(HTTP_USER_AGENT=FIREFOX, REMOTE_ADDR="203.0.113.7").get(DESK)
    here = sign_in(HTTP_USER_AGENT="strange \u202e thing")
    here.get(DESK)

    page = here.get("/account/").text

    assert "Firefox on Linux" in page
    assert "203.0.113.7" in page
    assert page.count("· here") == 1
    assert "\u202e" not in page


def test_all_others_end_and_this_one_goes_on_under_a_new_id(alice):
    here, elsewhere = sign_in(), sign_in()
    assert is_in(here)
    assert is_in(elsewhere)
    key = here.session.session_key

    here.post("/account/end-sessions/")

    assert not is_in(elsewhere)
    assert is_in(here)
    assert here.session.session_key != key
    assert BrowserSession.objects.filter(person=alice).count() == 1


def test_other_peoples_sessions_go_on(alice, olivia):
    theirs, here = sign_in("olivia@example.com"), sign_in()
    here.get(DESK)

    here.post("/account/end-sessions/")

    assert is_in(theirs)


def test_signing_out_takes_the_session_and_its_line_away(alice):
    here = sign_in()
    here.get(DESK)
    key = here.session.session_key

    here.post("/accounts/logout/")

    assert not is_in_with(key)
    assert not BrowserSession.objects.exists()


def test_a_session_ends_after_twelve_hours_however_busy(alice, monkeypatch):
    here = sign_in()
    assert is_in(here)
    began = time.time()

    monkeypatch.setattr(sessions.time, "time", lambda: began + 12 * 3600 - 60)
    before = is_in(here)
    monkeypatch.setattr(sessions.time, "time", lambda: began + 12 * 3600 + 60)

    assert before
    assert not is_in(here)


def gone(seconds: float) -> None:
    """So much more of every session's time is gone."""
    Session.objects.update(expire_date=F("expire_date") - timedelta(seconds=seconds))


def left(browser) -> float:
    """Seconds until the session ends if nobody uses it."""
    row = Session.objects.get(session_key=browser.session.session_key)
    return float((row.expire_date - timezone.now()).total_seconds())


def test_a_session_in_use_goes_on_and_is_written_once_a_minute(alice):
    here = sign_in()
    assert is_in(here)
    gone(50)
    assert is_in(here)
    before = left(here)
    gone(20)
    assert is_in(here)
    after = left(here)

    gone(29 * 60)
    late = is_in(here)
    gone(30 * 60 + 1)

    assert before < 30 * 60 - 49, "a page within the first minute writes nothing"
    assert after > 30 * 60 - 50, "as many as before the 70 that were gone"
    assert late
    assert not is_in(here)


def test_a_page_that_changes_nothing_writes_nothing(alice):
    here = sign_in()
    assert is_in(here)

    with CaptureQueriesContext(connection) as asked:
        assert is_in(here)

    assert [each["sql"] for each in asked if not each["sql"].lstrip().startswith("SELECT")] == []


def test_a_session_of_half_a_minute_is_renewed_each_second(alice):
    here = sign_in()
    assert is_in(here)
    session = here.session
    session.set_expiry(30)
    session.save()
    gone(5)

    assert is_in(here)
    assert left(here) > 25, "more than were left"


def test_the_list_names_no_session_that_has_ended_by_itself(alice, settings):
    sign_in().get(DESK)
    here = sign_in()
    here.get(DESK)
    first = BrowserSession.objects.order_by("id").first()
    BrowserSession.objects.filter(pk=first.pk).update(seen_at="2026-01-01T00:00Z")

    assert [row.pk for row in sessions.open_ones(alice)] == [sessions.current_id(_request(here))]


def _request(browser):
    class Request:
        session = browser.session

    return Request


def test_a_closed_account_stays_closed_to_old_sessions_when_it_is_opened_again(alice):
    here = sign_in()
    assert is_in(here)

    sessions.end_all(alice)
    Person.objects.filter(pk=alice.pk).update(is_active=False)
    closed = is_in(here)
    Person.objects.filter(pk=alice.pk).update(is_active=True)

    assert not closed
    assert not is_in(here)


def test_a_busy_session_is_not_written_at_every_click(alice, django_assert_max_num_queries):
    here = sign_in()
    here.get("/account/")
    seen = BrowserSession.objects.get().seen_at

    here.get("/account/")

    assert BrowserSession.objects.get().seen_at == seen


# ---- Sealed ---------------------------------------------------------------------------------------------------
def test_what_a_session_holds_cannot_be_read_in_the_database(alice):
    browser = Client(HTTP_HOST="localhost")
    browser.post("/accounts/reset/", {"email": "alice@example.com"})
    code = browser.session["account_password_reset_verification"]["code"]

    row = Session.objects.get(session_key=browser.session.session_key)

    assert code not in row.session_data
    assert row.session_data.startswith("1:")


def test_a_session_whose_key_is_gone_is_signed_out_and_no_error(alice, settings):
    here = sign_in()
    settings.SIGN_IN_KEYS = "YW5vdGhlciBrZXksIGFub3RoZXIga2V5LCBhbm90aDE="

    assert not is_in(here)


def test_the_first_key_seals_and_all_open(settings):
    sealed = web_vault.seal("here", "seed")
    settings.SIGN_IN_KEYS = "YW5vdGhlciBrZXksIGFub3RoZXIga2V5LCBhbm90aDE=," + settings.SIGN_IN_KEYS

    assert web_vault.open_sealed("here", sealed) == "seed"
    assert web_vault.seal("here", "seed").split(":")[1] != sealed.split(":")[1]


@pytest.mark.parametrize("sealed", ["", "1:2:3", "1:aaaaaaaa:AAAA", "x" * 9999])
def test_what_is_no_box_of_ours_cannot_be_opened(sealed):
    with pytest.raises(web_vault.CannotOpen):
        web_vault.open_sealed("here", sealed)


def test_a_box_moved_elsewhere_cannot_be_opened():
    sealed = web_vault.seal("factor of 1", "seed")

    with pytest.raises(web_vault.CannotOpen):
        web_vault.open_sealed("factor of 2", sealed)
