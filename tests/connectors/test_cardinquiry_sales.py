"""A sale that a looked-up card pays: what is sent, byte for byte, and what an answer of any shape is taken for."""

import json
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.connectors import connect
from portal.connectors.base import (
    CardStatus,
    Declined,
    Failure,
    Misconfigured,
    PayRequest,
    Reading,
    Reason,
    Receipt,
    Settles,
    Unclear,
)
from portal.connectors.cardinquiry import CardInquiry
from portal.money import Money
from tests.connectors.servers import answering, cards, response

NUMBER, REFERENCE, TOKEN = "6280390000012345", "0198c5a2e7c07b3e9f5f2b1c4d6e8f90", 'canary"\\token'
REQUEST = PayRequest(
    number=NUMBER,
    amount=Money(900, "EUR"),
    reference=REFERENCE,
    usage_token=TOKEN,
    asked_at=datetime(2026, 11, 28, 10, 35, tzinfo=ZoneInfo("Pacific/Auckland")),
)


@pytest.fixture
def shop(serve, wire_to, exchanges):
    """`shop(answer, **settings)`: a connection to a CardInquiry that answers so, and its server."""

    def connected(answer: bytes = b"", **options):
        server = serve(answering(answer or stored()))
        values = {"base_url": f"{server.origin}/OpenApi2", "api_key": "canary-key", "currency": "EUR", "product": 12345}
        return connect("cardinquiry", values | options, wire=wire_to(server), on_exchange=exchanges.append), server

    return connected


def stored(**more) -> bytes:
    return response(json.dumps({"data": {"Result": "OK", "Physkey": "f00", **more}}).encode())


def packet(code: object, message: str = "No.", *, status: int = 400) -> bytes:
    return response(json.dumps({"error": {"Code": code, "Message": message}}).encode(), status=status)


def outcome(shop, answer: bytes) -> Receipt | Failure:
    connector, _server = shop(answer)
    try:
        return connector.pay(REQUEST)
    except Failure as failure:
        return failure


def test_it_pays_with_what_a_look_up_gave_and_settles_by_resending():
    assert CardInquiry.by_usage_token == {"pay"}
    assert CardInquiry.settles is Settles.BY_RESENDING


def test_without_a_product_it_takes_no_payment(shop):
    connector, server = shop(product=0)

    assert CardInquiry.unable({"product": 0}).keys() == {"pay"} == CardInquiry.unable({}).keys()
    assert CardInquiry.unable({"product": 1}) == {}
    with pytest.raises(Declined):
        connector.pay(REQUEST)
    assert server.connections == 0


# ---- What is sent --------------------------------------------------------------------------------------------------
def test_the_same_request_is_the_same_bytes(shop):
    connector, server = shop()

    for _ in range(3):
        connector.pay(REQUEST)

    bodies = {request.partition(b"\r\n\r\n")[2] for request in server.requests}
    assert len(server.requests) == 3
    assert bodies == {
        b'{"ExternalId":"0198c5a2e7c07b3e9f5f2b1c4d6e8f90","CompletedDt":"2026-11-28T10:35:00","Phase":1,'
        b'"LINE":[{"Pid":12345,"Qty":1,"TotalPrice":9.00}],'
        b'"PAYM":[{"Type":"prepay","Amount":9.00,"UsageToken":"canary\\"\\\\token"}]}'
    }


def test_a_letter_that_was_kept_is_what_is_sent(shop):
    connector, _server = shop()
    letter = connector.letter(REQUEST)
    changed, server = shop(product=99, payment_type="voucher")
    there = f"{server.origin}/OpenApi2/SaleCreate\n"
    kept = there + letter.partition("\n")[2]

    changed.pay(replace(REQUEST, usage_token="", asked_at=None, letter=kept))

    assert server.requests[0].endswith(letter.partition("\n")[2].encode())


def test_a_letter_to_another_address_is_not_sent(shop):
    connector, server = shop()

    with pytest.raises(Unclear) as caught:
        connector.pay(replace(REQUEST, letter="https://elsewhere.example/SaleCreate\n{}"))

    assert (caught.value.reason, server.connections) == (Reason.MISMATCH, 0)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"usage_token": ""}, Reason.TOKEN_LAPSED),
        ({"usage_token": "tök"}, Reason.BAD_INPUT),
        ({"usage_token": "a\nb"}, Reason.BAD_INPUT),
        ({"usage_token": "t" * 4097}, Reason.BAD_INPUT),
        ({"reference": 'a"b'}, Reason.BAD_INPUT),
        ({"reference": ""}, Reason.BAD_INPUT),
        ({"asked_at": None}, Reason.BAD_INPUT),
        ({"amount": Money(900, "USD")}, Reason.BAD_INPUT),
    ],
    ids=repr,
)
def test_what_cannot_be_sent_is_refused_before_a_byte_leaves(shop, changed, reason):
    connector, server = shop()

    with pytest.raises(Declined) as caught:
        connector.pay(replace(REQUEST, **changed))

    assert (caught.value.reason, server.connections) == (reason, 0)


