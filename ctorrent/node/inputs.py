"""Inputs of units, kept on the disk from their first byte to the unit's end, within what this machine lends.

Inputs of the next units come while one runs. Where they do not all fit, a unit lets go of its own and waits for another to
end; the last that could wait is refused instead, so that nobody waits for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from ctorrent.errors import DiskFull
from ctorrent.model.block import InputRef
from ctorrent.model.ids import Digest, NodeId
from ctorrent.node.seeder import Seeder
from ctorrent.ports import BlobStore

INPUT_BYTES_MAX = 4096 << 20


class Inputs:
    """One per node: units of all jobs share its disk."""

    def __init__(self, blobs: BlobStore, seeder: Seeder) -> None:
        self._blobs, self._seeder = blobs, seeder
        self._holding = 0  # units that have their inputs, or are about to
        self._freed = trio.Event()

    @asynccontextmanager
    async def held(self, unit: Digest, refs: Sequence[InputRef], source: NodeId) -> AsyncIterator[None]:
        """Have these while the block of code runs. Raises DiskFull, Unavailable, or what a disk says."""
        if not refs:
            yield
            return
        reason = f"unit {unit.hex()}"
        self._hold(refs, reason)
        try:
            while not await self._fit(refs, source):
                self._let_go(refs, reason)
                freed = self._freed
                try:
                    if not self._holding:
                        raise DiskFull("There is no room for the unit's inputs beside what is in use.", "Its owner can lend more disk.")
                    await freed.wait()
                finally:
                    self._hold(refs, reason)
            yield
        finally:
            self._let_go(refs, reason)
            self._freed.set()
            self._freed = trio.Event()

    async def _fit(self, refs: Sequence[InputRef], source: NodeId) -> bool:
        limits = {ref.digest: min(INPUT_BYTES_MAX, ref.size_bytes) for ref in refs}
        try:
            await self._seeder.fetch_all(limits, [source])
        except DiskFull:
            return False
        return True

    def _hold(self, refs: Sequence[InputRef], reason: str) -> None:
        self._holding += 1
        for ref in refs:
            self._blobs.pin(ref.digest, reason)

    def _let_go(self, refs: Sequence[InputRef], reason: str) -> None:
        self._holding -= 1
        for ref in refs:
            self._blobs.unpin(ref.digest, reason)
