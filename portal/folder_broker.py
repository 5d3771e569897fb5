"""The broker of a single machine: kombu's folder of messages, made safe for several processes.

kombu's own writes a message into a file that readers already see. A worker that was quick enough read an empty one and
ended with "Expecting value: line 1 column 1" (seen within seconds under load). Here a message gets its name when it is
whole.
"""

import fcntl
import os
import uuid
from pathlib import Path
from time import monotonic
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """kombu's, with whole messages only."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        folder = Path(self.data_folder_out)
        name = uuid.uuid4()
        unfinished = folder / f"unfinished-{name}"  # without a dot in its name no reader takes it for a message
        # The time first: readers take the oldest. Of roll calls only the last one is kept, which takes the place of
        # those that nobody hears: kombu knows no end of a queue.
        turn = "0_last" if queue.startswith("roll.") else f"{round(monotonic() * 1000)}_{name}"
        try:
            unfinished.write_bytes(str_to_bytes(dumps(payload)))
            os.replace(unfinished, folder / f"{turn}.{queue}.msg")
        except OSError as error:
            raise ChannelError(f"Cannot add a message to {folder}") from error

    def _queue_bind(self, *binding: Any) -> None:
        """kombu's, by one process at a time: it makes an exchange's table empty and fills it then, and a worker that
        binds its queue in between ended with "Expecting value: line 1 column 1" (seen with workers that start
        together and hear one exchange)."""
        folder = Path(self.control_folder)
        folder.mkdir(exist_ok=True)
        with (folder / "binding.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            super()._queue_bind(*binding)

    def get_table(self, exchange: str) -> list[Any]:
        try:
            table: list[Any] = super().get_table(exchange)
        except ValueError:  # a worker writes the table at this moment; the sweep finds what this message was for
            return []
        return table


class Transport(filesystem.Transport):
    """For a broker address `folder://`, see portal/celery.py."""

    Channel = Channel
