"""One engaged worker as dispatch sees it: credit, measured speed, the size of its next unit, its strikes."""

from __future__ import annotations

import math
from collections import deque

from ctorrent.dispatch.words import Rules, WorkerJoined
from ctorrent.model.ids import NodeId

_EST_WEIGHT = 0.5  # of the newest measurement: blocks of one job are alike, and the first ones pay for imports


class Worker:
    """Mutable bookkeeping of one worker in one job."""

    __slots__ = (
        "assigned", "avoided", "blocks_done", "blocks_out", "busy_s", "credit", "est_s", "handbacks", "here", "id", "inflight",
        "last_return", "newcomer", "owner", "paused_until", "quiet_since", "reruns", "size", "slots", "strikes", "weight",
    )  # fmt: skip

    def __init__(self, joined: WorkerJoined, unit_first: int = 1) -> None:
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
        self.handbacks = 0
        self.paused_until = 0.0
        self.avoided = False
        self.assigned = 0  # block replicas
        self.reruns: deque[int] = deque()
        self.rejoin(joined)

    def rejoin(self, joined: WorkerJoined) -> None:
        self.owner = joined.owner
        self.credit = max(0, joined.credit)
        self.slots = max(1, joined.slots)
        self.weight = joined.weight
        self.newcomer = joined.newcomer
        self.here = True

    def sent(self, blocks: int, now: float) -> None:
        """It was given a unit."""
        if not self.inflight:
            self.quiet_since = now
        self.inflight += 1
        self.blocks_out += blocks

    def over(self, blocks: int, now: float) -> None:
        """It no longer has a unit, whatever the reason."""
        self.inflight -= 1
        self.blocks_out -= blocks
        self.quiet_since = now

    def quiet_s(self, now: float) -> float:
        """Seconds a block takes at least, judging by how long nothing came back."""
        return max(0.0, now - self.quiet_since) / self.blocks_out if self.blocks_out else 0.0

    def ready(self, now: float) -> bool:
        """May it be sent a unit now?"""
        return self.here and not self.avoided and self.inflight < self.credit and self.paused_until <= now

    def returned(self, blocks: int, wall_s: float, sent: float, now: float, rules: Rules) -> None:
        """A unit of `blocks` came back: learn its speed, let the next one grow."""
        if 0.0 <= wall_s < math.inf:  # its claim; anything else teaches nothing
            each = wall_s / blocks
            self.est_s = each if self.est_s is None else self.est_s + _EST_WEIGHT * (each - self.est_s)
            target = rules.unit_target_s / max(self.est_s, 1e-9)
            self.size = max(1, min(self.size * rules.unit_growth, rules.unit_blocks_max, int(target)))
        busy = max(0.0, now - max(sent, self.last_return)) * min(self.slots, self.inflight + 1)
        self.blocks_done += blocks
        self.busy_s += busy
        self.last_return = now
        self.strikes = self.handbacks = 0

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
