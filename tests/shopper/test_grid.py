"""Answers are seen on a grid, so that the time they took is not."""

from datetime import UTC, datetime, timedelta

import pytest

from portal.shopper import grid

ASKED = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)


def seen(elapsed_ms: float, step_ms: int = 500) -> float:
    ended = ASKED + timedelta(milliseconds=elapsed_ms)
    return (grid.seen_at(ASKED, step_ms, ended_at=ended) - ASKED).total_seconds()


@pytest.mark.parametrize("elapsed", [0, 1, 40, 900, 1499, 1500])
def test_whatever_came_within_a_second_and_a_half_is_seen_together(elapsed):
    assert seen(elapsed) == 1.5


def test_what_came_later_is_seen_at_the_next_half_second():
    assert [seen(each) for each in (1501, 2000, 2001, 9999)] == [2.0, 2.0, 2.5, 10.0]


def test_a_slow_provider_makes_a_coarse_grid():
    step = grid.step_of(2300)

    assert [seen(each, step) for each in (0, 40, 2300)] == [2.3, 2.3, 2.3]
    assert seen(2301, step) == 4.6


def test_the_step_is_half_a_second_at_least_and_ten_at_most():
    assert [grid.step_of(each) for each in (None, 0, 80, 700, 90_000)] == [500, 500, 500, 700, 10_000]


def test_the_page_asks_again_when_the_grid_comes_and_not_before():
    for elapsed in (0, 700, 1500, 1501, 1999):
        now = ASKED + timedelta(milliseconds=elapsed)
        at = elapsed + grid.next_look(ASKED, 500, now=now)

        assert at > elapsed
        assert 0 <= (at - 1500) % 500 <= 40, elapsed
