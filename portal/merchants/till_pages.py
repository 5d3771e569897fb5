"""Pages about tills and PINs: what an owner sets up, and the PIN each cashier chooses."""

import uuid

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import auth, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from portal import formats
from portal.merchants import pins, second_factor, tills
from portal.merchants.access import StaffRequest, member
from portal.merchants.fields import NameField
from portal.merchants.models import Merchant, Pin, Store, Till
from portal.merchants.roles import Permission, who_can

LISTED = 100


def _lock_choices() -> list[tuple[int, str]]:
    """30 seconds, 1 minute …, in the language of whoever reads: made anew with each form."""
    return [(seconds, _lasting(seconds)) for seconds in tills.LOCK_CHOICES]


def _lasting(seconds: int) -> str:
    if seconds < 60:
        return ngettext("%(count)s second", "%(count)s seconds", seconds) % {"count": formats.number(seconds)}
    minutes = seconds // 60
    return ngettext("%(count)s minute", "%(count)s minutes", minutes) % {"count": formats.number(minutes)}


class TillForm(forms.Form):
    """This browser as a till: its name and its store."""

    name = NameField(
        label=gettext_lazy("Name of the till"),
        help_text=gettext_lazy("As your people call it, such as Front till."),
        max_length=60,
        error_messages={"required": gettext_lazy("Give the till a name.")},
    )
    store = forms.ModelChoiceField(
        label=gettext_lazy("Store"),
        queryset=Store.objects.none(),
        empty_label=None,
        error_messages={
            "required": gettext_lazy("Choose the store it stands in."),
            "invalid_choice": gettext_lazy("Choose one of the stores."),
        },
    )

    def __init__(self, *args: object, merchant: Merchant, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["store"].queryset = merchant.store_set.order_by("name")  # type: ignore[attr-defined]


class LockForm(forms.Form):
    """After how long a till locks itself."""

    lock_after = forms.TypedChoiceField(
        label=gettext_lazy("A till locks itself after"), choices=_lock_choices, coerce=int
    )


class PinForm(forms.Form):
    """A new PIN, typed twice."""

    pin = forms.CharField(
        label=gettext_lazy("New PIN"),
        help_text=gettext_lazy("4 to 8 digits. Not 1234, 0000 and the like: colleagues try those first."),
        max_length=64,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
        error_messages={"required": gettext_lazy("Choose a PIN.")},
    )
    again = forms.CharField(
        label=gettext_lazy("The same PIN again"),
        max_length=64,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
        error_messages={"required": gettext_lazy("Type the PIN once more.")},
    )

    def clean_pin(self) -> str:
        typed: str = self.cleaned_data["pin"]
        if not pins.DIGITS.fullmatch(typed):
            raise forms.ValidationError(_("A PIN has 4 to 8 digits."))
        if pins.is_simple(typed):
            raise forms.ValidationError(_("That is one of the first PINs anybody tries. Choose another one."))
        return typed

    def clean_again(self) -> str:
        typed: str = self.cleaned_data["again"]
        if "pin" in self.cleaned_data and typed != self.cleaned_data["pin"]:
            raise forms.ValidationError(_("The two PINs are not the same."))
        return typed


# ---- Tills --------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.MANAGE_TILLS)
@reauthentication_required(allow_get=True)  # type: ignore[untyped-decorator]
def tills_page(request: StaffRequest) -> HttpResponse:
    """The merchant's tills; a post makes this browser one, signs out here and shows its lock."""
    form = TillForm(request.POST if request.method == "POST" else None, merchant=request.merchant)
    if form.is_bound and form.is_valid():
        if second_factor.has_one(request.person):
            asked = second_factor.required_before(request, _("Show your second factor to make this browser a till."))
            if asked is not None:
                return asked
        try:
            till, cookie = tills.open_here(
                request.member, name=form.cleaned_data["name"], store=form.cleaned_data["store"], request=request
            )
        except tills.NameTaken:
            form.add_error("name", _("A till of this name is open already."))
        except PermissionDenied:
            return _denied(request, Permission.MANAGE_TILLS)
        else:
            if request.till is not None:
                tills.end(request.member, request.till, request=request)  # the same browser under its old name
            answer = redirect("lock")
            second_factor.remember_browser(request, request.person, answer)
            auth.logout(request)
            messages.success(request, _("This browser is now the till %(name)s.") % {"name": till.name})
            tills.remember(answer, cookie)
            return answer
    return _tills_page(request, form, LockForm(initial={"lock_after": request.merchant.lock_after_seconds}))


@require_POST
@member(Permission.MANAGE_TILLS)
def lock_after(request: StaffRequest) -> HttpResponse:
    """Set after how long the merchant's tills lock themselves."""
    form = LockForm(request.POST)
    if not form.is_valid():
        return _tills_page(request, TillForm(merchant=request.merchant), form)
    tills.lock_after(request.member, form.cleaned_data["lock_after"], request=request)
    messages.success(request, _("Saved."))
    return redirect("tills", request.merchant.slug)


@require_POST
@member(Permission.MANAGE_TILLS)
def end_till(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """End a till: its browser is a browser like any other from the next request on."""
    till = Till.objects.filter(merchant=request.merchant, key=key).first()
    if till is None:
        raise Http404
    if tills.end(request.member, till, request=request):
        messages.success(request, _("%(name)s is no till any more.") % {"name": till.name})
    return redirect("tills", request.merchant.slug)


def _tills_page(request: StaffRequest, form: TillForm, lock_form: LockForm) -> HttpResponse:
    rows = Till.objects.select_related("store", "cashier", "opened_by").filter(merchant=request.merchant, ended_at=None)
    page = {
        "tills": [
            {
                "till": till,
                "is_here": request.till is not None and till.pk == request.till.pk,
                "end_url": reverse("end_till", args=[request.merchant.slug, till.key]),
            }
            for till in rows.order_by("name")[:LISTED]
        ],
        "form": form,
        "lock_form": lock_form,
        "has_stores": request.merchant.store_set.exists(),
        "pins": Pin.objects.filter(merchant=request.merchant).count(),
        "pin_url": reverse("pin", args=[request.merchant.slug]),
        "tills_url": reverse("tills", args=[request.merchant.slug]),
        "lock_after_url": reverse("lock_after", args=[request.merchant.slug]),
        "shifts_url": reverse("shifts", args=[request.merchant.slug]),
        "settings_url": reverse("settings", args=[request.merchant.slug]),
    }
    return render(request, "merchants/tills.html", page, status=422 if form.errors or lock_form.errors else 200)


# ---- PIN ----------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.CHOOSE_PIN)
@reauthentication_required  # type: ignore[untyped-decorator]
def pin(request: StaffRequest) -> HttpResponse:
    """Choose one's own PIN, having just proved who one is. Nobody sees it again, and nobody sets another one's."""
    form = PinForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            pins.choose(request.member, form.cleaned_data["pin"], request=request)
        except PermissionDenied:
            return _denied(request, Permission.CHOOSE_PIN)
        messages.success(
            request, _("Your PIN is set. It works on every till of %(name)s.") % {"name": request.merchant.name}
        )
        return redirect("pin", request.merchant.slug)
    page = {
        "form": form,
        "pin": Pin.objects.filter(merchant=request.merchant, member=request.member).first(),
        "pin_url": reverse("pin", args=[request.merchant.slug]),
        "desk_url": reverse("desk", args=[request.merchant.slug]),
    }
    return render(request, "merchants/pin.html", page, status=422 if form.errors else 200)


def _denied(request: StaffRequest, permission: Permission) -> HttpResponse:
    return render(request, "403.html", {"who_can": who_can(permission)}, status=403)
