"""The outbox: the only writer of mails, from the wish to the end.

    QUEUED ──→ SENDING ─┬→ SENT
       ↑        ↑       ├→ WILL RETRY → SENDING …   (not handed over: growing pauses; doubtful: once)
       │        │       └→ FAILED                    (refused for good, doubtful twice, or tried too often)
       │        └─────────┐
       └─ by a person ── FAILED, WITHHELD            (withheld: by a limit, by the installation, by a person)

Three rules carry everything: SENDING is committed, with its lease, before the server is spoken to; the doubt is
committed before the text is handed over and taken back when the server has answered; and with a second doubt a mail is
given up. So a recipient sees a mail at most twice, both with the same Message-ID, whatever dies in between.
"""

import logging
import uuid
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection as database
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from portal.mail import addresses, messages, smtp, wake
from portal.mail.models import (
    DUE,
    ON_ITS_WAY,
    STOPPED,
    WITHDRAWN,
    MailState,
    MailStep,
    OutgoingMail,
    mail_writer,
)
from portal.merchants import access, audit, daily_limits, tenancy, vault
from portal.merchants.models import LimitKind, Member, Merchant
from portal.merchants.roles import Permission

log = logging.getLogger(__name__)

# Our reasons beside those of smtp.py; words.py says them all.
NOT_AN_ADDRESS = "not_an_address"
TOO_LARGE = "too_large"
REFUSED = "refused"
WORKER_LOST = "worker_lost"
SEALED_ELSEWHERE = "sealed_elsewhere"
INSTALLATION = "installation"
RECIPIENT_LIMIT = "recipient_limit"
MERCHANT_LIMIT = "merchant_limit"

MOST_DOUBTS = 2  # the mail and one repeat
LONGEST_PAUSE = 6 * 3600  # seconds
_CLAIM_LOCK = 7431  # any number; it names this use of advisory locks
_AT_A_TIME = 500  # rows one sweep erases of a kind; the next one goes on


# ---- Intake ---------------------------------------------------------------------------------------------------
@mail_writer.writes
def queue(message: EmailMessage) -> None:
    """Take in a message in the transaction of its cause: one mail for each recipient, whoever stood in To, Cc or Bcc.

    Nothing about the message is an error here. What cannot be sent (no address, too large) becomes a failed mail.
    """
    merchant_id = tenancy.current().merchant
    recipients = dict.fromkeys(str(each) for each in message.recipients())
    mails = [_new(merchant_id, message, recipient) for recipient in recipients]
    with _rows_of(merchant_id), transaction.atomic():
        OutgoingMail.objects.bulk_create(mails)
        _note(mails)
        transaction.on_commit(wake.for_mail)


def _new(merchant_id: int | None, message: EmailMessage, recipient: str) -> OutgoingMail:
    key = uuid.uuid4()
    mail = OutgoingMail(
        merchant_id=merchant_id,
        key=key,
        message_id=f"<{key.hex}@{urlsplit(settings.PUBLIC_URL).hostname}>",
        recipient=addresses.one_line(recipient, most=320),
        subject=messages.subject_kept(message),
        priority=0 if merchant_id is None else 1,
        state=MailState.QUEUED,
        next_attempt_at=Now(),
    )
    try:
        mail.recipient = addresses.single(recipient)
        content = messages.finish(message, to=mail.recipient, message_id=mail.message_id, at=timezone.now())
    except (addresses.NotAnAddress, messages.TooLarge) as fault:
        mail.reason = NOT_AN_ADDRESS if isinstance(fault, addresses.NotAnAddress) else TOO_LARGE
        _set(mail, _end(MailState.FAILED))
    else:
        mail.sealed_message = vault.seal(_place(mail), content)
    mail.recipient_key = addresses.mailbox(mail.recipient)
    return mail


def _place(mail: OutgoingMail) -> vault.Context:
    return vault.Context(merchant=mail.merchant_id or 0, table="mail_outgoingmail", row=str(mail.key), field="message")


def _rows_of(merchant_id: int | None) -> AbstractContextManager[None]:
    """The context in which a mail of this merchant is seen and written; None for the site's own."""
    if merchant_id is None:
        return tenancy.every_merchant("a mail of the site itself belongs to no merchant")
    return tenancy.merchant(merchant_id)


def _note(mails: Iterable[OutgoingMail], *, member: Member | None = None) -> None:
    """Write a step for each mail, as it stands now."""
    person_id = member.person_id if member else None
    MailStep.objects.bulk_create(
        MailStep(
            merchant_id=mail.merchant_id,
            mail=mail,
            state=mail.state,
            reason=mail.reason,
            answer=mail.answer,
            person_id=person_id,
        )
        for mail in mails
    )


# ---- A worker claims the next one -----------------------------------------------------------------------------
def work() -> bool:
    """Claim the mail that is due first and deliver it. False where nothing can be begun."""
    with tenancy.every_merchant("a worker claims the mail that is due first"):
        mail = _claim()
    if mail is None:
        return False
    with _rows_of(mail.merchant_id):
        _deliver(mail)
    return True


