"""What came back before a restart, from the dossiers: answers to blocks that are not final count on after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ctorrent.errors import PeerError
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.result import Committed, Usage
from ctorrent.node import dossier
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.returned import Replica
from ctorrent.ports import Journal
from ctorrent.verify import words as q


@dataclass(frozen=True, slots=True)
class Line:
    """One block's answer in a unit."""

    index: int
    committed: Committed
    digest: Digest  # of the output
    output: bytes | None  # where it is small
    usage: Usage


@dataclass(frozen=True, slots=True)
class Unit:
    """One assignment that came back whole, and what its worker asked for it: see Billing.claim."""

    assignment: Digest
    number: int
    worker: NodeId
    owner: str
    fingerprint: Digest
    alone: bool
    lines: tuple[Line, ...]
    claim: tuple[float, ...]

    @property
    def order(self) -> int:
        """Among its worker's answers."""
        return self.number + 1

    def kept(self, line: Line, blob: Digest | None) -> Replica:
        """As Ends remembers it."""
        return Replica(
            self.assignment, line.committed.commitment, line.usage.wall_s, "", b"", blob, self.owner, self.fingerprint,
            self.order, self.alone,
        )  # fmt: skip

    def voice(self, line: Line) -> q.Voice:
        return q.Voice(self.worker, self.owner, self.fingerprint, line.digest, line.output, self.order, self.alone)


def units(journal: Journal, record: JobRecord, wanted: Callable[[int], bool]) -> list[Unit]:
    """Those with a block that is wanted, in the order they were handed out."""
    return sorted(_units(journal, record, wanted), key=lambda unit: unit.number)


def _units(journal: Journal, record: JobRecord, wanted: Callable[[int], bool]) -> Iterator[Unit]:
    for kept in dossier.returned(journal, record.id):
        if kept.back is None or not any(map(wanted, kept.indices)):
            continue
        try:
            result = kept.opened()
        except PeerError:
            continue  # our own record of what was checked once: a damaged one says nothing
        lines = tuple(
            Line(index, committed, opening.output, output or None, usage)
            for index, committed, opening, output, usage in zip(
                kept.indices, result.blocks, kept.openings, kept.outputs, kept.back.usages, strict=True
            )
        )
        back = kept.back
        yield Unit(kept.id, back.number, result.worker, back.owner, result.fingerprint, back.alone, lines, back.claim)
