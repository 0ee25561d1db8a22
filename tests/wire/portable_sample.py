"""A small job that really happened on fixed keys: three blocks, two workers, one tally; its receipt, and lies about it.

The program is real, so a sandbox can run its blocks again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ctorrent.aggregate.reduce import reduce_blocks
from ctorrent.canon import CanonError, encode
from ctorrent.model.block import Block, InputRef, block_digest, block_seed
from ctorrent.model.entry import Entry, EntryKind, Tally, job_tag
from ctorrent.model.identity import Certificate
from ctorrent.model.ids import Digest, JobId, Ring, RingKind, node_id, owner_id
from ctorrent.model.job import Amendment, AmendmentKind, Manifest, Program, ProgramKind, Verify
from ctorrent.model.portable import (
    Answer,
    BlockLine,
    Data,
    DataKind,
    Head,
    Opening,
    Part,
    Piece,
    SealedKind,
    SealedPart,
    Tag,
    Unit,
)
from ctorrent.model.result import Committed, Result, commitment, output_digest
from ctorrent.model.trade import Assignment
from ctorrent.plan import codemap
from ctorrent.plan.codemap import CodeMap
from ctorrent.seal import Signer, digest, merkle_root
from ctorrent.wire import codec
from ctorrent.wire.portable import PartWriter
from tests.wire.samples import OWNER, REQUESTER

WORKERS = tuple(Signer(bytes([n]) * 32) for n in (21, 22))
SECRET, JOB_SECRET = b"s" * 32, b"t" * 32
CODE = b"def double(x, inputs):\n    return 2 * x + len(inputs['words'])\n\n\ndef near(one, other):\n    return abs(one - other) < 2\n"
WORDS = b"twelve bytes"
BLOCKS = 3
PRINT = Digest(b"p" * 32)


def blob(data: bytes) -> Digest:
    return Digest(digest("ctorrent/blob/1", data))


def data_parts(data: bytes, kind: DataKind = DataKind.BLOB) -> list[Part]:
    name = blob(data) if kind is DataKind.BLOB else output_digest(data)
    return [Data(kind, name, len(data)), Piece(data)]


def value(index: int) -> bytes:
    """What block `index` returns, as an output."""
    return b"\x00" + encode(2 * index + len(WORDS))


MAP = codemap.encode(CodeMap({"f.py": CODE}))
MANIFEST = Manifest(
    requester=node_id(REQUESTER.public), nonce=b"n" * 16, ring=Ring(RingKind.FRIENDS, owner_id(OWNER.public)),
    program=Program(ProgramKind.PYTHON, blob(MAP), "f.py:double", reduce="table"), seed=7,
    draw_hash=Digest(digest("ctorrent/draw/1", SECRET)), issued_unix_s=1_800_000_000, valid_s=86_400,
    verify=Verify(replicas=2), name="double",
)  # fmt: skip


class Made:
    """The job's parts; `lie` changes how the requester tells it."""

    def __init__(
        self, manifest: Manifest = MANIFEST, keep: Callable[[int], bytes] = value, said: Callable[[int, int], bytes] | None = None, files: bytes = MAP,
        count: int = BLOCKS, workers: Sequence[Signer] = WORKERS, ran: Callable[[int], Sequence[int]] | None = None,
    ) -> None:  # fmt: skip
        self.count, self.workers, self.ran = count, workers, ran or (lambda worker: range(count))
        self.manifest = replace(manifest, program=replace(manifest.program, code=blob(files)))
        self.files, manifest = files, self.manifest
        self.sealed = codec.seal_manifest(manifest, REQUESTER)
        self.job = JobId(digest("ctorrent/job/1", self.sealed.body))
        self.environment = codec.environment_bytes(manifest.environment)
        words = InputRef("words", blob(WORDS), len(WORDS))
        self.blocks = [Block(i, block_seed(manifest.seed, i), encode({"x": i}), (words,)) for i in range(count)]
        self.digests = [block_digest(self.job, block, manifest.program.code, self.environment) for block in self.blocks]
        self.keep, self.said = keep, said or (lambda worker, index: value(index))

    def parts(self) -> list[Part]:
        return [
            Head(self.job, "0.1.0", 1_800_000_600, "settled", "", self.count, False),
            SealedPart(SealedKind.MANIFEST, self.sealed),
            SealedPart(SealedKind.OWNER, codec.seal_certificate(Certificate(owner_id(OWNER.public), node_id(REQUESTER.public), 1_800_000_000, 0), OWNER)),
            *self.chain(), Tag(JOB_SECRET), *data_parts(self.files), *map(self.line, self.blocks), *self.units(), *self.entries(), *self.answer(),
            *data_parts(WORDS),
        ]  # fmt: skip

    def chain(self) -> list[Part]:
        first = Amendment(self.job, 1, Digest(bytes(self.job)), AmendmentKind.BLOCKS, 0, self.count, merkle_root(list(self.digests)))
        sealed = codec.seal_amendment(first, REQUESTER)
        close = Amendment(self.job, 2, codec.amendment_id(sealed), AmendmentKind.CLOSE, draw_secret=SECRET)
        return [SealedPart(SealedKind.AMENDMENT, one) for one in (sealed, codec.seal_amendment(close, REQUESTER))]

    def line(self, block: Block) -> BlockLine:
        output = self.keep(block.index)
        return BlockLine(block, "settled", output_digest(output), len(output), output, tuple(node_id(one.public) for one in self.workers), "")

    def units(self) -> list[Part]:
        return sorted((self.unit(number) for number in range(len(self.workers))), key=lambda unit: unit.assignment_id)

    def unit(self, number: int) -> Unit:
        worker, indices = self.workers[number], tuple(self.ran(number))
        digests = tuple(self.digests[index] for index in indices)
        head = codec.amendment_id(self.chain()[0].sealed)  # type: ignore[union-attr]
        assignment = Assignment(self.job, 1, head, node_id(worker.public), bytes([number % 256]) * 16, 30.0, digests)
        sealed = codec.seal_assignment(assignment, REQUESTER)
        name = codec.assignment_id(sealed)
        openings = tuple(Opening(bytes([i % 256]) * 16, output_digest(self.said(number, i))) for i in indices)
        lines = tuple(
            Committed(block, commitment(name, block, assignment.worker, opening.nonce, opening.output))
            for block, opening in zip(digests, openings, strict=True)
        )
        result = codec.seal_result(Result(name, assignment.worker, PRINT, lines, "x86_64"), worker)
        shown = tuple(b"" if self.said(number, i) == self.keep(i) else self.said(number, i) for i in indices)
        return Unit(name, indices, sealed, result, openings, shown if any(shown) else ())

    def entries(self) -> list[Part]:
        tally = Tally(job_tag(self.job, JOB_SECRET), node_id(self.workers[0].public), owner_id(OWNER.public), self.count, 0, 0, "x86_64", b"e" * 32)
        entry = Entry(node_id(REQUESTER.public), 0, 1, Digest(bytes(32)), EntryKind.TALLY, self.manifest.ring, codec.encode_tally(tally), 1_800_000_500)
        return [SealedPart(SealedKind.ENTRY, codec.seal_entry(entry, REQUESTER).sealed)]

    def answer(self) -> list[Part]:
        try:
            made = reduce_blocks("table", ((block.index, block.params, self.keep(block.index)[1:]) for block in self.blocks))
        except CanonError:
            return [Answer(None, 0, "it does not reduce")]
        return [Answer(blob(made), len(made), ""), *data_parts(made)]


def written(parts: Sequence[Part], job: JobId | None = None, signer: Signer = REQUESTER) -> bytes:
    """The file of these parts, whole and signed, whatever they say."""
    head = parts[0]
    assert isinstance(head, Head)
    writer = PartWriter()
    return b"".join([writer.begin(), *map(writer.part, parts), writer.end(job or head.job, signer)])


def honest() -> bytes:
    return written(Made().parts())


def swapped(parts: Sequence[Part], which: type, /, **changes: object) -> list[Part]:
    """The first part of this kind with other fields."""
    at = next(number for number, part in enumerate(parts) if isinstance(part, which))
    return [*parts[:at], replace(parts[at], **changes), *parts[at + 1 :]]  # type: ignore[type-var]
