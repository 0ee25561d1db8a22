"""The journal's file: created, checked, migrated.

A file is made beside its name, synced and only then renamed, so that an empty or half-made journal is always damage and
never a first start. `PRAGMA user_version` counts the migrations that a file has been through; a file is copied before it
goes through more, and one that has been through more than this program knows is refused.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ctorrent.errors import JournalError
from ctorrent.store.folder import sync_folder
from ctorrent.store.writer import connect, unpack

APPLICATION_ID = 0x63544A4C  # "cTJL": another program's SQLite file is refused, not written into

# One string of statements per version; append only. A released one never changes.
MIGRATIONS: tuple[str, ...] = (
    "CREATE TABLE records (space TEXT, key BLOB, value BLOB, PRIMARY KEY (space, key)) WITHOUT ROWID;",
)

_REFUSALS = (
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
)

_LOST = (
    "The jobs, results, ledger entries and peers that this node wrote down in it cannot be trusted; "
    "its keys and blobs are not affected."
)


class Damaged(JournalError):
    """The refusal of a damaged file. `finding`: what was found wrong."""

    finding = ""


def damaged(path: Path, finding: str) -> Damaged:
    """What was found, what is lost, what to do."""
    error = Damaged(
        f"The journal {path} is damaged ({finding}). {_LOST}",
        f"Restore {path.name} with its -wal file from a backup, or move both away (mv {path} {path}.damaged) and start "
        "again: the node then asks its peers for its own ledger and begins without its unfinished jobs.",
    )
    error.finding = finding
    return error


def prepare(path: Path, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Make the file where there is none; otherwise check it and bring it up to date.

    Raises JournalError for a damaged, foreign or newer file, and for a disk that refuses.
    """
    spare = path.with_name(path.name + ".new")
    for leftover in (spare, _beside(spare, "-wal"), _beside(spare, "-shm")):
        leftover.unlink(missing_ok=True)  # of a first start that was interrupted before its rename
    try:
        if path.exists():
            _check_and_migrate(path, migrations)
        else:
            _create(path, spare, migrations)
    except sqlite3.DatabaseError as error:
        raise (_unusable if _disk_refused(error) else damaged)(path, str(error)) from error
    except OSError as error:
        raise JournalError(f"The journal {path} cannot be opened: {error.strerror}.") from error


def _disk_refused(error: sqlite3.Error) -> bool:
    """Rather than: what is on it is wrong. A read beyond the end of the file is of the second kind."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # the module's own, such as for text, have none
    return code & 0xFF in _REFUSALS and code != sqlite3.SQLITE_IOERR_SHORT_READ


def _unusable(path: Path, words: str) -> JournalError:
    return JournalError(f"The journal {path} cannot be opened: {words}.", "Mend or make room on the disk; start again.")


def _create(path: Path, spare: Path, migrations: tuple[str, ...]) -> None:
    wal = _beside(path, "-wal")
    if wal.exists() and wal.stat().st_size > 0:
        raise damaged(path, f"the file itself is missing beside its {wal.name}")
    os.close(os.open(spare, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))  # -wal and -shm inherit the mode
    connection = connect(str(spare))
    try:
        _migrate(connection, 0, migrations)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    finally:
        connection.close()  # the last connection empties the write-ahead log into the file and removes it
    spare.replace(path)
    sync_folder(path.parent)


def _check_and_migrate(path: Path, migrations: tuple[str, ...]) -> None:
    _check_header(path)
    path.chmod(0o600)
    connection = connect(str(path))
    try:
        version = _version(connection, path, len(migrations))
        findings = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
        if findings != ["ok"]:
            raise damaged(path, "; ".join(str(finding).strip() for finding in findings)[:300])
        if version == len(MIGRATIONS):
            _check_records(connection, path)
        if version < len(migrations):
            _copy(connection, path, version)
            _migrate(connection, version, migrations)
    finally:
        connection.close()


def _check_header(path: Path) -> None:
    """Before SQLite sees it: it takes a file of no or few bytes for a new one, and would begin it anew."""
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise damaged(path, "it does not begin as a SQLite file does" if header else "the file is empty")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise JournalError(
            f"{path} is a SQLite file, but not a journal of this program.", "Move it away, or use another --data-dir."
        )


def _check_records(connection: sqlite3.Connection, path: Path) -> None:
    """SQLite checks its tree, not what hangs on it. ~1 s per million records."""
    for space, key, stored in connection.execute("SELECT space, key, value FROM records"):
        if unpack(space, key, stored) is None:
            raise damaged(path, f"a record of {space!r} does not have the checksum it was written with")


def _version(connection: sqlite3.Connection, path: Path, known: int) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > known:
        raise JournalError(
            f"The journal {path} has format {version}; this program knows formats up to {known}.",
            "Update ctorrent, or use another --data-dir. Nothing was changed.",
        )
    if version < 1:
        raise damaged(path, "its format number is missing")
    return version


def _copy(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """The file as it was, beside it, before a migration touches it."""
    copy = path.with_name(f"{path.name}.v{version}")
    copy.unlink(missing_ok=True)  # an earlier attempt at this same migration, from the same file
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    target = sqlite3.connect(copy)
    try:
        connection.backup(target)
    finally:
        target.close()
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    sync_folder(path.parent)


def _migrate(connection: sqlite3.Connection, version: int, migrations: tuple[str, ...]) -> None:
    """All steps in one transaction: a machine that stops half-way finds the old file."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in migrations[version:]:
            for statement in filter(str.strip, step.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
