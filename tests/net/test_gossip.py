"""Messages reach everyone once, from their author, checked before they are passed on."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from ctorrent.ledger.quarantine import Cause
from ctorrent.ledger.reputation import Reputation
from ctorrent.model.ids import Digest, NodeId
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


def test_a_proven_cheat_loses_its_places_on_both_sides_and_an_honest_slow_node_keeps_them() -> None:
    async def main() -> None:
        async with networks(*[LOOPBACK] * 5) as (hub, cheat, slow, *others), trio.open_nursery() as nursery:
            got: Got = []
            for name, network in (("hub", hub), ("cheat", cheat), ("slow", slow), ("one", others[0]), ("two", others[1])):
                nursery.start_soon(collect, network, name, got)
            laggard(slow, 0.3)
            thinks = Reputation(NodeId(id_of(hub)))
            hub.gossip.score(thinks.gossip_score)
            everybody = {id_of(network) for network in (cheat, slow, *others)}
            await until(lambda: hub.gossip.mesh(TOPIC) == everybody and hub.gossip.me in cheat.gossip.mesh(TOPIC))
            assert thinks.proven(NodeId(id_of(cheat)), Cause.EQUIVOCATION, Digest(bytes(32))) is not None
            await until(lambda: hub.gossip.mesh(TOPIC) == everybody - {id_of(cheat)} and not cheat.gossip.mesh(TOPIC))
            for number in range(10):
                await others[0].gossip.publish(TOPIC, b"%d" % number)
            await until(lambda: ("slow", id_of(others[0]), b"9") in got)  # three seconds' worth for it, one after the other
            assert hub.gossip.mesh(TOPIC) == everybody - {id_of(cheat)}
            assert "cheat" not in {name for name, _, _ in got} and sum(name == "two" for name, _, _ in got) == 10
            nursery.cancel_scope.cancel()

    run(main)


def laggard(network: Network, lag_s: float) -> None:
    """From now on it handles each message so late; the next one waits in turn."""
    inner, turn = network.gossip.pubsub.push_msg, trio.Lock()

    async def push_msg(forwarder: Any, message: Any) -> None:
        async with turn:
            await trio.sleep(lag_s)
            await inner(forwarder, message)

    network.gossip.pubsub.push_msg = push_msg


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
