"""A bounded queue that one reader iterates: what a subscription is."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Feed(Generic[T]):
    """Starts when it is made, not when it is first read. When full, the newest is dropped, as in net/."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._queue: deque[T] = deque()
        self._wake = trio.Event()
        self.closed = False
        self.dropped = 0

    def put(self, item: T) -> None:
        if self.closed or len(self._queue) >= self._size_max:
            self.dropped += not self.closed
            return
        self._queue.append(item)
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def __aiter__(self) -> Feed[T]:
        return self

    async def __anext__(self) -> T:
        await trio.lowlevel.checkpoint()
        while not self._queue:
            if self.closed:
                raise StopAsyncIteration
            self._wake = trio.Event()
            await self._wake.wait()
        return self._queue.popleft()
