"""One channel: frames over one libp2p stream, moved by one reader task and one writer task that nobody cancels.

    send()     puts a frame whole into the queue, or waits for credit; cancelled while it waits, nothing was sent
    receive()  takes a frame whole from the queue, or waits; cancelled while it waits, nothing was lost
    aclose()   sends what is queued, finishes, and gives the peer a while to finish too

What is queued to send is bounded by the credit the peer gave, what is queued to receive by the credit we gave.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import trio
from libp2p.stream_muxer.exceptions import MuxedStreamEOF, MuxedStreamError

from ctorrent.errors import Malformed, PeerError, Unavailable
from ctorrent.model.ids import NodeId
from ctorrent.net.cures.guard import reset
from ctorrent.net.rules import ChannelRules
from ctorrent.wire.frame import FrameCodec, Hello
from ctorrent.wire.names import FRAME_BYTES_MAX

TRANSFER_BYTES = 256 << 10  # shorter ones say more about latency than about bandwidth
_PAUSE_S = 0.05  # a gap that ends a transfer: the sender had nothing to send

Measured = Callable[[NodeId, float], None]


class StreamChannel:
    """ports.Channel. `run` must be started in a nursery that outlives every user of the channel."""

    def __init__(
        self, stream: Any, peer: NodeId, dialled: bool, protocol: str, rules: ChannelRules, measured: Measured
    ) -> None:
        self.peer = peer
        self.dialled = dialled
        self.protocol = protocol
        self._stream = stream
        self._muxed = stream.muxed_stream
        self._rules = rules
        self._measured = measured
        hello = Hello(features=rules.features, credit_bytes=rules.credit_bytes, requires=rules.requires)
        self._codec = FrameCodec(hello)
        self._out: deque[bytes] = deque([self._codec.hello()])
        self._in: deque[bytes] = deque()
        self._error: PeerError | Unavailable | None = None
        self._closing = False
        self._sending = trio.Lock()  # first come, first sent: a small frame does not overtake a large one
        self._credit = trio.Event()
        self._readable = trio.Event()
        self._writable = trio.Event()
        self._reader_done = trio.Event()
        self._done = trio.Event()
        self.greeted = trio.Event()
        self._transfer_bytes = 0
        self._transfer_began = self._transfer_last = 0.0

    # for the program ----------------------------------------------------------------------------------------------

    async def send(self, frame: bytes) -> None:
        if len(frame) > FRAME_BYTES_MAX:
            raise ValueError(f"a frame of {len(frame)} bytes; larger values travel as blobs")
        async with self._sending:
            while not self._may_send(len(frame)):
                self._credit = trio.Event()
                await self._credit.wait()
            self._out.append(self._codec.header(len(frame)))
            self._out.append(frame)
            self._writable.set()

    def _may_send(self, size: int) -> bool:
        if self._error is not None:
            raise Unavailable(f"the channel to {self.peer} is lost: {self._error.message}")
        if self._closing:
            raise Unavailable("the channel is closed")
        return self._codec.may_send(size)

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._in:
            if self._error is not None:
                raise self._error
            self._readable = trio.Event()
            await self._readable.wait()
        frame = self._in.popleft()
        grant = self._codec.consumed(len(frame))
        if grant:
            self._out.append(grant)
            self._writable.set()
        return frame

    async def aclose(self) -> None:
        self._closing = True
        self._writable.set()
        self._credit.set()
        with trio.move_on_after(self._rules.close_s):
            await self._done.wait()

    # the two tasks ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Both tasks, until the stream ended both ways."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            await self._write()
            with trio.move_on_after(self._rules.linger_s):
                await self._reader_done.wait()
            if not self._reader_done.is_set():
                self._muxed.reset_nowait()  # wakes the reader
        self._fail(Unavailable("the channel is closed"))
        await self._forget()

    def abort(self, error: PeerError | Unavailable) -> None:
        """End at once, both ways."""
        self._fail(error)
        self._muxed.reset_nowait()

    async def _read(self) -> None:
        try:
            while True:
                data = await self._muxed.read(self._rules.read_bytes)
                frames = self._codec.receive(data)
                self._count(len(data))
                self._wake(frames)
        except MuxedStreamEOF:
            whole = self._codec.between_frames
            self._fail(Unavailable("the peer closed the channel") if whole else Malformed("the channel ends inside a frame"))
        except PeerError as error:
            self.abort(error)
        except MuxedStreamError as error:
            self._fail(Unavailable(f"the channel broke: {error}"))
        finally:
            self._reader_done.set()

    def _wake(self, frames: list[bytes]) -> None:
        if self._codec.peer is not None and not self.greeted.is_set():
            self.greeted.set()
        self._credit.set()
        if frames and not self._closing:  # after aclose() nobody will take them
            self._in.extend(frames)
            self._readable.set()

    def _fail(self, error: PeerError | Unavailable) -> None:
        if self._error is None:
            self._error = error
        for event in (self._readable, self._credit, self._writable, self.greeted):
            event.set()

    async def _write(self) -> None:
        try:
            while self._error is None:
                if self._out:
                    await self._muxed.write(self._batch())
                elif self._closing:
                    break
                else:
                    self._writable = trio.Event()
                    await self._writable.wait()
            await self._muxed.close()
        except MuxedStreamError as error:
            self.abort(Unavailable(f"the channel broke: {error}"))
        self._done.set()

    def _batch(self) -> bytes:
        parts, size = [], 0
        while self._out and size < self._rules.batch_bytes:
            part = self._out.popleft()
            parts.append(part)
            size += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _forget(self) -> None:
        """Let libp2p close its books on the stream."""
        self._done.set()
        await reset(self._stream)

    # bandwidth ----------------------------------------------------------------------------------------------------

    def _count(self, size: int) -> None:
        """Bytes a second while bytes keep coming; what came first is not counted, for nobody saw it start."""
        now = trio.current_time()
        if now - self._transfer_last > _PAUSE_S:
            self._transfer_began, self._transfer_bytes = now, 0
        else:
            self._transfer_bytes += size
        self._transfer_last = now
        took = now - self._transfer_began
        if self._transfer_bytes >= TRANSFER_BYTES and took > 0:
            self._measured(self.peer, self._transfer_bytes / took)
            self._transfer_began, self._transfer_bytes = now, 0

    @property
    def error(self) -> PeerError | Unavailable | None:
        """Why the channel ended, or None while it lives."""
        return self._error
