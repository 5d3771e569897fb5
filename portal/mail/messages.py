"""The finished message: Django's EmailMessage as the bytes that are sent, in every attempt the same.

Only what we mean to say is taken over. From is the site's own address, To is the one recipient, and headers a caller
might have let somebody else write are left out, so there is nothing to inject into.
"""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage as Message
from email.message import MIMEPart
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from django.conf import settings
from django.core.mail import EmailMessage

from portal.mail import addresses

LARGEST = 5 * 1024 * 1024  # bytes of one message; servers commonly refuse more than 10 MB
_POLICY = SMTP.clone(cte_type="7bit")  # no server has to know 8BITMIME


class TooLarge(ValueError):
    """The message is larger than we send."""


def subject_of(message: EmailMessage) -> str:
    """The subject as it is sent: one line."""
    return addresses.one_line(str(message.subject), most=200)


def subject_kept(message: EmailMessage) -> str:
    """The subject as the outbox shows it. A word that stands alone on a line of the text is a code somebody types in:
    it is in the mail, and kept nowhere else."""
    alone = {line.strip() for line in str(message.body).splitlines()}
    return " ".join("…" if len(word) > 3 and word in alone else word for word in subject_of(message).split())


def finish(message: EmailMessage, *, to: str, message_id: str, at: datetime) -> bytes:
    """The bytes of `message` for one recipient. Raises TooLarge."""
    name, sender = parseaddr(settings.MAIL_FROM)
    made = Message(policy=_POLICY)
    made["From"] = Address(display_name=name, addr_spec=sender)
    made["To"] = Address(addr_spec=to)
    made["Subject"] = subject_of(message)
    made["Date"] = format_datetime(at)
    made["Message-ID"] = message_id
    made["Auto-Submitted"] = "auto-generated"  # no holiday notice comes back
    if reply_to := _reply_to(message):
        made["Reply-To"] = reply_to
    _write_body(made, message)
    for attachment in message.attachments:
        _attach(made, attachment)
    content = made.as_bytes()
    if len(content) > LARGEST:
        raise TooLarge
    return content


def _reply_to(message: EmailMessage) -> list[Address]:
    found = []
    for text in message.reply_to or []:
        try:
            found.append(Address(addr_spec=addresses.single(text)))
        except addresses.NotAnAddress:
            continue  # an answer then goes to the site's own address
    return found


def _write_body(made: Message, message: EmailMessage) -> None:
    made.set_content(addresses.paragraph(str(message.body)), subtype=message.content_subtype)
    for alternative in getattr(message, "alternatives", []):
        content, mimetype = tuple(alternative)
        if mimetype == "text/html":
            made.add_alternative(addresses.paragraph(str(content)), subtype="html")


def _attach(made: Message, attachment: object) -> None:
    if not isinstance(attachment, tuple):
        raise TypeError("Attach files by name, content and media type; finished MIME parts are not taken over.")
    filename, content, mimetype = attachment
    part = content.encode() if isinstance(content, str) else bytes(content)
    main, _, sub = (mimetype or "application/octet-stream").partition("/")
    made.add_attachment(
        part, maintype=main, subtype=sub or "octet-stream", filename=addresses.one_line(filename or "", most=100)
    )


def words_in(content: bytes) -> str:
    """All text of a finished message, to find out whether a mail server repeats some of it."""
    from email import message_from_bytes

    parts = message_from_bytes(content, policy=_POLICY).walk()
    return "\n".join(
        str(part.get_content())
        for part in parts
        if isinstance(part, MIMEPart) and part.get_content_maintype() == "text"
    )
