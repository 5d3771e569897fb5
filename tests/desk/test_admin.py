"""The administration: who gets in, what they see of every kind of row, and that nothing there writes."""

import base64
import html
import re
import uuid
from itertools import product

import pytest
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.conf import settings
from django.db import models
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from portal.connectors.base import VERBS, CardStatus, Reason
from portal.desk import trail_words
from portal.desk.administration import lists
from portal.desk.administration.pages import site
from portal.desk.administration.rows import SECRET_WORDS, hidden
from portal.ledger import attention_words, cards, outcome_words
from portal.ledger.list_forms import SETTLED
from portal.ledger.models import Card, Exchange, Operation
from portal.merchants.models import AuditEntry, Merchant, Person
from tests.addresses import CARD, SAMPLES, Shop
from tests.test_rubbish import ODD, ODD_IN_A_QUERY

KINDS = [pytest.param(kind, id=kind.model.__name__) for kind in site.kinds()]


@pytest.fixture
def shop(jung_shop, arrange) -> Shop:
    """Jung with one of everything the administration shows."""
    with arrange():
        fill(jung_shop)
    return jung_shop


def fill(shop: Shop) -> None:
    for each in SAMPLES.values():
        each(shop)


def a_row(kind):
    """One of Jung's, the newest."""
    row = kind.model.objects.filter(merchant__isnull=False) if has_merchant(kind.model) else kind.model.objects
    found = row.order_by("-pk").first()
    assert found is not None, f"the test has no {kind.model.__name__}"
    return found


def has_merchant(model) -> bool:
    return any(field.name == "merchant" for field in model._meta.fields)


def list_of(kind, query: str = "") -> str:
    return reverse(f"admin:{kind.opts.app_label}_{kind.opts.model_name}_changelist") + query


def page_of(kind, pk) -> str:
    return reverse(f"admin:{kind.opts.app_label}_{kind.opts.model_name}_change", args=[pk])


# ---- Who gets in ----------------------------------------------------------------------------------------------
def test_an_administrator_with_a_second_factor_gets_in(ada):
    answer = ada.get("/admin/")

    assert answer.status_code == 200
    assert "Find a merchant" in answer.text


def test_somebody_signed_out_is_sent_to_the_one_page_for_signing_in(client):
    for path in ("/admin/", "/admin/login/", "/admin/merchants/merchant/"):
        answer = client.get(path, headers={"host": "localhost"})
        assert (answer.status_code, answer["Location"]) == (302, f"/accounts/login/?next={path}")


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/admin/merchants/merchant/", "/admin/nothing/"])
def test_for_people_who_are_no_administrators_there_is_no_administration(path, signed_in, alice, olivia):
    for person in (alice, olivia):
        answer = signed_in(person).get(path)
        assert answer.status_code == 404
        assert "password" not in answer.text.lower()


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/admin/merchants/merchant/"])
def test_an_administrator_without_a_second_factor_is_sent_to_get_one_and_sees_no_password_form(
    path, signed_in, administrator
):
    Authenticator.objects.filter(user=administrator).delete()

    answer = signed_in(administrator).get(path)

    assert (answer.status_code, answer["Location"]) == (302, "/account/#second-factor")


def test_an_administrator_whose_factor_was_not_shown_is_asked_for_it(signed_in, administrator):
    answer = signed_in(administrator).get("/admin/merchants/person/")

    assert answer["Location"].startswith("/accounts/second-factor/prove/?next=%2Fadmin%2F")


def test_the_factor_is_asked_for_even_where_the_middleware_is_not(signed_in, administrator, settings):
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "second_factor" not in each]

    assert signed_in(administrator).get("/admin/").status_code == 404


def test_nobody_signs_in_by_posting_to_the_administration(ada, administrator):
    for browser in (ada, Client(HTTP_HOST="localhost")):
        answer = browser.post("/admin/login/", {"username": administrator.email, "password": "open sesame"})
        assert answer.status_code == (405 if browser is ada else 302)
        assert ("_auth_user_id" in browser.session) == (browser is ada)


