"""Saved views: a person's own names for ways of narrowing a list, at one merchant."""

import pytest
from django.db import IntegrityError, transaction

from portal.ledger import saved_views
from portal.ledger.models import SavedView
from portal.merchants import tenancy
from tests.ledger.test_lists import OPERATIONS

VIEWS, SAVE = "/m/baeckerei-jung/views/", OPERATIONS + "save/"


@pytest.fixture
def refused(signed_in, olivia, jung):
    """Olivia's browser, and her view of what was refused."""
    owner = signed_in(olivia)
    owner.post(f"{SAVE}?state=refused&verb=pay", {"name": "Refused payments"})
    with tenancy.merchant(jung.pk):
        yield owner, SavedView.objects.get(person=olivia)


def page(answer) -> str:
    return answer.content.decode()


def test_a_view_is_kept_and_leads_to_the_list_as_it_was_narrowed(refused):
    owner, view = refused

    assert view.query == "state=refused&verb=pay"
    tab = '<a href="/m/baeckerei-jung/operations/?state=refused&amp;verb=pay"'
    assert f"{tab}>Refused payments</a>" in page(owner.get(f"{OPERATIONS}?verb=void"))
    assert f'{tab} aria-current="page">Refused payments</a>' in page(owner.get(f"{OPERATIONS}?verb=pay&state=refused"))


def test_where_one_stands_in_the_list_is_no_part_of_a_view(signed_in, olivia, jung):
    signed_in(olivia).post(f"{SAVE}?verb=pay&after=1-1&odd=1", {"name": "Payments"})

    with tenancy.merchant(jung.pk):
        assert SavedView.objects.get().query == "verb=pay"


def test_a_view_is_renamed_and_forgotten(refused):
    owner, view = refused

    owner.post(VIEWS, {"view": view.key, "name": "  No's  and\x07 nevers "})
    view.refresh_from_db()
    assert view.name == "No's and nevers"

    owner.post(VIEWS, {"view": view.key, "forget": "1"})
    assert not SavedView.objects.exists()


def test_the_list_starts_with_the_view_that_is_to_start_it_and_everything_is_one_press_away(refused):
    owner, view = refused
    owner.post(VIEWS, {"view": view.key, "name": view.name, "is_start": "on"})

    assert owner.get(OPERATIONS)["Location"] == f"{OPERATIONS}?state=refused&verb=pay"
    assert owner.get(f"{OPERATIONS}?all").status_code == 200
    assert f'href="{OPERATIONS}?all"' in page(owner.get(f"{OPERATIONS}?verb=pay"))
    assert owner.post(OPERATIONS, {"q": "x"}).status_code == 200


def test_one_view_starts_a_list_at_most(refused, olivia):
    owner, first = refused
    for name in ("One", "Two"):
        owner.post(f"{SAVE}?verb=pay", {"name": name, "is_start": "on"})

    assert [view.name for view in SavedView.objects.filter(is_start=True)] == ["Two"]
    owner.post(VIEWS, {"view": first.key, "name": first.name, "is_start": "on"})
    assert [view.name for view in SavedView.objects.filter(is_start=True)] == ["Refused payments"]


def test_the_database_knows_one_start_too(refused):
    _owner, view = refused
    saved_views.view_writer._open.set(True)
    SavedView.objects.update(is_start=True)
    twin = SavedView(merchant=view.merchant, person=view.person, page=view.page, name="Twin", is_start=True)

    with pytest.raises(IntegrityError, match="view_starts_once"), transaction.atomic():
        twin.save()
    saved_views.view_writer._open.set(False)


@pytest.mark.parametrize("name", ["Refused payments", "", " \x07 ", "x" * 61])
def test_a_name_that_is_taken_or_none_is_refused_and_kept_in_its_field(refused, name):
    owner, _view = refused

    answer = owner.post(f"{SAVE}?verb=pay", {"name": name})

    assert answer.status_code == 422
    assert "There is a problem" in page(answer)
    assert SavedView.objects.count() == 1


def test_a_view_is_not_given_the_name_of_another(refused):
    owner, view = refused
    owner.post(f"{SAVE}?verb=pay", {"name": "Payments"})

    answer = owner.post(VIEWS, {"view": view.key, "name": "Payments"})

    assert answer.status_code == 422
    assert "You have a view by this name already." in page(answer)


def test_there_are_only_so_many(refused, monkeypatch):
    owner, _view = refused
    monkeypatch.setattr(saved_views, "MOST", 1)

    assert owner.post(f"{SAVE}?verb=pay", {"name": "Payments"}).status_code == 422


def test_a_colleagues_view_is_not_seen_renamed_or_started_with(refused, signed_in, alice):
    owner, view = refused
    owner.post(VIEWS, {"view": view.key, "name": view.name, "is_start": "on"})
    colleague = signed_in(alice)

    assert "Refused payments" not in page(colleague.get(OPERATIONS))
    assert "Refused payments" not in page(colleague.get(VIEWS))
    assert colleague.post(VIEWS, {"view": view.key, "forget": "1"}).status_code == 404
    assert SavedView.objects.count() == 1


def test_another_merchant_does_not_see_it_even_for_the_same_person(refused, olivia, kauri, arrange, signed_in):
    from portal.merchants.models import Member

    with arrange():
        Member.objects.create(merchant=kauri, person=olivia, role="owner")

    assert "Refused payments" not in page(signed_in(olivia).get("/m/kauri-books/operations/"))
    with tenancy.merchant(kauri.pk):
        assert not SavedView.objects.exists()


def test_a_view_whose_connection_is_gone_says_so_and_leads_on(refused, olivia):
    owner, _view = refused
    saved_views.view_writer._open.set(True)
    SavedView.objects.update(query="connection=0f1e", is_start=True)
    saved_views.view_writer._open.set(False)

    answer = owner.get(OPERATIONS, follow=True)

    assert answer.status_code == 422
    assert f'href="{OPERATIONS}?all"' in page(answer)


def test_who_was_removed_meanwhile_keeps_no_view(alice, arrange):
    from django.core.exceptions import PermissionDenied

    from portal.merchants.models import Member

    with arrange():
        member = Member.objects.select_related("merchant", "person").get(person=alice)
        Member.objects.filter(pk=member.pk).delete()

    with pytest.raises(PermissionDenied):
        saved_views.save(member, page="operations", name="Later", query="", is_start=False)
