"""The public page: who may, who may not, what if it is not there, and that nothing tells one bad card from another."""

import re
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery
from django.contrib.staticfiles import finders
from django.db import connections, transaction
from django.db.models import F
from django.test import Client
from django.test.client import ClientHandler
from django.utils import timezone

from portal import formats
from portal.connectors.base import BalanceRequest, Reading
from portal.ledger import balances, wake
from portal.ledger.models import Inquiry, inquiry_writer
from portal.merchants import switches, tenancy
from portal.merchants.models import Connection, Scope
from portal.shopper import deciding, known, limits, proof, tries, views
from portal.shopper.models import Outcome, Try
from tests.shopper.conftest import CARD, PIN, many, write

PAGE = "/b/baeckerei-jung/"
NEGATIVE = "We could not show a balance for these details."


# One for all browsers: each of its own would look through all static files.
SITE = ClientHandler(enforce_csrf_checks=False)


class Browser:
    """A shopper's browser without a script: what the script does stands here."""

    def __init__(self, address: str = "198.51.100.7", **headers: str) -> None:
        self.client = Client(HTTP_HOST="localhost", REMOTE_ADDR=address, **headers)
        self.client.handler = SITE

    def opens(self, path: str = PAGE):
        return self.client.get(path)

    def sends(self, number: str = CARD, pin: str = PIN, **more: str):
        form = self.opens().text
        return self.client.post(PAGE, {"number": number, "pin": pin, **proved(form), **more})

    def looks_up(self, number: str = CARD, pin: str = PIN):
        """The page of the answer, when the grid lets it be seen."""
        sent = self.sends(number, pin)
        assert sent.status_code == 303, sent.text
        work()
        grid_comes()
        return self.client.get(sent["Location"])


def proved(html: str) -> dict[str, str]:
    """The token of the page's challenge, and its solution."""
    token, nonce = first('name="token" value="([^"]+)"', html), first('data-nonce="([0-9a-f]{32})"', html)
    threshold = int(first('data-threshold="([0-9]+)"', html))
    challenge = proof.Challenge(token=token, nonce=uuid.UUID(nonce), times=1, threshold=threshold)
    return {"token": token, "solution": proof.solve(challenge)}


def first(pattern: str, html: str) -> str:
    """What the pattern's group holds where it matches first."""
    [found, *_] = re.findall(pattern, html, re.DOTALL)
    return str(found)


def work() -> None:
    """What workers do."""
    with tenancy.every_merchant("a test arranges its rows"):
        waiting = list(Inquiry.objects.filter(state="waiting").values_list("pk", flat=True))
    for pk in waiting:
        balances.answer(pk)


def grid_comes(seconds: float = 12) -> None:
    """Let so much time pass for what is under way."""
    with tenancy.every_merchant("a test arranges its rows"):
        write(None, asked_at=F("asked_at") - timedelta(seconds=seconds))
        before = inquiry_writer._open.set(True)
        Inquiry.objects.update(ended_at=F("ended_at") - timedelta(seconds=seconds))
        inquiry_writer._open.reset(before)


@pytest.fixture
def roomy(settings):
    """Limits on addresses that many tries of one test do not meet."""
    settings.SHOPPER_ADDRESS_MINUTE = settings.SHOPPER_ADDRESS_HOUR = settings.SHOPPER_ADDRESS_DAY = 10_000
    settings.SHOPPER_NETWORK_HOUR = settings.SHOPPER_PIN_CARDS = settings.SHOPPERS_WAITING = 10_000


# ---- The page ---------------------------------------------------------------------------------------------------
def test_a_balance_from_the_form_to_the_answer(page):
    answer = Browser().looks_up()

    assert answer.status_code == 200
    assert "€25.50" in answer.text
    assert 'data-spoken="The balance is €25.50. Valid until' in answer.text
    assert CARD not in answer.text
    assert PIN not in re.sub("[0-9a-f]{32}|threshold=.[0-9]+", "", answer.text.split("<main", 1)[1])


def test_an_answer_is_not_seen_before_the_grid_comes(page):
    browser = Browser()
    sent = browser.sends()
    work()

    early = browser.client.get(sent["Location"])

    assert 'data-state="pending"' in early.text
    assert "25.50" not in early.text
    assert 0 < int(first('data-next-ms="([0-9]+)"', early.text)) <= 1520
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in early.text


