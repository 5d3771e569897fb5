"""The imitated secuconnect server, held against its document: tokens, fields, bookings, receipts and magic cards."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.sandboxes import secuconnect
from portal.sandboxes import secuconnect_queries as queries
from portal.sandboxes.control import LINE, application
from portal.sandboxes.kit import Switchboard
from portal.sandboxes.secuconnect import SECUCONNECT, SEED_REQUEST
from portal.sandboxes.secuconnect_cards import CARDS
from portal.sandboxes.secuconnect_requests import TEMPLATE
from portal.sandboxes.secuconnect_service import security_code
from portal.sandboxes.secuconnect_spending import spending
from portal.sandboxes.secuconnect_tokens import CLIENT_ID, CLIENT_SECRET, DEVICE_UUID, NEW_DEVICE_UUID
from portal.sandboxes.store import Store

from .conftest import Answer, Sandbox, until
from .test_kit import Listener

SEED_CARD = "9276004424644352"
SEED_STX = "STX_W28QKGS8H2X07TF64EDJ8DZEJN9RA2"
GIFT = "CRG_442AC7B8XCVU3XG2NX9E5XHJWH4CRK"
TRANSACTIONS = "/api/v2/Smart/Transactions"
CARDS_PATH = "/api/v2/Loyalty/MerchantCards"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Shop:
    """A shop that has a token and keeps it."""

    def __init__(self, sandbox: Sandbox, header: str = "Authorization", grant: dict[str, str] = GRANT) -> None:
        self.sandbox, self.header, self.grant = sandbox, header, grant
        self.token = ""

    def post_token(self, body: str, headers: dict[str, str] = JSON) -> Answer:
        return self.sandbox.ask("POST", "/secuconnect/oauth/token", body, headers)

    def ask(self, method: str, path: str, body: str = "") -> Answer:
        if not self.token:
            self.token = self.post_token(json.dumps(self.grant)).json["access_token"]
        headers = {self.header: f"Bearer {self.token}", "Accept": "application/json"}
        if body:
            headers |= JSON
        return self.sandbox.ask(method, f"/secuconnect{path}", body, headers)

    def create(self, asked: dict[str, Any]) -> Any:
        answer = self.ask("POST", TRANSACTIONS, json.dumps(asked))
        assert answer.status == 200, answer.text
        return answer.json

    def begun(self, end: str = "01", **more: Any) -> str:
        id: str = self.create(load(end, **more))["id"]
        return id

    def do(self, id: str, what: str) -> Answer:
        return self.ask("POST", f"{TRANSACTIONS}/{id}/{what}")

    def start(self, id: str, method: str = "") -> Any:
        answer = self.do(id, f"start{method}")
        assert answer.status == 200, answer.text
        return answer.json

    def loaded(self, end: str = "01", **more: Any) -> str:
        id = self.begun(end, **more)
        assert self.start(id)["status"] == "ok"
        return id

    def read(self, id: str) -> Any:
        return self.ask("GET", f"{TRANSACTIONS}/{id}").json

    def search(self, path: str, **asked: Any) -> Any:
        return self.ask("GET", f"{path}?{urlencode(asked)}").json

    def holds(self, end: str) -> tuple[int, int]:
        """Cash and bonus."""
        (card,) = self.search(CARDS_PATH, q=f"card.cardnumber:{number(end)}")["data"]
        assert card["balance"] == card["cash_balance"] + card["bonus_balance"]
        return card["cash_balance"], card["bonus_balance"]


def number(end: str) -> str:
    return end if len(end) > 2 else f"92760044246440{end}"


def seed_request(**more: Any) -> dict[str, Any]:
    return {**copy.deepcopy(dict(SEED_REQUEST)), **more}


def load(end: str, cents: int = 2000, **more: Any) -> dict[str, Any]:
    """A load alone."""
    asked = seed_request(**more)
    asked["idents"] = more.get("idents", [{"type": "card", "value": number(end)}])
    line = asked["basket"]["products"][1]
    asked["basket"] = {"products": [line | {"priceOne": cents}]}
    asked["basket_info"]["sum"] = cents
    return asked


@contextmanager
def clocked(folder: Path, clock: Callable[[], datetime]) -> Iterator[tuple[Store, Callable[..., Any], Any]]:
    """The same server by a clock of our own: its store, and what posts and gets there."""
    store = Store(folder, tables=SECUCONNECT.tables, stock=SECUCONNECT.stock)
    client = application([SECUCONNECT], Switchboard(store=store, clock=clock), lenient_clock=False).test_client()
    headers: dict[str, str] = {}

    def send(method: str, path: str, body: object = None) -> Any:
        answer = client.open(
            f"/secuconnect{path}",
            method=method,
            json=body,
            headers=headers,
            environ_overrides={LINE: Listener()},
            base_url="http://localhost",
        )
        return answer.json

    headers["Authorization"] = f"Bearer {send('POST', '/oauth/token', GRANT)['access_token']}"
    yield store, lambda path, body=None: send("POST", path, body), lambda path: send("GET", path)
    store.close()


def refused(answer: Answer) -> tuple[int, int]:
    error = answer.json
    assert error.keys() == {"status", "error", "error_details", "error_user", "code", "supportId"}
    return answer.status, error["code"]


def moved(sandbox: Sandbox) -> list[Any]:
    return [(each["verb"], each["amount"]) for each in sandbox.effects()]


@pytest.fixture
def shop(sandbox: Sandbox) -> Shop:
    return Shop(sandbox)


# ---- The document's own figures --------------------------------------------------------------------------


def test_the_documents_purchase_books_the_bonus_first_and_the_load_second(sandbox: Sandbox, shop: Shop) -> None:
    created = shop.create(seed_request(merchantRef="Order7"))
    assert shop.holds(SEED_CARD) == (200, 20)

    started = shop.start(created["id"])

    card = started["idents"][0]["merchantcard"]
    assert (card["cash_balance"], card["bonus_balance"], card["balance"]) == (2200, 810, 3010)
    assert [
        (each["verb"], each["amount"], each["reference"], each["provider_reference"], each["currency"])
        for each in sandbox.effects()
    ] == [
        ("bonus", 790, "Order7", created["id"], "EUR"),
        ("top_up", 2000, "Order7", created["id"], "EUR"),
    ]
    booked = shop.search("/api/v2/Loyalty/Transactions", sort="trans_id:asc")["data"]
    assert [(each["trans_id"], each["amount"], each["balance"]) for each in booked] == [
        (32076570, 790, 1010),
        (32076572, 2000, 3010),
    ]
    assert [each["object"] for each in started["transactions"]] == ["payment.transactions"] + [
        "loyalty.transactions"
    ] * 2


def test_a_load_on_the_blacklist_earns_no_bonus(sandbox: Sandbox, shop: Shop) -> None:
    asked = seed_request(idents=[{"type": "card", "value": number("00")}])

    started = shop.start(shop.create(asked)["id"])

    assert moved(sandbox) == [("bonus", 590), ("top_up", 2000)]
    assert shop.holds("00") == (2200, 610)
    texts = [item["value"]["text"] for item in started["receipt"] if item["type"] == "textline"]
    assert texts[1::2][:3] == ["59,00 EUR", "5,90 EUR", "8,10 EUR"]


def test_only_articles_on_the_whitelist_earn(sandbox: Sandbox, shop: Shop) -> None:
    shop.start(shop.create(seed_request(idents=[{"type": "card", "value": number("03")}]))["id"])
    shop.loaded("03", cents=1000)

    assert moved(sandbox) == [("bonus", 590), ("top_up", 2000), ("top_up", 1000)]


@pytest.mark.parametrize(("cents", "bonus"), [(4, 0), (5, 1), (14, 1), (15, 2)])
def test_half_a_cent_of_bonus_is_a_cent(sandbox: Sandbox, shop: Shop, cents: int, bonus: int) -> None:
    shop.loaded(SEED_CARD, cents=cents)

    assert shop.holds(SEED_CARD) == (200 + cents, 20 + bonus)


def test_a_receipt_has_all_kinds_of_items_and_a_space_has_no_value(shop: Shop) -> None:
    receipt = shop.start(SEED_STX)["receipt"]

    assert {item["type"] for item in receipt} == {"separator", "textline", "name-value", "space"}
    assert all(("value" in item) == (item["type"] != "space") for item in receipt)


def test_what_is_created_has_loaded_nothing(sandbox: Sandbox, shop: Shop) -> None:
    created = shop.create(seed_request())

    assert created["status"] == "created"
    assert {"updated", "receipt"}.isdisjoint(created)
    assert created["idents"][0]["merchantcard"]["balance"] == 220
    assert (sandbox.effects(), shop.holds(SEED_CARD)) == ([], (200, 20))


def test_types_change_between_request_and_answer(shop: Shop) -> None:
    goods, loaded = shop.create(seed_request())["basket"]["products"]

    assert (goods["articleNumber"], goods["ean"], loaded["articleNumber"]) == ("30200", "", "")


def test_both_load_articles_load(shop: Shop) -> None:
    asked = load("01")
    asked["basket"]["products"][0]["ean"] = "4260447149519"
    shop.start(shop.create(asked)["id"])

    assert shop.holds("01") == (2000, 0)


# ---- Starting --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["", "/", "/cash", "/cashless"])
def test_a_transaction_is_started_once(sandbox: Sandbox, shop: Shop, way: str) -> None:
    id = shop.begun("01")
    assert shop.start(id, way)["status"] == "ok"

    assert refused(shop.do(id, f"start{way}")) == (403, 9005)
    assert moved(sandbox) == [("top_up", 2000)]


def test_nobody_knows_every_way_to_pay(sandbox: Sandbox, shop: Shop) -> None:
    assert refused(shop.do(shop.begun(), "start/barter")) == (400, 9002)
    assert sandbox.effects() == []


def test_what_is_authorised_is_captured_by_a_start_and_at_once_where_asked_for(sandbox: Sandbox, shop: Shop) -> None:
    id = shop.begun()
    assert shop.do(id, "prepare/creditcard").json["status"] == "approved"
    assert sandbox.effects() == []
    assert shop.start(id)["status"] == "ok"

    at_once = shop.begun(payment_context={"auto_capture": True})
    assert shop.do(at_once, "prepare/creditcard").json["status"] == "ok"
    assert refused(shop.do(at_once, "start")) == (403, 9005)
    assert shop.holds("01") == (4000, 0)


def test_a_change_throws_an_authorisation_away(shop: Shop) -> None:
    id = shop.begun()
    shop.do(id, "prepare/creditcard")

    changed = shop.ask("PUT", f"{TRANSACTIONS}/{id}", json.dumps(load("01", cents=500) | {"status": "ok"})).json

    assert (changed["status"], changed["basket_info"]["sum"]) == ("created", 500)
    shop.start(id)
    assert shop.holds("01") == (500, 0)
    assert refused(shop.ask("PUT", f"{TRANSACTIONS}/{id}", json.dumps(load("01")))) == (403, 9005)


@pytest.mark.parametrize(("end", "status", "moves"), [("05", "ok", [("top_up", 2000)]), ("06", "failed", [])])
def test_what_is_pending_ends_two_seconds_later(
    sandbox: Sandbox, shop: Shop, end: str, status: str, moves: list[Any]
) -> None:
    id = shop.begun(end)
    assert shop.start(id)["status"] == "pending"
    assert refused(shop.do(id, "start")) == (403, 9005)
    assert sandbox.effects() == []

    until(lambda: shop.read(id)["status"] != "pending")

    assert shop.read(id)["status"] == status
    assert moved(sandbox) == moves


@pytest.mark.parametrize(("end", "code"), [("02", 9006), ("04", 9008), ("17", 9007)])
def test_a_card_that_may_not_be_loaded_is_not(sandbox: Sandbox, shop: Shop, end: str, code: int) -> None:
    id = shop.begun(end)

    assert refused(shop.do(id, "start")) == (403, code)
    assert (shop.read(id)["status"], sandbox.effects()) == ("created", [])


def test_a_limit_is_reached_to_the_cent(shop: Shop) -> None:
    shop.loaded("04", cents=1000)

    assert refused(shop.do(shop.begun("04", cents=1), "start")) == (403, 9008)
    assert shop.holds("04") == (15000, 0)


def test_a_failed_payment_is_answered_with_200(sandbox: Sandbox, shop: Shop) -> None:
    assert shop.start(shop.begun("08"))["status"] == "failed"
    assert (sandbox.effects(), shop.holds("08")) == ([], (5000, 0))


@pytest.mark.parametrize(
    ("end", "seen"),
    [
        ("09", lambda told: told["status"] == "parked"),
        ("10", lambda told: "status" not in told),
        ("11", lambda told: told["idents"][0]["value"] == SEED_CARD),
        ("12", lambda told: told["basket_info"]["sum"] == 99999),
        ("13", lambda told: told["idents"][0]["merchantcard"]["cash_balance"] == 5000),
    ],
)
def test_an_odd_card_is_booked_and_answers_oddly(shop: Shop, end: str, seen: Callable[[Any], bool]) -> None:
    id = shop.begun(end)

    assert seen(shop.start(id))
    assert seen(shop.read(id))
    assert shop.holds(end) == (7000, 0)


# ---- Paying with the card --------------------------------------------------------------------------------


def bought(end: str, *lines: tuple[int, int]) -> dict[str, Any]:
    """Goods of (price in cents, VAT rate), with nothing loaded."""
    asked = load(end)
    asked["basket"]["products"] = [
        {"id": place, "desc": "Ware", "quantity": 1, "priceOne": price, "tax": rate}
        for place, (price, rate) in enumerate(lines, start=1)
    ]
    asked["basket_info"]["sum"] = sum(price for price, _rate in lines)
    return asked


def test_a_card_that_has_enough_pays_alone(sandbox: Sandbox, shop: Shop) -> None:
    id = shop.create(bought("16", (1250, 19)))["id"]

    assert shop.do(id, "preTransaction").json == {"missing_sum": 0, "bonus_products": []}
    told = shop.read(id)
    assert (told["status"], told["basket_info"]["missing_sum"], told["transactions"]) == ("processing", 0, [])
    assert (sandbox.effects(), shop.holds("16")) == ([], (5000, 0))

    paid = shop.start(id, "/loyalty")

    assert (paid["status"], shop.holds("16"), moved(sandbox)) == ("ok", (3750, 0), [("pay", 1250)])
    assert [each["object"] for each in paid["transactions"]] == ["loyalty.transactions"]
    assert refused(shop.do(id, "start/loyalty")) == (403, 9005)
    (booked,) = shop.search("/api/v2/Loyalty/Transactions")["data"]
    assert (booked["amount"], booked["balance"], booked["description"]) == (-1250, 3750, "Zahlung")


def test_bonus_is_spent_first_and_lowers_the_basket_by_vat_rate() -> None:
    """The provider's own sample: 71 cents of bonus over 5.98 at 7 % and 1.98 at 19 %, and 7.25 are missing."""
    lines = [{"id": 1, "priceOne": 349, "quantity": 1, "tax": 7}, {"id": 2, "priceOne": 249, "quantity": 1, "tax": 7}]
    lines.append({"id": 3, "priceOne": 99, "quantity": 2, "tax": 19})

    spent = spending(cash=0, bonus=71, lines=lines, due=796)

    assert spent.missing == 725
    assert [(each["id"], each["priceOne"], each["tax"], each["articleNumber"]) for each in spent.products(lines)] == [
        (4, -53, 7, "111111117"),
        (5, -18, 19, "1111111119"),
    ]


