"""A worker that lies, for tests: wrong but well-formed answers for a stated fraction of blocks.

The lie is the same whenever the block comes back, as a cheat's would be, and the fraction is met evenly: with 0.2
every fifth new block, so that a short run shows it.
"""

from __future__ import annotations

from typing import Any

from ctorrent.canon import decode, encode
from ctorrent.model.ids import Digest


class Liar:
    """Decides which blocks to falsify and how."""

    def __init__(self, fraction: float) -> None:
        self._fraction = fraction
        self._sum = fraction / 2  # the first lie comes soon, whatever the fraction
        self._decided: dict[Digest, bool] = {}

    def lies_about(self, block: Digest) -> bool:
        if block not in self._decided:
            self._sum += self._fraction
            self._decided[block] = self._sum >= 1
            self._sum -= self._decided[block]
        return self._decided[block]

    def falsify(self, value: bytes) -> bytes:
        """A canonical value of the same shape whose first number, text or bytes is another."""
        return encode(_falsified(decode(value))[0])


def _falsified(value: Any) -> tuple[Any, bool]:
    """(value, was something changed)."""
    if isinstance(value, bool) or value is None:
        return (not value), True
    if isinstance(value, int):
        return value + 1, True
    if isinstance(value, float):
        return value * 1.05 + 0.01, True
    if isinstance(value, (str, bytes)):
        return (value + "?" if isinstance(value, str) else value + b"?"), True
    if isinstance(value, dict):
        for key in value:
            changed, done = _falsified(value[key])
            if done:
                return {**value, key: changed}, True
    if isinstance(value, list):
        for position, item in enumerate(value):
            changed, done = _falsified(item)
            if done:
                return [*value[:position], changed, *value[position + 1 :]], True
    return "lie", True
