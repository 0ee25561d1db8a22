"""The canonical encoding of values: one value, one byte string. docs/canonical.md is its specification.

msgpack, restricted: shortest ints, float64 always, every NaN as 0x7ff8000000000000, -0.0 kept, text keys sorted
bytewise without duplicates, tuple = list, no sets, arrays as extension 1 over [dtype, shape, C-order little-endian
bytes]. The decoder rejects whatever the encoder would not have written.

This file is copied alone into sandboxes: Python 3.9, standard library only; numpy is used only if the value is its.
"""

from __future__ import annotations

import math
import struct
from typing import Any, List, Tuple

DEPTH_MAX = 64  # nesting; a hostile value must not exhaust the interpreter's stack
ARRAY_EXT = 1
_NAN = b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"
_DTYPES = {
    "|b1": 1, "|i1": 1, "|u1": 1, "<i2": 2, "<u2": 2, "<i4": 4, "<u4": 4, "<i8": 8, "<u8": 8,
    "<f2": 2, "<f4": 4, "<f8": 8, "<c8": 8, "<c16": 16,
}  # fmt: skip
_ACCEPTED = "return numbers, text, bytes, lists, dicts with text keys, or numpy arrays"


class CanonError(ValueError):
    """A value that has no canonical form, or bytes that are not one. Says where: result["loss"][3]."""


class Array:
    """A decoded array that numpy has not seen: dtype such as "<f8", shape, C-order bytes."""

    __slots__ = ("data", "dtype", "shape")

    def __init__(self, dtype: str, shape: Tuple[int, ...], data: bytes) -> None:
        self.dtype, self.shape, self.data = dtype, shape, data

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Array)
            and (self.dtype, self.shape, self.data) == (other.dtype, other.shape, other.data)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Array({self.dtype}, {self.shape}, {len(self.data)} bytes)"

    def numpy(self) -> Any:
        """As a numpy array (read-only view)."""
        import numpy

        return numpy.frombuffer(self.data, dtype=self.dtype).reshape(self.shape)


# -- encode -----------------------------------------------------------------------------------------------------------


def encode(value: Any) -> bytes:
    """Canonical bytes of a value. Raises CanonError, naming the part that has none."""
    out: List[bytes] = []
    _encode(value, out, "result", 0)
    return b"".join(out)


def _encode(value: Any, out: List[bytes], path: str, depth: int) -> None:
    kind = type(value)
    if kind is float:
        out.append(_NAN if value != value else struct.pack(">Bd", 0xCB, value))
    elif kind is int:
        out.append(_int(value, path))
    elif kind is str:
        out.append(_text(value, path))
    elif kind is dict:
        _encode_map(value, out, path, depth)
    elif kind is list or kind is tuple:
        _encode_list(value, out, path, depth)
    elif kind is bytes:
        out.append(_bytes_head(len(value), path))
        out.append(value)
    elif value is None:
        out.append(b"\xc0")
    elif value is True or value is False:
        out.append(b"\xc3" if value else b"\xc2")
    else:
        _encode_other(value, out, path, depth)


def _encode_other(value: Any, out: List[bytes], path: str, depth: int) -> None:
    """Subclasses, buffers, numpy; everything else is refused by name."""
    module = type(value).__module__.split(".")[0]
    if isinstance(value, Array):
        _encode_array(value.dtype, value.shape, value.data, out, path)
    elif module == "numpy" and hasattr(value, "dtype"):
        _encode_numpy(value, out, path, depth)
    elif isinstance(value, (bytearray, memoryview)):
        _encode(bytes(value), out, path, depth)
    elif isinstance(value, (set, frozenset)):
        raise CanonError(f"{path} is a set, which has no order: return sorted(…) instead")
    else:
        bases: Tuple[Any, ...] = (int, float, str, bytes, dict, list, tuple)
        for base in bases:
            if isinstance(value, base):
                _encode(base(value), out, path, depth)
                return
        raise CanonError(f"{path} is a {type(value).__name__}: {_ACCEPTED}")


