"""`outputs:` at plan time: every block's file has a name, and no two blocks the same one."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from ctorrent import canon
from ctorrent.errors import JobFileError
from ctorrent.model.block import block_seed
from ctorrent.model.output_name import output_name
from ctorrent.plan.blocks import Draft
from ctorrent.plan.jobfile import JobFile
from ctorrent.plan.source import Globs

_FILE = 1  # what a path is: a block's file, or a folder that blocks' files lie in
_FOLDER = 2


class OutputNames:
    """The names given so far. Feed it every block of a job, in order."""

    def __init__(self, job: JobFile) -> None:
        self._job = job
        self._taken: dict[str, tuple[int, int, str]] = {}  # as a file system sees it -> what, block, as it is written
        self._folders: set[str] = set()  # as written, taken already

    def add_draft(self, draft: Draft, job_seed: int) -> None:
        """The name of a block that is planned. Raises JobFileError as `add`."""
        if self._job.outputs:
            name = draft.pieces[0].name if draft.pieces else ""
            self.add(draft.index, block_seed(job_seed, draft.index), canon.decode(draft.params), name)

    def add(self, index: int, seed: int, params: Mapping[str, Any], input_name: str = "") -> str:
        """This block's name. Raises JobFileError: it has none, or another block's file is in its way."""
        job = self._job
        if not job.outputs:
            return ""
        try:
            name = output_name(job.outputs, index, seed, dict(params), input_name)
        except ValueError as error:
            raise job.wrong("outputs", f"{job.outputs!r:.100} {error} (block {index})") from None
        folder = name.rpartition("/")[0]
        while folder and folder not in self._folders:
            self._take(folder, _FOLDER, index)
            self._folders.add(folder)
            folder = folder.rpartition("/")[0]
        self._take(name, _FILE, index)
        return name

    def _take(self, path: str, what: int, index: int) -> None:
        there = self._taken.setdefault(_folded(path), (what, index, path))
        if there[:2] == (what, index) or there[0] == what == _FOLDER:
            return
        raise self._clash(path, what, index, there)

    def _clash(self, path: str, what: int, index: int, there: tuple[int, int, str]) -> JobFileError:
        first, second = there[1], index
        if what != there[0]:
            file, folder = (first, second) if what == _FOLDER else (second, first)
            words = f"block {file} would be called {path}, which is the folder of what block {folder} makes"
        elif there[2] != path:
            words = f"blocks {first} and {second} get names that differ only in capitals, {there[2]} and {path}: some systems cannot hold both"
        else:
            words = f"blocks {first} and {second} would both be called {path}"
        return self._job.wrong("outputs", words, self._way_out())

    def _way_out(self) -> str:
        job = self._job
        if job.repeat and "{repeat" not in job.outputs and "{index" not in job.outputs:
            return 'Add {repeat}, such as "{stem}-{repeat}.mp4", or {index}.'
        if isinstance(job.source, Globs):
            return "Add {index}, or use {file}, the whole path of the input."
        return "Add {index}, or the params that tell the blocks apart."


def _folded(path: str) -> str:
    """As file systems compare names that tell neither capitals nor ways to write an é apart."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
