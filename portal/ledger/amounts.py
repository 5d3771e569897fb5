"""Amounts as people type them, read so that no amount is taken for another."""

import re

from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from portal import formats
from portal.money import HARD_CAP, Money, minor_digits

_ODD_SIGNS = {**dict.fromkeys(map(ord, "\u00a0\u2009\u202f"), " "), ord("’"): "'"}


def read_amount(typed: str, currency: str) -> Money:
    """The amount a person meant, or ValidationError with a sentence that says how to type it.

    12.50 and 12,50 are the same; digits alone are counted from the right, as on every till: 1250 is 12.50. Thousands
    may be grouped as the reader's language groups them. What could be two amounts, such as 1,234, is asked about.
    """
    text = typed.translate(_ODD_SIGNS).strip()
    places = minor_digits(currency)
    if re.match(r"[-−–]", text):
        raise ValidationError(gettext("Type an amount of more than nothing."))
    if len(text) > 24 or not re.fullmatch("[0-9]+(?:[.,' ][0-9]*)*|[.,][0-9]+", text):
        raise ValidationError(gettext("Type an amount such as %(example)s.") % {"example": _example(currency)})
    minor = int(text) if text.isdigit() else _with_separators(text, currency, places)
    if minor == 0:
        raise ValidationError(gettext("Type an amount of more than nothing."))
    if minor > HARD_CAP:
        raise ValidationError(gettext("This amount is too large."))
    return Money(minor, currency)


def _with_separators(text: str, currency: str, places: int) -> int:
    decimal, group = formats.decimal_sign(), formats.group_sign().translate(_ODD_SIGNS)
    grouped = f"[0-9]{{1,3}}(?:{re.escape(group)}[0-9]{{3}})"
    if re.fullmatch(f"{grouped}+{re.escape(decimal)}[0-9]{{0,{places}}}|{grouped}{{2,}}", text):
        whole, _point, fraction = text.replace(group, "").partition(decimal)
        return _minor(whole, fraction, places)
    single = re.fullmatch("([0-9]*)([.,])([0-9]*)", text)
    if single is None:
        raise ValidationError(
            gettext("Type it without thousands, such as %(example)s.") % {"example": _example(currency, 123450)}
        )
    whole, sign, fraction = single.groups()
    if len(fraction) == 3 and 1 <= len(whole) <= 3 and not (places == 3 and sign == decimal):
        raise _two_ways(text, whole, fraction, currency, places)
    if len(fraction) > places:
        raise ValidationError(
            gettext("%(currency)s has no smaller parts. Type a whole amount.") % {"currency": currency}
            if places == 0
            else gettext("This is divided more finely than %(currency)s is. Type it such as %(example)s.")
            % {"currency": currency, "example": _example(currency)}
        )
    return _minor(whole, fraction, places)


def _two_ways(text: str, whole: str, fraction: str, currency: str, places: int) -> ValidationError:
    thousands = formats.typed(Money(_minor(whole + fraction, "", places), currency))
    if places == 0:
        return ValidationError(
            gettext("%(typed)s can be read in two ways. If you mean %(this)s, type it so.")
            % {"typed": text, "this": thousands}
        )
    # Each written so that it is read one way only.
    decimals = formats.typed(Money(_minor(whole, fraction[:places], places), currency))
    return ValidationError(
        gettext("%(typed)s can be read in two ways. Type %(this)s or %(that)s.")
        % {"typed": text, "this": thousands, "that": decimals}
    )


def _minor(whole: str, fraction: str, places: int) -> int:
    return int((whole or "0") + fraction.ljust(places, "0"))


def _example(currency: str, minor: int = 1250) -> str:
    return formats.typed(Money(minor, currency))
