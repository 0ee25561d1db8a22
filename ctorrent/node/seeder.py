"""Blobs to and from peers: one request after another on a channel, chunks in order, checked by hash at the end."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import trio

from ctorrent.errors import CTorrentError, LimitExceeded, Malformed, PeerError, Unavailable
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.session import BlobHead, BlobRequest, Message
from ctorrent.node.session import hang_up
from ctorrent.ports import BlobStore, Channel, Directory, Streams
from ctorrent.wire import codec, names

log = logging.getLogger(__name__)

CHUNK_BYTES = names.FRAME_BYTES_MAX // 2  # two chunks a frame limit: the second is read while the first is sent
CHANNELS_A_PEER = 4  # fetches from one peer at once: more only share the same line
IDLE_S = 60.0  # a peer that sends no chunk for so long is given up
RATE_MIN_BYTES_S = 16 << 10  # below a modem's, somebody holds a place and a line on purpose
CHUNK_MIN_BYTES = 4 << 10  # but for the last one: each costs a write
PEERS_MAX = 256  # whose idle channels are kept for the next fetch
REQUEST_IDLE_S = 600.0  # a served channel that asks nothing for so long is closed


@dataclass(slots=True)
class _Line:
    """Channels to one peer: those free now, and how many there may be."""

    limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(CHANNELS_A_PEER))
    free: list[Channel] = field(default_factory=list)


class WrongSize(Malformed):
    """A blob has other bytes than whoever gives it said before."""


class Seeder:
    """Serves every blob this node has to whoever knows its hash: a hash of 256 bits is the permission."""

    def __init__(self, blobs: BlobStore, streams: Streams, directory: Directory, node: NodeId) -> None:
        self._blobs, self._streams, self._directory, self._node = blobs, streams, directory, node
        self._lines: dict[NodeId, _Line] = {}
        self._under_way: dict[Digest, trio.Event] = {}

    async def serve(self, channel: Channel) -> None:
        """Handler of the blob protocol."""
        try:
            while True:
                with trio.fail_after(REQUEST_IDLE_S):
                    request = codec.decode_message(await channel.receive())
                if not isinstance(request, BlobRequest):
                    raise Malformed(f"{type(request).__name__} on a blob channel")
                await self._answer(channel, request)
        except (trio.TooSlowError, Unavailable, KeyError):  # KeyError: the blob was tidied away meanwhile
            pass
        finally:
            await hang_up(channel)

    async def _answer(self, channel: Channel, request: BlobRequest) -> None:
        size = self._blobs.size(request.blob)
        if size is None or request.offset < 0:
            await channel.send(codec.encode_message(BlobHead(-1)))
            return
        await channel.send(codec.encode_message(BlobHead(size)))
        for offset in range(request.offset, size, CHUNK_BYTES):
            await channel.send(await self._blobs.read(request.blob, offset, min(CHUNK_BYTES, size - offset)))

    async def fetch_all(self, limits: Mapping[Digest, int], sources: Sequence[NodeId], exact: bool = False) -> None:
        """Have all of these, several on their way at once, none of more bytes than its limit; exact: of no fewer either.

        Raises the first error: Unavailable, LocalError of the disk, or, where they are to be exact, WrongSize.
        """
        failed: list[CTorrentError] = []

        async def one(blob: Digest, limit: int) -> None:
            try:
                await self.fetch(blob, sources, limit, exact)
            except CTorrentError as error:
                failed.append(error)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for blob, limit in limits.items():
                nursery.start_soon(one, blob, limit)
        if failed:
            raise failed[0]

    async def fetch(self, blob: Digest, sources: Iterable[NodeId], limit: int, exact: bool = False) -> None:
        """Have `blob` in the store, from the first source that gives it. Raises Unavailable with what each said; see fetch_all."""
        while blob in self._under_way:
            await self._under_way[blob].wait()
        if self._blobs.size(blob) is not None:
            return
        self._under_way[blob] = trio.Event()
        try:
            await self._from_any(blob, sources, limit, exact)
        finally:
            self._under_way.pop(blob).set()

    async def _from_any(self, blob: Digest, sources: Iterable[NodeId], limit: int, exact: bool) -> None:
        said = []
        for source in sources:
            if source == self._node:
                continue
            try:
                await self._resumed(source, blob, limit, exact)
                return
            except WrongSize:  # who described the blob is who gives it: asking again brings nothing
                raise
            except Unavailable as error:
                said.append(error.message)
            except PeerError as error:
                self._directory.charge(source, 10, error.message)
                said.append(error.message)
        raise Unavailable(f"blob {blob.hex()[:12]} is not to be had: {'; '.join(said) or 'nobody has it'}")

    async def _resumed(self, source: NodeId, blob: Digest, limit: int, exact: bool) -> None:
        """From where an earlier try ended; if that was damaged here meanwhile, from the start, and nobody is blamed."""
        if begun := self._blobs.partial(blob):
            try:
                await self._from(source, blob, limit, exact, begun)
                return
            except PeerError as error:
                log.info("blob %s begins anew: %s", blob.hex()[:12], error.message)
        await self._from(source, blob, limit, exact, 0)

    async def _from(self, source: NodeId, blob: Digest, limit: int, exact: bool, offset: int) -> None:
        line = self._lines.setdefault(source, _Line())
        async with line.limiter:
            channel, head = await self._asked(line, source, BlobRequest(blob, offset))
            whole = False
            try:
                if exact and isinstance(head, BlobHead) and head.size_bytes not in (-1, limit):
                    raise WrongSize(f"the job lists a file of {limit} bytes, which has {head.size_bytes}")
                if not isinstance(head, BlobHead) or head.size_bytes > limit:
                    raise LimitExceeded(f"{source} answered a blob request with {head!r:.80}; the limit is {limit}")
                if head.size_bytes < 0:
                    whole = True
                    raise Unavailable(f"{source} does not have it")
                if head.size_bytes < offset:
                    raise Malformed(f"{source} has fewer bytes of it than came before")
                await self._blobs.receive(blob, head.size_bytes, self._chunks(channel, head.size_bytes - offset), offset)
                whole = True
            finally:
                if whole:
                    line.free.append(channel)
                else:
                    await hang_up(channel)
        await self._tidy()

    async def _asked(self, line: _Line, source: NodeId, request: BlobRequest) -> tuple[Channel, Message]:
        """A channel on which the blob was asked for, and what was answered first."""
        while True:
            kept = bool(line.free)
            channel = line.free.pop() if kept else await self._streams.open(source, names.BLOB)
            try:
                with trio.fail_after(IDLE_S):
                    await channel.send(codec.encode_message(request))
                    return channel, codec.decode_message(await channel.receive())
            except trio.TooSlowError:
                await hang_up(channel)
                raise Unavailable(f"{source} sent nothing for {IDLE_S:.0f} s") from None
            except BaseException as error:
                await hang_up(channel)
                if not (kept and isinstance(error, Unavailable)):  # one kept from before may have been closed since
                    raise

    async def _tidy(self) -> None:
        """Close what is kept for peers that were not asked for longest."""
        while len(self._lines) > PEERS_MAX:
            idle = (peer for peer, line in self._lines.items() if not line.limiter.borrowed_tokens)
            if (old := next(idle, None)) is None:
                return
            for channel in self._lines.pop(old).free:
                await hang_up(channel)

    async def _chunks(self, channel: Channel, left: int) -> AsyncIterator[bytes]:
        latest = trio.current_time() + IDLE_S + left / RATE_MIN_BYTES_S
        while left:
            deadline = min(latest, trio.current_time() + IDLE_S)
            with trio.CancelScope(deadline=deadline) as scope:
                chunk = await channel.receive()
            if scope.cancelled_caught:
                raise Unavailable(f"{channel.peer} sends a blob too slowly, or not at all")
            left -= len(chunk)
            if left < 0 or len(chunk) < min(CHUNK_MIN_BYTES, left + len(chunk)):
                raise Malformed(f"{channel.peer} sent more than the blob's size, or crumbs of it")
            yield chunk
