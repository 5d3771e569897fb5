"""The same work as every tutorial has it: a task with `autoretry_for` and `acks_late`, and no state of its own.

    celery -A tests.faults.tutorial:app worker …                            the workers
    python -m tests.faults.tutorial submit --seed 7 --record FILE …         the people

Measured beside ours, over the same connector, sandbox, faults and broker. It knows neither Django nor a database.
"""

import argparse
import json
import os
import queue
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

from celery import Celery

from portal.connectors import connect
from portal.connectors.base import PayRequest, PointsRequest, TopUpRequest
from portal.connectors.http import Wire
from portal.money import Money, Points
from tests.faults.workload import CLERKS, Wanted, wanted

app = Celery("tutorial", broker=os.environ["CELERY_BROKER_URL"])
app.conf.update(task_default_queue="work", task_ignore_result=True, worker_prefetch_multiplier=1)


@cache
def desk() -> Any:
    """One connector for this process."""
    sandbox = os.environ["SANDBOX_URL"]
    with build_opener(ProxyHandler({})).open(f"{sandbox}/_sandbox/credentials", timeout=30) as answer:
        keys = json.load(answer)["paywizard"]
    settings = {name: keys[name] for name in ("client_id", "client_secret", "token")}
    settings |= {"base_url": f"{sandbox}/paywizard", "currency": "USD"}
    return connect("paywizard", settings, wire=Wire(allow=[sandbox]), connect_seconds=1, total_seconds=2)


@app.task(name="move", autoretry_for=(Exception,), max_retries=5, retry_backoff=1, retry_backoff_max=4, acks_late=True)
def move(*, verb: str, number: str, amount: int, reference: str) -> None:
    """Move money or points at the provider."""
    card = {"number": number, "reference": reference}
    match verb:
        case "pay":
            desk().pay(PayRequest(amount=Money(amount, "USD"), **card))
        case "top_up":
            desk().top_up(TopUpRequest(amount=Money(amount, "USD"), **card))
        case "issue_points":
            desk().issue_points(PointsRequest(points=Points(amount), **card))
        case "redeem_points":
            desk().redeem_points(PointsRequest(points=Points(amount), **card))


def submit(record: Path, wishes: list[Wanted]) -> None:
    """Publish all of them, each in its time. Nobody presses twice, and there are no voids: without state there is
    nothing to void by, so they are payments."""
    waiting: queue.Queue[Wanted] = queue.Queue()
    lock, begun = threading.Lock(), time.monotonic()

    def publish() -> None:
        while True:
            try:
                wish = waiting.get_nowait()
            except queue.Empty:
                return
            time.sleep(max(0.0, begun + wish.at - time.monotonic()))
            verb = "pay" if wish.verb == "void" else wish.verb
            line = {"reference": wish.key.hex, "verb": verb, "number": wish.number, "amount": wish.amount}
            try:
                move.delay(**line)
            except Exception:  # noqa: BLE001  # the page would be an error 500: it was not accepted
                continue
            with lock, record.open("a") as lines:
                lines.write(json.dumps(line) + "\n")

    for wish in wishes:
        waiting.put(wish)
    clerks = [threading.Thread(target=publish) for _ in range(CLERKS)]
    for each in clerks:
        each.start()
    for each in clerks:
        each.join()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["submit"])
    parser.add_argument("run")
    parser.add_argument("--record", type=Path, required=True)
    for name, kind in (("seed", int), ("count", int), ("cards", int), ("seconds", float), ("until", float)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    given = parser.parse_args()
    wishes = wanted(seed=given.seed, count=given.count, cards=given.cards, seconds=given.seconds, run=given.run)
    submit(given.record, wishes)
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main()
