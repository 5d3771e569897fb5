"""What a tester turns and reads, and the page for doing it by hand."""

import json
from urllib.parse import urlencode

import pytest

from .conftest import SERVER_KEY, VISIBLE_KEY, Sandbox, until

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_credentials_name_the_keys_and_every_magic_card(sandbox: Sandbox) -> None:
    ours = sandbox.ask("GET", "/_sandbox/credentials").json["cardinquiry"]

    assert (ours["api_key"], ours["visible_key"]) == (SERVER_KEY, VISIBLE_KEY)
    magic = {card["number"] for card in ours["cards"]}
    assert {f"62803900000{n:05}" for n in range(1, 16)} <= magic
    assert all(card["pin"] and card["does"] for card in ours["cards"])


def test_an_effect_tells_who_did_what_to_which_card(sandbox: Sandbox) -> None:
    sandbox.look_up("00001")

    (effect,) = sandbox.effects()

    assert (effect["provider"], effect["verb"], effect["subject"]) == (
        "cardinquiry",
        "balance",
        "6280390000000001",
    )
    assert set(effect) == {
        "seq",
        "at",
        "provider",
        "verb",
        "subject",
        "reference",
        "provider_reference",
        "amount",
        "currency",
        "points",
    }


def test_effects_are_listed_after_a_given_number(sandbox: Sandbox) -> None:
    for card in ("00001", "00002", "00003"):
        sandbox.look_up(card)

    first, second, third = sandbox.effects()

    assert sandbox.effects(after=first["seq"]) == [second, third]


@pytest.mark.parametrize("after", ["-1", "x", "", "1" * 30, "٣"])
def test_a_number_that_is_none_is_refused(sandbox: Sandbox, after: str) -> None:
    answer = sandbox.ask("GET", f"/_sandbox/effects?{urlencode({'after': after})}")

    assert answer.status == 400


def test_calls_are_counted_by_card_however_it_was_typed(sandbox: Sandbox) -> None:
    sandbox.look_up("00001")
    sandbox.look_up("6280390000000001", pin="9999")
    sandbox.look_up("nobody")

    assert sandbox.ask("GET", "/_sandbox/calls").json["cardinquiry"] == {
        "total": 3,
        "by_subject": {"6280390000000001": 2, "nobody": 1},
    }


def test_a_refused_call_is_counted_too(sandbox: Sandbox) -> None:
    sandbox.look_up("00001", key="wrong")

    assert sandbox.calls() == 1
    assert sandbox.effects() == []


def test_no_pin_is_in_the_journal_or_the_counts(sandbox: Sandbox) -> None:
    sandbox.look_up("00001", pin="canary-7731")

    told = sandbox.ask("GET", "/_sandbox/effects").text + sandbox.ask("GET", "/_sandbox/calls").text
    on_disk = b"".join(file.read_bytes() for file in sandbox.store.iterdir())
    assert "canary" not in told
    assert b"canary" not in on_disk


def test_armed_faults_are_listed_and_disarmed_one_by_one_or_all(sandbox: Sandbox) -> None:
    first = sandbox.arm("slow").json["id"]
    sandbox.arm("refuse", probability=0.5, path="/CardInquiry")
    sandbox.arm("late", times=3, seconds=5)

    assert sandbox.ask("DELETE", f"/_sandbox/faults/{first}").json == {"disarmed": 1}
    refuse, late = sandbox.ask("GET", "/_sandbox/faults").json
    assert (refuse["kind"], refuse["probability"], refuse["path"]) == ("refuse", 0.5, "/CardInquiry")
    assert (late["kind"], late["times"], late["seconds"]) == ("late", 3, 5)
    assert sandbox.ask("DELETE", f"/_sandbox/faults/{first}").status == 404
    assert sandbox.ask("DELETE", "/_sandbox/faults").json == {"disarmed": 2}
    assert sandbox.ask("GET", "/_sandbox/faults").json == []


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("", "JSON object"),
        ("[]", "JSON object"),
        ("{", "JSON object"),
        ({"kind": "slow"}, "provider must be"),
        ({"provider": "nobody", "kind": "slow"}, "provider must be"),
        ({"provider": ["cardinquiry"], "kind": "slow"}, "provider must be"),
        ({"kind": "explode"}, "kind must be"),
        ({"kind": None}, "kind must be"),
        ({"kind": "slow", "tmes": 1}, "Unknown field: tmes"),
        ({"kind": "slow", "times": 1, "probability": 0.5}, "not both"),
        ({"kind": "slow", "times": 0}, "times must be"),
        ({"kind": "slow", "times": "2"}, "times must be"),
        ({"kind": "slow", "times": True}, "times must be"),
        ({"kind": "slow", "probability": 1.1}, "probability must be"),
        ({"kind": "slow", "probability": 0}, "probability must be"),
        ({"kind": "slow", "seconds": 61}, "seconds must be"),
        ({"kind": "slow", "seconds": -1}, "seconds must be"),
        ({"kind": "clock", "seconds": -86401}, "seconds must be a number from -86400 to 86400"),
        ('{"provider": "cardinquiry", "kind": "slow", "seconds": NaN}', "seconds must be"),
        ({"kind": "slow", "path": "CardInquiry"}, "path must begin"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_a_sentence(sandbox: Sandbox, body: object, complaint: str) -> None:
    sent = json.dumps({"provider": "cardinquiry"} | body) if isinstance(body, dict) else str(body)
    if isinstance(body, dict) and complaint == "provider must be":
        sent = json.dumps(body)

    answer = sandbox.ask("POST", "/_sandbox/faults", sent)

    assert answer.status == 400
    assert complaint in answer.text
    assert sandbox.ask("GET", "/_sandbox/faults").json == []


def test_a_reset_forgets_calls_faults_and_near_misses(sandbox: Sandbox) -> None:
    sandbox.statuses("ABC123", "11234")
    sandbox.arm("slow")

    sandbox.reset()

    assert sandbox.calls() == 0
    assert sandbox.ask("GET", "/_sandbox/faults").json == []
    assert sandbox.statuses("ABC123", "11234") == ["checkpassword"]


def test_a_reset_begins_a_new_journal_whose_numbers_go_on(sandbox: Sandbox) -> None:
    sandbox.look_up("00001")
    (old,) = sandbox.effects()

    sandbox.reset()
    sandbox.look_up("00002")

    (new,) = sandbox.effects()
    assert new["seq"] > old["seq"]
    assert new["subject"] == "6280390000000002"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil.example:80", "127.0.0.1.nip.io", "0.0.0.0", "[::1]"],
)
@pytest.mark.parametrize("path", ["/", "/_sandbox/credentials", "/cardinquiry/CardInquiry/00001?pass=1234", "/nowhere"])
def test_another_hosts_name_is_not_answered(sandbox: Sandbox, host: str, path: str) -> None:
    answer = sandbox.ask("GET", path, headers={"Host": host, "X-Api-Key": SERVER_KEY})

    assert answer.status == 403
    assert sandbox.calls() == 0


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST:8100"])
def test_this_machines_names_are_answered(sandbox: Sandbox, host: str) -> None:
    assert sandbox.ask("GET", "/_sandbox/calls", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/_sandbox/faults", '{"provider": "cardinquiry", "kind": "slow"}'),
        ("DELETE", "/_sandbox/faults", None),
        ("DELETE", "/_sandbox/state", None),
        ("POST", "/_sandbox/page/arm", "provider=cardinquiry&kind=slow"),
        ("POST", "/_sandbox/page/disarm", None),
        ("POST", "/_sandbox/page/reset", None),
    ],
)
@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_another_sites_page_turns_nothing(
    sandbox: Sandbox, method: str, path: str, body: str | None, origin: str
) -> None:
    sandbox.arm("redirect")
    before = sandbox.ask("GET", "/_sandbox/faults").json

    answer = sandbox.ask(method, path, body, {"Origin": origin, **FORM})

    assert answer.status == 403
    assert sandbox.ask("GET", "/_sandbox/faults").json == before