def _encode_map(value: Any, out: List[bytes], path: str, depth: int) -> None:
    if depth >= DEPTH_MAX:
        raise CanonError(f"{path} is nested deeper than {DEPTH_MAX}")
    keyed = []
    for key in value:
        if not isinstance(key, str):
            raise CanonError(f"{path} has the key {key!r:.40}: keys must be text")
        keyed.append((_utf8(key, path), key))
    keyed.sort()
    size = len(keyed)
    if size < 16:
        out.append(bytes((0x80 | size,)))
    else:
        out.append(struct.pack(">BH", 0xDE, size) if size < 1 << 16 else struct.pack(">BI", 0xDF, size))
    for raw, key in keyed:
        out.append(_text_head(len(raw)))
        out.append(raw)
        _encode(value[key], out, f'{path}["{key[:40]}"]', depth + 1)


def _encode_list(value: Any, out: List[bytes], path: str, depth: int) -> None:
    if depth >= DEPTH_MAX:
        raise CanonError(f"{path} is nested deeper than {DEPTH_MAX}")
    out.append(_list_head(len(value)))
    for index, item in enumerate(value):
        if type(item) is float:  # long lists of floats are common: no call, no path
            out.append(_NAN if item != item else struct.pack(">Bd", 0xCB, item))
        else:
            _encode(item, out, f"{path}[{index}]", depth + 1)


def _encode_numpy(value: Any, out: List[bytes], path: str, depth: int) -> None:
    import numpy

    if isinstance(value, numpy.generic):
        item = value.item()
        if type(item) is type(value) or not isinstance(item, (bool, int, float, str, bytes)):
            raise CanonError(f"{path} is a numpy {value.dtype}: {_ACCEPTED}")
        _encode(item, out, path, depth)
        return
    plain = numpy.asarray(value)
    little = plain.dtype.newbyteorder("<").str
    if little not in _DTYPES:
        raise CanonError(f"{path} is an array of {plain.dtype}: use bool, int, float or complex of 8 to 128 bits")
    plain = plain.astype(little, order="C", copy=False)
    if plain.dtype.kind in "fc":
        parts = plain.view(plain.real.dtype) if plain.ndim else plain.reshape(1).view(plain.real.dtype)
        if numpy.isnan(parts).any():
            parts = parts.copy()
            parts[numpy.isnan(parts)] = numpy.nan
            plain = parts.view(little).reshape(plain.shape)
    _encode_array(little, plain.shape, plain.tobytes(order="C"), out, path)


def _encode_array(dtype: str, shape: Any, data: bytes, out: List[bytes], path: str) -> None:
    inner: List[bytes] = [b"\x93", _text(dtype, path), _list_head(len(shape))]
    inner.extend(_int(int(side), path) for side in shape)
    inner.append(_bytes_head(len(data), path))
    size = sum(map(len, inner)) + len(data)
    out.append(_ext_head(size, path))
    out.extend(inner)
    out.append(data)


def _int(value: int, path: str) -> bytes:
    if value >= 0:
        if value < 0x80:
            return bytes((value,))
        for limit, code, form in ((1 << 8, 0xCC, ">BB"), (1 << 16, 0xCD, ">BH"), (1 << 32, 0xCE, ">BI"), (1 << 64, 0xCF, ">BQ")):
            if value < limit:
                return struct.pack(form, code, value)
    else:
        if value >= -32:
            return bytes((value & 0xFF,))
        for limit, code, form in ((1 << 7, 0xD0, ">Bb"), (1 << 15, 0xD1, ">Bh"), (1 << 31, 0xD2, ">Bi"), (1 << 63, 0xD3, ">Bq")):
            if -value <= limit:
                return struct.pack(form, code, value)
    raise CanonError(f"{path} is an integer of more than 64 bits: return it as text")


def _utf8(text: str, path: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise CanonError(f"{path} is text with lone surrogates: return bytes instead") from None


def _text(text: str, path: str) -> bytes:
    raw = _utf8(text, path)
    return _text_head(len(raw)) + raw


def _text_head(size: int) -> bytes:
    if size < 32:
        return bytes((0xA0 | size,))
    if size < 1 << 8:
        return struct.pack(">BB", 0xD9, size)
    return struct.pack(">BH", 0xDA, size) if size < 1 << 16 else struct.pack(">BI", 0xDB, size)


def _bytes_head(size: int, path: str) -> bytes:
    if size < 1 << 8:
        return struct.pack(">BB", 0xC4, size)
    if size >= 1 << 32:
        raise CanonError(f"{path} is larger than 4 GiB: write a file instead")
    return struct.pack(">BH", 0xC5, size) if size < 1 << 16 else struct.pack(">BI", 0xC6, size)


def _list_head(size: int) -> bytes:
    if size < 16:
        return bytes((0x90 | size,))
    return struct.pack(">BH", 0xDC, size) if size < 1 << 16 else struct.pack(">BI", 0xDD, size)


def _ext_head(size: int, path: str) -> bytes:
    fixed = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}.get(size)
    if fixed is not None:
        return bytes((fixed, ARRAY_EXT))
    if size < 1 << 8:
        return struct.pack(">BBB", 0xC7, size, ARRAY_EXT)
    if size >= 1 << 32:
        raise CanonError(f"{path} is larger than 4 GiB: write a file instead")
    return struct.pack(">BHB", 0xC8, size, ARRAY_EXT) if size < 1 << 16 else struct.pack(">BIB", 0xC9, size, ARRAY_EXT)


