"""Parts of a receipt file, read again from their places after the whole was checked once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import BinaryIO

import trio

from ctorrent.errors import Malformed
from ctorrent.model.ids import Digest
from ctorrent.model.portable import BlockLine, Data, Piece, Unit
from ctorrent.node.receipt_book import Book
from ctorrent.wire.codec_portable import RULES, decode_part
from ctorrent.wire.portable import LENGTH_BYTES


class Source:
    """What a receipt file holds, read again from its place in it. Raises PeerError where the file changed meanwhile."""

    def __init__(self, file: BinaryIO, book: Book) -> None:
        self._file, self._book = file, book

    def line(self, index: int) -> BlockLine:
        part = self._part(self._book.blocks.offsets[index])
        if not isinstance(part, BlockLine) or part.block.index != index:
            raise Malformed("the file changed while it was read")
        return part

    def unit(self, offset: int) -> Unit:
        part = self._part(offset)
        if not isinstance(part, Unit):
            raise Malformed("the file changed while it was read")
        return part

    def pieces(self, blob: Digest) -> AsyncIterator[bytes]:
        return self._pieces(*self._book.data[blob])

    async def _pieces(self, offset: int, left: int) -> AsyncIterator[bytes]:
        if not isinstance(self._part(offset), Data):
            raise Malformed("the file changed while it was read")
        at = self._file.tell()
        while left:
            part = self._part(at)
            at = self._file.tell()
            if not isinstance(part, Piece):
                raise Malformed("the file changed while it was read")
            left -= len(part.data)
            yield part.data
            await trio.lowlevel.checkpoint()

    async def whole(self, blob: Digest, limit: int) -> bytes:
        """Raises Malformed when it is larger than the limit."""
        if self._book.data[blob][1] > limit:
            raise Malformed(f"{self._book.data[blob][1]} bytes, where the job allows {limit}")
        return b"".join([piece async for piece in self.pieces(blob)])

    def _part(self, offset: int) -> object:
        self._file.seek(offset)
        size = int.from_bytes(self._file.read(LENGTH_BYTES), "big")
        return decode_part(self._file.read(min(size, RULES.part_bytes + 1)))
