"""The vocabulary: strict JSON, failures that keep secrets, settings that say what is wrong."""

import inspect
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.connectors import fields
from portal.connectors.base import (
    ActivateRequest,
    BadNumber,
    BalanceRequest,
    CardStatus,
    ClientContext,
    CustomerDetails,
    Declined,
    Extra,
    Failure,
    Misconfigured,
    PayRequest,
    PointsRequest,
    Reading,
    Reason,
    Receipt,
    SettingsError,
    TipRequest,
    TopUpRequest,
    Unclear,
    Unreachable,
    Unsupported,
    VoidRequest,
    secret_names,
)
from portal.connectors.results import LONGEST_LINE, Align, ReceiptLine
from portal.connectors.strict_json import read_json
from portal.money import HARD_CAP, Money, MoneyError, Points

# ---- JSON --------------------------------------------------------------------------------------------------


def test_numbers_are_read_as_whole_or_decimal_and_never_as_float():
    assert read_json(b'[1, 19.99, 1e2, -0.0, "\\u00e4"]') == [
        1,
        Decimal("19.99"),
        Decimal("1E+2"),
        Decimal("-0.0"),
        "ä",
    ]
    for number in (b"1", b"19.99", b"1e2", b"-0.0"):
        assert not isinstance(read_json(number), float)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html>",
        b'{"a": 1',
        b'{"a": 1} {}',
        b"\xef\xbb\xbf{}",
        '{"a": "ä"}'.encode("latin-1"),
        '{"a": 1}'.encode("utf-16"),
        b'{"a": 1, "a": 1}',
        b'{"x": {"a": 1, "\\u0061": 2}}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'["\\ud800"]',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"9" * 5_000,
        b"1." + b"9" * 5_000,
        b"1e99999999999999999999",
        b"'a'",
        b"\0{}",
    ],
    ids=lambda body: repr(body[:16]),
)
def test_a_body_two_readers_could_read_differently_is_unreadable(body):
    with pytest.raises(Unclear) as caught:
        read_json(body)

    assert caught.value.reason is Reason.UNREADABLE


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_unclear(body):
    with suppress(Unclear):
        read_json(body)


# ---- Failures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Declined, Misconfigured, Unreachable, Unclear, Unsupported])
def test_a_failure_says_its_reason_and_nothing_foreign(kind):
    failure = kind(reason=Reason.REFUSED, provider_text="card 4711 unknown", trace="trace 4711")

    assert isinstance(failure, Failure)
    assert (str(failure), failure.provider_text, failure.trace) == (
        "refused",
        "card 4711 unknown",
        "trace 4711",
    )
    assert "4711" not in repr(failure)


def test_the_provider_s_text_is_cleaned_and_cut():
    failure = Declined(reason=Reason.REFUSED, provider_text="a\0\u202eb" + "x" * 1_000_000, trace="t\r\nu")

    assert failure.provider_text == "ab" + "x" * 498
    assert failure.trace == "t u"


@pytest.mark.parametrize(("asked", "kept"), [(30, 30), (0, 1), (-5, 1), (3600, 3600), (10**9, 3600), (None, None)])
def test_a_wait_is_clamped(asked, kept):
    assert Declined(reason=Reason.THROTTLED, retry_after=asked).retry_after == kept


def test_every_reason_says_what_it_means():
    source = inspect.getsource(Reason)
    explained = dict(re.findall(r'^    [A-Z_]+ = "([a-z_]+)"  # (.+)$', source, re.MULTILINE))

    assert explained.keys() == set(Reason)
    assert len(set(explained.values())) == len(Reason)


# ---- Requests and readings ---------------------------------------------------------------------------------

MONEY, COUNT = Money(1050, "EUR"), Points(7)


def moving(kind, amount):
    """A request of this kind that moves `amount`."""
    given = {"reference": "r1", "number": "4711"}
    if kind in {VoidRequest, TipRequest}:
        given["original"] = "o1"
    given["points" if kind is PointsRequest else "amount"] = amount
    return kind(**given)


@pytest.mark.parametrize("kind", [TopUpRequest, PayRequest, VoidRequest, TipRequest])
def test_points_are_never_moved_as_money(kind):
    assert moving(kind, MONEY).amount == MONEY
    for wrong in (COUNT, 7, 10.5, "10.50", None):
        with pytest.raises(TypeError):
            moving(kind, wrong)


def test_money_is_never_moved_as_points():
    assert moving(PointsRequest, COUNT).points == COUNT
    for wrong in (MONEY, 7, 7.0, "7", True, None):
        with pytest.raises(TypeError):
            moving(PointsRequest, wrong)


