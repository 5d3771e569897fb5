"""Finding operations and cards by what stands on papers: a reference, the end of a card's number, an amount, a day.

What is typed is text: no sign in it has a meaning. Prefixes are ranges, not LIKE: under row-level security PostgreSQL
looks at the policy before an operator that might tell of rows it must not show, and LIKE is one, so it could use no
index. What is found comes as ids, at most MOST and one more, so that each kind of reference is looked for in its own
index and whoever asks can narrow, sort and page what was found like any other list.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet

from portal import dates, formats
from portal.ledger.amounts import read_amount
from portal.ledger.models import Card, Operation
from portal.merchants import tenancy
from portal.merchants.models import Merchant
from portal.money import minor_digits

LONGEST = 200  # nothing longer is looked for; our longest column holds 100
MOST = 1000
# The beginning of a reference: what a page or a paper prints of ours at least. Theirs may be as short as it is.
SHORTEST = 6
# Operations looked through where nothing but an amount is known: no index holds amounts.
WALK = 10_000
LAST = "\U0010ffff"


@dataclass(frozen=True, kw_only=True)
class Sought:
    """What was typed, understood: a reference or the end of a card's number, and perhaps an amount and a day.

    Four characters may be both the end of a number and a whole reference; then either will do. `minors` are minor
    units, or points. `is_empty` says that nothing was typed, `is_lost` that it was not understood and finds nothing.
    """

    reference: str = ""
    last_four: str = ""
    minors: frozenset[int] = frozenset()
    day: date | None = None
    is_lost: bool = False

    @property
    def is_empty(self) -> bool:
        return self == Sought()


def read(typed: str, *, currencies: Iterable[str]) -> Sought:
    """What the reader of this language and country meant. `currencies` are those amounts may be in."""
    currencies = sorted(set(currencies))
    words = list(_words(typed, currencies))
    reference = last_four = ""
    minors: frozenset[int] = frozenset()
    day: date | None = None
    for word in words:
        if day is None and (read_as := formats.read_day(word)) is not None:
            day = read_as
        elif not last_four and re.fullmatch("[0-9A-Za-z]{4}", word):
            last_four = word
        elif not minors and (amounts := _amounts(word, currencies, alone=len(words) == 1)):
            minors = amounts
        elif not reference:
            reference = word
        else:
            return Sought(is_lost=True)
    if last_four and len(words) == 1:
        reference = last_four
    return Sought(reference=reference, last_four=last_four, minors=minors, day=day)


def operation_ids(merchant: Merchant, sought: Sought) -> list[int]:
    """The merchant's operations that are meant, in no order; more than MOST says that there are more."""
    if sought.is_lost or sought.is_empty:
        return []
    rows = Operation.objects.filter(merchant=merchant)
    narrowed = _narrowed(rows, sought)
    cards = card_ids(merchant, sought.last_four) if sought.last_four else []
    either = sought.reference == sought.last_four
    wanted: list[QuerySet[Operation]] = []
    if sought.reference:
        both = narrowed.filter(card__in=cards) if sought.last_four and not either else narrowed
        wanted += [both.filter(kind) for kind in _kinds(sought.reference)]
    if sought.last_four and (either or not sought.reference):
        wanted.append(narrowed.filter(card__in=cards))
    if not sought.reference and not sought.last_four:
        wanted.append(narrowed if sought.day else narrowed.filter(_newest(rows)))
    return list(_some(wanted))


def card_ids(merchant: Merchant, last_four: str) -> list[int]:
    """The merchant's cards whose numbers end so, in no order; more than MOST says that there are more."""
    if not re.fullmatch("[0-9A-Za-z]{1,4}", last_four):
        return []
    spellings = {last_four, last_four.upper(), last_four.lower()}
    return list(
        Card.objects.filter(merchant=merchant, last_four__in=spellings).values_list("pk", flat=True)[: MOST + 1]
    )


