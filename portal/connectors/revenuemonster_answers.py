"""What Revenue Monster's answers say: success, members and their points, codes, and an error's code in our words.

From the provider's document: `code` SUCCESS; that an award says nothing more, and a code has an id and an address. From
its public pages: every other answer, and the codes of its appendix, matched letter by letter, wrong spelling included.
ASSUMED and named here: what a code proves about the work, and what stands in an answer that no page prints.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from portal.connectors.base import (
    MOVES_VALUE,
    Balance,
    CardStatus,
    CustomerDetails,
    Declined,
    Detail,
    Failure,
    Misconfigured,
    News,
    Reading,
    Reason,
    Unclear,
)
from portal.connectors.failures import unreadable
from portal.connectors.http import HttpAnswer
from portal.connectors.redaction import clean
from portal.connectors.results import POINTS
from portal.connectors.strict_json import is_whole, read_object
from portal.money import HARD_CAP, Money, Points

PRIVATE_MEMBERS = (
    *("accessToken", "refreshToken", "qrCodeUrl", "name", "email", "nric", "phoneNumber", "birthDate", "gender"),
    *("addressLine1", "addressLine2", "postcode", "city", "profileImageUrl"),
)
"""Members never kept as evidence: who somebody is, what lets us in, and what gives points to whoever has it."""
CODE_ID = re.compile("[0-9A-Za-z]{1,64}")
CLAIMED, REDEEMED = "LOYALTY_SPENDING_REWARD_CLAIMED", "REDEEMED"  # ASSUMED, with all that a message about a code says
CODE_ADDRESS = re.compile(r"https?://[!-~]{1,500}")

# Credentials, or what the merchant has not been let do: for a person. (Reason, what lies behind it.)
MISCONFIGURED: Mapping[str, tuple[Reason, Detail | None]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("INVALID_REQUEST_SIGNATURE", "INVALID_SIGNATURE", "SIGNATURE_INVALID", "INVALID_PUBLIC_KEY"),
            (Reason.KEY_REFUSED, Detail.SIGNATURE),
        ),
        "CLIENT_NOT_SET_PUBLIC_KEY": (Reason.KEY_REFUSED, Detail.SIGNATURE),
        "INVALID_TIMESTAMP": (Reason.KEY_REFUSED, Detail.CLOCK),
        "TOKEN_EXPIRED": (Reason.KEY_REFUSED, Detail.TOKEN_EXPIRED),
        **dict.fromkeys(("TOKEN_INVALID", "TOKEN_SUSPENDED"), (Reason.KEY_REFUSED, Detail.TOKEN_REFUSED)),
        **dict.fromkeys(
            ("UNAUTHORIZED", "NOT_AUTH", "CLIENT_NOT_FOUND", "CLIENT_INVALID", "INVALID_CLIENT"),
            (Reason.KEY_REFUSED, None),
        ),
        **dict.fromkeys(
            (
                *("CLIENT_NO_PERMISSION", "CLIENT_PRODUCT_NOT_SETUP", "INVALID_SCOPE", "NOT_SUBSCRIBE"),
                *("LOYALTY_NOT_SUBSCRIBED", "SUB_MERCHANT_DOES_NOT_ALLOWED_LOYALTY"),
                *("SUBSCRIPTION_EXPIRED", "SUBSCRIPTION_NOT_ACTIVE", "SUBSCRIPTION_NOT_FOUND"),
                *("MERCHANT_INACTIVE", "MERCHANT_NOT_ACTIVE", "MERCHANT_NOT_SETUP", "MERCHANT_SUSPENDED"),
            ),
            (Reason.ACCESS_REFUSED, None),
        ),
        # Of the token endpoint.
        **dict.fromkeys(("InvalidClient", "InvalidGrant", "InvalidScope"), (Reason.KEY_REFUSED, None)),
        **dict.fromkeys(("InActiveClient", "UnAuthorizedClient", "AccessDenied"), (Reason.ACCESS_REFUSED, None)),
    }
)
# A plain no, and why.
DECLINED: Mapping[str, Reason] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("VALIDATION_ERROR", "INVALID_PARAMETER", "INVALID_REQUEST", "INVALID_FORMAT", "INVALID_HTTP_METHOD"),
                *("METHOD_NOT_ALLOWED", "PAYMENT_CURRENCY_INVALID", "PAYMENT_UNSUPPORTED_CURRENCY_TYPE"),
                *("PAYMENT_AMT_INVALID", "MINIMUM_AMOUNT_REQUIRED", "API_ENDPOINT_NOT_FOUND", "SPENDING_NOT_FOUND"),
                *("LOYALTY_SPENDING_NOT_ALLOWED", "LOYALTY_QUANTITY_MAX", "LOYALTY_NOT_CORRECT_FORMAT", "API_INACTIVE"),
                *("MEMBER_TIER_NOT_FOUND", "MEMBER_REGISTERED", "LOYALTY_MEMBER_REGISTRATION_TOO_MANY"),
                *("GRANT_TYPE_INVALID", "InvalidRequest", "InvalidCode", "UnSupportedGrantType"),
                "UnSupportedResponseType",
            ),
            Reason.REFUSED,
        ),
        **dict.fromkeys(("MEMBER_NOT_FOUND", "MEMBER_NOT_MERCHANT"), Reason.CARD_UNKNOWN),
        **dict.fromkeys(("LOYALTY_INSUFFICIENT", "INSUFFICIENT_LOYALTY_BALANCE"), Reason.NOT_ENOUGH),
        **dict.fromkeys(("LOYALTY_SPENDING_NOT_FOUND", "LOYALTY_NOT_FOUND", "QR_INVALID"), Reason.ORIGINAL_UNKNOWN),
        **dict.fromkeys(("LOYALTY_POINT_ALREADY_REDEEMED", "QR_REDEEMED"), Reason.CLAIMED),
        "LOYALTY_EXPIRED": Reason.ENDED,
    }
)
# Perhaps done.
UNCLEAR: Mapping[str, Reason] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("INTERNAL_ERROR", "SYSTEM_ERROR", "OVERLOAD", "InternalError", "TemporaryUnAvailable"),
                # "Error in generating loyalty point", "Error in updating status": at work already when it went wrong.
                *("LOYALTY_GENERATE_ERROR", "LOYALTY_STATUS_ERROR"),
            ),
            Reason.SERVER_ERROR,
        ),
        "LOYALTY_POINT_IS_PROCESSING": Reason.PENDING,
        # ASSUMED name. What was sent has been there before: somebody between us repeated it, and it may be done.
        "DUPLICATE_REQUEST": Reason.DUPLICATE,
    }
)
THROTTLED = frozenset({"TOO_MANY_REQUEST_PER_SECOND", "EXCEEDED_LIMIT"})  # "Rate limit exceeded"
OTHER_TOKEN = frozenset({"TOKEN_EXPIRED", "TOKEN_INVALID"})

Data = Mapping[str, Any]


# ---- Whether a call was accepted ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reply:
    """An answer and its JSON object, or an empty one where HTTP alone says enough."""

    answer: HttpAnswer
    data: Data

    @property
    def error(self) -> Data:
        error = self.data.get("error")
        return error if isinstance(error, dict) else {}

    @property
    def code(self) -> str:
        """Of an error, "" where there is none."""
        code = self.error.get("code")
        return code if isinstance(code, str) else ""

    def words(self, reason: Reason, detail: Detail | None = None, text: str | None = None) -> dict[str, Any]:
        said = self.error.get("message")
        shown = " ".join(filter(None, (self.code, said if isinstance(said, str) else "")))
        return {
            "reason": reason,
            "detail": detail,
            "provider_text": self.answer.redact(shown if text is None else text),
            "retry_after": self.answer.retry_after(),
        }


def wants_another_token(answer: HttpAnswer) -> bool:
    """Whether it was refused for the token alone, before anything was done."""
    return answer.status == 401 and _reply(answer).code in OTHER_TOKEN


def accepted(answer: HttpAnswer, verb: str) -> Data:
    """The object of an answer with every sign of success. Raises what any other means."""
    reply = _reply(answer)
    if answer.status == 200 and reply.data.get("code") == "SUCCESS" and not reply.data.get("error"):
        return reply.data
    if answer.status < 400:
        # Two hundred, and yet an error or another code beside it: it contradicts itself.
        raise Unclear(**reply.words(Reason.UNREADABLE))
    raise _failure(reply, verb)


def _failure(reply: _Reply, verb: str) -> Failure:
    status, code = reply.answer.status, reply.code
    if status >= 500 or status == 408:
        return Unclear(**reply.words(Reason.SERVER_ERROR))
    if status == 429 or code in THROTTLED:
        # Nothing says that it is decided before the work, so it proves nothing for verbs that move value.
        return (Unclear if verb in MOVES_VALUE else Declined)(**reply.words(Reason.THROTTLED))
    if code in MISCONFIGURED:
        return Misconfigured(**reply.words(*MISCONFIGURED[code]))
    if code == "LOYALTY_STATUS_ERROR" and verb == "void":
        return Declined(**reply.words(Reason.TOO_LATE))
    if code in UNCLEAR:
        return Unclear(**reply.words(UNCLEAR[code]))
    if code in DECLINED:
        return Declined(**reply.words(DECLINED[code]))
    if not code and status in (401, 403):
        reason = Reason.KEY_REFUSED if status == 401 else Reason.ACCESS_REFUSED
        return Misconfigured(**reply.words(reason))
    # Any proxy says 404; and of a code that is in no list nobody knows what it means for the work.
    return Unclear(**reply.words(Reason.UNKNOWN_WORD if code else Reason.UNREADABLE))


def _reply(answer: HttpAnswer) -> _Reply:
    return _Reply(answer, read_object(answer.body))


def read_token(answer: HttpAnswer) -> tuple[str, int]:
    """A new token and for how many seconds it is good. Raises Misconfigured, Declined or Unclear."""
    reply = _reply(answer)
    if answer.status == 200 and not reply.data.get("error"):
        token, seconds = reply.data.get("accessToken"), reply.data.get("expiresIn")
        if isinstance(token, str) and re.fullmatch("[!-~]{1,8192}", token) and is_whole(seconds) and seconds > 0:
            return token, seconds
    if answer.status < 400:
        raise Unclear(**reply.words(Reason.UNREADABLE, text=""))
    raise _failure(reply, "balance")


# ---- What was asked for ------------------------------------------------------------------------------------


def read_points(answer: HttpAnswer) -> Points:
    """How many points a purchase would give. Raises any Failure."""
    item = _item(accepted(answer, "balance"))
    return _points(item.get("point"))


def read_id(answer: HttpAnswer, verb: str) -> str:
    """The id of an award, "" where none is told: only one page of 2020 shows it. Raises any Failure."""
    id = _item(accepted(answer, verb)).get("id")
    return id if isinstance(id, str) and CODE_ID.fullmatch(id) else ""


def read_code(answer: HttpAnswer) -> tuple[str, str]:
    """Id and address of a new code. The id is not the address's end. Raises any Failure."""
    item = _item(accepted(answer, "issue_code"))
    id, address = item.get("id"), item.get("qrCodeUrl")
    if (
        not (isinstance(id, str) and CODE_ID.fullmatch(id))
        or not isinstance(address, str)
        or not CODE_ADDRESS.fullmatch(address)
    ):
        raise unreadable()
    return id, address