# -- decode -----------------------------------------------------------------------------------------------------------


def decode(data: bytes, arrays: str = "raw") -> Any:
    """The value of canonical bytes. arrays: "raw" gives Array, "numpy" gives read-only numpy arrays.

    Memory is bounded by the input: no length is believed before the bytes are there. Raises CanonError.
    """
    if arrays not in ("raw", "numpy"):
        raise ValueError(f"arrays is {arrays!r}: use 'raw' or 'numpy'")
    value, end = _decode(bytes(data), 0, 0, arrays == "numpy")
    if end != len(data):
        raise CanonError(f"{len(data) - end} bytes follow the value")
    return value


def _decode(data: bytes, at: int, depth: int, as_numpy: bool) -> Tuple[Any, int]:
    if at >= len(data):
        raise CanonError(f"the value ends early, at byte {at}")
    code = data[at]
    if code < 0x80:
        return code, at + 1
    if code >= 0xE0:
        return code - 256, at + 1
    if code == 0xCB:
        return _decode_float(data, at)
    if code < 0x90 or code in (0xDE, 0xDF):
        return _decode_map(data, at, depth, as_numpy)
    if code < 0xA0 or code in (0xDC, 0xDD):
        return _decode_list(data, at, depth, as_numpy)
    if code < 0xC0 or code in (0xD9, 0xDA, 0xDB):
        size, start = _size(data, at, 0xA0, 0xC0, {0xD9: 1, 0xDA: 2, 0xDB: 4}, 32)
        try:
            return _take(data, start, size).decode("utf-8"), start + size
        except UnicodeDecodeError:
            raise CanonError(f"text at byte {at} is not UTF-8") from None
    if code in (0xC4, 0xC5, 0xC6):
        size, start = _size(data, at, 0, 0, {0xC4: 1, 0xC5: 2, 0xC6: 4}, 0)
        return _take(data, start, size), start + size
    if code == 0xC0:
        return None, at + 1
    if code in (0xC2, 0xC3):
        return code == 0xC3, at + 1
    if 0xCC <= code <= 0xD3:
        return _decode_int(data, at)
    return _decode_array(data, at, as_numpy)


