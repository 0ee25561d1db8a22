"""Who is known, how found, how far; on real hosts."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from ctorrent.errors import BadSignature, LocalError, Malformed, Unavailable
from ctorrent.model.ids import node_id
from ctorrent.net import NetRules, open_network
from ctorrent.net.addresses import interfaces
from ctorrent.net.mdns import read_txt, txt_record
from ctorrent.ports import Contact, Directory, Gossip, Streams
from ctorrent.seal import Signer
from tests.net.attacker import attacker
from tests.net.nodes import DHT, LOOPBACK, echo, id_of, networks, run, until

real = pytest.mark.real
ECHO = "/test/echo/1"


@real
def test_the_identity_is_the_nodes_key() -> None:
    async def main() -> None:
        secret = os.urandom(32)
        async with open_network(secret, LOOPBACK) as network:
            assert id_of(network) == node_id(Signer(secret).public)
            streams: Streams = network.streams
            directory: Directory = network.directory
            gossip: Gossip = network.gossip
            assert streams and directory and gossip  # the ports, as mypy sees them

    run(main)


@real
def test_both_sides_know_how_they_met_and_what_the_other_is() -> None:
    async def main() -> None:
        async with networks(LOOPBACK) as (server,):
            news = server.directory.changes()
            async with open_network(os.urandom(32), replace(LOOPBACK, agent="ctorrent/9.9")) as client:
                await client.directory.connect(server.directory.addresses()[0])
                first = await anext(news)
                assert (first.node, first.how, first.connected) == (id_of(client), "inbound", True)
                identified = await anext(news)
                assert identified.agent == "ctorrent/9.9"
                assert identified.addresses == tuple(a.partition("/p2p/")[0] for a in client.directory.addresses())
                (contact,) = client.directory.contacts()
                assert contact.how == "join" and contact.connected
                await until(lambda: client.directory.contacts()[0].latency_s is not None)
                client.directory.attend(60.0)  # asked each second: one answer may come to a machine that was busy
                await until(lambda: 0 < (client.directory.contacts()[0].latency_s or 0) < 1)
            gone = await anext(news)
            assert not gone.connected and server.directory.contacts()[0].node == gone.node

    run(main)


@real
def test_who_gives_no_sign_of_life_is_quiet_while_attended_to_and_only_then() -> None:
    async def main() -> None:
        async with networks(LOOPBACK) as (server,), networks(LOOPBACK) as (lively,):
            await lively.directory.connect(server.directory.addresses()[0])
            async with attacker(server.directory.addresses()[0], answer_pings=False) as mute:
                await until(lambda: sum(one.connected for one in server.directory.contacts()) == 2)
                assert all(one.quiet_s == 0 for one in server.directory.contacts())
                server.directory.attend(60.0)
                # The next answer may be a moment late; long before the ten seconds after which everybody is asked.
                await until(lambda: quiet(server, mute.id) > 1.3 > quiet(server, id_of(lively)), 7)
                server.directory.attend(0.0)
                await until(lambda: quiet(server, mute.id) == 0)
        received, sent = server.directory.traffic()
        assert received > 100 and sent > 100

    run(main)


def quiet(network: Any, node: str) -> float:
    found: float = next(one.quiet_s for one in network.directory.contacts() if one.node == node)
    return found


@real
def test_bandwidth_comes_from_real_transfers() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK) as (server, client):
            server.streams.serve(ECHO, echo)
            assert client.directory.contacts()[0].bandwidth_bytes_s is None
            channel = await client.streams.open(id_of(server), ECHO)
            for _ in range(8):
                await channel.send(bytes(1 << 20))
            for _ in range(8):
                await channel.receive()
            assert (client.directory.contacts()[0].bandwidth_bytes_s or 0) > 1e6

    run(main)


@real
@pytest.mark.parametrize(
    "address", ["", "garbage", "/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/1/p2p/x", "/ip4/127.0.0.1/tcp/1/p2p/nobody"]
)
def test_an_address_without_a_peer_is_refused_in_words(address: str) -> None:
    async def main() -> None:
        async with networks(LOOPBACK) as (network,):
            with pytest.raises(Unavailable, match="cannot be dialled"):
                await network.directory.connect(address)

    run(main)


@real
def test_nobody_there_is_unavailable_at_once_and_can_be_tried_again() -> None:
    async def main() -> None:
        secret = os.urandom(32)
        async with networks(LOOPBACK) as (network,):
            async with open_network(secret, LOOPBACK) as gone:
                address = gone.directory.addresses()[0]
            with pytest.raises(Unavailable, match=r"cannot be reached.*refused"):
                await network.directory.connect(address)
            port = address.split("/")[4]
            async with open_network(secret, replace(LOOPBACK, listen=(f"127.0.0.1:{port}",))):
                await network.directory.connect(address)  # the stock library refuses for a minute

    run(main)


@real
def test_a_peer_that_is_someone_else_is_refused() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK) as (one, two):
            other = "12D3KooWGyf9Cd5fJimCpnpGZZa5GC54W6RfWMSheXjZfTEVq8AV"
            with pytest.raises(Unavailable):
                await two.directory.connect(one.directory.addresses()[0].replace(id_of(one), other))
            with pytest.raises(Unavailable, match="itself"):
                await one.directory.connect(one.directory.addresses()[0])

    run(main)


@real
def test_a_signed_record_is_dialled_at_its_own_addresses() -> None:
    async def main() -> None:
        async with networks(LOOPBACK, LOOPBACK) as (author, reader):
            async with networks(LOOPBACK) as (stranger,):
                record = stranger.directory.self_record()
                assert len(record) < 1_024  # an announcement holds 2 KiB
                assert await reader.directory.connect_record(record) == id_of(stranger)
            damaged = bytearray(author.directory.self_record())
            damaged[-1] ^= 1
            with pytest.raises(BadSignature):
                await reader.directory.connect_record(bytes(damaged))
            for garbage in (b"", b"garbage", bytes(10_000), os.urandom(200)):
                with pytest.raises((Malformed, BadSignature)):
                    await reader.directory.connect_record(garbage)

    run(main)


@real
@pytest.mark.skipif(not interfaces(), reason="this machine has no network besides loopback")
def test_a_record_that_names_loopback_is_not_dialled_by_who_listens_elsewhere() -> None:
    async def main() -> None:
        elsewhere = NetRules(listen=(str(interfaces()[0].ip),), port=0, mdns=False, dht=False)
        async with networks(LOOPBACK) as (author,), networks(elsewhere) as (reader,):
            with pytest.raises(Unavailable, match="may dial"):
                await reader.directory.connect_record(author.directory.self_record())

    run(main)


@real
def test_peers_of_last_time_are_found_again() -> None:
    async def main() -> None:
        async with networks(LOOPBACK) as (old,):
            known = ((id_of(old), (old.directory.addresses()[0],)), ("damaged", ("x",)))
            async with open_network(os.urandom(32), replace(LOOPBACK, known=known)) as back:
                await until(lambda: [c for c in back.directory.contacts() if c.connected])
                assert back.directory.contacts()[0].how == "last time"

    run(main)


@real
def test_one_address_suffices_to_find_the_rest_through_the_dht() -> None:
    async def main() -> None:
        async with networks(DHT, DHT, DHT, DHT) as (hub, *others):
            ids = {id_of(network) for network in (hub, *others)}
            await until(lambda: all(len([c for c in n.directory.contacts() if c.connected]) == 3 for n in others))
            contacts = {contact.node: contact.how for contact in others[-1].directory.contacts()}
            assert set(contacts) == ids - {id_of(others[-1])}
            assert contacts[id_of(hub)] == "join" and set(contacts.values()) <= {"join", "dht", "inbound"}

    run(main)


@real
@pytest.mark.skipif(not interfaces(), reason="this machine has no network besides loopback")
def test_nodes_on_one_network_find_each_other() -> None:
    async def main() -> None:
        lan = NetRules(listen=(str(interfaces()[0].ip),), port=0, dht=False)
        async with networks(lan) as (one,), networks(lan) as (two,):
            await until(lambda: _connected(one, id_of(two)) and _connected(two, id_of(one)))
            # Whoever was called is found as well: a person at either machine is shown the other as nearby.
            await until(lambda: all(c.how == "mdns" for n in (one, two) for c in n.directory.contacts() if c.node in (id_of(one), id_of(two))))

    run(main)


def _connected(network: object, node: str) -> list[Contact]:
    return [c for c in network.directory.contacts() if c.node == node and c.connected]  # type: ignore[attr-defined]


@real
def test_lan_only_has_no_dht_and_refuses_callers_from_elsewhere() -> None:
    async def main() -> None:
        async with networks(replace(DHT, lan_only=True), LOOPBACK) as (network, _):
            assert network.directory.find is None
            assert not network.directory.host.near.may_accept("8.8.8.8")

    run(main)


@real
def test_a_forwarded_port_is_announced_and_nonsense_is_an_error() -> None:
    async def main() -> None:
        async with networks(replace(LOOPBACK, announce=("/ip4/203.0.113.5/tcp/9000",))) as (network,):
            assert network.directory.addresses()[0].startswith("/ip4/203.0.113.5/tcp/9000/p2p/")
        with pytest.raises(LocalError, match="not an address to announce"):
            async with networks(replace(LOOPBACK, announce=("nonsense",))):
                pass

    run(main)


@real
def test_two_nodes_do_not_share_a_port() -> None:
    async def main() -> None:
        async with networks(LOOPBACK) as (one,):
            port = int(one.directory.addresses()[0].split("/")[4])
            async with networks(replace(LOOPBACK, port=port)) as (two,):
                assert int(two.directory.addresses()[0].split("/")[4]) > port

    run(main)


def test_txt_records_of_several_addresses_survive_and_garbage_is_skipped() -> None:
    node = "12D3KooWGyf9Cd5fJimCpnpGZZa5GC54W6RfWMSheXjZfTEVq8AV"
    addresses = [f"/ip4/192.0.2.{n}/tcp/4270/p2p/{node}" for n in range(3)]
    peer, found = read_txt(txt_record(addresses))
    assert str(peer) == node and [str(address) for address in found] == addresses
    junk = b"\x05hello" + b"\x0adnsaddr=/x" + b"\xff" + os.urandom(30)
    assert read_txt(junk)[0] is None and read_txt(b"")[0] is None and read_txt(b"\x00\x00")[0] is None
    assert str(read_txt(b"\x05hello" + txt_record(addresses) + b"\x30dns")[0]) == node
