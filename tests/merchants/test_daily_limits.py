"""Daily limits: what a merchant may do in 24 hours, asked for by its owner, decided and set by administrators."""

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.urls import reverse

from portal.merchants import daily_limits, invitations, tenancy
from portal.merchants.models import AuditEntry, DailyLimit, LimitKind, LimitState, Member, Person
from portal.merchants.roles import Role
from tests.conftest import make_person

MAILS, INVITATIONS = LimitKind.MAILS, LimitKind.INVITATIONS
WHY = "We write to all our customers before Christmas."


@pytest.fixture
def owner(jung, olivia):
    with tenancy.merchant(jung.pk):
        yield Member.objects.select_related("merchant", "person").get(person=olivia)


@pytest.fixture
def asked(owner) -> DailyLimit:
    return daily_limits.ask(owner, MAILS, 5000, reason=WHY)


def verbs(merchant) -> list[str]:
    return list(AuditEntry.objects.filter(merchant=merchant).order_by("id").values_list("verb", flat=True))


# ---- What holds -----------------------------------------------------------------------------------------------
def test_the_installations_number_holds_until_an_administrator_says_otherwise(owner, asked, administrator, settings):
    settings.MAIL_MERCHANT_DAY, settings.INVITATIONS_A_DAY = 300, 20
    merchant = owner.merchant.pk
    assert (daily_limits.of(merchant, MAILS), daily_limits.of(merchant, INVITATIONS)) == (300, 20)

    daily_limits.decide(asked, by=administrator, approve=True, note="Until the new year.")

    assert (daily_limits.of(merchant, MAILS), daily_limits.of(merchant, INVITATIONS)) == (5000, 20)


def test_what_is_approved_holds_for_this_merchant_only(asked, administrator, kauri, settings, arrange):
    daily_limits.decide(asked, by=administrator, approve=True, note="Until the new year.")

    with arrange():
        assert daily_limits.of(kauri.pk, MAILS) == settings.MAIL_MERCHANT_DAY


def test_invitations_beyond_the_limit_are_refused_and_within_a_new_one_sent(owner, administrator, settings):
    settings.INVITATIONS_A_DAY = 1
    invitations.invite(owner, email="first@example.com", role=Role.CASHIER)
    with pytest.raises(invitations.TooMany):
        invitations.invite(owner, email="second@example.com", role=Role.CASHIER)

    daily_limits.put(owner.merchant, INVITATIONS, 2, by=administrator, note="They open a second shop.")

    invitations.invite(owner, email="second@example.com", role=Role.CASHIER)
    with pytest.raises(invitations.TooMany):
        invitations.invite(owner, email="third@example.com", role=Role.CASHIER)


# ---- Asking ---------------------------------------------------------------------------------------------------
def test_it_is_asked_for_once_however_often_it_is_pressed(owner, asked):
    again = daily_limits.ask(owner, MAILS, 7000, reason=WHY)

    assert (again.key, again.most) == (asked.key, 5000)
    assert verbs(owner.merchant).count("daily limit asked") == 1
    assert daily_limits.ask(owner, INVITATIONS, 100, reason=WHY).state == LimitState.WAITING


def test_what_is_allowed_already_need_not_be_asked_for(owner, settings):
    for most in (1, settings.MAIL_MERCHANT_DAY):
        with pytest.raises(daily_limits.NotMore):
            daily_limits.ask(owner, MAILS, most, reason=WHY)


def test_only_who_sets_limits_asks(jung, alice, asked):
    with tenancy.merchant(jung.pk):
        cashier = Member.objects.select_related("merchant", "person").get(person=alice)
        with pytest.raises(PermissionDenied):
            daily_limits.ask(cashier, INVITATIONS, 100, reason=WHY)
        with pytest.raises(PermissionDenied):
            daily_limits.take_back(cashier, asked)


def test_a_wish_is_taken_back_unless_it_was_decided(owner, asked, administrator):
    assert daily_limits.take_back(owner, asked)
    assert not daily_limits.take_back(owner, asked)
    with pytest.raises(daily_limits.DecidedAlready):
        daily_limits.decide(asked, by=administrator, approve=True, note="Fine with us.")


# ---- Deciding -------------------------------------------------------------------------------------------------
def test_what_is_decided_is_decided(asked, administrator):
    daily_limits.decide(asked, by=administrator, approve=False, note="A newsletter goes elsewhere.")

    with pytest.raises(daily_limits.DecidedAlready):
        daily_limits.decide(asked, by=administrator, approve=True, note="Fine with us.")
    assert daily_limits.of(asked.merchant_id, MAILS) != 5000


def test_a_wish_that_cannot_be_approved_any_more_ends_nothing(owner, asked, administrator):
    daily_limits.put(owner.merchant, MAILS, 2000, by=administrator, note="For the opening.")
    daily_limits.take_back(owner, asked)

    with pytest.raises(daily_limits.DecidedAlready):
        daily_limits.decide(asked, by=administrator, approve=True, note="Fine with us.")

    assert daily_limits.of(owner.merchant.pk, MAILS) == 2000


