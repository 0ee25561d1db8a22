"""A warm sandbox for one job: what the jail and Docker share.

The cell listens on a unix socket in a folder of its own; an enclosure (jail or container) starts the supervisor,
whose children connect, lock themselves and wait in the socket's queue. A unit takes the next one from the queue.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from ctorrent.errors import LocalError
from ctorrent.model.job import Isolation
from ctorrent.model.result import Outcome, Usage
from ctorrent.ports import BlockInput, CellSpec
from ctorrent.sandbox.ending import Cut, Ending, failure
from ctorrent.sandbox.inside import frames
from ctorrent.sandbox.limits import SandboxRules
from ctorrent.sandbox.room import Room
from ctorrent.sandbox.sitting import Play, Sitting

_KERNEL = Ending(9, False, b"")  # twice in a row: only the kernel's memory limit takes a supervisor along
_QUEUE_MAX = 80  # more than can wait in the room's queue
_STARTS_MAX = 3  # a supervisor that keeps dying is this machine's fault, not a block's


class Enclosure(Protocol):
    """Starts and removes the first process of a cell."""

    async def start(self, room: Room) -> None:
        """Begin. Raises LocalError."""

    async def trouble(self) -> str | None:
        """Why it no longer runs, in words; None while it does."""

    async def stop(self) -> None:
        """Kill everything inside, wait for its end; harmless when repeated."""


class SocketCell:
    """ports.Cell over a unix socket."""

    def __init__(self, spec: CellSpec, rules: SandboxRules, level: Isolation, room: Room, enclosure: Enclosure) -> None:
        self.level = level
        self.walls = 0  # frames.WALL_*: what the supervisor could raise
        self._spec = spec
        self._rules = rules
        self._room = room
        self._enclosure = enclosure
        self._slots = trio.CapacityLimiter(max(1, spec.slots))
        self._control: _Control | None = None
        self._starting = trio.Lock()
        self._accepting = trio.Lock()
        self._closed = False

    async def start(self) -> None:
        """Bring the sandbox up. Raises LocalError with what failed inside, after removing every trace."""
        try:
            await self._start()
        except BaseException:
            with trio.CancelScope(shield=True):
                await self.aclose()
            raise

    async def _start(self) -> None:
        await self._enclosure.start(self._room)
        try:
            with trio.fail_after(self._rules.boot_s):
                control = _Control(await self._first_connection())
                self.walls = await control.hello()
        except trio.TooSlowError:
            raise LocalError(f"the sandbox did not start within {self._rules.boot_s:g} s") from None
        self._control = control

    async def _first_connection(self) -> socket.socket:
        """The supervisor's connection, or why there will be none."""
        while True:
            found: list[socket.socket] = []
            with trio.move_on_after(0.2):
                found.append(await _accept(self._room.listener))
            if found:
                return found[0]
            trouble = await self._enclosure.trouble()
            if trouble is not None:
                raise LocalError(f"the sandbox did not start: {trouble}")

    async def run(self, unit: Sequence[BlockInput], log: Callable[[int, bytes], None] | None = None) -> list[Outcome]:
        """ports.Cell.run."""
        return await self._run(unit, log, Play(frames.PROGRAM, self._spec.program.entry))

    async def reduce(self, entry: str, values: Sequence[bytes]) -> Outcome:
        """ports.Cell.reduce: one block, whose files are the values."""
        return (await self._run([BlockInput(0, 0, b"", values=tuple(values))], None, Play(frames.REDUCE, entry)))[0]

    async def check(self, entry: str, cases: Sequence[BlockInput]) -> list[Outcome]:
        """ports.Cell.check."""
        return await self._run(cases, None, Play(frames.CHECK, entry))

    async def compare(self, entry: str, cases: Sequence[BlockInput]) -> list[Outcome]:
        """ports.Cell.compare."""
        return await self._run(cases, None, Play(frames.COMPARE, entry))

    async def _run(self, unit: Sequence[BlockInput], log: Callable[[int, bytes], None] | None, play: Play) -> list[Outcome]:
        outcomes: list[Outcome] = []
        careful = False
        doubted: set[int] = set()
        async with self._slots:
            while len(outcomes) < len(unit):
                rest = unit[len(outcomes) :] if outcomes else unit
                sitting, cut = await self._sit(rest, careful, log, play)
                outcomes += sitting.outcomes
                if cut is Cut.DONE:
                    break
                left = len(unit) - len(outcomes)
                ending = await self._end(sitting.serial, now=cut is not Cut.EOF)
                certain = careful or left == 1  # else gathered replies may be lost: run those blocks again, one by one
                if ending is None and len(outcomes) not in doubted:  # its supervisor died too, perhaps first
                    doubted.add(len(outcomes))
                elif left and certain and cut is not Cut.SPENT:
                    outcomes.append(self._lost(cut, ending or _KERNEL, sitting))
                careful = True
        return outcomes

    async def _sit(self, unit: Sequence[BlockInput], careful: bool, log: Callable[[int, bytes], None] | None, play: Play) -> tuple[Sitting, Cut]:
        sock, sitting = await self._greeted_child(log)
        cut = None
        try:
            cut = await sitting.play(unit, careful, play)
            return sitting, cut
        finally:
            sock.close()
            if cut is None and self._control is not None:
                self._control.kill(sitting.serial)  # cancelled: nobody waits for what it was doing

    async def _greeted_child(self, log: Callable[[int, bytes], None] | None) -> tuple[socket.socket, Sitting]:
        """A process that is locked and ready. Those of a supervisor that died may still be in the queue."""
        for _ in range(_QUEUE_MAX):
            sock = await self._next_child()
            sitting = Sitting(sock, self._spec.limits, self._rules, len(self._spec.gpus), log)
            try:
                await sitting.greet()
                return sock, sitting
            except (EOFError, OSError):
                sock.close()
            except BaseException:
                sock.close()
                raise
        raise LocalError("sandboxed processes die before they are locked")

    def _lost(self, cut: Cut, ending: Ending, sitting: Sitting) -> Outcome:
        limits = self._spec.limits
        why = failure(cut, ending, limits.block_s, limits.output_bytes)
        log = sitting.log + (b"" if ending.tail in sitting.log else ending.tail)
        return Outcome(None, why, Usage(wall_s=sitting.ran_s, gpu_s=sitting.ran_s * len(self._spec.gpus)), log[: limits.log_bytes])

    async def _end(self, serial: int, now: bool) -> Ending | None:
        """How did that process end? None when its supervisor is dead too, and took the answer along."""
        control = self._control
        if control is not None:
            try:
                return await control.end(serial, now)
            except EOFError:
                await self._restart(control)
        return None

    async def _next_child(self) -> socket.socket:
        """The next locked process. Starts the sandbox again when it died."""
        for _ in range(_STARTS_MAX):
            if self._closed:
                raise LocalError("the sandbox was closed")
            control = self._control
            if control is not None:
                async with self._accepting:
                    child = await _accept_unless_dead(self._room.listener, control)
                if child is not None:
                    return child
            await self._restart(control)
        raise LocalError("the sandbox keeps dying", "Look at what else uses this machine's memory.")

    async def _restart(self, seen: _Control | None) -> None:
        async with self._starting:
            if self._control is not seen or self._closed:
                return
            if seen is not None:
                seen.close()
            self._control = None
            await self._enclosure.stop()
            self._room.drain()
            await self._start()

    async def aclose(self) -> None:
        """Kill what runs and remove every trace."""
        self._closed = True
        with trio.CancelScope(shield=True):
            if self._control is not None:
                self._control.close()
                self._control = None
            await self._enclosure.stop()
            if self._room.listener.fileno() >= 0:
                trio.lowlevel.notify_closing(self._room.listener.fileno())
            self._room.remove()


