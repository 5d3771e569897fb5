"""Second factors: set up, asked for once a day, and wanted before what only they may do."""

import json
import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.db import connection as database
from django.test import Client

from portal.merchants import pauses, second_factor, web_vault
from portal.merchants.models import AuditEntry, Connection, Person
from portal.merchants.models import Connection as ProviderConnection

PASSWORD = "open sesame"
DESK = "/m/baeckerei-jung/"


def browser_of(email, **traits):
    browser = Client(HTTP_HOST="localhost", **traits)
    answer = browser.post("/accounts/login/", {"login": email, "password": PASSWORD})
    return browser, answer


def code_of(secret, steps=0) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def key_on(page) -> str:
    found = re.search(r'to-copy">([A-Z2-7]+)<', page)
    assert found, page
    return found[1]


def sets_up_app(browser) -> tuple[str, list[str]]:
    """The app's key and the recovery codes, as the pages show them."""
    secret = key_on(browser.get("/accounts/second-factor/app/").text)
    answer = browser.post("/accounts/second-factor/app/", {"code": code_of(secret)})
    assert answer.status_code == 302, answer.text
    codes = re.findall(r"<li>(\d{8})</li>", browser.get(answer["Location"]).text)
    return secret, codes


@pytest.fixture(autouse=True)
def _committed(monkeypatch):
    """allauth tells of changes when they are committed; a test's transaction never is."""
    monkeypatch.setattr("django.db.transaction.on_commit", lambda run, **_: run())


@pytest.fixture
def with_app(alice):
    """Alice has an app: her browser, its key and her recovery codes."""
    browser, _ = browser_of("alice@example.com")
    secret, codes = sets_up_app(browser)
    return browser, secret, codes


def is_in(browser) -> bool:
    return browser.get(DESK).status_code == 200


def test_after_the_password_the_code_of_the_app_is_asked_for(with_app):
    _, secret, _ = with_app
    browser, answer = browser_of("alice@example.com")

    asked, before = answer["Location"], is_in(browser)
    browser.post(asked, {"code": code_of(secret, 1)})

    assert asked == "/accounts/second-factor/enter/"
    assert not before
    assert is_in(browser)


def test_a_code_is_good_once(with_app):
    _, secret, _ = with_app
    code = code_of(secret, 1)
    first, answer = browser_of("alice@example.com")
    first.post(answer["Location"], {"code": code})

    second, answer = browser_of("alice@example.com")
    second.post(answer["Location"], {"code": code})

    assert is_in(first)
    assert not is_in(second)


def test_codes_are_not_guessed_without_end(with_app):
    _, secret, _ = with_app
    browser, answer = browser_of("alice@example.com")
    for number in range(5):
        browser.post(answer["Location"], {"code": f"{number:06}"})

    browser.post(answer["Location"], {"code": code_of(secret, 1)})

    assert not is_in(browser)


def test_a_browser_that_showed_the_factor_is_not_asked_again_that_day(with_app):
    _, secret, _ = with_app
    browser, answer = browser_of("alice@example.com")
    browser.post(answer["Location"], {"code": code_of(secret, 1)})
    browser.post("/accounts/logout/")

    browser.post("/accounts/login/", {"login": "alice@example.com", "password": PASSWORD})

    assert is_in(browser)


def test_the_next_day_it_is_asked_again(with_app, monkeypatch):
    _, secret, _ = with_app
    browser, answer = browser_of("alice@example.com")
    browser.post(answer["Location"], {"code": code_of(secret, 1)})
    browser.post("/accounts/logout/")
    tomorrow = time.time() + 24 * 3600 + 60
    monkeypatch.setattr("allauth.mfa.internal.flows.trust.time.time", lambda: tomorrow)

    browser.post("/accounts/login/", {"login": "alice@example.com", "password": PASSWORD})

    assert not is_in(browser)


def test_one_persons_remembered_browser_counts_for_nobody_else(with_app, olivia):
    _, secret, _ = with_app
    theirs, _ = browser_of("olivia@example.com")
    sets_up_app(theirs)
    browser, answer = browser_of("alice@example.com")
    browser.post(answer["Location"], {"code": code_of(secret, 1)})
    browser.post("/accounts/logout/")

    answer = browser.post("/accounts/login/", {"login": "olivia@example.com", "password": PASSWORD})

    assert answer["Location"] == "/accounts/second-factor/enter/"


