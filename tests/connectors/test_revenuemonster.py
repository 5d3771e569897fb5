"""Revenue Monster: held against its sandbox and the published signatures, and what an answer is taken for."""

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from portal.connectors import revenuemonster_signing as signing
from portal.connectors.base import (
    AwardRequest,
    BadNumber,
    Balance,
    BalanceRequest,
    CardStatus,
    CodeRequest,
    Declined,
    Detail,
    Failure,
    Misconfigured,
    PointsRequest,
    Reason,
    SettingsError,
    Unclear,
    Unreachable,
    VoidRequest,
)
from portal.connectors.http import Exchange, Wire
from portal.connectors.revenuemonster import RevenueMonster
from portal.connectors.revenuemonster_answers import DECLINED, MISCONFIGURED, THROTTLED, UNCLEAR
from portal.connectors.revenuemonster_settings import RevenueMonsterSettings
from portal.connectors.tokens import OwnTokens
from portal.money import Money, Points
from tests.conftest import Sandbox
from tests.connectors.servers import answering, response

PUBLISHED = json.loads((Path(__file__).parent.parent / "signatures" / "revenuemonster.json").read_text())
MEMBER, PHONE = "2777058682717858418", "+60176473298"
AWARD = "/v3/loyalty/spending-reward"
REFERENCE = "0198c5a2e7c07b3e9f5f2b1c4d6e8f90"
TOKEN = response(b'{"accessToken": "canary-access", "expiresIn": 2591999}')

Ask = Callable[[], RevenueMonster]


def magic(end: str) -> str:
    return f"27770586827178585{end}"


def award(number: str = MEMBER, sen: int = 1250, **more: Any) -> AwardRequest:
    return AwardRequest(number=number, amount=Money(sen, "MYR"), reference=REFERENCE, **more)


def code(sen: int = 1250) -> CodeRequest:
    return CodeRequest(amount=Money(sen, "MYR"), reference=REFERENCE)


def cancel(id: str, sen: int = 1250) -> VoidRequest:
    return VoidRequest(original=id, amount=Money(sen, "MYR"), reference=REFERENCE)


def points(count: int, number: str = MEMBER) -> PointsRequest:
    return PointsRequest(number=number, points=Points(count), reference=REFERENCE)


@pytest.fixture
def ask(sandbox: Sandbox, exchanges: list[Exchange]) -> Iterator[Ask]:
    """A connector of the sandbox's own merchant, with a token for as long as the test."""
    wire = Wire(allow=[sandbox.url])
    known = sandbox.credentials("revenuemonster")
    names = ("client_id", "client_secret", "private_key", "public_key")
    settings = RevenueMonsterSettings.parse(
        dict.fromkeys(("base_url", "oauth_url"), f"{sandbox.url}/revenuemonster")
        | {name: known[name] for name in names}
    )
    tokens = OwnTokens()

    def made() -> RevenueMonster:
        connector = RevenueMonster(settings, wire, exchanges.append, environment="sandbox")
        connector.tokens = tokens
        return connector

    yield made
    wire.close()


def held(connector: RevenueMonster, number: str = MEMBER) -> int:
    (balance,) = connector.balance(BalanceRequest(number=number)).balances
    assert isinstance(balance.value, Points)
    return balance.value.count


def moved(sandbox: Sandbox) -> list[Any]:
    connection = http.client.HTTPConnection(str(urlsplit(sandbox.url).hostname), urlsplit(sandbox.url).port, timeout=10)
    connection.request("GET", "/_sandbox/effects")
    told = [json.loads(line) for line in connection.getresponse().read().splitlines()]
    return [(each["verb"], each["subject"], each["amount"], each["points"]) for each in told]


def failure(act: Callable[[], object]) -> Failure:
    with pytest.raises(Failure) as caught:
        act()
    return caught.value


# ---- Signatures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", PUBLISHED["vectors"], ids=lambda vector: vector["name"])
def test_a_published_signature_fits_what_we_would_sign(vector: Any) -> None:
    body = b"" if vector["body"] is None else signing.canonical(vector["body"])
    text = signing.signed_text(
        body, method=vector["method"], nonce=vector["nonce"], timestamp=vector["timestamp"], url=vector["url"]
    )

    assert signing.verifies(text, f"sha256 {vector['signature']}", PUBLISHED["public_key"])


