"""ports.BlobStore on a folder: immutable bytes by digest("ctorrent/blob/1", bytes).

    <folder>/ab/abcdef…   a blob, mode 0444: a sandbox may read it under another uid (the data folder above is 0700)
    <folder>/partial/…    what has arrived of a blob so far
    <folder>/new/…        being written; emptied at start
    <folder>/trees/…      jobs' files as folders (trees.py)

Blobs can be fetched again, so they are not synced unless asked. A loss of power may therefore leave a file cut short:
whatever was here before this process began is hashed once before its first use.

Up to `inline_bytes_max` the work is done on the event loop in slices of 256 KiB (~0.3 ms), because a thread beside a busy
loop waits longer for the interpreter's lock than the work takes. Larger ones go to a thread, in calls that give the lock
up once for the whole of it; a cancelled caller waits for their end.
"""

from __future__ import annotations

import errno
import logging
import secrets
import shutil
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import trio

from ctorrent.errors import DiskFull, LimitExceeded, LocalError, Malformed, Unavailable
from ctorrent.model.ids import Digest
from ctorrent.store import files, trees
from ctorrent.store.folder import private_folder, sync_folder
from ctorrent.store.shelf import Entry, Shelf

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BlobRules:
    """Limits of a blob store."""

    quota_bytes: int = 20 * 10**9  # of what others' jobs put here; settings change it
    inline_bytes_max: int = 4 << 20  # ~4 ms of a cold or busy disk's work in slices; a frame is 1 MiB
    slice_bytes: int = 256 << 10  # ~0.15 ms of hashing: what other tasks may wait for us
    partial_keep_s: float = 7 * 86400.0  # as long as a worker keeps an undelivered result
    partial_bytes_max: int = 2 << 30  # of unfinished blobs that nobody is receiving, beside the quota
    disk_kept_bytes: int = 256 << 20  # left to the journal and to the owner, whatever the quota allows
    least_bytes: int = 4 << 10  # what the smallest file takes on a disk, and counts as
    threads: int = 4  # disks gain nothing from more, and every one fights for the interpreter's lock


async def open_blobs(folder: Path | str, rules: BlobRules | None = None) -> Blobs:
    """Open or make a store. Lists the folder in a thread: about 1 s per 100,000 blobs. Raises LocalError."""
    return await trio.to_thread.run_sync(_open, Path(folder), rules or BlobRules())


def _open(folder: Path, rules: BlobRules) -> Blobs:
    for part in (folder, folder / "partial", folder / "new"):
        private_folder(part)
    try:
        files.clean(folder / "new", 0.0)
        _remove_trees(folder)
        files.clean(folder / "partial", rules.partial_keep_s)
        shelf = Shelf(rules.quota_bytes, rules.least_bytes)
        for blob, size in files.listing(folder):
            shelf.add(blob, size, sound=False)
    except OSError as error:
        raise LocalError(f"The blob store {folder} cannot be read: {error.strerror}.", "Check the disk.") from error
    return Blobs(folder, shelf, rules)


def _remove_trees(folder: Path) -> None:
    """What an earlier life laid out. A node starts all the same where the system keeps some of it."""
    (folder / "trees").mkdir(exist_ok=True)
    for old in list((folder / "trees").iterdir()):
        try:
            trees.remove(old)
        except LocalError as error:
            log.warning("%s %s", error.message, error.hint)


