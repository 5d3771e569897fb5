"""What every provider's connector must keep, whichever it is, and each document's own examples."""

import dataclasses
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from portal.connectors import PROVIDERS, connect, findings
from portal.connectors.addresses import check
from portal.connectors.base import (
    MOVES_VALUE,
    VERBS,
    ActivateRequest,
    AwardRequest,
    BalanceRequest,
    BasketLine,
    CodeRequest,
    Connector,
    CustomerDetails,
    Declined,
    Extra,
    Failure,
    Misconfigured,
    PayRequest,
    PointsRequest,
    Reason,
    Receipt,
    SaleRequest,
    Settings,
    SettingsError,
    Settles,
    TipRequest,
    TopUpRequest,
    Unclear,
    Unreachable,
    Unsupported,
    VoidRequest,
    secret_names,
)
from portal.connectors.paywizard_customers import read_customer
from portal.money import Money, Points
from tests.connectors.servers import after, answering, dripping, hanging_up_after, response, silent_after

EXAMPLES = Path(__file__).parent.parent / "examples"

# Made for this run: a key in the repository would be one that somebody uses.
PRIVATE_KEY = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)

# One valid set of settings and one request a verb, by provider; base addresses are put in by the tests.
SETTINGS: dict[str, dict[str, object]] = {
    "cardinquiry": {
        "api_key": "canary-server-key",
        "currency": "EUR",
        "minimum_length": 4,
        "product": 12345,
    },
    "paywizard": {
        "client_id": "825429536610058240",
        "client_secret": "canary-client-secret",
        "token": "canary-token",
    },
    "revenuemonster": {
        "client_id": "5499912462549392881",
        "client_secret": "canary-client-secret",
        "private_key": PRIVATE_KEY,
    },
    "secuconnect": {
        "client_id": "f0478f73afe218e8b5f751a07c978ecf",
        "client_secret": "canary-client-secret",
        "contract_id": "GCR_1",
        "device_id": "SDV_1",
        "card_group": "CRG_1",
    },
}
NUMBER, REFERENCE, ORIGINAL = "6280390000012345", "0198c5a2e7c07b3e9f5f2b1c4d6e8f90", "933358163137265664"
DOLLARS = Money(1050, "USD")
CUSTOMER = CustomerDetails(first_name="Canary-first", phone="canary-phone", email="canary@example.com", state="IL")
LINE = BasketLine(text="Bread", quantity=1, price=DOLLARS, vat=7)
POINTS = PointsRequest(number=NUMBER, points=Points(7), reference=REFERENCE)
REQUESTS: dict[str, Any] = {
    "balance": BalanceRequest(number=NUMBER, pin="1234-canary"),
    "activate": ActivateRequest(number=NUMBER, reference=REFERENCE, customer=CUSTOMER),
    "top_up": TopUpRequest(number=NUMBER, amount=DOLLARS, reference=REFERENCE, customer=CUSTOMER),
    "sale": SaleRequest(number=NUMBER, lines=(LINE,), amount=DOLLARS, reference=REFERENCE, customer=CUSTOMER),
    "pay": PayRequest(number=NUMBER, amount=DOLLARS, reference=REFERENCE),
    "void": VoidRequest(original=ORIGINAL, number=NUMBER, amount=DOLLARS, reference=REFERENCE),
    "tip": TipRequest(original=ORIGINAL, number=NUMBER, amount=DOLLARS, reference=REFERENCE),
    "award": AwardRequest(number=NUMBER, amount=DOLLARS, reference=REFERENCE),
    "issue_code": CodeRequest(amount=DOLLARS, reference=REFERENCE),
    "issue_points": POINTS,
    "redeem_points": POINTS,
}

