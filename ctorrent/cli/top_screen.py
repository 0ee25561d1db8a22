"""The live screen of `ctorrent top`: a thread listens to the node, this one paints and hears keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.text import Text

from ctorrent.cli import keys as keys_
from ctorrent.cli import show
from ctorrent.cli.top import snapshot
from ctorrent.cli.top_lines import Seen, screen
from ctorrent.errors import CTorrentError, Unavailable

if TYPE_CHECKING:
    from ctorrent.client import Net

PAINT_S = 0.25  # between two pictures while nothing is pressed; events come about once a second
SAID_S = 4.0  # a sentence about what a key did stays this long
KEYS = " q end   ↑ ↓ choose   p pause or go on   c cancel"
KEYS_PLAIN = " q end   j k choose   p pause or go on   c cancel"


def watch(net: Net) -> None:
    """Until q or Ctrl-C. Raises Unavailable when the node has ended."""
    console = show.stdout()
    desk = _Desk(net, "utf" in console.encoding)
    threading.Thread(target=desk.listen, daemon=True).start()
    with keys_.pressed() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        while desk.goes_on:
            width, height = console.size
            live.update(Group(*desk.picture(width, height)), refresh=True)
            try:
                for key in keys.wait(PAINT_S):
                    desk.press(key)
            except (KeyboardInterrupt, EOFError):
                return
    if desk.ended is not None:
        raise desk.ended


class _Desk:
    """What is shown, which job is chosen, what was asked last."""

    def __init__(self, net: Net, fancy: bool) -> None:
        self._net, self._fancy = net, fancy
        self._seen = Seen.of(snapshot(net))
        self._lock = threading.Lock()
        self._chosen, self._moved = "", False  # until somebody chooses, it is the first
        self._said, self._said_at = "", 0.0
        self._asked: Callable[[], None] | None = None  # what "y" does
        self.goes_on, self.ended = True, None  # type: bool, CTorrentError | None

    def listen(self) -> None:
        """In a thread of its own."""
        try:
            with closing(self._net.events()) as events:  # type: ignore[type-var]
                for event in events:
                    with self._lock:
                        self._seen.take(event)
            self.ended = Unavailable("The node has stopped.", "Start it: ctorrent node")
        except CTorrentError as error:
            self.ended = error
        self.goes_on = False

    def picture(self, width: int, height: int) -> list[Text]:
        with self._lock:
            names = [job["job"] for job in self._seen.order()]
            if self._chosen not in names or not self._moved:
                self._chosen = names[0] if names else ""
            if self._asked is None and time.monotonic() - self._said_at > SAID_S:
                self._said = ""
            footer = f" {self._said}" if self._said else KEYS if self._fancy else KEYS_PLAIN
            return screen(self._seen, width, height, self._chosen, footer, self._fancy)

    def press(self, key: str) -> None:
        if self._asked is not None:
            asked, self._asked = self._asked, None
            self._say("")
            if key in "yY":
                asked()
            return
        match key:
            case "q" | "Q":
                self.goes_on = False
            case "up" | "k":
                self._move(-1)
            case "down" | "j":
                self._move(1)
            case "p":
                self._pause()
            case "c":
                self._ask_cancel()

    def _move(self, by: int) -> None:
        with self._lock:
            names = [job["job"] for job in self._seen.order()]
        if names:
            self._moved = True
            place = names.index(self._chosen) if self._chosen in names else 0
            self._chosen = names[min(len(names) - 1, max(0, place + by))]

    def _pause(self) -> None:
        job, state = self._of_chosen()
        if state == "paused":
            self._do(lambda: self._net.resume(job), f"{job} goes on.")
        elif state in ("running", "waiting"):
            self._do(lambda: self._net.pause(job), f"{job} is paused; p again lets it go on.")
        else:
            self._say(f"{job} has ended." if job else "There is no job.")

    def _ask_cancel(self) -> None:
        job, state = self._of_chosen()
        if state not in ("running", "waiting", "paused"):
            self._say(f"{job} has ended." if job else "There is no job.")
            return
        self._say(f"Cancel {job}? What is settled stays. y cancels, any other key does not.")
        self._asked = lambda: self._do(lambda: self._net.cancel(job, "cancelled from the terminal"), f"{job} is cancelled.")

    def _of_chosen(self) -> tuple[str, str]:
        with self._lock:
            job = self._seen.jobs.get(self._chosen)
        return (job["job"], job["state"]) if job else ("", "")

    def _do(self, order: Callable[[], None], done: str) -> None:
        try:
            order()
        except CTorrentError as error:
            done = error.message
        self._say(done)

    def _say(self, words: str) -> None:
        self._said, self._said_at = words, time.monotonic()
