"""One exchange, against servers with bad manners: what it is called, what is kept, what it never does."""

import json
import logging
import socket
import threading
import time
import traceback
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.connectors.base import Failure, Misconfigured, Reason, Unclear, Unreachable
from portal.connectors.http import LARGEST_ANSWER, HttpAnswer, HttpRequest, Wire
from tests.connectors.servers import Server, answering, dripping, hanging_up_after, response, silent_after


def ask(wire, url, *, deadline=30.0, connect=20.0, moves_value=False, secrets=None, into=None, **request):
    return wire.exchange(
        HttpRequest(method=request.pop("method", "GET"), url=url, **request),
        secrets=secrets or {},
        deadline=deadline,
        connect_timeout=connect,
        moves_value=moves_value,
        on_exchange=(lambda exchange: None) if into is None else into.append,
        hidden=("UsageToken",),
    )


def reason_of(caught):
    return caught.value.reason


# ---- Not sent ----------------------------------------------------------------------------------------------


def test_a_refused_connection_is_unreachable(wire_to, serve):
    server = serve(answering(response()))
    server.close()

    with pytest.raises(Unreachable) as caught:
        ask(wire_to(server), server.origin)

    assert reason_of(caught) is Reason.UNREACHABLE


def test_a_name_nobody_knows_is_unreachable(wire_to):
    def resolve(host, port):
        raise socket.gaierror("no such name")

    with pytest.raises(Unreachable) as caught:
        ask(wire_to(resolve=resolve), "https://cards.example.com/")

    assert reason_of(caught) is Reason.UNREACHABLE


def test_a_forbidden_address_stops_the_connection_and_is_never_called(serve, wire_to):
    server = serve(answering(response()))

    with pytest.raises(Misconfigured) as caught:
        ask(wire_to(), server.origin)

    assert reason_of(caught) is Reason.ADDRESS_REFUSED
    assert server.connections == 0


def test_a_name_that_moves_to_a_private_address_is_refused_at_the_next_call(serve, wire_to):
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    wire = wire_to(resolve=lambda host, port: next(answers))

    with pytest.raises(Unreachable):
        ask(wire, "https://cards.example.com/", connect=0.01)
    with pytest.raises(Misconfigured) as caught:
        ask(wire, "https://cards.example.com/")

    assert reason_of(caught) is Reason.ADDRESS_REFUSED


def test_after_the_deadline_nothing_is_written(serve, wire_to):
    server = serve(answering(response()))
    paused = threading.Event()

    def resolve(host, port):
        if paused.is_set():
            time.sleep(0.05)  # as if this process had been stopped and woken
        return ["127.0.0.1"]

    wire = wire_to(server, resolve=resolve)
    ask(wire, server.origin)
    paused.set()

    with pytest.raises(Unreachable) as caught:
        ask(wire, server.origin, deadline=0.02)

    assert reason_of(caught) is Reason.TIMEOUT
    assert len(server.requests) == 1


def test_every_address_of_a_name_is_tried_before_giving_up(serve, wire_to):
    server = serve(answering(response()))
    wire = wire_to(server, resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"])

    assert ask(wire, server.origin).status == 200


# ---- Perhaps done ------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP_BOMB = response(b"\x1f\x8b" + b"\0" * 1000, headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    ("manners", "reason"),
    [
        pytest.param(hanging_up_after(), Reason.CUT, id="hangs up at once"),
        pytest.param(hanging_up_after(b"HTTP/1.1 2"), Reason.UNREADABLE, id="hangs up in the status line"),
        pytest.param(hanging_up_after(HEAD + b"{"), Reason.CUT, id="hangs up in the body"),
        pytest.param(hanging_up_after(CHUNKED + b"5\r\nab"), Reason.CUT, id="hangs up in a chunk"),
        pytest.param(silent_after(), Reason.TIMEOUT, id="never answers"),
        pytest.param(silent_after(HEAD + b"{"), Reason.TIMEOUT, id="stops in the body"),
        pytest.param(dripping(HEAD, b" "), Reason.TIMEOUT, id="drips the body"),
        pytest.param(dripping(b"HTTP/1.1 200 OK\r\nX: ", b"y"), Reason.TIMEOUT, id="drips a header"),
        pytest.param(silent_after(b"HTTP/1.1 200 OK\r\n\r\n{}"), Reason.TIMEOUT, id="body without length, never ended"),
        pytest.param(dripping(CHUNKED, b"4000\r\n" + b" " * 0x4000 + b"\r\n"), Reason.UNREADABLE, id="endless"),
        pytest.param(answering(response(b" " * (LARGEST_ANSWER + 1))), Reason.UNREADABLE, id="too long"),
        pytest.param(answering(GZIP_BOMB), Reason.UNREADABLE, id="compressed"),
        pytest.param(answering(b"SSH-2.0-OpenSSH\r\n\r\n"), Reason.UNREADABLE, id="another protocol"),
        pytest.param(answering(response(status=777)), Reason.UNREADABLE, id="a status nobody knows"),
        pytest.param(answering(b"HTTP/1.1 103 Early\r\n\r\n"), Reason.UNREADABLE, id="interim answer"),
    ],
)
def test_what_breaks_after_connecting_is_unclear(serve, wire_to, manners, reason):
    server = serve(manners)

    with pytest.raises(Unclear) as caught:
        ask(wire_to(server), server.origin, deadline=2.0 if reason is Reason.TIMEOUT else 30.0)

    assert reason_of(caught) is reason
    assert len(server.requests) == 1
    assert not server.dripped_out


