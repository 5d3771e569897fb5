"""What is said about a mail: its state, why it stands there, and its story. The same words on every page."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from portal.formats import number
from portal.mail import outbox, smtp
from portal.mail.models import WITHDRAWN, MailState, MailStep, OutgoingMail

# The shape beside the word; see the stylesheet's outcomes.
SHAPES: dict[str, str] = {
    MailState.QUEUED: "waiting",
    MailState.SENDING: "checking",
    MailState.WILL_RETRY: "checking",
    MailState.SENT: "done",
    MailState.FAILED: "refused",
    MailState.WITHHELD: "not_sent",
}

REASONS: dict[str, Promise] = {
    smtp.UNREACHABLE: _("The mail server could not be reached."),
    smtp.TIMED_OUT: _("The mail server did not answer in time."),
    smtp.HUNG_UP: _("The mail server broke the connection."),
    smtp.NO_TLS: _("The connection to the mail server could not be encrypted, or its certificate is not valid."),
    smtp.SIGN_IN_REFUSED: _("The mail server does not accept our sign-in."),
    smtp.PUT_OFF: _("The mail server asked us to come back later."),
    smtp.GARBLED: _("The mail server said something we do not understand."),
    outbox.REFUSED: _("The mail server refused it."),
    outbox.NOT_AN_ADDRESS: _("This is not an address we can write to."),
    outbox.TOO_LARGE: _("It is too large."),
    outbox.WORKER_LOST: _("The program that was sending it stopped."),
    outbox.SEALED_ELSEWHERE: _("Its text could not be opened. Tell the administrator."),
    outbox.INSTALLATION: _("This installation sends no mail at the moment."),
    outbox.RECIPIENT_LIMIT: _("This recipient got as many mails as we send anybody in so short a time."),
    outbox.MERCHANT_LIMIT: _("You wrote as many mails as we send for one merchant in a day."),
    WITHDRAWN: _("Somebody withdrew it. It is never sent."),
}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One step of a mail's story, in words; `quote` is what the mail server said."""

    at: datetime
    text: str
    quote: str


def outcome(mail: OutgoingMail) -> tuple[str, str]:
    """The shape, and the word people see."""
    return SHAPES[mail.state], str(MailState(mail.state).label)


def why(mail: OutgoingMail) -> str:
    """Why it stands where it stands; nothing where there is nothing to say."""
    reason = str(REASONS.get(mail.reason, ""))
    if mail.state == MailState.FAILED and mail.doubts >= outbox.MOST_DOUBTS:
        return gettext("%(reason)s It may have arrived: it was handed over twice, and no answer came.") % {
            "reason": reason
        }
    if mail.state == MailState.WILL_RETRY and mail.doubts:
        return gettext("%(reason)s It may have arrived, and is sent once more.") % {"reason": reason}
    return reason


def quote(text: str, mail: OutgoingMail, *, whole: bool) -> str:
    """What the mail server said; for those who do not see whole addresses, without the recipient's."""
    return text if whole else text.replace(mail.recipient, masked(mail.recipient))


def recipient(mail: OutgoingMail, *, whole: bool) -> str:
    """The address, or as much of it as somebody sees who only looks after the outbox."""
    return mail.recipient if whole else masked(mail.recipient)


def masked(address: str) -> str:
    """`anna@example.com` as `a•••@example.com`."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}•••{at}{domain}" if at else "•••"


def story(mail: OutgoingMail, steps: list[MailStep], *, whole: bool) -> list[Moment]:
    """The mail's steps, first to last."""
    return [
        Moment(at=step.at, text=_told(step, is_first=place == 0), quote=quote(step.answer, mail, whole=whole))
        for place, step in enumerate(steps)
    ]


def _told(step: MailStep, *, is_first: bool) -> str:
    reason = str(REASONS.get(step.reason, ""))
    match step.state:
        case MailState.QUEUED if is_first:
            return gettext("Written, and put into the outbox.")
        case MailState.QUEUED:
            return gettext("Sent again by %(name)s.") % {"name": step.person.name if step.person else "–"}
        case MailState.SENT:
            return gettext("Handed over to the mail server, which took it.")
        case MailState.WITHHELD if step.reason == WITHDRAWN:
            return gettext("Withdrawn by %(name)s.") % {"name": step.person.name if step.person else "–"}
        case MailState.WILL_RETRY:
            return gettext("Not sent yet. %(reason)s") % {"reason": reason}
        case MailState.FAILED:
            return gettext("Given up. %(reason)s") % {"reason": reason}
        case _:
            return gettext("Withheld. %(reason)s") % {"reason": reason}


# ---- Two beats ------------------------------------------------------------------------------------------------
def question(do: str, mails: list[OutgoingMail]) -> str:
    """What would be done, for somebody to confirm."""
    count = len(mails)
    if do == "again":
        text = ngettext("Send this mail again?", "Send these %(count)s mails again?", count)
    else:
        text = ngettext("Withdraw this mail?", "Withdraw these %(count)s mails?", count)
    return text % {"count": number(count)}


def consequence(do: str, mails: list[OutgoingMail]) -> str:
    """What follows from it."""
    if do == "withdraw":
        return ngettext(
            "It is never sent, and its text is erased. This cannot be undone.",
            "They are never sent, and their texts are erased. This cannot be undone.",
            len(mails),
        )
    if any(mail.doubts for mail in mails):
        return gettext("What may have arrived already would arrive twice.")
    return ngettext("It goes out as it was written.", "They go out as they were written.", len(mails))


def button(do: str, mails: list[OutgoingMail]) -> str:
    """The verb with its object."""
    count = len(mails)
    if do == "again":
        text = ngettext("Send it again", "Send %(count)s mails again", count)
    else:
        text = ngettext("Withdraw it", "Withdraw %(count)s mails", count)
    return text % {"count": number(count)}


def done(do: str, count: int) -> str:
    """What was done."""
    if do == "again":
        text = ngettext("%(count)s mail is queued again.", "%(count)s mails are queued again.", count)
    else:
        text = ngettext("%(count)s mail is withdrawn.", "%(count)s mails are withdrawn.", count)
    return text % {"count": number(count)}


def left_out(do: str, count: int) -> str:
    """What could not be done."""
    if do == "again":
        text = ngettext(
            "%(count)s mail cannot be sent again: it was sent, is on its way, was withdrawn, or its text is erased.",
            "%(count)s mails cannot be sent again: they were sent, are on their way, were withdrawn, or their text is"
            " erased.",
            count,
        )
    else:
        text = ngettext(
            "%(count)s mail cannot be withdrawn: it was sent, is being sent, or has ended.",
            "%(count)s mails cannot be withdrawn: they were sent, are being sent, or have ended.",
            count,
        )
    return text % {"count": number(count)}
