"""One seed's story among strangers: a public job with a price, audited; crashes, partitions, liars; and the judge.

As tests/sim/story.py has it for friends, with the same nodes and the same weather.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import trio

from ctorrent import canon
from ctorrent.dispatch import words as d
from ctorrent.dispatch.machine import Dispatch
from ctorrent.model.ids import NodeId, node_id
from ctorrent.node import coordinate, learned
from ctorrent.node.jobbook import JobRecord, load_ends, load_voices
from ctorrent.ports import Delete, Put, Write
from ctorrent.testing import simulate
from ctorrent.testing.fake_journal import FakeJournal
from ctorrent.testing.fake_sandbox import Behaviour, FakeSandbox, mix
from ctorrent.testing.fake_swarm import FakeSwarm, Member, open_swarm
from ctorrent.testing.weather import CALM, ROUGH
from ctorrent.verify import draw
from ctorrent.verify import words as q
from ctorrent.verify.jury import Jury

from . import story as friends
from .mutants import replaced
from .story import JOB, REPORTED, WAVERING, calamities, slander, state_at_the_end

BLOCKS = (10, 60)
WORKERS = (4, 8)
BLOCK_S = (0.1, 0.6)
LIARS = ("alone", "together", "stubborn", "recanting")
LIES = (0.3, 1.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed drew."""

    economy: bool
    share: float  # of agreed blocks that are audited; 0: the policy's own
    liars: str  # fewer than half of the workers; "none", or one of LIARS
    wavering: float
    narrow: bool
    rough: bool
    crashes: bool
    own_work: bool  # the requester's node works too


def plan(dice: Random) -> Plan:
    return Plan(
        economy=dice.random() < 0.5,
        share=dice.choice([0.0, 0.3]),
        liars=dice.choice(["none", "none", *LIARS]),
        wavering=dice.choice([0.0] * 8 + list(WAVERING)),
        narrow=dice.random() < 0.5,
        rough=dice.random() < 0.3,
        crashes=dice.random() < 0.6,
        own_work=dice.random() < 0.5,
    )


def plan_of(seed: int) -> Plan:
    return plan(simulate.Simulation(seed).dice("story"))


@dataclass(slots=True)
class Story:
    """What happened, as the judge saw it."""

    plan: Plan
    ends: dict[int, list[tuple[str, bytes]]] = field(default_factory=dict)  # durable, in order: state and output
    finals: dict[int, int] = field(default_factory=dict)  # block -> length of its `ends` when it became final
    faults: list[str] = field(default_factory=list)
    hostile: list[NodeId] = field(default_factory=list)
    expelled: dict[NodeId, str] = field(default_factory=dict)
    caught: list[NodeId] = field(default_factory=list)
    out: dict[NodeId, int] = field(default_factory=dict)  # durably expelled -> in which life
    outlived: int = 0  # expulsions that a restart came after
    states: list[str] = field(default_factory=list)
    looked: set[int] = field(default_factory=set)  # blocks that more was asked of than the policy does
    asked: dict[int, int] = field(default_factory=dict)  # first replicas of an audit, by the jury's own draw
    lives: int = 0  # of the job's coordination
    restored: int = 0
    journal: FakeJournal | None = None  # the requester's


def tell(seed: int, **planned: Any) -> Story:
    """Live through a seed, and judge it."""

    async def main(simulation: simulate.Simulation) -> Story:
        dice = simulation.dice("story")
        story = Story(replace(plan(dice), **planned))
        with watched(story):
            async with open_swarm(simulation, ROUGH if story.plan.rough else CALM) as swarm:
                await live(swarm, story, dice)
        return story

    return simulate.run(seed, main, limit_s=friends.PATIENCE_S * 2)


async def begin(swarm: FakeSwarm, story: Story, dice: Random, blocks: tuple[int, int]) -> tuple[Member, list[Member], str]:
    """The cast, and the requester's job among them, of so many blocks at least and at most. -> requester, workers, job."""
    requester, workers = await gather(swarm, story, dice)
    watch_journal(requester.journal, story)
    text = JOB.read_text().replace("20", str(dice.randint(*blocks))) + "ring: public\nprice: 2\n"
    audit = f", audit: {story.plan.share}" if story.plan.share else ""
    text += f"verify: {{assurance: {'economy' if story.plan.economy else 'strict'}{audit}}}\n"
    job = await requester.node.door.submit(str(JOB), text, {})
    return requester, workers, job


async def live(swarm: FakeSwarm, story: Story, dice: Random) -> None:
    requester, workers, job = await begin(swarm, story, dice, BLOCKS)
    if story.plan.crashes:
        await calamities(swarm, requester, workers, dice)
    story.states = [await state_at_the_end(requester, job)]
    await trio.sleep(40.0)  # the last tallies are written
    judge(story, requester, workers, job)


