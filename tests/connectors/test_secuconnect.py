"""secuconnect: held against its sandbox, and what an answer of any shape is taken for."""

import dataclasses
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from portal.connectors.addresses import check
from portal.connectors.base import (
    MOVES_VALUE,
    VERBS,
    ActivateRequest,
    BadNumber,
    Balance,
    BalanceRequest,
    BasketLine,
    CardStatus,
    Connector,
    CustomerDetails,
    Declined,
    Detail,
    Extra,
    Failure,
    FindRequest,
    Misconfigured,
    PayRequest,
    Reason,
    SaleRequest,
    SettingsError,
    Settles,
    TopUpRequest,
    Unclear,
    Unreachable,
    Unsupported,
    VoidRequest,
)
from portal.connectors.fields import Sentence
from portal.connectors.http import Exchange, HttpAnswer, Wire
from portal.connectors.redaction import hide_members
from portal.connectors.results import MOST_LINES, Align, ReceiptLine
from portal.connectors.secuconnect import DONE, UNDONE, Secuconnect
from portal.connectors.secuconnect_answers import Wanted, balances_of, is_done, missing_sum, read_card
from portal.connectors.secuconnect_baskets import LOAD_EAN
from portal.connectors.secuconnect_customers import contact
from portal.connectors.secuconnect_receipts import receipt_lines
from portal.connectors.secuconnect_settings import Payment, SecuconnectSettings
from portal.connectors.tokens import OwnTokens
from portal.money import Money, Points
from tests.conftest import Sandbox
from tests.connectors.servers import answering, hanging_up_after, response

EXAMPLES = Path(__file__).parent.parent / "examples" / "secuconnect"
SEED_CARD, SEED_STX = "9276004424644352", "STX_W28QKGS8H2X07TF64EDJ8DZEJN9RA2"
TYPED = " 9276 0044 2464 4016 "  # as the card has it printed: 50.00
TRANSACTIONS = "/api/v2/Smart/Transactions"
EUROS, REFERENCE = Money(2000, "EUR"), "0198c5a2e7c07b3e9f5f2b1c4d6e8f90"
CUSTOMER = CustomerDetails(first_name="Canary-first", last_name="Canary-last", email="canary@example.com", city="Ulm")
NOW = datetime(2026, 11, 28, tzinfo=UTC)

Ask = Callable[[], Secuconnect]


def number(end: str) -> str:
    return end if len(end) > 2 else f"92760044246440{end}"


def top_up(end: str = "01", cents: int = 2000, **more: Any) -> TopUpRequest:
    return TopUpRequest(number=number(end), amount=Money(cents, "EUR"), reference=REFERENCE, **more)


GOODS = BasketLine(
    article="30200", text="Dining service Puslnitz, 26 pieces", quantity=1, price=Money(5900, "EUR"), vat=19
)


def sale(end: str = "01", *, lines: tuple[BasketLine, ...] = (GOODS,), load: int = 2000, **more: Any) -> SaleRequest:
    """The document's own: goods for 59.00 and a load of 20.00."""
    goods = sum(line.price.minor * line.quantity for line in lines)
    wanted = {"number": number(end), "lines": lines, "load": Money(load, "EUR") if load else None}
    return SaleRequest(**{**wanted, "amount": Money(goods + load, "EUR"), "reference": REFERENCE, **more})


def pay(end: str = "16", cents: int = 1250, **more: Any) -> PayRequest:
    return PayRequest(number=number(end), amount=Money(cents, "EUR"), reference=REFERENCE, **more)


def void(original: str, end: str = "01", cents: int = 2000) -> VoidRequest:
    return VoidRequest(original=original, number=number(end), amount=Money(cents, "EUR"), reference=f"{REFERENCE}v")


def find(end: str = "01", cents: int = 2000, **more: Any) -> FindRequest:
    return FindRequest(
        **{"verb": "top_up", "reference": REFERENCE, "number": number(end), "amount": Money(cents, "EUR"), **more}
    )


@pytest.fixture
def connect_to(sandbox: Sandbox, exchanges: list[Exchange]) -> Iterator[Callable[..., Secuconnect]]:
    wires: list[Wire] = []
    known = sandbox.credentials("secuconnect")

    def make(*, origin: str = "", total_seconds: float = 5.0, environment: str = "sandbox", **more: object) -> Any:
        settings = {
            "base_url": f"{origin or sandbox.url}/secuconnect",
            "client_id": known["client_id"],
            "client_secret": known["client_secret"],
            "contract_id": known["contract_id"],
            "device_id": known["device_id"],
            "card_group": known["card_group"],
            **more,
        }
        wires.append(Wire(allow=[origin or sandbox.url]))
        return Secuconnect(
            SecuconnectSettings.parse(settings),
            wires[-1],
            exchanges.append,
            total_seconds=total_seconds,
            environment=environment,
        )

    yield make
    for wire in wires:
        wire.close()


@pytest.fixture
def shop(connect_to: Callable[..., Secuconnect]) -> Secuconnect:
    return connect_to()


def effects(sandbox: Sandbox) -> list[Any]:
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/_sandbox/effects")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return [json.loads(line) for line in lines]


def moved(sandbox: Sandbox) -> list[tuple[str, int | None]]:
    return [(each["verb"], each["amount"]) for each in effects(sandbox)]


def arm(sandbox: Sandbox, kind: str, path: str = f"{TRANSACTIONS}/", **more: object) -> None:
    sandbox.arm(kind, provider="secuconnect", path=path, **more)


def told(balances: tuple[Balance, ...]) -> dict[str, int]:
    return {b.kind: b.value.count if isinstance(b.value, Points) else b.value.minor for b in balances}


def failure_of(ask: Callable[[], object]) -> Failure:
    with pytest.raises(Failure) as caught:
        ask()
    return caught.value


def answer_of(document: object, status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps(document).encode(), lambda text: text)


def example(name: str) -> Any:
    return json.loads((EXAMPLES / f"{name}.json").read_text())


# ---- Shape -----------------------------------------------------------------------------------------------------


def test_it_has_its_verbs_and_settles_by_the_providers_record() -> None:
    assert Secuconnect.supports() == {"balance", "activate", "top_up", "pay", "sale", "void"}
    assert Secuconnect.settles is Settles.BY_REFERENCE
    assert Secuconnect.find is not Connector.find


@pytest.mark.parametrize("url", [url for named in Secuconnect.hosts.values() for url in named.values()])
def test_its_own_hosts_pass_its_settings_and_the_address_rules(url: str) -> None:
    assert SecuconnectSettings.declared()["base_url"].clean(url) == url
    check(url, resolve=lambda host, port: ["93.184.216.34"])


@pytest.mark.parametrize("verb", sorted(set(VERBS) - Secuconnect.supports()))
def test_a_verb_it_does_not_have_sends_nothing(shop: Secuconnect, exchanges: list[Exchange], verb: str) -> None:
    with pytest.raises(Unsupported):
        getattr(shop, verb)(PayRequest(number=SEED_CARD, amount=EUROS, reference=REFERENCE))

    assert exchanges == []


