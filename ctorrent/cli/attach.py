"""`attach` and `resume`: back to a job that was left, or that waits because no node ran."""

from __future__ import annotations

from typing import Any

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, JobName, Json, a_node_runs, named, running, working_node
from ctorrent.cli.watch import see_through
from ctorrent.errors import LocalError

Plain = dict[str, Any]
ENDED = ("settled", "failed", "cancelled")


def register(app: typer.Typer) -> None:
    for command in (attach, resume):
        app.command()(command)


def attach(job: JobName, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Follow a job to its end, then show its answer. Ctrl-C leaves it again."""
    with working_node(data_dir, as_json) as net:
        code = see_through(net.attach(named(net, job)), as_json, "waits" if net.embedded else "goes on")
    if code:
        raise typer.Exit(code)


def resume(job: JobName, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Go on with a job that is paused, or that waits because no node runs: then one is started, and the job followed."""
    if not a_node_runs(data_dir):
        _with_a_node(job, data_dir, as_json)
        return
    with running(data_dir) as net:
        found = net.job(named(net, job, one=True))
        _refuse_ended(found)
        name, paused = str(found["job"]), found["state"] == "paused"
        if paused:
            net.resume(name)
    done = "resumed" if paused else found["state"]
    show.emit(as_json, {"job": name, "done": done}, lambda: _tell(name, paused, str(found["state"])))


def _tell(name: str, paused: bool, state: str) -> None:
    text = f"Job {name} is resumed." if paused else f"Job {name} is not paused: it is {state}."
    show.stdout().print(show.plain(f"{text} Follow it: ctorrent attach {name}"))


def _with_a_node(job: str, data_dir: Any, as_json: bool) -> None:
    with working_node(data_dir, as_json) as net:
        found = net.job(named(net, job, one=True))
        _refuse_ended(found)
        if found["state"] == "paused":
            net.resume(str(found["job"]))
        code = see_through(net.attach(str(found["job"])), as_json, "waits" if net.embedded else "goes on")
    if code:
        raise typer.Exit(code)


def _refuse_ended(found: Plain) -> None:
    if found["state"] in ENDED:
        raise LocalError(f"Job {found['job']} has ended: it is {found['state']}.", f"Its results: ctorrent results {found['job']}")