@given(
    cash=st.integers(0, 500),
    bonus=st.integers(0, 500),
    prices=st.lists(st.tuples(st.integers(0, 200), st.sampled_from([0, 7, 19])), max_size=5),
)
def test_what_a_card_pays_and_what_is_missing_are_what_is_due(
    cash: int, bonus: int, prices: list[tuple[int, int]]
) -> None:
    lines = [{"id": 1, "priceOne": price, "quantity": 1, "tax": rate} for price, rate in prices]
    due = sum(price for price, _rate in prices)

    spent = spending(cash=cash, bonus=bonus, lines=lines, due=due)

    assert spent.cash + spent.bonus_sum + spent.missing == due
    assert 0 <= spent.cash <= cash
    assert spent.bonus_sum == min(bonus, due)
    assert all(cents > 0 for _rate, cents in spent.bonus)
    assert not spent.missing or (spent.cash, spent.bonus_sum) == (cash, bonus)


def test_bonus_is_a_discount_and_money_is_not(shop: Shop) -> None:
    """2.00 and 0.20 bonus; the goods earn 10 % again."""
    id = shop.create(bought(SEED_CARD, (150, 19)))["id"]
    shop.do(id, "preTransaction")

    told = shop.read(id)

    assert [line["priceOne"] for line in told["basket"]["products"]] == [150, -20]
    assert (told["basket_info"]["sum"], told["basket_info"]["missing_sum"]) == (130, 0)
    shop.start(id, "/loyalty")
    assert shop.holds(SEED_CARD) == (70, 15)


