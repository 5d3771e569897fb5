"""The card's page and what is done there: a reading that renews itself on the left, actions on the right.

An action takes two beats, see two_beats.py.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect, HttpResponseClientRefresh

from portal import formats
from portal.connectors import PROVIDERS
from portal.connectors.base import CardStatus
from portal.customers import words as customer_words
from portal.ledger import (
    approval_words,
    approvals,
    balances,
    basket_forms,
    basket_words,
    card_words,
    case_pages,
    list_pages,
    naming,
    operation_words,
    operations,
    outcome_words,
    predictions,
    till_words,
    two_beats,
)
from portal.ledger.models import OVER, Card, Inquiry, Operation, OperationState, State
from portal.ledger.till_forms import MONEY, POINTS, WITH_CUSTOMER, WITH_ORIGINAL, ActionForm
from portal.merchants import audit, connections, switches, tills
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Switch
from portal.merchants.roles import Permission, may, who_can
from portal.middleware import client_context
from portal.money import Money, minor_digits

MOVEMENTS = 10
ORIGINALS = 20
PRESETS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("pay", "top_up", "sale"), (5, 10, 20, 50)),
    "tip": (1, 2, 5),
}

# In the order they stand: the verb, its word, its key on the keyboard.
ACTIONS: tuple[tuple[str, Promise, str], ...] = (
    ("pay", _("Take payment"), "p"),
    ("top_up", _("Add money"), "u"),
    ("sale", _("Sell"), "s"),
    ("award", _("Points for a purchase"), "w"),
    ("issue_points", _("Give points"), "i"),
    ("redeem_points", _("Redeem points"), "r"),
    ("tip", _("Tip"), "t"),
    ("void", _("Void"), "v"),
    ("activate", _("Activate"), "a"),
)


@dataclass(frozen=True, kw_only=True)
class Tab:
    """One action, offered or not; `why_not` says why."""

    verb: str
    label: str
    key: str
    url: str
    current: bool
    why_not: str


@dataclass(frozen=True, kw_only=True)
class Preset:
    """An amount one press away."""

    value: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Movement:
    """One line of the card's last operations."""

    url: str
    operation: Operation
    text: str
    amount: str
    shape: str
    word: str
    when: str


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A payment or top-up that a void or a tip may be for."""

    key: str
    text: str
    chosen: bool


# ---- Pages --------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.LOOK_UP_CARDS)
def card(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """One card. htmx asks for the fragment `reading` while a look-up is under way, for `action`, and for `prediction`
    while nobody has said how many points a purchase gives.

    A post is the first beat: what was typed comes back as a sentence to confirm. With `change` it comes back as a form.
    """
    found = _card(request, key)
    if request.htmx and request.htmx.target == "reading":
        reading = _reading(request, found)
        if PROVIDERS[found.connection.provider].by_usage_token and not reading["view"].pending:
            return HttpResponseClientRefresh()  # what the answer gave makes another action possible
        return render(request, "ledger/card.html#reading", reading)
    if request.htmx and request.htmx.target == "prediction":
        prediction = predictions.find(request, found, request.GET.get("prediction", ""), page=request.path)
        return render(request, "ledger/confirm.html#prediction", {"prediction": prediction})
    # Before the actions: an answer that comes in between makes them possible, and nobody would ask for them again.
    first_read = None if request.htmx else _reading(request, found)
    originals, unsettled = _originals(request, found), _unsettled(request, found)
    asked = request.POST if request.method == "POST" else request.GET
    tabs = _tabs(request, found, originals, unsettled, str(asked.get("do", "")))
    form = _form(request, found, _current(tabs), originals)
    question = _question(request, form) if form is not None and form.is_bound and form.is_valid() else None
    status = 422 if form is not None and form.errors else 200
    return _page(request, found, tabs, unsettled, form, question, first_read, status=status)


@require_POST
@member(Permission.LOOK_UP_CARDS)
def confirm(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """The second beat: ask for it, once per key, and go to the operation's page."""
    found = _card(request, key)
    originals = _originals(request, found, also=str(request.POST.get("of", "")))
    unsettled = _unsettled(request, found)
    tabs = _tabs(request, found, originals, unsettled, str(request.POST.get("do", "")))
    current = _current(tabs)
    form = _bound(request, found, current.verb, originals)
    if form.is_valid() and _may_be_asked(request, form, current):
        again = reverse("card", args=[request.merchant.slug, found.key])
        if answer := two_beats.ask(request, form, form.wish(), again=again):
            return answer
    return _page(request, found, tabs, unsettled, two_beats.as_typed(form), None, status=422)


