"""`ctorrent verify`: is a receipt file what was signed, and do its blocks give the same here?"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, Json
from ctorrent.errors import LocalError

if TYPE_CHECKING:
    from rich.table import Table

Plain = dict[str, Any]
_MARKS = {"proven": ("✓", "green"), "claimed": ("·", "dim"), "open": ("–", "yellow"), "wrong": ("✗", "bold red")}
ROWS_SHOWN = 20  # of blocks that were run again; all with --json
SEED_MAX = 1 << 32
SECONDS_MAX = 7 * 86400.0  # for one block; more is a slip of the keyboard


def register(app: typer.Typer) -> None:
    app.command()(verify)


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A receipt, JOB.ctr, as ctorrent receipt writes it.", show_default=False)],
    sample: Annotated[int | None, typer.Option("--sample", metavar="N", min=0, help="Run N blocks again, drawn at random; 0 runs nothing. Default: 5.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Run every block again.")] = False,
    block: Annotated[list[int] | None, typer.Option("--block", metavar="I", min=0, help="Run block I again. Repeatable.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Draw the same blocks as another time.", show_default=False)] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", metavar="S", help="Stop a block that takes longer here. Default: what the job allows, at most 600.", show_default=False)] = None,
    online: Annotated[bool, typer.Option("--online/--offline", help="Install packages that the job pinned and this machine lacks.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Check a receipt, and run some of its blocks again here. Needs no node and no network.

    The blocks' program runs in this machine's sandbox; --sample 0 checks signatures only. Exit code 0: all of it holds;
    1: something is wrong, and it says what; 2: it could not be checked here, or not within the time.
    """
    from ctorrent.cli.node import offline
    from ctorrent.client import data_folder

    if sum((sample is not None, everything, bool(block))) > 1:
        raise LocalError("--sample, --all and --block say different things.", "Leave all but one out.")
    if seconds is not None and not 0 < seconds <= SECONDS_MAX:
        raise LocalError(f"--seconds {seconds:g} is not a time for a block.", f"Give more than 0 and at most {SECONDS_MAX:,.0f}, a week.")
    chosen = {"count": None if everything else 5 if sample is None else sample, "blocks": tuple(block or ()),
              "seed": random.SystemRandom().randrange(SEED_MAX) if seed is None else seed}  # fmt: skip
    _end_as_by_ctrl_c()
    with _progress(as_json) as told:
        found = offline().verify_receipt(file, data_folder(data_dir), chosen, online, told, seconds)
    show.emit(as_json, found, lambda: _show(found, chosen))
    if found["code"]:
        raise typer.Exit(found["code"])


def _end_as_by_ctrl_c() -> None:
    """SIGTERM unwinds as Ctrl-C does, which an event loop understands: what runs is killed, and no folder stays behind."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in a shell's background was told to ignore it
    signal.signal(signal.SIGTERM, lambda number, _: signal.raise_signal(signal.SIGINT))


@contextmanager
def _progress(silent: bool) -> Iterator[Callable[[str], None]]:
    """A line that says how far it is, on a terminal."""
    if silent or not show.is_terminal():
        yield lambda words: None
        return
    with show.stderr().status("Reading the file …") as status:
        yield status.update


def _show(found: Plain, chosen: Plain) -> None:
    console = show.stdout()
    console.print(_findings(found["findings"]))
    _show_blocks(found)
    if found["rows"] and chosen["count"] is not None and not chosen["blocks"] and len(found["rows"]) < found["blocks"]:
        console.print(show.plain(f"The same blocks again: ctorrent verify {found['file']} --sample {chosen['count']} --seed {found['seed']}", "dim"))
    console.print(show.plain(found["sentence"], {0: "bold green", 1: "bold red"}.get(found["code"], "bold yellow")))


def _findings(rows: list[Plain]) -> Table:
    """✓ proven   file   82 parts under one root …"""
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    made.add_column(no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for row in rows:
        mark, style = _MARKS[row["verdict"]]
        made.add_row(show.plain(f"{mark} {row['verdict']}", style), show.plain(row["what"], "bold"), show.plain(row["words"]))
    return made


def _show_blocks(found: Plain) -> None:
    """Those that were run again; of many, those that did not give the same."""
    rows = found["rows"]
    if len(rows) > ROWS_SHOWN:
        rows = [row for row in rows if row["verdict"] != "same" or row["check"] in ("refused", "open")][:ROWS_SHOWN]
    judged = any(row["check"] for row in rows)
    if rows:
        lines = [
            (row["index"], row["verdict"], *([row["check"]] if judged else []), _took(row["wall_s"]), show.plain(row["words"] or row["check_words"]))
            for row in rows
        ]
        heads = ("block", "here", *(["check"] if judged else []), "took", "")
        show.stdout().print(show.table(heads, lines, right=("block", "took")))


def _took(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms" if 0 < seconds < 0.1 else show.duration(seconds) if seconds else ""
