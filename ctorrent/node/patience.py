"""How much talk of one peer is listened to before it is charged: a token bucket for each, in a bounded table."""

from __future__ import annotations

from collections.abc import Hashable


class Patience:
    """`take` says whether somebody has something left. Whoever is unknown starts with a full bucket."""

    def __init__(self, burst: float, per_s: float, kept: int = 4096) -> None:
        self._burst, self._per_s, self._kept = burst, per_s, kept
        self._left: dict[Hashable, tuple[float, float]] = {}  # (tokens, when)

    def take(self, who: Hashable, now: float, cost: float = 1.0) -> bool:
        """Spend `cost` of `who`'s tokens. False: it has not that many, and nothing is spent."""
        tokens, when = self._left.pop(who, (self._burst, now))
        tokens = min(self._burst, tokens + max(0.0, now - when) * self._per_s)
        enough = tokens >= cost
        self._left[who] = (tokens - cost if enough else tokens, now)
        if len(self._left) > self._kept:
            del self._left[next(iter(self._left))]  # the longest unheard of: its bucket has filled most
        return enough


def printable(text: str, limit: int) -> str:
    """A stranger's words for a terminal: cut, and without what moves a cursor or changes colours."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:limit])
