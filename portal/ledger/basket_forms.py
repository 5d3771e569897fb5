"""A basket as people type it: the fields of its lines, what a scan adds to them, and what they come to.

Each line has six fields, named line3_price and so on; a line keeps its number while others come and go, so that what is
in the hands of a cashier stays where it is. Lines are added and taken away by the server: a page without JavaScript
does all that one with it does.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.connectors.base import BasketLine
from portal.connectors.requests import HIGHEST_VAT, LONGEST_BASKET, MOST_PIECES
from portal.ledger import baskets
from portal.ledger.amounts import read_amount
from portal.ledger.baskets import KEPT_AT_MOST, LONGEST_ARTICLE, LONGEST_TEXT, Basket, WrongBasket
from portal.money import HARD_CAP, Money

LABELS: dict[str, Any] = {
    "text": _("Description"),
    "quantity": _("Quantity"),
    "price": _("Price of one"),
    "vat": _("VAT in %"),
    "article": _("Article number"),
    "ean": _("EAN"),
}
_NUMERIC = {"quantity": "numeric", "price": "decimal", "vat": "numeric", "ean": "numeric"}
_NAME = re.compile(f"line([0-9]{{1,4}})_({'|'.join(LABELS)})")
_SYMBOLOGY = re.compile(r"^\][A-Za-z][0-9]")  # ISO/IEC 15424: scanners may say first of which kind the code is
_GTIN_LENGTHS = (8, 12, 13, 14)

# The buttons that change what stands in the fields and ask for nothing.
ADD, SUM, REMOVE, LOAD = "add", "sum", "remove", "load_preset"


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What stands in the fields after a line was added, taken away or loaded: by name, as somebody would type it.
    `focus` is the field to go on with, `wrong` what is wrong with the scan."""

    fields: dict[str, str]
    focus: str = "scan"
    wrong: str = ""


def is_of_basket(field: str) -> bool:
    """Whether a field of this name is one of the editor's, or one of the exact values."""
    return bool(_NAME.fullmatch(field)) or field in ("scan", "load", "basket", "load_minor", ADD, SUM, REMOVE, LOAD)


def name(number: int, part: str) -> str:
    """line3_price."""
    return f"line{number}_{part}"


def numbers(given: Mapping[str, Any]) -> list[int]:
    """The lines that are there, in order, at most one more than a basket takes."""
    found = {int(match[1]) for each in given if (match := _NAME.fullmatch(each))}
    return sorted(found)[: LONGEST_BASKET + 1]


def field(part: str, number: int) -> forms.Field:
    """One field of a line. What must be there is said by `read`, since a line may be left blank."""
    attributes = {"autocomplete": "off", "data-line": part}
    if part in _NUMERIC:
        attributes["inputmode"] = _NUMERIC[part]
    return forms.CharField(
        label=LABELS[part], required=False, max_length=2 * LONGEST_TEXT, widget=forms.TextInput(attributes)
    )


# ---- Editing ------------------------------------------------------------------------------------------------------
def is_edit(posted: Mapping[str, Any]) -> bool:
    """Whether a button was pressed that only changes the fields; also where something stands in the box for scans that
    is not in a line yet."""
    return any(button in posted for button in (ADD, SUM, REMOVE, LOAD)) or bool(str(posted.get("scan", "")).strip())


def edited(posted: Mapping[str, str], currency: str, reserved: Collection[str]) -> Edit:
    """The fields after what was pressed."""
    stands = typed(posted, currency)
    if (gone := posted.get(REMOVE, "")).isdigit():
        return Edit(fields={each: text for each, text in stands.items() if not each.startswith(f"line{int(gone)}_")})
    if (load := posted.get(LOAD, "")).isdigit() and 0 < int(load) <= HARD_CAP:
        return Edit(fields={**stands, "load": formats.typed(Money(int(load), currency))})
    scan = _SYMBOLOGY.sub("", posted.get("scan", "").strip()).strip()[:LONGEST_TEXT]
    if not scan and ADD not in posted:
        return Edit(fields=stands)
    return _added(stands, scan, reserved)


def typed(given: Mapping[str, str], currency: str) -> dict[str, str]:
    """Lines and load as they stand in the fields; exact values are written as somebody would type them."""
    if "basket" not in given:
        ours = {each: str(text) for each, text in given.items() if _NAME.fullmatch(each) or each == "load"}
        return {each: text[: 2 * LONGEST_TEXT] for each, text in ours.items()}
    try:
        basket = exact(given["basket"], given.get("load_minor", ""), currency)
    except WrongBasket:
        return {}
    stands: dict[str, str] = {}
    for number, line in enumerate(basket.lines):
        values = {"text": line.text, "article": line.article, "ean": line.ean}
        values |= {"quantity": str(line.quantity), "price": formats.typed(line.price), "vat": str(line.vat)}
        stands |= {name(number, part): text for part, text in values.items()}
    if basket.load is not None:
        stands["load"] = formats.typed(basket.load)
    return stands


def kept_draft(kept: Mapping[str, str], currency: str) -> dict[str, str]:
    """The fields of a basket that was half put together when the till locked."""
    return {**typed(kept, currency), **({"scan": kept["scan"]} if "scan" in kept else {})}


