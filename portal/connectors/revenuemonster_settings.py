"""What a connection to Revenue Monster is set up with, and what an award there is asked besides.

From the provider's document: MYR alone. From its public pages: the credentials, and the keys that sign.
"""

import re
from dataclasses import dataclass

from portal.connectors import revenuemonster_signing as signing
from portal.connectors.fields import Extra, Refused, Settings, address, choice, secret, text

SANDBOX, PRODUCTION = "https://sb-open.revenuemonster.my", "https://open.revenuemonster.my"
SANDBOX_OAUTH, PRODUCTION_OAUTH = "https://sb-oauth.revenuemonster.my", "https://oauth.revenuemonster.my"
CURRENCY = "MYR"  # the only one, by the document


def _base_url(url: str) -> str:
    path = re.sub("^[^/]*//[^/]*", "", url)
    if re.search("/v[13](?:/|$)", path):
        raise Refused("Type only what stands before /v3 and /v1.")
    if not re.fullmatch("(?:/[A-Za-z0-9_-]+)*", path):
        raise Refused("Type an address such as https://sb-open.revenuemonster.my.")
    return url


def _credential(value: str) -> str:
    if not re.fullmatch("[!-9;-~]+", value):  # a colon would end the client ID in the header
        raise Refused("It must not contain spaces, line breaks, colons or letters with accents.")
    return value


def _private_key(typed: str) -> str:
    try:
        return signing.private_key(typed)
    except signing.BadKey as bad:
        raise Refused(bad.args[0]) from None


def _public_key(typed: str) -> str:
    try:
        return signing.public_key(typed)
    except signing.BadKey as bad:
        raise Refused(bad.args[0]) from None


def _currency(code: str) -> str:
    if code != CURRENCY:
        raise Refused("Revenue Monster gives points for purchases in MYR alone.")
    return code


@dataclass(frozen=True, kw_only=True)
class RevenueMonsterSettings(Settings):
    """One connection to Revenue Monster: one merchant's application, in the sandbox or for real."""

    # Without a default on purpose: production is chosen, never fallen into.
    base_url: str = address(
        label="Address of the API",
        help=f"{SANDBOX} for the sandbox, {PRODUCTION} for real points.",
        check=_base_url,
    )
    oauth_url: str = address(
        label="Address of the token service",
        help=f"{SANDBOX_OAUTH} for the sandbox, {PRODUCTION_OAUTH} for real points.",
        check=_base_url,
    )
    client_id: str = text(label="Client ID", help="Of your application, a long number.", maximum=64, check=_credential)
    client_secret: str = secret(label="Client secret", maximum=512, check=_credential)
    private_key: str = secret(
        label="Private key",
        help="Signs every request. Its public half stands in your application at Revenue Monster.",
        maximum=16384,
        check=_private_key,
    )
    public_key: str = text(
        label="Revenue Monster’s public key",
        help="From your application’s page. Without it nobody believes what they tell us about a code.",
        maximum=4096,
        check=_public_key,
        default="",
    )
    currency: str = text(label="Currency", maximum=3, check=_currency, default=CURRENCY)


@dataclass(frozen=True, kw_only=True)
class Paid(Extra):
    """How the customer paid: one way gives points by itself, and then nobody may give them again."""

    paid_with: str = choice(
        label="How did the customer pay?",
        choices=(
            ("wechat_oa", "WeChat Pay, and our official account there gives points"),
            ("wechat", "WeChat Pay, without such an account"),
            ("other", "Another wallet, a card or cash"),
        ),
    )
