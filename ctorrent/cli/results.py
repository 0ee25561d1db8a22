"""`ctorrent results`: a row for each block, on the screen or in files, also while the job runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctorrent.cli import place as places
from ctorrent.cli import show
from ctorrent.cli.columns import Survey, again, survey
from ctorrent.cli.options import DataDir, JobName, Json, any_node, named
from ctorrent.cli.place import Place
from ctorrent.errors import LocalError

if TYPE_CHECKING:
    from ctorrent.cli.outputs import Names
    from ctorrent.client import Job

Plain = dict[str, Any]
ROWS_SHOWN = 20  # of a preview: with its head and its notes it fits a terminal of 30 lines


class Format(str, Enum):  # noqa: UP042  typer shows a str Enum's values as choices
    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    NPZ = "npz"
    PARQUET = "parquet"


def results(
    job: JobName,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="DIR|FILE", help="Write them: a folder gets the table and the blocks' own files; a file is .csv, .json, .npz or .parquet.", show_default=False)] = None,
    form: Annotated[Format | None, typer.Option("--format", help="How: a table to look at, or one of the four.", show_default=False)] = None,
    limit: Annotated[int, typer.Option("--limit", help="Rows of the table on the screen.", min=1)] = ROWS_SHOWN,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show or write what each block returned, also while the job runs."""
    from ctorrent.cli import preview

    wanted = None if form in (None, Format.TABLE) else form.value
    place = check_output(Path(output), wanted, force, output) if output is not None else None
    if place is None and wanted in ("npz", "parquet"):
        needs = places.PARQUET_NEEDS if wanted == "parquet" and not places.has_parquet() else ""
        raise LocalError(f"{wanted} is nothing for a screen: it needs a file.", f"Say where to write it: -o rows.{wanted}{needs}")
    with any_node(data_dir) as net:
        handle = net.attach(named(net, job))
        if place is not None:
            told(write_rows(handle, place), as_json)
        elif as_json or wanted == "json":
            _print(_as_json(handle))
        elif wanted == "csv":
            _print(_as_csv(handle))
        else:
            preview.show_rows(handle, limit)


# -- to a screen or a pipe --------------------------------------------------------------------------------------------


def _as_json(job: Job) -> Iterator[str]:
    from ctorrent.cli.tables import one_line

    yield from one_line(job.rows())


def _as_csv(job: Job) -> Iterator[str]:
    from io import StringIO

    from ctorrent.cli.tables import csv_lines

    seen = survey(job.rows())
    buffer = StringIO()
    for _ in csv_lines(seen, again(job, seen), buffer):
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _print(pieces: Iterable[str]) -> None:
    """To stdout; a reader that has seen enough (head) is no error, a full disk behind it is one."""
    try:
        for piece in pieces:
            sys.stdout.write(piece)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again at its exit
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise LocalError(f"Not all rows could be written: {error.strerror}.", "Free some space, or write elsewhere.") from None


# -- to files ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it."""

    job: str
    state: str
    place: Place
    done: int
    rows: int
    files: int
    renamed: int
    bytes_left_out: bool  # a table alone has no room for contents of files


def check_output(output: Path, form: str | None = None, force: bool = False, typed: str | None = None) -> Place:
    """Before anything is asked for: can rows be written there? Raises LocalError."""
    return places.choose(output, form, force, typed)


def write_rows(job: Job, place: Place | Path) -> Written:
    """The rows so far. All that would be replaced is looked for before the first byte is written."""
    if isinstance(place, Path):
        place = check_output(place)
    state = str(job.status()["state"])
    answer = _answer(job, state) if place.folder is not None else None
    seen, names, files = Survey(), _names(place, answer), [answer[0]] if answer else []
    for row in job.rows():
        seen.add(row)
        if place.folder is not None:
            files += [path for _, path, _ in names.of(row)]
    if place.folder is not None:
        places.refuse_existing(place, [place.folder / path for path in files])
    _write(job, place, seen, answer)
    lost = place.folder is None and place.form == "csv" and any("bytes" in column.kinds for column in seen.columns())
    return Written(job.name, state, place, seen.done, seen.rows, len(files), names.changed, lost)


def _names(place: Place, answer: tuple[str, bytes] | None) -> Names:
    from ctorrent.cli.outputs import Names

    return Names(place.table.name, *([answer[0]] if answer else []))


def _answer(job: Job, state: str) -> tuple[str, bytes] | None:
    """A file for the reduced answer: an image as one, else JSON. A table of rows is the table that is written anyway."""
    from ctorrent.cli.outputs import suffix
    from ctorrent.errors import WorkError

    if state not in ("settled", "failed", "cancelled"):
        return None
    try:
        found = job.answer()
    except WorkError:
        return None
    if isinstance(found, bytes):
        return f"answer.{suffix(found)}", found
    if isinstance(found, list) and found and isinstance(found[0], dict):
        return None
    return "answer.json", (show.as_json(found) + "\n").encode()


def _write(job: Job, place: Place, seen: Survey, answer: tuple[str, bytes] | None) -> None:
    rows = again(job, seen)
    if place.folder is not None:
        rows = _with_files(rows, place, _names(place, answer))
        if answer is not None:
            with places.writing(place.folder / answer[0], place.force) as file:
                file.write(answer[1])
    with places.writing(place.table, place.force) as file:
        if place.form == "csv":
            from ctorrent.cli.tables import write_csv_bytes

            write_csv_bytes(seen, rows, file)
        elif place.form == "json":
            from ctorrent.cli.tables import write_json_bytes

            write_json_bytes(rows, file)
        elif place.form == "npz":
            from ctorrent.cli.arrays import write_npz

            write_npz(seen, rows, file, place.table.parent)
        else:
            from ctorrent.cli.parquet import write_parquet

            write_parquet(seen, rows, file)


def _with_files(rows: Iterable[Plain], place: Place, names: Names) -> Iterator[Plain]:
    """Writes each row's files; in the table their paths stand for them."""
    assert place.folder is not None
    for row in rows:
        paths = {}
        for name, path, content in names.of(row):
            with places.writing(place.folder / path, place.force) as file:
                file.write(content)
            paths[name] = path
        yield _pointed(row, paths) if paths else row


def _pointed(row: Plain, paths: dict[str, str]) -> Plain:
    from ctorrent.cli.columns import parts

    if not isinstance(row["value"], dict):
        return {**row, "value": paths["value"]}
    return {**row, "value": {name: paths.get(name, value) for name, value in parts(row)}}


def told(found: Written, as_json: bool) -> None:
    """What was written, and what of it is not whole."""
    place = found.place
    if as_json:
        show.print_json({
            "job": found.job, "state": found.state, "blocks": found.rows, "done": found.done, "table": str(place.table),
            "files": found.files, "renamed": found.renamed,
        })  # fmt: skip
        return
    console = show.stderr()
    files = f" and {show.number(found.files, 'file')}" if found.files else ""
    console.print(show.plain(f"Wrote {show.number(found.rows, 'row')}{files}: {place.shown}"))
    if found.done < found.rows:
        console.print(show.plain(f"{found.done:,} of {found.rows:,} blocks so far: the job is {found.state}. The same command with --force has more later.", "yellow"))
    if found.bytes_left_out:
        console.print(show.plain("Contents of files are not in it: -o FOLDER writes those too.", "yellow"))
    if found.renamed:
        what = "name was" if found.renamed == 1 else "names were"
        console.print(show.plain(f"{found.renamed:,} {what} not fit for a file, or taken: changed a little.", "dim"))
