"""The card's page, its actions in two beats, and the operation's pages, as a browser without JavaScript uses them."""

import ast
import re
import uuid
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone, translation
from django.utils.html import escape

from portal.connectors.base import Reason
from portal.ledger import (
    approvals,
    balances,
    basket_forms,
    baskets,
    operations,
    outcome_words,
    settling,
    till_forms,
    till_words,
    words,
)
from portal.ledger.amounts import read_amount
from portal.ledger.models import Card, Inquiry, Operation, OperationState, State, inquiry_writer, operation_writer
from portal.merchants.models import AuditEntry, Connection, Member
from portal.merchants.roles import Role
from portal.money import HARD_CAP, Money
from tests.conftest import make_connection, make_person
from tests.ledger.conftest import CARD, Till

DESK = "/m/baeckerei-jung/"
INACTIVE, EMPTY, SMALL, HELD = "914639258868501", "914639258868502", "914639258868503", "914639258868504"
S = OperationState


class Browser:
    """Alice's browser at the till, without JavaScript: what she posts is what the pages' forms hold."""

    def __init__(self, client, till: Till) -> None:
        self.client, self.till = client, till

    def page_of(self, number: str = CARD) -> str:
        return f"{DESK}cards/{self.till.card(number).key}/"

    def reads(self, number: str = CARD) -> str:
        """Scan the card, let the worker answer, and come to its page."""
        connection = str(self.till.connection.key)
        answer = self.client.post(
            f"{DESK}scan/", {"key": str(uuid.uuid4()), "connection": connection, "number": number, "entry_type": "B"}
        )
        balances.answer(Inquiry.objects.order_by("-id").first().pk)
        return answer["Location"]

    def sees(self, path: str, **headers: str) -> str:
        return self.client.get(path, **headers).text

    def draws(self, verb: str, number: str = CARD) -> dict[str, str]:
        """The form of an action as it is drawn."""
        return hidden(self.sees(f"{self.page_of(number)}?do={verb}"), "data-first-beat")

    def fills_in(self, verb: str, number: str = CARD, **typed: str):
        return self.client.post(self.page_of(number), {**self.draws(verb, number), **typed})

    def confirms(self, answer, number: str = CARD, **other: str):
        return self.client.post(f"{self.page_of(number)}confirm/", {**hidden(answer.text, "data-confirm"), **other})

    def does(self, verb: str, number: str = CARD, **typed: str):
        """Both beats, and the worker's part; returns the operation's page."""
        answer = self.confirms(self.fills_in(verb, number, **typed), number)
        assert answer.status_code == 303, answer.text
        while operations.work():
            pass
        return self.client.get(answer["Location"])


def hidden(page: str, mark: str) -> dict[str, str]:
    """What the marked form would send if nobody typed anything."""
    form = re.search(rf"<form[^>]*{mark}[^>]*>.*?</form>", page, re.DOTALL)
    assert form, "the form is not on the page"
    found = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[0]))
    found.pop("csrfmiddlewaretoken", None)
    for name, options in re.findall(r'<select name="([^"]+)".*?>(.*?)</select>', form[0], re.DOTALL):
        [found[name]] = re.findall(r'value="([^"]+)" selected', options)
    if chosen := re.search(r'type="radio" name="of" value="([^"]+)"[^>]* checked', form[0]):
        found["of"] = chosen[1]
    return found


@pytest.fixture
def browser(signed_in, alice, till: Till) -> Browser:
    return Browser(signed_in(alice), till)


def write(rows, **values: object) -> None:
    """Change rows as no code of ours would."""
    for writer in (operation_writer, inquiry_writer):
        writer._open.set(True)
    try:
        rows.update(**values)
    finally:
        for writer in (operation_writer, inquiry_writer):
            writer._open.set(False)


def written(operation: Operation, **values: object) -> None:
    write(Operation.objects.filter(pk=operation.pk), **values)


# ---- Who may, who may not, and what if it is not there --------------------------------------------------------
PAGES = [
    "cards/{card}/",
    "operations/{operation}/",
    "operations/{operation}/receipt/",
    "operations/{operation}/evidence/",
]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("role", Role)
def test_each_page_is_for_those_the_table_names(page, role, till, signed_in, jung, arrange):
    operation = till.gets("pay", 100)
    with arrange():
        somebody = signed_in(make_person("Somebody", (jung, role)))
    at_the_till = {Role.OWNER, Role.MANAGER, Role.CASHIER}
    allowed = at_the_till if page.startswith("cards") else set(Role) - {Role.MARKETING}

    answer = somebody.get(DESK + page.format(card=till.card().key, operation=operation.key))

    assert answer.status_code == (200 if role in allowed else 403)


