"""A file of calls that the library wrote (model/call_record.py), read a window at a time.

A list of 10,000 items takes YAML half a minute, and this a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.model.call_record import HEAD, PARAMS_BYTES_MAX
from ctorrent.plan.folder import Folder, size_of
from ctorrent.plan.jobfile import JobFile

WINDOW_BYTES = 1 << 20  # read at a time


class Record(NamedTuple):
    params: dict[str, Any]
    raw: bytes  # the same, canonical
    at: int  # where the payload begins
    size: int  # its bytes


def read_records(job: JobFile, folder: Folder, path: str) -> Iterator[Record]:
    """Every record of a file. Raises JobFileError: there is none, it leads out of the folder, or it is something else."""
    total = size_of(folder, path)
    if total is None:
        raise job.wrong("blocks", f"there is no file {path}")
    try:
        folder.inside(path)
    except LocalError as error:
        raise job.wrong("blocks", error.message, error.hint) from None
    window, begins, at, number = b"", 0, 0, 0
    while at < total:
        if at - begins + HEAD.size + PARAMS_BYTES_MAX > len(window) and begins + len(window) < total:
            window, begins = folder.read(path, at, WINDOW_BYTES), at
        start = at - begins
        if len(window) - start < HEAD.size:
            raise _broken(job, path, number)
        size, payload = HEAD.unpack_from(window, start)
        raw = window[start + HEAD.size : start + HEAD.size + size]
        at += HEAD.size + size + payload
        if size > PARAMS_BYTES_MAX or len(raw) != size or at > total:
            raise _broken(job, path, number)
        yield Record(_params(job, path, number, raw), raw, at - payload, payload)
        number += 1


def _params(job: JobFile, path: str, number: int, raw: bytes) -> dict[str, Any]:
    try:
        params = canon.decode(raw)
    except canon.CanonError:
        raise _broken(job, path, number) from None
    if not isinstance(params, dict):
        raise _broken(job, path, number)
    return params


def _broken(job: JobFile, path: str, number: int) -> LocalError:
    return job.wrong("blocks", f"{path}: record {number} is not as the library writes them", "Lists of a person's own are items, or a file that is split.")
