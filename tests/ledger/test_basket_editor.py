"""The basket on the card's page, as a browser without JavaScript uses it: every button is a submit, nothing typed is
lost, and money moves only from the sentence."""

import html
import json
import re
import time
import uuid
from typing import Any

import pytest

from portal.ledger import balances, basket_forms, operations
from portal.ledger.models import Inquiry, Operation, OperationState
from tests.ledger.test_sales import NO_BONUS_ON_LOADS, SEED, Shop, secuconnect, shop
from tests.ledger.test_till import hidden

__all__ = ["secuconnect", "shop"]

DESK = "/m/baeckerei-jung/"
EAN, OTHER_EAN, WRONG_EAN, LOAD = "4006381333931", "4006381333948", "4006381333932", "4260447149502"
LINE = {"text": "Dining service", "article": "30200", "quantity": "1", "price": "59.00", "vat": "19", "ean": ""}


class Editor:
    """Alice's browser on the page of one card. `stands` is what the form holds now."""

    def __init__(self, client: Any, shop: Shop, number: str) -> None:
        self.client, self.shop, self.number = client, shop, number
        self.url = f"{DESK}cards/{shop.card(number).key}/"
        self.answer = client.get(f"{self.url}?do=sale")
        self.stands: dict[str, str] = {}
        self._read()

    def posts(self, **fields: str) -> Any:
        """Send what stands in the form, with these fields changed, and look at what comes."""
        self.answer = self.client.post(self.url, {**self.stands, **fields})
        self._read()
        return self.answer

    def confirms(self, **changed: str) -> Any:
        sent = {**hidden(self.answer.text, "data-confirm"), **changed}
        sent = {name: html.unescape(value) for name, value in sent.items()}
        return self.client.post(f"{self.url}confirm/", sent)

    def line(self, at: int) -> dict[str, str]:
        return {part: self.stands.get(basket_forms.name(at, part), "") for part in basket_forms.LABELS}

    def lines(self) -> list[int]:
        return basket_forms.numbers(self.stands)

    def sum(self) -> str:
        found = re.search(r"data-basket-sum[^>]*>([^<]*)<", self.answer.text)
        assert found, "no basket is on the page"
        return found[1]

    def focus(self) -> str:
        found = re.search(r"<(?:input|div)[^>]* autofocus[^>]*>", self.answer.text)
        named = found and re.search(r'name="([^"]*)"', found[0])
        return named[1] if named else ""

    def _read(self) -> None:
        form = re.search(r"<form[^>]*data-first-beat[^>]*>.*?</form>", self.answer.text, re.DOTALL)
        if form is None:
            return
        typed = {
            name[1]: html.unescape(value[1]) if value else ""
            for each in re.findall(r"<input [^>]*>", form[0])
            if (name := re.search(r' name="([^"]*)"', each))
            for value in [re.search(r' value="([^"]*)"', each)]
        }
        typed.pop("csrfmiddlewaretoken", None)
        self.stands = typed | {name: hidden(self.answer.text, "data-first-beat")[name] for name in ["extra_paid"]}


def of(at: int, **values: str) -> dict[str, str]:
    return {basket_forms.name(at, part): text for part, text in {**LINE, **values}.items()}


@pytest.fixture
def editor(signed_in: Any, alice: Any, shop: Shop) -> Editor:
    client = signed_in(alice)
    connection = str(shop.connection.key)
    client.post(f"{DESK}scan/", {"key": str(uuid.uuid4()), "connection": connection, "number": SEED, "entry_type": "B"})
    newest = Inquiry.objects.order_by("-id").first()
    assert newest
    balances.answer(newest.pk)
    return Editor(client, shop, SEED)


# ---- Putting it together --------------------------------------------------------------------------------------
def test_it_begins_empty_with_the_box_for_scans(editor: Editor) -> None:
    assert (editor.lines(), editor.sum(), editor.focus()) == ([], "–", "scan")


