"""The shopper's paper as it comes out of the printer, at 80 mm and on A4, with the card company's own receipt on it,
and a payment from a card whose company keeps a record. Each journey has a card of its own."""

import itertools
import re

import pypdfium2
import pytest

from tests.journeys.test_till import PHONE, SMALL_PHONE, confirms, opens_action

SCREENS = [{"color_scheme": "dark"}, PHONE, {**SMALL_PHONE, "color_scheme": "dark"}]
MM = 72 / 25.4  # points
A4 = (210, 297)
# Of those for load runs: 1,000.00 on each, no bonus.
_cards = itertools.count(9276100000000800)


def untouched_card() -> str:
    """A card that no other journey meets."""
    return str(next(_cards))


def arrives(visitor, number: str) -> None:
    """At the till, with the card scanned over secuconnect."""
    visitor.signs_in("alice")
    visitor.page.get_by_label("Connection", exact=True).select_option(label="secuconnect · sandbox")
    visitor.types("Card number", number)
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/cards/**")
    visitor.page.locator("#reading:not([data-pending])").wait_for()


def loads(visitor, number: str) -> None:
    arrives(visitor, number)
    opens_action(visitor, "Add money")
    visitor.types("Amount", "20,00")
    visitor.clicks("Continue")
    visitor.page.locator("#question").wait_for()
    confirms(visitor)
    visitor.sees("New balance €1,020.00", within=30)


def opens_paper(visitor, size: str) -> None:
    visitor.clicks("Print receipt", "link")
    visitor.page.locator(".paper:visible").wait_for()
    visitor.page.get_by_role("link", name=size, exact=True).click()
    visitor.page.locator(f".paper-{size.lower().replace(' ', '')}:visible").wait_for()


def printed(visitor) -> tuple[list[tuple[int, int]], str]:
    """What the printer is given: the size of each sheet in millimetres, and the text."""
    document = pypdfium2.PdfDocument(visitor.page.pdf(prefer_css_page_size=True))
    sheets = [(round(page.get_width() / MM), round(page.get_height() / MM)) for page in document]
    text = " ".join(page.get_textpage().get_text_range() for page in document)
    return sheets, " ".join(text.split())


def is_the_receipt(text: str, number: str) -> None:
    """Of a load of 20.00: all of it, and nothing that is for the screen."""
    ours = ("Bäckerei Jung", "Top-up €20.00", f"•••• {number[-4:]}", "New balance €1,020.00", "Our reference")
    theirs = ("Kundenkarte Aufladung", "TA Code:", "wurde aufgeladen: 20,00 EUR", "1020,00 EUR")
    for said in (*ours, "What secuconnect", *theirs):
        assert said in text, text
    for said in (number, "Next customer", "Back to the operation", "Settings", "Sign out"):
        assert said not in text, text


def test_a_load_is_printed_on_one_sheet_of_a_roll_with_the_card_companys_receipt(visitor):
    number = untouched_card()
    loads(visitor, number)
    from_its_page, short = printed(visitor)
    opens_paper(visitor, "80 mm")

    sheets, text = printed(visitor)

    [(wide, high)] = sheets
    assert wide == 80
    assert high < 297, "as high as what stands on it"
    is_the_receipt(text, number)
    assert not re.search(r"\b1 / \d", text), "the sheets of a roll are not counted"
    assert (from_its_page, short) == (sheets, text), "the operation's own page prints the same"


def test_a_load_is_printed_on_a4_with_the_card_companys_receipt(visitor):
    number = untouched_card()
    loads(visitor, number)
    opens_paper(visitor, "A4")

    sheets, text = printed(visitor)

    assert sheets == [A4]
    is_the_receipt(text, number)


def test_what_else_is_printed_is_a4(visitor):
    loads(visitor, untouched_card())
    visitor.clicks("Evidence page for print", "link")
    visitor.page.locator(".evidence").wait_for()

    sheets, text = printed(visitor)

    assert set(sheets) == {A4}
    assert f"1 / {len(sheets)}" in text
    assert "Sent and answered, word for word" in text


def test_a_long_receipt_is_one_sheet_all_the_same(visitor):
    arrives(visitor, untouched_card())
    opens_action(visitor, "Sell")
    for at in range(12):
        visitor.page.locator("[name=scan]:focus").wait_for()
        visitor.page.keyboard.type(f"Article {at}, with a name that takes more than one line of paper")
        visitor.presses("Enter")
        visitor.page.locator(f"[name=line{at}_price]:focus").wait_for()
        visitor.page.keyboard.type("100")
        visitor.presses("Tab")
        visitor.page.keyboard.type("19")
        visitor.presses("Enter")
    visitor.page.locator("[data-basket-sum]").get_by_text("€12.00").wait_for()
    visitor.clicks("Continue")
    visitor.page.locator("#question").wait_for()
    confirms(visitor)
    visitor.sees("Sold for €12.00", within=30)
    opens_paper(visitor, "80 mm")

    [(wide, high)], text = printed(visitor)

    assert wide == 80
    assert high > 200
    assert "Article 0," in text
    assert "Our reference" in text


def test_the_card_companys_receipt_is_headings_and_lists_in_its_language(visitor):
    number = untouched_card()
    loads(visitor, number)
    opens_paper(visitor, "80 mm")

    theirs = visitor.page.locator(".paper-theirs")
    theirs.get_by_role("heading", name="Kundenkarte Aufladung", level=3).wait_for()
    assert theirs.locator("[lang=de]").count() == 1
    terms = [text.strip() for text in theirs.locator("dt").all_inner_texts()]
    assert terms == ["Kartennummer:", "TA Code:"]
    assert theirs.locator("dd").first.inner_text() == f"•••• {number[-4:]}"
    visitor.finds_no_barrier()


@pytest.mark.parametrize("visitor", SCREENS, indirect=True)
def test_the_paper_stands_on_any_screen_in_light_and_dark(visitor):
    loads(visitor, untouched_card())
    visitor.has_no_sideways_scroll()
    for size in ("80 mm", "A4"):
        opens_paper(visitor, size)
        visitor.has_no_sideways_scroll()
        visitor.finds_no_barrier()
        visitor.clicks("Back to the operation", "link")
        visitor.page.wait_for_url(re.compile(r"/operations/[^/]+/$"))


def test_a_card_pays_and_its_story_says_what_was_asked(visitor):
    number = untouched_card()
    arrives(visitor, number)
    visitor.types("Amount", "12,50")
    visitor.clicks("Continue")
    visitor.page.locator("#question").wait_for()
    told = " ".join(visitor.page.locator("#question").inner_text().split())
    assert f"Take €12.50 from card •••• {number[-4:]} at secuconnect" in told
    assert "Balance after: €987.50." in told
    visitor.finds_no_barrier()
    confirms(visitor)

    visitor.sees(f"Took €12.50 from •••• {number[-4:]}.", within=30)
    visitor.sees("New balance €987.50")
    visitor.finds_no_barrier()
    opens_paper(visitor, "80 mm")
    _sheets, text = printed(visitor)
    assert "Kundenkarte Zahlung" in text
    assert "12,50 EUR" in text
