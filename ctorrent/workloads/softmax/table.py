"""A CSV whose last column is the label, as numbers; what is wrong with it is said with its line.

Read row by row; what is kept is eight bytes a number.
"""

from __future__ import annotations

import csv
import io
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ctorrent.errors import LocalError

FILE_BYTES_MAX = 1 << 30  # read once, in pieces; beyond it the limit below is near in any case
CELLS_MAX = 50_000_000  # 400 MB of numbers in the process that trains; sixfold the 784 × 10,000 of a digits test set
CLASSES_MAX = 1000  # more are no classes but a number to be predicted, or an id
FEATURES_MAX = 100_000
LINE_CHARS_MAX = 4 << 20  # FEATURES_MAX numbers of forty characters: a file of one endless line ends here
CLASS_CHARS_MAX = 200  # of a label
ROWS_PER_CLASS_MIN = 2  # one to learn from, one that could be held out
SEPARATORS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class Table:
    """values: rows × features, one row after the other; labels: the index of each row's class in `classes`."""

    features: tuple[str, ...]
    classes: tuple[str, ...]  # sorted
    values: array[float]
    labels: array[int]

    @property
    def rows(self) -> int:
        return len(self.labels)

    def row(self, index: int) -> array[float]:
        width = len(self.features)
        return self.values[index * width : (index + 1) * width]


def read_table(path: Path, name: str = "") -> Table:
    """The table of a file. name: what errors call it. Raises LocalError with the line and column of what is wrong."""
    try:
        if not path.is_file():
            raise LocalError(f"There is no file {path}.", "Give the path of a CSV file, as the node's machine sees it.")
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            raise LocalError(f"{path} has {size >> 20} MB; the limit is {FILE_BYTES_MAX >> 20}.", "Train on a sample of its rows.")
        with path.open("rb") as file:
            return parse(file, name or path.name)
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {error.strerror}.", "Give the path of a CSV file, as the node's machine sees it.") from None


def parse(file: BinaryIO, name: str) -> Table:
    """The table of a file that is open. name: what errors call it."""
    reading = _Reading(name)
    for line, fields in _records(file, name):
        reading.take(line, fields)
    return reading.table()


def _records(file: BinaryIO, name: str) -> Iterator[tuple[int, list[str]]]:
    """(number of its last line, fields) of each record that is not empty."""
    head = file.read(3)
    file.seek(0)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise LocalError(f"{name} is UTF-16 text.", "Save it as UTF-8.")
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    lines = _Lines(text, name)
    try:
        first = next(lines, "")
        separator = next((mark for mark in SEPARATORS if mark in first), ",")
        lines.again = first
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num, [field.strip() for field in fields]
    except csv.Error as error:
        raise LocalError(f"{name}:{lines.number}: {error}.", "Is it a CSV file? Quotes must close, and a field has at most 131,072 characters.") from None
    finally:
        text.detach()


class _Lines(Iterator[str]):
    """Lines of bounded length. Raises LocalError for what is not text."""

    def __init__(self, text: io.TextIOWrapper, name: str) -> None:
        self._text, self._name, self.number, self.again = text, name, 0, ""

    def __next__(self) -> str:
        if self.again:
            line, self.again = self.again, ""
            return line
        self.number += 1
        try:
            line = self._text.readline(LINE_CHARS_MAX)
        except UnicodeDecodeError:
            raise LocalError(f"{self._name}: from line {self.number} on there is text that is not UTF-8.", "Save it as UTF-8.") from None
        if not line:
            raise StopIteration
        if len(line) == LINE_CHARS_MAX and not line.endswith(("\n", "\r")):
            raise self._bad(f"has more than {LINE_CHARS_MAX >> 20} million characters")
        if "\0" in line:
            raise self._bad("holds a zero byte")
        return line

    def _bad(self, what: str) -> LocalError:
        return LocalError(f"{self._name}:{self.number}: the line {what}.", "Is it a CSV file?")


