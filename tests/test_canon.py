"""The canonical encoding: committed vectors, a second implementation beside it, and every form it must refuse."""

from __future__ import annotations

import enum
import hashlib
import json
import math
import struct
import subprocess
import sys
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ctorrent import canon
from ctorrent.canon import Array, CanonError, decode, encode

VECTORS = json.loads((Path(__file__).parent / "vectors" / "canon.json").read_text())
CANONICAL_NAN = struct.unpack(">d", bytes.fromhex("7ff8000000000000"))[0]


# -- a second implementation, on the msgpack package and numpy; it shares no line with canon.py -------------------------


def prepared(value: Any) -> Any:
    """What msgpack's packer must be given so that its plain output is the canonical one."""
    if isinstance(value, msgpack.Timestamp):
        raise ValueError("no value is a timestamp")
    if isinstance(value, float):
        return CANONICAL_NAN if math.isnan(value) else value
    if isinstance(value, list | tuple):
        return [prepared(item) for item in value]
    if isinstance(value, dict):
        return {key: prepared(value[key]) for key in sorted(value, key=lambda key: key.encode())}
    if isinstance(value, np.ndarray):
        value = Array(value.dtype.newbyteorder("<").str, value.shape, quieted(value).tobytes())
    if isinstance(value, Array):
        parts = [value.dtype, list(value.shape), value.data]
        return msgpack.ExtType(1, msgpack.packb(parts, use_bin_type=True))
    return value


def quieted(array: Any) -> Any:
    little = np.array(array, dtype=array.dtype.newbyteorder("<"), order="C")
    flat = little.reshape(-1)
    parts = (flat.real, flat.imag) if little.dtype.kind == "c" else (flat,) if little.dtype.kind == "f" else ()
    for part in parts:
        part[np.isnan(part)] = np.nan
    return little


def second_encode(value: Any) -> bytes:
    return msgpack.packb(prepared(value), use_bin_type=True)


def second_decode(data: bytes) -> Any:
    """The value of canonical bytes, or ValueError: canonical means that encoding again gives the same bytes."""
    try:
        loose = msgpack.unpackb(data, raw=False, strict_map_key=True, ext_hook=second_array)
    except (msgpack.UnpackException, ValueError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if second_depth(loose) > 64 or second_encode(loose) != data:
        raise ValueError("not canonical")
    return loose


def second_array(code: int, data: bytes) -> Array:
    if code != 1:
        raise ValueError("unknown extension")
    dtype, shape, raw = msgpack.unpackb(data, raw=False)
    known = {np.dtype(kind).newbyteorder("<").str for kind in ["?", "b", "B", "h", "H", "i", "I", "q", "Q", "e", "f", "d", "F", "D"]}
    if dtype not in known or type(raw) is not bytes or len(shape) > 32 or any(type(side) is not int for side in shape):
        raise ValueError("not an array")
    if second_encode(Array(dtype, tuple(shape), raw))[-len(data) :] != data:
        raise ValueError("array parts not in their shortest form")
    if min(shape, default=0) < 0 or math.prod(s for s in shape if s) * np.dtype(dtype).itemsize >= 2**63:
        raise ValueError("no such shape")
    if 0 in shape and math.prod(s for s in shape if s) > 2**20:
        raise ValueError("rows of nothing")
    if math.prod(shape) * np.dtype(dtype).itemsize != len(raw):
        raise ValueError("the shape lies")
    array = np.frombuffer(raw, dtype=dtype)
    if array.dtype.kind == "b" and not set(raw) <= {0, 1}:
        raise ValueError("a third truth value")
    if quieted(array).tobytes() != raw:
        raise ValueError("a foreign NaN")
    return Array(dtype, tuple(shape), raw)


def second_depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(second_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(second_depth, value), default=0)
    return 0


# -- vectors ----------------------------------------------------------------------------------------------------------


def described(note: Any) -> Any:
    """The value that a vector describes; docs/canonical.md says how."""
    if note is None or isinstance(note, bool):
        return note
    ((kind, content),) = note.items()
    match kind:
        case "int":
            return int(content)
        case "float":
            return struct.unpack(">d", bytes.fromhex(content))[0]
        case "text":
            return content
        case "bytes":
            return bytes.fromhex(content)
        case "list":
            return [described(item) for item in content]
        case "map":
            return {key: described(item) for key, item in content}
        case "array":
            return Array(content["dtype"], tuple(content["shape"]), bytes.fromhex(content["bytes"]))
        case "repeat":
            value = described(content["of"])
            return [value] * content["times"] if content["as"] == "list" else value * content["times"]
    raise AssertionError(f"unknown kind {kind}")


@pytest.mark.parametrize("vector", VECTORS["values"], ids=lambda vector: vector["name"])
def test_every_vector_both_ways(vector: dict[str, Any]) -> None:
    value = described(vector["value"])
    data = encode(value)
    if "hex" in vector:
        assert data.hex() == vector["hex"]
    else:
        assert (len(data), data[:8].hex(), hashlib.sha256(data).hexdigest()) == (
            vector["size"], vector["head"], vector["sha256"],
        )  # fmt: skip
    assert encode(decode(data)) == data
    assert second_encode(value) == data


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["name"])
def test_every_refused_vector(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    with pytest.raises(CanonError):
        decode(data)
    with pytest.raises(CanonError):
        decode(data, "numpy")
    with pytest.raises(ValueError):
        second_decode(data)


# -- two implementations, one encoding --------------------------------------------------------------------------------

DTYPES = ["?", "i1", "u1", "<i2", ">u2", "<i4", ">i4", "<u8", ">i8", "<f2", ">f4", "<f8", ">f8", "<c8", "<c16"]


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=4)))
    raw = draw(st.binary(min_size=math.prod(shape) * dtype.itemsize, max_size=math.prod(shape) * dtype.itemsize))
    if dtype.kind == "b":
        raw = bytes(byte & 1 for byte in raw)
    array = np.frombuffer(raw, dtype=dtype).reshape(shape)
    return array.T if draw(st.booleans()) else array  # Fortran order in memory, C order in the bytes


SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=40)
    | st.binary(max_size=40) | st.sampled_from([-33, -32, -129, -128, 127, 128, 255, 256, 65535, 65536, 2**32, -0.0])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS | arrays(),
    lambda inner: st.lists(inner, max_size=18) | st.dictionaries(st.text(max_size=8), inner, max_size=18),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(VALUES)
@example({"é": 1, "z": 2, "ａ": 3, "𝒳": 4, "": 5})  # UTF-16 would order the last two the other way round
@example([float("nan"), -float("nan"), struct.unpack(">d", b"\x7f\xf0\0\0\0\0\0\1")[0]])
def test_both_implementations_agree(value: Any) -> None:
    data = encode(value)
    assert data == second_encode(value)
    again = decode(data)
    assert encode(again) == data
    assert encode(decode(data, "numpy")) == data
    assert second_encode(second_decode(data)) == data


@settings(max_examples=300, deadline=None)
@given(VALUES, st.data())
def test_every_mutation_is_refused_or_says_something_else(value: Any, data: st.DataObject) -> None:
    raw = bytearray(encode(value))
    match data.draw(st.sampled_from(["flip", "cut", "insert", "repeat"])):
        case "flip":
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
        case "cut":
            del raw[data.draw(st.integers(0, len(raw) - 1)) :]
        case "insert":
            raw.insert(data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, 255)))
        case _:
            raw += raw[-data.draw(st.integers(1, 4)) :]
    the_same_verdict(bytes(raw))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60))
@example(b"\xc7\x09\x01\x93\xa3<f8\x91\x03\xc4\x00")
def test_any_bytes_are_one_value_or_refused(raw: bytes) -> None:
    the_same_verdict(raw)


def the_same_verdict(raw: bytes) -> None:
    try:
        value = decode(raw)
    except CanonError:
        with pytest.raises(ValueError):
            second_decode(raw)
        with pytest.raises(CanonError):
            decode(raw, "numpy")
        return
    assert encode(value) == raw
    assert encode(decode(raw, "numpy")) == raw
    assert second_encode(second_decode(raw)) == raw


# -- what is refused, and how it is said ------------------------------------------------------------------------------


def extension(body: bytes) -> bytes:
    return msgpack.packb(msgpack.ExtType(1, body))