def _take(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise CanonError(f"the value ends early: {size} bytes wanted at byte {at}, {len(data) - at} there")
    return data[at : at + size]


def _size(data: bytes, at: int, fix_low: int, fix_high: int, widths: Any, fix_limit: int) -> Tuple[int, int]:
    """Length behind a header, and where the content starts; only the shortest header is accepted."""
    code = data[at]
    if fix_low <= code < fix_high:
        return code - fix_low, at + 1
    width = widths[code]
    size = int.from_bytes(_take(data, at + 1, width), "big")
    smaller = {1: fix_limit, 2: 1 << 8 if 1 in widths.values() else fix_limit, 4: 1 << 16}[width]
    if size < smaller:
        raise CanonError(f"the length at byte {at} is not in its shortest form")
    return size, at + 1 + width


def _decode_float(data: bytes, at: int) -> Tuple[float, int]:
    raw = _take(data, at + 1, 8)
    value = struct.unpack(">d", raw)[0]
    if math.isnan(value) and raw != _NAN[1:]:
        raise CanonError(f"the NaN at byte {at} is not the canonical one")
    return value, at + 9


def _decode_int(data: bytes, at: int) -> Tuple[int, int]:
    code = data[at]
    width = 1 << ((code - 0xCC) % 4)
    raw = _take(data, at + 1, width)
    value = int.from_bytes(raw, "big", signed=code >= 0xD0)
    if _int(value, "") != data[at : at + 1 + width]:
        raise CanonError(f"the integer at byte {at} is not in its shortest form")
    return value, at + 1 + width


def _decode_map(data: bytes, at: int, depth: int, as_numpy: bool) -> Tuple[Any, int]:
    if depth >= DEPTH_MAX:
        raise CanonError(f"nested deeper than {DEPTH_MAX}")
    size, at = _size(data, at, 0x80, 0x90, {0xDE: 2, 0xDF: 4}, 16)
    value = {}
    last = b""
    for position in range(size):
        start = at
        key, at = _decode(data, at, depth + 1, as_numpy)
        if type(key) is not str:
            raise CanonError(f"the key at byte {start} is not text")
        raw = key.encode("utf-8")
        if position and raw <= last:
            raise CanonError(f"the key at byte {start} is out of order or twice there")
        last = raw
        value[key], at = _decode(data, at, depth + 1, as_numpy)
    return value, at


def _decode_list(data: bytes, at: int, depth: int, as_numpy: bool) -> Tuple[Any, int]:
    if depth >= DEPTH_MAX:
        raise CanonError(f"nested deeper than {DEPTH_MAX}")
    size, at = _size(data, at, 0x90, 0xA0, {0xDC: 2, 0xDD: 4}, 16)
    value = []
    for _ in range(size):
        item, at = _decode(data, at, depth + 1, as_numpy)
        value.append(item)
    return value, at


def _decode_array(data: bytes, at: int, as_numpy: bool) -> Tuple[Any, int]:
    code = data[at]
    fixed = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}.get(code)
    width = {0xC7: 1, 0xC8: 2, 0xC9: 4}.get(code, 0)
    if fixed is None and not width:
        raise CanonError(f"byte {at} is 0x{code:02x}, which no value begins with")
    size = fixed if fixed is not None else int.from_bytes(_take(data, at + 1, width), "big")
    kind = _take(data, at + 1 + width, 1)[0]
    start = at + 2 + width
    if kind != ARRAY_EXT or data[at:start] != _ext_head(size, ""):
        raise CanonError(f"the extension at byte {at} is not an array in its shortest form")
    body, end = _decode(_take(data, start, size), 0, DEPTH_MAX - 2, False)
    array = _checked_array(body, at)
    if end != size:
        raise CanonError(f"the array at byte {at} is longer than its content")
    return (array.numpy() if as_numpy else array), start + size


def _checked_array(body: Any, at: int) -> Array:
    """An Array whose shape tells the truth about its bytes."""
    if type(body) is not list or len(body) != 3 or type(body[0]) is not str or type(body[2]) is not bytes:
        raise CanonError(f"the array at byte {at} is not [dtype, shape, bytes]")
    dtype, shape, raw = body
    if dtype not in _DTYPES or type(shape) is not list or len(shape) > 32:
        raise CanonError(f"the array at byte {at} has an unknown dtype or too many dimensions")
    if not all(type(side) is int and side >= 0 for side in shape):
        raise CanonError(f"the array at byte {at} has a shape that is not of whole numbers")
    if math.prod(shape) * _DTYPES[dtype] != len(raw):
        raise CanonError(f"the array at byte {at} says {dtype} {tuple(shape)} and brings {len(raw)} bytes")
    if dtype[1] in "fc":
        _check_nans(dtype, raw, at)
    elif dtype == "|b1" and raw.strip(b"\0\1"):
        raise CanonError(f"the array at byte {at} has truth values other than 0 and 1")
    return Array(dtype, tuple(shape), raw)


def _check_nans(dtype: str, raw: bytes, at: int) -> None:
    """Every NaN must be the canonical one of its width."""
    width = {"<f2": 2, "<f4": 4, "<f8": 8, "<c8": 4, "<c16": 8}[dtype]
    canonical = {2: 0x7E00, 4: 0x7FC00000, 8: 0x7FF8000000000000}[width]
    exponent = {2: 0x7C00, 4: 0x7F800000, 8: 0x7FF0000000000000}[width]
    sign = 1 << (width * 8 - 1)
    try:
        import numpy
    except ImportError:
        words = struct.iter_unpack({2: "<H", 4: "<I", 8: "<Q"}[width], raw)
        bad = any((word & ~sign) > exponent and word != canonical for (word,) in words)
    else:
        array = numpy.frombuffer(raw, dtype=f"<u{width}")
        nans = array[(array & array.dtype.type(~sign & (2 * sign - 1))) > exponent]
        bad = bool((nans != canonical).any())
    if bad:
        raise CanonError(f"the array at byte {at} has a NaN that is not the canonical one")
