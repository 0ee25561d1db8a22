"""What a caller may try before it is anybody: other security, no security, half a handshake, silence."""

from __future__ import annotations

import os

import pytest
import trio
import trio.testing
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.exceptions import SwarmException
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.security.tls.transport import PROTOCOL_ID as TLS
from libp2p.security.tls.transport import TLSTransport
from multiaddr import Multiaddr

from ctorrent.net import Network, open_network
from tests.net.nodes import LOOPBACK, networks, rss_bytes, run, until

pytestmark = pytest.mark.real


async def reachable(victim: Network) -> None:
    async with open_network(os.urandom(32), LOOPBACK) as friend:
        with trio.fail_after(30):
            await friend.directory.connect(victim.directory.addresses()[0])


@pytest.mark.parametrize("security", ["plaintext", "tls"])
def test_a_dialler_without_noise_is_refused(security: str) -> None:
    async def main() -> None:
        keys = create_new_key_pair(os.urandom(32))
        weak = (
            {TProtocol(PLAINTEXT_PROTOCOL_ID): InsecureTransport(keys)}
            if security == "plaintext"
            else {TLS: TLSTransport(keys)}
        )
        async with networks(LOOPBACK) as (victim,):
            eve = new_host(key_pair=keys, sec_opt=weak)  # type: ignore[arg-type]
            async with eve.run(listen_addrs=[]):
                with trio.fail_after(60), pytest.raises(SwarmException):
                    await eve.get_network().dial_addr(  # type: ignore[attr-defined]
                        Multiaddr(victim.directory.addresses()[0]),
                        info_from_p2p_addr(Multiaddr(victim.directory.addresses()[0])).peer_id,
                    )
                await eve.close()
            assert not victim.directory.host.network.get_connections()
            await reachable(victim)

    run(main)


@pytest.mark.parametrize(
    "opening",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x13/multistream/1.0.0\n" + b"\x07/noise\n" + b"\xff" * 200,
        b"\x13/multistream/1.0.0\n" + b"\x07/noise\n" + b"\x00\x00" * 1_000,
        b"\x13/multistream/1.0.0\n" + b"\x05\xff\xfe\xfd\xfc\n",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x13/multistream/1.0.0\n" + b"\x03na\n" * 10_000,
        os.urandom(5_000),
    ],
    ids=["http", "noise garbage", "empty noise", "utf8", "varint", "endless no", "random"],
)
def test_a_broken_handshake_ends_and_leaves_nothing(opening: bytes) -> None:
    async def main() -> None:
        async with networks(LOOPBACK) as (victim,):
            before = rss_bytes()
            port = int(victim.directory.addresses()[0].split("/")[4])
            for _ in range(20):
                async with await trio.open_tcp_stream("127.0.0.1", port) as eve:
                    try:
                        await eve.send_all(opening)
                    except trio.BrokenResourceError:
                        continue
            await reachable(victim)
            limiter = victim.directory.host.network._inbound_limiter
            await until(lambda: limiter.borrowed_tokens == 0)
            assert rss_bytes() - before < 16 << 20

    run(main)


def test_two_hundred_silent_callers_from_one_address_leave_room_for_others() -> None:
    async def main() -> None:
        async with networks(LOOPBACK) as (victim,), trio.open_nursery() as nursery:
            port = int(victim.directory.addresses()[0].split("/")[4])
            limiter = victim.directory.host.network._inbound_limiter

            async def silent() -> None:
                async with await trio.open_tcp_stream("127.0.0.1", port) as eve:
                    while await eve.receive_some():  # its half of the negotiation, and then the end
                        pass

            for _ in range(200):
                nursery.start_soon(silent)
            await until(lambda: limiter.borrowed_tokens > 0)
            await trio.testing.wait_all_tasks_blocked(0.1)
            assert limiter.borrowed_tokens <= LOOPBACK.swarm.handshakes_per_ip
            with trio.fail_after(30):
                while nursery.child_tasks:  # noqa: ASYNC110  every one of them is hung up on in the end
                    await trio.sleep(0.1)
            await reachable(victim)

    run(main)
