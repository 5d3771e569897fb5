"""Whatever moves money or points takes two beats, on a card's page and where there is no card.

The first post is read and answered with a sentence; nothing is stored. The second, from the sentence, brings the exact
values under the key that was minted when the form was drawn.
"""

import re
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.safestring import SafeString

from portal import formats, languages
from portal.connectors import PROVIDERS
from portal.ledger import (
    approval_pages,
    approval_words,
    approvals,
    basket_forms,
    basket_words,
    limits,
    operations,
    pages,
    predictions,
    till_words,
)
from portal.ledger.models import Card, Operation
from portal.ledger.till_forms import ActionForm
from portal.merchants import connections
from portal.merchants.access import StaffRequest
from portal.merchants.roles import who_can
from portal.money import Money


# ---- The first beat -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Question:
    """The second beat: what will happen, in a sentence, and the exact values behind it."""

    amount: str
    sentence: SafeString
    warnings: list[str]
    second: str
    button: str
    exact: list[tuple[str, str]]
    prediction: predictions.Prediction | None
    short: str = ""
    mail: str = ""
    after: str = ""
    old_reading: bool = False
    basket: basket_words.View | None = None


def warnings(form: ActionForm, wish: operations.Wish) -> list[str]:
    """What speaks against it, by the provider's own habits and by what was done just now."""
    provider = PROVIDERS[form.card.connection.provider]
    said = provider.warning(form.verb, wish.extra or {})
    told = [languages.said(said) % {"provider": form.card.connection.name}] if said else []
    if again := operations.done_just_now(wish):
        told.append(till_words.done_just_now(again))
    return told


def second_person(request: StaffRequest, wish: operations.Wish) -> str:
    """What is said where it takes somebody else's word, too."""
    asked = Operation(
        verb=wish.verb,
        amount_minor=wish.amount.minor if wish.amount else None,
        currency=wish.amount.currency if wish.amount else "",
        points=wish.points.count if wish.points else None,
        load_minor=wish.basket.load.minor if wish.basket and wish.basket.load else None,
    )
    role, merchant = request.member.role, request.merchant
    limit = limits.exceeded(asked, merchant, lambda verb: limits.of(merchant, role, verb))
    if limit is None:
        return ""
    return approval_words.above(asked, limit, request.merchant)


# ---- The second beat ----------------------------------------------------------------------------------------------
def ask(
    request: StaffRequest, form: ActionForm, wish: operations.Wish, *, again: str, shown: str = "operation"
) -> HttpResponse | None:
    """Ask for the wish of a valid form, once per key, and go to the page that shows it, `shown` by its name.

    Where the key was used for something else, what became of that, and the way to a new one at `again`. None where it
    is refused: the form says why, and what was typed is drawn again, see `as_typed`.
    """
    fresh = [pair for pair in form.exact() if pair[0] != "key"]
    try:
        asked = approvals.request(member=request.member, key=form.cleaned_data["key"], wish=wish, till=request.till)
    except operations.OtherContent as other:
        return pages.first_outcome(request, other.operation, url=again, verb=form.verb, exact=fresh)
    except approvals.OtherContent as other:
        return approval_pages.first_outcome(request, other.approval, url=again, verb=form.verb, exact=fresh)
    except operations.CannotAsk as cannot:
        form.add_error(None, till_words.cannot_ask(cannot.why))
    except connections.NotNow as not_now:
        form.add_error(None, not_now.words)
    except PermissionDenied:
        form.add_error(None, who_can(operations.PERMISSIONS[form.verb]))
    else:
        # 303: a reload of what follows asks for the page, never for the money again.
        page = shown if isinstance(asked, Operation) else "approval"
        return HttpResponseRedirect(reverse(page, args=[request.merchant.slug, asked.key]), status=303)
    return None


def as_typed(form: ActionForm) -> ActionForm:
    """A refused confirmation as the form it came from, with what is wrong said beside it."""
    assert form.errors, "only what was refused is typed again"
    data = QueryDict(mutable=True)
    data.update(form.data)
    for name, text in amount_to_type(form.card, str(data.get("minor", ""))).items():
        data[name] = text
    form.data = data
    if form.verb == "sale":
        for name, text in basket_forms.typed(data, form.currency).items():
            data[name] = text
        data.pop("basket", None)
        form.show_lines(data)
    return form


def amount_to_type(found: Card, minor: str) -> dict[str, str]:
    """The exact amount as somebody would type it, in the reader's language."""
    currency = str(found.connection.options.get("currency", ""))
    if not currency or not re.fullmatch("[0-9]{1,10}", minor):
        return {}
    return {"amount": formats.typed(Money(int(minor), currency))}
