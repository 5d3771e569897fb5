"""The list of first steps knows by itself what is done, and is hidden for good when somebody says so."""

import uuid

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection as database
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from portal.desk import demo
from portal.merchants import invitations, tenancy, tills
from portal.merchants.models import AuditEntry, Member, Merchant, Store
from portal.merchants.roles import Role
from tests.conftest import make_person
from tests.desk.test_scan import CARD, scan
from tests.ledger.conftest import paywizard, till

__all__ = ["paywizard", "till"]

DESK = "/m/baeckerei-jung/"
CLOSE = f"{DESK}first-steps/close/"


def done(page: str) -> str:
    """Such as '1 of 6'."""
    after = page.split('id="first-steps-title"')[1].split("<p>")[1]
    return after.split(" done")[0]


@pytest.fixture
def owner(signed_in, olivia):
    return signed_in(olivia)


def test_a_new_merchant_is_told_to_connect_a_provider_first(owner):
    page = owner.get(DESK).text

    assert done(page) == "0 of 6"
    assert "First connect a provider" in page


def test_each_step_is_known_from_what_is_there(owner, olivia, till, arrange, jung):
    assert done(owner.get(DESK).text) == "2 of 6"  # a connection, and Alice is a colleague
    till.gets("pay", 500)
    assert done(owner.get(DESK).text) == "4 of 6"  # a card is known and a payment done

    Authenticator.objects.create(user=olivia, type=Authenticator.Type.RECOVERY_CODES, data={})
    assert done(owner.get(DESK).text) == "4 of 6"  # codes alone are no factor
    Authenticator.objects.create(user=olivia, type=Authenticator.Type.TOTP, data={"secret": ""})
    assert done(owner.get(DESK).text) == "5 of 6"

    with arrange():
        member = Member.objects.select_related("merchant", "person").get(person=olivia)
        store = Store.objects.create(merchant=jung, name="Hauptstraße")
        tills.open_here(member, name="Counter", store=store, request=RequestFactory().get("/"))
    page = owner.get(DESK).text
    assert done(page) == "6 of 6"
    assert "All done: hide this" in page


def test_somebody_invited_counts_as_a_colleague_before_they_answer(owner, olivia, arrange, jung):
    with arrange():
        member = Member.objects.select_related("merchant", "person").get(person=olivia)
    with tenancy.merchant(jung.pk):
        invitations.invite(member, email="ben@example.com", role=Role.CASHIER)

    assert done(owner.get(DESK).text) == "1 of 6"


def test_a_look_up_counts_though_it_is_erased_after_minutes(signed_in, alice, owner, connection, arrange, jung):
    assert done(owner.get(DESK).text) == "2 of 6"
    scan(signed_in(alice), connection, CARD)

    with arrange():
        first = Merchant.objects.get(pk=jung.pk).first_look_up_at
    assert first is not None
    assert done(owner.get(DESK).text) == "3 of 6"
    scan(signed_in(alice), connection, CARD, key=uuid.uuid4())
    with arrange():
        assert Merchant.objects.get(pk=jung.pk).first_look_up_at == first


def test_only_those_who_set_the_merchant_up_see_it(arrange, jung, connection, signed_in):
    seen = {}
    with arrange():
        people = {role: make_person(f"Some-{role}", (jung, role)) for role in Role}
    for role, person in people.items():
        seen[role] = "first-steps-title" in signed_in(person).get(DESK).text

    assert {role for role, sees in seen.items() if sees} == {Role.OWNER, Role.MANAGER}


def test_an_owner_hides_it_at_any_time_for_everybody_and_the_trail_says_so(owner, jung, connection, arrange):
    assert owner.post(CLOSE).status_code == 302

    page = owner.get(DESK)
    assert "first-steps-title" not in page.text
    owner.post(CLOSE)
    with arrange():
        assert AuditEntry.objects.filter(merchant=jung, verb="first steps hidden").count() == 1


def test_a_manager_hides_it_only_when_all_is_done(arrange, jung, connection, signed_in):
    with arrange():
        manager = signed_in(make_person("Milan", (jung, "manager")))
    assert "Hide the first steps" not in manager.get(DESK).text

    answer = manager.post(CLOSE, follow=True)

    assert "only an owner hides them" in answer.text
    assert "first-steps-title" in answer.text


def test_a_cashier_cannot_hide_it(signed_in, alice, connection):
    assert signed_in(alice).post(CLOSE).status_code == 403


def test_hidden_it_costs_nothing(owner, connection):
    def cost() -> int:
        with CaptureQueriesContext(database) as asked:
            owner.get(DESK)
        return len(asked)

    owner.get(DESK)
    before = cost()
    owner.post(CLOSE)

    assert cost() == before - 1


def test_the_demos_owner_is_told_how_to_take_it_away_and_nobody_else(settings, jung, kauri):
    settings.DEMO = True
    assert demo.removal(jung, Role.OWNER) == "manage.py demo --remove"
    assert demo.removal(jung, Role.MANAGER) == ""
    assert demo.removal(Merchant(slug="somebody-real"), Role.OWNER) == ""
    settings.DEMO = False
    assert demo.removal(jung, Role.OWNER) == ""


def test_the_page_shows_the_command(settings, owner, connection):
    settings.DEMO = True
    assert "<code>manage.py demo --remove</code>" in owner.get(DESK).text
