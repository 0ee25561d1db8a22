"""What a coordination must wait for: blobs, its own machine. Each ends as something in the inbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ctorrent.errors import CTorrentError
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.result import output_digest
from ctorrent.node.items import Fetched, Item
from ctorrent.node.jobbook import JobRecord, load_end
from ctorrent.node.returned import Given, Replica
from ctorrent.node.seeder import Seeder
from ctorrent.node.selfrun import SelfRun
from ctorrent.node.world import World
from ctorrent.verify import words as q


class Errands:
    """Tasks of one job, run in its nursery."""

    def __init__(
        self, world: World, seeder: Seeder, record: JobRecord, selfrun: SelfRun, tell: Callable[[Item], Awaitable[None]]
    ) -> None:
        self._world, self._seeder, self._record, self._selfrun, self._tell = world, seeder, record, selfrun, tell
        self._limit = record.job.manifest.limits.output_bytes + 64  # a kind byte and the frame of a value

    async def fetch(self, given: Given) -> None:
        """Get a unit's large outputs from their worker, and digest them."""
        outputs: dict[Digest, Digest] = {}
        blobs = [output.blob for output in given.outputs if output.blob is not None]
        try:
            await self._seeder.fetch_all(dict.fromkeys(blobs, self._limit), [given.worker])
            for blob in blobs:
                outputs[blob] = output_digest(await self._world.blobs.get(blob, self._limit))
        except (CTorrentError, KeyError) as error:
            await self._tell(Fetched(given, {}, str(error)))
            return
        await self._tell(Fetched(given, outputs))

    async def check(self, index: int) -> None:
        """Run a block twice on this machine."""
        await self._tell(await self._selfrun.check(self._record, index, self._world.owner))

    async def together(self, index: int, worker: NodeId, unit: Sequence[int]) -> None:
        """Run a worker's unit as it did, and the block alone."""
        await self._tell(await self._selfrun.together(self._record, index, worker, unit))

    async def load_output(self, wish: q.FetchOutput, kept: Replica | None) -> None:
        """Bring a large output's bytes to quorum."""
        output = await self.bytes_of(kept)
        small = kept is None or kept.blob is None
        if small and (end := load_end(self._world.journal, self._record.id, wish.index)) and output_digest(end.output) == wish.digest:
            output = end.output  # a small one, of which only the journal keeps the bytes
        await self._tell(q.OutputFetched(wish.index, wish.worker, output))

    async def bytes_of(self, kept: Replica | None) -> bytes | None:
        """A large output; None when it is not one, or gone."""
        if kept is None or kept.blob is None:
            return None
        try:
            return await self._world.blobs.get(kept.blob, self._limit)
        except (KeyError, CTorrentError):
            return None
