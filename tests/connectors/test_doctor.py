"""The doctor: every way a connection can be wrong, found at the real sandbox or at real servers with bad manners, and
the sentence each provider has for it."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from portal.connectors import PROVIDERS, findings
from portal.connectors.base import VERBS, BalanceRequest, Detail, Reason
from portal.connectors.doctor import Finding, Step, capabilities, clock_offset, examine, words_for
from portal.connectors.evidence import Exchange
from portal.connectors.http import LARGEST_ANSWER, Wire
from portal.connectors.paywizard import PRODUCTION, SANDBOX, PayWizard
from tests.connectors.certificates import NAME, tls_1_1
from tests.connectors.servers import Server, answering, hanging_up_after, response, silent_after
from tests.connectors.test_contract import SETTINGS

REACHABLE, ACCEPTED, READS = Step

# ---- The words -----------------------------------------------------------------------------------------------
# Every reason and every detail has its sentence here, once for all providers. Who adds one writes its sentence.

SENTENCES: dict[Reason | Detail, str] = {
    Reason.BAD_INPUT: "The card number for tests cannot be one of {}'s.",
    Reason.REFUSED: "{} refuses to answer a harmless question.",
    Reason.MEMBER_WANTED: "{} answers a mere question as if it were a payment.",
    Reason.NOT_ENOUGH: "{} answers a mere question as if it were a payment.",
    Reason.CARD_UNKNOWN: "{} does not know the card number for tests.",
    Reason.CARD_INACTIVE: "The card number for tests is that of a card that is not active.",
    Reason.TOKEN_LAPSED: "{} answers a mere question as if it were a payment.",
    Reason.ORIGINAL_UNKNOWN: "{} answers a mere question as if it were a payment.",
    Reason.TOO_LATE: "{} answers a mere question as if it were a payment.",
    Reason.CLAIMED: "{} answers a mere question as if it were a payment.",
    Reason.ENDED: "{} answers a mere question as if it were a payment.",
    Reason.PENDING: "{} answers a mere question as if it were a payment.",
    Reason.DUPLICATE: "{} answers a mere question as if it were a payment.",
    Reason.MISMATCH: "{} answers about another card than the one we asked for.",
    Reason.THROTTLED: "{} asks us to slow down.",
    Reason.KEY_REFUSED: "{} does not accept our credentials.",
    Reason.ACCESS_REFUSED: "{} knows our credentials and does not let them look cards up.",
    Reason.WRONG_KEY: "The stored key is one meant for browsers.",
    Reason.SETTINGS: "The settings are not complete, or one of them does not fit.",
    Reason.ADDRESS_REFUSED: "This is an address we never call.",
    Reason.UNREACHABLE: "{} cannot be reached.",
    Reason.CERTIFICATE: "The certificate of this host is not valid.",
    Reason.TIMEOUT: "{} did not answer in time.",
    Reason.CUT: "The connection broke before the answer of {} was complete.",
    Reason.UNREADABLE: "The answer of {} cannot be read.",
    Reason.UNKNOWN_WORD: "{} answers with something we do not know.",
    Reason.REDIRECTED: "This address sends us on to another one, which we never follow.",
    Reason.SERVER_ERROR: "{} has trouble of its own.",
    Reason.UNSUPPORTED: "{} takes no harmless question.",
    Detail.NAME_UNKNOWN: "Nobody knows a host with this name.",
    Detail.NAME_UNANSWERED: "The name of the host could not be looked up just now.",
    Detail.CONNECTION_REFUSED: "The host is there and refuses the connection.",
    Detail.NO_CONNECTION: "The host gives no answer when we try to connect.",
    Detail.NO_ROUTE: "There is no way from our server to this host.",
    Detail.CERTIFICATE_EXPIRED: "The certificate of this host has expired.",
    Detail.CERTIFICATE_NOT_YET: "The certificate of this host is not valid yet.",
    Detail.CERTIFICATE_OTHER_HOST: "The certificate is for another host than the one in the address.",
    Detail.CERTIFICATE_UNKNOWN_ISSUER: "The certificate of this host was issued by nobody we know.",
    Detail.TLS_TOO_OLD: "This host encrypts only in an old way that is no longer safe.",
    Detail.NO_TLS: "This host does not answer with an encrypted connection.",
    Detail.FOREIGN: "Something answers at this address, and it is not {}.",
    Detail.TEST_ADDRESS: "This connection is for real cards, and its address is that of a test environment.",
    Detail.LIVE_ADDRESS: "This connection is for practice, and its address is that of real cards.",
    Detail.SIGNATURE: "{} finds our signature wrong.",
    Detail.TOKEN_REFUSED: "{} does not know our token.",
    Detail.TOKEN_EXPIRED: "Our token at {} has expired.",
    Detail.CLOCK: "{} says that our clock is wrong.",
}

# Where a provider's own words differ. Every provider has an entry, if an empty one.
OWN: dict[str, dict[Reason | Detail, str]] = {
    "cardinquiry": {
        Reason.KEY_REFUSED: "CardInquiry does not accept our key.",
        Reason.ACCESS_REFUSED: "CardInquiry refuses us access.",
        Reason.WRONG_KEY: "The stored key is the browser key: it contains the words VisibleKey.",
    },
    "paywizard": {},
    "revenuemonster": {
        Reason.ACCESS_REFUSED: "{} knows our credentials and does not let them give points.",
    },
    "secuconnect": {},
}


def sentence_of(slug: str, key: Reason | Detail) -> str:
    return OWN[slug].get(key, SENTENCES[key]).format(PROVIDERS[slug].name)


def test_every_reason_and_every_detail_has_a_sentence_and_every_provider_its_own():
    assert SENTENCES.keys() == findings.WORDS.keys() == {*Reason, *Detail}
    assert OWN.keys() == PROVIDERS.keys()
    for slug, provider in PROVIDERS.items():
        others = {key for key, words in provider.words.items() if words.sentence != findings.WORDS[key].sentence}
        assert others == OWN[slug].keys()


@pytest.mark.parametrize("key", [*Reason, *Detail])
@pytest.mark.parametrize("slug", PROVIDERS)
def test_a_failure_has_one_sentence_and_one_thing_to_do(slug, key):
    provider = PROVIDERS[slug]
    words = words_for(provider, *((key, None) if isinstance(key, Reason) else (Reason.SETTINGS, key)))

    said = [text % {"provider": provider.name, "seconds": 94} for text in words.texts()]
    assert said[0] == sentence_of(slug, key)
    assert len(said) >= 2
    for text in said:
        assert re.fullmatch(rf"(?:[A-Z]|{re.escape(provider.name)} ).*[^.]\.", text)
        assert not re.search(r"[.!?] [A-Z]", text)


# ---- Arrangements ----------------------------------------------------------------------------------------------


@pytest.fixture(params=PROVIDERS)
def slug(request):
    return request.param


def settings_at(slug: str, address: str, **settings: object) -> dict[str, object]:
    declared = PROVIDERS[slug].Settings.declared()
    addresses = {name: address for name, asked in declared.items() if asked.kind == "address"}
    return {**SETTINGS[slug], **addresses, **settings}


@pytest.fixture
def visit() -> Iterator[Callable[..., Any]]:
    """Examines a connection to a server of this machine."""
    made: list[Wire] = []

    def visited(slug, server, *, allow=True, environment="sandbox", resolve=None, ca_file=None, **more):
        origin = server if isinstance(server, str) else server.origin
        known = {"resolve": resolve} if resolve else {}
        made.append(Wire(allow=[origin] if allow else [], ca_file=ca_file, **known))
        settings = settings_at(slug, f"{origin}{more.pop('path', '/base')}", **more.pop("settings", {}))
        limits = {"connect_seconds": 1.0, "total_seconds": 2.0} | more
        return examine(slug, settings, wire=made[-1], environment=environment, **limits)

    yield visited
    for wire in made:
        wire.close()


@pytest.fixture
def practise(sandbox):
    """Examines a connection to the sandbox, with its own credentials except where told otherwise."""
    wire = Wire(allow=[sandbox.url])

    def examined(slug, *, environment="sandbox", path="", total_seconds=5.0, settings=None, **more):
        declared = PROVIDERS[slug].Settings.declared()
        known = {name: text for name, text in sandbox.credentials(slug).items() if name in declared}
        known = settings_at(slug, f"{sandbox.url}/{slug}{path}") | known | (settings or {})
        return examine(slug, known, wire=wire, environment=environment, total_seconds=total_seconds, **more)

    yield examined
    wire.close()


def steps(found):
    return [(each.step, each.passed) for each in found]


# Where a token is fetched first.
CALLS = {"revenuemonster": 2, "secuconnect": 2}


# ---- A good connection ---------------------------------------------------------------------------------------


def test_a_good_connection_passes_every_step(practise, slug):
    name = PROVIDERS[slug].name
    found = practise(slug)

    assert [str(each.sentence) for each in found] == [
        f"{name} answers, and our clocks agree.",
        f"{name} accepts our credentials.",
        f"{name} answered a harmless question.",
    ]
    assert all(each.passed and each.fix == "" and each.reason is None and each.detail is None for each in found)
    assert (found[0].clock_offset, found[1].clock_offset) == (0, None)


def test_an_examination_is_one_harmless_call(practise, sandbox, slug):
    told: list[Finding] = []
    calls: list[Exchange] = []
    found = practise(slug, on_finding=told.append, on_exchange=calls.append)

    assert tuple(told) == found
    assert len(calls) == sandbox.call("GET", "/_sandbox/calls")[slug]["total"] == CALLS.get(slug, 1)
    effect = sandbox.call("GET", "/_sandbox/effects")  # of one look-up, where it is kept as one
    assert effect is None or effect["verb"] == "balance"


def test_a_card_that_is_found_is_as_good_as_one_that_is_not(practise):
    for number in ("914639258868500", "914639258868501", "914639258868524"):
        assert steps(practise("paywizard", settings={"check_number": number})) == [(step, True) for step in Step]


# ---- What each provider may answer ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One way to fail. `at` arranges it: the answers of a server, or what is done at the sandbox."""

    at: Any
    step: Step
    reason: Reason
    detail: Detail | None = None
    settings: dict[str, object] = field(default_factory=dict)
    path: str = ""
    said: str = ""
    retry_after: int | None = None


