"""What a terminal shows for the bytes that programs write to it: lines, the moment each was begun, nothing painted over."""

from __future__ import annotations

import re

_PART = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b[()][A-Z0-9]|\x1b[=>78]|[\r\n\b\x07]|[^\x1b\r\n\b\x07]+|\x1b")
_CUT = re.compile(r"\x1b(?:\[[0-9;?]*|\][^\x07]*|[()])?\Z")


class Screen:
    """An endless one: nothing scrolls away. Only what prompts, spinners and progress bars use is understood."""

    def __init__(self) -> None:
        self._lines: list[str] = [""]
        self._began: list[float] = [0.0]
        self._row = self._column = 0
        self._cut = ""  # an escape sequence of which the rest is still to come

    def write(self, text: str, now_s: float) -> None:
        text = self._cut + text
        cut = _CUT.search(text)
        self._cut = cut[0] if cut else ""
        text = text.removesuffix(self._cut)
        for part in _PART.finditer(text):
            if part[2]:
                self._move(part[1], part[2])
            elif part[0] == "\n":
                self._row += 1
                if self._row == len(self._lines):
                    self._lines.append("")
                    self._began.append(now_s)
                self._column = 0
            elif part[0] == "\r":
                self._column = 0
            elif part[0] == "\b":
                self._column = max(0, self._column - 1)
            elif not part[0].startswith(("\x1b", "\x07")):
                self._put(part[0], now_s)

    def _put(self, text: str, now_s: float) -> None:
        line = self._lines[self._row].ljust(self._column)
        if line.strip() in ("", "$"):  # what is typed counts from then on, not from the prompt
            self._began[self._row] = now_s
        self._lines[self._row] = line[: self._column] + text + line[self._column + len(text) :]
        self._column += len(text)

    def _move(self, words: str, letter: str) -> None:
        count = int(words) if words.isdecimal() else 1
        match letter:
            case "A":
                self._row = max(0, self._row - count)
            case "B":
                self._row = min(len(self._lines) - 1, self._row + count)
            case "C":
                self._column += count
            case "D":
                self._column = max(0, self._column - count)
            case "G":
                self._column = count - 1
            case "K":
                line = self._lines[self._row]
                self._lines[self._row] = "" if words == "2" else line[: self._column]
            case "J" if words in ("", "0"):
                self._lines[self._row] = self._lines[self._row][: self._column]
                del self._lines[self._row + 1 :], self._began[self._row + 1 :]

    def lines(self) -> list[tuple[float, str]]:
        """(seconds, line) of all that is there, without blanks at the ends."""
        return [(began, line.rstrip()) for began, line in zip(self._began, self._lines, strict=True)]
