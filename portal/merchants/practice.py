"""Practice connections: to the sandboxes that imitate the providers, where nothing is real and everything can be tried.

Only where SANDBOX_URL names them. Called by workers and commands; the web only asks for it.
"""

import json
from collections.abc import Mapping
from urllib.request import ProxyHandler, build_opener

from django.conf import settings
from django.db import transaction

from portal.connectors import PROVIDERS
from portal.merchants import audit, connections, tenancy
from portal.merchants.models import Connection, Environment, Merchant

SECONDS = 5  # the sandbox is near


class NoSandbox(Exception):
    """There is no sandbox here, or it does not answer."""


def connect(merchant_id: int) -> None:
    """Connect this merchant to the sandboxes, where it has no connection yet. Raises NoSandbox."""
    opened = credentials()
    with tenancy.merchant(merchant_id), transaction.atomic(durable=True):
        merchant = Merchant.objects.select_for_update().get(pk=merchant_id)
        if not merchant.connection_set.exists():
            add(merchant, opened)
            audit.record("practice connected", merchant.name, merchant=merchant)


def credentials() -> dict[str, dict[str, str]]:
    """What the sandboxes let in, by provider. Raises NoSandbox."""
    if not settings.SANDBOX_URL:
        raise NoSandbox
    address = f"{settings.SANDBOX_URL}/_sandbox/credentials"
    try:
        # No proxy of the environment: the sandbox listens on this machine only.
        with build_opener(ProxyHandler({})).open(address, timeout=SECONDS) as answer:
            found: dict[str, dict[str, str]] = json.load(answer)
            found["cardinquiry"], found["paywizard"]
    except (OSError, ValueError, KeyError) as reason:
        raise NoSandbox from reason
    return found


def add(merchant: Merchant, opened: Mapping[str, Mapping[str, str]]) -> None:
    """Make the merchant's connections to the sandboxes, or bring them up to date: address and keys follow the sandbox,
    which may have moved to another port."""
    cardinquiry, paywizard = opened["cardinquiry"], opened["paywizard"]
    _save(
        merchant,
        "cardinquiry",
        options={"currency": merchant.currency},
        secrets={"api_key": cardinquiry["api_key"]},
    )
    _save(
        merchant,
        "paywizard",
        options={"currency": "USD", "client_id": paywizard["client_id"]},
        secrets={"client_secret": paywizard["client_secret"], "token": paywizard["token"]},
        only_this_desk=True,
    )


def _save(
    merchant: Merchant,
    provider: str,
    *,
    options: Mapping[str, str],
    secrets: Mapping[str, str],
    only_this_desk: bool = False,
) -> None:
    connector = PROVIDERS[provider]
    connection = Connection.objects.filter(merchant=merchant, provider=provider).first() or Connection(
        merchant=merchant,
        provider=provider,
        name=connector.name,
        environment=Environment.SANDBOX,
        only_this_desk=only_this_desk,
    )
    connection.options = connector.Settings.options({"base_url": f"{settings.SANDBOX_URL}/{provider}", **options})
    connections.seal_secrets(connection, secrets)
    connection.save()