@pytest.mark.parametrize(
    ("scan", "part", "next_field"),
    [
        (EAN, "ean", "line0_text"),
        (f"]E0{EAN}", "ean", "line0_text"),
        ("96385074", "ean", "line0_text"),
        ("30200", "article", "line0_text"),
        ("Cup, blue", "text", "line0_price"),
        ("<b>Cup</b>", "text", "line0_price"),
        ("٤٠٠٦٣٨١٣٣٣٩٣١", "text", "line0_price"),
    ],
)
def test_what_is_scanned_or_typed_becomes_a_line(editor: Editor, scan: str, part: str, next_field: str) -> None:
    editor.posts(scan=scan, sum="1")

    assert editor.line(0)[part] == scan.removeprefix("]E0")
    assert editor.line(0)["quantity"] == "1"
    assert editor.stands["scan"] == ""
    assert editor.focus() == next_field
    assert "<b>Cup" not in editor.answer.text
    assert not Operation.objects.exists()


def test_the_same_article_scanned_again_is_one_piece_more(editor: Editor) -> None:
    editor.posts(scan=EAN, sum="1")
    editor.posts(scan=EAN, sum="1", line0_text="Cup", line0_price="4", line0_vat="7")

    assert editor.lines() == [0]
    assert editor.line(0)["quantity"] == "2"
    assert editor.focus() == "scan"
    editor.posts(scan=OTHER_EAN, sum="1")
    assert editor.line(1) == {**dict.fromkeys(LINE, ""), "ean": OTHER_EAN, "quantity": "1", "vat": "7"}


@pytest.mark.parametrize(
    ("scan", "said"),
    [
        (WRONG_EAN, "The check digit of this EAN is wrong."),
        ("4260447149503", "The check digit of this EAN is wrong."),
        (LOAD, "This number stands for a load."),
        ("4260447149519", "This number stands for a load."),
    ],
)
def test_a_scan_that_cannot_be_sold_stays_in_its_box_beside_what_is_wrong(editor: Editor, scan: str, said: str) -> None:
    editor.posts(**of(0), scan=scan, sum="1")

    assert said in editor.answer.text
    assert 'aria-describedby="id_scan_helptext id_scan_error"' in editor.answer.text
    assert editor.stands["scan"] == scan
    assert editor.line(0)["text"] == "Dining service"


def test_lines_come_and_go_and_what_is_typed_stays(editor: Editor) -> None:
    editor.posts(scan="Cup", sum="1")
    editor.posts(scan="Plate", sum="1", line0_price="abc", line0_vat="7")
    editor.posts(add="1", line1_price="2,50", line1_vat="19", load="x")

    assert editor.lines() == [0, 1, 2]
    assert (editor.line(0)["price"], editor.line(1)["price"], editor.stands["load"]) == ("abc", "2,50", "x")
    assert editor.sum() == "–"
    editor.posts(remove="0")
    assert editor.lines() == [1, 2]
    assert editor.line(1)["text"] == "Plate"
    editor.posts(load_preset="2000")
    assert editor.stands["load"] == "20.00"
    assert editor.sum() == "€22.50"
    assert not Operation.objects.exists()


def test_what_is_scanned_and_not_added_yet_is_added_before_anything_is_asked(editor: Editor) -> None:
    editor.posts(**of(0), scan="Cup")

    assert "data-confirm" not in editor.answer.text
    assert editor.line(1)["text"] == "Cup"


def test_a_basket_has_an_end(editor: Editor) -> None:
    many = {name: text for at in range(100) for name, text in of(at).items()}
    editor.posts(**many, scan="Cup", sum="1")

    assert "A basket has at most 100 lines." in editor.answer.text
    assert editor.lines() == list(range(100))


# ---- The sentence ---------------------------------------------------------------------------------------------
def test_the_sentence_says_what_is_sold_what_is_loaded_and_what_is_to_be_paid(editor: Editor) -> None:
    answer = editor.posts(**of(0), load="2000")  # digits alone count from the right, as everywhere at a till

    text = " ".join(re.sub("<[^>]+>", "", answer.text).split())
    assert "Sell Dining service for €59.00 with card •••• 4352 at secuconnect." in text
    assert "€20.00 is put onto the card. To be paid: €79.00." in text
    assert "What the card earns by it is for secuconnect to say." in text
    assert "Balance after" not in text  # nobody knows it yet
    assert ">Sell for €79.00</button>" in answer.text
    assert not Operation.objects.exists()