def anywhere(reference: str) -> list[Operation]:
    """Operations of all merchants with this reference, ours or theirs, whole or as it begins; newest first, with
    their merchants. For administrators: whoever calls has made sure that one is asking."""
    words = list(_words(reference, []))
    if len(words) != 1:
        return []
    with tenancy.every_merchant("an administrator looks a reference up and does not know whose it is"):
        # Named one by one, so that each merchant's part of the index is looked into, and nothing else.
        rows = Operation.objects.filter(merchant__in=list(Merchant.objects.values_list("pk", flat=True)))
        found = _some([rows.filter(kind) for kind in _kinds(words[0])])
        linked = Operation.objects.filter(pk__in=found).select_related("merchant", "connection", "card")
        return list(linked.order_by("-asked_at", "-id")[:MOST])


# ---- Where each kind stands -----------------------------------------------------------------------------------------
def _kinds(reference: str) -> Iterator[Q]:
    """Each kind of reference it may be, in words of one index each."""
    digits = reference.replace("-", "").lower()
    if re.fullmatch(f"[0-9a-f]{{{SHORTEST},32}}", digits):
        yield Q(key__gte=UUID(digits.ljust(32, "0")), key__lte=UUID(digits.ljust(32, "f")))
    if len(reference) < SHORTEST:
        yield Q(provider_reference=reference, provider_reference__gt="")
        yield Q(trace=reference, trace__gt="")
    else:
        yield Q(provider_reference__gte=reference, provider_reference__lt=reference + LAST, provider_reference__gt="")
        yield Q(trace__gte=reference, trace__lt=reference + LAST, trace__gt="")


def _narrowed(rows: QuerySet[Operation], sought: Sought) -> QuerySet[Operation]:
    if sought.minors:
        rows = rows.filter(Q(amount_minor__in=sought.minors) | Q(points__in=sought.minors))
    if sought.day is not None:
        since, until = dates.bounds(sought.day, sought.day)
        rows = rows.filter(asked_at__gte=since, asked_at__lt=until)
    return rows


def _newest(rows: QuerySet[Operation]) -> Q:
    edge = rows.order_by("-asked_at", "-id").values_list("asked_at", flat=True)[WALK : WALK + 1].first()
    return Q(asked_at__gte=edge) if edge else Q()


def _some(wanted: list[QuerySet[Operation]]) -> set[int]:
    """The numbers of all of these, in one statement, of which each part looks into its own index."""
    first, *others = (rows.order_by().values_list("pk", flat=True)[: MOST + 1] for rows in wanted)
    return set(first.union(*others) if others else first)


# ---- What was typed -------------------------------------------------------------------------------------------------
def _words(typed: str, currencies: list[str]) -> Iterator[str]:
    """The words of it, without what only decorates: the dots before a card's last four, the sign of a currency."""
    text = "".join(each if each.isprintable() else " " for each in typed[:LONGEST])
    for word in text.split():
        bare = "".join(each for each in word if unicodedata.category(each) != "Sc").strip("•*·…,;:")
        for currency in currencies:
            bare = bare.removeprefix(currency).removesuffix(currency)
        if bare:
            yield bare


def _amounts(word: str, currencies: list[str], *, alone: bool) -> frozenset[int]:
    """What the word says as an amount. Digits alone are an amount as at the till (1250 is 12.50) or a whole one; many
    of them, alone, are a reference."""
    if not re.fullmatch("[0-9]+(?:[.,'’][0-9]+)*", word) or len(word) > 15:
        return frozenset()
    if not word.isdigit():
        return frozenset(minor for currency in currencies for minor in _read(word, currency))
    if alone and len(word) > 4:
        return frozenset()
    whole = {int(word) * int(10 ** minor_digits(currency)) for currency in currencies}
    return frozenset(whole | {int(word)}) - {0}


def _read(word: str, currency: str) -> Iterator[int]:
    try:
        yield read_amount(word, currency).minor
    except ValidationError:
        return
