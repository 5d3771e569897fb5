"""Inviting by mail, and what somebody can do who holds the link."""

import re
import uuid
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from portal.merchants import invitations, people, ring, tenancy, vault
from portal.merchants.models import (
    AuditEntry,
    Invitation,
    InvitationState,
    Member,
    Person,
    invitation_writer,
)
from portal.merchants.roles import AboveYou, Role
from tests.conftest import make_person

JUNG = "/m/baeckerei-jung/"
PEOPLE = f"{JUNG}settings/people/"
INVITE = f"{PEOPLE}invite/"
HERE = "/invitation/"
NEW = "nora@example.org"
PASSWORD = "correct horse battery"


@pytest.fixture
def milan(arrange, jung):
    """Jung's manager."""
    with arrange():
        return make_person("Milan", (jung, "manager"))


@pytest.fixture
def visitor(db):
    """Somebody nobody knows, at a browser of their own."""
    return Client(HTTP_HOST="localhost")


def member(person) -> Member:
    with tenancy.every_merchant("a test reads"):
        return Member.objects.select_related("merchant", "person").get(person=person)


def send(person, email: str = NEW, role: str = "cashier") -> Invitation:
    with tenancy.merchant(member(person).merchant_id):
        return invitations.invite(member(person), email=email, role=role)


def link_in(mail) -> str:
    """The path of the link in a mail."""
    found = re.search(r"http://localhost:8000(/invitations/\S+)", mail.body)
    assert found, mail.body
    return found[1]


def write(invitation: Invitation, **values: object) -> None:
    """Change a row as no code of ours would."""
    before = invitation_writer._open.set(True)
    try:
        with tenancy.every_merchant("a test arranges"):
            Invitation.objects.filter(pk=invitation.pk).update(**values)
    finally:
        invitation_writer._open.reset(before)


def sent_as_expired(person, email: str = NEW) -> Invitation:
    """An invitation whose time has passed; only sending it anew can make another row of it."""
    before = timezone.now() - timedelta(seconds=1)
    token_hash = vault.token_hash("invitation", "x" * 43)
    write_open = invitation_writer._open.set(True)
    try:
        with tenancy.every_merchant("a test arranges"):
            return Invitation.objects.create(
                merchant=member(person).merchant,
                email=email,
                role="cashier",
                token_hash=token_hash,
                invited_by=person,
                expires_at=before,
            )
    finally:
        invitation_writer._open.reset(write_open)


def states(email: str = NEW) -> list[str]:
    with tenancy.every_merchant("a test reads"):
        return list(Invitation.objects.filter(email=email).order_by("id").values_list("state", flat=True))


def trail() -> list[tuple[str, str, int | None]]:
    with tenancy.every_merchant("a test reads"):
        lines = AuditEntry.objects.filter(verb__contains="invit").order_by("id")
        return [(line.verb, line.subject, line.person_id) for line in lines]


def role_of(email: str) -> str | None:
    with tenancy.every_merchant("a test reads"):
        return Member.objects.filter(person__email=email).values_list("role", flat=True).first()


# ---- Sending --------------------------------------------------------------------------------------------------
def test_an_invitation_is_sent_listed_and_noted(signed_in, olivia, mailoutbox):
    answer = signed_in(olivia).post(INVITE, {"email": NEW, "role": "cashier"}, follow=True)

    assert f"The invitation to {NEW} is on its way." in answer.text
    [line] = answer.context["invited"]
    assert (line.email, line.role_label, line.by, line.age, line.left) == (
        NEW,
        "Cashier",
        "Olivia",
        "0 s",
        "6 days",
    )
    assert trail() == [("person invited", NEW, olivia.pk)]
    [mail] = mailoutbox
    assert mail.to == [NEW]
    assert mail.subject == "Olivia invites you to Bäckerei Jung at Tillside"
    for said in ("Olivia invites you to work at Bäckerei Jung as Cashier.", "Europe/Berlin", NEW):
        assert said in mail.body


