"""A sale that a looked-up card pays, as CardInquiry's SaleCreate takes and answers it.

    {"ExternalId": "…", "CompletedDt": "2026-11-28T10:35:00", "Phase": 1,
     "LINE": [{"Pid": 12345, "Qty": 1, "TotalPrice": 9.00}],
     "PAYM": [{"Type": "prepay", "Amount": 9.00, "UsageToken": "…"}]}

From the vendor's pages: that body, and that a sale is processed once however often it is sent under its ExternalId.
From the provider's CardInquiry document: that a UsageToken may be part of the payment, has a finite lifetime and
reserves nothing. ASSUMED, since no document says: where the token stands in PAYM; that a time without an offset is the
shop's; the names in the answer; the codes of its error packets.
"""

import json
import re
from collections.abc import Callable, Mapping

from portal.connectors.base import Declined, Failure, Misconfigured, PayRequest, Reason, Receipt, Unclear
from portal.connectors.cardinquiry_answers import LONGEST_TOKEN, error_code, error_packet, message
from portal.connectors.failures import bad_input, unreadable
from portal.connectors.http import HttpAnswer
from portal.connectors.redaction import clean
from portal.connectors.strict_json import read_json

PREPAY, VOUCHER = "prepay", "voucher"
COMPLETE = 1  # Phase: the sale is over
RESULT, OK = "Result", "OK"  # ASSUMED name; that repeats get "OK"-type answers is the vendor's
PHYSKEY = "Physkey"  # ASSUMED spelling; the vendor calls the sale's own key so
# ASSUMED codes of error packets; any other is a no in the provider's own words.
REASONS: Mapping[int, Reason] = {2110: Reason.TOKEN_LAPSED, 2111: Reason.NOT_ENOUGH}


def write(request: PayRequest, *, product: int, kind: str) -> str:
    """The body of a sale of one `product` for the whole amount, paid by the card: the same for the same request,
    byte for byte. Raises Declined (BAD_INPUT, TOKEN_LAPSED) for what cannot be sent."""
    if not request.usage_token:
        raise Declined(reason=Reason.TOKEN_LAPSED)
    if not re.fullmatch(f"[ -~]{{1,{LONGEST_TOKEN}}}", request.usage_token):
        raise bad_input()
    if not re.fullmatch("[0-9A-Za-z-]{1,100}", request.reference) or request.asked_at is None:
        raise bad_input()
    at, amount = request.asked_at.strftime("%Y-%m-%dT%H:%M:%S"), request.amount.decimal_text()
    # By hand, because amounts are JSON numbers and must never have been floats.
    return (
        f'{{"ExternalId":{json.dumps(request.reference)},"CompletedDt":"{at}","Phase":{COMPLETE},'
        f'"LINE":[{{"Pid":{product},"Qty":1,"TotalPrice":{amount}}}],'
        f'"PAYM":[{{"Type":"{kind}","Amount":{amount},"UsageToken":{json.dumps(request.usage_token)}}}]}}'
    )


def token_in(body: str) -> str:
    """The token in a body that `write` made: a secret."""
    token: str = json.loads(body)["PAYM"][0]["UsageToken"]
    return token


def read(answer: HttpAnswer) -> Receipt:
    """What the answer to a sale proves. Raises Declined for an error of the sale's own, Misconfigured, Unclear."""
    match answer.status:
        case 200:
            document = read_json(answer.body)
            if error_packet(document):
                raise _no(document, answer.redact)
            return _receipt(document, answer)
        case 400:
            document = read_json(answer.body)
            if not error_packet(document):
                raise unreadable()
            raise _no(document, answer.redact)
        case 401:
            raise Misconfigured(reason=Reason.KEY_REFUSED, provider_text=message(answer))
        case 403:
            trace = answer.redact(answer.headers.get("x-fieldpine-trace", ""))
            raise Misconfigured(reason=Reason.ACCESS_REFUSED, provider_text=message(answer), trace=trace)
        case 429:  # no document says that it is decided before the work is done
            raise Unclear(reason=Reason.THROTTLED, provider_text=message(answer), retry_after=answer.retry_after())
        case status if status == 408 or status >= 500:
            raise Unclear(reason=Reason.SERVER_ERROR, provider_text=message(answer), retry_after=answer.retry_after())
    # 404, which the vendor's firewall may answer at will; 202, stored for later, which we never ask for.
    raise unreadable()


def _receipt(document: object, answer: HttpAnswer) -> Receipt:
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict) or data.get(RESULT) != OK:
        raise unreadable()
    key = data.get(PHYSKEY, "")
    if not isinstance(key, str):
        raise unreadable()
    return Receipt(provider_reference=clean(answer.redact(key), limit=100), raw=answer.kept)


def _no(document: object, redact: Callable[[str], str]) -> Failure:
    reason = REASONS.get(error_code(document), Reason.REFUSED)
    return Declined(reason=reason, provider_text=redact(error_packet(document)))
