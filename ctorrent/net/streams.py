"""ports.Streams: channels by protocol id, within limits, both Hellos exchanged before anyone sees a channel."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any, Protocol

import trio
from libp2p.exceptions import BaseLibp2pError
from libp2p.host.exceptions import StreamFailure
from libp2p.peer.id import ID

from ctorrent.errors import LimitExceeded, PeerError, Unavailable, Unsupported
from ctorrent.model.ids import NodeId
from ctorrent.net.channel import Measured, StreamChannel
from ctorrent.net.cures.guard import reset
from ctorrent.net.host import Host, TProtocol
from ctorrent.net.rules import ChannelRules
from ctorrent.ports import Channel, Handler

_log = logging.getLogger(__name__)


_SILENT_POINTS, _GARBAGE_POINTS, _EXCESS_POINTS = 2, 10, 20  # of 100: forty slow starts, ten broken frames


class Dialler(Protocol):
    """What streams ask of the directory."""

    async def reach(self, peer: NodeId) -> None:
        """Be connected. Raises Unavailable."""

    def charge(self, peer: NodeId, points: int, why: str) -> None: ...


class NetStreams:
    """`nursery` carries the channels' tasks; it ends after the host closed."""

    def __init__(
        self, host: Host, dialler: Dialler, rules: ChannelRules, measured: Measured, nursery: trio.Nursery
    ) -> None:
        self._host = host
        self._dialler = dialler
        self._rules = rules
        self._measured = measured
        self._nursery = nursery
        self._inbound: Counter[NodeId] = Counter()
        self._outbound: Counter[NodeId] = Counter()
        self._channels: set[StreamChannel] = set()

    async def open(self, peer: NodeId, protocol: str) -> Channel:
        """Raises Unavailable (unreachable, silent, too many channels) or Unsupported."""
        if self._outbound[peer] >= self._rules.outbound_per_peer:
            raise Unavailable(f"{self._rules.outbound_per_peer} channels to {peer} are open already")
        self._outbound[peer] += 1
        try:
            await self._dialler.reach(peer)
            stream = await self._negotiate(peer, protocol)
        except BaseException:
            _less(self._outbound, peer)
            raise
        return await self._greet(StreamChannel(stream, peer, True, protocol, self._rules, self._measured))

    async def _negotiate(self, peer: NodeId, protocol: str) -> Any:
        with trio.move_on_after(self._rules.open_s):
            try:
                return await self._host.libp2p.new_stream(ID.from_string(peer), [TProtocol(protocol)])
            except StreamFailure as error:
                if "not supported" in str(error.__cause__):
                    raise Unsupported(f"{peer} does not speak {protocol}", "Is it another program, or a newer version?") from None
                raise Unavailable(f"{peer} did not agree on {protocol}: {error.__cause__}") from None
            except BaseLibp2pError as error:
                raise Unavailable(f"no stream to {peer}: {error}") from None
        raise Unavailable(f"{peer} did not answer within {self._rules.open_s:.0f} s")

    async def _greet(self, channel: StreamChannel) -> StreamChannel:
        """Run the channel and wait for the peer's Hello."""
        self._nursery.start_soon(self._run, channel)
        try:
            with trio.move_on_after(self._rules.hello_s):
                await channel.greeted.wait()
            if channel.error is not None:
                raise channel.error
            if not channel.greeted.is_set():
                self._dialler.charge(channel.peer, _SILENT_POINTS, "opens channels and says no Hello")
                raise Unavailable(f"{channel.peer} said no Hello within {self._rules.hello_s:.0f} s")
        except BaseException as error:
            channel.abort(error if isinstance(error, PeerError) else Unavailable("the channel was given up"))
            raise
        return channel

    async def _run(self, channel: StreamChannel) -> None:
        self._channels.add(channel)
        try:
            await channel.run()
            if isinstance(channel.error, PeerError):
                self._charge(channel, channel.error)
        finally:
            self._channels.discard(channel)
            if channel.dialled:
                _less(self._outbound, channel.peer)

    def serve(self, protocol: str, handler: Handler) -> None:
        """See ports.Streams."""

        async def inbound(stream: Any) -> None:
            peer = NodeId(str(stream.muxed_conn.peer_id))
            crowds = self._inbound[peer] >= self._rules.inbound_per_peer
            if crowds or self._inbound.total() >= self._rules.inbound:
                if crowds:  # who comes when all places are taken did nothing wrong
                    self._dialler.charge(peer, 1, "opens too many channels")
                await reset(stream)
                return
            self._inbound[peer] += 1
            try:
                await self._serve(StreamChannel(stream, peer, False, protocol, self._rules, self._measured), handler)
            finally:
                _less(self._inbound, peer)

        self._host.libp2p.set_stream_handler(TProtocol(protocol), inbound)

    async def _serve(self, channel: StreamChannel, handler: Handler) -> None:
        try:
            await self._greet(channel)
            await handler(channel)
        except PeerError as error:
            channel.abort(error)  # and is charged when its tasks end, whoever noticed
        except Unavailable as error:
            _log.debug("%s of %s: %s", channel.protocol, channel.peer, error)
        except Exception:  # noqa: BLE001
            # the outermost edge of a stream handler: libp2p would end the node; a bug of ours must be seen all the same
            _log.exception("the handler of %s failed", channel.protocol)
        finally:
            await channel.aclose()

    def _charge(self, channel: StreamChannel, error: PeerError) -> None:
        if isinstance(error, Unsupported):
            return  # an older version is no misbehaviour
        points = _EXCESS_POINTS if isinstance(error, LimitExceeded) else _GARBAGE_POINTS
        self._dialler.charge(channel.peer, points, f"{channel.protocol}: {error.message}")

    async def aclose(self) -> None:
        """Close every channel, side by side."""
        async with trio.open_nursery() as nursery:
            for channel in tuple(self._channels):
                nursery.start_soon(channel.aclose)


def _less(count: Counter[NodeId], peer: NodeId) -> None:
    count[peer] -= 1
    if count[peer] <= 0:
        del count[peer]
