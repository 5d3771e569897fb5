"""Alerts in words, and what to do about each: the runbooks, of which docs/operations.md has a copy (a test compares).

Each alert says what, who, since when, and the first thing to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.desk.facts import MOST
from portal.desk.models import Alert


@dataclass(frozen=True, kw_only=True)
class Runbook:
    """`title` is the alert's sentence; `who` names whom it is about. The rest are five lines, each one or two
    sentences: what it means, where to look, what to do, what to leave alone, and what to tell merchants."""

    title: Promise
    who: Promise | None = None
    means: Promise
    look: Promise
    act: Promise
    leave: Promise
    tell: Promise

    @property
    def lines(self) -> list[tuple[str, str]]:
        return [(str(label), str(getattr(self, name))) for name, label in LABELS.items()]


LABELS: dict[str, Promise] = {
    "means": _("It means"),
    "look": _("Look at"),
    "act": _("Do"),
    "leave": _("Leave alone"),
    "tell": _("Tell merchants"),
}

RUNBOOKS: dict[str, Runbook] = {
    "no-worker": Runbook(
        title=_("No worker does any work"),
        means=_("No worker has begun or ended anything for a minute. What people ask for is kept and waits."),
        look=_("The workers below: killed, deaf, or none at all. Then broker and database: /readyz says what is away."),
        act=_("Start the worker processes again. If they end at once, the last line of their log says why."),
        leave=_("Do not empty the broker, do not touch operations: a worker that is back does them in order."),
        tell=_("“Look-ups and payments are delayed. Nothing is lost or asked twice; please do not press again.”"),
    ),
    "worker-killed": Runbook(
        title=_("%(name)s was killed"),
        who=_("It had %(in_hand)s in hand when it last wrote."),
        means=_("The process is gone without a goodbye: out of memory, kill -9, or its machine went away."),
        look=_("The log of its supervisor and the machine's memory. Whether a worker of this name came back."),
        act=_("Start it again, unless its supervisor does. The alert ends when it is back, or after an hour."),
        leave=_("What it had in hand needs nothing: when its lease is over it is checked, never sent again."),
        tell=_("“A payment may have stayed at Checking for some minutes. Its page says how it ended.”"),
    ),
    "worker-deaf": Runbook(
        title=_("%(name)s is deaf"),
        who=_("It had %(in_hand)s in hand when it last wrote."),
        means=_("The process lives, but hears no message: its connection to the broker is gone, or it is frozen."),
        look=_("Its log for lost connections; the broker's consumers; whether the process is stopped (state T)."),
        act=_("Restart this worker. If it is deaf again, restart the broker, then the workers one by one."),
        leave=_("Do not wait for it to recover by itself: a consumer that was lost stays lost."),
        tell=_("Nothing, while other workers are at work. Otherwise: “Answers take longer at the moment.”"),
    ),
    "waiting-too-long": Runbook(
        title=_("Operations that wait for a worker: %(count)s"),
        who=_("Overloaded: %(names)s"),
        means=_("More is asked than the workers get done: all threads are busy, mostly with a provider that is slow."),
        look=_("Which workers are overloaded, and in the connections below which provider answers late or not at all."),
        act=_("Start further workers. Where one provider is the cause, pause its connections until it answers again."),
        leave=_("Do not restart busy workers: what they have in hand would have to be checked."),
        tell=_("“Answers take longer at the moment. What you asked for is done in order; please ask only once.”"),
    ),
    "beat-silent": Runbook(
        title=_("Beat is silent"),
        means=_("The clock does not tick: lost answers and lost messages are not looked after, no roll is called."),
        look=_("Whether a beat runs, its log, and whether it reaches the broker: only what the broker took counts."),
        act=_("Start beat again: exactly one, on one machine."),
        leave=_("Do not start a second one to be safe. Workers go on meanwhile with what people ask."),
        tell=_("Nothing for some minutes. Later: “Payments at Checking take longer until we know how they ended.”"),
    ),
    "beat-doubled": Runbook(
        title=_("Beat runs more than once"),
        who=_("Running: %(names)s"),
        means=_("Each of them sends every sweep. Nothing is done twice, but everything is looked at twice."),
        look=_("The processes named here, with their numbers and machines, below."),
        act=_("Stop all but one."),
        leave=_("Nothing needs mending afterwards."),
        tell=_("Nothing."),
    ),
    "unclear-too-long": Runbook(
        title=_("Operations at Checking for too long: %(count)s"),
        who=_("Merchants: %(names)s"),
        means=_("Nobody knows their end, and neither the balance nor a person has been asked within five minutes."),
        look=_("Each in the list below: what was sent, what came back, and when we look next."),
        act=_("When the provider answers again, press Check now. If it does not, hand them to the merchant."),
        leave=_("Never send one again by other means: it may have happened."),
        tell=_("“We asked and got no answer. It may or may not have happened; do not repeat it. You hear from us.”"),
    ),
    "unclear-share": Runbook(
        title=_("%(name)s: %(percent)s %% unclear"),
        who=_("%(merchant)s: %(count)s of %(asked)s in 15 minutes, ordinarily %(normal)s %%"),
        means=_("This provider takes our calls and its answers get lost, far more often than yesterday."),
        look=_("The connection's latest operations: time-outs, broken connections or answers we cannot read."),
        act=_("Ask the provider's support, with traces. If it goes on, pause the connection: nothing new gets lost."),
        leave=_("Do not raise our time limits: an answer that late is lost at the till all the same."),
        tell=_("“%(connection)s answers unreliably. Please take other payment until we say that it is well again.”"),
    ),
    "credentials-refused": Runbook(
        title=_("%(name)s: credentials refused"),
        who=_("%(merchant)s; the connection is paused"),
        means=_("The provider does not accept our key any more, so we stopped asking."),
        look=_("When it was paused and who last set its secrets, on the connection's page."),
        act=_("Tell the merchant's owner to enter the current key and to resume. We cannot read the old one."),
        leave=_("Do not resume it unchanged: some providers lock an account after wrong keys."),
        tell=_("“Your provider refuses the key of this connection. Enter the current one in Settings, then resume.”"),
    ),
    "page-closed": Runbook(
        title=_("%(name)s: so many wrong tries have closed the balance page"),
        who=_("Wrong tries in 24 hours: %(count)s. The page bears %(budget)s."),
        means=_("Somebody guesses cards there, mostly; shoppers see a closed page until the tries are a day old."),
        look=_("The merchant's list of tries: one card or many, one address or many, and since when."),
        act=_("If it begins at others too, switch the public page off for all of them. Tell the merchant either way."),
        leave=_("Do not let the tries count no longer while it goes on: each time is another day's guesses for them."),
        tell=_("“Cards were guessed at on your balance page, so it is closed. Tills go on, and shoppers may ask you.”"),
    ),
    "mail-backlog": Runbook(
        title=_("Mails that wait: %(count)s"),
        means=_("Mails do not leave: the mail server is away or refuses us. Sign-in codes are among them."),
        look=_("The mails below by reason, and when the last one was sent."),
        act=_("Mend the mail server, its certificate or our password. The mails then go by themselves."),
        leave=_("Do not send them by hand: each would arrive twice."),
        tell=_("“Mails are delayed. Those you have asked for arrive by themselves; please do not ask again.”"),
    ),
    "doubled-reference": Runbook(
        title=_("%(name)s used a reference twice"),
        who=_("%(merchant)s: %(reference)s"),
        means=_("Two operations that are done carry the same number of the provider: one may not have happened."),
        look=_("Both: find them by this reference, and compare times, amounts and balances."),
        act=_("Ask the provider which one it knows. What did not happen is put right with a new operation."),
        leave=_("Do not change either row, and void nothing before the provider has answered."),
        tell=_("“We are asking your provider about two payments with the same number. We come back to you today.”"),
    ),
    "task-broke": Runbook(
        title=_("A task broke: %(cause)s"),
        who=_("%(name)s at %(place)s, %(count)s times"),
        means=_("An error nobody foresaw ended a task. What it worked on stands as it was and is swept up."),
        look=_("The worker's log at that time, with the place named here."),
        act=_("Report it with the log. If it comes with every task, go back to the version before."),
        leave=_("Do not start tasks by hand: what is due is found by itself."),
        tell=_("Nothing, unless operations wait or stay unclear."),
    ),
    "migrations-pending": Runbook(
        title=_("Pending migrations: %(count)s"),
        means=_("The program is newer than the database: a release was not run, or broke off."),
        look=_("The names in the list below, and the log of the last release."),
        act=_("Run manage.py release with the owner's login."),
        leave=_("Do not migrate by hand as the application's role: it has no right to."),
        tell=_("Nothing, unless pages fail."),
    ),
    "old-transaction": Runbook(
        title=_("A transaction has been open for long"),
        means=_("Somebody holds the database: rows stay locked, and old ones cannot be tidied away."),
        look=_("pg_stat_activity for the oldest xact_start, and what that session last asked."),
        act=_("If it is a forgotten console or a broken process, end that session (pg_terminate_backend)."),
        leave=_("Do not restart the database for it. A backup that runs is no reason for alarm."),
        tell=_("Nothing."),
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class View:
    """An alert as the page and the mail have it."""

    alert: Alert
    title: str
    who: str
    first: str
    lines: list[tuple[str, str]]

    @property
    def anchor(self) -> str:
        return f"{self.alert.kind}-{self.alert.pk}"

    @property
    def runbook(self) -> str:
        """The heading over these lines in docs/operations.md: a name, which is the same in every language."""
        return heading(self.alert.kind)


def heading(kind: str) -> str:
    """What an alert's runbook is called in docs/operations.md."""
    return kind.replace("-", " ").capitalize()


