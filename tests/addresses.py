"""What the crawler must know of every address: which thing it names, and who it is for where no merchant stands in it.

A new address below a merchant that names a thing needs one line in SAMPLES; one below no merchant needs a line in
ELSEWHERE. The crawler says so itself.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from allauth.mfa.models import Authenticator
from django.core import mail
from django.db.models import Model
from django.test import RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from portal.connectors import PROVIDERS
from portal.connectors.base import Receipt
from portal.connectors.results import CASH, Balance
from portal.customers.book import Details
from portal.customers.models import Customer, Purpose
from portal.desk.administration.deeds import Deed
from portal.desk.administration.pages import site
from portal.desk.administration.rows import Rows
from portal.ledger import approvals, balances, cards, cases, codes, holders, holding, operations, shifts
from portal.ledger.models import (
    Approval,
    Card,
    Case,
    Exchange,
    Inquiry,
    Limit,
    Operation,
    Shift,
    limit_writer,
    operation_writer,
)
from portal.mail.models import OutgoingMail
from portal.merchants import audit, connecting, connections, daily_limits, invitations, pauses, switches, tenancy, tills
from portal.merchants.models import (
    AuditEntry,
    Connection,
    ConnectionDraft,
    DailyLimit,
    HostApproval,
    Invitation,
    LimitKind,
    Member,
    Merchant,
    Pause,
    Person,
    Scope,
    Store,
    Switch,
    Till,
    draft_writer,
    host_writer,
)
from portal.merchants.roles import Permission, Role
from portal.money import Money
from portal.shopper import deciding
from portal.shopper.models import Try, try_writer

CARD = "914639258868500"


# ---- One of everything ----------------------------------------------------------------------------------------
class Shop:
    """A merchant with one of everything an address can name. Each thing is made when it is first asked for; names of
    things hold the merchant's name, so that one seen by somebody else is noticed."""

    def __init__(self, merchant: Merchant, owner: Member) -> None:
        self.merchant, self.owner = merchant, owner

    @cached_property
    def connection(self) -> Connection:
        made = Connection(
            merchant=self.merchant, provider="paywizard", name=f"PayWizard of {self.merchant.name}", environment="live"
        )
        made.options = PROVIDERS["paywizard"].Settings.options(
            {"base_url": "https://paywizard.invalid", "client_id": "client", "currency": self.merchant.currency}
        )
        connections.seal_secrets(made, {"client_secret": "secret", "token": "token"})
        made.save()
        return made

    @cached_property
    def pause(self) -> Pause:
        """One that is over, of another connection, so that this one goes on."""
        other = Connection(merchant=self.merchant, provider="cardinquiry", name="Paused once", environment="sandbox")
        other.options = PROVIDERS["cardinquiry"].Settings.options(
            {"base_url": "https://cardinquiry.invalid", "currency": self.merchant.currency}
        )
        connections.seal_secrets(other, {"api_key": "key"})
        other.save()
        made = pauses.begin(other, member=self.owner, reason=f"Stocktaking of {self.merchant.name}")
        holding.resume(made, member=self.owner)
        return made

    @cached_property
    def switch(self) -> Switch:
        """One that is over; in force it would hold up everything else here."""
        with tenancy.every_merchant("a test arranges its rows"):
            made = switches.throw(
                self.owner.person,
                scope=Scope.CONNECTION,
                connection=self.pause.connection,
                reason=f"Trouble at {self.merchant.name}",
                banner="Come back tomorrow.",
            )
            switches.end(made, self.owner.person)
        return made

    @cached_property
    def passkey(self) -> Authenticator:
        """Of somebody else again, and of no device."""
        other = Person.objects.create_user(f"keys@{self.merchant.slug}.example", name=f"Keys of {self.merchant.name}")
        data = {"name": f"Passkey of {self.merchant.name}", "credential": {}}
        return Authenticator.objects.create(user=other, type=Authenticator.Type.WEBAUTHN, data=data)

    @cached_property
    def draft(self) -> ConnectionDraft:
        """Half filled in, and not passed its test."""
        made = connecting.start(self.owner, "paywizard")
        connecting.keep(self.owner, made, typed={}, secrets={"token": "token"}, name=f"Draft of {self.merchant.name}")
        draft_writer._open.set(True)
        try:
            ConnectionDraft.objects.filter(pk=made.pk).update(state="failed")
        finally:
            draft_writer._open.set(False)
        return made

    @cached_property
    def colleague(self) -> Member:
        name = f"Colleague of {self.merchant.name}"
        person = Person.objects.create_user(f"{self.merchant.slug}@example.com", name=name)
        return Member.objects.create(merchant=self.merchant, person=person, role=Role.CASHIER)

    @cached_property
    def invitation(self) -> Invitation:
        return invitations.invite(self.owner, email=f"invited@{self.merchant.slug}.example", role=Role.CASHIER)

    @cached_property
    def card(self) -> Card:
        return cards.card_of(self.connection, CARD)

    @cached_property
    def customer(self) -> Customer:
        """One whom everybody may see who sees any: they agreed to offers."""
        made, _new = holders.add(
            member=self.owner,
            key=uuid.uuid4(),
            details=Details(last_name=f"Vogel of {self.merchant.name}"),
            agreement=holders.Agreement(purposes=[Purpose.MAILS]),
            card=None,
        )
        return made

    @cached_property
    def look_up(self) -> Inquiry:
        return balances.open_look_up(
            member=self.owner, key=uuid.uuid4(), connection=self.connection, number=CARD[:-1] + "1", client=None
        )

    @cached_property
    def operation(self) -> Operation:
        """A payment that is done, so that it can be voided and tipped."""
        done = {"ended_at": timezone.now(), "lease_until": None, "provider_reference": "4711"}
        return self._pays(self.card, running={"lease_until": timezone.now()}, done=done)

    @cached_property
    def unclear(self) -> Operation:
        other_card = cards.card_of(self.connection, CARD[:-1] + "2")
        leased, left = {"lease_until": timezone.now()}, {"lease_until": None}
        return self._pays(other_card, running=leased, checking=left, needs_person={})

    @cached_property
    def misfit(self) -> Case:
        """A top-up that is done, and an answer whose balance does not fit it."""
        card = cards.card_of(self.connection, CARD[:-1] + "3")
        wish = operations.Wish(verb="top_up", card=card, amount=Money(1000, self.merchant.currency))
        made = operations.request(member=self.owner, key=uuid.uuid4(), wish=wish)
        long_ago = timezone.now() - timedelta(days=9)  # what was begun of late is counted by tests of their own
        sent = {"lease_until": timezone.now(), "before_cash_minor": 5000, "begun_at": long_ago}
        done = {"ended_at": timezone.now(), "lease_until": None, "provider_reference": "4712"}
        Connection.objects.filter(pk=self.connection.pk).update(only_this_desk=True)
        self._goes(made, running=sent, done=done)
        made = Operation.objects.select_related("connection__merchant").get(pk=made.pk)
        told = (Balance(CASH, Money(5000, self.merchant.currency)),)
        cases.compare(made, Receipt(provider_reference="4712", balances=told, lines=(), raw=""))
        return Case.objects.select_related("operation").get(operation=made)

    @cached_property
    def code(self) -> Operation:
        """One that is shown, and may be cancelled."""
        there = Connection(
            merchant=self.merchant,
            provider="revenuemonster",
            name=f"Points of {self.merchant.name}",
            environment="live",
        )
        there.options = PROVIDERS["revenuemonster"].Settings.options(
            {
                **dict.fromkeys(["base_url", "oauth_url"], "https://revenuemonster.invalid"),
                "client_id": "1",
                "public_key": "",
            }
        )
        connections.seal_secrets(there, {"client_secret": "secret", "private_key": "key"})
        there.save()
        amount, extra = Money(1000, "MYR"), {"paid_with": "other"}
        wish = operations.Wish(verb="issue_code", card=None, connection=there, amount=amount, extra=extra)
        made = operations.request(member=self.owner, key=uuid.uuid4(), wish=wish)
        done = {"ended_at": timezone.now(), "lease_until": None, "provider_reference": f"code{self.merchant.pk}"}
        self._goes(made, running={"lease_until": timezone.now()}, done=done)
        codes.keep(made, f"https://revenuemonster.invalid/qr/{self.merchant.slug}")
        return made

    @cached_property
    def till(self) -> Till:
        store = Store.objects.create(merchant=self.merchant, name=f"Store of {self.merchant.name}")
        made, _cookie = tills.open_here(
            self.owner, name=f"Till of {self.merchant.name}", store=store, request=RequestFactory().get("/")
        )
        return made

    @cached_property
    def mail(self) -> OutgoingMail:
        mail.get_connection("portal.mail.backend.Outbox").send_messages(
            [mail.EmailMessage(f"Hello from {self.merchant.name}", "", to=["anna@example.com"])]
        )
        return OutgoingMail.objects.filter(merchant=self.merchant).latest("id")

    @cached_property
    def exchange(self) -> Exchange:
        """A call made for the operation."""
        texts = {"request_body": "{}", "response_body": "{}", "request_headers": {}, "response_headers": {}}
        return Exchange.objects.create(
            merchant=self.merchant,
            operation=self.operation,
            purpose="call",
            attempt=1,
            at=self.operation.asked_at,
            method="POST",
            url=f"https://paywizard.invalid/{self.merchant.slug}",
            connect_ms=1,
            total_ms=2,
            reused=False,
            **texts,
        )

    @cached_property
    def host(self) -> HostApproval:
        """Where the merchant wants a provider to be called, and an administrator has not said yet."""
        host_writer._open.set(True)
        try:
            return HostApproval.objects.create(
                merchant=self.merchant,
                provider="paywizard",
                origin=f"https://{self.merchant.slug}.example",
                asked_by=self.owner.person,
            )
        finally:
            host_writer._open.set(False)

    @cached_property
    def daily_limit(self) -> DailyLimit:
        """What the merchant asks for, and an administrator has not decided."""
        return daily_limits.ask(self.owner, LimitKind.MAILS, 54321, reason=f"Christmas at {self.merchant.name}")

    @cached_property
    def line(self) -> AuditEntry:
        """One of the trail."""
        return audit.record("connection resumed", f"PayWizard of {self.merchant.name}", merchant=self.merchant)

    @cached_property
    def shift(self) -> Shift:
        return shifts.start(self.owner, self.till, request=RequestFactory().get("/"))

    @cached_property
    def approval(self) -> Approval:
        """A payment above the limit of the cashier who asked for it."""
        limit_writer._open.set(True)
        try:
            Limit.objects.create(merchant=self.merchant, role=Role.CASHIER, verb="pay", most=500)
        finally:
            limit_writer._open.set(False)
        person = Person.objects.create_user(
            f"till-{self.merchant.pk}@example.com", name=f"Till of {self.merchant.name}"
        )
        cashier = Member.objects.create(merchant=self.merchant, person=person, role=Role.CASHIER)
        wish = operations.Wish(verb="pay", card=self.card, amount=Money(1000, self.merchant.currency))
        made = approvals.request(member=cashier, key=uuid.uuid4(), wish=wish)
        assert isinstance(made, Approval)
        return made

    @cached_property
    def balance_page(self) -> Merchant:
        """An open page, over the connection."""
        deciding.change(self.owner, {"is_open": True})
        Connection.objects.filter(pk=self.connection.pk).update(public_use=True)
        return self.merchant

    @cached_property
    def shopper_try(self) -> Try:
        """A wrong one."""
        prints = dict.fromkeys(["browser", "address", "network", "card", "pin"], b"i1:0")
        row = Try(merchant=self.balance_page, connection=self.connection, outcome="refused", challenge=uuid.uuid4())
        try_writer._open.set(True)
        try:
            for name, value in (prints | {"whole": True, "step_ms": 500}).items():
                setattr(row, name, value)
            row.save()
        finally:
            try_writer._open.set(False)
        return row

    def _pays(self, card: Card, **through: dict[str, object]) -> Operation:
        """A payment taken through these states, as no code of ours would."""
        wish = operations.Wish(verb="pay", card=card, amount=Money(1000, self.merchant.currency))
        made = operations.request(member=self.owner, key=uuid.uuid4(), wish=wish)
        return self._goes(made, **through)

    def _goes(self, made: Operation, **through: dict[str, object]) -> Operation:
        operation_writer._open.set(True)
        try:
            for state, became in through.items():
                Operation.objects.filter(pk=made.pk).update(state=state, **became)
        finally:
            operation_writer._open.set(False)
        made.refresh_from_db()
        return made