def test_what_is_missing_is_paid_another_way_and_never_with_the_card_alone(sandbox: Sandbox, shop: Shop) -> None:
    id = shop.create(bought("16", (6000, 19)))["id"]
    assert shop.do(id, "preTransaction").json["missing_sum"] == 1000

    assert refused(shop.do(id, "start/loyalty")) == (403, 9014)
    assert (sandbox.effects(), shop.holds("16")) == ([], (5000, 0))

    paid = shop.start(id, "/cash")
    assert (paid["status"], shop.holds("16"), moved(sandbox)) == ("ok", (0, 0), [("pay", 5000)])
    assert [each["object"] for each in paid["transactions"]] == ["payment.transactions", "loyalty.transactions"]


def test_the_card_pays_at_once_where_it_was_not_applied_before(sandbox: Sandbox, shop: Shop) -> None:
    shop.start(shop.create(bought("16", (5000, 19)))["id"], "/loyalty")
    assert refused(shop.do(shop.create(bought("16", (1, 19)))["id"], "start/loyalty")) == (403, 9014)

    assert (moved(sandbox), shop.holds("16")) == ([("pay", 5000)], (0, 0))


def test_a_change_takes_back_that_the_card_is_to_pay(shop: Shop) -> None:
    id = shop.create(bought("16", (1250, 19)))["id"]
    shop.do(id, "preTransaction")

    changed = shop.ask("PUT", f"{TRANSACTIONS}/{id}", json.dumps(bought("16", (1000, 19)))).json

    assert (changed["status"], "missing_sum" in changed["basket_info"]) == ("created", False)
    shop.start(id, "/cash")
    assert shop.holds("16") == (5000, 0)


