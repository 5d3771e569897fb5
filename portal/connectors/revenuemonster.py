"""Revenue Monster: points for a purchase, given to a member, to a phone number, or through a code that is scanned.

    POST   {oauth_url}/v1/token                             client credentials; a token for thirty days
    POST   {base_url}/v3/loyalty/spending-reward            the points for a purchase; also /calculate and /cancel
    POST   {base_url}/v3/loyalty/reward                     so many points; DELETE, with a body, takes them away
    GET    {base_url}/v3/loyalty/member/{id}                what a member has; /v3/loyalty/me?… by phone number

From the provider's document: the award in its three ways, its fields and answers, MYR alone. From its public pages: the
token, how requests are signed, every other call, that amounts are in sen. ASSUMED, since no document says: that a
number without a country is a Malaysian one, and what an error code proves (see the answers).

There is no reference and no way to ask how an award ended: one operation is sent once, and what is not known then is
for a person. An award through a code gives nothing until somebody scans it, and no call asks what became of a code: it
is learnt from what the provider tells by itself (`hear`), or from how it refuses to cancel it.
"""

import base64
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import phonenumbers

from portal.connectors import revenuemonster_signing as signing
from portal.connectors.base import (
    AwardRequest,
    BadNumber,
    BalanceRequest,
    CodeRequest,
    Connector,
    Declined,
    Detail,
    News,
    PointsRequest,
    Reading,
    Reason,
    Receipt,
    Settles,
    Step,
    Unclear,
    Unproved,
    VoidRequest,
    Words,
)
from portal.connectors.failures import bad_input, never_begun
from portal.connectors.fields import Message, Sentence
from portal.connectors.http import HttpAnswer, HttpRequest
from portal.connectors.revenuemonster_answers import (
    CODE_ID,
    PRIVATE_MEMBERS,
    accepted,
    has_phone,
    member_id,
    read_code,
    read_id,
    read_member,
    read_news,
    read_points,
    read_token,
    wants_another_token,
)
from portal.connectors.revenuemonster_settings import (
    CURRENCY,
    PRODUCTION,
    PRODUCTION_OAUTH,
    SANDBOX,
    SANDBOX_OAUTH,
    Paid,
    RevenueMonsterSettings,
)
from portal.connectors.strict_json import read_object
from portal.connectors.tokens import Tokens, with_token
from portal.money import Money, Points

SPENDING, REWARD = "/v3/loyalty/spending-reward", "/v3/loyalty/reward"
TOLERANCE = 120  # seconds that a signature may be old or early
REGION = "MY"
SHORTEST_ID, LONGEST_ID = 13, 20  # ASSUMED; samples have 19 digits, and no phone number has so many
MEMBER = re.compile(f"[1-9][0-9]{{{SHORTEST_ID - 1},{LONGEST_ID - 1}}}")
A_RINGGIT = Money(100, CURRENCY)
NONCE = re.compile("[!-~]{8,100}")  # ASSUMED lengths; samples have 32 letters


@dataclass(frozen=True)
class _Whom:
    """A member by number, or by phone number as the provider wants it: the country's code and the national number."""

    id: str = ""
    country: str = ""
    phone: str = ""

    @property
    def fields(self) -> dict[str, str]:
        if self.id:
            return {"type": "ID", "memberId": self.id}
        return {"type": "PHONENUMBER", "countryCode": self.country, "phoneNumber": self.phone}

    @property
    def secrets(self) -> dict[str, str]:
        return {"number": self.id} if self.id else {"number": self.phone}


NOBODY = _Whom()


