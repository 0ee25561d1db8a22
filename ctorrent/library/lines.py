"""Plain lines about a long wait, on standard error: for a pipe, a log file, a machine nobody sits at.

A wait of a few seconds says nothing. A longer one is named once, and then ever more rarely: at first after ten seconds, in
a job of hours every five minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress

FIRST_S = 4.0  # what is over before that needs no words
GAP_S, GAP_MOST_S = 10.0, 300.0  # between two lines; each gap is twice the one before


class Lines:
    """Of one wait. `said`: lines so far."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = clock() + FIRST_S
        self._gap = GAP_S
        self.said = 0

    def say(self, words: Callable[[], str]) -> None:
        """Say them, asked for only where a line is due."""
        now = self._clock()
        if now >= self._due:
            self._due, self._gap = now + self._gap, min(2 * self._gap, GAP_MOST_S)
            self.said += 1
            line(words())


def line(words: str) -> None:
    """One line that says whose it is. A program without standard error, or with one that nobody reads, goes on."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"ctorrent: {words}", file=sys.stderr, flush=True)