def test_what_another_has_spent_meanwhile_cannot_be_spent(sandbox: Sandbox, shop: Shop) -> None:
    first, second = (shop.create(bought("16", (3000, 19)))["id"] for _ in range(2))
    shop.do(first, "preTransaction")
    shop.do(second, "preTransaction")
    shop.start(first, "/loyalty")

    assert refused(shop.do(second, "start/loyalty")) == (403, 9014)
    assert (moved(sandbox), shop.read(second)["status"]) == ([("pay", 3000)], "processing")


def test_only_a_card_that_is_there_and_usable_pays(shop: Shop) -> None:
    made = load("", idents=[{"type": "create_card", "value": GIFT}])
    assert refused(shop.do(shop.create(made)["id"], "preTransaction")) == (400, 9002)
    assert refused(shop.do(shop.create(bought("02", (100, 19)))["id"], "preTransaction")) == (403, 9006)
    assert refused(shop.do(shop.loaded("01"), "preTransaction")) == (403, 9005)


def test_a_payment_that_is_cancelled_comes_back_as_it_was(sandbox: Sandbox, shop: Shop) -> None:
    id = shop.create(bought(SEED_CARD, (150, 19)))["id"]
    shop.start(id, "/loyalty")

    assert shop.do(id, "cancel").json["status"] == "cancelled"

    assert shop.holds(SEED_CARD) == (200, 20)
    assert moved(sandbox) == [("pay", 150), ("bonus", 15), ("void_bonus", 15), ("void", 150)]


# ---- Cards beside buying ---------------------------------------------------------------------------------


def of_card(shop: Shop, end: str, what: str = "") -> str:
    (found,) = shop.search(CARDS_PATH, q=f"card.cardnumber:{number(end)}")["data"]
    return f"{CARDS_PATH}/{found['id']}{what}"


def asks(shop: Shop, end: str, what: str, **given: Any) -> Any:
    answer = shop.ask("POST", of_card(shop, end, f"/{what}"), json.dumps(given) if given else "")
    return answer.json if answer.status == 200 else refused(answer)


def test_a_card_is_locked_for_a_reason_and_unlocked(sandbox: Sandbox, shop: Shop) -> None:
    assert asks(shop, "16", "lock", reason=1, note="at the tram stop") == {
        "lock_status": "locked",
        "reason": 1,
        "note": "at the tram stop",
    }
    assert shop.ask("GET", of_card(shop, "16", "/lock")).json["reason"] == 1
    assert shop.ask("GET", of_card(shop, "16")).json["lock_status"] == "locked"
    validated = json.dumps({"cardnumber": number("16")})
    assert shop.ask("POST", f"{CARDS_PATH}/me/validateMerchantcard", validated).json["isLocked"] is True
    assert refused(shop.do(shop.begun("16"), "start")) == (403, 9006)

    assert asks(shop, "16", "unlock") == {"lock_status": "unlocked", "reason": None, "note": ""}
    shop.loaded("16")
    assert moved(sandbox) == [("top_up", 2000)]


def test_the_magic_locked_card_can_be_unlocked(shop: Shop) -> None:
    assert shop.ask("GET", of_card(shop, "02", "/lock")).json["lock_status"] == "locked"
    assert asks(shop, "02", "unlock")["lock_status"] == "unlocked"
    assert shop.loaded("02")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, (400, 9002)),
        ({"reason": 4}, (400, 9002)),
        ({"reason": "1"}, (400, 9002)),
        ({"reason": True}, (400, 9002)),
        ({"reason": 1, "who": "me"}, (400, 9002)),
        ({"reason": 1, "csc": "no"}, (403, 9015)),
    ],
    ids=["none", "unknown", "text", "true", "field", "code"],
)
def test_a_lock_that_makes_no_sense_locks_nothing(shop: Shop, given: dict[str, Any], error: tuple[int, int]) -> None:
    assert asks(shop, "16", "lock", **given) == error
    assert shop.ask("GET", of_card(shop, "16", "/lock")).json["lock_status"] == "unlocked"


def test_a_security_code_is_right_or_wrong(shop: Shop) -> None:
    right = security_code(number("16"))

    assert re.fullmatch("[0-9]{4}", right)
    assert asks(shop, "16", "checkCsc", cardnumber=number("16"), csc=right) == {"result": True}
    assert asks(shop, "16", "checkCsc", cardnumber=number("16"), csc="x") == {"result": False}
    assert asks(shop, "16", "checkCsc", cardnumber=number("01"), csc=right) == (400, 9002)
    assert asks(shop, "16", "lock", reason=1, csc=right)["lock_status"] == "locked"