class RevenueMonster(Connector):
    """Revenue Monster, for looking members up, giving and taking points, and codes that give them."""

    slug = "revenuemonster"
    name = "Revenue Monster"
    hosts = MappingProxyType(
        {
            "sandbox": {"base_url": SANDBOX, "oauth_url": SANDBOX_OAUTH},
            "live": {"base_url": PRODUCTION, "oauth_url": PRODUCTION_OAUTH},
        }
    )
    have_ready = (
        Sentence(
            "The client ID and client secret of your application at Revenue Monster: one for tests, one for real."
        ),
        Sentence(
            "The file with the private key whose public half you entered there. If you have none yet, make a pair of"
            " RSA keys with 2048 bits."
        ),
        Sentence("Revenue Monster’s own public key, from the same page, if points are to be given through codes."),
    )
    countries = frozenset({"MY"})
    Settings = RevenueMonsterSettings
    settings: RevenueMonsterSettings
    # No reference, no way to ask, and an award looks like any other.
    settles = Settles.BY_PERSON
    whole_numbers = True
    names_members = True
    extras = MappingProxyType({"award": Paid, "issue_code": Paid})
    CONNECT_SECONDS = 5.0
    TOTAL_SECONDS = 20.0
    marks = frozenset({"accessToken", "error", "item"})
    clock_tolerance = TOLERANCE
    tells = True
    words = MappingProxyType(
        {
            Reason.ACCESS_REFUSED: Words(
                "%(provider)s knows our credentials and does not let them give points.",
                "Ask %(provider)s whether the loyalty programme is subscribed and your application may manage it.",
            ),
            Detail.SIGNATURE: Words(
                "%(provider)s finds our signature wrong.",
                "Enter the public half of your private key in your application there, that of the sandbox.",
                "Enter the public half of your private key in your application there, the one for real points.",
            ),
        }
    )

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        known = self.settings
        self.tokens: Tokens = self.token_store((known.oauth_url, known.client_id, known.client_secret))

    @classmethod
    def step(cls, method: str, url: str) -> Message | None:
        """The token's call; every other is named by what it is made for."""
        return Message("Asked %(connection)s to let us in") if url.endswith("/v1/token") else None

    @classmethod
    def clean_number(cls, typed: str, options: Mapping[str, object]) -> str:
        """A member's ID as it is, or a phone number with + and its country's code. Raises BadNumber."""
        bare = re.sub(r"[ ()/.\u00a0-]", "", typed[:200].strip())
        if MEMBER.fullmatch(bare):
            return bare
        if not re.fullmatch(r"\+?[0-9]+", bare):
            raise BadNumber("Type a phone number, or a member ID of at least %(count)d digits.", count=SHORTEST_ID)
        tries = [bare, f"+{bare}"] if re.fullmatch("[1-9][0-9]*", bare) else [bare]
        for each in tries:
            try:
                number = phonenumbers.parse(each, REGION)
            except phonenumbers.NumberParseException:
                continue
            if phonenumbers.is_valid_number(number):
                return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        raise BadNumber("Type a phone number, or a member ID of at least %(count)d digits.", count=SHORTEST_ID)

    @classmethod
    def warning(cls, verb: str, extra: Mapping[str, object]) -> Message | None:
        """Whoever paid with WeChat Pay may have their points already."""
        if verb in cls.extras and extra.get("paid_with") == "wechat_oa":
            return Message("%(provider)s has probably given these points already: WeChat Pay does so by itself.")
        return None

    @classmethod
    def is_heard(cls, options: Mapping[str, object]) -> bool:
        """With the provider's public key alone."""
        return bool(options.get("public_key"))

    @classmethod
    def hear(cls, options: Mapping[str, object], headers: Mapping[str, str], body: bytes, now: datetime) -> News:
        """A message signed by the provider's key less than two minutes ago. ASSUMED: what one about a code says."""
        nonce, timestamp = headers.get("X-Nonce-Str", ""), headers.get("X-Timestamp", "")
        if not NONCE.fullmatch(nonce) or not re.fullmatch("[0-9]{1,11}", timestamp):
            raise Unproved
        if abs(now.timestamp() - int(timestamp)) > TOLERANCE:
            raise Unproved
        document = read_object(body)
        if not document:
            raise Unproved
        try:
            signed = signing.signed_text(signing.canonical(document), method="post", nonce=nonce, timestamp=timestamp)
            proved = signing.verifies(signed, headers.get("X-Signature", ""), str(options.get("public_key") or ""))
        except signing.BadKey:
            raise Unproved from None
        if not proved:
            raise Unproved
        return read_news(document, nonce)

    def check(self) -> Iterator[Step]:
        """Fetches a token and asks what a purchase of one ringgit would give: only that is signed with our key."""
        ends = self._ends()
        token, seconds = self._token(ends)
        self.tokens.keep(token, seconds=seconds)
        yield Step.REACHABLE
        answer = self._calculate(A_RINGGIT, ends)
        accepted(answer, "balance")
        yield Step.ACCEPTED
        read_points(answer)
        yield Step.READS

    def balance(self, request: BalanceRequest) -> Reading:
        """What a member has. Raises any Failure but Unsupported; BAD_INPUT before anything is sent."""
        if request.extra is not None:
            raise bad_input()
        whom = self._whom(request.number)
        return read_member(self._look_up(whom, self._ends()), number=whom.id, phone=whom.phone)

    def predict(self, amount: Money) -> Points:
        """By the merchant's rule at the provider; what a member's tier adds is not in it."""
        return read_points(self._calculate(self._amount(amount), self._ends()))

    def award(self, request: AwardRequest) -> Receipt:
        """Gives a member the points for a purchase. How many, the answer does not tell."""
        self._refuse_foreign("award", request.extra)
        body = {**self._spending(request.amount), **self._whom(request.number).fields}
        return self._given("award", "POST", SPENDING, body, request.number)

    def issue_code(self, request: CodeRequest) -> Receipt:
        """Makes a code; its id cancels it."""
        self._refuse_foreign("issue_code", request.extra)
        body = {**self._spending(request.amount), "type": "QRCODE"}
        answer = self._call("POST", SPENDING, NOBODY, self._ends(), body=body, moves=True)
        id, code = read_code(answer)
        return Receipt(provider_reference=id, code=code, raw=answer.kept)

    def void(self, request: VoidRequest) -> Receipt:
        """Cancels a code that nobody has scanned."""
        if request.extra is not None or request.number or not CODE_ID.fullmatch(request.original):
            raise bad_input()
        self._amount(request.amount)
        answer = self._call(
            "POST", f"{SPENDING}/cancel", NOBODY, self._ends(), body={"id": request.original}, moves=True
        )
        accepted(answer, "void")
        return Receipt(provider_reference=request.original, raw=answer.kept)

    def issue_points(self, request: PointsRequest) -> Receipt:
        """Gives a member so many points."""
        self._refuse_foreign("issue_points", request.extra)
        body = {"point": request.points.count, **self._whom(request.number).fields}
        return self._given("issue_points", "POST", REWARD, body, request.number)

    def redeem_points(self, request: PointsRequest) -> Receipt:
        """Takes so many points from a member. The call takes a member's ID alone, so that of a phone number is asked
        for before, and made sure of."""
        self._refuse_foreign("redeem_points", request.extra)
        ends, whom = self._ends(), self._whom(request.number)
        id = whom.id or self._id_of(whom, ends)
        body = {"point": request.points.count, "memberId": id}
        return self._given("redeem_points", "DELETE", REWARD, body, id, ends=ends)

    def _given(
        self, verb: str, method: str, path: str, body: Mapping[str, Any], number: str, *, ends: float | None = None
    ) -> Receipt:
        answer = self._call(method, path, self._whom(number), ends or self._ends(), body=body, moves=True)
        return Receipt(provider_reference=read_id(answer, verb), raw=answer.kept)

    def _id_of(self, whom: _Whom, ends: float) -> str:
        """The ID of the member with a phone number: what the profile tells, where the member of that ID says the same.
        Raises Declined (MEMBER_WANTED) where nobody can tell; anything that fails here moved nothing."""
        try:
            id = member_id(self._look_up(whom, ends))
            told = _Whom(id=id)
            if id and has_phone(self._look_up(told, ends), number=id, country=whom.country, phone=whom.phone):
                return id
        except Unclear as failure:
            raise never_begun(failure) from None
        except Declined as failure:
            if failure.reason is Reason.THROTTLED:
                raise never_begun(failure) from None
            raise
        raise Declined(reason=Reason.MEMBER_WANTED)

    # ---- What goes into a request; BAD_INPUT for what cannot ------------------------------------------------

    def _whom(self, number: str) -> _Whom:
        try:
            clean = self.clean_number(number, {})
        except BadNumber:
            raise bad_input() from None
        if not clean.startswith("+"):
            return _Whom(id=clean)
        parsed = phonenumbers.parse(clean)
        return _Whom(country=str(parsed.country_code), phone=phonenumbers.national_significant_number(parsed))

    def _amount(self, amount: Money) -> Money:
        if amount.currency != CURRENCY:
            raise bad_input()
        return amount

    def _spending(self, amount: Money) -> dict[str, object]:
        return {"currencyType": CURRENCY, "amount": self._amount(amount).minor}

    # ---- Calls -------------------------------------------------------------------------------------------

    def _calculate(self, amount: Money, ends: float) -> HttpAnswer:
        return self._call("POST", f"{SPENDING}/calculate", NOBODY, ends, body=self._spending(amount))

    def _look_up(self, whom: _Whom, ends: float) -> HttpAnswer:
        if whom.id:
            return self._call("GET", f"/v3/loyalty/member/{whom.id}", whom, ends)
        query = urlencode({"countryCode": whom.country, "phoneNumber": whom.phone})
        return self._call("GET", f"/v3/loyalty/me?{query}", whom, ends)

    def _call(
        self,
        method: str,
        path: str,
        whom: _Whom,
        ends: float,
        *,
        body: Mapping[str, object] | None = None,
        moves: bool = False,
    ) -> HttpAnswer:
        """One signed call. Raises any Failure."""

        def send(token: str) -> HttpAnswer:
            return self._exchange(method, path, token, whom, ends, body, moves)

        return with_token(self.tokens, lambda: self._token(ends), send, wants_another_token, ends=ends, moves=moves)

    def _token(self, ends: float) -> tuple[str, int]:
        """A token and for how many seconds it is good. Raises any Failure."""
        pair = f"{self.settings.client_id}:{self.settings.client_secret}"
        headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        body = signing.canonical({"grantType": "client_credentials"})
        return read_token(self._send("POST", f"{self.settings.oauth_url}/v1/token", headers, body, {}, ends, False))

    def _exchange(
        self,
        method: str,
        path: str,
        token: str,
        whom: _Whom,
        ends: float,
        body: Mapping[str, object] | None,
        moves: bool,
    ) -> HttpAnswer:
        url = f"{self.settings.base_url}{path}"
        sent = b"" if body is None else signing.canonical(body)
        nonce, timestamp = secrets.token_hex(16), str(int(datetime.now(UTC).timestamp()))
        signed = signing.signed_text(sent, method=method, nonce=nonce, timestamp=timestamp, url=url)
        headers = {
            "Authorization": f"Bearer {token}",
            "X-Nonce-Str": nonce,
            "X-Timestamp": timestamp,
            "X-Signature": signing.sign(signed, self.settings.private_key),
        }
        return self._send(method, url, headers, sent, {"token": token, **whom.secrets}, ends, moves)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        private: Mapping[str, str],
        ends: float,
        moves: bool,
    ) -> HttpAnswer:
        return self.wire.exchange(
            HttpRequest(
                method=method,
                url=url,
                headers={**headers, "Content-Type": "application/json", "Accept": "application/json"},
                body=body,
                unrecorded=frozenset({"x-signature"}),  # what it proves stands beside it
            ),
            secrets={"secret": self.settings.client_secret, **private},
            deadline=max(ends - time.monotonic(), 0.0),
            connect_timeout=self.connect_seconds,
            moves_value=moves,
            on_exchange=self.on_exchange,
            # Where a phone number is asked about, ID and key in the answer name the same person again.
            hidden=(*PRIVATE_MEMBERS, "id", "key") if "/v3/loyalty/me?" in url else PRIVATE_MEMBERS,
        )
