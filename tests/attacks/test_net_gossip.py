"""What a peer may try with gossip: forged authors, damaged keys, floods, and answers nobody asked for."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils.varint import encode_uvarint

from ctorrent.model.ids import NodeId
from ctorrent.net import Network, gossip
from ctorrent.net.cures.identify import agent_of
from ctorrent.net.cures.yamux_stream import FIRST_WINDOW
from tests.net.attacker import Attacker, attacker
from tests.net.nodes import LOOPBACK, id_of, networks, rss_bytes, run, until

pytestmark = pytest.mark.real
TOPIC, MESHSUB = "test/topic", b"/meshsub/1.1.0"
MIB = 1 << 20


@asynccontextmanager
async def besieged() -> AsyncIterator[tuple[Network, Attacker, list[bytes]]]:
    """A victim that hears TOPIC from a friend to the end, and the attacker's gossip stream."""
    async with networks(LOOPBACK, LOOPBACK) as (victim, friend), trio.open_nursery() as nursery:
        got: list[bytes] = []

        async def listen() -> None:
            async for _, message in victim.gossip.subscribe(TOPIC, lambda author, data: True):
                got.append(message)

        nursery.start_soon(listen)
        await until(lambda: TOPIC in friend.gossip.pubsub.peer_topics)
        async with attacker(victim.directory.addresses()[0]) as eve:
            yield victim, eve, got
            got.clear()
            await friend.gossip.publish(TOPIC, b"from a friend")
            await until(lambda: b"from a friend" in got)
        nursery.cancel_scope.cancel()


def rpc(*messages: rpc_pb2.Message, topics: tuple[str, ...] = ()) -> bytes:
    packet = rpc_pb2.RPC(publish=messages)
    packet.subscriptions.extend([rpc_pb2.RPC.SubOpts(subscribe=True, topicid=topic) for topic in topics])
    body = packet.SerializeToString()
    return encode_uvarint(len(body)) + body


def message(author: bytes, data: bytes = b"evil", seqno: int = 1) -> rpc_pb2.Message:
    return rpc_pb2.Message(from_id=author, data=data, seqno=seqno.to_bytes(8, "big"), topicIDs=[TOPIC])


def signed(data: bytes, seqno: int) -> rpc_pb2.Message:
    keys = create_new_key_pair(os.urandom(32))
    one = message(ID.from_pubkey(keys.public_key).to_bytes(), data, seqno)
    one.signature = keys.private_key.sign(b"libp2p-pubsub:" + one.SerializeToString())
    return one


def forged(victim: str) -> rpc_pb2.Message:
    one = signed(b"evil", 1)
    one.from_id = ID.from_string(victim).to_bytes()
    return one


def damaged_key(victim: str) -> rpc_pb2.Message:
    one = message(ID.from_string("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N").to_bytes())
    one.key, one.signature = b"\xff" * 40, b"x" * 64
    return one


@pytest.mark.parametrize(
    "make",
    [
        forged,
        damaged_key,
        lambda victim: message(ID.from_string(victim).to_bytes()),  # unsigned
        lambda victim: message(b""),
        lambda victim: message(b"\xff" * 10),
        lambda victim: rpc_pb2.Message(topicIDs=[TOPIC]),
    ],
    ids=["forged author", "damaged key", "unsigned", "no author", "garbage author", "empty"],
)
def test_a_message_that_does_not_verify_is_heard_by_nobody(make: Callable[[str], rpc_pb2.Message]) -> None:
    async def main() -> None:
        async with besieged() as (victim, eve, got):
            stream = await eve.open(MESHSUB)
            await eve.negotiated(stream, MESHSUB)
            await eve.send(eve.data(stream, rpc(make(id_of(victim)))))
            await eve.send(eve.data(stream, rpc(signed(b"marker", 5))))
            await until(lambda: b"marker" in got)  # so the one before it was looked at
            assert got == [b"marker"]
            assert "does not verify" in victim.directory.standing(NodeId(eve.id))[2]

    run(main)


def test_a_replayed_message_is_delivered_once() -> None:
    async def main() -> None:
        async with besieged() as (_, eve, got):
            stream = await eve.open(MESHSUB)
            one = signed(b"once", 1)
            for _ in range(50):
                await eve.send(eve.data(stream, rpc(one)))
            await eve.send(eve.data(stream, rpc(signed(b"marker", 5))))
            await until(lambda: b"marker" in got)
            assert sorted(got) == [b"marker", b"once"]

    run(main)


