"""All that a node and its sandboxes put on a machine, and its removal. Works with files alone, while no node runs.

Only names that a node makes are touched, and only in a folder that holds a node's key or journal: whatever else somebody
keeps there stays, and is said. Links are taken away, never followed.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ctorrent.door import (
    CONSENT,
    HTTP_ADDRESS,
    HTTP_CERTIFICATE,
    HTTP_ENDED,
    HTTP_JOBS,
    HTTP_OPEN,
    HTTP_TOKEN,
    HTTP_UPLOADS,
    LOOPBACK,
    NOTICE,
    POINTER,
    SOCKET,
    Plain,
)
from ctorrent.errors import LocalError
from ctorrent.node.settings import OWNER_NAME
from ctorrent.sandbox import tidy
from ctorrent.store import inuse, keys, schema

_HEX = "[0-9a-f]"
_SPARE = 12 * _HEX  # what store/folder.py adds to the name of a file that it has not finished
_MADE_UP = 8 * "[a-z0-9_]"  # what tempfile does
# The journal, one that is being made, and copies from before a migration or a repair.
_JOURNALS = ("", ".new", ".v[0-9]", ".v[0-9][0-9]", ".damaged-[0-9]", ".damaged-[0-9][0-9]")
_HTTP = (HTTP_TOKEN, HTTP_CERTIFICATE, HTTP_ADDRESS, HTTP_OPEN, HTTP_ENDED)
KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (  # what it is, and the names it has in the data folder
    ("jobs, results and ledger", (
        "journal.sqlite.lock", NOTICE, *(f"journal.sqlite{which}{part}" for which in _JOURNALS for part in ("", "-wal", "-shm", "-journal"))
    )),
    ("blobs: inputs, outputs, code", ("blobs",)),
    ("environments", ("environments",)),
    ("cells and what runs in them", ("cells", "inside", f"probe-{_MADE_UP}", f"trial-{_MADE_UP}")),
    ("logs", ("logs", "embedded.log")),
    ("settings", ("settings.toml", OWNER_NAME, CONSENT, "hardware.json")),
    ("the control channel", ("control.lock", SOCKET, POINTER, LOOPBACK)),
    ("the page and the HTTP API", (*_HTTP, HTTP_UPLOADS, HTTP_JOBS)),
    ("trainings and their models", ("trainings",)),  # workloads/desk.py
    ("half-written files", tuple(
        f".{name}.{_SPARE}" for name in ("settings.toml", OWNER_NAME, CONSENT, NOTICE, keys.NODE_KEY_NAME, LOOPBACK, *_HTTP)
    ) + tuple(f".hardware.json.{digits * '[0-9]'}" for digits in range(1, 8))),
)  # fmt: skip
OWNER_NAMES = (keys.OWNER_KEY_NAME, f"{keys.OWNER_KEY_NAME}.old-{8 * _HEX}", f".{keys.OWNER_KEY_NAME}.{_SPARE}")


def survey(data_dir: Path, owner_dir: Path, identity: bool) -> list[Plain]:
    """What would be removed: {"what", "paths", "bytes", "kept"}. Raises LocalError for a folder in use, or not ours."""
    refuse(data_dir)
    rows = []
    for what, names in KINDS:
        paths = _named(data_dir, names)
        if paths:
            rows.append(_row(what, paths))
    key = _named(data_dir, (keys.NODE_KEY_NAME,))
    owner = _named(owner_dir, OWNER_NAMES)
    rows += [{**_row(what, paths), "kept": not identity} for what, paths in (("node key", key), ("owner key", owner)) if paths]
    rows += [
        {"what": left.what, "paths": list(left.names), "bytes": left.size_bytes, "kept": False}
        for left in tidy.everything(data_dir, dry_run=True) if left.names
    ]  # fmt: skip
    return rows


def remove(data_dir: Path, owner_dir: Path, identity: bool) -> list[str]:
    """Remove all of it. -> what others keep in the data folder, which stays. Raises LocalError as survey(), or of the disk."""
    refuse(data_dir)
    tidy.everything(data_dir, dry_run=False)
    doomed = [path for _, names in KINDS for path in _named(data_dir, names)]
    if identity:
        doomed += _named(data_dir, (keys.NODE_KEY_NAME,)) + _named(owner_dir, OWNER_NAMES)
    for path in doomed:
        _remove(path)
    for folder in (data_dir, owner_dir):
        if identity and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    kept = {keys.NODE_KEY_NAME}
    return sorted(path.name for path in data_dir.iterdir() if path.name not in kept) if data_dir.is_dir() else []


def refuse(data_dir: Path) -> None:
    """Raises LocalError when there is nothing of ours, or a node runs."""
    if not data_dir.is_dir():
        raise LocalError(f"There is no data folder {data_dir}.", "Name another with --data-dir, if there is one.")
    if not is_ours(data_dir):
        raise LocalError(f"{data_dir} is no node's data folder: nothing was removed.", "It has neither a node's key nor its journal.")
    if holder := inuse.holder(data_dir):
        raise LocalError(f"A node runs with {data_dir} (process {holder}): nothing was removed.", "Stop it first: ctorrent stop")


def is_ours(data_dir: Path) -> bool:
    """Does it hold a node's key, or a journal of this program?"""
    return _begins(data_dir / keys.NODE_KEY_NAME, lambda head: head.startswith(b"ctorrent-key ")) or _begins(
        data_dir / "journal.sqlite", lambda head: head[68:72] == schema.APPLICATION_ID.to_bytes(4, "big")
    )


def _begins(path: Path, right: Callable[[bytes], bool]) -> bool:
    try:
        with path.open("rb") as file:
            return right(file.read(100))
    except OSError:
        return False


def _named(folder: Path, names: tuple[str, ...]) -> list[Path]:
    return sorted({path for name in names for path in folder.glob(name)}) if folder.is_dir() else []


def _row(what: str, paths: list[Path]) -> Plain:
    return {"what": what, "paths": [str(path) for path in paths], "bytes": sum(map(_bytes, paths)), "kept": False}


def _bytes(path: Path) -> int:
    if path.is_symlink():
        return 0
    return tidy.folder_bytes(path) if path.is_dir() else path.stat().st_size


def _remove(path: Path) -> None:
    """A file, a link, or a folder with all that is in it. Raises LocalError with what the disk says."""
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            for folder in _closed(path):
                folder.chmod(0o700)
            shutil.rmtree(path)
    except OSError as error:
        raise LocalError(f"{error.filename or path} cannot be removed: {error.strerror}.", "Remove it by hand, and uninstall again.") from None


def _closed(path: Path) -> Iterator[Path]:
    """Folders that their owner may not write to, outermost first, so that those within can be read once it is open."""
    for entry in [path, *path.rglob("*")]:
        about: Any = entry.lstat()
        if stat.S_ISDIR(about.st_mode) and about.st_mode & 0o700 != 0o700:
            yield entry