def test_the_largest_answer_allowed_is_read_whole(serve, wire_to):
    server = serve(answering(response(b" " * LARGEST_ANSWER)))

    assert len(ask(wire_to(server), server.origin).body) == LARGEST_ANSWER


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
def test_a_redirect_is_unclear_and_not_followed(serve, wire_to, status):
    target = serve(answering(response()))
    server = serve(answering(response(status=status, headers={"Location": target.origin})))

    with pytest.raises(Unclear) as caught:
        ask(wire_to(server, target), server.origin)

    assert reason_of(caught) is Reason.REDIRECTED
    assert (len(server.requests), target.connections) == (1, 0)


@pytest.fixture
def noisy(serve, wire_to):
    server = serve(hanging_up_after())
    server.wire = wire_to(server)
    return server


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", HEAD, CHUNKED]), noise=st.binary(max_size=300))
def test_no_bytes_whatever_become_anything_but_an_answer_or_unclear(noisy, head, noise):
    noisy.manners = hanging_up_after(head + noise)

    try:
        answer = ask(noisy.wire, noisy.origin)
    except Unclear:
        return

    assert 200 <= answer.status <= 599


# ---- Connections -------------------------------------------------------------------------------------------


def test_calls_share_connections(serve, wire_to):
    server = serve(answering(response()))
    wire = wire_to(server)

    def forty_calls():
        for _ in range(40):
            ask(wire, server.origin)

    threads = [threading.Thread(target=forty_calls) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(server.requests) == 400
    assert server.connections / len(server.requests) <= 0.05


def test_a_call_that_moves_value_does_not_use_a_connection_that_idled(serve, wire_to, exchanges):
    server = serve(answering(response()))
    wire = wire_to(server, value_idle=0.02)
    ask(wire, server.origin, into=exchanges)
    time.sleep(0.05)

    ask(wire, server.origin, into=exchanges, moves_value=True, method="POST", body=b"{}")

    assert server.connections == 2
    assert [exchange.reused for exchange in exchanges] == [False, False]


def test_a_look_up_may_use_a_connection_that_idled(serve, wire_to, exchanges):
    server = serve(answering(response()))
    wire = wire_to(server, value_idle=0.02)
    ask(wire, server.origin, into=exchanges)
    time.sleep(0.05)

    ask(wire, server.origin, into=exchanges)

    assert server.connections == 1
    assert [exchange.reused for exchange in exchanges] == [False, True]


def test_a_call_that_moves_value_may_use_a_fresh_connection(serve, wire_to):
    server = serve(answering(response()))
    wire = wire_to(server, value_idle=5)

    for _ in range(2):
        ask(wire, server.origin, moves_value=True, method="POST", body=b"{}")

    assert server.connections == 1


def test_a_connection_the_server_closed_is_not_used_again(serve, wire_to):
    gone = threading.Event()

    def manners(server: Server, connection: socket.socket) -> None:
        hanging_up_after(response())(server, connection)
        connection.close()
        gone.set()

    server = serve(manners)
    wire = wire_to(server)

    for _ in range(3):
        ask(wire, server.origin)
        assert gone.wait(20)
        gone.clear()

    assert server.connections == 3


def test_an_answer_nobody_asked_for_is_not_given_to_the_next_caller(serve, wire_to):
    was_read, was_sent = threading.Event(), threading.Event()

    def manners(server: Server, connection: socket.socket) -> None:
        while request := server.read_request(connection):
            connection.sendall(response(b"1" if b"first" in request else b"2"))
            was_read.wait(20)
            connection.sendall(response(b"stranger"))
            was_sent.set()

    server = serve(manners)
    wire = wire_to(server)
    ask(wire, f"{server.origin}/first")
    was_read.set()
    assert was_sent.wait(20)

    assert ask(wire, f"{server.origin}/second").body == b"2"


def test_a_connection_whose_answer_broke_is_not_used_again(serve, wire_to):
    server = serve(answering(response(status=102), response(b"2")))
    wire = wire_to(server)
    with pytest.raises(Unclear):
        ask(wire, server.origin)

    ask(wire, server.origin)

    assert server.connections == 2


def test_the_environment_s_proxies_are_ignored(serve, wire_to, monkeypatch):
    server, proxy = serve(answering(response())), serve(answering(response()))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, proxy.origin)

    ask(wire_to(server), server.origin)

    assert (server.connections, proxy.connections) == (1, 0)


