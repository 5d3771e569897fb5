"""What a merchant decides about its public page. The only writer of BalancePage."""

from collections.abc import Mapping

from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest

from portal.merchants import access, audit
from portal.merchants.audit import Value
from portal.merchants.models import Member
from portal.merchants.roles import Permission
from portal.shopper.models import BalancePage, page_writer

DECIDED = (
    *("is_open", "contact", "colour", "last_digits", "number_length", "in_sequence", "cards_in_use"),
    *("pin_length", "pin_letters", "finds_a_year"),
)
LOGO_BYTES = 40_000  # the whole page stays below 100 kB
LOGOS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


class NoPicture(Exception):
    """These bytes are no small PNG, JPEG or WebP."""


@page_writer.writes
def change(
    member: Member,
    decided: Mapping[str, Value],
    *,
    logo: bytes | None = None,
    without_logo: bool = False,
    request: HttpRequest | None = None,
) -> bool:
    """Make it so; a page that was not there is made. `logo` replaces the one there is. False where nothing changed.

    Raises NoPicture, PermissionDenied.
    """
    kind = _kind(logo) if logo else ""
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.MANAGE_BALANCE_PAGE)
        page, is_new = BalancePage.objects.select_for_update().get_or_create(merchant=member.merchant)
        before = {name: getattr(page, name) for name in DECIDED} | {"logo": bool(page.logo)}
        for name in DECIDED:
            setattr(page, name, decided.get(name, getattr(page, name)))
        if logo or without_logo:
            page.logo, page.logo_type = logo, kind
        page.save()
        after = {name: getattr(page, name) for name in DECIDED} | {"logo": bool(page.logo)}
        changes = {name: (before[name], value) for name, value in after.items() if value != before[name]}
        if changes or is_new or logo:
            _note("balance page changed", member, request, changes)
    return bool(changes or logo)


@page_writer.writes
def open_again(member: Member, *, request: HttpRequest | None = None) -> None:
    """Let the wrong tries so far no longer close the page. Raises PermissionDenied."""
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.MANAGE_BALANCE_PAGE)
        if BalancePage.objects.filter(merchant=member.merchant_id).update(forgiven_at=Now()):
            _note("balance page opened again", member, request, {})


def _note(verb: str, member: Member, request: HttpRequest | None, changes: Mapping[str, tuple[Value, Value]]) -> None:
    audit.record(
        verb, member.merchant.name, merchant=member.merchant, person=member.person, request=request, changes=changes
    )


def _kind(logo: bytes) -> str:
    kind = next((kind for begins, kind in LOGOS.items() if logo.startswith(begins)), "")
    if not kind or len(logo) > LOGO_BYTES or (kind == "image/webp" and logo[8:12] != b"WEBP"):
        raise NoPicture
    return kind
