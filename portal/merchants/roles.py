"""Who may do what: one table, read by the access rule, by the pages and by the texts that say who can."""

from dataclasses import dataclass
from enum import StrEnum

from django.db.models import TextChoices
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats


class Role(TextChoices):
    """What a member is at a merchant."""

    OWNER = "owner", _("Owner")
    MANAGER = "manager", _("Manager")
    CASHIER = "cashier", _("Cashier")
    MARKETING = "marketing", _("Marketing")
    ACCOUNTANT = "accountant", _("Accountant")
    READ_ONLY = "read_only", _("Read-only")


class Permission(StrEnum):
    """One thing a role may do."""

    SEE_DESK = "see_desk"
    LOOK_UP_CARDS = "look_up_cards"
    ACTIVATE_CARDS = "activate_cards"
    TOP_UP = "top_up"
    SELL = "sell"
    TAKE_PAYMENTS = "take_payments"
    MOVE_POINTS = "move_points"
    VOID = "void"
    SEE_OPERATIONS = "see_operations"
    EXPORT_OPERATIONS = "export_operations"
    DECIDE = "decide"
    APPROVE = "approve"
    SEE_CUSTOMERS = "see_customers"
    SEE_CONSENTING_CUSTOMERS = "see_consenting_customers"
    EDIT_CUSTOMERS = "edit_customers"
    EXPORT_CUSTOMERS = "export_customers"
    ERASE_CUSTOMERS = "erase_customers"
    SEE_SETTINGS = "see_settings"
    CONNECT = "connect"
    PAUSE_CONNECTIONS = "pause_connections"
    SEE_AUDIT = "see_audit"
    SEE_OUTBOX = "see_outbox"
    HANDLE_OUTBOX = "handle_outbox"
    CHOOSE_PIN = "choose_pin"
    MANAGE_TILLS = "manage_tills"
    MANAGE_STORES = "manage_stores"
    LEAVE = "leave"
    MANAGE_PEOPLE = "manage_people"
    MANAGE_OWNERS = "manage_owners"
    SET_LIMITS = "set_limits"
    MANAGE_BALANCE_PAGE = "manage_balance_page"


EVERYBODY = frozenset(Role)
AT_THE_TILL = frozenset({Role.OWNER, Role.MANAGER, Role.CASHIER})

TABLE: dict[Permission, tuple[Promise, frozenset[Role]]] = {
    Permission.SEE_DESK: (_("Seeing the desk"), EVERYBODY),
    Permission.LOOK_UP_CARDS: (
        _("Looking up cards"),
        AT_THE_TILL,
    ),
    Permission.ACTIVATE_CARDS: (_("Activating cards"), AT_THE_TILL),
    Permission.TOP_UP: (_("Adding money"), AT_THE_TILL),
    Permission.SELL: (_("Selling with a card"), AT_THE_TILL),
    Permission.TAKE_PAYMENTS: (_("Taking payments and tips"), AT_THE_TILL),
    Permission.MOVE_POINTS: (_("Issuing and redeeming points"), AT_THE_TILL),
    Permission.VOID: (_("Voiding"), AT_THE_TILL),
    Permission.SEE_OPERATIONS: (_("Seeing operations"), EVERYBODY - {Role.MARKETING}),
    # A file is a merchant's turnover on somebody's own machine: for those who answer for it, and who keep the books.
    Permission.EXPORT_OPERATIONS: (
        _("Taking operations and cards away as a file"),
        frozenset({Role.OWNER, Role.MANAGER, Role.ACCOUNTANT}),
    ),
    Permission.DECIDE: (_("Deciding what became of an operation"), frozenset({Role.OWNER, Role.MANAGER})),
    Permission.APPROVE: (_("Approving what is above somebody's limit"), frozenset({Role.OWNER, Role.MANAGER})),
    Permission.SEE_CUSTOMERS: (_("Seeing who holds a card"), AT_THE_TILL),
    Permission.SEE_CONSENTING_CUSTOMERS: (
        _("Seeing customers who agreed to offers"),
        AT_THE_TILL | {Role.MARKETING},
    ),
    Permission.EDIT_CUSTOMERS: (_("Adding, changing and merging customers"), AT_THE_TILL),
    Permission.EXPORT_CUSTOMERS: (_("Taking customers’ data away as a file"), frozenset({Role.OWNER, Role.MANAGER})),
    Permission.ERASE_CUSTOMERS: (_("Erasing customers"), frozenset({Role.OWNER, Role.MANAGER})),
    Permission.SEE_SETTINGS: (
        _("Seeing stores, people and connections"),
        frozenset({Role.OWNER, Role.MANAGER, Role.ACCOUNTANT, Role.READ_ONLY}),
    ),
    Permission.CONNECT: (_("Connecting a provider"), frozenset({Role.OWNER, Role.MANAGER})),
    Permission.PAUSE_CONNECTIONS: (_("Pausing and resuming connections"), frozenset({Role.OWNER, Role.MANAGER})),
    Permission.SEE_OUTBOX: (
        _("Seeing the outbox"),
        frozenset({Role.OWNER, Role.MANAGER, Role.READ_ONLY}),
    ),
    Permission.HANDLE_OUTBOX: (
        _("Seeing whole addresses, sending mail again and withdrawing it"),
        frozenset({Role.OWNER, Role.MANAGER}),
    ),
    Permission.CHOOSE_PIN: (_("Choosing a PIN for the tills"), AT_THE_TILL),
    Permission.MANAGE_TILLS: (_("Opening and ending tills"), frozenset({Role.OWNER, Role.MANAGER})),
    Permission.MANAGE_STORES: (_("Adding and changing stores"), frozenset({Role.OWNER, Role.MANAGER})),
    Permission.LEAVE: (_("Leaving the merchant"), EVERYBODY),
    Permission.MANAGE_PEOPLE: (
        _("Inviting people, changing their roles and removing them"),
        frozenset({Role.OWNER, Role.MANAGER}),
    ),
    # Asked for by may_give: only who holds it gives it, so nobody but an owner makes or unmakes one.
    Permission.MANAGE_OWNERS: (_("Inviting, changing and removing owners"), frozenset({Role.OWNER})),
    Permission.SET_LIMITS: (_("Setting limits"), frozenset({Role.OWNER})),
    # How many wrong tries the page bears, and who made them, is for those who answer for the cards.
    Permission.MANAGE_BALANCE_PAGE: (
        _("Opening and changing the balance page, and seeing who tried cards there"),
        frozenset({Role.OWNER, Role.MANAGER}),
    ),
    # Owners and managers answer for what their people do, accountants for what the books say. It holds everybody's
    # addresses and doings, so those who only look on do not see it; that nobody can change it keeps managers honest.
    Permission.SEE_AUDIT: (
        _("Seeing the audit trail"),
        frozenset({Role.OWNER, Role.MANAGER, Role.ACCOUNTANT}),
    ),
}

