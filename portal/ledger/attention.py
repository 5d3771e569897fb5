"""Attention: operations whose end no machine can tell, the evidence for each, and a person's word on it.

Shows and asks; settling.decide writes.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from portal import formats
from portal.ledger import approval_pages, basket_words, case_pages, limits, operations, settling
from portal.ledger import attention_words as words
from portal.ledger.attention_forms import DID_NOT, HAPPENED, DecisionForm
from portal.ledger.models import Exchange, Operation, OperationState, Pulse
from portal.merchants import accounts, audit
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import AuditEntry
from portal.merchants.roles import Permission, may, who_can

PAGE = 25
# The sweep looks every few seconds. Silent for so long, it does not run, and "nothing unclear" would be a guess.
SILENT = timedelta(minutes=2)
UNCLEAR, SECOND = "unclear", "second"  # what the page can be narrowed to


# ---- The queue ------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Line:
    """One operation in the queue. It is not mine where it waits for somebody else's word after mine."""

    key: uuid.UUID
    url: str
    name: str
    last_four: str
    amount: str
    connection: str
    environment: str
    by: str
    asked_at: datetime
    age: str
    first_word: str
    is_mine: bool


@require_safe
@member(Permission.SEE_OPERATIONS)
def queue(request: StaffRequest) -> HttpResponse:
    """What needs a person, oldest first; `after` names the last one of the page before, `only` narrows the page to
    what is unclear, or to what waits for a second person."""
    after = _uuid(request.GET.get("after", ""))
    only = request.GET.get("only", "")
    rows = _waiting(request, after) if only != SECOND else []
    lines = [_line(request, row) for row in rows[:PAGE]]
    decides = may(request.member.role, Permission.DECIDE)
    page: dict[str, object] = {
        "approvals": approval_pages.lines(request) if after is None and only != UNCLEAR else [],
        "cases": case_pages.lines(request) if after is None and only != SECOND else [],
        "lines": lines,
        "denied": "" if decides else who_can(Permission.DECIDE),
        "next_one": next((line for line in lines if line.is_mine), None) if decides and after is None else None,
        "first_page": after is None,
        "after": lines[-1].key if len(rows) > PAGE else None,
        "only": only if only in (UNCLEAR, SECOND) else "",
        "time_zone": request.merchant.time_zone,
    }
    if any(row.connection.environment == "sandbox" for row in rows):
        page["sandbox_shown"] = True  # otherwise the frame knows, by its scan box
    if not rows:
        page |= _last_check()
    return render(request, "ledger/attention.html", page)


def unclear(merchant_id: int) -> QuerySet[Operation]:
    """All whose end a person has to tell."""
    return Operation.objects.filter(merchant=merchant_id, state=OperationState.NEEDS_PERSON)


def _waiting(request: StaffRequest, after: uuid.UUID | None) -> list[Operation]:
    """A page of the queue, and one more where there is a further page."""
    rows = unclear(request.merchant.pk)
    if after is not None:
        rows = rows.filter(id__gt=Operation.objects.filter(merchant=request.merchant, key=after).values("id"))
    linked = rows.select_related("connection", "card", "original", "asked_by", "decided_by")
    return list(linked.order_by("id")[: PAGE + 1])


def _line(request: StaffRequest, row: Operation) -> Line:
    return Line(
        key=row.key,
        url=reverse("attention_case", args=[request.merchant.slug, row.key]),
        name=words.name(row),
        last_four=words.last_four(row),
        amount=words.amount(row),
        connection=row.connection.name,
        environment=row.connection.environment,
        by=row.asked_by.name if row.asked_by else "",
        asked_at=row.asked_at,
        age=formats.age(timezone.now() - row.asked_at),
        first_word=words.first_word(row),
        is_mine=row.decided_by_id != request.person.pk,
    )


def _last_check() -> dict[str, object]:
    pulse = Pulse.objects.filter(name="sweep").first()
    since = timezone.now() - pulse.at if pulse else None
    return {
        "checked_at": pulse.at if pulse else None,
        "checked": formats.age(since) if since else "",
        "silent": since is None or since > SILENT,
    }


