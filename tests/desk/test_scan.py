"""The scan box and the card page, as a browser without JavaScript uses them."""

import re
import uuid

import pytest
from django.utils.html import escape

from portal.ledger import balances
from portal.ledger.models import Inquiry
from portal.merchants import tenancy
from portal.merchants.models import AuditEntry, Connection
from tests.conftest import make_connection

DESK = "/m/baeckerei-jung/"
CARD = "6280390000000001"


@pytest.fixture
def till(signed_in, alice, connection):
    """Alice's browser at Jung's till."""
    return signed_in(alice)


def scan(till, connection, number, *, key=None):
    return till.post(
        f"{DESK}scan/", {"key": str(key or uuid.uuid4()), "connection": str(connection.key), "number": number}
    )


def look_up(till, connection, number, pin="1234"):
    """Type number and password, let the worker work, and read the page."""
    page = scan(till, connection, number)["Location"]
    assert till.post(page, {"pin": pin}).status_code == 302
    with tenancy.merchant(connection.merchant_id):
        inquiry = Inquiry.objects.get(key=page.rstrip("/").rsplit("/", 1)[1])
    balances.answer(inquiry.pk)
    return till.get(page)


def test_the_desk_is_empty_before_the_first_look_up_and_says_what_to_do(till):
    assert "Cards appear here after the first look-up." in till.get(DESK).text


def test_a_scanned_card_leads_to_the_question_for_its_password(till, connection):
    answer = scan(till, connection, CARD)

    assert answer.status_code == 302
    assert "Password of the card" in till.get(answer["Location"]).text


def test_the_balance_arrives_large_with_its_status_and_its_time(till, connection):
    page = look_up(till, connection, CARD).text

    assert "€25.50" in page
    assert "Usable" in page
    assert "Valid until 31 December" in page or re.search(r"Valid until \w+ 31, \d{4}", page)
    assert "from CardInquiry" in page


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("6280390000000002", "This card is empty."),
        ("6280390000000003", "Expired on"),
        ("6280390000099999", "No card found for these details."),
        ("6280390000000007", "The card company says something we do not know."),
        ("6280390000000019", "The card company has trouble of its own."),
        ("6280390000000015", "The card company sent us to another address."),
        ("00005", "The card company needs the whole number."),
    ],
)
def test_each_answer_has_its_own_words(till, connection, number, said):
    assert said in look_up(till, connection, number).text


def test_a_near_miss_is_explained_to_staff(till, connection):
    assert "Nearly right." in look_up(till, connection, "ABC123", "11234").text


def test_markup_in_a_providers_words_is_shown_as_text(till, connection):
    page = look_up(till, connection, "6280390000000030").text

    assert "<script" not in page.replace('<script src="/static/', "")
    assert escape("<") in page


def test_no_page_repeats_the_number_or_the_password(till, connection):
    location = scan(till, connection, CARD)["Location"]
    pages = [
        till.get(location).text,
        till.post(location, {"pin": ""}).text,
        look_up(till, connection, CARD, pin="canary-pin").text,
        till.get(DESK).text,
        scan(till, connection, CARD + "§").text,
    ]

    for page in pages:
        assert CARD not in page
        assert "canary-pin" not in page


@pytest.mark.parametrize(
    "number",
    [
        "../../Sales", "a/b/c/d", "a%2fb%2fc", "a?x=1234", "a#bcdef", "٤٢٦٠٤٤٧١", "４２６０４４７", "1234²", "⑥12345",
        "12\u200b34567", "12\u00a034567", "1234\u202e567", "1234\x00567", "1234", "x" * 41, "x" * 201,
    ],
)  # fmt: skip
def test_what_cannot_be_a_card_number_is_refused_beside_the_field_and_asks_nobody(till, connection, number, sandbox):
    answer = scan(till, connection, number)

    assert answer.status_code == 422
    assert 'id="scan-number-error"' in answer.text
    with tenancy.merchant(connection.merchant_id):
        assert Inquiry.objects.count() == 0
    assert sandbox.call("GET", "/_sandbox/calls")["cardinquiry"]["total"] == 0


@pytest.mark.parametrize("number", ["O1I0-abc-12", " 6280 3900 0000 0001 ", "9276004424644352"])
def test_letters_hyphens_spaces_and_failing_check_digits_are_taken_as_typed(till, connection, number):
    assert scan(till, connection, number).status_code == 302


def test_pressing_twice_leads_to_one_look_up(till, connection):
    key = uuid.uuid4()

    first, second = (scan(till, connection, CARD, key=key)["Location"] for _ in range(2))

    assert first == second


def test_a_password_posted_twice_changes_nothing_the_second_time(till, connection):
    page = scan(till, connection, CARD)["Location"]

    assert [till.post(page, {"pin": "1234"}).status_code for _ in range(2)] == [302, 302]


@pytest.mark.parametrize("pin", ["", " ", "x" * 65])
def test_a_password_that_cannot_be_one_is_refused_beside_the_field(till, connection, pin):
    answer = till.post(scan(till, connection, CARD)["Location"], {"pin": pin})

    assert answer.status_code == 422
    assert 'id="id_pin_error"' in answer.text


