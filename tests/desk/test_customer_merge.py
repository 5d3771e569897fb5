"""Two records of one person become one: chosen from field by field, nothing lost, once."""

import threading
import uuid
from functools import partial

import pytest
from django.db import connection as database

from portal.customers import book
from portal.customers.book import Details
from portal.customers.models import Consent, Customer, ProviderNumber, Purpose, Source
from portal.ledger import cards, holders
from portal.ledger.models import Card
from portal.merchants import tenancy
from portal.merchants.models import AuditEntry, Member
from tests.conftest import make_connection, make_person
from tests.customers.conftest import for_good, keep, member_of
from tests.desk.test_customers import LIST

__all__ = ["for_good"]


@pytest.fixture
def connection(at_jung, jung):
    return make_connection(jung)


@pytest.fixture
def two(at_jung, connection):
    """Mara, known twice."""
    kept = keep(
        at_jung,
        first_name="Mara",
        last_name="Vogel",
        email="mara@example.com",
        agrees=(Purpose.MAILS,),
        card=cards.card_of(connection, "9276004424644352"),
        numbers={connection.pk: "PCU_1"},
    )
    other = keep(
        at_jung,
        first_name="M.",
        last_name="Vogel-Stein",
        phone="+4930901820",
        city="Ulm",
        card=cards.card_of(connection, "9276004424644353"),
        numbers={connection.pk: "PCU_2"},
    )
    return kept, other


@pytest.fixture
def browser(signed_in, alice, at_jung):
    return signed_in(alice)


def merges(browser, kept: Customer, other: Customer, **said: str):
    shown = Customer.objects.get(pk=kept.pk), Customer.objects.get(pk=other.pk)
    versions = {"kept_version": str(shown[0].version), "other_version": str(shown[1].version)}
    return browser.post(f"{LIST}{kept.key}/merge/", {"other": str(other.key), "confirmed": "1", **versions, **said})


def test_the_two_are_laid_side_by_side_and_nothing_happens_yet(browser, two):
    kept, other = two

    found = browser.post(f"{LIST}{kept.key}/merge/", {"q": "vogel"}).text
    page = browser.post(f"{LIST}{kept.key}/merge/", {"other": str(other.key)}).text

    assert f'value="{other.key}"' in found
    assert f'value="{kept.key}"' not in found
    for text in ("Mara", "M.", "Vogel-Stein", "••••\u00a04352", "••••\u00a04353", "Ulm", "PCU_2"):
        assert text in page
    assert 'name="pick_last_name" value="kept" checked' in page
    assert 'name="pick_phone" value="other" checked' in page  # what is lacking is filled in
    assert Customer.objects.filter(merged_into=None).count() == 2


def test_somebody_with_the_same_address_is_proposed(browser, two, at_jung):
    kept, _other = two
    twin = keep(at_jung, last_name="Twin", email="mara@example.com")

    assert str(twin.key) in browser.get(f"{LIST}{kept.key}/merge/").text


def test_what_was_chosen_is_kept_and_everything_else_moves_along(browser, two, at_jung, connection):
    kept, other = two
    holders.say(member=at_jung, customer=other, purpose=Purpose.CALLS, given=True, source=Source.BY_PHONE)
    holders.say(member=at_jung, customer=other, purpose=Purpose.MAILS, given=True, source=Source.BY_PHONE)
    holders.say(member=at_jung, customer=other, purpose=Purpose.MAILS, given=False, source=Source.BY_PHONE)

    answer = merges(browser, kept, other, pick_last_name="other", **{f"pick_number_{connection.key.hex}": "other"})

    assert answer["Location"] == f"{LIST}{kept.key}/"
    one = Customer.objects.get(pk=kept.pk)
    assert (one.first_name, one.last_name, one.email, one.phone, one.city) == (
        "Mara",
        "Vogel-Stein",
        "mara@example.com",
        "+4930901820",
        "Ulm",
    )
    assert ProviderNumber.objects.get(customer=one).number == "PCU_2"
    assert set(Card.objects.values_list("customer", flat=True)) == {one.pk}
    assert set(Consent.objects.values_list("customer", flat=True)) == {one.pk}
    assert book.agreed(one) == {"mails": False, "calls": True}
    # Not lossy: what was not chosen is still with the old record.
    old = Customer.objects.get(pk=other.pk)
    assert (old.merged_into_id, old.first_name, old.last_name) == (one.pk, "M.", "Vogel-Stein")
    assert AuditEntry.objects.get(verb="customer merged").detail == {
        "other": str(other.key),
        "fields": "last_name, phone, city",
    }


