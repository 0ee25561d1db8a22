"""A session channel whose far end is an actor: frames are real, but no task and no credit stand behind that end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from ctorrent.errors import Unavailable
from ctorrent.model.ids import NodeId
from ctorrent.testing.fake_net import FakeNet


class Line:
    """ports.Channel, as the requester holds it. `hear`: called with each frame when it reaches the actor."""

    def __init__(self, net: FakeNet, requester: NodeId, peer: NodeId, hear: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self.peer = peer
        self.dialled = False
        self._net, self._requester, self._hear, self._lost = net, requester, hear, lost
        self._arrived: deque[bytes] = deque()
        self._readable = trio.Event()
        self._last_out = self._last_in = 0.0  # frames of one direction never overtake each other
        self.over = False

    # the requester's end ---------------------------------------------------------------------------------------------

    async def send(self, frame: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.over:
            raise Unavailable(f"the channel to {self.peer} is lost")
        self._last_out = self._due(self._last_out, self._requester, self.peer)
        self._net.post.at(self._last_out, lambda: self._reach(frame))

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._arrived:
            if self.over:
                raise Unavailable("the peer closed the channel")
            self._readable = trio.Event()
            await self._readable.wait()
        return self._arrived.popleft()

    async def aclose(self) -> None:
        self.lose()
        await trio.lowlevel.checkpoint()

    # the actor's end -------------------------------------------------------------------------------------------------

    def say(self, frame: bytes) -> None:
        """Send a frame to the requester."""
        if not self.over:
            self._last_in = self._due(self._last_in, self.peer, self._requester)
            self._net.post.at(self._last_in, lambda: self._land(frame))

    def lose(self) -> None:
        """Both ends lose it."""
        if not self.over:
            self.over = True
            self._readable.set()
            self._lost()

    def _due(self, last: float, one: NodeId, other: NodeId) -> float:
        return max(last, trio.current_time() + self._net.delay_s(one, other))

    def _reach(self, frame: bytes) -> None:
        if not self.over:
            self._hear(frame)

    def _land(self, frame: bytes) -> None:
        if not self.over:
            self._arrived.append(frame)
            self._readable.set()
