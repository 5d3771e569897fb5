"""What people type about people: names, addresses and telephone numbers, made one and the same way.

Pure: no rows, no words for the page. A `Wrong` says with one of our words what cannot be taken.
"""

import re
import unicodedata

import idna
import phonenumbers
from babel.core import get_global
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from portal.connectors.redaction import clean

LONGEST_EMAIL = 254


class Wrong(ValueError):
    """This cannot be taken. `why` is one of: not_an_address, several, too_long, bad_domain, not_a_number, no_country,
    extension. The message holds nothing of what was typed."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def one_line(text: str) -> str:
    """A name without what cannot be seen: no controls, no direction marks, no line breaks."""
    return clean(text, limit=len(text) or 1)


def fold(text: str) -> str:
    """How names are compared and sorted: without accents and case, words one space apart."""
    bare = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return " ".join(bare.casefold().replace(",", " ").split())


# ---- E-mail -------------------------------------------------------------------------------------------------------
def read_email(typed: str) -> str:
    """One address in lower case, its domain as DNS writes it. Raises Wrong."""
    text = typed.strip()
    if len(text) > LONGEST_EMAIL:
        raise Wrong("too_long")
    if re.search(r"[,;<>\"\s]", text) or text.count("@") > 1:
        raise Wrong("several")
    local, at, domain = text.rpartition("@")
    if not at or one_line(text) != text:
        raise Wrong("not_an_address")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True, std3_rules=True).decode()
        except UnicodeError:
            raise Wrong("bad_domain") from None
    address = f"{local}@{domain}".lower()
    if len(address) > LONGEST_EMAIL:
        raise Wrong("too_long")
    try:
        validate_email(address)
    except ValidationError:
        raise Wrong("not_an_address") from None
    return address


def show_email(address: str) -> str:
    """The address for people. One in another script shows both spellings: look-alikes give themselves away."""
    local, at, domain = address.rpartition("@")
    if "xn--" not in domain:
        return address
    try:
        return f"{local}{at}{idna.decode(domain)} ({domain})"
    except UnicodeError:
        return address


# ---- Telephone ----------------------------------------------------------------------------------------------------
def region_of(time_zone: str) -> str:
    """The country whose numbers may be typed without their code, "" where the zone names none."""
    found = get_global("zone_territories").get(time_zone, "")
    return str(found) if len(found) == 2 else ""


def read_phone(typed: str, region: str) -> str:
    """The number as E.164. Raises Wrong."""
    if len(typed) > 50 or not typed.isascii():
        raise Wrong("not_a_number")
    try:
        number = phonenumbers.parse(typed, region or None)
    except phonenumbers.NumberParseException as error:
        missing = error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE
        raise Wrong("no_country" if missing else "not_a_number") from None
    if number.extension:
        raise Wrong("extension")
    if not phonenumbers.is_valid_number(number):
        raise Wrong("not_a_number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def show_phone(number: str) -> str:
    """+49 30 12345."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(number), phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    except phonenumbers.NumberParseException:
        return number


def phone_beginning(typed: str, region: str) -> str:
    """How a number that begins like this begins in E.164, "" where that cannot be told."""
    digits = re.sub(r"[\s()/.-]", "", typed)
    if not re.fullmatch(r"\+?[0-9]{3,20}", digits):
        return ""
    if digits.startswith("+"):
        return digits
    if digits.startswith("00"):
        return f"+{digits[2:]}"
    code = phonenumbers.country_code_for_region(region) if region else 0
    return f"+{code}{digits.removeprefix('0')}" if code else ""
