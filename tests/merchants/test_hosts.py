"""Where a merchant's providers may be called: judged when an address is saved, and again before every call."""

import uuid

import pytest
from django.conf import settings as configured
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection, transaction

from portal.connectors import addresses
from portal.connectors.base import Misconfigured, Reason
from portal.connectors.http import Wire
from portal.ledger import balances, calls
from portal.ledger.models import Inquiry, State
from portal.merchants import connections, hosts, pauses, tenancy
from portal.merchants.hosts import Standing
from portal.merchants.models import AuditEntry, Connection, HostApproval, HostState, Member, Person
from tests.conftest import make_connection, make_person
from tests.connectors.servers import Server, silent_after
from tests.connectors.test_addresses import NO_PLAIN_PUBLIC_NAMES, PRIVATE, PUBLIC, never, resolving_to

OWN = "https://cards.example.com/OpenApi2"
ORIGIN = "https://cards.example.com"


def storable(url):
    """The database takes neither NUL nor half a character."""
    return "\0" not in url and "\ud800" not in url


@pytest.fixture
def owner(jung, olivia):
    with tenancy.merchant(jung.pk):
        yield Member.objects.select_related("merchant", "person").get(person=olivia)


@pytest.fixture
def public(monkeypatch):
    """Every name leads to the public internet, so far as saving can see."""
    monkeypatch.setattr(addresses, "resolve_by_system", resolving_to(PUBLIC))


@pytest.fixture
def admin(arrange):
    with arrange():
        person = make_person("Ada")
    Person.objects.filter(pk=person.pk).update(is_staff=True)
    return Person.objects.get(pk=person.pk)


@pytest.fixture
def asked(owner, public):
    return hosts.ask(owner, "cardinquiry", OWN, reason="Our own server")


@pytest.fixture
def approved(asked, admin):
    hosts.decide(asked, by=admin, approve=True)
    return asked


def trail(merchant):
    return list(AuditEntry.objects.filter(merchant=merchant).order_by("id").values_list("verb", flat=True))


# ---- When it is saved -----------------------------------------------------------------------------------------
def test_a_providers_own_hosts_need_nobody(owner):
    for url in ("https://uat.paywizard.biz", "https://portal.paywizard.biz/x", "https://PORTAL.paywizard.biz:443"):
        verdict = hosts.judge(owner.merchant, "paywizard", url, resolve=never)
        assert (verdict.standing, verdict.may_be_called) == (Standing.PRESET, True)


def test_what_the_environment_allows_needs_nobody_although_it_lives_on_this_machine(owner):
    verdict = hosts.judge(owner.merchant, "cardinquiry", f"{configured.SANDBOX_URL}/cardinquiry", resolve=never)

    assert (verdict.standing, verdict.may_be_called) == (Standing.ALLOWED, True)


def test_another_providers_hosts_are_none_of_this_one(owner):
    verdict = hosts.judge(owner.merchant, "cardinquiry", "https://uat.paywizard.biz", resolve=resolving_to(PUBLIC))

    assert (verdict.standing, verdict.may_be_called) == (Standing.WANTS_APPROVAL, False)


@pytest.mark.parametrize("url", NO_PLAIN_PUBLIC_NAMES, ids=ascii)
def test_an_address_that_is_no_plain_public_name_cannot_even_be_asked_for(owner, url):
    verdict = hosts.judge(owner.merchant, "cardinquiry", url, resolve=never)

    assert verdict.standing == Standing.REFUSED
    assert verdict.sentence
    with pytest.raises(hosts.NothingToAsk):
        hosts.ask(owner, "cardinquiry", url)
    assert not HostApproval.objects.exists()


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_home_cannot_be_asked_for(owner, address):
    verdict = hosts.judge(owner.merchant, "cardinquiry", OWN, resolve=resolving_to(PUBLIC, address))

    assert (verdict.standing, verdict.may_be_called) == (Standing.REFUSED, False)
    assert not address or address not in verdict.sentence


def test_a_name_that_cannot_be_found_is_said_so(owner):
    def resolve(host, port):
        raise OSError

    verdict = hosts.judge(owner.merchant, "cardinquiry", OWN, resolve=resolve)

    assert verdict.standing == Standing.REFUSED
    assert "cannot be found" in verdict.sentence


