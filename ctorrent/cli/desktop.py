"""`ctorrent desktop`: the node's page in a window of its own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctorrent.cli.options import DataDir
from ctorrent.errors import LocalError, Unavailable

if TYPE_CHECKING:
    from types import ModuleType

WIDE, HIGH = 1180, 820  # fits a laptop's screen of 1366 × 768 with its bar, shrunk by the system where it does not
_INSTALL = "pip install 'pywebview[qt]'"  # Qt has wheels for every system; GTK needs the system's Python


def register(app: typer.Typer) -> None:
    app.command()(desktop)


def desktop(
    data_dir: DataDir = None,
    shown: Annotated[bool, typer.Option("--test-window", hidden=True, help="Close it as soon as the page is there.")] = False,
) -> None:
    """Open this node's page in a window of its own, instead of the browser. Needs pywebview."""
    webview = _library()
    from ctorrent.cli.web import page_link

    _check_display()
    link = page_link(data_dir)
    window = webview.create_window("ctorrent", link["url"], width=WIDE, height=HIGH, min_size=(360, 480), text_select=True)
    if shown:
        window.events.loaded += lambda: _tell_and_close(window)
    try:
        webview.start(private_mode=True)
    except webview.errors.WebViewException as error:
        raise Unavailable(f"No window can be opened: {str(error).rstrip('.')}.", f"It needs GTK or Qt with a web view: {_INSTALL}. In the browser: ctorrent open") from None


def _library() -> ModuleType:
    from importlib import import_module

    os.environ.setdefault("PYWEBVIEW_LOG", "critical")  # it tells of every toolkit that is not there, with a traceback
    try:
        return import_module("webview")
    except ImportError:
        raise LocalError("ctorrent desktop needs pywebview, which is not installed.", f"{_INSTALL}. In the browser, without it: ctorrent open") from None


def _check_display() -> None:
    """Without one Qt would end this process with a core dump. Raises Unavailable."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise Unavailable("There is no display here to open a window on.", "On a machine without one: ctorrent open --no-browser prints a link.")


def _tell_and_close(window: Any) -> None:
    """The address, once the page itself is there: the link leads to it by way of another."""
    where = str(window.get_current_url())
    if "open?key=" not in where:
        print(f"The window shows {where}", flush=True)
        window.destroy()
