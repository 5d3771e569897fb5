"""At twice the size everything is still read from top to bottom, whether the browser enlarges all or the text alone
(WCAG 2.2, 1.4.4 and 1.4.10)."""

import pytest

from tests.journeys.conftest import PASSWORD, Visitor

JUNG = "/m/baeckerei-jung/"
PAGES = (
    *("", "cards/", "operations/?more=1", "attention/", "customers/", "customers/new/", "shifts/", "outbox/", "keys/"),
    *(
        "settings/",
        "settings/people/",
        "settings/limits/",
        "settings/limits/day/",
        "settings/tills/",
        "settings/trail/",
    ),
)
ZOOMED = {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2}  # 1280 by 800, at 200 %
# What a block does not show of its text, by being smaller than it. What screen readers alone are told is meant to be.
CUT_OFF = """
[...document.querySelectorAll('main :is(p, h1, h2, h3, dt, dd, li, a, button, label, td, th)')]
    .filter((each) => !each.closest('.unseen, [hidden]') && getComputedStyle(each).overflowX !== 'visible'
        && getComputedStyle(each).textOverflow !== 'ellipsis' && each.scrollWidth > each.clientWidth + 1)
    .map((each) => each.textContent.trim().slice(0, 60))
"""


def as_olivia(visitor: Visitor) -> None:
    visitor.opens("/")
    visitor.types("Email", "olivia@example.com")
    visitor.types("Password", PASSWORD)
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/merchants/")


@pytest.mark.parametrize("visitor", [ZOOMED], indirect=True)
def test_at_200_percent_no_page_is_scrolled_sideways_and_no_text_is_cut_off(visitor: Visitor) -> None:
    as_olivia(visitor)
    for page in PAGES:
        visitor.opens(JUNG + page)
        visitor.has_no_sideways_scroll()
        assert visitor.page.evaluate(CUT_OFF) == [], page


def test_with_text_of_twice_its_size_no_page_is_scrolled_sideways_and_no_text_is_cut_off(visitor: Visitor) -> None:
    as_olivia(visitor)
    for page in PAGES:
        visitor.opens(JUNG + page)
        visitor.page.evaluate("document.documentElement.style.fontSize = '200%'")
        visitor.has_no_sideways_scroll()
        assert visitor.page.evaluate(CUT_OFF) == [], page
