"""The public balance page: a form, and the page where its answer appears. No login, no session.

    GET  /b/<shop>/         the form, with a challenge
    POST /b/<shop>/         a try; then to
    GET  /b/<shop>/<key>/   its answer, for the browser that asked, when the grid lets it be seen
    POST /b/<shop>/<key>/   more proof of work, or the whole number

What is typed comes by POST only, and is in no address, title or cookie.
"""

import re
import secrets
import uuid
from functools import lru_cache

from django.conf import settings
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language, gettext
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from portal.ledger.models import Inquiry, State
from portal.merchants import connections
from portal.merchants.models import Connection
from portal.middleware import client_context
from portal.shopper import colours, fingerprints, known, limits, proof, shops, tries, words
from portal.shopper.forms import BalanceForm, WholeForm
from portal.shopper.models import BalancePage, Outcome, Try
from portal.shopper.shops import ShopperRequest, closed, drawn, of_a_shop

COOKIE = "__Host-asked" if settings.HTTPS else "tillside_asked"
COOKIE_SECONDS = 15 * 60
# What nobody may put into an address of ours, where logs, histories and other sites would read it.
NEVER_IN_AN_ADDRESS = {"number", "pin", "pass", "password", "card", "code"}


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("number", "pin")
@sensitive_variables("form")
@of_a_shop
def balance_page(request: ShopperRequest) -> HttpResponse:
    """The form; a post is a try."""
    if NEVER_IN_AN_ADDRESS & {name.casefold() for name in request.GET}:
        return render(request, "400.html", status=400)
    if not request.shop.connections:
        return closed(request)
    if request.method != "POST":
        return _first_page(request)
    form = BalanceForm(request.POST, page=request.page, connections=request.shop.connections)
    if not form.is_valid():
        return _form(request, form, status=422)
    return _try(request, form)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("number")
@sensitive_variables("form")
@of_a_shop
def balance_answer(request: ShopperRequest, key: uuid.UUID) -> HttpResponse:
    """What became of a try, for the browser that made it; anybody else is led to the form."""
    token = request.COOKIES.get(COOKIE, "")
    mine = tries.by_browser(request.page.merchant_id, key, fingerprints.of_browser(request.page.merchant_id, token))
    if mine is None:
        return redirect("balance_page", request.page.merchant.slug)
    found, now = mine
    tries.settle(found)
    rows = Inquiry.objects.select_related("connection").exclude(typed_by_shopper="")
    inquiry = rows.filter(merchant=request.page.merchant_id, key=found.key).first()
    form = None
    if inquiry is not None and inquiry.state == State.WANTS_NUMBER:
        form = WholeForm(request.POST if "number" in request.POST else None, page=request.page, found=found)
    if request.method == "POST" and (response := _more(request, found, inquiry, form)):
        return response
    view = words.view(found, inquiry, now=now)
    shown = {
        "try": found,
        "view": view,
        "form": form,
        "last_four": inquiry.last_four if inquiry and view.state == "found" else "",
        "sandbox_shown": found.connection.environment == "sandbox",
    }
    if view.state == "proof":
        shown["challenge"] = proof.issue(tries.place(request.page, found), times=found.times, at=now)
    answer = drawn(request, "shopper/answer.html", shown, status=422 if form is not None and form.errors else 200)
    if view.state == "found":
        known.remember(request, answer, found.merchant_id, bytes(found.card))
    return answer


@require_safe
@of_a_shop
def balance_style(request: ShopperRequest) -> HttpResponse:
    """The merchant's colour as a stylesheet, since nothing may stand inline."""
    answer = HttpResponse(colours.stylesheet(request.page.colour), content_type="text/css; charset=utf-8")
    answer["Cache-Control"] = "public, max-age=300"
    return answer


@require_safe
@of_a_shop
def balance_logo(request: ShopperRequest) -> HttpResponse:
    """The merchant's picture; where there is none, our empty one."""
    logo = BalancePage.objects.values_list("logo", "logo_type").get(pk=request.page.pk)
    answer = HttpResponse(bytes(logo[0] or b""), content_type=logo[1] or "image/png")
    answer["Cache-Control"] = "public, max-age=300"
    answer["Content-Security-Policy"] = "default-src 'none'"
    return answer


# ---- A try --------------------------------------------------------------------------------------------------------
@sensitive_variables("form", "typed")
def _try(request: ShopperRequest, form: BalanceForm) -> HttpResponse:
    page, cleaned = request.page, form.cleaned_data
    client = client_context(request)
    chosen = Connection.objects.filter(merchant=page.merchant_id, pk=cleaned["connection"].pk, public_use=True).first()
    if client is None or chosen is None:  # whoever cannot be counted is not let in
        return closed(request)
    card = fingerprints.of_card(page.merchant_id, cleaned["number"], last_digits=page.last_digits)
    visit = limits.Visit(
        address=fingerprints.of_address(page.merchant_id, client.address),
        network=fingerprints.of_network(page.merchant_id, client.address),
        card=card,
        pin=fingerprints.of_pin(page.merchant_id, cleaned["pin"]),
        known=known.browser(request, page.merchant_id, card),
    )
    typed = tries.Typing(
        connection=chosen,
        number=cleaned["number"],
        pin=cleaned["pin"],
        whole=cleaned["whole"],
        token=cleaned["token"],
        solution=cleaned["solution"],
    )
    token = _browser(request)
    browser = fingerprints.of_browser(page.merchant_id, token)
    try:
        made = tries.take_in(page, visit, typed, browser=browser, client=client)
    except proof.NoProof as why:
        form.add_error(None, _no_proof(why.why))
        return _form(request, form, status=422)
    except limits.WholeNumberOnly:
        return _whole_wanted(request, form)
    except limits.TooMany as said:
        return _too_many(request, said.seconds)
    except (limits.NotNow, connections.NotNow):
        return closed(request)
    answer = redirect("balance_answer", page.merchant.slug, made.key)
    answer.status_code = 303
    answer.set_cookie(COOKIE, token, max_age=COOKIE_SECONDS, secure=settings.HTTPS, httponly=True, samesite="Lax")
    return answer


