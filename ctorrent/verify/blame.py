"""Evidence before blame: when a negative vote may be cast, and when the program is to blame instead. Pure.

A vote against a worker is held until (1) the first blocks of the job were compared and do not speak against the
program, and (2) the coordinator ran a block that this worker lost twice, alone: its own two runs agreed with each
other and with the result. Whoever was found out once that way needs no further check in the same job.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ctorrent.model.ids import NodeId
from ctorrent.verify.words import Rules


@dataclass(slots=True)
class Held:
    """Votes against one worker that wait for proof. `trial`: the block whose self-check may bring it."""

    indices: list[int] = field(default_factory=list)
    trial: int = -1
    result: bytes | None = None  # what that block settled on


class EarlyWindow:
    """The first compared blocks: do they disagree because of one peer, or because of the program?"""

    __slots__ = ("_peace", "_rules", "_seen", "_strife", "closed", "total")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.closed = False  # judged: the program is not to blame
        self.total: int | None = None  # blocks of the job, once no more will come
        self._seen = 0
        self._peace: list[tuple[NodeId, ...]] = []  # who agreed
        self._strife: list[tuple[NodeId, ...]] = []  # who did not

    def agreed(self, workers: tuple[NodeId, ...], first: bool) -> None:
        """Two owners or more gave one result. `first`: without a dispute before it."""
        if self.closed:
            return
        self._seen += first
        if len(self._peace) < 4 * self._rules.early_blocks:
            self._peace.append(workers)

    def differed(self, workers: tuple[NodeId, ...]) -> None:
        if not self.closed:
            self._seen += 1
            self._strife.append(workers)

    def judge(self, last: bool = False) -> bool:
        """True: pause the job. Otherwise `closed` says whether the matter is settled. `last`: no more will be seen."""
        if self.closed:
            return False
        size = self._rules.early_blocks
        if self.total is not None:
            size = min(size, self.total)
        if self._seen < size and not last:
            return False
        if len(self._strife) <= self._rules.early_share * self._seen or self._seen < self._rules.early_min:
            self.closed = True
            return False
        suspect = self._suspect()
        if suspect is None:
            return True
        if any(suspect not in workers and len(workers) > 1 for workers in self._peace):
            self.closed = True
            return False
        return last or self._seen >= 2 * self._rules.early_blocks  # nobody else ever agreed either: not one bad peer

    def _suspect(self) -> NodeId | None:
        """The one worker in every disagreement, if it stands against at least two others."""
        others: dict[NodeId, None] = {}
        common = list(self._strife[0])
        for workers in self._strife:
            common = [w for w in common if w in workers]
            others.update(dict.fromkeys(workers))
        return min(common) if len(common) == 1 and len(others) > 2 else None


class Blame:
    """Holds votes, and says which blocks the coordinator should run itself."""

    __slots__ = ("_checks", "_failures", "_rules", "convicted", "held", "off", "window")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.window = EarlyWindow(rules)
        self.convicted: dict[NodeId, None] = {}
        self.held: dict[NodeId, Held] = {}
        self.off = False  # the program is suspected: nobody is voted against any more
        self._checks: dict[int, None] = {}  # self-checks under way
        self._failures = 0

    def accuse(self, worker: NodeId, index: int, result: bytes | None) -> None:
        """This worker's answer lost block `index`, whose result is `result`."""
        if self.off:
            return
        held = self.held.setdefault(worker, Held())
        held.indices.append(index)
        if held.trial < 0 and result is not None:
            held.trial, held.result = index, result

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

    def trials(self, index: int) -> list[tuple[NodeId, Held]]:
        """Whose guilt this block's self-check decides."""
        return [(worker, held) for worker, held in self.held.items() if held.trial == index]

    def acquit(self, worker: NodeId) -> None:
        """The trial proved nothing: that vote is dropped, the others wait for a trial of their own."""
        held = self.held[worker]
        held.indices = [index for index in held.indices if index != held.trial]
        held.trial, held.result = -1, None

    def convict(self, worker: NodeId) -> None:
        self.convicted[worker] = None
        if worker in self.held:
            self.held[worker].trial, self.held[worker].result = -1, None

    def next_trials(self) -> list[int]:
        """Blocks to run, for workers whose votes are held."""
        waiting = [held.trial for worker, held in self.held.items() if held.trial >= 0 and worker not in self.convicted]
        return [index for index in dict.fromkeys(waiting) if self.start(index)]

    def release(self) -> dict[NodeId, list[int]]:
        """Votes that may be cast now."""
        if self.off or not self.window.closed:
            return {}
        ready = [worker for worker in self.held if worker in self.convicted]
        return {worker: self.held.pop(worker).indices for worker in ready}

    def give_up(self) -> None:
        """The program is suspected: drop every vote."""
        self.off = True
        self.held.clear()
        self._checks.clear()

    def withheld(self) -> dict[NodeId, int]:
        """Votes that were never cast, by worker: for the report."""
        return {worker: len(held.indices) for worker, held in self.held.items()}
