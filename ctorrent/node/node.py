"""The wiring diagram: ports below, rooms in the middle, the door on top.

    keys, journal, blobs ─┐                      ┌─ Requester ─ Coordination per job ─ dispatch, quorum, auction
    sandbox, hardware ────┼─▶ World ─▶ People ───┼─ Worker ─ Engagement per job
    network (3 ports) ────┘                      ├─ Seeder (blobs)   ├─ Scribe, Meetings (ledger)
                                                 └─ Gate (invites)   └─ Doorway ◀─ control socket
"""

from __future__ import annotations

import gc
import logging
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from ctorrent.canon import encode
from ctorrent.door import Plain
from ctorrent.errors import LocalError
from ctorrent.model.entry import EntryKind
from ctorrent.model.ids import NodeId, Ring, node_id, node_public, owner_id
from ctorrent.node import convictions, plain, records
from ctorrent.node.cells import Cells
from ctorrent.node.clock import MachineClock
from ctorrent.node.credit import Credit
from ctorrent.node.credit_words import CreditWords
from ctorrent.node.defence import Defence
from ctorrent.node.doorway import Doorway
from ctorrent.node.drain import Drain
from ctorrent.node.evidence import EvidenceStore
from ctorrent.node.gate import Gate, join_all, keep_joining
from ctorrent.node.installs import Installs
from ctorrent.node.kin import Kin
from ctorrent.node.live import Live
from ctorrent.node.meetings import Meetings
from ctorrent.node.mending import mend, remember
from ctorrent.node.nosandbox import NoSandbox
from ctorrent.node.people import People
from ctorrent.node.proofs import Notary
from ctorrent.node.renown import Renown
from ctorrent.node.requester import Requester
from ctorrent.node.rerun import Reruns
from ctorrent.node.retention import Retention
from ctorrent.node.scribe import Scribe
from ctorrent.node.seeder import Seeder
from ctorrent.node.selfrun import SelfRun
from ctorrent.node.settings import Settings, remember_owner
from ctorrent.node.share import Share
from ctorrent.node.signed import Signed
from ctorrent.node.witness import Witness
from ctorrent.node.worker import Worker
from ctorrent.node.world import World, gpu_class
from ctorrent.ports import Journal, Put, Sandbox
from ctorrent.wire import names

log = logging.getLogger(__name__)

VERSION = "0.1.0"
GC_OBJECTS = 20_000  # a unit of 4,096 blocks makes about as many; with the default 700 it would be walked thirty times
MEASURE_AFTER_S = 60.0  # a first start has better things to do, and a short-lived node never measures
SWITCH_S = 0.0002  # of the interpreter's lock: with the default 5 ms a thread beside a busy loop waits for seconds
RINGS_LOOK_S = 0.5  # how soon a new friend's announcements are heard
ADDRESSES_KEPT = 8  # per contact, for next time

AddEnvironment = Callable[[str, list[str]], Awaitable[Plain]]
Face = Callable[..., Awaitable[None]]  # called with the door, beside the control channel; started() gives what joins the status


