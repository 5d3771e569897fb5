"""Finding anything by whatever somebody on call was told of it, over all merchants.

One box: our reference or the provider's, a look-up's, a shopper's, a mail's number or Message-ID, a request's, or the
end of a card's number with an amount or a day. Each kind has its index, which begins with the merchant where rows have
one; each merchant's part is looked into. Whoever calls has opened every merchant's rows.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Q

from portal import dates
from portal.ledger import finding
from portal.ledger.models import Card, Inquiry, Operation
from portal.mail.models import OutgoingMail
from portal.merchants.models import AuditEntry, Merchant
from portal.shopper.models import Try, ending_of

LONGEST = finding.LONGEST  # characters that are looked at
SHOWN = 20  # of a kind; whoever sees so many narrows it
# A day is the merchant's own: from where it begins first to where it ends last.
EAST, WEST = timedelta(hours=14), timedelta(hours=12)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is meant, by kind, newest first."""

    operations: list[Operation]
    look_ups: list[Inquiry]
    tries: list[Try]
    mails: list[OutgoingMail]
    lines: list[AuditEntry]

    @property
    def is_empty(self) -> bool:
        return not (self.operations or self.look_ups or self.tries or self.mails or self.lines)


def find(typed: str) -> Found:
    """Everything it may mean."""
    typed = typed.strip()[:LONGEST]
    by_reference = finding.anywhere(typed)[:SHOWN]
    known = {each.pk for each in by_reference}
    by_card = [each for each in _by_card(typed) if each.pk not in known]
    return Found(
        operations=by_reference + by_card,
        look_ups=_look_ups(typed),
        tries=_tries(typed),
        mails=_mails(typed),
        lines=_lines(typed),
    )


def _by_card(typed: str) -> list[Operation]:
    """By the end of a card's number, with an amount or a day beside it: alone it is too many people's."""
    currencies = Merchant.objects.values_list("currency", flat=True).distinct()
    sought = finding.read(typed, currencies=currencies)
    if sought.is_lost or not sought.last_four or not (sought.minors or sought.day):
        return []
    merchants = list(Merchant.objects.values_list("pk", flat=True))
    spellings = {sought.last_four, sought.last_four.upper(), sought.last_four.lower()}
    cards = list(
        Card.objects.filter(merchant__in=merchants, last_four__in=spellings).values_list("pk", flat=True)[
            : finding.MOST
        ]
    )
    rows = Operation.objects.filter(merchant__in=merchants, card__in=cards)
    if sought.minors:
        rows = rows.filter(Q(amount_minor__in=sought.minors) | Q(points__in=sought.minors))
    if sought.day is not None:
        since, until = dates.bounds(sought.day, sought.day)
        rows = rows.filter(asked_at__gte=since - EAST, asked_at__lt=until + WEST)
    return list(rows.select_related("merchant", "connection", "card", "original").order_by("-asked_at", "-id")[:SHOWN])


def _look_ups(typed: str) -> list[Inquiry]:
    key = _key(typed)
    if key is None:
        return []
    merchants = list(Merchant.objects.values_list("pk", flat=True))
    return list(
        Inquiry.objects.filter(merchant__in=merchants, key=key).select_related("merchant", "connection")[:SHOWN]
    )


def _tries(typed: str) -> list[Try]:
    """Of shoppers at public pages, who are told a reference where no balance could be shown."""
    ending = ending_of(typed)
    if not ending:
        return []
    merchants = list(Merchant.objects.values_list("pk", flat=True))
    rows = Try.objects.filter(merchant__in=merchants, ending=ending).select_related("merchant", "connection")
    return list(rows.order_by("-at", "-id")[:SHOWN])


def _mails(typed: str) -> list[OutgoingMail]:
    key = _key(typed)
    message = typed if typed.startswith("<") else f"<{typed}>"
    which = Q(message_id=message) | Q(key=key) if key else Q(message_id=message)
    return list(OutgoingMail.objects.light().filter(which).select_related("merchant")[:SHOWN])


def _lines(typed: str) -> list[AuditEntry]:
    """What the trail says of one request: its reference stands on every error page and in the logs."""
    if not re.fullmatch("[0-9A-Za-z-]{8,40}", typed):
        return []
    lines = AuditEntry.objects.filter(request_id=typed, request_id__gt="").select_related("merchant", "person")
    return list(lines.order_by("-id")[:SHOWN])


def _key(typed: str) -> UUID | None:
    try:
        return UUID(typed)
    except ValueError:
        return None
