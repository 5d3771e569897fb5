"""One customer's page: their data, cards, last operations, what they agreed to, and what was changed by whom."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal import formats
from portal.customers import book, files, forms, words
from portal.customers.forms import ConsentForm, CustomerForm
from portal.customers.models import PERSONAL, Consent, Customer, ProviderNumber, Purpose, Source
from portal.desk.customers import connections, denied, keys_of, lines, region, same
from portal.ledger import card_words, holders, operation_words, outcome_words
from portal.ledger.models import Operation
from portal.merchants import accounts, audit
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import AuditEntry
from portal.merchants.roles import Permission, may

OPERATIONS = 10
CHANGES = 20

_CHANGES: Mapping[str, Promise] = {
    "customer added": _("Added"),
    "customer changed": _("Changed: %(fields)s"),
    "customer merged": _("Another record of the same person was merged into this one"),
    "consent given": _("Agreed: %(what)s"),
    "consent withdrawn": _("Withdrew: %(what)s"),
    "card attached": _("Card %(card)s attached"),
    "card detached": _("Card %(card)s detached"),
    "customer data exported": _("Their data were taken away as a file"),
}


@dataclass(frozen=True, kw_only=True)
class HeldCard:
    """One of the customer's cards."""

    url: str
    last_four: str
    connection: str
    environment: str
    level: str
    read_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Word:
    """Where one purpose stands, and who said so."""

    purpose: str
    label: str
    given: bool
    last: Consent | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """One line of the trail about this customer."""

    at: datetime
    by: str
    text: str


