"""Sales with a card and a basket, through the ledger, a worker and the imitated secuconnect: what is asked, what is
booked, and what becomes of it when an answer is lost."""

import dataclasses
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils import timezone

from portal.connectors import PROVIDERS
from portal.connectors.base import BasketLine
from portal.desk import switch_pages
from portal.ledger import approvals, baskets, operations, receipts, settling
from portal.ledger.baskets import KEPT_AT_MOST, Basket, WrongBasket
from portal.ledger.models import Exchange, Operation, OperationState
from portal.merchants import connections, switches, tenancy
from portal.merchants.models import AuditEntry, Connection, Member, Scope
from portal.money import HARD_CAP, Money
from tests.conftest import Sandbox, make_person
from tests.ledger.conftest import Till
from tests.ledger.test_approvals import limit
from tests.ledger.test_till import written

S = OperationState
SEED, NO_BONUS_ON_LOADS, PLAIN = "9276004424644352", "9276004424644000", "9276004424644001"
TRANSACTIONS = "/api/v2/Smart/Transactions"
GOODS = BasketLine(
    text="Dining service Puslnitz, 26 pieces", article="30200", quantity=1, price=Money(5900, "EUR"), vat=19
)
THE_DOCUMENTS = Basket(lines=(GOODS,), load=Money(2000, "EUR"))


class Shop(Till):
    """Alice at Jung's till, with secuconnect's cards."""

    def wishes(self, basket: Basket = THE_DOCUMENTS, *, number: str = PLAIN) -> operations.Wish:
        return operations.Wish(verb="sale", card=self.card(number), amount=basket.total, basket=basket)

    def sells(self, basket: Basket = THE_DOCUMENTS, *, number: str = PLAIN, key: uuid.UUID | None = None) -> Operation:
        return self.asks_for(self.wishes(basket, number=number), key)

    def asks_for(self, wish: operations.Wish, key: uuid.UUID | None = None) -> Operation:
        """Ask, and let a worker work until nothing is due."""
        return self.worked_on(operations.request(member=self.member, key=key or uuid.uuid4(), wish=wish))

    def settles(self, operation: Operation) -> Operation:
        """Look what became of it as often as the machine does."""
        for _ in range(10):
            written(operation, next_attempt_at=timezone.now())
            settling.settle_due()
            operation.refresh_from_db()
            if operation.state != S.CHECKING:
                break
        return operation

    def arrives(self) -> bool:
        """Wait for what is late; at most thirty seconds."""
        pause = threading.Event()
        return any(self.booked() or pause.wait(0.1) for _ in range(300))

    def booked(self) -> list[tuple[str, int | None]]:
        return [(each["verb"], each["amount"]) for each in self.effects()]

    def breaks(self, kind: str, path: str = f"{TRANSACTIONS}/", **fault: object) -> None:
        if kind in ("timeout_before", "timeout_after", "late"):
            self.gives_up_soon()
        self.sandbox.arm(kind, provider="secuconnect", path=path, **fault)


@pytest.fixture
def secuconnect(arrange: Callable[[], Any], jung: Any, sandbox: Sandbox) -> Connection:
    """Jung's connection to secuconnect: a sandbox."""
    keys = sandbox.credentials("secuconnect")
    connection = Connection(merchant=jung, provider="secuconnect", name="secuconnect", environment="sandbox")
    connection.per_second = 1000
    declared = PROVIDERS["secuconnect"].Settings.declared()
    known = {name: value for name, value in keys.items() if name in declared and name != "client_secret"}
    connection.options = PROVIDERS["secuconnect"].Settings.options({**known, "base_url": f"{sandbox.url}/secuconnect"})
    connections.seal_secrets(connection, {"client_secret": keys["client_secret"]})
    with arrange():
        connection.save()
    return connection


@pytest.fixture
def shop(jung: Any, alice: Any, secuconnect: Connection, sandbox: Sandbox, settings: Any) -> Iterator[Shop]:
    with tenancy.merchant(jung.pk):
        yield Shop(
            Member.objects.select_related("merchant", "person").get(person=alice), secuconnect, sandbox, settings
        )


