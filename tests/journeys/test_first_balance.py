"""From the printed address to a balance on the screen, in every way it can go."""

import pytest

CARD = "6280390000000001"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SMALL_PHONE = {"viewport": {"width": 320, "height": 568}, "has_touch": True, "is_mobile": True}


def test_a_newcomer_has_the_first_balance_after_at_most_twelve_actions(visitor):
    visitor.opens("/")
    visitor.types("Email", "alice@example.com")
    visitor.types("Password", "look-around-2026")
    visitor.presses("Enter")
    visitor.page.wait_for_url("**/m/baeckerei-jung/")
    visitor.types("Card number", CARD)
    visitor.presses("Enter")
    visitor.types("Password of the card", "1234")
    visitor.presses("Enter")
    visitor.sees("€25.50")

    assert visitor.actions <= 12
    visitor.finds_no_barrier()


def test_the_next_customer_is_one_press_away_and_the_box_is_ready(visitor):
    visitor.signs_in("alice")
    visitor.looks_up(CARD)
    visitor.sees("€25.50")

    visitor.clicks("Next customer", "link")

    visitor.page.wait_for_url("**/m/baeckerei-jung/")
    visitor.page.locator("#scan-number:focus").wait_for()
    visitor.sees("€25.50")  # now a line among the last look-ups
    visitor.finds_no_barrier()


def test_a_near_miss_gives_staff_a_hint_and_a_second_try(visitor):
    visitor.signs_in("milan")
    visitor.looks_up("ABC123", "11234")
    visitor.sees("Nearly right.")
    visitor.finds_no_barrier()

    visitor.types("Password of the card", "11243")
    visitor.presses("Enter")

    visitor.sees("€20.00")


def test_the_whole_number_is_asked_for_and_the_password_need_not_be_typed_again(visitor):
    visitor.signs_in("milan")
    visitor.looks_up("00005")
    visitor.sees("The card company needs the whole number.")
    visitor.finds_no_barrier()

    visitor.types("Whole card number", "6280390000000005")
    visitor.presses("Enter")

    visitor.sees("€12.50")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("6280390000000002", "This card is empty."),
        ("6280390000000003", "Expired on"),
        ("6280390000099999", "No card found for these details."),
        ("6280390000000007", "The card company says something we do not know."),
        ("6280390000000030", "The card company refused the question."),
    ],
)
def test_every_other_end_is_said_plainly_and_leaves_a_way_on(visitor, number, said):
    visitor.signs_in("alice")
    visitor.looks_up(number)
    visitor.sees(said)

    visitor.finds_no_barrier()
    visitor.page.get_by_role("link", name="Next customer").wait_for()


def test_a_stopped_worker_is_said_and_the_answer_arrives_when_it_is_back(visitor, stack):
    visitor.signs_in("alice")
    stack.stop_process("worker")
    try:
        visitor.looks_up(CARD)
        visitor.sees("Nobody is asking CardInquiry at the moment.")
        visitor.finds_no_barrier()
    finally:
        stack.start_process("worker")

    visitor.sees("€25.50", within=30)


def test_a_killed_worker_loses_no_look_up(visitor, stack):
    """The message dies with it, taken and not acknowledged; the row is still there, and the sweep finds it."""
    visitor.signs_in("alice")
    visitor.types("Card number", "6280390000000012")  # drips one byte a second: time to kill
    visitor.presses("Enter")
    visitor.types("Password of the card", "1234")
    visitor.presses("Enter")
    visitor.sees("Asking CardInquiry")
    stack.kill("worker")
    stack.start_process("worker")

    visitor.sees("The card company did not answer in time.", within=60)


def test_a_wiped_broker_costs_seconds_and_no_look_up(visitor, stack):
    visitor.signs_in("alice")
    stack.stop_process("worker")
    try:
        visitor.looks_up("6280390000012345")
        visitor.sees("Asking CardInquiry")
        for message in (stack.var / "broker" / "messages").iterdir():
            message.unlink(missing_ok=True)
    finally:
        stack.start_process("worker")

    visitor.sees("€42.00", within=30)


def test_a_slash_leads_to_the_scan_box_unless_a_field_is_being_filled(visitor):
    visitor.signs_in("alice")
    visitor.page.locator("h1").click()

    visitor.presses("/")

    visitor.page.locator("#scan-number:focus").wait_for()
    visitor.page.keyboard.type("a/b", delay=40)
    assert visitor.page.input_value("#scan-number") == "a/b"


def test_what_cannot_be_a_card_is_said_beside_the_box(visitor):
    visitor.signs_in("alice")
    visitor.types("Card number", "../../Sales")
    visitor.presses("Enter")

    visitor.sees("A card number has only letters A to Z, digits and hyphens.")
    visitor.finds_no_barrier()


def test_going_back_and_reloading_shows_the_same_look_up(visitor):
    visitor.signs_in("alice")
    visitor.looks_up(CARD)
    visitor.sees("€25.50")
    page = visitor.page.url

    visitor.page.reload()
    visitor.sees("€25.50")
    visitor.clicks("Next customer", "link")
    visitor.page.wait_for_url("**/m/baeckerei-jung/")
    visitor.page.go_back()

    assert visitor.page.url == page
    visitor.sees("€25.50")


@pytest.mark.parametrize("visitor", [{"java_script_enabled": False}], indirect=True)
def test_without_javascript_the_page_refreshes_itself_until_the_balance_is_there(visitor):
    visitor.signs_in("alice")
    visitor.looks_up(CARD)

    visitor.sees("€25.50")


@pytest.mark.parametrize(
    "visitor",
    [
        PHONE,
        {**PHONE, "color_scheme": "dark"},
        SMALL_PHONE,
        {"color_scheme": "dark"},
        {"viewport": {"width": 640, "height": 400}, "reduced_motion": "reduce"},  # 1280 at 200 %
    ],
    indirect=True,
)
def test_every_page_stands_on_any_screen_in_light_and_dark(visitor):
    visitor.opens("/")
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()
    visitor.signs_in("milan")
    visitor.looks_up("6280390000000007")
    visitor.sees("The card company says something we do not know.")  # the longest a row of the desk has to say
    for path in ("/m/baeckerei-jung/settings/", "/merchants/", "/m/baeckerei-jung/"):
        visitor.opens(path)
        visitor.has_no_sideways_scroll()
        visitor.finds_no_barrier()
    visitor.looks_up(CARD)
    visitor.sees("€25.50")
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()
