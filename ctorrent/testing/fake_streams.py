"""ports.Streams in one process: whole frames, in order, by credit; channels that are slow, cut off, or lost."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

import trio

from ctorrent.errors import LimitExceeded, PeerError, Unavailable, Unsupported
from ctorrent.model.ids import NodeId
from ctorrent.ports import Handler
from ctorrent.wire.frame import FRAME_COST
from ctorrent.wire.names import CREDIT_BYTES, FRAME_BYTES_MAX

if TYPE_CHECKING:
    from ctorrent.testing.fake_net import FakeHost, FakeNet

INBOUND_PER_PEER = 64  # as net/rules.py
INBOUND = 1024
OUTBOUND_PER_PEER = 128
_STALL_LOOK_S = 0.5  # how often a frame held up by a partition tries again


class _Pipe:
    """One direction of a channel."""

    def __init__(self, net: FakeNet, sender: NodeId, receiver: NodeId) -> None:
        self.net, self.sender, self.receiver = net, sender, receiver
        self.credit = CREDIT_BYTES
        self.has_credit = trio.Event()
        self.readable = trio.Event()
        self.arrived: deque[bytes] = deque()
        self._under_way: deque[bytes | None] = deque()  # None: the clean end
        self._free_at = 0.0  # when the line is free for the next frame
        self._last_at = 0.0
        self._stalled_since: float | None = None
        self.ended: Unavailable | None = None  # for the receiver, once all that arrived is read
        self.partner: _Pipe | None = None  # the other direction

    def carry(self, frame: bytes | None) -> None:
        """Put a frame, or the end, on its way; frames of one pipe never overtake each other."""
        net, now = self.net, trio.current_time()
        size = 0 if frame is None else len(frame) + FRAME_COST
        self.credit -= size
        self._free_at = max(now, self._free_at) + size / net.bandwidth_bytes_s(self.sender, self.receiver)
        self._last_at = max(self._last_at, self._free_at + net.delay_s(self.sender, self.receiver))
        self._under_way.append(frame)
        net.post.at(self._last_at, self._deliver)

    def _deliver(self) -> None:
        if self.ended is not None:
            return
        now = trio.current_time()
        if not self.net.reachable(self.sender, self.receiver):
            self._stalled_since = now if self._stalled_since is None else self._stalled_since
            if now - self._stalled_since < self.net.weather.detect_s:
                self.net.post.at(now + _STALL_LOOK_S, self._deliver)
            else:
                self.net.unlink(self.sender, self.receiver)
            return
        self._stalled_since = None
        frame = self._under_way.popleft()
        if frame is None:
            self.end(Unavailable("the peer closed the channel"))
        else:
            self.arrived.append(frame)
            self.readable.set()

    def take(self) -> bytes:
        frame = self.arrived.popleft()
        self.credit += len(frame) + FRAME_COST
        self.has_credit.set()
        return frame

    def end(self, why: Unavailable) -> None:
        """Nothing more will arrive; what is under way is lost."""
        if self.ended is None:
            self.ended = why
            self._under_way.clear()
            self.readable.set()
            self.has_credit.set()
            if self.partner is not None:  # who waits for credit to answer a peer that is gone waits in vain
                self.partner.has_credit.set()


class FakeChannel:
    """ports.Channel."""

    def __init__(self, peer: NodeId, dialled: bool, out: _Pipe, back: _Pipe) -> None:
        self.peer = peer
        self.dialled = dialled
        self._out, self._in = out, back
        back.partner = out
        self._closed = False
        self._order = trio.Lock()  # first come, first sent

    async def send(self, frame: bytes) -> None:
        if len(frame) > FRAME_BYTES_MAX:
            raise ValueError(f"a frame of {len(frame)} bytes; larger values travel as blobs")
        async with self._order:  # a checkpoint; from here to carry() nothing waits unless credit is short
            self._check()
            while self._out.credit < len(frame) + FRAME_COST:
                self._out.has_credit = trio.Event()
                await self._out.has_credit.wait()
                self._check()
            net = self._out.net
            if net.dice.random() < net.weather.channel_loss:
                net.post.after(net.delay_s(self._out.sender, self._out.receiver), self.lose)  # cut off in its middle
            else:
                self._out.carry(frame)

    def _check(self) -> None:
        if self._closed:
            raise Unavailable("the channel is closed")
        for pipe in (self._out, self._in):
            if pipe.ended is not None:
                raise Unavailable(f"the channel to {self.peer} is lost: {pipe.ended.message}")

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._in.arrived or self._closed:
            if self._closed:
                raise Unavailable("the channel is closed")
            if self._in.ended is not None:
                raise Unavailable(self._in.ended.message)
            self._in.readable = trio.Event()
            await self._in.readable.wait()
        return self._in.take()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._out.carry(None)
            self._in.end(Unavailable("the channel is closed"))
            self._out.has_credit.set()
        await trio.lowlevel.checkpoint()

    def lose(self) -> None:
        """Both ends lose it at once."""
        for pipe in (self._out, self._in):
            pipe.end(Unavailable("the channel broke"))

    @property
    def over(self) -> bool:
        return self._in.ended is not None and (self._closed or self._out.ended is not None)


class FakeStreams:
    """ports.Streams."""

    def __init__(self, net: FakeNet, host: FakeHost) -> None:
        self._net, self._host = net, host
        self._handlers: dict[str, Handler] = {}
        self._channels: dict[NodeId, list[FakeChannel]] = {}
        self._outbound: Counter[NodeId] = Counter()
        self.inbound: Counter[NodeId] = Counter()
        self.inbound_peak = 0  # the most that were ever open at once
        self.opened = 0  # channels that this host opened, ever

    async def open(self, peer: NodeId, protocol: str) -> FakeChannel:
        net, me = self._net, self._host.node
        if self._outbound[peer] >= OUTBOUND_PER_PEER:
            raise Unavailable(f"{OUTBOUND_PER_PEER} channels to {peer} are open already")
        await self._host.directory.reach(peer)
        await trio.sleep(net.delay_s(me, peer) + net.delay_s(peer, me))  # negotiation and Hellos
        if not net.reachable(me, peer) or peer not in net.links[me]:
            raise Unavailable(f"no stream to {peer}")
        return net.hosts[peer].streams.accept(self, me, protocol)

    def accept(self, opener: FakeStreams, peer: NodeId, protocol: str) -> FakeChannel:
        """The served side of open(): start the handler, return the opener's end."""
        handler = self._handlers.get(protocol)
        if handler is None:
            raise Unsupported(f"{self._host.node} does not speak {protocol}", "Is it another program, or a newer version?")
        crowds = self.inbound[peer] >= INBOUND_PER_PEER
        if crowds or self.inbound.total() >= INBOUND:
            if crowds:  # who comes when all places are taken did nothing wrong
                self._host.directory.charge(peer, 1, "opens too many channels")
            raise Unavailable(f"{self._host.node} has too many channels open")
        there, back = _Pipe(self._net, peer, self._host.node), _Pipe(self._net, self._host.node, peer)
        mine, theirs = FakeChannel(peer, False, back, there), FakeChannel(self._host.node, True, there, back)
        self._keep(mine)
        opener._keep(theirs)
        opener.opened += 1
        opener._outbound[self._host.node] += 1
        self.inbound[peer] += 1
        self.inbound_peak = max(self.inbound_peak, self.inbound.total())
        self._host.nursery.start_soon(self._handle, handler, mine, opener)
        return theirs

    def _keep(self, channel: FakeChannel) -> None:
        held = self._channels.setdefault(channel.peer, [])
        held[:] = [c for c in held if not c.over]
        held.append(channel)

    def serve(self, protocol: str, handler: Handler) -> None:
        self._handlers[protocol] = handler

    async def _handle(self, handler: Handler, channel: FakeChannel, opener: FakeStreams) -> None:
        try:
            await handler(channel)
        except PeerError as error:
            self._host.directory.charge(channel.peer, 20 if isinstance(error, LimitExceeded) else 10, error.message)
            channel.lose()
        except Unavailable:
            pass  # the peer went away: nobody's fault
        finally:
            self.inbound[channel.peer] -= 1
            opener._outbound[self._host.node] -= 1
            with trio.CancelScope(shield=True):
                await channel.aclose()

    def lose(self, peer: NodeId) -> None:
        """The connection to a peer is gone, and every channel on it."""
        for channel in self._channels.pop(peer, []):
            channel.lose()
