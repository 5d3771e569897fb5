"""EMAIL_BACKEND: whoever uses django.core.mail, allauth included, fills the outbox.

Nothing is sent here. A mail becomes a row in the transaction of what caused it: if that is rolled back, there is no
mail. It belongs to the merchant in whose context (`tenancy.merchant`, so inside every `@member` view) it was written,
otherwise to the site itself. No mail, however odd its recipient or subject, fails the request that wrote it.
"""

from collections.abc import Sequence

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from portal.mail import outbox


class Outbox(BaseEmailBackend):
    """Django's interface to outbox.queue."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            outbox.queue(message)
        return len(email_messages)
