"""Dispatch of one job. Pure.

                 AddBlocks                      Deliver → quorum → Decided
    (nothing) ─────────────▶ WAITING ──Assign──▶ RUNNING ─────────────▶ PROVISIONAL ─▶ SETTLED
                                ▲                  │                └──▶ FAILED, DISPUTED
                                └──lease over, ────┤ attempts used up ─▶ FAILED
                                   worker gone     └─ Cancel, stop ────▶ CANCELLED
    the job: RUNNING ⇄ PAUSED; done when closed and every block is final, or cancelled

A worker is never told why it gets a block. Which replica it gets is drawn from the secret seed that it cannot see.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from ctorrent.dispatch.handout import Handout, Pick
from ctorrent.dispatch.steps import Steps
from ctorrent.dispatch.units import Unit
from ctorrent.dispatch.words import (
    AddBlocks,
    Adopt,
    Avoid,
    BlockFailed,
    BlockState,
    Cancel,
    Close,
    CoalesceOff,
    Decided,
    Deliver,
    Effect,
    Event,
    Exclude,
    HandedBack,
    JobDone,
    MoreReplicas,
    NextOwner,
    NoReplica,
    Pause,
    Reach,
    Readmit,
    RerunLost,
    Resume,
    Revoke,
    Rules,
    RunAgain,
    Spoiled,
    Standing,
    Terms,
    UnitReturned,
    WorkerJoined,
    WorkerLeft,
)
from ctorrent.dispatch.workers import Worker
from ctorrent.model.ids import NodeId

_RANK: dict[type, int] = {Deliver: 1, RerunLost: 1, NoReplica: 1, BlockFailed: 1, JobDone: 2}
_FINAL_FIRST = BlockState.PROVISIONAL


def _rank_of(effect: Effect) -> int:
    return _RANK.get(type(effect), 0)


class Dispatch:
    """One job's dispatch. `draw`: seeded by the job's secret. `first_unit`: above every number used before a restart.

    pick: whom the secret gives a drawn replica.
    """

    def __init__(
        self, terms: Terms, draw: random.Random, rules: Rules | None = None, first_unit: int = 0, pick: Pick | None = None
    ) -> None:
        self.terms = terms
        self.rules = rules or Rules()
        self.next_wakeup: float | None = None
        self.done = False
        self.paused = ""  # why; "" while running
        self._steps = Steps(self.rules.log_max)
        self._handout = Handout(terms, self.rules, draw, first_unit, self._steps, pick)
        self.blocks, self.workers = self._handout.blocks, self._handout.workers
        self._units, self._shares = self._handout.units, self._handout.shares
        self._closed = False
        self._any_back = False  # a unit, from anybody

    # -- the one door -------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Never raises on what peers do; unknown units, blocks and workers are ignored.

        Effects: first what goes to workers, then what quorum is told, then JobDone. So a shell may hand quorum's
        answers straight back in before it is through with the list.
        """
        out: list[Effect] = []
        if self.done:
            return out
        self._hear(event, now, out)
        self._expire(now, out)
        if not (self.paused or self.done) and (out or not isinstance(event, Decided | Standing)):
            self._handout.run(now, out)  # what was decided leaves less to do: who could take nothing before cannot now
            self._overtake(now, out)
        self._finish(out)
        self._schedule(now)
        out.sort(key=_rank_of)
        return out

    def _hear(self, event: Event, now: float, out: list[Effect]) -> None:
        match event:
            case UnitReturned():
                self._returned(event, now, out)
            case Decided(indices, state):
                self._decided(indices, state, now, out)
            case AddBlocks(first, count, sizes):
                if first == len(self.blocks) and not self._closed:
                    self.blocks.append(count, 1 if self.terms.apart else min(255, max(1, self.terms.replicas)), sizes)
            case WorkerJoined():
                self._joined(event, now)
            case WorkerLeft(worker, why):
                self._left(worker, why, now, out)
            case HandedBack(unit, why):
                self._handed_back(unit, why, now, out)
            case Spoiled(unit, why):
                self._spoiled(unit, why, now, out)
            case MoreReplicas() | RunAgain():
                self._more(event, now, out)
            case NextOwner(indices):
                for index in indices:
                    if 0 <= index < len(self.blocks):
                        self.blocks.ask(index, 1, ())
            case Standing(name, established):
                if (known := self.workers.get(name)) is not None:
                    known.stands(established, now, self.rules.doubt_units if self.terms.apart else 0.0)
            case Exclude(name, why):
                if (known := self.workers.get(name)) is not None:
                    known.exclude()
                self._exclude(name, why, now, out)
            case Readmit(name):
                if (known := self.workers.get(name)) is not None:
                    known.readmit()
            case _:
                self._hear_of_job(event, now, out)

    def _hear_of_job(self, event: Event, now: float, out: list[Effect]) -> None:
        match event:
            case Close():
                self._closed = True
            case CoalesceOff():
                self._handout.coalesce = False
            case Reach(others, wait_s):
                self._handout.others, self._handout.wait_s, self._handout.next_look = others, wait_s, now
            case Adopt(number, worker, owner, indices, alone):
                if all(0 <= index < len(self.blocks) for index in indices):
                    self._units.remember(Unit(number, worker, owner, tuple(indices), now, now, alone))
            case Pause(why):
                self.paused = why or "paused"
            case Resume():
                self.paused = ""
            case Cancel(why):
                self._stop(why or "cancelled", now, out)
            case _:  # Tick: only time passed
                pass

    # -- workers ------------------------------------------------------------------------------------------------------

    def _joined(self, event: WorkerJoined, now: float) -> None:
        worker = self.workers.get(event.worker)
        if worker is None:
            self.workers[event.worker] = Worker(event, self._handout.free, self.rules.unit_first)
        else:
            worker.rejoin(event)
        self._steps.note(now, "engaged", event.worker, ())

    def _left(self, name: NodeId, why: str, now: float, out: list[Effect]) -> None:
        worker = self.workers.get(name)
        if worker is None or not worker.here:
            return
        worker.leave()
        self._steps.note(now, f"left: {why}", name, ())
        self._handout.let_go(worker)
        while worker.reruns:
            out.append(RerunLost(worker.reruns.popleft(), name))
        for unit in self._units.of(name):
            self._lose(unit, "its worker left", True, now, out)

    def _handed_back(self, number: int, why: str, now: float, out: list[Effect]) -> None:
        unit = self._units.flying.get(number)
        if unit is None:
            return
        worker = self.workers[unit.worker]
        again = now >= worker.paused_until
        worker.paused_until = now + self.rules.handback_pause_s
        self._lose(unit, f"handed back: {why}", False, now, out)
        worker.handed_back(again)
        if again and worker.handbacks >= self.rules.handbacks_max:
            self._avoid(worker, f"handed back {worker.handbacks} units more than it returned: {why}", now, out)

    def _spoiled(self, number: int, why: str, now: float, out: list[Effect]) -> None:
        unit = self._units.flying.get(number) or self._units.expired.pop(number, None)
        if unit is None:
            return
        if number in self._units.flying:
            self._lose(unit, f"invalid: {why}", False, now, out, late=False)
        if self.terms.apart:  # nobody else runs what it holds
            self._exclude(unit.worker, why, now, out)
        elif unit.worker in self.workers:
            self._avoid(self.workers[unit.worker], why, now, out)

    def _avoid(self, worker: Worker, why: str, now: float, out: list[Effect]) -> None:
        if worker.avoided:
            return
        worker.avoid()
        self._steps.note(now, f"avoided: {why}", worker.id, ())
        out.append(Avoid(worker.id, why))
        self._handout.let_go(worker)
        while worker.reruns:
            out.append(RerunLost(worker.reruns.popleft(), worker.id))

    def _exclude(self, name: NodeId, why: str, now: float, out: list[Effect]) -> None:
        """Its units are lost, and should they return nobody listens."""
        worker = self.workers.get(name)
        if worker is None:
            return
        self._avoid(worker, why, now, out)
        for unit in self._units.of(name):
            self._lose(unit, why, False, now, out, late=False)
            out.append(Revoke(unit.id, name, why))
        for number in [n for n, unit in self._units.expired.items() if unit.worker == name]:
            del self._units.expired[number]

    # -- units coming back --------------------------------------------------------------------------------------------

    def _returned(self, event: UnitReturned, now: float, out: list[Effect]) -> None:
        unit = self._units.flying.get(event.unit)
        if unit is None:
            self._late(event, now, out)
            return
        worker = self.workers[unit.worker]
        self._units.close(unit, late=False)
        self._any_back = True
        worker.over(len(unit.indices), now)
        worker.returned(len(unit.indices), event.wall_s, unit.sent, now, self.rules)
        positions: Sequence[int] = self.blocks.delivered(unit.indices)
        if event.environment:
            positions = self._environment(unit, worker, positions, event.environment, now, out)
        self._deliver(unit, positions, now, out)

    def _late(self, event: UnitReturned, now: float, out: list[Effect]) -> None:
        unit = self._units.expired.pop(event.unit, None)
        if unit is None:
            return
        useless = frozenset(event.environment)
        positions = [
            position
            for position, index in enumerate(unit.indices)
            if index not in useless and self.blocks.adopt_late(index, unit.owner, self.terms.apart)
        ]
        self._deliver(unit, positions, now, out)

    def _deliver(self, unit: Unit, positions: Sequence[int], now: float, out: list[Effect]) -> None:
        if not positions:
            return
        whole = len(positions) == len(unit.indices)
        indices = unit.indices if whole else [unit.indices[p] for p in positions]
        self._steps.note(now, "returned", unit.worker, indices)
        out.append(Deliver(unit.id, unit.worker, unit.owner, indices, positions, unit.alone))

    def _environment(
        self, unit: Unit, worker: Worker, positions: Sequence[int], failed: Sequence[int], now: float, out: list[Effect]
    ) -> list[int]:
        """Blocks whose sandbox could not be made go elsewhere, and so does the worker's share of this job."""
        bad = frozenset(failed)
        kept = []
        for position in positions:
            index = unit.indices[position]
            if index not in bad:
                kept.append(position)
                continue
            self.blocks.got[index] -= 1
            self.blocks.running[index] += 1  # as `_return_block` expects it
            self._return_block(unit, index, "its sandbox could not be made", False, now, out)
        self._avoid(worker, "its sandbox could not be made", now, out)
        return kept

    # -- units that do not come back ----------------------------------------------------------------------------------

    def _expire(self, now: float, out: list[Effect]) -> None:
        for unit in self._units.due(now):
            if unit.id not in self._units.flying:
                continue
            worker = self.workers[unit.worker]
            worker.strikes += 1
            self._lose(unit, "its lease is over", True, now, out)
            out.append(Revoke(unit.id, unit.worker, "the lease is over"))
            if worker.strikes >= self.rules.strikes_max:
                self._avoid(worker, f"let {worker.strikes} leases in a row run out", now, out)

    def _lose(self, unit: Unit, why: str, counts: bool, now: float, out: list[Effect], late: bool = True) -> None:
        worker = self.workers[unit.worker]
        self._units.close(unit, late=late and not unit.rerun)
        worker.over(len(unit.indices), now)
        self._steps.note(now, why, unit.worker, unit.indices)
        if not unit.rerun:
            self._shares.add(worker, -len(unit.indices))
        worker.units_lost += counts
        excused = self._any_back and not worker.reliable()  # where nothing comes back at all, it may be the program
        for index in unit.indices:
            self._return_block(unit, index, why, counts, now, out, excused)

    def _return_block(self, unit: Unit, index: int, why: str, counts: bool, now: float, out: list[Effect], excused: bool = False) -> None:
        blocks = self.blocks
        if unit.rerun:
            blocks.running[index] -= 1
            if not blocks.final[index]:
                out.append(RerunLost(index, unit.worker))
            return
        blocks.lost(index, unit.owner, not unit.copy, counts, excused)
        if blocks.final[index] or not counts:
            return
        if blocks.losses[index] >= self.terms.attempts and index in blocks.audits:
            blocks.drop_need(index)  # it has answers: those who lose a look at them do not undo them
            out.append(NoReplica([index]))
        elif blocks.worn_out(index, self.terms.attempts):
            self._fail(index, f"lost {blocks.losses[index]} times: {why} ({unit.worker})", now, out)
        elif blocks.losses[index] >= self.rules.retry_alone_after:
            blocks.run_alone(index)

    def _fail(self, index: int, why: str, now: float, out: list[Effect]) -> None:
        self.blocks.decide(index, BlockState.FAILED)
        out.append(BlockFailed(index, why))
        if not self.terms.keep_errors:
            self._stop(f"block {index} {why}", now, out)

    def _overtake(self, now: float, out: list[Effect]) -> None:
        """Where no two may run a block at once, idle workers get what others hold far longer than it should take."""
        overdue, self._handout.overdue = self._handout.overdue, []
        for unit in overdue:
            if unit.id not in self._units.flying:  # its worker was excluded just now
                continue
            self._lose(unit, "others would have run it long ago", False, now, out, late=False)
            out.append(Revoke(unit.id, unit.worker, "others would have run it long ago"))
            worker = self.workers[unit.worker]
            worker.strikes += 1
            if worker.strikes >= self.rules.strikes_max:
                self._exclude(unit.worker, f"was overtaken with {worker.strikes} units in a row", now, out)
        if overdue:
            self._handout.run(now, out)

    # -- what quorum says ---------------------------------------------------------------------------------------------

    def _decided(self, indices: Sequence[int], state: BlockState, now: float, out: list[Effect]) -> None:
        blocks, size, still_running = self.blocks, len(self.blocks), False
        if state < _FINAL_FIRST:
            return
        for index in indices:
            if 0 <= index < size and blocks.decide(index, state):
                still_running = still_running or blocks.running[index] > 0
        self._steps.note(now, state.name.lower(), "", indices)
        if still_running:
            self._revoke_decided(now, out)
        if state is BlockState.FAILED and not self.terms.keep_errors:
            self._stop("a block failed", now, out)

    def _revoke_decided(self, now: float, out: list[Effect]) -> None:
        """Nobody waits for a unit whose every block is decided."""
        final = self.blocks.final
        for unit in list(self._units.flying.values()):
            if all(final[index] for index in unit.indices):
                self._take_back(unit, "all its blocks are decided", now, out)

    def _take_back(self, unit: Unit, why: str, now: float, out: list[Effect]) -> None:
        self._units.close(unit, late=False)
        self.workers[unit.worker].over(len(unit.indices), now)
        for index in unit.indices:
            self.blocks.running[index] -= 1
        out.append(Revoke(unit.id, unit.worker, why))

    def _more(self, event: MoreReplicas | RunAgain, now: float, out: list[Effect]) -> None:
        index = event.index
        if not 0 <= index < len(self.blocks) or self.blocks.final[index] > BlockState.PROVISIONAL:
            return
        self.blocks.reopen(index)
        if isinstance(event, RunAgain):
            for name in event.workers:
                worker = self.workers.get(name)
                if worker is None or not worker.here or worker.avoided:
                    out.append(RerunLost(index, name))
                else:
                    worker.reruns.append(index)
            return
        if event.alone:
            self.blocks.alone[index] = None
        self.blocks.ask(index, event.count, event.avoid_owners, queued=not event.drawn)
        for _ in range(event.count if event.drawn else 0):
            self._handout.draw_for(index, now)
        self._steps.note(now, f"{event.count} more asked", "", (index,))

    # -- ends ---------------------------------------------------------------------------------------------------------

    def _stop(self, why: str, now: float, out: list[Effect]) -> None:
        """Everything undecided is cancelled; what runs is taken back."""
        final = self.blocks.final
        self._steps.note(now, f"stopped: {why}", "", ())
        for index in range(len(self.blocks)):
            if not final[index]:
                self.blocks.decide(index, BlockState.CANCELLED)
        for unit in list(self._units.flying.values()):
            self._take_back(unit, why, now, out)
        self._end(why, out)

    def _finish(self, out: list[Effect]) -> None:
        if self._closed and not self.done and not self.blocks.open and not self.blocks.count(BlockState.PROVISIONAL):
            self._end("", out)

    def _end(self, why: str, out: list[Effect]) -> None:
        if self.done:
            return
        self.done = True
        count = self.blocks.count
        settled = count(BlockState.SETTLED) + count(BlockState.PROVISIONAL)
        out.append(
            JobDone(settled, count(BlockState.FAILED), count(BlockState.DISPUTED), count(BlockState.CANCELLED), why)
        )

    def _schedule(self, now: float) -> None:
        times = [self._units.next_end(), None if self.paused else self._handout.wakeup()]
        known = [t for t in times if t is not None]
        self.next_wakeup = None if self.done or not known else max(now, min(known))

    # -- for people and for the market --------------------------------------------------------------------------------

    def observed(self) -> dict[NodeId, tuple[int, float]]:
        """Blocks returned and seconds taken by each worker, by this node's clock: what rank may believe."""
        return {w.id: (w.blocks_done, w.busy_s) for w in self.workers.values() if w.blocks_done}

    def running(self) -> dict[int, tuple[NodeId, int]]:
        """Units in flight: who has how many blocks."""
        return {unit.id: (unit.worker, len(unit.indices)) for unit in self._units.flying.values()}

    def counts(self) -> dict[str, int]:
        """Blocks by state, and replicas that wait for a worker."""
        named = {state.name.lower(): self.blocks.count(state) for state in BlockState if state >= _FINAL_FIRST}
        busy = sum(
            1
            for got, runs, final in zip(self.blocks.got, self.blocks.running, self.blocks.final, strict=True)
            if (got or runs) and not final
        )
        return {"waiting": self.blocks.open - busy, "running": busy, **named, "replicas_waiting": self.blocks.tokens}

    def story(self, index: int) -> list[str]:
        """What happened to a block, oldest first, as far back as the log goes."""
        return self._steps.story(index)

    def check(self) -> None:
        """Invariants, for tests: credits, counts and states hold together."""
        flying: dict[NodeId, int] = {}
        running = [0] * len(self.blocks)
        for unit in self._units.flying.values():
            flying[unit.worker] = flying.get(unit.worker, 0) + 1
            for index in unit.indices:
                running[index] += 1
        for worker in self.workers.values():
            assert worker.inflight == flying.get(worker.id, 0) >= 0, worker.id
            assert worker.free() == (worker.id in self._handout.free), worker.id
        assert list(self.blocks.running) == running
        need = self.blocks.need
        assert sum(need) == self.blocks.tokens
        assert all(not need[i] for i in range(len(self.blocks)) if self.blocks.final[i])
