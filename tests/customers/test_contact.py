"""What people type about people is made one and the same way, or refused with the reason."""

import pytest

from portal.customers import contact
from portal.customers.contact import Wrong


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Mara.Vogel@Example.COM ", "mara.vogel@example.com"),
        ("mara+shop@example.com", "mara+shop@example.com"),
        ("info@straße.de", "info@xn--strae-oqa.de"),
        ("info@BÜCHER.example", "info@xn--bcher-kva.example"),
    ],
)
def test_an_address_is_kept_one_way(typed, kept):
    assert contact.read_email(typed) == kept


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("a@b.de, c@d.de", "several"),
        ("a@b.de;c@d.de", "several"),
        ('"Mara" <a@b.de>', "several"),
        ("a@b.de\r\nBcc: victim@example.com", "several"),
        ("a@b@c.de", "several"),
        ("a\u202e@b.de", "not_an_address"),
        ("a\x00@b.de", "not_an_address"),
        ("mara", "not_an_address"),
        ("@example.com", "not_an_address"),
        ("mara@", "not_an_address"),
        ("mara@-example-.com", "not_an_address"),
        ("mara@example..\u00fc.com", "bad_domain"),
        ("mara@ex\u00adample.com", "not_an_address"),
        ("a" * 320 + "@example.com", "too_long"),
        ("a" * 1_000_000, "too_long"),
    ],
)
def test_what_is_not_one_address_is_refused_by_its_reason(typed, why):
    with pytest.raises(Wrong, match=why):
        contact.read_email(typed)


def test_an_address_in_another_script_shows_both_spellings():
    look_alike = contact.read_email("info@p\u0430ypal.com")  # its first a is Cyrillic

    assert contact.show_email(look_alike) == "info@p\u0430ypal.com (xn--pypal-4ve.com)"
    assert contact.show_email("info@paypal.com") == "info@paypal.com"


@pytest.mark.parametrize(
    ("typed", "region", "kept"),
    [
        ("030 901820", "DE", "+4930901820"),
        ("+49 (0)30 / 901820", "NZ", "+4930901820"),
        ("0049 30 901820", "DE", "+4930901820"),
        ("09 307 9900", "NZ", "+6493079900"),
    ],
)
def test_a_telephone_number_is_kept_one_way(typed, region, kept):
    assert contact.read_phone(typed, region) == kept


@pytest.mark.parametrize(
    ("typed", "region", "why"),
    [
        ("030 901820", "", "no_country"),
        ("call me", "DE", "not_a_number"),
        ("12", "DE", "not_a_number"),
        ("٠٣٠٩٠١٨٢٠", "DE", "not_a_number"),
        ("030 901820 ext. 5", "DE", "extension"),
        ("1" * 1_000_000, "DE", "not_a_number"),
    ],
)
def test_what_is_no_telephone_number_is_refused_by_its_reason(typed, region, why):
    with pytest.raises(Wrong, match=why):
        contact.read_phone(typed, region)


@pytest.mark.parametrize(
    ("typed", "begins"),
    [
        ("030 90", "+493090"),
        ("+49 30", "+4930"),
        ("0049-30", "+4930"),
        ("ab", ""),
        ("03", ""),
        ("(a+)+$", ""),
    ],
)
def test_the_beginning_of_a_number_is_understood(typed, begins):
    assert contact.phone_beginning(typed, "DE") == begins


def test_nothing_typed_stands_in_the_refusal():
    with pytest.raises(Wrong) as refused:
        contact.read_email("canary canary@example.com")

    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("Mara\r\nBcc: x", "Mara Bcc: x"), ("a\u202eb\u2066c\u200b", "abc"), ("  Mara \t Vogel ", "Mara Vogel")],
)
def test_a_name_loses_what_cannot_be_seen(typed, kept):
    assert contact.one_line(typed) == kept


@pytest.mark.parametrize(
    ("name", "folded"), [("Jäger, Zoë", "jager zoe"), ("STRAẞE", "strasse"), ("O'Neil", "o'neil"), ("王小明", "王小明")]
)
def test_names_are_compared_without_case_and_accents(name, folded):
    assert contact.fold(name) == folded
