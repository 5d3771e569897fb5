"""What becomes of a mail when it is written: a row, whatever its recipient and subject are made of."""

from typing import Any

import pytest
from django.core.mail import EmailMessage, send_mail
from django.db import DatabaseError, IntegrityError, connection, transaction

from portal.mail import addresses
from portal.mail.models import MailState, MailStep, OutgoingMail
from portal.merchants import tenancy
from portal.merchants.writers import WrittenElsewhere
from tests.mail.conftest import Post
from tests.mail.servers import MailServer

S = MailState


# ---- Whom -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("anna@example.com", "anna@example.com"),
        (" Anna.Lee+card@Example.COM ", "Anna.Lee+card@example.com"),
        ("o'hara@example.com", "o'hara@example.com"),
        ("anna@bücher.example", "anna@xn--bcher-kva.example"),
        ("anna@straße.de", "anna@xn--strae-oqa.de"),  # not strasse.de, which is somebody else's
        ("anna@еxample.com", "anna@xn--xample-2of.com"),  # the first letter is Cyrillic, and now one sees it
        ("anna@例え。jp", "anna@xn--r8jz45g.jp"),
    ],
)
def test_an_address_is_one_mailbox_in_ascii(typed: str, address: str):
    assert addresses.single(typed) == address


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "anna",
        "anna@",
        "@example.com",
        "a@b.example, c@d.example",
        "a@b.example;c@d.example",
        '"x" <a@b.example>',
        "<a@b.example>",
        '"a b"@example.com',
        "anna@example.com\r\nBcc: victim@example.com",
        "anna@example.com%0d%0aBcc:victim@example.com",
        "anna\u2028@example.com",
        "an\u202ena@example.com",
        "an\x00na@example.com",
        "anna@exam\x00ple.com",
        "anna@example.com\x00",
        "victim%example.com@relay.example",
        "anna@[127.0.0.1]",
        "anna@127.0.0.1",
        "anna@localhost",
        "anna@-x.example",
        "anna@x..example",
        "änna@example.com",
        f"{'a' * 65}@example.com",
        f"a@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.{'f' * 9}.example",
        "a" * 320,
        "a@" + "é" * 1_000_000,
        "anna@\ud800.example",
        "anna@example.com>\nRCPT TO:<victim@example.com",
    ],
)
def test_what_is_not_one_mailbox_becomes_a_failed_mail_and_no_error(post: Post, server: MailServer, typed: str):
    with pytest.raises(addresses.NotAnAddress):
        addresses.single(typed)
    post.writes(to=typed)
    post.works()

    if typed:  # Django itself leaves out empty ones
        mail = post.one()
        assert (mail.state, mail.reason, mail.sealed_message) == (S.FAILED, "not_an_address", None)
        assert len(mail.recipient) <= 320
        assert mail.recipient.isprintable()
    assert "MAIL" not in server.seen


# ---- What a head may hold -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "subject",
    [
        "Card\r\nBcc: victim@example.com",
        "Card\nBcc: victim@example.com",
        "Card\rBcc: victim@example.com",
        "Card\u2028Bcc: victim@example.com",
        "Card\u2029Bcc: victim@example.com",
        "Card\x85Bcc: victim@example.com",
        "Card\x0b\x0cBcc: victim@example.com",
        "Card %0d%0aBcc: victim@example.com",
        "Card =?utf-8?q?=0d=0aBcc:_victim=40example.com?=",
        "Card\r\n\r\nBcc: victim@example.com",
        "\u202eCard\u2066\ufeff\x00\x1b[31m Bcc: victim@example.com",
        "Card " + "ü" * 1_000_000,
        "Card\ud800",
    ],
)
def test_nothing_in_a_subject_becomes_a_header_or_a_recipient(post: Post, server: MailServer, subject: str):
    post.writes(subject=subject)
    post.works()

    (got,) = server.accepted
    assert got["Bcc"] is None
    assert server.envelopes[0][1] == ["anna@example.com"]
    assert got["Subject"].startswith("Card") or "Card" in got["Subject"]
    assert len(got["Subject"]) <= 200
    assert not set("\r\n\u2028\u2029\x85\u202e\u2066\x00\x1b") & set(got["Subject"])
    assert post.one().subject == got["Subject"]


