"""A libp2p host as we want it: one Ed25519 key, TCP, Noise, Yamux, nothing weaker, every cure applied."""

from __future__ import annotations

import ipaddress
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecations inside the library's own imports
    from libp2p import new_host
    from libp2p.crypto.ed25519 import Ed25519PrivateKey, create_new_key_pair
    from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
    from libp2p.custom_types import TProtocol
    from libp2p.network.config import ConnectionConfig
    from libp2p.peer.id import ID
    from libp2p.rcmgr.manager import ResourceLimits, ResourceManager
    from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
    from libp2p.security.noise.transport import Transport as NoiseTransport
    from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
    from libp2p.stream_muxer.yamux.yamux import Yamux
    from libp2p.tools.anyio_service.context import background_trio_service
    from multiaddr import Multiaddr

from ctorrent.errors import LocalError, Malformed
from ctorrent.model.ids import NodeId, node_public
from ctorrent.net import cures
from ctorrent.net.addresses import Ip, Neighbourhood, ip_of, listen_on, parse, to_multiaddr
from ctorrent.net.cures.guard import Charge, guard_streams
from ctorrent.net.cures.swarm import close_fast, dial_every_address, release_inbound, stop_auto_connecting, use_mux
from ctorrent.net.rules import NetRules

__all__ = ["ID", "Host", "Multiaddr", "TProtocol", "background_trio_service", "open_host", "peer_id_in", "peer_id_of"]


@dataclass(frozen=True, slots=True)
class Host:
    """A running host. `libp2p` is the library's own object; only this room touches it."""

    libp2p: Any
    listening: tuple[Multiaddr, ...]  # without /p2p
    near: Neighbourhood

    @property
    def network(self) -> Any:
        return self.libp2p.get_network()

    @property
    def id(self) -> ID:
        peer_id: ID = self.libp2p.get_id()
        return peer_id


def peer_id_of(text: str) -> ID | None:
    """libp2p's form of a node id; None if it is no Ed25519 node's."""
    try:
        node_public(NodeId(text))
    except Malformed:
        return None
    peer_id: ID = ID.from_string(text)
    return peer_id


def peer_id_in(address: Multiaddr) -> ID | None:
    """The node at the end of a multiaddr, /p2p/ID."""
    return peer_id_of(str(address).rpartition("/p2p/")[2])


@asynccontextmanager
async def open_host(secret: bytes, rules: NetRules, charge: Charge, refuse: Callable[[ID], bool]) -> AsyncIterator[Host]:
    """Listen and run. `refuse` is asked before each dial and after each handshake. Raises LocalError."""
    cures.install(rules.agent)
    listen = listen_on(rules)
    addresses = [to_multiaddr(ip, port) for ip, port in listen]
    near = Neighbourhood([ip for ip, _ in listen], rules)
    host = _make(secret, addresses, rules)
    network = host.get_network()
    use_mux(network, rules.mux, charge)
    release_inbound(network, rules.swarm, near.may_accept)
    dial_every_address(network, rules.swarm, near.may_dial, refuse)
    stop_auto_connecting(network)
    guard_streams(network, charge)
    async with background_trio_service(network):
        try:
            await _listen(network, addresses)
            yield Host(host, tuple(addresses), near)
        finally:
            with trio.CancelScope(shield=True):
                await close_fast(host, rules.swarm)


def _make(secret: bytes, addresses: list[Multiaddr], rules: NetRules) -> Any:
    keys = create_new_key_pair(secret)
    assert isinstance(keys.private_key, Ed25519PrivateKey)
    limit = rules.directory.connections
    return new_host(
        key_pair=keys,
        sec_opt={TProtocol(NOISE): NoiseTransport(keys, noise_privkey=create_noise_key_pair().private_key)},
        muxer_opt={TProtocol(YAMUX): Yamux},  # replaced by use_mux; the name on the wire is what counts
        listen_addrs=addresses,
        announce_addrs=_announced(addresses, [_extra(text) for text in rules.announce]),
        negotiate_timeout=10,
        resource_manager=ResourceManager(
            limits=ResourceLimits(max_connections=2 * limit, max_streams=10_000),
            enable_metrics=False,
            enable_memory_limits=False,  # inert in 0.8.1
            enable_circuit_breaker=False,  # a stranger's failures would close this node to everyone
            enable_graceful_degradation=False,
            enable_rate_limiting=True,
        ),
        connection_config=ConnectionConfig(
            max_connections=limit,
            min_connections=0,
            low_watermark=0,
            high_watermark=limit,
            max_connections_per_peer=3,  # both dial at once, and one may be on its way out
            inbound_upgrade_timeout=5.0,
            outbound_upgrade_timeout=10.0,
        ),
        disable_identify_address_discovery=True,  # what strangers say about our address is not announced
    )


def _extra(text: str) -> Multiaddr:
    address = parse(text)
    if address is None:
        raise LocalError(f"{text!r} is not an address to announce", "It should look like /ip4/1.2.3.4/tcp/4270.")
    return address


def _announced(addresses: list[Multiaddr], extra: list[Multiaddr]) -> list[Multiaddr]:
    """Loopback is announced only when this node listens nowhere else."""
    real = [address for address in addresses if not _is_loopback(ip_of(address))]
    return [*extra, *(real or addresses)]


def _is_loopback(ip: Ip | None) -> bool:
    return ip is not None and ipaddress.ip_address(ip).is_loopback


async def _listen(network: Any, addresses: list[Multiaddr]) -> None:
    await network.listen(*addresses)
    missing = [str(address) for address in addresses if str(address) not in network.listeners]
    if missing:
        raise LocalError(f"cannot listen on {', '.join(missing)}", "Another program took the port just now; try again.")
