"""What a node forgets: jobs that ended long ago, and whatever others' jobs left behind. Ledger entries stay for ever.

One quota (`disk_bytes`) holds what others' jobs put into the data folder: the environments that were made for them, their
cells, and blobs, which get what the others leave. What own jobs read and made is outside of it: that goes when its job is
`keep_days` old, or by hand.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

import trio

from ctorrent.door import Plain
from ctorrent.model.ids import Digest, JobId
from ctorrent.node import jobbook
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.memory import Memory
from ctorrent.node.settings import Settings
from ctorrent.node.world import World
from ctorrent.ports import Delete

log = logging.getLogger(__name__)

DAY_S = 86400
FIRST_LOOK_S = 300.0  # after a start: a node that lives for one command has other things to do
LOOK_S = 3600.0
QUOTA_LOOK_S = 30.0  # environments are made in minutes
DELETES_A_COMMIT = 1000  # a job of 100,000 blocks must not hold up the writer for seconds
CELL_BYTES = 1 << 20  # a cell's code and socket; what it writes is in memory, within its job's limits
_SPACES = ("no-memory", "own-only", "given", "dossier", "seen", "learned", "round", "outputs", "block", "amendment", "settled", "voice", "final", "job")  # of one job; the job itself last


class Retention:
    """Of one node. records: its jobs by id, from which what is forgotten is taken. memory: what they computed.

    in_use: environments of running jobs. cells: how many are open here.
    owes: are there results that their requesters do not have yet? Large ones are blobs.
    """

    def __init__(
        self, settings: Settings, world: World, records: dict[JobId, JobRecord], in_use: Callable[[], Collection[str]],
        cells: Callable[[], int], owes: Callable[[], bool], memory: Memory,
    ) -> None:  # fmt: skip
        self._memory = memory
        self._settings, self._world, self._records = settings, world, records
        self._in_use, self._cells, self._owes = in_use, cells, owes

    async def run(self) -> None:
        """For as long as the node runs."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_quota)
            await trio.sleep(FIRST_LOOK_S)
            while True:
                for record in self.old():
                    size = await self.forget(record)
                    log.info("job %s ended more than %g days ago: forgotten, %d bytes", record.name, self._settings.keep_days, size, extra={"job": record.name})
                await trio.sleep(LOOK_S)

    # -- the quota ----------------------------------------------------------------------------------------------------

    async def _watch_quota(self) -> None:
        while True:
            self._world.blobs.set_quota(self._settings.disk_bytes - self.environment_bytes() - self.cell_bytes())
            await trio.sleep(QUOTA_LOOK_S)

    def environment_bytes(self) -> int:
        """Of those that were made for jobs; the owner's own are the owner's."""
        return sum(made.size_bytes for made in self._world.packages.made())

    def cell_bytes(self) -> int:
        """What open cells hold, about."""
        return CELL_BYTES * self._cells()

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def old(self) -> list[JobRecord]:
        """Jobs that ended more than `keep_days` ago."""
        days = self._settings.keep_days
        before = self._world.clock.unix() - days * DAY_S
        return [record for record in self._records.values() if days and not record.open and record.submitted_unix < before and ended_unix(record) < before]

    async def forget(self, record: JobRecord) -> int:
        """Remove a job's rows and its blobs that nothing else needs. -> bytes of both."""
        journal, size = self._world.journal, self.job_bytes(record)
        blobs = self._blobs(record)
        self._records.pop(record.id, None)
        deletes = [Delete(space, key) for space in _SPACES for key, _ in journal.scan(space, record.id)]
        for start in range(0, len(deletes), DELETES_A_COMMIT):
            await journal.commit(deletes[start : start + DELETES_A_COMMIT], durable=False)
        needed = {blob for other in self._records.values() if other.open for blob in self._blobs(other)}
        for blob in blobs:
            self._world.blobs.unpin(blob, f"job {record.name}")
            if blob not in needed:
                self._world.blobs.unpin(blob, "input")
            self._world.blobs.discard(blob)
        return size

    def job_bytes(self, record: JobRecord) -> int:
        """What it takes: its rows, and the blobs it reads and made."""
        rows = sum(len(value) for space in _SPACES for _, value in self._world.journal.scan(space, record.id))
        return rows + sum(self._world.blobs.size(blob) or 0 for blob in self._blobs(record))

    def _blobs(self, record: JobRecord) -> list[Digest]:
        """All that belong to a job, once each. A job that ended has its blocks in the journal only."""
        if not record.blocks:
            jobbook.load_blocks(self._world.journal, record)
        manifest = record.job.manifest
        found = [manifest.program.code, manifest.lock, record.answer, *record.files, *jobbook.ended_blobs(self._world.journal, record.id)]
        found += [ref.digest for block in record.blocks for ref in block.inputs]
        if not record.open:
            record.blocks = []
        return [Digest(blob) for blob in dict.fromkeys(map(bytes, found)) if blob]

    # -- by hand ------------------------------------------------------------------------------------------------------

    async def collect(self, dry_run: bool) -> list[Plain]:
        """Remove, or only count, all that nothing needs: rows of what, how many, bytes, names."""
        rows = [await self._jobs(dry_run), await self._remembered(dry_run), self._environments(dry_run)]
        if self._cells() or self._owes():
            words = "kept: jobs run here now, or results are still to be delivered"
            rows.append({"what": "blobs nobody keeps", "count": 0, "bytes": 0, "names": [], "note": words})
        else:
            count, size = self._world.blobs.sweep(dry_run)
            rows.append({"what": "blobs nobody keeps", "count": count, "bytes": size, "names": [], "note": ""})
        return rows

    async def _jobs(self, dry_run: bool) -> Plain:
        old = self.old()
        size = sum(self.job_bytes(record) for record in old)
        for record in [] if dry_run else old:
            await self.forget(record)
        note = f"ended more than {self._settings.keep_days:g} days ago" if self._settings.keep_days else "kept for ever: keep_days is 0"
        return {"what": "old jobs", "count": len(old), "bytes": size, "names": [record.name for record in old], "note": note}

    async def _remembered(self, dry_run: bool) -> Plain:
        count, size = self._memory.entries, self._memory.bytes
        if not dry_run:
            await self._memory.forget_all()
        return {"what": "remembered results", "count": count, "bytes": size, "names": [], "note": "computed again when a job asks for them"}

    def _environments(self, dry_run: bool) -> Plain:
        kept = set(self._in_use())
        unused = [made for made in self._world.packages.made() if made.name not in kept]
        for made in [] if dry_run else unused:
            self._world.packages.remove(made.name)
        return {
            "what": "environments no job uses", "count": len(unused), "bytes": sum(made.size_bytes for made in unused),
            "names": [made.name for made in unused], "note": "made for jobs; made again when one needs them",
        }  # fmt: skip


def ended_unix(record: JobRecord) -> float:
    """When a job ended, as far as its last report tells."""
    status = record.report.get("status") or {}
    return record.submitted_unix + float(status.get("elapsed_s", 0.0))
