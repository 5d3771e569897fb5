"""What is held over a pause: it waits, then runs in order, and the report tells how each went on."""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from portal.desk.models import Process
from portal.ledger import holding, operations, pause_words, settling, tasks
from portal.ledger.models import Operation, OperationState
from portal.merchants import pauses, tenancy
from portal.merchants.models import Connection, Member, Pause
from portal.money import Money
from portal.running.processes import wait_until
from tests.conftest import make_person
from tests.environment import ROOT
from tests.ledger.conftest import Till

S = OperationState
SETTINGS = "/m/baeckerei-jung/settings/"


@pytest.fixture
def milan(till: Till, jung) -> Member:
    return Member.objects.select_related("merchant", "person").get(person=make_person("Milan", (jung, "manager")))


def file_asks(till: Till, number: str, amount: int = 100) -> Operation:
    """A row of a file: at a paused connection it is taken in and held."""
    wish = operations.Wish(verb="pay", card=till.card(number), amount=Money(amount, "USD"))
    return operations.request(member=till.member, key=uuid.uuid4(), wish=wish, priority=10)


def begins(till: Till, member: Member, reason: str = "Maintenance") -> Pause:
    till.connection.refresh_from_db()
    return pauses.begin(till.connection, member=member, reason=reason)


def ends(pause: Pause, member: Member) -> Pause:
    assert holding.resume(pause, member=member)
    found = pauses.of(pause.merchant_id, pause.connection.key, pause.key)
    assert found is not None
    return found


def works() -> None:
    while operations.work():
        pass


def test_what_was_accepted_waits_over_a_pause_and_runs_in_order_afterwards(till: Till, milan):
    asked = [till.asks("pay", 1_00), file_asks(till, "914639258868503")]
    pause = begins(till, milan)
    asked.append(file_asks(till, "914639258868504"))

    works()
    assert list(holding.held(pause)) == asked
    assert till.effects() == []

    pause = ends(pause, milan)
    works()

    assert [each["reference"] for each in till.effects()] == [each.reference for each in asked]
    assert [each.state for each in holding.held(pause)] == [S.DONE] * 3
    assert pause_words.progress(pause, holding.tally(pause)).headline == "All 3 are done."


def test_a_person_goes_before_a_file_after_a_pause_too(till: Till, milan):
    rows = [file_asks(till, "914639258868503"), till.asks("pay", 1_00)]
    pause = ends(begins(till, milan), milan)

    works()

    assert list(holding.held(pause)) == rows[::-1]
    assert [each["reference"] for each in till.effects()] == [each.reference for each in rows[::-1]]


def test_the_last_word_tells_each_outcome_and_is_none_before_all_have_run(till: Till, milan):
    file_asks(till, "914639258868500")
    file_asks(till, "914639258868503", amount=80_00)  # not enough on it
    taken_back = file_asks(till, "914639258868504")
    pause = ends(begins(till, milan), milan)
    till.arm("timeout_after", "giftTransaction", seconds=3)

    operations.work()
    first = pause_words.progress(pause, holding.tally(pause))
    assert (first.headline, first.pending) == ("1 of 3 operations have run.", True)
    operations.withdraw(taken_back, member=till.member)
    works()

    last = pause_words.progress(pause, holding.tally(pause))
    assert (last.headline, last.pending) == ("1 refused, 1 taken back and 1 being checked.", False)
    settling.settle_due()
    assert pause_words.progress(pause, holding.tally(pause)).headline == "1 done, 1 refused and 1 taken back."


def test_only_what_waited_is_counted(till: Till, milan):
    till.gets("pay", 1_00)
    under_way = till.asks("pay", 1_00)
    claimed = operations._claim()
    assert claimed == under_way
    withdrawn = file_asks(till, "914639258868503")
    pause = begins(till, milan)
    operations.withdraw(withdrawn, member=till.member)
    held = file_asks(till, "914639258868504")
    pause = ends(pause, milan)
    operations._run(claimed)
    later = till.gets("pay", 1_00)

    assert list(holding.held(pause)) == [held]
    assert later.state == S.DONE


