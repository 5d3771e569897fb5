"""The balance page below Settings: what a merchant decides, its poster and snippets, and who tried cards there."""

import re
import uuid
from dataclasses import dataclass
from datetime import timedelta

import segno
from django.conf import settings
from django.contrib import messages
from django.db.models.functions import Now
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal import formats
from portal.connectors import PROVIDERS
from portal.merchants import switches
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Connection, Switch
from portal.merchants.roles import Permission
from portal.shopper import deciding, limits, risk, tries
from portal.shopper.models import WRONG, BalancePage, Outcome, Try, ending_of
from portal.shopper.settings_forms import BrowserKeyForm, PageForm

SHOWN = 50  # tries on one page
REFERENCE_LENGTH = 40  # characters that are looked at; one has nine
PAPERS = ("a4", "a6")
SHAPES = {
    Outcome.HELD: "waiting",
    Outcome.ASKED: "checking",
    Outcome.FOUND: "done",
    Outcome.REFUSED: "refused",
    Outcome.SILENCED: "refused",
    Outcome.TROUBLE: "not_sent",
    Outcome.LEFT: "not_sent",
}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One way the page may ask for a number, with what it means."""

    value: int
    label: str
    chosen: bool
    means: str
    is_bearable: bool


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Whether shoppers can use the page at the moment; if not, who closed it, since when and why, as far as merchants
    may know."""

    shape: str
    words: str
    more: str = ""
    is_open: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    """One try, as staff see it: fingerprints, never numbers."""

    row: Try
    shape: str
    words: str
    card: str
    address: str
    forgive_url: str


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.MANAGE_BALANCE_PAGE)
def balance_settings(request: StaffRequest) -> HttpResponse:
    """Open or closed, how it looks, what it asks for and how many wrong tries it bears."""
    page, offered = _page(request), _offered(request)
    form = PageForm(
        request.POST if request.method == "POST" else None,
        request.FILES if request.method == "POST" else None,
        page=page,
        connections=[each for each in offered if each.public_use],
    )
    if request.method == "POST" and form.is_valid() and _changed(request, form):
        return redirect("balance_settings", request.merchant.slug)
    wrong_hour, wrong_day = _wrong(page)
    found = risk.of(page, with_pin=_with_pin(offered))
    is_used_up = wrong_day >= found.budget
    shown = {
        "form": form,
        "page": page,
        "standing": _standing(page, offered, is_used_up=is_used_up),
        "choices": _choices(form, page, _with_pin(offered)),
        "risk": found,
        "risk_words": _means(found),
        "wrong_day": wrong_day,
        "is_used_up": is_used_up,
        "steps_up": limits.steps_up(wrong_hour, found.budget),
        "connections": [(each, reverse("connection", args=[request.merchant.slug, each.key])) for each in offered],
        "page_url": _address(request),
    }
    return render(request, "shopper/settings.html", shown, status=422 if form.errors else 200)


@require_POST
@member(Permission.MANAGE_BALANCE_PAGE)
def open_again(request: StaffRequest) -> HttpResponse:
    """Let the wrong tries so far no longer close the page."""
    deciding.open_again(request.member, request=request)
    messages.success(request, gettext("The wrong tries so far no longer close the balance page."))
    return redirect("balance_settings", request.merchant.slug)


@require_safe
@member(Permission.MANAGE_BALANCE_PAGE)
def balance_tries(request: StaffRequest) -> HttpResponse:
    """Who tried cards, newest first."""
    rows = Try.objects.select_related("connection").filter(merchant=request.merchant)
    sought = request.GET.get("reference", "").strip()[:REFERENCE_LENGTH]
    if sought:
        rows = rows.filter(ending=ending_of(sought))
    if (before := request.GET.get("before", "")).isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    found = list(rows.order_by("-id")[: SHOWN + 1])
    older = found[SHOWN - 1].pk if len(found) > SHOWN else None
    shown = {
        "lines": [_line(request, row) for row in found[:SHOWN]],
        "older_url": f"{request.path}?before={older}" if older else "",
        "settings_url": reverse("balance_settings", args=[request.merchant.slug]),
        "sought": sought,
        "all_url": request.path if sought else "",
        "time_zone": request.merchant.time_zone,
    }
    return render(request, "shopper/tries.html", shown)


