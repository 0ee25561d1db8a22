"""The weather does what its record says: that is what makes a calm test calm and a rough one rough."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import trio

from ctorrent.errors import Malformed, Unavailable
from ctorrent.ports import Channel
from ctorrent.testing import simulate
from ctorrent.testing.fake_keys import keys
from ctorrent.testing.fake_net import FakeHost, FakeNet, open_net
from ctorrent.testing.weather import CALM, Weather

ECHO = "/echo/1"


async def echo(channel: Channel) -> None:
    while True:
        await channel.send(await channel.receive())


def on_net(count: int, weather: Weather, body: Callable[[FakeNet, list[FakeHost]], Awaitable[None]], seed: int = 1) -> None:
    """Run `body` with `count` connected hosts, each in a house of its own, so that one can crash alone."""

    async def house(task_status: trio.TaskStatus[trio.Nursery]) -> None:
        async with trio.open_nursery() as nursery:
            task_status.started(nursery)
            await trio.sleep_forever()

    async def main(simulation: simulate.Simulation) -> None:
        async with open_net(simulation.dice("net"), weather) as net, trio.open_nursery() as nursery:
            hosts = [net.host(keys(f"{n}").node, await nursery.start(house)) for n in range(count)]
            for host in hosts:
                host.streams.serve(ECHO, echo)
            net.mesh()
            await body(net, hosts)
            nursery.cancel_scope.cancel()

    simulate.run(seed, main, limit_s=3600)


def test_frames_take_time_and_streams_overtake_each_other_but_not_themselves() -> None:
    async def body(net: FakeNet, hosts: list[FakeHost]) -> None:
        order: list[tuple[int, int]] = []

        async def collect(channel: Channel) -> None:
            while True:
                stream, number = await channel.receive()
                order.append((stream, number))

        hosts[1].streams.serve("/collect/1", collect)
        channels = [await hosts[0].streams.open(hosts[1].node, "/collect/1") for _ in range(4)]
        began = trio.current_time()
        for number in range(50):
            for stream, channel in enumerate(channels):
                await channel.send(bytes([stream, number]))
        await trio.sleep(2)
        assert trio.current_time() > began
        for stream in range(4):
            assert [n for s, n in order if s == stream] == list(range(50))
        assert order != sorted(order, key=lambda item: item[1]), "streams overtake each other"

    on_net(2, replace(CALM, latency_s=(0.0, 0.1)), body)


def test_a_slow_peer_is_slow_and_bandwidth_is_bounded() -> None:
    async def body(net: FakeNet, hosts: list[FakeHost]) -> None:
        times = []
        for slow in (False, True):
            if slow:
                net.slow.add(hosts[1].node)
            channel = await hosts[0].streams.open(hosts[1].node, ECHO)
            began = trio.current_time()
            await channel.send(bytes(1_000_000))
            await channel.receive()
            times.append(trio.current_time() - began)
        assert 0.16 <= times[0] < 0.3, "a megabyte each way at 12.5 MB/s, and two latencies"
        assert times[1] > 10 * times[0]

    on_net(2, CALM, body)


def test_channels_are_cut_off_as_often_as_told_and_never_deliver_half_a_frame() -> None:
    async def body(net: FakeNet, hosts: list[FakeHost]) -> None:
        lost = sent = 0
        frame = bytes(range(256)) * 10
        for _ in range(100):
            channel = await hosts[0].streams.open(hosts[1].node, ECHO)
            try:
                for _ in range(10):
                    sent += 1
                    await channel.send(frame)
                    assert await channel.receive() == frame
            except Unavailable:
                lost += 1
            await channel.aclose()
        assert 0.02 < lost / sent < 0.08, "two frames a round trip, at 2.5 % each"

    on_net(2, replace(CALM, channel_loss=0.025), body)


def test_a_partition_holds_frames_back_then_ends_channels_and_heals() -> None:
    async def body(net: FakeNet, hosts: list[FakeHost]) -> None:
        left, right = hosts
        channel = await left.streams.open(right.node, ECHO)
        net.partition([left.node], [right.node])
        await channel.send(b"short")
        await trio.sleep(3)
        net.heal()
        assert await channel.receive() == b"short", "shorter than the detection: nothing is lost"
        net.partition([left.node], [right.node])
        await channel.send(b"long")
        with pytest.raises(Unavailable):
            await channel.receive()
        with pytest.raises(Unavailable):
            await left.streams.open(right.node, ECHO)
        assert not any(c.connected for c in left.directory.contacts())
        net.heal()
        await left.directory.connect(right.directory.addresses()[0])
        channel = await left.streams.open(right.node, ECHO)
        await channel.send(b"again")
        assert await channel.receive() == b"again"

    on_net(2, CALM, body)


def test_a_crash_ends_everything_of_a_host_and_it_can_come_back() -> None:
    async def body(net: FakeNet, hosts: list[FakeHost]) -> None:
        left, right = hosts[:2]
        channel = await left.streams.open(right.node, ECHO)
        net.crash(right.node)
        with pytest.raises(Unavailable):
            await channel.receive()
        with pytest.raises(Unavailable):
            await left.streams.open(right.node, ECHO)
        async with trio.open_nursery() as nursery:
            again = net.host(right.signer, nursery)
            again.streams.serve(ECHO, echo)
            assert await left.directory.connect(again.address) == right.node
            channel = await left.streams.open(right.node, ECHO)
            await channel.send(b"back")
            assert await channel.receive() == b"back"
            nursery.cancel_scope.cancel()

    on_net(3, CALM, body)


def test_gossip_survives_loss_by_its_many_ways_and_duplicates_when_told() -> None:
    async def body(net: FakeNet, hosts: list[FakeHost]) -> None:
        feeds = [host.gossip.subscribe("news", lambda author, message: True) for host in hosts]
        for number in range(20):
            await hosts[0].gossip.publish("news", bytes([number]))
        await trio.sleep(5)
        counts = []
        for host, feed in zip(hosts[1:], feeds[1:], strict=True):
            host.gossip.unsubscribe("news")
            counts.append([message async for _, message in feed])
        assert all(len(set(heard)) >= 19 for heard in counts), "ten per cent of hops lost, some eight ways to everyone"
        assert sum(len(heard) - len(set(heard)) for heard in counts) > 50, "and duplicates came"

    on_net(50, replace(CALM, gossip_loss=0.1, gossip_duplication=0.2), body)


def test_a_thousand_hosts_hear_one_announcement_in_seconds() -> None:
    async def body(net: FakeNet, hosts: list[FakeHost]) -> None:
        feeds = [host.gossip.subscribe("jobs", lambda author, message: True) for host in hosts]
        began = trio.current_time()
        await hosts[0].gossip.publish("jobs", bytes(2048))
        for feed in feeds[1:]:
            await anext(feed)
        assert trio.current_time() - began < 1.0, "six hops of at most 50 ms"

    on_net(1000, CALM, body)


def test_charges_add_up_to_a_refusal() -> None:
    async def body(net: FakeNet, hosts: list[FakeHost]) -> None:
        left, right = hosts

        async def strict(channel: Channel) -> None:
            await channel.receive()
            raise Malformed("no message of ours")

        right.streams.serve("/strict/1", strict)
        for _ in range(10):
            channel = await left.streams.open(right.node, "/strict/1")
            await channel.send(b"garbage")
            with pytest.raises(Unavailable):
                await channel.receive()
        await trio.sleep(1)
        assert [(by, whom) for by, whom, _, _ in net.charges] == [(right.node, left.node)] * 10
        with pytest.raises(Unavailable):
            await left.directory.connect(right.address)
        await trio.sleep(700)
        assert await left.directory.connect(right.address) == right.node, "for a while, not for ever"

    on_net(2, CALM, body)
