"""Who works at a merchant: the list, changing roles, removing, leaving, and the owner who must stay."""

import threading
import uuid
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.merchants import access, people, tenancy
from portal.merchants.models import AuditEntry, Member, Merchant, Person
from portal.merchants.roles import TABLE, AboveYou, Permission, Role, held, may
from tests.conftest import make_merchant, make_person

JUNG = "/m/baeckerei-jung/"
PEOPLE = f"{JUNG}settings/people/"


@pytest.fixture
def milan(arrange, jung):
    """Jung's manager."""
    with arrange():
        return make_person("Milan", (jung, "manager"))


def member(person) -> Member:
    with tenancy.every_merchant("a test reads"):
        return Member.objects.select_related("merchant", "person").get(person=person)


def page_of(person, *, remove: bool = False) -> str:
    return f"{PEOPLE}{member(person).key}/" + ("remove/" if remove else "")


def trail(verb: str) -> AuditEntry:
    with tenancy.every_merchant("a test reads"):
        return AuditEntry.objects.get(verb=verb)


def role_of(person) -> str | None:
    with tenancy.every_merchant("a test reads"):
        return Member.objects.filter(person=person).values_list("role", flat=True).first()


# ---- The list -------------------------------------------------------------------------------------------------
def test_everybody_here_is_listed_with_role_since_and_when_they_were_last_seen(signed_in, olivia, alice):
    signed_in(alice).get(JUNG)

    page = signed_in(olivia).get(PEOPLE).text

    for shown in ("Olivia", "alice@example.com", "Cashier", "0 s ago"):
        assert shown in page


def test_nobody_of_another_merchant_is_listed(signed_in, olivia, ben):
    assert "Ben" not in signed_in(olivia).get(PEOPLE).text


def test_somebody_who_only_looks_is_offered_nothing_to_change(signed_in, arrange, jung, alice):
    with arrange():
        rita = make_person("Rita", (jung, "read_only"))

    page = signed_in(rita).get(PEOPLE).text

    assert str(member(alice).key) not in page
    assert "is for Owner and Manager." in page


@pytest.mark.parametrize("role", [Role.CASHIER, Role.MARKETING, Role.ACCOUNTANT, Role.READ_ONLY])
def test_only_owners_and_managers_change_people(signed_in, arrange, jung, olivia, role):
    with arrange():
        browser = signed_in(make_person("Somebody", (jung, role)))

    for path in (page_of(olivia), page_of(olivia, remove=True), f"{PEOPLE}invite/"):
        assert (browser.get(path).status_code, browser.post(path).status_code) == (403, 403)


def test_a_long_list_comes_in_pages_and_shows_everybody_once(signed_in, arrange, jung, olivia):
    with arrange():
        crowd = Person.objects.bulk_create(
            Person(email=f"p{number}@example.com", name=f"Same Name {number // 3:02}") for number in range(120)
        )
        Member.objects.bulk_create(Member(merchant=jung, person=person, role=Role.CASHIER) for person in crowd)
    browser, seen, path = signed_in(olivia), [], PEOPLE
    while path:
        page = browser.get(path)
        seen += [line.email for line in page.context["lines"]]
        path = f"{PEOPLE}?after={page.context['after']}" if page.context["after"] else ""

    assert len(seen) == len(set(seen)) == 121


@pytest.mark.parametrize("after", ["rubbish", "3494df4b-c9c7-48c6-bb7d-0a409da3d6eb", "' OR 1=1 --"])
def test_a_page_that_does_not_exist_is_the_first_one(signed_in, olivia, after):
    assert "Olivia" in signed_in(olivia).get(PEOPLE, {"after": after}).text


def test_the_list_asks_as_many_questions_for_forty_people_as_for_two(
    signed_in, arrange, jung, olivia, django_assert_num_queries
):
    browser = signed_in(olivia)
    browser.get(PEOPLE)
    with CaptureQueriesContext(connection) as few:
        browser.get(PEOPLE)
    with arrange():
        for number in range(40):
            make_person(f"P{number}", (jung, "cashier"))

    with django_assert_num_queries(len(few)):
        browser.get(PEOPLE)