def test_the_form_shows_beside_each_role_what_it_can_and_cannot_do(signed_in, milan):
    page = signed_in(milan).get(INVITE)

    assert [choice["words"].role for choice in page.context["roles"]] == [role for role in Role if role != Role.OWNER]
    assert "Deciding what became of an operation" in page.text


def test_the_token_is_kept_nowhere_but_in_the_mail(olivia, mailoutbox):
    send(olivia)
    token = link_in(mailoutbox[0]).rsplit("/", 1)[1]

    assert len(token) == 43
    with tenancy.every_merchant("a test reads"), connection.cursor() as cursor:
        for table in ("merchants_invitation", "merchants_auditentry"):
            cursor.execute(f"SELECT string_agg(t::text, ' ') FROM {table} t")
            assert token not in cursor.fetchone()[0]
        stored = bytes(Invitation.objects.get().token_hash)
    assert stored == vault.token_hash("invitation", token) != vault.token_hash("something else", token)


def test_the_answer_is_the_same_whether_somebody_has_an_account_or_not(signed_in, olivia, mallory, mailoutbox):
    browser, said = signed_in(olivia), []
    for email in ("mallory@example.com", "nobody7@example.com"):
        answer = browser.post(INVITE, {"email": email, "role": "cashier"})
        page = browser.get(answer["Location"])
        line = next(line for line in page.context["invited"] if line.email == email)
        notice = [str(message) for message in page.context["messages"]]
        mail = mailoutbox[-1].message().as_string()
        seen = re.sub(
            r"Date:.*|Message-ID:.*|/invitations/\S+|boundary.*|\d\d:\d\d", "", f"{answer!r} {notice} {line} {mail}"
        )
        said.append(re.sub(r"[0-9a-f]{8}-[0-9a-f-]+|datetime\([^)]*\)", "", seen.replace(email, "somebody")))

    assert said[0] == said[1]
    assert "is on its way" in said[0]


def test_somebody_who_works_here_already_is_said_to(signed_in, olivia, alice, mailoutbox):
    answer = signed_in(olivia).post(INVITE, {"email": "Alice@Example.com", "role": "manager"})

    assert answer.status_code == 422
    assert "Alice already works here, as Cashier." in answer.text
    assert mailoutbox == []


def test_an_open_invitation_is_not_sent_twice(signed_in, olivia, mailoutbox):
    browser = signed_in(olivia)
    for _ in range(2):
        answer = browser.post(INVITE, {"email": NEW, "role": "cashier"})

    assert answer.status_code == 422
    assert "An invitation to this address is open." in answer.text
    assert len(mailoutbox) == 1


def test_what_was_typed_is_kept_when_something_is_wrong(signed_in, olivia):
    answer = signed_in(olivia).post(INVITE, {"email": "nora@", "role": "marketing"})

    assert answer.status_code == 422
    assert 'value="nora@"' in answer.text
    assert re.search(r'value="marketing"[^>]* checked', answer.text)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a@b.c, d@e.f",
        '"x" <a@b.example>',
        "nora@example.org\r\nBcc: victim@example.com",
        "nora@example.org%0d%0aBcc:victim@example.com",
        "nora\u2028@example.org",
        "\u202enora@example.org",
        "x" * 300 + "@example.org",
        "nora@" + "x" * 70 + ".org",
        "nora@.example.org",
    ],
)
def test_only_one_plain_address_is_written_to(signed_in, olivia, mailoutbox, email):
    answer = signed_in(olivia).post(INVITE, {"email": email, "role": "cashier"})

    assert answer.status_code == 422
    assert mailoutbox == []


def test_a_domain_that_only_looks_like_another_is_shown_as_it_is(signed_in, olivia, mailoutbox):
    answer = signed_in(olivia).post(INVITE, {"email": "nora@ex\u0430mple.org", "role": "cashier"}, follow=True)

    assert "nora@xn--exmple-4nf.org" in answer.text
    assert mailoutbox[0].to == ["nora@xn--exmple-4nf.org"]


