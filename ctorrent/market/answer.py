"""A worker's answer to an announcement: dial or not, and when. Neither a stampede nor a reflector."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """How eagerly a worker dials."""

    eagerness: float = 3.0  # dialling peers per bid wanted: most of those who dial still fit when they arrive
    spread_s: float = 0.02  # per peer expected to dial: a requester takes about 50 handshakes a second
    delay_max_s: float = 2.0  # two bid windows: later the round is over


def dial_after(bids_wanted: int, audience: int, draw: random.Random, rules: Rules | None = None) -> float | None:
    """Seconds to wait before dialling, or None: leave it to others. audience: peers believed to hear it, this one too."""
    rules = rules or Rules()
    if bids_wanted <= 0:
        return None
    audience = max(1, audience)
    dialling = min(float(audience), rules.eagerness * bids_wanted)
    if draw.random() >= dialling / audience:
        return None
    return draw.random() * min(rules.delay_max_s, rules.spread_s * dialling)
