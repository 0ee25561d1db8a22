"""One request's body and one answer, between the server and the application: bounded, with our headers, to a clean end.

The server's queue of body pieces is short, and who ends an answer while it is full waits for ever on itself. So an
answer to a body that was not read to its end (it was too long, or its sender a stranger) is ended beside a task that
throws the rest of the body away; and the end waits a moment for it, since a client that still sends may lose an answer
with the connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import trio

from ctorrent.web.problems import Problem
from ctorrent.web.rules import WebRules

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

LINGER_S = 2.0  # for what a client has on its way when it is answered


class Exchange:
    """limit: of the body, in bytes. headers: to join those of the answer."""

    def __init__(self, receive: Receive, send: Send, limit: int, rules: WebRules, headers: Headers, bodiless: bool) -> None:
        self._receive, self._send = receive, send
        self._limit, self._rules, self._headers = limit, rules, tuple(headers)
        self._size, self._ended = 0, bodiless
        self._over = trio.Event()

    async def receive(self) -> Message:
        """The next of the body. Raises Problem when it is too long, or does not come."""
        if self._ended:  # waits for the client's end, which an event stream does for hours
            return await self._receive()
        with trio.move_on_after(self._rules.stall_s):
            message = await self._next()
            if self._size > self._limit:
                raise too_large(self._limit)
            return message
        raise Problem(408, f"No byte of the body came for {self._rules.stall_s:g} seconds.", "Send it again.")

    async def _next(self) -> Message:
        message = await self._receive()
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        self._size += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            own = {name.lower() for name, _ in headers}
            message = {**message, "headers": [*headers, *(pair for pair in self._headers if pair[0] not in own)]}
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not last or self._ended:
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._throw_away)
            with trio.move_on_after(LINGER_S):
                await self._over.wait()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            nursery.cancel_scope.cancel()

    async def _throw_away(self) -> None:
        while not self._ended:
            await self._next()
        self._over.set()


def too_large(limit: int) -> Problem:
    return Problem(413, f"The body is longer than the {limit:,} bytes that this call takes.", "Large data is uploaded: POST /api/v1/blobs.")