# What only one provider can be asked: another currency, ids of another shape, cards that it makes itself.
EUROS, RINGGIT = Money(1050, "EUR"), Money(1050, "MYR")
NOON = datetime(2026, 11, 28, 10, 35, tzinfo=UTC)
REQUESTS_OF: dict[str, dict[str, Any]] = {
    "cardinquiry": {
        "pay": PayRequest(
            number=NUMBER, amount=EUROS, reference=REFERENCE, usage_token="canary-usage-token", asked_at=NOON
        ),
    },
    "revenuemonster": {
        "award": AwardRequest(number=NUMBER, amount=RINGGIT, reference=REFERENCE),
        "issue_code": CodeRequest(amount=RINGGIT, reference=REFERENCE),
        "void": VoidRequest(original="83f575034d45f776b8e1fed1a26e2fee", amount=RINGGIT, reference=REFERENCE),
    },
    "secuconnect": {
        "activate": ActivateRequest(number="", reference=REFERENCE, customer=CUSTOMER),
        "top_up": TopUpRequest(number=NUMBER, amount=EUROS, reference=REFERENCE, customer=CUSTOMER),
        "sale": SaleRequest(
            number=NUMBER,
            lines=(BasketLine(text="Bread", quantity=1, price=EUROS, vat=7),),
            amount=EUROS,
            reference=REFERENCE,
            customer=CUSTOMER,
        ),
        "pay": PayRequest(number=NUMBER, amount=EUROS, reference=REFERENCE),
        "void": VoidRequest(original="STX_1", number=NUMBER, amount=EUROS, reference=REFERENCE),
    },
}

# Where what is asked for takes several calls: the answers to those before the one that does it, by the beginning of
# their first lines. They move nothing.
TOKEN = {b"POST /base/oauth/token ": response(b'{"access_token": "canary-access", "expires_in": 1200}')}
LONG_TOKEN = {b"POST /base/v1/token ": response(b'{"accessToken": "canary-access", "expiresIn": 2591999}')}


def created(cents: int) -> dict[bytes, bytes]:
    ident = {"type": "card", "value": NUMBER}
    total = {"sum": cents, "currency": "EUR"}
    body = {"object": "smart.transactions", "id": "STX_1", "status": "created", "merchantRef": REFERENCE}
    answer = response(json.dumps({**body, "idents": [ident], "basket_info": total}).encode())
    return {b"POST /base/api/v2/Smart/Transactions ": answer}


APPLIED = {b"POST /base/api/v2/Smart/Transactions/STX_1/preTransaction ": response(b'{"missing_sum": 0}')}
BEFORE: dict[tuple[str, str], dict[bytes, bytes]] = {
    **{("revenuemonster", verb): LONG_TOKEN for verb in PROVIDERS["revenuemonster"].supports()},
    ("secuconnect", "balance"): TOKEN,
    ("secuconnect", "activate"): TOKEN | created(0),
    ("secuconnect", "top_up"): TOKEN | created(EUROS.minor),
    ("secuconnect", "sale"): TOKEN | created(EUROS.minor),
    ("secuconnect", "pay"): TOKEN | created(EUROS.minor) | APPLIED,
    ("secuconnect", "void"): TOKEN,
}

# The check is no verb that anybody asks for, and keeps the same contract as those that are.
SUPPORTED = [(slug, verb) for slug, provider in PROVIDERS.items() for verb in ["check", *sorted(provider.supports())]]
UNSUPPORTED = [(slug, verb) for slug, provider in PROVIDERS.items() for verb in VERBS if (slug, verb) not in SUPPORTED]
MOVING = [(slug, verb) for slug, verb in SUPPORTED if verb in MOVES_VALUE]
BEFORE_IT_MOVES = [(slug, verb, number) for slug, verb in MOVING for number in range(len(BEFORE.get((slug, verb), ())))]
EXTRAS = [(slug, verb) for slug, provider in PROVIDERS.items() for verb in sorted(provider.extras)]


