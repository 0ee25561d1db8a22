"""ports.Gossip in one process: flooding over the links between subscribers, each hop with its own luck."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from ctorrent.model.ids import NodeId
from ctorrent.testing.feed import Feed
from ctorrent.wire.names import GOSSIP_BYTES_MAX, GOSSIP_MUTE_BELOW

if TYPE_CHECKING:
    from ctorrent.testing.fake_net import FakeHost, FakeNet

QUEUE = 4096  # messages a subscriber may lag behind, as net/rules.py
HEARTBEAT_S = 1.0  # as net/rules.py
SEEN = 65536  # message ids remembered

Check = Callable[[NodeId, bytes], bool]


@dataclass(frozen=True, slots=True)
class _Message:
    id: int
    topic: str
    author: NodeId
    data: bytes


class FakeGossip:
    """ports.Gossip."""

    def __init__(self, net: FakeNet, host: FakeHost) -> None:
        self._net, self._host = net, host
        self._topics: dict[str, tuple[Check, Feed[tuple[NodeId, bytes]]]] = {}
        self._seen: dict[int, None] = {}
        self._score_of: Callable[[NodeId], float] = lambda node: 0.0

    async def publish(self, topic: str, message: bytes) -> None:
        if len(message) > GOSSIP_BYTES_MAX:
            raise ValueError(f"a gossip message of {len(message)} bytes")
        await trio.lowlevel.checkpoint()
        one = _Message(self._net.message_id(), topic, self._host.node, message)
        self._remember(one)
        self._pass_on(one)

    def subscribe(self, topic: str, check: Check) -> Feed[tuple[NodeId, bytes]]:
        feed: Feed[tuple[NodeId, bytes]] = Feed(QUEUE)
        self.unsubscribe(topic)
        self._topics[topic] = (check, feed)
        return feed

    def unsubscribe(self, topic: str) -> None:
        _, feed = self._topics.pop(topic, (None, None))
        if feed is not None:
            feed.close()

    def score(self, of: Callable[[NodeId], float]) -> None:
        self._score_of = of

    def mesh(self, topic: str) -> frozenset[NodeId]:
        links, hosts = self._net.links[self._host.node], self._net.hosts
        return frozenset(peer for peer in links if topic in hosts[peer].gossip._topics and self._score_of(peer) >= 0)

    def end(self) -> None:
        for topic in tuple(self._topics):
            self.unsubscribe(topic)

    # hops -----------------------------------------------------------------------------------------------------------

    def _pass_on(self, message: _Message) -> None:
        net, me = self._net, self._host.node
        for peer in net.links[me]:
            gossip = net.hosts[peer].gossip
            score = self._score_of(peer)
            if score >= GOSSIP_MUTE_BELOW and message.topic in gossip._topics and net.dice.random() >= net.weather.gossip_loss:
                late = HEARTBEAT_S if score < 0 else 0.0  # it hears of it first, and has to ask
                net.post.after(net.delay_s(me, peer) + late, lambda gossip=gossip: gossip._arrive(message, me))  # type: ignore[misc]

    def _arrive(self, message: _Message, relayer: NodeId) -> None:
        held = self._topics.get(message.topic)
        if held is None or message.id in self._seen or not self._net.reachable(relayer, self._host.node):
            return
        self._remember(message)
        check, feed = held
        if message.author == self._host.node or not check(message.author, message.data):
            return
        feed.put((message.author, message.data))
        if self._net.dice.random() < self._net.weather.gossip_duplication:
            again = self._net.delay_s(relayer, self._host.node)
            self._net.post.after(again, lambda: feed.put((message.author, message.data)))
        self._pass_on(message)

    def _remember(self, message: _Message) -> None:
        self._seen[message.id] = None
        if len(self._seen) > SEEN:
            del self._seen[next(iter(self._seen))]