def test_being_seen_costs_one_write_in_five_minutes(signed_in, alice):
    browser = signed_in(alice)
    browser.get(JUNG)
    first = member(alice).seen_at

    browser.get(JUNG)

    assert member(alice).seen_at == first


def test_somebody_seen_long_ago_is_noted_again(signed_in, alice, arrange):
    long_ago = timezone.now() - access.SEEN_EVERY - timedelta(seconds=1)
    with arrange():
        Member.objects.filter(person=alice).update(seen_at=long_ago)

    signed_in(alice).get(JUNG)

    assert timezone.now() - member(alice).seen_at < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("kind", "is_on"), [("totp", True), ("webauthn", True), ("recovery_codes", False), ("", False)]
)
def test_the_list_says_who_has_a_second_factor(signed_in, olivia, alice, kind, is_on):
    if kind:
        Authenticator.objects.create(user=alice, type=kind, data={})

    page = signed_in(olivia).get(PEOPLE)

    assert {line.name: line.second_factor for line in page.context["lines"]} == {"Alice": is_on, "Olivia": False}
    assert page.text.count(">on</td>") == is_on


# ---- Changing a role ------------------------------------------------------------------------------------------
def test_a_role_is_changed_after_a_sentence_that_says_what_is_gained_and_lost(signed_in, olivia, alice):
    browser = signed_in(olivia)

    question = browser.post(page_of(alice), {"role": "accountant"})

    assert role_of(alice) == Role.CASHIER
    for shown in ("Alice becomes Accountant instead of Cashier.", "Seeing stores, people and connections", "Voiding"):
        assert shown in question.text
    answer = browser.post(page_of(alice), {"role": "accountant", "confirmed": "1"}, follow=True)
    assert role_of(alice) == Role.ACCOUNTANT
    assert "Alice is Accountant now." in answer.text


def test_the_trail_says_who_changed_which_role_from_what_to_what(signed_in, olivia, alice):
    signed_in(olivia).post(page_of(alice), {"role": "manager", "confirmed": "1"})

    line = trail("role changed")
    assert (line.person_id, line.subject) == (olivia.pk, "Alice")
    assert line.detail == {"email": "alice@example.com", "before": "cashier", "after": "manager"}


def test_a_role_changed_while_signed_in_holds_from_the_next_page_on(signed_in, olivia, alice):
    browser = signed_in(alice)
    assert browser.get(PEOPLE).status_code == 403

    signed_in(olivia).post(page_of(alice), {"role": "read_only", "confirmed": "1"})

    assert browser.get(PEOPLE).status_code == 200


def test_a_manager_neither_changes_nor_removes_an_owner(signed_in, milan, olivia, arrange, jung):
    with arrange():
        make_person("Second", (jung, "owner"))
    browser = signed_in(milan)

    for path in (page_of(olivia), page_of(olivia, remove=True)):
        answer = browser.post(path, {"role": "cashier", "confirmed": "1"})
        assert answer.status_code == 403
        assert "Inviting, changing and removing owners is for Owner." in answer.text
    assert role_of(olivia) == Role.OWNER


@pytest.mark.parametrize("whose", ["milan", "alice"])
def test_a_manager_makes_nobody_an_owner_least_of_all_themselves(signed_in, milan, alice, whose):
    somebody = {"milan": milan, "alice": alice}[whose]

    answer = signed_in(milan).post(page_of(somebody), {"role": "owner", "confirmed": "1"})

    assert answer.status_code == 422
    assert role_of(somebody) != Role.OWNER


def test_not_even_past_the_form_is_more_given_than_one_has(milan, alice, jung):
    actor = member(milan)
    with tenancy.merchant(jung.pk):
        for whose in (alice, milan):
            with pytest.raises(AboveYou):
                people.change_role(actor, member(whose).key, Role.OWNER)


def test_a_cashier_who_calls_the_function_is_refused(alice, jung):
    with tenancy.merchant(jung.pk), pytest.raises(PermissionDenied):
        people.change_role(member(alice), member(alice).key, Role.READ_ONLY)


