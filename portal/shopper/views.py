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
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import OperationalError
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from portal import formats
from portal.connectors import PROVIDERS
from portal.ledger.models import Inquiry, State
from portal.merchants import connections, switches, tenancy
from portal.merchants.models import Connection
from portal.middleware import client_context
from portal.shopper import colours, fingerprints, known, limits, proof, tries, words
from portal.shopper.forms import BalanceForm, WholeForm
from portal.shopper.models import BalancePage, Outcome, Try

COOKIE = "__Host-asked" if settings.HTTPS else "tillside_asked"
COOKIE_SECONDS = 15 * 60
# What nobody may put into an address of ours, where logs, histories and other sites would read it.
NEVER_IN_AN_ADDRESS = {"number", "pin", "pass", "password", "card", "code"}


class ShopperRequest(HttpRequest):
    """A request inside `@of_a_shop`: the merchant's page is known and open."""

    page: BalancePage


def of_a_shop(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Decorate a public view. Its address has a `shop` part, the merchant's slug; without an open page there is none.

    Inside, the database shows this merchant's rows. Where it does not answer, the page is closed, never open.
    """

    @wraps(view)
    def shown(request: ShopperRequest, *, shop: str, **rest: Any) -> HttpResponse:
        with tenancy.every_merchant("a shopper's address names a merchant by its slug"):
            rows = BalancePage.objects.select_related("merchant").defer("logo")
            rows = rows.annotate(now=Now(), is_switched_off=switches.public_page_off())
            found = rows.filter(merchant__slug=shop, is_open=True).first()
        if found is None:
            raise Http404
        request.page = found
        merchant = found.merchant
        with (
            tenancy.merchant(merchant.pk),
            timezone.override(merchant.time_zone),
            formats.at_home_in(merchant.country),
        ):
            try:
                off = found.is_switched_off  # type: ignore[attr-defined]  # annotated
                return _closed(request) if off else view(request, **rest)
            except OperationalError:
                return _closed(request)

    return shown


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("number", "pin")
@sensitive_variables("form")
@of_a_shop
def balance_page(request: ShopperRequest) -> HttpResponse:
    """The form; a post is a try."""
    if NEVER_IN_AN_ADDRESS & {name.casefold() for name in request.GET}:
        return render(request, "400.html", status=400)
    offered = _offered(request.page)
    if not offered:
        return _closed(request)
    if request.method != "POST":
        return _form(request, BalanceForm(page=request.page, connections=offered))
    form = BalanceForm(request.POST, page=request.page, connections=offered)
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
    answer = _draw(request, "shopper/answer.html", shown, status=422 if form is not None and form.errors else 200)
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
    if client is None:  # whoever cannot be counted is not let in
        return _closed(request)
    card = fingerprints.of_card(page.merchant_id, cleaned["number"], last_digits=page.last_digits)
    visit = limits.Visit(
        address=fingerprints.of_address(page.merchant_id, client.address),
        network=fingerprints.of_network(page.merchant_id, client.address),
        card=card,
        pin=fingerprints.of_pin(page.merchant_id, cleaned["pin"]),
        known=known.browser(request, page.merchant_id, card),
    )
    typed = tries.Typing(
        connection=cleaned["connection"],
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
        form.add_error("number", gettext("Type the whole number of the card."))
        return _form(request, form, status=422)
    except limits.TooMany as said:
        return _too_many(request, said.seconds)
    except (limits.NotNow, connections.NotNow):
        return _closed(request)
    answer = redirect("balance_answer", page.merchant.slug, made.key)
    answer.status_code = 303
    answer.set_cookie(COOKIE, token, max_age=COOKIE_SECONDS, secure=settings.HTTPS, httponly=True, samesite="Lax")
    return answer


def _more(request: ShopperRequest, found: Try, inquiry: Inquiry | None, form: WholeForm | None) -> HttpResponse | None:
    """What a try waits for: more proof, or the whole number. None where the page shall say what is wrong with it."""
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
    except (limits.NotNow, connections.NotNow):
        return _closed(request)
    return here


def _browser(request: HttpRequest) -> str:
    """What this browser is known by for a quarter of an hour."""
    token = request.COOKIES.get(COOKIE, "")
    return token if re.fullmatch("[A-Za-z0-9_-]{32}", token, re.ASCII) else secrets.token_urlsafe(24)


def _no_proof(why: str) -> str:
    if why in ("old", "used"):
        return gettext("This page was open for a long time. Press the button again.")
    if why == "early":
        return gettext("That was very quick. Press the button again.")
    return gettext("Your browser did not finish its calculation. Press the button again.")


def _offered(page: BalancePage) -> list[Connection]:
    """The connections shoppers may ask, by name."""
    rows = Connection.objects.filter(merchant=page.merchant_id, public_use=True).order_by("name", "id")
    return [each for each in rows if "balance" in PROVIDERS[each.provider].supports()]


# ---- Pages --------------------------------------------------------------------------------------------------------
def _form(request: ShopperRequest, form: BalanceForm, *, status: int = 200) -> HttpResponse:
    shown = {
        "form": form,
        "challenge": proof.issue(tries.place(request.page), times=1, at=request.page.now),  # type: ignore[attr-defined]
        "typing_ms": settings.SHOPPER_TYPING_SECONDS * 1000,
        "good_for_ms": settings.SHOPPER_PROOF_SECONDS * 1000,
        "sandbox_shown": any(each.environment == "sandbox" for each in form.connections.values()),
    }
    return _draw(request, "shopper/page.html", shown, status=status)


def _too_many(request: ShopperRequest, seconds: int) -> HttpResponse:
    shown = {"sentence": words.too_many(seconds), "again_seconds": seconds if seconds <= 60 else 0}
    answer = _draw(request, "shopper/closed.html", shown, status=429)
    answer["Retry-After"] = str(seconds)
    return answer


def _closed(request: ShopperRequest) -> HttpResponse:
    answer = _draw(request, "shopper/closed.html", {"sentence": words.trouble()}, status=503)
    answer["Retry-After"] = "600"
    return answer


def _draw(request: ShopperRequest, template: str, shown: dict[str, object], *, status: int) -> HttpResponse:
    page = {"page": request.page, "merchant": request.page.merchant, **shown}
    answer = render(request, template, page, status=status)
    patch_vary_headers(answer, ["Cookie"])
    return answer