# ---- The document's own sale ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("number", "bonus", "cash_bonus_total"),
    [
        (SEED, 790, (2200, 810, 3010)),
        (NO_BONUS_ON_LOADS, 590, (2200, 610, 2810)),  # the load's EAN is on the blacklist of its card group
    ],
)
def test_goods_for_59_and_a_load_of_20_are_booked_as_the_document_has_it(
    shop: Shop, number: str, bonus: int, cash_bonus_total: tuple[int, int, int]
) -> None:
    operation = shop.sells(number=number)

    assert (operation.state, operation.amount_minor, operation.load_minor) == (S.DONE, 7900, 2000)
    assert shop.booked() == [("bonus", bonus), ("top_up", 2000)]
    assert {each["reference"] for each in shop.effects()} == {operation.reference}
    assert {each["provider_reference"] for each in shop.effects()} == {operation.provider_reference}
    answer = Exchange.objects.filter(operation=operation, purpose="call").order_by("-id")[0].response_body
    cash, given, total = cash_bonus_total
    assert f'"cash_balance": {cash}, "bonus_balance": {given}, "balance": {total}' in answer
    card = shop.card(number)
    assert (card.balance_minor, card.balance_currency) == (total, "EUR")


def test_the_shoppers_paper_says_what_was_sold_loaded_and_earned(shop: Shop) -> None:
    operation = shop.sells(number=SEED)

    paper = receipts.paper(operation, merchant=operation.merchant, store="", after="")

    assert paper.basket
    assert [line.text for line in paper.basket.lines] == ["Dining service Puslnitz, 26 pieces"]
    assert (paper.basket.load, paper.basket.total, paper.amount) == ("€20.00", "€79.00", "€79.00")
    theirs = str(paper.said)
    assert all(text in theirs for text in ("79,00 EUR", "7,90 EUR", "10,10 EUR", "20,00 EUR", "30,10 EUR"))
    assert theirs.index("32076570") < theirs.index("32076572")  # the bonus is booked first
    assert SEED not in theirs


def test_a_sale_is_voided_as_a_whole(shop: Shop) -> None:
    sold = shop.sells(number=SEED)

    undone = shop.asks_for(operations.Wish(verb="void", card=shop.card(SEED), amount=Money(7900, "EUR"), original=sold))

    assert undone.state == S.DONE
    assert shop.booked()[2:] == [("void", 2000), ("void_bonus", 790)]


# ---- What is not asked ----------------------------------------------------------------------------------------
def other(**changed: object) -> Basket:
    return Basket(lines=(dataclasses.replace(GOODS, **changed),))


@pytest.mark.parametrize(
    ("basket", "amount", "why"),
    [
        (None, Money(7900, "EUR"), "basket_wanted"),
        (THE_DOCUMENTS, Money(7901, "EUR"), "basket_differs"),
        (THE_DOCUMENTS, Money(5900, "EUR"), "basket_differs"),
        (other(ean="4260447149502"), None, "reserved_article"),
        (other(ean="4260447149519"), None, "reserved_article"),
        (other(ean="4260447149503"), None, "wrong_line"),
        (other(ean="426044714950"), None, "wrong_line"),
        (other(text="a\nb"), None, "wrong_line"),
        (other(text="x" * 101), None, "wrong_line"),
        (other(article="x" * 41), None, "wrong_line"),
        (Basket(lines=(GOODS,) * 101), None, "basket_wanted"),
        (other(price=Money(HARD_CAP, "EUR"), quantity=9_999), None, "amount_out_of_range"),
        (other(price=Money(100, "USD")), None, "other_currency"),
    ],
)
def test_what_is_no_basket_is_not_asked(shop: Shop, basket: Basket | None, amount: Money | None, why: str) -> None:
    wish = operations.Wish(
        verb="sale", card=shop.card(PLAIN), amount=amount or (basket.total if basket else None), basket=basket
    )

    with pytest.raises(operations.CannotAsk) as refused:
        operations.request(member=shop.member, key=uuid.uuid4(), wish=wish)

    assert refused.value.why == why
    assert not Operation.objects.exists()
    assert shop.booked() == []


def test_a_basket_belongs_to_a_sale_alone(shop: Shop) -> None:
    with pytest.raises(operations.CannotAsk):
        shop.asks_for(dataclasses.replace(shop.wishes(), verb="top_up"))


@pytest.mark.parametrize(
    "kept",
    [
        None,
        {},
        [],
        "[]",
        [{}],
        [None],
        [[]],
        [{"text": "a", "article": "", "ean": "", "quantity": 1, "price": 5}],
        [{"text": "a", "article": "", "ean": "", "quantity": 1, "price": 5, "vat": 7, "load": 1}],
        [{"text": "a", "article": 1, "ean": "", "quantity": 1, "price": 5, "vat": 7}],
        [{"text": "a", "article": "", "ean": "", "quantity": 1.5, "price": 5, "vat": 7}],
        [{"text": "a", "article": "", "ean": "", "quantity": True, "price": 5, "vat": 7}],
        [{"text": "a", "article": "", "ean": "", "quantity": -1, "price": 5, "vat": 7}],
        [{"text": "a", "article": "", "ean": "", "quantity": 10_000, "price": 5, "vat": 7}],
        [{"text": "a", "article": "", "ean": "", "quantity": 1, "price": 0, "vat": 7}],
        [{"text": "a", "article": "", "ean": "", "quantity": 1, "price": -5, "vat": 7}],
        [{"text": "a", "article": "", "ean": "", "quantity": 1, "price": 10**30, "vat": 7}],
        [{"text": "a", "article": "", "ean": "", "quantity": 1, "price": 5, "vat": 100}],
        [{"text": "", "article": "", "ean": "", "quantity": 1, "price": 5, "vat": 7}],
        [{"text": "a\u202eb", "article": "", "ean": "", "quantity": 1, "price": 5, "vat": 7}],
    ],
)
def test_what_is_kept_is_read_as_a_basket_or_not_at_all(kept: object) -> None:
    with pytest.raises(WrongBasket):
        baskets.read(kept, load=None, currency="EUR")


