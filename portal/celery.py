"""The Celery application. The broker only wakes workers; what is to be done stands in PostgreSQL.

A message carries an id that means nothing unless its row says there is work. Losing one costs the seconds until the
next sweep; having one twice costs a look at the row.
"""

import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from celery import Celery
from celery.signals import worker_init
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from kombu import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")


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
        for package, name in (("ledger", "sweep_look_ups"), ("ledger", "sweep_operations"), ("mail", "sweep_mails"))
    },
)
app.autodiscover_tasks(["portal.merchants", "portal.ledger", "portal.mail"])


@worker_init.connect
def _refuse_at_once(**_: object) -> None:
    """Find a wrong database role or key ring when the worker starts, not with the first customer."""
    from portal.checks import refuse_unsafe_worker

    try:
        refuse_unsafe_worker()
    except ImproperlyConfigured as refusal:
        # Celery only logs what a receiver raises and works on; leaving is what stops it.
        sys.exit(str(refusal))