def test_nobody_else_sees_the_answer(page):
    browser = Browser()
    sent = browser.sends()
    work()
    grid_comes()

    other = Browser().client.get(sent["Location"])

    assert (other.status_code, other["Location"]) == (302, PAGE)


def test_after_some_minutes_a_balance_is_no_longer_shown(page):
    browser = Browser()
    sent = browser.sends()
    work()
    grid_comes(400)

    late = browser.client.get(sent["Location"])

    assert "25.50" not in late.text
    assert "This answer is no longer shown." in late.text


def test_there_is_no_page_where_none_was_opened(page, owner):
    unknown = Browser().opens("/b/no-such-shop/")
    deciding.change(owner, {"is_open": False})
    closed = Browser().opens()

    assert unknown.status_code == closed.status_code == 404


def test_without_a_connection_for_shoppers_the_page_is_closed(page, connection):
    Connection.objects.filter(pk=connection.pk).update(public_use=False)

    answer = Browser().opens()

    assert answer.status_code == 503
    assert "Call 030 1234567." in answer.text


@pytest.mark.parametrize("name", ["number", "PIN", "pass", "card"])
def test_what_belongs_into_the_form_is_refused_in_an_address_and_not_repeated(page, name):
    answer = Browser().opens(f"{PAGE}?{name}=628039-CANARY")

    assert answer.status_code == 400
    assert "CANARY" not in answer.text


def test_the_page_is_kept_by_nobody_and_framed_by_nobody(page):
    for answer in (Browser().opens(), Browser().looks_up()):
        assert answer["Cache-Control"] == "no-store, private"
        # Not "no-referrer": a form would then be sent with "Origin: null", which the check of its token refuses.
        assert answer["Referrer-Policy"] == "same-origin"
        assert answer["X-Robots-Tag"] == "noindex"
        assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]


def test_without_scripts_the_page_explains_itself_and_says_whom_to_ask(page):
    text = Browser().opens().text
    explained = first("<noscript>(.*?)</noscript>", text)

    assert "it needs JavaScript" in explained
    assert "Call 030 1234567." in explained


def test_the_first_visit_sets_no_cookie_but_the_forms_own(page):
    assert set(Browser().opens().cookies) <= {"tillside_csrf"}


def test_a_form_without_proof_asks_nobody(page):
    browser = Browser()
    answer = browser.sends(solution="")

    assert answer.status_code == 422
    assert "did not finish its calculation" in answer.text
    assert not Try.objects.exists()
    assert CARD not in answer.text


def test_a_form_is_no_use_without_its_token(page):
    browser = Browser()
    browser.client.handler = ClientHandler(enforce_csrf_checks=True)

    assert browser.sends().status_code == 403