def test_an_administrators_session_is_not_sent_along_from_another_site(ada, signed_in, alice):
    assert ada.get("/admin/").cookies["tillside_session"]["samesite"] == "Strict"
    ada.get("/account/")
    assert ada.cookies["tillside_session"]["samesite"] == "Strict"
    assert signed_in(alice).get("/").cookies["tillside_session"]["samesite"] == "Lax"


def test_the_pages_by_which_djangos_own_admin_writes_are_not_there(ada, shop):
    for kind in site.kinds():
        base = list_of(kind)
        pk = shop.merchant.pk
        for page in ("add/", f"{pk}/delete/", f"{pk}/history/", f"{pk}/change/"):
            assert ada.get(base + page).status_code == 404
    for page in ("logout/", "password_change/", "autocomplete/", "jsi18n/", "r/1/1/", "merchants/"):
        assert ada.get(f"/admin/{page}").status_code == 404


# ---- What they see --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_row_has_its_list_and_its_page(kind, ada, shop, everything):
    row = a_row(kind)

    listed, shown = ada.get(list_of(kind)), ada.get(page_of(kind, row.pk))

    assert (listed.status_code, shown.status_code) == (200, 200)
    assert page_of(kind, row.pk) in listed.text
    for fact in kind.shows:
        assert str(fact.short_description) in shown.text


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_never_was_is_not_found(kind, ada):
    assert ada.get(page_of(kind, 2**31)).status_code == 404
    assert ada.get(page_of(kind, 2**70)).status_code == 404


@pytest.mark.parametrize("kind", [each for each in KINDS if has_merchant(each.values[0].model)])
def test_a_list_is_narrowed_to_one_merchant(kind, ada, shop, kauri, everything):
    row = page_of(kind, a_row(kind).pk)

    assert row in ada.get(list_of(kind, f"?merchant={shop.merchant.slug}")).text
    assert row not in ada.get(list_of(kind, f"?merchant={kauri.slug}")).text
    assert row not in ada.get(list_of(kind, "?merchant=no-such-merchant")).text


def test_an_operation_is_found_by_either_reference_and_by_no_piece_of_one(ada, shop):
    found = page_of(site._registry[Operation], shop.operation.pk)

    for text in (shop.operation.reference, str(shop.operation.key), "4711"):
        assert found in ada.get(list_of(site._registry[Operation], f"?q={text}")).text
    for text in (shop.operation.reference[:20], "471", str(uuid.uuid4()), "%", "_"):
        assert found not in ada.get(list_of(site._registry[Operation], f"?q={text}")).text


def test_a_person_is_found_by_the_whole_address_only(ada, alice):
    people = site._registry[Person]

    assert page_of(people, alice.pk) in ada.get(list_of(people, "?q=Alice@example.com")).text
    assert page_of(people, alice.pk) not in ada.get(list_of(people, "?q=alice@")).text


def test_the_state_of_operations_is_narrowed_to_what_is_open(ada, shop):
    operations = site._registry[Operation]

    answer = ada.get(list_of(operations, "?state=needs_person")).text

    assert page_of(operations, shop.unclear.pk) in answer
    assert page_of(operations, shop.operation.pk) not in answer


OF_EVERY_LIST = ("q", "merchant", "after", "before")  # what our own code reads
OF_SOME_LISTS = ("p", "o", "state", "operation", "person", "e", "all", "_popup", "_to_field")


@pytest.mark.parametrize("kind", KINDS)
def test_rubbish_in_a_query_never_breaks_a_list(kind, ada, shop):
    """All of it in what every list reads; the rest is dealt out, so that each pair meets some lists."""
    rubbish = [*ODD, *ODD_IN_A_QUERY]
    turn = list(site.kinds()).index(kind) % 4
    dealt = list(product(OF_SOME_LISTS, rubbish))[turn::4]
    for name, text in [*product(OF_EVERY_LIST, rubbish), *dealt]:
        assert ada.get(list_of(kind), {name: text}).status_code in {200, 302, 400}, (name, text)


