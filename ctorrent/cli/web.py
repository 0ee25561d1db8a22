"""`token` and `open`: what a program shows to the node's HTTP API, and the way of a person to its page."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, Json, a_node_runs
from ctorrent.errors import Unavailable


def register(app: typer.Typer) -> None:
    app.command()(token)
    app.command("open")(open_page)


def token(
    data_dir: DataDir = None,
    renew: Annotated[bool, typer.Option("--renew", help="Make a new one: the old one and every opened page are let in no more.")] = False,
    as_json: Json = False,
) -> None:
    """Print the token that calls of the HTTP API show: Authorization: Bearer …"""
    from ctorrent.cli.node import web_room
    from ctorrent.client import data_folder

    found = web_room().token(data_folder(data_dir), renew)
    if renew and not as_json:
        show.say("This is the new token. Pages that are open now ask for ctorrent open.", "dim")
    show.emit(as_json, {"token": found}, lambda: print(found))


def open_page(
    data_dir: DataDir = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser, where there is one, or only print the link.")] = True,
    as_json: Json = False,
) -> None:
    """Open this node's page in the browser, or print a link that does: it works once, within a minute."""
    from ctorrent.cli.node import web_room
    from ctorrent.client import data_folder

    folder = data_folder(data_dir)
    where = _serving(folder)
    made = web_room().link(folder)
    if as_json:
        show.print_json(made)
        return
    if browser and _has_browser() and _opened(folder, made["url"]):
        print(f"The page of this node opens in the browser: {where}")
        show.say("If the browser may not read the file it is shown (some, from snap or flatpak, may not): ctorrent open --no-browser", "dim")
        return
    print(made["url"])
    show.say(f"The link opens the page once, within {made['valid_s']:.0f} seconds.", "dim")


def page_link(data_dir: Path | None) -> dict[str, Any]:
    """{"url", "valid_s"}: a link that opens the page of the node that runs here, once. Raises Unavailable."""
    from ctorrent.cli.node import web_room
    from ctorrent.client import data_folder

    folder = data_folder(data_dir)
    _serving(folder)
    return dict(web_room().link(folder))


def page_address(folder: Path) -> str:
    """Of a node that runs with this folder; "" where it serves none."""
    from ctorrent.cli.node import web_room

    return str(web_room().address(folder))


def _serving(folder: Path) -> str:
    """The address of the node of this folder. Raises Unavailable when there is none, with what to do."""
    from ctorrent.cli.node import web_room

    if found := str(web_room().address(folder)):
        return found
    if a_node_runs(folder):
        raise Unavailable("The node that runs here serves no page: it was started with --http off.", "Stop it, and start it without: ctorrent node")
    raise Unavailable(f"No node runs with the data folder {folder}.", "Start one: ctorrent node")


def _has_browser() -> bool:
    """One that this person would see: not where they are logged in from elsewhere."""
    if os.environ.get("BROWSER"):
        return True
    if os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _opened(folder: Path, url: str) -> bool:
    """By way of a file: all users of this machine see a program's arguments, and the link lets in whoever follows it first."""
    import webbrowser

    from ctorrent.cli.node import web_room

    path = web_room().way(folder, url)
    try:
        opened = webbrowser.open(path.as_uri())
    except (webbrowser.Error, OSError):
        opened = False
    if not opened:
        web_room().no_way(folder)
    return opened
