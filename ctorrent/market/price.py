"""Prices: credits per reference core-hour. A reference core does 10 GFLOP/s in float64."""

from __future__ import annotations

from dataclasses import dataclass

from ctorrent.model.result import Usage

REFERENCE_GFLOPS = 10.0  # one core of a 2020 laptop running numpy's matrix product


@dataclass(frozen=True, slots=True)
class Prices:
    """What an owner asks. Friends pay nothing unless the owner says so."""

    core_hour: float = 1.0  # by definition of the credit
    friends_core_hour: float = 0.0


def price_for(prices: Prices, friend: bool) -> float:
    """Credits per reference core-hour for this requester."""
    return prices.friends_core_hour if friend else prices.core_hour


def reference_core_hours(usage: Usage, gflops: float) -> float:
    """Verified work: CPU seconds on cores of `gflops` each, as hours of the reference core. Not measured: 1 to 1."""
    factor = gflops / REFERENCE_GFLOPS if gflops > 0 else 1.0
    return max(0.0, usage.cpu_s) * factor / 3600.0
