"""ports.Journal in memory, on a disk that forgets what was not synced when the machine crashes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

import trio

from ctorrent.errors import JournalError
from ctorrent.ports import Put, Write

Records = dict[tuple[str, bytes], bytes]


class FakeJournal:
    """One node's journal over all of its lives: after `crash` or `aclose`, `reopen` is the node's next start.

    sync_s: how long a durable commit takes on the simulated disk; commits made meanwhile share the sync.
    """

    def __init__(self, sync_s: float = 0.0) -> None:
        self.sync_s = sync_s
        self.commits = 0  # durable ones that returned
        self.syncs = 0
        self.failure = ""  # set it: commits are refused with these words, as on a full disk
        self._keys: dict[str, list[bytes]] = {}  # of _live, in order, of the spaces that were ever scanned
        self._synced: Records = {}
        self._live: Records = {}
        self._unsynced: list[tuple[Write, ...]] = []  # applied to _live, not yet to _synced, in order
        self._waiting: list[tuple[Write, ...]] = []  # for the sync that has not begun
        self._next_sync: trio.Event | None = None
        self._disk = trio.Lock()  # one sync at a time
        self._life = 0
        self._closed = False

    async def commit(self, writes: Sequence[Write], durable: bool = True) -> None:
        """As the port says. A commit that a crash overtakes raises JournalError, and may or may not be kept."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_usable()
        batch = tuple(writes)
        if not durable:
            self._apply(batch)
        elif batch:
            await self._sync(batch)
        await trio.lowlevel.cancel_shielded_checkpoint()

    def get(self, space: str, key: bytes) -> bytes | None:
        self._check_open()
        return self._live.get((space, key))

    def scan(self, space: str, prefix: bytes = b"", limit: int = 1 << 30, after: bytes = b"") -> list[tuple[bytes, bytes]]:
        self._check_open()
        keys, live = self._keys_of(space), self._live
        at = max(bisect_left(keys, prefix), bisect_right(keys, after) if after else 0)
        found: list[tuple[bytes, bytes]] = []
        while at < len(keys) and len(found) < limit and keys[at].startswith(prefix):
            found.append((keys[at], live[space, keys[at]]))
            at += 1
        return found

    def _keys_of(self, space: str) -> list[bytes]:
        """In order, as a table's index has them: a scan costs what it finds, however much else there is."""
        if space not in self._keys:
            self._keys[space] = sorted(key for one, key in self._live if one == space)
        return self._keys[space]

    def _note(self, batch: tuple[Write, ...]) -> None:
        """Apply it, one write after the other, and keep the keys in order of the spaces that were scanned."""
        for write in batch:
            keys, place = self._keys.get(write.space), (write.space, write.key)
            if isinstance(write, Put):
                if keys is not None and place not in self._live:
                    insort(keys, write.key)
                self._live[place] = write.value
            elif self._live.pop(place, None) is not None and keys is not None:
                del keys[bisect_left(keys, write.key)]

    async def aclose(self) -> None:
        """A clean end keeps everything."""
        await trio.lowlevel.checkpoint()
        if not self._closed:
            self._synced = dict(self._live)
            self._unsynced.clear()
            self._closed = True

    def crash(self, survivors: int = 0) -> None:
        """The machine loses power and starts again: this object is the journal that the next start opens.

        Of the commits that were not synced, the first `survivors` had reached the disk by chance.
        """
        for batch in self._unsynced[:survivors]:
            _write(self._synced, batch)
        self._unsynced.clear()
        self._waiting.clear()
        self._next_sync = None
        self._disk = trio.Lock()
        self._live = dict(self._synced)
        self._keys.clear()
        self._life += 1
        self._closed = False

    def reopen(self) -> None:
        """The next start after a clean end."""
        self._closed = False

    def unsynced(self) -> int:
        """Commits that a crash now could lose."""
        return len(self._unsynced)

    async def _sync(self, batch: tuple[Write, ...]) -> None:
        life = self._life
        self._waiting.append(batch)
        if self._next_sync is None:
            self._next_sync = trio.Event()
        mine, disk = self._next_sync, self._disk
        async with disk:
            if life == self._life and not mine.is_set():
                self._next_sync = None
                taken, self._waiting = self._waiting, []
                with trio.CancelScope(shield=True):  # a cancelled commit goes its way, as on the real disk
                    await trio.sleep(self.sync_s)
                if life == self._life:
                    self._land(taken)
                    mine.set()
        if life != self._life:
            raise JournalError("The machine lost power during a commit.")
        self.commits += 1

    def _land(self, taken: list[tuple[Write, ...]]) -> None:
        for batch in taken:
            self._apply(batch)
        for batch in self._unsynced:
            _write(self._synced, batch)
        self._unsynced.clear()
        self.syncs += 1

    def _apply(self, batch: tuple[Write, ...]) -> None:
        self._note(batch)
        self._unsynced.append(batch)

    def _check_usable(self) -> None:
        self._check_open()
        if self.failure:
            raise JournalError(f"The journal could not be written ({self.failure}).", "Make room on the disk.")

    def _check_open(self) -> None:
        if self._closed:
            raise JournalError("The journal is closed.")


def _write(records: Records, batch: tuple[Write, ...]) -> None:
    for write in batch:
        if isinstance(write, Put):
            records[write.space, write.key] = write.value
        else:
            records.pop((write.space, write.key), None)
