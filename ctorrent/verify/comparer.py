"""Comparing outputs where the answer may take a while: a script in a sandbox. What is known is kept. Pure.

    quorum asks same(a, b) ──▶ UNKNOWN, noted as wanted ──▶ the node runs the script ──▶ hears the answer, asks again

The script is always given the output with the smaller digest first: it must not matter who answered earlier. All other
measures are answered at once (compare.py), so that quorum has one way to ask.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from ctorrent.model.ids import Digest
from ctorrent.model.job import Equality, Verify
from ctorrent.model.result import output_digest
from ctorrent.verify.calibrate import Tolerances
from ctorrent.verify.compare import SAME, Different, Same, failures
from ctorrent.verify.rulings import Ruling, Said

KNOWN_MAX = 10_000  # answers kept: a block with five replicas has ten pairs
WANTED_MAX = 1000  # pairs that wait: what is beyond is asked for when quorum asks again
FAULTS_MAX = 20  # kept in words for the report
USELESS = 3  # faults and nothing else: one may be an output that was made for it
_NO_WORDS = "the job's script says that the results differ"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Ask again when an answer came."""


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True)
class CompareOutputs:
    """Effect: have the job's script compare two outputs (Outcome.output()). Answered by Compared."""

    pair: tuple[Digest, Digest]
    left: bytes
    right: bytes


@dataclass(frozen=True, slots=True)
class Compared:
    """Event: what the script said. YES: they are the same."""

    pair: tuple[Digest, Digest]
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class Probe:
    """Effect: run this block twice on this machine, and have the script compare the two outputs. Answered by Probed."""

    index: int


@dataclass(frozen=True, slots=True)
class Probed:
    """Event: what it said; None where this machine has no such outputs."""

    ruling: Ruling | None


class Comparer:
    """Of one job.

    `faults`: what is wrong with its script, in words. What a script cannot compare it tells apart, and only that: one
    output made for it to stumble over must not spoil the others. `useless`: there was no answer but faults; whether that
    is the script's doing shows on outputs that nobody else made (doubt.py).
    """

    def __init__(self, policy: Verify, tolerances: Tolerances | None = None) -> None:
        self.faults: list[str] = []
        self._answers = self._failed = 0
        self._policy = policy
        self._tolerances = tolerances or Tolerances(policy)
        self._known: OrderedDict[tuple[Digest, Digest], Ruling] = OrderedDict()
        self._wanted: OrderedDict[tuple[Digest, Digest], CompareOutputs] = OrderedDict()
        self._asked: dict[tuple[Digest, Digest], None] = {}

    def calibrated(self, tolerances: Tolerances) -> None:
        """From now on floats may differ by what was fitted."""
        self._tolerances = tolerances

    def same(self, left: bytes, right: bytes, left_class: str = "", right_class: str = "") -> Same | Different | Unknown:
        """Compare two outputs of workers of these classes (calibrate.class_of). Raises Malformed, where not a script's."""
        if self._policy.equal is not Equality.SCRIPT:
            return self._tolerances.same(left, right, left_class, right_class)
        if left == right:
            return SAME
        if (failed := failures(left, right)) is not None:
            return failed
        outputs = {output_digest(output): output for output in (left, right)}
        first, second = sorted(outputs)
        known = self._known.get((first, second))
        if known is not None:
            return _answer(known)
        if (first, second) not in self._asked and len(self._wanted) < WANTED_MAX:
            self._wanted[first, second] = CompareOutputs((first, second), outputs[first], outputs[second])
        return UNKNOWN

    @property
    def useless(self) -> bool:
        return self._failed >= USELESS and self._failed == self._answers

    def wanted(self) -> list[CompareOutputs]:
        """Pairs to compare that nobody was asked for yet."""
        found = list(self._wanted.values())
        self._asked |= dict.fromkeys(self._wanted)
        self._wanted.clear()
        return found

    def heard(self, event: Compared) -> bool:
        """Keep an answer. -> was it waited for: then ask again."""
        if self._asked.pop(event.pair, 0) is not None:
            return False
        self._answers += 1
        if event.ruling.said in (Said.BROKEN, Said.IMPOSSIBLE):
            self._failed += 1
            if event.ruling.words not in self.faults and len(self.faults) < FAULTS_MAX:
                self.faults.append(event.ruling.words)
        self._known[event.pair] = event.ruling
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return True


def _answer(ruling: Ruling) -> Same | Different:
    if ruling.said is Said.YES:
        return SAME
    if ruling.said is Said.NO:
        return Different(ruling.words or _NO_WORDS, False)
    return Different(f"the results differ, and the job's script cannot compare them: {ruling.words}", False)