@pytest.mark.parametrize("page", PAGES)
def test_another_merchants_page_looks_like_one_that_never_was(page, till, signed_in, ben, kauri, arrange):
    operation = till.gets("pay", 100)
    with arrange():
        make_connection(kauri)
    theirs = signed_in(ben)

    foreign = theirs.get("/m/kauri-books/" + page.format(card=till.card().key, operation=operation.key))
    missing = theirs.get("/m/kauri-books/" + page.format(card=uuid.uuid4(), operation=uuid.uuid4()))

    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert foreign.text.replace(foreign["X-Request-ID"], "") == missing.text.replace(missing["X-Request-ID"], "")
    with arrange():
        assert AuditEntry.objects.filter(merchant=kauri, verb__endswith="not found").count() == 2


@pytest.mark.parametrize("action", ["cards/{}/confirm/", "cards/{}/ask-again/", "operations/{}/withdraw/"])
def test_nothing_can_be_done_with_what_is_not_there(action, browser):
    assert browser.client.post(DESK + action.format(uuid.uuid4())).status_code == 404


def test_an_accountant_sees_an_operation_without_the_way_to_the_card_or_a_void(till, signed_in, jung, arrange):
    operation = till.gets("pay", 100)
    with arrange():
        anton = signed_in(make_person("Anton", (jung, "accountant")))

    page = anton.get(f"{DESK}operations/{operation.key}/").text

    assert f"/cards/{till.card().key}/" not in page
    assert "Void it" not in page


# ---- The card -------------------------------------------------------------------------------------------------
def test_a_scan_leads_to_the_cards_page_where_the_balance_is_large_and_its_story_beside(browser):
    page = browser.sees(browser.reads())

    assert re.search(r'class="balance">.*\$30\.10</p>', page)
    assert "and 53 points" in page
    assert "Barcode scanned" in page
    assert "What is done with this card at Tillside is listed here." in page


def test_the_frame_is_there_before_the_answer_and_the_page_asks_by_itself(browser, till):
    browser.reads()
    browser.client.post(f"{browser.page_of()}ask-again/", {"key": str(uuid.uuid4())})

    page = browser.sees(browser.page_of())

    assert "$30.10" in page
    assert "Asking PayWizard" in page
    assert 'hx-trigger="every 1s"' in page
    fragment = browser.sees(browser.page_of(), HTTP_HX_REQUEST="true", HTTP_HX_TARGET="reading")
    assert fragment.lstrip().startswith("<section")


def test_asking_again_needs_no_number(browser, till):
    browser.reads()
    till.gets("top_up", 500)

    answer = browser.client.post(f"{browser.page_of()}ask-again/", {"key": str(uuid.uuid4())})
    newest = Inquiry.objects.order_by("-id").first()
    assert (answer.status_code, newest.sealed_number) == (303, None)
    balances.answer(newest.pk)

    newest.refresh_from_db()
    assert (newest.state, newest.balance_minor, newest.extra) == (State.ANSWERED, 3510, {"entry_type": "B"})
    assert "$35.10" in browser.sees(browser.page_of())


def test_asking_again_twice_with_one_button_asks_once(browser):
    browser.reads()
    key = str(uuid.uuid4())

    for _ in range(2):
        browser.client.post(f"{browser.page_of()}ask-again/", {"key": key})

    assert Inquiry.objects.count() == 2


def test_a_reading_of_more_than_a_minute_is_grey(browser, till):
    browser.reads()
    assert "is-old" not in browser.sees(browser.page_of())

    Card.objects.update(read_at=timezone.now() - timezone.timedelta(seconds=61))

    assert "is-old" in browser.sees(browser.page_of())


def test_the_holder_is_masked_and_for_those_who_may_see_customers(browser, monkeypatch):
    page = browser.sees(browser.reads(HELD))
    holder = Inquiry.objects.order_by("-id").first().holder

    assert holder
    assert all(escape(text) in page for text in holder.values())
    monkeypatch.setattr("portal.ledger.till.may", lambda role, permission: permission != "see_customers")
    assert not any(escape(text) in browser.sees(browser.page_of(HELD)) for text in holder.values())


