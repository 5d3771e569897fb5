"""An administrator on call, by plain HTTP: signs in, sets up a second factor, and reads the page."""

import html
import re
import subprocess
import sys
import time

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

from portal.running import BASE, processes
from portal.running.stack import Stack
from tests.faults.till import Till

WHO = "milan@example.com"
PASSWORD = "look-around-2026"
APP = "/accounts/second-factor/app/"


class OnCall(Till):
    """Milan, made an administrator. `page` is what the on-call page said last."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack.url)
        subprocess.run([sys.executable, "manage.py", "administrator", WHO], cwd=BASE, env=stack.env, check=True)
        self.page = ""

    def signs_in(self) -> str:
        self.post("/accounts/login/", self.get("/accounts/login/"), login=WHO, password=PASSWORD)
        page = self.get(APP)
        secret = re.findall(r'class="to-copy[^"]*"[^>]*>\s*([A-Z2-7]+)', page)[0]
        step = int(time.time()) // 30
        self.post(APP, page, code=format_hotp_value(hotp_value(secret, step)))
        page = self.get("/on-call/")  # asks for the factor, which was set up and not yet shown
        if "/prove/" in self.path:
            page = self.post(f"{self.path}?next=/on-call/", page, code=format_hotp_value(hotp_value(secret, step + 1)))
        assert self.path == "/on-call/", f"{self.path} {self.status}"
        return page

    def reads(self) -> str:
        self.page = html.unescape(self.get("/on-call/"))
        return self.page

    def word_for(self, worker: str) -> str:
        """The word beside a worker's name; nothing where it is not listed."""
        numbers = self.reads().partition('id="numbers"')[2]
        found = re.search(rf">{re.escape(worker)}@[^<]*<.*?outcome-still\">([^<]+)<", numbers, re.DOTALL)
        return found[1] if found else ""

    def seconds_until(self, worker: str, word: str, *, at_most: float) -> float:
        """How long it took until the page said so; an assertion if it never did."""
        began = time.monotonic()
        there = processes.wait_until(lambda: self.word_for(worker) == word, at_most, every=0.3)
        assert there, f"{worker} is {self.word_for(worker)!r} after {at_most} s, not {word!r}"
        return time.monotonic() - began