def test_names_bring_no_header_and_no_turned_writing_into_the_mail(olivia, arrange, jung, mailoutbox):
    with arrange():
        Person.objects.filter(pk=olivia.pk).update(name="Oli\r\nBcc: victim@example.com\u202e")
        type(jung).objects.filter(pk=jung.pk).update(name="Jung\u2028\n<script>")

    send(olivia)

    [mail] = mailoutbox
    assert mail.subject == "Oli Bcc: victim@example.com invites you to Jung <script> at Tillside"
    assert mail.recipients() == [NEW]
    assert "\u202e" not in mail.body


def test_a_manager_invites_nobody_above_themselves(signed_in, milan, mailoutbox):
    answer = signed_in(milan).post(INVITE, {"email": NEW, "role": "owner"})

    assert answer.status_code == 422
    with pytest.raises(AboveYou):
        send(milan, role="owner")
    assert mailoutbox == []


def test_somebody_who_was_lowered_meanwhile_invites_nobody(olivia, milan, jung, mailoutbox):
    stale = member(milan)
    with tenancy.merchant(jung.pk):
        people.change_role(member(olivia), stale.key, "cashier")
        with pytest.raises(PermissionDenied):
            invitations.invite(stale, email=NEW, role="cashier")

    assert mailoutbox == []


def test_no_mail_leaves_when_the_invitation_does_not_come_about(olivia, jung, mailoutbox, monkeypatch):
    def break_down(*_args: object, **_more: object) -> None:
        raise OSError("the outbox is not there")

    monkeypatch.setattr("portal.merchants.invitations.send_mail", break_down)
    with tenancy.merchant(jung.pk), pytest.raises(OSError, match="outbox"):
        invitations.invite(member(olivia), email=NEW, role="cashier")

    assert states() == []


# ---- Limits ---------------------------------------------------------------------------------------------------
def test_a_merchant_sends_so_many_a_day_and_no_more(signed_in, olivia, settings, mailoutbox):
    settings.INVITATIONS_A_DAY = 2
    browser = signed_in(olivia)
    answers = [browser.post(INVITE, {"email": f"n{n}@example.org", "role": "cashier"}) for n in range(3)]

    assert [answer.status_code for answer in answers] == [302, 302, 422]
    assert "has to wait" in answers[2].text
    assert len(mailoutbox) == 2


def test_one_address_is_not_flooded_by_sending_anew_or_by_withdrawing(olivia, settings, jung, mailoutbox):
    settings.INVITATIONS_TO_ONE_ADDRESS_A_DAY = 3
    actor, row = member(olivia), send(olivia)
    with tenancy.merchant(jung.pk):
        row = invitations.resend(actor, row.key)
        invitations.withdraw(actor, row.key)
        row = invitations.invite(actor, email=NEW, role="cashier")

        with pytest.raises(invitations.TooMany):
            invitations.resend(actor, row.key)

    assert len(mailoutbox) == 3
    assert states() == ["replaced", "revoked", "pending"]


# ---- The pending list -----------------------------------------------------------------------------------------
def test_sent_anew_the_old_link_is_dead_and_says_so(signed_in, olivia, visitor, mailoutbox):
    row = send(olivia)

    answer = signed_in(olivia).post(f"{JUNG}settings/invitations/{row.key}/resend/", follow=True)

    assert "The link before is dead." in answer.text
    assert states() == ["replaced", "pending"]
    old, new = map(link_in, mailoutbox)
    over = visitor.get(old, follow=True)
    assert (over.status_code, "There is a newer invitation" in over.text) == (200, True)
    assert visitor.get(new, follow=True).status_code == 200


