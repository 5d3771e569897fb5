"""The document's own examples and ours: the running sandbox gives each answer; the connector reads them."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from .conftest import SERVER_KEY, Answer, Sandbox

EXAMPLES = sorted((Path(__file__).parents[1] / "examples" / "cardinquiry").glob("*.json"))
DATE = re.compile(r"\d{4}-\d\d-\d\d")
HEX = re.compile(r"[0-9a-f]{16}")


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def flat(value: object, path: str) -> dict[str, object]:
    """{"a": [1]} under "body" is {"body.a.0": 1}: one line per field, so that a field can be named."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: leaf for key, part in pairs for name, leaf in flat(part, f"{path}.{key}").items()}
    return {path: value}


def fields(answer: Answer, expected: dict[str, Any]) -> dict[str, object]:
    told: dict[str, object] = {f"headers.{name}": answer.headers[name] for name in expected["headers"]}
    told["status"] = answer.status
    return told | ({"text": answer.text} if "text" in expected else flat(answer.json, "body"))


def shape(value: object) -> object:
    """What stays when a value varies: its kind, and the surroundings of what varies inside a text."""
    if not isinstance(value, str):
        return type(value)
    if DATE.fullmatch(value):
        return "a date"
    if HEX.fullmatch(value):
        return "16 hexadecimal digits"
    if "UsageToken" in value:
        return re.sub(r'"UsageToken": "[\w-]+"', "a token", DATE.sub("a date", value))
    return "some text" if value else "no text"


def body(sandbox: Sandbox, example: dict[str, Any]) -> str | None:
    """What is sent, with a token of the card that is named where the example shows one."""
    if "token_of" not in example:
        return None
    (record,) = sandbox.look_up(example["token_of"]).json["data"]["Cards"]
    return json.dumps(example["request"]["body"]).replace("tok-example", record["UsageToken"])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_sandbox_answers_as_the_example_says(sandbox: Sandbox, path: Path) -> None:
    example = read(path)
    request, expected = example["request"], example["response"]
    assert request["headers"] == {"X-Api-Key": "<present>"}

    query = f"?{urlencode(request['query'])}" if request["query"] else ""
    answer = sandbox.ask(
        request["method"],
        f"/cardinquiry{quote(request['path'])}{query}",
        body(sandbox, example),
        headers={"X-Api-Key": SERVER_KEY},
    )

    want = {"status": expected["status"]}
    want |= {f"headers.{name}": text for name, text in expected["headers"].items()}
    want |= {"text": expected["text"]} if "text" in expected else flat(expected["body"], "body")
    got = fields(answer, expected)
    assert set(got) == set(want)
    assert set(example["varies"]) <= set(want)
    for name, value in want.items():
        if name in example["varies"]:
            assert shape(got[name]) == shape(value), name
        else:
            assert got[name] == value, name


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_where_it_is_from_and_what_it_means(path: Path) -> None:
    example = read(path)

    assert example["name"] == path.stem
    assert example["source"]
    assert isinstance(example["repairs"], list)
    assert len({"reading", "receipt", "failure"} & example.keys()) == 1
    assert ("body" in example["response"]) != ("text" in example["response"])


def test_every_documented_status_has_an_example() -> None:
    seen = {
        record["Status"]
        for path in EXAMPLES
        for record in ((read(path)["response"].get("body") or {}).get("data") or {}).get("Cards") or []
    }

    assert {"ok", "zero", "expired", "needfullcode", "checkpassword"} <= seen