def _more(request: ShopperRequest, found: Try, inquiry: Inquiry | None, form: WholeForm | None) -> HttpResponse | None:
    """What a try waits for: more proof, or the whole number. None where the page shall say what is wrong with it.

    A try that was held until the end of a number would not do any more is begun anew; the script has what was typed.
    """
    here = redirect("balance_answer", request.page.merchant.slug, found.key)
    here.status_code = 303
    try:
        if found.outcome == Outcome.HELD and "solution" in request.POST:
            tries.prove(
                request.page,
                found,
                token=request.POST.get("token", ""),
                solution=request.POST["solution"],
            )
        elif form is not None and inquiry is not None and "number" in request.POST:
            if not form.is_valid():
                return None
            tries.give_number(found, inquiry, number=form.cleaned_data["number"])
    except proof.NoProof:
        return here  # with a new challenge
    except limits.WholeNumberOnly:
        anew = BalanceForm(
            {"connection": str(found.connection.key)}, page=request.page, connections=request.shop.connections
        )
        return _whole_wanted(request, anew)
    except (limits.NotNow, connections.NotNow):
        return closed(request)
    return here


def _browser(request: ShopperRequest) -> str:
    """What this browser is known by for a quarter of an hour."""
    token = request.COOKIES.get(COOKIE, "")
    return token if re.fullmatch("[A-Za-z0-9_-]{32}", token, re.ASCII) else secrets.token_urlsafe(24)


def _whole_wanted(request: ShopperRequest, form: BalanceForm) -> HttpResponse:
    """The form, which takes no end of a number at the moment, and says nothing else."""
    form.errors.clear()
    form.add_error("number", gettext("Type the whole number of the card."))
    return _form(request, form, status=422)


def _no_proof(why: str) -> str:
    if why in ("old", "used"):
        return gettext("This page was open for a long time. Press the button again.")
    if why == "early":
        return gettext("That was very quick. Press the button again.")
    return gettext("Your browser did not finish its calculation. Press the button again.")


# ---- Pages --------------------------------------------------------------------------------------------------------
# What takes the place of each visitor's own in a page that is the same for all others.
_CSRF, _TOKEN, _NONCE = f"csrf{uuid.uuid4().hex}", f"token{uuid.uuid4().hex}", uuid.uuid4()
_OWN = re.compile(f"({_CSRF}|{_TOKEN}|{_NONCE.hex})")


def _first_page(request: ShopperRequest) -> HttpResponse:
    """The form before anything is typed: drawn once for all visitors of a language, as long as everything it is drawn
    from is the same, with a challenge of this visitor's own."""
    challenge = _challenge(request)
    own = {_CSRF: get_token(request), _TOKEN: challenge.token, _NONCE.hex: challenge.nonce.hex}
    same = _same_for_all(
        request.shop.told, get_language() or "", challenge.threshold, *_waits(), tuple(settings.LANGUAGES)
    )
    answer = HttpResponse("".join(own.get(piece, piece) for piece in same))
    patch_vary_headers(answer, ["Cookie"])
    return answer


@lru_cache(maxsize=1000)  # of some 4 kB; merchants times languages
def _same_for_all(
    told: str, _language: str, threshold: int, typing_ms: int, good_for_ms: int, languages: tuple[tuple[str, str], ...]
) -> list[str]:
    """The pieces of the first page, with marks between them. Its arguments are all that it is drawn from."""
    page, offered = shops.read(told)
    form = BalanceForm(page=page, connections=offered)
    blank = proof.Challenge(token=_TOKEN, nonce=_NONCE, times=1, threshold=threshold)
    shown = _shown(form, blank, typing_ms, good_for_ms) | {
        "page": page,
        "merchant": page.merchant,
        "languages": languages,
        "csrf_token": _CSRF,
    }
    return _OWN.split(render_to_string("shopper/page.html", shown))


def _form(request: ShopperRequest, form: BalanceForm, *, status: int) -> HttpResponse:
    """The form with what was wrong."""
    return drawn(request, "shopper/page.html", _shown(form, _challenge(request), *_waits()), status=status)


def _shown(form: BalanceForm, challenge: proof.Challenge, typing_ms: int, good_for_ms: int) -> dict[str, object]:
    return {
        "form": form,
        "challenge": challenge,
        "typing_ms": typing_ms,
        "good_for_ms": good_for_ms,
        "sandbox_shown": any(each.environment == "sandbox" for each in form.connections.values()),
    }


def _challenge(request: ShopperRequest) -> proof.Challenge:
    return proof.issue(tries.place(request.page), times=1, at=request.shop.now)


def _waits() -> tuple[int, int]:
    """Milliseconds before a press can be a person's, and for which a proof is good."""
    return settings.SHOPPER_TYPING_SECONDS * 1000, settings.SHOPPER_PROOF_SECONDS * 1000


def _too_many(request: ShopperRequest, seconds: int) -> HttpResponse:
    shown = {"sentence": words.too_many(seconds), "again_seconds": seconds if seconds <= 60 else 0}
    answer = drawn(request, "shopper/closed.html", shown, status=429)
    answer["Retry-After"] = str(seconds)
    return answer