def read_news(document: Data, nonce: str) -> News:
    """What a message says that the provider sent by itself; nothing, where it is none that we know."""
    told = document.get("data")
    if document.get("eventType") != CLAIMED or not isinstance(told, dict) or told.get("status") != REDEEMED:
        return News(nonce=nonce)
    id, amount, points = told.get("id"), told.get("amount"), told.get("point")
    if not (isinstance(id, str) and CODE_ID.fullmatch(id)):
        return News(nonce=nonce)
    return News(
        nonce=nonce,
        claimed=id,
        amount=Money(amount, "MYR") if is_whole(amount) and 0 < amount <= HARD_CAP else None,
        points=Points(points) if is_whole(points) and 0 <= points <= HARD_CAP else None,
    )


def read_member(answer: HttpAnswer, *, number: str, phone: str) -> Reading:
    """What a look-up says of the member `number`, or of the one with the national number `phone`, which the profile's
    page does not have the answer repeat. Raises any Failure."""
    try:
        item = _item(accepted(answer, "balance"))
    except Declined as no:
        if no.reason is Reason.CARD_UNKNOWN:
            return Reading(status=CardStatus.NOT_FOUND)
        raise
    said, asked = (item.get("phoneNumber", phone), phone) if phone else (item.get("id"), number)
    if said != asked:
        raise Unclear(reason=Reason.MISMATCH if isinstance(said, str) else Reason.UNREADABLE)
    points = _points(item.get("loyaltyPointBalance" if phone else "loyaltyPoint"))
    word = item.get("status")
    return Reading(
        status=CardStatus.USABLE if points.count else CardStatus.EMPTY,
        balances=(Balance(POINTS, points),),
        status_word=clean(word, limit=40) if isinstance(word, str) else "",
        customer=_customer(item),
    )


def member_id(answer: HttpAnswer) -> str:
    """The ID in a profile, "" where none is told, as in the printed one. Raises any Failure."""
    id = _item(accepted(answer, "balance")).get("id")
    return id if isinstance(id, str) and re.fullmatch("[1-9][0-9]{0,19}", id) else ""


def has_phone(answer: HttpAnswer, *, number: str, country: str, phone: str) -> bool:
    """Whether the member `number` is the one with this phone number. Raises any Failure."""
    item = _item(accepted(answer, "balance"))
    return (item.get("id"), item.get("countryCode"), item.get("phoneNumber")) == (number, country, phone)


def _customer(item: Data) -> CustomerDetails | None:
    told = {ours: item.get(theirs) for ours, theirs in (("first_name", "name"), ("email", "email"))}
    known = {name: clean(text, limit=100) for name, text in told.items() if isinstance(text, str) and text}
    return CustomerDetails(**known) if known else None


def _item(data: Data) -> Data:
    item = data.get("item")
    return item if isinstance(item, dict) else {}


def _points(count: object) -> Points:
    if not is_whole(count) or not 0 <= count <= HARD_CAP:
        raise unreadable()
    return Points(count)
