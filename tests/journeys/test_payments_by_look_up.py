"""A CardInquiry card pays in a browser: looked up, taken in two beats, settled by itself where the answer got lost."""

import itertools
from http.client import HTTPConnection
from json import dumps, loads
from urllib.parse import urlsplit

import pytest

from tests.conftest import Sandbox
from tests.journeys.test_secuconnect import quiet_period_passes
from tests.journeys.test_till import PHONE, confirms

# For load runs, 1,000.00 on each: every journey takes cards of its own.
_cards = itertools.count(900)
LAPSES = "6280390000000037"
GERMAN_PHONE = {**PHONE, "color_scheme": "dark", "locale": "de-DE"}


def own_card() -> str:
    return f"628039555{next(_cards)}9753"


def over_cardinquiry(visitor) -> None:
    offered = visitor.page.locator("select[name=connection]")
    if offered.count() and offered.is_visible():
        names = offered.locator("option").all_inner_texts()
        offered.select_option(label=next(text for text in names if "CardInquiry" in text))


def looks_up(visitor, number: str) -> None:
    """Scan the card, type its password, and see what it holds."""
    over_cardinquiry(visitor)
    visitor.looks_up(number)
    visitor.page.locator("#reading[data-state^=answered]").wait_for()


def asks(visitor, amount: str) -> None:
    """From the answer to the sentence."""
    visitor.page.locator("#take-payment").click()
    visitor.page.wait_for_url("**/cards/**")
    visitor.page.locator("#id_amount").press_sequentially(amount, delay=40)
    visitor.presses("Enter")
    visitor.page.locator("#question").wait_for()


def at_the_sandbox(visitor, method: str, path: str, body: str | None = None) -> str:
    parts = urlsplit(visitor.stack.sandbox_url)
    line = HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    line.request(method, path, body, {"X-Api-Key": "demo-server-key.CardInquiry"})
    return line.getresponse().read().decode()


def spends_elsewhere(visitor, number: str, amount: int) -> None:
    """As another shop would, at the same provider."""
    [card] = loads(at_the_sandbox(visitor, "GET", f"/cardinquiry/CardInquiry/{number}?pass=1234"))["data"]["Cards"]
    sale = {
        "ExternalId": f"elsewhere-{number}",
        "CompletedDt": "2026-11-28T10:35:00",
        "Phase": 1,
        "LINE": [{"Pid": 1, "Qty": 1, "TotalPrice": amount}],
        "PAYM": [{"Type": "prepay", "Amount": amount, "UsageToken": card["UsageToken"]}],
    }
    assert "OK" in at_the_sandbox(visitor, "POST", "/cardinquiry/SaleCreate", dumps(sale))


def journal(visitor) -> list[str]:
    """Our reference of each payment, by the provider's own journal."""
    told = map(loads, at_the_sandbox(visitor, "GET", "/_sandbox/effects").splitlines())
    return [each["reference"] for each in told if (each["provider"], each["verb"]) == ("cardinquiry", "pay")]


def reference(visitor) -> str:
    return str(visitor.page.url).rstrip("/").rsplit("/", 1)[-1].replace("-", "")


def test_a_payment_its_paper_and_a_second_one_after_another_look_up(visitor):
    visitor.signs_in("alice")
    looks_up(visitor, own_card())
    visitor.sees("€1,000.00")
    visitor.finds_no_barrier()
    asks(visitor, "900")
    told = " ".join(visitor.page.locator("#question").inner_text().split())
    assert "Take €9.00 from card •••• 9753 at CardInquiry." in told
    visitor.finds_no_barrier()
    confirms(visitor)
    visitor.sees("Took €9.00 from •••• 9753.")
    visitor.finds_no_barrier()
    first = reference(visitor)

    visitor.clicks("Back to the card", "link")
    visitor.sees("Read before the last movement")
    visitor.sees("each look-up pays once")
    visitor.finds_no_barrier()
    visitor.clicks("Ask again")
    visitor.page.get_by_label("Password of the card").press_sequentially("1234", delay=40)
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/cards/**")
    visitor.sees("€991.00")
    visitor.page.locator("#id_amount").press_sequentially("100", delay=40)
    visitor.presses("Enter")
    visitor.page.locator("#question").wait_for()
    confirms(visitor)
    visitor.sees("Took €1.00 from •••• 9753.")

    told_of = journal(visitor)
    assert (told_of.count(first), told_of.count(reference(visitor))) == (1, 1)
    visitor.clicks("Print receipt", "link")
    visitor.page.locator(".paper").wait_for()
    assert "€1.00" in visitor.page.locator(".paper").inner_text()


def test_a_lost_sale_settles_itself_by_being_sent_again_and_is_paid_once(visitor):
    visitor.signs_in("alice")
    looks_up(visitor, own_card())
    asks(visitor, "1250")
    Sandbox(visitor.stack.sandbox_url).arm("cut", path="/SaleCreate")
    confirms(visitor)
    visitor.sees("We send the same again until CardInquiry answers", within=20)
    visitor.finds_no_barrier()

    quiet_period_passes(visitor)
    visitor.sees("so the same was sent again, and CardInquiry says that it is done", within=30)
    visitor.sees("Sent the same once more to CardInquiry")
    visitor.finds_no_barrier()
    assert journal(visitor).count(reference(visitor)) == 1


def test_what_was_spent_elsewhere_meanwhile_is_refused_plainly(visitor):
    visitor.signs_in("alice")
    number = own_card()
    looks_up(visitor, number)
    asks(visitor, "2000")
    spends_elsewhere(visitor, number, 990)
    confirms(visitor)

    visitor.sees("There is not enough on the card.")
    visitor.finds_no_barrier()
    assert reference(visitor) not in journal(visitor)


def test_a_look_up_that_lapsed_is_refused_with_the_way_on(visitor):
    visitor.signs_in("alice")
    looks_up(visitor, LAPSES)
    asks(visitor, "500")
    confirms(visitor)

    visitor.sees("The look-up is too old, or was used already.")
    visitor.finds_no_barrier()
    assert reference(visitor) not in journal(visitor)
    visitor.clicks("Start a new one", "link")
    visitor.sees("Look the card up again, with its password")


@pytest.mark.parametrize("visitor", [GERMAN_PHONE], indirect=True)
def test_in_german_on_a_phone_the_end_of_a_number_pays_nothing_and_the_whole_one_does(visitor):
    visitor.opens("/")
    visitor.page.locator("input[name=login]").fill("alice@example.com")
    visitor.page.locator("input[name=password]").fill("look-around-2026")
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/m/**")
    over_cardinquiry(visitor)
    types(visitor, "20100")
    visitor.sees("fragen Sie die Karte mit ihrer ganzen Nummer ab")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()

    over_cardinquiry(visitor)
    types(visitor, own_card())
    asks(visitor, "500")
    visitor.has_no_sideways_scroll()
    confirms(visitor)
    visitor.sees("abgebucht")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()


def types(visitor, number: str) -> None:
    box = visitor.page.locator("#scan-number")
    box.fill(number)
    box.press("Enter")
    pin = visitor.page.locator("input[name=pin]")
    pin.wait_for()
    pin.press_sequentially("1234", delay=40)
    pin.press("Enter")
    visitor.page.locator("#reading[data-state^=answered]").wait_for()