def test_a_card_nobody_knows_says_so_and_offers_no_action(browser):
    page = browser.sees(browser.reads("123412341234"))

    assert "No card found for these details." in page
    assert "The card company does not know this card." in page


def test_a_failed_look_up_keeps_the_old_reading_and_says_why(browser, till):
    browser.reads()
    till.arm("error_after", "giftInquiry")
    browser.client.post(f"{browser.page_of()}ask-again/", {"key": str(uuid.uuid4())})
    balances.answer(Inquiry.objects.order_by("-id").first().pk)

    page = browser.sees(browser.page_of())

    assert "$30.10" in page
    assert "The card company has trouble of its own." in page


def test_a_stopped_worker_is_said(browser):
    browser.reads()
    browser.client.post(f"{browser.page_of()}ask-again/", {"key": str(uuid.uuid4())})
    write(Inquiry.objects.filter(state=State.WAITING), woken_at=timezone.now() - timezone.timedelta(seconds=6))

    assert "Nobody is asking PayWizard at the moment." in browser.sees(browser.page_of())


def test_the_last_ten_operations_are_told_in_sentences(browser, till, olivia, jung, alice):
    for _ in range(9):
        till.gets("top_up", 100)
    till.gets("pay", 540)
    till.gets("pay", 999999)
    till.member = Member.objects.select_related("merchant", "person").get(person=olivia)
    till.gets("issue_points", 12)

    page = browser.sees(browser.page_of())

    assert page.count('class="line-text"') == 10
    for said in ("You took $5.40", "− $5.40", "Payment of $9,999.99, by you", "Refused", "Olivia issued 12 points"):
        assert said in page


@pytest.mark.parametrize(
    ("state", "said"), [(S.CHECKING, "We are checking"), (S.NEEDS_PERSON, "Somebody has to find out")]
)
def test_an_unsettled_operation_locks_the_card_with_a_sentence_and_a_link(browser, till, state, said):
    browser.reads()
    till.arm("timeout_after", "giftTransaction", seconds=2)
    operation = till.gets("pay", 1250)
    assert operation.state == S.CHECKING
    if state == S.NEEDS_PERSON:
        written(operation, state=state)

    page = browser.sees(browser.page_of())

    assert f"Do not repeat. {said}" in page
    assert "a payment of $12.50" in page
    assert f"/operations/{operation.key}/" in page
    assert "An earlier operation on this card is not settled yet." in page
    assert "data-first-beat" not in page


# ---- Which actions are offered --------------------------------------------------------------------------------
def test_actions_the_role_lacks_are_grey_and_say_who_can(browser, monkeypatch):
    monkeypatch.setattr("portal.ledger.till.may", lambda role, permission: permission not in ("void", "top_up"))

    page = browser.sees(f"{browser.page_of()}?do=top_up")

    assert "Adding money is for Owner, Manager and Cashier." in page
    assert page.count("tab-off") >= 2


def test_actions_the_provider_lacks_are_grey_and_say_so(browser, monkeypatch):
    from portal.connectors.paywizard import PayWizard

    monkeypatch.setattr(PayWizard, "supports", classmethod(lambda cls: frozenset({"balance", "pay"})))

    assert "There is no such call for cards of PayWizard." in browser.sees(f"{browser.page_of()}?do=activate")


def test_nothing_to_void_or_tip_is_said(browser):
    assert "There is nothing on this card that can be voided." in browser.sees(f"{browser.page_of()}?do=void")
    assert "There is no payment on this card that can take a tip." in browser.sees(f"{browser.page_of()}?do=tip")


def test_a_paused_connection_offers_nothing_and_says_why(browser, arrange):
    with arrange():
        Connection.objects.update(paused_at=timezone.now(), pause_reason=Reason.KEY_REFUSED)

    assert "PayWizard is paused" in browser.sees(browser.page_of())


# ---- Amounts --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("typed", "minor"),
    [
        ("12.50", 1250), ("12,50", 1250), ("1250", 1250), ("12,5", 1250), ("12.", 1200), (".50", 50), (" 7 ", 7),
        ("1,234.56", 123456), ("1,234,567", 123456700), ("1234,56", 123456), ("0012", 12), ("\u00a012.50\u00a0", 1250),
    ],
)  # fmt: skip
def test_an_amount_is_read_as_people_write_it(typed, minor):
    assert read_amount(typed, "USD") == Money(minor, "USD")


