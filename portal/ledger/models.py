"""What happened: cards, operations with their exchanges, and look-ups.

Look-ups are written by balances.py only, limits by limits.py, approvals by approvals.py, codes by codes.py, cases
by cases.py, operations by operations.py until their end is known or unclear, by settling.py from there, everything else
by operations.py.
"""

import uuid
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Cast, Length, Now
from django.db.models.lookups import LessThanOrEqual
from django.utils.translation import gettext_lazy as _

from portal.customers.models import Customer
from portal.ledger.baskets import KEPT_AT_MOST
from portal.merchants.models import Connection, Merchant, Person, Till
from portal.merchants.writers import Writer, WrittenRows

inquiry_writer = Writer("portal.ledger.balances")
operation_writer = Writer("portal.ledger.operations", "portal.ledger.settling")
shift_writer = Writer("portal.ledger.shifts")
limit_writer = Writer("portal.ledger.limits")
approval_writer = Writer("portal.ledger.approvals")
view_writer = Writer("portal.ledger.saved_views")
code_writer = Writer("portal.ledger.codes")
case_writer = Writer("portal.ledger.cases")


class State(models.TextChoices):
    """Where a look-up stands."""

    HELD = "held", _("Waits for more proof")
    WANTS_PIN = "wants_pin", _("Needs the password")
    WANTS_NUMBER = "wants_number", _("Needs the whole number")
    WAITING = "waiting", _("Waiting")
    ASKING = "asking", _("Asking")
    ANSWERED = "answered", _("Answered")
    FAILED = "failed", _("Not answered")


# Our own reasons beside connectors.base.Reason: two workers died over one question; a box does not open; the connection
# was paused or switched off before anybody asked.
NOT_NOW = "not_now"
WORKER_LOST = "worker_lost"
SEALED_ELSEWHERE = "sealed_elsewhere"

FINAL = (State.ANSWERED, State.FAILED)


class Typed(models.TextChoices):
    """What a shopper typed on the public page; nothing where staff asked."""

    SHORT = "short", _("The end of the number")
    WHOLE = "whole", _("The whole number")


class Card(models.Model):
    """A card of one connection, known by the keyed hash of its number. Its balance is a reading, never our own sum."""

    KEYED_HASHES: ClassVar = {"index": "true"}

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    key = models.UUIDField(default=uuid.uuid4, editable=False)
    index = models.BinaryField(help_text="Keyed hash of the number.")
    last_four = models.CharField(max_length=4)
    sealed_number = models.BinaryField(help_text="Later calls need it; only workers can open it.")
    customer = models.ForeignKey(Customer, null=True, on_delete=models.DO_NOTHING, help_text="Who holds it.")
    first_seen_at = models.DateTimeField(db_default=Now())
    balance_minor = models.BigIntegerField(null=True, help_text="Minor units.")
    balance_currency = models.CharField(max_length=3, blank=True)
    cash_minor = models.BigIntegerField(null=True, help_text="What of it was paid in, where the provider tells.")
    bonus_minor = models.BigIntegerField(null=True, help_text="What of it was given.")
    points = models.BigIntegerField(null=True)
    card_status = models.CharField(max_length=30, blank=True, help_text="connectors.base.CardStatus.")
    expires_on = models.DateField(null=True, help_text="Last valid day.")
    read_at = models.DateTimeField(null=True, help_text="When the provider told us.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="card_of_merchant"),
            models.UniqueConstraint(fields=["connection", "index"], name="card_once"),
            models.UniqueConstraint(fields=["merchant", "key"], name="card_key_once"),
        ]
        indexes = [
            models.Index(fields=["merchant", "customer"], condition=Q(customer__isnull=False), name="card_of_customer"),
            models.Index(fields=["merchant", "last_four"], name="card_by_last_four"),
            models.Index(fields=["merchant", "-first_seen_at", "-id"], name="card_newest"),
        ]


class InquiryRows(WrittenRows["Inquiry"]):
    """Look-ups."""

    writer = inquiry_writer