def test_the_longest_basket_fits_where_it_is_kept(shop: Shop) -> None:
    odd = dataclasses.replace(GOODS, text='"\\' * 50, article='"\\' * 20, price=Money(9_999, "EUR"), quantity=9)
    basket = Basket(lines=(odd,) * 100)

    operation = shop.sells(basket)

    assert operation.state == S.DONE
    assert operations.basket_of(operation) == basket
    assert len(str(basket.kept())) < KEPT_AT_MOST


# ---- Pressed twice, changed, kept -----------------------------------------------------------------------------
def test_pressed_twice_it_is_sold_once(shop: Shop) -> None:
    key = uuid.uuid4()

    first, second = shop.sells(key=key), shop.sells(key=key)

    assert first.pk == second.pk
    assert shop.booked() == [("top_up", 2000)]


@pytest.mark.parametrize(
    "changed",
    [
        Basket(lines=(dataclasses.replace(GOODS, text="Something else"),), load=THE_DOCUMENTS.load),
        Basket(lines=(dataclasses.replace(GOODS, price=Money(7900, "EUR")),)),  # the same sum, and nothing loaded
    ],
)
def test_the_same_key_with_another_basket_changes_nothing(shop: Shop, changed: Basket) -> None:
    key = uuid.uuid4()
    shop.sells(key=key)

    with pytest.raises(operations.OtherContent):
        shop.sells(changed, key=key)

    assert operations.basket_of(Operation.objects.get()) == THE_DOCUMENTS


@pytest.mark.parametrize("changed", [{"basket": []}, {"load_minor": 7000}, {"load_minor": None}])
def test_what_was_sold_never_changes(shop: Shop, changed: dict[str, object]) -> None:
    operation = operations.request(member=shop.member, key=uuid.uuid4(), wish=shop.wishes())

    with pytest.raises(IntegrityError), transaction.atomic():
        written(operation, **changed)


# ---- Who may, and how much ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("verb", "most", "asks"),
    [("sale", 7900, False), ("sale", 7899, True), ("top_up", 2000, False), ("top_up", 1999, True)],
)
def test_a_sale_keeps_to_its_limit_and_what_it_loads_to_that_of_adding_money(
    shop: Shop, jung: Any, arrange: Callable[[], Any], verb: str, most: int, asks: bool
) -> None:
    with arrange():
        make_person("Marta", (jung, "manager"))
    limit(jung, "cashier", verb, most)

    asked = approvals.request(member=shop.member, key=uuid.uuid4(), wish=shop.wishes())

    assert isinstance(asked, Operation) is not asks


def test_a_second_person_lets_the_same_basket_through(shop: Shop, jung: Any, arrange: Callable[[], Any]) -> None:
    with arrange():
        marta = make_person("Marta", (jung, "manager"))
        manager = Member.objects.select_related("merchant", "person").get(person=marta)
    limit(jung, "cashier", "top_up", 100)
    asked = approvals.request(member=shop.member, key=uuid.uuid4(), wish=shop.wishes(number=SEED))
    assert not isinstance(asked, Operation)

    operation = approvals.approve(asked, member=manager)
    while operations.work():
        pass

    operation.refresh_from_db()
    assert operation.state == S.DONE
    assert operations.basket_of(operation) == THE_DOCUMENTS
    assert shop.booked() == [("bonus", 790), ("top_up", 2000)]


def test_a_manager_whose_limit_for_loads_is_smaller_does_not_approve(
    shop: Shop, jung: Any, arrange: Callable[[], Any]
) -> None:
    with arrange():
        marta = make_person("Marta", (jung, "manager"))
        make_person("Olivia", (jung, "owner"))
        manager = Member.objects.select_related("merchant", "person").get(person=marta)
    limit(jung, "cashier", "top_up", 100)
    limit(jung, "manager", "top_up", 1999)
    asked = approvals.request(member=shop.member, key=uuid.uuid4(), wish=shop.wishes())
    assert not isinstance(asked, Operation)

    with pytest.raises(approvals.NotTheirs):
        approvals.approve(asked, member=manager)