def array_bytes(dtype: Any, shape: Any, raw: Any) -> bytes:
    return extension(msgpack.packb([dtype, shape, raw], use_bin_type=True))


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 32767, 32768, 65536, 2**32 - 1, -1, -32, -33, -128, -129, -(2**31)])
def test_integers_have_one_length(value: int, width: int) -> None:
    """Every way to write an integer in so many bytes is either the one that encode chose, or refused."""
    shortest = encode(value)
    for code, signed in ((0xCC, False), (0xD0, True)):
        try:
            written = bytes([code + width.bit_length() - 1]) + value.to_bytes(width, "big", signed=signed)
        except OverflowError:
            continue  # does not fit
        if written == shortest:
            continue
        with pytest.raises(CanonError, match="shortest"):
            decode(written)


@pytest.mark.parametrize("exponent", ["7ff8000000000001", "fff8000000000000", "7ff0000000000001", "7fffffffffffffff"])
def test_other_nans_are_refused(exponent: str) -> None:
    raw = bytes.fromhex(exponent)
    with pytest.raises(CanonError, match="NaN"):
        decode(b"\xcb" + raw)
    with pytest.raises(CanonError, match="NaN"):
        decode(array_bytes("<f8", [1], raw[::-1]))
    for dtype, width in (("<f4", 4), ("<c8", 4), ("<f2", 2)):
        foreign = np.frombuffer(b"\xff" * width, dtype=f"<u{width}").tobytes() * (2 if dtype[1] == "c" else 1)
        with pytest.raises(CanonError, match="NaN"):
            decode(array_bytes(dtype, [1], foreign))


def test_infinities_and_huge_numbers_in_arrays_are_not_taken_for_nans() -> None:
    for kind in (np.float16, np.float32, np.float64, np.complex64, np.complex128):
        top = np.finfo(kind).max
        array = np.array([np.inf, -np.inf, np.nan, top, -top, 0, -0.0], dtype=kind)
        assert encode(decode(encode(array))) == encode(array)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (array_bytes("<f8", [3], b""), "says"),
        (array_bytes("<f8", [2], bytes(15)), "says"),
        (array_bytes("<f8", [0, 1 << 62, 1 << 62], b""), "no machine"),
        (array_bytes("<f8", [1 << 40], bytes(8)), "says"),
        (array_bytes(">f8", [1], bytes(8)), "dtype"),
        (array_bytes("<f16", [1], bytes(16)), "dtype"),
        (array_bytes("|O", [1], bytes(8)), "dtype"),
        (array_bytes(b"<f8", [1], bytes(8)), "dtype"),
        (array_bytes("<f8", [-1], bytes(8)), "whole"),
        (array_bytes("<f8", [True], bytes(8)), "whole"),
        (array_bytes("<f8", [1.0], bytes(8)), "whole"),
        (array_bytes("<f8", 1, bytes(8)), "list"),
        (array_bytes("<f8", [1], "12345678"), "bytes"),
        (array_bytes("<f8", [1] * 33, bytes(8)), "32 dimensions"),
        (array_bytes("|b1", [2], b"\0\2"), "truth"),
        (extension(msgpack.packb(["<f8", [1]])), "bytes|early"),
        (extension(msgpack.packb(["<f8", [1], bytes(8), 1])), "not \\[dtype"),
        (extension(msgpack.packb(["<f8", [1], bytes(8)]) + b"\xc0"), "as long"),
        (array_bytes("<f8", [1], bytes(8)).replace(b"\xc7", b"\xc8\0", 1), "shortest"),
        (array_bytes("<f8", [1], msgpack.ExtType(1, bytes(8))), "inside"),
        (array_bytes("<f8", [1], [1]), "deeper"),
        (msgpack.packb(msgpack.ExtType(2, bytes(8))), "not an array"),
        (bytes.fromhex("d6ff00000000"), "not an array"),
    ],
)
def test_arrays_that_lie_are_refused(body: bytes, why: str) -> None:
    with pytest.raises(CanonError, match=why):
        decode(body)


@pytest.mark.parametrize("raw", [b"\x82\xa1b\x00\xa1a\x00", b"\x82\xa1a\x00\xa1a\x00", b"\x81\x01\x00", b"\x81\xc4\x01a\x00"])
def test_keys_are_text_sorted_and_once(raw: bytes) -> None:
    with pytest.raises(CanonError, match="key"):
        decode(raw)


