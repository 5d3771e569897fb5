"""The customers' book: once per key, nobody overwritten unseen, a trail without the person, final ends."""

import uuid
from dataclasses import replace

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection, transaction

from portal.customers import book
from portal.customers.book import Details
from portal.customers.models import Consent, Customer, ProviderNumber, Purpose, Source, customer_writer
from portal.ledger import holders
from portal.merchants import tenancy
from portal.merchants.models import AuditEntry, Member
from portal.merchants.writers import WrittenElsewhere
from tests.conftest import make_connection, make_person
from tests.customers.conftest import keep, member_of

MARA = {"first_name": "Mara", "last_name": "Vogel", "email": "mara@example.com"}


def again(customer: Customer) -> Customer:
    return Customer.objects.get(pk=customer.pk)


def said(customer: Customer) -> list[tuple[str, dict[str, str]]]:
    lines = AuditEntry.objects.filter(subject=str(customer.key)).order_by("id")
    return list(lines.values_list("verb", "detail"))


def test_the_same_key_keeps_one_customer_and_the_first_data(at_jung):
    key = uuid.uuid4()
    nothing = holders.Agreement()

    first, made = holders.add(member=at_jung, key=key, details=Details(**MARA), agreement=nothing, card=None)
    second, made_again = holders.add(
        member=at_jung, key=key, details=Details(last_name="Other"), agreement=nothing, card=None
    )

    assert (made, made_again) == (True, False)
    assert first.pk == second.pk
    assert Customer.objects.get().last_name == "Vogel"
    assert [verb for verb, _detail in said(first)] == ["customer added"]


def test_the_trail_names_the_fields_and_never_their_content(at_jung, keeps):
    mara = keeps(**MARA)

    book.change(member=at_jung, customer=mara, details=Details(**(MARA | {"email": "new@example.com", "city": "Ulm"})))

    assert said(mara) == [("customer added", {}), ("customer changed", {"fields": "email, city"})]


def test_saving_what_is_there_already_changes_nothing(at_jung, keeps):
    mara = keeps(**MARA)

    book.change(member=at_jung, customer=mara, details=Details(**MARA))

    assert again(mara).version == mara.version
    assert len(said(mara)) == 1


def test_what_somebody_else_changed_meanwhile_is_not_written_over(at_jung, keeps):
    mara = keeps(**MARA)
    mine, theirs = again(mara), again(mara)
    book.change(member=at_jung, customer=theirs, details=Details(**(MARA | {"city": "Ulm"})))

    with pytest.raises(book.Changed):
        book.change(member=at_jung, customer=mine, details=Details(**(MARA | {"city": "Bonn"})))

    assert again(mara).city == "Ulm"


def test_a_role_lowered_meanwhile_writes_nothing(at_jung, keeps, arrange):
    mara = keeps(**MARA)
    with arrange():
        Member.objects.filter(pk=at_jung.pk).update(role="accountant")

    with pytest.raises(PermissionDenied):
        book.change(member=at_jung, customer=mara, details=Details(last_name="Other"))
    with pytest.raises(PermissionDenied):
        keep(at_jung, last_name="Another")
    with pytest.raises(PermissionDenied):
        holders.say(member=at_jung, customer=mara, purpose=Purpose.MAILS, given=True, source=Source.BY_PHONE)

    assert Customer.objects.count() == 1


def test_numbers_at_providers_are_kept_changed_and_taken_away(at_jung, keeps, jung, arrange):
    with arrange():
        connection = make_connection(jung)
    mara = keeps(**MARA, numbers={connection.pk: "PCU_1"})
    details = Details(**MARA)

    book.change(member=at_jung, customer=again(mara), details=replace(details, numbers={connection.pk: "PCU_2"}))
    assert ProviderNumber.objects.get().number == "PCU_2"
    book.change(member=at_jung, customer=again(mara), details=replace(details, numbers={connection.pk: ""}))

    assert ProviderNumber.objects.count() == 0


# ---- Consent ------------------------------------------------------------------------------------------------------
def test_consent_is_a_history_whose_last_word_counts(at_jung, keeps):
    mara = keeps(**MARA, agrees=(Purpose.MAILS, Purpose.CALLS))
    for given in (False, True, True, False):
        holders.say(member=at_jung, customer=mara, purpose=Purpose.MAILS, given=given, source=Source.BY_PHONE)

    words = Consent.objects.filter(purpose=Purpose.MAILS).order_by("id")
    assert [word.given for word in words] == [True, False, True, False]
    assert words[1].recorded_by_id == at_jung.person_id
    assert words[1].source == "by_phone"
    assert book.agreed(mara) == {"mails": False, "calls": True}
    assert again(mara).has_consent
    holders.say(member=at_jung, customer=mara, purpose=Purpose.CALLS, given=False, source=Source.BY_PHONE)
    assert not again(mara).has_consent


# ---- What the database says no to -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM customers_consent",
        "UPDATE customers_consent SET given = NOT given",
        "UPDATE customers_consent SET at = now()",
        "UPDATE customers_consent SET customer_id = customer_id",
        "DELETE FROM customers_customer",
        "UPDATE customers_customer SET key = gen_random_uuid()",
        "UPDATE customers_customer SET merged_into_id = id",
        "UPDATE customers_customer SET erased_at = now()",
        "UPDATE customers_customer SET first_name = '', last_name = '', email = '', phone = ''",
    ],
)
def test_neither_history_nor_ends_are_rewritten_by_sql(statement, keeps):
    keeps(**MARA, agrees=(Purpose.MAILS,))

    with pytest.raises(DatabaseError):
        by_hand(statement)


def test_only_the_book_writes(keeps):
    mara = keeps(**MARA)

    for write in (
        mara.save,
        lambda: Customer.objects.update(last_name="x"),
        lambda: Consent().save(),
        lambda: ProviderNumber().save(),
        lambda: Consent.objects.all().delete(),
    ):
        with pytest.raises(WrittenElsewhere):
            write()
    with pytest.raises(TypeError):
        mara.delete()


# ---- Another merchant's ---------------------------------------------------------------------------------------------
def test_another_merchants_customers_are_neither_seen_nor_pointed_to(keeps, jung, kauri, arrange):
    mara = keeps(**MARA)
    with arrange():
        ben = make_person("Ben", (kauri, "cashier"))
    with tenancy.merchant(kauri.pk):
        assert Customer.objects.count() == 0
        theirs = keep(member_of(ben, kauri), last_name="Walker")

    with arrange(), pytest.raises(DatabaseError, match="same_merchant"):
        by_hand(f"UPDATE customers_customer SET merged_into_id = {mara.pk} WHERE id = {theirs.pk}")


def test_a_row_of_another_merchant_is_not_written(at_jung, kauri):
    stolen = Customer(merchant=kauri, last_name="Stolen", created_at="2026-01-01T00:00Z")

    with pytest.raises(DatabaseError, match="row-level security"):
        customer_writer.writes(_as_the_book)(stolen)


def _as_the_book(row: Customer) -> None:
    with transaction.atomic():
        row.save()


_as_the_book.__module__ = customer_writer.modules[0]


def by_hand(statement: str) -> None:
    """SQL typed by somebody with our login."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
