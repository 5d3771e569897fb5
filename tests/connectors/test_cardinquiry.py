"""CardInquiry: what is sent for a look-up, and what an answer of any shape is taken for."""

import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portal.connectors import connect
from portal.connectors.base import (
    BadNumber,
    Balance,
    BalanceRequest,
    CardStatus,
    ClientContext,
    Declined,
    Failure,
    Misconfigured,
    Reason,
    SettingsError,
    Unclear,
)
from portal.connectors.cardinquiry import CardInquiry
from portal.money import Money
from tests.connectors.servers import answering, cards, response

NUMBER, PIN, KEY = "6280390000012345", "11234", "server-key!@#$%^&*()-_+=.,\\|{}[]/"
CLIENT = ClientContext(
    "198.51.100.7",
    (
        ("User-Agent", "Firefox"),
        ("Accept-Language", "de"),
        ("Cookie", "session=canary"),
        ("AUTHORIZATION", "canary"),
        ("Proxy-Authorization", "canary"),
        ("X-CSRFToken", "canary"),
        ("X-Forwarded-For", "canary"),
        ("Forwarded", "canary"),
        ("X-Real-IP", "canary"),
        ("HX-Current-URL", "canary"),
        ("X_Forwarded_For", "canary"),
        ("Host", "evil.example"),
        ("Content-Length", "5"),
        ("X-Odd", "a\r\nX-Smuggled: b\0ä"),
    ),
)


@pytest.fixture
def provider(serve, wire_to, exchanges):
    """A CardInquiry server whose answer a test sets, and a connection to it."""

    class Provider:
        def __init__(self):
            self.server = serve(answering(cards()))
            self.wire = wire_to(self.server)

        def asked(self, answer=None, *, pin=PIN, number=NUMBER, client=None, **options):
            if answer is not None:
                self.server.manners = answering(answer)
                self.wire._lines.close()  # or the kept connection would answer in the old manner
            values = {
                "base_url": f"{self.server.origin}/OpenApi2_3,4,5,672",
                "api_key": KEY,
                "currency": "EUR",
            }
            connector = connect("cardinquiry", values | options, wire=self.wire, on_exchange=exchanges.append)
            return connector.balance(BalanceRequest(number=number, pin=pin, client=client))

        def failure(self, answer, **how):
            with pytest.raises(Failure) as caught:
                self.asked(answer, **how)
            return caught.value

        @property
        def sent(self):
            head, _, body = self.server.requests[-1].decode("latin-1").partition("\r\n\r\n")
            line, *fields = head.split("\r\n")
            return line, dict(field.split(": ", 1) for field in fields), body

    return Provider()


# ---- What is sent ------------------------------------------------------------------------------------------


def test_a_look_up_is_one_get_with_the_key_in_its_header(provider):
    provider.asked()

    line, headers, body = provider.sent
    assert line == f"GET /OpenApi2_3,4,5,672/CardInquiry/{NUMBER}?pass={PIN} HTTP/1.1"
    assert headers["X-Api-Key"] == KEY
    assert headers["X-Fieldpine-CallerHandling"] == "full"
    assert body == ""
    assert len(provider.server.requests) == 1


@pytest.mark.parametrize("pin", ["a&b=c", "a#b?c/d", "%2e%2e", "ä ö", "🙂", "a+b", "x" * 64])
def test_a_password_stays_inside_its_parameter(provider, pin):
    provider.asked(pin=pin)

    target = provider.sent[0].split(" ")[1]
    assert urlsplit(target).path.endswith(f"/CardInquiry/{NUMBER}")
    assert parse_qs(urlsplit(target).query) == {"pass": [pin]}


@pytest.mark.parametrize(
    "number",
    ["../../Sales", "a/b/c/d", "a%2fb%2f", "abcd?x=", "abcd#b", "abcd\r\nX: y", "٤٢٦٠٤", "４２６０", "²²²²²"],
)
def test_a_number_that_could_change_the_path_is_not_sent(provider, number):
    failure = provider.failure(None, number=number)

    assert (type(failure), failure.reason) == (Declined, Reason.BAD_INPUT)
    assert provider.server.connections == 0


@pytest.mark.parametrize("pin", ["", "a\0b", "a\nb", "\ud800", "x" * 65])
def test_a_password_that_cannot_be_one_is_not_sent(provider, pin):
    failure = provider.failure(None, pin=pin)

    assert (type(failure), failure.reason) == (Declined, Reason.BAD_INPUT)
    assert provider.server.connections == 0


