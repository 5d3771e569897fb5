"""PayWizard: how a request is signed and written, and what an answer of any shape is taken for."""

import hmac
import json
from contextlib import suppress
from dataclasses import fields, replace
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portal.connectors import connect
from portal.connectors.base import (
    MOVES_VALUE,
    ActivateRequest,
    BadNumber,
    Balance,
    BalanceRequest,
    CardStatus,
    CustomerDetails,
    Declined,
    Extra,
    Failure,
    Misconfigured,
    PayRequest,
    PointsRequest,
    Reason,
    Receipt,
    SettingsError,
    Settles,
    TipRequest,
    TopUpRequest,
    Unclear,
    VoidRequest,
)
from portal.connectors.http import HttpAnswer
from portal.connectors.paywizard import OPERATIONS, Entry, PayWizard, signature
from portal.connectors.paywizard_answers import read_activation, read_inquiry, read_transaction
from portal.connectors.paywizard_customers import UNKNOWN_HERE, WIRE_NAMES, Unfit, customer_fields, read_customer
from portal.connectors.strict_json import read_json
from portal.money import HARD_CAP, Money, Points
from tests.connectors.servers import answering, response

# The first text of a fresh checkout takes Hypothesis a second: it prepares its tables of characters.
PATIENT: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

NUMBER, TOKEN = "914639258868515", "DEMO0TOKEN0DEMO0TOKEN0DEMO0TOKEN"
CLIENT_ID, SECRET = "825429536610058240", "9fb645400aabaa33ee0e423405d8c676"  # of the published guide's sample
ORDER, ORIGINAL, CHECKOUT = "20250401123534801", "927994263952818176", "933392815902294016"
AMOUNT = Money(1050, "USD")
POINTS = PointsRequest(number=NUMBER, points=Points(100), reference=ORDER)
REQUESTS: dict[str, Any] = {
    "balance": BalanceRequest(number=NUMBER),
    "activate": ActivateRequest(number=NUMBER, reference=ORDER),
    "top_up": TopUpRequest(number=NUMBER, amount=AMOUNT, reference=ORDER),
    "pay": PayRequest(number=NUMBER, amount=AMOUNT, reference=ORDER),
    "void": VoidRequest(original=ORIGINAL, number=NUMBER, amount=AMOUNT, reference=ORDER),
    "tip": TipRequest(original=ORIGINAL, number=NUMBER, amount=Money(200, "USD"), reference=ORDER),
    "issue_points": POINTS,
    "redeem_points": POINTS,
}
MOVERS = sorted(MOVES_VALUE & PayWizard.supports())
TRANSACTIONS = [verb for verb in MOVERS if verb != "activate"]
DONE = {
    "mid": "202507081058",
    "paywizardId": "10020000080",
    "checkoutId": CHECKOUT,
    "transIndexCode": "100200000807293844967",
    "amount": "10000",
    "result": 0,
}
BALANCES = [
    {"valueCode": "USD", "amount": 1534.1, "difference": 0},
    {"valueCode": "Points", "amount": 53, "difference": 0},
]
CARD = {"accountId": NUMBER, "balances": BALANCES, "customerInfo": {}}


def envelope(data=None, *, code=200, msg="success", status=200, headers=None, **more):
    """A PayWizard answer."""
    body = {"code": code, "msg": msg, "timestamp": "2025-07-24 15:34:05", "data": data, **more}
    return response(json.dumps(body).encode(), status=status, headers=headers)


def good(verb):
    return envelope(CARD if verb in {"balance", "activate"} else DONE)


@pytest.fixture
def provider(serve, wire_to, exchanges):
    """A PayWizard server whose answer a test sets, and a connection to it."""

    class Provider:
        def __init__(self):
            self.server = serve(answering(response()))
            self.wire = wire_to(self.server)

        def asked(self, verb, answer=None, **more):
            self.server.manners = answering(good(verb) if answer is None else answer)
            self.wire._lines.close()  # or the kept connection would answer in the old manner
            values = {"base_url": self.server.origin, "client_id": CLIENT_ID, "client_secret": SECRET, "token": TOKEN}
            given = {name: more.pop(name) for name in list(more) if hasattr(REQUESTS[verb], name)}
            connector = connect("paywizard", values | more, wire=self.wire, on_exchange=exchanges.append)
            return getattr(connector, verb)(replace(REQUESTS[verb], **given))

        def failure(self, verb, answer=None, **more):
            with pytest.raises(Failure) as caught:
                self.asked(verb, answer, **more)
            return caught.value

        def refused_unsent(self, verb, **more):
            failure = self.failure(verb, **more)
            return (type(failure), failure.reason, self.server.connections) == (Declined, Reason.BAD_INPUT, 0)

        @property
        def sent(self):
            head, _, body = self.server.requests[-1].partition(b"\r\n\r\n")
            line, *fields = head.decode().split("\r\n")
            return line, dict(field.split(": ", 1) for field in fields), body

        def fields(self, verb, **more):
            self.asked(verb, **more)
            return json.loads(self.sent[2])

    return Provider()


# ---- Signing -----------------------------------------------------------------------------------------------

GUIDE_BODY = b'{\r\n    "clientId": "825420368247390208",\r\n    "pushId":"942783670425616384"\r\n}'
BODY_B = (
    b'{"clientId":"client12345","merchantId":"10800000003","posId":"D31231234567890",'
    b'"terminalId":"12345678","terminalSn":"WP123987987897"}'
)
BODY_C = b'{"clientId":"825429536610058240","loyaltyChannel":"FACTOR4","accountId":"914639258868515","entryType":"K"}'
BODY_D = (
    b'{"clientId":"825429536610058240","tranOrderNo":"20250401123534801","loyaltyChannel":"FACTOR4",'
    b'"amount":"10.50","tranCurrency":"USD","accountId":"914639258868515","entryType":"K"}'
)
SIGN_C = "93441e746097e9a5a8c575e175c83bf529b2b1e379dff0d34db252cf27820d0b"
SIGN_D = "6d59eaa775e97f21e9793277186bd76962a0c565adbe1f7c827327fda77a24cd"


