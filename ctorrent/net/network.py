"""The network as a node sees it: three ports, opened and closed together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from ctorrent.net.directory import NetDirectory
from ctorrent.net.discovery import Dht, redial_known
from ctorrent.net.gossip import NetGossip
from ctorrent.net.host import open_host
from ctorrent.net.mdns import local_network
from ctorrent.net.rules import NetRules
from ctorrent.net.streams import NetStreams

_CLOSE_S = 2.0  # for channels to send what is queued


@dataclass(frozen=True, slots=True)
class Network:
    """ports.Streams, ports.Directory and ports.Gossip of one node."""

    streams: NetStreams
    directory: NetDirectory
    gossip: NetGossip


@asynccontextmanager
async def open_network(secret: bytes, rules: NetRules) -> AsyncIterator[Network]:
    """Listen, and find peers, until the block ends. Leaves no socket and no task.

    secret: the node's raw 32-byte Ed25519 key. Raises LocalError when it cannot listen.
    """
    try:
        async with _opened(secret, rules) as network:
            yield network
    except BaseExceptionGroup as group:
        only = _only(group)
        if only is None:
            raise
        raise only from None  # nurseries wrap even a single exception, in as many groups as there are nurseries


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        error = error.exceptions[0]
    return error


@asynccontextmanager
async def _opened(secret: bytes, rules: NetRules) -> AsyncIterator[Network]:
    directory = NetDirectory(rules)
    async with trio.open_nursery() as channels:
        async with open_host(secret, rules, directory.charge_libp2p, directory.refuses) as host:
            directory.start(host, channels)
            streams = NetStreams(host, directory, rules.channels, directory.measured, channels)
            gossip = NetGossip(host, rules.gossip, directory.charge_libp2p)
            async with gossip.running(), trio.open_nursery() as finders:
                _look_for_peers(finders, directory, rules)
                try:
                    yield Network(streams, directory, gossip)
                finally:
                    with trio.CancelScope(shield=True), trio.move_on_after(_CLOSE_S):
                        await streams.aclose()
                    finders.cancel_scope.cancel()
        channels.cancel_scope.cancel()


def _look_for_peers(nursery: trio.Nursery, directory: NetDirectory, rules: NetRules) -> None:
    if rules.mdns:
        nursery.start_soon(_listen_around, directory, rules)
    nursery.start_soon(redial_known, directory, rules)
    if rules.dht and not rules.lan_only:
        nursery.start_soon(Dht(directory.host, directory, rules, directory.charge_libp2p).run)


async def _listen_around(directory: NetDirectory, rules: NetRules) -> None:
    async with local_network(directory, rules):
        await trio.sleep_forever()
