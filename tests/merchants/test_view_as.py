"""View as: an administrator looks at a merchant's pages, for a reason and for a while, and changes nothing."""

import time
import uuid

import pytest
from django.db import InternalError, connection
from django.test import Client
from django.urls import reverse

from portal.mail.models import OutgoingMail
from portal.merchants import access, viewing
from portal.merchants.models import AuditEntry, Person, Store
from portal.merchants.roles import Permission, Role, may
from tests.addresses import Shop
from tests.conftest import make_person, typed_just_now
from tests.crawling import STAFF

REASON = "Olivia called: the desk shows an old balance."


@pytest.fixture
def looking(ada, jung_shop) -> Client:
    """Ada, who looks at Jung's pages."""
    answer = begin(ada, jung_shop)
    assert answer["Location"] == desk(jung_shop)
    return ada


def begin(browser: Client, shop: Shop, reason: str = REASON):
    return browser.post(f"/admin/merchants/merchant/{shop.merchant.pk}/look/", {"reason": reason})


def desk(shop: Shop) -> str:
    return reverse("desk", args=[shop.merchant.slug])


def told(arrange, merchant) -> list[tuple[str, str]]:
    with arrange():
        lines = AuditEntry.objects.filter(merchant=merchant, person__name="Ada").order_by("id")
        return [(line.verb, line.subject) for line in lines]


# ---- Beginning ------------------------------------------------------------------------------------------------
def test_without_beginning_a_merchants_pages_are_not_there_for_an_administrator(ada, jung_shop):
    assert ada.get(desk(jung_shop)).status_code == 404


def test_it_begins_with_a_reason_and_the_trail_and_every_owner_are_told(ada, jung_shop, arrange, settings):
    settings.EMAIL_BACKEND = "portal.mail.backend.Outbox"
    with arrange():
        make_person("Oskar", (jung_shop.merchant, "owner"))
        make_person("Milan", (jung_shop.merchant, "manager"))

    begin(ada, jung_shop)

    with arrange():
        line = AuditEntry.objects.get(verb="view as begun")
        mails = OutgoingMail.objects.filter(subject="An administrator looks at Bäckerei Jung")
        assert sorted(mail.recipient for mail in mails) == ["olivia@example.com", "oskar@example.com"]
        assert {mail.merchant_id for mail in mails} == {jung_shop.merchant.pk}
    assert (line.merchant_id, line.person.name) == (jung_shop.merchant.pk, "Ada")
    assert line.detail == {"reason": REASON, "minutes": 30}


@pytest.mark.parametrize("reason", ["", "   ", "why not", "x" * 301])
def test_without_a_true_reason_it_does_not_begin(reason, ada, jung_shop):
    assert begin(ada, jung_shop, reason).status_code == 422
    assert ada.get(desk(jung_shop)).status_code == 404


def test_it_begins_only_for_who_proved_lately_who_they_are(ada, jung_shop):
    session = ada.session
    session["account_authentication_methods"] = [{"method": "mfa", "at": time.time() - 400}]
    session.save()

    answer = begin(ada, jung_shop)

    assert answer.status_code == 302
    assert "prove" in answer["Location"]
    assert ada.get(desk(jung_shop)).status_code == 404


def test_nobody_but_an_administrator_begins(signed_in, jung_shop, kauri_shop):
    for person in (jung_shop.owner.person, kauri_shop.owner.person):
        assert begin(signed_in(person), jung_shop).status_code == 404


# ---- What is seen ---------------------------------------------------------------------------------------------
def test_every_page_says_whose_it_is_and_that_nothing_can_be_changed(looking, jung_shop):
    for name in ("desk", "attention", "settings", "people", "outbox", "approval", "operation", "evidence"):
        address = next(each for each in STAFF if each.name == name)
        page = looking.get(address.of(jung_shop)).text
        assert "You look at Bäckerei Jung as an administrator; nothing can be changed." in page, name
        assert 'class="viewing"' in page
        assert reverse("end_viewing") in page


def test_they_see_what_the_role_read_only_sees_and_nothing_more(looking, jung_shop):
    for address in STAFF:
        answer = looking.get(address.of(jung_shop))
        if answer.status_code == 405:
            continue
        opened = may(Role.READ_ONLY, address.permission) and address.permission is not Permission.LEAVE
        assert answer.status_code in ({200, 302} if opened else {403}), address.name


