"""The Beta distribution, as much of it as a reputation needs, without scipy (which a node need not install)."""

from __future__ import annotations

import math
from functools import lru_cache

_STEPS = 60  # six of Newton's are enough; all of them halving would be 2^-60 of the unit interval
_CLOSE = 1e-12
_TERMS = 300  # of the continued fraction: enough for a, b up to 10^5 at the tail sought here
_TINY = 1e-300


@lru_cache(maxsize=16384)
def lower_bound(good: float, bad: float, confidence: float) -> float:
    """The share p of good that is exceeded with `confidence`, after `good` and `bad` observations and a flat prior.

    That is the (1 − confidence) quantile of Beta(good + 1, bad + 1). Counts need not be whole; both ≥ 0.
    """
    if good < 0 or bad < 0 or not 0 < confidence < 1:
        raise ValueError(f"lower_bound({good}, {bad}, {confidence})")
    a, b, target = good + 1, bad + 1, 1 - confidence
    low, high, x = 0.0, 1.0, a / (a + b)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    for _ in range(_STEPS):
        error = below(x, a, b) - target
        low, high = (x, high) if error < 0 else (low, x)
        slope = math.exp(scale + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x))
        step = error / slope if slope > _TINY else math.inf
        if abs(step) < _CLOSE:
            break
        x = x - step if low < x - step < high else (low + high) / 2  # Newton's step, halving where it leaps too far
        if high - low < _CLOSE:
            break
    return x


def binomial_tail(bad: float, of: float, rate: float) -> float:
    """P(at least `bad` of `of` are bad) where each is with probability `rate`. Counts need not be whole (DLMF 8.17.5)."""
    return 1.0 if bad <= 0 else below(rate, bad, of - bad + 1)


def below(x: float, a: float, b: float) -> float:
    """P(p < x) for p ~ Beta(a, b): the regularised incomplete beta function.

    Source: DLMF 8.17.22 (continued fraction), evaluated by Lentz's method.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - below(1 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(scale) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / _solid(1.0 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _solid(1.0 + term * d)
            c = _solid(1.0 + term / c)
            result *= c * d
        if abs(c * d - 1.0) < 1e-14:
            break
    return result


def _solid(value: float) -> float:
    """Away from zero, where Lentz's method would divide by it."""
    return value if abs(value) > _TINY else _TINY
