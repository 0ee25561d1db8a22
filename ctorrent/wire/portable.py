"""A receipt file as a stream of bytes: magic, framed parts, one Merkle root over them, its seal. Nothing is held but a few digests.

    PartWriter     part -> bytes to write; the last ones with the seal
    PartReader     bytes read -> parts, in an order that makes sense, up to the seal, which must be of these parts
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from ctorrent.errors import LimitExceeded, Malformed, PeerError
from ctorrent.model.ids import Digest, JobId
from ctorrent.model.portable import (
    Answer,
    BlockLine,
    Data,
    DataKind,
    Head,
    Part,
    Piece,
    Seal,
    SealedKind,
    SealedPart,
    Summed,
    Tag,
    Unit,
)
from ctorrent.seal import Signer, digest
from ctorrent.wire.codec_portable import RULES, decode_part, encode_part, open_seal, seal_file

MAGIC = b"\x89CTR\r\n\x1a\n"  # as of PNG: what a transfer as text spoils, shows at once
LENGTH_BYTES = 4
PART_DOMAIN = "ctorrent/portable/part/1"
DOMAINS = {DataKind.BLOB: "ctorrent/blob/1", DataKind.OUTPUT: "ctorrent/output/1"}

Read = Callable[[int], bytes]


class MerkleStream:
    """seal.merkle_root over leaves that come one by one: remembers one digest for each power of two."""

    def __init__(self) -> None:
        self.count = 0
        self._peaks: list[tuple[int, bytes]] = []  # (leaves below, node), each larger than the next

    def add(self, leaf: bytes) -> None:
        size, node = 1, digest("ctorrent/merkle/leaf/1", leaf)
        while self._peaks and self._peaks[-1][0] == size:
            node = digest("ctorrent/merkle/node/1", self._peaks.pop()[1], node)
            size *= 2
        self._peaks.append((size, node))
        self.count += 1

    def root(self) -> Digest:
        if not self._peaks:
            return Digest(digest("ctorrent/merkle/empty/1"))
        node = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            node = digest("ctorrent/merkle/node/1", left, node)
        return Digest(node)


class DataHash:
    """The digest of data that comes in pieces; its size is part of what is hashed, so it is known before."""

    def __init__(self, kind: DataKind, size_bytes: int) -> None:
        self.left = size_bytes
        self._hasher = hashlib.sha256(DOMAINS[kind].encode() + b"\0" + size_bytes.to_bytes(8, "big"))

    def update(self, piece: bytes) -> None:
        self.left -= len(piece)
        self._hasher.update(piece)

    def digest(self) -> Digest:
        return Digest(self._hasher.digest())


class PartWriter:
    """Turns parts into the file's bytes, in order."""

    def __init__(self) -> None:
        self._tree = MerkleStream()

    def begin(self) -> bytes:
        return MAGIC

    def part(self, part: Part) -> bytes:
        body = encode_part(part)
        self._tree.add(digest(PART_DOMAIN, body))
        return len(body).to_bytes(LENGTH_BYTES, "big") + body

    def end(self, job: JobId, signer: Signer) -> bytes:
        """The seal: the last bytes of the file."""
        body = encode_part(seal_file(Summed(job, self._tree.count, self._tree.root()), signer))
        return len(body).to_bytes(LENGTH_BYTES, "big") + body


