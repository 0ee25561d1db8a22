"""Rows of a damaged SQLite file, page by page, whatever its tree looks like. Bytes in, rows out.

The table `records` has no row ids, so its rows lie whole in the cells of index pages (kinds 2 and 10), interior ones
too; what does not fit a page goes on in overflow pages. A row may be found more than once, and so may older versions of
it and rows that were deleted: pages are not wiped. Source: https://www.sqlite.org/fileformat2.html, sections 1.5-1.6, 2.1, 4.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HEADER = b"SQLite format 3\0"
INTERIOR, LEAF = 2, 10
ROW_BYTES_MAX = (16 << 20) + 4096  # a record's limit, and its space and key

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One page's bytes; `number` counts from 1."""

    number: int
    body: bytes


def page_size(header: bytes) -> int:
    """Of a database file; 4096, as this program makes them, where the header is no help."""
    size = int.from_bytes(header[16:18], "big")
    size = 65536 if size == 1 else size
    return size if header.startswith(HEADER) and size >= 512 and size & (size - 1) == 0 else 4096


def log_pages(log: bytes, size: int) -> Iterator[Page]:
    """Pages of a write-ahead log, in the order they were written."""
    frame = 24 + size
    for start in range(32, len(log) - frame + 1, frame):
        yield Page(int.from_bytes(log[start : start + 4], "big"), log[start + 24 : start + frame])


def rows(page: Page, other: Callable[[int], bytes | None], size: int) -> Iterator[Row]:
    """Rows in the cells of one page. other: the bytes of a page by its number, None where there is none."""
    at = 100 if page.number == 1 else 0
    body = page.body
    if len(body) != size or body[at] not in (INTERIOR, LEAF):
        return
    interior = body[at] == INTERIOR
    first = at + (12 if interior else 8)
    for cell in range(int.from_bytes(body[at + 3 : at + 5], "big")):
        pointer = body[first + 2 * cell : first + 2 * cell + 2]
        start = int.from_bytes(pointer, "big") + (4 if interior else 0)
        if len(pointer) < 2 or start >= size:
            continue
        try:
            yield _record(_payload(body, start, other, size))
        except (IndexError, ValueError, struct.error):  # a damaged cell: the next may be whole
            continue


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for step in range(9):
        byte = data[at + step]
        if step == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + step + 1
    raise ValueError


def _payload(body: bytes, at: int, other: Callable[[int], bytes | None], size: int) -> bytes:
    length, at = _varint(body, at)
    if length > ROW_BYTES_MAX:
        raise ValueError
    most, least = (size - 12) * 64 // 255 - 23, (size - 12) * 32 // 255 - 23
    local = length
    if length > most:
        local = least + (length - least) % (size - 4)
        local = local if local <= most else least
    found = body[at : at + local]
    onward = int.from_bytes(body[at + local : at + local + 4], "big") if length > most else 0
    while onward and len(found) < length:
        beyond = other(onward)
        if beyond is None:
            raise ValueError
        found += beyond[4 : 4 + length - len(found)]
        onward = int.from_bytes(beyond[:4], "big")
    if len(found) != length:
        raise ValueError
    return found


def _record(payload: bytes) -> Row:
    """Text and bytes of a record; a column of another type is None."""
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[object] = []
    at = end
    for kind in kinds:
        length = (kind - 12) // 2 if kind >= 12 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind]
        part = payload[at : at + length]
        values.append(None if kind < 12 else part if kind % 2 == 0 else part.decode())
        at += length
    return tuple(values)
