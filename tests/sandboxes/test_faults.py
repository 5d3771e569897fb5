"""Every fault, as a caller meets it."""

import http.client
import select
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from portal.sandboxes.faults import Kind

from .conftest import Sandbox, all_of, until


def silent(caller: socket.socket) -> bool:
    return not select.select([caller], [], [], 0)[0]


def test_refuse_does_nothing_and_answers_the_providers_refusal(sandbox: Sandbox) -> None:
    sandbox.arm("refuse")

    answer = sandbox.look_up("00001")

    assert answer.status == 400
    assert answer.json["error"]["Code"] == 2003
    assert sandbox.effects() == []


def test_timeout_before_does_nothing_and_closes_without_an_answer(sandbox: Sandbox) -> None:
    sandbox.arm("timeout_before", seconds=0.1)

    assert all_of(sandbox.send_look_up()) == b""

    assert sandbox.effects() == []
    assert sandbox.calls() == 1


def test_timeout_after_is_in_the_journal_while_the_caller_still_waits(sandbox: Sandbox) -> None:
    sandbox.arm("timeout_after", seconds=60)

    with sandbox.send_look_up() as caller:
        until(sandbox.effects)
        assert silent(caller)


def test_timeout_after_closes_without_an_answer(sandbox: Sandbox) -> None:
    sandbox.arm("timeout_after", seconds=0.1)

    assert all_of(sandbox.send_look_up()) == b""

    assert len(sandbox.effects()) == 1


def test_cut_does_it_and_stops_in_the_middle_of_the_answer(sandbox: Sandbox) -> None:
    sandbox.arm("cut")

    with pytest.raises(http.client.IncompleteRead) as cut:
        sandbox.look_up("00001")

    assert cut.value.partial.startswith(b'{"data"')
    assert len(sandbox.effects()) == 1


def test_error_after_does_it_and_answers_500_with_a_page(sandbox: Sandbox) -> None:
    sandbox.arm("error_after")

    answer = sandbox.look_up("00001")

    assert answer.status == 500
    assert answer.headers["Content-Type"].startswith("text/html")
    assert len(sandbox.effects()) == 1


def test_garbage_does_it_and_answers_what_nobody_can_read(sandbox: Sandbox) -> None:
    sandbox.arm("garbage")

    answer = sandbox.look_up("00001")

    assert answer.status == 200
    with pytest.raises(UnicodeDecodeError):
        _ = answer.json
    assert len(sandbox.effects()) == 1


def test_late_is_done_after_the_caller_was_left_without_an_answer(sandbox: Sandbox) -> None:
    sandbox.arm("late", seconds=2)

    assert all_of(sandbox.send_look_up()) == b""

    assert sandbox.effects() == []
    until(sandbox.effects)


def test_late_is_done_though_the_caller_left_first(sandbox: Sandbox) -> None:
    sandbox.arm("late", seconds=0.5)

    sandbox.send_look_up().close()

    until(sandbox.effects)


def test_slow_answers_properly_after_others_were_served(sandbox: Sandbox) -> None:
    sandbox.arm("slow", seconds=1)

    with sandbox.send_look_up() as slow:
        until(lambda: sandbox.calls() == 1)
        assert sandbox.look_up("00002").status == 200
        assert silent(slow)
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")


def test_throttle_does_nothing_and_says_when_to_come_back(sandbox: Sandbox) -> None:
    sandbox.arm("throttle", seconds=999_999_999)

    answer = sandbox.look_up("00001")

    assert (answer.status, answer.headers["Retry-After"]) == (429, "999999999")
    assert sandbox.effects() == []


def test_redirect_does_nothing_and_points_to_a_private_address(sandbox: Sandbox) -> None:
    sandbox.arm("redirect")

    answer = sandbox.look_up("00001")

    assert (answer.status, answer.headers["Location"]) == (302, "http://169.254.169.254/")
    assert sandbox.effects() == []


@pytest.mark.parametrize("kind", Kind)
def test_every_fault_is_over_after_the_times_it_was_armed_for(sandbox: Sandbox, kind: Kind) -> None:
    sandbox.arm(kind, times=2, seconds=0)

    for _ in range(2):
        all_of_one(sandbox)

    assert sandbox.ask("GET", "/_sandbox/faults").json == []
    assert sandbox.look_up("00001").json["data"]["Cards"][0]["Status"] == "ok"


def all_of_one(sandbox: Sandbox) -> None:
    with sandbox.send_look_up() as caller:
        caller.recv(65536)


def test_a_fault_meets_only_the_path_it_was_armed_for(sandbox: Sandbox) -> None:
    sandbox.arm("error_after", path="/CardInquiry/00002")

    assert sandbox.look_up("00001").status == 200
    assert sandbox.look_up("00002").status == 500


def test_a_star_in_a_path_stands_for_any_one_part_of_it(sandbox: Sandbox) -> None:
    sandbox.arm("error_after", path="/*/00002")

    assert sandbox.look_up("00001").status == 200
    assert sandbox.look_up("00002").status == 500


def test_a_probable_fault_stays_armed(sandbox: Sandbox) -> None:
    sandbox.arm("error_after", probability=1)

    assert [sandbox.look_up("00001").status for _ in range(3)] == [500, 500, 500]
    assert len(sandbox.ask("GET", "/_sandbox/faults").json) == 1


def test_faults_are_met_in_the_order_they_were_armed(sandbox: Sandbox) -> None:
    sandbox.arm("error_after")
    sandbox.arm("redirect")

    assert [sandbox.look_up("00001").status for _ in range(3)] == [500, 302, 200]


def test_a_preflight_uses_up_no_fault(sandbox: Sandbox) -> None:
    sandbox.arm("error_after")

    assert sandbox.ask("OPTIONS", "/cardinquiry/CardInquiry/00001").status == 204

    assert sandbox.look_up("00001").status == 500


@pytest.mark.parametrize("ahead", [94, -3600])
def test_clock_does_it_and_answers_by_another_clock(sandbox: Sandbox, ahead: int) -> None:
    sandbox.arm("clock", seconds=ahead)

    answer = sandbox.look_up("00001")

    off = parsedate_to_datetime(answer.headers["Date"]) - datetime.now(UTC)
    assert abs(off.total_seconds() - ahead) < 10
    assert answer.json["data"]["Cards"][0]["Status"] == "ok"
    (effect,) = sandbox.effects()  # the journal keeps to the true time
    assert abs((datetime.fromisoformat(effect["at"]) - datetime.now(UTC)).total_seconds()) < 10


def test_clock_is_what_the_provider_itself_goes_by(sandbox: Sandbox) -> None:
    sandbox.look_up("00004")  # the one hint of these 15 minutes
    sandbox.arm("clock", seconds=16 * 60)

    assert sandbox.statuses("00004") == ["checkpassword"]
    assert sandbox.statuses("00004") == []


def test_foreign_does_nothing_and_answers_a_strangers_page(sandbox: Sandbox) -> None:
    sandbox.arm("foreign")

    answer = sandbox.look_up("00001")

    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "It works!" in answer.text
    assert sandbox.effects() == []
