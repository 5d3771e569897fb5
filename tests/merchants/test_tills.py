"""Tills: who is at them is decided by the server, and a PIN opens the till's work and nothing else."""

import re
import time
import uuid
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils import timezone

from portal.merchants.models import AuditEntry, Member, Store, Till
from portal.merchants.roles import BY_PIN, Permission, Role, may
from tests.addresses import Shop as SampleShop
from tests.conftest import make_person
from tests.merchants.tills import DESK, OTHER_PIN, PIN, change, choose_pin, open_till

TILLS = f"{DESK}settings/tills/"


@pytest.fixture
def store(arrange, jung):
    with arrange():
        return Store.objects.create(merchant=jung, name="Hauptstraße")


@pytest.fixture
def shop(signed_in, olivia, jung, store):
    return open_till(signed_in(olivia), jung, store)


@pytest.fixture
def alices(alice, jung):
    return choose_pin(alice, jung)


@pytest.fixture
def olivias(olivia, jung):
    return choose_pin(olivia, jung, OTHER_PIN)


def trail(arrange, verb):
    with arrange():
        return list(AuditEntry.objects.select_related("person").filter(verb=verb).order_by("id"))


# ---- Opening and ending -------------------------------------------------------------------------------------------
def test_opening_a_till_signs_out_and_locks(shop, arrange):
    assert shop.client.get(DESK)["Location"] == "/till/"
    assert shop.client.get("/account/").status_code == 302
    assert shop.row.cashier is None
    [line] = trail(arrange, "till opened")
    assert (line.person.name, line.subject) == ("Olivia", "Front till")


def test_the_tills_token_stands_nowhere_in_the_database(shop):
    cookie = shop.client.cookies["tillside_till"]

    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert bytes(shop.row.token_verifier) not in cookie.value.encode()


def test_only_owners_and_managers_open_tills(signed_in, alice, store):
    answer = signed_in(alice).post(TILLS, {"name": "Mine", "store": store.pk})

    assert answer.status_code == 403
    assert "Opening and ending tills is for Owner and Manager." in answer.text


def test_an_ended_till_is_refused_at_the_next_request(shop, alices, signed_in, olivia):
    shop.unlocks(alices)
    assert shop.client.get(DESK).status_code == 200

    signed_in(olivia).post(f"{TILLS}{shop.row.key}/end/")

    assert shop.client.get(DESK)["Location"].startswith("/accounts/login/")
    assert shop.unlocks(alices)["Location"] == "/"


def test_two_tills_cannot_have_one_name(shop, signed_in, olivia, store):
    answer = signed_in(olivia).post(TILLS, {"name": "Front till", "store": store.pk})

    assert answer.status_code == 422
    assert "A till of this name is open already." in answer.text


def test_a_till_of_another_merchant_cannot_be_ended(shop, signed_in, kauri, arrange):
    with arrange():
        aroha = make_person("Aroha", (kauri, "owner"))

    answer = signed_in(aroha).post(f"/m/kauri-books/settings/tills/{shop.row.key}/end/")

    assert answer.status_code == 404
    assert shop.row.ended_at is None


@pytest.mark.parametrize("cookie", ["", "rubbish", "W10:1abc:xyz", "1" * 5000])
def test_a_forged_till_is_none(client, alices, cookie):
    client.cookies["tillside_till"] = cookie

    assert client.get("/till/", HTTP_HOST="localhost")["Location"] == "/"


def test_how_long_until_it_locks_is_the_merchants_choice(shop, alices, signed_in, olivia, arrange):
    signed_in(olivia).post(f"{TILLS}lock-after/", {"lock_after": "30"})
    shop.unlocks(alices)

    shop.left_alone(31)

    assert shop.client.get(DESK)["Location"] == "/till/"
    [line] = trail(arrange, "till lock changed")
    assert (line.detail["before"], line.detail["after"]) == (120, 30)


def test_who_has_a_second_factor_shows_it_before_a_browser_becomes_a_till(signed_in, olivia, store, jung, arrange):
    Authenticator.objects.create(user=olivia, type=Authenticator.Type.TOTP, data={"secret": "sealed"})
    client = signed_in(olivia)

    answer = client.post(TILLS, {"name": "Front till", "store": store.pk})

    assert "/accounts/" in answer["Location"]
    assert "tillside_till" not in client.cookies
    session = client.session
    session["account_authentication_methods"] += [{"method": "mfa", "type": "totp", "at": time.time()}]
    session.save()
    assert open_till(client, jung, store).row.name == "Front till"


