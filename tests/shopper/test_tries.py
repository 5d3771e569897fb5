"""Tries at the public page: who is asked about, who is not, and what the database keeps of it."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, connections, transaction
from django.db import connection as database
from django.db.models import F
from django.db.models.functions import Now

from portal.ledger import balances
from portal.ledger.models import Card, Inquiry, State
from portal.merchants import pauses, switches, tenancy
from portal.merchants.connections import NotNow
from portal.merchants.models import AuditEntry, Connection, Member, Scope
from portal.shopper import deciding, fingerprints, known, limits, proof, tries, words
from portal.shopper.models import BalancePage, Outcome, Try
from tests.conftest import make_person
from tests.shopper.conftest import CARD, PIN, look_up_of, many, write

WRONG = "9999"


# ---- What becomes of a try --------------------------------------------------------------------------------------
def test_the_right_details_show_the_balance_and_nothing_of_the_holder(somebody):
    made = somebody().tries()
    look_up = look_up_of(made)

    assert made.outcome == Outcome.FOUND
    assert (look_up.balance_minor, look_up.balance_currency) == (2550, "EUR")
    assert (look_up.holder, look_up.description, look_up.sealed_usage_token) == ({}, "", None)


def test_what_was_typed_is_erased_when_it_ended(somebody):
    look_up = look_up_of(somebody().tries(pin=WRONG))

    assert (look_up.sealed_number, look_up.sealed_pin, look_up.sealed_client) == (None, None, None)


@pytest.mark.parametrize(
    ("number", "pin", "outcome"),
    [
        (CARD, WRONG, Outcome.REFUSED),
        (CARD, "1243", Outcome.REFUSED),  # a near miss: staff get a hint, the public does not
        ("6280390000088888", PIN, Outcome.REFUSED),
        ("6280390000099999", PIN, Outcome.REFUSED),  # expired long ago
        ("6280390000000030", PIN, Outcome.REFUSED),  # 400
        ("6280390000000018", PIN, Outcome.REFUSED),  # 404
        ("6280390000000002", PIN, Outcome.FOUND),  # empty
        ("6280390000000003", PIN, Outcome.FOUND),  # expired yesterday
        ("6280390000000006", PIN, Outcome.REFUSED),  # two records for a whole number
        ("6280390000000038", PIN, Outcome.REFUSED),  # closed by the retailer
        ("6280390000000007", PIN, Outcome.REFUSED),  # a status nobody knows is about the card
        ("6280390000000010", PIN, Outcome.TROUBLE),  # 429
        ("6280390000000019", PIN, Outcome.TROUBLE),  # 503
    ],
)
def test_how_tries_end(somebody, number, pin, outcome):
    assert somebody().tries(number, pin).outcome == outcome


def test_a_guess_makes_no_card_and_changes_none_that_is_there(somebody, connection):
    somebody().tries()
    somebody().tries(pin=WRONG)

    assert not Card.objects.exists()


def test_the_provider_is_asked_once_for_each_try(somebody, sandbox):
    asked = effects(sandbox)
    look_up = look_up_of(somebody().tries())
    balances.answer(look_up.pk)  # a second wake-up

    assert effects(sandbox) == asked + 1


def test_an_end_that_does_not_do_asks_for_the_whole_number_and_keeps_the_pin(somebody, page):
    shopper = somebody()
    made = shopper.tries("00005", whole=False)
    look_up = look_up_of(made)
    assert (look_up.state, made.outcome) == (State.WANTS_NUMBER, Outcome.ASKED)

    tries.give_number(made, look_up, number="6280390000000005")
    balances.answer(look_up.pk)
    tries.settle(made)

    assert made.outcome == Outcome.FOUND


# ---- Each proof once --------------------------------------------------------------------------------------------
def test_a_proof_is_taken_once(somebody):
    shopper = somebody()
    challenge = shopper.challenge()
    shopper.asks(challenge=challenge)

    with pytest.raises(proof.NoProof, match="used"):
        shopper.asks(challenge=challenge)
    assert Try.objects.count() == Inquiry.objects.count() == 1


def test_a_proof_solved_for_fifty_presses_at_once_is_taken_once(for_good, settings):
    settings.SHOPPER_ADDRESS_MINUTE = settings.SHOPPER_ADDRESS_HOUR = settings.SHOPPER_WAITING = 1000
    shopper = for_good
    challenge = shopper.challenge()
    solution = proof.solve(challenge)

    def press(_number: int) -> str:
        try:
            with tenancy.merchant(shopper.page.merchant_id):
                shopper.asks(challenge=challenge, solution=solution)
        except proof.NoProof as refused:
            return refused.why
        finally:
            connections["default"].close()
        return "taken"

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(press, range(50)))

    assert sorted(set(said)) == ["taken", "used"]
    assert said.count("taken") == 1


# ---- Limits -----------------------------------------------------------------------------------------------------
def test_an_address_has_five_tries_a_minute(somebody):
    shopper = somebody()
    for _ in range(5):
        shopper.tries()

    with pytest.raises(limits.TooMany) as said:
        shopper.asks()
    assert said.value.seconds == 60
    assert somebody("198.51.100.8").tries().outcome == Outcome.FOUND


def test_after_a_minute_the_address_may_try_again_and_after_twenty_waits_an_hour(somebody):
    shopper = somebody()
    for _ in range(4):
        for _ in range(5):
            shopper.tries()
        age(timedelta(seconds=61))

    with pytest.raises(limits.TooMany) as said:
        shopper.asks()
    assert said.value.seconds == 3600
    age(timedelta(hours=1))
    assert shopper.tries().outcome == Outcome.FOUND


def test_hopping_within_one_ipv6_household_is_one_address(somebody):
    for hop in range(5):
        somebody(f"2001:db8:1:2::{hop}").tries()

    with pytest.raises(limits.TooMany):
        somebody("2001:db8:1:2:abcd::1").asks()


def test_a_busy_network_pays_with_work_and_is_not_shut_out(somebody, settings):
    settings.SHOPPER_NETWORK_HOUR = 6
    for host in range(6):
        somebody(f"203.0.113.{host}").tries()

    made = somebody("203.0.113.77").asks()

    assert (made.outcome, made.times, look_up_of(made).state) == (Outcome.HELD, limits.NETWORK_TIMES, State.HELD)
    harder = proof.issue(tries.place(made_page(made), made), times=made.times, at=tries._patiently())
    assert tries.prove(made_page(made), made, token=harder.token, solution=proof.solve(harder))
    assert look_up_of(made).state == State.WAITING


def test_less_work_than_was_asked_lets_nobody_go(somebody, settings):
    settings.SHOPPER_NETWORK_HOUR = 1
    somebody().tries()
    made = somebody("198.51.100.8").asks()
    easy = proof.issue(tries.place(made_page(made), made), times=1, at=tries._patiently())
    elsewhere = proof.issue(tries.place(made_page(made)), times=16, at=tries._patiently())

    for challenge in (easy, elsewhere):
        with pytest.raises(proof.NoProof):
            tries.prove(made_page(made), made, token=challenge.token, solution=proof.solve(challenge))
    assert look_up_of(made).state == State.HELD


def test_a_silenced_card_asks_for_as_much_work_as_any_other(somebody, settings, page):
    """Else nobody who is spared it would need to wait for an answer to know."""
    for address in many(5):
        somebody(address).tries(CARD, WRONG)
    settings.SHOPPER_NETWORK_HOUR = 0
    made = somebody("21.0.0.1").asks()
    assert (made.outcome, made.times) == (Outcome.HELD, limits.NETWORK_TIMES)

    assert proves(page, made)

    assert Try.objects.get(pk=made.pk).outcome == Outcome.SILENCED
    balances.answer(look_up_of(made).pk)
    assert look_up_of(made) is None


def test_one_pin_over_many_cards_pays_with_work(somebody, settings):
    settings.SHOPPER_PIN_CARDS = 5
    for number, address in enumerate(many(5)):
        somebody(address).tries(f"62803900000{70000 + number}", "7777")

    assert somebody("21.0.0.1").asks("6280390000070009", "7777").times == limits.PIN_TIMES
    assert somebody("21.0.1.1").asks("6280390000070010", "7778").outcome == Outcome.ASKED


def test_a_card_is_silent_after_five_wrong_tries_whatever_is_typed_before_its_end(somebody):
    for number, address in zip(["6280390000000001", "9990390000000001"] * 3, many(5), strict=False):
        assert somebody(address).tries(number, WRONG).outcome == Outcome.REFUSED

    made = somebody("21.0.0.1").tries(CARD, PIN)

    assert made.outcome == Outcome.SILENCED
    assert look_up_of(made) is None


def test_a_silenced_try_is_written_like_any_other_never_asked_and_erased_by_the_worker_it_wakes(somebody, sandbox):
    for address in many(5):
        somebody(address).tries(CARD, WRONG)
    asked = effects(sandbox)
    made = somebody("21.0.0.1").asks()
    look_up = look_up_of(made)
    assert (made.outcome, look_up.state, look_up.sealed_number is None) == (Outcome.SILENCED, State.HELD, False)

    balances.answer(look_up.pk)

    assert look_up_of(made) is None
    assert effects(sandbox) == asked


def test_a_silenced_try_is_seen_when_one_that_was_asked_is(somebody):
    """Its answer takes as long as one of the latest did, so that a provider slower than the grid tells nothing."""
    for address in many(5):
        write(somebody(address).tries(CARD, WRONG), took_ms=2_700)

    made = somebody("21.0.0.1").tries(CARD, PIN)

    assert (made.outcome, made.took_ms, made.step_ms) == (Outcome.SILENCED, 2_700, 2_700)
    seen = timedelta(milliseconds=2_700)
    assert words.view(made, None, now=made.asked_at + seen - timedelta(milliseconds=1)).state == "pending"
    assert words.view(made, None, now=made.asked_at + seen).state == "refused"
    write(made, step_ms=500)
    made.refresh_from_db()
    assert words.view(made, None, now=made.asked_at + timedelta(seconds=2.5)).state == "pending"


def test_a_month_of_patience_finds_no_pin(somebody, settings):
    """Thirty wrong tries in thirty days, however they are spread: 0.3 % of the PINs of four digits."""
    settings.SHOPPER_ADDRESS_DAY = 1000
    asked = 0
    for day in range(29):
        for number, address in enumerate(many(6, start=day * 6)):
            asked += somebody(address).tries(CARD, f"{7000 + number}").outcome == Outcome.REFUSED
        age(timedelta(days=1))
        if asked >= 30:
            break
    assert asked == 30
    assert somebody("21.0.0.1").tries(CARD, PIN).outcome == Outcome.SILENCED


def test_the_owners_browser_goes_on_while_strangers_burn_the_card(somebody, page, rf):
    first = somebody()
    made = first.tries()
    browser = remembered(rf, page, made)
    for address in many(6):
        somebody(address).tries(CARD, WRONG)
    assert somebody("21.0.0.1").tries().outcome == Outcome.SILENCED

    owners = known.browser(browser, page.merchant_id, fingerprints.of_card(page.merchant_id, CARD))

    assert somebody("21.0.1.1", known=owners).tries().outcome == Outcome.FOUND
    assert known.browser(browser, page.merchant_id, fingerprints.of_card(page.merchant_id, "6280390000000002")) is None
    assert known.browser(browser, page.merchant_id + 1, fingerprints.of_card(page.merchant_id + 1, CARD)) is None


def test_a_browser_that_knows_the_card_cannot_guess_for_ever_either(somebody, page, rf):
    browser = remembered(rf, page, somebody().tries())
    owners = known.browser(browser, page.merchant_id, fingerprints.of_card(page.merchant_id, CARD))
    for address in many(5):
        somebody(address, known=owners).tries(CARD, WRONG)

    assert somebody("21.0.0.1", known=owners).tries().outcome == Outcome.SILENCED


def test_a_forged_or_copied_cookie_knows_no_card(somebody, page, rf):
    made = somebody().tries()
    browser = remembered(rf, page, made)
    browser.COOKIES[known.COOKIE] = browser.COOKIES[known.COOKIE][:-2] + "xx"

    assert known.browser(browser, page.merchant_id, fingerprints.of_card(page.merchant_id, CARD)) is None


def test_a_card_that_strangers_burned_on_the_page_goes_on_in_the_shop(somebody, owner, connection):
    for address in many(6):
        somebody(address).tries(CARD, WRONG)
    assert somebody("21.0.0.1").tries().outcome == Outcome.SILENCED

    asked = balances.open_look_up(member=owner, key=uuid.uuid4(), connection=connection, number=CARD, client=None)
    balances.give_pin(asked, pin=PIN)
    balances.answer(asked.pk)

    asked.refresh_from_db()
    assert (asked.state, asked.balance_minor) == (State.ANSWERED, 2550)


def test_staff_let_a_card_be_tried_again_and_the_trail_says_so(somebody, owner):
    for address in many(5):
        last = somebody(address).tries(CARD, WRONG)
    assert somebody("21.0.0.1").tries().outcome == Outcome.SILENCED

    assert tries.forgive(owner, last) == 5

    assert somebody("21.0.1.1").tries().outcome == Outcome.FOUND
    line = AuditEntry.objects.get(verb="shopper tries forgiven")
    assert (line.person, line.detail) == (owner.person, {"tries": 5})


def test_a_cashier_may_not(somebody, arrange, jung):
    last = somebody().tries(CARD, WRONG)
    with arrange():
        make_person("Carl", (jung, "cashier"))
        carl = Member.objects.select_related("merchant", "person").get(person__name="Carl")

    with pytest.raises(PermissionDenied):
        tries.forgive(carl, last)


# ---- The day's budget -------------------------------------------------------------------------------------------
@pytest.fixture
def small_budget(monkeypatch):
    """Eight wrong tries a day: the arithmetic is tested in test_risk."""
    monkeypatch.setattr(tries, "budget", lambda page, connection: 8)


def guesses(somebody, count: int, start: int = 0) -> None:
    for number, address in enumerate(many(count, start)):
        somebody(address).tries(f"62803900000{80000 + start + number}", f"{5000 + start + number}")


def test_a_quarter_of_the_budget_in_an_hour_wants_whole_numbers_and_eight_times_the_work(somebody, small_budget):
    guesses(somebody, 2)

    with pytest.raises(limits.WholeNumberOnly):
        somebody("21.0.0.1").asks("00001", whole=False)
    assert somebody("21.0.0.2").asks().times == limits.STEP_UP_TIMES


def test_a_try_that_was_held_by_its_end_wants_the_whole_number_once_the_page_has_stepped_up(
    somebody, small_budget, page, settings
):
    settings.SHOPPER_NETWORK_HOUR = 0
    held, whole = somebody("21.0.0.1").asks("00001", whole=False), somebody("21.0.0.2").asks()
    guesses_anyway(somebody, 2)

    with pytest.raises(limits.WholeNumberOnly):
        proves(page, held)
    assert look_up_of(held).state == State.HELD
    assert not proves(page, whole)  # four times the work was enough when it was taken
    whole.refresh_from_db()
    assert (whole.outcome, whole.times, look_up_of(whole).state) == (Outcome.HELD, limits.STEP_UP_TIMES, State.HELD)
    assert proves(page, whole)
    assert look_up_of(whole).state == State.WAITING


def test_the_browser_that_knows_a_card_is_held_by_no_step_up(somebody, small_budget, page, rf):
    browser = remembered(rf, page, somebody().tries())
    owners = known.browser(browser, page.merchant_id, fingerprints.of_card(page.merchant_id, CARD))
    guesses_anyway(somebody, 2)

    assert somebody("21.0.0.1", known=owners).asks("00001", whole=False).outcome == Outcome.ASKED


def test_the_whole_budget_closes_the_page_until_it_is_forgiven_or_a_day_has_passed(somebody, small_budget, owner):
    guesses_anyway(somebody, 8)
    with pytest.raises(limits.Closed):
        somebody("21.0.0.1").asks()

    deciding.open_again(owner)

    reopened = BalancePage.objects.get(merchant=owner.merchant)
    assert reopened.forgiven_at is not None
    assert somebody("21.0.0.2").asks().outcome == Outcome.ASKED


def guesses_anyway(somebody, count: int) -> None:
    """As an attacker who does all the work."""
    for number, address in enumerate(many(count)):
        shopper = somebody(address)
        made = shopper.asks(f"62803900000{80000 + number}", f"{5000 + number}", challenge=shopper.challenge(16))
        balances.answer(look_up_of(made).pk)
        tries.settle(made)


def test_right_tries_use_up_nothing(somebody, small_budget):
    for address in many(12):
        assert somebody(address).tries().outcome == Outcome.FOUND


def test_what_is_not_settled_yet_counts_as_wrong(somebody, small_budget):
    for number, address in enumerate(many(8)):
        shopper = somebody(address)
        shopper.asks(f"62803900000{80000 + number}", f"{5000 + number}", challenge=shopper.challenge(16))

    with pytest.raises(limits.Closed):
        somebody("21.0.0.1").asks()


def test_of_many_held_tries_that_are_proved_at_once_no_more_are_asked_than_the_budget_lets(
    for_good, settings, monkeypatch
):
    settings.SHOPPER_NETWORK_HOUR = 0
    monkeypatch.setattr(tries, "budget", lambda page, connection: 8)
    shopper, page = for_good, for_good.page
    with tenancy.merchant(page.merchant_id):
        held = []
        for number, address in enumerate(many(12)):
            shopper.address = address
            held.append(shopper.asks(f"62803900000{80000 + number}", f"{5000 + number}"))
        assert {each.outcome for each in held} == {Outcome.HELD}
        challenges = [proof.issue(tries.place(page, each), times=8, at=tries._patiently()) for each in held]

    def prove(which: int) -> str:
        try:
            with tenancy.merchant(page.merchant_id):
                tries.prove(page, held[which], token=challenges[which].token, solution=proof.solve(challenges[which]))
        except limits.Closed:
            return "closed"
        finally:
            connections["default"].close()
        return "asked"

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(prove, range(12)))

    assert (said.count("asked"), said.count("closed")) == (8, 4)
    with tenancy.merchant(page.merchant_id):
        assert Try.objects.filter(outcome=Outcome.ASKED).count() == 8
        assert Inquiry.objects.filter(state=State.HELD).count() == 4


def test_a_page_that_was_closed_meanwhile_takes_no_try_that_was_on_its_way(somebody, page, owner):
    shopper = somebody()
    challenge = shopper.challenge()
    deciding.change(owner, {"is_open": False})

    with pytest.raises(limits.Closed):
        shopper.asks(challenge=challenge)
    assert not Try.objects.exists()


# ---- When something fails -----------------------------------------------------------------------------------------
def test_so_many_are_asked_about_at_once_and_so_many_wait(somebody, settings):
    settings.SHOPPERS_AT_ONCE, settings.SHOPPERS_WAITING = 1, 2
    one, two = (look_up_of(somebody(address).asks()) for address in many(2))
    assert balances._claim(one.pk) is not None

    assert balances._claim(two.pk) is None
    somebody("21.0.0.1").asks()
    with pytest.raises(limits.Busy):
        somebody("21.0.0.2").asks()


def test_limits_hold_while_the_provider_is_away_and_no_card_is_blamed_for_it(somebody, sandbox):
    sandbox.arm("timeout_before", seconds=0, times=20)
    shopper = somebody()
    assert {shopper.tries(pin=WRONG).outcome for _ in range(5)} == {Outcome.TROUBLE}

    with pytest.raises(limits.TooMany):
        shopper.asks()

    sandbox.reset()
    assert somebody("198.51.100.8").tries().outcome == Outcome.FOUND


@pytest.mark.parametrize("what", [{"scope": Scope.PROVIDER, "provider": "cardinquiry"}, {"scope": Scope.CONNECTION}])
def test_what_an_administrator_switched_off_takes_nothing_in(somebody, olivia, arrange, connection, what):
    only = {"connection": connection} if what["scope"] == Scope.CONNECTION else {}
    with arrange():
        switches.throw(olivia, reason="Outage", banner="Wait.", **what, **only)

    with pytest.raises(NotNow):
        somebody().asks()
    assert not Try.objects.exists()


def test_a_paused_connection_takes_nothing_in(somebody, owner, connection):
    pauses.begin(connection, member=owner, reason="Stocktaking")
    shopper = somebody()
    shopper.connection = Connection.objects.get(pk=connection.pk)

    with pytest.raises(NotNow):
        shopper.asks()
    assert not Try.objects.exists()


def test_of_fifty_tries_at_the_same_moment_five_are_taken(for_good):
    challenges = [for_good.challenge() for _ in range(50)]

    def press(challenge: proof.Challenge) -> str:
        try:
            with tenancy.merchant(for_good.page.merchant_id):
                for_good.asks(challenge=challenge)
        except limits.TooMany:
            return "too many"
        finally:
            connections["default"].close()
        return "taken"

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(press, challenges)).count("taken") == 5


def test_a_database_that_takes_too_long_lets_nobody_in(for_good, settings):
    settings.SHOPPER_PATIENCE_MS = 200
    shopper, page = for_good, for_good.page
    challenge = shopper.challenge()

    def press() -> object:
        try:
            with tenancy.merchant(page.merchant_id):
                return shopper.asks(challenge=challenge)
        except OperationalError as slow:
            return slow
        finally:
            connections["default"].close()

    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        BalancePage.objects.select_for_update().get(pk=page.pk)
        began = time.monotonic()
        said = pool.submit(press).result()

    assert isinstance(said, OperationalError)
    assert time.monotonic() - began < 30  # the row is held for as long as this waits
    assert not Try.objects.exists()


def test_a_clock_that_jumps_frees_nobody(somebody):
    """Rows from the future count, and what was issued in the future is not taken."""
    shopper = somebody()
    for _ in range(5):
        shopper.tries()
    age(timedelta(minutes=-5))

    with pytest.raises(limits.TooMany):
        shopper.asks()
    ahead = proof.issue(tries.place(shopper.page), times=1, at=tries._patiently() + timedelta(minutes=5))
    with pytest.raises(proof.NoProof, match="old"):
        somebody("198.51.100.9").asks(challenge=ahead)


# ---- The sweep --------------------------------------------------------------------------------------------------
def test_the_sweep_settles_what_nobody_watched_and_forgets_what_is_old(somebody):
    made = somebody().asks()
    balances.answer(look_up_of(made).pk)
    old = somebody("198.51.100.8").tries()
    write(old, at=Now() - timedelta(days=31))

    tries.sweep()

    assert list(Try.objects.values_list("pk", "outcome")) == [(made.pk, Outcome.FOUND)]


def test_a_proof_that_never_came_is_given_up_and_a_number_that_never_came_was_wrong(somebody, settings):
    lost = somebody("198.51.100.8").tries("00005", whole=False)
    settings.SHOPPER_NETWORK_HOUR = 1
    held = somebody().asks()
    age(timedelta(minutes=12))

    tries.sweep()

    assert Try.objects.get(pk=held.pk).outcome == Outcome.LEFT
    assert Try.objects.get(pk=lost.pk).outcome == Outcome.REFUSED


def test_only_the_browser_that_asked_gets_the_answer(somebody, page):
    made = somebody().tries()

    assert tries.by_browser(page.merchant_id, made.key, fingerprints.of_browser(page.merchant_id, "another")) is None


def test_nothing_that_was_typed_stands_in_the_row(somebody, jung):
    somebody("203.0.113.99").tries("6280390000012345", "4711")
    with database.cursor() as cursor:
        cursor.execute("SELECT shopper_try::text FROM shopper_try")
        row = cursor.fetchone()[0]

    for planted in ("12345", "4711", "203.0.113"):
        assert planted.encode().hex() not in row
        assert f"{planted}," not in row


# ---- Helpers ------------------------------------------------------------------------------------------------------
def effects(sandbox) -> int:
    """How often the provider says it was asked."""
    parts = urlsplit(sandbox.url)
    line = HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    line.request("GET", "/_sandbox/effects")
    return len(line.getresponse().read().splitlines())


def age(by: timedelta) -> None:
    """Make every try and look-up older by so much."""
    write(None, at=F("at") - by)


def proves(page: BalancePage, held: Try) -> bool:
    """With as much work as the try wants."""
    challenge = proof.issue(tries.place(page, held), times=held.times, at=tries._patiently())
    return tries.prove(page, held, token=challenge.token, solution=proof.solve(challenge))


def made_page(made: Try) -> BalancePage:
    return BalancePage.objects.select_related("merchant").get(merchant=made.merchant_id)


def remembered(rf, page: BalancePage, made: Try):
    """A request of the browser that saw this try's balance."""
    from django.http import HttpResponse

    answer = HttpResponse()
    known.remember(rf.get("/"), answer, page.merchant_id, bytes(made.card))
    browser = rf.get("/")
    browser.COOKIES[known.COOKIE] = answer.cookies[known.COOKIE].value
    return browser