def test_without_a_card_group_no_card_is_made(connect_to: Callable[..., Secuconnect], sandbox: Sandbox) -> None:
    assert set(Secuconnect.unable({"card_group": ""})) == {"activate"}
    assert Secuconnect.unable({"card_group": "CRG_1"}) == {}
    no = failure_of(lambda: connect_to(card_group="").activate(ActivateRequest(number="", reference=REFERENCE)))

    assert (type(no), no.reason) == (Declined, Reason.BAD_INPUT)
    assert effects(sandbox) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base_url", "https://connect.secucard.com/api/v2"),
        ("base_url", "https://connect.secucard.com/a?b"),
        ("contract_id", "SDV_1"),
        ("device_id", "sdv_1"),
        ("card_group", "CRG_"),
        ("client_id", "a b"),
        ("auth_header", "Cookie"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(connect_to: Callable[..., Secuconnect], name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        connect_to(**{name: value})

    assert caught.value.errors.keys() == {name}


def test_what_is_wrong_with_a_number_in_the_settings_can_be_said_in_any_language(
    connect_to: Callable[..., Secuconnect],
) -> None:
    with pytest.raises(SettingsError) as caught:
        connect_to(check_number="12345")

    said = caught.value.errors["check_number"]
    assert isinstance(said, Sentence)
    assert (said.message, said.values) == ("Type at least %(count)d characters of the card number.", {"count": 8})


@pytest.mark.parametrize(("typed", "kept"), [(" 9276 0044-2464 4352 ", SEED_CARD), ("0000000A", "0000000A")])
def test_a_number_is_kept_as_it_is_but_for_its_groups(typed: str, kept: str) -> None:
    assert Secuconnect.clean_number(typed, {}) == kept


@pytest.mark.parametrize("typed", ["", "9276004", "9" * 41, "9276004424644352*", "٩" * 16, '9"' * 8])
def test_a_number_that_cannot_be_one_is_refused(typed: str) -> None:
    with pytest.raises(BadNumber):
        Secuconnect.clean_number(typed, {})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strange(Extra):
    """Of a provider that is not there."""


@pytest.mark.parametrize(
    ("verb", "request_"),
    [
        ("balance", BalanceRequest(number="1")),
        ("balance", BalanceRequest(number=SEED_CARD, extra=Strange())),
        ("activate", ActivateRequest(number=SEED_CARD, reference=REFERENCE)),
        ("activate", ActivateRequest(number="", reference="a b")),
        ("top_up", TopUpRequest(number="", amount=EUROS, reference=REFERENCE)),
        ("top_up", top_up(activate=True)),
        ("top_up", top_up(extra=Strange())),
        ("top_up", TopUpRequest(number=SEED_CARD, amount=Money(1, "USD"), reference=REFERENCE)),
        ("top_up", TopUpRequest(number=SEED_CARD, amount=EUROS, reference='x" OR id:*')),
        ("top_up", top_up(customer=CustomerDetails(email="a\nb"))),
        ("sale", sale(extra=Strange())),
        ("sale", sale(reference="a:*")),
        ("sale", sale("../../Sales")),
        ("sale", sale(lines=(dataclasses.replace(GOODS, ean=LOAD_EAN),))),
        ("sale", sale(customer=CustomerDetails(email="a\nb"))),
        ("void", void("PCI_1")),
        ("void", void("STX_1/../STX_2")),
        ("pay", pay(extra=Strange())),
        ("pay", PayRequest(number=SEED_CARD, amount=Money(1, "USD"), reference=REFERENCE)),
        ("pay", PayRequest(number="1", amount=EUROS, reference=REFERENCE)),
        ("find", FindRequest(verb="tip", reference=REFERENCE)),
        ("find", FindRequest(verb="top_up", reference="a:*")),
    ],
)
def test_what_cannot_be_sent_is_not_sent(
    shop: Secuconnect, exchanges: list[Exchange], verb: str, request_: object
) -> None:
    no = failure_of(lambda: getattr(shop, verb)(request_))

    assert (type(no), no.reason, exchanges) == (Declined, Reason.BAD_INPUT, [])


def test_real_or_not_is_never_guessed(connect_to: Callable[..., Secuconnect], exchanges: list[Exchange]) -> None:
    no = failure_of(lambda: connect_to(environment="").top_up(top_up()))
    assert (type(no), no.reason, exchanges) == (Misconfigured, Reason.SETTINGS, [])
    no = failure_of(lambda: connect_to(environment="").sale(sale()))

    assert (type(no), no.reason, exchanges) == (Misconfigured, Reason.SETTINGS, [])


# ---- The document's own messages -------------------------------------------------------------------------------


def test_a_load_is_built_as_the_document_prints_it(shop: Secuconnect, exchanges: list[Exchange]) -> None:
    printed = example("create_with_notification")["request"]["body"]
    shop.top_up(top_up())
    created = next(each for each in exchanges if each.url.endswith(TRANSACTIONS))

    sent = json.loads(created.request_body)

    assert sent["idents"] == [{"type": "card", "value": "‹number›"}]
    assert sent["basket"] == printed["basket"]
    for name in ("is_demo", "contract", "device_source", "intent", "basket_info"):
        assert sent[name] == printed[name], name
    assert sent["merchantRef"] == REFERENCE


def test_a_sale_is_built_as_the_document_prints_it(shop: Secuconnect, exchanges: list[Exchange]) -> None:
    printed = example("create")["request"]["body"]
    shop.sale(sale(SEED_CARD))
    created = next(each for each in exchanges if each.url.endswith(TRANSACTIONS))

    sent = json.loads(created.request_body)

    # Ours beside it: whose it is we have not said, and under which reference it will be found again.
    assert sent.pop("merchantRef") == REFERENCE
    assert sent.pop("idents") == [{"type": "card", "value": "‹number›"}]
    assert sent == {name: value for name, value in printed.items() if name not in {"customer", "idents"}}


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        (dataclasses.replace(GOODS, article="", ean="4006381333931"), {"ean": "4006381333931", "articleNumber": None}),
        (dataclasses.replace(GOODS, article="A-7"), {"articleNumber": "A-7"}),
        (dataclasses.replace(GOODS, article="0030"), {"articleNumber": "0030"}),
        (
            dataclasses.replace(GOODS, quantity=3, price=Money(5, "EUR"), vat=7),
            {"quantity": 3, "priceOne": 5, "tax": 7},
        ),
    ],
)
def test_a_line_is_sent_as_it_is(
    shop: Secuconnect, exchanges: list[Exchange], line: BasketLine, sent: dict[str, object]
) -> None:
    shop.sale(sale(lines=(line,), load=0))

    created = next(each for each in exchanges if each.url.endswith(TRANSACTIONS))
    (product,) = json.loads(created.request_body)["basket"]["products"]
    assert {name: product[name] for name in sent} == sent
    assert product.keys() - {"ean"} == {"id", "articleNumber", "desc", "quantity", "priceOne", "tax"}


def test_the_customer_is_written_to_by_the_template(
    connect_to: Callable[..., Secuconnect], sandbox: Sandbox, exchanges: list[Exchange]
) -> None:
    template = sandbox.credentials("secuconnect")["template_id"]
    connect_to(template=template).top_up(top_up(customer=CUSTOMER))

    assert moved(sandbox) == [("top_up", 2000), ("notify", None)]
    assert "canary" not in repr(exchanges).lower()


KNOWN = "PCU_H8ZQSFS9G2X07TF5JF89V55H645UA2"


def sent(exchanges: list[Exchange]) -> Any:
    """The body of the transaction that was created, as it may be kept."""
    return json.loads(next(each for each in exchanges if each.url.endswith(TRANSACTIONS)).request_body)


def test_a_customer_it_knows_is_named_by_its_number_alone(
    connect_to: Callable[..., Secuconnect], sandbox: Sandbox, exchanges: list[Exchange]
) -> None:
    template = sandbox.credentials("secuconnect")["template_id"]
    details = dataclasses.replace(CUSTOMER, number=KNOWN)

    receipt = connect_to(template=template).top_up(top_up(customer=details))

    assert sent(exchanges)["customer"] == {"id": "‹number›"}
    assert moved(sandbox) == [("top_up", 2000), ("notify", None)]
    assert KNOWN not in repr(exchanges) + repr(receipt) + receipt.raw


def test_a_contact_is_told_as_the_document_prints_it() -> None:
    printed = example("create_with_notification")["request"]["body"]["customer"]["contact"]
    details = CustomerDetails(
        salutation="mr",
        title="Dr.",
        first_name="Max",
        last_name="Mustermann",
        address1="Musterstr. 25 b",
        postal="99999",
        city="Musterstadt",
        country="DE",
        email="max123@example.org",
    )

    told = contact(details)

    # Ours has the street's number in the street, as people write it.
    where = {name: text for name, text in printed["address"].items() if name != "street_number"}
    assert told == {**printed, "address": {**where, "street": "Musterstr. 25 b"}}