@pytest.mark.parametrize(
    ("typed", "currency", "minor"), [("1250", "JPY", 1250), ("10.505", "KWD", 10505), ("12,5", "KWD", 12500)]
)
def test_an_amount_has_its_currencys_decimals(typed, currency, minor):
    assert read_amount(typed, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    "typed",
    [
        "-5", "−5", "-0", "0", "0.00", "NaN", "Infinity", "1e309", "1E+1000000", "9223372036854775808", "10000000.01",
        "10.505", "1.234,56", "1 234,56", "1'234.56", "1,234", "1.234", "٤٢", "１２", "12€", "USD 5", "--", ".",
        "9" * 4000, "1..2", "1,23,456.00", "0x10", "1_000",
    ],
)  # fmt: skip
def test_what_is_no_amount_or_could_be_two_is_refused_in_a_sentence(typed):
    with pytest.raises(ValidationError) as wrong:
        read_amount(typed, "USD")

    assert wrong.value.messages[0].endswith(".")


@pytest.mark.parametrize(
    ("typed", "currency"), [("100.5", "JPY"), ("1,234", "JPY"), ("1.5055", "KWD"), ("1,234", "KWD")]
)
def test_more_decimals_than_the_currency_has_are_refused(typed, currency):
    with pytest.raises(ValidationError):
        read_amount(typed, currency)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("1,234", "1,234 can be read in two ways. Type 1234.00 or 1.23."),
        ("1.234", "1.234 can be read in two ways. Type 1234.00 or 1.23."),
    ],
)
def test_what_could_be_two_amounts_is_asked_about_with_both_answers(typed, said):
    with pytest.raises(ValidationError, match=re.escape(said)):
        read_amount(typed, "USD")


def test_a_german_reader_groups_thousands_the_german_way():
    with translation.override("de"):
        assert read_amount("1.234,56", "EUR") == Money(123456, "EUR")
        with pytest.raises(ValidationError):
            read_amount("1,234.56", "EUR")
        assert read_amount("10,505", "KWD") == Money(10505, "KWD")


def test_the_largest_amount_is_ours_not_the_databases():
    assert read_amount("10000000.00", "USD").minor == HARD_CAP


@pytest.mark.parametrize("typed", ["", "0", "-1", "1.5", "1,000", "NaN", "٣", str(HARD_CAP + 1), "9" * 40])
def test_points_are_whole_and_more_than_none(typed, browser):
    answer = browser.fills_in("issue_points", points=typed)

    assert answer.status_code == 422
    assert 'id="id_points_error"' in answer.text


# ---- Two beats ------------------------------------------------------------------------------------------------
def test_what_is_filled_in_comes_back_as_a_sentence_and_nothing_is_stored(browser):
    browser.reads()

    answer = browser.fills_in("pay", amount="1250")

    text = re.sub("<[^>]+>", "", answer.text)
    assert "Take $12.50 from card ••••\u00a08500 at PayWizard." in text
    assert "Balance after: $17.60." in text
    assert ">Take $12.50</button>" in answer.text
    assert not Operation.objects.exists()


def test_confirming_asks_once_and_leads_to_its_page(browser, till):
    browser.reads()
    answer = browser.confirms(browser.fills_in("pay", amount="12,50"))

    assert answer.status_code == 303
    operation = Operation.objects.get()
    assert answer["Location"] == f"{DESK}operations/{operation.key}/"
    assert (operation.verb, operation.amount_minor, operation.currency) == ("pay", 1250, "USD")
    assert operation.extra == {"entry_type": "B"}


def test_a_wrong_amount_stays_in_its_field_beside_what_is_wrong(browser):
    answer = browser.fills_in("pay", amount="1,234")

    assert answer.status_code == 422
    assert 'value="1,234"' in answer.text
    assert 'id="id_amount_error"' in answer.text


def test_a_payment_above_the_balance_becomes_one_of_the_balance(browser):
    browser.reads(SMALL)

    answer = browser.fills_in("pay", SMALL, amount="12.50")

    assert "Card has $7.60. Take $7.60 and collect $4.90 otherwise?" in answer.text
    assert hidden(answer.text, "data-confirm")["minor"] == "760"


def test_nothing_is_taken_from_an_empty_card(browser):
    browser.reads(EMPTY)

    answer = browser.fills_in("pay", EMPTY, amount="5.00")

    assert answer.status_code == 422
    assert "There is nothing on the card." in answer.text


