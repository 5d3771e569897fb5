"""Connecting a provider at the real sandbox: drafts, their test by a worker, and what becomes of them."""

import base64
import json

import pytest
from django.core import mail

from portal.connectors import doctor
from portal.ledger import holding
from portal.merchants import connecting, connections, pauses, tenancy, trials, vault
from portal.merchants.models import AuditEntry, Connection, ConnectionDraft, DraftState, Member, draft_writer
from portal.merchants.writers import WrittenElsewhere
from tests.conftest import make_person

THEIRS = "what-a-colleague-typed-0002"
WRONG = "not-the-key-of-anybody-0001"


@pytest.fixture
def owner(jung, olivia):
    with tenancy.merchant(jung.pk):
        yield Member.objects.select_related("merchant", "person").get(person=olivia)


@pytest.fixture
def key(sandbox) -> str:
    return str(sandbox.credentials("cardinquiry")["api_key"])


def filled_in(owner, sandbox, secret: str) -> ConnectionDraft:
    """A complete draft for CardInquiry."""
    draft = connecting.start(owner, "cardinquiry")
    return connecting.keep(
        owner, draft, typed={"base_url": f"{sandbox.url}/cardinquiry"}, secrets={"api_key": secret}, name="Cards"
    )


def after_its_test(owner, draft: ConnectionDraft) -> ConnectionDraft:
    """Ask for the test, let a worker do it, and see what became of it."""
    connecting.ask_for_test(owner, draft)
    trials.try_out(draft.pk)
    draft.refresh_from_db()
    return draft


def sentences(draft: ConnectionDraft) -> list[str]:
    return [each["sentence"]["message"] % each["sentence"]["values"] for each in draft.findings]


def lines(verb: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(verb=verb).order_by("id"))


# ---- Connecting ---------------------------------------------------------------------------------------------------
def test_a_draft_that_passes_its_test_is_a_connection_that_works(owner, sandbox, key):
    draft = after_its_test(owner, filled_in(owner, sandbox, key))

    assert draft.state == DraftState.PASSED
    assert [each["passed"] for each in draft.findings] == [True, True, True]
    connection = Connection.objects.get(key=draft.key)
    assert connections.is_asked(connection)
    assert connections.open_secrets(connection) == {"api_key": key}
    assert connection.secret_notes["api_key"]["set_by"] == owner.person_id
    assert lines("connection added")[0].person == owner.person


def test_paywizard_is_connected_in_the_same_way(owner, sandbox):
    keys = sandbox.credentials("paywizard")
    draft = connecting.start(owner, "paywizard")
    assert draft.typed == {"base_url": "https://uat.paywizard.biz"}
    draft = connecting.keep(
        owner,
        draft,
        typed={"base_url": f"{sandbox.url}/paywizard", "client_id": keys["client_id"]},
        secrets={"client_secret": keys["client_secret"], "token": keys["token"]},
    )

    draft = after_its_test(owner, draft)

    assert draft.state == DraftState.PASSED, sentences(draft)
    can = doctor.capabilities("paywizard", draft.connection.options).can
    assert "pay" in can


def test_a_draft_that_does_not_pass_says_why_and_connects_nothing(owner, sandbox):
    draft = after_its_test(owner, filled_in(owner, sandbox, WRONG))

    assert draft.state == DraftState.FAILED
    assert [each["passed"] for each in draft.findings] == [True, False]
    assert sentences(draft)[-1] == "CardInquiry refuses us access."
    assert draft.findings[-1]["fix"]["message"]
    assert not Connection.objects.exists()
    assert draft.sealed_secrets is None  # the provider was there: there is nothing to keep untested


def test_after_it_passed_no_secret_is_left_in_the_draft(owner, sandbox, key):
    draft = after_its_test(owner, filled_in(owner, sandbox, key))

    assert (draft.sealed, draft.sealed_secrets) == ({}, None)


def test_two_of_one_name_get_names_of_their_own(owner, sandbox, key):
    first, second = (after_its_test(owner, filled_in(owner, sandbox, key)) for _ in range(2))

    assert {first.connection.name, second.connection.name} == {"Cards", "Cards 2"}


