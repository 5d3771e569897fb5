"""Revenue Monster's printed examples and ours: the running sandbox gives each answer; the connector reads them."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from .conftest import Answer, Sandbox
from .revenuemonster import Program
from .test_examples import fields, flat, read

FOLDER = Path(__file__).parents[1] / "examples" / "revenuemonster"
EXAMPLES = sorted(FOLDER.glob("*.json"))
SHAPES = {
    "id": "[0-9a-f]{32}",
    "qrCodeUrl": r"https?://[\w.:/-]+/qr/4118165203679668885/loyalty/[0-9a-f]{32}",
    "url": r"https?://[\w.:/-]+",
    "accessToken": r"eyJ[\w-]+\.[\w-]+\.[\w-]+",
    "refreshToken": "[0-9A-Za-z_-]{10,}",
    "createdAt": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
}
SHAPES["updatedAt"] = SHAPES["createdAt"]
SIGNED = {"Authorization", "X-Nonce-Str", "X-Timestamp", "X-Signature"}


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def example(request: pytest.FixtureRequest) -> Any:
    return read(request.param)


def give(program: Program, example: Any) -> Answer:
    request = example["request"]
    if request["path"] == "/v1/token":
        others = request["headers"]["Authorization"] == "Basic <others>"
        return program.grant(program.basic("others") if others else "", **request["body"])
    assert request["headers"] == dict.fromkeys(SIGNED, "<present>")
    query = f"?{urlencode(request['query'])}" if "query" in request else ""
    return program.ask(request["method"], request["path"] + query, request.get("body"))


def test_the_sandbox_answers_as_the_example_says(sandbox: Sandbox, example: Any) -> None:
    program, expected = Program(sandbox), example["response"]
    for before in example.get("after", ()):
        assert give(program, read(FOLDER / f"{before}.json")).status == 200

    answer = give(program, example)

    want = {"status": expected["status"]}
    want |= {f"headers.{name}": text for name, text in expected["headers"].items()}
    want |= flat(expected["body"], "body")
    got = fields(answer, expected)
    assert set(got) == set(want)
    assert set(example["varies"]) <= set(want)
    for name, value in want.items():
        if name in example["varies"]:
            shape = SHAPES[name.rsplit(".", 1)[-1]]
            assert re.fullmatch(shape, str(got[name])), name
            assert re.fullmatch(shape, str(value)), name
        else:
            assert (type(got[name]), got[name]) == (type(value), value), name


def test_an_example_says_where_it_is_from(example: Any) -> None:
    assert example["source"]
    assert isinstance(example["repairs"], list)


def test_everything_the_document_prints_is_an_example() -> None:
    printed = {path.stem for path in EXAMPLES if read(path)["source"].startswith("the document on")}

    assert printed == {"award_member", "award_phone", "award_code"}


def test_no_two_examples_have_one_name() -> None:
    assert [read(path)["name"] for path in EXAMPLES] == [path.stem for path in EXAMPLES]
