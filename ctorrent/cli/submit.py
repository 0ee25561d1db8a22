"""`ctorrent submit`: a job file in, live progress, the answer and how it came about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, Json, working_node
from ctorrent.cli.results import check_output, told, write_rows

if TYPE_CHECKING:
    from rich.text import Text

    from ctorrent.client import Job, Net

Plain = dict[str, Any]
FAILURES_MAX = 3  # shown at the end: what one block says, all usually say
LEFT = 130  # the exit code of a command that Ctrl-C ended


def register(app: typer.Typer) -> None:
    app.command()(submit)


def submit(
    job_file: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job file.", show_default=False)],
    local: Annotated[int | None, typer.Option("--local", metavar="N", help="Run it on N nodes of its own on this machine.", min=1, show_default=False)] = None,
    replicas: Annotated[int | None, typer.Option("--replicas", metavar="R", help="Owners that must agree on a block.", min=1, show_default=False)] = None,
    name: Annotated[str | None, typer.Option("--name", help="Call the job this.", show_default=False)] = None,
    ring: Annotated[str | None, typer.Option("--ring", help="Who may run it: friends, swarm or public.", show_default=False)] = None,
    no_work: Annotated[bool, typer.Option("--no-work", help="Leave the blocks to others: none runs here.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Print the job's name and come back at once.")] = False,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="DIR|FILE", help="Write all rows at its end: see ctorrent results --help.", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="With -o: replace files that are there.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Submit a job and watch it to its end.

    Asks the running node, or starts one for the length of this command.

    Ctrl-C lets the job go on without you; a second Ctrl-C cancels it.
    """
    from ctorrent.errors import LocalError

    if not job_file.is_file():
        raise LocalError(f"There is no job file {job_file}.", "Give the path of a YAML file; ctorrent job schema shows its fields.")
    if local and detach:
        raise LocalError("--local nodes end with this command, so --detach would end the job.", "Leave one of the two out.")
    place = check_output(Path(output), None, force, output) if output is not None else None
    if place is not None and detach:
        raise LocalError("--detach comes back before there are rows to write.", "Leave --output out; ctorrent results has them later.")
    wanted = {"replicas": replicas, "name": name, "ring": ring, "work": False if no_work else None}
    with _opened(local, data_dir, as_json) as net:
        job = net.start(job_file, **{key: value for key, value in wanted.items() if value is not None})
        if detach:
            _detached(net, job, as_json)
            return
        code = see_through(job, as_json, "ends" if local else "waits" if net.embedded else "goes on")
        if place is not None and code != LEFT:
            written = write_rows(job, place)
            if not as_json:
                told(written, as_json)
    if code:
        raise typer.Exit(code)


@contextmanager
def _opened(local: int | None, data_dir: Path | None, as_json: bool) -> Iterator[Net]:
    """The running node, or nodes of our own for the length of the command."""
    if not local:
        with working_node(data_dir, as_json) as net:
            yield net
        return
    from ctorrent.embedded import swarm

    if not as_json:
        show.stderr().print(show.plain(f"Starting {show.number(local, 'node')} on this machine …", "dim"))
    with swarm(local) as nodes:
        yield nodes.net


def _detached(net: Net, job: Job, as_json: bool) -> None:
    if as_json:
        show.print_json({"job": job.name})
        return
    show.stdout().print(show.plain(f"Job {job.name} is submitted.\n"), back_to_it(job.name, "waits" if net.embedded else "goes on"), sep="")


Fate = Literal["goes on", "waits", "ends"]  # of a job whose watcher leaves: by the node that has it


def back_to_it(job: str, fate: Fate) -> Text:
    """How to come back to a job that was left."""
    rows = {
        "goes on": f"  follow it    ctorrent status {job} -f\n  its results  ctorrent results {job}\n  cancel it    ctorrent cancel {job}",
        "waits": f"  It goes on when a node runs here: ctorrent node\n  Then follow it: ctorrent status {job} -f",
        "ends": "  It ends here: its nodes were made for this command.",
    }
    return show.plain(rows[fate])


def see_through(job: Job, as_json: bool, fate: Fate) -> int:
    """Show a job's progress to its end, then the answer. -> exit code."""
    from ctorrent.cli import follow

    try:
        left = follow.follow(job, silent=as_json)
    except follow.Detached:
        return _leave(job, as_json, fate)
    found = ending(job, left)
    if as_json:
        show.print_json(found.as_plain())
    else:
        from ctorrent.cli import report

        report.print_ending(found, stays=fate != "ends")
    return found.code


def _leave(job: Job, as_json: bool, fate: Fate) -> int:
    """After a first Ctrl-C: wait a moment for a second one, which cancels."""
    from ctorrent.cli import follow

    console = show.stderr()
    if as_json:
        show.print_json({"job": job.name, "left": True, "then": fate})
    console.print(show.plain(f"You left job {job.name}."))
    console.print(back_to_it(job.name, fate))
    if fate == "ends":
        return LEFT
    offer = show.plain(f"Ctrl-C again within {follow.SECOND_S:.0f} seconds cancels it.", "yellow")
    if follow.second_interrupt(lambda: console.print(offer)):
        job.cancel("cancelled from the terminal")
        console.print(show.plain(f"Job {job.name} is cancelled. What is settled stays: ctorrent results {job.name}"))
    return LEFT


@dataclass(frozen=True, slots=True)
class Ending:
    """A job at its end, or where it paused itself. `answer` is None with `why` in words. `failures`: the first rows that failed."""

    status: Plain
    answer: Any
    why: str
    failures: tuple[Plain, ...] = ()

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
    from ctorrent.errors import WorkError

    failed = (row for row in job.rows() if row["state"] == "failed") if status["failed"] else ()
    failures = tuple(islice(failed, FAILURES_MAX))
    try:
        return Ending(status, job.answer(), "", failures)
    except WorkError as error:
        return Ending(status, None, error.message, failures)
