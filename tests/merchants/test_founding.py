"""Opening a shop: what a country proposes, who owns it, and where its pages stand."""

import uuid

import pytest

from portal.ledger import balances
from portal.ledger.models import Inquiry
from portal.merchants import countries, founding, practice, tenancy
from portal.merchants.models import AuditEntry, Connection, Member, Merchant, Store

BASICS = {
    "name": "Café Nørd",
    "country": "DE",
    "currency": "EUR",
    "time_zone": "Europe/Berlin",
    "language": "de",
    "store": "Hauptstraße",
}


@pytest.mark.parametrize(
    ("country", "currency", "time_zone", "language", "providers"),
    [
        ("DE", "EUR", "Europe/Berlin", "de", ("secuconnect",)),
        ("AT", "EUR", "Europe/Vienna", "de", ()),
        ("NZ", "NZD", "Pacific/Auckland", "en", ("CardInquiry",)),
        ("US", "USD", "America/New_York", "en", ("PayWizard",)),
        ("MY", "MYR", "Asia/Kuala_Lumpur", "en", ("Revenue Monster",)),
        ("ZA", "ZAR", "Africa/Johannesburg", "en", ()),
    ],
)
def test_a_country_proposes_money_clock_language_and_providers(country, currency, time_zone, language, providers):
    assert countries.propose(country) == countries.Proposal(
        currency=currency, time_zone=time_zone, language=language, providers=providers
    )


def test_among_several_zones_of_a_country_the_browsers_is_proposed():
    assert countries.propose("US", browser_zone="America/Denver").time_zone == "America/Denver"
    assert countries.propose("US", browser_zone="Europe/Berlin").time_zone == "America/New_York"


def test_every_country_has_a_proposal_that_the_form_takes():
    money, zones = dict(countries.currencies()), set(countries.other_zones(""))

    for code, name in countries.countries():
        proposal = countries.propose(code)
        assert proposal.currency in money or proposal.currency == "", name
        assert proposal.time_zone in zones, name


@pytest.mark.parametrize(
    ("header", "country"),
    [("de-AT,de;q=0.9", "AT"), ("en;q=0.8, fr-ca;q=0.5", "CA"), ("de", ""), ("", ""), ("x" * 9999, ""), ("de-ZZ", "")],
)
def test_the_browsers_languages_hint_at_the_country(header, country):
    assert countries.from_browser(header) == country


def test_who_opens_a_shop_owns_it_and_comes_to_its_desk(mallory, signed_in, everything):
    answer = signed_in(mallory).post("/merchants/found/", BASICS)

    shop = Merchant.objects.get()
    assert answer["Location"] == f"/m/{shop.slug}/" == "/m/cafe-nrd/"
    assert (shop.name, shop.country, shop.currency, shop.time_zone, shop.language) == (
        "Café Nørd",
        "DE",
        "EUR",
        "Europe/Berlin",
        "de",
    )
    assert Member.objects.get(merchant=shop).role == "owner"
    assert Store.objects.get(merchant=shop).name == "Hauptstraße"
    assert AuditEntry.objects.get(merchant=shop, verb="merchant founded").person == mallory


def test_an_owner_opens_another_shop_and_sees_both(olivia, signed_in):
    client = signed_in(olivia)

    client.post("/merchants/found/", BASICS | {"store": ""})

    assert "Café Nørd" in client.get("/merchants/").text
    assert "Bäckerei Jung" in client.get("/merchants/").text


def test_the_same_name_gets_another_place(mallory, olivia, everything):
    words = {key: value for key, value in BASICS.items() if key != "store"}
    first = founding.found(founder=mallory, **words)
    second = founding.found(founder=olivia, **words)

    assert (first.slug, second.slug) == ("cafe-nrd", "cafe-nrd-2")


def test_two_presses_open_one_shop(mallory, signed_in, everything):
    client = signed_in(mallory)

    places = {client.post("/merchants/found/", BASICS)["Location"] for _ in range(2)}

    assert len(places) == 1
    assert Merchant.objects.count() == 1


@pytest.mark.parametrize("name", ["東京堂", "🍞🍞", "---", "a" * 100])
def test_any_name_has_a_place(mallory, name):
    words = {key: value for key, value in BASICS.items() if key not in {"store", "name"}}

    shop = founding.found(founder=mallory, name=name, **words)

    assert shop.slug == {"a" * 100: "a" * 40}.get(name, "shop")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 101),
        ("name", "\u202e"),
        ("country", "XX"),
        ("country", "de"),
        ("currency", "XAU"),
        ("currency", "eur"),
        ("time_zone", "Europe/Nowhere"),
        ("language", "tlh"),
        ("store", "x" * 101),
    ],
)
def test_what_cannot_be_is_said_beside_the_field_and_what_was_typed_is_kept(
    mallory, signed_in, field, value, everything
):
    answer = signed_in(mallory).post("/merchants/found/", BASICS | {field: value})

    assert answer.status_code == 422
    assert f"id_{field}_error" in answer.text
    assert field == "store" or "Hauptstraße" in answer.text
    assert not Merchant.objects.exists()


