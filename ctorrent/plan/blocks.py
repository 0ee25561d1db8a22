"""From a job file to blocks: lazily, in order, the same for the same files.

A draft says which bytes of which file a block reads; the node puts those bytes into its store and gives their digests
back (`block`). So a file of any size is planned without being held in memory.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.model.block import Block, InputRef, block_seed
from ctorrent.model.call_record import PAYLOAD_NAME
from ctorrent.plan.block_fields import BLOCKS_MAX, REPEAT
from ctorrent.plan.folder import Folder, size_of
from ctorrent.plan.jobfile import JobFile
from ctorrent.plan.recorded import read_records
from ctorrent.plan.source import Count, Globs, Grid, Items, Records, Split

PARAMS_BYTES_MAX = 64 << 10  # sixteen blocks of the largest fit one frame; more belongs into an input
_WINDOW_BYTES = 1 << 20  # read at a time when a file is cut by lines
_LINE_BYTES_MAX = 64 << 20  # a "line" beyond this is a binary file


@dataclass(frozen=True, slots=True)
class Piece:
    """An input to be made: `head` and then size_bytes of a file from offset_bytes on."""

    name: str  # what the program sees
    path: str  # as Folder has it
    offset_bytes: int
    size_bytes: int
    head: bytes = b""  # a CSV header before every part but the first
    whole: bool = False  # the file just as it is: it may be stored without being read into memory

    def read(self, folder: Folder) -> bytes:
        """The input's bytes."""
        return self.head + folder.read(self.path, self.offset_bytes, self.size_bytes)


Part = tuple[dict[str, Any], tuple[Piece, ...]]  # params and inputs of a block


@dataclass(frozen=True, slots=True)
class Draft:
    """A block before its inputs have digests."""

    index: int
    params: bytes  # canonical map
    pieces: tuple[Piece, ...] = ()

    def block(self, job_seed: int, inputs: tuple[InputRef, ...] = ()) -> Block:
        """The block itself. inputs: one for each piece, in order."""
        if len(inputs) != len(self.pieces):
            raise ValueError(f"block {self.index} has {len(self.pieces)} inputs, not {len(inputs)}")
        return Block(self.index, block_seed(job_seed, self.index), self.params, inputs)


def draft_blocks(job: JobFile, folder: Folder) -> Iterator[Draft]:
    """Every block of a job, in order. Raises JobFileError for files that are missing, empty or cannot be cut."""
    parts: Iterator[Part]
    match job.source:
        case Count(count):
            parts = (({}, ()) for _ in range(count))
        case Items(items):
            parts = ((item if isinstance(item, dict) else {"item": item}, ()) for item in items)
        case Grid(axes):
            parts = ((dict(zip(axes, point, strict=True)), ()) for point in product(*axes.values()))
        case Globs(patterns):
            parts = _globbed(job, folder, patterns)
        case Split() as split:
            parts = _split(job, folder, split)
        case Records(file):
            parts = _recorded(job, folder, file)
    if isinstance(job.source, Records) and not job.params and not job.repeat:
        yield from _ready(job, folder, job.source.file)
        return
    for index, (params, pieces) in enumerate(_repeated(parts, job.repeat)):
        if index >= BLOCKS_MAX:
            raise job.wrong("blocks", f"makes more than {BLOCKS_MAX} blocks", "Let each block do more.")
        yield Draft(index, _encoded(job, index, {**job.params, **params}), pieces)


def _repeated(parts: Iterator[Part], times: int) -> Iterator[Part]:
    """Each part so often, one after the other, the param `repeat` telling the runs apart; 0: as it is."""
    if not times:
        return parts
    return (({**params, REPEAT: run}, pieces) for params, pieces in parts for run in range(times))


def _encoded(job: JobFile, index: int, params: dict[str, Any]) -> bytes:
    data = canon.encode(params)
    if len(data) > PARAMS_BYTES_MAX:
        raise job.wrong(
            "blocks",
            f"the parameters of block {index} take {len(data)} bytes: at most {PARAMS_BYTES_MAX}",
            "Make the parts smaller, or pass them as a file (as: file).",
        )
    return data


# Files ---------------------------------------------------------------------------------------------------------------


def _globbed(job: JobFile, folder: Folder, patterns: tuple[str, ...]) -> Iterator[Part]:
    found: dict[str, int] = {}
    for pattern in patterns:
        matches = folder.glob(pattern)
        if not matches:
            raise job.wrong("blocks", f"{pattern} matches no file")
        found.update(matches)
    for path in sorted(found):
        _check_inside(job, folder, path)
        yield {"file": path}, (Piece(_base(path), path, 0, found[path], whole=True),)


