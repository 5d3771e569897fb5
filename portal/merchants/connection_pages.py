"""The page of one connection: what is known of its secrets, what it may be used for, and how it goes."""

import uuid
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from portal import dates
from portal.connectors import PROVIDERS
from portal.connectors.base import Settles
from portal.connectors.fields import secret_names
from portal.languages import said
from portal.merchants import connection_settings, connections
from portal.merchants.access import StaffRequest, member
from portal.merchants.connecting_pages import capability_card
from portal.merchants.credentials import Note
from portal.merchants.fields import NameField
from portal.merchants.models import Connection, Person, Store
from portal.merchants.roles import Permission, may, who_can

_OF_NUMBERS = {
    "required": gettext_lazy("Type a whole number."),
    "invalid": gettext_lazy("Type a whole number."),
    "min_value": gettext_lazy("Type %(limit_value)s or more."),
    "max_value": gettext_lazy("Type %(limit_value)s or less."),
}


class ConnectionForm(forms.Form):
    """What the merchant decides about a connection, whatever its provider."""

    name = NameField(
        label=gettext_lazy("Name"),
        help_text=gettext_lazy("As your people see it beside the scan box."),
        max_length=100,
        error_messages={
            "required": gettext_lazy("Give the connection a name."),
            "max_length": gettext_lazy("Shorten the name to 100 characters."),
        },
    )
    stores = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Stores"),
        help_text=gettext_lazy("A till in one of these stores offers this connection. None chosen means all stores."),
        queryset=Store.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages=dict.fromkeys(
            ("invalid_choice", "invalid_pk_value", "invalid_list"), gettext_lazy("Choose from the stores listed.")
        ),
    )
    concurrency = forms.IntegerField(
        label=gettext_lazy("Operations at once"),
        help_text=gettext_lazy("How many may be under way at the provider at the same time."),
        min_value=1,
        max_value=connection_settings.MOST_AT_ONCE,
        error_messages=_OF_NUMBERS,
    )
    per_second = forms.IntegerField(
        label=gettext_lazy("Operations per second"),
        help_text=gettext_lazy(
            "Some providers turn away whoever asks faster; yours will have told you how many it takes."
        ),
        min_value=1,
        max_value=connection_settings.MOST_PER_SECOND,
        error_messages=_OF_NUMBERS,
    )
    public_use = forms.BooleanField(
        label=gettext_lazy("Shoppers may look up their balance on the public page"), required=False
    )
    only_this_desk = forms.BooleanField(
        label=gettext_lazy("Only this desk moves these cards"),
        help_text=gettext_lazy(
            "Switch it on only if no web shop, no other till and not the provider itself moves money on them. A balance"
            " that changed by the amount is then proof enough that a lost answer was a yes."
        ),
        required=False,
    )
    reads_balance_first = forms.BooleanField(
        label=gettext_lazy("Read the balance before each operation"),
        help_text=gettext_lazy("One more call each time. It is the evidence where an answer gets lost."),
        required=False,
    )

    credentials_until = dates.DayField(
        label=gettext_lazy("Its credentials serve until"),
        help_text=gettext_lazy("Where the provider told you a day. Three weeks before, the desk reminds you."),
    )

    def __init__(self, *args: Any, connection: Connection, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stores = connection.merchant.store_set.order_by("name")
        self.fields["stores"].queryset = stores  # type: ignore[attr-defined]
        if not stores:
            del self.fields["stores"]
        provider = PROVIDERS[connection.provider]
        if provider.settles is not Settles.BY_BALANCE and not provider.tells_paid_in:
            # Balances prove nothing there: the two would be questions without a meaning.
            del self.fields["only_this_desk"], self.fields["reads_balance_first"]
        elif provider.settles is not Settles.BY_BALANCE:
            self.fields["only_this_desk"].help_text = _(
                "Switch it on only if no web shop, no other till and not the provider itself moves money on them. A"
                " balance that does not fit what was loaded then opens a case for a person."
            )
            self.fields["reads_balance_first"].help_text = _(
                "One more call each time. Without it nobody can say afterwards whether the balance fits."
            )

    def wanted(self, connection: Connection) -> connection_settings.Wanted:
        """What was decided; what was not asked stays as it is."""
        kept = {"stores": connection_settings.stores_of(connection)} if "stores" not in self.fields else {}
        for name in ("only_this_desk", "reads_balance_first"):
            kept |= {name: getattr(connection, name)} if name not in self.fields else {}
        return connection_settings.Wanted(**(kept | self.cleaned_data))


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.SEE_SETTINGS)
def connection(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """One connection; a post decides what it may be used for."""
    row = _find(request, key)
    editable = may(request.member.role, Permission.CONNECT)
    if request.method != "POST":
        return _page(request, row, ConnectionForm(connection=row, initial=_decided(row)), editable=editable)
    if not editable:
        return render(request, "403.html", {"who_can": who_can(Permission.CONNECT)}, status=403)
    form = ConnectionForm(request.POST, connection=row)
    if form.is_valid():
        try:
            changed = connection_settings.change(request.member, row, form.wanted(row), request=request)
        except connection_settings.NameTaken:
            form.add_error("name", _("Another connection has this name."))
        else:
            messages.success(request, _("Saved.") if changed else _("Nothing was changed."))
            return redirect("connection", request.merchant.slug, row.key)
    return _page(request, row, form, editable=editable, status=422)


def _find(request: StaffRequest, key: uuid.UUID) -> Connection:
    row = request.merchant.connection_set.filter(key=key).first()
    if row is None:
        raise Http404
    row.merchant = request.merchant
    return row


def _decided(row: Connection) -> dict[str, object]:
    names = (field for field in ConnectionForm.base_fields if field != "stores")
    return {name: getattr(row, name) for name in names} | {"stores": connection_settings.stores_of(row)}


def _page(
    request: StaffRequest, row: Connection, form: ConnectionForm, *, editable: bool, status: int = 200
) -> HttpResponse:
    place, tells = [request.merchant.slug, row.key], PROVIDERS[row.provider].tells
    page = {
        "connection": row,
        "provider_label": PROVIDERS[row.provider].name,
        "secrets": secret_lines(row),
        "options": option_lines(row),
        "callback_url": f"{settings.PUBLIC_URL}{reverse('callback', args=[row.key])}" if tells else "",
        "is_heard": PROVIDERS[row.provider].is_heard(row.options),
        "form": form,
        "editable": editable,
        "denied": "" if editable else who_can(Permission.CONNECT),
        "change_url": reverse("change_connection", args=place) if editable else "",
        "capabilities": capability_card(row),
        "untested": row.pause_reason == connections.UNTESTED,
        "retire_url": reverse("retire_connection", args=place) if editable else "",
        "in_use": connection_settings.is_in_use(row),
        "time_zone": request.merchant.time_zone,
        "sandbox_shown": row.environment == "sandbox",
    }
    return render(request, "merchants/connection.html", page, status=status)


def secret_lines(row: Connection) -> list[dict[str, object]]:
    """Each secret the provider asks for, with what may be known of it."""
    declared = PROVIDERS[row.provider].Settings.declared()
    notes = {name: Note.read(kept) for name, kept in row.secret_notes.items()}
    people = Person.objects.in_bulk({note.set_by for note in notes.values() if note.set_by is not None})
    return [
        {"label": said(declared[name].label), "note": note, "by": people.get(note.set_by or 0) if note else None}
        for name, note in ((name, notes.get(name)) for name in declared if name in secret_names(_settings(row)))
    ]


def option_lines(row: Connection) -> list[tuple[str, str, bool]]:
    """What else the provider asked for: label, text, and whether the text is as it was typed."""
    lines = []
    for name, asked in _settings(row).declared().items():
        value = row.options.get(name)
        if asked.kind == "secret" or value is None:
            continue
        if asked.kind == "switch":
            text = _("yes") if value else _("no")
        else:
            text = said(dict(asked.choices).get(str(value), "")) if asked.choices else str(value)
        lines.append((said(asked.label), text, asked.kind in ("text", "address")))
    return lines


def _settings(row: Connection) -> Any:
    return PROVIDERS[row.provider].Settings


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.CONNECT)
def retire(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Take a connection away that nothing belongs to, after a sentence that says so."""
    row = _find(request, key)
    if request.method == "POST":
        try:
            connection_settings.retire(request.member, row, request=request)
        except connection_settings.InUse:
            messages.error(request, _("Cards or operations belong to %(name)s, so it stays.") % {"name": row.name})
            return redirect("connection", request.merchant.slug, row.key)
        messages.success(request, _("%(name)s is gone, and its secrets with it.") % {"name": row.name})
        return redirect("settings", request.merchant.slug)
    in_use = connection_settings.is_in_use(row)
    words = {"name": row.name, "provider": PROVIDERS[row.provider].name}
    return render(
        request,
        "merchants/confirm.html",
        {
            "title": _("Retire %(name)s") % words,
            "sentence": _("Cards or operations belong to %(name)s, so it stays. You can pause it in the settings.")
            % words
            if in_use
            else _("Retire the connection %(name)s? Its secrets are erased and nobody can bring them back.") % words,
            "consequence": ""
            if in_use
            else _("At %(provider)s nothing changes: take its keys back there, too.") % words,
            "button": "" if in_use else _("Retire %(name)s") % words,
            "back_url": reverse("connection", args=[request.merchant.slug, row.key]),
        },
    )
