"""What an answer passes before it has a vote: the job's check, its script, the job's calibration. Pure.

    answer ─▶ check (checks.py) ─▶ compared with the block's others, where that takes a sandbox (comparer.py)
           ─▶ kept back while tolerances are being fitted (calibrating.py) ─▶ the votes' machine

It looks to the node like the machine behind it (quorum or jury): the same events and effects, and a few of its own.
The machine behind it compares at once: all that it may ask is known by the time an answer reaches it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import Equality, Verify
from ctorrent.model.result import output_digest
from ctorrent.verify import words as w
from ctorrent.verify.calibrate import Calibration, Tolerances
from ctorrent.verify.calibrating import Calibrated, Calibrating, Classes, Ended, Ran, RunOn, Tick, Uncalibrated
from ctorrent.verify.checks import CheckFaulty, Checks, Judge, Judged, Passed, Refused, Vouch, Vouched
from ctorrent.verify.compare import Different, Same
from ctorrent.verify.comparer import Compared, CompareOutputs, Comparer, Probe, Probed, Unknown
from ctorrent.verify.doubt import Doubt

HELD_MAX = 20_000  # answers kept back: more than workers can have under way; those beyond are voted on as they are
CLASSES_MAX = 50_000  # outputs whose senders' classes are remembered
_WAITS = Different("the results differ, and were not compared yet", False)

Event = w.Event | Judged | Vouched | Compared | Probed
Effect = w.Effect | Judge | Vouch | Refused | CheckFaulty | CompareOutputs | Probe | Calibrated | Uncalibrated
Place = Callable[[NodeId], str]


class Votes(Protocol):
    """The machine behind it."""

    def handle(self, event: w.Event, now: float = 0.0) -> list[w.Effect]: ...


class Sides:
    """How the machine behind it compares two outputs: by the script's answer, or by what holds between their classes."""

    def __init__(self, comparer: Comparer) -> None:
        self.comparer = comparer
        self._classes: OrderedDict[Digest, frozenset[str]] = OrderedDict()

    def gave(self, output: Digest, where: str) -> None:
        """Somebody of that class gave this output."""
        self._classes[output] = self._classes.get(output, frozenset()) | {where}
        while len(self._classes) > CLASSES_MAX:
            self._classes.popitem(last=False)

    def compare(self, left: bytes, right: bytes) -> Same | Different:
        """Raises Malformed. Classes are the same where one class gave both."""
        ones, others = (self._classes.get(output_digest(output), frozenset({""})) for output in (left, right))
        both = sorted(ones & others)
        pair = (both[0], both[0]) if both else (min(ones), min(others))
        found = self.comparer.same(left, right, *pair)
        return _WAITS if isinstance(found, Unknown) else found


