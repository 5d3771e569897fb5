"""Who: people, merchants, their stores and members, their connections to providers, and the trail of what was done."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from portal.merchants.roles import Role
from portal.merchants.writers import Writer, WrittenRows

draft_writer = Writer("portal.merchants.connecting")
host_writer = Writer("portal.merchants.hosts")
daily_limit_writer = Writer("portal.merchants.daily_limits")
invitation_writer = Writer("portal.merchants.invitations")
pause_writer = Writer("portal.merchants.pauses")
pin_writer = Writer("portal.merchants.pins")
switch_writer = Writer("portal.merchants.switches")
token_writer = Writer("portal.merchants.provider_tokens")
till_writer = Writer("portal.merchants.tills")


class PersonManager(BaseUserManager["Person"]):
    """Makes people; they sign in by e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "Person":
        person = self.model(email=self.normalize_email(email).lower(), **fields)
        person.set_password(password)
        person.save(using=self._db)
        return person

    def create_superuser(self, email: str, password: str, **fields: Any) -> "Person":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class Person(AbstractBaseUser, PermissionsMixin):
    """Somebody who signs in. What they may do at a merchant stands in Member, not here."""

    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=100)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False, help_text="May enter the administration.")
    language = models.CharField(
        max_length=10, blank=True, help_text="Chosen for all pages and mails; empty: whatever the browser asks for."
    )
    joined_at = models.DateTimeField(auto_now_add=True)
    single_keys = models.BooleanField(default=True, help_text="Whether single letters on the keyboard do something.")
    sessions_ended = models.PositiveIntegerField(default=0, help_text="Counting it up ends every session.")

    objects: ClassVar[PersonManager] = PersonManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(email=Lower("email")), name="email_is_lower_case")]

    def __str__(self) -> str:
        return self.name

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What Django signs each session of this person with; a session signed otherwise is over."""
        salt = "portal.merchants.models.Person.sessions"
        return salted_hmac(
            salt, f"{self.sessions_ended}:{self.password}", secret=secret, algorithm="sha256"
        ).hexdigest()


class BrowserSession(models.Model):
    """One browser in which a person is signed in, or lately was. Written by sessions.py."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE)
    session_key = models.CharField(max_length=40)
    begun_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(auto_now_add=True)
    address = models.GenericIPAddressField(null=True)
    browser = models.CharField(max_length=200, blank=True, help_text="Its User-Agent.")

    class Meta:
        indexes = [models.Index(fields=["person", "-seen_at"], name="sessions_of_person")]


class Merchant(models.Model):
    """A business whose cards run at outside providers. Everything else of it hangs below this row."""

    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=50, unique=True, help_text="Its place in our addresses.")
    currency = models.CharField(max_length=3, help_text="ISO 4217.")
    time_zone = models.CharField(max_length=50, help_text="IANA name; every date of the merchant is in it.")
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166 alpha-2.")
    language = models.CharField(max_length=10, default="en", help_text="Of its papers, and of mails to customers.")
    founded_at = models.DateTimeField(auto_now_add=True)
    second_person_from = models.BigIntegerField(
        null=True, blank=True, help_text="Minor units: from here on a decision by hand needs two people."
    )
    lock_after_seconds = models.PositiveSmallIntegerField(
        default=120, help_text="A till that nobody touches for so long locks itself."
    )
    first_look_up_at = models.DateTimeField(null=True, blank=True, help_text="Look-ups themselves are not kept.")
    first_steps_closed_at = models.DateTimeField(null=True, blank=True, help_text="Their list is shown no more.")
    second_person_from_points = models.BigIntegerField(null=True, blank=True, help_text="The same, for points.")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(country__regex=r"^([A-Z]{2})?$"), name="merchant_country_is_a_code")
        ]

    def __str__(self) -> str:
        return self.name


class Store(models.Model):
    """A place where the merchant sells."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    key = models.UUIDField(
        db_default=RandomUUID(), unique=True, editable=False, help_text="Its place in our addresses."
    )
    name = models.CharField(max_length=100)
    address = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="store_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "name"], name="store_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class Member(models.Model):
    """A person at a merchant, in one role."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    person = models.ForeignKey(Person, on_delete=models.CASCADE)
    key = models.UUIDField(
        db_default=RandomUUID(), unique=True, editable=False, help_text="Its place in our addresses."
    )
    role = models.CharField(max_length=20, choices=Role.choices)
    since = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(null=True, blank=True, help_text="Their last page here, to within a few minutes.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="member_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "person"], name="member_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="member_role_known"),
        ]


