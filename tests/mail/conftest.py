"""An outbox over a real mail server, and workers as the tests need them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from django.db.models.functions import Now

from portal.mail import outbox
from portal.mail.models import MailStep, OutgoingMail
from portal.merchants import tenancy
from tests.mail.servers import MailServer

LINK = "http://localhost:8000/accounts/password/reset/key/canary-7Ht4x/"


@pytest.fixture
def server(settings: Any) -> Iterator[MailServer]:
    running = MailServer().start()
    settings.MAIL_HOST, settings.MAIL_PORT = "127.0.0.1", running.port
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def limits(settings: Any) -> None:
    """The site's own way of sending; pytest-django would put another in its place. Nothing here takes so long; but what
    a busy machine holds up for a second is no silence."""
    settings.EMAIL_BACKEND = "portal.mail.backend.Outbox"
    settings.MAIL_CONNECT_SECONDS, settings.MAIL_SECONDS, settings.MAIL_LEASE_SECONDS = 20, 20, 60


class Post:
    """What a test writes, has delivered and looks up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch, self.passed = monkeypatch, timedelta()

    def writes(
        self, to: str = "anna@example.com", subject: str = "Hello", body: str = f"Go to {LINK}\n", **more: Any
    ) -> None:
        EmailMultiAlternatives(subject, body, to=[to], **more).send()

    def works(self) -> int:
        """A worker works until nothing is due; how many mails it took."""
        taken = 0
        while outbox.work():
            taken += 1
        return taken

    def gives_up_soon(self, settings: Any) -> None:
        """Work as a worker does, with little patience for a server that says nothing."""
        before, settings.MAIL_SECONDS = settings.MAIL_SECONDS, 1
        self.works()
        settings.MAIL_SECONDS = before

    def later(self, **times: float) -> None:
        """The database's clock, as the outbox reads it, goes on by `times` (a timedelta's words)."""
        self.passed += timedelta(**times)
        self._monkeypatch.setattr(outbox, "Now", lambda: Now() + self.passed)

    def all(self) -> list[OutgoingMail]:
        with tenancy.every_merchant("a test looks"):
            return list(OutgoingMail.objects.order_by("id"))

    def one(self) -> OutgoingMail:
        (found,) = self.all()
        return found

    def story(self) -> list[tuple[str, str]]:
        with tenancy.every_merchant("a test looks"):
            return [(step.state, step.reason) for step in MailStep.objects.order_by("id")]


@pytest.fixture
def post(db: None, monkeypatch: pytest.MonkeyPatch) -> Post:
    return Post(monkeypatch)
