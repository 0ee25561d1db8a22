"""Receipt files: what is written is read, and nothing else is."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctorrent.canon import encode
from ctorrent.errors import LimitExceeded, Malformed, PeerError
from ctorrent.model.ids import Digest
from ctorrent.model.portable import Answer, BlockLine, Data, DataKind, Head, Part, Piece, Tag
from ctorrent.seal import digest, merkle_root
from ctorrent.wire.codec_portable import RULES, decode_part, encode_part, ranges, spread
from ctorrent.wire.portable import LENGTH_BYTES, MAGIC, DataHash, MerkleStream, PartReader
from tests.wire.portable_sample import MAP, Made, honest, swapped, written

VECTOR = Path(__file__).parent / "vectors" / "receipt-file.json"


def parts_of(data: bytes) -> list[Part]:
    return list(PartReader(io.BytesIO(data).read).parts())


def test_a_file_is_read_as_it_was_written() -> None:
    parts = Made().parts()
    data = written(parts)
    assert parts_of(data) == parts
    assert all(encode_part(decode_part(encode_part(part))) == encode_part(part) for part in parts)


def test_the_same_job_gives_the_recorded_file() -> None:
    """Signed once, the same for ever: whoever has a receipt from today checks it in ten years."""
    recorded = json.loads(VECTOR.read_text())
    assert honest().hex() == recorded["file"]
    assert parts_of(bytes.fromhex(recorded["file"])) == Made().parts()


@given(st.integers(0, 70))
def test_a_root_made_leaf_by_leaf_is_the_one_made_at_once(count: int) -> None:
    leaves = [digest("leaf", number.to_bytes(2, "big")) for number in range(count)]
    tree = MerkleStream()
    for leaf in leaves:
        tree.add(leaf)
    assert tree.root() == merkle_root(leaves)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_data_has_the_digest_of_a_blob_however_it_is_cut(data: bytes, size: int) -> None:
    hasher = DataHash(DataKind.BLOB, len(data))
    for start in range(0, len(data), size):
        hasher.update(data[start : start + size])
    assert (hasher.left, hasher.digest()) == (0, digest("ctorrent/blob/1", data))


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=60, unique=True))
def test_ranges_and_back(indices: list[int]) -> None:
    assert spread(ranges(indices)) == tuple(indices)


# -- hostile files ----------------------------------------------------------------------------------------------------


def test_every_cut_is_seen() -> None:
    data = honest()
    for end in range(len(data)):
        with pytest.raises(PeerError):
            parts_of(data[:end])


def test_every_flipped_bit_is_seen() -> None:
    data = bytearray(honest())
    for at in range(0, len(data), 2):
        data[at] ^= 1 << at % 8
        with pytest.raises(PeerError):
            parts_of(bytes(data))
        data[at] ^= 1 << at % 8


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_noise_is_no_file(noise: bytes) -> None:
    for data in (noise, MAGIC + noise, MAGIC + len(noise).to_bytes(4, "big") + noise):
        with pytest.raises(PeerError):
            parts_of(data)


WORDS = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=8) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=20,
)  # fmt: skip
KINDS = ["head", "manifest", "owner", "amendment", "tag", "data", "piece", "block", "unit", "entry", "answer", "seal", "x"]


@settings(max_examples=150)
@given(st.sampled_from(KINDS), st.lists(WORDS, max_size=11))
def test_a_part_of_wrong_types_is_refused_or_is_one(kind: str, words: list[object]) -> None:
    body = encode([kind, *words])
    try:
        part = decode_part(body)
    except PeerError:
        return
    assert encode_part(part) == body


def test_lengths_are_not_believed() -> None:
    """Four gigabytes that are not there are never asked for; counts of blocks and bytes stand for nothing."""
    asked: list[int] = []

    def read(size: int) -> bytes:
        asked.append(size)
        return file.read(size)

    file = io.BytesIO(MAGIC + b"\xff\xff\xff\xff")
    with pytest.raises(LimitExceeded, match="a part of 4294967295 bytes"):
        list(PartReader(read).parts())
    assert max(asked) <= 8
    with pytest.raises(LimitExceeded):
        spread([0, 1 << 19])
    with pytest.raises(LimitExceeded):
        decode_part(bytes(RULES.part_bytes + 1))
    nested = b"\x91" * 200 + b"\xc0"
    with pytest.raises(Malformed, match="canonical"):
        decode_part(nested)


def test_parts_out_of_place_are_refused() -> None:
    parts = Made().parts()
    kinds = [type(part) for part in parts]
    tag, line, answer = kinds.index(Tag), kinds.index(BlockLine), kinds.index(Answer)
    wrong = {
        "in the wrong place": [parts[:1] + parts[2:], [*parts[:tag], parts[line], *parts[tag:]], [*parts, parts[0]], [*parts[:2], *parts[1:]]],
        "before all that a receipt has": [parts[:answer]],
        "another digest": [swapped(parts, Piece, data=bytes(len(MAP))), swapped(parts, Data, digest=Digest(b"0" * 32))],
        "bytes of data": [swapped(parts, Data, size_bytes=10**6), swapped(parts, Data, size_bytes=3)],
        "of no data": [[*parts[: tag + 1], Piece(b"1"), *parts[tag + 1 :]]],
    }
    for words, files in wrong.items():
        for file in files:
            with pytest.raises(Malformed, match=words):
                parts_of(written(file))


def test_what_follows_the_seal_is_refused_and_another_files_seal_too() -> None:
    data = honest()
    with pytest.raises(Malformed, match="follow the seal"):
        parts_of(data + b"\0")
    other = written(swapped(Made().parts(), Head, state="failed"))
    seal = _seal_at(data)
    with pytest.raises(Malformed, match="not of these parts"):
        parts_of(data[:seal] + other[_seal_at(other) :])


def _seal_at(data: bytes) -> int:
    at = last = len(MAGIC)
    while at < len(data):
        last, at = at, at + LENGTH_BYTES + int.from_bytes(data[at : at + LENGTH_BYTES], "big")
    return last
