"""Messages over a channel, after both sides have said who they are."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import trio

from ctorrent.errors import CTorrentError, LimitExceeded, Malformed, Unavailable
from ctorrent.model.identity import PeerIdentity
from ctorrent.model.ids import NodeId
from ctorrent.model.session import Introduction, Message, Unknown, UnsupportedKind
from ctorrent.node.patience import Patience
from ctorrent.node.people import People
from ctorrent.ports import Channel, Streams
from ctorrent.wire import codec, names

INTRODUCTION_S = 15.0  # two round trips on a bad line, and a node busy with something else
HANG_UP_S = 2.0  # for what is queued to leave; the channel itself resets what stays longer
IDLE_BYTES = 4096  # of them count as one more such message
IDLE_BURST, IDLE_PER_S = 2000, 50.0  # messages that lead to nothing: asking for jobs that ended, late results
OUTBOX = 4096  # messages that wait for a slow peer before it is given up; an assignment is ~1 KB


class Session:
    """Typed messages both ways. `post` never waits: effects of machines must not depend on a peer's pace."""

    def __init__(self, channel: Channel, identity: PeerIdentity) -> None:
        self.channel = channel
        self.identity = identity
        self.lost = trio.Event()
        self._idle = Patience(IDLE_BURST, IDLE_PER_S, kept=1)
        self._outbox, self._pending = trio.open_memory_channel[Message | bytes](OUTBOX)

    def post(self, message: Message | bytes) -> None:
        """Queue a message (or one already encoded). A peer that lets OUTBOX of them pile up is gone: the session ends."""
        if self.lost.is_set():
            return
        try:
            self._outbox.send_nowait(message)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self.lost.set()

    def post_if_idle(self, message: Message) -> None:
        """Queue what may be lost: dropped while much else waits, so that a flood of logs never ends a session."""
        if self._outbox.statistics().current_buffer_used < OUTBOX // 4:
            self.post(message)

    def unsaid(self) -> int:
        """Messages that wait to leave; none when the session is over."""
        return 0 if self.lost.is_set() else self._outbox.statistics().current_buffer_used

    async def send(self, message: Message) -> None:
        """Queue a message, waiting while the queue is full. Raises Unavailable when the session is over."""
        try:
            await self._outbox.send(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Unavailable(f"the session with {self.identity.node} is over") from None

    async def receive(self) -> Message:
        """Next message; unknown kinds are answered and skipped."""
        while True:
            message = codec.decode_message(await self.channel.receive())
            if not isinstance(message, Unknown):
                return message
            self.idle_talk()
            self.post(UnsupportedKind(message.kind))

    def idle_talk(self, size_bytes: int = 0) -> None:
        """The peer said what leads to no work. Raises LimitExceeded when it does little else."""
        if not self._idle.take("", trio.current_time(), 1 + size_bytes / IDLE_BYTES):
            raise LimitExceeded(f"{self.identity.node} talks and talks, and does no work")

    async def pump(self) -> None:
        """Carry the outbox to the channel until the session ends; then close the channel."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_lost, nursery.cancel_scope)
                await self._carry()
                nursery.cancel_scope.cancel()
        finally:
            self.lost.set()
            self._pending.close()
            await hang_up(self.channel)

    async def _carry(self) -> None:
        try:
            async for message in self._pending:
                await self.channel.send(message if isinstance(message, bytes) else codec.encode_message(message))
        except CTorrentError:
            pass

    async def _until_lost(self, scope: trio.CancelScope) -> None:
        """Whoever ends the session does not wait for the peer to say something more."""
        await self.lost.wait()
        scope.cancel()


async def hang_up(channel: Channel) -> None:
    """Close a channel, also while being cancelled, and wait no longer for it than a moment."""
    with trio.CancelScope(shield=True), trio.move_on_after(HANG_UP_S), contextlib.suppress(CTorrentError):
        await channel.aclose()


@contextlib.asynccontextmanager
async def called(streams: Streams, peer: NodeId, protocol: str, people: People) -> AsyncIterator[Channel]:
    """A channel to a peer on which both have introduced themselves, until the block ends. Raises CTorrentError."""
    channel = await streams.open(peer, protocol)
    try:
        await introduce(channel, people)
        yield channel
    finally:
        await hang_up(channel)


async def greet(streams: Streams, peer: NodeId, people: People) -> None:
    """Exchange introductions and nothing else: each hears what the other says of itself now. Raises CTorrentError."""
    async with called(streams, peer, names.JOIN, people):
        pass


async def introduce(channel: Channel, people: People) -> Session:
    """Exchange introductions. Raises PeerError or Unavailable."""
    with trio.move_on_after(INTRODUCTION_S):
        await channel.send(codec.encode_message(people.introduction(channel.peer)))
        said = codec.decode_message(await channel.receive())
        if not isinstance(said, Introduction):
            raise Malformed(f"{channel.peer} began with {type(said).__name__} instead of an introduction")
        return Session(channel, people.learn(channel.peer, said))
    raise Unavailable(f"{channel.peer} did not introduce itself within {INTRODUCTION_S:.0f} s")
