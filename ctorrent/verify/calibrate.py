"""By how much may results of different hardware differ? Measured on a job's first blocks, fitted, frozen. Pure.

    policy AUTO: the job's own tolerance, or what was fitted where that is wider, between two classes
    policy AUTO or NUMERIC: bit-exact between workers of one class, if that is what was seen, else what was fitted, and
    never looser than the job's own
    any other policy, and classes that were not seen: as the job says

The fit: |x - y| <= atol + rtol·max(|x|, |y|) must hold for every float seen, `margin` times over; rtol is set by the
entries of usual size, atol by what those near zero need beyond it. Of several owners of a class the median is believed.
Frozen as canonical bytes in a blob, whose digest the requester signs as an amendment (CALIBRATION).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ctorrent import canon
from ctorrent.errors import Malformed
from ctorrent.model.ids import Digest
from ctorrent.model.job import Equality, Verify
from ctorrent.verify.compare import Different, Same, is_failure, same
from ctorrent.verify.walk import Walk

VERSION = 1
CALIBRATION_BYTES_MAX = 1 << 18  # 300 pairs of classes with long names
PAIRS_MAX = 300  # of 24 classes: far more than calibrate at once
CLASS_CHARS_MAX = 300  # a hardware class (200) and a fingerprint
MARGIN = 4.0  # blocks that were not seen differ more than those that were; TAO's percentiles leave as much (2510.16028)
RTOL_MAX = 1e-3  # rounding in another order of single precision stays below; beyond it the answers are different ones
_USUAL = 0.5  # of the median magnitude: entries above it set rtol
_PARTS_MAX = 10_000  # of an output, whose sizes are remembered
_FITTED = (Equality.AUTO, Equality.NUMERIC)


def class_of(hardware_class: str, fingerprint: Digest) -> str:
    """What results may depend on, as one text: the hardware's class beside the environment's fingerprint."""
    return f"{hardware_class}|{fingerprint.hex()[:32]}" if hardware_class or fingerprint else ""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Between two classes, or inside one. exact: every output seen was the same, byte for byte."""

    exact: bool
    atol: float
    rtol: float
    floats: int  # numbers compared
    words: str = ""  # why nothing could be fitted; then the job's own tolerance holds


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was fitted, by pairs of classes in their order; blocks: those it was measured on."""

    blocks: tuple[int, ...]
    pairs: Mapping[tuple[str, str], Fitted]

    def encode(self) -> bytes:
        """The blob's bytes: canonical, so that its digest says what was fitted and nothing else."""
        rows = [[*pair, f.exact, f.atol, f.rtol, f.floats, f.words] for pair, f in sorted(self.pairs.items())]
        return canon.encode({"version": VERSION, "blocks": list(self.blocks), "pairs": rows})


def decode(data: bytes) -> Calibration:
    """A requester's calibration. Raises Malformed."""
    if len(data) > CALIBRATION_BYTES_MAX:
        raise Malformed(f"a calibration of {len(data)} bytes: at most {CALIBRATION_BYTES_MAX}")
    try:
        value = canon.decode(data)
        if set(value) != {"version", "blocks", "pairs"} or value["version"] != VERSION or len(value["pairs"]) > PAIRS_MAX:
            raise ValueError
        if not all(type(index) is int and index >= 0 for index in value["blocks"]):
            raise ValueError
        pairs = dict(_row(row) for row in value["pairs"])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Malformed("a calibration that this version cannot read") from None
    found = Calibration(tuple(value["blocks"]), pairs)
    if found.encode() != data:
        raise Malformed("a calibration whose pairs are not in order")
    return found


def _row(row: Any) -> tuple[tuple[str, str], Fitted]:
    first, second, exact, atol, rtol, floats, words = row
    named = all(type(name) is str and 0 < len(name) <= CLASS_CHARS_MAX for name in (first, second)) and first <= second
    sizes = all(type(size) is float and 0.0 <= size < math.inf for size in (atol, rtol)) and rtol <= RTOL_MAX
    counted = type(exact) is bool and type(floats) is int and floats >= 0 and type(words) is str and len(words) <= CLASS_CHARS_MAX
    if not (named and sizes and counted):
        raise ValueError
    return (first, second), Fitted(exact, atol, rtol, floats, words)


