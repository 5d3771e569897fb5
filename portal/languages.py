"""Which language a page is in: what the person chose, else what the switch of the signed-out pages says, else the
browser's."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from portal import formats
from portal.connectors.fields import Sentence

Respond = Callable[[HttpRequest], HttpResponse]


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


def said(sentence: str) -> str:
    """A connector's sentence in the reader's language."""
    if isinstance(sentence, Sentence):
        return translation.gettext(sentence.message) % sentence.values
    return translation.gettext(sentence)


@require_POST
def switch(request: HttpRequest) -> HttpResponse:
    """Speak the chosen language on the signed-out pages from here on, and go back to where the visitor was."""
    back = request.POST.get("next", "")
    here = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    # Not redirect(): what was posted is an address, never the name of a view.
    answer = HttpResponseRedirect(back if here else resolve_url(settings.LOGIN_URL))
    chosen = request.POST.get("language", "")
    if chosen in dict(settings.LANGUAGES):
        answer.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            chosen,
            max_age=settings.LANGUAGE_COOKIE_AGE,
            secure=settings.LANGUAGE_COOKIE_SECURE,
            httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
            samesite="Lax",
        )
    return answer


def offered(request: HttpRequest) -> dict[str, object]:
    """For templates: the languages to choose from, each in its own words, where to come back to, and whose way of
    writing amounts the page's script follows."""
    return {"languages": settings.LANGUAGES, "here": request.get_full_path(), "conventions": formats.tag()}
