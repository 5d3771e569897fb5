"""Kill switches: what an administrator switches off is told to people, held for files, and runs in order afterwards."""

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.db import IntegrityError, transaction
from django.db import connection as database
from django.db import connections as databases
from django.db.models.functions import Now
from django.utils import timezone

from portal.connectors.base import VERBS
from portal.ledger import balances, operations, settling, tasks
from portal.ledger.models import Inquiry, OperationState
from portal.merchants import connections, switches, tenancy
from portal.merchants.models import AuditEntry, Connection, Person, Scope, Switch, switch_writer
from portal.merchants.writers import WrittenElsewhere
from tests.conftest import make_connection, make_person, typed_just_now
from tests.ledger.conftest import Till
from tests.ledger.test_holding import file_asks, works

S = OperationState
PAGE = "/on-call/switches/"


@pytest.fixture
def admin(arrange) -> Person:
    with arrange():
        person = make_person("Ada")
        Authenticator.objects.create(user=person, type=Authenticator.Type.TOTP, data={"secret": ""})
        Person.objects.filter(pk=person.pk).update(is_staff=True)
        return Person.objects.get(pk=person.pk)


@pytest.fixture
def throws(admin, arrange):
    def throw(**what) -> Switch:
        with arrange():
            return switches.throw(
                admin, **{"reason": "They are down", "banner": "Take cash for now.", "scope": Scope.PROVIDER, **what}
            )

    return throw


def scopes(till: Till) -> list[dict[str, object]]:
    return [
        {"scope": Scope.PROVIDER, "provider": "paywizard"},
        {"scope": Scope.CONNECTION, "connection": till.connection},
        {"scope": Scope.VERB, "verb": "pay"},
        {"scope": Scope.VERB, "verb": "pay", "provider": "paywizard"},
    ]


# ---- What it does -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("which", range(4))
def test_what_is_off_is_told_to_a_person_held_for_a_file_and_runs_in_order_afterwards(
    till: Till, throws, admin, arrange, which
):
    accepted = till.asks("pay", 1_00)
    switch = throws(**scopes(till)[which])

    with pytest.raises(connections.NotNow) as told:
        till.asks("pay", 2_00)
    assert "Take cash for now." in told.value.words
    of_a_file = file_asks(till, "914639258868503")
    works()
    assert till.effects() == [], "what waits is held, and not failed"

    with arrange():
        switches.end(switch, admin)
    works()
    assert [each["reference"] for each in till.effects()] == [accepted.reference, of_a_file.reference]


@pytest.mark.parametrize(
    "other",
    [
        {"scope": Scope.PROVIDER, "provider": "cardinquiry"},
        {"scope": Scope.VERB, "verb": "top_up"},
        {"scope": Scope.VERB, "verb": "pay", "provider": "cardinquiry"},
        {"scope": Scope.PUBLIC_PAGE},
    ],
)
def test_what_is_not_meant_goes_on(till: Till, throws, other):
    throws(**other)

    assert till.gets("pay", 1_00).state == S.DONE


def test_another_connections_switch_concerns_nobody_else_and_is_not_even_seen(till: Till, throws, arrange, kauri):
    with arrange():
        theirs = make_connection(kauri)
    throws(scope=Scope.CONNECTION, connection=theirs)

    assert switches.in_force() == []
    assert till.gets("pay", 1_00).state == S.DONE


def test_nothing_overtakes_on_a_card_whose_first_operation_is_switched_off(till: Till, throws):
    first = till.asks("pay", 1_00)
    second = till.asks("top_up", 5_00)
    throws(scope=Scope.VERB, verb="pay")

    works()

    for each in (first, second):
        each.refresh_from_db()
        assert each.state == S.WAITING
    assert till.gets("top_up", 5_00, number="914639258868504").state == S.DONE


def test_look_ups_are_refused_and_one_that_was_on_its_way_is_not_asked(till: Till, throws):
    def opens() -> Inquiry:
        number = "914639258868500"
        return balances.open_look_up(
            member=till.member, key=uuid.uuid4(), connection=till.connection, number=number, client=None
        )

    on_its_way = opens()
    throws(provider="paywizard")

    with pytest.raises(connections.NotNow, match="not asked"):
        opens()
    balances.answer(on_its_way.pk)

    on_its_way.refresh_from_db()
    assert (on_its_way.state, on_its_way.reason, on_its_way.sealed_number) == ("failed", "not_now", None)


def test_what_is_unclear_is_not_looked_at_while_its_provider_is_off(till: Till, throws, admin, arrange):
    till.arm("timeout_after", "giftTransaction", seconds=3)
    unclear = till.gets("pay", 12_50)
    switch = throws(provider="paywizard")

    assert settling.settle_due() == 0
    with arrange():
        switches.end(switch, admin)
    settling.settle_due()

    unclear.refresh_from_db()
    assert unclear.state == S.DONE


