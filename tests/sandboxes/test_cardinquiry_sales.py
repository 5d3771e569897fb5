"""The imitated SaleCreate, held against what is written about it."""

import json
from contextlib import suppress
from http.client import HTTPException
from typing import Any

import pytest

from .conftest import SERVER_KEY, VISIBLE_KEY, Answer, Sandbox

CARD, SPENT_MEANWHILE, LAPSES, YEN = "6280390000012345", "6280390000000036", "6280390000000037", "6280390000061200"


def token(sandbox: Sandbox, card: str = CARD) -> str:
    (record,) = sandbox.look_up(card).json["data"]["Cards"]
    return str(record["UsageToken"])


def sale(pays: str, amount: float = 9.00, **changed: Any) -> dict[str, Any]:
    return {
        "ExternalId": "2026-11-28T10:35-c0ffee",
        "CompletedDt": "2026-11-28T10:35:00",
        "Phase": 1,
        "LINE": [{"Pid": 12345, "Qty": 1, "TotalPrice": amount}],
        "PAYM": [{"Type": "prepay", "Amount": amount, "UsageToken": pays}],
    } | changed


def send(sandbox: Sandbox, body: object, *, key: str = SERVER_KEY, **headers: str) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return sandbox.ask("POST", "/cardinquiry/SaleCreate", text, {"X-Api-Key": key, **headers})


def payments(sandbox: Sandbox) -> list[dict[str, Any]]:
    lines = sandbox.ask("GET", "/_sandbox/effects").text.splitlines()
    return [effect for effect in map(json.loads, lines) if effect["verb"] == "pay"]


def balance(sandbox: Sandbox, card: str = CARD) -> object:
    return sandbox.look_up(card).json["data"]["Cards"][0]["Balance"]


def test_a_card_that_was_looked_up_pays_a_sale(sandbox: Sandbox) -> None:
    answer = send(sandbox, sale(token(sandbox)))

    assert answer.status == 200
    assert answer.json["data"]["Result"] == "OK"
    (paid,) = payments(sandbox)
    assert (paid["subject"], paid["amount"], paid["currency"]) == (CARD, 900, "EUR")
    assert (paid["reference"], paid["provider_reference"]) == (
        "2026-11-28T10:35-c0ffee",
        answer.json["data"]["Physkey"],
    )
    assert balance(sandbox) == 33.0


def test_the_same_sale_is_processed_once_however_often_it_is_sent(sandbox: Sandbox) -> None:
    body = sale(token(sandbox))
    first = send(sandbox, body)
    again = [send(sandbox, body) for _ in range(3)]

    assert {each.text for each in again} == {first.text}
    assert len(payments(sandbox)) == 1


def test_a_stored_sale_sent_again_with_other_content_is_the_same_sale(sandbox: Sandbox) -> None:
    first = send(sandbox, sale(token(sandbox)))
    changed = send(sandbox, sale(token(sandbox), 1.00))

    assert changed.text == first.text
    assert [paid["amount"] for paid in payments(sandbox)] == [900]


def test_after_an_error_the_sale_may_be_changed_and_sent_under_its_name(sandbox: Sandbox) -> None:
    assert send(sandbox, sale("no such token")).status == 400
    assert send(sandbox, sale(token(sandbox))).status == 200


def test_a_token_pays_once(sandbox: Sandbox) -> None:
    pays = token(sandbox)
    send(sandbox, sale(pays))
    second = send(sandbox, sale(pays, ExternalId="another"))

    assert (second.status, second.json["error"]["Code"]) == (400, 2110)
    assert len(payments(sandbox)) == 1


def test_a_token_lapses_but_a_stored_sale_is_known_for_all_time(sandbox: Sandbox) -> None:
    assert send(sandbox, sale(token(sandbox, LAPSES))).json["error"]["Code"] == 2110
    body = sale(token(sandbox))
    first = send(sandbox, body)
    spent_token_is_gone = send(sandbox, body)

    assert spent_token_is_gone.text == first.text


