"""The imitated CardInquiry server, held against its document."""

import hashlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from portal.sandboxes.cardinquiry import CARDINQUIRY, CARDS, nearly
from portal.sandboxes.control import LINE, application
from portal.sandboxes.kit import Switchboard
from portal.sandboxes.store import Store

from .conftest import SERVER_KEY, VISIBLE_KEY, Sandbox, look_up_path
from .test_kit import Listener

SHOP = "https://shop.example"


# ---- Finding a card --------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["6280390000012345", "12345", "2345", "390000012345"])
def test_a_card_is_found_by_its_number_or_its_last_characters(sandbox: Sandbox, typed: str) -> None:
    (record,) = sandbox.look_up(typed).json["data"]["Cards"]

    assert (record["Status"], record["Balance"]) == ("ok", "42.00")


@pytest.mark.parametrize("typed", ["345", "628039000001234", "62803900000123450", "2345 ", "%", "_2345"])
def test_fewer_than_four_characters_or_other_ones_find_nothing(sandbox: Sandbox, typed: str) -> None:
    assert sandbox.statuses(typed) == []


@pytest.mark.parametrize("typed", ["abc123", "C123", "c123"])
def test_letters_are_found_in_either_case(sandbox: Sandbox, typed: str) -> None:
    assert sandbox.statuses(typed, "11243") == ["ok"]


@pytest.mark.parametrize(
    "path", ["/CARDINQUIRY/cardinquiry/12345?pass=1234", "/cardinquiry/cardInquiry/12345?PASS=1234"]
)
def test_paths_and_query_names_are_read_in_any_case(sandbox: Sandbox, path: str) -> None:
    assert sandbox.ask("GET", path, headers={"x-api-key": SERVER_KEY}).json["data"]["Cards"][0]["Status"] == "ok"


def test_an_end_that_two_cards_share_asks_for_the_full_code(sandbox: Sandbox) -> None:
    assert sandbox.statuses("77777") == ["needfullcode"]
    assert sandbox.statuses("6280391100077777") == ["ok"]


def test_the_cautious_card_wants_twelve_characters(sandbox: Sandbox) -> None:
    assert sandbox.statuses("90000000005") == ["needfullcode"]
    assert sandbox.statuses("390000000005") == ["ok"]


def test_a_short_code_is_not_answered_with_the_long_one(sandbox: Sandbox) -> None:
    assert "6280390000012345" not in sandbox.look_up("12345").text
    assert sandbox.look_up("6280390000012345").json["data"]["Cards"][0]["Barcode"] == "6280390000012345"


def test_a_card_expired_long_ago_cannot_be_found(sandbox: Sandbox) -> None:
    assert sandbox.statuses("99999") == []


@pytest.mark.parametrize("password", ["1234", "1243", "9999"])
def test_a_card_that_was_closed_cannot_be_found_and_gives_no_hint(sandbox: Sandbox, password: str) -> None:
    assert sandbox.statuses("6280390000000038", password) == []


def test_a_wrong_or_missing_password_finds_nothing(sandbox: Sandbox) -> None:
    assert sandbox.statuses("12345", "9999") == []
    bare = sandbox.ask("GET", "/cardinquiry/CardInquiry/12345", headers={"X-Api-Key": SERVER_KEY})
    assert bare.json["data"]["Cards"] == []


@pytest.mark.parametrize("query", ["pass=1234&pass=1234", "pass=1234&PASS=1234", "pas=1234", "pass=1234&x=1"])
def test_an_unknown_or_repeated_query_name_is_refused(sandbox: Sandbox, query: str) -> None:
    answer = sandbox.ask("GET", f"/cardinquiry/CardInquiry/12345?{query}", headers={"X-Api-Key": SERVER_KEY})

    assert answer.status == 400
    assert set(answer.json["error"]) == {"Code", "Message"}


def test_the_shoppers_browser_and_address_are_accepted(sandbox: Sandbox) -> None:
    answer = sandbox.look_up("12345", X_Client_Ip="203.0.113.7", X_Client_Header_User_Agent="Firefox")

    assert answer.status == 200


def test_the_dripping_card_sends_less_than_it_promises(sandbox: Sandbox) -> None:
    with sandbox.send_look_up("00012") as caller:
        got = b""
        while b"\r\n\r\n{" not in got:
            got += caller.recv(65536)

    assert len(got.partition(b"\r\n\r\n")[2]) < 10
    assert int(got.partition(b"Content-Length: ")[2].split(b"\r\n")[0]) > 100