Sample = Callable[[Shop], object]

# The thing an address below a merchant names, by the address's name. An address with several parts gets a dict.
SAMPLES: dict[str, Sample] = {
    # merchants
    "switch_on": lambda shop: shop.switch.key,
    "connection_health": lambda shop: shop.connection.key,
    "pause_connection": lambda shop: shop.connection.key,
    "take_back_daily_limit": lambda shop: shop.daily_limit.key,
    "resume_connection": lambda shop: shop.connection.key,
    "connection": lambda shop: shop.connection.key,
    "retire_connection": lambda shop: shop.connection.key,
    "pause_report": lambda shop: {"key": shop.pause.connection.key, "pause": shop.pause.key},
    "change_connection": lambda shop: shop.connection.key,
    **dict.fromkeys(["connect_draft", "connect_test", "discard_draft"], lambda shop: shop.draft.key),
    "end_till": lambda shop: shop.till.key,
    "store": lambda shop: shop.till.store.key,
    "mfa_remove_webauthn": lambda shop: shop.passkey.pk,
    "person": lambda shop: shop.colleague.key,
    "remove_person": lambda shop: shop.colleague.key,
    "resend_invitation": lambda shop: shop.invitation.key,
    "withdraw_invitation": lambda shop: shop.invitation.key,
    "invitation_link": lambda shop: "no-such-token",
    # desk
    "on_call_operation": lambda shop: shop.operation.pk,
    # mail
    "outbox_mail": lambda shop: shop.mail.key,
    # ledger
    "shift_report": lambda shop: shop.shift.key,
    "look_up": lambda shop: shop.look_up.key,
    "card": lambda shop: shop.card.key,
    "ask_again": lambda shop: shop.card.key,
    "confirm": lambda shop: shop.card.key,
    "operation": lambda shop: shop.operation.key,
    "withdraw": lambda shop: shop.operation.key,
    "receipt": lambda shop: shop.operation.key,
    "evidence": lambda shop: shop.operation.key,
    "attention_case": lambda shop: shop.unclear.key,
    "balance_case": lambda shop: shop.misfit.operation.key,
    **dict.fromkeys(["code", "cancel_code"], lambda shop: shop.code.key),
    "callback": lambda shop: shop.code.connection.key,
    "approval": lambda shop: shop.approval.key,
    "withdraw_approval": lambda shop: shop.approval.key,
    # customers
    "customer": lambda shop: shop.customer.key,
    "edit_customer": lambda shop: shop.customer.key,
    "customer_consent": lambda shop: shop.customer.key,
    "customer_data": lambda shop: shop.customer.key,
    "merge_customers": lambda shop: shop.customer.key,
    "erase_customer": lambda shop: shop.customer.key,
    "card_holder": lambda shop: shop.card.key,
    "attach_card": lambda shop: shop.card.key,
    "detach_card": lambda shop: shop.card.key,
}

