"""ports.Directory in one process: contacts, dials, records, charges."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from ctorrent import canon
from ctorrent.errors import BadSignature, Malformed, Unavailable
from ctorrent.model.ids import NodeId, node_id
from ctorrent.ports import Contact
from ctorrent.seal import Sealed, verify
from ctorrent.testing.feed import Feed
from ctorrent.wire.names import AGENT

if TYPE_CHECKING:
    from ctorrent.testing.fake_net import FakeHost, FakeNet

BAN_POINTS = 100  # as net/rules.py
BAN_S = 600.0
CHANGES_MAX = 1024
_RECORD = "ctorrent/testing/record/1"


class FakeDirectory:
    """ports.Directory. A peer that is connected to anyone can be found by id, as with a working DHT."""

    def __init__(self, net: FakeNet, host: FakeHost) -> None:
        self._net, self._host = net, host
        self._contacts: dict[NodeId, Contact] = {}
        self._feeds: list[Feed[Contact]] = []
        self._points: dict[NodeId, int] = {}
        self._banned_until: dict[NodeId, float] = {}

    def self_record(self) -> bytes:
        body = canon.encode([str(self._host.node), [self._host.address]])
        sealed = self._host.signer.sign(_RECORD, body)
        return canon.encode([sealed.body, sealed.public, sealed.signature])

    def addresses(self) -> tuple[str, ...]:
        return (self._host.address,)

    def contacts(self) -> tuple[Contact, ...]:
        return tuple(sorted(self._contacts.values(), key=lambda c: not c.connected))

    def contact(self, peer: NodeId) -> Contact | None:
        return self._contacts.get(peer)

    async def connect(self, address: str, how: str = "join") -> NodeId:
        head, found, peer = address.rpartition("/p2p/")
        if not found:
            raise Unavailable(f"{address} does not end in /p2p/ID")
        target = NodeId(peer)
        host = self._net.hosts.get(target)
        if target == self._host.node:
            raise Unavailable("that is this node itself")
        if host is None or not host.address.startswith(head + "/p2p/"):
            await trio.sleep(1.0)  # nobody answers there
            raise Unavailable(f"no answer at {address}")
        await self._reach(target, how)
        return target

    async def connect_record(self, record: bytes, of: NodeId | None = None) -> NodeId:
        address = _record_address(record)
        if of is not None and not address.endswith(of):
            raise BadSignature("the record of another peer")
        return await self.connect(address, "gossip")

    async def reach(self, peer: NodeId) -> None:
        """Be connected to a known or findable peer. Raises Unavailable."""
        known = peer in self._contacts or bool(self._net.links[self._host.node])
        if peer == self._host.node or peer not in self._net.hosts or not known:
            await trio.lowlevel.checkpoint()
            raise Unavailable(f"nobody knows where {peer} is")
        await self._reach(peer, "dht")

    async def _reach(self, peer: NodeId, how: str) -> None:
        if self.refuses(peer):
            raise Unavailable(f"{peer} is refused for a while")
        if peer in self._net.links[self._host.node]:
            await trio.lowlevel.checkpoint()
            return
        await self._net.dial(self._host.node, peer, how)

    def attend(self, for_s: float) -> None:
        """A fake network tells at once who is gone."""

    def traffic(self) -> tuple[int, int]:
        return 0, 0

    def charge(self, peer: NodeId, points: int, why: str) -> None:
        self._net.charges.append((self._host.node, peer, points, why))
        self._points[peer] = self._points.get(peer, 0) + points
        if self._points[peer] >= BAN_POINTS:
            self._points[peer] = 0
            self._banned_until[peer] = trio.current_time() + BAN_S
            self._net.post.after(0.0, lambda: self._net.unlink(self._host.node, peer))

    async def knock(self, peer: NodeId, port: int) -> str:
        """There are no ports here."""
        await trio.lowlevel.checkpoint()
        return ""

    def refuses(self, peer: NodeId) -> bool:
        return trio.current_time() < self._banned_until.get(peer, float("-inf"))

    def changes(self) -> Feed[Contact]:
        feed: Feed[Contact] = Feed(CHANGES_MAX)
        self._feeds = [f for f in self._feeds if not f.closed]
        self._feeds.append(feed)
        return feed

    # the network's side -------------------------------------------------------------------------------------------

    def connected(self, peer: NodeId, how: str) -> None:
        known = self._contacts.get(peer)
        latency_s = sum(self._net.weather.latency_s)
        addresses = (self._net.hosts[peer].address.partition("/p2p/")[0],)
        self._tell(Contact(peer, addresses, known.how if known else how, True, latency_s, agent=AGENT))

    def disconnected(self, peer: NodeId) -> None:
        self._tell(replace(self._contacts[peer], connected=False))

    def end(self) -> None:
        for feed in self._feeds:
            feed.close()

    def _tell(self, contact: Contact) -> None:
        self._contacts[contact.node] = contact
        for feed in self._feeds:
            feed.put(contact)


def _record_address(record: bytes) -> str:
    """The one address inside a record, its signature checked. Raises BadSignature, Malformed."""
    try:
        body, public, signature = canon.decode(record)
        node, addresses = canon.decode(body)
    except (ValueError, TypeError) as error:
        raise Malformed(f"a peer record that does not decode: {error}") from None
    verify(_RECORD, Sealed(body, public, signature))
    if node != node_id(public) or not isinstance(addresses, list) or not addresses or not isinstance(addresses[0], str):
        raise Malformed("a peer record of another than its signer")
    return addresses[0]
