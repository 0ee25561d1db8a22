"""A look into a journal that no node holds, or that one holds right now: nothing is locked, made or changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ctorrent.store.writer import unpack

_RECORDS_MAX = 4096  # of friends and swarms; more is not what a person looks at


def glance(path: Path, space: str) -> list[tuple[bytes, bytes]]:
    """Records of a space, in key order. Empty where there is no journal, or it cannot be read."""
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)) as journal:
            rows = journal.execute("SELECT key, value FROM records WHERE space=? ORDER BY key LIMIT ?", (space, _RECORDS_MAX)).fetchall()
    except sqlite3.Error:
        return []
    return [(key, value) for key, stored in rows if (value := unpack(space, key, stored)) is not None]