@dataclass(frozen=True)
class Fault:
    """Armed at the sandbox."""

    kind: str
    seconds: float | None = None
    path: str = ""


SANDBOX_ITSELF = Fault("")


def packet(status: int, message: str = "no", **headers: str) -> bytes:
    body = json.dumps({"error": {"Code": 1, "Message": message}}).encode()
    return response(body, status=status, headers={name.replace("_", "-"): text for name, text in headers.items()})


def envelope(code: int, msg: str = "success", data: object = None, status: int = 200) -> bytes:
    body = {"code": code, "msg": msg, "timestamp": "2026-07-24 13:06:10", "data": data}
    return response(json.dumps(body).encode(), status=status)


def account(number: str = "0" * 15, **more: object) -> dict[str, object]:
    return {"accountId": number, "balances": [], **more}


def paywizard_card(end: str) -> dict[str, object]:
    return {"check_number": f"9146392588685{end}"}


TOKEN = response(b'{"access_token": "t", "expires_in": 1200}')
LONG_TOKEN = response(b'{"accessToken": "t", "expiresIn": 2591999}')
CALCULATE = "/v3/loyalty/spending-reward/calculate"
OTHER_KEY = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)


def after_the_token(body: object, status: int = 200) -> tuple[bytes, bytes]:
    return TOKEN, response(json.dumps(body).encode(), status=status)


def no_of_secuconnect(code: int, details: str) -> tuple[bytes, bytes]:
    body = {"status": "error", "error": "ProductFormatException", "error_details": details, "code": code}
    return after_the_token(body, status=400)


def no_of_revenuemonster(code: str, status: int = 400) -> tuple[bytes, bytes]:
    body = {"error": {"code": code, "message": "No"}}
    return LONG_TOKEN, response(json.dumps(body).encode(), status=status)