def test_a_changed_factor_is_asked_for_everywhere_again(with_app):
    here, secret, _ = with_app
    browser, answer = browser_of("alice@example.com")
    browser.post(answer["Location"], {"code": code_of(secret, 1)})
    browser.post("/accounts/logout/")
    here.post("/accounts/second-factor/app/remove/")
    sets_up_app(here)

    browser.post("/accounts/login/", {"login": "alice@example.com", "password": PASSWORD})

    assert not is_in(browser)


def test_a_changed_factor_ends_all_other_sessions_and_stands_in_the_trail(alice, everything):
    here, _ = browser_of("alice@example.com")
    elsewhere, _ = browser_of("alice@example.com")
    assert is_in(elsewhere)

    sets_up_app(here)

    assert is_in(here)
    assert not is_in(elsewhere)
    assert AuditEntry.objects.filter(verb="sign-in changed", person=alice).exists()


# ---- Recovery codes -------------------------------------------------------------------------------------------
def test_ten_recovery_codes_are_shown_once(with_app):
    browser, _, codes = with_app

    again = browser.get("/accounts/second-factor/codes/").text

    assert len(set(codes)) == 10
    assert not any(code in again for code in codes)
    assert "10 codes are left" in browser.get("/account/").text


def test_a_recovery_code_signs_in_once(with_app):
    _, _, codes = with_app
    first, answer = browser_of("alice@example.com")
    first.post(answer["Location"], {"code": codes[3]})
    second, answer = browser_of("alice@example.com")
    second.post(answer["Location"], {"code": codes[3]})

    assert is_in(first)
    assert not is_in(second)
    assert "9 codes are left" in first.get("/account/").text


def test_new_codes_put_the_old_ones_out_of_use(with_app):
    here, _, codes = with_app
    here.post("/accounts/second-factor/codes/new/")

    browser, answer = browser_of("alice@example.com")
    browser.post(answer["Location"], {"code": codes[0]})

    assert not is_in(browser)


# ---- Seeds ----------------------------------------------------------------------------------------------------
def everything_stored() -> str:
    """All rows of all tables, as a dump would show them."""
    rows = []
    with database.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            rows += [row for (row,) in cursor.fetchall()]
    return "\n".join(rows)


def test_no_seed_and_no_recovery_code_can_be_read_in_a_dump(alice, everything):
    browser, _ = browser_of("alice@example.com")
    pending = key_on(browser.get("/accounts/second-factor/app/").text)
    while_pending = everything_stored()
    secret, codes = sets_up_app(browser)
    afterwards = everything_stored()

    assert "alice@example.com" in afterwards
    assert pending not in while_pending
    assert secret not in afterwards
    assert not any(code in afterwards for code in codes)


def test_a_seed_copied_into_another_persons_row_lets_nobody_in(with_app, olivia, caplog):
    _, secret, _ = with_app
    copied = Authenticator.objects.get(user__email="alice@example.com", type="totp")
    Authenticator.objects.create(user=olivia, type="totp", data=copied.data)
    browser, answer = browser_of("olivia@example.com")

    refused = browser.post(answer["Location"], {"code": code_of(secret, 1)})

    assert refused.status_code == 200
    assert "cannot be read any more" in refused.text
    assert not is_in(browser)
    assert secret not in caplog.text


def test_a_stranger_to_the_keys_opens_no_seed(with_app, settings):
    sealed = Authenticator.objects.get(type="totp").data["secret"]
    settings.SIGN_IN_KEYS = "YW5vdGhlciBrZXksIGFub3RoZXIga2V5LCBhbm90aDE="

    with pytest.raises(web_vault.CannotOpen):
        web_vault.open_sealed(f"factor of {Person.objects.get().pk}", sealed)


# ---- Who must -------------------------------------------------------------------------------------------------
@pytest.fixture
def paused_live(arrange, jung, connection):
    with arrange():
        Connection.objects.filter(pk=connection.pk).update(environment="live")
        pauses.because_refused(connection, "key_refused")
    return f"{DESK}settings/connections/{connection.key}/resume/"


