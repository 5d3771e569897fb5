"""The paper for the shopper: which lines stand on it, and when it may say so. Reads rows it is given, asks nobody."""

from dataclasses import dataclass
from datetime import datetime

import segno
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from portal import formats
from portal.ledger import operation_words
from portal.ledger.models import IN_FLIGHT, Operation, OperationState
from portal.merchants.models import Merchant


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A receipt, or a slip for what is not confirmed yet. `lines` are label and text."""

    shop: str
    store: str
    title: str
    amount: str
    confirmed: bool
    note: str
    lines: list[tuple[str, str]]
    references: list[tuple[str, str]]
    code: SafeString
    sandbox: bool


def paper(operation: Operation, *, merchant: Merchant, store: str, after: str) -> Paper:
    """What is printed of the operation now. `after` is the card's balance read after it, "" where there is none."""
    done = operation.state == OperationState.DONE
    lines = [
        (gettext("Card"), operation_words.card_name(operation.card.last_four if operation.card else "")),
        (gettext("Card company"), operation.connection.name),
    ]
    if done and operation.also_activate:
        lines.append((gettext("Card activated"), gettext("yes")))
    if operation.original is not None:
        lines.append((gettext("For"), operation_words.the_thing(operation.original)))
    if done and after:
        lines.append((gettext("New balance"), after))
    lines += [
        (gettext("Served by"), operation_words.name_of(operation.asked_by)),
        (gettext("Time"), zoned(operation.ended_at if done and operation.ended_at else operation.asked_at, merchant)),
    ]
    references = [(gettext("Our reference"), operation.reference)]
    if operation.provider_reference:
        references.append((gettext("Reference at %(name)s") % {"name": operation.connection.name},
                           operation.provider_reference))  # fmt: skip
    return Paper(
        shop=merchant.name,
        store=store,
        title=operation_words.title(operation),
        amount=operation_words.amount(operation),
        confirmed=done,
        note="" if done else _note(operation),
        lines=lines,
        references=references,
        code=code(operation.reference),
        sandbox=operation.connection.environment == "sandbox",
    )


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
