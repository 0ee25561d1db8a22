"""Answers that go on: files in pieces, and server-sent events. A reader that is slow slows only its own."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import aclosing
from typing import Any, TypeVar, cast

import trio
from fastapi.responses import Response

from ctorrent.door import Plain
from ctorrent.errors import CTorrentError
from ctorrent.web import problems
from ctorrent.web.jsonable import text_of
from ctorrent.web.loglines import HOLD_S, Lines
from ctorrent.web.problems import Problem

HOLDS = "ctorrent.holds"  # in a scope: does what let this request in still hold?
HOLDS_S = 0.5  # between two looks: a file's stamp and a digest, 40 µs
Item = TypeVar("Item", bound=Plain | bytes)
Source = Callable[[], AsyncIterator[Plain]]
Told = Callable[[], AsyncIterator[Plain | bytes]]  # items, or events as they are written
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def _of(source: Callable[[], AsyncIterator[Item]]) -> AsyncGenerator[Item, None]:
    """Every stream of the door is a generator, which wants an end where it is left early."""
    return cast(AsyncGenerator[Item, None], source())


class Download(Response):
    """A stream of {"bytes"} as a file. `begun` makes it, so that an error of its beginning is still an error."""

    media_type = "application/octet-stream"

    def __init__(self, pieces: AsyncGenerator[Plain, None], first: bytes, name: str) -> None:
        super().__init__(headers={"content-disposition": f'attachment; filename="{name}"'})
        del self.headers["content-length"]
        self._pieces, self._first = pieces, first

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with aclosing(self._pieces):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._first, "more_body": True})
            async for piece in self._pieces:
                await send({"type": "http.response.body", "body": piece["bytes"], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def begun(source: Source, name: str) -> Download:
    """A download whose first piece is there. name: of the file, of plain letters. Raises what the stream raises."""
    pieces = _of(source)
    try:
        first = await anext(pieces, {"bytes": b""})
    except BaseException:
        await pieces.aclose()
        raise
    return Download(pieces, first["bytes"], name)


class Streams:
    """How many event streams may be open, and for how long they may be silent."""

    def __init__(self, streams_max: int, ping_s: float) -> None:
        self._gate, self.ping_s = trio.CapacityLimiter(streams_max), ping_s

    def enter(self, token: object) -> None:
        """Raises Problem when there are enough."""
        try:
            self._gate.acquire_on_behalf_of_nowait(token)
        except trio.WouldBlock:
            raise Problem(503, f"{self._gate.total_tokens} event streams are open here already.", "Close a page, or ask without a stream.", {"Retry-After": "5"}) from None

    def leave(self, token: object) -> None:
        self._gate.release_on_behalf_of(token)


class Events(Response):
    """Server-sent events: each item of a stream as `data:`, then `event: end`; an error as `event: problem`.

    lines: for logs, which come in fragments.
    """

    media_type = "text/event-stream"

    def __init__(self, source: Told, streams: Streams, lines: Lines | None = None) -> None:
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._source, self._streams, self._lines = source, streams, lines
        streams.enter(self)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b": connected\n\n", "more_body": True})
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_gone, receive, nursery.cancel_scope)
                nursery.start_soon(until_revoked, scope[HOLDS], nursery.cancel_scope)
                await said(self._source, self._lines, self._streams.ping_s, lambda text: send({"type": "http.response.body", "body": text, "more_body": True}))
                nursery.cancel_scope.cancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._streams.leave(self)


async def until_revoked(holds: Callable[[], object], scope: trio.CancelScope) -> None:
    """Cancel when the token or cookie that opened a stream lets in no more."""
    while holds():  # noqa: ASYNC110 - what a file says, and the time
        await trio.sleep(HOLDS_S)
    scope.cancel()


async def said(source: Told, lines: Lines | None, ping_s: float, write: Callable[[bytes], Awaitable[None]]) -> None:
    """Write a stream as events, with a comment where it is silent. It is asked for an item when the one before is written."""
    give, take = trio.open_memory_channel[Plain | bytes](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pump, source, give)
        while True:
            text = b""
            with trio.move_on_after(HOLD_S if lines and lines.held else ping_s) as silence:
                try:
                    text = _text(await take.receive(), lines)
                except trio.EndOfChannel:
                    return
            if silence.cancelled_caught:
                text = _data(lines.due(math.inf) if lines else []) or b": still here\n\n"
            if text:
                await write(text)


async def _pump(source: Told, give: trio.MemorySendChannel[Plain | bytes]) -> None:
    """Items as they are, then what else is to be written."""
    async with give, aclosing(_of(source)) as stream:
        try:
            async for item in stream:
                await give.send(item)
        except CTorrentError as error:
            found = problems.body(problems.status_of(error), error.message, error.hint, type(error).__name__)
            await give.send(b"event: problem\ndata: " + text_of(found).encode() + b"\n\n")
        await give.send(b"event: end\ndata: {}\n\n")


def _text(item: Plain | bytes, lines: Lines | None) -> bytes:
    if isinstance(item, bytes):
        return _data(lines.due(math.inf) if lines else []) + item
    now = trio.current_time()
    return _data(lines.add(item, now) + lines.due(now) if lines else [item])


def _data(items: list[Plain]) -> bytes:
    return b"".join(map(event, items))


def event(item: Plain) -> bytes:
    """As it is written."""
    return b"data: " + text_of(item).encode() + b"\n\n"


async def _gone(receive: Receive, scope: trio.CancelScope) -> None:
    """Cancel when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
