"""How often each peer finished what this node gave it: own experience only, over restarts."""

from __future__ import annotations

from ctorrent.canon import encode
from ctorrent.model.ids import NodeId, node_id, node_public
from ctorrent.node import records
from ctorrent.ports import Journal, Put

FADE_ABOVE = 1000.0  # assignments; then both counts are halved, so that the past fades


class Experience:
    """Counts of assignments finished and lost."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._counts: dict[NodeId, tuple[float, float]] = {}
        for key, value in journal.scan("experience"):
            finished, lost = records.load(value)
            self._counts[node_id(key)] = (finished, lost)

    def of(self, node: NodeId) -> tuple[float, float]:
        """(finished, lost)."""
        return self._counts.get(node, (0.0, 0.0))

    def add(self, node: NodeId, finished: int = 0, lost: int = 0) -> None:
        good, bad = self.of(node)
        good, bad = good + finished, bad + lost
        if good + bad > FADE_ABOVE:
            good, bad = good / 2, bad / 2
        self._counts[node] = (good, bad)

    def puts(self, nodes: list[NodeId]) -> list[Put]:
        """Records to keep, at a job's end."""
        return [Put("experience", node_public(node), encode(list(self.of(node)))) for node in nodes]
