"""The lists at a million operations and two hundred thousand cards: a page beside a bare list of the same rows, pages
far down and searches beside the first page, and what PostgreSQL does for each of them.

    python -m tests.bench.size [--operations 1000000] [--cards 200000] [--merchants 7] [--rounds 5] [--plans]

G7 bare list / list, logged in · G8 page 10,000 / page 1 · G9 search / list. Medians of one page each, asked in turns
in one process without a server, so that nothing but the page is in it. Plans are read as the application's role.
"""

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

REQUESTS = 40  # of each kind in a round
# How often each page asks the database at most, however many rows there are. Eight are the list's: who asks (session,
# person, memberships), the frame (the connections, and what needs a person or is switched off), and the list itself
# (the saved views, the rows, and how many there are, unless it shows them all). A search has its kinds beside.
ASKED = {
    "list": 8,
    "list, 10,000 pages on": 8,
    "search by reference": 9,
    "search by last four": 10,
    "cards": 8,
    "card": 15,
    "operation": 7,
    "desk": 16,
}


def start(folder: Path) -> Any:
    """A database of its own, brought to this version, and Django told of it."""
    from portal import services

    postgres = services.start_postgres(folder)
    app_url, owner_url = postgres.create_database("size")
    os.environ.update(
        DJANGO_SETTINGS_MODULE="portal.settings",
        DATABASE_URL=app_url,
        DATABASE_OWNER_URL=owner_url,
        CELERY_BROKER_URL=services.local_broker(folder),
        SECRET_KEY="bench",
        SIGN_IN_KEYS="dGVzdHMgbWF5IGtub3cgdGhpcyBrZXksIHRoZXkgZG8=",
        PUBLIC_URL="http://localhost:8000",
        SEALING_KEYS=str(folder / "keyring" / "sealing.json"),
        OPENING_KEYS=str(folder / "keyring" / "opening.json"),
        VAR=str(folder),
    )
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from portal.merchants import ring

    ring.create(settings.SEALING_KEYS.parent)
    call_command("release", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    return postgres


def fill(operations: int, cards: int, merchants: int) -> float:
    """The archive, in seconds."""
    from django.db import connections

    from portal.merchants import tenancy
    from tests.bench import archive

    began = time.monotonic()
    connections["owner"].ensure_connection()
    with tenancy.every_merchant("a bench fills its tables"), connections["owner"].cursor() as cursor:
        archive.fill(cursor, merchants=merchants, cards=cards, operations=operations)
    return time.monotonic() - began


class Browser:
    """The owner of the first merchant, signed in. Talks to the site as a server would, without one."""

    def __init__(self) -> None:
        from django.core.handlers.wsgi import WSGIHandler
        from django.test import Client, override_settings

        from portal.ledger.models import Card, Operation
        from portal.merchants import tenancy
        from portal.merchants.models import Merchant, Person
        from tests.conftest import typed_just_now

        with tenancy.every_merchant("a bench looks for its merchant"):
            self.merchant = Merchant.objects.get(slug="archive-1")
            person = Person.objects.get(email="archive0-0@example.com")
        client = Client(HTTP_HOST="localhost")
        client.force_login(person)
        typed_just_now(client, person)
        page = client.get("/m/archive-1/operations/").content.decode()
        self._token = re.findall('name="csrfmiddlewaretoken" value="([^"]+)"', page)[0]
        self._cookies = "; ".join(f"{name}={each.value}" for name, each in client.cookies.items())
        self._handler = WSGIHandler()
        with override_settings(MIDDLEWARE=["tests.bench.bare_list.own_addresses"]):
            self._bare = WSGIHandler()
        with tenancy.merchant(self.merchant.pk):
            rows = Operation.objects.filter(merchant=self.merchant).order_by("-asked_at", "-id")
            self.deep = rows[min(500_000, rows.count() * 9 // 10)]
            known = rows.filter(state="done").select_related("card")[5_000]
            self.reference, self.last_four = known.provider_reference, known.card.last_four
            self.key, self.card = known.key, known.card.key
            self.cards = Card.objects.filter(merchant=self.merchant).count()

    def asks(self, path: str, posted: str = "") -> bytes:
        """The page, whole."""
        return self._through(self._handler, path, posted)

    def asks_bare(self) -> bytes:
        """The least list."""
        return self._through(self._bare, f"/{self.merchant.pk}/", "")

    def _through(self, handler: Any, path: str, posted: str) -> bytes:
        where, _mark, query = path.partition("?")
        statuses: list[str] = []
        body = (posted + f"&csrfmiddlewaretoken={self._token}").encode() if posted else b""
        environ = {
            "REQUEST_METHOD": "POST" if posted else "GET",
            "PATH_INFO": where,
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "8000",
            "HTTP_HOST": "localhost",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_COOKIE": self._cookies,
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(body),
            "wsgi.errors": sys.stderr,
        }
        answer = handler(environ, lambda status, headers, *_: statuses.append(status))
        text = b"".join(answer)
        answer.close()
        assert statuses[0].startswith("200"), f"{path}: {statuses}"
        return text


def median(ask: Callable[[], object]) -> float:
    """Milliseconds of one page, the median of some."""
    took = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        ask()
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


def queries(browser: Browser, path: str, posted: str = "") -> list[str]:
    """The statements by which one page reads."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as asked:
        browser.asks(path, posted)
    return [each["sql"] for each in asked if each["sql"].lstrip("(\n ").startswith(("SELECT", "WITH"))]


def plan(browser: Browser, sql: str) -> list[str]:
    """What PostgreSQL does for it, as the application's role."""
    from django.db import connection

    from portal.merchants import tenancy

    with tenancy.merchant(browser.merchant.pk), connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) " + sql.replace("%", "%%"), [])
        return [row[0] for row in cursor.fetchall()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--cards", type=int, default=200_000)
    parser.add_argument("--merchants", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plans", action="store_true", help="print each plan, too")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tillside-size-"))
    folder.chmod(0o711)  # PostgreSQL may not run as root, and must come through
    postgres = start(folder)
    try:
        took = fill(asked.operations, asked.cards, asked.merchants)
        say(f"{asked.operations:,} operations and {asked.cards:,} cards of {asked.merchants} merchants in {took:.0f} s")
        measure(Browser(), rounds=asked.rounds, plans=asked.plans)
    finally:
        from django.db import connections

        connections.close_all()
        postgres.erase()


def measure(browser: Browser, *, rounds: int, plans: bool) -> None:
    """Print what each page asks and how, and the ratios."""
    from portal.ledger.listing import Place

    base = "/m/archive-1"
    deep = Place(at=browser.deep.asked_at, number=browser.deep.pk)
    pages = {
        "list": (f"{base}/operations/", ""),
        "list, 10,000 pages on": (f"{base}/operations/?after={deep}", ""),
        "list, one verb": (f"{base}/operations/?verb=tip", ""),
        "list, a verb nobody used": (f"{base}/operations/?verb=void", ""),
        "list, refused": (f"{base}/operations/?state=refused", ""),
        "search by reference": (f"{base}/operations/", f"q={browser.reference}"),
        "search by last four": (f"{base}/operations/", f"q={browser.last_four}"),
        "cards": (f"{base}/cards/", ""),
        "card": (f"{base}/cards/{browser.card}/", ""),
        "operation": (f"{base}/operations/{browser.key}/", ""),
        "desk": (f"{base}/", ""),
    }
    say(f"\n{'page':<28}{'queries':>8}{'slowest ms':>12}  indexes that it used")
    for name, (path, posted) in pages.items():
        statements = queries(browser, path, posted)
        assert len(statements) <= ASKED.get(name, len(statements)), f"{name} asks {len(statements)} times"
        reads = [sql for sql in statements if re.search(r'FROM "?(ledger|merchants_auditentry)', sql)]
        read = {sql: "\n".join(plan(browser, sql)) for sql in reads}
        text = "\n".join(read.values())
        slowest = max(map(float, re.findall(r"Execution Time: ([\d.]+)", text)), default=0)
        used = sorted({index for pair in re.findall(r"using (\w+)|Bitmap Index Scan on (\w+)", text) for index in pair})
        whole = sorted(set(re.findall(r"Seq Scan on (ledger_\w+)", text)))
        say(f"{name:<28}{len(statements):>8}{slowest:>12.2f}  {', '.join(filter(None, used))}")
        for table in whole:
            say(f"{'':<48}  reads all of {table}")
        for sql, text in read.items() if plans else ():
            say(f"\n{sql}\n{text}\n")
    timed(browser, pages, rounds)


def timed(browser: Browser, pages: dict[str, tuple[str, str]], rounds: int) -> None:
    """Each kind in turns, and the ratios of each round."""
    kinds: dict[str, Callable[[], object]] = {"bare": browser.asks_bare}
    kinds |= {name: partial(browser.asks, *page) for name, page in pages.items()}
    for ask in kinds.values():
        ask()
    each: list[dict[str, float]] = []
    for number in range(rounds):
        order = list(kinds) if number % 2 == 0 else list(kinds)[::-1]
        each.append({name: median(kinds[name]) for name in order})
    say(f"\n{'page, ms':<28}{'min':>8}{'median':>8}{'max':>8}")
    for name in kinds:
        ms = [one[name] for one in each]
        say(f"{name:<28}{min(ms):>8.1f}{statistics.median(ms):>8.1f}{max(ms):>8.1f}")
    say("")
    for goal, what, above, below, least in (
        ("G7", "bare list / list, logged in", "bare", "list", "at least 0.5"),
        ("G8", "page 10,000 / page 1", "list, 10,000 pages on", "list", "at most 1.2"),
        ("G9", "search by reference / list", "search by reference", "list", "at most 1.0"),
        ("G9", "search by last four / list", "search by last four", "list", "at most 1.0"),
    ):
        ratios = [one[above] / one[below] for one in each]
        shown = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        say(f"{goal}  {what:<32} {shown:<22} {least}")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
