"""So many at once, so many a second, for each of many who may be invented."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Budgets:
    """A token bucket for each key; the caller brings the clock. Full buckets are forgotten, then the oldest ones."""

    def __init__(self, burst: float, per_s: float, keys_max: int = 4_096) -> None:
        self._burst, self._per_s, self._keys_max = burst, per_s, keys_max
        self._buckets: dict[Hashable, _Bucket] = {}

    def take(self, key: Hashable, now: float) -> bool:
        """Is there one left for `key`? Takes it if so."""
        bucket = self._buckets.pop(key, None) or _Bucket(self._burst, now)
        bucket.left = min(bucket.left + (now - bucket.at) * self._per_s, self._burst)
        bucket.at = now
        self._buckets[key] = bucket  # most recently used last
        if len(self._buckets) > self._keys_max:
            del self._buckets[next(iter(self._buckets))]
        if bucket.left < 1:
            return False
        bucket.left -= 1
        return True