class Tolerances:
    """How two outputs of workers of known classes are compared."""

    def __init__(self, policy: Verify, calibration: Calibration | None = None) -> None:
        self._own = policy
        self._policies: dict[tuple[str, str], Verify] = {}
        if calibration is not None and policy.equal in _FITTED:
            self._policies = {pair: _bounded(policy, fitted, pair[0] == pair[1]) for pair, fitted in calibration.pairs.items() if not fitted.words}

    def policy(self, left_class: str, right_class: str) -> Verify:
        """The job's policy, as it is between these classes."""
        pair = (left_class, right_class) if left_class <= right_class else (right_class, left_class)
        return self._policies.get(pair, self._own)

    def same(self, left: bytes, right: bytes, left_class: str = "", right_class: str = "") -> Same | Different:
        """Compare two outputs. Raises Malformed.

        What only the fitted bound tells apart is no matter of exactness: it calls for another replica, not for blame.
        """
        policy = self.policy(left_class, right_class)
        found = same(left, right, policy)
        if policy is self._own or isinstance(found, Same) or isinstance(same(left, right, self._own), Different):
            return found
        bound = "equal bits" if policy.equal is Equality.EXACT else f"less ({policy.rtol:.2g}, {policy.atol:.2g})"
        return Different(f"{found.words}; hardware of one class gave {bound} at calibration", False)


def _bounded(policy: Verify, fitted: Fitted, inside: bool) -> Verify:
    if inside and fitted.exact:
        return replace(policy, equal=Equality.EXACT)
    if inside:
        return replace(policy, atol=min(policy.atol, fitted.atol), rtol=min(policy.rtol, fitted.rtol))
    if policy.equal is Equality.AUTO and not fitted.exact:
        return replace(policy, atol=max(policy.atol, fitted.atol), rtol=max(policy.rtol, fitted.rtol))
    return policy


# Fitting -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """One owner's output of one block (Outcome.output())."""

    index: int
    where: str  # class_of(…)
    output: bytes


def fit(seen: Sequence[Seen]) -> Calibration:
    """What the outputs of some blocks on several classes allow to conclude. Failures say nothing, and are left out."""
    values = [one for one in seen if not is_failure(one.output)]
    spreads: dict[tuple[str, str], dict[int, list[_Spread]]] = {}
    for at, left in enumerate(values):
        for right in values[at + 1 :]:
            if left.index == right.index:
                pair = (left.where, right.where) if left.where <= right.where else (right.where, left.where)
                spreads.setdefault(pair, {}).setdefault(left.index, []).append(_spread(left, right))
    blocks = sorted({index for by_block in spreads.values() for index in by_block})
    chosen = sorted(spreads)[:PAIRS_MAX]
    return Calibration(tuple(blocks), {pair: _fitted(spreads[pair]) for pair in chosen})


@dataclass(frozen=True, slots=True)
class _Spread:
    exact: bool
    atol: float = 0.0
    rtol: float = 0.0
    floats: int = 0
    words: str = ""


def _fitted(by_block: Mapping[int, Sequence[_Spread]]) -> Fitted:
    """The widest block, each block as wide as the median of its pairs."""
    blocks = [_middle(spreads) for _, spreads in sorted(by_block.items())]
    floats = sum(spread.floats for spread in blocks)
    refused = next((spread.words for spread in blocks if spread.words), "")
    rtol, atol = (MARGIN * max(getattr(spread, name) for spread in blocks) for name in ("rtol", "atol"))
    if not refused and rtol > RTOL_MAX:
        refused = f"numbers differ by {rtol / MARGIN:.2g} of their size, which is no rounding"
    if refused:
        return Fitted(False, 0.0, 0.0, floats, refused)
    return Fitted(all(spread.exact for spread in blocks), atol, rtol, floats)


