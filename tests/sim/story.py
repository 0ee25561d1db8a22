"""One seed's story: a few nodes, some of them hostile, weather, crashes, jobs; and the judge who looks at what came of it.

Everything that varies is drawn from the seed. The nodes run the real code of node/; the ports are fakes. The judge
knows what the program should give, which worker is hostile, and every block's end that the requester made durable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import trio

from ctorrent import canon
from ctorrent.model.entry import EntryKind
from ctorrent.model.ids import NodeId
from ctorrent.model.result import output_digest
from ctorrent.node import records
from ctorrent.node.selfrun import at_once
from ctorrent.ports import Put, Write
from ctorrent.testing import simulate
from ctorrent.testing.fake_journal import FakeJournal
from ctorrent.testing.fake_sandbox import PROGRAMS, Behaviour, FakeSandbox, mix
from ctorrent.testing.fake_swarm import FakeSwarm, Member, open_swarm
from ctorrent.testing.weather import CALM, ROUGH
from ctorrent.verify import words as q
from ctorrent.verify.quorum import Quorum
from ctorrent.wire import codec

JOB = Path(__file__).parent / "jobs" / "mix.yaml"
BLOCKS = (6, 24)
WORKERS = (4, 8)
BLOCK_S = (0.2, 2.0)
PATIENCE_S = 1800.0  # simulated: a lease is a minute or two here, and a block has five attempts
REPORTED = ("settled", "failed", "disputed", "cancelled", "paused")  # paused: with the reason, for a person to see


WAVERING = (0.02, 0.05, 0.15, 0.4, 0.7, 1.0)
LIARS = ("alone", "together", "stubborn")  # another lie each time; the same lie from each; its own, always the same
LIES = (0.3, 1.0)  # of its blocks


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed drew."""

    liars: str  # fewer than half of the workers; "none", or one of LIARS
    wavering: float  # how often a run of the program gives something else: the requester is at fault, nobody else
    narrow: bool  # and whether that is always the same other value
    rough: bool
    crashes: bool
    jobs: int


def plan(dice: Random) -> Plan:
    return Plan(
        liars=dice.choice(["none", "none", "none", *LIARS]),
        wavering=dice.choice([0.0] * 8 + list(WAVERING)),
        narrow=dice.random() < 0.5,
        rough=dice.random() < 0.4,
        crashes=dice.random() < 0.5,
        jobs=dice.choice([1, 1, 2]),
    )


def plan_of(seed: int) -> Plan:
    """What a seed draws, without living through it."""
    return plan(simulate.Simulation(seed).dice("story"))


@dataclass(slots=True)
class Story:
    """What happened, as the judge saw it."""

    plan: Plan
    ends: dict[tuple[bytes, int], list[tuple[str, bytes]]] = field(default_factory=dict)  # durable, in order
    arrived: dict[tuple[int, int], dict[str, bytes]] = field(default_factory=dict)  # (quorum, block) -> owner -> digest
    faults: list[str] = field(default_factory=list)  # broken invariants
    hostile: list[NodeId] = field(default_factory=list)
    caught: list[NodeId] = field(default_factory=list)  # of these, voted against
    states: list[str] = field(default_factory=list)


def tell(seed: int, **planned: Any) -> Story:
    """Live through a seed, and judge it. planned: fields of the plan instead of what the seed drew."""

    async def main(simulation: simulate.Simulation) -> Story:
        dice = simulation.dice("story")
        story = Story(replace(plan(dice), **planned))
        with watched_quorums(story):
            async with open_swarm(simulation, ROUGH if story.plan.rough else CALM) as swarm:
                await live(swarm, story, dice)
        return story

    return simulate.run(seed, main, limit_s=PATIENCE_S * 3)  # two jobs that never end, and some time before


async def live(swarm: FakeSwarm, story: Story, dice: Random) -> None:
    requester, workers = await gather(swarm, story, dice)
    watch_journal(requester.journal, story)
    jobs = []
    for _ in range(story.plan.jobs):
        text = JOB.read_text().replace("20", str(dice.randint(*BLOCKS)))
        jobs.append(await requester.node.door.submit(str(JOB), text, {}))
    if story.plan.crashes:
        await calamities(swarm, requester, workers, dice)
    story.states = [await state_at_the_end(requester, job) for job in jobs]
    await trio.sleep(40.0)  # the last tallies are written
    judge(story, requester, workers, jobs)


