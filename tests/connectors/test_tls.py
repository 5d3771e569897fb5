"""The connection itself: who the other side must prove to be, and that nothing is sent before it has."""

import ipaddress
import socket
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from portal.connectors.base import Reason, Unclear, Unreachable
from portal.connectors.http import Exchange, HttpRequest, Wire
from tests.connectors.certificates import NAME, tls_1_1
from tests.connectors.servers import Server, answering, dripping, hanging_up_after, response


def call(server: Server, *, ca_file, connect=20.0, deadline=30.0, on_exchange=lambda exchange: None):
    """Asks for NAME, which resolves to the server on this machine."""
    origin = f"https://{NAME}:{server.port}"
    wire = Wire(allow=[origin], ca_file=ca_file, resolve=lambda host, port: ["127.0.0.1"])
    try:
        return wire.exchange(
            HttpRequest(method="GET", url=f"{origin}/"),
            secrets={},
            deadline=deadline,
            connect_timeout=connect,
            moves_value=False,
            on_exchange=on_exchange,
        )
    finally:
        wire.close()


def test_a_certificate_of_a_known_issuer_for_the_right_name_is_accepted(serve, issuer):
    context = issuer.server_context(x509.DNSName(NAME))
    asked_for = []
    context.sni_callback = lambda sock, name, context: asked_for.append(name)
    server = serve(answering(response(b"1")), tls=context)

    assert call(server, ca_file=issuer.ca_file).body == b"1"
    assert asked_for == [NAME]


def test_the_record_of_a_call_says_when_the_certificate_ends(serve, issuer):
    server = serve(answering(response()), tls=issuer.server_context(x509.DNSName(NAME), valid_days=(-2, 5)))
    told: list[Exchange] = []

    call(server, ca_file=issuer.ca_file, on_exchange=told.append)

    [exchange] = told
    assert abs(exchange.certificate_until - datetime.now(UTC) - timedelta(days=5)) < timedelta(minutes=30)


def test_the_checked_address_is_called_and_the_name_is_what_the_server_hears(serve, issuer, monkeypatch):
    server = serve(answering(response()), tls=issuer.server_context(x509.DNSName(NAME)))
    really_connect, called = socket.create_connection, []

    def connect(address, timeout):
        called.append(address)
        return really_connect(("127.0.0.1", server.port), timeout)

    monkeypatch.setattr(socket, "create_connection", connect)
    wire = Wire(ca_file=issuer.ca_file, resolve=lambda host, port: ["93.184.216.34"])

    wire.exchange(
        HttpRequest(method="GET", url=f"https://{NAME}/"),
        secrets={},
        deadline=30,
        connect_timeout=20,
        moves_value=False,
        on_exchange=lambda exchange: None,
    )

    wire.close()
    assert called == [("93.184.216.34", 443)]
    assert f"\r\nHost: {NAME}\r\n" in server.requests[0].decode()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "trusted"),
    [
        pytest.param(lambda issuer: issuer.server_context(x509.DNSName("other.example.com")), True, id="wrong host"),
        pytest.param(
            lambda issuer: issuer.server_context(x509.IPAddress(ipaddress.ip_address("127.0.0.1"))),
            True,
            id="for the address only",
        ),
        pytest.param(lambda issuer: issuer.server_context(x509.DNSName(NAME), valid_days=(-2, -1)), True, id="expired"),
        pytest.param(lambda issuer: issuer.server_context(x509.DNSName(NAME)), False, id="unknown issuer"),
        pytest.param(lambda issuer: tls_1_1(issuer.server_context(x509.DNSName(NAME))), True, id="TLS 1.1 at most"),
    ],
)
def test_an_untrustworthy_connection_is_unreachable_and_nothing_is_sent(serve, issuer, make, trusted):
    server = serve(answering(response()), tls=make(issuer))

    with pytest.raises(Unreachable) as caught:
        call(server, ca_file=issuer.ca_file if trusted else None)

    assert caught.value.reason is Reason.CERTIFICATE
    assert server.requests == []


def silent(server: Server, connection) -> None:
    server.over.wait(5)


def dripping_hello(server: Server, connection) -> None:
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x40\x00")  # a handshake record of 16 KiB to come
    for _ in range(150):
        server.over.wait(0.02)
        connection.sendall(b"\0")


@pytest.mark.parametrize(
    "manners",
    [
        pytest.param(hanging_up_after(), id="hangs up"),
        pytest.param(silent, id="says nothing"),
        pytest.param(dripping_hello, id="drips"),
        pytest.param(answering(response()), id="speaks plain HTTP"),
    ],
)
def test_a_handshake_that_does_not_come_about_is_unreachable(serve, issuer, manners):
    server = serve(manners)

    with pytest.raises(Unreachable) as caught:
        call(server, ca_file=issuer.ca_file, connect=0.3)

    assert caught.value.reason is Reason.UNREACHABLE


def test_a_dripping_answer_over_tls_ends_at_the_deadline(serve, issuer):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    server = serve(dripping(head, b" "), tls=issuer.server_context(x509.DNSName(NAME)))

    with pytest.raises(Unclear) as caught:
        call(server, ca_file=issuer.ca_file, deadline=1.5)

    assert caught.value.reason is Reason.TIMEOUT
    assert not server.dripped_out
