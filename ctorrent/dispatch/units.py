"""Assignments in flight: whose, which blocks, until when; and those whose lease is over but which may still return."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from ctorrent.model.ids import NodeId


@dataclass(slots=True)
class Unit:
    """One assignment. `kind` says what its loss means."""

    id: int
    worker: NodeId
    owner: str
    indices: Sequence[int]
    sent: float
    until: float
    alone: bool
    rerun: bool = False  # these very workers were asked: nobody else can
    copy: bool = False  # a straggler's copy: nothing is lost with it
    copied: bool = False  # a copy of it was made


class Units:
    """Units by number, and a heap of leases."""

    __slots__ = ("_expired_max", "_heap", "_next", "blocks", "expired", "flying")

    def __init__(self, first: int, expired_max: int) -> None:
        self.flying: dict[int, Unit] = {}
        self.expired: dict[int, Unit] = {}
        self.blocks = 0  # in flight
        self._heap: list[tuple[float, int]] = []
        self._next = first
        self._expired_max = expired_max

    def open(self, worker: NodeId, owner: str, indices: Sequence[int], now: float, lease_s: float, alone: bool) -> Unit:
        unit = Unit(self._next, worker, owner, indices, now, now + lease_s, alone)
        self._next += 1
        self.flying[unit.id] = unit
        self.blocks += len(indices)
        heapq.heappush(self._heap, (unit.until, unit.id))
        return unit

    def close(self, unit: Unit, late: bool) -> None:
        """Out of flight; `late`: should it return, it is still understood."""
        if self.flying.pop(unit.id, None) is not None:
            self.blocks -= len(unit.indices)
        if late:
            self.remember(unit)

    def remember(self, unit: Unit) -> None:
        self._next = max(self._next, unit.id + 1)
        self.expired[unit.id] = unit
        while len(self.expired) > self._expired_max:
            del self.expired[next(iter(self.expired))]

    def due(self, now: float) -> list[Unit]:
        """Units whose lease is over, oldest first."""
        out = []
        while self._heap and self._heap[0][0] <= now:
            unit = self.flying.get(heapq.heappop(self._heap)[1])
            if unit is not None:
                out.append(unit)
        return out

    def next_end(self) -> float | None:
        while self._heap and self._heap[0][1] not in self.flying:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def of(self, worker: NodeId) -> list[Unit]:
        return [u for u in self.flying.values() if u.worker == worker]