@pytest.mark.parametrize("count", [0, -1, -1050, HARD_CAP + 1, 2**63])
def test_nothing_and_less_and_the_absurd_are_not_moved(count):
    for kind in (TopUpRequest, PayRequest, VoidRequest, TipRequest):
        with pytest.raises(MoneyError):
            moving(kind, Money(count, "EUR"))
    with pytest.raises(MoneyError):
        moving(PointsRequest, Points(count))


def test_the_smallest_and_the_largest_amount_are_moved():
    for count in (1, HARD_CAP):
        assert moving(PayRequest, Money(count, "EUR")).amount.minor == count
        assert moving(PointsRequest, Points(count)).points.count == count


def test_a_top_up_activates_nothing_unless_it_says_so():
    assert not moving(TopUpRequest, MONEY).activate


def test_a_customer_shows_nothing():
    details = CustomerDetails(**dict.fromkeys(vars(CustomerDetails()), "canary"))
    request = ActivateRequest(number="4711", reference="r1", customer=details)

    assert repr(details) == "CustomerDetails()"
    assert "canary" not in repr(request) + repr(Reading(status=CardStatus.USABLE, customer=details))


def test_a_receipt_does_not_show_the_answer_it_was_made_of():
    receipt = Receipt(provider_reference="c1", raw="canary")

    assert (receipt.balances, receipt.lines) == ((), ())
    assert "canary" not in repr(receipt)


@pytest.mark.parametrize(
    "line",
    [
        ReceiptLine.separator(),
        ReceiptLine.separator("Kundenkarte"),
        ReceiptLine.pair("TA Code:", "32076570", important=True),
        ReceiptLine.of_text("Danke", align=Align.CENTER),
        ReceiptLine.of_text("30,10 EUR", important=True),
        ReceiptLine.space(),
        ReceiptLine.cut(),
    ],
    ids=lambda line: f"{line.kind} {line.text}".strip(),
)
def test_a_line_of_a_receipt_is_stored_and_read_as_it_was(line):
    stored = json.loads(json.dumps(line.as_plain()))

    assert ReceiptLine.from_plain(stored) == line
    assert all(stored.values())  # what is usual is left out


def test_a_line_of_a_receipt_holds_nothing_that_cannot_be_seen():
    line = ReceiptLine.pair("Na\u202eme\x00", " a\n\tb\u200b " + "x" * 5000)

    assert (line.name, line.text) == ("Name", "a b " + "x" * (LONGEST_LINE - 4))


def test_a_request_shows_neither_card_nor_browser():
    client = ClientContext("198.51.100.7", (("User-Agent", "canary"),))
    shown = repr(BalanceRequest(number="canary", pin="canary", client=client)) + repr(client)

    assert "canary" not in shown
    assert "198.51" not in shown


def test_a_reading_does_not_show_its_token():
    assert "canary" not in repr(Reading(status=CardStatus.USABLE, usage_token="canary"))


