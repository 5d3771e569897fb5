"""The queue of operations that need a person, the evidence of each, and a person's word on it."""

import ast
import inspect
import re
import textwrap
import threading
import time
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from portal.ledger import attention, attention_words, operations, settling
from portal.ledger.models import Exchange, Operation, OperationState, Pulse, operation_writer
from portal.merchants.models import AuditEntry, Connection, Member, Person
from tests.conftest import make_person
from tests.ledger.conftest import CARD, Till

S = OperationState
QUEUE = "/m/baeckerei-jung/attention/"
PLAIN = [f"9146390000000{number:02}" for number in range(10, 60)]


def change(operation: Operation, **values: object) -> None:
    """Change a row as no code of ours would."""
    before = operation_writer._open.set(True)
    try:
        Operation.objects.filter(pk=operation.pk).update(**values)
    finally:
        operation_writer._open.reset(before)
    operation.refresh_from_db()


def leave_unclear(till: Till, verb: str = "pay", amount: int = 1250, **more: object) -> Operation:
    """An operation that did not happen, and nobody knows."""
    paths = {"pay": "giftTransaction", "top_up": "giftIssuance", "issue_points": "loyaltyIssuance"}
    till.arm("redirect", paths.get(verb, "gift"))
    operation = till.gets(verb, amount, **more)
    settling.settle_due()
    operation.refresh_from_db()
    assert operation.state == S.NEEDS_PERSON
    return operation


@pytest.fixture
def unclear(till: Till) -> Operation:
    return leave_unclear(till)


@pytest.fixture
def milan(till: Till, jung):
    return make_person("Milan", (jung, "manager"))


@pytest.fixture
def olivia(till: Till, jung):
    return make_person("Olivia", (jung, "owner"))


@pytest.fixture
def manager(milan, signed_in):
    """Milan's browser."""
    return signed_in(milan)


@pytest.fixture
def owner(olivia, signed_in):
    """Olivia's browser."""
    return signed_in(olivia)


def page_of(operation: Operation) -> str:
    return f"{QUEUE}{operation.key}/"


def says(browser, operation: Operation, verdict: str, reason: str = "On the statement.", **more: str):
    return browser.post(page_of(operation), {"verdict": verdict, "reason": reason, **more})


def confirms(browser, operation: Operation, verdict: str, reason: str = "On the statement."):
    answer = says(browser, operation, verdict, reason, confirmed="1")
    operation.refresh_from_db()
    return answer


# ---- The queue ------------------------------------------------------------------------------------------------
def test_the_queue_tells_what_which_card_how_much_where_and_who_asked_oldest_first(till, manager):
    first, second = leave_unclear(till), leave_unclear(till, "top_up", 2000, number="914639258868504")
    change(first, next_attempt_at=None)

    page = manager.get(QUEUE).text

    assert page.index(page_of(first)) < page.index(page_of(second))
    for told in ("Payment", "8500", "$12.50", "PayWizard", "Alice", "Top-up", "8504", "$20.00"):
        assert told in page
    assert CARD not in page


def test_after_the_queue_is_empty_it_says_when_somebody_last_looked(till, manager):
    Pulse.objects.create(name="sweep", at=timezone.now() - timedelta(seconds=20))

    page = " ".join(manager.get(QUEUE).text.split())

    assert "Nothing unclear.</span> Last check" in page
    assert re.search(r">2\d s ago</time>", page)


@pytest.mark.parametrize("seconds", [None, 600])
def test_an_empty_queue_that_nobody_checks_does_not_look_peaceful(till, manager, seconds):
    if seconds:
        Pulse.objects.create(name="sweep", at=timezone.now() - timedelta(seconds=seconds))

    assert "Tell the administrator that the checks stand still." in manager.get(QUEUE).text


