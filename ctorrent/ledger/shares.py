"""Who takes how much of the room for entries, and who gives way when there is none left. Pure.

    below the budget   everybody's entries are taken in, up to a share for each owner and each node
    at the budget      whoever holds most among those that matter least gives way: down to one level for all of them, as
                       water finds it (max-min fairness: Bertsekas and Gallager, "Data Networks", 1992, 6.5.2)

Keys are free, so a flood may come from any number of them. What a node remembers of each author, however little it wrote, is
counted with its entries (`author_bytes`), so that the budget bounds their number, too. The flood shares a level with strangers alone: whoever has a rank
above them, by friendship or by work that was verified here, loses nothing while there are strangers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from heapq import nsmallest

from ctorrent.ledger.rules import RoomRules
from ctorrent.model.ids import NodeId

LOOK_EVERY = 256  # entries between two looks at who holds most, while there is no room: with 65,536 authors 0.1 s
LOOK_KEEP = 64  # of those who hold most, found by one look: they give way one after another, down to its end
NEAR = 0.75  # of who holds most: who has that much gets no more, else two that are alike would push each other out for ever


class Rank(IntEnum):
    """Who gives way first."""

    STRANGER = 0  # no path of trust reaches it
    TRUSTED = 1  # its word weighs something here: it worked well for this node, or for those whom it believes
    CONTACT = 2  # a friend
    SELF = 3  # this owner's own nodes: never


@dataclass(frozen=True, slots=True)
class Largest:
    """Who gives way next: of this owner's nodes the one that holds most. held: bytes of the owner."""

    rank: Rank
    owner: str
    author: NodeId
    held: int


class Shares:
    """Bytes of entries by author; `total`: of all. owner_of, rank: what this node thinks by now."""

    def __init__(self, owner_of: Callable[[NodeId], str], rank: Callable[[NodeId], Rank], rules: RoomRules) -> None:
        self._owner_of, self._rank, self.rules = owner_of, rank, rules
        self._bytes: dict[NodeId, int] = {}
        self._owners: dict[str, int] = {}
        self._counted_as: dict[NodeId, str] = {}  # an owner that is learned later takes its nodes' bytes over
        self._most: dict[str, Largest] = {}  # owners that held most at the last look, and who came up to them since
        self._rest = 0  # bytes that nobody else of that rank held more of
        self._looked = 0
        self.total = 0

    def add(self, author: NodeId, size: int) -> None:
        """size: negative for what is gone."""
        owner = self._settle(author)
        self._counted_as[author] = owner
        self.total += size
        self._bytes[author] = self._bytes.get(author, 0) + size
        self._owners[owner] = self._owners.get(owner, 0) + size
        if self._owners[owner] <= 0:
            del self._owners[owner]
        elif size > 0 and self._most and owner not in self._most:
            self._came_up(author, owner)
        if self._bytes[author] <= 0:
            del self._bytes[author], self._counted_as[author]

    def held(self, author: NodeId) -> int:
        return self._bytes.get(author, 0)

    def refuses(self, author: NodeId) -> str:
        """Why nothing more of this author is taken in; "" when it is."""
        rank = self._rank(author)
        if rank is Rank.SELF:
            return ""
        owner, rules = self._settle(author), self.rules
        if rank < Rank.CONTACT and self.held(author) >= rules.bytes_max // rules.author_part:
            return "its entries take as much room as one node may have"
        if rank < Rank.CONTACT and self._owners.get(owner, 0) >= rules.bytes_max // rules.owner_part:
            return "its owner's entries take as much room as one owner may have"
        if self._taken < rules.bytes_max:
            return ""
        most = self.largest()
        if most is None or rank < most.rank or (rank is most.rank and self._owners.get(owner, 0) >= most.held * NEAR):
            return "there is no room, and nobody that matters less has more of it"
        return ""

    @property
    def over(self) -> bool:
        """Has somebody to give way?"""
        return self._taken > self.rules.bytes_max

    @property
    def _taken(self) -> int:
        """Of the budget."""
        return self.total + len(self._bytes) * self.rules.author_bytes

    def portion(self, most: Largest) -> int:
        """Bytes that it gives up at once."""
        return max(1, min(self.rules.trim_bytes, int(most.held * (1 - NEAR))))

    def largest(self) -> Largest | None:
        """Who gives way: most bytes among the lowest rank. None: all is this owner's."""
        self._looked += 1
        if self._looked >= LOOK_EVERY or (found := self._of_those_seen()) is None:
            looked = self._look()
            self._looked, self._most = 0, {one.owner: one for one in looked}
            found = looked[0] if looked else None
            whole = len(looked) < LOOK_KEEP or looked[-1].rank is not looked[0].rank
            self._rest = 0 if whole else looked[-1].held
        return found

    def _of_those_seen(self) -> Largest | None:
        """Who holds most of those the last look found; None once others, whom it left out, may hold more."""
        now = [
            Largest(one.rank, one.owner, one.author, self._owners.get(one.owner, 0))
            for one in self._most.values()
            if self._bytes.get(one.author, 0) > 0
        ]
        most = min(now, key=lambda one: (one.rank, -one.held), default=None)
        lowest = min((one.rank for one in self._most.values()), default=None)
        return most if most is not None and most.rank is lowest and most.held >= self._rest else None

    def _came_up(self, author: NodeId, owner: str) -> None:
        """Entries came of somebody whom the last look left out, or did not see."""
        rank, held = self._rank(author), self._owners[owner]
        first = next(iter(self._most.values())).rank
        if rank < first or (rank is first and held > self._rest):
            self._most[owner] = Largest(rank, owner, author, held)
        if rank < first or len(self._most) > 2 * LOOK_KEEP:
            self._most = {}

    def _look(self) -> list[Largest]:
        nodes: dict[str, NodeId] = {}
        ranks: dict[str, Rank] = {}
        for author, size in self._bytes.items():
            owner = self._settle(author)
            rank = self._rank(author)
            if owner not in nodes or (rank, -size) < (ranks[owner], -self._bytes[nodes[owner]]):
                nodes[owner], ranks[owner] = author, rank
        found = ((ranks[owner], -self._owners[owner], owner) for owner in nodes if ranks[owner] is not Rank.SELF)
        return [Largest(rank, owner, nodes[owner], -size) for rank, size, owner in nsmallest(LOOK_KEEP, found)]

    def _settle(self, author: NodeId) -> str:
        """Its owner by now; bytes that were counted as another's move."""
        owner, before = self._owner_of(author), self._counted_as.get(author)
        if before is not None and before != owner:
            size = self._bytes.get(author, 0)
            self._owners[before] -= size
            if self._owners[before] <= 0:
                del self._owners[before]
            self._owners[owner] = self._owners.get(owner, 0) + size
        if author in self._bytes:
            self._counted_as[author] = owner
        return owner
