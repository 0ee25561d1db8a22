"""A peer that finishes the Noise handshake and then sends whatever it likes. It shares no code with our multiplexer."""

from __future__ import annotations

import os
import struct
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from multiaddr import Multiaddr

DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
HEADER = struct.Struct(">BBHII")
MULTISTREAM = b"\x13/multistream/1.0.0\n"


def line(text: bytes) -> bytes:
    """A negotiation line."""
    assert len(text) < 127
    return bytes((len(text) + 1,)) + text + b"\n"


def frame(kind: int, flags: int, stream: int, length: int, body: bytes = b"") -> bytes:
    return HEADER.pack(0, kind, flags, stream, length) + body


class Attacker:
    """Raw Yamux over a real Noise session. Answers pings unless told not to; keeps what arrives, by stream."""

    def __init__(self, session: Any, peer: ID, answer_pings: bool) -> None:
        self._session = session
        self._answer_pings = answer_pings
        self._next = 1
        self.id = str(peer)
        self.got: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.ended: set[int] = set()  # streams that the victim reset or finished
        self.closed = trio.Event()

    async def send(self, data: bytes) -> None:
        """Raw frames. Raises ConnectionError when the victim hung up."""
        if self.closed.is_set():
            raise ConnectionError("the victim hung up")
        try:
            for at in range(0, len(data), 60_000):
                await self._session.write(data[at : at + 60_000])
        except Exception as error:
            raise ConnectionError(str(error)) from error

    async def open(self, protocol: bytes = b"", body: bytes = b"") -> int:
        """A new stream: SYN, negotiation of `protocol` if any, then `body`."""
        stream, self._next = self._next, self._next + 2
        hello = MULTISTREAM + line(protocol) if protocol else b""
        await self.send(frame(WINDOW, SYN, stream, 0) + self.data(stream, hello + body))
        return stream

    @staticmethod
    def data(stream: int, body: bytes) -> bytes:
        return frame(DATA, 0, stream, len(body), body) if body else b""

    async def negotiated(self, stream: int, protocol: bytes) -> None:
        """Wait until the victim agreed."""
        wanted = MULTISTREAM + line(protocol)
        with trio.fail_after(30):
            while not self.got[stream].startswith(wanted):  # noqa: ASYNC110  a library's state has no event
                await trio.sleep(0.01)

    async def read(self) -> None:
        buffer = bytearray()
        try:
            while data := await self._session.read(None):
                buffer += data
                while len(buffer) >= HEADER.size:
                    _, kind, flags, stream, length = HEADER.unpack_from(buffer)
                    end = HEADER.size + (length if kind == DATA else 0)
                    if len(buffer) < end:
                        break
                    body = bytes(buffer[HEADER.size : end])
                    del buffer[:end]
                    await self._frame(kind, flags, stream, length, body)
        except Exception:  # noqa: BLE001  the connection ended, in any of libp2p's ways
            self.closed.set()
        self.closed.set()

    async def _frame(self, kind: int, flags: int, stream: int, length: int, body: bytes) -> None:
        self.got[stream] += body
        if flags & (RST | FIN) and kind in (DATA, WINDOW):
            self.ended.add(stream)
        if kind == PING and flags & SYN and self._answer_pings:
            await self._session.write(frame(PING, ACK, 0, length))


@asynccontextmanager
async def attacker(address: str, answer_pings: bool = True) -> AsyncIterator[Attacker]:
    """Connect to a victim's multiaddr."""
    multiaddr = Multiaddr(address)
    victim = ID.from_string(address.rpartition("/p2p/")[2])
    keys = create_new_key_pair(os.urandom(32))
    noise = NoiseTransport(keys, noise_privkey=create_noise_key_pair().private_key)
    host = new_host(key_pair=keys, sec_opt={NOISE: noise})
    upgrader: Any = host.get_network().upgrader  # type: ignore[attr-defined]
    tcp = await trio.open_tcp_stream(str(multiaddr.value_for_protocol("ip4")), int(str(multiaddr.value_for_protocol("tcp"))))
    async with tcp, trio.open_nursery() as nursery:
        raw = RawConnection(TrioTCPStream(tcp), True)
        session = await upgrader.upgrade_security(raw, True, victim)
        muxers = upgrader.muxer_multistream
        await muxers._selector.select(session, True, 5)
        eve = Attacker(session, host.get_id(), answer_pings)
        nursery.start_soon(eve.read)
        yield eve
        nursery.cancel_scope.cancel()


__all__ = ["ACK", "DATA", "FIN", "GO_AWAY", "HEADER", "PING", "RST", "SYN", "WINDOW", "Attacker", "TProtocol", "attacker", "frame", "line"]