def test_the_next_page_begins_where_the_last_one_ended_whatever_was_decided_meanwhile(
    till, manager, monkeypatch, milan
):
    monkeypatch.setattr(attention, "PAGE", 2)
    rows = [leave_unclear(till, number=number) for number in PLAIN[:5]]
    first = manager.get(QUEUE).text
    further = re.search(r'href="(\?after=[^"]+)"', first).group(1)
    confirms(manager, rows[1], "did_not")

    second = manager.get(QUEUE + further).text

    assert [page_of(row) in first for row in rows] == [True, True, False, False, False]
    assert [page_of(row) in second for row in rows] == [False, False, True, True, False]


@pytest.mark.parametrize("after", ["nonsense", "c6cb8146-acda-4ad3-9e13-e44cda5fe6ac", ""])
def test_an_after_that_means_nothing_harms_nothing(till, unclear, manager, after):
    assert manager.get(QUEUE, {"after": after}).status_code == 200


def test_more_rows_cost_no_more_queries(till, manager):
    def queries(path: str) -> int:
        with CaptureQueriesContext(connection) as caught:
            assert manager.get(path).status_code == 200
        return len(caught)

    one = leave_unclear(till, number=PLAIN[0])
    manager.get(QUEUE)  # a session's first page puts it on the list of sessions
    few = queries(QUEUE)
    for number in PLAIN[1:6]:
        leave_unclear(till, number=number)
    assert queries(QUEUE) == few

    alone = queries(page_of(one))
    Exchange.objects.bulk_create([Exchange(**{**vars_of(each), "pk": None}) for each in Exchange.objects.all()])
    assert queries(page_of(one)) == alone


def vars_of(row: Exchange) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.fields}


def test_an_empty_queue_still_carries_the_band_of_the_scan_boxs_sandbox(till, manager):
    assert 'class="sandbox-band"' in manager.get(QUEUE).text


# ---- The rail -------------------------------------------------------------------------------------------------
def test_the_rail_counts_what_needs_a_person_and_stops_at_ninety_nine(till, unclear, manager, monkeypatch):
    assert '<span class="count">1</span>' in manager.get("/m/baeckerei-jung/").text

    monkeypatch.setattr("portal.desk.frame.MOST_COUNTED", 0)
    assert '<span class="count">0+</span>' in manager.get("/m/baeckerei-jung/").text


def test_the_count_is_read_from_the_index_made_for_it(till, unclear, jung):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    rows = Operation.objects.filter(merchant=jung.pk, state=S.NEEDS_PERSON)

    assert "operation_needs_person" in rows[:100].explain()


# ---- Who may --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("role", "sees", "decides"),
    [
        ("owner", True, True),
        ("manager", True, True),
        ("cashier", True, False),
        ("accountant", True, False),
        ("read_only", True, False),
        ("marketing", False, False),
    ],
)
def test_who_may_look_and_who_may_decide(till, unclear, jung, signed_in, role, sees, decides):
    browser = signed_in(make_person("Somebody", (jung, role)))

    answers = [browser.get(QUEUE), browser.get(page_of(unclear))]
    posted = confirms(browser, unclear, "happened")

    assert [answer.status_code for answer in answers] == ([200, 200] if sees else [403, 403])
    assert ('href="/m/baeckerei-jung/attention/"' in browser.get("/m/baeckerei-jung/").text) == sees
    assert ('name="verdict"' in answers[1].text) == decides
    if sees and not decides:
        assert "Deciding what became of an operation is for Owner and Manager." in answers[1].text
    assert (posted.status_code, unclear.state) == ((302, S.DONE) if decides else (403, S.NEEDS_PERSON))


def test_another_merchants_operation_is_not_there(till, unclear, kauri, arrange, signed_in):
    with arrange():
        finn = make_person("Finn", (kauri, "manager"))
    foreign, missing = f"/m/kauri-books/attention/{unclear.key}/", f"/m/kauri-books/attention/{uuid.uuid4()}/"

    for path in (foreign, missing):
        assert signed_in(finn).get(path).status_code == 404
        assert signed_in(finn).post(path, {"verdict": "happened", "reason": "Mine now."}).status_code == 404
    assert signed_in(finn).get(page_of(unclear)).status_code == 404
    unclear.refresh_from_db()
    assert unclear.state == S.NEEDS_PERSON


