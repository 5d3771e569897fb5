"""Connecting a provider: which one, what it needs to know, and the test that makes it a connection."""

import uuid
from typing import Any

from allauth.core.internal import ratelimit
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect, reswap, retarget

from portal.connectors import PROVIDERS, doctor
from portal.connectors.base import Connector
from portal.connectors.doctor import Step
from portal.languages import said
from portal.merchants import accounts, connecting, hosts, second_factor
from portal.merchants.access import StaffRequest, member
from portal.merchants.connecting_forms import ConnectForm, address_names
from portal.merchants.models import Connection, ConnectionDraft, DraftState, Environment
from portal.merchants.roles import Permission

# What a connection can and cannot do, in the order of connectors.base.VERBS.
VERBS = {
    "balance": gettext_lazy("Look up balances"),
    "activate": gettext_lazy("Activate cards"),
    "top_up": gettext_lazy("Add money"),
    "sale": gettext_lazy("Sell with a card, which may earn by it"),
    "pay": gettext_lazy("Take payments"),
    "void": gettext_lazy("Void payments, top-ups and sales"),
    "tip": gettext_lazy("Take tips"),
    "award": gettext_lazy("Give the points for a purchase"),
    "issue_code": gettext_lazy("Show a code that gives points to whoever scans it"),
    "issue_points": gettext_lazy("Give points"),
    "redeem_points": gettext_lazy("Redeem points"),
}
STEPS = {
    Step.REACHABLE: gettext_lazy("It can be reached, and the clocks agree"),
    Step.ACCEPTED: gettext_lazy("It accepts the credentials"),
    Step.READS: gettext_lazy("A harmless question is answered"),
}


# ---- Which provider -------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.CONNECT)
def connect(request: StaffRequest) -> HttpResponse:
    """The providers, those usual in the merchant's country first; a post begins with one."""
    if request.method == "POST":
        provider = request.POST.get("provider", "")
        if provider in PROVIDERS:
            try:
                draft = connecting.start(request.member, provider)
            except connecting.TooMany:
                messages.error(request, _("So many connections are being filled in that one has to be finished first."))
                return redirect("settings", request.merchant.slug)
            return redirect("connect_draft", request.merchant.slug, draft.key)
        messages.error(request, _("Choose one of the providers listed."))
    usual = [each for each in PROVIDERS.values() if request.merchant.country in each.countries]
    others = [each for each in PROVIDERS.values() if each not in usual]
    page = {
        "usual": [_choice(each) for each in usual],
        "others": [_choice(each) for each in others],
        "drafts": draft_lines(request),
        "practice_url": reverse("practice", args=[request.merchant.slug])
        if settings.SANDBOX_URL and not request.merchant.connection_set.exists()
        else "",
    }
    return render(request, "merchants/connect.html", page, status=422 if request.method == "POST" else 200)


def _choice(provider: type[Connector]) -> dict[str, object]:
    return {
        "slug": provider.slug,
        "name": provider.name,
        "can": _doings(provider, doctor.capabilities(provider.slug, {}).can),
    }


def _doings(provider: type[Connector], verbs: tuple[str, ...]) -> list[str]:
    makes = {"activate": _("Make new cards")} if provider.makes_cards else {}
    return [str(makes.get(verb, VERBS[verb])) for verb in verbs]


def draft_lines(request: StaffRequest) -> list[dict[str, object]]:
    """What is being filled in or tested, the latest first."""
    return [
        {
            "name": _("Change of %(name)s") % {"name": draft.connection.name} if draft.connection else draft.name,
            "provider": PROVIDERS[draft.provider].name,
            "environment": draft.environment,
            "state": draft.get_state_display(),
            "changed_at": draft.changed_at,
            "url": _test_url(request, draft) if draft.pending else _url(request, draft),
        }
        for draft in connecting.open_ones(request.merchant)
    ]


def _url(request: StaffRequest, draft: ConnectionDraft) -> str:
    return reverse("connect_draft", args=[request.merchant.slug, draft.key])


