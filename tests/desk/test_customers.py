"""The customers' pages, as a browser without JavaScript uses them."""

import csv
import io
import json
import re
import uuid

import pytest

from portal.customers.models import Consent, Customer, Purpose
from portal.ledger import cards
from portal.ledger.models import Card
from portal.merchants import tenancy
from portal.merchants.models import AuditEntry
from portal.merchants.roles import Role
from tests.conftest import make_connection, make_person
from tests.customers.conftest import keep, member_of

HOME = "/m/baeckerei-jung/"
LIST = f"{HOME}customers/"
NUMBER = "9276004424644352"


@pytest.fixture
def mara(at_jung, jung):
    return keep(
        at_jung,
        first_name="Mara",
        last_name="Vogel",
        email="mara@example.com",
        phone="+4930901820",
        agrees=(Purpose.MAILS,),
    )


@pytest.fixture
def card(at_jung, jung) -> Card:
    return cards.card_of(make_connection(jung), NUMBER)


@pytest.fixture
def browser(signed_in, alice, at_jung):
    """Alice's, the cashier's."""
    return signed_in(alice)


@pytest.fixture
def owner(signed_in, olivia):
    return signed_in(olivia)


def fields(page: str) -> dict[str, str]:
    """What the customer's form would send if nobody typed anything."""
    [form] = re.findall(r'<form class="form[^"]*".*?</form>', page, re.DOTALL)
    found = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
    found |= {name: value for value, name in re.findall(r'type="text" value="([^"]*)" name="([^"]+)"', form)}
    for tag in re.findall(r"<input type=\"text\"[^>]*>", form):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        assert name
        found[name[1]] = value[1] if value else ""
    for name, options in re.findall(r'<select name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        found[name] = chosen[1] if chosen else ""
    found.pop("csrfmiddlewaretoken", None)
    return found


def adds(browser, **typed: object):
    drawn = fields(browser.get(f"{LIST}new/").text)
    return browser.post(f"{LIST}new/", {**drawn, **typed})


# ---- Who may, who may not, and what if it is not there ------------------------------------------------------------
ROLES_OF = {
    "": {Role.OWNER, Role.MANAGER, Role.CASHIER, Role.MARKETING},
    "{key}/": {Role.OWNER, Role.MANAGER, Role.CASHIER, Role.MARKETING},
    "new/": {Role.OWNER, Role.MANAGER, Role.CASHIER},
    "{key}/edit/": {Role.OWNER, Role.MANAGER, Role.CASHIER},
}


@pytest.mark.parametrize("page", ROLES_OF)
@pytest.mark.parametrize("role", Role)
def test_each_page_is_for_those_the_table_names(page, role, mara, signed_in, jung, arrange):
    with arrange():
        somebody = signed_in(make_person("Somebody", (jung, role)))

    answer = somebody.get(LIST + page.format(key=mara.key))

    assert answer.status_code == (200 if role in ROLES_OF[page] else 403)


@pytest.mark.parametrize("page", ["{key}/data/", "export/"])
@pytest.mark.parametrize("role", Role)
def test_only_owner_and_manager_take_data_away(page, role, mara, signed_in, jung, arrange):
    with arrange():
        somebody = signed_in(make_person("Somebody", (jung, role)))

    answer = somebody.post(LIST + page.format(key=mara.key))

    assert answer.status_code == (200 if role in (Role.OWNER, Role.MANAGER) else 403)
    assert somebody.get(LIST + page.format(key=mara.key)).status_code in (403, 405)


GETS = ["{key}/", "{key}/edit/"]
POSTS = ["{key}/edit/", "{key}/consent/", "{key}/data/"]


@pytest.mark.parametrize(("method", "page"), [("get", page) for page in GETS] + [("post", page) for page in POSTS])
def test_another_merchants_customer_looks_like_one_that_never_was(method, page, mara, signed_in, kauri, arrange):
    with arrange():
        theirs = signed_in(make_person("Aroha", (kauri, "owner")))
    ask = getattr(theirs, method)

    foreign = ask("/m/kauri-books/customers/" + page.format(key=mara.key))
    missing = ask("/m/kauri-books/customers/" + page.format(key=uuid.uuid4()))

    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert foreign.text.replace(foreign["X-Request-ID"], "") == missing.text.replace(missing["X-Request-ID"], "")
    with arrange():
        assert AuditEntry.objects.filter(merchant=kauri, verb="customer not found").count() == 2


def test_another_merchants_card_and_customer_are_not_brought_together(mara, card, signed_in, kauri, arrange):
    with arrange():
        aroha = make_person("Aroha", (kauri, "owner"))
    with tenancy.merchant(kauri.pk):
        own = keep(member_of(aroha, kauri), last_name="Walker")
        own_card = cards.card_of(make_connection(kauri), NUMBER)
    theirs = signed_in(aroha)

    answers = [
        theirs.post(f"/m/kauri-books/cards/{own_card.key}/customer/attach/", {"customer": str(mara.key)}),
        theirs.post(f"/m/kauri-books/cards/{card.key}/customer/attach/", {"customer": str(own.key)}),
        theirs.post(f"/m/kauri-books/cards/{card.key}/customer/detach/", {"customer": str(own.key)}),
        theirs.get(f"/m/kauri-books/cards/{card.key}/customer/"),
        theirs.get(f"/m/kauri-books/customers/new/?card={card.key}"),
        theirs.post("/m/kauri-books/customers/new/", {"card": str(card.key), "key": str(uuid.uuid4())}),
        theirs.get(f"/m/kauri-books/customers/?after={mara.key}"),
    ]

    assert [each.status_code for each in answers] == [404] * 6 + [200]
    with arrange():
        assert not Card.objects.exclude(customer=None).exists()


# ---- The list -----------------------------------------------------------------------------------------------------
def test_an_empty_list_says_what_to_do(browser):
    page = browser.get(LIST).text

    assert "Nobody is here yet." in page
    assert f'href="{LIST}new/"' in page
    assert 'aria-current="page">Customers' in page


def test_a_cashier_sees_whom_and_too_little_to_carry_away(browser, owner, mara):
    hers, whole = browser.get(LIST).text, owner.get(LIST).text

    assert "Mara Vogel" in hers
    assert "m•••@e•••.com" in hers
    assert "mara@example.com" not in hers
    assert "••• 820" in hers
    assert "Download all" not in hers
    assert "mara@example.com" in whole
    assert "+49 30 901820" in whole


def test_marketing_sees_those_who_agreed_and_none_of_their_cards(signed_in, mara, at_jung, card, jung, arrange):
    other = keep(at_jung, last_name="Silent", email="silent@example.com", card=card)
    with arrange():
        marketing = signed_in(make_person("Mo", (jung, "marketing")))

    listed, shown = marketing.get(LIST).text, marketing.get(f"{LIST}{mara.key}/").text

    assert "Vogel" in listed
    assert "Silent" not in listed
    assert "Seeing who holds a card is for Owner, Manager and Cashier." in listed
    assert "mara@example.com" in shown
    assert "Cards</h2>" not in shown
    assert marketing.get(f"{LIST}{other.key}/").status_code == 404
    assert "Silent" not in marketing.post(LIST, {"q": "4352"}).text.replace("“4352”", "")
    assert "Nobody begins with" in marketing.post(LIST, {"q": "silent"}).text


def test_what_is_looked_for_stands_in_no_address(browser, mara, at_jung):
    for place in range(30):
        keep(at_jung, last_name=f"Vogel {place:02}")

    page = browser.post(LIST, {"q": "vogel", "sort": "name"}).text

    assert "Found for “vogel”" in page
    assert not re.search(r'(href|action)="[^"]*vogel', page)
    [after] = re.findall(r'name="after" value="([^"]+)"', page)
    further = browser.post(LIST, {"q": "vogel", "sort": "name", "after": after}).text
    assert len(re.findall(r'class="lead"', page)) == 25
    assert len(re.findall(r'class="lead"', further)) == 6


def test_a_page_further_down_is_a_link_where_nothing_is_looked_for(browser, at_jung):
    for place in range(26):
        keep(at_jung, last_name=f"Name {place:02}")

    first = browser.get(LIST).text
    [after] = re.findall(r"\?sort=name&amp;after=([0-9a-f-]+)", first)
    second = browser.get(f"{LIST}?sort=name&after={after}").text

    assert "Name 24" in first
    assert "Name 25" not in first
    assert re.findall(r"Name \d\d", second) == ["Name 25"]
    newest = browser.get(f"{LIST}?sort=newest").text
    assert newest.index("Name 25") < newest.index("Name 24")


@pytest.mark.parametrize(
    "rubbish", ["%", "(a+)+$", "<script>alert(1)</script>", "\u202egoV", "' OR 1=1 --", "a" * 50_000]
)
def test_rubbish_is_looked_for_as_plain_text(rubbish, browser, mara):
    answer = browser.post(LIST, {"q": rubbish, "sort": rubbish, "after": rubbish})

    assert answer.status_code == 200
    assert "Mara" not in answer.text
    assert "<script>alert" not in answer.text


def test_a_list_costs_the_same_queries_however_long_it_is(browser, at_jung, jung, django_assert_max_num_queries):
    connection = make_connection(jung)
    for place in range(20):
        keep(at_jung, last_name=f"N{place}", card=cards.card_of(connection, f"92760044246443{place:02}"))

    with django_assert_max_num_queries(16):
        browser.get(LIST)


# ---- A new one ----------------------------------------------------------------------------------------------------
def test_what_is_typed_is_kept_one_way(browser, jung):
    answer = adds(
        browser,
        first_name=" Ma\u202era\r\nBcc: x ",
        last_name="Vogel",
        email="Mara@Bücher.example",
        phone="030 901820",
        language="de",
        purposes=["mails", "calls"],
        source="on_paper",
    )

    kept = Customer.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == f"{LIST}{kept.key}/"
    assert (kept.first_name, kept.email, kept.phone) == ("Mara Bcc: x", "mara@xn--bcher-kva.example", "+4930901820")
    assert sorted(Consent.objects.values_list("purpose", "given", "source")) == [
        ("calls", True, "on_paper"),
        ("mails", True, "on_paper"),
    ]
    assert "mara@bücher.example (xn--bcher-kva.example)" in browser.get(answer["Location"]).text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({}, "Write a name, an e-mail address or a telephone number."),
        ({"email": "a@b.de, c@d.de"}, "Only one address"),
        ({"email": "x" * 900 + "@example.com"}, "too long for an e-mail address"),
        ({"email": "x" * 100_000}, "at most 1000 characters"),
        ({"phone": "call me"}, "This is not a telephone number."),
        ({"last_name": "V" * 101}, "at most 100 characters"),
        ({"last_name": "V" * 100_000}, "at most 100 characters"),
        ({"last_name": "V", "purposes": ["mails"]}, "Say where they agreed."),
        ({"last_name": "V", "country": "XX"}, "Select a valid choice"),
        ({"last_name": "V", "key": "rubbish"}, "This form is out of date."),
    ],
)
def test_what_cannot_be_taken_is_said_beside_its_field_and_nothing_is_lost(typed, said, browser):
    answer = adds(browser, **{"first_name": "Mara", **typed} if typed else typed)

    assert answer.status_code == 422
    assert said in answer.text
    assert not typed or 'value="Mara"' in answer.text
    assert not Customer.objects.exists()