def test_cards_without_a_password_are_asked_without_one(provider):
    provider.asked(pin="", password_required=False)

    assert provider.sent[0].split(" ")[1].endswith(NUMBER)


# ---- The shopper's browser ---------------------------------------------------------------------------------


def test_the_browser_goes_along_as_data_and_never_as_our_own_headers(provider):
    provider.asked(client=CLIENT)

    _, headers, body = provider.sent
    assert headers["X-Client-Ip"] == "198.51.100.7"
    assert headers["X-Client-Header-User-Agent"] == "Firefox"
    assert headers["X-Client-Header-Host"] == "evil.example"
    assert headers["X-Client-Header-X-Odd"] == "aX-Smuggled: b"
    assert headers["Host"] == f"127.0.0.1:{provider.server.port}"
    assert "Content-Length" not in headers
    assert "X-Smuggled" not in headers
    assert "canary" not in str(headers)
    assert body == ""


def test_the_browser_can_go_along_as_json(provider):
    provider.asked(client=CLIENT, client_context_mode="json_body")

    _, headers, body = provider.sent
    fields = json.loads(body)
    assert (fields["client_Ip"], fields["client_UserAgent"]) == ("198.51.100.7", "Firefox")
    assert fields["client_Headers"]["Accept-Language"] == "de"
    assert "canary" not in body
    assert not [name for name in headers if name.startswith("X-Client")]


def test_the_browser_can_stay_at_home(provider):
    provider.asked(client=CLIENT, client_context_mode="none")

    _, headers, body = provider.sent
    assert body == ""
    assert not [name for name in headers if name.startswith("X-Client")]


@pytest.mark.parametrize("mode", ["prefixed_headers", "json_body"])
def test_nothing_of_the_browser_is_recorded(provider, exchanges, mode):
    provider.asked(response(b"198.51.100.7", status=404), client=CLIENT, client_context_mode=mode)

    recorded = repr(exchanges)
    assert "198.51.100.7" not in recorded
    assert "Firefox" not in recorded


def test_a_browser_with_endless_headers_is_cut_short(provider):
    many = tuple((f"X-H{n}", "v") for n in range(200))
    long = (("X-Long", "v" * 9000),)

    provider.asked(client=ClientContext("198.51.100.7", many))
    forwarded = [name for name in provider.sent[1] if name.startswith("X-Client-Header-")]
    provider.asked(client=ClientContext("198.51.100.7", long))

    assert len(forwarded) == 40
    assert "X-Client-Header-X-Long" not in provider.sent[1]


def test_a_connection_that_requires_the_browser_does_not_ask_without(provider):
    failure = provider.failure(None, client_context_required=True)

    assert failure.reason is Reason.BAD_INPUT
    assert provider.server.connections == 0


@pytest.mark.parametrize("address", ["", "unknown", "1.2.3.4, 5.6.7.8", "1.2.3.4\r\nX: y", "1.2.3.4:80"])
def test_a_browser_without_a_true_address_is_not_passed_on(provider, address):
    failure = provider.failure(None, client=ClientContext(address))

    assert failure.reason is Reason.BAD_INPUT
    assert provider.server.connections == 0


# ---- Readings ----------------------------------------------------------------------------------------------

OK = {"Status": "ok", "UsageToken": "tok3n", "Balance": 25.5, "Expiry": "2027-12-31"}


def test_a_usable_card_has_its_balance_expiry_and_token(provider):
    reading = provider.asked(cards(OK | {"Description": "Gift\0 card", "Currency": "EUR"}))

    assert reading.status is CardStatus.USABLE
    assert reading.balances == (Balance("total", Money(2550, "EUR")),)
    assert (reading.expires, reading.expires_at) == (date(2027, 12, 31), None)
    assert (reading.description, reading.usage_token, reading.status_word) == ("Gift card", "tok3n", "ok")


def test_an_empty_card_has_a_balance_of_zero_even_if_none_is_named(provider):
    reading = provider.asked(cards({"Status": "zero"}))

    assert reading.status is CardStatus.EMPTY
    assert reading.balances == (Balance("total", Money(0, "EUR")),)


def test_an_expired_card_is_found(provider):
    reading = provider.asked(cards({"Status": "expired", "Expiry": "2026-01-31"}))

    assert (reading.status, reading.expires) == (CardStatus.EXPIRED, date(2026, 1, 31))


