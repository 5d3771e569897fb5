"""What is scanned leads to what it is; what may be a card is looked up, and nothing is guessed."""

import re
import uuid

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from portal.desk import resolver
from portal.ledger.models import Inquiry, Operation, operation_writer
from tests.ledger.conftest import CARD, paywizard, till

__all__ = ["paywizard", "till"]

DESK = "/m/baeckerei-jung/"
ORIGIN = "https://desk.example"
KEY = uuid.UUID("0123456789abcdef0123456789abcdef")
CHECKOUT = "933392815902294016"


# ---- By its looks alone ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("scanned", "meant"),
    [
        ("6280390000000001", "6280390000000001"),
        ("\x02 6280390000000001\r\n", "6280390000000001"),
        ("]C16280390000000001", "6280390000000001"),
        ("\u200e]E04006381333931\x1d", "4006381333931"),
        ("%B6280390000000001^DOE/JOHN^30121010000000000?", "6280390000000001"),
        ("%B6280390000000001^DOE/JOHN^3012101?;6280390000000001=3012101?", "6280390000000001"),
        ("%6280390000000001?", "6280390000000001"),
        (";6280390000000001=30121010000?", "6280390000000001"),
        (";6280390000000001?", "6280390000000001"),
        ("%", "%"),
        (";?", ";?"),
        ("", ""),
        ("12\u200b34", "12\u200b34"),
    ],
)
def test_only_what_stands_around_a_number_is_taken_away(scanned, meant):
    assert resolver.clean(scanned) == meant


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading_of_it(text):
    clean = resolver.clean(text)
    assert clean in text
    resolver.ours(clean, origin=ORIGIN)
    resolver.no_card(clean)
    resolver.product(clean)


@given(st.text("0123456789ABCDEFGHJKabcdefghjk", min_size=4, max_size=31))
def test_letters_and_digits_are_never_taken_for_something_that_is_no_card(number):
    assert resolver.clean(number) == number
    assert resolver.no_card(number) == ""
    assert resolver.ours(number, origin=ORIGIN) is None


@pytest.mark.parametrize(
    "text",
    [
        KEY.hex,
        KEY.hex.upper(),
        str(KEY),
        " ".join(re.findall("....", KEY.hex)),
        f"{ORIGIN}/m/shop/operations/{KEY}/",
        f"{ORIGIN}/m/shop/operations/{KEY}/receipt/?paper=a4",
        f"HTTPS://DESK.EXAMPLE/m/shop/attention/{KEY}/",
    ],
)
def test_our_reference_and_our_address_name_an_operation(text):
    found = resolver.ours(text, origin=ORIGIN)

    assert (found.place, found.key) == ("operation", KEY)
    assert found.slug in ("", "shop")


@pytest.mark.parametrize(
    "text",
    [
        KEY.hex[:-1],
        f"{KEY.hex}0",
        f"https://other.example/m/shop/operations/{KEY}/",
        f"{ORIGIN}.evil.example/m/shop/operations/{KEY}/",
        f"{ORIGIN}/m/shop/settings/{KEY}/",
        f"{ORIGIN}/m/shop/operations/{'-' * 36}/",
        "https://[half",
    ],
)
def test_what_only_resembles_ours_is_not_ours(text):
    assert resolver.ours(text, origin=ORIGIN) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5286264|5000", "wiCode"),
        ("https://dev-rm-api.ap.ngrok.io/qr/4118165203679668885/loyalty/d3008719d04cab91c53eb0b5d8cc4ee6", "Revenue"),
        ("https://sb-pg.revenuemonster.my/v2/checkout?checkoutId=1", "Revenue Monster"),
        ("http://example.com/x", "web address (example.com)"),
        ("https://revenuemonster.my.example/", "web address (revenuemonster.my.example)"),
        ("https://[half", "web address"),
        ('{"storeId": "1"}', "another program"),
        ("hello world", "These are words"),
        ("Guten\u00a0Tag", "These are words"),
    ],
)
def test_what_can_be_no_card_is_named(text, said):
    assert said in resolver.no_card(text)


@pytest.mark.parametrize("text", ["ABCDE", "AB12 CD34", "6280 3900 0000 0001", "TILL-SIDE"])
def test_what_may_be_a_card_or_its_end_is_not_called_words(text):
    assert resolver.no_card(text) == ""


@pytest.mark.parametrize("number", ["4006381333931", "96385074", "614141000418", "10614141000415"])
def test_a_products_number_is_known_by_its_check_digit(number):
    assert resolver.product(number) == f"{len(number)} digits with a right check digit: it looks like a product."
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert resolver.product(wrong) == ""


