"""What stands on the shopper's paper, and what never does."""

from html.parser import HTMLParser

import pytest
from django.template.loader import render_to_string

from portal.connectors.results import Align, LineKind, ReceiptLine, first_lines
from portal.ledger import operation_words, receipts
from portal.ledger.models import Operation, OperationState
from tests.ledger.conftest import CARD, Till

S = OperationState
SAID = (
    ReceiptLine.separator("Kundenkarte"),
    ReceiptLine.pair("Kartennummer:", "•••• 4352"),
    ReceiptLine.pair("TA Code:", "32076570", important=True),
    ReceiptLine.space(),
    ReceiptLine.space(),
    ReceiptLine.of_text("Danke", align=Align.CENTER),
    ReceiptLine.of_text("7,90 EUR", important=True),
    ReceiptLine.separator(),
    ReceiptLine.of_text("Bis bald"),
)


def paper(operation: Operation, till: Till, *, after: str = "$17.60", store: str = "") -> receipts.Paper:
    return receipts.paper(operation, merchant=till.member.merchant, store=store, after=after)


def ours(printed: receipts.Paper) -> dict[str, str]:
    assert {line.kind for line in printed.lines} == {LineKind.PAIR}
    return {line.name: line.text for line in printed.lines}


@pytest.fixture
def payment(till: Till) -> Operation:
    return Operation.objects.select_related("connection", "card", "original", "asked_by").get(
        pk=till.gets("pay", 1250).pk
    )


def test_a_receipt_has_everything_a_shopper_may_ask_for(payment, till):
    printed = paper(payment, till, store="Hauptstraße")

    assert (printed.shop, printed.store, printed.title, printed.amount) == (
        "Bäckerei Jung", "Hauptstraße", "Payment", "$12.50",
    )  # fmt: skip
    lines = ours(printed)
    assert lines["Card"] == "•••• 8500"
    assert lines["Served by"] == "Alice"
    assert lines["New balance"] == "$17.60"
    assert lines["Time"].endswith("(Europe/Berlin)")
    assert [line.text for line in printed.references] == [payment.reference, payment.provider_reference]
    assert printed.confirmed
    assert printed.sandbox


def test_the_whole_number_is_on_no_paper(payment, till):
    assert CARD not in repr(paper(payment, till))


def test_a_balance_not_read_after_it_is_left_out(payment, till):
    assert "New balance" not in ours(paper(payment, till, after=""))


@pytest.mark.parametrize(
    ("state", "note"),
    [
        (S.CHECKING, "Not yet confirmed. We are checking; keep this slip."),
        (S.NEEDS_PERSON, "Not yet confirmed. We are checking; keep this slip."),
        (S.RUNNING, "Not yet confirmed. We are checking; keep this slip."),
        (S.WAITING, "Not yet confirmed. It has not been sent yet; keep this slip."),
        (S.REFUSED, "Refused. Nothing was moved on the card."),
        (S.FAILED, "Not sent. Nothing was moved on the card."),
    ],
)
def test_what_is_not_done_is_never_printed_as_done(payment, till, state, note):
    payment.state = state

    printed = paper(payment, till)

    assert not printed.confirmed
    assert printed.note == note
    assert "New balance" not in ours(printed)


def test_a_void_names_what_it_undid(payment, till):
    void = till.gets("void", 1250, original=payment)

    assert ours(paper(void, till))["For"] == operation_words.the_thing(payment)


def test_a_top_up_that_activated_says_so(till):
    operation = till.gets("top_up", 500, number="914639258868501", also_activate=True)

    assert ours(paper(operation, till))["Card activated"] == "yes"


# ---- The card company's own receipt --------------------------------------------------------------------------------