# ---- Unlocking ----------------------------------------------------------------------------------------------------
def test_a_pin_opens_the_desk_under_its_owners_name(shop, alices, arrange):
    answer = shop.unlocks(alices)

    assert (answer.status_code, answer["Location"]) == (303, f"{DESK}shift/")
    assert "Alice" in shop.client.get(DESK).text
    assert [line.person.name for line in trail(arrange, "till unlocked")] == ["Alice"]


def test_every_refusal_is_the_same_page(shop, alices, arrange, jung):
    with arrange():
        dead = choose_pin(make_person("Dora", (jung, "cashier")), jung)
        waiting = choose_pin(make_person("Will", (jung, "cashier")), jung)
    change(dead, dead_at=timezone.now())
    change(waiting, blocked_until=timezone.now() + timedelta(minutes=5))
    shop.client.get("/till/")  # where it is said that this is a till now
    said = []
    for pin, digits in ((alices, "7000"), (dead, PIN), (waiting, PIN), (alices, "6280390000000001")):
        answer = shop.unlocks(pin, digits)
        assert answer.status_code == 422
        said.append(shop.said(answer, str(pin.key), pin.member.person.name))

    assert said == [said[0]] * 4
    assert [line.detail["why"] for line in trail(arrange, "PIN refused")] == ["wrong", "dead", "waits", "no PIN"]


def test_the_limit_of_a_till_holds_whoevers_pin_is_tried(shop, alices):
    change(shop.row, failures=10, blocked_until=timezone.now() + timedelta(seconds=30))

    assert shop.unlocks(alices).status_code == 422
    change(shop.row, blocked_until=timezone.now() - timedelta(seconds=1))
    assert shop.unlocks(alices).status_code == 303


def test_wrong_pins_of_several_people_make_the_till_wait(shop, alices, olivias):
    for number in range(10):
        change(alices, blocked_until=None)
        change(olivias, blocked_until=None)
        shop.unlocks(olivias if number % 2 else alices, "7000")

    assert shop.row.blocked_until > timezone.now() + timedelta(seconds=20)


def test_a_lock_page_can_be_asked_for_by_no_stranger(client, alices):
    answer = client.post("/till/", {"who": str(alices.key), "pin": PIN}, HTTP_HOST="localhost")

    assert answer["Location"] == "/"
    assert client.get("/", HTTP_HOST="localhost")["Location"].startswith("/accounts/login/")


def test_a_pin_without_the_tills_browser_or_the_tills_session_opens_nothing(shop, alices):
    shop.unlocks(alices)
    copied = Client(HTTP_HOST="localhost")
    copied.cookies["tillside_till"] = shop.client.cookies["tillside_till"].value

    assert copied.get(DESK)["Location"] == "/till/"


def test_somebody_removed_is_out_at_once_though_the_till_is_open(shop, alices, alice, arrange):
    shop.unlocks(alices)

    with arrange():
        Member.objects.get(person=alice).delete()

    assert shop.client.get(DESK)["Location"] == "/till/"
    assert shop.row.cashier is None


def test_somebody_whose_role_no_longer_works_the_till_is_out_at_once(shop, alices, alice, arrange):
    shop.unlocks(alices)

    with arrange():
        Member.objects.filter(person=alice).update(role=Role.ACCOUNTANT)

    assert shop.client.get(DESK)["Location"] == "/till/"


# ---- What a PIN opens ---------------------------------------------------------------------------------------------
def test_what_a_pin_opens_is_what_cashiers_do():
    assert {each for each in BY_PIN if not may(Role.CASHIER, each)} == set()
    assert BY_PIN.isdisjoint(
        {
            Permission.SEE_SETTINGS,
            Permission.DECIDE,
            Permission.APPROVE,
            Permission.MANAGE_PEOPLE,
            Permission.MANAGE_TILLS,
            Permission.CHOOSE_PIN,
            Permission.EXPORT_CUSTOMERS,
            Permission.ERASE_CUSTOMERS,
        }
    )


def staff_pages():
    found = [each for each in get_resolver().url_patterns if isinstance(each, URLPattern)]
    return [each for each in found if hasattr(each.callback, "permission")]


def test_an_owners_pin_opens_the_tills_pages_and_no_other(shop, olivias, jung, connection):
    assert shop.unlocks(olivias, OTHER_PIN).status_code == 303

    for pattern in staff_pages():
        route = str(pattern.pattern).replace("<slug:merchant>", jung.slug)
        path = "/" + re.sub("<uuid:[a-z]+>", str(uuid.uuid4()), route)
        answers = {shop.client.get(path).status_code, shop.client.post(path).status_code}
        assert (403 in answers) is (pattern.callback.permission not in BY_PIN), f"{path}: {answers}"
        assert 302 not in answers or pattern.callback.permission in BY_PIN