def test_an_operation_held_over_two_pauses_is_told_by_both(till: Till, milan):
    held = file_asks(till, "914639258868503")
    first = ends(begins(till, milan), milan)
    second = ends(begins(till, milan), milan)
    works()

    assert list(holding.held(first)) == list(holding.held(second)) == [held]


def test_the_clock_ends_a_pause_and_the_sweep_lets_the_held_run(till: Till, milan):
    from datetime import timedelta

    from portal.merchants.models import pause_writer

    held = file_asks(till, "914639258868503")
    till.connection.refresh_from_db()
    pauses.begin(till.connection, member=milan, reason="x", expires_at=timezone.now() + timedelta(hours=1))
    before = pause_writer._open.set(True)
    Pause.objects.update(begun_at=Now() - timedelta(hours=2), expires_at=Now() - timedelta(hours=1))
    pause_writer._open.reset(before)

    tasks.sweep_operations()
    works()

    held.refresh_from_db()
    assert held.state == S.DONE


def test_what_is_unclear_at_a_paused_connection_is_not_looked_at_until_it_is_resumed(till: Till, milan):
    """The look would be a call, and five that fail would hand it to a person for nothing."""
    till.arm("timeout_after", "giftTransaction", seconds=3)
    unclear = till.gets("pay", 12_50)
    pause = begins(till, milan)

    assert settling.settle_due() == 0
    ends(pause, milan)
    assert settling.settle_due() == 1

    unclear.refresh_from_db()
    assert unclear.state == S.DONE


# ---- Pages ----------------------------------------------------------------------------------------------------
@pytest.fixture
def office(signed_in, milan):
    return signed_in(milan.person)


def address(till: Till, what: str) -> str:
    return f"{SETTINGS}connections/{till.connection.key}/{what}/"


def exact(page: str) -> dict[str, str]:
    return dict(re.findall(r'type="hidden" name="(reason|minutes|confirmed)" value="([^"]*)"', page))


def test_a_manager_pauses_in_two_beats_and_the_till_says_why_and_since_when(office, signed_in, alice, till: Till):
    question = office.post(address(till, "pause"), {"reason": "PayWizard is being serviced", "minutes": "60"})
    assert Pause.objects.count() == 0, "the first beat changes nothing"
    assert "Pause PayWizard for 1 h?" in question.text

    answer = office.post(address(till, "pause"), exact(question.text))

    pause = Pause.objects.get()
    assert answer["Location"] == address(till, f"pauses/{pause.key}")
    assert 3590 < (pause.expires_at - pause.begun_at).total_seconds() <= 3600
    shop = signed_in(alice)
    for page in (shop.get("/m/baeckerei-jung/").text, shop.get(f"/m/baeckerei-jung/cards/{till.card().key}/").text):
        assert "PayWizard is paused since" in page
        assert "PayWizard is being serviced" in page


def test_pressed_twice_it_is_one_pause_and_its_page(office, till: Till):
    typed = {"reason": "Maintenance", "minutes": "", "confirmed": "1"}
    first, second = (office.post(address(till, "pause"), typed, follow=True) for _ in range(2))

    assert Pause.objects.count() == 1
    assert (
        first.request["PATH_INFO"] == second.request["PATH_INFO"] == address(till, f"pauses/{Pause.objects.get().key}")
    )


@pytest.mark.parametrize("typed", [{"reason": " "}, {"reason": "x" * 201}, {"reason": "Why", "minutes": "7"}])
def test_what_is_wrong_with_a_pause_is_said_beside_the_field(office, till: Till, typed):
    answer = office.post(address(till, "pause"), typed)

    assert answer.status_code == 422
    assert "There is a problem" in answer.text
    assert Pause.objects.count() == 0


