"""What ports.Gossip promises, of the fake and of libp2p alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from ctorrent.model.ids import NodeId
from ctorrent.wire.names import GOSSIP_BYTES_MAX

from .nets import Host, both, hold, until

TOPIC = "test/news"
Heard = list[tuple[NodeId, bytes]]


def anything(author: NodeId, message: bytes) -> bool:
    return True


async def listen(host: Host, heard: Heard, check: Callable[[NodeId, bytes], bool] = anything) -> None:
    async for author, message in host.gossip.subscribe(TOPIC, check):
        heard.append((author, message))


async def until_heard(host: Host, message: bytes, *listeners: Heard) -> None:
    """Publish until everyone heard it: subscriptions take a moment to be known."""
    while not all((host.node, message) in heard for heard in listeners):
        await host.gossip.publish(TOPIC, message)
        await trio.sleep(0.25)


@both
def test_a_message_reaches_everyone_but_its_author_and_names_him(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        heard: list[Heard] = [[] for _ in hosts]
        async with trio.open_nursery() as nursery:
            for host, mine in zip(hosts, heard, strict=True):
                nursery.start_soon(listen, host, mine)
            await until_heard(hosts[0], b"hello", heard[1], heard[2])
            await until_heard(hosts[2], b"hello yourself", heard[0], heard[1])
            nursery.cancel_scope.cancel()
        assert {author for author, _ in heard[0]} == {hosts[2].node}
        assert {author for author, _ in heard[1]} == {hosts[0].node, hosts[2].node}

    hold(kind, suite, 3)


@both
def test_what_a_check_refuses_is_neither_delivered_nor_passed_on(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        author, middle, end = hosts
        refused: list[bytes] = []

        def picky(_: NodeId, message: bytes) -> bool:
            if message.startswith(b"bad"):
                refused.append(message)
                return False
            return True

        heard_middle: Heard = []
        heard_end: Heard = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, author, [])
            nursery.start_soon(listen, middle, heard_middle, picky)
            nursery.start_soon(listen, end, heard_end)
            await until_heard(author, b"good", heard_middle, heard_end)
            for number in range(5):
                await author.gossip.publish(TOPIC, b"bad %d" % number)
            await until_heard(author, b"good again", heard_middle, heard_end)
            nursery.cancel_scope.cancel()
        assert refused
        assert not [m for _, m in heard_middle + heard_end if m.startswith(b"bad")]

    hold(kind, suite, 3)


@both
def test_messages_of_a_calm_day_all_arrive_once(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        heard: Heard = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, left, [])
            nursery.start_soon(listen, right, heard)
            await until_heard(left, b"are you there", heard)
            for number in range(100):
                await left.gossip.publish(TOPIC, b"%d" % number)
            await until(lambda: len([m for _, m in heard if m.isdigit()]) >= 100)
            nursery.cancel_scope.cancel()
        assert sorted(int(m) for _, m in heard if m.isdigit()) == list(range(100))

    hold(kind, suite, 2)


@both
def test_topics_do_not_mix_and_an_unsubscribed_one_ends(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        heard: Heard = []
        ended = trio.Event()

        async def listen_to_its_end() -> None:
            await listen(right, heard)
            ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, left, [])
            nursery.start_soon(listen_to_its_end)
            await until_heard(left, b"first", heard)
            await left.gossip.publish("test/other", b"elsewhere")
            await until_heard(left, b"second", heard)
            right.gossip.unsubscribe(TOPIC)
            await ended.wait()
            nursery.cancel_scope.cancel()
        assert {m for _, m in heard} == {b"first", b"second"}

    hold(kind, suite, 2)


@both
def test_too_large_is_our_own_bug(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        with pytest.raises(ValueError):
            await hosts[0].gossip.publish(TOPIC, bytes(GOSSIP_BYTES_MAX + 1))

    hold(kind, suite, 1)


@both
def test_who_is_thought_badly_of_has_no_place_in_a_mesh_and_the_worst_hear_nothing(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        cheat, middle, end = hosts
        thought = {cheat.node: 0.0}
        middle.gossip.score(lambda node: thought.get(node, 0.0))
        heard_cheat: Heard = []
        heard_end: Heard = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, cheat, heard_cheat)
            nursery.start_soon(listen, middle, [])
            nursery.start_soon(listen, end, heard_end)
            await until(lambda: middle.gossip.mesh(TOPIC) == {cheat.node, end.node})
            await until_heard(middle, b"to all", heard_cheat, heard_end)
            thought[cheat.node] = -20.0
            await until(lambda: middle.gossip.mesh(TOPIC) == {end.node})
            await until_heard(middle, b"late for some", heard_cheat, heard_end)
            thought[cheat.node] = -100.0
            await until_heard(middle, b"to the honest", heard_end)
            await middle.gossip.publish(TOPIC, b"last")
            await until(lambda: (middle.node, b"last") in heard_end)
            assert middle.gossip.mesh(TOPIC) == {end.node}
            nursery.cancel_scope.cancel()
        assert not [m for _, m in heard_cheat if m in (b"to the honest", b"last")]

    hold(kind, suite, 3)
