"""The public balance page: what guessing at it finds and costs, whether its one negative answer is one in time as well,
what its first page costs, and whether a provider that hangs holds up another merchant's shoppers.

    python -m tests.bench.shopper [--guesses 300] [--samples 40] [--cards 20000] [--rounds 5] [--only guessing …]
    python -m tests.bench.shopper --only guessing --guesses 20000 --minutes 10    # a whole attack

Everything but the first page goes through real HTTP to a whole stack (web, workers, broker, database, sandbox with so
many cards), each try from an address of its own by the word of a trusted proxy, at the lowest difficulty of the proof.
The first page is timed in one process without a server, in turns with a view that answers the same bytes.
"""

import argparse
import hashlib
import os
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3

from portal.running.stack import Stack
from tests.bench.visitors import Seen, Site
from tests.environment import free_port

if TYPE_CHECKING:
    from portal.shopper.models import BalancePage
    from portal.shopper.risk import Risk

AT_ONCE = 12  # tries under way at one page; SHOPPERS_WAITING lets 20 wait
AT_ONCE_AT_ALL = 60  # and at many pages
A_PAGE_BEARS = 1_000  # guesses in an hour by the end of a number: a page steps up at a quarter of 5,000, the most
HANGS = "62819"  # how the numbers begin that the provider does not answer
HANG_ROUNDS, HANG_ENDS_SECONDS = 3, 12  # a call that hangs is given up after ten
KNOWN = ("6280390000012345", "6280390000020100", "6280390000007525", "6280390000000001")  # right with 1234
USUAL_WORK = 1024  # SHOPPER_WORK where nothing else is set
PARTS = ("guessing", "timing", "hanging", "page")


