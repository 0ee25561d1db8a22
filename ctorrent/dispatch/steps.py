"""What happened lately, for people: one short record per step, however many blocks it was about."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class Steps:
    """The last `limit` steps of a job."""

    __slots__ = ("_log",)

    def __init__(self, limit: int) -> None:
        self._log: deque[tuple[float, str, str, Sequence[int]]] = deque(maxlen=limit)

    def note(self, now: float, what: str, who: str, indices: Sequence[int]) -> None:
        self._log.append((now, what, who, indices))

    def story(self, index: int) -> list[str]:
        """Steps that touched a block, oldest first."""
        return [
            f"{when:.3f} s: {what}{f' ({who})' if who else ''}"
            for when, what, who, indices in self._log
            if index in indices
        ]
