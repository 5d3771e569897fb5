"""Views that answer the bytes of the public page's form: what the framework alone costs, under the same middleware.

One reads nothing; the other reads the merchant's row, in a context that the database has to be told of first.
"""

import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path

from portal.merchants import tenancy
from portal.merchants.models import Merchant

REQUESTS = 40  # of each kind in a round
_bytes: dict[str, bytes] = {}


def without_database(request: HttpRequest, shop: str) -> HttpResponse:
    """The same bytes, and nothing else."""
    return HttpResponse(_bytes[shop])


def with_one_row(request: HttpRequest, shop: str) -> HttpResponse:
    """The same bytes after the merchant was read, in its context."""
    with tenancy.every_merchant("a bench reads a merchant by its slug"):
        Merchant.objects.get(slug=shop)
    return HttpResponse(_bytes[shop])


urlpatterns = [path("nothing/<slug:shop>/", without_database), path("row/<slug:shop>/", with_one_row)]


def own_addresses(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """The last middleware: this module's addresses instead of the site's."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.urlconf = __name__
        return get_response(request)

    return middleware


@dataclass(frozen=True, kw_only=True)
class Asked:
    size: int
    lines: list[str]


def statements(slug: str) -> Asked:
    """What the page asks the database."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    _bytes[slug] = _answer(_handlers()["site"], f"/b/{slug}/")
    with CaptureQueriesContext(connection) as asked:
        _answer(_handlers()["site"], f"/b/{slug}/")
    lines = [re.sub("SELECT .* FROM", "SELECT … FROM", each["sql"])[:110] for each in asked]
    return Asked(size=len(_bytes[slug]), lines=lines)


def round_of(slug: str, number: int) -> dict[str, float]:
    """Medians in milliseconds, in an order that changes."""
    handlers = _handlers()
    kinds: dict[str, Callable[[], object]] = {
        "the page": lambda: _answer(handlers["site"], f"/b/{slug}/"),
        "bare, no database": lambda: _answer(handlers["bare"], f"/nothing/{slug}/"),
        "bare, the merchant's row read": lambda: _answer(handlers["bare"], f"/row/{slug}/"),
    }
    took = {name: _median(kinds[name]) for name in (list(kinds) if number % 2 == 0 else list(kinds)[::-1])}
    return {name: took[name] for name in kinds}


def _median(ask: Callable[[], object]) -> float:
    took = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        ask()
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


@cache
def _handlers() -> dict[str, Any]:
    from django.conf import settings
    from django.test import override_settings

    site = WSGIHandler()
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, "tests.bench.bare_form.own_addresses"]):
        return {"site": site, "bare": WSGIHandler()}


def _answer(handler: Any, where: str) -> bytes:
    statuses: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": where,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "HTTP_HOST": os.environ["PUBLIC_URL"].rpartition("/")[2],
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_FORWARDED_FOR": "20.0.0.9",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
    }
    answer = handler(environ, lambda status, headers, *_: statuses.append(status))
    text = b"".join(answer)
    answer.close()
    assert statuses[0].startswith("200"), f"{where}: {statuses}"
    return text