# ---- In people's words ----------------------------------------------------------------------------------------
def raw_words(language: str) -> set[str]:
    """Every word the database has for something of ours, for which people of this language have another."""
    with translation.override(language):
        chosen = [pair for model in apps.get_models() for field in model._meta.fields for pair in field.flatchoices]
        raw = {value for value, label in chosen if isinstance(value, str) and value != str(label)}
    return raw | {*Reason, *CardStatus, *SETTLED, *attention_words.PURPOSES, *VERBS, *dict(settings.LANGUAGES)} - {""}


def told_by(page: str) -> list[str]:
    """Each line of every cell of a list and of every fact of a page."""
    cells = re.findall(r"<(?:td|dd)\b[^>]*>(.*?)</(?:td|dd)>", page, re.DOTALL)
    lines = [line for cell in cells for line in re.split(r"<br\s*/?>", cell)]
    return [html.unescape(re.sub(r"<[^>]*>", "", line)).strip() for line in lines]


@pytest.mark.parametrize("language", ["de", "en"])
def test_no_list_and_no_page_says_a_word_that_only_the_database_has(language, ada, shop, everything, arrange):
    with arrange():
        much_happens_in(shop)
    ada.cookies["tillside_language"] = language
    told = {}
    for kind in site.kinds():
        shown = ada.get(page_of(kind, a_row(kind).pk)).text
        assert f'<html lang="{language}"' in shown
        told[kind.model.__name__] = {*told_by(ada.get(list_of(kind)).text), *told_by(shown)}

    assert all(len(lines) > 2 for lines in told.values()), told
    raw = raw_words(language)
    assert {name: lines & raw for name, lines in told.items() if lines & raw} == {}


def much_happens_in(shop: Shop) -> None:
    """Reasons, verdicts and results, which a row has only once something became of it."""
    Card.objects.filter(merchant=shop.merchant).update(card_status="near_miss")
    told = {field.name: getattr(shop.exchange, field.name) for field in Exchange._meta.fields if field.name != "id"}
    for purpose in attention_words.PURPOSES:
        Exchange.objects.create(**told | {"purpose": purpose, "reason": "cut", "status": None})
    refused = {"ended_at": timezone.now(), "lease_until": None, "reason": "original_unknown", "settled_by": "record"}
    other = cards.card_of(shop.connection, CARD[:-1] + "7")
    shop._pays(other, running={"lease_until": timezone.now()}, refused=refused)


def test_an_operations_reason_stands_in_words_about_the_operation():
    """Not in a look-up's, for which a reason without words says that the balance cannot be shown."""
    for reason in (*Reason, *outcome_words._ENDS):
        assert outcome_words.because(reason) != "The balance cannot be shown.", reason


def test_moments_are_exact_in_one_form_and_their_zone_is_named_once_a_page(ada, shop, everything):
    row = a_row(site._registry[Operation])
    for page in (list_of(site._registry[Operation]), page_of(site._registry[Operation], row.pk)):
        text = ada.get(page).text
        moments = re.findall(r"<time datetime=[^>]*>([^<]*)</time>", text)
        assert moments
        assert all(
            re.fullmatch(r"\d{1,2} [A-Z][a-z]{2,3} \d{4}, \d\d:\d\d:\d\d", each)
            for each in (each.replace("\N{NO-BREAK SPACE}", " ") for each in moments)
        ), moments
        assert text.count("Times in UTC") == 1
        assert len(re.findall(r"\bUTC\b", text)) == 1


def test_what_an_administrator_looked_through_has_words_in_the_trail():
    looked_through = {kind.in_trail or f"{kind.opts.model_name}s" for kind in site.kinds() if kind.notes_lists}

    assert looked_through - trail_words.LOOKED_AT.keys() == set()


