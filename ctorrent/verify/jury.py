"""The votes of one job that strangers work on. Pure.

    answer ─▶ OPEN ── enough credible voices, all equal ─▶ PROVISIONAL ── window closed, nothing outstanding ─▶ SETTLED
               │ they differ                 ▲                 │ drawn for an audit, or a voice is struck
               ▼                             │                 ▼
            those who differ, again;         │              one more owner, drawn
            the requester's own run; ────────┘
            one more owner, drawn            └── none within the limit: DISPUTED

Replicas come one after the other (dispatch hands out the next when the one before was committed), so no worker can know
of a deciding majority when it commits itself. What a worker was wrong in is counted against its rate, not as a single
sin: machines err. Who is wrong too often for chance, while the requester's own runs bear the others out, is expelled:
its unsettled answers lose their voice, and blocks short of voices are run again. Negative votes are cast only against
the expelled, only when a block settles, and only over answers that can be compared.
"""

from __future__ import annotations

from collections.abc import Callable

from ctorrent.model.ids import NodeId
from ctorrent.model.job import Verify
from ctorrent.model.result import Verdict, output_digest
from ctorrent.verify import words as w
from ctorrent.verify.apart import Apart
from ctorrent.verify.audit import Audit, AuditRules
from ctorrent.verify.ballot import Replica, verdict
from ctorrent.verify.batch import Batch
from ctorrent.verify.case import Case, proves
from ctorrent.verify.compare import Different, Same, same
from ctorrent.verify.docket import Docket
from ctorrent.verify.ownruns import OwnRuns
from ctorrent.verify.reckoning import Reckoning
from ctorrent.verify.record import Record
from ctorrent.verify.steady import Steadiness
from ctorrent.verify.windows import Windows

DIFFERENCES_MAX = w.Rules().differences_max  # as the quorum


