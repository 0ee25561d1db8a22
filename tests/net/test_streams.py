"""Channels between real hosts on loopback."""

from __future__ import annotations

import gc
import warnings
from dataclasses import replace

import pytest
import trio
import trio.testing

from ctorrent.errors import Malformed, PeerError, Unavailable, Unsupported
from ctorrent.net.rules import ChannelRules
from ctorrent.ports import Channel
from tests.net.nodes import LOOPBACK, echo, id_of, networks, run, until

pytestmark = pytest.mark.real
ECHO = "/test/echo/1"


def test_frames_of_every_size_come_back_as_they_were() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK) as (server, client):
            server.streams.serve(ECHO, echo)
            channel = await client.streams.open(id_of(server), ECHO)
            assert channel.dialled and channel.peer == id_of(server)
            for size in (0, 1, 65_506, 65_507, 65_508, 1 << 20):
                frame = size.to_bytes(4, "big") * (size // 4) + bytes(size % 4)
                await channel.send(frame)
                assert await channel.receive() == frame
            with pytest.raises(ValueError, match="blobs"):
                await channel.send(bytes((1 << 20) + 1))
            await channel.aclose()

    run(main)


def test_both_ends_learn_of_the_end_and_nothing_queued_is_lost() -> None:
    async def main() -> None:
        got: list[bytes] = []
        ended = trio.Event()

        async def collect(channel: Channel) -> None:
            try:
                while True:
                    got.append(await channel.receive())
            except Unavailable as error:
                assert "closed" in str(error)
                ended.set()
                raise

        async with networks(LOOPBACK, LOOPBACK) as (server, client):
            server.streams.serve("/test/collect/1", collect)
            channel = await client.streams.open(id_of(server), "/test/collect/1")
            frames = [bytes([n]) * 100_000 for n in range(50)]
            for frame in frames:
                await channel.send(frame)
            await channel.aclose()
            await ended.wait()
            assert got == frames
            with pytest.raises(Unavailable):
                await channel.send(b"late")
            with pytest.raises(Unavailable):
                await channel.receive()
            assert server.directory.standing(id_of(client))[0] == 0  # a clean end is no misbehaviour

    run(main)


def test_a_sender_waits_for_a_reader_that_does_not_read() -> None:
    async def main() -> None:
        go = trio.Event()

        async def lazy(channel: Channel) -> None:
            await go.wait()
            for _ in range(64):
                await channel.receive()
            await channel.send(b"all")

        async with networks(LOOPBACK, LOOPBACK) as (server, client):
            server.streams.serve("/test/lazy/1", lazy)
            channel = await client.streams.open(id_of(server), "/test/lazy/1")
            sent = 0

            async def send() -> None:
                nonlocal sent
                for _ in range(64):
                    await channel.send(bytes(1 << 20))
                    sent += 1

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                await until(lambda: sent >= 7)
                await trio.sleep(1)  # for one more, were there room for it
                nursery.cancel_scope.cancel()
            assert sent == 7  # 8 MiB of credit less the costs
            go.set()
            for _ in range(64 - sent):
                await channel.send(bytes(1 << 20))
            assert await channel.receive() == b"all"

    run(main)


def test_cancelling_send_and_receive_anywhere_loses_and_repeats_nothing() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK) as (server, client):
            server.streams.serve(ECHO, echo)
            channel = await client.streams.open(id_of(server), ECHO)
            count, got = 400, []

            async def send() -> None:
                number = attempt = 0
                while number < count:
                    attempt += 1
                    with trio.move_on_after(0.0004 * (attempt % 4)) as scope:
                        await channel.send(number.to_bytes(4, "big") + bytes(number * 100))
                    number += not scope.cancelled_caught

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                while len(got) < count:
                    with trio.move_on_after(0.0005):
                        got.append(int.from_bytes((await channel.receive())[:4], "big"))
            assert got == list(range(count))

    run(main)


def test_many_senders_keep_their_own_order() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK) as (server, client):
            server.streams.serve(ECHO, echo)
            channel = await client.streams.open(id_of(server), ECHO)

            async def send(sender: int) -> None:
                for number in range(100):
                    await channel.send(bytes((sender, number)) + bytes(20_000 * (number % 2)))

            async with trio.open_nursery() as nursery:
                for sender in range(4):
                    nursery.start_soon(send, sender)
                got = [(await channel.receive())[:2] for _ in range(400)]
            for sender in range(4):
                assert [frame[1] for frame in got if frame[0] == sender] == list(range(100))

    run(main)


def test_an_unknown_protocol_is_unsupported_and_an_unknown_peer_unavailable() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK) as (server, client):
            with pytest.raises(Unsupported, match="does not speak"):
                await client.streams.open(id_of(server), "/test/other/1")
            with pytest.raises(Unavailable, match="no address"):
                await client.streams.open("12D3KooWGyf9Cd5fJimCpnpGZZa5GC54W6RfWMSheXjZfTEVq8AV", ECHO)  # type: ignore[arg-type]
            with pytest.raises(Unavailable, match="no peer id"):
                await client.streams.open("nobody", ECHO)  # type: ignore[arg-type]

    run(main)


