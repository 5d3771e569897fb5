"""Somebody who is forgotten stands in no table any more, and the books stay whole."""

import uuid
from functools import partial

import pytest
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection, transaction

from portal.customers import book
from portal.customers.book import Details
from portal.customers.models import Consent, Customer, ProviderNumber, Purpose
from portal.desk import customer_erase
from portal.ledger import approvals, balances, cards, holders, operations
from portal.ledger.models import Approval, Card, Inquiry, Operation, inquiry_writer
from portal.merchants import tenancy
from portal.merchants.models import AuditEntry, Member
from portal.merchants.roles import Role
from portal.money import Money
from tests.conftest import make_person
from tests.customers.conftest import for_good, keep
from tests.customers.test_book import by_hand
from tests.desk.test_customer_merge import at_once
from tests.desk.test_customers import HOME, LIST, fields
from tests.ledger.conftest import CARD, paywizard, till
from tests.ledger.test_approvals import limit

__all__ = ["for_good", "paywizard", "till"]

CANARIES = {
    "title": "Canarytitle",
    "first_name": "Canaryfirst",
    "last_name": "Canarylast",
    "email": "canary.mail@canaryhost.example",
    "phone": "030 7654321",
    "street": "Canarystreet 77",
    "postal_code": "C4N4RY",
    "city": "Canarycity",
}
SEEN = [*(each for name, each in CANARIES.items() if name != "phone"), "7654321", "canarynumber", "canaryhost", "•321"]


@pytest.fixture
def owner(signed_in, olivia, till):
    return signed_in(olivia)


