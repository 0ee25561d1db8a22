"""Fingerprints of many logs, so that two nodes find the few that differ without listing the many that do not.

Logs are spread over a 16-way tree by the hash of (author, incarnation); each node of the tree holds a sum, modulo
2^256, of the hashes of the lines below it, and their count. Sums can be kept up to date line by line; the sum is
hashed before it travels. Words: Meyer, "Range-Based Set Reconciliation", SRDS 2023; ranges are key prefixes here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ctorrent.model.ids import Digest, NodeId
from ctorrent.seal import digest

LogKey = tuple[NodeId, int]  # author, incarnation

DEPTH = 4  # 65,536 places: a million logs leave 16 in each, which are then listed
WIDTH = 16
_SUM = 1 << 256


@dataclass(frozen=True, slots=True)
class Line:
    """Where one log stands. `fork`: the seq from which it weighs nothing, 0 for none.

    low: the first entry that is held; 0: nothing was cut off. Two nodes that differ in this alone have nothing to tell
    each other, so it is in no fingerprint.
    """

    author: NodeId
    incarnation: int
    seq: int
    id: Digest
    fork: int
    low: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, order=True)
class Prefix:
    """A node of the tree: the first `depth` hexadecimal digits of a key's hash, as a number."""

    depth: int
    digits: int

    def children(self) -> list[Prefix]:
        return [Prefix(self.depth + 1, self.digits * WIDTH + i) for i in range(WIDTH)]


ROOT = Prefix(0, 0)


@dataclass(frozen=True, slots=True)
class Slice:
    """A prefix with what lies below it: how many logs, and their fingerprint."""

    prefix: Prefix
    count: int
    fingerprint: bytes


class Summary:
    """The tree over the logs of one ring."""

    def __init__(self) -> None:
        self._lines: dict[LogKey, Line] = {}
        self._stale: dict[LogKey, Line | None] = {}  # key -> the line the tree still counts
        self._sums: dict[tuple[int, int], list[int]] = {}  # (depth, digits) -> [sum, count]
        self._members: dict[int, dict[LogKey, None]] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def update(self, line: Line) -> None:
        """Put in a log's new state. The tree is brought up to date when it is next asked."""
        key = (line.author, line.incarnation)
        self._stale.setdefault(key, self._lines.get(key))
        self._lines[key] = line

    def remove(self, key: LogKey) -> None:
        """A log that nobody counts any more."""
        if key in self._lines:
            self._stale.setdefault(key, self._lines[key])
            del self._lines[key]

    def slice(self, prefix: Prefix) -> Slice:
        self._settle()
        total, count = self._sums.get((prefix.depth, prefix.digits), (0, 0))
        return Slice(prefix, count, digest("ctorrent/ledger/range/1", total.to_bytes(32, "big"), count.to_bytes(8, "big")))

    def lines(self, prefix: Prefix, limit: int) -> list[Line]:
        """Up to `limit` lines below a prefix, in the tree's order, by key within a place."""
        self._settle()
        found: list[Line] = []
        self._collect(prefix, limit, found)
        return found

    def _collect(self, prefix: Prefix, limit: int, found: list[Line]) -> None:
        if len(found) >= limit or not self._sums.get((prefix.depth, prefix.digits), (0, 0))[1]:
            return
        if prefix.depth == DEPTH:
            found += [self._lines[key] for key in sorted(self._members[prefix.digits])][: limit - len(found)]
            return
        for child in prefix.children():
            self._collect(child, limit, found)

    def _settle(self) -> None:
        for key, old in self._stale.items():
            new = self._lines.get(key)
            if old is None and new is None:
                continue
            change = (0 if new is None else _weight(new)) - (0 if old is None else _weight(old))
            more = (new is not None) - (old is not None)
            place = _place(key)
            if more > 0:
                self._members.setdefault(place, {})[key] = None
            elif more < 0:
                del self._members[place][key]
            for depth in range(DEPTH + 1):
                node = self._sums.setdefault((depth, place >> 4 * (DEPTH - depth)), [0, 0])
                node[0] = (node[0] + change) % _SUM
                node[1] += more
        self._stale.clear()


def _place(key: LogKey) -> int:
    return int.from_bytes(digest("ctorrent/ledger/place/1", key[0].encode(), key[1].to_bytes(8, "big"))[:2], "big")


def _weight(line: Line) -> int:
    numbers = b"".join(n.to_bytes(8, "big") for n in (line.incarnation, line.seq, line.fork))
    return int.from_bytes(digest("ctorrent/ledger/line/1", line.author.encode(), numbers, line.id), "big")