@require_POST
@member(Permission.LOOK_UP_CARDS)
def ask_again(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Open a new look-up of a card we know; the page shows its answer as it arrives."""
    found = _card(request, key)
    try:
        pressed = uuid.UUID(request.POST.get("key", ""))
    except ValueError:
        pressed = uuid.uuid4()
    try:
        inquiry = balances.ask_again(member=request.member, key=pressed, card=found, client=client_context(request))
    except connections.NotNow:
        pass  # the page says so itself
    else:
        if inquiry.state in (State.WANTS_PIN, State.WANTS_NUMBER):
            page = reverse("look_up", args=[request.merchant.slug, inquiry.key])
            return HttpResponseClientRedirect(page) if request.htmx else redirect(page)
    if request.htmx:
        return render(request, "ledger/card.html#reading", _reading(request, found))
    return HttpResponseRedirect(reverse("card", args=[request.merchant.slug, found.key]), status=303)


# ---- The page's parts ---------------------------------------------------------------------------------------------
def _page(
    request: StaffRequest,
    found: Card,
    tabs: list[Tab],
    unsettled: Operation | None,
    form: ActionForm | None,
    question: two_beats.Question | None,
    reading: dict[str, Any] | None = None,
    *,
    status: int,
) -> HttpResponse:
    current = _current(tabs)
    verb = current.verb
    action = {
        "card": found,
        "lock": _lock(request, unsettled),
        "put_forward": _put_forward(request, found),
        "misfit": case_pages.on_card(request, found),
        "tabs": tabs,
        "current": current,
        "form": form,
        "question": question,
        "presets": _presets(found, verb),
        "choices": _choices(form) if form and verb in WITH_ORIGINAL else [],
        "wants_money": verb in MONEY,
        "wants_points": verb in POINTS,
        "wants_basket": verb == "sale",
        "currency": form.currency if form else "",
        "places": minor_digits(form.currency) if form and form.currency else 2,
        "card_url": reverse("card", args=[request.merchant.slug, found.key]),
        "confirm_url": reverse("confirm", args=[request.merchant.slug, found.key]),
    }
    if request.htmx:
        return render(request, "ledger/card.html#action", action, status=status)
    page = {
        **action,
        **(reading or _reading(request, found)),
        "movements": _movements(request, found),
        "list_url": list_pages.way_back(request, "cards", request.merchant.slug),
        "time_zone": request.merchant.time_zone,
        "sandbox_shown": found.connection.environment == "sandbox",
    }
    return render(request, "ledger/card.html", page, status=status)


def _reading(request: StaffRequest, found: Card) -> dict[str, Any]:
    newest = Inquiry.objects.filter(merchant=request.merchant, card=found).order_by("-id").first()
    if newest is not None and newest.ended_at and (found.read_at is None or found.read_at < newest.ended_at):
        found.refresh_from_db(
            fields=[
                "balance_minor",
                "balance_currency",
                "cash_minor",
                "bonus_minor",
                "points",
                "card_status",
                "expires_on",
                "read_at",
            ]
        )
    not_now = connections.not_now(found.connection, switches.LOOK_UP)
    return {
        "card": found,
        "view": card_words.view(found, newest, sees_customers=may(request.member.role, Permission.SEE_CUSTOMERS)),
        "look_up": newest,
        "not_now": not_now,
        "ask_again_key": uuid.uuid4(),
        "holder": _holder(request, found),
        "outdated": _is_outdated(found),
        "card_url": reverse("card", args=[request.merchant.slug, found.key]),
        "ask_again_url": reverse("ask_again", args=[request.merchant.slug, found.key]),
        "desk_url": reverse("desk", args=[request.merchant.slug]),
    }


def _is_outdated(found: Card) -> bool:
    """Whether something was done with the card since it was read, where a worker cannot read it by itself."""
    if found.read_at is None or not PROVIDERS[found.connection.provider].wants_pin(found.connection.options):
        return False
    done = Operation.objects.filter(merchant=found.merchant_id, card=found, state=OperationState.DONE)
    return done.filter(ended_at__gt=found.read_at).exists()


def _holder(request: StaffRequest, found: Card) -> dict[str, object]:
    """Who holds the card, masked for those at the till: shoppers see the screen, too. Empty for who may not see it."""
    role, slug = request.member.role, request.merchant.slug
    if not may(role, Permission.SEE_CUSTOMERS):
        return {}
    shown: dict[str, object] = {}
    if found.customer is not None:
        whole = may(role, Permission.EXPORT_CUSTOMERS) and not request.by_pin
        name, *reach = customer_words.greeting(found.customer, whole=whole)
        shown |= {"name": name, "reach": reach}
    if not request.by_pin:  # four digits open the till, not the customers' book
        if found.customer is not None:
            shown["url"] = reverse("customer", args=[slug, found.customer.key])
        if may(role, Permission.EDIT_CUSTOMERS):
            shown["choose_url"] = reverse("card_holder", args=[slug, found.key])
    return shown


def _holder_name(request: StaffRequest, found: Card) -> str:
    """Who holds the card, as the reading beside it says it; "" for who may not see it."""
    return str(_holder(request, found).get("name", "")) if found.customer is not None else ""


def _movements(request: StaffRequest, found: Card) -> list[Movement]:
    if not may(request.member.role, Permission.SEE_OPERATIONS):
        return []
    newest = (
        Operation.objects.filter(merchant=request.merchant, card=found)
        .select_related("asked_by", "original")
        .order_by("-id")[:MOVEMENTS]
    )
    lines = []
    for each in newest:
        shape, word = outcome_words.outcome(each)
        lines.append(
            Movement(
                url=reverse("operation", args=[request.merchant.slug, each.key]),
                operation=each,
                text=operation_words.line(each, request.person),
                amount=operation_words.movement(each),
                shape=shape,
                word=word,
                when=formats.moment(each.asked_at),
            )
        )
    return lines


def _lock(request: StaffRequest, unsettled: Operation | None) -> dict[str, str] | None:
    if unsettled is None:
        return None
    shape, word = outcome_words.outcome(unsettled)
    return {
        "text": till_words.lock(unsettled),
        "url": reverse("operation", args=[request.merchant.slug, unsettled.key]),
        "shape": shape,
        "word": word,
    }


def _put_forward(request: StaffRequest, found: Card) -> dict[str, str] | None:
    """The oldest wish for this card that waits for a second person."""
    waits = approvals.waiting(request.merchant.pk).filter(card=found).select_related("asked_by", "original").first()
    if waits is None:
        return None
    return {
        "word": str(waits.get_state_display()),
        "text": approval_words.waits(waits, request.person),
        "url": reverse("approval", args=[request.merchant.slug, waits.key]),
    }


def _unsettled(request: StaffRequest, found: Card) -> Operation | None:
    """The oldest operation on the card that is not settled: until it is, nothing else of ours touches the card."""
    open_states = (OperationState.CHECKING, OperationState.NEEDS_PERSON)
    rows = Operation.objects.filter(merchant=request.merchant, card=found, state__in=open_states)
    return rows.order_by("id").first()


# ---- Which actions ------------------------------------------------------------------------------------------------
def _tabs(
    request: StaffRequest,
    found: Card,
    originals: dict[str, list[Operation]],
    unsettled: Operation | None,
    wanted: str,
) -> list[Tab]:
    is_locked = unsettled is not None
    thrown = switches.in_force()
    reasons = {
        verb: _why_not(request, found, verb, originals, thrown, is_locked=is_locked) for verb, _label, _key in ACTIONS
    }
    if wanted not in reasons:
        wanted = next((verb for verb, why in reasons.items() if not why), ACTIONS[0][0])
    page = reverse("card", args=[request.merchant.slug, found.key])
    return [
        Tab(
            verb=verb,
            label=str(label),
            key=key,
            url=f"{page}?do={verb}",
            current=verb == wanted,
            why_not=reasons[verb],
        )
        for verb, label, key in ACTIONS
    ]


def _current(tabs: list[Tab]) -> Tab:
    return next(tab for tab in tabs if tab.current)


def _why_not(
    request: StaffRequest,
    found: Card,
    verb: str,
    originals: dict[str, list[Operation]],
    thrown: list[Switch],
    *,
    is_locked: bool,
) -> str:
    if why := till_words.unable(found.connection).get(verb):
        return why
    if not may(request.member.role, operations.PERMISSIONS[verb]):
        return who_can(operations.PERMISSIONS[verb])
    if not_now := connections.not_now(found.connection, verb, thrown):
        return not_now
    if is_locked:
        return till_words.locked()
    if found.card_status == CardStatus.NOT_FOUND:
        return gettext("The card company does not know this card.")
    if verb in PROVIDERS[found.connection.provider].by_usage_token and balances.usable(found) is None:
        return till_words.look_up_first(found.connection, pending=_is_looked_up(found))
    if verb in WITH_ORIGINAL and not originals[verb]:
        return till_words.nothing_to(verb)
    return ""


def _is_looked_up(found: Card) -> bool:
    under_way = (State.WAITING, State.ASKING)
    return Inquiry.objects.filter(merchant=found.merchant_id, card=found, state__in=under_way).exists()


def _originals(request: StaffRequest, found: Card, *, also: str = "") -> dict[str, list[Operation]]:
    """What may be voided and what may be tipped on this card, newest first. `also` keeps one that a form was drawn
    with, so that its refusal is said in operations' own words."""
    moved = list(
        Operation.objects.filter(
            merchant=request.merchant, card=found, verb__in=operations.ORIGINALS["void"], state=OperationState.DONE
        )
        .exclude(provider_reference="")
        .select_related("asked_by")
        .order_by("-id")[:ORIGINALS]
    )
    followed = set(
        Operation.objects.filter(merchant=request.merchant, original__in=moved)
        .exclude(state__in=(OperationState.REFUSED, OperationState.FAILED))
        .values_list("original_id", "verb")
    )
    voided = {original for original, verb in followed if verb == "void"}
    tipped = {original for original, verb in followed if verb == "tip"}
    return {
        "void": [each for each in moved if str(each.key) == also or each.pk not in voided | tipped],
        "tip": [each for each in moved if each.verb == "pay" and (str(each.key) == also or each.pk not in voided)],
    }


# ---- The form -----------------------------------------------------------------------------------------------------
def _form(request: StaffRequest, found: Card, current: Tab, originals: dict[str, list[Operation]]) -> ActionForm | None:
    """The form of the current action, or None where it is not offered."""
    if current.why_not:
        return None
    initial: dict[str, object] = {"of": request.GET.get("of", "")}
    if request.method != "POST" and (kept := tills.draft(request, current.verb)):
        lines = basket_forms.kept_draft(kept.pop("basket", {}), str(found.connection.options.get("currency", "")))
        initial |= kept | lines | two_beats.amount_to_type(found, kept.get("minor", ""))
    edit = None
    if request.method == "POST":
        is_edit = current.verb == "sale" and basket_forms.is_edit(request.POST)
        if "change" not in request.POST and not is_edit:
            return _bound(request, found, current.verb, originals)
        initial = {name: str(value) for name, value in request.POST.items() if name not in ("minor", "preset")}
        initial |= two_beats.amount_to_type(found, str(request.POST.get("minor", "")))
        if current.verb == "sale":
            edit = _edit(request, found)
            initial = {name: value for name, value in initial.items() if not basket_forms.is_of_basket(name)}
            initial |= edit.fields
    if not initial.get("key"):
        initial["key"] = _attempt(request, found, current.verb)
    form = ActionForm(
        verb=current.verb,
        card=found,
        originals=originals.get(current.verb, ()),
        extra=_entered(request, found),
        holder=_holder_name(request, found),
        initial=initial,
    )
    if edit is not None:
        form.go_on(edit)
    return form


def _edit(request: StaffRequest, found: Card) -> basket_forms.Edit:
    currency = str(found.connection.options.get("currency", ""))
    reserved = PROVIDERS[found.connection.provider].reserved_eans
    return basket_forms.edited(request.POST, currency, reserved)


def _bound(request: StaffRequest, found: Card, verb: str, originals: dict[str, list[Operation]]) -> ActionForm:
    return ActionForm(
        request.POST, verb=verb, card=found, originals=originals.get(verb, ()), holder=_holder_name(request, found)
    )


def _entered(request: StaffRequest, found: Card) -> Mapping[str, object]:
    newest = Inquiry.objects.filter(merchant=request.merchant, card=found).order_by("-id").values_list("extra").first()
    return newest[0] if newest else {}


def _attempt(request: StaffRequest, found: Card, verb: str) -> uuid.UUID:
    """The form's key. It survives a reload and the back button, and is replaced once what it asked for is over: so a
    form drawn again while the first answer is still open can ask for nothing new by mistake."""
    attempts: dict[str, str] = request.session.get("attempts", {})
    name = f"{found.key.hex} {verb}"
    kept = attempts.get(name)
    if kept and not _is_over(request, uuid.UUID(kept)):
        return uuid.UUID(kept)
    fresh = uuid.uuid4()
    attempts.pop(name, None)
    request.session["attempts"] = dict([*attempts.items(), (name, str(fresh))][-20:])
    return fresh


def _is_over(request: StaffRequest, key: uuid.UUID) -> bool:
    if Operation.objects.filter(merchant=request.merchant, key=key, state__in=OVER).exists():
        return True
    approval = approvals.of_key(request.merchant, key)
    return approval is not None and approvals.is_over(approval)


def _may_be_asked(request: StaffRequest, form: ActionForm, current: Tab) -> bool:
    """Whether it is offered still; what this key asked for before is shown in any case."""
    key = form.cleaned_data["key"]
    if not current.why_not or Operation.objects.filter(merchant=request.merchant, key=key).exists():
        return True
    if approvals.of_key(request.merchant, key):
        return True
    form.add_error(None, current.why_not)
    return False


def _presets(found: Card, verb: str) -> list[Preset]:
    currency = str(found.connection.options.get("currency", ""))
    if verb in PRESETS and currency:
        one = 10 ** minor_digits(currency) if minor_digits(currency) else 100
        offered = [
            Preset(value=str(each * one), label=formats.money(Money(each * one, currency))) for each in PRESETS[verb]
        ]
        if verb == "pay" and found.balance_minor:
            whole = formats.money(Money(found.balance_minor, found.balance_currency))
            offered.append(Preset(value="all", label=gettext("All: %(amount)s") % {"amount": whole}))
        return offered
    if verb == "redeem_points" and found.points:
        offered = [Preset(value="all", label=gettext("All: %(amount)s") % {"amount": found.points})]
        if found.points > 1:
            offered.append(Preset(value="half", label=gettext("Half: %(amount)s") % {"amount": found.points // 2}))
        return offered
    return []


def _choices(form: ActionForm) -> list[Choice]:
    """The newest first and chosen, unless another one was."""
    chosen = form["of"].value()
    if chosen not in form.originals:
        chosen = next(iter(form.originals), "")
    return [
        Choice(key=key, text=operation_words.choice(original), chosen=key == chosen)
        for key, original in form.originals.items()
    ]


# ---- The sentence -------------------------------------------------------------------------------------------------
def _question(request: StaffRequest, form: ActionForm) -> two_beats.Question | None:
    """The sentence to confirm. A payment above the balance becomes one of the balance, and says what is left to
    collect; one from an empty card becomes an error beside the field."""
    found, wish = form.card, form.wish()
    held = found.balance_minor if found.balance_currency == form.currency else None
    short = ""
    amount = wish.amount
    if form.verb in ("pay", "tip") and amount is not None and held is not None and amount.minor > held:
        if held == 0 or form.verb == "tip":
            form.add_error(
                "amount",
                gettext("There is nothing on the card.")
                if held == 0
                else gettext("Card has %(held)s.") % {"held": formats.money(Money(held, form.currency))},
            )
            return None
        rest = formats.money(Money(amount.minor - held, form.currency))
        amount = form.cleaned_data["amount"] = Money(held, form.currency)
        shown = formats.money(Money(held, form.currency))
        short = gettext("Card has %(held)s. Take %(held)s and collect %(rest)s otherwise?") % {
            "held": shown,
            "rest": rest,
        }
    text = formats.money(Money(amount.minor, amount.currency)) if amount else ""
    text = text or (formats.points(wish.points.count) if wish.points else "")
    second = two_beats.second_person(request, form.wish())
    return two_beats.Question(
        amount=text,
        sentence=till_words.question(
            form.verb,
            card=found,
            amount=text,
            original=wish.original,
            also_activate=wish.also_activate,
            basket=wish.basket,
        ),
        short=short,
        warnings=two_beats.warnings(form, wish),
        after=_after(form, amount, wish),
        old_reading=card_words.view(found, None, sees_customers=False).old,
        second=second,
        mail=naming.mail(found, form.private, loads=_loads(wish)) if form.verb in WITH_CUSTOMER else "",
        button=gettext("Ask a second person")
        if second
        else till_words.button(form.verb, amount=text, original=wish.original),
        exact=form.exact(),
        basket=basket_words.view(wish.basket) if wish.basket else None,
        prediction=predictions.ask(
            request,
            found,
            amount,
            form_key=form.cleaned_data["key"],
            page=reverse("card", args=[request.merchant.slug, found.key]),
        )
        if form.verb == "award" and amount is not None
        else None,
    )


def _loads(wish: operations.Wish) -> bool:
    """Whether it puts money on the card."""
    return wish.verb == "top_up" or (wish.basket is not None and wish.basket.load is not None)


def _after(form: ActionForm, amount: Money | None, wish: operations.Wish) -> str:
    """The card's level if it happens, by the last reading."""
    found = form.card
    verb, sign = form.verb, 1
    if verb == "void" and wish.original is not None:
        verb, sign = wish.original.verb, -1
    sign *= {"top_up": 1, "issue_points": 1, "pay": -1, "tip": -1, "redeem_points": -1}.get(verb, 0)
    if wish.points is not None and found.points is not None:
        after = found.points + sign * wish.points.count
        return formats.points(after) if after >= 0 else ""
    if amount is None or found.balance_minor is None or found.balance_currency != amount.currency or not sign:
        return ""
    after = found.balance_minor + sign * amount.minor
    return formats.money(Money(after, amount.currency)) if after >= 0 else ""


# ---- Small things -------------------------------------------------------------------------------------------------
def _card(request: StaffRequest, key: uuid.UUID) -> Card:
    found = Card.objects.select_related("connection", "customer").filter(merchant=request.merchant, key=key).first()
    if found is None:
        audit.record("card not found", str(key), merchant=request.merchant, person=request.person, request=request)
        raise Http404
    return found
