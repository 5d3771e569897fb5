"""A person's own pages: name, email address, password, and what proves who they are."""

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from portal.merchants.fields import NameField
from portal.merchants.models import Person


class PersonForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a person says of themselves; the address and the password have pages of their own."""

    class Meta:
        model = Person
        fields = ("name",)
        field_classes: dict[str, Any] = {"name": NameField}
        labels = {"name": gettext_lazy("Your name")}
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """Your account."""
    person = cast(Person, request.user)
    form = PersonForm(request.POST if request.method == "POST" else None, instance=person)
    if form.is_bound and form.is_valid():
        form.save()
        messages.success(request, _("Kept."))
        return redirect("account")
    email = person.email
    return render(request, "account/yours.html", {"form": form, "email": email}, status=422 if form.is_bound else 200)
