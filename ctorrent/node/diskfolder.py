"""plan.folder.Folder on this disk, below one folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from ctorrent.errors import LocalError
from ctorrent.plan.codemap import PARTS_MAX

_DEPTH_MAX = PARTS_MAX  # of folders in folders


class DiskFolder:
    """The folder of a job file. Names are what the system calls text; others are found by `below` and refused later."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._real = os.path.realpath(root)

    def size(self, path: str) -> int | None:
        found = self._root / path
        return found.stat().st_size if found.is_file() else None

    def read(self, path: str, offset: int = 0, size: int = -1) -> bytes:
        self.inside(path)
        try:
            with (self._root / path).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except OSError as error:
            raise LocalError(f"{self._root / path} cannot be read: {error.strerror}") from None

    def glob(self, pattern: str) -> list[tuple[str, int]]:
        if pattern.startswith("/"):
            raise LocalError(f"{pattern} is absolute", "Patterns are relative to the job file's folder.")
        return [(p.relative_to(self._root).as_posix(), p.stat().st_size) for p in self._root.glob(pattern) if p.is_file()]

    def path(self, path: str) -> str:
        self.inside(path)
        return str(self._root / path)

    def inside(self, path: str) -> int:
        real = os.path.realpath(self._root / path)
        if not _is_below(self._real, real):
            raise LocalError(
                f"{path} leads out of the job's folder, to {real}", "Copy it in, or name other files: who wrote the job may not be who submits it."
            )
        try:
            return Path(real).stat().st_size
        except OSError as error:
            raise LocalError(f"{path} cannot be read: {error.strerror}") from None

    def below(self, path: str, skipped: Collection[str]) -> Iterator[tuple[str, int]]:
        top = "" if path == "." else path
        if (self._root / top).is_dir():
            self.inside(top or ".")
            yield from self._walk(top, skipped, ())

    def _walk(self, top: str, skipped: Collection[str], above: tuple[str, ...]) -> Iterator[tuple[str, int]]:
        """Entries in the order of their names, so that the first thing wrong is the same each time. above: real folders."""
        real = os.path.realpath(self._root / top)
        if real in above:
            raise LocalError(f"{top[:200]} is a link to a folder that it is in", "Remove it, or list the others by name.")
        if len(above) >= _DEPTH_MAX:
            raise LocalError(f"{top[:60]}… has more than {_DEPTH_MAX} folders in one another", "Put them into an archive.")
        for entry in self._entries(top, skipped):
            name = f"{top}/{entry.name}" if top else entry.name
            if entry.is_symlink():
                self.inside(name)
            if entry.is_dir():
                yield from self._walk(name, skipped, (*above, real))
            elif entry.is_file():
                yield name, entry.stat().st_size
            elif entry.is_symlink():
                raise LocalError(f"{name} is a link to nothing", "Remove it, or list the others by name.")

    def _entries(self, top: str, skipped: Collection[str]) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._root / top) as found:
                return sorted((one for one in found if one.name not in skipped), key=lambda one: one.name)
        except OSError as error:
            raise LocalError(f"the folder {top or '.'} cannot be read: {error.strerror}") from None


def _is_below(top: str, path: str) -> bool:
    """Of real paths."""
    try:
        return os.path.commonpath((top, path)) == top
    except ValueError:  # on another drive
        return False
