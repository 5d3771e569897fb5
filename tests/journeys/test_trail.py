"""Who did what: a manager looks it up and takes it away as a file."""

import pytest

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
TRAIL = "/m/baeckerei-jung/settings/trail/"


@pytest.mark.parametrize("visitor", [{}, {**PHONE, "color_scheme": "dark"}], indirect=True)
def test_a_manager_finds_in_the_trail_what_was_done_and_takes_it_away(visitor):
    visitor.signs_in("milan")
    visitor.goes_to("Settings")
    visitor.clicks("Audit trail", "link")
    visitor.sees("Audit trail")
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()

    visitor.opens(f"{TRAIL}?about=nothing-of-this-name")
    visitor.finds_no_barrier()
    visitor.opens(TRAIL)
    with visitor.page.expect_download() as file:
        visitor.page.locator("form[action*='export'] button").click()

    assert file.value.suggested_filename.startswith("baeckerei-jung-audit-trail-")
    visitor.opens(TRAIL)
    visitor.sees("Exported the audit trail")
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()