@pytest.mark.parametrize(("preset", "minor"), [("500", "500"), ("all", "3010")])
def test_a_preset_leads_to_the_sentence(browser, preset, minor):
    browser.reads()

    assert hidden(browser.fills_in("pay", preset=preset).text, "data-confirm")["minor"] == minor


@pytest.mark.parametrize(("preset", "points"), [("all", "53"), ("half", "26")])
def test_points_are_redeemed_all_or_half(browser, preset, points):
    browser.reads()

    assert hidden(browser.fills_in("redeem_points", preset=preset).text, "data-confirm")["points"] == points


def test_more_points_than_there_are_cannot_be_redeemed(browser):
    browser.reads()

    assert "There are 53 points on the card." in browser.fills_in("redeem_points", points="54").text


def test_change_goes_back_to_the_form_with_everything_typed(browser):
    browser.reads()
    question = hidden(
        browser.fills_in("top_up", amount="20.00", also_activate="on", last_name="Muster").text, "data-confirm"
    )

    page = browser.client.post(browser.page_of(), {**question, "change": "1"}).text

    assert 'value="20.00"' in page
    assert re.search(r'name="also_activate"[^>]*checked', page)
    assert 'value="Muster"' in page
    assert hidden(page, "data-first-beat")["key"] == question["key"]


@pytest.mark.parametrize(
    ("verb", "typed", "told", "moved"),
    [
        ("pay", {"amount": "12.50"}, "Took $12.50 from ••••\u00a08500.", (-1250, 0)),
        ("top_up", {"amount": "20,00"}, "Added $20.00 to ••••\u00a08500.", (2000, 0)),
        ("issue_points", {"points": "12"}, "Gave 12 points to ••••\u00a08500.", (0, 12)),
        ("redeem_points", {"points": "50"}, "Redeemed 50 points from ••••\u00a08500.", (0, -50)),
    ],
)
def test_each_action_is_done_and_told(browser, till, verb, typed, told, moved):
    browser.reads()

    page = browser.does(verb, **typed).text

    assert told in page
    assert ">Done</span>" in page
    assert [effect["verb"] for effect in till.effects()] == [verb]
    card = till.card()
    card.refresh_from_db()
    assert (card.balance_minor - 3010, card.points - 53) == moved


def test_a_card_is_activated_with_its_customer_whose_details_are_sealed(browser, till):
    answer = browser.confirms(
        browser.fills_in("activate", INACTIVE, first_name="Max", email="max@example.com"), INACTIVE
    )

    operation = Operation.objects.get()
    assert operation.sealed_input is not None
    assert "max@example.com" not in str(vars(operation))
    while operations.work():
        pass
    assert "Activated ••••\u00a08501." in browser.sees(answer["Location"])


def test_a_top_up_activates_only_when_told(browser, till):
    browser.does("top_up", INACTIVE, amount="5.00")
    refused = Operation.objects.get()
    page = browser.does("top_up", INACTIVE, amount="5.00", also_activate="on").text

    assert refused.state == S.REFUSED
    assert "It is activated, too." in page
    assert "activate" in [effect["verb"] for effect in till.effects()]


def test_a_void_says_exactly_what_it_undoes_and_is_offered_once(browser, till):
    browser.reads()
    browser.does("pay", amount="12.50")

    answer = browser.fills_in("void")
    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", "", answer.text))
    assert "Undo a payment of $12.50 by Alice at" in text
    assert "$12.50 goes back onto the card." in text
    assert "Balance after: $30.10." in text
    done = browser.client.get(browser.confirms(answer)["Location"])
    while operations.work():
        pass

    assert "Voided a payment of $12.50 on ••••\u00a08500." in browser.sees(done.request["PATH_INFO"])
    assert "There is nothing on this card that can be voided." in browser.sees(f"{browser.page_of()}?do=void")


def test_a_void_pressed_twice_is_one_void(browser):
    browser.reads()
    browser.does("pay", amount="12.50")
    question = browser.fills_in("void")

    first, second = browser.confirms(question), browser.confirms(question)

    assert (first.status_code, first["Location"]) == (second.status_code, second["Location"])
    assert Operation.objects.filter(verb="void").count() == 1


def test_a_tip_belongs_to_the_payment_chosen(browser, till):
    browser.reads()
    browser.does("pay", amount="12.50")
    older = Operation.objects.get()
    browser.does("pay", amount="1.00")

    page = browser.does("tip", amount="2.00", of=str(older.key)).text

    assert "Took a tip of $2.00 from ••••\u00a08500." in page
    assert Operation.objects.get(verb="tip").original == older
    assert till.effects()[-1]["original"] == older.provider_reference