SAMPLES |= {
    **dict.fromkeys(["balance_page", "balance_style", "balance_logo"], lambda shop: {"shop": shop.balance_page.slug}),
    "forgive_tries": lambda shop: shop.shopper_try.key,
    "balance_answer": lambda shop: {"shop": shop.balance_page.slug, "key": uuid.uuid4()},
}

# Where a post needs another permission than seeing the page does.
POSTING: dict[str, Permission] = {
    "connection": Permission.CONNECT,
    "attention_case": Permission.DECIDE,
    "balance_case": Permission.DECIDE,
    "approval": Permission.APPROVE,
    "withdraw": Permission.TAKE_PAYMENTS,
}

# Addresses below no merchant: for EVERYBODY, for those who are SIGNED_IN, or for ADMINISTRATORS: to others not there.
EVERYBODY, SIGNED_IN, ADMINISTRATORS = "everybody", "those who are signed in", "administrators"
# For machines that prove who they are in each message: everybody else is refused, whoever is signed in.
PROVED = "whoever proves it"
ELSEWHERE: dict[str, str] = {
    # desk
    "readyz": EVERYBODY,
    "language": EVERYBODY,
    # accounts
    "account_login": EVERYBODY,
    "account_logout": EVERYBODY,
    "account_inactive": EVERYBODY,
    "account_signup": EVERYBODY,
    "account_email_verification_sent": EVERYBODY,
    "account_reset_password": EVERYBODY,
    "account_confirm_password_reset_code": EVERYBODY,
    "account_complete_password_reset": EVERYBODY,
    "account_password_reset_completed": EVERYBODY,
    "account_reauthenticate": SIGNED_IN,
    "account_email": SIGNED_IN,
    "account_change_password": SIGNED_IN,
    "account": SIGNED_IN,
    "end_sessions": SIGNED_IN,
    "mfa_index": SIGNED_IN,
    "mfa_list_webauthn": SIGNED_IN,
    "mfa_authenticate": EVERYBODY,
    "mfa_login_webauthn": EVERYBODY,
    "mfa_reauthenticate": SIGNED_IN,
    "mfa_reauthenticate_webauthn": SIGNED_IN,
    "mfa_activate_totp": SIGNED_IN,
    "mfa_deactivate_totp": SIGNED_IN,
    "mfa_view_recovery_codes": SIGNED_IN,
    "mfa_generate_recovery_codes": SIGNED_IN,
    "mfa_add_webauthn": SIGNED_IN,
    "mfa_remove_webauthn": SIGNED_IN,
    # tills: a browser that is none goes to the start
    "lock": EVERYBODY,
    "lock_now": EVERYBODY,
    "awake": EVERYBODY,
    # merchants
    "invitation": EVERYBODY,
    "invitation_link": EVERYBODY,
    "start": SIGNED_IN,
    "choose": SIGNED_IN,
    "found": SIGNED_IN,
    "end_viewing": SIGNED_IN,
    # providers
    "callback": PROVED,
    # shoppers
    "balance_page": EVERYBODY,
    "balance_style": EVERYBODY,
    "balance_logo": EVERYBODY,
    "balance_answer": EVERYBODY,
    # the administration
    "on_call": ADMINISTRATORS,
    "on_call_find": ADMINISTRATORS,
    "incident": ADMINISTRATORS,
    "on_call_operation": ADMINISTRATORS,
    "admin:index": ADMINISTRATORS,
    "admin:login": ADMINISTRATORS,
    "switches": ADMINISTRATORS,
    "switch_on": ADMINISTRATORS,
}

