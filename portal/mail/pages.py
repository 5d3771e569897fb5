"""The outbox's pages: what became of a merchant's mails, and what a person may do about it.

Shows and asks; outbox.py writes. No page shows a mail's text: it may hold a link that works once, and web processes
could not open it.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from portal import formats
from portal.mail import outbox, words
from portal.mail.models import MailState, MailStep, OutgoingMail
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission, may, who_can

PAGE = 50
LATELY = timedelta(days=7)
AGAIN, WITHDRAW = "again", "withdraw"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One mail in the list."""

    key: uuid.UUID
    url: str
    subject: str
    recipient: str
    shape: str
    state_label: str
    why: str
    can_be_handled: bool
    created_at: datetime
    age: str


# ---- Pages ----------------------------------------------------------------------------------------------------
@require_safe
@member(Permission.SEE_OUTBOX)
def listed(request: StaffRequest) -> HttpResponse:
    """The merchant's mails, newest first; `state` chooses one state, `after` names the last one of the page before."""
    state = request.GET.get("state", "")
    if state not in MailState.values:
        state = ""
    after = _uuid(request.GET.get("after", ""))
    rows = _rows(request, state, after)
    handles = may(request.member.role, Permission.HANDLE_OUTBOX)
    lines = [_line(request, row, whole=handles) for row in rows[:PAGE]]
    page = {
        "lines": lines,
        "again": handles and any(row.can_be_sent_again for row in rows[:PAGE]),
        "withdraw": handles and any(row.can_be_withdrawn for row in rows[:PAGE]),
        "state": state,
        "states": _states(request, state),
        "handle_url": reverse("outbox_handle", args=[request.merchant.slug]),
        "first_page": after is None,
        "after": lines[-1].key if len(rows) > PAGE else None,
        "lately": bool(rows) and rows[0].created_at > timezone.now() - LATELY,
        "time_zone": request.merchant.time_zone,
    }
    return render(request, "mail/outbox.html", page)


@require_safe
@member(Permission.SEE_OUTBOX)
def one(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """One mail and its story; while it is on its way, htmx asks for the fragment `mail` every second."""
    found = OutgoingMail.objects.light().filter(merchant=request.merchant, key=key).first()
    if found is None:
        raise Http404
    steps = MailStep.objects.select_related("person").filter(merchant=request.merchant, mail=found).order_by("id")
    handles = may(request.member.role, Permission.HANDLE_OUTBOX)
    page = {
        "mail": found,
        "line": _line(request, found, whole=handles),
        "quote": words.quote(found.answer, found, whole=handles),
        "story": words.story(found, list(steps), whole=handles),
        "pending": found.state in (MailState.QUEUED, MailState.SENDING),
        "handles": handles,
        "denied": "" if handles else who_can(Permission.HANDLE_OUTBOX),
        "handle_url": reverse("outbox_handle", args=[request.merchant.slug]),
        "outbox_url": reverse("outbox", args=[request.merchant.slug]),
        "time_zone": request.merchant.time_zone,
    }
    return render(request, "mail/mail.html" + ("#mail" if request.htmx else ""), page)


@require_POST
@member(Permission.HANDLE_OUTBOX)
def handle(request: StaffRequest) -> HttpResponse:
    """Send mails again or withdraw them, in two beats: first a sentence to confirm, then it is done."""
    do = request.POST.get("do", "")
    mails = _chosen(request)
    if do not in (AGAIN, WITHDRAW) or not mails:
        messages.warning(request, gettext("Choose at least one mail, and what to do with it."))
        return redirect("outbox", request.merchant.slug)
    possible = [mail for mail in mails if (mail.can_be_sent_again if do == AGAIN else mail.can_be_withdrawn)]
    if not possible:
        messages.warning(request, words.left_out(do, len(mails)))
        return _back(request, mails)
    if "confirmed" not in request.POST:
        return render(request, "mail/confirm.html", _question(request, do, mails, possible))
    act = outbox.send_again if do == AGAIN else outbox.withdraw
    try:
        count = act([mail.key for mail in possible], member=request.member)
    except PermissionDenied:
        return render(request, "403.html", {"who_can": who_can(Permission.HANDLE_OUTBOX)}, status=403)
    if count:
        messages.success(request, words.done(do, count))
    if count < len(mails):
        messages.warning(request, words.left_out(do, len(mails) - count))
    return _back(request, mails)


# ---- Their parts ----------------------------------------------------------------------------------------------
def _rows(request: StaffRequest, state: str, after: uuid.UUID | None) -> list[OutgoingMail]:
    """A page of mails, and one more where there is a further page."""
    mine = OutgoingMail.objects.filter(merchant=request.merchant)
    rows = mine.light()
    if state:
        rows = rows.filter(state=state)
    if after is not None:
        rows = rows.filter(id__lt=mine.filter(key=after).values("id"))
    return list(rows.order_by("-id")[: PAGE + 1])


def _line(request: StaffRequest, row: OutgoingMail, *, whole: bool) -> Line:
    return Line(
        key=row.key,
        url=reverse("outbox_mail", args=[request.merchant.slug, row.key]),
        subject=row.subject or gettext("(no subject)"),
        recipient=words.recipient(row, whole=whole),
        shape=words.SHAPES[row.state],
        state_label=row.get_state_display(),
        why=words.why(row),
        can_be_handled=row.can_be_sent_again or row.can_be_withdrawn,
        created_at=row.created_at,
        age=formats.age(timezone.now() - row.created_at),
    )


def _states(request: StaffRequest, chosen: str) -> list[dict[str, object]]:
    url = reverse("outbox", args=[request.merchant.slug])
    return [
        {"label": gettext("All"), "url": url, "current": not chosen},
        *(
            {"label": state.label, "url": f"{url}?state={state.value}", "current": state.value == chosen}
            for state in MailState
        ),
    ]


def _chosen(request: StaffRequest) -> list[OutgoingMail]:
    """The mails named in the form. 404 where one of them is not the merchant's, as if it were not there."""
    keys = [_uuid(text) for text in request.POST.getlist("mail")[:PAGE]]
    mails = OutgoingMail.objects.light().filter(merchant=request.merchant, key__in=[key for key in keys if key])
    found = list(mails.order_by("-id"))
    if len(found) < len(set(keys)):
        raise Http404
    return found


def _question(
    request: StaffRequest, do: str, mails: list[OutgoingMail], possible: list[OutgoingMail]
) -> dict[str, object]:
    left = len(mails) - len(possible)
    return {
        "do": do,
        "lines": [_line(request, mail, whole=True) for mail in possible],
        "question": words.question(do, possible),
        "consequence": words.consequence(do, possible),
        "button": words.button(do, possible),
        "left_out": words.left_out(do, left) if left else "",
        "back_url": _back(request, mails).url,  # type: ignore[attr-defined]
        "handle_url": request.path,
    }


def _back(request: StaffRequest, mails: list[OutgoingMail]) -> HttpResponse:
    """To the one mail, or to the list."""
    if len(mails) == 1:
        return redirect("outbox_mail", request.merchant.slug, mails[0].key)
    return redirect("outbox", request.merchant.slug)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
