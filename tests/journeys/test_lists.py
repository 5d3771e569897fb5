"""A manager narrows the operations, goes on and back, keeps the view, and takes it away; the same on a phone."""

import os
import re
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest

from portal.running import BASE
from tests.journeys.conftest import PASSWORD
from tests.journeys.test_till import scans

A4 = {"width": 673, "height": 1001}  # in CSS pixels, without the margins of 16 mm
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
OPERATIONS = "/m/baeckerei-jung/operations/"


def looks_right(visitor) -> None:
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()


def opens_the_filter(visitor) -> None:
    """On a phone it is folded; elsewhere there is nothing to open."""
    fold = visitor.page.locator(".filter > summary")
    if fold.is_visible():
        visitor.actions += 1
        fold.click()
    visitor.page.get_by_label("When", exact=True).wait_for()


def test_a_card_that_was_looked_up_is_in_the_list_and_leads_back_to_it(visitor):
    visitor.signs_in("milan")
    scans(visitor, "914639258868500")
    visitor.goes_to("Cards")
    visitor.types("Find a card", "8500")
    visitor.presses("Enter")
    visitor.sees("Found for")
    looks_right(visitor)
    assert "8500" not in visitor.page.url

    visitor.opens("/m/baeckerei-jung/cards/?environment=sandbox")
    visitor.page.locator(".rows .lead a").first.click()
    visitor.clicks("Back to the list", "link")

    visitor.page.wait_for_url("**/cards/?environment=sandbox")
    with visitor.page.expect_download() as file:
        visitor.clicks("Export as CSV")
    assert file.value.suggested_filename.startswith("baeckerei-jung-cards-")


@pytest.mark.parametrize(
    "visitor",
    [{}, {**PHONE, "color_scheme": "dark"}, {**PHONE, "java_script_enabled": False}],
    indirect=True,
    ids=["desk", "phone", "without-script"],
)
def test_operations_are_narrowed_kept_as_a_view_and_taken_away(visitor, request):
    name = f"Yesterday's {request.node.callspec.id}"
    visitor.signs_in("milan")
    visitor.goes_to("Operations")
    visitor.page.wait_for_url(re.compile("/operations/"))
    script = request.node.callspec.id != "without-script"
    opens_the_filter(visitor)
    visitor.clicks("More filters", "link")
    visitor.sees("Asked by")
    if script:
        looks_right(visitor)
    visitor.opens(f"{OPERATIONS}?since=2026-05-07&until=2026-05-01")
    visitor.sees("This is before the first day.")
    visitor.opens(f"{OPERATIONS}?since=2025-05-01&until=2025-05-07")
    visitor.sees("Nothing between 1 May 2025 and 7 May 2025 in Europe/Berlin.")
    visitor.clicks("Widen to 30 days", "link")
    visitor.page.wait_for_url("**/operations/?when=30")
    if request.node.callspec.id != "desk":
        assert not visitor.page.get_by_label("Outcome", exact=True).is_visible()
        assert visitor.page.locator(".filter summary").inner_text().split() == ["Filter", "1", "active"]
    visitor.page.locator("summary", has_text="Save this view").click()
    visitor.types("Name of the view", name)
    visitor.clicks("Save the view")
    visitor.sees("The view is kept.")
    if script:
        looks_right(visitor)
    visitor.clicks("Rename or delete your views", "link")
    visitor.sees("Ways of narrowing a list")
    if script:
        looks_right(visitor)
    visitor.page.get_by_role("form", name=name).get_by_role("button", name="Delete").click()
    visitor.sees("The view is gone.")


@pytest.fixture(scope="module")
def archive(stack) -> str:
    """The owner of a merchant with years of cards and operations."""
    words = [sys.executable, "-m", "tests.bench.archive", "1", "130", "400", PASSWORD]
    subprocess.run(
        words, env={**os.environ, **stack.env, "DJANGO_SETTINGS_MODULE": "portal.settings"}, cwd=BASE, check=True
    )
    return "archive0-0"


FINISHED = ("operations", "state=done&sort=oldest", "Outcome", "Done")
USABLE = ("cards", "status=usable&sort=oldest", "Status", "Usable")


