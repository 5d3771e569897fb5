"""The Celery application. The broker only wakes workers; what is to be done stands in PostgreSQL.

A message carries an id that means nothing unless its row says there is work. Losing one costs the seconds until the
next sweep; having one twice costs a look at the row.
"""

import atexit
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from celery import Celery, signals
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from kombu import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

# What every worker hears, whichever queues it serves: see portal/presence.py.
ROLL = Exchange("roll", type="fanout")
ROLL_CALL = "portal.desk.tasks.roll_call"


def _broker(url: str) -> dict[str, object]:
    """Celery's broker settings for one address. `filesystem:///dir` is the broker of a single machine."""
    if not url.startswith("filesystem://"):
        options: dict[str, object] = {"visibility_timeout": 300} if url.startswith("redis") else {}
        return {"broker_url": url, "broker_transport_options": options}
    TRANSPORT_ALIASES["folder"] = "portal.folder_broker:Transport"
    folder = Path(unquote(urlsplit(url).path))
    messages = str(folder / "messages")
    return {
        "broker_url": "folder://",
        "broker_transport_options": {
            "data_folder_in": messages,
            "data_folder_out": messages,
            "control_folder": str(folder / "control"),
            "polling_interval": 0.05,  # seconds; the default of one second would be felt at the till
        },
    }


_addresses = _broker(settings.CELERY_BROKER_URL)
app = Celery("portal")
app.conf.update(
    **_addresses,
    # Celery puts the environment's CELERY_BROKER_URL above its own setting, but not above these two.
    broker_read_url=_addresses["broker_url"],
    broker_write_url=_addresses["broker_url"],
    task_default_queue="work",
    # Each with an exchange and key of its own: left to Celery, both would be bound to the first one's.
    task_queues=[Queue(name, Exchange(name), routing_key=name) for name in ("work", "bulk")],
    task_default_exchange="work",
    task_default_routing_key="work",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    # Once more, at once: without any retry a connection that the broker dropped is never made anew (seen with RabbitMQ:
    # beat stayed mute for ever). No more than that: a broker that is away must not hold up a till.
    task_publish_retry=True,
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2},
    worker_prefetch_multiplier=1,
    worker_soft_shutdown_timeout=10,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    broker_connection_timeout=2,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    accept_content=["json"],
    task_serializer="json",
    timezone="UTC",
    beat_schedule={
        name: {
            "task": f"portal.{package}.tasks.{name}",
            "schedule": float(settings.SWEEP_SECONDS),
            # Sweeps that nobody took do not pile up.
            "options": {"expires": settings.SWEEP_SECONDS * 2},
        }
        for package, name in (
            ("ledger", "sweep_look_ups"),
            ("ledger", "sweep_operations"),
            ("mail", "sweep_mails"),
            ("merchants", "sweep_drafts"),
            ("shopper", "sweep_tries"),
            ("codes", "sweep_codes"),
        )
    }
    | {
        "fold_calls": {"task": "portal.ledger.tasks.fold_calls", "schedule": 60.0, "options": {"expires": 120}},
        "roll_call": {
            "task": ROLL_CALL,
            "schedule": float(settings.ROLL_SECONDS),
            "options": {
                "exchange": ROLL,
                "exchange_type": "fanout",
                "routing_key": ROLL.name,
                "declare": [ROLL],
                "expires": settings.ROLL_SECONDS * 2,
            },
        },
    },
)
app.autodiscover_tasks(
    ["portal.merchants", "portal.ledger", "portal.mail", "portal.shopper", "portal.codes", "portal.desk"]
)


@signals.worker_init.connect
def _refuse_at_once(**_: object) -> None:
    """Find a wrong database role or key ring when the worker starts, not with the first customer."""
    from portal.checks import refuse_unsafe_worker

    try:
        refuse_unsafe_worker()
    except ImproperlyConfigured as refusal:
        # Celery only logs what a receiver raises and works on; leaving is what stops it.
        sys.exit(str(refusal))


# ---- Who is at work: see portal/presence.py -------------------------------------------------------------------
@signals.celeryd_after_setup.connect
def _listen_to_the_roll_call(sender: str, instance: Any, **_: object) -> None:
    """A queue of this worker's own, which goes by itself when nobody listens to it any more."""
    name = f"{ROLL.name}.{sender}"
    heard = Queue(name, ROLL, routing_key=ROLL.name, expires=60.0, message_ttl=settings.ROLL_SECONDS * 2.0)
    instance.app.amqp.queues.select_add(heard)


@signals.worker_ready.connect
def _worker_arrives(sender: Any, **_: object) -> None:
    from portal import presence

    worker = sender.controller
    queues = sorted(name for name in worker.app.amqp.queues.consume_from if not name.startswith(f"{ROLL.name}."))
    mine = presence.arrive("worker", sender.hostname, queues=" ".join(queues), threads=worker.concurrency)
    atexit.register(mine.leaves)

    @signals.task_prerun.connect(weak=False)
    def begins(task: Any, **_: object) -> None:
        mine.called() if task.name == ROLL_CALL else mine.begins()

    @signals.task_postrun.connect(weak=False)
    def ends(task: Any, **_: object) -> None:
        if task.name != ROLL_CALL:
            mine.ends()

    @signals.task_failure.connect(weak=False)
    def broke(sender: Any, exception: BaseException, **_: object) -> None:
        mine.broke(sender.name, type(exception).__name__, _place(exception))

    @signals.worker_shutdown.connect(weak=False)
    def leaves(**_: object) -> None:
        mine.leaves()


@signals.beat_init.connect
def _beat_arrives(**_: object) -> None:
    from portal import presence

    mine = presence.arrive("beat", f"beat@{socket.gethostname()}")
    atexit.register(mine.leaves)

    # Only what the broker took counts.
    @signals.after_task_publish.connect(weak=False)
    def sent(sender: str, **_: object) -> None:
        if sender == ROLL_CALL:
            mine.called(every=settings.ROLL_SECONDS)


def _place(error: BaseException) -> str:
    """The innermost line of our own code that an error came through."""
    ours = [line for line in traceback.extract_tb(error.__traceback__) if f"{os.sep}portal{os.sep}" in line.filename]
    return f"{ours[-1].filename.rpartition(f'{os.sep}portal{os.sep}')[2]}:{ours[-1].lineno}" if ours else ""