def is_paused(arrange) -> bool:
    with arrange():
        return ProviderConnection.objects.get().paused_at is not None


def test_a_live_connection_is_not_resumed_without_a_second_factor(olivia, paused_live, arrange):
    browser, _ = browser_of("olivia@example.com")

    answer = browser.post(paused_live)

    assert answer["Location"] == "/account/#second-factor"
    assert is_paused(arrange)
    assert "second factor" in browser.get("/account/").text


def test_with_a_second_factor_it_is(olivia, paused_live, arrange):
    browser, _ = browser_of("olivia@example.com")
    secret, _ = sets_up_app(browser)
    again, answer = browser_of("olivia@example.com")
    again.post(answer["Location"], {"code": code_of(secret, 1)})

    again.post(paused_live)

    assert not is_paused(arrange)


def test_a_factor_not_shown_today_is_asked_for_and_leads_back(olivia, paused_live, arrange):
    browser, _ = browser_of("olivia@example.com")
    sets_up_app(browser)
    old = browser.session
    old["account_authentication_methods"] = [{"method": "mfa", "type": "totp", "at": time.time() - 25 * 3600}]
    old.save()

    answer = browser.post(paused_live, headers={"Referer": f"http://localhost:8000{DESK}settings/"})

    assert answer["Location"] == f"/accounts/second-factor/prove/?next={DESK.replace('/', '%2F')}settings%2F"
    assert is_paused(arrange)


def test_a_practice_connection_needs_none(olivia, paused_live, arrange):
    with arrange():
        Connection.objects.update(environment="sandbox")
    browser, _ = browser_of("olivia@example.com")

    browser.post(paused_live)

    assert not is_paused(arrange)


@pytest.fixture
def administrator(alice):
    Person.objects.filter(pk=alice.pk).update(is_staff=True)
    return alice


@pytest.mark.parametrize("path", ["/", DESK, "/merchants/", "/nowhere/"])
def test_an_administrator_without_a_second_factor_goes_nowhere(administrator, path):
    browser, _ = browser_of("alice@example.com")

    assert browser.get(path)["Location"] == "/account/#second-factor"


def test_an_administrator_can_set_one_up_and_go_on(administrator):
    browser, _ = browser_of("alice@example.com")

    sets_up_app(browser)
    after_setting_up, _ = browser_of("alice@example.com")

    assert after_setting_up.get(DESK)["Location"].startswith("/accounts/login/")


def test_what_is_open_to_administrators_exists():
    from django.urls import get_resolver

    assert {key for key in get_resolver().reverse_dict if isinstance(key, str)} >= second_factor.OPEN_TO_ADMINISTRATORS


# ---- Asked in between -----------------------------------------------------------------------------------------
def older(browser, minutes):
    """The browser's session with its password typed so long ago."""
    session = browser.session
    for record in session["account_authentication_methods"]:
        record["at"] -= minutes * 60
    session["account_authentication_methods"] = list(session["account_authentication_methods"])
    session.save()


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/second-factor/app/",
        "/accounts/passkeys/add/",
        "/accounts/second-factor/codes/new/",
    ],
)
def test_a_session_left_open_changes_no_factor(alice, path):
    browser, _ = browser_of("alice@example.com")
    older(browser, 6)

    assert browser.get(path)["Location"].startswith("/accounts/prove/")


def test_a_session_left_open_changes_no_address(alice):
    browser, _ = browser_of("alice@example.com")
    older(browser, 6)

    answer = browser.post("/accounts/email/", {"email": "mallory@evil.example", "action_add": ""})

    assert answer["Location"].startswith("/accounts/prove/")
    assert Person.objects.get(pk=alice.pk).email == "alice@example.com"


def test_passkeys_cannot_be_used_without_the_device(alice):
    browser = Client(HTTP_HOST="localhost")
    browser.get("/accounts/passkeys/enter/", headers={"Accept": "application/json"})

    for nonsense in ("", "{}", "[]", "null", json.dumps({"response": {"userHandle": "x"}}), "\u0000", "9" * 5000):
        answer = browser.post("/accounts/passkeys/enter/", {"credential": nonsense})
        assert answer.status_code in (200, 302, 400, 429), nonsense
        assert "_auth_user_id" not in browser.session