class Bench:
    """The stack, and merchants of the bench's own in it."""

    def __init__(self, folder: Path, cards: int, minutes: float = 10) -> None:
        self.cards, self.minutes = cards, minutes
        self.stack = Stack(
            var=folder,
            port=free_port(),
            sandbox_port=free_port(),
            env={"SHOPPER_WORK": "1", "SHOPPER_TYPING_SECONDS": "0", "TRUSTED_PROXY_COUNT": "1", "DEMO": "0"},
        )
        self.stack.start()
        self.site = Site(self.stack.port)
        os.environ.update(self.stack.env, DJANGO_SETTINGS_MODULE="portal.settings")
        import django

        django.setup()

    def shop(self, slug: str, **decided: Any) -> "BalancePage":
        """A merchant whose page is open over a connection to the sandbox."""
        from portal.merchants import tenancy
        from portal.merchants.models import Connection, Member
        from portal.sandboxes.cardinquiry import SERVER_KEY
        from portal.shopper import deciding
        from portal.shopper.models import BalancePage
        from tests.conftest import make_connection, make_merchant, make_person

        with tenancy.every_merchant("a bench arranges its rows"):
            merchant = make_merchant(slug, slug.title(), currency="EUR", time_zone="UTC")
            person = make_person(f"Owner-of-{slug}", (merchant, "owner"))
            made = make_connection(merchant, api_key=SERVER_KEY)
            Connection.objects.filter(pk=made.pk).update(public_use=True)
            owner = Member.objects.select_related("merchant", "person").get(person=person)
            usual = {"is_open": True, "last_digits": 5, "number_length": 16, "in_sequence": False}
            deciding.change(owner, usual | {"cards_in_use": self.cards} | decided)
            return BalancePage.objects.select_related("merchant").get(merchant=merchant)

    def crowd(self, pin_digits: int) -> dict[str, str]:
        """So many cards in the sandbox, with PINs of so many digits: their numbers, and the PIN of each."""
        self._sandbox("POST", "crowd", {"provider": "cardinquiry", "count": self.cards, "pin_digits": pin_digits})
        kept = sqlite3.connect(self.stack.var / "sandboxes" / "sandboxes.sqlite3")
        try:
            return dict(kept.execute("SELECT number, pin FROM cardinquiry_crowd"))
        finally:
            kept.close()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Numbers that begin with HANGS are not answered."""
        fault = {"provider": "cardinquiry", "kind": "slow", "path": f"/CardInquiry/{HANGS}", "probability": 1}
        self._sandbox("POST", "faults", fault | {"seconds": 60})
        try:
            yield
        finally:
            self._sandbox("DELETE", "faults")

    def staff_ask(self, page: "BalancePage", count: int) -> None:
        """So many look-ups of numbers that are not answered, as people at tills begin them."""
        from portal.ledger import balances
        from portal.merchants import tenancy
        from portal.merchants.models import Connection, Member

        with tenancy.merchant(page.merchant_id):
            member = Member.objects.select_related("merchant", "person").get(merchant=page.merchant_id)
            connection = Connection.objects.get(merchant=page.merchant_id)
            for at in range(count):
                number = f"{HANGS}{random.randrange(10**11):011}"
                asked = balances.open_look_up(
                    member=member, key=uuid.uuid4(), connection=connection, number=number, client=None
                )
                balances.give_pin(asked, pin=f"{at:04}")

    def _sandbox(self, method: str, what: str, wanted: object = None) -> None:
        answer = urllib3.request(method, f"{self.stack.sandbox_url}/_sandbox/{what}", json=wanted)
        assert answer.status < 300, answer.data


# ---- Guessing -----------------------------------------------------------------------------------------------------
def guessing(bench: Bench, guesses: int, _samples: int) -> None:
    """A page as merchants have it until it closes; and as many pages as it takes that bear much, to see cards found as
    often as reckoned."""
    from portal.shopper import risk

    strict = bench.shop("strict")
    bench.crowd(4)
    say(f"\nGuessing last five digits and a PIN of four, {bench.cards:,} cards, a new address each time")
    found_by(bench, [strict.merchant.slug], pin_digits=4, most=guesses, of=risk.of(strict))
    pages = -(-guesses // A_PAGE_BEARS)
    loose = [bench.shop(f"loose-{number}", pin_length=2, finds_a_year=32_000) for number in range(pages)]
    bench.crowd(2)
    bears = risk.of(loose[0])
    say(f"\nThe same with PINs of two digits, at {pages} pages that bear it: a guess finds one with {bears.chance:.1%}")
    found_by(bench, [each.merchant.slug for each in loose], pin_digits=2, most=guesses, of=bears)


def found_by(bench: Bench, slugs: Sequence[str], *, pin_digits: int, most: int, of: "Risk") -> None:
    """Guess so often, at each page in turn, or until one takes no more or it is time; say what it found and cost, and
    what a million guesses would."""
    whole_only: set[str] = set()
    seen: list[Seen] = []
    closed = threading.Event()
    began = time.monotonic()

    def guess(at: int) -> Seen | None:
        if closed.is_set() or time.monotonic() - began > 60 * bench.minutes:
            return None
        slug, number = slugs[at % len(slugs)], f"{random.randrange(10**5):05}"
        if slug in whole_only:
            number = f"6281{random.randrange(10**7):07}{number}"
        tried = bench.site.tries(slug, number, f"{random.randrange(10**pin_digits):0{pin_digits}}")
        if tried.state == "whole":
            whole_only.add(slug)
        elif tried.state == "closed":
            closed.set()
        return tried

    at_once = min(AT_ONCE * len(slugs), AT_ONCE_AT_ALL)
    with ThreadPoolExecutor(at_once) as crowd:
        for _attempt in range(2):  # a guess that was refused the end of a number is made again
            tried = list(crowd.map(guess, range(most - len(seen))))
            seen += [each for each in tried if each and each.state in ("found", "refused", "trouble", "over")]
    took = time.monotonic() - began
    short = sum(not each.whole for each in seen)
    found = sum(each.state == "found" for each in seen)
    hashings = statistics.mean(each.hashings for each in seen)
    each_ms = hashing_ms()
    times = statistics.mean(each.times for each in seen)
    expected = short * of.chance
    core_seconds = times * USUAL_WORK * each_ms / 1000
    say(f"  taken            {len(seen):,} ({short:,} of them by the end of a number), in {took:.0f} s")
    say(f"  then             {'the page closed' if closed.is_set() else 'stopped by us'}")
    say(f"  cards found      {found}; prediction: {expected:.2g}, give or take {2 * expected**0.5:.2g}")
    say(f"  a guess cost     {statistics.mean(each.requests for each in seen):.1f} requests, {hashings:.0f} hashings")
    say(f"                   at the usual difficulty {times:.1f} × {USUAL_WORK} of {each_ms:.2f} ms here:")
    say(f"                   {core_seconds:.2f} s of a core")
    million = 10**6
    days, years = million * core_seconds / 86_400, million / of.budget / 365
    say(f"  a million        would find {million * of.chance:,.0f} cards and cost {days:.0f} days of a core")
    say(f"                   one page lets in {of.budget:,} wrong ones a day: it would take {years:,.1f} years")


def hashing_ms() -> float:
    """One hashing of the proof on this machine."""
    from portal.shopper.proof import ROUNDS

    took = []
    for number in range(50):
        began = time.perf_counter()
        hashlib.pbkdf2_hmac("sha256", b"%d" % number, b"salt", ROUNDS)
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


# ---- The one negative answer, in time -----------------------------------------------------------------------------
def timing(bench: Bench, _guesses: int, samples: int) -> None:
    """Each kind of negative, in turns, until a shopper sees it; differences of medians from those of no such card."""
    few = 4  # a fifth wrong try at one card silences it
    pages = -(-samples // few)
    slugs = [bench.shop(f"timed-{number}", finds_a_year=32_000).merchant.slug for number in range(pages)]
    crowd = bench.crowd(4)
    numbers = list(crowd)
    taken = {number[-5:] for number in numbers}
    free = [end for end in (f"{each:05}" for each in range(10**5)) if end not in taken]
    silenced = numbers[-1]
    near = [number for number in numbers[samples:] if swapped(crowd[number]) != crowd[number]]
    with ThreadPoolExecutor(4) as some:
        list(some.map(lambda slug: [bench.site.tries(slug, silenced, f"none {at}") for at in range(5)], slugs))
    # One PIN over many cards would have to prove more.
    kinds: dict[str, Callable[[int], tuple[str, str]]] = {
        "no such card": lambda at: (f"62810000000{free[at]}", f"none {at}"),
        "wrong PIN": lambda at: (numbers[at], f"wrong {at}"),
        "near miss": lambda at: (near[at], swapped(crowd[near[at]])),
        "limited: five tries before": lambda at: (silenced, f"again {at}"),
        "expired years ago": lambda at: ("6280390000099999", "1234"),
        "refused by the provider (400)": lambda at: ("6280390000000030", "1234"),
        "disabled, and not found": lambda at: ("6280390000000038", "1234"),
        "disabled, in an unknown word": lambda at: ("6280390000000007", "1234"),
        "404 of a firewall": lambda at: ("6280390000000018", "1234"),
    }
    order = [(kind, slugs[at // few], *kinds[kind](at)) for at in range(samples) for kind in shuffled(kinds)]
    with ThreadPoolExecutor(3) as some:
        seen = list(some.map(lambda each: (each[0], bench.site.tries(*each[1:])), order))
    assert all(each.state == "refused" for _, each in seen), {each.state for _, each in seen}
    say(f"\n{'Negative answers, ms':<34}{'n':>4}{'POST':>8}{'− first':>9}{'seen':>8}{'− first':>9}  bytes")
    base: tuple[float, float] | None = None
    for kind in kinds:
        ours = [each for name, each in seen if name == kind]
        sent = statistics.median(1000 * each.sent_s for each in ours)
        shown = statistics.median(1000 * (each.sent_s + each.shown_s) for each in ours)
        base = base or (sent, shown)
        sizes = sorted({each.size for each in ours})
        times = f"{sent:>8.1f}{sent - base[0]:>+9.1f}{shown:>8.0f}{shown - base[1]:>+9.1f}"
        say(f"  {kind:<32}{len(ours):>4}{times} {sizes}")


def swapped(pin: str) -> str:
    """With its first two unlike neighbours in each other's place: what the provider calls a near miss."""
    at = next((each for each in range(len(pin) - 1) if pin[each] != pin[each + 1]), 0)
    return pin[:at] + pin[at + 1] + pin[at] + pin[at + 2 :]