class Inquiry(models.Model):
    """One question to a provider: a card's balance and state, or how many points a purchase would give. No value
    moves.

    What was typed is sealed for the worker and erased in the transaction that stores the answer. The row itself is
    erased after 15 minutes (LOOK_UP_KEPT_SECONDS).
    """

    KEYED_HASHES: ClassVar = {"card_index": "true"}

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE)
    key = models.UUIDField(editable=False, help_text="Minted when the form is drawn: pressing twice asks once.")
    card = models.ForeignKey(
        Card, null=True, on_delete=models.CASCADE, help_text="Where the number is known to be whole."
    )
    asked_by = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL)
    typed_by_shopper = models.CharField(max_length=5, choices=Typed.choices, blank=True, db_default="")
    asked_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=20, choices=State.choices)

    card_index = models.BinaryField(help_text="Keyed hash of the number.")
    last_four = models.CharField(max_length=4)
    sealed_number = models.BinaryField(null=True)
    sealed_pin = models.BinaryField(null=True)
    extra = models.JSONField(default=dict, help_text="What only this provider asks for; nothing secret.")
    sealed_client = models.BinaryField(null=True, help_text="Browser and address of who asks, for the provider.")

    woken_at = models.DateTimeField(null=True, help_text="Ready for a worker since.")
    attempt = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, help_text="A worker silent until then is taken for dead.")
    ended_at = models.DateTimeField(null=True)
    took_ms = models.PositiveIntegerField(null=True, help_text="All calls made for it together.")

    card_status = models.CharField(max_length=30, blank=True, help_text="connectors.base.CardStatus.")
    balance_minor = models.BigIntegerField(null=True, help_text="Minor units.")
    balance_currency = models.CharField(max_length=3, blank=True)
    cash_minor = models.BigIntegerField(null=True, help_text="What of it was paid in, where the provider tells.")
    bonus_minor = models.BigIntegerField(null=True, help_text="What of it was given.")
    points = models.BigIntegerField(null=True)
    purchase_minor = models.BigIntegerField(
        null=True, help_text="Minor units; where it is asked what a purchase would give, and not about a card."
    )
    expires_on = models.DateField(null=True, help_text="Last valid day.")
    holder = models.JSONField(default=dict, help_text="Who holds the card, masked before it is stored.")
    description = models.CharField(max_length=200, blank=True)
    sealed_usage_token = models.BinaryField(null=True)
    failure = models.CharField(max_length=20, blank=True, help_text="Which of the five ways to fail.")
    reason = models.CharField(max_length=40, blank=True, help_text="connectors.base.Reason, or ours.")
    provider_text = models.CharField(max_length=500, blank=True)
    trace = models.CharField(max_length=100, blank=True, help_text="The provider's reference for its own support.")

    objects = InquiryRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="inquiry_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "key"], name="inquiry_key_once"),
            models.CheckConstraint(condition=Q(state__in=State.values), name="inquiry_state_known"),
            models.CheckConstraint(
                condition=~Q(state__in=FINAL)
                | Q(
                    sealed_number=None,
                    sealed_pin=None,
                    sealed_client=None,
                    lease_until=None,
                    ended_at__isnull=False,
                ),
                name="inquiry_keeps_no_secret_after_the_end",
            ),
            models.CheckConstraint(
                condition=Q(state=State.ASKING, lease_until__isnull=False)
                | (~Q(state=State.ASKING) & Q(lease_until=None)),
                name="inquiry_leased_while_asking",
            ),
            models.CheckConstraint(
                condition=Q(balance_minor=None, balance_currency="")
                | (Q(balance_minor__gte=0) & ~Q(balance_currency="")),
                name="inquiry_balance_has_a_currency",
            ),
            models.CheckConstraint(
                condition=Q(purchase_minor=None) | Q(purchase_minor__gt=0, card=None, sealed_number=None),
                name="inquiry_about_a_card_or_a_purchase",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "-id"], name="inquiry_newest"),
            models.Index(fields=["woken_at"], condition=Q(state=State.WAITING), name="inquiry_waiting"),
            models.Index(fields=["lease_until"], condition=Q(state=State.ASKING), name="inquiry_leased"),
            models.Index(fields=["asked_at"], name="inquiry_oldest"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        inquiry_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        inquiry_writer.require()
        return super().delete(*args, **kwargs)

    @property
    def pending(self) -> bool:
        """Whether the answer is still to come without anybody doing anything."""
        return self.state in (State.WAITING, State.ASKING)


class Pulse(models.Model):
    """When the workers last did real work: one row, touched by the sweep. Process lists and pings cannot tell a deaf
    worker from a healthy one; this can."""

    name = models.CharField(max_length=20, primary_key=True)
    at = models.DateTimeField()


class OperationState(models.TextChoices):
    """The words people see. Their order is the order of an operation's life."""

    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Asking")
    CHECKING = "checking", _("Checking")
    NEEDS_PERSON = "needs_person", _("Needs a person")
    DONE = "done", _("Done")
    REFUSED = "refused", _("Refused")
    FAILED = "failed", _("Not sent")


OVER = (OperationState.DONE, OperationState.REFUSED, OperationState.FAILED)
# While one of these is under way for a card, no other operation of ours touches the card.
IN_FLIGHT = (OperationState.RUNNING, OperationState.CHECKING, OperationState.NEEDS_PERSON)


def _basket_of_a_sale(name: str) -> models.CheckConstraint:
    """A sale has a basket, and loads less than it sells for; nothing else has either."""
    load = Q(load_minor=None) | Q(load_minor__gt=0, load_minor__lt=F("amount_minor"))
    return models.CheckConstraint(
        condition=(Q(verb="sale", basket__isnull=False) & load)
        | (~Q(verb="sale") & Q(basket__isnull=True, load_minor=None)),
        name=f"{name}_basket_of_a_sale",
    )


def _basket_is_short(name: str) -> models.CheckConstraint:
    written = Length(Cast("basket", models.TextField()))
    return models.CheckConstraint(
        condition=Q(basket__isnull=True) | Q(LessThanOrEqual(written, KEPT_AT_MOST)), name=f"{name}_basket_is_short"
    )


class OperationRows(WrittenRows["Operation"]):
    """Operations."""

    writer = operation_writer


class Operation(models.Model):
    """One thing asked of one provider, under a unique key. This row is the truth about it.

    Amounts are minor units of `currency`; points stand in `points`, without a currency. `key` is minted when the form
    is drawn; its 32 hexadecimal digits are the reference the provider gets. What only the call needs (customer
    details, or the letter that is sent again until it is answered) is sealed and erased at the end.
    """

    KEYED_HASHES: ClassVar = {"fingerprint": "asked_at > statement_timestamp() - interval '1 day'"}
    # All that was asked, as text; of a row that was not stored yet, and never stored.
    asked_as: str = ""

    merchant = models.ForeignKey(Merchant, on_delete=models.DO_NOTHING, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.DO_NOTHING, db_index=False)
    card = models.ForeignKey(Card, null=True, on_delete=models.DO_NOTHING, db_index=False)
    original = models.ForeignKey(
        "self", null=True, db_index=False, on_delete=models.DO_NOTHING, help_text="What a void or tip is for."
    )
    key = models.UUIDField(editable=False)
    verb = models.CharField(max_length=20, help_text="connectors.base.VERBS.")
    amount_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    points = models.BigIntegerField(null=True)
    also_activate = models.BooleanField(default=False, help_text="A top-up that was told to activate the card, too.")
    basket = models.JSONField(
        null=True, help_text="What a sale sells, see baskets.py. Its sum and load are the amount."
    )
    load_minor = models.BigIntegerField(null=True, help_text="What of a sale's amount is loaded onto the card.")
    extra = models.JSONField(default=dict, help_text="What only this provider asks for; nothing secret.")
    sealed_input = models.BinaryField(null=True)
    looked_up = models.UUIDField(
        null=True,
        editable=False,
        help_text="Key of the look-up whose usage token is used: of that and no other, and once.",
    )
    fingerprint = models.BinaryField(
        help_text="Keyed hash of all that was asked: the same key must mean the same thing."
    )
    in_flight_key = models.BinaryField(null=True, help_text="What may have one operation at a time: the card's key.")
    priority = models.PositiveSmallIntegerField(default=0, help_text="A person at the till is 0, a file 10.")
    asked_by = models.ForeignKey(Person, null=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False)
    asked_at = models.DateTimeField()
    till = models.ForeignKey(
        Till, null=True, db_index=False, on_delete=models.DO_NOTHING, help_text="Where it was asked; it has a store."
    )
    approval = models.ForeignKey(
        "Approval", null=True, db_index=False, on_delete=models.DO_NOTHING, help_text="Where it took a second person."
    )

    state = models.CharField(max_length=20, choices=OperationState.choices, default=OperationState.WAITING)
    attempt = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, help_text="Waiting: not before. Checking: look again then.")
    lease_until = models.DateTimeField(null=True)
    begun_at = models.DateTimeField(null=True, help_text="When the last attempt was claimed.")
    unsent = models.BooleanField(
        db_default=False,
        default=False,
        help_text="No byte of this attempt can have left: said by its claim, taken back before the first one does.",
    )
    checks = models.PositiveSmallIntegerField(default=0)
    missing_since = models.DateTimeField(
        null=True, help_text="When the provider's own record first said, while we were checking, that it is not done."
    )
    ended_at = models.DateTimeField(null=True)

    before_minor = models.BigIntegerField(null=True, help_text="The card's money read before sending.")
    before_cash_minor = models.BigIntegerField(
        null=True, help_text="What of it was paid in, where the provider tells: the rest was given."
    )
    before_points = models.BigIntegerField(null=True)
    before_at = models.DateTimeField(null=True)
    predicted_points = models.BigIntegerField(
        null=True, help_text="What the provider said before sending that a purchase gives: evidence, not a promise."
    )
    after_minor = models.BigIntegerField(null=True, help_text="The card's money read afterwards.")
    after_points = models.BigIntegerField(null=True)
    after_at = models.DateTimeField(null=True)

    # Sorted by their bytes, so that what begins so is a range.
    provider_reference = models.CharField(max_length=100, blank=True, db_collation="C")
    reason = models.CharField(max_length=40, blank=True, help_text="connectors.base.Reason, or ours.")
    provider_text = models.CharField(max_length=500, blank=True)
    trace = models.CharField(max_length=100, blank=True, db_collation="C")
    receipt_lines = models.JSONField(
        db_default=Value([], models.JSONField()),
        default=list,
        help_text="The provider's own receipt: connectors.results.ReceiptLine.as_plain.",
    )
    settled_by = models.CharField(max_length=20, blank=True, help_text="answer, balance, record, resending or person.")
    decided_by = models.ForeignKey(Person, null=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False)
    decided_at = models.DateTimeField(null=True)
    decision = models.CharField(max_length=20, blank=True, help_text="What a first person said: happened or did_not.")
    decision_reason = models.CharField(max_length=500, blank=True)
    seconded_by = models.ForeignKey(Person, null=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False)

    objects = OperationRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="operation_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "key"], name="operation_key_once"),
            models.UniqueConstraint(
                fields=["connection", "in_flight_key"],
                condition=Q(state__in=IN_FLIGHT) & Q(in_flight_key__isnull=False),
                name="operation_one_in_flight",
            ),
            models.UniqueConstraint(
                fields=["original"],
                condition=Q(verb="void") & ~Q(state__in=("refused", "failed")),
                name="operation_voided_once",
            ),
            models.CheckConstraint(condition=Q(state__in=OperationState.values), name="operation_state_known"),
            models.CheckConstraint(
                condition=Q(amount_minor=None, currency="")
                | (Q(amount_minor__gt=0, amount_minor__lte=10**9, points=None) & ~Q(currency="")),
                name="operation_money_or_points",
            ),
            models.CheckConstraint(
                condition=Q(points=None) | Q(points__gt=0, points__lte=10**9), name="operation_points_positive"
            ),
            _basket_of_a_sale("operation"),
            _basket_is_short("operation"),
            models.CheckConstraint(
                condition=(Q(state="running") & Q(lease_until__isnull=False))
                | (~Q(state="running") & Q(lease_until=None)),
                name="operation_leased_while_running",
            ),
            models.CheckConstraint(
                condition=Q(unsent=False) | Q(state="running"), name="operation_unsent_while_running"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=OVER) | Q(sealed_input=None, ended_at__isnull=False),
                name="operation_keeps_no_secret_after_the_end",
            ),
            models.CheckConstraint(
                condition=~Q(settled_by="person") | (Q(decided_by__isnull=False) & ~Q(decision_reason="")),
                name="operation_decided_with_a_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "card", "-id"], name="operation_of_card"),
            models.Index(
                fields=["connection", "verb", "priority", "id"], condition=Q(state="waiting"), name="operation_queue"
            ),
            models.Index(
                fields=["connection", "in_flight_key", "id"],
                condition=Q(state=OperationState.WAITING),
                name="operation_order_of_card",
            ),
            models.Index(fields=["lease_until"], condition=Q(state="running"), name="operation_leased"),
            models.Index(fields=["connection"], condition=Q(state="running"), name="operation_running"),
            models.Index(fields=["begun_at"], name="operation_begun"),
            models.Index(fields=["next_attempt_at"], condition=Q(state="checking"), name="operation_checking"),
            models.Index(fields=["merchant", "id"], condition=Q(state="needs_person"), name="operation_needs_person"),
            models.Index(fields=["merchant", "-asked_at", "-id"], name="operation_newest"),
            models.Index(
                fields=["merchant", "-asked_at", "-id"],
                condition=Q(state__in=(OperationState.REFUSED, OperationState.FAILED)),
                name="operation_not_done",
            ),
            models.Index(
                fields=["merchant", "-asked_at", "-id"],
                condition=Q(settled_by__in=("balance", "record", "resending", "person")),
                name="operation_settled_later",
            ),
            models.Index(fields=["original"], condition=Q(original__isnull=False), name="operation_of_original"),
            models.Index(
                fields=["merchant", "provider_reference"],
                condition=Q(provider_reference__gt=""),
                name="operation_by_reference",
            ),
            models.Index(fields=["merchant", "trace"], condition=Q(trace__gt=""), name="operation_by_trace"),
            models.Index(
                fields=["merchant", "till", "asked_at"], condition=Q(till__isnull=False), name="operation_at_till"
            ),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        operation_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("An operation is never deleted.")

    @property
    def reference(self) -> str:
        """Our reference at the provider and on paper: 32 hexadecimal digits."""
        return self.key.hex


class Exchange(models.Model):
    """One call made for an operation, answered or not: redacted evidence, with its timing. Never changed."""

    merchant = models.ForeignKey(Merchant, on_delete=models.DO_NOTHING, db_index=False)
    operation = models.ForeignKey(Operation, on_delete=models.DO_NOTHING, db_index=False)
    purpose = models.CharField(max_length=10, help_text="before, call, check, find, resend or after.")
    attempt = models.PositiveSmallIntegerField()
    at = models.DateTimeField()
    method = models.CharField(max_length=10)
    url = models.CharField(max_length=2000)
    request_headers = models.JSONField()
    request_body = models.TextField()
    status = models.PositiveSmallIntegerField(null=True)
    response_headers = models.JSONField()
    response_body = models.TextField()
    connect_ms = models.PositiveIntegerField()
    total_ms = models.PositiveIntegerField()
    reused = models.BooleanField()
    reason = models.CharField(max_length=40, blank=True)
    cause = models.CharField(
        max_length=40, blank=True, db_default="", help_text="What was wrong with the provider or our access to it."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["merchant", "id"], name="exchange_of_merchant")]
        indexes = [models.Index(fields=["merchant", "operation", "id"], name="exchange_of_operation")]