def _added(stands: dict[str, str], scan: str, reserved: Collection[str]) -> Edit:
    there = numbers(stands)
    part, wrong = _meaning(scan, reserved)
    if wrong:
        return Edit(fields={**stands, "scan": scan}, wrong=wrong)
    for number in there if part == "ean" else ():
        pieces = stands.get(name(number, "quantity"), "")
        if stands.get(name(number, "ean")) == scan and re.fullmatch("[0-9]{1,4}", pieces):
            return Edit(fields={**stands, name(number, "quantity"): str(int(pieces) + 1)})
    if len(there) >= LONGEST_BASKET:
        wrong = gettext("A basket has at most %(count)s lines.") % {"count": LONGEST_BASKET}
        return Edit(fields={**stands, "scan": scan}, wrong=wrong)
    number = there[-1] + 1 if there else 0
    fresh = {"quantity": "1", "vat": stands.get(name(there[-1], "vat"), "") if there else "", part: scan}
    fields = {**stands, **{name(number, each): fresh.get(each, "") for each in LABELS}}
    return Edit(fields=fields, focus=name(number, "price" if part == "text" and scan else "text"))


def _meaning(scan: str, reserved: Collection[str]) -> tuple[str, str]:
    """Which field a scan belongs in, and what is wrong with it."""
    if scan in reserved:
        return "", gettext("This number stands for a load. Choose below how much goes onto the card.")
    if not (scan.isascii() and scan.isdigit()):
        return "text", ""
    if baskets.is_gtin(scan):
        return "ean", ""
    if len(scan) in _GTIN_LENGTHS:
        return "", wrong_ean()
    return "article", ""


def wrong_ean() -> str:
    """What is said of a number whose check digit does not fit."""
    return gettext("The check digit of this EAN is wrong. Scan it again, or compare it with the goods.")


# ---- Reading ------------------------------------------------------------------------------------------------------
def exact(kept: str, load: str, currency: str) -> Basket:
    """The basket that a sentence to confirm brings back. Raises WrongBasket."""
    if len(kept) > KEPT_AT_MOST or not re.fullmatch("[0-9]{0,10}", load):
        raise WrongBasket("basket_wanted")
    try:
        lines = json.loads(kept)
    except (ValueError, RecursionError):
        raise WrongBasket("basket_wanted") from None
    return baskets.read(lines, load=int(load) if load else None, currency=currency)


def exact_values(basket: Basket) -> dict[str, object]:
    """Names and values that `exact` reads, beside the sum that was confirmed."""
    kept = json.dumps(basket.kept(), ensure_ascii=False, separators=(",", ":"))
    load = basket.load.minor if basket.load else None
    return {"basket": kept, "load_minor": load, "minor": basket.total.minor}


def read(
    given: Mapping[str, str], currency: str, reserved: Collection[str]
) -> tuple[list[BasketLine], Money | None, dict[str, str]]:
    """The lines and the load as they are typed, and what is wrong with each field that does not pass."""
    lines: list[BasketLine] = []
    wrong: dict[str, str] = {}
    for number in numbers(given):
        values = {part: str(given.get(name(number, part), "")).strip() for part in LABELS}
        if not any(values[part] for part in ("text", "price", "article", "ean")):
            continue  # a line that nobody filled in
        found = _read_line(values, currency, reserved)
        if isinstance(found, BasketLine):
            lines.append(found)
        else:
            wrong |= {name(number, part): said for part, said in found.items()}
    load = None
    if text := str(given.get("load", "")).strip():
        try:
            load = read_amount(text, currency)
        except ValidationError as error:
            wrong["load"] = error.messages[0]
    return lines, load, wrong


def _read_line(values: Mapping[str, str], currency: str, reserved: Collection[str]) -> BasketLine | dict[str, str]:
    wrong: dict[str, str] = {}
    if not values["text"]:
        wrong["text"] = gettext("Say what it is.")
    for part, most in (("text", LONGEST_TEXT), ("article", LONGEST_ARTICLE)):
        if len(values[part]) > most:
            wrong[part] = gettext("Use at most %(count)s characters.") % {"count": most}
        elif baskets.unfit(values[part]):
            wrong[part] = gettext("Leave out line breaks and invisible signs.")
    if values["ean"] in reserved and values["ean"]:
        wrong["ean"] = gettext("This number stands for a load. Choose below how much goes onto the card.")
    elif values["ean"] and not baskets.is_gtin(values["ean"]):
        digits = values["ean"].isascii() and values["ean"].isdigit() and len(values["ean"]) in _GTIN_LENGTHS
        wrong["ean"] = wrong_ean() if digits else gettext("An EAN has 8, 12, 13 or 14 digits.")
    quantity, vat = _whole(values["quantity"], 1, MOST_PIECES), _whole(values["vat"], 0, HIGHEST_VAT)
    if quantity is None:
        wrong["quantity"] = gettext("Type how many: 1 to %(most)s.") % {"most": formats.number(MOST_PIECES)}
    if vat is None:
        wrong["vat"] = gettext("Type the rate as a whole number, such as 19.")
    price = None
    try:
        price = read_amount(values["price"], currency) if values["price"] else None
        if price is None:
            wrong["price"] = gettext("Type the price of one.")
        elif quantity and price.minor * quantity > HARD_CAP:
            wrong["price"] = gettext("This amount is too large.")
    except ValidationError as error:
        wrong["price"] = error.messages[0]
    if wrong or price is None or quantity is None or vat is None:
        return wrong
    texts = {part: values[part] for part in ("text", "article", "ean")}
    return BasketLine(**texts, quantity=quantity, price=price, vat=vat)


def _whole(text: str, least: int, most: int) -> int | None:
    if not re.fullmatch("[0-9]{1,6}", text):
        return None
    return int(text) if least <= int(text) <= most else None