@pytest.mark.parametrize(
    ("client_id", "body", "sign"),
    [
        pytest.param(
            "825420368247390208",
            GUIDE_BODY,
            "57ba54072ed2aaa4b2905c41e7c91fd1395ef8f6f76e6e7cdbefe7a88437de6c",
            id="published",
        ),
        pytest.param(
            "825420368247390208",
            GUIDE_BODY.replace(b"\r\n", b"\n"),
            "edb08a9773be7c96dac07a988f84ec772b775214b4ad0c9badcf5aea06aa80ce",
            id="published with other line ends",
        ),
        pytest.param(
            "825420368247390208",
            b'{"clientId":"825420368247390208","pushId":"942783670425616384"}',
            "fb5264002178c1d3e39124cfca7a432b552651842b154381eac23f31ad77138c",
            id="published, compact",
        ),
        pytest.param("client12345", BODY_B, "78b9b617d2e60c54bba722cb5dcaf6be6999f3a7552bfce274280be0009049c5", id="B"),
        pytest.param(CLIENT_ID, BODY_C, SIGN_C, id="C"),
        pytest.param(CLIENT_ID, BODY_D, SIGN_D, id="D"),
    ],
)
def test_a_body_has_the_signature_of_its_bytes(client_id, body, sign):
    assert signature(body, client_id=client_id, client_secret=SECRET) == sign


def test_not_even_a_line_break_at_the_end_may_differ():
    signs = {signature(body, client_id=CLIENT_ID, client_secret=SECRET) for body in (BODY_C, BODY_C + b"\n")}

    assert len(signs) == 2


WRONG = {
    "plain SHA-256": "b360024e9e395a47a63734ac0937aedadcc5f921f89ad310d4b077c7e5e30ccb",
    "the secret read as hexadecimal": "c68b7493d7f916374db9ad27a372112899a448a285f223275e38b18481d8ffb6",
    "the body alone": "d2cfd6d15a6dc24626a15b42ce511f7f2ddea6ad7a2884da2df1733e30a3833f",
}


def test_the_wrong_ways_to_sign_are_wrong():
    tail = f"&clientId={CLIENT_ID}&clientSecret={SECRET}".encode()
    tempting = {
        "plain SHA-256": sha256(BODY_C + tail).hexdigest(),
        "the secret read as hexadecimal": hmac.new(bytes.fromhex(SECRET), BODY_C + tail, sha256).hexdigest(),
        "the body alone": hmac.new(SECRET.encode(), BODY_C, sha256).hexdigest(),
    }

    assert tempting == WRONG
    assert signature(BODY_C, client_id=CLIENT_ID, client_secret=SECRET) not in WRONG.values()


def test_a_look_up_and_a_payment_are_the_vectors_byte_for_byte(provider):
    provider.asked("balance")
    look_up = provider.sent
    provider.asked("pay")
    payment = provider.sent

    assert (look_up[2], look_up[1]["sign"]) == (BODY_C, SIGN_C)
    assert (payment[2], payment[1]["sign"]) == (BODY_D, SIGN_D)


# ---- What is sent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", REQUESTS)
def test_every_call_is_one_signed_post(provider, verb):
    provider.asked(verb)

    line, headers, body = provider.sent
    assert line == f"POST /ovstrade/openLoyaltyPay/{OPERATIONS[verb]} HTTP/1.1"
    assert headers["Content-Type"] == "application/json"
    assert headers["jwt-token"] == TOKEN
    assert headers["sign"] == signature(body, client_id=CLIENT_ID, client_secret=SECRET)
    assert "Authorization" not in headers
    assert body == json.dumps(json.loads(body), separators=(",", ":")).encode()
    assert len(provider.server.requests) == 1


@pytest.mark.parametrize("verb", REQUESTS)
def test_the_same_request_gives_the_same_bytes(provider, verb):
    provider.asked(verb)
    provider.asked(verb)

    first, second = provider.server.requests
    assert first == second


HEAD = {"clientId": CLIENT_ID, "loyaltyChannel": "FACTOR4", "accountId": NUMBER, "entryType": "K"}


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("balance", HEAD),
        ("activate", HEAD | {"activating": "Y"}),
        ("top_up", HEAD | {"tranOrderNo": ORDER, "amount": "10.50", "tranCurrency": "USD"}),
        ("pay", HEAD | {"tranOrderNo": ORDER, "amount": "10.50", "tranCurrency": "USD"}),
        ("void", {"clientId": CLIENT_ID, "tranOrderNo": ORDER, "oriOrderNo": ORIGINAL, "amount": "10.50"}),
        (
            "tip",
            HEAD | {"tranOrderNo": ORDER, "oriOrderNo": ORIGINAL, "amount": "2.00", "tranCurrency": "USD"},
        ),
        ("issue_points", HEAD | {"tranOrderNo": ORDER, "amount": "100"}),
        ("redeem_points", HEAD | {"tranOrderNo": ORDER, "amount": "100"}),
    ],
)
def test_each_operation_has_its_fields_and_no_others(provider, verb, body):
    assert provider.fields(verb) == body


@pytest.mark.parametrize(
    ("verb", "setting", "field"),
    [
        ("void", "amount_on_void", "amount"),
        ("top_up", "currency_on_top_up", "tranCurrency"),
        ("tip", "channel_on_tip", "loyaltyChannel"),
    ],
)
def test_what_the_documents_disagree_about_is_a_setting(provider, verb, setting, field):
    assert field in provider.fields(verb)
    assert field not in provider.fields(verb, **{setting: False})


@pytest.mark.parametrize(
    ("minor", "text"), [(1, "0.01"), (5, "0.05"), (50, "0.50"), (1050, "10.50"), (100000, "1000.00")]
)
def test_money_is_a_text_with_two_decimals(provider, minor, text):
    assert provider.fields("pay", amount=Money(minor, "USD"))["amount"] == text


@pytest.mark.parametrize("verb", ["issue_points", "redeem_points"])
@pytest.mark.parametrize("count", [1, 100, HARD_CAP])
def test_points_are_a_text_of_a_whole_number_without_a_currency(provider, verb, count):
    sent = provider.fields(verb, points=Points(count))

    assert sent["amount"] == str(count)
    assert "tranCurrency" not in sent


def test_a_top_up_activates_only_where_asked_to(provider):
    assert "activating" not in provider.fields("top_up")
    assert provider.fields("top_up", activate=True)["activating"] == "Y"