def test_the_request_names_the_host_and_asks_for_no_compression(serve, wire_to):
    server = serve(answering(response()))
    named = f"http://cards.test:{server.port}"
    wire = Wire(allow=[named], resolve=lambda host, port: ["127.0.0.1"])

    ask(wire, f"{named}/a%2Fb?c=%20", headers={"X-Api-Key": "key"})

    wire.close()
    lines = server.requests[0].decode().split("\r\n")
    assert lines[0] == "GET /a%2Fb?c=%20 HTTP/1.1"
    assert f"Host: cards.test:{server.port}" in lines
    assert "Accept-Encoding: identity" in lines
    assert "X-Api-Key: key" in lines


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://a.example/ä"},
        {"url": "http://a.example/a b"},
        {"url": "http://a.example/\r\nX: y"},
        {"url": "http://a.example/#part"},
        {"url": "http://a.example/", "headers": {"X": "a\r\nY: b"}},
        {"url": "http://a.example/", "headers": {"X": "ä"}},
        {"url": "http://a.example/", "headers": {"X Y": "a"}},
    ],
)
def test_a_request_that_could_not_be_sent_as_it_is_is_refused_before_connecting(wrong):
    with pytest.raises(ValueError, match=r"^(The URL|A header) "):
        HttpRequest(method="GET", **wrong)


# ---- Evidence ----------------------------------------------------------------------------------------------

SECRETS = {"number": "6280390000012345", "pin": "c4n@ry-PIN", "key": "canary/Key+1"}


def canaries(text: str) -> list[str]:
    return [value for value in (*SECRETS.values(), "c4n%40ry-PIN", "canary%2FKey%2B1", "tok3n") if value in text]


def test_the_record_of_a_call_holds_no_secret(serve, wire_to, exchanges):
    echo = {"card": SECRETS["number"], "sent": [SECRETS["pin"], SECRETS["key"]], "UsageToken": "tok3n"}
    headers = {"X-Echo": SECRETS["number"], "Set-Cookie": "tok3n"}
    server = serve(answering(response(json.dumps(echo).encode(), headers=headers)))

    ask(
        wire_to(server),
        f"{server.origin}/cards/{SECRETS['number']}?pass=c4n%40ry-PIN",
        method="POST",
        headers={"X-Api-Key": SECRETS["key"], "X-Other": SECRETS["key"], "X-Private": "anything"},
        body=json.dumps(SECRETS).encode(),
        unrecorded=frozenset({"x-private"}),
        secrets=SECRETS,
        into=exchanges,
    )

    (exchange,) = exchanges
    assert canaries(repr(exchange)) == []
    assert exchange.url == f"{server.origin}/cards/‹number›?pass=‹pin›"
    assert exchange.request_headers == (("X-Api-Key", "‹hidden›"), ("X-Other", "‹key›"))
    assert json.loads(exchange.request_body) == {"number": "‹number›", "pin": "‹pin›", "key": "‹key›"}
    assert json.loads(exchange.response_body) == {
        "card": "‹number›",
        "sent": ["‹pin›", "‹key›"],
        "UsageToken": "‹UsageToken›",
    }
    assert ("x-echo", "‹number›") in exchange.response_headers
    assert (exchange.status, exchange.reason) == (200, "")
    assert exchange.started_at.tzinfo is not None
    assert 0 <= exchange.connect_seconds <= exchange.total_seconds


def test_a_body_that_is_not_to_be_recorded_is_not(serve, wire_to, exchanges):
    server = serve(answering(response()))

    ask(wire_to(server), server.origin, method="POST", body=b"browser", record_body=False, into=exchanges)

    assert b"browser" in server.requests[0]
    assert "browser" not in repr(exchanges)


@pytest.mark.parametrize(
    ("manners", "reason", "status"),
    [
        (hanging_up_after(HEAD + b'{"half'), "cut", 200),
        (answering(response(status=302)), "redirected", 302),
        (answering(response(b"no", status=500)), "", 500),
    ],
)
def test_every_call_leaves_exactly_one_record(serve, wire_to, exchanges, manners, reason, status):
    server = serve(manners)

    with suppress(Failure):
        ask(wire_to(server), server.origin, into=exchanges)

    assert [(exchange.reason, exchange.status) for exchange in exchanges] == [(reason, status)]


