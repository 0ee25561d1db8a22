"""Is a data folder a node's right now? Asked of the locks, which the system drops however a node ends."""

from __future__ import annotations

import os
from pathlib import Path

from ctorrent.store.system import CLOSE_ON_EXEC, try_lock

LOCKS = ("control.lock", "journal.sqlite.lock")  # held from a node's first step to its last; its writing process holds the second


def holder(data_dir: Path) -> str:
    """The pid of the node that holds the folder, as far as it tells; "unknown"; empty: nobody does."""
    found = ""
    for name in LOCKS:
        try:
            handle = os.open(data_dir / name, os.O_RDWR | CLOSE_ON_EXEC)
        except OSError:
            continue
        try:
            if not try_lock(handle):
                told = os.pread(handle, 32, 0).decode("ascii", "replace").strip() if hasattr(os, "pread") else ""
                if told.isdigit():
                    return told
                found = "unknown"
        finally:
            os.close(handle)
    return found
