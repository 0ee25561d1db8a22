"""What changes, as it does: server-sent events and a WebSocket, the same items on both."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import trio
from fastapi import APIRouter, Response, WebSocket
from starlette.websockets import WebSocketDisconnect

from ctorrent.door import Door, Plain
from ctorrent.errors import CTorrentError
from ctorrent.web import problems
from ctorrent.web.jsonable import text_of
from ctorrent.web.problems import Problem
from ctorrent.web.said import EVENTS, raw
from ctorrent.web.streams import HOLDS, Events, Streams, until_revoked

GOING, POLICY, TRY_LATER = 1001, 1008, 1013  # of RFC 6455, and its registry


def router(door: Door, streams: Streams) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["live"])

    @routes.get("/events", summary="Live updates as server-sent events", **raw(EVENTS))
    async def events() -> Response:
        """Each event's data is a map with `kind`: job, gone, peers, machine or pool. It begins with the present state of each."""
        return Events(door.events, streams)

    @routes.websocket("/ws")
    async def socket(connection: WebSocket) -> None:
        try:
            streams.enter(connection)
        except Problem as problem:
            await connection.close(TRY_LATER, str(problem.detail)[:100])
            return
        try:
            await connection.accept()
            holds = connection.scope[HOLDS]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, connection, nursery.cancel_scope)
                nursery.start_soon(until_revoked, holds, nursery.cancel_scope)
                await _send(door, connection)
                nursery.cancel_scope.cancel()
            if not holds():
                await connection.close(POLICY, "The token or cookie that opened this holds no longer.")
        finally:
            streams.leave(connection)

    return routes


async def _send(door: Door, connection: WebSocket) -> None:
    try:
        async with aclosing(cast(AsyncGenerator[Plain, None], door.events())) as stream:
            async for item in stream:
                await connection.send_text(text_of(item))
    except CTorrentError as error:
        await connection.send_text(text_of({"kind": "problem", **problems.body(problems.status_of(error), error.message, error.hint)}))
    except WebSocketDisconnect:
        return
    await connection.close(GOING)


async def _until_gone(connection: WebSocket, scope: trio.CancelScope) -> None:
    """What the other side says is not asked for; that it leaves is."""
    while (await connection.receive())["type"] != "websocket.disconnect":
        pass
    scope.cancel()