@pytest.mark.parametrize(
    ("visitor", "narrowed"),
    [({}, FINISHED), ({**PHONE, "color_scheme": "dark"}, USABLE), ({"java_script_enabled": False}, USABLE)],
    indirect=["visitor"],
    ids=["desk", "phone", "without-script"],
)
def test_on_to_the_next_page_and_back_nothing_of_the_filter_is_lost(visitor, archive, request, narrowed):
    """By the links of the page, by the browser's own way back, and through a row and back to the list."""
    place, query, _field, _chosen = narrowed
    visitor.signs_in(archive)
    visitor.opens(f"/m/archive-1/{place}/?{query}")
    first = rows(visitor)
    assert len(first) == 50

    visitor.clicks("Next", "link")
    visitor.page.wait_for_url("**&after=*")
    second = rows(visitor)
    assert len(second) == 50
    assert not set(first) & set(second)
    shows(visitor, narrowed)
    if request.node.callspec.id != "without-script":
        looks_right(visitor)

    visitor.page.locator(".rows .lead a").nth(7).click()
    visitor.clicks("Back to the list", "link")
    visitor.page.wait_for_url("**&after=*")
    assert rows(visitor) == second
    shows(visitor, narrowed)

    visitor.clicks("Previous", "link")
    visitor.page.wait_for_url("**&before=*")
    assert rows(visitor) == first
    shows(visitor, narrowed)

    visitor.page.go_back()
    visitor.page.wait_for_url("**&after=*")
    assert rows(visitor) == second
    shows(visitor, narrowed)


def rows(visitor) -> list[str]:
    """Where each row of the list leads."""
    leads = visitor.page.locator(".rows .lead a")
    leads.first.wait_for()
    return [str(each) for each in leads.evaluate_all("links => links.map((each) => each.getAttribute('href'))")]


def shows(visitor, narrowed: tuple[str, str, str, str]) -> None:
    """The list is narrowed so: in the address, in the form, and in each row."""
    _place, query, field, chosen = narrowed
    asked = parse_qs(urlsplit(visitor.page.url).query)
    assert {name: value for name, value in asked.items() if name not in ("after", "before")} == parse_qs(query)
    assert visitor.page.get_by_label(field, exact=True).locator("option:checked").text_content() == chosen
    assert {each.strip() for each in visitor.page.locator(".rows td.state").all_inner_texts()} == {chosen}


PRINTED = {
    "operations": (
        "state=done&when=between&since=2000-01-01&until=2100-01-01&sort=oldest",
        "1 January 2000 to 1 January 2100",
    ),
    "cards": ("status=usable&environment=sandbox&least=1", "Usable"),
}


@pytest.mark.parametrize("place", PRINTED)
@pytest.mark.parametrize(
    "visitor", [{}, {**PHONE, "color_scheme": "dark"}], indirect=True, ids=["desk", "phone-at-night"]
)
def test_a_list_on_paper_is_its_rows_and_in_words_what_it_is_narrowed_to(visitor, archive, place):
    query, said = PRINTED[place]
    visitor.signs_in(archive)
    visitor.opens(f"/m/archive-1/{place}/?{query}")
    keys = rows(visitor)
    page = visitor.page
    on_paper = page.locator(".list-paper")
    assert not on_paper.is_visible()

    page.set_viewport_size(A4)
    page.emulate_media(media="print", color_scheme="light")

    assert page.locator(".rows tbody tr").filter(visible=True).count() == len(keys) == 50
    assert page.locator(".rows thead").evaluate("head => getComputedStyle(head).display") == "table-header-group"
    assert said in on_paper.inner_text()
    assert "50 of its rows" in on_paper.inner_text()
    assert page.locator("button, input, select, summary, nav, .rail").filter(visible=True).count() == 0
    assert "Export" not in page.locator("body").inner_text()
    when = page.locator(".rows time").first
    assert when.evaluate("time => getComputedStyle(time, '::after').content") == f'"{when.get_attribute("data-paper")}"'
    visitor.has_no_sideways_scroll()

    page.emulate_media(media="screen")
    assert not on_paper.is_visible()


def test_an_empty_list_on_paper_is_a_sentence_and_not_a_second_page(visitor):
    visitor.signs_in("milan")
    visitor.opens(f"{OPERATIONS}?since=2001-05-01&until=2001-05-07")
    visitor.page.set_viewport_size(A4)
    visitor.page.emulate_media(media="print")

    printed = visitor.page.locator("body").inner_text()
    assert "Nothing between 1 May 2001 and 7 May 2001 in Europe/Berlin." in printed
    assert "Widen" not in printed
    assert visitor.page.locator("body").bounding_box()["height"] < A4["height"] / 2
    visitor.page.emulate_media(media="screen")