def secuconnect_card(end: str) -> dict[str, object]:
    return {"check_number": f"92760044246440{end}"}


COMMON = {
    "redirected": Case(Fault("redirect"), REACHABLE, Reason.REDIRECTED),
    "a web page of somebody else": Case(Fault("foreign"), REACHABLE, Reason.UNREADABLE, Detail.FOREIGN),
    "another path": Case(SANDBOX_ITSELF, REACHABLE, Reason.UNREADABLE, Detail.FOREIGN, path="/elsewhere"),
    "silent": Case(Fault("timeout_before", 30), REACHABLE, Reason.TIMEOUT),
    "cut": Case(Fault("cut"), REACHABLE, Reason.CUT),
    "an error page": Case(Fault("error_after"), REACHABLE, Reason.SERVER_ERROR),
    "throttled": Case(Fault("throttle", 94), ACCEPTED, Reason.THROTTLED, retry_after=94),
    "refused": Case(Fault("refuse"), ACCEPTED, Reason.REFUSED),
    "JSON of somebody else": Case(
        response(b'{"status": "ok", "version": "2.4"}'), REACHABLE, Reason.UNREADABLE, Detail.FOREIGN
    ),
    "not HTTP at all": Case(b"SSH-2.0-OpenSSH_9.2\r\n", REACHABLE, Reason.UNREADABLE, Detail.FOREIGN),
    "a firewall's page": Case(response(b"<p>Blocked</p>", status=405), REACHABLE, Reason.UNREADABLE, Detail.FOREIGN),
    "a gateway's 503": Case(response(b"<p>Down</p>", status=503), REACHABLE, Reason.SERVER_ERROR),
    "a gateway's 429": Case(response(b"<p>Slow down</p>", status=429), REACHABLE, Reason.THROTTLED),
    "settings missing": Case(SANDBOX_ITSELF, REACHABLE, Reason.SETTINGS, settings={"currency": "EURO"}),
}