def test_pressed_twice_it_is_one_test(owner, sandbox, key):
    draft = filled_in(owner, sandbox, key)
    connecting.ask_for_test(owner, draft)
    connecting.ask_for_test(owner, draft)

    assert len(lines("connection test asked")) == 1


def test_a_message_that_comes_twice_is_one_connection(owner, sandbox, key):
    draft = after_its_test(owner, filled_in(owner, sandbox, key))

    trials.try_out(draft.pk)

    assert Connection.objects.count() == 1


# ---- While it is being tested ---------------------------------------------------------------------------------------
def test_who_types_while_a_worker_tests_is_not_overtaken_by_what_it_finds(owner, sandbox, key):
    draft = filled_in(owner, sandbox, key)
    connecting.ask_for_test(owner, draft)
    claimed = connecting.claim(draft.pk)

    connecting.keep(owner, draft, typed={}, secrets={"api_key": WRONG})
    connecting.passed(claimed, options={}, secrets={"api_key": key})

    draft.refresh_from_db()
    assert draft.state == DraftState.TYPING
    assert not Connection.objects.exists()


def test_a_field_that_keeps_itself_after_the_button_ends_no_test(owner, sandbox, key):
    draft = filled_in(owner, sandbox, key)
    connecting.ask_for_test(owner, draft)
    address = {"base_url": f"{sandbox.url}/cardinquiry"}

    late = connecting.keep(owner, draft, typed=address, secrets={"api_key": key})
    assert late.state == DraftState.WAITING
    trials.try_out(draft.pk)
    draft.refresh_from_db()
    assert draft.state == DraftState.PASSED

    again = after_its_test(owner, filled_in(owner, sandbox, WRONG))
    assert connecting.keep(owner, again, typed=address, secrets={"api_key": WRONG}).findings == again.findings
    assert connecting.keep(owner, again, typed={}, secrets={"api_key": key}).state == DraftState.TYPING


def test_a_worker_given_up_for_dead_connects_nothing(owner, sandbox, key, settings):
    draft = filled_in(owner, sandbox, key)
    connecting.ask_for_test(owner, draft)
    settings.TRIAL_LEASE_SECONDS = -1
    asleep = connecting.claim(draft.pk)
    connecting.sweep()
    settings.TRIAL_LEASE_SECONDS = 40
    awake = connecting.claim(draft.pk)

    connecting.passed(asleep, options={}, secrets={"api_key": WRONG})
    assert not Connection.objects.exists()
    connecting.passed(awake, options={}, secrets={"api_key": key})

    assert Connection.objects.count() == 1


def test_after_the_second_dead_worker_a_person_sees_it(owner, sandbox, key, settings):
    settings.TRIAL_LEASE_SECONDS = -1
    draft = filled_in(owner, sandbox, key)
    connecting.ask_for_test(owner, draft)
    for _death in range(2):
        connecting.claim(draft.pk)
        connecting.sweep()

    draft.refresh_from_db()
    assert draft.state == DraftState.FAILED
    assert sentences(draft) == ["Nobody finished this test. Nothing was changed."]


def test_a_lost_message_costs_a_sweep_and_no_test(owner, sandbox, key, settings):
    settings.SWEEP_SECONDS = -1
    draft = filled_in(owner, sandbox, key)
    connecting.ask_for_test(owner, draft)

    assert connecting.sweep() == [draft.pk]


def test_who_may_no_longer_connect_connects_nothing(owner, jung, sandbox, key, arrange):
    with arrange():
        milan = make_person("Milan", (jung, "manager"))
    manager = Member.objects.select_related("merchant", "person").get(person=milan)
    draft = filled_in(manager, sandbox, key)
    connecting.ask_for_test(manager, draft)
    Member.objects.filter(pk=manager.pk).update(role="cashier")

    trials.try_out(draft.pk)

    draft.refresh_from_db()
    assert draft.state == DraftState.FAILED
    assert not Connection.objects.exists()


