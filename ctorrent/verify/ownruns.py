"""Blocks that the requester runs itself: which wait for it, which are under way, whether it can at all. Pure."""

from __future__ import annotations

from collections.abc import Callable

TRIES = 3  # own runs that could not be made in a row: then this requester cannot check


class OwnRuns:
    """Of one job; each run is of one block, twice, alone."""

    __slots__ = ("_at_once", "_failures", "_made", "_running", "_wishes")

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._wishes: dict[int, None] = {}
        self._running: dict[int, None] = {}
        self._failures = 0
        self._made = 0

    @property
    def able(self) -> bool:
        return self._failures < TRIES

    @property
    def busy(self) -> bool:
        return bool(self._running)

    @property
    def asked(self) -> int:
        """Runs begun so far, and those that wait: a thousand blocks may be agreed on at once."""
        return self._made + len(self._wishes)

    @property
    def begun(self) -> int:
        return self._made

    @property
    def done(self) -> int:
        """Runs that ended: what a restart need not make again."""
        return self._made - len(self._running)

    def recall(self, done: int) -> None:
        """Of a life before a restart."""
        self._made = max(self._made, done)

    def wish(self, index: int, first: bool = False) -> None:
        """first: before those that wait already."""
        if first:
            self._wishes = {index: None, **self._wishes}
        self._wishes[index] = None

    def start(self, wanted: Callable[[int], bool]) -> list[int]:
        """Blocks to run now: as many as there is room for, of those still `wanted`."""
        begun = []
        for index in list(self._wishes):
            if len(self._running) >= self._at_once:
                break
            del self._wishes[index]
            if wanted(index):
                self._running[index] = None
                begun.append(index)
        self._made += len(begun)
        return begun

    def ended(self, index: int, failed: bool) -> bool:
        """False: nobody asked for it."""
        if self._running.pop(index, index) is not None:
            return False
        self._failures = self._failures + 1 if failed else 0
        return True

    def given_up(self) -> list[int]:
        """Blocks that wait for a run that will never be made."""
        waiting, self._wishes = list(self._wishes), {}
        return waiting