@pytest.mark.parametrize("wrong", ["PCU_", "MRC_1", "PCU_a", "PCU_1/../x", "4711"])
def test_a_number_that_is_no_customers_is_not_sent(shop: Secuconnect, sandbox: Sandbox, wrong: str) -> None:
    no = failure_of(lambda: shop.top_up(top_up(customer=CustomerDetails(number=wrong))))

    assert (type(no), no.reason, effects(sandbox)) == (Declined, Reason.BAD_INPUT, [])
    assert not Secuconnect.knows_as(wrong)
    assert Secuconnect.knows_as(KNOWN)


@pytest.mark.parametrize(
    ("template", "customer", "written"),
    [
        (True, CUSTOMER, True),
        (True, CustomerDetails(number=KNOWN), True),
        (True, CustomerDetails(first_name="Canary-first"), False),
        (True, None, False),
        (False, CUSTOMER, False),
    ],
    ids=["address", "number", "no address", "nobody", "no template"],
)
def test_the_provider_writes_exactly_where_it_is_told_to(
    connect_to: Callable[..., Secuconnect],
    sandbox: Sandbox,
    exchanges: list[Exchange],
    template: bool,
    customer: CustomerDetails | None,
    written: bool,
) -> None:
    id = sandbox.credentials("secuconnect")["template_id"] if template else ""

    connect_to(template=id).top_up(top_up(customer=customer))

    told = {"action_type": "charge", "template_id": id} if written else None
    assert sent(exchanges).get("communications") == told
    assert (("notify", None) in moved(sandbox)) is written
    assert Secuconnect.writes({"template": id}) is template


def test_the_provider_writes_about_loads_alone(connect_to: Callable[..., Secuconnect], sandbox: Sandbox) -> None:
    shop = connect_to(template=sandbox.credentials("secuconnect")["template_id"])
    shop.activate(ActivateRequest(number="", reference=REFERENCE, customer=CUSTOMER))
    shop.sale(sale(load=0, customer=CUSTOMER))
    assert "notify" not in dict(moved(sandbox))

    shop.sale(sale(customer=CUSTOMER))

    assert moved(sandbox)[-1] == ("notify", None)


@pytest.mark.parametrize(("environment", "demo"), [("sandbox", True), ("live", False)])
def test_it_is_a_demo_exactly_in_the_sandbox(
    connect_to: Callable[..., Secuconnect], exchanges: list[Exchange], environment: str, demo: bool
) -> None:
    connect_to(environment=environment).top_up(top_up())

    created = next(each for each in exchanges if each.url.endswith(TRANSACTIONS))
    assert json.loads(created.request_body)["is_demo"] is demo


def documents_start() -> dict[str, Any]:
    """Its answer to the start, with what it leaves out there as it stands in the answer before."""
    created, started = (example(name)["response"]["body"] for name in ("create", "start"))
    ident = created["idents"][0] | started["idents"][0]
    ident["merchantcard"] = created["idents"][0]["merchantcard"] | started["idents"][0]["merchantcard"]
    return {**created, **started, "idents": [ident]}


def test_the_documents_start_is_read() -> None:
    started = documents_start()
    wanted = Wanted(id=SEED_STX, reference="", number=SEED_CARD, amount=Money(7900, "EUR"))

    assert is_done(answer_of(started), wanted, "top_up", done="ok") == started
    lines = receipt_lines(started, SEED_CARD)
    assert lines[:4] == (
        ReceiptLine.separator("Kundenkarte"),
        ReceiptLine.pair("Kartennummer:", "•••• 4352"),
        ReceiptLine.pair("TA Code:", "32076570"),
        ReceiptLine.space(),
    )
    assert lines[-1] == ReceiptLine.of_text("30,10 EUR", important=True)
    assert len(lines) == len(started["receipt"])


# ---- The provider's receipt ------------------------------------------------------------------------------------


def printed(*items: object, number: str = SEED_CARD, private: tuple[str, ...] = ()) -> tuple[ReceiptLine, ...]:
    return receipt_lines({"receipt": list(items)}, number, private)


def textline(text: object, *decoration: object) -> dict[str, object]:
    return {"type": "textline", "value": {"text": text, "decoration": list(decoration)}}


@pytest.mark.parametrize(
    ("decoration", "important", "align"),
    [
        ([], False, Align.LEFT),
        (["important"], True, Align.LEFT),
        (["align-center"], False, Align.CENTER),
        (["align_center"], False, Align.CENTER),
        (["important", "align-right"], True, Align.RIGHT),
        (["align_left", "blinking", 7, None], False, Align.LEFT),
    ],
    ids=["plain", "important", "center", "old spelling", "both", "unknown"],
)
def test_both_spellings_of_a_decoration_are_understood_and_unknown_ones_passed_over(
    decoration: list[object], important: bool, align: Align
) -> None:
    assert printed(textline("Danke", *decoration)) == (ReceiptLine.of_text("Danke", important=important, align=align),)


def test_an_important_pair_is_important_and_stays_where_pairs_stand() -> None:
    item = {"type": "name-value", "value": {"name": "Summe", "value": "5", "decoration": ["important", "align-right"]}}

    assert printed(item) == (ReceiptLine.pair("Summe", "5", important=True),)


def test_what_is_no_line_of_a_receipt_is_passed_over() -> None:
    odd = [None, 7, "x", {}, {"type": "image", "value": {"text": "x"}}, {"type": ["space"]}]
    assert printed(*odd, {"type": "space"}) == (ReceiptLine.space(),)
    assert printed({"type": "separator"}, textline(None), {"type": "textline", "value": "x"}) == (
        ReceiptLine.separator(),
        ReceiptLine.of_text(""),
        ReceiptLine.of_text(""),
    )
    for nothing in (None, "x", {"type": "space"}, 7):
        assert receipt_lines({"receipt": nothing}, SEED_CARD) == ()


def test_a_receipt_of_ten_thousand_lines_is_cut_and_says_so() -> None:
    lines = printed(*[textline("x" * 5000)] * 10_000)

    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == ReceiptLine.cut()
    assert {len(line.text) for line in lines[:-1]} == {200}


def test_invisible_signs_of_a_receipt_are_left_out() -> None:
    (line,) = printed(textline("Gut\u202ehaben\x00\x1b[31m\u200b\n 5"))

    assert line.text == "Guthaben[31m 5"


def test_neither_the_card_nor_its_holder_is_in_a_receipt() -> None:
    items = [
        {"type": "separator", "value": {"caption": f"Karte {SEED_CARD}"}},
        textline(f"{SEED_CARD[:4]} {SEED_CARD[4:8]} {SEED_CARD[8:12]}-{SEED_CARD[12:]}"),
        textline("Danke, Frau Ada CANARY-LOVELACE, Kundenkarte"),
    ]
    lines = printed(*items, private=("Ada", "canary-lovelace", "Kunde"))

    assert [line.text for line in lines] == ["Karte •••• 4352", "•••• 4352", "Danke, Frau … …, Kundenkarte"]


@pytest.mark.parametrize("amount", ["999.999,99 EUR", "-1,00 EUR", "0,00", "9" * 190, "", "\u0663\u0660 EUR"])
def test_no_amount_is_read_out_of_a_receipt(amount: str) -> None:
    """Whatever it says of money, what is done and what is on the card are told by the fields that hold cents."""
    started = documents_start()
    lying = [textline(amount, "important"), {"type": "name-value", "value": {"name": "Guthaben", "value": amount}}]
    wanted = Wanted(id=SEED_STX, reference="", number=SEED_CARD, amount=Money(7900, "EUR"))

    done = is_done(answer_of({**started, "receipt": lying}), wanted, "top_up", done="ok")

    assert done is not None
    assert balances_of(done, "EUR") == balances_of(started, "EUR")
    assert told(balances_of(done, "EUR")) == {"total": 3010, "cash": 2200, "bonus": 810, "points": 0}


