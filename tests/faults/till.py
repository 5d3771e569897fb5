"""A cashier's browser without a screen: signs in and looks cards up over plain HTTP."""

import http.cookiejar
import re
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

from portal.running.processes import wait_until

DESK = "/m/baeckerei-jung/"


class Till:
    """Alice at Bäckerei Jung. `path` is where the last answer came from, `status` what it was."""

    def __init__(self, url: str) -> None:
        self.url, self.path, self.status = url, "", 0
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(self, path: str) -> str:
        return self._ask(path, None)

    def post(self, path: str, page: str, **fields: str) -> str:
        """Send the form of `page`: its hidden fields and these."""
        hidden = dict(re.findall(r'name="(csrfmiddlewaretoken|key|connection)" value="([^"]+)"', page))
        chosen = re.findall(r'<option value="([^"]+)" selected', page)  # the connection, where there are several
        hidden |= {"connection": chosen[0]} if chosen else {}
        return self._ask(path, urlencode({**hidden, **fields}).encode())

    def _ask(self, path: str, body: bytes | None) -> str:
        try:
            answer = self._opener.open(urljoin(self.url, path), body, timeout=30)
        except HTTPError as refusal:
            answer = refusal  # it is an answer all the same
        with answer:
            self.path, self.status = urlsplit(answer.url).path, answer.status
            text: str = answer.read().decode()
            return text

    def signs_in(self) -> str:
        page = self.get("/accounts/login/")
        return self.post("/accounts/login/", page, login="alice@example.com", password="look-around-2026")

    def looks_up(self, number: str, pin: str = "1234") -> str:
        """Scan a card and type its password; the address where the balance will be."""
        page = self.post(f"{DESK}scan/", self.get(DESK), number=number)
        look_up = self.path
        self.post(look_up, page, pin=pin)
        return look_up

    def sees(self, text: str, path: str, *, seconds: float = 30) -> bool:
        """Whether the page shows it in time."""
        return wait_until(lambda: text in self.get(path), seconds, every=0.2)