async def gather(swarm: FakeSwarm, story: Story, dice: Random) -> tuple[Member, list[Member]]:
    """A requester and workers, all friends, every worker with an owner of its own."""
    count = dice.randint(*WORKERS)
    hostile = 0 if story.plan.liars == "none" else dice.randint(1, (count - 1) // 2)
    share = dice.choice(LIES)
    lying = {"alone": Behaviour(BLOCK_S, lie_alone=share), "together": Behaviour(BLOCK_S, lie=share)}
    requester = await swarm.add("requester", sandbox=sandbox(swarm, story, "requester", Behaviour(BLOCK_S)))
    workers = []
    for number in range(count):
        name, lies = f"worker {number}", number >= count - hostile
        behaviour = lying.get(story.plan.liars, Behaviour(BLOCK_S)) if lies else Behaviour(BLOCK_S)
        box = sandbox(swarm, story, name, behaviour)
        if lies and story.plan.liars == "stubborn":
            be_stubborn(box, name, share)
        worker = await swarm.add(name, sandbox=box)
        await swarm.befriend(requester, worker)
        workers.append(worker)
        story.hostile += [worker.id] * lies
    swarm.net.mesh(4)
    await trio.sleep(1.0)
    return requester, workers


def sandbox(swarm: FakeSwarm, story: Story, name: str, behaviour: Behaviour) -> FakeSandbox:
    dice = swarm.simulation.dice(f"{name} sandbox")
    programs = dict(PROGRAMS)
    if story.plan.wavering:
        programs["mix.py:mix"] = lambda params, seed: (
            (mix(params, seed) + 1 if story.plan.narrow else dice.getrandbits(32))
            if dice.random() < story.plan.wavering
            else mix(params, seed)
        )
    return FakeSandbox(dice, programs, behaviour)


def be_stubborn(box: FakeSandbox, name: str, share: float) -> None:
    """A worker with a lie of its own for a share of the blocks, the same whenever one of them comes back."""
    honest = box.programs["mix.py:mix"]

    def lie(params: dict[str, Any], seed: int) -> Any:
        own = Random(f"{name} {mix(params, seed)}")
        return ["a lie", own.getrandbits(32)] if own.random() < share else honest(params, seed)

    box.programs = {**box.programs, "mix.py:mix": lie}


async def calamities(swarm: FakeSwarm, requester: Member, workers: Sequence[Member], dice: Random) -> None:
    """A few seconds in which machines die and come back, and the network tears and mends."""
    for _ in range(dice.randint(1, 4)):
        await trio.sleep(dice.uniform(0.1, 4.0))
        match dice.choice(["requester", "worker", "worker", "partition"]):
            case "partition":
                swarm.net.partition([w.id for w in workers[: len(workers) // 2]])
                await trio.sleep(dice.uniform(1.0, 40.0))
                swarm.net.heal()
            case who:
                victim = requester if who == "requester" else dice.choice(list(workers))
                await swarm.crash(victim, survivors=dice.randint(0, 3))
                await trio.sleep(dice.uniform(0.1, 20.0))
                await swarm.start(victim)
        swarm.net.mesh(4)


async def state_at_the_end(requester: Member, job: str) -> str:
    began = trio.current_time()
    while trio.current_time() - began < PATIENCE_S:
        state = str((await requester.node.door.job(job))["state"])
        if state in REPORTED:
            return state
        await trio.sleep(5.0)
    return f"still {state}"


# what the judge sees -----------------------------------------------------------------------------------------------------


def watch_journal(journal: FakeJournal, story: Story) -> None:
    """Note every block's end once it is durable."""
    commit = journal.commit

    async def noted(writes: Sequence[Write], durable: bool = True) -> None:
        await commit(writes, durable)
        for write in writes:
            if isinstance(write, Put) and write.space == "settled":
                key = (write.key[:32], int.from_bytes(write.key[32:], "big"))
                state, output, *_ = canon.decode(write.value)
                story.ends.setdefault(key, []).append((state, output))

    journal.commit = noted  # type: ignore[method-assign]


@contextmanager
def watched_quorums(story: Story) -> Iterator[None]:
    """Note which replicas reached which vote."""
    handle = Quorum.handle

    def noted(self: Quorum, event: Any, now: float) -> Any:
        if isinstance(event, q.Arrived):
            for index, digest in zip(event.indices, event.digests, strict=True):
                story.arrived.setdefault((id(self), index), {})[event.owner] = digest
        elif isinstance(event, q.SelfChecked) and event.outputs[0] == event.outputs[1]:
            own = output_digest(event.outputs[0])  # two runs of the requester's own: its owner's voice, if it had none
            story.arrived.setdefault((id(self), event.index), {}).setdefault(event.owner, own)
        effects = handle(self, event, now)
        for effect in effects:
            if isinstance(effect, q.Agreed) and not effect.failed:
                check_majority(story, id(self), effect)
        return effects

    Quorum.handle = noted  # type: ignore[method-assign]
    try:
        yield
    finally:
        Quorum.handle = handle  # type: ignore[method-assign]


def check_majority(story: Story, quorum: int, agreed: q.Agreed) -> None:
    """Whatever is settled, more than half of the owners whose replicas came said it; two at least, unless it says so."""
    for index, digest in zip(agreed.indices, agreed.digests, strict=True):
        digests = list(story.arrived.get((quorum, index), {}).values())
        same = digests.count(digest)
        if same < (2 if agreed.cross_validated else 1) or 2 * same <= len(digests):
            story.faults.append(f"majority: block {index} settled by {same} of {len(digests)} owners")


def judge(story: Story, requester: Member, workers: Sequence[Member], jobs: Sequence[str]) -> None:
    """Add every invariant that does not hold."""
    faults = story.faults
    faults += [f"never ended: a job is {state}" for state in story.states if state not in REPORTED]
    if story.plan.liars == "none" and not story.plan.wavering:
        faults += [f"lost work: an honest job among honest workers is {s}" for s in story.states if s != "settled"]
    for member in (requester, *workers):
        extra = at_once(member.node.world.hardware.cores) if member is requester else 0  # its own checks are no units that it sold
        if member.sandbox.running_peak > member.node.share.slots + extra:
            faults.append(f"oversold: {member.name} ran {member.sandbox.running_peak} of {member.node.share.slots} units")
    for (_, index), ends in sorted(story.ends.items()):
        if sum(state == "settled" for state, _ in ends) > 1:
            faults.append(f"settled twice: block {index}")
    faults += wrong_answers(story, requester, jobs)
    faults += slander(story, requester)


def wrong_answers(story: Story, requester: Member, jobs: Sequence[str]) -> list[str]:
    """Liars who do not collude never get a wrong answer settled."""
    if story.plan.wavering or story.plan.liars == "together":
        return []  # there is no right answer; or a majority may have signed a wrong one, which check_majority sees to
    wrong = []
    for job in jobs:
        record = requester.node.requester.find(job)
        for block in requester.node.requester._blocks_of(record):
            for state, output in story.ends.get((bytes(record.id), block.index), []):
                if state == "settled" and output != b"\x00" + canon.encode(mix(canon.decode(block.params), block.seed)):
                    wrong.append(f"wrong answer: block {block.index} settled as {output!r:.60}")
    return wrong


def slander(story: Story, requester: Member) -> list[str]:
    """No honest worker is voted against. Those who lie may be: the story says which were."""
    found = []
    for _, value in requester.journal.scan("entry"):
        entry = codec.open_entry(records.unpack_sealed(records.load(value))).entry
        if entry.kind != EntryKind.TALLY or entry.author != requester.id:
            continue
        tally = codec.decode_tally(entry.body)
        if not tally.disputed + tally.invalid:
            continue
        if tally.worker in story.hostile:
            story.caught.append(tally.worker)
        else:
            found.append(f"slander: {tally.disputed} disputed, {tally.invalid} invalid against an honest worker")
    return found
