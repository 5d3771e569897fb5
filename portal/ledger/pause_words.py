"""A pause in words: why, since when, and how what was held over it went on."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal import formats
from portal.ledger.holding import TAKEN_BACK
from portal.ledger.models import OperationState
from portal.merchants.models import Pause

S = OperationState


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far what was held has come. `over` counts what need not be waited for any more."""

    total: int
    over: int
    shape: str
    headline: str
    pending: bool


def progress(pause: Pause, tally: Mapping[str, int]) -> Progress:
    """While it lasts: what waits. Afterwards: how far it is, and in the end the true last word."""
    total = sum(tally.values())
    open_still = tally.get(S.WAITING, 0) + tally.get(S.RUNNING, 0)
    if pause.ended_at is None:
        shape, headline, pending = "waiting", _waits(total), True
    elif not total:
        shape, headline, pending = "done", _("Nothing had to wait."), False
    elif open_still:
        shape, pending = "checking", True
        headline = ngettext(
            "%(over)s of %(total)s operation has run.", "%(over)s of %(total)s operations have run.", total
        ) % {"over": formats.number(total - open_still), "total": formats.number(total)}
    else:
        pending = False
        shape, headline = _last_word(tally, total)
    return Progress(total=total, over=total - open_still, shape=shape, headline=headline, pending=pending)


def _waits(total: int) -> str:
    if not total:
        return _("Nothing waits.")
    return ngettext(
        "%(total)s operation waits. It runs when the connection is resumed.",
        "%(total)s operations wait. They run in this order when the connection is resumed.",
        total,
    ) % {"total": formats.number(total)}


def _last_word(tally: Mapping[str, int], total: int) -> tuple[str, str]:
    """The outcome's shape, and "All 50 are done." or "47 done, 2 refused and 1 being checked."."""
    done = tally.get(S.DONE, 0)
    if done == total:
        return "done", ngettext("It is done.", "All %(total)s are done.", total) % {"total": formats.number(total)}
    parts = [
        (done, ngettext("%(count)s done", "%(count)s done", done)),
        (n := tally.get(S.REFUSED, 0), ngettext("%(count)s refused", "%(count)s refused", n)),
        (n := tally.get(S.FAILED, 0), ngettext("%(count)s not sent", "%(count)s not sent", n)),
        (n := tally.get(TAKEN_BACK, 0), ngettext("%(count)s taken back", "%(count)s taken back", n)),
        (n := tally.get(S.CHECKING, 0), ngettext("%(count)s being checked", "%(count)s being checked", n)),
        (n := tally.get(S.NEEDS_PERSON, 0), ngettext("%(count)s needs a person", "%(count)s need a person", n)),
    ]
    told = formats.listed([text % {"count": formats.number(count)} for count, text in parts if count])
    shape = "person" if tally.get(S.NEEDS_PERSON) else "checking" if tally.get(S.CHECKING) else "refused"
    if shape == "refused" and not (tally.get(S.REFUSED) or tally.get(S.FAILED)):
        shape = "done"
    return shape, _("%(parts)s.") % {"parts": told}
