"""A job's files into the blob store: small ones into the map that is signed, each large one as a blob of its own."""

from __future__ import annotations

from collections.abc import Mapping
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


async def pack(blobs: BlobStore, folder: DiskFolder, sizes: Mapping[str, int], pin: str) -> CodeMap:
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
            large = await _put(blobs, folder.path(path), path)
            blobs.pin(large.digest, pin)
            files[path] = large
    return CodeMap(files)


async def named(blobs: BlobStore, program: Program) -> list[Digest]:
    """The large files of a job of this node; none where their list is gone."""
    if not program.files_bytes:
        return []
    try:
        return [*codemap.decode(await blobs.get(program.code, codemap.MAP_BYTES_MAX)).large()]
    except KeyError:
        return []


async def _put(blobs: BlobStore, place: str, path: str) -> Large:
    """From disk to disk, hashed on the way."""
    before = _stamp(place, path)
    digest, size = await blobs.put_file(place)
    if _stamp(place, path) != before or size != before[0]:
        raise _changed(path)
    return Large(digest, size)


def _stamp(place: str, path: str) -> tuple[int, int]:
    try:
        about = Path(place).stat()
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {error.strerror}") from None
    return about.st_size, about.st_mtime_ns


def _changed(path: str) -> LocalError:
    return LocalError(f"{path} changed while it was read", "Submit again when nothing writes to it any more.")
