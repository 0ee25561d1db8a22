"""How much of a job one owner, and all newcomers together, may take while others fit.

Among strangers who passed no checks yet get a trickle once there are others enough: whoever comes back under a new name
after each ban would else get as much each time as in the beginning.
"""

from __future__ import annotations

from collections.abc import Iterable

from ctorrent.dispatch.blocks import Owners
from ctorrent.dispatch.words import Rules
from ctorrent.dispatch.workers import Worker
from ctorrent.model.ids import NodeId

_LEAST_S = 1e-9  # a block takes: no rate is infinite


class Shares:
    """Counts replicas handed out, by owner and to newcomers."""

    __slots__ = ("_rules", "_strangers", "_turns", "newcomers", "owners")

    def __init__(self, rules: Rules, strangers: bool = False) -> None:
        self._rules, self._strangers = rules, strangers
        self.owners: dict[str, int] = {}
        self.newcomers = 0
        self._turns = 1.0  # blocks that the unproven may have now

    def add(self, worker: Worker, blocks: int) -> None:
        """`blocks` may be negative: handed out in vain."""
        worker.assigned += blocks
        turns = blocks * (self._rules.share_unproven if worker.proven else -1.0)
        most = self._rules.unproven_turns
        self._turns = max(-most, min(most, self._turns + turns))  # below zero: a unit is paid for when it went out
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
        measured yet count as the mean of those that are. Who makes answers up is as fast as it likes: among strangers
        nobody counts as much faster than most are, and nobody as faster at all before half of them were measured.
        """
        able = [w for w in workers if w.here and not w.avoided and w.owner not in key]
        fit = self._uncapped(able, planned)
        if not fit or len(fit) == len(able):
            return bool(fit)
        seen = sorted(w.est_s for w in able if w.est_s is not None)
        guess_s = sum(seen) / len(seen) if seen else 0.0
        least_s = _LEAST_S
        if self._strangers:
            if 2 * len(seen) < len(able):
                return len(fit) * self._rules.share_slowdown_max >= len(able)
            least_s = max(least_s, seen[len(seen) // 2] / self._rules.faster_most)
        free = everyone = 0.0
        for w in able:
            each_s = guess_s if w.est_s is None else w.est_s
            if w.blocks_out and (quiet_s := w.quiet_s(now)) > each_s:
                each_s = quiet_s
            rate = w.slots / (each_s if each_s > least_s else least_s)
            everyone += rate
            if w.id in fit:
                free += rate
        return free * self._rules.share_slowdown_max >= everyone

    def _uncapped(self, workers: list[Worker], planned: int) -> set[NodeId]:
        """Those of them that have room: asked of hundreds each turn, so not one by one."""
        most, owners = int(planned * self._rules.share_owner), self.owners
        if self.newcomers >= int(planned * self._rules.share_newcomers):
            workers = [w for w in workers if not w.newcomer]
        return {w.id for w in workers if owners.get(w.owner, 0) < most}

    def has_turn(self, worker: Worker) -> bool:
        """May it have work now, where there are others enough? Who passed its checks always may."""
        return worker.proven or self._turns >= 1.0

    def mostly_proven(self, workers: Iterable[Worker]) -> bool:
        """Are there others enough for the unproven to wait for their turns?"""
        places = unproven = 0
        for w in workers:
            if w.here and not w.avoided:
                places += w.slots
                unproven += 0 if w.proven else w.slots
        return unproven <= self._rules.unproven_most * places
