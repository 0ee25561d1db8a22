"""Rows of a job as one flat table: which columns there are, in what order, and what is in a cell.

    index  each param  seed  state  each field of the result  error  workers  agreed  seconds

Nested maps become columns with dots (more.n), lists and arrays stay in one cell, and a result that is no map is the
column "value". A param named as one of our columns becomes "params.NAME"; a field of the result named as ours or as a
param becomes "result.NAME", as in `reduce: table`.

Columns are found in a first pass over the rows and filled in a second. The job may go on between the two: blocks that
ended meanwhile are shown as the first pass saw them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctorrent.client import Job

Plain = dict[str, Any]
FIELDS_MAX = 1000  # columns that results may make: each field's name is a worker's to choose, and a block may return thousands
FIRST, MIDDLE, LAST = ("index",), ("seed", "state"), ("error", "workers", "agreed", "seconds")
OURS = frozenset((*FIRST, *MIDDLE, *LAST))
NUMBERS = ("bool", "count", "int", "large", "float")
ENDED = ("settled", "failed", "disputed", "cancelled")
INT64, UINT64 = range(-(1 << 63), 1 << 63), range(1 << 64)  # seeds are of the second


@dataclass(slots=True)
class Column:
    """What one column holds over all rows. kinds: see kind_of; of arrays the shape they share, if they do."""

    name: str
    kinds: dict[str, int] = field(default_factory=dict)  # kind -> rows
    dtype: str = ""
    shape: tuple[int, ...] | None = None  # None: they differ
    longest: int = 0  # characters of its longest text

    @property
    def filled(self) -> int:
        return sum(self.kinds.values())

    def add(self, value: Any) -> None:
        kind = kind_of(value)
        if kind == "text":
            self.longest = max(self.longest, len(value))
        elif kind in ("array", "bytes"):
            dtype, shape = shape_of(value)
            if kind not in self.kinds:
                self.dtype, self.shape = dtype, shape
            elif (self.dtype, self.shape) != (dtype, shape):
                self.shape = None
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def only(self, *kinds: str) -> bool:
        return bool(self.kinds) and set(self.kinds) <= set(kinds)

    @property
    def numbers(self) -> str:
        """The narrowest dtype that holds all of it: "?", "<i8", "<u8", "<f8"; "" when it is not of numbers."""
        for dtype, kinds in (("?", ("bool",)), ("<i8", ("count", "int")), ("<u8", ("count", "large")), ("<f8", NUMBERS)):
            if self.only(*kinds):
                return dtype
        return ""


def kind_of(value: Any) -> str:
    """bool, count (a whole number), int (one below 0), large (one above 2^63), float, text, bytes, array (also a list of numbers), or json: what has no place of its own."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return ("count" if value >= 0 else "int") if value in INT64 else "large" if value in UINT64 else "json"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bytes):
        return "bytes"
    if hasattr(value, "dtype") or is_numbers(value):
        return "array"
    return "json"


def is_numbers(value: Any) -> bool:
    """A list that is an array: whole numbers or floats only, and not empty."""
    return isinstance(value, list) and bool(value) and ({type(one) for one in value} in ({float}, {int, float}) or _whole(value))


def _whole(value: list[Any]) -> bool:
    return all(type(one) is int and one in INT64 for one in value)


def shape_of(value: Any) -> tuple[str, tuple[int, ...]]:
    """dtype and shape as npz stores them; bytes are |u1."""
    if isinstance(value, bytes):
        return "|u1", (len(value),)
    if isinstance(value, list):
        return ("<i8" if _whole(value) else "<f8"), (len(value),)
    dtype = value.dtype if isinstance(value.dtype, str) else value.dtype.str
    return dtype, tuple(value.shape)


def parts(row: Plain) -> Iterator[tuple[str, Any]]:
    """A result's fields, flattened, each name once: (name, value)."""
    value = row.get("value")
    if not isinstance(value, dict):
        if value is not None:
            yield "value", value
        return
    taken: set[str] = set()
    for name, inner in _leaves(value, ""):
        while name in taken:  # {"a": {"b": 1}, "a.b": 2}
            name += "'"
        taken.add(name)
        yield name, inner


def _leaves(value: Plain, prefix: str) -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, f"{prefix}{key}.")
        elif inner is not None:
            yield prefix + key, inner


