"""The built-in reducers. Each takes blocks one by one in index order and then gives the answer.

    sum, mean      numbers, arrays, maps of them (whole numbers stay whole in a sum)
    concat         lists, text, bytes or arrays behind one another
    table          a list of rows {"index", each param, each field of the value}; a field named as a param is "result.NAME"
    best-by FIELD  the row with the greatest FIELD ("best-by -FIELD": the least); ties go to the lowest index, NaN never wins

Blocks without a value (failed, disputed) are left out by the caller, who reports them. Raises WorkError where values do
not fit: it is the program's doing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ctorrent import canon
from ctorrent.aggregate import fold
from ctorrent.errors import WorkError


class Reducer(Protocol):
    """Feed in index order, then ask once."""

    def add(self, index: int, params: dict[str, Any], value: Any) -> None: ...

    def answer(self) -> Any: ...


def is_built_in(spec: str) -> bool:
    """Is a manifest's `reduce` one of ours? Otherwise it is "python file.py:function", for a sandbox."""
    return spec.partition(" ")[0] in _MAKERS


def reducer(spec: str) -> Reducer:
    """The reducer a manifest names. ValueError when it is none of ours."""
    word, _, rest = spec.partition(" ")
    if word not in _MAKERS:
        raise ValueError(f"{spec!r} is no built-in reducer")
    return _MAKERS[word](rest.strip())


def reduce_blocks(spec: str, blocks: Iterable[tuple[int, bytes, bytes]]) -> bytes:
    """(index, params, value), the latter two in canonical bytes, in index order -> the answer in canonical bytes."""
    reducing = reducer(spec)
    last = -1
    arrays = "raw" if spec == "table" or spec.startswith("best-by") else "numpy"
    for index, params, value in blocks:
        if index <= last:
            raise ValueError(f"block {index} after block {last}: floats would add up differently")
        last = index
        reducing.add(index, canon.decode(params), canon.decode(value, arrays=arrays))
    try:
        return canon.encode(reducing.answer())
    except canon.CanonError as error:
        raise WorkError(f"reduce: {error}.", "Reduce by a function of your own.") from None


class _Sum:
    """Adds in index order, so that two nodes get the same floats."""

    def __init__(self, mean: bool) -> None:
        self._mean = mean
        self._count = 0
        self._total: Any = None

    def add(self, index: int, params: dict[str, Any], value: Any) -> None:
        total = self._total
        self._total = fold.add(total, value, "result", index) if self._count else fold.start(value, "result", index)
        self._count += 1

    def answer(self) -> Any:
        _some(self._count)
        return fold.divide(self._total, self._count) if self._mean else self._total


class _Concat:
    def __init__(self) -> None:
        self._parts: list[Any] = []
        self._indices: list[int] = []

    def add(self, index: int, params: dict[str, Any], value: Any) -> None:
        self._parts.append(value)
        self._indices.append(index)

    def answer(self) -> Any:
        _some(len(self._parts))
        return fold.join(self._parts, self._indices)


class _Table:
    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def add(self, index: int, params: dict[str, Any], value: Any) -> None:
        self._rows.append(row(index, params, value))

    def answer(self) -> Any:
        return self._rows


class _Best:
    def __init__(self, field: str) -> None:
        self._least = field.startswith("-")
        self._field = field.removeprefix("-").strip()
        self._best: dict[str, Any] | None = None
        self._figure = math.nan
        self._count = 0

    def add(self, index: int, params: dict[str, Any], value: Any) -> None:
        self._count += 1
        found = self._find(index, value)
        if math.isnan(found):
            return
        if self._best is None or (found < self._figure if self._least else found > self._figure):
            self._best, self._figure = row(index, params, value), found

    def answer(self) -> Any:
        _some(self._count)
        if self._best is None:
            raise WorkError(f"reduce: {self._field} is NaN in every block, so none is best.")
        return self._best

    def _find(self, index: int, value: Any) -> float:
        """The field's figure; dots reach into maps; "value" is the value itself where it is a number."""
        found = value
        if isinstance(value, dict):
            for part in [self._field] if self._field in value else self._field.split("."):
                found = found.get(part) if isinstance(found, dict) else None
        elif self._field != "value":
            found = None
        if isinstance(found, bool) or not isinstance(found, int | float):
            there = ", ".join(sorted(value)[:10]) if isinstance(value, dict) else f"only {fold.named(value)}: use best-by value"
            what = "is not there" if found is None else f"is {fold.named(found)}"
            raise WorkError(f"reduce: block {index}: the field {self._field} {what}.", f"There is {there}.")
        return found


def row(index: int, params: dict[str, Any], value: Any) -> dict[str, Any]:
    """One block as a flat map."""
    flat = {**params, "index": index}
    fields = value if isinstance(value, dict) else {"value": value}
    for name, field in fields.items():
        flat[f"result.{name}" if name in flat else name] = field
    return flat


def _some(count: int) -> None:
    if count == 0:
        raise WorkError("reduce: no block has a value.", "See the failures with `ctorrent results`.")


_MAKERS: dict[str, Callable[[str], Reducer]] = {
    "sum": lambda rest: _Sum(mean=False),
    "mean": lambda rest: _Sum(mean=True),
    "concat": lambda rest: _Concat(),
    "table": lambda rest: _Table(),
    "best-by": _Best,
}
