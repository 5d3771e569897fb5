"""What secuconnect answers with: Smart Transactions, cards, card groups, bookings and receipts as its documents print
them."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from portal.sandboxes import secuconnect_books as books
from portal.sandboxes import secuconnect_cards as cards
from portal.sandboxes.secuconnect_books import Booking, Transaction
from portal.sandboxes.secuconnect_cards import SEED_CARD, Card, Group, Habit, Holding, fixed_id
from portal.sandboxes.secuconnect_requests import CUSTOMERS

MERCHANT = "MRC_G8SE48FRHVITKILAPNCEDU0NUD55W8"
STORE = "STO_3522R8MS2MSHCN7D37UVJYR4P6C4PX"
PLAIN_LINE: Mapping[str, Any] = {"item_type": "article", "reference_id": None}
ZONE = ZoneInfo("Europe/Berlin")  # the printed moments are at +01:00 in winter and +02:00 in summer
_NAMED: Mapping[str, str] = {
    "MCD": "MCD_2UXQJ84A62MENH7UWH6QXDYJSBNAA9",
    "CRD": "CRD_22H4H5D47Q44URN2K8KTP876H6M3PM",
}


def moment(at: datetime) -> str:
    return at.astimezone(ZONE).isoformat(timespec="seconds")


def card_id(prefix: str, number: str) -> str:
    """MCD_… or CRD_…; the document's own for its card."""
    return _NAMED[prefix] if number == SEED_CARD else fixed_id(prefix, number)


def smart_transaction(db: sqlite3.Connection, found: Transaction) -> dict[str, Any]:
    asked = found.asked
    booked = books.bookings(db, found.id)
    told: dict[str, Any] = {
        "object": "smart.transactions",
        "id": found.id,
        "merchant": {"object": "general.merchants", "id": MERCHANT, "companyname": "Secupay Test-Shop"},
        "contract": _named("general.contracts", asked["contract"]),
        "customer": _customer(found),
        "device_source": _named("smart.devices", asked["device"]),
        "transactions": [
            *([_named("payment.transactions", found.payment)] if found.payment else []),
            *(_named("loyalty.transactions", booking.id) for booking in booked),
        ],
        "created": moment(found.created),
    }
    if found.updated:
        told["updated"] = moment(found.updated)
    told |= {
        "status": found.status,
        "transactionRef": asked["transactionRef"],
        "merchantRef": asked["merchantRef"],
        "intent": asked["intent"],
        "basket": {"products": [_product(line) for line in asked["products"]], "type": "default", "texts": []},
        "basket_info": {"sum": asked["sum"], "gratuity": None, "currency": asked["currency"]},
    }
    if found.spends:
        discounts = found.spends.products(found.lines)
        told["basket"]["products"] += [_product({**PLAIN_LINE, **line}) for line in discounts]
        told["basket_info"] |= {
            "sum": asked["sum"] - found.spends.bonus_sum,
            "missing_sum": found.spends.missing,
        }
    card = cards.find(db, found.number) if found.number else None
    if booked and card:
        told["receipt"] = receipt(booked, books.earning_of(card.group, found.lines))
    told |= {"idents": _idents(db, found, card), "is_demo": asked["is_demo"]}
    return _oddly(told, card, booked) if card else told


def pre_transaction(found: Transaction) -> dict[str, Any]:
    """What the card pays, once it is applied."""
    assert found.spends
    return {"missing_sum": found.spends.missing, "bonus_products": found.spends.products(found.lines)}


def merchant_card(held: Holding) -> dict[str, Any]:
    number, group = held.card.number, held.card.group
    told: dict[str, Any] = {
        "object": "loyalty.merchantcards",
        "id": card_id("MCD", number),
        "merchant": _named("general.merchants", MERCHANT),
        "created_for_merchant": _named("general.merchants", MERCHANT),
        "card": {
            "object": "loyalty.cards",
            "id": card_id("CRD", number),
            "cardnumber": number,
            "created": "2015-02-20T08:51:46+01:00",
        },
        "cardgroup": {
            name: value
            for name, value in card_group(group).items()
            if name in {"object", "id", "display_name", "display_name_raw", "stock_warn_limit", "picture"}
        },
        "created_for_store": _named("general.stores", STORE),
        "is_base_card": False,
        "points": held.card.points,
        "cash_balance": held.cash,
        "bonus_balance": held.bonus,
        "balance": held.balance,
        "last_usage": moment(held.used),
        "last_charge": moment(held.charged),
        "stock_status": "inactive",
        "lock_status": "locked" if held.locked else "unlocked",
        "passcode": 1,
        "expiry_date": "2020-12-31T23:59:59+01:00" if held.card.habit is Habit.EXPIRED else None,
    }
    odd: dict[Habit, dict[str, object]] = {
        Habit.BALANCE_AS_TEXT: {"balance": str(held.balance), "cash_balance": f"{held.cash / 100:.2f}"},
        Habit.BALANCE_BELOW_ZERO: {"balance": -5, "cash_balance": -5},
        Habit.BALANCE_CONTRADICTS: {"balance": held.balance + 1},
    }
    return told | odd.get(held.card.habit, {})


