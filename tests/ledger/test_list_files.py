"""The lists as files: every row once, under names that stay, safe in a spreadsheet, and written down."""

import csv
import io
import time

import pytest

from portal.connectors.base import CardStatus
from portal.ledger import clock, list_files
from portal.ledger.models import Card
from portal.merchants import tenancy
from portal.merchants.models import AuditEntry, Person
from tests.conftest import make_person
from tests.ledger.test_finding import referred
from tests.ledger.test_lists import NOON, OTHER, asked

OPERATIONS, CARDS = "/m/baeckerei-jung/operations/export/", "/m/baeckerei-jung/cards/export/"


def lines(answer) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.status_code
    with tenancy._within(tenancy.NOBODY):  # as the server reads it: long after the view has returned
        text = answer.getvalue().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_the_file_holds_what_the_page_is_narrowed_to_piece_by_piece(till, signed_in, olivia, monkeypatch):
    monkeypatch.setattr(list_files, "AT_ONCE", 3)
    made = asked(till, 8)
    with clock.set_to(lambda: NOON):
        till.asks("top_up", 20_00, number=OTHER)
    owner = signed_in(olivia)

    whole = lines(owner.post(f"{OPERATIONS}?verb=pay"))
    searched = lines(owner.post(OPERATIONS, {"q": "8501"}))

    assert [line["reference"] for line in whole] == [key.replace("-", "") for key in made]
    assert [line["verb"] for line in searched] == ["top_up"]


def test_a_line_has_both_times_plain_amounts_and_codes(till, signed_in, olivia):
    with clock.set_to(lambda: NOON):
        referred(till.asks("pay", 1_234_50), provider_reference="=HYPERLINK(1)")

    [line] = lines(signed_in(olivia).post(OPERATIONS))

    assert tuple(line) == list_files.OPERATIONS
    assert line["asked_at_utc"] == "2026-11-20T11:00:00.000+00:00"
    assert (line["asked_at_local"], line["time_zone"]) == ("2026-11-20 12:00:00", "Europe/Berlin")
    assert (line["amount"], line["currency"], line["card_last_four"]) == ("1234.50", "USD", "8500")
    assert (line["state"], line["ended_at_utc"], line["asked_by"]) == ("waiting", "", "Alice")
    assert line["provider_reference"] == "'=HYPERLINK(1)"


def test_the_columns_are_the_same_in_every_language(till, signed_in, olivia):
    till.asks("pay", 1)
    owner = signed_in(olivia)
    english = lines(owner.post(OPERATIONS))
    Person.objects.filter(pk=olivia.pk).update(language="de")

    assert lines(owner.post(OPERATIONS)) == english


@pytest.mark.parametrize("path", [OPERATIONS, CARDS])
def test_no_number_of_a_card_is_in_it(till, signed_in, olivia, path):
    till.gets("pay", 1)

    text = signed_in(olivia).post(path).getvalue().decode()

    assert "8500" in text
    assert "914639" not in text


def test_cards_come_with_their_last_reading(till, signed_in, olivia):
    card = till.card()
    Card.objects.filter(pk=card.pk).update(
        balance_minor=30_10, balance_currency="USD", points=53, card_status=CardStatus.USABLE, read_at=NOON
    )
    till.card(OTHER)

    other, first = lines(signed_in(olivia).post(CARDS))

    assert tuple(first) == list_files.CARDS
    assert (first["card_last_four"], first["balance"], first["points"]) == ("8500", "30.10", "53")
    assert (first["read_at_local"], first["status"]) == ("2026-11-20 12:00:00", "usable")
    assert (other["card_last_four"], other["balance"], other["read_at_utc"]) == ("8501", "", "")


@pytest.mark.parametrize(("path", "verb"), [(OPERATIONS, "operations exported"), (CARDS, "cards exported")])
def test_that_it_was_taken_stands_in_the_trail_without_what_was_searched_for(till, signed_in, olivia, path, verb):
    till.asks("pay", 1)

    signed_in(olivia).post(f"{path}?environment=sandbox", {"q": "8500"})

    line = AuditEntry.objects.get(verb=verb)
    assert line.person == olivia
    assert line.detail == {"filter": "environment: sandbox", "searched": True}


@pytest.mark.parametrize("path", [OPERATIONS, CARDS])
def test_a_session_left_open_takes_no_list_away(till, signed_in, olivia, path):
    till.asks("pay", 1)
    owner = signed_in(olivia)
    session = owner.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time() - 6 * 60}]
    session.save()

    assert owner.post(path)["Location"].startswith("/accounts/prove/?next=")
    assert not AuditEntry.objects.filter(verb__contains="exported").exists()


@pytest.mark.parametrize(("role", "may"), [("accountant", True), ("read_only", False), ("cashier", False)])
def test_the_button_stands_where_the_file_may_be_taken(till, signed_in, arrange, jung, role, may):
    till.asks("pay", 1)
    with arrange():
        somebody = signed_in(make_person("Somebody", (jung, role)))

    page = somebody.get("/m/baeckerei-jung/operations/").content.decode()

    assert ("Export as CSV" in page) is may
    assert somebody.post(OPERATIONS).status_code == (200 if may else 403)


def test_another_merchants_rows_are_in_no_file(till, kauri_shop, signed_in):
    till.asks("pay", 1)

    theirs = lines(signed_in(kauri_shop.owner.person).post("/m/kauri-books/operations/export/"))

    assert theirs
    assert all(line["connection"].endswith(" of Kauri Books") for line in theirs)