def test_who_is_not_signed_in_is_sent_there(client, till, unclear):
    assert client.get(page_of(unclear), HTTP_HOST="localhost").status_code == 302


def test_a_role_lowered_while_the_page_was_open_decides_nothing(till, unclear, milan, manager, monkeypatch):
    may = attention.may

    def lowered_right_after(role: str, permission: object) -> bool:
        Member.objects.filter(person=milan).update(role="cashier")
        return may(role, permission)

    monkeypatch.setattr(attention, "may", lowered_right_after)
    answer = confirms(manager, unclear, "happened")

    assert (answer.status_code, unclear.state) == (403, S.NEEDS_PERSON)


def test_what_the_machine_settled_itself_is_on_its_own_page(till, manager):
    done = till.gets("pay", 1250)

    assert manager.get(page_of(done))["Location"] == reverse("operation", args=["baeckerei-jung", done.key])


# ---- The evidence ---------------------------------------------------------------------------------------------
def test_the_page_tells_what_is_known_and_what_was_tried(till, unclear, manager):
    page = " ".join(manager.get(page_of(unclear)).text.split())

    for told in (
        "Payment of $12.50",
        "and were sent to another address, which we never follow. The money may or may not have been taken.",
        "We will not ask again by ourselves.",
        "$30.10",
        "If it happened, the balance fell by $12.50.",
        "The balance has not moved. That speaks against it, unless the provider is late.",
        "Alice asked for it",
        "Read the card before: $30.10",
        "Sent, attempt 1",
        "Sent elsewhere after",
        "Read the card again: $30.10",
        "Left to a person",
        unclear.reference,
        "giftTransaction",
    ):
        assert told in page


def test_a_card_that_could_not_be_read_again_is_told_as_that(till, manager):
    till.arm("cut", "giftTransaction")
    operation = till.gets("pay", 1250)
    till.arm("error_after", "giftInquiry", times=settling.CHECKS)
    for _ in range(settling.CHECKS):
        settling.settle(operation)
    operation.refresh_from_db()

    page = " ".join(manager.get(page_of(operation)).text.split())

    assert operation.state == S.NEEDS_PERSON
    assert "The connection broke after" in page
    assert page.count("Tried to read the card. Trouble at the provider") == settling.CHECKS
    assert "The card could not be read afterwards, so there is nothing to compare." in page


def test_an_answer_that_came_too_late_for_its_worker_is_told_as_an_answer(till, manager):
    till.asks("pay", 1250)
    operation = operations._claim()
    caller = operations.Caller(operation)
    assert operations._may_send(operation, None)
    change(operation, lease_until=timezone.now() - timedelta(minutes=1))
    operations.sweep()
    operations._store_receipt(caller, caller.call())
    settling.settle_due()
    operation.refresh_from_db()

    page = manager.get(page_of(operation)).text

    assert operation.state == S.NEEDS_PERSON
    assert "Our worker broke off while asking PayWizard" in page
    assert "No usable answer" not in page
    assert page.count("Answered after") == 3  # the late answer, and the readings before and after


def test_the_page_shows_neither_the_number_nor_a_key(till, unclear, manager):
    page = manager.get(page_of(unclear)).text

    keys = till.sandbox.credentials("paywizard")
    for secret in (CARD, keys["client_secret"], keys["token"]):
        assert secret not in page


def test_markup_in_what_a_provider_said_is_shown_as_text(till, unclear, manager):
    change(unclear, provider_text="<script>alert(1)</script>")

    page = manager.get(page_of(unclear)).text

    assert "<script>alert" not in page
    assert escape("<script>alert(1)</script>") in page


