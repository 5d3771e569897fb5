"""What secuconnect's clients ask of cards beside buying with them: locks, security codes, balances on paper, cards in
numbers; and how a payment stands.

Documented: the paths, the fields of requests and answers, the reasons of a lock, that a security code has four digits.
ASSUMED: a code that is sent with a lock must be right; a card is locked for everybody and at once; at most 100 cards
are made at a time; `limit` is what still fits on a card, null where nothing limits it.
"""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from portal.sandboxes import secuconnect_books as books
from portal.sandboxes import secuconnect_cards as cards
from portal.sandboxes import secuconnect_papers as papers
from portal.sandboxes.secuconnect_books import Refused
from portal.sandboxes.secuconnect_cards import Card, Group
from portal.sandboxes.store import Effect

REASONS = frozenset({1, 2, 3, 6, 8})  # lost, defect, claims, expired, not activated
MOST_CARDS = 100
# Of a payment: 9 paid, 10 pending, 3 denied, 5 void.
STATUS: Mapping[str, int] = {"ok": 9, "received": 9, "pending": 10, "failed": 3, "cancelled": 5}


def security_code(number: str) -> str:
    """Of a card, always the same."""
    return f"{int.from_bytes(hashlib.sha256(f'csc {number}'.encode()).digest()) % 10_000:04}"


def card(db: sqlite3.Connection, id: str) -> Card:
    """The card behind an MCD_. Raises Refused."""
    kept = (held.card.number for held in cards.holdings(db))
    for number in (*kept, *map(str, (*cards.PLAIN, *cards.EARNING))):
        if papers.card_id("MCD", number) == id and (found := cards.find(db, number)):
            return found
    raise Refused("not found", "id")


def lock(
    db: sqlite3.Connection, found: Card, given: Mapping[str, Any], at: datetime, *, locked: bool
) -> dict[str, Any]:
    """Lock it, or let it be used again. Raises Refused."""
    if given.keys() - {"reason", "note", "csc"} or not isinstance(given.get("note", ""), str | None):
        raise Refused("format", "reason, note and csc")
    reason = given.get("reason")
    if locked and not (isinstance(reason, int) and not isinstance(reason, bool) and reason in REASONS):
        raise Refused("format", "reason")
    if given.get("csc") not in {None, security_code(found.number)}:
        raise Refused("code")
    cards.set_lock(db, found, locked=locked, reason=reason if locked else None, note=given.get("note") or "", at=at)
    return locks(db, found)


def locks(db: sqlite3.Connection, found: Card) -> dict[str, Any]:
    """Whether it is locked, and why."""
    kept = cards.lock_of(db, found)
    return {"lock_status": "locked" if kept.locked else "unlocked", "reason": kept.reason, "note": kept.note}


def check_code(found: Card, given: Mapping[str, Any]) -> dict[str, bool]:
    """Raises Refused where it is about another card."""
    if given.keys() != {"cardnumber", "csc"} or given["cardnumber"] != found.number:
        raise Refused("format", "cardnumber and csc")
    return {"result": given["csc"] == security_code(found.number)}


def balance_receipt(db: sqlite3.Connection, found: Card, given: Mapping[str, Any]) -> dict[str, Any]:
    """Raises Refused where it is about another card."""
    if given.keys() - {"cardnumber", "terminal_id"} or given.get("cardnumber") != found.number:
        raise Refused("format", "cardnumber")
    held = cards.holding(db, found)
    limit = found.group.balance_limit
    left = None if limit is None else max(limit - held.balance, 0)
    return {
        "valid": not held.locked,
        "balance": held.balance,
        "cash_balance": held.cash,
        "bonus_balance": held.bonus,
        "points": found.points,
        "limit_allowed": limit is not None,
        "limit": left,
        "limit_str": "" if left is None else papers.euros(left),
        "amount_split_enabled": False,
        "receipt_header": [],
        "receipt": papers.balance_lines(held),
    }


def make(
    db: sqlite3.Connection, group: Group | None, given: Mapping[str, Any], at: datetime
) -> tuple[dict[str, Any], tuple[Effect, ...]]:
    """Cards with nothing on them, each with its security code. Raises Refused."""
    if group is None:
        raise Refused("not found", "cardgroup")
    if not group.creates_cards:
        raise Refused("group", "cardgroup")
    amount = given.get("cards_amount", 1)
    if not isinstance(amount, int) or isinstance(amount, bool) or not 1 <= amount <= MOST_CARDS:
        raise Refused("format", f"cards_amount must be a whole number from 1 to {MOST_CARDS}")
    if given.keys() - {"cards_amount", "customer"}:
        raise Refused("format", "cards_amount and customer")
    made = [cards.make(db, group, at) for _ in range(amount)]
    told = [papers.merchant_card(cards.holding(db, each)) | {"csc": security_code(each.number)} for each in made]
    return {"count": amount, "data": told}, tuple(Effect(verb="activate", subject=each.number) for each in made)


def payment(db: sqlite3.Connection, id: str) -> dict[str, Any]:
    """How the payment of a transaction stands: what was not paid by its card. Raises Refused."""
    found = books.by_payment(db, id)
    if found is None:
        raise Refused("not found", "id")
    paid = found.asked["sum"] - (found.spends.total if found.spends else 0)
    return {
        "object": "payment.transactions",
        "id": id,
        "amount": 0 if found.status == "cancelled" else paid,
        "currency": found.asked["currency"],
        "status_simple": STATUS.get(found.status, 8),
        "merchantRef": found.asked["merchantRef"],
    }


def body(given: bytes) -> dict[str, Any]:
    """A JSON object, or nothing. Raises Refused."""
    if given.strip() in {b"", b"null", b"[]"}:
        return {}
    try:
        found = json.loads(given)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused("format", "the body must be a JSON object")
    return found