# ---- Asking and deciding --------------------------------------------------------------------------------------
def test_a_host_is_asked_for_once_however_often_it_is_pressed(owner, asked):
    again = hosts.ask(owner, "cardinquiry", "https://CARDS.example.com:443/elsewhere")

    assert again.key == asked.key
    assert (asked.origin, asked.state, asked.reason) == (ORIGIN, HostState.WAITING, "Our own server")
    assert trail(owner.merchant).count("host asked") == 1
    assert hosts.judge(owner.merchant, "cardinquiry", OWN).last == asked


def test_asking_takes_the_right_to_connect(asked, alice, jung):
    cashier = Member.objects.select_related("merchant", "person").get(person=alice)

    with pytest.raises(PermissionDenied):
        hosts.ask(cashier, "cardinquiry", "https://other.example.com")
    with pytest.raises(PermissionDenied):
        hosts.take_back(cashier, asked)


def test_an_approval_holds_for_this_merchant_this_provider_and_this_origin_only(owner, approved, arrange, kauri):
    assert hosts.judge(owner.merchant, "cardinquiry", f"{ORIGIN}/v2", resolve=never).standing == Standing.APPROVED
    assert hosts.judge(owner.merchant, "paywizard", OWN).standing == Standing.WANTS_APPROVAL
    assert hosts.judge(owner.merchant, "cardinquiry", "https://www.cards.example.com").may_be_called is False
    assert hosts.judge(owner.merchant, "cardinquiry", "http://cards.example.com").may_be_called is False
    with arrange():
        assert hosts.judge(kauri, "cardinquiry", OWN).standing == Standing.WANTS_APPROVAL


def test_the_owners_are_told_and_the_trail_says_who_decided(asked, jung, admin, olivia, mailoutbox):
    hosts.decide(asked, by=admin, approve=True)
    line = AuditEntry.objects.get(merchant=jung, verb="host approved")

    assert [mail.to for mail in mailoutbox] == [[olivia.email]]
    assert ORIGIN in mailoutbox[0].subject
    assert (line.person, line.subject, line.detail["provider"]) == (admin, ORIGIN, "CardInquiry")


def test_a_host_that_was_refused_may_be_asked_for_again(owner, asked, admin):
    hosts.decide(asked, by=admin, approve=False, note="Which server is it?")
    verdict = hosts.judge(owner.merchant, "cardinquiry", OWN)

    assert (verdict.may_be_called, verdict.last.note) == (False, "Which server is it?")
    assert hosts.ask(owner, "cardinquiry", OWN).key != asked.key


def test_what_is_decided_is_decided(owner, approved, admin):
    with pytest.raises(hosts.DecidedAlready):
        hosts.decide(approved, by=admin, approve=False)
    assert not hosts.take_back(owner, approved)
    approved.refresh_from_db()
    assert approved.state == HostState.APPROVED


def test_only_who_is_an_administrator_now_decides(asked, olivia, admin):
    with pytest.raises(PermissionDenied):
        hosts.decide(asked, by=olivia, approve=True)
    Person.objects.filter(pk=admin.pk).update(is_staff=False)
    with pytest.raises(PermissionDenied):
        hosts.decide(asked, by=admin, approve=True)


def test_a_wish_can_be_taken_back(owner, asked):
    assert hosts.take_back(owner, asked)
    asked.refresh_from_db()
    assert asked.state == HostState.WITHDRAWN
    assert not hosts.take_back(owner, asked)


def test_another_merchant_sees_no_wish(asked, kauri):
    with tenancy.merchant(kauri.pk):
        assert not HostApproval.objects.exists()
    with tenancy.merchant(kauri.pk), pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO merchants_hostapproval (merchant_id, key, provider, origin, reason, asked_by_id, state, note)"
            " VALUES (%s, %s, 'cardinquiry', 'https://x.example', '', %s, 'waiting', '')",
            [asked.merchant_id, uuid.uuid4(), asked.asked_by_id],
        )


# ---- Before every call ----------------------------------------------------------------------------------------
@pytest.fixture
def listener():
    """Somebody at home who would be reached if a guard failed."""
    server = Server(silent_after())
    yield server
    server.close()


@pytest.fixture
def looks_up(jung, alice, monkeypatch):
    """`looks_up(url, resolve)`: a worker answers a look-up over a connection to this address, whoever stored it."""

    def look(url, resolve=never, *, link=None):
        monkeypatch.setattr(calls, "wire", lambda: Wire(resolve=resolve, allow=[]))
        with tenancy.merchant(jung.pk):
            link = link or make_connection(jung)
            Connection.objects.filter(pk=link.pk).update(options={**link.options, "base_url": url})
            link.refresh_from_db()
            member = Member.objects.select_related("merchant", "person").get(person=alice)
            found = balances.open_look_up(
                member=member, key=uuid.uuid4(), connection=link, number="6280390000000001", client=None
            )
            balances.give_pin(found, pin="1234")
            balances.answer(found.pk)
            return Inquiry.objects.select_related("connection").get(pk=found.pk)

    return look


