"""The lists of operations and cards: every row once, from either end, narrowed by the address, searched by post."""

import re
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.utils import timezone

from portal import dates, formats
from portal.ledger import clock, listing
from portal.ledger.models import Card, Operation
from tests.ledger.test_finding import referred

OPERATIONS, CARDS = "/m/baeckerei-jung/operations/", "/m/baeckerei-jung/cards/"
OTHER = "914639258868501"
NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)


def rows(answer) -> list[str]:
    """The keys of the rows, in their order."""
    assert answer.status_code == 200, answer.status_code
    return re.findall(r'class="lead"><a href="[^"]*/([0-9a-f-]{36})/"', answer.content.decode())


def links(answer) -> dict[str, str]:
    """Where the page leads on to: prev and next."""
    found = re.findall(r'rel="(prev|next)" href="([^"]*)"', answer.content.decode())
    return {which: url.replace("&amp;", "&") for which, url in found}


def asked(till, count: int, *, at: datetime = NOON, **more) -> list[str]:
    """So many payments of 1, 2, 3 … cents, a minute apart; their keys, newest first."""
    made = []
    for number in range(1, count + 1):
        moment = at + timedelta(minutes=number)
        with clock.set_to(partial(min, moment, moment)):
            made.append(str(till.asks("pay", number, **more).key))
    return made[::-1]


@pytest.fixture
def now(monkeypatch) -> datetime:
    """It stays what it is: no day ends while a test speaks of today."""
    found = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: found)
    return found


@pytest.fixture
def small(monkeypatch):
    """Pages of three rows."""
    monkeypatch.setattr(listing.page, "__kwdefaults__", {"size": 3})


# ---- Pages ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("sort", ["", "oldest"])
def test_every_row_is_shown_once_from_the_first_page_to_the_last_and_back(till, signed_in, olivia, small, sort):
    made = asked(till, 8)
    owner, path = signed_in(olivia), f"{OPERATIONS}?sort={sort}"
    in_order = made[::-1] if sort else made

    pages, backwards = [], []
    answer = owner.get(path)
    while True:
        pages.append(rows(answer))
        if "next" not in links(answer):
            break
        answer = owner.get(links(answer)["next"])
    while "prev" in links(answer):
        answer = owner.get(links(answer)["prev"])
        backwards.append(rows(answer))

    assert pages == [in_order[:3], in_order[3:6], in_order[6:]]
    assert backwards == [in_order[3:6], in_order[:3]]


def test_rows_of_one_moment_keep_their_places(till, signed_in, olivia, small):
    with clock.set_to(lambda: NOON):
        made = [str(till.asks("pay", number).key) for number in range(1, 8)][::-1]
    owner = signed_in(olivia)

    first = owner.get(OPERATIONS)
    second = owner.get(links(first)["next"])
    third = owner.get(links(second)["next"])

    assert [*rows(first), *rows(second), *rows(third)] == made
    assert rows(owner.get(links(second)["prev"])) == made[:3]


def test_a_link_to_a_page_shows_the_same_rows_when_newer_ones_have_come(till, signed_in, olivia, small):
    asked(till, 6)
    owner = signed_in(olivia)
    link = links(owner.get(OPERATIONS))["next"]
    before = rows(owner.get(link))

    asked(till, 2, at=NOON + timedelta(hours=1))

    assert rows(owner.get(link)) == before


def test_going_back_past_the_newest_comes_to_a_whole_first_page(till, signed_in, olivia, small):
    made = asked(till, 5)
    owner = signed_in(olivia)
    second_newest = Operation.objects.get(key=made[1])

    answer = owner.get(f"{OPERATIONS}?before={listing.Place(at=second_newest.asked_at, number=second_newest.pk)}")

    assert rows(answer) == made[:3]
    assert "prev" not in links(answer)


@pytest.mark.parametrize("text", ["", "x", "1-", "-1-1", "9" * 17 + "-1", "1-" + "9" * 19, "1-1-1", "١-١"])
def test_a_place_that_is_none_or_far_away_breaks_nothing(till, signed_in, olivia, text):
    asked(till, 2)
    owner = signed_in(olivia)

    for which in ("after", "before"):
        assert owner.get(OPERATIONS, {which: text}).status_code == 200


