"""When a worker's answers become final: after it passed so many checks of what it answered then or later. Pure.

A check of an older answer, which may come in late, says nothing about newer ones: whoever was honest until it was
trusted would be trusted for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ctorrent.model.ids import NodeId
from ctorrent.verify.ballot import Replica


@dataclass(slots=True)
class _Window:
    """Blocks that one worker answered together, and how many checks it passed since."""

    order: int
    blocks: list[int] = field(default_factory=list)
    passed: int = 0


class Windows:
    """Of one job: by worker, oldest first. `length`: checks that close a window."""

    __slots__ = ("_length", "_moved", "_queues")

    def __init__(self, length: int) -> None:
        self._length = length
        self._queues: dict[NodeId, deque[_Window]] = {}
        self._moved: dict[NodeId, None] = {}

    def open(self, worker: NodeId, index: int, order: int) -> None:
        """order: of this answer among the worker's."""
        queue = self._queues.setdefault(worker, deque())
        if not queue or queue[-1].order < order:
            queue.append(_Window(order))
        queue[-1].blocks.append(index)  # an older answer that was agreed on late waits with the newest

    def open_all(self, index: int, members: Iterable[Replica]) -> None:
        """Of all who gave a block its result."""
        for replica in members:
            self.open(replica.worker, index, replica.order)

    def passed(self, worker: NodeId, order: int) -> None:
        """Its answer of this order was right."""
        for window in self._queues.get(worker, ()):
            if window.order > order:
                break
            window.passed += 1
        self._moved[worker] = None

    def drop(self, worker: NodeId) -> None:
        """Its answers never become final by its own merit."""
        self._queues.pop(worker, None)
        self._moved.pop(worker, None)

    def moved(self, worker: NodeId) -> None:
        """It may be trusted now."""
        self._moved[worker] = None

    def take_moved(self) -> list[NodeId]:
        """Whose windows may have closed since this was asked last: a job has a thousand workers, an event one."""
        taken, self._moved = list(self._moved), {}
        return taken

    def closed(self, worker: NodeId) -> Iterator[int]:
        """Blocks whose window closed."""
        queue = self._queues.get(worker)
        while queue and queue[0].passed >= self._length:
            yield from queue.popleft().blocks
