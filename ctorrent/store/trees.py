"""A job's files as a folder that a sandbox is shown: hard links to blobs, so that 2 GiB are laid out in no time.

    <blobs>/trees/<digest>/…     folders 0755, files 0444; emptied at start

A link shares its inode with the blob. Whoever shows a tree to foreign code must do so read-only: a read-only mount
(which refuses chmod as well as writing), or Landlock with a filter that refuses chmod.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from ctorrent.errors import LocalError
from ctorrent.store import files


def lay_out(target: Path, small: Mapping[str, bytes], large: Mapping[str, Path]) -> None:
    """Make the folder with these bytes and these files of blobs, whole or not at all. Whoever read the paths checked them.

    Raises LocalError when the disk refuses.
    """
    fresh = target.with_name(f"{target.name}.new")
    remove(fresh)
    try:
        fresh.mkdir(parents=True)
        fresh.chmod(0o755)  # whatever the umask: a sandbox looks in under another user
        made = {""}
        for path in (*small, *large):
            _folder(fresh, path.rpartition("/")[0], made)
        for path, data in small.items():
            files.write(fresh / path, data, durable=False)
            (fresh / path).chmod(0o444)
        for path, blob in large.items():
            _link(blob, fresh / path)
        fresh.rename(target)
    except OSError as error:
        remove(fresh)
        raise LocalError(f"The job's files cannot be laid out: {error.strerror}.", "Make room on the disk, or check it.") from error


def laid_bytes(small: Mapping[str, bytes], large: Collection[str], least_bytes: int) -> int:
    """What a folder of these takes, beside the blobs: each file, link and folder at least so much."""
    made: set[str] = set()
    for path in (*small, *large):
        while (path := path.rpartition("/")[0]) and path not in made:
            made.add(path)
    return (1 + len(made) + len(large)) * least_bytes + sum(max(len(data), least_bytes) for data in small.values())


def remove(target: Path) -> None:
    """The blobs that it linked to stay. Raises LocalError when something of it does, and then nobody finds that by its name."""
    try:
        if os.path.lexists(target):
            shutil.rmtree(target.rename(target.with_name(f"{target.name}.{secrets.token_hex(4)}.old")))
    except OSError as error:
        raise LocalError(
            f"Files of a job that ended are left in {target.parent}: {error.strerror}.", "Remove them while no node runs there, or check the disk."
        ) from error


def _folder(root: Path, path: str, made: set[str]) -> None:
    if path in made:
        return
    _folder(root, path.rpartition("/")[0], made)
    (root / path).mkdir()
    (root / path).chmod(0o755)
    made.add(path)


def _link(blob: Path, target: Path) -> None:
    try:
        os.link(blob, target)  # with its mode
    except OSError:  # a file system without links, or with no more of them for this file
        files.copy_in(blob, target, durable=False)
        target.chmod(0o444)
