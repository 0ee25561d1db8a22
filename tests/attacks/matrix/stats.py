"""Means with 95 % intervals, over runs and over blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Student's t, two-sided 95 %, by degrees of freedom; beyond the table the normal value is 2 % off at most
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120)
_Z = 1.96


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and where it lies with 95 %. One run has no interval: low = high = mean."""

    mean: float
    low: float
    high: float


def over_runs(values: Sequence[float]) -> Estimate:
    """Mean over independent runs, Student's t. Raises ValueError without a run."""
    if not values:
        raise ValueError("no runs")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Estimate(mean, mean, mean)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    freedom = len(values) - 2
    half = (_T[freedom] if freedom < len(_T) else _Z) * spread / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def share(counts: Sequence[tuple[int, int]]) -> Estimate:
    """Part of wholes, one pair a run: pooled, with the wider of the interval over runs and Wilson's over blocks.

    Blocks of one run are not independent (they meet the same liars), runs are few: so neither is enough alone.
    """
    part, whole = sum(one for one, _ in counts), sum(of for _, of in counts)
    if whole == 0:
        return Estimate(0.0, 0.0, 1.0)
    low, high = wilson(part, whole)
    runs = over_runs([one / of for one, of in counts if of])
    mean = part / whole
    return Estimate(mean, max(0.0, min(low, runs.low)), min(1.0, max(high, runs.high)))


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Interval of a share. Source: Wilson, "Probable inference", JASA 22, 1927."""
    p, zz = part / whole, _Z * _Z
    middle = (p + zz / (2 * whole)) / (1 + zz / whole)
    half = _Z * math.sqrt(p * (1 - p) / whole + zz / (4 * whole * whole)) / (1 + zz / whole)
    return (0.0 if part == 0 else max(0.0, middle - half)), (1.0 if part == whole else min(1.0, middle + half))


def median(values: Sequence[float]) -> float:
    """The middle one; of an even number the lower of the two, so that "never" (infinity) is never averaged."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2] if ordered else math.nan
