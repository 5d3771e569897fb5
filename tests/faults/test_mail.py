"""Workers are killed while they deliver mails to a real server that drops and delays: what arrived, and how often."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from portal.running import BASE, processes
from portal.running.stack import Stack
from tests.faults.conftest import Hiring
from tests.mail.servers import MailServer

MAILS = 40
WRITE = f"""
from django.core.mail import send_mail
for number in range({MAILS}):
    send_mail(f"Mail {{number}}", "Hello", None, [f"someone{{number}}@example.com"])
"""


@pytest.fixture
def server() -> Iterator[MailServer]:
    running = MailServer().start()
    running.pause = 0.1
    yield running
    running.stop()


def mails(stack: Stack) -> dict[str, tuple[str, int]]:
    """Each mail's state and doubts, by its Message-ID."""
    with psycopg.connect(stack.env["DATABASE_URL"]) as session:
        session.execute("SELECT set_config('tillside.every', 'on', false)")
        rows = session.execute("SELECT message_id, state, doubts FROM mail_outgoingmail WHERE subject LIKE 'Mail %'")
        return {message_id: (state, doubts) for message_id, state, doubts in rows}


def write(stack: Stack, script: str) -> None:
    subprocess.run([sys.executable, "manage.py", "shell", "-v0", "-c", script], cwd=BASE, env=stack.env, check=True)


def test_no_mail_is_lost_and_none_arrives_three_times_while_workers_are_killed(
    standing: Stack, hiring: Hiring, server: MailServer
):
    limits = {"MAIL_SECONDS": "2", "MAIL_LEASE_SECONDS": "3", "MAIL_PAUSE_SECONDS": "1", "MAIL_TRIES": "50"}
    chance = random.Random(7)
    server.does("after_storing", "drop", "hang", "drop")
    server.does("RCPT", *["451 4.7.1 Later"] * 5)
    server.does("connect", "hang", "drop")
    with hiring(standing, MAIL_PORT=str(server.port), **limits) as workers:
        write(standing, WRITE)
        for _ in range(6):
            time.sleep(chance.uniform(0.2, 1.5))
            workers.kill(chance.choice(workers.programs))
        rested = processes.wait_until(
            lambda: all(state in ("sent", "failed") for state, _ in mails(standing).values()), 60, every=0.5
        )

    arrived = Counter(str(message["Message-ID"]) for message in server.got)
    found = mails(standing)
    assert rested, Counter(state for state, _ in found.values())
    assert len(found) == MAILS
    assert workers.kills == 6
    assert set(arrived) <= set(found)
    assert max(arrived.values()) <= 2
    for message_id, (state, doubts) in found.items():
        assert state == "sent" or doubts == 2, f"{message_id} is {state} without a doubt"
        assert arrived[message_id] >= 1 or doubts == 2, f"{message_id} is {state} and never arrived"


STRANGER = """
from django.core.mail import send_mail
for number in range(12):
    send_mail("Flood", "Hello", None, ["stranger@example.com"])
"""


def test_limits_are_exact_however_many_workers_there_are(standing: Stack, hiring: Hiring, server: MailServer):
    limits = {"MAIL_RECIPIENT_HOUR": "5", "MAIL_AT_ONCE": "3"}
    server.pause = 0.3
    with hiring(standing, MAIL_PORT=str(server.port), **limits):
        write(standing, STRANGER)
        write(standing, WRITE.replace("Mail {", "Another {"))
        assert processes.wait_until(lambda: len(server.got) >= MAILS + 5, 60, every=0.2)
        time.sleep(2)  # were there one too many, it would come now

    reached = Counter(rcpt for _, (rcpt,) in server.envelopes)
    assert reached["stranger@example.com"] == 5
    assert set(Counter(str(message["Message-ID"]) for message in server.got).values()) == {1}
    assert 1 < server.most_at_once <= 3
