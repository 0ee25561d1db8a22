"""Peers that speak our protocols by hand and lie, and the real nodes they speak to.

    async with besieged() as siege:                 a node (the victim) and an honest friend, on loopback, in the jail
        eve = await siege.enter("eve")              a libp2p peer with keys of its own, connected to the victim
        talk = await eve.talk(siege.victim)         a session channel, introductions exchanged
        await talk.say(Interest(job, 1)); describe = await talk.hear(Describe)
    on the way out the victim still runs a job with the friend
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import trio

from ctorrent.canon import encode
from ctorrent.errors import Unavailable
from ctorrent.model.block import Block, InputRef, block_digest
from ctorrent.model.identity import Certificate
from ctorrent.model.ids import Digest, JobId, NodeId, OwnerId, Ring, RingKind, node_id, owner_id
from ctorrent.model.job import Manifest, Program, ProgramKind, SignedManifest
from ctorrent.model.result import Committed, Result, Usage, commitment, output_digest
from ctorrent.model.session import (
    Acknowledged,
    Assign,
    BlobHead,
    BlobRequest,
    Describe,
    Engaged,
    Interest,
    Introduction,
    Message,
    Offered,
    Output,
    Returned,
)
from ctorrent.model.trade import Announcement, Assignment, Bid
from ctorrent.net import Network, open_network
from ctorrent.node.node import Node, open_world
from ctorrent.node.settings import Settings
from ctorrent.ports import Channel
from ctorrent.seal import Sealed, Signer, digest
from ctorrent.wire import codec, names
from tests.net.nodes import LOOPBACK, rss_bytes

MIB = 1 << 20
QUIET = replace(LOOPBACK, directory=replace(LOOPBACK.directory, redial_s=3600.0))
PROGRAM = "import time\ndef work(index):\n    time.sleep({pause})\n    return index * index\n"
JOB = "python: work.py:work\nblocks: {{count: {blocks}}}\nreduce: sum\nring: {ring}\nlimits: {{seconds: {seconds}}}\n"
M = TypeVar("M")


def run(test: Callable[[], Any], limit_s: float = 300.0, grows_bytes: int = 200 * MIB) -> None:
    """Run an async test with an end that only what hangs comes to, and with an eye on this process's memory."""

    async def limited() -> None:
        with trio.fail_after(limit_s):
            await test()

    before = rss_bytes()
    trio.run(limited)
    assert rss_bytes() - before < grows_bytes


async def until(condition: Callable[[], Any], limit_s: float = 45.0) -> None:
    """Wait for a stated condition."""
    with trio.fail_after(limit_s):
        while not condition():  # noqa: ASYNC110  what is looked at has no event
            await trio.sleep(0.02)


# what is attacked --------------------------------------------------------------------------------------------------------


@dataclass
class Siege:
    """The victim, an honest friend, and whoever enters."""

    victim: Node
    friend: Node
    folder: Path
    _stack: AsyncExitStack
    lost: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.victim.world.directory.addresses()[0]

    async def enter(self, *, owner: Signer | None = None, friend: bool = False) -> Eve:
        """One more hostile peer. friend: its owner was named a friend by the victim before it turned."""
        eve = await self._stack.enter_async_context(hostile(owner))
        if friend:
            await self.victim.people.befriend(eve.owner_id, "eve")
        await eve.network.directory.connect(self.address)
        await until(lambda: connected(self.victim, eve.id))
        return eve

    def points(self, eve: Eve) -> float:
        """What the victim charged it; 1000 when it is banned."""
        points, banned, _ = self.victim.world.directory.standing(eve.id)  # type: ignore[attr-defined]
        return 1000.0 if banned else round(points, 1)

    def why(self, eve: Eve) -> str:
        return str(self.victim.world.directory.standing(eve.id)[2])  # type: ignore[attr-defined]

    async def submit(
        self, blocks: int = 6, ring: str = "public", seconds: float = 30.0, pause: float = 0.0
    ) -> tuple[str, SignedManifest]:
        """A job of the victim's. -> its name, its manifest."""
        path = self.folder / "job.yaml"
        (self.folder / "work.py").write_text(PROGRAM.format(pause=pause))
        path.write_text(JOB.format(blocks=blocks, ring=ring, seconds=seconds))
        name = await self.victim.door.submit(str(path), path.read_text(), {})
        await until(lambda: self.victim.requester.find(name).id in self.victim.requester._open)
        return name, self.victim.requester.find(name).job

    async def ended(self, name: str, limit_s: float = 150.0) -> dict[str, Any]:
        with trio.fail_after(limit_s):
            while (status := await self.victim.door.job(name))["state"] in ("waiting", "running"):  # noqa: ASYNC110
                await trio.sleep(0.05)
        return status

    async def serves(self) -> None:
        """The victim is as good as new: a job of its own runs here and with its friend, and is right."""
        name, _ = await self.submit(4, "friends")
        status = await self.ended(name)
        assert status["state"] == "settled", (status, await self.victim.door.why(name))
        answer = await self.victim.door.answer(name)
        assert answer["ready"] and answer["value"] == encode(0 + 1 + 4 + 9)


