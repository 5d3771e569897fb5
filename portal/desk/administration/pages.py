"""All of the administration's pages, for urls.py: each kind of row with what it shows, in reading order."""

from portal.desk.administration import ledger, limits, mails, merchants, people, trail
from portal.desk.administration.rows import Rows
from portal.desk.administration.site import site as site
from portal.ledger.models import Approval, Card, Exchange, Inquiry, Operation
from portal.mail.models import OutgoingMail
from portal.merchants.models import (
    AuditEntry,
    Connection,
    DailyLimit,
    HostApproval,
    Invitation,
    Member,
    Merchant,
    Person,
    Store,
    Till,
)

KINDS: dict[type, type[Rows]] = {
    Merchant: merchants.Merchants,
    Person: people.People,
    Operation: ledger.Operations,
    Connection: merchants.Connections,
    HostApproval: merchants.Hosts,
    DailyLimit: limits.DailyLimits,
    OutgoingMail: mails.Mails,
    AuditEntry: trail.Trail,
    Store: merchants.Stores,
    Member: merchants.Members,
    Invitation: merchants.Invitations,
    Till: merchants.Tills,
    Card: ledger.Cards,
    Exchange: ledger.Exchanges,
    Inquiry: ledger.Inquiries,
    Approval: ledger.Approvals,
}

for _model, _rows in KINDS.items():
    site.register(_model, _rows)