@pytest.mark.parametrize("verb", sorted(REQUESTS.keys() - {"void"}))
@pytest.mark.parametrize("entry", ["B", "K", "M", "P"])
def test_how_the_number_was_read_goes_along(provider, verb, entry):
    assert provider.fields(verb, extra=Entry(entry_type=entry))["entryType"] == entry


def test_the_channel_and_the_currency_are_settings(provider):
    sent = provider.fields("pay", loyalty_channel="OTHER", currency="CAD", amount=Money(1050, "CAD"))

    assert (sent["loyaltyChannel"], sent["tranCurrency"]) == ("OTHER", "CAD")


# ---- What is not sent --------------------------------------------------------------------------------------

REFERENCED = [verb for verb in REQUESTS if verb not in {"balance", "activate"}]


@pytest.mark.parametrize("verb", REFERENCED)
@pytest.mark.parametrize("reference", ["", "a" * 33, "0198c5a2-e7c0-7b3e", "a b", "a\n", "ä", "１２３", "a_b"])
def test_an_order_number_that_cannot_be_one_is_not_sent(provider, verb, reference):
    assert provider.refused_unsent(verb, reference=reference)


@pytest.mark.parametrize("reference", ["a", "Z" * 32, "0198c5a2e7c07b3e9f5f2b1c4d6e8f90"])
def test_an_order_number_is_sent_as_it_is(provider, reference):
    assert provider.fields("pay", reference=reference)["tranOrderNo"] == reference


@pytest.mark.parametrize("verb", ["void", "tip"])
@pytest.mark.parametrize("original", ["", "a" * 65, "a b", 'a"', "ä", "9\n", ORDER])
def test_an_original_that_is_no_checkout_id_is_not_sent(provider, verb, original):
    assert provider.refused_unsent(verb, original=original)


@pytest.mark.parametrize("verb", ["top_up", "pay", "void", "tip"])
@pytest.mark.parametrize("money", [Money(1050, "CAD"), Money(1050, "EUR"), Money(1050, "JPY")])
def test_money_in_another_currency_is_not_sent(provider, verb, money):
    assert provider.refused_unsent(verb, amount=money)


@pytest.mark.parametrize("verb", sorted(REQUESTS.keys() - {"void"}))
@pytest.mark.parametrize("number", ["", "123", "x" * 41, "1234/5", "1234?5", '1234"', "٤٢٦٠٤", "1234\0"])
def test_a_number_that_cannot_be_one_is_not_sent(provider, verb, number):
    assert provider.refused_unsent(verb, number=number)


@pytest.mark.parametrize("extra", [Entry(entry_type="W"), Entry(entry_type="KB"), Extra()])
@pytest.mark.parametrize("verb", REQUESTS)
def test_an_undocumented_way_to_read_a_number_is_not_sent(provider, verb, extra):
    assert provider.refused_unsent(verb, extra=extra)


def test_a_void_does_not_say_how_a_card_was_read(provider):
    assert provider.refused_unsent("void", extra=Entry())


# ---- Customers ---------------------------------------------------------------------------------------------

AVA = CustomerDetails(
    holder="giver",
    first_name="Ava",
    middle_name="Quill",
    last_name="Größe",
    address1="12 Example Street",
    address2="Apartment 3",
    city="Springfield",
    state="IL",
    postal="62701",
    country="US",
    phone="+001 217 555 0142 x0007",
    email="ava.testperson@example.com",
    birthday="1984-02-29",
    anniversary="2010-06-12",
    gender="F",
    phone_is_mobile="yes",
    wants_letters="yes",
    wants_calls="no",
    wants_mails="no",
)
AVA_SENT = {
    "customerType": "3",
    "firstName": "Ava",
    "middleName": "Quill",
    "lastName": "Größe",
    "address1": "12 Example Street",
    "address2": "Apartment 3",
    "city": "Springfield",
    "state": "IL",
    "postal": "62701",
    "country": "US",
    "mailPref": "I",
    "phone": "+001 217 555 0142 x0007",
    "isMobile": "Y",
    "phonePref": "O",
    "email": "ava.testperson@example.com",
    "emailPref": "O",
    "birthday": "19840229",
    "anniversary": "20100612",
    "gender": "F",
}


@pytest.mark.parametrize("verb", ["activate", "top_up"])
def test_a_customer_goes_along_in_the_provider_s_words(provider, verb):
    assert provider.fields(verb, customer=AVA)["customerInfo"] == AVA_SENT
    assert "Größe".encode() in provider.sent[2]


@pytest.mark.parametrize("verb", ["activate", "top_up"])
def test_what_is_not_known_of_a_customer_is_not_sent(provider, verb):
    assert provider.fields(verb, customer=CustomerDetails(email="a@b.example"))["customerInfo"] == {
        "email": "a@b.example"
    }
    assert "customerInfo" not in provider.fields(verb, customer=CustomerDetails())
    assert "customerInfo" not in provider.fields(verb, customer=None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_name": "x" * 101},
        {"first_name": "a\nb"},
        {"first_name": "a\0"},
        {"last_name": "\ud800"},
        {"last_name": "\u202eavA"},
        {"city": 5},
        {"country": "us"},
        {"country": "USA"},
        {"birthday": "29.02.1984"},
        {"birthday": "1983-02-29"},
        {"birthday": "19840229"},
        {"anniversary": "2010-6-1"},
        {"anniversary": "２０１０-06-12"},
        {"holder": "1"},
        {"phone_is_mobile": "Y"},
        {"wants_mails": "maybe"},
    ],
    ids=ascii,
)
def test_a_detail_that_cannot_be_sent_sends_nothing(provider, wrong):
    assert provider.refused_unsent("top_up", customer=CustomerDetails(**wrong))
    with pytest.raises(Unfit):
        customer_fields(CustomerDetails(**wrong))


def test_every_detail_has_its_own_word():
    assert WIRE_NAMES.keys() | UNKNOWN_HERE == {each.name for each in fields(CustomerDetails)}
    assert len(set(WIRE_NAMES.values())) == len(WIRE_NAMES) == 19


def test_a_look_up_tells_whose_card_it_is(provider):
    reading = provider.asked("balance", envelope(CARD | {"customerInfo": AVA_SENT}))

    assert reading.customer == AVA
    assert "Ava" not in repr(reading)


