"""A channel from a node to itself, so that the requester's own node is a worker like any other."""

from __future__ import annotations

import trio

from ctorrent.errors import Unavailable
from ctorrent.model.ids import NodeId

FRAMES = 64  # as many as a remote channel's credit lets through in full-size frames, several times over


class LoopbackChannel:
    """One end; see pair(). Implements ports.Channel."""

    def __init__(
        self,
        peer: NodeId,
        dialled: bool,
        send: trio.MemorySendChannel[bytes],
        receive: trio.MemoryReceiveChannel[bytes],
    ) -> None:
        self.peer = peer
        self.dialled = dialled
        self._send = send
        self._receive = receive

    async def send(self, frame: bytes) -> None:
        try:
            await self._send.send(frame)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Unavailable("the channel to this node itself is closed") from None

    async def receive(self) -> bytes:
        try:
            return await self._receive.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise Unavailable("the channel to this node itself is closed") from None

    async def aclose(self) -> None:
        self._send.close()
        self._receive.close()
        await trio.lowlevel.checkpoint()


def pair(node: NodeId) -> tuple[LoopbackChannel, LoopbackChannel]:
    """(dialling end, serving end)."""
    there_send, there_receive = trio.open_memory_channel[bytes](FRAMES)
    back_send, back_receive = trio.open_memory_channel[bytes](FRAMES)
    return (
        LoopbackChannel(node, True, there_send, back_receive),
        LoopbackChannel(node, False, back_send, there_receive),
    )
