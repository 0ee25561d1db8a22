"""Well-formed messages in any order with any content, against the real handlers of a node on fake ports.

Nothing that a peer says may raise anything but our own errors inside the node, stop it, or settle a wrong answer.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ctorrent.canon import decode, encode
from ctorrent.errors import CTorrentError
from ctorrent.model.block import Block, InputRef, block_digest
from ctorrent.model.ids import Digest, JobId, NodeId, Ring, RingKind, node_id
from ctorrent.model.job import (
    Amendment,
    AmendmentKind,
    Environment,
    Isolation,
    Limits,
    Manifest,
    Needs,
    Program,
    ProgramKind,
    SignedManifest,
)
from ctorrent.model.result import Committed, Failure, FailureKind, Result, Usage, commitment, output_digest
from ctorrent.model.session import (
    Acknowledged,
    Amended,
    Assign,
    BlobHead,
    BlobRequest,
    Declined,
    Describe,
    Engaged,
    Finished,
    HandBack,
    Interest,
    Introduction,
    Message,
    NoThanks,
    Offered,
    Output,
    Progress,
    Returned,
    Revoke,
    UnsupportedKind,
)
from ctorrent.model.trade import Announcement, Assignment, Bid, No, NoReason
from ctorrent.ports import Channel
from ctorrent.seal import Signer, digest
from ctorrent.testing import simulate
from ctorrent.testing.fake_net import FakeHost
from ctorrent.testing.fake_sandbox import mix
from ctorrent.testing.fake_swarm import FakeSwarm, Member, ended, open_swarm
from ctorrent.wire import codec, names

JOB = Path(__file__).parents[1] / "sim" / "jobs" / "mix.yaml"
PUBLIC_JOB = JOB.read_text().replace("count: 20", "count: 150") + "ring: public\n"
BUNDLE = encode({"mix.py": b"the fake sandbox has its own"})
CODE = Digest(digest("ctorrent/blob/1", BUNDLE))
MESSAGES = 250
SEEDS = st.integers(0, 1 << 32)
FEW = settings(max_examples=40 if os.environ.get("CTORRENT_FULL") == "1" else 5, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate), suppress_health_check=[HealthCheck.function_scoped_fixture])


class Noise:
    """Random messages of one peer; what it has seen, it uses."""

    def __init__(self, dice: Random, signer: Signer, victim: NodeId) -> None:
        self.dice, self.signer, self.victim = dice, signer, victim
        self.jobs: list[JobId] = []
        self.described: list[Describe] = []
        self.assigned: list[Assign] = []
        self.mine: list[SignedManifest] = []
        self.sent: list[Assign] = []
        self.said = 0  # messages sent, to whoever ended the conversation over them too
        self.wild = 0.4  # chance of each part to be what no honest peer says

    @property
    def node(self) -> NodeId:
        return node_id(self.signer.public)

    # parts -----------------------------------------------------------------------------------------------------------

    def digest(self) -> Digest:
        return Digest(self.dice.randbytes(32))

    def number(self) -> int:
        return self.dice.choice([0, 1, 2, 7, 255, 4095, 4096, (1 << 31) - 1, 1 << 31])

    def figure(self) -> float:
        return self.dice.choice([0.0, 1e-9, 0.5, 1.0, 1e6, 1e15])

    def text(self) -> str:
        return self.dice.choice(["", "x", "numpy>=1", "\x1b[2J\n", "π" * 50, ">=3,<", "a/b\\c", "own_", "12D3KooW"])

    def job(self) -> JobId:
        return self.dice.choice([*self.jobs, *self.jobs, JobId(self.digest())])

    def no(self) -> No:
        return No(self.dice.choice(list(NoReason)), self.text())

    def assignment(self) -> Digest:
        seen = [codec.assignment_id(one.assignment) for one in [*self.assigned, *self.sent]]
        return self.dice.choice([*seen, *seen, self.digest()])

    # a worker's messages ---------------------------------------------------------------------------------------------

    def of_worker(self) -> Message:
        dice = self.dice
        if dice.random() < 0.6:  # as an honest one would, so that the rest meets every state
            self.wild = 0.05
            if not self.described:
                return Interest(self.jobs[0], 1)
            return self.returned() if self.assigned else self.bid()
        self.wild = 0.4
        kinds: list[Callable[[], Message]] = [
            self.bid, self.bid, self.returned, self.returned, self.returned,
            lambda: Interest(self.job(), self.number() % (1 << 31)),
            lambda: Interest(self.job(), 1),
            lambda: NoThanks(self.job(), tuple(self.no() for _ in range(dice.randrange(5)))),
            lambda: HandBack(self.assignment(), self.no()),
            lambda: Progress(self.assignment(), self.number(), dice.randbytes(dice.randrange(2000))),
            self.anything,
        ]  # fmt: skip
        return dice.choice(kinds)()

    def bid(self) -> Message:
        if not self.described:
            return Interest(self.job(), 1)
        last = self.dice.choice(self.described[-3:])
        honest = {"slots": 2, "credit": 6, "isolation": 3, "speed_gflops": 5.0, "price": 0.0}
        strange = {
            "slots": max(1, min(4096, self.number())), "credit": max(1, min(self.number(), (1 << 31) - 1)),
            "isolation": self.dice.choice(list(Isolation)).value, "speed_gflops": self.figure(), "price": self.figure(),
        }  # fmt: skip
        nonce = last.nonce if self.dice.random() > self.wild / 2 else self.dice.randbytes(16)
        bid = Bid(job=last.job, worker=self.node, session_nonce=nonce, fingerprint=self.digest(), hardware_class=self.text(),
                  amendment_head=self.digest(), **(honest if self.dice.random() > self.wild else strange))  # fmt: skip  # type: ignore[arg-type]
        return Offered(codec.seal_bid(bid, self.signer))

    def output(self, value: bytes) -> Output:
        dice = self.dice
        usage = Usage(self.figure(), self.figure(), self.figure(), self.number())
        failure = Failure(dice.choice(list(FailureKind)), self.text(), self.text()) if dice.random() < 0.3 else None
        if dice.random() < self.wild / 3:
            return Output(dice.randbytes(16), None, self.digest(), self.number(), usage, failure, dice.randbytes(50))
        return Output(bytes(16), value, None, len(value), usage, failure, dice.randbytes(50))

    def value(self, block: Block) -> bytes:
        """Right, wrong, a failure, or no value at all."""
        right = b"\0" + encode(mix(decode(block.params), block.seed))
        lie = b"\0" + encode(self.dice.choice([None, 1, "x", [1.0, float("nan")], {"a": {}}]))
        return right if self.dice.random() > self.wild else self.dice.choice([lie, lie, b"", b"\0", b"\0\xff", b"\x01", b"\x01\x09", b"\x01\x01Err\xff", b"\x02x"])

    def returned(self) -> Message:
        if not self.assigned:
            return self.bid()
        message = self.assigned.pop(0) if self.dice.random() > self.wild else self.dice.choice(self.assigned)
        opened, _ = codec.open_assignment(message.assignment)
        name = codec.assignment_id(message.assignment)
        outputs = [self.output(self.value(block)) for block in message.blocks]
        lines = [
            Committed(block, commitment(name, block, self.node, output.nonce, output_digest(output.data or b"")))
            for block, output in zip(opened.blocks, outputs, strict=True)
        ]
        if self.dice.random() < self.wild / 4:
            lines = lines[1:] or [Committed(self.digest(), self.digest())]
        sealed = codec.seal_result(Result(name, self.node, self.digest(), tuple(lines), self.text()), self.signer)
        if self.dice.random() > self.wild:
            return Returned(sealed, tuple(outputs))
        part = outputs[: self.dice.choice([len(outputs), 1, 0])]
        return Returned(sealed, tuple(part), self.dice.choice([0, 0, 1, 4096]), self.dice.random() < 0.5)

    # a requester's messages ------------------------------------------------------------------------------------------

    def manifest(self) -> SignedManifest:
        dice = self.dice
        environment = Environment(self.text(), dice.choice(["", "x86_64", self.text()]), tuple(sorted({self.text(), "numpy"})),
                                  tuple(sorted({self.text()})), self.text())  # fmt: skip
        plain = dice.random() < 0.7
        manifest = Manifest(
            requester=self.node, nonce=dice.randbytes(16), ring=Ring(RingKind.PUBLIC),
            program=Program(dice.choice(list(ProgramKind)), CODE, "mix.py:mix", ("cat", self.text())), seed=1,
            draw_hash=self.digest(), issued_unix_s=0, valid_s=self.number(),
            environment=Environment() if plain else environment,
            needs=Needs() if plain else Needs(max(1, self.number() % 4096), self.number(), self.number() % 4096, self.number(), self.text()),
            limits=Limits() if plain else Limits(self.figure(), self.number(), self.number(), self.number(), self.figure(), 1),
            price_max=1e6, name=self.text(),
        )  # fmt: skip
        signed = codec.open_manifest(codec.seal_manifest(manifest, self.signer))
        self.mine.append(signed)
        self.jobs.append(signed.id)
        return signed

    def of_requester(self) -> Message:
        dice = self.dice
        job = dice.choice(self.mine[:3])
        if dice.random() < 0.7:
            self.wild = 0.05
            return dice.choice([lambda: self.describe(job), lambda: Engaged(job.id, 6), lambda: self.assign(job)])()
        self.wild = 0.4
        kinds: list[Callable[[], Message]] = [
            lambda: self.describe(job), lambda: self.describe(job), lambda: self.assign(job), lambda: self.assign(job),
            lambda: Engaged(self.job(), self.number() % (1 << 31)), lambda: Engaged(job.id, 6),
            lambda: Declined(self.job(), self.no(), self.figure()),
            lambda: Acknowledged(self.assignment()), lambda: Revoke(self.assignment()), lambda: Finished(self.job()),
            lambda: Amended(self.amendment(job)), self.anything,
        ]  # fmt: skip
        return dice.choice(kinds)()

    def amendment(self, job: SignedManifest) -> Any:
        kind = self.dice.choice([AmendmentKind.PAUSE, AmendmentKind.RESUME, AmendmentKind.CANCEL, AmendmentKind.CLOSE])
        prev = Digest(bytes(job.id)) if self.dice.random() < 0.5 else self.digest()
        return codec.seal_amendment(Amendment(job.id, self.dice.choice([1, 1, 2, 9]), prev, kind, reason=self.text()), self.signer)

    def describe(self, job: SignedManifest) -> Message:
        links = tuple(self.amendment(job) for _ in range(self.dice.choice([0, 1, 2]) if self.dice.random() < self.wild else 0))
        return Describe(job.id, self.dice.randbytes(16), job.sealed, links, self.dice.randbytes(32))

    def assign(self, job: SignedManifest) -> Message:
        dice = self.dice
        params = [b"\x80", encode({"x": 1}), b"", b"\xc1", encode([1]), b"\xd9\x01x"]
        refs = (InputRef("data", self.digest(), self.number()),)
        blocks = tuple(
            Block(self.number(), dice.getrandbits(64), dice.choice(params) if dice.random() < self.wild else b"\x80",
                  refs if dice.random() < self.wild / 4 else ())
            for _ in range(dice.choice([1, 1, 3]))
        )
        environment = codec.environment_bytes(job.manifest.environment)
        named = tuple(block_digest(job.id, one, job.manifest.program.code, environment) for one in blocks)
        worker = self.victim if dice.random() > self.wild / 2 else self.node
        lease_s = 60.0 if dice.random() > self.wild else self.figure()
        assignment = Assignment(job.id, dice.choice([2, 7]) if dice.random() < self.wild / 4 else 1, self.digest(), worker, dice.randbytes(16), lease_s, named)
        message = Assign(codec.seal_assignment(assignment, self.signer), blocks)
        self.sent.append(message)
        return message if dice.random() > self.wild / 2 else dice.choice(self.sent)

    def anything(self) -> Message:
        return self.dice.choice([
            BlobHead(self.number()), BlobRequest(self.digest(), 0), UnsupportedKind(3), Finished(self.job()),
            Acknowledged(self.digest()), Introduction(None, (), self.text(), self.text(), self.dice.randbytes(20)),
        ])  # fmt: skip


async def converse(channel: Channel, noise: Noise, draw: Callable[[], Message], count: int) -> int:
    """Introduce oneself, then talk. -> how many messages the victim bore."""
    said = 0
    await channel.send(codec.encode_message(Introduction(None, (), "noise", "0")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, channel, noise, nursery.cancel_scope)
        for _ in range(count):
            await channel.send(codec.encode_message(draw()))
            said, noise.said = said + 1, noise.said + 1
            await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    return said


async def blobs(channel: Channel) -> None:
    """Serve the code, and of anything else nothing."""
    try:
        while True:
            request = codec.decode_message(await channel.receive())
            known = isinstance(request, BlobRequest) and request.blob == CODE
            await channel.send(codec.encode_message(BlobHead(len(BUNDLE) if known else -1)))
            if known:
                await channel.send(BUNDLE)
    except CTorrentError:
        return


async def listen(channel: Channel, noise: Noise, scope: trio.CancelScope) -> None:
    try:
        while True:
            message = codec.decode_message(await channel.receive())
            if isinstance(message, Describe):
                noise.described.append(message)
            elif isinstance(message, Assign):
                noise.assigned.append(message)
    except CTorrentError:
        scope.cancel()


async def guest(swarm: FakeSwarm, dice: Random, nursery: trio.Nursery, victim: Member) -> tuple[FakeHost, Signer]:
    """A fresh identity, connected."""
    signer = Signer(dice.randbytes(32))
    host = swarm.net.host(signer, nursery)
    await host.directory.connect(victim.host.address)
    return host, signer


@FEW
@given(SEEDS)
def test_any_talk_of_a_worker(caplog: pytest.LogCaptureFixture, seed: int) -> None:
    async def main(simulation: simulate.Simulation) -> tuple[str, int, list[Any]]:
        dice, said = simulation.dice("noise"), 0
        async with open_swarm(simulation) as swarm, trio.open_nursery() as nursery:
            victim, friend = await swarm.add("victim", slots=1), await swarm.add("friend", slots=1)
            await swarm.befriend(victim, friend)
            await friend.host.directory.connect(victim.host.address)
            await trio.sleep(1.0)
            job = await victim.node.door.submit(str(JOB), PUBLIC_JOB, {})
            await trio.sleep(0.1)
            identifier = victim.node.requester.find(job).id
            for _ in range(12):
                host, signer = await guest(swarm, dice, nursery, victim)
                noise = Noise(dice, signer, victim.id)
                noise.jobs.append(identifier)
                try:
                    await converse(await host.streams.open(victim.id, names.SESSION), noise, noise.of_worker, MESSAGES)
                except* CTorrentError:
                    pass
                said += noise.said
            state = (await ended(victim, job))["state"]
            rows = await victim.node.door.results(job)
            assert (await victim.node.door.status())["node"] == victim.id
            nursery.cancel_scope.cancel()
            return state, said, rows

    with caplog.at_level(logging.ERROR):
        caplog.clear()
        state, said, rows = simulate.run(seed, main)
    assert not [record for record in caplog.records if record.name.startswith("ctorrent")], caplog.text
    assert state in ("settled", "failed")
    assert said > 12
    assert len(rows) == 150


@FEW
@given(SEEDS)
def test_any_talk_of_a_requester(caplog: pytest.LogCaptureFixture, seed: int) -> None:
    async def main(simulation: simulate.Simulation) -> tuple[str, int]:
        dice, said = simulation.dice("noise"), 0
        async with open_swarm(simulation) as swarm, trio.open_nursery() as nursery:
            victim, friend = await swarm.add("victim", slots=1), await swarm.add("friend", slots=1)
            await swarm.befriend(victim, friend)
            await friend.host.directory.connect(victim.host.address)
            await trio.sleep(1.0)
            for _ in range(12):
                host, signer = await guest(swarm, dice, nursery, victim)
                noise = Noise(dice, signer, victim.id)
                counts: list[int] = []

                async def serve(channel: Channel, noise: Noise = noise, counts: list[int] = counts) -> None:
                    try:
                        counts.append(0)
                        counts.append(await converse(channel, noise, noise.of_requester, MESSAGES))
                    except* CTorrentError:
                        pass

                host.streams.serve(names.SESSION, serve)
                host.streams.serve(names.BLOB, blobs)
                for _ in range(8):
                    announce(victim, noise, noise.manifest())
                await trio.sleep(8.0)
                said += len(counts)
            job = await victim.node.door.submit(str(JOB), JOB.read_text(), {})
            state = (await ended(victim, job))["state"]
            nursery.cancel_scope.cancel()
            return state, said

    with caplog.at_level(logging.ERROR):
        caplog.clear()
        state, said = simulate.run(seed, main)
    assert not [record for record in caplog.records if record.name.startswith("ctorrent")], caplog.text
    assert state == "settled"
    assert said >= 6


def announce(victim: Member, noise: Noise, job: SignedManifest) -> None:
    announcement = Announcement(
        job.id, noise.node, 1, job.manifest.ring, job.manifest.needs, job.manifest.environment, 1 << 30, 2.0, 1e6, b"",
    )  # fmt: skip
    message = codec.encode_sealed(codec.seal_announcement(replace(announcement), noise.signer))
    if victim.node.worker.check(job.manifest.ring, noise.node, message):
        victim.node.worker.hear(message)