def test_what_we_sign_fits_our_own_public_key_and_nothing_else() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = pem(key)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    header = signing.sign(b"text", private)

    assert signing.verifies(b"text", header, public.decode())
    assert not signing.verifies(b"Text", header, public.decode())
    assert not signing.verifies(b"text", header.removeprefix("sha256 "), public.decode())
    assert not signing.verifies(b"text", "sha256 ?", public.decode())
    assert not signing.verifies(b"text", header, PUBLISHED["public_key"])


def test_only_what_the_provider_escapes_is_escaped() -> None:
    assert signing.canonical({"b": "<é&>\u2028", "a": {"z": 1, "y": []}}) == (
        '{"a":{"y":[],"z":1},"b":"\\u003cé\\u0026\\u003e\\u2028"}'.encode()
    )


# ---- Settings ------------------------------------------------------------------------------------------------


def pem(key: Any, password: bytes | None = None) -> str:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    written: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    return written.decode()


def settings(**changed: object) -> dict[str, object]:
    usual = {
        "base_url": "https://sb-open.revenuemonster.my",
        "oauth_url": "https://sb-oauth.revenuemonster.my",
        "client_id": "1",
        "client_secret": "s",
    }
    return {**usual, **changed}


def test_a_key_whose_line_breaks_were_lost_is_the_same_key() -> None:
    key = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))

    one_line = RevenueMonsterSettings.parse(settings(private_key=key.replace("\n", " ")))
    windows = RevenueMonsterSettings.parse(settings(private_key=key.replace("\n", "\r\n")))

    assert one_line.private_key == windows.private_key == key
    assert "PRIVATE" not in repr(one_line)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("nonsense", "This is not a key."),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "This key is damaged"),
        (PUBLISHED["public_key"], "This is the public key."),
        (pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "This key is too short"),
        (pem(rsa.generate_private_key(public_exponent=65537, key_size=2048), b"x"), "This key is locked"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "This key is damaged, or not one for RSA."),
    ],
    ids=["text", "damaged", "public", "short", "locked", "curve"],
)
def test_a_key_that_cannot_sign_is_refused_with_what_is_wrong(key: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        RevenueMonsterSettings.parse(settings(private_key=key))

    assert caught.value.errors.keys() == {"private_key"}
    assert caught.value.errors["private_key"].startswith(sentence)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"base_url": "https://sb-open.revenuemonster.my/v3"}, "base_url"),
        ({"oauth_url": "https://sb-oauth.revenuemonster.my/v1"}, "oauth_url"),
        ({"client_id": "a:b"}, "client_id"),
        ({"currency": "SGD"}, "currency"),
        ({"public_key": pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))}, "public_key"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(changed: dict[str, object], field: str) -> None:
    with pytest.raises(SettingsError) as caught:
        RevenueMonsterSettings.options(settings(**changed))

    assert caught.value.errors.keys() == {field}


# ---- Whom ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        (MEMBER, MEMBER),
        ("2777 0586 8271 7858 418", MEMBER),
        ("017-647 3298", PHONE),
        ("176473298", PHONE),
        ("60176473298", PHONE),
        ("+60 17-647 3298", PHONE),
        ("0060176473298", PHONE),
        ("+65 8123 4567", "+6581234567"),
    ],
)
def test_a_member_is_typed_by_number_or_by_phone(typed: str, clean: str) -> None:
    assert RevenueMonster.clean_number(typed, {}) == clean
    assert RevenueMonster.clean_number(clean, {}) == clean


@pytest.mark.parametrize("typed", ["", "12", "0123", "abc", "+", "+999123", "2" * 21, "017 647 3298 x"])
def test_what_is_neither_is_refused(typed: str) -> None:
    with pytest.raises(BadNumber):
        RevenueMonster.clean_number(typed, {})


@pytest.mark.parametrize("number", [MEMBER, PHONE])
def test_a_look_up_tells_the_points(ask: Ask, number: str) -> None:
    reading = ask().balance(BalanceRequest(number=number))

    assert reading.status is CardStatus.USABLE
    assert reading.balances == (Balance("points", Points(1000)),)


