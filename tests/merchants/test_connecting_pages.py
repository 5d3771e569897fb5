"""The pages of the wizard: what they ask, what they check while one types, and that no secret comes back in one."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from portal.merchants import connecting, tenancy, trials
from portal.merchants.models import Connection, ConnectionDraft, DraftState, Member

HERE = "/m/baeckerei-jung/settings/connections/"
CANARY = "canary-key-0123456789-tail"
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def browser(olivia, signed_in):
    return signed_in(olivia)


@pytest.fixture
def draft(jung, olivia):
    with tenancy.merchant(jung.pk):
        owner = Member.objects.select_related("merchant", "person").get(person=olivia)
        return connecting.start(owner, "cardinquiry")


def at(draft, page: str = "") -> str:
    return f"{HERE}new/{draft.key}/{page}"


def now(draft) -> ConnectionDraft:
    with tenancy.merchant(draft.merchant_id):
        return ConnectionDraft.objects.select_related("connection").get(pk=draft.pk)


def types(browser, draft, name: str, text: str):
    """One field, as htmx sends it while somebody types."""
    return browser.post(at(draft), {name: text}, HTTP_HX_TRIGGER_NAME=name, **HTMX)


# ---- Which provider -------------------------------------------------------------------------------------------------
def test_the_providers_usual_in_the_country_come_first(browser, jung, arrange):
    with arrange():
        jung.country = "US"
        jung.save()

    page = browser.get(f"{HERE}new/").text

    assert page.index("Usual in your country") < page.index("Connect PayWizard") < page.index("Connect CardInquiry")


def test_choosing_one_begins_a_draft(browser, arrange):
    answer = browser.post(f"{HERE}new/", {"provider": "paywizard"})

    assert answer.status_code == 302
    page = browser.get(answer["Location"]).text
    assert "Have these ready" in page
    assert "https://uat.paywizard.biz" in page
    assert "sandbox-band" in page


def test_a_provider_that_is_none_is_refused(browser, arrange):
    assert browser.post(f"{HERE}new/", {"provider": "../x"}).status_code == 422
    with arrange():
        assert not ConnectionDraft.objects.exists()


def test_the_form_is_made_of_what_the_connector_declares(browser, draft):
    from portal.connectors import PROVIDERS

    page = browser.get(at(draft)).text

    for name, asked in PROVIDERS["cardinquiry"].Settings.declared().items():
        assert f'name="set_{name}"' in page
        assert asked.label in page.replace("&#x27;", "'")


# ---- While one types ------------------------------------------------------------------------------------------------
def test_a_field_answers_with_its_own_sentence_and_keeps_itself(browser, draft):
    answer = types(browser, draft, "set_base_url", "cards.example.com")

    assert answer.status_code == 422
    assert "Type an address such as https://cards.example.com/api." in answer.text
    assert now(draft).typed["base_url"] == "cards.example.com"  # nothing typed is lost

    answer = types(browser, draft, "set_base_url", "https://cards.example.com/OpenApi2")
    assert (answer.status_code, answer.text.strip()) == (200, "")


def test_a_secret_is_sealed_when_it_is_whole_and_only_its_end_comes_back(browser, draft):
    answer = types(browser, draft, "set_api_key", CANARY)

    assert "…tail" in answer.text
    assert CANARY[:-4] not in answer.text
    assert answer["HX-Retarget"] == "#field_set_api_key"
    kept = now(draft)
    assert CANARY not in str(kept.__dict__)
    assert set(kept.sealed) == {"api_key"}


def test_a_secret_that_cannot_be_one_is_refused_and_not_kept(browser, draft):
    answer = types(browser, draft, "set_api_key", "aVisibleKeyForBrowsers")

    assert answer.status_code == 422
    assert "This is the browser key." in answer.text
    assert "aVisibleKeyForBrowsers" not in answer.text
    assert now(draft).sealed == {}


def test_a_switch_that_is_put_out_is_kept_as_out(browser, draft):
    browser.post(at(draft), {"set_password_required": "on"}, HTTP_HX_TRIGGER_NAME="set_password_required", **HTMX)
    assert now(draft).typed["password_required"] == "on"

    browser.post(at(draft), {}, HTTP_HX_TRIGGER_NAME="set_password_required", **HTMX)

    assert now(draft).typed["password_required"] == ""


def test_typing_into_one_field_leaves_the_others(browser, draft):
    types(browser, draft, "set_base_url", "https://cards.example.com")
    types(browser, draft, "set_currency", "NZD")

    assert now(draft).typed == {"base_url": "https://cards.example.com", "currency": "NZD"}


def test_an_address_on_another_host_asks_for_the_secrets_again(browser, draft):
    types(browser, draft, "set_base_url", "https://cards.example.com")
    types(browser, draft, "set_api_key", CANARY)

    answer = types(browser, draft, "set_base_url", "https://other.example.com")

    assert 'id="id_set_api_key_note" hx-swap-oob="true"' in answer.text
    assert "Type this secret again for it." in answer.text
    assert "<input" not in answer.text  # whatever is being typed stays
    assert now(draft).sealed == {}


def test_a_secret_takes_the_address_along_that_was_typed_a_moment_ago(browser, draft):
    typed = {"set_api_key": CANARY, "set_base_url": "https://cards.example.com"}

    browser.post(at(draft), typed, HTTP_HX_TRIGGER_NAME="set_api_key", **HTMX)
    types(browser, draft, "set_base_url", "https://cards.example.com")

    assert set(now(draft).sealed) == {"api_key"}


def test_signs_that_nobody_types_are_not_kept(browser, draft):
    browser.post(at(draft), {"do": "keep", "set_currency": "E\x00U\x1bR"})  # in parts: no door in front refuses it

    assert now(draft).typed["currency"] == "EUR"


# ---- Without a script -----------------------------------------------------------------------------------------------
def test_what_is_missing_is_said_next_to_the_field_and_in_the_summary(browser, draft):
    answer = browser.post(at(draft), {"do": "test", "set_base_url": "", "set_currency": "XX"})

    assert answer.status_code == 422
    for label in ("Address of the API", "Server key"):  # in the summary and at the field
        assert answer.text.count(f"Fill in: {label}") == 2
    assert 'href="#id_set_currency"' in answer.text
    assert now(draft).state == DraftState.TYPING


def test_no_page_holds_a_secret_that_was_posted(browser, draft):
    answer = browser.post(at(draft), {"do": "test", "set_api_key": CANARY})

    assert answer.status_code == 422
    for page in (answer.text, browser.get(at(draft)).text, browser.get("/m/baeckerei-jung/settings/").text):
        assert CANARY not in page
    assert "…tail" in browser.get(at(draft)).text


def test_a_key_is_taken_from_a_file(browser, draft):
    file = SimpleUploadedFile("key.txt", b"\xef\xbb\xbf" + CANARY.encode() + b"\r\n")

    browser.post(at(draft), {"do": "keep", "file_api_key": file})

    assert now(draft).notes["api_key"]["ending"] == "tail"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "This file is not a key."),
        (b"   \n", "This file is not a key."),
        ("Schlüssel\x07".encode(), "This file is not a key."),
        (b"k" * 17_000, "This file is too large to be a key."),
        (b"two words", "must not contain spaces"),
    ],
)
def test_a_file_that_is_no_key_is_refused(browser, draft, content, sentence):
    answer = browser.post(at(draft), {"do": "test", "file_api_key": SimpleUploadedFile("key.txt", content)})

    assert answer.status_code == 422
    assert sentence in answer.text
    assert now(draft).sealed == {}


def test_a_huge_file_is_not_taken_at_all(browser, draft):
    answer = browser.post(at(draft), {"do": "keep", "file_api_key": SimpleUploadedFile("key.txt", b"k" * 400_000)})

    assert answer.status_code in (302, 400, 413, 422)
    assert now(draft).sealed == {}


# ---- Live -----------------------------------------------------------------------------------------------------------
def with_factor(browser, olivia, arrange) -> None:
    from allauth.mfa.models import Authenticator

    from tests.conftest import typed_just_now

    with arrange():
        Authenticator.objects.create(user=olivia, type=Authenticator.Type.TOTP, data={"secret": ""})
    typed_just_now(browser, olivia, with_factor=True)


def test_live_is_for_somebody_with_a_second_factor_and_no_secret_is_taken_before(browser, draft):
    answer = browser.post(
        at(draft), {"do": "keep", "environment": "live", "set_api_key": CANARY, "set_currency": "EUR"}
    )

    assert answer["Location"].endswith("#second-factor")
    kept = now(draft)
    assert (kept.environment, kept.sealed) == ("sandbox", {})
    assert kept.typed["currency"] == "EUR"


def test_live_asks_for_the_shops_name(browser, draft, olivia, arrange, sandbox):
    with_factor(browser, olivia, arrange)
    browser.post(at(draft), {"do": "environment", "environment": "live"})
    page = browser.get(at(draft)).text
    assert "The name of your shop" in page
    assert "sandbox-band" not in page
    complete = {
        "do": "test",
        "environment": "live",
        "set_base_url": f"{sandbox.url}/cardinquiry",
        "set_api_key": CANARY,
        "set_currency": "EUR",
    }

    answer = browser.post(at(draft), {**complete, "shop_name": "Bäckerei"})
    assert answer.status_code == 422
    assert "Type the name exactly: Bäckerei Jung" in answer.text
    answer = browser.post(at(draft), {**complete, "shop_name": "  bäckerei JUNG "})

    assert answer["Location"] == at(draft, "test/")
    assert now(draft).state == DraftState.WAITING


def test_the_test_environments_address_is_refused_for_live(browser, olivia, arrange):
    with_factor(browser, olivia, arrange)
    answer = browser.post(f"{HERE}new/", {"provider": "paywizard"})

    refused = browser.post(
        answer["Location"], {"do": "test", "environment": "live", "set_base_url": "https://uat.paywizard.biz/"}
    )

    assert refused.status_code == 422
    # It was the preset of the environment that was left: the live one stands there now.
    assert "https://portal.paywizard.biz" in refused.text


# ---- An address that is not the provider's own ----------------------------------------------------------------------
def test_an_address_that_leads_into_our_network_is_refused_before_anything_is_sent(browser, draft):
    answer = browser.post(at(draft), {"do": "test", "set_base_url": "https://localhost/cards", "set_api_key": CANARY})

    assert answer.status_code == 422
    assert "Type a full host name such as cards.example.com." in answer.text
    assert now(draft).state == DraftState.TYPING


def test_an_address_nobody_knows_is_not_tested_before_an_administrator_agreed(browser, draft, monkeypatch, arrange):
    from portal.merchants import hosts
    from portal.merchants.models import HostApproval

    checked = hosts.addresses.check
    monkeypatch.setattr(hosts.addresses, "check", lambda url, **_: checked(url, resolve=lambda *_: ["93.184.216.34"]))
    complete = {"do": "test", "set_base_url": "https://cards.example.com", "set_api_key": CANARY, "set_currency": "EUR"}

    answer = browser.post(at(draft), complete)
    assert answer.status_code == 422
    assert "an administrator has to approve it first" in answer.text

    browser.post(at(draft), {**complete, "do": "approve"})
    with arrange():
        assert HostApproval.objects.get().origin == "https://cards.example.com"
    assert "An administrator has been asked to approve this address" in browser.post(at(draft), complete).text


# ---- The test -------------------------------------------------------------------------------------------------------
@pytest.fixture
def complete(browser, draft, sandbox):
    """Filled in, with the sandbox's own key."""
    key = sandbox.credentials("cardinquiry")["api_key"]
    browser.post(
        at(draft),
        {"do": "keep", "set_base_url": f"{sandbox.url}/cardinquiry", "set_api_key": key},
    )
    return draft


