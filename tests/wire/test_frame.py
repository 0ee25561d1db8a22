"""Frames, Hello and credit, without any network."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctorrent.errors import LimitExceeded, Malformed, PeerError, Unsupported
from ctorrent.wire.frame import CREDIT, DATA, FRAME_COST, HEADER, HELLO, FrameCodec, Hello, decode_hello, encode_hello

SMALL = Hello(max_frame_bytes=1_000, credit_bytes=4_000)


def greeted(mine: Hello = SMALL, theirs: Hello = SMALL) -> tuple[FrameCodec, FrameCodec]:
    ours, peer = FrameCodec(mine), FrameCodec(theirs)
    assert ours.receive(peer.hello()) == [] and peer.receive(ours.hello()) == []
    return ours, peer


def frame(codec: FrameCodec, body: bytes) -> bytes:
    return codec.header(len(body)) + body


def test_frames_arrive_whole_and_in_order() -> None:
    ours, peer = greeted()
    assert peer.receive(frame(ours, b"one") + frame(ours, b"") + frame(ours, b"three")) == [b"one", b"", b"three"]
    assert peer.between_frames


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_any_cut_gives_the_same_frames(bodies: list[bytes], data: st.DataObject) -> None:
    ours, peer = greeted()
    stream = b"".join(frame(ours, body) for body in bodies)
    out: list[bytes] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        out += peer.receive(stream[:cut])
        stream = stream[cut:]
    assert out == bodies and peer.between_frames


@settings(max_examples=400, deadline=None)
@given(st.lists(st.binary(max_size=2_000), max_size=6), st.booleans())
def test_garbage_gives_frames_or_a_peer_error_and_never_grows(chunks: list[bytes], after_hello: bool) -> None:
    codec = FrameCodec(SMALL)
    if after_hello:
        codec.receive(FrameCodec(SMALL).hello())
    queued = 0
    for chunk in chunks:
        try:
            queued += sum(len(body) + FRAME_COST for body in codec.receive(chunk))
        except PeerError:
            with pytest.raises(PeerError):
                codec.receive(b"")  # dead for good
            return
        assert queued <= SMALL.credit_bytes
        assert len(codec._buffer) <= SMALL.max_frame_bytes + HEADER.size + len(chunk)


def test_oversize_is_refused_at_its_header() -> None:
    _, peer = greeted()
    with pytest.raises(LimitExceeded, match="1001"):
        peer.receive(HEADER.pack(1_001, DATA))


def test_a_length_of_four_gigabytes_waits_for_nothing() -> None:
    with pytest.raises(LimitExceeded):
        FrameCodec(SMALL).receive(HEADER.pack(0xFFFFFFFF, HELLO))


def test_nothing_may_be_sent_before_the_peers_hello() -> None:
    assert not FrameCodec(SMALL).may_send(0)


def test_credit_runs_out_and_comes_back_when_frames_are_consumed() -> None:
    ours, peer = greeted()
    sent = 0
    while ours.may_send(500):
        assert peer.receive(frame(ours, bytes(500))) == [bytes(500)]
        sent += 1
    assert sent == SMALL.credit_bytes // (500 + FRAME_COST)
    grants = [peer.consumed(500) for _ in range(sent)]
    assert [bool(grant) for grant in grants].count(True) == 1  # one grant for half a window, not one for each frame
    for grant in grants:
        ours.receive(grant)
    assert ours.may_send(500)


def test_a_peer_that_sends_beyond_its_credit_is_refused() -> None:
    _, peer = greeted()
    body = bytes(1_000)
    for _ in range(SMALL.credit_bytes // (1_000 + FRAME_COST)):
        peer.receive(HEADER.pack(1_000, DATA) + body)
    with pytest.raises(LimitExceeded, match="credit"):
        peer.receive(HEADER.pack(1_000, DATA))


def test_empty_frames_cost_credit_too() -> None:
    _, peer = greeted()
    with pytest.raises(LimitExceeded, match="credit"):
        peer.receive(HEADER.pack(0, DATA) * (SMALL.credit_bytes // FRAME_COST + 1))


def test_a_frame_before_hello_and_a_second_hello_are_malformed() -> None:
    with pytest.raises(Malformed, match="before Hello"):
        FrameCodec(SMALL).receive(HEADER.pack(1, DATA) + b"x")
    ours, peer = greeted()
    with pytest.raises(Malformed, match="second Hello"):
        peer.receive(ours.hello())


@pytest.mark.parametrize("body", [b"", b"\0\0\0", struct.pack(">I", 0), struct.pack(">I", 0xFFFFFFFF)])
def test_damaged_grants_are_malformed(body: bytes) -> None:
    ours, _ = greeted()
    with pytest.raises(Malformed):
        ours.receive(HEADER.pack(len(body), CREDIT) + body)


def test_frames_of_a_later_minor_version_are_dropped_and_cost_credit() -> None:
    ours, peer = greeted()
    assert peer.receive(HEADER.pack(3, 9) + b"new" + frame(ours, b"known")) == [b"known"]
    with pytest.raises(LimitExceeded):
        peer.receive((HEADER.pack(1_000, 9) + bytes(1_000)) * 5)


def test_hello_survives_its_encoding_and_unknown_fields() -> None:
    hello = Hello(7, ("resume", "zstd"), 1_000, 5_000, ("resume",))
    assert decode_hello(encode_hello(hello)) == hello
    assert decode_hello(encode_hello(hello) + b"\x2a\x00\x03abc") == hello


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_hello_decodes_or_is_a_peer_error(body: bytes) -> None:
    try:
        decode_hello(body)
    except PeerError:
        return


@pytest.mark.parametrize(
    "damaged",
    [
        encode_hello(SMALL)[:-1],
        encode_hello(SMALL)[7:],  # no version
        encode_hello(SMALL) + encode_hello(SMALL),
        encode_hello(SMALL) + b"\x04\x00\x01\xff",
    ],
)
def test_damaged_hellos(damaged: bytes) -> None:
    with pytest.raises(Malformed):
        decode_hello(damaged)


def test_a_credit_in_which_no_frame_fits_is_malformed() -> None:
    with pytest.raises(Malformed, match="one whole frame must fit"):
        Hello(max_frame_bytes=1_000, credit_bytes=1_000)


def test_a_missing_required_feature_names_both_versions() -> None:
    ours = FrameCodec(Hello(minor=3, features=("seals",)))
    with pytest.raises(Unsupported, match=r"minor version 5.*resume|resume.*minor version 3") as caught:
        ours.receive(FrameCodec(Hello(minor=5, requires=("resume",))).hello())
    assert "5" in caught.value.message and "3" in caught.value.message


def test_a_required_feature_that_both_have_is_no_obstacle() -> None:
    greeted(Hello(features=("seals",), requires=("seals",)), Hello(features=("seals", "more")))


def test_a_frame_larger_than_the_peer_takes_is_refused_before_it_is_sent() -> None:
    ours, _ = greeted(Hello(), SMALL)
    with pytest.raises(Unsupported, match="at most 1000"):
        ours.may_send(1_001)