def card_group(group: Group) -> dict[str, Any]:
    return {
        "object": "loyalty.cardgroups",
        "id": group.id,
        "merchant": _named("general.merchants", MERCHANT),
        "display_name": group.name,
        "display_name_raw": group.name,
        "stock_warn_limit": 0,
        "picture": "https://connect.secucard.com/ds_g/8e79737df1e2513db48908b342c3cc436edf501a",
        "balance_limit": group.balance_limit,
        "balance_expiry": None,
        "cancel_selected": group.cancel_selected,
        "description": "",
    }


def loyalty_transaction(booking: Booking) -> dict[str, Any]:
    undone = booking.undoes is not None
    word = {"bonus": "Bonus", "load": "Aufladung", "pay": "Zahlung"}[booking.kind.removeprefix("undo ")]
    comes_in = (booking.kind.removeprefix("undo ") != "pay") != undone
    return {
        "object": "loyalty.transactions",
        "id": booking.id,
        "trans_id": booking.ta_code,
        "created": moment(booking.at),
        "status": "ok",
        "amount": booking.amount if comes_in else -booking.amount,
        "balance": booking.balance,
        "description": f"Storno {word}" if undone else word,
        "merchantcard": _named("loyalty.merchantcards", card_id("MCD", booking.number)),
        "smart_transaction": _named("smart.transactions", booking.transaction),
        "parents": [booking.undoes] if undone else [],
        "is_cancelling": 1 if undone else 0,
    }


def _named(kind: str, id: str | None) -> dict[str, str] | None:
    return {"object": kind, "id": id} if id else None


def _customer(found: Transaction) -> dict[str, Any] | None:
    customer = found.asked["customer"]
    if not customer:
        return None
    known = customer.get("id")
    contact = dict(customer.get("contact") or CUSTOMERS[known])
    name = " ".join(contact[part] for part in ("forename", "surname") if contact.get(part))
    return {
        "object": "payment.customers",
        "id": known or fixed_id("PCU", json.dumps(contact, sort_keys=True)),
        "contact": {**contact, "name": name or contact.get("companyname", "")},
    }


def _product(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": line["id"],
        "parent": None,
        "item_type": line["item_type"],
        "desc": line["desc"],
        "articleNumber": line["articleNumber"],
        "ean": line["ean"],
        "quantity": line["quantity"],
        "priceOne": line["priceOne"],
        "tax": line["tax"],
        "reference_id": line["reference_id"],
        "group": [],
    }


def _idents(db: sqlite3.Connection, found: Transaction, card: Card | None) -> list[dict[str, Any]]:
    """A card to be made has no merchantcard yet, and its value is the group's; once made, the value is its number."""
    if not found.asked["idents"]:
        return []
    (ident,) = found.asked["idents"]
    told: dict[str, Any] = {
        "object": "smart.idents",
        "id": "smi_1",
        "prefix": "9276",
        "name": "secucard Kundenkarte",
        "type": ident["type"],
        "value": card.number if card else ident["value"],
        "valid": card is not None and not cards.lock_of(db, card).locked and card.habit is not Habit.EXPIRED,
    }
    return [told | ({"merchantcard": merchant_card(cards.holding(db, card))} if card else {})]


# ---- What is odd -----------------------------------------------------------------------------------------


