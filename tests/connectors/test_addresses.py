"""Where a worker may connect to: names on the public internet, and nothing that leads home."""

import socket
import threading

import pytest

from portal.connectors import addresses
from portal.connectors.addresses import AddressRefused, Checked, check

PUBLIC = "93.184.216.34"


def resolving_to(*found):
    return lambda host, port: list(found)


def never(host, port):
    raise AssertionError(f"{host} was looked up")


def test_a_public_host_passes_with_the_address_to_connect_to():
    found = check("https://Cards.Example.com/OpenApi2?x=1", resolve=resolving_to(PUBLIC, "2606:2800:220:1::1"))

    assert found == Checked("https", "cards.example.com", 443, (PUBLIC, "2606:2800:220:1::1"))
    assert found.address == PUBLIC


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://cards.example.com:443/", "cards.example.com"),
        ("https://cards.example.com./", "cards.example.com"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("HTTPS://CARDS.EXAMPLE.COM", "cards.example.com"),
    ],
)
def test_a_host_has_one_spelling(url, host):
    assert check(url, resolve=resolving_to(PUBLIC)).host == host


NO_PLAIN_PUBLIC_NAMES = [
    # numbers in every notation
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://017700000001/",
    "https://0x7f.1/",
    "https://0xa9fea9fe/",
    "https://2852039166/",
    "https://0251.0376.0251.0376/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[0:0:0:0:0:ffff:127.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://127.0.0.1./",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://1.1.1.1/",
    "https://cards.0x1/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[fe80::1%25eth0]/",
    "https://[2606:2800:220:1::1]/",
    "https://１２７.０.０.１/",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    # names that are none
    "https://localhost/",
    "https://intranet/",
    "https://cards_.example.com/",
    "https://-cards.example.com/",
    "https://cards..example.com/",
    "https://.example.com/",
    f"https://{'a.' * 130}example.com/",
    f"https://{'a' * 64}.example.com/",
    # other doors
    "http://cards.example.com/",
    "https://cards.example.com:8443/",
    "https://cards.example.com:80/",
    "ftp://cards.example.com/",
    "gopher://cards.example.com/",
    "file:///etc/passwd",
    "dict://cards.example.com/",
    "ldap://cards.example.com/",
    "data:text/plain,hello",
    "javascript:alert(1)",
    "https://cards.example.com:22/",
    "https://cards.example.com:0/",
    "//cards.example.com/",
    "cards.example.com",
    "https:cards.example.com",
    "https:///path",
    "https://",
    "",
    # two readers, two hosts
    "https://user@cards.example.com/",
    "https://user:password@cards.example.com/",
    "https://cards.example.com@127.0.0.1/",
    "https://cards.example.com\\@127.0.0.1/",
    "https://cards.example.com\t.evil.example/",
    "https://cards.exam\nple.com/",
    " https://cards.example.com/",
    "https://cards.example.com/\0",
    "https://cards.example.com:99999/",
    "https://cards.example.com:https/",
    "https://cards.example.com:４４３/x:0",
    "https://[::1/",
    "https://ex​ample.com/",
    "https://xn--a.\ud800.com/",
]


@pytest.mark.parametrize("url", NO_PLAIN_PUBLIC_NAMES, ids=ascii)
def test_an_address_that_is_no_plain_public_name_is_refused_without_looking_it_up(url):
    with pytest.raises(AddressRefused) as caught:
        check(url, resolve=never)

    assert str(caught.value).endswith(".")


PRIVATE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200", "168.63.129.16"),
    *("192.0.0.1", "192.0.0.192", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "198.19.255.255"),
    *("192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *(
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:93.184.216.34",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
    ),
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1"),
    *("2001::1", "2001:db8::1", "2002:7f00:1::", "2002:c0a8:101::1", "3fff::1", "not an address", ""),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_to_our_own_or_a_special_network_is_refused(address):
    with pytest.raises(AddressRefused) as caught:
        check("https://cards.example.com/", resolve=resolving_to(address))

    assert not address or address not in str(caught.value)


@pytest.mark.parametrize("order", [(PUBLIC, "127.0.0.1"), ("127.0.0.1", PUBLIC)])
def test_one_private_address_among_public_ones_is_enough_to_refuse(order):
    with pytest.raises(AddressRefused):
        check("https://cards.example.com/", resolve=resolving_to(*order))


def test_a_name_without_addresses_is_refused():
    with pytest.raises(AddressRefused):
        check("https://cards.example.com/", resolve=resolving_to())


def test_a_name_is_judged_anew_at_every_check():
    answers = iter([[PUBLIC], ["10.0.0.1"]])
    check("https://cards.example.com/", resolve=lambda host, port: next(answers))

    with pytest.raises(AddressRefused):
        check("https://cards.example.com/", resolve=lambda host, port: next(answers))


def test_a_name_that_cannot_be_resolved_now_is_no_refusal():
    def resolve(host, port):
        raise socket.gaierror("try again")

    with pytest.raises(OSError, match="try again"):
        check("https://cards.example.com/", resolve=resolve)


def test_an_origin_of_the_environment_is_exempt():
    found = check("http://127.0.0.1:8100/cardinquiry", allow=["http://127.0.0.1:8100"])

    assert found == Checked("http", "127.0.0.1", 8100, ("127.0.0.1",))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8101/",
        "http://127.0.0.2:8100/",
        "https://127.0.0.1:8100/",
        "http://127.0.0.1:8100@127.0.0.2/",
        "http://user@127.0.0.1:8100/",
        "http://127.0.0.1:8100\\@127.0.0.2/",
        "http://127.1:8100/",
    ],
)
def test_the_exemption_is_for_exactly_that_origin(url):
    with pytest.raises(AddressRefused):
        check(url, allow=["http://127.0.0.1:8100"], resolve=never)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Cards.Example.com./OpenApi2?x=1", "https://cards.example.com"),
        ("https://cards.example.com:443", "https://cards.example.com"),
        ("http://cards.example.com:8080/", "http://cards.example.com:8080"),
        ("https://bücher.example/", "https://xn--bcher-kva.example"),
        ("http://[::1]:8100/", "http://[::1]:8100"),
    ],
)
def test_an_origin_has_one_spelling(url, origin):
    assert addresses.origin(url) == origin


def test_a_name_is_looked_up_for_so_long_and_no_longer(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(addresses, "resolve_by_system", lambda host, port: over.wait(10) and [PUBLIC])
    try:
        for _ in range(4):
            with pytest.raises(TimeoutError):
                addresses.resolve_in_time("slow.example.com", 443, seconds=0.01)
        with pytest.raises(TimeoutError, match="Too many"):  # at once, without a fifth thread
            addresses.resolve_in_time("slow.example.com", 443, seconds=60)
    finally:
        over.set()
        for _ in range(4):  # until the four threads are through
            assert addresses._looked_up_at_once.acquire(timeout=10)
        addresses._looked_up_at_once.release(4)


def test_looking_up_in_time_says_what_the_system_says():
    assert "127.0.0.1" in addresses.resolve_in_time("localhost", 443)
    with pytest.raises(socket.gaierror):
        addresses.resolve_in_time("nowhere.invalid", 443)
