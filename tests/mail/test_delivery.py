"""Mails from the wish to the end, at a real mail server that does what mail servers do."""

import time
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult
from celery import current_app
from cryptography import x509
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.utils import timezone

from portal.mail import outbox, smtp
from portal.mail.models import MailState, OutgoingMail
from portal.merchants import tenancy, vault
from tests.connectors.certificates import Issuer
from tests.mail.conftest import LINK, Post
from tests.mail.servers import MailServer, free

S = MailState


def ends(post: Post, *, tries: int = 12) -> OutgoingMail:
    """Let workers work, pauses pass and sweeps sweep until nothing moves any more."""
    for _ in range(tries):
        post.works()
        post.later(hours=7)
        outbox.sweep()
    return post.one()


# ---- It goes well ---------------------------------------------------------------------------------------------
def test_a_mail_is_sent_once_as_it_was_written(post: Post, server: MailServer):
    post.writes(subject="Grüße", body="Schöne Grüße\n.\n..und ein Punkt\n")
    assert post.one().state == S.QUEUED
    post.works()

    mail = post.one()
    assert (mail.state, mail.attempt, mail.doubts, mail.answer) == (S.SENT, 1, 0, "250 2.0.0 Kept")
    (message,) = server.accepted
    assert message["Message-ID"] == mail.message_id
    assert (message["Subject"], message["To"]) == ("Grüße", "anna@example.com")
    assert message.get_content().splitlines() == ["Schöne Grüße", ".", "..und ein Punkt"]
    assert server.envelopes == [("mail@localhost", ["anna@example.com"])]
    assert post.story() == [(S.QUEUED, ""), (S.SENT, "")]


def test_text_and_html_and_attachments_arrive_together(post: Post, server: MailServer):
    message = EmailMultiAlternatives("Card", "Your card", to=["anna@example.com"], reply_to=["shop@example.com"])
    message.attach_alternative("<p>Your <b>card</b></p>", "text/html")
    message.attach("codes.csv", "a;b\n", "text/csv")
    message.send()
    post.works()

    (got,) = server.accepted
    assert got.get_body(("plain",)).get_content().strip() == "Your card"
    assert got.get_body(("html",)).get_content().strip() == "<p>Your <b>card</b></p>"
    assert [part.get_filename() for part in got.iter_attachments()] == ["codes.csv"]
    assert got["Reply-To"] == "shop@example.com"


def test_each_recipient_gets_a_mail_of_their_own_and_sees_nobody_else(post: Post, server: MailServer):
    post.writes(cc=["ben@example.com"], bcc=["carla@example.com", "anna@example.com"])
    post.works()

    assert sorted(rcpt for _, (rcpt,) in server.envelopes) == [
        "anna@example.com",
        "ben@example.com",
        "carla@example.com",
    ]
    assert all(message["To"] == rcpt for message, (_, (rcpt,)) in zip(server.got, server.envelopes, strict=True))
    assert len({message["Message-ID"] for message in server.got}) == 3


def test_what_is_rolled_back_is_never_sent(post: Post, server: MailServer):
    with transaction.atomic():
        post.writes()
        transaction.set_rollback(True)
    post.works()

    assert post.all() == []
    assert server.got == []


# ---- The server says no, later, or nothing --------------------------------------------------------------------
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "dot"])
def test_a_refusal_is_final_and_says_what_the_server_said(post: Post, server: MailServer, stage: str):
    server.does(stage, "550 5.1.1 No such mailbox here")
    post.writes()

    mail = ends(post)

    assert (mail.state, mail.reason, mail.attempt) == (S.FAILED, "refused", 1)
    assert mail.answer == "550 5.1.1 No such mailbox here"
    assert (server.accepted, mail.doubts) == ([], 0)


