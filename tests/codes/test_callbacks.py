"""What Revenue Monster tells by itself, signed by the sandbox's own key: believed once, and from nobody else."""

import base64
import json
import logging
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.db import connection as database
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal.codes import callbacks
from portal.codes.models import Heard
from portal.codes.states import CodeState
from portal.connectors.base import Unproved
from portal.connectors.revenuemonster import RevenueMonster
from portal.ledger import clock, settling
from portal.ledger.models import Code, Operation, OperationState
from portal.merchants import practice, tenancy
from portal.merchants.models import Connection
from tests.ledger.conftest import Till
from tests.ledger.test_codes import CANCELLING, cancels, claims, makes, state_of
from tests.sandboxes.conftest import until
from tests.sandboxes.test_revenuemonster import Heard as Listener

S = OperationState


# ---- A provider's key of our own, for what the sandbox would not sign ---------------------------------------------
@pytest.fixture(scope="module")
def theirs() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, kind).decode()


@pytest.fixture
def known(awards: Till, theirs: rsa.RSAPrivateKey) -> Till:
    """A connection that knows that key as the provider's."""
    Connection.objects.filter(pk=awards.connection.pk).update(
        options=awards.connection.options | {"public_key": pem(theirs)}
    )
    awards.connection.refresh_from_db()
    return awards


@dataclass(frozen=True, kw_only=True)
class Message:
    """One that is signed as it stands; what is changed afterwards is not signed."""

    body: bytes
    nonce: str
    timestamp: str
    signature: str

    @property
    def headers(self) -> dict[str, str]:
        named = {"X-Nonce-Str": self.nonce, "X-Timestamp": self.timestamp, "X-Signature": self.signature}
        return {name: value for name, value in named.items() if value}


def signed(
    key: rsa.RSAPrivateKey, document: object, *, age: float = 0, nonce: str = "", url: str = "", method: str = "post"
) -> Message:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    nonce, timestamp = nonce or secrets.token_hex(16), str(int(clock.now().timestamp() - age))
    where = f"requestUrl={url}&" if url else ""
    data = f"data={base64.b64encode(canonical).decode()}"
    text = f"{data}&method={method}&nonceStr={nonce}&{where}signType=sha256&timestamp={timestamp}"
    signature = base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    body = json.dumps(document, indent=2).encode()  # what counts is the canonical form, not the bytes
    return Message(body=body, nonce=nonce, timestamp=timestamp, signature=f"sha256 {signature}")


def claim(made: Operation, **other: object) -> dict[str, Any]:
    data = {"id": made.provider_reference, "status": "REDEEMED", "amount": made.amount_minor, "point": 12, **other}
    return {"data": data, "eventType": "LOYALTY_SPENDING_REWARD_CLAIMED"}


def sends(connection: Connection, message: Message, **more: Any) -> Any:
    outside = Client(HTTP_HOST="localhost", enforce_csrf_checks=True)
    kind = more.pop("content_type", "application/json")
    place = reverse("callback", args=[connection.key])
    return outside.post(place, message.body, content_type=kind, headers=message.headers, **more)


def essence(answer: Any) -> tuple[int, bytes, str, tuple[str, ...]]:
    return answer.status_code, answer.content, answer["Content-Type"], tuple(answer.cookies)


REFUSED = (403, b"", "text/plain", ())
TAKEN = (200, b"", "text/plain", ())


# ---- From the sandbox ---------------------------------------------------------------------------------------------
def test_a_customers_claim_is_told_by_the_sandbox_and_believed(awards: Till):
    made = makes(awards)
    with Listener() as merchant:
        practice.told_at(merchant.url)
        claims(awards, made)
        until(lambda: merchant.messages)
    [(headers, body)] = merchant.messages
    named = (headers["X-Nonce-Str"], headers["X-Timestamp"], headers["X-Signature"])
    message = Message(body=body, **dict(zip(("nonce", "timestamp", "signature"), named, strict=True)))

    assert essence(sends(awards.connection, message)) == TAKEN

    code = Code.objects.get()
    assert (state_of(made), code.claimed_points, code.address) == (CodeState.CLAIMED, 12, "")
    assert essence(sends(awards.connection, message)) == REFUSED


