"""Large arrays among the arguments of calls: a file for each content, however many calls have it.

A block names such a file as an input of its own, and inputs travel by what is in them: a worker that had an array for one
call has it for all.
"""

from __future__ import annotations

import hashlib
import pathlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

KEPT_BYTES_MAX = 1 << 30  # on the disk, of what no call waits with: the same arrays come again and again


@dataclass(slots=True)
class _Kept:
    path: pathlib.Path
    size: int
    users: int = 0  # calls that were not handed over yet


class Arrays:
    """Of one executor. Knows it not: an executor that nobody holds any more ends."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the last was asked for last
        self._lock = threading.Lock()

    def take(self, arrays: Sequence[memoryview], folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
        """Their files, in this folder, until leave() says that they are the node's."""
        return tuple(self._one(each, folder) for each in arrays)

    def _one(self, array: memoryview, folder: pathlib.Path) -> pathlib.Path:
        name = hashlib.blake2b(array, digest_size=20).hexdigest()
        with self._lock:
            kept = self._kept.pop(name, None)
            if kept is None:
                kept = _Kept(folder / f"array-{name}", array.nbytes)
                kept.path.write_bytes(array)
            kept.users += 1
            self._kept[name] = kept
            return kept.path

    def leave(self, paths: Sequence[pathlib.Path]) -> None:
        """A call was handed over. What is too much goes, the longest unasked for first."""
        with self._lock:
            for path in paths:
                self._kept[path.name.removeprefix("array-")].users -= 1
            size = sum(kept.size for kept in self._kept.values())
            for name in [name for name, kept in self._kept.items() if not kept.users]:
                if size <= KEPT_BYTES_MAX:
                    break
                gone = self._kept.pop(name)
                gone.path.unlink(missing_ok=True)
                size -= gone.size
