"""A job's progress, live in a terminal and in plain lines elsewhere.

    digits abcdefgh  running
    ━━━━━━━━━━━━━━━━━━━━━━━╺━━━━━━━━━━━━━━━━   7 / 12  58 %  2.1 blocks/s  about 3 s left
    4 running · 1 waiting · 1 disputed
    worker      state    running  done  agreed  disputed
    ann (here)  engaged  4, 5        7       7         0
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ctorrent.cli import show

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from ctorrent.client import Job

Plain = dict[str, Any]

SECOND_S = 3.0  # a second Ctrl-C within this time cancels: long enough to read the sentence that says so
RATE_S = 10.0  # the rate is of this many last seconds: steady for slow blocks, true for fast ones
LINE_S = 5.0  # plain lines: at least this long apart, but for changes of state
REDRAWS_PER_S = 8
WORKERS_MAX = 12  # lines; a terminal has 24
BAR_MIN, BAR_MAX = 10, 40  # columns
COLUMNS = {"worker": 0, "state": 60, "isolation": 80, "running": 50, "done": 0, "agreed": 76, "disputed": 0}  # of the workers, from a terminal this wide on
ENDED = ("settled", "failed", "cancelled")


class Detached(Exception):
    """Ctrl-C: the person looks away, the job goes on."""


def follow(job: Job, silent: bool = False, told: set[str] | None = None) -> Plain:
    """Show `job` until it ends or pauses itself. -> its last status. Raises Detached at Ctrl-C.

    told: kinds of failures that were shown before; those that come are added.
    """
    view = _choose(silent, set() if told is None else told)
    try:
        with view, closing(job.watch()) as changes:  # type: ignore[type-var]
            for status in changes:
                view.update(status)
                if status["state"] in ENDED or (status["state"] == "paused" and status["reason"]):
                    break
            status = job.status()
            view.update(status)
            return status
    except KeyboardInterrupt:
        raise Detached from None


def second_interrupt(invite: Callable[[], None]) -> bool:
    """Does Ctrl-C come again within SECOND_S of `invite`, or while it prints: who reads it may be as quick as that."""
    try:
        invite()
        threading.Event().wait(SECOND_S)
    except KeyboardInterrupt:
        return True
    return False


def _choose(silent: bool, told: set[str]) -> View:
    if silent:
        return View(told)
    console = show.stderr()
    return LiveView(told) if console.is_terminal and not console.is_dumb_terminal else LineView(told)


class View:
    """Shows nothing; the others show what changes."""

    def __init__(self, told: set[str]) -> None:
        self._told = told  # kinds of failures

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, status: Plain) -> None: ...

    def _fresh_failures(self, status: Plain) -> list[Text]:
        """Ways in which blocks failed that were not told yet, each with its first block."""
        fresh = [found for found in status.get("failures", ()) if found["words"] not in self._told]
        self._told.update(found["words"] for found in fresh)
        return [show.plain(f"Block {found['index']} failed: {found['words']}", "red") for found in fresh]


class Pace:
    """Blocks a second, over the last RATE_S."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=1000)  # 8 a second for two minutes: far beyond RATE_S

    def note(self, done: int) -> None:
        now = time.monotonic()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] < now - RATE_S:
            self._seen.popleft()

    def rate(self) -> float:
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first) if last - first > 0.2 else 0.0


def done_blocks(status: Plain) -> int:
    return int(status["settled"] + status["provisional"] + status["failed"] + status["disputed"])


def left_s(status: Plain, rate: float) -> float | None:
    """The node's own estimate, else ours from the rate."""
    if status["eta_s"] is not None:
        return float(status["eta_s"])
    return (status["blocks"] - done_blocks(status)) / rate if rate else None


class LineView(View):
    """A line when something worth a line has happened."""

    def __init__(self, told: set[str]) -> None:
        super().__init__(told)
        self._console, self._pace = show.stderr(), Pace()
        self._state, self._printed, self._tenth = ("", ""), 0.0, -1

    def update(self, status: Plain) -> None:
        self._pace.note(done_blocks(status))
        tenth = 10 * done_blocks(status) // max(1, status["blocks"])
        late = time.monotonic() - self._printed >= LINE_S
        state = (status["state"], status["reason"])
        for text in self._fresh_failures(status):
            self._console.print(text)
        if state != self._state or (tenth != self._tenth and late):
            self._console.print(show.plain(line(status, self._pace.rate())))
            self._state, self._tenth, self._printed = state, tenth, time.monotonic()


def line(status: Plain, rate: float = 0.0) -> str:
    """One status in one line."""
    words = [f"{status['job']} {status['state']}: {done_blocks(status)} of {show.number(status['blocks'], 'block')}"]
    words += [f"{status[word]} {word}" for word in ("running", "disputed", "failed") if status[word]]
    if status["workers"]:
        words.append(show.number(sum(w["state"] == "engaged" for w in status["workers"]), "worker"))
    left = left_s(status, rate)
    if status["state"] == "running" and left:
        words.append(f"about {show.duration(left)} left")
    return ", ".join(words) + (f" ({status['reason']})" if status["reason"] else "")