def _recorded(job: JobFile, folder: Folder, file: str) -> Iterator[Part]:
    for record in read_records(job, folder, file):
        yield record.params, (Piece(PAYLOAD_NAME, file, record.at, record.size),) if record.size else ()


def _ready(job: JobFile, folder: Folder, file: str) -> Iterator[Draft]:
    """Params that were canonical already, and get none of the job's own."""
    for index, record in enumerate(read_records(job, folder, file)):
        if index >= BLOCKS_MAX:
            raise job.wrong("blocks", f"makes more than {BLOCKS_MAX} blocks", "Let each block do more.")
        yield Draft(index, record.raw, (Piece(PAYLOAD_NAME, file, record.at, record.size),) if record.size else ())


def _check_inside(job: JobFile, folder: Folder, path: str) -> None:
    """A job got from somebody must not send what else its submitter has."""
    try:
        folder.inside(path)
    except LocalError as error:
        raise job.wrong("blocks", error.message, error.hint) from None


def _split(job: JobFile, folder: Folder, split: Split) -> Iterator[Part]:
    total = size_of(folder, split.file)
    if total is None:
        raise job.wrong("blocks", f"there is no file {split.file}")
    _check_inside(job, folder, split.file)
    if total == 0:
        raise job.wrong("blocks", f"{split.file} is empty")
    pieces = _byte_pieces(split, total) if split.by == "bytes" else _line_pieces(job, folder, split)
    if not split.as_params:
        return (({}, (piece,)) for piece in pieces)
    read = _rows if split.by == "csv" else _lines
    return ((read(job, split.file, piece.read(folder)), ()) for piece in pieces)


def _byte_pieces(split: Split, total: int) -> Iterator[Piece]:
    for at in range(0, total, split.size):
        yield Piece(_base(split.file), split.file, at, min(split.size, total - at))


def _line_pieces(job: JobFile, folder: Folder, split: Split) -> Iterator[Piece]:
    """Parts of `size` lines or rows each; a part of a CSV begins with the header."""
    ends = _record_ends(job, folder, split)
    name, start, head = _base(split.file), 0, b""
    if split.by == "csv":
        start = next(ends)
        head = folder.read(split.file, 0, start)
        if not head.endswith(b"\n"):
            raise job.wrong("blocks", f"{split.file} has a header and no rows")
    count = 0
    end = start
    for end in ends:
        count += 1
        if count == split.size:
            yield Piece(name, split.file, start, end - start, head)
            start, count = end, 0
    if count:
        yield Piece(name, split.file, start, end - start, head)
    elif head and end == len(head):
        raise job.wrong("blocks", f"{split.file} has a header and no rows")


def _record_ends(job: JobFile, folder: Folder, split: Split) -> Iterator[int]:
    """Offsets just behind each line; in CSV a line break inside quotes ends nothing."""
    at, quoted, pending = 0, False, 0
    while window := folder.read(split.file, at, _WINDOW_BYTES):
        begin = 0
        while (stop := window.find(b"\n", begin)) >= 0:
            quoted ^= split.by == "csv" and window.count(b'"', begin, stop) % 2 == 1
            begin = stop + 1
            if not quoted:
                yield at + begin
                pending = 0
        quoted ^= split.by == "csv" and window.count(b'"', begin) % 2 == 1
        pending += len(window) - begin
        at += len(window)
        if pending > _LINE_BYTES_MAX:
            raise job.wrong("blocks", f"{split.file} has a line of more than {_LINE_BYTES_MAX >> 20} MiB", "Use by: bytes.")
    if quoted:
        raise job.wrong("blocks", f"{split.file} ends inside a quoted field")
    if pending:
        yield at


def _lines(job: JobFile, path: str, data: bytes) -> dict[str, Any]:
    lines = _decoded(job, path, data).split("\n")
    if lines[-1] == "":
        lines.pop()
    return {"lines": [line.removesuffix("\r") for line in lines]}


def _rows(job: JobFile, path: str, data: bytes) -> dict[str, Any]:
    reader = csv.DictReader(io.StringIO(_decoded(job, path, data), newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise job.wrong("blocks", f"{path}: {error}") from None
    for row in rows:
        if None in row or None in row.values():
            raise job.wrong("blocks", f"{path}: a row has not as many fields as the header: {list(row.values())!r:.100}")
    return {"rows": [dict(row) for row in rows]}


def _decoded(job: JobFile, path: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8")
    except UnicodeDecodeError:
        raise job.wrong("blocks", f"{path} is not UTF-8 text", "Pass it as a file (as: file).") from None


def _base(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]
