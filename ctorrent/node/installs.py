"""The worker's part in packages that it lacks: whose it installs, how much, one after another, and what it says meanwhile.

    lacks ─allowed─▶ WAITS (the lock is fetched, its size known) ─turn─▶ MAKING ─▶ there: asks for the jobs again
      └ not allowed: a typed reason                     └──── fails: a typed reason, kept for a while ────┘
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import trio

from ctorrent.errors import CTorrentError, LocalError
from ctorrent.market import pins
from ctorrent.model.identity import PeerIdentity
from ctorrent.model.ids import Digest, JobId, NodeId, show_job
from ctorrent.model.job import Manifest, SignedManifest
from ctorrent.model.lock import Lock
from ctorrent.model.trade import No, NoReason
from ctorrent.node.patience import printable
from ctorrent.node.people import People
from ctorrent.node.seeder import Seeder
from ctorrent.node.settings import Settings
from ctorrent.node.world import World
from ctorrent.wire.lock import LOCK_BYTES_MAX, decode_lock

log = logging.getLogger(__name__)

WAITING_MAX = 8  # locks: each may take minutes, and a requester has other workers
WAITING_A_REQUESTER = 2
JOBS_A_LOCK = 64  # that are told when it is there; others come with their next announcement
FAILED_S = 600.0  # until a lock that could not be installed is tried again
FAILED_MAX = 256
FREE_BYTES = 1 << 30  # of the disk are left to its owner
FAILURE_CHARS = 240

Busy = Callable[[], Sequence[str]]


@dataclass(slots=True)
class _Wanted:
    """One lock that is being installed, or waits for its turn."""

    lock: Digest
    manifest: Manifest
    words: str  # what is said of it: "scikit-learn 1.7.0 and 4 more (38 MB)"
    jobs: dict[JobId, NodeId] = field(default_factory=dict)  # and their requesters
    bytes_made: int = 0
    done: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class Installs:
    """Environments for jobs whose packages this node lacks."""

    def __init__(self, settings: Settings, world: World, people: People, seeder: Seeder) -> None:
        self._settings, self._world, self._people, self._seeder = settings, world, people, seeder
        self._wanted: dict[Digest, _Wanted] = {}
        self._failed: dict[Digest, tuple[float, str]] = {}
        self._one = trio.Lock()
        self._nursery: trio.Nursery | None = None
        self.ask_again: Callable[[NodeId, JobId], Awaitable[None]] = _nobody
        self.say: Callable[[NodeId, JobId, No], None] = lambda requester, job, no: None
        self.in_use: Busy = tuple

    async def run(self) -> None:
        """For as long as the node runs."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await trio.sleep_forever()

    def words(self) -> str:
        """What is being installed now, for `status`; empty when nothing is."""
        return "; ".join(
            f"{one.words}, {_size(one.bytes_made)} on disk so far" if one.bytes_made else one.words
            for one in self._wanted.values()
        )

    # -- what the requester is told -----------------------------------------------------------------------------------

    def consider(self, job: SignedManifest, who: PeerIdentity, reasons: tuple[No, ...]) -> tuple[No, ...]:
        """Reasons why a job does not fit, with what comes of lacking packages: installing them, or why not."""
        alone = all(no.reason is NoReason.PACKAGES for no in reasons)
        return tuple(self._answer(job, who, no, alone) if no.reason is NoReason.PACKAGES else no for no in reasons)

    def _answer(self, job: SignedManifest, who: PeerIdentity, no: No, alone: bool) -> No:
        lacks, lock = no.detail, Digest(job.manifest.lock)
        if not lock:
            return No(NoReason.PACKAGES, f"{lacks}: install it (the job pins no versions)")
        allow = self._must_allow(who)
        if allow:
            return No(NoReason.PACKAGES, f"{lacks}: install it, or allow `install: {allow}`")
        failed = self._failed.get(lock)
        if failed is not None and self._world.clock.now() < failed[0]:
            return No(NoReason.PACKAGES, f"{lacks}: {failed[1]}")
        if not alone or self._nursery is None:
            return no
        if any(made.lock == lock for made in self._world.packages.made()):
            return No(NoReason.PACKAGES, f"{lacks}: its sandbox takes no packages")
        return self._want(job, who.node, lock)

    def _must_allow(self, who: PeerIdentity) -> str:
        """What this node's owner would have to say first; empty when it is allowed."""
        friend = who.node == self._world.node or self._people.is_friend(who.owner)
        allowed = self._settings.install == "all" or (self._settings.install == "friends" and friend)
        return "" if allowed else "friends" if friend else "all"

    def _want(self, job: SignedManifest, requester: NodeId, lock: Digest) -> No:
        wanted = self._wanted.get(lock)
        if wanted is None:
            theirs = sum(requester in one.jobs.values() for one in self._wanted.values())
            if len(self._wanted) >= WAITING_MAX or theirs >= WAITING_A_REQUESTER:
                return No(NoReason.BUSY, "it is installing other packages")
            self._failed.pop(lock, None)
            wanted = _Wanted(lock, job.manifest, ", ".join(job.manifest.environment.packages)[:FAILURE_CHARS])
            self._wanted[lock] = wanted
            assert self._nursery is not None
            self._nursery.start_soon(self._make, wanted)
        if len(wanted.jobs) < JOBS_A_LOCK:
            wanted.jobs[job.id] = requester
        return No(NoReason.INSTALLING, wanted.words)

    # -- making it ----------------------------------------------------------------------------------------------------

    async def _make(self, wanted: _Wanted) -> None:
        """From the lock's digest to its environment, or to the reason why not."""
        try:
            with wanted.scope:
                await self._install(wanted)
        except CTorrentError as error:
            self._fail(wanted, error.message)
        finally:
            self._wanted.pop(wanted.lock, None)
            wanted.done.set()
        if wanted.lock not in self._failed and not wanted.scope.cancel_called:
            for job, requester in wanted.jobs.items():
                await self.ask_again(requester, job)

    async def _install(self, wanted: _Wanted) -> None:
        lock, choice = await self._looked_at(wanted)
        for job, requester in list(wanted.jobs.items()):
            self.say(requester, job, No(NoReason.INSTALLING, wanted.words))
        async with self._one:
            jobs = ", ".join(map(show_job, wanted.jobs))
            room = self._make_room(choice)
            log.info("installing %s for job %s", wanted.words, jobs, extra={"job": jobs})
            began = self._world.clock.now()
            name = await self._world.packages.install(lock, wanted.lock, room, _counts(wanted))
            log.info("%s is ready after %.1f s", name, self._world.clock.now() - began, extra={"job": jobs})

    def stop(self) -> None:
        """What is under way for others only is given up; asked again, it begins anew."""
        for wanted in self._wanted.values():
            if self._world.node not in wanted.jobs.values():
                wanted.scope.cancel()

    async def _looked_at(self, wanted: _Wanted) -> tuple[Lock, pins.Choice]:
        """The lock, fetched and compared with what the job says. Raises PeerError or LocalError."""
        manifest, packages = wanted.manifest, self._world.packages
        await self._seeder.fetch(wanted.lock, [manifest.requester], LOCK_BYTES_MAX)
        blob = await self._world.blobs.get(wanted.lock, LOCK_BYTES_MAX)
        lock = await trio.to_thread.run_sync(decode_lock, blob)
        missing = pins.unmet(manifest.environment.packages, lock)
        if missing:
            raise LocalError(f"the job's lock does not hold {', '.join(missing)}")
        choice = pins.choose(lock, packages.tags())
        if isinstance(choice, str):
            raise LocalError(choice)
        size = _size(choice.download_bytes) if choice.download_bytes else "of unknown size"
        wanted.words = f"{pins.title(manifest.environment.packages, lock)} ({size})"
        return lock, choice

    def _make_room(self, choice: pins.Choice) -> int:
        """Bytes that it may take with its downloads, after those that were not used for longest made way. Raises LocalError."""
        packages, limit = self._world.packages, min(self._settings.install_bytes, self._settings.disk_bytes)
        if choice.disk_bytes > limit:
            raise LocalError(
                f"its packages need {_size(choice.disk_bytes)} of disk, install_bytes allows {_size(limit)}"
            )
        made, kept = list(packages.made()), set(self.in_use())
        peak = choice.disk_bytes + choice.download_bytes + FREE_BYTES
        taken = sum(one.size_bytes for one in made)
        for one in made:
            full = taken + choice.disk_bytes > limit or packages.free_bytes() < peak
            if full and one.name not in kept:
                packages.remove(one.name)
                taken -= one.size_bytes
                log.info("removed %s, %s, which was not used for longest", one.name, _size(one.size_bytes))
        if taken + choice.disk_bytes > limit:
            raise LocalError("the packages of jobs that run now take the room: install_bytes allows no more")
        if packages.free_bytes() < peak:
            raise LocalError(f"the disk has no room for {_size(choice.disk_bytes)} of packages")
        return limit - taken + choice.download_bytes

    def _fail(self, wanted: _Wanted, why: str) -> None:
        words = f"could not install: {printable(why, FAILURE_CHARS)}"
        log.warning("%s: %s", wanted.words, words, extra={"job": ", ".join(map(show_job, wanted.jobs))})
        self._failed[wanted.lock] = (self._world.clock.now() + FAILED_S, words)
        while len(self._failed) > FAILED_MAX:
            del self._failed[next(iter(self._failed))]
        lacks = ", ".join(wanted.manifest.environment.packages)[:FAILURE_CHARS]
        for job, requester in wanted.jobs.items():
            self.say(requester, job, No(NoReason.PACKAGES, f"{lacks}: {words}"))

    # -- for this node's own jobs -------------------------------------------------------------------------------------

    async def have(self, job: SignedManifest, patience_s: float) -> None:
        """Have the environment of an own job's lock. Raises LocalError where it could not be made, or not yet."""
        lock = Digest(job.manifest.lock)
        if not lock or self._settings.install == "off" or self._nursery is None:
            return
        if any(made.lock == lock for made in self._world.packages.made()):
            return
        if lock not in self._wanted:
            self._want(job, self._world.node, lock)
        if lock in self._wanted:
            wanted = self._wanted[lock]
            with trio.move_on_after(patience_s) as scope:
                await wanted.done.wait()
            if scope.cancelled_caught:
                raise LocalError(f"this node is still installing {wanted.words}")
        if lock in self._failed:
            raise LocalError(self._failed[lock][1])


def _size(count: int) -> str:
    """For people: 840 kB, 38 MB, 2.1 GB."""
    if count < 1_000_000:
        return f"{max(1, round(count / 1e3))} kB"
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def _counts(wanted: _Wanted) -> Callable[[int], None]:
    def grown(size: int) -> None:
        wanted.bytes_made = size

    return grown


async def _nobody(requester: NodeId, job: JobId) -> None:
    """Until the worker has said who asks."""
