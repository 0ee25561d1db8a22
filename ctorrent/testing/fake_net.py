"""A network in one process: any number of hosts, one weather, one dice. Each host has Streams, Directory and Gossip.

    async with open_net(dice, weather) as net:
        alice = net.host(keys.node, nursery)        alice.streams, alice.directory, alice.gossip
        net.mesh(degree=8)                           a random connected graph, as a running swarm has
        net.partition([alice.node], [bob.node])      … net.heal()
        net.crash(alice.node)                        her tasks end, her channels are lost; host() again restarts her
        net.slow.add(bob.node)
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import trio

from ctorrent.errors import Unavailable
from ctorrent.model.ids import NodeId, node_id
from ctorrent.seal import Signer
from ctorrent.testing.fake_directory import FakeDirectory
from ctorrent.testing.fake_gossip import FakeGossip
from ctorrent.testing.fake_streams import FakeStreams
from ctorrent.testing.post import Post
from ctorrent.testing.weather import CALM, Weather


class FakeHost:
    """One node's place in the network."""

    def __init__(self, net: FakeNet, signer: Signer, number: int, nursery: trio.Nursery) -> None:
        self.node: NodeId = node_id(signer.public)
        self.signer = signer
        self.nursery = nursery
        self.alive = True
        self.address = f"/ip4/10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}/tcp/4270/p2p/{self.node}"
        self.streams = FakeStreams(net, self)
        self.directory = FakeDirectory(net, self)
        self.gossip = FakeGossip(net, self)


class FakeNet:
    """The world between hosts. Use open_net()."""

    def __init__(self, dice: random.Random, weather: Weather) -> None:
        self.dice = dice
        self.weather = weather
        self.post = Post()
        self.hosts: dict[NodeId, FakeHost] = {}
        self.links: dict[NodeId, dict[NodeId, None]] = {}  # both ways; a dict, so that its order is the seed's
        self.slow: set[NodeId] = set()  # asked for membership only, never iterated
        self.charges: list[tuple[NodeId, NodeId, int, str]] = []  # (by, whom, points, why), in order
        self._groups: dict[NodeId, int] = {}
        self._numbers: dict[NodeId, int] = {}
        self._messages = 0

    def host(self, signer: Signer, nursery: trio.Nursery) -> FakeHost:
        """Bring up a host under a node key; again after a crash, with empty hands.

        nursery: where the handlers of its channels run; cancelled by crash().
        """
        node = node_id(signer.public)
        assert node not in self.hosts or not self.hosts[node].alive, "one host per key"
        number = self._numbers.setdefault(node, len(self._numbers) + 1)
        self.hosts[node] = FakeHost(self, signer, number, nursery)
        self.links[node] = {}
        return self.hosts[node]

    # who can reach whom -------------------------------------------------------------------------------------------

    def reachable(self, one: NodeId, other: NodeId) -> bool:
        alive = all(node in self.hosts and self.hosts[node].alive for node in (one, other))
        return alive and self._groups.get(one, 0) == self._groups.get(other, 0)

    def delay_s(self, one: NodeId, other: NodeId) -> float:
        """Of one message, one way."""
        return self.dice.uniform(*self.weather.latency_s) * self._slowness(one, other)

    def bandwidth_bytes_s(self, one: NodeId, other: NodeId) -> float:
        return self.weather.bandwidth_bytes_s / self._slowness(one, other)

    def _slowness(self, one: NodeId, other: NodeId) -> float:
        return self.weather.slow_factor if one in self.slow or other in self.slow else 1.0

    async def dial(self, one: NodeId, other: NodeId, how: str) -> None:
        """Connect two hosts. Raises Unavailable."""
        await trio.sleep(self.delay_s(one, other) + self.delay_s(other, one))
        if not self.reachable(one, other) or self.dice.random() < self.weather.dial_failure:
            raise Unavailable(f"no answer from {other}")
        if self.hosts[other].directory.refuses(one):
            raise Unavailable(f"{other} refuses this node")
        self.link(one, other, how)

    def link(self, one: NodeId, other: NodeId, how: str = "join") -> None:
        """Connect two hosts at once."""
        if one == other or other in self.links[one]:
            return
        self.links[one][other] = self.links[other][one] = None
        self.hosts[one].directory.connected(other, how)
        self.hosts[other].directory.connected(one, "inbound")

    def unlink(self, one: NodeId, other: NodeId) -> None:
        """End the connection, and every channel on it."""
        if other not in self.links[one]:
            return
        del self.links[one][other], self.links[other][one]
        self.hosts[one].streams.lose(other)
        self.hosts[other].streams.lose(one)
        self.hosts[one].directory.disconnected(other)
        self.hosts[other].directory.disconnected(one)

    def mesh(self, degree: int = 8) -> None:
        """Connect all living hosts: a ring, so that nobody is alone, and random links up to about `degree` each."""
        nodes = [node for node, host in self.hosts.items() if host.alive]
        self.dice.shuffle(nodes)
        for index, node in enumerate(nodes):
            self.link(node, nodes[index - 1])
        for node in nodes if len(nodes) > 2 else ():
            for _ in range(max(0, degree // 2 - 1)):
                self.link(node, self.dice.choice(nodes))

    # what can go wrong --------------------------------------------------------------------------------------------

    def partition(self, *groups: Iterable[NodeId]) -> None:
        """Nothing passes between the groups, or between them and the rest, until heal()."""
        self._groups = {node: number for number, group in enumerate(groups, 1) for node in group}

    def heal(self) -> None:
        self._groups = {}

    def crash(self, node: NodeId) -> None:
        """The process is gone, between two steps of its tasks: nothing of it runs any more, nothing it held is sent."""
        host = self.hosts[node]
        host.alive = False
        for other in tuple(self.links[node]):
            self.unlink(node, other)
        host.gossip.end()
        host.directory.end()
        host.nursery.cancel_scope.cancel()

    def message_id(self) -> int:
        self._messages += 1
        return self._messages


@asynccontextmanager
async def open_net(dice: random.Random, weather: Weather = CALM) -> AsyncIterator[FakeNet]:
    """A network that carries things until the block ends."""
    net = FakeNet(dice, weather)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(net.post.run)
        yield net
        nursery.cancel_scope.cancel()
