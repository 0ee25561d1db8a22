"""Whatever bytes come: a value, a PeerError, or an ended connection; never anything else, never more memory than allowed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from ctorrent.errors import PeerError
from ctorrent.net.addresses import parse
from ctorrent.net.cures.pipe import LostConnection
from ctorrent.net.cures.yamux import Mux, MuxLimits, _Broken
from ctorrent.net.cures.yamux_stream import FIRST_WINDOW
from ctorrent.net.host import ID, peer_id_of
from ctorrent.net.mdns import read_txt
from ctorrent.net.records import read_record
from tests.net.attacker import ACK, DATA, FIN, GO_AWAY, HEADER, PING, RST, SYN, WINDOW, frame

PEER = ID.from_string("12D3KooWGyf9Cd5fJimCpnpGZZa5GC54W6RfWMSheXjZfTEVq8AV")
LIMITS = MuxLimits(inbound=8, unread_bytes=1 << 20)


def mux() -> Mux:
    """A multiplexer without a socket: the fuzz feeds what a socket would have brought."""
    noise = SimpleNamespace(encrypt=None, decrypt=None, read_writer=SimpleNamespace(read_write_closer=None))
    session: Any = SimpleNamespace(conn=noise, _drain=lambda n: b"")
    return Mux(session, PEER, True, LIMITS)


@settings(deadline=None)
@given(st.binary(max_size=600))
def test_records(data: bytes) -> None:
    try:
        read_record(data)
    except PeerError:
        return


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_txt_records(data: bytes) -> None:
    peer, addresses = read_txt(data)
    assert (peer is None) == (not addresses)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=80), st.from_regex(r"/ip4/[0-9.]{1,15}/tcp/[0-9]{1,6}(/p2p/\w{1,60})?", fullmatch=True)))
def test_addresses_and_ids(text: str) -> None:
    address = parse(text)
    assert address is None or str(address).startswith("/")
    assert peer_id_of(text) is None or str(peer_id_of(text)) == text


kinds = st.sampled_from([DATA, WINDOW, PING, GO_AWAY, 9])
flags = st.sampled_from([0, SYN, ACK, FIN, RST, SYN | FIN, SYN | RST, FIN | RST, 0xFFFF])
frames = st.builds(
    lambda kind, flag, stream, length, body: HEADER.pack(0, kind, flag, stream, length) + body,
    kinds,
    flags,
    st.integers(0, 12),
    st.sampled_from([0, 1, 100, 70_000, FIRST_WINDOW, FIRST_WINDOW + 1, 0xFFFFFFFF]),
    st.binary(max_size=200),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(frames, st.binary(max_size=100)), max_size=20), st.data())
def test_yamux(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))

    async def main() -> None:
        one = mux()
        try:
            for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
                if start < end:
                    one._feed(stream[start:end])
                assert one._inbound <= LIMITS.inbound and len(one._streams) <= LIMITS.inbound
                assert 0 <= one.buffered <= sum(s._size for s in one._streams.values())
                assert all(s.granted >= 0 for s in one._streams.values())
                assert one._out_bytes <= LIMITS.answers_bytes + HEADER.size
        except (_Broken, LostConnection):
            one._end()
            assert one.buffered == 0

    trio.run(main)


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=3_000), min_size=1, max_size=6), st.data())
def test_yamux_delivers_the_same_bytes_however_they_are_cut(bodies: list[bytes], data: st.DataObject) -> None:
    wire = frame(WINDOW, SYN, 2, 0) + b"".join(frame(DATA, 0, 2, len(body), body) for body in bodies[:-1])
    wire += HEADER.pack(0, DATA, FIN, 2, len(bodies[-1])) + bodies[-1]  # rust and go may end a stream this way

    async def main() -> None:
        one, rest = mux(), wire
        while rest:
            cut = data.draw(st.integers(1, len(rest)))
            one._feed(rest[:cut])
            rest = rest[cut:]
        stream: Any = await one.accept_stream()
        got = bytearray()
        while stream._size:
            got += await stream.read(1_000)
        assert got == b"".join(bodies) and stream.recv_closed and one.buffered == 0

    trio.run(main)