def test_the_documents_card_is_read(shop: Secuconnect) -> None:
    reading = read_card(answer_of(example("balance")["response"]["body"]), number=SEED_CARD, currency="EUR", now=NOW)

    assert reading.status is CardStatus.USABLE  # although its stock_status is "inactive"
    assert told(reading.balances) == {"total": 220, "cash": 200, "bonus": 20, "points": 0}
    assert shop.balance(BalanceRequest(number=SEED_CARD)) == reading


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("create_card_unknown", (Declined, Reason.CARD_UNKNOWN)),
        ("create_sum_differs", (Declined, Reason.REFUSED)),
        ("token_expired", (Misconfigured, Reason.KEY_REFUSED)),
    ],
)
def test_an_example_of_an_error_is_read(name: str, expected: tuple[type[Failure], Reason]) -> None:
    printed = example(name)["response"]
    wanted = Wanted(id=SEED_STX, reference="", number=SEED_CARD, amount=None)
    no = failure_of(lambda: is_done(answer_of(printed["body"], printed["status"]), wanted, "top_up", done="ok"))

    assert (type(no), no.reason) == expected
    assert no.trace == printed["body"]["supportId"]


# ---- Looking up ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "status", "balances"),
    [
        ("01", CardStatus.EMPTY, {"total": 0, "cash": 0, "bonus": 0, "points": 0}),
        ("16", CardStatus.USABLE, {"total": 5000, "cash": 5000, "bonus": 0, "points": 120}),
        ("17", CardStatus.EXPIRED, {"total": 5000, "cash": 5000, "bonus": 0, "points": 0}),
        ("9276999999999999", CardStatus.NOT_FOUND, {}),
    ],
)
def test_a_card_is_looked_up(shop: Secuconnect, end: str, status: CardStatus, balances: dict[str, int]) -> None:
    reading = shop.balance(BalanceRequest(number=number(end)))

    assert (reading.status, told(reading.balances)) == (status, balances)
    assert (reading.expires_at is not None) == (status is CardStatus.EXPIRED)


@pytest.mark.parametrize(
    ("end", "kind", "reason"),
    [
        ("02", Declined, Reason.CARD_INACTIVE),
        ("19", Unclear, Reason.UNREADABLE),
        ("20", Unclear, Reason.UNREADABLE),
        ("21", Unclear, Reason.UNREADABLE),
        ("25", Declined, Reason.THROTTLED),
        ("26", Unclear, Reason.SERVER_ERROR),
        ("27", Misconfigured, Reason.KEY_REFUSED),
        ("28", Misconfigured, Reason.KEY_REFUSED),
        ("29", Misconfigured, Reason.ACCESS_REFUSED),
    ],
)
def test_a_card_of_trouble_is_told_for_what_it_is(
    shop: Secuconnect, end: str, kind: type[Failure], reason: Reason
) -> None:
    no = failure_of(lambda: shop.balance(BalanceRequest(number=number(end))))

    assert (type(no), no.reason) == (kind, reason)


def test_an_answer_about_another_card_is_no_answer() -> None:
    body = example("balance")["response"]["body"]
    no = failure_of(lambda: read_card(answer_of(body), number=number("01"), currency="EUR", now=NOW))

    assert (type(no), no.reason) == (Unclear, Reason.MISMATCH)


# ---- Loading ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", ["start", "cash"])
def test_a_load_is_booked_once_and_told(connect_to: Callable[..., Secuconnect], sandbox: Sandbox, capture: str) -> None:
    receipt = connect_to(capture=capture).top_up(top_up(SEED_CARD))

    bonus, load = effects(sandbox)
    assert [(each["verb"], each["amount"], each["reference"]) for each in (bonus, load)] == [
        ("bonus", 200, REFERENCE),
        ("top_up", 2000, REFERENCE),
    ]
    assert receipt.provider_reference == load["provider_reference"]
    assert told(receipt.balances) == {"total": 2420, "cash": 2200, "bonus": 220, "points": 0}
    assert receipt.lines[0] == ReceiptLine.separator("Kundenkarte")
    assert SEED_CARD not in repr(receipt) + receipt.raw


@pytest.mark.parametrize(
    ("end", "kind", "reason", "moves"),
    [
        ("9276999999999999", Declined, Reason.CARD_UNKNOWN, 0),
        ("02", Declined, Reason.CARD_INACTIVE, 0),
        ("04", Declined, Reason.REFUSED, 0),
        ("08", Declined, Reason.REFUSED, 0),
        ("17", Declined, Reason.CARD_INACTIVE, 0),
        ("09", Unclear, Reason.UNKNOWN_WORD, 1),
        ("10", Unclear, Reason.UNREADABLE, 1),
        ("11", Unclear, Reason.MISMATCH, 1),
        ("12", Unclear, Reason.MISMATCH, 1),
        ("26", Unreachable, Reason.SERVER_ERROR, 0),
        ("25", Unreachable, Reason.THROTTLED, 0),
        ("28", Misconfigured, Reason.KEY_REFUSED, 0),
    ],
)
def test_a_load_that_is_not_plainly_done_is_told_for_what_it_is(
    shop: Secuconnect, sandbox: Sandbox, end: str, kind: type[Failure], reason: Reason, moves: int
) -> None:
    no = failure_of(lambda: shop.top_up(top_up(end)))

    assert (type(no), no.reason) == (kind, reason)
    assert len(effects(sandbox)) == moves
    assert bool(no.provider_reference) == (kind is Unclear)


def test_a_balance_that_does_not_fit_does_not_undo_a_success(shop: Secuconnect, sandbox: Sandbox) -> None:
    assert told(shop.top_up(top_up("13")).balances)["cash"] == 5000
    assert shop.top_up(top_up("21")).balances == ()
    assert moved(sandbox) == [("top_up", 2000)] * 2


def test_what_is_pending_is_looked_at_until_it_is_done(shop: Secuconnect, sandbox: Sandbox) -> None:
    receipt = shop.top_up(top_up("05"))

    assert told(receipt.balances)["cash"] == 7000
    assert moved(sandbox) == [("top_up", 2000)]


def test_what_is_pending_may_fail(shop: Secuconnect, sandbox: Sandbox) -> None:
    no = failure_of(lambda: shop.top_up(top_up("06")))

    assert (type(no), no.reason, moved(sandbox)) == (Declined, Reason.REFUSED, [])


def test_what_stays_pending_is_unclear_with_its_reference(
    connect_to: Callable[..., Secuconnect], exchanges: list[Exchange]
) -> None:
    no = failure_of(lambda: connect_to(total_seconds=1.5).top_up(top_up("07")))

    assert (type(no), no.reason) == (Unclear, Reason.PENDING)
    assert no.provider_reference.startswith("STX_")
    assert [each.url.rsplit("/", 1)[1] for each in exchanges].count("start") == 1


# ---- Selling ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "bonus", "balances"),
    [
        (SEED_CARD, 790, {"total": 3010, "cash": 2200, "bonus": 810}),  # the document's own figures
        ("00", 590, {"total": 2810, "cash": 2200, "bonus": 610}),  # a load earns nothing here: the blacklist
    ],
)
def test_a_sale_that_loads_books_the_bonus_first_and_the_load_after_it(
    shop: Secuconnect, sandbox: Sandbox, end: str, bonus: int, balances: dict[str, int]
) -> None:
    receipt = shop.sale(sale(end))

    assert moved(sandbox) == [("bonus", bonus), ("top_up", 2000)]
    assert {kind: told(receipt.balances)[kind] for kind in balances} == balances
    assert number(end) not in repr(receipt) + receipt.raw


