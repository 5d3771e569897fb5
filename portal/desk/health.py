"""Whether the whole can serve, for load balancers and people on call. That this process is alive says /healthz
(portal/middleware.py)."""

from contextlib import suppress
from datetime import timedelta

from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError

from portal.celery import app
from portal.desk import alerts
from portal.ledger.models import Pulse

# A sweep runs every few seconds; a minute without one means that no worker does real work.
STALE = timedelta(seconds=60)


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Database, broker and the workers' last real work: 200 when all three are there, else 503 naming what is not."""
    state = {"database": _database(), "broker": _broker()}
    state["workers"] = state["database"] and _workers()
    return JsonResponse(state, status=200 if all(state.values()) else 503)


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return False
    return True


def _broker() -> bool:
    try:
        with app.connection_for_write(connect_timeout=1) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=1)
    except (OSError, OperationalError):
        return False
    return True


def _workers() -> bool:
    with suppress(Error):
        alerts.look_round()  # a load balancer asks often, and also while no worker could look
    return Pulse.objects.filter(name="sweep", at__gt=timezone.now() - STALE).exists()
