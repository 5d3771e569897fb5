"""Compares what truly happened, by the sandbox's journal, with what the ledger says of it.

It believes neither side: the journal was written before each answer by a server that imports nothing of ours, and the
ledger is read as rows, by SQL. Each rule is one function; the first line of its docstring is what it claims.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.request import ProxyHandler, build_opener

import psycopg

from tests.faults import providers

OVER = ("done", "refused", "failed")
LISTED = ("needs_person",)
IN_POINTS = ("issue_points", "redeem_points")
GIVES = ("top_up", "issue_points")


class Asked(NamedTuple):
    """One wish that the portal said it took: `amount` in minor units or points, as its verb goes."""

    reference: str
    verb: str
    number: str
    amount: int


class Entry(NamedTuple):
    """One row of the ledger."""

    reference: str
    verb: str
    amount: int
    card: int
    last_four: str
    state: str
    settled_by: str
    reason: str
    attempt: int


class Breach(NamedTuple):
    """One rule, broken once."""

    rule: str
    reference: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class History:
    """All that is known about one run, from three witnesses: who asked, the portal, the provider."""

    asked: Sequence[Asked]
    ledger: Sequence[Entry]
    journal: Sequence[Mapping[str, Any]]
    balances: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def effects(self) -> Mapping[str, list[Mapping[str, Any]]]:
        """The journal's lines by reference."""
        found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for line in self.journal:
            found[str(line["reference"])].append(line)
        return found

    @property
    def entries(self) -> Mapping[str, Entry]:
        return {entry.reference: entry for entry in self.ledger}

    @property
    def doubled(self) -> int:
        return sum(len(lines) > 1 for lines in self.effects.values())

    @property
    def lost(self) -> int:
        """What was accepted and is nowhere, and what is said to be done and never happened."""
        return len(list(accepted_is_in_the_ledger(self))) + len(list(done_happened(self)))


def check(history: History, *, over: bool = False) -> list[Breach]:
    """Every breach. `over`: people have decided what was listed, so everything must have ended."""
    rules: list[Rule] = [*RULES, *([everything_is_over] if over else [])]
    return [Breach(rule.__name__, reference, detail) for rule in rules for reference, detail in rule(history)]


# ---- The rules ----------------------------------------------------------------------------------------------------
Found = Iterator[tuple[str, str]]
Rule = Callable[[History], Found]


def accepted_is_in_the_ledger(history: History) -> Found:
    """What the page called accepted is a row."""
    entries = history.entries
    for asked in history.asked:
        entry = entries.get(asked.reference)
        if entry is None:
            yield asked.reference, "accepted, and no row"
        elif (asked.verb, asked.amount, asked.number[-4:]) != (entry.verb, entry.amount, entry.last_four):
            yield asked.reference, f"asked {asked}, stored {entry}"


def one_key_is_one_operation(history: History) -> Found:
    """However often it was pressed."""
    for reference, count in Counter(entry.reference for entry in history.ledger).items():
        if count > 1:
            yield reference, f"{count} rows"


def nothing_happened_twice(history: History) -> Found:
    """No reference has two effects."""
    for reference, lines in history.effects.items():
        if len(lines) > 1:
            yield reference, f"{len(lines)} effects"


def done_happened(history: History) -> Found:
    """Whatever is Done has its effect."""
    effects = history.effects
    for entry in history.ledger:
        if entry.state == "done" and not effects.get(entry.reference):
            yield entry.reference, f"done by {entry.settled_by}, and no effect"


def what_happened_is_what_was_asked(history: History) -> Found:
    """Verb, card and amount of an effect are its operation's."""
    entries, numbers = history.entries, {asked.reference: asked.number for asked in history.asked}
    for line in history.journal:
        reference = str(line["reference"])
        entry = entries.get(reference)
        if entry is None:
            continue
        happened = (line["verb"], line["points"] if line["verb"] in IN_POINTS else line["amount"])
        if happened != (entry.verb, entry.amount) or line["subject"][-4:] != entry.last_four:
            yield reference, f"asked {entry}, happened {line}"
        elif line["subject"] != numbers.get(reference, line["subject"]):
            yield reference, f"asked of {numbers[reference]}, happened to {line['subject']}"