def _middle(spreads: Sequence[_Spread]) -> _Spread:
    """The lower median: one owner that lies does not widen what is fitted while two others do not."""
    ranked = sorted(spreads, key=lambda spread: (bool(spread.words), spread.rtol, spread.atol))
    return ranked[(len(ranked) - 1) // 2]


def _spread(left: Seen, right: Seen) -> _Spread:
    if left.output == right.output:
        return _Spread(True, floats=0)
    walk = _Differences()
    try:
        found = walk.begin(canon.decode(left.output[1:]), canon.decode(right.output[1:]))
    except ValueError:
        return _Spread(False, words="an output that is not canonical")
    if found is not None:
        return _Spread(False, words=f"block {left.index}: {found.words}"[:CLASS_CHARS_MAX])
    return walk.spread()


class _Differences(Walk):
    """Collects by how much floats differ; whatever else differs is no matter of tolerance."""

    def __init__(self) -> None:
        super().__init__(Verify())
        self._apart: list[Any] = []
        self._sizes: list[Any] = []
        self._few: list[tuple[float, float]] = []
        self._parts: dict[str, float] = {}  # the largest magnitude of each array, and of each list's floats

    def floats(self, left: float, right: float, path: str) -> Different | None:
        if math.isfinite(left) and math.isfinite(right):
            size = max(abs(left), abs(right))
            self._few.append((abs(left - right), size))
            self._part(path[: path.rindex("[")] if path.endswith("]") and not path.endswith('"]') else path, size)
            return None
        return super().floats(left, right, path)

    def elements(self, left: canon.Array, right: canon.Array, path: str) -> Different | None:
        import numpy

        if left.dtype[1] not in "fc":
            return super().elements(left, right, path)
        wide = "c16" if left.dtype[1] == "c" else "f8"
        one, other = (array.numpy().reshape(-1).astype(wide) for array in (left, right))
        finite = numpy.isfinite(one) & numpy.isfinite(other)
        odd = (one[~finite] == other[~finite]) | (numpy.isnan(one[~finite]) & numpy.isnan(other[~finite]))
        if not odd.all():
            return Different(f"{path} has NaN or infinity in other places", True)
        sizes = numpy.maximum(abs(one), abs(other))[finite]
        self._apart.append(abs(one - other)[finite])
        self._sizes.append(sizes)
        self._part(path, float(sizes.max()) if len(sizes) else 0.0)
        return None

    def arrays(self, left: canon.Array, right: canon.Array, path: str) -> Different | None:
        if left == right and left.dtype[1] in "fc":
            return self.elements(left, right, path)  # equal ones have a size too
        return super().arrays(left, right, path)

    def _part(self, path: str, size: float) -> None:
        if path in self._parts or len(self._parts) < _PARTS_MAX:
            self._parts[path] = max(size, self._parts.get(path, 0.0))

    def spread(self) -> _Spread:
        """The least rtol and atol that every difference keeps."""
        import numpy

        few = numpy.array(self._few, "f8").reshape(-1, 2)
        apart = numpy.concatenate([*self._apart, few[:, 0]])
        sizes = numpy.concatenate([*self._sizes, few[:, 1]])
        there = sizes > 0
        if not there.any():
            return _Spread(False, floats=len(sizes))
        usual = there & (sizes >= _USUAL * numpy.median(sizes[there]))
        with numpy.errstate(all="ignore"):
            rtol = float((apart[usual] / sizes[usual]).max())
            atol = float(numpy.maximum(apart - rtol * sizes, 0.0).max())
        if not math.isfinite(rtol) or not math.isfinite(atol):
            return _Spread(False, words="numbers too large to be set against each other")
        small = next((path for path, size in self._parts.items() if 0 < size * RTOL_MAX < atol * MARGIN), "")
        if small:
            return _Spread(False, words=f"{small} is so small beside the rest that no one tolerance fits both"[:CLASS_CHARS_MAX])
        return _Spread(False, atol, rtol, len(sizes))


__all__ = ["Calibration", "Fitted", "Seen", "Tolerances", "class_of", "decode", "fit"]
