"""The demonstration's mails: caught by a real server, shown as text, and links in them can be followed."""

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from portal.mail import outbox
from portal.mail.catcher import KEPT, Keeper
from portal.running import BASE, ports
from tests.mail.conftest import LINK, Post
from tests.mail.servers import free


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """Where mails are caught; and the addresses of the demonstration are there."""
    settings.VAR, settings.ROOT_URLCONF = tmp_path, "tests.mail.demo_urls"
    return tmp_path / "caught"


@pytest.fixture
def catcher(folder: Path, settings: Any) -> Iterator[None]:
    port = free()
    settings.MAIL_HOST, settings.MAIL_PORT = "127.0.0.1", port
    running = subprocess.Popen(
        [sys.executable, "-m", "portal.mail.catcher", f"--port={port}", f"--store={folder}"], cwd=BASE
    )
    until = time.monotonic() + 60
    while not ports.answers(port) and time.monotonic() < until:
        time.sleep(0.05)
    yield
    running.terminate()
    assert running.wait(timeout=60) == 0


@pytest.fixture
def browser(db: None) -> Client:
    return Client(HTTP_HOST="localhost")


def keep(folder: Path, text: str = "", html: str = "", **head: str) -> None:
    message = EmailMessage()
    for name, value in {"From": "a@example.com", "To": "anna@example.com", "Subject": "Card", **head}.items():
        message[name] = value
    if text:
        message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    Keeper(folder).keep(message.as_bytes())


def test_a_mail_of_the_site_is_caught_and_its_link_can_be_followed(
    post: Post, catcher: None, browser: Client, settings: Any
):
    settings.PUBLIC_URL = "http://localhost:8000"
    post.writes(subject="New password", body=f"Go to {LINK}.\nOr to https://elsewhere.example/x\n")
    assert outbox.work()
    assert post.one().state == "sent"

    page = browser.get("/demo/mail/").content.decode()
    assert "New password" in page
    assert "anna@example.com" in page
    name = page.partition("?mail=")[2].partition('"')[0]
    opened = browser.get("/demo/mail/", {"mail": name})
    assert f'<a href="{LINK}">{LINK}</a>.' in opened.content.decode()
    assert "https://elsewhere.example/x" in opened.content.decode()
    assert 'href="https://elsewhere' not in opened.content.decode()


def test_html_is_shown_as_its_words_and_runs_nothing(folder: Path, browser: Client):
    keep(
        folder,
        html="<title>t</title><p>Your <b>card</b></p><script>alert(1)</script><img src=x onerror=alert(2)>"
        '<div hx-get="/x">&lt;b&gt;</div><a href="http://localhost:8000/m/">Go</a><a href="javascript:alert(3)">No</a>',
        Subject="<script>alert(4)</script>",
    )
    page = browser.get("/demo/mail/").content.decode()
    shown = browser.get("/demo/mail/", {"mail": page.partition("?mail=")[2].partition('"')[0]}).content.decode()

    assert "Your card" in shown
    assert '<a href="http://localhost:8000/m/">' in shown
    for harm in ("alert(1)", "onerror", 'hx-get="/x"', 'href="javascript', "<script>alert", "<b>"):
        assert harm not in shown, harm
    assert "<script>alert" not in page


@pytest.mark.parametrize("name", ["../../secrets", "x" * 8000, "0" * 20 + "-" + "a" * 32, "²" * 20 + "-" + "a" * 32])
def test_a_mail_that_is_not_there_is_not_found(folder: Path, browser: Client, name: str):
    keep(folder)

    assert browser.get("/demo/mail/", {"mail": name}).status_code == 404


def test_nothing_caught_yet_says_how_to_get_one(folder: Path, browser: Client):
    assert "No mail was caught yet." in browser.get("/demo/mail/").content.decode()


def test_without_the_demonstration_there_is_no_such_page(browser: Client):
    assert browser.get("/demo/mail/").status_code == 404


def test_mails_are_for_their_owner_and_old_ones_make_room(folder: Path):
    for number in range(KEPT + 3):
        keep(folder, Subject=str(number))

    files = sorted(folder.glob("*"))
    assert len(files) == KEPT
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "Subject: 3\n" in files[0].read_text()


def test_the_catcher_says_when_its_port_is_taken(folder: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "portal.mail.catcher", f"--port={port}", f"--store={folder}"],
            cwd=BASE,
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert ended.returncode == 1
    assert f"cannot use port {port}" in ended.stderr
