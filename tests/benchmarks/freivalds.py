"""What checking a product costs and misses: `python -m tests.benchmarks.freivalds [--sizes 1024 2048] [--seed N]`.

A line a size and kind of numbers: the check's time as a share of the product's own on this machine; the largest
residual of honest products (summed in three orders), in units of their rounding; the smallest of a product whose
factors were rounded to half precision first; and how often one entry, off by a hundredth of the standard deviation, is
missed by one probe, and by three. Data is drawn anew for each seed: those of tests/verify are others.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ctorrent.verify.freivalds import PROBES, TOLERANCE, product_is_right, residual

KINDS: dict[str, Callable[[Any, int], Any]] = {
    "normal": lambda draw, n: draw.normal(size=(n, n)),
    "positive": lambda draw, n: draw.random((n, n)),
    "rectified": lambda draw, n: np.maximum(0.0, draw.normal(size=(n, n))),
    "lognormal": lambda draw, n: np.exp(2 * draw.normal(size=(n, n))),
}


@dataclass(frozen=True, slots=True)
class Row:
    honest: float  # the largest, of three orders of summation
    half: float  # the smallest, of factors rounded to half precision
    missed_one: float  # of one slightly wrong entry: share of draws, one probe
    missed: float  # and three
    cost: float  # of the product's own time, three probes


def in_steps(a: Any, b: Any) -> Any:
    """The product as the worst honest machine adds it up: one term after the other."""
    total = np.zeros((a.shape[0], b.shape[1]), np.result_type(a, b))
    for k in range(a.shape[1]):
        total += np.outer(a[:, k], b[k])
    return total


def measured(kind: str, size: int, seed: int, draws: int) -> Row:
    """One line."""
    draw = np.random.default_rng([seed, size])
    a, b = (KINDS[kind](draw, size).astype("f4") for _ in range(2))
    turn = draw.permutation(size)
    c = a @ b
    honest = [c, a[:, turn] @ b[turn], *([in_steps(a, b)] if size <= 512 else [])]
    few = max(3, draws // 20)
    half = a.astype("f2").astype("f4") @ b.astype("f2").astype("f4")
    wrong = c.copy()
    wrong[size // 2, size // 3] += np.float32(0.01 * c.std())
    row = slice(size // 2, size // 2 + 1)  # the only one that differs: the others cost time and say nothing
    missed_one = statistics.mean(product_is_right(a[row], b, wrong[row], n, 1) is True for n in range(draws))
    missed = statistics.mean(product_is_right(a[row], b, wrong[row], n) is True for n in range(draws))
    return Row(
        max(residual(a, b, each, n) for each in honest for n in range(few)), min(residual(a, b, half, n) for n in range(few)),
        missed_one, missed, taken(lambda: product_is_right(a, b, c, 1)) / taken(lambda: a @ b),
    )  # fmt: skip


def taken(work: Callable[[], Any]) -> float:
    """Median of five, in seconds of all processors: what else runs here does not count."""
    times = []
    for _ in range(5):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[256, 1024, 2048, 4096])
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--draws", type=int, default=100)
    chosen = options.parse_args()
    print(f"{'':10} {'n':>5} {'cost':>7} {'honest':>8} {'half':>8} {'1 probe':>8} {f'{PROBES} probes':>9}    limit {TOLERANCE}")
    for kind in KINDS:
        for size in chosen.sizes:
            found = measured(kind, size, chosen.seed, chosen.draws)
            print(f"{kind:10} {size:5} {found.cost:7.1%} {found.honest:8.3f} {found.half:8.1f} {found.missed_one:8.1%} {found.missed:9.1%}", flush=True)


if __name__ == "__main__":
    main()