def test_withdrawn_the_link_is_dead_and_says_so(signed_in, olivia, visitor, mailoutbox):
    row = send(olivia)

    signed_in(olivia).post(f"{JUNG}settings/invitations/{row.key}/withdraw/")

    assert states() == ["revoked"]
    over = visitor.get(link_in(mailoutbox[0]), follow=True)
    assert (over.status_code, "This invitation was withdrawn" in over.text) == (200, True)


def test_a_manager_neither_resends_nor_withdraws_what_an_owner_sent_to_an_owner(signed_in, olivia, milan):
    row = send(olivia, role="owner")
    browser = signed_in(milan)

    for deed in ("resend", "withdraw"):
        assert f"/invitations/{row.key}/{deed}/" not in browser.get(PEOPLE).text
        assert browser.post(f"{JUNG}settings/invitations/{row.key}/{deed}/").status_code == 403
    assert states() == ["pending"]


@pytest.mark.parametrize("deed", ["resend", "withdraw"])
def test_another_merchants_invitation_looks_like_one_that_does_not_exist(
    signed_in, olivia, kauri, arrange, deed, mailoutbox
):
    with arrange():
        aroha = make_person("Aroha", (kauri, "owner"))
    foreign = send(aroha)
    browser = signed_in(olivia)

    answers = [browser.post(f"{JUNG}settings/invitations/{key}/{deed}/") for key in (foreign.key, uuid.uuid4())]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert states() == ["pending"]
    assert len(mailoutbox) == 1


def test_an_expired_one_is_shown_as_expired_and_sent_anew(signed_in, olivia, mailoutbox):
    row = sent_as_expired(olivia)
    browser = signed_in(olivia)
    assert "Expired" in browser.get(PEOPLE).text

    browser.post(f"{JUNG}settings/invitations/{row.key}/resend/")

    assert states() == ["replaced", "pending"]


def test_whoever_goes_takes_their_open_invitations_along(olivia, milan, jung):
    send(milan, role="manager")
    send(olivia, email="other@example.org")
    with tenancy.merchant(jung.pk):
        people.remove(member(olivia), member(milan).key)

    assert (states(), states("other@example.org")) == (["revoked"], ["pending"])


def test_whoever_is_lowered_loses_the_invitations_they_could_not_send_any_more(olivia, arrange, jung):
    with arrange():
        second = make_person("Second", (jung, "owner"))
    send(second, role="owner")
    send(second, email="other@example.org", role="manager")
    with tenancy.merchant(jung.pk):
        people.change_role(member(olivia), member(second).key, "manager")

    assert (states(), states("other@example.org")) == (["revoked"], ["pending"])


# ---- The link -------------------------------------------------------------------------------------------------
def test_the_link_leads_on_without_its_token(visitor, olivia, mailoutbox):
    send(olivia)

    answer = visitor.get(link_in(mailoutbox[0]))

    assert (answer.status_code, answer["Location"]) == (302, HERE)
    page = visitor.get(HERE)
    assert page.status_code == 200
    assert link_in(mailoutbox[0]).rsplit("/", 1)[1] not in page.text
    for shown in ("Olivia invites you to work at Bäckerei Jung as Cashier.", "Looking up cards", NEW):
        assert shown in page.text


def test_opening_the_link_decides_nothing(visitor, olivia, mailoutbox):
    send(olivia)
    for _ in range(3):
        visitor.get(link_in(mailoutbox[0]), follow=True)

    assert states() == ["pending"]


