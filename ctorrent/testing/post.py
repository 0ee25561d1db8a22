"""Everything that is under way: what is to happen at which time, in one queue and one task."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

import trio


class Post:
    """Calls plain functions at their times, in order of time, then of posting."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._wake = trio.Event()

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Have `call` made at `when` (trio time). What it raises ends the simulation: it is a bug."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, call))
        if self._heap[0][1] == self._count:
            self._wake.set()

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        self.at(trio.current_time() + delay_s, call)

    async def run(self) -> None:
        while True:
            self._wake = trio.Event()
            with trio.move_on_at(self._heap[0][0] if self._heap else math.inf):
                await self._wake.wait()
            now = trio.current_time()  # simulated time stands still while a task runs
            while self._heap and self._heap[0][0] <= now:
                heapq.heappop(self._heap)[2]()
