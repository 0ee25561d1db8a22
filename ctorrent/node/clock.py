"""Time and randomness of the real machine."""

from __future__ import annotations

import os
import time

_BOOTTIME = hasattr(time, "CLOCK_BOOTTIME")


class MachineClock:
    """ports.Clock. Leases must not outlive a laptop's sleep: CLOCK_BOOTTIME counts it where there is one."""

    def now(self) -> float:
        # elsewhere: macOS's monotonic clock stands still in sleep, Windows' goes on
        return time.clock_gettime(time.CLOCK_BOOTTIME) if _BOOTTIME else time.monotonic()

    def unix(self) -> int:
        return int(time.time())

    def random_bytes(self, size: int) -> bytes:
        return os.urandom(size)
