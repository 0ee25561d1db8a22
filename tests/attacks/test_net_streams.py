"""What a peer may try below our protocols: each ends it or its stream, charges it, and nobody else notices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio

from ctorrent.model.ids import NodeId
from ctorrent.net import Network
from ctorrent.net.cures.kad import DhtLimits
from ctorrent.net.cures.yamux import MuxLimits
from ctorrent.wire.frame import DATA as DATA_FRAME
from ctorrent.wire.frame import HEADER as FRAME_HEADER
from ctorrent.wire.frame import FrameCodec, Hello
from ctorrent.wire.names import KADEMLIA
from tests.net.attacker import DATA, FIN, HEADER, PING, RST, SYN, WINDOW, Attacker, attacker, frame
from tests.net.nodes import DHT, LOOPBACK, echo, id_of, networks, rss_bytes, run, until

pytestmark = pytest.mark.real
ECHO = "/test/echo/1"
KAD, GOSSIP, IDENTIFY, PUSH = KADEMLIA.encode(), b"/meshsub/1.1.0", b"/ipfs/id/1.0.0", b"/ipfs/id/push/1.0.0"
MIB = 1 << 20


@asynccontextmanager
async def besieged(rules: object = LOOPBACK) -> AsyncIterator[tuple[Network, Network, Attacker]]:
    """A victim, a friend who is served throughout, and the attacker's connection."""
    async with networks(rules, LOOPBACK) as (victim, friend):  # type: ignore[arg-type]
        victim.streams.serve(ECHO, echo)
        async with attacker(victim.directory.addresses()[0]) as eve:
            await until(lambda: any(contact.node == eve.id and contact.connected for contact in victim.directory.contacts()))
            yield victim, friend, eve
            await served(victim, friend)


async def served(victim: Network, friend: Network) -> None:
    with trio.fail_after(30):
        channel = await friend.streams.open(id_of(victim), ECHO)
        await channel.send(b"still there?")
        assert await channel.receive() == b"still there?"
        await channel.aclose()


def charged(victim: Network, eve: Attacker) -> str:
    points, banned, why = victim.directory.standing(NodeId(eve.id))
    return why if points > 0 or banned else ""


@pytest.mark.parametrize("line", [b"\x05\xff\xfe\xfd\xfc\n", b"\x13/multistream/1.0.0\n\x04\xff\xfe\xfd\n", b"\x02a"])
def test_invalid_utf8_in_negotiation(line: bytes) -> None:
    async def main() -> None:
        async with besieged() as (_, _, eve):
            stream = await eve.open(body=line)
            if not line.endswith(b"a"):
                await until(lambda: stream in eve.ended)

    run(main)


def test_a_negotiation_line_of_a_terabyte_is_not_waited_for() -> None:
    async def main() -> None:
        async with besieged() as (_, _, eve):
            stream = await eve.open(body=b"\xff\xff\xff\xff\xff\x1f" + bytes(100_000))
            await until(lambda: stream in eve.ended)

    run(main)


@pytest.mark.parametrize("protocol", [GOSSIP, PUSH, KAD])
def test_protobuf_garbage(protocol: bytes) -> None:
    async def main() -> None:
        async with besieged(DHT) as (_, _, eve):
            stream = await eve.open(protocol, bytes((40,)) + b"\xff" * 40)
            await until(lambda: stream in eve.ended)

    run(main)


def test_garbage_gossip_is_charged() -> None:
    async def main() -> None:
        async with besieged() as (victim, _, eve):
            for _ in range(3):
                await eve.open(GOSSIP, bytes((40,)) + b"\xff" * 40)
            await until(lambda: "decode" in charged(victim, eve))

    run(main)


def test_identify_gets_its_answer_whatever_is_sent_to_it() -> None:
    async def main() -> None:
        async with besieged() as (_, _, eve):
            stream = await eve.open(IDENTIFY, b"\xff" * 5_000)
            await until(lambda: b"ctorrent" in eve.got[stream])

    run(main)


