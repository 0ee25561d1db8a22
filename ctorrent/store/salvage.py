"""A damaged journal is put aside, what reads of it becomes a new one, and the loss is named.

    journal.sqlite (+ -wal) ──rename──▶ journal.sqlite.damaged-1 (+ -wal) ──rows that hold──▶ journal.sqlite

Every row is found by its bytes (pages.py) and believed by its own checksum. Whether it is still the journal's, and not
a deleted row in an old page, SQLite says, as long as it can read the way to it; where it cannot, only such rows are
taken that may be true for ever or are set right by others. What was not taken is counted by kind.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from ctorrent.errors import JournalError
from ctorrent.store import pages
from ctorrent.store.folder import sync_folder
from ctorrent.store.writer import connect, pack, unpack

COPIES_MAX = 8  # of damaged journals kept beside each other; then a person has to look
NOT_FROM_OLD_PAGES = frozenset({"invite", "person"})  # one used up, and one that is a friend no longer, must not come back
TRUE_FOR_EVER = frozenset({"entry", "fork", "lie"})  # signed, or said of what is: an old page is as good as any
BATCH = 512

Name = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Loss:
    """What became of a damaged journal. Counts are records by space."""

    finding: str  # what was found wrong at first
    aside: Path  # where the damaged file is
    kept: dict[str, int]
    doubtful: dict[str, int]  # taken without SQLite's word that they are the latest
    lost: dict[str, int]  # known by name, and not to be read or not to be believed
    pages: int
    unread: int  # pages that nothing could be read of though they should hold rows
    jobs: tuple[bytes, ...] = ()  # keys of the "job" records among the lost


@dataclass(slots=True)
class _Found:
    """Rows by name: every version that holds, newest last; and names whose bytes no longer hold."""

    versions: dict[Name, list[bytes]] = field(default_factory=dict)
    broken: set[Name] = field(default_factory=set)
    pages: int = 0
    unread: int = 0


def salvage(path: Path, finding: str) -> Loss:
    """Put the file at `path` aside and make a new one of what it still says. Raises JournalError when the disk refuses."""
    from ctorrent.store import schema

    try:
        aside = _put_aside(path)
        found = _read(aside)
        kept: dict[str, int] = {}
        doubtful: dict[str, int] = {}
        lost: dict[str, int] = {}
        jobs: list[bytes] = []
        schema.prepare(path)
        connection = connect(str(path))
        try:
            connection.execute("BEGIN IMMEDIATE")
            batch = []
            for (space, key), value, sure in _believed(aside, found, lost, jobs):
                kept[space] = kept.get(space, 0) + 1
                if not sure:
                    doubtful[space] = doubtful.get(space, 0) + 1
                batch.append((space, key, pack(space, key, value)))
                if len(batch) >= BATCH:
                    connection.executemany("INSERT OR REPLACE INTO records VALUES (?,?,?)", batch)
                    batch.clear()
            connection.executemany("INSERT OR REPLACE INTO records VALUES (?,?,?)", batch)
            connection.execute("COMMIT")
        finally:
            connection.close()
    except (OSError, sqlite3.Error) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise JournalError(f"The damaged journal {path} could not be repaired: {words}.", "Make room on the disk, and start again.") from error
    return Loss(finding, aside, kept, doubtful, lost, found.pages, found.unread, tuple(jobs))


def _put_aside(path: Path) -> Path:
    for number in range(1, COPIES_MAX + 1):
        aside = path.with_name(f"{path.name}.damaged-{number}")
        if aside.exists() or Path(f"{aside}-wal").exists():
            continue
        for suffix in ("", "-wal"):
            there = Path(f"{path}{suffix}")
            if there.exists():
                there.rename(f"{aside}{suffix}")
        Path(f"{path}-shm").unlink(missing_ok=True)
        sync_folder(path.parent)
        return aside
    raise JournalError(
        f"The journal {path} is damaged, as {COPIES_MAX} before it were.", f"Check the disk; remove the files {path.name}.damaged-* and start again."
    )


def _read(aside: Path) -> _Found:
    """Every row in every page of the file and of its log."""
    found = _Found()
    try:
        with aside.open("rb") as file:
            size = pages.page_size(file.read(100))
            count = aside.stat().st_size // size

            def other(number: int) -> bytes | None:
                if not 1 <= number <= count:
                    return None
                file.seek((number - 1) * size)
                return file.read(size)

            for number in range(1, count + 1):
                _collect(found, pages.Page(number, other(number) or b""), other, size)
    except FileNotFoundError:
        size, count = 4096, 0
    log = Path(f"{aside}-wal")
    if log.exists():
        data = log.read_bytes()
        newest = {page.number: page.body for page in pages.log_pages(data, size)}
        for page in pages.log_pages(data, size):
            _collect(found, page, newest.get, size)
    found.pages = count
    return found


def _collect(found: _Found, page: pages.Page, other: object, size: int) -> None:
    some = False
    for row in pages.rows(page, other, size):  # type: ignore[arg-type]
        some = True
        if len(row) != 3 or not isinstance(row[0], str) or not isinstance(row[1], bytes):
            continue
        name, value = (row[0], row[1]), unpack(*row)
        if value is None:
            found.broken.add(name)
            continue
        versions = found.versions.setdefault(name, [])
        if value in versions:
            versions.remove(value)
        versions.append(value)
    found.unread += not some and page.body[:1] not in (b"", b"\0")


def _believed(aside: Path, found: _Found, lost: dict[str, int], jobs: list[bytes]) -> Iterator[tuple[Name, bytes, bool]]:
    """(name, value, is it sure) of the rows to keep; counts the others, and names the jobs among them."""
    with _Tree(aside) as tree:
        for name in sorted({*found.versions, *found.broken}):
            space = name[0]
            readable, value = tree.get(name)
            if value is not None:
                yield name, value, True
                continue
            if readable and space not in TRUE_FOR_EVER:
                continue  # deleted, and only an old page still has it
            versions = found.versions.get(name, [])
            if versions and space not in NOT_FROM_OLD_PAGES:
                yield name, versions[-1], False
            else:
                lost[space] = lost.get(space, 0) + 1
                if space == "job":
                    jobs.append(name[1])


class _Tree:
    """The damaged file as SQLite sees it, as far as it does."""

    def __init__(self, aside: Path) -> None:
        self._connection: sqlite3.Connection | None = None
        try:
            if aside.exists():
                self._connection = sqlite3.connect(f"file:{quote(str(aside))}?mode=ro", uri=True, isolation_level=None)
                self._connection.execute("PRAGMA cell_size_check=ON")
                self._connection.execute("SELECT space FROM records LIMIT 1").fetchall()
        except sqlite3.DatabaseError:
            self.close()

    def __enter__(self) -> _Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def get(self, name: Name) -> tuple[bool, bytes | None]:
        """(can the way to it be read, its value)."""
        if self._connection is None:
            return False, None
        try:
            row = self._connection.execute("SELECT space, key, value FROM records WHERE space=? AND key=?", name).fetchone()
        except sqlite3.DatabaseError:
            return False, None
        if row is None:
            return True, None
        value = unpack(*row)
        return value is not None, value
