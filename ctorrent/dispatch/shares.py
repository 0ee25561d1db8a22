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

    def others_fit(self, key: Owners, workers: Iterable[Worker], planned: int) -> bool:
        """Can workers that are not capped carry what waits under `key`, in at most twice the time all would take?

        Speeds are slots over measured seconds a block; while nobody was measured, all count alike.
        """
        everyone = free = 0.0
        for worker in workers:
            if not worker.here or worker.avoided or worker.owner in key:
                continue
            rate = worker.slots / max(worker.est_s, 1e-9) if worker.est_s is not None else 0.0
            rate = rate or float(worker.slots)
            everyone += rate
            if self.room(worker, planned):
                free += rate
        return free > 0 and free * self._rules.share_slowdown_max >= everyone