def _oddly(told: dict[str, Any], card: Card, booked: Sequence[Booking]) -> dict[str, Any]:
    """Odd once it is booked, and always from then on: looking again does not help."""
    if not booked:
        return told
    odd: dict[Habit, Callable[[], dict[str, Any]]] = {
        Habit.UNKNOWN_STATUS: lambda: told | {"status": "parked"},
        Habit.NO_STATUS: lambda: {name: value for name, value in told.items() if name != "status"},
        Habit.OTHER_SUM: lambda: told | {"basket_info": told["basket_info"] | {"sum": 99_999}},
        Habit.OTHER_CARD: lambda: told | {"idents": [told["idents"][0] | _another_card()]},
        Habit.OLD_BALANCE: lambda: told | {"idents": [told["idents"][0] | _old_balance(card)]},
    }
    return odd.get(card.habit, lambda: told)()


def _another_card() -> dict[str, Any]:
    other = cards.BY_NUMBER[SEED_CARD]
    held = Holding(card=other, cash=other.cash, bonus=other.bonus, used=cards.LAST_USED, charged=cards.LAST_USED)
    return {"value": other.number, "merchantcard": merchant_card(held)}


def _old_balance(card: Card) -> dict[str, Any]:
    held = Holding(card=card, cash=card.cash, bonus=card.bonus, used=cards.LAST_USED, charged=cards.LAST_USED)
    return {"merchantcard": merchant_card(held)}


# ---- Receipts --------------------------------------------------------------------------------------------


def receipt(booked: Sequence[Booking], earning: int) -> list[dict[str, Any]]:
    """One block for each booking, in their order. `earning` is what earned the bonus."""
    blocks = {
        "bonus": lambda booking: _bonus_receipt(booking, earning),
        "load": _load_receipt,
        "pay": _pay_receipt,
    }
    return [item for booking in booked for item in blocks.get(booking.kind, lambda booking: [])(booking)]


def euros(cents: int) -> str:
    return f"{cents // 100},{cents % 100:02} EUR"


def _separator(caption: str) -> dict[str, Any]:
    return {"type": "separator", "value": {"caption": caption}}


def _pair(name: str, value: str) -> dict[str, Any]:
    return {"type": "name-value", "value": {"name": name, "value": value, "decoration": []}}


def _line(text: str, *decoration: str) -> dict[str, Any]:
    return {"type": "textline", "value": {"text": text, "decoration": list(decoration)}}


_SPACE: dict[str, Any] = {"type": "space"}  # as documented: it has no value at all


def _bonus_receipt(booking: Booking, earning: int) -> list[dict[str, Any]]:
    """The document's own words; the blanks at their ends too."""
    return [
        _separator("Kundenkarte"),
        _pair("Kartennummer: ", booking.number),
        _pair("TA Code: ", str(booking.ta_code)),
        _SPACE,
        _line("Umsatz erfasst:"),
        _line(euros(earning), "important"),
        _SPACE,
        _line("Bonus:"),
        _line(euros(booking.amount), "important"),
        _SPACE,
        _line("Aktuelles Guthaben"),
        _line(euros(booking.balance), "important"),
    ]


def _load_receipt(booking: Booking) -> list[dict[str, Any]]:
    return [
        _separator("Kundenkarte Aufladung"),
        _pair("Kartennummer:", booking.number),
        _pair("TA Code:", str(booking.ta_code)),
        _SPACE,
        _line("Folgender Betrag"),
        _line("wurde aufgeladen:"),
        _line(euros(booking.amount), "important"),
        _SPACE,
        _line("Aktuelles Guthaben:"),
        _line(euros(booking.balance), "important"),
    ]


def _pay_receipt(booking: Booking) -> list[dict[str, Any]]:
    """ASSUMED, after the other two."""
    return [
        _separator("Kundenkarte Zahlung"),
        _pair("Kartennummer:", booking.number),
        _pair("TA Code:", str(booking.ta_code)),
        _SPACE,
        _line("Folgender Betrag"),
        _line("wurde bezahlt:"),
        _line(euros(booking.amount), "important"),
        _SPACE,
        _line("Aktuelles Guthaben:"),
        _line(euros(booking.balance), "important"),
    ]


def balance_lines(held: Holding) -> list[dict[str, Any]]:
    """ASSUMED, after the others."""
    return [
        _separator("Kundenkarte"),
        _pair("Kartennummer:", held.card.number),
        _SPACE,
        _line("Aktuelles Guthaben:"),
        _line(euros(held.balance), "important"),
    ]
