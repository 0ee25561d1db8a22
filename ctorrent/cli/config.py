"""`ctorrent config`: the one file of settings, and which source each value comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, Json

app = typer.Typer(help="Settings: defaults, then settings.toml, then CTORRENT_* variables, then flags; later ones win.", no_args_is_help=True)
Key = Annotated[str, typer.Argument(help="A setting, as config show names it.", show_default=False)]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="config")


def _edit() -> Any:
    from ctorrent.cli.node import settings_rooms

    return settings_rooms()


@app.command("show")
def show_all(
    key: Annotated[str | None, typer.Argument(help="Only this one.", show_default=False)] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show every setting, its value, and where that comes from."""
    rows = _edit().listing(data_dir)
    if key is not None:
        rows = [row for row in rows if row["key"] == _edit().known(key)]
    show.emit(as_json, rows, lambda: _print(rows, data_dir))


def _print(rows: list[dict[str, Any]], data_dir: Path | None) -> None:
    console = show.stdout()
    cells = [
        (row["key"], show.plain(row["shown"], "" if row["source"] == "default" else "bold"), show.plain(row["from"], "dim" if row["source"] == "default" else ""))
        for row in rows
    ]
    console.print(show.table(("setting", "value", "from"), cells))
    console.print(show.plain("Later wins: default, the file, $CTORRENT_<SETTING>, flags of `ctorrent node`. A node reads them as it starts.", "dim"))
    console.print(show.plain(f"The file: {_edit().path(data_dir)}", "dim"), soft_wrap=True)


@app.command("path")
def path(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Say where the file of settings is, there or not."""
    found = _edit().path(data_dir)
    show.emit(as_json, {"path": str(found), "exists": found.exists()}, lambda: print(found))


@app.command("set", context_settings={"ignore_unknown_options": True})  # -1 is a value, and answered with the range
def set_one(
    key: Key,
    values: Annotated[list[str], typer.Argument(metavar="VALUE…", help='As 3, true, "4 GB", friends; several for a list.', show_default=False)],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write one setting into the file; its comments stay."""
    done = _edit().put(data_dir, key, values)
    show.emit(as_json, done, lambda: _tell(done))


@app.command("unset")
def unset(key: Key, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Take one setting out of the file: the default holds again."""
    done = _edit().take_out(data_dir, key)
    show.emit(as_json, done, lambda: _tell(done))


def _tell(done: dict[str, Any]) -> None:
    console = show.stdout()
    if not done["changed"]:
        console.print(show.plain(f"{done['key']} is not in {done['path']}: nothing to take out."), soft_wrap=True)
        return
    if done.get("removed"):
        console.print(show.plain(f"{done['key']} is out of {done['path']}: its default holds again ({done['shown']})."), soft_wrap=True)
    else:
        console.print(show.plain(f"{done['key']} = {done['shown']}"), show.plain(f"  in {done['path']}", "dim"), sep="", soft_wrap=True)
    if done["hidden_by"]:
        console.print(show.plain(f"{done['hidden_by']} is set and wins over the file.", "yellow"))
    if done["running"]:
        console.print(show.plain("The node that runs goes on as it was: it reads this at its next start (ctorrent stop; ctorrent node).", "yellow"))