@pytest.mark.parametrize(
    ("verb", "request_", "booked"),
    [
        ("top_up", top_up(TYPED), ("top_up", 2000)),
        ("sale", sale(TYPED), ("top_up", 2000)),
        ("pay", pay(TYPED), ("pay", 1250)),
    ],
)
def test_a_card_typed_in_groups_is_the_card_that_the_answer_names(
    shop: Secuconnect, sandbox: Sandbox, exchanges: list[Exchange], verb: str, request_: Any, booked: tuple[str, int]
) -> None:
    receipt = getattr(shop, verb)(request_)

    found = shop.find(find(TYPED, request_.amount.minor, verb=verb))
    undone = dataclasses.replace(void(receipt.provider_reference, TYPED), amount=request_.amount)
    shop.void(undone)

    assert found.provider_reference == receipt.provider_reference
    assert moved(sandbox) == [booked, ("void", booked[1])]
    record = repr([vars(each) for each in exchanges]) + repr(receipt)
    assert TYPED.replace(" ", "") not in record


def test_a_sale_without_a_load_earns_and_loads_nothing(shop: Secuconnect, sandbox: Sandbox) -> None:
    receipt = shop.sale(sale(SEED_CARD, load=0))

    assert moved(sandbox) == [("bonus", 590)]
    assert told(receipt.balances)["cash"] == 200


@pytest.mark.parametrize(
    ("paid", "auto", "calls"),
    [
        ("till", False, ["start"]),
        ("till", True, ["start"]),
        ("cash", False, ["start/cash"]),
        ("debit", False, ["prepare/debit", "start"]),
        ("invoice", False, ["prepare/invoice", "start"]),
        ("invoice", True, ["prepare/invoice"]),
    ],
)
def test_a_sale_is_paid_as_said_and_booked_once(
    connect_to: Callable[..., Secuconnect],
    sandbox: Sandbox,
    exchanges: list[Exchange],
    paid: str,
    auto: bool,
    calls: list[str],
) -> None:
    connect_to(auto_capture=auto).sale(sale(extra=Payment(paid=paid)))

    made = [each.url.split(TRANSACTIONS, 1)[1] for each in exchanges if TRANSACTIONS in each.url]
    assert [path.split("/", 2)[2] for path in made if path] == calls
    assert moved(sandbox) == [("top_up", 2000)]


@pytest.mark.parametrize(("kind", "reason"), [("cut", Reason.CUT), ("error_after", Reason.SERVER_ERROR)])
def test_an_authorisation_that_is_lost_moved_nothing(
    shop: Secuconnect, sandbox: Sandbox, kind: str, reason: Reason
) -> None:
    arm(sandbox, kind)

    no = failure_of(lambda: shop.sale(sale(extra=Payment(paid="invoice"))))

    assert (type(no), no.reason, effects(sandbox)) == (Unreachable, reason, [])
    shop.sale(sale(extra=Payment(paid="invoice")))
    assert moved(sandbox) == [("top_up", 2000)]


def test_what_captures_by_itself_is_unclear_when_its_answer_is_lost_and_is_found(
    connect_to: Callable[..., Secuconnect], sandbox: Sandbox
) -> None:
    shop = connect_to(auto_capture=True)
    arm(sandbox, "cut")

    no = failure_of(lambda: shop.sale(sale(extra=Payment(paid="invoice"))))

    assert (type(no), no.reason) == (Unclear, Reason.CUT)
    wanted = find(verb="sale", cents=7900, provider_reference=no.provider_reference)
    assert told(shop.find(wanted).balances)["cash"] == 2000


def test_what_is_authorised_and_captures_by_itself_is_not_taken_for_undone(
    connect_to: Callable[..., Secuconnect], sandbox: Sandbox
) -> None:
    """Authorised by somebody who starts it, and then never: by itself it might still have been captured."""
    by_hand, by_itself = connect_to(), connect_to(auto_capture=True)
    arm(sandbox, "throttle", path=f"{TRANSACTIONS}/", times=1)
    lost = failure_of(lambda: by_hand.sale(sale()))
    by_hand._calls(number("01")).post(f"{TRANSACTIONS}/{lost.provider_reference}/prepare/invoice")
    wanted = find(verb="sale", cents=7900, provider_reference=lost.provider_reference)

    assert type(failure_of(lambda: by_hand.find(wanted))) is Declined
    assert type(failure_of(lambda: by_itself.find(wanted))) is Unclear
    assert effects(sandbox) == []


@pytest.mark.parametrize(
    ("end", "kind", "reason", "moves"),
    [
        ("9276999999999999", Declined, Reason.CARD_UNKNOWN, 0),
        ("02", Declined, Reason.CARD_INACTIVE, 0),
        ("04", Declined, Reason.REFUSED, 0),
        ("08", Declined, Reason.REFUSED, 0),
        ("09", Unclear, Reason.UNKNOWN_WORD, 1),
        ("10", Unclear, Reason.UNREADABLE, 1),
        ("12", Unclear, Reason.MISMATCH, 1),
        ("26", Unreachable, Reason.SERVER_ERROR, 0),
    ],
)
def test_a_sale_that_is_not_plainly_done_is_told_for_what_it_is(
    shop: Secuconnect, sandbox: Sandbox, end: str, kind: type[Failure], reason: Reason, moves: int
) -> None:
    no = failure_of(lambda: shop.sale(sale(end)))

    assert (type(no), no.reason) == (kind, reason)
    assert len(effects(sandbox)) == moves


@pytest.mark.parametrize(
    ("kind", "reason"), [("cut", Reason.CUT), ("error_after", Reason.SERVER_ERROR), ("garbage", Reason.UNREADABLE)]
)
def test_a_sale_whose_answer_is_lost_is_unclear_and_found(
    shop: Secuconnect, sandbox: Sandbox, kind: str, reason: Reason
) -> None:
    arm(sandbox, kind)

    no = failure_of(lambda: shop.sale(sale(SEED_CARD)))

    assert (type(no), no.reason) == (Unclear, reason)
    by_id = shop.find(find(SEED_CARD, 7900, verb="sale", provider_reference=no.provider_reference))
    by_reference = shop.find(find(SEED_CARD, 7900, verb="sale"))
    assert by_id.provider_reference == by_reference.provider_reference == no.provider_reference
    assert moved(sandbox) == [("bonus", 790), ("top_up", 2000)]


def test_a_sale_is_cancelled_with_its_bonus_and_its_load(shop: Secuconnect, sandbox: Sandbox) -> None:
    original = shop.sale(sale(SEED_CARD)).provider_reference

    receipt = shop.void(void(original, SEED_CARD, 7900))

    assert told(receipt.balances) == {"total": 220, "cash": 200, "bonus": 20, "points": 0}
    assert moved(sandbox)[2:] == [("void", 2000), ("void_bonus", 790)]


# ---- Cards that are made ---------------------------------------------------------------------------------------


def test_a_card_is_made_and_its_number_told(shop: Secuconnect, sandbox: Sandbox, exchanges: list[Exchange]) -> None:
    receipt = shop.activate(ActivateRequest(number="", reference=REFERENCE, customer=CUSTOMER))

    assert receipt.number.startswith("92760099")
    assert [(each["verb"], each["subject"]) for each in effects(sandbox)] == [("activate", receipt.number)]
    assert shop.balance(BalanceRequest(number=receipt.number)).status is CardStatus.EMPTY
    assert receipt.number not in repr(exchanges) + repr(receipt) + receipt.raw
    assert "canary" not in repr(exchanges).lower()


def test_a_card_is_made_and_loaded_at_once(shop: Secuconnect, sandbox: Sandbox, exchanges: list[Exchange]) -> None:
    receipt = shop.top_up(TopUpRequest(number="", amount=EUROS, reference=REFERENCE, activate=True))

    assert moved(sandbox) == [("activate", None), ("top_up", 2000)]
    assert told(receipt.balances)["cash"] == 2000
    assert receipt.number not in repr(exchanges) + receipt.raw + repr(receipt.lines)


# ---- Paying with a card ----------------------------------------------------------------------------------------


