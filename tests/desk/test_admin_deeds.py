"""What administrators do about a row: with a reason, by the portal's own services, and noted for whom it touches."""

import re
import time
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from portal.desk.administration.pages import site
from portal.desk.administration.rows import Rows
from portal.ledger import limits, operations, settling
from portal.ledger.models import Operation, operation_writer
from portal.merchants import daily_limits, pins
from portal.merchants.models import (
    AuditEntry,
    HostApproval,
    HostState,
    Invitation,
    InvitationState,
    LimitKind,
    Member,
    Person,
    Pin,
    pin_writer,
)

REASON = "Olivia Jung asked for it by phone."


def address(row, deed: str) -> str:
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/{deed}/"


def does(browser: Client, row, deed: str, reason: str = REASON):
    return browser.post(address(row, deed), {"reason": reason}, follow=True)


def line_of(arrange, verb: str) -> AuditEntry:
    with arrange():
        return AuditEntry.objects.select_related("person").get(verb=verb)


# ---- All of them ----------------------------------------------------------------------------------------------
def test_no_deed_is_done_by_opening_its_page(ada, jung_shop, arrange):
    with arrange():
        before = AuditEntry.objects.exclude(verb="administrator looked").count()
        for model, kind in site._registry.items():
            for deed in kind.deeds:
                row = model.objects.order_by("-pk").first()
                ada.get(address(row, deed.slug))
        assert AuditEntry.objects.exclude(verb="administrator looked").count() == before


def test_every_deed_wants_a_reason_and_a_recent_proof(ada, jung_shop, arrange):
    with arrange():
        assert jung_shop.host
    for row, deed in ((jung_shop.owner.person, "end-sessions"), (jung_shop.host, "approve")):
        answer = ada.post(address(row, deed), {"reason": " "})
        assert answer.status_code == 422
        assert "Say why" in answer.text
    session = ada.session
    session["account_authentication_methods"] = [{"method": "mfa", "at": time.time() - 400}]
    session.save()
    for row, deed in ((jung_shop.owner.person, "end-sessions"), (jung_shop.host, "approve")):
        assert "prove" in ada.post(address(row, deed), {"reason": REASON})["Location"]
    with arrange():
        jung_shop.host.refresh_from_db()
    assert jung_shop.host.state == HostState.WAITING


def test_a_deed_that_is_not_there_or_not_offered_is_not_found(ada, jung_shop, arrange):
    with arrange():
        rows = [(jung_shop.operation, "hand-over"), (jung_shop.owner, "unlock-pin"), (jung_shop.owner, "no-such-deed")]
    for row, deed in rows:
        assert ada.get(address(row, deed)).status_code == 404
        assert ada.post(address(row, deed), {"reason": REASON}).status_code == 404


def test_nobody_else_does_a_deed(signed_in, jung_shop, arrange):
    browser = signed_in(jung_shop.owner.person)
    with arrange():
        for model, kind in site._registry.items():
            for deed in kind.deeds:
                assert browser.post(address(model(pk=1), deed.slug), {"reason": REASON}).status_code == 404


