"""How neighbours are found: from last time, in the DHT, on the local network. All of it hints; dialling tells."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import trio
from libp2p.exceptions import BaseLibp2pError
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStoreError
from multiaddr import Multiaddr

from ctorrent.model.ids import NodeId
from ctorrent.net.addresses import parse
from ctorrent.net.cures.guard import Charge
from ctorrent.net.cures.kad import guard_dht
from ctorrent.net.directory import NetDirectory
from ctorrent.net.host import Host, background_trio_service
from ctorrent.net.rules import NetRules
from ctorrent.ports import Contact
from ctorrent.wire.names import KADEMLIA

_log = logging.getLogger(__name__)
_LOOKUP_S = 10.0
_REDIAL_S_MAX = 600.0  # those who stay away are asked every ten minutes


class Dht:
    """Our own Kademlia network as a source of addresses."""

    def __init__(self, host: Host, directory: NetDirectory, rules: NetRules, charge: Charge) -> None:
        self._host = host
        self._directory = directory
        self._rules = rules.directory
        self._news = trio.Event()
        self.kad = KadDHT(
            host.libp2p,
            DHTMode.SERVER,
            enable_random_walk=False,
            enable_values=False,  # anybody could store anything
            strict_validation=True,
            persist_dir=None,
        )
        guard_dht(host.libp2p, self.kad, rules.kad, charge)
        directory.on_identified = self._identified
        directory.find = self.find

    async def run(self) -> None:
        """Until cancelled. If the library's service fails, this node goes on without it."""
        try:
            async with background_trio_service(self.kad):
                await self._refresh_forever()
        except Exception:  # noqa: BLE001
            # a bug in the library must not end the node, and must be seen
            _log.exception("the DHT stopped; neighbours are still found by other means")
            self._directory.find = None

    def _identified(self, peer_id: ID) -> None:
        self._news.set()

    async def _refresh_forever(self) -> None:
        while True:
            await self._news.wait()
            await trio.sleep(0.2)  # several connects come together
            self._news = trio.Event()
            await self._take_in()
            with trio.move_on_after(_LOOKUP_S * 3):
                await self.kad.refresh_routing_table()
            lonely = self._directory.connected_count() < self._rules.enough
            with trio.move_on_after(self._rules.refresh_s):
                await self._news.wait()
                if not lonely:
                    await trio.sleep(self._rules.refresh_first_s)
            self._news.set()

    async def _take_in(self) -> None:
        store = self._host.libp2p.get_peerstore()
        for peer_id in list(self._host.network.connections):
            if KADEMLIA in _protocols(store, peer_id):
                await self.kad.add_peer(peer_id)

    async def find(self, peer: NodeId) -> Sequence[Multiaddr]:
        """Addresses of a peer as the DHT has them; empty when it has none."""
        info = None
        with trio.move_on_after(_LOOKUP_S):
            try:
                info = await self.kad.find_peer(ID.from_string(peer))
            except (BaseLibp2pError, ValueError) as error:
                _log.debug("find %s: %r", peer, error)
        return tuple(info.addrs)[:16] if info is not None else ()


def _protocols(store: Any, peer_id: ID) -> list[str]:
    try:
        return list(store.get_protocols(peer_id))
    except PeerStoreError:  # not identified yet
        return []


async def redial_known(directory: NetDirectory, rules: NetRules) -> None:
    """Look for those of last time until this node has neighbours enough, and again whenever it has too few."""
    wait_s = 0.0
    while True:
        await trio.sleep(wait_s)
        absent = [c for c in directory.contacts() if not c.connected and c.addresses]
        async with trio.open_nursery() as nursery:
            for turn in range(rules.directory.hint_dials):
                nursery.start_soon(_redial, directory, absent[turn :: rules.directory.hint_dials], rules.directory.enough)
        alone = directory.connected_count() < rules.directory.enough
        wait_s = min(max(wait_s * 2, rules.directory.redial_s), _REDIAL_S_MAX) if alone else rules.directory.redial_s


async def _redial(directory: NetDirectory, absent: Sequence[Contact], enough: int) -> None:
    for contact in absent:
        if directory.connected_count() >= enough:
            return
        found = [address for address in map(parse, contact.addresses) if address is not None]
        await directory.hint(ID.from_string(contact.node), found, contact.how)