FAILURES: dict[str, dict[str, Case]] = {
    "cardinquiry": {
        "a wrong key": Case(
            SANDBOX_ITSELF,
            ACCEPTED,
            Reason.ACCESS_REFUSED,
            settings={"api_key": "a-key-of-nobody"},
            said="Access refused.",
        ),
        "the browser key": Case(
            SANDBOX_ITSELF, REACHABLE, Reason.WRONG_KEY, settings={"api_key": "demo-VisibleKey.CardInquiry"}
        ),
        "401": Case(packet(401, "Key not accepted."), ACCEPTED, Reason.KEY_REFUSED, said="Key not accepted."),
        "401 of a gateway": Case(response(b'{"message": "Unauthorized"}', status=401), ACCEPTED, Reason.KEY_REFUSED),
        "403 with a page": Case(
            response(b"<p>Forbidden</p>", status=403), REACHABLE, Reason.ACCESS_REFUSED, Detail.FOREIGN
        ),
        "its own error": Case(packet(500, "Busy."), ACCEPTED, Reason.SERVER_ERROR, said="Busy."),
        "200 with an error packet": Case(packet(200, "Unknown retailer."), ACCEPTED, Reason.REFUSED),
        "404 of a firewall": Case(response(b"", status=404), REACHABLE, Reason.UNREADABLE, Detail.FOREIGN),
        "404 of somebody else": Case(
            response(b'{"detail": "Not found."}', status=404), REACHABLE, Reason.UNREADABLE, Detail.FOREIGN
        ),
        "rubbish": Case(Fault("garbage"), ACCEPTED, Reason.UNREADABLE),
        "data without cards": Case(response(b'{"data": {"Sales": []}}'), REACHABLE, Reason.UNREADABLE, Detail.FOREIGN),
        "a balance that is none": Case(
            response(b'{"data": {"Cards": [{"Status": "ok", "Balance": "ten"}]}}'), READS, Reason.UNREADABLE
        ),
        "a new word": Case(
            response(b'{"data": {"Cards": [{"Status": "suspended"}]}}'), READS, Reason.UNKNOWN_WORD, said="suspended"
        ),
    },
    "paywizard": {
        "a wrong secret": Case(
            SANDBOX_ITSELF,
            ACCEPTED,
            Reason.KEY_REFUSED,
            Detail.SIGNATURE,
            settings={"client_secret": "a-secret-of-nobody"},
            said="signature not accepted",
        ),
        "a wrong client": Case(
            SANDBOX_ITSELF, ACCEPTED, Reason.KEY_REFUSED, Detail.SIGNATURE, settings={"client_id": "825429536610058241"}
        ),
        "a wrong token": Case(
            SANDBOX_ITSELF, ACCEPTED, Reason.KEY_REFUSED, Detail.TOKEN_REFUSED, settings={"token": "A0TOKEN0OF0NOBODY"}
        ),
        "last year's token": Case(
            SANDBOX_ITSELF,
            ACCEPTED,
            Reason.KEY_REFUSED,
            Detail.TOKEN_EXPIRED,
            settings={"token": "DEMO0PAYWIZARD0TOKEN0LASTYEAR001"},
        ),
        "token or signature": Case(SANDBOX_ITSELF, ACCEPTED, Reason.KEY_REFUSED, settings=paywizard_card("28")),
        "a signature refused as a request": Case(
            envelope(400, "sign error"), ACCEPTED, Reason.REFUSED, Detail.SIGNATURE, said="sign error"
        ),
        "not let in": Case(SANDBOX_ITSELF, ACCEPTED, Reason.ACCESS_REFUSED, settings=paywizard_card("29")),
        "a channel it does not have": Case(
            SANDBOX_ITSELF, ACCEPTED, Reason.REFUSED, settings={"loyalty_channel": "OTHER"}
        ),
        "its own 500": Case(envelope(500, "busy", status=500), ACCEPTED, Reason.SERVER_ERROR, said="busy"),
        "429 of its own": Case(
            SANDBOX_ITSELF, ACCEPTED, Reason.THROTTLED, settings=paywizard_card("25"), retry_after=30
        ),
        "a code nobody documented": Case(
            SANDBOX_ITSELF, ACCEPTED, Reason.UNKNOWN_WORD, settings=paywizard_card("09"), said="299 accepted for review"
        ),
        "404 that does not speak of a card": Case(
            envelope(404, "No handler found"), ACCEPTED, Reason.CARD_UNKNOWN, said="No handler found"
        ),
        "404 of somebody else": Case(
            response(b'{"code": 404, "message": "no route"}', status=404),
            REACHABLE,
            Reason.CARD_UNKNOWN,
            Detail.FOREIGN,
        ),
        "code 200 and nothing else": Case(SANDBOX_ITSELF, ACCEPTED, Reason.UNREADABLE, settings=paywizard_card("07")),
        "another card": Case(SANDBOX_ITSELF, READS, Reason.MISMATCH, settings=paywizard_card("10")),
        "a balance that is a text": Case(SANDBOX_ITSELF, READS, Reason.UNREADABLE, settings=paywizard_card("22")),
        "an inactive card": Case(
            envelope(200, "card not active", account(result=1)), READS, Reason.CARD_INACTIVE, said="card not active"
        ),
        "no funds": Case(envelope(200, "insufficient funds", account(result=1)), ACCEPTED, Reason.NOT_ENOUGH),
        "no original": Case(envelope(200, "original not found", account(result=1)), ACCEPTED, Reason.ORIGINAL_UNKNOWN),
        "settled": Case(envelope(200, "already settled", account(result=1)), ACCEPTED, Reason.TOO_LATE),
        "pending": Case(envelope(200, "in progress", account(result=2)), ACCEPTED, Reason.PENDING),
        "duplicate": Case(envelope(409, "duplicate order"), ACCEPTED, Reason.DUPLICATE),
    },
    "revenuemonster": {
        "refused": Case(Fault("refuse"), ACCEPTED, Reason.KEY_REFUSED),
        "a wrong secret": Case(
            SANDBOX_ITSELF,
            ACCEPTED,
            Reason.KEY_REFUSED,
            settings={"client_secret": "a-secret-of-nobody"},
            said="InvalidClient Client authentication failed",
        ),
        "a wrong client": Case(SANDBOX_ITSELF, ACCEPTED, Reason.KEY_REFUSED, settings={"client_id": "nobody"}),
        "another private key": Case(
            SANDBOX_ITSELF,
            ACCEPTED,
            Reason.KEY_REFUSED,
            Detail.SIGNATURE,
            settings={"private_key": OTHER_KEY},
            said="INVALID_REQUEST_SIGNATURE Request signature is invalid",
        ),
        "no public key": Case(
            no_of_revenuemonster("CLIENT_NOT_SET_PUBLIC_KEY", 403), ACCEPTED, Reason.KEY_REFUSED, Detail.SIGNATURE
        ),
        "another time": Case(
            no_of_revenuemonster("INVALID_TIMESTAMP", 403), ACCEPTED, Reason.KEY_REFUSED, Detail.CLOCK
        ),
        "the token is suspended": Case(
            no_of_revenuemonster("TOKEN_SUSPENDED", 401), ACCEPTED, Reason.KEY_REFUSED, Detail.TOKEN_REFUSED
        ),
        "not let in": Case(no_of_revenuemonster("CLIENT_NO_PERMISSION", 403), ACCEPTED, Reason.ACCESS_REFUSED),
        "not subscribed": Case(no_of_revenuemonster("LOYALTY_NOT_SUBSCRIBED"), ACCEPTED, Reason.ACCESS_REFUSED),
        "a token that is none": Case(response(b'{"accessToken": 1}'), ACCEPTED, Reason.UNREADABLE),
        "its question is throttled": Case(
            Fault("throttle", 30, path=CALCULATE), ACCEPTED, Reason.THROTTLED, retry_after=30
        ),
        "its question is silent": Case(Fault("timeout_before", 30, path=CALCULATE), ACCEPTED, Reason.TIMEOUT),
        "its question is rubbish": Case(Fault("garbage", path=CALCULATE), ACCEPTED, Reason.UNREADABLE),
        "its own error": Case(no_of_revenuemonster("SYSTEM_ERROR"), ACCEPTED, Reason.SERVER_ERROR),
        "points that are a text": Case(
            (LONG_TOKEN, response(b'{"code": "SUCCESS", "item": {"point": "3"}}')), READS, Reason.UNREADABLE
        ),
        "no rule for purchases": Case(no_of_revenuemonster("SPENDING_NOT_FOUND", 404), ACCEPTED, Reason.REFUSED),
        "a code nobody documented": Case(
            no_of_revenuemonster("TRANSACTIN_STATUS_NOT_SUCCESS"),
            ACCEPTED,
            Reason.UNKNOWN_WORD,
            said="TRANSACTIN_STATUS_NOT_SUCCESS No",
        ),
        "no funds": Case(no_of_revenuemonster("LOYALTY_INSUFFICIENT"), ACCEPTED, Reason.NOT_ENOUGH),
        "no member": Case(no_of_revenuemonster("MEMBER_NOT_FOUND", 404), ACCEPTED, Reason.CARD_UNKNOWN),
        "no such code": Case(no_of_revenuemonster("LOYALTY_SPENDING_NOT_FOUND"), ACCEPTED, Reason.ORIGINAL_UNKNOWN),
        "scanned": Case(no_of_revenuemonster("LOYALTY_POINT_ALREADY_REDEEMED"), ACCEPTED, Reason.CLAIMED),
        "ended": Case(no_of_revenuemonster("LOYALTY_EXPIRED"), ACCEPTED, Reason.ENDED),
        "in the works": Case(no_of_revenuemonster("LOYALTY_POINT_IS_PROCESSING"), ACCEPTED, Reason.PENDING),
        "seen before": Case(no_of_revenuemonster("DUPLICATE_REQUEST", 403), ACCEPTED, Reason.DUPLICATE),
    },
    "secuconnect": {
        "refused": Case(Fault("refuse"), ACCEPTED, Reason.KEY_REFUSED),
        "a wrong secret": Case(
            SANDBOX_ITSELF,
            ACCEPTED,
            Reason.KEY_REFUSED,
            settings={"client_secret": "a-secret-of-nobody"},
            said="The client credentials are invalid",
        ),
        "a wrong client": Case(SANDBOX_ITSELF, ACCEPTED, Reason.KEY_REFUSED, settings={"client_id": "nobody"}),
        "the token is not known": Case(
            SANDBOX_ITSELF, READS, Reason.KEY_REFUSED, Detail.TOKEN_REFUSED, settings=secuconnect_card("28")
        ),
        "the token has expired": Case(
            SANDBOX_ITSELF, READS, Reason.KEY_REFUSED, Detail.TOKEN_EXPIRED, settings=secuconnect_card("27")
        ),
        "not let in": Case(SANDBOX_ITSELF, READS, Reason.ACCESS_REFUSED, settings=secuconnect_card("29")),
        "a token that is none": Case(response(b'{"access_token": 1}'), ACCEPTED, Reason.UNREADABLE),
        "its look-up is throttled": Case(
            SANDBOX_ITSELF, READS, Reason.THROTTLED, settings=secuconnect_card("25"), retry_after=30
        ),
        "its look-up is down": Case(SANDBOX_ITSELF, READS, Reason.SERVER_ERROR, settings=secuconnect_card("26")),
        "its look-up is silent": Case(
            Fault("timeout_before", 30, path="/api/v2/Loyalty/MerchantCards"), READS, Reason.TIMEOUT
        ),
        "its look-up is rubbish": Case(
            Fault("garbage", path="/api/v2/Loyalty/MerchantCards"), READS, Reason.UNREADABLE
        ),
        "a balance that is a text": Case(SANDBOX_ITSELF, READS, Reason.UNREADABLE, settings=secuconnect_card("19")),
        "a locked card": Case(
            SANDBOX_ITSELF, READS, Reason.CARD_INACTIVE, settings=secuconnect_card("02"), said="locked"
        ),
        "another card": Case(
            after_the_token({"count": 1, "data": [{"card": {"cardnumber": "9276"}}]}), READS, Reason.MISMATCH
        ),
        "a plain no": Case(no_of_secuconnect(9999, "No"), READS, Reason.REFUSED, said="No"),
        "a card it does not take": Case(no_of_secuconnect(1016, "Card validation failed"), READS, Reason.CARD_UNKNOWN),
        "no funds": Case(no_of_secuconnect(9999, "Insufficient balance"), READS, Reason.NOT_ENOUGH),
        "what cannot be cancelled": Case(no_of_secuconnect(1007, "Could not cancel"), READS, Reason.TOO_LATE),
    },
}