def test_a_pin_opens_no_page_about_the_person_or_the_site(shop, olivias):
    shop.unlocks(olivias, OTHER_PIN)

    assert "A PIN does not open this page." in shop.client.get(f"{DESK}settings/").text
    for path in ("/account/", "/accounts/email/", "/accounts/password/", "/merchants/"):
        assert shop.client.get(path)["Location"].startswith("/accounts/"), path


def test_a_pin_opens_no_other_merchant(shop, olivias, olivia, kauri, arrange):
    with arrange():
        Member.objects.create(merchant=kauri, person=olivia, role="owner")
    shop.unlocks(olivias, OTHER_PIN)

    assert shop.client.get("/m/kauri-books/")["Location"] == "/till/"
    assert "Kauri" not in shop.client.get(DESK).text if shop.unlocks(olivias, OTHER_PIN) else False


def test_an_owners_pin_decides_nothing_on_a_page_that_cashiers_may_see(shop, olivias, olivia, jung, arrange):
    with arrange():
        owner = Member.objects.select_related("merchant", "person").get(person=olivia)
        case = f"{DESK}attention/{SampleShop(jung, owner).unclear.key}/"
    shop.unlocks(olivias, OTHER_PIN)

    assert shop.client.get(case).status_code == 200
    assert shop.client.post(case, {"verdict": "happened", "reason": "They told us by phone."}).status_code == 403


def test_an_owner_at_a_till_is_a_cashier_in_every_write(shop, olivias, olivia, arrange, jung):
    from django.core.exceptions import PermissionDenied
    from django.db import transaction

    from portal.merchants import access, tenancy

    with arrange():
        member = Member.objects.get(person=olivia)
    member.role = Role.CASHIER

    with tenancy.merchant(jung.pk), transaction.atomic(), pytest.raises(PermissionDenied):
        access.still_may(member, Permission.DECIDE)


# ---- The lock -----------------------------------------------------------------------------------------------------
def test_a_till_left_alone_is_locked_by_the_server(shop, alices, arrange):
    shop.unlocks(alices)
    shop.left_alone()

    assert shop.client.get(DESK)["Location"] == "/till/"
    assert shop.row.cashier is None
    assert [line.detail["why"] for line in trail(arrange, "till locked")] == ["left alone"]


def test_a_fragment_on_a_locked_till_moves_the_whole_browser(shop, alices):
    shop.unlocks(alices)
    shop.left_alone()

    assert shop.client.get(DESK, HTTP_HX_REQUEST="true")["HX-Redirect"] == "/till/"


def test_a_page_that_asks_for_itself_keeps_no_till_open(shop, alices):
    shop.unlocks(alices)
    shop.client.get(DESK)
    shop.left_alone(100)

    shop.client.get(DESK)
    shop.client.get(f"{DESK}attention/", HTTP_HX_REQUEST="true")
    shop.left_alone(30)

    assert shop.client.get(DESK)["Location"] == "/till/"


def test_what_a_person_does_keeps_the_till_open(shop, alices):
    shop.unlocks(alices)
    for doing in (lambda: shop.client.get(f"{DESK}attention/"), lambda: shop.client.post("/till/awake/")):
        shop.left_alone(100)
        doing()

    shop.left_alone(100)
    assert shop.client.get(DESK).status_code == 200


def test_a_page_is_told_that_it_is_locked(shop, alices):
    shop.unlocks(alices)
    assert shop.client.post("/till/awake/").status_code == 204

    shop.left_alone()

    assert shop.client.post("/till/awake/").status_code == 409


def test_no_till_is_open_longer_than_a_working_day(shop, alices):
    shop.unlocks(alices)
    change(shop.row, unlocked_at=timezone.now() - timedelta(hours=12, minutes=1))

    assert shop.client.get(DESK)["Location"] == "/till/"


def test_the_lock_button_locks_at_once(shop, alices):
    shop.unlocks(alices)

    assert shop.client.post("/till/lock/")["Location"] == "/till/"
    assert shop.client.get(DESK)["Location"] == "/till/"


def test_the_lock_page_itself_locks_an_open_till(shop, alices):
    shop.unlocks(alices)

    shop.client.get("/till/")

    assert shop.client.get(DESK)["Location"] == "/till/"


def test_pages_behind_the_lock_are_in_no_cache(shop, alices):
    shop.unlocks(alices)

    assert shop.client.get(DESK)["Cache-Control"] == "no-store, private"
    assert shop.client.get("/till/")["Cache-Control"] == "no-store, private"


def test_somebody_who_signed_in_with_a_password_is_signed_out_when_the_till_is_left_alone(shop, alice):
    shop.client.post("/accounts/login/", {"login": "alice@example.com", "password": "open sesame"})
    assert shop.client.get(DESK).status_code == 200
    session = shop.client.session
    assert session.get_expiry_age() <= 120
    session["active"] -= 121
    session.save()

    assert shop.client.get(DESK)["Location"] == "/till/"
    assert shop.client.get("/account/").status_code == 302


