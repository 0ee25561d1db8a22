"""Networks of a few connected nodes, fake and real, for suites that must hold on both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import trio

from ctorrent.model.ids import NodeId, node_id
from ctorrent.ports import Directory, Gossip, Streams
from ctorrent.testing import simulate
from ctorrent.testing.fake_keys import keys
from ctorrent.testing.fake_net import open_net

LIMIT_S = 120.0  # for what takes milliseconds: only what hangs comes to it


@dataclass(frozen=True, slots=True)
class Host:
    """One node's three ports."""

    node: NodeId
    streams: Streams
    directory: Directory
    gossip: Gossip


Suite = Callable[[list[Host]], Awaitable[None]]


@asynccontextmanager
async def fake_hosts(simulation: simulate.Simulation, count: int) -> AsyncIterator[list[Host]]:
    async with open_net(simulation.dice("net")) as net, trio.open_nursery() as nursery:
        hosts = [net.host(keys(f"host {n}").node, nursery) for n in range(count)]
        yield [Host(h.node, h.streams, h.directory, h.gossip) for h in hosts]
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def real_hosts(count: int) -> AsyncIterator[list[Host]]:
    from ctorrent.net import NetRules, open_network

    rules = NetRules(listen=("127.0.0.1",), port=0, mdns=False, dht=False)
    async with AsyncExitStack() as stack:
        hosts = []
        for number in range(count):
            signer = keys(f"host {number}").node
            secret = bytes(signer._key)
            network = await stack.enter_async_context(open_network(secret, rules))
            hosts.append(Host(node_id(signer.public), network.streams, network.directory, network.gossip))
        yield hosts


async def chain_up(hosts: list[Host]) -> None:
    """Connect each to the next."""
    for one, other in pairwise(hosts):
        await one.directory.connect(other.directory.addresses()[0])


def hold(kind: str, suite: Suite, count: int, connected: bool = True) -> None:
    """Run a check against a network of `count` nodes in a chain."""

    async def on(hosts: list[Host]) -> None:
        if connected:
            await chain_up(hosts)
        with trio.fail_after(LIMIT_S):
            await suite(hosts)

    async def fake(simulation: simulate.Simulation) -> None:
        async with fake_hosts(simulation, count) as hosts:
            await on(hosts)

    async def real() -> None:
        async with real_hosts(count) as hosts:
            await on(hosts)

    if kind == "real":
        trio.run(real)
    else:
        for seed in range(3):
            simulate.run(seed, fake)


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a stated condition; hold() sets the limit."""
    while not condition():  # noqa: ASYNC110  what a library knows has no event
        await trio.sleep(0.01)


both = pytest.mark.parametrize("kind", ["fake", pytest.param("real", marks=pytest.mark.real)])