class CodeRows(WrittenRows["Code"]):
    """Codes."""

    writer = code_writer


class Code(models.Model):
    """What a customer scans, made by the operation it belongs to. Whoever has the address has what it gives, and it has
    to be shown: so it stands here in the open for as long as that, and is erased afterwards.

    What became of it is read from here and from the operations that would cancel it, see portal/codes/states.py.
    """

    merchant = models.ForeignKey(Merchant, on_delete=models.DO_NOTHING, db_index=False)
    operation = models.OneToOneField(Operation, on_delete=models.DO_NOTHING, help_text="That made it.")
    address = models.CharField(max_length=500, blank=True, help_text="What is scanned; erased when that is over.")
    made_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True, help_text="When the provider told that somebody has claimed it.")
    claimed_points = models.BigIntegerField(null=True, help_text="What that gave, where it told.")

    objects = CodeRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="code_of_merchant"),
            models.CheckConstraint(
                condition=Q(claimed_at=None) | Q(address=""), name="code_is_not_shown_once_it_is_claimed"
            ),
            models.CheckConstraint(
                condition=Q(claimed_points=None) | Q(claimed_at__isnull=False, claimed_points__gte=0),
                name="code_gives_points_when_claimed",
            ),
        ]
        indexes = [models.Index(fields=["made_at"], condition=~Q(address=""), name="code_shown")]

    def save(self, *args: Any, **kwargs: Any) -> None:
        code_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("A code is never deleted.")


