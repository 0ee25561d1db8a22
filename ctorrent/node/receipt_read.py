"""A receipt file read once, part by part: every signature, digest, commitment and link that it holds.

What makes the rest meaningless ends the reading with a PeerError that names the part; what is wrong with one block, one
result or one vote is noted, and the reading goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from ctorrent.errors import BadSignature, LimitExceeded, Malformed, PeerError
from ctorrent.model.block import block_digest, block_seed
from ctorrent.model.entry import EntryKind, job_tag
from ctorrent.model.ids import Digest, NodeId, node_id
from ctorrent.model.job import AmendmentKind
from ctorrent.model.portable import Answer, BlockLine, Data, Head, Part, Piece, SealedKind, SealedPart, Tag, Unit
from ctorrent.model.result import Result, commitment, output_digest
from ctorrent.node.receipt_book import NOTHING, Book, Chain, packed
from ctorrent.seal import Sealed, digest
from ctorrent.verify.calibrate import class_of
from ctorrent.verify.compare import check_output
from ctorrent.wire import codec
from ctorrent.wire.codec_portable import STATES
from ctorrent.wire.portable import MerkleStream, PartReader

TOLD_EVERY = 2000  # parts between two words about how far it is


def read(file: BinaryIO, told: Callable[[int], None] = lambda done: None) -> Book:
    """Read and check all of a file. told: blocks and results so far, for whoever waits. Raises PeerError."""
    reader = PartReader(file.read)
    parts = reader.parts()
    head, manifest = next(parts), next(parts)
    assert isinstance(head, Head) and isinstance(manifest, SealedPart), "PartReader keeps the order"
    book = _begun(head, manifest.sealed)
    reading = _Reading(book, reader)
    for part in parts:
        reading.take(part)
        if book.parts % TOLD_EVERY == 0:
            told(book.parts)
    reading.end()
    book.size_bytes = file.tell()
    return book


def _begun(head: Head, sealed: Sealed) -> Book:
    try:
        job = codec.open_manifest(sealed)
    except PeerError as error:
        raise type(error)(f"the manifest: {error.message}") from None
    if job.id != head.job:
        raise Malformed("the manifest is not of the job that the file names")
    book = Book(head, job, chain=Chain(Digest(bytes(job.id))), parts=2)
    book.chain.heads.add(book.chain.head)
    return book


class _Reading:
    """One file's parts, in the order that PartReader lets through."""

    def __init__(self, book: Book, reader: PartReader) -> None:
        self._book, self._reader = book, reader
        self._requester = book.job.manifest.requester
        self._environment = codec.environment_bytes(book.job.manifest.environment)
        self._last_unit = Digest(b"")

    def take(self, part: Part) -> None:
        book = self._book
        book.parts += 1
        match part:
            case SealedPart(SealedKind.OWNER, sealed):
                self._owner(sealed)
            case SealedPart(SealedKind.AMENDMENT, sealed):
                self._amendment(sealed)
            case SealedPart(_, sealed):
                self._entry(sealed)
            case Tag(secret):
                self._tag(secret)
            case BlockLine():
                self._block(part)
            case Unit():
                self._unit(part)
            case Answer():
                self._counted()
                book.answer = part
            case Data():
                if len(book.data) >= book.nameable:
                    raise LimitExceeded("the file has more data than its blocks, its inputs and a job's files can name")
                book.data[part.digest] = self._reader.offset, part.size_bytes
            case Piece():
                pass

    # -- who, and what they promised ----------------------------------------------------------------------------------

    def _owner(self, sealed: Sealed) -> None:
        try:
            certificate = codec.open_certificate(sealed)
        except PeerError as error:
            raise type(error)(f"the owner's certificate: {error.message}") from None
        if certificate.node != self._requester:
            raise BadSignature("the owner's certificate is of another node than the requester")
        self._book.owner = certificate.owner

    def _amendment(self, sealed: Sealed) -> None:
        chain = self._book.chain
        try:
            link = codec.open_amendment(sealed, self._requester)
            chain.add(link, codec.amendment_id(sealed), self._book.job.id)
        except PeerError as error:
            raise type(error)(f"the job's chain, link {chain.seq + 1}: {error.message}") from None
        chain.closed = link.kind is AmendmentKind.CLOSE

    def _tag(self, secret: bytes) -> None:
        book = self._book
        book.tag = job_tag(book.job.id, secret)
        if not book.chain.closed:
            raise Malformed("the job's chain has no close: its draw secret is not revealed")
        if digest("ctorrent/draw/1", book.chain.secret) != book.job.manifest.draw_hash:
            book.wrong("draw", "the secret that the close reveals is not the one that the manifest promised")

    # -- blocks -------------------------------------------------------------------------------------------------------

    def _block(self, line: BlockLine) -> None:
        book, blocks, block = self._book, self._book.blocks, line.block
        manifest = book.job.manifest
        if block.index != len(blocks):
            raise Malformed(f"block {block.index} where block {len(blocks)} should be")
        if block.seed != block_seed(manifest.seed, block.index):
            book.wrong("blocks", f"block {block.index} has another seed than the job's gives it")
        named = block_digest(book.job.id, block, manifest.program.code, self._environment)
        blocks.digests += named
        blocks.offsets.append(self._reader.offset)
        blocks.outputs += line.output or NOTHING
        blocks.states.append(STATES.index(line.state))
        blocks.inside.append(line.data is not None)
        blocks.listed.append(packed(dict.fromkeys(map(book.number, line.workers))))
        blocks.same.append(b"")
        blocks.other.append(b"")
        blocks.inputs.append(b"".join(ref.digest for ref in block.inputs))
        blocks.tree.add(named)
        book.nameable += 1 + len(block.inputs)
        if line.state == "settled" and line.output is None:
            book.wrong("outputs", f"block {block.index} is settled and has no output")
        if line.data is not None:
            self._output(line, line.data)
        self._root(block.index + 1)

    def _output(self, line: BlockLine, data: bytes) -> None:
        index = line.block.index
        if output_digest(data) != line.output:
            self._book.wrong("outputs", f"the output of block {index} has another digest than its block says")
            return
        try:
            check_output(data)
        except PeerError as error:
            self._book.wrong("outputs", f"the output of block {index} is {error.message}")

    def _root(self, count: int) -> None:
        """Is an amendment's range of blocks whole? Then its root must be what was signed."""
        blocks, ranges = self._book.blocks, self._book.chain.ranges
        if blocks.checked < len(ranges) and ranges[blocks.checked][0] == count:
            if blocks.tree.root() != ranges[blocks.checked][1]:
                raise Malformed(f"the blocks up to {count - 1} are not those that the requester signed the root of")
            blocks.tree, blocks.checked = MerkleStream(), blocks.checked + 1

    def _counted(self) -> None:
        """All blocks that were signed for are here, and no others."""
        signed = self._book.chain.signed
        if not len(self._book.blocks) == signed == self._book.head.blocks:
            raise Malformed(f"the file has {len(self._book.blocks)} blocks, its requester signed for {signed}")

    # -- what workers signed ------------------------------------------------------------------------------------------

    def _unit(self, unit: Unit) -> None:
        book = self._book
        if not book.units:
            self._counted()
        book.units += 1
        what = f"result {unit.assignment_id.hex()[:12]}"
        if unit.assignment_id <= self._last_unit:
            raise Malformed(f"{what}: results are in order of their assignments, each once")
        self._last_unit = unit.assignment_id
        if unit.indices and max(unit.indices) >= len(book.blocks):
            raise Malformed(f"{what}: it is of block {max(unit.indices)}, which the job does not have")
        try:
            result = codec.open_result(unit.result)
            self._assigned(unit, result)
        except PeerError as error:
            book.wrong("results", f"{what}: {error.message}")
            return
        self._opened(unit, result, what)

    def _assigned(self, unit: Unit, result: Result) -> None:
        """Raises PeerError unless this worker was asked by this requester, for these blocks."""
        book = self._book
        digests = tuple(book.blocks.digest(index) for index in unit.indices)
        if result.assignment != unit.assignment_id or tuple(line.block for line in result.blocks) != digests:
            raise Malformed("it is of other blocks, or of another assignment, than the file says")
        if unit.assignment is None:
            book.unassigned += 1
            return
        assignment, signer = codec.open_assignment(unit.assignment)
        if signer != self._requester or codec.assignment_id(unit.assignment) != unit.assignment_id:
            raise BadSignature("its assignment is not the requester's")
        if (assignment.job, assignment.worker, assignment.blocks) != (book.job.id, result.worker, digests):
            raise Malformed("its assignment is of another job, worker or blocks")
        if assignment.amendment_head not in book.chain.heads:
            raise Malformed("its assignment names an amendment that is not in the job's chain")

    def _opened(self, unit: Unit, result: Result, what: str) -> None:
        book, blocks = self._book, self._book.blocks
        worker = book.number(result.worker)
        for index, line, opening in zip(unit.indices, result.blocks, unit.openings, strict=True):
            made = commitment(unit.assignment_id, line.block, result.worker, opening.nonce, opening.output)
            if made != line.commitment:
                book.wrong("results", f"{what}: what its worker committed to for block {index} does not open")
            else:
                blocks.sign(blocks.same if opening.output == blocks.output(index) else blocks.other, index, worker)
        for index, opening, output in zip(unit.indices, unit.openings, unit.outputs, strict=False):
            if output and output_digest(output) != opening.output:
                book.wrong("results", f"{what}: the output shown for block {index} is not the one that was committed to")
        if unit.outputs:
            book.shown.append(self._reader.offset)
        book.class_of[worker] = class_of(result.hardware_class, result.fingerprint)
        book.classes[result.fingerprint, result.hardware_class] += len(unit.indices)

    # -- the ledger, the end ------------------------------------------------------------------------------------------

    def _entry(self, sealed: Sealed) -> None:
        votes, what = self._book.votes, f"ledger entry {self._book.votes.entries + 1}"
        votes.entries += 1
        try:
            entry = codec.open_entry(sealed).entry
            if entry.author != self._requester:
                raise Malformed("it is not the requester's")
            if entry.kind == EntryKind.TALLY:
                tally = codec.decode_tally(entry.body)
                self._of_job(tally.job_tag)
                votes.tallies.append(tally)
            elif entry.kind == EntryKind.RECEIPT:
                work = codec.decode_receipt(entry.body)
                self._of_job(work.job_tag)
                votes.receipts += 1
                votes.credits += work.credits
        except PeerError as error:
            self._book.wrong("votes", f"{what}: {error.message}")

    def _of_job(self, tag: Digest) -> None:
        if tag != self._book.tag:
            raise Malformed("it is of another job: the tag's secret does not open it")

    def end(self) -> None:
        """After the last part: the seal must be the requester's own."""
        assert self._reader.seal is not None and self._reader.summed is not None
        if self._reader.summed.job != self._book.job.id or _signer(self._reader.seal.sealed) != self._requester:
            raise BadSignature("the seal is not by the requester that the manifest names")


def _signer(sealed: Sealed) -> NodeId:
    return node_id(sealed.public)
