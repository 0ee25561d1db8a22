"""A leaf of evidence run again by its reader: the one thing that tells who was right, and needs nobody's word.

Only when the machine is idle, seldom, and only jobs of friends and swarms that this node would work for anyway. What comes
of it is published: a proof to this node itself, testimony to everybody else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import trio

from ctorrent.errors import CTorrentError, PeerError
from ctorrent.ledger.evidence import Rerun, judge
from ctorrent.model.entry import Proof, ProofKind
from ctorrent.model.ids import NodeId, Ring, RingKind
from ctorrent.model.job import SignedManifest, Verify
from ctorrent.model.offer import EnvironmentInfo
from ctorrent.model.result import Outcome, output_digest
from ctorrent.node.cells import Cells
from ctorrent.node.exhibits import digests_decide
from ctorrent.node.people import People
from ctorrent.node.proofs import Notary
from ctorrent.node.share import Share
from ctorrent.node.witness import Leaf, Standing, Witness, Witnessed, leaf_name
from ctorrent.node.world import World
from ctorrent.ports import BlockInput
from ctorrent.verify.compare import SUPPORTED, Different, same

log = logging.getLogger(__name__)

DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class RerunRules:
    """How much of this machine goes into others' quarrels."""

    per_day: int = 8  # a node that hears a hundred votes a day looks into one in twelve; its friends do the same
    queue_max: int = 16  # leaves that wait for an idle moment; further ones are not run
    block_s: float = 300.0  # of a job's own limit per block: twice that of an idle machine is no burden
    requesters: int = 2  # whose blocks must show a worker wrong before it is told: see Reruns._wrong
    held_max: int = 1024  # workers found wrong in one requester's blocks so far
    look_s: float = 30.0


class Reruns:
    """One per node. idle: does the machine have nothing else to do?"""

    def __init__(
        self, world: World, people: People, cells: Cells, share: Share, witness: Witness, notary: Notary, idle: Callable[[], bool],
        rules: RerunRules = RerunRules(),
    ) -> None:  # fmt: skip
        self._world, self._people, self._cells, self._share = world, people, cells, share
        self._witness, self._notary, self._idle, self._rules = witness, notary, idle, rules
        self._queue: list[Leaf] = []
        self._begun: list[float] = []  # of the last day
        self._held: dict[NodeId, dict[str, tuple[Ring, Proof]]] = {}  # by worker, then by the requester's owner
        witness.on_proven(self.offer)

    def offer(self, leaf: Leaf) -> None:
        """Run it when there is nothing else to do, if this node may and can."""
        proven, manifest = leaf.proven, leaf.case.manifest
        told = proven.content is not None and proven.output and not proven.equivocated
        allowed = manifest.ring.kind is not RingKind.PUBLIC and manifest.limits.block_s <= self._rules.block_s
        if told and allowed and len(self._queue) < self._rules.queue_max:
            self._queue.append(leaf)

    async def run(self) -> None:
        while True:
            await trio.sleep(self._rules.look_s)
            now = self._world.clock.now()
            self._begun = [one for one in self._begun if now - one < DAY_S]
            if self._queue and self._idle() and len(self._begun) < self._rules.per_day:
                await self._try(self._queue.pop(0))

    async def _try(self, leaf: Leaf) -> None:
        requester = self._people.known.get(leaf.case.manifest.requester)
        environment = None if requester is None else self._share.judge(leaf.case.manifest, requester)
        if not isinstance(environment, EnvironmentInfo):
            return
        self._begun.append(self._world.clock.now())
        try:
            first, second = await self._twice(leaf, environment)
        except PeerError as error:
            self._world.directory.charge(leaf.vote.author, 10, error.message)
        except (CTorrentError, KeyError) as error:
            log.info("a leaf of %s could not be run again here: %s", leaf.vote.author, error)
        else:
            await self._conclude(leaf, first.output(), second.output())

    async def _twice(self, leaf: Leaf, environment: EnvironmentInfo) -> tuple[Outcome, Outcome]:
        """Two runs alone, in processes of their own."""
        case, block = leaf.case, leaf.proven.content
        assert block is not None
        job = SignedManifest(case.job, case.manifest, case.sealed)
        async with self._cells.inputs.held(leaf.signed.id, block.inputs, case.manifest.requester):
            files = tuple((ref.name, self._world.blobs.path(ref.digest)) for ref in block.inputs)
            unit = [BlockInput(block.index, block.seed, block.params, files)]
            cell = await self._cells.open(job, environment, "evidence")
            try:
                return (await cell.run(unit))[0], (await cell.run(unit))[0]
            finally:
                with trio.CancelScope(shield=True):
                    await cell.aclose()

    async def _conclude(self, leaf: Leaf, first: bytes, second: bytes) -> None:
        found = output_digest(first)
        said = judge(leaf.proven, found, output_digest(second), _decisive(leaf, first))
        log.info("a block that %s was voted down for was run again: %s", leaf.proven.worker, said.value)
        if said is Rerun.NOTHING:
            return
        standing = Standing.RIGHT if said is Rerun.WRONG else Standing.FALSE
        await self._witness.conclude(Witnessed(leaf.signed.id, leaf.vote.author, standing, said.value))
        if leaf.proven.worker == self._world.node:
            return  # in its own cause it only learns who was right
        name = leaf_name(leaf.proven)
        if said is Rerun.RIGHT:
            self._notary.found(leaf.vote.ring, Proof(ProofKind.RERUN, leaf.vote.author, (), name, found), now=True)
        else:
            self._wrong(leaf, Proof(ProofKind.RERUN, leaf.proven.worker, (), name, found))

    def _wrong(self, leaf: Leaf, proof: Proof) -> None:
        """A program can tell machines apart and answer by it: one requester's blocks alone convict nobody."""
        requester = leaf.case.manifest.requester
        known = self._people.known.get(requester)
        owner = str(known.owner) if known is not None and known.owner is not None else requester
        held = self._held.setdefault(leaf.proven.worker, {})
        held.setdefault(owner, (leaf.vote.ring, proof))
        while len(self._held) > self._rules.held_max:
            del self._held[next(iter(self._held))]
        if len(held) >= self._rules.requesters:
            for ring, one in held.values():
                self._notary.found(ring, one, now=True)


def _decisive(leaf: Leaf, mine: bytes) -> bool:
    """Does it count that this machine's output has other bytes than another's? See digests_decide.

    Where the job rounds, its own measure is asked: the accused's output must differ by it, or the winners' must not.
    """
    policy, proven = leaf.case.manifest.verify, leaf.proven
    if digests_decide(policy, mine):
        return True
    if policy.equal not in SUPPORTED:
        return False
    if output_digest(mine) != proven.output:
        return bool(proven.data) and _differ(proven.data, mine, policy) is True
    return any(one.data and _differ(one.data, mine, policy) is False for one in proven.against)


def _differ(shown: bytes, mine: bytes, policy: Verify) -> bool | None:
    """By the job's measure. None: one of them is no output, which decides nothing."""
    try:
        return isinstance(same(shown, mine, policy), Different)
    except PeerError:
        return None