def test_nobody_is_told_from_somebody_without_points(ask: Ask) -> None:
    assert ask().balance(BalanceRequest(number=magic("99"))).status is CardStatus.NOT_FOUND
    assert ask().balance(BalanceRequest(number="+60129999999")).status is CardStatus.NOT_FOUND
    assert ask().balance(BalanceRequest(number=magic("01"))).status is CardStatus.EMPTY


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("15", Reason.MISMATCH),
        ("16", Reason.UNREADABLE),
        ("17", Reason.UNREADABLE),
        ("18", Reason.UNREADABLE),
        ("24", Reason.SERVER_ERROR),
    ],
)
def test_a_look_up_that_contradicts_itself_tells_nothing(ask: Ask, end: str, reason: Reason) -> None:
    for number in (magic(end), f"+601876000{end}"):
        told = failure(lambda number=number: ask().balance(BalanceRequest(number=number)))  # type: ignore[misc]
        assert (type(told), told.reason) == (Unclear, reason)


# ---- The points for a purchase -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [MEMBER, PHONE])
def test_a_purchase_gives_what_was_predicted(ask: Ask, sandbox: Sandbox, number: str) -> None:
    predicted = ask().predict(Money(1250, "MYR"))
    receipt = ask().award(award(number))

    assert predicted == Points(12)
    assert (receipt.provider_reference, receipt.balances) == ("", ())
    assert held(ask()) == 1012
    assert moved(sandbox) == [("award", MEMBER, 1250, 12)]


def test_an_id_is_kept_where_an_answer_has_one(ask: Ask) -> None:
    assert ask().award(award(magic("06"))).provider_reference == "83f575034d45f776b8e1fed1a26e2fee"


@pytest.mark.parametrize(
    ("end", "kind", "reason"),
    [
        ("03", Declined, Reason.REFUSED),
        ("04", Unclear, Reason.SERVER_ERROR),
        ("05", Declined, Reason.REFUSED),
        ("07", Unclear, Reason.UNREADABLE),
        ("08", Unclear, Reason.UNREADABLE),
        ("09", Unclear, Reason.UNREADABLE),
        ("10", Unclear, Reason.PENDING),
        ("11", Unclear, Reason.SERVER_ERROR),
        ("12", Unclear, Reason.SERVER_ERROR),
        ("13", Unclear, Reason.SERVER_ERROR),
        ("14", Unclear, Reason.UNKNOWN_WORD),
        ("20", Unclear, Reason.THROTTLED),
        ("22", Misconfigured, Reason.ACCESS_REFUSED),
        ("23", Misconfigured, Reason.ACCESS_REFUSED),
        ("24", Unclear, Reason.SERVER_ERROR),
        ("99", Declined, Reason.CARD_UNKNOWN),
    ],
)
def test_an_award_ends_in_the_right_word(
    ask: Ask, sandbox: Sandbox, end: str, kind: type[Failure], reason: Reason
) -> None:
    told = failure(lambda: ask().award(award(magic(end))))

    assert (type(told), told.reason) == (kind, reason)
    # What was refused was not done. What is unclear may have been: that is what the word says.
    assert kind is Unclear or moved(sandbox) == []


def test_an_award_is_sent_once_whatever_comes(ask: Ask, sandbox: Sandbox, exchanges: list[Exchange]) -> None:
    held(ask())
    exchanges.clear()
    sandbox.arm("error_after", provider="revenuemonster", path=f"{AWARD}$", times=5)

    told = failure(lambda: ask().award(award()))

    assert (type(told), len(exchanges)) == (Unclear, 1)
    assert len(moved(sandbox)) == 1


@pytest.mark.parametrize(
    "request_",
    [
        award("12"),
        AwardRequest(number=MEMBER, amount=Money(100, "SGD"), reference=REFERENCE),
        award(""),
    ],
)
def test_what_cannot_be_sent_is_not(ask: Ask, exchanges: list[Exchange], request_: AwardRequest) -> None:
    told = failure(lambda: ask().award(request_))

    assert (type(told), told.reason, exchanges) == (Declined, Reason.BAD_INPUT, [])


