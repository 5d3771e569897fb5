"""Secrets are struck out however they are written; what remains can be stored and shown."""

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.connectors.redaction import Redactor, clean, hide_members, printable

PIN = 'p in/+"ä&<7'


@pytest.mark.parametrize(
    "written",
    [
        PIN,
        PIN.upper(),
        quote(PIN, safe=""),
        quote(PIN, safe="").lower(),
        quote_plus(PIN),
        json.dumps(PIN),
        json.dumps(PIN, ensure_ascii=False),
        json.dumps(PIN).replace("/", "\\/"),
        html.escape(PIN),
        base64.b64encode(PIN.encode()).decode(),
        base64.urlsafe_b64encode(PIN.encode()).decode(),
        base64.b64encode(f"u:{PIN}".encode()).decode(),
        base64.b64encode(f"us:{PIN}:x".encode()).decode(),
        base64.b64encode(f"user:{PIN}".encode()).decode(),
        "\0".join(PIN),
    ],
)
def test_a_secret_is_struck_out_however_it_is_written(written):
    assert "‹pin›" in Redactor({"pin": PIN})(f"before {written} after")


@given(
    secret=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=4, max_size=40),
    around=st.text(max_size=20),
)
def test_no_secret_survives(secret, around):
    if secret in "‹label›":
        return

    redacted = Redactor({"label": secret})(f"{around}{secret}{around}{quote(secret, safe='')}")

    assert secret not in redacted.replace("‹label›", "")


def test_a_short_secret_is_struck_out_only_where_it_stands_alone():
    redact = Redactor({"pin": "47d"})

    assert redact("/c/1?pass=47d&x=147d") == "/c/1?pass=‹pin›&x=147d"
    assert redact('{"pass": "47d", "id": "a47d"}') == '{"pass": "‹pin›", "id": "a47d"}'
    assert redact("/47D/") == "/‹pin›/"


def test_a_short_secret_does_not_give_itself_away_in_other_numbers():
    assert Redactor({"pin": "5"})('{"Balance": 25.50}') == '{"Balance": 25.50}'


def test_a_secret_within_a_secret_leaves_nothing_behind():
    assert Redactor({"pin": "2345", "number": "62803900012345"})("62803900012345 2345") == "‹number› ‹pin›"


def test_a_secret_that_is_part_of_a_label_does_not_break_it():
    assert Redactor({"number": "123456", "pin": "number"})("123456 number") == "‹number› ‹pin›"


def test_an_empty_secret_strikes_out_nothing():
    assert Redactor({"pin": ""})("text") == "text"


@pytest.mark.parametrize(
    "text",
    [
        '{"UsageToken": "tok3n", "x": 1}',
        '{"usagetoken" : "tok\\"3n"}',
        '{"UsageToken": "tok3n',
        '{"UsageToken": 12345}',
    ],
)
def test_a_hidden_member_s_value_is_struck_out_by_its_name(text):
    hidden = hide_members(text, ["UsageToken"])

    assert "tok" not in hidden.replace("Token", "").replace("token", "")
    assert "12345" not in hidden
    assert hidden.endswith('"x": 1}') or '"x"' not in text


def test_other_members_stay():
    assert hide_members('{"Status": "ok"}', ["UsageToken"]) == '{"Status": "ok"}'
    assert hide_members('{"Status": "ok"}', []) == '{"Status": "ok"}'


def test_text_is_cleaned_to_one_printable_line():
    assert clean(" a\0b\r\n\u202ec\u200b\ud800\u2028 <i>\te ") == "ab c <i> e"


def test_a_megabyte_of_text_is_cut_at_500_characters():
    assert clean("x" * 1_000_000) == "x" * 500


def test_printable_text_keeps_its_lines():
    assert printable("a\r\n\tb\0") == "a\r\n\tb"