@pytest.mark.parametrize("stage", ["EHLO", "MAIL", "RCPT", "DATA", "dot"])
def test_what_is_put_off_is_tried_again_later_and_then_arrives_once(post: Post, server: MailServer, stage: str):
    # HELO is what a client says when EHLO is refused; a server that refuses that too is meant.
    server.does(stage, "451 4.7.1 Greylisted, come back")
    post.writes()
    post.works()
    first = post.one()
    if stage != "EHLO":
        assert (first.state, first.reason, first.answer) == (S.WILL_RETRY, "put_off", "451 4.7.1 Greylisted, come back")
        assert post.works() == 0  # not before its pause is over

    mail = ends(post)

    assert mail.state == S.SENT
    assert [message["Message-ID"] for message in server.got] == [mail.message_id]


@pytest.mark.parametrize("what", ["drop", "hang"])
@pytest.mark.parametrize("stage", ["connect", "EHLO", "MAIL", "RCPT", "DATA", "text"])
def test_a_line_that_breaks_before_the_text_was_handed_over_loses_and_repeats_nothing(
    post: Post, server: MailServer, settings: Any, stage: str, what: str
):
    server.does(stage, what)
    post.writes()
    post.gives_up_soon(settings)
    first = post.one()
    if stage != "text":  # there the doubt is true: the text may have been on its way
        assert first.doubts == 0
        assert first.state == S.WILL_RETRY
        assert first.reason in (smtp.HUNG_UP, smtp.TIMED_OUT)

    mail = ends(post)

    assert mail.state == S.SENT
    assert [message["Message-ID"] for message in server.got] == [mail.message_id]


def test_a_server_that_drips_an_endless_line_is_hung_up_on(post: Post, server: MailServer, settings: Any):
    server.does("RCPT", "drip")
    post.writes()
    began = time.monotonic()
    post.gives_up_soon(settings)

    assert (post.one().state, post.one().reason) == (S.WILL_RETRY, smtp.TIMED_OUT)
    assert time.monotonic() - began < 15  # it drips for 20 s


@pytest.mark.parametrize("what", ["drop", "hang"])
def test_a_line_that_breaks_after_the_dot_means_one_repeat_with_the_same_message_id(
    post: Post, server: MailServer, settings: Any, what: str
):
    server.does("after_storing", what)
    post.writes()
    post.gives_up_soon(settings)
    assert (post.one().state, post.one().doubts) == (S.WILL_RETRY, 1)

    mail = ends(post)

    assert mail.state == S.SENT
    assert [message["Message-ID"] for message in server.got] == [mail.message_id] * 2
    assert server.got[0].as_bytes() == server.got[1].as_bytes()


def test_a_second_doubt_ends_it_so_that_nobody_gets_it_three_times(post: Post, server: MailServer):
    server.does("after_storing", *["drop"] * 5)
    post.writes()

    mail = ends(post)

    assert (mail.state, mail.reason, mail.doubts) == (S.FAILED, smtp.HUNG_UP, 2)
    assert len(server.got) == 2


def test_nobody_listening_is_tried_with_growing_pauses_until_the_tries_are_used_up(post: Post, settings: Any):
    settings.MAIL_PORT, settings.MAIL_TRIES = free(), 4
    pauses = []
    post.writes()
    for _ in range(4):
        post.works()
        mail = post.one()
        if mail.next_attempt_at:
            pauses.append(round((mail.next_attempt_at - timezone.now() - post.passed).total_seconds(), -1))
        post.later(hours=7)

    assert pauses == [30, 90, 270]
    assert (mail.state, mail.reason, mail.attempt) == (S.FAILED, smtp.UNREACHABLE, 4)
    assert mail.sealed_message is not None  # a person may send it again


# ---- Workers die, and sleep -----------------------------------------------------------------------------------
class Died(BaseException):
    """The worker is gone: nothing after this line ran."""