def test_the_pages_of_rows_offer_what_can_be_done(ada, jung_shop, arrange):
    with arrange():
        pages = {row: Rows.of(site, type(row)) for row in (jung_shop.owner.person, jung_shop.invitation)}
        for row, kind in pages.items():
            page = ada.get(f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/").text
            for deed in kind.deeds:
                assert address(row, deed.slug) in page


def test_administrators_read_it_in_the_language_they_chose(ada, administrator, jung_shop):
    Person.objects.filter(pk=administrator.pk).update(language="de")
    merchant = f"/admin/merchants/merchant/{jung_shop.merchant.pk}/"

    assert "Einen Händler suchen" in ada.get("/admin/").text
    assert "Seine Seiten ansehen" in ada.get(merchant).text
    assert "Minuten lang sehen Sie die Seiten von Bäckerei Jung" in ada.get(f"{merchant}look/").text


# ---- People ---------------------------------------------------------------------------------------------------
def test_ending_sessions_signs_somebody_out_everywhere(ada, signed_in, alice, arrange):
    browsers = [signed_in(alice), signed_in(alice)]
    assert all(browser.get("/account/").status_code == 200 for browser in browsers)

    assert "signed in nowhere any more" in does(ada, alice, "end-sessions").text

    assert all(browser.get("/account/").status_code == 302 for browser in browsers)
    line = line_of(arrange, "sessions ended")
    assert (line.person.name, line.subject, line.detail) == ("Ada", "Alice", {"reason": REASON})


def test_letting_somebody_try_again_forgets_wrong_passwords(ada, alice, arrange):
    browser = Client(HTTP_HOST="localhost", REMOTE_ADDR="192.0.2.77")

    def tries(password: str):
        return browser.post("/accounts/login/", {"login": alice.email, "password": password})

    for _ in range(5):
        tries("wrong words of hers")
    assert "Too many failed tries" in tries("open sesame").text

    does(ada, alice, "allow-tries")

    assert tries("open sesame").status_code == 302
    assert line_of(arrange, "tries allowed").subject == "Alice"


def test_a_pin_that_wrong_tries_have_stopped_works_again_and_stays_the_same(ada, alice, jung, arrange):
    with arrange():
        member = Member.objects.select_related("person", "merchant").get(person=alice)
        pins.choose(member, "3951", request=None)
        stop(member)
        key = Pin.objects.get(member=member).key
        assert pins.check(jung.pk, key, "3951")[1] == "dead"

    does(ada, member, "unlock-pin")

    with arrange():
        assert pins.check(jung.pk, key, "3951")[0] == member
    assert line_of(arrange, "PIN unlocked").merchant_id == jung.pk


def stop(member) -> None:
    pin_writer._open.set(True)
    try:
        Pin.objects.filter(member=member).update(failures=10, dead_at=timezone.now())
    finally:
        pin_writer._open.set(False)


def test_an_invitation_is_sent_again_in_the_name_of_whoever_invited(ada, jung_shop, arrange, mailoutbox):
    with arrange():
        first = jung_shop.invitation
    mailoutbox.clear()

    does(ada, first, "resend")

    with arrange():
        first.refresh_from_db()
        again = Invitation.objects.get(state=InvitationState.PENDING)
    assert first.state == InvitationState.REPLACED
    assert (again.email, again.role, again.invited_by) == (first.email, first.role, jung_shop.owner.person)
    [mail] = mailoutbox
    assert mail.subject == "Olivia invites you to Bäckerei Jung at Tillside"
    line = line_of(arrange, "invitation sent anew")
    assert (line.person.name, line.detail["reason"]) == ("Ada", REASON)


# ---- Operations -----------------------------------------------------------------------------------------------
@pytest.fixture
def checking(jung_shop, arrange) -> Operation:
    """A payment whose answer was lost a while ago."""
    with arrange():
        made = jung_shop._pays(
            jung_shop.card,
            running={"lease_until": timezone.now(), "begun_at": timezone.now() - timedelta(hours=1)},
            checking={"lease_until": None, "next_attempt_at": timezone.now() + timedelta(hours=1), "checks": 1},
        )
    return made


def test_handing_over_leaves_the_decision_to_the_merchant(ada, checking, arrange):
    does(ada, checking, "hand-over")

    with arrange():
        checking.refresh_from_db()
    assert (checking.state, checking.decided_by, checking.ended_at) == ("needs_person", None, None)
    line = line_of(arrange, "operation handed over")
    assert (line.merchant_id, line.subject, line.detail) == (
        checking.merchant_id,
        checking.reference,
        {"reason": REASON},
    )


def test_checking_now_only_moves_the_time_of_the_next_look(ada, checking, arrange):
    does(ada, checking, "look-again")

    with arrange():
        checking.refresh_from_db()
    assert (checking.state, checking.attempt, checking.checks) == ("checking", 0, 1)
    assert checking.next_attempt_at <= timezone.now()


def test_while_the_quiet_period_lasts_nobody_is_hurried(ada, checking, arrange):
    operation_writer._open.set(True)
    try:
        with arrange():
            Operation.objects.filter(pk=checking.pk).update(checks=0, begun_at=timezone.now())
    finally:
        operation_writer._open.set(False)

    for deed in ("hand-over", "look-again"):
        assert ada.post(address(checking, deed), {"reason": REASON}).status_code == 404
    with arrange(), pytest.raises(operations.CannotAsk, match="not_checking"):
        settling.hand_over(checking, by=Person.objects.get(name="Ada"), reason=REASON)


def test_an_end_is_never_reopened(jung_shop, administrator, arrange):
    with arrange():
        done = jung_shop.operation
        for service in (settling.hand_over, settling.look_again):
            with pytest.raises(operations.CannotAsk, match="not_checking"):
                service(done, by=administrator, reason=REASON)
        done.refresh_from_db()
    assert done.state == "done"


def test_who_is_no_administrator_any_more_does_nothing(checking, administrator, alice, arrange, rf):
    from portal.merchants import accounts, sessions

    Person.objects.filter(pk=administrator.pk).update(is_staff=False)
    request = rf.get("/")
    with arrange():
        member = Member.objects.select_related("person", "merchant").get(person=alice)
        for deed in (
            lambda: settling.hand_over(checking, by=administrator, reason=REASON),
            lambda: settling.look_again(checking, by=administrator, reason=REASON),
            lambda: sessions.end_all_of(alice, by=administrator, reason=REASON, request=request),
            lambda: accounts.allow_tries(alice, by=administrator, reason=REASON, request=request),
            lambda: pins.forget_wrong_tries(member, by=administrator, reason=REASON, request=request),
            lambda: limits.change_for(
                member.merchant,
                by=administrator,
                reason=REASON,
                wanted={},
                second_person_from=5,
                second_person_from_points=None,
                seen=limits.mark(member.merchant),
            ),
        ):
            with pytest.raises(PermissionDenied):
                deed()


# ---- Hosts ----------------------------------------------------------------------------------------------------
def test_a_host_is_approved_and_taken_back_in_the_administration(ada, jung_shop, arrange, mailoutbox):
    with arrange():
        host = jung_shop.host
    mailoutbox.clear()

    does(ada, host, "approve")
    with arrange():
        assert HostApproval.objects.get(pk=host.pk).state == HostState.APPROVED
    assert ada.get(address(host, "approve")).status_code == 404
    does(ada, host, "revoke")

    with arrange():
        taken_back = HostApproval.objects.get(pk=host.pk)
    assert (taken_back.state, taken_back.note) == (HostState.WITHDRAWN, REASON)
    assert len(mailoutbox) == 2


def test_a_host_is_refused_in_the_administration(ada, jung_shop, arrange):
    with arrange():
        host = jung_shop.host

    does(ada, host, "refuse")

    with arrange():
        assert HostApproval.objects.get(pk=host.pk).state == HostState.REFUSED


# ---- Limits ---------------------------------------------------------------------------------------------------
def test_what_a_merchant_asked_for_is_approved_or_refused_in_the_administration(ada, jung_shop, arrange, mailoutbox):
    with arrange():
        asked = jung_shop.daily_limit
    mailoutbox.clear()
    page = ada.get(address(asked, "approve")).text
    assert "Mails of Bäckerei Jung in 24 hours: at most 54,321 from now on, instead of 1,000." in page

    does(ada, asked, "approve")

    with arrange():
        assert daily_limits.of(jung_shop.merchant.pk, LimitKind.MAILS) == 54321
    assert ada.get(address(asked, "refuse")).status_code == 404
    assert line_of(arrange, "daily limit approved").detail["note"] == REASON
    assert len(mailoutbox) == 1


def test_a_daily_limit_is_set_unasked_and_the_merchants_page_says_so(ada, jung_shop, arrange):
    browse = f"/admin/merchants/merchant/{jung_shop.merchant.pk}/"

    ada.post(f"{browse}daily-limit/", {"kind": "invitations", "most": "7", "reason": REASON})

    with arrange():
        assert daily_limits.of(jung_shop.merchant.pk, LimitKind.INVITATIONS) == 7
    assert "Invitations: 7" in ada.get(browse).text
    ada.post(f"{browse}daily-limit/", {"kind": "invitations", "most": "", "reason": REASON})
    assert "Invitations: 50" in ada.get(browse).text
    assert ada.post(f"{browse}daily-limit/", {"kind": "invitations", "most": "0", "reason": REASON}).status_code == 422


def mark_on(page: str) -> str:
    """What the form knows of the limits that stood when it was drawn."""
    found = re.search(r'name="seen" value="([0-9a-f]+)"', page)
    assert found is not None
    return found[1]


def test_the_limits_of_roles_are_changed_for_a_merchant_with_a_reason_in_its_trail(ada, jung_shop, arrange):
    deed = f"/admin/merchants/merchant/{jung_shop.merchant.pk}/limits/"
    seen = mark_on(ada.get(deed).text)

    ada.post(deed, {"seen": seen, "pay-cashier": "50", "two": "500", "two_points": "", "reason": REASON})

    with arrange():
        jung_shop.merchant.refresh_from_db()
        assert limits.table(jung_shop.merchant) == {("cashier", "pay"): 5000}
        assert jung_shop.merchant.second_person_from == 50000
        lines = {
            line.subject: (line.person.name, line.detail)
            for line in AuditEntry.objects.filter(merchant=jung_shop.merchant, verb="limit changed")
        }
    assert lines == {
        "cashier: pay": ("Ada", {"before": "5.00 EUR", "after": "50.00 EUR", "reason": REASON}),
        "second person": ("Ada", {"before": None, "after": "500.00 EUR", "reason": REASON}),
    }
    assert "Taking payments: Cashier €50.00" in ada.get(deed.removesuffix("limits/")).text


def test_limits_that_somebody_changed_meanwhile_are_not_overwritten(ada, jung_shop, arrange):
    deed = f"/admin/merchants/merchant/{jung_shop.merchant.pk}/limits/"
    seen = mark_on(ada.get(deed).text)
    ada.post(deed, {"seen": seen, "pay-cashier": "50", "reason": REASON})

    answer = ada.post(deed, {"seen": seen, "pay-cashier": "70", "reason": REASON}, follow=True)

    assert "Somebody changed the limits meanwhile." in answer.text
    with arrange():
        assert limits.table(jung_shop.merchant) == {("cashier", "pay"): 5000}


# ---- The first administrator ----------------------------------------------------------------------------------
def test_somebody_who_signed_up_is_made_an_administrator_and_signs_in_anew(signed_in, alice, capsys, arrange):
    browser = signed_in(alice)
    assert browser.get("/account/").status_code == 200

    call_command("administrator", "Alice@example.com")

    assert Person.objects.get(pk=alice.pk).is_staff
    assert "setting up a second factor" in capsys.readouterr().out
    assert browser.get("/account/").status_code == 302
    assert line_of(arrange, "administrator made").subject == "alice@example.com"
    call_command("administrator", "alice@example.com")
    assert "already" in capsys.readouterr().out
    call_command("administrator", "alice@example.com", "--remove")
    assert not Person.objects.get(pk=alice.pk).is_staff


def test_nobody_is_made_up_for_it(db):
    with pytest.raises(CommandError, match="sign up first"):
        call_command("administrator", "nobody@example.com")
