"""Evidence before blame: when a negative vote may be cast, and when the program is to blame instead. Pure.

Only an answer that its worker repeated, alone, is held against it (quorum.py asks; waver.py counts those who could
not repeat theirs). A vote against a worker waits until (1) the first blocks of the job were compared and do not speak
against the program, and (2) the coordinator ran blocks that this worker lost, each twice, alone: its own runs agreed with each
other and with the result: once where nearly all blocks are agreed on at once, else more often. Whoever was found out
that way needs no further check in the same job.
One run that differs drops every vote still held: then it is the program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from ctorrent.model.ids import NodeId
from ctorrent.verify.ballot import Replica
from ctorrent.verify.waver import Wavering
from ctorrent.verify.words import Rules


@dataclass(slots=True)
class Held:
    """Votes against one worker that wait for proof. `cases`: lost blocks with their results, to be run again."""

    indices: list[int] = field(default_factory=list)
    cases: list[tuple[int, Replica]] = field(default_factory=list)
    proofs: int = 0
    proven: dict[int, None] = field(default_factory=dict)  # blocks

    def trial(self, again: bool) -> tuple[int, Replica] | None:
        """The next block to run. again: the same once more where it lost no other."""
        fresh = next((case for case in self.cases if case[0] not in self.proven), None)
        return fresh or (self.cases[-1] if again and self.cases else None)


class EarlyWindow:
    """The first compared blocks: do they disagree because of one peer, or because of the program?

    One peer is to blame when it alone is suspect in every disagreement and others agreed without it. While that
    cannot be told yet, the first disputes go on to more owners and the rest wait.
    """

    __slots__ = ("_peace", "_pending", "_rules", "_seen", "_strife", "closed", "total")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.closed = False  # judged: the program is not to blame
        self.total: int | None = None  # blocks of the job, once no more will come
        self._seen = 0
        self._peace: list[tuple[NodeId, ...]] = []  # who agreed
        self._strife: dict[int, tuple[NodeId, ...]] = {}  # block -> who may be the odd one out
        self._pending: dict[int, None] = {}  # disputes that go on

    def agreed(self, workers: tuple[NodeId, ...], first: bool) -> None:
        """Two owners or more gave one result. `first`: without a dispute before it."""
        if self.closed:
            return
        self._seen += first
        if len(self._peace) < 4 * self._rules.early_blocks:
            self._peace.append(workers)

    def differed(self, index: int, suspects: tuple[NodeId, ...]) -> None:
        """A block's values differ; `suspects`: those outside a strict majority, or all. Again as more answers come."""
        if self.closed:
            return
        if index not in self._strife:
            self._seen += 1
            self._pending[index] = None
        self._strife[index] = suspects

    def resolved(self, index: int) -> None:
        """The dispute is over, one way or the other."""
        self._pending.pop(index, None)

    def waits(self, index: int) -> bool:
        """Enough disputes of the first blocks go on already: this one waits for the judgement."""
        if self.closed or index not in self._pending:
            return False
        return index not in self._first()

    def judge(self, last: bool = False) -> bool:
        """True: pause the job. Otherwise `closed` says whether the matter is settled. `last`: no more will be seen."""
        if self.closed:
            return False
        size = self._rules.early_blocks if self.total is None else min(self._rules.early_blocks, self.total)
        if self._seen < size and not last:
            return False
        if len(self._strife) <= self._rules.early_share * self._seen or self._seen < self._rules.early_min:
            self.closed = True
            return False
        common = self._in_every_dispute()
        if len(common) == 1 and any(common[0] not in workers for workers in self._peace):
            self.closed = True
            return False
        return not common or not any(index in self._pending for index in self._first())

    def _first(self) -> list[int]:
        """The disputes that go on while nothing is judged."""
        return list(islice(self._strife, self._rules.early_blocks))

    def _in_every_dispute(self) -> list[NodeId]:
        common: list[NodeId] | None = None
        for suspects in self._strife.values():
            common = [w for w in suspects if common is None or w in common]
        return common or []


