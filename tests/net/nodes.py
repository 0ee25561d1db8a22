"""Networks on loopback, for tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import trio

from ctorrent.net import NetRules, Network, open_network

LOOPBACK = NetRules(listen=("127.0.0.1",), port=0, mdns=False, dht=False)
DHT = replace(LOOPBACK, dht=True)


@asynccontextmanager
async def networks(*rules: NetRules) -> AsyncIterator[list[Network]]:
    """One network for each rules record; the first is connected to by all others."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(open_network(os.urandom(32), one)) for one in rules]
        for other in found[1:]:
            await other.directory.connect(found[0].directory.addresses()[0])
        yield found


def run(test: Callable[[], Awaitable[None]], limit_s: float = 120.0) -> None:
    """Run an async test with an end, which only what hangs comes to."""

    async def limited() -> None:
        with trio.fail_after(limit_s):
            await test()

    trio.run(limited)


async def until(condition: Callable[[], Any], limit_s: float = 30.0) -> None:
    """Wait for a stated condition."""
    with trio.fail_after(limit_s):
        while not condition():  # noqa: ASYNC110  the state of a library has no event
            await trio.sleep(0.01)


def id_of(network: Network) -> Any:
    return network.directory.addresses()[0].rpartition("/p2p/")[2]


async def echo(channel: Any) -> None:
    while True:
        await channel.send(await channel.receive())


def rss_bytes() -> int:
    import psutil

    size: int = psutil.Process().memory_info().rss
    return size