def test_a_megabyte_is_refused_before_any_work(browser):
    assert browser.post(f"{LIST}new/", {"last_name": "V" * 1_000_000}).status_code in (400, 413)


def test_pressed_twice_there_is_one_customer(browser):
    drawn = fields(browser.get(f"{LIST}new/").text) | {"last_name": "Vogel", "email": "mara@example.com"}

    answers = [browser.post(f"{LIST}new/", drawn) for _press in range(2)]

    assert answers[0]["Location"] == answers[1]["Location"]
    assert Customer.objects.count() == 1


def test_somebody_with_the_same_address_is_shown_and_not_forbidden(browser, mara):
    warned = adds(browser, last_name="Vogel", email="MARA@example.com", phone="030 90 18 20")
    assert warned.status_code == 200
    assert "There is a customer with this address." in warned.text
    assert f"{LIST}{mara.key}/" in warned.text
    assert Customer.objects.count() == 1

    answer = browser.post(f"{LIST}new/", fields(warned.text))

    assert answer.status_code == 302
    assert Customer.objects.count() == 2


def test_a_warning_that_was_seen_does_not_cover_another_one(browser, mara, at_jung):
    keep(at_jung, last_name="Other", email="other@example.com")
    warned = adds(browser, last_name="Vogel", email="mara@example.com")

    answer = browser.post(f"{LIST}new/", fields(warned.text) | {"email": "other@example.com"})

    assert "There is a customer with this address." in answer.text
    assert Customer.objects.count() == 2


