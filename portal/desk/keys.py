"""The keys that do something, for reading, and the switch for those that are single letters."""

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from portal.desk import frame
from portal.ledger.till import ACTIONS
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Person
from portal.merchants.roles import Permission, may


@dataclass(frozen=True, kw_only=True)
class Key:
    """What one does. `keys` are pressed one after the other, or any of them where `either`."""

    keys: list[str]
    does: str
    either: bool = False


@dataclass(frozen=True, kw_only=True)
class Group:
    """Keys that work in the same place; `single` says that they are letters, which can be switched off."""

    title: str
    single: bool
    keys: list[Key]


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.SEE_DESK)
def keys(request: StaffRequest) -> HttpResponse:
    """The keyboard map, which `?` shows as the fragment `keys`; a post switches single letters on or off."""
    if request.method == "POST":
        wanted = request.POST.get("single_keys") == "on"
        Person.objects.filter(pk=request.person.pk).update(single_keys=wanted)
        said = gettext("Single letters do something again.") if wanted else gettext("Single letters do nothing now.")
        messages.success(request, said)
        return redirect("keys", request.merchant.slug)
    page = {"groups": _groups(request), "single_keys": request.person.single_keys, "keys_url": request.path}
    return render(request, "desk/keys.html" + ("#keys" if request.htmx else ""), page)


def _groups(request: StaffRequest) -> list[Group]:
    at_the_till = may(request.member.role, Permission.LOOK_UP_CARDS)
    anywhere = [
        Key(keys=[gettext("Ctrl K"), "⌘ K"], does=gettext("Search pages, cards, references and people"), either=True),
        Key(keys=[gettext("Esc")], does=gettext("Leave the field, close what is open, or go back")),
    ]
    if at_the_till:
        anywhere += [
            Key(keys=["F2"], does=gettext("To the scan box")),
            Key(keys=[gettext("Ctrl Enter"), gettext("⌘ Enter")], does=gettext("Confirm the sentence"), either=True),
        ]
    if request.till is not None:
        anywhere.append(Key(keys=["F8"], does=gettext("Lock the till")))
    letters = [Key(keys=["?"], does=gettext("Show these keys"))]
    if at_the_till:
        letters.append(Key(keys=["/"], does=gettext("To the scan box")))
    places = [Key(keys=["g", place.go], does=place.label) for place in frame.places(request) if place.go]
    groups = [
        Group(title=gettext("Anywhere"), single=False, keys=anywhere),
        Group(title=gettext("Letters, outside of fields"), single=True, keys=letters + places),
    ]
    if at_the_till:
        on_a_card = [Key(keys=[key], does=str(label)) for _verb, label, key in ACTIONS]
        groups.append(Group(title=gettext("On a card"), single=True, keys=on_a_card))
    return groups