# What a PIN opens, whoever's it is: the till's work and nothing else. A new permission is not here until somebody has
# thought about four digits guarding it.
BY_PIN = frozenset(
    {
        Permission.SEE_DESK,
        Permission.LOOK_UP_CARDS,
        Permission.ACTIVATE_CARDS,
        Permission.TOP_UP,
        Permission.SELL,
        Permission.TAKE_PAYMENTS,
        Permission.MOVE_POINTS,
        Permission.VOID,
        Permission.SEE_OPERATIONS,
        # Whose card it is belongs to the work at the till; taking customers away as a file, or erasing them, does not.
        Permission.SEE_CUSTOMERS,
        Permission.SEE_CONSENTING_CUSTOMERS,
        Permission.EDIT_CUSTOMERS,
    }
)


class AboveYou(Exception):
    """The role to be given or taken holds something the giver does not."""


def may(role: str, permission: Permission) -> bool:
    """Whether this role holds this permission; a role we do not know holds none."""
    return role in TABLE[permission][1]


def held(role: str) -> frozenset[Permission]:
    """All a role may do."""
    return frozenset(permission for permission in Permission if may(role, permission))


def may_give(giver: str, role: str) -> bool:
    """Whether somebody in the role `giver` may put others into `role` or take them out of it: nobody gives what they
    do not have themselves."""
    return role in Role.values and held(role) <= held(giver)


def given_by(giver: str) -> list[Role]:
    """The roles somebody in the role `giver` may give, the largest first."""
    return [role for role in Role if may_give(giver, role)]


@dataclass(frozen=True, kw_only=True)
class RoleWords:
    """One role in plain language, for a page: its name, what it is allowed and what not."""

    role: Role
    label: str
    allowed: list[str]
    not_allowed: list[str]


def in_words(role: Role) -> RoleWords:
    """What a role can and cannot do, printed from the table."""
    return RoleWords(
        role=role,
        label=str(role.label),
        allowed=doings(held(role)),
        not_allowed=doings(frozenset(Permission) - held(role)),
    )


def doings(permissions: frozenset[Permission]) -> list[str]:
    """Permissions as people read them, such as 'Looking up cards', in the order of the table."""
    return [str(doing) for permission, (doing, _roles) in TABLE.items() if permission in permissions]


def who_can(permission: Permission) -> str:
    """A sentence for somebody who may not, such as 'Looking up cards is for Owner, Manager and Cashier.'"""
    doing, roles = TABLE[permission]
    names = [str(role.label) for role in Role if role in roles]
    return gettext("%(doing)s is for %(roles)s.") % {
        "doing": doing,
        "roles": formats.listed(names),
    }