def test_a_list_with_nothing_to_show_says_so_and_leads_to_everything(ada, shop):
    merchants = site._registry[Merchant]
    answer = ada.get(list_of(merchants, "?q=zzz")).text

    assert "Nothing is found by “zzz”." in answer
    assert f'<a href="{list_of(merchants)}">Show all</a>' in answer
    assert "There is none." in ada.get(list_of(site._registry[Operation], "?state=waiting")).text


# ---- Pages of a list ------------------------------------------------------------------------------------------
@pytest.fixture
def forty_merchants(jung, everything) -> list[str]:
    """Beside Jung, in the order of the list; several of one name stand by their number."""
    for n in range(39):
        Merchant.objects.create(slug=f"shop-{n}", name=f"Shop {n // 3:02}", currency="EUR", time_zone="UTC")
    return list(Merchant.objects.order_by("name", "pk").values_list("slug", flat=True))


def slugs_on(page: str) -> list[str]:
    return re.findall(r"<td data-label=\"In the address\">([a-z0-9-]+)</td>", page)


def way(page: str, label: str) -> str:
    found = re.search(rf'href="([^"]*)">{label}<', page)
    return html.unescape(found[1]) if found else ""


def walk(browser: Client, start: str, label: str) -> list[list[str]]:
    """The pages from here on, in the order in which they are turned."""
    pages, query = [], start
    while True:
        page = browser.get(list_of(site._registry[Merchant], query)).text
        pages.append(slugs_on(page))
        query = way(page, label)
        if not query:
            return pages


def test_turning_pages_shows_every_row_once_in_one_order_both_ways(ada, forty_merchants, monkeypatch):
    monkeypatch.setattr(lists, "PAGE", 7)

    onwards = walk(ada, "", "Next page")
    assert [slug for page in onwards for slug in page] == forty_merchants
    assert [len(page) for page in onwards] == [7, 7, 7, 7, 7, 5]

    last = Merchant.objects.get(slug=onwards[-1][0]).pk
    back = walk(ada, f"?before={last}", "Back one page")
    assert back[:5] == onwards[:-1][::-1]


def test_a_row_that_came_meanwhile_moves_no_page_and_one_that_has_gone_is_no_error(ada, forty_merchants, monkeypatch):
    monkeypatch.setattr(lists, "PAGE", 7)
    first = ada.get(list_of(site._registry[Merchant]))
    second = way(first.text, "Next page")
    before = slugs_on(ada.get(list_of(site._registry[Merchant], second)).text)

    Merchant.objects.create(slug="a-new-one", name="A new one", currency="EUR", time_zone="UTC")

    assert slugs_on(ada.get(list_of(site._registry[Merchant], second)).text) == before
    for gone in ("?after=999999", "?before=999999", "?after=-1", "?after=x", "?before=99999999999999999999"):
        assert slugs_on(ada.get(list_of(site._registry[Merchant], gone)).text)[0] == "a-new-one"


def test_narrowing_a_list_begins_at_its_beginning(ada, shop):
    page = ada.get(list_of(site._registry[Operation], f"?after={shop.operation.pk}")).text

    assert 'href="?state=checking"' in page


# ---- Nothing writes -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_no_row_is_added_changed_or_deleted_by_any_post(kind, ada, shop, everything):
    row = a_row(kind)
    before = everything_in(kind.model)
    for path in (list_of(kind), page_of(kind, row.pk)):
        for form in (
            {"_save": "1", "name": "x", "email": "x@example.com", "is_staff": "on"},
            {"action": "delete_selected", "_selected_action": str(row.pk), "post": "yes"},
            {"_saveasnew": "1"},
        ):
            assert ada.post(path, form).status_code == 405
        for method in ("put", "patch", "delete"):
            assert getattr(ada, method)(path).status_code == 405
    assert everything_in(kind.model) == before


def everything_in(model):
    return [tuple(map(bytes_too, row)) for row in model.objects.order_by("pk").values_list()]


def bytes_too(value):
    return bytes(value) if isinstance(value, memoryview) else value


