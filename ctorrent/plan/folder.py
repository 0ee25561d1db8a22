"""How the planner sees the files beside a job file. The node implements it on a disk, tests on a dict."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

_NAME_BYTES_MAX, _PATH_CHARS_MAX = 255, 4000  # what file systems take; asking for more is an error of its own


class Folder(Protocol):
    """Paths are as written in the job file, with forward slashes, relative to its folder."""

    def size(self, path: str) -> int | None:
        """Bytes of a regular file; None when there is none."""

    def read(self, path: str, offset: int = 0, size: int = -1) -> bytes:
        """A part of a file, or all of it. Raises errors.LocalError when it cannot be read, or is not inside."""

    def inside(self, path: str) -> int:
        """As size, of a file that is there. Raises errors.LocalError where it leads out of the folder, by a link or by ".."."""

    def below(self, path: str, skipped: Collection[str]) -> Iterable[tuple[str, int]]:
        """(path, bytes) of every regular file below a folder ("." is the folder itself), but for what is called so.

        Links are followed inside the folder. Raises errors.LocalError: one leads out of it, or something cannot be read.
        """

    def glob(self, pattern: str) -> list[tuple[str, int]]:
        """(path, bytes) of the regular files that match, any order; `**` matches folders of any depth."""


def is_path(path: str) -> bool:
    """Could a file system have it? The word of a command may be a whole script."""
    return (
        0 < len(path) <= _PATH_CHARS_MAX
        and path.isprintable()
        and all(len(part.encode()) <= _NAME_BYTES_MAX for part in path.split("/"))
    )


def is_inside(path: str) -> bool:
    """Is it relative, and does it stay in the folder?"""
    return is_path(path) and "\\" not in path and not {"", "..", "."} & set(path.split("/"))


def is_pattern(pattern: str) -> bool:
    """A glob inside the folder; `**` stands alone between slashes."""
    return is_inside(pattern) and all(part == "**" or "**" not in part for part in pattern.split("/"))


def size_of(folder: Folder, path: str) -> int | None:
    """Folder.size, without asking for what cannot be."""
    return folder.size(path) if is_path(path) else None