def hidden_of(answer: Any) -> dict[str, str]:
    return {name: html.unescape(value) for name, value in hidden(answer.text, "data-confirm").items()}


def test_confirmed_it_is_sold_once_and_its_pages_show_the_basket(editor: Editor, shop: Shop) -> None:
    editor.posts(**of(0), load="20.00")
    first, again = editor.confirms(), editor.confirms()
    while operations.work():
        pass

    assert (first.status_code, again.status_code, first["Location"]) == (303, 303, again["Location"])
    assert shop.booked() == [("bonus", 790), ("top_up", 2000)]
    for page in ("", "receipt/", "evidence/"):
        text = editor.client.get(f"{first['Location']}{page}").text
        assert "Dining service" in text
        assert "Loaded onto the card" in text
        assert "€79.00" in text
    assert "New balance €30.10" in editor.client.get(first["Location"]).text


def test_two_tabs_with_one_form_sell_one_basket_and_say_so(editor: Editor, shop: Shop) -> None:
    editor.posts(**of(0))
    one = editor.confirms()
    other = json.dumps([{**json.loads(hidden_of(editor.answer)["basket"])[0], "price": 100}])

    two = editor.confirms(basket=other, minor="100")

    assert (one.status_code, two.status_code) == (303, 409)
    assert Operation.objects.count() == 1
    assert "This form was sent before, with other content." in two.text
    anew = editor.client.post(editor.url, {**hidden(two.text, "action="), "do": "sale", "change": "1"})
    assert anew.status_code == 200


def test_a_till_that_locks_gives_back_what_stood_in_the_basket(editor: Editor) -> None:
    session = editor.client.session
    basket = {**of(0, price="1,234"), "scan": "4006", "load": "20.00"}
    session["draft"] = {"path": editor.url, "typed": {"do": "sale", "basket": basket}, "at": time.time()}
    session.save()

    there = Editor(editor.client, editor.shop, SEED)

    assert there.line(0) == {**LINE, "price": "1,234"}
    assert (there.stands["scan"], there.stands["load"]) == ("4006", "20.00")


