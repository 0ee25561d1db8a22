"""A job seen through to its end: live progress, what Ctrl-C means meanwhile, the answer."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from ctorrent.cli import show

if TYPE_CHECKING:
    from rich.text import Text

    from ctorrent.client import Job

Plain = dict[str, Any]
FAILURES_MAX = 3  # shown at the end: what one block says, all usually say
LEFT = 130  # the exit code of a command that Ctrl-C ended

# What becomes of a job whose watcher leaves: a node that runs has it; it waits for one; its nodes were this command's
Fate = Literal["goes on", "waits", "ends"]


def back_to_it(job: str, fate: Fate) -> Text:
    """How to come back to a job that was left."""
    rows = {
        "goes on": f"  follow it    ctorrent attach {job}\n  its results  ctorrent results {job}\n  cancel it    ctorrent cancel {job}",
        "waits": f"  It is kept, and waits: its node ends with this command.\n  go on        ctorrent resume {job}\n  its results  ctorrent results {job}",
        "ends": "  It ends here: its nodes were made for this command.",
    }
    return show.plain(rows[fate])


def see_through(job: Job, as_json: bool, fate: Fate, written: bool = False) -> int:
    """Show a job's progress to its end, then the answer. -> exit code. written: its rows will be, to files."""
    from ctorrent.cli import follow

    told: set[str] = set()
    while True:
        try:
            left = follow.follow(job, as_json, told)
            break
        except follow.Detached:
            if fate != "ends" or as_json or not show.is_terminal():
                return _leave(job, as_json, fate)
            if _ends_it():
                show.stderr().print(show.plain(f"Job {job.name} ended unfinished, with its nodes.", "yellow"))
                return LEFT
    found = ending(job, left)
    if as_json:
        show.print_json(found.as_plain())
    else:
        from ctorrent.cli import report

        report.print_ending(found, stays=fate != "ends", written=written)
    return found.code


def _ends_it() -> bool:
    """Nodes of this command's own cannot be left alone: a first Ctrl-C only says so."""
    from ctorrent.cli import follow

    text = f"Leaving ends this job: its nodes are this command's. Ctrl-C again within {follow.SECOND_S:.0f} seconds ends it, else it goes on."
    return follow.second_interrupt(lambda: show.say(text, "yellow"))


def _leave(job: Job, as_json: bool, fate: Fate) -> int:
    """After a first Ctrl-C: wait a moment for a second one, which cancels."""
    from ctorrent.cli import follow

    if as_json:
        show.print_json({"job": job.name, "left": True, "then": fate})
    offer = f"Ctrl-C again within {follow.SECOND_S:.0f} seconds cancels it."

    def tell() -> None:
        console = show.stderr()
        console.print(show.plain(f"You left job {job.name}."))
        console.print(back_to_it(job.name, fate))
        if fate != "ends":
            console.print(show.plain(offer, "yellow"))

    if fate == "ends":
        tell()
    elif follow.second_interrupt(tell):
        job.cancel("cancelled from the terminal")
        show.say(f"Job {job.name} is cancelled. What is settled stays: ctorrent results {job.name}")
    return LEFT


@dataclass(frozen=True, slots=True)
class Ending:
    """A job at its end, or where it paused itself. `answer` is None with `why` in words. `failures`: the first rows that failed."""

    status: Plain
    answer: Any
    why: str
    failures: tuple[Plain, ...] = ()
    params: tuple[str, ...] = ()  # what blocks were given: an answer that is a table has these columns first
    waited_s: float | None = None  # until the first block began; None: not known

    @property
    def code(self) -> int:
        status = self.status
        if status["failed"] or status["disputed"] or status["state"] in ("failed", "paused"):
            return 3
        if status["state"] == "settled" and self.why:  # every block is right, and yet there is no answer
            return 3
        return 0 if status["state"] == "settled" else 1

    def as_plain(self) -> Plain:
        return {**self.status, "answer": self.answer, "why": self.why, "failures": list(self.failures)}


def ending(job: Job, status: Plain) -> Ending:
    from ctorrent.client import decode_row
    from ctorrent.errors import WorkError

    failed = (row for row in job.rows() if row["state"] == "failed") if status["failed"] else ()
    failures = tuple(islice(failed, FAILURES_MAX))
    params = tuple(name for row in job.net.results(job.name, -1, 1)[:1] for name in decode_row(row)["params"])
    spans = job.net.timeline(job.name)["spans"] if status.get("report") else []
    waited_s = min((span[3] for span in spans), default=None)  # [worker, first block, blocks, began_s, …]
    try:
        return Ending(status, job.answer(), "", failures, params, waited_s)
    except WorkError as error:
        return Ending(status, None, error.message, failures, params, waited_s)
