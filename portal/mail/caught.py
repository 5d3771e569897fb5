"""The mails of the demonstration: what the catcher kept, for whoever looks around on this machine.

Only in portal/urls.py where DEMO=1. A mail is shown as text whatever it holds, and only links to our own pages are
links.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal.mail import addresses

SHOWN = 50
_NAME = re.compile("([0-9]{20})-[0-9a-f]{32}")
_LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?')\]]")
_BLOCKS = {"p", "br", "div", "tr", "li", "h1", "h2", "h3", "table"}


@dataclass(frozen=True, kw_only=True)
class Caught:
    """One mail. `body` is its text in pieces, each with the address it leads to, or an empty one."""

    name: str
    at: datetime
    sender: str
    recipient: str
    subject: str
    body: list[tuple[str, str]]


@require_safe
def mails(request: HttpRequest) -> HttpResponse:
    """The newest mails; with `mail`, the name of one, that one's text."""
    name = request.GET.get("mail", "")
    if name:
        return render(request, "mail/caught_mail.html", {"mail": _find(name)})
    return render(request, "mail/caught.html", {"mails": [_read(path) for path in _newest()]})


def _folder() -> Path:
    return Path(settings.VAR) / "caught"


def _newest() -> list[Path]:
    files = [path for path in _folder().glob("*.eml") if _NAME.fullmatch(path.stem)]
    return sorted(files, reverse=True)[:SHOWN]


def _find(name: str) -> Caught:
    if not _NAME.fullmatch(name):
        raise Http404
    try:
        return _read(_folder() / f"{name}.eml")
    except FileNotFoundError:
        raise Http404 from None


def _read(path: Path) -> Caught:
    message = message_from_bytes(path.read_bytes(), _class=EmailMessage, policy=default)
    return Caught(
        name=path.stem,
        at=datetime.fromtimestamp(int(path.stem.partition("-")[0]) / 1e9, UTC),
        sender=addresses.one_line(str(message["From"] or ""), most=200),
        recipient=addresses.one_line(str(message["To"] or ""), most=200),
        subject=addresses.one_line(str(message["Subject"] or ""), most=200),
        body=list(_pieces(_text(message))),
    )


def _text(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    content = str(part.get_content())
    if part.get_content_subtype() == "html":
        reader = _Words()
        reader.feed(content)
        content = reader.text
    return addresses.paragraph(content).strip()


class _Words(HTMLParser):
    """The words of an HTML part, each link's address behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._address = ""
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "script", "title"):
            self._unseen += 1
        elif tag == "a":
            self._address = dict(attrs).get("href") or ""
        elif tag in _BLOCKS:
            self.text += "\n"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script", "title"):
            self._unseen = max(self._unseen - 1, 0)
        elif tag == "a" and self._address:
            self.text += f" {self._address} "
            self._address = ""

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.text += data


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """The text, cut where a link to one of our own pages begins and ends."""
    end = 0
    for found in _LINK.finditer(text):
        if found[0].startswith(f"{settings.PUBLIC_URL}/"):
            yield text[end : found.start()], ""
            yield found[0], found[0]
            end = found.end()
    yield text[end:], ""