def test_customers_and_whole_addresses_are_not_seen(looking, jung_shop):
    outbox = looking.get(reverse("outbox", args=[jung_shop.merchant.slug])).text

    assert "anna@example.com" not in outbox
    assert "a•••@example.com" in outbox
    assert looking.get(reverse("customers", args=[jung_shop.merchant.slug])).status_code == 403


def test_it_opens_one_merchant_and_no_other(looking, kauri_shop):
    assert looking.get(desk(kauri_shop)).status_code == 404


def test_another_merchants_things_are_not_there(looking, jung_shop, kauri_shop, arrange):
    for name in ("operation", "evidence", "outbox_mail", "approval"):
        address = next(each for each in STAFF if each.name == name)
        assert looking.get(address.of(jung_shop, **address.sample(kauri_shop))).status_code == 404, name
    # What a page notes though it was only opened is written when the page is made.
    assert ("operation not found", str(kauri_shop.operation.key)) in told(arrange, jung_shop.merchant)


# ---- Nothing is changed ---------------------------------------------------------------------------------------
def test_every_request_that_could_change_something_is_refused_and_says_so(looking, jung_shop):
    for address in STAFF:
        for method in ("post", "put", "patch", "delete"):
            answer = getattr(looking, method)(address.of(jung_shop), {"reason": "x", "confirmed": "1"})
            assert answer.status_code in {403, 405}, f"{method} {address.name}: {answer.status_code}"
            if answer.status_code == 403:
                assert "nothing can be changed" in answer.text


def test_a_refused_change_stands_in_the_trail(looking, jung_shop, arrange):
    looking.post(reverse("scan", args=[jung_shop.merchant.slug]), {"number": "6280390000000001"})

    verb, subject = told(arrange, jung_shop.merchant)[-1]
    assert (verb, subject) == ("change by onlooker refused", "/m/baeckerei-jung/scan/")


def test_the_database_refuses_to_write_while_somebody_looks(jung, arrange):
    with arrange(), viewing.nothing_written(), pytest.raises(InternalError, match="read-only transaction"):
        Store.objects.create(merchant=jung, name="Made while looking")


def test_a_page_that_writes_on_opening_cannot_while_somebody_looks(looking, jung_shop, monkeypatch):
    """The second wall holds where the first does not: a page that writes though it was only opened."""
    asked = []

    def writes(*_args: object, **_more: object) -> str:
        asked.append(1)
        Store.objects.create(merchant=jung_shop.merchant, name="Made while looking")
        return ""

    monkeypatch.setattr("portal.desk.frame.switcher", writes)
    with pytest.raises(InternalError, match="read-only transaction"):
        looking.get(desk(jung_shop))
    assert asked


def test_after_a_look_the_database_writes_again(looking, jung_shop, arrange):
    looking.get(desk(jung_shop))

    with arrange():
        assert Store.objects.create(merchant=jung_shop.merchant, name="Made afterwards").pk
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchone() == ("off",)


def test_looking_makes_nobody_a_member_and_nobody_seen(looking, jung_shop, administrator, arrange):
    looking.get(desk(jung_shop))

    with arrange():
        assert not jung_shop.merchant.member_set.filter(person=administrator).exists()


def test_an_owner_who_is_an_administrator_too_changes_nothing_while_looking(ada, jung_shop, administrator, arrange):
    with arrange():
        jung_shop.merchant.member_set.create(person=administrator, role=Role.OWNER)
    begin(ada, jung_shop)

    assert ada.post(reverse("lock_after", args=[jung_shop.merchant.slug]), {"seconds": "60"}).status_code == 403


# ---- The trail ------------------------------------------------------------------------------------------------
def test_every_page_opened_is_a_line_in_the_merchants_trail(looking, jung_shop, arrange):
    pages = [desk(jung_shop), reverse("people", args=[jung_shop.merchant.slug])]
    for page in pages:
        looking.get(page)
    looking.get(reverse("customers", args=[jung_shop.merchant.slug]))  # refused, and a line all the same

    lines = [line for line in told(arrange, jung_shop.merchant) if line[0] == "page viewed"]
    assert lines == [("page viewed", page) for page in [*pages, "/m/baeckerei-jung/customers/"]]


