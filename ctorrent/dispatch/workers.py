"""One engaged worker as dispatch sees it: credit, measured speed, the size of its next unit, its strikes."""

from __future__ import annotations

import math
from collections import deque

from ctorrent.dispatch.words import Rules, WorkerJoined
from ctorrent.model.ids import NodeId

PAUSE_MOST_S = 60.0  # whatever its clock says: what it is asked to run again waits as long, and a unit is meant to take 10 s
RETURNS_A_LOSS = 4  # units; of five workers one that hangs up each fifth time loses a block five times in a row once in 10^7
_EST_WEIGHT = 0.5  # of the newest measurement: blocks of one job are alike, and the first ones pay for imports


class Worker:
    """Mutable bookkeeping of one worker in one job."""

    __slots__ = (
        "_free", "assigned", "avoided", "blocks_done", "blocks_out", "burst", "busy_s", "credit", "drawn", "est_s", "established",
        "excluded", "handbacks", "hardware_class", "here", "id", "inflight", "kin", "last_return", "newcomer", "owner",
        "paused_until", "proven", "quiet_since", "reruns", "size", "slots", "strikes", "units_back", "units_lost", "weight",
    )  # fmt: skip

    def __init__(self, joined: WorkerJoined, free: dict[NodeId, Worker], unit_first: int = 1) -> None:
        """free: the job's list of workers with credit left, on which it keeps its own name."""
        self._free = free
        self.id: NodeId = joined.worker
        self.inflight = 0  # units
        self.est_s: float | None = None  # seconds a block, by its own clock: sizes units, never ranks
        self.size = unit_first  # blocks in its next unit at most
        self.blocks_done = 0
        self.busy_s = 0.0  # by the coordinator's clock: what the market may believe
        self.last_return = 0.0
        self.blocks_out = 0  # with it now
        self.quiet_since = 0.0  # it has work and said nothing
        self.strikes = 0
        self.units_back = self.units_lost = 0
        self.handbacks = 0
        self.burst = 0  # of them, in the pause that goes on
        self.paused_until = 0.0
        self.avoided = False
        self.excluded = False  # and that is why
        self.assigned = 0  # block replicas
        self.reruns: deque[int] = deque()
        self.drawn: dict[int, float] = {}  # blocks that the draw gave it, and since when they wait
        self.established = False
        self.proven = False  # it was established once, here or before
        self.owner = joined.owner  # as long as the job: with another certificate it would get its own blocks again
        self.rejoin(joined)

    def rejoin(self, joined: WorkerJoined) -> None:
        self.credit = max(0, joined.credit)
        self.slots = max(1, joined.slots)
        self.weight = joined.weight
        self.newcomer = joined.newcomer
        self.proven = self.proven or not joined.newcomer
        self.hardware_class, self.kin = joined.hardware_class, joined.kin
        self.here = True
        self._list()

    def leave(self) -> None:
        """Its session ended."""
        self.here = False
        self._list()

    def avoid(self) -> None:
        """It gets nothing more of this job."""
        self.avoided = True
        self._list()

    def exclude(self) -> None:
        """It is about to be avoided by quorum's word, which may be taken back."""
        self.excluded = not self.avoided

    def readmit(self) -> None:
        """That word is taken back: it may join again."""
        if self.excluded:
            self.excluded = self.avoided = self.here = False
            self._list()

    def stands(self, established: bool, now: float, pause_units: float) -> None:
        """Quorum's word on it. Who was wrong waits while what it answered is looked at: answers in doubt are all run again."""
        if self.established and not established and self.est_s is not None:
            pause_s = min(PAUSE_MOST_S, pause_units * self.size * self.est_s)
            self.paused_until = max(self.paused_until, now + pause_s)
        self.established = established
        self.proven = self.proven or established

    def sent(self, blocks: int, now: float) -> None:
        """It was given a unit."""
        if not self.inflight:
            self.quiet_since = now
        self.inflight += 1
        self.blocks_out += blocks
        self._list()

    def over(self, blocks: int, now: float) -> None:
        """It no longer has a unit, whatever the reason."""
        self.inflight -= 1
        self.blocks_out -= blocks
        self.quiet_since = now
        self._list()

    def handed_back(self, again: bool) -> None:
        """A unit came back unrun; again: it was not paused for another. All that it had at once is one refusal.

        Who keeps some of it chose, and each that it did not choose counts.
        """
        self.burst = 1 if again else self.burst + 1
        self.handbacks += 1
        if not self.inflight:
            self.handbacks -= self.burst - 1
            self.burst = 1

    def quiet_s(self, now: float) -> float:
        """Seconds a block takes at least, judging by how long nothing came back."""
        return max(0.0, now - self.quiet_since) / self.blocks_out if self.blocks_out else 0.0

    def reliable(self) -> bool:
        """Does it return what it takes? Who does not says nothing of a block by losing it; who hangs up may do so at will."""
        return self.units_back >= RETURNS_A_LOSS * self.units_lost

    def free(self) -> bool:
        """Has it credit left?"""
        return self.here and not self.avoided and self.inflight < self.credit

    def ready(self, now: float) -> bool:
        """May it be sent a unit now?"""
        return self.paused_until <= now and self.free()

    def _list(self) -> None:
        if self.free():
            self._free[self.id] = self
        else:
            self._free.pop(self.id, None)

    def returned(self, blocks: int, wall_s: float, sent: float, now: float, rules: Rules) -> None:
        """A unit of `blocks` came back: learn its speed, let the next one grow."""
        if 0.0 <= wall_s < math.inf:  # its claim; anything else teaches nothing
            each = wall_s / blocks
            self.est_s = each if self.est_s is None else self.est_s + _EST_WEIGHT * (each - self.est_s)
            target = rules.unit_target_s / max(self.est_s, 1e-9)
            self.size = max(1, min(self.size * rules.unit_growth, rules.unit_blocks_max, int(target)))
        busy = max(0.0, now - max(sent, self.last_return)) * min(self.slots, self.inflight + 1)
        self.blocks_done += blocks
        self.units_back += 1
        self.busy_s += busy
        self.last_return = now
        self.strikes, self.handbacks = 0, max(0, self.handbacks - 1)  # one for one: else it might look for its friends' blocks

    def lease_s(self, blocks: int, losses: int, block_s: float, rules: Rules) -> float:
        """How long a unit sent now may take, behind the units it already has.

        Never more than the job allows a block, times blocks; four times longer after each loss, since a block that
        takes much longer than its neighbours must finish some day.
        """
        longest = block_s * blocks
        if self.est_s is not None:
            expected = max(rules.lease_min_s, rules.lease_factor * self.est_s * blocks)
            longest = min(longest, expected * 4 ** min(losses, 8))
        return float(longest * (1 + self.inflight // self.slots) + rules.lease_grace_s)
