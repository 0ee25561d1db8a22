"""One run: a real requester, its crowd of actors, one job; and what is kept of it for the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import trio

from ctorrent.dispatch import words as dispatch
from ctorrent.errors import Unsupported
from ctorrent.market import auction
from ctorrent.market import words as market
from ctorrent.model.ids import JobId, NodeId
from ctorrent.model.job import Manifest
from ctorrent.model.result import Verdict
from ctorrent.node.coordinate import Coordination
from ctorrent.node.ends import Ends
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.submission import Submission
from ctorrent.node.tender import Tender
from ctorrent.testing.fake_hardware import machine
from ctorrent.testing.fake_keys import FakeKeys, keys
from ctorrent.testing.fake_net import FakeHost
from ctorrent.testing.fake_sandbox import Behaviour, FakeSandbox, mix
from ctorrent.testing.fake_swarm import FakeSwarm, Member
from ctorrent.testing.simulate import Simulation

from .actor import Actor
from .attackers import Conduct
from .form import Form
from .line import Line
from .policies import Policy, replaced
from .truth import COLLUDING, RIGHT, Truth

JOB = "python: mix.py:mix\nblocks: {{count: {blocks}}}\nreduce: sum\nmemo: false\nring: public\nlimits: {{seconds: 60}}\n"
PATH = Path(__file__).parents[2] / "sim" / "jobs" / "mix.yaml"
PLACES = 1024  # sessions: so that all of the crowd is in at once, where the defaults take 56 and 120
MANY = 16  # workers from which on dispatch asks once a turn who else fits, where its default is 50: four times faster
CORES = 8  # of the requester's machine: it checks up to four blocks at once
ARRIVE_S = (0.1, 1.9)  # within the first round's window
TALLIES_S = 45.0  # after the end: the last tallies are due by then


@dataclass(slots=True)
class Seen:
    """What the requester did about its workers, in order."""

    expelled: dict[NodeId, str] = field(default_factory=dict)  # for what it answered
    voted: dict[NodeId, int] = field(default_factory=dict)  # blocks voted against


class Crowd:
    """Everybody in one run."""

    def __init__(self, simulation: Simulation, swarm: FakeSwarm, form: Form, policy: Policy) -> None:
        self.simulation, self.swarm, self.form, self.policy = simulation, swarm, form, policy
        self.actors: dict[NodeId, Actor] = {}
        self.seen = Seen()
        self.leak: dict[int, int] = {}  # first answer that reached the coordinator, by block
        self.over = False
        self.own_runs = 0
        self.identities = 0  # ever made by those that came back
        self.wavering = 0.0  # of the program: how often a run gives something else
        self._numbers = 0

    async def open(self) -> None:
        """The requester, before anybody knows of its job."""
        box = FakeSandbox(
            self.simulation.dice("requester sandbox"), {"mix.py:mix": self._run_here},
            Behaviour(self.form.block_s),
        )  # fmt: skip
        self.requester: Member = await self.swarm.add("requester", sandbox=box, hardware=machine(CORES), sessions_max=PLACES)

    def _run_here(self, params: dict[str, Any], seed: int) -> int:
        """The requester's own machine runs a block: counted like anybody's."""
        self.own_runs += 1
        self.truth.runs[self.truth.index_of[seed]] += 1
        wavers = self.wavering and self.simulation.dice("program").random() < self.wavering
        return mix(params, seed) + (COLLUDING if wavers else RIGHT)

    async def submit(self) -> None:
        form, node = self.form, self.requester.node
        expected = {"block_s": form.expected_block_s, "start_s": form.expected_start_s}
        text = JOB.format(blocks=form.blocks)
        self.name = await node.door.submit(str(PATH), text, {"work": False, "expected": expected})
        self.record: JobRecord = node.requester.find(self.name)
        self.job: JobId = self.record.id
        self.truth = Truth(self.record.blocks, self.record.digests)

    # -- who takes part -----------------------------------------------------------------------------------------------

    def enter(self, conduct: Conduct, name: str = "", owner: str = "", network: int | None = None, certified: bool = True) -> Actor:
        """One more machine; it dials within the first round. network: a /24 of its own unless said."""
        number = self._numbers
        self._numbers += 1
        known: FakeKeys = keys(name or f"{self.simulation.seed} worker {number}", owner)
        actor = Actor(self, known, number, conduct, certified)
        host = FakeHost(self.swarm.net, known.node, 256 * (1000 + (number if network is None else network)) + number % 250, self._nursery())
        host.streams = Cable(actor)  # type: ignore[assignment]
        self.swarm.net.hosts[actor.id] = host
        self.swarm.net.links[actor.id] = {}
        self.actors[actor.id] = actor
        self.later(actor.dice.uniform(*ARRIVE_S), actor.dial)
        return actor

    def reborn(self, actor: Actor) -> None:
        """The machine of a banned worker comes back as somebody else."""
        if actor.unwanted and not self.over:
            self.identities += 1
            self.enter(actor.conduct, f"{self.simulation.seed} again {self.identities}")
            if actor.line is not None:
                actor.line.lose()

    def connect(self, actor: Actor) -> Line:
        """A session's channel, served by the requester's own code."""
        net, host = self.swarm.net, self.requester.host
        net.link(actor.id, self.requester.id)
        line = Line(net, self.requester.id, actor.id, actor.hear, actor.lost)
        host.nursery.start_soon(self.requester.node.requester.serve, line)
        return line

    def start(self, task: Callable[..., Any], *arguments: Any) -> None:
        """Run something beside all else, for as long as the requester lives."""
        self._nursery().start_soon(task, *arguments)

    def _nursery(self) -> trio.Nursery:
        return self.requester.host.nursery

    # -- time ---------------------------------------------------------------------------------------------------------

    def at(self, when: float, call: Callable[[], None]) -> None:
        self.swarm.net.post.at(when, call)

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.at(trio.current_time() + delay_s, call)

    # -- what the requester does --------------------------------------------------------------------------------------

    def avoided(self, node: NodeId) -> None:
        actor = self.actors.get(node)
        if actor is not None and not actor.unwanted:
            actor.caught()
            actor.unwanted = True
            self.later(0.1, lambda: actor.conduct.sent_away(actor))

    def voted(self, node: NodeId, verdict: Verdict, blocks: int) -> None:
        if verdict is not Verdict.AGREED:
            self.seen.voted[node] = self.seen.voted.get(node, 0) + blocks
            if node in self.actors:
                self.actors[node].caught()

    def leaked(self, worker: NodeId, indices: Sequence[int]) -> None:
        actor = self.actors.get(worker)
        if actor is not None:
            for index in indices:
                self.leak.setdefault(index, actor.said[index])


class Cable:
    """What stands in for an actor's ports.Streams: it serves nobody, and loses its one line with the connection."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def accept(self, *_: Any) -> Any:
        raise Unsupported("an actor speaks the session protocol only")

    def lose(self, peer: NodeId) -> None:
        if self._actor.line is not None:
            self._actor.line.lose()