# ---- One of them ----------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.SEE_OPERATIONS)
def case(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """The evidence for one operation, and a person's word on it in two beats: choose, then confirm a sentence."""
    row = _find(request, key)
    if row is None:
        audit.record("operation not found", str(key), merchant=request.merchant, person=request.person, request=request)
        return render(request, "404.html", status=404)
    if row.state != OperationState.NEEDS_PERSON and row.settled_by != "person":
        return redirect("operation", request.merchant.slug, row.key)
    if request.method != "POST":
        return _show(request, row, DecisionForm())
    if not may(request.member.role, Permission.DECIDE):
        return _denied(request)
    if row.state != OperationState.NEEDS_PERSON:
        messages.error(request, words.refusal("decided_already"))
        return redirect(request.path)
    form = DecisionForm(request.POST)
    if form.is_valid() and _waits_for_another(request, row, form.cleaned_data["verdict"]):
        form.add_error(None, words.refusal("second_person_wanted"))
    if not form.is_valid():
        return _show(request, row, form, status=422)
    if "confirmed" in request.POST:
        accounts.require_recent_proof(request)
        return _decide(request, row, form)
    return _show(request, row, form, confirming="back" not in request.POST)


def _find(request: StaffRequest, key: uuid.UUID) -> Operation | None:
    links = ("connection", "card", "original", "asked_by", "decided_by", "seconded_by")
    return Operation.objects.select_related(*links).filter(merchant=request.merchant, key=key).first()


def _decide(request: StaffRequest, row: Operation, form: DecisionForm) -> HttpResponse:
    verdict, reason = form.cleaned_data["verdict"], form.cleaned_data["reason"]
    try:
        decided = settling.decide(row, member=request.member, happened=verdict == HAPPENED, reason=reason)
    except operations.CannotAsk as refusal:
        messages.error(request, words.refusal(refusal.why))
        return redirect(request.path)
    except PermissionDenied:
        return _denied(request)
    if decided.state == OperationState.NEEDS_PERSON:
        messages.success(request, gettext("Your word is kept. Somebody else has to say the same."))
    else:
        messages.success(request, gettext("Recorded: %(fact)s") % {"fact": words.fact(decided, verdict)})
    return redirect("attention", request.merchant.slug)


def _denied(request: StaffRequest) -> HttpResponse:
    return render(request, "403.html", {"who_can": who_can(Permission.DECIDE)}, status=403)


def _show(
    request: StaffRequest, row: Operation, form: DecisionForm, *, confirming: bool = False, status: int = 200
) -> HttpResponse:
    exchanges = list(Exchange.objects.filter(merchant=request.merchant, operation=row).order_by("id"))
    page = {
        "operation": row,
        "title": words.title(row),
        "last_four": words.last_four(row),
        "age": formats.age(timezone.now() - row.asked_at),
        "cause": words.cause(row, exchanges),
        "maybe": words.maybe(row),
        "basket": basket_words.of(row),
        "before": words.level(row, row.before_minor, row.before_points, row.before_at),
        "after": words.level(row, row.after_minor, row.after_points, row.after_at),
        "expected": words.expected(row),
        "suggestion": words.suggestion(row),
        "moments": words.moments(row, exchanges),
        "sayings": _sayings(request, row),
        "asked": [words.shown(row, one) for one in exchanges],
        "question": words.question(row, request.member),
        "form": form,
        "time_zone": request.merchant.time_zone,
        "sandbox_shown": row.connection.environment == "sandbox",
        **_decision(request, row),
    }
    if confirming:
        page |= _second_beat(request, row, form.cleaned_data["verdict"])
    return render(request, "ledger/attention_case.html", page, status=status)


# ---- What somebody may say about it
def _decision(request: StaffRequest, row: Operation) -> dict[str, object]:
    """What the person who looks may say, and why not more."""
    if row.state != OperationState.NEEDS_PERSON:
        verdict = HAPPENED if row.state == OperationState.DONE else DID_NOT
        return {"outcome": "done" if verdict == HAPPENED else "refused", "fact": words.fact(row, verdict)}
    if not may(request.member.role, Permission.DECIDE):
        return {"outcome": "person", "denied": who_can(Permission.DECIDE)}
    own = {verdict for verdict in words.VERDICTS if _waits_for_another(request, row, verdict)}
    return {
        "outcome": "person",
        "verdicts": [(verdict, label) for verdict, label in words.VERDICTS.items() if verdict not in own],
        "waits": words.refusal("second_person_wanted") if own else "",
        "limit": words.limit(row, request.merchant) if limits.wants_two(request.merchant, row) else "",
    }


def _waits_for_another(request: StaffRequest, row: Operation, verdict: str) -> bool:
    """Whether this person has said this already, and one is not enough."""
    return (
        limits.wants_two(request.merchant, row) and row.decision == verdict and row.decided_by_id == request.person.pk
    )


def _second_beat(request: StaffRequest, row: Operation, verdict: str) -> dict[str, object]:
    if not limits.wants_two(request.merchant, row) or row.decision == verdict:
        return {
            "sentence": words.record(row, verdict),
            "consequence": gettext("This cannot be changed."),
            "confirm": gettext("Record it"),
        }
    consequence = gettext("Somebody else has to say the same before it is recorded.")
    if row.decided_by is not None:
        replaced = gettext("It takes the place of what %(name)s said.") % {"name": row.decided_by.name}
        consequence = f"{replaced} {consequence}"
    return {
        "sentence": gettext("You say: “%(fact)s”") % {"fact": words.fact(row, verdict)},
        "consequence": consequence,
        "confirm": gettext("Say so"),
    }


def _sayings(request: StaffRequest, row: Operation) -> list[dict[str, object]]:
    """Who said what, first to last. Only looked for where somebody has spoken: the trail is long."""
    if not row.decision:
        return []
    lines = AuditEntry.objects.filter(
        merchant=request.merchant, subject=row.reference, verb__in=("operation decided", "decision proposed")
    )
    said = list(lines.select_related("person").order_by("id"))
    return [
        {
            "at": line.at,
            "name": line.person.name if line.person else "",
            "verdict": words.VERDICTS.get(line.detail.get("verdict", ""), ""),
            "reason": line.detail.get("reason", ""),
            "replaced": next_one is not None and next_one.detail.get("verdict") != line.detail.get("verdict"),
        }
        for line, next_one in zip(said, [*said[1:], None], strict=True)
    ]


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