# ---- Switching ----------------------------------------------------------------------------------------------------
def test_switching_carries_nothing_of_the_person_before(shop, alices, olivias):
    shop.unlocks(alices)
    session = shop.client.session
    session["attempts"] = {"card pay": "a key of hers"}
    session["_messages"] = '[["__json_message",0,20,"for Alice",""]]'
    session.save()
    hers = session.session_key
    shop.client.post("/till/lock/", {"path": DESK, "draft-amount": "12.50"})

    shop.unlocks(olivias, OTHER_PIN)

    assert shop.client.session.session_key != hers
    assert {"attempts", "draft", "back", "_messages"}.isdisjoint(shop.client.session.keys())


def test_the_same_person_finds_what_they_had_begun(shop, alices):
    shop.works(alices)
    session = shop.client.session
    session["attempts"] = {"card pay": "a key of hers"}
    session.save()
    card = f"{DESK}cards/{uuid.uuid4()}/"
    shop.client.post("/till/lock/", {"path": card, "draft-do": "pay", "draft-amount": "12.50", "draft-pin": "1234"})

    answer = shop.unlocks(alices)

    assert answer["Location"] == f"{card}?do=pay"
    assert shop.client.session["attempts"] == {"card pay": "a key of hers"}
    assert shop.client.session["draft"]["typed"] == {"do": "pay", "amount": "12.50"}


def test_a_basket_that_was_half_put_together_is_found_again_as_it_stood(shop, alices):
    shop.works(alices)
    card = f"{DESK}cards/{uuid.uuid4()}/"
    stood = {
        "line0_text": "Cup",
        "line0_price": "1,234",
        "scan": "4006",
        "load": "20.00",
        "load_minor": "",
        "pin": "1234",
    }
    shop.client.post("/till/lock/", {"path": card, "draft-do": "sale", **{f"draft-{k}": v for k, v in stood.items()}})

    shop.unlocks(alices)

    kept = {name: text for name, text in stood.items() if name not in ("pin", "load_minor")}
    assert shop.client.session["draft"]["typed"] == {"do": "sale", "basket": kept}


def test_a_password_on_an_open_till_takes_nothing_over_from_a_pin(shop, alices, olivia):
    shop.unlocks(alices)
    session = shop.client.session
    session["attempts"] = {"card pay": "a key of hers"}
    session["what another page keeps"] = "hers"
    session.save()

    shop.client.post("/accounts/login/", {"login": "olivia@example.com", "password": "open sesame"})
    shop.client.get(DESK)

    assert {"attempts", "what another page keeps"}.isdisjoint(shop.client.session.keys())
    assert shop.client.get(DESK).status_code == 200


@pytest.mark.parametrize(
    "path", ["https://evil.example/", "//evil.example/", "/account/", "/m/kauri-books/", "x" * 999]
)
def test_unlocking_leads_to_no_other_place(shop, alices, path):
    shop.works(alices)
    shop.client.post("/till/lock/", {"path": path})

    assert shop.unlocks(alices)["Location"] == DESK


def test_a_form_drawn_for_one_person_is_worth_nothing_after_a_switch(shop, alices, olivias):
    browser = Client(HTTP_HOST="localhost", enforce_csrf_checks=True)
    browser.cookies = shop.client.cookies
    browser.get("/till/")
    token = browser.cookies["tillside_csrf"].value
    browser.post("/till/", {"who": str(alices.key), "pin": PIN, "csrfmiddlewaretoken": token})
    hers = browser.cookies["tillside_csrf"].value
    browser.post("/till/", {"who": str(olivias.key), "pin": OTHER_PIN, "csrfmiddlewaretoken": hers})

    answer = browser.post(f"{DESK}scan/", {"number": "1", "csrfmiddlewaretoken": hers})

    assert answer.status_code == 403
    assert "This form was too old" in answer.text


def test_the_lock_page_names_who_works_here_and_nobody_else(shop, alices, jung, kauri, arrange):
    with arrange():
        choose_pin(make_person("Ben", (kauri, "cashier")), kauri)
        former = make_person("Former", (jung, "cashier"))
        choose_pin(former, jung)
        Member.objects.filter(person=former).update(role="accountant")

    names = shop.client.get("/till/?all").text

    assert "Alice" in names
    assert "Ben" not in names
    assert "Former" not in names


def test_a_till_row_is_written_by_its_module_only(shop):
    from portal.merchants.writers import WrittenElsewhere

    with pytest.raises(WrittenElsewhere):
        Till.objects.update(failures=0)
