"""The on-call page: what is wrong, what waits, who is at work, and the way from a reference to what became of it.

For administrators who have shown their second factor; to everybody else it is not there. The numbers may be asked for
again by themselves; what is being read never moves.
"""

from collections import Counter

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from portal import formats
from portal.desk import alerts, facts, on_call_connections, strip
from portal.desk import on_call_words as words
from portal.desk.administration.site import site
from portal.desk.models import Alert
from portal.desk.workers import WELL, Condition, Seen
from portal.ledger import outcome_words
from portal.ledger.models import OperationState
from portal.mail import words as mail_words
from portal.mail.models import MailState

HISTORY = 20
# Which of the mails' states are read in one go, and so may be cut together.
_READ_TOGETHER: dict[str, str] = {MailState.QUEUED: "due", MailState.WILL_RETRY: "due", MailState.SENDING: "sending"}
SHAPES = {Condition.STARTING: "waiting", Condition.BUSY: "checking", Condition.NOT_CALLED: "person"}


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Alerts and numbers; htmx asks for the fragment `numbers` alone."""
    seen = alerts.look_round() or facts.gather()
    open_alerts = list(Alert.objects.filter(resolved_at=None).order_by("since", "pk"))
    numbers = {
        "facts": seen,
        "open_count": len(open_alerts),
        "needs": _needs(seen),
        "workers": [_process(each) for each in seen.crew.workers],
        "beats": [_process(each) for each in seen.crew.beats],
        "is_still": "still" in request.GET,
        "time_zone": timezone.get_current_timezone_name(),
    }
    if getattr(request, "htmx", False):
        return render(request, "desk/on_call.html#numbers", numbers)
    context = site.each_context(request) | numbers
    context |= {
        "alerts": [words.view(each) for each in open_alerts],
        "past": [
            words.view(each) for each in Alert.objects.exclude(resolved_at=None).order_by("-resolved_at")[:HISTORY]
        ],
        "unclear": [
            (each, OperationState(each.state), words.how_many(each.number, of=seen.count(each.state)))
            for each in seen.unclear
            if each.state != OperationState.RUNNING
        ],
        "failures": _failures(),
        "mails": _mails(seen),
        "picture": on_call_connections.picture(seen),
        "strip": strip.SIZE,
        "messages_waiting": facts.messages(),
        "size": _size(seen.database.size),
        "operations_url": reverse("admin:ledger_operation_changelist"),
        "switches_url": reverse("switches"),
    }
    return render(request, "desk/on_call.html", context)


def _needs(seen: facts.Facts) -> list[tuple[str, str, str]]:
    """The large numbers: how many, of what, and for how long."""
    checking, person = OperationState.CHECKING, OperationState.NEEDS_PERSON
    due = [each for each in seen.mails if each.state in (MailState.QUEUED, MailState.WILL_RETRY)]
    numbers = [
        (seen.queue.waiting, gettext("operations wait"), seen.queue.since),
        (seen.look_ups.waiting, gettext("look-ups wait"), seen.look_ups.since),
        (seen.count(OperationState.RUNNING), gettext("are being asked"), seen.oldest(OperationState.RUNNING)),
        (seen.count(checking), gettext("at Checking"), seen.oldest(checking)),
        (seen.count(person), gettext("need a person"), seen.oldest(person)),
        (sum(each.number for each in due), gettext("mails wait"), min((each.since for each in due), default=None)),
    ]
    return [(words.how_many(count), label, _age(seen, since) if count else "") for count, label, since in numbers]


def _failures() -> list[tuple[facts.Failing, str, str, str]]:
    """What was refused or not sent, with its cause in words, how often, and where one of them is."""
    found = facts.failures()
    counted = sum(each.number for each in found)
    return [
        (
            each,
            outcome_words.because(each.reason),
            words.how_many(each.number, of=counted),
            reverse("on_call_operation", args=[each.example]),
        )
        for each in found
    ]


def _mails(seen: facts.Facts) -> list[tuple[facts.MailGroup, MailState, str, str]]:
    """Mails that wait or did not go, with their cause in words and how many there are."""
    counted: Counter[str] = Counter()
    for each in seen.mails:
        counted[_READ_TOGETHER.get(each.state, "ended")] += each.number
    return [
        (
            each,
            MailState(each.state),
            str(mail_words.REASONS.get(each.reason, "")),
            words.how_many(each.number, of=counted[_READ_TOGETHER.get(each.state, "ended")]),
        )
        for each in seen.mails
    ]


def _age(seen: facts.Facts, since: object) -> str:
    return formats.age(seen.now - since) if since and since <= seen.now else ""  # type: ignore[operator]


def _process(seen: Seen) -> dict[str, object]:
    return {
        "process": seen.process,
        "word": seen.condition.label,
        "shape": SHAPES.get(seen.condition, "done" if seen.condition in WELL else "refused"),
        "since": seen.since,
        "is_well": seen.is_well,
    }


def _size(count: int) -> str:
    return gettext("%(count)s MB") % {"count": formats.number(round(count / 1024**2))}


on_call = site.admin_view(page)
