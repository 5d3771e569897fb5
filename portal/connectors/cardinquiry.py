"""CardInquiry: looks up one card by its number, or the end of it, and its password; so looked up, it pays a sale.

    GET {base_url}/CardInquiry/{number}?pass={password}        X-Api-Key: {key}
    POST {base_url}/SaleCreate                                  see `cardinquiry_sales`

From the provider's CardInquiry document: that address, the five status words, UsageToken, the browser key's
"VisibleKey", and that a server must pass on the shopper's browser. From the vendor's public pages: the key's
header, the HTTP statuses, error packets, CallerHandling. ASSUMED, since no document says: the names of all
other fields, how the browser is passed on, the shapes of "not found", and from which length on a number is the whole
one; each is a named constant or a setting below.
"""

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import quote, urlencode

from portal.connectors import cardinquiry_sales
from portal.connectors.base import (
    BadNumber,
    BalanceRequest,
    CardStatus,
    ClientContext,
    Connector,
    Declined,
    Misconfigured,
    PayRequest,
    Reading,
    Reason,
    Receipt,
    Settings,
    Settles,
    Step,
    Unclear,
    Words,
)
from portal.connectors.browser import forwardable
from portal.connectors.cardinquiry_answers import PRIVATE_MEMBERS, error_packet, is_cards, message, read_cards
from portal.connectors.failures import bad_input, unreadable
from portal.connectors.fields import Message, Refused, Sentence, address, choice, number, secret, switch, text
from portal.connectors.http import HttpAnswer, HttpRequest
from portal.connectors.redaction import clean
from portal.connectors.strict_json import read_json
from portal.money import MoneyError, minor_digits

MINIMUM, LONGEST_NUMBER = 4, 40  # the document: the last 4 or 5 characters
CHECK_PIN = "0000"  # typed for nobody's card
LONGEST_PIN = 64  # far above any password printed on a card
LONGEST_KEY = 512  # about 40 is suggested by the vendor; 512 leaves room for keys it makes itself


def _base_url(url: str) -> str:
    path = re.sub("^[^/]*//[^/]*", "", url)
    if "$" in path:
        # OpenApi_{Rm}$R{time}$${token}: the vendor's pages know it, but a URL ends up in logs.
        raise Refused("This address contains an access token. Type the address without it.")
    if not re.fullmatch("(?:/[A-Za-z0-9_,~-][A-Za-z0-9._,~-]*)*", path):
        raise Refused("Type an address such as https://cards.example.com/OpenApi2.")
    return url


def _server_key(key: str) -> str:
    if "visiblekey" in key.lower():
        raise Refused("This is the browser key. Ask your provider for the server key.", reason=Reason.WRONG_KEY)
    # The vendor's keys may hold any of \|{}[]/ besides what users may choose, so: all that is printable
    # ASCII.
    if not re.fullmatch("[!-~]+", key):
        raise Refused("The key must not contain spaces, line breaks or letters with accents.")
    return key


# The document's second way: "directly call this API from the client browser". What comes is shown as text, not as HTML.
_SNIPPET = """<form id="card-balance" autocomplete="off">
  <label>Card number <input name="card" required></label>
  <label>Password <input name="pass" required></label>
  <button>Show the balance</button>
  <p role="status"></p>
</form>
<script>
{
  const form = document.getElementById("card-balance");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = form.querySelector("[role=status]");
    const { card, pass } = Object.fromEntries(new FormData(form));
    said.textContent = "One moment…";
    try {
      const answer = await fetch(%(url)s + encodeURIComponent(card) + "?pass=" + encodeURIComponent(pass), {
        headers: { "X-Api-Key": %(key)s },
        referrerPolicy: "no-referrer",
      });
      const cards = answer.ok && (await answer.json()).data?.Cards;
      const found = cards?.length === 1 && ["ok", "zero", "expired"].includes(cards[0].Status) && cards[0];
      said.textContent = found
        ? (found.Status === "expired" ? "This card has expired." : "Balance: " + (found.Balance ?? "ask in the shop"))
        : cards?.[0]?.Status === "needfullcode" ? "Please type the whole number."
        : "We could not show a balance for these details.";
    } catch {
      said.textContent = "The card system does not answer. Your money is safe.";
    }
  });
}
</script>"""


def _in_a_script(text: str) -> str:
    """As a JavaScript string that cannot end the script it stands in."""
    return json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _check_number(typed: str) -> str:
    return CardInquiry.clean_number(typed, {"minimum_length": MINIMUM})


def _currency(code: str) -> str:
    try:
        minor_digits(code)
    except MoneyError as error:
        raise Refused(str(error)) from None
    return code