def test_the_deep_and_the_endless_card_answer_more_than_anybody_should_read(sandbox: Sandbox) -> None:
    assert sandbox.look_up("00032").body.startswith(b"[" * 10_000)
    assert len(sandbox.look_up("00033").body) > 1_000_000


def test_no_two_cards_share_a_number() -> None:
    assert len({card.number.casefold() for card in CARDS}) == len(CARDS)


# ---- The near miss ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "password"),
    [
        ("11234", "11243"),
        ("2134", "1234"),
        ("11234", "1234"),
        ("1234", "11234"),
        ("1222", "122"),
        ("47dd", "47d"),
        ("ab", "ba"),
    ],
)
def test_a_swap_or_one_too_many_or_too_few_in_a_row_is_nearly_right(typed: str, password: str) -> None:
    assert nearly(typed, password)


@pytest.mark.parametrize(
    ("typed", "password"),
    [
        ("1234", "1234"),
        ("1235", "1234"),
        ("124", "1234"),
        ("12345", "1234"),
        ("1112", "12"),
        ("1122", "12"),
        ("4321", "1234"),
        ("3214", "1234"),
        ("", "1234"),
        ("", ""),
    ],
)
def test_anything_else_is_simply_wrong(typed: str, password: str) -> None:
    assert not nearly(typed, password)


def test_a_near_miss_is_told_once_and_then_not_again(sandbox: Sandbox) -> None:
    assert sandbox.statuses("ABC123", "11234") == ["checkpassword"]
    assert sandbox.statuses("ABC123", "11234") == []
    assert sandbox.statuses("ABC123", "12143") == []
    assert sandbox.statuses("ABC123", "11243") == ["ok"]


def test_a_near_miss_tells_nothing_else(sandbox: Sandbox) -> None:
    assert sandbox.look_up("12345", "1243").json == {"data": {"Cards": [{"Status": "checkpassword"}]}}


def test_one_cards_near_miss_leaves_anothers(sandbox: Sandbox) -> None:
    assert sandbox.statuses("12345", "1243") == ["checkpassword"]
    assert sandbox.statuses("20100", "1243") == ["checkpassword"]


def test_the_near_miss_card_hints_once_though_the_pin_is_right(sandbox: Sandbox) -> None:
    assert sandbox.statuses("00004") == ["checkpassword"]
    assert sandbox.statuses("00004") == []


# ---- Keys and browsers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "wrong", SERVER_KEY.lower(), SERVER_KEY + "x"])
def test_a_wrong_key_is_refused_with_a_trace(sandbox: Sandbox, key: str) -> None:
    answer = sandbox.look_up("12345", key=key)

    assert answer.status == 403
    assert len(answer.headers["x-fieldpine-trace"]) == 16
    assert sandbox.effects() == []


def test_a_shops_page_may_ask_with_the_visible_key(sandbox: Sandbox) -> None:
    preflight = sandbox.ask(
        "OPTIONS",
        look_up_path("12345"),
        headers={"Origin": SHOP, "Access-Control-Request-Headers": "x-api-key"},
    )
    answer = sandbox.look_up("12345", key=VISIBLE_KEY, Origin=SHOP)

    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "X-Api-Key" in preflight.headers["Access-Control-Allow-Headers"]
    assert answer.json["data"]["Cards"][0]["Status"] == "ok"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_browser_with_the_servers_key_gets_nothing(sandbox: Sandbox) -> None:
    answer = sandbox.look_up("12345", Origin=SHOP)

    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert sandbox.effects() == []


def test_a_server_is_told_nothing_about_browsers(sandbox: Sandbox) -> None:
    assert "Access-Control-Allow-Origin" not in sandbox.look_up("12345").headers


# ---- The provider's own test words -----------------------------------------------------------------------


def test_a_queued_look_up_is_accepted_and_not_done(sandbox: Sandbox) -> None:
    answer = sandbox.look_up("12345", X_Fieldpine_CallerHandling="queue")

    assert answer.status == 202
    assert sandbox.effects() == []