@mail_writer.writes
def _claim() -> OutgoingMail | None:
    """The first mail that may go now, as SENDING. What may not, by a limit or by the installation, is withheld."""
    with transaction.atomic():
        # One claim at a time, so that limits and the number of connections are exact however many workers there are.
        with database.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CLAIM_LOCK])
        if OutgoingMail.objects.filter(state=MailState.SENDING).count() >= settings.MAIL_AT_ONCE:
            return None
        due = OutgoingMail.objects.light().filter(state__in=DUE, next_attempt_at__lte=Now())
        for mail in due.order_by("priority", "next_attempt_at", "id")[:100]:
            why = _why_withheld(mail)
            if why:
                _withhold(mail, why)
            elif _begin(mail):
                return mail
    return None


def _why_withheld(mail: OutgoingMail) -> str:
    if settings.MAIL_WITHHELD:
        return INSTALLATION
    if mail.begun_at is not None:
        return ""  # let through before
    to_recipient = OutgoingMail.objects.filter(recipient_key=mail.recipient_key)
    for hours, most in ((1, settings.MAIL_RECIPIENT_HOUR), (24, settings.MAIL_RECIPIENT_DAY)):
        if to_recipient.filter(begun_at__gt=Now() - timedelta(hours=hours)).count() >= most:
            return RECIPIENT_LIMIT
    if mail.merchant_id is not None:
        day = Now() - timedelta(hours=24)
        of_merchant = OutgoingMail.objects.filter(merchant=mail.merchant_id, begun_at__gt=day)
        if of_merchant.count() >= daily_limits.of(mail.merchant_id, LimitKind.MAILS):
            return MERCHANT_LIMIT
    return ""


def _withhold(mail: OutgoingMail, why: str) -> None:
    values = {**_end(MailState.WITHHELD), "reason": why, "answer": ""}
    if OutgoingMail.objects.filter(pk=mail.pk, state=mail.state).update(**values):
        _set(mail, values)
        _note([mail])


def _begin(mail: OutgoingMail) -> bool:
    values = {
        "state": MailState.SENDING,
        "attempt": mail.attempt + 1,
        "begun_at": mail.begun_at or Now(),
        "next_attempt_at": None,
        "lease_until": Now() + timedelta(seconds=settings.MAIL_LEASE_SECONDS),
    }
    begun = OutgoingMail.objects.filter(pk=mail.pk, state=mail.state, attempt=mail.attempt).update(**values)
    _set(mail, values)
    return bool(begun)


# ---- One attempt ----------------------------------------------------------------------------------------------
class _LeaseLost(Exception):
    """This worker slept through its lease; the mail is another's now."""


def _deliver(mail: OutgoingMail) -> None:
    sealed = mail.sealed_message or b""
    _give_back_database()
    try:
        content = vault.open_sealed(_place(mail), sealed)
    except vault.CannotOpen:
        log.exception("a sealed mail does not open", extra={"mail": str(mail.key)})
        _leave(mail, **_end(MailState.FAILED), reason=SEALED_ELSEWHERE)
        return
    try:
        answer = smtp.send(content, to=mail.recipient, before_handing_over=lambda: _doubt(mail))
    except _LeaseLost:
        return
    except smtp.NotHandedOver as failure:
        _put_off(mail, reason=failure.why, answer=_harmless(failure.answer, content), doubts=mail.doubts)
    except smtp.Refused as failure:
        answer = _harmless(failure.answer, content)
        _leave(mail, **_end(MailState.FAILED), reason=REFUSED, answer=answer, doubts=mail.doubts)
    except smtp.Unclear as failure:
        mail.doubts += 1
        _put_off(mail, reason=failure.why, answer="")
    else:
        answer = _harmless(answer, content)
        _leave(mail, **_end(MailState.SENT), sealed_message=None, reason="", answer=answer, doubts=mail.doubts)


@mail_writer.writes
def _doubt(mail: OutgoingMail) -> None:
    """From here on nobody knows, until the server answers. Raises _LeaseLost."""
    held = OutgoingMail.objects.filter(
        pk=mail.pk, state=MailState.SENDING, attempt=mail.attempt, lease_until__gt=Now()
    ).update(doubts=F("doubts") + 1, lease_until=Now() + timedelta(seconds=settings.MAIL_LEASE_SECONDS))
    _give_back_database()
    if not held:
        raise _LeaseLost


def _put_off(mail: OutgoingMail, **values: object) -> None:
    """Try again later, with growing pauses, unless it was tried too often or handed over in doubt twice."""
    if mail.doubts >= MOST_DOUBTS or mail.attempt >= settings.MAIL_TRIES:
        _leave(mail, **_end(MailState.FAILED), **values)
    else:
        pause = min(settings.MAIL_PAUSE_SECONDS * 3 ** (mail.attempt - 1), LONGEST_PAUSE)
        at = Now() + timedelta(seconds=pause)
        _leave(mail, state=MailState.WILL_RETRY, next_attempt_at=at, **values)