def shuffled(kinds: Iterable[str]) -> list[str]:
    """In an order that changes, so that none always comes after the same other."""
    return random.sample(list(kinds), len(list(kinds)))


# ---- A provider that hangs ----------------------------------------------------------------------------------------
def hanging(bench: Bench, _guesses: int, samples: int) -> None:
    """All of one merchant's shoppers and staff wait for a provider that hangs; another merchant's shoppers go on. In
    turns with nobody hanging."""
    page = bench.shop("held", finds_a_year=32_000)
    slugs = [bench.shop(f"neighbour-{number}", finds_a_year=32_000).merchant.slug for number in range(2)]

    def shown(at: int) -> float:
        seen = bench.site.tries(slugs[at % 2], KNOWN[at % len(KNOWN)], "1234")
        assert seen.state == "found", seen.state
        return seen.sent_s + seen.shown_s

    def measured() -> list[float]:
        with ThreadPoolExecutor(3) as some:
            return list(some.map(shown, range(samples)))

    def hangs(at: int) -> int:
        return bench.site.sends(page.merchant.slug, f"{HANGS}{at:011}", "1234").status

    measured()  # warms up
    calm, hung, ratios = [], [], []
    for _round in range(HANG_ROUNDS):
        calm.append(measured())
        with bench.hanging(), ThreadPoolExecutor(24) as many:
            sent = list(many.map(hangs, range(24)))
            bench.staff_ask(page, 60)
            hung.append(measured())
        ratios.append(p95(hung[-1]) / p95(calm[-1]))
        time.sleep(HANG_ENDS_SECONDS)
    say("\nA provider hangs for one merchant; from the press to the balance at another merchant")
    for name, took in (("nobody hangs", calm), (f"{sent.count(303)} shoppers and 60 of the staff do", hung)):
        every = [each for one in took for each in one]
        say(f"  {name:<40} median {statistics.median(every):.2f} s, p95 {p95(every):.2f} s of {len(every)}")
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    say(f"  p95, hanging / not                       {spread}")


