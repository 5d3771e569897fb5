"""Names are one line of letters, whatever was typed."""

import pytest

from portal.merchants.fields import NameField, one_line


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Alice   Sommer ", "Alice Sommer"),
        ("Alice\r\nBcc: victim@example.com", "Alice Bcc: victim@example.com"),
        ("Alice\u2028Sommer\u2029", "Alice Sommer"),
        ("\u202eecilA\u202c", "ecilA"),
        ("A\u200bli\ufeffce\u2066", "Alice"),
        ("A\x00l\x1bice\x7f", "Alice"),
        ("Al\u00adice", "Alice"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("\u200d\u200c", ""),
        ("\u202e \u200b", ""),
        ("O'Brien-Müller 李", "O'Brien-Müller 李"),
    ],
)
def test_a_name_keeps_its_letters_and_loses_what_nobody_sees(typed, kept):
    assert one_line(typed) == kept
    assert NameField(required=False).clean(typed) == kept