# ---- Narrowed -------------------------------------------------------------------------------------------------------
@pytest.fixture
def various(till, olivia, arrange):
    """A payment of 12.50 today by Alice; a refused one; a top-up of 20 at noon of the 20th; points by Olivia."""
    from portal.merchants.models import Member

    made = {"payment": till.gets("pay", 12_50), "refused": till.gets("pay", 900_00)}
    with clock.set_to(lambda: NOON):
        made["top_up"] = till.asks("top_up", 20_00, number=OTHER)
    with arrange():
        boss = Member.objects.select_related("merchant", "person").get(person=olivia)
    alice, till.member = till.member, boss
    made["points"] = till.asks("issue_points", 5)
    till.member = alice
    return {name: str(each.key) for name, each in made.items()}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"payment", "refused", "top_up", "points"}),
        ("?state=refused", {"refused"}),
        ("?state=waiting", {"top_up", "points"}),
        ("?state=done", {"payment"}),
        ("?verb=pay", {"payment", "refused"}),
        ("?verb=pay&state=refused", {"refused"}),
        ("?verb=void", set()),
        ("?when=between&since=2026-11-20&until=2026-11-20", {"top_up"}),
        ("?since=2026-11-20&until=2026-11-20", {"top_up"}),
        ("?until=2026-11-19", set()),
        ("?environment=sandbox", {"payment", "refused", "top_up", "points"}),
        ("?environment=live", set()),
        ("?least=12.50&most=12.50", {"payment"}),
        ("?least=12,51&most=20", {"top_up"}),
        ("?most=20", {"payment", "top_up"}),
        ("?settled=answer", {"payment", "refused"}),
        ("?settled=person", set()),
        ("?who=tillside", set()),
    ],
)
def test_the_address_narrows_the_list(various, signed_in, olivia, query, expected):
    shown = rows(signed_in(olivia).get(OPERATIONS + query))

    assert set(shown) == {various[name] for name in expected}
    assert len(shown) == len(expected)


def test_a_connection_a_person_and_a_till_narrow_it(various, till, signed_in, olivia, alice, paywizard):
    owner = signed_in(olivia)

    assert len(rows(owner.get(f"{OPERATIONS}?connection={paywizard.key}"))) == 4
    assert rows(owner.get(f"{OPERATIONS}?who={olivia.pk}")) == [various["points"]]
    assert len(rows(owner.get(f"{OPERATIONS}?who={alice.pk}"))) == 3