@pytest.mark.parametrize(
    ("number", "pin", "said"),
    [
        ("", PIN, "Type the number of the card."),
        ("12345", PIN, "Type the whole number of the card."),
        ("../../Sales", PIN, "only letters A to Z, digits and hyphens"),
        (CARD, "", "Type the PIN or password printed on the card."),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(page, number, pin, said):
    answer = Browser().sends(number, pin)

    assert answer.status_code == 422
    assert said in answer.text


def test_the_end_of_a_number_does_where_the_merchant_lets_it(page, owner):
    deciding.change(owner, {"last_digits": 5, "in_sequence": False})

    assert "€42.00" in Browser().looks_up("12345").text


def test_the_whole_number_is_asked_for_and_the_pin_kept(page, owner):
    deciding.change(owner, {"last_digits": 5, "in_sequence": False})
    browser = Browser()
    sent = browser.sends("00005")
    work()
    grid_comes()
    asked = browser.client.get(sent["Location"])
    assert "Please type the whole number." in asked.text

    other = browser.client.post(sent["Location"], {"number": "6280390000012345"})
    assert other.status_code == 422
    assert "Type the whole number of the same card." in other.text
    browser.client.post(sent["Location"], {"number": "6280390000000005"})
    work()
    grid_comes()

    assert "€12.50" in browser.client.get(sent["Location"]).text


def test_the_first_page_asks_the_database_once_and_is_each_visitors_own(page, owner, django_assert_num_queries):
    Browser().opens()
    with django_assert_num_queries(1):
        one = Browser().opens()
    other = Browser().opens()

    tokens = [first('name="token" value="([^"]+)"', answer.text) for answer in (one, other)]
    assert len(set(tokens)) == 2
    assert one.cookies["tillside_csrf"].value != other.cookies["tillside_csrf"].value
    assert bare(one) == bare(other)


def test_what_a_merchant_changes_is_on_the_page_at_once(page, owner, connection):
    assert "Call 030 1234567." in Browser().opens().text
    deciding.change(owner, {"contact": "Ask Olivia.", "last_digits": 5, "in_sequence": False})
    changed = Browser().opens().text
    german = Browser(HTTP_ACCEPT_LANGUAGE="de").opens().text
    Connection.objects.filter(pk=connection.pk).update(name="Cards of paper", environment="live")

    assert "Ask Olivia." in changed
    assert "its last 5 characters" in changed
    assert 'lang="de"' in german
    assert "deren letzte 5 Zeichen" in german
    assert "sandbox-band" in changed
    assert "sandbox-band" not in Browser().opens().text


def bare(answer) -> str:
    """A page without what is each visitor's own."""
    return re.sub(r'value="[^"]{40,}"|data-nonce="[0-9a-f]{32}"', "…", answer.text)


# ---- Uniformity ---------------------------------------------------------------------------------------------------
def test_what_is_wrong_with_a_card_cannot_be_told_from_the_answer(page, roomy, owner, settings):
    """Twenty of each class: the same statuses, headers and cookies, on every step, and bodies of one length."""
    deciding.change(owner, {"in_sequence": False})  # a budget that this does not use up
    settings.SHOPPER_CARD_QUARTER = settings.SHOPPER_CARD_DAY = settings.SHOPPER_CARD_MONTH = 25
    classes = {
        "unknown": lambda n: (f"62803900000{50000 + n}", PIN),
        "wrong PIN": lambda n: (CARD, f"{8000 + n}"),
        "near miss": lambda n: ("6280390000012345", "1243"),
        "refused by the provider": lambda n: ("6280390000000030", PIN),
        "not there": lambda n: ("6280390000000018", PIN),
        "two cards": lambda n: ("6280390000000006", PIN),
        "expired long ago": lambda n: ("6280390000099999", PIN),
        "disabled, and not found": lambda n: ("6280390000000038", PIN),
        "disabled, in a word nobody documented": lambda n: ("6280390000000007", PIN),
        "disabled, in an error packet": lambda n: ("6280390000000008", PIN),
    }
    addresses = iter(many(400))
    seen = {name: look(page, addresses, [typing(n) for n in range(20)]) for name, typing in classes.items()}
    settings.SHOPPER_CARD_QUARTER = 1
    seen["silenced"] = look(page, addresses, [(CARD, PIN)] * 20)

    assert Try.objects.filter(outcome=Outcome.SILENCED).count() == 20
    assert len(set.union(*seen.values())) == 1, seen


def look(page, addresses: Iterator[str], typed: list[tuple[str, str]]) -> set[object]:
    """Everything of both answers to each that a stranger can compare: statuses, headers, cookies, the page but for
    what is random, and its length."""
    sent = []
    for number, pin in typed:
        browser = Browser(next(addresses))
        challenge = proof.issue(tries.place(page), times=1, at=tries._patiently())
        proven = {"token": challenge.token, "solution": proof.solve(challenge)}
        sent.append((browser.client.post(PAGE, {"number": number, "pin": pin, **proven}), browser))
    work()
    grid_comes()
    seen: set[object] = set()
    for first_answer, browser in sent:
        answer = browser.client.get(first_answer["Location"])
        assert NEGATIVE in answer.text
        seen.add((essence(first_answer), essence(answer)))
    return seen


def essence(answer) -> object:
    headers = {name: value for name, value in answer.headers.items() if name not in ("X-Request-ID", "Location")}
    cookies = {name: len(each.value) for name, each in answer.cookies.items()}
    text = re.sub(r"[0-9A-Za-z]{64}|Reference [0-9A-Z]{4}-[0-9A-Z]{4}", "…", answer.text)
    return answer.status_code, str(headers), str(cookies), len(answer.content), text


def test_provider_trouble_says_the_money_is_safe(page, sandbox):
    sandbox.arm("timeout_before", seconds=0)

    assert "Your money is safe." in Browser().looks_up("6280390000000019").text


# ---- Limits, as a shopper sees them ---------------------------------------------------------------------------------
def test_too_many_tries_wait_a_minute(page):
    for _ in range(5):
        Browser().sends()

    answer = Browser().sends()

    assert (answer.status_code, answer["Retry-After"]) == (429, "60")
    assert "Please wait a minute." in answer.text


def test_more_proof_is_asked_for_on_the_answers_page(page, settings):
    settings.SHOPPER_NETWORK_HOUR = 0
    browser = Browser()
    sent = browser.sends()
    held = browser.client.get(sent["Location"])
    assert 'data-state="proof"' in held.text

    browser.client.post(sent["Location"], proved(held.text))
    work()
    grid_comes()

    assert "€25.50" in browser.client.get(sent["Location"]).text


def test_a_try_that_was_held_is_begun_anew_once_ends_of_numbers_will_not_do(page, owner, settings, monkeypatch):
    deciding.change(owner, {"last_digits": 5, "in_sequence": False})
    settings.SHOPPER_NETWORK_HOUR = 0
    browser = Browser()
    sent = browser.sends("00001")
    held = browser.client.get(sent["Location"])
    monkeypatch.setattr(limits, "STEP_UP_SHARE", 0)

    asked = browser.client.post(sent["Location"], proved(held.text))

    assert asked.status_code == 422
    assert "Type the whole number of the card." in asked.text
    assert "Type the PIN" not in asked.text
    assert not Try.objects.exclude(outcome=Outcome.HELD).exists()


def test_the_browser_that_saw_a_balance_knows_the_card(page):
    browser = Browser()
    browser.looks_up()
    for address in many(6):
        Browser(address).looks_up(CARD, "9999")
    assert NEGATIVE in Browser("21.0.0.1").looks_up().text

    assert known.COOKIE in browser.client.cookies
    assert "€25.50" in browser.looks_up().text
    assert CARD[-4:] not in browser.client.cookies[known.COOKIE].value


def test_a_slow_database_closes_the_page_from_the_first_question_to_the_last(for_good, settings):
    """Somebody holds the table of pages; then only this page's row, which a try has to hold."""
    settings.SHOPPER_PATIENCE_MS = 1000  # what is not held up is through by then, on a busy machine too
    browser, shop = Browser(), f"/b/{for_good.page.merchant.slug}/"
    form = browser.opens(shop).text
    typed = {"number": CARD, "pin": PIN, **proved(form)}
    began = time.monotonic()

    with transaction.atomic("owner"), connections["owner"].cursor() as held:
        held.execute("LOCK TABLE shopper_balancepage IN ACCESS EXCLUSIVE MODE")
        answers = [browser.opens(shop), browser.client.post(shop, typed)]
    with transaction.atomic("owner"), connections["owner"].cursor() as held:
        held.execute("SET LOCAL tillside.every = 'on'")
        held.execute("SELECT FROM shopper_balancepage WHERE id = %s FOR UPDATE", [for_good.page.pk])
        assert browser.opens(shop).status_code == 200
        answers.append(browser.client.post(shop, typed))

    assert [answer.status_code for answer in answers] == [503] * 3
    assert all("Your money is safe." in answer.text for answer in answers)
    assert time.monotonic() - began < 30  # the table is held for as long as this waits
    assert not Try.objects.exists()


def test_limits_hold_and_no_question_is_lost_while_the_broker_is_away(
    page, settings, monkeypatch, caplog, django_capture_on_commit_callbacks
):
    """Limits are counted in PostgreSQL; a worker finds by its sweep what no message told it of."""
    nobody_listens = Celery(broker="redis://127.0.0.1:1/0", set_as_current=False)
    monkeypatch.setattr(wake, "current_app", nobody_listens)
    settings.SWEEP_SECONDS = 0
    browser = Browser()

    with django_capture_on_commit_callbacks(execute=True):
        sent = [browser.sends() for _ in range(6)]
    assert caplog.text.count("The broker is away") == 5
    for pk in balances.sweep():
        balances.answer(pk)
    grid_comes()

    assert [answer.status_code for answer in sent] == [303] * 5 + [429]
    assert all("€25.50" in browser.client.get(answer["Location"]).text for answer in sent[:5])


def test_an_administrator_switches_the_page_off_for_everybody(page, olivia, arrange):
    with arrange():
        switches.throw(olivia, scope=Scope.PUBLIC_PAGE, reason="Under attack", banner="Closed for now.")

    answer = Browser().opens()

    assert answer.status_code == 503
    assert "No balance can be shown here at the moment." in answer.text
    assert "card system" not in answer.text  # which has nothing to do with it
    assert "number" not in re.findall('name="([a-z]+)"', answer.text)


def test_one_merchants_page_is_switched_off_alone_and_its_people_are_told(page, olivia, arrange, kauri, signed_in):
    """Who closed it, since when, until when, and what they say; the reason is the administrators' own."""
    settings_page = "/m/baeckerei-jung/settings/balance-page/"
    with arrange():
        switches.throw(olivia, scope=Scope.PUBLIC_PAGE, merchant=kauri, reason="Under attack", banner="Wait.")
    assert Browser().opens().status_code == 200
    assert '<span class="outcome outcome-done">Open</span>' in signed_in(olivia).get(settings_page).text
    until = timezone.now() + timedelta(hours=2)
    with arrange():
        thrown = switches.throw(
            olivia,
            scope=Scope.PUBLIC_PAGE,
            merchant=page.merchant,
            reason="Under attack",
            banner="Closed for now.",
            expires_at=until,
        )
        thrown.refresh_from_db()

    assert Browser().opens().status_code == 503
    told = signed_in(olivia).get(settings_page).text
    with timezone.override(page.merchant.time_zone), formats.at_home_in(page.merchant.country):
        since, until_text = formats.moment(thrown.thrown_at), formats.moment(until)
    assert f'<span class="outcome outcome-refused">Closed by the administrator since {since}.</span>' in told
    assert f"“Closed for now.” It opens again by itself: {until_text}." in told
    assert "Under attack" not in told
    assert ">Open</span>" not in told


def test_an_address_that_cannot_be_told_is_not_let_in(page, settings):
    settings.TRUSTED_PROXY_COUNT = 2
    answer = Browser(HTTP_X_FORWARDED_FOR="198.51.100.1").sends()

    assert answer.status_code == 503
    assert not Try.objects.exists()


@pytest.mark.parametrize(
    "spoofed",
    ["1.1.1.1, 198.51.100.7", "2.2.2.2,3.3.3.3, 198.51.100.7:4711", "garbage, 198.51.100.7", "::1, 198.51.100.7"],
)
def test_a_spoofed_address_changes_nothing(page, settings, spoofed):
    settings.TRUSTED_PROXY_COUNT = 1
    for _ in range(5):
        Browser("10.0.0.1", HTTP_X_FORWARDED_FOR="198.51.100.7").sends()

    assert Browser("10.0.0.1", HTTP_X_FORWARDED_FOR=spoofed).sends().status_code == 429


# ---- What the provider gets -----------------------------------------------------------------------------------------
def test_browser_and_address_go_along_sealed_and_without_our_cookies(page, monkeypatch):
    asked: list[BalanceRequest] = []
    real = balances.connect

    def watching(*args, **more):
        connector = real(*args, **more)
        ask = connector.balance

        def asks(request: BalanceRequest) -> Reading:
            asked.append(request)
            return ask(request)

        monkeypatch.setattr(connector, "balance", asks)
        return connector

    monkeypatch.setattr(balances, "connect", watching)
    browser = Browser(HTTP_USER_AGENT="A telephone", HTTP_COOKIE="tillside_session=x", HTTP_X_CSRFTOKEN="token")
    browser.looks_up()

    assert "address and browser details are passed to the card company" in Browser().opens().text
    client = asked[0].client
    assert client.address == "198.51.100.7"
    assert ("User-Agent", "A telephone") in client.headers
    assert not {"cookie", "x-csrftoken", "referer"} & {name.lower() for name, _ in client.headers}
    assert Inquiry.objects.get().sealed_client is None


def test_the_whole_page_weighs_less_than_a_hundred_kilobytes(page):
    files = ("css/tillside.css", "js/balance.js", "js/proof.js")
    weight = sum(Path(str(finders.find(name))).stat().st_size for name in files)

    assert weight + len(Browser().opens().content) < 100_000
    assert views.COOKIE not in Browser().opens().cookies


@pytest.mark.parametrize("path", ["style.css", "logo"])
def test_colour_and_logo_are_there_for_everybody(page, owner, path):
    png = b"\x89PNG\r\n\x1a\n" + b"0" * 20
    deciding.change(owner, {"colour": "#7a1f3d"}, logo=png)

    answer = Browser().opens(PAGE + path)

    assert answer.status_code == 200
    assert answer.content == png if path == "logo" else "--accent: light-dark(#7a1f3d" in answer.text
