"""A worker with one safeguard switched off, to see that the run notices: `-A tests.faults.mutants:app`.

SAFEGUARD_OFF names which:
    lease      a lapsed lease means Waiting again, as if nothing could have left
    answer     a lost answer is taken for a failure, and asked again
    unsent     what may have left still counts as unsent, and waits again when its worker is lost
    claim      nothing is committed before the call: who works on what is known only afterwards
"""

import os

import django

from portal.celery import app

__all__ = ["app"]


def _forget_the_lease() -> None:
    from django.db import connection

    from portal.ledger import operations
    from portal.merchants import tenancy

    def sweep() -> bool:
        with tenancy.every_merchant("a mutant takes lapsed leases for unsent calls"), connection.cursor() as cursor:
            # The database's own trigger allows this step: it is the one of a call that proved unsent.
            cursor.execute(
                "UPDATE ledger_operation SET state = 'waiting', lease_until = NULL, unsent = false"
                " WHERE state = 'running' AND lease_until < statement_timestamp()"
            )
        return True

    operations.sweep = sweep


def _send_as_if_nothing_left() -> None:
    from django.db import connection

    from portal.ledger import operations
    from portal.ledger.calls import Levels
    from portal.ledger.models import Operation

    as_it_is = operations._may_send

    def may_send(operation: Operation, levels: Levels | None, predicted: int | None = None) -> bool:
        allowed = as_it_is(operation, levels, predicted)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE ledger_operation SET unsent = true WHERE id = %s AND state = 'running'", [operation.pk]
            )
        return allowed

    operations._may_send = may_send


def _take_silence_for_a_no() -> None:
    from portal.connectors.base import Failure, Unclear
    from portal.ledger import operations
    from portal.ledger.calls import Caller

    as_it_is = operations._store_failure

    def store(caller: Caller, failure: Failure) -> None:
        if isinstance(failure, Unclear):
            operations._store_unsent(caller, failure)
        else:
            as_it_is(caller, failure)

    operations._store_failure = store


def _call_before_the_claim() -> None:
    from django.db import connection

    from portal.connectors.base import Failure
    from portal.ledger import calls, operations
    from portal.merchants import tenancy

    def work() -> bool:
        with tenancy.every_merchant("a mutant picks an operation"), connection.cursor() as cursor:
            cursor.execute(operations._CANDIDATE, {"only": None})
            candidate = cursor.fetchone()
            if candidate is None:
                return False
            operation = calls.with_everything(candidate[0])
        with tenancy.merchant(operation.merchant_id):
            caller = calls.Caller(operation)
            try:
                receipt = caller.call()
            except Failure as failure:
                _claim(operation.pk)
                operations._store_failure(caller, failure)
            else:
                _claim(operation.pk)
                operations._store_receipt(caller, receipt)
        return True

    def _claim(operation_id: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(operations._CLAIM, {"only": operation_id, "lease": 10})

    operations.work = work


_OFF = {
    "lease": _forget_the_lease,
    "unsent": _send_as_if_nothing_left,
    "answer": _take_silence_for_a_no,
    "claim": _call_before_the_claim,
}

django.setup()
_OFF[os.environ["SAFEGUARD_OFF"]]()
