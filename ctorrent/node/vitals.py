"""This machine as its person sees it: load, temperatures, rates, for whom it works, and the last minutes of them.

A sample is taken each second while somebody looks, else every ten seconds, so that a page opens with a past. With GPUs a
sample asks the driver; nobody looking, that too is rare.
"""

from __future__ import annotations

from collections import deque

import trio

from ctorrent.model.ids import show_job
from ctorrent.model.live import GpuNow, Lends, MachineNow, WorksFor
from ctorrent.model.offer import Load
from ctorrent.node.credit import Credit
from ctorrent.node.people import People
from ctorrent.node.settings import Settings
from ctorrent.node.share import Share
from ctorrent.node.worker import Worker
from ctorrent.node.world import World

SAMPLES = 300  # five minutes of seconds
SAMPLE_S = 1.0
IDLE_S = 10.0  # between samples while nobody looks: a sample takes ~3 ms, ~0.03 % of a core
LOOKS_S = 15.0  # a look counts for so long


class Vitals:
    """Of one node."""

    def __init__(self, settings: Settings, world: World, people: People, share: Share, worker: Worker, credit: Credit) -> None:
        self._settings, self._world, self._people = settings, world, people
        self._share, self._worker, self._credit = share, worker, credit
        self._history: deque[list[float]] = deque(maxlen=SAMPLES)
        self._load: Load | None = None
        self._at, self._rates = 0.0, (0.0, 0.0)
        self._until = 0.0
        self._looked = trio.Event()
        self.samples = 0  # so far: a face sends a new machine() when it grew
        self.changed = False  # or when something else than a sample did, such as whether the machine is lent

    @property
    def load(self) -> Load | None:
        """The last sample."""
        return self._load

    def look(self) -> None:
        """Somebody looks."""
        if trio.current_time() > self._until:
            self._looked.set()
            self._looked = trio.Event()
        self._until = trio.current_time() + LOOKS_S

    async def run(self) -> None:
        """Take samples for as long as the node runs."""
        while True:
            await self._sample()
            if trio.current_time() <= self._until:
                await trio.sleep(SAMPLE_S)
                continue
            with trio.move_on_after(IDLE_S):
                await self._looked.wait()

    async def _sample(self) -> None:
        load, now = await self._world.machine.sample(), trio.current_time()
        before, took = self._load, now - self._at
        if before is not None and took > 0:  # a counter that was reset, such as of an interface that came anew, is no rate
            came, went = load.net_in_bytes - before.net_in_bytes, load.net_out_bytes - before.net_out_bytes
            self._rates = max(0, came) / took, max(0, went) / took
        self._load, self._at = load, now
        self.samples += 1
        gpu = max((one.load for one in load.gpus), default=0.0)
        memory = 1 - load.memory_free_bytes / load.memory_bytes if load.memory_bytes else 0.0
        self._history.append([float(self._world.clock.unix()), load.cpu, memory, *self._rates, gpu])

    async def now(self) -> MachineNow:
        """The last sample with its past; looking counts."""
        self.look()
        if self._load is None:
            await self._sample()
        load, hardware = self._load, self._world.hardware
        assert load is not None
        return MachineNow(
            cpu=load.cpu, cores=hardware.cores, memory_used=load.memory_bytes - load.memory_free_bytes, memory_bytes=load.memory_bytes,
            gpus=[
                GpuNow(name=one.model, load=one.load, memory_used=one.memory_bytes - one.memory_free_bytes,
                       memory_bytes=one.memory_bytes, temperature_c=one.temperature_c or None)
                for one in load.gpus
            ],
            temperature_c=load.temperature_c, net_in_bytes_s=self._rates[0], net_out_bytes_s=self._rates[1],
            disk_free_bytes=load.disk_free_bytes, sharing=self._share.on, slots=self._share.slots, slots_free=self._share.slots_free,
            lends=self._lends(), works_for=self._works_for(), earned_credits=self._earned(), history=list(self._history),
        )  # fmt: skip

    def _lends(self) -> Lends:
        settings, share = self._settings, self._share
        return Lends(
            cores=share.cores, memory_bytes=share.memory_bytes, gpus=len(self._world.hardware.gpus) if settings.gpus else 0,
            disk_bytes=settings.disk_bytes, work_for=settings.work_for,
        )  # fmt: skip

    def _works_for(self) -> list[WorksFor]:
        now, rows = self._world.clock.now(), []
        for job, engagement in self._worker.engagements.items():
            known = self._people.known.get(engagement.job.manifest.requester)
            own = engagement.job.manifest.requester == self._world.node
            rows.append(WorksFor(
                owner=self._world.owner if own else (known.owner or "") if known else "",
                name=self._people.name if own else known.name if known else "",
                job=show_job(job), blocks=engagement.blocks_running(), since_s=now - engagement.since,
            ))  # fmt: skip
        return rows

    def _earned(self) -> float:
        return sum(account.for_them.credits for account in self._credit.accounts().with_me.values())
