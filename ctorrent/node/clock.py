"""Time and randomness of the real machine."""

from __future__ import annotations

import os
import time


class MachineClock:
    """ports.Clock. Leases must not outlive a laptop's sleep: CLOCK_BOOTTIME counts it where there is one."""

    _source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def now(self) -> float:
        return time.clock_gettime(self._source)

    def unix(self) -> int:
        return int(time.time())

    def random_bytes(self, size: int) -> bytes:
        return os.urandom(size)
