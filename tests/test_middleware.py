"""What every request meets first: unreadable bytes, headers, ids, and whose address it is."""

import json
import logging
from urllib.parse import unquote_to_bytes

import pytest
from django.test import RequestFactory, override_settings

from portal.middleware import RequestIdFilter, client_address, client_context

LOGIN = "/accounts/login/"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def visitor(client, db):
    client.defaults["HTTP_HOST"] = "localhost"
    return client


@pytest.mark.parametrize(
    "body",
    [
        b"login=a%00b&password=x",
        b"lo%00gin=a&password=x",
        b"login=\x00&password=x",
        b"login=%ED%A0%80&password=x",  # a lone surrogate
        b"login=%C0%AF&password=x",  # an overlong slash
        b"login=%FF%FE&password=x",
    ],
)
def test_a_form_with_a_nul_or_with_bytes_that_are_no_text_is_answered_400(visitor, body):
    assert visitor.post(LOGIN, body, content_type=FORM).status_code == 400


@pytest.mark.parametrize(
    "path", ["/%00", "/m/a%00b/", "/m/%ED%A0%80/", "/%C0%AE%C0%AE/", f"{LOGIN}?next=%00", f"{LOGIN}?%FF=1"]
)
def test_an_address_with_a_nul_or_with_bytes_that_are_no_text_is_answered_400(visitor, path):
    raw, _, query = path.partition("?")
    answer = visitor.generic("GET", "/", PATH_INFO=unquote_to_bytes(raw).decode("latin-1"), QUERY_STRING=query)

    assert answer.status_code == 400


def test_a_header_with_a_nul_beyond_ascii_is_answered_400(visitor):
    assert visitor.get(LOGIN, HTTP_USER_AGENT="\xff\x00").status_code == 400


def test_a_form_of_many_fields_or_many_bytes_is_refused_before_any_work(visitor):
    many_fields = visitor.post(LOGIN, {f"f{n}": "x" for n in range(10_000)})
    many_bytes = visitor.post(LOGIN, b"login=" + b"x" * 1_000_000, content_type=FORM)

    assert (many_fields.status_code, many_bytes.status_code) == (400, 400)


def test_every_page_forbids_inline_code_frames_and_copies(visitor):
    answer = visitor.get(LOGIN)

    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer["Cache-Control"] == "no-store, private" or "no-store" in answer["Cache-Control"]
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/no-such-page", "/m/x/", "/static/no-such-file.css"])
def test_error_pages_carry_the_same_headers(visitor, path):
    answer = visitor.get(path)

    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert answer["X-Request-ID"]


def test_a_missing_page_is_said_in_our_words_and_leads_back(visitor):
    answer = visitor.get("/no-such-page")

    assert answer.status_code == 404
    assert "There is no such page" in answer.text
    assert answer["X-Request-ID"] in answer.text


def test_an_address_that_only_takes_a_form_says_so_to_whoever_opens_it(visitor):
    answer = visitor.get("/language/")

    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "Nothing is shown at this address" in answer.text
    assert answer["X-Request-ID"] in answer.text


def test_a_form_from_elsewhere_is_refused_in_our_words(db, alice):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True, HTTP_HOST="localhost")

    answer = strict.post(LOGIN, {"login": "alice@example.com", "password": "open sesame"})

    assert answer.status_code == 403
    assert "Tillside" in answer.text


def test_a_host_that_is_not_ours_is_refused(client):
    assert client.get(LOGIN, HTTP_HOST="evil.example").status_code == 400


def test_the_request_id_stands_on_every_log_line_and_the_request_on_none():
    record = logging.makeLogRecord({"request": "<WSGIRequest: GET '/?card=6280390000000001'>", "msg": "x"})

    RequestIdFilter().filter(record)

    assert hasattr(record, "request_id")
    assert "6280390000000001" not in json.dumps(vars(record), default=str)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.9", "127.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9", None),
        (1, "", None),
        (1, "unknown", None),
        (1, "203.0.113.9:4711", "203.0.113.9"),
        (1, "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "2001:DB8::1", "2001:db8::1"),
        (1, "203.0.113.9; DROP", None),
    ],
)
def test_the_visitors_address_is_counted_from_the_right(proxies, forwarded, address):
    request = RequestFactory().get("/", HTTP_X_FORWARDED_FOR=forwarded)

    with override_settings(TRUSTED_PROXY_COUNT=proxies):
        assert client_address(request) == address


def test_what_is_passed_on_to_a_provider_holds_nothing_of_ours():
    request = RequestFactory().get(
        "/", HTTP_USER_AGENT="Till", HTTP_COOKIE="tillside_session=canary", HTTP_X_CSRFTOKEN="canary",
        HTTP_X_FORWARDED_FOR="canary", HTTP_HX_CURRENT_URL="canary", HTTP_AUTHORIZATION="canary",
        HTTP_REFERER="canary", HTTP_X_REAL_IP="canary",
    )  # fmt: skip

    context = client_context(request)

    assert context.address == "127.0.0.1"
    assert dict(context.headers)["User-Agent"] == "Till"
    assert "canary" not in str(context.headers)


def test_healthz_asks_nobody(client):
    assert client.get("/healthz", HTTP_HOST="localhost").content == b"ok"


def test_readyz_names_what_is_missing(visitor):
    answer = visitor.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"database": True, "broker": True, "workers": False}


def test_readyz_is_content_once_the_workers_have_worked(visitor):
    from portal.ledger import balances

    balances.sweep()

    assert visitor.get("/readyz").status_code == 200


def test_readyz_names_a_broker_that_is_away(visitor, monkeypatch):
    from portal.celery import app
    from portal.ledger import balances

    balances.sweep()
    monkeypatch.setattr(app.conf, "broker_url", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(app.conf, "broker_write_url", "redis://127.0.0.1:1/0")

    answer = visitor.get("/readyz")

    assert (answer.status_code, answer.json()["broker"]) == (503, False)
