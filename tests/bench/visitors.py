"""Shoppers without a browser, each from an address of its own: what the page's script does stands here."""

import itertools
import re
import time
import uuid
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlencode

import urllib3

# As browsers do where a connection that was kept is closed under them; a form is sent once.
AGAIN = urllib3.Retry(total=1, allowed_methods=["GET"], redirect=False, raise_on_status=False)
PATIENCE = 60  # seconds until an answer has to be seen


@dataclass(frozen=True, kw_only=True)
class Seen:
    """How a try ended: the state of its page, or "closed", "many" (tries from the address) and "whole" (number wanted);
    `sent_s` until it was taken, `shown_s` from there until the answer was seen."""

    state: str
    whole: bool
    requests: int = 0
    hashings: int = 0
    times: int = 1
    sent_s: float = 0
    shown_s: float = 0
    size: int = 0


@dataclass
class Visit:
    """One browser at one address."""

    pool: urllib3.HTTPConnectionPool
    address: str
    cookies: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    hashings: int = 0

    def asks(self, path: str, form: dict[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        headers = {
            "Host": f"localhost:{self.pool.port}",
            "X-Forwarded-For": self.address,
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode(form) if form is not None else None
        answer = self.pool.request("POST" if form else "GET", path, body=body, headers=headers, redirect=False)
        self.requests += 1
        for line in answer.headers.getlist("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def proved(self, html: str) -> dict[str, str]:
        """The hidden fields of the page's form, with the proof."""
        from portal.shopper import proof

        challenge = proof.Challenge(
            token=unescape(first('name="token" value="([^"]+)"', html)),
            nonce=uuid.UUID(first('data-nonce="([0-9a-f]{32})"', html)),
            times=1,
            threshold=int(first('data-threshold="([0-9]+)"', html)),
        )
        solution = proof.solve(challenge)
        self.hashings += sum(int(each) + 1 for each in solution.split("."))
        csrf = first('name="csrfmiddlewaretoken" value="([^"]+)"', html)
        return {"csrfmiddlewaretoken": csrf, "token": challenge.token, "solution": solution}


class Site:
    """The web process, and an endless row of addresses that share no network."""

    def __init__(self, port: int) -> None:
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=80, retries=AGAIN, timeout=30)
        self._numbers = itertools.count()

    def visit(self) -> Visit:
        number = next(self._numbers)
        return Visit(self._pool, f"20.{number // 250 % 250}.{number % 250}.9")

    def sends(self, slug: str, number: str, pin: str, visit: Visit | None = None) -> urllib3.BaseHTTPResponse:
        """Open the form and send it."""
        visit = visit or self.visit()
        opened = visit.asks(f"/b/{slug}/")
        if opened.status != 200:
            return opened
        return visit.asks(f"/b/{slug}/", {"number": number, "pin": pin, **visit.proved(opened.data.decode())})

    def tries(self, slug: str, number: str, pin: str) -> Seen:
        """One try until its answer is seen, or the page takes none."""
        visit, whole = self.visit(), len(number) > 5
        opened = visit.asks(f"/b/{slug}/")
        form = {"number": number, "pin": pin, **visit.proved(opened.data.decode())}
        began = time.monotonic()
        sent = visit.asks(f"/b/{slug}/", form)
        taken = time.monotonic()
        if sent.status != 303:
            states = {422: "whole", 429: "many", 503: "closed"}
            assert sent.status != 422 or b'id="id_number_error"' in sent.data, sent.data.decode()
            return Seen(state=states[sent.status], whole=whole, requests=visit.requests)
        path, times, html, state = sent.headers["Location"], 1, "", "pending"
        while time.monotonic() < taken + PATIENCE:
            html = visit.asks(path).data.decode()
            state = first('data-state="([a-z]+)"', html)
            if state == "pending":
                time.sleep(int(first('data-next-ms="([0-9]+)"', html)) / 1000)
            elif state == "proof":
                times = 8
                visit.asks(path, visit.proved(html))
            else:
                break
        return Seen(
            state=state,
            whole=whole,
            requests=visit.requests,
            hashings=visit.hashings,
            times=times,
            sent_s=taken - began,
            shown_s=time.monotonic() - taken,
            size=len(re.sub('value="[^"]*"', "", html)),
        )


def first(pattern: str, html: str) -> str:
    """What the pattern's group holds where it matches first."""
    [found, *_] = re.findall(pattern, html, re.DOTALL)
    return str(found)