def test_a_card_whose_full_number_is_wanted_shows_nothing_else(provider):
    reading = provider.asked(cards(OK | {"Status": "needfullcode"}))

    assert (reading.status, reading.balances, reading.usage_token) == (CardStatus.NEEDS_FULL_NUMBER, (), "")


def test_a_near_miss_is_told(provider):
    assert provider.asked(cards({"Status": "checkpassword"})).status is CardStatus.NEAR_MISS


def test_a_coupon_without_a_balance_is_usable_and_has_none(provider):
    reading = provider.asked(cards({"Status": "ok"}))

    assert (reading.status, reading.balances) == (CardStatus.USABLE, ())


@pytest.mark.parametrize(
    "answer",
    [
        response(b'{"data": {"Cards": []}}'),
        response(b'{"data": {}}'),
        response(b'{"data": {"Cards": null}}'),
        response(b'{"error": {"Code": 2003, "Message": "no"}}'),
        response(b"<p>no</p>", status=404),
    ],
)
def test_every_way_of_saying_that_there_is_no_such_card_is_the_same(provider, answer):
    reading = provider.asked(answer)

    assert (reading.status, reading.balances, reading.status_word) == (CardStatus.NOT_FOUND, (), "")


def test_the_message_that_there_is_no_card_is_kept_without_what_was_asked(provider):
    body = {"error": {"Message": f"No\0 card {NUMBER} with {PIN}"}}

    assert provider.asked(response(json.dumps(body).encode())).description == "No card ‹number› with ‹pin›"


def test_of_two_cards_neither_is_shown(provider):
    reading = provider.asked(cards(OK, {"Status": "expired"}))

    assert (reading.status, reading.balances, reading.usage_token) == (CardStatus.NEEDS_FULL_NUMBER, (), "")


@pytest.mark.parametrize(
    ("written", "day", "moment"),
    [
        ("2027-12-31", date(2027, 12, 31), None),
        ("2027-12-31T00:00:00", date(2027, 12, 31), None),
        ("2027-12-31 23:59", date(2027, 12, 31), None),
        ("2027-12-31T22:00:00Z", None, datetime(2027, 12, 31, 22, tzinfo=UTC)),
        ("2027-12-31T23:00:00.1234567+01:00", None, datetime(2027, 12, 31, 22, 0, 0, 123456, UTC)),
        ("2028-02-29", date(2028, 2, 29), None),
        ("", None, None),
        (None, None, None),
    ],
)
@pytest.mark.parametrize("name", ["Expiry", "ExpiryDt"])
def test_an_expiry_is_a_day_or_a_moment(provider, name, written, day, moment):
    reading = provider.asked(cards({"Status": "ok", name: written}))

    assert (reading.expires, reading.expires_at) == (day, moment)


def test_both_names_of_the_expiry_may_say_the_same(provider):
    reading = provider.asked(cards({"Status": "ok", "Expiry": "2027-12-31", "ExpiryDt": "2027-12-31"}))

    assert reading.expires == date(2027, 12, 31)


@pytest.mark.parametrize("balance", [25.5, "25.50", "25.5"])
def test_a_balance_is_a_number_or_a_decimal_text(provider, balance):
    assert provider.asked(cards(OK | {"Balance": balance})).balances[0].value == Money(2550, "EUR")


def test_a_balance_has_the_connection_s_currency(provider):
    assert provider.asked(cards(OK | {"Balance": 1200}), currency="JPY").balances[0].value == Money(1200, "JPY")


@pytest.mark.parametrize("name", ["Barcode", "CardNumber"])
def test_the_record_of_the_card_we_asked_for_may_carry_its_whole_number(provider, name):
    assert provider.asked(cards(OK | {name: "6280-3900 0001-2345"}), number="12345").status is CardStatus.USABLE


# ---- What is taken for nothing -----------------------------------------------------------------------------


BALANCES: list[object] = [-5, "1e999", None, "ten", "", True, [], {}, "25,50", 25.505, "-0", 1e9]


