"""The imitated PayWizard server, held against its document: signatures, fields, rules and magic cards."""

import itertools
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from portal.sandboxes.control import LINE, application
from portal.sandboxes.kit import Switchboard
from portal.sandboxes.paywizard import CUSTOMER, OPERATIONS, PAYWIZARD, signature
from portal.sandboxes.paywizard_books import CARDS, PLAIN, PLAIN_NO_REPEATS, find
from portal.sandboxes.store import Store

from .conftest import Answer, Sandbox, until
from .test_kit import Listener

CLIENT_ID = "825429536610058240"
SECRET = "9fb645400aabaa33ee0e423405d8c676"
TOKEN = "DEMO0PAYWIZARD0TOKEN0TILLSIDE001"
VOIDABLE = "933358163137265664"
TIPPABLE = "927994263952818176"
ORDERS = itertools.count(1)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MOVES = ("giftIssuance", "giftTransaction", "loyaltyIssuance", "loyaltyRedemption", "giftTip", "giftVoid")


class Till:
    """A shop's till, which signs what it sends. `send` puts the bytes on the way; the rest is words."""

    def send(self, operation: str, body: bytes, headers: dict[str, str]) -> Answer:
        raise NotImplementedError

    def signed(self, operation: str, body: bytes, **other: str) -> Answer:
        headers = {
            "Content-Type": "application/json",
            "jwt-token": TOKEN,
            "sign": signature(body, client_id=CLIENT_ID, client_secret=SECRET),
        }
        return self.send(operation, body, headers | {name.replace("_", "-"): text for name, text in other.items()})

    def ask(self, operation: str, end: str | None = None, **fields: object) -> Any:
        """The envelope that comes back. A field given as None is left out."""
        whole = {"clientId": CLIENT_ID, **usual(operation, end), **fields}
        whole = {name: value for name, value in whole.items() if value is not None}
        return self.signed(operation, json.dumps(whole, separators=(",", ":")).encode()).json

    def top_up(self, end: str, amount: str, **more: object) -> Any:
        return self.ask("giftIssuance", end, amount=amount, **more)

    def pay(self, end: str, amount: str, **more: object) -> Any:
        return self.ask("giftTransaction", end, amount=amount, **more)

    def paid(self, end: str, amount: str, **more: object) -> str:
        """The checkoutId of a payment that is done."""
        checkout_id: str = done(self.pay(end, amount, **more))["checkoutId"]
        return checkout_id

    def void(self, original: str, **more: object) -> Any:
        return self.ask("giftVoid", oriOrderNo=original, **more)

    def tip(self, end: str, original: str, amount: str, **more: object) -> Any:
        return self.ask("giftTip", end, oriOrderNo=original, amount=amount, **more)

    def issue(self, end: str, points: str, **more: object) -> Any:
        return self.ask("loyaltyIssuance", end, amount=points, **more)

    def redeem(self, end: str, points: str, **more: object) -> Any:
        return self.ask("loyaltyRedemption", end, amount=points, **more)

    def card(self, end: str) -> Any:
        return self.ask("giftInquiry", end)["data"]

    def holds(self, end: str) -> tuple[float, int]:
        """Money and points."""
        balances = {each["valueCode"]: each["amount"] for each in self.card(end)["balances"]}
        points = balances.pop("Points")
        (money,) = balances.values()
        return money, points