def test_whoever_paid_with_wechat_may_have_the_points_already() -> None:
    warned = {paid: RevenueMonster.warning("award", {"paid_with": paid}) for paid in ("wechat_oa", "wechat", "other")}

    assert [paid for paid, said in warned.items() if said] == ["wechat_oa"]
    assert RevenueMonster.warning("issue_code", {"paid_with": "wechat_oa"})
    assert RevenueMonster.warning("issue_points", {"paid_with": "wechat_oa"}) is None


# ---- Fixed points --------------------------------------------------------------------------------------------


def test_points_are_given_and_taken(ask: Ask, sandbox: Sandbox) -> None:
    ask().issue_points(points(20, PHONE))
    ask().redeem_points(points(5))

    assert held(ask()) == 1015
    assert moved(sandbox) == [("issue_points", MEMBER, None, 20), ("redeem_points", MEMBER, None, 5)]


def test_more_than_there_is_is_not_taken(ask: Ask, sandbox: Sandbox) -> None:
    told = failure(lambda: ask().redeem_points(points(1001)))

    assert (type(told), told.reason) == (Declined, Reason.NOT_ENOUGH)
    assert moved(sandbox) == []


def test_points_are_taken_by_phone_where_the_profile_tells_the_member(
    ask: Ask, sandbox: Sandbox, exchanges: list[Exchange]
) -> None:
    ask().redeem_points(points(5, "+60172826990"))

    assert moved(sandbox) == [("redeem_points", "2777058682717858419", None, 5)]
    ways = [(each.method, urlsplit(each.url).path.rsplit("/", 2)[-2]) for each in exchanges[1:]]
    assert ways == [("GET", "loyalty"), ("GET", "member"), ("DELETE", "loyalty")]
    assert "2777058682717858419" not in repr(exchanges), "the number of a member is in no record"
    assert "172826990" not in repr(exchanges)


@pytest.mark.parametrize("phone", [PHONE, "+60187600019"], ids=["no ID", "the ID of somebody else"])
def test_points_are_not_taken_from_a_phone_whose_member_nobody_tells(ask: Ask, sandbox: Sandbox, phone: str) -> None:
    told = failure(lambda: ask().redeem_points(points(5, phone)))

    assert (type(told), told.reason) == (Declined, Reason.MEMBER_WANTED)
    assert moved(sandbox) == []


@pytest.mark.parametrize("status", [429, 503])
def test_a_look_up_that_fails_before_points_are_taken_has_taken_none(serve: Any, wire_to: Any, status: int) -> None:
    server = serve(answering(TOKEN, response(status=status)))

    assert isinstance(failure(lambda: there(server, wire_to).redeem_points(points(5, PHONE))), Unreachable)


# ---- Codes ---------------------------------------------------------------------------------------------------


def test_a_code_gives_nothing_until_it_is_scanned_and_can_be_cancelled(ask: Ask, sandbox: Sandbox) -> None:
    receipt = ask().issue_code(code())
    assert receipt.provider_reference not in receipt.code
    assert receipt.code.startswith(f"{sandbox.url}/revenuemonster/qr/")
    assert held(ask()) == 1000

    assert ask().void(cancel(receipt.provider_reference)).provider_reference == receipt.provider_reference

    again = failure(lambda: ask().void(cancel(receipt.provider_reference)))
    assert (type(again), again.reason) == (Declined, Reason.TOO_LATE)
    assert [each[0] for each in moved(sandbox)] == ["issue_code", "void"]


def test_what_gives_points_is_in_no_record(ask: Ask, exchanges: list[Exchange]) -> None:
    receipt = ask().issue_code(code())

    assert receipt.code not in repr(exchanges) + repr(receipt)
    assert receipt.code.rsplit("/", 1)[1] not in repr(exchanges)


