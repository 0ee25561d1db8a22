"""What ports.Directory promises, of the fake and of libp2p alike."""

from __future__ import annotations

import statistics

import pytest
import trio
import trio.testing

from ctorrent.errors import CTorrentError, PeerError, Unavailable
from ctorrent.ports import Channel
from ctorrent.testing.fake_keys import keys

from .nets import Host, both, hold, until

HELLO = "/test/hello/1"


async def nod(channel: Channel) -> None:
    await channel.send(b"hello")


@both
def test_a_node_says_where_it_is_and_can_be_dialled_there(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        (address, *_) = right.directory.addresses()
        assert address.endswith(f"/p2p/{right.node}")
        assert await left.directory.connect(address) == right.node
        assert await left.directory.connect(address) == right.node, "again is no error"
        (contact,) = left.directory.contacts()
        assert (contact.node, contact.how, contact.connected) == (right.node, "join", True)
        assert contact.addresses and "/p2p/" not in contact.addresses[0]
        await until(right.directory.contacts)
        (contact,) = right.directory.contacts()
        assert (contact.node, contact.how, contact.connected) == (left.node, "inbound", True)

    hold(kind, suite, 2, connected=False)


@both
def test_a_signed_record_leads_to_its_author(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        record = right.directory.self_record()
        assert len(record) < 1024, "it rides in an announcement of 2 KiB"
        right.streams.serve(HELLO, nod)
        assert await left.directory.connect_record(record) == right.node
        channel = await left.streams.open(right.node, HELLO)
        assert await channel.receive() == b"hello"
        for at in (0, len(record) // 2, len(record) - 1):
            forged = record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :]
            with pytest.raises(CTorrentError):
                await left.directory.connect_record(forged)
        with pytest.raises(PeerError):
            await left.directory.connect_record(b"")

    hold(kind, suite, 2, connected=False)


@both
def test_nobody_there_is_said_in_words(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        (host,) = hosts
        for address in (f"/ip4/127.0.0.1/tcp/1/p2p/{keys('nobody').node_id}", "/ip4/127.0.0.1/tcp/1", host.directory.addresses()[0]):
            with pytest.raises(Unavailable) as failure:
                await host.directory.connect(address)
            assert len(str(failure.value)) > 10

    hold(kind, suite, 1)


@both
def test_news_of_connects_and_disconnects(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        news: list[tuple[str, bool]] = []

        async def watch() -> None:
            async for contact in left.directory.changes():
                news.append((contact.node, contact.connected))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await left.directory.connect(right.directory.addresses()[0])
            await until(lambda: (right.node, True) in news)
            right.directory.charge(left.node, 1000, "nothing good")
            await until(lambda: (right.node, False) in news)
            nursery.cancel_scope.cancel()

    hold(kind, suite, 2, connected=False)


@both
def test_a_peer_that_is_there_is_not_quiet_while_it_is_attended_to(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        left.directory.attend(60.0)
        (before,) = left.directory.contacts()
        assert before.connected
        looks = []
        for _ in range(50):
            await trio.sleep(0.1)
            looks.append(left.directory.contacts()[0].quiet_s)
        assert statistics.median(looks) < 1.0, "asked once a second, it answers"
        received, sent = left.directory.traffic()
        assert received >= 0 and sent >= 0 and right.directory.contacts()

    hold(kind, suite, 2)


@both
def test_who_is_charged_too_much_is_refused_for_a_while(kind: str) -> None:
    async def suite(hosts: list[Host]) -> None:
        left, right = hosts
        right.streams.serve(HELLO, nod)
        right.directory.charge(left.node, 5, "a little")
        channel = await left.streams.open(right.node, HELLO)
        assert await channel.receive() == b"hello"
        right.directory.charge(left.node, 1000, "too much")
        await until(lambda: not any(c.connected for c in left.directory.contacts()))
        with pytest.raises(Unavailable):
            channel = await left.streams.open(right.node, HELLO)
            await channel.receive()
        with pytest.raises(Unavailable):
            await right.directory.connect(left.directory.addresses()[0])

    hold(kind, suite, 2)