def test_a_draft_nobody_touches_is_forgotten_with_its_secrets(owner, sandbox, key, settings):
    filled_in(owner, sandbox, key)
    connecting.sweep()
    assert ConnectionDraft.objects.count() == 1

    settings.DRAFT_DAYS = -1
    connecting.sweep()

    assert not ConnectionDraft.objects.exists()


def test_live_is_not_tested_before_the_shops_name_was_typed(owner, sandbox, key):
    draft = filled_in(owner, sandbox, key)
    draft = connecting.keep(owner, draft, typed={}, secrets={}, environment="live")

    with pytest.raises(ValueError, match="shop's name"):
        connecting.ask_for_test(owner, draft)
    assert connecting.ask_for_test(owner, draft, shop_named=True).pending


def test_an_address_no_administrator_approved_is_not_called(owner, sandbox, key, settings):
    draft = filled_in(owner, sandbox, key)
    settings.PROVIDER_ORIGINS_ALLOWED = []  # taken away between the form and the worker

    draft = after_its_test(owner, draft)

    assert draft.state == DraftState.FAILED
    assert sentences(draft) == ["An administrator has to approve this address first. Nothing was sent."]


# ---- A provider that is away ----------------------------------------------------------------------------------------
def test_where_the_provider_is_away_it_can_be_kept_paused_and_is_used_after_its_test(owner, sandbox, key):
    draft = filled_in(owner, sandbox, key)
    sandbox.arm("error_after")
    draft = after_its_test(owner, draft)
    assert draft.state == DraftState.FAILED

    connection = connecting.keep_untested(owner, draft)

    assert not connections.is_asked(connection)
    assert connection.pause_reason == connections.UNTESTED
    assert connections.open_secrets(connection) == {"api_key": key}
    assert not ConnectionDraft.objects.exists()
    pause = pauses.under_way(connection)
    with pytest.raises(pauses.Untested):
        holding.resume(pause, member=owner)
    after_its_test(owner, connecting.change_of(owner, connection))
    connection.refresh_from_db()
    assert connections.is_asked(connection)


def test_what_the_provider_refuses_cannot_be_kept_untested(owner, sandbox):
    draft = after_its_test(owner, filled_in(owner, sandbox, WRONG))

    with pytest.raises(connecting.NotNow):
        connecting.keep_untested(owner, draft)


# ---- Replacing secrets ----------------------------------------------------------------------------------------------
@pytest.fixture
def connected(owner, sandbox, key) -> Connection:
    draft = after_its_test(owner, filled_in(owner, sandbox, key))
    assert draft.connection is not None
    return draft.connection


def test_a_secret_that_does_not_pass_leaves_the_old_one_serving(owner, connected, sandbox, key):
    draft = connecting.change_of(owner, connected)
    draft = connecting.keep(owner, draft, typed={}, secrets={"api_key": WRONG})

    draft = after_its_test(owner, draft)

    assert draft.state == DraftState.FAILED
    connected.refresh_from_db()
    assert connections.open_secrets(connected) == {"api_key": key}
    assert connections.is_asked(connected)
    assert mail.outbox == []


def test_a_secret_that_passes_takes_over_and_the_trail_and_all_owners_are_told(owner, connected, sandbox, key, arrange):
    with arrange():
        make_person("Otto", (owner.merchant, "owner"))
    connections.seal_secrets(connected, {"api_key": "the-old-one-by-now-0000"})
    connected.save()
    before = connected.secret_notes["api_key"]["fingerprint"]
    draft = connecting.keep(owner, connecting.change_of(owner, connected), typed={}, secrets={"api_key": key})

    draft = after_its_test(owner, draft)

    assert draft.state == DraftState.PASSED
    connected.refresh_from_db()
    assert connections.open_secrets(connected) == {"api_key": key}
    change = lines("secrets replaced")[-1].detail["changes"]["api_key"]
    assert change == [before, connected.secret_notes["api_key"]["fingerprint"]]
    assert [message.to for message in mail.outbox] == [["olivia@example.com"], ["otto@example.com"]]
    assert "Server key" in mail.outbox[0].body
    assert key not in json.dumps([mail.outbox[0].body, lines("secrets replaced")[-1].detail])


