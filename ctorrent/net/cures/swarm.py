"""Connections: how they are multiplexed, accepted, dialled and closed. All for one swarm, but `install`, for this process.

What it cures in libp2p 0.8.1:
  - muxer_multistream.py:143 builds the stock Yamux whatever class `muxer_opt` names          -> `use_mux`
  - network/swarm.py:1982, :2060 hold an inbound slot until the *swarm* ends: after max_connections - min_connections
    visitors the node is deaf for good; and silent sockets keep newcomers out for 10 s        -> `release_inbound`
  - swarm.py:936 waits 250 ms after every dial; :882 tries one address of a transport; :950 then refuses the peer for
    60 s whatever the address                                                                 -> `dial_every_address`
  - network/auto_connector.py:262 dials everything in the peer store until 200 are connected  -> `stop_auto_connecting`
  - transport/tcp/tcp.py:59 listens with SO_REUSEPORT: two nodes on one port share the callers at random -> `install`
  - host/basic_host.py:1165 closes connections one after another, 0.2 s each                  -> `close_fast`
"""

from __future__ import annotations

import logging
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import trio
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStoreError
from libp2p.transport.tcp import tcp
from multiaddr import Multiaddr

from ctorrent.net.cures.budget import Budgets
from ctorrent.net.cures.guard import Charge
from ctorrent.net.cures.yamux import Mux, MuxLimits

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SwarmLimits:
    handshakes: int = 128  # at once; each holds a socket and ~60 KB for at most inbound_upgrade_timeout
    handshakes_per_ip: int = 32  # a household behind one address starts fewer
    calls_burst: int = 200  # of one address at once; a full house of nodes after a power cut
    calls_per_s: float = 20.0  # and for long; each costs ~3 ms of cryptography before anyone has a name
    addresses: int = 16  # dialled of one peer; more is a list made to waste our time
    stagger_s: float = 0.25  # between attempts, RFC 8305's figure
    dial_s: float = 10.0  # all attempts together
    close_s: float = 3.0


def use_mux(network: Any, limits: MuxLimits, charge: Charge) -> None:
    """Multiplex every connection of this swarm with `yamux.Mux`."""
    muxers = network.upgrader.muxer_multistream

    async def new_conn(conn: Any, peer_id: ID) -> Any:
        protocol, _ = await muxers._selector.select(conn, conn.is_initiator, muxers.negotiate_timeout)
        return muxers._annotate_connection(Mux(conn, peer_id, conn.is_initiator, limits, charge), conn, protocol)

    muxers.new_conn = new_conn


def release_inbound(network: Any, limits: SwarmLimits, may_accept: Callable[[str], bool]) -> None:
    """Hold an inbound slot as long as the connection lives; limit handshakes in all and by address.

    may_accept: is asked with the caller's IP address.
    """
    shaking: Counter[str] = Counter()
    calls = Budgets(limits.calls_burst, limits.calls_per_s)

    async def handle(closer: Any, listen_addr: Multiaddr, failure_event: Any) -> None:
        raw = RawConnection(closer, False)
        ip = _caller(closer)
        full = shaking.total() >= limits.handshakes or shaking[ip] >= limits.handshakes_per_ip
        if not may_accept(ip) or full or not calls.take(ip, trio.current_time()):
            await raw.close()
            return
        try:
            muxed = await _upgrade(network, raw, listen_addr, shaking, ip)
            if muxed is not None:
                await muxed.event_closed.wait()
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await raw.close()

    network._do_handle_inbound_connection = handle


def _caller(closer: Any) -> str:
    try:
        return str(closer.stream.socket.getpeername()[0])  # libp2p's own get_remote_address knows no IPv6
    except OSError:
        return ""


async def _upgrade(network: Any, raw: RawConnection, listen_addr: Multiaddr, shaking: Counter[str], ip: str) -> Any:
    shaking[ip] += 1
    try:
        return await network.upgrade_inbound_raw_conn(raw, listen_addr)
    except Exception as error:  # noqa: BLE001  the edge: whatever a stranger's handshake does ends here
        _log.debug("handshake from %s: %r", ip, error)
        return None
    finally:
        shaking[ip] -= 1
        if shaking[ip] <= 0:
            del shaking[ip]


