"""The same work in German, and every page with texts 40 % longer, from left to right and from right to left."""

import re
from urllib.parse import urljoin, urlsplit

import pytest

from tests.journeys.conftest import PASSWORD

GERMAN = {"locale": "de-DE"}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
CARD = "6280390000000001"
RICH = "914639000000960"


def signs_in(visitor, who: str) -> None:
    """By the fields' names: their labels are in another language."""
    visitor.opens("/")
    visitor.page.fill("[name=login]", f"{who}@example.com")
    visitor.page.fill("[name=password]", PASSWORD)
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/m/**")


@pytest.mark.parametrize("visitor", [GERMAN, {**GERMAN, **PHONE}], indirect=True)
def test_a_balance_is_looked_up_in_german(visitor):
    visitor.opens("/")
    visitor.types("E-Mail", "alice@example.com")
    visitor.types("Passwort", PASSWORD)
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/m/**")

    visitor.types("Kartennummer", CARD)
    visitor.presses("Enter")
    visitor.types("Passwort der Karte", "1234")
    visitor.presses("Enter")

    visitor.sees("25,50\u00a0€")
    visitor.sees("Gültig bis")
    visitor.finds_no_barrier()
    visitor.has_no_sideways_scroll()


@pytest.mark.parametrize("visitor", [GERMAN], indirect=True)
def test_a_payment_is_taken_in_german(visitor):
    signs_in(visitor, "alice")
    offered = visitor.page.get_by_label("Verbindung", exact=True)
    offered.select_option(
        label=next(text for text in offered.locator("option").all_inner_texts() if "PayWizard" in text)
    )
    visitor.types("Kartennummer", RICH)
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/cards/**")
    visitor.page.locator("#reading:not([data-pending])").wait_for()
    visitor.page.fill("#id_amount", "12,50")
    visitor.sees("= 12,50\u00a0$")
    visitor.presses("Enter")
    visitor.page.locator("#question").wait_for()
    asked = visitor.page.locator("#question").inner_text().replace("\u00a0", " ")
    assert "12,50 $ von Karte •••• 0960 bei PayWizard abbuchen." in asked
    visitor.finds_no_barrier()
    visitor.presses("Control+Enter")

    visitor.page.wait_for_url("**/operations/**")
    visitor.sees("12,50\u00a0$ von •••• 0960 abgebucht.")
    visitor.sees("Neues Guthaben 9.987,50\u00a0$")
    visitor.finds_no_barrier()


@pytest.mark.parametrize(
    "visitor", [{**PHONE, "locale": "en-XA"}, {**PHONE, "locale": "ar-XB"}], indirect=True, ids=["ltr", "rtl"]
)
def test_no_page_is_wider_than_a_phone_when_texts_are_two_fifths_longer(visitor):
    signs_in(visitor, "milan")
    seen = {"/accounts/logout/"}
    ahead = ["/m/baeckerei-jung/", "/account/"]

    while ahead and len(seen) < 40:
        path = ahead.pop(0)
        if shape(path) in seen:
            continue
        seen.add(shape(path))
        visitor.page.goto(visitor.stack.url + path)
        assert "⟦" in visitor.page.locator("body").inner_text(), f"{path} is not in the pseudo-language"
        visitor.has_no_sideways_scroll()
        links = visitor.page.eval_on_selector_all("a[href]", "all => all.map(one => one.getAttribute('href'))")
        inside = [urlsplit(urljoin(path, link)) for link in links]
        ahead += [one.path for one in inside if not one.netloc and one.path.startswith(("/m/baeckerei", "/account"))]

    assert len(seen) > 8


def shape(path: str) -> str:
    """Two cards' pages are the same page."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|/[0-9]+(?=/|$)", "…", path)
