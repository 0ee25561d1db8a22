"""Options and connections that commands share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctorrent.cli import complete

if TYPE_CHECKING:
    from ctorrent.client import Net

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="The node's data folder. Default: $CTORRENT_DATA, else your own.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of text for people.")]
JobName = Annotated[str, typer.Argument(metavar="JOB", help="A job's name, or the beginning of it.", show_default=False, autocompletion=complete.jobs)]

# A node that only answers a question: it listens to nobody else, looks for nobody, works for nobody.
QUIET = ("--listen", "127.0.0.1", "--port", "0", "--no-mdns", "--no-dht", "--no-work")


def running(data_dir: Path | None) -> Net:
    """The node that runs. Raises Unavailable when none does."""
    from ctorrent.client import attach

    return attach(data_dir)


def a_node_runs(data_dir: Path | None) -> bool:
    from ctorrent.client import attach
    from ctorrent.errors import Unavailable

    try:
        attach(data_dir).close()
    except Unavailable:
        return False
    return True


def any_node(data_dir: Path | None) -> Net:
    """The node that runs, else a quiet one for the length of this command."""
    return _node(data_dir, QUIET, not sys.stderr.isatty())


def working_node(data_dir: Path | None, silent: bool) -> Net:
    """The node that runs, else one that works and finds peers, for the length of this command."""
    return _node(data_dir, (), silent)


def _node(data_dir: Path | None, flags: tuple[str, ...], silent: bool) -> Net:
    from ctorrent.client import attach, data_folder
    from ctorrent.errors import Unavailable

    try:
        return attach(data_dir)
    except Unavailable:
        from ctorrent.cli import show
        from ctorrent.embedded import start_node

        if not silent:
            show.stderr().print(show.plain("No node runs here: starting one for this command …", "dim"))
        return start_node(data_folder(data_dir), flags)


def owner_folder(data_dir: Path | None) -> Path | None:
    """Where the owner key of this data folder's node lies: as the running node says, else as its settings do. None: the usual place."""
    from ctorrent.cli.node import offline
    from ctorrent.client import attach, data_folder
    from ctorrent.errors import Unavailable

    try:
        with attach(data_dir) as net:
            named = net.status().get("owner_dir")
    except Unavailable:
        named = offline().settings(data_folder(data_dir))["settings"]["owner_dir"]
    return Path(str(named)) if named else None
