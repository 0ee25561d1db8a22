"""ports.BlobStore in memory: least recently used and unpinned go first, and what arrived so far can be resumed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path

import trio

from ctorrent.errors import LimitExceeded, LocalError, Malformed, Unavailable
from ctorrent.model.ids import Digest
from ctorrent.seal import digest
from ctorrent.store.shelf import Shelf


class FakeBlobs:
    """One node's blobs over all of its lives. `path` gives a name under /blobs that no file has."""

    def __init__(self, quota_bytes: int = 1 << 30) -> None:
        self._shelf = Shelf(quota_bytes)
        self._bytes: dict[Digest, bytes] = {}
        self._unsynced: set[Digest] = set()
        self._partial: dict[Digest, bytes] = {}
        self._receiving: dict[Digest, trio.Lock] = {}
        self.files: dict[str, bytes] = {}  # what put_file reads, by path

    async def put(self, data: bytes, durable: bool = False) -> Digest:
        await trio.lowlevel.checkpoint()
        return self._keep(_hash(data), data, durable)

    async def put_file(self, path: str, durable: bool = False) -> tuple[Digest, int]:
        await trio.lowlevel.checkpoint()
        data = self.files.get(path)
        if data is None:
            raise LocalError(f"{path} cannot be read: No such file or directory.")
        return self._keep(_hash(data), data, durable), len(data)

    async def flush(self, blobs: Sequence[Digest]) -> None:
        await trio.lowlevel.checkpoint()
        self._unsynced.difference_update(blobs)

    async def get(self, blob: Digest, limit: int) -> bytes:
        await trio.lowlevel.checkpoint()
        size = self._shelf.use(blob).size_bytes
        if size > limit:
            raise LimitExceeded(f"Blob {blob.hex()[:16]} has {size} bytes; the limit here is {limit}.")
        return self._bytes[blob]

    async def read(self, blob: Digest, offset: int, size: int) -> bytes:
        await trio.lowlevel.checkpoint()
        self._shelf.use(blob)
        return self._bytes[blob][offset : offset + max(0, size)]

    def size(self, blob: Digest) -> int | None:
        entry = self._shelf.find(blob)
        return None if entry is None else entry.size_bytes

    def path(self, blob: Digest) -> str:
        self._shelf.use(blob)
        return str(Path("/blobs") / blob.hex())

    async def check(self, blob: Digest) -> bool:
        await trio.lowlevel.checkpoint()
        return self._shelf.find(blob) is not None

    async def lay_out(self, tree: Digest, small: Mapping[str, bytes], large: Mapping[str, Digest]) -> str:
        await trio.lowlevel.checkpoint()
        for blob in large.values():
            self._shelf.use(blob)
        return str(Path("/trees") / tree.hex())

    async def clear(self, tree: Digest) -> None:
        await trio.lowlevel.checkpoint()

    def room_bytes(self) -> int:
        return self._shelf.room()

    def quota(self) -> int:
        return self._shelf.quota_bytes

    def set_quota(self, quota_bytes: int) -> None:
        """A fake's quota is the one it was made with: settings are of real disks."""

    def sweep(self, dry_run: bool) -> tuple[int, int]:
        loose, size = self._shelf.unpinned(), self._shelf.loose()
        for blob in [] if dry_run else loose:
            self._lose(blob)
        return len(loose), size

    def discard(self, blob: Digest) -> None:
        if not self._shelf.pinned(blob):
            self._lose(blob)

    def pin(self, blob: Digest, reason: str) -> None:
        self._shelf.pin(blob, reason)

    def unpin(self, blob: Digest, reason: str) -> None:
        self._shelf.unpin(blob, reason)

    def partial(self, blob: Digest) -> int:
        return len(self._partial.get(blob, b""))

    async def receive(self, blob: Digest, size: int, chunks: AsyncIterator[bytes], offset: int = 0) -> None:
        try:
            async with self._receiving.setdefault(blob, trio.Lock()):
                if self._shelf.find(blob) is None:
                    await self._receive(blob, size, chunks, offset)
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    async def _receive(self, blob: Digest, size: int, chunks: AsyncIterator[bytes], offset: int) -> None:
        if not 0 <= offset <= self.partial(blob):
            raise ValueError(f"cannot resume at {offset}: {self.partial(blob)} bytes are here")
        self._make_room(size)
        self._partial[blob] = self._partial.get(blob, b"")[:offset]
        with self._shelf.coming(blob, size):
            async for chunk in chunks:
                self._partial[blob] += chunk
                if self.partial(blob) > size:
                    break
        if self.partial(blob) < size:
            raise Unavailable(f"Blob {blob.hex()[:16]} ended after {self.partial(blob)} of {size} bytes.")
        data = self._partial.pop(blob)
        if _hash(data) != blob:
            raise Malformed(f"What came as blob {blob.hex()[:16]} is not that blob.")
        self._keep(blob, data, durable=False)

    def crash(self) -> None:
        """The machine loses power and starts again: what was not stored durably is gone, and so are the pins."""
        for blob in sorted(self._unsynced):
            self._shelf.remove(blob)
            self._bytes.pop(blob, None)
        self._unsynced.clear()
        self._partial.clear()
        self._shelf.drop_pins()

    def _keep(self, blob: Digest, data: bytes, durable: bool) -> Digest:
        if self._shelf.find(blob) is None:
            self._make_room(len(data))
            self._bytes[blob] = data
            self._shelf.add(blob, len(data), sound=True)
            self._unsynced.add(blob)
        self._shelf.use(blob)
        if durable:
            self._unsynced.discard(blob)
        return blob

    def _make_room(self, size: int) -> None:
        for victim in self._shelf.make_room(size):
            self._lose(victim)

    def _lose(self, blob: Digest) -> None:
        self._shelf.remove(blob)
        self._unsynced.discard(blob)
        self._bytes.pop(blob, None)


def _hash(data: bytes) -> Digest:
    return Digest(digest("ctorrent/blob/1", data))