class _Control:
    """The connection to the supervisor. Whoever waits for an answer reads for all."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._in = bytearray()
        self._reading = trio.Lock()
        self._answers: dict[int, Ending | None] = {}

    async def hello(self) -> int:
        """Wait until the supervisor is ready. -> its walls. Raises LocalError with its trouble."""
        try:
            magic, role, number = frames.HELLO.unpack(await self._take(frames.HELLO.size))
            if role == frames.TROUBLE:
                text = await self._take(min(number, 4096))
                raise LocalError(f"the sandbox cannot be made: {text.decode('utf-8', 'replace')}")
        except EOFError:
            raise LocalError("the sandbox died while it started") from None
        assert magic == frames.MAGIC, "our own code said hello"
        return int(number)

    def kill(self, serial: int) -> None:
        """Ask for a process's end without waiting."""
        try:
            self.sock.send(frames.END.pack(serial, 1))
        except OSError:  # full or gone: the process sees the end of its own connection
            return

    async def end(self, serial: int, now: bool) -> Ending:
        """Have a process reaped. Raises EOFError when the supervisor is gone."""
        self._answers[serial] = None
        try:
            self.sock.send(frames.END.pack(serial, now))
            while (answer := self._answers[serial]) is None:
                async with self._reading:
                    if self._answers[serial] is None:
                        await self._read_answer()
            return answer
        except OSError:
            raise EOFError from None
        finally:
            self._answers.pop(serial, None)

    async def _read_answer(self) -> None:
        await self._have(frames.ENDED.size)
        serial, status, killed, size = frames.ENDED.unpack_from(self._in)
        await self._have(frames.ENDED.size + size)
        tail = bytes(self._in[frames.ENDED.size : frames.ENDED.size + size])
        del self._in[: frames.ENDED.size + size]
        if not serial:
            raise LocalError(f"sandboxed processes cannot start: {tail.decode('utf-8', 'replace')}")
        if serial in self._answers:
            self._answers[serial] = Ending(status, bool(killed), tail)

    async def alive(self) -> str:
        """Returns when the supervisor is gone, and only then. -> what it said of it, mostly nothing."""
        while True:
            async with self._reading:
                try:
                    await self._read_answer()
                except (EOFError, OSError):
                    return ""
                except LocalError as error:
                    return error.message

    async def _take(self, size: int) -> bytes:
        await self._have(size)
        data = bytes(self._in[:size])
        del self._in[:size]
        return data

    async def _have(self, size: int) -> None:
        while len(self._in) < size:
            try:
                chunk = self.sock.recv(65536)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self.sock.fileno())
                continue
            if not chunk:
                raise EOFError
            self._in += chunk

    def close(self) -> None:
        trio.lowlevel.notify_closing(self.sock.fileno())
        self.sock.close()


async def _accept(listener: socket.socket) -> socket.socket:
    while True:
        try:
            return _prepared(listener.accept()[0])
        except BlockingIOError:
            await trio.lowlevel.wait_readable(listener.fileno())


async def _accept_unless_dead(listener: socket.socket, control: _Control) -> socket.socket | None:
    """The next child, or None when the supervisor is gone; one that waits costs one call. Raises LocalError."""
    try:
        return _prepared(listener.accept()[0])
    except BlockingIOError:
        pass
    found: list[socket.socket] = []
    said = ""
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            nonlocal said
            said = await control.alive()
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        found.append(await _accept(listener))
        nursery.cancel_scope.cancel()
    if said and not found:
        raise LocalError(said)
    return found[0] if found else None


def _prepared(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)  # a block of 1 MiB goes out in one call
    return sock