def connection_to(server, wire, slug, *, into=None, **more):
    """A connector of this provider whose every address is the server's."""
    provider = PROVIDERS[slug]
    values = dict(SETTINGS[slug])
    for name, field in provider.Settings.declared().items():
        if field.kind == "address":
            values[name] = f"{server.origin}/base"
    values |= more.pop("settings", {})
    collect = (lambda exchange: None) if into is None else into.append
    return connect(slug, values, wire=wire, on_exchange=collect, **{"environment": "sandbox", **more})


def ask(connector, verb):
    """Asks for the verb, or makes the whole check."""
    return list(connector.check()) if verb == "check" else getattr(connector, verb)(request_to(connector.slug, verb))


def request_to(slug, verb):
    return REQUESTS_OF.get(slug, {}).get(verb, REQUESTS[verb])


def at_last(slug, verb, manners):
    """Those manners in the call that does what is asked for, or is the answer; the calls before it go well."""
    return after(BEFORE.get((slug, verb), {}), manners)


def steps(slug, verb):
    """How many calls it takes."""
    return len(BEFORE.get((slug, verb), ())) + 1


@pytest.fixture(params=PROVIDERS)
def slug(request):
    return request.param


class Nothing(Connector):
    slug = "nothing"


# ---- Shape -------------------------------------------------------------------------------------------------


def test_a_provider_has_its_name_and_settings(slug):
    provider = PROVIDERS[slug]

    assert provider.slug == slug
    assert provider.name
    assert all(field.label for field in provider.Settings.declared().values())


def test_a_providers_own_hosts_pass_its_settings_and_the_address_rules(slug):
    provider = PROVIDERS[slug]
    declared = provider.Settings.declared()

    assert provider.hosts.keys() <= {"sandbox", "live"}
    for addresses in provider.hosts.values():
        for name, url in addresses.items():
            assert declared[name].kind == "address"
            assert declared[name].clean(url) == url
            check(url, resolve=lambda host, port: ["93.184.216.34"])


def test_a_provider_supports_exactly_the_verbs_it_overrides(slug):
    provider = PROVIDERS[slug]

    assert provider.supports() == {verb for verb in VERBS if verb in vars(provider)}
    assert Nothing.supports() == frozenset()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_a_provider_does_not_have_sends_nothing(serve, wire_to, verb, exchanges):
    server = serve(answering(response()))
    nothing = Nothing(Settings(), wire_to(server), exchanges.append)

    with pytest.raises(Unsupported):
        getattr(nothing, verb)(REQUESTS[verb])

    assert (server.connections, exchanges) == (0, [])


@pytest.mark.parametrize(("slug", "verb"), UNSUPPORTED)
def test_a_verb_this_provider_does_not_have_sends_nothing(serve, wire_to, slug, verb, exchanges):
    server = serve(answering(response()))
    connector = connection_to(server, wire_to(server), slug, into=exchanges)

    with pytest.raises(Unsupported) as caught:
        getattr(connector, verb)(REQUESTS[verb])

    assert caught.value.reason is Reason.UNSUPPORTED
    assert (server.connections, exchanges) == (0, [])


def test_a_provider_without_a_check_sends_nothing(serve, wire_to, exchanges):
    server = serve(answering(response()))

    with pytest.raises(Unsupported):
        list(Nothing(Settings(), wire_to(server), exchanges.append).check())

    assert (server.connections, exchanges) == (0, [])


def test_every_provider_can_be_checked_and_told_from_others(slug):
    provider = PROVIDERS[slug]

    assert provider.check is not Connector.check
    assert provider.marks
    assert provider.clock_limit >= 2  # a Date has whole seconds
    assert provider.clock_tolerance is None or provider.clock_tolerance >= provider.clock_limit
    assert provider.words.keys() <= findings.WORDS.keys()


def test_every_verb_but_a_look_up_moves_value():
    assert set(VERBS) - MOVES_VALUE == {"balance"}
    assert set(REQUESTS) == set(VERBS)


