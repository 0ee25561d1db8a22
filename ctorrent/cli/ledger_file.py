"""`ledger export` and `ledger import`: signed entries as a file, from one node to another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, Json, any_node
from ctorrent.cli.place import writing
from ctorrent.errors import LocalError

Plain = dict[str, Any]
MAGIC = b"ctorrent ledger 1\n"
ENTRY_BYTES_MAX = 64 << 10  # an entry has 16 KiB at most; what is longer is no entry
AT_ONCE = 256  # entries in one call
COUNTS = ("new", "known", "waiting", "forks", "elsewhere", "refused")


def register(app: typer.Typer) -> None:
    app.command("export")(ledger_export)
    app.command("import")(ledger_import)


def ledger_export(
    file: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    ring: Annotated[str, typer.Option("--ring", help="Only entries of this ring: public, friends, swarm; with a root: swarm:own_ab….", show_default=False)] = "",
    author: Annotated[str, typer.Option("--author", metavar="PEER", help="Only what this peer wrote, by name or by its node's id.", show_default=False)] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write the signed entries that this node holds into one file, for another node or for keeping.

    Entries of friends' rings and swarms are for their members: give the file to those who may read them, or say --ring public.
    """
    if file.exists() and not force:
        raise LocalError(f"{file} is there already, and nothing was written.", "Name another file, or let --force replace it.")
    with any_node(data_dir) as net:
        pieces = net.ledger_export(ring, author)
        first = next(pieces)  # what is wrong with the question is said before a file is begun
        with show.waiting("Writing the entries …", as_json) as tell, writing(file, force) as out:
            size, end = out.write(first), first
            for piece in pieces:
                size, end = size + out.write(piece), piece
                tell(f"Writing the entries: {show.size(size)} …")
    count = int.from_bytes(end[-8:], "big")
    found = {"file": str(file), "entries": count, "bytes": size}
    show.emit(as_json, found, lambda: show.stdout().print(show.plain(f"{file}: {show.number(count, 'entry', 'entries')}, {show.size(size)}.")))


def ledger_import(
    file: Annotated[Path, typer.Argument(help="A file that ledger export wrote.", show_default=False)],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Take in the entries of a file: every signature is checked, and what does not fit here is left out.

    Exit code 1 when something in the file is not as its author signed it, or the file is cut short.
    """
    try:
        source = file.open("rb")
    except OSError as error:
        raise LocalError(f"{file} cannot be read: {error.strerror}.", "Name a file that ctorrent ledger export wrote.") from None
    totals: Plain = {**dict.fromkeys(COUNTS, 0), "why": "", "whole": False}
    with source, any_node(data_dir) as net:
        if source.read(len(MAGIC)) != MAGIC:
            raise LocalError(f"{file} is not a file of ledger entries.", "Name a file that ctorrent ledger export wrote.")
        size = os.fstat(source.fileno()).st_size
        with show.waiting("Checking the entries …", as_json) as tell:
            if (read := net.status().get("ledger_read", 1)) < 1:
                tell(f"The node has read {read:.0%} of its own ledger since it started; the file is next …")
            for batch in _batches(source, totals):
                said = net.ledger_import(batch)
                for name in COUNTS:
                    totals[name] += said[name]
                totals["why"] = totals["why"] or said["why"]
                tell(f"Checking the entries: {sum(totals[name] for name in COUNTS):,}, {totals['new']:,} of them new ({source.tell() / max(1, size):.0%} of the file) …")
    show.emit(as_json, totals, lambda: _show(file, totals))
    if totals["refused"] or not totals["whole"]:
        raise typer.Exit(1)


def _batches(source: IO[bytes], totals: Plain) -> Iterator[list[bytes]]:
    """Entries in groups; `whole` is set when the file's end says how many there were, and that is right."""
    batch: list[bytes] = []
    count = 0
    while len(head := source.read(4)) == 4:
        size = int.from_bytes(head, "big")
        if size == 0:
            totals["whole"] = int.from_bytes(source.read(8), "big") == count
            break
        entry = source.read(size) if size <= ENTRY_BYTES_MAX else b""
        if len(entry) != size:
            break
        count += 1
        batch.append(entry)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _show(file: Path, totals: Plain) -> None:
    console = show.stdout()
    words = [
        (totals["new"], "new"), (totals["known"], "known already"), (totals["waiting"], "kept aside until the entries before them come"),
        (totals["forks"], "second entries for one place: proof against their authors"),
        (totals["elsewhere"], "of rings that this node is not in"), (totals["refused"], "refused"),
    ]  # fmt: skip
    told = [f"{count:,} {what}" for count, what in words if count]
    console.print(show.plain(f"{file}: {', '.join(told) or 'no entries'}."))
    if totals["refused"]:
        console.print(show.plain(f"Refused, for example: {totals['why']}.", "bold red"))
    if not totals["whole"]:
        console.print(show.plain("The file is cut short, or damaged: what lay behind that spot is not known.", "bold red"))
