"""Messages reach everyone once, from their author, checked before they are passed on."""

from __future__ import annotations

import pytest
import trio

from ctorrent.net import Network
from ctorrent.wire.names import GOSSIP_BYTES_MAX
from tests.net.nodes import LOOPBACK, id_of, networks, run, until

pytestmark = pytest.mark.real
TOPIC = "test/topic"
Got = list[tuple[str, str, bytes]]


async def collect(network: Network, name: str, got: Got) -> None:
    async for author, message in network.gossip.subscribe(TOPIC, lambda author, data: not data.startswith(b"bad")):
        got.append((name, author, message))


async def joined(*all_networks: Network) -> None:
    """Every subscription is known to every neighbour."""

    def ready(network: Network) -> bool:
        peers = set(network.directory.host.network.connections)
        return peers <= network.gossip.pubsub.peer_topics.get(TOPIC, set()) and peers <= set(network.gossip.pubsub.peers)

    await until(lambda: all(ready(network) for network in all_networks))


def test_a_message_reaches_all_but_its_author_even_over_a_relay() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK, LOOPBACK) as (hub, one, two), trio.open_nursery() as nursery:
            got: Got = []
            for name, network in (("hub", hub), ("one", one), ("two", two)):
                nursery.start_soon(collect, network, name, got)
            await joined(hub, one, two)
            await one.gossip.publish(TOPIC, b"hello")
            await until(lambda: len(got) == 2)
            assert sorted(got) == [("hub", id_of(one), b"hello"), ("two", id_of(one), b"hello")]
            nursery.cancel_scope.cancel()

    run(main)


def test_what_the_check_refuses_is_neither_delivered_nor_passed_on() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK, LOOPBACK) as (hub, one, two), trio.open_nursery() as nursery:
            got: Got = []
            seen: list[bytes] = []

            async def everything(network: Network) -> None:
                async for _, message in network.gossip.subscribe(TOPIC, lambda author, data: True):
                    seen.append(message)

            nursery.start_soon(collect, hub, "hub", got)
            nursery.start_soon(everything, one)
            nursery.start_soon(everything, two)
            await joined(hub, one, two)
            await one.gossip.publish(TOPIC, b"bad")
            await one.gossip.publish(TOPIC, b"good")
            await until(lambda: seen and got)
            assert seen == [b"good"] and [message for _, _, message in got] == [b"good"]
            assert "does not hold" in hub.directory.standing(id_of(one))[2]
            nursery.cancel_scope.cancel()

    run(main)


def test_a_check_that_raises_is_our_bug_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK) as (hub, one), trio.open_nursery() as nursery:
            got: list[bytes] = []

            def check(author: str, data: bytes) -> bool:
                return data[100] == 0 or True

            async def listen() -> None:
                async for _, message in hub.gossip.subscribe(TOPIC, check):
                    got.append(message)

            nursery.start_soon(listen)
            await until(lambda: TOPIC in one.gossip.pubsub.peer_topics)
            await one.gossip.publish(TOPIC, b"short")
            await one.gossip.publish(TOPIC, bytes(200))
            await until(lambda: got)
            assert got == [bytes(200)] and hub.directory.standing(id_of(one))[0] == 0
            nursery.cancel_scope.cancel()

    run(main)
    assert "IndexError" in caplog.text


def test_a_burst_arrives_whole_and_the_largest_message_fits() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK) as (hub, one), trio.open_nursery() as nursery:
            got: Got = []
            nursery.start_soon(collect, hub, "hub", got)
            await until(lambda: TOPIC in one.gossip.pubsub.peer_topics)
            await one.gossip.publish(TOPIC, bytes(GOSSIP_BYTES_MAX))
            for number in range(100):
                await one.gossip.publish(TOPIC, b"%d" % number)
                await trio.sleep(0.005)  # 200 a second, twenty times what the stock limit forwards
            await until(lambda: len(got) == 101)
            with pytest.raises(ValueError, match="limit"):
                await one.gossip.publish(TOPIC, bytes(GOSSIP_BYTES_MAX + 1))
            nursery.cancel_scope.cancel()

    run(main)


def test_after_unsubscribing_nothing_comes() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK) as (hub, one), trio.open_nursery() as nursery:
            got: Got = []
            nursery.start_soon(collect, hub, "hub", got)
            await until(lambda: TOPIC in one.gossip.pubsub.peer_topics)
            hub.gossip.unsubscribe(TOPIC)
            await until(lambda: not one.gossip.pubsub.peer_topics.get(TOPIC))
            await one.gossip.publish(TOPIC, b"late")
            assert got == []

    run(main)
