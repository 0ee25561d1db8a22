"""Rows as columns: a pandas DataFrame where pandas is installed, else a dict of lists. The one place that imports it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ctorrent.errors import LocalError
from ctorrent.library import inside
from ctorrent.library.job import decode_value, flat_row

Plain = dict[str, Any]
CELLS_SPARSE_MAX = 10_000_000  # of a table that is nearly empty: 80 MB of nothing
SPARSE = 20  # times the cells that hold something: a field's name is a worker's to choose, and a slip of a program's


def columns_of(rows: Iterable[Plain]) -> tuple[list[int], dict[str, list[Any]]]:
    """rows: {"index", "params": canonical bytes, "result"}. -> items' indexes, and a list of that length by column."""
    indexes: list[int] = []
    flat: list[Plain] = []
    for row in rows:
        indexes.append(row["index"])
        flat.append(_flat(row))
    return indexes, columns(flat)


def columns(flat: Sequence[Plain]) -> dict[str, list[Any]]:
    """Every row's value of each name, None where it has none. Raises LocalError where nearly all would be None."""
    names = dict.fromkeys(name for row in flat for name in row)
    cells = len(names) * len(flat)
    if cells > CELLS_SPARSE_MAX and cells > SPARSE * sum(map(len, flat)):
        raise LocalError(
            f"{len(flat):,} results have {len(names):,} different fields, of which each has a few: no table of theirs fits into memory.",
            'Give what differs as a value, such as {"name": …, "count": …}. .values(), or the rows, have the results as they are.',
        )
    return {name: [row.get(name) for row in flat] for name in names}


def _flat(row: Plain) -> Plain:
    params = decode_value(row["params"]) if row["params"] else {}
    params.pop(inside.PICKLED, None)
    if inside.POSITIONS in params:
        params["args"] = params.pop(inside.POSITIONS)
    result = row["result"]
    shown = {"index": 0, "state": "", "params": params}
    if isinstance(result, BaseException):
        found = flat_row({**shown, "value": None})
        found["error"] = f"{getattr(result, 'type', '') or type(result).__name__}: {getattr(result, 'message', result)}"
    elif isinstance(result, dict) and not all(isinstance(key, str) for key in result):
        found = {**flat_row({**shown, "value": None}), "value": result}
    else:
        found = flat_row({**shown, "value": result})
    for name in ("index", "state"):
        if name not in params:
            del found[name]
    return found


def frame(table: tuple[list[int], dict[str, list[Any]]]) -> Any:
    """A DataFrame indexed by item; the dict of columns where there is no pandas."""
    indexes, columns = table
    try:
        import pandas
    except ImportError:
        return columns
    return pandas.DataFrame(columns, index=indexes)