def test_a_payment_is_taken_once_and_told(shop: Secuconnect, sandbox: Sandbox, exchanges: list[Exchange]) -> None:
    receipt = shop.pay(pay())

    (taken,) = effects(sandbox)
    assert (taken["verb"], taken["amount"], taken["reference"]) == ("pay", 1250, REFERENCE)
    assert receipt.provider_reference == taken["provider_reference"]
    assert told(receipt.balances) == {"total": 3750, "cash": 3750, "bonus": 0, "points": 120}
    assert ReceiptLine.of_text("12,50 EUR", important=True) in receipt.lines
    assert [each.url.rsplit("/", 1)[1] for each in exchanges[1:]] == ["Transactions", "preTransaction", "loyalty"]
    assert number("16") not in repr(exchanges) + repr(receipt) + receipt.raw


@pytest.mark.parametrize("tax", ["0", "7", "19"])
def test_bonus_is_spent_first(connect_to: Callable[..., Secuconnect], sandbox: Sandbox, tax: str) -> None:
    """2.00 and 0.20 bonus: it lowers the sum of the basket, and 1.50 are taken all the same."""
    shop = connect_to(payment_tax=tax)

    receipt = shop.pay(pay(SEED_CARD, 150))

    assert moved(sandbox) == [("pay", 150), ("bonus", 15)]
    assert told(receipt.balances) == {"total": 85, "cash": 70, "bonus": 15, "points": 0}
    assert shop.find(find(SEED_CARD, 150, verb="pay")).provider_reference == receipt.provider_reference


def test_a_card_pays_to_its_last_cent_and_not_one_more(shop: Secuconnect, sandbox: Sandbox) -> None:
    shop.pay(pay(cents=5000))

    no = failure_of(lambda: shop.pay(pay(cents=1)))

    assert (type(no), no.reason, moved(sandbox)) == (Declined, Reason.NOT_ENOUGH, [("pay", 5000)])


@pytest.mark.parametrize(
    ("end", "kind", "reason", "moves"),
    [
        ("9276999999999999", Declined, Reason.CARD_UNKNOWN, 0),
        ("02", Declined, Reason.CARD_INACTIVE, 0),
        ("08", Declined, Reason.REFUSED, 0),
        ("17", Declined, Reason.CARD_INACTIVE, 0),
        ("06", Declined, Reason.REFUSED, 0),
        ("09", Unclear, Reason.UNKNOWN_WORD, 1),
        ("10", Unclear, Reason.UNREADABLE, 1),
        ("11", Unclear, Reason.MISMATCH, 1),
        ("12", Unclear, Reason.MISMATCH, 1),
        ("26", Unreachable, Reason.SERVER_ERROR, 0),
        ("25", Unreachable, Reason.THROTTLED, 0),
        ("28", Misconfigured, Reason.KEY_REFUSED, 0),
    ],
)
def test_a_payment_that_is_not_plainly_done_is_told_for_what_it_is(
    shop: Secuconnect, sandbox: Sandbox, end: str, kind: type[Failure], reason: Reason, moves: int
) -> None:
    no = failure_of(lambda: shop.pay(pay(end)))

    assert (type(no), no.reason) == (kind, reason)
    assert len(effects(sandbox)) == moves
    assert bool(no.provider_reference) == (kind is Unclear)


def test_a_payment_that_is_pending_is_looked_at_until_it_is_done(shop: Secuconnect, sandbox: Sandbox) -> None:
    assert told(shop.pay(pay("05")).balances)["cash"] == 3750
    assert moved(sandbox) == [("pay", 1250)]


def test_a_card_that_was_emptied_meanwhile_does_not_pay(
    connect_to: Callable[..., Secuconnect], sandbox: Sandbox
) -> None:
    """Between the two calls another till takes what is on it."""
    shop, other = connect_to(), connect_to()

    def and_then_another(exchange: Exchange) -> None:
        if exchange.url.endswith("preTransaction"):
            other.pay(pay(cents=4000))

    shop.on_exchange = and_then_another

    no = failure_of(lambda: shop.pay(pay()))

    assert (type(no), no.reason, moved(sandbox)) == (Declined, Reason.NOT_ENOUGH, [("pay", 4000)])


def test_what_is_missing_is_read_as_the_public_pages_print_it() -> None:
    assert missing_sum(answer_of(example("pre_transaction")["response"]["body"])) == 7680


@pytest.mark.parametrize(
    "said",
    [{}, {"missing_sum": "0"}, {"missing_sum": None}, {"missing_sum": -1}, {"missing_sum": True}, {"missing_sum": 0.5}],
    ids=lambda said: str(said),
)
def test_what_is_missing_must_be_whole_cents(said: dict[str, object]) -> None:
    no = failure_of(lambda: missing_sum(answer_of({**said, "bonus_products": []})))

    assert (type(no), no.reason) == (Unclear, Reason.UNREADABLE)


@pytest.mark.parametrize(
    ("total", "prices", "pays", "fits"),
    [
        (1250, [1250], True, True),
        (1250, [1250, -20], True, True),  # the sum may stay
        (1230, [1250, -20], True, True),  # or be lowered
        (1230, [1250, -21], True, False),
        (1230, [1250], True, False),
        (1270, [1250, 20], True, False),
        (1230, [1250, -20], False, False),
        (1230, [1250, "-20"], True, False),
        ("1250", [1250], True, False),
    ],
)
def test_a_payments_sum_is_ours_before_the_discount(
    total: object, prices: list[object], pays: bool, fits: bool
) -> None:
    answer = documents_start() | {
        "basket": {"products": [{"priceOne": price} for price in prices]},
        "basket_info": {"sum": total, "currency": "EUR"},
    }
    wanted = Wanted(id=SEED_STX, reference="", number=SEED_CARD, amount=Money(1250, "EUR"), pays=pays)

    if fits:
        assert is_done(answer_of(answer), wanted, "pay", done="ok")
    else:
        assert failure_of(lambda: is_done(answer_of(answer), wanted, "pay", done="ok")).reason is Reason.MISMATCH


# ---- Cancelling ------------------------------------------------------------------------------------------------


def test_a_load_is_cancelled_with_its_bonus(shop: Secuconnect, sandbox: Sandbox) -> None:
    original = shop.top_up(top_up(SEED_CARD)).provider_reference

    receipt = shop.void(void(original, SEED_CARD))

    assert receipt.provider_reference == original
    assert told(receipt.balances) == {"total": 220, "cash": 200, "bonus": 20, "points": 0}
    assert moved(sandbox)[2:] == [("void", 2000), ("void_bonus", 200)]


def test_a_payment_is_cancelled_and_comes_back(shop: Secuconnect, sandbox: Sandbox) -> None:
    original = shop.pay(pay(SEED_CARD, 150)).provider_reference

    receipt = shop.void(void(original, SEED_CARD, 150))

    assert told(receipt.balances) == {"total": 220, "cash": 200, "bonus": 20, "points": 0}
    assert moved(sandbox)[2:] == [("void_bonus", 15), ("void", 150)]
    assert shop.find(find(SEED_CARD, 150, verb="void", original=original)).provider_reference == original


def test_a_refused_cancellation_is_too_late(shop: Secuconnect, sandbox: Sandbox) -> None:
    original = shop.top_up(top_up("14")).provider_reference

    no = failure_of(lambda: shop.void(void(original, "14")))

    assert (type(no), no.reason, len(no.trace)) == (Declined, Reason.TOO_LATE, 32)
    assert moved(sandbox) == [("top_up", 2000)]


def test_what_was_cancelled_before_is_not_cancelled_by_us(shop: Secuconnect) -> None:
    """The error says no, the record says cancelled: by whom is for a person."""
    original = shop.top_up(top_up()).provider_reference
    shop.void(void(original))

    no = failure_of(lambda: shop.void(void(original)))

    assert (type(no), no.provider_reference) == (Unclear, original)


def test_nothing_is_cancelled_that_is_not_there(shop: Secuconnect) -> None:
    no = failure_of(lambda: shop.void(void("STX_NOBODYS")))

    assert (type(no), no.reason) == (Declined, Reason.ORIGINAL_UNKNOWN)


# ---- Tokens ----------------------------------------------------------------------------------------------------