class PartReader:
    """Reads one file once. `seal` and `summed` are there when the parts have ended.

    read: up to so many bytes, fewer only at the file's end. `offset`: where the part that was yielded last begins.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self.offset = 0
        self.seal: Seal | None = None
        self.summed: Summed | None = None

    def parts(self) -> Iterator[Part]:
        """Every part but the seal. Raises PeerError where the file is not one that a PartWriter made."""
        magic = self._read(len(MAGIC))
        if magic != MAGIC:
            raise Malformed("this is not a receipt file" + (", or one that a transfer as text spoiled" if magic[:4] == MAGIC[:4] else ""))
        tree, order, at = MerkleStream(), _Order(), len(MAGIC)
        while True:
            body = self._framed(at)
            try:
                part = decode_part(body)
                if isinstance(part, Seal):
                    order.end()
                    break
                order.next(part)
            except PeerError as error:
                raise type(error)(f"at byte {at}: {error.message}") from None
            tree.add(digest(PART_DOMAIN, body))
            self.offset = at
            yield part
            at += LENGTH_BYTES + len(body)
        if self._read(1):
            raise Malformed("bytes follow the seal: the file was added to after it was signed")
        self.seal, self.summed = part, open_seal(part)
        if (self.summed.parts, self.summed.root) != (tree.count, tree.root()):
            raise Malformed("the signed root is not of these parts: the file was changed after it was signed")

    def _framed(self, at: int) -> bytes:
        head = self._read(LENGTH_BYTES)
        if len(head) < LENGTH_BYTES:
            raise Malformed(f"the file ends at byte {at + len(head)}, before its seal: it was cut short")
        size = int.from_bytes(head, "big")
        if size > RULES.part_bytes:
            raise LimitExceeded(f"at byte {at}: a part of {size} bytes, where at most {RULES.part_bytes} are allowed")
        body = self._read(size)
        if len(body) < size:
            raise Malformed(f"the file ends at byte {at + LENGTH_BYTES + len(body)}, inside a part: it was cut short")
        return body


class _Order:
    """Which part may follow which: head, manifest, owner?, amendments, tag, code, blocks, units, entries, answer, data."""

    def __init__(self) -> None:
        self._stage = -1
        self._data: DataHash | None = None
        self._due: Digest | None = None
        self._seen: set[int] = set()

    def next(self, part: Part) -> None:
        """Raises Malformed for a part in the wrong place, and for data that has another digest than it says."""
        if isinstance(part, Piece):
            self._piece(part)
            return
        self._whole()
        stage = self._stage if isinstance(part, Data) else _stage(part)
        if isinstance(part, Data):
            if self._stage not in (_TAG, _ANSWER):
                raise Malformed("data stands behind the tag or behind the answer")
            self._data, self._due = DataHash(part.kind, part.size_bytes), part.digest
            if not part.size_bytes:
                self._settle()
            return
        if stage < self._stage or (stage == self._stage and stage in _ONCE) or not self._needed(stage):
            raise Malformed(f"a part of kind {type(part).__name__.lower()} in the wrong place")
        self._stage = stage
        self._seen.add(stage)

    def end(self) -> None:
        self._whole()
        if self._stage != _ANSWER:
            raise Malformed("the seal comes before all that a receipt has")

    def _needed(self, stage: int) -> bool:
        """Nothing that must be there is passed over."""
        return all(before in self._seen for before in _ALWAYS if before < stage)

    def _piece(self, piece: Piece) -> None:
        if self._data is None:
            raise Malformed("a piece of no data")
        self._data.update(piece.data)
        if self._data.left < 0:
            raise Malformed("more bytes of data than said")
        if self._data.left == 0:
            self._settle()

    def _settle(self) -> None:
        assert self._data is not None
        if self._data.digest() != self._due:
            raise Malformed("data that has another digest than it says")
        self._data = None

    def _whole(self) -> None:
        if self._data is not None:
            raise Malformed(f"{self._data.left} bytes of data are missing")


_HEAD, _MANIFEST, _OWNER, _AMENDMENT, _TAG, _BLOCK, _UNIT, _ENTRY, _ANSWER = range(9)
_ONCE = (_HEAD, _MANIFEST, _OWNER, _TAG, _ANSWER)
_ALWAYS = (_HEAD, _MANIFEST, _AMENDMENT, _TAG, _BLOCK)
_SEALED = {
    SealedKind.MANIFEST: _MANIFEST, SealedKind.OWNER: _OWNER, SealedKind.AMENDMENT: _AMENDMENT, SealedKind.ENTRY: _ENTRY,
}  # fmt: skip
_STAGES: dict[type, int] = {Head: _HEAD, Tag: _TAG, BlockLine: _BLOCK, Unit: _UNIT, Answer: _ANSWER}


def _stage(part: Part) -> int:
    return _SEALED[part.kind] if isinstance(part, SealedPart) else _STAGES[type(part)]
