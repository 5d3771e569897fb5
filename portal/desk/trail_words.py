"""The trail in words: what each verb means, and what stands beside it.

A verb is written down once, where it is recorded; its words stand here, so that the trail of all packages reads alike.

A test finds every verb and every detail that is recorded anywhere, and says which of them have no words yet.
"""

from collections.abc import Iterator, Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.connectors import PROVIDERS
from portal.customers import words as customer_words
from portal.customers.models import Purpose, Source
from portal.languages import said
from portal.ledger import attention_words
from portal.ledger.till import ACTIONS
from portal.merchants.audit import LOOKED, Value
from portal.merchants.connections import PAUSE_WORDS
from portal.merchants.models import AuditEntry, Environment, LimitKind
from portal.merchants.roles import Role

# Verbs by what they are about, in the order of the filter. Somebody did this, or Tillside itself.
GROUPS: dict[str, tuple[Promise, dict[str, Promise]]] = {
    "money": (
        _("Cards and money"),
        {
            "operation asked": _("Asked for an operation"),
            "operation withdrawn": _("Took an operation back before it began"),
            "operation decided": _("Decided what became of an operation"),
            "decision proposed": _("Said what became of an operation, as the first of two"),
            "case opened": _("Found a balance that does not fit what was done"),
            "case closed": _("Closed the case of a balance that does not fit"),
            "approval asked": _("Asked somebody else to approve an operation"),
            "approval given": _("Approved an operation"),
            "approval refused": _("Refused to approve an operation"),
            "approval withdrawn": _("Took back the wish for an approval"),
            "approval expired": _("Let a wish for an approval lapse"),
            "limit changed": _("Changed a limit"),
            "daily limit asked": _("Asked for more in a day"),
            "daily limit request withdrawn": _("No longer asks for more in a day"),
            "daily limit approved": _("Approved more in a day"),
            "daily limit refused": _("Did not approve more in a day"),
            "daily limit set": _("Set a daily limit"),
        },
    ),
    "people": (
        _("People and roles"),
        {
            "merchant founded": _("Founded the merchant"),
            "first steps hidden": _("Hid the first steps on the desk"),
            "store added": _("Added a store"),
            "store changed": _("Changed a store"),
            "person invited": _("Invited somebody"),
            "invitation sent anew": _("Sent an invitation again"),
            "invitation withdrawn": _("Withdrew an invitation"),
            "invitation accepted": _("Accepted an invitation"),
            "invitation declined": _("Declined an invitation"),
            "role changed": _("Gave somebody another role"),
            "person removed": _("Removed somebody"),
            "person left": _("Left"),
            "sign-in changed": _("Changed how they sign in"),
        },
    ),
    "till": (
        _("Shared tills"),
        {
            "till opened": _("Made a browser a shared till"),
            "till ended": _("Ended a shared till"),
            "till locked": _("Locked the till"),
            "till unlocked": _("Unlocked the till"),
            "till lock changed": _("Changed when tills lock themselves"),
            "shift started": _("Started a shift"),
            "shift ended": _("Ended a shift"),
            "PIN chosen": _("Chose a PIN"),
            "PIN changed": _("Changed the PIN"),
            "PIN refused": _("A PIN was refused"),
        },
    ),
    "customers": (
        _("Customers"),
        {
            "customer added": _("Added a customer"),
            "customer changed": _("Changed a customer"),
            "customer merged": _("Merged another customer into this one"),
            "merged into another": _("Merged this customer into another one"),
            "customer erased": _("Erased a customer"),
            "card attached": _("Attached a card to a customer"),
            "card detached": _("Detached a card from its customer"),
            "consent given": _("Noted a customer's consent"),
            "consent withdrawn": _("Noted that a customer takes consent back"),
        },
    ),
    "exports": (
        _("Exports"),
        {
            "trail exported": _("Exported the audit trail"),
            "operations exported": _("Exported operations"),
            "cards exported": _("Exported cards"),
            "customers exported": _("Exported the customers"),
            "incident exported": _("Took an incident away as a file"),
            "customer data exported": _("Exported all about one customer"),
        },
    ),
    "mail": (
        _("E-mail"),
        {
            "mail sent again": _("Sent a mail again"),
            "mail withdrawn": _("Withdrew a mail"),
        },
    ),
    "connections": (
        _("Connections"),
        {
            "connection paused": _("Paused a connection"),
            "connection held": _("Let a connection rest, as the provider asked"),
            "connection resumed": _("Resumed a connection"),
            "connection test asked": _("Had a connection tested"),
            "connection added": _("Connected a provider"),
            "connection changed": _("Changed a connection"),
            "secrets replaced": _("Replaced secrets of a connection"),
            "connection retired": _("Retired a connection"),
            "switched off": _("Switched something off"),
            "switched on": _("Switched it on again"),
            "practice connected": _("Connected the practice providers"),
            "host asked": _("Asked for an address of a provider to be approved"),
            "host request withdrawn": _("No longer asks for an address to be approved"),
            "host approved": _("Approved an address of a provider"),
            "host refused": _("Did not approve an address of a provider"),
            "host approval withdrawn": _("Withdrew the approval of an address of a provider"),
        },
    ),
    "balance page": (
        _("Public balance page"),
        {
            "balance page changed": _("Changed the public balance page"),
            "balance page opened again": _("Let wrong tries no longer close the balance page"),
            "shopper tries forgiven": _("Let a card be tried again on the balance page"),
        },
    ),
    "administrators": (
        _("Administrators"),
        {
            "administrator looked": _("Looked at this as an administrator"),
            "administrator made": _("Made somebody an administrator"),
            "administrator removed": _("Made somebody an administrator no longer"),
            "sessions ended": _("Ended all sessions of somebody"),
            "tries allowed": _("Let somebody try to sign in again at once"),
            "PIN unlocked": _("Unlocked a PIN"),
            "operation handed over": _("Handed an operation to the merchant"),
            "operation looked at again": _("Had an operation looked at again"),
            "view as begun": _("Began to look at all pages as an administrator"),
            "page viewed": _("Opened this page as an administrator"),
            "change by onlooker refused": _("Tried to change something while only looking"),
            "view as ended": _("Stopped looking as an administrator"),
        },
    ),
    "keys": (
        _("Keys"),
        {
            "keys added": _("Put new keys on the ring"),
            "keys put to use": _("Put new keys to use"),
            "sealed anew": _("Sealed everything anew"),
            "key retired": _("Took an old key off the ring"),
        },
    ),
    "refused": (
        _("Refused"),
        {
            "address refused": _("Tried the address of a merchant they do not work for"),
            "card not found": _("Tried the address of a card that is not there"),
            "code not found": _("Tried the address of a code that is not there"),
            "look-up not found": _("Tried the address of a look-up that is not there"),
            "operation not found": _("Tried the address of an operation that is not there"),
            "approval not found": _("Tried the address of an approval that is not there"),
            "customer not found": _("Tried the address of a customer who is not there"),
            "person not found": _("Tried the address of a person who is not there"),
            "invitation not found": _("Tried the address of an invitation that is not there"),
        },
    ),
}