def test_a_number_is_set_unasked_and_the_installations_holds_again(owner, administrator, settings, mailoutbox):
    daily_limits.put(owner.merchant, MAILS, 10, by=administrator, note="They were taken over by strangers.")
    assert daily_limits.of(owner.merchant.pk, MAILS) == 10

    daily_limits.put(owner.merchant, MAILS, None, by=administrator, note="All is well again.")

    assert daily_limits.of(owner.merchant.pk, MAILS) == settings.MAIL_MERCHANT_DAY
    assert [mail.subject for mail in mailoutbox] == [
        "Mails at Bäckerei Jung: now 10",
        "Mails at Bäckerei Jung: now 1,000",
    ]


def test_only_who_is_an_administrator_now_decides(asked, olivia, administrator):
    Person.objects.filter(pk=administrator.pk).update(is_staff=False)
    for person in (olivia, administrator):
        with pytest.raises(PermissionDenied):
            daily_limits.decide(asked, by=person, approve=True, note="Fine with us.")
        with pytest.raises(PermissionDenied):
            daily_limits.put(asked.merchant, MAILS, 5, by=person, note="Fine with us.")


def test_every_owner_is_told_and_the_trail_says_who_decided_and_what_it_was(
    asked, administrator, olivia, jung, arrange, mailoutbox, settings
):
    with arrange():
        make_person("Oskar", (jung, "owner"))
        make_person("Milan", (jung, "manager"))

    daily_limits.decide(asked, by=administrator, approve=True, note="Until the new year.")

    assert sorted(mail.to[0] for mail in mailoutbox) == ["olivia@example.com", "oskar@example.com"]
    assert "Until the new year." in mailoutbox[0].body
    line = AuditEntry.objects.get(merchant=jung, verb="daily limit approved")
    assert (line.person, line.subject) == (administrator, jung.name)
    assert line.detail == {
        "kind": "mails",
        "before": settings.MAIL_MERCHANT_DAY,
        "after": 5000,
        "note": "Until the new year.",
    }


# ---- Kept apart -----------------------------------------------------------------------------------------------
def test_another_merchant_sees_no_limit(asked, kauri):
    with tenancy.merchant(kauri.pk):
        assert not DailyLimit.objects.exists()


def test_the_database_holds_one_that_waits_and_one_that_is_approved(asked):
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO merchants_dailylimit (merchant_id, key, kind, most, reason, asked_by_id, state, note)"
            " SELECT merchant_id, gen_random_uuid(), kind, 1, '', asked_by_id, state, '' FROM merchants_dailylimit"
        )


# ---- The page -------------------------------------------------------------------------------------------------
def page_of(merchant) -> str:
    return reverse("daily_limits", args=[merchant.slug])


def test_an_owner_asks_on_the_page_and_takes_it_back(signed_in, olivia, jung, arrange):
    browser = signed_in(olivia)
    assert "1,000" in browser.get(page_of(jung)).text

    browser.post(page_of(jung), {"kind": "mails", "most": "5000", "reason": WHY})

    page = browser.get(page_of(jung)).text
    assert "5,000: Waiting for an administrator" in page
    with arrange():
        limit = DailyLimit.objects.get()
    browser.post(reverse("take_back_daily_limit", args=[jung.slug, limit.key]))
    assert "5,000: Withdrawn" in browser.get(page_of(jung)).text


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"kind": "mails", "most": "900", "reason": WHY}, "As many as 1,000 are allowed now."),
        ({"kind": "mails", "most": "many", "reason": WHY}, "Type a whole number"),
        ({"kind": "mails", "most": "99999999999", "reason": WHY}, "Nobody gets as many."),
        ({"kind": "mails", "most": "5000", "reason": "more"}, "in a few words more"),
        ({"kind": "everything", "most": "5000", "reason": WHY}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_asked_is_said_and_what_was_typed_stays(signed_in, olivia, jung, arrange, form, error):
    answer = signed_in(olivia).post(page_of(jung), form)

    assert answer.status_code == 422
    assert error in answer.text
    assert form["reason"] in answer.text
    with arrange():
        assert not DailyLimit.objects.exists()


def test_what_was_used_of_it_is_said(signed_in, olivia, jung, owner, settings):
    settings.INVITATIONS_A_DAY = 1
    invitations.invite(owner, email="first@example.com", role=Role.CASHIER)

    assert "reached" in signed_in(olivia).get(page_of(jung)).text


def test_another_merchants_wish_is_not_found(signed_in, olivia, jung, kauri_shop, arrange):
    with tenancy.merchant(kauri_shop.merchant.pk):
        other = daily_limits.ask(kauri_shop.owner, MAILS, 5000, reason=WHY)

    answer = signed_in(olivia).post(reverse("take_back_daily_limit", args=[jung.slug, other.key]))

    assert answer.status_code == 404
    with arrange():
        assert DailyLimit.objects.get(pk=other.pk).state == LimitState.WAITING