@pytest.mark.parametrize(
    "item", [{}, {"id": "a"}, {"id": "", "qrCodeUrl": "https://x/y"}, {"id": "a", "qrCodeUrl": "x"}]
)
def test_half_a_code_is_none(serve: Any, wire_to: Any, item: object) -> None:
    body = json.dumps({"code": "SUCCESS", "item": item}).encode()
    server = serve(answering(TOKEN, response(body)))

    told = failure(lambda: there(server, wire_to).issue_code(code()))

    assert (type(told), told.reason) == (Unclear, Reason.UNREADABLE)


# ---- Tokens --------------------------------------------------------------------------------------------------


def there(server: Any, wire_to: Any, into: list[Exchange] | None = None) -> RevenueMonster:
    addresses = dict.fromkeys(("base_url", "oauth_url"), f"{server.origin}/base")
    key = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    parsed = RevenueMonsterSettings.parse(
        {**addresses, "client_id": "1", "client_secret": "canary-secret", "private_key": key}
    )
    return RevenueMonster(parsed, wire_to(server), (into if into is not None else []).append, total_seconds=2.0)


def test_a_token_is_fetched_once(ask: Ask, exchanges: list[Exchange]) -> None:
    held(ask())
    held(ask())

    assert [exchange.url.endswith("/v1/token") for exchange in exchanges] == [True, False, False]


@pytest.mark.parametrize("code_", ["TOKEN_EXPIRED", "TOKEN_INVALID"])
def test_a_token_that_is_refused_is_replaced_once(serve: Any, wire_to: Any, code_: str) -> None:
    refused = response(json.dumps({"error": {"code": code_, "message": "No"}}).encode(), status=401)
    server = serve(answering(TOKEN, refused, TOKEN, response(b'{"code": "SUCCESS"}')))
    there(server, wire_to).award(award())
    assert len(server.requests) == 4

    stubborn = serve(answering(TOKEN, refused, TOKEN, refused))
    told = failure(lambda: there(stubborn, wire_to).award(award()))
    assert (type(told), told.reason, len(stubborn.requests)) == (Misconfigured, Reason.KEY_REFUSED, 4)


def test_a_wrong_clock_is_told_from_a_wrong_key(ask: Ask, sandbox: Sandbox) -> None:
    held(ask())
    sandbox.arm("clock", provider="revenuemonster", seconds=125)

    told = failure(lambda: ask().award(award()))

    assert (type(told), told.detail) == (Misconfigured, Detail.CLOCK)


def test_neither_phone_nor_secret_is_in_a_record_of_what_was_signed_wrongly(
    ask: Ask, exchanges: list[Exchange]
) -> None:
    connector = ask()
    held(connector)
    connector.settings = RevenueMonsterSettings.parse(
        {
            **vars(connector.settings),
            "private_key": pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        }
    )

    told = failure(lambda: connector.award(award(PHONE)))

    assert (type(told), told.detail) == (Misconfigured, Detail.SIGNATURE)
    recorded = repr(exchanges)
    assert "canonicalJson" in recorded  # the sandbox tells all that it was sent, in clear and in base64
    assert "176473298" not in recorded
    assert connector.settings.client_secret not in recorded


# ---- The appendix --------------------------------------------------------------------------------------------