def test_the_text_for_the_provider_has_what_it_needs_to_look(till, unclear, manager):
    change(unclear, trace="933358163137265664")
    page = manager.get(page_of(unclear)).text
    text = re.search(r'<pre class="to-copy"[^>]*>(.*?)</pre>', page, re.DOTALL).group(1)

    for told in (unclear.reference, "933358163137265664", "$12.50", "8500", "UTC", "Milan", "Bäckerei Jung"):
        assert told in text


@pytest.mark.parametrize(
    ("verb", "only_this_desk", "before", "after", "said"),
    [
        (
            "pay",
            False,
            3010,
            1760,
            "The balance fell by exactly $12.50. That fits, but others may move this card, too.",
        ),
        ("pay", True, 3010, 1760, "The balance fell by exactly $12.50. That fits."),
        ("top_up", False, 3010, 4260, "The balance rose by exactly $12.50. That fits, but others"),
        ("pay", True, 3010, 3010, "The balance has not moved. That speaks against it, unless the provider is late."),
        ("pay", False, 3010, 3010, "unless the provider is late or others moved this card, too."),
        ("pay", True, 3010, 2010, "The balance fell by $10.00. That does not fit: something else moved this card."),
        ("pay", True, 3010, 4000, "The balance rose by $9.90. That does not fit"),
        ("pay", True, 3010, None, "The provider did not tell both balances"),
        ("issue_points", True, 53, 1303, "The card has exactly 1,250 points more. That fits."),
        ("redeem_points", True, 53, 52, "The card has 1 point less. That does not fit"),
        ("issue_points", True, 53, 53, "The points have not moved."),
    ],
)
def test_what_the_readings_suggest_is_said_plainly_and_decides_nothing(verb, only_this_desk, before, after, said):
    kind = "points" if verb.endswith("points") else "minor"
    row = Operation(
        verb=verb,
        connection=Connection(only_this_desk=only_this_desk, options={"currency": "USD"}),
        before_at=timezone.now(),
        after_at=timezone.now(),
        **{f"before_{kind}": before, f"after_{kind}": after},
        **({"points": 1250} if kind == "points" else {"amount_minor": 1250, "currency": "USD"}),
    )

    assert said in attention_words.suggestion(row)


def test_without_two_readings_nothing_is_suggested():
    row = Operation(verb="pay", amount_minor=1, currency="USD", connection=Connection())
    assert "was not read before" in attention_words.suggestion(row)
    row.before_at = timezone.now()
    assert "could not be read afterwards" in attention_words.suggestion(row)
    assert "cannot tell whether a card was activated" in attention_words.suggestion(Operation(verb="activate"))


# A code whose answer got lost was shown to nobody: that is its end, and no person has to say what happened.
@pytest.mark.parametrize("verb", sorted(operations.PERMISSIONS.keys() - {"issue_code"}))
def test_everything_that_can_need_a_person_has_its_sentences(verb):
    originals = [Operation(verb="pay"), Operation(verb="top_up")] if verb == "void" else [None]
    for original in originals:
        row = Operation(verb=verb, original=original, amount_minor=1250, currency="USD", in_flight_key=b"card")
        told = [attention_words.name(row), attention_words.title(row), attention_words.maybe(row)]
        for verdict in attention_words.VERDICTS:
            told += [attention_words.fact(row, verdict), attention_words.record(row, verdict)]

        assert all(told)
        assert len(set(told)) == len(told)


def test_every_way_a_decision_is_refused_has_a_sentence():
    code = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(settling.decide))))
    raised = {
        node.exc.args[0].value
        for node in ast.walk(code)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    }

    assert raised == set(attention_words.REFUSALS)


