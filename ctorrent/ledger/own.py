"""This node's own logs: where its next entry goes, so that an honest machine never forks.

A node that lost bytes, was restored from a backup, or runs from a copied folder cannot see it from the inside, and the
peers it can reach may be behind too. So it continues a log only while it can tell that nobody else wrote there: within
one run. The first entry of a ring after a start opens a new log. Its number skips ahead at random, so that two copies
that open one unknown to each other still open two.
"""

from __future__ import annotations

from dataclasses import dataclass

from ctorrent.ledger.chain import INCARNATION_MAX, NOTHING, Chain
from ctorrent.model.entry import Head
from ctorrent.model.ids import Digest, NodeId, Ring

ROOM_DIVISOR = 4096  # a skip uses up to this part of the numbers left: two blind copies collide once in 2^20 starts,
# and after ten thousand starts two thirds of the room are still there


@dataclass(frozen=True, slots=True)
class Place:
    """The header of this node's next entry in a ring.

    opens: the log does not exist yet: first write an INCARNATION entry here (kind 7), whose body is `names` (the last
    head known in that ring, or None), then ask again.
    """

    incarnation: int
    seq: int
    prev: Digest
    opens: bool
    names: Head | None


class OwnLogs:
    """Where this node writes. Reads the chain, into which the node puts its own entries like any other's."""

    def __init__(self, author: NodeId, chain: Chain) -> None:
        self.author = author
        self._chain = chain
        self._writing: dict[Ring, int] = {}

    def next(self, ring: Ring, entropy: bytes) -> Place:
        """Where the next entry of `ring` goes. entropy: 8 fresh random bytes."""
        incarnation = self._writing.get(ring)
        if incarnation is not None and not self._chain.forked_at(self.author, incarnation):
            head = self._chain.head(self.author, incarnation)
            if head is not None:
                return Place(incarnation, head.seq + 1, head.id, False, None)
        else:
            incarnation = self._fresh(entropy)
        self._writing[ring] = incarnation
        last = self._last(ring)
        return Place(incarnation, 1, NOTHING if last is None else last.id, True, last)

    def rings(self) -> list[Ring]:
        """Rings in which this run wrote."""
        return sorted(self._writing, key=str)

    def _fresh(self, entropy: bytes) -> int:
        highest = max([*self._chain.incarnations(self.author), *self._writing.values(), 0])
        skip_max = max(1, (INCARNATION_MAX - highest) // ROOM_DIVISOR)
        return highest + 1 + int.from_bytes(entropy[:8], "big") % skip_max

    def _last(self, ring: Ring) -> Head | None:
        """The newest head of this author in a ring: the highest incarnation's."""
        heads = [h for h in self._chain.heads(self.author) if self._chain.ring(self.author, h.incarnation) == ring]
        return heads[-1] if heads else None