def view(alert: Alert) -> View:
    """What, who, and the first thing to do."""
    book = RUNBOOKS[alert.kind]
    told = {name: _text(value) for name, value in alert.told.items()}
    told["connection"] = told.get("name", "")
    has_names = "names" not in told or told["names"]
    who = str(book.who) % told if book.who is not None and has_names else ""
    lines = [(label, text % told if "%(" in text else text) for label, text in book.lines]
    return View(alert=alert, title=str(book.title) % told, who=who, first=str(book.act), lines=lines)


def _text(value: object) -> str:
    if isinstance(value, list):
        return formats.listed([str(each) for each in value])
    return how_many(value) if isinstance(value, int) else str(value)


def how_many(count: int, *, of: int = 0) -> str:
    """A number that is told. Where as many were counted as are looked at, there may be more of them; `of` is how many
    were counted of which these are a part."""
    number = formats.number(count)
    return gettext("at least %(count)s") % {"count": number} if max(count, of) >= MOST else number


def mail(opened: Sequence[Alert], resolved: Sequence[Alert]) -> tuple[str, str]:
    """Subject and text about what began and what ended."""
    views = [view(each) for each in opened]
    ended = [view(each) for each in resolved]
    first = (views or ended)[0].title
    subject = first if views else gettext("Over: %(what)s") % {"what": first}
    if len(views) + len(ended) > 1:
        subject = gettext("%(what)s, and %(count)s more") % {"what": subject, "count": len(views) + len(ended) - 1}
    parts = []
    for each in views:
        since = gettext("Since %(at)s") % {"at": _moment(each.alert.since)}
        first_step = gettext("First: %(what)s") % {"what": each.first}
        where = gettext("Runbook: %(name)s, %(address)s") % {"name": each.runbook, "address": _address(each.anchor)}
        parts.append("\n".join(filter(None, [each.title, each.who, since, first_step, where])))
    for each in ended:
        over = gettext("Over since %(at)s: %(what)s") % {"at": _moment(each.alert.seen_at), "what": each.title}
        parts.append("\n".join(filter(None, [over, each.who])))
    parts.append(_address())
    return f"[Tillside] {subject}"[:150], "\n\n".join(parts)


def _address(anchor: str = "") -> str:
    """The on-call page, or an alert on it."""
    return f"{settings.PUBLIC_URL}{reverse('on_call')}" + (f"#{anchor}" if anchor else "")


def _moment(at: datetime) -> str:
    return f"{formats.exact(at)} UTC"


def as_document() -> str:
    """The runbooks as docs/operations.md has them; each heading is the alert's name."""
    parts = []
    for kind, book in RUNBOOKS.items():
        parts.append(f"### {heading(kind)}\n" + "\n".join(f"- **{label}** {text}" for label, text in book.lines))
    return "\n\n".join(parts).replace("%%", "%").replace("%(connection)s", "…") + "\n"
