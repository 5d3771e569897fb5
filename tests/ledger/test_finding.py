"""What stands on papers finds its operation: whole or as it begins, and nobody else's."""

import time
import uuid
from datetime import UTC, datetime

import pytest
from django.utils import timezone, translation

from portal import formats
from portal.ledger import clock, finding
from portal.ledger.models import Operation, operation_writer
from portal.merchants import tenancy

OTHER = "914639258868501"


def found(till, typed: str) -> set[uuid.UUID]:
    sought = finding.read(typed, currencies=["USD"])
    ids = finding.operation_ids(till.member.merchant, sought)
    return set(Operation.objects.filter(pk__in=ids).values_list("key", flat=True))


def referred(operation: Operation, **columns: str) -> Operation:
    """The operation with references as a provider gave them."""
    operation_writer._open.set(True)
    Operation.objects.filter(pk=operation.pk).update(**columns)
    operation_writer._open.set(False)
    return operation


@pytest.fixture
def done(till):
    """A payment of $12.50 by the card ending in 8500, with their reference; and another, of $3.00 by another card."""
    till.asks("pay", 3_00, number=OTHER)
    return referred(till.asks("pay", 12_50), provider_reference="STX_ABC-100%_7", trace="req-77/é")


@pytest.mark.parametrize(
    "typed",
    ["{whole}", "{dashed}", "{upper}", "{short}", "  {short} ", "STX_ABC-100%_7", "STX_ABC", "req-77/é", "req-77"],
)
def test_an_operation_is_found_by_each_reference_whole_or_as_it_begins(till, done, typed):
    key = done.key
    text = typed.format(whole=key.hex, dashed=str(key), upper=key.hex.upper(), short=key.hex[:8])

    assert found(till, text) == {key}


@pytest.mark.parametrize(
    "typed", ["8500", "•••• 8500", "••••\u00a08500", "8500 12.50", "$12.50", "12,50", "8500 1250", "12.50 USD"]
)
def test_an_operation_is_found_by_the_end_of_its_card_and_its_amount(till, done, typed):
    assert found(till, typed) == {done.key}


@pytest.mark.parametrize("typed", ["8500 3.00", "8501 12.50", "9999", "0.01", "STX_ABC 3.00", "STX_ABC 8501"])
def test_words_that_do_not_belong_together_find_nothing(till, done, typed):
    assert found(till, typed) == set()


@pytest.mark.parametrize(
    ("language", "country", "day"),
    [("en", "", "20/11/2026"), ("en", "US", "11/20/2026"), ("de", "DE", "20.11.26"), ("de", "", "2026-11-20")],
)
def test_a_day_is_read_as_the_reader_writes_it(till, language, country, day):
    at = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)  # the 21st in Berlin
    with clock.set_to(lambda: at):
        late = till.asks("pay", 12_50)

    with translation.override(language), formats.at_home_in(country), timezone.override("UTC"):
        assert found(till, f"8500 {day}") == {late.key}
    with translation.override(language), formats.at_home_in(country), timezone.override("Europe/Berlin"):
        assert found(till, f"8500 {day}") == set()


@pytest.mark.parametrize("typed", ["%", "_", "STX%", "STX_ABC-100__7", "*", "STX.*", "req-77.+", "\\", "' OR 1=1 --"])
def test_no_sign_has_a_meaning(till, done, typed):
    assert found(till, typed) == set()


@pytest.mark.parametrize(
    "typed",
    [
        "(a+)+$" * 40,
        "((((((((((.*)*)*)*)*)*" * 9,
        "\x00STX",
        "\ud800" * 8,
        "1" * 5000,
        "🂡" * 300,
        "12." * 90,
        "-" * 200,
    ],
)
def test_rubbish_is_text_and_costs_nothing(till, done, typed):
    began = time.monotonic()

    assert found(till, typed) <= {done.key}
    assert time.monotonic() - began < 10  # a busy machine; what goes astray in such a text takes for ever


def test_more_words_than_can_belong_to_one_operation_find_nothing(till, done):
    assert finding.read("STX_ABC something else", currencies=["USD"]).is_lost
    assert found(till, "STX_ABC something else") == set()


def test_nothing_typed_is_nothing_sought(till, done):
    assert finding.read(" \x07 $ ", currencies=["USD"]).is_empty
    assert found(till, " ") == set()


def test_cards_are_found_by_the_end_of_their_numbers(till, done):
    assert finding.card_ids(till.member.merchant, "8500") == [done.card_id]
    assert finding.card_ids(till.member.merchant, "%500") == []
    assert finding.card_ids(till.member.merchant, "") == []


def test_another_merchants_operation_is_not_found(till, done, kauri):
    with tenancy.merchant(kauri.pk):
        sought = finding.read(done.key.hex, currencies=["NZD"])

        assert finding.operation_ids(kauri, sought) == []
        assert finding.operation_ids(till.member.merchant, sought) == []
        assert finding.card_ids(till.member.merchant, "8500") == []


@pytest.mark.parametrize("typed", ["{whole}", "{short}", "STX_ABC-100%_7", "STX_AB"])
def test_an_administrator_finds_a_reference_without_knowing_whose_it_is(till, done, kauri, typed):
    with tenancy.merchant(kauri.pk):
        [only] = finding.anywhere(typed.format(whole=done.key.hex, short=done.key.hex[:8]))

    assert (only.key, only.merchant.slug) == (done.key, "baeckerei-jung")


def test_an_administrators_two_words_or_none_find_nothing(done):
    assert finding.anywhere("STX_ABC 12.50") == finding.anywhere(" ") == finding.anywhere("%") == []


def test_what_matches_too_often_is_cut_off(till, done, monkeypatch):
    monkeypatch.setattr(finding, "MOST", 1)
    till.asks("pay", 1_00)
    till.asks("pay", 2_00)

    assert len(found(till, "8500")) == 2