def test_the_three_ticks_come_one_after_the_other_and_then_the_card(browser, complete, jung):
    assert browser.post(at(complete), {"do": "test"})["Location"] == at(complete, "test/")
    waiting = browser.get(at(complete, "test/")).text
    assert waiting.count("outcome-waiting") == 2
    assert "outcome-checking" in waiting
    assert 'data-state="waiting-0"' in waiting

    trials.try_out(complete.pk)
    done = browser.get(at(complete, "test/"), **HTMX).text

    assert done.lstrip().startswith("<section")
    assert done.count("outcome-done") == 3
    assert "Look up balances" in done
    assert "There is no such call at CardInquiry." in done
    assert "Take payments" in done
    with tenancy.merchant(jung.pk):
        assert Connection.objects.get(key=complete.key).name == "CardInquiry"


def test_a_failed_test_says_what_to_do_and_leads_back(browser, complete, sandbox):
    types(browser, complete, "set_api_key", "some-other-key-0000000000")
    browser.post(at(complete), {"do": "test"})
    trials.try_out(complete.pk)

    page = browser.get(at(complete, "test/")).text

    assert "CardInquiry refuses us access." in page
    assert "Not connected yet" in page
    assert f'href="{at(complete)}"' in page
    assert "Keep it, paused" not in page


