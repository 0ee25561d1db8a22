"""Quorum of one job: one small vote a block, made when its first replica arrives. Pure.

    replica ──▶ OPEN ── enough owners, all equal ─────────────────────────────▶ AGREED
                 │ they differ                                                    ▲
                 ▼                                                                │ equal: coalescing was it, or
               RERUN (those who differ, alone) ───────────────────────────────────┤        somebody wavers
                 │ still                                                          │
                 ▼                                                                │ strict majority of owners; who
               SELF-CHECK (before a first negative vote) ──▶ MORE (one owner) ────┘ loses was asked once more
                 │ it differs from itself: job paused           └── none within the limit: DISPUTED

A worker is held to an answer only if it gave it again, alone, each time it was asked. One that gives another has
its newest answer counted, and is not accused of that block: that is for waver.py.

The usual block (two equal digests from two owners) costs two dict operations. Comparing large outputs happens inside
handle(): about 0.1 s for 64 MiB of floats, only where digests differ.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from ctorrent.model.ids import NodeId
from ctorrent.model.job import Verify
from ctorrent.model.result import Verdict, output_digest
from ctorrent.verify.ballot import Ballot, Repeats, Replica, Split, first_difference, largest_class, split, verdict
from ctorrent.verify.batch import Batch
from ctorrent.verify.blame import Blame
from ctorrent.verify.compare import SUPPORTED, Different, Same, same
from ctorrent.verify.words import (
    HINT,
    INDEX_MAX,
    Abandoned,
    Arrived,
    CoalesceOff,
    Disputed,
    Effect,
    Event,
    FetchOutput,
    JobNondeterministic,
    NeedReplicas,
    NoReplica,
    OutputFetched,
    Rerun,
    RerunLost,
    Resume,
    Rules,
    SelfCheck,
    SelfChecked,
    SelfCheckFailed,
    Total,
)


class Quorum:
    """The votes of one job. No time passes in it."""

    def __init__(self, policy: Verify, rules: Rules | None = None, compare: Callable[[bytes, bytes], Same | Different] | None = None) -> None:
        if compare is None and policy.equal not in SUPPORTED:
            raise ValueError(f"{policy.equal.name} is not a comparison this version has")
        self.rules = rules or Rules()
        self.paused = False  # reported nondeterministic, and nobody said to go on
        self.differences: dict[int, str] = {}  # first difference, in words, of blocks settled against somebody
        self._policy, self._how = policy, compare
        self._replicas = max(1, policy.replicas)
        self._limit = max(self._replicas, policy.replicas_max)
        self._ballots: dict[int, Ballot] = {}
        self._decided = bytearray()
        self._closed = 0  # decided blocks
        self._lone: dict[int, None] = {}  # no other owner will come, said before the first replica came
        self._rerunning: dict[int, None] = {}
        self._queued: dict[int, None] = {}  # disputes that wait for a place among the re-runs
        self._coalesce_off = False
        self._strife = ""  # the first difference, in words
        self._doubt = ""  # the coordinator's own runs contradict majorities, in words
        self._blame = Blame(self.rules)
        self._log: deque[tuple[int, str]] = deque(maxlen=self.rules.log_max)

    def handle(self, event: Event, now: float = 0.0) -> list[Effect]:
        """Never raises on what peers send. Effects: requests first, then what settled, then votes."""
        out: list[Effect] = []
        batch = Batch()
        match event:
            case Arrived():
                self._arrived(event, out, batch)
            case SelfChecked():
                self._self_checked(event, out, batch)
            case SelfCheckFailed(index, why):
                self._self_check_failed(index, why, out, batch)
            case _:
                self._hear(event, out, batch)
        self._blame_now(out, batch)
        if self._queued and not self._blame.deciding:
            self._drain(out, batch)
            self._blame_now(out, batch)
        for worker, blocks in batch.agreements():
            self._blame.waver.agreed(worker, blocks)
        return out + batch.effects()

    def _hear(self, event: Event, out: list[Effect], batch: Batch) -> None:
        match event:
            case OutputFetched(index, worker, output):
                self._fetched(index, worker, output, out, batch)
            case RerunLost(index, worker):
                ballot = self._ballots.get(index)
                if ballot is not None and ballot.awaiting.pop(worker, worker) is None:
                    self._weigh(index, ballot, out, batch)
            case NoReplica(indices):
                self._no_replica(indices, out, batch)
            case Abandoned(indices):
                for index in indices:
                    self._close(index)
            case Total(blocks, closed):
                self._blame.window.total = blocks if closed else None
            case Resume():
                self.paused = False
                self._blame.give_up()
                self._weigh_all(out, batch)
            case _:
                pass

    # -- replicas -----------------------------------------------------------------------------------------------------

    def _arrived(self, event: Arrived, out: list[Effect], batch: Batch) -> None:
        worker, owner, alone = event.worker, event.owner, event.alone
        ballots = self._ballots
        self._grow(event.indices)
        self._blame.waver.heard(worker, owner)
        decided = self._decided
        for index, digest, output in zip(event.indices, event.digests, event.outputs, strict=False):
            if not 0 <= index < len(decided) or decided[index]:
                continue
            ballot = ballots.get(index)
            if ballot is None:
                ballot = ballots[index] = Ballot(self._replicas, self._lone.pop(index, 0) is None)
            if self._add(ballot, Replica(worker, owner, event.fingerprint, digest, output, alone)):
                self._weigh(index, ballot, out, batch)

    def _grow(self, indices: Sequence[int]) -> None:
        top = max(indices, default=-1)
        if len(self._decided) <= top < INDEX_MAX:
            self._decided.extend(bytes(top + 1 - len(self._decided)))

    def _add(self, ballot: Ballot, replica: Replica) -> bool:
        """One voice an owner; a re-run takes the place of what it repeats."""
        for at, known in enumerate(ballot.replicas):
            if known.worker == replica.worker:
                if ballot.awaiting.pop(replica.worker, replica) is not None:
                    return False  # nobody asked for it twice
                ballot.replicas[at] = replica
                if ballot.repeats is not None:
                    ballot.repeats.before[replica.worker] = known
                return True
            if known.owner == replica.owner:
                return False
        ballot.replicas.append(replica)
        return True

    def _fetched(self, index: int, worker: NodeId, output: bytes | None, out: list[Effect], batch: Batch) -> None:
        ballot = self._ballots.get(index)
        if ballot is None or worker not in ballot.fetching:
            return
        del ballot.fetching[worker]
        replica = ballot.by_worker(worker)
        if replica is not None:
            replica.output = output
            if output is None:  # promised and not given: as if it had never come
                ballot.replicas.remove(replica)
                if not ballot.lone:
                    out.append(NeedReplicas(index, 1, True, (*ballot.owners(), replica.owner)))
        self._weigh(index, ballot, out, batch)

    def _no_replica(self, indices: Sequence[int], out: list[Effect], batch: Batch) -> None:
        self._grow(indices)
        for index in indices:
            ballot = self._ballots.get(index)
            if ballot is not None:
                ballot.lone = True
                self._weigh(index, ballot, out, batch)
            elif 0 <= index < len(self._decided) and not self._decided[index]:
                self._lone[index] = None

    # -- weighing -----------------------------------------------------------------------------------------------------

    def _weigh(self, index: int, ballot: Ballot, out: list[Effect], batch: Batch) -> None:
        """Decide, or ask for what would decide it."""
        replicas = ballot.replicas
        if not replicas or ballot.waiting or (len(replicas) < ballot.target and not ballot.lone):
            return
        self._rerunning.pop(index, None)
        digest = replicas[0].digest
        if ballot.repeats is None and all(r.digest == digest for r in replicas):
            self._all_equal(index, ballot, replicas, out, batch)
            return
        unopened = ballot.unopened()
        if unopened:
            ballot.fetching = {r.worker: None for r in unopened}
            out += [FetchOutput(index, r.worker, r.digest) for r in unopened]
            return
        if ballot.repeats is not None:
            self._heed(index, ballot, ballot.repeats)
        winners = largest_class(replicas, self._compare)
        if len(winners) == len(replicas):
            self._all_equal(index, ballot, winners, out, batch)
        else:
            self._differ(index, ballot, winners, out, batch)

    def _heed(self, index: int, ballot: Ballot, repeats: Repeats) -> None:
        """Did those who ran it again give the answer they gave before?"""
        for worker, before in repeats.before.items():
            now = ballot.by_worker(worker)
            if now is None or now.failed or before.failed:
                continue
            found = verdict(before, now, self._compare)
            if isinstance(found, Same):
                repeats.same[worker] = repeats.same.get(worker, 0) + 1
            elif not before.alone:
                repeats.changed = True
            else:
                repeats.wavered[worker] = None
                self._wavered(index, now, found.words)
        repeats.before.clear()

    def _wavered(self, index: int, replica: Replica, words: str) -> None:
        self._note(index, f"{replica.worker} gave two answers, alone both times: {words}")
        if self._blame.wavered(replica.worker, replica.owner):
            self._doubt = f"result of block {index}, run twice by one worker alone: {words}"

    def _all_equal(
        self, index: int, ballot: Ballot, winners: list[Replica], out: list[Effect], batch: Batch
    ) -> None:
        if winners[0].failed and len(winners) < 2 and not ballot.lone:
            self._ask(index, ballot, out)  # a failure that only one shows is tried elsewhere
            return
        if ballot.repeats is not None and ballot.repeats.changed and not self._coalesce_off:
            self._coalesce_off = True
            out.append(CoalesceOff(f"block {index} came out otherwise when run alone: {ballot.differed}"))
        self._settle(index, ballot, winners, batch)

    def _differ(self, index: int, ballot: Ballot, winners: list[Replica], out: list[Effect], batch: Batch) -> None:
        if not ballot.differed:
            found = first_difference(ballot.replicas, self._compare)
            ballot.differed = found.words if found else "the results differ"
            self._note(index, f"differs: {ballot.differed}")
            self._blame.dispute(tuple(r.worker for r in ballot.replicas if not r.failed))
        values = split([r for r in ballot.replicas if not r.failed], self._compare)
        rest = [r for r in values.values if not self._blame.found_out(r.worker)]
        unexplained = values if len(rest) == len(values.values) else split(rest, self._compare)
        if unexplained.differ and self._rerun(index, ballot, unexplained, out):
            return
        if values.differ:
            self._record(index, ballot, values)
        if self.paused or self._blame.window.waits(index) or (unexplained.differ and self._check(index, ballot, out)):
            return
        self._count(index, ballot, winners, out, batch)

    def _record(self, index: int, ballot: Ballot, values: Split) -> None:
        """Tell the early window who may be the odd one out here."""
        if values.majority:
            self._blame.window.agreed(tuple(r.worker for r in values.most), first=False)
        self._strife = self._strife or f"result of block {index}: {ballot.differed}"
        ballot.recorded = True
        self._blame.window.differed(index, tuple(r.worker for r in values.outside()))

    def _rerun(self, index: int, ballot: Ballot, values: Split, out: list[Effect]) -> bool:
        """The first doubt falls on running blocks together, the next on whether the answer is the worker's only one.

        Who has repeated its answer once is asked again only when a majority says otherwise, since only then is that
        answer about to be held against it. Only so many blocks at once; the others wait, and need it no more when it
        turns out that one of the peers lies.
        """
        limit = 0 if self._blame.off else self.rules.repeats if values.majority else 1
        workers = [] if self.paused else ballot.doubted(values, limit)
        if not workers:
            return False
        first = ballot.repeats is None
        if self._blame.deciding or (first and len(self._rerunning) >= self.rules.reruns_at_once):
            self._queued[index] = None
            return True
        self._rerunning[index] = None
        ballot.ask_again(workers)
        out.append(Rerun(index, tuple(workers)))
        return True

    def _drain(self, out: list[Effect], batch: Batch) -> None:
        """Disputes that waited for a place among the re-runs."""
        while self._queued and len(self._rerunning) < self.rules.reruns_at_once:
            index = next(iter(self._queued))
            del self._queued[index]
            ballot = self._ballots.get(index)
            if ballot is not None:
                self._weigh(index, ballot, out, batch)

    def _check(self, index: int, ballot: Ballot, out: list[Effect]) -> bool:
        """Before anybody is voted against, the coordinator runs the block twice itself."""
        if ballot.checked or not self._blame.start(index):
            return False
        ballot.checking = True
        out.append(SelfCheck(index))
        return True

    def _count(self, index: int, ballot: Ballot, winners: list[Replica], out: list[Effect], batch: Batch) -> None:
        replicas = ballot.replicas
        if 2 * len(winners) > len(replicas):
            self._settle(index, ballot, winners, batch)
        elif len(replicas) >= self._limit or ballot.lone:
            self._close(index)
            self._note(index, "disputed: no strict majority")
            out.append(Disputed(index, ballot.differed, tuple(r.worker for r in replicas)))
        else:
            self._ask(index, ballot, out)

    def _ask(self, index: int, ballot: Ballot, out: list[Effect]) -> None:
        ballot.target = len(ballot.replicas) + 1
        out.append(NeedReplicas(index, 1, True, ballot.owners()))

    # -- decisions ----------------------------------------------------------------------------------------------------

    def _settle(self, index: int, ballot: Ballot, winners: list[Replica], batch: Batch) -> None:
        kept, workers = winners[0], tuple(r.worker for r in winners)
        cross = len(winners) >= 2
        self._close(index)
        if cross:
            self._blame.agreements += not ballot.differed
            self._blame.window.agreed(workers, first=not ballot.recorded)
        if len(winners) < len(ballot.replicas):
            self._note(index, f"settled by {len(winners)} of {len(ballot.replicas)}")
            if len(self.differences) < self.rules.differences_max:
                self.differences[index] = ballot.differed
            self._accuse(index, ballot, winners)
        batch.settle(index, kept.digest, kept.output, workers, kept.failed, cross)

    def _accuse(self, index: int, ballot: Ballot, winners: list[Replica]) -> None:
        own, winner, blame = ballot.own, winners[0], self._blame
        repeats = ballot.repeats or Repeats()
        losers = [r for r in ballot.replicas if self._proves(winners, r) and (own is None or r.worker != own.worker)]
        if own is not None and not self._backs(own, winner, index):
            return
        for loser in losers:
            if loser.worker in repeats.wavered and not blame.found_out(loser.worker):
                blame.lost_wavering(loser.worker, index, winner)
            elif repeats.same.get(loser.worker, 0) >= self.rules.repeats or blame.found_out(loser.worker):
                blame.accuse(loser.worker, index, winner)
                if own is not None:
                    blame.prove(loser.worker, index)

    def _backs(self, own: Replica, winner: Replica, index: int) -> bool:
        """Do the coordinator's own runs agree with what a majority says? Where not, it is noted against the program."""
        found = verdict(own, winner, self._compare)
        if isinstance(found, Same):
            return True
        comparable = not found.exact or own.fingerprint == winner.fingerprint
        if comparable and not (own.failed or winner.failed) and self._blame.contradicted():
            self._doubt = f"result of block {index}, run here twice and by a majority elsewhere: {found.words}"
        return False

    def _proves(self, winners: list[Replica], loser: Replica) -> bool:
        """Is losing to these evidence? Not a failure's, not of a shared unit, not an exact one across environments."""
        if loser.failed or winners[0].failed or not loser.alone:
            return False
        for winner in winners:
            found = verdict(winner, loser, self._compare)
            if isinstance(found, Different) and (not found.exact or winner.fingerprint == loser.fingerprint):
                return True
        return False

    def _close(self, index: int) -> None:
        self._grow((index,))
        if 0 <= index < len(self._decided):
            self._closed += not self._decided[index]
            self._decided[index] = 1
        self._ballots.pop(index, None)
        self._lone.pop(index, None)
        self._rerunning.pop(index, None)
        self._queued.pop(index, None)
        self._blame.window.resolved(index)

    # -- the coordinator's own runs -----------------------------------------------------------------------------------

    def _self_checked(self, event: SelfChecked, out: list[Effect], batch: Batch) -> None:
        first, second = (
            Replica(event.worker, event.owner, event.fingerprint, output_digest(o), o, True) for o in event.outputs
        )
        found = verdict(first, second, self._compare)
        if isinstance(found, Different) and (first.failed or second.failed):
            self._self_check_failed(event.index, "it failed in one of two runs", out, batch)
            return
        if not self._blame.ended(event.index, failed=False):
            return
        if isinstance(found, Different):
            self._pause(f"run twice on one machine, {found.words}: {HINT}", out)
            return
        self._try(event.index, first)
        ballot = self._ballots.get(event.index)
        if ballot is not None:
            ballot.checking, ballot.checked, ballot.own = False, True, first
            if not self._add(ballot, first):  # it is one of the workers too
                self._compare_with_itself(event.index, ballot, first)
            self._weigh(event.index, ballot, out, batch)

    def _compare_with_itself(self, index: int, ballot: Ballot, own: Replica) -> None:
        known = ballot.by_worker(own.worker)
        if known is None or not known.alone or known.failed or own.failed:
            return
        found = verdict(known, own, self._compare)
        if isinstance(found, Different):
            self._wavered(index, own, found.words)

    def _try(self, index: int, own: Replica) -> None:
        """Votes held for this block's proof are cast or dropped."""
        for worker, winner in self._blame.trials(index):
            if worker != own.worker and self._backs(own, winner, index):
                self._blame.prove(worker, index)
            else:
                self._blame.acquit(worker, index)

    def _self_check_failed(self, index: int, why: str, out: list[Effect], batch: Batch) -> None:
        if not self._blame.ended(index, failed=True):
            return
        self._note(index, f"not self-checked: {why}")
        for worker, _ in self._blame.trials(index):
            self._blame.acquit(worker, index)
        ballot = self._ballots.get(index)
        if ballot is not None:
            ballot.checking, ballot.checked = False, True
            self._weigh(index, ballot, out, batch)

    def _blame_now(self, out: list[Effect], batch: Batch) -> None:
        """Votes whose proof is complete are cast; missing proofs are asked for."""
        blame = self._blame
        if blame.off:
            return
        if self._doubt:
            self._pause(f"{self._doubt}: {HINT}", out)
            return
        total, was_closed = blame.window.total, blame.window.closed
        if blame.window.judge(last=total is not None and not self._ballots and self._closed >= total):
            self._pause(f"{self._strife}: {HINT}", out)
            return
        if blame.window.closed and not was_closed:
            self._weigh_all(out, batch)
        blame.convict(lambda worker: any(worker in self._ballots[index].awaiting for index in self._rerunning))
        for worker, indices in blame.release().items():
            for index in indices:
                batch.vote(worker, Verdict.DISPUTED, index)
        out += [SelfCheck(index) for index in blame.next_trials()]

    def _weigh_all(self, out: list[Effect], batch: Batch) -> None:
        for index, ballot in list(self._ballots.items()):
            self._weigh(index, ballot, out, batch)

    def _pause(self, words: str, out: list[Effect]) -> None:
        if self._blame.off:
            return
        self.paused = True
        self._blame.give_up()
        for ballot in self._ballots.values():
            ballot.checking = False
        out.append(JobNondeterministic(words))

    # -- comparing ----------------------------------------------------------------------------------------------------

    def _compare(self, left: bytes, right: bytes) -> Same | Different:
        return same(left, right, self._policy) if self._how is None else self._how(left, right)

    # -- for people ---------------------------------------------------------------------------------------------------

    @property
    def checking(self) -> bool:
        """A self-check is under way: votes may still come, even when every block is decided."""
        return self._blame.checking

    def withheld(self) -> dict[NodeId, int]:
        """Votes held for want of proof, by worker: the report says so."""
        return self._blame.withheld()

    def story(self, index: int) -> list[str]:
        """What happened to a block that was not simply agreed, and who has answered so far."""
        lines = [what for about, what in self._log if about == index]
        ballot = self._ballots.get(index)
        if ballot is not None:
            lines.append(f"answered by {', '.join(r.worker for r in ballot.replicas)}; waits for {ballot.waits_for()}")
        return lines

    def _note(self, index: int, what: str) -> None:
        self._log.append((index, what))
