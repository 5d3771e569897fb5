"""The least that could do the work: a Celery task with a claim, the call and its result.

The same broker, settings, database role, pool and HTTP library as the portal's workers have; no state machine, no
evidence, no tenancy, no signature, and nothing that would notice a lost answer.
"""

import os
import time

import django

from portal.celery import app

django.setup()

import urllib3  # noqa: E402
from django.db import connection  # noqa: E402

__all__ = ["app", "bare", "nothing"]

_pool = urllib3.PoolManager(maxsize=100)


@app.task(queue="work", name="bench.bare")
def bare(*, row: int) -> None:
    """Claim, ask, store."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE bench_bare SET state = 'running', begun = %s WHERE id = %s AND state = 'waiting'",
            [time.time(), row],
        )
        claimed = cursor.rowcount
    connection.close()
    if claimed:
        answer = _pool.request("POST", os.environ["BENCH_PROVIDER"], body=b"{}", retries=False)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE bench_bare SET state = 'done' WHERE id = %s", [row])
        connection.close()
        assert answer.status == 200


@app.task(queue="work", name="bench.nothing")
def nothing(*, row: int) -> None:
    """Only say when it began."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE bench_bare SET begun = %s WHERE id = %s", [time.time(), row])
    connection.close()
