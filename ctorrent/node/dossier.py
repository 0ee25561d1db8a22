"""What workers signed for this node's own jobs, kept as long as the job: who asserts something later can show it.

    dossier   job id ‖ assignment id   [[first, count, …], [head, nonce, lease_s, signature], [body, public, signature], openings, [output …], back]

One record per assignment that came back whole with every commitment holding. The first list is the blocks' indices, as
ranges, in the assignment's order; the second is the assignment without what the result says already (its blocks and its
worker), empty for one that an older version handed out; the third is the worker's sealed result; `openings` is, per block,
16 bytes of nonce and 32 of the output's digest. Small outputs follow as they are (empty: not so small): where a job rounds,
two digests that differ are no difference. `back` is for the requester's next life: [number, owner, alone, claim, usages],
of each block 24 bytes (CPU, GPU and wall seconds as f64). A replica of a block costs about 150 bytes, an assignment 500 more.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ctorrent.model.ids import Digest, JobId, NodeId, node_public
from ctorrent.model.portable import Opening
from ctorrent.model.result import NONCE_BYTES, OPENING_BYTES, Result, Usage
from ctorrent.model.trade import Assignment
from ctorrent.node import records
from ctorrent.ports import Journal, Put
from ctorrent.seal import Sealed
from ctorrent.wire import codec
from ctorrent.wire.codec_portable import ranges, spread

if TYPE_CHECKING:
    from ctorrent.node.returned import Given

SMALL_BYTES = 256  # of an output kept as it is: some numbers, which is what most programs that round answer
_USAGE = struct.Struct(">3d")
TERM = 1  # the requester coordinates its own jobs


@dataclass(frozen=True, slots=True)
class Back:
    """What is remembered of a unit's way back. claim: see Billing.claim. usages: as the worker says, one per block."""

    number: int
    owner: str
    alone: bool
    claim: tuple[float, ...]
    usages: tuple[Usage, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """One assignment of an own job that came back. `openings` and `indices` in the order of the result's lines."""

    id: Digest  # of the assignment
    indices: tuple[int, ...]
    result: Sealed
    openings: tuple[Opening, ...]
    assignment: Sealed | None  # None: handed out by a version that did not keep it
    outputs: tuple[bytes, ...] = ()  # in the same order, empty where larger than SMALL_BYTES; none of an older version
    back: Back | None = None  # None: of an older version

    def opened(self) -> Result:
        """The result, its signature checked. Raises PeerError."""
        return codec.open_result(self.result)

    def at(self, index: int) -> int:
        """The line of a block. Raises ValueError when it is not among them."""
        return self.indices.index(index)


def put(job: JobId, given: Given) -> Put:
    """The record of a unit whose commitments hold (`given.inside`)."""
    assert given.signed is not None and len(given.inside) == len(given.outputs)
    openings = b"".join(output.nonce + inside for output, inside in zip(given.outputs, given.inside, strict=True))
    terms = list(given.terms) if given.terms else []
    small = [output.data if output.data is not None and len(output.data) <= SMALL_BYTES else b"" for output in given.outputs]
    usages = b"".join(_USAGE.pack(one.usage.cpu_s, one.usage.gpu_s, one.usage.wall_s) for one in given.outputs)
    back = [given.number, given.owner, given.alone, list(given.claim), usages]
    value = [ranges(given.indices), terms, records.pack_sealed(given.signed), openings, small, back]
    return Put("dossier", job + given.id, records.pack(value))


def by_assignment(journal: Journal, job: JobId, assignment: Digest, coordinator: NodeId) -> Kept | None:
    """What came back for an assignment; None when nothing did, or it is forgotten. coordinator: who signed it."""
    value = journal.get("dossier", job + assignment)
    return None if value is None else _kept(job, assignment, records.load(value), coordinator)


def signed(journal: Journal, job: JobId, assignment: Digest) -> Sealed | None:
    """The result that came first for an assignment, in this life or before; None when none did."""
    value = journal.get("dossier", job + assignment)
    return None if value is None else records.unpack_sealed(records.load(value)[2])


def of_job(journal: Journal, job: JobId, coordinator: NodeId) -> Iterator[Kept]:
    """All of a job, in the order of their assignment ids; a part of them is in memory at a time."""
    for key, value in _pages(journal, job):
        yield _kept(job, Digest(key[len(job) :]), records.load(value), coordinator)


def returned(journal: Journal, job: JobId) -> Iterator[Kept]:
    """The same without the assignments, whose bytes take the longest to make."""
    for key, value in _pages(journal, job):
        flat, _, *rest = records.load(value)
        yield _kept(job, Digest(key[len(job) :]), [flat, [], *rest], NodeId(""))


def by_index(journal: Journal, job: JobId) -> dict[int, list[Digest]]:
    """Index of a block -> the assignments that returned it, of a whole job: read once and asked often."""
    found: dict[int, list[Digest]] = {}
    for key, value in _pages(journal, job):
        for index in spread(records.load(value)[0]):
            found.setdefault(index, []).append(Digest(key[len(job) :]))
    return found


def _pages(journal: Journal, job: JobId) -> Iterator[tuple[bytes, bytes]]:
    """The job's records, a 256th at a time: assignment ids are digests, so the parts are about equal."""
    for first in range(256):
        yield from journal.scan("dossier", job + bytes([first]))


def _kept(job: JobId, assignment: Digest, value: Any, coordinator: NodeId) -> Kept:
    flat, terms, result, openings, *small = value
    sealed = records.unpack_sealed(result)
    pieces = [openings[at : at + OPENING_BYTES] for at in range(0, len(openings), OPENING_BYTES)]
    opened = tuple(Opening(piece[:NONCE_BYTES], Digest(piece[NONCE_BYTES:])) for piece in pieces)
    given = _assignment(job, assignment, terms, sealed, coordinator) if terms else None
    back = _back(*small[1]) if len(small) > 1 else None
    return Kept(assignment, spread(flat), sealed, opened, given, tuple(small[0]) if small else (), back)


def _back(number: int, owner: str, alone: bool, claim: list[float], usages: bytes) -> Back:
    found = tuple(Usage(cpu_s, gpu_s, wall_s) for cpu_s, gpu_s, wall_s in _USAGE.iter_unpack(usages))
    return Back(number, owner, alone, tuple(claim), found)


def _assignment(job: JobId, identifier: Digest, terms: Any, sealed: Sealed, coordinator: NodeId) -> Sealed | None:
    """The signed bytes again: what is missing of them is in the result. None if that does not give the same ones."""
    head, nonce, lease_s, signature = terms
    result = codec.open_result(sealed)
    blocks = tuple(line.block for line in result.blocks)
    body = codec.assignment_bytes(Assignment(job, TERM, Digest(head), result.worker, nonce, lease_s, blocks))
    made = Sealed(body, node_public(coordinator), signature)
    return made if codec.assignment_id(made) == identifier else None
