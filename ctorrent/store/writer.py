"""The one process that writes the journal. Standard library only; run as a file, never imported by the node's code path.

    node ── batch ──> this process: one transaction, one fsync ── done, or why not ──> node

Why a process and not a thread: a thread has to win the interpreter's lock back after every statement, and beside a
saturated event loop it loses: a durable commit of one record took 140 ms to 5 s (CPython 3.11, tests/benchmarks/store.py
measures it again). The kernel's scheduler is fair where the lock is not. It costs ~10 MB and 30 ms at start.

A batch:  u64 number ‖ u8 durable ‖ u32 records ‖ u64 bytes of what follows, then per record
          u8 put ‖ u16 length of space ‖ u32 length of key ‖ u32 length of value ‖ space ‖ key ‖ value
A reply:  u64 number ‖ u32 SQLite's extended error code, 0 when committed ‖ u32 length ‖ words
All big-endian. The process ends when its socket does: with the node, however that ended.
"""

import signal
import socket
import sqlite3
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import TypeVar

BATCH = struct.Struct(">QBIQ")
RECORD = struct.Struct(">BHII")
REPLY = struct.Struct(">QII")
SECRET_BYTES = 32  # what a writer that calls back shows first

_ROWS_MAX = 256  # 768 parameters a statement: below the 999 that the oldest SQLite builds allow
_LOG_BYTES_MAX = 64 << 20  # the -wal file is cut back to this after a flood

T = TypeVar("T")
Name = tuple[str, bytes]


def connect(path: str) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions are opened by name. For one thread at a time."""
    connection = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES_MAX}")
    return connection


def pack(space: str, key: bytes, value: bytes) -> bytes:
    """A value as it is stored: four bytes of CRC-32 over space, key and value, then the value.

    SQLite checks its tree, not what hangs on it; a flipped bit in a value must be refused, not returned.
    """
    return _crc(space, key, value) + value


def unpack(space: object, key: object, stored: object) -> bytes | None:
    """The inverse of pack(); None when the columns are not those that were stored (a flipped bit changes types, too)."""
    if not (isinstance(space, str) and isinstance(key, bytes) and isinstance(stored, bytes)):
        return None
    value = stored[4:]
    return value if stored[:4] == _crc(space, key, value) else None


def _crc(space: str, key: bytes, value: bytes) -> bytes:
    return zlib.crc32(value, zlib.crc32(key, zlib.crc32(space.encode() + b"\0"))).to_bytes(4, "little")


def decode(body: bytes, records: int) -> Iterator[tuple[str, bytes, bytes | None]]:
    """(space, key, value or None for a delete) of a batch, in order. From our own parent: trusted."""
    at = 0
    for _ in range(records):
        put, space, key, value = RECORD.unpack_from(body, at)
        ends = [at + RECORD.size, at + RECORD.size + space, at + RECORD.size + space + key]
        at = ends[2] + value
        yield body[ends[0] : ends[1]].decode(), body[ends[1] : ends[2]], body[ends[2] : at] if put else None


class Writer:
    """Batches into transactions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._synchronous = "FULL"
        self._touches = 0
        self._failed: sqlite3.Error | None = None

    def write(self, records: Iterator[tuple[str, bytes, bytes | None]], durable: bool) -> None:
        """One transaction; of two writes of a key the later one counts. Raises sqlite3.Error.

        After a failure that leaves the disk's state unknown (anything but a full disk or a busy file) every later
        write raises it again: an fsync that failed once may succeed next time without having written anything.
        """
        if self._failed is not None:
            raise self._failed
        last = {(space, key): value for space, key, value in records}
        puts = [(space, key, value) for (space, key), value in last.items() if value is not None]
        deletes = [name for name, value in last.items() if value is None]
        if durable and not puts:
            # Deleting what is not there changes no page, and SQLite then skips the fsync that earlier batches,
            # written without one, need before this one may be called durable.
            self._touches += 1
            puts.append(("", b"touch", self._touches.to_bytes(8, "big")))
        try:
            self._synchronise("FULL" if durable else "NORMAL")
            self._transact(puts, deletes)
        except sqlite3.Error as error:
            if not passing(error.sqlite_errorcode):
                self._failed = error
            raise

    def _synchronise(self, level: str) -> None:
        """FULL: every commit syncs the log, with all that lies in it. NORMAL: only checkpoints do."""
        if level != self._synchronous:
            self._connection.execute(f"PRAGMA synchronous={level}")
            self._synchronous = level

    def _transact(self, puts: list[tuple[str, bytes, bytes]], deletes: list[Name]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for rows in _slices(puts):
                self._put(rows)
            for names in _slices(deletes):
                self._delete(names)
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _put(self, rows: list[tuple[str, bytes, bytes]]) -> None:
        values: list[str | bytes] = []
        for space, key, value in rows:
            values += (space, key, pack(space, key, value))
        marks = ",".join(["(?,?,?)"] * len(rows))
        self._connection.execute(f"INSERT OR REPLACE INTO records VALUES {marks}", values)

    def _delete(self, names: list[Name]) -> None:
        marks = ",".join(["(?,?)"] * len(names))
        values = [part for name in names for part in name]
        self._connection.execute(f"DELETE FROM records WHERE (space, key) IN (VALUES {marks})", values)


def passing(code: int) -> bool:
    """May the same transaction work later? `code`: SQLite's, plain or extended."""
    return code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_NOMEM)


def _slices(rows: list[T]) -> Iterator[list[T]]:
    """Powers of two from 256 down: nine shapes of statement, each compiled once."""
    start, size = 0, _ROWS_MAX
    while start < len(rows):
        while size > len(rows) - start:
            size >>= 1
        yield rows[start : start + size]
        start += size


def serve(door: socket.socket, writer: Writer) -> None:
    """Answer batches until the other side is gone."""
    with door.makefile("rb", buffering=1 << 16) as inbound:
        while len(head := inbound.read(BATCH.size)) == BATCH.size:
            number, durable, records, size = BATCH.unpack(head)
            body = inbound.read(size)
            if len(body) < size:
                return  # the node died while it spoke: nothing was promised
            code, words = 0, b""
            try:
                writer.write(decode(body, records), bool(durable))
            except sqlite3.Error as error:
                code, words = error.sqlite_errorcode or sqlite3.SQLITE_ERROR, str(error).encode()
            door.sendall(REPLY.pack(number, code, len(words)) + words)


def called_back(port: int) -> socket.socket:
    """The node's socket where descriptors cannot be handed down: it listens, and knows us by what it wrote to our stdin."""
    door = socket.create_connection(("127.0.0.1", port))
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    door.sendall(sys.stdin.buffer.read(SECRET_BYTES))
    return door


def main() -> None:
    """argv: the socket (its descriptor, or "PORT:" of 127.0.0.1, with a secret on stdin), the journal's path.

    Other descriptors given hold the folder's lock.
    """
    for ignored in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, ignored):
            signal.signal(getattr(signal, ignored), signal.SIG_IGN)  # sent to the node's whole group; the node ends us by its socket
    where = sys.argv[1]
    door = called_back(int(where[:-1])) if where.endswith(":") else socket.socket(fileno=int(where))
    connection = connect(sys.argv[2])
    try:
        serve(door, Writer(connection))
    except OSError:
        return  # the node died while it listened
    finally:
        connection.close()


if __name__ == "__main__":
    main()