async def gather(swarm: FakeSwarm, story: Story, dice: Random) -> tuple[Member, list[Member]]:
    count = dice.randint(*WORKERS)
    hostile = 0 if story.plan.liars == "none" else dice.randint(1, (count - 1) // 2)
    share = dice.choice(LIES)
    lying = {"alone": Behaviour(BLOCK_S, lie_alone=share), "together": Behaviour(BLOCK_S, lie=share)}
    box = friends.sandbox(swarm, story, "requester", Behaviour(BLOCK_S))  # type: ignore[arg-type]
    requester = await swarm.add("requester", sandbox=box, work=story.plan.own_work)
    workers = []
    for number in range(count):
        name, lies = f"worker {number}", number >= count - hostile
        behaviour = lying.get(story.plan.liars, Behaviour(BLOCK_S)) if lies else Behaviour(BLOCK_S)
        box = friends.sandbox(swarm, story, name, behaviour)  # type: ignore[arg-type]
        if lies and story.plan.liars == "stubborn":
            friends.be_stubborn(box, name, share)
        elif lies and story.plan.liars == "recanting":
            recant(box, share, swarm.simulation.dice(f"{name} lies"))
        worker = await swarm.add(name, sandbox=box)
        workers.append(worker)
        story.hostile += [worker.id] * lies
    swarm.net.mesh(4)
    await trio.sleep(1.0)
    return requester, workers


def recant(box: FakeSandbox, share: float, dice: Random) -> None:
    """A lie the first time, and the truth whenever the same block is asked for again."""
    honest, told = box.programs["mix.py:mix"], set[int]()

    def lie(params: dict[str, Any], seed: int) -> Any:
        block = mix(params, seed)
        first = block not in told
        told.add(block)
        return ["a lie", dice.getrandbits(32)] if first and dice.random() < share else honest(params, seed)

    box.programs = {**box.programs, "mix.py:mix": lie}


# what the judge sees -----------------------------------------------------------------------------------------------------


def watch_journal(journal: FakeJournal, story: Story) -> None:
    commit, story.journal = journal.commit, journal

    async def noted(writes: Sequence[Write], durable: bool = True) -> None:
        await commit(writes, durable)
        for write in writes:
            if durable and isinstance(write, Put) and write.space == learned.SPACE and write.key[32] == 1 and canon.decode(write.value)[4]:
                story.out.setdefault(node_id(write.key[-32:]), story.lives)
            if not isinstance(write, Put | Delete) or write.space not in ("settled", "final"):
                continue
            index = int.from_bytes(write.key[32:], "big")
            if index in story.finals:
                story.faults.append(f"final changed: block {index}, by {type(write).__name__} {write.space}")
            elif isinstance(write, Delete):
                continue
            elif write.space == "final":
                if not story.ends.get(index):
                    story.faults.append(f"final changed: block {index} is final without a result")
                story.finals[index] = len(story.ends.get(index, []))
            else:
                state, output, *_ = canon.decode(write.value)
                story.ends.setdefault(index, []).append((state, output))
                if state != "provisional":
                    story.finals[index] = len(story.ends[index])

    journal.commit = noted  # type: ignore[method-assign]


@contextmanager
def watched(story: Story) -> Iterator[None]:
    """Note what the jury and dispatch of each life do."""
    votes_of, handle = vars(coordinate)["votes_of"], Dispatch.handle

    def watched_votes(record: JobRecord, me: NodeId, compare: Any) -> Any:
        votes = votes_of(record, me, compare)
        story.lives += 1
        story.outlived += any(life < story.lives for life in story.out.values())
        expelled: dict[NodeId, str] = {}
        assert isinstance(votes, Jury), "a public job is audited"
        heard = votes.handle

        def noted(event: q.Event, now: float = 0.0) -> list[q.Effect]:
            story.restored += isinstance(event, q.Restored)
            effects = heard(event, now)
            if isinstance(event, q.Total):
                check_restored(story, votes, record)
            check_draws(story, votes, record.draw_secret, effects)
            for effect in effects:
                if isinstance(effect, q.Expelled):
                    expelled[effect.worker] = story.expelled[effect.worker] = effect.why
                elif isinstance(effect, q.Settled) and any(w in expelled for names in effect.workers for w in names):
                    story.faults.append("believed: an expelled worker's word is final")
            return effects

        votes.handle = noted  # type: ignore[method-assign]
        return votes

    def handled(self: Dispatch, event: d.Event, now: float) -> list[d.Effect]:
        effects = handle(self, event, now)
        if self.terms.apart:
            check_apart(story, self, effects)
            story.faults += [f"engaged again: {e.worker[-6:]}, expelled before" for e in effects if isinstance(e, d.Assign) and e.worker in story.out]
        return effects

    with replaced(coordinate, "votes_of", watched_votes), replaced(Dispatch, "handle", handled):
        yield


def check_restored(story: Story, jury: Jury, record: JobRecord) -> None:
    """After a restart every provisional block stands on the word it stood on before."""
    assert story.journal is not None
    said = {held.index: held.voices for held in load_voices(story.journal, record.id)}
    for index, end in load_ends(story.journal, record.id):
        case = jury._docket.cases.get(index)
        if case is None and index < len(jury._docket._final) and jury._docket._final[index]:
            continue  # answers of before, weighed now, made it final
        if end.state == "provisional" and said.get(index) and (case is None or case.voices() + len(case.struck) < len(said[index])):
            story.faults.append(f"forgotten: whose word block {index} stands on")


def check_draws(story: Story, jury: Jury, secret: bytes, effects: list[q.Effect]) -> None:
    """A strict block that two agree on at once is audited exactly when the secret says so, or the requester runs it."""
    for effect in effects:
        if isinstance(effect, q.Rerun | q.SelfCheck):
            story.looked.add(effect.index)
    if story.plan.economy or jury.paused or story.plan.wavering:
        return
    share = jury.rules.strict_share
    audited = {e.index for e in effects if isinstance(e, q.NeedReplicas)}
    own = {e.index for e in effects if isinstance(e, q.SelfCheck)} | set(jury._own._wishes) | set(jury._own._running)
    for effect in effects:
        if not isinstance(effect, q.Agreed) or not effect.provisional:
            continue
        for index in effect.indices:
            case = jury._docket.cases.get(index)
            if case is None or len(case.classes) > 1 or case.lone or index in own or index in story.looked or case.struck:
                continue
            drawn = draw.chance(secret, "audit", index) < share
            if drawn != (index in audited):
                story.faults.append(f"draw: block {index} was {'not ' * drawn}audited")


def check_apart(story: Story, dispatch: Dispatch, effects: list[d.Effect]) -> None:
    """No block is with two workers at once, but where those who differ are asked again."""
    for effect in effects:
        if not isinstance(effect, d.Assign):
            continue
        unit = dispatch._units.flying.get(effect.unit)
        for other in dispatch._units.flying.values():
            if unit is None or unit.rerun or other.rerun or other.id == effect.unit:
                continue
            both = set(other.indices) & set(effect.indices)
            if both:
                story.faults.append(f"not apart: block {min(both)} is with {other.worker[-6:]} and {effect.worker[-6:]}")


def judge(story: Story, requester: Member, workers: Sequence[Member], job: str) -> None:
    faults = story.faults
    faults += [f"never ended: the job is {state}" for state in story.states if state not in REPORTED]
    if story.plan.liars == "none" and not story.plan.wavering:
        faults += [f"lost work: an honest job among honest workers is {s}" for s in story.states if s != "settled"]
    if story.states == ["settled"]:
        count = len(requester.node.requester.find(job).blocks) or len(story.ends)
        faults += [f"never ended: block {i} is not final" for i in range(count) if i not in story.finals]
        faults += miscounted(story, requester, job)
    faults += [f"slander: an honest worker was expelled: {why}" for w, why in story.expelled.items() if w not in story.hostile]
    faults += slander(story, requester)  # type: ignore[arg-type]
    if story.plan.liars not in ("together", "recanting") and not story.plan.economy and not story.plan.wavering:
        faults += wrong_answers(story, requester, job)


def miscounted(story: Story, requester: Member, job: str) -> list[str]:
    """The report says of how many blocks one worker's word is all there is, a restart between or not."""
    node = requester.node.requester
    if not story.plan.economy or story.journal is None:
        return []
    alone = sum(end.state == "settled" and end.agreed < 2 for _, end in load_ends(story.journal, node.find(job).id))
    said = node.status(job).get("alone")
    return [] if said == alone else [f"miscounted: {alone} blocks stand on one word, and the report says {said}"]


def wrong_answers(story: Story, requester: Member, job: str) -> list[str]:
    record = requester.node.requester.find(job)
    found = []
    for block in requester.node.requester._blocks_of(record):
        right = b"\x00" + canon.encode(mix(canon.decode(block.params), block.seed))
        if block.index in story.finals and (ends := story.ends.get(block.index)):
            state, output = ends[-1]
            if state in ("provisional", "settled") and output != right:
                found.append(f"wrong answer: block {block.index} is final as {output!r:.60}")
    return found
