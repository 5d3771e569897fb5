"""Limits on signing in, over two real web processes that share nothing but the database."""

import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connections, transaction

from portal.desk import demo
from portal.mail.models import MailStep, OutgoingMail
from portal.merchants import tenancy
from portal.merchants.models import AuditEntry, Person
from tests.environment import ROOT, free_port

WRONG = "no account has this email address"
TOO_MANY = "Too many failed tries"
HERE = "@limits.example.org"  # everybody who signs in or up in this file
FAILURES = 12  # over all accounts, for these processes


class Web:
    """One web process."""

    def __init__(self) -> None:
        self.port = free_port()
        env = {key: value for key, value in os.environ.items() if key != "OPENING_KEYS"}
        env |= {"TRUSTED_PROXY_COUNT": "1", "DJANGO_SETTINGS_MODULE": "portal.settings"}
        env |= {"SIGN_IN_FAILURES": str(FAILURES), "PUBLIC_URL": f"http://localhost:{self.port}"}
        command = ["gunicorn", "portal.wsgi", f"--bind=127.0.0.1:{self.port}", "--no-control-socket"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str, str]:
        """Status, cookies and text of the answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Host": f"localhost:{self.port}", "Content-Type": "application/x-www-form-urlencoded"} | headers
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        cookies = "; ".join(each.split(";")[0] for each in answer.headers.get_all("Set-Cookie", []))
        return answer.status, cookies, answer.read().decode()

    def posts(self, path: str, address: str, **fields: str) -> tuple[int, str]:
        """Status and text of a form sent by a browser at this address, as the proxy in front tells it."""
        seen = {"X-Forwarded-For": address}
        _, cookies, page = self.ask("GET", path, **seen)
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found, page
        body = urlencode({"csrfmiddlewaretoken": found[1]} | fields)
        status, _, text = self.ask("POST", path, body, Cookie=cookies, **seen)
        return status, text

    def wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if self.ask("GET", "/healthz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("The web process did not start.")


@pytest.fixture(scope="module")
def webs(django_db_setup: None, django_db_blocker: Any) -> Iterator[list[Web]]:
    running = [Web(), Web()]
    for web in running:
        web.wait()
    yield running
    for web in running:
        web.process.terminate()
        web.process.wait()
    with django_db_blocker.unblock():
        _forget_all_about_them()


def _forget_all_about_them() -> None:
    """What other processes wrote is truly there, and none of the tests' that come after."""
    cache.clear()
    databases = connections["owner"], connections["default"]
    with tenancy.every_merchant("a test takes its rows away"), transaction.atomic("owner"):
        people = list(Person.objects.filter(email__endswith=HERE).values_list("pk", flat=True))
        mails = list(OutgoingMail.objects.filter(recipient__endswith=HERE).values_list("pk", flat=True))
        with databases[0].cursor() as cursor:
            demo._delete(cursor, [AuditEntry], "person_id", people)
            demo._delete(cursor, [MailStep], "mail_id", mails)
            demo._delete(cursor, [OutgoingMail], "id", mails)
        Person.objects.using("owner").filter(pk__in=people).delete()
        Session.objects.using("owner").all().delete()
    for database in databases:
        database.close()


@pytest.fixture(autouse=True)
def _forgotten(webs, django_db_blocker):
    """What was counted is kept in the database; each test begins at nothing."""
    with django_db_blocker.unblock():
        cache.clear()


def somebody() -> str:
    return f"{uuid.uuid4().hex}{HERE}"


def somewhere(number: int) -> str:
    return f"198.51.100.{number}"


def tries(webs, number, email, address) -> str:
    """The n-th wrong password, at the processes in turn; what is said."""
    return webs[number % 2].posts("/accounts/login/", address, login=email, password="wrong")[1]


def test_tries_at_one_account_are_counted_together_from_wherever_they_come(webs):
    email = somebody()

    said = [tries(webs, number, email, somewhere(number)) for number in range(6)]

    assert [TOO_MANY in each for each in said] == [False] * 5 + [True]


def test_tries_from_one_address_are_counted_together_whatever_it_claims_to_be(webs):
    said = [tries(webs, number, somebody(), f"203.0.113.{number}, {somewhere(7)}") for number in range(11)]

    assert [TOO_MANY in each for each in said] == [False] * 10 + [True]


def test_a_visitor_whose_address_cannot_be_told_tries_no_password(webs):
    statuses = {
        webs[0].posts("/accounts/login/", address, login=somebody(), password="wrong")[0]
        for address in ("nonsense", "198.51.100.1, nonsense", "999.1.1.1")
    }

    assert statuses == {403}


def test_tries_from_everywhere_at_everybody_are_counted_together(webs):
    said = [tries(webs, number, somebody(), somewhere(number)) for number in range(FAILURES + 1)]

    assert [TOO_MANY in each for each in said] == [False] * FAILURES + [True]


def test_codes_for_a_forgotten_password_are_counted_together(webs):
    email = somebody()

    statuses = [webs[n % 2].posts("/accounts/reset/", somewhere(n), email=email)[0] for n in range(4)]

    assert statuses == [302, 302, 302, 429]


def test_an_address_has_a_limited_number_of_people_sign_up(webs):
    form = {"name": "Nobody", "password1": "four words of mine"}

    statuses = [webs[n % 2].posts("/accounts/sign-up/", somewhere(9), email=somebody(), **form)[0] for n in range(11)]

    assert statuses == [302] * 10 + [429]