# What stands beside a verb.
DETAILS: dict[str, Promise] = {
    "what": _("What"),
    "kind": _("What"),
    "verdict": _("Said"),
    "reason": _("Reason"),
    "why": _("Because"),
    "seconds": _("Seconds"),
    "until": _("Until"),
    "minutes": _("Minutes"),
    "role": _("Role"),
    "email": _("E-mail"),
    "store": _("Store"),
    "fields": _("Fields"),
    "card": _("Card"),
    "source": _("Source"),
    "other": _("The other one"),
    "records": _("Records"),
    "rows": _("Rows"),
    "mails": _("Mails"),
    "filter": _("Only"),
    "provider": _("Provider"),
    "environment": _("Environment"),
    "tested": _("Tested"),
    "searched": _("Searched for something"),
    "name": _("Name"),
    "stores": _("Stores"),
    "concurrency": _("Operations at once"),
    "per_second": _("Operations per second"),
    "public_use": _("Public balance page"),
    "tries": _("Wrong tries"),
    "is_open": _("Open"),
    "contact": _("How the shop is reached"),
    "colour": _("Colour"),
    "logo": _("Logo"),
    "last_digits": _("Last characters that will do"),
    "number_length": _("Characters of a whole number"),
    "in_sequence": _("Numbers follow one another"),
    "cards_in_use": _("Cards in use"),
    "pin_length": _("Characters of a PIN"),
    "pin_letters": _("PINs have letters"),
    "finds_a_year": _("Cards found by guessing that are bearable"),
    "only_this_desk": _("Only this desk moves these cards"),
    "reads_balance_first": _("Reads the balance first"),
    "credentials_until": _("Credentials serve until"),
    "note": _("Note"),
    "before": _("Before"),
    "after": _("After"),
}