class RealTill(Till):
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def send(self, operation: str, body: bytes, headers: dict[str, str]) -> Answer:
        connection = self.sandbox.connect()
        connection.request("POST", path_of(operation), body, headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer


def path_of(operation: str) -> str:
    return f"/paywizard/ovstrade/openLoyaltyPay/{operation}"


def number(end: str) -> str:
    return end if len(end) > 2 else f"9146392588685{end}"


def usual(operation: str, end: str | None) -> dict[str, object]:
    fields: dict[str, object] = {}
    if operation in MOVES:
        fields["tranOrderNo"] = f"order{next(ORDERS)}"
    if operation != "giftVoid":
        fields |= {"loyaltyChannel": "FACTOR4", "accountId": number(end or "00"), "entryType": "K"}
    if operation in ("giftTransaction", "giftTip"):
        fields["tranCurrency"] = "USD"
    if operation == "giftActivate":
        fields["activating"] = "Y"
    return fields


def done(envelope: Any) -> Any:
    assert (envelope["code"], envelope["data"]["result"]) == (200, 0), envelope
    return envelope["data"]


def refused(envelope: Any) -> str:
    assert (envelope["code"], envelope["data"]["result"]) == (200, 1), envelope
    message: str = envelope["msg"]
    return message


def moved(sandbox: Sandbox) -> list[Any]:
    return [(each["verb"], each["amount"] or each["points"]) for each in sandbox.effects()]


@pytest.fixture
def till(sandbox: Sandbox) -> RealTill:
    return RealTill(sandbox)


# ---- The signature ---------------------------------------------------------------------------------------

PRINTED = '{\r\n    "clientId": "825420368247390208",\r\n    "pushId":"942783670425616384"\r\n}'
LOOK_UP = '{"clientId":"825429536610058240","loyaltyChannel":"FACTOR4","accountId":"914639258868515","entryType":"K"}'
PAYMENT = (
    '{"clientId":"825429536610058240","tranOrderNo":"20250401123534801","loyaltyChannel":"FACTOR4","amount":"10.50",'
    '"tranCurrency":"USD","accountId":"914639258868515","entryType":"K"}'
)
BINDING = (
    '{"clientId":"client12345","merchantId":"10800000003","posId":"D31231234567890","terminalId":"12345678",'
    '"terminalSn":"WP123987987897"}'
)
LOOK_UP_SIGN = "93441e746097e9a5a8c575e175c83bf529b2b1e379dff0d34db252cf27820d0b"


@pytest.mark.parametrize(
    ("client_id", "body", "sign"),
    [
        ("825420368247390208", PRINTED, "57ba54072ed2aaa4b2905c41e7c91fd1395ef8f6f76e6e7cdbefe7a88437de6c"),
        (
            "825420368247390208",
            PRINTED.replace("\r\n", "\n"),
            "edb08a9773be7c96dac07a988f84ec772b775214b4ad0c9badcf5aea06aa80ce",
        ),
        (
            "825420368247390208",
            '{"clientId":"825420368247390208","pushId":"942783670425616384"}',
            "fb5264002178c1d3e39124cfca7a432b552651842b154381eac23f31ad77138c",
        ),
        ("client12345", BINDING, "78b9b617d2e60c54bba722cb5dcaf6be6999f3a7552bfce274280be0009049c5"),
        (CLIENT_ID, LOOK_UP, LOOK_UP_SIGN),
        (CLIENT_ID, PAYMENT, "6d59eaa775e97f21e9793277186bd76962a0c565adbe1f7c827327fda77a24cd"),
    ],
    ids=["as printed", "other line ends", "compact", "binding", "look-up", "payment"],
)
def test_the_published_signatures_are_reproduced(client_id: str, body: str, sign: str) -> None:
    assert signature(body.encode(), client_id=client_id, client_secret=SECRET) == sign


def test_the_published_signatures_are_accepted_as_they_stand(till: RealTill) -> None:
    looked_up = till.signed("giftInquiry", LOOK_UP.encode(), sign=LOOK_UP_SIGN)
    paid = till.signed(
        "giftTransaction",
        PAYMENT.encode(),
        sign="6d59eaa775e97f21e9793277186bd76962a0c565adbe1f7c827327fda77a24cd",
    )

    assert (looked_up.json["code"], paid.json["data"]["result"]) == (200, 0)


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param("b360024e9e395a47a63734ac0937aedadcc5f921f89ad310d4b077c7e5e30ccb", id="no HMAC"),
        pytest.param("c68b7493d7f916374db9ad27a372112899a448a285f223275e38b18481d8ffb6", id="key from hex"),
        pytest.param("d2cfd6d15a6dc24626a15b42ce511f7f2ddea6ad7a2884da2df1733e30a3833f", id="the body alone"),
        pytest.param(LOOK_UP_SIGN.upper(), id="capitals"),
        pytest.param(LOOK_UP_SIGN + "0", id="one more"),
        pytest.param(LOOK_UP_SIGN[:-1], id="one less"),
        pytest.param("", id="none"),
        pytest.param("é" * 64, id="not ASCII"),
    ],
)
def test_a_wrong_signature_is_refused_and_told_nothing(till: RealTill, sign: str) -> None:
    answer = till.signed("giftInquiry", LOOK_UP.encode(), sign=sign)

    assert answer.status == 401
    assert (answer.json["code"], answer.json["data"]) == (401, None)
    assert answer.json["msg"] == "signature not accepted"
    assert SECRET not in answer.text
    assert signature(LOOK_UP.encode(), client_id=CLIENT_ID, client_secret=SECRET) not in answer.text


def test_the_signature_is_over_the_bytes_and_not_over_what_they_mean(till: RealTill) -> None:
    spaced = json.dumps(json.loads(LOOK_UP), indent=4).replace("\n", "\r\n").encode()

    assert till.signed("giftInquiry", spaced).status == 200
    assert till.signed("giftInquiry", spaced, sign=LOOK_UP_SIGN).status == 401


@pytest.mark.parametrize("token", ["", TOKEN.lower(), TOKEN + "X", "é"])
def test_a_wrong_token_is_refused(till: RealTill, token: str) -> None:
    answer = till.signed("giftInquiry", LOOK_UP.encode(), jwt_token=token)

    assert (answer.status, answer.json["msg"]) == (401, "token not accepted")


def test_a_token_that_has_expired_is_refused_as_such(sandbox: Sandbox, till: RealTill) -> None:
    token = sandbox.ask("GET", "/_sandbox/credentials").json["paywizard"]["expired_token"]
    answer = till.signed("giftInquiry", LOOK_UP.encode(), jwt_token=token)

    assert (answer.status, answer.json["msg"]) == (401, "token expired")


def test_the_next_token_is_good_beside_the_present_one(sandbox: Sandbox, till: RealTill) -> None:
    token = sandbox.ask("GET", "/_sandbox/credentials").json["paywizard"]["next_token"]

    for good in (TOKEN, token):
        assert till.signed("giftInquiry", LOOK_UP.encode(), jwt_token=good).status == 200