@pytest.mark.parametrize(
    "query",
    [
        *("?state=odd", "?verb=x", "?who=999999999", "?connection=x", "?place=store-1", "?settled=luck", "?sort=x"),
        *("?when=x", "?since=then", "?since=2026-05-07&until=2026-05-01", "?least=1,234", "?least=5&most=4"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field_and_nothing_typed_is_lost(till, signed_in, olivia, query):
    answer = signed_in(olivia).get(OPERATIONS + query)

    assert answer.status_code == 422
    assert b"There is a problem" in answer.content
    if "least=5" in query:
        assert b'value="5"' in answer.content


def test_another_merchants_connection_is_no_choice(till, kauri_shop, signed_in, olivia):
    answer = signed_in(olivia).get(f"{OPERATIONS}?connection={kauri_shop.connection.key}")

    assert answer.status_code == 422
    assert b"Kauri" not in answer.content


def test_the_links_keep_what_was_asked_for(till, signed_in, olivia, small):
    asked(till, 8)
    owner = signed_in(olivia)

    second = owner.get(links(owner.get(f"{OPERATIONS}?verb=pay&most=0.07"))["next"])

    assert "verb=pay" in links(second)["next"]
    assert "most=0.07" in links(second)["prev"]


# ---- Looked for, a piece at a time ----------------------------------------------------------------------------------
def test_what_no_index_holds_is_looked_for_in_pieces_until_all_is_seen(till, signed_in, olivia, monkeypatch):
    monkeypatch.setattr(listing, "WALK", 4)
    with clock.set_to(lambda: NOON):
        oldest = str(till.asks("top_up", 20_00).key)
    asked(till, 10)
    owner = signed_in(olivia)

    answer, looks = owner.get(f"{OPERATIONS}?verb=top_up"), 1
    assert "Nothing like this among the 4 looked through, back to 20 November 2026." in answer.content.decode()
    while not rows(answer):
        answer, looks = owner.get(links(answer)["next"]), looks + 1

    assert rows(answer) == [oldest]
    assert looks == 3
    assert "next" not in links(answer)


# ---- Searched -------------------------------------------------------------------------------------------------------
def test_what_is_searched_for_is_posted_and_found(till, signed_in, olivia):
    made = referred(till.asks("pay", 12_50), provider_reference="STX_77%")
    till.asks("pay", 3_00, number=OTHER)
    owner = signed_in(olivia)

    for typed in (str(made.key), made.key.hex[:8], "STX_77%", "•••• 8500 12,50", "  $12.50 "):
        answer = owner.post(OPERATIONS, {"q": typed})
        assert rows(answer) == [str(made.key)], typed
    assert rows(owner.post(OPERATIONS, {"q": "STX_77_"})) == []
    assert "Nothing was found for “STX_77_”." in owner.post(OPERATIONS, {"q": "STX_77_"}).content.decode()
    assert len(rows(owner.post(OPERATIONS, {"q": " "}))) == 2


def test_a_search_stays_within_what_the_address_says_and_goes_on_by_post(till, signed_in, olivia, small):
    made = asked(till, 5)
    owner = signed_in(olivia)

    first = owner.post(f"{OPERATIONS}?verb=pay", {"q": "8500"})
    [place] = re.findall(r'name="after" value="([^"]+)"', first.content.decode())
    second = owner.post(f"{OPERATIONS}?verb=pay", {"q": "8500", "after": place})

    assert [*rows(first), *rows(second)] == made
    assert rows(owner.post(f"{OPERATIONS}?verb=void", {"q": "8500"})) == []


def test_what_is_searched_for_never_becomes_part_of_an_address(till, signed_in, olivia, small):
    asked(till, 5)

    page = signed_in(olivia).post(OPERATIONS, {"q": "8500"}).content.decode()

    assert all("8500" not in url for url in re.findall(r'(?:href|action)="([^"]*)"', page))


def test_somebody_elses_words_are_text_on_the_page(till, alice, signed_in, olivia, arrange):
    from portal.merchants.models import Person

    till.asks("pay", 1)
    with arrange():
        Person.objects.filter(pk=alice.pk).update(name="<b>Alice</b>")

    page = signed_in(olivia).post(OPERATIONS, {"q": "<i>8500"}).content.decode()
    listed = signed_in(olivia).get(OPERATIONS).content.decode()

    assert "<b>Alice" not in listed
    assert "&lt;b&gt;Alice&lt;/b&gt;" in listed
    assert "<i>8500" not in page


# ---- Empty ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("query", "said", "next_one"),
    [
        ("", "Operations appear here once something is done with a card.", "Go to the desk"),
        ("?verb=void", "Nothing here is like this.", "Show everything"),
        (
            "?since=2026-05-01&until=2026-05-07&verb=pay",
            "Nothing between 1 May 2026 and 7 May 2026 in Europe/Berlin.",
            '<a href="/m/baeckerei-jung/operations/?verb=pay&amp;when=30">Widen to 30 days</a>',
        ),
    ],
)
def test_an_empty_list_says_why_and_what_to_do(jung, signed_in, olivia, query, said, next_one):
    page = signed_in(olivia).get(OPERATIONS + query).content.decode()

    assert said in page
    assert next_one in page


# ---- Cards ----------------------------------------------------------------------------------------------------------
def test_cards_are_listed_narrowed_and_found(till, signed_in, olivia, alice, now):
    card, other = till.card(), till.card(OTHER)
    Card.objects.update(first_seen_at=now)
    Card.objects.filter(pk=card.pk).update(
        balance_minor=30_10, balance_currency="USD", card_status="usable", read_at=now
    )
    owner = signed_in(olivia)

    assert rows(owner.get(CARDS)) == [str(other.key), str(card.key)]
    assert rows(owner.get(f"{CARDS}?sort=oldest")) == [str(card.key), str(other.key)]
    assert rows(owner.get(f"{CARDS}?status=usable&least=30.10")) == [str(card.key)]
    assert rows(owner.get(f"{CARDS}?least=30.11")) == []
    assert rows(owner.get(f"{CARDS}?when=today")) == [str(other.key), str(card.key)]
    assert rows(owner.post(CARDS, {"q": "8501"})) == [str(other.key)]
    assert "30.10" in owner.get(CARDS).content.decode()


def test_a_whole_number_typed_into_the_cards_search_is_not_shown_again(till, signed_in, olivia):
    till.card()

    page = signed_in(olivia).post(CARDS, {"q": "914639258868500"}).content.decode()

    assert "8500" in page
    assert "914639258868500" not in page


def test_who_may_not_open_cards_sees_them_without_a_way_in(till, signed_in, arrange, jung):
    from tests.conftest import make_person

    till.card()
    with arrange():
        ada = make_person("Ada", (jung, "accountant"))

    page = signed_in(ada).get(CARDS).content.decode()

    assert "8500" in page
    assert "/cards/" + str(till.card().key) not in page


# ---- On paper -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", {}),
        ("?sort=oldest", {}),
        ("?state=refused&verb=pay", {"Outcome": "Refused", "What": "Payment"}),
        ("?since=2026-11-20&until=2026-11-22", {"When": "20 November 2026 to 22 November 2026"}),
        ("?since=2026-11-20&until=2026-11-20", {"When": "20 November 2026"}),
        ("?since=2026-11-20", {"When": "since 20 November 2026"}),
        ("?until=2026-11-20", {"When": "until 20 November 2026"}),
        ("?when=between", {}),
        ("?environment=live&who=tillside", {"Environment": "live", "Asked by": "Tillside"}),
        ("?least=12.50", {"Amount from": "12.50"}),
    ],
)
def test_paper_says_in_words_what_a_list_is_narrowed_to(till, signed_in, olivia, query, said):
    till.asks("pay", 1)

    page = signed_in(olivia).get(f"{OPERATIONS}{query}").content.decode()

    assert dict(re.findall("<div><dt>(.*?)</dt> <dd>(.*?)</dd></div>", page)) == said