def test_a_balance_is_told_with_what_still_fits_and_a_paper(shop: Shop) -> None:
    told = asks(shop, "04", "getCardBalanceReceipt", cardnumber=number("04"), terminal_id="1")

    assert (told["balance"], told["cash_balance"], told["bonus_balance"]) == (14000, 14000, 0)
    assert (told["limit_allowed"], told["limit"], told["limit_str"]) == (True, 1000, "10,00 EUR")
    assert [item["value"]["text"] for item in told["receipt"] if item["type"] == "textline"][-1] == "140,00 EUR"
    free = asks(shop, "16", "getCardBalanceReceipt", cardnumber=number("16"))
    assert (free["valid"], free["points"], free["limit_allowed"], free["limit"]) == (True, 120, False, None)
    assert asks(shop, "16", "getCardBalanceReceipt", cardnumber=number("01")) == (400, 9002)


def test_cards_are_made_in_numbers_each_with_its_code(sandbox: Sandbox, shop: Shop) -> None:
    made = shop.ask("POST", f"{CARDS_PATH}/me/createMerchantcards/{GIFT}", json.dumps({"cards_amount": 3})).json

    numbers = [each["card"]["cardnumber"] for each in made["data"]]
    assert (made["count"], len(set(numbers))) == (3, 3)
    assert [each["csc"] for each in made["data"]] == [security_code(each) for each in numbers]
    assert [(each["verb"], each["subject"]) for each in sandbox.effects()] == [("activate", each) for each in numbers]
    assert shop.holds(numbers[0]) == (0, 0)


@pytest.mark.parametrize(
    ("group", "given", "error"),
    [
        (GIFT, {"cards_amount": 0}, (400, 9002)),
        (GIFT, {"cards_amount": 101}, (400, 9002)),
        (GIFT, {"cards_amount": True}, (400, 9002)),
        (GIFT, {"number": 1}, (400, 9002)),
        ("CRG_NOBODYS", {}, (404, 9004)),
        ("CRG_GO7GQ6DHW3TJYGDF64WD16PUIDHQ8Y", {}, (403, 9009)),
    ],
    ids=["none", "too many", "true", "field", "no group", "not this group"],
)
def test_no_card_is_made_of_nonsense(
    sandbox: Sandbox, shop: Shop, group: str, given: dict[str, Any], error: tuple[int, int]
) -> None:
    answer = shop.ask("POST", f"{CARDS_PATH}/me/createMerchantcards/{group}", json.dumps(given))

    assert (refused(answer), sandbox.effects()) == (error, [])


def test_a_payment_says_how_it_stands_and_what_the_card_did_not_pay(shop: Shop) -> None:
    id = shop.create(bought("16", (6000, 19)))["id"]
    shop.do(id, "preTransaction")
    payment = shop.start(id, "/cash")["transactions"][0]["id"]

    for path in ("", "/checkStatus"):
        told = shop.ask("GET", f"/api/v2/Payment/Transactions/{payment}{path}").json
        assert (told["amount"], told["status_simple"]) == (1000, 9)
    shop.do(id, "cancel")
    told = shop.ask("GET", f"/api/v2/Payment/Transactions/{payment}").json
    assert (told["amount"], told["status_simple"]) == (0, 5)
    assert refused(shop.ask("GET", "/api/v2/Payment/Transactions/PCI_NOBODYS")) == (404, 9004)


def test_a_card_of_the_load_runs_is_found_by_its_id(shop: Shop) -> None:
    for number in ("9276100000000123", "9276200000000123"):
        assert shop.ask("GET", of_card(shop, number)).json["card"]["cardnumber"] == number
    assert refused(shop.ask("GET", f"{CARDS_PATH}/MCD_NOBODYS")) == (404, 9004)


# ---- Cards that are made ---------------------------------------------------------------------------------


def test_a_card_is_made_when_its_transaction_is_started(sandbox: Sandbox, shop: Shop) -> None:
    created = shop.create(load("", idents=[{"type": "create_card", "value": GIFT}]))
    assert created["idents"][0]["value"] == GIFT
    assert "merchantcard" not in created["idents"][0]

    started = shop.start(created["id"])

    made = started["idents"][0]["value"]
    assert made.startswith("92760099")
    assert moved(sandbox) == [("activate", None), ("top_up", 2000)]
    assert {each["subject"] for each in sandbox.effects()} == {made}
    assert shop.holds(made) == (2000, 0)


def test_a_card_can_be_made_with_nothing_on_it(shop: Shop) -> None:
    asked = load("", idents=[{"type": "create_card", "value": GIFT}]) | {"basket": {"products": []}}
    asked["basket_info"]["sum"] = 0

    assert shop.holds(shop.start(shop.create(asked)["id"])["idents"][0]["value"]) == (0, 0)


def test_not_every_group_makes_cards(shop: Shop) -> None:
    asked = load("", idents=[{"type": "create_card", "value": "CRG_GO7GQ6DHW3TJYGDF64WD16PUIDHQ8Y"}])
    assert refused(shop.ask("POST", TRANSACTIONS, json.dumps(asked))) == (403, 9009)
    asked["idents"][0]["value"] = "CRG_NOBODYS"
    assert refused(shop.ask("POST", TRANSACTIONS, json.dumps(asked))) == (404, 9004)


# ---- Cancelling ------------------------------------------------------------------------------------------


def test_a_cancellation_undoes_every_booking_once(sandbox: Sandbox, shop: Shop) -> None:
    shop.start(SEED_STX)

    assert shop.do(SEED_STX, "cancel").json["status"] == "cancelled"

    assert refused(shop.do(SEED_STX, "cancel")) == (403, 9005)
    assert shop.holds(SEED_CARD) == (200, 20)
    assert [(each["verb"], each["amount"], each.get("original")) for each in sandbox.effects()[2:]] == [
        ("void", 2000, SEED_STX),
        ("void_bonus", 790, SEED_STX),
    ]