# ---- From the card ------------------------------------------------------------------------------------------------
def test_a_customer_is_attached_from_the_card_shown_masked_and_detached(browser, owner, mara, card):
    page = browser.get(f"{HOME}cards/{card.key}/").text
    assert "Attach a customer" in page
    assert "Vogel" not in browser.get(f"{HOME}cards/{card.key}/customer/").text

    found = browser.post(f"{HOME}cards/{card.key}/customer/", {"q": "vogel"}).text
    assert str(mara.key) in found
    browser.post(f"{HOME}cards/{card.key}/customer/attach/", {"customer": str(mara.key)})

    hers, whole = (each.get(f"{HOME}cards/{card.key}/").text for each in (browser, owner))
    assert "M. Vogel" in hers
    assert "mara@example.com" not in hers
    assert "Mara Vogel" in whole
    assert "mara@example.com" in whole
    assert "4352" in browser.get(f"{LIST}{mara.key}/").text
    browser.post(f"{HOME}cards/{card.key}/customer/detach/", {"customer": str(mara.key)})
    assert "Vogel" not in browser.get(f"{HOME}cards/{card.key}/").text
    verbs = AuditEntry.objects.filter(subject=str(mara.key)).order_by("id").values_list("verb", flat=True)
    assert list(verbs) == ["customer added", "consent given", "card attached", "card detached"]