@pytest.mark.parametrize("spoil", ["swap", "cut", "lengthen", "case", "random", "empty", "long", "slash"])
def test_a_guessed_or_spoilt_token_opens_nothing_and_tells_nothing(visitor, olivia, mailoutbox, caplog, spoil):
    send(olivia)
    token = link_in(mailoutbox[0]).rsplit("/", 1)[1]
    wrong = {
        "swap": token[1:] + token[0],
        "cut": token[:-1],
        "lengthen": token + "x",
        "case": token.swapcase(),
        "random": "A" * 43,
        "empty": "",
        "long": "A" * 5000,
        "slash": token + "/../x",
    }[spoil]

    answer = visitor.get(f"/invitations/{wrong}")
    page = visitor.get(HERE)

    assert (answer.status_code, page.status_code) in {(302, 200), (404, 200)}
    assert "This link does not open an invitation" in page.text
    for secret in (NEW, "Jung", "Olivia"):
        assert secret not in page.text
    assert not wrong or wrong not in caplog.text


def test_a_link_with_a_slash_that_a_mail_program_added_still_opens(visitor, olivia, mailoutbox):
    send(olivia)

    assert visitor.get(link_in(mailoutbox[0]) + "/", follow=True).status_code == 200


def test_no_answer_to_the_link_is_logged_with_its_address(visitor, olivia, mailoutbox, caplog):
    send(olivia)
    link = link_in(mailoutbox[0])
    strict = Client(HTTP_HOST="localhost", enforce_csrf_checks=True)

    for ask in (visitor.get, visitor.post, visitor.put, visitor.head, strict.post):
        assert ask(link).status_code == 302
    assert link.rsplit("/", 1)[1] not in caplog.text


def test_a_token_hashed_under_an_older_key_still_opens(visitor, olivia, mailoutbox, monkeypatch):
    send(olivia)
    before = ring.sealing()
    newer = {"current": "i2", "keys": {**before["index"]["keys"], "i2": "00" * 32}}
    monkeypatch.setattr(ring, "sealing", lambda: {**before, "index": newer})

    assert visitor.get(link_in(mailoutbox[0]), follow=True).status_code == 200


def test_without_a_link_there_is_nothing_to_see_or_to_do(visitor, db):
    for answer in (visitor.get(HERE), visitor.post(HERE, {"do": "accept"}), visitor.post(HERE, {"do": "join"})):
        assert "This link does not open an invitation" in answer.text


# ---- Somebody without an account ------------------------------------------------------------------------------
def join(visitor, **typed):
    return visitor.post(HERE, {"do": "join", "name": "Nora Neu", "password": PASSWORD, **typed})


def test_somebody_new_types_a_name_and_a_password_and_stands_at_the_desk(visitor, olivia, mailoutbox):
    send(olivia)
    visitor.get(link_in(mailoutbox[0]))

    answer = join(visitor)

    assert answer["Location"] == JUNG
    page = visitor.get(JUNG)
    assert "Welcome to Bäckerei Jung. You are Cashier here." in page.text
    person = Person.objects.get(email=NEW)
    assert (person.name, person.check_password(PASSWORD), person.is_staff) == ("Nora Neu", True, False)
    assert (states(), role_of(NEW)) == (["accepted"], "cashier")
    assert trail()[-1] == ("invitation accepted", NEW, person.pk)


def test_the_address_counts_as_verified_because_the_link_came_by_mail(visitor, olivia, mailoutbox):
    send(olivia)
    visitor.get(link_in(mailoutbox[0]))
    join(visitor)

    address = EmailAddress.objects.get(user__email=NEW)
    assert (address.email, address.verified, address.primary) == (NEW, True, True)
    assert len(mailoutbox) == 1
    again = Client(HTTP_HOST="localhost")
    assert again.post("/accounts/login/", {"login": NEW, "password": PASSWORD})["Location"] == "/"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": ""}, "Type your name."),
        ({"name": "\u202e\u200b"}, "Type your name."),
        ({"name": "x" * 101}, "Shorten the name"),
        ({"password": ""}, "Choose a password."),
        ({"password": "short"}, "at least 12 characters"),
        ({"password": "password1234"}, "too common"),
        ({"password": "nora@example.org"}, "too similar"),
        ({"password": "x" * 100_000}, "Shorten the password"),
    ],
)
def test_what_is_wrong_with_a_new_account_is_said_beside_it(visitor, olivia, mailoutbox, typed, said):
    send(olivia)
    visitor.get(link_in(mailoutbox[0]))

    answer = join(visitor, **typed)

    assert (answer.status_code, said in answer.text) == (422, True)
    assert not Person.objects.filter(email=NEW).exists()
    assert "Shorten" in said or PASSWORD not in answer.text
    assert states() == ["pending"]


