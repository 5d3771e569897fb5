"""Practice connections: to the sandboxes that imitate the providers, where nothing is real and everything can be tried.

Only where SANDBOX_URL names them. Called by workers and commands; the web only asks for it.
"""

import json
import re
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit
from urllib.request import ProxyHandler, build_opener

from django.conf import settings
from django.db import transaction

from portal.connectors import PROVIDERS
from portal.connectors.base import Connector, Settles, secret_names
from portal.merchants import audit, becoming, connections, pauses, tenancy
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
            found = json.load(answer)
            return {slug: found[slug] for slug in PROVIDERS}
    except (OSError, ValueError, KeyError) as reason:
        raise NoSandbox from reason


def told_at(address: str) -> None:
    """Have the sandbox that tells what happened tell it at `address`; it is one merchant's, and so has one. Raises
    NoSandbox."""
    form = urlencode({"callback": address}).encode()
    try:
        with build_opener(ProxyHandler({})).open(f"{settings.SANDBOX_URL}/revenuemonster/portal", form, SECONDS):
            pass
    except OSError as reason:
        raise NoSandbox from reason


def add(merchant: Merchant, opened: Mapping[str, Mapping[str, str]]) -> None:
    """Make the merchant's connections to the sandboxes, or bring them up to date: address and keys follow the sandbox,
    which may have moved to another port. Of what a sandbox lets in, a connection takes what its settings are called."""
    for slug, known in opened.items():
        _save(merchant, PROVIDERS[slug], known)


def follow() -> int:
    """Bring every merchant's practice connections to where the sandboxes are now; how many were elsewhere.

    A sandbox that is started on another port is the same sandbox: its cards and keys are in a folder. Whatever paused
    because the old address may not be called any more is asked again.
    """
    followed = 0
    with tenancy.every_merchant("practice connections follow the sandboxes to another port"), transaction.atomic():
        sandboxes = Connection.objects.filter(environment=Environment.SANDBOX).select_related("merchant")
        for connection in sandboxes.select_for_update(no_key=True, of=("self",)).order_by("pk"):
            moved = _moved(connection)
            if moved != connection.options:
                connection.options = moved
                connection.save(update_fields=["options"])
                pauses.may_be_called(connection)
                followed += 1
    return followed


def _moved(connection: Connection) -> dict[str, object]:
    """Its options, with each address of a sandbox on this machine where it is now."""
    declared = PROVIDERS[connection.provider].Settings.declared()
    options: dict[str, object] = dict(connection.options)
    for name, field in declared.items():
        parts = urlsplit(str(options.get(name, "")))
        if field.kind == "address" and is_here(parts.hostname) and parts.path.split("/")[1:2] == [connection.provider]:
            options[name] = settings.SANDBOX_URL + parts.path
    return options


def is_here(host: str | None) -> bool:
    """Whether this is the name or the number of this machine: no provider has either."""
    return host == "localhost" or re.fullmatch(r"127(\.[0-9]+){3}|::1", host or "") is not None


def _save(merchant: Merchant, provider: type[Connector], known: Mapping[str, str]) -> None:
    connection = _at_the_sandbox(merchant, provider.slug) or Connection(
        merchant=merchant,
        provider=provider.slug,
        name=becoming.free_name(merchant, provider.name),
        environment=Environment.SANDBOX,
        # Nobody else has these cards, and where a balance proves something that is worth knowing.
        only_this_desk=provider.settles is Settles.BY_BALANCE or provider.tells_paid_in,
    )
    declared, secrets = provider.Settings.declared(), secret_names(provider.Settings)
    here = f"{settings.SANDBOX_URL}/{provider.slug}"
    options = {name: here for name, asked in declared.items() if asked.kind == "address"}
    options |= {name: merchant.currency for name in declared if name == "currency" and declared[name].required}
    options |= {name: known[name] for name in declared.keys() & known.keys()}
    connection.options = provider.Settings.options(options)
    connections.seal_secrets(connection, {name: known[name] for name in sorted(secrets)})
    connection.save()
    pauses.may_be_called(connection)


def _at_the_sandbox(merchant: Merchant, provider: str) -> Connection | None:
    """The merchant's practice connection, and none of its own to this provider."""
    mine = Connection.objects.filter(merchant=merchant, provider=provider, environment=Environment.SANDBOX)
    return next((each for each in mine.order_by("pk") if is_here(_host(each))), None)


def _host(connection: Connection) -> str | None:
    return urlsplit(str(connection.options.get("base_url", ""))).hostname