class CaseRows(WrittenRows["Case"]):
    """Cases."""

    writer = case_writer


class Case(models.Model):
    """An operation that is done, and a card's balance that does not fit it. It changes nothing about the operation,
    which holds what was paid in before and what was loaded; once it is closed nothing about it changes."""

    merchant = models.ForeignKey(Merchant, on_delete=models.DO_NOTHING, db_index=False)
    operation = models.OneToOneField(Operation, on_delete=models.DO_NOTHING)
    answered_minor = models.BigIntegerField(
        null=True, help_text="What is paid in by the answer that said Done, in minor units, where it told."
    )
    read_minor = models.BigIntegerField(null=True, help_text="What is paid in by the card's balance, read afterwards.")
    read_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(Person, null=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False)
    reason = models.CharField(max_length=500, blank=True, help_text="How it was seen to.")

    objects = CaseRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="case_of_merchant"),
            models.CheckConstraint(
                condition=Q(read_minor=None, read_at=None) | Q(read_minor__isnull=False, read_at__isnull=False),
                name="case_read_at_a_moment",
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None, closed_by=None, reason="")
                | (Q(closed_at__isnull=False, closed_by__isnull=False) & ~Q(reason="")),
                name="case_closed_by_somebody_with_a_reason",
            ),
        ]
        indexes = [models.Index(fields=["merchant", "id"], condition=Q(closed_at=None), name="case_open")]

    def save(self, *args: Any, **kwargs: Any) -> None:
        case_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("A case is never deleted.")


