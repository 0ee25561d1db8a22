"""Blocking work on blob files: hashing, copying, listing. Long calls into C, so that a thread rarely needs the lock."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from ctorrent.model.ids import Digest
from ctorrent.seal import digest
from ctorrent.store.system import sync

DOMAIN = "ctorrent/blob/1"
_WINDOW_BYTES = 16 << 20  # mapped at once: what a file of any size adds to this process, for ~10 ms of hashing
_COPY_BYTES = 1 << 30  # one call of copy_file_range; kernels copy at most 2 GiB in one
SYNC_EACH_MAX = 64  # files synced one by one; the whole disk at once costs about as much as a hundred of them
_NAME = re.compile("[0-9a-f]{64}")


def hasher(size: int) -> hashlib._Hash:
    """A hash that, fed with exactly `size` bytes, gives seal.digest(DOMAIN, bytes)."""
    started = hashlib.sha256(DOMAIN.encode() + b"\0")
    started.update(size.to_bytes(8, "big"))
    return started


def hash_bytes(data: bytes) -> Digest:
    return Digest(digest(DOMAIN, data))


def hash_file(path: Path) -> Digest:
    """Of a file of ours, which nobody cuts short meanwhile (a mapped file that shrinks kills the process)."""
    size = path.stat().st_size
    started = hasher(size)
    with path.open("rb") as file:
        for start in range(0, size, _WINDOW_BYTES):
            with mmap.mmap(file.fileno(), min(_WINDOW_BYTES, size - start), access=mmap.ACCESS_READ, offset=start) as data:
                started.update(data)
    return Digest(started.digest())


def holds(path: Path, blob: Digest) -> bool:
    """Is this file there, and are its bytes that blob?"""
    try:
        return hash_file(path) == blob
    except OSError:
        return False


def write(path: Path, data: bytes, durable: bool) -> None:
    """Make a new file; removes it again when the disk refuses."""
    try:
        with path.open("xb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            if durable:
                os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def sync_all(paths: Collection[Path]) -> None:
    """Sync files and the folders that name them. A file that is gone meanwhile is no error."""
    if len(paths) > SYNC_EACH_MAX and hasattr(os, "sync"):
        os.sync()
        return
    for path in [*paths, *sorted({path.parent for path in paths})]:
        with suppress(FileNotFoundError):
            sync(path)


def read(path: Path, offset: int, size: int) -> bytes:
    """Up to `size` bytes from `offset`."""
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        data = file.read(size)
        while data and len(data) < size and (more := file.read(size - len(data))):
            data += more
        return data


def copy_in(source: Path, target: Path, durable: bool) -> tuple[Digest, int]:
    """Copy and hash the copy: whoever changes the source meanwhile changes what is stored, never what it hashes to."""
    with source.open("rb", buffering=0) as reader, target.open("xb", buffering=0) as writer:
        while _copy_some(reader.fileno(), writer.fileno()):
            pass
        if durable:
            os.fsync(writer.fileno())
    size = target.stat().st_size
    return hash_file(target), size


def _copy_some(reader: int, writer: int) -> int:
    try:
        return os.copy_file_range(reader, writer, _COPY_BYTES)
    except (OSError, AttributeError):  # across file systems of old kernels; a system that has no such call
        data = os.read(reader, 1 << 20)
        view = memoryview(data)
        while view:
            view = view[os.write(writer, view) :]
        return len(data)


def clean(folder: Path, older_than_s: float) -> None:
    """Remove files last changed more than `older_than_s` seconds ago."""
    horizon = time.time() - older_than_s
    for item in os.scandir(folder):
        if item.stat().st_mtime <= horizon:
            Path(item.path).unlink()


def trim(folder: Path, bytes_max: int, keep: Collection[str]) -> None:
    """Remove the files least recently changed until the rest fit; those named in `keep` are counted but stay."""
    items = sorted((item.stat().st_mtime, item.stat().st_size, item.name) for item in os.scandir(folder))
    over = sum(size for _, size, _ in items) - bytes_max
    for _, size, name in items:
        if over > 0 and name not in keep:
            (folder / name).unlink()
            over -= size


def listing(folder: Path) -> Iterator[tuple[Digest, int]]:
    """(digest, size) of every blob, least recently written or read first as far as the file system tells."""
    found: list[tuple[float, str, int]] = []
    for shelf in os.scandir(folder):
        if len(shelf.name) == 2 and shelf.is_dir(follow_symlinks=False):
            for item in os.scandir(shelf.path):
                if _NAME.fullmatch(item.name):
                    stat = item.stat(follow_symlinks=False)
                    found.append((max(stat.st_mtime, stat.st_atime), item.name, stat.st_size))
    return ((Digest(bytes.fromhex(name)), size) for _, name, size in sorted(found))