def test_a_call_that_was_never_sent_leaves_its_record(wire_to, exchanges):
    with pytest.raises(Misconfigured):
        ask(wire_to(), "https://10.0.0.1/cards/6280390000012345", secrets=SECRETS, into=exchanges)

    (exchange,) = exchanges
    assert (exchange.reason, exchange.status) == ("address_refused", None)
    assert canaries(repr(exchange)) == []


def test_a_hidden_member_is_hidden_in_what_was_sent_too(serve, wire_to, exchanges):
    server = serve(answering(response(b'{"UsageToken": "canary", "x": 1}')))

    answer = ask(wire_to(server), server.origin, method="POST", body=b'{"UsageToken":"canary","x":1}', into=exchanges)

    assert exchanges[0].request_body == '{"UsageToken":"‹UsageToken›","x":1}'
    assert exchanges[0].response_body == answer.kept == '{"UsageToken": "‹UsageToken›", "x": 1}'


@pytest.mark.parametrize("name", ["jwt-token", "Sign", "Authorization", "X-Api-Key"])
def test_a_header_that_proves_who_asks_is_kept_by_name_only(serve, wire_to, exchanges, name):
    server = serve(answering(response(headers={name: "canary"})))

    ask(wire_to(server), server.origin, headers={name: "canary"}, into=exchanges)

    assert (name, "‹hidden›") in exchanges[0].request_headers
    assert "canary" not in repr(exchanges)


def test_a_record_can_be_stored_whatever_came_back(serve, wire_to, exchanges):
    body = b"\0\xff\xfe" + "‮<b>\ud7ff".encode() + b"x" * 100_000
    server = serve(answering(response(body)))

    ask(wire_to(server), server.origin, into=exchanges)

    recorded = exchanges[0].response_body
    assert "\0" not in recorded
    assert "‮" not in recorded
    assert len(recorded) == 16 * 1024


@pytest.mark.parametrize(
    "manners",
    [
        answering(response()),
        hanging_up_after(b"HTTP/1.1 200 OK\r\nno colon here 6280390000012345\r\n\r\n{}"),
        hanging_up_after(b"6280390000012345\r\n\r\n"),
        silent_after(b"HTTP/1.1 200 OK\r\n"),
        hanging_up_after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ],
)
def test_nothing_secret_is_logged_or_raised(serve, wire_to, caplog, manners):
    for name in ("", "urllib3", "urllib3.connection", "urllib3.connectionpool", "urllib3.response"):
        caplog.set_level(logging.DEBUG, logger=name)
    server = serve(manners)
    url = f"{server.origin}/cards/{SECRETS['number']}?pass=c4n%40ry-PIN"
    raised = ""

    try:
        ask(wire_to(server), url, headers={"X-Api-Key": SECRETS["key"]}, secrets=SECRETS, deadline=0.3)
    except Failure as failure:
        lines = traceback.format_exception(failure)
        raised = str(failure) + repr(failure) + "".join(lines)

    assert canaries(raised) == []
    assert canaries(caplog.text + repr([record.args for record in caplog.records])) == []


def test_an_answer_and_a_request_show_nothing_in_their_repr():
    request = HttpRequest(method="GET", url="http://a.example/6280390000012345", headers={"X": "c4n@ry-PIN"})
    answer = HttpAnswer(200, {"x": "c4n@ry-PIN"}, b"6280390000012345", lambda text: text)

    assert canaries(repr(request) + repr(answer)) == []


# ---- Retry-After -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("30", 30),
        ("0", 1),
        ("-5", 1),
        ("999999999", 3600),
        pytest.param("9" * 6000, 3600, id="6000 digits"),
        pytest.param("-" + "9" * 6000, 1, id="minus 6000 digits"),
        pytest.param(format_datetime(datetime.now(UTC) - timedelta(days=1)), 1, id="yesterday"),
        pytest.param(format_datetime(datetime.now(UTC) + timedelta(days=1)), 3600, id="tomorrow"),
        ("Fri, 31 Feb 2027 00:00:00 GMT", None),
        ("soon", None),
        ("٣٠", None),
        ("", None),
    ],
)
def test_a_wait_is_clamped_to_between_a_second_and_an_hour(asked, seconds):
    answer = HttpAnswer(429, {"retry-after": asked}, b"", lambda text: text)

    assert answer.retry_after() == seconds


def test_no_wait_is_made_up():
    assert HttpAnswer(429, {}, b"", lambda text: text).retry_after() is None
