"""How often a client may call: a bucket each, that fills again with time."""

from __future__ import annotations

import time
from collections import OrderedDict


class Rates:
    """burst calls at once, then per_s; at most clients_max clients are remembered, those that called last."""

    def __init__(self, burst: int, per_s: float, clients_max: int) -> None:
        self._burst, self._per_s, self._clients_max = float(burst), per_s, clients_max
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> (calls left, at what time)

    def wait_s(self, client: str) -> float:
        """0.0: the call is counted and may go on; else how long until one may."""
        now = time.monotonic()
        left, at = self._left.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_s)
        wait = 0.0 if left >= 1 else (1 - left) / self._per_s
        self._left[client] = (left - 1 if not wait else left, now)
        if len(self._left) > self._clients_max:
            self._left.popitem(last=False)
        return wait