def test_where_adding_money_is_switched_off_a_sale_loads_nothing(
    shop: Shop, olivia: Any, arrange: Callable[[], Any]
) -> None:
    with arrange():
        switches.throw(
            olivia, scope=Scope.VERB, provider="secuconnect", verb="top_up", reason="A test.", banner="No loads today."
        )

    with pytest.raises(connections.NotNow):
        shop.sells()
    assert shop.sells(Basket(lines=(GOODS,))).state == S.DONE
    assert shop.booked() == []


def test_a_sale_that_waits_with_its_load_stops_where_adding_money_is_switched_off_then(
    shop: Shop, olivia: Any, arrange: Callable[[], Any]
) -> None:
    waits = operations.request(member=shop.member, key=uuid.uuid4(), wish=shop.wishes())
    behind = operations.request(
        member=shop.member, key=uuid.uuid4(), wish=shop.wishes(Basket(lines=(GOODS,)), number=PLAIN)
    )
    elsewhere = operations.request(
        member=shop.member, key=uuid.uuid4(), wish=shop.wishes(Basket(lines=(GOODS,)), number=SEED)
    )
    with arrange():
        thrown = switches.throw(olivia, scope=Scope.VERB, verb="top_up", reason="A test.", banner="No loads today.")

    while operations.work():
        pass

    states = {each.pk: each.state for each in Operation.objects.all()}
    assert states == {waits.pk: S.WAITING, behind.pk: S.WAITING, elsewhere.pk: S.DONE}
    assert shop.booked() == [("bonus", 590)]
    assert list(switch_pages._held(thrown)) == [waits]

    with arrange():
        switches.end(thrown, olivia)
    while operations.work():
        pass
    assert shop.booked() == [("bonus", 590), ("top_up", 2000)]
    assert not Operation.objects.exclude(state=S.DONE).exists()


@pytest.mark.parametrize("role", ["marketing", "accountant", "read_only"])
def test_who_is_not_at_the_till_sells_nothing(shop: Shop, jung: Any, arrange: Callable[[], Any], role: str) -> None:
    with arrange():
        person = make_person("Somebody", (jung, role))
        shop.member = Member.objects.select_related("merchant", "person").get(person=person)

    with pytest.raises(PermissionDenied):
        shop.sells()

    assert not Operation.objects.exists()


# ---- Faults: what the ledger says is what was booked ----------------------------------------------------------
def agrees(shop: Shop, operation: Operation) -> None:
    """What the operation says happened, and nothing else, stands in the provider's own journal."""
    booked = [("top_up", 2000)] if operation.state == S.DONE else []
    assert shop.booked() == booked
    assert {each["reference"] for each in shop.effects()} <= {operation.reference}


@pytest.mark.parametrize("path", ["/oauth/token", TRANSACTIONS])
@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "cut", "garbage", "error_after", "throttle"])
def test_what_breaks_before_the_start_is_tried_again_and_sold_once(shop: Shop, kind: str, path: str) -> None:
    shop.breaks(kind, path, seconds=2)

    operation = shop.sells()
    assert operation.state == S.WAITING
    assert shop.booked() == []
    Connection.objects.update(held_until=None)
    written(operation, next_attempt_at=None)
    while operations.work():
        pass

    operation.refresh_from_db()
    assert (operation.state, operation.attempt) == (S.DONE, 2)
    agrees(shop, operation)


@pytest.mark.parametrize(
    ("kind", "happened"),
    [
        ("timeout_before", False),
        ("timeout_after", True),
        ("cut", True),
        ("garbage", True),
        ("error_after", True),
        ("late", True),
    ],
)
def test_a_start_whose_answer_is_lost_is_settled_by_the_providers_record(shop: Shop, kind: str, happened: bool) -> None:
    shop.breaks(kind, seconds=2)

    operation = shop.sells()

    assert operation.state == S.CHECKING
    assert operation.provider_reference.startswith("STX_")
    if kind == "late":  # the quiet period is there for this: nobody looks before it could have arrived
        assert shop.arrives()
    settled = shop.settles(operation)
    assert settled.state == (S.DONE if happened else S.REFUSED)
    agrees(shop, settled)


def test_no_card_or_article_of_a_shopper_is_in_the_trail(shop: Shop) -> None:
    shop.sells(number=SEED)

    told = " ".join(f"{each.verb} {each.subject} {each.detail}" for each in AuditEntry.objects.all())
    assert "operation asked" in told
    assert SEED not in told
    assert "Puslnitz" not in told
