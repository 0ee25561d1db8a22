"""Results as a NumPy archive (.npz) that numpy.load opens with allow_pickle=False: no member is ever an object.

    numbers            one array over all blocks; NaN where a block has none
    text, maps, mixed  one array of text; maps and mixed ones as JSON
    arrays, bytes      of one shape: stacked, (blocks, …), with NAME.index beside it where some blocks have none;
                       else one array for each block: NAME_00012
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ctorrent.cli import show
from ctorrent.cli.columns import Column, Survey
from ctorrent.cli.outputs import safe_part

if TYPE_CHECKING:
    from numpy.typing import NDArray

Plain = dict[str, Any]
TEXT_BYTES_MAX = 256 << 20  # of one array of text, 4 bytes a character at the longest one's width; longer ones go block by block
COPY_BYTES = 1 << 20


def write_npz(seen: Survey, rows: Iterable[Plain], file: IO[bytes], folder: Path) -> None:
    """folder: where stacked arrays are gathered meanwhile; on the disk that has to hold them anyway."""
    columns = seen.columns()
    names = _members(columns)
    with ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True))

        def spool() -> IO[bytes]:
            return stack.enter_context(tempfile.TemporaryFile(dir=folder))

        makers = {column.name: _maker(column, names[column.name], seen, archive, spool) for column in columns if column.kinds}
        for row in rows:
            cells = seen.cells(row)
            for name, maker in makers.items():
                maker.add(row["index"], cells.get(name))
        for maker in makers.values():
            maker.close()


def _members(columns: list[Column]) -> dict[str, str]:
    """Column name -> member's name: unzip makes files of them."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for column in columns:
        name = wanted = safe_part(column.name)
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{wanted}~{number}"
        taken.add(name.casefold())
        found[column.name] = name
    return found


def _maker(column: Column, name: str, seen: Survey, archive: zipfile.ZipFile, spool: Callable[[], IO[bytes]]) -> _Scalars | _Stack | _Each:
    if column.numbers:
        return _Scalars(column, name, archive, column.filled < seen.rows)
    if (column.only("array") or column.only("bytes")) and column.shape is not None:
        return _Stack(column, name, archive, column.filled < seen.rows, spool())
    if column.only("array") or column.only("bytes") or 4 * seen.rows * column.longest > TEXT_BYTES_MAX:
        return _Each(name, archive)
    return _Scalars(column, name, archive, False)


class _Scalars:
    """One array over all blocks: numbers, or text."""

    def __init__(self, column: Column, name: str, archive: zipfile.ZipFile, gaps: bool) -> None:
        self._name, self._archive, self._values = name, archive, []  # type: str, zipfile.ZipFile, list[Any]
        self._text = not column.numbers
        self._dtype = "U" if self._text else "<f8" if gaps else column.numbers

    def add(self, index: int, value: Any) -> None:
        if self._text:
            self._values.append(_text(value))
        else:
            self._values.append(float("nan") if value is None else value)

    def close(self) -> None:
        import numpy

        _put(self._archive, self._name, numpy.array(self._values, dtype=self._dtype))


class _Stack:
    """Equal arrays, one after the other in a file, as one."""

    def __init__(self, column: Column, name: str, archive: zipfile.ZipFile, gaps: bool, spool: IO[bytes]) -> None:
        self._name, self._archive, self._column, self._gaps = name, archive, column, gaps
        self._spool, self._indices = spool, []  # type: IO[bytes], list[int]

    def add(self, index: int, value: Any) -> None:
        if value is None:
            return
        self._indices.append(index)
        self._spool.write(_array(value, self._column.dtype).tobytes())

    def close(self) -> None:
        import numpy

        shape = (len(self._indices), *(self._column.shape or ()))
        self._spool.seek(0)
        with self._archive.open(f"{self._name}.npy", "w", force_zip64=True) as member:
            header = {"descr": self._column.dtype, "fortran_order": False, "shape": shape}
            numpy.lib.format.write_array_header_1_0(member, header)
            while part := self._spool.read(COPY_BYTES):
                member.write(part)
        if self._gaps:
            _put(self._archive, f"{self._name}.index", numpy.array(self._indices, dtype="<i8"))


class _Each:
    """One array for each block that has one."""

    def __init__(self, name: str, archive: zipfile.ZipFile) -> None:
        self._name, self._archive = name, archive

    def add(self, index: int, value: Any) -> None:
        import numpy

        if value is None:
            return
        array = numpy.array(value) if isinstance(value, str) else _array(value, "")
        _put(self._archive, f"{self._name}_{index:05d}", array)

    def close(self) -> None: ...


def _array(value: Any, dtype: str) -> NDArray[Any]:
    import numpy

    if isinstance(value, bytes):
        return numpy.frombuffer(value, dtype="|u1")
    found: NDArray[Any] = numpy.asarray(value.numpy() if hasattr(value, "numpy") else value, dtype=dtype or None)
    return found


def _text(value: Any) -> str:
    """numpy's text ends at its last character that is not NUL: nothing is lost but NULs at the end."""
    if value is None:
        return ""
    return value if isinstance(value, str) else show.as_json(value)


def _put(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    import numpy

    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        numpy.lib.format.write_array(member, array, allow_pickle=False)
