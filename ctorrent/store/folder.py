"""Files that appear whole or not at all, and the lock that keeps two nodes off one folder."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from ctorrent.errors import LocalError
from ctorrent.store.system import CLOSE_ON_EXEC, sync, try_lock

_HOLDER_WAIT_S = 1.0  # a node that is just ending; then it is another node, and a person waits for these words
_LEFTOVER_WAIT_S = 30.0  # the node is dead: what its writing process may need to fold 64 MB of log on a slow disk


def private_folder(path: Path) -> Path:
    """`path` as a directory, made with mode 0700 where it is missing. Raises LocalError when that cannot be."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(
            f"The folder {path} cannot be made: {error.strerror}.", "Name another with --data-dir."
        ) from error
    return path


def sync_folder(path: Path) -> None:
    """Make renames inside `path` survive a loss of power."""
    sync(path)


def write_new(path: Path, data: bytes, mode: int = 0o600) -> bool:
    """Make `path` with `data`, durably. -> False, nothing changed, when it exists already."""
    spare = _write_spare(path, data, mode)
    try:
        os.link(spare, path)  # unlike a rename, a link never replaces: of two starters one wins, the other is told
    except FileExistsError:
        return False
    finally:
        spare.unlink()
    sync_folder(path.parent)
    return True


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Make `path` hold `data`, durably: a reader sees the old file or the new one."""
    spare = _write_spare(path, data, mode)
    spare.replace(path)
    sync_folder(path.parent)


def _write_spare(path: Path, data: bytes, mode: int) -> Path:
    spare = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    handle = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | CLOSE_ON_EXEC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return spare


class FolderLock:
    """An exclusive lock that the kernel drops when this process ends, however it ends.

    Children that were handed `handle` hold it too: after a kill, the journal's writing process until it is done.
    """

    def __init__(self, path: Path) -> None:
        """Blocks while the writing process of a node that was killed ends. Raises LocalError, with the holder's pid."""
        self.handle = os.open(path, os.O_RDWR | os.O_CREAT | CLOSE_ON_EXEC, 0o600)
        try:
            self._take(path)
        except LocalError:
            self.release()
            raise
        os.ftruncate(self.handle, 0)
        os.lseek(self.handle, 0, os.SEEK_SET)
        os.write(self.handle, f"{os.getpid()}\n".encode())

    def _take(self, path: Path) -> None:
        began = time.monotonic()
        while True:
            try:
                if try_lock(self.handle):
                    return
            except OSError as error:
                raise _without_locks(path, error) from None
            holder = self._holder()
            if time.monotonic() - began > (_HOLDER_WAIT_S if _lives(holder) else _LEFTOVER_WAIT_S):
                raise _in_use(path, holder)
            time.sleep(0.01)

    def _holder(self) -> str:
        os.lseek(self.handle, 0, os.SEEK_SET)
        return os.read(self.handle, 32).decode("ascii", "replace").strip()

    def release(self) -> None:
        """Let others in. The file stays: removing it would let two processes lock two files of one name."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


def _without_locks(path: Path, error: OSError) -> LocalError:
    return LocalError(
        f"The folder {path.parent} cannot be locked: {error.strerror}.",
        "It may be on a network file system without locks: use a local disk.",
    )


def _in_use(path: Path, holder: str) -> LocalError:
    return LocalError(
        f"A node runs with the data folder {path.parent} already{f': process {holder}' if holder else ''}.",
        f"Ask it, or stop it: ctorrent status, ctorrent stop, each with --data-dir {path.parent} if that is not the usual one. Another node beside it has a folder of its own.",
    )


def _lives(pid: str) -> bool:
    """Is there a process of this number? (A killed one whose parent has not asked for its end counts.)"""
    import psutil  # and not os.kill(pid, 0): on Windows that is Ctrl-C for the whole console

    return pid.isdecimal() and bool(psutil.pid_exists(int(pid)))
