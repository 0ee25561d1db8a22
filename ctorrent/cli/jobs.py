"""`jobs status results report logs cancel pause why`, and `job schema`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctorrent.cli import complete, show
from ctorrent.cli.options import DataDir, JobName, Json, any_node, named, running, working_node
from ctorrent.cli.page import report
from ctorrent.cli.reputation import show_held_against
from ctorrent.cli.results import results
from ctorrent.cli.web import page_address

if TYPE_CHECKING:
    from ctorrent.client import Job

Plain = dict[str, Any]
WIDE = 96  # columns that the whole list of jobs takes, with a long name
_WITHHELD = re.compile(r"has ([\w.+-]+(?:, [\w.+-]+)*), but its owner does not offer (?:it|them)\b")  # as market/fit.py says it
job_app = typer.Typer(help="About job files.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    for command in (jobs, status, results, report, logs, why, cancel, pause):
        app.command()(command)
    app.add_typer(job_app, name="job")


@job_app.command("schema")
def job_schema(
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it here.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Print the JSON schema of job files, for editors that check and complete as you type.

    An editor with YAML support (VS Code: the YAML extension) reads it where a job file's first line names it:

    # yaml-language-server: $schema=job.schema.json
    """
    from ctorrent.cli.init import SCHEMA_LINE, schema_text
    from ctorrent.errors import LocalError

    text = schema_text()
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LocalError(f"{output} cannot be written: {error.strerror}.", "Name a file in a folder that is there.") from None
    if as_json:
        show.print_json({"file": str(output)})
        return
    show.stdout().print(show.plain(f"{output} is written. Editors find it by a job file's first line:"))
    show.stdout().print(show.plain(f"  {SCHEMA_LINE}{output.name}", "bold"))


