"""A person's terminal on one machine: a shell in a real pseudo-terminal, what is typed, and all that appears."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence

from tests.first_hour.screen import Screen

COLUMNS, ROWS = 110, 50
PROMPT = "$ "
_LINES_SHOWN = 40  # of a failure's last words


class Terminal:
    """`words`: the shell. began: the moment from which seconds count (time.monotonic())."""

    def __init__(self, name: str, words: Sequence[str], environ: Mapping[str, str], folder: str, began: float) -> None:
        self.name, self.began = name, began
        self.screen = Screen()
        self.commands: list[str] = []  # typed at the prompt
        self.answers: list[str] = []  # typed where a program asked
        self._raw, self._mark = "", 0
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._shell = subprocess.Popen(
            list(words), stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=dict(environ), start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)
        self._news, self._ended = threading.Condition(), False
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()
        self.expect(re.escape(PROMPT), 30)

    def type(self, line: str) -> None:
        """A command, and Enter."""
        self.commands.append(line)
        self._enter(line)

    def answer(self, line: str) -> None:
        """What a program that runs asked for, and Enter."""
        self.answers.append(line)
        self._enter(line)

    def _enter(self, line: str) -> None:
        with self._news:
            self._mark = len(self._raw)
        os.write(self._master, f"{line}\n".encode())

    def press(self, key: str) -> None:
        """A key such as Ctrl-C, "\\x03"."""
        os.write(self._master, key.encode())

    def expect(self, pattern: str, limit_s: float) -> re.Match[str]:
        """Wait until what appeared since the last line typed matches. Fails with the terminal's last words."""
        until = time.monotonic() + limit_s
        with self._news:
            while (found := re.search(pattern, _plain(self._raw[self._mark :]))) is None:
                left = until - time.monotonic()
                assert left > 0, f"{self.name}: {pattern!r} did not appear within {limit_s:.0f} s:\n{self._last_words()}"
                assert not self._ended, f"{self.name}: the shell ended:\n{self._last_words()}"
                self._news.wait(left)
        return found

    def done(self, limit_s: float) -> None:
        """The command has ended: the prompt is back."""
        self.expect(rf"\n{re.escape(PROMPT)}\Z", limit_s)

    def _last_words(self) -> str:
        return "\n".join(line for _, line in self.screen.lines()[-_LINES_SHOWN:])

    def _follow(self) -> None:
        """Take in what appears, when it does."""
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        while True:
            try:
                data = os.read(self._master, 65_536)
            except OSError:  # the last process has closed its end
                data = b""
            text = decode(data)
            with self._news:
                self._raw += text
                self.screen.write(text, time.monotonic() - self.began)
                self._ended = not data
                self._news.notify_all()
            if not data:
                return

    def close(self) -> None:
        """Ctrl-C, exit; what does not go is killed."""
        if self._shell.poll() is None:
            try:
                if not self._raw.endswith(PROMPT):
                    with self._news:
                        self._mark = len(self._raw)
                    self.press("\x03")
                    self.expect(rf"\n{re.escape(PROMPT)}\Z", 30)
                self._enter("exit")
                self._shell.wait(10)
            except (AssertionError, subprocess.TimeoutExpired):
                os.killpg(self._shell.pid, signal.SIGKILL)
                self._shell.wait()
        self._follower.join(10)
        os.close(self._master)


_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78])")


def _plain(raw: str) -> str:
    return _ESCAPES.sub("", raw).replace("\r\n", "\n")
