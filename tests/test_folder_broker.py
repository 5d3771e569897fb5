"""The broker of a single machine, with several processes at it at once."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection
from kombu.transport import filesystem

OURS = "portal.folder_broker:Transport"
MESSAGES = 1500
WRITER = """
import sys
from kombu import Connection
folder, transport, name, messages = sys.argv[1:]
options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "/control"}
with Connection(transport=transport, transport_options=options) as broker:
    queue = broker.SimpleQueue("work")
    for number in range(int(messages)):
        queue.put({"from": name, "number": number, "ballast": "x" * 4000})
"""


def read_all(folder: Path) -> int:
    """How many whole messages a reader takes while two other processes write as fast as they can."""
    folder.mkdir()
    writer = [sys.executable, "-c", WRITER]
    writers = [
        subprocess.Popen([*writer, str(folder), OURS, name, str(MESSAGES)], stderr=subprocess.DEVNULL)
        for name in ("one", "other")
    ]
    options = {
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.001,
    }
    taken = 0
    try:
        with Connection(transport=OURS, transport_options=options) as broker:
            queue = broker.SimpleQueue("work")
            while taken < 2 * MESSAGES:
                queue.get(timeout=60).ack()
                taken += 1
    finally:
        for child in writers:
            child.kill()
            child.wait()
    return taken


def test_readers_take_whole_messages_while_others_write(tmp_path):
    assert read_all(tmp_path / "messages") == 2 * MESSAGES


def test_kombus_own_folder_does_not_hold_that(tmp_path, monkeypatch):
    """The reason for ours. Should this ever fail, kombu was mended and portal/folder_broker.py can go."""
    options = {"data_folder_in": str(tmp_path), "data_folder_out": str(tmp_path)}
    options["control_folder"] = str(tmp_path / "control")
    with (
        Connection(transport="filesystem", transport_options=options) as one,
        Connection(transport="filesystem", transport_options=options) as other,
    ):
        # A queue of its own: kombu binds one name once in a process, whatever the folder.
        writer, reader = one.SimpleQueue("unwritten"), other.SimpleQueue("unwritten")

        def reads_meanwhile(file: Any, _flags: int) -> None:
            """Between the name of a message's file and its text."""
            if str(file.name).endswith(".msg"):
                reader.get(block=False)

        monkeypatch.setattr(filesystem, "lock", reads_meanwhile)
        monkeypatch.setattr(filesystem, "unlock", lambda _file: None)
        with pytest.raises(ValueError, match="Expecting value"):
            writer.put({"number": 1})


BINDER = """
import sys, time
from kombu import Connection, Exchange, Queue
folder, transport, name, at = sys.argv[1:]
options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "/control"}
with Connection(transport=transport, transport_options=options) as broker:
    channel = broker.channel()
    while time.time() < float(at): pass  # all at the same moment
    for number in range(20):
        Queue(f"{name}-{number}", Exchange(f"roll-{number}", type="fanout"), routing_key="roll")(channel).declare()
"""


def bind_at_once(folder: Path) -> bool:
    """Whether four processes that bind queues to the same new exchanges at the same moment all come through, and every
    binding is kept."""
    folder.mkdir()
    begin = time.time() + 2
    binders = [
        subprocess.Popen([sys.executable, "-c", BINDER, str(folder), OURS, name, str(begin)], stderr=subprocess.DEVNULL)
        for name in "abcd"
    ]
    came_through = [binder.wait() == 0 for binder in binders]
    tables = [json.loads(table.read_text()) for table in (folder / "control").glob("*.exchange")]
    return all(came_through) and [len(table) for table in tables] == [4] * 20


def test_workers_that_start_together_all_hear_the_same_exchange(tmp_path):
    assert bind_at_once(tmp_path / "ours")
