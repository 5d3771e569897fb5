"""What every provider's connector must keep, whichever it is, and each document's own examples."""

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from portal.connectors import PROVIDERS, connect
from portal.connectors.base import (
    VERBS,
    BalanceRequest,
    Connector,
    Declined,
    Failure,
    Misconfigured,
    Reason,
    Settings,
    Unclear,
    Unreachable,
    Unsupported,
    secret_names,
)
from tests.connectors.servers import answering, dripping, hanging_up_after, response, silent_after

EXAMPLES = Path(__file__).parent.parent / "examples"

# One valid set of settings and one request a verb, by provider; base addresses are put in by the tests.
SETTINGS = {
    "cardinquiry": {
        "api_key": "canary-server-key",
        "currency": "EUR",
        "minimum_length": 4,
    },
}
REQUESTS = {"balance": BalanceRequest(number="6280390000012345", pin="1234-canary")}

SUPPORTED = [(slug, verb) for slug, provider in PROVIDERS.items() for verb in sorted(provider.supports())]


def connection_to(server, wire, slug, *, into=None, **more):
    """A connector of this provider whose every address is the server's."""
    provider = PROVIDERS[slug]
    values = dict(SETTINGS[slug])
    for name, field in provider.Settings.declared().items():
        if field.kind == "address":
            values[name] = f"{server.origin}/base"
    values |= more.pop("settings", {})
    collect = (lambda exchange: None) if into is None else into.append
    return connect(slug, values, wire=wire, on_exchange=collect, **more)


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


def test_an_unknown_provider_is_a_key_error(wire_to):
    with pytest.raises(KeyError):
        connect("nobody", {}, wire=wire_to())


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
    server = serve(answering(response(status=500)))
    connector = connection_to(server, wire_to(server), slug, into=exchanges)

    with pytest.raises(Unclear):
        getattr(connector, verb)(REQUESTS[verb])

    assert len(exchanges) == 1
    assert "canary" not in repr(exchanges)
    assert "6280390000012345" not in repr(exchanges)


# ---- The right word for every way to fail ------------------------------------------------------------------


@pytest.mark.parametrize(("slug", "verb"), SUPPORTED)
def test_no_connection_is_unreachable(serve, wire_to, exchanges, slug, verb):
    server = serve(answering(response()))
    server.close()
    connector = connection_to(server, wire_to(server), slug, into=exchanges)

    with pytest.raises(Unreachable):
        getattr(connector, verb)(REQUESTS[verb])

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
    server = serve(manners)
    connector = connection_to(server, wire_to(server), slug, total_seconds=0.3)

    with pytest.raises(Unclear) as caught:
        getattr(connector, verb)(REQUESTS[verb])

    assert caught.value.reason is reason
    assert len(server.requests) == 1


@pytest.mark.parametrize(("slug", "verb"), SUPPORTED)
@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_for_a_person(serve, wire_to, slug, verb, status):
    server = serve(answering(response(status=status)))

    with pytest.raises(Misconfigured):
        getattr(connection_to(server, wire_to(server), slug), verb)(REQUESTS[verb])


@pytest.mark.parametrize(("slug", "verb"), SUPPORTED)
def test_a_request_to_slow_down_says_for_how_long(serve, wire_to, slug, verb):
    server = serve(answering(response(status=429, headers={"Retry-After": "999999999"})))

    with pytest.raises(Failure) as caught:
        getattr(connection_to(server, wire_to(server), slug), verb)(REQUESTS[verb])

    assert (type(caught.value), caught.value.reason, caught.value.retry_after) == (
        Declined,
        Reason.THROTTLED,
        3600,
    )


# ---- The documents' own examples ---------------------------------------------------------------------------

FILES = sorted(EXAMPLES.glob("*/*.json"))


def test_every_provider_has_examples(slug):
    assert [file for file in FILES if file.parent.name == slug]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_an_example_is_built_and_read(serve, wire_to, file):
    example = json.loads(file.read_text(encoding="utf-8"))
    answer, expected = example["response"], example.get("reading")
    body = answer.get("text", json.dumps(answer["body"]) if "body" in answer else "")
    server = serve(answering(response(body.encode(), status=answer["status"], headers=answer.get("headers"))))
    # The connection is in the currency of the card.
    currencies = {each["currency"] for each in (expected or {}).get("balances", ()) if "currency" in each}
    settings = {"currency": (currencies or {"EUR"}).pop(), **example.get("settings", {})}
    connector = connection_to(server, wire_to(server), file.parent.name, settings=settings)

    outcome = call(connector, **example["call"])

    assert as_sent(server.requests) == as_documented(example["request"])
    if expected is None:
        assert isinstance(outcome, Failure), outcome
        assert {"class": type(outcome).__name__, "reason": outcome.reason} == example["failure"]
    else:
        assert not isinstance(outcome, Failure), repr(outcome)
        shown = {"balances": [], **as_json(outcome)}
        assert {name: shown[name] for name in expected} == expected
        assert bool(shown["balances"]) == bool(expected.get("balances"))


def call(connector, *, verb, number, pin=""):
    assert verb == "balance"
    try:
        return connector.balance(BalanceRequest(number=number, pin=pin))
    except Failure as failure:
        return failure


def as_sent(requests):
    """The one request that was sent, in the examples' form."""
    (request,) = requests
    head, _, _ = request.decode().partition("\r\n\r\n")
    line, *fields = head.split("\r\n")
    method, target, _ = line.split(" ")
    headers = dict(field.split(": ", 1) for field in fields)
    query = parse_qsl(urlsplit(target).query, keep_blank_values=True)
    return {
        "method": method,
        "path": urlsplit(target).path.removeprefix("/base"),
        "query": dict(query),
        "headers": {name: "<present>" for name in headers if name == "X-Api-Key"},
    }


def as_documented(request):
    return {"query": {}, "headers": {}, **request}


def as_json(reading):
    shown = {
        "status": reading.status.value,
        "balances": [
            {"kind": each.kind, "minor": each.value.minor, "currency": each.value.currency} for each in reading.balances
        ],
        "expires": reading.expires and reading.expires.isoformat(),
        "expires_at": reading.expires_at and reading.expires_at.isoformat(),
        "description": reading.description,
        "usage_token": reading.usage_token,
        "status_word": reading.status_word,
    }
    return {name: value for name, value in shown.items() if value is not None}
