"""Where the control channel listens: one lock, one socket, and a pointer where the socket's path is too long.

Where there are no unix sockets: a port of 127.0.0.1, in a file of this user's with the secret that both sides prove.

The lock dies with its process, so whoever holds it may replace what a killed node left behind.
"""

from __future__ import annotations

import os
import pathlib
import re
import secrets
import socket
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass

from ctorrent.door import LOOPBACK, POINTER, SOCKET
from ctorrent.errors import LocalError
from ctorrent.store import folder as files
from ctorrent.store.system import CLOSE_ON_EXEC, is_foreign, others_may, try_lock

PATH_BYTES_MAX = 100  # sun_path holds 108 bytes on Linux and 104 on macOS, the final zero included
SECRET_BYTES = 32
BACKLOG = 32  # connections that wait while the node is busy; a browser opens six at once
UNIX_SOCKETS = hasattr(socket, "AF_UNIX")
_PREFIX = "ctorrent-"
_MADE = re.compile(_PREFIX + "[a-z0-9_]{8}")  # as tempfile.mkdtemp names them


@dataclass(frozen=True, slots=True)
class Place:
    """A claimed place. release() leaves nothing but the lock file, which is empty."""

    listening: socket.socket
    socket: pathlib.Path
    pointer: pathlib.Path
    lock: int
    secret: bytes = b""  # empty: the kernel says who connects

    def release(self) -> None:
        self.listening.close()
        _remove_pointed(self.pointer)
        self.socket.unlink(missing_ok=True)
        os.close(self.lock)


def claim(path: pathlib.Path) -> Place:
    """Listen at `path`, in a folder that is ours alone.

    Raises LocalError when another node holds the folder, or others may write to it.
    """
    folder = path.parent
    _make_private(folder)
    lock = _lock(folder)
    try:
        pointer = folder / POINTER
        path.unlink(missing_ok=True)
        (folder / LOOPBACK).unlink(missing_ok=True)
        _remove_pointed(pointer)
        if not UNIX_SOCKETS:
            return _at_port(folder, lock)
        if len(os.fsencode(path)) > PATH_BYTES_MAX:
            return _elsewhere(pointer, path.name, lock)
        return Place(_listen(path), path, pointer, lock)
    except BaseException:
        os.close(lock)
        raise


def _make_private(folder: pathlib.Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if is_foreign(found):
        raise LocalError(f"The data folder {folder} belongs to another user.", "Choose one of yours with --data-dir.")
    if others_may(found, stat.S_IWGRP | stat.S_IWOTH):
        raise LocalError(f"Others may write to the data folder {folder}.", f"Close it to them: chmod 700 {folder}")
    if others_may(found, 0o077):
        folder.chmod(0o700)


def _lock(folder: pathlib.Path) -> int:
    """Hold `folder` until the descriptor is closed, by us or by our death."""
    lock = os.open(folder / "control.lock", os.O_RDWR | os.O_CREAT | CLOSE_ON_EXEC, 0o600)
    if try_lock(lock):
        return lock
    os.close(lock)
    raise LocalError(
        f"A node runs with the data folder {folder} already.",
        "Talk to it (ctorrent status), stop it, or give this one its own --data-dir.",
    )


def _at_port(folder: pathlib.Path, lock: int) -> Place:
    """Any free port of this machine's own; the file appears whole, and after the port listens."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    secret = secrets.token_bytes(SECRET_BYTES)
    path = folder / LOOPBACK
    files.replace(path, f"{listening.getsockname()[1]} {secret.hex()}\n".encode())
    return Place(listening, path, folder / POINTER, lock, secret)


def _listen(where: pathlib.Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(os.fspath(where))
        where.chmod(0o600)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise LocalError(f"The control socket {where} cannot be made: {error.strerror}.") from None
    return listening


def _elsewhere(pointer: pathlib.Path, name: str, lock: int) -> Place:
    """A short path in a folder of ours, noted in `pointer` once it listens."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    short = runtime and len(os.fsencode(runtime)) <= PATH_BYTES_MAX - 40 and os.access(runtime, os.W_OK)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=_PREFIX, dir=runtime if short else "/tmp"))
    try:
        listening = _listen(folder / name)
    except LocalError:
        folder.rmdir()
        raise
    pointer.write_bytes(os.fsencode(folder / name))
    return Place(listening, folder / name, pointer, lock)


def _remove_pointed(pointer: pathlib.Path) -> None:
    """Take away a pointer, and the socket it names with its folder if a node made them. Whatever else lies there stays."""
    if not pointer.exists():
        return
    where = pathlib.Path(os.fsdecode(pointer.read_bytes()))
    with suppress(OSError, ValueError):  # gone, not ours to remove, not empty, or no name at all
        if _is_made(where):
            where.unlink()
            where.parent.rmdir()
    pointer.unlink(missing_ok=True)


def _is_made(where: pathlib.Path) -> bool:
    """A socket of ours, in a folder that is named and closed as _elsewhere() makes them? Raises OSError when it is gone."""
    folder, found = where.parent.lstat(), where.lstat()
    private = stat.S_ISDIR(folder.st_mode) and not is_foreign(folder) and not others_may(folder, 0o077)
    return private and bool(_MADE.fullmatch(where.parent.name)) and where.name == SOCKET and stat.S_ISSOCK(found.st_mode)
