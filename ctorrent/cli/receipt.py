"""`ctorrent receipt`: one signed file that says what a job was and who computed what; `ctorrent verify` checks it anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, JobName, Json, any_node, named
from ctorrent.cli.place import writing
from ctorrent.errors import LocalError

SUFFIX = ".ctr"


def register(app: typer.Typer) -> None:
    app.command()(receipt)


def receipt(
    job: JobName,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where to. Default: JOB.ctr, here.", show_default=False)] = None,
    with_data: Annotated[bool, typer.Option("--with-data", help="Put all inputs and outputs into it, however large.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write the receipt of a job that has ended: one signed file that others can check, and re-run, with ctorrent verify.

    It holds the job's program, parameters and outputs: give it to those who may read them. Inputs, outputs and files of more
    than 1 MiB each, or beyond 64 MiB of each of the three, are named by their digests only, unless --with-data.
    """
    with any_node(data_dir) as net:
        name = named(net, job)
        place = _place(output, name)
        if place.exists() and not force:
            raise LocalError(f"{place} is there already, and nothing was written.", "Name another file after -o, or let --force replace it.")
        pieces = net.receipt(name, with_data)
        first = next(pieces)  # what is wrong with the job is said before a file is begun
        with show.waiting("Writing the receipt …", as_json), writing(place, force) as file:
            size = _written(file, first, pieces)
    found = {"job": name, "file": str(place), "bytes": size}
    show.emit(as_json, found, lambda: show.stdout().print(show.plain(f"{place}: the receipt of job {name}, {show.size(size)}. Check it anywhere: ctorrent verify {place}")))


def _place(output: Path | None, name: str) -> Path:
    if output is None:
        return Path(name + SUFFIX)
    if output.is_dir():
        return output / (name + SUFFIX)
    if not output.parent.is_dir():
        raise LocalError(f"There is no folder {output.parent}.", "Make it first.")
    return output


def _written(file: IO[bytes], first: bytes, rest: Iterator[bytes]) -> int:
    size = file.write(first)
    for piece in rest:
        size += file.write(piece)
    return size
