"""The page of a connection: what it shows of secrets, who changes what, and how it goes."""

import pytest
from django.core.exceptions import PermissionDenied

from portal.ledger import cards
from portal.merchants import connection_settings, connections, credentials, ring, tenancy, vault
from portal.merchants.models import AuditEntry, Connection, Member, ServedStore, Store

KEY = "sk-live-canary-0123456789-tail"


@pytest.fixture
def keyed(connection, olivia, arrange):
    """Jung's connection, its key set by Olivia."""
    with arrange():
        connections.seal_secrets(connection, {"api_key": KEY}, by=olivia)
        connection.save()
    return connection


@pytest.fixture
def stores(jung, arrange):
    with arrange():
        return [Store.objects.create(merchant=jung, name=name) for name in ("Hauptstraße", "Markthalle")]


def at(connection, page: str = "") -> str:
    return f"/m/baeckerei-jung/settings/connections/{connection.key}/{page}"


def decided(**other: object) -> dict[str, object]:
    return {"name": "CardInquiry", "concurrency": "8", "per_second": "20", **other}


def only_line(verb: str) -> AuditEntry:
    with tenancy.every_merchant("a test looks at the trail"):
        return AuditEntry.objects.get(verb=verb)


def test_a_secret_is_known_by_its_end_and_by_who_set_it_and_never_shown(keyed, olivia, signed_in):
    page = signed_in(olivia).get(at(keyed)).text

    assert "…tail" in page
    assert "Olivia" in page
    assert KEY not in page
    assert KEY[:-4] not in page


def test_what_it_cannot_do_stands_below_its_reason_which_is_said_once(keyed, olivia, signed_in):
    page = signed_in(olivia).get(at(keyed)).text

    assert page.count("There is no such call at CardInquiry.") == 1
    assert "<li>Take payments</li>" in page


def test_of_a_short_secret_not_even_the_end_is_shown():
    assert credentials.ending("hunter2-is-15ch") == ""
    assert credentials.ending("hunter2-is-16chr") == "6chr"


def test_of_a_key_in_a_file_the_end_is_what_stands_before_its_frame():
    pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhki\nG9w0BAQEFxyz9\n-----END PRIVATE KEY-----\n"

    assert credentials.ending(pem) == "xyz9"
    assert credentials.ending(pem.replace("\n", "")) == "xyz9", "pasted into a box of one line"


def test_a_fingerprint_says_nothing_without_the_key_and_nothing_across_merchants(settings, tmp_path):
    mine = credentials.fingerprint(KEY, merchant=1)
    assert mine == credentials.fingerprint(KEY, merchant=1)
    assert mine != credentials.fingerprint(KEY, merchant=2)

    ring.create(tmp_path)
    settings.SEALING_KEYS = tmp_path / "sealing.json"
    other = credentials.fingerprint(KEY, merchant=1)

    assert other != mine


def test_a_secret_that_stays_keeps_who_set_it_when_its_neighbour_is_replaced(connection, olivia, alice, arrange):
    with arrange():
        connections.seal_secrets(connection, {"one": KEY, "two": KEY + "2"}, by=olivia)
        connections.seal_secrets(connection, {"one": KEY, "two": KEY + "3"}, by=alice)

    assert connection.secret_notes["one"]["set_by"] == olivia.pk
    assert connection.secret_notes["two"]["set_by"] == alice.pk


def test_a_box_copied_from_another_connections_or_merchants_row_does_not_open(keyed, kauri, jung, arrange):
    from tests.conftest import make_connection

    with arrange():
        sibling = Connection(merchant=jung, provider="cardinquiry", name="Other", environment="sandbox")
        foreign = make_connection(kauri)
    for thief in (sibling, foreign):
        thief.sealed_secrets = keyed.sealed_secrets
        with pytest.raises(vault.CannotOpen, match="another row"):
            connections.open_secrets(thief)


def test_use_is_noted_and_costs_one_write_in_minutes(keyed, arrange, django_assert_num_queries):
    with arrange():
        with django_assert_num_queries(1):
            connections.note_use(keyed)
        keyed.refresh_from_db()
        assert keyed.used_at is not None
        with django_assert_num_queries(0):
            connections.note_use(keyed)