def test_a_cancellation_is_refused_where_the_card_refuses_it(sandbox: Sandbox, shop: Shop) -> None:
    id = shop.loaded("14")

    assert refused(shop.do(id, "cancel")) == (400, 1007)
    assert shop.read(id)["status"] == "ok"
    assert (moved(sandbox), shop.holds("14")) == ([("top_up", 2000)], (7000, 0))


def test_a_cancellation_that_cannot_be_whole_undoes_nothing(tmp_path: Path) -> None:
    """The load could be taken back and its bonus cannot: somebody spent that."""
    with clocked(tmp_path, lambda: NOON) as (store, post, get):
        post(f"{TRANSACTIONS}/{SEED_STX}/start")
        with store.writing() as db:
            db.execute("UPDATE secuconnect_cards SET bonus = 0 WHERE number = ?", (SEED_CARD,))

        assert post(f"{TRANSACTIONS}/{SEED_STX}/cancel")["code"] == 1007

        told = get(f"{TRANSACTIONS}/{SEED_STX}")
        assert (told["status"], told["idents"][0]["merchantcard"]["cash_balance"]) == ("ok", 2200)
        assert [each["verb"] for each in store.effects(after=0)] == ["bonus", "top_up"]


def test_only_the_latest_booking_is_cancelled_where_the_group_says_so(shop: Shop) -> None:
    first, second = shop.loaded("15", cents=100), shop.loaded("15", cents=200)

    assert refused(shop.do(first, "cancel")) == (400, 1007)
    assert shop.do(second, "cancel").status == shop.do(first, "cancel").status == 200
    assert shop.holds("15") == (5000, 0)


def test_what_is_not_paid_is_aborted_and_not_cancelled(shop: Shop) -> None:
    id = shop.begun()

    assert refused(shop.do(id, "cancel")) == (403, 9005)
    assert shop.do(id, "abort").json["status"] == "aborted"
    assert refused(shop.do(id, "start")) == (403, 9005)


# ---- Fields ----------------------------------------------------------------------------------------------


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    asked = seed_request()
    change(asked)
    return asked


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        pytest.param(lambda a: a["basket_info"].update(sum=7901), 400, 9003, id="another sum"),
        pytest.param(lambda a: a["basket_info"].update(sum="7900"), 400, 9002, id="sum as text"),
        pytest.param(lambda a: a["basket_info"].update(sum=79.0), 400, 9002, id="sum in euros"),
        pytest.param(lambda a: a["basket_info"].update(currency="USD"), 400, 9002, id="currency"),
        pytest.param(lambda a: a.pop("basket_info"), 400, 9002, id="no sum"),
        pytest.param(lambda a: a.update(colour="red"), 400, 9002, id="unknown field"),
        pytest.param(lambda a: a["basket"]["products"][0].update(price=1), 400, 9002, id="unknown field of a line"),
        pytest.param(lambda a: a["basket"]["products"][0].update(ean=4260447149502), 400, 9002, id="EAN a number"),
        pytest.param(lambda a: a["basket"]["products"][0].update(priceOne=-1), 400, 9002, id="below zero"),
        pytest.param(lambda a: a.pop("contract"), 400, 9002, id="no contract"),
        pytest.param(lambda a: a.pop("device_source"), 400, 9002, id="no device"),
        pytest.param(lambda a: a["contract"].update(id="GCR_OTHER"), 404, 9004, id="another contract"),
        pytest.param(lambda a: a["device_source"].update(id="SDV_OTHER"), 404, 9004, id="another device"),
        pytest.param(lambda a: a["customer"].update(id="PCU_OTHER"), 404, 9004, id="another customer"),
        pytest.param(lambda a: a["idents"][0].update(type="checkin"), 400, 9002, id="ident"),
        pytest.param(lambda a: a["idents"][0].update(value="9276999999999999"), 400, 1016, id="unknown card"),
        pytest.param(lambda a: a["idents"][0].update(value=number("18")), 400, 1016, id="a card that fails"),
        pytest.param(lambda a: a["idents"].append(a["idents"][0]), 400, 9002, id="two cards"),
        pytest.param(
            lambda a: a.update(communications={"action_type": "mail", "template_id": TEMPLATE}),
            400,
            9002,
            id="another action",
        ),
        pytest.param(
            lambda a: a.update(communications={"action_type": "charge", "template_id": "ETP_OTHER"}),
            400,
            9002,
            id="another template",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    sandbox: Sandbox, shop: Shop, change: Callable[[dict[str, Any]], object], status: int, code: int
) -> None:
    assert refused(shop.ask("POST", TRANSACTIONS, json.dumps(changed(change)))) == (status, code)
    assert shop.search(TRANSACTIONS)["count"] == 1


@pytest.mark.parametrize("body", ["", "[]", "{", '{"a": 1, "a": 2}', '{"merchantRef": "\\ud800"}'])
def test_what_is_no_object_is_refused(shop: Shop, body: str) -> None:
    assert refused(shop.ask("POST", TRANSACTIONS, body)) == (400, 9002)


def test_the_customer_is_written_to_when_the_card_is_loaded(sandbox: Sandbox, shop: Shop) -> None:
    words = {"action_type": "charge", "template_id": TEMPLATE}
    id = shop.begun("01", communications=words)
    assert moved(sandbox) == []

    shop.start(id)

    assert moved(sandbox) == [("top_up", 2000), ("notify", None)]
    nobody = load("01", communications=words, customer={"contact": {"forename": "Max"}})
    assert refused(shop.ask("POST", TRANSACTIONS, json.dumps(nobody))) == (400, 9002)