@contextmanager
def watched(crowd: Crowd) -> Iterator[None]:
    """The real code with all places open and our policy in the manifest; and an eye on what it does about workers."""
    sign, avoid, pardon, voted = Submission._sign, Tender.avoid, Tender.pardon, Ends.voted
    expel = Coordination._expelled

    def with_policy(self: Submission, manifest: Manifest) -> Any:
        return sign(self, replace(manifest, verify=crowd.policy.verify))

    def avoided(self: Tender, node: NodeId, why: str, now: float) -> Any:
        crowd.avoided(node)
        return avoid(self, node, why, now)

    def expelled(self: Coordination, worker: NodeId, why: str, now: float) -> None:
        crowd.seen.expelled[worker] = why
        expel(self, worker, why, now)

    def pardoned(self: Tender, node: NodeId, now: float) -> Any:
        crowd.seen.expelled.pop(node, None)
        return pardon(self, node, now)

    def has_voted(self: Ends, effect: Any, *rest: Any) -> Any:
        crowd.voted(effect.worker, effect.verdict, len(effect.indices))
        return voted(self, effect, *rest)

    with ExitStack() as stack:
        stack.enter_context(replaced(auction, "Rules", partial(market.Rules, sessions_max=PLACES)))
        stack.enter_context(replaced(dispatch, "Rules", partial(dispatch.Rules, many_workers=MANY)))
        stack.enter_context(replaced(Submission, "_sign", with_policy))
        stack.enter_context(replaced(Tender, "avoid", avoided))
        stack.enter_context(replaced(Tender, "pardon", pardoned))
        stack.enter_context(replaced(Coordination, "_expelled", expelled))
        stack.enter_context(replaced(Ends, "voted", has_voted))
        stack.enter_context(crowd.policy.in_place())
        yield
