"""Five providers in one vocabulary. Knows neither Django nor the ledger; only this package opens connections
outward."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from portal.connectors.base import Connector, Misconfigured, SettingsError
from portal.connectors.cardinquiry import CardInquiry
from portal.connectors.http import Exchange, Wire
from portal.connectors.paywizard import PayWizard
from portal.connectors.revenuemonster import RevenueMonster
from portal.connectors.secuconnect import Secuconnect
from portal.connectors.tokens import TokenStore, own

__all__ = ["PROVIDERS", "connect", "provider_name"]

PROVIDERS: Mapping[str, type[Connector]] = MappingProxyType(
    {each.slug: each for each in (CardInquiry, PayWizard, RevenueMonster, Secuconnect)}
)
"""{slug: connector class}: every provider there is."""


def provider_name(slug: str) -> str:
    """What a provider calls itself; one that is here no more, its slug."""
    return PROVIDERS[slug].name if slug in PROVIDERS else slug


def connect(
    slug: str,
    settings: Mapping[str, object],
    *,
    wire: Wire,
    on_exchange: Callable[[Exchange], None] = lambda exchange: None,
    connect_seconds: float | None = None,
    total_seconds: float | None = None,
    environment: str = "",
    tokens: TokenStore = own,
) -> Connector:
    """A connector of one merchant's connection, ready to be asked; nothing is sent yet.

    `settings` are all of the connection's settings, opened secrets included. `on_exchange` gets the redacted
    record of every call. `environment` is the connection's, "sandbox" or "live"; `tokens` is where its access
    tokens are kept, by default with this connector alone. The limits, in seconds, are the provider's own unless given.
    Raises KeyError for an unknown `slug` and Misconfigured (SETTINGS, WRONG_KEY) for settings that do not pass.
    """
    provider = PROVIDERS[slug]
    try:
        parsed = provider.Settings.parse(settings)
    except SettingsError as error:
        raise Misconfigured(reason=error.reason) from error
    return provider(
        parsed,
        wire,
        on_exchange,
        connect_seconds=connect_seconds,
        total_seconds=total_seconds,
        environment=environment,
        tokens=tokens,
    )