# ---- What is believed ---------------------------------------------------------------------------------------------
def test_a_claim_is_believed_and_nothing_else_is_needed(known: Till, theirs):
    made = makes(known)

    answer = sends(known.connection, signed(theirs, claim(made)))

    assert essence(answer) == TAKEN
    assert "Set-Cookie" not in answer
    assert state_of(made) == CodeState.CLAIMED
    assert Code.objects.get().claimed_points == 12


def test_a_claim_told_again_with_another_nonce_changes_nothing(known: Till, theirs):
    made = makes(known)
    sends(known.connection, signed(theirs, claim(made)))
    first = Code.objects.values().get()

    assert essence(sends(known.connection, signed(theirs, claim(made, point=99)))) == TAKEN
    assert Code.objects.values().get() == first


@pytest.mark.parametrize(
    "document",
    [
        {"eventType": "PAYMENT_WEB_ONLINE", "data": {"id": "1"}},
        {"eventType": "LOYALTY_SPENDING_REWARD_CLAIMED", "data": None},
        {"eventType": "LOYALTY_SPENDING_REWARD_CLAIMED", "data": {"id": 5, "status": "REDEEMED"}},
        {"eventType": "LOYALTY_SPENDING_REWARD_CLAIMED", "data": {"id": "0" * 32, "status": "REDEEMED"}},
        {"code": "SUCCESS", "item": {"code": "VOUCHER", "discount": 12.5}},
    ],
)
def test_what_is_signed_and_about_nothing_of_ours_is_heard_and_left(known: Till, theirs, document):
    made = makes(known)

    assert essence(sends(known.connection, signed(theirs, document))) == TAKEN
    assert state_of(made) == CodeState.OPEN


@pytest.mark.parametrize("other", [{"amount": 1251}, {"status": "ISSUED"}])
def test_a_claim_that_does_not_fit_the_code_is_not_believed(known: Till, theirs, other):
    made = makes(known)

    assert essence(sends(known.connection, signed(theirs, claim(made, **other)))) == TAKEN
    assert state_of(made) == CodeState.OPEN


def test_a_claim_ends_the_doubt_about_a_cancelling(known: Till, theirs):
    made = makes(known)
    known.arm("timeout_before", CANCELLING, seconds=3)
    lost = cancels(known, made)
    assert lost.state == S.CHECKING

    sends(known.connection, signed(theirs, claim(made)))

    lost.refresh_from_db()
    assert (lost.state, lost.reason, lost.settled_by) == (S.REFUSED, "claimed", "record")
    settling.settle_due()
    lost.refresh_from_db()
    assert lost.state == S.REFUSED


def test_what_was_cancelled_for_sure_stays_so_in_the_ledger_and_the_claim_is_shown(known: Till, theirs):
    made = makes(known)
    gone = cancels(known, made)

    sends(known.connection, signed(theirs, claim(made)))

    gone.refresh_from_db()
    assert gone.state == S.DONE
    assert state_of(made) == CodeState.CLAIMED


# ---- What is not --------------------------------------------------------------------------------------------------
Spoil = Callable[[Message], Message]
OUR_FAULT: dict[str, Spoil] = {
    "unsigned": lambda it: replace(it, signature=""),
    "signed with nothing": lambda it: replace(it, signature="sha256 "),
    "signed with rubbish": lambda it: replace(it, signature="sha256 !!!"),
    "signed by another algorithm's name": lambda it: replace(it, signature=it.signature.replace("sha256", "sha1")),
    "another body": lambda it: replace(it, body=it.body.replace(b'"point": 12', b'"point": 13')),
    "one member twice": lambda it: replace(it, body=it.body.replace(b'"point": 12', b'"point": 12, "point": 12')),
    "another nonce": lambda it: replace(it, nonce=secrets.token_hex(16)),
    "no nonce": lambda it: replace(it, nonce=""),
    "a short nonce": lambda it: replace(it, nonce="1234567"),
    "a long nonce": lambda it: replace(it, nonce="a" * 101),
    "another time": lambda it: replace(it, timestamp=str(int(it.timestamp) + 1)),
    "no time": lambda it: replace(it, timestamp=""),
    "a time that is none": lambda it: replace(it, timestamp="now"),
    "a time in milliseconds": lambda it: replace(it, timestamp=f"{it.timestamp}000"),
    "a time below zero": lambda it: replace(it, timestamp=f"-{it.timestamp}"),
    "an empty body": lambda it: replace(it, body=b""),
    "no JSON": lambda it: replace(it, body=b"<xml/>"),
    "a list": lambda it: replace(it, body=b"[]"),
    "an empty object": lambda it: replace(it, body=b"{}"),
    "no UTF-8": lambda it: replace(it, body=b'{"a": "\xff"}'),
    "a bottomless body": lambda it: replace(it, body=b"[" * 8000),
    "a body longer than any message": lambda it: replace(it, body=it.body + b" " * callbacks.LONGEST),
    "a number that is none": lambda it: replace(it, body=it.body.replace(b'"point": 12', b'"point": NaN')),
}


