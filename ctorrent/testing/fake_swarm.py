"""Whole nodes, the real code of node/, on fake ports: what a simulation of the swarm is made of.

    async with open_swarm(simulation, weather) as swarm:
        alice = await swarm.add("alice")
        bob = await swarm.add("bob", behaviour=Behaviour(lie=0.2))
        await swarm.befriend(alice, bob)
        swarm.net.mesh()
        job = await alice.node.door.submit(path, text, {})
        await swarm.crash(bob); await swarm.start(bob)          power lost, and back again with what was synced
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from ctorrent.door import Plain
from ctorrent.errors import JournalError, LocalError
from ctorrent.model.ids import NodeId, OwnerId
from ctorrent.model.offer import Hardware
from ctorrent.node.node import Node
from ctorrent.node.settings import Settings
from ctorrent.node.world import World
from ctorrent.testing.fake_blobs import FakeBlobs
from ctorrent.testing.fake_clock import FakeClock
from ctorrent.testing.fake_hardware import FakeHardware, machine
from ctorrent.testing.fake_journal import FakeJournal
from ctorrent.testing.fake_keys import FakeKeys, keys
from ctorrent.testing.fake_net import FakeHost, FakeNet, open_net
from ctorrent.testing.fake_sandbox import HONEST, Behaviour, FakeSandbox
from ctorrent.testing.simulate import Simulation
from ctorrent.testing.weather import CALM, Weather


@dataclass(slots=True)
class Member:
    """One machine with its disk; `node` and `host` are of its present life."""

    name: str
    keys: FakeKeys
    settings: Settings
    sandbox: FakeSandbox
    hardware: FakeHardware
    clock: FakeClock
    journal: FakeJournal = field(default_factory=FakeJournal)
    blobs: FakeBlobs = field(default_factory=FakeBlobs)
    alive: bool = False
    gone: trio.Event = field(default_factory=trio.Event)  # its tasks have ended
    _node: Node | None = None
    _host: FakeHost | None = None

    @property
    def id(self) -> NodeId:
        return self.keys.node_id

    @property
    def owner(self) -> OwnerId:
        return self.keys.owner_id

    @property
    def node(self) -> Node:
        assert self._node is not None, f"{self.name} was never started"
        return self._node

    @property
    def host(self) -> FakeHost:
        assert self._host is not None, f"{self.name} was never started"
        return self._host


class FakeSwarm:
    """Use open_swarm()."""

    def __init__(self, simulation: Simulation, net: FakeNet, nursery: trio.Nursery) -> None:
        self.simulation, self.net = simulation, net
        self.members: dict[str, Member] = {}
        self._nursery = nursery

    async def add(
        self, name: str, owner: str = "", *, behaviour: Behaviour = HONEST, hardware: Hardware | None = None,
        sandbox: FakeSandbox | None = None, **settings: Any,
    ) -> Member:  # fmt: skip
        """Make a machine and start its node. settings: fields of node.settings.Settings; it works for strangers too."""
        chosen: dict[str, Any] = {"name": name, "testing": True, "work_for": "all", "gpus": True} | settings
        member = Member(
            name=name,
            keys=keys(name, owner),
            settings=Settings(data_dir=Path("/nowhere") / name, **chosen),
            sandbox=sandbox or FakeSandbox(self.simulation.dice(f"{name} sandbox"), behaviour=behaviour),
            hardware=FakeHardware(hardware or machine()),
            clock=FakeClock(self.simulation.dice(f"{name} clock")),
        )
        self.members[name] = member
        await self.start(member)
        return member

    async def start(self, member: Member) -> None:
        """A life of the node: it knows what its journal and its blobs hold. It must be connected again."""
        member.journal.reopen()
        member._host = await self._nursery.start(self._housed, member)
        host, hardware = member.host, member.hardware
        world = World(
            member.id, member.owner, host.streams, host.directory, host.gossip, member.blobs, member.journal,
            member.sandbox, hardware, member.keys, member.clock, await hardware.probe(),
        )  # fmt: skip
        member._node = Node(member.settings, world, _no_environments)
        await host.nursery.start(member._node.run)
        await trio.sleep(0.001)  # its tasks take their first steps: open jobs are read from the journal
        member.alive = True

    async def _housed(self, member: Member, task_status: Any) -> None:
        member.gone = trio.Event()
        try:
            async with trio.open_nursery() as nursery:
                task_status.started(self.net.host(member.keys.node, nursery))
                await trio.sleep_forever()
        except* JournalError:
            if member.alive:
                raise  # else a task that could not be cancelled met the end of its disk
        finally:
            member.gone.set()

    async def crash(self, member: Member, survivors: int = 0) -> None:
        """Power is lost: what was not synced is gone, but for the first `survivors` commits."""
        member.alive = False
        member.journal.crash(survivors)
        member.blobs.crash()
        member.journal.failure = "power was lost"  # Python runs the dying tasks' last lines; a machine would not
        self.net.crash(member.id)
        await member.gone.wait()
        member.journal.failure = ""
        member.blobs.crash()

    async def befriend(self, one: Member, other: Member) -> None:
        """Each names the other's owner a friend."""
        await one.node.people.befriend(other.owner, other.name)
        await other.node.people.befriend(one.owner, one.name)


@asynccontextmanager
async def open_swarm(simulation: Simulation, weather: Weather = CALM) -> AsyncIterator[FakeSwarm]:
    """A network and the nodes on it, until the block ends."""
    async with open_net(simulation.dice("net"), weather) as net, trio.open_nursery() as nursery:
        yield FakeSwarm(simulation, net, nursery)
        nursery.cancel_scope.cancel()


async def ended(requester: Member, job: str) -> Plain:
    """Wait for a job's end; its last status. A job that never ends is for the simulation's own limit."""
    status: Plain = {}
    async for latest in requester.node.door.watch(job):
        status = latest
    return status


async def _no_environments(name: str, packages: list[str]) -> Plain:
    raise LocalError("a simulated machine has the environments it was given")
