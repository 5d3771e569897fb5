"""How people sign up, sign in and prove who they are, as django-allauth is told.

allauth keeps the flows; what is decided here is ours: whose address counts, how many tries there are and for whom, what
is mailed to strangers, and how recent a proof must be. docs/decisions/0007-signing-in.md says why.
"""

import time
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import SignupForm
from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.account.internal.flows.signup import prevent_enumeration
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from allauth.core.internal import ratelimit
from django import forms
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django_htmx.http import HttpResponseClientRedirect

from portal.merchants import audit, second_factor, sessions, standing
from portal.merchants.fields import NameField
from portal.merchants.models import Person
from portal.middleware import client_address

# Mails anybody can have sent to anybody's address, by typing it into a form.
_TO_STRANGERS = {
    "account/email/account_already_exists",
    "account/email/email_confirmation",
    "account/email/email_confirmation_signup",
    "account/email/password_reset_code",
    "account/email/unknown_account",
}
_LINKS = {"signup_url": "account_signup", "password_reset_url": "account_reset_password"}


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """allauth's questions, answered."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": _("No account has this email address and this password."),
        "enter_current_password": _("This is not your present password."),
        "incorrect_code": _("This is not the code, or it is too old."),
        "incorrect_password": _("This is not your password."),
        "too_many_login_attempts": _("Too many failed tries. Wait five minutes and try again."),
        "rate_limited": _("Too many tries in a short time. Wait a moment and try again."),
        "duplicate_email": _("This is your email address already."),
        "same_as_current": _("This is your email address already."),
    }

    def get_client_ip(self, request: HttpRequest) -> str:
        """The address our own proxies saw; where it cannot be told nobody may try passwords."""
        address = client_address(request)
        if address is None:
            raise PermissionDenied("The visitor's address cannot be told.")
        return address

    def save_user(self, request: HttpRequest, user: Person, form: forms.Form, commit: bool = True) -> Person:
        user.name = form.cleaned_data["name"]
        saved: Person = super().save_user(request, user, form, commit)
        return saved

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Beside allauth's limits by address and by account, one over everybody: many machines trying a few
        passwords each look harmless one by one."""
        self._everywhere = ratelimit.consume(
            request, app="allauth.account", action="everywhere", config=settings.SIGN_IN_LIMITS, key="all"
        )
        if not self._everywhere:
            raise self.validation_error("too_many_login_attempts")
        super().pre_authenticate(request, **credentials)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # allauth puts the Host before it, whose port anybody may choose: each would be a fresh counter.
        return str(credentials.get("email", "")).lower()

    def _rollback_login_failed_rl_usage(self) -> None:
        # Called when the password was right: what is counted is failures.
        super()._rollback_login_failed_rl_usage()
        self._everywhere.rollback()

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """One address, and all strangers together, are not flooded with what others ask for."""
        if template_prefix in _TO_STRANGERS:
            for action, key in (("mail_to_one", email.lower()), ("mail_to_all", "all")):
                if not ratelimit.consume(
                    self.request, app="allauth.account", action=action, config=settings.SIGN_IN_LIMITS, key=key
                ):
                    raise ImmediateHttpResponse(ratelimit.respond_429(self.request))
        # Our own address, whatever Host the request carried.
        links = {name: settings.PUBLIC_URL + reverse(place) for name, place in _LINKS.items()}
        super().send_mail(template_prefix, email, context | {"public_url": settings.PUBLIC_URL, **links})

    def get_login_stages(self) -> list[str]:
        # Whether a browser is remembered is our rule, not a question.
        stages: list[str] = super().get_login_stages()
        return [stage for stage in stages if stage != "allauth.mfa.stages.TrustStage"]

    def post_login(self, request: HttpRequest, user: Person, **how: Any) -> HttpResponse:
        if how["signup"]:  # a password chosen and a code typed a moment ago prove as much as one asked for
            record_authentication(request, user, method="password")
        response: HttpResponse = super().post_login(request, user, **how)
        second_factor.remember_browser(request, user, response)
        return response

    def logout(self, request: HttpRequest) -> None:
        sessions.end_this(request)
        super().logout(request)

    def is_reauthentication_required(self, app: str = "") -> bool:
        """allauth's own pages follow the same rule as ours: a password typed at signing in counts too."""
        return not proved_lately(self.request)


class SignUpForm(SignupForm):  # type: ignore[misc]  # allauth has no types
    """Name, email address and a password. What is wrong with an address is said; that it is taken is not."""

    name = NameField(label=_("Your name"), max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    field_order = ("name", "email", "password1")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password1"].help_text = _(
            "At least 12 characters. A few words only you would put together are good and easy to remember."
        )

    def try_save(self, request: HttpRequest) -> tuple[Person | None, HttpResponse | None]:
        """For an address that has an account, all that can be seen is the same, the time it takes included."""
        if self.account_already_exists:
            Person().set_password(self.cleaned_data["password1"])
            return None, prevent_enumeration(request, email=self.cleaned_data["email"])
        return super().try_save(request)  # type: ignore[no-any-return]


def confirm_address(person: Person) -> None:
    """Take the person's address as confirmed without a code: for people whom we make ourselves."""
    EmailAddress.objects.update_or_create(user=person, email=person.email, defaults={"verified": True, "primary": True})


def allow_tries(person: Person, *, by: Person, reason: str, request: HttpRequest) -> None:
    """An administrator forgets the wrong passwords tried at somebody's account, so that they need not wait. Raises
    PermissionDenied for whoever is no administrator any more."""
    with transaction.atomic():
        standing.still_administers(by)
        adapter = Adapter()
        ratelimit.clear(
            request,
            app="allauth.account",
            action="login_failed",
            key=adapter._get_login_attempts_cache_key(request, email=person.email),
        )
        audit.record("tries allowed", person.name, merchant=None, person=by, request=request, reason=reason)


def proved_lately(request: HttpRequest) -> bool:
    """Whether this person proved who they are, by password or factor, in the last five minutes in this session."""
    records = get_authentication_records(request, request.user)
    return bool(records) and time.time() - records[-1]["at"] < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT


def require_recent_proof(request: HttpRequest) -> None:
    """Call before something that a session left open must not do. Raises ReauthenticationRequired, which leads through
    the page that asks for the password and back to this request, with what was typed."""
    if not proved_lately(request):
        raise ReauthenticationRequired


def to_proof(request: HttpRequest, back: str) -> HttpResponse | None:
    """The same where what was typed must not be kept by a session: None to go on, or the way to the page that asks for
    the password and from there to `back`."""
    if proved_lately(request):
        return None
    address = f"{reverse('account_reauthenticate')}?{urlencode({'next': back})}"
    # A fragment cannot be replaced by another page: the whole browser has to go there.
    return HttpResponseClientRedirect(address) if getattr(request, "htmx", False) else redirect(address)