def p95(took: Sequence[float]) -> float:
    return statistics.quantiles(took, n=20)[18]


# ---- The first page -----------------------------------------------------------------------------------------------
def page(bench: Bench, _guesses: int, rounds: int) -> None:
    """The form beside views of the same bytes under the same middleware: without the database, and with one row read
    for the merchant."""
    from tests.bench import bare_form

    slug = bench.shop("first").merchant.slug
    asked = bare_form.statements(slug)
    say(f"\nThe first page, {asked.size / 1000:.1f} kB, one process, ms")
    for line in asked.lines:
        say(f"    {line}")
    each = [bare_form.round_of(slug, number) for number in range(rounds)]
    for name in each[0]:
        ms = [one[name] for one in each]
        say(f"  {name:<44}{statistics.median(ms):>7.2f} ({min(ms):.2f} to {max(ms):.2f})")
    for name in list(each[0])[1:]:
        ratios = [one[name] / one["the page"] for one in each]
        say(
            f"  throughput, page / {name:<34}{statistics.median(ratios):>5.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guesses", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=10, help="of guessing, at most, in each of its two halves")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--cards", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tillside-shopper-"))
    folder.chmod(0o711)  # PostgreSQL may not run as root, and must come through
    bench = Bench(folder, asked.cards, asked.minutes)
    try:
        parts: Sequence[tuple[str, Callable[[Bench, int, int], None], int]] = (
            ("guessing", guessing, asked.samples),
            ("timing", timing, asked.samples),
            ("hanging", hanging, asked.samples),
            ("page", page, asked.rounds),
        )
        for name, part, count in parts:
            if name in asked.only:
                part(bench, asked.guesses, count)
    finally:
        from django.db import connections

        connections.close_all()
        bench.stack.erase()
        shutil.rmtree(folder, ignore_errors=True)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