@pytest.mark.parametrize("url", [OWN, *filter(storable, NO_PLAIN_PUBLIC_NAMES)], ids=ascii)
def test_what_nobody_approved_is_not_called_and_its_name_not_even_looked_up(looks_up, jung, url):
    found = looks_up(url)

    assert (found.state, found.failure) == (State.FAILED, "misconfigured")
    # An address that its provider's own rules refuse, by its path say, is refused before by these.
    assert found.reason in ("address_refused", "settings")
    assert found.connection.paused_at


def test_a_refused_address_pauses_the_connection_with_one_notice(looks_up, jung):
    found = looks_up(OWN)

    assert found.connection.pause_reason == Reason.ADDRESS_REFUSED
    assert "address" in connections.pause_words(found.connection)
    with tenancy.merchant(jung.pk):
        pauses.because_refused(found.connection, Reason.ADDRESS_REFUSED)
        assert trail(jung).count("connection paused") == 1
        with pytest.raises(connections.NotNow):
            looks_up(OWN, link=found.connection)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_approved_name_that_leads_home_by_now_is_not_called(looks_up, approved, listener, address):
    found = looks_up(OWN, resolving_to(address))

    assert (found.reason, listener.connections) == ("address_refused", 0)


def test_a_name_that_changes_its_mind_between_saving_and_calling_reaches_nobody(looks_up, owner, admin, listener):
    """DNS rebinding: public when it is saved and approved, at home when it is called."""
    answers = iter([[PUBLIC], ["127.0.0.1"], [PUBLIC, "169.254.169.254"], ["::ffff:127.0.0.1"]])

    def rebinding(host, port):
        return next(answers)

    url = "https://rebind.example.com"
    assert hosts.judge(owner.merchant, "cardinquiry", url, resolve=rebinding).standing == Standing.WANTS_APPROVAL
    approval = _approve(owner, admin, url)

    link = None
    for _ in range(3):
        found = looks_up(url, rebinding, link=link)
        assert (found.reason, found.connection.pause_reason) == ("address_refused", "address_refused")
        link = found.connection
        pauses.end(pauses.under_way(link), held=(None, None), person=admin)
    assert listener.connections == 0
    assert approval.state == HostState.APPROVED
    assert next(answers, None) is None  # each call looked for itself


def test_an_administrator_cannot_approve_what_the_rules_refuse(looks_up, owner, admin, listener):
    """Not by mistake either, such as a row written by hand."""
    _approve(owner, admin, listener.origin)
    found = looks_up(listener.origin)

    assert (found.reason, listener.connections) == ("address_refused", 0)


def test_a_revoked_approval_ends_with_the_next_call(looks_up, approved, admin):
    def resolve(host, port):
        raise OSError

    found = looks_up(OWN, resolve)
    assert (found.failure, found.reason) == ("unreachable", "unreachable")

    hosts.revoke(approved, by=admin)

    found = looks_up(OWN, link=found.connection)
    assert (found.failure, found.reason) == ("misconfigured", "address_refused")


def test_operations_ask_for_the_address_too(jung, paywizard_elsewhere):
    with pytest.raises(Misconfigured) as caught:
        connections.settings_for_a_call(paywizard_elsewhere)

    assert caught.value.reason is Reason.ADDRESS_REFUSED


@pytest.fixture
def paywizard_elsewhere(arrange, jung):
    link = Connection(merchant=jung, provider="paywizard", name="Elsewhere", environment="live")
    link.options = {"base_url": "https://paywizard.example.com"}
    connections.seal_secrets(link, {"client_secret": "secret", "token": "token"})
    with arrange():
        link.save()
        yield link


def test_an_address_is_never_repeated_in_the_refusal():
    with pytest.raises(addresses.AddressRefused) as caught:
        addresses.check("https://127.0.0.1/", resolve=never)

    assert "127" not in str(caught.value)


def _approve(owner, admin, origin):
    """As if it had been asked for: what nobody can ask for is there, too."""
    open_for_writing = hosts.host_writer._open.set(True)
    try:
        row = HostApproval.objects.create(
            merchant=owner.merchant, provider="cardinquiry", origin=origin, asked_by=owner.person
        )
    finally:
        hosts.host_writer._open.reset(open_for_writing)
    hosts.decide(row, by=admin, approve=True)
    return row