@dataclass(frozen=True, kw_only=True)
class CardInquirySettings(Settings):
    """One connection to a CardInquiry provider."""

    base_url: str = address(
        label="Address of the API",
        help="Without /CardInquiry, e.g. https://cards.example.com/OpenApi2",
        check=_base_url,
    )
    api_key: str = secret(
        label="Server key",
        help="Not the browser key, which contains the words VisibleKey.",
        maximum=LONGEST_KEY,
        check=_server_key,
    )
    currency: str = text(
        label="Currency",
        help="The three letters of the cards' currency, e.g. EUR.",
        maximum=3,
        check=_currency,
    )
    # The document says 4 or 5, a public guide at least 5: 4 is allowed, 5 the default.
    minimum_length: int = number(
        label="Shortest card number",
        help="How many characters must be typed at least. More are safer.",
        minimum=MINIMUM,
        maximum=LONGEST_NUMBER,
        default=5,
    )
    # ASSUMED: no card ends so. One that did would be asked for with a wrong password.
    check_number: str = text(
        label="Card number for tests",
        help="Asked for when the connection is tested. It need not exist.",
        maximum=LONGEST_NUMBER,
        check=_check_number,
        default="TILLSIDETEST",
    )
    # ASSUMED: a hyphen may be part of the number, so what was typed is left alone unless the merchant knows
    # better.
    keep_hyphens: bool = switch(label="Hyphens are part of the number", default=True)
    password_required: bool = switch(label="Cards have a password", default=True)
    # ASSUMED: field names for OpenApi are not published. The header form suits the documented GET; the JSON
    # form has the names of the vendor's older API.
    client_context_mode: str = choice(
        label="How the shopper's browser is passed on",
        choices=(
            ("prefixed_headers", "As headers X-Client-Ip and X-Client-Header-…"),
            ("json_body", "As JSON fields client_Ip, client_UserAgent and client_Headers"),
            ("none", "Not at all"),
        ),
        default="prefixed_headers",
    )
    # "Individual retailers may impose additional conditions" (CardInquiry document, "Advanced Notes").
    client_context_required: bool = switch(label="Refuse look-ups without the shopper's browser", default=False)
    # A sale has lines, and a line has a product: the shop's own number for what a card's payment is booked under.
    product: int = number(
        label="Product number for payments",
        help="What a payment by card is booked under, by its number (Pid). 0: no payments are taken here.",
        minimum=0,
        maximum=999_999_999,
        default=0,
    )
    # ASSUMED: how a card's payment is called in a sale. Which of the two is the retailer's.
    payment_type: str = choice(
        label="How a payment by card is called in a sale",
        choices=((cardinquiry_sales.PREPAY, "Prepay card"), (cardinquiry_sales.VOUCHER, "Voucher")),
        default=cardinquiry_sales.PREPAY,
    )
    # ASSUMED: only where the answer names the card's number do we know it for certain; else its length has to tell.
    whole_length: int = number(
        label="Length of a whole card number",
        help="A number of so many characters is taken for the whole one. Only cards known by it can pay.",
        minimum=MINIMUM,
        maximum=LONGEST_NUMBER,
        default=12,
    )


