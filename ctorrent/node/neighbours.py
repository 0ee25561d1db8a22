"""The machines around this one, as a person sees them: rows of peers, what each offers, and all of it added up.

While somebody looks, peers are asked each second whether they are still there, and those that may work for this person
every few seconds what they have free: an offer is otherwise said once, at the start of a session.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import trio

from ctorrent.door import Plain
from ctorrent.errors import CTorrentError
from ctorrent.model.ids import NodeId, OwnerId
from ctorrent.model.live import OfferGpu, OfferRow, Pool
from ctorrent.model.status import PeerRow
from ctorrent.node import plain
from ctorrent.node.people import People
from ctorrent.node.session import greet
from ctorrent.node.share import Share
from ctorrent.node.world import World
from ctorrent.ports import Contact

QUIET_S = 2.2  # a peer asked each second that says nothing for so long is not there: with the page's own delay it is 3 s
LOOKS_S = 15.0  # a look counts for so long: a page asks again before
REFRESH_S = 5.0  # between introductions with those that lend: ~3 ms each
REFRESH_MAX, REFRESH_AT_ONCE = 32, 8  # of them in a turn: more would cost a busy node a tenth of a core
OFFERS_READ = 4096  # as many as people.KNOWN_MAX
GPUS_SHOWN = 16
_GPU = re.compile(r"(.*) (\d{1,6}) GiB\Z")


class Neighbours:
    """Of one node. trust: 0..1 of nodes, by what was seen and heard of them."""

    def __init__(self, world: World, people: People, share: Share, trust: Callable[[list[NodeId]], dict[NodeId, float]]) -> None:
        self._world, self._people, self._share, self._trust = world, people, share, trust
        self._read: dict[bytes, Plain] = {}  # an offer's bytes -> what they say
        self._until = 0.0
        self._looked = trio.Event()
        self._turn = 0

    def look(self) -> None:
        """Somebody looks."""
        fresh = trio.current_time() > self._until
        self._until = trio.current_time() + LOOKS_S
        if fresh:
            self._world.directory.attend(LOOKS_S)
            self._looked.set()
            self._looked = trio.Event()

    async def run(self) -> None:
        """While somebody looks: who is there, and what do they have free?"""
        while True:
            await self._looked.wait()
            asked = float("-inf")
            while trio.current_time() <= self._until:
                self._world.directory.attend(LOOKS_S)
                if trio.current_time() - asked >= REFRESH_S:
                    asked = trio.current_time()
                    await self.meet(self._lending())
                await trio.sleep(1.0)

    async def meet(self, peers: list[NodeId]) -> None:
        """Exchange introductions: each hears what the other offers now."""
        limit = trio.CapacityLimiter(REFRESH_AT_ONCE)
        with trio.move_on_after(REFRESH_S):
            async with trio.open_nursery() as nursery:
                for peer in peers:
                    nursery.start_soon(self._greet, peer, limit)

    async def _greet(self, peer: NodeId, limit: trio.CapacityLimiter) -> None:
        async with limit:
            with suppress(CTorrentError):  # it is leaving, or older than this exchange: what it said before stands
                await greet(self._world.streams, peer, self._people)

    def _lending(self) -> list[NodeId]:
        """Those that may work for this person, so many at a time in turn."""
        near = [contact.node for contact in self._world.directory.contacts() if self._is_here(contact) and (self._may_work(contact.node, 0) or self._is_friends(contact.node))]
        first = self._turn % max(1, len(near))
        self._turn += REFRESH_MAX
        return (near[first:] + near[:first])[:REFRESH_MAX]

    def connected(self) -> list[NodeId]:
        return [contact.node for contact in self._world.directory.contacts() if contact.connected]

    def present(self) -> tuple[tuple[NodeId, bool], ...]:
        """What a change in makes the pool another: cheap, to be compared ten times a second."""
        return tuple((contact.node, self._is_here(contact)) for contact in self._world.directory.contacts())

    @staticmethod
    def _is_here(contact: Contact) -> bool:
        return contact.connected and contact.quiet_s < QUIET_S

    # -- rows ---------------------------------------------------------------------------------------------------------

    def peers(self) -> list[Plain]:
        """status.PeerRow of every peer that is known, connected ones first."""
        rows = []
        for contact in self._world.directory.contacts():
            known = self._people.known.get(contact.node)
            owner = known.owner if known and known.owner else ""
            person = self._people.persons.get(OwnerId(owner)) if owner else None
            offer = self._offer(contact.node)
            row = PeerRow(
                node=contact.node, name=known.name if known else "", owner=owner, how=contact.how,
                connected=self._is_here(contact), friend=self._is_friends(contact.node), accepted=_accepts(offer),
                wants_friendship=person is not None and person.state == "asks",
                version=known.version if known else contact.agent, latency_s=contact.latency_s,
                bandwidth_bytes_s=contact.bandwidth_bytes_s, addresses=list(contact.addresses),
            )  # fmt: skip
            if offer:
                row["offer"] = offer
            rows.append(dict(row))
        return rows

    def offers(self) -> list[Plain]:
        """live.OfferRow: this machine, then peers that said what they lend."""
        said = [contact for contact in self._world.directory.contacts() if self._offer(contact.node)]
        trust = self._trust([contact.node for contact in said])
        return [dict(self._own())] + [dict(self._row(contact, trust.get(contact.node, 0.0))) for contact in said]

    def _own(self) -> OfferRow:
        offer, hardware = self._share.offer(), self._world.hardware
        return OfferRow(
            node=self._world.node, name=self._people.name, owner=self._world.owner, friend=True, connected=True, local=True,
            cores=hardware.cores, slots=offer.slots, slots_free=offer.slots_free, memory_bytes=offer.memory_bytes, disk_bytes=offer.disk_bytes,
            gpus=[OfferGpu(name=gpu.model, memory_bytes=gpu.memory_bytes) for gpu in offer.lent_gpus],
            isolation=offer.isolation.name.lower(), price=offer.price, gpu_price=offer.gpu_price, gflops=hardware.gflops,
            latency_s=None, bandwidth_bytes_s=None, trust=1.0,
        )  # fmt: skip

    def _row(self, contact: Contact, trust: float) -> OfferRow:
        said, known = self._offer(contact.node), self._people.known.get(contact.node)
        owner = known.owner if known and known.owner else OwnerId("")
        return OfferRow(
            node=contact.node, name=known.name if known else "", owner=owner, friend=bool(owner) and self._people.is_friend(owner),
            connected=self._is_here(contact), local=False, cores=_count(said, "cores"), slots=_count(said, "slots"),
            slots_free=_count(said, "slots_free"), memory_bytes=_count(said, "memory_bytes"), disk_bytes=_count(said, "disk_bytes"),
            gpus=_gpus(said), isolation=str(said.get("isolation", "")), price=_number(said, "price"), gpu_price=_number(said, "gpu_price"),
            gflops=_number(said, "gflops"), latency_s=contact.latency_s, bandwidth_bytes_s=contact.bandwidth_bytes_s, trust=trust,
        )  # fmt: skip

    def pool(self) -> Pool:
        """What is lent by this machine and by the connected peers that would work for its person."""
        mine = self._share.offer()
        pool = Pool(
            machines=1, cores=mine.slots, cores_free=mine.slots_free, memory_bytes=mine.memory_bytes if self._share.on else 0,
            gpu_memory_bytes=sum(gpu.memory_bytes for gpu in mine.lent_gpus), gpus=len(mine.lent_gpus), disk_bytes=mine.disk_bytes,
            slots=mine.slots, slots_free=mine.slots_free,
        )  # fmt: skip
        for contact in self._world.directory.contacts():
            if self._is_here(contact) and self._may_work(contact.node):
                said = self._offer(contact.node)
                slots, free, gpus = _count(said, "slots"), _count(said, "slots_free"), _gpus(said)
                pool["machines"] += 1
                pool["cores"], pool["cores_free"] = pool["cores"] + slots, pool["cores_free"] + min(slots, free)
                pool["slots"], pool["slots_free"] = pool["slots"] + slots, pool["slots_free"] + min(slots, free)
                pool["memory_bytes"] += _count(said, "memory_bytes")
                pool["disk_bytes"] += _count(said, "disk_bytes")
                pool["gpus"] += len(gpus)
                pool["gpu_memory_bytes"] += sum(gpu["memory_bytes"] for gpu in gpus)
        return pool

    def _may_work(self, node: NodeId, slots: int = 1) -> bool:
        """Would it take this person's jobs, by what it says and by who its owner is to this one? slots: that it lends at least."""
        said, known = self._offer(node), self._people.known.get(node)
        if known is None or _count(said, "slots") < slots:
            return False
        whom = said.get("work_for", "friends")
        if known.owner == self._world.owner or whom == "all":
            return True
        shares_swarm = whom == "swarm" and any(root in self._people.swarms for root in known.swarms)
        return shares_swarm or (whom != "me" and self._is_friends(node) and _accepts(said))

    def _is_friends(self, node: NodeId) -> bool:
        known = self._people.known.get(node)
        return known is not None and self._people.is_friend(known.owner)

    def _offer(self, node: NodeId) -> Plain:
        raw = self._people.offers.get(node, b"")
        found = self._read.get(raw)
        if found is None:
            if len(self._read) >= OFFERS_READ:
                self._read.clear()
            found = self._read[raw] = plain.decode_offer(raw)
        return found


def _accepts(said: Plain) -> bool:
    """Does its owner count this node's as a friend, as far as it said? An older version says nothing of it."""
    return said.get("you") != "stranger"


def _number(said: Plain, key: str) -> float:
    """A figure that a peer claims; 0 where it says none."""
    return float(said.get(key, 0))


def _count(said: Plain, key: str) -> int:
    return int(_number(said, key))


def _gpus(said: Plain) -> list[OfferGpu]:
    """Those that are lent. Their words, such as "NVIDIA H200 140 GiB", are cut into name and memory."""
    found = [_GPU.match(text) for text in said.get("gpus", ())]
    gpus = [OfferGpu(name=one[1], memory_bytes=int(one[2]) << 30) for one in found if one is not None]
    return gpus[: min(GPUS_SHOWN, _count(said, "gpus_lent"))]
