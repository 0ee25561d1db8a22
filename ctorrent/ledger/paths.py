"""Merkle paths that say where they lead from: the same trees as seal.merkle_root, with each leaf's place checked.

A path with sides chosen by its sender shows that a leaf is somewhere. Who draws a leaf by number must see that very leaf,
so the sides follow from the place and the count, and only the siblings travel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ctorrent.seal import digest

STEP = 4096  # digests between two pauses: 10 ms; even, so that no pair is split
_LEAF, _NODE = "ctorrent/merkle/leaf/1", "ctorrent/merkle/node/1"


class Tree:
    """All levels of a tree, for many paths out of one. 64 bytes a leaf."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.count = len(leaves)
        self._levels: list[list[bytes]] = []
        for _ in self.growing(leaves):
            pass

    @classmethod
    def planted(cls, leaves: Sequence[bytes]) -> tuple[Tree, Iterator[None]]:
        """A tree that is whole when the iterator has ended: a million leaves take seconds, which others may need."""
        tree = cls(())
        tree.count = len(leaves)
        return tree, tree.growing(leaves)

    def growing(self, leaves: Sequence[bytes]) -> Iterator[None]:
        """Pauses after every few thousand digests."""
        level: list[bytes] = []
        for start in range(0, len(leaves), STEP):
            level += [digest(_LEAF, leaf) for leaf in leaves[start : start + STEP]]
            yield
        self._levels = [level]
        while len(level) > 1:
            pairs: list[bytes] = []
            for start in range(0, len(level) - 1, STEP):
                pairs += [digest(_NODE, level[i], level[i + 1]) for i in range(start, min(start + STEP, len(level) - 1), 2)]
                yield
            level = pairs + level[len(pairs) * 2 :]
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """As seal.merkle_root gives it."""
        return self._levels[-1][0] if self.count else digest("ctorrent/merkle/empty/1")

    def siblings(self, place: int) -> tuple[bytes, ...]:
        """From leaf to root; a node without one is carried up. Raises IndexError outside the tree."""
        if not 0 <= place < self.count:
            raise IndexError(f"there is no leaf {place} among {self.count}")
        found: list[bytes] = []
        for level in self._levels[:-1]:
            if (place ^ 1) < len(level):
                found.append(level[place ^ 1])
            place //= 2
        return tuple(found)


def leads_to(root: bytes, leaf: bytes, place: int, count: int, siblings: Sequence[bytes]) -> bool:
    """Is `leaf` the one at `place` of the `count` leaves under `root`?"""
    if not 0 <= place < count:
        return False
    node, left = digest(_LEAF, leaf), list(siblings)
    while count > 1:
        if (place ^ 1) < count:
            if not left:
                return False
            sibling = left.pop(0)
            node = digest(_NODE, sibling, node) if place & 1 else digest(_NODE, node, sibling)
        place, count = place // 2, (count + 1) // 2
    return not left and node == root
