"""Rows of a job on a screen: the first ones, fitted to its width, a summary of numbers, and pictures as pictures."""

from __future__ import annotations

from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any

from ctorrent.cli import show
from ctorrent.cli.columns import NUMBERS, Survey, kind_of, parts, survey

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from ctorrent.client import Job

Plain = dict[str, Any]
CELL_CHARS = 28  # of text and of what has parts; numbers need fewer
CELL_CHARS_TIGHT = 14
GAP_CHARS = 3  # between two columns of show.table
PICTURES = 3
PICTURE_LINES = 12
SUMMARY_ROWS_MAX = 5000  # all of them are read for it: half a second
SUMMARY_BYTES_MAX = 32 << 20
SUMMARY_ROWS_MIN = 5  # fewer can be seen at once
SUMMARY_COLUMNS = 8


def show_rows(job: Job, limit: int) -> None:
    """The preview of `ctorrent results JOB`."""
    status, console = job.status(), show.stdout()
    rows = list(islice((row for row in job.rows() if row["state"] != "waiting"), limit))
    console.print(_head(status))
    if not rows:
        console.print(show.plain("No results of it are left here." if status["state"] == "settled" else "No block has ended yet.", "dim"))
        return
    seen = survey(rows)
    console.print(_table(console, seen, rows, {row["node"]: row["name"] for row in status["workers"]}))
    _print_rest(console, job, status, len(rows))
    if (summary := _summary(job, seen, status)) is not None:
        console.print(summary)
    print_pictures(console, rows)


def _head(status: Plain) -> RenderableType:
    from rich.text import Text

    from ctorrent.cli.follow import done_blocks

    done, blocks = done_blocks(status), status["blocks"]
    count = f"{done:,} of {show.number(blocks, 'block')} so far" if done < blocks else show.number(blocks, "block")
    return Text(" ").join([show.plain(status["name"] or "job", "bold"), show.plain(status["job"], "dim"), show.job_state(status), show.plain(count)])


def _print_rest(console: Console, job: Job, status: Plain, shown: int) -> None:
    from ctorrent.cli.follow import done_blocks

    if (more := done_blocks(status) - shown) > 0:
        console.print(show.plain(f"… and {more:,} more: ctorrent results {job.name} -o FOLDER writes all of them", "dim"))


# -- the table --------------------------------------------------------------------------------------------------------


def _table(console: Console, seen: Survey, rows: list[Plain], names: dict[str, str]) -> RenderableType:
    """What fits: a column that does not is named below."""
    from rich.console import Group

    cells = [_cells(seen, row, names, CELL_CHARS) for row in rows]
    columns = _order(seen, cells)
    if _width(columns, cells) > console.width:
        cells = [_cells(seen, row, names, CELL_CHARS_TIGHT) for row in rows]
    hidden = _hide(columns, cells, seen, console.width)
    right = [name for name in columns if all(_is_number(row.get(name, "")) for row in cells)]
    lines = [[show.state(row["state"]) if name == "state" else row.get(name, "") for name in columns] for row in cells]
    made = show.table([show.value(name, CELL_CHARS_TIGHT) if len(name) > CELL_CHARS else name for name in columns], lines, right)
    if not hidden:
        return made
    more = ", ".join(show.value(name, 20) for name in hidden[:6]) + (f" and {len(hidden) - 6} more" if len(hidden) > 6 else "")
    return Group(made, show.plain(f"No room for: {more}", "dim"))


def _cells(seen: Survey, row: Plain, names: dict[str, str], chars: int) -> dict[str, str]:
    found = {name: show.value(value, chars) for name, value in seen.cells(row).items() if name != "seed"}
    found["workers"] = show.value(", ".join(names.get(node) or show.short(node) for node in row["workers"]), chars)
    if row["seconds"]:
        found["seconds"] = f"{row['seconds']:.3g}"
    return found


def _order(seen: Survey, cells: list[dict[str, str]]) -> list[str]:
    """Columns with anything in them; the state only where it differs from settled."""
    dull = {"seed", *({"state"} if set(seen.states) <= {"settled"} else ())}
    return [column.name for column in seen.columns() if column.name not in dull and any(row.get(column.name) for row in cells)]