class Node:
    """One node over given ports: the same code in a process and in a simulation."""

    def __init__(self, settings: Settings, world: World, add_environment: AddEnvironment) -> None:
        self.settings, self.world = settings, world
        self.stop = trio.Event()
        name = settings.name or f"node-{world.node[-6:]}"
        rng = random.Random(world.clock.random_bytes(16))
        self.people = People(world.journal, world.keys, world.clock, name, VERSION)
        self.seeder = Seeder(world.blobs, world.streams, world.directory, world.node)
        self.scribe = Scribe(world, self.people, self.people.rings(settings.friends_only))
        self.meetings = Meetings(world, self.people, self.scribe.book, lambda: self.scribe.rings)
        self.credit = Credit(settings, world, self.people, self.scribe)
        self.share = Share(settings, world, self.people, self.credit)
        self.installs = Installs(settings, world, self.people, self.seeder)
        self.cells = Cells(world, self.seeder)
        self.requester = Requester(
            settings, world, self.people, self.seeder, self.scribe, SelfRun(world, self.share, self.cells, self.installs), rng, self._hear_own,
            self.credit.bills,
        )
        self.evidence = EvidenceStore(world, self.requester.records.get, replica=self.requester.replica)
        self.scribe.back = self.evidence.back
        self.notary = Notary(world, self.scribe, self.requester.records.get)
        signed = Signed(world.journal, world.clock)
        self.witness = Witness(world, self.people, self.evidence, signed, self._signers, self.notary.pair)
        self.notary.ask = self.witness.ask
        self.defence = Defence(world, self.witness, self.notary, signed, Renown(world, self.scribe, self.notary))
        self.scribe.book.on(EntryKind.TALLY, self.witness.learn)
        convictions.connect(self.scribe.trust, self.notary, self.witness)
        self.scribe.book.on(EntryKind.TALLY, self.defence.learn)
        self.worker = Worker(
            world, self.people, self.seeder, self.cells, self.share, self.installs, self.requester.serve,
            settings.testing_lie, rng,
        )
        self.reruns = Reruns(world, self.people, self.cells, self.share, self.witness, self.notary, self._idle)
        self.live = Live(settings, world, self.people, self.scribe, self.requester, self.worker, self.share, self.credit)
        self.drain = Drain(self.worker, settings.drain_s)
        self.retention = Retention(
            settings, world, self.requester.records, self.installs.in_use, lambda: len(self.worker.engagements),
            lambda: bool(self.worker.owes()), self.requester.memory,
        )
        self.gate = Gate(world, self.people)
        self.door = Doorway(
            settings, world, self.people, self.gate, self.scribe, self.requester, self.share, add_environment, self.stop,
            self.drain, self.installs, self.retention, CreditWords(self.credit, self.people), self.defence, self.live,
        )
        self._subscribed: dict[Ring, trio.CancelScope] = {}
        self.kin = Kin(world, self.people, self.scribe, world.rotations)
        self.scribe.load()  # last: who learns from entries is told what the journal holds

    def _hear_own(self, message: bytes) -> None:
        """Gossip brings others' announcements; this node's own job reaches its own worker this way."""
        self.worker.hear(message)

    def _signers(self) -> Callable[[NodeId], float]:
        """How much a node's word about others weighs here, by now."""
        self.scribe.trust.look()
        return self.scribe.trust.reputation.signer

    def _idle(self) -> bool:
        """Is there nothing else for this machine to do?"""
        return not self.requester.open_count() and not any(one.running() for one in self.worker.engagements.values())

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop` is set."""
        world = self.world
        world.gossip.score(self.scribe.trust.gossip_score)
        world.streams.serve(names.SESSION, self.requester.serve)
        world.streams.serve(names.BLOB, self.seeder.serve)
        world.streams.serve(names.LEDGER, self.meetings.serve)
        world.streams.serve(names.JOIN, self.gate.serve)
        world.streams.serve(names.EVIDENCE, self.witness.serve)
        self.people.offer = plain.offer_fields(self.share.offer())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, nursery)
            nursery.start_soon(self._remember)
            nursery.start_soon(self.installs.run)
            nursery.start_soon(self.retention.run)
            nursery.start_soon(self.scribe.book.read_on)
            nursery.start_soon(self.scribe.run)
            nursery.start_soon(self.kin.run)
            nursery.start_soon(self.credit.run)
            nursery.start_soon(self.meetings.run)
            for part in (self.evidence, self.witness, self.notary, self.defence, self.reruns):
                nursery.start_soon(part.run)
            nursery.start_soon(self.worker.run)
            nursery.start_soon(self.live.run)
            nursery.start_soon(self._measure)
            nursery.start_soon(self.requester.run)
            nursery.start_soon(self.drain.run, self.stop)
            task_status.started(self)
            await self.stop.wait()
            nursery.cancel_scope.cancel()

    async def _measure(self) -> None:
        """Once, when nothing else is going on: a bid claims what was measured, or nothing."""
        while self.world.hardware.gflops == 0:
            await trio.sleep(MEASURE_AFTER_S)
            if self.share.on and not self.worker.engagements and not self.requester.open_count():
                self.world.hardware = await self.world.machine.benchmark()
                return

    # -- gossip -------------------------------------------------------------------------------------------------------

    async def _listen(self, nursery: trio.Nursery) -> None:
        """Be subscribed to the topics of every ring this node is in, as that changes."""
        while True:
            wanted = self.people.rings(self.settings.friends_only)
            self.scribe.rings = wanted
            for ring in wanted:
                if ring not in self._subscribed:
                    self._subscribed[ring] = trio.CancelScope()
                    nursery.start_soon(self._listen_to, ring, self._subscribed[ring])
            for ring in [ring for ring in self._subscribed if ring not in wanted]:
                self._subscribed.pop(ring).cancel()
            self.people.offer = plain.offer_fields(self.share.offer())
            await trio.sleep(RINGS_LOOK_S)

    async def _listen_to(self, ring: Ring, scope: trio.CancelScope) -> None:
        with scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._jobs_of, ring)
                await self._entries_of(ring)

    async def _jobs_of(self, ring: Ring) -> None:
        """Announcements, while this machine is lent."""
        while True:
            await self.live.sharing.until(True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear_jobs, ring)
                await self.live.sharing.until(False)
                nursery.cancel_scope.cancel()

    async def _hear_jobs(self, ring: Ring) -> None:
        topic = names.jobs_topic(ring)
        async for _, message in self.world.gossip.subscribe(topic, partial(self.worker.check, ring)):
            self.worker.hear(message)

    async def _entries_of(self, ring: Ring) -> None:
        topic = names.ledger_topic(ring)
        async for author, message in self.world.gossip.subscribe(topic, partial(self.scribe.check, ring)):
            await self.scribe.hear(author, message)

    async def _remember(self) -> None:
        """Keep where peers were, for the next start."""
        async for contact in self.world.directory.changes():
            if contact.connected and contact.addresses:
                record = encode([list(contact.addresses[:ADDRESSES_KEPT]), contact.how, self.world.clock.unix()])
                await self.world.journal.commit([Put("contact", node_public(contact.node), record)], durable=False)


# -- the real world -----------------------------------------------------------------------------------------------------


def run_node(
    settings: Settings, ready: Callable[[Plain], None] | None = None, alone: Callable[[Plain], None] | None = None, invited: bool = False,
    face: Face | None = None,
) -> None:  # fmt: skip
    """Run a node until it is told to stop (control channel, SIGINT, SIGTERM). Raises LocalError when it cannot start.

    alone, invited: whom to tell when nobody is known after a while, and whether with an invite (see node/alone.py).
    """
    sys.setswitchinterval(SWITCH_S)
    trio.run(_main, settings, ready, alone, invited, face)


async def _main(
    settings: Settings, ready: Callable[[Plain], None] | None, alone: Callable[[Plain], None] | None, invited: bool, face: Face | None
) -> None:  # fmt: skip
    from ctorrent.node.alone import say_if_alone
    from ctorrent.node.control import serve_control

    async with open_world(settings) as (world, add_environment):
        node = Node(settings, world, add_environment)
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run)
            nursery.start_soon(_on_signal, node.stop)
            gc.collect()
            gc.freeze()  # what was imported stays for ever: no collection need walk its 400,000 objects again
            gc.set_threshold(GC_OBJECTS)
            await nursery.start(serve_control, node.door, settings.data_dir / "control.sock")
            served: Plain = {} if face is None else await nursery.start(face, node.door)
            failed = await join_all(node.gate, settings.join)
            status = await node.door.status() | served
            status["join_failed"] = [f"{address[:40]}…: {why}" for address, why in failed.items()]
            status["notes"] = [*world.notes, *_notes(settings, status["addresses"])]
            nursery.start_soon(keep_joining, node.gate, list(failed))
            if ready is not None:
                ready(status)
            if alone is not None:
                nursery.start_soon(say_if_alone, node, alone, invited)
            await node.stop.wait()
            nursery.cancel_scope.cancel()


def _notes(settings: Settings, addresses: Sequence[str]) -> list[str]:
    """What a person should know of a start that went otherwise than by default."""
    taken = settings.port and not any(":" in entry or "/" in entry for entry in settings.listen)
    ports = sorted({address.split("/tcp/")[1].split("/")[0] for address in addresses if "/tcp/" in address})
    if taken and ports and str(settings.port) not in ports:
        return [f"Port {settings.port} is taken here: this node listens on {', '.join(ports)}."]
    return []


async def _on_signal(stop: trio.Event) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            stop.set()
            return


@asynccontextmanager
async def open_world(settings: Settings) -> AsyncIterator[tuple[World, AddEnvironment]]:
    """Open every real port, in the order in which each needs the others; close them the other way round."""
    from ctorrent.hardware.machine import Machine
    from ctorrent.net.network import open_network
    from ctorrent.sandbox.install import PipPackages
    from ctorrent.sandbox.limits import SandboxRules
    from ctorrent.store.blobs import open_blobs
    from ctorrent.store.journal import open_journal
    from ctorrent.store.keys import load_or_create, rotations

    keys = load_or_create(settings.data_dir, settings.owner_dir)
    remember_owner(settings)
    rotated = tuple(rotations(settings.owner_dir, keys.owner.public))
    journal = await open_journal(settings.data_dir / "journal.sqlite", repair=True)
    try:
        mended = [] if journal.loss is None else await mend(journal, journal.loss)
        for note in mended:
            log.warning(note)
        notes = remember(settings.data_dir, mended)
        blobs = await open_blobs(settings.data_dir / "blobs")
        machine = Machine(settings.data_dir)
        hardware = await machine.probe()
        packages = PipPackages(settings.data_dir, SandboxRules())
        sandbox, add_environment = await _open_sandbox(settings, gpu_class(hardware))
        try:
            async with open_network(keys.node.secret(), _net_rules(settings, journal)) as network:
                yield World(
                    node_id(keys.node.public), owner_id(keys.owner.public), network.streams, network.directory,
                    network.gossip, blobs, journal, sandbox, machine, keys, MachineClock(), hardware, packages, rotated, notes,
                ), add_environment  # fmt: skip
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(10):
                await sandbox.aclose()
    finally:
        with trio.CancelScope(shield=True):
            await journal.aclose()


def _net_rules(settings: Settings, journal: Journal) -> Any:
    from ctorrent.net.rules import NetRules

    known = []
    for key, value in journal.scan("contact"):
        addresses, _, _ = records.load(value)
        known.append((NodeId(node_id(key)), tuple(addresses)))
    return NetRules(
        listen=settings.listen, port=settings.port, lan_only=settings.lan_only, mdns=settings.mdns, dht=settings.dht,
        known=tuple(known), agent=f"ctorrent/{VERSION}",
    )  # fmt: skip


async def _open_sandbox(settings: Settings, gpus: str) -> tuple[Sandbox, AddEnvironment]:
    from ctorrent.sandbox.choose import open_sandbox
    from ctorrent.sandbox.environment import Environments
    from ctorrent.sandbox.limits import SandboxRules

    rules = SandboxRules(runtime=settings.runtime, programs=settings.programs)
    _share_environments(settings)
    environments = Environments(settings.data_dir, rules, gpu_class=gpus)

    async def add(name: str, packages: list[str]) -> Plain:
        return plain.environment(await environments.add(name, packages))

    try:
        return await open_sandbox(settings.data_dir, rules, settings.isolation, gpus), add
    except LocalError as error:
        if settings.isolation != "auto":
            raise
        log.warning("nothing can be run here: %s", error)
        return NoSandbox(error.message), add


def _share_environments(settings: Settings) -> None:
    """Let nodes of one person on one machine use one folder of environments."""
    link = settings.data_dir / "environments"
    if settings.environments_dir is None or link.exists():
        return
    settings.environments_dir.mkdir(parents=True, exist_ok=True)
    link.symlink_to(settings.environments_dir, target_is_directory=True)