@given(
    minor=st.integers(1, 10**9),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
    token=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60),
)
def test_any_amount_and_token_are_in_the_sale_exactly(minor, currency, token):
    from portal.connectors import cardinquiry_sales

    asked = replace(REQUEST, amount=Money(minor, currency), usage_token=token)
    body = cardinquiry_sales.write(asked, product=7, kind="voucher")
    sale = json.loads(body, parse_float=str, parse_int=str)

    assert sale["PAYM"] == [{"Type": "voucher", "Amount": asked.amount.decimal_text(), "UsageToken": token}]
    assert sale["LINE"] == [{"Pid": "7", "Qty": "1", "TotalPrice": asked.amount.decimal_text()}]
    assert cardinquiry_sales.token_in(body) == token


def test_neither_token_nor_key_nor_number_is_kept_of_a_call(shop, exchanges):
    connector, _server = shop(packet(1, f"Token {TOKEN} of {NUMBER} is no good"))

    with pytest.raises(Declined) as caught:
        connector.pay(REQUEST)

    said = repr(exchanges) + caught.value.provider_text
    assert "canary" not in said
    assert NUMBER not in said
    assert "canary" not in repr(replace(REQUEST, letter="canary-letter"))


# ---- What is answered ----------------------------------------------------------------------------------------------
def test_a_stored_sale_is_paid_under_the_sales_own_key(shop):
    receipt = outcome(shop, stored())

    assert isinstance(receipt, Receipt)
    assert receipt.provider_reference == "f00"


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (packet(2110), Declined, Reason.TOKEN_LAPSED),
        (packet(2111), Declined, Reason.NOT_ENOUGH),
        (packet(2102), Declined, Reason.REFUSED),
        (packet("2110"), Declined, Reason.REFUSED),
        (packet(True), Declined, Reason.REFUSED),
        (packet(2111, status=200), Declined, Reason.NOT_ENOUGH),
        (packet(2401, status=401), Misconfigured, Reason.KEY_REFUSED),
        (packet(2403, status=403), Misconfigured, Reason.ACCESS_REFUSED),
        (packet(2429, status=429), Unclear, Reason.THROTTLED),
        (packet(1, status=404), Unclear, Reason.UNREADABLE),
        (packet(1, status=500), Unclear, Reason.SERVER_ERROR),
        (response(b"<p>Bad request</p>", status=400), Unclear, Reason.UNREADABLE),
        (response(b"{}", status=400), Unclear, Reason.UNREADABLE),
        (response(b'{"data": {}}', status=202), Unclear, Reason.UNREADABLE),
        (response(b'{"data": {}}'), Unclear, Reason.UNREADABLE),
        (response(b'{"data": {"Result": "ok"}}'), Unclear, Reason.UNREADABLE),
        (response(b'{"data": {"Result": "OK"}, "error": {"Code": 1}}'), Unclear, Reason.UNREADABLE),
        (stored(Result="Queued"), Unclear, Reason.UNREADABLE),
        (stored(Physkey=12), Unclear, Reason.UNREADABLE),
    ],
    ids=lambda part: part.decode("latin-1")[-60:] if isinstance(part, bytes) else None,
)
def test_only_a_documented_no_is_a_no(shop, answer, kind, reason):
    failure = outcome(shop, answer)

    assert type(failure) is kind
    assert failure.reason is reason


# ---- Which card it is ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asked", "named", "known"),
    [
        (NUMBER, None, NUMBER),  # long enough by the settings
        (NUMBER, NUMBER, NUMBER),
        ("12345", None, ""),
        ("12345", NUMBER, NUMBER),  # the answer tells what only its end was asked for
        ("abc123", "ABC123", "ABC123"),  # in the provider's own spelling
        ("12345", "6280 3900 0001 2345", NUMBER),
        ("12345", "9" * 60 + "12345", ""),  # no number that we could ask for
    ],
)
def test_the_whole_number_is_known_where_the_answer_or_the_length_tells_it(shop, asked, named, known):
    record = {"Status": "ok", "Balance": 9, "UsageToken": "t", **({"Barcode": named} if named else {})}
    connector, _server = shop(cards(record))

    reading = connector.balance(balance_of(asked))

    assert (reading.status, reading.number) == (CardStatus.USABLE, known)
    assert NUMBER not in repr(Reading(status=CardStatus.USABLE, number=NUMBER))


def test_the_length_of_a_whole_number_is_the_merchants_to_say(shop):
    connector, _server = shop(cards({"Status": "ok", "Balance": 9}), whole_length=5)

    assert connector.balance(balance_of("12345")).number == "12345"


@pytest.mark.parametrize("status", ["needfullcode", "checkpassword"])
def test_what_is_not_found_has_no_number(shop, status):
    connector, _server = shop(cards({"Status": status}))

    assert connector.balance(balance_of(NUMBER)).number == ""


def balance_of(number: str):
    from portal.connectors.base import BalanceRequest

    return BalanceRequest(number=number, pin="1234")