def _hide(columns: list[str], cells: list[dict[str, str]], seen: Survey, width: int) -> list[str]:
    """Take columns away until the rest fits: who ran it, what is the same in all rows, what is no number, then from the end."""
    kept = {"index", "state", "error", "agreed", "seconds"}
    constant = [name for name in columns if name not in kept and len(cells) > 1 and len({row.get(name) for row in cells}) == 1]
    numbers = {column.name for column in seen.columns() if column.numbers}
    words = [name for name in reversed(columns) if name not in kept and name not in numbers]
    order = ["workers", *constant, *words, *(name for name in reversed(columns) if name not in kept), "seconds", "agreed"]
    hidden = []
    for name in dict.fromkeys(order):
        if _width(columns, cells) <= width:
            break
        if name in columns and len(columns) > 2:
            columns.remove(name)
            hidden.append(name)
    return hidden[::-1]


def _width(columns: list[str], cells: list[dict[str, str]]) -> int:
    from rich.cells import cell_len

    widest = [max(cell_len(name), *(cell_len(row.get(name, "")) for row in cells)) for name in columns]
    return sum(widest) + GAP_CHARS * (len(widest) - 1)


def _is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


# -- numbers ----------------------------------------------------------------------------------------------------------


def _summary(job: Job, seen: Survey, status: Plain) -> RenderableType | None:
    """Least, middle and greatest of each number that blocks returned; None where that would be dear or dull."""
    if not SUMMARY_ROWS_MIN <= status["blocks"] <= SUMMARY_ROWS_MAX:
        return None
    seen.columns()  # names them
    columns = [column.name for column in seen.results() if column.numbers in ("<i8", "<u8", "<f8")]
    figures: dict[str, list[float]] = {name: [] for name in columns[-SUMMARY_COLUMNS:]}
    size = 0
    from ctorrent.client import decode_row

    after = -1
    while page := job.net.results(job.name, after):
        size += sum(len(row.get("value") or b"") for row in page)
        if size > SUMMARY_BYTES_MAX:
            return None
        for row in page:
            cells = seen.cells(decode_row(row))
            for name, found in figures.items():
                if kind_of(cells.get(name)) in NUMBERS and cells[name] == cells[name]:
                    found.append(cells[name])
        after = page[-1]["index"]
    lines = [
        (show.value(name, CELL_CHARS), *(show.value(float(f(found)), 12) for f in (min, median, max)))
        for name, found in figures.items()
        if len(found) >= SUMMARY_ROWS_MIN and min(found) < max(found)
    ]
    return show.table(("over all rows", "least", "middle", "greatest"), lines, ("least", "middle", "greatest")) if lines else None


# -- pictures ---------------------------------------------------------------------------------------------------------


def print_pictures(console: Console, rows: list[Plain]) -> None:
    """The first rows' images: as such in a terminal with colours, else by their size."""
    from rich.console import Group
    from rich.table import Table

    from ctorrent.cli.pictures import is_picture

    found = list(islice(((row, name, value) for row in rows for name, value in parts(row) if is_picture(value)), PICTURES))
    columns = max(8, (console.width - 2 * (PICTURES - 1)) // PICTURES)
    grid = Table.grid(padding=(0, 2))
    cells = [
        Group(*one)
        for row, name, value in found
        if (one := picture(console, value, row.get("output") or f"block {row['index']}{f' {name}' if name != 'value' else ''}", columns, PICTURE_LINES))
    ]
    if cells:
        grid.add_row(*cells)
        console.print(grid)


def picture(console: Console, value: Any, title: str, columns: int, lines: int) -> list[RenderableType]:
    """An image under its title; only the title where there are no colours; nothing where it cannot be read."""
    from ctorrent.cli.pictures import drawn, opened

    image = opened(value)
    if image is None:
        return []
    words = show.plain(show.value(f"{title}  {image.width} × {image.height}", columns), "dim")
    if not console.is_terminal or console.color_system in (None, "standard"):
        return [words]
    shown = drawn(image, columns, lines)
    return [words, shown] if shown is not None else []