def test_what_a_page_fetches_again_by_itself_is_no_page_opened(looking, jung_shop, arrange):
    page = reverse("operation", args=[jung_shop.merchant.slug, jung_shop.operation.key])
    looking.get(page)
    for _ in range(3):
        looking.get(page, headers={"HX-Request": "true"})
    looking.get(desk(jung_shop), headers={"HX-Request": "true"})

    lines = [subject for verb, subject in told(arrange, jung_shop.merchant) if verb == "page viewed"]
    assert lines == [page, desk(jung_shop)]


def test_the_owner_reads_in_the_trail_who_looked_and_why(looking, jung_shop, signed_in):
    looking.get(desk(jung_shop))

    trail = signed_in(jung_shop.owner.person).get(reverse("trail", args=[jung_shop.merchant.slug])).text

    assert "Began to look at all pages as an administrator" in trail
    assert REASON in trail
    assert "Opened this page as an administrator" in trail


# ---- The end --------------------------------------------------------------------------------------------------
def test_it_ends_by_a_button_and_leads_back(looking, jung_shop, arrange):
    answer = looking.post(reverse("end_viewing"))

    assert answer["Location"] == f"/admin/merchants/merchant/{jung_shop.merchant.pk}/"
    assert looking.get(desk(jung_shop)).status_code == 404
    assert ("view as ended", "Bäckerei Jung") in told(arrange, jung_shop.merchant)


def test_ending_what_was_never_begun_leads_to_the_start(ada, signed_in, alice):
    for browser in (ada, signed_in(alice)):
        assert browser.post(reverse("end_viewing"))["Location"] == "/"


@pytest.fixture
def late(looking) -> Client:
    session = looking.session
    session["viewing"] = session["viewing"] | {"until": time.time() - 1}
    session.save()
    return looking


def test_it_ends_by_itself_when_the_time_is_over(late, jung_shop, arrange):
    answer = late.get(desk(jung_shop), headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == f"/admin/merchants/merchant/{jung_shop.merchant.pk}/"

    assert late.get(desk(jung_shop)).status_code == 404
    assert ("view as ended", "Bäckerei Jung") in told(arrange, jung_shop.merchant)


def test_a_form_sent_too_late_changes_nothing_either(late, jung_shop):
    answer = late.post(reverse("scan", args=[jung_shop.merchant.slug]), {"number": "6280390000000001"})

    assert (answer.status_code, answer["Location"]) == (303, f"/admin/merchants/merchant/{jung_shop.merchant.pk}/")


def test_who_is_no_administrator_any_more_sees_nothing_any_more(looking, jung_shop, administrator):
    Person.objects.filter(pk=administrator.pk).update(is_staff=False)

    assert looking.get(desk(jung_shop)).status_code == 404


def test_a_look_is_kept_for_one_session_only(looking, administrator, jung_shop):
    other = Client(HTTP_HOST="localhost")
    other.force_login(administrator)
    typed_just_now(other, administrator, with_factor=True)

    assert other.get(desk(jung_shop)).status_code == 404


def test_who_looks_is_no_member_for_whom_a_transaction_asks_again(looking, jung_shop, administrator):
    """The third wall: what writes asks for the member's row, and there is none."""
    from django.core.exceptions import PermissionDenied

    from portal.merchants import tenancy

    look = viewing.Viewing(merchant=jung_shop.merchant.pk, slug=jung_shop.merchant.slug, until=viewing._moment(0))
    nobody = viewing.onlooker(look, administrator)
    with tenancy.merchant(jung_shop.merchant.pk), pytest.raises(PermissionDenied):
        access.still_may(nobody, Permission.SEE_DESK)


def test_a_merchant_that_has_gone_is_not_there(looking, jung_shop):
    session = looking.session
    session["viewing"] = session["viewing"] | {"merchant": 2**40}
    session.save()

    assert looking.get(desk(jung_shop)).status_code == 404


def test_a_strangers_address_is_still_refused_alike(looking):
    assert looking.get(f"/m/no-such-{uuid.uuid4().hex[:6]}/").status_code == 404