def test_a_required_feature_that_is_missing_is_unsupported_on_both_sides() -> None:
    async def main() -> None:
        picky = replace(LOOPBACK, channels=ChannelRules(requires=("zstd",), features=("zstd",)))
        async with networks(picky, LOOPBACK) as (server, client):
            server.streams.serve(ECHO, echo)
            with pytest.raises((Unsupported, Unavailable)):
                await client.streams.open(id_of(server), ECHO)

    run(main)


def test_what_a_handler_raises_ends_its_channel_only() -> None:
    async def main() -> None:
        async def fail(channel: Channel) -> None:
            error = await channel.receive()
            raise Malformed("that makes no sense") if error == b"peer" else Unavailable("busy")

        async with networks(LOOPBACK, LOOPBACK) as (server, client):
            server.streams.serve("/test/fail/1", fail)
            server.streams.serve(ECHO, echo)
            other = await client.streams.open(id_of(server), ECHO)
            for cause in (b"peer", b"busy"):
                channel = await client.streams.open(id_of(server), "/test/fail/1")
                await channel.send(cause)
                with pytest.raises((Unavailable, PeerError)):
                    await channel.receive()
            points, banned, why = server.directory.standing(id_of(client))
            assert points > 0 and not banned and "fail" in why
            await other.send(b"still here")
            assert await other.receive() == b"still here"

    run(main)


def test_a_bug_in_a_handler_is_logged_and_contained(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def buggy(channel: Channel) -> None:
            raise KeyError("ours")

        async with networks(LOOPBACK, LOOPBACK) as (server, client):
            server.streams.serve("/test/buggy/1", buggy)
            server.streams.serve(ECHO, echo)
            channel = await client.streams.open(id_of(server), "/test/buggy/1")
            with pytest.raises(Unavailable):
                await channel.receive()
            again = await client.streams.open(id_of(server), ECHO)
            await again.send(b"x")
            assert await again.receive() == b"x"
            assert server.directory.standing(id_of(client))[0] == 0

    run(main)
    assert "KeyError" in caplog.text


def test_a_lost_peer_is_noticed_by_readers_and_writers() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK) as (server, client):
            server.streams.serve(ECHO, echo)
            channel = await client.streams.open(id_of(server), ECHO)
            async with trio.open_nursery() as nursery:

                async def lost() -> None:
                    with pytest.raises(Unavailable):
                        await channel.receive()

                nursery.start_soon(lost)
                await trio.testing.wait_all_tasks_blocked()
                for connection in server.directory.host.network.get_connections():
                    connection.muxed_conn._pipe._raw.stream.stream.socket.shutdown(2)
            with pytest.raises(Unavailable):
                await channel.send(b"x")

    run(main)


def test_limits_on_inbound_channels_hold_and_are_charged() -> None:
    async def main() -> None:
        tight = replace(LOOPBACK, channels=ChannelRules(inbound_per_peer=3, close_s=1))
        async with networks(tight, LOOPBACK) as (server, client):
            server.streams.serve(ECHO, echo)
            channels = [await client.streams.open(id_of(server), ECHO) for _ in range(3)]
            with pytest.raises(Unavailable):
                await client.streams.open(id_of(server), ECHO)
            assert "too many" in server.directory.standing(id_of(client))[2]
            for channel in channels:
                await channel.aclose()
            await until(lambda: not server.streams._inbound)
            again = await client.streams.open(id_of(server), ECHO)
            await again.send(b"x")
            assert await again.receive() == b"x"

    run(main)


def test_who_comes_when_all_places_are_taken_is_turned_away_and_not_charged() -> None:
    async def main() -> None:
        small = replace(LOOPBACK, channels=ChannelRules(inbound=2, close_s=1))
        async with networks(small, LOOPBACK, LOOPBACK) as (server, early, late):
            server.streams.serve(ECHO, echo)
            for _ in range(2):
                await early.streams.open(id_of(server), ECHO)
            with pytest.raises(Unavailable):
                await late.streams.open(id_of(server), ECHO)
            assert server.directory.standing(id_of(late)) == server.directory.standing(id_of(early))

    run(main)


def test_closing_is_fast_and_leaves_nothing() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK, LOOPBACK, LOOPBACK) as (server, *clients):
            server.streams.serve(ECHO, echo)
            for client in clients:
                channel = await client.streams.open(id_of(server), ECHO)
                await channel.send(b"x")
            began = trio.current_time()
        assert trio.current_time() - began < 15  # four networks, one after another, on a busy machine; half a second on an idle one
        await trio.testing.wait_all_tasks_blocked()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(main)
        gc.collect()
    assert [str(one.message) for one in caught if one.category is ResourceWarning] == []
