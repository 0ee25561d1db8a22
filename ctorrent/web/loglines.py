"""What blocks print comes in fragments, as their pipes were read; it is shown in whole lines.

A line without an end is told after a moment all the same (a program may print dots), and a long one in parts.
"""

from __future__ import annotations

import math

from ctorrent.door import Plain

HOLD_S = 0.5  # for the rest of a line: workers send what was printed several times a second
LOOK_S = 0.05  # between two looks at all that is held
LINE_CHARS = 8192  # of one line that are held back


class Lines:
    """Items of door.Door.logs(), joined by block and worker. Each that comes out has whole lines, mostly."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, str], tuple[float, str]] = {}  # what followed the last end of a line, and since when
        self._look = 0.0  # not before, for what is late: thousands of blocks may print dots at once

    @property
    def held(self) -> bool:
        """Is there a line whose end has not come?"""
        return bool(self._held)

    def add(self, item: Plain, now: float) -> list[Plain]:
        """What can be told of it."""
        key = item["index"], item["worker"]
        since, before = self._held.pop(key, (now, ""))
        text = before + item["text"]
        end = text.rfind("\n") + 1
        if end:
            since = now
        if len(text) - end > LINE_CHARS:
            end = len(text)
        if text[end:]:
            self._held[key] = since, text[end:]
        return [{**item, "text": text[:end]}] if end else []

    def due(self, now: float) -> list[Plain]:
        """Lines whose rest did not come within HOLD_S, or LOOK_S more."""
        if now < self._look:
            return []
        if now < math.inf:
            self._look = now + LOOK_S
        late = [key for key, (since, _) in self._held.items() if now - since >= HOLD_S]
        return [{"index": key[0], "worker": key[1], "text": self._held.pop(key)[1]} for key in late]