@require_POST
@member(Permission.MANAGE_BALANCE_PAGE)
def forgive_tries(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Let the card of one try be tried again."""
    row = Try.objects.filter(merchant=request.merchant, key=key).first()
    if row is None:
        raise Http404
    forgiven = tries.forgive(request.member, row, request=request)
    said = ngettext(
        "%(count)s wrong try is forgiven. The card can be tried again on the balance page.",
        "%(count)s wrong tries are forgiven. The card can be tried again on the balance page.",
        forgiven,
    )
    messages.success(request, said % {"count": forgiven} if forgiven else gettext("Nothing was changed."))
    return redirect("balance_tries", request.merchant.slug)


@require_safe
@member(Permission.MANAGE_BALANCE_PAGE)
def balance_poster(request: StaffRequest) -> HttpResponse:
    """The paper that leads to the page, A4 for the wall or A6 for the counter."""
    size = request.GET.get("paper", "")
    url = reverse("balance_poster", args=[request.merchant.slug])
    address = _address(request)
    shown = {
        "size": size if size in PAPERS else PAPERS[0],
        "sizes": [(name, name.upper(), f"{url}?paper={name}") for name in PAPERS],
        "address": address,
        "address_parts": re.findall("[^/]*/", address.partition("://")[2]),
        "code": _code(address),
        "settings_url": reverse("balance_settings", args=[request.merchant.slug]),
    }
    return render(request, "shopper/poster.html", shown)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("key")
@member(Permission.MANAGE_BALANCE_PAGE)
def balance_snippets(request: StaffRequest) -> HttpResponse:
    """Two ways to have it on the merchant's own site: a link to our page, or the provider's own browser key."""
    able = [each for each in _offered(request) if PROVIDERS[each.provider].has_browser_key]
    form = BrowserKeyForm(request.POST if request.method == "POST" else None, connections=able) if able else None
    is_valid = form is not None and form.is_bound and form.is_valid()
    shown = {
        "form": form,
        "link": _link(request),
        "button": _button(request),
        "snippet": form.cleaned_data["snippet"] if form is not None and is_valid else "",
        "settings_url": reverse("balance_settings", args=[request.merchant.slug]),
    }
    wrong = form is not None and bool(form.errors)
    return render(request, "shopper/snippets.html", shown, status=422 if wrong else 200)


# ---- Their parts --------------------------------------------------------------------------------------------------
def _page(request: StaffRequest) -> BalancePage:
    """What was decided, or what would be proposed."""
    found = BalancePage.objects.filter(merchant=request.merchant).first()
    return found or BalancePage(merchant=request.merchant)


def _standing(page: BalancePage, offered: list[Connection], *, is_used_up: bool) -> Standing:
    if off := switches.of_public_page():
        return _switched_off(off)
    if not page.is_open:
        return Standing(shape="not_sent", words=gettext("Closed"))
    if not any(each.public_use for each in offered):
        return Standing(shape="person", words=gettext("Not shown: no connection is for shoppers yet."))
    if is_used_up:
        return Standing(shape="refused", words=gettext("Closed: there were too many wrong tries."))
    return Standing(shape="done", words=gettext("Open"), is_open=True)


def _switched_off(off: Switch) -> Standing:
    """The switch's reason is the administrators' own; its banner is what others may read."""
    again = gettext("It opens again when they switch it on.")
    if off.expires_at:
        again = gettext("It opens again by itself: %(until)s.") % {"until": formats.moment(off.expires_at)}
    kept = gettext("What you decide here is kept until then.")
    return Standing(
        shape="refused",
        words=gettext("Closed by the administrator since %(since)s.") % {"since": formats.moment(off.thrown_at)},
        more=" ".join([gettext("“%(banner)s”") % {"banner": off.banner}, again, kept]),
    )


def _offered(request: StaffRequest) -> list[Connection]:
    rows = Connection.objects.filter(merchant=request.merchant).order_by("name", "id")
    return [each for each in rows if "balance" in PROVIDERS[each.provider].supports()]


def _with_pin(offered: list[Connection]) -> bool:
    """Whether every card that shoppers may ask about has a PIN; one without is the one that is guessed."""
    asked = [each for each in offered if each.public_use]
    return all(PROVIDERS[each.provider].wants_pin(each.options) for each in asked)


def _changed(request: StaffRequest, form: PageForm) -> bool:
    file = form.cleaned_data.get("logo")
    try:
        changed = deciding.change(
            request.member,
            form.decided(),
            logo=file.read() if file else None,
            without_logo=form.cleaned_data.get("without_logo", False),
            request=request,
        )
    except deciding.NoPicture:
        form.add_error("logo", gettext("Choose a PNG, JPEG or WebP of 40 kB at most."))
        return False
    messages.success(request, gettext("Saved.") if changed else gettext("Nothing was changed."))
    return True


def _wrong(page: BalancePage) -> tuple[int, int]:
    """Wrong tries in the last hour and the last day, as far as they count for the page."""
    rows = Try.objects.filter(merchant=page.merchant, outcome__in=WRONG)
    if page.forgiven_at:
        rows = rows.filter(at__gt=page.forgiven_at)
    hour = rows.filter(at__gt=Now() - timedelta(hours=1))[: risk.MOST].count()
    return hour, rows.filter(at__gt=Now() - timedelta(days=1))[: risk.MOST].count()


def _choices(form: PageForm, page: BalancePage, with_pin: bool) -> list[Choice]:
    chosen = str(form["last_digits"].value())
    choices = []
    for box in form["last_digits"].subwidgets:
        value = int(box.data["value"])
        found = risk.of(_asking(page, value), with_pin=with_pin)
        choices.append(
            Choice(
                value=value,
                label=str(box.data["label"]),
                chosen=chosen == str(value),
                means=_means(found),
                is_bearable=found.is_bearable,
            )
        )
    return choices


def _asking(page: BalancePage, last_digits: int) -> BalancePage:
    told = {name: getattr(page, name) for name in deciding.DECIDED}
    return BalancePage(**(told | {"last_digits": last_digits}))


def _means(found: risk.Risk) -> str:
    """What the arithmetic says, in a sentence."""
    days = found.days
    values = {
        "chance": formats.number(round(1 / found.chance)),
        "budget": formats.number(found.budget),
        "days": formats.number(max(round(days), 1)),
        "cards": formats.number(max(round(found.finds_a_year), 1)),
    }
    if days < 1:
        words = gettext(
            "One wrong try in %(chance)s finds a card. With %(budget)s wrong tries a day somebody who never stops finds"
            " %(cards)s cards a year."
        )
    elif days > 3650:
        words = gettext(
            "One wrong try in %(chance)s finds a card. With %(budget)s wrong tries a day somebody who never stops finds"
            " none in ten years."
        )
    else:
        words = gettext(
            "One wrong try in %(chance)s finds a card. With %(budget)s wrong tries a day somebody who never stops finds"
            " one in %(days)s days."
        )
    return words % values


def _line(request: StaffRequest, row: Try) -> Line:
    may_forgive = not row.forgiven and row.outcome in (*WRONG, Outcome.SILENCED)
    return Line(
        row=row,
        shape=SHAPES[Outcome(row.outcome)],
        words=str(Outcome(row.outcome).label),
        card=_short(row.card),
        address=_short(row.address),
        forgive_url=reverse("forgive_tries", args=[request.merchant.slug, row.key]) if may_forgive else "",
    )


def _short(fingerprint: bytes | memoryview) -> str:
    """Enough of a keyed hash to see that two are the same."""
    return bytes(fingerprint).partition(b":")[2][:4].hex()


def _address(request: StaffRequest) -> str:
    return settings.PUBLIC_URL + reverse("balance_page", args=[request.merchant.slug])


def _link(request: StaffRequest) -> str:
    return f'<a href="{_address(request)}" target="_blank" rel="noopener">{gettext("Balance of your card")}</a>'


def _button(request: StaffRequest) -> str:
    return (
        f'<form action="{_address(request)}" target="_blank" rel="noopener">'
        f"<button>{gettext('Balance of your card')}</button></form>"
    )


def _code(address: str) -> SafeString:
    drawn = segno.make_qr(address, error="m", boost_error=False)
    return mark_safe(drawn.svg_inline(border=4, svgclass=None, lineclass=None, omitsize=True))
