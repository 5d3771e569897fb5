"""What the page of a code says in each state: for the customer who scans it, and for whoever shows it."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.codes.states import CodeState
from portal.connectors import PROVIDERS
from portal.ledger import operation_words, outcome_words
from portal.ledger.models import Code, Operation, OperationState
from portal.ledger.operations import NO_CODE_SHOWN

# The shape beside the word, and the word.
STATES: dict[CodeState, tuple[str, Promise]] = {
    CodeState.OPEN: ("waiting", _("Open")),
    CodeState.CANCELLING: ("checking", _("Being cancelled")),
    CodeState.UNCLEAR: ("checking", _("Perhaps cancelled")),
    CodeState.CLAIMED: ("done", _("Claimed")),
    CodeState.CANCELLED: ("not_sent", _("Cancelled")),
    CodeState.EXPIRED: ("not_sent", _("Expired")),
    CodeState.UNKNOWN: ("person", _("Unknown")),
}
_PENDING = (CodeState.ASKED, CodeState.OPEN, CodeState.CANCELLING, CodeState.UNCLEAR)


@dataclass(frozen=True, kw_only=True)
class View:
    """What the page says, decided here so that the template decides nothing. `stage` changes whenever it does."""

    state: CodeState
    shape: str
    word: str
    sentence: str
    advice: str = ""
    gives: str = ""
    provider_text: str = ""
    spoken: str = ""
    stage: str = ""
    at_once: bool = False
    pending: bool = False


def view(
    state: CodeState, made_by: Operation, code: Code | None, cancelling: Operation | None, asking: outcome_words.View
) -> View:
    """The code now. `asking` is what there is to say of the operation that makes it."""
    if made_by.reason == NO_CODE_SHOWN:
        title, advice = outcome_words.ending(made_by)
        sentence, spoken = f"{operation_words.thing(made_by)}.", f"{title} {advice}"
        return View(
            state=state, shape="not_sent", word=gettext("Not shown"), sentence=sentence, advice=advice, spoken=spoken
        )
    if state in (CodeState.ASKED, CodeState.NONE):
        return View(
            state=state,
            shape=asking.shape,
            word=asking.word,
            sentence=asking.sentence,
            advice=asking.advice,
            provider_text=asking.provider_text,
            spoken=asking.spoken,
            stage=f"{made_by.attempt}-{asking.stage}",
            at_once=asking.at_once,
            pending=state == CodeState.ASKED,
        )
    shape, word = STATES[state]
    sentence = _sentence(state, made_by, code)
    advice = _advice(state, made_by, cancelling)
    return View(
        state=state,
        shape=shape,
        word=str(word),
        sentence=sentence,
        advice=advice,
        gives=gives(made_by),
        provider_text=cancelling.provider_text if cancelling is not None and state != CodeState.CANCELLED else "",
        spoken=f"{word}. {sentence}",
        stage=f"{cancelling.pk}-{cancelling.state}" if cancelling is not None else "",
        at_once=state not in (CodeState.OPEN, CodeState.CANCELLING),
        pending=state in _PENDING,
    )


def gives(made_by: Operation) -> str:
    """What it gives, as far as the provider has said: 12 points."""
    return formats.points(made_by.predicted_points) if made_by.predicted_points else ""


def _sentence(state: CodeState, made_by: Operation, code: Code | None) -> str:
    purchase = {"amount": operation_words.amount(made_by), "connection": made_by.connection.name}
    match state:
        case CodeState.OPEN | CodeState.CANCELLING | CodeState.UNCLEAR:
            return gettext("Points for a purchase of %(amount)s.") % purchase
        case CodeState.CLAIMED if code is not None and code.claimed_points is not None:
            claimed = {**purchase, "points": formats.points(code.claimed_points)}
            return gettext("Somebody has claimed it: %(points)s for a purchase of %(amount)s.") % claimed
        case CodeState.CLAIMED:
            return gettext("Somebody has claimed the points for a purchase of %(amount)s.") % purchase
        case CodeState.CANCELLED:
            return gettext("It gives nobody the points for a purchase of %(amount)s any more.") % purchase
        case CodeState.EXPIRED:
            return (
                gettext("Its time was over before anybody claimed the points for a purchase of %(amount)s.") % purchase
            )
    return gettext("Nobody has told us what became of the points for a purchase of %(amount)s.") % purchase


def _advice(state: CodeState, made_by: Operation, cancelling: Operation | None) -> str:
    name = {"connection": made_by.connection.name}
    match state:
        case CodeState.OPEN if cancelling is not None:
            title, advice = outcome_words.ending(cancelling)
            return gettext("It was not cancelled. %(why)s") % {"why": f"{title} {advice}"}
        case CodeState.OPEN if made_by.predicted_points == 0:
            return gettext("By the rule at %(connection)s such a purchase gives no points.") % name
        case CodeState.OPEN if not PROVIDERS[made_by.connection.provider].is_heard(made_by.connection.options):
            return (
                gettext(
                    "This page cannot say when it is claimed: the connection lacks the key by which we would believe"
                    " %(connection)s. An owner or manager adds it in Settings."
                )
                % name
            )
        case CodeState.OPEN:
            return gettext("Let the customer scan it. When somebody has claimed it, this page says so.")
        case CodeState.CANCELLING:
            return gettext("Asking %(connection)s to cancel it…") % name
        case CodeState.UNCLEAR if cancelling is not None and cancelling.state == OperationState.CHECKING:
            return gettext("%(connection)s gave no clear answer. Do not show the code until it is known.") % name
        case CodeState.UNCLEAR:
            return (
                gettext(
                    "%(connection)s gave no clear answer. An owner or manager has to find out whether it was cancelled."
                )
                % name
            )
        case CodeState.UNKNOWN if cancelling is not None and cancelling.state == OperationState.REFUSED:
            return gettext("%(connection)s does not cancel it any more, and does not say why.") % name
        case CodeState.UNKNOWN:
            return (
                gettext(
                    "It is not shown any more. Who kept it may still be able to claim it: cancel it, and %(connection)s"
                    " says whether somebody has."
                )
                % name
            )
    return ""
