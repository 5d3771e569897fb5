"""The audit trail: a page to search in it, and the same as a file. Reads only, but for the line that says so."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from portal import spreadsheet
from portal.desk import trail_words as words
from portal.desk.trail_forms import TrailForm
from portal.ledger.operation_words import name_of
from portal.merchants import accounts, audit, tenancy
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import AuditEntry, Merchant
from portal.merchants.roles import Permission

PAGE = 50
# Lines of a file held in memory at a time.
AT_ONCE = 1000
# Where a subject leads, by the verbs that name such a thing; its address has the key.
PLACES = {"operation": ("operation asked", "operation withdrawn", "operation decided", "decision proposed")}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line as the page shows it."""

    at: datetime
    name: str
    is_person: bool
    sentence: str
    subject: str
    is_reference: bool
    subject_url: str
    changes: list[tuple[str, str, str]]
    facts: list[tuple[str, str]]
    address: str
    request_id: str


@require_safe
@member(Permission.SEE_AUDIT)
def trail(request: StaffRequest) -> HttpResponse:
    """What was done here, newest first; `before` is the number of the last line of the page before."""
    form = _form(request)
    page: dict[str, object] = {"form": form, "time_zone": request.merchant.time_zone, "url": request.path}
    if not form.is_valid():
        return render(request, "desk/trail.html", page, status=422)
    before = _before(request)
    rows = list(audit.newest(request.merchant, form.which(), before=before)[: PAGE + 1])
    narrowed = form.narrowed()
    page |= {
        "lines": [_line(request, row) for row in rows[:PAGE]],
        "narrowed": bool(narrowed),
        "first_page": before is None,
        "first_url": _with(request.path, narrowed),
        "older_url": _with(request.path, narrowed | {"before": str(rows[PAGE - 1].pk)}) if len(rows) > PAGE else "",
        "export_url": _with(reverse("trail_export", args=[request.merchant.slug]), narrowed),
    }
    return render(request, "desk/trail.html", page)


@require_POST
@member(Permission.SEE_AUDIT)
def export(request: StaffRequest) -> HttpResponse | StreamingHttpResponse:
    """The lines the page shows, all of them, as a file for a spreadsheet. That it was taken is a line, too."""
    form = _form(request)
    if not form.is_valid():
        return render(
            request,
            "desk/trail.html",
            {"form": form, "url": reverse("trail", args=[request.merchant.slug])},
            status=422,
        )
    accounts.require_recent_proof(request)
    narrowed = "; ".join(f"{name}: {value}" for name, value in form.narrowed().items())
    last = audit.record(
        "trail exported",
        request.merchant.name,
        merchant=request.merchant,
        person=request.person,
        request=request,
        filter=narrowed or None,
    )
    answer = StreamingHttpResponse(
        _file(request.merchant, form.which(), last, translation.get_language() or "en"),
        content_type="text/csv; charset=utf-8",
    )
    day = timezone.localdate().isoformat()
    answer["Content-Disposition"] = f'attachment; filename="{request.merchant.slug}-audit-trail-{day}.csv"'
    answer["Cache-Control"] = "no-store, private"
    return answer


def _form(request: StaffRequest) -> TrailForm:
    return TrailForm(request.GET, people=audit.people(request.merchant))


def _before(request: StaffRequest) -> AuditEntry | None:
    number = request.GET.get("before", "")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    return AuditEntry.objects.filter(merchant=request.merchant, pk=int(number)).first()


def _with(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


# ---- One line -----------------------------------------------------------------------------------------------------
def _line(request: StaffRequest, row: AuditEntry) -> Line:
    key = _key(row.subject)
    return Line(
        at=row.at,
        name=name_of(row.person),
        is_person=row.person is not None,
        sentence=words.sentence(row),
        subject=words.about(row),
        is_reference=key is not None,
        subject_url=_url(request, row, key),
        changes=list(words.changes(row)),
        facts=list(words.facts(row)),
        address=row.address or "",
        request_id=row.request_id,
    )


def _key(subject: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(subject)
    except ValueError:
        return None


def _url(request: StaffRequest, row: AuditEntry, key: uuid.UUID | None) -> str:
    place = next((place for place, verbs in PLACES.items() if row.verb in verbs), "")
    return reverse(place, args=[request.merchant.slug, key]) if place and key else ""


# ---- The file -----------------------------------------------------------------------------------------------------
def _file(merchant: Merchant, which: audit.Which, last: AuditEntry, language: str) -> Iterator[str]:
    """A thousand lines a piece, from `last` back. The view has long returned when a piece is asked for: so each says
    again on whose behalf it reads and in which language it writes."""
    with translation.override(language):
        head = [gettext("Time (%(zone)s)") % {"zone": merchant.time_zone}, gettext("Time (UTC)"), gettext("Who")]
        head += [gettext("E-mail"), gettext("What"), gettext("About"), gettext("Changes"), gettext("Details")]
        head += [gettext("Address"), gettext("Request")]
    yield spreadsheet.MARK + spreadsheet.line(head)
    before: AuditEntry | None = None
    while True:
        with tenancy.merchant(merchant.pk), translation.override(language):
            older = audit.newest(merchant, which, before=before)
            rows = list((older if before else older.filter(pk__lte=last.pk))[:AT_ONCE])
            piece = "".join(spreadsheet.line(_cells(row, ZoneInfo(merchant.time_zone))) for row in rows)
        yield piece
        if len(rows) < AT_ONCE:
            return
        before = rows[-1]


def _cells(row: AuditEntry, zone: ZoneInfo) -> list[str]:
    return [
        row.at.astimezone(zone).isoformat(sep=" ", timespec="seconds"),
        row.at.isoformat(timespec="milliseconds"),
        name_of(row.person),
        row.person.email if row.person else "",
        words.sentence(row),
        words.about(row),
        "; ".join(
            f"{label}: {before} → {after}" if label else f"{before} → {after}"
            for label, before, after in words.changes(row)
        ),
        "; ".join(f"{label}: {text}" for label, text in words.facts(row)),
        row.address or "",
        row.request_id,
    ]