@pytest.mark.parametrize("missing", ["jwt-token", "sign"])
def test_a_missing_header_is_refused(till: RealTill, missing: str) -> None:
    headers = {"Content-Type": "application/json", "jwt-token": TOKEN, "sign": LOOK_UP_SIGN}
    del headers[missing]

    assert till.send("giftInquiry", LOOK_UP.encode(), headers).status == 401


def test_nothing_moves_without_a_signature(sandbox: Sandbox, till: RealTill) -> None:
    assert till.signed("giftTransaction", PAYMENT.encode(), sign="0" * 64).status == 401

    assert sandbox.effects() == []
    assert till.holds("15") == (1534.1, 53)


def test_credentials_give_what_a_connection_needs_and_every_magic_card(sandbox: Sandbox) -> None:
    ours = sandbox.ask("GET", "/_sandbox/credentials").json["paywizard"]

    assert (ours["client_id"], ours["client_secret"], ours["token"]) == (CLIENT_ID, SECRET, TOKEN)
    listed = {card["number"]: card["does"] for card in ours["cards"]}
    assert {card.number for card in CARDS} < set(listed)
    assert all(listed.values())
    assert str(PLAIN[0]) in listed


# ---- Reading a request -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "text/plain", "application/JSON", ""])
def test_another_content_type_is_refused(till: RealTill, kind: str) -> None:
    answer = till.signed("giftInquiry", LOOK_UP.encode(), Content_Type=kind)

    assert (answer.status, answer.json["code"]) == (200, 400)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"clientId"',
        b"\xff\xfe",
        LOOK_UP.replace('"entryType":"K"', '"entryType":"K","entryType":"K"').encode(),
        LOOK_UP.replace('"K"', "NaN").encode(),
        LOOK_UP.replace('"K"', '"\\ud800"').encode(),
        b"[" * 100_000,
        LOOK_UP.replace('"K"', "9" * 5000).encode(),
    ],
)
def test_a_body_that_is_no_plain_json_object_is_refused(till: RealTill, body: bytes) -> None:
    answer = till.signed("giftInquiry", body)

    assert (answer.status, answer.json["code"]) == (200, 400)


def test_half_a_character_is_refused_where_any_text_is_taken(till: RealTill) -> None:
    assert till.void("\ud800")["msg"] == "the body is not JSON"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_required_field_is_missed_and_every_other_one_refused(till: RealTill, operation: Any) -> None:
    # Complete, as far as each field of it goes.
    fields = {"amount": "1" if "loyalty" in operation.name else "1.00", "oriOrderNo": VOIDABLE}
    fields = {name: value for name, value in fields.items() if name in operation.required}

    for name in ("clientId", *operation.required):
        envelope = till.ask(operation.name, "00", **fields | {name: None})
        assert (envelope["code"], envelope["msg"]) == (400, f"{name} is missing")
    for name in ("accountID", "pin", "nsfAllowed" if operation.name != "giftTransaction" else "activating"):
        envelope = till.ask(operation.name, "00", **fields | {name: "x"})
        assert (envelope["code"], envelope["msg"]) == (400, f"{name} is not a field of this request")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", 10.5),
        ("amount", 1050),
        ("amount", "10.5"),
        ("amount", "10"),
        ("amount", "10.500"),
        ("amount", "010.50"),
        ("amount", "-1.00"),
        ("amount", "0.00"),
        ("amount", "1e2"),
        ("amount", "10,50"),
        ("amount", " 10.50"),
        ("amount", "10.50\n"),
        ("amount", "١٠.٥٠"),
        ("amount", "10000000.00"),
        ("tranCurrency", "usd"),
        ("tranCurrency", "US"),
        ("tranCurrency", "EUR"),
        ("entryType", "W"),
        ("entryType", "k"),
        ("entryType", ""),
        ("loyaltyChannel", "FACTOR5"),
        ("loyaltyChannel", "factor4"),
        ("accountId", 914639258868500),
        ("accountId", ""),
        ("tranOrderNo", ""),
        ("tranOrderNo", "x" * 33),
        ("tranOrderNo", "a-b"),
        ("tranOrderNo", 20250401123534801),
        ("nsfAllowed", True),
        ("nsfAllowed", "N"),
        ("nsfAllowed", 0),
        ("clientId", 825429536610058240),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused_and_nothing_moves(
    sandbox: Sandbox, till: RealTill, field: str, value: object
) -> None:
    envelope = till.ask("giftTransaction", "00", **{"amount": "10.50", field: value})

    assert (envelope["code"], envelope["data"]) == (400, None)
    assert field in envelope["msg"]
    assert sandbox.effects() == []


@pytest.mark.parametrize("points", ["1.00", "10.5", "0", "-1", "01", 1, "1e3", "1000000000", ""])
@pytest.mark.parametrize("operation", ["loyaltyIssuance", "loyaltyRedemption"])
def test_points_are_the_text_of_a_whole_number(till: RealTill, operation: str, points: object) -> None:
    assert till.ask(operation, "00", amount=points)["code"] == 400