def test_a_new_name_loses_what_nobody_sees(visitor, olivia, mailoutbox):
    send(olivia)
    visitor.get(link_in(mailoutbox[0]))
    join(visitor, name="\u202eNora\r\nBcc: x@example.org\u200b")

    assert Person.objects.get(email=NEW).name == "Nora Bcc: x@example.org"


def test_an_address_in_the_form_is_not_listened_to(visitor, olivia, mailoutbox):
    send(olivia)
    visitor.get(link_in(mailoutbox[0]))
    join(visitor, email="olivia@example.com", role="owner")

    assert role_of(NEW) == "cashier"


def test_a_link_works_once(visitor, olivia, mailoutbox):
    send(olivia)
    link = link_in(mailoutbox[0])
    visitor.get(link)
    join(visitor)

    second = Client(HTTP_HOST="localhost")
    over = second.get(link, follow=True)
    assert (over.status_code, "This invitation was accepted" in over.text) == (200, True)
    assert "This invitation was accepted" in join(second).text
    assert Person.objects.filter(email=NEW).count() == 1


def test_an_account_made_meanwhile_elsewhere_is_signed_in_with_instead(visitor, olivia, mailoutbox, arrange):
    invitation = send(olivia)
    with arrange():
        Person.objects.create_user(NEW, "open sesame", name="Nora")

    with pytest.raises(invitations.AccountThere):
        invitations.join(invitation, name="Thief", password=PASSWORD)
    visitor.get(link_in(mailoutbox[0]))
    assert "Sign in with it to accept." in join(visitor).text
    assert (Person.objects.get(email=NEW).check_password("open sesame"), states()) == (True, ["pending"])


# ---- Somebody with an account ---------------------------------------------------------------------------------
def test_somebody_with_an_account_signs_in_sees_what_it_is_and_accepts(visitor, olivia, mallory, mailoutbox):
    send(olivia, email="mallory@example.com", role="accountant")
    assert "Sign in with it to accept." in visitor.get(link_in(mailoutbox[0]), follow=True).text
    answer = visitor.post("/accounts/login/", {"login": "mallory@example.com", "password": "open sesame", "next": HERE})
    assert answer["Location"] == HERE
    assert "as Accountant" in visitor.get(HERE).text
    assert role_of("mallory@example.com") is None

    answer = visitor.post(HERE, {"do": "accept"})

    assert (answer["Location"], role_of("mallory@example.com")) == (JUNG, "accountant")


def test_one_login_works_at_two_merchants(signed_in, olivia, ben, mailoutbox):
    send(olivia, email="ben@example.com")
    browser = signed_in(ben)
    browser.get(link_in(mailoutbox[0]))
    browser.post(HERE, {"do": "accept"})

    for slug in ("baeckerei-jung", "kauri-books"):
        assert browser.get(f"/m/{slug}/").status_code == 200


def test_signed_in_as_somebody_else_one_is_told_and_signs_out_without_losing_the_invitation(
    signed_in, olivia, ben, mailoutbox
):
    send(olivia)
    browser = signed_in(ben)
    page = browser.get(link_in(mailoutbox[0]), follow=True)
    assert f"You are signed in as ben@example.com, but the invitation is for {NEW}." in page.text
    for deed in ("accept", "join"):
        browser.post(HERE, {"do": deed, "name": "Ben", "password": PASSWORD})
    assert states() == ["pending"]

    page = browser.post(HERE, {"do": "sign_out"}, follow=True)

    assert "Make my account and accept" in page.text
    assert "_auth_user_id" not in browser.session


