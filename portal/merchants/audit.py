"""The append-only trail. The database refuses to change or delete a line, for us as for anyone with our login."""

from django.http import HttpRequest

from portal.merchants import tenancy
from portal.merchants.models import AuditEntry, Merchant, Person
from portal.middleware import client_address, current_request_id


def record(
    verb: str,
    subject: str,
    *,
    merchant: Merchant | None,
    person: Person | None = None,
    request: HttpRequest | None = None,
    **detail: str | int | None,
) -> None:
    """Write one line. `verb` is ours (`connection paused`), `subject` names the thing, never a number or a secret.

    Without a person the machine itself is meant.
    """
    line = AuditEntry(
        merchant=merchant,
        person=person,
        verb=verb,
        subject=subject[:200],
        address=client_address(request) if request else None,
        request_id=current_request_id(),
        detail=detail,
    )
    if merchant is None:
        with tenancy.every_merchant("a line of the trail about no merchant is the administrators'"):
            line.save(force_insert=True)
    else:
        line.save(force_insert=True)
