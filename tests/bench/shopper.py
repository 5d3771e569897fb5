"""The public balance page: what guessing at it finds and costs, whether its one negative answer is one in time as well,
what its first page costs, and whether a provider that hangs holds up another merchant's shoppers.

    python -m tests.bench.shopper [--guesses 300] [--samples 40] [--cards 20000] [--rounds 5] [--only guessing …]

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
import time
from collections.abc import Callable, Iterator, Sequence
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

AT_ONCE = 12  # tries under way; SHOPPERS_WAITING lets 20 wait
HANGS = "62819"  # how the numbers begin that the provider does not answer
KNOWN = ("6280390000012345", "6280390000020100", "6280390000007525", "6280390000000001")  # right with 1234
USUAL_WORK = 1024  # SHOPPER_WORK where nothing else is set
PARTS = ("guessing", "timing", "hanging", "page")


class Bench:
    """The stack, and merchants of the bench's own in it."""

    def __init__(self, folder: Path, cards: int) -> None:
        self.cards = cards
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

    def crowd(self, pin_digits: int) -> list[str]:
        """So many cards in the sandbox, with PINs of so many digits: their numbers."""
        self._sandbox("POST", "crowd", {"provider": "cardinquiry", "count": self.cards, "pin_digits": pin_digits})
        kept = sqlite3.connect(self.stack.var / "sandboxes" / "sandboxes.sqlite3")
        try:
            return [number for (number,) in kept.execute("SELECT number FROM cardinquiry_crowd")]
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

    def _sandbox(self, method: str, what: str, wanted: object = None) -> None:
        answer = urllib3.request(method, f"{self.stack.sandbox_url}/_sandbox/{what}", json=wanted)
        assert answer.status < 300, answer.data


# ---- Guessing -----------------------------------------------------------------------------------------------------
def guessing(bench: Bench, guesses: int, _samples: int) -> None:
    """A page as merchants have it until it closes, and one that bears much, to see cards found as often as reckoned."""
    from portal.shopper import risk

    strict = bench.shop("strict")
    bench.crowd(4)
    say(f"\nGuessing last five digits and a PIN of four, {bench.cards:,} cards, a new address each time")
    until_closed(bench, strict.merchant.slug, pin_digits=4, most=guesses, predicted=risk.of(strict).chance)
    loose = bench.shop("loose", pin_length=1, finds_a_year=32_000)
    bench.crowd(1)
    chance = risk.of(loose).chance
    say(f"\nThe same with a PIN of one digit at a page that bears it: one guess finds a card with {chance:.1%}")
    until_closed(bench, loose.merchant.slug, pin_digits=1, most=guesses, predicted=chance)