def connected(node: Node, peer: NodeId) -> bool:
    contact = node.world.directory.contact(peer)
    return contact is not None and contact.connected


@asynccontextmanager
async def besieged(serves: bool = True, **settings: Any) -> AsyncIterator[Siege]:
    """settings: of the victim."""
    with tempfile.TemporaryDirectory(prefix="ctsiege-") as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            victim = await stack.enter_async_context(standing(folder / "victim", **settings))
            friend = await stack.enter_async_context(standing(folder / "friend"))
            await victim.people.befriend(friend.world.owner, "friend")
            await friend.people.befriend(victim.world.owner, "victim")
            await friend.world.directory.connect(victim.world.directory.addresses()[0])
            siege = Siege(victim, friend, folder, stack)
            yield siege
            if serves:
                await siege.serves()


@asynccontextmanager
async def standing(folder: Path, **settings: Any) -> AsyncIterator[Node]:
    """A real node in this process, until the block ends."""
    chosen: dict[str, Any] = {
        "listen": ("127.0.0.1",), "port": 0, "mdns": False, "dht": False, "isolation": "jail", "slots": 2,
        "name": folder.name, "testing": True, "work_for": "all",
    }  # fmt: skip
    made = Settings(data_dir=folder / "data", owner_dir=folder / "owner", **(chosen | settings))
    await trio.Path(made.data_dir).mkdir(mode=0o700, parents=True)
    async with open_world(made) as (world, add), trio.open_nursery() as nursery:
        node = Node(made, world, add)
        await nursery.start(node.run)
        yield node
        assert not node.stop.is_set(), "the node ended by itself"
        nursery.cancel_scope.cancel()


# who attacks -------------------------------------------------------------------------------------------------------------


@dataclass
class Eve:
    """A peer of the network with keys of its own and no honesty."""

    network: Network
    keys: Signer
    owner: Signer

    @property
    def id(self) -> NodeId:
        return node_id(self.keys.public)

    @property
    def owner_id(self) -> OwnerId:
        return owner_id(self.owner.public)

    def certificate(self, issued: int = 1_700_000_000, valid_s: int = 0, node: NodeId | None = None) -> Sealed:
        return codec.seal_certificate(Certificate(self.owner_id, node or self.id, issued, valid_s, "eve"), self.owner)

    def introduction(self, **changes: Any) -> Introduction:
        return replace(Introduction(self.certificate(), (), "eve", "0.1.0"), **changes)

    async def talk(
        self, victim: Node, protocol: str = names.SESSION, introduction: Introduction | None = None, silent: bool = False
    ) -> Talk:
        """Open a channel; introduce oneself unless `silent`."""
        talk = Talk(self, await self.network.streams.open(victim.world.node, protocol))
        if not silent:
            await talk.say(introduction or self.introduction())
            await talk.hear(Introduction)
        return talk

    def bid(self, describe: Describe, **changes: Any) -> Offered:
        job = codec.open_manifest(describe.manifest)
        head = codec.amendment_id(describe.amendments[-1]) if describe.amendments else Digest(bytes(job.id))
        honest = Bid(
            job=job.id, worker=self.id, session_nonce=describe.nonce, slots=2, credit=6, fingerprint=Digest(bytes(32)),
            isolation=1, hardware_class="x86_64", speed_gflops=5.0, price=0.0, amendment_head=head,
        )  # fmt: skip
        return Offered(codec.seal_bid(replace(honest, **changes), self.keys))

    def result(
        self, assigned: Assign, values: Sequence[bytes], *, salt: bytes = b"\1", assignment: Digest | None = None
    ) -> Returned:
        """A well-formed result: `values` are whole outputs, of each block in order."""
        opened, _ = codec.open_assignment(assigned.assignment)
        name = assignment or codec.assignment_id(assigned.assignment)
        nonces = [salt * 16 for _ in values]
        lines = tuple(
            Committed(block, commitment(name, block, self.id, nonce, output_digest(value)))
            for block, nonce, value in zip(opened.blocks, nonces, values, strict=True)
        )
        sealed = codec.seal_result(Result(name, self.id, Digest(bytes(32)), lines, "x86_64"), self.keys)
        outputs = tuple(Output(n, v, None, len(v), Usage(wall_s=0.01), None) for n, v in zip(nonces, values, strict=True))
        return Returned(sealed, outputs)