def test_its_time_over_it_is_without_effect_at_once_and_the_sweep_notes_it(till: Till, throws):
    switch = throws(provider="paywizard", expires_at=timezone.now() + timedelta(hours=1))
    before = switch_writer._open.set(True)
    with tenancy.every_merchant("a test arranges its rows"):
        Switch.objects.update(thrown_at=Now() - timedelta(hours=2), expires_at=Now() - timedelta(seconds=1))
    switch_writer._open.reset(before)
    assert till.gets("pay", 1_00).state == S.DONE

    tasks.sweep_operations()

    switch.refresh_from_db()
    assert (switch.ended_at is not None, switch.ended_by) == (True, None)


def test_the_public_page_of_one_merchant_has_a_switch_that_nobody_else_sees(till: Till, throws, jung, kauri, admin):
    throws(scope=Scope.PUBLIC_PAGE, merchant=kauri)
    assert switches.of_public_page() is None

    mine = throws(scope=Scope.PUBLIC_PAGE, merchant=jung)
    for_all = throws(scope=Scope.PUBLIC_PAGE)

    assert switches.in_force() == [mine, for_all]
    assert switches.title(mine) == "The public balance page of Bäckerei Jung"
    assert till.gets("pay", 1_00).state == S.DONE
    with pytest.raises(switches.ThrownAlready):
        throws(scope=Scope.PUBLIC_PAGE, merchant=jung)
    assert AuditEntry.objects.filter(verb="switched off", merchant=jung).count() == 1


def test_an_administrator_switches_one_merchants_page_off_in_two_beats(ada, jung, arrange):
    typed = {"scope": "public_page", "merchant": "no-such-shop", "reason": "Guessing", "banner": "Closed for now."}
    wrong = ada.post("/on-call/switches/", typed)
    asked = ada.post("/on-call/switches/", typed | {"merchant": jung.slug})
    assert not Switch.objects.exists()
    done = ada.post("/on-call/switches/", typed | {"merchant": jung.slug, "confirmed": "1"})

    assert (wrong.status_code, "There is no merchant of this name." in wrong.text) == (422, True)
    assert "Switch off The public balance page of Bäckerei Jung" in asked.text
    assert done.status_code == 302
    with arrange():
        assert Switch.objects.get().merchant == jung


# ---- What it is -----------------------------------------------------------------------------------------------
def test_a_switch_is_thrown_once_and_stands_in_the_trail(till: Till, throws, admin, arrange):
    for what in scopes(till):
        throws(**what)
        with pytest.raises(switches.ThrownAlready):
            throws(**what)

    with arrange():
        told = AuditEntry.objects.filter(verb="switched off", person=admin).order_by("id")
        assert [line.subject for line in told] == ["paywizard", "PayWizard", "pay", "pay at paywizard"]
        assert [line.merchant_id for line in told] == [None, till.member.merchant_id, None, None]


def test_a_merchant_throws_no_switch_for_everybody_not_even_by_sql(till: Till, admin):
    switch = Switch(scope="provider", provider="paywizard", reason="x", banner="x", thrown_by=admin)
    before = switch_writer._open.set(True)
    try:
        with pytest.raises(Exception, match="row-level security"), transaction.atomic():
            switch.save()
    finally:
        switch_writer._open.reset(before)


def test_the_database_refuses_a_switch_that_does_not_say_what(throws, till: Till):
    for wrong in ({"scope": "provider"}, {"scope": "verb"}, {"scope": "connection"}, {"scope": "nothing"}):
        with pytest.raises(IntegrityError):
            throws(**wrong)


def test_a_switch_is_written_by_its_own_module_only(throws):
    with pytest.raises(WrittenElsewhere):
        throws(provider="paywizard").save()


def test_every_verb_has_its_words():
    assert set(switches.DOINGS) == set(VERBS)


# ---- The page -------------------------------------------------------------------------------------------------
@pytest.fixture
def office(admin, signed_in):
    client = signed_in(admin)
    typed_just_now(client, admin, with_factor=True)
    return client


TYPED = {"scope": "provider", "provider": "paywizard", "reason": "They are down", "banner": "Take cash.", "minutes": ""}


def exact(page: str) -> dict[str, str]:
    return dict(re.findall(r'type="hidden" name="(?!csrf)(\w+)" value="([^"]*)"', page))


