"""The stock library, doing what our cures are for. `python -m tests.net.stock NAME…` prints what it did, or dies of it.

Runs in a process of its own: the cures patch the library, and some of these end it. Imports nothing of ctorrent.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

warnings.simplefilter("ignore")

import trio  # noqa: E402
from libp2p import new_host  # noqa: E402
from libp2p.crypto.ed25519 import create_new_key_pair  # noqa: E402
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair  # noqa: E402
from libp2p.custom_types import TProtocol  # noqa: E402
from libp2p.network.config import ConnectionConfig  # noqa: E402
from libp2p.peer.peerinfo import PeerInfo  # noqa: E402
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE  # noqa: E402
from libp2p.security.noise.transport import Transport as NoiseTransport  # noqa: E402
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX  # noqa: E402
from libp2p.stream_muxer.yamux.yamux import Yamux  # noqa: E402
from libp2p.tools.anyio_service.context import background_trio_service  # noqa: E402
from multiaddr import Multiaddr  # noqa: E402

from tests.net.attacker import DATA, RST, WINDOW, attacker, frame  # noqa: E402

logging.disable(logging.CRITICAL)
ECHO = TProtocol("/stock/echo/1")
Scenario = Callable[[], Awaitable[object]]


def make(secure: bool = True, port: int = 0, muxer: Any = Yamux, **named: Any) -> Any:
    keys = create_new_key_pair(os.urandom(32))
    noise = {TProtocol(NOISE): NoiseTransport(keys, noise_privkey=create_noise_key_pair().private_key)}
    address = Multiaddr(f"/ip4/127.0.0.1/tcp/{port}")
    host = new_host(
        key_pair=keys,
        sec_opt=noise if secure else None,  # type: ignore[arg-type]
        muxer_opt={TProtocol(YAMUX): muxer},
        listen_addrs=[address],
        **named,
    )
    host.set_stream_handler(ECHO, echo)
    return host


async def echo(stream: Any) -> None:
    try:
        while True:
            await stream.write(await stream.read(65_536))
    except Exception:  # noqa: BLE001  whatever: this handler must not be what kills the stock host
        return


async def until(condition: Callable[[], Any], limit_s: float = 20.0) -> None:
    """Wait for it; when it does not come, what is found then is the answer."""
    with trio.move_on_after(limit_s):
        while not condition():  # noqa: ASYNC110  the state of a library has no event
            await trio.sleep(0.05)


@asynccontextmanager
async def hosts(*all_hosts: Any) -> AsyncIterator[list[Any]]:
    async with trio.open_nursery() as nursery:

        async def run(host: Any, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
            async with host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]):
                task_status.started()
                await trio.sleep_forever()

        for host in all_hosts:
            await nursery.start(run, host)
        yield list(all_hosts)
        nursery.cancel_scope.cancel()


def info(host: Any) -> PeerInfo:
    return PeerInfo(host.get_id(), host.get_network().listeners and [a.decapsulate(Multiaddr(f"/p2p/{host.get_id()}")) for a in host.get_addrs()])


async def utf8() -> object:
    async with hosts(make()) as (victim,), attacker(str(victim.get_addrs()[0])) as eve:
        await eve.open(body=b"\x05\xff\xfe\xfd\xfc\n")
        await trio.sleep(30)
        return "survived"


async def pubsub_garbage() -> object:
    from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
    from libp2p.pubsub.pubsub import Pubsub

    victim = make()
    pubsub = Pubsub(victim, GossipSub([PROTOCOL_ID_V11], 3, 2, 4))
    async with (
        hosts(victim),
        background_trio_service(pubsub),
        background_trio_service(pubsub.router),
        attacker(str(victim.get_addrs()[0])) as eve,
    ):
        await eve.open(b"/meshsub/1.1.0", bytes((40,)) + b"\xff" * 40)
        await trio.sleep(30)
        return "survived"


async def cancelled_reads() -> object:
    """Reads with a short deadline on a stream that carries data, as everyone writes them."""
    async with hosts(make(), make()) as (server, client):
        await client.connect(info(server))
        stream = await client.new_stream(server.get_id(), [ECHO])
        got, sent = 0, 0
        payload = bytes(65_507)

        async def send() -> None:
            nonlocal sent
            for _ in range(200):
                await stream.write(payload)
                sent += len(payload)

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                with trio.fail_after(12):
                    while got < 200 * len(payload):
                        with trio.move_on_after(0.0005):
                            got += len(await stream.read(1 << 20))
        except BaseException:  # noqa: BLE001  which of them is the point of no test
            pass
        return "lost" if got < 200 * len(payload) else "whole"


async def reset_reads_as_end() -> object:
    async with hosts(make()) as (victim,):
        ends: list[str] = []
        half = trio.Event()

        async def reader(stream: Any) -> None:
            try:
                await stream.read(10)
                half.set()
                await stream.read(10)
            except Exception as error:  # noqa: BLE001  which one is the question
                ends.append(type(error).__name__)

        victim.set_stream_handler(TProtocol("/stock/read/1"), reader)
        async with attacker(str(victim.get_addrs()[0])) as eve:
            stream = await eve.open(b"/stock/read/1", b"half of it")
            await eve.negotiated(stream, b"/stock/read/1")
            await until(half.is_set)
            await trio.sleep(0.2)  # for the second read to begin
            await eve.send(frame(WINDOW, RST, stream, 0))
            await until(lambda: ends)
        return ends[0] if ends else "nothing"


async def reset_wakes_reader() -> object:
    async with hosts(make(), make()) as (server, client):
        await client.connect(info(server))
        stream = await client.new_stream(server.get_id(), [ECHO])
        with trio.move_on_after(2) as scope:
            async with trio.open_nursery() as nursery:

                async def read() -> None:
                    try:
                        await stream.read(10)
                    except Exception:  # noqa: BLE001  any end will do
                        return

                nursery.start_soon(read)
                await trio.sleep(0.1)
                await stream.reset()
        return "asleep" if scope.cancelled_caught else "woken"


async def window() -> object:
    async with hosts(make()) as (victim,):

        async def stuck(stream: Any) -> None:
            await trio.sleep_forever()

        victim.set_stream_handler(TProtocol("/stock/stuck/1"), stuck)
        async with attacker(str(victim.get_addrs()[0])) as eve:
            stream = await eve.open(b"/stock/stuck/1")
            for _ in range(64):
                await eve.send(frame(DATA, 0, stream, 1 << 20, bytes(1 << 20)))
            mux = victim.get_network().get_connections()[0].muxed_conn
            await until(lambda: sum(map(len, mux.stream_buffers.values())) >= 64 << 20)
            return sum(map(len, mux.stream_buffers.values())) >> 20


async def closed_window() -> object:
    """A writer whose reader is busy for six seconds."""
    async with hosts(make()) as (victim,):
        ends: list[str] = []

        async def writer(stream: Any) -> None:
            try:
                await stream.write(bytes(1 << 20))
            except Exception as error:  # noqa: BLE001  which one is the question
                ends.append(type(error).__name__)

        victim.set_stream_handler(TProtocol("/stock/write/1"), writer)
        async with attacker(str(victim.get_addrs()[0])) as eve:
            await eve.open(b"/stock/write/1")
            await until(lambda: ends)
        return ends[0] if ends else "patient"


async def slots() -> object:
    """Five slots, and a sixth visitor after five have left."""
    config = ConnectionConfig(max_connections=5, min_connections=0, low_watermark=0, high_watermark=5)
    async with hosts(make(connection_config=config)) as (victim,):
        for _ in range(5):
            async with attacker(str(victim.get_addrs()[0])):
                await trio.sleep(0.05)
        await trio.sleep(0.5)
        return victim.get_network()._inbound_limiter.borrowed_tokens


async def slow_dial() -> object:
    async with hosts(make(), make()) as (server, client):
        began = time.perf_counter()
        await client.connect(info(server))
        return round((time.perf_counter() - began) * 1e3)


async def first_address_only() -> object:
    from libp2p.network.config import RetryConfig

    client = make()
    client.get_network().retry_config = RetryConfig(max_retries=0)
    async with hosts(make(), client) as (server, _):
        good = info(server)
        bad = PeerInfo(good.peer_id, [Multiaddr("/ip4/127.0.0.1/tcp/1"), *good.addrs])
        try:
            await client.connect(bad)
            return "connected"
        except Exception:  # noqa: BLE001  any failure
            client.get_peerstore().clear_addrs(good.peer_id)
        try:
            await client.connect(good)
        except Exception as error:  # noqa: BLE001  any failure
            return "refused without dialling: " + str("negative" in str(error) or "blocked" in str(error) or "recently" in str(error))
        return "second try connected"


async def muxer_ignored() -> object:
    class Mine(Yamux):
        pass

    async with hosts(make(muxer=Mine), make(muxer=Mine)) as (server, client):
        await client.connect(info(server))
        return type(client.get_network().get_connections()[0].muxed_conn).__name__


async def shared_port() -> object:
    async with hosts(make()) as (one,):
        port = int(str(info(one).addrs[0].value_for_protocol("tcp")))
        two = make()
        async with two.run(listen_addrs=[Multiaddr(f"/ip4/127.0.0.1/tcp/{port}")]):
            return "shared" if info(two).addrs == info(one).addrs else "refused"


async def plaintext() -> object:
    return sorted(str(name) for name in make(secure=False).get_network().upgrader.security_multistream.transports)


async def kademlia() -> object:
    from libp2p.kad_dht.kad_dht import DHTMode, KadDHT

    victim = make()
    dht = KadDHT(victim, DHTMode.SERVER, protocol_prefix=TProtocol("/mine"))
    async with hosts(victim), background_trio_service(dht), attacker(str(victim.get_addrs()[0])) as eve:
        streams = {await eve.open(b"/ipfs/kad/1.0.0", b"\x20") for _ in range(13)}
        await until(lambda: eve.ended & streams, 10)
        return "deaf" if len(eve.ended & streams) == 1 else "hears"  # twelve are held for ever, and one is turned away


async def seqno() -> object:
    from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
    from libp2p.pubsub.pubsub import Pubsub

    return Pubsub(make(), GossipSub([PROTOCOL_ID_V11], 3, 2, 4)).counter < time.time() + 1


async def slow_close() -> object:
    clients = [make() for _ in range(5)]
    async with hosts(make(), *clients) as (server, *_):
        for client in clients:
            await client.connect(info(server))
        began = time.perf_counter()
        await server.close()
        return round((time.perf_counter() - began) * 1e3)


async def auto_connects() -> object:
    """The peer store knows an address that nobody asked to dial."""
    async with hosts(make(), make()) as (stranger, client):
        client.get_peerstore().add_addrs(stranger.get_id(), info(stranger).addrs, 100)
        await client.get_network().auto_connector.maybe_connect()  # what its timer calls
        return "dialled" if client.get_network().get_connections() else "quiet"


async def providers() -> object:
    """One provider, six nodes, a seventh asks: how often is it named?"""
    from libp2p.kad_dht.kad_dht import DHTMode, KadDHT

    nodes = [make() for _ in range(7)]
    async with hosts(*nodes), AsyncExitStack() as stack:
        dhts = [KadDHT(node, DHTMode.SERVER) for node in nodes]
        for dht in dhts:
            await stack.enter_async_context(background_trio_service(dht))
        for node, dht in zip(nodes[1:], dhts[1:], strict=True):
            await node.connect(info(nodes[0]))
            await trio.sleep(0.3)
            await dht.add_peer(nodes[0].get_id())
            await dht.refresh_routing_table()
        key = "12" * 32
        await dhts[1].provide(key)
        repeats = 0
        with trio.move_on_after(20):
            while not repeats:
                await trio.sleep(0.5)  # until the others know it
                dhts[6].provider_store.providers.clear()
                found = await dhts[6].find_providers(key)
                repeats = len(found) - len({one.peer_id for one in found})
        return repeats


async def all_of(names: list[str]) -> dict[str, object]:
    """Side by side; most of them mostly wait."""
    found: dict[str, object] = {}

    async def one(name: str) -> None:
        scenario: Scenario = globals()[name]
        found[name] = await scenario()

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(one, name)
    return found


if __name__ == "__main__":
    print(json.dumps(trio.run(all_of, sys.argv[1:])), flush=True)
    os._exit(0)  # the stock library leaves tasks that complain on the way out