def tokens_fetched(exchanges: list[Exchange]) -> int:
    return sum(each.url.endswith("/oauth/token") for each in exchanges)


def test_one_token_serves_many_calls(shop: Secuconnect, exchanges: list[Exchange]) -> None:
    for _ in range(3):
        shop.balance(BalanceRequest(number=SEED_CARD))

    assert (tokens_fetched(exchanges), len(exchanges)) == (1, 4)


def test_a_token_that_is_not_known_any_more_is_renewed_and_the_load_booked_once(
    shop: Secuconnect, sandbox: Sandbox, exchanges: list[Exchange]
) -> None:
    shop.balance(BalanceRequest(number=SEED_CARD))
    sandbox.reset()

    shop.top_up(top_up())

    assert tokens_fetched(exchanges) == 2
    assert moved(sandbox) == [("top_up", 2000)]


def test_a_token_that_has_expired_at_their_clock_is_renewed(
    shop: Secuconnect, sandbox: Sandbox, exchanges: list[Exchange]
) -> None:
    shop.balance(BalanceRequest(number=SEED_CARD))
    arm(sandbox, "clock", path="/api/v2", seconds=1300)

    assert shop.balance(BalanceRequest(number=SEED_CARD)).status is CardStatus.USABLE

    assert tokens_fetched(exchanges) == 2


@pytest.mark.parametrize(("end", "detail"), [("27", Detail.TOKEN_EXPIRED), ("28", Detail.TOKEN_REFUSED)])
def test_a_token_is_renewed_once(shop: Secuconnect, exchanges: list[Exchange], end: str, detail: Detail) -> None:
    no = failure_of(lambda: shop.balance(BalanceRequest(number=number(end))))

    assert (type(no), no.detail) == (Misconfigured, detail)
    assert (tokens_fetched(exchanges), len(exchanges)) == (2, 4)


@pytest.mark.parametrize("ask", [lambda shop: shop.top_up(top_up()), lambda shop: list(shop.check())])
def test_credentials_that_are_refused_are_for_a_person(
    connect_to: Callable[..., Secuconnect], sandbox: Sandbox, ask: Callable[[Secuconnect], object]
) -> None:
    no = failure_of(lambda: ask(connect_to(client_secret="another")))

    assert (type(no), no.reason) == (Misconfigured, Reason.KEY_REFUSED)
    assert effects(sandbox) == []


def test_the_header_of_the_document_works_as_well(connect_to: Callable[..., Secuconnect]) -> None:
    assert connect_to(auth_header="Authenticate").balance(BalanceRequest(number=SEED_CARD)).balances


def test_a_token_ends_a_little_early_and_a_new_one_is_not_dropped_for_an_old() -> None:
    kept, fresh = OwnTokens(), lambda: ("c", 1200)
    kept.keep("a", seconds=10)
    assert kept.get(fresh, ends=0) == "c"
    kept.keep("b", seconds=1200)
    kept.drop("a")
    assert kept.get(fresh, ends=0) == "b"
    kept.drop("b")
    assert kept.get(fresh, ends=0) == "c"


def test_a_check_proves_the_credentials_and_a_read(shop: Secuconnect, sandbox: Sandbox) -> None:
    assert [step.value for step in shop.check()] == ["accepted", "reads"]
    assert effects(sandbox) == []


# ---- Faults, verb by verb --------------------------------------------------------------------------------------

LOST = [("cut", Reason.CUT), ("error_after", Reason.SERVER_ERROR), ("garbage", Reason.UNREADABLE)]


@pytest.mark.parametrize(("kind", "reason"), [*LOST, ("redirect", Reason.REDIRECTED), ("throttle", Reason.THROTTLED)])
@pytest.mark.parametrize("path", ["/oauth/token", TRANSACTIONS])
def test_what_breaks_before_the_start_moved_nothing_and_may_be_tried_again(
    shop: Secuconnect, sandbox: Sandbox, path: str, kind: str, reason: Reason
) -> None:
    arm(sandbox, kind, path=path)

    no = failure_of(lambda: shop.top_up(top_up()))

    assert (type(no), no.reason, effects(sandbox)) == (Unreachable, reason, [])
    shop.top_up(top_up())
    assert moved(sandbox) == [("top_up", 2000)]
    assert shop.find(find()).provider_reference  # although the first may have been created as well


@pytest.mark.parametrize(("kind", "reason"), LOST)
def test_a_start_whose_answer_is_lost_is_unclear_and_found(
    shop: Secuconnect, sandbox: Sandbox, kind: str, reason: Reason
) -> None:
    arm(sandbox, kind)

    no = failure_of(lambda: shop.top_up(top_up()))

    assert (type(no), no.reason) == (Unclear, reason)
    assert moved(sandbox) == [("top_up", 2000)]
    by_id = shop.find(find(provider_reference=no.provider_reference))
    by_reference = shop.find(find())
    assert by_id.provider_reference == by_reference.provider_reference == no.provider_reference
    assert told(by_id.balances)["cash"] == 2000


def test_a_start_that_was_throttled_is_unclear_and_found_not_done(shop: Secuconnect, sandbox: Sandbox) -> None:
    arm(sandbox, "throttle", seconds=7)

    no = failure_of(lambda: shop.top_up(top_up()))

    assert (type(no), no.reason, no.retry_after) == (Unclear, Reason.THROTTLED, 7)
    gone = failure_of(lambda: shop.find(find(provider_reference=no.provider_reference)))
    assert (type(gone), gone.reason, effects(sandbox)) == (Declined, Reason.REFUSED, [])


def test_a_start_that_is_refused_on_demand_is_not_done_by_the_record(shop: Secuconnect, sandbox: Sandbox) -> None:
    arm(sandbox, "refuse")

    no = failure_of(lambda: shop.top_up(top_up()))

    assert (type(no), no.reason, effects(sandbox)) == (Declined, Reason.REFUSED, [])


def test_a_refusal_that_the_record_does_not_confirm_is_unclear(shop: Secuconnect, sandbox: Sandbox) -> None:
    """The start is refused, and then nobody can say what the record holds."""
    arm(sandbox, "refuse")
    arm(sandbox, "error_after")

    no = failure_of(lambda: shop.top_up(top_up()))

    assert (type(no), no.reason) == (Unclear, Reason.REFUSED)
    assert no.provider_reference


def test_a_late_start_is_unclear_and_done_in_the_end(connect_to: Callable[..., Secuconnect], sandbox: Sandbox) -> None:
    arm(sandbox, "late", seconds=2)
    shop = connect_to(total_seconds=3)

    no = failure_of(lambda: shop.top_up(top_up()))

    assert type(no) is Unclear
    end = threading.Event()
    for _ in range(40):
        if effects(sandbox):
            break
        end.wait(0.1)
    assert shop.find(find(provider_reference=no.provider_reference)).provider_reference


@pytest.mark.parametrize(("kind", "reason"), [*LOST, ("redirect", Reason.REDIRECTED), ("throttle", Reason.THROTTLED)])
@pytest.mark.parametrize("path", ["/oauth/token", TRANSACTIONS, f"{TRANSACTIONS}/*/preTransaction"])
def test_what_breaks_before_a_card_pays_moved_nothing_and_may_be_tried_again(
    shop: Secuconnect, sandbox: Sandbox, path: str, kind: str, reason: Reason
) -> None:
    arm(sandbox, kind, path=path)

    no = failure_of(lambda: shop.pay(pay()))

    assert (type(no), no.reason, effects(sandbox)) == (Unreachable, reason, [])
    shop.pay(pay())
    assert moved(sandbox) == [("pay", 1250)]
    assert shop.find(find("16", 1250, verb="pay")).provider_reference


