"""What stands around every staff page: the rail, the switcher, the person, the scan box."""

import uuid
from dataclasses import dataclass
from typing import cast

from django.conf import settings
from django.db import connection as database
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from portal.desk import demo
from portal.ledger import shifts
from portal.ledger.forms import ScanForm
from portal.merchants import connection_settings, connections, switches
from portal.merchants.access import StaffRequest
from portal.merchants.models import Connection, Merchant, Switch
from portal.merchants.roles import BY_PIN, Permission, may, who_can
from portal.merchants.views import switcher

MOST_COUNTED = 99  # in the rail; beyond it "99+" says enough
# In one statement, since every page asks it: what needs a person (attention.unclear, cases.waiting) or a
# second one (approvals.waiting), and whether switches have to be looked at.
_NEWS = """
SELECT (SELECT count(*) FROM (
    SELECT FROM ledger_operation WHERE merchant_id = %(merchant)s AND state = 'needs_person' LIMIT %(most)s) unclear)
+ (SELECT count(*) FROM (
    SELECT FROM ledger_approval WHERE merchant_id = %(merchant)s AND state = 'pending'
    AND expires_at > statement_timestamp() LIMIT %(most)s) waiting)
+ (SELECT count(*) FROM (
    SELECT FROM ledger_case WHERE merchant_id = %(merchant)s AND closed_at IS NULL LIMIT %(most)s) misfits),
EXISTS (SELECT FROM merchants_switch WHERE ended_at IS NULL)
"""


def staff(request: HttpRequest) -> dict[str, object]:
    """The frame's variables, for whole pages inside `@member`; a fragment has no frame and costs no query."""
    if not hasattr(request, "member") or getattr(request, "htmx", False):
        return {}
    inside = cast(StaffRequest, request)
    member = inside.member
    waiting, some_off = _news(inside.merchant)
    frame: dict[str, object] = {
        "rail": _rail(inside, waiting),
        "memberships": switcher(inside.memberships, current=member),
        "person_name": inside.person.name,
        "role_label": member.get_role_display(),
        "viewing": inside.viewing,
        "roles_url": reverse("roles", args=[inside.merchant.slug]),
        "home_url": reverse("desk", args=[inside.merchant.slug]),
        # The search posts, and whoever only looks posts nothing.
        "search_url": "" if inside.viewing else reverse("search", args=[inside.merchant.slug]),
        "keys_url": reverse("keys", args=[inside.merchant.slug]),
        "single_keys_off": not inside.person.single_keys,
    }
    if inside.till is not None:
        frame["till"] = inside.till
        frame["till_shift"] = shifts.running(inside.till, inside.person)
    elif may(member.role, Permission.CHOOSE_PIN):
        frame["pin_url"] = reverse("pin", args=[inside.merchant.slug])
    if not may(member.role, Permission.LOOK_UP_CARDS):
        return frame | {"scan_denied": who_can(Permission.LOOK_UP_CARDS)}
    offered = scannable(inside)
    if not offered:
        return frame | {
            "scan_denied": _("No provider is connected yet, so no card can be looked up."),
            "nothing_connected": True,
            "may_connect": may(member.role, Permission.CONNECT),
            "connect_url": reverse("connect", args=[inside.merchant.slug]),
            "practice_url": reverse("practice", args=[inside.merchant.slug]) if settings.SANDBOX_URL else "",
        }
    return frame | {
        "stopped": _stopped(offered, switches.in_force() if some_off else []),
        "scan": {
            "url": reverse("scan", args=[inside.merchant.slug]),
            "form": blank_scan(inside, offered),
        },
        "sandbox_shown": any(connection.environment == "sandbox" for connection in offered),
    }


def _news(merchant: Merchant) -> tuple[str, bool]:
    """How many need a person: nothing, a number, or 99+; and whether anything may be switched off."""
    with database.cursor() as cursor:
        cursor.execute(_NEWS, {"merchant": merchant.pk, "most": MOST_COUNTED + 1})
        count, some_off = cursor.fetchone()
    return f"{MOST_COUNTED}+" if count > MOST_COUNTED else str(count or ""), some_off


def _stopped(offered: list[Connection], thrown: list[Switch]) -> list[str]:
    """What is paused or switched off of it all, a sentence each."""
    paused = [connections.banner(each) for each in offered if each.paused_at]
    concerned = [each for each in thrown if any(switches.concerns(each, one) for one in offered)]
    return paused + [switches.words(each) for each in concerned]


