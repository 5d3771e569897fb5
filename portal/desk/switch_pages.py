"""Kill switches, for administrators who have shown their second factor; to everybody else the pages are not there.

Two beats each: what will happen comes back as a sentence, and what will run when it is switched on again as a list.
"""

import uuid
from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from portal import formats
from portal.connectors import PROVIDERS
from portal.desk.administration.site import site
from portal.ledger import operation_words, operations, wake
from portal.ledger.models import Operation, OperationState
from portal.merchants import switches
from portal.merchants.fields import NameField
from portal.merchants.models import Connection, Merchant, Person, Scope, Switch

SHOWN = 50  # of what waits; the number says how many there are
DURATIONS = (30, 60, 2 * 60, 4 * 60, 12 * 60, 24 * 60)  # minutes
PAST = 20


class SwitchForm(forms.Form):
    """What to switch off, why, what the tills say, and for how long."""

    scope = forms.ChoiceField(label=gettext_lazy("Switch off"), choices=Scope.choices)
    provider = forms.ChoiceField(
        label=gettext_lazy("Provider"),
        help_text=gettext_lazy("For a provider, and for one kind of operation where it is not to stop everywhere."),
        required=False,
    )
    verb = forms.ChoiceField(
        label=gettext_lazy("Kind of operation"), help_text=gettext_lazy("For one kind of operation."), required=False
    )
    connection = forms.UUIDField(
        label=gettext_lazy("Connection"),
        help_text=gettext_lazy("For one connection: its key, as its page in the administration has it."),
        required=False,
        error_messages={"invalid": gettext_lazy("A key has 32 letters a to f and digits, in five groups.")},
    )
    merchant = forms.SlugField(
        label=gettext_lazy("Merchant"),
        help_text=gettext_lazy("For the balance page of one merchant: its name in the address. Nothing: all of them."),
        required=False,
        error_messages={"invalid": gettext_lazy("A name in an address has letters, digits and hyphens.")},
    )
    reason = NameField(
        label=gettext_lazy("Reason"),
        help_text=gettext_lazy("For the other administrators and for the trail."),
        max_length=switches.REASON_LENGTH,
        error_messages={
            "required": gettext_lazy("Say why. Others will have to decide when it is over."),
            "max_length": gettext_lazy("Shorten it to 300 characters."),
        },
    )
    banner = NameField(
        label=gettext_lazy("What tills say"),
        help_text=gettext_lazy("One sentence for whoever stands there with a customer, and what to do meanwhile."),
        max_length=switches.BANNER_LENGTH,
        error_messages={
            "required": gettext_lazy("Write what the tills say: people stand there with a customer."),
            "max_length": gettext_lazy("Shorten it to 200 characters."),
        },
    )
    minutes = forms.TypedChoiceField(label=gettext_lazy("How long"), coerce=int, empty_value=None, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer("provider", _("All providers"), [(slug, each.name) for slug, each in PROVIDERS.items()])
        self._offer("verb", "–", [(verb, str(doing)) for verb, doing in switches.DOINGS.items()])
        lengths = [(str(each), formats.age(timedelta(minutes=each))) for each in DURATIONS]
        self._offer("minutes", _("Until somebody switches it on again"), lengths)

    def _offer(self, name: str, nothing: str, choices: list[tuple[str, str]]) -> None:
        cast(forms.ChoiceField, self.fields[name]).choices = [("", nothing), *choices]

    def clean(self) -> dict[str, Any]:
        """Only what belongs to the chosen scope counts; what it needs is asked for."""
        typed = super().clean() or self.cleaned_data
        scope = typed.get("scope")
        keeps = {Scope.PROVIDER: {"provider"}, Scope.CONNECTION: {"connection"}, Scope.VERB: {"provider", "verb"}}
        for name in {"provider", "verb"} - keeps.get(cast(Scope, scope), set()):
            typed[name] = ""
        typed["page_of"] = None
        if scope == Scope.PUBLIC_PAGE and typed.get("merchant"):
            typed["page_of"] = Merchant.objects.filter(slug=typed["merchant"]).first()
            if typed["page_of"] is None:
                self.add_error("merchant", _("There is no merchant of this name."))
        if scope == Scope.PROVIDER and not typed.get("provider"):
            self.add_error("provider", _("Choose the provider."))
        if scope == Scope.VERB and not typed.get("verb"):
            self.add_error("verb", _("Choose the kind of operation."))
        if scope == Scope.CONNECTION and "connection" not in self.errors:
            key = typed.get("connection")
            typed["row"] = Connection.objects.select_related("merchant").filter(key=key).first() if key else None
            if typed["row"] is None:
                self.add_error("connection", _("There is no connection of this key."))
        return typed

    def unsaved(self) -> Switch:
        """The switch as its title and its queue are found."""
        said = self.cleaned_data
        what = {"scope": said["scope"], "provider": said["provider"], "verb": said["verb"]}
        return Switch(**what, connection=said.get("row"), merchant=said["page_of"])


# ---- Pages --------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
def listing(request: HttpRequest) -> HttpResponse:
    """What is off, and the form that switches something off."""
    posted = request.method == "POST"
    initial = {"connection": request.GET.get("connection", "")} if "connection" in request.GET else {}
    initial |= {"scope": Scope.CONNECTION} if initial else {}
    form = SwitchForm(request.POST) if posted else SwitchForm(initial=initial)
    if form.is_bound and form.is_valid():
        if "confirmed" not in request.POST:
            return _question(request, form)
        if _throw(request, form):
            return redirect("switches")
    page = site.each_context(request) | {
        "form": form,
        "thrown": [_line(each) for each in _all().filter(ended_at=None).order_by("-id")],
        "past": [_line(each) for each in _all().exclude(ended_at=None).order_by("-ended_at")[:PAST]],
        "on_call_url": _url("on_call"),
        "time_zone": timezone.get_current_timezone_name(),
    }
    return render(request, "desk/switches.html", page, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def switch_on(request: HttpRequest, key: uuid.UUID) -> HttpResponse:
    """What will run, in which order, and the button that lets it."""
    switch = _all().filter(key=key).first()
    if switch is None:
        raise Http404
    if request.method == "POST":
        if switches.end(switch, cast(Person, request.user), request=request):
            wake.for_operations()
            messages.success(request, _("%(what)s is switched on again.") % {"what": switches.title(switch)})
        return redirect("switches")
    waits = _held(switch)
    page = site.each_context(request) | {
        "switch": switch,
        "title": switches.title(switch),
        "line": _line(switch),
        "count": waits.count() if switch.ended_at is None else 0,
        "waits": [_waiting(each) for each in waits[:SHOWN]] if switch.ended_at is None else [],
        "shown": SHOWN,
        "switches_url": reverse("switches"),
        "time_zone": timezone.get_current_timezone_name(),
    }
    return render(request, "desk/switch.html", page)


# ---- Their parts --------------------------------------------------------------------------------------------------
def _question(request: HttpRequest, form: SwitchForm) -> HttpResponse:
    said = form.cleaned_data
    what = switches.title(form.unsaved())
    waits = _held(form.unsaved()).count()
    until = formats.age(timedelta(minutes=said["minutes"])) if said["minutes"] else ""
    sentence = _("Switch off %(what)s, for all it concerns, until somebody switches it on again?") % {"what": what}
    if until:
        sentence = _("Switch off %(what)s, for all it concerns, for %(time)s?") % {"what": what, "time": until}
    names = ("scope", "provider", "verb", "connection", "merchant", "reason", "banner", "minutes")
    page = site.each_context(request) | {
        "title": _("Switch off %(what)s") % {"what": what},
        "sentence": sentence,
        "consequence": _(
            "The tills say: “%(banner)s”. Operations that wait for it now: %(count)s. They are kept, and run in order"
            " when it is switched on again."
        )
        % {"banner": said["banner"], "count": formats.number(waits)},
        "exact": [(name, said[name] if said[name] is not None else "") for name in names],
        "button": _("Switch it off"),
        "back_url": reverse("switches"),
    }
    return render(request, "merchants/confirm.html", page)


def _throw(request: HttpRequest, form: SwitchForm) -> bool:
    said = form.cleaned_data
    minutes = said["minutes"]
    try:
        thrown = switches.throw(
            cast(Person, request.user),
            scope=said["scope"],
            provider=said["provider"],
            verb=said["verb"],
            connection=said.get("row"),
            merchant=said["page_of"],
            reason=said["reason"],
            banner=said["banner"],
            expires_at=timezone.now() + timedelta(minutes=minutes) if minutes else None,
            request=request,
        )
    except switches.ThrownAlready:
        form.add_error(None, _("This is switched off already."))
        return False
    messages.success(request, _("%(what)s is switched off.") % {"what": switches.title(thrown)})
    return True


def _all() -> QuerySet[Switch]:
    return Switch.objects.select_related("connection", "merchant", "thrown_by", "ended_by")


def _held(switch: Switch) -> QuerySet[Operation]:
    """What waits for it, in the order in which it will run."""
    rows = Operation.objects.filter(state=OperationState.WAITING).select_related("connection", "merchant", "card")
    concerned = Q(pk__in=())
    if switch.scope == Scope.CONNECTION:
        concerned = Q(connection=switch.connection)
    elif switch.scope in (Scope.PROVIDER, Scope.VERB):
        concerned = Q(connection__provider=switch.provider) if switch.provider else Q()
        concerned &= operations.of_verb(switch.verb) if switch.verb else Q()
    return rows.filter(concerned).order_by("priority", "id")


def _line(switch: Switch) -> dict[str, object]:
    return {
        "switch": switch,
        "title": switches.title(switch),
        "merchant": switch.merchant.name if switch.merchant else "",
        "kind": Scope(switch.scope).label,
        "by": switch.thrown_by.name,
        "ended_by": switch.ended_by.name if switch.ended_by else _("by itself, as said"),
        "url": reverse("switch_on", args=[switch.key]),
    }


def _waiting(operation: Operation) -> dict[str, object]:
    return {
        "operation": operation,
        "text": f"{operation_words.thing(operation)}, "
        f"{formats.masked(operation.card.last_four if operation.card else '')}",
        "url": reverse("admin:ledger_operation_change", args=[operation.pk]),
    }


def _url(name: str) -> str:
    """An address that another part of the portal may have."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


listing_page, switch_on_page = site.admin_view(listing), site.admin_view(switch_on)