# ---- Tokens ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("encode", "headers"), [(json.dumps, JSON), (urlencode, FORM)])
def test_a_token_is_given_for_json_and_for_a_form(
    shop: Shop, encode: Callable[[Any], str], headers: dict[str, str]
) -> None:
    given = shop.post_token(encode(GRANT), headers)

    assert given.status == 200
    assert given.json.keys() == {"access_token", "expires_in", "token_type", "scope"}
    assert (given.json["expires_in"], given.json["token_type"]) == (1200, "bearer")


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "x"}, 400, "invalid_client"),
        ({"client_id": "x"}, 400, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "device"}, 400, "invalid_request"),
        ({"grant_type": "device", "uuid": "/vendor/other"}, 401, "invalid_device"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, "invalid_grant"),
    ],
)
def test_an_error_of_the_token_endpoint_has_a_shape_of_its_own(
    shop: Shop, change: dict[str, str], status: int, error: str
) -> None:
    answer = shop.post_token(json.dumps(GRANT | change))

    assert (answer.status, answer.json["error"]) == (status, error)
    assert answer.json.keys() == {"error", "error_description"}


@pytest.mark.parametrize("body", ["", "{", "[1]", '{"client_id": "x"}'])
def test_a_body_without_a_grant_is_an_invalid_request(shop: Shop, body: str) -> None:
    assert shop.post_token(body).json["error"] == "invalid_request"


@pytest.mark.parametrize("header", ["Authorization", "Authenticate"])
def test_the_token_is_taken_from_either_header(sandbox: Sandbox, header: str) -> None:
    assert Shop(sandbox, header).read(SEED_STX)["status"] == "created"


@pytest.mark.parametrize("token", ["", "qb56tjj1bcvo9n2nj4u38k84lo", "x y"])
def test_a_token_that_never_was_is_refused(sandbox: Sandbox, shop: Shop, token: str) -> None:
    shop.ask("GET", TRANSACTIONS)
    shop.token = token or "-"

    assert refused(shop.ask("POST", f"{TRANSACTIONS}/{SEED_STX}/start")) == (401, 9001)
    assert sandbox.effects() == []


def test_a_token_expires_after_1200_seconds(shop: Shop, sandbox: Sandbox) -> None:
    shop.ask("GET", TRANSACTIONS)
    sandbox.arm("clock", provider="secuconnect", seconds=1190)
    assert shop.ask("GET", TRANSACTIONS).status == 200
    sandbox.arm("clock", provider="secuconnect", seconds=1201)

    assert refused(shop.ask("GET", TRANSACTIONS)) == (403, 2003)


def test_the_name_of_an_error_stands_beside_its_status(shop: Shop) -> None:
    connection = shop.sandbox.connect()
    connection.request("GET", f"/secuconnect{TRANSACTIONS}")
    response = connection.getresponse()
    response.read()
    connection.close()

    assert (response.status, response.reason) == (401, "ProductNotAllowedException")


def test_a_new_device_is_let_in_once_somebody_has_entered_its_code(sandbox: Sandbox, shop: Shop) -> None:
    registered = shop.post_token(json.dumps(GRANT | {"grant_type": "device", "uuid": NEW_DEVICE_UUID})).json
    assert (registered["expires_in"], registered["interval"]) == (1200, 5)
    assert registered.keys() == {"device_code", "user_code", "verification_url", "expires_in", "interval"}

    def polls(*, later: int, code: str = registered["device_code"]) -> Answer:
        sandbox.arm("clock", provider="secuconnect", path="/oauth/token", seconds=later)
        return shop.post_token(json.dumps(GRANT | {"grant_type": "device", "code": code}))

    assert polls(later=4).json["error"] == "authorization_pending"
    assert polls(later=1300).json["error"] == "invalid_grant"
    assert polls(later=11, code="x" * 32).json["error"] == "invalid_grant"
    given = polls(later=11).json
    assert given.keys() == {"access_token", "expires_in", "token_type", "scope", "refresh_token"}
    assert polls(later=11).json["error"] == "invalid_grant"
    shop.token = given["access_token"]
    assert shop.create({name: value for name, value in load("01").items() if name != "contract"})["contract"] is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v2/Smart/Transactions/1234/canceltrx"),
        ("POST", "/api/v2/Payment/Transactions/PCI_1/cancel"),
        ("POST", "/api/v2/Loyalty/MerchantCards/MCD_1/transaction/MCD_1"),
        ("POST", "/api/v2/Loyalty/Cardgroups"),
        ("PUT", "/api/v2/Loyalty/Cardgroups/CRG_1"),
    ],
)
def test_what_is_not_imitated_says_so_in_the_shape_of_its_errors(
    sandbox: Sandbox, shop: Shop, method: str, path: str
) -> None:
    assert refused(shop.ask(method, path, "{}")) == (403, 9010)
    shop.token = "nobody"
    assert refused(shop.ask(method, path, "{}")) == (401, 9001)
    assert sandbox.effects() == []


def test_a_tills_session_names_neither_contract_nor_device_and_has_one_token(sandbox: Sandbox) -> None:
    till = Shop(sandbox, grant=GRANT | {"grant_type": "device", "uuid": DEVICE_UUID})
    asked = {name: value for name, value in load("01").items() if name not in {"contract", "device_source"}}
    assert till.start(till.create(asked)["id"], "/cash")["contract"] is None

    first = till.token
    given = till.post_token(json.dumps(till.grant)).json
    till.token = given["access_token"]
    assert till.ask("GET", TRANSACTIONS).status == 200
    till.token = first
    assert till.ask("GET", TRANSACTIONS).status == 401

    again = GRANT | {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    renewed = till.post_token(json.dumps(again)).json
    assert "refresh_token" not in renewed
    till.token = renewed["access_token"]
    assert till.ask("GET", TRANSACTIONS).status == 200
    till.token = given["refresh_token"]
    assert till.ask("GET", TRANSACTIONS).status == 401


# ---- Searching -------------------------------------------------------------------------------------------


def test_a_transaction_is_found_by_the_merchants_reference(shop: Shop) -> None:
    ids = [shop.begun(merchantRef=reference) for reference in ("A1", "A2", "B 1")]

    found = [
        {each["id"] for each in shop.search(TRANSACTIONS, q=query)["data"]}
        for query in ("merchantRef:A1", 'merchantRef:"B 1"', "merchantRef:A?", "merchantRef:A* AND NOT merchantRef:A1")
    ]

    assert found == [{ids[0]}, {ids[2]}, {ids[0], ids[1]}, {ids[1]}]


DOCUMENT = {"a": {"b": [{"c": "x y"}, {"c": "z"}]}, "n": 5, "yes": True, "none": None, "day": "2026-05-04"}


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("a.b.c:z", True),
        ('a.b.c:"x y"', True),
        ("a.b.c:x", False),
        ("a.b.c:?", True),
        ('a.b.c:"?"', False),
        ("n:5", True),
        ("n:[1 TO 5]", True),
        ("n:[6 TO *]", False),
        ("day:[2026-01-01 TO 2026-12-31]", True),
        ("yes:true", True),
        ("nowhere:*", False),
        ("NOT n:6 AND (a.b.c:no OR n:5)", True),
        ("n:6 OR n:7", False),
        ("n:5 OR n:7 AND n:8", True),
    ],
)
def test_the_language_of_searches(query: str, fits: bool) -> None:
    assert queries.read(query)(DOCUMENT) is fits