def _test_url(request: StaffRequest, draft: ConnectionDraft) -> str:
    return reverse("connect_test", args=[request.merchant.slug, draft.key])


# ---- What it needs to know ------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.CONNECT)
def connect_draft(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """One draft. What is typed keeps itself, field by field; the buttons keep it and have it tested."""
    draft = _find(request, key)
    if draft.state == DraftState.PASSED:
        return redirect(_test_url(request, draft))
    if request.method == "POST":
        try:
            return _typed(request, draft)
        except connecting.NotNow:  # its test was passed in this moment
            return redirect(_test_url(request, draft))
    if draft.environment == Environment.LIVE and (first := _factor(request)) is not None:
        return first
    return _page(request, draft, ConnectForm(draft=draft, url=request.path))


def _find(request: StaffRequest, key: uuid.UUID) -> ConnectionDraft:
    rows = ConnectionDraft.objects.select_related("connection", "author")
    draft = rows.filter(merchant=request.merchant, key=key).first()
    if draft is None:
        raise Http404
    draft.merchant = request.merchant
    return draft


def _factor(request: HttpRequest) -> HttpResponse | None:
    return second_factor.required_before(
        request, _("A live connection moves real money: it is connected by somebody with a second factor.")
    )


def _typed(request: StaffRequest, draft: ConnectionDraft) -> HttpResponse:
    form = ConnectForm(request.POST, request.FILES, draft=draft, url=request.path)
    only = request.htmx.trigger_name or "" if request.htmx else ""
    only = "" if only == "environment" else only
    form.is_valid()
    environment = request.POST.get("environment", "")
    environment = environment if environment in Environment.values else draft.environment
    # Credentials for real cards are taken from nobody without a second factor; the rest of what was typed is kept.
    refusal = _factor(request) if environment == Environment.LIVE else None
    had = set(draft.sealed)
    draft = connecting.keep(
        request.member,
        draft,
        typed=form.typed(only) | _filled_in(request, draft),
        secrets=form.secrets() if refusal is None else {},
        environment=environment if refusal is None else "",
        name=form.cleaned_data.get("name", ""),
    )
    draft.merchant = request.merchant
    forgot = had - set(draft.sealed)
    if refusal is not None:
        return refusal
    if request.htmx:
        return _fragment(request, draft, form, only, forgot=forgot)
    if request.POST.get("do") == "test":
        return _ask_for_test(request, draft, form, forgot=bool(forgot))
    if request.POST.get("do") == "approve":
        return _ask_for_approval(request, draft)
    if form.errors:
        return _page(request, draft, _again(request, draft, form), status=422)
    messages.success(request, _("Kept. Nothing has been sent yet."))
    return redirect(request.path)


def _filled_in(request: StaffRequest, draft: ConnectionDraft) -> dict[str, str]:
    """The provider's own address, where the button beside the field was pressed."""
    name = request.POST.get("preset", "")
    preset = connecting.presets(draft).get(name, "")
    return {name: preset} if preset else {}


def _fragment(
    request: StaffRequest, draft: ConnectionDraft, form: ConnectForm, only: str, *, forgot: set[str]
) -> HttpResponse:
    """To htmx: the field's own sentence, or nothing; for a secret that is sealed now, the field without it. And beside
    it the secrets that are `forgot`ten: nothing else on the page is touched, somebody is typing there."""
    if not only:
        return HttpResponseClientRedirect(request.path)  # another environment: the whole page speaks of it
    name = only.removeprefix("set_")
    if only not in form.fields or name not in form.declared:
        return HttpResponse(status=204)
    page: dict[str, object] = {"forgotten": forgot}
    if form.declared[name].kind == "secret" and name in form.secrets():
        page["line"] = ConnectForm(draft=draft, url=request.path).line(name)
        answer = render(request, "merchants/connect_draft.html#sealed", page)
        return reswap(retarget(answer, f"#field_{only}"), "outerHTML")
    page["errors"] = list(form.errors.get(only, ()))
    return render(request, "merchants/connect_draft.html#said", page, status=422 if page["errors"] else 200)


def _ask_for_test(request: StaffRequest, draft: ConnectionDraft, form: ConnectForm, *, forgot: bool) -> HttpResponse:
    form = _again(request, draft, form)
    form.require_all(draft, forgot=forgot)
    if form.errors:
        return _page(request, draft, form, status=422)
    return _send_to_test(request, draft, shop_named="shop_name" in form.fields)


def _ask_for_approval(request: StaffRequest, draft: ConnectionDraft) -> HttpResponse:
    """Ask the administrators whether the addresses that are not the provider's own may be called."""
    for name in address_names(draft):
        try:
            hosts.ask(request.member, draft.provider, draft.typed.get(name, "").strip(), request=request)
        except hosts.NothingToAsk as verdict:
            if verdict.verdict.sentence:
                messages.error(request, verdict.verdict.sentence)
        except hosts.DecidedAlready:
            messages.warning(request, _("An administrator has decided in this moment. Test the connection."))
        else:
            messages.success(
                request, _("The administrators are asked. You get a mail; test the connection when they have agreed.")
            )
    return redirect(request.path)


def _send_to_test(request: StaffRequest, draft: ConnectionDraft, *, shop_named: bool = False) -> HttpResponse:
    if draft.environment == Environment.LIVE and (first := _factor(request)) is not None:
        return first
    if draft.connection is not None and (proof := accounts.to_proof(request, _url(request, draft))) is not None:
        return proof  # what was typed is kept and sealed
    if not ratelimit.consume(request, app="allauth.account", action="test_connection", config=settings.SIGN_IN_LIMITS):
        return ratelimit.respond_429(request)  # type: ignore[no-any-return]
    connecting.ask_for_test(request.member, draft, shop_named=shop_named, request=request)
    return redirect(_test_url(request, draft))


def _again(request: StaffRequest, draft: ConnectionDraft, form: ConnectForm) -> ConnectForm:
    """The same form over the draft as it is kept now, with what was wrong."""
    fresh = ConnectForm(request.POST, request.FILES, draft=draft, url=request.path)
    fresh.is_valid()
    for field, errors in form.errors.items():
        if field in fresh.fields and field not in fresh.errors:
            fresh.add_error(field, list(errors))
    return fresh


def _page(request: StaffRequest, draft: ConnectionDraft, form: ConnectForm, *, status: int = 200) -> HttpResponse:
    provider = PROVIDERS[draft.provider]
    page = {
        "draft": draft,
        "provider_label": provider.name,
        "have_ready": [said(sentence) for sentence in provider.have_ready],
        "form": form,
        "needed": form.lines(required=True),
        "more": form.lines(required=False),
        "more_open": form.has_odd(),
        "environments": _environments(draft),
        "discard_url": reverse("discard_draft", args=[request.merchant.slug, draft.key]),
        "back_url": reverse("connection", args=[request.merchant.slug, draft.connection.key])
        if draft.connection
        else reverse("settings", args=[request.merchant.slug]),
        "sandbox_shown": draft.environment == Environment.SANDBOX,
    }
    return render(request, "merchants/connect_draft.html", page, status=status)


def _environments(draft: ConnectionDraft) -> list[dict[str, object]]:
    words = {
        Environment.SANDBOX: _("The provider’s test environment. Nothing in it is real: begin here."),
        Environment.LIVE: _("Real cards and real money."),
    }
    return [
        {"value": each.value, "label": each.label, "hint": words[each], "checked": each == draft.environment}
        for each in Environment
    ]


@require_POST
@member(Permission.CONNECT)
def discard(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Forget a draft with its secrets."""
    draft = _find(request, key)
    try:
        connecting.discard(request.member, draft)
    except connecting.NotNow:
        return redirect(_test_url(request, draft))
    messages.success(request, _("Discarded, with the secrets that were typed."))
    return redirect("settings", request.merchant.slug)


# ---- Its test -------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.CONNECT)
def connect_test(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """The test of a draft as it goes, and what came of it; a post tests again, or keeps it untested and paused."""
    draft = _find(request, key)
    if request.method == "POST" and request.POST.get("do") != "keep":
        return _send_to_test(request, draft) if draft.state == DraftState.FAILED else redirect(request.path)
    if request.method == "POST":
        try:
            kept = connecting.keep_untested(request.member, draft, request=request)
        except connecting.NotNow:
            messages.error(request, _("It can only be kept untested where the provider was away."))
            return redirect(request.path)
        messages.warning(
            request, _("%(name)s is there, paused. It is used once it has passed its test.") % {"name": kept.name}
        )
        return redirect("connection", request.merchant.slug, kept.key)
    if draft.state == DraftState.TYPING:
        url = _url(request, draft)
        return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
    part = "#trial" if request.htmx else ""
    return render(request, f"merchants/connect_test.html{part}", _trial(request, draft))


def _trial(request: StaffRequest, draft: ConnectionDraft) -> dict[str, object]:
    found = {each.get("step"): each for each in draft.findings}
    wrong = next((each for each in draft.findings if not each["passed"]), None)
    steps, shown_wrong = [], False
    for step, label in STEPS.items():
        finding = found.get(step.value)
        if finding is not None:
            steps.append(_step("done" if finding["passed"] else "refused", _told(finding["sentence"])))
            shown_wrong = shown_wrong or not finding["passed"]
        elif draft.pending and len(steps) == len(found):
            steps.append(_step("checking", str(label)))
        else:
            steps.append(_step("waiting", str(label)))
    return {
        "draft": draft,
        "name": draft.connection.name if draft.connection else draft.name,
        "provider_label": PROVIDERS[draft.provider].name,
        "steps": steps,
        "state": f"{draft.state}-{len(draft.findings)}",
        "wrong": _told(wrong["sentence"]) if wrong and not shown_wrong else "",
        "fix": _told(wrong["fix"]) if wrong and wrong.get("fix") else "",
        "quoted": wrong.get("said", "") if wrong else "",
        "trace": wrong.get("trace", "") if wrong else "",
        "may_keep": draft.sealed_secrets is not None,
        "capabilities": capability_card(draft.connection) if draft.state == DraftState.PASSED else None,
        "draft_url": _url(request, draft),
        "connection_url": reverse("connection", args=[request.merchant.slug, draft.connection.key])
        if draft.connection
        else "",
        "desk_url": reverse("desk", args=[request.merchant.slug]),
        "sandbox_shown": draft.environment == Environment.SANDBOX,
    }


def _step(outcome: str, text: str) -> dict[str, str]:
    return {"outcome": outcome, "text": text}


def _told(kept: dict[str, Any]) -> str:
    message, values = kept["message"], kept["values"]
    return _(message) % values if values else _(message)


def capability_card(connection: Connection | None) -> dict[str, object] | None:
    """What a connection can do, and what not, by the reason."""
    if connection is None:
        return None
    provider = PROVIDERS[connection.provider]
    found = doctor.capabilities(provider.slug, connection.options)
    cannot: dict[str, list[str]] = {}
    for verb, why in found.cannot:
        cannot.setdefault(said(why), []).extend(_doings(provider, (verb,)))
    return {"can": _doings(provider, found.can), "cannot": list(cannot.items())}


# ---- A change of a connection ---------------------------------------------------------------------------------
@require_POST
@member(Permission.CONNECT)
def change(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Begin to change what a connection tells its provider, or test it as it is."""
    row = request.merchant.connection_set.filter(key=key).first()
    if row is None:
        raise Http404
    page = reverse("connection", args=[request.merchant.slug, row.key])
    if row.environment == Environment.LIVE and (first := _factor(request)) is not None:
        return first
    if (proof := accounts.to_proof(request, page)) is not None:
        return proof
    draft = connecting.change_of(request.member, row)
    if request.POST.get("do") == "test" and draft.state == DraftState.TYPING and not draft.sealed:
        return _send_to_test(request, draft)
    return redirect(_url(request, draft))