def test_a_tipped_payment_is_not_offered_for_a_void(browser):
    browser.reads()
    browser.does("pay", amount="12.50")
    browser.does("tip", amount="2.00")

    assert "There is nothing on this card that can be voided." in browser.sees(f"{browser.page_of()}?do=void")


def test_a_void_of_another_cards_operation_is_refused(browser, till):
    other = till.gets("pay", 100, number=SMALL)
    browser.does("pay", amount="12.50")
    question = hidden(browser.fills_in("void").text, "data-confirm")

    answer = browser.client.post(f"{browser.page_of()}confirm/", {**question, "of": str(other.key)})

    assert answer.status_code == 422
    assert not Operation.objects.filter(verb="void").exists()


# ---- One form is one operation --------------------------------------------------------------------------------
def test_the_forms_key_survives_a_reload_and_dies_with_a_definite_answer(browser):
    browser.reads()
    first, second = browser.draws("pay")["key"], browser.draws("pay")["key"]
    assert first == second

    browser.confirms(browser.fills_in("pay", amount="1.00"))
    assert browser.draws("pay")["key"] == first
    while operations.work():
        pass

    assert browser.draws("pay")["key"] != first


def test_a_form_sent_again_with_other_content_shows_the_first_outcome_and_offers_a_new_one(browser):
    browser.reads()
    question = browser.fills_in("pay", amount="12.50")
    browser.confirms(question)
    while operations.work():
        pass

    answer = browser.confirms(question, minor="990")

    assert answer.status_code == 409
    assert "Took $12.50" in answer.text
    assert "Nothing new was asked." in answer.text
    start_new = dict(
        re.findall(r'<input type="hidden" name="(do|minor|extra_entry_type)" value="([^"]*)"', answer.text)
    )
    page = browser.client.post(browser.page_of(), {**start_new, "change": "1"}).text
    assert 'value="9.90"' in page
    assert Operation.objects.count() == 1


def test_a_stale_confirmation_on_a_locked_card_is_not_queued_for_later(browser, till):
    browser.reads()
    question = browser.fills_in("pay", amount="1.00")
    till.arm("timeout_after", "giftTransaction", seconds=2)
    till.gets("pay", 1250)

    answer = browser.confirms(question)

    assert answer.status_code == 422
    assert "An earlier operation on this card is not settled yet." in answer.text
    assert Operation.objects.count() == 1


