"""`ctorrent gc` and `ctorrent uninstall`: what goes is shown first, with its bytes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ctorrent.cli import agree, show
from ctorrent.cli.options import DataDir, Json, any_node
from ctorrent.errors import LocalError

Row = dict[str, Any]
NAMES_SHOWN = 4


def register(app: typer.Typer) -> None:
    app.command()(gc)
    app.command()(uninstall)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without the question.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Remove what nothing needs: jobs that ended long ago, blobs, cells, environments and images nobody uses. Shows it first."""
    from ctorrent.client import data_folder

    if not data_folder(data_dir).is_dir():
        raise LocalError(f"There is no data folder {data_folder(data_dir)}: nothing to remove.", "Name another with --data-dir, if there is one.")
    removed, asked = yes and not dry_run, False
    rows = _collect(data_dir, not removed)
    if not as_json:
        _table(rows)
        asked = not (yes or dry_run) and any(row["count"] for row in rows) and agree.a_person_is_there()
    if asked and agree.yes("Remove this? [yes/no] "):
        removed, rows = True, _collect(data_dir, False)
    total = sum(row["bytes"] for row in rows)
    show.emit(as_json, {"removed": removed, "bytes": total, "rows": rows}, lambda: _tell(rows, total, removed, asked))


def _collect(data_dir: Path | None, dry_run: bool) -> list[Row]:
    """What goes, or what went: of the node, and of the machine around it."""
    from ctorrent.cli.node import offline

    with any_node(data_dir) as net:
        folder = net.folder
        rows = net.gc(dry_run)
    for what, names, size in offline().leftovers(folder, dry_run):
        note = "shared by everybody who uses this machine's Docker; made again when needed" if what == "images" and names else ""
        rows.append({"what": what, "count": len(names), "bytes": size, "names": list(names), "note": note})
    return rows


def _table(rows: list[Row]) -> None:
    cells = [(row["what"], row["count"], show.size(row["bytes"]), _note(row)) for row in rows]
    show.stdout().print(show.table(("what", "how many", "size", ""), cells, right=("how many", "size")))


def _tell(rows: list[Row], total: int, removed: bool, asked: bool) -> None:
    console = show.stdout()
    if not any(row["count"] for row in rows):
        console.print("Nothing to remove.")
    elif removed:
        console.print(show.plain(f"Freed {show.size(total)}."))
    elif asked:
        console.print("Nothing was removed.")
    else:
        console.print(show.plain(f"Nothing was removed. This would free {show.size(total)}; to do it: ctorrent gc --yes"))


def _note(row: Row) -> str:
    return row["note"] if row["note"] and (row["count"] or row["note"].startswith("kept")) else _some(row["names"])


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def uninstall(
    identity: Annotated[bool, typer.Option("--identity", help="The keys too: this node and its owner are gone for ever.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without the question.")] = False,
    data_dir: DataDir = None,
    owner_dir: Annotated[Path | None, typer.Option("--owner-dir", help="Folder of the owner key, when not your own.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Remove what this program put on this machine, but for itself: data, environments, containers, images, the service. Shows it first."""
    from ctorrent.cli import service
    from ctorrent.cli.node import offline
    from ctorrent.client import data_folder

    folder, owner = data_folder(data_dir), offline().owner_folder(owner_dir)
    rows = offline().footprint(folder, owner, identity)
    if unit := service.unit_of(folder):
        rows.insert(0, {"what": "systemd user unit", "paths": [str(unit)], "bytes": unit.stat().st_size, "kept": False})
    if not as_json:
        _show(rows, folder)
    _confirm(yes, as_json)
    if unit:
        service.take_away(quiet=as_json)
    left = offline().uninstall(folder, owner, identity)
    done = {"removed": [row for row in rows if not row["kept"]], "kept": [row for row in rows if row["kept"]], "left": left}
    show.emit(as_json, done, lambda: _told(done, folder))


def _show(rows: list[Row], folder: Path) -> None:
    console = show.stdout()
    console.print(show.plain(f"To be removed, in {folder} and around it:", "bold"), soft_wrap=True)
    console.print(show.pairs([(row["what"], _line(row)) for row in rows if not row["kept"]]))
    if any(row["what"] == "images" for row in rows):
        console.print(show.plain("The images are shared by everybody who uses this machine's Docker; who needs one makes it again.", "yellow"), soft_wrap=True)
    if kept := [row for row in rows if row["kept"]]:
        console.print(show.plain("Kept, so that you stay who you are (--identity removes them too):", "bold"), soft_wrap=True)
        console.print(show.pairs([(row["what"], row["paths"][0]) for row in kept]))


def _line(row: Row) -> str:
    names = [Path(path).name if path.startswith("/") else path for path in row["paths"]]
    return f"{show.size(row['bytes'])}  {_some(names)}" if row["bytes"] else _some(names)


def _confirm(yes: bool, as_json: bool) -> None:
    """Raises unless somebody said yes: here with a flag, or now in a terminal."""
    if yes:
        return
    if as_json or not agree.a_person_is_there():
        raise LocalError("Nothing was removed: nobody said yes.", "Say it with --yes.")
    if not agree.yes("Remove all this? [yes/no] "):
        print("Nothing was removed.")
        raise typer.Exit(1)


def _told(done: Row, folder: Path) -> None:
    print("Removed.")
    if done["left"]:
        print(f"Not this program's, so still there: {_some(done['left'])} in {folder}")
    print(f"The program itself: {_program()}")


def _program() -> str:
    """How to take the program away, as it was installed."""
    if "pipx" in Path(sys.prefix).parts:
        return "pipx uninstall ctorrent"
    return f"{sys.executable} -m pip uninstall ctorrent"
