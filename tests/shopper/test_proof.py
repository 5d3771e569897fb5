"""Proof of work: signed, bound, soon over; four hashes to look at."""

from datetime import UTC, datetime, timedelta

import pytest

from portal.shopper import proof

NOW = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def easy(settings):
    settings.SHOPPER_WORK = 8


def refused(place: str, token: str, solution: str, **more: object) -> str:
    with pytest.raises(proof.NoProof) as why:
        proof.check(place, token, solution, **{"at": NOW, **more})
    return why.value.why


def test_a_solved_challenge_is_taken():
    challenge = proof.issue("7:page", times=2, at=NOW)

    solved = proof.check("7:page", challenge.token, proof.solve(challenge), at=NOW + timedelta(seconds=3))

    assert (solved.nonce, solved.times) == (challenge.nonce, 2)


def test_a_challenge_of_another_page_is_as_good_as_forged():
    challenge = proof.issue("7:page", times=1, at=NOW)
    solution = proof.solve(challenge)

    assert refused("8:page", challenge.token, solution) == "forged"
    assert refused("7:page", challenge.token[:-1] + "x", solution) == "forged"
    assert refused("7:page", "", solution) == "forged"


@pytest.mark.parametrize("later", [timedelta(minutes=5, seconds=1), timedelta(seconds=-1), timedelta(days=400)])
def test_a_challenge_is_good_for_five_minutes_and_not_before_it_was_made(later):
    challenge = proof.issue("7:page", times=1, at=NOW)

    assert refused("7:page", challenge.token, proof.solve(challenge), at=NOW + later) == "old"


def test_nobody_types_a_number_and_a_pin_in_a_second():
    challenge = proof.issue("7:page", times=1, at=NOW)
    late = {"at": NOW + timedelta(seconds=1), "typing_seconds": 2}

    assert refused("7:page", challenge.token, proof.solve(challenge), **late) == "early"


@pytest.mark.parametrize("solution", ["", "0", "0.0.0", "0.0.0.0.0", "a.b.c.d", "-1.0.0.0", "1e3.0.0.0", "٣.0.0.0"])
def test_what_is_no_solution_is_refused(solution):
    assert refused("7:page", proof.issue("7:page", times=16, at=NOW).token, solution) == "wrong"


def test_a_counter_that_does_not_fit_is_refused():
    challenge = proof.issue("7:page", times=16, at=NOW)
    found = [int(counter) for counter in proof.solve(challenge).split(".")]
    wrong = next(n for n in range(10_000) if not proof._fits(challenge, 3, n))

    assert refused("7:page", challenge.token, ".".join(map(str, [*found[:3], wrong]))) == "wrong"


def test_more_times_are_more_work_and_never_more_than_sixteen():
    thresholds = [proof.issue("7:page", times=times, at=NOW).threshold for times in (1, 2, 4, 8, 16)]

    assert [round(thresholds[0] / each) for each in thresholds] == [1, 2, 4, 8, 16]
    assert proof.issue("7:page", times=99, at=NOW).threshold == thresholds[-1]
    # Four parts of which each wants two hashings on average are the eight of SHOPPER_WORK.
    assert round(2**32 / thresholds[0]) * proof.PARTS == 8
