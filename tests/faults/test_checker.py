"""The checker sees each way in which a ledger can be wrong, and nothing where it is right."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.faults import checker, providers
from tests.faults.checker import Asked, Entry, History

NUMBER = "914639000000007"
KEY = "a" * 32
START = {NUMBER: providers.PAYWIZARD.start}


def asked(reference: str = KEY, verb: str = "pay", amount: int = 100) -> Asked:
    return Asked(reference, verb, NUMBER, amount)


def entry(state: str = "done", reference: str = KEY, verb: str = "pay", amount: int = 100, card: int = 1) -> Entry:
    return Entry(reference, verb, amount, card, "0007", state, "", "", 1)


def effect(reference: str = KEY, verb: str = "pay", amount: int = 100, **more: Any) -> dict[str, Any]:
    return {
        "reference": reference,
        "provider_reference": f"9{reference}",
        "verb": verb,
        "subject": NUMBER,
        "amount": amount,
        "points": None,
        **more,
    }


def broken(
    *,
    wanted: Iterable[Asked] = (),
    rows: Iterable[Entry] = (),
    effects: Iterable[dict[str, Any]] = (),
    balances: dict[str, tuple[int, int]] | None = None,
    over: bool = False,
) -> set[str]:
    history = History(asked=list(wanted), ledger=list(rows), journal=list(effects), balances=balances or {})
    return {breach.rule for breach in checker.check(history, over=over)}


@pytest.mark.parametrize("state", ["done", "needs_person"])
def test_what_happened_and_is_done_or_listed_is_right(state):
    assert broken(wanted=[asked()], rows=[entry(state)], effects=[effect()]) == set()


@pytest.mark.parametrize("state", ["refused", "failed", "needs_person"])
def test_what_did_not_happen_and_is_not_done_is_right(state):
    assert broken(wanted=[asked()], rows=[entry(state)]) == set()


def test_what_was_accepted_and_is_no_row_is_lost():
    assert broken(wanted=[asked()]) == {"accepted_is_in_the_ledger"}


def test_a_row_with_another_amount_than_was_accepted_is_seen():
    assert broken(wanted=[asked(amount=200)], rows=[entry("refused")]) == {"accepted_is_in_the_ledger"}


def test_one_key_with_two_rows_is_seen():
    assert broken(rows=[entry("refused"), entry("refused")]) == {"one_key_is_one_operation"}


def test_two_effects_of_one_reference_are_seen():
    assert broken(rows=[entry()], effects=[effect(), effect()]) == {"nothing_happened_twice"}


def test_done_without_an_effect_is_seen():
    assert broken(rows=[entry()]) == {"done_happened"}


@pytest.mark.parametrize("other", [{"verb": "top_up"}, {"amount": 101}, {"subject": "914639000000008"}])
def test_an_effect_that_is_not_what_was_asked_is_seen(other):
    assert broken(wanted=[asked()], rows=[entry()], effects=[effect(**other)]) == {"what_happened_is_what_was_asked"}


def test_an_effect_nobody_asked_for_is_seen():
    assert broken(effects=[effect()]) == {"nothing_happens_unasked"}


@pytest.mark.parametrize("state", ["refused", "failed"])
def test_an_effect_of_what_ended_without_one_is_seen(state):
    assert broken(rows=[entry(state)], effects=[effect()]) == {"what_ended_without_effect_has_none"}


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_an_effect_of_what_is_still_to_be_sent_is_seen(state):
    assert "what_happened_is_done_or_listed" in broken(rows=[entry(state)], effects=[effect()])


@pytest.mark.parametrize("state", ["waiting", "running", "checking"])
def test_what_neither_ends_nor_is_listed_is_seen(state):
    assert broken(rows=[entry(state)]) == {"nothing_is_left_lying"}


def test_what_waits_behind_a_listed_one_on_its_card_is_right_and_on_another_card_is_not():
    listed, behind = entry("needs_person"), entry("waiting", reference="b" * 32)

    assert broken(rows=[listed, behind]) == set()
    assert broken(rows=[listed, behind._replace(card=2)]) == {"nothing_is_left_lying"}


def test_after_the_people_nothing_may_be_open():
    assert broken(rows=[entry("needs_person")], over=True) == {"everything_is_over"}


def test_a_provider_whose_cards_do_not_hold_what_it_journalled_is_seen():
    payment = effect()
    void = effect("b" * 32, "void", original=payment["provider_reference"])
    rows = [entry(), entry(reference="b" * 32, verb="void")]

    assert broken(rows=rows, effects=[payment, void], balances=START) == set()
    assert broken(rows=rows[:1], effects=[payment], balances=START) == {"balances_are_what_the_journal_says"}