@mail_writer.writes
def _leave(mail: OutgoingMail, **values: object) -> None:
    """Leave SENDING, if this worker still holds it: a worker that was given up for dead writes nothing."""
    values = {"lease_until": None, **values}
    with transaction.atomic():
        held = OutgoingMail.objects.filter(pk=mail.pk, state=MailState.SENDING, attempt=mail.attempt)
        if held.update(**values):
            _set(mail, values)
            _note([mail])


def _end(state: MailState) -> dict[str, object]:
    return {"state": state, "ended_at": Now(), "lease_until": None, "next_attempt_at": None}


def _set(mail: OutgoingMail, values: dict[str, object]) -> None:
    for name, value in values.items():
        setattr(mail, name, value)


def _harmless(answer: str, content: bytes) -> str:
    """What the server said, without words of the mail it repeats: one of them may be a link that works once."""
    text = messages.words_in(content)
    return " ".join(word if len(word) < 6 or word.strip("<>\"'.,;") not in text else "…" for word in answer.split())


def _give_back_database() -> None:
    """Return the connection to the pool: a slow mail server must not keep it."""
    if not database.in_atomic_block:  # never so in a worker; a unit test holds its own transaction
        database.close()


# ---- What the clock does --------------------------------------------------------------------------------------
@mail_writer.writes
def sweep() -> bool:
    """Take back the mails of dead workers and erase what is old. Returns whether work is due that a message may have
    been lost for."""
    with tenancy.every_merchant("the sweep finds mails of dead workers, forgotten ones and old ones"):
        lapsed = OutgoingMail.objects.light().filter(state=MailState.SENDING, lease_until__lt=Now())
        for mail in lapsed[:_AT_A_TIME]:
            _put_off(mail, reason=WORKER_LOST, answer="")
        _erase_messages()
        _delete_old()
        return OutgoingMail.objects.filter(state__in=DUE, next_attempt_at__lte=Now()).exists()


def _erase_messages() -> None:
    kept = timedelta(days=settings.MAIL_MESSAGE_DAYS)
    OutgoingMail.objects.filter(state__in=STOPPED, sealed_message__isnull=False, ended_at__lt=Now() - kept).update(
        sealed_message=None
    )


def _delete_old() -> None:
    kept = timedelta(days=settings.MAIL_KEPT_DAYS)
    old = OutgoingMail.objects.filter(ended_at__lt=Now() - kept).exclude(state__in=ON_ITS_WAY)
    ids = list(old.order_by("ended_at").values_list("pk", flat=True)[:_AT_A_TIME])
    if ids:
        with transaction.atomic():
            MailStep.objects.filter(mail__in=ids).delete()
            OutgoingMail.objects.filter(pk__in=ids).delete()


# ---- What people do -------------------------------------------------------------------------------------------
@mail_writer.writes
def send_again(keys: Iterable[uuid.UUID], *, member: Member) -> int:
    """Queue a merchant's stopped mails once more, as they were written; how many could be.

    Raises PermissionDenied if the member may no longer.
    """
    queued = {
        "state": MailState.QUEUED,
        "next_attempt_at": Now(),
        "ended_at": None,
        "attempt": 0,
        "doubts": 0,
        "begun_at": None,
        "reason": "",
        "answer": "",
    }
    with transaction.atomic(durable=True):
        mails = [mail for mail in _held(keys, member) if mail.can_be_sent_again]
        _change(mails, queued, member=member, verb="mail sent again")
        transaction.on_commit(wake.for_mail)
    return len(mails)


@mail_writer.writes
def withdraw(keys: Iterable[uuid.UUID], *, member: Member) -> int:
    """Keep a merchant's mails that wait from ever being sent, and erase their text; how many could be.

    Raises PermissionDenied if the member may no longer.
    """
    with transaction.atomic(durable=True):
        mails = [mail for mail in _held(keys, member) if mail.can_be_withdrawn]
        withdrawn = {**_end(MailState.WITHHELD), "reason": WITHDRAWN, "answer": "", "sealed_message": None}
        _change(mails, withdrawn, member=member, verb="mail withdrawn")
    return len(mails)


def _held(keys: Iterable[uuid.UUID], member: Member) -> list[OutgoingMail]:
    """The merchant's mails of these keys, held until the transaction ends. Raises PermissionDenied."""
    access.still_may(member, Permission.HANDLE_OUTBOX)
    mails = OutgoingMail.objects.light().select_for_update().filter(merchant=member.merchant_id, key__in=list(keys))
    return list(mails.order_by("id"))


def _change(mails: list[OutgoingMail], values: dict[str, object], *, member: Member, verb: str) -> None:
    if not mails:
        return
    OutgoingMail.objects.filter(pk__in=[mail.pk for mail in mails]).update(**values)
    for mail in mails:
        _set(mail, values)
    _note(mails, member=member)
    merchant: Merchant = member.merchant
    subject = mails[0].key.hex if len(mails) == 1 else f"{len(mails)} mails"
    keys = " ".join(mail.key.hex for mail in mails)
    audit.record(verb, subject, merchant=merchant, person=member.person, mails=keys)