def test_one_may_go_down_oneself_and_is_warned(signed_in, milan):
    browser = signed_in(milan)

    question = browser.post(page_of(milan), {"role": "cashier"})
    assert "You cannot take this back yourself." in question.text

    answer = browser.post(page_of(milan), {"role": "cashier", "confirmed": "1"})
    assert (role_of(milan), answer["Location"]) == (Role.CASHIER, JUNG)


@pytest.mark.parametrize("role", ["", "emperor", "owner; DROP", "x" * 1000, "OWNER"])
def test_a_role_that_does_not_exist_is_refused_beside_the_field(signed_in, olivia, alice, role):
    answer = signed_in(olivia).post(page_of(alice), {"role": role, "confirmed": "1"})

    assert answer.status_code == 422
    assert "Choose one of the roles listed." in answer.text
    assert role_of(alice) == Role.CASHIER


@pytest.mark.parametrize("remove", [False, True])
def test_somebody_elses_member_looks_like_one_that_does_not_exist_and_is_noted(signed_in, olivia, ben, remove):
    browser = signed_in(olivia)

    foreign = browser.post(page_of(ben, remove=remove), {"role": "owner", "confirmed": "1"})
    missing = browser.post(
        f"{PEOPLE}{uuid.uuid4()}/" + ("remove/" if remove else ""), {"role": "owner", "confirmed": "1"}
    )

    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert role_of(ben) == Role.CASHIER
    with tenancy.every_merchant("a test reads"):
        assert AuditEntry.objects.filter(verb="person not found", person=olivia).count() == 2


# ---- Removing -------------------------------------------------------------------------------------------------
def test_a_removal_asks_first_and_says_what_is_lost(signed_in, olivia, alice):
    question = signed_in(olivia).get(page_of(alice, remove=True))
    unconfirmed = signed_in(olivia).post(page_of(alice, remove=True))

    for page in (question, unconfirmed):
        assert "Alice, Cashier, loses Bäckerei Jung at once, on every device." in page.text
        assert "Taking payments and tips" in page.text
    assert role_of(alice) == Role.CASHIER


def test_a_removed_member_is_refused_at_the_next_request(signed_in, olivia, alice):
    browser = signed_in(alice)
    assert browser.get(JUNG).status_code == 200

    signed_in(olivia).post(page_of(alice, remove=True), {"confirmed": "1"})

    assert browser.get(JUNG).status_code == 404
    assert browser.post(f"{JUNG}scan/", {"number": "4352"}).status_code == 404


def test_a_removal_is_in_the_trail_and_what_was_done_before_keeps_its_name(signed_in, olivia, alice, arrange, jung):
    with arrange():
        AuditEntry(merchant=jung, person=alice, verb="tested", subject="something").save()

    signed_in(olivia).post(page_of(alice, remove=True), {"confirmed": "1"})

    line = trail("person removed")
    assert (line.person_id, line.subject) == (olivia.pk, "Alice")
    assert line.detail == {"email": "alice@example.com", "before": "cashier", "after": None}
    with arrange():
        assert AuditEntry.objects.select_related("person").get(verb="tested").person.name == "Alice"


def test_a_member_removed_meanwhile_is_refused_in_the_transaction_that_writes(signed_in, olivia, alice, jung):
    before = member(alice)
    signed_in(olivia).post(page_of(alice, remove=True), {"confirmed": "1"})

    with tenancy.merchant(jung.pk), transaction.atomic(), pytest.raises(PermissionDenied):
        access.still_may(before, Permission.TAKE_PAYMENTS)


def test_a_manager_lowered_while_their_form_is_open_changes_nothing(olivia, milan, alice, jung):
    stale = member(milan)
    with tenancy.merchant(jung.pk):
        people.change_role(member(olivia), member(milan).key, Role.CASHIER)

        with pytest.raises(PermissionDenied):
            people.remove(stale, member(alice).key)
        with pytest.raises(PermissionDenied):
            people.change_role(stale, member(alice).key, Role.MANAGER)
    assert role_of(alice) == Role.CASHIER


def test_removing_oneself_is_leaving(signed_in, milan):
    answer = signed_in(milan).post(page_of(milan, remove=True), {"confirmed": "1"})

    assert answer["Location"] == f"{JUNG}leave/"
    assert role_of(milan) == Role.MANAGER


