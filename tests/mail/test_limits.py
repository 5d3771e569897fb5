"""Nobody can use us to flood a stranger, nothing leaves a withheld installation, and nothing is kept for ever."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from portal.mail import outbox
from portal.mail.models import MailState, MailStep
from portal.merchants import daily_limits, tenancy
from portal.merchants.models import AuditEntry, LimitKind, Member
from tests.conftest import make_person
from tests.mail.conftest import Post
from tests.mail.servers import MailServer

S = MailState


def states(post: Post) -> dict[str, int]:
    found: dict[str, int] = {}
    for mail in post.all():
        found[mail.state] = found.get(mail.state, 0) + 1
    return found


# ---- Limits ---------------------------------------------------------------------------------------------------
def test_a_recipient_gets_so_many_mails_an_hour_from_all_merchants_together(
    post: Post, server: MailServer, settings: Any, jung: Any, kauri: Any
):
    settings.MAIL_RECIPIENT_HOUR = 3
    for merchant in (jung, kauri):
        with tenancy.merchant(merchant.pk):
            post.writes(to="stranger@example.com")
            post.writes(to="Stranger+again@Example.com")
    post.writes(to="anna@example.com")
    post.works()

    assert [(mail.state, mail.reason) for mail in post.all()] == [
        *[(S.SENT, "")] * 3,
        (S.WITHHELD, "recipient_limit"),
        (S.SENT, ""),
    ]
    assert len(server.accepted) == 4


def test_the_limit_forgets_after_its_hour_but_not_within_the_day(post: Post, server: MailServer, settings: Any):
    settings.MAIL_RECIPIENT_HOUR, settings.MAIL_RECIPIENT_DAY = 2, 3
    for _ in range(2):
        for _ in range(3):
            post.writes()
        post.works()
        post.later(hours=2)

    assert states(post) == {S.SENT: 3, S.WITHHELD: 3}
    post.later(hours=24)
    post.writes()
    post.works()
    assert states(post) == {S.SENT: 4, S.WITHHELD: 3}


def test_a_merchant_writes_so_many_mails_a_day_and_the_sites_own_are_not_counted(
    post: Post, server: MailServer, settings: Any, jung: Any
):
    settings.MAIL_MERCHANT_DAY = 2
    with tenancy.merchant(jung.pk):
        for number in range(4):
            post.writes(to=f"customer{number}@example.com")
    post.writes(to="olivia@example.com")
    post.works()

    assert states(post) == {S.SENT: 3, S.WITHHELD: 2}
    assert {mail.reason for mail in post.all() if mail.state == S.WITHHELD} == {"merchant_limit"}


def test_a_merchants_own_daily_limit_takes_the_place_of_the_installations(
    post: Post, server: MailServer, settings: Any, jung: Any, administrator: Any
):
    settings.MAIL_MERCHANT_DAY = 1
    daily_limits.put(jung, LimitKind.MAILS, 3, by=administrator, note="They write to all customers.")
    with tenancy.merchant(jung.pk):
        for number in range(4):
            post.writes(to=f"customer{number}@example.com")
    post.works()

    assert states(post)[S.WITHHELD] == 1


def test_a_mail_that_was_let_through_is_not_counted_again_when_it_is_tried_again(
    post: Post, server: MailServer, settings: Any
):
    settings.MAIL_RECIPIENT_HOUR = 1
    server.does("RCPT", "451 later", "451 later")
    post.writes()
    for _ in range(3):
        post.works()
        post.later(minutes=10)

    assert post.one().state == S.SENT


def test_the_sites_own_mails_go_before_a_merchants_long_queue(post: Post, server: MailServer, jung: Any):
    with tenancy.merchant(jung.pk):
        for number in range(3):
            post.writes(to=f"customer{number}@example.com")
    post.writes(to="olivia@example.com", subject="Reset")
    post.works()

    assert server.accepted[0]["Subject"] == "Reset"


def test_nothing_leaves_a_withheld_installation(post: Post, server: MailServer, settings: Any):
    settings.MAIL_WITHHELD = True
    post.writes()
    post.works()

    assert (post.one().state, post.one().reason, server.got) == (S.WITHHELD, "installation", [])


def test_no_more_conversations_at_once_than_the_server_was_promised(
    post: Post, server: MailServer, settings: Any, monkeypatch: pytest.MonkeyPatch
):
    settings.MAIL_AT_ONCE = 1
    post.writes()
    post.writes()
    taken = []
    monkeypatch.setattr(outbox, "_deliver", lambda mail: taken.append(outbox.work()))

    assert outbox.work()
    assert taken == [False]


# ---- What is old ----------------------------------------------------------------------------------------------
def test_the_text_of_a_mail_that_stopped_is_erased_after_days_and_its_line_after_months(
    post: Post, server: MailServer, settings: Any
):
    server.does("RCPT", "550 no")
    post.writes()
    post.works()
    outbox.sweep()
    assert post.one().can_be_sent_again

    post.later(days=settings.MAIL_MESSAGE_DAYS, hours=1)
    outbox.sweep()
    assert (post.one().sealed_message, post.one().can_be_sent_again) == (None, False)

    post.later(days=settings.MAIL_KEPT_DAYS)
    outbox.sweep()
    assert post.all() == []
    assert post.story() == []


def test_a_mail_that_waits_is_kept_however_old_it_is(post: Post):
    post.writes()
    post.later(days=400)
    outbox.sweep()

    assert post.one().sealed_message is not None


# ---- People ---------------------------------------------------------------------------------------------------
@pytest.fixture
def owner(jung: Any, olivia: Any) -> Any:
    with tenancy.merchant(jung.pk):
        yield Member.objects.select_related("merchant", "person").get(person=olivia)


def test_a_withdrawn_mail_is_never_sent_and_its_text_is_gone(post: Post, server: MailServer, owner: Member):
    post.writes()
    mail = post.one()

    assert outbox.withdraw([mail.key], member=owner) == 1
    post.works()
    assert outbox.send_again([mail.key], member=owner) == 0

    mail = post.one()
    assert (mail.state, mail.reason, mail.sealed_message) == (S.WITHHELD, "withdrawn", None)
    assert "MAIL" not in server.seen
    entry = AuditEntry.objects.get(verb="mail withdrawn")
    assert (entry.person_id, entry.subject) == (owner.person_id, mail.key.hex)


def test_what_failed_is_sent_again_as_it_was_written(post: Post, server: MailServer, owner: Member):
    server.does("RCPT", "550 full")
    post.writes()
    post.works()
    mail = post.one()

    assert outbox.send_again([mail.key], member=owner) == 1
    post.works()

    again = post.one()
    assert (again.state, again.message_id) == (S.SENT, mail.message_id)
    assert post.story() == [(S.QUEUED, ""), (S.FAILED, "refused"), (S.QUEUED, ""), (S.SENT, "")]
    assert [step.person_id for step in MailStep.objects.order_by("id")] == [None, None, owner.person_id, None]


def test_sending_again_does_not_get_round_a_limit(post: Post, server: MailServer, settings: Any, owner: Member):
    settings.MAIL_RECIPIENT_HOUR = 1
    post.writes()
    post.writes()
    post.works()
    outbox.send_again([mail.key for mail in post.all()], member=owner)
    post.works()

    assert [mail.state for mail in post.all()] == [S.SENT, S.WITHHELD]


def test_what_is_sent_is_neither_withdrawn_nor_sent_again(post: Post, server: MailServer, owner: Member):
    post.writes()
    post.works()
    keys = [post.one().key]

    assert (outbox.withdraw(keys, member=owner), outbox.send_again(keys, member=owner)) == (0, 0)
    assert not AuditEntry.objects.filter(verb__startswith="mail").exists()


def test_another_merchants_mails_are_not_reached_by_their_keys(post: Post, owner: Member, kauri: Any):
    with tenancy.merchant(kauri.pk):
        post.writes()

    assert outbox.withdraw([post.one().key], member=owner) == 0


def test_somebody_whose_role_was_lowered_meanwhile_is_refused(post: Post, owner: Member):
    milan = make_person("Milan", (owner.merchant, "manager"))
    manager = Member.objects.select_related("merchant", "person").get(person=milan)
    post.writes()
    Member.objects.filter(pk=manager.pk).update(role="cashier")

    with pytest.raises(PermissionDenied):
        outbox.withdraw([post.one().key], member=manager)
    assert post.one().state == S.QUEUED
