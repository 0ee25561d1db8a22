"""How the planner sees the files beside a job file. The node implements it on a disk, tests on a dict."""

from __future__ import annotations

from typing import Protocol


class Folder(Protocol):
    """Paths are as written in the job file, with forward slashes, relative to its folder."""

    def size(self, path: str) -> int | None:
        """Bytes of a regular file; None when there is none."""

    def read(self, path: str, offset: int = 0, size: int = -1) -> bytes:
        """A part of a file, or all of it. Raises errors.LocalError when it cannot be read."""

    def glob(self, pattern: str) -> list[tuple[str, int]]:
        """(path, bytes) of the regular files that match, any order; `**` matches folders of any depth."""