def test_a_new_customer_comes_with_the_card(browser, card):
    page = browser.get(f"{LIST}new/?card={card.key}").text
    drawn = fields(page) | {"last_name": "Vogel"}
    assert "They will hold card ••••\u00a04352" in page

    answers = [browser.post(f"{LIST}new/", drawn) for _press in range(2)]

    assert [each["Location"] for each in answers] == [f"{HOME}cards/{card.key}/"] * 2
    assert Card.objects.get().customer == Customer.objects.get()


def test_a_card_that_somebody_else_holds_by_now_is_not_taken_from_them(browser, mara, card, at_jung):
    drawn = fields(browser.get(f"{LIST}new/?card={card.key}").text) | {"last_name": "Late"}
    browser.post(f"{HOME}cards/{card.key}/customer/attach/", {"customer": str(mara.key)})
    late = keep(at_jung, last_name="Later")

    with_new = browser.post(f"{LIST}new/", drawn)
    browser.post(f"{HOME}cards/{card.key}/customer/attach/", {"customer": str(late.key)})
    browser.post(f"{HOME}cards/{card.key}/customer/detach/", {"customer": str(late.key)})

    assert with_new.status_code == 422
    assert "Somebody else holds this card by now." in with_new.text
    assert not Customer.objects.filter(last_name="Late").exists()
    assert Card.objects.get().customer == mara