class InvitationState(models.TextChoices):
    """All but the first are final."""

    PENDING = "pending", _("Waiting")
    ACCEPTED = "accepted", _("Accepted")
    DECLINED = "declined", _("Declined")
    REVOKED = "revoked", _("Withdrawn")
    REPLACED = "replaced", _("Sent anew")


class InvitationRows(WrittenRows["Invitation"]):
    """Invitations."""

    writer = invitation_writer


class Invitation(models.Model):
    """One mail that invites one address to a merchant in one role. Sent anew, it is another row with another link.

    Of the link's token only a keyed hash is kept.
    """

    KEYED_HASHES: ClassVar = {"token_hash": "state = 'pending' AND expires_at > statement_timestamp()"}

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    email = models.EmailField()
    role = models.CharField(max_length=20, choices=Role.choices)
    token_hash = models.BinaryField(unique=True, help_text="vault.token_hash of what stands in the link.")
    invited_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="invitations_sent")
    invited_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=20, choices=InvitationState.choices, default=InvitationState.PENDING)
    ended_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="invitations_accepted")

    objects = InvitationRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="invitation_of_merchant"),
            models.UniqueConstraint(
                fields=["merchant", "email"], condition=Q(state="pending"), name="invitation_pending_once"
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_known"),
            models.CheckConstraint(condition=Q(state__in=InvitationState.values), name="invitation_state_known"),
            models.CheckConstraint(condition=Q(email=Lower("email")), name="invitation_email_is_lower_case"),
            models.CheckConstraint(
                condition=Q(state="accepted", accepted_by__isnull=False)
                | ~Q(state="accepted") & Q(accepted_by__isnull=True),
                name="invitation_accepted_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["merchant", "invited_at"], name="invitation_of_a_day")]

    def save(self, *args: Any, **kwargs: Any) -> None:
        invitation_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        invitation_writer.require()
        return super().delete(*args, **kwargs)


class Environment(models.TextChoices):
    """Whether a connection moves real value. Nobody must ever confuse the two."""

    SANDBOX = "sandbox", _("sandbox")
    LIVE = "live", _("live")


class Connection(models.Model):
    """A merchant's account at a provider: which one, how to reach it, and what it lets us do.

    `options` holds the settings that are no secret, as the provider's connector names them; `sealed_secrets` is a
    box of the others as JSON, which only workers can open. `provider` is a connector's slug: deliberately not a list
    of choices, so that a new provider needs no migration.
    """

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    provider = models.CharField(max_length=30)
    name = models.CharField(max_length=100)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    options = models.JSONField(default=dict)
    sealed_secrets = models.BinaryField()
    paused_at = models.DateTimeField(null=True, blank=True, help_text="Not asked until somebody resumes it.")
    pause_reason = models.CharField(max_length=200, blank=True, help_text="Our word for why, or what a person said.")
    held_until = models.DateTimeField(null=True, blank=True, help_text="The provider asked us to wait until then.")
    concurrency = models.PositiveSmallIntegerField(default=8, help_text="Operations under way at once, at most.")
    per_second = models.PositiveSmallIntegerField(default=20, help_text="Operations begun in a second, at most.")
    only_this_desk = models.BooleanField(
        default=False, help_text="Nobody else moves these cards, so a balance that changed by our amount proves it."
    )
    reads_balance_first = models.BooleanField(
        default=True, help_text="One more call before each operation: the evidence if its answer is lost."
    )
    public_use = models.BooleanField(default=False, help_text="The public balance page may ask it.")
    secret_notes = models.JSONField(
        default=dict, help_text="Of each secret what its owner knows it by, and who set it when: credentials.Note."
    )
    used_at = models.DateTimeField(null=True, blank=True, help_text="When a worker last used it, to within minutes.")
    added_at = models.DateTimeField(db_default=Now())
    certificate_until = models.DateTimeField(
        null=True, blank=True, help_text="When the certificate ends that the provider's server last showed."
    )
    credentials_until = models.DateField(
        null=True, blank=True, help_text="The last day its credentials serve, where the provider told the merchant one."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="connection_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "name"], name="connection_name_once"),
            models.CheckConstraint(
                condition=Q(environment__in=Environment.values), name="connection_environment_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TokenRows(WrittenRows["ProviderToken"]):
    """Providers' access tokens."""

    writer = token_writer


class ProviderToken(models.Model):
    """The access token a provider gave for some credentials of a merchant, shared by all who call with them.

    `credential` is a keyed hash of whatever makes one token another: the provider, its address, who we are, our secret.
    Other credentials have another row, so a token never outlives a change of them.
    """

    KEYED_HASHES: ClassVar = {"credential": "expires_at > statement_timestamp()"}

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    key = models.UUIDField(default=uuid.uuid4, editable=False)
    provider = models.CharField(max_length=30)
    credential = models.BinaryField()
    sealed_token = models.BinaryField(null=True)
    expires_at = models.DateTimeField(null=True, help_text="A little before the provider's own end of it.")
    fetching_until = models.DateTimeField(null=True, help_text="Until then somebody fetches it and the others wait.")

    objects = TokenRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="provider_token_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "credential"], name="provider_token_once"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        token_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        token_writer.require()
        return super().delete(*args, **kwargs)


class ServedStore(models.Model):
    """A connection serves this store. A connection without any serves all of them, those to come included."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE)
    store = models.ForeignKey(Store, on_delete=models.CASCADE)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="served_store_of_merchant"),
            models.UniqueConstraint(fields=["connection", "store"], name="served_store_once"),
        ]


class DraftState(models.TextChoices):
    """Where a draft stands. Whatever is typed takes it back to the first."""

    TYPING = "typing", _("Being filled in")
    WAITING = "waiting", _("Waiting for its test")
    ASKING = "asking", _("Being tested")
    PASSED = "passed", _("Connected")
    FAILED = "failed", _("Did not pass its test")


class DraftRows(WrittenRows["ConnectionDraft"]):
    """Drafts of connections."""

    writer = draft_writer


class ConnectionDraft(models.Model):
    """What somebody types to connect a provider, or to change what a connection tells it. It becomes a connection, or
    takes the place of what the connection has, when a worker has tested it and not before.

    `typed` holds the settings that are no secret, as they were typed. Each secret is sealed by itself when it arrives,
    so that the web never has two of them at once to open; all of them are erased when the test has passed.
    """

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    key = models.UUIDField(default=uuid.uuid4, editable=False, help_text="The new connection's key, too.")
    provider = models.CharField(max_length=30)
    connection = models.ForeignKey(
        Connection, null=True, on_delete=models.CASCADE, help_text="Which one is changed, or what became of it."
    )
    author = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, help_text="Who asked for the test last.")
    name = models.CharField(max_length=100, blank=True)
    environment = models.CharField(max_length=10, choices=Environment.choices, default=Environment.SANDBOX)
    shop_named = models.BooleanField(default=False, help_text="Somebody typed the shop's name: live is meant.")
    typed = models.JSONField(default=dict)
    sealed = models.JSONField(default=dict, help_text="{secret: its box in base64}")
    notes = models.JSONField(default=dict, help_text="{secret: credentials.Note}")
    sealed_secrets = models.BinaryField(
        null=True, help_text="All of them, sealed for the connection to come: where its provider was away at the test."
    )
    changed_at = models.DateTimeField(help_text="It is erased some days after.")

    state = models.CharField(max_length=20, choices=DraftState.choices, default=DraftState.TYPING)
    findings = models.JSONField(default=list, help_text="What the doctor found so far, in the order of its steps.")
    woken_at = models.DateTimeField(null=True, help_text="Ready for a worker since.")
    attempt = models.PositiveIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0, help_text="Workers that took this test on.")
    lease_until = models.DateTimeField(null=True, help_text="A worker silent until then is taken for dead.")

    objects = DraftRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="draft_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "key"], name="draft_key_once"),
            models.CheckConstraint(condition=Q(state__in=DraftState.values), name="draft_state_known"),
            models.CheckConstraint(condition=Q(environment__in=Environment.values), name="draft_environment_known"),
            models.CheckConstraint(
                condition=Q(state="asking", lease_until__isnull=False)
                | ~Q(state="asking") & Q(lease_until__isnull=True),
                name="draft_leased_while_asking",
            ),
            models.CheckConstraint(
                condition=~Q(state="passed") | Q(sealed={}, sealed_secrets=None, connection__isnull=False),
                name="draft_keeps_no_secret_after_it_passed",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("waiting", "asking"), environment="live") | Q(shop_named=True),
                name="draft_live_is_meant",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "-changed_at"], name="draft_newest"),
            models.Index(fields=["woken_at"], condition=Q(state="waiting"), name="draft_waiting"),
            models.Index(fields=["lease_until"], condition=Q(state="asking"), name="draft_leased"),
            models.Index(fields=["changed_at"], name="draft_oldest"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        draft_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        draft_writer.require()
        return super().delete(*args, **kwargs)

    @property
    def pending(self) -> bool:
        """Whether its test is still to end without anybody doing anything."""
        return self.state in (DraftState.WAITING, DraftState.ASKING)

    @property
    def is_change(self) -> bool:
        """Whether it changes a connection that was there before."""
        return self.connection is not None and self.connection.key != self.key


class AuditEntry(models.Model):
    """One line of the trail: who did what, when and from where. Written by audit.py, changed by nobody."""

    # Without an index of its own: every index below begins with it.
    merchant = models.ForeignKey(Merchant, null=True, on_delete=models.DO_NOTHING, db_index=False)
    at = models.DateTimeField(auto_now_add=True)
    person = models.ForeignKey(Person, null=True, on_delete=models.DO_NOTHING)
    verb = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=40, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["merchant", "-at", "-id"], name="audit_newest"),
            models.Index(fields=["merchant", "person", "-at", "-id"], name="audit_of_person"),
            models.Index(fields=["merchant", "verb", "-at", "-id"], name="audit_of_verb"),
            models.Index(fields=["merchant", "subject", "-at", "-id"], name="audit_of_subject"),
            models.Index(fields=["request_id"], condition=Q(request_id__gt=""), name="audit_of_request"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise TypeError("A line of the trail is never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("A line of the trail is never deleted.")


class PinRows(WrittenRows["Pin"]):
    """PINs."""

    writer = pin_writer


class Pin(models.Model):
    """A member's PIN for the merchant's tills, kept so that nobody can read it. Removing the member removes it."""

    KEYED_HASHES: ClassVar = {"hash": "true"}

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    member = models.OneToOneField(Member, on_delete=models.CASCADE)
    key = models.UUIDField(default=uuid.uuid4, editable=False)
    hash = models.CharField(max_length=200, help_text="Slow hash of a keyed hash; the key stands outside the database.")
    set_at = models.DateTimeField()
    failures = models.PositiveSmallIntegerField(default=0, help_text="Wrong tries since the last right one.")
    blocked_until = models.DateTimeField(null=True)
    dead_at = models.DateTimeField(null=True, help_text="Too many wrong tries: dead until the person signs in.")

    objects = PinRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="pin_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "key"], name="pin_key_once"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        pin_writer.require()
        super().save(*args, **kwargs)


class TillRows(WrittenRows["Till"]):
    """Tills."""

    writer = till_writer


class Till(models.Model):
    """A browser that several cashiers share, and who is at it now.

    The browser proves that it is the till by a token of which only a keyed hash stands here. It is unlocked for
    `cashier` as long as the browser's session knows what `unlock_verifier` is the keyed hash of.
    """

    KEYED_HASHES: ClassVar = {
        "token_verifier": "ended_at IS NULL",
        "unlock_verifier": "unlocked_at > statement_timestamp() - interval '12 hours'",
    }

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    store = models.ForeignKey(Store, on_delete=models.PROTECT)
    key = models.UUIDField(default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=60)
    token_verifier = models.BinaryField()
    opened_at = models.DateTimeField()
    opened_by = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, related_name="+")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, related_name="+")

    cashier = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, related_name="+")
    last_cashier = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, related_name="+")
    unlock_verifier = models.BinaryField(null=True)
    unlocked_at = models.DateTimeField(null=True)
    active_at = models.DateTimeField(help_text="When somebody last did something here.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Wrong PINs, whoever's, since the last right one.")
    blocked_until = models.DateTimeField(null=True)

    objects = TillRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="till_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "key"], name="till_key_once"),
            models.UniqueConstraint(fields=["merchant", "name"], condition=Q(ended_at=None), name="till_name_once"),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(cashier=None, unlock_verifier=None), name="till_locked_when_ended"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        till_writer.require()
        super().save(*args, **kwargs)


class HostState(models.TextChoices):
    """Whether a merchant's provider may be called at a host that is not among the provider's own."""

    WAITING = "waiting", _("Waiting for an administrator")
    APPROVED = "approved", _("Approved")
    REFUSED = "refused", _("Refused")
    WITHDRAWN = "withdrawn", _("Withdrawn")


class HostApprovalRows(WrittenRows["HostApproval"]):
    """Approvals of hosts."""

    writer = host_writer


class HostApproval(models.Model):
    """A merchant's wish to reach a provider at a host of its own, and what an administrator said. See hosts.py.

    Asked anew after a refusal it is another row.
    """

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    provider = models.CharField(max_length=30)
    origin = models.CharField(max_length=300, help_text="scheme://host[:port], in the spelling of addresses.origin.")
    reason = models.CharField(max_length=500, blank=True, help_text="Why the merchant needs it.")
    asked_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=20, choices=HostState.choices, default=HostState.WAITING)
    decided_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=500, blank=True, help_text="What the administrator says about it.")

    objects = HostApprovalRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="host_approval_of_merchant"),
            models.UniqueConstraint(
                fields=["merchant", "provider", "origin"],
                condition=Q(state__in=["waiting", "approved"]),
                name="host_asked_once",
            ),
            models.CheckConstraint(condition=Q(state__in=HostState.values), name="host_state_known"),
            models.CheckConstraint(
                condition=Q(state="waiting", decided_at=None)
                | ~Q(state="waiting") & Q(decided_at__isnull=False, decided_by__isnull=False),
                name="host_decided_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["asked_at"], condition=Q(state="waiting"), name="hosts_that_wait")]

    def __str__(self) -> str:
        return self.origin

    def save(self, *args: Any, **kwargs: Any) -> None:
        host_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        host_writer.require()
        return super().delete(*args, **kwargs)


class LimitKind(models.TextChoices):
    """What is counted over 24 hours."""

    MAILS = "mails", _("Mails")
    INVITATIONS = "invitations", _("Invitations")


class LimitState(models.TextChoices):
    """Where a daily limit stands. What is approved holds, until it has ended."""

    WAITING = "waiting", _("Waiting for an administrator")
    APPROVED = "approved", _("Holds")
    REFUSED = "refused", _("Refused")
    WITHDRAWN = "withdrawn", _("Withdrawn")
    ENDED = "ended", _("Ended")


class DailyLimitRows(WrittenRows["DailyLimit"]):
    """Daily limits."""

    writer = daily_limit_writer


class DailyLimit(models.Model):
    """How much of something one merchant may do in 24 hours, other than the installation's own number. See
    daily_limits.py.
    """

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=20, choices=LimitKind.choices)
    most = models.PositiveIntegerField()
    reason = models.CharField(max_length=300, blank=True, help_text="Why the merchant needs it.")
    asked_by = models.ForeignKey(
        Person, on_delete=models.PROTECT, related_name="+", help_text="Of the merchant, or who set it unasked."
    )
    asked_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=20, choices=LimitState.choices, default=LimitState.WAITING)
    decided_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=300, blank=True, help_text="What the administrator says about it.")

    objects = DailyLimitRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="daily_limit_of_merchant"),
            models.UniqueConstraint(
                fields=["merchant", "kind"], condition=Q(state="waiting"), name="daily_limit_asked_once"
            ),
            models.UniqueConstraint(
                fields=["merchant", "kind"], condition=Q(state="approved"), name="daily_limit_holds_once"
            ),
            models.CheckConstraint(condition=Q(kind__in=LimitKind.values), name="daily_limit_kind_known"),
            models.CheckConstraint(condition=Q(state__in=LimitState.values), name="daily_limit_state_known"),
            models.CheckConstraint(condition=Q(most__gte=1), name="daily_limit_leaves_something"),
            models.CheckConstraint(
                condition=Q(state="waiting", decided_at=None)
                | ~Q(state="waiting") & Q(decided_at__isnull=False, decided_by__isnull=False),
                name="daily_limit_decided_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["asked_at"], condition=Q(state="waiting"), name="daily_limits_that_wait")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.most}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        daily_limit_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        daily_limit_writer.require()
        return super().delete(*args, **kwargs)


class PauseRows(WrittenRows["Pause"]):
    """Pauses."""

    writer = pause_writer


class Pause(models.Model):
    """A time in which a connection is not asked: what is accepted waits and runs, in order, when it ends.

    Begun by a person, who may set when it ends by itself, or by the machine (`begun_by` is none), when a provider
    refuses our key; that one only a person ends. While it lasts the connection carries `paused_at` and `pause_reason`,
    so that claiming and pages need no look here.
    """

    # Without indexes of their own: the constraints and indexes below begin with them.
    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    key = models.UUIDField(default=uuid.uuid4, editable=False)
    reason = models.CharField(max_length=200, help_text="Our word for why, or what a person said.")
    address = models.CharField(max_length=500, blank=True, help_text="Where our key was refused.")
    begun_by = models.ForeignKey(Person, null=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False)
    begun_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, help_text="It ends by itself then.")
    ended_by = models.ForeignKey(Person, null=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False)
    ended_at = models.DateTimeField(null=True)
    first_held = models.BigIntegerField(null=True, help_text="The first operation that waited when it ended.")
    last_held = models.BigIntegerField(null=True, help_text="The last one.")

    objects = PauseRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="pause_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "key"], name="pause_key_once"),
            models.UniqueConstraint(fields=["connection"], condition=Q(ended_at=None), name="pause_under_way_once"),
            models.CheckConstraint(
                condition=Q(begun_by__isnull=False) | Q(expires_at=None), name="pause_by_the_machine_does_not_expire"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, ended_by=None)
                | Q(ended_at__gte=models.F("begun_at"))
                # A sandbox that moved takes its connections along, and what paused because of it.
                & (Q(ended_by__isnull=False) | Q(expires_at__isnull=False) | Q(reason="address_refused")),
                name="pause_ends_by_a_person_or_as_said",
            ),
        ]
        indexes = [
            models.Index(fields=["connection", "-begun_at"], name="pause_newest"),
            models.Index(fields=["expires_at"], condition=Q(ended_at=None), name="pause_expiring"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        pause_writer.require()
        super().save(*args, **kwargs)


class Scope(models.TextChoices):
    """What an administrator switches off."""

    PROVIDER = "provider", _("A provider")
    CONNECTION = "connection", _("One connection")
    VERB = "verb", _("One kind of operation")
    PUBLIC_PAGE = "public_page", _("The public balance page")


class SwitchRows(WrittenRows["Switch"]):
    """Switches."""

    writer = switch_writer


class Switch(models.Model):
    """Something an administrator has switched off, until they switch it on again or its time has come.

    A merchant sees those for everybody, and its own; `merchant` is set with `connection`, and for the public page of
    one merchant. A kind of operation is switched off at one provider, or where `provider` is empty at all of them.
    """

    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    scope = models.CharField(max_length=20, choices=Scope.choices)
    provider = models.CharField(max_length=30, blank=True)
    verb = models.CharField(max_length=20, blank=True, help_text="connectors.base.VERBS.")
    merchant = models.ForeignKey(Merchant, null=True, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, null=True, on_delete=models.CASCADE)
    reason = models.CharField(max_length=300, help_text="For the other administrators.")
    banner = models.CharField(max_length=200, help_text="For whoever stands at a till.")
    thrown_by = models.ForeignKey(Person, on_delete=models.DO_NOTHING, related_name="+", db_index=False)
    thrown_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, help_text="It is switched on again by itself then.")
    ended_by = models.ForeignKey(Person, null=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False)
    ended_at = models.DateTimeField(null=True)

    objects = SwitchRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="switch_of_merchant"),
            models.UniqueConstraint(
                fields=["scope", "provider", "verb"],
                condition=Q(ended_at=None, connection=None, merchant=None),
                name="switch_thrown_once",
            ),
            models.UniqueConstraint(
                fields=["merchant"],
                condition=Q(ended_at=None, scope="public_page", merchant__isnull=False),
                name="switch_of_page_once",
            ),
            models.UniqueConstraint(
                fields=["connection"],
                condition=Q(ended_at=None, connection__isnull=False),
                name="switch_of_connection_once",
            ),
            models.CheckConstraint(
                condition=Q(scope="provider", verb="", connection=None) & ~Q(provider="")
                | Q(scope="connection", provider="", verb="", connection__isnull=False)
                | Q(scope="verb", connection=None) & ~Q(verb="")
                | Q(scope="public_page", provider="", verb="", connection=None),
                name="switch_says_what",
            ),
            models.CheckConstraint(
                condition=Q(connection=None, merchant=None)
                | Q(connection__isnull=False, merchant__isnull=False)
                | Q(scope="public_page", merchant__isnull=False),
                name="switch_of_a_merchant_is_of_a_connection_or_page",
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, ended_by=None)
                | Q(ended_at__gte=models.F("thrown_at")) & (Q(ended_by__isnull=False) | Q(expires_at__isnull=False)),
                name="switch_ends_by_a_person_or_as_said",
            ),
        ]
        # All that is in force, which is little: claiming reads it each time.
        indexes = [models.Index(fields=["id"], condition=Q(ended_at=None), name="switch_in_force")]

    def save(self, *args: Any, **kwargs: Any) -> None:
        switch_writer.require()
        super().save(*args, **kwargs)
