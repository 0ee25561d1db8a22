"""What blocks printed: capped per block and in all, followed by whoever watches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import trio

from ctorrent.model.ids import NodeId

BYTES_MAX = 64 << 20  # of them together: a thousand blocks at a job's usual limit would be a gigabyte
LINES_MAX = 20_000  # pieces kept in memory per job; the journal keeps each block's last bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes one replica printed."""

    index: int
    worker: NodeId
    text: bytes


class Logbook:
    """Log pieces of one job, in order of arrival."""

    def __init__(self, bytes_a_block: int) -> None:
        self._limit = bytes_a_block
        self._sizes: dict[tuple[int, NodeId], int] = {}
        self._pieces: list[Piece] = []
        self._dropped = 0
        self._bytes = 0
        self._fresh = trio.Event()
        self._closed = False

    def add(self, index: int, worker: NodeId, text: bytes, among: Sequence[int]) -> bool:
        """Keep what fits; a flood ends at the block's limit. -> was it a block of `among`, with room for more?"""
        key = (index, worker)
        room = self._limit - self._sizes.get(key, 0)
        if room <= 0 or not text or index not in among:
            return False
        piece = Piece(index, worker, text[:room])
        self._sizes[key] = self._sizes.get(key, 0) + len(piece.text)
        self._bytes += len(piece.text)
        self._pieces.append(piece)
        while len(self._pieces) > LINES_MAX or (self._bytes > BYTES_MAX and len(self._pieces) > 1):
            gone = max(1, len(self._pieces) // 10)
            self._bytes -= sum(len(old.text) for old in self._pieces[:gone])
            del self._pieces[:gone]
            self._dropped += gone
        self._fresh.set()
        self._fresh = trio.Event()
        return True

    def followed(self, index: int, worker: NodeId) -> bool:
        """Did pieces of this replica arrive while it ran?"""
        return (index, worker) in self._sizes

    def close(self) -> None:
        """Nothing more comes."""
        self._closed = True
        self._fresh.set()

    async def follow(self, wait: bool) -> AsyncIterator[Piece]:
        """Pieces so far, then new ones until the job ends, if `wait`."""
        position = self._dropped
        while True:
            start = max(0, position - self._dropped)
            found, position = self._pieces[start:], self._dropped + len(self._pieces)
            for piece in found:  # others arrive meanwhile: they are the next round's
                yield piece
            if position < self._dropped + len(self._pieces):
                continue
            if self._closed or not wait:
                return
            await self._fresh.wait()
