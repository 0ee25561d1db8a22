"""Who, asked to run a block again alone, contradicted itself: is it the program, or one machine? Pure.

Two signed answers of one worker to one block that differ prove that the program or that worker wavers; one block
cannot say which. Honest machines of one job waver alike, each in proportion to what it runs. So contradictions of
several owners are laid to the program; but an owner with so many that chance would hardly give them to it, while the
others that ran as much show few, wavers by itself.

Paper, for the bound: Hoeffding, "Probability inequalities for sums of bounded random variables", JASA 1963, theorem 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ctorrent.model.ids import NodeId
from ctorrent.verify.words import Rules


class Wavering:
    """Of one job. Counted by owner: one who has many machines is one."""

    __slots__ = ("_contradictions", "_owner_of", "_rules", "_runs", "unsteady")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._owner_of: dict[NodeId, str] = {}
        self._runs: dict[NodeId, int] = {}  # answers that were agreed on
        self._contradictions: dict[str, int] = {}
        self.unsteady: dict[str, None] = {}  # owners that waver by themselves

    def heard(self, worker: NodeId, owner: str) -> None:
        self._owner_of[worker] = owner

    def agreed(self, worker: NodeId, blocks: int) -> None:
        self._runs[worker] = self._runs.get(worker, 0) + blocks

    def is_unsteady(self, worker: NodeId) -> bool:
        return self._owner_of.get(worker) in self.unsteady

    def contradicted(self, owner: str) -> None:
        """An owner's worker gave two answers to one block."""
        self._contradictions[owner] = self._contradictions.get(owner, 0) + 1
        runs = self._runs_by_owner()
        for suspect, found in self._contradictions.items():
            if self._by_itself(found, runs[suspect], sum(runs.values()), len(runs)):
                self.unsteady[suspect] = None

    def is_the_program(self, found_out: Iterable[NodeId]) -> bool:
        """Do enough owners contradict themselves? Those `found_out` as liars or unsteady say nothing of the program."""
        left_out = {self._owner_of.get(worker) for worker in found_out}.union(self.unsteady)
        counts = [count for owner, count in self._contradictions.items() if owner not in left_out]
        rules, runs = self._rules, sum(self._runs.values())
        owners = len(set(self._owner_of.values()))
        enough = max(rules.waver_owners, rules.waver_owners_share * owners)
        return len(counts) >= enough and sum(counts) >= rules.waver_share * runs

    @property
    def anybody(self) -> bool:
        """Did an owner contradict itself that is not known to waver by itself?"""
        return any(owner not in self.unsteady for owner in self._contradictions)

    def _runs_by_owner(self) -> dict[str, int]:
        """Answers of each that were agreed on, or were contradictions."""
        runs = dict(self._contradictions)
        for worker, owner in self._owner_of.items():
            runs[owner] = runs.get(owner, 0) + self._runs.get(worker, 0)
        return runs

    def _by_itself(self, found: int, own_runs: int, all_runs: int, owners: int) -> bool:
        """Would honest machines give one of them so large a part of all contradictions less often than `waver_chance`?

        Under that assumption each contradiction is this owner's with the probability of its share of all runs.
        """
        total = sum(self._contradictions.values())
        part, share = found / total, own_runs / all_runs
        if part <= share or share <= 0.0:
            return False
        distance = part * math.log(part / share)
        if part < 1.0:
            distance += (1.0 - part) * math.log((1.0 - part) / (1.0 - share))
        return owners * math.exp(-total * distance) <= self._rules.waver_chance