def test_a_refusal_of_the_old_secret_does_not_pause_what_has_a_new_one(owner, connected):
    under_way = Connection.objects.select_related("merchant").get(pk=connected.pk)  # as a worker holds it
    connections.seal_secrets(connected, {"api_key": "a-new-one-by-now-000000"})
    connected.save()

    pauses.because_refused(under_way, "key_refused")

    connected.refresh_from_db()
    assert connections.is_asked(connected)
    pauses.because_refused(connected, "key_refused")
    assert not connections.is_asked(connected)


def test_a_connections_secrets_are_never_sent_to_a_host_they_were_not_given_for(owner, connected):
    draft = connecting.change_of(owner, connected)
    assert connecting.missing_secrets(draft) == set()

    draft = connecting.keep(owner, draft, typed={"base_url": "https://elsewhere.example.com"}, secrets={})

    assert connecting.missing_secrets(draft) == {"api_key"}


def test_a_draft_whose_address_leads_elsewhere_forgets_its_secrets(owner, sandbox, key):
    draft = filled_in(owner, sandbox, key)
    assert set(draft.sealed) == {"api_key"}

    draft = connecting.keep(owner, draft, typed={"base_url": f"{sandbox.url}/cardinquiry/OpenApi2"}, secrets={})
    assert set(draft.sealed) == {"api_key"}  # the same host
    draft = connecting.keep(owner, draft, typed={"base_url": "https://elsewhere.example.com"}, secrets={})

    assert (draft.sealed, draft.notes) == ({}, {})


def test_what_somebody_else_changed_meanwhile_is_tested_anew(owner, connected, sandbox, key):
    draft = connecting.change_of(owner, connected)
    connecting.ask_for_test(owner, draft)
    claimed = connecting.claim(draft.pk)
    connections.seal_secrets(connected, {"api_key": THEIRS})
    connected.save()

    connecting.passed(claimed, options=connected.options, secrets={"api_key": WRONG})

    draft.refresh_from_db()
    assert draft.state == DraftState.WAITING
    connected.refresh_from_db()
    assert connections.open_secrets(connected) == {"api_key": THEIRS}


# ---- What is kept, and where ----------------------------------------------------------------------------------------
def test_a_box_copied_into_another_draft_or_field_does_not_open(owner, sandbox, key):
    mine, other = (filled_in(owner, sandbox, key) for _ in range(2))
    box = base64.b64decode(mine.sealed["api_key"])

    assert vault.open_sealed(connecting.place(mine, "api_key"), box).decode() == key
    for thief in (connecting.place(other, "api_key"), connecting.place(mine, "token")):
        with pytest.raises(vault.CannotOpen, match="another row"):
            vault.open_sealed(thief, box)


def test_a_copied_box_ends_the_test_and_is_never_sent(owner, sandbox, key):
    mine, other = (filled_in(owner, sandbox, key) for _ in range(2))
    draft_writer._open.set(True)
    ConnectionDraft.objects.filter(pk=other.pk).update(sealed=mine.sealed)
    draft_writer._open.set(False)

    other = after_its_test(owner, other)

    assert other.state == DraftState.FAILED
    assert sentences(other) == ["A stored secret cannot be opened any more. Type the secrets again."]


def test_drafts_are_written_in_one_place(owner, sandbox, key):
    draft = filled_in(owner, sandbox, key)
    with pytest.raises(WrittenElsewhere):
        draft.save()
    with pytest.raises(WrittenElsewhere):
        ConnectionDraft.objects.all().delete()


def test_a_merchant_has_so_many_drafts_and_no_more(owner, monkeypatch):
    monkeypatch.setattr(connecting, "MOST_DRAFTS", 2)
    connecting.start(owner, "cardinquiry")
    connecting.start(owner, "cardinquiry")

    with pytest.raises(connecting.TooMany):
        connecting.start(owner, "cardinquiry")
