"""What the door tells of the present moment: one object for the rooms that make it up."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import trio

from ctorrent.door import Plain
from ctorrent.model.ids import NodeId
from ctorrent.model.live import BlockWorker
from ctorrent.node.added import AddedFiles
from ctorrent.node.blockmap import BlockMaps
from ctorrent.node.credit import Credit
from ctorrent.node.livefeed import LiveFeed
from ctorrent.node.metrics import Numbers
from ctorrent.node.neighbours import Neighbours
from ctorrent.node.people import People
from ctorrent.node.requester import Requester
from ctorrent.node.scribe import Scribe
from ctorrent.node.settings import Settings
from ctorrent.node.share import Share
from ctorrent.node.sharing import Sharing
from ctorrent.node.vitals import Vitals
from ctorrent.node.worker import Worker
from ctorrent.node.world import World

TOLD_MAX = 64  # peers that hear at once that this machine is lent again, or is not; others with their next session


class Live:
    """Of one node."""

    def __init__(
        self, settings: Settings, world: World, people: People, scribe: Scribe, requester: Requester, worker: Worker, share: Share,
        credit: Credit,
    ) -> None:  # fmt: skip
        self._world, self._people, self._requester, self._scribe, self._worker = world, people, requester, scribe, worker
        self.neighbours = Neighbours(world, people, share, self._trust)
        self.sharing = Sharing(settings, world, people, share, worker)
        self.added = AddedFiles(world)
        self.vitals = Vitals(settings, world, people, share, worker, credit)
        self.feed = LiveFeed(requester, self.neighbours, self.vitals)
        self._numbers = Numbers(world, requester, worker, share, scribe, self.neighbours, self.vitals, self.feed)
        self._nursery: trio.Nursery | None = None
        self._maps = BlockMaps(world.journal, world.clock.unix)

    async def run(self) -> None:
        """For as long as the node runs."""
        self.added.pin()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for part in (self.neighbours, self.vitals, self.feed):
                nursery.start_soon(part.run)

    def events(self) -> AsyncGenerator[Plain, None]:
        return self.feed.events()

    async def blocks(self, job: str, since: int) -> Plain:
        """See door.Door.blocks()."""
        record = self._requester.find(job)
        status = self._requester.status_of(record)
        coordination = self._requester.live(record)
        names = {NodeId(line["node"]): line["name"] for line in status["workers"]}
        names[self._world.node] = self._people.name

        def called(node: NodeId) -> BlockWorker:
            return BlockWorker(node=node, name=names.get(node, ""), local=node == self._world.node)

        states = await self._maps.of(record, status["blocks"], None if coordination is None else coordination.board.states)
        return dict(states.since(since, status["blocks"], called))

    def peers(self) -> list[Plain]:
        return self.neighbours.peers()

    def offers(self) -> list[Plain]:
        self.neighbours.look()
        return self.neighbours.offers()

    def pool(self) -> Plain:
        self.neighbours.look()
        return dict(self.neighbours.pool())

    async def machine(self) -> Plain:
        return dict(await self.vitals.now())

    async def set_share(self, on: bool) -> Plain:
        """Switch, and let those who may ask this machine know."""
        await self.sharing.switch(on)
        self.vitals.changed = True
        if self._nursery is not None:
            self._nursery.start_soon(self.neighbours.meet, self.neighbours.connected()[:TOLD_MAX])
        return await self.machine()

    async def retry(self, job: str) -> str:
        return await self._requester.retry(job)

    async def blob_add(self, path: Path, name: str) -> Plain:
        return dict(await self.added.add(path, name))

    def blobs(self) -> list[Plain]:
        return [dict(row) for row in self.added.rows()]

    async def blob_remove(self, which: str) -> Plain:
        return dict(await self.added.remove(which))

    def blob_find(self, which: str) -> Plain:
        row, path = self.added.find(which)
        return dict(row) | {"path": path}

    async def metrics(self) -> Plain:
        return dict(await self._numbers.now())

    def _trust(self, nodes: list[NodeId]) -> dict[NodeId, float]:
        """The lower bound of their right answers; 0 of those nobody saw work."""
        found = self._scribe.snapshot(nodes)
        return {node: found[node].lower_bound for node in nodes if node in found}
