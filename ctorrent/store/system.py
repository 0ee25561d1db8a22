"""What differs between systems where files are concerned: locks, owners, syncing. Chosen by what there is, not by name.

On POSIX a file says whose it is and who may read it. Windows keeps that in lists that Python does not show: there the
folder a user's programs get for their data is closed to other users by the system, and nothing more is checked.
"""

from __future__ import annotations

import errno
import os
import stat
from importlib.util import find_spec
from pathlib import Path

CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)  # where it is missing, files are not inherited unless asked for
_HELD = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
_FAR = 1 << 30  # a byte no lock file has: on Windows a locked byte cannot be read by others, and ours holds a pid


def try_lock(handle: int) -> bool:
    """Take the lock of an open file until it is closed, by us or by our death. -> False: another holds it. Raises OSError."""
    try:
        if find_spec("fcntl") is not None:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            _lock_far_byte(handle)
    except OSError as error:
        if error.errno not in _HELD:
            raise
        return False
    return True


def _lock_far_byte(handle: int) -> None:
    import msvcrt

    os.lseek(handle, _FAR, os.SEEK_SET)
    msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]  # Windows alone has it
    os.lseek(handle, 0, os.SEEK_SET)


def is_foreign(found: os.stat_result) -> bool:
    """Does this file or folder belong to another user?"""
    return hasattr(os, "geteuid") and found.st_uid != os.geteuid()


def others_may(found: os.stat_result, what: int) -> bool:
    """May group or others do `what` (bits of stat.S_IRWXG | stat.S_IRWXO)?"""
    return hasattr(os, "geteuid") and bool(found.st_mode & (stat.S_IRWXG | stat.S_IRWXO) & what)


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, survive a loss of power. Raises FileNotFoundError.

    Without O_DIRECTORY folders cannot be opened; NTFS writes names in order by itself.
    """
    folders = hasattr(os, "O_DIRECTORY")
    if not folders and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if folders else os.O_RDWR)  # Windows syncs only what could be written
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
