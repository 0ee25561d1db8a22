"""Where blocks come from, as a job file says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Count:
    """The same call `count` times, told apart by index and seed."""

    count: int


@dataclass(frozen=True, slots=True)
class Items:
    """One block per item: a map gives its keys as params, anything else the param `item`."""

    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Every combination, the last key fastest."""

    axes: Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Globs:
    """One block per file that matches: its bytes an input of the file's name, its path the param `file`."""

    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """One block per part of a file. by: "lines", "csv", "bytes"; size: lines, rows or bytes of a part.

    as_params: the part is the param `lines` (texts) or `rows` (maps by header) instead of an input.
    """

    file: str
    by: str
    size: int
    as_params: bool


@dataclass(frozen=True, slots=True)
class Records:
    """One block per record of a file that the library wrote (recorded.py)."""

    file: str


Source = Count | Items | Grid | Globs | Split | Records
