"""Taking an incident away: from when until when, as a report to read or as a table of its operations."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from portal import spreadsheet
from portal.desk import incident, incident_report
from portal.desk.administration.site import site
from portal.desk.models import Alert
from portal.merchants import accounts, audit
from portal.merchants.models import Person

LONGEST = timedelta(days=7)
ORDINARY = timedelta(hours=24)
BEFORE = timedelta(minutes=15)  # what led to an alert is older than it
COLUMNS = (
    *("begun_at_utc", "ended_at_utc", "reference", "merchant", "connection", "verb", "amount", "currency", "points"),
    *("state", "settled_by", "provider_reference"),
)


class SpanForm(forms.Form):
    """From when until when."""

    since = forms.DateTimeField(
        label=_("From"), error_messages={"required": _("Say from when."), "invalid": _("Type a day and a time.")}
    )
    until = forms.DateTimeField(
        label=_("Until"), error_messages={"required": _("Say until when."), "invalid": _("Type a day and a time.")}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_id = "span_%s"  # those of the lists are shown for a span between two days only
        for field in self.fields.values():
            field.widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        since, until = said.get("since"), said.get("until")
        if since and until and since >= until:
            raise ValidationError({"until": gettext("It ends after it began.")})
        if since and until and until - since > LONGEST:
            raise ValidationError({"since": gettext("Take seven days at most.")})
        return said


@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The span, and what there is in it; a post takes it away. That it was taken stands in the trail."""
    if request.method != "POST":
        form = SpanForm(request.GET if "since" in request.GET else _ordinary(request.GET.get("alert", "")))
        return _show(request, form)
    form = SpanForm(request.POST)
    if not form.is_valid():
        return _show(request, form)
    accounts.require_recent_proof(request)
    found = incident.gather(form.cleaned_data["since"], form.cleaned_data["until"])
    _note(request, found)
    name = f"incident-{found.since:%Y-%m-%d-%H%M}"
    if request.POST.get("as") == "operations":
        return _file("".join(_table(found)), f"{name}.csv", "text/csv")
    return _file(incident_report.write(found), f"{name}.md", "text/markdown")


def _ordinary(number: str) -> dict[str, str]:
    """From shortly before an alert, if one is named, and else of the last day; until it was over, or now."""
    now = timezone.localtime()
    since, until = now - ORDINARY, now
    alert = (
        Alert.objects.filter(pk=number).first() if number.isascii() and number.isdigit() and len(number) < 18 else None
    )
    if alert is not None:
        until = timezone.localtime(alert.resolved_at or now)
        since = max(timezone.localtime(alert.since) - BEFORE, until - LONGEST)
    later = until + timedelta(minutes=1)  # the form knows no seconds
    return {"since": f"{since:%Y-%m-%dT%H:%M}", "until": f"{later:%Y-%m-%dT%H:%M}"}


def _show(request: HttpRequest, form: SpanForm) -> HttpResponse:
    valid = form.is_valid()
    shown: dict[str, Any] = {"form": form, "time_zone": timezone.get_current_timezone_name()}
    if valid:
        found = incident.gather(form.cleaned_data["since"], form.cleaned_data["until"])
        shown |= {"found": found, "lost": incident_report.lost_words(found)}
        audit.looked("incident", merchants=found.merchants, request=request)
    return render(request, "desk/incident.html", site.each_context(request) | shown, status=200 if valid else 422)


def _note(request: HttpRequest, found: incident.Incident) -> None:
    span = f"{found.since:%Y-%m-%d %H:%M} – {found.until:%Y-%m-%d %H:%M %Z}"
    person = cast(Person, request.user)
    audit.record("incident exported", span, merchant=None, person=person, request=request, rows=len(found.lost))
    audit.looked("incident", merchants=found.merchants, request=request)


def _table(found: incident.Incident) -> Iterator[str]:
    """The operations whose end nobody knew, for a spreadsheet. Columns and codes are English in every language."""
    yield spreadsheet.MARK
    yield spreadsheet.line(COLUMNS)
    for each in found.lost:
        amount = (each.amount.decimal_text(), each.amount.currency) if each.amount else ("", "")
        yield spreadsheet.line(
            [
                *(_moment(each.begun_at), _moment(each.ended_at), each.reference, each.merchant, each.connection),
                *(each.verb, *amount, "" if each.points is None else str(each.points)),
                *(each.state, each.settled_by, each.provider_reference),
            ]
        )


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def _file(text: str, name: str, kind: str) -> HttpResponse:
    answer = HttpResponse(text, content_type=f"{kind}; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "no-store, private"
    return answer


incident_page = site.admin_view(page)
