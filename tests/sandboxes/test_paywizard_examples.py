"""PayWizard's printed examples and ours: the running sandbox gives each answer; the connector reads them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from .conftest import Sandbox
from .test_examples import fields, flat, read
from .test_paywizard import CLIENT_ID, OPERATIONS, RealTill, path_of

EXAMPLES = sorted((Path(__file__).parents[1] / "examples" / "paywizard").glob("*.json"))
OPERATION = {
    "balance": "giftInquiry",
    "activate": "giftActivate",
    "top_up": "giftIssuance",
    "pay": "giftTransaction",
    "void": "giftVoid",
    "tip": "giftTip",
    "issue_points": "loyaltyIssuance",
    "redeem_points": "loyaltyRedemption",
}
SHAPES = {
    "body.timestamp": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    "body.data.checkoutId": r"\d{18}",
    "body.data.transIndexCode": r"10020000080\d{10}",
}


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def example(request: pytest.FixtureRequest) -> Any:
    return read(request.param)


def test_the_sandbox_answers_as_the_example_says(sandbox: Sandbox, example: Any) -> None:
    request, expected = example["request"], example["response"]
    body = json.dumps(request["body"], separators=(",", ":"), ensure_ascii=False).encode()

    answer = RealTill(sandbox).signed(OPERATION[example["call"]["verb"]], body)

    want = {"status": expected["status"]}
    want |= {f"headers.{name}": text for name, text in expected["headers"].items()}
    want |= {"text": expected["text"]} if "text" in expected else flat(expected["body"], "body")
    got = fields(answer, expected)
    assert set(got) == set(want)
    assert set(example["varies"]) <= set(want)
    for name, value in want.items():
        if name in example["varies"]:
            assert re.fullmatch(SHAPES[name], str(got[name])), name
            assert re.fullmatch(SHAPES[name], str(value)), name
        else:
            assert (type(got[name]), got[name]) == (type(value), value), name


def test_an_example_says_where_it_is_from_and_what_it_means(example: Any) -> None:
    assert example["source"]
    assert isinstance(example["repairs"], list)
    assert len({"reading", "receipt", "failure"} & set(example)) == 1
    assert ("reading" in example) <= (example["call"]["verb"] == "balance")
    assert ("receipt" in example) <= (example["call"]["verb"] != "balance")
    assert ("body" in example["response"]) != ("text" in example["response"])


def test_the_plain_words_of_an_example_are_what_its_body_says(example: Any) -> None:
    call, request = example["call"], example["request"]
    body = request["body"]

    assert request["method"] == "POST"
    assert f"/paywizard{request['path']}" == path_of(OPERATION[call["verb"]])
    assert request["headers"] == {"jwt-token": "<present>", "sign": "<re-signed>"}
    assert body["clientId"] == CLIENT_ID
    for ours, theirs in (
        ("number", "accountId"),
        ("entry", "entryType"),
        ("reference", "tranOrderNo"),
        ("original", "oriOrderNo"),
        ("customer", "customerInfo"),
    ):
        assert call.get(ours) == body.get(theirs), ours
    assert (call.get("activate") is True) == (body.get("activating") == "Y")
    if "amount" in body:
        amount = f"{call['points']}" if "points" in call else f"{call['amount_minor'] / 100:.2f}"
        assert body["amount"] == amount
    if "tranCurrency" in body:
        assert body["tranCurrency"] == call["currency"]


def test_a_receipt_holds_the_checkout_id_of_the_answer(example: Any) -> None:
    data = example["response"].get("body", {}).get("data") or {}

    if "receipt" in example:
        assert example["receipt"]["provider_reference"] == data.get("checkoutId", "")


def test_every_operation_has_its_printed_example() -> None:
    printed = {read(path)["request"]["path"] for path in EXAMPLES if "public page" in read(path)["source"]}

    assert {f"/paywizard{path}" for path in printed} == {path_of(operation.name) for operation in OPERATIONS}


def test_no_two_examples_have_one_name() -> None:
    assert [read(path)["name"] for path in EXAMPLES] == [path.stem for path in EXAMPLES]