def cannot_ask_words() -> set[str]:
    """A basket's words are handed on by operations.py as they are."""
    return {
        str(node.args[0].value)
        for module in (operations, settling, approvals, baskets, basket_forms, till_forms)
        for node in ast.walk(ast.parse(Path(module.__file__).read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) in {"CannotAsk", "WrongBasket"}
        and isinstance(node.args[0], ast.Constant)
    }


def test_every_word_of_cannot_ask_has_a_sentence():
    assert cannot_ask_words() == set(till_words.CANNOT_ASK)


@pytest.mark.parametrize("why", sorted(till_words.CANNOT_ASK))
def test_a_refused_question_is_said_beside_the_form_with_what_was_typed(why, browser, monkeypatch):
    browser.reads()
    question = browser.fills_in("pay", amount="12.50")

    def refuse(**_: object) -> None:
        raise operations.CannotAsk(why)

    monkeypatch.setattr(operations, "request", refuse)
    answer = browser.confirms(question)

    assert answer.status_code == 422
    assert escape(till_words.cannot_ask(why)) in answer.text
    assert 'value="12.50"' in answer.text


def test_a_connection_paused_meanwhile_is_said_beside_the_form(browser, arrange):
    browser.reads()
    question = browser.fills_in("pay", amount="12.50")
    with arrange():
        Connection.objects.update(paused_at=timezone.now(), pause_reason=Reason.KEY_REFUSED)

    answer = browser.confirms(question)

    assert answer.status_code == 422
    assert "PayWizard is paused" in answer.text


def test_a_role_lowered_meanwhile_is_said_beside_the_form(browser, monkeypatch):
    browser.reads()
    question = browser.fills_in("pay", amount="12.50")
    monkeypatch.setattr("portal.merchants.standing.may", lambda role, permission: permission != "take_payments")

    answer = browser.confirms(question)

    assert answer.status_code == 422
    assert "Taking payments and tips is for Owner, Manager and Cashier." in answer.text


@pytest.mark.parametrize("key", ["", "no-key"])
def test_a_form_without_its_key_is_refused_in_words(key, browser):
    browser.reads()
    answer = browser.confirms(browser.fills_in("pay", amount="12.50"), key=key)

    assert answer.status_code == 422
    assert "Reload the page" in answer.text


@pytest.mark.parametrize("minor", ["0", "-5", "1.5", "NaN", str(HARD_CAP + 1), "9" * 4000])
def test_a_forged_amount_is_refused(minor, browser):
    browser.reads()
    answer = browser.confirms(browser.fills_in("pay", amount="12.50"), minor=minor)

    assert answer.status_code == 422
    assert not Operation.objects.exists()


@pytest.mark.parametrize("value", ["X", "", "k" * 300])
def test_a_forged_extra_is_refused_or_the_default(value, browser):
    browser.reads()
    answer = browser.confirms(browser.fills_in("pay", amount="12.50"), extra_entry_type=value)

    assert answer.status_code == (303 if not value else 422)


# ---- The operation's page -------------------------------------------------------------------------------------
def test_the_new_balance_is_told_only_until_another_operation_changes_it(browser, till):
    browser.reads()
    first = till.gets("pay", 1250)
    page = f"{DESK}operations/{first.key}/"
    assert "New balance $17.60 and 53 points." in browser.sees(page)

    till.gets("pay", 100)

    assert "New balance" not in browser.sees(page)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "Asking PayWizard…"),
        ({"asked_at": -6}, "Nobody is asking PayWizard at the moment."),
        ({"next_attempt_at": 5, "attempt": 1}, "(attempt 2 of 5)"),
        ({"state": S.RUNNING, "lease_until": 9}, "Asking PayWizard…"),
        ({"state": S.RUNNING, "lease_until": 9, "asked_at": -4}, "Still waiting for PayWizard…"),
        ({"state": S.RUNNING, "lease_until": 9, "asked_at": -9}, "PayWizard takes long."),
    ],
)
def test_waiting_is_honest(browser, till, values, said, monkeypatch):
    operation = till.asks("pay", 100)
    now = timezone.now()
    moved = {
        name: now + timezone.timedelta(seconds=v) if isinstance(v, int) and name != "attempt" else v
        for name, v in values.items()
    }
    if asked := moved.pop("asked_at", None):
        monkeypatch.setattr(timezone, "now", lambda: operation.asked_at + (now - asked))
    if moved:
        written(operation, **moved)

    page = browser.sees(f"{DESK}operations/{operation.key}/")

    assert said in page
    assert 'hx-trigger="every 1s"' in page


def test_what_waits_behind_another_says_so_and_can_be_taken_back(browser, till):
    till.asks("pay", 1250)
    second = till.asks("top_up", 100)
    page = f"{DESK}operations/{second.key}/"
    assert "It waits until a payment of $12.50 on the same card is settled." in browser.sees(page)

    browser.client.post(f"{page}withdraw/")

    second.refresh_from_db()
    assert second.state == S.FAILED
    text = browser.sees(page)
    assert "It was taken back before anything was sent." in text
    assert ">Not sent</span>" in text


def test_what_has_begun_cannot_be_taken_back(browser, till):
    operation = till.gets("pay", 100)

    page = browser.client.post(f"{DESK}operations/{operation.key}/withdraw/", follow=True).text

    assert "It is too late to take it back" in page


def test_a_refusal_says_why_in_our_words_and_theirs(browser, till):
    page = browser.sees(f"{DESK}operations/{till.gets('pay', 999999).key}/")

    assert "There is not enough on the card." in page
    assert ">Refused</span>" in page
    assert "Answer of PayWizard" in page


def test_a_lost_answer_is_being_checked_and_the_slip_says_not_yet_confirmed(browser, till):
    till.arm("timeout_after", "giftTransaction", seconds=2)
    operation = till.gets("pay", 1250)

    page = browser.sees(f"{DESK}operations/{operation.key}/")
    slip = browser.sees(f"{DESK}operations/{operation.key}/receipt/")

    assert "PayWizard did not answer in time." in page
    assert "Do not repeat it. We are checking" in page
    assert "Not yet confirmed." in slip
    assert "New balance" not in slip