def test_testing_again_needs_nothing_to_be_typed_again(browser, complete, sandbox):
    sandbox.arm("error_after")
    browser.post(at(complete), {"do": "test"})
    trials.try_out(complete.pk)
    page = browser.get(at(complete, "test/")).text
    assert "Keep it, paused" in page

    assert browser.post(at(complete, "test/"), {"do": "again"})["Location"] == at(complete, "test/")
    trials.try_out(complete.pk)

    assert now(complete).state == DraftState.PASSED


def test_a_provider_that_is_away_leaves_a_paused_connection_that_says_so(browser, complete, sandbox):
    sandbox.arm("error_after")
    browser.post(at(complete), {"do": "test"})
    trials.try_out(complete.pk)

    answer = browser.post(at(complete, "test/"), {"do": "keep"}, follow=True)

    assert "Not tested yet, and paused" in answer.text


def test_a_switch_is_not_put_out_by_a_form_it_was_not_in(browser, draft):
    browser.post(at(draft), {"whole": "1", "set_password_required": "on"})
    browser.post(at(draft), {"do": "keep"})
    assert now(draft).typed["password_required"] == "on"

    browser.post(at(draft), {"whole": "1"})

    assert now(draft).typed["password_required"] == ""


def test_a_draft_that_passed_leads_to_what_became_of_it(browser, complete):
    browser.post(at(complete), {"do": "test"})
    trials.try_out(complete.pk)

    assert browser.get(at(complete))["Location"] == at(complete, "test/")
    assert browser.post(at(complete), {"do": "keep"})["Location"] == at(complete, "test/")
    assert browser.post(at(complete, "discard/"))["Location"] == at(complete, "test/")


