"""Opening a shop: its basics, proposed from the country, and a practice connection to try everything with."""

from typing import Any, cast

from allauth.core.internal import ratelimit
from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from portal.merchants import countries, founding, wake
from portal.merchants.access import StaffRequest, member
from portal.merchants.fields import NameField
from portal.merchants.models import Person
from portal.merchants.roles import Permission


class FoundingForm(forms.Form):
    """What a shop needs to begin with. Choosing a country proposes the rest."""

    name = NameField(label=gettext_lazy("Name of the shop"), max_length=100)
    country = forms.ChoiceField(label=gettext_lazy("Country"))
    currency = forms.ChoiceField(label=gettext_lazy("Currency"))
    time_zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"), help_text=gettext_lazy("All dates and days of the shop are in it.")
    )
    language = forms.ChoiceField(
        label=gettext_lazy("Language"),
        choices=settings.LANGUAGES,
        help_text=gettext_lazy("Of receipts and of mails to customers. Each person chooses their own for these pages."),
    )
    store = NameField(
        label=gettext_lazy("First store"),
        max_length=100,
        required=False,
        help_text=gettext_lazy("Such as its street. Leave it empty and add stores later."),
    )

    proposed = ("currency", "time_zone", "language")

    def __init__(self, *args: Any, country: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        nothing = ("", _("Choose…"))
        _choose(self.fields["country"], [nothing, *countries.countries()])
        _choose(self.fields["currency"], [nothing, *countries.currencies()])
        here = [(zone, zone.replace("_", " ")) for zone in countries.zones_of(country)]
        elsewhere = [(zone, zone.replace("_", " ")) for zone in countries.other_zones(country)]
        groups = [(_("In this country"), here), (_("Elsewhere"), elsewhere)] if here else elsewhere
        _choose(self.fields["time_zone"], [nothing, *groups])

    def proposals(self) -> list[forms.BoundField]:
        return [self[name] for name in self.proposed]


def _choose(field: forms.Field, choices: list[Any]) -> None:
    cast(forms.ChoiceField, field).choices = choices


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def found(request: HttpRequest) -> HttpResponse:
    """The basics of a shop. A country in the query, or the button beside it, changes what is proposed."""
    given = request.POST if request.method == "POST" else request.GET
    country = given.get("country", "") or countries.from_browser(request.headers.get("Accept-Language", ""))
    proposal = countries.propose(country, browser_zone=given.get("browser_zone", "")[:50])
    words = {"providers": proposal.providers, "country_name": dict(countries.countries()).get(country, "")}
    if request.method != "POST" or "propose" in request.POST:
        kept = {name: given.get(name, "") for name in ("name", "store")}
        initial = {name: getattr(proposal, name) for name in FoundingForm.proposed} | kept
        form = FoundingForm(country=country, initial=initial | {"country": country})
        part = "#proposals" if getattr(request, "htmx", False) else ""
        return render(request, f"merchants/found.html{part}", {"form": form, **words})
    form = FoundingForm(request.POST, country=country)
    if not form.is_valid():
        return render(request, "merchants/found.html", {"form": form, **words}, status=422)
    if not ratelimit.consume(request, app="allauth.account", action="found", config=settings.SIGN_IN_LIMITS):
        return ratelimit.respond_429(request)  # type: ignore[no-any-return]
    try:
        merchant = founding.found(founder=cast(Person, request.user), request=request, **form.cleaned_data)
    except founding.TooMany:
        form.add_error(None, _("You own as many shops as one person may. Ask the administrator for more."))
        return render(request, "merchants/found.html", {"form": form, **words}, status=422)
    return redirect("desk", merchant.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.CONNECT)
def practice(request: StaffRequest) -> HttpResponse:
    """Ask a worker for the practice connections, and wait here until they are there."""
    if not settings.SANDBOX_URL:
        raise Http404
    if request.merchant.connection_set.exists():
        desk = redirect("desk", request.merchant.slug)
        return HttpResponseClientRedirect(desk.url) if request.htmx else desk
    if request.method == "POST":
        wake.for_practice(request.merchant.pk)
        return redirect(request.path)
    part = "#waiting" if request.htmx else ""
    return render(request, f"merchants/practice.html{part}")