@pytest.mark.parametrize("spoil", [pytest.param(each, id=name) for name, each in OUR_FAULT.items()])
def test_what_is_not_surely_the_providers_gets_one_same_answer(known: Till, theirs, spoil):
    made = makes(known)

    assert essence(sends(known.connection, spoil(signed(theirs, claim(made))))) == REFUSED

    assert state_of(made) == CodeState.OPEN
    assert not Heard.objects.exists()


@pytest.mark.parametrize("age", [121, 3600, -121])
def test_what_was_not_signed_just_now_is_refused(known: Till, theirs, age):
    made, now = makes(known), clock.now()

    with clock.set_to(lambda: now):
        assert essence(sends(known.connection, signed(theirs, claim(made), age=age))) == REFUSED
        assert essence(sends(known.connection, signed(theirs, claim(made), age=118 if age > 0 else -118))) == TAKEN


def test_a_copy_is_refused(known: Till, theirs):
    made = makes(known)
    message = signed(theirs, claim(made))

    assert essence(sends(known.connection, message)) == TAKEN
    assert essence(sends(known.connection, message)) == REFUSED


def test_a_request_of_ours_turned_round_is_refused(known: Till, theirs):
    """Signed with an address in it, as a request is, or for another method."""
    made = makes(known)
    place = f"http://localhost{reverse('callback', args=[known.connection.key])}"

    assert essence(sends(known.connection, signed(theirs, claim(made), url=place))) == REFUSED
    assert essence(sends(known.connection, signed(theirs, claim(made), method="get"))) == REFUSED


def test_another_key_is_refused_and_so_is_our_own(known: Till, theirs, sandbox):
    made = makes(known)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ours = serialization.load_pem_private_key(sandbox.credentials("revenuemonster")["private_key"].encode(), None)
    assert isinstance(ours, rsa.RSAPrivateKey)

    for key in (stranger, ours):
        assert essence(sends(known.connection, signed(key, claim(made)))) == REFUSED


