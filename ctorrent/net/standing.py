"""Points for misbehaviour, and bans that end. Pure: the caller brings the clock.

     fine ──points ≥ ban_points──▶ banned for ban_s × 2^(earlier bans) ──time──▶ fine, points 0
     points halve every half_life_s; an earlier ban is forgotten after ban_s_max without another
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ctorrent.model.ids import NodeId
from ctorrent.net.rules import DirectoryRules

_KEPT = 4_096  # peers with points; identities are free, so a flood of them must not grow this


@dataclass(slots=True)
class _Record:
    points: float
    at: float
    bans: int = 0
    banned_until: float = 0.0
    why: str = ""


class Standing:
    def __init__(self, rules: DirectoryRules) -> None:
        self._rules = rules
        self._records: dict[NodeId, _Record] = {}

    def charge(self, peer: NodeId, points: float, why: str, now: float) -> bool:
        """Add points. -> True if this made it a ban."""
        record = self._records.pop(peer, None) or _Record(0.0, now)
        self._records[peer] = record  # most recently charged last
        self._trim(now)
        record.points = self._points(record, now) + points
        record.at, record.why = now, why
        if record.points < self._rules.ban_points or now < record.banned_until:
            return False
        ban = min(self._rules.ban_s * 2**record.bans, self._rules.ban_s_max)
        record.banned_until, record.points = now + ban, 0.0
        record.bans += 1
        return True

    def banned(self, peer: NodeId, now: float) -> bool:
        record = self._records.get(peer)
        return record is not None and now < record.banned_until

    def points(self, peer: NodeId, now: float) -> float:
        record = self._records.get(peer)
        return 0.0 if record is None else self._points(record, now)

    def why(self, peer: NodeId) -> str:
        """What the peer was charged for last, or ""."""
        record = self._records.get(peer)
        return "" if record is None else record.why

    def _points(self, record: _Record, now: float) -> float:
        half_lives = max(now - record.at, 0.0) / self._rules.half_life_s
        return record.points * math.exp2(-half_lives)

    def _trim(self, now: float) -> None:
        while len(self._records) > _KEPT:
            old = next((peer for peer, one in self._records.items() if now >= one.banned_until), None)
            del self._records[old if old is not None else next(iter(self._records))]