def test_old_links_lead_on_also_over_two_mergers(browser, two, at_jung):
    kept, other = two
    first = keep(at_jung, last_name="Oldest")
    merges(browser, other, first)

    merges(browser, kept, other)

    for old in (first, other):
        assert browser.get(f"{LIST}{old.key}/")["Location"] == f"{LIST}{kept.key}/"
        for page in ("edit/", "merge/"):
            assert browser.get(f"{LIST}{old.key}/{page}", follow=True).redirect_chain[-1][0] == f"{LIST}{kept.key}/"
    assert "Oldest" not in browser.get(LIST).text
    assert "Another record of the same person was merged" in browser.get(f"{LIST}{kept.key}/").text


def test_what_changed_since_it_was_shown_is_shown_again(browser, two, at_jung):
    kept, other = two
    book.change(member=at_jung, customer=other, details=Details(last_name="New", city="Bonn"))

    late = merges(browser, kept, other, other_version="1")

    assert late.status_code == 409
    assert "was changed meanwhile" in late.text
    assert "Bonn" in late.text
    assert not Customer.objects.exclude(merged_into=None).exists()


@pytest.mark.parametrize("other", ["", "rubbish", "itself"])
def test_nothing_is_merged_with_nobody(other, browser, two):
    kept, _ = two
    key = str(kept.key) if other == "itself" else other

    answer = browser.post(f"{LIST}{kept.key}/merge/", {"other": key, "confirmed": "1"})

    assert answer.status_code == 200
    assert "Which record is the same person?" in answer.text


def test_another_merchants_record_is_as_unknown_as_one_that_never_was(browser, two, kauri, ben, arrange):
    kept, _ = two
    with tenancy.merchant(kauri.pk):
        theirs = keep(member_of(ben, kauri), last_name="Walker")

    answers = [
        browser.post(f"{LIST}{kept.key}/merge/", {"other": str(key), "confirmed": "1"})
        for key in (theirs.key, uuid.uuid4())
    ]

    assert [each.status_code for each in answers] == [404, 404]
    with arrange():
        assert not Customer.objects.exclude(merged_into=None).exists()


def test_a_role_lowered_meanwhile_merges_nothing(browser, two, at_jung, arrange):
    kept, other = two
    with arrange():
        Member.objects.filter(pk=at_jung.pk).update(role="marketing")

    assert merges(browser, kept, other).status_code == 403
    assert not Customer.objects.exclude(merged_into=None).exists()


def test_a_cashier_may_merge_and_marketing_may_not(two, signed_in, jung, arrange):
    kept, _ = two
    with arrange():
        marketing = signed_in(make_person("Mo", (jung, "marketing")))

    assert marketing.get(f"{LIST}{kept.key}/merge/").status_code == 403


# ---- Two at once ----------------------------------------------------------------------------------------------
def at_once(merchant_id: int, *acts) -> list[str]:
    """What became of each, done at the same moment over connections of their own."""
    ready = threading.Barrier(len(acts))
    became: list[str] = []

    def run(act) -> None:
        with tenancy.merchant(merchant_id):
            database.ensure_connection()
            ready.wait()
            try:
                act()
                became.append("done")
            except Exception as refused:  # noqa: BLE001 - the test looks at each
                became.append(type(refused).__name__)
        database.close()

    running = [threading.Thread(target=run, args=(act,)) for act in acts]
    for each in running:
        each.start()
    for each in running:
        each.join(30)
    return sorted(became)


def test_races_over_one_person_have_one_winner_and_lose_nothing(for_good):
    member, pk = for_good, for_good.merchant_id
    with tenancy.merchant(pk):
        for round_ in range(4):
            one, two, three = (keep(member, last_name=f"{name} {round_}") for name in ("One", "Two", "Three"))
            card = cards.card_of(
                member.merchant.connection_set.get(provider="paywizard"), f"9146390000009{50 + round_}"
            )
            details = Details(last_name="One")

            both = at_once(
                pk,
                partial(holders.merge, member=member, kept=one, other=two, details=details),
                partial(holders.merge, member=member, kept=two, other=one, details=details),
            )

            assert both in (["Changed", "done"], ["Gone", "done"])
            assert Customer.objects.filter(pk__in=[one.pk, two.pk], merged_into=None).count() == 1
            winner = Customer.objects.get(pk__in=[one.pk, two.pk], merged_into=None)

            became = at_once(
                pk,
                partial(holders.attach, member=member, card=card, customer=winner),
                partial(holders.merge, member=member, kept=three, other=winner, details=details),
            )

            card.refresh_from_db()
            # Either the card came first and moved along, or the customer was gone.
            assert (became, card.customer_id) in ((["done", "done"], three.pk), (["Gone", "done"], None))

        key = uuid.uuid4()
        once = partial(
            holders.add,
            member=member,
            key=key,
            details=Details(last_name="Once"),
            agreement=holders.Agreement(),
            card=None,
        )
        made = at_once(pk, once, once, once, once)

        assert made == ["done"] * 4
        assert Customer.objects.filter(key=key).count() == 1
        assert AuditEntry.objects.filter(verb="customer added", subject=str(key)).count() == 1
