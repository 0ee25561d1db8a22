"""A command in a terminal of its own, typed at and read as a person would."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping
from types import TracebackType

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """`ctorrent *words` under a pty of 80 columns. Use as a context manager: what still runs is ended."""

    def __init__(self, words: list[str], environ: Mapping[str, str], columns: int = 80) -> None:
        self.said, self.code = "", -1
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests that run in the background ignore it, and a child would too
            os.execve(sys.executable, [sys.executable, "-m", "ctorrent", *words], dict(environ))
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.code < 0:
            os.kill(self.pid, signal.SIGKILL)
            self.wait_end(10)
        os.close(self._screen)

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def wait_for(self, words: str, limit_s: float = 60.0) -> str:
        """Read until the screen showed `words`. -> all of it. Fails with it when they do not come."""
        return self.wait_like(re.escape(words), limit_s)

    def wait_like(self, pattern: str, limit_s: float = 60.0) -> str:
        """The same for what a regular expression finds."""
        until = time.monotonic() + limit_s
        while not re.search(pattern, self.said):
            assert time.monotonic() < until and self._read(until), f"never said {pattern!r}: {self.said}"
        return self.said

    def wait_end(self, limit_s: float = 60.0) -> int:
        """Read to the end. -> exit code, negative for a signal."""
        until = time.monotonic() + limit_s
        while self._read(until):
            assert time.monotonic() < until, f"does not end: {self.said}"
        self.code = abs(os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]))
        return self.code

    def _read(self, until: float) -> bool:
        """Take what is on the screen. False: the command has closed it."""
        ready, _, _ = select.select([self._screen], [], [], max(0.0, until - time.monotonic()))
        try:
            fresh = os.read(self._screen, 1 << 16) if ready else b" "
        except OSError:  # Linux says EIO when the last process has let go
            return False
        self.said += _COLOURS.sub("", fresh.decode(errors="replace")).replace("\r\n", "\n")
        return bool(fresh)