def jobs(
    every: Annotated[bool, typer.Option("-a", "--all", help="Each epoch of trainings too; without, the newest and those that went wrong.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List your jobs, newest first."""
    with any_node(data_dir) as net:
        rows, alone = net.jobs(), net.embedded
        shown = rows if every or as_json else net.jobs.newest(rows)
    show.emit(as_json, rows, lambda: _show_jobs(shown, alone, len(rows) - len(shown)))


def _show_jobs(rows: list[Plain], alone: bool, left_out: int) -> None:
    """alone: no node runs but that of this command, which works on nothing. left_out: epochs that are not among the rows."""
    if not rows:
        show.stdout().print("No jobs yet. Submit one: ctorrent submit job.yaml")
        return
    from ctorrent.cli.follow import done_blocks

    console = show.stdout()
    asleep = {row["job"] for row in rows if alone and row["state"] in ("waiting", "running")}
    lines = [
        (row["job"], show.value(row["name"], 24), show.plain("waits for a node", "yellow") if row["job"] in asleep else show.job_state(row), f"{done_blocks(row)} / {row['blocks']}", row["failed"] or "–",
         row["disputed"] or "–", len(row["workers"]), "–" if row["job"] in asleep else show.duration(row["elapsed_s"]))
        for row in rows
    ]  # fmt: skip
    columns = ("job", "name", "state", "blocks", "failed", "disputed", "workers", "time")
    kept = columns if console.width >= WIDE else ("job", "name", "state", "blocks", "time")
    cells = [[cell for column, cell in zip(columns, line, strict=True) if column in kept] for line in lines]
    console.print(show.table(kept, cells, right=("blocks", "failed", "disputed", "workers", "time")))
    for row in rows:  # a sentence fits no column
        if row["reason"] and row["job"] not in asleep:
            console.print(show.plain(f"{row['job']}: {row['reason']}", "dim"))
    if left_out:
        console.print(show.plain(f"Earlier epochs of trainings, {left_out} in all, are listed by: ctorrent jobs --all", "dim"))
    if asleep:
        console.print(show.plain("No node runs here. To go on: ctorrent node, or ctorrent resume JOB", "dim"))


def status(
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="A job; without one, this node.", show_default=False, autocompletion=complete.jobs)] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Stay until the job ends.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show how a job stands, or this node."""
    if job is None:
        with running(data_dir) as net:
            found = net.status()
            found["http"] = page_address(net.folder)
        show.emit(as_json, found, lambda: _show_node(found))
        return
    if follow:
        raise typer.Exit(_follow(job, data_dir, as_json))
    with any_node(data_dir) as net:
        found, alone = net.job(named(net, job)), net.embedded
    show.emit(as_json, found, lambda: _show_status(found, alone))


def _follow(job: str, data_dir: Any, as_json: bool) -> int:
    """To the job's end. Where no node runs, one that works is started: a quiet one would wait for ever."""
    from ctorrent.cli.watch import see_through

    with working_node(data_dir, as_json) as net:
        return see_through(net.attach(named(net, job)), as_json, "waits" if net.embedded else "goes on")


def _show_node(found: Plain) -> None:
    rows = [
        ("peer id", found["node"]), ("owner", found["owner"]), ("version", found["version"]), ("data folder", found["data_dir"]),
        *(("address" if not n else "", address) for n, address in enumerate(found["addresses"])),
        ("isolation", found["isolation"]), *(("  without", gap) for gap in found["gaps"]),
        ("slots", f"{found['slots_free']} of {found['slots']} free" if found["shares"] else "shares nothing"),
        ("peers", found["peers"]), ("open jobs", found["jobs_open"]), *([("installing", found["installing"])] if found["installing"] else []),
        *([("ledger", f"{found['ledger_read']:.0%} is read again; others' entries are taken in after that")] if found.get("ledger_read", 1) < 1 else []),
        *([("page, API", f"{found['http']} (ctorrent open)")] if found.get("http") else []),
        *([("testing", found["testing"])] if found["testing"] else []),
    ]  # fmt: skip
    console = show.stdout()
    console.print(show.plain(f"Node {found['name']!r}", "bold"))
    console.print(show.pairs(rows))
    show_held_against(found)


def _show_status(found: Plain, alone: bool) -> None:
    """alone: as in _show_jobs."""
    from ctorrent.cli import follow as live
    from ctorrent.cli.report import print_report

    console = show.stdout()
    if found.get("report") and found["state"] in live.ENDED:
        console.print(show.plain(f"{found['name'] or 'job'} {found['job']} ", "bold"), show.job_state(found), sep="")
        if found["reason"]:
            console.print(show.plain(found["reason"], "yellow"))
        print_report(console, found)
    else:
        console.print(live.picture(found, 0.0, 0.0))
        if alone:
            console.print(show.plain("No node runs here, so it stands still. To go on: ctorrent node, or ctorrent resume JOB", "yellow"))


def logs(
    job: JobName,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Stay for what is still to be printed.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Print what the blocks printed, then tracebacks of those that failed: a block's number before each line.

    With --json: what they printed, one document to a line.
    """
    with any_node(data_dir) as net:
        handle, said = net.attach(named(net, job)), False
        for item in handle.logs(follow):
            if as_json:
                show.print_json(item)
                continue
            for text in item["text"].splitlines():
                print(f"{item['index']:>6}  {show.printable(text)}", flush=True)
                said = True
        if not as_json:
            _print_tracebacks(handle, said)


def _print_tracebacks(job: Job, said: bool) -> None:
    """What failed blocks ended with. It is no output of theirs, but what most who read logs look for."""
    for row in job.rows():
        for text in str((row.get("failure") or {}).get("text", "")).splitlines():
            print(f"{row['index']:>6}  {show.printable(text)}", flush=True)
            said = True
    if not said:
        show.stderr().print(show.plain("No block has printed anything.", "dim"))


def why(job: JobName, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Say what a job waits for, and why peers do not take it."""
    with any_node(data_dir) as net:
        found = net.why(named(net, job))
    show.emit(as_json, found, lambda: _show_why(found))


def _show_why(found: Plain) -> None:
    console = show.stdout()
    console.print(show.plain(f"Job {found['job']} is {found['state']}: {found['waits_for']}"))
    if "saw it" not in found["waits_for"]:
        console.print(show.plain(sentence(found)))
    for hint in _hints(found):
        console.print(show.plain(f"  → {hint}"))


def _hints(found: Plain) -> list[str]:
    """What the person who asks can do about it."""
    if found["state"] == "paused":
        return [f"ctorrent resume {found['job']}"]
    if found["state"] == "failed":
        return [f"What its failed blocks said: ctorrent logs {found['job']}"]
    if found["state"] == "waiting" and any(reason.startswith("lacks ") for reason in found["reasons"]):
        return ["Packages are added on a machine that is to run it: ctorrent env add --help"]
    if found["state"] == "waiting":
        allow = dict.fromkeys(f"--allow-program {name}" for reason in found["reasons"] if (said := _WITHHELD.match(reason)) for name in said[1].split(", "))
        return [f"On a machine of yours that is to run it: ctorrent stop, then ctorrent node {' '.join(allow)}"] if allow else []
    return []


def sentence(found: Plain) -> str:
    """9 peers saw it: 1 works on it, 6 lack packages: numpy, 2 are busy."""
    from ctorrent.cli.follow import ENDED

    saw = show.number(found["saw"], "peer")
    work = "worked" if found["state"] in ENDED else "works" if found["engaged"] == 1 else "work"
    parts = [f"{found['engaged']} {work} on it"] if found["engaged"] else []
    ranked = sorted(found["reasons"].items(), key=lambda item: (-item[1], item[0]))
    parts += [f"{count} {_plural(reason) if count > 1 else reason}" for reason, count in ranked]
    return f"{saw} saw it{': ' + ', '.join(parts) if parts else ''}."


def _plural(reason: str) -> str:
    """Reasons are written for one peer: "lacks packages" of six is "lack packages"."""
    verbs = {"is": "are", "has": "have", "lacks": "lack", "does": "do", "asks": "ask", "shares": "share"}
    first, space, rest = reason.partition(" ")
    return verbs.get(first, first) + space + rest


def cancel(
    job: JobName,
    reason: Annotated[str, typer.Option("--reason", help="For the record.", show_default=False)] = "",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """End a job. What is settled stays."""
    _order(job, data_dir, as_json, "cancelled", lambda net, name: net.cancel(name, reason))


def pause(job: JobName, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Give out no more blocks until `resume`."""
    _order(job, data_dir, as_json, "paused", lambda net, name: net.pause(name))


def _order(job: str, data_dir: Any, as_json: bool, done: str, order: Any) -> None:
    with any_node(data_dir) as net:
        name = named(net, job, one=True)
        order(net, name)
    show.emit(as_json, {"job": name, "done": done}, lambda: show.stdout().print(f"Job {name} is {done}."))