def test_an_administrator_switches_off_in_two_beats_and_on_again_seeing_what_will_run(
    office, signed_in, alice, till: Till
):
    waits = [till.asks("pay", 3_00), file_asks(till, "914639258868503", amount=7_00)]
    question = office.post(PAGE, TYPED).text
    assert switches.in_force() == [], "the first beat changes nothing"
    assert "Switch off PayWizard" in question
    assert "Operations that wait for it now: 2." in question

    office.post(PAGE, exact(question))
    [switch] = switches.in_force()
    shop = signed_in(alice)
    for page in (shop.get("/m/baeckerei-jung/").text, shop.get(f"/m/baeckerei-jung/cards/{till.card().key}/").text):
        assert "PayWizard: switched off by the administrator since" in page
        assert "Take cash." in page

    page = office.get(f"{PAGE}{switch.key}/").text
    assert "2 operations wait." in page
    assert page.index("Payment of $3.00") < page.index("Payment of $7.00")
    office.post(f"{PAGE}{switch.key}/")
    works()

    assert [each["reference"] for each in till.effects()] == [each.reference for each in waits]
    assert "switched off by" not in shop.get("/m/baeckerei-jung/").text


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": ""}, {"scope": "verb", "verb": ""}, {"scope": "connection", "connection": ""}, {"reason": ""},
        {"scope": "connection", "connection": str(uuid.uuid4())}, {"banner": ""}, {"minutes": "7"}, {"scope": "moon"},
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_beside_its_field(office, wrong):
    answer = office.post(PAGE, {**TYPED, **wrong, "confirmed": "1"})

    assert answer.status_code == 422
    assert "There is a problem" in answer.text
    assert switches.in_force() == []


def test_one_connection_is_switched_off_by_its_key(office, till: Till):
    office.post(PAGE, {**TYPED, "scope": "connection", "connection": str(till.connection.key), "confirmed": "1"})

    assert switches.off(till.connection, "pay") is not None


def test_without_a_second_factor_shown_nobody_comes_in(admin, olivia, signed_in):
    assert signed_in(admin).get(PAGE).status_code in (302, 404)
    assert signed_in(olivia).get(PAGE).status_code == 404


# ---- What it costs ------------------------------------------------------------------------------------------------
_WAITS = """
INSERT INTO ledger_operation (
    merchant_id, connection_id, key, verb, currency, points, also_activate, extra, fingerprint, in_flight_key, priority,
    asked_at, state, attempt, checks, provider_reference, reason, provider_text, trace, settled_by, decision,
    decision_reason
) SELECT %(merchant)s, %(connection)s, gen_random_uuid(), %(verb)s, '', 5, false, '{}', '', int8send(n), 10,
    now(), 'waiting', 0, 0, '', '', '', '', '', '', '' FROM generate_series(1, %(many)s) n
"""


@pytest.fixture
def full_house(till_for_good: Till) -> Iterator[Till]:
    """Twenty thousand operations wait at a paused connection, twenty thousand for a verb that is switched off, and a
    few at a hundred other connections: committed and counted."""
    merchant = till_for_good.member.merchant
    admin = Person.objects.get(email="olivia@example.com")
    with database.cursor() as cursor:

        def waits(connection: Connection, verb: str, many: int) -> None:
            values = {"merchant": merchant.pk, "connection": connection.pk, "verb": verb, "many": many}
            cursor.execute(_WAITS, values)

        Connection.objects.filter(pk=till_for_good.connection.pk).update(paused_at=Now(), pause_reason="x")
        waits(till_for_good.connection, "issue_points", 20_000)
        for number in range(100):
            other = Connection(merchant=merchant, provider="paywizard", name=f"Other {number}", environment="sandbox")
            other.sealed_secrets = b""
            other.save()
            waits(other, "redeem_points", 5)
        waits(other, "issue_points", 20_000)
    thrown = switches.throw(admin, scope=Scope.VERB, verb="issue_points", reason="x", banner="x")
    with databases["owner"].cursor() as cursor:
        cursor.execute("ANALYZE")
    yield till_for_good
    before = switch_writer._open.set(True)
    Switch.objects.filter(pk=thrown.pk).delete()
    switch_writer._open.reset(before)


def test_what_is_held_costs_a_claim_nothing_however_much_it_is(full_house: Till):
    with database.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {operations._CANDIDATE}", {"only": None})
        plan = "\n".join(row[0] for row in cursor.fetchall())

    read = int(re.findall(r"Buffers: shared hit=(\d+)", plan)[0])
    assert "Seq Scan on ledger_operation" not in plan
    assert read < 4_000, f"{read} pages for a claim; each of the 40,000 that are held would be one\n{plan}"
    claimed = operations._claim()
    assert claimed.verb == "redeem_points"
