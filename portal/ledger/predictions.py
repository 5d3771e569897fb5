"""How many points a purchase would give, shown beside the sentence that confirms it.

A worker asks the provider, as for any look-up; the page shows the answer when it comes. Nothing waits for it: whoever
confirms first has lost nothing, and where nobody can say, the page says that. What is shown promises nothing, and
decides nothing: the operation asks once more for itself when it is sent.
"""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext

from portal import formats
from portal.connectors import PROVIDERS
from portal.ledger import balances
from portal.ledger.models import Card, Inquiry, State
from portal.merchants import connections
from portal.merchants.access import StaffRequest
from portal.money import Money

PATIENCE = timedelta(seconds=5)  # then the page says that it is not known yet


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What stands beside the sentence."""

    url: str  # where to ask for it again
    state: str  # asking, late, known, unknown
    text: str

    @property
    def pending(self) -> bool:
        """Whether more is still to come."""
        return self.state in ("asking", "late")


def ask(request: StaffRequest, card: Card, purchase: Money, *, form_key: uuid.UUID, page: str) -> Prediction | None:
    """Ask once for each form and amount, or find what was asked before. `page` is the address of the page with the
    sentence. None where the provider tells no such thing."""
    if not PROVIDERS[card.connection.provider].predicts():
        return None
    key = uuid.uuid5(form_key, f"points for {purchase.minor}")
    try:
        inquiry = balances.ask_points(member=request.member, key=key, card=card, purchase=purchase)
    except (connections.NotNow, PermissionDenied):  # said where it matters: when it is confirmed
        return _told(card, key, None, page)
    return _told(card, key, inquiry, page)


def find(request: StaffRequest, card: Card, key: str, *, page: str) -> Prediction:
    """What is known by now of the question with this key, if there is one."""
    try:
        asked = uuid.UUID(key)
    except ValueError:
        asked = uuid.uuid4()
    rows = Inquiry.objects.filter(merchant=request.merchant, connection=card.connection, purchase_minor__isnull=False)
    return _told(card, asked, rows.filter(key=asked).first(), page)


def _told(card: Card, key: uuid.UUID, inquiry: Inquiry | None, page: str) -> Prediction:
    url = f"{page}{'&' if '?' in page else '?'}prediction={key}"
    name = {"connection": card.connection.name}
    if inquiry is not None and inquiry.state == State.ANSWERED and inquiry.points is not None:
        points = format_html("<strong>{}</strong>", formats.points(inquiry.points))
        text = format_html(gettext("That is about {points}, by the rule of {connection}."), points=points, **name)
        return Prediction(url=url, state="known", text=text)
    if inquiry is None or not inquiry.pending:
        return Prediction(
            url=url, state="unknown", text=gettext("How many points that is, %(connection)s does not say now.") % name
        )
    if timezone.now() - inquiry.asked_at < PATIENCE:
        return Prediction(
            url=url, state="asking", text=gettext("Asking %(connection)s how many points that is…") % name
        )
    late = gettext("%(connection)s has not said yet how many points that is. You need not wait for it.") % name
    return Prediction(url=url, state="late", text=late)