@pytest.mark.parametrize("entry", ["B", "K", "M", "P"])
def test_the_four_documented_ways_to_enter_a_card_are_taken(till: RealTill, entry: str) -> None:
    assert till.ask("giftInquiry", "00", entryType=entry)["code"] == 200


@pytest.mark.parametrize(
    "customer",
    [
        "Jon",
        ["Jon"],
        {"nickname": "J"},
        {"firstName": 1},
        {"firstName": None},
        {"firstName": "x" * 101},
        {"customerType": "4"},
        {"country": "Morocco"},
        {"mailPref": "Y"},
        {"isMobile": "I"},
        {"birthday": "2000-01-01"},
    ],
)
def test_a_customer_outside_the_documented_fields_is_refused(till: RealTill, customer: object) -> None:
    envelope = till.ask("giftActivate", "01", customerInfo=customer)

    assert envelope["code"] == 400
    assert "customerInfo" in envelope["msg"]


def test_another_clients_id_is_refused_though_the_signature_is_right(till: RealTill) -> None:
    envelope = till.ask("giftInquiry", "00", clientId="client12345")

    assert (envelope["code"], envelope["data"]) == (403, None)


@pytest.mark.parametrize("account", ["914639258868599", "914639000002000", "914638999999999", "5286264", "é", "1" * 15])
def test_an_unknown_card_is_not_found(till: RealTill, account: str) -> None:
    envelope = till.ask("giftInquiry", accountId=account)

    assert (envelope["code"], envelope["data"]) == (404, None)


@pytest.mark.parametrize("path", ["giftPay", "giftTopup", "giftinquiry", "giftInquiry/"])
def test_a_guessed_path_is_not_there(till: RealTill, path: str) -> None:
    assert till.signed(path, LOOK_UP.encode()).status == 404


def test_a_look_up_is_no_get(sandbox: Sandbox) -> None:
    assert sandbox.ask("GET", path_of("giftInquiry")).status == 405


# ---- The shape of answers --------------------------------------------------------------------------------


