"""How long blocks took inside this machine's sandboxes: counted as they end, into a few buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from ctorrent.model.result import Outcome

BOUNDS_S = (0.001, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0)  # from a tiny block to an hour


class SandboxTimes:
    """Since the node's start."""

    bounds = BOUNDS_S

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0
        self.values = self.failures = 0

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Blocks that ended here."""
        for outcome in outcomes:
            self._counts[bisect_left(BOUNDS_S, outcome.usage.wall_s)] += 1
            self.sum_s += outcome.usage.wall_s
            if outcome.value is None:
                self.failures += 1
            else:
                self.values += 1

    def cumulative(self) -> list[int]:
        """Of each bound, how many took no longer; at last all."""
        found, total = [], 0
        for count in self._counts:
            total += count
            found.append(total)
        return found