# Whatever is connected to: met further below, for both alike.
OF_THE_CONNECTION = {Reason.UNREACHABLE, Reason.CERTIFICATE, Reason.ADDRESS_REFUSED}
# What a check cannot come to, and why; it has its words all the same.
NO_CODES = dict.fromkeys([Reason.CLAIMED, Reason.ENDED], "it has no codes")
NEVER: dict[str, dict[Reason, str]] = {
    "cardinquiry": {
        **NO_CODES,
        **dict.fromkeys([Reason.NOT_ENOUGH, Reason.TOKEN_LAPSED], "only a payment can be told so"),
        **dict.fromkeys([Reason.ORIGINAL_UNKNOWN, Reason.TOO_LATE], "it undoes no payments"),
        **dict.fromkeys([Reason.PENDING, Reason.DUPLICATE], "it does a thing once, however often it is sent"),
        **dict.fromkeys([Reason.CARD_UNKNOWN, Reason.CARD_INACTIVE], "it tells them in a reading"),
        Reason.MISMATCH: "it calls that unreadable",
        Reason.BAD_INPUT: "the settings take no bad number",
        Reason.UNSUPPORTED: "it has a check",
        Reason.MEMBER_WANTED: "its check takes no points",
    },
    "paywizard": {
        Reason.TOKEN_LAPSED: "it takes card numbers, not what a look-up gave",
        **NO_CODES,
        Reason.WRONG_KEY: "it has no keys for browsers",
        Reason.BAD_INPUT: "the settings take no bad number",
        Reason.UNSUPPORTED: "it has a check",
        Reason.MEMBER_WANTED: "its check takes no points",
    },
    "revenuemonster": {
        Reason.TOKEN_LAPSED: "it takes card numbers, not what a look-up gave",
        Reason.MISMATCH: "its check is about no member",
        Reason.CARD_INACTIVE: "no code of its appendix says so of a member",
        Reason.TOO_LATE: "only cancelling a code comes to that",
        Reason.WRONG_KEY: "it has no keys for browsers",
        Reason.BAD_INPUT: "it asks about no number",
        Reason.UNSUPPORTED: "it has a check",
        Reason.MEMBER_WANTED: "its check takes no points",
    },
    "secuconnect": {
        Reason.TOKEN_LAPSED: "it takes card numbers, not what a look-up gave",
        **NO_CODES,
        **dict.fromkeys([Reason.ORIGINAL_UNKNOWN, Reason.PENDING, Reason.DUPLICATE], "its check is about no operation"),
        Reason.UNKNOWN_WORD: "no word in its look-up has to be known",
        Reason.WRONG_KEY: "it has no keys for browsers",
        Reason.BAD_INPUT: "the settings take no bad number",
        Reason.UNSUPPORTED: "it has a check",
        Reason.MEMBER_WANTED: "its check takes no points",
    },
}

CASES = [
    pytest.param(slug, case, id=f"{slug}: {name}")
    for slug in PROVIDERS
    for name, case in {**COMMON, **FAILURES.get(slug, {})}.items()
]


def test_every_reason_is_met_at_every_provider_or_cannot_be():
    for slug in PROVIDERS:
        met = {case.reason for case in (*COMMON.values(), *FAILURES[slug].values())} | OF_THE_CONNECTION
        assert not met & NEVER[slug].keys()
        assert met | NEVER[slug].keys() == set(Reason), slug