def test_a_provider_that_moves_value_says_how_an_unknown_end_is_settled(slug):
    provider = PROVIDERS[slug]

    assert (provider.settles is Settles.NOTHING_TO_SETTLE) == (not provider.supports() & MOVES_VALUE)
    assert Nothing.settles is Settles.BY_PERSON


def test_an_unknown_provider_is_a_key_error(wire_to):
    with pytest.raises(KeyError):
        connect("nobody", {}, wire=wire_to())


# ---- What only one provider asks for -----------------------------------------------------------------------


def test_extra_inputs_belong_to_verbs_the_provider_has(slug):
    provider = PROVIDERS[slug]

    assert provider.extras.keys() <= provider.supports()
    assert all(issubclass(extra, Extra) for extra in provider.extras.values())


@pytest.mark.parametrize(("slug", "verb"), EXTRAS)
def test_a_form_can_be_made_of_extra_inputs(slug, verb):
    extra = PROVIDERS[slug].extras[verb]

    for name, field in extra.declared().items():
        assert field.label
        assert all(label for value, label in field.choices)
        with pytest.raises(SettingsError) as caught:
            extra.parse({name: ["nonsense"]})
        assert caught.value.errors.keys() == {name}
    with pytest.raises(SettingsError):
        extra.parse({"nonsense": "x"})


@pytest.mark.parametrize(("slug", "verb"), EXTRAS)
def test_what_was_stored_of_extra_inputs_is_read_again(slug, verb):
    extra = PROVIDERS[slug].extras[verb]
    chosen = {name: field.choices[-1][0] for name, field in extra.declared().items() if field.kind == "choice"}
    parsed = extra.parse(chosen)

    assert extra.parse(json.loads(json.dumps(dataclasses.asdict(parsed)))) == parsed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strange(Extra):
    """Of a provider that is not there."""


@pytest.mark.parametrize(("slug", "verb"), MOVING)
def test_extra_inputs_of_another_provider_are_not_sent(serve, wire_to, slug, verb):
    server = serve(answering(response()))

    with pytest.raises(Declined) as caught:
        getattr(connection_to(server, wire_to(server), slug), verb)(
            dataclasses.replace(request_to(slug, verb), extra=Strange())
        )

    assert (caught.value.reason, server.connections) == (Reason.BAD_INPUT, 0)


# ---- Secrets -----------------------------------------------------------------------------------------------


def test_no_secret_setting_shows(serve, wire_to, slug):
    connector = connection_to(serve(answering(response())), wire_to(), slug)
    secrets = {name: getattr(connector.settings, name) for name in secret_names(type(connector.settings))}

    assert secrets
    for secret in secrets.values():
        assert secret not in repr(connector.settings) + str(connector.settings) + repr(connector)


def test_settings_that_do_not_pass_pause_the_connection_and_show_no_value(wire_to, slug):
    with pytest.raises(Misconfigured) as caught:
        connect(slug, {"nonsense": "canary"}, wire=wire_to())

    assert caught.value.reason is Reason.SETTINGS
    assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(("slug", "verb"), SUPPORTED)
def test_neither_card_nor_pin_nor_key_is_in_the_record_of_a_call(serve, wire_to, exchanges, slug, verb):
    server = serve(at_last(slug, verb, answering(response(status=500))))
    connector = connection_to(server, wire_to(server), slug, into=exchanges)

    with pytest.raises(Unclear):
        ask(connector, verb)

    assert len(exchanges) == steps(slug, verb)
    assert "canary" not in repr(exchanges).lower()
    assert NUMBER not in repr(exchanges)


@pytest.mark.parametrize("verb", VERBS)
def test_neither_card_nor_customer_is_in_the_repr_of_a_request(verb):
    request = dataclasses.replace(REQUESTS[verb], extra=Strange())
    shown = repr(request).lower()

    assert "canary" not in shown
    assert NUMBER not in shown
    assert "strange" not in shown


# ---- A connection that may be closing ----------------------------------------------------------------------