@pytest.mark.parametrize(
    "record",
    [
        *[OK | {"Balance": wrong} for wrong in BALANCES],
        *[OK | {"Expiry": e} for e in ("soon", "2026-02-30", "20261231", "2026-W01-1", "31.12.2026", 20261231)],
        *[OK | {"Expiry": e} for e in ("0001-01-01", "9999-12-31", "2027-12-31T25:00", "２０２７-12-31", True)],
        OK | {"Expiry": "2027-12-31", "ExpiryDt": "2027-12-30"},
        OK | {"Expiry": ["2027-12-31"]},
        *[OK | {"Currency": c} for c in ("USD", "eur", "", None, 978)],
        *[OK | {"Barcode": n} for n in ("6280390000099999", "12345999", "", 6280390000012345)],
        OK | {"CardNumber": "6280390000099999"},
        *[OK | {"UsageToken": t} for t in (5, None, "a\0b", "ä", "x" * 4097)],
        *[OK | {"Status": s} for s in (None, 1, True, ["ok"])],
        {"Balance": 25.5},
        {},
        {"Status": "zero", "Balance": 5},
        {"Status": "checkpassword", "Balance": 5},
        {"Status": "checkpassword", "UsageToken": "tok3n"},
        {"Status": "checkpassword", "Note": None},
        {"status": "ok"},
    ],
    ids=repr,
)
def test_a_record_that_contradicts_itself_or_us_is_unreadable(provider, record):
    failure = provider.failure(cards(record))

    assert (type(failure), failure.reason) == (Unclear, Reason.UNREADABLE)


@pytest.mark.parametrize(
    "document",
    [
        *(
            None,
            1,
            "ok",
            [],
            {},
            {"data": None},
            {"data": []},
            {"data": {"Cards": {}}},
            {"data": {"Cards": 0}},
        ),
        *(
            {"data": {"Cards": [None]}},
            {"data": {"Cards": [[OK]]}},
            {"Data": {"Cards": [OK]}},
            {"Cards": [OK]},
        ),
        *({"data": {"cards": [OK]}}, {"data": {"Cards": [OK]}, "error": {"Code": 1}}, {"data": {"Other": 1}}),
        {"data": {"Cards": [OK, {"Status": "checkpassword"}]}},
        {"data": {"Cards": [OK, None]}},
    ],
    ids=repr,
)
def test_a_document_of_another_shape_is_unreadable(provider, document):
    failure = provider.failure(response(json.dumps(document).encode()))

    assert (type(failure), failure.reason) == (Unclear, Reason.UNREADABLE)


@pytest.mark.parametrize("word", ["suspended", "OK", "Ok", "ok ", "", "<b>", "x" * 1000])
def test_an_unknown_status_is_kept_as_the_provider_wrote_it(provider, word):
    failure = provider.failure(cards(OK | {"Status": word}))

    assert (type(failure), failure.reason) == (Unclear, Reason.UNKNOWN_WORD)
    assert failure.provider_text == word.strip()[:500]


# Whatever a body says, it is read as a card only if it says one of the five words in its place.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["ok", "zero"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "Cards", "Status", "Balance", "error", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
SHAPED = st.builds(
    lambda records: {"data": {"Cards": records}},
    st.lists(
        st.dictionaries(st.sampled_from(["Status", "Balance", "Expiry", "Currency", "UsageToken"]), JSON, max_size=4),
        max_size=2,
    ),
)


@pytest.fixture
def fuzzed(serve, wire_to):
    answers = [b""]

    def manners(server, connection):
        while server.read_request(connection):
            connection.sendall(response(answers[0]))

    server = serve(manners)
    values = {"base_url": server.origin, "api_key": KEY, "currency": "EUR"}
    connector = connect("cardinquiry", values, wire=wire_to(server))

    def ask(body):
        answers[0] = body
        return connector.balance(BalanceRequest(number=NUMBER, pin=PIN))

    return ask


@settings(
    max_examples=600,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=st.binary(max_size=100) | (JSON | SHAPED).map(lambda document: json.dumps(document).encode()))
@example(body=b'{"data": {"Cards": [{"Status": "ok", "Balance": 1e400}]}}')
def test_no_body_becomes_a_reading_by_accident(fuzzed, body):
    try:
        reading = fuzzed(body)
    except Unclear:
        return

    document = json.loads(body)
    if reading.status is CardStatus.NOT_FOUND:
        assert "error" in document or not document["data"].get("Cards")
    else:
        statuses = {record["Status"] for record in document["data"]["Cards"]}
        assert statuses <= {"ok", "zero", "expired", "needfullcode", "checkpassword"}
    assert all(0 <= balance.value.minor <= 10**9 for balance in reading.balances)


# ---- HTTP statuses -----------------------------------------------------------------------------------------

