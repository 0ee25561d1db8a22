"""Room that is full of many authors, each with a little: what one more entry costs, and who gives way for it."""

from __future__ import annotations

import random

from ctorrent.ledger.rules import RoomRules
from ctorrent.ledger.shares import Rank, Shares
from ctorrent.model.ids import NodeId

SIZE = 500


class Room:
    """Shares that count how often they ask for a rank: what a look costs."""

    def __init__(self, bytes_max: int, author_bytes: int = 0) -> None:
        self.asked = 0
        self.ranks: dict[NodeId, Rank] = {}
        self.shares = Shares(lambda node: f"own_{node}", self._rank, RoomRules(bytes_max=bytes_max, author_bytes=author_bytes))

    def _rank(self, author: NodeId) -> Rank:
        self.asked += 1
        return self.ranks.get(author, Rank.STRANGER)

    def offer(self, author: NodeId) -> bool:
        """One entry, as the node takes it in."""
        if self.shares.refuses(author):
            return False
        self.shares.add(author, SIZE)
        while self.shares.over and (most := self.shares.largest()) is not None:
            self.shares.add(most.author, -SIZE)
        return True


def test_an_entry_of_one_more_key_does_not_cost_a_look_at_all_the_others() -> None:
    """Else a flood of fresh keys, a message each, keeps a processor busy: 0.1 s an entry with 65,536 authors."""
    room = Room(2000 * SIZE)
    for n in range(2000):
        room.shares.add(NodeId(f"flood {n}"), SIZE)
    room.asked = 0
    assert all(room.offer(NodeId(f"late {n}")) for n in range(400))
    assert room.asked < 400 * 2000 / 20
    assert room.shares.total <= 2000 * SIZE


def test_who_gives_way_holds_most_of_the_lowest_rank_whatever_came_and_went() -> None:
    dice = random.Random(5)
    room = Room(600 * SIZE)
    nodes = [NodeId(f"n{n}") for n in range(200)]
    room.ranks = dict.fromkeys(nodes[:40], Rank.TRUSTED)
    for step in range(6000):
        room.offer(nodes[int(200 * dice.random() ** 2)] if step % 3 else dice.choice(nodes))
        if step > 3000:
            strangers = [room.shares.held(node) for node in nodes[40:]]
            most = room.shares.largest()
            assert most is not None and most.rank is Rank.STRANGER
            assert most.held >= max(strangers) - SIZE, "but for what came since the last look"


def test_a_flood_of_keys_that_wrote_almost_nothing_takes_room_for_each() -> None:
    """Else a gigabyte of logs of one entry is three million authors, which cost memory for each, whatever they wrote."""
    room = Room(1000 * SIZE, author_bytes=4 * SIZE)
    for n in range(30):
        room.ranks[NodeId(f"good {n}")] = Rank.TRUSTED
        assert all(room.offer(NodeId(f"good {n}")) for _ in range(10))
    assert all(room.offer(NodeId(f"flood {n}")) for n in range(500)), "a new key is heard, for what another wrote"
    assert sum(room.shares.held(NodeId(f"flood {n}")) > 0 for n in range(500)) == (1000 - 30 * (10 + 4)) // 5
    assert all(room.shares.held(NodeId(f"good {n}")) == 10 * SIZE for n in range(30)), "nothing of who is known gives way"


def test_a_stranger_that_comes_while_better_ones_give_way_is_the_next() -> None:
    room = Room(100 * SIZE)
    for n in range(100):
        room.ranks[NodeId(f"good {n}")] = Rank.TRUSTED
        room.shares.add(NodeId(f"good {n}"), SIZE)
    room.ranks[NodeId("good 100")] = Rank.TRUSTED
    assert room.offer(NodeId("good 100")) and room.shares.total == 100 * SIZE
    room.shares.rules = RoomRules(bytes_max=101 * SIZE, author_bytes=0)
    assert room.offer(NodeId("stranger"))
    most = room.shares.largest()
    assert most is not None and most.author == "stranger"