def nothing_happens_unasked(history: History) -> Found:
    """Every effect has its operation."""
    entries = history.entries
    for reference in history.effects:
        if reference not in entries:
            yield reference, "an effect, and no row"


def what_ended_without_effect_has_none(history: History) -> Found:
    """Refused and Not sent mean that nothing happened."""
    effects = history.effects
    for entry in history.ledger:
        if entry.state in ("refused", "failed") and effects.get(entry.reference):
            yield entry.reference, f"{entry.state} ({entry.reason}), and it happened"


def what_happened_is_done_or_listed(history: History) -> Found:
    """Nothing that happened waits to be sent (again)."""
    effects = history.effects
    for entry in history.ledger:
        if entry.state in ("waiting", "running") and effects.get(entry.reference):
            yield entry.reference, f"{entry.state} after {entry.attempt} attempts, and it happened"


def nothing_is_left_lying(history: History) -> Found:
    """Every operation has ended, is listed for a person, or waits behind one on its card that is."""
    held = {entry.card for entry in history.ledger if entry.state in LISTED}
    for entry in history.ledger:
        if entry.state in (*OVER, *LISTED) or (entry.state == "waiting" and entry.card in held):
            continue
        yield entry.reference, f"{entry.state} ({entry.reason})"


def everything_is_over(history: History) -> Found:
    """After people decided, nothing is open."""
    for entry in history.ledger:
        if entry.state not in OVER:
            yield entry.reference, entry.state


def balances_are_what_the_journal_says(history: History) -> Found:
    """The oracle itself is sound: each card holds what it began with and what was journalled."""
    expected = {number: providers.of(number).start for number in history.balances}
    kinds = {line["provider_reference"]: line["verb"] for line in history.journal}
    for line in history.journal:
        if line["subject"] not in expected:
            continue
        minor, points = expected[line["subject"]]
        verb, sign = line["verb"], 1
        if verb == "void":
            verb, sign = kinds[line["original"]], -1
        sign *= 1 if verb in GIVES else -1
        expected[line["subject"]] = minor + sign * (line["amount"] or 0), points + sign * (line["points"] or 0)
    for number, (minor, points) in history.balances.items():
        if expected[number] != (minor, points):
            yield number, f"holds {minor} and {points} points, by the journal {expected[number]}"


RULES: tuple[Rule, ...] = (
    accepted_is_in_the_ledger,
    one_key_is_one_operation,
    nothing_happened_twice,
    done_happened,
    what_happened_is_what_was_asked,
    nothing_happens_unasked,
    what_ended_without_effect_has_none,
    what_happened_is_done_or_listed,
    nothing_is_left_lying,
    balances_are_what_the_journal_says,
)


# ---- What the witnesses say ---------------------------------------------------------------------------------------
_ROWS = """
SELECT replace(o.key::text, '-', ''), o.verb, coalesce(o.amount_minor, o.points), o.card_id, c.last_four, o.state,
       o.settled_by, o.reason, o.attempt
FROM ledger_operation o JOIN ledger_card c ON c.id = o.card_id WHERE o.connection_id = ANY(%s) ORDER BY o.id
"""


def ledger(database: str, connections: Sequence[int]) -> list[Entry]:
    """The operations of these connections."""
    return [Entry(*row) for row in rows(database, _ROWS, [list(connections)])]


def rows(database: str, statement: str, values: Iterable[object] = ()) -> list[tuple[Any, ...]]:
    """What the database shows to somebody who may see every merchant."""
    with psycopg.connect(database, autocommit=True, connect_timeout=5) as session:
        session.execute("SELECT set_config('tillside.every', 'on', false)")
        return session.execute(statement, list(values)).fetchall()


def journal(sandbox: str) -> list[dict[str, Any]]:
    """Every movement at the provider since its last reset."""
    with build_opener(ProxyHandler({})).open(f"{sandbox}/_sandbox/effects", timeout=30) as answer:
        return [json.loads(line) for line in answer.read().decode().splitlines()]


def balances(sandbox: str, numbers: Iterable[str]) -> dict[str, tuple[int, int]]:
    """What stands on the cards now: minor units and points, as the providers themselves tell."""
    wanted = sorted(set(numbers))
    found: dict[str, tuple[int, int]] = {}
    for provider in providers.STORMED.values():
        found |= provider.balances(sandbox, [each for each in wanted if provider.has(each)])
    return found
