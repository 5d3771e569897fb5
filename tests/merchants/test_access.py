"""The access rule, asked of real pages: who may, who may not, and what if it is not there."""

import pytest
from django.core.exceptions import PermissionDenied
from django.db import transaction

from portal.merchants import access, tenancy
from portal.merchants.models import AuditEntry, Member
from portal.merchants.roles import Permission, Role

DESK = "/m/baeckerei-jung/"


def test_a_member_comes_to_the_desk(signed_in, alice):
    assert signed_in(alice).get(DESK).status_code == 200


def test_a_stranger_is_sent_to_sign_in_and_back_afterwards(client, jung):
    answer = client.get(DESK, HTTP_HOST="localhost")

    assert answer.status_code == 302
    assert answer["Location"] == "/accounts/login/?next=/m/baeckerei-jung/"


def test_a_fragment_for_somebody_signed_out_moves_the_whole_browser(client, jung):
    answer = client.get(DESK, HTTP_HOST="localhost", HTTP_HX_REQUEST="true")

    assert answer["HX-Redirect"].startswith("/accounts/login/")


def test_another_merchants_address_looks_like_one_that_does_not_exist(signed_in, jung, ben):
    foreign, missing = (signed_in(ben).get(path) for path in (DESK, "/m/no-such-merchant/"))

    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert without_reference(foreign) == without_reference(missing)


def without_reference(answer) -> bytes:
    return answer.content.replace(answer["X-Request-ID"].encode(), b"")


def test_trying_another_merchants_address_leaves_a_line_in_the_trail(signed_in, jung, ben, arrange):
    signed_in(ben).get(DESK)

    with arrange():
        line = AuditEntry.objects.get()
    assert (line.verb, line.person_id, line.subject) == ("address refused", ben.pk, "merchant baeckerei-jung")


def test_a_role_that_is_too_small_is_told_who_can(signed_in, alice):
    answer = signed_in(alice).get(f"{DESK}settings/")

    assert answer.status_code == 403
    assert "Seeing stores, people and connections is for Owner, Manager, Accountant and Read-only." in answer.text


def test_somebody_removed_while_signed_in_is_out_with_the_next_request(signed_in, alice, arrange):
    client = signed_in(alice)
    assert client.get(DESK).status_code == 200

    with arrange():
        Member.objects.filter(person=alice).delete()

    assert client.get(DESK).status_code == 404


def test_a_role_lowered_during_a_request_stops_its_write(alice, jung, arrange):
    with arrange():
        member = Member.objects.get(person=alice)
        Member.objects.filter(person=alice).update(role=Role.READ_ONLY)

    with (
        tenancy.merchant(jung.pk),
        transaction.atomic(),
        pytest.raises(PermissionDenied, match="Looking up cards is for"),
    ):
        access.still_may(member, Permission.LOOK_UP_CARDS)