class Heard(HTMLParser):
    """What a screen reader would be given: elements with their text, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.said: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _value in attrs}
        if tag in ("hr", "br"):
            self.said.append((tag, ""))
        else:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        spoken = [tag for tag in self._open if tag in ("h2", "h3", "dt", "dd", "p")]
        if data.strip() and spoken:
            self.said.append((spoken[-1], data.strip()))


def theirs(printed: receipts.Paper) -> str:
    html = render_to_string("ledger/receipt_paper.html", {"paper": printed, "size": "80mm"})
    return html.partition('<section class="paper-theirs">')[2].partition("</section>")[0]


def with_receipt(payment: Operation, *lines: ReceiptLine) -> Operation:
    payment.receipt_lines = [line.as_plain() for line in lines]
    return payment


def test_a_provider_that_prints_nothing_adds_nothing(payment, till):
    assert payment.receipt_lines == []
    assert theirs(paper(payment, till)) == ""


def test_pairs_are_a_list_and_separators_headings(payment, till):
    heard = Heard(theirs(paper(with_receipt(payment, *SAID), till)))

    assert heard.said == [
        ("h2", f"What {payment.connection.name} says"),
        ("h3", "Kundenkarte"),
        ("dt", "Kartennummer:"),
        ("dd", "•••• 4352"),
        ("dt", "TA Code:"),
        ("dd", "32076570"),
        ("p", "Danke"),
        ("p", "7,90 EUR"),
        ("hr", ""),
        ("p", "Bis bald"),
    ]
    assert heard.elements.count("dl") == 1


def test_decorations_are_looks_alone(payment, till):
    html = theirs(paper(with_receipt(payment, *SAID), till))

    assert '<p class="paper-center"><bdi>Danke</bdi></p>' in html
    assert '<p class="paper-left paper-important"><bdi>7,90 EUR</bdi></p>' in html
    assert '<div class="paper-important"><dt><bdi>TA Code:</bdi></dt>' in html
    assert html.count("paper-space") == 1  # two spaces are one


def test_text_before_the_first_separator_has_no_rule_above_it(payment, till):
    printed = paper(with_receipt(payment, ReceiptLine.space(), ReceiptLine.of_text("Danke")), till)

    assert [(block.caption, block.begun, len(block.parts)) for block in printed.said] == [("", False, 1)]
    assert "<hr>" not in theirs(printed)


HOSTILE = (
    "<script>alert(1)</script>",
    "</section><h1>Gift</h1>",
    '" onmouseover="x',
    "{{ paper.code }}{% include 'x' %}",
    "\u202e00,005 EUR\u2066",
    "\x00\x1b[2J\x07",
    "x" * 5000,
    "e" + "\u0301" * 190,
)


@pytest.mark.parametrize("kind", ["separator", "pair", "text"])
def test_hostile_text_is_text(payment, till, kind):
    make = {"separator": ReceiptLine.separator, "pair": lambda each: ReceiptLine.pair(each, each),
            "text": ReceiptLine.of_text}[kind]  # fmt: skip

    html = theirs(paper(with_receipt(payment, *map(make, HOSTILE)), till))

    heard = Heard(html)
    assert set(heard.elements) <= {"h2", "h3", "div", "dl", "dt", "dd", "p", "bdi", "hr"}
    assert heard.attributes <= {"class"}
    assert not any(sign in html for sign in "\u202e\u2066\x00\x1b\x07")
    assert max(len(text) for _tag, text in heard.said) <= 200


def test_ten_thousand_lines_are_their_beginning_and_that_is_said(payment, till):
    lines = first_lines(ReceiptLine.of_text(str(each)) for each in range(10_000))

    printed = paper(with_receipt(payment, *lines), till)

    assert printed.goes_on
    assert "It goes on: this is its beginning." in theirs(printed)
    assert len(theirs(printed)) < 20_000


def test_what_it_says_of_money_changes_nothing_of_ours(payment, till):
    before = paper(payment, till)

    after = paper(with_receipt(payment, ReceiptLine.pair("New balance", "999,99 EUR")), till)

    assert (after.amount, after.lines, after.references) == (before.amount, before.lines, before.references)
