"""ports.Journal on SQLite: a durable ordered map per space.

Reads run on the event loop's own connection and take microseconds. Writes go to the writing process (batches.py); those
that nobody waits for are kept here too until they are in the file, so that a read sees them at once.

Promises: a durable commit that returned survives a kill and a loss of power, together with everything committed before
it. A non-durable commit that returned is seen by every later read, and may be lost, alone or with later ones, never
before earlier ones. A commit that is cancelled may still happen.
"""

from __future__ import annotations

import socket
import sqlite3
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import outcome
import trio

from ctorrent.errors import JournalError
from ctorrent.ports import Put, Write
from ctorrent.store import schema
from ctorrent.store.batches import Batches, BatchRules, Failure, Ticket, encode, start_writer
from ctorrent.store.folder import FolderLock, private_folder
from ctorrent.store.salvage import Loss, salvage
from ctorrent.store.writer import connect, unpack


@dataclass(frozen=True, slots=True)
class JournalRules:
    """Limits of a journal."""

    record_bytes_max: int = 16 << 20  # larger values are blobs; SQLite itself would take 1 GB and stall everyone
    unwritten_bytes_max: int = 8 << 20  # held in memory for commits that nobody waits for; beyond it they wait too
    batches: BatchRules = field(default_factory=BatchRules)


async def open_journal(path: Path | str, rules: JournalRules | None = None, repair: bool = False) -> Journal:
    """Open or make the journal file at `path` (its folder is made, 0700, and locked through `path`.lock).

    Checks the whole file, in a thread: about 1 s per GB. Raises LocalError when another node holds it, JournalError
    when it is foreign or newer than this program, or damaged. repair: a damaged one is put aside and what reads of it is
    kept; `loss` of the journal says what is missing.
    """
    rules = rules or JournalRules()
    lock, door, process, loss = await trio.to_thread.run_sync(_open, Path(path), repair)
    return Journal(Path(path), lock, Batches(door, process, rules.batches), rules, loss)


def _open(path: Path, repair: bool) -> tuple[FolderLock, socket.socket, subprocess.Popen[bytes], Loss | None]:
    private_folder(path.parent)
    lock = FolderLock(path.with_name(path.name + ".lock"))
    loss: Loss | None = None
    try:
        try:
            schema.prepare(path)
        except schema.Damaged as damage:
            if not repair:
                raise
            loss = salvage(path, damage.finding)
        return lock, *start_writer(path, lock.handle), loss
    except BaseException:
        lock.release()
        raise


