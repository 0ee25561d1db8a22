"""One stream of `yamux.Mux`: a bounded buffer, a window each way, and ends that cannot be mistaken for one another.

    open ──FIN sent──▶ half ──FIN received──▶ gone        a FIN is a clean end: MuxedStreamEOF
    open ──FIN received──▶ half ──FIN sent──▶ gone        a RST or a lost connection: MuxedStreamReset, always
    any  ──RST, connection lost──▶ broken

Reading and writing may be cancelled at any point: bytes leave the buffer in the step that returns them, and nothing
here holds the socket. Specification: github.com/hashicorp/yamux/blob/master/spec.md.
"""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING

import trio
from libp2p.abc import IMuxedStream
from libp2p.stream_muxer.exceptions import MuxedStreamEOF, MuxedStreamError, MuxedStreamReset

if TYPE_CHECKING:
    from ctorrent.net.cures.yamux import Mux

FIRST_WINDOW = 256 << 10  # fixed by the specification
WINDOW_MAX = 8 << 20  # hides 80 ms at 100 MB/s; js-yamux sends all its credit as one frame and the stock node dies at 16 MiB
QUICK_S = 0.004  # on a local network the scheduler, not the wire, makes a round trip of less
WINDOW_WAIT_S = 60.0  # a reader may be busy that long; the stock 5 s cut off honest ones
WRITE_BYTES = 65_507  # + 12 of header = one Noise message; 64 KiB would make three and half the speed


class MuxStream(IMuxedStream):  # type: ignore[misc]  # the library is untyped to us
    """What libp2p's NetStream wraps."""

    def __init__(self, conn: Mux, stream_id: int) -> None:
        self.stream_id = stream_id
        self.conn = conn
        self.muxed_conn = conn
        self.send_window = FIRST_WINDOW
        self.window = FIRST_WINDOW  # what the peer may have under way to us
        self.granted = FIRST_WINDOW  # how much of it is left
        self.send_closed = False
        self.recv_closed = False
        self.broken = False
        self.idle_since = trio.current_time()
        self.reading = False
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._counted = True  # in conn.buffered; no more once the connection forgot the stream
        self._consumed = 0  # read and not yet granted again
        self._updated = 0.0
        self._readable = trio.Event()
        self._writable = trio.Event()
        self._writing = trio.Lock()  # two writers would interleave

    # what the connection calls, always without waiting ------------------------------------------------------------

    def arrived(self, data: bytes) -> None:
        self.granted -= len(data)
        self._chunks.append(data)
        self._size += len(data)
        self.conn.buffered += len(data)
        self._readable.set()

    def may_write(self, increment: int) -> None:
        self.send_window += increment
        self._writable.set()

    def peer_finished(self) -> None:
        self.recv_closed = True
        self._readable.set()

    def break_off(self) -> None:
        """RST or a lost connection: whoever waits learns it now; what was not read is gone."""
        self.broken = self.send_closed = self.recv_closed = True
        self.uncount()
        self._chunks.clear()
        self._size = 0
        self._readable.set()
        self._writable.set()

    def uncount(self) -> None:
        """Forgotten by the connection: what is left unread lives as long as this object."""
        if self._counted:
            self._counted = False
            self.conn.buffered -= self._size

    # what libp2p calls --------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self.broken or (self.send_closed and self.recv_closed)

    async def read(self, n: int | None = None) -> bytes:
        """1..n bytes (what there is, at most 1 MiB, when n is None or -1). Raises MuxedStreamEOF or MuxedStreamReset."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self.reading = True
        try:
            while not self._size:
                self._raise_if_ended()
                self._readable = trio.Event()
                await self._readable.wait()
        finally:
            self.reading = False
        data = self._take(1 << 20 if n is None or n < 0 else n)
        self._grant(len(data))
        return data

    def _raise_if_ended(self) -> None:
        if self.broken:
            raise MuxedStreamReset("the stream was reset or its connection lost")
        if self.recv_closed:
            raise MuxedStreamEOF("the peer finished")

    def _take(self, n: int) -> bytes:
        parts, left = [], n
        while self._chunks and left:
            chunk = self._chunks.popleft()
            if len(chunk) > left:
                self._chunks.appendleft(chunk[left:])
                chunk = chunk[:left]
            parts.append(chunk)
            left -= len(chunk)
        size = n - left
        self._size -= size
        if self._counted:
            self.conn.buffered -= size
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _grant(self, size: int) -> None:
        """Give the window back when half of it was read; double it while the peer fills it faster than four round trips.

        Of the shortest trip seen: a longer one may only mean that our own windows fill the way, and small frames wait.
        """
        self._consumed += size
        if self._consumed < self.window // 2 or self.recv_closed:
            return
        now = trio.current_time()
        increment = self._consumed
        if now - self._updated < max(4 * self.conn.rtt_min, QUICK_S):
            increment += self.conn.grow(self)
        self._updated, self._consumed = now, 0
        self.granted += increment
        self.conn.send_window_update(self.stream_id, increment)

    async def write(self, data: bytes) -> None:
        """All of `data`. Raises MuxedStreamReset or MuxedStreamError; cancelled, an unknown prefix was sent."""
        async with self._writing:
            view, at = memoryview(data), 0
            while at < len(view):
                await self._wait_writable()
                size = min(self.send_window, WRITE_BYTES, len(view) - at)
                self.send_window -= size
                self.conn.send_data(self.stream_id, view[at : at + size])
                at += size

    async def _wait_writable(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.move_on_after(WINDOW_WAIT_S):
            while not self.broken and not self.send_closed:
                if self.send_window <= 0:
                    self._writable = trio.Event()
                    await self._writable.wait()
                elif self.conn.full:
                    await self.conn.room.park()
                else:
                    return
        if self.broken:
            raise MuxedStreamReset("the stream was reset or its connection lost")
        if self.send_closed:
            raise MuxedStreamError("the stream is closed for writing")
        raise MuxedStreamError(f"the peer opened no window for {WINDOW_WAIT_S:.0f} s")

    async def close(self) -> None:
        """Finish writing; the peer may still answer."""
        if not self.send_closed:
            self.send_closed = True
            self.idle_since = trio.current_time()
            self.conn.send_fin(self.stream_id)
            self._writable.set()
        self.conn.forget_if_closed(self)
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        """End both directions at once, and wake whoever reads or writes."""
        self.reset_nowait()
        await trio.lowlevel.checkpoint()

    def reset_nowait(self) -> None:
        if not self.closed:
            self.conn.send_reset(self.stream_id)
        self.break_off()
        self.conn.forget_if_closed(self)

    def set_deadline(self, ttl: int) -> bool:
        raise NotImplementedError("Yamux has no deadlines; use a cancel scope")

    def get_remote_address(self) -> tuple[str, int] | None:
        return self.conn.get_remote_address()

    async def __aenter__(self) -> MuxStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