@pytest.mark.parametrize(("slug", "case"), CASES)
def test_what_a_provider_answers_is_told_in_its_sentence(serve, visit, sandbox, practise, slug, case):
    if isinstance(case.at, Fault):
        if case.at.kind:
            told = {"seconds": case.at.seconds, "path": case.at.path}
            sandbox.arm(case.at.kind, provider=slug, **{name: value for name, value in told.items() if value})
        patience = 0.5 if case.reason is Reason.TIMEOUT else 5.0
        found = practise(slug, path=case.path, settings=case.settings, total_seconds=patience)
    else:
        manners = answering(*case.at) if isinstance(case.at, tuple) else hanging_up_after(case.at)
        found = visit(slug, serve(manners), settings=case.settings)

    failed = found[-1]
    assert steps(found) == [(step, step is not case.step) for step in list(Step)[: list(Step).index(case.step) + 1]]
    assert (failed.reason, failed.detail) == (case.reason, case.detail)
    assert failed.sentence == sentence_of(slug, case.detail or case.reason)
    assert failed.fix
    assert failed.retry_after == case.retry_after
    if case.said:
        assert failed.said == case.said


def test_how_long_to_wait_is_part_of_what_to_do(practise, sandbox, slug):
    sandbox.arm("throttle", provider=slug, seconds=94)

    assert practise(slug)[-1].fix == "Test again in 94 seconds."


def test_credentials_of_the_other_environment_are_what_to_think_of_first(serve, visit, issuer, monkeypatch):
    refused = answering(envelope(401, "token not accepted", status=401))
    practice = visit("paywizard", serve(refused))[-1]
    server = serve(refused, tls=issuer.server_context(x509.DNSName(NAME)))
    really_connect = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda *_, timeout: really_connect(("127.0.0.1", server.port)))
    live = visit(
        "paywizard",
        f"https://{NAME}",
        allow=False,
        environment="live",
        resolve=at("93.184.216.34"),
        ca_file=issuer.ca_file,
    )[-1]

    assert practice.fix == "Copy them again, those of the test environment: live ones are not accepted there."
    assert live.fix == "Copy them again, the live ones: those of the test environment are not accepted for real cards."
    assert (
        (practice.step, practice.sentence)
        == (live.step, live.sentence)
        == (ACCEPTED, "PayWizard does not know our token.")
    )


# ---- The connection --------------------------------------------------------------------------------------------


def nowhere(error: OSError) -> Callable[[str, int], Any]:
    def resolve(host: str, port: int) -> Any:
        raise error

    return resolve


def at(*found: str) -> Callable[[str, int], Any]:
    return lambda host, port: list(found)


@pytest.mark.parametrize(
    ("resolve", "detail"),
    [
        pytest.param(
            nowhere(socket.gaierror(socket.EAI_NONAME, "none")), Detail.NAME_UNKNOWN, id="a name nobody knows"
        ),
        pytest.param(nowhere(socket.gaierror(socket.EAI_AGAIN, "?")), Detail.NAME_UNANSWERED, id="no name service"),
        pytest.param(nowhere(TimeoutError()), Detail.NAME_UNANSWERED, id="a slow name service"),
        pytest.param(at("255.255.255.255"), Detail.NO_ROUTE, id="no way there"),
    ],
)
def test_a_host_that_is_not_found_is_told_apart(visit, slug, resolve, detail):
    found = visit(slug, f"https://{NAME}", resolve=resolve)

    assert steps(found) == [(REACHABLE, False)]
    assert (found[0].reason, found[0].detail) == (Reason.UNREACHABLE, detail)
    assert found[0].sentence == sentence_of(slug, detail)


def test_a_host_that_refuses_the_connection_is_told_apart(serve, visit, slug):
    server = serve(answering(response()))
    server.close()

    assert visit(slug, server)[-1].detail is Detail.CONNECTION_REFUSED