# ---- The page -----------------------------------------------------------------------------------------------------
@require_safe
@member(Permission.SEE_CONSENTING_CUSTOMERS)
def customer(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Everything of one customer that this role may see. The address of one that was merged leads on."""
    row = seen(request, key)
    if row.merged_into is not None:
        return redirect("customer", request.merchant.slug, row.merged_into.key)
    return _show(request, row)


def _show(
    request: StaffRequest, row: Customer, *, consent: ConsentForm | None = None, status: int = 200
) -> HttpResponse:
    role, slug = request.member.role, request.merchant.slug
    if row.erased_at is not None:
        return render(request, "customers/erased.html", {"customer": row})
    may_edit = may(role, Permission.EDIT_CUSTOMERS)
    page: dict[str, object] = {
        "customer": row,
        "name": words.name(row),
        "facts": facts(row),
        "consent": _consent(row),
        "history": list(_said(row).select_related("recorded_by").order_by("-at", "-id")),
        "consent_form": consent,
        "sources": Source.choices,
        "may_edit": may_edit,
        "may_export": may(role, Permission.EXPORT_CUSTOMERS),
        "may_erase": may(role, Permission.ERASE_CUSTOMERS),
        "time_zone": request.merchant.time_zone,
    }
    if may(role, Permission.SEE_CUSTOMERS):
        held = list(holders.cards_of(row).select_related("connection"))
        page["cards"] = [
            HeldCard(
                url=reverse("card", args=[slug, each.key]),
                last_four=each.last_four,
                connection=each.connection.name,
                environment=each.connection.environment,
                level=" · ".join(filter(None, card_words.levels(each))),
                read_at=each.read_at,
            )
            for each in held
        ]
        page["changes"] = _changes(request, row)
        page["sandbox_shown"] = any(each.connection.environment == "sandbox" for each in held)
        if may(role, Permission.SEE_OPERATIONS):
            page["movements"] = _movements(request, row)
    return render(request, "customers/customer.html", page, status=status)


def facts(row: Customer) -> list[tuple[str, str]]:
    """What is known of them, by label, without what is empty."""
    found = [(str(words.LABELS[name]), words.value(row, name)) for name in PERSONAL]
    numbers = ProviderNumber.objects.filter(merchant=row.merchant_id, customer=row).order_by("connection__name")
    for connection, number in numbers.values_list("connection__name", "number"):
        found.append((gettext("Number at %(connection)s") % {"connection": connection}, number))
    return [(label, text) for label, text in found if text]


def _said(row: Customer) -> QuerySet[Consent]:
    return Consent.objects.filter(merchant=row.merchant_id, customer=row)


def _consent(row: Customer) -> list[Word]:
    last = {word.purpose: word for word in _said(row).select_related("recorded_by").order_by("at", "id")}
    return [
        Word(purpose=value, label=str(label), given=bool(value in last and last[value].given), last=last.get(value))
        for value, label in Purpose.choices
    ]


def _movements(request: StaffRequest, row: Customer) -> list[dict[str, object]]:
    newest = (
        Operation.objects.filter(merchant=request.merchant, card__in=holders.cards_of(row))
        .select_related("asked_by", "original", "card")
        .order_by("-id")[:OPERATIONS]
    )
    found = []
    for each in newest:
        shape, word = outcome_words.outcome(each)
        found.append(
            {
                "url": reverse("operation", args=[request.merchant.slug, each.key]),
                "operation": each,
                "text": operation_words.line(each, request.person),
                "last_four": each.card.last_four if each.card else "",
                "amount": operation_words.movement(each),
                "shape": shape,
                "word": word,
                "when": formats.moment(each.asked_at),
            }
        )
    return found


def _changes(request: StaffRequest, row: Customer) -> list[Change]:
    """Who did what, newest first; of those who were merged into this one, too."""
    keys = [
        str(row.key),
        *map(str, Customer.objects.filter(merchant=row.merchant_id, merged_into=row).values_list("key", flat=True)),
    ]
    entries = AuditEntry.objects.filter(merchant=request.merchant, subject__in=keys, verb__in=_CHANGES)
    return [
        Change(at=each.at, by=operation_words.name_of(each.person), text=_change(each))
        for each in entries.select_related("person").order_by("-at", "-id")[:CHANGES]
    ]


def _change(entry: AuditEntry) -> str:
    detail = dict(entry.detail)
    names = [str(words.LABELS[name]) for name in detail.get("fields", "").split(", ") if name in words.LABELS]
    what = detail.get("what", "")
    said = {"fields": ", ".join(names), "card": detail.get("card", ""), "what": words.purpose(what) if what else ""}
    return str(_CHANGES[entry.verb]) % said


# ---- Changing it --------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.EDIT_CUSTOMERS)
def edit(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Change what is known of a customer. What somebody else changed meanwhile is never written over unseen."""
    row = live(request, key)
    if row is None:
        return redirect("customer", request.merchant.slug, key)
    offered = connections(request)
    if request.method != "POST":
        numbers = dict(
            ProviderNumber.objects.filter(merchant=request.merchant, customer=row).values_list("connection", "number")
        )
        begun = forms.initial(row, numbers, offered)
        return _edit_page(request, row, CustomerForm(initial=begun, region=region(request), connections=offered))
    form = CustomerForm(request.POST, region=region(request), connections=offered)
    if not form.is_valid():
        return _edit_page(request, row, form, status=422)
    if warned := same(request, form, but=row):
        return _edit_page(request, row, form, warned=warned)
    row.version = form.cleaned_data["version"] or 0
    try:
        book.change(member=request.member, customer=row, details=form.details())
    except book.Changed:
        now = live(request, key)
        again = request.POST.copy()
        again["version"] = str(now.version if now else 0)
        form.data = again
        form.add_error(
            None,
            gettext("Somebody else changed this customer while you were typing. Look at what is kept now, then save."),
        )
        return _edit_page(request, row, form, kept=facts(now) if now else None, status=409)
    except book.Gone:
        return redirect("customer", request.merchant.slug, key)
    except PermissionDenied:
        return denied(request, Permission.EDIT_CUSTOMERS)
    messages.success(request, gettext("The change is kept."))
    return redirect("customer", request.merchant.slug, row.key)


def _edit_page(
    request: StaffRequest,
    row: Customer,
    form: CustomerForm,
    *,
    warned: list[Customer] | None = None,
    kept: list[tuple[str, str]] | None = None,
    status: int = 200,
) -> HttpResponse:
    page = {
        "form": form,
        "name": words.name(row),
        "warned": lines(request, warned or []),
        "warned_keys": keys_of(warned or []),
        "kept": kept,
        "back_url": reverse("customer", args=[request.merchant.slug, row.key]),
    }
    return render(request, "customers/edit.html", page, status=status)


@require_POST
@member(Permission.EDIT_CUSTOMERS)
def consent(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Keep that the customer agrees to something, or takes it back."""
    row = live(request, key)
    if row is None:
        return redirect("customer", request.merchant.slug, key)
    form = ConsentForm(request.POST)
    if not form.is_valid():
        return _show(request, row, consent=form, status=422)
    try:
        holders.say(
            member=request.member,
            customer=row,
            purpose=Purpose(form.cleaned_data["purpose"]),
            given=form.cleaned_data["given"] == "yes",
            source=Source(form.cleaned_data["source"]),
        )
    except book.Gone:
        pass  # the page it leads to says so itself
    except PermissionDenied:
        return denied(request, Permission.EDIT_CUSTOMERS)
    return redirect("customer", request.merchant.slug, row.key)


# ---- Giving it to them --------------------------------------------------------------------------------------------
@require_POST
@member(Permission.EXPORT_CUSTOMERS)
def data(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Everything about one person as a file, for themselves."""
    row = live(request, key)
    if row is None:
        return redirect("customer", request.merchant.slug, key)
    accounts.require_recent_proof(request)
    audit.record(
        "customer data exported", str(row.key), merchant=request.merchant, person=request.person, request=request
    )
    everything = {"merchant": request.merchant.name, **files.everything(row), **holders.everything(row)}
    answer = HttpResponse(json.dumps(everything, ensure_ascii=False, indent=2), content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="customer-{row.key}.json"'
    answer["Cache-Control"] = "no-store, private"
    return answer


# ---- Finding it ---------------------------------------------------------------------------------------------------
def seen(request: StaffRequest, key: uuid.UUID) -> Customer:
    """The customer, wherever this role may see them; anything else was never there."""
    row = Customer.objects.select_related("merged_into").filter(merchant=request.merchant, key=key).first()
    if row is None or not (may(request.member.role, Permission.SEE_CUSTOMERS) or _consenting(row)):
        audit.record("customer not found", str(key), merchant=request.merchant, person=request.person, request=request)
        raise Http404
    return row


def _consenting(row: Customer) -> bool:
    shown = row.merged_into or row
    return shown.has_consent and shown.erased_at is None


def live(request: StaffRequest, key: uuid.UUID) -> Customer | None:
    """The customer, or None where their own page has to say what became of them."""
    row = seen(request, key)
    return row if row.is_live else None
