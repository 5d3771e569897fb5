"""The outbox's pages: who may, who may not, what they show, and what a person may do."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.mail import outbox, pages, words
from portal.mail.models import MailState, OutgoingMail
from portal.merchants import tenancy
from tests.conftest import make_person
from tests.mail.conftest import LINK, Post
from tests.mail.servers import MailServer

S = MailState
OUTBOX = "/m/baeckerei-jung/outbox/"
HANDLE = f"{OUTBOX}handle/"


@pytest.fixture
def writes(post: Post, jung: Any) -> Any:
    """`writes(to=…)`: a mail of Jung's."""

    def write(**mail: Any) -> OutgoingMail:
        with tenancy.merchant(jung.pk):
            post.writes(**mail)
        return post.all()[-1]

    return write


@pytest.fixture
def browser(signed_in: Any, olivia: Any) -> Any:
    return signed_in(olivia)


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


# ---- Who, and what --------------------------------------------------------------------------------------------
def test_a_manager_sees_the_mails_with_states_and_reasons(browser: Any, writes: Any, post: Post, server: MailServer):
    server.does("RCPT", "550 5.1.1 No such mailbox", "451 later")
    writes(to="gone@example.com", subject="Your card")
    writes(to="slow@example.com", subject="Your points")
    writes(to="anna@example.com", subject="Welcome")
    post.works()
    writes(to="ben@example.com", subject="Hello")
    page = text_of(browser.get(OUTBOX))

    for word in ("Failed", "The mail server refused it.", "Will retry", "come back later", "Sent", "Queued"):
        assert word in page
    assert page.index("Hello") < page.index("Welcome") < page.index("Your points") < page.index("Your card")
    assert "gone@example.com" in page


def test_one_mails_page_tells_its_story_and_never_its_text(browser: Any, writes: Any, post: Post, server: MailServer):
    server.does("dot", "451 4.7.1 Greylisted")
    mail = writes(subject="Reset")
    post.works()
    post.later(hours=1)
    post.works()
    page = text_of(browser.get(f"{OUTBOX}{mail.key}/"))

    assert page.index("Written, and put into the outbox.") < page.index("Not sent yet.") < page.index("Handed over")
    assert "451 4.7.1 Greylisted" in page
    assert mail.message_id.strip("<>") in page
    assert LINK not in page


def test_who_only_looks_sees_masked_addresses_and_no_buttons(
    arrange: Any, signed_in: Any, writes: Any, post: Post, server: MailServer, jung: Any
):
    server.does("RCPT", "550 5.1.1 <anna@example.com> is gone")
    mail = writes()
    post.works()
    with arrange():
        rita = make_person("Rita", (jung, "read_only"))
    browser = signed_in(rita)

    for path in (OUTBOX, f"{OUTBOX}{mail.key}/"):
        page = text_of(browser.get(path))
        assert "a•••@example.com" in page
        assert "anna@example.com" not in page
        assert 'name="do"' not in page
    assert browser.post(HANDLE, {"do": "again", "mail": mail.key}).status_code == 403


def test_a_cashier_is_told_who_can(signed_in: Any, alice: Any, writes: Any):
    answer = signed_in(alice).get(OUTBOX)

    assert answer.status_code == 403
    assert "Seeing the outbox is for Owner, Manager and Read-only." in text_of(answer)


@pytest.mark.parametrize("key", ["another", "unknown"])
def test_another_merchants_mail_and_one_of_the_site_are_not_there(browser: Any, post: Post, kauri: Any, key: str):
    with tenancy.merchant(kauri.pk):
        post.writes()
    post.writes()
    keys = [mail.key for mail in post.all()] if key == "another" else [uuid.uuid4()]

    for each in keys:
        assert browser.get(f"{OUTBOX}{each}/").status_code == 404
        assert browser.post(HANDLE, {"do": "withdraw", "mail": each, "confirmed": 1}).status_code == 404
    assert {mail.state for mail in post.all()} == {S.QUEUED}


def test_one_foreign_mail_among_own_ones_refuses_them_all(browser: Any, writes: Any, post: Post, kauri: Any):
    mine = writes()
    with tenancy.merchant(kauri.pk):
        post.writes()
    foreign = post.all()[-1]
    answer = browser.post(HANDLE, {"do": "withdraw", "mail": [mine.key, foreign.key], "confirmed": 1})

    assert answer.status_code == 404
    assert {mail.state for mail in post.all()} == {S.QUEUED}


# ---- Filter and pages -----------------------------------------------------------------------------------------
def test_the_filter_stands_in_the_address_and_shows_one_state(
    browser: Any, writes: Any, post: Post, server: MailServer
):
    server.does("RCPT", "550 no")
    writes(subject="Refused one")
    post.works()
    writes(subject="Waiting one")

    failed = text_of(browser.get(OUTBOX, {"state": "failed"}))
    assert "Refused one" in failed
    assert "Waiting one" not in failed
    assert "No mail is in this state." in text_of(browser.get(OUTBOX, {"state": "withheld"}))
    assert "Waiting one" in text_of(browser.get(OUTBOX, {"state": "nonsense"}))


def test_pages_follow_each_other_without_gaps(browser: Any, writes: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "PAGE", 2)
    mails = [writes(subject=f"Mail {number}") for number in range(5)]

    seen: list[int] = []
    query: dict[str, str] = {}
    while True:
        page = text_of(browser.get(OUTBOX, query))
        seen += [number for number in range(5) if f"Mail {number}<" in page]
        if "Older ones" not in page:
            break
        query = {"after": page.partition("after=")[2].partition('"')[0]}

    assert sorted(seen) == list(range(5))
    assert len(seen) == len(mails)


