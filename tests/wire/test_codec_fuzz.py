"""Whatever arrives, a decoder gives a model or a PeerError: no other exception, for any bytes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctorrent.errors import BadSignature, LimitExceeded, Malformed
from ctorrent.model.session import Unknown
from ctorrent.seal import Sealed
from ctorrent.wire import codec
from tests.wire import samples
from tests.wire.samples import MESSAGES, OWNER, REQUESTER, ROOT, SIGNED, WORKER
from tests.wire.test_codec import DOMAINS, SIGNERS

FRAMES = [codec.encode_message(m) for m in MESSAGES.values()]
QUICK = settings(max_examples=150, deadline=None)


def refuse_or_accept(decode: Callable[..., object], *args: object) -> bool:
    try:
        decode(*args)
    except (Malformed, LimitExceeded, BadSignature):
        return False
    return True


@st.composite
def mutations(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """A valid encoding with bytes changed, cut, doubled or moved."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["set", "cut", "insert", "repeat", "splice"])):
            case "set" if data:
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at : at + draw(st.integers(1, 40))]
            case "insert":
                data[at:at] = draw(st.binary(max_size=12))
            case "repeat":
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
            case _:
                data[at:] = draw(st.sampled_from(originals))[at:]
    return bytes(data)


@QUICK
@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    for kind in range(256):
        refuse_or_accept(codec.decode_message, bytes((kind,)) + data)
    for decode in (
        codec.decode_message,
        codec.decode_sealed,
        codec.decode_entries,
        codec.decode_tally,
        codec.decode_incarnation,
    ):
        refuse_or_accept(decode, data)
    for name, domain in DOMAINS.items():
        refuse_or_accept(SIGNED[name][2], SIGNERS.get(name, REQUESTER).sign(domain, data))
        refuse_or_accept(SIGNED[name][2], Sealed(data, data[:32], data[:64]))


@settings(max_examples=1500, deadline=None)
@given(mutations(FRAMES))
def test_mutated_frames(data: bytes) -> None:
    if refuse_or_accept(codec.decode_message, data):
        message = codec.decode_message(data)
        if not isinstance(message, Unknown):
            assert codec.decode_message(codec.encode_message(message)) == message


@pytest.mark.parametrize("name", DOMAINS)
def test_mutated_bodies_that_are_signed_all_the_same(name: str) -> None:
    body, signer = samples.sealed(name).body, SIGNERS.get(name, REQUESTER)

    @QUICK
    @given(mutations([body]))
    def check(data: bytes) -> None:
        sealed = signer.sign(DOMAINS[name], data)
        if not refuse_or_accept(SIGNED[name][2], sealed):
            assert data != body

    check()


BATCHES = {
    "entries": (codec.encode_entries([samples.sealed("entry")] * 3), codec.decode_entries),
    "tally": (codec.encode_tally(samples.TALLY), codec.decode_tally),
    "incarnation": (codec.encode_incarnation(samples.HEAD), codec.decode_incarnation),
    "sealed": (codec.encode_sealed(samples.sealed("bid")), codec.decode_sealed),
}


@pytest.mark.parametrize("name", BATCHES)
def test_mutated_batches_and_bodies(name: str) -> None:
    good, decode = BATCHES[name]

    @QUICK
    @given(mutations([good]))
    def check(data: bytes) -> None:
        refuse_or_accept(decode, data)

    check()


@QUICK
@given(st.one_of(st.text(max_size=200), st.text(alphabet="abcdefghijklmnopqrstuvwxyz234567=", max_size=300)))
def test_random_invites(line: str) -> None:
    refuse_or_accept(codec.decode_invite, line)
    refuse_or_accept(codec.decode_invite, "ctorrent1:" + line)


@QUICK
@given(st.lists(mutations([samples.sealed("link").body, samples.sealed("certificate").body]), max_size=20))
def test_random_chains(bodies: list[bytes]) -> None:
    refuse_or_accept(codec.open_membership, [ROOT.sign("ctorrent/membership/1", b) for b in bodies])
    refuse_or_accept(codec.open_membership, [Sealed(b, OWNER.public, WORKER.public * 2) for b in bodies])


def test_deep_nesting_costs_nothing() -> None:
    groups = b"\x0b" * 500_000  # field 1, start of a group, never ended
    started = time.process_time()
    for kind in {frame[0] for frame in FRAMES}:
        assert not refuse_or_accept(codec.decode_message, bytes((kind,)) + groups)
    assert time.process_time() - started < 5
