"""The second factor: seeds that only web processes can open, and who must have one before what.

An authenticator app (TOTP), passkeys and recovery codes are allauth's. A browser that showed a factor is not asked
again for a day, by a signed cookie that counts for this person and this factor only. A passkey is both factors at once.
"""

import logging
import struct
import time
from collections.abc import Callable, Collection
from typing import Any, cast

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.stagekit import unstash_login
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.internal.flows import trust
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from cryptography.exceptions import InvalidSignature
from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import Resolver404, resolve, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext, gettext_lazy
from django_htmx.http import HttpResponseClientRedirect

from portal.merchants import web_vault
from portal.merchants.fields import NameField
from portal.merchants.models import Person

log = logging.getLogger(__name__)
Respond = Callable[[HttpRequest], HttpResponse]

FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
# What an administrator without a second factor still reaches: the way to one, and the way out.
OPEN_TO_ADMINISTRATORS = {
    "account",
    "account_logout",
    "account_reauthenticate",
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_index",
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "mfa_view_recovery_codes",
}


# ---- As allauth is told ---------------------------------------------------------------------------------------
class Adapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """allauth's questions about second factors, answered."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": gettext_lazy("This is not the code, or it was used already."),
    }

    def encrypt(self, text: str) -> str:
        return web_vault.seal(_place(), text)

    def decrypt(self, encrypted_text: str) -> str:
        return web_vault.open_sealed(_place(), encrypted_text)

    def generate_authenticator_name(self, user: Person, type: Authenticator.Type) -> str:
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return gettext("Passkey %(number)s") % {"number": number}

    def _get_site_name(self) -> str:
        return "Tillside"


def _place() -> str:
    """A seed is sealed for one person: copied into another's row it opens nothing. Who that is, the session says, or
    the log-in that waits for the factor."""
    request = context.request
    if request.user.is_authenticated:
        return f"factor of {request.user.pk}"
    login = unstash_login(request, peek=True)
    return f"factor of {login.user.pk if login and login.user else 'nobody'}"


class _Readable:
    """A seed that cannot be opened is said and logged; it is no error page, and it lets nobody in."""

    def clean_code(self) -> str:
        try:
            return super().clean_code()  # type: ignore[misc,no-any-return]
        except web_vault.CannotOpen:
            log.error("A second factor cannot be opened: its key is gone, or its row was changed.")
            raise ValidationError(
                gettext("Your second factor cannot be read any more. The administrator can help.")
            ) from None


class CodeForm(_Readable, AuthenticateForm):  # type: ignore[misc]  # allauth has no types
    """A code at signing in."""


class CodeAgainForm(_Readable, ReauthenticateForm):  # type: ignore[misc]  # allauth has no types
    """A code asked for in between."""


class KeyField(forms.JSONField):
    """What a device answered, as JSON. Rubbish is refused, also what Python's reader stumbles over: numbers of
    thousands of digits, and brackets within brackets within brackets."""

    widget = forms.HiddenInput
    LONGEST = 20_000  # characters; a true answer has some hundreds

    def to_python(self, value: Any) -> Any:
        try:
            found = super().to_python(value) if len(value or "") <= self.LONGEST else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ValidationError(gettext("The device did not give a passkey. Try again, or use another way."))
        return found


class _Checked(forms.Form):
    """A device's answer that does not hold, in whatever way, is a wrong one and no error page."""

    credential = KeyField()

    def clean_credential(self) -> Authenticator:
        try:
            return super().clean_credential()  # type: ignore[misc]
        except (InvalidSignature, AttributeError, KeyError, TypeError, ValueError, struct.error):
            raise Adapter().validation_error("incorrect_code") from None


class SignInKeyForm(_Checked, LoginWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    """A passkey alone."""


class KeyForm(_Checked, AuthenticateWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    """A passkey after the password."""


class KeyAgainForm(_Checked, ReauthenticateWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    """A passkey asked for in between."""


class NewKeyForm(AddWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    """A passkey to be added."""

    name = NameField(label=gettext_lazy("Name"), max_length=60, required=False)
    credential = KeyField()

    def clean(self) -> dict[str, Any]:
        try:
            cleaned: dict[str, Any] = super().clean()
        except (InvalidSignature, AttributeError, KeyError, TypeError, ValueError, struct.error):
            raise Adapter().validation_error("incorrect_code") from None
        return cleaned


# ---- Who has one, and who must --------------------------------------------------------------------------------
def has_one(person: Person) -> bool:
    """Whether a second factor is set up."""
    return bool(Authenticator.objects.filter(user=person, type__in=FACTORS).exists())


def who_have_one(people: Collection[int]) -> set[int]:
    """Of these people, by id, those who have set one up."""
    return set(Authenticator.objects.filter(user__in=people, type__in=FACTORS).values_list("user_id", flat=True))


def was_shown(request: HttpRequest) -> bool:
    """Whether this person showed their factor in this browser within a day."""
    records = get_authentication_records(request, request.user)
    day = settings.MFA_TRUST_COOKIE_AGE.total_seconds()
    if any(record["method"] == "mfa" and time.time() - record["at"] < day for record in records):
        return True
    return bool(trust.is_trusted_browser(request, request.user))


def remember_browser(request: HttpRequest, person: Person, response: HttpResponse) -> None:
    """After signing in with a factor: do not ask this person in this browser for a day."""
    records = get_authentication_records(request, person)
    if any(record["method"] == "mfa" and time.time() - record["at"] < settings.JUST_NOW_SECONDS for record in records):
        trust.trust_browser(request, person, response)


def required_before(request: HttpRequest, why: str) -> HttpResponse | None:
    """Call in a view before something that needs a second factor, such as storing a live credential: None to go on, or
    the answer to give instead. `why` is a sentence for the person.

    Without a factor the answer leads to where one is set up; with one that was not shown today, to where it is asked
    for, and from there back to this address.
    """
    person = cast(Person, request.user)
    if not has_one(person):
        messages.warning(request, why)
        return _go(request, reverse("account") + "#second-factor")
    if was_shown(request):
        return None
    app = Authenticator.objects.filter(user=person, type=Authenticator.Type.TOTP).exists()
    page = reverse("mfa_reauthenticate" if app else "mfa_reauthenticate_webauthn")
    back = request.get_full_path() if request.method in ("GET", "HEAD") else _page_before(request)
    return _go(request, f"{page}?{urlencode({'next': back})}")


def of_administrators(get_response: Respond) -> Respond:
    """Middleware, behind signing in: administrators go nowhere without a second factor but to where they get one."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if not (request.user.is_authenticated and request.user.is_staff) or _is_open(request):
            return get_response(request)
        refusal = required_before(request, gettext("Administrators need a second factor. Set one up to go on."))
        return refusal if refusal is not None else get_response(request)

    return middleware


def _is_open(request: HttpRequest) -> bool:
    try:
        return resolve(request.path_info).url_name in OPEN_TO_ADMINISTRATORS
    except Resolver404:
        return False


def _page_before(request: HttpRequest) -> str:
    """A form cannot be sent again by a link: its page can be opened again. Only paths of ours."""
    before: Any = request.headers.get("Referer", "")
    ours = settings.PUBLIC_URL + "/"
    return before.removeprefix(settings.PUBLIC_URL) if before.startswith(ours) else "/"


def _go(request: HttpRequest, address: str) -> HttpResponse:
    # A fragment cannot be replaced by another page: the whole browser has to go there.
    return HttpResponseClientRedirect(address) if getattr(request, "htmx", False) else redirect(address)
