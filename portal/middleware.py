"""What happens around every request: an id to find it by, the headers browsers must obey, and a door for rubbish."""

import logging
import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from ipaddress import ip_address
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.connectors.base import ClientContext
from portal.connectors.browser import forwardable

Respond = Callable[[HttpRequest], HttpResponse]

_request_id: ContextVar[str] = ContextVar("request_id", default="")

# Nothing inline, nothing from elsewhere.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "object-src 'none'",
    ]
)


def current_request_id() -> str:
    """The id of the request answered in this thread (or the last one), or an empty text in a worker."""
    return _request_id.get()


class RequestIdFilter(logging.Filter):
    """Puts the request's id on every log line, and takes the request itself off: printed, it shows its query."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _request_id.get()
        vars(record).pop("request", None)
        return True


def request_id(get_response: Respond) -> Respond:
    """Give every request an id of our own; a visitor's is not taken over, it could be made to collide."""

    def middleware(request: HttpRequest) -> HttpResponse:
        # Not taken back afterwards: Django logs refused requests when all middleware is done.
        _request_id.set(secrets.token_hex(6))
        response = get_response(request)
        response["X-Request-ID"] = _request_id.get()
        return response

    return middleware


def security_headers(get_response: Respond) -> Respond:
    """Headers for every answer, error pages and static files included."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
        response.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if "text/html" in response.get("Content-Type", ""):
            # Pages show balances and names: no copy in a browser's or a proxy's store.
            response.setdefault("Cache-Control", "no-store, private")
            response.setdefault("X-Robots-Tag", "noindex")
        return response

    return middleware


def healthz(get_response: Respond) -> Respond:
    """Answer /healthz first of all: this process is alive, whatever host, session or database say."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path == "/healthz":
            return HttpResponse("ok", content_type="text/plain")
        return get_response(request)

    return middleware


def refuse_unreadable(get_response: Respond) -> Respond:
    """Answer 400 to a NUL byte or to bytes that are no UTF-8, in the path, the query, a form, a header or a cookie.

    They come from tools, never from a person, and each layer below would stumble over them in its own way.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        if not _readable(request):
            return render(request, "400.html", status=400)
        return get_response(request)

    return middleware


def only_by_a_form(get_response: Respond) -> Respond:
    """Give Django's empty 405 a page: somebody opened again what only takes a form."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.status_code != 405 or response.content:
            return response
        page = render(request, "405.html", status=405)
        page["Allow"] = response["Allow"]
        return page

    return middleware


def _readable(request: HttpRequest) -> bool:
    # Django writes bytes of a path that are no UTF-8 back as %XX; no address of ours has a percent sign.
    if "%" in request.path_info or "\x00" in request.path_info:
        return False
    pieces = [unquote_to_bytes(request.META.get("QUERY_STRING", ""))]
    pieces += [
        value.encode("latin-1", "replace")
        for name, value in request.META.items()
        if name.startswith("HTTP_") and isinstance(value, str) and not value.isascii()
    ]
    if request.content_type == "application/x-www-form-urlencoded":
        pieces.append(unquote_to_bytes(request.body.replace(b"+", b" ")))
    try:
        return not any("\x00" in piece.decode("utf-8") for piece in pieces)
    except UnicodeDecodeError:
        return False


def client_address(request: HttpRequest) -> str | None:
    """The visitor's address as our own proxies saw it, or None where that cannot be told.

    The leftmost value of X-Forwarded-For is whatever the visitor wrote. We count TRUSTED_PROXY_COUNT from the right;
    with fewer values than that, or rubbish in the place, nothing is known.
    """
    if settings.TRUSTED_PROXY_COUNT == 0:
        candidate = request.META.get("REMOTE_ADDR", "")
    else:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        if len(hops) < settings.TRUSTED_PROXY_COUNT:
            return None
        candidate = hops[-settings.TRUSTED_PROXY_COUNT]
    if match := re.fullmatch(r"\[([0-9a-fA-F:.]+)\](?::\d+)?|([0-9.]+):\d+", candidate):
        candidate = match[1] or match[2]
    try:
        return str(ip_address(candidate))
    except ValueError:
        return None


def client_context(request: HttpRequest) -> ClientContext | None:
    """Browser and address of who asks, which a provider may want to tell people from machines.

    Our own cookies, tokens and inner headers are left out here already, so that they are not even stored sealed. None
    where the address cannot be told.
    """
    address = client_address(request)
    if address is None:
        return None
    everything = ClientContext(address=address, headers=tuple(request.headers.items()))
    return ClientContext(address=address, headers=tuple(forwardable(everything)))


def page(request: HttpRequest) -> dict[str, object]:
    """What every template may show: the request's id, and whether this is the demo."""
    return {"request_id": current_request_id(), "demo": settings.DEMO}
