"""Results as CSV and as JSON, row by row: as many rows as there are, one in memory."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from typing import IO, Any, TextIO

from ctorrent.cli import show
from ctorrent.cli.columns import Survey

Plain = dict[str, Any]
BYTES_SHOWN = 200  # a result of bytes that is a short text is shown as one
# A spreadsheet runs a cell that begins with one of these as a formula, and a worker may return any text:
# OWASP, "CSV Injection": put a single quote before it. The last two are what Excel takes for the first in wide letters.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Where lists have semicolons (German, French …) or tabs, a cell of ours is several, quotes in its middle notwithstanding:
# each part is looked at, behind blanks and quotes. A number may stay where the part ends with it; at the end of our cell
# the next one would go on with it: -5 and 3+cmd are -5,3+cmd. All is optional but the separator, so that nothing is read
# twice. web/static/job_download.js has the same.
PART = re.compile(r'([;\t\r\n])((?:[^\S\t\r\n]|")*)((?![+-][0-9]+(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?[^\S\t\r\n]*(?:\1|[\r\n]))[=+\-@＝＋－＠])?')


def write_csv(seen: Survey, rows: Iterable[Plain], file: TextIO) -> None:
    """Numbers and text as they are, what has parts as JSON; no cell is a formula, none moves a terminal's cursor."""
    for _ in csv_lines(seen, rows, file):
        pass


def csv_lines(seen: Survey, rows: Iterable[Plain], file: TextIO) -> Iterator[None]:
    """The same, with a stop after each line."""
    names = [column.name for column in seen.columns()]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([defused(name) for name in names])
    yield
    for row in rows:
        cells = seen.cells(row)
        writer.writerow([cell(cells.get(name)) for name in names])
        yield


def write_csv_bytes(seen: Survey, rows: Iterable[Plain], file: IO[bytes]) -> None:
    """The same into a binary file."""
    text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        write_csv(seen, rows, text)
        text.flush()
    finally:
        text.detach()


def cell(value: Any) -> Any:
    """One value of a CSV file."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return defused(value)
    if isinstance(value, bytes):
        return defused(show.value(value, BYTES_SHOWN))
    return _defused_parts(show.as_json(value))


def defused(text: str) -> str:
    """A text that no spreadsheet runs and no terminal obeys."""
    text = text if text.isprintable() else show.printable(text)  # the first is fast, and most are
    text = _defused_parts(text)
    return f"'{text}" if text.startswith(FORMULA) else text


def _defused_parts(text: str) -> str:
    return PART.sub(lambda part: f"{part[1]}'{part[2]}{part[3]}" if part[3] else part[0], text)


def write_json(rows: Iterable[Plain], file: TextIO) -> None:
    """A list of rows, one to a line: everything that is known of each, nothing flattened."""
    file.write("[")
    for number, row in enumerate(rows):
        file.write(",\n" if number else "\n")
        file.write(show.as_json(row))
    file.write("\n]\n")


def write_json_bytes(rows: Iterable[Plain], file: IO[bytes]) -> None:
    text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        write_json(rows, text)
        text.flush()
    finally:
        text.detach()


def one_line(rows: Iterable[Plain]) -> Iterator[str]:
    """The same list on one line, in pieces."""
    yield "["
    for number, row in enumerate(rows):
        yield (", " if number else "") + show.as_json(row)
    yield "]\n"
