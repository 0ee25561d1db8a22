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
JobName = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, the beginning of it, or the job's name.", show_default=False, autocompletion=complete.jobs)]

LISTED_MAX = 5  # jobs that an error lists

# A node that only answers a question: it listens to nobody else, looks for nobody, works for nobody.
QUIET = ("--listen", "127.0.0.1", "--port", "0", "--no-mdns", "--no-dht", "--no-work")


def running(data_dir: Path | None) -> Net:
    """The node that runs. Raises Unavailable when none does."""
    from ctorrent.client import attach

    return _told(attach(data_dir))


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
        return _told(attach(data_dir))
    except Unavailable:
        from ctorrent.cli import show
        from ctorrent.embedded import start_node

        if not silent:
            show.stderr().print(show.plain("No node runs here: starting one for this command …", "dim"))
        return _told(start_node(data_folder(data_dir), flags))


def _told(net: Net) -> Net:
    """Say on stderr what a repair of the journal kept and lost, once: the node that made it had nobody to tell."""
    from ctorrent.cli import show
    from ctorrent.client import forget_notice, repair_notice

    if words := repair_notice(net.folder):
        for line in words:
            show.stderr().print(show.plain(line, "yellow"), soft_wrap=True)
        forget_notice(net.folder)
    return net


def named(net: Net, word: str, one: bool = False) -> str:
    """The id of the job that is meant. Of several with one name: the newest, and it is said; with `one`, an error that lists them."""
    found = str(net.job(word)["job"])
    if found == word.strip().lower():
        return found
    same = [str(row["job"]) for row in net.jobs() if row["name"] == word.strip()]
    if len(same) < 2:
        return found
    from ctorrent.cli import show
    from ctorrent.errors import LocalError

    if one:
        more = " …" if len(same) > LISTED_MAX else ""
        raise LocalError(f"{word!r:.100} names {len(same)} jobs.", f"They are, newest first: {', '.join(same[:LISTED_MAX])}{more}. Say which.")
    show.say(f"{len(same)} jobs are called {word!r:.100}: this is the newest, {found}.", "dim")
    return found


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