class LiveView(View):
    """A block of lines at the bottom of the terminal, redrawn in place."""

    def __init__(self, told: set[str]) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(told)
        self._console = Console(stderr=True, highlight=False)  # unlike show.stderr() it wraps: what is too wide would be cut
        self._status: Plain | None = None
        self._pace = Pace()
        self._heard = self._began = time.monotonic()
        self._live = Live(console=self._console, get_renderable=self._draw, refresh_per_second=REDRAWS_PER_S, transient=True)

    def __enter__(self) -> View:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, status: Plain) -> None:
        self._pace.note(done_blocks(status))
        self._status, self._heard = status, time.monotonic()
        for text in self._fresh_failures(status):
            self._console.print(text)  # above the live part, and it stays

    def _draw(self) -> RenderableType:
        if self._status is None:
            return show.plain(f"Waiting for the node … {time.monotonic() - self._began:.0f} s", "dim")
        return picture(self._status, self._pace.rate(), time.monotonic() - self._heard, self._console.width)


def picture(status: Plain, rate: float, since_s: float, width: int = 80) -> RenderableType:
    """All of one status. since_s: how long ago it was true, so that the clock goes on between two. width: columns."""
    from rich.console import Group

    parts: list[RenderableType] = [_head(status, since_s), _bar(status, rate, width), _counts(status)]
    parts += [show.plain(note, "yellow") for note in status.get("notes") or ()]
    if status["reason"]:
        parts.append(show.plain(status["reason"], "yellow"))
    if status["workers"]:
        parts.append(workers(status["workers"], width))
    return Group(*parts)


def _head(status: Plain, since_s: float) -> RenderableType:
    from rich.text import Text

    elapsed = status["elapsed_s"] + (since_s if status["state"] not in ENDED else 0)
    name = show.plain(status["name"] or "job", "bold")
    return Text(" ").join([name, show.plain(status["job"], "dim"), show.job_state(status), show.plain(show.duration(elapsed), "dim")])


def _bar(status: Plain, rate: float, width: int) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    done, blocks = done_blocks(status), max(1, status["blocks"])
    words = [f"{done} / {status['blocks']}", f"{100 * done // blocks} %"]
    if rate:
        words.append(f"{rate:.3g} blocks/s")
    left = left_s(status, rate)
    if left and status["state"] == "running":
        words.append(f"about {show.duration(left)} left")
    text = "  ".join(words)
    beside = min(BAR_MAX, width - len(text) - 2)
    if beside < BAR_MIN:
        bar = Table.grid()
        bar.add_row(ProgressBar(total=blocks, completed=done, width=min(BAR_MAX, width)))
        return Group(bar, show.plain(text))
    grid = Table.grid(padding=(0, 2))
    grid.add_row(ProgressBar(total=blocks, completed=done, width=beside), show.plain(text))
    return grid


def _counts(status: Plain) -> RenderableType:
    from rich.text import Text

    words = ("running", "waiting", "provisional", "settled", "failed", "disputed")
    counts = [Text.assemble(f"{status[word]} ", show.state(word)) for word in words if status[word]]
    replicas = status["blocks"] * status["replicas_wanted"]
    if status["replicas_wanted"] > 1 and status["state"] == "running":  # what one owner did settles nothing yet, but is done
        most = f" of {replicas}" if status.get("alone") is None else ""  # economy: nobody knows how many it will take
        done = min(status["replicas_done"], replicas)
        counts.append(show.plain(f"{done}{most} replica{'' if done == 1 and not most else 's'}", "dim"))
    return Text(" · ").join(counts)


def workers(rows: list[Plain], width: int = 80) -> RenderableType:
    """A line per worker, busiest first; beyond WORKERS_MAX a count. A narrow terminal gets fewer columns."""
    from rich.console import Group

    ranked = sorted(rows, key=lambda row: (-len(row["running"]), -row["done"], row["node"]))
    columns = [name for name, least in COLUMNS.items() if width >= least]
    made = show.table(columns, [[_worker(row)[name] for name in columns] for row in ranked[:WORKERS_MAX]], right=("done", "agreed", "disputed"))
    if len(ranked) <= WORKERS_MAX:
        return made
    return Group(made, show.plain(f"and {len(ranked) - WORKERS_MAX} more", "dim"))


def _worker(row: Plain) -> Plain:
    blocks = ", ".join(map(str, sorted(row["running"])[:4])) + (" …" if len(row["running"]) > 4 else "")
    wrong = row["disputed"] + row["invalid"]
    return {
        "worker": worker_name(row), "state": show.state(row["state"]), "isolation": row["isolation"], "running": blocks or "–",
        "done": row["done"], "agreed": row["agreed"], "disputed": show.plain(str(wrong), "bold red" if wrong else "dim"),
    }  # fmt: skip


def worker_name(row: Plain) -> str:
    return (row["name"] or show.short(row["node"])) + (" (here)" if row["local"] else "")
