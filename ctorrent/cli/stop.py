"""`ctorrent stop`: end the node that runs here, without harm; twice: at once."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, Json, running
from ctorrent.errors import Unavailable

if TYPE_CHECKING:
    from ctorrent.client import Net

LOOK_S = 0.2  # between looks at how far it is
GONE_S = 40.0  # a node that is told to end tells its peers, closes its cells (10 s at most), and writes what it has


def register(app: typer.Typer) -> None:
    app.command()(stop)


def stop(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Stop the node that runs here: blocks that run are finished and delivered first. A second stop, or Ctrl-C: now."""
    from ctorrent.client import data_folder

    folder = data_folder(data_dir)
    try:
        net = running(data_dir)
    except Unavailable:
        show.emit(as_json, {"stopped": False, "folder": str(folder)}, lambda: print(f"No node runs with the data folder {folder}: nothing to stop."))
        return
    with net:
        how = _end(net, as_json)
    show.emit(as_json, {"stopped": True, "how": how, "folder": str(folder)}, lambda: print(f"Stopped{'' if how == 'drained' else ' at once'}."))


def _end(net: Net, quiet: bool) -> str:
    """-> "drained" or "now"."""
    how = "now" if net.status().get("draining") else "drained"
    try:
        if how == "drained":
            _drain(net, quiet)
    except Unavailable:  # the node has ended while it was asked
        pass
    except KeyboardInterrupt:
        how = "now"
    if how == "now":
        net.stop()
    _wait_gone(net)
    return how


def _drain(net: Net, quiet: bool) -> None:
    """Until the node is gone, which raises Unavailable. Says what it waits for whenever that changes."""
    said = ""
    while True:
        found = net.drain()
        words = _words(found)
        if words != said and not quiet:
            show.stderr().print(show.plain(words))
        said = words
        time.sleep(LOOK_S)


def _words(found: dict[str, Any]) -> str:
    parts = []
    if found["running"]:
        parts.append(f"{show.number(found['running'], 'unit')} of blocks to end")
    if found["owed"]:
        parts.append(f"{show.number(found['owed'], 'result')} to be delivered")
    if not parts:
        return "Stopping …"
    limit = show.duration(round(found["left_s"], -1) or 10)
    return f"Waiting for {' and '.join(parts)}, {limit} at most. Again, or Ctrl-C: now."


def _wait_gone(net: Net) -> None:
    """Until nothing of the node holds its folder. One that does not end is somebody's bug, and said."""
    from ctorrent.cli.node import offline

    until = time.monotonic() + GONE_S
    while offline().folder_holder(net.folder):
        if time.monotonic() > until:
            print(f"The node has not ended within {GONE_S:.0f} s: see its log in {net.folder / 'logs'}.", file=sys.stderr)
            raise typer.Exit(1)
        time.sleep(LOOK_S)
