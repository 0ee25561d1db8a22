"""Which worker gets what, now: re-runs and lone blocks first, then first and second replicas, stragglers' copies last.

A worker is never told why it gets a block. Which replica it gets is drawn from the secret seed that it cannot see.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from ctorrent.dispatch.blocks import MARK, Blocks, Owners, Queues, mark_in, owners_in
from ctorrent.dispatch.shares import Shares
from ctorrent.dispatch.steps import Steps
from ctorrent.dispatch.units import Unit, Units
from ctorrent.dispatch.words import Assign, Effect, NoReplica, Rules, Terms
from ctorrent.dispatch.workers import Worker
from ctorrent.model.ids import NodeId

HIDE_SHARE = 8  # of what is under way, one in so many: then second replicas come soon, and a liar is known by its 20th block
Pick = Callable[[int, int, Iterable[NodeId]], "NodeId | None"]  # (block, round, candidates): the secret's choice


class Handout:
    """The part of dispatch that gives blocks away. Shares its records with the machine, which changes them too."""

    def __init__(
        self, terms: Terms, rules: Rules, draw: random.Random, first_unit: int, steps: Steps, pick: Pick | None = None
    ) -> None:
        self._pick_of = pick or (lambda _index, _round, nodes: min(nodes, default=None))
        self.blocks = Blocks()
        self.workers: dict[NodeId, Worker] = {}
        self.free: dict[NodeId, Worker] = {}  # those with credit left: of hundreds, a few
        self.units = Units(first_unit, rules.expired_max)
        self.shares = Shares(rules, strangers=terms.apart)
        self.coalesce = terms.coalesce
        self.others = True  # is another owner within reach?
        self.wait_s = 0.0  # how long for, at least
        self.next_look = 0.0
        self._terms, self._rules, self._draw, self._steps = terms, rules, draw, steps
        self.overdue: list[Unit] = []  # to be taken back: the machine does it
        self._fit: bool | None = None  # of this turn
        self._slots: int | None = None  # likewise
        self._proven: bool | None = None  # likewise
        self._stuck: dict[Owners, float] = {}  # since when nobody may take what waits there

    def run(self, now: float, out: list[Effect]) -> None:
        """Give what can be given; look round now and then."""
        self._fit = self._slots = self._proven = None
        self._feed(now, out)
        if now >= self.next_look:
            self._look(now, out)

    def wakeup(self) -> float | None:
        """When to run again if nothing happens."""
        if not self.workers:
            return None
        waits = self.blocks.tokens or self.units.flying or any(w.reruns or w.drawn for w in self.workers.values())
        return self.next_look if waits else None

    def _feed(self, now: float, out: list[Effect]) -> None:
        """Give every worker with credit what it may take, best first, one unit a turn so that scarce work spreads."""
        queued = self.blocks.queued()  # near the end a thousand workers wait, and none of them need be asked
        idle = [w for w in self.free.values() if (queued or w.drawn or w.reruns) and w.ready(now)]
        idle.sort(key=lambda w: (-w.weight, w.id))
        while idle:
            idle = [w for w in idle if self._give(w, now, out) and w.ready(now)]

    def _give(self, worker: Worker, now: float, out: list[Effect]) -> bool:
        """One unit for this worker. False: nothing for it."""
        while worker.reruns:
            index = worker.reruns.popleft()
            if self.blocks.hand_again(index):
                self._send(worker, (index,), True, now, out).rerun = True
                return True
        if self._terms.apart and not self.shares.has_turn(worker) and self._mostly_proven():
            return False
        room = self.shares.room(worker, self.blocks.planned)
        many = len(self.workers) > self._rules.many_workers and not self._terms.homogeneous
        queued = room > 0 or not (many and self._many_fit(now))  # may it have what waits for anybody?
        taken = self._from(self.blocks.urgent, worker, 1, room, now) if queued and self.blocks.urgent else []
        if taken:
            self._send(worker, taken, True, now, out)
            return True
        if not (queued or worker.drawn):
            return False
        size = self._unit_blocks(worker)
        taken = self._drawn_for(worker, size)
        if queued and len(taken) < size:
            taken += self._from(self.blocks.queues, worker, size - len(taken), room, now)
        if taken:
            self._send(worker, taken, len(taken) == 1, now, out)
        return bool(taken)

    def _mostly_proven(self) -> bool:
        """Asked of all workers, so once a turn."""
        if self._proven is None:
            self._proven = self.shares.mostly_proven(self.workers.values())
        return self._proven

    # -- drawn replicas -----------------------------------------------------------------------------------------------

    def draw_for(self, index: int, now: float) -> None:
        """Give one replica that is needed and not queued to the worker that the secret picks; else anybody may take it.

        Uniform over the established, else over all; of other kin than those that ran the block, where there are such.
        """
        ran = self.blocks.ran[index]
        able: list[Worker] = []
        kin: set[str] = set()
        for worker in self.workers.values():
            if worker.owner in ran:
                kin.update(worker.kin)
            elif worker.here and not worker.avoided and self._may(worker, ran):
                able.append(worker)
        far = [w for w in able if kin.isdisjoint(w.kin)] or able
        held = [w for w in far if w.established] or far
        chosen = self._pick_of(index, len(ran), [w.id for w in held])
        if chosen is None:
            self.blocks.queue(index)
        else:
            self.workers[chosen].drawn[index] = now

    def let_go(self, worker: Worker) -> None:
        """What was drawn for it goes to others."""
        waiting, worker.drawn = worker.drawn, {}
        for index in waiting:
            self.blocks.queue(index)

    def _drawn_for(self, worker: Worker, most: int) -> list[int]:
        taken: list[int] = []
        while worker.drawn and len(taken) < most:
            index = next(iter(worker.drawn))
            del worker.drawn[index]
            if self._may(worker, self.blocks.ran[index]) and self.blocks.hand_drawn(index, worker.owner, self._mark(worker)):
                taken.append(index)
            else:  # its owner has it by another way: then it is anybody's
                self.blocks.queue(index)
        return taken

    def _overdue(self, now: float) -> None:
        """Its worker is too busy for it: the draw said who should, not that the job waits."""
        for worker in self.workers.values():
            for index in [i for i, since in worker.drawn.items() if now - since > self._rules.drawn_s]:
                del worker.drawn[index]
                self.blocks.queue(index)

    def _may(self, worker: Worker, key: Owners) -> bool:
        """May this worker run what is named by `key`?"""
        if worker.owner in key:
            return False
        return not self._terms.homogeneous or mark_in(key) in ("", self._mark(worker))

    def _mark(self, worker: Worker) -> str:
        return MARK + worker.hardware_class if self._terms.homogeneous else ""

    def _unit_blocks(self, worker: Worker) -> int:
        """How many blocks its next unit may have: its own size, but a guided share of what is left."""
        if not self.coalesce:
            return 1
        if self._terms.sparing and not worker.established:
            return min(worker.size, self._rules.unit_newcomer)
        if self._slots is None:
            self._slots = sum(w.slots for w in self.workers.values() if w.here and not w.avoided)
        slots = self._slots
        share = -(-self.blocks.tokens // (2 * max(1, slots)))
        least = min(self._rules.unit_least, -(-self.blocks.tokens // max(1, slots)))
        return max(1, min(worker.size, max(share, least)))

    def _from(self, queues: Queues, worker: Worker, count: int, room: int, now: float) -> list[int]:
        """A slice of a queue this worker may take, drawn by length: so nobody can time its way to a friend's blocks.

        First replicas count only as many as second ones may hide among: the fewer blocks are open, the less is held.
        room: blocks it may have while others fit.
        """
        bytes_max, planned, owner = self._rules.unit_bytes_max, self.blocks.planned, worker.owner
        hide = self._rules.hide_min
        if worker.established or not self._terms.sparing:  # each first replica that a newcomer runs costs a second run
            hide = max(hide, self.units.blocks // HIDE_SHARE)
        keys = [key for key, queue in queues.items() if queue and owner not in key]
        if self._terms.homogeneous:
            keys = [key for key in keys if self._may(worker, key)]
        while keys:
            key = keys.pop(self._pick([len(queues[k]) if k else min(hide, len(queues[k])) for k in keys]))
            limit = count
            if room < count and self._others_fit(key, planned, now):
                limit = room
            taken = self.blocks.take(queues, key, owner, limit, bytes_max, self._mark(worker)) if limit else []
            if taken:
                return taken
        return []

    def _others_fit(self, key: Owners, planned: int, now: float) -> bool:
        mark = mark_in(key) if self._terms.homogeneous else ""
        if mark:  # only those of its class can
            return self.shares.others_fit(key, [w for w in self.workers.values() if self._mark(w) == mark], planned, now)
        if len(self.workers) > self._rules.many_workers:
            return self._many_fit(now)
        return self.shares.others_fit(key, self.workers.values(), planned, now)

    def _many_fit(self, now: float) -> bool:
        """Among many workers no block has so many owners behind it that it matters which: asked once a turn."""
        if self._fit is None:
            self._fit = self.shares.others_fit((), self.workers.values(), self.blocks.planned, now)
        return self._fit

    def _pick(self, weights: list[int]) -> int:
        """A position, drawn in proportion to its weight."""
        if len(weights) == 1:
            return 0
        draw = self._draw.random() * sum(weights)
        for position, weight in enumerate(weights):
            draw -= weight
            if draw < 0:
                return position
        return len(weights) - 1

    def _send(self, worker: Worker, indices: Sequence[int], alone: bool, now: float, out: list[Effect]) -> Unit:
        losses = max(self.blocks.losses[index] for index in indices)
        lease_s = worker.lease_s(len(indices), losses, self._terms.block_s, self._rules)
        unit = self.units.open(worker.id, worker.owner, indices, now, lease_s, alone)
        worker.sent(len(indices), now)
        self.shares.add(worker, len(indices))
        self._steps.note(now, "assigned", worker.id, indices)
        out.append(Assign(unit.id, worker.id, indices, lease_s, alone))
        return unit


    def _look(self, now: float, out: list[Effect]) -> None:
        self.next_look = now + self._rules.look_s
        self._overdue(now)
        if self.blocks.tokens:
            self._look_for_owners(now, out)
        if not self.blocks.tokens:
            self._stuck.clear()
        if not self.blocks.tokens or self._terms.apart:  # what waits may wait for the very straggler
            self._copy_stragglers(now, out)

    def _look_for_owners(self, now: float, out: list[Effect]) -> None:
        """Replicas beyond the policy's count that no engaged owner may run wait a while, then quorum is told.

        Those of the policy wait for as long as it takes: how many owners must agree is the requester's word alone.
        """
        able = [w for w in self.workers.values() if w.here and not w.avoided]
        patience = max(self._rules.other_owner_s, self.wait_s) if self.others else 0.0
        lonely: list[int] = []
        for queues in (self.blocks.urgent, self.blocks.queues):
            for key in [k for k, queue in queues.items() if queue and self._lacks(k, able)]:
                if not able or now - self._stuck.setdefault(key, now) < patience:
                    continue
                lonely += self._drop(queues, key, self._is_extra(key))
        waiting = [k for q in (self.blocks.urgent, self.blocks.queues) for k, queue in q.items() if queue]
        self._stuck = {k: t for k, t in self._stuck.items() if k in waiting and self._lacks(k, able)}
        if lonely:
            out.append(NoReplica(lonely))

    def _is_extra(self, key: Owners) -> bool:
        """Did as many owners run what waits there as the policy asks for?"""
        return owners_in(key) >= self._terms.replicas

    def _lacks(self, key: Owners, able: Iterable[Worker]) -> bool:
        """May none of these run what waits there?"""
        return not any(self._may(worker, key) for worker in able)

    def _drop(self, queues: Queues, key: Owners, extra: bool) -> list[int]:
        """Replicas nobody can take; of those that the policy asks for only what was drawn to look once more."""
        blocks, out = self.blocks, []
        kept: deque[int] = deque()
        for index in queues.pop(key):
            if blocks.ran[index] is not key or not blocks.need[index] or blocks.final[index]:
                continue
            if extra or index in blocks.audits:
                blocks.drop_need(index)
                out.append(index)
            else:
                kept.append(index)
        if kept:
            queues[key] = kept
        return out

    def _copy_stragglers(self, now: float, out: list[Effect]) -> None:
        """Idle workers near the end run copies of units that take far longer than the median says they should, or those instead."""
        measured = sorted(w.est_s for w in self.workers.values() if w.est_s is not None)
        idle = [w for w in self.workers.values() if w.ready(now)]
        if not measured or not idle:
            return
        each = measured[len(measured) // 2]
        idle.sort(key=lambda w: (-w.weight, w.id))
        for unit in list(self.units.flying.values()):
            expected = self._rules.straggle_factor * each * len(unit.indices)
            if unit.copied or unit.copy or unit.rerun or now - unit.sent < max(expected, self._rules.straggle_min_s):
                continue
            if self._terms.apart:  # two at once would know of one another
                if now - self.workers[unit.worker].quiet_since >= max(expected, self._rules.silence_s):
                    self._give_up(unit, idle)
                continue
            for worker in idle:
                if self._copy(unit, worker, now, out):
                    break
            idle = [w for w in idle if w.ready(now)]

    def _give_up(self, unit: Unit, idle: Iterable[Worker]) -> None:
        """An idle worker runs it instead, but not for ever: some blocks simply take long."""
        blocks = self.blocks
        todo = [i for i in unit.indices if not blocks.final[i]]
        if not todo or any(blocks.overtaken.get(i, 0) >= self._rules.overtaken_max for i in todo):
            return
        if any(self._may(worker, blocks.ran[todo[0]]) for worker in idle):
            blocks.overtaken.update((i, blocks.overtaken.get(i, 0) + 1) for i in todo)
            unit.copied = True
            self.overdue.append(unit)

    def _copy(self, unit: Unit, worker: Worker, now: float, out: list[Effect]) -> bool:
        blocks = self.blocks
        todo = [i for i in unit.indices if not blocks.final[i] and self._may(worker, blocks.ran[i])]
        if not todo or not worker.ready(now):
            return False
        for index in todo:
            blocks.hand_copy(index, worker.owner)
        unit.copied = True
        self._send(worker, todo, unit.alone, now, out).copy = True
        return True
