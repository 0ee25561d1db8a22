"""Locks: what was written is read, and nothing else. A lock is a stranger's file that becomes pip's input."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctorrent.canon import encode
from ctorrent.errors import PeerError
from ctorrent.model.lock import Lock, Pinned, Wheel
from ctorrent.wire.lock import LOCK_BYTES_MAX, decode_lock, encode_lock

HASH = b"h" * 32
NUMPY = [f"numpy-2.0.1-cp31{n}-cp31{n}-manylinux_2_17_x86_64.manylinux2014_x86_64.whl" for n in (1, 2)]
LOCK = Lock((
    Pinned("numpy", "2.0.1", tuple(Wheel(name, HASH, 16_000_000) for name in NUMPY)),
    Pinned("scikit-learn", "1.7.0+cpu", (Wheel("scikit_learn-1.7.0+cpu-py3-none-any.whl", HASH, 0),)),
))  # fmt: skip


def test_a_lock_comes_back() -> None:
    assert decode_lock(encode_lock(LOCK)) == LOCK
    assert LOCK.versions() == {"numpy": "2.0.1", "scikit-learn": "1.7.0+cpu"}


def entry(name: Any = "sums", version: Any = "1.5", filename: Any = "sums-1.5-py3-none-any.whl", sha256: Any = HASH, size: Any = 1) -> list[Any]:
    return [name, version, [[filename, sha256, size]]]


@pytest.mark.parametrize(
    "value",
    [
        None, 7, b"", [], [1], [2, [entry()]], [1, []], [1, {}], [1, [entry()] * 2], [1, [entry()], 3], [1, [[]]], [1, [["sums", "1.5", []]]],
        [1, [entry(name="Sums")]], [1, [entry(name="sums\n--index-url=http://x")]], [1, [entry(name="-r")]], [1, [entry(name="a" * 300)]],
        [1, [entry(name=b"sums")]], [1, [entry(version="1.5 ; x")]], [1, [entry(version="1.05")]], [1, [entry(version="")]],
        [1, [entry(version="1.5\n-e .")]], [1, [entry(filename="sums-1.5.tar.gz")]], [1, [entry(filename="../sums-1.5-py3-none-any.whl")]],
        [1, [entry(filename="other-1.5-py3-none-any.whl")]], [1, [entry(filename="sums-1.6-py3-none-any.whl")]],
        [1, [entry(filename=f"sums-1.5-{'.'.join(['py3'] * 20)}-{'.'.join(['x'] * 20)}-any.whl")]],
        [1, [entry(sha256=b"h" * 31)]], [1, [entry(sha256="h" * 32)]], [1, [entry(size=-1)]], [1, [entry(size=1 << 60)]], [1, [entry(size=1.0)]],
        [1, [["sums", "1.5", [["sums-1.5-py3-none-any.whl", HASH, 1]] * 2]]],
        [1, [entry(name="b", filename="b-1.5-py3-none-any.whl"), entry(name="a", filename="a-1.5-py3-none-any.whl")]],
        [1, [entry(name=f"a{n:04}", filename=f"a{n:04}-1.5-py3-none-any.whl") for n in range(501)]],
    ],
)  # fmt: skip
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(PeerError):
        decode_lock(encode(value))


@given(st.binary(max_size=300))
def test_garbage_is_refused(blob: bytes) -> None:
    with pytest.raises(PeerError):
        decode_lock(blob)


def test_a_large_one_is_not_even_read() -> None:
    with pytest.raises(PeerError, match="at most"):
        decode_lock(bytes(LOCK_BYTES_MAX + 1))