class _Reading:
    """Records, one after the other; the first may be a header."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.features: tuple[str, ...] = ()
        self.values: array[float] = array("d")
        self.labels: list[str] = []
        self.known: dict[str, int] = {}  # classes, with their rows
        self._begun = False

    def take(self, line: int, fields: list[str]) -> None:
        if not self._begun:
            self._begun = True
            if self._open(line, fields):
                return
        if len(fields) != len(self.features) + 1:
            raise self._bad(line, f"has {len(fields)} columns, the first row has {len(self.features) + 1}", "Every row has the same columns; the last is the label.")
        for feature, field in zip(self.features, fields, strict=False):
            self.values.append(self._number(line, feature, field))
        self._label(line, fields[-1])
        if len(self.values) > CELLS_MAX:
            raise self._bad(line, f"is beyond the limit of {CELLS_MAX:,} numbers in all", "Train on a sample of its rows.")

    def _open(self, line: int, fields: list[str]) -> bool:
        """Learn the columns. -> was it a header?"""
        if len(fields) < 2:
            raise self._bad(line, "has one column", "A table has at least one column of numbers, and the label last; commas between them.")
        if len(fields) - 1 > FEATURES_MAX:
            raise self._bad(line, f"has {len(fields):,} columns; the limit is {FEATURES_MAX:,}", "Leave columns out.")
        header = not all(_is_number(field) for field in fields[:-1])
        if header and any(_is_number(field) for field in fields[:-1]):
            wrong = next(field for field in fields[:-1] if not _is_number(field))
            raise self._bad(line, f"is neither a header nor numbers: {wrong[:40]!r}", "A header has no numbers; each other column but the last has nothing else.")
        self.features = tuple(field[:CLASS_CHARS_MAX] for field in fields[:-1]) if header else tuple(f"column {n + 1}" for n in range(len(fields) - 1))
        return header

    def _number(self, line: int, feature: str, field: str) -> float:
        try:
            number = float(field)
        except ValueError:
            what = f"{field[:40]!r} is no number" if field else "is empty"
            raise self._bad(line, f"{feature}: {what}", "Every column but the last holds numbers: fill in what is missing, or leave its rows out.") from None
        if not math.isfinite(number):
            raise self._bad(line, f"{feature}: {field[:40]} is no number to compute with", "Leave out rows with NaN or infinities, or fill them in.")
        return number

    def _label(self, line: int, label: str) -> None:
        if not label:
            raise self._bad(line, "the label is empty", "The last column says what each row is.")
        if len(label) > CLASS_CHARS_MAX:
            raise self._bad(line, f"the label has {len(label):,} characters", f"Classes have short names: at most {CLASS_CHARS_MAX}.")
        self.known[label] = self.known.get(label, 0) + 1
        if len(self.known) > CLASSES_MAX:
            raise self._bad(line, f"the last column has more than {CLASSES_MAX:,} different labels", "softmax tells classes apart; it predicts no quantities.")
        self.labels.append(label)

    def table(self) -> Table:
        if not self.labels:
            raise LocalError(f"{self.name} has no rows.", "A CSV of numbers, with the label in the last column.")
        if len(self.known) == 1:
            raise LocalError(f"{self.name}: every row is {next(iter(self.known))[:40]!r}, one class.", "The last column is the label; there must be two at least.")
        few = next((label for label, count in sorted(self.known.items()) if count < ROWS_PER_CLASS_MIN), None)
        if few is not None:
            raise LocalError(f"{self.name}: only one row is {few[:40]!r}.", "Each class needs two rows at least. Is the last column the label?")
        classes = tuple(sorted(self.known))
        place = {label: index for index, label in enumerate(classes)}
        return Table(self.features, classes, self.values, array("H", [place[label] for label in self.labels]))

    def _bad(self, line: int, what: str, hint: str) -> LocalError:
        return LocalError(f"{self.name}:{line}: {what}.", hint)


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return not field  # a gap may be one: its row is refused by name, where it stands
    return True