@pytest.mark.parametrize(("slug", "verb"), SUPPORTED)
def test_only_a_look_up_uses_a_connection_that_was_idle(serve, wire_to, exchanges, slug, verb):
    server = serve(at_last(slug, verb, answering(response())))
    connector = connection_to(server, wire_to(server, value_idle=0.02), slug, into=exchanges)

    firsts = []
    for _ in range(2):
        firsts.append(len(exchanges))
        with pytest.raises(Unclear):
            ask(connector, verb)
        time.sleep(0.05)

    assert [exchanges[first].reused for first in firsts] == [False, verb not in MOVES_VALUE]


def _patience(reason: Reason) -> float:
    """Seconds for a call: few where it shall run out, many where it shall not, however busy this machine is."""
    return 1 if reason is Reason.TIMEOUT else 20


# ---- The right word for every way to fail ------------------------------------------------------------------


@pytest.mark.parametrize(("slug", "verb"), SUPPORTED)
def test_no_connection_is_unreachable(serve, wire_to, exchanges, slug, verb):
    server = serve(answering(response()))
    server.close()
    connector = connection_to(server, wire_to(server), slug, into=exchanges)

    with pytest.raises(Unreachable):
        ask(connector, verb)

    assert [exchange.reason for exchange in exchanges] == ["unreachable"]


@pytest.mark.parametrize(("slug", "verb"), SUPPORTED)
@pytest.mark.parametrize(
    ("manners", "reason"),
    [
        pytest.param(hanging_up_after(), Reason.CUT, id="hangs up"),
        pytest.param(silent_after(), Reason.TIMEOUT, id="silent"),
        pytest.param(dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b" "), Reason.TIMEOUT, id="drips"),
        pytest.param(answering(response(b"<p>Welcome</p>")), Reason.UNREADABLE, id="HTML"),
        pytest.param(answering(response(b"")), Reason.UNREADABLE, id="empty"),
        pytest.param(answering(response(b"[]")), Reason.UNREADABLE, id="another shape"),
        pytest.param(answering(response(b"null")), Reason.UNREADABLE, id="null"),
        pytest.param(answering(response(status=202)), Reason.UNREADABLE, id="202"),
        pytest.param(answering(response(status=204)), Reason.UNREADABLE, id="204"),
        pytest.param(answering(response(status=302)), Reason.REDIRECTED, id="302"),
        pytest.param(answering(response(status=408)), Reason.SERVER_ERROR, id="408"),
        pytest.param(answering(response(status=500)), Reason.SERVER_ERROR, id="500"),
        pytest.param(answering(response(status=503)), Reason.SERVER_ERROR, id="503"),
    ],
)
def test_no_documented_answer_is_unclear(serve, wire_to, slug, verb, manners, reason):
    server = serve(at_last(slug, verb, manners))
    connector = connection_to(server, wire_to(server), slug, total_seconds=_patience(reason))

    with pytest.raises(Unclear) as caught:
        ask(connector, verb)

    assert caught.value.reason is reason
    assert len(server.requests) == steps(slug, verb)


@pytest.mark.parametrize("slug", [slug for slug, verb in SUPPORTED if verb == "top_up"])
def test_a_top_up_activates_where_the_provider_says_so_and_elsewhere_nothing_is_sent(serve, wire_to, slug):
    server = serve(answering(response(status=503)))
    connector = connection_to(server, wire_to(server), slug)
    wanted = dataclasses.replace({**REQUESTS, **REQUESTS_OF.get(slug, {})}["top_up"], activate=True)

    with pytest.raises(Failure) as caught:
        connector.top_up(wanted)

    assert (caught.value.reason is not Reason.BAD_INPUT) == PROVIDERS[slug].top_up_activates
    assert bool(server.requests) == PROVIDERS[slug].top_up_activates


