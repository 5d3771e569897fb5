"""What we write: mails on their way out, and each step they took. Both are written by outbox.py only."""

import uuid
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from portal.merchants.models import Merchant, Person
from portal.merchants.writers import Writer, WrittenRows

mail_writer = Writer("portal.mail.outbox")


class MailState(models.TextChoices):
    """The words people see. Their order is the order of a mail's life."""

    QUEUED = "queued", _("Queued")
    SENDING = "sending", _("Sending")
    WILL_RETRY = "will_retry", _("Will retry")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")
    WITHHELD = "withheld", _("Withheld")


DUE = (MailState.QUEUED, MailState.WILL_RETRY)  # a worker takes it when its time has come
ON_ITS_WAY = (*DUE, MailState.SENDING)
STOPPED = (MailState.FAILED, MailState.WITHHELD)  # a person may send it again while its text is kept

WITHDRAWN = "withdrawn"  # by a person: the one withheld mail that is never sent


class MailRows(WrittenRows["OutgoingMail"]):
    """Mails."""

    writer = mail_writer

    def light(self) -> "MailRows":
        """Without the messages themselves, which may be large; only whether there is one."""
        return self.defer("sealed_message").annotate(text_kept=Q(sealed_message__isnull=False))


class OutgoingMail(models.Model):
    """One mail to one recipient: a row before it is sent, and the truth about it.

    A mail belongs to the merchant in whose context it was written; without one it is the site's own (sign-up, reset)
    and shown to no merchant. The finished message, with its Date and Message-ID, is sealed when the mail is taken in
    and is the same in every attempt: it may hold a link that works once, so only workers can open it, and it is erased
    when the mail is sent or withdrawn, or some days after it stopped.
    """

    merchant = models.ForeignKey(Merchant, null=True, on_delete=models.DO_NOTHING, db_index=False)
    key = models.UUIDField(default=uuid.uuid4, editable=False, unique=True)
    message_id = models.CharField(max_length=320, unique=True)
    recipient = models.CharField(max_length=320, help_text="As it is written on the envelope, in ASCII.")
    recipient_key = models.CharField(max_length=320, help_text="The same for all spellings of one mailbox we know of.")
    subject = models.CharField(max_length=200)
    sealed_message = models.BinaryField(null=True)
    priority = models.PositiveSmallIntegerField(help_text="0: the site's own, for which somebody waits. 1: others.")
    created_at = models.DateTimeField(db_default=Now())

    state = models.CharField(max_length=20, choices=MailState.choices)
    attempt = models.PositiveSmallIntegerField(default=0)
    doubts = models.PositiveSmallIntegerField(
        default=0, help_text="How often it was handed over without our hearing what became of it."
    )
    next_attempt_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True, help_text="A worker silent until then is taken for dead.")
    begun_at = models.DateTimeField(null=True, help_text="First claimed; what the limits count.")
    ended_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=40, blank=True, help_text="words.REASONS.")
    answer = models.CharField(max_length=500, blank=True, help_text="What the mail server said last.")

    objects = MailRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="mail_of_merchant"),
            models.CheckConstraint(condition=Q(state__in=MailState.values), name="mail_state_known"),
            models.CheckConstraint(
                condition=Q(state="sending", lease_until__isnull=False) | (~Q(state="sending") & Q(lease_until=None)),
                name="mail_leased_while_sending",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=ON_ITS_WAY) | Q(sealed_message__isnull=False, ended_at=None),
                name="mail_on_its_way_has_its_message",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=DUE) | Q(next_attempt_at__isnull=False), name="mail_due_has_a_time"
            ),
            models.CheckConstraint(
                condition=~(Q(state="sent") | Q(state="withheld", reason=WITHDRAWN)) | Q(sealed_message=None),
                name="mail_keeps_no_message_after_the_end",
            ),
            models.CheckConstraint(
                condition=Q(state__in=ON_ITS_WAY) | Q(ended_at__isnull=False), name="mail_end_has_a_time"
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "state", "-id"], name="mail_by_state"),
            models.Index(fields=["priority", "next_attempt_at"], condition=Q(state__in=DUE), name="mail_due"),
            models.Index(fields=["lease_until"], condition=Q(state="sending"), name="mail_leased"),
            models.Index(fields=["recipient_key", "begun_at"], name="mail_to_recipient"),
            models.Index(fields=["merchant", "begun_at"], name="mail_begun"),
            models.Index(
                fields=["ended_at"],
                condition=Q(state__in=STOPPED, sealed_message__isnull=False),
                name="mail_stopped_with_message",
            ),
            models.Index(fields=["ended_at"], name="mail_oldest"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        mail_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        mail_writer.require()
        return super().delete(*args, **kwargs)

    @property
    def has_text(self) -> bool:
        """Whether its message is still kept."""
        kept = vars(self).get("text_kept")
        return self.sealed_message is not None if kept is None else bool(kept)

    @property
    def can_be_sent_again(self) -> bool:
        """Whether a person may send it again: it stopped, and its text is still kept."""
        return self.state in STOPPED and self.has_text

    @property
    def can_be_withdrawn(self) -> bool:
        """Whether a person may still keep it from being sent."""
        return self.state in (*DUE, MailState.WITHHELD) and self.reason != WITHDRAWN


class StepRows(WrittenRows["MailStep"]):
    """Steps."""

    writer = mail_writer


class MailStep(models.Model):
    """One step of a mail's story: where it came to, and why. Never changed; deleted with its mail."""

    merchant = models.ForeignKey(Merchant, null=True, on_delete=models.DO_NOTHING, db_index=False)
    mail = models.ForeignKey(OutgoingMail, on_delete=models.DO_NOTHING, db_index=False)
    at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=20, choices=MailState.choices)
    reason = models.CharField(max_length=40, blank=True)
    answer = models.CharField(max_length=500, blank=True)
    person = models.ForeignKey(Person, null=True, on_delete=models.DO_NOTHING, related_name="+")

    objects = StepRows.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["merchant", "id"], name="mail_step_of_merchant")]
        indexes = [models.Index(fields=["mail", "id"], name="mail_step_of_mail")]

    def save(self, *args: Any, **kwargs: Any) -> None:
        mail_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        mail_writer.require()
        return super().delete(*args, **kwargs)