# What each code of the appendix that can concern these calls is taken for when a value was to be moved.
APPENDIX: dict[tuple[type[Failure], Reason], str] = {
    (Misconfigured, Reason.KEY_REFUSED): """
        INVALID_REQUEST_SIGNATURE INVALID_SIGNATURE SIGNATURE_INVALID INVALID_PUBLIC_KEY CLIENT_NOT_SET_PUBLIC_KEY
        INVALID_TIMESTAMP TOKEN_EXPIRED TOKEN_INVALID TOKEN_SUSPENDED UNAUTHORIZED NOT_AUTH CLIENT_NOT_FOUND
        CLIENT_INVALID INVALID_CLIENT InvalidClient InvalidGrant InvalidScope""",
    (Misconfigured, Reason.ACCESS_REFUSED): """
        CLIENT_NO_PERMISSION CLIENT_PRODUCT_NOT_SETUP INVALID_SCOPE NOT_SUBSCRIBE LOYALTY_NOT_SUBSCRIBED
        SUB_MERCHANT_DOES_NOT_ALLOWED_LOYALTY SUBSCRIPTION_EXPIRED SUBSCRIPTION_NOT_ACTIVE SUBSCRIPTION_NOT_FOUND
        MERCHANT_INACTIVE MERCHANT_NOT_ACTIVE MERCHANT_NOT_SETUP MERCHANT_SUSPENDED
        InActiveClient UnAuthorizedClient AccessDenied""",
    (Declined, Reason.REFUSED): """
        VALIDATION_ERROR INVALID_PARAMETER INVALID_REQUEST INVALID_FORMAT INVALID_HTTP_METHOD METHOD_NOT_ALLOWED
        PAYMENT_CURRENCY_INVALID PAYMENT_UNSUPPORTED_CURRENCY_TYPE PAYMENT_AMT_INVALID MINIMUM_AMOUNT_REQUIRED
        API_ENDPOINT_NOT_FOUND API_INACTIVE SPENDING_NOT_FOUND LOYALTY_SPENDING_NOT_ALLOWED LOYALTY_QUANTITY_MAX
        LOYALTY_NOT_CORRECT_FORMAT MEMBER_TIER_NOT_FOUND MEMBER_REGISTERED LOYALTY_MEMBER_REGISTRATION_TOO_MANY
        GRANT_TYPE_INVALID InvalidRequest InvalidCode UnSupportedGrantType UnSupportedResponseType""",
    (Declined, Reason.CARD_UNKNOWN): "MEMBER_NOT_FOUND MEMBER_NOT_MERCHANT",
    (Declined, Reason.NOT_ENOUGH): "LOYALTY_INSUFFICIENT INSUFFICIENT_LOYALTY_BALANCE",
    (Declined, Reason.ORIGINAL_UNKNOWN): "LOYALTY_SPENDING_NOT_FOUND LOYALTY_NOT_FOUND QR_INVALID",
    (Declined, Reason.CLAIMED): "LOYALTY_POINT_ALREADY_REDEEMED QR_REDEEMED",
    (Declined, Reason.ENDED): "LOYALTY_EXPIRED",
    (Unclear, Reason.SERVER_ERROR): """
        INTERNAL_ERROR SYSTEM_ERROR OVERLOAD LOYALTY_GENERATE_ERROR LOYALTY_STATUS_ERROR InternalError
        TemporaryUnAvailable""",
    (Unclear, Reason.PENDING): "LOYALTY_POINT_IS_PROCESSING",
    (Unclear, Reason.THROTTLED): "TOO_MANY_REQUEST_PER_SECOND EXCEEDED_LIMIT",
    (Unclear, Reason.DUPLICATE): "DUPLICATE_REQUEST",  # ours: the appendix has none for a nonce that was seen
    # Of calls that we never make, spelled as printed; and of no list at all.
    (
        Unclear,
        Reason.UNKNOWN_WORD,
    ): "TRANSACTIN_STATUS_NOT_SUCCESS AGREMENT_NOT_SIGNED VOUCHER_NOT_FOUND member_not_found",
}


def test_the_appendix_is_whole_and_no_code_has_two_meanings() -> None:
    known = [*DECLINED, *MISCONFIGURED, *UNCLEAR, *THROTTLED]
    told = [code_ for (_, reason), codes in APPENDIX.items() for code_ in codes.split() if reason != "unknown_word"]

    assert sorted(known) == sorted(told)
    assert len(set(told)) == len(told)


@pytest.mark.parametrize(
    ("code_", "kind", "reason"),
    [pytest.param(code_, *meaning, id=code_) for meaning, codes in APPENDIX.items() for code_ in codes.split()],
)
def test_a_code_means_the_same_with_any_status_below_500(
    serve: Any, wire_to: Any, code_: str, kind: type[Failure], reason: Reason
) -> None:
    body = json.dumps({"error": {"code": code_, "message": "No"}}).encode()
    answers = [response(body, status=status) for status in (400, 403, 404, 422, 500)]
    server = serve(answering(TOKEN, *answers))
    connector = there(server, wire_to)

    told = [failure(lambda: connector.award(award())) for _ in answers]

    assert {(type(each), each.reason) for each in told[:-1]} == {(kind, reason)}
    assert all(code_ in each.provider_text for each in told)
    assert type(told[-1]) is Unclear
