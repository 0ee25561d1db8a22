"""The control channel: the Door, served on a unix socket in the data folder to this user's own programs.

Frames are a u32 big-endian length and a canonical map (canon.py), both ways:

    request   {"id", "method", "args", "kwargs"}
    answer    {"id", "item"} …  then {"id", "result"}      (items only for the streams of door.STREAMS)
              {"id", "error": {"kind", "message", "hint"}} (kind: a class of errors.py)
              {"id", "part": bytes} … {"id", "end": True}  (an answer too long for one frame: the parts joined are it)

Several requests run at once on a connection; its end cancels them. Only the methods of Door can be called, and only
by processes of the user that runs the node: the kernel says whose they are, or a proof does (control_guard.py).
"""

from __future__ import annotations

import logging
import pathlib
from collections.abc import Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any

import trio

from ctorrent import canon, errors
from ctorrent.door import FRAME_BYTES_MAX, METHODS, STREAMS, Door, Plain
from ctorrent.node.control_guard import Guard
from ctorrent.node.control_place import Place, claim

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ControlRules:
    """Limits of the control channel. They guard against our own faults: whoever connects is the owner already."""

    frame_bytes_max: int = FRAME_BYTES_MAX
    part_bytes: int = 1 << 20  # long answers are cut here, so that short ones slip between
    page_bytes: int = 8 << 20  # a page of results ends after the row that passes this
    requests_max: int = 64  # at once on a connection: a page that asks everything at once needs about ten
    connections_max: int = 128  # a terminal needs one or two; far below the 1,024 descriptors of a process


