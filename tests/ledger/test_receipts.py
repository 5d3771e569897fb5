"""What stands on the shopper's paper, and what never does."""

import pytest

from portal.ledger import operation_words, receipts
from portal.ledger.models import Operation, OperationState
from tests.ledger.conftest import CARD, Till

S = OperationState


def paper(operation: Operation, till: Till, *, after: str = "$17.60", store: str = "") -> receipts.Paper:
    return receipts.paper(operation, merchant=till.member.merchant, store=store, after=after)


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
    lines = dict(printed.lines)
    assert lines["Card"] == "•••• 8500"
    assert lines["Served by"] == "Alice"
    assert lines["New balance"] == "$17.60"
    assert lines["Time"].endswith("(Europe/Berlin)")
    assert [text for _label, text in printed.references] == [payment.reference, payment.provider_reference]
    assert printed.confirmed
    assert printed.sandbox


def test_the_whole_number_is_on_no_paper(payment, till):
    assert CARD not in repr(paper(payment, till))


def test_a_balance_not_read_after_it_is_left_out(payment, till):
    assert "New balance" not in dict(paper(payment, till, after="").lines)


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
    assert "New balance" not in dict(printed.lines)


def test_a_void_names_what_it_undid(payment, till):
    void = till.gets("void", 1250, original=payment)

    assert dict(paper(void, till).lines)["For"] == operation_words.the_thing(payment)


def test_a_top_up_that_activated_says_so(till):
    operation = till.gets("top_up", 500, number="914639258868501", also_activate=True)

    assert dict(paper(operation, till).lines)["Card activated"] == "yes"
