"""The large files of jobs, fetched before this node bids: no lease runs while 2 GiB are on their way.

    (unknown) ──no()──▶ COMING ──all here──▶ HERE, and the requester is asked again ──KEEP_S──▶ (unknown)
                          └── disk full, or files that lie ──▶ REFUSED, for REFUSED_S
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from ctorrent.errors import LocalError, PeerError, Unavailable, leaves
from ctorrent.model.ids import Digest, JobId, NodeId, show_job
from ctorrent.model.job import SignedManifest
from ctorrent.model.trade import No, NoReason
from ctorrent.node.cells import Cells
from ctorrent.node.world import World
from ctorrent.plan.codemap import ENTRY_BYTES, CodeMap

COMING_MAX = 4  # jobs whose files come at once: more only share the same line
STRANGERS_MAX = 1  # of those, for strangers
STRANGER_BYTES_MAX = 2 << 30  # of one job
STRANGERS_SHARE = 4  # a part in so many of the quota holds all that strangers' jobs need: friends' data has the rest
PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 30.0, 30.0, 30.0)  # without a byte; then the next announcement begins anew
REFUSED_S = 60.0  # a disk may have room again
KEEP_S = 600.0  # files that nobody works with are anybody's to tidy away
TELL_S = 2.0  # how often the requester hears how far it is
LARGE_BYTES = 8 << 20  # of an unfinished file, for it to be counted in part


@dataclass(slots=True)
class _Delivery:
    """The files of one job."""

    job: SignedManifest
    stranger: bool
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    missing: dict[Digest, int] = field(default_factory=dict)
    listed: dict[Digest, int] = field(default_factory=dict)  # all, once their list is here
    refused: No | None = None
    here: bool = False


class Stock:
    """Of one worker. `tell` says a no to a job's requester, `ask` asks it to describe the job again."""

    def __init__(
        self, world: World, cells: Cells, tell: Callable[[NodeId, JobId, No], None], ask: Callable[[NodeId, JobId], Awaitable[None]]
    ) -> None:
        self._world, self._cells, self._tell, self._ask = world, cells, tell, ask
        self._deliveries: dict[JobId, _Delivery] = {}

    def no(self, job: SignedManifest, stranger: bool, nursery: trio.Nursery) -> No | None:
        """Why there is no bid yet; None when nothing is missing. Begins to fetch what is."""
        wanted = job.manifest.program.files_bytes
        if not wanted:
            return None
        delivery = self._deliveries.get(job.id)
        if delivery is None:
            coming = [one for one in self._deliveries.values() if not (one.here or one.refused)]
            if stranger and wanted > min(STRANGER_BYTES_MAX, self._share()):
                return No(NoReason.DISK, f"for a stranger's {_size(wanted)}")
            if stranger and self._strangers() + wanted > self._share():
                return No(NoReason.BUSY, "the files of other strangers' jobs fill what strangers get of this disk")
            if len(coming) >= COMING_MAX or (stranger and sum(one.stranger for one in coming) >= STRANGERS_MAX):
                return No(NoReason.BUSY, "the files of other jobs come first")
            delivery = self._deliveries[job.id] = _Delivery(job, stranger)
            nursery.start_soon(self._run, delivery)
        return None if delivery.here else delivery.refused or self._progress(delivery)

    def _share(self) -> int:
        return self._world.blobs.quota() // STRANGERS_SHARE

    def _strangers(self) -> int:
        """Bytes that strangers' jobs keep here, or will; what several need counts once."""
        kept: dict[Digest, int] = {}
        unknown = 0
        for one in self._deliveries.values():
            if one.stranger:
                kept.update(one.listed)
                unknown += 0 if one.listed else one.job.manifest.program.files_bytes
        return unknown + sum(kept.values())

    def forget(self, job: JobId, requester: NodeId) -> None:
        """The job is over, says its requester: stop, and let its files be tidied away."""
        delivery = self._deliveries.get(job)
        if delivery is not None and delivery.job.manifest.requester == requester:
            delivery.scope.cancel()

    def stop(self) -> None:
        """Fetch nothing more; what came stays on the disk for a while, and is found there when it is wanted again."""
        for delivery in self._deliveries.values():
            delivery.scope.cancel()

    async def _run(self, delivery: _Delivery) -> None:
        job = delivery.job
        reason = f"files of {show_job(job.id)}"
        pinned = [job.manifest.program.code]
        try:
            with delivery.scope:
                await self._deliver(delivery, reason, pinned)
                await trio.sleep(KEEP_S if delivery.here else REFUSED_S if delivery.refused else 0)
                while delivery.here and self._cells.shows(job.manifest.program.code):  # noqa: ASYNC110 - nobody waits for it
                    await trio.sleep(KEEP_S)
        finally:
            for blob in pinned:
                self._world.blobs.unpin(blob, reason)
            del self._deliveries[job.id]

    async def _deliver(self, delivery: _Delivery, reason: str, pinned: list[Digest]) -> None:
        """Fetch with patience, and say what came of it."""
        job = delivery.job
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_telling, delivery)
                delivery.here = await self._fetched(delivery, reason, pinned)
                nursery.cancel_scope.cancel()
        except* (LocalError, PeerError) as group:
            error = leaves(group)[0]
            if isinstance(error, PeerError):
                self._world.directory.charge(job.manifest.requester, 20, error.message)
            full = isinstance(error, LocalError)
            delivery.refused = No(NoReason.DISK if full else NoReason.OTHER, f": {error.message}"[:200])
            self._tell(job.manifest.requester, job.id, delivery.refused)
        if delivery.here:
            await self._ask(job.manifest.requester, job.id)

    async def _fetched(self, delivery: _Delivery, reason: str, pinned: list[Digest]) -> bool:
        """Are all files here, in the end? Tries again for as long as something comes."""
        blobs, job = self._world.blobs, delivery.job
        left, pauses = job.manifest.program.files_bytes, iter(PAUSES_S)
        while True:
            try:
                code = await self._cells.listing(job)
                if len(pinned) == 1:
                    delivery.listed = _disk_bytes(code)
                    if delivery.stranger and self._strangers() > self._share():
                        raise LocalError(f"{_size(sum(delivery.listed.values()))} for a stranger's job beside those of others")
                    pinned += code.large()
                    for blob in pinned:
                        blobs.pin(blob, reason)
                delivery.missing = {blob: size for blob, size in code.large().items() if blobs.size(blob) != size}
                wanted = code.laid_bytes() + sum(delivery.listed[blob] - blobs.partial(blob) for blob in delivery.missing)
                if wanted > blobs.room_bytes():
                    raise LocalError(f"{_size(wanted)} wanted, {_size(blobs.room_bytes())} free")
                await self._cells.fetch(job, code)
                for blob in code.large():
                    if not await blobs.check(blob):  # damaged since an earlier life of this node
                        raise Unavailable("a file was damaged")
                return True
            except Unavailable:
                if (now := self._left(delivery)) < left:
                    left, pauses = now, iter(PAUSES_S)
                if (pause := next(pauses, None)) is None:
                    return False
                await trio.sleep(pause)

    async def _keep_telling(self, delivery: _Delivery) -> None:
        while True:
            await trio.sleep(TELL_S)
            self._tell(delivery.job.manifest.requester, delivery.job.id, self._progress(delivery))

    def _left(self, delivery: _Delivery) -> int:
        """Bytes that have not come yet."""
        blobs = self._world.blobs
        delivery.missing = {blob: size for blob, size in delivery.missing.items() if blobs.size(blob) is None}
        return sum(size - (blobs.partial(blob) if size > LARGE_BYTES else 0) for blob, size in delivery.missing.items())

    def _progress(self, delivery: _Delivery) -> No:
        wanted = delivery.job.manifest.program.files_bytes
        if not delivery.missing:
            return No(NoReason.FILES, f"({_size(wanted)})")
        return No(NoReason.FILES, f"({_size(wanted - self._left(delivery), of=wanted)} of {_size(wanted)})")


def _disk_bytes(code: CodeMap) -> dict[Digest, int]:
    """What each file takes on a disk, at least a block of it."""
    return {blob: max(size, ENTRY_BYTES) for blob, size in code.large().items()}


def _size(size: int, of: int = 0) -> str:
    """"2.0 GB" or "47 MB"; in the unit of a larger one, and without it, where that follows."""
    unit, name, digits = (1e9, "GB", 1) if max(size, of) >= 1e9 else (1e6, "MB", 0 if max(size, of) >= 1e7 else 1)
    return f"{size / unit:.{digits}f}" if of else f"{size / unit:.{digits}f} {name}"
