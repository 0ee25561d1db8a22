"""Every block of a job in a few bytes, and the queues of replicas that wait for a worker.

A queue is named by the owners its blocks must avoid (those that run or ran them), so that a worker finds work it may
do without looking at a block it may not; a homogeneous job's also by the hardware class in which its blocks were begun,
as a mark among the owners. Entries go stale and are checked when taken: cheaper than searching a queue.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Sequence

from ctorrent.dispatch.words import BlockState

Owners = tuple[str, ...]  # sorted; equal tuples are one object here
MARK = "="  # begins a hardware class; no owner begins so
Queues = dict[Owners, "deque[int]"]
EXCUSED_MOST = 4  # times its attempts a block is lost at most, whoever lost it: it may be what ends its workers after all


class Blocks:
    """State of all blocks. Callers keep to the methods; the arrays are public to be read."""

    __slots__ = (
        "_keys", "_running_total", "alone", "audits", "excused", "final", "got", "losses", "need", "open", "overtaken", "planned", "queues", "ran",
        "running", "sizes", "tokens", "urgent",
    )  # fmt: skip

    def __init__(self) -> None:
        self.need = bytearray()  # replicas to hand out
        self.running = bytearray()  # replicas with workers
        self.got = bytearray()  # replicas delivered
        self.losses = bytearray()  # assignments lost
        self.final = bytearray()  # BlockState from PROVISIONAL up, or 0
        self.sizes = array("I")
        self.ran: list[Owners] = []
        self.queues: Queues = {(): deque()}
        self.urgent: Queues = {}  # blocks that run alone
        self.alone: dict[int, None] = {}
        self.audits: dict[int, None] = {}  # a replica of them was drawn: to look once more, not what the policy needs
        self.excused: dict[int, int] = {}  # of its losses, those that say more of the worker than of the block
        self.overtaken: dict[int, int] = {}  # how often taken back from a worker that took too long
        self.tokens = 0  # sum of need over undecided blocks
        self.planned = 0  # replicas ever asked for
        self.open = 0  # blocks without a final state
        self._keys: dict[Owners, Owners] = {(): ()}

    def __len__(self) -> int:
        return len(self.final)

    def append(self, count: int, replicas: int, sizes: Sequence[int]) -> None:
        """`count` more blocks, each wanting `replicas`."""
        first = len(self)
        self.need.extend(bytes([replicas]) * count)
        for column in (self.running, self.got, self.losses, self.final):
            column.extend(bytes(count))
        padded = [min(size, 0xFFFFFFFF) for size in sizes[:count]]
        self.sizes.extend(padded + [0] * (count - len(padded)))
        self.ran.extend([()] * count)
        self.queues[()].extend(range(first, first + count))
        self.tokens += replicas * count
        self.planned += replicas * count
        self.open += count

    def state(self, index: int) -> BlockState:
        """As people are told it."""
        if self.final[index]:
            return BlockState(self.final[index])
        return BlockState.RUNNING if self.running[index] or self.got[index] else BlockState.WAITING

    def take(self, queues: Queues, key: Owners, owner: str, count: int, bytes_max: int, mark: str = "") -> list[int]:
        """Hand out one replica each of at most `count` blocks of a queue to `owner`. May be empty: all were stale.

        mark: of its hardware class, where the job is homogeneous.
        """
        queue, size = queues[key], 0
        taken: list[int] = []
        now_ran = self._with(key, owner, mark)
        need, final, ran, sizes = self.need, self.final, self.ran, self.sizes
        while queue and len(taken) < count:
            index = queue[0]
            if final[index] or not need[index]:
                queue.popleft()
                continue
            if ran[index] is not key or (queues is self.queues and index in self.alone):
                queue.popleft()
                self._place(index)
                continue
            size += sizes[index]
            if taken and size > bytes_max:
                break
            ran[index] = now_ran  # at once: a block may wait here twice, and must not be twice in a unit
            taken.append(queue.popleft())
        self._hand_out(taken, now_ran)
        if not queue and key:
            del queues[key]
        return taken

    def hand_drawn(self, index: int, owner: str, mark: str = "") -> bool:
        """The replica that was drawn for this owner goes out. False: not to it, not any more."""
        if self.final[index] or not self.need[index] or owner in self.ran[index]:
            return False
        self.ran[index] = self._with(self.ran[index], owner, mark)
        self.running[index] += 1
        self.need[index] -= 1
        self.tokens -= 1
        return True

    def hand_again(self, index: int) -> bool:
        """The same owner runs the block once more. False: it is decided."""
        if self.final[index]:
            return False
        self.running[index] += 1
        return True

    def hand_copy(self, index: int, owner: str) -> None:
        """A copy for a straggler: no replica of the policy's count."""
        self.running[index] += 1
        self.ran[index] = self._with(self.ran[index], owner)

    def delivered(self, indices: Sequence[int]) -> list[int]:
        """Positions in `indices` that somebody still wants; counts them."""
        final, running, got = self.final, self.running, self.got
        wanted = []
        for position, index in enumerate(indices):
            running[index] -= 1
            if not final[index]:
                got[index] += 1
                wanted.append(position)
        return wanted

    def adopt_late(self, index: int, owner: str, apart: bool) -> bool:
        """A replica came after its lease: does it still help? Then it takes the place of one that waits.

        apart: only while nobody else had the block since, for whoever holds back may have a friend among those.
        """
        if self.final[index] or owner in self.ran[index] or (apart and (self.running[index] or self.got[index])):
            return False
        self.ran[index] = self._with(self.ran[index], owner)
        self.got[index] += 1
        if self.need[index]:
            self.need[index] -= 1
            self.tokens -= 1
        return True

    def worn_out(self, index: int, attempts: int) -> bool:
        """Was it lost too often to be tried again?"""
        losses = self.losses[index]
        return losses - self.excused.get(index, 0) >= attempts or losses >= min(255, EXCUSED_MOST * attempts)

    def lost(self, index: int, owner: str, wanted: bool, counts: bool, excused: bool = False) -> None:
        """A first-time replica will not come back. `wanted`: hand it out anew; `counts`: as a loss of this block."""
        self.running[index] -= 1
        if self.final[index]:
            return
        if counts and self.losses[index] < 255:
            self.losses[index] += 1
            if excused:
                self.excused[index] = self.excused.get(index, 0) + 1
        left = tuple(o for o in self.ran[index] if o != owner)
        self.ran[index] = self._key(left if owners_in(left) else ())
        if wanted:
            self._ask(index, 1)
        elif self.need[index]:
            self._place(index)

    def ask(self, index: int, count: int, avoid: Iterable[str], queued: bool = True) -> None:
        """`count` more replicas of an undecided block, by none of `avoid`. queued: for anybody to take."""
        if self.final[index]:
            return
        for owner in avoid:
            self.ran[index] = self._with(self.ran[index], owner)
        count = min(count, 255 - self.need[index])
        self.planned += count
        if queued:
            self._ask(index, count)
        else:
            self.audits[index] = None
            self.need[index] += count
            self.tokens += count

    def queue(self, index: int) -> None:
        """A drawn replica is for anybody to take now."""
        if self.need[index] and not self.final[index]:
            self._place(index)

    def queued(self) -> bool:
        """Does any replica wait for whoever may take it?"""
        return bool(self.tokens) and (any(self.queues.values()) or any(self.urgent.values()))

    def reopen(self, index: int) -> None:
        """A provisional block is undecided again."""
        if self.final[index] == BlockState.PROVISIONAL:
            self.final[index] = 0
            self.open += 1

    def drop_need(self, index: int) -> None:
        """Nobody is there for the replicas that wait."""
        self.tokens -= self.need[index]
        self.need[index] = 0

    def run_alone(self, index: int) -> None:
        """From now on this block never shares a unit."""
        if index not in self.alone:
            self.alone[index] = None
            if self.need[index] and not self.final[index]:
                self._place(index)

    def decide(self, index: int, state: BlockState) -> bool:
        """Final word on a block. False: it had one, which stays (provisional may still become another)."""
        now = self.final[index]
        if now == state or now > BlockState.PROVISIONAL:
            return False
        if not now:
            self.open -= 1
            self.tokens -= self.need[index]
            self.need[index] = 0
            self.alone.pop(index, None)
            self.audits.pop(index, None)
        self.final[index] = state
        return True

    def count(self, state: BlockState) -> int:
        return self.final.count(int(state))

    def _ask(self, index: int, count: int) -> None:
        self.need[index] += count
        self.tokens += count
        self._place(index)

    def _place(self, index: int) -> None:
        queues = self.urgent if index in self.alone else self.queues
        queues.setdefault(self.ran[index], deque()).append(index)

    def _hand_out(self, taken: list[int], key: Owners) -> None:
        need, running, alone = self.need, self.running, self.alone
        rest = self.queues.get(key)
        for index in taken:
            running[index] += 1
            need[index] -= 1
            if need[index]:
                if index in alone:
                    self._place(index)
                else:
                    if rest is None:
                        rest = self.queues.setdefault(key, deque())
                    rest.append(index)
        self.tokens -= len(taken)

    def _with(self, key: Owners, owner: str, mark: str = "") -> Owners:
        fresh = [word for word in (owner, mark) if word and word not in key]
        return self._key(tuple(sorted((*key, *fresh)))) if fresh else key

    def _key(self, key: Owners) -> Owners:
        return self._keys.setdefault(key, key)


def owners_in(key: Owners) -> int:
    """How many owners a queue's name holds."""
    return sum(not word.startswith(MARK) for word in key)


def mark_in(key: Owners) -> str:
    """The hardware class that its blocks must stay in, as a mark; "" where any will do."""
    return next((word for word in key if word.startswith(MARK)), "")