# ---- Changing -----------------------------------------------------------------------------------------------------
def test_a_change_is_kept_and_its_story_told_without_what_it_was(browser, mara):
    page = f"{LIST}{mara.key}/edit/"

    answer = browser.post(page, fields(browser.get(page).text) | {"email": "new@example.com", "city": "Ulm"})

    shown = browser.get(answer["Location"]).text
    assert "new@example.com" in shown
    assert "Changed: E-mail, Town · Alice" in shown
    assert "mara@example.com" not in shown


def test_two_who_change_the_same_customer_do_not_overwrite_each_other(browser, owner, mara):
    page = f"{LIST}{mara.key}/edit/"
    hers, theirs = fields(browser.get(page).text), fields(owner.get(page).text)
    owner.post(page, theirs | {"city": "Ulm"})

    late = browser.post(page, hers | {"city": "Bonn"})

    assert late.status_code == 409
    assert "Somebody else changed this customer" in late.text
    assert "Ulm" in late.text
    assert Customer.objects.get().city == "Ulm"
    browser.post(page, fields(late.text))
    assert Customer.objects.get().city == "Bonn"


# ---- Consent ------------------------------------------------------------------------------------------------------
def test_consent_is_given_and_taken_back_with_its_story(browser, mara):
    page = f"{LIST}{mara.key}/"
    browser.post(f"{page}consent/", {"purpose": "mails", "given": "no", "source": "by_phone"})

    shown = browser.get(page).text

    assert "Taken back" in shown
    assert "Said by phone · Alice" in shown
    assert "Withdrew: Offers by e-mail · Alice" in shown
    assert not Customer.objects.get().has_consent


@pytest.mark.parametrize("typed", [{}, {"purpose": "all"}, {"purpose": "mails", "given": "no", "source": "dream"}])
def test_rubbish_about_consent_changes_nothing(typed, browser, mara):
    assert browser.post(f"{LIST}{mara.key}/consent/", typed).status_code == 422
    assert Consent.objects.count() == 1


# ---- Taken away as a file -----------------------------------------------------------------------------------------
def test_the_table_is_safe_in_a_spreadsheet_and_written_down(owner, at_jung, mara, kauri, ben, arrange):
    for nasty in ("=HYPERLINK(1)", "+1", "-1", "@SUM(1)"):
        keep(at_jung, last_name=nasty, city='a "quoted", one')
    with tenancy.merchant(kauri.pk):
        keep(member_of(ben, kauri), last_name="Walker")

    answer = owner.post(f"{LIST}export/")
    text = b"".join(answer.streaming_content).decode()

    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert text.startswith("\ufeff")
    assert [row["Last name"] for row in rows] == ["'+1", "'-1", "'=HYPERLINK(1)", "'@SUM(1)", "Vogel"]
    assert rows[0]["Town"] == 'a "quoted", one'
    assert rows[4]["Phone"] == "'+4930901820"
    assert (rows[4]["Offers by e-mail"], rows[4]["Offers by post"]) == ("yes", "")
    assert "attachment" in answer["Content-Disposition"]
    assert AuditEntry.objects.get(verb="customers exported").detail == {"rows": 5}


def test_a_long_table_is_written_piece_by_piece(owner, at_jung, monkeypatch):
    monkeypatch.setattr("portal.customers.files.AT_ONCE", 2)
    for place in range(5):
        keep(at_jung, last_name=f"Name {place}")

    pieces = list(owner.post(f"{LIST}export/").streaming_content)

    assert len(pieces) == 4
    assert [f"Name {place}" in b"".join(pieces).decode() for place in range(5)] == [True] * 5


def test_one_persons_data_are_a_file_for_themselves(owner, mara, card, at_jung):
    from portal.ledger import holders

    holders.attach(member=at_jung, card=card, customer=mara)

    answer = owner.post(f"{LIST}{mara.key}/data/")

    told = json.loads(answer.text)
    assert told["email"] == "mara@example.com"
    assert told["consent"][0]["to"] == "mails"
    assert told["cards"][0]["last_four"] == "4352"
    assert NUMBER not in answer.text
    assert AuditEntry.objects.get(verb="customer data exported").subject == str(mara.key)