def until_closed(bench: Bench, slug: str, *, pin_digits: int, most: int, predicted: float) -> None:
    """Guess so often, or until the page takes no more; say what it found and cost."""
    whole_only = False
    seen: list[Seen] = []
    began = time.monotonic()

    def guess(_: int) -> Seen:
        number = f"{random.randrange(10**5):05}"
        if whole_only:
            number = f"6281{random.randrange(10**7):07}{number}"
        return bench.site.tries(slug, number, f"{random.randrange(10**pin_digits):0{pin_digits}}")

    with ThreadPoolExecutor(AT_ONCE) as crowd:
        while len(seen) < most:
            batch = list(crowd.map(guess, range(min(AT_ONCE, most - len(seen)))))
            whole_only = whole_only or any(each.state == "whole" for each in batch)
            seen += [each for each in batch if each.state in ("found", "refused", "trouble", "over")]
            if any(each.state == "closed" for each in batch):
                break
    took = time.monotonic() - began
    short = sum(not each.whole for each in seen)
    found = sum(each.state == "found" for each in seen)
    hashings = statistics.mean(each.hashings for each in seen)
    each_ms = hashing_ms()
    times = statistics.mean(each.times for each in seen)
    say(f"  taken            {len(seen)} ({short} of them by the end of a number), in {took:.0f} s")
    say(f"  then             {'the page closed' if len(seen) < most else 'stopped by us'}")
    say(f"  cards found      {found}; arithmetic: {short * predicted:.2g}")
    say(f"  a guess cost     {statistics.mean(each.requests for each in seen):.1f} requests, {hashings:.0f} hashings")
    say(f"                   at the usual difficulty {times:.1f} × {USUAL_WORK} of {each_ms:.2f} ms here:")
    say(f"                   {times * USUAL_WORK * each_ms / 1000:.2f} s of a core")


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
    """Each kind of negative, in turns; differences of medians from those of a card that is none."""
    slug = bench.shop("timed", finds_a_year=32_000).merchant.slug
    numbers = bench.crowd(4)
    taken = {number[-5:] for number in numbers}
    free = [end for end in (f"{each:05}" for each in range(10**5)) if end not in taken]
    silenced = numbers[-1]
    for _ in range(5):
        bench.site.tries(slug, silenced, "none")
    few = min(samples, 4)  # a fifth wrong try at one card silences it
    # One PIN over many cards would have to prove more.
    kinds: dict[str, list[tuple[str, str]]] = {
        "no such card": [(f"62810000000{end}", f"none {at}") for at, end in enumerate(free[:samples])],
        "wrong PIN": [(number, f"wrong {at}") for at, number in enumerate(numbers[:samples])],
        "not asked: five tries before": [(silenced, f"again {at}") for at in range(samples)],
        "expired years ago": [("6280390000099999", "1234")] * few,
        "refused by the provider (400)": [("6280390000000030", "1234")] * few,
        "404 of a firewall": [("6280390000000018", "1234")] * few,
    }
    order = [(kind, *pair) for at in range(samples) for kind, pairs in kinds.items() for pair in pairs[at : at + 1]]
    with ThreadPoolExecutor(4) as some:
        seen = list(some.map(lambda each: (each[0], bench.site.tries(slug, *each[1:])), order))
    assert all(each.state == "refused" for _, each in seen), {each.state for _, each in seen}
    say(
        f"\n{'Negative answers, ms, four at once':<36}{'n':>5}{'POST':>8}{'− first':>9}{'seen':>8}{'− first':>9}  bytes"
    )
    base: tuple[float, float] | None = None
    for kind in kinds:
        ours = [each for name, each in seen if name == kind]
        sent = statistics.median(1000 * each.sent_s for each in ours)
        shown = statistics.median(1000 * each.shown_s for each in ours)
        base = base or (sent, shown)
        sizes = sorted({each.size for each in ours})
        times = f"{sent:>8.1f}{sent - base[0]:>+9.1f}{shown:>8.0f}{shown - base[1]:>+9.1f}"
        say(f"  {kind:<34}{len(ours):>5}{times} {sizes}")


# ---- A provider that hangs ----------------------------------------------------------------------------------------
def hanging(bench: Bench, _guesses: int, samples: int) -> None:
    """One merchant's shoppers all wait for a provider that hangs; another merchant's go on."""
    held = bench.shop("held", finds_a_year=32_000).merchant.slug
    neighbour = bench.shop("neighbour", finds_a_year=32_000).merchant.slug

    def shown(at: int) -> float:
        seen = bench.site.tries(neighbour, KNOWN[at % len(KNOWN)], "1234")
        assert seen.state == "found", seen.state
        return seen.sent_s + seen.shown_s

    def p95() -> float:
        with ThreadPoolExecutor(4) as some:
            return statistics.quantiles(some.map(shown, range(samples)), n=20)[18]

    p95()  # warms up
    before = p95()
    with bench.hanging(), ThreadPoolExecutor(24) as many:
        sent = list(many.map(lambda at: bench.site.sends(held, f"{HANGS}{at:011}", "1234").status, range(24)))
        during = p95()
    say("\nA provider hangs for one merchant's shoppers; from the press to the balance at another merchant, p95")
    say(f"  nobody hangs     {before:.2f} s")
    say(f"  {sent.count(303)} hang or wait  {during:.2f} s ({sent.count(503)} more were told to come back)")


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
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--cards", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tillside-shopper-"))
    folder.chmod(0o711)  # PostgreSQL may not run as root, and must come through
    bench = Bench(folder, asked.cards)
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