def test_every_answer_is_the_documented_envelope_in_utc(till: RealTill) -> None:
    before = datetime.now(UTC).replace(microsecond=0, tzinfo=None)

    for envelope in (
        till.ask("giftInquiry", "00"),
        till.pay("00", "1.00"),
        till.pay("00", "999.00"),
        till.pay("99", "1"),
    ):
        assert list(envelope) == ["code", "msg", "timestamp", "data"]
        assert type(envelope["code"]) is int
        at = datetime.strptime(envelope["timestamp"], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - as documented
        assert before <= at <= before + timedelta(seconds=20)


def test_a_card_has_numbers_for_balances_and_texts_for_its_customer(till: RealTill) -> None:
    card = till.card("15")

    assert list(card) == ["accountId", "balances", "customerInfo"]
    assert card["balances"] == [
        {"valueCode": "USD", "amount": 1534.1, "difference": 0},
        {"valueCode": "Points", "amount": 53, "difference": 0},
    ]
    assert set(card["customerInfo"]) == set(CUSTOMER)
    assert all(type(text) is str for text in card["customerInfo"].values())
    assert (card["customerInfo"]["firstName"], card["customerInfo"]["postal"]) == ("Jon1", "")


def test_a_transaction_has_texts_and_a_number_for_its_result(till: RealTill) -> None:
    data = done(till.pay("00", "10.50"))

    assert list(data) == ["mid", "paywizardId", "checkoutId", "transIndexCode", "amount", "result"]
    assert {name: type(value) for name, value in data.items()} == {
        **dict.fromkeys(("mid", "paywizardId", "checkoutId", "transIndexCode", "amount"), str),
        "result": int,
    }
    assert re.fullmatch("[0-9]{18}", data["checkoutId"])


def test_the_echoed_amount_has_another_unit_than_the_request(till: RealTill) -> None:
    assert done(till.pay("00", "10.50"))["amount"] == "1050"
    assert done(till.issue("00", "10"))["amount"] == "10"


def test_a_void_names_its_original_and_no_amount(till: RealTill) -> None:
    paid = done(till.pay("00", "10.50"))

    data = done(till.void(paid["checkoutId"]))

    assert "amount" not in data
    assert (data["oriCheckoutId"], data["oriTransIndexCode"]) == (paid["checkoutId"], paid["transIndexCode"])
    assert data["checkoutId"] != paid["checkoutId"]


def test_a_refusal_has_a_checkout_id_that_leads_nowhere(till: RealTill) -> None:
    envelope = till.pay("03", "7.61")

    assert refused(envelope) == "insufficient funds"
    assert envelope["data"]["amount"] == "761"
    assert refused(till.void(envelope["data"]["checkoutId"])) == "original transaction not found"


# ---- Activation ------------------------------------------------------------------------------------------


def test_an_inactive_card_pays_nothing_until_it_is_activated(sandbox: Sandbox, till: RealTill) -> None:
    assert till.holds("01") == (0, 0)
    assert refused(till.top_up("01", "5.00")) == "card not active"
    assert refused(till.issue("01", "5")) == "card not active"

    till.ask("giftActivate", "01")

    done(till.top_up("01", "5.00"))
    done(till.pay("01", "1.00"))
    assert till.holds("01") == (4, 0)
    assert moved(sandbox) == [("activate", None), ("top_up", 500), ("pay", 100)]


def test_activating_twice_is_one_activation(sandbox: Sandbox, till: RealTill) -> None:
    first, second = till.ask("giftActivate", "01"), till.ask("giftActivate", "01")

    assert first["data"] == second["data"]
    (effect,) = sandbox.effects()
    assert (effect["verb"], effect["subject"], effect["reference"]) == ("activate", number("01"), None)


def test_activating_n_keeps_the_customer_and_leaves_the_card_as_it_is(sandbox: Sandbox, till: RealTill) -> None:
    envelope = till.ask("giftActivate", "01", activating="N", customerInfo={"firstName": "Eve"})

    assert envelope["data"]["customerInfo"]["firstName"] == "Eve"
    assert refused(till.top_up("01", "5.00")) == "card not active"
    assert sandbox.effects() == []


def test_a_top_up_activates_only_when_it_is_told_to(sandbox: Sandbox, till: RealTill) -> None:
    assert refused(till.top_up("01", "5.00", activating="N")) == "card not active"

    checkout_id = done(till.top_up("01", "5.00", activating="Y"))["checkoutId"]

    activate, top_up = sandbox.effects()
    assert (activate["verb"], activate["reference"]) == ("activate", None)
    assert activate["provider_reference"] == top_up["provider_reference"] == checkout_id
    assert till.holds("01") == (5, 0)


@pytest.mark.parametrize("operation", ["giftActivate", "giftIssuance"])
def test_customer_fields_that_are_given_replace_the_known_ones(till: RealTill, operation: str) -> None:
    amount = {"amount": "1.00"} if operation == "giftIssuance" else {}
    till.ask(operation, "15", customerInfo={"lastName": "Şahin", "city": ""}, **amount)

    customer = till.card("15")["customerInfo"]

    assert (customer["firstName"], customer["lastName"], customer["city"]) == ("Jon1", "Şahin", "")


def test_a_refused_top_up_changes_no_customer(till: RealTill) -> None:
    refused(till.top_up("05", "1.00", customerInfo={"firstName": "Eve"}))

    assert till.card("05")["customerInfo"]["firstName"] == ""


# ---- Money -----------------------------------------------------------------------------------------------


def test_a_payment_takes_the_last_cent_and_not_one_more(till: RealTill) -> None:
    assert refused(till.pay("03", "7.61")) == "insufficient funds"
    done(till.pay("03", "7.60", nsfAllowed=False))

    assert till.holds("03") == (0, 0)
    assert refused(till.pay("03", "0.01")) == "insufficient funds"


def test_a_top_up_needs_no_currency_but_never_another_one(till: RealTill) -> None:
    done(till.top_up("02", "5.00"))
    done(till.top_up("02", "5.00", tranCurrency="USD"))

    assert till.top_up("02", "5.00", tranCurrency="CAD")["code"] == 400
    assert till.ask("giftIssuance", "02")["msg"] == "amount is missing"
    assert till.holds("02") == (10, 0)


def test_a_movement_is_journalled_with_both_references(sandbox: Sandbox, till: RealTill) -> None:
    checkout_id = till.paid("00", "10.50", tranOrderNo="Basket7")

    (effect,) = sandbox.effects()

    assert {name: effect[name] for name in effect if name not in ("seq", "at")} == {
        "provider": "paywizard",
        "verb": "pay",
        "subject": number("00"),
        "reference": "Basket7",
        "provider_reference": checkout_id,
        "amount": 1050,
        "currency": "USD",
        "points": None,
    }


# ---- Voids -----------------------------------------------------------------------------------------------


def test_a_payment_and_a_top_up_are_voided_once(sandbox: Sandbox, till: RealTill) -> None:
    payment, top_up = till.paid("00", "10.50"), done(till.top_up("00", "5.00"))["checkoutId"]

    voids = [done(till.void(payment))["checkoutId"], done(till.void(top_up, amount="5.00"))["checkoutId"]]

    assert till.holds("00") == (30.1, 53)
    assert refused(till.void(payment)) == "original transaction already voided"
    told = [each for each in sandbox.effects() if each["verb"] == "void"]
    assert [(each["provider_reference"], each["original"], each["amount"]) for each in told] == [
        (voids[0], payment, 1050),
        (voids[1], top_up, 500),
    ]


@pytest.mark.parametrize("amount", ["10.49", "10.51"])
def test_a_part_is_not_voided(till: RealTill, amount: str) -> None:
    payment = till.paid("00", "10.50")

    assert refused(till.void(payment, amount=amount)) == "amount differs from the original transaction"
    assert till.holds("00") == (19.6, 53)


def test_our_own_order_number_voids_nothing(till: RealTill) -> None:
    till.pay("00", "10.50", tranOrderNo="Basket8")

    assert refused(till.void("Basket8")) == "original transaction not found"


@pytest.mark.parametrize("operation", ["loyaltyIssuance", "loyaltyRedemption", "giftVoid", "giftTip"])
def test_nothing_but_payments_and_top_ups_is_voided(till: RealTill, operation: str) -> None:
    fields = {"oriOrderNo": till.paid("00", "1.00"), "amount": "1" if "loyalty" in operation else "1.00"}
    if "loyalty" in operation:
        del fields["oriOrderNo"]
    checkout_id = done(till.ask(operation, "00", **fields))["checkoutId"]

    assert refused(till.void(checkout_id)) == "original transaction cannot be voided"


def test_a_payment_with_a_tip_is_not_voided(till: RealTill) -> None:
    payment = till.paid("00", "10.00")
    done(till.tip("00", payment, "2.00"))

    assert refused(till.void(payment)) == "original transaction has a tip"
    assert till.holds("00") == (18.1, 53)


def test_a_top_up_that_was_spent_is_not_voided(till: RealTill) -> None:
    top_up = done(till.top_up("02", "5.00"))["checkoutId"]
    till.paid("02", "0.01")

    assert refused(till.void(top_up)) == "insufficient funds"
    assert till.holds("02") == (4.99, 0)


def test_a_voided_top_up_leaves_the_card_active(till: RealTill) -> None:
    done(till.void(done(till.top_up("01", "5.00", activating="Y"))["checkoutId"]))

    done(till.top_up("01", "5.00"))


def test_what_settles_at_once_is_not_voided(till: RealTill) -> None:
    assert refused(till.void(till.paid("17", "1.00"))) == "original transaction already settled"


def test_the_documents_own_payments_are_voided_and_tipped(till: RealTill) -> None:
    done(till.void(VOIDABLE, loyaltyChannel="FACTOR4"))
    done(till.tip("15", TIPPABLE, "2.00", loyaltyChannel=None))

    assert till.holds("15") == (1542.6, 53)


# ---- Tips ------------------------------------------------------------------------------------------------


def test_a_tip_is_taken_beside_the_payment(sandbox: Sandbox, till: RealTill) -> None:
    payment = till.paid("00", "10.00")
    first, second = (done(till.tip("00", payment, amount))["checkoutId"] for amount in ("2.00", "0.50"))

    assert first != second
    assert till.holds("00") == (17.6, 53)
    assert [(each["verb"], each.get("original")) for each in sandbox.effects()] == [
        ("pay", None),
        ("tip", payment),
        ("tip", payment),
    ]


def test_a_tip_beyond_the_balance_is_refused_and_the_payment_stands(till: RealTill) -> None:
    payment = till.paid("03", "7.00")

    assert refused(till.tip("03", payment, "0.61")) == "insufficient funds"
    assert till.holds("03") == (0.6, 0)


def test_a_tip_needs_a_completed_payment_of_the_same_card(till: RealTill) -> None:
    payment, top_up = till.paid("00", "1.00"), done(till.top_up("00", "1.00"))["checkoutId"]
    pending = till.pay("16", "1.00")["data"]["checkoutId"]

    assert refused(till.tip("15", payment, "1.00")) == "original transaction is of another card"
    assert refused(till.tip("00", top_up, "1.00")) == "original transaction is not a payment"
    assert refused(till.tip("16", pending, "1.00")) == "original transaction not completed"
    assert refused(till.tip("00", "933392815902294999", "1.00")) == "original transaction not found"
    done(till.void(payment))
    assert refused(till.tip("00", payment, "1.00")) == "original transaction already voided"


# ---- Points ----------------------------------------------------------------------------------------------


def test_points_move_apart_from_money_and_never_below_zero(sandbox: Sandbox, till: RealTill) -> None:
    done(till.issue("00", "100"))
    assert refused(till.redeem("00", "154")) == "insufficient points"
    done(till.redeem("00", "153"))

    assert till.holds("00") == (30.1, 0)
    assert [(each["verb"], each["points"], each["amount"], each["currency"]) for each in sandbox.effects()] == [
        ("issue_points", 100, None, None),
        ("redeem_points", 153, None, None),
    ]


# ---- Order numbers ---------------------------------------------------------------------------------------


def test_a_repeated_order_number_is_done_again(sandbox: Sandbox, till: RealTill) -> None:
    first, second = (till.paid("00", "10.00", tranOrderNo="again") for _ in range(2))

    assert first != second
    assert till.holds("00") == (10.1, 53)
    assert [each["reference"] for each in sandbox.effects()] == ["again", "again"]


@pytest.mark.parametrize("end", ["18", str(PLAIN_NO_REPEATS[0])])
def test_a_card_that_minds_refuses_a_repeated_order_number(sandbox: Sandbox, till: RealTill, end: str) -> None:
    payment = till.paid(end, "10.00", tranOrderNo="again")

    repeats = [
        till.pay(end, "10.00", tranOrderNo="again"),
        till.issue(end, "1", tranOrderNo="again"),
        till.void(payment, tranOrderNo="again"),
    ]

    assert [(each["code"], each["msg"], each["data"]) for each in repeats] == [(409, "duplicate order", None)] * 3
    assert moved(sandbox) == [("pay", 1000)]


def test_a_refused_order_number_may_be_used_again(till: RealTill) -> None:
    assert refused(till.pay("18", "50.01", tranOrderNo="again")) == "insufficient funds"

    done(till.pay("18", "50.00", tranOrderNo="again"))


# ---- Magic cards -----------------------------------------------------------------------------------------


def test_the_declining_card_says_success_and_does_nothing(sandbox: Sandbox, till: RealTill) -> None:
    for envelope in (till.top_up("05", "1.00"), till.pay("05", "1.00"), till.issue("05", "1"), till.redeem("05", "1")):
        assert refused(envelope) == "success"

    assert till.holds("05") == (50, 50)
    assert sandbox.effects() == []


@pytest.mark.parametrize(
    ("end", "odd"),
    [
        ("06", lambda data: "result" not in data and data["checkoutId"]),
        ("07", lambda data: data is None),
        ("08", lambda data: data["result"] == 7),
        ("10", lambda data: data["amount"] == "99999"),
        ("19", lambda data: data["result"] == "0"),
        ("20", lambda data: "checkoutId" not in data and data["result"] == 0),
    ],
)
def test_an_odd_answer_hides_that_it_is_done(sandbox: Sandbox, till: RealTill, end: str, odd: Any) -> None:
    envelope = till.pay(end, "1.00")

    assert (envelope["code"], envelope["msg"]) == (200, "success")
    assert odd(envelope["data"])
    assert moved(sandbox) == [("pay", 100)]


def test_an_unknown_code_comes_with_nothing_done(sandbox: Sandbox, till: RealTill) -> None:
    assert till.pay("09", "1.00")["code"] == 299
    assert till.ask("giftInquiry", "09")["code"] == 299
    assert sandbox.effects() == []


def test_odd_cards_are_told_oddly(till: RealTill) -> None:
    def money(end: str) -> list[Any]:
        return [each["amount"] for each in till.card(end)["balances"] if each["valueCode"] != "Points"]

    assert till.card("07") is None
    assert till.card("10")["accountId"] == number("00")
    assert money("11") == []
    assert [each["valueCode"] for each in till.card("12")["balances"]] == ["CAD", "Points"]
    assert money("21") == [50, 5]
    assert money("22") == ["30.10"]
    assert "<b>" in till.card("23")["customerInfo"]["firstName"]
    assert money("27") == [-5]


def test_the_canadian_card_is_paid_with_in_its_own_currency(sandbox: Sandbox, till: RealTill) -> None:
    assert till.pay("12", "1.00")["msg"] == "tranCurrency must be the card's, CAD"

    done(till.pay("12", "1.00", tranCurrency="CAD"))

    assert sandbox.effects()[0]["currency"] == "CAD"


def test_the_full_customer_has_no_empty_field(till: RealTill) -> None:
    assert all(till.card("04")["customerInfo"].values())


@pytest.mark.parametrize(("end", "status"), [("24", 404), ("25", 429), ("26", 503), ("28", 401), ("29", 200)])
def test_trouble_can_be_said_in_http(sandbox: Sandbox, till: RealTill, end: str, status: int) -> None:
    body = LOOK_UP.replace(number("15"), number(end)).encode()

    answer = till.signed("giftInquiry", body)

    assert answer.status == status
    assert sandbox.effects() == []
    if status == 200:
        assert answer.json["code"] == 403
    if status == 429:
        assert (answer.headers["Retry-After"], answer.json["code"]) == ("30", 429)


def test_the_load_cards_are_all_there_and_plain(till: RealTill) -> None:
    for each in (PLAIN[0], PLAIN[-1], PLAIN_NO_REPEATS[-1]):
        assert till.holds(str(each)) == (10_000, 10_000)
    assert (len(PLAIN), len(PLAIN_NO_REPEATS)) == (1000, 1000)
    assert not {card.number for card in CARDS} & {str(each) for each in (*PLAIN, *PLAIN_NO_REPEATS)}


def test_no_two_cards_share_a_number_and_all_can_be_found() -> None:
    assert len({card.number for card in CARDS}) == len(CARDS)
    assert all(find(card.number) is card and re.fullmatch("[0-9]{15}", card.number) for card in CARDS)


def test_calls_are_counted_by_card_and_no_secret_is_kept(sandbox: Sandbox, till: RealTill) -> None:
    till.holds("00")
    till.pay("00", "999.00")
    till.void(VOIDABLE)
    till.signed("giftInquiry", b'{"accountId": "canary-7731"}')
    till.signed("giftInquiry", b"canary-7731")

    assert sandbox.ask("GET", "/_sandbox/calls").json["paywizard"] == {
        "total": 5,
        "by_subject": {number("00"): 2, VOIDABLE: 1, "nobody": 2},
    }
    on_disk = b"".join(file.read_bytes() for file in sandbox.store.iterdir())
    for secret in (b"canary", TOKEN.encode(), SECRET.encode()):
        assert secret not in on_disk


# ---- Faults in this provider's words ---------------------------------------------------------------------


def test_refuse_is_result_1_where_there_is_a_result(sandbox: Sandbox, till: RealTill) -> None:
    sandbox.arm("refuse", provider="paywizard", times=2)

    assert refused(till.pay("00", "1.00")) == "refused"
    assert till.ask("giftInquiry", "00")["code"] == 422
    assert sandbox.effects() == []


def test_refuse_and_throttle_ask_for_no_signature(sandbox: Sandbox, till: RealTill) -> None:
    sandbox.arm("refuse", provider="paywizard")
    sandbox.arm("throttle", provider="paywizard", seconds=7)

    assert refused(till.signed("giftTransaction", b"?", sign="").json) == "refused"
    throttled = till.signed("giftTransaction", b"?", sign="")
    assert (throttled.status, throttled.headers["Retry-After"], throttled.json["code"]) == (429, "7", 429)


def test_a_fault_meets_one_operation_by_its_path(sandbox: Sandbox, till: RealTill) -> None:
    sandbox.arm("error_after", provider="paywizard", path="/ovstrade/openLoyaltyPay/giftTransaction")

    assert till.ask("giftInquiry", "00")["code"] == 200
    assert till.signed("giftTransaction", PAYMENT.encode()).status == 500
    assert moved(sandbox) == [("pay", 1050)]


# ---- Pending and settled: time ---------------------------------------------------------------------------


class TimedTill(Till):
    """The same application in this process, with a clock that we move and a line that takes no time."""

    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self.line = Listener()
        self.store = Store(folder, tables=PAYWIZARD.tables, stock=PAYWIZARD.stock)
        board = Switchboard(store=self.store, clock=lambda: self.now)
        self.client = application([PAYWIZARD], board, lenient_clock=False).test_client()

    def send(self, operation: str, body: bytes, headers: dict[str, str]) -> Answer:
        answer = self.client.post(
            path_of(operation), data=body, headers=headers, environ_overrides={LINE: self.line}, buffered=True
        )
        return Answer(answer.status_code, answer.headers, answer.data)

    def effects(self) -> list[Any]:
        return [json.loads(line) for line in self.client.get("/_sandbox/effects").text.splitlines()]


@pytest.fixture
def timed(tmp_path: Path) -> Iterator[TimedTill]:
    timed = TimedTill(tmp_path)
    yield timed
    timed.store.close()


def test_a_pending_payment_may_be_done_already(timed: TimedTill) -> None:
    data = timed.pay("13", "10.00")["data"]

    assert data["result"] == 2
    assert [each["provider_reference"] for each in timed.effects()] == [data["checkoutId"]]
    assert timed.holds("13") == (40, 50)


def test_a_pending_payment_is_done_two_seconds_later_and_not_before(timed: TimedTill) -> None:
    data = timed.pay("14", "10.00")["data"]
    timed.now += timedelta(seconds=1.9)
    assert (data["result"], timed.holds("14"), timed.effects()) == (2, (50, 50), [])

    timed.now += timedelta(seconds=3)

    (effect,) = timed.effects()
    assert datetime.fromisoformat(effect["at"]) == NOON + timedelta(seconds=2)
    assert effect["provider_reference"] == data["checkoutId"]
    assert timed.holds("14") == (40, 50)
    assert len(timed.effects()) == 1


def test_the_first_to_look_at_the_card_finds_it_done_too(timed: TimedTill) -> None:
    timed.pay("14", "10.00")
    timed.now += timedelta(seconds=2)

    assert timed.holds("14") == (40, 50)


def test_a_pending_payment_may_be_refused_later(timed: TimedTill) -> None:
    data = timed.pay("16", "10.00")["data"]
    timed.now += timedelta(hours=1)

    assert (data["result"], timed.holds("16"), timed.effects()) == (2, (50, 50), [])
    assert refused(timed.void(data["checkoutId"])) == "original transaction not completed"


def test_pending_payments_beyond_the_balance_are_refused_when_they_are_due(timed: TimedTill) -> None:
    for _ in range(3):
        assert timed.pay("14", "20.00")["data"]["result"] == 2
    timed.now += timedelta(seconds=2)

    assert timed.holds("14") == (10, 50)
    assert len(timed.effects()) == 2


def test_two_pending_voids_undo_one_payment_once(timed: TimedTill) -> None:
    payment = timed.pay("14", "10.00")["data"]["checkoutId"]
    timed.now += timedelta(seconds=2)
    for _ in range(2):
        assert timed.void(payment)["data"]["result"] == 2
    timed.now += timedelta(seconds=2)

    assert timed.holds("14") == (50, 50)
    assert [each["verb"] for each in timed.effects()] == ["pay", "void"]


def test_a_reset_forgets_what_is_pending(timed: TimedTill) -> None:
    timed.pay("14", "10.00")
    timed.store.reset()
    timed.now += timedelta(seconds=2)

    assert (timed.holds("14"), timed.effects()) == ((50, 50), [])


def test_a_pending_payment_is_done_by_the_real_clock(sandbox: Sandbox, till: RealTill) -> None:
    till.pay("14", "10.00")
    assert sandbox.effects() == []

    until(sandbox.effects)

    assert till.holds("14") == (40, 50)


def test_a_payment_is_voided_within_24_hours_and_tipped_at_any_time(timed: TimedTill) -> None:
    early, late = timed.paid("00", "1.00"), timed.paid("00", "1.00")
    timed.now += timedelta(hours=24) - timedelta(seconds=1)
    done(timed.void(early))
    timed.now += timedelta(seconds=1)

    assert refused(timed.void(late)) == "original transaction already settled"
    done(timed.tip("00", late, "1.00"))