class Screen:
    """Of one job. `place`: the class of a worker's hardware and environment (calibrate.class_of)."""

    def __init__(self, policy: Verify, blocks: int, sides: Sides, behind: Votes, place: Place, now: float = 0.0) -> None:
        self._policy, self._blocks, self._sides, self._behind, self._place = policy, blocks, sides, behind, place
        self.checks = Checks() if policy.check else None
        self.calibrating = Calibrating(policy, blocks, now)
        self._script, self._doubt = policy.equal is Equality.SCRIPT, Doubt(policy.script)
        self._engaged: dict[NodeId, str] = {}  # worker -> owner
        self._joined = False  # somebody did since their classes were looked at
        self._outputs: dict[int, dict[Digest, bytes | None]] = {}  # of open blocks, what reached the votes
        self._held: list[w.Arrived | w.SelfChecked] = []
        self._loading: dict[tuple[int, NodeId], None] = {}
        self._ran: dict[tuple[int, NodeId], None] = {}  # told to the calibration
        self._by_class = policy.equal in (Equality.AUTO, Equality.NUMERIC)
        self._decided = bytearray(blocks)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)  # paused, checking, differences, story …

    def handle(self, event: Event, now: float = 0.0) -> list[Effect]:
        """Never raises on what peers send."""
        out: list[Effect] = []
        match event:
            case Judged() | Vouched():
                self._check(event, out, now)
            case Compared():
                self._sides.comparer.heard(event)
                out += self._doubt.look(self._sides.comparer, next(iter(self._outputs), None))
            case Probed():
                out += self._doubt.probed(event)
            case w.Arrived():
                self._gave(event.worker, event.digests)
                self._begin_calibrating(out, now)
                self._check(event, out, now)
            case w.SelfChecked():
                self._gave(event.worker, map(output_digest, event.outputs))
                self._held.append(event)
            case w.OutputFetched(index, worker, output) if self._loading.pop((index, worker), 0) is None:
                self._loaded(index, worker, output)
            case _:
                self._other(event, out, now)
        self._go_on(out, now)
        return [*out, *self._sides.comparer.wanted()]

    def tick(self, now: float) -> list[Effect]:
        """Time passed: nobody waits for ever for a calibration."""
        out: list[Effect] = []
        if not self.calibrating.over:
            self._calibrate(self.calibrating.handle(Tick(), now), out)
            self._go_on(out, now)
        return out

    def calibrated(self, calibration: Calibration) -> None:
        """From now on outputs are compared by what was fitted."""
        self._sides.comparer.calibrated(Tolerances(self._policy, calibration))

    def _gave(self, worker: NodeId, outputs: Iterable[Digest]) -> None:
        if self._by_class:
            where = self._place(worker)
            for output in outputs:
                self._sides.gave(output, where)

    def _other(self, event: w.Event, out: list[Effect], now: float) -> None:
        match event:
            case w.Known(worker, owner):
                self._engaged[worker] = owner
                self._joined = True
            case w.Abandoned(indices):
                self._end(indices, out, now)
            case w.Resume():
                self._doubt.resume()
            case w.Total(blocks) if blocks > self._blocks:
                self._decided.extend(bytes(blocks - self._blocks))
                self._blocks = blocks
            case w.RerunLost(index, worker):
                self._calibrate(self.calibrating.handle(Ran(index, self._place(worker), None), now), out)
            case _:
                pass
        self._tell(event, out, now)

    # -- the job's check ----------------------------------------------------------------------------------------------

    def _check(self, event: w.Arrived | Judged | Vouched, out: list[Effect], now: float) -> None:
        if self.checks is None:
            if isinstance(event, w.Arrived):
                self._held += _single(event) if self._must_wait else [event]
            return
        for effect in self.checks.handle(event):
            if isinstance(effect, Passed):
                stands = effect.judged or self.checks.over  # a check that is asked no more leaves things as if there were none
                arrived = effect.arrived if stands else replace(effect.arrived, judged=False)
                self._held += _single(arrived) if self._must_wait else [arrived]
            else:
                out.append(effect)

    # -- what waits ---------------------------------------------------------------------------------------------------

    @property
    def _must_wait(self) -> bool:
        return self._script or self.calibrating.running

    def _go_on(self, out: list[Effect], now: float) -> None:
        """Hand over what needs to wait no longer, in the order it came."""
        held, self._held = self._held, []
        for event in held:
            if not self._must_wait or self._is_ready(event, out, now) or len(self._held) >= HELD_MAX:
                if self._script:
                    for index, output, data in _outputs(event):
                        self._outputs.setdefault(index, {})[output] = data
                self._tell(event, out, now)
            else:
                self._held.append(event)

    def _is_ready(self, event: w.Arrived | w.SelfChecked, out: list[Effect], now: float) -> bool:
        ready = True
        for index, output, data in _outputs(event):
            if self.calibrating.running and index in self.calibrating.blocks:
                if isinstance(event, w.Arrived) and (index, event.worker) not in self._ran:
                    self._ran[index, event.worker] = None
                    self._calibrate(self.calibrating.handle(Ran(index, self._place(event.worker), data), now), out)
                ready = ready and not self.calibrating.running
            if not self._script or self._decided[index]:
                continue
            others = {known: other for known, other in self._outputs.get(index, {}).items() if known != output}
            if data is None and isinstance(event, w.Arrived):
                ready = False
                if (index, event.worker) not in self._loading:
                    self._loading[index, event.worker] = None
                    out.append(w.FetchOutput(index, event.worker, output))
            ready = ready and not (others and self._doubt.holds)
            for other in others.values():
                if data is not None and other is not None and isinstance(self._sides.comparer.same(data, other), Unknown):
                    ready = False
        return ready

    def _loaded(self, index: int, worker: NodeId, output: bytes | None) -> None:
        """A large output's bytes came; without them the answer is as if it had never come."""
        for at, event in enumerate(self._held):
            if isinstance(event, w.Arrived) and event.worker == worker and list(event.indices) == [index]:
                if output is None:
                    del self._held[at]
                else:
                    self._held[at] = replace(event, outputs=[output])
                return

    def _tell(self, event: w.Event, out: list[Effect], now: float) -> None:
        for effect in self._behind.handle(event, now):
            out.append(effect)
            match effect:
                case w.Agreed(indices=indices, provisional=False) | w.Settled(indices=indices):
                    self._end(indices, out, now)
                case w.Disputed(index=index):
                    self._end([index], out, now)
                case _:
                    pass

    def _end(self, indices: Iterable[int], out: list[Effect], now: float) -> None:
        found = [index for index in indices if 0 <= index < self._blocks]
        for index in found:
            self._decided[index] = 1
            self._outputs.pop(index, None)
            if self.calibrating.running:
                self._calibrate(self.calibrating.handle(Ended(index), now), out)
        if self.checks is not None and found:
            out += [effect for effect in self.checks.handle(w.Abandoned(found)) if not isinstance(effect, Passed)]

    # -- calibration --------------------------------------------------------------------------------------------------

    def _begin_calibrating(self, out: list[Effect], now: float) -> None:
        if self.calibrating.over or self.calibrating.running or not self._joined:
            return
        self._joined = False
        owners: dict[str, set[str]] = {}
        for worker, owner in self._engaged.items():
            owners.setdefault(self._place(worker), set()).add(owner)
        if len(owners) > 1:
            still = [index for index in range(self._blocks) if not self._decided[index]][: self.calibrating.rules.blocks]
            counted = {where: len(names) for where, names in owners.items()}
            self._calibrate(self.calibrating.handle(Classes(counted, still), now), out)

    def _calibrate(self, effects: Sequence[RunOn | Calibrated | Uncalibrated], out: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case RunOn(index, where, count):
                    chosen: dict[str, NodeId] = {}
                    for worker, owner in self._engaged.items():
                        if self._place(worker) == where and len(chosen) < count:
                            chosen.setdefault(owner, worker)
                    out.append(w.Rerun(index, tuple(chosen.values())))
                case Calibrated(calibration):
                    self.calibrated(calibration)
                    out.append(effect)
                case Uncalibrated():
                    out.append(effect)


def _single(event: w.Arrived) -> list[w.Arrived]:
    """An event for each block: each may wait for something else."""
    return [
        replace(event, indices=[index], digests=[found], outputs=[output])
        for index, found, output in zip(event.indices, event.digests, event.outputs, strict=False)
    ]


def _outputs(event: w.Arrived | w.SelfChecked) -> list[tuple[int, Digest, bytes | None]]:
    if isinstance(event, w.SelfChecked):
        return [(event.index, output_digest(output), output) for output in event.outputs]
    return list(zip(event.indices, event.digests, event.outputs, strict=False))
