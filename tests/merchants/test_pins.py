"""PINs: four digits that open little, are written nowhere, and cannot be guessed."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connections, transaction
from django.test import RequestFactory
from django.utils import timezone

from portal.desk import demo
from portal.merchants import pins, ring, tenancy
from portal.merchants.models import AuditEntry, Member, Merchant, Person, Pin
from tests.conftest import make_merchant, make_person
from tests.merchants.tills import PIN, change, choose_pin, fresh

PAGE = "/m/baeckerei-jung/pin/"


def check(pin, digits=PIN):
    with tenancy.merchant(pin.merchant_id), transaction.atomic():
        return pins.check(pin.merchant_id, pin.key, digits)


def wrong(number):
    return f"{7000 + number}"


@pytest.fixture
def pin(jung, alice):
    return choose_pin(alice, jung)


def test_the_right_pin_names_its_member(pin):
    member, why = check(pin)

    assert (member.person.name, why) == ("Alice", "")


def test_a_pin_is_stored_so_that_the_database_alone_cannot_tell_it(pin, monkeypatch):
    guessed = pins._hasher.verify(f"{pin.merchant_id}:{pin.key.hex}:{PIN}", pin.hash.partition(":")[2])

    assert PIN not in pin.hash
    assert not guessed
    monkeypatch.setattr(ring, "sealing", lambda: {"index": {"current": "i1", "keys": {"i1": "00" * 32}}})
    assert check(pin) == (None, "wrong")


def test_a_hash_copied_into_a_colleagues_row_opens_nothing(pin, jung, olivia):
    hers = choose_pin(olivia, jung, "4826")
    change(hers, hash=pin.hash)

    assert check(hers, PIN) == (None, "wrong")


def test_after_some_wrong_tries_even_the_right_pin_has_to_wait(pin):
    for number in range(3):
        assert check(pin, wrong(number)) == (None, "wrong")

    assert check(pin) == (None, "waits")


def test_waits_grow_until_only_the_password_helps(pin, alice, monkeypatch):
    now, waits = timezone.now(), []
    monkeypatch.setattr(timezone, "now", lambda: now)
    for number in range(pins.DEAD_AFTER):
        change(pin, blocked_until=None)
        check(pin, wrong(number))
        pin = fresh(pin)
        waits.append(pin.blocked_until - now if pin.blocked_until else timedelta(0))
    change(pin, blocked_until=None)

    assert [wait.total_seconds() for wait in waits[:9]] == [0, 0, 30, 60, 120, 300, 600, 900, 900]
    assert check(pin) == (None, "dead")
    alice.last_login = timezone.now() + timedelta(seconds=1)
    alice.save()
    assert check(pin)[1] == ""


def test_a_right_pin_begins_the_count_anew(pin):
    for number in range(2):
        check(pin, wrong(number))
    check(pin)
    for number in range(2):
        check(pin, wrong(number))

    assert check(pin)[1] == ""


def test_what_cannot_be_a_pin_is_not_counted_as_a_try(pin):
    for scan in ("6280390000000001", "", "12a4", "١٢٣٤", "12345678901"):
        assert check(pin, scan) == (None, "no PIN")

    assert fresh(pin).failures == 0


@pytest.fixture
def for_good(django_db_setup, django_db_blocker):
    """A PIN that is truly there, for other connections to see; gone afterwards."""
    with django_db_blocker.unblock(), tenancy.every_merchant("a test arranges its rows"):
        merchant = make_merchant("for-good", "For Good", currency="EUR", time_zone="UTC")
        person = make_person("Greta", (merchant, "cashier"))
        yield choose_pin(person, merchant)
        with transaction.atomic("owner"), connections["owner"].cursor() as cursor:
            demo._delete(cursor, demo._of_merchants(), "merchant_id", [merchant.pk])
            demo._delete(cursor, [Merchant], "id", [merchant.pk])
            Person.objects.using("owner").filter(pk=person.pk).delete()
        for alias in ("default", "owner"):
            connections[alias].close()


def test_many_tries_at_the_same_moment_are_all_counted(for_good):
    pin = for_good

    def guess(number):
        try:
            return check(pin, wrong(number))[1]
        finally:
            connections["default"].close()

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(guess, range(8)))

    assert sorted(said) == ["waits"] * 5 + ["wrong"] * 3


def test_an_unknown_person_costs_as_much_as_a_known_one(pin, jung, monkeypatch):
    hashed, encode = [], pins._hasher.encode

    def counted(*args):
        hashed.append(1)
        return encode(*args)

    monkeypatch.setattr(pins._hasher, "encode", counted)
    counts = []
    change(pin, dead_at=timezone.now())
    for who, digits in ((uuid.uuid4(), PIN), (pin.key, PIN), (pin.key, "7000"), (pin.key, "a scanned card")):
        hashed.clear()
        with tenancy.merchant(jung.pk), transaction.atomic():
            assert pins.check(jung.pk, who, digits)[0] is None
        counts.append(len(hashed))

    assert set(counts) == {counts[0]}


def test_a_removed_members_pin_is_gone(pin, alice, arrange):
    with arrange():
        Member.objects.get(person=alice).delete()

        assert not Pin.objects.exists()
    assert check(pin) == (None, "unknown")


@pytest.mark.parametrize("digits", ["0000", "1234", "4321", "1212", "123123", "2580", "7890", "11112222", "98765432"])
def test_what_anybody_would_try_first_is_refused(pin, alice, digits):
    with tenancy.merchant(pin.merchant_id), pytest.raises(pins.TooSimple):
        pins.choose(Member.objects.get(person=alice), digits, request=RequestFactory().get("/"))


def test_somebody_without_the_tills_work_cannot_choose_a_pin(jung, alice, arrange):
    with arrange():
        member = Member.objects.select_related("merchant", "person").get(person=alice)
        Member.objects.update(role="accountant")

    with tenancy.merchant(jung.pk), pytest.raises(PermissionDenied):
        pins.choose(member, PIN, request=RequestFactory().get("/"))


# ---- The page -----------------------------------------------------------------------------------------------------
def test_a_cashier_chooses_a_pin_and_never_sees_it_again(signed_in, alice, arrange):
    client = signed_in(alice)

    answer = client.post(PAGE, {"pin": PIN, "again": PIN}, follow=True)

    assert "Your PIN is set." in answer.text
    assert PIN not in answer.text
    with arrange():
        assert AuditEntry.objects.get(verb="PIN chosen").person == alice
        assert not any(PIN in str(line.detail) + line.subject for line in AuditEntry.objects.all())


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"pin": "1234", "again": "1234"}, "one of the first PINs"),
        ({"pin": PIN, "again": "7000"}, "not the same"),
        ({"pin": "12", "again": "12"}, "4 to 8 digits"),
        ({"pin": "", "again": ""}, "Choose a PIN."),
        ({"pin": "9" * 1000, "again": "\u202e"}, "64"),
    ],
)
def test_a_refused_pin_says_why_beside_its_field(signed_in, alice, typed, said):
    answer = signed_in(alice).post(PAGE, typed)

    assert answer.status_code == 422
    assert said in answer.text


def test_choosing_a_pin_wants_the_password_once_more(client, alice):
    client.force_login(alice)

    answer = client.get(PAGE, HTTP_HOST="localhost")

    assert answer["Location"].startswith("/accounts/prove/")