@dataclass
class Talk:
    """One channel of Eve's."""

    eve: Eve
    channel: Channel

    async def say(self, message: Message) -> None:
        await self.channel.send(codec.encode_message(message))

    async def hear(self, kind: type[M], limit_s: float = 60.0) -> M:
        """The next message of a kind; others are skipped. Raises Unavailable when the victim hung up."""
        with trio.fail_after(limit_s):
            while True:
                message = codec.decode_message(await self.channel.receive())
                if isinstance(message, kind):
                    return message

    async def ended(self, limit_s: float = 45.0) -> None:
        """Wait until the victim hangs up; what it still says is read."""
        try:
            with trio.fail_after(limit_s):
                while True:
                    await self.channel.receive()
        except Unavailable:
            pass

    async def flood(self, message: Message, count: int) -> int:
        """Say it often, reading nothing. -> how often, before the victim hung up or stopped reading."""
        frame = codec.encode_message(message)
        for sent in range(count):
            try:
                with trio.move_on_after(10) as scope:
                    await self.channel.send(frame)
            except Unavailable:
                return sent
            if scope.cancelled_caught:
                return sent
        return count

    async def engaged(self, job: JobId, **bid: Any) -> Describe:
        """Ask, bid, and be taken."""
        await self.say(Interest(job, 1))
        describe = await self.hear(Describe)
        await self.say(self.eve.bid(describe, **bid))
        await self.hear(Engaged)
        return describe

    async def assigned(self) -> tuple[Assign, Assignment]:
        message = await self.hear(Assign)
        return message, codec.open_assignment(message.assignment)[0]

    async def acknowledged(self) -> Digest:
        return (await self.hear(Acknowledged)).assignment


def right(assigned: Assign) -> list[bytes]:
    """The answers an honest worker would give."""
    return [b"\0" + encode(block.index * block.index) for block in assigned.blocks]


@asynccontextmanager
async def hostile(owner: Signer | None = None) -> AsyncIterator[Eve]:
    secret = os.urandom(32)
    async with open_network(secret, QUIET) as network:
        yield Eve(network, Signer(secret), owner or Signer(os.urandom(32)))


# a requester that lies ---------------------------------------------------------------------------------------------------