def scannable(request: StaffRequest) -> list[Connection]:
    """The connections a scanned card may be looked up at, by name; on a till those that serve its store."""
    if request.till is None:
        return list(request.connections)
    served = request.merchant.connection_set.filter(connection_settings.serves(request.till.store))
    return list(served.defer("sealed_secrets").order_by("name", "id"))


def blank_scan(request: StaffRequest, offered: list[Connection]) -> ScanForm:
    """A scan box with a key of its own: pressed twice, it asks once."""
    last = request.session.get("connection")
    keys = [str(connection.key) for connection in offered]
    return ScanForm(
        connections=offered,
        initial={"key": uuid.uuid4(), "connection": last if last in keys else keys[0]},
    )


_OF_CUSTOMERS = ("customer", "new_customer", "edit_customer", "customer_consent", "merge_customers", "erase_customer")

# Pages that belong to a place in the rail without being it.
_INSIDE = {
    "card": "cards",
    "export_cards": "cards",
    "save_cards": "cards",
    "save_operations": "operations",
    "saved_views": "operations",
    "export_operations": "operations",
    "confirm": "cards",
    "operation": "operations",
    "evidence": "operations",
    "code": "operations",
    "cancel_code": "operations",
    "new_card": "desk",
    "make_card": "desk",
    "new_code": "desk",
    "make_code": "desk",
    "attention_case": "attention",
    "balance_case": "attention",
    "approval": "attention",
    "limits": "settings",
    "daily_limits": "settings",
    "take_back_daily_limit": "settings",
    "connection": "settings",
    "retire_connection": "settings",
    "connect": "settings",
    "connect_draft": "settings",
    "connect_test": "settings",
    "tills": "settings",
    "lock_after": "settings",
    "balance_settings": "settings",
    "balance_tries": "settings",
    "balance_poster": "settings",
    "balance_snippets": "settings",
    "outbox": "settings",
    "outbox_mail": "settings",
    "outbox_handle": "settings",
    "shift": "desk",
    "people": "settings",
    "invite": "settings",
    "person": "settings",
    "remove_person": "settings",
    "trail": "settings",
    "trail_export": "settings",
    "connection_health": "settings",
    "pause_connection": "settings",
    "resume_connection": "settings",
    "pause_report": "settings",
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place in the rail. `go` is the letter that leads there after a g."""

    name: str
    label: str
    url: str
    go: str


def places(request: StaffRequest) -> list[Place]:
    """The places this person may go to, in the rail's order."""
    all_of_them = [
        ("desk", _("Desk"), "d", Permission.SEE_DESK),
        ("cards", _("Cards"), "c", Permission.SEE_OPERATIONS),
        ("operations", _("Operations"), "t", Permission.SEE_OPERATIONS),
        ("attention", _("Attention"), "a", Permission.SEE_OPERATIONS),
        ("customers", _("Customers"), "u", Permission.SEE_CONSENTING_CUSTOMERS),
        ("settings", _("Settings"), "s", Permission.SEE_SETTINGS),
    ]
    return [
        Place(name=name, label=label, url=reverse(name, args=[request.merchant.slug]), go=go)
        for name, label, go, permission in all_of_them
        if may(request.member.role, permission) and (permission in BY_PIN or not request.by_pin)
    ]


def _rail(request: StaffRequest, waiting: str) -> list[dict[str, object]]:
    name = request.resolver_match.url_name if request.resolver_match else ""
    here = "customers" if name in _OF_CUSTOMERS else _INSIDE.get(name or "", name)
    return [
        {
            "label": place.label,
            "url": place.url,
            "go": place.go,
            "current": here == place.name,
            "count": waiting if place.name == "attention" else "",
        }
        for place in places(request)
    ]


def signing_in(request: HttpRequest) -> dict[str, object]:
    """In the demo the sign-in page lists who can sign in, and the lock names everybody's PIN."""
    match = request.resolver_match
    if settings.DEMO and match is not None and match.url_name == "lock":
        return {"demo_pin": demo.PIN}
    if not settings.DEMO or match is None or match.url_name != "account_login":
        return {}
    return {"demo_logins": demo.logins(), "demo_password": demo.PASSWORD, "demo_try": demo.first_steps()}