def dies(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def die(*_: object, **__: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(outbox, name, die)
        with pytest.raises(Died):
            outbox.work()


def test_a_worker_that_dies_after_the_server_accepted_means_one_repeat_with_the_same_message_id(
    post: Post, server: MailServer, monkeypatch: pytest.MonkeyPatch
):
    post.writes()
    dies(monkeypatch, "_leave")
    assert (post.one().state, len(server.accepted)) == (S.SENDING, 1)

    mail = ends(post)

    assert mail.state == S.SENT
    assert [message["Message-ID"] for message in server.accepted] == [mail.message_id] * 2


def test_workers_that_die_twice_after_the_server_accepted_give_it_up(
    post: Post, server: MailServer, monkeypatch: pytest.MonkeyPatch
):
    post.writes()
    for _ in range(2):
        dies(monkeypatch, "_leave")
        post.later(hours=7)
        outbox.sweep()
        post.later(hours=7)

    mail = ends(post)

    assert (mail.state, mail.reason) == (S.FAILED, "worker_lost")
    assert len(server.accepted) == 2


def test_a_worker_that_dies_before_it_hands_over_costs_no_repeat_however_often(
    post: Post, server: MailServer, monkeypatch: pytest.MonkeyPatch
):
    post.writes()
    for _ in range(3):
        dies(monkeypatch, "_doubt")
        post.later(hours=7)
        outbox.sweep()
        post.later(hours=7)

    mail = ends(post)

    assert (mail.state, mail.attempt, len(server.got)) == (S.SENT, 4, 1)


def test_a_worker_that_slept_through_its_lease_hands_nothing_over(
    post: Post, server: MailServer, monkeypatch: pytest.MonkeyPatch
):
    doubt = outbox._doubt
    post.writes()

    def sleeps(mail: OutgoingMail) -> None:
        post.later(hours=1)
        doubt(mail)

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "_doubt", sleeps)
        outbox.work()

    assert (post.one().state, server.got) == (S.SENDING, [])
    assert ends(post).state == S.SENT
    assert len(server.got) == 1


def test_an_answer_after_the_lease_changes_nothing(post: Post, server: MailServer, monkeypatch: pytest.MonkeyPatch):
    leave = outbox._leave
    post.writes()

    def late(mail: OutgoingMail, **values: object) -> None:
        post.later(hours=1)
        with monkeypatch.context() as patched:
            patched.setattr(outbox, "_leave", leave)
            outbox.sweep()
        leave(mail, **values)

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "_leave", late)
        outbox.work()

    mail = post.one()
    assert (mail.state, mail.reason) == (S.WILL_RETRY, "worker_lost")


def test_a_broker_that_is_away_costs_nothing_but_the_wait_for_the_sweep(
    post: Post, server: MailServer, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
):
    def away(*_: object, **__: object) -> None:
        raise OSError("away")

    monkeypatch.setattr(current_app, "send_task", away)
    with django_capture_on_commit_callbacks(execute=True) as woken:
        post.writes()

    assert len(woken) == 1
    assert outbox.sweep()
    post.works()
    assert post.one().state == S.SENT


def test_a_mail_wakes_a_worker_by_a_message_that_says_nothing(
    post: Post, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
):
    sent: list[object] = []
    monkeypatch.setattr(current_app, "send_task", lambda *words, **named: sent.append((words, named)))
    with django_capture_on_commit_callbacks(execute=True):
        post.writes()

    assert sent == [(("portal.mail.tasks.deliver_mails",), {"queue": "work"})]


