"""Which blobs are here, how old, who holds them; what must go when room is needed. Touches no disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from ctorrent.errors import LocalError
from ctorrent.model.ids import Digest


@dataclass(slots=True)
class Entry:
    """A blob on the shelf."""

    size_bytes: int
    sound: bool  # written or verified since this process began; files found at start may be cut short


class Shelf:
    """Entries from the least to the most recently used, with pins and a quota in bytes."""

    def __init__(self, quota_bytes: int) -> None:
        self.quota_bytes = quota_bytes
        self.used_bytes = 0
        self._entries: OrderedDict[Digest, Entry] = OrderedDict()
        self._pins: dict[Digest, set[str]] = {}

    def add(self, blob: Digest, size_bytes: int, sound: bool) -> None:
        """Put or replace an entry; it becomes the most recently used."""
        self.remove(blob)
        self._entries[blob] = Entry(size_bytes, sound)
        self.used_bytes += size_bytes

    def remove(self, blob: Digest) -> None:
        """Take an entry off; pins stay, for a blob may be pinned before it arrives."""
        entry = self._entries.pop(blob, None)
        if entry is not None:
            self.used_bytes -= entry.size_bytes

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
        self._pins.setdefault(blob, set()).add(reason)

    def unpin(self, blob: Digest, reason: str) -> None:
        reasons = self._pins.get(blob, set())
        reasons.discard(reason)
        if not reasons:
            self._pins.pop(blob, None)

    def drop_pins(self) -> None:
        """Forget every pin, as a restart does."""
        self._pins.clear()

    def room(self) -> int:
        """Bytes that would fit if all that is not pinned went."""
        return max(0, self.quota_bytes - self.used_bytes + self.loose())

    def loose(self) -> int:
        """Bytes of what is not pinned."""
        return sum(self._entries[blob].size_bytes for blob in self._unpinned())

    def make_room(self, size_bytes: int) -> list[Digest]:
        """What must be deleted so that `size_bytes` more fit, oldest first. Raises LocalError when pins forbid it."""
        missing = self.used_bytes + size_bytes - self.quota_bytes
        victims: list[Digest] = []
        for blob in self._unpinned():
            if missing <= 0:
                break
            victims.append(blob)
            missing -= self._entries[blob].size_bytes
        if missing > 0:
            raise LocalError(
                f"The blob store is full: {size_bytes} more bytes do not fit into {self.quota_bytes} beside what is in use.",
                "Raise the quota, or wait until jobs have ended.",
            )
        return victims

    def _unpinned(self) -> Iterator[Digest]:
        return (blob for blob in self._entries if blob not in self._pins)