def test_a_discarded_draft_is_gone(browser, complete, arrange):
    browser.post(at(complete, "discard/"))

    with arrange():
        assert not ConnectionDraft.objects.exists()


# ---- Replacing ------------------------------------------------------------------------------------------------------
def test_replacing_asks_who_one_is_when_that_was_long_ago(browser, connection, arrange):
    session = browser.session
    session["account_authentication_methods"] = [{"method": "password", "at": 0}]
    session.save()

    answer = browser.post(f"{HERE}{connection.key}/change/", {"do": "change"})

    assert answer["Location"].startswith("/accounts/prove/?next=")
    with arrange():
        assert not ConnectionDraft.objects.exists()


def test_the_test_of_a_change_asks_who_one_is_and_keeps_what_was_typed(browser, connection):
    place = browser.post(f"{HERE}{connection.key}/change/", {"do": "change"})["Location"]
    session = browser.session
    session["account_authentication_methods"] = [{"method": "password", "at": 0}]
    session.save()

    answer = browser.post(place, {"do": "test", "set_api_key": CANARY})

    assert answer["Location"].startswith("/accounts/prove/?next=")
    assert CANARY not in str(dict(browser.session))
    assert "…tail" in browser.get(place).text


def test_a_connections_own_secret_stays_without_being_typed(browser, connection):
    place = browser.post(f"{HERE}{connection.key}/change/", {"do": "change"})["Location"]
    assert "Stays as it is" in browser.get(place).text

    answer = browser.post(place, {"do": "test", "set_currency": "EUR"})

    assert re.search("/test/$", answer["Location"])


def test_a_connection_is_tested_as_it_is_by_one_press(browser, connection, jung):
    place = browser.post(f"{HERE}{connection.key}/change/", {"do": "test"})["Location"]
    with tenancy.merchant(jung.pk):
        trials.try_out(ConnectionDraft.objects.get().pk)

    assert "Tested and changed" in browser.get(place).text
