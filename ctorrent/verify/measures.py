"""Measures of floats taken together: by the length of their difference, by the largest, as samples of a distribution.

All else in an output (text, integers, keys, lengths, shapes, dtypes, floats by themselves) is compared as under `auto`.
What counts as floats taken together: an array of floats; a list whose items are all floats.

An answer that would pass beside most others is what a cheat looks for. Hence: no size may differ from the other's; NaN
and the infinities must be in the same places; ties at the edge of the largest are held against who has them; samples
too short to tell anything are compared entry by entry.
Source of the test: Kolmogorov, 1933; its exact form for samples of one size: Gnedenko and Korolyuk, Doklady 80, 1951.
"""

from __future__ import annotations

import math
from typing import Any

from ctorrent import canon
from ctorrent.model.job import Verify
from ctorrent.verify.walk import ELEMENTS_AT_ONCE, Different, Walk, quoted

_WHOLE_MAX = 1 << 53  # integers beyond it are no float64: rows that hold one are compared entry by entry


class NormWalk(Walk):
    """relative-norm: |a - b| <= atol·√n + rtol·max(|a|, |b|) for each vector of floats, in Euclid's length."""

    def lists(self, left: list[Any], right: list[Any], path: str) -> Different | None:
        if len(left) == len(right) and _floats(left) and _floats(right):
            import numpy

            return self._vectors(numpy.array(left), numpy.array(right), path)
        return super().lists(left, right, path)

    def elements(self, left: canon.Array, right: canon.Array, path: str) -> Different | None:
        one, other = left.numpy().reshape(-1), right.numpy().reshape(-1)
        if one.dtype.kind not in "fc":
            return super().elements(left, right, path)
        return self._vectors(one.view(one.real.dtype), other.view(other.real.dtype), path)

    def _vectors(self, left: Any, right: Any, path: str) -> Different | None:
        import numpy

        scale, sums = _largest(left, right), [0.0, 0.0, 0.0]
        for start in range(0, len(left), ELEMENTS_AT_ONCE):
            one, other = (each[start : start + ELEMENTS_AT_ONCE].astype("f8") for each in (left, right))
            odd = ~(numpy.isfinite(one) & numpy.isfinite(other))
            if not _same_odd(one[odd], other[odd], self.nan_equal):
                return Different(f"{path} has NaN or infinity in other places", False)
            one[odd] = other[odd] = 0.0
            if scale:  # so that no square overflows, or vanishes
                one, other = one / scale, other / scale
            for at, part in enumerate((one - other, one, other)):
                sums[at] += float(part @ part)
        apart, lengths = math.sqrt(sums[0]), math.sqrt(max(sums[1], sums[2]))
        slack = self.atol / scale * math.sqrt(len(left)) if scale else 0.0
        if apart <= slack + self.rtol * lengths:
            return None
        share = apart / lengths if lengths else math.inf
        return Different(f"{path}: as vectors they are {share:.2g} of their length apart", False)


