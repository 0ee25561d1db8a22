"""Keys as a person presses them, one by one, without Enter."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_ARROWS = {b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down"}
_BYTES_MAX = 64  # a key is a few bytes; what is pasted is not obeyed beyond that


@contextmanager
def pressed() -> Iterator[Keys]:
    """The terminal gives each key at once and shows none, until the block ends. Ctrl-C stays what it is."""
    try:
        import termios
        import tty
    except ImportError:  # a system without them: Ctrl-C alone ends what runs
        yield Keys(-1)
        return
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    try:
        tty.setcbreak(file)
        yield Keys(file)
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)


class Keys:
    def __init__(self, file: int) -> None:
        self._file = file

    def wait(self, limit_s: float) -> list[str]:
        """What was pressed, as letters, "up" or "down"; [] after limit_s. Raises EOFError where the terminal has gone."""
        if self._file < 0:
            import threading

            threading.Event().wait(limit_s)
            return []
        if not select.select([self._file], [], [], limit_s)[0]:
            return []
        raw = os.read(self._file, _BYTES_MAX)
        if not raw:
            raise EOFError
        if raw in _ARROWS:
            return [_ARROWS[raw]]
        return [] if raw.startswith(b"\x1b") else [chr(byte) for byte in raw if 32 <= byte < 127]
