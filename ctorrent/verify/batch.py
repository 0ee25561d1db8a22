"""What one event settled, gathered, so that a thousand blocks make two effects."""

from __future__ import annotations

from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.result import Verdict
from ctorrent.verify.words import Agreed, Effect, Settled, Voted


class Batch:
    """Agreements by kind and votes by worker, of one call of handle()."""

    __slots__ = ("_finals", "_provisional", "_said", "agreed", "votes")

    def __init__(self, provisional: bool = False) -> None:
        self._provisional = provisional  # what is agreed on is not final, nor voted on yet, unless it is a failure
        self._finals = Settled([], [])
        self._said: dict[int, Agreed] = {}  # of what is provisional: a block may be agreed on twice in one call
        self.agreed: dict[tuple[bool, bool], Agreed] = {}
        self.votes: dict[tuple[NodeId, Verdict], list[int]] = {}

    def settle(
        self, index: int, digest: Digest, output: bytes | None, workers: tuple[NodeId, ...], failed: bool, cross: bool
    ) -> None:
        group = self.agreed.get((failed, cross))
        if group is None:
            later = self._provisional and not failed
            group = self.agreed[failed, cross] = Agreed([], [], [], [], failed, cross, later)
        if self._provisional:
            if index in self._said:
                _take_out(self._said[index], index)
            self._said[index] = group
        group.indices.append(index)
        group.digests.append(digest)
        group.outputs.append(output)
        group.workers.append(workers)
        if cross and not self._provisional:
            for worker in workers:
                self.vote(worker, Verdict.AGREED, index)

    def final(self, index: int, workers: tuple[NodeId, ...]) -> None:
        """A provisional block stays as it is."""
        self._finals.indices.append(index)
        self._finals.workers.append(workers)

    def vote(self, worker: NodeId, how: Verdict, index: int) -> None:
        self.votes.setdefault((worker, how), []).append(index)

    def agreements(self) -> list[tuple[NodeId, int]]:
        """Workers whose answers were agreed on, and how many."""
        return [(worker, len(indices)) for (worker, how), indices in self.votes.items() if how is Verdict.AGREED]

    def effects(self) -> list[Effect]:
        return [*self.agreed.values(), *self.last()]

    def last(self) -> list[Effect]:
        """What became final, and votes."""
        voted = [Voted(worker, how, indices) for (worker, how), indices in self.votes.items()]
        finals: list[Effect] = [self._finals] if self._finals.indices else []
        return [*finals, *voted]


def _take_out(group: Agreed, index: int) -> None:
    """Only the last word on a block is said."""
    at = group.indices.index(index)
    for column in (group.indices, group.digests, group.outputs, group.workers):
        del column[at]