def dump() -> dict[str, str]:
    """All that is in the database, as text, by table: columns of bytes as hexadecimal, sessions opened."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        tables = [row[0] for row in cursor.fetchall()]
        found = {}
        for table in tables:
            cursor.execute(f'SELECT each::text FROM "{table}" AS each')
            found[table] = "\n".join(row[0] for row in cursor.fetchall()).lower()
    found["django_session"] += "".join(str(each.get_decoded()) for each in Session.objects.all()).lower()
    return found


def where(canaries: list[str]) -> set[str]:
    """The tables in which one of them stands, as it is or as bytes."""
    told = dump()
    spelled = {form for each in canaries for form in (each.lower(), each.lower().encode().hex(), each.encode().hex())}
    return {table for table, text in told.items() if any(form in text for form in spelled)}


def erases(browser, customer: Customer, typed: str, **other: str):
    page = browser.get(f"{LIST}{customer.key}/erase/")
    return browser.post(f"{LIST}{customer.key}/erase/", fields(page.text) | {"typed": typed} | other)


def lives(owner, till) -> tuple[Customer, Customer]:
    """Everything that can happen to somebody, through the pages; known twice and merged."""
    connection_key = till.connection.key.hex
    paid = till.gets("pay", 500)
    assert paid.state == "done"
    drawn = fields(owner.get(f"{LIST}new/?card={till.card().key}").text)
    wrong = owner.post(f"{LIST}new/", drawn | CANARIES | {"email": "canary.mail@canaryhost.example, two@b.de"})
    assert wrong.status_code == 422
    typed = {**CANARIES, f"at_{connection_key}": "canarynumber", "purposes": ["mails"], "source": "on_paper"}
    assert owner.post(f"{LIST}new/", drawn | typed).status_code == 302
    mara = Customer.objects.get()
    page = f"{LIST}{mara.key}/"
    owner.post(f"{page}edit/", fields(owner.get(f"{page}edit/").text) | {"title": "Canarytitle II"})
    owner.post(f"{page}consent/", {"purpose": "mails", "given": "no", "source": "by_mail"})
    owner.post(LIST, {"q": "Canarylast"})
    owner.post(LIST, {"q": "canary.mail@canaryhost.example"})
    owner.post(f"{page}data/")
    b"".join(owner.post(f"{LIST}export/").streaming_content)
    twin = keep(till.member, last_name="Canarylast", first_name="Canaryfirst", email=CANARIES["email"])
    asked = {"other": str(twin.key)}
    owner.post(f"{page}merge/", asked)
    owner.post(
        f"{page}merge/",
        asked | {"confirmed": "1", "kept_version": str(Customer.objects.get(pk=mara.pk).version), "other_version": "1"},
    )
    look = balances.ask_again(member=till.member, key=uuid.uuid4(), card=till.card())
    inquiry_writer._open.set(True)
    Inquiry.objects.filter(pk=look.pk).update(holder={"name": "C. Canarylast", "phone": "••• •321"})
    inquiry_writer._open.set(False)
    owner.get(f"{HOME}cards/{till.card().key}/")
    return Customer.objects.get(pk=mara.pk), Customer.objects.get(pk=twin.pk)


# ---- Who may ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", Role)
def test_only_owner_and_manager_erase(role, at_jung, signed_in, jung, arrange):
    mara = keep(at_jung, last_name="Vogel", agrees=(Purpose.MAILS,))
    with arrange():
        somebody = signed_in(make_person("Somebody", (jung, role)))
    page = f"{LIST}{mara.key}/erase/"
    allowed = role in (Role.OWNER, Role.MANAGER)

    assert somebody.get(page).status_code == (200 if allowed else 403)
    answer = somebody.post(page, {"typed": "Vogel", "version": str(Customer.objects.get(pk=mara.pk).version)})
    assert answer.status_code == (302 if allowed else 403)
    assert (Customer.objects.get(pk=mara.pk).erased_at is not None) == allowed


# ---- What goes and what stays ---------------------------------------------------------------------------------------
def test_the_search_would_find_a_canary_and_it_stands_only_where_it_must(owner, till):
    lives(owner, till)

    assert where(SEEN) == {"customers_customer", "customers_providernumber", "ledger_inquiry"}


def test_nothing_of_the_person_stays_in_any_table_and_the_books_stay_whole(owner, till):
    mara, twin = lives(owner, till)
    paid = Operation.objects.get()
    shown = owner.get(f"{LIST}{mara.key}/erase/").text
    assert "Canarystreet 77" in shown
    assert "1 movement on these cards" in shown
    assert "••••\u00a08500" in shown

    answer = erases(owner, mara, "canarytitle ii canaryfirst CANARYLAST")

    assert answer["Location"] == f"{LIST}{mara.key}/"
    assert where(SEEN) == set()
    assert Consent.objects.count() == ProviderNumber.objects.count() == 0
    for row in (mara, twin):
        assert "Nothing is known of them any more" in owner.get(f"{LIST}{row.key}/", follow=True).text
    after = Operation.objects.get()
    assert (after.amount_minor, after.reference, after.card_id) == (500, paid.reference, paid.card_id)
    card = Card.objects.get()
    assert (card.last_four, card.customer_id) == (CARD[-4:], None)
    line = AuditEntry.objects.get(verb="customer erased")
    assert (line.subject, line.detail) == (str(mara.key), {"records": 2})
    assert "Canary" not in owner.get(LIST).text


@pytest.mark.parametrize("typed", ["", "Vogel", "Mara Vogl", "x" * 100_000, "<b>Mara Vogel</b>"])
def test_without_the_name_nobody_is_erased(typed, owner, at_jung):
    mara = keep(at_jung, first_name="Mara", last_name="Vogel")

    answer = erases(owner, mara, typed)

    assert answer.status_code == 422
    assert Customer.objects.get(pk=mara.pk).erased_at is None


def test_what_changed_since_the_preview_is_shown_before_it_goes(owner, at_jung):
    mara = keep(at_jung, first_name="Mara", last_name="Vogel")
    drawn = fields(owner.get(f"{LIST}{mara.key}/erase/").text)
    book.change(member=at_jung, customer=mara, details=Details(first_name="Mara", last_name="Vogel", city="Ulm"))

    late = owner.post(f"{LIST}{mara.key}/erase/", drawn | {"typed": "Mara Vogel"})

    assert late.status_code == 409
    assert "Ulm" in late.text
    assert owner.post(f"{LIST}{mara.key}/erase/", fields(late.text) | {"typed": "Mara Vogel"}).status_code == 302


def test_while_an_operation_carries_sealed_details_erasing_waits(owner, till, at_jung):
    mara = keep(at_jung, last_name="Vogel", card=till.card())
    wish = operations.Wish(
        verb="top_up", card=till.card(), amount=Money(500, "USD"), private={"first_name": "Mara", "last_name": "Vogel"}
    )
    operations.request(member=till.member, key=uuid.uuid4(), wish=wish)

    early = erases_unseen(owner, mara)

    assert early.status_code == 409
    assert "Not yet" in early.text
    assert Customer.objects.get(pk=mara.pk).erased_at is None
    while operations.work():
        pass
    assert erases(owner, mara, "Vogel").status_code == 302


def test_while_a_wish_with_sealed_details_waits_for_a_second_person_erasing_waits(owner, till, at_jung, jung):
    limit(jung, Role.CASHIER, "top_up", 1_00)
    mara = keep(at_jung, last_name="Vogel", card=till.card())
    wish = operations.Wish(
        verb="top_up", card=till.card(), amount=Money(500, "USD"), private={"first_name": "Mara", "last_name": "Vogel"}
    )
    waits = approvals.request(member=till.member, key=uuid.uuid4(), wish=wish)
    assert isinstance(waits, Approval)

    early = erases_unseen(owner, mara)

    assert early.status_code == 409
    assert f"{HOME}approvals/{waits.key}/" in early.text
    approvals.withdraw(waits, member=till.member)
    assert erases(owner, mara, "Vogel").status_code == 302


def erases_unseen(browser, customer: Customer):
    """A form from before there was anything under way."""
    return browser.post(f"{LIST}{customer.key}/erase/", {"version": str(customer.version), "typed": "Vogel"})


def test_an_erased_customer_stays_erased(owner, at_jung):
    mara = keep(at_jung, last_name="Vogel")
    key = mara.key
    erases(owner, mara, "Vogel")

    for page in ("edit/", "merge/", "erase/"):
        assert owner.get(f"{LIST}{key}/{page}")["Location"] == f"{LIST}{key}/"
    again = fields(owner.get(f"{LIST}new/").text) | {"key": str(key), "last_name": "Vogel"}
    assert owner.post(f"{LIST}new/", again)["Location"] == f"{LIST}{key}/"
    assert "Vogel" not in owner.get(f"{LIST}{key}/").text
    with pytest.raises(DatabaseError, match="never changes again"):
        by_hand(f"UPDATE customers_customer SET last_name = 'Vogel', erased_at = NULL WHERE id = {mara.pk}")


def test_a_card_is_not_given_to_an_erased_customer_by_sql(owner, till, at_jung):
    mara = keep(at_jung, last_name="Vogel")
    erases(owner, mara, "Vogel")

    with pytest.raises(DatabaseError, match="merged or erased"), transaction.atomic():
        Card.objects.filter(pk=till.card().pk).update(customer=mara)


def test_the_name_to_type_is_that_of_the_page(at_jung):
    form = customer_erase.EraseForm({"version": "1", "typed": "DR.  mara vögel "}, name="Dr. Mara Vögel")

    assert form.is_valid()


# ---- Two at once ----------------------------------------------------------------------------------------------
def test_a_card_attached_while_its_holder_is_erased_ends_with_nobody(for_good):
    pk = for_good.merchant_id
    with tenancy.merchant(pk):
        manager = Member.objects.select_related("merchant", "person").get(merchant=pk, role="manager")
        paywizard_ = for_good.merchant.connection_set.get(provider="paywizard")
        for place in range(4):
            mara, card = keep(for_good, last_name="Vogel"), cards.card_of(paywizard_, f"9146390000009{60 + place}")

            became = at_once(
                pk,
                partial(holders.attach, member=for_good, card=card, customer=mara),
                partial(holders.erase, member=manager, customer=mara),
            )

            card.refresh_from_db()
            mara.refresh_from_db()
            assert became in (["Gone", "done"], ["done", "done"])
            assert card.customer_id is None
            assert mara.erased_at is not None