# Each kind of row has a list in the administration and a page, which the row's number leads to.
ROWS: dict[type[Model], Sample] = {
    Merchant: lambda shop: shop.merchant,
    Person: lambda shop: shop.owner.person,
    Operation: lambda shop: shop.operation,
    Connection: lambda shop: shop.connection,
    OutgoingMail: lambda shop: shop.mail,
    AuditEntry: lambda shop: shop.line,
    HostApproval: lambda shop: shop.host,
    DailyLimit: lambda shop: shop.daily_limit,
    Store: lambda shop: shop.till.store,
    Member: lambda shop: shop.owner,
    Invitation: lambda shop: shop.invitation,
    Till: lambda shop: shop.till,
    Card: lambda shop: shop.card,
    Exchange: lambda shop: shop.exchange,
    Inquiry: lambda shop: shop.look_up,
    Approval: lambda shop: shop.approval,
}


def _number(row: Sample) -> Sample:
    return lambda shop: {"object_id": row(shop).pk}


def _deed(row: Sample, deeds: tuple[Deed, ...]) -> Sample:
    def sample(shop: Shop) -> dict[str, object]:
        found: Any = row(shop)
        offered = [deed.slug for deed in deeds if deed.offered(found)]
        return {"object_id": found.pk, "deed": offered[0] if offered else "nothing"}

    return sample


