"""The node's end of the writing process: commits in, batches out, one under way at a time.

While a batch is being synced the queue fills; whatever waits when it ends shares the next one. Commits that nobody
waits for linger a moment, so that a thousand small notes cost one transaction.
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from ctorrent.errors import JournalError
from ctorrent.ports import Put, Write
from ctorrent.store import writer

CALL_BACK_S = 20.0  # for the writing process to start: it takes 50 ms, on a machine that is busy seconds


@dataclass(frozen=True, slots=True)
class BatchRules:
    """Limits of one transaction."""

    writes_max: int = 20_000  # ~100 ms of SQLite: nobody waits much longer than that behind others' batches
    bytes_max: int = 32 << 20  # the same on a disk that takes 300 MB/s
    linger_s: float = 0.02  # how long commits that nobody waits for may lie: what a kill may lose of them
    retry_s: float = 1.0  # between attempts on a full disk: soon enough for a person who made room
    close_s: float = 30.0  # to fold the log into the file at the end; a slow disk's 64 MB


@dataclass(slots=True, eq=False)
class Ticket:
    """One commit on its way. `number` orders them."""

    number: int
    writes: tuple[Write, ...]
    body: bytes  # the writes as writer.py reads them
    durable: bool
    waited: bool  # somebody learns of a failure; otherwise it is written again until that works
    waiter: Any = None  # the waiting task; None when it was cancelled


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a batch was not committed."""

    words: str
    passing: bool  # the same batch may work later; otherwise nobody knows what the disk holds


Settle = Callable[[Sequence[Ticket], Failure | None], None]


def start_writer(path: Path, lock: int) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the process; it inherits `lock`, so that no other node can begin before it has ended.

    Windows hands down neither. There two processes may write for a moment after a kill, one transaction after the
    other: SQLite's own lock keeps them apart.
    """
    if not hasattr(socket, "AF_UNIX"):
        return _start_and_be_called(path)
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-I", "-S", writer.__file__, str(theirs.fileno()), str(path)]
        process = subprocess.Popen(
            command, pass_fds=(theirs.fileno(), lock), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
    return ours, process


def _start_and_be_called(path: Path) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    secret = secrets.token_bytes(writer.SECRET_BYTES)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(CALL_BACK_S)
        command = [sys.executable, "-I", "-S", writer.__file__, f"{listening.getsockname()[1]}:", str(path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(secret)
        try:
            return _called(listening, secret), process
        except OSError as error:
            process.kill()
            process.wait()
            raise JournalError(f"The journal's writing process did not call back: {error}.", "Does a firewall cut 127.0.0.1 off?") from None


def _called(listening: socket.socket, secret: bytes) -> socket.socket:
    """The connection that shows the secret; others are hung up on. Raises OSError when it does not come in time."""
    until = time.monotonic() + CALL_BACK_S
    while time.monotonic() < until:
        ours, _ = listening.accept()
        ours.settimeout(CALL_BACK_S / 10)  # a program that says nothing holds us up for a moment only
        try:
            shown = b""
            while len(shown) < len(secret) and (more := ours.recv(len(secret) - len(shown))):
                shown += more
        except OSError:
            shown = b""
        if secrets.compare_digest(shown, secret):
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return ours
        ours.close()
    raise TimeoutError("nobody who knew the secret")


class Batches:
    """Feeds the process."""

    def __init__(self, door: socket.socket, process: subprocess.Popen[bytes], rules: BatchRules) -> None:
        door.setblocking(False)
        self._door = trio.socket.from_stdlib_socket(door)
        self._process = process
        self._rules = rules
        self._queue: deque[Ticket] = deque()
        self._some = trio.Event()  # something is queued
        self._urgent = trio.Event()  # somebody waits for something that is queued
        self._failure: Failure | None = None  # of the last batch
        self._number = 0
        self._stopping = False
        self._stopped = trio.Event()

    def start(self, settle: Settle) -> None:
        """`settle` is called on the event loop with every batch whose transaction ended, well or not."""
        trio.lowlevel.spawn_system_task(self._pump, settle, name="journal batches")

    def post(self, ticket: Ticket) -> None:
        """Queue a ticket; never blocks."""
        self._queue.append(ticket)
        self._some.set()
        if ticket.waited:
            self._urgent.set()

    async def aclose(self) -> None:
        """Write what is queued, once, and end the process."""
        self._stopping = True
        self._some.set()
        self._urgent.set()
        await self._stopped.wait()
        await trio.to_thread.run_sync(self._reap)

    def _reap(self) -> None:
        try:
            self._process.wait(self._rules.close_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def _pump(self, settle: Settle) -> None:
        try:
            while batch := await self._next_batch():
                self._failure = await self._attempt(batch)
                settle(batch, self._failure)
                if self._failure is not None and not self._stopping:
                    self._queue.extendleft(ticket for ticket in reversed(batch) if not ticket.waited)
                    if self._queue:
                        self._some.set()
        finally:
            self._door.close()
            self._stopped.set()

    async def _next_batch(self) -> list[Ticket]:
        """Wait for tickets; an empty list means stopped."""
        await self._some.wait()
        if not self._urgent.is_set():
            pause = self._rules.linger_s if self._failure is None else self._rules.retry_s
            with trio.move_on_after(pause):
                await self._urgent.wait()
        batch = self._take()
        if not self._queue and not self._stopping:
            self._some, self._urgent = trio.Event(), trio.Event()
        return batch

    def _take(self) -> list[Ticket]:
        batch: list[Ticket] = []
        writes = size = 0
        while self._queue:
            ticket = self._queue[0]
            writes += len(ticket.writes)
            size += len(ticket.body)
            if batch and (writes > self._rules.writes_max or size > self._rules.bytes_max):
                break  # the events stay set, so that the rest follows at once
            batch.append(self._queue.popleft())
        return batch

    async def _attempt(self, batch: Sequence[Ticket]) -> Failure | None:
        if self._failure is not None and not self._failure.passing:
            return self._failure
        self._number += 1
        try:
            return await self._exchange(message(self._number, batch))
        except OSError as error:
            return Failure(f"the writing process is gone: {error}", passing=False)

    async def _exchange(self, said: bytes) -> Failure | None:
        view = memoryview(said)
        while view:
            view = view[await self._door.send(view) :]
        _, code, size = writer.REPLY.unpack(await self._exactly(writer.REPLY.size))
        words = (await self._exactly(size)).decode("utf-8", "replace")
        return Failure(words, writer.passing(code)) if code else None

    async def _exactly(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            more = await self._door.recv(size - len(got))
            if not more:
                raise ConnectionResetError(f"it ended (exit status {self._process.poll()})")
            got += more
        return got


def encode(writes: Sequence[Write]) -> bytes:
    """Records as writer.py reads them. Raises what a wrong type raises, to whom it concerns: the one who commits."""
    parts: list[bytes] = []
    for write in writes:
        space = write.space.encode()
        value = write.value if isinstance(write, Put) else b""
        put = isinstance(write, Put)
        parts += (writer.RECORD.pack(put, len(space), len(write.key), len(value)), space, write.key, value)
    return b"".join(parts)


def message(number: int, batch: Sequence[Ticket]) -> bytes:
    """A batch as writer.py reads it."""
    durable = any(ticket.durable for ticket in batch)
    records = sum(len(ticket.writes) for ticket in batch)
    size = sum(len(ticket.body) for ticket in batch)
    return b"".join([writer.BATCH.pack(number, durable, records, size), *(ticket.body for ticket in batch)])
