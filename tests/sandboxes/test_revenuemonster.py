"""The imitated Revenue Monster, held against its documents: signatures, times, tokens, awards, codes and callbacks."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from portal.sandboxes import revenuemonster_signing as signing
from portal.sandboxes.callbacks import TRIES, Courier, may_be_called
from portal.sandboxes.control import LINE, application
from portal.sandboxes.kit import Switchboard
from portal.sandboxes.revenuemonster import REVENUEMONSTER
from portal.sandboxes.store import Store

from .conftest import Sandbox, until
from .revenuemonster import AWARD, MEMBER, PHONE, Program, path_of, plain, refused, spending
from .test_kit import Listener

PUBLISHED = json.loads((Path(__file__).parents[1] / "signatures" / "revenuemonster.json").read_text())
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
DOUBLE = "2777058682717858502"


@pytest.fixture
def program(sandbox: Sandbox) -> Program:
    return Program(sandbox)


def moved(sandbox: Sandbox) -> list[Any]:
    return [(each["verb"], each["subject"], each["amount"], each["points"]) for each in sandbox.effects()]


# ---- Signatures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", PUBLISHED["vectors"], ids=lambda vector: vector["name"])
def test_a_published_signature_fits(vector: Any) -> None:
    text = signing.signed_text(
        document=vector["body"],
        method=vector["method"],
        nonce=vector["nonce"],
        timestamp=vector["timestamp"],
        url=vector["url"],
    )

    assert signing.verifies(text, vector["signature"], PUBLISHED["public_key"])
    assert not signing.verifies(text + " ", vector["signature"], PUBLISHED["public_key"])


def test_the_canonical_form_is_the_providers_encoders() -> None:
    document = {"b": [{"z": 1, "a": 2.0}], "a": "<é&>\u2028", "Z": None}

    assert signing.canonical(document) == r'{"Z":null,"a":"\u003cé\u0026\u003e\u2028","b":[{"a":2,"z":1}]}'


def test_the_body_counts_not_its_bytes(program: Program) -> None:
    body = spending(100, type="ID", memberId=MEMBER)
    headers = program.headers("POST", AWARD, body)
    written = json.dumps(dict(reversed(body.items())), indent=3)

    assert program.sandbox.ask("POST", f"/revenuemonster{AWARD}", written, headers).status == 200


@pytest.mark.parametrize("empty", ["", "{}", "null"])
def test_an_empty_body_is_signed_as_none(program: Program, empty: str) -> None:
    path = f"/v3/loyalty/member/{MEMBER}"
    headers = program.headers("GET", path, None)

    assert program.sandbox.ask("GET", f"/revenuemonster{path}", empty, headers).status == 200


@pytest.mark.parametrize("spoiled", ["body", "method", "query", "signature", "form", "missing"])
def test_what_is_signed_otherwise_is_refused_and_nothing_is_done(
    sandbox: Sandbox, program: Program, spoiled: str
) -> None:
    body, path = spending(100, type="ID", memberId=MEMBER), AWARD
    headers = program.headers("PUT" if spoiled == "method" else "POST", path, body)
    match spoiled:
        case "body":
            body = {**body, "amount": 101}
        case "query":
            path += "?a=1"
        case "signature":
            headers["X-Signature"] = f"sha256 {base64.b64encode(bytes(256)).decode()}"
        case "form":
            headers["X-Signature"] = headers["X-Signature"].removeprefix("sha256 ")
        case "missing":
            del headers["X-Signature"]

    answer = program.send("POST", path, body, headers)

    assert refused(answer) == (403, "INVALID_REQUEST_SIGNATURE")
    assert moved(sandbox) == []
    shown = answer.json["debug"]
    assert json.loads(base64.b64decode(shown["base64"])) == json.loads(shown["canonicalJson"]) == body
    assert shown["plainText"].startswith(f"data={shown['base64']}&method=post&")
    assert [name for name, seen in shown["headers"].items() if not seen["isValid"]] == ["X-Signature"]


def test_a_nonce_is_good_once(sandbox: Sandbox, program: Program) -> None:
    body = spending(100, type="ID", memberId=MEMBER)
    headers = program.headers("POST", AWARD, body)

    assert program.send("POST", AWARD, body, headers).status == 200
    assert refused(program.send("POST", AWARD, body, headers)) == (403, "DUPLICATE_REQUEST")
    assert len(moved(sandbox)) == 1


def test_a_request_that_was_refused_for_its_signature_uses_up_no_nonce(program: Program) -> None:
    body = spending(100, type="ID", memberId=MEMBER)
    headers = program.headers("POST", AWARD, body)

    refused(program.send("POST", AWARD, body, {**headers, "X-Signature": "sha256 AAAA"}))

    assert program.send("POST", AWARD, body, headers).status == 200


# ---- The same server by another clock --------------------------------------------------------------------


class Clocked:
    """The server in this process, by a clock of ours."""

    def __init__(self, folder: Path, *, lenient_clock: bool = False) -> None:
        self.now = NOON
        self.store = Store(folder, tables=REVENUEMONSTER.tables, stock=REVENUEMONSTER.stock)
        self.board = Switchboard(store=self.store, clock=lambda: self.now)
        self.client = application([REVENUEMONSTER], self.board, lenient_clock=lenient_clock).test_client()
        told: Any = self.client.get("/_sandbox/credentials", base_url="http://localhost").json
        self.keys = told["revenuemonster"]
        self.token = self.grant(grantType="client_credentials").json["accessToken"]

    def grant(self, **body: str) -> Any:
        pair = base64.b64encode(f"{self.keys['client_id']}:{self.keys['client_secret']}".encode()).decode()
        return self.open("POST", "/v1/token", body, {"Authorization": f"Basic {pair}"})

    def open(self, method: str, path: str, body: object, headers: dict[str, str], **more: Any) -> Any:
        return self.client.open(
            f"/revenuemonster{path}",
            method=method,
            **({"json": body} if body is not None else {}),
            **more,
            headers=headers,
            environ_overrides={LINE: Listener()},
            base_url="http://localhost",
        )

    def ask(self, method: str, path: str, body: object = None, *, at: str = "", nonce: str = "a") -> Any:
        at = at or str(int(self.now.timestamp()))
        text = plain(body, method, nonce, f"http://localhost/revenuemonster{path}", at)
        return self.open(
            method,
            path,
            body,
            {
                "Authorization": f"Bearer {self.token}",
                "X-Nonce-Str": nonce,
                "X-Timestamp": at,
                "X-Signature": f"sha256 {signing.sign(text, self.keys['private_key'])}",
            },
        )


@contextmanager
def clocked(folder: Path, **how: bool) -> Iterator[Clocked]:
    server = Clocked(folder, **how)
    yield server
    server.store.close()


@pytest.mark.parametrize("seconds", [-120, 120])
def test_a_clock_may_be_off_by_two_minutes(tmp_path: Path, seconds: int) -> None:
    with clocked(tmp_path) as server:
        at = str(int(server.now.timestamp()) + seconds)

        assert server.ask("GET", f"/v3/loyalty/member/{MEMBER}", at=at).status_code == 200


@pytest.mark.parametrize("written", ["old", "early", "milliseconds", "parts", "words", ""])
def test_another_time_is_refused(tmp_path: Path, written: str) -> None:
    with clocked(tmp_path) as server:
        now = server.now.timestamp()
        at = {
            "old": str(int(now) - 121),
            "early": str(int(now) + 121),
            "milliseconds": str(int(now * 1000)),
            "parts": f"{now:.2f}",
            "words": "now",
            "": " ",
        }[written]
        answer = server.ask("GET", f"/v3/loyalty/member/{MEMBER}", at=at)

    assert (answer.status_code, answer.json["error"]["code"]) == (403, "INVALID_TIMESTAMP")
    assert not answer.json["debug"]["headers"]["X-Timestamp"]["isValid"]


def test_a_nonce_is_forgotten_after_two_minutes(tmp_path: Path) -> None:
    with clocked(tmp_path) as server:
        path = f"/v3/loyalty/member/{MEMBER}"
        assert server.ask("GET", path).status_code == 200
        server.now += timedelta(seconds=119)
        assert server.ask("GET", path).json["error"]["code"] == "DUPLICATE_REQUEST"
        server.now += timedelta(seconds=2)
        assert server.ask("GET", path).status_code == 200


@pytest.mark.parametrize("at", ["1546931187", "1546931187.81", "1546931187810"])
def test_a_lenient_clock_takes_the_times_that_published_clients_send(tmp_path: Path, at: str) -> None:
    with clocked(tmp_path, lenient_clock=True) as server:
        assert server.ask("GET", f"/v3/loyalty/member/{MEMBER}", at=at).status_code == 200
        assert server.ask("GET", f"/v3/loyalty/member/{MEMBER}", at=at).json["error"]["code"] == "DUPLICATE_REQUEST"


def test_a_token_ends_after_thirty_days(tmp_path: Path) -> None:
    with clocked(tmp_path) as server:
        server.now += timedelta(days=30)
        answer = server.ask("GET", f"/v3/loyalty/member/{MEMBER}")

    assert (answer.status_code, answer.json["error"]["code"]) == (401, "TOKEN_EXPIRED")


def test_a_code_ends_after_a_day(tmp_path: Path) -> None:
    with clocked(tmp_path) as server:
        item = server.ask("POST", AWARD, spending(500, type="QRCODE")).json["item"]
        server.now += timedelta(days=1)
        page = server.client.get(path_of(item["qrCodeUrl"]), base_url="http://localhost", environ_overrides={LINE: 0})
        cancelled = server.ask("POST", f"{AWARD}/cancel", {"id": item["id"]}, nonce="b")

    assert "Too late" in page.text
    assert cancelled.json["error"]["code"] == "LOYALTY_EXPIRED"


# ---- Tokens ----------------------------------------------------------------------------------------------


def test_a_refresh_token_is_good_once_and_brings_another(program: Program) -> None:
    first = program.grant(grantType="client_credentials").json

    second = program.grant(grantType="refresh_token", refreshToken=first["refreshToken"])
    again = program.grant(grantType="refresh_token", refreshToken=first["refreshToken"])

    assert second.json["refreshToken"] != first["refreshToken"]
    assert refused(again) == (400, "InvalidGrant")
    program.token = second.json["accessToken"]
    assert program.points() == 1000


def test_a_refresh_token_lets_nobody_in(program: Program) -> None:
    program.token = program.grant(grantType="client_credentials").json["refreshToken"]

    assert refused(program.ask("GET", f"/v3/loyalty/member/{MEMBER}")) == (401, "TOKEN_INVALID")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "InvalidRequest"),
        ({"grantType": "password"}, "UnSupportedGrantType"),
        ({"grantType": "refresh_token"}, "InvalidGrant"),
        ({"grantType": "authorization_code", "code": "x", "redirectUri": "x"}, "InvalidCode"),
    ],
)
def test_a_grant_that_is_none_is_named(program: Program, asked: dict[str, str], code: str) -> None:
    assert refused(program.grant(**asked)) == (400, code)


@pytest.mark.parametrize("header", ["Basic", "Basic ?", "Basic AAAA", "Bearer x", ""])
def test_nobody_else_gets_a_token(program: Program, header: str) -> None:
    assert refused(program.grant(header or "none", grantType="client_credentials")) == (401, "InvalidClient")


# ---- Points ----------------------------------------------------------------------------------------------


def test_a_purchase_gives_a_point_for_each_ringgit(sandbox: Sandbox, program: Program) -> None:
    predicted = program.ask("POST", f"{AWARD}/calculate", {"currencyType": "MYR", "amount": 1250}).json

    program.award(amount=1250)

    assert predicted["item"]["point"] == 12
    assert program.points() == 1012
    assert moved(sandbox) == [("award", MEMBER, 1250, 12)]


def test_a_member_has_a_phone_number_as_well(sandbox: Sandbox, program: Program) -> None:
    program.ask("POST", AWARD, spending(300, type="PHONENUMBER", countryCode="60", phoneNumber=PHONE))

    me = program.ask("GET", f"/v3/loyalty/me?countryCode=60&phoneNumber={PHONE}").json["item"]
    assert (me["id"], me["loyaltyPointBalance"]) == ("", 1003)
    assert moved(sandbox) == [("award", MEMBER, 300, 3)]


def test_a_tier_gives_more_than_was_predicted(program: Program) -> None:
    program.award(DOUBLE, 1000)

    assert program.points(DOUBLE) == 520


def test_points_are_given_and_taken_away(sandbox: Sandbox, program: Program) -> None:
    whom = {"type": "ID", "memberId": MEMBER}
    assert program.ask("POST", "/v3/loyalty/reward", {"point": 20, **whom}).json == {"code": "SUCCESS"}
    assert program.ask("DELETE", "/v3/loyalty/reward", {"point": 5, "memberId": MEMBER}).json == {"code": "SUCCESS"}

    assert program.points() == 1015
    assert [each[0] for each in moved(sandbox)] == ["issue_points", "redeem_points"]
    items = program.ask("GET", f"/v3/loyalty/member/{MEMBER}/history").json["items"]
    assert [each["point"] for each in items] == [-5, 20]


def test_nobody_goes_below_zero(sandbox: Sandbox, program: Program) -> None:
    answer = program.ask("DELETE", "/v3/loyalty/reward", {"point": 1001, "memberId": MEMBER})

    assert refused(answer) == (400, "LOYALTY_INSUFFICIENT")
    assert (program.points(), moved(sandbox)) == (1000, [])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": 0}, "MINIMUM_AMOUNT_REQUIRED"),
        ({"amount": "100"}, "VALIDATION_ERROR"),
        ({"amount": True}, "VALIDATION_ERROR"),
        ({"amount": -1}, "VALIDATION_ERROR"),
        ({"currencyType": "SGD"}, "PAYMENT_UNSUPPORTED_CURRENCY_TYPE"),
        ({"currencyType": None}, "VALIDATION_ERROR"),
        ({"type": "MEMBERID"}, "VALIDATION_ERROR"),
        ({"memberId": 2777058682717858418}, "VALIDATION_ERROR"),
        ({"memberId": "277"}, "MEMBER_NOT_FOUND"),
        ({"type": "PHONENUMBER"}, "VALIDATION_ERROR"),
        ({"type": "PHONENUMBER", "countryCode": "+60", "phoneNumber": PHONE}, "VALIDATION_ERROR"),
        ({"type": "PHONENUMBER", "countryCode": "60", "phoneNumber": f"0{PHONE}"}, "VALIDATION_ERROR"),
        ({"type": "PHONENUMBER", "countryCode": "65", "phoneNumber": PHONE}, "MEMBER_NOT_FOUND"),
        ({"reference": "A1"}, "VALIDATION_ERROR"),
    ],
)
def test_a_request_that_cannot_be_is_refused(
    sandbox: Sandbox, program: Program, change: dict[str, Any], code: str
) -> None:
    body = spending(100, type="ID", memberId=MEMBER) | change

    assert refused(program.ask("POST", AWARD, body))[1] == code
    assert moved(sandbox) == []


MAGIC = [
    ("03", 400, "LOYALTY_SPENDING_NOT_ALLOWED", 0),
    ("04", 400, "LOYALTY_STATUS_ERROR", 0),
    ("05", 400, "LOYALTY_QUANTITY_MAX", 0),
    ("10", 400, "LOYALTY_POINT_IS_PROCESSING", 1),
    ("11", 500, "INTERNAL_ERROR", 1),
    ("12", 500, "INTERNAL_ERROR", 0),
    ("13", 503, "OVERLOAD", 0),
    ("14", 400, "TRANSACTIN_STATUS_NOT_SUCCESS", 0),
    ("20", 429, "TOO_MANY_REQUEST_PER_SECOND", 0),
    ("21", 401, "TOKEN_EXPIRED", 0),
    ("22", 403, "CLIENT_NO_PERMISSION", 0),
    ("23", 403, "SUBSCRIPTION_EXPIRED", 0),
]


@pytest.mark.parametrize(("end", "status", "code", "done"), MAGIC)
def test_a_magic_member_does_what_the_page_says(
    sandbox: Sandbox, program: Program, end: str, status: int, code: str, done: int
) -> None:
    assert refused(program.award(f"27770586827178585{end}")) == (status, code)
    assert len(moved(sandbox)) == done


@pytest.mark.parametrize(
    ("end", "body"),
    [
        ("06", {"item": {"id": "83f575034d45f776b8e1fed1a26e2fee"}, "code": "SUCCESS"}),
        ("07", {}),
        ("08", {"code": "ACCEPTED"}),
        ("09", {"code": "SUCCESS", "error": {"code": "INTERNAL_ERROR", "message": "Partly"}}),
    ],
)
def test_a_magic_member_is_done_and_told_oddly(sandbox: Sandbox, program: Program, end: str, body: object) -> None:
    answer = program.award(f"27770586827178585{end}")

    assert (answer.status, answer.json) == (200, body)
    assert len(moved(sandbox)) == 1


def test_the_page_names_every_magic_member(sandbox: Sandbox) -> None:
    named = {card["number"] for card in sandbox.ask("GET", "/_sandbox/credentials").json["revenuemonster"]["cards"]}

    assert named >= {MEMBER, *(f"27770586827178585{end}" for end, *_ in MAGIC)}


# ---- Members ---------------------------------------------------------------------------------------------


def test_a_member_is_registered_once(sandbox: Sandbox, program: Program) -> None:
    new = {"name": "Aisyah", "countryCode": "60", "phoneNumber": "123456789", "email": "a@example.com", "point": 7}

    id = program.ask("POST", "/v3/loyalty/member", new).json["item"]["id"]

    assert program.points(id) == 7
    assert refused(program.ask("POST", "/v3/loyalty/member", new)) == (400, "MEMBER_REGISTERED")
    assert moved(sandbox) == [("register", id, None, None), ("issue_points", id, None, 7)]


def test_success_can_hide_rows_that_failed(program: Program) -> None:
    new = {"name": "Aisyah", "countryCode": "60", "phoneNumber": "123456789"}
    rows = [new, new, {"name": "B"}]

    told = program.ask("POST", "/v3/loyalty/members", {"members": rows}).json

    assert told["code"] == "SUCCESS"
    assert [row["status"] for row in told["item"]] == ["SUCCESS", "FAILED", "FAILED"]
    assert [row["error"] and row["error"]["code"] for row in told["item"]] == [
        None,
        "MEMBER_REGISTERED",
        "VALIDATION_ERROR",
    ]


def test_what_is_not_imitated_says_so_in_the_providers_words(program: Program) -> None:
    assert refused(program.ask("GET", "/v3/voucher-batches")) == (404, "API_ENDPOINT_NOT_FOUND")
    assert refused(program.ask("PATCH", AWARD, {"a": 1})) == (405, "METHOD_NOT_ALLOWED")


# ---- Codes -----------------------------------------------------------------------------------------------


def test_a_code_gives_points_to_whoever_claims_it_first(sandbox: Sandbox, program: Program) -> None:
    item = program.code(1250)
    assert item["id"] not in item["qrCodeUrl"]
    assert program.points() == 1000
    assert "Collect 12 points" in program.sandbox.ask("GET", path_of(item["qrCodeUrl"])).text

    assert "12 points collected" in program.claim(item["qrCodeUrl"]).text
    assert "12 points collected" in program.claim(item["qrCodeUrl"], "017 282 6990").text

    assert program.points() == 1012
    assert moved(sandbox) == [("issue_code", item["id"], 1250, None), ("claim_code", MEMBER, None, 12)]
    assert refused(program.cancel(item["id"])) == (400, "LOYALTY_POINT_ALREADY_REDEEMED")


def test_a_code_that_was_taken_back_gives_nothing(sandbox: Sandbox, program: Program) -> None:
    item = program.code()

    assert program.cancel(item["id"]).json == {"code": "SUCCESS"}

    assert "taken this code back" in program.claim(item["qrCodeUrl"]).text
    assert refused(program.cancel(item["id"])) == (400, "LOYALTY_STATUS_ERROR")
    assert [each["verb"] for each in sandbox.effects()] == ["issue_code", "void"]
    assert sandbox.effects()[1]["original"] == item["id"]


def test_a_code_for_six_ringgit_sixty_six_ends_at_once(program: Program) -> None:
    item = program.code(666)

    until(lambda: "Too late" in program.sandbox.ask("GET", path_of(item["qrCodeUrl"])).text)

    assert refused(program.cancel(item["id"])) == (400, "LOYALTY_EXPIRED")


def test_the_documents_code_waits_to_be_scanned(program: Program) -> None:
    url = "http://x/revenuemonster/qr/4118165203679668885/loyalty/d3008719d04cab91c53eb0b5d8cc4ee6"

    assert "1 points collected" in program.claim(url).text


def test_a_code_for_fixed_points_has_no_id(sandbox: Sandbox, program: Program) -> None:
    item = program.ask("POST", "/v3/loyalty/reward", {"point": 9, "type": "QRCODE"}).json["item"]

    assert item.keys() == {"qrCodeUrl"}
    assert "9 points collected" in program.claim(item["qrCodeUrl"]).text
    assert program.points() == 1009


def test_a_stranger_collects_nothing(sandbox: Sandbox, program: Program) -> None:
    item = program.code()

    page = program.claim(item["qrCodeUrl"], "019 999 9999")

    assert "No member has this phone number." in page.text
    assert "Collect 12 points" in page.text
    assert [each["verb"] for each in sandbox.effects()] == ["issue_code"]


# ---- The merchant's own page, and callbacks --------------------------------------------------------------


class Heard:
    """A merchant's server: what it heard, and what it answers."""

    def __init__(self, status: Callable[[int], int] = lambda count: 200) -> None:
        self.messages: list[tuple[dict[str, str], bytes]] = []
        heard = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                heard.messages.append((dict(self.headers.items()), body))
                self.send_response(status(len(heard.messages)))
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hear"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> "Heard":
        return self

    def __exit__(self, *reason: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def set_up(program: Program, callback: str = "", public_key: str = "same") -> Any:
    key = program.sandbox.ask("GET", "/_sandbox/credentials").json["revenuemonster"]["private_key"]
    form = {"callback": callback, "public_key": signing.public_key(key) if public_key == "same" else public_key}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return program.sandbox.ask("POST", "/revenuemonster/portal", urlencode(form), headers)


def test_a_claim_is_told_to_the_merchant_signed_by_the_server(program: Program) -> None:
    with Heard() as heard:
        set_up(program, heard.url)
        item = program.code(1250)
        program.claim(item["qrCodeUrl"])
        until(lambda: heard.messages)
        set_up(program)

    ((headers, body),) = heard.messages
    told = json.loads(body)
    assert (told["data"]["id"], told["data"]["status"], told["data"]["point"]) == (item["id"], "REDEEMED", 12)
    text = signing.signed_text(
        document=told, method="post", nonce=headers["X-Nonce-Str"], timestamp=headers["X-Timestamp"]
    )
    assert "requestUrl" not in text
    assert signing.verifies(text, headers["X-Signature"].removeprefix("sha256 "), program.credentials["public_key"])
    assert abs(int(headers["X-Timestamp"]) - time.time()) < 60


def test_a_callback_is_sent_again_until_it_is_heard_and_signed_anew(tmp_path: Path) -> None:
    with clocked(tmp_path) as server, Heard(lambda count: 200 if count == 3 else 500) as heard:
        courier = Courier([REVENUEMONSTER], server.board)
        form = {"callback": heard.url, "public_key": signing.public_key(server.keys["private_key"])}
        server.open("POST", "/portal", None, {}, data=form)
        item = server.ask("POST", AWARD, spending(500, type="QRCODE")).json["item"]
        path = path_of(item["qrCodeUrl"]).removeprefix("/revenuemonster")
        server.open("POST", path, None, {}, data={"phone": PHONE})

        waits = []
        for _ in range(4):
            waits.append(courier.deliver())
            server.now += timedelta(seconds=60)

    assert [wait and round(wait) for wait in waits] == [60, 60, None, None]
    assert len(heard.messages) == 3
    assert len({headers["X-Nonce-Str"] for headers, _ in heard.messages}) == 3
    assert len({body for _, body in heard.messages}) == 1


def test_nobody_is_called_for_ever(tmp_path: Path) -> None:
    with clocked(tmp_path) as server, Heard(lambda count: 500) as heard:
        courier = Courier([REVENUEMONSTER], server.board)
        server.open("POST", "/portal", None, {}, data={"callback": heard.url, "public_key": ""})
        path = "/qr/4118165203679668885/loyalty/d3008719d04cab91c53eb0b5d8cc4ee6"
        server.open("POST", path, None, {}, data={"phone": PHONE})
        for _ in range(TRIES + 2):
            courier.deliver()
            server.now += timedelta(seconds=60)

    assert len(heard.messages) == TRIES


@pytest.mark.parametrize(
    "url", ["https://localhost/x", "http://example.com/", "http://127.0.0.1.example.com/", "ftp://localhost/", "x"]
)
def test_only_this_machine_is_called(program: Program, url: str) -> None:
    assert not may_be_called(url)
    assert set_up(program, url).status == 400


def test_a_client_without_a_public_key_is_told_so(program: Program) -> None:
    program.points()
    set_up(program, public_key="")
    try:
        assert refused(program.award()) == (403, "CLIENT_NOT_SET_PUBLIC_KEY")
    finally:
        set_up(program)
    assert program.award().status == 200


def test_another_public_key_lets_only_its_own_key_in(program: Program) -> None:
    program.points()
    set_up(program, public_key=PUBLISHED["public_key"])
    try:
        assert refused(program.award()) == (403, "INVALID_REQUEST_SIGNATURE")
    finally:
        set_up(program)


def test_keys_outlive_a_reset(sandbox: Sandbox, program: Program) -> None:
    before = Program(sandbox).credentials
    sandbox.reset()
    after = Program(sandbox).credentials

    assert before == after


def test_a_key_can_be_taken_as_a_file(sandbox: Sandbox, program: Program) -> None:
    answer = sandbox.ask("GET", "/_sandbox/keys/revenuemonster/private_key")

    assert answer.text == program.credentials["private_key"]
    assert "attachment" in answer.headers["Content-Disposition"]
    assert "BEGIN PRIVATE" not in sandbox.ask("GET", "/").text
    for none in ("revenuemonster/client_secret", "revenuemonster/x", "nobody/private_key"):
        assert sandbox.ask("GET", f"/_sandbox/keys/{none}").status == 404


def test_a_fault_can_meet_one_path_alone(sandbox: Sandbox, program: Program) -> None:
    program.points()
    fault = {"provider": "revenuemonster", "kind": "refuse", "path": f"{AWARD}$"}
    assert sandbox.ask("POST", "/_sandbox/faults", json.dumps(fault)).status == 201

    predicted = program.ask("POST", f"{AWARD}/calculate", {"currencyType": "MYR", "amount": 100})

    assert predicted.status == 200
    assert refused(program.award()) == (400, "LOYALTY_SPENDING_NOT_ALLOWED")
