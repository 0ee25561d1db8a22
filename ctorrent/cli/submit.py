"""`ctorrent submit`: a job file in, a rehearsal, live progress, the answer and how it came about."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, Json, a_node_runs, working_node
from ctorrent.cli.rehearse import Asked, prepare
from ctorrent.cli.results import check_output, told, write_rows
from ctorrent.cli.watch import LEFT, back_to_it, see_through
from ctorrent.errors import LocalError

if TYPE_CHECKING:
    from ctorrent.client import Job, Net

Plain = dict[str, Any]


def register(app: typer.Typer) -> None:
    app.command()(submit)


def submit(
    job_file: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job file.", show_default=False)],
    local: Annotated[int | None, typer.Option("--local", metavar="N", help="Run it on N nodes of its own on this machine.", min=1, show_default=False)] = None,
    replicas: Annotated[int | None, typer.Option("--replicas", metavar="R", help="Owners that must agree on a block.", min=1, show_default=False)] = None,
    name: Annotated[str | None, typer.Option("--name", help="Call the job this.", show_default=False)] = None,
    ring: Annotated[str | None, typer.Option("--ring", help="Who may run it: friends, swarm or public.", show_default=False)] = None,
    no_work: Annotated[bool, typer.Option("--no-work", help="Leave the blocks to others: none runs here.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Rehearse, say what it will cost, announce nothing.")] = False,
    no_rehearsal: Annotated[bool, typer.Option("--no-rehearsal", help="Announce it without running its smallest block here first.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Print the job's name and come back at once.")] = False,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="DIR|FILE", help="Write all rows at its end: see ctorrent results --help.", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="With -o: replace files that are there.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Submit a job and watch it to its end.

    First its smallest block runs here: what is wrong shows before anybody hears of the job, and what it will cost.

    Asks the running node, or starts one for the length of this command.

    Ctrl-C lets the job go on without you; a second Ctrl-C cancels it.
    """
    from ctorrent.client import read_job_file

    text = read_job_file(job_file)  # once: what is rehearsed is what is submitted, whatever becomes of the file meanwhile
    if local and detach:
        raise LocalError("--local nodes end with this command, so --detach would end the job.", "Leave one of the two out.")
    place = check_output(Path(output), None, force, output) if output is not None else None
    if place is not None and (detach or dry_run):
        raise LocalError(f"--{'detach' if detach else 'dry-run'} comes back before there are rows to write.", "Leave --output out; ctorrent results has them later.")
    wanted = {"replicas": replicas, "name": name, "ring": ring, "work": False if no_work else None}
    options = {key: value for key, value in wanted.items() if value is not None}
    asked = Asked(job_file, text, options, local or 0, not no_rehearsal, dry_run, as_json)
    with _announced(asked, data_dir) as (net, job):
        if local and place is None and not as_json:
            show.say("These nodes and their results end with this command; -o DIR keeps the results.", "dim")
        if detach:
            _detached(net, job, as_json)
            return
        code = see_through(job, as_json, "ends" if local else "waits" if net.embedded else "goes on", place is not None)
        if place is not None and code != LEFT:
            written = write_rows(job, place)
            if not as_json:
                told(written, as_json)
        elif local and not as_json:
            show.say("These nodes and their results end here.", "dim")
    if code:
        raise typer.Exit(code)


@contextmanager
def _announced(asked: Asked, data_dir: Path | None) -> Iterator[tuple[Net, Job]]:
    """The job, rehearsed and submitted, and the node that has it. Ctrl-C before that leaves nothing behind."""
    began = False
    try:
        with _opened(asked, data_dir) as (net, options):
            job = _started(net, asked, options())
            began = True
            yield net, job
    except KeyboardInterrupt:
        if not began:
            show.say("\nNothing was submitted." if show.is_terminal() else "Nothing was submitted.")  # below the ^C
        raise typer.Exit(LEFT) from None


def _started(net: Net, asked: Asked, options: Plain) -> Job:
    """Submitted. Where Ctrl-C came too late to stop that, it is a first Ctrl-C like any other."""
    from ctorrent.client import Job

    since = int(time.time()) - 1
    try:
        with show.waiting("Submitting …", asked.as_json):
            return net.attach(net.submit(asked.path, asked.text, options))
    except KeyboardInterrupt:
        mine = next((row for row in net.jobs() if row["submitted_unix"] >= since), None)
        if mine is None:
            raise
        return Job(net, str(mine["job"]))


@contextmanager
def _opened(asked: Asked, data_dir: Path | None) -> Iterator[tuple[Net, Callable[[], Plain]]]:
    """The running node, or nodes of our own for the length of the command; and what rehearses the job there.

    Before a node starts, the job file is read and checked; before more than one do, the job is rehearsed on the first.
    """
    if asked.local:
        with _swarm(asked) as opened:
            yield opened
        return
    if not a_node_runs(data_dir):
        _check(asked)
    with working_node(data_dir, asked.as_json) as net:
        yield net, lambda: prepare(net, asked)


@contextmanager
def _swarm(asked: Asked) -> Iterator[tuple[Net, Callable[[], Plain]]]:
    from ctorrent.embedded import swarm

    wanted, programs = _check(asked)
    if wanted > asked.local and not asked.dry:
        made = show.number(asked.local, "owner")
        raise LocalError(f"Every block is to be run by {wanted} owners, and --local {asked.local} makes {made}.", f"Say --local {wanted}, or --replicas {asked.local}.")
    if not asked.as_json:
        show.say(f"Starting {show.number(asked.local, 'node')} on this machine …", "dim")
    found: list[Plain] = []
    allowed = [word for program in programs for word in ("--allow-program", program)]  # its nodes are the asker's own
    with swarm(asked.local, allowed, first=lambda net: found.append(prepare(net, asked))) as nodes:
        yield nodes.net, lambda: found[0]


def _check(asked: Asked) -> tuple[int, tuple[str, ...]]:
    """-> owners that must agree on a block, programs it needs. Raises JobFileError, LocalError."""
    from ctorrent.cli.node import offline

    replicas, programs = offline().check_job(asked.path.absolute(), asked.text, asked.options)
    return int(replicas), tuple(programs)


def _detached(net: Net, job: Job, as_json: bool) -> None:
    if as_json:
        show.print_json({"job": job.name})
        return
    show.stdout().print(show.plain(f"Job {job.name} is submitted.\n"), back_to_it(job.name, "waits" if net.embedded else "goes on"), sep="")