def test_an_owner_decides_name_stores_and_limits_and_the_trail_says_what_they_were(keyed, olivia, stores, signed_in):
    answer = signed_in(olivia).post(
        at(keyed), decided(name="Cards", concurrency="3", stores=[stores[0].pk], public_use="on")
    )

    assert answer.status_code == 302
    line = only_line("connection changed")
    assert line.detail["changes"] == {
        "name": ["CardInquiry", "Cards"],
        "concurrency": [8, 3],
        "public_use": [False, True],
        "stores": ["", "Hauptstraße"],
    }


def test_what_was_so_already_leaves_no_line(keyed, olivia, signed_in):
    signed_in(olivia).post(at(keyed), decided())

    with tenancy.every_merchant("a test looks at the trail"):
        assert not AuditEntry.objects.filter(verb="connection changed").exists()


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "", "Give the connection a name."),
        ("concurrency", "0", "Type 1 or more."),
        ("concurrency", "51", "Type 50 or less."),
        ("per_second", "101", "Type 100 or less."),
    ],
)
def test_limits_have_sensible_bounds(keyed, olivia, signed_in, field, value, sentence):
    answer = signed_in(olivia).post(at(keyed), decided(**{field: value}))

    assert answer.status_code == 422
    assert sentence in answer.text


def test_two_connections_of_one_name_are_not_possible(keyed, olivia, jung, arrange, signed_in):
    with arrange():
        Connection.objects.create(
            merchant=jung, provider="cardinquiry", name="Spare", environment="sandbox", sealed_secrets=b""
        )

    answer = signed_in(olivia).post(at(keyed), decided(name="Spare"))

    assert answer.status_code == 422
    assert "Another connection has this name." in answer.text


def test_a_store_of_another_merchant_cannot_be_chosen(keyed, olivia, kauri, stores, arrange, signed_in):
    with arrange():
        foreign = Store.objects.create(merchant=kauri, name="Queen Street")

    answer = signed_in(olivia).post(at(keyed), decided(stores=[foreign.pk]))

    assert answer.status_code == 422
    with arrange():
        assert not ServedStore.objects.exists()


def test_a_till_offers_the_connections_that_serve_its_store(keyed, stores, jung, arrange):
    with arrange():
        ServedStore.objects.create(merchant=jung, connection=keyed, store=stores[0])
        mine = Connection.objects.filter(merchant=jung)
        assert list(mine.filter(connection_settings.serves(stores[0]))) == [keyed]
        assert list(mine.filter(connection_settings.serves(stores[1]))) == []
        ServedStore.objects.all().delete()
        assert list(mine.filter(connection_settings.serves(stores[1]))) == [keyed]


def test_who_may_only_see_the_settings_sees_the_page_and_changes_nothing(keyed, jung, arrange, signed_in):
    from tests.conftest import make_person

    with arrange():
        anton = make_person("Anton", (jung, "accountant"))

    browser = signed_in(anton)

    assert "Connecting a provider is for" in browser.get(at(keyed)).text
    assert browser.post(at(keyed), decided(name="Mine")).status_code == 403


def test_a_role_lowered_meanwhile_changes_nothing(keyed, jung, olivia, arrange):
    from tests.conftest import make_person

    with arrange():
        make_person("Milan", (jung, "manager"))
        member = Member.objects.select_related("merchant", "person").get(person__name="Milan")
        Member.objects.filter(pk=member.pk).update(role="cashier")
        with pytest.raises(PermissionDenied):
            connection_settings.retire(member, keyed)
        assert Connection.objects.filter(pk=keyed.pk).exists()


def test_a_connection_that_nothing_belongs_to_is_retired_for_good(keyed, olivia, signed_in, arrange):
    browser = signed_in(olivia)
    assert "nobody can bring them back" in browser.get(at(keyed, "retire/")).text

    answer = browser.post(at(keyed, "retire/"))

    assert answer.status_code == 302
    with arrange():
        assert not Connection.objects.filter(pk=keyed.pk).exists()
    assert only_line("connection retired").subject == "CardInquiry"


def test_a_connection_with_cards_stays(keyed, olivia, signed_in, arrange):
    with arrange():
        cards.card_of(keyed, "9276004424644352")

    answer = signed_in(olivia).post(at(keyed, "retire/"), follow=True)

    assert "so it stays" in answer.text
    with arrange():
        assert Connection.objects.filter(pk=keyed.pk).exists()
