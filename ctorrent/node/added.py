"""Files that a person added to the node's store by hand: kept through every tidying until they are removed by hand.

    added   blob digest   [name, bytes, added_unix]
"""

from __future__ import annotations

from pathlib import Path

from ctorrent.canon import encode
from ctorrent.errors import LocalError
from ctorrent.model.ids import Digest
from ctorrent.model.live import BlobRow
from ctorrent.node import records
from ctorrent.node.patience import printable
from ctorrent.node.world import World
from ctorrent.ports import Delete, Put

KEPT = "added by its person"  # the pin
NAME_CHARS = 200
FILES_MAX = 10_000  # a list that is shown whole
PREFIX_MIN = 6  # digits of a hash that a person may type


class AddedFiles:
    """Of one node."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rows: dict[Digest, BlobRow] = {}
        for key, value in world.journal.scan("added"):
            name, size, added = records.load(value)
            self._rows[Digest(key)] = BlobRow(hash=key.hex(), bytes=size, name=name, added_unix=added)

    def pin(self) -> None:
        """Pins do not outlive a restart; what was lost with a disk is listed no more."""
        for blob in list(self._rows):
            if self._world.blobs.size(blob) is None:
                del self._rows[blob]
            else:
                self._world.blobs.pin(blob, KEPT)

    async def add(self, path: Path, name: str) -> BlobRow:
        """Copy a file in, hashed on the way, never whole in memory. Raises LocalError."""
        if not path.is_absolute():
            raise LocalError(f"{str(path)!r:.100} is not a full path.", "Begin it with a slash: the node may run in another folder than you.")
        if len(self._rows) >= FILES_MAX:
            raise LocalError(f"{FILES_MAX} files were added already.", "Remove some that you need no more.")
        blob, size = await self._world.blobs.put_file(str(path))
        self._world.blobs.pin(blob, KEPT)
        row = BlobRow(hash=blob.hex(), bytes=size, name=printable(name or path.name, NAME_CHARS), added_unix=int(self._world.clock.unix()))
        await self._world.blobs.flush([blob])
        await self._world.journal.commit([Put("added", blob, encode([row["name"], size, row["added_unix"]]))])
        self._rows.pop(blob, None)
        self._rows[blob] = row
        return row

    def rows(self) -> list[BlobRow]:
        """Newest first; of one second, who came last."""
        last_first = list(self._rows.values())[::-1]
        return sorted(last_first, key=lambda row: -row["added_unix"])

    async def remove(self, which: str) -> BlobRow:
        """Keep it no longer: its bytes go when no job needs them."""
        blob = self._find(which)
        await self._world.journal.commit([Delete("added", blob)])
        row = self._rows.pop(blob)
        self._world.blobs.unpin(blob, KEPT)
        self._world.blobs.discard(blob)
        return row

    def find(self, which: str) -> tuple[BlobRow, str]:
        """The row and where the bytes lie; read them only. Raises LocalError."""
        blob = self._find(which)
        try:
            return self._rows[blob], self._world.blobs.path(blob)
        except KeyError:
            raise LocalError(f"The bytes of {self._rows[blob]['name']!r} are not on this disk any more.", "Add the file again.") from None

    def _find(self, which: str) -> Digest:
        """By hash, by name (the newest of several), or by the beginning of a hash."""
        wanted = which.strip()
        newest = self.rows()
        named = [row for row in newest if row["name"] == wanted]
        exact = [row for row in newest if row["hash"] == wanted.lower()]
        begun = [row for row in newest if len(wanted) >= PREFIX_MIN and row["hash"].startswith(wanted.lower())]
        found = exact or named[:1] or begun
        if not found:
            raise LocalError(f"no file {which!r:.100} was added here", "`GET /api/v1/blobs`, or net.blobs(), lists them.")
        if len(found) > 1:
            raise LocalError(f"{which!r:.100} begins {len(found)} hashes", f"They are {', '.join(row['hash'][:16] for row in found[:5])}. Give more of it.")
        return Digest(bytes.fromhex(found[0]["hash"]))
