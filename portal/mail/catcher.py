"""The mail server of `make run`: real SMTP, on this machine only, that keeps what it gets instead of passing it on.

`python -m portal.mail.catcher --port 2500 --store DIR` writes each mail to a file in DIR, whose name tells its order;
caught.py shows them. Knows nothing of Django, so that it is there within a moment.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

ADDRESS = "127.0.0.1"  # no option: links that work once arrive here
KEPT = 200  # mails; older ones make room
LARGEST = 10 * 1024 * 1024  # bytes


class Keeper:
    """Keeps each mail in a file of its own, whole before it is seen, and on the disk before it is answered for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        await asyncio.get_running_loop().run_in_executor(None, self.keep, bytes(envelope.content))
        return "250 2.0.0 Kept"

    def keep(self, content: bytes) -> None:
        name = f"{time.time_ns():020}-{uuid.uuid4().hex}"
        unfinished = self._folder / f"{name}.part"
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self._folder / f"{name}.eml")
        for old in sorted(self._folder.glob("*.eml"))[:-KEPT]:
            with suppress(FileNotFoundError):
                old.unlink()


async def serve(port: int, folder: Path) -> None:
    """Take mails until somebody ends the process."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    keeper = Keeper(folder)
    server = await loop.create_server(
        lambda: SMTP(keeper, hostname="localhost", data_size_limit=LARGEST, loop=loop), ADDRESS, port
    )
    sys.stdout.write(f"Mails are caught on port {port}.\n")
    sys.stdout.flush()
    async with server:
        await done.wait()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m portal.mail.catcher", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--store", type=Path, required=True, help="the folder that keeps the mails")
    chosen = parser.parse_args(arguments)
    try:
        asyncio.run(serve(chosen.port, chosen.store))
    except OSError as error:
        sys.stderr.write(f"The catcher cannot use port {chosen.port} on {ADDRESS}: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
