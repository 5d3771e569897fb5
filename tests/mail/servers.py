"""A mail server for tests: aiosmtpd behind real sockets, which refuses, delays, drops and hangs where it is told to."""

import asyncio
import email
import logging
import socket
import threading
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

logging.getLogger("mail.log").setLevel(logging.WARNING)

STAGES = ("connect", "EHLO", "MAIL", "RCPT", "DATA", "text", "dot")


class MailServer:
    """What it does at a stage: say a line, "drop" the connection, "hang", or "drip" an endless one.

    `text` is the moment after its 354; `dot` the one after the final dot, before its answer; at `after_storing` the
    mail is kept first. Everything it took in is in `got`, and what it answered 250 to in `accepted`.
    """

    def __init__(self) -> None:
        self.at: dict[str, list[str]] = {}
        self.got: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.accepted: list[EmailMessage] = []
        self.seen: list[str] = []  # the commands, in their order
        self.most_at_once = self._now = 0
        self.pause = 0.0
        self.before_answering: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.controller: Any = None

    def start(self, port: int = 0, **options: Any) -> "MailServer":
        server = self

        class Conversation(SMTP):
            async def _handle_client(self) -> None:
                await server.meets("connect", self)
                await super()._handle_client()

            async def smtp_EHLO(self, hostname: str) -> None:
                if not await server.meets("EHLO", self):
                    await super().smtp_EHLO(hostname)

            async def smtp_MAIL(self, arg: str) -> None:
                if not await server.meets("MAIL", self):
                    await super().smtp_MAIL(arg)

            async def smtp_RCPT(self, arg: str) -> None:
                if not await server.meets("RCPT", self):
                    await super().smtp_RCPT(arg)

            async def smtp_DATA(self, arg: str) -> None:
                if not await server.meets("DATA", self):
                    await super().smtp_DATA(arg)

            async def push(self, status: Any) -> None:
                await super().push(status)
                if str(status).startswith("354"):
                    await server.meets("text", self)

        class At(Controller):
            def factory(self) -> Any:
                return Conversation(server, hostname="mail.test", timeout=30, **options)

        self.controller = At(self, hostname="127.0.0.1", port=port or free(), ready_timeout=10)
        self.controller.start()
        return self

    @property
    def port(self) -> int:
        return int(self.controller.port)

    def stop(self) -> None:
        self._stopping.set()
        self.controller.stop()

    def does(self, stage: str, *what: str) -> None:
        """The next times this stage is reached: one of `what` each."""
        assert stage in (*STAGES, "after_storing")
        self.at[stage] = list(what)

    async def meets(self, stage: str, conversation: Any) -> bool:
        self.seen.append(stage)
        what = self.at.get(stage) or []
        if not what:
            return False
        return await self._do(what.pop(0), conversation)

    async def _do(self, what: str, conversation: Any) -> bool:
        if what == "drop":
            conversation.transport.abort()
        elif what in ("hang", "drip"):
            until = time.monotonic() + 20
            while time.monotonic() < until and not self._stopping.is_set() and not conversation.transport.is_closing():
                if what == "drip":
                    conversation.transport.write(b"2")
                await asyncio.sleep(0.05)
        else:
            await conversation.push(what)
        return True

    async def handle_DATA(self, conversation: Any, session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=default)
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        await asyncio.sleep(self.pause)
        with self._lock:
            self._now -= 1
        if what := (self.at.get("dot") or []):
            said = what.pop(0)
            if said in ("drop", "hang"):
                await self._do(said, conversation)
                return "451 never heard"
            return said
        self.got.append(message)
        self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        if what := (self.at.get("after_storing") or []):
            await self._do(what.pop(0), conversation)
            return "451 never heard"
        self.accepted.append(message)
        return "250 2.0.0 Kept"


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