def test_one_byte_streams_held_open_end_and_leave_the_dht_to_others() -> None:
    async def main() -> None:
        rules = replace(DHT, kad=DhtLimits(stream_s=1.0))
        async with besieged(rules) as (victim, _, eve):
            streams = [await eve.open(KAD, b"\x20") for _ in range(40)]
            await until(lambda: eve.ended >= set(streams))
            assert "DHT" in charged(victim, eve)

    run(main)


def test_ten_thousand_quick_streams() -> None:
    """Limits that are smaller than ours: a slow machine opens no more streams a second than ours allow."""

    async def main() -> None:
        async with besieged(replace(LOOPBACK, mux=MuxLimits(opens_burst=500, opens_per_s=20.0))) as (victim, friend, eve):
            before = rss_bytes()
            async with trio.open_nursery() as nursery:

                async def flood() -> None:
                    try:
                        for number in range(10_000):
                            stream = await eve.open()
                            await eve.send(frame(WINDOW, RST if number % 2 else FIN, stream, 0))
                    except ConnectionError:
                        return

                nursery.start_soon(flood)
                for _ in range(5):
                    await served(victim, friend)
            assert rss_bytes() - before < 64 * MIB
            assert "too fast" in charged(victim, eve)

    run(main, 240)


def test_streams_that_never_speak_are_limited_and_end() -> None:
    async def main() -> None:
        async with besieged() as (victim, friend, eve):
            before = rss_bytes()
            mux = _connection(victim, eve)
            for _ in range(MuxLimits().inbound + 50):
                await eve.open()
            await until(lambda: "too fast" in charged(victim, eve))
            await served(victim, friend)
            assert mux._inbound == MuxLimits().inbound
            assert rss_bytes() - before < 32 * MIB
            await until(lambda: mux._inbound == 0)  # the negotiation's time-out

    run(main)


def _connection(victim: Network, eve: Attacker) -> Any:
    connections = victim.directory.host.network.get_connections()
    return next(one.muxed_conn for one in connections if str(one.muxed_conn.peer_id) == eve.id)


def test_data_beyond_the_window_ends_the_connection() -> None:
    async def main() -> None:
        async with besieged() as (victim, _, eve):
            before = rss_bytes()
            stream = await eve.open()
            with pytest.raises(ConnectionError):
                for _ in range(400):
                    await eve.send(frame(DATA, 0, stream, MIB, bytes(MIB)))
            await eve.closed.wait()
            assert "beyond the window" in charged(victim, eve)
            assert rss_bytes() - before < 32 * MIB
            assert victim.directory.standing(NodeId(eve.id))[1]  # banned

    run(main)


async def stuck(stream: Any) -> None:
    """A handler that reads nothing while its connection lives."""
    await stream.muxed_conn.event_closed.wait()


def test_windows_of_many_streams_together_are_limited() -> None:
    async def main() -> None:
        tight = replace(LOOPBACK, mux=MuxLimits(unread_bytes=4 * MIB))
        async with besieged(tight) as (victim, _, eve):
            victim.directory.host.libp2p.set_stream_handler("/test/stuck/1", stuck)
            before = rss_bytes()
            with pytest.raises(ConnectionError):
                for _ in range(200):
                    await eve.open(b"/test/stuck/1", bytes(200_000))
                    await trio.lowlevel.checkpoint()
                with trio.fail_after(30):
                    await eve.closed.wait()
                raise ConnectionError
            assert "nobody reads" in charged(victim, eve)
            assert rss_bytes() - before < 48 * MIB

    run(main)


def test_a_banned_peer_is_refused_until_the_ban_ends() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK) as (victim, other):
            victim.directory.charge(id_of(other), 100, "test")
            await until(lambda: not victim.directory.host.network.get_connections())
            with pytest.raises(Exception, match="refused for a while: test"):
                await victim.directory.connect(other.directory.addresses()[0])
            await other.directory.connect(victim.directory.addresses()[0])
            await until(lambda: not victim.directory.host.network.get_connections())

    run(main)


