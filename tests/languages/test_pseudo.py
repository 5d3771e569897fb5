"""Every page in the pseudo-language, English with accents and in brackets: plain letters passed no catalog."""

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from zoneinfo import available_timezones

import pytest
from babel import Locale
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from portal import catalogs
from portal.connectors import PROVIDERS
from portal.customers import words
from portal.customers.book import Details
from portal.customers.models import Purpose
from portal.ledger import approvals, balances, holders, holding, operations
from portal.merchants import connecting, invitations, pauses, trials
from portal.merchants.models import Member, Store
from portal.money import Money
from tests.ledger.conftest import paywizard, till
from tests.ledger.test_approvals import limit

__all__ = ["paywizard", "till"]

PSEUDO = [("en-xa", "Ƥşḗŭḓō"), ("ar-xb", "Ƥşḗŭḓō ←")]
SPOKEN = (
    "title",
    "aria-label",
    "placeholder",
    "alt",
    "data-label",
    "data-words",
    "data-copied",
    "data-spoken",
)
# Elements that quote what others said, or hold what is no language.
QUOTES = {"script", "style", "code", "pre", "q", "svg"}
# Not texts: our name, the machines’ words, each language in its own, and how Babel joins lists in English.
NAMES = {
    "Tillside",
    "UTC",
    "HTTP",
    "PIN",
    "POST",
    "GET",
    "USD",
    *(each.name for each in PROVIDERS.values()),
    "English",
    "Deutsch",
    "and",
}


@pytest.fixture
def pseudo(settings: Any) -> None:
    settings.PSEUDO_LANGUAGES = PSEUDO
    settings.LANGUAGES = [*settings.LANGUAGES, *PSEUDO]
    catalogs.compile_all()


class Texts(HTMLParser):
    """What a page says: texts, and attributes that are read out or shown."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._quotes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        foreign = "lang" in given and tag != "html"
        if self._quotes or tag in QUOTES or foreign or "quote" in (given.get("class") or "").split():
            if tag not in {"br", "img", "input", "path", "meta", "link", "hr"}:
                self._quotes.append(tag)
            return
        self.said += [str(given[name]) for name in SPOKEN if given.get(name)]
        self.said += [str(value) for name, value in attrs if name.startswith("data-ago-") and value]

    def handle_endtag(self, tag: str) -> None:
        if self._quotes and self._quotes[-1] == tag:
            self._quotes.pop()

    def handle_data(self, data: str) -> None:
        if not self._quotes and data.strip():
            self.said.append(" ".join(data.split()))


def plain(page: str, known: set[str]) -> list[str]:
    """Texts of a page with a word in plain letters that is no name."""
    reader = Texts()
    reader.feed(page)
    return [text for text in reader.said if words_of(text) - known]


def words_of(*texts: object) -> set[str]:
    return {word.lower() for text in texts for word in re.findall("[A-Za-z]{3,}", str(text))}


@pytest.fixture
def world(till: Any, jung: Any, olivia: Any, arrange: Any, pseudo: None) -> dict[str, Any]:
    """A merchant with one of everything that has an address; the values fill the addresses' parts."""
    with arrange():
        Store.objects.create(merchant=jung, name="Markthalle", address="Marheinekeplatz 15")
        olivia.language = "en-xa"
        olivia.save()
    done = till.gets("pay", 1250)
    till.arm("cut", "giftTransaction")
    unclear = till.gets("pay", 500)
    limit(jung, "cashier", "pay", 10_00)
    held = approvals.request(
        member=till.member,
        key=uuid.uuid4(),
        wish=operations.Wish(verb="pay", card=done.card, amount=Money(20_00, "USD")),
    )
    owner = Member.objects.select_related("merchant", "person").get(person=olivia)
    invitation = invitations.invite(owner, email="mara@example.com", role="marketing")
    vogel, _made = holders.add(
        member=till.member,
        key=uuid.uuid4(),
        details=Details(salutation="ms", last_name="Vogel", email="mara@example.com", language="de", country="DE"),
        agreement=holders.Agreement(purposes=[Purpose.MAILS]),
        card=done.card,
    )
    draft = connecting.start(owner, "cardinquiry")
    typed, secrets = {"base_url": f"{till.sandbox.url}/cardinquiry"}, {"api_key": "nobodys-key-000000000"}
    draft = connecting.keep(owner, draft, typed=typed, secrets=secrets)
    connecting.ask_for_test(owner, draft)
    trials.try_out(draft.pk)
    look_up = balances.open_look_up(
        member=till.member, key=uuid.uuid4(), connection=till.connection, number="914639258868501", client=None
    )
    balances.answer(look_up.pk)
    pause = pauses.begin(till.connection, member=owner, reason="Vogel 4711", expires_at=timezone.now() + timedelta(1))
    holding.resume(pause, member=owner)
    return {
        "merchant": jung.slug,
        "pause": {"pause_report": pause.key},
        "key": {
            "operation": done.key,
            "withdraw": done.key,
            "receipt": done.key,
            "evidence": done.key,
            "attention_case": unclear.key,
            "look_up": look_up.key,
            "card": done.card.key,
            "ask_again": done.card.key,
            "confirm": done.card.key,
            **dict.fromkeys(["resume_connection", "connection", "retire_connection"], till.connection.key),
            **dict.fromkeys(["pause_connection", "pause_report", "connection_health"], till.connection.key),
            **dict.fromkeys(["approval", "withdraw_approval"], held.key),
            **dict.fromkeys(["connect_draft", "connect_test", "discard_draft"], draft.key),
            "change_connection": till.connection.key,
            **dict.fromkeys(["person", "remove_person"], till.member.key),
            **dict.fromkeys(["resend_invitation", "withdraw_invitation"], invitation.key),
            **dict.fromkeys(["customer", "edit_customer", "customer_consent"], vogel.key),
            **dict.fromkeys(["merge_customers", "erase_customer"], vogel.key),
            "card_holder": done.card.key,
        },
    }


