"""What ports.Streams promises, of the fake and of libp2p alike."""

from __future__ import annotations

import pytest
import trio

from ctorrent.errors import CTorrentError, Malformed, Unavailable, Unsupported
from ctorrent.ports import Channel
from ctorrent.testing.fake_keys import keys
from ctorrent.wire.names import CREDIT_BYTES, FRAME_BYTES_MAX

from .nets import Host, both, hold

ECHO, HOLD = "/test/echo/1", "/test/hold/1"


async def echo(channel: Channel) -> None:
    while True:
        await channel.send(await channel.receive())


@both
def test_frames_arrive_whole_and_in_order_both_ways(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        right.streams.serve(ECHO, echo)
        channel = await left.streams.open(right.node, ECHO)
        frames = [b"", b"x", bytes(FRAME_BYTES_MAX), *(bytes([n]) * n for n in range(200)), b""]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send_all, channel, frames)
            for frame in frames:
                assert await channel.receive() == frame
        await channel.aclose()

    hold(kind, suite, 2)


async def _send_all(channel: Channel, frames: list[bytes]) -> None:
    for frame in frames:
        await channel.send(frame)


@both
def test_both_ends_know_who_the_other_is(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        seen: list[tuple[str, bool]] = []
        met = trio.Event()

        async def meet(channel: Channel) -> None:
            seen.append((channel.peer, channel.dialled))
            met.set()

        right.streams.serve(HOLD, meet)
        channel = await left.streams.open(right.node, HOLD)
        await met.wait()
        assert (channel.peer, channel.dialled) == (right.node, True)
        assert seen == [(left.node, False)]

    hold(kind, suite, 2)


@both
def test_what_was_sent_before_a_close_is_read_then_the_end(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts

        async def farewell(channel: Channel) -> None:
            for number in range(50):
                await channel.send(bytes([number]))

        right.streams.serve(HOLD, farewell)
        channel = await left.streams.open(right.node, HOLD)
        for number in range(50):
            assert await channel.receive() == bytes([number])
        for _ in range(2):
            with pytest.raises(Unavailable):
                await channel.receive()
        with pytest.raises(Unavailable):
            while True:  # the end may be known a moment later on the sending side
                await channel.send(b"too late")
                await trio.sleep(0.01)
        await channel.aclose()
        await channel.aclose()

    hold(kind, suite, 2)


@both
def test_a_closed_channel_takes_nothing_more(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        right.streams.serve(ECHO, echo)
        channel = await left.streams.open(right.node, ECHO)
        await channel.aclose()
        with pytest.raises(Unavailable):
            await channel.send(b"x")
        with pytest.raises(Unavailable):
            await channel.receive()

    hold(kind, suite, 2)


@both
def test_nothing_is_sent_without_credit_and_nothing_is_lost(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        read = trio.Event()
        frame = bytes(FRAME_BYTES_MAX // 2)
        count = 3 * CREDIT_BYTES // len(frame)
        received = 0

        async def later(channel: Channel) -> None:
            nonlocal received
            await read.wait()
            for _ in range(count):
                assert len(await channel.receive()) == len(frame)
                received += 1
            await channel.send(b"all")

        right.streams.serve(HOLD, later)
        channel = await left.streams.open(right.node, HOLD)
        sent = 0
        with trio.move_on_after(2):
            while sent < count:
                await channel.send(frame)
                sent += 1
        assert 1 <= sent <= CREDIT_BYTES // len(frame), "more was taken than the reader has room for"
        read.set()
        for _ in range(count - sent):
            await channel.send(frame)
        assert await channel.receive() == b"all"
        assert received == count

    hold(kind, suite, 2)


@both
def test_who_waits_for_credit_learns_that_the_peer_is_gone(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts

        async def leave(channel: Channel) -> None:
            await channel.receive()
            await trio.sleep(0.5)

        right.streams.serve(HOLD, leave)
        channel = await left.streams.open(right.node, HOLD)
        with pytest.raises(Unavailable):
            while True:
                await channel.send(bytes(FRAME_BYTES_MAX))

    hold(kind, suite, 2)


@both
def test_cancelling_loses_and_splits_nothing(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        right.streams.serve(ECHO, echo)
        channel = await left.streams.open(right.node, ECHO)
        sent: list[bytes] = []
        for number in range(40):
            frame = bytes([number]) * 30_000
            with trio.CancelScope() as scope:
                scope.deadline = trio.current_time() + number % 4 * 0.002
                await channel.send(frame)
                sent.append(frame)
        received: list[bytes] = []
        await channel.send(b"last")
        while not received or received[-1] != b"last":
            with trio.move_on_after(0.003):
                received.append(await channel.receive())
        assert len(set(sent)) == len(sent)
        assert [f for f in received if f in sent] == sent, "what was reported sent arrived once, in order"
        assert all(f in (b"last", *(bytes([n]) * 30_000 for n in range(40))) for f in received)
        await channel.aclose()

    hold(kind, suite, 2)


@both
def test_one_channel_that_is_stuck_does_not_stop_another(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts

        async def never(channel: Channel) -> None:
            await trio.sleep_forever()

        right.streams.serve(HOLD, never)
        right.streams.serve(ECHO, echo)
        stuck = await left.streams.open(right.node, HOLD)
        with trio.move_on_after(1):
            while True:
                await stuck.send(bytes(FRAME_BYTES_MAX))
        free = await left.streams.open(right.node, ECHO)
        await free.send(b"hello")
        assert await free.receive() == b"hello"
        await free.aclose()

    hold(kind, suite, 2)


@both
def test_what_cannot_be_opened_says_why(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        with pytest.raises(Unsupported):
            await left.streams.open(right.node, "/test/of-tomorrow/9")
        with pytest.raises(Unavailable):
            await left.streams.open(keys("nobody").node_id, ECHO)

    hold(kind, suite, 2)


@both
def test_a_handler_that_blames_its_peer_ends_the_channel_and_nothing_else(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts

        async def strict(channel: Channel) -> None:
            await channel.receive()
            raise Malformed("that is no message")

        right.streams.serve(HOLD, strict)
        right.streams.serve(ECHO, echo)
        bad, good = await left.streams.open(right.node, HOLD), await left.streams.open(right.node, ECHO)
        await bad.send(b"garbage")
        with pytest.raises(CTorrentError):
            await bad.receive()
        await good.send(b"still here")
        assert await good.receive() == b"still here"
        await good.aclose()

    hold(kind, suite, 2)


@both
def test_a_frame_above_the_limit_is_our_own_bug(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        right.streams.serve(ECHO, echo)
        channel = await left.streams.open(right.node, ECHO)
        with pytest.raises(ValueError):
            await channel.send(bytes(FRAME_BYTES_MAX + 1))
        await channel.send(b"x")
        assert await channel.receive() == b"x"
        await channel.aclose()

    hold(kind, suite, 2)