@pytest.mark.parametrize("word", ["full", "audit", "none", "delay(30)", "DELAY(1)"])
def test_the_other_words_change_nothing_about_the_answer(sandbox: Sandbox, word: str) -> None:
    answer = sandbox.look_up("12345", X_Fieldpine_CallerHandling=word)

    assert answer.json["data"]["Cards"][0]["Status"] == "ok"


def test_drop_connection_drops_it(sandbox: Sandbox) -> None:
    with pytest.raises(ConnectionError):
        sandbox.look_up("12345", X_Fieldpine_CallerHandling="drop-connection")

    assert sandbox.calls() == 1
    assert sandbox.effects() == []


# ---- Time ------------------------------------------------------------------------------------------------


class Timed:
    """The same application in this process, with a clock that we move."""

    def __init__(self, folder: Path) -> None:
        self.now = datetime(2027, 1, 1, 0, 30, tzinfo=UTC)
        self.folder = folder
        self.line = Listener()
        self.waited: list[float] = []
        self.line.hold = lambda seconds: self.waited.append(seconds) or True  # type: ignore[method-assign,func-returns-value]
        self.store = Store(folder, tables=CARDINQUIRY.tables)
        board = Switchboard(store=self.store, clock=lambda: self.now)
        self.client: FlaskClient = application([CARDINQUIRY], board, lenient_clock=False).test_client()

    def look_up(self, card: str, pin: str = "1234", **headers: str) -> list[dict[str, Any]]:
        answer = self.client.get(
            look_up_path(card, pin),
            headers={
                "X-Api-Key": SERVER_KEY,
                **{name.replace("_", "-"): text for name, text in headers.items()},
            },
            environ_overrides={LINE: self.line},
        )
        records: list[dict[str, Any]] = answer.get_json()["data"]["Cards"]
        return records


@pytest.fixture
def timed(tmp_path: Path) -> Iterator[Timed]:
    timed = Timed(tmp_path)
    yield timed
    timed.store.close()


def test_the_expired_card_expired_yesterday_whatever_today_is(timed: Timed) -> None:
    assert timed.look_up("00003") == [{"Status": "expired", "Expiry": "2026-12-31"}]

    timed.now += timedelta(days=59)

    assert timed.look_up("00003") == [{"Status": "expired", "Expiry": "2027-02-28"}]


def test_other_cards_are_good_to_the_end_of_next_year(timed: Timed) -> None:
    assert timed.look_up("12345")[0]["Expiry"] == "2028-12-31"


def test_the_near_miss_is_told_again_after_its_window(timed: Timed) -> None:
    assert timed.look_up("ABC123", "11234") == [{"Status": "checkpassword"}]
    timed.now += timedelta(minutes=15) - timedelta(seconds=1)
    assert timed.look_up("ABC123", "11234") == []
    timed.now += timedelta(seconds=1)
    assert timed.look_up("ABC123", "11234") == [{"Status": "checkpassword"}]


def test_a_usage_token_is_new_each_time_and_kept_only_as_a_hash(timed: Timed) -> None:
    first, second = (timed.look_up("12345")[0]["UsageToken"] for _ in range(2))

    assert first != second
    with sqlite3.connect(timed.folder / "sandboxes.sqlite3") as db:
        kept = dict(db.execute("SELECT hash, number FROM cardinquiry_tokens"))
    assert kept == {hashlib.sha256(token.encode()).hexdigest(): "6280390000012345" for token in (first, second)}


def test_a_usage_token_is_forgotten_after_its_time(timed: Timed) -> None:
    timed.look_up("12345")
    timed.now += timedelta(minutes=15, seconds=1)
    timed.look_up("20100")

    with sqlite3.connect(timed.folder / "sandboxes.sqlite3") as db:
        assert [number for (number,) in db.execute("SELECT number FROM cardinquiry_tokens")] == ["6280390000020100"]


@pytest.mark.parametrize(("word", "seconds"), [("delay(300)", 0.3), ("delay(999999999)", 60)])
def test_a_delay_is_in_milliseconds_and_at_most_a_minute(timed: Timed, word: str, seconds: float) -> None:
    timed.look_up("12345", X_Fieldpine_CallerHandling=word)

    assert timed.waited == [seconds]


def test_a_refusal_takes_its_time(timed: Timed) -> None:
    timed.client.get(look_up_path("12345"), environ_overrides={LINE: timed.line})

    (wait,) = timed.waited
    assert wait > 0
