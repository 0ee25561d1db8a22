"""Receipt files of this node's own jobs: everything that was signed, in the bytes that were signed, under one root.

Made while it is sent: of outputs and inputs one piece is in memory, of blocks one, of what workers signed a small part.
Small outputs and inputs are inside, up to a budget; larger ones by digest, unless all data is wanted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import trio

from ctorrent.errors import LocalError, PeerError
from ctorrent.model.block import Block
from ctorrent.model.entry import EntryKind, Tally, Work, job_tag
from ctorrent.model.ids import Digest, NodeId, node_id, node_public
from ctorrent.model.portable import (
    Answer,
    BlockLine,
    Data,
    DataKind,
    Head,
    Part,
    Piece,
    SealedKind,
    SealedPart,
    Tag,
    Unit,
)
from ctorrent.model.result import output_digest
from ctorrent.node import dossier, jobbook, records
from ctorrent.node.dossier import Kept
from ctorrent.node.jobbook import End, JobRecord
from ctorrent.node.people import People
from ctorrent.node.world import World
from ctorrent.plan import codemap
from ctorrent.seal import Sealed
from ctorrent.wire import codec
from ctorrent.wire.codec_portable import RULES
from ctorrent.wire.portable import DataHash, PartWriter

BREATHE_EVERY = 64  # parts between two checkpoints: ~5 ms
NO_OUTPUT = bytes(32)
GIVEN_BYTES = 256 << 10  # at once: fewer only cost more frames


@dataclass(frozen=True, slots=True)
class InsideRules:
    """What rides in a file that was not asked to hold all data."""

    item_bytes: int = 1 << 20  # one output, input or file: as a mail attachment may
    total_bytes: int = 64 << 20  # of outputs; as much again of inputs; as much of the job's files


RULES_INSIDE = InsideRules()


@dataclass(slots=True)
class _Room:
    """How much more rides inside."""

    all: bool
    rules: InsideRules
    left: int = 0

    def __post_init__(self) -> None:
        self.left = self.rules.total_bytes

    def take(self, size: int) -> bool:
        fits = self.all or (size <= self.rules.item_bytes and size <= self.left)
        self.left -= size if fits and not self.all else 0
        return fits


@dataclass(slots=True)
class _Job:
    """A job whose file is being made."""

    record: JobRecord
    blocks: list[Block]
    outputs: _Room
    inputs: _Room
    files: _Room
    lost: int = 0  # results that a settled job had, and the journal has no more
    signed: dict[NodeId, bytearray] = field(default_factory=dict)  # a bit for each block that a worker signed a result of
    kept: bytearray = field(default_factory=bytearray)  # digests of the outputs that were kept, 32 bytes a block
    late: dict[Digest, tuple[Digest, int]] = field(default_factory=dict)  # large outputs that follow: digest -> blob, size


class Portable:
    """Makes them."""

    def __init__(self, world: World, people: People, rules: InsideRules = RULES_INSIDE) -> None:
        self._world, self._people, self._rules = world, people, rules

    async def file(self, record: JobRecord, with_data: bool) -> AsyncIterator[bytes]:
        """The file's bytes, some hundred KiB at a time. Raises LocalError while the job runs."""
        if record.open:
            raise LocalError(f"Job {record.name} is {record.state}: a receipt is made when it has ended.", f"Wait for it: ctorrent attach {record.name}")
        if not record.closed():
            raise LocalError(f"Job {record.name} ended without its close, by an error: there is nothing to sign for.", "Submit it again.")
        listed = JobRecord(record.job, record.draw_secret, record.job_secret, record.submitted_unix)
        jobbook.load_blocks(self._world.journal, listed)
        if (lost := record.named_blocks() - len(listed.blocks)) > 0:  # or the file would say that its own signer lies
            raise LocalError(f"Of job {record.name} {lost:,} blocks are lost, since the journal was damaged: no receipt of it would hold.", f"Run it again: ctorrent retry {record.name}")
        writer, count, ready = PartWriter(), 0, bytearray()
        ready += writer.begin()
        async for part in self._parts(record, listed.blocks, with_data):
            ready += writer.part(part)
            count += 1
            if count % BREATHE_EVERY == 0:
                await trio.lowlevel.checkpoint()
            if len(ready) >= GIVEN_BYTES:
                yield bytes(ready)
                ready.clear()
        yield bytes(ready) + writer.end(record.id, self._world.keys.node)

    async def _parts(self, record: JobRecord, blocks: list[Block], with_data: bool) -> AsyncIterator[Part]:
        room = _Room(with_data, self._rules), _Room(with_data, self._rules), _Room(with_data, self._rules)
        job = _Job(record, blocks, *room)
        yield Head(
            record.id, self._people.version, self._world.clock.unix(), record.state, record.reason[: RULES.text],
            len(job.blocks), with_data,
        )  # fmt: skip
        yield SealedPart(SealedKind.MANIFEST, record.job.sealed)
        yield SealedPart(SealedKind.OWNER, self._people.certificate)
        for sealed in record.amendments:
            yield SealedPart(SealedKind.AMENDMENT, sealed)
        yield Tag(record.job_secret)
        async for part in self._code(job):
            yield part
        async for part in self._results(job):
            yield part
        for part in self._entries(job):
            yield part
        async for part in self._answer(job):
            yield part
        async for part in self._data(job):
            yield part

    # -- the program --------------------------------------------------------------------------------------------------

    async def _code(self, job: _Job) -> AsyncIterator[Part]:
        """The list of files with the small ones in it, the lock, what amendments name, and larger files as far as they fit."""
        manifest = job.record.job.manifest
        links = [codec.open_amendment(sealed, manifest.requester) for sealed in job.record.amendments]
        for blob in dict.fromkeys(filter(None, (bytes(manifest.program.code), manifest.lock, *(link.blob for link in links)))):
            async for part in self._blob(Digest(blob), DataKind.BLOB, Digest(blob)):
                yield part
        try:
            code = codemap.decode(await self._world.blobs.get(manifest.program.code, codemap.MAP_BYTES_MAX))
        except (KeyError, PeerError):
            return
        for blob, size in code.large().items():
            if job.files.take(size):
                async for part in self._blob(blob, DataKind.BLOB, blob):
                    yield part

    # -- blocks and what was signed of them ---------------------------------------------------------------------------

    async def _results(self, job: _Job) -> AsyncIterator[Part]:
        record, journal = job.record, self._world.journal
        digests = self._large(record, len(job.blocks))
        for block in job.blocks:
            end = jobbook.load_end(journal, record.id, block.index) or End("cancelled")
            if end.state == "provisional":
                end = End("cancelled", words="its result was not final when the job ended")
            job.lost += record.state == "settled" and end.state == "cancelled"
            line = await self._line(job, block, end, digests.get(block.index))
            job.kept += line.output or NO_OUTPUT
            yield line
        for kept in dossier.of_job(journal, record.id, self._world.node):
            bits = job.signed.setdefault(node_id(kept.result.public), bytearray(len(job.blocks) // 8 + 1))
            for index in kept.indices:
                bits[index >> 3] |= 1 << (index & 7)
            yield Unit(kept.id, kept.indices, kept.assignment, kept.result, kept.openings, _others(job, kept))

    def _large(self, record: JobRecord, blocks: int) -> dict[int, Digest]:
        """Index -> the output's digest, of blocks whose kept output is a blob, as its worker signed it."""
        first: dict[int, NodeId] = {}
        for index, end in jobbook.each_end(self._world.journal, record.id, blocks):
            if end.blob and not end.output and end.workers:
                first[index] = NodeId(end.workers[0])
        if not first:
            return {}
        found: dict[int, Digest] = {}
        for kept in dossier.of_job(self._world.journal, record.id, self._world.node):
            wanted = [index for index in kept.indices if node_public(first.get(index, self._world.node)) == kept.result.public]
            found |= {index: kept.openings[kept.at(index)].output for index in wanted if index in first}
        return found

    async def _line(self, job: _Job, block: Block, end: End, signed: Digest | None) -> BlockLine:
        workers = tuple(NodeId(worker) for worker in end.workers)
        words = end.words[: RULES.text]
        if end.output:
            inside = end.output if job.outputs.take(len(end.output)) else None
            return BlockLine(block, end.state, output_digest(end.output), len(end.output), inside, workers, words)
        if not end.blob:
            return BlockLine(block, end.state, None, 0, None, workers, words)
        blob = Digest(end.blob)
        size = self._world.blobs.size(blob)
        if signed is None and size is not None:
            signed = await self._hashed(blob, size)
        if signed is not None and size is not None and job.outputs.take(size):
            job.late[signed] = blob, size
        return BlockLine(block, end.state, signed, size or 0, None, workers, words)

    async def _hashed(self, blob: Digest, size: int) -> Digest | None:
        hasher = DataHash(DataKind.OUTPUT, size)
        async for piece in self._pieces(blob, size):
            hasher.update(piece)
        return hasher.digest() if not hasher.left else None

    # -- the ledger, the answer, the data -----------------------------------------------------------------------------

    def _entries(self, job: _Job) -> Iterator[Part]:
        """This node's entries about the job: tallies and receipts of its tag.

        Where signed results were lost with a damaged journal, their worker's tallies stay out: readers take votes that go
        beyond what was signed for a lie.
        """
        tag = job_tag(job.record.id, job.record.job_secret)
        scanned = self._world.journal.scan("entry", node_public(self._world.node))
        found = [(sealed, said) for _, value in scanned if (said := _said(sealed := records.unpack_sealed(records.load(value)))) and said.job_tag == tag]
        agreed, blamed = Counter[NodeId](), Counter[NodeId]()
        for _, said in found:
            if isinstance(said, Tally):
                agreed[said.worker] += said.agreed
                blamed[said.worker] += said.disputed
        held = {worker: int.from_bytes(bits).bit_count() for worker, bits in job.signed.items()}
        for sealed, said in found:
            if not isinstance(said, Tally) or max(agreed[said.worker], blamed[said.worker]) <= held.get(said.worker, 0):
                yield SealedPart(SealedKind.ENTRY, sealed)

    async def _answer(self, job: _Job) -> AsyncIterator[Part]:
        record = job.record
        if job.lost:  # readers would make another answer of those that are left, and call this one wrong
            yield Answer(None, 0, f"of its results {job.lost:,} are lost, since the journal was damaged")
            return
        blob = Digest(record.answer) if record.answer else None
        size = (self._world.blobs.size(blob) if blob else 0) or 0
        yield Answer(blob, size, record.answer_error[: RULES.text])
        if blob and 0 < size <= self._rules.item_bytes:
            async for part in self._blob(blob, DataKind.BLOB, blob):
                yield part

    async def _data(self, job: _Job) -> AsyncIterator[Part]:
        for output, (blob, _) in job.late.items():
            async for part in self._blob(blob, DataKind.OUTPUT, output):
                yield part
        inputs = {ref.digest: ref.size_bytes for block in job.blocks for ref in block.inputs}
        for blob, size in inputs.items():
            if job.inputs.take(size):
                async for part in self._blob(blob, DataKind.BLOB, blob):
                    yield part

    async def _blob(self, blob: Digest, kind: DataKind, digest: Digest) -> AsyncIterator[Part]:
        """A blob's parts; none when it is not here, or damaged: then it is in the file by its digest only."""
        size = self._world.blobs.size(blob)
        if size is None or not await self._world.blobs.check(blob):
            return
        yield Data(kind, digest, size)
        async for piece in self._pieces(blob, size):
            yield Piece(piece)

    async def _pieces(self, blob: Digest, size: int) -> AsyncIterator[bytes]:
        for offset in range(0, size, RULES.piece_bytes):
            try:
                yield await self._world.blobs.read(blob, offset, min(RULES.piece_bytes, size - offset))
            except KeyError:
                raise LocalError("a file of the job was damaged while its receipt was made.", "Make it again.") from None


def _others(job: _Job, kept: Kept) -> tuple[bytes, ...]:
    """Small outputs of a unit that are not the ones that were kept: whether they are equal is then anybody's to judge."""
    shown = tuple(
        b"" if bytes(job.kept[32 * index : 32 * index + 32]) == opening.output else output
        for index, opening, output in zip(kept.indices, kept.openings, kept.outputs, strict=False)
    )
    return shown if any(shown) else ()


def _said(sealed: Sealed) -> Tally | Work | None:
    """A ledger entry about a job."""
    try:
        entry = codec.open_entry(sealed).entry
        if entry.kind == EntryKind.TALLY:
            return codec.decode_tally(entry.body)
        return codec.decode_receipt(entry.body) if entry.kind == EntryKind.RECEIPT else None
    except PeerError:
        return None
