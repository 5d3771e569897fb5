"""Stores: owners and managers add and change them, and everything that names one goes on naming it."""

import pytest
from django.core.exceptions import PermissionDenied

from portal.merchants import stores, tenancy
from portal.merchants.models import AuditEntry, Member, Store
from portal.merchants.roles import Role
from tests.conftest import make_person

SETTINGS = "/m/baeckerei-jung/settings/"
NEW = f"{SETTINGS}stores/new/"


@pytest.fixture
def owner(jung, olivia):
    with tenancy.merchant(jung.pk):
        yield Member.objects.select_related("merchant", "person").get(person=olivia)


def kept() -> list[tuple[str, str]]:
    return list(Store.objects.order_by("name").values_list("name", "address"))


def test_a_shop_opened_without_a_store_gets_one_and_then_a_till_can_stand_in_it(owner, signed_in, olivia):
    browser = signed_in(olivia)
    assert NEW in browser.get(f"{SETTINGS}tills/").text

    browser.post(NEW, {"name": "  Haupt­straße ", "address": "Hauptstraße 12,  10827 Berlin"})

    assert kept() == [("Hauptstraße", "Hauptstraße 12, 10827 Berlin")]
    assert "Hauptstraße 12, 10827 Berlin" in browser.get(SETTINGS).text
    assert "Hauptstraße</option>" in browser.get(f"{SETTINGS}tills/").text


def test_a_store_gets_another_name_and_the_trail_holds_both(owner, signed_in, olivia):
    store = stores.add(owner, name="Markt", address="")
    browser = signed_in(olivia)

    for _press in range(2):
        browser.post(f"{SETTINGS}stores/{store.key}/", {"name": "Markthalle", "address": "Platz 15"})

    assert kept() == [("Markthalle", "Platz 15")]
    page = browser.get(f"{SETTINGS}trail/").text
    assert page.count("Changed a store") == 1
    assert "Markt <span" in page
    assert "Markthalle, Platz 15" in page


def test_two_stores_of_one_name_are_refused_beside_the_field_and_nothing_typed_is_lost(owner, signed_in, olivia):
    stores.add(owner, name="Markt", address="")
    other = stores.add(owner, name="Bahnhof", address="")
    browser = signed_in(olivia)

    for path in (NEW, f"{SETTINGS}stores/{other.key}/"):
        answer = browser.post(path, {"name": "Markt", "address": "Gleis 1"})
        assert answer.status_code == 422
        assert "You have a store of this name." in answer.text
        assert 'value="Gleis 1"' in answer.text
    assert kept() == [("Bahnhof", ""), ("Markt", "")]


def test_whoever_was_lowered_meanwhile_adds_and_changes_none(owner, jung):
    make_person("Mia", (jung, Role.MANAGER))
    manager = Member.objects.select_related("merchant", "person").get(person__name="Mia")
    store = stores.add(manager, name="Markt", address="")
    Member.objects.filter(pk=manager.pk).update(role=Role.CASHIER)

    with pytest.raises(PermissionDenied):
        stores.add(manager, name="Bahnhof", address="")
    with pytest.raises(PermissionDenied):
        stores.change(manager, store, name="Bahnhof", address="")
    assert kept() == [("Markt", "")]
    assert list(AuditEntry.objects.filter(verb__startswith="store ").values_list("verb", flat=True)) == ["store added"]


def test_a_merchant_has_so_many_stores_and_no_more(owner, monkeypatch):
    monkeypatch.setattr(stores, "MOST", 1)
    stores.add(owner, name="Markt", address="")

    with pytest.raises(stores.TooMany):
        stores.add(owner, name="Bahnhof", address="")


def test_those_who_only_look_see_stores_and_no_way_to_change_them(owner, signed_in, jung, arrange):
    store = stores.add(owner, name="Markt", address="")
    with arrange():
        rita = make_person("Rita", (jung, Role.READ_ONLY))

    page = signed_in(rita).get(SETTINGS).text

    assert "Markt" in page
    assert f"stores/{store.key}/" not in page
    assert NEW not in page
