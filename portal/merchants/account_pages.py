"""A person's own pages: name, email address, password, and what proves who they are."""

from typing import Any, cast

from allauth.mfa import app_settings as mfa
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.merchants import second_factor, sessions
from portal.merchants.fields import NameField
from portal.merchants.models import Person


class PersonForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a person says of themselves; the address and the password have pages of their own."""

    class Meta:
        model = Person
        fields = ("name", "language")
        field_classes: dict[str, Any] = {"name": NameField}
        labels = {"name": gettext_lazy("Your name")}
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}

    language = forms.ChoiceField(
        label=gettext_lazy("Your language"),
        required=False,
        choices=lambda: [("", gettext_lazy("As this browser asks for")), *settings.LANGUAGES],
        help_text=gettext_lazy("Of these pages and of mails to you."),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """Your account."""
    person = cast(Person, request.user)
    form = PersonForm(request.POST if request.method == "POST" else None, instance=person)
    email = person.email
    if form.is_bound and form.is_valid():
        form.save()
        with translation.override(person.language or translation.get_language()):
            messages.success(request, _("Kept."))
        return redirect("account")
    return render(
        request,
        "account/yours.html",
        {"form": form, "email": email, "sessions": _sessions(request, person), **_factors(person)},
        status=422 if form.is_bound else 200,
    )


def _factors(person: Person) -> dict[str, object]:
    """What the person has set up, and how many recovery codes are left; no seed is opened for it."""
    found = list(Authenticator.objects.filter(user=person).order_by("id"))
    by_type = {each.type: each for each in found}
    shown_once = by_type.get(Authenticator.Type.RECOVERY_CODES)
    return {
        "app": by_type.get(Authenticator.Type.TOTP),
        "passkeys": [each for each in found if each.type == Authenticator.Type.WEBAUTHN],
        "has_factor": any(each.type in second_factor.FACTORS for each in found),
        "codes_left": mfa.RECOVERY_CODE_COUNT - shown_once.data.get("used_mask", 0).bit_count() if shown_once else None,
    }


def _sessions(request: HttpRequest, person: Person) -> list[dict[str, object]]:
    here = sessions.current_id(request)
    return [
        {
            "here": row.pk == here,
            "device": device_words(row.browser),
            "address": row.address or "",
            "begun_at": row.begun_at,
            "seen_at": row.seen_at,
        }
        for row in sessions.open_ones(person)
    ]


# What a User-Agent says, most telling first: many claim to be others as well.
_BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrom", "Chrome"), ("Safari", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def device_words(user_agent: str) -> str:
    """The browser and its system as people call them, as far as they say so."""
    browser = next((name for sign, name in _BROWSERS if sign in user_agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), "")
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or _("A browser that does not say its name")


@require_POST
@login_required
def end_sessions(request: HttpRequest) -> HttpResponse:
    """End all other sessions of this person."""
    sessions.end_others(request)
    messages.success(request, _("All other sessions have ended."))
    return redirect("account")


@require_safe
@login_required
def to_account(request: HttpRequest) -> HttpResponse:
    """Where allauth goes back to after a factor was changed."""
    return redirect("account")


# ---- What is gone already is not there to be removed or shown: back to the account, not to a missing page ------------
@login_required
def remove_passkey(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove one of this person's passkeys, after a question."""
    mine = Authenticator.objects.filter(user=request.user, type=Authenticator.Type.WEBAUTHN, pk=pk)
    return webauthn.remove_webauthn(request, pk=pk) if mine.exists() else redirect("account")


@login_required
def remove_app(request: HttpRequest) -> HttpResponse:
    """Remove this person's authenticator app, after a question."""
    mine = Authenticator.objects.filter(user=request.user, type=Authenticator.Type.TOTP)
    return totp.deactivate_totp(request) if mine.exists() else redirect("account")


@login_required
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """This person's recovery codes, the first time."""
    mine = Authenticator.objects.filter(user=request.user, type=Authenticator.Type.RECOVERY_CODES)
    return codes.view_recovery_codes(request) if mine.exists() else redirect("account")