class TopWalk(Walk):
    """topk: in each row the same entries are the `top` largest, and those are equal within tolerance; others may differ.

    A row: the last axis of an array of numbers, a list of numbers, or the values of a map that are all numbers. Entries
    within tolerance of the last of the largest may take its place; but who has more at the very edge than `top` has
    them all held against it: a row of one value is not near every other.
    """

    def __init__(self, verify: Verify) -> None:
        super().__init__(verify)
        self._top = max(1, verify.top)

    def lists(self, left: list[Any], right: list[Any], path: str) -> Different | None:
        if left and len(left) == len(right) and _numbers(left) and _numbers(right):
            return self._list_row(left, right, [str(at) for at in range(len(left))], path)
        return super().lists(left, right, path)

    def maps(self, left: dict[str, Any], right: dict[str, Any], path: str) -> Different | None:
        if left and left.keys() == right.keys() and _numbers(left.values()) and _numbers(right.values()):
            keys = list(left)
            names = [quoted(key) for key in keys]
            return self._list_row([left[key] for key in keys], [right[key] for key in keys], names, path)
        return super().maps(left, right, path)

    def _list_row(self, left: list[Any], right: list[Any], names: list[str], path: str) -> Different | None:
        import numpy

        found = self._rows(numpy.array([left], "f8"), numpy.array([right], "f8"))
        if found is None:
            return None
        return Different(f"{path}[{names[found[1]]}] is {left[found[1]]!r} and {right[found[1]]!r}, {self._of(left)}", False)

    def elements(self, left: canon.Array, right: canon.Array, path: str) -> Different | None:
        import numpy

        one, other = left.numpy(), right.numpy()
        if not one.ndim or not one.size or not (_fits(one) and _fits(other)):
            return super().elements(left, right, path)
        length = one.shape[-1]
        one, other = one.reshape(-1, length), other.reshape(-1, length)
        step = max(1, ELEMENTS_AT_ONCE // length)
        for start in range(0, len(one), step):
            found = self._rows(one[start : start + step].astype("f8"), other[start : start + step].astype("f8"))
            if found is not None:
                place = numpy.unravel_index((start + found[0]) * length + found[1], left.shape)
                a, b = one[start + found[0], found[1]], other[start + found[0], found[1]]
                at = ", ".join(str(int(i)) for i in place)
                return Different(f"{path}[{at}] is {a!s} and {b!s}, {self._of(range(length))}", False)
        return None

    def _of(self, row: Any) -> str:
        return f"of the {min(self._top, len(row))} largest"

    def _rows(self, left: Any, right: Any) -> tuple[int, int] | None:
        """The first row in which they differ, and the entry of it that does most. Both (rows, entries) float64."""
        import numpy

        with numpy.errstate(all="ignore"):
            near = left == right
            near |= abs(left - right) <= self.atol + self.rtol * numpy.maximum(abs(left), abs(right))
            near &= numpy.isfinite(left) & numpy.isfinite(right) | (left == right)
            nan = numpy.isnan(left), numpy.isnan(right)
            wrong = nan[0] != nan[1]  # nobody may leave entries out by making them no numbers
            if not self.nan_equal:
                wrong |= nan[0] | nan[1]
            near |= nan[0] & nan[1]
            first, second = self._edges(numpy, left, nan[0]), self._edges(numpy, right, nan[1])
            wrong |= (first[0] & ~second[1]) | (second[0] & ~first[1]) | ((first[0] | second[0]) & ~near)
            if not wrong.any():
                return None
            row = int(wrong.any(axis=1).argmax())
            apart = numpy.where(wrong[row], numpy.nan_to_num(abs(left[row] - right[row]), nan=math.inf), -1.0)
        return row, int(apart.argmax())

    def _edges(self, numpy: Any, rows: Any, nan: Any) -> tuple[Any, Any]:
        """Which entries are at or above the last of the largest; and which are, given the tolerance."""
        ranked = numpy.where(nan, -math.inf, rows)
        at = max(0, rows.shape[1] - self._top)
        edge = numpy.partition(ranked, at, axis=1)[:, at : at + 1]
        slack = self.atol + self.rtol * numpy.maximum(abs(ranked), abs(edge))
        return ranked >= edge, (ranked >= edge) | (numpy.isfinite(edge) & (edge - ranked <= slack))


class SampleWalk(Walk):
    """stat: each vector of floats is a sample; two are the same unless the Kolmogorov–Smirnov test tells them apart.

    `alpha` is the chance that two honest outputs are told apart, of the output as a whole: with many samples each is
    tested at alpha divided by their number.
    """

    def __init__(self, verify: Verify) -> None:
        super().__init__(verify)
        self._alpha = min(max(verify.alpha, 1e-12), 1.0)

    def begin(self, left: Any, right: Any) -> Different | None:
        self._alpha /= max(1, _count_samples(left))
        return super().begin(left, right)

    def lists(self, left: list[Any], right: list[Any], path: str) -> Different | None:
        if len(left) == len(right) >= least_sample(self._alpha) and _floats(left) and _floats(right):
            import numpy

            return self._samples(numpy.array(left), numpy.array(right), path)
        return super().lists(left, right, path)

    def elements(self, left: canon.Array, right: canon.Array, path: str) -> Different | None:
        one, other = left.numpy().reshape(-1), right.numpy().reshape(-1)
        if one.dtype.kind not in "fc" or len(one) < least_sample(self._alpha):
            return super().elements(left, right, path)
        if one.dtype.kind == "c":
            return self._samples(one.real, other.real, path) or self._samples(one.imag, other.imag, path)
        return self._samples(one, other, path)

    def _samples(self, left: Any, right: Any, path: str) -> Different | None:
        import numpy

        if not self.nan_equal and (numpy.isnan(left).any() or numpy.isnan(right).any()):
            return Different(f"{path} has NaN", False)
        distance = most_apart(left, right)
        chance = chance_of(distance, len(left))
        if chance >= self._alpha:
            return None
        words = f"{path}: samples of {len(left)} whose distributions are {distance / len(left):.2g} apart"
        return Different(f"{words}, which chance gives once in {1 / max(chance, 1e-300):.2g}", False)


def least_sample(alpha: float) -> int:
    """Below so many numbers a sample of two far values, half of it each, would pass beside every other."""
    return math.floor(-4 * math.log(min(alpha, 1.0) / 2)) + 1


def most_apart(left: Any, right: Any) -> int:
    """Largest difference of the counts below any point: Kolmogorov's distance times the length. NaN is the largest."""
    import numpy

    one, other = numpy.sort(left), numpy.sort(right)
    most = 0
    for values in (one, other):
        for start in range(0, len(values), ELEMENTS_AT_ONCE):
            points = values[start : start + ELEMENTS_AT_ONCE]
            counts = [numpy.searchsorted(each, points, "right") for each in (one, other)]
            most = max(most, int(abs(counts[0] - counts[1]).max()))
    return most


def chance_of(distance: int, length: int) -> float:
    """How often two samples of one continuous distribution, `length` each, are so far apart; ties make it rarer."""
    if distance <= 0:
        return 1.0
    total, sign = 0.0, 1.0
    for jump in range(distance, length + 1, distance):
        term = math.exp(2 * math.lgamma(length + 1) - math.lgamma(length - jump + 1) - math.lgamma(length + jump + 1))
        total += sign * term
        sign = -sign
        if term < 1e-18:
            break
    return min(1.0, max(0.0, 2 * total))


def _count_samples(value: Any) -> int:
    if isinstance(value, canon.Array):
        return {"f": 1, "c": 2}.get(value.dtype[1], 0)
    if isinstance(value, dict):
        return sum(_count_samples(each) for each in value.values())
    if isinstance(value, list):
        return 1 if _floats(value) else sum(_count_samples(each) for each in value)
    return 0


def _floats(values: list[Any]) -> bool:
    return bool(values) and all(type(value) is float for value in values)


def _numbers(values: Any) -> bool:
    """All numbers that a float64 holds."""
    return all(type(value) is float or (type(value) is int and abs(value) <= _WHOLE_MAX) for value in values)


def _fits(values: Any) -> bool:
    """An array of numbers that a float64 holds."""
    if values.dtype.kind in "iu":
        return bool(values.max() <= _WHOLE_MAX and values.min() >= -_WHOLE_MAX)
    return bool(values.dtype.kind == "f")


def _same_odd(left: Any, right: Any, nan_equal: bool) -> bool:
    import numpy

    nan = numpy.isnan(left) & numpy.isnan(right)
    return bool(((left == right) | (nan & nan_equal)).all())


def _largest(left: Any, right: Any) -> float:
    """The largest finite magnitude of both; 0 where there is none."""
    import numpy

    most = 0.0
    for values in (left, right):
        for start in range(0, len(values), ELEMENTS_AT_ONCE):
            part = abs(values[start : start + ELEMENTS_AT_ONCE].astype("f8"))
            part = part[numpy.isfinite(part)]
            most = max(most, float(part.max())) if len(part) else most
    return most
