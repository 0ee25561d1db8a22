"""What one event settled, gathered, so that a thousand blocks make two effects."""

from __future__ import annotations

from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.result import Verdict
from ctorrent.verify.words import Agreed, Effect, Voted


class Batch:
    """Agreements by kind and votes by worker, of one call of handle()."""

    __slots__ = ("agreed", "votes")

    def __init__(self) -> None:
        self.agreed: dict[tuple[bool, bool], Agreed] = {}
        self.votes: dict[tuple[NodeId, Verdict], list[int]] = {}

    def settle(
        self, index: int, digest: Digest, output: bytes | None, workers: tuple[NodeId, ...], failed: bool, cross: bool
    ) -> None:
        group = self.agreed.get((failed, cross))
        if group is None:
            group = self.agreed[failed, cross] = Agreed([], [], [], [], failed, cross)
        group.indices.append(index)
        group.digests.append(digest)
        group.outputs.append(output)
        group.workers.append(workers)
        if cross:
            for worker in workers:
                self.vote(worker, Verdict.AGREED, index)

    def vote(self, worker: NodeId, how: Verdict, index: int) -> None:
        self.votes.setdefault((worker, how), []).append(index)

    def agreements(self) -> list[tuple[NodeId, int]]:
        """Workers whose answers were agreed on, and how many."""
        return [(worker, len(indices)) for (worker, how), indices in self.votes.items() if how is Verdict.AGREED]

    def effects(self) -> list[Effect]:
        voted = [Voted(worker, how, indices) for (worker, how), indices in self.votes.items()]
        return [*self.agreed.values(), *voted]