PACKET = json.dumps({"error": {"Code": 2003, "Message": f"<b>no\0</b> {NUMBER} {PIN} {KEY}"}}).encode()
SAID = "<b>no</b> ‹number› ‹pin› ‹key›"


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, Declined, Reason.REFUSED),
        (401, Misconfigured, Reason.KEY_REFUSED),
        (403, Misconfigured, Reason.ACCESS_REFUSED),
        (429, Declined, Reason.THROTTLED),
        (500, Unclear, Reason.SERVER_ERROR),
        (503, Unclear, Reason.SERVER_ERROR),
    ],
)
def test_a_status_is_told_in_our_word_with_the_provider_s_text_beside_it(provider, status, kind, reason):
    failure = provider.failure(response(PACKET, status=status))

    assert (type(failure), failure.reason, failure.provider_text) == (kind, reason, SAID)


@pytest.mark.parametrize("status", [201, 202, 204, 206, 402, 405, 410, 418])
def test_an_undocumented_status_is_unreadable(provider, status):
    failure = provider.failure(response(b'{"data": {"Cards": []}}', status=status))

    assert (type(failure), failure.reason) == (Unclear, Reason.UNREADABLE)


def test_a_refusal_without_a_readable_packet_has_no_text(provider):
    assert provider.failure(response(b"<p>Bad</p>", status=400)).provider_text == ""


def test_a_403_keeps_the_provider_s_trace(provider):
    failure = provider.failure(response(status=403, headers={"x-fieldpine-trace": "0f1e2d"}))

    assert failure.trace == "0f1e2d"


@pytest.mark.parametrize(("asked", "kept"), [("30", 30), ("999999999", 3600), ("-5", 1), (None, None)])
def test_a_429_says_how_long_to_wait(provider, asked, kept):
    failure = provider.failure(response(status=429, headers={"Retry-After": asked} if asked else {}))

    assert failure.retry_after == kept


def test_no_look_up_is_ever_repeated(provider):
    for status in (400, 401, 403, 404, 429, 500, 503):
        before = len(provider.server.requests)
        with suppress(Failure):
            provider.asked(response(status=status))
        assert len(provider.server.requests) == before + 1


def test_the_record_holds_neither_card_nor_token(provider, exchanges):
    provider.asked(cards(OK | {"Barcode": f"99{NUMBER}"}), number=NUMBER[-5:])

    recorded = repr(exchanges)
    assert f"{provider.server.origin}/OpenApi2_3,4,5,672/CardInquiry/‹number›?pass=‹pin›" in recorded
    for secret in (NUMBER, PIN, "tok3n", "server-key"):
        assert secret not in recorded


# ---- Numbers -----------------------------------------------------------------------------------------------

OPTIONS = {"minimum_length": 5, "keep_hyphens": True}


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("12345", "12345"),
        (" 6280 3900 0001\t\r\n", "628039000001"),
        ("ABC-123", "ABC-123"),
        ("abcO0Il1", "abcO0Il1"),
        ("9276004424644352", "9276004424644352"),  # fails every check digit there is
        ("x" * 40, "x" * 40),
    ],
)
def test_a_typed_number_is_tidied_and_nothing_is_guessed(typed, kept):
    assert CardInquiry.clean_number(typed, OPTIONS) == kept
    assert CardInquiry.clean_number(kept, OPTIONS) == kept


def test_hyphens_can_be_left_out():
    assert CardInquiry.clean_number("ABC-123", {**OPTIONS, "keep_hyphens": False}) == "ABC123"


@pytest.mark.parametrize(
    "typed",
    [
        *(
            "",
            "1234",
            "- - -",
            "x" * 41,
            "1" * 1_000_000,
            "../../Sales",
            "a/b/c",
            "a%2fb%2f",
            "abcde?x=",
            "abcde#b",
        ),
        *(
            "1234\u00a05678",
            "1234\u200b5678",
            "1234\u202e5678",
            "12345\0",
            "12345\n67",
            "٤٢٦٠٤",
            "４２６０４",
            "²²²²²",
            "⑥⑥⑥⑥⑥",
        ),
    ],
    ids=lambda typed: ascii(typed[:16]),
)
def test_a_number_that_cannot_be_one_is_refused_with_a_sentence(typed):
    with pytest.raises(BadNumber) as caught:
        CardInquiry.clean_number(typed, OPTIONS)

    assert str(caught.value).endswith(".")