@pytest.mark.parametrize("key", ["", "not-a-key", "0"])
def test_a_form_with_a_broken_key_is_refused_in_words(till, connection, key):
    answer = till.post(f"{DESK}scan/", {"key": key, "connection": str(connection.key), "number": CARD})

    assert answer.status_code == 422
    assert "Reload the page" in answer.text


def test_another_merchants_connection_in_the_form_is_refused(till, connection, kauri, arrange):
    with arrange():
        foreign = make_connection(kauri)

    answer = scan(till, foreign, CARD)

    assert answer.status_code == 422
    assert "Choose one of the connections listed." in answer.text


def test_another_merchants_look_up_looks_like_one_that_never_was(till, connection, signed_in, ben, kauri, arrange):
    page = scan(till, connection, CARD)["Location"]
    with arrange():
        make_connection(kauri)
    theirs = signed_in(ben)

    foreign = theirs.get(page.replace("baeckerei-jung", "kauri-books"))
    missing = theirs.get(f"/m/kauri-books/look-ups/{uuid.uuid4()}/")

    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert plain(foreign) == plain(missing)
    with arrange():
        assert {line.verb for line in AuditEntry.objects.filter(merchant=kauri)} == {"look-up not found"}


def plain(answer) -> str:
    """The page without what differs on every page: the form's key and token, the request's reference."""
    return re.sub(r'(value|name="key" value)="[^"]{30,}"|X-CSRFToken": "[^"]+"', "", answer.text)


def test_with_the_views_filter_removed_the_database_still_shows_nothing_foreign(
    till, connection, signed_in, ben, kauri, arrange, monkeypatch
):
    """What if somebody forgets `merchant=`? The page must still be a 404."""
    page = scan(till, connection, CARD)["Location"]
    rows = Inquiry.objects.all().__class__
    honest = rows.filter
    monkeypatch.setattr(
        rows,
        "filter",
        lambda self, *a, **where: honest(self, *a, **{k: v for k, v in where.items() if k != "merchant"}),
    )

    answer = signed_in(ben).get(page.replace("baeckerei-jung", "kauri-books"))

    assert answer.status_code == 404


def test_while_it_waits_the_page_asks_again_by_itself(till, connection):
    page = scan(till, connection, CARD)["Location"]
    till.post(page, {"pin": "1234"})

    waiting = till.get(page)
    fragment = till.get(page, HTTP_HX_REQUEST="true")

    assert 'hx-trigger="every 1s"' in waiting.text
    assert fragment.text.lstrip().startswith("<section")
    assert 'hx-trigger="every 1s"' in fragment.text


def test_the_answered_fragment_stops_asking(till, connection):
    answered = look_up(till, connection, CARD)

    fragment = till.get(answered.request["PATH_INFO"], HTTP_HX_REQUEST="true")

    assert "hx-trigger" not in fragment.text
    assert "€25.50" in fragment.text


def test_a_fragment_costs_a_handful_of_queries(till, connection, django_assert_max_num_queries):
    page = look_up(till, connection, CARD).request["PATH_INFO"]

    with django_assert_max_num_queries(12):
        till.get(page, HTTP_HX_REQUEST="true")


def test_the_desk_asks_as_many_questions_for_twenty_look_ups_as_for_two(till, connection, django_assert_num_queries):
    def count() -> int:
        from django.db import connection as database
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(database) as queries:
            till.get(DESK)
        return len(queries)

    for _ in range(2):
        scan(till, connection, CARD)
    two = count()
    for _ in range(18):
        scan(till, connection, CARD)

    assert count() == two


def test_a_paused_connection_is_not_asked_and_the_page_says_why(till, connection, arrange):
    look_up(till, connection, "6280390000000009")

    answer = scan(till, connection, CARD)

    assert answer.status_code == 422
    assert "the provider refuses access with its key. An owner or manager can resume it in Settings." in answer.text


def test_a_manager_resumes_a_paused_connection(till, connection, signed_in, olivia, arrange):
    look_up(till, connection, "6280390000000009")
    office = signed_in(olivia)
    assert "Paused since" in office.get(f"{DESK}settings/").text

    office.post(f"{DESK}settings/connections/{connection.key}/resume/")

    assert "Paused since" not in office.get(f"{DESK}settings/").text
    assert scan(till, connection, CARD).status_code == 302


def test_a_cashier_cannot_resume_a_connection(till, connection, arrange):
    with arrange():
        Connection.objects.filter(pk=connection.pk).update(paused_at="2026-11-20T10:00Z", pause_reason="key_refused")

    assert till.post(f"{DESK}settings/connections/{connection.key}/resume/").status_code == 403


def test_a_sandbox_connection_is_marked_on_every_page_that_shows_it(till, connection):
    assert "sandbox-band" in till.get(DESK).text
    assert "sandbox-band" in look_up(till, connection, CARD).text


def test_without_a_connection_the_desk_says_so_instead_of_offering_a_box(signed_in, alice, jung):
    page = signed_in(alice).get(DESK).text

    assert "No provider is connected yet" in page
    assert 'id="scan-number"' not in page


def test_the_settings_page_shows_people_stores_and_connections(signed_in, olivia, alice, connection):
    page = signed_in(olivia).get(f"{DESK}settings/").text

    for shown in ("2 people work here.", "CardInquiry", "sandbox"):
        assert shown in page
