"""What this node shares: whether a job fits here, for whom at which isolation, and slots that are never oversold.

Cores and memory are lent unit by unit, so that several jobs take turns; GPUs go to a job whole, by device, until it ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import trio

from ctorrent.market.capacity import Allotment, Capacity
from ctorrent.market.fit import Ask, Machine, fits, programs_of
from ctorrent.market.price import Prices, price_for
from ctorrent.model.entry import job_tag
from ctorrent.model.identity import PeerIdentity
from ctorrent.model.ids import JobId, OwnerId
from ctorrent.model.job import Isolation, Manifest, Needs, ProgramKind, SignedManifest
from ctorrent.model.offer import EnvironmentInfo, Offer
from ctorrent.model.trade import GPU_CORES, No, NoReason
from ctorrent.node.credit import Credit
from ctorrent.node.earnings import Rate
from ctorrent.node.people import People
from ctorrent.node.sandboxtimes import SandboxTimes
from ctorrent.node.settings import Settings, cores_lent
from ctorrent.node.world import World

_FOR = {"me": "owner", "friends": "owner's friends", "swarm": "owner's swarms", "all": "owner's friends"}
JOBS_MAX = 16  # cells kept warm at once: a bare one is ~15 MB, one with numpy ~40 MB


@dataclass(slots=True, eq=False)
class _Waiter:
    """A unit that waits for cores."""

    needs: Needs
    waits: bool
    turn: trio.Event
    held: Allotment | None = None


class Share:
    """This node's side of the market: fit, capacity, price."""

    def __init__(self, settings: Settings, world: World, people: People, credit: Credit) -> None:
        self._settings, self._world, self._people, self.credit = settings, world, people, credit
        hardware = world.hardware
        self.on = settings.work  # node/sharing.py changes it while the node runs
        memory = settings.memory_bytes or hardware.memory_bytes // 2
        self._capacity = Capacity(cores_lent(settings, hardware.cores), memory, hardware.gpus)
        friends = settings.price_friends
        self._prices = Prices(settings.price, friends, settings.price_gpu, friends * GPU_CORES)
        self._jobs: dict[JobId, Allotment | None] = {}
        self._waiting: list[_Waiter] = []
        self.ran = SandboxTimes()

    @property
    def slots(self) -> int:
        """Cores that are lent; none while the machine is not shared."""
        return self._capacity.cores if self.on else 0

    @property
    def slots_free(self) -> int:
        return self._capacity.cores_free if self.on else 0

    @property
    def cores(self) -> int:
        """What is lent, or would be."""
        return self._capacity.cores

    @property
    def memory_bytes(self) -> int:
        """What is lent, or would be."""
        return self._capacity.memory_bytes

    @property
    def gpus_free(self) -> tuple[str, ...]:
        """Uuids of devices that no job holds."""
        return self._capacity.gpus_free

    @property
    def waiting(self) -> int:
        """Units that wait for cores."""
        return sum(one.held is None for one in self._waiting)

    @property
    def speed_gflops(self) -> float:
        """Claimed, per core; 0 until it was measured."""
        return self._world.hardware.gflops / max(1, self._world.hardware.cores)

    @property
    def tflops(self) -> float:
        """Of the fastest GPU here, float32; 0 until it was measured."""
        return max((gpu.tflops for gpu in self._world.hardware.gpus), default=0.0)

    def offer(self) -> Offer:
        """What the node puts on the market now."""
        capacity, world = self._capacity, self._world
        return Offer(
            node=world.node, slots=self.slots, slots_free=self.slots_free, memory_bytes=capacity.memory_bytes,
            gpus_free=len(capacity.gpus_free) if self._settings.gpus else 0, isolation=world.sandbox.level, price=self._settings.price,
            speed_gflops=self.speed_gflops, hardware=world.hardware, disk_bytes=self._settings.disk_bytes if self.on else 0,
            gpu_price=self._settings.price_gpu, lent_gpus=world.hardware.gpus if self._settings.gpus and self.on else (),
            work_for=self._settings.work_for, environments=tuple(world.sandbox.environments()),
        )  # fmt: skip

    # -- fit ----------------------------------------------------------------------------------------------------------

    def judge(self, manifest: Manifest, requester: PeerIdentity) -> EnvironmentInfo | tuple[No, ...]:
        """The environment this job would run in here, or every reason why it does not."""
        own = requester.node == self._world.node
        if not own and not self._people.serves(manifest.ring, requester.owner):
            return (No(NoReason.RING),)
        if not own and not self._works_for(requester):
            return (No(NoReason.RING, f"it works for its {_FOR[self._settings.work_for]} only"),)
        if not self.on:
            return (No(NoReason.ABSTAINS),)
        if len(self._jobs) >= JOBS_MAX:
            return (No(NoReason.BUSY, f"{JOBS_MAX} jobs"),)
        if owes := self.credit.refuses(requester, self.price_for(requester.owner, manifest.needs.gpu > 0)):
            return (owes,)
        return fits(_ask(manifest), self._machine(manifest, requester.owner, own))

    def _works_for(self, requester: PeerIdentity) -> bool:
        """The owner's word on whose jobs run here at all, whatever ring they were announced to."""
        mine = requester.owner is not None and requester.owner == self._world.owner
        if mine or self._settings.work_for == "me":
            return mine
        if self._people.is_friend(requester.owner):
            return True
        if self._settings.friends_only or self._settings.work_for == "friends":
            return False
        return self._settings.work_for == "all" or any(root in self._people.swarms for root in requester.swarms)

    def environment_for(self, manifest: Manifest) -> EnvironmentInfo | tuple[No, ...]:
        """The same for a job of this node's own, whether it shares or not: for checks and reducers."""
        return fits(_ask(manifest), self._machine(manifest, self._world.owner, True))

    def _machine(self, manifest: Manifest, owner: OwnerId | None, own: bool) -> Machine:
        capacity, sandbox, hardware = self._capacity, self._world.sandbox, self._world.hardware
        friend = own or self._people.is_friend(owner)
        cores = hardware.cores if own and not self.on else capacity.cores
        trusted = friend or self._settings.strangers_in_jail
        lent = self._settings.gpus or own or owner == self._world.owner
        environments = sandbox.environments()
        if not friend:  # what else this machine has is no stranger's business
            environments = tuple(replace(info, withheld=frozenset()) for info in environments)
        elif (own or owner == self._world.owner) and sandbox.level is Isolation.JAIL:  # one's own jobs may run all of it
            wanted = _ask(manifest).environment.programs
            environments = tuple(replace(i, programs=(*i.programs, *i.withheld.intersection(wanted))) for i in environments)
        return Machine(
            rings=(manifest.ring,), environments=environments, isolation=sandbox.level, cores=cores,
            cores_free=cores, memory_bytes=capacity.memory_bytes, memory_free_bytes=capacity.memory_bytes,
            gpus=hardware.gpus if lent else (), gpus_free=capacity.gpus_free if lent else (), commands=sandbox.commands(),
            price=self.price_for(owner, manifest.needs.gpu > 0),
            isolation_floor=Isolation.JAIL if trusted else Isolation.PODMAN,
        )  # fmt: skip

    def price_for(self, owner: OwnerId | None, gpu: bool = False) -> float:
        """Credits per reference core-hour for this requester; gpu: for a job that holds GPUs."""
        return price_for(self._prices, self._people.is_friend(owner), gpu)

    def rate(self, job: SignedManifest, requester: PeerIdentity, secret: bytes) -> Rate:
        """What is asked for a job, and what is remembered of it for its bills."""
        price = self.price_for(requester.owner, job.manifest.needs.gpu > 0)
        person, tag = self.credit.person_of(requester), job_tag(job.id, secret)
        return Rate(person, requester.owner or OwnerId(""), tag, price, self.speed_gflops, self.tflops)

    # -- capacity -----------------------------------------------------------------------------------------------------

    def slots_for(self, needs: Needs) -> int:
        """Slots a bid may name: as many as this machine could run at once."""
        if needs.gpu:
            return max(1, self._capacity.slots_for(needs))
        by_memory = self._capacity.memory_bytes // max(1, needs.memory_bytes)
        return max(1, min(self._capacity.cores // max(1, needs.cpu), by_memory))

    def take(self, job: JobId, needs: Needs, slots: int) -> tuple[str, ...] | None:
        """A place for a job's cell, with its GPUs; None when there is none left."""
        if len(self._jobs) >= JOBS_MAX or job in self._jobs:
            return None
        if not needs.gpu:
            self._jobs[job] = None
            return ()
        taken = self._capacity.take(needs, slots)
        if isinstance(taken, No):
            return None
        self._jobs[job] = taken
        return taken.gpus

    def release(self, job: JobId) -> None:
        """The job's cell is gone."""
        held = self._jobs.pop(job, None)
        if held is not None:
            self._capacity.release(held)

    @asynccontextmanager
    async def unit(self, needs: Needs, waits: bool = False) -> AsyncIterator[None]:
        """Wait for cores and memory of one unit, and hold them while it runs. A GPU job holds its own already.

        waits: after everybody whose turn does not (node/credit.py says whose does).
        """
        if needs.gpu:
            yield
            return
        held = await self._turn(needs, waits)
        try:
            yield
        finally:
            self._capacity.release(held)
            self._wake()

    async def _turn(self, needs: Needs, waits: bool) -> Allotment:
        """First come, first served, among those that wait alike; what is too large for what is free lets others pass."""
        mine = _Waiter(needs, waits, trio.Event())
        self._waiting.append(mine)
        try:
            self._wake()
            await mine.turn.wait()
            assert mine.held is not None
            return mine.held
        except BaseException:  # cancelled: what it was given meanwhile is free again
            if mine.held is not None:
                self._capacity.release(mine.held)
            raise
        finally:
            self._waiting = [one for one in self._waiting if one is not mine]
            self._wake()

    def _wake(self) -> None:
        """Give what is free to those that wait."""
        for one in sorted(self._waiting, key=lambda one: one.waits):
            if one.held is None and not isinstance(held := self._capacity.take(one.needs), No):
                one.held = held
                one.turn.set()


def _ask(manifest: Manifest) -> Ask:
    command = manifest.program.kind is ProgramKind.COMMAND
    environment = replace(manifest.environment, programs=programs_of(manifest.program.argv, manifest.environment))
    return Ask(manifest.ring, manifest.needs, environment, manifest.price_max, command, manifest.lock)