@pytest.mark.parametrize("query", ["n", "n:", "(n:5", "n:5)", "n:5 n:6", "AND n:5", "n:[1 5]", "(" * 5000, "n:5 OR"])
def test_a_search_that_cannot_be_read_is_refused(shop: Shop, query: str) -> None:
    assert refused(shop.ask("GET", f"{CARDS_PATH}?{urlencode({'q': query})}")) == (400, 9002)


def test_a_list_is_sorted_cut_and_counted(shop: Shop) -> None:
    for reference in ("B", "A", "C"):
        shop.begun(merchantRef=reference)

    found = shop.search(
        TRANSACTIONS, q="merchantRef:?", sort="merchantRef:desc", count=2, offset=1, fields="merchantRef"
    )

    assert found["count"] == 3
    assert [each["merchantRef"] for each in found["data"]] == ["B", "A"]
    assert found["data"][0].keys() == {"object", "id", "merchantRef"}


def test_cards_and_groups_are_read_by_their_ids(shop: Shop) -> None:
    (card,) = shop.search(CARDS_PATH, q=f'card.cardnumber:"{SEED_CARD}"')["data"]
    group = card["cardgroup"]["id"]

    assert shop.ask("GET", f"{CARDS_PATH}/{card['id']}").json == card
    assert shop.ask("GET", f"/api/v2/Loyalty/Cardgroups/{group}").json["cancel_selected"] is True
    assert shop.search("/api/v2/Loyalty/Cardgroups")["count"] >= 6
    for path in ("MerchantCards/MCD_NONE", "Cardgroups/CRG_NONE", "Transactions/LTX_NONE"):
        assert refused(shop.ask("GET", f"/api/v2/Loyalty/{path}")) == (404, 9004)
    assert refused(shop.ask("GET", f"{TRANSACTIONS}/STX_NONE")) == (404, 9004)


# ---- What goes wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("end", "status"), [("25", 429), ("26", 503), ("27", 403), ("28", 401), ("29", 403)])
def test_a_card_of_trouble_answers_for_itself(sandbox: Sandbox, shop: Shop, end: str, status: int) -> None:
    assert shop.ask("GET", f"{CARDS_PATH}?q=card.cardnumber:{number(end)}").status == status
    assert shop.ask("POST", TRANSACTIONS, json.dumps(load(end))).status == status


@pytest.mark.parametrize(("kind", "done"), [("error_after", True), ("garbage", True), ("refuse", False)])
def test_a_fault_meets_a_start(sandbox: Sandbox, shop: Shop, kind: str, done: bool) -> None:
    id = shop.begun()
    sandbox.arm(kind, provider="secuconnect", path=f"{TRANSACTIONS}/")

    shop.do(id, "start")

    assert moved(sandbox) == ([("top_up", 2000)] if done else [])
    assert shop.read(id)["status"] == ("ok" if done else "created")


def test_a_fault_of_the_token_endpoint_is_an_oauth_error(sandbox: Sandbox, shop: Shop) -> None:
    sandbox.arm("refuse", provider="secuconnect", path="/oauth/token")

    assert shop.post_token(json.dumps(GRANT)).json["error"] == "invalid_client"


def test_calls_are_counted_by_card_and_by_transaction(sandbox: Sandbox, shop: Shop) -> None:
    shop.start(shop.begun("01"))
    shop.holds("01")

    counted = sandbox.ask("GET", "/_sandbox/calls").json["secuconnect"]["by_subject"]

    assert counted.pop("nobody") == 1  # its token
    assert counted.pop(number("01")) == 2
    assert list(counted.values()) == [1]


def test_the_page_and_the_credentials_name_every_magic_card(sandbox: Sandbox) -> None:
    ours = sandbox.ask("GET", "/_sandbox/credentials").json["secuconnect"]
    page = sandbox.ask("GET", "/").text

    assert {card.number for card in CARDS} < {card["number"] for card in ours["cards"]}
    assert all(card.number in page and card.does for card in CARDS)
    assert (ours["client_id"], ours["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
    assert ours["contract_id"].startswith("GCR_")
    assert ours["device_id"].startswith("SDV_")


def test_every_magic_card_is_named_at_the_top(sandbox: Sandbox) -> None:
    top = secuconnect.__doc__ or ""

    assert all(card.number in top or f"…{card.number[-2:]} " in top for card in CARDS)


def test_what_was_due_while_nobody_looked_happened_on_time(tmp_path: Path) -> None:
    """The moment in the journal is that of the end, not that of the look."""
    now = [NOON]
    with clocked(tmp_path, lambda: now[0]) as (store, post, get):
        id = post(TRANSACTIONS, load("05"))["id"]
        post(f"{TRANSACTIONS}/{id}/start")
        now[0] += timedelta(seconds=60)

        assert get(f"{TRANSACTIONS}/{id}")["status"] == "ok"

        assert [each["at"] for each in store.effects(after=0)] == [(NOON + timedelta(seconds=2)).isoformat()]