@dataclass
class Lure:
    """Eve as a requester: whoever dials her is a Talk in `caught`; she serves `blobs`, as slowly as she likes."""

    eve: Eve
    victim: Node
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    crumb: int = MIB // 2
    pause_s: float = 0.0
    dials: int = 0
    cut_after: int = 0  # bytes of the next answer, after which its channel is torn down once; 0: never
    requests: list[tuple[bytes, int]] = field(default_factory=list)  # blob and offset of each

    def __post_init__(self) -> None:
        self._send, self._caught = trio.open_memory_channel[Talk](1000)
        self.over = trio.Event()
        self.eve.network.streams.serve(names.SESSION, self._session)
        self.eve.network.streams.serve(names.BLOB, self._blob)

    async def _session(self, channel: Channel) -> None:
        self.dials += 1
        talk = Talk(self.eve, channel)
        await talk.say(self.eve.introduction())
        await talk.hear(Introduction)
        self._send.send_nowait(talk)
        await self.over.wait()

    async def _blob(self, channel: Channel) -> None:
        while True:
            request = codec.decode_message(await channel.receive())
            assert isinstance(request, BlobRequest)
            self.requests.append((request.blob, request.offset))
            data = self.blobs.get(request.blob)
            await channel.send(codec.encode_message(BlobHead(-1 if data is None else len(data))))
            for at in range(request.offset, len(data or b""), self.crumb):
                await channel.send((data or b"")[at : at + self.crumb])
                if 0 < self.cut_after <= at + self.crumb:
                    self.cut_after = 0
                    await channel.aclose()
                    return
                await trio.sleep(self.pause_s)

    def code(self, bundle: bytes) -> Digest:
        blob = Digest(digest("ctorrent/blob/1", bundle))
        self.blobs[blob] = bundle
        return blob

    def job(self, bundle: bytes | None = None, **changes: Any) -> SignedManifest:
        """A signed manifest; public, unless told otherwise."""
        code = self.code(encode({"work.py": PROGRAM.format(pause=0).encode()}) if bundle is None else bundle)
        manifest = Manifest(
            requester=self.eve.id, nonce=os.urandom(16), ring=Ring(RingKind.PUBLIC),
            program=Program(ProgramKind.PYTHON, code, "work.py:work", (), "sum"), seed=1,
            draw_hash=Digest(bytes(32)), issued_unix_s=self.victim.world.clock.unix(), valid_s=86400, name="bait",
        )  # fmt: skip
        sealed = codec.seal_manifest(replace(manifest, **changes), self.eve.keys)
        return codec.open_manifest(sealed)

    def laden(self, files: Mapping[str, Any], files_bytes: int, **changes: Any) -> SignedManifest:
        """A job with these files beside its program, of which the manifest says so many bytes."""
        plain = self.job(encode({"work.py": PROGRAM.format(pause=0).encode(), **files}))
        return self.job(program=replace(plain.manifest.program, files_bytes=files_bytes), **changes)

    def announcement(self, signed: SignedManifest, signer: Signer | None = None, **changes: Any) -> bytes:
        manifest = signed.manifest
        honest = Announcement(
            job=signed.id, requester=self.eve.id, round=1, ring=manifest.ring, needs=manifest.needs,
            environment=manifest.environment, bids_wanted=8, ttl_s=2.0, price_max=0.0,
            peer_record=self.eve.network.directory.self_record(),
        )  # fmt: skip
        return codec.encode_sealed(codec.seal_announcement(replace(honest, **changes), signer or self.eve.keys))

    def hears(self, message: bytes, ring: Ring = Ring(RingKind.PUBLIC), author: NodeId | None = None) -> bool:  # noqa: B008
        """Gossip's part, done by hand: the check, and the delivery when it holds."""
        if not self.victim.worker.check(ring, author or self.eve.id, message):
            return False
        self.victim.worker.hear(message)
        return True

    async def caught(self) -> Talk:
        with trio.fail_after(45):
            return await self._caught.receive()

    async def asked(self, job: SignedManifest) -> Talk:
        """Announce, and be dialled and asked."""
        assert self.hears(self.announcement(job))
        talk = await self.caught()
        assert (await talk.hear(Interest)).job == job.id
        return talk

    def describe(self, job: SignedManifest, **changes: Any) -> Describe:
        return replace(Describe(job.id, os.urandom(16), job.sealed, (), os.urandom(32)), **changes)

    async def engaged(self, job: SignedManifest) -> Talk:
        """As far as an honest requester gets before it assigns."""
        talk = await self.asked(job)
        await talk.say(self.describe(job))
        await talk.hear(Offered)
        await talk.say(Engaged(job.id, 6))
        return talk

    def assign(self, job: SignedManifest, blocks: Sequence[Block], signer: Signer | None = None, **changes: Any) -> Assign:
        environment = codec.environment_bytes(job.manifest.environment)
        named = tuple(block_digest(job.id, block, job.manifest.program.code, environment) for block in blocks)
        honest = Assignment(job.id, 1, Digest(bytes(job.id)), self.victim.world.node, os.urandom(16), 60.0, named)
        return Assign(codec.seal_assignment(replace(honest, **changes), signer or self.eve.keys), tuple(blocks))


def block(index: int, params: bytes = b"\x80", inputs: tuple[InputRef, ...] = ()) -> Block:
    return Block(index, index + 7, params, inputs)
