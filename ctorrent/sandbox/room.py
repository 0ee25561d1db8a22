"""The folder of one cell on this machine: its socket and its description. Removed with the cell.

    data/cells/<random>/        0700: nobody else gets near
      open/                     what the sandbox sees, read-only: s (the socket), spec.json
      alive                     locked while the node that made it lives; an unlocked one is a leftover
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LABEL = "ctorrent.room"  # of a container: its cell's folder, which says whether its node still lives
_QUEUE = 64  # children that may wait: slots and spares


class Room:
    """One cell's folder and listening socket."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "cells" / secrets.token_hex(6)
        self.open = self.folder / "open"
        self.open.mkdir(parents=True)
        self.folder.chmod(0o700)
        self.open.chmod(0o755)
        import fcntl  # Linux alone has rooms; every system may import this file

        self._alive = (self.folder / "alive").open("w")
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        self.listener = self._listen()

    @contextmanager
    def removed_on_error(self) -> Iterator[None]:
        """Leaves nothing behind when what follows fails."""
        try:
            yield
        except BaseException:
            self.remove()
            raise

    def describe(self, spec: dict[str, Any]) -> None:
        """Write what the supervisor is to do."""
        path = self.open / "spec.json"
        path.write_text(json.dumps(spec))
        path.chmod(0o644)

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        folder = os.open(self.open, os.O_PATH | os.O_DIRECTORY)
        try:  # by descriptor: a socket's path may have 107 bytes, a data folder's more
            listener.bind(f"/proc/self/fd/{folder}/s")
        finally:
            os.close(folder)
        (self.open / "s").chmod(0o666)
        listener.listen(_QUEUE)
        listener.setblocking(False)
        return listener

    def drain(self) -> None:
        """Forget children of a dead supervisor that still wait."""
        while True:
            try:
                self.listener.accept()[0].close()
            except BlockingIOError:
                return

    def remove(self) -> None:
        """Harmless when repeated."""
        self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._alive.close()


def is_alive(folder: Path) -> bool:
    """Does the node that made this cell's folder live?"""
    import fcntl

    try:
        with (folder / "alive").open("r+") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def remove_leftovers(data_dir: Path) -> list[str]:
    """Remove folders of cells whose node is dead. -> their names."""
    import fcntl

    removed = []
    for folder in sorted((data_dir / "cells").glob("*")):
        try:
            with (folder / "alive").open("r+") as alive:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:  # being made right now, or half removed
            continue
        except BlockingIOError:
            continue
        removed.append(folder.name)
    return removed
