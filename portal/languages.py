"""Which language a page is in: what the person chose, else what the sign-in page's switch says, else the browser's.

The catalogs are written by people as portal/locale/*/LC_MESSAGES/django.po; `compile_catalogs` makes of them what
gettext reads.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers

Respond = Callable[[HttpRequest], HttpResponse]

SOURCES = Path(__file__).parent / "locale"


def of_the_browser(get_response: Respond) -> Respond:
    """Middleware, in front of everything that may answer with a page: speak what the visitor's browser asks for."""

    def middleware(request: HttpRequest) -> HttpResponse:
        with translation.override(translation.get_language_from_request(request)):
            response = get_response(request)
            response.setdefault("Content-Language", translation.get_language() or settings.LANGUAGE_CODE)
        # Whoever keeps an answer must not give it to a visitor of another language; the cookies tell the person too.
        patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response

    return middleware


def of_the_person(get_response: Respond) -> Respond:
    """Middleware, behind signing in: speak the language this person chose, on pages and fragments alike."""

    def middleware(request: HttpRequest) -> HttpResponse:
        chosen = request.user.language if request.user.is_authenticated else ""
        if chosen not in dict(settings.LANGUAGES):  # nothing chosen, or a language that was taken away again
            return get_response(request)
        with translation.override(chosen):
            response = get_response(request)
            response.setdefault("Content-Language", chosen)
        return response

    return middleware


def compile_catalogs() -> None:
    """Compile each catalog that changed since; any number of processes may do so at once, without system tools.

    Raises ValueError where a catalog cannot be read.
    """
    for source in SOURCES.glob("*/LC_MESSAGES/*.po"):
        ready = settings.VAR / "locale" / source.relative_to(SOURCES).with_suffix(".mo")
        if not ready.exists() or ready.stat().st_mtime < source.stat().st_mtime:
            _compile(source, ready)


def _compile(source: Path, ready: Path) -> None:
    ready.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as text:
        catalog = read_po(text, abort_invalid=True)
    with tempfile.NamedTemporaryFile(dir=ready.parent, delete=False) as made:
        write_mo(made, catalog)
    Path(made.name).chmod(0o644)
    os.replace(made.name, ready)
