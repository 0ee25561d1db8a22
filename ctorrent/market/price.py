"""Prices. One figure is named in a bid and in a job: credits per reference core-hour.

A reference core does 10 GFLOP/s in float64; a reference GPU does 10 TFLOP/s in float32, and its hour counts as 10
core-hours. So a GPU job's price is the same figure: who asks 20 credits per GPU-hour bids 2 per core-hour for such a job.
"""

from __future__ import annotations

from dataclasses import dataclass

from ctorrent.model.result import Usage
from ctorrent.model.trade import GPU_CORES

REFERENCE_GFLOPS = 10.0  # one core of a 2020 laptop running numpy's matrix product
REFERENCE_TFLOPS = 10.0  # a graphics card of about 2020 (such as an RTX 3060) running torch's float32 matrix product


@dataclass(frozen=True, slots=True)
class Prices:
    """What an owner asks, in credits. Friends pay nothing unless the owner says so."""

    core_hour: float = 1.0  # by definition of the credit
    friends_core_hour: float = 0.0
    gpu_hour: float = GPU_CORES * 1.0  # of the reference GPU
    friends_gpu_hour: float = 0.0


def price_for(prices: Prices, friend: bool, gpu: bool = False) -> float:
    """Credits per reference core-hour for this requester; gpu: for a job that holds GPUs, whose hours are its price."""
    if gpu:
        return (prices.friends_gpu_hour if friend else prices.gpu_hour) / GPU_CORES
    return prices.friends_core_hour if friend else prices.core_hour


def reference_core_hours(usage: Usage, gflops: float) -> float:
    """Work: CPU seconds on cores of `gflops` each, as hours of the reference core. Not measured: 1 to 1."""
    factor = gflops / REFERENCE_GFLOPS if gflops > 0 else 1.0
    return max(0.0, usage.cpu_s) * factor / 3600.0


def reference_gpu_hours(usage: Usage, tflops: float) -> float:
    """Work: seconds of held GPUs of `tflops` each, as hours of the reference GPU. Not measured: 1 to 1."""
    factor = tflops / REFERENCE_TFLOPS if tflops > 0 else 1.0
    return max(0.0, usage.gpu_s) * factor / 3600.0


def worth(price: float, core_hours: float, gpu_hours: float = 0.0) -> float:
    """What work is worth at a bid's price."""
    return price * (core_hours + GPU_CORES * gpu_hours)