async def serve_control(
    door: Door,
    path: pathlib.Path,
    rules: ControlRules = ControlRules(),
    *,
    task_status: Any = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `door` at `path` (`<data folder>/control.sock`) until cancelled. started() gives the socket's real path.

    Raises LocalError when another node serves this folder, or the folder is open to others.
    """
    place = claim(path)
    try:
        await _serve_place(door, place, rules, task_status)
    finally:
        place.release()


async def _serve_place(
    door: Door, place: Place, rules: ControlRules, task_status: Any
) -> None:
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(place.listening))
    gate, guard = trio.CapacityLimiter(rules.connections_max), Guard(place.secret)
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, partial(_greet, door, rules, gate, guard), [listener])
        task_status.started(place.socket)


async def _greet(
    door: Door, rules: ControlRules, gate: trio.CapacityLimiter, guard: Guard, stream: trio.SocketStream
) -> None:
    """One connection, from its first byte to its end. Nothing it does ends another."""
    if not await guard.admits(stream):
        log.warning("refused a control connection: not of a program of this user")
        await stream.aclose()
        return
    try:
        gate.acquire_on_behalf_of_nowait(stream)
    except trio.WouldBlock:
        log.warning("refused a control connection: %d are open", rules.connections_max)
        return
    try:
        await _Connection(door, rules, stream).run()
    finally:
        gate.release_on_behalf_of(stream)


class _Connection:
    """Reads requests, runs each in its own task, and writes their frames whole, one after another."""

    def __init__(self, door: Door, rules: ControlRules, stream: trio.SocketStream) -> None:
        self.door, self.rules, self.stream = door, rules, stream
        self.open: set[int] = set()
        # two frames wait at most: a client that reads slowly slows its requests, and costs no memory
        self.outbox, self.to_write = trio.open_memory_channel[bytes](2)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, nursery.cancel_scope)
            try:
                await self._read(nursery)
            except errors.PeerError as error:
                await self._send({"id": 0, "error": _as_plain(error)})
                self.outbox.close()  # the writer sends what is queued, then ends this connection
                return
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            nursery.cancel_scope.cancel()

    async def _write(self, scope: trio.CancelScope) -> None:
        try:
            async for frame in self.to_write:
                await self.stream.send_all(frame)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()

    async def _read(self, nursery: trio.Nursery) -> None:
        """Start a task per request until the client is gone. Raises PeerError for what is no request."""
        while (body := await self._receive_frame()) is not None:
            call = _Call.parse(body)
            if call.id in self.open:
                raise errors.Malformed(f"request {call.id} is still running: take another id")
            if len(self.open) >= self.rules.requests_max:
                busy = errors.Unavailable(f"{self.rules.requests_max} requests run on this connection.", "Wait for one.")
                await self._send({"id": call.id, "error": _as_plain(busy)})
                continue
            self.open.add(call.id)
            nursery.start_soon(self._answer, call)

    async def _receive_frame(self) -> bytes | None:
        head = await self._receive_exactly(4)
        if head is None:
            return None
        size = int.from_bytes(head, "big")
        if size > self.rules.frame_bytes_max:
            raise errors.LimitExceeded(f"A frame of {size} bytes: at most {self.rules.frame_bytes_max} are read.")
        return await self._receive_exactly(size)

    async def _receive_exactly(self, size: int) -> bytes | None:
        """`size` bytes, or None when the client ends before."""
        data = bytearray()
        while len(data) < size:
            more = await self.stream.receive_some(min(size - len(data), 1 << 16))
            if not more:
                return None
            data += more
        return bytes(data)

    async def _answer(self, call: _Call) -> None:
        try:
            await self._perform(call)
        except errors.CTorrentError as error:
            await self._send({"id": call.id, "error": _as_plain(error)})
        except Exception as error:  # noqa: BLE001  the outermost edge: one call's fault is not the node's end
            await self._send({"id": call.id, "error": _as_plain(_named(error, call))})
        finally:
            self.open.discard(call.id)

    async def _perform(self, call: _Call) -> None:
        method = call.checked(self.door)
        if call.method in STREAMS:
            async with aclosing(method(*call.args, **call.kwargs)) as items:
                async for item in items:
                    await self._send({"id": call.id, "item": item})
            result = None
        elif call.method == "results":
            result = await _page(self.door, self.rules.page_bytes, *call.args, **call.kwargs)
        else:
            result = await method(*call.args, **call.kwargs)
        await self._send({"id": call.id, "result": result})

    async def _send(self, answer: Plain) -> None:
        """Queue an answer; to a connection that has ended, nothing."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            for frame in _frames(answer, self.rules.part_bytes):
                await self.outbox.send(frame)


@dataclass(frozen=True, slots=True)
class _Call:
    id: int
    method: str
    args: list[Any]
    kwargs: Plain

    @classmethod
    def parse(cls, body: bytes) -> _Call:
        """Raises Malformed."""
        try:
            fields = canon.decode(body)
        except canon.CanonError as error:
            raise errors.Malformed(f"A request is not canonical: {error}.") from None
        shape = {"id": int, "method": str, "args": list, "kwargs": dict}
        if type(fields) is not dict or {key: type(value) for key, value in fields.items()} != shape:
            raise errors.Malformed("A request is a map of id, method, args and kwargs.")
        return cls(**fields)

    def checked(self, door: Door) -> Any:
        """The door's method, when it exists and takes these arguments. Raises Unsupported, LocalError."""
        method = getattr(door, self.method, None) if self.method in METHODS else None
        if method is None:
            raise errors.Unsupported(
                f"This node has no {self.method[:60]!r}.", "Its version may be older than this program's."
            )
        try:
            signature(method).bind(*self.args, **self.kwargs)
        except TypeError as error:
            raise errors.LocalError(f"{self.method} was called wrongly: {error}.") from None
        return method


async def _page(door: Door, page_bytes: int, job: str, after: int = -1, limit: int = 1000) -> list[Plain]:
    """Rows of results: at most `limit`, and none after the one that passes `page_bytes`.

    Asked for in growing steps, so that a job with large values never lies in memory whole.
    """
    rows: list[Plain] = []
    size, step = 0, 4
    while len(rows) < limit and size < page_bytes:
        asked = min(step, limit - len(rows))
        more = await door.results(job, after, asked)
        for row in more:
            rows.append(row)
            size += 200 + len(row.get("value", b"")) + len(row.get("params", b""))
            if size >= page_bytes:
                break
        if len(more) < asked:
            break
        after, step = more[-1]["index"], step * 4
    return rows


def _frames(answer: Plain, part_bytes: int) -> Iterator[bytes]:
    """One frame, or parts where it is long."""
    body = canon.encode(answer)
    if len(body) <= part_bytes:
        yield len(body).to_bytes(4, "big") + body
        return
    for start in range(0, len(body), part_bytes):
        yield from _frames({"id": answer["id"], "part": body[start : start + part_bytes]}, part_bytes + 64)
    yield from _frames({"id": answer["id"], "end": True}, part_bytes)


def _as_plain(error: errors.CTorrentError) -> Plain:
    return {"kind": type(error).__name__, "message": error.message, "hint": error.hint}


def _named(error: Exception, call: _Call) -> errors.CTorrentError:
    """The error of ours inside a nursery's group; anything else is a bug, logged with its trace."""
    if isinstance(error, ExceptionGroup):
        ours, rest = error.split(errors.CTorrentError)
        if ours is not None and rest is None:
            return _first(ours)
    log.error("%s failed inside the node", call.method, exc_info=error)
    return errors.LocalError(
        f"The node failed inside {call.method}: {type(error).__name__}: {error}.", "Its log has the whole trace."
    )


def _first(group: ExceptionGroup[errors.CTorrentError]) -> errors.CTorrentError:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, ExceptionGroup) else inner