@pytest.mark.parametrize(
    "reason", [*Reason, operations.WITHDRAWN, operations.WORKER_LOST, settling.DECIDED_NOT, words.SEALED_ELSEWHERE]
)
@pytest.mark.parametrize("state", [S.CHECKING, S.NEEDS_PERSON, S.REFUSED, S.FAILED])
def test_every_reason_in_every_state_has_words(reason, state, till):
    operation = till.asks("pay", 100)
    operation.state, operation.reason = state, reason

    view = outcome_words.view(operation, after="", after_pending=False, behind=None, not_now="")

    assert view.sentence.strip()
    assert view.advice
    assert view.spoken


def test_the_story_and_the_exchanges_are_told_redacted(browser, till):
    operation = till.gets("pay", 1250)
    page = browser.sees(f"{DESK}operations/{operation.key}/")

    for said in (
        "Alice asked for it.",
        "Asked PayWizard for the card&#x27;s balance before sending: $30.10 and 53 points",
        "Sent to PayWizard, attempt 1",
        "Done: the answer says so.",
        operation.reference,
        operation.provider_reference,
        "giftTransaction",
    ):
        assert said in page


def test_a_decision_is_told_with_its_reason_and_markup_in_it_is_text(browser, till, olivia, jung):
    till.arm("timeout_after", "giftTransaction", seconds=2)
    operation = till.gets("pay", 1250)
    written(operation, state=S.NEEDS_PERSON)
    owner = Member.objects.select_related("merchant", "person").get(person=olivia)
    settling.decide(Operation.objects.get(pk=operation.pk), member=owner, happened=True, reason="<b>I saw it</b>")

    page = browser.sees(f"{DESK}operations/{operation.key}/")

    assert "Olivia looked and said: it happened." in page
    assert "&lt;b&gt;I saw it&lt;/b&gt;" in page


def test_the_evidence_page_has_everything(browser, till):
    operation = till.gets("pay", 1250)
    page = browser.sees(f"{DESK}operations/{operation.key}/evidence/")

    for said in (
        operation.reference,
        operation.provider_reference,
        "$30.10 and 53 points",
        "giftTransaction",
        "HTTP 200",
    ):
        assert said in page


def test_no_page_holds_the_cards_number(browser, till):
    page = browser.reads()
    question = browser.fills_in("pay", amount="12.50")
    answer = browser.confirms(question)
    while operations.work():
        pass
    outcome = answer["Location"]
    pages = [browser.sees(page), question.text, browser.confirms(question, minor="1").text, browser.sees(DESK)]
    pages += [browser.sees(outcome), browser.sees(f"{outcome}receipt/"), browser.sees(f"{outcome}evidence/")]
    pages += [browser.sees(f"{page}?do={verb}") for verb in ("top_up", "void", "tip", "activate", "redeem_points")]

    for text in pages:
        assert CARD not in text


def test_a_page_costs_a_bounded_number_of_queries(browser, till, django_assert_max_num_queries):
    page = browser.reads()
    for _ in range(12):
        till.gets("pay", 10)
    operation = Operation.objects.order_by("-id").first()

    with django_assert_max_num_queries(24):
        browser.sees(f"{page}?do=void")
    with django_assert_max_num_queries(12):
        browser.sees(page, HTTP_HX_REQUEST="true", HTTP_HX_TARGET="reading")
    with django_assert_max_num_queries(16):
        browser.sees(f"{DESK}operations/{operation.key}/", HTTP_HX_REQUEST="true")


def test_a_look_up_of_a_known_card_leads_to_the_cards_page(browser, till):
    page = browser.reads()
    inquiry = Inquiry.objects.get()

    assert browser.client.get(f"{DESK}look-ups/{inquiry.key}/")["Location"] == page


@pytest.mark.parametrize(("sent", "kept"), [("B", "B"), ("M", "M"), ("", None), ("X", None), ("<b>", None)])
def test_how_the_number_arrived_is_kept_where_the_provider_knows_it(browser, till, sent, kept):
    browser.client.post(
        f"{DESK}scan/",
        {"key": str(uuid.uuid4()), "connection": str(till.connection.key), "number": CARD, "entry_type": sent},
    )

    assert Inquiry.objects.get().extra.get("entry_type") == kept


def test_fifty_people_pressing_one_button_ask_once(browser, till, signed_in, alice):
    """One after the other here; in parallel in the journeys, where there is a real server."""
    browser.reads()
    question = browser.fills_in("pay", amount="1.00")

    places = {browser.confirms(question)["Location"] for _ in range(50)}

    assert len(places) == 1
    assert Operation.objects.count() == 1
