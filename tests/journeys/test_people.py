"""Signing in, changing merchants, and doors that stay shut."""


def test_somebody_at_two_merchants_chooses_and_switches(visitor):
    visitor.opens("/")
    visitor.types("Email", "olivia@example.com")
    visitor.types("Password", "look-around-2026")
    visitor.presses("Enter")
    visitor.sees("Where are you working?")
    visitor.finds_no_barrier()

    visitor.clicks("Kauri Books", "link")

    visitor.page.wait_for_url("**/m/kauri-books/")
    visitor.sees("Looking up cards is for Owner, Manager and Cashier.")
    visitor.page.locator("details.who > summary").click()
    visitor.finds_no_barrier()
    visitor.clicks("Bäckerei Jung", "link")
    visitor.page.wait_for_url("**/m/baeckerei-jung/")


def test_a_wrong_password_is_said_without_telling_whether_the_person_exists(visitor):
    said = []
    for email in ("alice@example.com", "nobody@example.com"):
        visitor.opens("/accounts/login/")
        visitor.types("Email", email)
        visitor.types("Password", "not the password")
        visitor.presses("Enter")
        visitor.page.locator("[data-errors]").wait_for()
        said.append(visitor.page.locator("[data-errors]").inner_text())

    assert said[0] == said[1]
    visitor.finds_no_barrier()


def test_a_page_above_the_role_says_who_can(visitor):
    visitor.signs_in("alice")
    visitor.opens("/m/baeckerei-jung/settings/")

    visitor.sees("Seeing stores, people and connections is for Owner, Manager, Accountant and Read-only.")
    visitor.finds_no_barrier()


def test_another_merchants_desk_does_not_exist_for_a_stranger(visitor):
    visitor.signs_in("alice")
    visitor.opens("/m/kauri-books/")

    visitor.sees("There is no such page")
    visitor.finds_no_barrier()


def test_a_forgotten_look_up_says_how_long_they_are_kept(visitor):
    visitor.signs_in("alice")
    visitor.opens("/m/baeckerei-jung/look-ups/7b2c1e2e-4a39-4b51-9a6e-0a4d5d8f4a11/")

    visitor.sees("Look-ups are kept for 15 minutes.")
    visitor.finds_no_barrier()


def test_a_refused_key_pauses_the_connection_until_a_manager_resumes_it(visitor):
    visitor.signs_in("finn")
    visitor.looks_up("6280390000000009")
    visitor.sees("The card company refuses us access.")
    visitor.finds_no_barrier()
    visitor.goes_to("Settings")
    visitor.sees("Paused since")
    visitor.finds_no_barrier()

    visitor.clicks("Resume")

    visitor.sees("CardInquiry is asked again.")
    visitor.finds_no_barrier()
    visitor.looks_up("6280390000000001")
    visitor.sees("$25.50")


def test_signing_out_leaves_nothing_behind_the_back_button(visitor):
    visitor.signs_in("alice")
    visitor.page.locator("details.who > summary").click()
    visitor.clicks("Sign out")
    visitor.page.wait_for_url("**/accounts/login/")

    visitor.page.go_back()

    visitor.page.wait_for_url("**/accounts/login/**")
