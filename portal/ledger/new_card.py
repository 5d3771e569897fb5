"""A new card, at a provider that makes them.

It has no number before it is made, so nothing of it can be looked up; its page comes with the operation's end.
"""

from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from portal.ledger import without_card
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission

MAKE_CARD = without_card.Action(
    verb="activate",
    form="new_card",
    confirm="make_card",
    shown="operation",
    title=_("New card"),
    lead_in=_("The card gets its number from %(connection)s. It has nothing on it until money is added."),
    nobody_can=_(
        "None of your connections makes cards. One at a provider that does needs its card group in its settings."
    ),
)


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.ACTIVATE_CARDS)
def new_card(request: StaffRequest) -> HttpResponse:
    """The form, and the sentence it comes back with."""
    return without_card.first_beat(request, MAKE_CARD)


@require_POST
@member(Permission.ACTIVATE_CARDS)
def make(request: StaffRequest) -> HttpResponse:
    """Ask for the card, and go to the operation that makes it."""
    return without_card.second_beat(request, MAKE_CARD)
