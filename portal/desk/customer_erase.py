"""Forgetting somebody: what goes and what stays, said first; then at once, and for good."""

import uuid
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from portal import formats
from portal.customers import book, contact, words
from portal.customers.models import Consent, Customer
from portal.desk.customer import facts, live
from portal.desk.customers import denied
from portal.ledger import approval_words, holders, operation_words
from portal.ledger.models import Approval, Operation
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission


class EraseForm(forms.Form):
    """The name, typed by hand: nobody erases the wrong one by pressing twice."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    typed = forms.CharField(
        max_length=1000,
        label=_("Type the name to erase"),
        error_messages={"required": _("Type the name as it stands above."), "max_length": _("That is not the name.")},
    )

    def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = name
        self.fields["typed"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def clean_typed(self) -> str:
        typed: str = self.cleaned_data["typed"]
        if contact.fold(contact.one_line(typed)) != contact.fold(self.name):
            raise forms.ValidationError(gettext("That is not the name. Type it as it stands above."))
        return typed


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.ERASE_CUSTOMERS)
def erase(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Say what goes and what stays; with the name typed, do it."""
    row = live(request, key)
    if row is None:
        return redirect("customer", request.merchant.slug, key)
    name = words.name(row)
    if request.method != "POST":
        return _show(request, row, EraseForm(name=name, initial={"version": row.version}))
    form = EraseForm(request.POST, name=name)
    if not form.is_valid():
        return _show(request, row, form, status=422)
    row.version = form.cleaned_data["version"]
    try:
        holders.erase(member=request.member, customer=row)
    except holders.UnderWay:
        return _show(request, row, form, status=409)
    except book.Changed:
        fresh = live(request, key)
        if fresh is None:
            return redirect("customer", request.merchant.slug, key)
        again = EraseForm({"version": fresh.version, "typed": form.cleaned_data["typed"]}, name=words.name(fresh))
        again.add_error(None, gettext("This customer was changed meanwhile. Look at what goes, and say it again."))
        return _show(request, fresh, again, status=409)
    except book.Gone:
        pass  # the page it leads to says what became of them
    except PermissionDenied:
        return denied(request, Permission.ERASE_CUSTOMERS)
    return redirect("customer", request.merchant.slug, row.key)


def _show(request: StaffRequest, row: Customer, form: EraseForm, *, status: int = 200) -> HttpResponse:
    held = holders.cards_of(row)
    page = {
        "form": form,
        "name": words.name(row),
        "facts": facts(row),
        "merged": Customer.objects.filter(merchant=request.merchant, merged_into=row).count(),
        "said": Consent.objects.filter(merchant=request.merchant, customer=row).count(),
        "cards": [formats.masked(card.last_four) for card in held],
        "movements": Operation.objects.filter(merchant=request.merchant, card__in=held).count(),
        "under_way": [_named(request, each) for each in holders.under_way(row)],
        "back_url": reverse("customer", args=[request.merchant.slug, row.key]),
    }
    return render(request, "customers/erase.html", page, status=status)


def _named(request: StaffRequest, waiting: Operation | Approval) -> tuple[str, str]:
    """What has to end first, and where it is seen."""
    slug = request.merchant.slug
    if isinstance(waiting, Approval):
        return approval_words.thing(waiting), reverse("approval", args=[slug, waiting.key])
    return operation_words.thing(waiting), reverse("operation", args=[slug, waiting.key])
