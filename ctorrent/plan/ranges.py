"""`{from: 0.1, to: 0.5, steps: 200}`: values at equal distances, both ends among them.

Each value is the float nearest to the exact one, so {from: 0, to: 1, steps: 11} has 0.3 and not 0.30000000000000004.
"""

from __future__ import annotations

import math
from fractions import Fraction

Number = int | float
_LOG_DIGITS = 15  # a float holds these for certain: 1e-4 to 1e-1 in four steps has 0.001, not 0.0009999999999999998


def spread(first: Number, last: Number, steps: int, log: bool = False) -> tuple[Number, ...]:
    """`steps` values from first to last, both included: at equal distances, or at equal ratios with `log`.

    Whole numbers where both ends are, and every value is; else floats. Raises ValueError unless steps >= 2, the ends
    are finite and differ, and, with `log`, are above 0.
    """
    if steps < 2 or first == last or not (math.isfinite(first) and math.isfinite(last)):
        raise ValueError("a range has two different, finite ends")
    if log and min(first, last) <= 0:
        raise ValueError("equal ratios need ends above 0")
    whole = isinstance(first, int) and isinstance(last, int)
    inner = _ratios(first, last, steps) if log else _distances(first, last, steps)
    if whole and all(isinstance(value, int) for value in inner):
        return (first, *inner, last)
    return (float(first), *(float(value) for value in inner), float(last))


def _distances(first: Number, last: Number, steps: int) -> list[Number]:
    """Over one denominator: the division of two whole numbers is rounded once, as exactly as a float can be."""
    low, high = _as_typed(first), _as_typed(last)
    scale = math.lcm(low.denominator, high.denominator)
    start, end = int(low * scale), int(high * scale)
    below = scale * (steps - 1)
    found: list[Number] = []
    for step in range(1, steps - 1):
        above = start * (steps - 1) + (end - start) * step
        found.append(above // below if above % below == 0 else above / below)
    return found


def _as_typed(value: Number) -> Fraction:
    """0.1 as one tenth, which is what was meant, and not as the float next to it."""
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))


def _ratios(first: Number, last: Number, steps: int) -> list[Number]:
    low, high = math.log(first), math.log(last)
    between = (math.exp(low + (high - low) * step / (steps - 1)) for step in range(1, steps - 1))
    rounded = [float(f"{value:.{_LOG_DIGITS - 1}e}") for value in between]
    return [int(value) if value.is_integer() and value < 10**_LOG_DIGITS else value for value in rounded]
