"""How much of a job one owner, and all newcomers together, may take while others fit."""

from __future__ import annotations

from collections.abc import Iterable

from ctorrent.dispatch.blocks import Owners
from ctorrent.dispatch.words import Rules
from ctorrent.dispatch.workers import Worker


class Shares:
    """Counts replicas handed out, by owner and to newcomers."""

    __slots__ = ("_rules", "newcomers", "owners")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.owners: dict[str, int] = {}
        self.newcomers = 0

    def add(self, worker: Worker, blocks: int) -> None:
        """`blocks` may be negative: handed out in vain."""
        worker.assigned += blocks
        self.owners[worker.owner] = self.owners.get(worker.owner, 0) + blocks
        if worker.newcomer:
            self.newcomers += blocks

    def room(self, worker: Worker, planned: int) -> int:
        """Blocks it may take before it is capped: 0 when it is."""
        room = int(planned * self._rules.share_owner) - self.owners.get(worker.owner, 0)
        if worker.newcomer:
            room = min(room, int(planned * self._rules.share_newcomers) - self.newcomers)
        return max(0, room)

    def others_fit(self, key: Owners, workers: Iterable[Worker], planned: int, now: float) -> bool:
        """Can workers that are not capped carry what waits under `key`, in at most twice the time all would take?

        Speeds are slots over seconds a block, measured, or longer where a unit is out longer than that; those not
        measured yet count as the mean of those that are.
        """
        able = [w for w in workers if w.here and not w.avoided and w.owner not in key]
        seen = [w.est_s for w in able if w.est_s is not None]
        guess_s = sum(seen) / len(seen) if seen else 0.0
        rates = [w.slots / max(guess_s if w.est_s is None else w.est_s, w.quiet_s(now), 1e-9) for w in able]
        free = sum(rate for rate, w in zip(rates, able, strict=True) if self.room(w, planned))
        return free > 0 and free * self._rules.share_slowdown_max >= sum(rates)