@pytest.mark.parametrize(("slug", "verb", "number"), BEFORE_IT_MOVES)
@pytest.mark.parametrize(
    ("manners", "reason"),
    [
        pytest.param(hanging_up_after(), Reason.CUT, id="hangs up"),
        pytest.param(silent_after(), Reason.TIMEOUT, id="silent"),
        pytest.param(answering(response(b"<p>Welcome</p>")), Reason.UNREADABLE, id="HTML"),
        pytest.param(answering(response(status=302)), Reason.REDIRECTED, id="302"),
        pytest.param(answering(response(status=429)), Reason.THROTTLED, id="429"),
        pytest.param(answering(response(status=503)), Reason.SERVER_ERROR, id="503"),
    ],
)
def test_what_fails_before_the_call_that_moves_value_has_moved_nothing(
    serve, wire_to, slug, verb, number, manners, reason
):
    before = dict(list(BEFORE[slug, verb].items())[:number])
    server = serve(after(before, manners))
    connector = connection_to(server, wire_to(server), slug, total_seconds=_patience(reason))

    with pytest.raises(Unreachable) as caught:
        ask(connector, verb)

    assert caught.value.reason is reason
    assert len(server.requests) == number + 1


@pytest.mark.parametrize(("slug", "verb"), SUPPORTED)
@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_for_a_person(serve, wire_to, slug, verb, status):
    server = serve(at_last(slug, verb, answering(response(status=status))))

    with pytest.raises(Misconfigured):
        ask(connection_to(server, wire_to(server), slug), verb)


@pytest.mark.parametrize(("slug", "verb"), SUPPORTED)
def test_a_request_to_slow_down_says_for_how_long(serve, wire_to, slug, verb):
    throttled = answering(response(status=429, headers={"Retry-After": "999999999"}))
    server = serve(at_last(slug, verb, throttled))

    with pytest.raises(Failure) as caught:
        ask(connection_to(server, wire_to(server), slug), verb)

    assert (caught.value.reason, caught.value.retry_after) == (Reason.THROTTLED, 3600)
    # No document says that it is decided before the work is done.
    assert type(caught.value) is (Unclear if verb in MOVES_VALUE else Declined)


# ---- The documents' own examples ---------------------------------------------------------------------------

# Without a "call" it is one of several calls that a verb takes, and read by the provider's own test.
FILES = [
    file
    for slug in PROVIDERS
    for file in sorted((EXAMPLES / slug).glob("*.json"))
    if "call" in json.loads(file.read_text(encoding="utf-8"))
]
REQUEST_OF = {verb: type(request) for verb, request in REQUESTS.items()}
PRESENT = {"x-api-key": "<present>", "jwt-token": "<present>", "sign": "<re-signed>", "authorization": "<present>"}
PRESENT |= dict.fromkeys(("x-nonce-str", "x-timestamp", "x-signature"), "<present>")