def test_what_somebody_gave_as_the_reason_is_text_and_nothing_else(office, till: Till):
    office.post(address(till, "pause"), {"reason": "<b>bold</b>", "confirmed": "1"})

    assert "<b>bold" not in office.get("/m/baeckerei-jung/").text


def test_the_page_of_a_pause_lists_what_waits_in_order_and_resumes(office, till: Till, milan):
    file_asks(till, "914639258868503", amount=7_00)
    till.asks("pay", 3_00)
    pause = begins(till, milan)
    page = office.get(address(till, f"pauses/{pause.key}")).text
    assert "2 operations wait. They run in this order when the connection is resumed." in page
    assert page.index("Payment of $3.00") < page.index("Payment of $7.00")

    answer = office.post(address(till, "resume"))
    assert answer["Location"] == address(till, f"pauses/{pause.key}")
    works()

    assert "All 2 are done." in office.get(answer["Location"]).text
    fragment = office.get(answer["Location"], headers={"HX-Request": "true"}).text
    assert "<html" not in fragment
    assert "hx-get" not in fragment, "all has been said"


def test_what_was_held_is_read_page_by_page(office, till: Till, milan, monkeypatch):
    monkeypatch.setattr("portal.ledger.pause_pages.PAGE", 2)
    for amount in (1_00, 2_00, 3_00):
        file_asks(till, "914639258868503", amount=amount)
    path = address(till, f"pauses/{begins(till, milan).key}")
    first = office.get(path).text

    [after] = re.findall(r'href="(\?after=[0-9a-f-]+)"', first)
    second = office.get(path + after).text

    assert ["$3.00" in page for page in (first, second)] == [False, True]
    assert ["$1.00" in page for page in (first, second)] == [True, False]


# ---- With a real worker -----------------------------------------------------------------------------------------
@pytest.fixture
def worker(till_for_good: Till) -> Iterator[None]:
    """A worker as an installation runs it, beside this process."""
    command = [sys.executable, "-m", "celery", "-A", "portal.celery:app", "worker", "-P", "threads", "-c", "10"]
    env = {name: value for name, value in os.environ.items() if name != "SIGN_IN_KEYS"}  # a worker refuses them
    running = subprocess.Popen([*command, "-Q", "work"], cwd=ROOT, env=env, stderr=subprocess.DEVNULL)
    yield
    running.terminate()
    running.wait(30)
    Process.objects.all().delete()


def test_fifty_held_operations_run_in_order_when_a_manager_resumes_and_the_report_says_so(
    till_for_good: Till, worker, signed_in
):
    till = till_for_good
    milan = Member.objects.select_related("merchant", "person").get(person__email="milan@example.com")
    Connection.objects.filter(pk=till.connection.pk).update(per_second=1000)
    with tenancy.merchant(milan.merchant_id):
        pause = begins(till, milan, "PayWizard is being serviced")
        asked = [file_asks(till, f"914639{n:09}", amount=1_00) for n in range(50)]
        tasks.wake.for_operations()
        assert not wait_until(lambda: till.effects() != [], 3, every=0.2), "nothing is sent while it lasts"

        office = signed_in(milan.person)
        page = office.post(f"{SETTINGS}connections/{till.connection.key}/resume/", follow=True)
        assert page.request["PATH_INFO"].endswith(f"/pauses/{pause.key}/")

        path = page.request["PATH_INFO"]
        assert wait_until(lambda: "All 50 are done." in office.get(path).text, 60, every=0.3)
        ran = list(Operation.objects.filter(connection=till.connection, priority=10).order_by("begun_at"))

    assert ran == asked, "in the order in which they were accepted"
    assert len({each.begun_at for each in ran}) == 50
    effects = [each["reference"] for each in till.effects()]
    assert sorted(effects) == sorted(each.reference for each in asked), "each of them, once"
