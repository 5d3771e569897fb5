"""What needs somebody, as a few large numbers; each opens the list of just these."""

from dataclasses import dataclass

from django.db.models import Model, QuerySet
from django.urls import reverse
from django.utils.translation import ngettext

from portal import formats
from portal.ledger import approvals, attention, cases
from portal.ledger.models import Operation, OperationState
from portal.mail.models import MailState, OutgoingMail
from portal.merchants.access import StaffRequest
from portal.merchants.roles import BY_PIN, Permission, may

MOST = 99  # beyond it "99+" says enough, and counting ends


@dataclass(frozen=True, kw_only=True)
class Need:
    """One number with the words below it. `count` is 0 to MOST + 1."""

    count: int
    shown: str
    label: str
    url: str


def of(request: StaffRequest) -> list[Need]:
    """What this person may see of it. Zeroes stand there, too: that nothing waits is news."""
    merchant, slug = request.merchant, request.merchant.slug
    needs = []
    if _sees(request, Permission.SEE_OPERATIONS):
        second = _count(approvals.waiting(merchant.pk))
        unclear = min(_count(attention.unclear(merchant.pk)) + _count(cases.waiting(merchant.pk)), MOST + 1)
        checked = _count(
            Operation.objects.filter(merchant=merchant, state=OperationState.CHECKING, ended_at=None).order_by()
        )
        here = reverse("attention", args=[slug])
        needs += [
            _need(unclear, ngettext("needs a person", "need a person", unclear), f"{here}?only={attention.UNCLEAR}"),
            _need(
                checked,
                ngettext("is being checked", "are being checked", checked),
                f"{reverse('operations', args=[slug])}?state={OperationState.CHECKING}",
            ),
            _need(
                second,
                ngettext("waits for a second person", "wait for a second person", second),
                f"{here}?only={attention.SECOND}",
            ),
        ]
    if _sees(request, Permission.SEE_OUTBOX):
        failed = _count(OutgoingMail.objects.filter(merchant=merchant, state=MailState.FAILED))
        url = f"{reverse('outbox', args=[slug])}?state={MailState.FAILED}"
        needs.append(_need(failed, ngettext("mail failed", "mails failed", failed), url))
    if _sees(request, Permission.SEE_SETTINGS):
        paused = _count(merchant.connection_set.filter(paused_at__isnull=False))
        url = f"{reverse('settings', args=[slug])}?only=paused"
        needs.append(_need(paused, ngettext("connection is paused", "connections are paused", paused), url))
    return needs


def _sees(request: StaffRequest, permission: Permission) -> bool:
    return may(request.member.role, permission) and (permission in BY_PIN or not request.by_pin)


def _count(rows: QuerySet[Model]) -> int:
    return rows[: MOST + 1].count()


def _need(count: int, label: str, url: str) -> Need:
    shown = f"{formats.number(MOST)}+" if count > MOST else formats.number(count)
    return Need(count=count, shown=shown, label=label, url=url)