class CallCount(models.Model):
    """How many calls a connection made in one hour that ended alike and took about as long. Written by health.py.

    `cause` is empty for a call that was answered: a refusal by the provider is an answer, too. `bucket` is the length:
    the call took at most 2^(bucket/2) milliseconds, and longer than the bucket before.
    """

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    hour = models.DateTimeField(help_text="Its beginning, a full hour of UTC.")
    cause = models.CharField(max_length=40, blank=True, help_text="connectors.base.Reason, or ours.")
    bucket = models.PositiveSmallIntegerField()
    calls = models.PositiveIntegerField()
    last_at = models.DateTimeField()
    example = models.BigIntegerField(null=True, help_text="An operation of which one was such a call.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="call_count_of_merchant"),
            models.UniqueConstraint(fields=["connection", "hour", "cause", "bucket"], name="call_count_once"),
        ]
        indexes = [
            models.Index(fields=["merchant", "hour"], name="call_count_newest"),
            models.Index(fields=["hour"], name="call_count_oldest"),
        ]


class Folded(models.Model):
    """Up to which row something has been counted. Moved in the transaction that counts."""

    name = models.CharField(max_length=20, primary_key=True)
    up_to = models.BigIntegerField()


class ShiftRows(WrittenRows["Shift"]):
    """Shifts."""

    writer = shift_writer


