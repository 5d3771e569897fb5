"""Lists and searches stay quick with many mails."""

from typing import Any

import pytest
from django.db import connections

from portal.mail import outbox, pages
from portal.mail.models import DUE, MailState, OutgoingMail
from portal.merchants import tenancy
from portal.merchants.models import Merchant

pytestmark = pytest.mark.django_db(databases=["default", "owner"])


@pytest.fixture
def busy(arrange: Any) -> Merchant:
    """A merchant with 300 of 30,000 mails, most of them ended.

    By the owner, who may have statistics made, and whom the policies bind as they bind the application.
    """
    with arrange(), connections["owner"].cursor() as cursor:
        made = [
            Merchant.objects.using("owner").create(slug=slug, name=slug, currency="EUR", time_zone="UTC")
            for slug in ("busy", "other")
        ]
        cursor.execute(
            "INSERT INTO mail_outgoingmail (merchant_id, key, message_id, recipient, recipient_key, subject, priority,"
            " state, attempt, doubts, reason, answer, created_at, begun_at, ended_at)"
            " SELECT CASE n %% 100 WHEN 0 THEN %s ELSE %s END, gen_random_uuid(), n::text, 'a@b.example',"
            " n || '@b.example', 'Hello', 1, 'failed', 1, 0, '', '', now(), now() - n * interval '1 minute', now()"
            " FROM generate_series(1, 30000) n",
            [each.pk for each in made],
        )
        cursor.execute("ANALYZE mail_outgoingmail")
    return made[0]


def plan(rows: Any) -> str:
    return str(rows.explain())


def test_each_list_is_read_from_its_index_under_the_policies(busy: Merchant):
    with tenancy.merchant(busy.pk):
        mine = OutgoingMail.objects.using("owner").light().filter(merchant=busy)
        assert "mail_of_merchant" in plan(mine.order_by("-id")[: pages.PAGE + 1])
        assert "Seq Scan" not in plan(mine.filter(state=MailState.QUEUED).order_by("-id")[: pages.PAGE + 1])


def test_what_workers_look_for_is_read_from_an_index(busy: Merchant, arrange: Any):
    with arrange():
        due = OutgoingMail.objects.using("owner").light().filter(state__in=DUE, next_attempt_at__lte=outbox.Now())
        assert "mail_due" in plan(due.order_by("priority", "next_attempt_at", "id")[:100])
        assert "mail_to_recipient" in plan(
            OutgoingMail.objects.using("owner").filter(recipient_key="7@b.example", begun_at__gt=outbox.Now())
        )
        assert "mail_leased" in plan(
            OutgoingMail.objects.using("owner").filter(state=MailState.SENDING, lease_until__lt=outbox.Now())
        )
