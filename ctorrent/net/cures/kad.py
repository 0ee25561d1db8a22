"""Kademlia as a hint service that one peer cannot take away from the others.

What it cures in libp2p 0.8.1:
  - kad_dht/common.py:14 is the protocol id, whatever prefix is passed (kad_dht.py:269)            -> `install`
  - kad_dht.py:323, :642: 12 handlers in all and no read timeout: 12 one-byte streams silence it   -> `guard_dht`
  - provider_store.py:433 repeats a provider once per answering peer, and :417 answers from its own
    two-day cache of what others said                                                              -> `providers`
  - kad_dht.py:848 and provider_store.py keep as many addresses of a provider as were sent        -> `guard_dht`
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import trio
from libp2p.custom_types import TProtocol
from libp2p.kad_dht import common, kad_dht, peer_routing, provider_store, value_store
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo

from ctorrent.net.cures.guard import Charge, reset
from ctorrent.net.cures.yamux import Abuse
from ctorrent.wire.names import KADEMLIA


@dataclass(frozen=True, slots=True)
class DhtLimits:
    streams: int = 32  # inbound at once; each is a few messages of a few milliseconds
    streams_per_peer: int = 4  # a lookup asks one peer once at a time
    stream_s: float = 15.0  # from open to end; an honest exchange takes milliseconds
    addresses: int = 16  # kept of one provider


def install() -> None:
    """For this process, before a KadDHT is made: our own network, which no other Kademlia joins by accident."""
    for module in (common, kad_dht, peer_routing, provider_store, value_store):
        module.PROTOCOL_ID = TProtocol(KADEMLIA)


def guard_dht(host: Any, dht: Any, limits: DhtLimits, charge: Charge) -> None:
    """Serve the protocol with a deadline, and fairly between peers."""
    busy: Counter[ID] = Counter()
    dht._inbound_limiter.total_tokens = limits.streams

    async def handle(stream: Any) -> None:
        peer = stream.muxed_conn.peer_id
        if busy[peer] >= limits.streams_per_peer:
            charge(peer, Abuse(2, "holds too many DHT streams"))
            await reset(stream)
            return
        busy[peer] += 1
        try:
            with trio.move_on_after(limits.stream_s) as scope:
                await dht.handle_stream(stream)
            if scope.cancelled_caught:
                charge(peer, Abuse(5, "opens a DHT stream and says nothing"))
                await reset(stream)
        finally:
            busy[peer] -= 1
            if not busy[peer]:
                del busy[peer]

    host.set_stream_handler(TProtocol(KADEMLIA), handle)
    _limit_addresses(dht.provider_store, limits.addresses)


def _limit_addresses(store: Any, limit: int) -> None:
    inner = store.add_provider

    def add_provider(key: bytes, provider: PeerInfo) -> None:
        inner(key, PeerInfo(provider.peer_id, list(provider.addrs)[:limit]))

    store.add_provider = add_provider


async def providers(dht: Any, key_hex: str) -> list[PeerInfo]:
    """Each provider once, asked of the network and not of what this node remembers. Hints: dial to know."""
    dht.provider_store.providers.pop(bytes.fromhex(key_hex), None)
    found = {info.peer_id: info for info in await dht.find_providers(key_hex)}
    return [found[peer] for peer in sorted(found, key=str)]
