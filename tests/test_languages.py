"""Which language a visitor reads: their own choice, else their browser's; and how an answer says so."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import translation

LOGIN = "/accounts/login/"


@pytest.fixture
def visitor(client, db):
    client.defaults["HTTP_HOST"] = "localhost"
    return client


def language_of(answer) -> str:
    said = answer["Content-Language"]
    assert f'<html lang="{said}" dir="ltr">' in answer.text
    return said


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [("de", "de"), ("de-AT,en;q=0.5", "de"), ("fr,de;q=0.4", "de"), ("fr", "en"), ("", "en"), (";q=x,,", "en")],
)
def test_a_stranger_reads_the_language_of_the_browser_or_english(visitor, asked, spoken):
    assert language_of(visitor.get(LOGIN, HTTP_ACCEPT_LANGUAGE=asked)) == spoken


@pytest.mark.parametrize("path", [LOGIN, "/no-such-page", f"{LOGIN}?x=%00"])
def test_an_answer_is_kept_for_readers_of_the_same_language_only(visitor, path):
    answer = visitor.get(path, HTTP_ACCEPT_LANGUAGE="de")

    assert language_of(answer) == "de"
    assert {"Accept-Language", "Cookie"} <= set(answer["Vary"].split(", "))


def test_a_persons_choice_outweighs_the_browser(signed_in, alice):
    alice.language = "de"
    alice.save()

    assert language_of(signed_in(alice).get("/m/baeckerei-jung/", HTTP_ACCEPT_LANGUAGE="en")) == "de"


def test_without_a_choice_a_person_reads_what_the_browser_asks_for(signed_in, alice):
    assert language_of(signed_in(alice).get("/m/baeckerei-jung/", HTTP_ACCEPT_LANGUAGE="de")) == "de"


def test_a_fragment_is_in_the_persons_language_too(signed_in, alice):
    alice.language = "de"
    alice.save()

    answer = signed_in(alice).post("/m/baeckerei-jung/scan/", {}, HTTP_HX_REQUEST="true", HTTP_ACCEPT_LANGUAGE="en")

    assert answer["Content-Language"] == "de"


def test_a_language_that_was_taken_away_leaves_the_person_with_the_browsers(signed_in, alice):
    alice.language = "tlh"
    alice.save()

    assert language_of(signed_in(alice).get("/m/baeckerei-jung/", HTTP_ACCEPT_LANGUAGE="de")) == "de"


def test_no_language_stays_behind_for_the_next_request(visitor):
    before = translation.get_language()

    visitor.get(LOGIN, HTTP_ACCEPT_LANGUAGE="de")

    assert translation.get_language() == before


@pytest.mark.parametrize("country", ["de", "D1", "D"])
def test_a_country_is_two_capital_letters(jung, everything, country):
    jung.country = country

    with pytest.raises(IntegrityError), transaction.atomic():
        jung.save()


# ---- Choosing -------------------------------------------------------------------------------------------------
def test_a_stranger_switches_the_language_and_stays_where_they_were(visitor):
    answer = visitor.post("/language/", {"language": "de", "next": f"{LOGIN}?next=/m/x/"})

    assert (answer.status_code, answer["Location"]) == (302, f"{LOGIN}?next=/m/x/")
    cookie = answer.cookies["tillside_language"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert language_of(visitor.get(LOGIN, HTTP_ACCEPT_LANGUAGE="en")) == "de"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "data:,", ""])
def test_switching_leads_nowhere_else(visitor, elsewhere):
    assert visitor.post("/language/", {"language": "de", "next": elsewhere})["Location"] == LOGIN


@pytest.mark.parametrize("language", ["tlh", "", "de\r\nSet-Cookie: x=1", "../../etc"])
def test_a_language_we_do_not_speak_is_not_remembered(visitor, language):
    answer = visitor.post("/language/", {"language": language})

    assert (answer.status_code, len(answer.cookies)) == (302, 0)


def test_looking_at_the_address_of_the_switch_changes_nothing(visitor):
    assert visitor.get("/language/").status_code == 405


def test_the_signed_out_pages_offer_each_language_in_its_own_words(visitor):
    page = visitor.get(LOGIN, HTTP_ACCEPT_LANGUAGE="de").text

    assert 'value="en" lang="en">English<' in page
    assert 'value="de" lang="de" aria-current="true">Deutsch<' in page
    assert len(visitor.cookies) <= 1, "no cookie before the choice but the form's own"


def test_a_person_chooses_their_language_and_is_answered_in_it(signed_in, alice):
    client = signed_in(alice)

    answer = client.post("/account/", {"name": "Alice", "language": "de"}, follow=True)

    alice.refresh_from_db()
    assert alice.language == "de"
    assert language_of(answer) == "de"
    assert "Übernommen." in answer.text


def test_a_choice_is_taken_back_by_leaving_it_to_the_browser(signed_in, alice):
    alice.language = "de"
    alice.save()

    answer = signed_in(alice).post(
        "/account/", {"name": "Alice", "language": ""}, follow=True, HTTP_ACCEPT_LANGUAGE="en"
    )

    assert language_of(answer) == "en"


def test_a_language_that_is_not_offered_is_refused_at_its_field(signed_in, alice):
    answer = signed_in(alice).post("/account/", {"name": "Alice", "language": "tlh"})

    alice.refresh_from_db()
    assert (answer.status_code, alice.language) == (422, "")
    assert 'id="id_language_error"' in answer.text
