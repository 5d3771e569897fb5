"""A cashier puts a name to a card; the manager finds it again, makes one of two, and forgets somebody."""

import pytest

from tests.journeys.test_till import scans

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
CUSTOMERS = "/m/baeckerei-jung/customers/"
_cards = iter(range(914639_000_000_970, 914639_000_000_980))


def looks_right(visitor) -> None:
    visitor.has_no_sideways_scroll()
    visitor.finds_no_barrier()


def becomes(visitor, who: str) -> None:
    visitor.page.context.clear_cookies()
    visitor.signs_in(who)


@pytest.mark.parametrize("visitor", [{}, {**PHONE, "color_scheme": "dark"}], indirect=True)
def test_from_a_card_to_a_customer_to_one_of_two_to_nobody(visitor, request):
    name = f"Wunder{request.node.callspec.indices['visitor']}"
    visitor.signs_in("alice")
    scans(visitor, str(next(_cards)))
    visitor.clicks("Attach a customer", "link")
    looks_right(visitor)
    visitor.types("Find the customer", name)
    visitor.presses("Enter")
    visitor.sees("Nobody begins with")
    visitor.clicks("Add a new customer", "link")
    looks_right(visitor)
    visitor.types("First name", "Wilma")
    visitor.types("E-mail", "not an address")
    visitor.clicks("Add the customer")
    visitor.sees("Only one address")
    looks_right(visitor)
    visitor.types("Last name", name)
    visitor.types("E-mail", f"wilma.{name}@example.com")
    visitor.page.get_by_label("Offers by e-mail").check()
    visitor.page.get_by_label("Where this was said").select_option(label="Said at the till")
    visitor.clicks("Add the customer")
    visitor.page.wait_for_url("**/cards/**")
    visitor.sees(f"W. {name}")
    looks_right(visitor)

    becomes(visitor, "milan")
    visitor.opens(f"{CUSTOMERS}new/")
    visitor.types("First name", "W.")
    visitor.types("Last name", name)
    visitor.types("E-mail", f"Wilma.{name}@Example.com")
    visitor.types("Phone", "030 901820")
    visitor.clicks("Add the customer")
    visitor.sees("There is a customer with this address.")
    looks_right(visitor)
    visitor.clicks("Keep both")
    visitor.sees("The customer is kept.")
    visitor.opens(CUSTOMERS)
    looks_right(visitor)
    visitor.types("Find a customer", name.lower())
    visitor.presses("Enter")
    visitor.sees("Found for")
    assert name.lower() not in visitor.page.url
    looks_right(visitor)

    visitor.clicks(f"Wilma {name}", "link")
    visitor.sees("What we know")
    looks_right(visitor)
    visitor.clicks("Merge with another record", "link")
    visitor.sees("With the same address")
    looks_right(visitor)
    visitor.clicks(f"Compare W. {name}")
    visitor.sees("What comes together")
    looks_right(visitor)
    visitor.clicks("Merge the two records")
    visitor.sees("The two records are one.")
    visitor.sees("+49 30 901820")
    looks_right(visitor)

    visitor.clicks("Erase", "link")
    visitor.sees("What bookkeeping keeps, and why")
    looks_right(visitor)
    visitor.types("Type the name to erase", "somebody else")
    visitor.clicks("Erase this customer")
    visitor.sees("That is not the name.")
    looks_right(visitor)
    visitor.types("Type the name to erase", f"wilma {name}")
    visitor.clicks("Erase this customer")
    visitor.sees("Nothing is known of them any more")
    looks_right(visitor)


@pytest.mark.parametrize("visitor", [{**PHONE, "java_script_enabled": False}], indirect=True)
def test_without_javascript_a_customer_is_found_and_consent_is_taken_back(visitor):
    visitor.signs_in("alice")
    visitor.opens(CUSTOMERS)
    visitor.types("Find a customer", "kohler")
    visitor.clicks("Search")
    visitor.clicks("Emilia Köhler", "link")
    visitor.clicks("Take back Offers by e-mail")

    visitor.sees("Withdrew: Offers by e-mail")


def test_marketing_sees_those_who_agreed_and_a_way_to_nothing_more(visitor):
    visitor.signs_in("mara")
    visitor.goes_to("Customers")
    visitor.sees("You see customers who agreed to offers.")
    assert visitor.page.get_by_text("Jonas Adler").count() == 0
    looks_right(visitor)
    visitor.clicks("Lena Öztürk", "link")
    visitor.sees("Consent")
    looks_right(visitor)