# ---- At the till ----------------------------------------------------------------------------------------------
@pytest.fixture
def scans(till, signed_in, alice, paywizard):
    """Scans at PayWizard as Alice, and follows where it leads."""
    browser = signed_in(alice)

    def scan(text: str, *, follow: bool = True):
        typed = {"key": str(uuid.uuid4()), "connection": str(paywizard.key), "number": text}
        return browser.post(f"{DESK}scan/", typed, follow=follow)

    return scan


def pays(till, *, reference: str) -> Operation:
    """A payment that PayWizard knows as `reference`."""
    asked = till.asks("pay", 500)
    operation_writer._open.set(True)
    Operation.objects.filter(pk=asked.pk).update(state="running", lease_until=timezone.now())
    Operation.objects.filter(pk=asked.pk).update(
        state="done", lease_until=None, ended_at=timezone.now(), provider_reference=reference
    )
    operation_writer._open.set(False)
    return asked


@pytest.fixture
def paid(till):
    return pays(till, reference=CHECKOUT)


def look_ups() -> int:
    return Inquiry.objects.count()


def test_our_reference_leads_to_the_operation_and_asks_nobody(scans, paid, settings):
    page = f"{DESK}operations/{paid.key}/"

    for text in (paid.reference, str(paid.key).upper(), f"{settings.PUBLIC_URL}{page}receipt/"):
        assert scans(text, follow=False)["Location"] == page
    assert look_ups() == 0


def test_a_cards_address_leads_to_the_card(scans, till, settings):
    page = f"{DESK}cards/{till.card().key}/"

    assert scans(f"{settings.PUBLIC_URL}{page}", follow=False)["Location"] == page


def test_the_providers_reference_leads_to_the_operation(scans, paid):
    assert scans(CHECKOUT, follow=False)["Location"] == f"{DESK}operations/{paid.key}/"
    assert look_ups() == 0


def test_a_card_we_know_is_looked_up_even_where_an_operation_has_the_same_reference(scans, paid, till):
    known = till.card(CHECKOUT)

    assert scans(CHECKOUT, follow=False)["Location"] == f"{DESK}cards/{known.key}/"


def test_a_short_reference_may_be_a_card_and_is_looked_up_with_a_word_about_the_operation(scans, till):
    paid = pays(till, reference="471100")

    page = scans("471100")

    assert look_ups() == 1
    assert "It is also the reference of an operation" in page.text
    assert f'<a href="{DESK}operations/{paid.key}/">' in page.text


def test_another_merchants_reference_is_looked_up_as_any_other_text(scans, paid, signed_in, ben, kauri, arrange):
    from tests.conftest import make_connection

    with arrange():
        theirs = make_connection(kauri)
    typed = {"key": str(uuid.uuid4()), "connection": str(theirs.key), "number": paid.reference}
    answer = signed_in(ben).post("/m/kauri-books/scan/", typed)

    assert "/look-ups/" in answer["Location"]


def test_another_merchants_address_is_not_told_from_one_that_never_was(scans, settings, paid):
    answers = [
        scans(f"{settings.PUBLIC_URL}/m/kauri-books/operations/{paid.key}/"),
        scans(f"{settings.PUBLIC_URL}{DESK}operations/{uuid.uuid4()}/"),
    ]

    assert all(answer.status_code == 422 and "Nothing here has this address." in answer.text for answer in answers)


@pytest.mark.parametrize("text", ["5286264|5000", "https://example.com/?n=6280390000000001", '{"a":1}', "hello world"])
def test_what_is_no_card_is_said_beside_the_box_without_a_look_up_or_a_repeat(scans, text):
    answer = scans(text)

    assert answer.status_code == 422
    assert answer.text.count('id="scan-number-error"') == 1
    assert "not a card" in answer.text
    assert text not in answer.text
    assert "6280390000000001" not in answer.text
    assert look_ups() == 0


def test_a_products_number_is_looked_up_as_chosen_and_its_looks_are_said(scans):
    page = scans("4006381333931")

    assert look_ups() == 1
    assert "13 digits with a right check digit: it looks like a product." in page.text
    assert "looks like a product" not in scans("4006381333932").text


def test_a_card_we_know_is_never_called_a_product(scans, till):
    till.card("4006381333931")

    assert "looks like a product" not in scans("4006381333931").text


def test_a_magnetic_stripe_works_without_a_script(scans, till):
    known = till.card(CARD)

    assert scans(f"%B{CARD}^DOE/JOHN^3012101?", follow=False)["Location"] == f"{DESK}cards/{known.key}/"


def test_a_reference_asks_for_the_permission_to_look_up(arrange, jung, signed_in, paid):
    from tests.conftest import make_person

    with arrange():
        rita = make_person("Rita", (jung, "read_only"))

    assert signed_in(rita).post(f"{DESK}scan/", {"number": paid.reference}).status_code == 403
