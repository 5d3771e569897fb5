"""The search finds what a person may see and nothing else, and keeps what was typed out of every address."""

import re
import uuid

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from portal.customers.book import Details
from portal.ledger import holders
from portal.merchants import tenancy
from portal.merchants.models import Member, Person
from portal.merchants.roles import Role
from tests.conftest import make_person
from tests.ledger.conftest import CARD, paywizard, till

__all__ = ["paywizard", "till"]

SEARCH = "/m/baeckerei-jung/search/"
KEYS = "/m/baeckerei-jung/keys/"


@pytest.fixture
def staff_of(arrange, jung, signed_in):
    """A browser of somebody in this role."""

    def open_as(role: str):
        with arrange():
            return signed_in(make_person(f"Some-{role}", (jung, role)))

    return open_as


def found(browser, typed: str) -> str:
    answer = browser.post(SEARCH, {"q": typed}, HTTP_HX_REQUEST="true")
    assert answer.status_code == 200
    assert typed not in answer.request["PATH_INFO"] + answer.request.get("QUERY_STRING", "")
    return answer.text


def titles(page: str) -> list[str]:
    return re.findall(r"<h2[^>]*>([^<]+)</h2>", page)


@pytest.fixture
def anna(till, jung):
    """A customer who agreed to nothing."""
    made, _new = holders.add(
        member=till.member,
        key=uuid.uuid4(),
        details=Details(first_name="Anna", last_name="Quandt"),
        agreement=holders.Agreement(purposes=[]),
        card=None,
    )
    return made


# ---- What is found --------------------------------------------------------------------------------------------
def test_without_a_word_it_lists_the_pages_this_person_may_open(staff_of):
    cashier, owner = staff_of("cashier").get(SEARCH).text, staff_of("owner").get(SEARCH).text

    main = cashier.split("<main")[1]
    assert "Add a new customer" in main
    assert "Audit trail" not in main
    assert "Limits" not in main
    assert "Audit trail" in owner
    assert "Limits" in owner


def test_every_page_it_names_opens(staff_of):
    owner = staff_of("owner")
    main = owner.get(SEARCH).text.split('id="found"')[1].split("</section>")[0]
    urls = re.findall(r'href="([^"]+)"', main)

    assert len(urls) > 12
    assert {url: owner.get(url).status_code for url in urls} == dict.fromkeys(urls, 200)


def test_a_page_is_found_by_the_beginning_of_any_of_its_words(staff_of):
    page = found(staff_of("owner"), "peo inv")

    assert "People and invitations" in page
    assert "Outbox" not in page


def test_a_card_is_found_by_its_last_four_and_an_operation_by_them_and_by_its_reference(till, staff_of):
    asked, card = till.asks("pay", 500), till.card()
    cashier = staff_of("cashier")

    by_card = found(cashier, CARD[-4:])
    assert f"/cards/{card.key}/" in by_card
    assert f"/operations/{asked.key}/" in by_card
    assert CARD not in by_card
    for reference in (asked.reference, asked.reference[:8]):
        assert f"/operations/{asked.key}/" in found(cashier, reference)
    assert "Nothing found" in found(cashier, "0000")


def test_an_amount_alone_is_left_to_the_list_of_operations(till, staff_of):
    till.asks("pay", 12_50)

    assert "Operations" not in titles(found(staff_of("cashier"), "12.50"))


def test_customers_are_found_by_name_for_those_who_may_see_them(anna, staff_of):
    assert f"/customers/{anna.key}/" in found(staff_of("cashier"), "quan")
    assert "Quandt" not in found(staff_of("marketing"), "quan")  # she agreed to no offers
    assert "Quandt" not in found(staff_of("accountant"), "quan")


def test_colleagues_are_found_by_part_of_their_name_for_those_who_see_people(staff_of, alice):
    assert "Alice" in found(staff_of("manager"), "lic")
    assert "Alice" not in found(staff_of("cashier"), "lic")


def test_nothing_of_another_merchant_is_found(till, anna, arrange, kauri, signed_in):
    asked = till.asks("pay", 500)
    with arrange():
        owner = signed_in(make_person("Aroha", (kauri, "owner")))

    for typed in (CARD[-4:], asked.reference, "quandt", "alice"):
        answer = owner.post("/m/kauri-books/search/", {"q": typed}, HTTP_HX_REQUEST="true")
        assert "Nothing found" in answer.text


def test_markup_and_jokers_are_text(staff_of):
    owner = staff_of("owner")

    assert "<b>" not in found(owner, "<b>")
    assert "Nothing found" in found(owner, "%%")
    assert "Nothing found" in found(owner, "\x00_")


@pytest.mark.parametrize("typed", ["x" * 5000, "٤٣٥٢", "' OR 1=1 --", "\ud83d\ude00"])
def test_whatever_is_typed_gets_an_answer(staff_of, typed):
    owner = staff_of("owner")

    assert (
        owner.post(SEARCH, {"q": typed.encode("utf-8", "surrogatepass").decode("utf-8", "replace")}).status_code == 200
    )


def test_without_a_script_it_is_a_page_that_keeps_what_was_typed(staff_of):
    page = staff_of("owner").post(SEARCH, {"q": "limits"}).text

    assert "<html" in page
    assert 'value="limits"' in page
    assert "/settings/limits/" in page.split("<main")[1]


def test_it_costs_no_query_per_hit(till, anna, staff_of):
    owner = staff_of("owner")

    def cost(typed: str) -> int:
        with CaptureQueriesContext(database) as asked:
            found(owner, typed)
        return len(asked)

    till.asks("pay", 500)
    found(owner, CARD[-4:])
    one = cost(CARD[-4:])
    for _ in range(5):
        till.asks("pay", 500)

    assert cost(CARD[-4:]) == one <= 20


# ---- The keys -------------------------------------------------------------------------------------------------
def test_the_map_lists_the_keys_of_the_places_this_person_has(staff_of):
    cashier, accountant = staff_of("cashier").get(KEYS).text, staff_of("accountant").get(KEYS).text

    assert "Take payment" in cashier
    assert "Take payment" not in accountant.split("<main")[1]
    assert "<kbd>g</kbd>" in accountant
    assert 'data-go="s"' in accountant
    assert 'data-go="s"' not in cashier


def test_single_letters_are_switched_off_for_one_person_in_every_browser(staff_of, signed_in, alice, jung):
    browser = staff_of("cashier")
    assert 'data-single-keys="off"' not in browser.get(KEYS).text

    assert browser.post(KEYS, {"single_keys": "off"}).status_code == 302

    assert Person.objects.get(name="Some-cashier").single_keys is False
    other = signed_in(Person.objects.get(name="Some-cashier"))
    assert 'data-single-keys="off"' in other.get("/m/baeckerei-jung/").text
    assert 'data-single-keys="off"' not in signed_in(alice).get("/m/baeckerei-jung/").text
    browser.post(KEYS, {"single_keys": "on"})
    assert 'data-single-keys="off"' not in other.get(KEYS).text


def test_no_two_places_and_no_two_actions_share_a_letter(jung, olivia):
    from portal.desk import frame
    from portal.ledger.till import ACTIONS

    with tenancy.merchant(jung.pk):
        member = Member.objects.select_related("merchant").get(person=olivia)

    class Request:
        merchant, by_pin = jung, False

    Request.member = member
    letters = [place.go for place in frame.places(Request())]
    assert member.role == Role.OWNER
    assert len(letters) == len(set(letters))
    assert "g" not in letters
    keys = [key for _verb, _label, key in ACTIONS]
    assert len(keys) == len(set(keys))
    assert "g" not in keys
