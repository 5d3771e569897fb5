"""The arithmetic of guessing, as it is written down in the decision."""

import pytest

from portal.shopper import risk
from portal.shopper.models import BalancePage


def page(**told) -> BalancePage:
    return BalancePage(**{"in_sequence": False, "cards_in_use": 20_000, "pin_length": 4, **told})


@pytest.mark.parametrize(
    ("told", "chance"),
    [
        ({"last_digits": 5}, 2e-5),
        ({"last_digits": 5, "pin_length": 5}, 2e-6),
        ({"last_digits": 4}, 1e-4),  # two cards for every end: each guess is about some card
        ({"number_length": 12}, 2e-12),
        ({"number_length": 12, "in_sequence": True}, 2.5e-5),
        ({"number_length": 12, "in_sequence": True, "pin_length": 5}, 2.5e-6),
        ({"number_length": 12, "in_sequence": True, "pin_letters": True}, 0.25 / 36**4),
    ],
)
def test_the_chance_of_one_guess(told, chance):
    assert risk.chance_of(page(**told)) == pytest.approx(chance)


def test_one_card_in_a_year_allows_137_wrong_tries_a_day():
    found = risk.of(page(last_digits=5, finds_a_year=1))

    assert found.budget == 136  # 136.99: the next one would be too many
    assert found.finds_a_year == pytest.approx(1, rel=0.01)
    assert found.is_bearable


def test_a_budget_below_what_people_need_is_said_to_be_too_dear():
    found = risk.of(page(last_digits=4, pin_length=3))

    assert (found.budget, found.is_bearable) == (risk.LEAST, False)
    assert found.finds_a_year == pytest.approx(20 * 365 * 1e-3)


def test_numbers_nobody_can_guess_bear_all_that_people_type():
    assert risk.of(page(number_length=16)).budget == risk.MOST


def test_without_pins_the_number_alone_is_what_is_guessed():
    assert risk.chance_of(page(in_sequence=True), with_pin=False) == 0.25