class CardInquiry(Connector):
    """A CardInquiry provider, for looking cards up and for sales they pay."""

    slug = "cardinquiry"
    name = "CardInquiry"
    have_ready = (
        Sentence("The address of your CardInquiry API. Whoever runs your cards has it; often it ends in /OpenApi2."),
        Sentence("A server key for it, from the same people. The key meant for browsers will not do."),
        Sentence("The currency your cards are in."),
        Sentence("If the cards are to pay: the number of the product that payments are booked under (Pid)."),
    )
    countries = frozenset({"NZ"})
    Settings = CardInquirySettings
    settings: CardInquirySettings
    settles = Settles.BY_RESENDING
    by_usage_token = frozenset({"pay"})
    marks = frozenset({"Cards", "error"})
    words = MappingProxyType(
        {
            # Anything may be answered with 403, a wrong key as well.
            Reason.ACCESS_REFUSED: Words(
                "%(provider)s refuses us access.",
                "Copy the server key of the test environment again, and if it is right, ask for access to CardInquiry.",
                "Copy the server key again, the live one, and if it is right, ask for access to CardInquiry.",
            ),
            Reason.KEY_REFUSED: Words(
                "%(provider)s does not accept our key.",
                "Copy the server key of the test environment again: a live one is not accepted there.",
                "Copy the server key again, the live one: that of a test environment is not accepted for real cards.",
            ),
            Reason.WRONG_KEY: Words(
                "The stored key is the browser key: it contains the words VisibleKey.",
                "Ask your provider for the server key and type it instead.",
            ),
        }
    )

    has_browser_key = True

    @classmethod
    def browser_snippet(cls, options: Mapping[str, object], key: str) -> str:
        """A form and a script that ask with the browser key."""
        if "visiblekey" not in key.lower():
            raise Refused(
                "This is no browser key: it does not contain the words VisibleKey. Never put another key into a page.",
                reason=Reason.WRONG_KEY,
            )
        if not re.fullmatch("[!-~]+", key):
            raise Refused("The key must not contain spaces, line breaks or letters with accents.")
        return _SNIPPET % {"url": _in_a_script(f"{options['base_url']}/CardInquiry/"), "key": _in_a_script(key)}

    @classmethod
    def unable(cls, options: Mapping[str, object]) -> Mapping[str, Message]:
        """Without a product a sale has no line."""
        if options.get("product"):
            return {}
        return {"pay": Message("A payment at %(provider)s is booked under a product, and this connection names none.")}

    @classmethod
    def wants_pin(cls, options: Mapping[str, object]) -> bool:
        """Whether cards of this connection have a password, by its settings without the secrets."""
        return bool(options.get("password_required", CardInquirySettings.password_required))

    @classmethod
    def clean_number(cls, typed: str, options: Mapping[str, object]) -> str:
        """The number without surrounding space, spaces between groups and, by the settings, hyphens; nothing
        else is guessed: O stays O, case stays. Raises BadNumber."""
        minimum = options.get("minimum_length", CardInquirySettings.minimum_length)
        assert isinstance(minimum, int), "options come from Settings.options"
        if len(typed) > 4 * LONGEST_NUMBER:
            raise BadNumber("A card number has at most %(count)d characters.", count=LONGEST_NUMBER)
        bare = typed.strip(" \t\r\n").replace(" ", "")
        if not options.get("keep_hyphens", CardInquirySettings.keep_hyphens):
            bare = bare.replace("-", "")
        # Not isalnum(): that takes the digits and letters of every script.
        if not re.fullmatch("[A-Za-z0-9-]*", bare):
            raise BadNumber("A card number has only letters A to Z, digits and hyphens.")
        if len(bare) < minimum:
            raise BadNumber("Type at least %(count)d characters of the card number.", count=minimum)
        if len(bare) > LONGEST_NUMBER:
            raise BadNumber("A card number has at most %(count)d characters.", count=LONGEST_NUMBER)
        return bare

    def check(self) -> Iterator[Step]:
        """Looks up a card that need not exist. Only a look-up that was carried out counts: neither a 404, which a
        wrong address or the vendor's firewall answers, nor an error packet."""
        number = self.settings.check_number
        answer = self._ask(number, CHECK_PIN, None)
        document = read_json(answer.body) if answer.status == 200 else None
        if said := error_packet(document):
            raise Declined(reason=Reason.REFUSED, provider_text=answer.redact(said))
        if answer.status == 404:
            raise Unclear(reason=Reason.UNREADABLE)
        if answer.status == 200 and is_cards(document):
            yield Step.ACCEPTED
        self._read(answer, number)
        yield Step.READS

    def balance(self, request: BalanceRequest) -> Reading:
        """Looks up one card, once. Raises any Failure but Unsupported.

        BAD_INPUT is raised before anything is sent: a number or password that cannot be one, or no browser to
        pass on where this connection requires it.
        """
        number, client = self._checked(request)
        reading = self._read(self._ask(number, request.pin, client), number)
        return replace(reading, number=self._whole(number, reading))

    def letter(self, request: PayRequest) -> str:
        """The address of the sale and, in the next line, its body."""
        if not self.settings.product:
            raise Declined(reason=Reason.UNSUPPORTED)
        if request.extra is not None or request.amount.currency != self.settings.currency:
            raise bad_input()
        body = cardinquiry_sales.write(request, product=self.settings.product, kind=self.settings.payment_type)
        return f"{self._sales}\n{body}"

    def pay(self, request: PayRequest) -> Receipt:
        """Stores a sale that the card pays. The provider takes it once, however often it is sent. Raises any Failure.

        Unclear (MISMATCH) with nothing sent where the letter was for another address: its sale is not known here.
        """
        address, _, body = (request.letter or self.letter(request)).partition("\n")
        if address != self._sales:
            raise Unclear(reason=Reason.MISMATCH)
        headers = self._headers() | {"Content-Type": "application/json"}
        answer = self.wire.exchange(
            HttpRequest(method="POST", url=address, headers=headers, body=body.encode()),
            secrets={
                "key": self.settings.api_key,
                "number": request.number,
                "token": cardinquiry_sales.token_in(body),
            },
            deadline=self.total_seconds,
            connect_timeout=self.connect_seconds,
            moves_value=True,
            on_exchange=self.on_exchange,
            hidden=PRIVATE_MEMBERS,
        )
        return cardinquiry_sales.read(answer)

    @property
    def _sales(self) -> str:
        return f"{self.settings.base_url}/SaleCreate"

    def _whole(self, asked: str, reading: Reading) -> str:
        """The card's whole number, "" where that is not known: by its end alone two cards could be taken for one."""
        if reading.status not in (CardStatus.USABLE, CardStatus.EMPTY, CardStatus.EXPIRED):
            return ""
        try:
            if named := self.clean_number(reading.number, vars(self.settings) | {"minimum_length": 1}):
                return named
        except BadNumber:
            pass
        return asked if len(asked) >= self.settings.whole_length else ""

    def _ask(self, number: str, pin: str, client: ClientContext | None) -> HttpAnswer:
        return self.wire.exchange(
            self._request(number, pin, client),
            secrets={
                "key": self.settings.api_key,
                "number": number,
                "pin": pin,
                "address": client.address if client else "",
            },
            deadline=self.total_seconds,
            connect_timeout=self.connect_seconds,
            moves_value=False,
            on_exchange=self.on_exchange,
            hidden=PRIVATE_MEMBERS,
        )

    def _checked(self, request: BalanceRequest) -> tuple[str, ClientContext | None]:
        try:
            number = self.clean_number(request.number, vars(self.settings))
        except BadNumber:
            raise bad_input() from None
        pin = request.pin
        # A password is text and may be in any alphabet, but neither controls nor half a surrogate pair.
        if len(pin) > LONGEST_PIN or not pin.isprintable() or (self.settings.password_required and not pin):
            raise bad_input()
        client = request.client
        if self.settings.client_context_required and client is None:
            raise bad_input()
        if client is not None:
            try:
                ipaddress.ip_address(client.address)
            except ValueError:
                raise bad_input() from None
        return number, client if self.settings.client_context_mode != "none" else None

    def _headers(self) -> dict[str, str]:
        return {
            "X-Api-Key": self.settings.api_key,
            "Accept": "application/json",
            # "full": errors come back to us instead of being queued or smoothed over.
            "X-Fieldpine-CallerHandling": "full",
        }

    def _request(self, number: str, pin: str, client: ClientContext | None) -> HttpRequest:
        url = f"{self.settings.base_url}/CardInquiry/{quote(number, safe='')}"
        # urlencode, not joining: whatever the password holds stays inside its parameter.
        query = f"?{urlencode({'pass': pin}, quote_via=quote)}" if pin else ""
        headers = self._headers()
        if client is None:
            return HttpRequest(method="GET", url=url + query, headers=headers)
        if self.settings.client_context_mode == "json_body":
            body = json.dumps(_client_fields(client)).encode()
            headers["Content-Type"] = "application/json"
            # ASSUMED: the documented method stays GET, with the fields in its body.
            return HttpRequest(method="GET", url=url + query, headers=headers, body=body, record_body=False)
        browser = {"X-Client-Ip": client.address}
        browser |= {f"X-Client-Header-{name}": value for name, value in forwardable(client)}
        return HttpRequest(
            method="GET",
            url=url + query,
            headers=headers | browser,
            unrecorded=frozenset(name.lower() for name in browser),
        )

    def _read(self, answer: HttpAnswer, number: str) -> Reading:
        match answer.status:
            case 200:
                document = read_json(answer.body)
                if said := error_packet(document):
                    # ASSUMED: with 200 it is one more way to say "no such card"; real trouble comes with
                    # a status of its own. The message is kept for staff, who may see more in it.
                    return Reading(status=CardStatus.NOT_FOUND, description=clean(answer.redact(said), limit=200))
                return read_cards(document, number, self.settings.currency, answer.redact)
            case 400:
                raise Declined(reason=Reason.REFUSED, provider_text=message(answer))
            case 401:
                raise Misconfigured(reason=Reason.KEY_REFUSED, provider_text=message(answer))
            case 403:
                trace = answer.redact(answer.headers.get("x-fieldpine-trace", ""))
                raise Misconfigured(reason=Reason.ACCESS_REFUSED, provider_text=message(answer), trace=trace)
            case 404:  # the vendor's firewall may answer so at will
                return Reading(status=CardStatus.NOT_FOUND)
            case 429:
                raise Declined(reason=Reason.THROTTLED, provider_text=message(answer), retry_after=answer.retry_after())
            case status if status == 408 or status >= 500:
                raise Unclear(
                    reason=Reason.SERVER_ERROR,
                    provider_text=message(answer),
                    retry_after=answer.retry_after(),
                )
        raise unreadable()  # 202 (stored for later, which we never ask for) and the undocumented


def _client_fields(client: ClientContext) -> dict[str, object]:
    headers = dict(forwardable(client))
    return {
        "client_Ip": client.address,
        "client_UserAgent": headers.get("User-Agent", ""),
        "client_Headers": headers,
    }
