"""The process of one training: python -m ctorrent.workloads.process DATA_FOLDER RUN_FOLDER. Started by desk.py.

It ends when its standard input does, or by SIGTERM; the node keeps the job of the epoch, and the run goes on with it later.
A byte on its input (desk.CANCEL) cancels it, and the job with it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from _thread import interrupt_main
from pathlib import Path
from types import FrameType
from typing import Any

from ctorrent.client import Net, attach
from ctorrent.errors import CTorrentError, Unavailable, WorkError
from ctorrent.workloads import desk
from ctorrent.workloads.registry import WORKLOADS, Order

WRITE_S = 0.2  # between two states on disk while nothing but the progress changes: nobody reads faster
NODE_S = 60.0  # a node that has gone away may be starting again
POLL_S = 0.5
LEAVE_S = 2.0  # to unwind; then the process ends all the same


class _Ending(BaseException):
    """We were asked to end."""


class _Cancelled(WorkError):
    """Its person wants it no more: what it left with the swarm is cancelled on the way out, as by any failure of it."""


_unwanted = threading.Event()


class _State:
    """state.json of a run."""

    def __init__(self, folder: Path) -> None:
        self._path, self._written = folder / "state.json", 0.0
        self._least = desk.read(self._path).get("progress", 0.0)  # an earlier life was that far, and its epochs are kept
        self._state = {"status": "running", "progress": self._least, "words": "begins", "began_unix": int(time.time())}
        self.put()

    def progress(self, done: float, words: str) -> None:
        """done: 0..1."""
        self._state |= {"progress": max(self._least, round(100 * min(1.0, max(0.0, done)), 1)), "words": words}
        if time.monotonic() - self._written >= WRITE_S:
            self.put()

    def put(self, **more: Any) -> None:
        self._written = time.monotonic()
        self._state |= more
        desk.write(self._path, self._state)


def main(data_dir: Path, folder: Path) -> None:
    """Run until the training has ended."""
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, _end)
    state = _State(folder)
    asked = json.loads((folder / "order.json").read_text())
    order = Order(Path(asked["dataset"]), asked["epochs"], folder, asked["replicas"], asked["name"])
    try:
        with _node(data_dir) as net:
            result = WORKLOADS[asked["model"]].run(net, order, state.progress)
        desk.tidy(folder)
        state.put(status="done", progress=100.0, words="done", ended_unix=int(time.time()), result=result)
    except _Cancelled:
        desk.tidy(folder)
        state.put(status="cancelled", words="was cancelled", ended_unix=int(time.time()))
    except Unavailable as error:
        if _node_is_there(data_dir):
            state.put(**desk.failure(error), ended_unix=int(time.time()))
        else:  # the node has gone, and takes us with it in a moment: the run goes on with its next life
            state.put(status="waiting", words="the node has stopped; goes on with it")
    except CTorrentError as error:
        desk.tidy(folder)
        state.put(**desk.failure(error), ended_unix=int(time.time()))


def _node(data_dir: Path) -> Net:
    until = time.monotonic() + NODE_S
    while True:
        try:
            return attach(data_dir)
        except Unavailable:
            if time.monotonic() > until:
                raise
        threading.Event().wait(POLL_S)


def _node_is_there(data_dir: Path) -> bool:
    try:
        attach(data_dir).close()
    except Unavailable:
        return False
    return True


def _leave_with_parent() -> None:
    """The pipe ends with the node, however it ends."""
    while os.read(sys.stdin.fileno(), 1):
        _unwanted.set()
        if hasattr(signal, "SIGKILL"):
            os.kill(os.getpid(), signal.SIGTERM)
        else:  # Windows ends a process that it is sent a signal
            interrupt_main(signal.SIGTERM)
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(LEAVE_S)
    os._exit(1)


def _end(number: int, frame: FrameType | None) -> None:
    if _unwanted.is_set():
        raise _Cancelled("This training was cancelled.")
    raise _Ending


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except (_Ending, _Cancelled):  # before it began, or twice
        sys.exit(0)