def dial_every_address(
    network: Any, limits: SwarmLimits, may_dial: Callable[[Multiaddr], bool], refuse: Callable[[ID], bool]
) -> None:
    """Replace the swarm's dial_peer, which everything in libp2p goes through.

    may_dial: which of the addresses that someone named may be dialled. refuse: peers not to dial.
    """
    under_way: dict[ID, trio.Event] = {}

    async def dial_peer(peer_id: ID) -> list[Any]:
        while peer_id in under_way:
            await under_way[peer_id].wait()
        if network.get_connections(peer_id):
            return list(network.get_connections(peer_id))
        if refuse(peer_id):
            raise SwarmException(f"{peer_id} is banned for a while")
        try:
            addresses = [address for address in network.peerstore.addrs(peer_id) if may_dial(address)]
        except PeerStoreError as error:
            raise SwarmException(f"no address of {peer_id} is known") from error
        under_way[peer_id] = trio.Event()
        try:
            return [await dial(network, peer_id, addresses, limits)]
        finally:
            under_way.pop(peer_id).set()

    network.dial_peer = dial_peer


async def dial(network: Any, peer_id: ID, addresses: Sequence[Multiaddr], limits: SwarmLimits) -> Any:
    """The first connection to come about, attempts a quarter second apart. Raises SwarmException with every cause."""
    if peer_id == network.get_peer_id():
        raise SwarmException("this node does not dial itself")
    failures: list[str] = []
    send, receive = trio.open_memory_channel[Any](limits.addresses)
    with trio.move_on_after(limits.dial_s):
        async with trio.open_nursery() as nursery:
            for address in list(addresses)[: limits.addresses]:
                nursery.start_soon(_attempt, network, peer_id, address, send)
                with trio.move_on_after(limits.stagger_s):
                    if (won := _won(await receive.receive(), failures)) is not None:
                        nursery.cancel_scope.cancel()
                        return won
            while len(failures) < min(len(addresses), limits.addresses):
                if (won := _won(await receive.receive(), failures)) is not None:
                    nursery.cancel_scope.cancel()
                    return won
    raise SwarmException("; ".join(failures) or f"no address answered within {limits.dial_s:.0f} s")


def _won(result: Any, failures: list[str]) -> Any:
    if isinstance(result, str):
        failures.append(result)
        return None
    return result


async def _attempt(network: Any, peer_id: ID, address: Multiaddr, send: trio.MemorySendChannel[Any]) -> None:
    try:
        result: Any = await network._dial_addr_single_attempt(address, peer_id)
    except Exception as error:  # noqa: BLE001  any of a dozen types, all meaning "not there"
        result = f"{address}: {_root(error)}"
    await send.send(result)


def _root(error: BaseException) -> str:
    """What the operating system or the handshake said, under the library's wrappings."""
    while True:
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
        if inner is None:
            return getattr(error, "strerror", None) or str(error) or type(error).__name__
        error = inner


def stop_auto_connecting(network: Any) -> None:
    """This node connects to whom it decides to, not to everyone it ever heard of."""

    async def nothing() -> None:
        return None

    network.auto_connector.maybe_connect = nothing


async def close_fast(host: Any, limits: SwarmLimits) -> None:
    """Close all connections side by side, then the host; leaves no socket."""
    with trio.CancelScope(shield=True), trio.move_on_after(limits.close_s):
        async with trio.open_nursery() as nursery:
            for connection in list(host.get_network().get_connections()):
                nursery.start_soon(_close, connection)
        await host.close()


async def _close(connection: Any) -> None:
    try:
        await connection.close()
    except Exception as error:  # noqa: BLE001  a connection that is already gone, in any of the library's ways
        _log.debug("close: %r", error)


def _reuse_address_only(sock: Any) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def install() -> None:
    """For this process: a port that another program listens on is taken."""
    tcp._set_reuse_flags = _reuse_address_only
