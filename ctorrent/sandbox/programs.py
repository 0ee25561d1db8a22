"""Programs of this system that `command` jobs may use: the usual text tools, and what the owner allows by name.

They are looked up each time: a program that was installed a moment ago is there.
"""

from __future__ import annotations

import os
import shutil
from functools import lru_cache
from pathlib import Path

PATH = ("/usr/local/bin", "/usr/bin", "/bin")  # what a sandbox searches
TEXT_TOOLS = (
    "awk", "basename", "bash", "bc", "bzip2", "cat", "cmp", "comm", "cp", "csplit", "cut", "date", "dd", "diff", "dirname", "du",
    "echo", "egrep", "env", "expand", "expr", "factor", "false", "fgrep", "find", "fmt", "fold", "gawk", "grep", "gunzip", "gzip",
    "head", "iconv", "join", "ln", "ls", "mawk", "md5sum", "mkdir", "mktemp", "mv", "nl", "nproc", "numfmt", "od", "paste", "pr",
    "printf", "pwd", "python", "python3", "readlink", "realpath", "rev", "rm", "rmdir", "sed", "seq", "sh", "sha1sum", "sha256sum",
    "sha512sum", "shuf", "sleep", "sort", "split", "stat", "strings", "sum", "tac", "tail", "tar", "tee", "test", "timeout", "touch",
    "tr", "true", "truncate", "tsort", "uname", "unexpand", "uniq", "unxz", "wc", "xargs", "xz", "yes", "zcat", "zgrep", "zstd",
)  # fmt: skip - they read, write and sort text and files, and every system has most of them
_OURS = ("python", "python3")  # brought along, whatever the system has


class Programs:
    """What one node offers. allowed: names, of the owner's choosing."""

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        self._names = tuple(sorted({*TEXT_TOOLS, *allowed}))

    def offered(self) -> tuple[str, ...]:
        """Of the text tools and of what is allowed, those that are here."""
        return _offered(self._names, tuple(_changed(folder) for folder in PATH))

    def withheld(self) -> frozenset[str]:
        """All that is here and not offered."""
        return _withheld(self._names, tuple(_changed(folder) for folder in PATH))


def find(name: str) -> str | None:
    """Where a sandbox on this machine finds a program."""
    return shutil.which(name, path=":".join(PATH))


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - a hundred times a second
    except OSError:
        return 0


# An offer says both several times a second: the path is read again when one of its folders changed.


@lru_cache(maxsize=4)
def _offered(names: tuple[str, ...], changed: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name in _OURS or find(name))


@lru_cache(maxsize=4)
def _withheld(names: tuple[str, ...], changed: tuple[int, ...]) -> frozenset[str]:
    return frozenset(path.name for folder in PATH for path in Path(folder).glob("*")) - frozenset(names)