@pytest.mark.parametrize("info", [None, {}, [], "Ava", 5, dict.fromkeys(AVA_SENT, ""), dict.fromkeys(AVA_SENT)])
def test_a_card_of_nobody_has_no_customer(provider, info):
    assert provider.asked("balance", envelope(CARD | {"customerInfo": info})).customer is None


def test_odd_details_are_left_out_and_never_hide_the_balance(provider):
    odd = {"firstName": "<b>Bo</b> & \u202e", "lastName": 5, "customerType": "9", "birthday": "soon", "isMobile": "y"}

    reading = provider.asked("balance", envelope(CARD | {"customerInfo": odd | {"email": "x" * 9999, "other": "y"}}))

    assert reading.customer == CustomerDetails(first_name="<b>Bo</b> &", email="x" * 100)
    assert reading.balances


@settings(**PATIENT)
@given(st.dictionaries(st.sampled_from(sorted(WIRE_NAMES.values())), st.text(max_size=12) | st.none() | st.integers()))
def test_any_customer_is_read_and_what_is_read_can_be_sent(info):
    read = read_customer(info, lambda text: text)

    if read is not None:
        with suppress(Unfit):  # a country may be any text there, not here
            assert customer_fields(read)["customerInfo"].keys() <= info.keys()


# ---- What is kept of a call --------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", REQUESTS)
def test_neither_card_nor_credentials_nor_customer_are_kept(provider, exchanges, verb):
    more = {"customer": AVA} if verb in {"activate", "top_up"} else {}
    provider.asked(verb, **more)
    private = [NUMBER, TOKEN, SECRET, provider.sent[1]["sign"]]
    private += [AVA.email, AVA.phone, AVA.last_name, "19840229", "1984-02-29"] if more else []

    answer = envelope({**DONE, **CARD, "customerInfo": AVA_SENT}, msg=" ".join(private))
    provider.asked(verb, answer, **more)

    recorded = repr(exchanges)
    for secret in (*private, AVA.email, AVA.phone, AVA.last_name, "19840229"):
        assert secret not in recorded
    assert CLIENT_ID in recorded
    assert OPERATIONS[verb] in recorded


def test_another_card_s_number_is_not_kept_either(provider, exchanges):
    provider.failure("balance", envelope(CARD | {"accountId": "914639258868500"}))

    assert "914639258868500" not in repr(exchanges)


@pytest.mark.parametrize("verb", MOVERS)
def test_a_receipt_keeps_the_answer_without_what_is_private(provider, exchanges, verb):
    data = {**DONE, **CARD, "customerInfo": AVA_SENT, "note": f"card {NUMBER}"}

    receipt = provider.asked(verb, envelope(data))

    assert receipt.raw == exchanges[-1].response_body
    assert json.loads(receipt.raw)["data"]["note"] == "card ‹number›"
    assert json.loads(receipt.raw)["data"]["amount"] == "10000"
    for private in (NUMBER, "Ava", "62701", "example.com"):
        assert private not in receipt.raw
    assert "10000" not in repr(receipt)


def test_what_the_provider_says_has_no_secrets(provider):
    failure = provider.failure("pay", envelope(DONE | {"result": 1}, msg=f"<b>no\0</b> {NUMBER} {TOKEN}" + "x" * 9999))

    assert failure.provider_text.startswith("<b>no</b> ‹number› ‹token›x")
    assert len(failure.provider_text) == 500


# ---- Done, and nothing else --------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", TRANSACTIONS)
def test_a_transaction_is_done_by_code_200_and_result_0_and_its_id(provider, verb):
    receipt = provider.asked(verb)

    assert (receipt.provider_reference, receipt.balances, receipt.lines) == (CHECKOUT, (), ())


def without(name, data=DONE):
    return {key: value for key, value in data.items() if key != name}


NOT_ZERO: list[object] = [None, "0", "", False, 0.0, [], {}, "success", "00"]
NO_DATA: list[object] = [None, [], [DONE], "", 0, {}]
NOT_200: list[object] = [None, "200", True, 200.0, "", [], "success"]


@pytest.mark.parametrize("verb", TRANSACTIONS)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(envelope(without("result")), Reason.UNREADABLE, id="no result"),
        *[pytest.param(envelope(DONE | {"result": r}), Reason.UNREADABLE, id=f"result {r!r}") for r in NOT_ZERO],
        *[pytest.param(envelope(DONE | {"result": r}), Reason.UNKNOWN_WORD, id=f"result {r}") for r in (-1, 3, 7, 200)],
        pytest.param(envelope(DONE | {"result": 2}), Reason.PENDING, id="result 2"),
        pytest.param(envelope(without("checkoutId")), Reason.UNREADABLE, id="no checkoutId"),
        *[
            pytest.param(envelope(DONE | {"checkoutId": c}), Reason.UNREADABLE, id=f"checkoutId {c!r:.9}")
            for c in (None, "", " ", 933392815902294016, "a b", "x" * 65, [CHECKOUT], "ä")
        ],
        *[pytest.param(envelope(d), Reason.UNREADABLE, id=f"data {d!r:.9}") for d in NO_DATA],
        *[pytest.param(envelope(DONE, code=c), Reason.UNREADABLE, id=f"code {c!r}") for c in NOT_200],
        pytest.param(response(json.dumps({"data": DONE}).encode()), Reason.UNREADABLE, id="no code"),
        pytest.param(response(json.dumps({"code": 200, **DONE}).encode()), Reason.UNREADABLE, id="no data"),
        pytest.param(response(json.dumps([{"code": 200, "data": DONE}]).encode()), Reason.UNREADABLE, id="list"),
        pytest.param(envelope(DONE, code=0), Reason.UNREADABLE, id="code 0"),
        pytest.param(envelope(DONE, code=201), Reason.UNREADABLE, id="code 201"),
        pytest.param(envelope(DONE, code=500), Reason.UNREADABLE, id="code 500"),
        *[
            pytest.param(envelope(DONE, status=s), Reason.UNREADABLE, id=f"HTTP {s}")
            for s in (400, 401, 404, 408, 409, 429)
        ],
        *[pytest.param(envelope(DONE, status=s), Reason.UNREADABLE, id=f"HTTP {s}") for s in (500, 502, 503)],
        pytest.param(envelope(DONE, status=302), Reason.REDIRECTED, id="HTTP 302"),
        pytest.param(good("pay")[:-5] + b"      ", Reason.UNREADABLE, id="cut"),
        pytest.param(
            response(json.dumps({"code": 200, "data": DONE})[:-1].encode() + b', "code": 200}'),
            Reason.UNREADABLE,
            id="code twice",
        ),
    ],
)
def test_an_answer_that_lacks_one_sign_is_no_receipt(provider, verb, answer, reason):
    failure = provider.failure(verb, answer)

    assert (type(failure), failure.reason) == (Unclear, reason)
    assert len(provider.server.requests) == 1


