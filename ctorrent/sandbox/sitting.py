"""One process runs one unit: the node's side of the connection.

Nothing the process says is believed: each length is compared with its limit before a byte is read or a buffer made.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import trio

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.model.job import Limits
from ctorrent.model.result import Failure, FailureKind, Outcome, Usage
from ctorrent.ports import BlockInput
from ctorrent.sandbox.ending import Cut
from ctorrent.sandbox.inside import frames
from ctorrent.sandbox.limits import SandboxRules

Log = Callable[[int, bytes], None]
_CHUNK = 256 << 10
_FAILURE_BYTES_MAX = frames.FAILED.size + frames.TYPE_BYTES_MAX + frames.TEXT_BYTES_MAX


class _Stop(Exception):
    """The sitting is over, for this reason."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut


@dataclass(frozen=True, slots=True)
class Play:
    """What to call: the program once a block, or another function of the job's files with each block's values."""

    mode: int
    entry: str


class Sitting:
    """Plays blocks to one child and collects outcomes, in order."""

    def __init__(self, sock: socket.socket, limits: Limits, rules: SandboxRules, gpus: int, log: Log | None) -> None:
        self._sock = sock
        self._limits = limits
        self._rules = rules
        self._gpus = gpus
        self._tell = log
        self._in = bytearray()
        self._logs = bytearray()
        self._deadline = math.inf
        self._unit: Sequence[BlockInput] = ()
        self.outcomes: list[Outcome] = []
        self.log = b""  # of the block that was running at the end
        self.ran_s = 0.0  # and how long it had run
        self.serial = 0

    async def greet(self) -> None:
        """Read who is there. Raises EOFError when it died before it was locked."""
        while len(self._in) < frames.HELLO.size:
            await self._more()
        magic, _, self.serial = frames.HELLO.unpack_from(self._in)
        assert magic == frames.MAGIC, "our own code said hello"
        del self._in[: frames.HELLO.size]

    async def play(self, unit: Sequence[BlockInput], careful: bool, what: Play) -> Cut:
        """Run the unit until it is done or the process is of no more use; outcomes so far are in `outcomes`."""
        self._unit = unit
        entry = what.entry.encode()
        head = frames.UNIT.pack(what.mode, careful, len(unit), self._limits.block_s, len(entry)) + entry
        sender = _Sender(self._sock, unit, head)
        self._deadline = trio.current_time() + self._limits.block_s
        if not any(block.files or block.values for block in unit) and sender.size() <= self._rules.unit_bytes_inline:
            await sender.send()
            return await self._collect()
        cut = Cut.EOF
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send_beside, nursery.cancel_scope)
            cut = await self._collect()
            nursery.cancel_scope.cancel()
        if sender.error is not None:
            raise sender.error
        return cut

    async def _collect(self) -> Cut:
        try:
            while True:
                await self._take_frame()
        except _Stop as stop:
            return self._ended(stop.cut)
        except (EOFError, OSError):
            return self._ended(Cut.EOF)

    def _ended(self, cut: Cut) -> Cut:
        self.log = bytes(self._logs)
        self.ran_s = max(0.0, trio.current_time() - self._deadline + self._limits.block_s)
        return cut

    async def _take_frame(self) -> None:
        """One frame from the buffer, or wait for more."""
        while len(self._in) < frames.REPLY.size:
            with trio.CancelScope(deadline=self._deadline) as scope:
                await self._more()
            if scope.cancelled_caught:
                raise _Stop(Cut.DEADLINE)
        kind, position, cpu, wall, peak, size = frames.REPLY.unpack_from(self._in)
        if kind == frames.DONE:
            raise _Stop(Cut.DONE if len(self.outcomes) == len(self._unit) else Cut.MALFORMED)
        self._check(kind, position, size)
        body = await self._body(size)
        if kind == frames.LOG:
            self._add_log(body)
            return
        usage = _usage(cpu, wall, peak, self._gpus, kind)
        self.outcomes.append(await self._outcome(kind, body, usage))
        self._logs.clear()
        self._deadline = trio.current_time() + self._limits.block_s
        if kind != frames.FAILURE and self.outcomes[-1].failure is not None:
            raise _Stop(Cut.SPENT)

    def _check(self, kind: int, position: int, size: int) -> None:
        limit = {
            frames.VALUE: self._limits.output_bytes,
            frames.SAME_ALWAYS: self._limits.output_bytes,
            frames.CLOCK: self._limits.output_bytes,
            frames.FAILURE: _FAILURE_BYTES_MAX,
            frames.LOG: max(self._limits.log_bytes, frames.TEXT_BYTES_MAX),
        }.get(kind)
        if limit is None or position != len(self.outcomes) or position >= len(self._unit):
            raise _Stop(Cut.MALFORMED)
        if size > limit:
            raise _Stop(Cut.TOO_LARGE)

    async def _body(self, size: int) -> bytes:
        """The frame's body, taken out of the buffer together with its header."""
        start, have = frames.REPLY.size, len(self._in) - frames.REPLY.size
        if have >= size:
            body = bytes(self._in[start : start + size])
            del self._in[: start + size]
            return body
        whole = bytearray(size)
        view = memoryview(whole)
        view[:have] = self._in[start:]
        self._in.clear()
        with trio.CancelScope(deadline=self._deadline) as scope:
            await self._fill(view[have:])
        if scope.cancelled_caught:
            raise _Stop(Cut.DEADLINE)
        return bytes(whole)

    async def _fill(self, view: memoryview) -> None:
        while view:
            try:
                got = self._sock.recv_into(view)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock.fileno())
                continue
            if not got:
                raise EOFError
            view = view[got:]

    async def _more(self) -> None:
        while True:
            try:
                chunk = self._sock.recv(_CHUNK)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock.fileno())
                continue
            if not chunk:
                raise EOFError
            self._in += chunk
            return

    def _add_log(self, body: bytes) -> None:
        body = body[: max(0, self._limits.log_bytes - len(self._logs))]
        self._logs += body
        if self._tell is not None and body:
            self._tell(self._unit[len(self.outcomes)].index, body)

    async def _outcome(self, kind: int, body: bytes, usage: Usage) -> Outcome:
        log = bytes(self._logs)
        if kind == frames.FAILURE:
            return Outcome(None, _failure(body), usage, log)
        plain = body[:1] in (b"\xc4", b"\xc5", b"\xc6")  # bytes: nothing to walk through
        if len(body) <= (8 * _CHUNK if plain else _CHUNK):
            wrong = _wrong(body, self._rules.check_bytes)
        else:
            wrong = await trio.to_thread.run_sync(_wrong, body, self._rules.check_bytes)
        return Outcome(None, wrong, usage, log) if wrong else Outcome(body, None, usage, log)