# ---- Encryption and signing in --------------------------------------------------------------------------------
@pytest.fixture
def secure(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`secure("starttls")`: a server with a certificate for localhost that we trust, and a sign-in."""
    issuer = Issuer(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", issuer.ca_file)
    started = []

    def start(mode: str, password: str = "right") -> MailServer:
        context = issuer.server_context(x509.DNSName("localhost"))

        def check(_server: Any, _session: Any, _envelope: Any, _mechanism: Any, login: Any) -> AuthResult:
            return AuthResult(success=login.password == b"right", handled=False)

        server = MailServer()
        server.start(
            authenticator=check,
            auth_required=True,
            **({"tls_context": context, "require_starttls": True} if mode == "starttls" else {}),
        )
        settings.MAIL_HOST, settings.MAIL_PORT, settings.MAIL_TLS = "localhost", server.port, mode
        settings.MAIL_USER, settings.MAIL_PASSWORD = "tillside", password
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


def test_over_starttls_we_sign_in_and_send(post: Post, secure: Any):
    server = secure("starttls")
    post.writes()

    assert ends(post).state == S.SENT
    assert len(server.accepted) == 1


def test_a_sign_in_that_is_refused_waits_to_be_mended_and_names_no_password(post: Post, secure: Any):
    secure("starttls", password="canary-wrong")
    post.writes()
    post.works()

    mail = post.one()
    assert (mail.state, mail.reason) == (S.WILL_RETRY, smtp.SIGN_IN_REFUSED)
    assert "canary" not in mail.answer


def test_a_certificate_for_another_name_is_not_accepted(post: Post, secure: Any, settings: Any):
    server = secure("starttls")
    settings.MAIL_HOST = "127.0.0.1"
    post.writes()
    post.works()

    assert (post.one().state, post.one().reason) == (S.WILL_RETRY, smtp.NO_TLS)
    assert server.got == []


def test_a_server_without_starttls_gets_nothing(post: Post, server: MailServer, settings: Any):
    settings.MAIL_TLS = "starttls"
    post.writes()
    post.works()

    assert (post.one().state, post.one().reason) == (S.WILL_RETRY, smtp.NO_TLS)
    assert "MAIL" not in server.seen


# ---- Secrets --------------------------------------------------------------------------------------------------
def test_the_text_is_sealed_and_unreadable_without_the_private_ring(post: Post, settings: Any):
    post.writes()
    mail = post.one()

    assert b"canary" not in bytes(mail.sealed_message)
    settings.OPENING_KEYS = None
    with pytest.raises(ImproperlyConfigured, match="may seal but not open"):
        vault.open_sealed(outbox._place(mail), mail.sealed_message)


def test_the_text_is_erased_once_it_is_sent(post: Post, server: MailServer):
    post.writes()

    assert ends(post).sealed_message is None


def test_a_code_in_the_subject_is_sent_and_not_kept(post: Post, server: MailServer):
    subject, text = "GMMN-DFQS is your code for Tillside", "Type this:\n\n    GMMN-DFQS\n\nTillside wishes you well."
    post.writes(subject=subject, body=text)
    post.works()

    assert post.one().subject == "… is your code for Tillside"
    assert server.accepted[0]["Subject"] == subject


def test_a_link_that_the_server_repeats_is_not_written_down(post: Post, server: MailServer):
    server.does("dot", f"554 5.7.1 Spam: <{LINK}> is listed, and so is canary-7Ht4x/")
    post.writes(body=f"<{LINK}>\nor canary-7Ht4x/\n")
    post.works()

    assert post.one().answer == "554 5.7.1 Spam: … is listed, and so is …"


def test_nothing_of_a_text_reaches_the_log(post: Post, server: MailServer, caplog: pytest.LogCaptureFixture):
    server.does("after_storing", "drop", "drop")
    post.writes()
    ends(post)

    assert "canary" not in caplog.text
    assert "anna@" not in caplog.text


def test_a_box_copied_from_another_mail_is_not_sent(post: Post, server: MailServer):
    post.writes()
    post.writes(to="mallory@example.com")
    anna, mallory = post.all()
    mallory.sealed_message = anna.sealed_message

    outbox_deliver(mallory)

    assert server.got == []


def outbox_deliver(mail: OutgoingMail) -> None:
    with tenancy.every_merchant("a test lets one be delivered"):
        outbox._deliver(mail)