def test_paper_says_of_a_moving_period_which_days_it_meant(till, signed_in, olivia, now):
    """The paper is still there when the period has moved on."""
    with timezone.override("Europe/Berlin"):
        today = dates.today()

    page = signed_in(olivia).get(f"{CARDS}?when=7").content.decode()

    days = f"{formats.day(today - timedelta(days=6))} to {formats.day(today)}"
    assert f"<dt>First seen</dt> <dd>{days}</dd>" in page


def test_paper_says_that_the_list_has_more_rows_than_it(till, signed_in, olivia, small):
    asked(till, 4)
    owner = signed_in(olivia)

    first = owner.get(OPERATIONS)

    assert "A part of the list: 3 of its rows." in first.content.decode()
    assert "A part of the list: 1 of its rows." in owner.get(links(first)["next"]).content.decode()
    assert "A part of the list" not in owner.get(f"{OPERATIONS}?most=0.02").content.decode()


# ---- And back -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("came", ["?verb=pay&after=1-1", ""])
def test_an_operation_leads_back_to_the_list_one_came_from(till, signed_in, olivia, came):
    made = till.asks("pay", 1)

    answer = signed_in(olivia).get(
        f"{OPERATIONS}{made.key}/", headers={"Referer": f"http://localhost{OPERATIONS}{came}"}
    )

    assert f'<a href="{OPERATIONS}{came.replace("&", "&amp;")}">Back to the list</a>' in answer.content.decode()


def test_a_card_leads_back_to_the_list_of_cards(till, signed_in, alice):
    key = till.card().key

    answer = signed_in(alice).get(f"{CARDS}{key}/", headers={"Referer": f"http://localhost{CARDS}?status=empty"})

    assert f'<a href="{CARDS}?status=empty">Back to the list</a>' in answer.content.decode()


@pytest.mark.parametrize(
    "came", ["http://evil.example/m/baeckerei-jung/operations/?x", "http://localhost/m/baeckerei-jung/", "", "//[x"]
)
def test_from_anywhere_else_no_way_back_is_made_up(till, signed_in, olivia, came):
    made = till.asks("pay", 1)

    answer = signed_in(olivia).get(f"{OPERATIONS}{made.key}/", headers={"Referer": came})

    assert "Back to the list" not in answer.content.decode()


# ---- Sizes ----------------------------------------------------------------------------------------------------------
def test_counts_stop_where_nobody_reads_further(till, signed_in, olivia, monkeypatch):
    asked(till, 4)
    monkeypatch.setattr(listing, "COUNTED", 3)
    monkeypatch.setattr("portal.ledger.list_words.COUNTED", 3)
    owner = signed_in(olivia)

    assert "3+ in all" in owner.get(OPERATIONS).content.decode()
    assert "2 in all" in owner.get(f"{OPERATIONS}?most=0.02").content.decode()


@pytest.mark.parametrize(("sort", "said"), [("", "2 among the latest 3"), ("oldest", "2 among the oldest 3")])
def test_a_count_of_those_looked_through_says_from_which_end(till, signed_in, olivia, monkeypatch, small, sort, said):
    asked(till, 8)
    for place in ("portal.ledger.listing.WALK", "portal.ledger.list_words.WALK"):
        monkeypatch.setattr(place, 3)
    least, most = ("0.06", "0.07") if not sort else ("0.02", "0.03")

    page = signed_in(olivia).get(f"{OPERATIONS}?sort={sort}&least={least}&most={most}").content.decode()

    assert said in page