def test_an_empty_outbox_says_so(browser: Any):
    assert "No mail sent in 7 days." in text_of(browser.get(OUTBOX))


def test_an_outbox_of_old_mails_says_that_none_was_sent_lately(
    browser: Any, writes: Any, monkeypatch: pytest.MonkeyPatch
):
    writes()
    assert "No mail sent in 7 days." not in text_of(browser.get(OUTBOX))

    monkeypatch.setattr(pages, "LATELY", -pages.LATELY)
    assert "No mail sent in 7 days." in text_of(browser.get(OUTBOX))


def test_the_list_costs_the_same_queries_however_long_it_is_and_reads_no_text(browser: Any, writes: Any):
    writes()
    browser.get(OUTBOX)
    with CaptureQueriesContext(
        connection,
    ) as few:
        browser.get(OUTBOX)
    for _ in range(10):
        writes()
    with CaptureQueriesContext(connection) as many:
        browser.get(OUTBOX)

    assert len(few) == len(many)
    (listing,) = [each["sql"] for each in many if 'ORDER BY "mail_outgoingmail"' in each["sql"]]
    assert '"mail_outgoingmail"."sealed_message",' not in listing


# ---- Two beats ------------------------------------------------------------------------------------------------
def test_sending_again_asks_first_and_then_does_it(browser: Any, writes: Any, post: Post, server: MailServer):
    server.does("RCPT", "550 no", "550 no")
    keys = [writes().key, writes(to="ben@example.com").key]
    post.works()

    asked = text_of(browser.post(HANDLE, {"do": "again", "mail": keys}))
    assert "Send these 2 mails again?" in asked
    assert {mail.state for mail in post.all()} == {S.FAILED}

    said = text_of(browser.post(HANDLE, {"do": "again", "mail": keys, "confirmed": 1}, follow=True))
    assert "2 mails are queued again." in said
    post.works()
    assert {mail.state for mail in post.all()} == {S.SENT}


def test_withdrawing_says_that_it_cannot_be_undone_and_then_does_it(browser: Any, writes: Any, post: Post):
    mail = writes()
    asked = text_of(browser.post(HANDLE, {"do": "withdraw", "mail": mail.key}))
    assert "Withdraw this mail?" in asked
    assert "This cannot be undone." in asked

    said = text_of(browser.post(HANDLE, {"do": "withdraw", "mail": mail.key, "confirmed": 1}, follow=True))
    assert "Withdrawn by Olivia." in said
    assert (post.one().state, post.one().sealed_message) == (S.WITHHELD, None)


def test_what_may_have_arrived_is_said_before_it_is_sent_again(
    browser: Any, writes: Any, post: Post, server: MailServer
):
    server.does("after_storing", "drop", "drop")
    mail = writes()
    for _ in range(2):
        post.works()
        post.later(hours=7)

    assert "It may have arrived" in text_of(browser.get(f"{OUTBOX}{mail.key}/"))
    assert "would arrive twice" in text_of(browser.post(HANDLE, {"do": "again", "mail": mail.key}))


def test_what_is_too_late_is_said_and_nothing_is_done(browser: Any, writes: Any, post: Post, server: MailServer):
    sent = writes()
    post.works()
    waiting = writes()

    alone = text_of(browser.post(HANDLE, {"do": "withdraw", "mail": sent.key}, follow=True))
    assert "1 mail cannot be withdrawn: it was sent" in alone
    both = text_of(browser.post(HANDLE, {"do": "withdraw", "mail": [sent.key, waiting.key]}))
    assert "Withdraw this mail?" in both
    assert "1 mail cannot be withdrawn" in both


@pytest.mark.parametrize("form", [{}, {"do": "again"}, {"do": "burn", "mail": "x"}, {"mail": []}])
def test_nothing_chosen_is_said(browser: Any, form: dict[str, Any]):
    answer = browser.post(HANDLE, form, follow=True)

    assert answer.status_code in (200, 404)
    if "mail" not in form:
        assert "Choose at least one mail" in text_of(answer)


def test_a_role_lowered_between_the_two_beats_is_refused(
    browser: Any, writes: Any, post: Post, monkeypatch: pytest.MonkeyPatch
):
    from django.core.exceptions import PermissionDenied

    def too_late(*_: object, **__: object) -> int:
        raise PermissionDenied

    mail = writes()
    monkeypatch.setattr(outbox, "withdraw", too_late)

    assert browser.post(HANDLE, {"do": "withdraw", "mail": mail.key, "confirmed": 1}).status_code == 403


# ---- Words ----------------------------------------------------------------------------------------------------
def test_every_reason_has_its_words():
    from portal.mail import smtp
    from portal.mail.models import WITHDRAWN

    used = {value for module in (smtp, outbox) for name, value in vars(module).items() if is_reason(name, value)}

    assert used | {WITHDRAWN} == set(words.REASONS)


def is_reason(name: str, value: object) -> bool:
    return name.isupper() and isinstance(value, str) and value == value.lower() and name.lower() == value


def test_every_state_has_its_shape():
    assert set(words.SHAPES) == set(S.values)


@pytest.mark.parametrize(
    ("address", "shown"), [("anna@example.com", "a•••@example.com"), ("", "•••"), ("nonsense", "•••")]
)
def test_a_masked_address_shows_one_letter(address: str, shown: str):
    assert words.masked(address) == shown
