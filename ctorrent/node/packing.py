"""A job's files into the blob store: small ones into the map that is signed, each large one as a blob of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import trio

from ctorrent.errors import LocalError
from ctorrent.model.ids import Digest
from ctorrent.model.job import Program
from ctorrent.node.diskfolder import DiskFolder
from ctorrent.plan import codemap
from ctorrent.plan.codemap import CodeMap, Content, Large
from ctorrent.ports import BlobStore

BREATHE_EVERY = 64  # small files read before other tasks run: ~2 ms
SETTLED_NS = 2_000_000_000  # of any file system: FAT counts in steps of two seconds


class Packer:
    """Remembers what it stored: a rehearsed job is submitted a moment later, and 2 GiB need not be copied twice."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._stored: dict[str, tuple[_Stamp, Large]] = {}

    async def pack(self, folder: DiskFolder, sizes: Mapping[str, int], pin: str) -> CodeMap:
        """Store what is large, under this pin. Raises LocalError: a file is gone, unreadable, or changed while it was read."""
        files: dict[str, Content] = {}
        for number, path in enumerate(codemap.ride_inside(sizes)):
            data = folder.read(path, 0, sizes[path] + 1)
            if len(data) != sizes[path]:
                raise _changed(path)
            files[path] = data
            if number % BREATHE_EVERY == 0:
                await trio.lowlevel.checkpoint()
        for path in sizes:
            if path not in files:
                large = await self._put(folder.path(path), path)
                self._blobs.pin(large.digest, pin)
                files[path] = large
        return CodeMap(files)

    async def _put(self, place: str, path: str) -> Large:
        """From disk to disk, hashed on the way."""
        before = _stamp(place, path)
        known = self._stored.get(place)
        if known and known[0] == before and await self._blobs.check(known[1].digest):
            return known[1]
        digest, size = await self._blobs.put_file(place)
        if _stamp(place, path) != before or size != before.size_bytes:
            raise _changed(path)
        self._stored.pop(place, None)
        if before.settled():
            self._stored[place] = before, Large(digest, size)
        while len(self._stored) > codemap.FILES_MAX:
            del self._stored[next(iter(self._stored))]
        return Large(digest, size)


async def named(blobs: BlobStore, program: Program) -> list[Digest]:
    """The large files of a job of this node; none where their list is gone."""
    if not program.files_bytes:
        return []
    try:
        return [*codemap.decode(await blobs.get(program.code, codemap.MAP_BYTES_MAX)).large()]
    except KeyError:
        return []


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What changes when a file does."""

    file: tuple[int, int]
    size_bytes: int
    changed_ns: tuple[int, int]

    def settled(self) -> bool:
        """Is the last change so long ago that another would show? Clocks of file systems tick every few milliseconds."""
        return time.time_ns() - max(self.changed_ns) > SETTLED_NS


def _stamp(place: str, path: str) -> _Stamp:
    try:
        about = Path(place).stat()
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {error.strerror}") from None
    return _Stamp((about.st_dev, about.st_ino), about.st_size, (about.st_mtime_ns, about.st_ctime_ns))


def _changed(path: str) -> LocalError:
    return LocalError(f"{path} changed while it was read", "Submit again when nothing writes to it any more.")