for _model, _row in ROWS.items():
    _name = f"admin:{_model._meta.app_label}_{_model._meta.model_name}"
    ELSEWHERE |= {f"{_name}_changelist": ADMINISTRATORS, f"{_name}_change": ADMINISTRATORS}
    SAMPLES[f"{_name}_change"] = _number(_row)
    if _deeds := Rows.of(site, _model).deeds:
        ELSEWHERE[f"{_name}_deed"] = ADMINISTRATORS
        SAMPLES[f"{_name}_deed"] = _deed(_row, _deeds)

# Addresses that read nothing but themselves and answer all alike, so that a secret there is never logged as refused.
TAKES_ANYTHING = {"invitation_link"}


# ---- Addresses ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Address:
    """One pattern of portal/urls.py. `parts` are the things it names beside the merchant, with their kinds."""

    name: str
    route: str
    view: Any
    parts: dict[str, str]
    below_merchant: bool

    @property
    def permission(self) -> Permission | None:
        found: Permission | None = getattr(self.view, "permission", None)
        return found

    def of(self, shop: Shop, *, slug: str = "", **other: object) -> str:
        """The path of this address for the shop's own sample; `other` replaces parts."""
        return self.path(slug or shop.merchant.slug, **(self.sample(shop) | other))

    def path(self, slug: str, **parts: object) -> str:
        return reverse(self.name, kwargs={**({"merchant": slug} if self.below_merchant else {}), **parts})

    def sample(self, shop: Shop) -> dict[str, object]:
        if not self.parts:
            return {}
        assert self.name in SAMPLES, self.wanting()
        thing = SAMPLES[self.name](shop)
        return thing if isinstance(thing, dict) else dict.fromkeys(self.parts, thing)

    def wanting(self) -> str:
        """What to do so that the crawler can ask this address, or nothing."""
        at = f"{self.name} ({self.route})"
        if not self.name or self.name.endswith(":"):
            return f"{self.route} has no name: give it one in portal/urls.py."
        if self.below_merchant and self.permission is None:
            return f"{at} stands below a merchant without @member(Permission.…)."
        if not self.below_merchant and self.name not in ELSEWHERE:
            return (
                f'{at} is below no merchant: add "{self.name}": EVERYBODY, SIGNED_IN or ADMINISTRATORS to ELSEWHERE'
                " in tests/addresses.py."
            )
        if self.parts and self.name not in SAMPLES:
            return (
                f'{at} names a thing: add "{self.name}": lambda shop: shop.….key to SAMPLES in tests/addresses.py'
                " (and the thing to Shop, if there is none yet)."
            )
        return ""

    def missing(self) -> dict[str, object]:
        """Parts that name nothing."""
        return {
            part: uuid.uuid4() if kind == "UUID" else NOTHING.get(kind, "nothing") for part, kind in self.parts.items()
        }


NOTHING: dict[str, object] = {"Int": 2**31 - 2}


def addresses() -> list[Address]:
    """Every address, those of included packages too."""
    return list(_walk(get_resolver().url_patterns, "", {}, ""))


def _walk(patterns: list[Any], route: str, parts: dict[str, str], space: str) -> Iterator[Address]:
    for each in patterns:
        pattern = each.pattern
        found = {name: type(kind).__name__.removesuffix("Converter") for name, kind in pattern.converters.items()}
        found |= {name: "" for name in pattern.regex.groupindex if name not in found}
        here, all_parts = route + str(pattern), parts | found
        if isinstance(each, URLResolver):
            yield from _walk(
                each.url_patterns, here, all_parts, f"{space}{each.namespace}:" if each.namespace else space
            )
        elif isinstance(each, URLPattern):
            below = "merchant" in all_parts
            named = {name: kind for name, kind in all_parts.items() if name != "merchant"}
            yield Address(f"{space}{each.name or ''}", here, each.callback, named, below)
