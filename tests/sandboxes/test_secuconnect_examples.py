"""secuconnect's printed examples and ours: the running sandbox gives each answer; the connector reads them."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from .conftest import Answer, Sandbox
from .test_examples import fields, flat, read
from .test_secuconnect import Shop

FOLDER = Path(__file__).parents[1] / "examples" / "secuconnect"
EXAMPLES = sorted(FOLDER.glob("*.json"))
SHAPES = {
    "id": r"STX_[0-9A-Z]{30}",
    "created": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0[12]:00",
    "access_token": r"[0-9a-z]{26}",
    "supportId": r"[0-9a-f]{32}",
}
SHAPES |= dict.fromkeys(("updated", "last_usage", "last_charge"), SHAPES["created"])
SHAPES |= dict.fromkeys(("error_details", "error_user", "error_description"), r"[^\n]+")


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def example(request: pytest.FixtureRequest) -> Any:
    return read(request.param)


def give(shop: Shop, example: Any) -> Answer:
    request = example["request"]
    query = f"?{urlencode(request['query'])}" if "query" in request else ""
    body = json.dumps(request["body"]) if "body" in request else ""
    if not request["headers"]:
        return shop.post_token(body)
    assert request["headers"] == {"Authorization": "<present>"}
    return shop.ask(request["method"], request["path"] + query, body)


def test_the_sandbox_answers_as_the_example_says(sandbox: Sandbox, example: Any) -> None:
    shop = Shop(sandbox)
    for before in example.get("after", ()):
        assert give(shop, read(FOLDER / f"{before}.json")).status == 200
    expected = example["response"]

    answer = give(shop, example)

    want = {"status": expected["status"]}
    want |= {f"headers.{name}": text for name, text in expected["headers"].items()}
    want |= flat(expected["body"], "body")
    got = fields(answer, expected)
    assert set(want) <= set(got)
    assert example.get("partial") or set(got) == set(want)
    assert set(example["varies"]) <= set(want)
    for name, value in want.items():
        if name in example["varies"]:
            shape = SHAPES[name.rsplit(".", 1)[-1]]
            assert re.fullmatch(shape, str(got[name])), name
            assert re.fullmatch(shape, str(value)), name
        else:
            assert (type(got[name]), got[name]) == (type(value), value), name


def test_an_error_is_named_beside_its_status(sandbox: Sandbox, example: Any) -> None:
    if "phrase" in example["response"]:
        assert example["response"]["phrase"] == example["response"]["body"]["error"]


def test_an_example_says_where_it_is_from(example: Any) -> None:
    assert example["source"]
    assert isinstance(example["repairs"], list)


def test_everything_the_document_prints_is_an_example() -> None:
    printed = {path.stem for path in EXAMPLES if "the document on" in read(path)["source"]}

    assert printed == {"create", "start", "create_with_notification"}


def test_no_two_examples_have_one_name() -> None:
    assert [read(path)["name"] for path in EXAMPLES] == [path.stem for path in EXAMPLES]