class Journal:
    """Use `open_journal`. Every method is for the event loop that opened it."""

    def __init__(self, path: Path, lock: FolderLock, batches: Batches, rules: JournalRules, loss: Loss | None = None) -> None:
        self.path = path
        self.loss = loss  # what was not to be repaired when it was opened
        self._lock = lock
        self._rules = rules
        self._reader = connect(str(path))
        self._reader.execute("PRAGMA query_only=ON")
        self._unwritten: dict[str, dict[bytes, tuple[int, bytes | None]]] = {}  # space -> key -> (ticket, value)
        self._unwritten_bytes = 0
        self._number = 0
        self._failure: Failure | None = None  # of the last batch: nobody's commit returns before a next one worked
        self._closed = False
        self._batches = batches
        batches.start(self._settle)

    async def commit(self, writes: Sequence[Write], durable: bool = True) -> None:
        """All or nothing; see the module's promises. An empty commit does nothing.

        Raises JournalError when the disk is full (try again later) or failed (open it again).
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_usable()
        if not writes:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        ticket = self._ticket(writes, durable)
        if ticket.waited:
            await self._write_through(ticket)
        else:
            self._remember(ticket)
            self._batches.post(ticket)
            await trio.lowlevel.cancel_shielded_checkpoint()

    def get(self, space: str, key: bytes) -> bytes | None:
        """The value, or None. Raises JournalError when the bytes in the file are not those that were written."""
        unwritten = self._unwritten.get(space)
        if unwritten is not None and key in unwritten:
            return unwritten[key][1]
        rows = self._select("SELECT key, value FROM records WHERE space=? AND key=?", (space, key))
        return self._checked(space, rows[0]) if rows else None

    def scan(self, space: str, prefix: bytes = b"", limit: int = 1 << 30, after: bytes = b"") -> list[tuple[bytes, bytes]]:
        """Records whose key starts with `prefix`, in key order, at most `limit` of them; only those above `after`."""
        unwritten = {
            key: value for key, (_, value) in self._unwritten.get(space, {}).items() if key.startswith(prefix) and (not after or key > after)
        }
        rows = self._range(space, prefix, limit + len(unwritten), after)
        found = [(key, self._checked(space, (key, value))) for key, value in rows if key not in unwritten]
        if unwritten:
            found += [(key, value) for key, value in unwritten.items() if value is not None]
            found.sort()
        return found[:limit]

    async def aclose(self) -> None:
        """Write what was committed, close the file and release the lock. Harmless twice."""
        if self._closed:
            await trio.lowlevel.checkpoint()
            return
        self._closed = True
        with trio.CancelScope(shield=True):
            self._reader.close()  # first: the last connection folds the log into the file, and that is not for us
            await self._batches.aclose()
        self._lock.release()

    def _check_usable(self) -> None:
        if self._closed:
            raise JournalError(f"The journal {self.path} is closed.")
        if self._failure is not None and not self._failure.passing:
            raise self._refusal(self._failure)

    def _ticket(self, writes: Sequence[Write], durable: bool) -> Ticket:
        for write in writes:
            size = len(write.value) if isinstance(write, Put) else 0
            if size > self._rules.record_bytes_max or not write.space:
                raise ValueError(f"a record of {size} bytes in space {write.space!r}: too large, or no space named")
        body = encode(writes)
        waited = durable or self._failure is not None or self._unwritten_bytes + len(body) > self._rules.unwritten_bytes_max
        self._number += 1
        return Ticket(self._number, tuple(writes), body, durable, waited)

    async def _write_through(self, ticket: Ticket) -> None:
        """Post and wait. When cancelled the ticket goes its way and nobody is told."""
        ticket.waiter = trio.lowlevel.current_task()

        def abandon(_: object) -> trio.lowlevel.Abort:
            ticket.waiter = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._batches.post(ticket)
        await trio.lowlevel.wait_task_rescheduled(abandon)

    def _remember(self, ticket: Ticket) -> None:
        self._unwritten_bytes += len(ticket.body)
        for write in ticket.writes:
            value = write.value if isinstance(write, Put) else None
            self._unwritten.setdefault(write.space, {})[write.key] = (ticket.number, value)

    def _settle(self, batch: Sequence[Ticket], failure: Failure | None) -> None:
        self._failure = failure
        if failure is None:
            self._forget(batch)
        for ticket in batch:
            if ticket.waiter is not None:
                news = outcome.Value(None) if failure is None else outcome.Error(self._refusal(failure))
                trio.lowlevel.reschedule(ticket.waiter, news)

    def _forget(self, batch: Sequence[Ticket]) -> None:
        """Those in the file need not be remembered; a key that a later ticket wrote again stays."""
        last = batch[-1].number
        for ticket in batch:
            if ticket.waited:
                continue
            self._unwritten_bytes -= len(ticket.body)
            for write in ticket.writes:
                keys = self._unwritten.get(write.space, {})
                if write.key in keys and keys[write.key][0] <= last:
                    del keys[write.key]
                    if not keys:
                        del self._unwritten[write.space]

    def _refusal(self, failure: Failure) -> JournalError:
        if failure.passing:
            return JournalError(f"The journal {self.path} could not be written ({failure.words}).", "Make room on the disk.")
        return JournalError(
            f"The journal {self.path} could not be written ({failure.words}).",
            "Check the disk and start the node again: what was acknowledged before is kept.",
        )

    def _select(self, statement: str, values: tuple[object, ...]) -> list[tuple[bytes, bytes]]:
        if self._closed:
            raise JournalError(f"The journal {self.path} is closed.")
        try:
            return self._reader.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise schema.damaged(self.path, str(error)) from error

    def _range(self, space: str, prefix: bytes, limit: int, after: bytes) -> list[tuple[bytes, bytes]]:
        start, end = max(prefix, after + b"\0" if after else b""), _after(prefix)  # the next key after `after`
        if end is None:
            statement = "SELECT key, value FROM records WHERE space=? AND key>=? ORDER BY key LIMIT ?"
            return self._select(statement, (space, start, limit))
        statement = "SELECT key, value FROM records WHERE space=? AND key>=? AND key<? ORDER BY key LIMIT ?"
        return self._select(statement, (space, start, end, limit))

    def _checked(self, space: str, row: tuple[bytes, bytes]) -> bytes:
        value = unpack(space, row[0], row[1])
        if value is None:
            raise schema.damaged(self.path, f"a record of {space!r} does not have the checksum it was written with")
        return value


def _after(prefix: bytes) -> bytes | None:
    """The first key after all that start with `prefix`; None when there is no such key."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else None