class _Sender:
    """Writes a unit to the child, files straight from disk."""

    def __init__(self, sock: socket.socket, unit: Sequence[BlockInput], head: bytes) -> None:
        self._sock = sock
        self._unit = unit
        self._head = head
        self.error: LocalError | None = None

    def size(self) -> int:
        return len(self._head) + sum(frames.BLOCK.size + len(block.params) for block in self._unit)

    async def send_beside(self, all_of_it: trio.CancelScope) -> None:
        """Send in a task of its own; an unreadable file ends the sitting."""
        try:
            await self.send()
        except LocalError as error:
            self.error = error
            all_of_it.cancel()

    async def send(self) -> None:
        """Raises LocalError when a file cannot be read. A child that is gone is the collector's to see."""
        parts = [self._head]
        gathered = 0
        try:
            for block in self._unit:
                count = len(block.files) + len(block.values)
                parts += (frames.BLOCK.pack(block.index, block.seed, len(block.params), count), block.params)
                gathered += len(block.params)
                for number, value in enumerate(block.values):
                    label = b"%s%d" % (frames.VALUE_NAME.encode(), number)
                    parts += (frames.FILE.pack(len(label), len(value)), label, value)
                    gathered += len(value)
                    if gathered > _CHUNK:
                        await self._write(b"".join(parts))
                        parts, gathered = [], 0
                for name, path in block.files:
                    async for part in _file_parts(name, path):
                        if len(part) < _CHUNK:
                            part = b"".join([*parts, part])
                        elif parts:
                            await self._write(b"".join(parts))
                        parts = []
                        await self._write(part)
                if gathered > _CHUNK:
                    await self._write(b"".join(parts))
                    parts, gathered = [], 0
            await self._write(b"".join(parts))
        except OSError:  # it died; what it still said is read to the end
            return

    async def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._sock.fileno())


async def _file_parts(name: str, path: str) -> AsyncIterator[bytes]:
    """The frame of one input file, in chunks; small ones are read at once, large ones in a thread."""
    try:
        with Path(path).open("rb", buffering=0) as file:  # noqa: ASYNC230 - a local blob; reads of size go to a thread
            size = os.fstat(file.fileno()).st_size
            label = name.encode()
            head = frames.FILE.pack(len(label), size) + label
            left = size
            while left:
                want = min(left, 4 * _CHUNK)
                chunk = file.read(want) if size <= 4 * _CHUNK else await trio.to_thread.run_sync(file.read, want)
                if not chunk:
                    raise LocalError(f"the input {name} became shorter while it was read")
                if head:
                    yield head
                yield chunk
                head, left = b"", left - len(chunk)
            if head:
                yield head
    except OSError as error:
        raise LocalError(f"the input {name} cannot be read: {error.strerror}") from None


def _usage(cpu: float, wall: float, peak: int, gpus: int, kind: int) -> Usage:
    """What the child says it used: not numbers, negative or endless ones count as nothing."""
    cpu, wall = (value if 0 <= value < 1e9 else 0.0 for value in (cpu, wall))
    return Usage(cpu, wall * gpus, wall, min(peak, 1 << 50), kind == frames.SAME_ALWAYS, kind == frames.CLOCK)


def _failure(body: bytes) -> Failure:
    if len(body) < frames.FAILED.size:
        return Failure(FailureKind.OUTPUT, "malformed", "wrote to the sandbox's own channel")
    kind, size = frames.FAILED.unpack_from(body)
    text = body[frames.FAILED.size :].decode("utf-8", "replace")
    if kind not in range(frames.EXCEPTION, frames.FORBIDDEN + 1):
        return Failure(FailureKind.OUTPUT, "malformed", "wrote to the sandbox's own channel")
    return Failure(FailureKind(kind), text[:size], text[size:])


def _wrong(value: bytes, check_bytes: int) -> Failure | None:
    """Is the value canonical? Large ones are only walked: decoding could need 60 times their size in memory."""
    try:
        if len(value) <= check_bytes or value[0] in range(0xC7, 0xCA):  # small, or one array
            canon.decode(value)
            return None
        if value[0] == 0xC6 and len(value) == 5 + int.from_bytes(value[1:5], "big"):  # bytes: nothing to walk through
            return None
        walker = msgpack.Unpacker(max_buffer_size=len(value))
        walker.feed(value)
        walker.skip()
        if walker.tell() != len(value):
            raise ValueError("more than one value")
    except (ValueError, msgpack.OutOfData, RecursionError) as error:
        return Failure(FailureKind.OUTPUT, "not canonical", str(error)[:500])
    return None