class Blobs:
    """Use `open_blobs`. Methods are for one event loop. Pins are not remembered over a restart: the node sets them again.

    A LocalError says that the disk or the quota refused; whatever is on the shelf stays readable.
    """

    def __init__(self, folder: Path, shelf: Shelf, rules: BlobRules) -> None:
        self.folder = folder
        self._shelf = shelf
        self._rules = rules
        self._threads = trio.CapacityLimiter(rules.threads)
        self._receiving: dict[Digest, trio.Lock] = {}
        self._laid: dict[Digest, int] = {}  # folders that are there, and what they count as

    async def put(self, data: bytes, durable: bool = False) -> Digest:
        """Store bytes. durable: synced before this returns."""
        blob = await self._hash(data)
        if self._shelf.find(blob) is not None and self._trusted_nowait(blob):
            self._shelf.use(blob)
            return blob
        self._make_room(len(data))
        spare = self._spare()
        await self._do(len(data), lambda: files.write(spare, data, durable))
        self._shelve(blob, len(data), spare, durable)
        return blob

    async def put_file(self, path: str, durable: bool = False) -> tuple[Digest, int]:
        """Copy a file in (sharing its blocks where the file system can) and hash the copy. -> (digest, size).

        Raises LocalError when it cannot be read or does not fit.
        """
        try:
            status = await trio.Path(path).stat()
        except OSError as error:
            raise LocalError(f"{path} cannot be read: {error.strerror}.") from error
        if not stat.S_ISREG(status.st_mode):
            raise LocalError(f"{path} is not a plain file.")  # a pipe would keep the thread for ever
        spare = self._spare()  # a file of this machine's own: the quota is for others', the disk says when it is full
        try:
            blob, size = await self._do(status.st_size, lambda: files.copy_in(Path(path), spare, durable))
        except BaseException:
            spare.unlink(missing_ok=True)
            raise
        self._shelve(blob, size, spare, durable)
        return blob, size

    async def flush(self, blobs: Sequence[Digest]) -> None:
        """Return when these survive a loss of power: each synced, or the whole disk where they are many."""
        paths = [self._place(blob) for blob in blobs if self._shelf.find(blob) is not None]
        await trio.to_thread.run_sync(files.sync_all, paths, limiter=self._threads)

    async def get(self, blob: Digest, limit: int) -> bytes:
        """All of a blob. Raises KeyError when absent, LimitExceeded when larger than `limit` bytes."""
        entry = self._shelf.use(blob)
        if entry.size_bytes > limit:
            raise LimitExceeded(f"Blob {blob.hex()[:16]} has {entry.size_bytes} bytes; the limit here is {limit}.")
        return await self.read(blob, 0, entry.size_bytes)

    async def read(self, blob: Digest, offset: int, size: int) -> bytes:
        """Bytes from `offset`, `size` of them or fewer at the end. Raises KeyError when absent."""
        entry = await self._sound(blob)
        size = max(0, min(size, entry.size_bytes - offset))
        try:
            data = await self._do(size, lambda: files.read(self._place(blob), offset, size))
        except OSError:
            self._lose(blob)
            raise KeyError(blob.hex()) from None
        if len(data) < size:
            self._lose(blob)
            raise KeyError(blob.hex())
        return data

    def size(self, blob: Digest) -> int | None:
        """Bytes, or None when absent."""
        entry = self._shelf.find(blob)
        return None if entry is None else entry.size_bytes

    def path(self, blob: Digest) -> str:
        """The file itself, to be read only; pin the blob for as long as the path is used. Raises KeyError when absent.

        Hashes a file that was here before this process began (1 s per GB, once): await `check` before, for large ones.
        """
        entry = self._shelf.use(blob)
        if not entry.sound:
            self._judge(blob, entry, files.holds(self._place(blob), blob))
        return str(self._place(blob))

    async def check(self, blob: Digest) -> bool:
        """Is it here and whole? Afterwards `path` answers at once."""
        try:
            await self._sound(blob)
        except KeyError:
            return False
        return True

    async def lay_out(self, tree: Digest, small: Mapping[str, bytes], large: Mapping[str, Digest]) -> str:
        """Make a folder of small files and of blobs, to be shown read-only. -> its path; the same one until it is cleared.

        Raises KeyError when a blob is absent, DiskFull or another LocalError for what quota and disk say.
        """
        target = self.folder / "trees" / tree.hex()
        if not await trio.Path(target).is_dir():
            for blob in large.values():
                await self._sound(blob)
            places = {path: self._place(blob) for path, blob in large.items()}
            self._count_tree(tree, trees.laid_bytes(small, large, self._rules.least_bytes))
            try:
                await trio.to_thread.run_sync(trees.lay_out, target, small, places, limiter=self._threads)
            except BaseException:
                self._uncount_tree(tree)
                raise
        return str(target)

    def _count_tree(self, tree: Digest, size: int) -> None:
        if self._shelf.is_own(tree):
            return
        self._make_room(size)
        if size > self.room_bytes():
            raise DiskFull(f"The disk of {self.folder} is full: a job's files would take {size} bytes.", "Make room on it.")
        self._laid[tree] = size
        self._shelf.laid_bytes += size

    def _uncount_tree(self, tree: Digest) -> None:
        self._shelf.laid_bytes -= self._laid.pop(tree, 0)

    async def clear(self, tree: Digest) -> None:
        """Remove a folder that was laid out. Its blobs stay. Raises LocalError when something is left; that stays counted."""
        await trio.to_thread.run_sync(trees.remove, self.folder / "trees" / tree.hex(), limiter=self._threads)
        self._uncount_tree(tree)

    def pin(self, blob: Digest, reason: str) -> None:
        """Keep a blob, here already or not yet, until every reason for it is gone."""
        self._shelf.pin(blob, reason)

    def unpin(self, blob: Digest, reason: str) -> None:
        """Take one reason away. Harmless when it was not there."""
        self._shelf.unpin(blob, reason)

    def room_bytes(self) -> int:
        """What could still be received: within the quota, when all that is not pinned was tidied away, and on the disk."""
        disk = shutil.disk_usage(self.folder).free + self._shelf.loose()
        return min(self._shelf.room(), max(0, disk - self._rules.disk_kept_bytes))

    def quota(self) -> int:
        """Bytes that others' jobs may put here in all."""
        return self._shelf.quota_bytes

    def set_quota(self, quota_bytes: int) -> None:
        """For what others' jobs put here, from now on; what is too much goes when something new comes."""
        self._shelf.quota_bytes = max(0, quota_bytes)

    def sweep(self, dry_run: bool) -> tuple[int, int]:
        """Remove all that nobody keeps, or only look. -> how many, bytes."""
        loose, size = self._shelf.unpinned(), self._shelf.loose()
        for blob in [] if dry_run else loose:
            self._lose(blob)
        return len(loose), size

    def discard(self, blob: Digest) -> None:
        """Remove it now if nobody keeps it."""
        if not self._shelf.pinned(blob):
            self._lose(blob)

    def partial(self, blob: Digest) -> int:
        """Bytes of an unfinished `receive` that can be resumed from."""
        try:
            return self._partial(blob).stat().st_size
        except FileNotFoundError:
            return 0

    async def receive(self, blob: Digest, size: int, chunks: AsyncIterator[bytes], offset: int = 0) -> None:
        """Store what `chunks` yields from byte `offset` (at most `partial(blob)`) on; returns at once when it is here.

        Raises Malformed, and forgets the bytes, if they do not hash to `blob` or are more than `size`; Unavailable, and
        keeps them, if `chunks` ends early. What a cancelled call got is kept.
        """
        lock = self._receiving.setdefault(blob, trio.Lock())
        try:
            async with lock:
                if not await self.check(blob):
                    await self._receive(blob, size, chunks, offset)
        finally:
            if not lock.locked():
                self._receiving.pop(blob, None)
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()  # one that we did not read to its end may hold a channel

    async def _receive(self, blob: Digest, size: int, chunks: AsyncIterator[bytes], offset: int) -> None:
        if not 0 <= offset <= self.partial(blob):
            raise ValueError(f"cannot resume at {offset}: {self.partial(blob)} bytes are here")
        self._make_room(size)
        with self._shelf.coming(blob, size):
            spare = await self._arrived(blob, size, chunks, offset)
        self._shelve(blob, size, spare, durable=False)

    async def _arrived(self, blob: Digest, size: int, chunks: AsyncIterator[bytes], offset: int) -> Path:
        """-> a file with the whole blob, not on the shelf yet."""
        if size <= self._rules.inline_bytes_max and not self.partial(blob):
            return await self._arrived_small(blob, size, chunks)
        partial = self._partial(blob)
        if offset == 0:
            files.trim(partial.parent, self._rules.partial_bytes_max, {other.hex() for other in self._receiving})
        with partial.open("ab") as file:
            file.truncate(offset)
            got = await self._append(file, chunks, size, offset)
        if got < size:
            raise Unavailable(f"Blob {blob.hex()[:16]} ended after {got} of {size} bytes.", "Ask another peer.")
        right = got == size and await self._do(size, lambda: files.holds(partial, blob))
        if not right:
            partial.unlink()
            raise Malformed(f"What came as blob {blob.hex()[:16]} is not that blob.")
        return partial

    async def _arrived_small(self, blob: Digest, size: int, chunks: AsyncIterator[bytes]) -> Path:
        """Hashed in memory and written once; what came before a break is kept all the same."""
        parts: list[bytes] = []
        got = 0
        try:
            async for chunk in chunks:
                parts.append(chunk)
                got += len(chunk)
                if got >= size:
                    break
        finally:
            if got < size and parts:
                self._keep_partial(blob, b"".join(parts))
        if got < size:
            raise Unavailable(f"Blob {blob.hex()[:16]} ended after {got} of {size} bytes.", "Ask another peer.")
        data = b"".join(parts)
        if got > size or await self._hash(data) != blob:
            raise Malformed(f"What came as blob {blob.hex()[:16]} is not that blob.")
        spare = self._spare()
        await self._do(size, lambda: files.write(spare, data, False))
        return spare

    def _keep_partial(self, blob: Digest, data: bytes) -> None:
        place = self._partial(blob)
        files.trim(place.parent, self._rules.partial_bytes_max, {other.hex() for other in self._receiving})
        place.unlink(missing_ok=True)
        files.write(place, data, False)

    async def _append(self, file: BinaryIO, chunks: AsyncIterator[bytes], size: int, got: int) -> int:
        """-> bytes now in the file; stops as soon as they are more than `size`."""
        async for chunk in chunks:
            got += len(chunk)
            if got > size:
                break
            await self._do(len(chunk), lambda piece=chunk: file.write(piece))  # type: ignore[misc]
            file.flush()
        return got

    async def _hash(self, data: bytes) -> Digest:
        if len(data) > self._rules.inline_bytes_max:
            return await trio.to_thread.run_sync(files.hash_bytes, data, limiter=self._threads)
        hasher = files.hasher(len(data))
        view = memoryview(data)
        for start in range(0, len(data), self._rules.slice_bytes):
            hasher.update(view[start : start + self._rules.slice_bytes])
            await trio.lowlevel.checkpoint()
        return Digest(hasher.digest())

    async def _do(self, size: int, work: Callable[[], T]) -> T:
        """Small work here, large work in a thread. Raises LocalError for what the disk says."""
        try:
            if size <= self._rules.inline_bytes_max:
                await trio.lowlevel.checkpoint()
                return work()
            return await trio.to_thread.run_sync(work, limiter=self._threads)
        except FileNotFoundError:
            raise
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise (DiskFull if full else LocalError)(
                f"The blob store {self.folder} failed: {error.strerror}.", "Make room on the disk, or check it."
            ) from error

    async def _sound(self, blob: Digest) -> Entry:
        """The entry, its file hashed once if this process did not write it. Raises KeyError when absent or damaged."""
        entry = self._shelf.use(blob)
        if not entry.sound:
            self._judge(blob, entry, await self._do(entry.size_bytes, lambda: files.holds(self._place(blob), blob)))
        return entry

    def _trusted_nowait(self, blob: Digest) -> bool:
        entry = self._shelf.find(blob)
        return entry is not None and entry.sound

    def _judge(self, blob: Digest, entry: Entry, sound: bool) -> None:
        if not sound:
            self._lose(blob)
            raise KeyError(blob.hex())
        entry.sound = True

    def _lose(self, blob: Digest) -> None:
        """Damaged or removed behind our back: as if it had never been here."""
        self._shelf.remove(blob)
        self._place(blob).unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        for victim in self._shelf.make_room(size):
            self._lose(victim)

    def _shelve(self, blob: Digest, size: int, spare: Path, durable: bool) -> None:
        place = self._place(blob)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        spare.chmod(0o444)
        spare.replace(place)
        if durable:
            sync_folder(place.parent)
            sync_folder(self.folder)
        self._shelf.add(blob, size, sound=True)

    def _place(self, blob: Digest) -> Path:
        name = blob.hex()
        return self.folder / name[:2] / name

    def _partial(self, blob: Digest) -> Path:
        return self.folder / "partial" / blob.hex()

    def _spare(self) -> Path:
        return self.folder / "new" / secrets.token_hex(8)