def test_somebody_removed_here_keeps_the_other_merchant(signed_in, arrange, jung, kauri, olivia):
    with arrange():
        rita = make_person("Rita", (jung, "cashier"), (kauri, "cashier"))
        here = Member.objects.get(person=rita, merchant=jung)
    browser = signed_in(rita)

    signed_in(olivia).post(f"{PEOPLE}{here.key}/remove/", {"confirmed": "1"})

    assert browser.get(JUNG).status_code == 404
    assert browser.get("/m/kauri-books/").status_code == 200


# ---- Leaving --------------------------------------------------------------------------------------------------
def test_everybody_may_leave_after_a_sentence(signed_in, alice):
    browser = signed_in(alice)
    assert "Only an invitation brings you back." in browser.get(f"{JUNG}leave/").text
    browser.post(f"{JUNG}leave/")
    assert role_of(alice) == Role.CASHIER

    answer = browser.post(f"{JUNG}leave/", {"confirmed": "1"}, follow=True)

    assert "You have left Bäckerei Jung." in answer.text
    assert (role_of(alice), trail("person left").person_id) == (None, alice.pk)


# ---- The last owner -------------------------------------------------------------------------------------------
def test_the_last_owner_cannot_leave(signed_in, olivia):
    browser = signed_in(olivia)
    assert "Leave Bäckerei Jung</button>" not in browser.get(f"{JUNG}leave/").text

    answer = browser.post(f"{JUNG}leave/", {"confirmed": "1"}, follow=True)

    assert "You are the only owner" in answer.text
    assert role_of(olivia) == Role.OWNER


def test_the_last_owner_cannot_step_down(signed_in, olivia):
    answer = signed_in(olivia).post(page_of(olivia), {"role": "manager", "confirmed": "1"}, follow=True)

    assert "This is the only owner." in answer.text
    assert role_of(olivia) == Role.OWNER


def test_an_owner_whose_account_is_closed_does_not_count(signed_in, olivia, arrange, jung):
    with arrange():
        gone = make_person("Gone", (jung, "owner"))
        Person.objects.filter(pk=gone.pk).update(is_active=False)

    signed_in(olivia).post(f"{JUNG}leave/", {"confirmed": "1"})

    assert role_of(olivia) == Role.OWNER


def test_an_owner_goes_when_there_is_another(signed_in, olivia, arrange, jung):
    with arrange():
        make_person("Second", (jung, "owner"))

    signed_in(olivia).post(f"{JUNG}leave/", {"confirmed": "1"})

    assert role_of(olivia) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE merchants_member SET role = 'manager' WHERE person_id = %s",
        "DELETE FROM merchants_member WHERE person_id = %s",
    ],
)
def test_the_database_keeps_an_owner_whoever_writes(olivia, arrange, statement):
    def write() -> None:
        with arrange(), connection.cursor() as cursor:
            cursor.execute(statement, [olivia.pk])

    with pytest.raises(IntegrityError, match="keeps at least one owner"):
        to_the_end(write)


def to_the_end(write) -> None:
    """A test never comes to its commit; this looks at what is looked at then, after the context is left."""
    with transaction.atomic():
        write()
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_two_owners_change_places_in_one_transaction(olivia, milan, arrange):
    def write() -> None:
        with arrange():
            Member.objects.filter(person=olivia).update(role=Role.MANAGER)
            Member.objects.filter(person=milan).update(role=Role.OWNER)

    to_the_end(write)

    assert (role_of(olivia), role_of(milan)) == (Role.MANAGER, Role.OWNER)


# ---- At the same moment, in rows that other connections see -------------------------------------------------
@pytest.fixture
def two_owners(django_db_setup, django_db_blocker):
    """A merchant with two owners; gone afterwards."""
    with django_db_blocker.unblock(), tenancy.every_merchant("a test arranges its rows"):
        merchant = make_merchant("zwei", "Zwei", currency="EUR", time_zone="Europe/Berlin")
        owners = [make_person(name, (merchant, "owner")) for name in ("Eins", "Zwei")]
        yield [Member.objects.select_related("merchant", "person").get(person=owner) for owner in owners]
        _forget(merchant, owners)
        for alias in ("default", "owner"):
            connections[alias].close()


