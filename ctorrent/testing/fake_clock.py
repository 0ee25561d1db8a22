"""ports.Clock over trio's clock, with a machine that can sleep and a calendar that can be wrong."""

from __future__ import annotations

import random

import trio

EPOCH_UNIX_S = 1_800_000_000  # when simulations begin


class FakeClock:
    """`skew_s`: how far this machine's calendar is off. `suspend` is what closing the lid does."""

    def __init__(self, dice: random.Random, skew_s: int = 0) -> None:
        self._dice = dice
        self._skew_s = skew_s
        self._slept_s = 0.0

    def now(self) -> float:
        return trio.current_time() + self._slept_s

    def unix(self) -> int:
        return EPOCH_UNIX_S + int(self.now()) + self._skew_s

    def random_bytes(self, size: int) -> bytes:
        return self._dice.randbytes(size)

    def suspend(self, seconds: float) -> None:
        """This machine slept: its clock went on while its tasks' timers (CLOCK_MONOTONIC) stood still."""
        self._slept_s += seconds
