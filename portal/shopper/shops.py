"""A merchant's public page as visitors find it, by the slug in its address; and what stands there when it is closed.

Everything a visitor may know of it is read in one statement, within SHOPPER_PATIENCE_MS, and always anew: a page that
is changed or switched off is so at once. The database is given back before anything else is done, so that drawing
keeps no connection; what is asked after that is asked as this merchant.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import OperationalError, models
from django.db import connection as database
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers

from portal import formats
from portal.connectors import PROVIDERS
from portal.merchants import tenancy
from portal.merchants.models import Connection, Merchant
from portal.merchants.outward import give_back_database
from portal.shopper import words
from portal.shopper.models import BalancePage

# What visitors may know, and nothing else: no secret of a connection, no number of cards in use.
_TOLD: dict[type[models.Model], set[str]] = {
    BalancePage: {"id", "merchant_id", "contact", "colour", "logo_type", "last_digits", "number_length"},
    Merchant: {"id", "slug", "name", "time_zone", "country"},
    Connection: {"id", "merchant_id", "key", "name", "provider", "options", "environment"},
}


def _told(model: type[models.Model]) -> list[str]:
    """In the order in which `from_db` wants them."""
    return [field.attname for field in model._meta.concrete_fields if field.attname in _TOLD[model]]


def _columns(table: str, model: type[models.Model]) -> str:
    return f"jsonb_build_array({', '.join(f'{table}.{name}' for name in _told(model))})"


# Two statements at once, which are one transaction: the time it may take holds for the second and no longer.
_FIND = f"""
SELECT set_config('statement_timeout', %(patience)s, true);
SELECT jsonb_build_array({_columns("p", BalancePage)}, {_columns("m", Merchant)}, (
    SELECT coalesce(jsonb_agg({_columns("c", Connection)} ORDER BY c.name, c.id), '[]')
    FROM merchants_connection c WHERE c.merchant_id = m.id AND c.public_use
  ))::text,
  EXISTS (
    SELECT FROM merchants_switch s WHERE s.ended_at IS NULL AND s.scope = 'public_page'
    AND (s.merchant_id IS NULL OR s.merchant_id = m.id)
    AND (s.expires_at IS NULL OR s.expires_at > statement_timestamp())
  ),
  statement_timestamp()
FROM merchants_merchant m JOIN shopper_balancepage p ON p.merchant_id = m.id
WHERE m.slug = %(slug)s AND p.is_open
"""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A page that is open, and the connections that shoppers may ask, by name. Its rows hold what visitors may know;
    `told` is all of that as text. `now` is the database's time."""

    told: str
    page: BalancePage
    connections: list[Connection]
    is_switched_off: bool
    now: datetime


class ShopperRequest(HttpRequest):
    """A request inside `@of_a_shop`: the merchant's page is known and open."""

    shop: Shop
    page: BalancePage


def find(slug: str) -> Shop | None:
    """The page of this address, if it is open. Raises OperationalError where the database does not answer in time."""
    with tenancy.every_merchant("a shopper's address names a merchant by its slug"):
        with database.cursor() as cursor:
            cursor.execute(_FIND, {"slug": slug, "patience": f"{settings.SHOPPER_PATIENCE_MS}ms"})
            cursor.nextset()
            row = cursor.fetchone()
        give_back_database()
    if row is None:
        return None
    page, offered = read(row[0])
    return Shop(told=row[0], page=page, connections=offered, is_switched_off=row[1], now=row[2])


def read(told: str) -> tuple[BalancePage, list[Connection]]:
    """What the database told, as rows."""
    page, merchant, offered = json.loads(told)
    rows = [Connection.from_db(database.alias, _told(Connection), each) for each in offered]
    for each in rows:
        each.key = uuid.UUID(str(each.key))
    found = BalancePage.from_db(database.alias, _told(BalancePage), page)
    found.merchant = Merchant.from_db(database.alias, _told(Merchant), merchant)
    return found, [each for each in rows if "balance" in PROVIDERS[each.provider].supports()]


def of_a_shop(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Decorate a public view. Its address has a `shop` part, the merchant's slug; without an open page there is none.

    Inside, the database shows this merchant's rows. Where it does not answer, from the first question to the last, the
    page is closed, never open.
    """

    @wraps(view)
    def shown(request: ShopperRequest, *, shop: str, **rest: Any) -> HttpResponse:
        request.page = BalancePage(merchant=Merchant(slug=shop))
        try:
            found = find(shop)
            if found is None:
                raise Http404
            request.shop, request.page = found, found.page
            merchant = found.page.merchant
            with (
                tenancy.merchant(merchant.pk),
                timezone.override(merchant.time_zone),
                formats.at_home_in(merchant.country),
            ):
                return closed(request) if found.is_switched_off else view(request, **rest)
        except OperationalError:
            return closed(request)

    return shown


def closed(request: ShopperRequest) -> HttpResponse:
    """Nobody is let in at the moment, for a reason that says nothing about a card."""
    answer = drawn(request, "shopper/closed.html", {"sentence": words.closed()}, status=503)
    answer["Retry-After"] = "600"
    return answer


def drawn(request: ShopperRequest, template: str, shown: dict[str, object], *, status: int) -> HttpResponse:
    """A page of this shop."""
    page = {"page": request.page, "merchant": request.page.merchant, **shown}
    answer = render(request, template, page, status=status)
    patch_vary_headers(answer, ["Cookie"])
    return answer
