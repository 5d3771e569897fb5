"""Adding a store, and changing its name and address. The list of them stands in Settings."""

import uuid

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from portal.merchants import stores
from portal.merchants.access import StaffRequest, member
from portal.merchants.fields import NameField
from portal.merchants.models import Store
from portal.merchants.roles import Permission


class StoreForm(forms.Form):
    """What a store is called, and where it is."""

    name = NameField(
        label=_("Name"),
        help_text=_("As your people call it, such as its street."),
        max_length=100,
        error_messages={"required": _("Give the store a name.")},
    )
    address = NameField(
        label=_("Address"),
        help_text=_("Street, postal code and town, in one line. It may be left empty."),
        max_length=200,
        required=False,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.MANAGE_STORES)
def new_store(request: StaffRequest) -> HttpResponse:
    """Another store of the merchant."""
    form = StoreForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            made = stores.add(request.member, **form.cleaned_data, request=request)
        except stores.NameTaken:
            form.add_error("name", _taken())
        except stores.TooMany:
            form.add_error(None, gettext("No merchant has more stores than this one."))
        else:
            messages.success(request, gettext("%(name)s is a store now.") % {"name": made.name})
            return redirect(_list_url(request))
    return _show(request, form, None)


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.MANAGE_STORES)
def store(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """One store's name and address."""
    found = get_object_or_404(request.merchant.store_set, key=key)
    known = {"name": found.name, "address": found.address}
    form = StoreForm(request.POST if request.method == "POST" else None, initial=known)
    if form.is_bound and form.is_valid():
        try:
            changed = stores.change(request.member, found, **form.cleaned_data, request=request)
        except stores.NameTaken:
            form.add_error("name", _taken())
        else:
            if changed:
                messages.success(request, gettext("Saved."))
            return redirect(_list_url(request))
    return _show(request, form, found)


def _show(request: StaffRequest, form: StoreForm, found: Store | None) -> HttpResponse:
    page = {"form": form, "store": found, "list_url": _list_url(request)}
    return render(request, "merchants/store.html", page, status=422 if form.errors else 200)


def _list_url(request: StaffRequest) -> str:
    return reverse("settings", args=[request.merchant.slug]) + "#stores-title"


def _taken() -> str:
    return gettext("You have a store of this name. Choose another one.")
