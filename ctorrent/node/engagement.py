"""One job on the worker's side: its cell, the units that wait, the results that are owed.

    DESCRIBED ─bid─▶ OFFERED ─Engaged─▶ ENGAGED ─Assign…─▶ (run, sign, journal, return) ─Finished─▶ OVER
                        ▲                  │ session lost: units go on, results are kept
                        └──── redialled ───┘
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import trio

from ctorrent.canon import encode
from ctorrent.errors import DiskFull, LimitExceeded, LocalError, Malformed, Unavailable
from ctorrent.model.block import Block, block_digest
from ctorrent.model.ids import Digest, JobId, NodeId, show_job
from ctorrent.model.job import Amendment, SignedManifest
from ctorrent.model.offer import EnvironmentInfo
from ctorrent.model.result import Committed, Failure, FailureKind, Outcome, Result, commitment, output_digest
from ctorrent.model.session import Assign, HandBack, NoThanks, Output, Progress, Returned
from ctorrent.model.trade import Assignment, No, NoReason
from ctorrent.node import records
from ctorrent.node.cells import Cells
from ctorrent.node.earnings import Rate
from ctorrent.node.lie import Liar
from ctorrent.node.owed import Owed
from ctorrent.node.seeder import Seeder
from ctorrent.node.session import Session
from ctorrent.node.share import Share
from ctorrent.node.signed import Signed
from ctorrent.node.world import World
from ctorrent.ports import BlockInput, Cell, Put
from ctorrent.seal import Sealed
from ctorrent.wire import codec, names

CREDIT_PER_SLOT = 3  # one runs, one has its inputs, one is under way
CREDIT_SLACK = 16  # assignments above twice the credit: those revoked a moment ago still end
LEASE_SHARE = 0.8  # of a lease is used: the rest covers the way back and two clocks that differ
PROGRESS_BYTES_MAX = 64 << 10  # of log in one frame; the rest of a larger piece is in the result's last bytes
INLINE_UNIT_BYTES = 4 << 20  # of a unit's outputs: a record of the journal holds them with their logs; the rest are blobs
FRAME_ROOM = 4096  # bytes of a Returned frame left for its other fields


@dataclass(frozen=True, slots=True)
class Unit:
    """An assignment that was checked and waits for a slot."""

    id: Digest
    assignment: Assignment
    blocks: tuple[Block, ...]
    ends: float  # on the node's clock: after this the lease is the coordinator's again


class Engagement:
    """Runs units of one job and owes their results until they were acknowledged."""

    def __init__(
        self,
        world: World,
        seeder: Seeder,
        cells: Cells,
        job: SignedManifest,
        environment: EnvironmentInfo,
        share: Share,
        liar: Liar | None,
    ) -> None:
        self.job, self.environment = job, environment
        self.session: Session | None = None
        self.head = Digest(bytes(job.id))
        self.seq = 0
        self.engaged = False
        self.over = trio.Event()
        self.gpus: tuple[str, ...] = ()
        self.slots = 1
        self.rate = Rate()  # what its work counts as: set with each bid
        self.waits: Callable[[], bool] = lambda: False  # whether its units let others' go first
        self._world, self._seeder, self._cells, self._share, self._liar = world, seeder, cells, share, liar
        self._queue, self._waiting = trio.open_memory_channel[Unit](math.inf)  # `_scopes` is counted
        self._last_work = self.since = world.clock.now()
        self._scopes: dict[Digest, trio.CancelScope] = {}
        self._begun: dict[Digest, int] = {}  # of those, the ones that got a slot -> their blocks
        self._leaving = ""  # why no more units are taken
        self._kept, self._signed = Owed(world.journal, world.clock), Signed(world.journal, world.clock)
        self._owed = self._kept.of(job.id)
        self._environment_bytes = codec.environment_bytes(job.manifest.environment)
        self._term = self._highest_term()

    @property
    def id(self) -> JobId:
        return self.job.id

    def _highest_term(self) -> int:
        record = self._world.journal.get("term", self.id)
        return int(records.load(record)) if record else 0

    # -- what the coordinator says ------------------------------------------------------------------------------------

    def amend(self, amendment: Amendment) -> None:
        """Follow the job's chain. Raises Malformed at a link that does not fit."""
        if amendment.seq <= self.seq:
            return
        if amendment.job != self.id or amendment.seq != self.seq + 1 or amendment.prev != self.head:
            raise Malformed(f"amendment {amendment.seq} does not follow {self.seq}")
        self.seq = amendment.seq

    def amended(self, sealed: Sealed) -> None:
        amendment = codec.open_amendment(sealed, self.job.manifest.requester)
        fresh = amendment.seq > self.seq
        self.amend(amendment)
        if fresh:
            self.head = codec.amendment_id(sealed)

    async def assign(self, message: Assign) -> None:
        """Check an assignment and queue it. Raises PeerError when the coordinator broke a rule."""
        assignment, coordinator = codec.open_assignment(message.assignment)
        identifier = codec.assignment_id(message.assignment)
        self._check(assignment, coordinator, message.blocks)
        if identifier in self._owed or identifier in self._scopes:
            return  # a replay: there is one result for it, and it is on its way or there
        if self._leaving:
            self._post(codec.encode_message(HandBack(identifier, No(NoReason.BUSY, self._leaving))))
            return
        if len(self._scopes) >= 2 * CREDIT_PER_SLOT * self.slots + CREDIT_SLACK:
            raise LimitExceeded("more assignments than the credit allows")
        self._scopes[identifier] = trio.CancelScope()  # before anything waits: the same one must not come in twice
        if assignment.term > self._term:
            self._term = assignment.term
            await self._world.journal.commit([Put("term", self.id, encode(assignment.term))])
        ends = self._world.clock.now() + assignment.lease_s * LEASE_SHARE
        self._queue.send_nowait(Unit(identifier, assignment, message.blocks, ends))

    def _check(self, assignment: Assignment, coordinator: NodeId, blocks: Sequence[Block]) -> None:
        if coordinator != self.job.manifest.requester or assignment.job != self.id:
            raise Malformed("an assignment of another job or coordinator")
        if assignment.worker != self._world.node or assignment.term < max(1, self._term):
            raise Malformed("an assignment for another worker, or of a past term")
        code = self.job.manifest.program.code
        expected = tuple(block_digest(self.id, block, code, self._environment_bytes) for block in blocks)
        if expected != assignment.blocks or not blocks:
            raise Malformed("the blocks are not those that the assignment names")

    def revoke(self, assignment: Digest) -> None:
        """Stop a unit that is no longer wanted; nothing is returned for it."""
        scope = self._scopes.get(assignment)
        if scope is not None:
            scope.cancel()

    def leave(self, why: str) -> None:
        """Take no more units; those that have not begun go back."""
        self._leaving = why
        for identifier in [one for one in self._scopes if one not in self._begun]:
            self._give_back(identifier)

    def withdraw(self, no: No) -> None:
        """Take no more units, and leave when those that run have ended; asked again and again."""
        self.leave(f"{no.reason.value}: {no.detail}")
        if not self._scopes:
            self._post(codec.encode_message(NoThanks(self.id, (no,))))
            self.over.set()

    def give_back_all(self) -> None:
        """What runs ends here and now, and goes back."""
        for identifier in list(self._scopes):
            self._give_back(identifier)

    def _give_back(self, identifier: Digest) -> None:
        if not self._scopes[identifier].cancel_called:
            self._scopes[identifier].cancel()
            self._post(codec.encode_message(HandBack(identifier, No(NoReason.BUSY, self._leaving or "it was interrupted"))))

    def lay_down(self, no: No) -> list[Digest]:
        """End at once: what runs is given back, and no more is taken. -> results that were not acknowledged yet."""
        self._leaving = no.detail
        self.give_back_all()
        self._post(codec.encode_message(NoThanks(self.id, (no,))))
        self.over.set()
        return [assignment for assignment, frames in self._owed.items() if frames]

    def running(self) -> int:
        """Units that have begun and not ended."""
        return len(self._begun)

    def blocks_running(self) -> int:
        """Blocks of those."""
        return sum(self._begun.values())

    def waiting(self) -> int:
        """Units that have not begun."""
        return len(self._scopes) - len(self._begun)

    async def acknowledged(self, assignment: Digest) -> None:
        """The coordinator has it: forget the result, and remember that there was one."""
        if self._owed.get(assignment):
            self._owed[assignment] = []
            await self._kept.delivered(self.id, assignment, self.job.manifest.requester)

    def reengaged(self, session: Session) -> None:
        """A session is there (again): hand over what is owed."""
        self.session, self.engaged = session, True
        for frames in list(self._owed.values()):
            for frame in frames:
                session.post(frame)

    # -- running ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Open the cell and serve units until the job is over. Raises LocalError when the sandbox cannot be made."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_over, nursery.cancel_scope)
            cell = await self._open_cell()
            slots = trio.CapacityLimiter(self.slots)
            try:
                async with trio.open_nursery() as units:
                    async for unit in self._waiting:
                        units.start_soon(self._serve, cell, unit, slots)
            finally:
                with trio.CancelScope(shield=True):
                    await cell.aclose()

    async def _until_over(self, scope: trio.CancelScope) -> None:
        await self.over.wait()
        scope.cancel()

    async def _open_cell(self) -> Cell:
        return await self._cells.open(self.job, self.environment, show_job(self.id), None, self.gpus, self.slots)

    async def _serve(self, cell: Cell, unit: Unit, slots: trio.CapacityLimiter) -> None:
        """One unit, from its inputs to its result. Inputs of the next come while this one runs."""
        scope = self._scopes[unit.id]
        scope.deadline = trio.current_time() + max(0.0, unit.ends - self._world.clock.now())
        outcomes: list[Outcome] = []
        with scope:
            outcomes = await self._outcomes(cell, unit, slots)
        if outcomes and self._world.clock.now() <= unit.ends:
            await self._return(unit, outcomes)
        elif trio.current_time() >= scope.deadline:
            self._post(codec.encode_message(HandBack(unit.id, No(NoReason.BUSY, "the lease ran out"))))
        self._scopes.pop(unit.id, None)
        self._begun.pop(unit.id, None)
        self._last_work = self._world.clock.now()

    def idle_s(self) -> float:
        """Seconds since there was work; 0 while there is."""
        return 0.0 if self._scopes else self._world.clock.now() - self._last_work

    async def _outcomes(self, cell: Cell, unit: Unit, slots: trio.CapacityLimiter) -> list[Outcome]:
        refs = [ref for block in unit.blocks for ref in block.inputs]
        try:
            async with self._cells.inputs.held(unit.id, refs, self.job.manifest.requester):
                inputs = [self._input(block) for block in unit.blocks]
                async with slots, self._share.unit(self.job.manifest.needs, self.waits()):
                    self._begun[unit.id] = len(unit.blocks)
                    outcomes = await cell.run(inputs, partial(self._printed, unit.id))
        except DiskFull as error:
            self._post(codec.encode_message(HandBack(unit.id, No(NoReason.DISK, str(error)))))
            return []
        except (LocalError, Unavailable, KeyError) as error:  # KeyError: an input was tidied away meanwhile
            outcomes = [self._own_fault(error)] * len(unit.blocks)
        if self._liar is not None:
            outcomes = [self._maybe_lie(self._liar, d, o) for d, o in zip(unit.assignment.blocks, outcomes, strict=True)]
        return outcomes

    def _printed(self, assignment: Digest, index: int, text: bytes) -> None:
        """Output of a running block, on its way to whoever follows the job's logs."""
        if self.session is not None and self.engaged:
            self.session.post_if_idle(Progress(assignment, index, text[:PROGRESS_BYTES_MAX]))

    @staticmethod
    def _own_fault(error: Exception) -> Outcome:
        return Outcome(None, Failure(FailureKind.ENVIRONMENT, type(error).__name__, str(error)[:500]))

    @staticmethod
    def _maybe_lie(liar: Liar, block: Digest, outcome: Outcome) -> Outcome:
        if outcome.value is None or not liar.lies_about(block):
            return outcome
        return Outcome(liar.falsify(outcome.value), None, outcome.usage, outcome.log)

    def _input(self, block: Block) -> BlockInput:
        files = tuple((ref.name, self._world.blobs.path(ref.digest)) for ref in block.inputs)
        return BlockInput(block.index, block.seed, block.params, files)

    # -- returning ----------------------------------------------------------------------------------------------------

    async def _return(self, unit: Unit, outcomes: Sequence[Outcome]) -> None:
        """Sign, journal, send; in that order, and once."""
        nonces = self._world.clock.random_bytes(16 * len(outcomes))
        outputs, committed, opened, room = [], [], list[tuple[bytes, Digest]](), INLINE_UNIT_BYTES
        for position, (block, outcome) in enumerate(zip(unit.assignment.blocks, outcomes, strict=True)):
            nonce = nonces[16 * position : 16 * position + 16]
            data = outcome.output()
            opened.append((nonce, output_digest(data)))
            hidden = commitment(unit.id, block, self._world.node, *opened[-1])
            committed.append(Committed(block, hidden))
            inline = len(data) <= min(names.INLINE_BYTES_MAX, room)
            room -= len(data) if inline else 0
            outputs.append(await self._output(nonce, data, outcome, inline))
        result = Result(
            unit.id, self._world.node, self.environment.fingerprint, tuple(committed), self._world.hardware_class
        )
        sealed = codec.seal_result(result, self._world.keys.node)
        frames = _frames(sealed, outputs)
        owed = self._kept.put(self.id, unit.id, self.job.manifest.requester, frames)
        self._share.ran.add(outcomes)
        usages = [outcome.usage for outcome in outcomes]
        earned = self._share.credit.earnings.did(self.id, self.job.manifest.requester, self.rate, usages)
        await self._world.journal.commit([owed, earned, *self._signed.puts(self.id, unit.id, sealed, opened)])
        self._owed[unit.id] = frames
        for frame in frames:
            self._post(frame)

    async def _output(self, nonce: bytes, data: bytes, outcome: Outcome, inline: bool) -> Output:
        log = outcome.log[-4096:]
        if inline:
            return Output(nonce, data, None, len(data), outcome.usage, outcome.failure, log)
        blob = await self._world.blobs.put(data)
        return Output(nonce, None, blob, len(data), outcome.usage, outcome.failure, log)

    def _post(self, message: bytes) -> None:
        if self.session is not None and self.engaged:
            self.session.post(message)


def _frames(result: Sealed, outputs: list[Output]) -> list[bytes]:
    """Returned frames, each below the frame limit; the result rides in every one."""
    room = names.FRAME_BYTES_MAX - len(result.body) - FRAME_ROOM
    frames, first, size = [], 0, 0
    for position, output in enumerate(outputs):
        cost = len(output.data or b"") + len(output.log) + 200 + (len(output.failure.text) if output.failure else 0)
        if size + cost > room and position > first:
            frames.append(Returned(result, tuple(outputs[first:position]), first, False))
            first, size = position, 0
        size += cost
    frames.append(Returned(result, tuple(outputs[first:]), first, True))
    return [codec.encode_message(frame) for frame in frames]