@pytest.mark.parametrize("verb", TRANSACTIONS)
def test_the_amount_in_the_answer_decides_nothing(provider, verb):
    echoes: list[object] = ["10000", "10.50", "-1", None, 5, []]
    for echoed in echoes:
        assert provider.asked(verb, envelope(DONE | {"amount": echoed})).provider_reference == CHECKOUT


@pytest.mark.parametrize("verb", ["void", "tip"])
def test_an_answer_about_another_original_is_a_mismatch(provider, verb):
    failure = provider.failure(verb, envelope(DONE | {"oriCheckoutId": "933358163137265664"}))

    assert (type(failure), failure.reason, failure.trace) == (Unclear, Reason.MISMATCH, CHECKOUT)


@pytest.mark.parametrize("echoed", [int(ORIGINAL), [ORIGINAL], True, f" {ORIGINAL}"])
def test_an_original_of_another_type_is_another_original(provider, echoed):
    assert provider.failure("void", envelope(DONE | {"oriCheckoutId": echoed})).reason is Reason.MISMATCH


@pytest.mark.parametrize("echoed", [ORIGINAL, None, ""])
def test_an_answer_about_our_original_or_about_none_is_ours(provider, echoed):
    assert provider.asked("void", envelope(DONE | {"oriCheckoutId": echoed})).provider_reference == CHECKOUT


def test_a_payment_that_names_an_original_is_not_ours(provider):
    assert provider.failure("pay", envelope(DONE | {"oriCheckoutId": ORIGINAL})).reason is Reason.MISMATCH


@pytest.mark.parametrize("result", [1, 2, 7, None])
def test_the_id_of_what_was_begun_is_kept_for_whoever_looks_into_it(provider, result):
    assert provider.failure("pay", envelope(DONE | {"result": result})).trace == CHECKOUT


def test_a_pending_payment_keeps_the_handle_a_later_void_needs(provider):
    assert provider.failure("pay", envelope(DONE | {"result": 2})).provider_reference == CHECKOUT


@pytest.mark.parametrize("answer", [{"result": 1}, {"result": 7}, {"result": 2, "oriCheckoutId": ORIGINAL}])
def test_no_handle_is_taken_from_an_answer_that_does_not_say_for_certain_what_it_is_about(provider, answer):
    assert provider.failure("pay", envelope(DONE | answer)).provider_reference == ""


# ---- Refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", TRANSACTIONS)
def test_result_1_is_a_refusal_even_if_it_says_success(provider, verb):
    failure = provider.failure(verb, envelope(DONE | {"result": 1}, msg="success"))

    assert (type(failure), failure.reason, failure.provider_text) == (Declined, Reason.REFUSED, "success")


@pytest.mark.parametrize(
    ("said", "kind", "reason"),
    [
        ("Insufficient Funds", Declined, Reason.NOT_ENOUGH),
        ("not enough points", Declined, Reason.NOT_ENOUGH),
        ("NSF", Declined, Reason.NOT_ENOUGH),
        ("card not found", Declined, Reason.CARD_UNKNOWN),
        ("Unknown account.", Declined, Reason.CARD_UNKNOWN),
        ("original transaction not found", Declined, Reason.ORIGINAL_UNKNOWN),
        ("Order not found", Declined, Reason.ORIGINAL_UNKNOWN),
        ("card not active", Declined, Reason.CARD_INACTIVE),
        ("Card is INACTIVE", Declined, Reason.CARD_INACTIVE),
        ("card expired", Declined, Reason.CARD_INACTIVE),
        ("original transaction already settled", Declined, Reason.TOO_LATE),
        ("transaction is unsettled", Declined, Reason.REFUSED),
        ("reactivated", Declined, Reason.REFUSED),
        ("transfer", Declined, Reason.REFUSED),
        ("jwt-token expired", Declined, Reason.REFUSED),
        ("gift card already used", Declined, Reason.REFUSED),
        ("", Declined, Reason.REFUSED),
        ("余额不足", Declined, Reason.REFUSED),
        ("Duplicate order", Unclear, Reason.DUPLICATE),
        ("tranOrderNo already exists", Unclear, Reason.DUPLICATE),
        ("order number already used", Unclear, Reason.DUPLICATE),
    ],
)
@pytest.mark.parametrize("how", ["result 1", "code 400", "code 422"])
def test_a_refusal_is_told_in_our_word_where_its_text_is_clear(provider, said, kind, reason, how):
    answer = envelope(DONE | {"result": 1}, msg=said) if how == "result 1" else envelope(code=int(how[5:]), msg=said)

    failure = provider.failure("pay", answer)

    assert (type(failure), failure.reason, failure.provider_text) == (kind, reason, said)


@pytest.mark.parametrize("message", [None, 5, [], {"text": "no"}])
def test_a_message_that_is_no_text_is_none(provider, message):
    failure = provider.failure("pay", envelope(DONE | {"result": 1}, msg=message))

    assert (failure.reason, failure.provider_text) == (Reason.REFUSED, "")


CODES = [
    (400, Declined, Reason.REFUSED),
    (401, Misconfigured, Reason.KEY_REFUSED),
    (403, Misconfigured, Reason.ACCESS_REFUSED),
    (404, Declined, Reason.CARD_UNKNOWN),
    (408, Unclear, Reason.SERVER_ERROR),
    (409, Unclear, Reason.DUPLICATE),
    (422, Declined, Reason.REFUSED),
    (429, Unclear, Reason.THROTTLED),
    (500, Unclear, Reason.SERVER_ERROR),
    (503, Unclear, Reason.SERVER_ERROR),
]
UNKNOWN_CODES = [0, 1, -1, 201, 299, 402, 405, 418, 600, 40001, 10**60]