def error_of(row: Plain) -> str | None:
    """Why a block has no result, in one line."""
    from ctorrent.client import failure_words

    if row.get("failure"):
        return failure_words(row["failure"]) or None
    return row.get("words") or None if row["state"] in ("failed", "disputed") else None


class Survey:
    """The first pass."""

    def __init__(self) -> None:
        self.rows = 0
        self.states: dict[str, int] = {}
        self._params: dict[str, Column] = {}
        self._fields: dict[str, Column] = {}
        self._ours = {name: Column(name) for name in (*FIRST, *MIDDLE, *LAST)}
        self._ended = bytearray()
        self.whole = False  # too many fields: each result is one cell

    @property
    def done(self) -> int:
        """Blocks that have ended."""
        return self.rows - self.states.get("waiting", 0)

    def add(self, row: Plain) -> None:
        self.rows += 1
        self.states[row["state"]] = self.states.get(row["state"], 0) + 1
        self._ended += bytes(max(0, row["index"] + 1 - len(self._ended)))
        self._ended[row["index"]] = row["state"] in ENDED
        for name, value in row["params"].items():
            self._params.setdefault(name, Column(name)).add(value)
        for name, value in parts(row):
            if name in self._fields or len(self._fields) < FIELDS_MAX:
                self._fields.setdefault(name, Column(name)).add(value)
            else:
                self.whole = True
        for name, value in ours(row).items():
            if value is not None:
                self._ours[name].add(value)

    def as_seen(self, row: Plain) -> Plain:
        """A row of the second pass as the first one saw it."""
        index = row["index"]
        if row["state"] == "waiting" or (index < len(self._ended) and self._ended[index]):
            return row
        kept = {name: row[name] for name in ("index", "seed", "params")}
        return {**kept, "state": "waiting", "workers": [], "agreed": 0, "seconds": 0.0, "output": row.get("output")}

    def columns(self) -> list[Column]:
        """In order, under the names they are shown by."""
        for name, column in self._params.items():
            column.name = self.param_name(name)
        for name, column in self._fields.items():
            column.name = self.field_name(name)
        fields = [_any("value")] if self.whole else list(self._fields.values())
        ours = self._ours
        return [
            *(ours[name] for name in FIRST), *self._params.values(), *(ours[name] for name in MIDDLE), *fields,
            *(ours[name] for name in LAST),
        ]  # fmt: skip

    def results(self) -> list[Column]:
        """The columns of what blocks returned, without what they were given."""
        return [] if self.whole else list(self._fields.values())

    def param_name(self, name: str) -> str:
        return f"params.{name}" if name in OURS else name

    def field_name(self, name: str) -> str:
        return f"result.{name}" if name in OURS or name in self._params else name

    def cells(self, row: Plain) -> Plain:
        """Column name -> value, of one row; what a row does not have is left out."""
        found = {name: value for name, value in ours(row).items() if value is not None}
        found |= {self.param_name(name): value for name, value in row["params"].items()}
        if self.whole:
            return found | ({"value": row["value"]} if row.get("value") is not None else {})
        return found | {self.field_name(name): value for name, value in parts(row)}


def in_order(rows: Sequence[Plain], params: Sequence[str]) -> list[str]:
    """The columns of an answer that is a table, as a row has them: index, params, what blocks returned."""
    found = dict.fromkeys(key for row in rows for key in row)
    return list(dict.fromkeys(name for name in (*FIRST, *params, *found) if name in found))


def _any(name: str) -> Column:
    return Column(name, {"json": 1})


def ours(row: Plain) -> Plain:
    """The cells that every job's rows have."""
    ran = row["state"] in ("settled", "failed", "disputed")
    return {
        "index": row["index"], "seed": row["seed"], "state": row["state"], "error": error_of(row),
        "workers": " ".join(row["workers"]), "agreed": row["agreed"], "seconds": row["seconds"] if ran else None,
    }  # fmt: skip


def survey(rows: Iterable[Plain]) -> Survey:
    found = Survey()
    for row in rows:
        found.add(row)
    return found


def again(job: Job, seen: Survey) -> Iterator[Plain]:
    """The second pass: the same rows, as the first one saw them."""
    for row in job.rows():
        if row["index"] < len(seen._ended):
            yield seen.as_seen(row)
