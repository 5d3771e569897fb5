"""What providers tell by themselves, at an address of ours that the merchant enters there.

    POST /callbacks/<the connection's key>/       200 for what is proved and new; one same answer for everything else

The connector proves a message (signature, time) and reads it. It is believed then, since no call asks for what it
tells, and only about a code that this very connection made: the provider's key signs for all its merchants. Whoever
calls needs no session and gets no cookie, and learns nothing from a refusal.
"""

import logging
import uuid
from datetime import timedelta

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from portal.codes.models import Heard
from portal.connectors import PROVIDERS
from portal.connectors.base import News, Unproved
from portal.ledger import clock, codes, settling
from portal.ledger.models import Operation, OperationState
from portal.merchants import tenancy
from portal.merchants.models import Connection

log = logging.getLogger(__name__)

LONGEST = 16 * 1024  # bytes; a message about a code has a few hundred
KEPT = timedelta(days=1)


@csrf_exempt
def hear(request: HttpRequest, key: uuid.UUID) -> HttpResponse:
    """Take in one message for the connection with this key."""
    body = _body(request)
    if request.method != "POST" or not body:
        return _refused()
    with tenancy.every_merchant("a provider's message names a connection by its key"):
        connection = Connection.objects.defer("sealed_secrets").filter(key=key).first()
    if connection is None:
        return _refused()
    try:
        news = PROVIDERS[connection.provider].hear(connection.options, request.headers, body, clock.now())
    except Unproved:
        return _refused()
    with tenancy.merchant(connection.merchant_id):
        return HttpResponse(content_type="text/plain") if _take(connection, news) else _refused()


def _body(request: HttpRequest) -> bytes:
    """Nothing, where it is longer than any message, or nobody says how long it is."""
    length = request.META.get("CONTENT_LENGTH") or ""
    return request.body if length.isascii() and length.isdigit() and int(length) <= LONGEST else b""


def _refused() -> HttpResponse:
    return HttpResponse(status=403, content_type="text/plain")


def _take(connection: Connection, news: News) -> bool:
    """Note what is told, once. False for a message that was here before."""
    with transaction.atomic(durable=True):
        _heard, is_new = Heard.objects.get_or_create(
            connection=connection,
            nonce=news.nonce,
            defaults={"merchant_id": connection.merchant_id, "at": clock.now()},
        )
        if is_new and news.claimed:
            _claimed(connection, news)
    return is_new


def _claimed(connection: Connection, news: News) -> None:
    made = Operation.objects.filter(
        merchant=connection.merchant_id,
        connection=connection,
        verb="issue_code",
        provider_reference=news.claimed,
        state=OperationState.DONE,
    ).first()
    if made is None:
        return  # a code that somebody made elsewhere: in the provider's own application, perhaps
    if news.amount is not None and (news.amount.minor, news.amount.currency) != (made.amount_minor, made.currency):
        log.error("a claim tells of another amount", extra={"operation": made.reference})
        return
    if codes.claimed(made, points=news.points.count if news.points else None, at=clock.now()):
        settling.told_claimed(made)


def forget_old() -> None:
    """Erase what is kept of messages that could not be believed again."""
    with tenancy.every_merchant("what is kept of providers' old messages is erased"):
        Heard.objects.filter(at__lt=clock.now() - KEPT).delete()
