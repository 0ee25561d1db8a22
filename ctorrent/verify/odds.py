"""How likely an honest worker is to have been wrong so often. Pure."""

from __future__ import annotations

import math

_NEGLIGIBLE = 1e-3  # of the sum so far: what is left out is smaller still, since terms fall faster than by half


def tail(wrong: int, checked: int, rate: float) -> float:
    """P(X ≥ wrong) for X ~ Binomial(checked, rate): the chance that a worker with this error rate looks so bad."""
    if wrong <= 0:
        return 1.0
    if wrong > checked or rate <= 0.0:
        return 0.0
    if rate >= 1.0:
        return 1.0
    if wrong <= checked * rate:
        return 1.0 - sum(_exactly(k, checked, rate) for k in range(wrong))
    total = 0.0
    for k in range(wrong, checked + 1):
        term = _exactly(k, checked, rate)
        total += term
        if term < _NEGLIGIBLE * total:
            break
    return min(1.0, total)


def _exactly(k: int, n: int, p: float) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(p) + (n - k) * math.log1p(-p))