@pytest.mark.parametrize("verb", MOVERS)
@pytest.mark.parametrize("mirrored", [False, True], ids=["in the body", "in HTTP too"])
@pytest.mark.parametrize(("code", "kind", "reason"), CODES)
def test_a_code_means_the_same_in_the_body_and_in_http(provider, verb, mirrored, code, kind, reason):
    failure = provider.failure(verb, envelope(code=code, msg="no", status=code if mirrored else 200))

    reason = Reason.ORIGINAL_UNKNOWN if (verb, code) == ("void", 404) else reason
    assert (type(failure), failure.reason, failure.provider_text) == (kind, reason, "no")


@pytest.mark.parametrize("verb", ["activate", "pay", "void"])
@pytest.mark.parametrize("code", UNKNOWN_CODES)
def test_an_unknown_code_is_unclear_and_told(provider, verb, code):
    failure = provider.failure(verb, envelope(code=code, msg="accepted for review"))

    assert (type(failure), failure.reason) == (Unclear, Reason.UNKNOWN_WORD)
    assert failure.provider_text == f"{code} accepted for review"


@pytest.mark.parametrize("verb", REQUESTS)
@pytest.mark.parametrize(
    ("status", "code"), [(400, 404), (404, 400), (401, 200), (403, 401), (404, 200), (409, 422), (400, None)]
)
def test_http_and_body_that_contradict_each_other_prove_nothing(provider, verb, status, code):
    failure = provider.failure(verb, envelope(code=code, status=status))

    assert (type(failure), failure.reason) == (Unclear, Reason.UNREADABLE)


@pytest.mark.parametrize("verb", ["activate", "pay", "void"])
@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 422, 429, 299])
@pytest.mark.parametrize(
    "data", [DONE, CARD, {"result": 2}, {"checkoutId": CHECKOUT}, {"result": True}, {"result": 1.0}]
)
def test_an_error_with_the_data_of_a_success_proves_nothing(provider, verb, code, data):
    failure = provider.failure(verb, envelope(data, code=code))

    assert (type(failure), failure.reason) == (Unclear, Reason.UNREADABLE)


def test_an_error_that_repeats_its_no_is_a_no(provider):
    assert isinstance(provider.failure("pay", envelope({"result": 1, "checkoutId": CHECKOUT}, code=422)), Declined)


@pytest.mark.parametrize("verb", ["balance", "activate", "pay"])
@pytest.mark.parametrize("body", [b"", b"<p>No</p>", b"{}", b"[]", b'"no"', b'{"msg": "no"}'])
@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Unclear), (401, Misconfigured), (403, Misconfigured), (404, Unclear), (409, Unclear), (422, Unclear)],
)
def test_without_an_envelope_only_refused_credentials_are_believed(provider, verb, body, status, kind):
    """A proxy, or a mistyped address, answers 404 too; every card would be "not found"."""
    assert type(provider.failure(verb, response(body, status=status))) is kind


# ---- Activation --------------------------------------------------------------------------------------------


def test_an_activation_is_done_when_our_card_comes_back(provider):
    receipt = provider.asked("activate")

    assert receipt.provider_reference == ""
    assert receipt.balances == (Balance("total", Money(153410, "USD")), Balance("points", Points(53)))


def test_an_activation_may_say_that_it_is_done(provider):
    assert isinstance(provider.asked("activate", envelope(CARD | {"result": 0})), Receipt)


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (None, Unclear, Reason.UNREADABLE),
        ({}, Unclear, Reason.UNREADABLE),
        (without("accountId", CARD), Unclear, Reason.UNREADABLE),
        (CARD | {"accountId": int(NUMBER)}, Unclear, Reason.UNREADABLE),
        (CARD | {"accountId": "914639258868500"}, Unclear, Reason.MISMATCH),
        (CARD | {"accountId": ""}, Unclear, Reason.MISMATCH),
        (CARD | {"accountId": NUMBER[-4:]}, Unclear, Reason.MISMATCH),
        (CARD | {"result": 1}, Declined, Reason.REFUSED),
        (CARD | {"result": 2}, Unclear, Reason.PENDING),
        (CARD | {"result": 7}, Unclear, Reason.UNKNOWN_WORD),
        (CARD | {"result": None}, Unclear, Reason.UNREADABLE),
        (CARD | {"result": "0"}, Unclear, Reason.UNREADABLE),
    ],
)
@pytest.mark.parametrize("verb", ["activate", "balance"])
def test_an_answer_about_no_card_or_another_is_neither_receipt_nor_reading(provider, verb, data, kind, reason):
    failure = provider.failure(verb, envelope(data))

    assert (type(failure), failure.reason) == (kind, reason)


ODD_AMOUNTS: list[object] = [-5, "30.10", None, True, [], 30.105, 1e99]
ODD_BALANCES: list[object] = [
    *(None, {}, "none", [None], [[]], [{}]),
    *([{"valueCode": "USD"}], [{"amount": 5}], [{"valueCode": 840, "amount": 5}], [{"valueCode": None, "amount": 5}]),
    *([{"valueCode": "USD", "amount": 50}, {"valueCode": "USD", "amount": 5}], [*BALANCES, BALANCES[1]]),
    *([{"valueCode": code, "amount": 5}] for code in ("usd", "Usd", " USD", "POINTS", "points", "Points ")),
    *([{"valueCode": "USD", "amount": a}] for a in (*ODD_AMOUNTS, -0.01, 10_000_000.01)),
    *([{"valueCode": "CAD", "amount": a}] for a in ODD_AMOUNTS),
    *([{"valueCode": "Points", "amount": a}] for a in (*ODD_AMOUNTS, 0.5, HARD_CAP + 1)),
]


@pytest.mark.parametrize("balances", ODD_BALANCES, ids=lambda balances: f"{balances!r:.50}")
def test_odd_balances_are_not_shown(provider, balances):
    failure = provider.failure("balance", envelope(CARD | {"balances": balances}))

    assert isinstance(failure, Unclear)
    assert failure.reason in {Reason.UNREADABLE, Reason.UNKNOWN_WORD}


@pytest.mark.parametrize("balances", ODD_BALANCES, ids=lambda balances: f"{balances!r:.50}")
def test_an_activation_is_done_whatever_its_balances(provider, balances):
    assert provider.asked("activate", envelope(CARD | {"balances": balances})).balances == ()


# ---- Readings ----------------------------------------------------------------------------------------------