# ---- Abuse ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"quantity": "-1"}, "quantity", "Type how many"),
        ({"quantity": "0"}, "quantity", "Type how many"),
        ({"quantity": "1.5"}, "quantity", "Type how many"),
        ({"quantity": "10000"}, "quantity", "Type how many"),
        ({"quantity": "9" * 200}, "quantity", "Type how many"),
        ({"quantity": "٣"}, "quantity", "Type how many"),
        ({"price": "-5"}, "price", "more than nothing"),
        ({"price": "0"}, "price", "more than nothing"),
        ({"price": ""}, "price", "Type the price of one."),
        ({"price": "1,234"}, "price", "two ways"),
        ({"price": "99999999.99"}, "price", "too large"),
        ({"price": "9999999.99", "quantity": "9999"}, "price", "too large"),
        ({"vat": ""}, "vat", "Type the rate"),
        ({"vat": "100"}, "vat", "Type the rate"),
        ({"vat": "19.5"}, "vat", "Type the rate"),
        ({"text": ""}, "text", "Say what it is."),
        ({"text": "x" * 101}, "text", "at most 100 characters"),
        ({"text": "a\u202eb"}, "text", "invisible signs"),
        ({"article": "x" * 41}, "article", "at most 40 characters"),
        ({"ean": WRONG_EAN}, "ean", "check digit"),
        ({"ean": "123"}, "ean", "8, 12, 13 or 14 digits"),
        ({"ean": LOAD}, "ean", "stands for a load"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_beside_its_field(
    editor: Editor, typed: dict[str, str], field: str, said: str
) -> None:
    editor.posts(**of(0), **of(4, **typed))

    assert editor.answer.status_code == 422
    error = re.search(rf'<p class="error" id="id_line4_{field}_error">(.*?)</p>', editor.answer.text, re.DOTALL)
    assert error
    assert said in error[1]
    assert f'<a href="#id_line4_{field}">' in editor.answer.text  # in the summary, too
    assert editor.line(4)[field] == typed[field]
    assert editor.line(0)["text"] == "Dining service"
    assert not Operation.objects.exists()


def test_a_description_is_text_and_nothing_else(editor: Editor, shop: Shop) -> None:
    evil = "<script>alert(1)</script>\"'}{%"
    editor.posts(**of(0, text=evil))
    assert "<script>alert" not in editor.answer.text
    page = editor.client.get(editor.confirms()["Location"])

    assert "<script>alert" not in page.text
    assert html.escape(evil) in page.text
    assert operations.basket_of(Operation.objects.get()).lines[0].text == evil


def test_lines_that_come_to_too_much_are_refused_as_a_whole(editor: Editor) -> None:
    editor.posts(**of(0, price="9999999.99"), **of(1, price="9999999.99"))

    assert editor.answer.status_code == 422
    assert "All together this amount is too large." in editor.answer.text


def test_nothing_is_no_sale(editor: Editor) -> None:
    editor.posts(load="20.00")

    assert editor.answer.status_code == 422
    assert "Add what is sold" in editor.answer.text
    assert editor.stands["load"] == "20.00"


def test_a_thousand_lines_are_not_even_read(editor: Editor) -> None:
    many = {name: text for at in range(1000) for name, text in of(at).items()}

    assert editor.client.post(editor.url, {**editor.stands, **many}).status_code == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"minor": "1"},
        {"minor": ""},
        {"load_minor": "9000"},
        {"load_minor": "-1"},
        {"load_minor": "1e3"},
        {"basket": "[]"},
        {"basket": "{"},
        {"basket": "[" * 50_000},
        {"basket": '[{"text":"a","article":"","ean":"","quantity":1,"price":1,"vat":7}]'},
        {"basket": '[{"text":"a","article":"","ean":"","quantity":-1,"price":-5900,"vat":7}]', "minor": "5900"},
        {"basket": f'[{{"text":"a","article":"","ean":"{LOAD}","quantity":3,"price":5900,"vat":0}}]', "minor": "17700"},
    ],
)
def test_an_edited_sentence_sells_nothing(editor: Editor, shop: Shop, changed: dict[str, str]) -> None:
    editor.posts(**of(0))

    answer = editor.confirms(**changed)

    assert answer.status_code == 422
    assert not Operation.objects.exists()
    assert shop.booked() == []
    assert "data-first-beat" in answer.text


def test_an_edited_way_to_pay_is_refused(editor: Editor) -> None:
    editor.posts(**of(0))

    assert editor.confirms(extra_paid="creditcard").status_code == 422
    assert not Operation.objects.exists()


def test_a_basket_that_went_into_a_sentence_comes_back_to_be_changed(editor: Editor) -> None:
    answer = editor.posts(**of(0, text='A "cup" & more'), **of(1, ean=EAN, quantity="3"), load="20.00")
    editor.stands = {}

    editor.posts(**hidden_of(answer), change="1")

    assert editor.line(0) == {**LINE, "text": 'A "cup" & more'}
    assert editor.line(1) == {**LINE, "ean": EAN, "quantity": "3"}
    assert (editor.stands["load"], editor.sum()) == ("20.00", "€256.00")


def test_the_counter_case_of_the_document_through_the_page(editor: Editor, shop: Shop) -> None:
    there = Editor(editor.client, shop, NO_BONUS_ON_LOADS)
    there.posts(**of(0), load="20.00")
    there.confirms()
    while operations.work():
        pass

    assert shop.booked() == [("bonus", 590), ("top_up", 2000)]
    assert Operation.objects.get().state == OperationState.DONE