VALUES: dict[str, Mapping[str, Promise]] = {
    "what": {verb: label for verb, label, _key in ACTIONS} | {str(each): each.label for each in Purpose},
    "kind": {str(each): each.label for each in LimitKind},
    "source": {str(each): each.label for each in Source},
    "verdict": attention_words.VERDICTS,
    "reason": PAUSE_WORDS,
    "role": {str(role): role.label for role in Role},
    "environment": {str(each): each.label for each in Environment},
}

# What an administrator looked at, where that is not one thing with a name of its own.
LOOKED_AT: dict[str, Promise] = {
    "operations": _("Operations"),
    "exchanges": _("Calls"),
    "cards": _("Cards"),
    "look-ups": _("Look-ups"),
    "approvals": _("Approvals"),
    "connections": _("Connections"),
    "hosts": _("Hosts"),
    "daily limits": _("Daily limits"),
    "mails": _("Mails"),
    "trail": _("Audit trail"),
    "stores": _("Stores"),
    "members": _("Members"),
    "invitations": _("Invitations"),
    "tills": _("Tills"),
    "search": _("What was searched for on call"),
    "incident": _("A report about an incident"),
}

_VERBS = {verb: words for _name, verbs in GROUPS.values() for verb, words in verbs.items()}


def sentence(line: AuditEntry) -> str:
    """What was done."""
    return str(_VERBS.get(line.verb, line.verb))


def about(line: AuditEntry) -> str:
    """What it was done to. A list that was looked through has words; all else is called what it was called then."""
    named = LOOKED_AT.get(line.subject) if line.verb == LOOKED else None
    return str(named or line.subject)


def facts(line: AuditEntry) -> Iterator[tuple[str, str]]:
    """What stands beside it, as label and text; what changed is told by `changes`."""
    for name, value in line.detail.items():
        if name not in ("changes", "before", "after"):
            yield label(name), text(name, value)


def changes(line: AuditEntry) -> Iterator[tuple[str, str, str]]:
    """What changed: its label (or nothing where the verb says it), what it was and what it is now."""
    for name, (before, after) in line.detail.get("changes", {}).items():
        yield label(name), text(name, before), text(name, after)
    if "before" in line.detail or "after" in line.detail:
        name = "role" if line.verb in GROUPS["people"][1] else ""
        yield "", text(name, line.detail.get("before")), text(name, line.detail.get("after"))


def label(name: str) -> str:
    """The name of a detail, or of a setting that some provider asks for."""
    if name in DETAILS:
        return str(DETAILS[name])
    declared = (provider.Settings.declared() for provider in PROVIDERS.values())
    return next((said(fields[name].label) for fields in declared if name in fields), name.replace("_", " "))


def text(name: str, value: Value) -> str:
    """A detail's value; what is none is a dash."""
    match value:
        case None | "":
            return "–"
        case bool():
            return gettext("yes") if value else gettext("no")
        case str() if name == "fields":
            return ", ".join(str(customer_words.LABELS.get(each, each)) for each in value.split(", "))
        case str():
            return str(VALUES.get(name, {}).get(value, value))
    return str(value)