@contextmanager
def full_house() -> Iterator[str]:
    """A port that lets nobody in any more: its queue is full, so it does not even refuse."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for each in waiting:
                each.close()


def test_a_host_that_does_not_answer_is_told_apart(visit, slug):
    with full_house() as origin:
        found = visit(slug, origin, connect_seconds=0.3)

    assert (found[-1].reason, found[-1].detail) == (Reason.UNREACHABLE, Detail.NO_CONNECTION)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "days", "known", "old", "detail"),
    [
        pytest.param(NAME, (-30, -1), True, False, Detail.CERTIFICATE_EXPIRED, id="expired"),
        pytest.param(NAME, (1, 30), True, False, Detail.CERTIFICATE_NOT_YET, id="not valid yet"),
        pytest.param("other.example.com", (-2, 1), True, False, Detail.CERTIFICATE_OTHER_HOST, id="other host"),
        pytest.param(NAME, (-2, 1), False, False, Detail.CERTIFICATE_UNKNOWN_ISSUER, id="unknown issuer"),
        pytest.param(NAME, (-2, 1), True, True, Detail.TLS_TOO_OLD, id="TLS 1.1 at most"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told_and_nothing_was_sent(
    serve, visit, issuer, slug, name, days, known, old, detail
):
    context = issuer.server_context(x509.DNSName(name), valid_days=days)
    server = serve(answering(response()), tls=tls_1_1(context) if old else context)

    found = visit(
        slug, f"https://{NAME}:{server.port}", resolve=at("127.0.0.1"), ca_file=issuer.ca_file if known else None
    )

    assert steps(found) == [(REACHABLE, False)]
    assert (found[0].reason, found[0].detail) == (Reason.CERTIFICATE, detail)
    assert found[0].sentence == sentence_of(slug, detail)
    assert server.requests == []


def plain_http(server: Server, connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(response(status=400))


def hanging_up(server: Server, connection: socket.socket) -> None:
    connection.recv(65536)


@pytest.mark.parametrize(
    ("manners", "detail"),
    [
        pytest.param(plain_http, Detail.NO_TLS, id="plain HTTP"),
        pytest.param(hanging_up, Detail.NO_TLS, id="hangs up"),
        pytest.param(silent_after(), Detail.NO_CONNECTION, id="says nothing"),
    ],
)
def test_a_host_without_encryption_is_told_apart(serve, visit, slug, manners, detail):
    server = serve(manners)
    patience = 0.3 if detail is Detail.NO_CONNECTION else 20
    found = visit(slug, f"https://{NAME}:{server.port}", resolve=at("127.0.0.1"), connect_seconds=patience)

    assert (found[-1].reason, found[-1].detail) == (Reason.UNREACHABLE, detail)


@pytest.mark.parametrize(
    ("origin", "found_at"),
    [
        pytest.param("https://cards.example.com", "10.0.0.8", id="a private host"),
        pytest.param("https://cards.example.com", "169.254.169.254", id="a metadata service"),
        pytest.param("http://cards.example.com", "93.184.216.34", id="without encryption"),
        pytest.param("https://cards.example.com:8443", "93.184.216.34", id="another port"),
        pytest.param("https://2130706433", "127.0.0.1", id="a number"),
    ],
)
def test_an_address_we_never_call_is_never_called(visit, slug, origin, found_at):
    found = visit(slug, origin, allow=False, resolve=at(found_at))

    assert steps(found) == [(REACHABLE, False)]
    assert (found[0].reason, found[0].detail) == (Reason.ADDRESS_REFUSED, None)
    assert found[0].sentence == "This is an address we never call."


# ---- The environment -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "address", "detail"),
    [
        ("live", SANDBOX, Detail.TEST_ADDRESS),
        ("sandbox", PRODUCTION, Detail.LIVE_ADDRESS),
        ("sandbox", PRODUCTION.upper().replace("HTTPS", "https"), Detail.LIVE_ADDRESS),
    ],
)
def test_the_address_of_the_other_environment_is_not_even_looked_up(visit, environment, address, detail):
    def resolve(host, port):
        raise AssertionError("nobody may be asked")

    found = visit("paywizard", address, allow=False, environment=environment, resolve=resolve, path="")

    assert steps(found) == [(REACHABLE, False)]
    assert (found[0].reason, found[0].detail) == (Reason.SETTINGS, detail)
    assert found[0].sentence == sentence_of("paywizard", detail)


def test_a_live_connection_never_goes_to_the_sandbox(practise, sandbox, slug):
    found = practise(slug, environment="live")

    assert found[0].detail is Detail.TEST_ADDRESS
    assert sandbox.call("GET", "/_sandbox/calls")[slug]["total"] == 0


def test_every_address_a_provider_names_is_of_its_own_environment_only():
    for provider in PROVIDERS.values():
        addresses = [address for named in provider.hosts.values() for address in named.values()]
        assert len(addresses) == len(set(addresses))


# ---- The clock -------------------------------------------------------------------------------------------------


def test_a_clock_that_is_wrong_is_said_and_does_no_harm(practise, sandbox, slug):
    sandbox.arm("clock", provider=slug, seconds=-94)
    found = practise(slug)

    offset = found[0].clock_offset
    assert abs(offset - 94) <= 1
    assert steps(found) == [(step, True) for step in Step]
    assert found[0].sentence == (
        f"{PROVIDERS[slug].name} answers, but our clock and theirs differ by {offset} seconds."
    )


@pytest.mark.parametrize("ahead", [94, -94])
def test_a_clock_that_is_wrong_is_fatal_where_the_time_is_signed(practise, monkeypatch, ahead):
    monkeypatch.setattr(PayWizard, "clock_tolerance", 60)
    found = practise("paywizard", clock=lambda: datetime.now(UTC) + timedelta(seconds=ahead))

    assert steps(found) == [(REACHABLE, False)]
    assert found[0].detail is Detail.CLOCK
    assert abs(found[0].clock_offset - ahead) <= 1
    assert found[0].sentence == f"Our clock and theirs differ by {abs(found[0].clock_offset)} seconds."
    assert found[0].fix.startswith("Tell your administrator to set our clock")


def test_a_wrong_clock_is_the_trouble_behind_a_refused_signature(practise, monkeypatch):
    monkeypatch.setattr(PayWizard, "clock_tolerance", 60)
    found = practise(
        "paywizard", settings={"client_secret": "wrong"}, clock=lambda: datetime.now(UTC) - timedelta(hours=1)
    )

    assert [(each.step, each.detail) for each in found] == [(REACHABLE, Detail.CLOCK)]


def test_a_clock_that_the_signature_still_allows_is_only_said(practise, monkeypatch):
    monkeypatch.setattr(PayWizard, "clock_tolerance", 120)
    found = practise("paywizard", clock=lambda: datetime.now(UTC) + timedelta(seconds=94))

    assert steps(found) == [(step, True) for step in Step]
    assert "differ by" in found[0].sentence


def test_after_a_failed_step_nothing_more_is_asked(practise, sandbox, monkeypatch):
    asked = BalanceRequest(number="0" * 15)

    def in_two_calls(connector):
        connector.balance(asked)
        yield ACCEPTED
        connector.balance(asked)
        yield READS

    monkeypatch.setattr(PayWizard, "check", in_two_calls)
    monkeypatch.setattr(PayWizard, "clock_tolerance", 60)
    calls: list[Exchange] = []

    practise("paywizard", on_exchange=calls.append, clock=lambda: datetime.now(UTC) + timedelta(hours=1))
    assert len(calls) == 1
    practise("paywizard", on_exchange=calls.append)
    assert len(calls) == 3


def test_a_second_call_that_breaks_is_the_step_it_was_for(serve, visit, monkeypatch):
    def in_two_calls(connector):
        yield from list(PayWizard.check(connector))[:1]
        list(PayWizard.check(connector))
        yield READS

    good = envelope(200, data=account())
    server = serve(answering(good, response(b"<p>elsewhere</p>", status=302)))
    connector = type("InTwoCalls", (PayWizard,), {"check": in_two_calls})
    monkeypatch.setattr("portal.connectors.PROVIDERS", {"paywizard": connector})

    found = visit("paywizard", server)

    assert steps(found) == [(REACHABLE, True), (ACCEPTED, True), (READS, False)]
    assert (found[-1].reason, found[-1].detail) == (Reason.REDIRECTED, None)


def heard(date: str, *, waited: float = 0.0, **headers: str) -> Exchange:
    return Exchange(
        method="GET",
        url="",
        request_headers=(),
        request_body="",
        status=200,
        response_headers=(("date", date), *headers.items()),
        response_body="",
        started_at=datetime.now(UTC),
        connect_seconds=0.5,
        total_seconds=0.5 + waited,
        reused=False,
        reason="",
    )


@given(
    ahead=st.integers(-100_000, 100_000),
    waited=st.floats(0.0, 30.0),
    written=st.floats(0.0, 1.0),
    begun=st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds / 1.003, UTC)),
)
def test_the_offset_is_right_within_what_can_be_known(ahead, waited, written, begun):
    theirs = (begun + timedelta(seconds=waited * written - ahead)).replace(microsecond=0)
    ended = begun + timedelta(seconds=waited)

    offset = clock_offset(heard(format_datetime(theirs, usegmt=True), waited=waited), ended)

    if offset == 0:  # two clocks that may well agree
        assert abs(ahead) <= waited + 2
    else:
        assert abs(offset - ahead) <= waited / 2 + 1.01


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026 99:99:99 GMT", "9" * 400])
def test_no_date_is_no_offset(date):
    assert clock_offset(heard(date), datetime.now(UTC)) is None


def test_a_date_out_of_a_cache_is_no_offset():
    then = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)

    assert clock_offset(heard(then, age="3600"), datetime.now(UTC)) is None


def test_a_provider_that_does_not_tell_the_time_answers_all_the_same(serve, visit):
    found = visit("paywizard", serve(answering(envelope(404, "card not found"))))

    assert steps(found) == [(step, True) for step in Step]
    assert (found[0].sentence, found[0].clock_offset) == ("PayWizard answers.", None)


# ---- Whatever comes ----------------------------------------------------------------------------------------------

BODIES = st.one_of(
    st.sampled_from(
        [
            b"",
            b"{}",
            b"[]",
            b"null",
            b"<html>",
            b'{"msg": "x", "code": 200}',
            b'{"msg": "x", "code": 200, "data": {"accountId": "000000000000000", "balances": []}}',
            b'{"data": {"Cards": []}}',
            b'{"data": {"Cards": [{"Status": "ok"}]}}',
            b'{"error": {"Message": "\xe2\x80\xae"}}',
            b'{"msg": ' + b"9" * (LARGEST_ANSWER + 1),
        ]
    ),
    st.binary(max_size=60),
)


@pytest.mark.parametrize("slug", PROVIDERS)
def test_whatever_comes_is_found_in_order_up_to_the_first_failure(serve, slug):
    answers: list[bytes] = [b""]
    server = serve(lambda server, connection: hanging_up_after(answers[0])(server, connection))
    wire = Wire(allow=[server.origin])

    @given(
        status=st.sampled_from([200, 200, 201, 202, 204, 302, 400, 401, 403, 404, 405, 408, 409, 422, 429, 500, 503]),
        body=BODIES,
        date=st.sampled_from(["", "nonsense", "Mon, 06 Jul 2026 10:00:00 GMT"]),
        environment=st.sampled_from(["sandbox", "live"]),
    )
    @hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    def whatever(status, body, date, environment):
        answers[0] = response(body, status=status, headers={"Date": date} if date else {})
        found = examine(slug, settings_at(slug, f"{server.origin}/base"), wire=wire, environment=environment)

        assert [each.step for each in found] == list(Step)[: len(found)]
        assert all(each.passed for each in found[:-1])
        assert len(found) == len(Step) or not found[-1].passed
        for each in found:
            assert each.sentence
            assert bool(each.fix) is not each.passed
            assert (each.reason is None and each.detail is None) is each.passed

    whatever()
    wire.close()


def test_nothing_secret_is_in_what_is_found(serve, visit, slug):
    def tell_tale(server: Server, connection: socket.socket) -> None:
        """Answers with all that it was sent."""
        asked = server.read_request(connection).decode()
        words = json.dumps(asked)
        told = f'"error": {{"Message": {words}, "message": {words}}}, "error_description": {words}'
        body = f'{{"code": 401, "msg": {words}, {told}}}'.encode()
        connection.sendall(response(body, status=401, headers={"x-fieldpine-trace": "canary"[:3]}))

    exchanges: list[Exchange] = []
    found = visit(slug, serve(tell_tale), on_exchange=exchanges.append)

    assert found[-1].said
    assert "canary" not in repr(found).lower()
    assert "canary" not in repr(exchanges).lower()


# ---- What a connection can do ------------------------------------------------------------------------------------

CAN: dict[str, tuple[str, ...]] = {
    "cardinquiry": ("balance", "pay"),
    "paywizard": tuple(verb for verb in VERBS if verb not in ("sale", "award", "issue_code")),
    "revenuemonster": ("balance", "void", "award", "issue_code", "issue_points", "redeem_points"),
    "secuconnect": ("balance", "activate", "top_up", "sale", "pay", "void"),
}


def test_every_provider_says_what_it_can_do():
    assert CAN.keys() == PROVIDERS.keys()
    for slug, verbs in CAN.items():
        can, cannot = capabilities(slug, SETTINGS[slug])

        assert can == verbs
        assert [verb for verb in VERBS if verb not in can] == [verb for verb, _ in cannot]
        assert {str(why) for _verb, why in cannot} <= {f"There is no such call at {PROVIDERS[slug].name}."}


def test_what_the_options_forbid_is_said_with_its_reason(monkeypatch):
    monkeypatch.setattr(
        PayWizard, "unable", lambda options: {"tip": "%(provider)s needs a channel."} if not options["channel"] else {}
    )

    assert [verb for verb, _ in capabilities("paywizard", {"channel": "x"}).cannot] == ["sale", "award", "issue_code"]
    _sale, (verb, why), *_codes = capabilities("paywizard", {"channel": ""}).cannot
    assert (verb, why) == ("tip", "PayWizard needs a channel.")
    assert (why.message, why.values) == ("%(provider)s needs a channel.", {"provider": "PayWizard"})


def test_nobody_can_examine_a_provider_that_is_not_there():
    with pytest.raises(KeyError):
        examine("nobody", {}, wire=Wire(), environment="sandbox")