@pytest.mark.parametrize(("kind", "reason"), [*LOST, ("timeout_after", Reason.TIMEOUT)])
def test_a_payment_whose_answer_is_lost_is_unclear_and_found(
    connect_to: Callable[..., Secuconnect], sandbox: Sandbox, kind: str, reason: Reason
) -> None:
    arm(sandbox, kind, path=f"{TRANSACTIONS}/*/start")
    shop = connect_to(total_seconds=2)

    no = failure_of(lambda: shop.pay(pay()))

    assert (type(no), no.reason) == (Unclear, reason)
    assert moved(sandbox) == [("pay", 1250)]
    for known in (no.provider_reference, ""):
        found = shop.find(find("16", 1250, verb="pay", provider_reference=known))
        assert (found.provider_reference, told(found.balances)["cash"]) == (no.provider_reference, 3750)


@pytest.mark.parametrize("kind", ["timeout_before", "throttle", "refuse"])
def test_a_payment_that_never_arrived_is_found_not_done(
    connect_to: Callable[..., Secuconnect], sandbox: Sandbox, kind: str
) -> None:
    arm(sandbox, kind, path=f"{TRANSACTIONS}/*/start")
    shop = connect_to(total_seconds=2)

    no = failure_of(lambda: shop.pay(pay()))

    assert type(no) is (Declined if kind == "refuse" else Unclear)
    gone = failure_of(lambda: shop.find(find("16", 1250, verb="pay", provider_reference=no.provider_reference)))
    assert (type(gone), gone.reason, effects(sandbox)) == (Declined, Reason.REFUSED, [])


def test_a_late_payment_is_unclear_and_done_in_the_end(
    connect_to: Callable[..., Secuconnect], sandbox: Sandbox
) -> None:
    arm(sandbox, "late", path=f"{TRANSACTIONS}/*/start", seconds=2)
    shop = connect_to(total_seconds=1.5)

    no = failure_of(lambda: shop.pay(pay()))

    assert (type(no), effects(sandbox)) == (Unclear, [])
    end = threading.Event()
    for _ in range(100):
        if effects(sandbox):
            break
        end.wait(0.1)
    found = shop.find(find("16", 1250, verb="pay", provider_reference=no.provider_reference))
    assert (found.provider_reference, moved(sandbox)) == (no.provider_reference, [("pay", 1250)])


@pytest.mark.parametrize(("kind", "reason"), LOST)
def test_a_lost_answer_to_a_cancellation_is_unclear_and_found(
    shop: Secuconnect, sandbox: Sandbox, kind: str, reason: Reason
) -> None:
    original = shop.top_up(top_up()).provider_reference
    arm(sandbox, kind)

    no = failure_of(lambda: shop.void(void(original)))

    assert (type(no), no.reason) == (Unclear, reason)
    found = shop.find(find(verb="void", original=original))
    assert told(found.balances)["cash"] == 0
    assert moved(sandbox) == [("top_up", 2000), ("void", 2000)]


@pytest.mark.parametrize(("kind", "reason"), LOST)
def test_a_lost_answer_to_a_new_card_is_unclear_and_found_with_its_number(
    shop: Secuconnect, sandbox: Sandbox, kind: str, reason: Reason
) -> None:
    arm(sandbox, kind)

    no = failure_of(lambda: shop.activate(ActivateRequest(number="", reference=REFERENCE)))

    assert (type(no), no.reason) == (Unclear, reason)
    found = shop.find(FindRequest(verb="activate", reference=REFERENCE))
    assert found.number == effects(sandbox)[0]["subject"]


def test_what_was_never_asked_is_not_found(shop: Secuconnect) -> None:
    no = failure_of(lambda: shop.find(find()))

    assert (type(no), no.reason) == (Declined, Reason.ORIGINAL_UNKNOWN)


def test_what_is_done_twice_under_one_reference_is_for_a_person(shop: Secuconnect) -> None:
    shop.top_up(top_up())
    shop.top_up(top_up())

    no = failure_of(lambda: shop.find(find()))

    assert (type(no), no.reason) == (Unclear, Reason.DUPLICATE)


@pytest.mark.parametrize("other", [find(cents=2001), find("02"), find(reference="another")])
def test_what_is_found_must_be_ours(shop: Secuconnect, other: FindRequest) -> None:
    id = shop.top_up(top_up()).provider_reference

    no = failure_of(lambda: shop.find(dataclasses.replace(other, provider_reference=id)))

    assert (type(no), no.reason) == (Unclear, Reason.MISMATCH)


# ---- Servers with bad manners ----------------------------------------------------------------------------------


def ask(shop: Secuconnect, verb: str) -> object:
    requests: dict[str, Any] = {
        "balance": BalanceRequest(number=SEED_CARD),
        "activate": ActivateRequest(number="", reference=REFERENCE),
        "top_up": top_up(SEED_CARD),
        "sale": sale(SEED_CARD),
        "pay": pay(SEED_CARD),
        "void": void(SEED_STX, SEED_CARD),
        "find": find(SEED_CARD),
    }
    return getattr(shop, verb)(requests[verb])


@pytest.mark.parametrize("verb", ["balance", "activate", "top_up", "pay", "sale", "void", "find"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (response(b"<p>Welcome</p>"), Reason.UNREADABLE),
        (response(b""), Reason.UNREADABLE),
        (response(b"[]"), Reason.UNREADABLE),
        (response(b"{}"), Reason.UNREADABLE),
        (response(b'{"status": "ok"}'), Reason.UNREADABLE),
        (response(status=202), Reason.UNREADABLE),
        (response(b"<p>No such page</p>", status=404), Reason.UNREADABLE),
        (response(status=500), Reason.SERVER_ERROR),
        (response(status=408), Reason.SERVER_ERROR),
    ],
    ids=["HTML", "empty", "list", "object", "word", "202", "404", "500", "408"],
)
def test_no_documented_answer_is_no_success(
    serve: Any, connect_to: Callable[..., Secuconnect], verb: str, answer: bytes, reason: Reason
) -> None:
    shop = connect_to(origin=serve(answering(answer)).origin)
    shop.tokens.keep("token", seconds=1200)

    no = failure_of(lambda: ask(shop, verb))

    assert no.reason is reason
    # Creating moves nothing; only what is sent to start or cancel is perhaps done.
    assert type(no) is (Unreachable if verb in {"activate", "top_up", "pay", "sale"} else Unclear)


@pytest.mark.parametrize("verb", ["balance", "activate", "top_up", "pay", "sale", "void", "find"])
@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_without_a_word_are_for_a_person(
    serve: Any, connect_to: Callable[..., Secuconnect], verb: str, status: int
) -> None:
    shop = connect_to(origin=serve(answering(response(status=status))).origin)
    shop.tokens.keep("token", seconds=1200)

    assert type(failure_of(lambda: ask(shop, verb))) is Misconfigured


@pytest.mark.parametrize("verb", ["balance", "activate", "top_up", "pay", "sale", "void", "find"])
def test_no_connection_is_unreachable(serve: Any, connect_to: Callable[..., Secuconnect], verb: str) -> None:
    server = serve(hanging_up_after(b""))
    server.close()

    assert type(failure_of(lambda: ask(connect_to(origin=server.origin), verb))) is Unreachable


def test_neither_card_nor_key_nor_token_is_in_a_record(
    shop: Secuconnect, exchanges: list[Exchange], sandbox: Sandbox
) -> None:
    shop.top_up(top_up(SEED_CARD))
    shop.balance(BalanceRequest(number=SEED_CARD))
    token = shop.tokens.get(lambda: ("", 0), ends=0)

    records = repr(exchanges)
    assert token
    for secret in (SEED_CARD, token, sandbox.credentials("secuconnect")["client_secret"]):
        assert secret not in records
        assert secret not in repr(shop.settings) + repr(shop)


def test_a_hidden_member_that_is_an_object_is_left_whole() -> None:
    text = '{"value": {"value": "9276", "caption": "x"}}'

    assert json.loads(hide_members(text, ["value"])) == {"value": {"value": "‹value›", "caption": "x"}}


def test_every_verb_that_moves_value_has_its_words_of_done() -> None:
    assert DONE.keys() == UNDONE.keys() == Secuconnect.supports() & MOVES_VALUE