def test_a_message_larger_than_ours_is_not_delivered() -> None:
    async def main() -> None:
        async with besieged() as (_, eve, got):
            stream = await eve.open(MESHSUB)
            await eve.negotiated(stream, MESHSUB)
            await eve.send(eve.data(stream, rpc(signed(bytes(100_000), 1), signed(b"marker", 2))))
            await until(lambda: b"marker" in got)
            assert got == [b"marker"]

    run(main)


def test_an_rpc_of_a_gigabyte_ends_the_stream_at_its_length() -> None:
    async def main() -> None:
        async with besieged() as (_, eve, _):
            stream = await eve.open(MESHSUB, encode_uvarint(1 << 30) + bytes(100))
            await until(lambda: stream in eve.ended)

    run(main)


def test_a_flood_is_cut_off_and_charged_within_bounded_memory() -> None:
    async def main() -> None:
        async with besieged() as (victim, eve, _):
            before = rss_bytes()
            stream = await eve.open(MESHSUB)
            await eve.negotiated(stream, MESHSUB)
            one = eve.data(stream, rpc(*[message(b"x" * 38, bytes(1_000), n) for n in range(20)]))
            try:
                for _ in range(200):
                    await eve.send(one)
                    await trio.sleep(0.001)
            except ConnectionError:
                pass
            await until(lambda: victim.directory.standing(NodeId(eve.id))[1])  # banned, for the first few hundred
            assert rss_bytes() - before < 48 * MIB

    run(main)


def test_a_flood_of_subscriptions_is_bounded() -> None:
    async def main() -> None:
        async with besieged() as (victim, eve, _):
            stream = await eve.open(MESHSUB)
            await eve.negotiated(stream, MESHSUB)
            for group in range(100):
                await eve.send(eve.data(stream, rpc(topics=tuple(f"topic {group} {n}" for n in range(50)))))
            await eve.send(eve.data(stream, rpc(signed(b"marker", 5))))
            assert len(victim.gossip.pubsub.peer_topics) <= LOOPBACK.gossip.topics_per_peer + 10

    run(main)


@pytest.mark.parametrize("answer", [b"\x05\xff\xfe\xfd\xfc\n", b"\xff" * 20, b"\x13/multistream/1.0.0\n\x03na\n" + b"\xff" * 9, b"\x00"])
def test_garbage_in_answer_to_streams_that_the_victim_opens(answer: bytes) -> None:
    async def main() -> None:
        async with besieged() as (_, eve, _):
            await until(lambda: [stream for stream in eve.got if stream and stream % 2 == 0])  # identify, gossip
            for stream in [stream for stream in eve.got if stream and stream % 2 == 0]:
                await eve.send(eve.data(stream, answer))
            await eve.send(b"".join(eve.data(stream, answer) for stream in range(2, 40, 2)))

    run(main)


def test_an_identify_answer_of_endless_addresses_is_cut_short() -> None:
    async def main() -> None:
        from libp2p.identity.identify.pb.identify_pb2 import Identify
        from multiaddr import Multiaddr

        async with besieged() as (victim, eve, _):
            claims = Identify(agent_version="x" * 10_000 + "\x1b[31m", listen_addrs=[
                Multiaddr(f"/ip4/8.8.{n % 256}.{n // 256}/tcp/1").to_bytes() for n in range(5_000)])  # fmt: skip
            body = claims.SerializeToString()
            stream = await eve.open(b"/ipfs/id/push/1.0.0")
            await eve.negotiated(stream, b"/ipfs/id/push/1.0.0")
            await eve.send(eve.data(stream, encode_uvarint(len(body)) + body))
            store = victim.directory.host.libp2p.get_peerstore()
            await until(lambda: agent_of(store, ID.from_string(eve.id)))
            assert len(store.addrs(ID.from_string(eve.id))) <= 17
            assert agent_of(store, ID.from_string(eve.id)) == "x" * 80

    run(main)


def test_a_flood_of_valid_messages_is_charged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """At fewer a second than are ours: a slow machine verifies no more than those."""
    monkeypatch.setattr(gossip, "_PER_S", 5.0)

    async def main() -> None:
        async with besieged() as (victim, eve, _):
            stream = await eve.open(MESHSUB)
            await eve.negotiated(stream, MESHSUB)
            flood = [eve.data(stream, rpc(signed(b"spam", number))) for number in range(1_000)]
            assert sum(map(len, flood)) < FIRST_WINDOW  # or it would be charged for that
            with pytest.raises(ConnectionError):
                for one in flood:
                    await eve.send(one)
                with trio.fail_after(60):
                    await eve.closed.wait()
                raise ConnectionError
            assert "too fast" in victim.directory.standing(NodeId(eve.id))[2]

    run(main)
