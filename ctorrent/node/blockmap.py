"""The map of a job's blocks, for whoever looks: one state a block, and what changed since the last look.

A change costs a microsecond and a few bytes, so it is kept whether somebody looks or not. A look costs what changed.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import trio

from ctorrent.model.ids import JobId, NodeId
from ctorrent.model.live import BlockMap, BlockWorker
from ctorrent.node.jobbook import JobRecord, each_end, load_end
from ctorrent.ports import Journal

STATES = ("waiting", "running", "provisional", "settled", "disputed", "failed")
_NUMBER = {state: number for number, state in enumerate(STATES)}
WAITING, RUNNING, PROVISIONAL = range(3)
LOG_MIN = 8192  # changes that are remembered at least; a page that asks once a second misses none
LIFE_BITS = 21  # versions begin at the second of this life, shifted so: 2 million changes, and still a whole number in a browser
AGREED_MAX = 255
KEPT = 8  # maps of jobs that ended: 600 KB each with 100,000 blocks
BREATHE_EVERY = 512  # ends read from the journal before other tasks run


class BlockStates:
    """Of one job. now_unix: when this life of the job began."""

    def __init__(self, now_unix: float) -> None:
        self._base = int(now_unix) << LIFE_BITS
        self._state, self._agreed, self._worker = bytearray(), bytearray(), array("i")
        self._running: dict[int, list[int]] = {}  # block -> numbers of the workers that have it
        self._numbers: dict[NodeId, int] = {}
        self._log, self._forgotten = array("L"), 0  # blocks that changed, in order; how many before those

    @property
    def version(self) -> int:
        return self._base + self._forgotten + len(self._log)

    def began(self, worker: NodeId, indices: Iterable[int]) -> None:
        """A worker was given blocks."""
        number = self._number(worker)
        for index in indices:
            self._running.setdefault(index, []).append(number)
            self._fit(index)
            if self._state[index] in (WAITING, RUNNING):
                self._set(index, RUNNING, number, self._agreed[index])

    def over(self, worker: NodeId, indices: Iterable[int]) -> None:
        """It has them no longer. What is not decided, and nobody else has, waits."""
        number = self._number(worker)
        for index in indices:
            held = self._running.get(index, [])
            if number not in held:
                continue
            held.remove(number)
            if not held:
                del self._running[index]
            if self._state[index] == RUNNING:
                self._set(index, RUNNING if held else WAITING, held[-1] if held else self._worker[index], self._agreed[index])

    def decided(self, index: int, state: str, workers: Sequence[NodeId] = ()) -> None:
        """A block has a result, or will have none. workers: those that agree, the one whose output was kept first."""
        if state not in _NUMBER:  # a cancelled one waits for ever
            return
        self._fit(index)
        number = self._number(workers[0]) if workers else self._worker[index]
        self._set(index, _NUMBER[state], number, min(AGREED_MAX, len(workers)))

    def since(self, version: int, blocks: int, called: Callable[[NodeId], BlockWorker]) -> BlockMap:
        """What changed after a version; everything where that is not remembered."""
        first = version - self._base - self._forgotten
        indices: Iterable[int] = range(blocks)
        if 0 <= first <= len(self._log):
            indices = sorted({index for index in self._log[first:] if index < blocks})
        if blocks:
            self._fit(blocks - 1)
        changed: list[list[object]] = [[i, STATES[self._state[i]], self._worker[i], self._agreed[i]] for i in indices]
        return BlockMap(version=self.version, blocks=blocks, workers=[called(node) for node in self._numbers], changed=changed)

    def _number(self, worker: NodeId) -> int:
        return self._numbers.setdefault(worker, len(self._numbers))

    def _fit(self, index: int) -> None:
        more = index + 1 - len(self._state)
        if more > 0:  # a job that is open gets blocks while it runs
            self._state.extend(bytes(more))
            self._agreed.extend(bytes(more))
            self._worker.extend([-1] * more)

    def _set(self, index: int, state: int, worker: int, agreed: int) -> None:
        if (self._state[index], self._worker[index], self._agreed[index]) == (state, worker, agreed):
            return
        self._state[index], self._worker[index], self._agreed[index] = state, worker, agreed
        self._log.append(index)
        if len(self._log) > max(LOG_MIN, 2 * len(self._state)):
            half = len(self._log) // 2
            del self._log[:half]
            self._forgotten += half


class BlockMaps:
    """Of one node: maps of running jobs are their boards'; those of ended jobs are read from the journal."""

    def __init__(self, journal: Journal, unix: Callable[[], float]) -> None:
        self._journal, self._unix = journal, unix
        self._kept: OrderedDict[JobId, BlockStates] = OrderedDict()
        self._reading = trio.Lock()

    async def of(self, record: JobRecord, blocks: int, running: BlockStates | None) -> BlockStates:
        """The map of a job. running: of its board, while it has one."""
        found = running or self._kept.get(record.id)
        if found is None:
            async with self._reading:  # one at a time: a page of many jobs must not read the disk many times over
                found = self._kept.get(record.id) or await self._read(record, blocks)
        self._kept[record.id] = found
        self._kept.move_to_end(record.id)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    async def _read(self, record: JobRecord, blocks: int) -> BlockStates:
        states = BlockStates(self._unix())
        for number, (index, end) in enumerate(each_end(self._journal, record.id, blocks)):
            if end.state == "provisional":
                end = load_end(self._journal, record.id, index) or end
            states.decided(index, end.state, [NodeId(worker) for worker in end.workers])
            if number % BREATHE_EVERY == 0:
                await trio.lowlevel.checkpoint()
        return states
