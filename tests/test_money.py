"""Money and points: exact, bounded, never mixed."""

from decimal import Decimal
from operator import add, ge, gt, le, lt, mul, ne, sub

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.money import HARD_CAP, CurrencyMismatch, Money, MoneyError, Points, minor_digits


@given(
    minor=st.integers(-HARD_CAP, HARD_CAP),
    currency=st.sampled_from(["EUR", "JPY", "KWD", "CLF", "MYR", "NZD"]),
)
def test_an_amount_written_down_reads_back_the_same(minor, currency):
    money = Money(minor, currency)

    assert Money.from_decimal(money.decimal_text(), currency) == money
    assert Money.from_decimal(Decimal(money.decimal_text()), currency) == money


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (2550, "EUR", "25.50"),
        (5, "EUR", "0.05"),
        (-5, "EUR", "-0.05"),
        (0, "EUR", "0.00"),
        (100, "JPY", "100"),
        (1005, "KWD", "1.005"),
    ],
)
def test_an_amount_is_written_with_its_currency_s_decimals(minor, currency, text):
    assert Money(minor, currency).decimal_text() == text


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("25.5", "EUR", 2550),
        ("25", "EUR", 2500),
        ("-25.50", "EUR", -2550),
        ("2.55e1", "EUR", 2550),
        ("1E+2", "EUR", 10000),
        ("10.505", "KWD", 10505),
        (Decimal("25.5000"), "EUR", 2550),
        (Decimal("1E+2"), "JPY", 100),
        ("10000000.00", "EUR", HARD_CAP),
    ],
)
def test_a_decimal_is_taken_exactly(amount, currency, minor):
    assert Money.from_decimal(amount, currency) == Money(minor, currency)


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-inf", "1e309", "1E+1000000", "1e-309", "1e99"])
@pytest.mark.parametrize("kind", [str, Decimal])
def test_what_is_no_finite_amount_is_refused(amount, kind):
    with pytest.raises(MoneyError):
        Money.from_decimal(kind(amount), "EUR")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " 1",
            "1 ",
            "1,5",
            "1.234,56",
            "1,234.56",
            "1 234",
            "1'234",
            "1_000",
            ".5",
            "5.",
            "+",
            "ten",
            "0x10",
        ),
        *("٢٥", "２５", "²", "1\0", "1\n", "--1", "€1", "1" * 1_000_000),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_not_written_as_a_plain_decimal_is_refused(text):
    with pytest.raises(MoneyError):
        Money.from_decimal(text, "EUR")


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("10.505", "EUR"),
        ("100.5", "JPY"),
        ("0.0001", "KWD"),
        ("1.000", "EUR"),  # a thousand, to half of Europe
        ("1e-3", "EUR"),
        (Decimal("10.505"), "EUR"),
        (Decimal("100.5"), "JPY"),
    ],
)
def test_more_decimals_than_the_currency_has_are_refused(amount, currency):
    with pytest.raises(MoneyError):
        Money.from_decimal(amount, currency)


@pytest.mark.parametrize("amount", ["10000000.01", "-10000000.01", "92233720368547758.08", "1e8"])
def test_more_than_the_hard_cap_is_refused(amount):
    with pytest.raises(MoneyError):
        Money.from_decimal(amount, "EUR")


@pytest.mark.parametrize("amount", ["-0", "-0.00", Decimal("-0.0")])
def test_minus_zero_is_refused(amount):
    with pytest.raises(MoneyError):
        Money.from_decimal(amount, "EUR")


@pytest.mark.parametrize("amount", ["1E+1000000", "1E-1000000", "1" * 61])
def test_a_silly_power_of_ten_is_refused_before_it_is_multiplied_out(amount):
    with pytest.raises(MoneyError, match="finely divided"):
        Money.from_decimal(Decimal(amount), "EUR")


def test_a_long_decimal_is_not_rounded_to_the_context_s_precision():
    with pytest.raises(MoneyError):
        Money.from_decimal(Decimal("25.500000000000000000000000000000000001"), "EUR")


@pytest.mark.parametrize("amount", [0.1, 19.99, 25, True, None, b"25.50"])
def test_an_amount_that_is_neither_text_nor_decimal_is_a_type_error(amount):
    with pytest.raises(TypeError):
        Money.from_decimal(amount, "EUR")


@pytest.mark.parametrize("count", [1.0, "1", True, None, Decimal(1)])
def test_only_whole_numbers_are_counted(count):
    with pytest.raises(TypeError):
        Money(count, "EUR")
    with pytest.raises(TypeError):
        Points(count)


@pytest.mark.parametrize("currency", ["eur", "€", "XXX", "XTS", "XAU", "ZZZ", "", "EURO", "EUR ", None, 978])
def test_what_is_no_currency_is_refused(currency):
    with pytest.raises(MoneyError):
        Money(1, currency)


def test_decimals_are_those_of_iso_4217():
    assert [minor_digits(code) for code in ("JPY", "EUR", "KWD")] == [0, 2, 3]


def test_amounts_of_one_currency_add_up_and_compare():
    five, three = Money(500, "EUR"), Money(300, "EUR")

    assert five + three == Money(800, "EUR")
    assert five - three == Money(200, "EUR")
    assert -five == Money(-500, "EUR")
    assert three < five
    assert max(three, five) is five
    assert five >= Money(500, "EUR")
    assert sum([five, three], Money(0, "EUR")) == Money(800, "EUR")


def test_points_add_up_and_compare():
    assert Points(5) + Points(3) - Points(1) == Points(7)
    assert -Points(5) < Points(3) <= Points(3)


MIXES = [add, sub, lt, le, gt, ge]


@pytest.mark.parametrize("mix", MIXES)
def test_two_currencies_cannot_be_put_together(mix):
    with pytest.raises(CurrencyMismatch):
        mix(Money(1, "EUR"), Money(1, "MYR"))


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("other", [Points(1), 1, Decimal(1), 1.0])
def test_money_mixes_with_nothing_else(mix, other):
    with pytest.raises(TypeError):
        mix(Money(1, "EUR"), other)
    with pytest.raises(TypeError):
        mix(other, Money(1, "EUR"))


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("other", [1, 1.0])
def test_points_mix_with_nothing_else(mix, other):
    with pytest.raises(TypeError):
        mix(Points(1), other)
    with pytest.raises(TypeError):
        mix(other, Points(1))


def test_neither_multiplies():
    with pytest.raises(TypeError):
        mul(Money(1, "EUR"), 0.5)
    with pytest.raises(TypeError):
        mul(Points(1), 2)


def test_money_is_never_equal_to_points_or_to_another_currency():
    assert ne(Money(1, "EUR"), Points(1))
    assert Money(1, "EUR") != Money(1, "USD")
    assert ne(Points(1), 1)