def test_where_the_key_is_missing_or_damaged_nothing_is_believed(known: Till, theirs):
    made = makes(known)
    for key in ("", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        Connection.objects.filter(pk=known.connection.pk).update(options=known.connection.options | {"public_key": key})
        assert essence(sends(known.connection, signed(theirs, claim(made)))) == REFUSED


def test_whose_address_it_is_makes_no_difference_to_who_cannot_prove_it(known: Till, theirs, paywizard):
    made = makes(known)
    message = signed(theirs, claim(made))
    nowhere = Connection(merchant=known.member.merchant, provider="revenuemonster", key=uuid.uuid4())

    answers = {essence(sends(each, message)) for each in (nowhere, paywizard)}
    answers.add(essence(sends(known.connection, OUR_FAULT["unsigned"](message))))

    assert answers == {REFUSED}


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_only_a_post_is_a_message(known: Till, theirs, method):
    made = makes(known)
    message = signed(theirs, claim(made))
    place = reverse("callback", args=[known.connection.key])

    answer = getattr(Client(HTTP_HOST="localhost"), method)(place, headers=message.headers)

    assert answer.status_code == 403
    assert not Heard.objects.exists()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_what_it_calls_itself_does_not_matter(known: Till, theirs, kind):
    made = makes(known)

    assert essence(sends(known.connection, signed(theirs, claim(made)), content_type=kind)) == TAKEN
    assert state_of(made) == CodeState.CLAIMED


# ---- Whose it is --------------------------------------------------------------------------------------------------
def test_the_same_keys_message_for_one_merchant_does_nothing_for_another(known: Till, theirs, kauri, arrange):
    """The provider signs for all its merchants with one key, so a message that one got may be sent to another."""
    made = makes(known)
    with arrange():
        other = Connection.objects.get(pk=known.connection.pk)
        other.pk, other.key, other.merchant = None, uuid.uuid4(), kauri
        other.save()
    message = signed(theirs, claim(made))

    with tenancy.merchant(kauri.pk):
        assert essence(sends(other, message)) == TAKEN
    assert state_of(made) == CodeState.OPEN
    assert essence(sends(known.connection, message)) == TAKEN
    assert state_of(made) == CodeState.CLAIMED


def test_nor_for_another_connection_of_the_same_merchant(known: Till, theirs):
    made = makes(known)
    other = Connection.objects.get(pk=known.connection.pk)
    other.pk, other.key, other.name = None, uuid.uuid4(), "The other"
    other.save()

    assert essence(sends(other, signed(theirs, claim(made)))) == TAKEN
    assert state_of(made) == CodeState.OPEN


def test_a_cancelling_has_the_codes_reference_and_is_no_code(known: Till, theirs):
    made = makes(known)
    gone = cancels(known, made)
    assert gone.provider_reference == made.provider_reference

    sends(known.connection, signed(theirs, claim(made)))

    assert Code.objects.get().operation_id == made.pk


# ---- Small print --------------------------------------------------------------------------------------------------
def test_nothing_of_a_message_is_logged(known: Till, theirs, caplog):
    made = makes(known)
    with caplog.at_level(logging.DEBUG):
        for other in ({"memberId": "2777058682717858418"}, {"memberId": "2777058682717858418", "amount": 5}):
            sends(known.connection, signed(theirs, claim(made, **other)))
            sends(known.connection, OUR_FAULT["unsigned"](signed(theirs, claim(made, **other))))

    assert "2777058682717858418" not in caplog.text


def test_no_session_is_looked_for_or_begun(known: Till, theirs):
    made = makes(known)
    browser = Client(HTTP_HOST="localhost", enforce_csrf_checks=True)
    message = signed(theirs, claim(made))
    place = reverse("callback", args=[known.connection.key])

    with CaptureQueriesContext(database) as asked:
        answer = browser.post(place, message.body, content_type="application/json", headers=message.headers)

    assert answer.status_code == 200
    assert "Set-Cookie" not in answer
    read = [each["sql"] for each in asked.captured_queries]
    assert read
    assert not [sql for sql in read if "django_session" in sql or "merchants_person" in sql]


def test_what_is_kept_of_messages_goes_after_a_day(known: Till, theirs):
    sends(known.connection, signed(theirs, claim(makes(known))))
    Heard.objects.update(at=Now() - timedelta(hours=23))
    callbacks.forget_old()
    assert Heard.objects.count() == 1

    Heard.objects.update(at=Now() - timedelta(hours=25))
    callbacks.forget_old()
    assert not Heard.objects.exists()


def test_a_connector_that_hears_nothing_believes_nothing(theirs):
    from portal.connectors import PROVIDERS

    message = signed(theirs, {"a": 1})
    for provider in set(PROVIDERS.values()) - {RevenueMonster}:
        with pytest.raises(Unproved):
            provider.hear({}, message.headers, message.body, clock.now())
        assert not provider.is_heard({"public_key": "x"})


def test_the_merchant_is_told_where_to_send_it(known: Till, signed_in, olivia, settings):
    shown = signed_in(olivia).get(reverse("connection", args=["baeckerei-jung", known.connection.key])).text
    assert f"{settings.PUBLIC_URL}{reverse('callback', args=[known.connection.key])}" in shown
    assert "Nothing is believed yet" not in shown
    Connection.objects.filter(pk=known.connection.pk).update(options=known.connection.options | {"public_key": ""})

    shown = signed_in(olivia).get(reverse("connection", args=["baeckerei-jung", known.connection.key])).text
    assert "Nothing is believed yet" in shown
