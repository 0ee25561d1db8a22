"""Yamux for hostile peers: libp2p's IMuxedConn, with bounded memory, and tasks that nobody cancels while it lives.

It replaces libp2p/stream_muxer/yamux/yamux.py of 0.8.1, where
  - a cancelled read or write breaks the connection (:875: the frame is lost after Noise counted it)
  - a RST or a lost connection reads as a clean end (:1060), and a local reset wakes nobody (:974)
  - a peer that ignores its window is only logged (:1315, :1433, :1546), and 64 KiB frames make three Noise messages (:150)
  - a missing pong is ignored (:719), and five seconds of closed window end a stream (:280)
  - inbound streams have no limit of their own, and the 257th outbound one waits for ever (:668)
and it is put in at muxer_multistream.py:143, which builds the stock class whatever `muxer_opt` says.

One task reads, one writes, one pings. Everything the reader does is synchronous, so it never waits for the writer and
two full directions cannot block each other. What a peer can make us queue (pongs, acknowledgements) is counted.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio
from libp2p.abc import ConnectionType, IMuxedConn, IMuxedStream
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import MuxedConnUnavailable, MuxedStreamError

from ctorrent.net.cures.budget import Budgets
from ctorrent.net.cures.pipe import PLAIN_BYTES_MAX, LostConnection, NoisePipe
from ctorrent.net.cures.yamux_stream import FIRST_WINDOW, WINDOW_MAX, MuxStream

DATA, WINDOW_UPDATE, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
_HEADER = struct.Struct(">BBHII")  # version, type, flags, stream id, length


@dataclass(frozen=True, slots=True)
class MuxLimits:
    """Per connection. What a peer can cost is about unread_bytes + inbound × 10 KB."""

    inbound: int = 256  # streams a peer may have open; what stock and go-yamux allow themselves
    outbound: int = 256  # ours; more would be refused by a stock peer
    opens_burst: int = 2_000  # inbound opens at once: many small blobs, each a stream
    opens_per_s: float = 300.0  # and for long; each costs ~1.5 ms of negotiation, so this is half a core
    extra_window_bytes: int = 32 << 20  # by which all windows together may grow: four streams at full speed
    unread_bytes: int = 64 << 20  # a peer whose data nobody reads is dropped: 256 first windows
    queued_bytes: int = 512 << 10  # ours, waiting for the socket; a write waits above it
    answers_bytes: int = 64 << 10  # pongs, acknowledgements, resets that the peer makes us queue and does not read
    ping_every_s: float = 10.0
    ping_attended_s: float = 1.0  # while somebody looks who is there
    ping_deadline_s: float = 20.0  # half-dead peers end within 30 s
    half_closed_s: float = 60.0  # a stream we finished and nobody reads
    flush_s: float = 0.5  # at close


@dataclass(frozen=True, slots=True)
class Abuse:
    points: int
    why: str


class _Broken(Exception):
    """The peer broke the protocol; carries what to charge."""


class Mux(IMuxedConn):  # type: ignore[misc]  # the library is untyped to us
    """A multiplexed connection. `charge` is called with what the peer did wrong."""

    def __init__(
        self,
        secured_conn: Any,
        peer_id: ID,
        is_initiator: bool,
        limits: MuxLimits | None = None,
        charge: Callable[[ID, Abuse], None] | None = None,
    ) -> None:
        self.secured_conn = secured_conn
        self.peer_id = peer_id
        self.on_close: Callable[[], Awaitable[None]] | None = None  # SwarmConn sets it
        self.event_started = trio.Event()
        self.event_closed = trio.Event()
        self.limits = limits or MuxLimits()
        self.buffered = 0  # bytes received and not read, all streams
        self.room = trio.lowlevel.ParkingLot()
        self.last_heard = trio.current_time()
        self._charge = charge or (lambda peer, abuse: None)
        self._initiator = is_initiator
        self._next_id = 1 if is_initiator else 2
        self._pipe = NoisePipe(secured_conn)
        self._streams: dict[int, MuxStream] = {}
        self._inbound = self._outbound = 0
        self._accept_in, self._accept_out = trio.open_memory_channel[MuxStream](self.limits.inbound)
        self._out: deque[bytes] = deque()
        self._out_bytes = self._answers = 0
        self._out_ready = trio.Event()
        self._grown = 0
        self._opens = Budgets(self.limits.opens_burst, self.limits.opens_per_s, keys_max=1)
        self._partial = bytearray()
        self._body: MuxStream | None = None
        self._body_left = 0
        self._body_ends = False  # with a FIN
        self._rtt = self.rtt_min = 0.0
        self._ping_sent = 0.0
        self._pong = trio.Event()
        self._attended, self._attended_since, self._attend = 0.0, 0.0, trio.Event()
        self._closing = False

    # the interface libp2p knows -----------------------------------------------------------------------------------

    @property
    def is_initiator(self) -> bool:
        return self._initiator

    @property
    def is_established(self) -> bool:
        return self.event_started.is_set() and not self._closing

    @property
    def is_closed(self) -> bool:
        return self.event_closed.is_set()

    def rtt(self) -> float:
        """Smoothed round trip in seconds; 0.0 before the first pong."""
        return self._rtt

    def attend(self, for_s: float) -> None:
        """Ask for a sign of life each ping_attended_s from now on, for so long."""
        now = trio.current_time()
        if now > self._attended:
            self._attended_since = now
            self._attend.set()
        self._attended = now + for_s

    def quiet_s(self) -> float:
        """Since the peer was last heard, though it is asked; 0.0 while it is not asked often."""
        now = trio.current_time()
        return now - max(self.last_heard, self._attended_since) if now <= self._attended else 0.0

    def traffic(self) -> tuple[int, int]:
        """Bytes received and sent."""
        return self._pipe.received, self._pipe.sent

    def get_transport_addresses(self) -> list[Any]:
        addresses: list[Any] = self.secured_conn.conn.read_writer.read_write_closer.get_transport_addresses()
        return addresses

    def get_connection_type(self) -> ConnectionType:
        return ConnectionType.DIRECT

    def get_remote_address(self) -> tuple[str, int] | None:
        address: tuple[str, int] | None = self.secured_conn.get_remote_address()
        return address

    async def start(self) -> None:
        """Run until the connection ends. Never raises but Cancelled: libp2p would stop the whole swarm."""
        try:
            async with trio.open_nursery() as nursery:
                for task in (self._read_loop, self._write_loop, self._ping_loop):
                    nursery.start_soon(self._until_end, task, nursery.cancel_scope)
                self.event_started.set()
        finally:
            self.event_started.set()
            self._end()
            await self._pipe.aclose()
            self.event_closed.set()
        if self.on_close is not None:
            await self.on_close()

    async def _until_end(self, task: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
        try:
            await task()
        except _Broken as broken:
            self._charge(self.peer_id, broken.args[0])
        except LostConnection:
            pass
        scope.cancel()

    def _end(self) -> None:
        self._closing = True
        self._accept_in.close()
        for stream in list(self._streams.values()):
            stream.break_off()
        self._streams.clear()
        self.room.unpark_all()
        self._out_ready.set()

    async def close(self) -> None:
        """Say goodbye, send what is queued within a short time, and close the socket."""
        if not self._closing:
            self._queue(_HEADER.pack(0, GO_AWAY, 0, 0, 0))
            with trio.CancelScope(shield=True), trio.move_on_after(self.limits.flush_s):
                while self._out_bytes and not self._closing:
                    await self.room.park()
        self._end()
        await self._pipe.aclose()
        self.event_closed.set()

    async def open_stream(self) -> IMuxedStream:
        """Raises MuxedStreamError when the connection ended or too many streams are open."""
        await trio.lowlevel.checkpoint()
        if self._closing:
            raise MuxedStreamError("the connection is closed")
        if self._outbound >= self.limits.outbound:
            raise MuxedStreamError(f"{self._outbound} streams are open to this peer already")
        stream = MuxStream(self, self._next_id)
        self._next_id += 2
        self._outbound += 1
        self._streams[stream.stream_id] = stream
        self._queue(_HEADER.pack(0, WINDOW_UPDATE, SYN, stream.stream_id, 0))
        return stream

    async def accept_stream(self) -> IMuxedStream:
        try:
            return await self._accept_out.receive()
        except trio.EndOfChannel:
            raise MuxedConnUnavailable("connection closed") from None

    # what streams call --------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        return self._out_bytes >= self.limits.queued_bytes

    def send_data(self, stream_id: int, data: memoryview) -> None:
        self._queue(b"".join((_HEADER.pack(0, DATA, 0, stream_id, len(data)), data)))

    def send_window_update(self, stream_id: int, increment: int) -> None:
        self._queue(_HEADER.pack(0, WINDOW_UPDATE, 0, stream_id, increment))

    def send_fin(self, stream_id: int) -> None:
        self._queue(_HEADER.pack(0, WINDOW_UPDATE, FIN, stream_id, 0))

    def send_reset(self, stream_id: int) -> None:
        self._queue(_HEADER.pack(0, WINDOW_UPDATE, RST, stream_id, 0))

    def grow(self, stream: MuxStream) -> int:
        """Double a stream's window if the connection can afford it. -> bytes by which it grew."""
        more = min(stream.window, WINDOW_MAX - stream.window)
        if more <= 0 or self._grown + more > self.limits.extra_window_bytes:
            return 0
        self._grown += more
        stream.window += more
        return more

    def forget_if_closed(self, stream: MuxStream) -> None:
        """Drop the books of a stream that ended both ways; its buffer stays readable."""
        if stream.closed and self._streams.pop(stream.stream_id, None) is not None:
            stream.uncount()
            self._grown -= stream.window - FIRST_WINDOW
            if self._is_ours(stream.stream_id):
                self._outbound -= 1
            else:
                self._inbound -= 1

    def _is_ours(self, stream_id: int) -> bool:
        return bool(stream_id % 2) == self._initiator

    # writing ------------------------------------------------------------------------------------------------------

    def _queue(self, frame: bytes) -> None:
        if not self._closing:
            self._out.append(frame)
            self._out_bytes += len(frame)
            self._out_ready.set()

    def _answer(self, frame: bytes) -> None:
        self._answers += len(frame)
        if self._answers > self.limits.answers_bytes:
            raise _Broken(Abuse(20, "makes answers faster than it reads them"))
        self._queue(frame)

    async def _write_loop(self) -> None:
        while True:
            if not self._out:
                self._out_ready = trio.Event()
                await self._out_ready.wait()
            messages, size = self._gather()
            await self._pipe.send(messages)
            self._out_bytes -= size
            self._answers = 0
            self.room.unpark_all()

    def _gather(self) -> tuple[list[bytes], int]:
        """Join queued frames into Noise messages as full as they go, up to 256 KiB."""
        messages: list[bytes] = []
        parts: list[bytes] = []
        size = total = 0
        while self._out and total < 256 << 10:
            frame = self._out.popleft()
            if size + len(frame) > PLAIN_BYTES_MAX:
                messages.append(b"".join(parts))
                parts, size = [], 0
            parts.append(frame)
            size += len(frame)
            total += len(frame)
        if parts:
            messages.append(parts[0] if len(parts) == 1 else b"".join(parts))
        return messages, total

    async def _ping_loop(self) -> None:
        await trio.sleep(0.05)  # the first one measures the latency, after the handshakes
        number = 0
        while True:
            number += 1
            self._pong = trio.Event()
            self._ping_sent = trio.current_time()
            self._queue(_HEADER.pack(0, PING, SYN, 0, number))
            with trio.move_on_after(self.limits.ping_deadline_s):
                await self._pong.wait()
            if not self._pong.is_set() and trio.current_time() - self.last_heard > self.limits.ping_deadline_s:
                raise LostConnection("no answer to a ping")
            self._sweep()
            self._attend = trio.Event()
            attended = trio.current_time() <= self._attended
            with trio.move_on_after(self.limits.ping_attended_s if attended else self.limits.ping_every_s):
                await self._attend.wait()

    def _sweep(self) -> None:
        limit = trio.current_time() - self.limits.half_closed_s
        for stream in list(self._streams.values()):
            if stream.send_closed and not stream.reading and stream.idle_since < limit:
                stream.reset_nowait()

    # reading: no await below this line but the socket's ------------------------------------------------------------

    async def _read_loop(self) -> None:
        while not self._closing:
            for message in await self._pipe.receive():
                self._feed(message)
            self.last_heard = trio.current_time()
            if self.buffered > self.limits.unread_bytes:
                raise _Broken(Abuse(50, "fills buffers that nobody reads"))

    def _feed(self, message: bytes) -> None:
        at, end = 0, len(message)
        while at < end:
            if self._body_left:
                size = min(self._body_left, end - at)
                self._deliver(message if size == end else message[at : at + size])
                at += size
            elif self._partial or end - at < _HEADER.size:
                take = min(_HEADER.size - len(self._partial), end - at)
                self._partial += message[at : at + take]
                at += take
                if len(self._partial) == _HEADER.size:
                    header = bytes(self._partial)
                    self._partial.clear()
                    self._frame(*_HEADER.unpack(header))
            else:
                self._frame(*_HEADER.unpack_from(message, at))
                at += _HEADER.size

    def _deliver(self, data: bytes) -> None:
        self._body_left -= len(data)
        if self._body is not None and not self._body.broken:
            self._body.arrived(data)
            if self._body_ends and not self._body_left:
                self._body.peer_finished()
                self.forget_if_closed(self._body)

    def _frame(self, version: int, kind: int, flags: int, stream_id: int, length: int) -> None:
        if version != 0 or kind > GO_AWAY:
            raise _Broken(Abuse(20, f"sends Yamux version {version}, type {kind}"))
        if kind == PING:
            self._ping(flags, length)
        elif kind == GO_AWAY:
            raise LostConnection("the peer said goodbye")
        else:
            self._stream_frame(kind, flags, stream_id, length)

    def _ping(self, flags: int, value: int) -> None:
        if flags & SYN:
            self._answer(_HEADER.pack(0, PING, ACK, 0, value))
        elif flags & ACK and not self._pong.is_set():
            took = trio.current_time() - self._ping_sent
            self._rtt = took if not self._rtt else (self._rtt + took) / 2
            self.rtt_min = min(self.rtt_min, took) if self.rtt_min else took
            self._pong.set()

    def _stream_frame(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        stream = self._open_inbound(stream_id) if flags & SYN else self._streams.get(stream_id)
        if kind == DATA:
            if length > (stream.granted if stream is not None else WINDOW_MAX):
                raise _Broken(Abuse(100, f"sends {length} bytes beyond the window"))
            self._body, self._body_left, self._body_ends = stream, length, False
        if stream is None:
            return
        if kind == WINDOW_UPDATE and length:
            if stream.send_window + length > 0xFFFFFFFF:
                raise _Broken(Abuse(20, "opens its window beyond 4 GiB"))
            stream.may_write(length)
        if flags & RST:
            stream.break_off()
        elif flags & FIN and kind == DATA and length:
            self._body_ends = True
        elif flags & FIN:
            stream.peer_finished()
        self.forget_if_closed(stream)

    def _open_inbound(self, stream_id: int) -> MuxStream | None:
        if stream_id == 0 or self._is_ours(stream_id) or stream_id in self._streams:
            raise _Broken(Abuse(20, f"opens stream {stream_id}, which is not its to open"))
        if self._inbound >= self.limits.inbound or not self._opens.take(None, trio.current_time()):
            self._charge(self.peer_id, Abuse(1, "opens streams too fast"))
            self._answer(_HEADER.pack(0, WINDOW_UPDATE, RST, stream_id, 0))
            return None
        stream = MuxStream(self, stream_id)
        try:
            self._accept_in.send_nowait(stream)
        except (trio.WouldBlock, trio.ClosedResourceError, trio.BrokenResourceError):
            self._answer(_HEADER.pack(0, WINDOW_UPDATE, RST, stream_id, 0))
            return None
        self._inbound += 1
        self._streams[stream_id] = stream
        self._answer(_HEADER.pack(0, WINDOW_UPDATE, ACK, stream_id, 0))
        return stream