@pytest.mark.parametrize(
    "raw",
    [
        HEADER.pack(9, DATA, 0, 1, 0),
        HEADER.pack(0, 7, 0, 1, 0),
        frame(WINDOW, SYN, 2, 0),  # an even id is not the dialler's to open
        frame(WINDOW, SYN, 0, 0),
        frame(WINDOW, SYN, 1, 0) * 2,
        frame(WINDOW, SYN, 1, 0xFFFFFFFF) + frame(WINDOW, 0, 1, 0xFFFFFFFF),
        frame(WINDOW, SYN, 1, 0) + HEADER.pack(0, DATA, 0, 1, 0xFFFFFFFF),
        HEADER.pack(0, DATA, 0, 99, 0xFFFFFFFF),
    ],
    ids=["version", "type", "parity", "zero", "twice", "window", "oversize", "oversize unknown"],
)
def test_broken_yamux_ends_the_connection_and_is_charged(raw: bytes) -> None:
    async def main() -> None:
        async with besieged() as (victim, _, eve):
            await eve.send(raw)
            with trio.fail_after(20):
                await eve.closed.wait()
            assert charged(victim, eve)

    run(main)


def test_a_flood_of_pings_is_answered_or_ended_within_bounded_memory() -> None:
    async def main() -> None:
        async with besieged() as (victim, friend, eve):
            before = rss_bytes()
            try:
                for _ in range(200):
                    await eve.send(frame(PING, SYN, 0, 1) * 1_000)
            except ConnectionError:
                assert charged(victim, eve)
            await served(victim, friend)
            assert rss_bytes() - before < 16 * MIB

    run(main)


HELLO = FrameCodec(Hello()).hello()


async def lazy(channel: Any) -> None:
    """A handler that takes no frame."""
    await until(lambda: channel.error is not None)


@pytest.mark.parametrize(
    "body",
    [
        FRAME_HEADER.pack(0xFFFFFFFF, 0),
        FRAME_HEADER.pack(3, 0) + b"\x01\x00\xff",
        FRAME_HEADER.pack(5, DATA_FRAME) + b"early",
        HELLO + HELLO,
        HELLO + FRAME_HEADER.pack(MIB + 1, DATA_FRAME),
        HELLO + FRAME_HEADER.pack(0, DATA_FRAME) * 200_000,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["oversize hello", "broken hello", "no hello", "two hellos", "oversize frame", "beyond credit", "another protocol"],
)
def test_broken_frames_end_the_channel_and_are_charged(body: bytes) -> None:
    async def main() -> None:
        async with besieged() as (victim, _, eve):
            victim.streams.serve("/test/lazy/1", lazy)
            before = rss_bytes()
            stream = await eve.open(b"/test/lazy/1")
            await eve.negotiated(stream, b"/test/lazy/1")
            for at in range(0, len(body), 100_000):
                await eve.send(eve.data(stream, body[at : at + 100_000]))
                await trio.sleep(0.005)
            await until(lambda: stream in eve.ended)
            await until(lambda: "/test/lazy/1" in charged(victim, eve))
            assert rss_bytes() - before < 48 * MIB

    run(main)


def test_a_channel_without_hello_ends() -> None:
    async def main() -> None:
        rules = replace(LOOPBACK, channels=replace(LOOPBACK.channels, hello_s=0.5))
        async with besieged(rules) as (victim, _, eve):
            stream = await eve.open(ECHO.encode())
            await until(lambda: stream in eve.ended)
            await until(lambda: "Hello" in charged(victim, eve))

    run(main)


def test_a_channel_cut_inside_a_frame_is_not_a_clean_end() -> None:
    async def main() -> None:
        async with besieged() as (victim, _, eve):
            stream = await eve.open(ECHO.encode())
            await eve.negotiated(stream, ECHO.encode())
            await eve.send(eve.data(stream, HELLO + FRAME_HEADER.pack(100, DATA_FRAME) + b"half"))
            await eve.send(frame(WINDOW, FIN, stream, 0))
            await until(lambda: "inside a frame" in charged(victim, eve))

    run(main)


def test_a_peer_that_answers_no_ping_is_dropped() -> None:
    async def main() -> None:
        rules = replace(LOOPBACK, mux=MuxLimits(ping_deadline_s=0.5))
        async with networks(rules) as (victim,), attacker(victim.directory.addresses()[0], answer_pings=False) as eve:
            with trio.fail_after(20):
                await eve.closed.wait()
            await until(lambda: not victim.directory.host.network.get_connections())

    run(main)