class Shift(models.Model):
    """A person's time at a till. Once it has ended nothing about it changes; its sums are read from the operations."""

    merchant = models.ForeignKey(Merchant, on_delete=models.DO_NOTHING)
    till = models.ForeignKey(Till, on_delete=models.DO_NOTHING)
    person = models.ForeignKey(Person, on_delete=models.DO_NOTHING, related_name="+")
    key = models.UUIDField(default=uuid.uuid4, editable=False)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=500, blank=True, help_text="For whoever comes next.")

    objects = ShiftRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="shift_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "key"], name="shift_key_once"),
            models.UniqueConstraint(fields=["till", "person"], condition=Q(ended_at=None), name="shift_running_once"),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=models.F("started_at")), name="shift_ends_after_it_starts"
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "-id"], name="shift_newest"),
            models.Index(fields=["merchant", "till", "-ended_at"], name="shift_of_till"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        shift_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("A shift is never deleted.")


class LimitRows(WrittenRows["Limit"]):
    """Limits."""

    writer = limit_writer


class Limit(models.Model):
    """The most that one role moves alone with one kind of operation. Where there is no row there is no limit."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    role = models.CharField(max_length=20, help_text="merchants.roles.Role.")
    verb = models.CharField(max_length=20, help_text="connectors.base.VERBS.")
    most = models.BigIntegerField(help_text="Minor units of the merchant's currency, or points.")

    objects = LimitRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="limit_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "role", "verb"], name="limit_once"),
            models.CheckConstraint(condition=Q(most__gte=0, most__lte=10**9), name="limit_in_range"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        limit_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        limit_writer.require()
        return super().delete(*args, **kwargs)


class ApprovalState(models.TextChoices):
    """Where a wish above somebody's limit stands."""

    PENDING = "pending", _("Needs a second person")
    APPROVED = "approved", _("Approved")
    REFUSED = "refused", _("Refused")
    WITHDRAWN = "withdrawn", _("Taken back")
    EXPIRED = "expired", _("Expired")


class ApprovalRows(WrittenRows["Approval"]):
    """Approvals."""

    writer = approval_writer


class Approval(models.Model):
    """A wish above the asker's limit, put before a second person. Approved, it becomes the operation of the same key.

    Holds what that operation will hold, field by field (operations.ASKED); `sealed_input` is sealed for the operation
    already and leaves this row when it is over.
    """

    KEYED_HASHES: ClassVar = {
        "fingerprint": "state = 'pending' OR asked_at > statement_timestamp() - interval '1 day'",
    }

    merchant = models.ForeignKey(Merchant, on_delete=models.DO_NOTHING)
    connection = models.ForeignKey(Connection, on_delete=models.DO_NOTHING)
    card = models.ForeignKey(Card, null=True, on_delete=models.DO_NOTHING)
    original = models.ForeignKey(Operation, null=True, on_delete=models.DO_NOTHING, related_name="+")
    key = models.UUIDField(editable=False)
    verb = models.CharField(max_length=20, help_text="connectors.base.VERBS.")
    amount_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    points = models.BigIntegerField(null=True)
    also_activate = models.BooleanField(default=False)
    basket = models.JSONField(null=True)
    load_minor = models.BigIntegerField(null=True)
    extra = models.JSONField(default=dict)
    sealed_input = models.BinaryField(null=True)
    fingerprint = models.BinaryField(help_text="Keyed hash of all that was asked, as the operation's.")
    asked_by = models.ForeignKey(Person, on_delete=models.DO_NOTHING, related_name="+")
    till = models.ForeignKey(Till, null=True, on_delete=models.DO_NOTHING, related_name="+")
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="Not approved by then, it never is.")

    state = models.CharField(max_length=20, choices=ApprovalState.choices, default=ApprovalState.PENDING)
    decided_by = models.ForeignKey(Person, null=True, on_delete=models.DO_NOTHING, related_name="+")
    reason = models.CharField(max_length=500, blank=True, help_text="What the second person said, if anything.")
    ended_at = models.DateTimeField(null=True)

    objects = ApprovalRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="approval_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "key"], name="approval_key_once"),
            models.CheckConstraint(condition=Q(state__in=ApprovalState.values), name="approval_state_known"),
            _basket_of_a_sale("approval"),
            _basket_is_short("approval"),
            models.CheckConstraint(
                condition=Q(state__in=("approved", "refused"), decided_by__isnull=False)
                | (~Q(state__in=("approved", "refused")) & Q(decided_by=None)),
                name="approval_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=F("asked_by")), name="approval_never_by_the_asker"
            ),
            models.CheckConstraint(
                condition=Q(state="pending", ended_at=None)
                | (~Q(state="pending") & Q(ended_at__isnull=False, sealed_input=None)),
                name="approval_keeps_no_secret_after_the_end",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "id"], condition=Q(state="pending"), name="approval_pending"),
            models.Index(fields=["expires_at"], condition=Q(state="pending"), name="approval_expiring"),
            models.Index(fields=["card"], condition=Q(state="pending"), name="approval_of_card"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        approval_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("An approval is never deleted.")

    @property
    def reference(self) -> str:
        """What the operation's reference will be: 32 hexadecimal digits."""
        return self.key.hex


class SavedViewRows(WrittenRows["SavedView"]):
    """Saved views."""

    writer = view_writer


class SavedView(models.Model):
    """One person's name for a way of narrowing a list, at one merchant. `query` is what the list's address says."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, db_index=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    key = models.UUIDField(default=uuid.uuid4, editable=False)
    page = models.CharField(max_length=20, help_text="The list: the name of its address.")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000, blank=True)
    is_start = models.BooleanField(default=False, help_text="Shown where the list is opened without saying how.")

    objects = SavedViewRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="view_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "key"], name="view_key_once"),
            models.UniqueConstraint(fields=["merchant", "person", "page", "name"], name="view_name_once"),
            models.UniqueConstraint(
                fields=["merchant", "person", "page"], condition=Q(is_start=True), name="view_starts_once"
            ),
            models.CheckConstraint(condition=Q(page__in=("operations", "cards")), name="view_of_a_list"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        view_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        view_writer.require()
        return super().delete(*args, **kwargs)
