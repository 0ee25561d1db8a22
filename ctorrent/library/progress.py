"""How far a map is, by itself: a bar in a terminal, a bar in a notebook, a plain line now and then anywhere else.

At most ten redraws a second. Nothing here starts a thread or handles a signal: whoever waits for results draws.
"""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from ctorrent.library.lines import Lines, line

Plain = dict[str, Any]
REDRAW_S = 0.1  # ten a second: more is not seen, and a notebook keeps up with no more
LABEL_CHARS, BAR_CHARS, COUNTS_CHARS = 24, 30, 28  # of a terminal's line; what is beside the count gets the rest
SENTENCE_CHARS, SENTENCES_MAX = 60, 8  # longer words say what is waited for: where the line has no room they stand above it, each once
_DONE = ("settled", "provisional", "failed", "disputed")


class Bar(Protocol):
    def show(self, done: int, total: int, words: str, left_s: float | None) -> None: ...

    def close(self) -> None: ...


class Progress:
    """Of one job. draw: True, False, or None for what fits where it is. notes: what its person should know, said once."""

    def __init__(self, label: str, draw: bool | None = None, clock: Callable[[], float] = time.monotonic, notes: tuple[str, ...] = ()) -> None:
        self._make: Callable[[], Bar] | None = _bar(label, draw, notes, clock)
        self._bar: Bar | None = None  # made when there is something to show
        self._clock = clock
        self._drawn_at = float("-inf")
        self._last: Plain | None = None
        self.redraws = 0

    def update(self, status: Plain) -> None:
        """The job's status, as it changed."""
        self._last = status
        if self._make is not None and self._bar is None:
            self._bar = self._make()
        if self._bar is not None and self._clock() - self._drawn_at >= REDRAW_S:
            self._draw(self._bar, status)

    def _draw(self, bar: Bar, status: Plain) -> None:
        self._drawn_at = self._clock()
        self.redraws += 1
        bar.show(*counts_of(status), words_of(status), status.get("eta_s"))

    def close(self) -> None:
        """Show the last state, and leave it there."""
        bar, self._bar, self._make = self._bar, None, None
        if bar is not None:
            if self._last is not None:
                self._draw(bar, self._last)
            bar.close()


def counts_of(status: Plain) -> tuple[int, int]:
    """(blocks that have ended, blocks)."""
    return sum(int(status[name]) for name in _DONE), int(status["blocks"])


def words_of(status: Plain) -> str:
    """What a person should know beside the count."""
    parts = []
    if status["failed"]:
        parts.append(f"{status['failed']} failed")
    if status["disputed"]:
        parts.append(f"{status['disputed']} disputed")
    busy = [worker for worker in status["workers"] if worker["running"]]
    if status["state"] == "waiting" or (status["reason"] and status["state"] in ("waiting", "paused")):
        parts.append(status["reason"] or "waiting for workers")
    elif busy:
        parts.append(f"{len(busy)} machine{'s' if len(busy) > 1 else ''} at work")
    elif status["state"] == "running" and status["reason"]:  # nobody is at work, and it is known why: for one more owner, say
        parts.append(status["reason"])
    return ", ".join(parts)


def _bar(label: str, draw: bool | None, notes: tuple[str, ...], clock: Callable[[], float]) -> Callable[[], Bar] | None:
    if draw is False or sys.stderr is None:
        return None
    if (shell := _notebook()) is not None:
        return lambda: NotebookBar(label, shell, notes)
    if draw or sys.stderr.isatty():
        return lambda: TerminalBar(label, notes)
    plain = PlainBar(label, notes, clock)  # at once: how long it waits is counted from here
    return lambda: plain


def _notebook() -> Any:
    """IPython's display, if this is the kernel of a notebook; never imports it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not getattr(shell, "kernel", None):
        return None
    from IPython.display import display

    return display


class PlainBar:
    """Lines, where a bar would be noise: the first after some seconds, and the last state if there was one."""

    def __init__(self, label: str, notes: tuple[str, ...], clock: Callable[[], float]) -> None:
        self._label, self._notes = label, notes
        self._lines = Lines(clock)
        self._text = self._said = ""

    def show(self, done: int, total: int, words: str, left_s: float | None) -> None:
        self._text = text_of(self._label, done, total, words, left_s)
        self._lines.say(self._words)

    def _words(self) -> str:
        notes, self._notes, self._said = self._notes, (), self._text
        return " ".join((f"{self._text}.", *notes))

    def close(self) -> None:
        if self._lines.said and self._said != self._text:
            line(f"{self._text}.")


def text_of(label: str, done: int, total: int, words: str, left_s: float | None) -> str:
    """One line of text: "simulate: 7 of 20,000 (2 machines at work, about 3 s left)"."""
    left = f"about {left_s:.0f} s left" if left_s and done < total else ""
    said = ", ".join(filter(None, (words, left)))
    return f"{label}: {done:,} of {total:,}" + (f" ({said})" if said else "")


class TerminalBar:
    """By rich, on standard error; notes above it."""

    def __init__(self, label: str, notes: tuple[str, ...] = ()) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.fields[label]}", markup=False), BarColumn(BAR_CHARS), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[words]}", markup=False))
        console = Console(stderr=True)
        for note in notes:
            console.print(note, style="dim", markup=False, highlight=False)
        label = label if len(label) <= LABEL_CHARS else label[: LABEL_CHARS - 1] + "…"
        self._room = console.width - len(label) - BAR_CHARS - COUNTS_CHARS
        self._above: set[str] = set()
        self._rich = RichProgress(*columns, console=console, auto_refresh=False)
        self._task = self._rich.add_task("", total=None, label=label, words="")
        self._rich.start()

    def show(self, done: int, total: int, words: str, left_s: float | None) -> None:
        if len(words) > max(SENTENCE_CHARS, self._room) and words not in self._above and len(self._above) < SENTENCES_MAX:
            self._above.add(words)
            self._rich.console.print(words, style="dim", markup=False, highlight=False)
        words = words if len(words) <= self._room else words[: self._room - 1] + "…" if self._room > 8 else ""
        self._rich.update(self._task, completed=done, total=total, words=words, refresh=True)

    def close(self) -> None:
        self._rich.stop()


class NotebookBar:
    """The browser's own <progress>: no widget extension is needed, and a saved notebook keeps its last state."""

    def __init__(self, label: str, display: Any, notes: tuple[str, ...] = ()) -> None:
        self._label, self._notes = label, notes
        self._handle = display({"text/html": "", "text/plain": label}, raw=True, display_id=True)

    def show(self, done: int, total: int, words: str, left_s: float | None) -> None:
        text = ". ".join((text_of(self._label, done, total, words, left_s), *self._notes))
        bar = f'<div role="status"><progress value="{done}" max="{max(total, 1)}"></progress> {html.escape(text)}</div>'
        self._handle.update({"text/html": bar, "text/plain": text}, raw=True)

    def close(self) -> None:
        return
