"""ports.Directory: who is there, where, how good the link is, and who is not let in."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import trio
from libp2p.abc import INotifee
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStoreError
from multiaddr import Multiaddr

from ctorrent.errors import BadSignature, Unavailable
from ctorrent.model.ids import NodeId
from ctorrent.net.addresses import ip_of, parse
from ctorrent.net.contacts import Contacts
from ctorrent.net.cures.identify import agent_of
from ctorrent.net.cures.swarm import dial
from ctorrent.net.cures.yamux import Abuse
from ctorrent.net.host import Host, peer_id_in, peer_id_of
from ctorrent.net.knock import knock
from ctorrent.net.records import own_record, read_record
from ctorrent.net.rules import NetRules
from ctorrent.net.standing import Standing
from ctorrent.ports import Contact

_log = logging.getLogger(__name__)
_ADDRESS_TTL_S = 7_200  # in libp2p's peer store; our own book keeps them longer
_ADDRESSES_S = 1.0  # own addresses hardly change; putting them together takes a millisecond, and every status shows them

Finder = Callable[[NodeId], Awaitable[Sequence[Multiaddr]]]


class NetDirectory:
    """`start` is called once, when the host runs; `find` may be set by what searches the DHT."""

    def __init__(self, rules: NetRules) -> None:
        self._rules = rules
        self._standing = Standing(rules.directory)
        self._book = Contacts(rules.directory)
        self._intents: dict[NodeId, str] = {}  # how a dial under way came about
        self._knocking = trio.Lock()
        self._carried = (0, 0)  # by connections that have ended
        self._addresses: tuple[str, ...] = ()
        self._addresses_until = 0.0
        self._host: Host | None = None
        self._nursery: trio.Nursery | None = None
        self.find: Finder | None = None
        self.on_identified: Callable[[ID], None] = lambda peer: None
        for node, addresses in rules.known[: rules.directory.contacts]:
            if peer_id_of(node) is not None:
                self._book.heard(node, addresses, "last time")

    def start(self, host: Host, nursery: trio.Nursery) -> None:
        self._host, self._nursery = host, nursery
        host.network.register_notifee(_Notifee(self))
        inner = host.libp2p._identify_peer

        async def identify(peer_id: ID, *, reason: str) -> None:
            await inner(peer_id, reason=reason)
            self.identified(peer_id)

        host.libp2p._identify_peer = identify

    @property
    def host(self) -> Host:
        assert self._host is not None, "the directory has not started"
        return self._host

    # ports.Directory ----------------------------------------------------------------------------------------------

    def self_record(self) -> bytes:
        return own_record(self.host.libp2p)

    def addresses(self) -> tuple[str, ...]:
        now = trio.current_time()
        if not self._addresses or now >= self._addresses_until:
            self._addresses, self._addresses_until = tuple(str(address) for address in self.host.libp2p.get_addrs()), now + _ADDRESSES_S
        return self._addresses

    def contacts(self) -> tuple[Contact, ...]:
        return tuple(self._with_latency(contact) for contact in self._book.all())

    def contact(self, peer: NodeId) -> Contact | None:
        return self._book.get(peer)

    async def connect(self, address: str, how: str = "join") -> NodeId:
        parsed = parse(address)
        target = peer_id_in(parsed) if parsed is not None else None
        if parsed is None or target is None:
            raise Unavailable(f"{address[:100]!r} cannot be dialled", "It should look like /ip4/1.2.3.4/tcp/4270/p2p/12D3….")
        return await self._connect(target, [_bare(parsed)], how)

    async def connect_record(self, record: bytes, of: NodeId | None = None) -> NodeId:
        peer_id, addresses = read_record(record)
        if of is not None and str(peer_id) != of:
            raise BadSignature(f"the record of {peer_id} was shown as that of {of}")
        worth = [address for address in map(_bare, addresses) if self.host.near.may_dial(address)]
        if not worth and not self.host.network.get_connections(peer_id):
            raise Unavailable(f"{peer_id} names no address that this machine may dial")
        return await self._connect(peer_id, worth, "gossip")

    def attend(self, for_s: float) -> None:
        for connections in self.host.network.connections.values():
            for connection in connections:
                connection.muxed_conn.attend(for_s)

    def traffic(self) -> tuple[int, int]:
        received, sent = self._carried
        for connections in self.host.network.connections.values():
            for connection in connections:
                came, went = connection.muxed_conn.traffic()
                received, sent = received + came, sent + went
        return received, sent

    def charge(self, peer: NodeId, points: int, why: str) -> None:
        if self._standing.charge(peer, points, why, trio.current_time()):
            _log.warning("%s is refused for a while: %s", peer, why)
            self._drop(peer)

    async def knock(self, peer: NodeId, port: int) -> str:
        """See ports.Directory. Only where the peer itself calls from, and one at a time: no tool to search a network with."""
        contact = self._book.get(peer)
        if contact is None or not contact.seen_at or self._knocking.locked():
            await trio.lowlevel.checkpoint()
            return ""
        async with self._knocking:
            return (await knock(contact.seen_at, port)).outcome

    def changes(self) -> AsyncIterator[Contact]:
        return self._book.changes(self._with_latency)

    # for the rest of this room ------------------------------------------------------------------------------------

    def standing(self, peer: NodeId) -> tuple[float, bool, str]:
        """(points now, banned, what for last)."""
        now = trio.current_time()
        return self._standing.points(peer, now), self._standing.banned(peer, now), self._standing.why(peer)

    def charge_libp2p(self, peer_id: ID, abuse: Abuse) -> None:
        self.charge(NodeId(str(peer_id)), abuse.points, abuse.why)

    def refuses(self, peer_id: ID) -> bool:
        return self._standing.banned(NodeId(str(peer_id)), trio.current_time())

    def measured(self, peer: NodeId, bytes_s: float) -> None:
        self._book.measured(peer, bytes_s)

    def connected_count(self) -> int:
        return len(self.host.network.connections)

    async def reach(self, peer: NodeId) -> None:
        """Be connected: at once, at known addresses, or at those the DHT knows. Raises Unavailable."""
        peer_id = peer_id_of(peer)
        if peer_id is None:
            raise Unavailable(f"{peer[:60]!r} is no peer id")
        if self.host.network.get_connections(peer_id):
            return
        contact = self._book.get(peer)
        addresses = [a for a in map(parse, contact.addresses) if a is not None] if contact is not None else []
        if not addresses and self.find is not None:
            addresses = [a for a in await self.find(peer) if self.host.near.may_dial(a)]
        if not addresses:
            raise Unavailable(f"no address of {peer} is known")
        await self._connect(peer_id, [_bare(address) for address in addresses], "dht" if contact is None else contact.how)

    async def hint(self, peer_id: ID, addresses: Sequence[Multiaddr], how: str) -> None:
        """Something nearby or in the DHT says that a peer is there; try it, and think nothing of it if not."""
        worth = [_bare(address) for address in addresses if self.host.near.may_dial(address)]
        if not worth or peer_id == self.host.id:
            return
        if not self.host.network.get_connections(peer_id):
            try:
                await self._connect(peer_id, worth, how)
            except Unavailable as error:
                _log.debug("hint: %s", error)
        if self.host.network.get_connections(peer_id):  # whoever of the two called first, it is found as well
            self._book.heard(NodeId(str(peer_id)), (), how)  # without addresses: a multicast is anybody's word

    async def _connect(self, peer_id: ID, addresses: list[Multiaddr], how: str) -> NodeId:
        peer = NodeId(str(peer_id))
        if peer_id == self.host.id:
            raise Unavailable("that is this node itself")
        if self.refuses(peer_id):
            raise Unavailable(f"{peer} is refused for a while: {self._standing.why(peer)}")
        if self.host.network.get_connections(peer_id):
            self._book.heard(peer, tuple(map(str, addresses)), how)
            return peer
        self._intents[peer] = how
        try:
            await dial(self.host.network, peer_id, addresses, self._rules.swarm)
        except SwarmException as error:
            raise Unavailable(f"{peer} cannot be reached: {error}") from None
        finally:
            self._intents.pop(peer, None)
        self._book.heard(peer, tuple(map(str, addresses)), how)
        return peer

    def _with_latency(self, contact: Contact) -> Contact:
        if not contact.connected or self._host is None:
            return contact
        connections = self.host.network.get_connections(ID.from_string(contact.node))
        trips = [trip for connection in connections if (trip := connection.muxed_conn.rtt()) > 0]
        quiet = min((connection.muxed_conn.quiet_s() for connection in connections), default=0.0)
        return replace(contact, latency_s=min(trips) if trips else contact.latency_s, quiet_s=quiet)

    # what the library reports -------------------------------------------------------------------------------------

    def connection_made(self, connection: Any) -> None:
        peer_id = connection.muxed_conn.peer_id
        peer = NodeId(str(peer_id))
        if self.refuses(peer_id):
            self._drop(peer)
            return
        outbound = bool(connection.muxed_conn.is_initiator)
        how = self._intents.get(peer, "dht") if outbound else "inbound"
        ends = connection.get_transport_addresses()
        addresses = tuple(map(str, map(_bare, ends))) if outbound else ()
        ip = ip_of(ends[0]) if ends else None
        self._book.connected(peer, how, addresses, "" if ip is None else str(ip))

    def connection_lost(self, connection: Any) -> None:
        came, went = connection.muxed_conn.traffic()
        self._carried = self._carried[0] + came, self._carried[1] + went
        peer_id = connection.muxed_conn.peer_id
        if not self.host.network.get_connections(peer_id):
            self._ask_again(peer_id)
            self._book.disconnected(NodeId(str(peer_id)))

    def _ask_again(self, peer_id: ID) -> None:
        """libp2p identifies nobody whose protocols it remembers: one that comes back from another port stays unheard."""
        store = self.host.libp2p.get_peerstore()
        with suppress(PeerStoreError):
            store.clear_protocol_data(peer_id)
        with suppress(PeerStoreError):
            store.clear_addrs(peer_id)

    def identified(self, peer_id: ID) -> None:
        store = self.host.libp2p.get_peerstore()
        try:
            addresses = [a for a in store.addrs(peer_id) if self.host.near.may_dial(a)]
        except PeerStoreError:  # it said nothing usable
            addresses = []
        peer = NodeId(str(peer_id))
        self._book.identified(peer, agent_of(store, peer_id), tuple(map(str, map(_bare, addresses))))
        self.on_identified(peer_id)

    def _drop(self, peer: NodeId) -> None:
        peer_id = peer_id_of(peer)
        if self._nursery is not None and peer_id is not None:
            self._nursery.start_soon(self._hang_up, peer_id)

    async def _hang_up(self, peer_id: ID) -> None:
        for connection in list(self.host.network.get_connections(peer_id)):
            await connection.close()


class _Notifee(INotifee):  # type: ignore[misc]  # the library is untyped to us
    """libp2p's news, handed on."""

    def __init__(self, directory: NetDirectory) -> None:
        self._directory = directory

    async def connected(self, network: Any, conn: Any) -> None:
        self._directory.connection_made(conn)

    async def disconnected(self, network: Any, conn: Any) -> None:
        self._directory.connection_lost(conn)

    async def opened_stream(self, network: Any, stream: Any) -> None: ...

    async def closed_stream(self, network: Any, stream: Any) -> None: ...

    async def listen(self, network: Any, multiaddr: Multiaddr) -> None: ...

    async def listen_close(self, network: Any, multiaddr: Multiaddr) -> None: ...


def _bare(address: Multiaddr) -> Multiaddr:
    """Without /p2p/ID."""
    return Multiaddr(str(address).partition("/p2p/")[0])