# ---- Deciding -------------------------------------------------------------------------------------------------
def test_choosing_changes_nothing_and_shows_the_sentence_to_confirm(till, unclear, manager):
    answer = says(manager, unclear, "happened")

    unclear.refresh_from_db()
    assert (answer.status_code, unclear.state) == (200, S.NEEDS_PERSON)
    page = " ".join(answer.text.split())
    assert "Record that $12.50 was taken from •••• 8500." in page
    assert "This cannot be changed." in page


@pytest.mark.parametrize(
    ("verdict", "state", "said"),
    [
        ("happened", S.DONE, "Recorded: $12.50 was taken from ••••\u00a08500."),
        ("did_not", S.REFUSED, "Recorded: $12.50 was not taken from ••••\u00a08500."),
    ],
)
def test_the_second_press_records_it_and_leads_back_to_the_queue(till, unclear, manager, milan, verdict, state, said):
    other = leave_unclear(till, number=PLAIN[0])

    answer = confirms(manager, unclear, verdict, "Ms Lee of PayWizard said so.")

    assert answer["Location"] == QUEUE
    assert (unclear.state, unclear.settled_by, unclear.decided_by) == (state, "person", milan)
    assert unclear.decision_reason == "Ms Lee of PayWizard said so."
    page = manager.get(QUEUE).text
    assert said in page
    assert f'<a class="button" href="{page_of(other)}" autofocus>' in page
    line = AuditEntry.objects.get(verb="operation decided")
    assert (line.person, line.subject, line.detail["verdict"]) == (milan, unclear.reference, verdict)


def test_back_from_the_sentence_keeps_what_was_typed(till, unclear, manager):
    answer = says(manager, unclear, "happened", "Typed with care.", back="1")

    assert "Typed with care.</textarea>" in answer.text
    assert "Record that" not in answer.text


@pytest.mark.parametrize("confirmed", [{}, {"confirmed": "1"}])
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"verdict": "happened", "reason": " "}, "Write how you know."),
        ({"verdict": "happened", "reason": "x" * 501}, "at most 500 characters"),
        ({"verdict": "perhaps", "reason": "Hm."}, "Say whether it happened or not."),
        ({"reason": "Hm."}, "Say whether it happened or not."),
    ],
)
def test_without_a_reason_or_a_verdict_nothing_is_recorded(till, unclear, manager, fields, said, confirmed):
    answer = manager.post(page_of(unclear), {**fields, **confirmed})

    unclear.refresh_from_db()
    assert (answer.status_code, unclear.state) == (422, S.NEEDS_PERSON)
    assert said in answer.text


def test_what_is_decided_shows_who_said_so_and_offers_nothing(till, unclear, manager):
    confirms(manager, unclear, "did_not", "Not on the statement.")

    page = " ".join(manager.get(page_of(unclear)).text.split())

    assert "$12.50 was not taken from •••• 8500. Milan said so." in page
    assert "Not on the statement." in page
    assert 'name="verdict"' not in page


def test_an_old_page_decides_nothing_a_second_time(till, unclear, manager, owner):
    confirms(manager, unclear, "did_not")

    for more in ({}, {"confirmed": "1"}):
        answer = says(owner, unclear, "happened", **more)
        assert "Somebody else has decided this meanwhile." in owner.get(answer["Location"]).text
    unclear.refresh_from_db()
    assert unclear.state == S.REFUSED


# ---- Two people -----------------------------------------------------------------------------------------------
@pytest.fixture
def strict(jung):
    """From 10.00 on two people are wanted."""
    jung.second_person_from = 1000
    jung.save()