def test_no_other_site_may_read_the_credentials(sandbox: Sandbox) -> None:
    answer = sandbox.ask("GET", "/_sandbox/credentials", headers={"Origin": "https://evil.example"})

    assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_page_lists_every_magic_card_with_its_pin(sandbox: Sandbox) -> None:
    page = sandbox.ask("GET", "/").text

    for card in sandbox.ask("GET", "/_sandbox/credentials").json["cardinquiry"]["cards"]:
        assert card["number"] in page
    assert "11243" in page
    assert "no real cards, no real money" in page


def test_the_page_arms_disarms_and_resets_by_plain_forms(sandbox: Sandbox) -> None:
    wanted = {"provider": "cardinquiry", "kind": "slow", "times": "2", "seconds": "1.5", "path": ""}

    armed = sandbox.ask("POST", "/_sandbox/page/arm", urlencode(wanted), FORM)

    assert (armed.status, armed.headers["Location"]) == (303, "/")
    (fault,) = sandbox.ask("GET", "/_sandbox/faults").json
    assert (fault["kind"], fault["times"], fault["seconds"], fault["path"]) == ("slow", 2, 1.5, None)
    assert "Disarm slow" in sandbox.ask("GET", "/").text
    sandbox.ask("POST", "/_sandbox/page/disarm", urlencode({"id": fault["id"]}), FORM)
    assert sandbox.ask("GET", "/_sandbox/faults").json == []
    sandbox.arm("slow")
    sandbox.ask("POST", "/_sandbox/page/disarm", "", FORM)
    assert sandbox.ask("GET", "/_sandbox/faults").json == []
    sandbox.look_up("00001")
    sandbox.ask("POST", "/_sandbox/page/reset", "", FORM)
    assert sandbox.calls() == 0


def test_the_pages_own_forms_pass_as_its_own(sandbox: Sandbox) -> None:
    own = f"http://127.0.0.1:{sandbox.port}"

    answer = sandbox.ask("POST", "/_sandbox/page/reset", "", {"Origin": own, **FORM})

    assert answer.status == 303


@pytest.mark.parametrize("field", ["times", "seconds"])
def test_a_word_where_the_page_wants_a_number_is_refused(sandbox: Sandbox, field: str) -> None:
    wanted = {"provider": "cardinquiry", "kind": "slow", field: "many"}

    answer = sandbox.ask("POST", "/_sandbox/page/arm", urlencode(wanted), FORM)

    assert answer.status == 400
    assert f"{field} must be a number" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nobody/CardInquiry/00001", 404),
        ("GET", "/cardinquiry/Elsewhere/00001", 404),
        ("GET", "/cardinquiry//CardInquiry/00001", 404),
        ("GET", "/_sandbox/nothing", 404),
        ("POST", "/cardinquiry/CardInquiry/00001", 405),
        ("PUT", "/_sandbox/state", 404),
    ],
)
def test_what_is_not_there_is_said_so_and_not_counted(sandbox: Sandbox, method: str, path: str, status: int) -> None:
    assert sandbox.ask(method, path, headers={"X-Api-Key": SERVER_KEY}).status == status
    assert sandbox.calls() == 0


def test_counting_goes_on_while_a_call_is_held(sandbox: Sandbox) -> None:
    sandbox.arm("timeout_before", seconds=60)

    with sandbox.send_look_up():
        until(lambda: sandbox.calls() == 1)