def test_a_card_has_its_money_and_its_points_by_their_codes(provider):
    for order in (BALANCES, BALANCES[::-1]):
        reading = provider.asked("balance", envelope(CARD | {"balances": order}))

        assert reading.status is CardStatus.USABLE
        assert {b.kind: b.value for b in reading.balances} == {"total": Money(153410, "USD"), "points": Points(53)}


@pytest.mark.parametrize(
    ("written", "minor"),
    [
        ("0", 0),
        ("-0.0", 0),
        ("53", 5300),
        ("1534.1", 153410),
        ("0.30000000000000004", 30),
        ("1534.1000000000001", 153410),
        ("29.999999999999996", 3000),
        ("1e3", 100000),
        ("10000000", HARD_CAP),
        ("1e-9999999", 0),
        ("7.600", 760),
    ],
)
def test_a_balance_is_read_to_the_cent_through_the_noise_of_binary_fractions(provider, written, minor):
    body = b'{"code": 200, "data": {"accountId": "%s", "balances": [{"valueCode": "USD", "amount": %s}]}}'

    reading = provider.asked("balance", response(body % (NUMBER.encode(), written.encode())))

    assert reading.balances == (Balance("total", Money(minor, "USD")),)


@pytest.mark.parametrize(
    ("balances", "status"),
    [
        ([], CardStatus.EMPTY),
        ([("USD", 0)], CardStatus.EMPTY),
        ([("USD", 0), ("Points", 0)], CardStatus.EMPTY),
        ([("USD", 0), ("Points", 1)], CardStatus.USABLE),
        ([("USD", 0.01)], CardStatus.USABLE),
        ([("CAD", 30)], CardStatus.USABLE),
        ([("USD", 0), ("Visits", 3)], CardStatus.USABLE),
    ],
)
def test_a_card_is_empty_when_nothing_is_on_it(provider, balances, status):
    listed = [{"valueCode": code, "amount": amount, "difference": 0} for code, amount in balances]

    assert provider.asked("balance", envelope(CARD | {"balances": listed})).status is status


def test_money_in_another_currency_is_shown_and_told_apart(provider):
    listed = [{"valueCode": "CAD", "amount": 30}, {"valueCode": "USD", "amount": 5}]

    reading = provider.asked("balance", envelope(CARD | {"balances": listed}))

    assert reading.balances == (
        Balance("other_currency", Money(3000, "CAD")),
        Balance("total", Money(500, "USD")),
    )


def test_a_kind_of_value_we_do_not_know_hides_nothing(provider):
    listed = [{"valueCode": "Visits", "amount": "three"}, *BALANCES]

    assert len(provider.asked("balance", envelope(CARD | {"balances": listed})).balances) == 2


@pytest.mark.parametrize(
    "answer",
    [
        envelope(code=404, msg=f"card {NUMBER} not found"),
        envelope(code=404, msg=f"card {NUMBER} not found", status=404),
        envelope(code=400, msg=f"no such card {NUMBER}"),
    ],
)
def test_a_card_that_is_not_there_is_not_found(provider, answer):
    reading = provider.asked("balance", answer)

    assert (reading.status, reading.balances) == (CardStatus.NOT_FOUND, ())
    assert "‹number›" in reading.description


@pytest.mark.parametrize(
    ("code", "kind", "reason"), [(429, Declined, Reason.THROTTLED), *[c for c in CODES if c[0] not in {404, 429}]]
)
def test_a_look_up_that_was_not_answered_says_why(provider, code, kind, reason):
    failure = provider.failure("balance", envelope(code=code, msg="no", headers={"Retry-After": "30"}))

    assert (type(failure), failure.reason, failure.retry_after) == (kind, reason, 30)


# ---- Whatever comes ----------------------------------------------------------------------------------------

WORDS = st.sampled_from([0, 1, 2, 200, "0", True, False, None, "", NUMBER, CHECKOUT, "USD", "Points", "success"])
JSON = st.recursive(
    WORDS | st.integers(-5, 600) | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["code", "data", "result", "checkoutId", "accountId", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        "code": st.sampled_from([200, 200, 200, "200", 0, 404, True]) | WORDS,
        "msg": WORDS,
        "data": st.fixed_dictionaries(
            {},
            optional={
                "result": st.sampled_from([0, 0, 0, 1, 2]) | JSON,
                "checkoutId": st.just(CHECKOUT) | JSON,
                "oriCheckoutId": st.sampled_from([ORIGINAL, None]) | WORDS,
                "accountId": st.just(NUMBER) | JSON,
                "balances": st.lists(
                    st.fixed_dictionaries(
                        {}, optional={"valueCode": st.sampled_from(["USD", "Points", "CAD"]), "amount": JSON}
                    )
                )
                | JSON,
            },
        )
        | JSON,
    },
)
BODIES = st.binary(max_size=60) | (JSON | SHAPED).map(lambda document: json.dumps(document).encode())
STATUSES = st.sampled_from([200, 200, 200, 201, 202, 400, 401, 403, 404, 408, 409, 422, 429, 500, 503, 599])


def answered(status, body):
    return HttpAnswer(status, {}, body, lambda text: text)


def outcome_of(read, *args, **more):
    """What a reader returns, or the Failure it raises; anything else it raises is an error."""
    try:
        return read(*args, **more)
    except Failure as failure:
        return failure


