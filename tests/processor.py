"""How slow this machine's processor is just now, for tests that bound what something costs."""

from __future__ import annotations

import resource
import time

LOOP_S = 0.0065  # on an idle core of the machine that the bounds are from


def slower() -> float:
    """How many times as long as there a plain loop takes here. Never less than 1: a fast machine has the bounds as they stand."""
    return max(1.0, min(_loop_s() for _ in range(5)) / LOOP_S)


def children_s() -> float:
    """Processor seconds of all child processes of this one that have ended."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def _loop_s() -> float:
    seen: dict[int, tuple[object, ...]] = {}
    began = time.process_time()
    for number in range(50_000):
        seen[number & 1023] = (number, seen.get(number & 511))[:1]
    return time.process_time() - began
