"""Who answers at an address? One handshake, told apart by how it ends.

    ok          the node that was expected, or, where none was, any
    other       another node: `node` says which
    foreign     something takes connections there, and does not speak as a node does
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStoreError
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey
from multiaddr import Multiaddr

from ctorrent.model.ids import NodeId, node_id
from ctorrent.net.addresses import to_multiaddr
from ctorrent.net.host import peer_id_of
from ctorrent.net.network import Network, open_network
from ctorrent.net.rules import NetRules
from ctorrent.seal import Signer

HANDSHAKE_S = 12.0  # three round trips on a bad line, and a machine that is busy
IDENTIFY_S = 5.0  # a peer says what it is by itself, right after the handshake
_PROTOCOLS_MAX = 64
_GOT = re.compile(r"remote_peer_id_from_pubkey=(\w+)")


@dataclass(frozen=True, slots=True)
class Met:
    outcome: str  # a word of the list above
    node: str = ""
    detail: str = ""


@asynccontextmanager
async def visiting() -> AsyncIterator[Network]:
    """A network of one visit: an identity that nobody knows, that nobody can dial and that looks for nobody."""
    rules = NetRules(listen=("127.0.0.1",), port=0, mdns=False, dht=False)
    async with open_network(os.urandom(32), rules) as network:
        yield network


async def meet(network: Network, ip: str, port: int, expected: str = "") -> Met:
    """Connect; where another node than expected answers, say which. Leaves a connection only when the outcome is "ok"."""
    import ipaddress

    address = to_multiaddr(ipaddress.ip_address(ip), port)
    guess = expected or node_id(Signer(os.urandom(32)).public)  # nobody's: the answer names the real one
    met = await _met(network, address, guess)
    return await _met(network, address, met.node) if met.outcome == "other" and not expected else met


async def _met(network: Network, address: Multiaddr, node: str) -> Met:
    peer_id = peer_id_of(node)
    if peer_id is None:
        return Met("foreign", node, f"{node} is not an Ed25519 node")
    met = Met("foreign", "", f"no handshake within {HANDSHAKE_S:.0f} s")
    with trio.move_on_after(HANDSHAKE_S):
        met = await _shaken(network, address, peer_id)
    return met


async def _shaken(network: Network, address: Multiaddr, peer_id: ID) -> Met:
    try:
        await network.directory.host.network._dial_addr_single_attempt(address, peer_id)
    except Exception as error:  # noqa: BLE001  any of a dozen types of the library; each is an answer to the question
        causes = list(_causes(error))
        found = next((_GOT.search(str(cause)) for cause in causes if isinstance(cause, PeerIDMismatchesPubkey)), None)
        return Met("foreign", "", _words(causes[-1])) if found is None else Met("other", found.group(1))
    return Met("ok", str(peer_id))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what is under it, outermost first."""
    while True:
        yield error
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error.__context__
        if inner is None:
            return
        error = inner


def _words(error: BaseException) -> str:
    return str(error)[:200] or type(error).__name__


async def program(network: Network, node: str) -> tuple[str, list[str]]:
    """(what the peer calls its program, protocols it speaks), as far as it says so in time."""
    store, peer_id = network.directory.host.libp2p.get_peerstore(), ID.from_string(node)
    news = network.directory.changes()
    with trio.move_on_after(IDENTIFY_S):
        while not (contact := network.directory.contact(NodeId(node))) or not contact.agent:
            await anext(news)
    contact = network.directory.contact(NodeId(node))
    try:
        protocols = [str(name)[:100] for name in store.get_protocols(peer_id)[:_PROTOCOLS_MAX]]
    except PeerStoreError:  # it did not say
        protocols = []
    return (contact.agent if contact else "", protocols)