def test_the_first_word_is_kept_and_the_same_person_sees_why_it_is_not_enough(till, strict, unclear, manager):
    beat = says(manager, unclear, "happened")
    assert "You say: “$12.50 was taken from ••••\u00a08500.”" in beat.text
    assert "Somebody else has to say the same before it is recorded." in beat.text

    confirms(manager, unclear, "happened")

    assert (unclear.state, unclear.decision) == (S.NEEDS_PERSON, "happened")
    assert "Milan: “It happened”. Waits for a second person." in manager.get(QUEUE).text
    assert "Next:" not in manager.get(QUEUE).text
    page = manager.get(page_of(unclear)).text
    assert "From $10.00 on, two people have to say the same." in page
    assert "You have said so already. Somebody else has to say the same." in page
    assert 'value="did_not"' in page
    assert 'value="happened"' not in page
    again = confirms(manager, unclear, "happened")
    assert (again.status_code, unclear.state) == (422, S.NEEDS_PERSON)


def test_a_second_person_who_says_the_same_ends_it(till, strict, unclear, manager, owner, milan, olivia):
    confirms(manager, unclear, "happened")
    assert "Record that $12.50 was taken" in says(owner, unclear, "happened").text

    confirms(owner, unclear, "happened", "I looked, too.")

    assert (unclear.state, unclear.decided_by, unclear.seconded_by) == (S.DONE, milan, olivia)
    page = " ".join(owner.get(page_of(unclear)).text.split())
    assert "Milan and Olivia said so." in page
    assert "I looked, too." in page


def test_who_disagrees_replaces_the_first_word_and_both_stay_visible(till, strict, unclear, manager, owner, olivia):
    confirms(manager, unclear, "happened", "It looks like it.")
    assert "It takes the place of what Milan said." in says(owner, unclear, "did_not").text

    confirms(owner, unclear, "did_not", "Not on the statement.")

    assert (unclear.state, unclear.decision, unclear.decided_by) == (S.NEEDS_PERSON, "did_not", olivia)
    page = manager.get(page_of(unclear)).text
    assert "<s>It happened</s>" in page
    for said in ("It looks like it.", "Not on the statement.", "somebody said otherwise"):
        assert said in page
    confirms(manager, unclear, "did_not", "Right, I misread it.")
    assert unclear.state == S.REFUSED


def test_below_the_limit_one_person_is_enough(till, strict, manager):
    small = leave_unclear(till, amount=999)

    confirms(manager, small, "happened")

    assert small.state == S.DONE


# ---- Two at once ----------------------------------------------------------------------------------------------
def test_two_managers_at_the_same_moment_end_it_once(till_for_good, signed_in):
    people = [Person.objects.get(email=f"{name}@example.com") for name in ("milan", "olivia")]
    for number in PLAIN[:5]:
        unclear = leave_unclear(till_for_good, number=number)
        ready = threading.Barrier(2)
        answers: list[str] = []

        def press(browser, verdict, operation=unclear, ready=ready, answers=answers) -> None:
            ready.wait()
            answers.append(says(browser, operation, verdict, confirmed="1")["Location"])
            connection.close()

        pressing = [
            threading.Thread(target=press, args=(signed_in(person), verdict))
            for person, verdict in zip(people, ("happened", "did_not"), strict=True)
        ]
        for each in pressing:
            each.start()
        for each in pressing:
            each.join()

        unclear.refresh_from_db()
        assert sorted(answers) == [QUEUE, page_of(unclear)]
        assert unclear.state in (S.DONE, S.REFUSED)
        assert AuditEntry.objects.filter(verb="operation decided", subject=unclear.reference).count() == 1


def test_a_session_left_open_decides_nothing_and_the_proof_leads_back_with_all_that_was_said(till, unclear, manager):
    session = manager.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time() - 6 * 60}]
    session.save()
    word = {"verdict": "happened", "reason": "Asked them on the phone.", "confirmed": ""}

    asked = manager.post(page_of(unclear), word)
    before = Operation.objects.get(pk=unclear.pk).state
    manager.post("/accounts/prove/", {"password": "open sesame", "next": page_of(unclear)})

    assert asked["Location"].startswith("/accounts/prove/?next=")
    assert before == "needs_person"
    assert Operation.objects.get(pk=unclear.pk).state == "done"