def test_depth_is_bounded_for_every_kind_of_nesting() -> None:
    def nested(depth: int) -> list[Any]:
        return [nested(depth - 1)] if depth > 1 else []

    assert decode(encode(nested(64))) == nested(64)
    with pytest.raises(CanonError, match="deeper"):
        encode(nested(65))
    for unit in (b"\x91", b"\x81\xa0"):
        with pytest.raises(CanonError, match="deeper"):
            decode(unit * 65 + b"\xc0")
        with pytest.raises(CanonError, match="deeper"):
            decode(unit * 1_000_000)
    body = b"\xc0"
    for _ in range(300):
        body = extension(b"\x93" + body)
    with pytest.raises(CanonError):
        decode(body)


def test_an_array_may_stand_at_the_deepest_place() -> None:
    value: Any = np.arange(3)
    for _ in range(64):
        value = [value]
    assert encode(decode(encode(value))) == encode(value)


def test_a_claimed_length_costs_nothing() -> None:
    for head in (b"\xdb", b"\xc6", b"\xdd", b"\xdf", b"\xc9"):
        with pytest.raises(CanonError):
            decode(head + b"\xff\xff\xff\xff\x01")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [1, {2}]}, 'result["a"][1] is a set'),
        ({"x": {1: 2}}, 'result["x"] has the key 1'),
        ([1 << 64], "result[0] is an integer of more than 64 bits"),
        ([object()], "result[0] is a object"),
        (1j, "result is a complex"),
        ("\ud800", "lone surrogates"),
        ({"\udfff": 1}, "lone surrogates"),
        (np.array(["a"]), "result is an array of"),
        (np.array([None]), "array of object"),
        (np.ma.array([1.0], mask=[True]), "masked"),
        (np.zeros((1,) * 33), "33 dimensions"),
        (np.longdouble(1), "numpy"),
        (np.datetime64(1, "s"), "numpy datetime64"),
        (Array("<f8", (3,), b""), "result is an array that says"),
        (Array("<f8", (1,), b"\xff" * 8), "NaN"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_encoded_is_named(value: Any, words: str) -> None:
    with pytest.raises(CanonError) as caught:
        encode(value)
    assert words in str(caught.value)


def test_a_value_inside_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(CanonError, match="deeper"):
        encode(loop)


def test_subclasses_are_what_they_are_at_heart() -> None:
    class Colour(str, enum.Enum):  # noqa: UP042 - its __str__ is what is tested
        RED = "red"

    class Sly(str):
        def __str__(self) -> str:
            return self

    pair = namedtuple("pair", "a b")
    assert decode(encode([Colour.RED, Sly("x"), pair(1, 2), OrderedDict(b=1, a=2), enum.IntEnum("N", "A").A])) == [
        "red", "x", [1, 2], {"a": 2, "b": 1}, 1,
    ]  # fmt: skip
    assert decode(encode([np.float32(0.5), np.int8(-3), np.bool_(True), np.str_("t"), bytearray(b"b")])) == [
        0.5, -3, True, "t", b"b",
    ]  # fmt: skip


def test_equal_arrays_have_equal_bytes_however_they_lie_in_memory() -> None:
    array = np.arange(12, dtype=">i4").reshape(3, 4)
    assert encode(array) == encode(np.asfortranarray(array)) == encode(array.astype("<i4")) == encode(array[::1, ::1])
    odd_truth = np.frombuffer(b"\x00\x02\xff", dtype=bool)
    assert encode(odd_truth) == encode(np.array([False, True, True]))
    assert decode(encode(np.array(3.5)), "numpy").shape == ()


def test_it_runs_alone_without_numpy() -> None:
    """Sandboxes get this file only, at times without any package."""
    program = (
        "import sys; sys.modules['numpy'] = None; sys.path.insert(0, sys.argv[1]); import canon;"
        "data = bytes.fromhex(sys.argv[2]); assert canon.encode(canon.decode(data)) == data;"
        "assert not [m for m in sys.modules if m.startswith('ctorrent')]"
    )
    data = encode({"a": np.array([1.0, np.nan, np.inf]), "b": [1, -0.0]})
    folder = str(Path(canon.__file__).parent)
    subprocess.run([sys.executable, "-I", "-S", "-c", program, folder, data.hex()], check=True, timeout=30)
