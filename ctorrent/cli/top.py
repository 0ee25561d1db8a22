"""`ctorrent top`: jobs, this machine, the pool and the peers, as they are now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, Json, running

if TYPE_CHECKING:
    from ctorrent.client import Net

Plain = dict[str, Any]

JOBS_SHOWN = 200  # the newest: so many the node's events tell of at the beginning, too


def register(app: typer.Typer) -> None:
    app.command()(top)


def top(
    data_dir: DataDir = None,
    once: Annotated[bool, typer.Option("--once", help="Print it once, and end. So it does where there is no terminal.")] = False,
    as_json: Json = False,
) -> None:
    """Watch a node at work: jobs, this machine, its pool and peers. Keys: ↑ ↓ choose a job, p pauses it, c cancels it, q ends."""
    with running(data_dir) as net:
        if as_json:
            show.print_json(snapshot(net))
        elif once or not _a_screen():
            _print_once(net)
        else:
            from ctorrent.cli.top_screen import watch

            watch(net)


def _a_screen() -> bool:
    """A terminal that can be painted on, and that types."""
    return sys.stdout.isatty() and sys.stdin.isatty() and not show.stdout().is_dumb_terminal


def snapshot(net: Net) -> Plain:
    return {"status": net.status(), "pool": net.pool(), "machine": net.machine(), "jobs": net.jobs("", JOBS_SHOWN), "peers": net.peers()}


def _print_once(net: Net) -> None:
    from ctorrent.cli import top_lines

    console = show.stdout()
    for line in top_lines.everything(top_lines.Seen.of(snapshot(net)), console.width, fancy="utf" in console.encoding):
        console.print(line, soft_wrap=True)