def test_headers_and_senders_of_a_caller_are_not_taken_over(post: Post, server: MailServer):
    EmailMessage(
        "Hi",
        "Hello",
        from_email="ceo@victim.example",
        to=["anna@example.com"],
        reply_to=["shop@example.com", "a@b.example, c@d.example", "x@y.example\r\nBcc: victim@example.com"],
        headers={"Bcc": "victim@example.com", "To": "victim@example.com", "X-Any": "1\r\nBcc: victim@example.com"},
    ).send()
    post.works()

    (got,) = server.accepted
    assert (got["From"], got["To"], got["Reply-To"]) == (
        "Tillside <mail@localhost>",
        "anna@example.com",
        "shop@example.com",
    )
    assert (got["Bcc"], got["X-Any"]) == (None, None)


@pytest.mark.parametrize(
    "body", ["\x00 and \ud800", "\r\n.\r\nMAIL FROM:<x@y.example>\r\n", "a" * 100_000, ".\n.\n..", ""]
)
def test_no_text_ends_the_conversation_early(post: Post, server: MailServer, body: str):
    post.writes(body=body)
    post.works()

    assert post.one().state == S.SENT
    assert len(server.accepted) == 1
    assert server.seen.count("MAIL") == 1


def test_what_is_too_large_fails_at_once(post: Post):
    post.writes(body="x" * 6_000_000)

    assert (post.one().state, post.one().reason) == (S.FAILED, "too_large")


# ---- Whose ----------------------------------------------------------------------------------------------------
def test_a_mail_belongs_to_the_merchant_in_whose_context_it_was_written(post: Post, jung: Any, kauri: Any):
    with tenancy.merchant(jung.pk):
        send_mail("From Jung", "", None, ["anna@example.com"])
    send_mail("From the site", "", None, ["anna@example.com"])

    assert [(mail.subject, mail.merchant_id) for mail in post.all()] == [
        ("From Jung", jung.pk),
        ("From the site", None),
    ]
    for context, subjects in ((jung, ["From Jung"]), (kauri, [])):
        with tenancy.merchant(context.pk):
            assert [mail.subject for mail in OutgoingMail.objects.all()] == subjects
            assert MailStep.objects.count() == len(subjects)
    assert OutgoingMail.objects.count() == 0


def test_somebody_signed_in_sees_no_mail_of_the_site(post: Post, olivia: Any):
    post.writes(to="olivia@example.com")

    with tenancy.memberships_of(olivia.pk):
        assert OutgoingMail.objects.count() == 0


def test_a_merchant_cannot_write_for_another(post: Post, jung: Any, kauri: Any):
    with (
        tenancy.merchant(jung.pk),
        pytest.raises(DatabaseError, match="row-level security"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "INSERT INTO mail_mailstep (merchant_id, mail_id, state, reason, answer) VALUES (%s, 1, 'sent', '', '')",
            [kauri.pk],
        )


# ---- Who writes, and what never changes -----------------------------------------------------------------------
def test_rows_written_from_elsewhere_are_refused(post: Post):
    post.writes()
    for write in (
        lambda: OutgoingMail.objects.update(state=S.SENT),
        lambda: OutgoingMail.objects.all().delete(),
        lambda: MailStep.objects.update(reason=""),
        lambda: MailStep.objects.all().delete(),
        lambda: post.one().save(),
        lambda: post.one().delete(),
    ):
        with pytest.raises(WrittenElsewhere):
            write()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE mail_outgoingmail SET recipient = 'victim@example.com'",
        "UPDATE mail_outgoingmail SET subject = 'Other'",
        "UPDATE mail_outgoingmail SET message_id = '<other@example.com>'",
        "UPDATE mail_outgoingmail SET sealed_message = '\\x00'",
        "UPDATE mail_outgoingmail SET state = 'sent', sealed_message = NULL, ended_at = now()",
        "UPDATE mail_outgoingmail SET state = 'sending'",
        "UPDATE mail_outgoingmail SET sealed_message = NULL",
        "UPDATE mail_outgoingmail SET state = 'forgotten'",
        "DELETE FROM mail_outgoingmail",
        "UPDATE mail_mailstep SET reason = 'never mind'",
    ],
)
def test_the_database_refuses_what_no_mail_may_do(post: Post, arrange: Any, statement: str):
    post.writes()
    with arrange(), pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("change", ["state = 'queued', next_attempt_at = now(), ended_at = NULL", "answer = 'other'"])
def test_what_is_sent_never_changes(post: Post, server: MailServer, arrange: Any, change: str):
    post.writes()
    post.works()

    with arrange(), pytest.raises(IntegrityError, match="is over"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE mail_outgoingmail SET {change}")