def test_a_token_reserves_nothing(sandbox: Sandbox) -> None:
    pays = token(sandbox, SPENT_MEANWHILE)
    refused = send(sandbox, sale(pays, 20.00))

    assert (refused.status, refused.json["error"]["Code"]) == (400, 2111)
    assert balance(sandbox, SPENT_MEANWHILE) == 5.0
    assert payments(sandbox) == []
    assert send(sandbox, sale(pays, 5.00)).status == 200  # what was refused has used up nothing


def test_an_empty_card_is_shown_as_such(sandbox: Sandbox) -> None:
    send(sandbox, sale(token(sandbox), 42.00))

    assert sandbox.statuses(CARD) == ["zero"]


def test_what_has_no_decimals_is_paid_without(sandbox: Sandbox) -> None:
    assert send(sandbox, sale(token(sandbox, YEN), 200)).status == 200
    assert (payments(sandbox)[0]["amount"], payments(sandbox)[0]["currency"]) == (200, "JPY")
    assert balance(sandbox, YEN) == 1000


def test_cash_beside_the_card_is_the_shops_own(sandbox: Sandbox) -> None:
    payment = [{"Type": "prepay", "Amount": 4.00, "UsageToken": token(sandbox)}, {"Type": "cash", "Amount": 5.00}]

    assert send(sandbox, sale("", PAYM=payment)).status == 200
    assert [paid["amount"] for paid in payments(sandbox)] == [400]


def test_a_browsers_key_sells_nothing(sandbox: Sandbox) -> None:
    pays = token(sandbox)

    assert send(sandbox, sale(pays), key=VISIBLE_KEY).status == 403
    assert send(sandbox, sale(pays), Origin="https://shop.example").status == 403
    assert payments(sandbox) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"ExternalId": ""},
        {"ExternalId": 12},
        {"CompletedDt": "yesterday"},
        {"CompletedDt": "2026-11-28"},
        {"Phase": 200},
        {"LINE": []},
        {"LINE": [{"Pid": "12345", "Qty": 1, "TotalPrice": 9.00}]},
        {"LINE": [{"Pid": 12345, "Qty": 0, "TotalPrice": 9.00}]},
        {"LINE": [{"Pid": 12345, "Qty": 1, "TotalPrice": 8.00}]},
        {"PAYM": []},
        {"PAYM": [{"Type": "prepay", "Amount": -9.00}]},
        {"PAYM": [{"Type": "prepay", "Amount": "9.00"}]},
        {"Coupon": "SAVE"},
    ],
    ids=lambda changed: json.dumps(changed),
)
def test_a_sale_that_is_not_as_written_is_refused_and_stores_nothing(sandbox: Sandbox, changed: dict[str, Any]) -> None:
    pays = token(sandbox)
    assert send(sandbox, sale(pays, **changed)).status == 400
    assert send(sandbox, sale(pays)).status == 200


@pytest.mark.parametrize("body", ["", "[]", "{", "null", "\xff"])
def test_what_is_no_sale_is_refused(sandbox: Sandbox, body: str) -> None:
    assert send(sandbox, body).status == 400


@pytest.mark.parametrize(("kind", "done"), [("timeout_before", 0), ("timeout_after", 1), ("cut", 1), ("garbage", 1)])
def test_after_a_lost_answer_the_same_bytes_tell_what_became_of_it(sandbox: Sandbox, kind: str, done: int) -> None:
    body = sale(token(sandbox))
    fault = {"provider": "cardinquiry", "path": "/SaleCreate", "kind": kind, "times": 1, "seconds": 0}
    sandbox.ask("POST", "/_sandbox/faults", json.dumps(fault), {"Content-Type": "application/json"})
    with suppress(OSError, HTTPException):
        send(sandbox, body)

    assert len(payments(sandbox)) == done
    assert send(sandbox, body).status == 200
    assert len(payments(sandbox)) == 1