@pytest.mark.parametrize("kind", KINDS)
def test_djangos_own_rights_to_write_are_refused_to_superusers_too(kind, administrator, rf):
    administrator.is_superuser = True
    request = rf.get("/")
    request.user = administrator

    rights = (
        kind.has_add_permission(request),
        kind.has_change_permission(request),
        kind.has_delete_permission(request),
    )

    assert rights == (False, False, False)
    assert kind.actions is None
    assert list(kind.inlines) == []


# ---- No secret ------------------------------------------------------------------------------------------------
def secret_columns(model) -> list[str]:
    return hidden(model)


@pytest.mark.parametrize("kind", KINDS)
def test_no_fact_leads_to_a_secret(kind):
    for fact in (*kind.lists, *kind.shows):
        model = kind.model
        for step in filter(None, fact.way.split(".")):
            assert not any(word in step for word in SECRET_WORDS), f"{kind.model.__name__}.{fact.way}"
            field = next((each for each in model._meta.get_fields() if each.name == step), None)
            assert not isinstance(field, models.BinaryField)
            model = getattr(field, "related_model", None) or model


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_are_not_even_read(kind, ada, shop, everything, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    row = a_row(kind)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        ada.get(list_of(kind))
        ada.get(page_of(kind, row.pk))

    of_the_rows = [each["sql"] for each in asked if f'FROM "{kind.model._meta.db_table}"' in each["sql"]]
    assert of_the_rows
    sql = " ".join(sql for sql in of_the_rows if "django_session" not in sql and kind.model is not Person)
    for column in secret_columns(kind.model):
        assert f'"{kind.model._meta.db_table}"."{column}"' not in sql


CANARY = b"\x01canary-that-nobody-may-see"


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_planted_in_every_hidden_column_is_on_no_page(kind, ada, shop, everything):
    from django.db import connections

    row = a_row(kind)
    columns = [kind.model._meta.get_field(name) for name in secret_columns(kind.model)]
    shown = {"last_four"}
    planted = [each for each in columns if each.name not in shown]
    if not planted:
        return
    with connections["default"].cursor() as cursor:
        for field in planted:
            value = CANARY if isinstance(field, models.BinaryField) else CANARY[1:].decode()
            try_planting(cursor, kind.model, field, value, row.pk)

    pages = ada.get(list_of(kind)).text + ada.get(page_of(kind, row.pk)).text

    for form in (CANARY[1:].decode(), CANARY.hex(), base64.b64encode(CANARY).decode(), repr(CANARY)):
        assert form not in pages


def try_planting(cursor, model, field, value, pk) -> None:
    """The database's own rules may refuse a secret where none belongs; then there is none to see."""
    from django.db import Error, transaction

    try:
        with transaction.atomic():
            cursor.execute(f'UPDATE "{model._meta.db_table}" SET "{field.column}" = %s WHERE id = %s', [value, pk])
    except Error:
        pass


LOOK_UPS = ("", "__exact", "__startswith", "__contains", "__regex", "__gt", "__isnull", "__in", "__range")


def ways_to_secrets(model, deep: int = 2, so_far: str = "") -> list[str]:
    """Every look-up across relations, forwards and backwards, that ends in a column nobody may see."""
    ways = [so_far + name for name in hidden(model)]
    if deep:
        for field in model._meta.get_fields():
            if field.is_relation and field.related_model and field.related_model is not model:
                name = field.name  # backwards, too: that is what a look-up calls it
                ways += ways_to_secrets(field.related_model, deep - 1, f"{so_far}{name}__")
    return ways


@pytest.mark.parametrize("kind", KINDS)
def test_no_list_is_filtered_by_a_secret_in_any_spelling(kind, ada, administrator, rf):
    request = rf.get("/")
    request.user = administrator
    ways = ways_to_secrets(kind.model)
    assert ways or kind.model.__name__ == "AuditEntry"

    for way in ways:
        for look_up in LOOK_UPS:
            assert not kind.lookup_allowed(way + look_up, "a", request), way + look_up
    for way in ways[:3]:
        assert ada.get(list_of(kind, f"?{way}__startswith=a")).status_code == 400


@pytest.mark.parametrize("kind", KINDS)
def test_no_list_is_filtered_by_anything_that_is_not_named(kind, ada, administrator, rf):
    request = rf.get("/")
    request.user = administrator
    named = {each.parameter_name for each in kind.list_filter}

    for field in kind.model._meta.get_fields():
        for look_up in LOOK_UPS:
            name = f"{field.name}{look_up}"
            assert kind.lookup_allowed(name, "a", request) == (name in named)
    assert ada.get(list_of(kind, "?id__gte=1")).status_code == 400
    assert ada.get(list_of(kind, "?pk=1")).status_code == 400


@pytest.mark.parametrize("kind", KINDS)
def test_no_list_is_put_in_an_order_by_its_visitor(kind, ada, shop, everything):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    orders = set()
    for query in ("", "?o=1", "?o=-1.2.3", "?o=4", "?o=99", "?o=sealed_number", "?all=", "?e=1", "?_facets="):
        with CaptureQueriesContext(connection) as asked:
            answer = ada.get(list_of(kind, query))
        assert answer.status_code in (200, 302), query
        table = kind.model._meta.db_table
        orders |= {
            each["sql"].partition(" ORDER BY ")[2].partition(" LIMIT")[0]
            for each in asked
            if f'FROM "{table}"' in each["sql"] and " ORDER BY " in each["sql"] and "LIMIT 1" not in each["sql"][-8:]
        }
    assert len({order for order in orders if "DESC" in order or "name" in order}) <= 2, orders


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_asked_for_by_its_number_and_by_no_other_column(kind, ada, shop, everything):
    row = a_row(kind)
    for column in (*secret_columns(kind.model), "key", "id", "pk", "email"):
        for path in (list_of(kind), page_of(kind, row.pk)):
            assert ada.get(f"{path}?_to_field={column}").status_code == 400


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_row_is_called_is_no_secret(kind, shop, everything):
    row = a_row(kind)
    called = f"{row} {kind.name(row)} {kind.subject(row)}"

    for column in secret_columns(kind.model):
        value = bytes_too(getattr(row, column))
        assert not value or str(value) not in called


# ---- Who looked -----------------------------------------------------------------------------------------------
def looks(arrange, merchant) -> list[tuple[str, str]]:
    with arrange():
        lines = AuditEntry.objects.filter(merchant=merchant, verb="administrator looked").order_by("id")
        return [(line.person.name, line.subject) for line in lines]


def test_the_merchant_sees_in_its_trail_that_an_administrator_looked_at_its_row(ada, shop, kauri, arrange):
    ada.get(page_of(site._registry[Operation], shop.operation.pk))

    assert looks(arrange, shop.merchant) == [("Ada", shop.operation.reference)]
    assert looks(arrange, kauri) == []


def test_a_list_is_noted_for_each_merchant_on_it_and_turning_pages_does_not_fill_the_trail(
    ada, shop, kauri_shop, arrange
):
    with arrange():
        assert kauri_shop.card
    for _ in range(3):
        ada.get(list_of(site._registry[Card]))

    assert looks(arrange, shop.merchant) == [("Ada", "cards")]
    assert looks(arrange, kauri_shop.merchant) == [("Ada", "cards")]


def test_who_looks_through_another_list_is_noted_again(ada, shop, arrange):
    ada.get(list_of(site._registry[Card]))
    ada.get(list_of(site._registry[Operation]))
    ada.get(page_of(site._registry[Person], shop.owner.person.pk))

    assert [subject for _name, subject in looks(arrange, shop.merchant)] == ["cards", "operations", "Olivia"]


def test_nothing_is_shown_where_it_cannot_be_noted(ada, shop, monkeypatch):
    from portal.merchants import audit

    def broken(*_args, **_more):
        raise RuntimeError("the trail is full")

    monkeypatch.setattr(audit, "looked", broken)

    with pytest.raises(RuntimeError):
        ada.get(list_of(site._registry[Card]))
