"""Which blobs are here, how old, who holds them; what must go when room is needed. Touches no disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ctorrent.errors import DiskFull
from ctorrent.model.ids import Digest

OWN = ("job ", "input")  # how the reasons begin for which own jobs pin what they read and made


@dataclass(slots=True)
class Entry:
    """A blob on the shelf."""

    size_bytes: int
    sound: bool  # written or verified since this process began; files found at start may be cut short


class Shelf:
    """Entries from the least to the most recently used, with pins and a quota in bytes.

    The quota is for what others' jobs put here. What this node's own jobs read and made (see OWN) does not count against
    it, and never makes way.
    """

    def __init__(self, quota_bytes: int, least_bytes: int = 0) -> None:
        """least_bytes: what the smallest blob counts as."""
        self.quota_bytes = quota_bytes
        self._least = least_bytes
        self.used_bytes = 0  # of all entries
        self.own_bytes = 0  # of those that an own job pins
        self.laid_bytes = 0  # of others' jobs' folders, beside the blobs
        self._coming_bytes = 0  # of pinned blobs that are on their way; two at once must not take the same room
        self._entries: OrderedDict[Digest, Entry] = OrderedDict()
        self._pins: dict[Digest, set[str]] = {}

    def add(self, blob: Digest, size_bytes: int, sound: bool) -> None:
        """Put or replace an entry; it becomes the most recently used."""
        self.remove(blob)
        self._entries[blob] = Entry(size_bytes, sound)
        self.used_bytes += self._cost(blob)
        self.own_bytes += self._cost(blob) if self.is_own(blob) else 0

    def remove(self, blob: Digest) -> None:
        """Take an entry off; pins stay, for a blob may be pinned before it arrives."""
        if blob in self._entries:
            self.used_bytes -= self._cost(blob)
            self.own_bytes -= self._cost(blob) if self.is_own(blob) else 0
            del self._entries[blob]

    def find(self, blob: Digest) -> Entry | None:
        """Look without touching."""
        return self._entries.get(blob)

    def use(self, blob: Digest) -> Entry:
        """Look and mark as used. Raises KeyError with the digest in hex when absent."""
        entry = self._entries.get(blob)
        if entry is None:
            raise KeyError(blob.hex())
        self._entries.move_to_end(blob)
        return entry

    def pin(self, blob: Digest, reason: str) -> None:
        before = self.is_own(blob)
        self._pins.setdefault(blob, set()).add(reason)
        if blob in self._entries and not before and self.is_own(blob):
            self.own_bytes += self._cost(blob)

    def unpin(self, blob: Digest, reason: str) -> None:
        before, reasons = self.is_own(blob), self._pins.get(blob, set())
        reasons.discard(reason)
        if blob in self._entries and before and not self.is_own(blob):
            self.own_bytes -= self._cost(blob)
        if not reasons:
            self._pins.pop(blob, None)

    def drop_pins(self) -> None:
        """Forget every pin, as a restart does."""
        self._pins.clear()
        self.own_bytes = 0

    def _cost(self, blob: Digest) -> int:
        """Of an entry, on a disk."""
        return max(self._least, self._entries[blob].size_bytes)

    def is_own(self, blob: Digest) -> bool:
        """Does a job of this node's own hold it?"""
        return any(reason.startswith(OWN) for reason in self._pins.get(blob, ()))

    def room(self) -> int:
        """Bytes that would fit if all that is not pinned went."""
        return max(0, self.quota_bytes - self._taken() + self.loose())

    def _taken(self) -> int:
        """Bytes that count against the quota."""
        return self.used_bytes + self.laid_bytes + self._coming_bytes - self.own_bytes

    def loose(self) -> int:
        """Bytes of what is not pinned."""
        return sum(self._cost(blob) for blob in self._unpinned())

    def pinned(self, blob: Digest) -> bool:
        return blob in self._pins

    def unpinned(self) -> list[Digest]:
        """What may go, least recently used first."""
        return list(self._unpinned())

    def make_room(self, size_bytes: int) -> list[Digest]:
        """What must be deleted so that `size_bytes` more fit, oldest first. Raises DiskFull when pins forbid it."""
        missing = self._taken() + max(self._least, size_bytes) - self.quota_bytes
        victims: list[Digest] = []
        for blob in self._unpinned():
            if missing <= 0:
                break
            victims.append(blob)
            missing -= self._cost(blob)
        if missing > 0:
            raise DiskFull(
                f"The blob store is full: {size_bytes} more bytes do not fit into {self.quota_bytes} beside what is in use.",
                "Its owner can raise the quota (ctorrent config set disk_bytes …), or jobs that run there end.",
            )
        return victims

    @contextmanager
    def coming(self, blob: Digest, size_bytes: int) -> Iterator[None]:
        """While a blob of this size arrives: the room of one that could not make way once it is here is nobody else's.

        An own job's is none of the quota's.
        """
        cost = max(self._least, size_bytes) if self.pinned(blob) and not self.is_own(blob) else 0
        self._coming_bytes += cost
        try:
            yield
        finally:
            self._coming_bytes -= cost

    def _unpinned(self) -> Iterator[Digest]:
        return (blob for blob in self._entries if blob not in self._pins)