def test_every_provider_has_examples(slug):
    assert list((EXAMPLES / slug).glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_an_example_is_built_and_read(serve, wire_to, file):
    example = json.loads(file.read_text(encoding="utf-8"))
    answer = example["response"]
    body = answer.get("text", json.dumps(answer["body"]) if "body" in answer else "")
    slug, verb = file.parent.name, example["call"]["verb"]
    printed = answering(response(body.encode(), status=answer["status"], headers=answer.get("headers")))
    server = serve(at_last(slug, verb, printed))
    settings = settings_for(slug, example)
    connector = connection_to(server, wire_to(server), slug, settings=settings)

    outcome = call(connector, **example["call"])

    assert as_sent(server.requests[steps(slug, verb) - 1 :]) == as_documented(example["request"])
    if "failure" in example:
        assert isinstance(outcome, Failure), outcome
        assert {"class": type(outcome).__name__, "reason": outcome.reason} == example["failure"]
    else:
        expected = as_expected(example.get("reading") or example["receipt"])
        assert not isinstance(outcome, Failure), repr(outcome)
        assert isinstance(outcome, Receipt) == ("receipt" in example)
        shown = {"balances": [], **as_json(outcome)}
        assert {name: shown[name] for name in expected} == expected
        assert bool(shown["balances"]) == bool(expected.get("balances"))


def settings_for(slug, example):
    """The connection is in the currency of the card, and leaves out of a void what the example leaves out."""
    expected = example.get("reading") or example.get("receipt") or {}
    currencies = {each["currency"] for each in expected.get("balances", ()) if "currency" in each}
    currencies |= {example["call"][name] for name in ("currency",) if name in example["call"]}
    settings = {"currency": (currencies or {{"paywizard": "USD", "revenuemonster": "MYR"}.get(slug, "EUR")}).pop()}
    if example["call"]["verb"] == "void" and slug == "paywizard":
        settings["amount_on_void"] = "amount_minor" in example["call"]
    return settings | example.get("settings", {})


def call(connector, *, verb, entry=None, amount_minor=1050, currency="USD", points=0, customer=None, **given):
    provider = type(connector)
    if "activate" in given and verb == "activate":
        assert given.pop("activate")
    if entry:
        given["extra"] = provider.extras[verb].parse({"entry_type": entry})
    if customer:
        given["customer"] = read_customer(customer, lambda text: text)
    wanted = {each.name for each in dataclasses.fields(REQUEST_OF[verb])}
    if "amount" in wanted:
        given["amount"] = Money(amount_minor, currency)
    if "asked_at" in given:
        given["asked_at"] = datetime.fromisoformat(given["asked_at"])
    if "points" in wanted:
        given["points"] = Points(points)
    if verb == "activate":
        given.setdefault("reference", REFERENCE)
    try:
        return getattr(connector, verb)(REQUEST_OF[verb](**given))
    except Failure as failure:
        return failure


def as_sent(requests):
    """The one request that was sent, in the examples' form."""
    (request,) = requests
    head, _, body = request.decode().partition("\r\n\r\n")
    line, *fields = head.split("\r\n")
    method, target, _ = line.split(" ")
    headers = {
        name: PRESENT[name.lower()]
        for name, _, _ in (field.partition(": ") for field in fields)
        if name.lower() in PRESENT
    }
    query = parse_qsl(urlsplit(target).query, keep_blank_values=True)
    sent = {
        "method": method,
        "path": urlsplit(target).path.removeprefix("/base"),
        "query": dict(query),
        "headers": headers,
    }
    return sent | ({"body": json.loads(body)} if body else {})


def as_documented(request):
    """The samples write "" for a detail of the customer that is not known; we leave it out."""
    documented = {"query": {}, "headers": {}, **request}
    if "customerInfo" in documented.get("body", {}):
        known = {name: value for name, value in documented["body"]["customerInfo"].items() if value}
        documented["body"] = {**documented["body"], "customerInfo": known}
    return documented


def as_expected(outcome):
    """ "money" of an example is in the connection's currency."""
    balances = [each | {"kind": "total"} if each["kind"] == "money" else each for each in outcome.get("balances", ())]
    return outcome | ({"balances": balances} if "balances" in outcome else {})


def as_json(outcome):
    shown = {"balances": [as_balance(each) for each in outcome.balances]}
    if isinstance(outcome, Receipt):
        return shown | {
            "provider_reference": outcome.provider_reference,
            "lines": [line.as_plain() for line in outcome.lines],
        }
    shown |= {
        "status": outcome.status.value,
        "expires": outcome.expires and outcome.expires.isoformat(),
        "expires_at": outcome.expires_at and outcome.expires_at.isoformat(),
        "description": outcome.description,
        "usage_token": outcome.usage_token,
        "status_word": outcome.status_word,
    }
    return {name: value for name, value in shown.items() if value is not None}


def as_balance(balance):
    if isinstance(balance.value, Points):
        return {"kind": balance.kind, "points": balance.value.count}
    return {"kind": balance.kind, "minor": balance.value.minor, "currency": balance.value.currency}