def addresses(world: dict[str, Any]) -> Iterator[str]:
    """Every address of ours that answers a GET, filled from the world."""
    from django.urls import reverse

    for pattern in named(get_resolver().url_patterns):
        parts = {}
        for part in pattern.pattern.converters:
            value = world.get(part)
            parts[part] = value.get(pattern.name) if isinstance(value, dict) else value
        if None not in parts.values():
            yield reverse(str(pattern.name), kwargs=parts)


def named(patterns: list[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    """All but the administration's: most of its words are Django's, which our made-up languages do not know."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from () if pattern.namespace else named(pattern.url_patterns)
        elif pattern.name:
            yield pattern


def spoken_names(world: dict[str, Any]) -> set[str]:
    """Words of data: names of people and places, days and months, countries, currencies and zones."""
    english = Locale("en", "GB")
    calendar = [
        name for names in (english.months, english.days) for kind in names["format"].values() for name in kind.values()
    ]
    earth = [
        *english.languages.values(),
        *english.territories.values(),
        *Locale("en").currencies.values(),
        *english.currencies,
        *(Locale("en").languages[code] for code in words.LANGUAGES),
        *available_timezones(),
    ]
    people = ["Bäckerei Jung", "Olivia", "Alice", "example.com", "Markthalle", "Marheinekeplatz", "Mara", "Vogel"]
    return words_of(*NAMES, *calendar, *earth, *people, world["merchant"])


def test_no_page_of_the_staff_says_anything_that_passed_no_catalog(world, signed_in, olivia):
    client = signed_in(olivia)
    known = spoken_names(world)
    found, seen = {}, 0

    for address in addresses(world):
        if "logout" in address or address.endswith("/poster/"):  # which is in the merchant's language
            continue
        answer = client.get(address)
        if answer.streaming or answer.status_code >= 300 or "text/html" not in answer["Content-Type"]:
            continue
        seen += 1
        if told := plain(answer.text, known):
            found[address] = told

    assert found == {}
    assert seen > 10


def test_no_signed_out_page_says_anything_that_passed_no_catalog(world, db):
    known = spoken_names(world)
    found, seen = {}, 0

    for address in addresses(world):
        client = Client(HTTP_HOST="localhost", HTTP_ACCEPT_LANGUAGE="en-XA")
        answer = client.get(address)
        if answer.status_code in (301, 302, 405) or "text/html" not in answer["Content-Type"]:
            continue
        seen += 1
        if told := plain(answer.text, known):
            found[address] = told

    assert found == {}
    assert seen > 3


def test_no_refused_form_says_anything_that_passed_no_catalog(world, signed_in, olivia):
    """Each form of each page, sent as good as empty: its sentences are ours, Django's and allauth's."""
    known = spoken_names(world)
    found, seen = {}, 0

    for address in addresses(world):
        if "logout" in address:
            continue
        olivia.refresh_from_db()  # some of these end her sessions
        answer = signed_in(olivia).post(address, {"x": ""})
        if answer.streaming:  # a file
            continue
        if answer.status_code != 422 and not (answer.status_code == 200 and "error" in answer.text):
            continue
        seen += 1
        if told := plain(answer.text, known):
            found[address] = told

    assert found == {}
    assert seen > 3


def test_from_right_to_left_the_page_says_so(world, signed_in, olivia):
    olivia.language = "ar-xb"
    olivia.save()

    page = signed_in(olivia).get(f"/m/{world['merchant']}/").text

    assert '<html lang="ar-xb" dir="rtl">' in page


def test_a_hard_coded_text_is_found():
    page = '<p>⟦Ŧȧķḗ ~~⟧</p><p>Take it</p><img alt="A card"><code>GET</code><p class="quote">Insufficient funds</p>'

    assert plain(page, {"card"}) == ["Take it"]
    assert plain(page, set()) == ["Take it", "A card"]


def test_pseudo_texts_keep_their_placeholders_and_grow_by_two_fifths():
    text = "Take %(amount)s from {card}."

    made = catalogs.pseudo_text(text)

    assert made.startswith("⟦Ŧȧķḗ %(amount)s ƒřǿḿ {card}.")
    assert made.endswith("⟧")
    assert catalogs.pseudo_text("\nTwo\n") == "\n⟦Ŧẇǿ ~~⟧\n"
    assert len(catalogs.pseudo_text("a" * 100)) >= 140


def test_it_is_not_offered_where_nobody_asked_for_it(settings):
    assert [code for code, _name in settings.LANGUAGES] == ["en", "de"]