def test_the_shortest_number_is_a_setting():
    assert CardInquiry.clean_number("1234", {"minimum_length": 4}) == "1234"
    with pytest.raises(BadNumber, match="at least 12 "):
        CardInquiry.clean_number("12345678901", {"minimum_length": 12})


def test_whether_a_pin_is_wanted_is_a_setting():
    assert CardInquiry.wants_pin({})
    assert not CardInquiry.wants_pin({"password_required": False})


# ---- Settings ----------------------------------------------------------------------------------------------

GOOD = {"base_url": "https://cards.example.com/OpenApi2/", "api_key": KEY, "currency": "EUR"}
Settings = CardInquiry.Settings


def test_the_defaults_are_the_documented_ones():
    parsed = Settings.parse(GOOD)

    assert parsed.base_url == "https://cards.example.com/OpenApi2"
    assert Settings.options(GOOD) == {
        "base_url": "https://cards.example.com/OpenApi2",
        "currency": "EUR",
        "check_number": "TILLSIDETEST",
        "minimum_length": 5,
        "keep_hyphens": True,
        "password_required": True,
        "client_context_mode": "prefixed_headers",
        "client_context_required": False,
        "product": 0,
        "payment_type": "prepay",
        "whole_length": 12,
    }


@pytest.mark.parametrize("key", ["aVisibleKeyb", "VISIBLEKEY", "x.visiblekey"])
def test_a_browser_key_is_refused_as_a_server_s(wire_to, key):
    with pytest.raises(SettingsError) as caught:
        Settings.parse(GOOD | {"api_key": key})
    with pytest.raises(Misconfigured) as stored:
        connect("cardinquiry", GOOD | {"api_key": key}, wire=wire_to())

    assert caught.value.errors == {"api_key": "This is the browser key. Ask your provider for the server key."}
    assert stored.value.reason is Reason.WRONG_KEY


@pytest.mark.parametrize("key", ["", " ", "a b", "a\nb", "a\0", "ä", "key ", "x" * 513])
def test_a_key_that_cannot_be_a_header_is_refused(key):
    with pytest.raises(SettingsError) as caught:
        Settings.parse(GOOD | {"api_key": key})

    assert caught.value.errors.keys() == {"api_key"}


def test_the_longest_key_is_taken():
    assert Settings.parse(GOOD | {"api_key": "x" * 512}).api_key == "x" * 512


@pytest.mark.parametrize(
    "url",
    [
        "https://cards.example.com/OpenApi_3$R20260101$$token",
        "https://cards.example.com/../x",
        "https://cards.example.com/a//b",
        "https://cards.example.com/a%2fb",
        "https://cards.example.com/?a=b",
        "https://cards.example.com/ä",
    ],
)
def test_an_address_with_anything_but_a_plain_path_is_refused(url):
    with pytest.raises(SettingsError) as caught:
        Settings.parse(GOOD | {"base_url": url})

    assert caught.value.errors.keys() == {"base_url"}


def test_an_address_with_a_token_in_it_is_told_apart():
    with pytest.raises(SettingsError) as caught:
        Settings.parse(GOOD | {"base_url": "https://cards.example.com/OpenApi_3$R20260101$$token"})

    assert "access token" in caught.value.errors["base_url"]


@pytest.mark.parametrize("url", ["https://cards.example.com", "https://cards.example.com/OpenApi2_3,4,5,672"])
def test_the_vendor_s_addresses_are_taken(url):
    assert Settings.parse(GOOD | {"base_url": url}).base_url == url


@pytest.mark.parametrize("currency", ["eur", "€", "XXX", "", "EURO"])
def test_what_is_no_currency_is_refused(currency):
    with pytest.raises(SettingsError) as caught:
        Settings.parse(GOOD | {"currency": currency})

    assert caught.value.errors.keys() == {"currency"}


@pytest.mark.parametrize(("length", "good"), [(3, False), (4, True), (40, True), (41, False)])
def test_the_shortest_number_is_between_4_and_40(length, good):
    if good:
        assert Settings.parse(GOOD | {"minimum_length": length}).minimum_length == length
    else:
        with pytest.raises(SettingsError):
            Settings.parse(GOOD | {"minimum_length": length})


def test_a_moment_of_expiry_is_comparable_with_now(provider):
    reading = provider.asked(cards(OK | {"Expiry": (datetime.now(UTC) + timedelta(days=1)).isoformat()}))

    assert reading.expires_at > datetime.now(UTC)