@pytest.mark.parametrize(
    "both",
    [
        {"expires": date(2027, 1, 1), "expires_at": datetime(2027, 1, 1, tzinfo=UTC)},
        {"expires": datetime(2027, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_card_expires_after_a_day_or_at_a_moment(both):
    with pytest.raises(ValueError, match="not both"):
        Reading(status=CardStatus.USABLE, **both)


def test_a_bad_number_is_a_sentence_that_can_be_translated():
    bad = BadNumber("Type at least %(count)d characters.", count=5)

    assert (str(bad), bad.message % bad.values) == ("Type at least 5 characters.",) * 2


# ---- Settings ----------------------------------------------------------------------------------------------


def shout(value):
    if value == "whisper":
        raise fields.Refused("Speak up.", reason=Reason.WRONG_KEY)
    return value.upper()


@dataclass(frozen=True, kw_only=True)
class Sample(fields.Settings):
    base_url: str = fields.address(label="Address")
    key: str = fields.secret(label="Key", maximum=8)
    name: str = fields.text(label="Name", check=shout, maximum=8)
    note: str = fields.text(label="Note", default="")
    mode: str = fields.choice(label="Mode", choices=(("a", "A"), ("b", "B")), default="a")
    many: int = fields.number(label="Many", minimum=4, maximum=40, default=5)
    loud: bool = fields.switch(label="Loud", default=False)


@dataclass(frozen=True, kw_only=True)
class Switched(fields.Settings):
    many: int = fields.number(label="Many", minimum=0, maximum=40, default=5)
    on: bool = fields.switch(label="On", default=True)


@dataclass(frozen=True, kw_only=True)
class Typed(Extra):
    how: str = fields.choice(label="How", choices=(("t", "Typed"), ("s", "Scanned")), default="t")
    member: str = fields.secret(label="Member")


GOOD = {"base_url": "https://a.example/", "key": " s3cret ", "name": " bell "}


def test_settings_are_tidied_and_completed():
    assert Sample.parse(GOOD) == Sample(
        base_url="https://a.example", key=" s3cret ", name="BELL", note="", mode="a", many=5, loud=False
    )


def test_a_form_s_texts_become_the_right_types():
    parsed = Sample.parse(GOOD | {"many": " 12 ", "loud": "on", "mode": "b"})

    assert (parsed.many, parsed.loud, parsed.mode) == (12, True, "b")


def test_an_empty_box_takes_the_default_and_an_empty_switch_is_off():
    parsed = Switched.parse({"many": "", "on": ""})

    assert (parsed.many, parsed.on) == (5, False)


def test_true_is_no_number():
    with pytest.raises(SettingsError):
        Switched.parse({"many": True})


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("HTTPS://Cards.Example.com/Api/", "https://cards.example.com/Api"),
        ("https://bücher.example/Api", "https://xn--bcher-kva.example/Api"),
        ("http://127.0.0.1:8100/cardinquiry", "http://127.0.0.1:8100/cardinquiry"),
        ("http://[::1]:8100", "http://[::1]:8100"),
    ],
)
def test_an_address_is_kept_as_it_will_be_sent(typed, kept):
    assert Sample.parse(GOOD | {"base_url": typed}).base_url == kept


def test_settings_do_not_show_their_secrets():
    assert "s3cret" not in repr(Sample.parse(GOOD))
    assert secret_names(Sample) == {"key"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": None},
        {"base_url": "ftp://a.example"},
        {"base_url": "https://"},
        {"base_url": "https://a.example/?token=1"},
        {"base_url": "https://a.example/#x"},
        {"base_url": "https://u@a.example"},
        {"base_url": "https://a.example:99999"},
        {"base_url": "https://a.exam\tple"},
        {"base_url": "https://a.example\\b"},
        {"base_url": "https://[::1"},
        {"base_url": f"https://{'ä' * 70}.example"},
        {"key": ""},
        {"key": "123456789"},
        {"key": 5},
        {"name": "   "},
        {"name": "123456789"},
        {"name": "whisper"},
        {"mode": "c"},
        {"many": 3},
        {"many": 41},
        {"many": True},
        {"many": 5.0},
        {"many": "٥"},
        {"many": "five"},
        {"loud": "maybe"},
        {"loud": 1},
        {"nonsense": "x"},
    ],
    ids=repr,
)
def test_each_wrong_setting_gets_its_sentence(wrong):
    with pytest.raises(SettingsError) as caught:
        Sample.parse(GOOD | wrong)

    (name,) = wrong
    assert caught.value.errors.keys() == {name}
    assert caught.value.errors[name].endswith(".")
    assert "s3cret" not in str(caught.value) + repr(caught.value)


def test_all_wrong_settings_are_named_at_once():
    with pytest.raises(SettingsError) as caught:
        Sample.parse({"many": 1})

    assert caught.value.errors.keys() == {"base_url", "key", "name", "many"}


def test_a_check_s_reason_is_kept():
    with pytest.raises(SettingsError) as caught:
        Sample.parse(GOOD | {"name": "whisper"})

    assert caught.value.reason is Reason.WRONG_KEY


def test_the_options_are_the_settings_without_secrets():
    assert Sample.options(GOOD) == {
        "base_url": "https://a.example",
        "name": "BELL",
        "note": "",
        "mode": "a",
        "many": 5,
        "loud": False,
    }
    assert Sample.options({name: value for name, value in GOOD.items() if name != "key"}) == Sample.options(GOOD)


def test_a_form_can_be_made_from_the_declaration():
    declared = Sample.declared()

    assert list(declared) == ["base_url", "key", "name", "note", "mode", "many", "loud"]
    assert [field.kind for field in declared.values()] == [
        *("address", "secret", "text", "text", "choice", "number", "switch")
    ]
    assert {name for name, field in declared.items() if field.required} == {"base_url", "key", "name"}


def test_extra_inputs_are_declared_and_read_like_settings():
    parsed = Typed.parse({"how": " s ", "member": "canary"})

    assert (parsed.how, parsed.member) == ("s", "canary")
    assert "canary" not in repr(parsed)
    assert list(Typed.declared()) == ["how", "member"]
    with pytest.raises(SettingsError) as caught:
        Typed.parse({"how": "x", "other": "y"})
    assert caught.value.errors.keys() == {"how", "member", "other"}
