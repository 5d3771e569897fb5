"""Every page somebody can go to by its name, for the search. Whether they may says the page itself."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import resolve, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.customers import contact
from portal.merchants.access import StaffRequest
from portal.merchants.roles import BY_PIN, Permission, may

# By the name of the address, in the order they are listed: pages and, as verbs, what can be done.
NAMES: dict[str, Promise] = {
    "desk": _("Desk"),
    "cards": _("Cards"),
    "operations": _("Operations"),
    "attention": _("Attention"),
    "customers": _("Customers"),
    "new_customer": _("Add a new customer"),
    "shift": _("Your shift"),
    "shifts": _("Shifts"),
    "settings": _("Settings"),
    "connect": _("Connect a provider"),
    "people": _("People and invitations"),
    "invite": _("Invite somebody"),
    "tills": _("Tills"),
    "new_store": _("Add a store"),
    "balance_settings": _("Balance page"),
    "limits": _("Limits"),
    "daily_limits": _("Daily limits"),
    "outbox": _("Outbox"),
    "trail": _("Audit trail"),
    "pin": _("PIN for the tills"),
    "roles": _("What each role can do"),
    "keys": _("Keyboard"),
}
# Those of a person, not of a merchant: behind a PIN nobody is signed in.
OF_THE_PERSON: dict[str, Promise] = {
    "account": _("Your account"),
    "choose": _("Choose another merchant"),
    "found": _("Open another shop"),
}


@dataclass(frozen=True, kw_only=True)
class Door:
    """One page, by its name in the reader's language."""

    label: str
    url: str


def open_to(request: StaffRequest) -> list[Door]:
    """The pages this person may open."""
    return list(_doors(request))


def named(request: StaffRequest, typed: str) -> list[Door]:
    """Those a word of whose name begins with each of the words typed."""
    wanted = contact.fold(typed).split()
    return [
        door
        for door in _doors(request)
        if all(any(word.startswith(each) for word in contact.fold(door.label).split()) for each in wanted)
    ]


def _doors(request: StaffRequest) -> Iterator[Door]:
    for name, label in NAMES.items():
        url = reverse(name, args=[request.merchant.slug])
        permission: Permission = resolve(url).func.permission  # type: ignore[attr-defined]
        if may(request.member.role, permission) and (permission in BY_PIN or not request.by_pin):
            yield Door(label=str(label), url=url)
    if not request.by_pin:
        for name, label in OF_THE_PERSON.items():
            yield Door(label=str(label), url=reverse(name))