def _forget(merchant: Merchant, owners: list[Person]) -> None:
    with transaction.atomic("owner"), connections["owner"].cursor() as cursor:
        for table in ("merchants_member", "merchants_auditentry"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            cursor.execute(f"DELETE FROM {table} WHERE merchant_id = %s", [merchant.pk])
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("DELETE FROM merchants_merchant WHERE id = %s", [merchant.pk])
    for owner in owners:
        owner.delete(using="owner")


def at_once(*deeds) -> list[str]:
    """What became of each deed: the name of what it raised, or 'done'. Each has a connection of its own."""
    ready, said = threading.Barrier(len(deeds)), []

    def do(deed) -> None:
        with tenancy.every_merchant("a test arranges its rows"):
            ready.wait()
            try:
                deed()
                said.append("done")
            except (people.LastOwner, AboveYou, PermissionDenied, IntegrityError) as refusal:
                said.append(type(refusal).__name__)
            finally:
                connection.close()

    doing = [threading.Thread(target=do, args=(deed,)) for deed in deeds]
    for each in doing:
        each.start()
    for each in doing:
        each.join(timeout=20)
    return sorted(said)


def owners_left(merchant: Merchant) -> int:
    return Member.objects.filter(merchant=merchant, role=Role.OWNER).count()


def test_two_owners_who_demote_each_other_at_the_same_moment_leave_one(two_owners):
    one, other = two_owners
    for _round in range(5):
        said = at_once(
            lambda: people.change_role(one, other.key, Role.MANAGER),
            lambda: people.change_role(other, one.key, Role.MANAGER),
        )

        assert said in (["PermissionDenied", "done"], ["AboveYou", "done"])
        assert owners_left(one.merchant) == 1
        Member.objects.filter(merchant=one.merchant).update(role=Role.OWNER)


def test_two_owners_who_leave_at_the_same_moment_leave_one(two_owners):
    one, other = two_owners

    said = at_once(lambda: people.leave(one), lambda: people.leave(other))

    assert said == ["LastOwner", "done"]
    assert owners_left(one.merchant) == 1


def test_two_owners_demoted_at_the_same_moment_by_plain_sql_leave_one(two_owners):
    one, other = two_owners
    both_written = threading.Barrier(2)

    def demote(whom: Member) -> None:
        with transaction.atomic():
            Member.objects.filter(pk=whom.pk).update(role=Role.MANAGER)
            both_written.wait(timeout=10)

    said = at_once(lambda: demote(one), lambda: demote(other))

    assert said == ["IntegrityError", "done"]
    assert owners_left(one.merchant) == 1


def test_a_removal_waits_for_a_write_that_was_let_in_and_stops_the_one_after(two_owners):
    one, other = two_owners
    let_in, order = threading.Event(), []

    def write() -> None:
        with transaction.atomic():
            access.still_may(other, Permission.TAKE_PAYMENTS)
            let_in.set()
            threading.Event().wait(0.3)
            order.append("written")

    def remove() -> None:
        let_in.wait(timeout=10)
        people.remove(one, other.key)
        order.append("removed")

    assert at_once(write, remove) == ["done", "done"]
    assert order == ["written", "removed"]
    with transaction.atomic(), pytest.raises(PermissionDenied):
        access.still_may(other, Permission.TAKE_PAYMENTS)


# ---- The page of roles ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", Role)
def test_everybody_reads_what_every_role_can_and_cannot_do_as_the_table_says(signed_in, arrange, jung, role):
    with arrange():
        browser = signed_in(make_person("Somebody", (jung, role)))

    page = browser.get(f"{JUNG}roles/")

    assert f"You are {role.label} at Bäckerei Jung." in page.text
    for words in page.context["roles"]:
        for permission, (doing, _roles) in TABLE.items():
            side = words.allowed if may(words.role, permission) else words.not_allowed
            assert str(doing) in side
        assert len(words.allowed) == len(held(words.role))