class Blame:
    """Holds votes, and says which blocks the coordinator should run itself."""

    __slots__ = (
        "_checks", "_contradictions", "_disputes", "_disputes_of", "_failures", "_rules", "agreements", "convicted",
        "deciding", "held", "odd", "off", "waver", "window",
    )  # fmt: skip

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.window = EarlyWindow(rules)
        self.convicted: dict[NodeId, None] = {}
        self.held: dict[NodeId, Held] = {}
        self.waver = Wavering(rules)
        self.deciding = False  # somebody's guilt waits only for answers that it was asked to repeat
        self.odd: dict[NodeId, list[tuple[int, Replica]]] = {}  # lost with an answer that was not its first
        self.off = False  # the program is suspected: nobody is voted against any more
        self._checks: dict[int, None] = {}  # self-checks under way
        self._failures = 0
        self._contradictions = 0
        self.agreements = 0  # blocks on which owners agreed at once
        self._disputes = 0
        self._disputes_of: dict[NodeId, int] = {}

    def dispute(self, workers: tuple[NodeId, ...]) -> None:
        """A block on which these differ."""
        self._disputes += 1
        for worker in workers:
            self._disputes_of[worker] = self._disputes_of.get(worker, 0) + 1

    def found_out(self, worker: NodeId) -> bool:
        """Needs no more to be accused: it lies, or wavers where others do not."""
        return worker in self.convicted or self.waver.is_unsteady(worker)

    def wavered(self, worker: NodeId, owner: str) -> bool:
        """A worker contradicted itself. True: so many owners did that it is the program."""
        self.waver.heard(worker, owner)
        self.waver.contradicted(owner)
        for known in [w for w in self.odd if self.waver.is_unsteady(w)]:
            for index, winner in self.odd.pop(known):
                self.accuse(known, index, winner)
        return self.waver.is_the_program(self.convicted)

    def lost_wavering(self, worker: NodeId, index: int, winner: Replica) -> None:
        """It lost a block in which it contradicted itself: nothing is held against it, unless it alone wavers."""
        lost = self.odd.setdefault(worker, [])
        if not self.off and len(lost) < self._rules.odd_max:
            lost.append((index, winner))

    def contradicted(self) -> bool:
        """The coordinator's own runs say otherwise than a majority. True: too often to be the peers."""
        self._contradictions += 1
        return self._contradictions >= self._rules.contradictions_max

    def proofs_needed(self, worker: NodeId) -> int:
        others = self._disputes - self._disputes_of.get(worker, 0)
        enough = self.agreements >= self._rules.steady_blocks and others <= self._rules.steady_share * self.agreements
        steady = enough and not self.waver.anybody
        return self._rules.proofs_steady if steady else self._rules.proofs_doubtful

    def _proved(self, worker: NodeId, held: Held) -> bool:
        return held.proofs >= self.proofs_needed(worker)

    def _trial(self, worker: NodeId, held: Held) -> tuple[int, Replica] | None:
        """Where anybody wavered one block says little, however often it is run."""
        if worker in self.convicted or self._proved(worker, held):
            return None
        return held.trial(again=not self.waver.anybody)

    def accuse(self, worker: NodeId, index: int, winner: Replica) -> None:
        """This worker's answer lost block `index` to this one."""
        if self.off:
            return
        held = self.held.setdefault(worker, Held())
        held.indices.append(index)
        if worker not in self.convicted and len(held.cases) < self._rules.proofs_doubtful:
            held.cases.append((index, winner))

    @property
    def checking(self) -> bool:
        return bool(self._checks)

    def start(self, index: int) -> bool:
        """May the coordinator be asked to run this block now?"""
        busy = len(self._checks) >= self._rules.self_checks_at_once
        if self.off or busy or self.unable or index in self._checks:
            return False
        self._checks[index] = None
        return True

    @property
    def unable(self) -> bool:
        """The coordinator cannot run this job's blocks."""
        return self._failures >= self._rules.self_check_tries

    def ended(self, index: int, failed: bool) -> bool:
        """A self-check is over. False: nobody asked for it."""
        if index not in self._checks:
            return False
        del self._checks[index]
        self._failures = self._failures + 1 if failed else 0
        return True

    def trials(self, index: int) -> list[tuple[NodeId, Replica]]:
        """Whose guilt this block's self-check is about, and what they lost to."""
        found = [(worker, self._trial(worker, held)) for worker, held in self.held.items()]
        return [(worker, trial[1]) for worker, trial in found if trial is not None and trial[0] == index]

    def acquit(self, worker: NodeId, index: int) -> None:
        """The trial proved nothing: that vote is dropped, the others wait for a trial of their own."""
        held = self.held[worker]
        held.indices = [i for i in held.indices if i != index]
        held.cases = [case for case in held.cases if case[0] != index]

    def prove(self, worker: NodeId, index: int) -> None:
        """A block that it lost was run twice by the coordinator, who agrees with the result."""
        held = self.held.get(worker)
        if held is not None:
            held.proofs += 1
            held.proven[index] = None

    def convict(self, asked: Callable[[NodeId], bool]) -> None:
        """Those against whom there is enough proof; but who is `asked` to repeat other answers is heard first."""
        self.deciding = False
        for worker, held in self.held.items():
            if worker in self.convicted or not held.proofs or not self._proved(worker, held):
                continue
            if asked(worker):
                self.deciding = True
            else:
                self.convicted[worker] = None
                held.cases = []

    def next_trials(self) -> list[int]:
        """Blocks to run, for workers whose votes are held."""
        waiting = [self._trial(worker, held) for worker, held in self.held.items()]
        return [i for i in dict.fromkeys(trial[0] for trial in waiting if trial is not None) if self.start(i)]

    def release(self) -> dict[NodeId, list[int]]:
        """Votes that may be cast now."""
        if not self.held or self.off or not self.window.closed:
            return {}
        ready = [worker for worker in self.held if worker in self.convicted]
        return {worker: self.held.pop(worker).indices for worker in ready}

    def give_up(self) -> None:
        """The program is suspected: drop every vote."""
        self.off = True
        self.window.closed = True  # there is nothing left to judge: whatever waited for it goes on when the job does
        self.held.clear()
        self.odd.clear()
        self._checks.clear()

    def withheld(self) -> dict[NodeId, int]:
        """Votes that were never cast, by worker: for the report."""
        return {worker: len(held.indices) for worker, held in self.held.items()}
