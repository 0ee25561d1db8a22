"""A stop that harms nobody: no new blocks, what runs goes on to its end within a limit, results are delivered; then the end.

    SERVING ─drain─▶ DRAINING ─all ended and delivered, or the limit passed─▶ what is left is given back ─▶ STOPPED

What was not begun goes back to its requester at once. A result whose requester cannot be reached stays in the journal, and
is delivered after the next start; so is this node's own jobs' progress.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from ctorrent.door import Plain
from ctorrent.node.worker import Worker

LOOK_S = 0.1  # between looks at what is left: a person watches
FAREWELL_S = 2.0  # for words that are queued to leave


class Drain:
    """Of one node. limit_s: how long what runs may go on."""

    def __init__(self, worker: Worker, limit_s: float) -> None:
        self._worker, self._limit_s = worker, limit_s
        self._ends = math.inf
        self._told = trio.Event()

    @property
    def begun(self) -> bool:
        return self._told.is_set()

    def begin(self) -> Plain:
        """Begin, once. -> how far it is, as door.Door.drain() says."""
        if not self.begun:
            self._ends = trio.current_time() + self._limit_s
            self._worker.drain()
            self._told.set()
        left = max(0.0, self._ends - trio.current_time())
        return {"running": self._running(), "owed": self._deliverable(), "left_s": left}

    async def run(self, stop: trio.Event) -> None:
        """Wait for begin(); set `stop` when all is done or the limit has passed."""
        await self._told.wait()
        with trio.move_on_at(self._ends):
            await _until(lambda: not self._running() and not self._deliverable())
        for engagement in self._worker.engagements.values():
            engagement.give_back_all()
        with trio.move_on_after(FAREWELL_S):
            await _until(lambda: not any(session.unsaid() for session in self._worker.sessions().values()))
        stop.set()

    def _running(self) -> int:
        """Units that have begun here."""
        return sum(engagement.running() for engagement in self._worker.engagements.values())

    def _deliverable(self) -> int:
        """Results owed to requesters that are connected; the others are for another day."""
        near = self._worker.sessions()
        return sum(count for node, count in self._worker.owes().items() if node in near)


async def _until(quiet: Callable[[], bool]) -> None:
    """What runs and what was said change in many places: one look in a while costs less than a word from each."""
    while True:
        if quiet():
            return
        await trio.sleep(LOOK_S)
