"""Which blocks are run for calibration, on whom, and when it is over. Pure.

    Classes ──▶ WAITING ── two classes, or two owners of one ──▶ RUNNING ── every run came, or went ──▶ Calibrated
                   └── `patience_s` without ────────────────────▶ Uncalibrated        └── `runs_s` over ──▶ with what came

The runs are ordinary replicas of the job's first blocks: they count as such. A class that joins later was not
measured, and is compared by the job's own tolerance. What was fitted is frozen: it never changes while blocks settle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ctorrent.model.job import Equality, Verify
from ctorrent.verify.calibrate import Calibration, Seen, fit


@dataclass(frozen=True, slots=True)
class CalibrationRules:
    blocks: int = 4  # first ones: their spread varies by less than calibrate.MARGIN, and a job of few blocks still begins at once
    owners: int = 2  # of each class: two show what one class does with itself; a third would only cost
    classes_max: int = 8  # the most numerous first: 64 runs at most
    outputs_bytes_max: int = 64 << 20  # of all runs, held until they are compared; larger outputs are left out
    patience_s: float = 120.0  # for a second class: long enough for a second announcement to be heard
    runs_s: float = 1800.0  # for the runs: a slow block and a lost worker


@dataclass(frozen=True, slots=True)
class Classes:
    """Event: owners engaged now, by class (calibrate.class_of). open: blocks nobody has decided, in their order."""

    owners: Mapping[str, int]
    open: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Ran:
    """Event: a replica of a block by an owner of that class. None: too large to be held here, or it never came."""

    index: int
    where: str
    output: bytes | None


@dataclass(frozen=True, slots=True)
class Ended:
    """Event: this block was decided; no more runs of it will come."""

    index: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Event: time passed."""


@dataclass(frozen=True, slots=True)
class RunOn:
    """Effect: have `count` owners of this class run the block, as replicas of it."""

    index: int
    where: str
    count: int


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Effect: sign this, and compare by it from now on."""

    calibration: Calibration


@dataclass(frozen=True, slots=True)
class Uncalibrated:
    """Effect: the job's own tolerance holds. `words`: why."""

    words: str


Effect = RunOn | Calibrated | Uncalibrated


class Calibrating:
    """Of one job. `next_wakeup`: when it wants a Tick; None: it waits for nothing."""

    def __init__(self, policy: Verify, blocks: int, now: float, rules: CalibrationRules | None = None) -> None:
        self.rules = rules or CalibrationRules()
        self.over = policy.equal is not Equality.AUTO or policy.homogeneous or policy.replicas < 2 or not blocks
        self.next_wakeup: float | None = None if self.over else now + self.rules.patience_s
        self.blocks: tuple[int, ...] = ()  # measured on
        self._missing: dict[tuple[int, str], int] = {}
        self._seen: list[Seen] = []
        self._held = 0

    @property
    def running(self) -> bool:
        """Runs are under way."""
        return bool(self._missing) and not self.over

    def handle(self, event: Classes | Ran | Ended | Tick, now: float) -> list[Effect]:
        """Never raises on what peers send."""
        if self.over:
            return []
        match event:
            case Classes() if not self._missing:
                return self._begin(event, now)
            case Ran(index, where, output):
                return self._ran(index, where, output)
            case Ended(index) if index in self.blocks:
                return self._gone(index)
            case Tick() if self.next_wakeup is not None and now >= self.next_wakeup:
                return self._end("not enough runs came in time" if self._missing else "all who came have hardware of one class")
            case _:
                return []

    def _begin(self, event: Classes, now: float) -> list[Effect]:
        owners = event.owners
        there = sorted((name for name, count in owners.items() if name and count > 0), key=lambda name: (-owners[name], name))
        if len(there) < 2 or not event.open:
            return []
        self.blocks = tuple(event.open[: self.rules.blocks])
        runs = {name: min(owners[name], self.rules.owners) for name in there[: self.rules.classes_max]}
        self._missing = {(index, name): count for index in self.blocks for name, count in runs.items()}
        self.next_wakeup = now + self.rules.runs_s
        return [RunOn(index, name, count) for (index, name), count in self._missing.items()]

    def _ran(self, index: int, where: str, output: bytes | None) -> list[Effect]:
        left = self._missing.get((index, where), 0)
        if not left:
            return []
        self._missing[index, where] = left - 1
        if output is not None and self._held + len(output) <= self.rules.outputs_bytes_max:
            self._held += len(output)
            self._seen.append(Seen(index, where, output))
        return self._end_if_all_came()

    def _gone(self, index: int) -> list[Effect]:
        for key in self._missing:
            if key[0] == index:
                self._missing[key] = 0
        return self._end_if_all_came()

    def _end_if_all_came(self) -> list[Effect]:
        return self._end("no two outputs of one block could be compared") if not any(self._missing.values()) else []

    def _end(self, words: str) -> list[Effect]:
        self.over, self.next_wakeup = True, None
        calibration = fit(self._seen)
        self._seen = []
        fitted = any(not each.words for each in calibration.pairs.values())
        if not fitted:
            refused = next((each.words for each in calibration.pairs.values()), "")
            return [Uncalibrated(refused or words)]
        return [Calibrated(calibration)]