def test_not_even_past_the_page_does_another_address_accept(olivia, ben):
    invitation = send(olivia)

    with pytest.raises(ValueError, match="address"):
        invitations.accept(invitation, ben)


def test_whoever_works_there_already_is_told_and_keeps_their_role(signed_in, olivia, arrange, jung, mailoutbox):
    send(olivia, role="manager")
    with arrange():
        nora = Person.objects.create_user(NEW, "open sesame", name="Nora")
        Member.objects.create(merchant=jung, person=nora, role="cashier")
    browser = signed_in(nora)

    page = browser.get(link_in(mailoutbox[0]), follow=True)
    assert "You work at Bäckerei Jung already, as Cashier." in page.text

    browser.post(HERE, {"do": "accept"})
    assert role_of(NEW) == "cashier"


@pytest.mark.parametrize("who", ["nobody", "the invited"])
def test_declining_needs_no_account_and_is_final(signed_in, visitor, olivia, arrange, mailoutbox, who):
    if who == "the invited":
        with arrange():
            visitor = signed_in(Person.objects.create_user(NEW, "open sesame", name="Nora"))
    send(olivia)
    visitor.get(link_in(mailoutbox[0]))

    answer = visitor.post(HERE, {"do": "decline"}, follow=True)

    assert "This invitation was declined" in answer.text
    assert (states(), role_of(NEW)) == (["declined"], None)
    assert trail()[-1][0] == "invitation declined"
    assert "This invitation was declined" in join(visitor).text


@pytest.mark.parametrize("deed", ["accept", "join", "decline"])
@pytest.mark.parametrize("ending", ["withdrawn", "expired"])
def test_an_invitation_that_ends_while_its_page_is_open_is_not_acted_on(
    signed_in, visitor, olivia, mallory, jung, mailoutbox, deed, ending, settings
):
    email = "mallory@example.com" if deed == "accept" else NEW
    browser = signed_in(mallory) if deed == "accept" else visitor
    if ending == "expired":
        stale = sent_as_expired(olivia, email=email)
    else:
        stale = send(olivia, email=email)
        with tenancy.merchant(jung.pk):
            invitations.withdraw(member(olivia), stale.key)

    act = {
        "accept": lambda: invitations.accept(stale, mallory),
        "join": lambda: invitations.join(stale, name="Nora", password=PASSWORD),
        "decline": lambda: invitations.decline(stale, person=None),
    }[deed]
    with pytest.raises(invitations.NotOpen):
        act()

    assert role_of(email) is None
    assert not Person.objects.filter(email=NEW).exists()
    assert "This link does not open an invitation" in browser.post(HERE, {"do": deed}).text


def test_an_expired_link_says_so(visitor, olivia):
    sent_as_expired(olivia)

    over = visitor.get("/invitations/" + "x" * 43, follow=True)

    assert (over.status_code, "This invitation has expired" in over.text) == (200, True)


# ---- The database ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "change",
    [
        {"email": "victim@example.org"},
        {"role": "owner"},
        {"token_hash": b"another"},
        {"expires_at": timezone.now() + timedelta(days=900)},
    ],
)
def test_what_was_sent_never_changes(olivia, change):
    invitation = send(olivia)

    with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
        write(invitation, **change)


def test_an_invitation_that_is_over_stays_over(olivia, jung):
    invitation = send(olivia)
    with tenancy.merchant(jung.pk):
        invitations.withdraw(member(olivia), invitation.key)

    with pytest.raises(IntegrityError, match="over"), transaction.atomic():
        write(invitation, state=InvitationState.PENDING)


def test_an_address_has_one_open_invitation_at_a_merchant(olivia):
    send(olivia)

    with pytest.raises(IntegrityError, match="invitation_pending_once"), transaction.atomic():
        sent_as_expired(olivia)