def test_without_javascript_a_button_proposes_and_keeps_what_was_typed(mallory, signed_in):
    answer = signed_in(mallory).post("/merchants/found/", {"name": "Kauri", "country": "NZ", "propose": ""})

    assert answer.status_code == 200
    assert 'value="Kauri"' in answer.text
    assert '<option value="NZD" selected>' in answer.text
    assert "often use CardInquiry" in answer.text


def test_a_changed_country_replaces_the_proposals_only(mallory, signed_in):
    answer = signed_in(mallory).get("/merchants/found/?country=US", headers={"HX-Request": "true"})

    assert '<option value="USD" selected>' in answer.text
    assert "<html" not in answer.text


def test_a_stranger_signs_in_first(client, db):
    assert client.get("/merchants/found/", HTTP_HOST="localhost")["Location"].startswith("/accounts/login/")


def test_nobody_opens_shops_without_end(mallory, signed_in, monkeypatch, everything):
    monkeypatch.setattr(founding, "MOST", 2)
    client = signed_in(mallory)

    answers = [client.post("/merchants/found/", BASICS | {"name": f"Shop {n}"}).status_code for n in range(3)]

    assert answers == [302, 302, 422]


# ---- Practice connections -------------------------------------------------------------------------------------
def test_a_new_shop_is_offered_the_practice_provider(mallory, signed_in):
    client = signed_in(mallory)
    desk = client.post("/merchants/found/", BASICS)["Location"]

    assert "Connect the practice provider" in client.get(desk).text


def test_without_a_sandbox_nothing_of_it_is_there(mallory, signed_in, settings):
    settings.SANDBOX_URL = ""
    client = signed_in(mallory)
    desk = client.post("/merchants/found/", BASICS)["Location"]

    assert "practice" not in client.get(desk).text
    assert client.post(f"{desk}practice/").status_code == 404


def test_a_worker_connects_it_once(jung, sandbox, everything):
    practice.connect(jung.pk)
    practice.connect(jung.pk)

    assert sorted(Connection.objects.filter(merchant=jung).values_list("provider", "environment")) == [
        ("cardinquiry", "sandbox"),
        ("paywizard", "sandbox"),
        ("revenuemonster", "sandbox"),
        ("secuconnect", "sandbox"),
    ]


def test_a_connection_of_ones_own_is_left_alone(jung, connection, everything):
    practice.connect(jung.pk)

    assert Connection.objects.get(merchant=jung) == connection


def test_waiting_ends_at_the_desk(olivia, signed_in, connection):
    client = signed_in(olivia)

    assert client.get("/m/baeckerei-jung/practice/")["Location"] == "/m/baeckerei-jung/"
    polled = client.get("/m/baeckerei-jung/practice/", headers={"HX-Request": "true"})
    assert polled["HX-Redirect"] == "/m/baeckerei-jung/"


def test_a_cashier_connects_nothing(alice, signed_in):
    client = signed_in(alice)

    assert client.post("/m/baeckerei-jung/practice/").status_code == 403
    assert "An owner or manager connects it." in client.get("/m/baeckerei-jung/").text


def test_founding_sees_no_other_merchants_rows(mallory, jung, monkeypatch):
    seen = []
    real = founding._insert

    def insert(merchant):
        seen.append(tenancy.current())
        return real(merchant)

    monkeypatch.setattr(founding, "_insert", insert)

    shop = founding.found(founder=mallory, **{k: v for k, v in BASICS.items() if k != "store"})

    assert seen == [tenancy.Context(merchant=shop.pk)]


def test_a_new_shop_reads_its_first_balance_at_the_practice_provider(mallory, signed_in, sandbox, arrange):
    client = signed_in(mallory)
    desk = client.post("/merchants/found/", BASICS | {"currency": "NZD", "country": "NZ"})["Location"]
    with arrange():
        shop = Merchant.objects.get()
    practice.connect(shop.pk)
    with arrange():
        cardinquiry = Connection.objects.get(merchant=shop, provider="cardinquiry")

    page = client.post(
        f"{desk}scan/",
        {"key": str(uuid.uuid4()), "connection": str(cardinquiry.key), "number": "6280390000000001"},
    )["Location"]
    client.post(page, {"pin": "1234"})
    with arrange():
        balances.answer(Inquiry.objects.get().pk)

    assert "$25.50" in client.get(page).text
