"""On call: from whatever somebody was told to what became of it, over all merchants."""

import pytest
from django.db import connection
from django.utils import timezone

from portal.ledger.models import Operation
from portal.merchants import audit, tenancy
from portal.merchants.models import AuditEntry
from tests.addresses import Shop
from tests.desk.test_on_call import a_card, ago, changed

FIND = "/on-call/find/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def paid(jung_shop: Shop, arrange) -> Operation:
    with arrange():
        return jung_shop.operation


def page_of(operation: Operation) -> str:
    return f"/on-call/operations/{operation.pk}/"


def find(browser, typed: str):
    return browser.post(FIND, {"reference": typed})


# ---- Finding --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "typed",
    [
        lambda row: row.reference,
        lambda row: str(row.key),
        lambda row: row.reference.upper(),
        lambda row: row.reference[:8],
        lambda row: f"  {row.reference}\n",
        lambda row: row.provider_reference,
    ],
    ids=["ours", "with dashes", "in capitals", "its beginning", "with blanks", "theirs"],
)
def test_an_operation_is_found_by_each_of_its_references_and_shown_at_once(ada, paid, typed):
    assert find(ada, typed(paid)).url == page_of(paid)


def test_by_last_four_amount_and_day_whoever_the_merchant_is(ada, paid, kauri_shop, arrange):
    with arrange():
        day = timezone.localdate(paid.asked_at).isoformat()
    for typed in ("8500 10.00", f"8500 {day}", f"•••• 8500 10.00 {day}"):
        answer = find(ada, typed)
        assert page_of(paid) in answer.text, typed
        with arrange():
            assert page_of(kauri_shop.operation) in answer.text, "Kauri has such a card, too"
    assert page_of(paid) not in find(ada, "8500 99.00").text
    assert page_of(paid) not in find(ada, "8500 2019-01-01").text
    assert page_of(paid) not in find(ada, "8500").text, "the end of a number alone is too many people's"


def test_a_mail_is_found_by_its_number_and_its_message_id(ada, jung_shop, arrange):
    with arrange():
        mail = jung_shop.mail
    for typed in (str(mail.key), mail.message_id, mail.message_id.strip("<>")):
        assert "Hello from Bäckerei Jung" in find(ada, typed).text


def test_a_look_up_is_found_by_its_number(ada, jung_shop, arrange):
    with arrange():
        look_up = jung_shop.look_up
    assert "Look-ups" in find(ada, str(look_up.key)).text


def test_a_request_is_found_by_the_reference_of_an_error_page(ada, jung_shop, client):
    with tenancy.merchant(jung_shop.merchant.pk):
        line = audit.record("connection resumed", "PayWizard of Bäckerei Jung", merchant=jung_shop.merchant)
        AuditEntry.objects.bulk_create(
            [
                AuditEntry(
                    merchant=jung_shop.merchant, verb=line.verb, subject=line.subject, request_id="abcdef0123456789"
                )
            ]
        )
    answer = find(ada, "abcdef0123456789").text

    assert "Audit trail" in answer
    assert "PayWizard of Bäckerei Jung" in answer


def test_nothing_is_said_to_be_nothing(ada, jung_shop):
    assert "Nothing is known by this." in find(ada, "no-such-reference").text
    assert "Type what you were told." in find(ada, "  ").text
    assert ada.get(FIND).url == "/on-call/"


def test_what_was_typed_stands_in_no_address_and_whoever_was_looked_at_sees_it(ada, paid, arrange):
    find(ada, "8500 10.00")

    with arrange():
        lines = AuditEntry.objects.filter(merchant=paid.merchant_id, verb=audit.LOOKED)
        assert [line.subject for line in lines] == ["search"]


def test_nobody_else_finds_anything(signed_in, mallory, paid):
    browser = signed_in(mallory)

    assert find(browser, paid.reference).status_code == 404
    assert browser.get(page_of(paid)).status_code == 404


def test_each_search_is_a_few_queries_however_many_merchants_there_are(
    ada, paid, kauri_shop, django_assert_max_num_queries
):
    with django_assert_max_num_queries(40):
        find(ada, "8500 10.00")


# ---- One operation --------------------------------------------------------------------------------------------
def test_what_became_of_it_what_happened_and_what_comes_next_stand_on_one_page(ada, paid, arrange, jung_shop):
    with arrange():
        assert jung_shop.exchange.operation_id == paid.pk
    page = ada.get(page_of(paid)).text

    assert "Bäckerei Jung" in page
    assert paid.reference in page
    assert "Olivia asked for it." in page
    assert "Sent to PayWizard of Bäckerei Jung, attempt 1" in page
    assert "Nothing. It is over." in page
    with arrange():
        assert AuditEntry.objects.filter(merchant=paid.merchant_id, subject=paid.reference, verb=audit.LOOKED).exists()


def test_one_that_is_not_there_is_not_found(ada):
    assert ada.get("/on-call/operations/999999999/").status_code == 404


def test_a_stuck_one_says_when_we_look_again_and_offers_to_look_now_or_to_hand_it_over(ada, jung_shop, arrange):
    with arrange():
        leased, left = {"lease_until": timezone.now()}, {"lease_until": None}
        row = jung_shop._pays(a_card(jung_shop, "3"), running=leased, checking=left)
        changed(row, begun_at=ago(3600), next_attempt_at=ago(-30), checks=2)
    page = ada.get(page_of(row)).text

    assert "for the 3. time of 5" in page
    assert f"/admin/ledger/operation/{row.pk}/look-again/" in page
    assert f"/admin/ledger/operation/{row.pk}/hand-over/" in page


def test_one_that_waits_says_for_what(ada, jung_shop, arrange):
    with arrange():
        row = jung_shop._pays(a_card(jung_shop, "3"))
    assert "A worker takes it within seconds." in ada.get(page_of(row)).text

    with arrange():
        leased, left = {"lease_until": timezone.now()}, {"lease_until": None}
        jung_shop._pays(a_card(jung_shop, "4"), running=leased, checking=left)
        behind = jung_shop._pays(a_card(jung_shop, "4"))
    assert "the operation before it on the same card" in ada.get(page_of(behind)).text


# ---- Plans ----------------------------------------------------------------------------------------------------
def test_a_request_is_looked_up_in_its_index(jung_shop, arrange):
    with arrange(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT * FROM merchants_auditentry WHERE request_id = 'abcdef01' AND request_id > ''")
        assert "audit_of_request" in "\n".join(row[0] for row in cursor.fetchall())
