"""The paper for the shopper: which lines stand on it, and when it may say so. Reads rows it is given, asks nobody."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import segno
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from portal import formats
from portal.connectors import PROVIDERS
from portal.connectors.results import LineKind, ReceiptLine
from portal.ledger import basket_words, operation_words
from portal.ledger.models import IN_FLIGHT, Operation, OperationState
from portal.merchants.models import Merchant


@dataclass(frozen=True, kw_only=True)
class Part:
    """What stands together in a block: `pairs`, or one line of `text`, or a space, which has neither."""

    pairs: list[ReceiptLine] = field(default_factory=list)
    text: ReceiptLine | None = None


@dataclass(frozen=True, kw_only=True)
class Block:
    """What follows a separator. `caption` is "" for a rule; `begun` is False for what comes before the first one."""

    caption: str
    begun: bool
    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A receipt, or a slip for what is not confirmed yet.

    `lines` are ours; `said` is the receipt of the company `said_by`, in the language `said_in` ("" where that is not
    known), and `goes_on` where it is longer than what we keep.
    """

    shop: str
    store: str
    title: str
    amount: str
    confirmed: bool
    note: str
    lines: list[ReceiptLine]
    said_by: str
    said_in: str
    said: list[Block]
    goes_on: bool
    references: list[ReceiptLine]
    code: SafeString
    sandbox: bool
    basket: basket_words.View | None = None


def paper(operation: Operation, *, merchant: Merchant, store: str, after: str) -> Paper:
    """What is printed of the operation now. `after` is the card's balance read after it, "" where there is none."""
    done = operation.state == OperationState.DONE
    pair = ReceiptLine.pair
    lines = [
        pair(
            gettext("Member") if PROVIDERS[operation.connection.provider].names_members else gettext("Card"),
            operation_words.card_of(operation),
        ),
        pair(gettext("Card company"), operation.connection.name),
    ]
    if done and operation.also_activate:
        lines.append(pair(gettext("Card activated"), gettext("yes")))
    if operation.original is not None:
        lines.append(pair(gettext("For"), operation_words.the_thing(operation.original)))
    if done and after:
        lines.append(pair(gettext("New balance"), after))
    at = operation.ended_at if done and operation.ended_at else operation.asked_at
    lines += [
        pair(gettext("Served by"), operation_words.name_of(operation.asked_by)),
        pair(gettext("Time"), zoned(at, merchant)),
    ]
    references = [pair(gettext("Our reference"), operation.reference)]
    if operation.provider_reference:
        theirs = gettext("Reference at %(name)s") % {"name": operation.connection.name}
        references.append(pair(theirs, operation.provider_reference))
    said = [ReceiptLine.from_plain(each) for each in operation.receipt_lines]
    return Paper(
        shop=merchant.name,
        store=store,
        title=operation_words.title(operation),
        amount=operation_words.amount(operation),
        confirmed=done,
        note="" if done else _note(operation),
        lines=lines,
        said_by=operation.connection.name,
        said_in=PROVIDERS[operation.connection.provider].speaks,
        said=blocks(said),
        goes_on=any(line.kind == LineKind.CUT for line in said),
        references=references,
        code=code(operation.reference),
        sandbox=operation.connection.environment == "sandbox",
        basket=basket_words.of(operation),
    )


def blocks(lines: Iterable[ReceiptLine]) -> list[Block]:
    """Lines as they are read aloud: under the headings they stand under, pairs that follow each other as one list.
    Several spaces are one."""
    found: list[Block] = []
    for line in lines:
        if line.kind == LineKind.SEPARATOR:
            found.append(Block(caption=line.text, begun=True))
            continue
        if not found:
            found.append(Block(caption="", begun=False))
        parts = found[-1].parts
        last = parts[-1] if parts else None
        match line.kind:
            case LineKind.PAIR if last and last.pairs:
                last.pairs.append(line)
            case LineKind.PAIR:
                parts.append(Part(pairs=[line]))
            case LineKind.TEXT if line.text:
                parts.append(Part(text=line))
            case LineKind.SPACE if last and (last.pairs or last.text):
                parts.append(Part())
    return found


def code(reference: str) -> SafeString:
    """Our reference as a QR code, an SVG without a size: the scan box leads from it back to the operation.

    In capitals it takes the code's letters and digits, and fewer, larger squares; level M bears a crease.
    """
    drawn = segno.make_qr(reference.upper(), error="m", boost_error=False)
    return mark_safe(drawn.svg_inline(border=4, svgclass=None, lineclass=None, omitsize=True))


def _note(operation: Operation) -> str:
    if operation.state in IN_FLIGHT:
        return gettext("Not yet confirmed. We are checking; keep this slip.")
    if operation.state == OperationState.WAITING:
        return gettext("Not yet confirmed. It has not been sent yet; keep this slip.")
    if operation.state == OperationState.REFUSED:
        return gettext("Refused. Nothing was moved on the card.")
    return gettext("Not sent. Nothing was moved on the card.")


def zoned(at: datetime, merchant: Merchant) -> str:
    """20 November 2026, 10:14:03 (Europe/Berlin)."""
    return f"{formats.exact(at)} ({merchant.time_zone})"