class Jury:
    """The votes of one job. `me`: the requester's own node, whose answers it trusts. `secret`: of its draws."""

    def __init__(
        self, policy: Verify, rules: AuditRules, secret: bytes, me: NodeId,
        compare: Callable[[bytes, bytes], Same | Different] | None = None,
    ) -> None:  # fmt: skip
        self.rules = rules
        self.differences: dict[int, str] = {}
        self._me = me
        self._compare = compare or (lambda left, right: same(left, right, policy))
        self._replicas = max(1, policy.replicas)
        self._limit = max(self._replicas, policy.replicas_max)
        self._audit = Audit(rules, secret, me)
        self._steady = Steadiness(rules.reruns_first)
        self._docket = Docket()
        self._windows = Windows(rules.window if rules.alone else rules.window_strict)
        self._own = OwnRuns(rules.own_at_once)
        self._record = Record(self._audit, self._docket, self._own, self._steady)
        self.take_learned = self._record.take  # for the next commit
        self._apart = Apart(self._audit, self._docket, self._own, self._steady)
        self._next: list[int] = []
        self._reckoning = Reckoning(self._audit, self._windows, self._steady)
        self._due: dict[int, None] = {}  # agreed on in this event, with nothing to wait for

    def handle(self, event: w.Event, now: float = 0.0) -> list[w.Effect]:
        """Never raises on what peers send. Effects: what was agreed, then requests, then what is settled, then votes."""
        out: list[w.Effect] = []
        batch = Batch(provisional=True)
        match event:
            case w.Arrived():
                self._arrived(event, out, batch)
            case w.SelfChecked():
                self._self_checked(event, out, batch)
            case w.SelfCheckFailed(index, why):
                self._self_check_failed(index, why, out, batch)
            case _:
                self._hear(event, out, batch)
        while self._reckoning.wrong:
            self._look_at(self._reckoning.wrong.popitem()[0], out, batch)
        while self._reckoning.risen:
            self._stand_by(self._reckoning.risen.popitem()[0], out, batch)
        if self._steady.off and self._audit.out:
            out += self._audit.pardon()
        self._apart.look(out)
        self._start_checks(out)
        self._close_windows(out, batch)
        if self._next:
            out.append(w.NextOwner(self._next))
            self._next = []
        agreed = [said for said in batch.agreed.values() if said.indices]
        return [*agreed, *out, *batch.last()]  # requests may open again what was just agreed on

    def _hear(self, event: w.Event, out: list[w.Effect], batch: Batch) -> None:
        match event:
            case w.OutputFetched(index, worker, output):
                self._fetched(index, worker, output, out, batch)
            case w.RerunLost(index, worker):
                if (case := self._docket.cases.get(index)) is not None and case.awaiting.pop(worker, worker) is None:
                    self._steady.answered(self._audit.workers[worker].owner)
                    self._weigh(index, case, out, batch)
            case w.RanTogether():
                if self._apart.ran(event, self._compare, out):
                    self._reckoning.wrong[event.worker] = None  # looked at again, whatever it showed
            case w.NoReplica(indices):
                self._no_replica(list(indices), out, batch)
            case w.Abandoned(indices):
                for index in indices:
                    self._audit.calm(self._docket.cases.get(index))
                    self._docket.close(index)
            case w.Total(blocks, closed):
                self._docket.total = blocks if closed else None
            case w.Known(worker, owner, valid):
                self._known(worker, owner, valid, out)
            case w.Restored():
                self._restored(event, out, batch)
            case w.Remembered() | w.JobRemembered():
                self._record.recall(event, out)
            case w.Resume():
                self._steady.resume()
                for index, case in list(self._docket.cases.items()):
                    self._weigh(index, case, out, batch)
            case _:
                pass

    # -- answers ------------------------------------------------------------------------------------------------------

    def _known(self, worker: NodeId, owner: str, valid: int, out: list[w.Effect]) -> None:
        self._audit.join(worker, owner, valid)
        self._windows.moved(worker)
        out.append(w.Standing(worker, self._audit.established(worker)))

    def _arrived(self, event: w.Arrived, out: list[w.Effect], batch: Batch) -> None:
        order = self._audit.answered(event.worker, event.owner)
        self._docket.grow(event.indices)
        for index, digest, output in zip(event.indices, event.digests, event.outputs, strict=False):
            case = self._docket.case(index)
            if case is None:
                continue
            replica = Replica(event.worker, event.owner, event.fingerprint, digest, output, event.alone, order, event.judged)
            if self._audit.expelled(event.worker):  # a check held it back: as if it had been lost
                if not case.has_owner(event.owner):
                    case.out = max(0, case.out - 1)
                    self._weigh(index, case, out, batch)
            elif self._add(index, case, replica):
                self._apart.late(index, case, event.worker, out)
                self._weigh(index, case, out, batch)

    def _add(self, index: int, case: Case, replica: Replica) -> bool:
        """One voice an owner; a re-run takes the place of what it repeats."""
        known = case.by_worker(replica.worker)
        if case.out and replica.owner == case.own_owner:
            case.out, case.own_owner = case.out - 1, ""  # the requester ran it twice meanwhile: that is its voice
            return True
        if known is not None:
            if case.awaiting.pop(replica.worker, replica) is not None:
                return False  # nobody asked for it twice
            self._steady.answered(replica.owner)
            if known.digest == replica.digest:
                self._steady.examined(replica.owner, False, known.alone)
                known.alone = known.alone or replica.alone
                return True
            if known.alone:  # else running it with others may have been at fault
                case.wavered.setdefault(replica.worker, known.digest)
            self._steady.examined(replica.owner, True, known.alone)
            self._docket.note(index, f"{replica.worker} gave another answer when asked again")
            case.drop(replica.worker)
        elif case.has_owner(replica.owner):
            return False
        else:
            case.out = max(0, case.out - 1)
        case.unplaced.append(replica)
        self._docket.voice(replica.worker, index)
        return True

    def _fetched(self, index: int, worker: NodeId, output: bytes | None, out: list[w.Effect], batch: Batch) -> None:
        if (case := self._docket.cases.get(index)) is None or worker not in case.fetching:
            return
        case.fetching = {name: None for name in case.fetching if name != worker}
        replica = case.by_worker(worker)
        if replica is not None:
            replica.output = output
            if output is None:  # promised and not given: as if it had never come
                case.drop(worker)
        self._weigh(index, case, out, batch)

    def _no_replica(self, indices: list[int], out: list[w.Effect], batch: Batch) -> None:
        self._docket.grow(indices)
        for index in indices:
            if (case := self._docket.alone(index)) is not None:
                case.lone, case.out = True, 0
                self._weigh(index, case, out, batch)

    # -- weighing -----------------------------------------------------------------------------------------------------

    def _weigh(self, index: int, case: Case, out: list[w.Effect], batch: Batch) -> None:
        """Agree, or ask for what would decide it."""
        if not (case.fetching or case.awaiting) and case.unplaced:
            lacking = case.place(self._compare)
            if lacking:
                case.fetching = {r.worker: None for r in lacking}
                out += [w.FetchOutput(index, r.worker, r.digest) for r in lacking]
        if not case.waiting:
            if len(case.classes) > 1:
                self._differ(index, case, out, batch)
            elif case.classes:
                self._concur(index, case, case.classes[0], out, batch)
            elif not case.out:
                self._begin_again(index, case, out)
        self._docket.look(index)

    def _begin_again(self, index: int, case: Case, out: list[w.Effect]) -> None:
        """No answer counts, or too few: another owner's will; where none comes, the requester's own; else none."""
        if not case.lone:
            self._ask(index, case, out)
        elif not self._leaves_to_own(index, case, out):
            self._dispute(index, case, out)

    def _leaves_to_own(self, index: int, case: Case, out: list[w.Effect]) -> bool:
        """Nobody else can decide it: does the requester's own run?"""
        if not self._own.able or not self._wants_own(index):
            return False
        case.checking = True
        self._own.wish(index)
        self._start_checks(out)
        return True

    def _concur(self, index: int, case: Case, members: list[Replica], out: list[w.Effect], batch: Batch) -> None:
        if not (case.lone or self._enough(members)):
            if not case.out:
                self._ask(index, case, out)
        elif not case.out:
            self._agree(index, case, members, out, batch)

    def _differ(self, index: int, case: Case, out: list[w.Effect], batch: Batch) -> None:
        self._audit.contest(case)
        if case.out:
            return
        if not case.examined and self._steady.may_ask_again([r.owner for r in case.replicas() if not r.alone]):
            case.examined = True
            self._apart.first(index, case, out)
            again = [r.worker for r in case.replicas() if r.worker != case.own and not self._audit.expelled(r.worker)]
            case.awaiting = dict.fromkeys(again)
            self._steady.ask(self._audit.workers[name].owner for name in again)
            out.append(w.Rerun(index, tuple(again)))
            return
        if self._steady.doubted(self._own.able, out):
            return
        if self._steady.suspected:
            self._apart.first(index, case, out)
        conflict = case.result is not None and len(case.result) > 1
        wanted = self._own.able and self._wants_own(index) and not self._steady.off
        if wanted and (conflict or self._steady.suspected or self._audit.backed < self.rules.own_first):
            self._own.wish(index)
            case.checking = conflict  # an agreement that a third owner denies waits for the requester's own word
            self._start_checks(out)
            if case.checking:
                return
        leading = case.leading(self._compare)
        if leading is not None:
            if case.own is not None and all(r.worker != case.own for r in leading):
                self._steady.outvoted(index)
            self._agree(index, case, leading, out, batch)
        elif case.voices() >= self._limit or case.lone:
            if not case.checked:
                self._steady.disputed()
            if not (self._steady.doubted(self._own.able, out) or self._leaves_to_own(index, case, out)):
                self._dispute(index, case, out)
        else:
            self._ask(index, case, out)

    def _dispute(self, index: int, case: Case, out: list[w.Effect]) -> None:
        self._audit.calm(case)
        self._docket.close(index)
        self._docket.note(index, "disputed: no strict majority")
        workers = tuple(r.worker for r in case.replicas())
        out.append(w.Disputed(index, case.differed or "no owner is left whose answer counts", workers))

    def _ask(self, index: int, case: Case, out: list[w.Effect]) -> None:
        """One more owner: in the ordinary way while nothing is said yet, drawn where others' work is looked at."""
        case.out += 1
        if case.result is None and len(case.classes) <= 1 and not case.struck:
            self._next.append(index)
        else:
            out.append(w.NeedReplicas(index, 1, False, case.owners(), drawn=True))

    # -- agreement ----------------------------------------------------------------------------------------------------

    def _agree(self, index: int, case: Case, members: list[Replica], out: list[w.Effect], batch: Batch) -> None:
        self._audit.calm(case)
        first = case.result is None
        case.result = members
        if not first or len(case.classes) > 1 or case.own is not None:
            self._record.blocks[index] = None
        kept = members[0]
        if not kept.failed and case.said is not members:
            if case.digest != kept.digest:
                if case.digest is not None:
                    self._docket.note(index, "agreed otherwise than before")
                batch.settle(index, kept.digest, kept.output, tuple(r.worker for r in members), False, len(members) > 1)
            case.said, case.digest = members, kept.digest
        self._reckoning.count(case, members, out)
        if kept.failed:
            case.ripe = True
        else:
            if len(case.classes) > 1 and len(self.differences) < DIFFERENCES_MAX:
                self.differences[index] = case.differed
            self._draw(index, case, members, out)
            if first:
                self._windows.open_all(index, members)
            case.forget_bytes()
        if case.ripe and case.quiet:
            self._due[index] = None

    def _draw(self, index: int, case: Case, members: list[Replica], out: list[w.Effect]) -> None:
        """Once a block: is it run once more, by the requester or by another owner?"""
        if case.drawn or case.lone or self._steady.off:
            return
        case.drawn = True
        if self._own.able and not case.has_word_of(self._me) and self._audit.is_drawn_for_own(index, self._own.asked):
            self._own.wish(index)
        elif self._audit.is_drawn(index, members):
            case.audited = members[0].worker
            case.out += 1
            out.append(w.NeedReplicas(index, 1, False, case.owners(), drawn=True))

    def _stand_by(self, name: NodeId, out: list[w.Effect], batch: Batch) -> None:
        """What it answered as a newcomer stands by itself now, where no second owner's answer has come."""
        for index, case in self._docket.of(name):
            if case.wants_second and self._enough(case.classes[0]):
                case.out = 0
                self._weigh(index, case, out, batch)

    def _look_at(self, name: NodeId, out: list[w.Effect], batch: Batch) -> None:
        """Expel a worker that was wrong too often for chance, and strike what it said."""
        why = self._audit.suspects(name) if name != self._me else ""
        if not why or self._apart.waits(name, out) or self._tries(name, out):
            self._doubt_alone(name, out)
            return
        self._audit.expel(name)
        self._windows.drop(name)
        self._steady.forget(self._audit.workers[name].owner)
        out += [w.Standing(name, False), w.Expelled(name, why)]
        for index, case in self._docket.leave(name):
            replica = case.drop(name)
            if replica is not None:
                case.struck.append(replica)
            if case.result is not None and not case.lone and self._short(case.result):
                self._reopen(index, case, out)
            else:
                self._weigh(index, case, out, batch)

    def _tries(self, name: NodeId, out: list[w.Effect]) -> bool:
        """Colluders can outvote an honest worker: the requester runs one of its disputed blocks, and that decides."""
        if not self._own.able or self._audit.convicted(name):
            return False
        disputed = [(i, case) for i, case in self._docket.of(name) if case.counted.get(name) is False and not case.checked]
        if disputed and not any(case.checking for _, case in disputed):
            index, case = disputed[-1]
            case.checking = True
            self._own.wish(index, first=True)
            self._docket.stir(index)
        return bool(disputed)

    def _doubt_alone(self, name: NodeId, out: list[w.Effect]) -> None:
        """It was wrong, which may be chance: of what stands on its word alone a part is run once more, the rest waits."""
        for index, case in self._docket.of(name) if name != self._me else ():
            if case.result is not None and case.quiet and case.voices() == 1 and self._audit.is_doubted(index, name):
                self._reopen(index, case, out)

    def _reopen(self, index: int, case: Case, out: list[w.Effect]) -> None:
        """Too few credible voices are left: what was said stays provisional until there are enough again."""
        if not (case.out or case.waiting or (case.lone and case.classes)):
            self._begin_again(index, case, out)
        self._docket.look(index)

    # -- windows ------------------------------------------------------------------------------------------------------

    def _close_windows(self, out: list[w.Effect], batch: Batch) -> None:
        for index in self._due:
            self._ripen(index, batch)
        self._due.clear()
        for name in filter(self._audit.trusted, self._windows.take_moved()):
            for index in self._windows.closed(name):
                self._ripen(index, batch)
        if self._docket.at_rest:
            self._last_round(out, batch)

    def _ripen(self, index: int, batch: Batch) -> None:
        if (case := self._docket.cases.get(index)) is not None:
            case.ripe = True
            if case.quiet and self._credible(case):
                self._settle(index, case, batch)

    def _credible(self, case: Case) -> bool:
        return bool(case.result) and (case.lone or not self._short(case.result or []))

    def _enough(self, members: list[Replica]) -> bool:
        """A failure that only one shows is tried elsewhere."""
        return not (self._short(members) or (members[0].failed and len(members) < 2))

    def _short(self, members: list[Replica]) -> bool:
        return len(members) < self._audit.needed([r.worker for r in members if r.judged], self._replicas)

    def _last_round(self, out: list[w.Effect], batch: Batch) -> None:
        """Every block is agreed on and every audit is in: what is short of voices is run again, the rest is final."""
        for index, case in list(self._docket.cases.items()):
            if self._credible(case):
                self._settle(index, case, batch)
            else:
                self._reopen(index, case, out)

    def _settle(self, index: int, case: Case, batch: Batch) -> None:
        """For ever, with its votes."""
        members = case.result or []
        cross = len(members) > 1
        workers = tuple(r.worker for r in members)
        self._docket.close(index)
        if members[0].failed:
            batch.settle(index, members[0].digest, members[0].output, workers, True, cross)
        else:
            batch.final(index, workers)
        for name in workers if cross else ():
            batch.vote(name, Verdict.AGREED, index)
        for replica in (*case.replicas(), *case.struck):
            if self._audit.expelled(replica.worker) and not self._steady.off and proves(members, replica, self._compare):
                batch.vote(replica.worker, Verdict.DISPUTED, index)

    def _restored(self, event: w.Restored, out: list[w.Effect], batch: Batch) -> None:
        if not event.voices or event.index in self._docket.cases or (case := self._docket.case(event.index)) is None:
            return
        members = self._record.restore(event, case)
        self._windows.open_all(event.index, members)
        if case.unplaced:  # a draw, or a dispute, brought them
            case.drawn = True
            self._weigh(event.index, case, out, batch)
        elif (case.struck and self._short(members)) or self._audit.is_lone_doubted(event.index, members):
            self._reopen(event.index, case, out)
        if members and not case.out:
            self._draw(event.index, case, members, out)  # an audit that was under way is drawn again
        self._docket.look(event.index)

    # -- the requester's own runs -------------------------------------------------------------------------------------

    def _start_checks(self, out: list[w.Effect]) -> None:
        for index in self._own.start(self._wants_own):
            self._docket.cases[index].checking = True
            self._docket.stir(index)
            self._apart.first(index, self._docket.cases[index], out)
            out.append(w.SelfCheck(index))

    def _wants_own(self, index: int) -> bool:
        case = self._docket.cases.get(index)
        return case is not None and not case.checked and case.own is None

    def _self_checked(self, event: w.SelfChecked, out: list[w.Effect], batch: Batch) -> None:
        first, second = (
            Replica(event.worker, event.owner, event.fingerprint, output_digest(o), o, True) for o in event.outputs
        )
        found = verdict(first, second, self._compare)
        if isinstance(found, Different) and (first.failed or second.failed):
            self._self_check_failed(event.index, "it failed in one of two runs", out, batch)
            return
        if not self._own.ended(event.index, failed=False):
            return
        if isinstance(found, Different) and not self._steady.own_differed(found.words, self._own.begun, out):
            return self._own.wish(event.index)  # this machine's memory, or the program's doing: one more time will tell
        self._steady.own_ran(same=not isinstance(found, Different))
        if (case := self._docket.cases.get(event.index)) is None:
            return
        case.checking, case.checked = False, True
        self._audit.worker(event.worker, event.owner)
        if not isinstance(found, Different) and not first.failed:
            case.own_ran(first)
        self._weigh(event.index, case, out, batch)

    def _self_check_failed(self, index: int, why: str, out: list[w.Effect], batch: Batch) -> None:
        if not self._own.ended(index, failed=True):
            return
        self._docket.note(index, f"not self-checked: {why}")
        if (case := self._docket.cases.get(index)) is not None:
            case.checking, case.checked = False, True
            self._weigh(index, case, out, batch)
        for waiting in [] if self._own.able else self._own.given_up():
            if (held := self._docket.cases.get(waiting)) is not None:
                held.checking, held.checked = False, True
                self._weigh(waiting, held, out, batch)

    # -- for people ---------------------------------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        return self._steady.paused

    @property
    def checking(self) -> bool:
        return self._own.busy

    def story(self, index: int) -> list[str]:
        return self._docket.story(index)
