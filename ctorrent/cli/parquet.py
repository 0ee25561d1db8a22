"""Results as Parquet, in groups of rows. pyarrow is an extra: pip install pyarrow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any

from ctorrent.cli import show
from ctorrent.cli.columns import Column, Survey

Plain = dict[str, Any]
GROUP_ROWS = 4096
GROUP_BYTES = 64 << 20  # of large values: a group is in memory until it is written


def write_parquet(seen: Survey, rows: Iterable[Plain], file: IO[bytes]) -> None:
    """Numbers, text, bytes and lists (of lists) as what they are; maps and mixed columns as JSON."""
    import pyarrow
    from pyarrow import parquet

    columns = seen.columns()
    schema = pyarrow.schema([pyarrow.field(column.name, _type(column)) for column in columns])
    group: list[Plain] = []
    size = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for row in rows:
            cells = seen.cells(row)
            found = {column.name: _cell(column, cells.get(column.name)) for column in columns}
            group.append(found)
            size += sum(_size(value) for value in found.values())
            if len(group) >= GROUP_ROWS or size >= GROUP_BYTES:
                writer.write_table(pyarrow.Table.from_pylist(group, schema))
                group, size = [], 0
        writer.write_table(pyarrow.Table.from_pylist(group, schema))


def _type(column: Column) -> Any:
    import pyarrow

    if column.numbers:
        return pyarrow.from_numpy_dtype(column.numbers)
    if column.only("bytes"):
        return pyarrow.large_binary()
    if _is_list(column):
        inner = pyarrow.from_numpy_dtype(column.dtype)
        for _ in column.shape or (0,):
            inner = pyarrow.large_list(inner)
        return inner
    return pyarrow.string()


def _is_list(column: Column) -> bool:
    """Arrays of one shape that Parquet has a type for."""
    return column.only("array") and column.shape not in (None, ()) and column.dtype[1] in "biuf" and column.dtype != "<f2"


def _cell(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.numbers:
        return float(value) if column.numbers == "<f8" else value
    if column.only("bytes"):
        return value
    if _is_list(column):
        value = value.numpy() if hasattr(value, "numpy") else value
        return value.tolist() if hasattr(value, "tolist") else value
    return value if isinstance(value, str) else show.as_json(value)


def _size(value: Any) -> int:
    """Bytes in memory, about."""
    if isinstance(value, bytes | str):
        return len(value)
    if isinstance(value, list):
        return 32 * len(value) * (len(value[0]) if value and isinstance(value[0], list) else 1)
    return 8
