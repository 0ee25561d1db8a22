"""The cookies that were given back before their time. In memory, and in a file, so that a node that starts again knows them.

The file: a line "before UNIX_S" (cookies that would end sooner hold no longer, whichever they are), then a line
"UNIX_S SERIAL" for each.
"""

from __future__ import annotations

import pathlib
import time

from ctorrent.web.place import write_private

_LINE_MAX = 80  # characters of one line: a time and a serial of 16


class Ended:
    """At most `most` are known one by one. More end those that would end first, given back or not: none comes to life again."""

    def __init__(self, path: pathlib.Path, most: int, session_s: float) -> None:
        self._path, self._most = path, most
        self._before = 0
        self._ended: dict[str, int] = {}  # serial -> until when, in unix seconds
        try:
            with path.open(encoding="ascii") as file:
                self._read(file.read(_LINE_MAX * (most + 1)).splitlines())
        except FileNotFoundError:
            pass
        except (OSError, ValueError):  # whoever was sent away might be in it: every cookie until now ends
            self._before, self._ended = int(time.time() + session_s), {}

    def _read(self, lines: list[str]) -> None:
        """Raises ValueError."""
        word, before = lines[0].split(" ") if lines else ("", "")
        if word != "before":
            raise ValueError("not such a file")
        self._before = int(before)
        for line in lines[1:]:
            until, serial = line.split(" ")
            self._ended[serial] = int(until)

    def has(self, until: int, serial: str) -> bool:
        return until < self._before or serial in self._ended

    def add(self, until: int, serial: str) -> None:
        """From now on, and after a restart. Raises LocalError when the file cannot be written: then only from now on."""
        now = time.time()
        self._ended = {one: end for one, end in self._ended.items() if end > now} | {serial: until}
        while len(self._ended) > self._most:
            first = min(self._ended, key=lambda one: self._ended[one])
            self._before = max(self._before, self._ended.pop(first) + 1)
        write_private(self._path, "".join([f"before {self._before}\n", *(f"{end} {one}\n" for one, end in self._ended.items())]))
