"""Whether a member still may, asked in the transaction that writes: roles change while people work."""

from django.core.exceptions import PermissionDenied

from portal.merchants.models import Member, Merchant, Person
from portal.merchants.roles import Permission, may, who_can


def still_may(member: Member, permission: Permission) -> str:
    """Call inside the transaction that writes: raise PermissionDenied if the person has meanwhile been removed or
    their role lowered, otherwise say the role the row has now. The row is held until the end of the transaction.

    `member.role` counts, too: who came in by a PIN acts in a smaller role than the row's.
    """
    role = (
        Member.objects.select_for_update(no_key=True)
        .filter(pk=member.pk, merchant=member.merchant_id)
        .values_list("role", flat=True)
        .first()
    )
    if role is None or not may(role, permission) or not may(member.role, permission):
        raise PermissionDenied(who_can(permission))
    return role


def still_administers(person: Person) -> None:
    """Call inside the transaction in which an administrator writes: raise PermissionDenied if they are none any more.
    Their row is held until the end of the transaction."""
    rows = Person.objects.select_for_update(no_key=True).filter(pk=person.pk, is_active=True, is_staff=True)
    if not rows.exists():
        raise PermissionDenied


def hold_people(merchant_id: int) -> None:
    """Call first in a transaction that changes who is at a merchant: the others who do so wait until it ends."""
    Merchant.objects.select_for_update(no_key=True).filter(pk=merchant_id).values_list("pk").first()