@settings(max_examples=800, **PATIENT)
@given(status=STATUSES, body=BODIES, verb=st.sampled_from(TRANSACTIONS))
@example(status=200, body=json.dumps({"code": 200, "data": DONE}).encode(), verb="pay")
def test_no_answer_becomes_done_or_refused_by_accident(status, body, verb):
    original = ORIGINAL if verb in {"void", "tip"} else ""

    outcome = outcome_of(read_transaction, answered(status, body), verb, original=original)

    if isinstance(outcome, Unclear):
        return
    document: Any = read_json(body) if isinstance(outcome, str) or status not in {401, 403} else {"code": status}
    code, data = document["code"], document.get("data")
    assert type(code) is int
    if isinstance(outcome, Failure):
        # Not done needs a sign too: a code that says so, or result 1.
        assert code in {400, 401, 403, 404, 422} or (code, data["result"]) == (200, 1)
    else:
        assert (status // 100, code, data["result"], type(data["result"])) == (2, 200, 0, int)
        assert outcome == data["checkoutId"] != ""
        assert data.get("oriCheckoutId") in {None, "", original}


@settings(max_examples=500, **PATIENT)
@given(status=STATUSES, body=BODIES)
@example(status=200, body=json.dumps({"code": 200, "data": CARD}).encode())
def test_no_answer_becomes_a_card_by_accident(status, body):
    for read in (read_inquiry, read_activation):
        found = outcome_of(read, answered(status, body), number=NUMBER, currency="USD")

        if isinstance(found, Failure):
            continue
        document: Any = read_json(body)
        if getattr(found, "status", None) is CardStatus.NOT_FOUND:
            assert document["code"] in {400, 404, 422}
            continue
        assert (document["code"], document["data"]["accountId"]) == (200, NUMBER)
        assert document["data"].get("result", 0) == 0
        for balance in getattr(found, "balances", found):
            value = balance.value.minor if isinstance(balance.value, Money) else balance.value.count
            assert 0 <= value <= HARD_CAP


@settings(**PATIENT)
@given(st.decimals(0, 10_000_000, places=2), st.integers(0, HARD_CAP))
def test_any_balance_a_server_can_write_is_read_back_exactly(money, points):
    listed = [{"valueCode": "USD", "amount": float(money)}, {"valueCode": "Points", "amount": points}]
    body = json.dumps({"code": 200, "data": CARD | {"balances": listed}}).encode()

    reading = read_inquiry(answered(200, body), number=NUMBER, currency="USD")

    assert [each.value for each in reading.balances] == [Money(int(money * Decimal(100)), "USD"), Points(points)]


# ---- Numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (NUMBER, NUMBER),
        (" 9146 3925-8868 515\r\n", NUMBER),
        ("000000000000001", "000000000000001"),
        ("9276004424644352", "9276004424644352"),  # fails every check digit there is
        ("abcO0Il1", "abcO0Il1"),
        ("1234", "1234"),
        ("x" * 40, "x" * 40),
    ],
)
def test_a_typed_number_stays_a_text_and_nothing_is_guessed(typed, kept):
    assert PayWizard.clean_number(typed, {}) == kept
    assert PayWizard.clean_number(kept, {}) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "123",
        "- - -",
        "x" * 41,
        "1" * 1_000_000,
        "1234/5",
        "12345\0",
        "1234\u00a05678",
        "1234\u200b5678",
        "４２６０４",
    ],
    ids=lambda typed: ascii(typed[:16]),
)
def test_a_number_that_cannot_be_one_is_refused_with_a_sentence(typed):
    with pytest.raises(BadNumber) as caught:
        PayWizard.clean_number(typed, {})

    assert str(caught.value).endswith(".")


def test_no_pin_is_wanted():
    assert not PayWizard.wants_pin({})


def test_an_unknown_end_is_settled_by_the_balance():
    assert PayWizard.settles is Settles.BY_BALANCE


def test_the_provider_has_time_to_answer():
    assert (PayWizard.CONNECT_SECONDS, PayWizard.TOTAL_SECONDS) == (5.0, 30.0)


# ---- Settings ----------------------------------------------------------------------------------------------

GOOD = {
    "base_url": "https://uat.paywizard.biz/",
    "client_id": CLIENT_ID,
    "client_secret": SECRET,
    "token": TOKEN,
}
Settings = PayWizard.Settings


def test_what_is_assumed_is_a_setting_with_a_default():
    assert Settings.options(GOOD) == {
        "base_url": "https://uat.paywizard.biz",
        "client_id": CLIENT_ID,
        "loyalty_channel": "FACTOR4",
        "currency": "USD",
        "amount_on_void": True,
        "check_number": "000000000000000",
        "currency_on_top_up": True,
        "channel_on_tip": True,
    }


@pytest.mark.parametrize("name", GOOD)
def test_nothing_that_says_whose_cards_are_moved_has_a_default(name):
    with pytest.raises(SettingsError) as caught:
        Settings.parse(without(name, GOOD))

    assert caught.value.errors.keys() == {name}


@pytest.mark.parametrize(
    "url", ["https://uat.paywizard.biz", "https://portal.paywizard.biz", "http://127.0.0.1:8100/paywizard"]
)
def test_the_vendor_s_addresses_and_the_sandbox_s_are_taken(url):
    assert Settings.parse(GOOD | {"base_url": url}).base_url == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://oversea.paywizard.biz", "former"),
        ("https://OVERSEA.paywizard.biz:443/", "former"),
        ("https://uat.paywizard.biz/ovstrade/openLoyaltyPay/giftInquiry", "before /ovstrade"),
        ("https://uat.paywizard.biz/ovstrade", "before /ovstrade"),
        ("https://uat.paywizard.biz/../x", "such as"),
        ("https://uat.paywizard.biz/a%2fb", "such as"),
        ("https://uat.paywizard.biz/a//b", "such as"),
        ("https://uat.paywizard.biz/?a=b", "such as"),
    ],
)
def test_any_other_address_is_refused_with_the_reason(url, said):
    with pytest.raises(SettingsError) as caught:
        Settings.parse(GOOD | {"base_url": url})

    assert said in caught.value.errors["base_url"]


@pytest.mark.parametrize("name", ["client_id", "client_secret", "token"])
@pytest.mark.parametrize("value", ["", " ", "a b", "a\nb", "a\0", "ä", "x" * 5000])
def test_credentials_that_cannot_be_sent_are_refused(name, value):
    with pytest.raises(SettingsError) as caught:
        Settings.parse(GOOD | {name: value})

    assert caught.value.errors.keys() == {name}


@pytest.mark.parametrize("currency", ["usd", "$", "XXX", "JPY", "KWD", "US"])
def test_a_currency_whose_amounts_could_be_misread_is_refused(currency):
    with pytest.raises(SettingsError) as caught:
        Settings.parse(GOOD | {"currency": currency})

    assert caught.value.errors.keys() == {"currency"}


@pytest.mark.parametrize("entry", ["", None])
def test_a_number_nobody_said_otherwise_of_was_typed(entry):
    assert Entry.parse({"entry_type": entry}) == Entry() == Entry(entry_type="K")


@pytest.mark.parametrize("entry", ["W", "k", "KB", 1])
def test_only_the_four_documented_ways_of_reading_a_number_are_offered(entry):
    with pytest.raises(SettingsError):
        Entry.parse({"entry_type": entry})
