"""The canonical encoding of values: one value, one byte string. docs/canonical.md is its specification.

msgpack, restricted: shortest ints, float64 always, every NaN as 0x7ff8000000000000, -0.0 kept, text keys sorted
bytewise without duplicates, tuple = list, no sets, arrays as extension 1 over [dtype, shape, C-order little-endian
bytes]. The decoder rejects whatever the encoder would not have written.

This file is copied alone into sandboxes: Python 3.9, standard library only; numpy is used only if the value is its.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Dict, List, Tuple

DEPTH_MAX = 64  # nesting; a hostile value must not exhaust the interpreter's stack
SIDES_MAX = 32  # dimensions of an array: what every numpy since 1.0 can hold
EMPTY_SIDES_MAX = 1 << 20  # the other sides of an array without entries, multiplied: as lists they would be as many
ARRAY_EXT = 1
_NAN = b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"
_DTYPES = {
    "|b1": 1, "|i1": 1, "|u1": 1, "<i2": 2, "<u2": 2, "<i4": 4, "<u4": 4, "<i8": 8, "<u8": 8,
    "<f2": 2, "<f4": 4, "<f8": 8, "<c8": 8, "<c16": 16,
}  # fmt: skip
_NAN_WORDS = {  # of one part: width, code, exponent mask, canonical NaN, top bytes that may belong to one
    "<f2": (2, "<H", 0x7C00, 0x7E00, b"\x7c\x7d\x7e\x7f\xfc\xfd\xfe\xff"),
    "<f4": (4, "<I", 0x7F800000, 0x7FC00000, b"\x7f\xff"),
    "<f8": (8, "<Q", 0x7FF0000000000000, 0x7FF8000000000000, b"\x7f\xff"),
}
_NAN_WORDS["<c8"], _NAN_WORDS["<c16"] = _NAN_WORDS["<f4"], _NAN_WORDS["<f8"]
_TEXT_WIDTHS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_BYTES_WIDTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_LIST_WIDTHS = {0xDC: 2, 0xDD: 4}
_MAP_WIDTHS = {0xDE: 2, 0xDF: 4}
_EXT_FIXED = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_EXT_WIDTHS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_INTS: Dict[int, Tuple[str, int, Any]] = {  # code: struct form, bytes, and whether the number needs that many
    0xCC: (">B", 1, lambda value: value >= 1 << 7),
    0xCD: (">H", 2, lambda value: value >= 1 << 8),
    0xCE: (">I", 4, lambda value: value >= 1 << 16),
    0xCF: (">Q", 8, lambda value: value >= 1 << 32),
    0xD0: (">b", 1, lambda value: value < -32),
    0xD1: (">h", 2, lambda value: value < -(1 << 7)),
    0xD2: (">i", 4, lambda value: value < -(1 << 15)),
    0xD3: (">q", 8, lambda value: value < -(1 << 31)),
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

_ONE_BYTE = [bytes((number,)) for number in range(0x80)]  # most integers, by their value
_ONE_FLOAT = struct.Struct(">Bd").pack
_MANY_FLOATS = 16  # from here on a list of floats is packed as a whole
_WHOLE = slice(None)
_HEARTS: Tuple[Tuple[type, Any], ...] = (
    (int, int.__int__), (float, float.__float__), (str, str.__str__), (dict, lambda value: dict(dict.items(value))),
    *((kind, lambda value, get=kind.__getitem__: get(value, _WHOLE)) for kind in (bytes, list, tuple)),
)  # fmt: skip


class _Refused(Exception):
    """Why a part has no canonical form. The way to it is gathered on the way out: values that have one pay nothing."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words
        self.steps: List[str] = []  # innermost first


def encode(value: Any) -> bytes:
    """Canonical bytes of a value. Raises CanonError, naming the part that has none."""
    out: List[bytes] = []
    try:
        _encode(value, out, 0)
    except _Refused as refused:
        raise CanonError(f"result{''.join(reversed(refused.steps))} {refused.words}") from None
    return b"".join(out)


def _encode(value: Any, out: List[bytes], depth: int) -> None:
    kind = type(value)
    if kind is int:
        out.append(_ONE_BYTE[value] if 0 <= value < 0x80 else _int(value))
    elif kind is float:
        out.append(_NAN if value != value else _ONE_FLOAT(0xCB, value))
    elif kind is bytes:
        out += (_bytes_head(len(value)), value)
    elif kind is str:
        out.append(_text(value))
    elif kind is list or kind is tuple:
        _encode_list(value, out, depth)
    elif kind is dict:
        _encode_map(value, out, depth)
    elif value is None:
        out.append(b"\xc0")
    elif value is True or value is False:
        out.append(b"\xc3" if value else b"\xc2")
    else:
        _encode_other(value, out, depth)


def _encode_other(value: Any, out: List[bytes], depth: int) -> None:
    """Subclasses, buffers, numpy; everything else is refused by name."""
    module = type(value).__module__.split(".")
    if isinstance(value, Array):
        fault = _array_fault(value.dtype, value.shape, value.data)
        if fault:
            raise _Refused(f"is an array that {fault}")
        _encode_array(value.dtype, value.shape, value.data, out)
    elif module[:2] == ["numpy", "ma"]:
        raise _Refused("is a masked array, whose mask has no place here: return .filled(…) and the mask")
    elif module[0] == "numpy" and hasattr(value, "dtype"):
        _encode_numpy(value, out, depth)
    elif isinstance(value, (bytearray, memoryview)):
        _encode(bytes(value), out, depth)
    elif isinstance(value, (set, frozenset)):
        raise _Refused("is a set, which has no order: return sorted(…) instead")
    else:
        _encode(_plain(value), out, depth)


def _plain(value: Any) -> Any:
    """What a subclass of a plain type is at heart, whatever its own __str__ or __iter__ say of it (enums, mostly)."""
    for kind, heart in _HEARTS:
        if isinstance(value, kind):
            return heart(value)
    raise _Refused(f"is a {type(value).__name__}: {_ACCEPTED}")


def _encode_map(value: Any, out: List[bytes], depth: int) -> None:
    if depth >= DEPTH_MAX:
        raise _Refused(f"is nested deeper than {DEPTH_MAX}")
    keyed = []
    for key in value:
        if not isinstance(key, str):
            raise _Refused(f"has the key {key!r:.40}: keys must be text")
        keyed.append((_utf8(key), key))
    keyed.sort()
    out.append(_head(len(keyed), 0x80, 16, 0xDE))
    for raw, key in keyed:
        out += (_text_head(len(raw)), raw)
        try:
            _encode(value[key], out, depth + 1)
        except _Refused as refused:
            refused.steps.append(f'["{key[:40]}"]')
            raise


def _encode_list(value: Any, out: List[bytes], depth: int) -> None:
    if depth >= DEPTH_MAX:
        raise _Refused(f"is nested deeper than {DEPTH_MAX}")
    out.append(_head(len(value), 0x90, 16, 0xDC))
    floats = _floats(value) if len(value) >= _MANY_FLOATS else b""
    if floats:
        out.append(floats)
        return
    for index, item in enumerate(value):
        try:
            _encode(item, out, depth + 1)
        except _Refused as refused:
            refused.steps.append(f"[{index}]")
            raise


def _floats(value: Any) -> bytes:
    """Each as 0xCB and its eight bytes: all first bytes, then all second bytes … into their places. b"": not so simple."""
    if set(map(type, value)) != {float} or math.isnan(sum(value)):  # that sum may be one of infinities: no harm
        return b""
    raw = struct.pack(f">{len(value)}d", *value)
    out = bytearray(9 * len(value))
    out[::9] = b"\xcb" * len(value)
    for place in range(8):
        out[place + 1 :: 9] = raw[place::8]
    return bytes(out)


def _encode_numpy(value: Any, out: List[bytes], depth: int) -> None:
    import numpy

    if isinstance(value, numpy.generic):
        item = value.item()
        if type(item) is type(value) or not isinstance(item, (bool, int, float, str, bytes)):
            raise _Refused(f"is a numpy {value.dtype}: {_ACCEPTED}")
        _encode(item, out, depth)
        return
    plain = numpy.asarray(value)
    little = plain.dtype.newbyteorder("<").str
    if little not in _DTYPES:
        raise _Refused(f"is an array of {plain.dtype}: use bool, int, float or complex of 8 to 128 bits")
    if plain.ndim > SIDES_MAX:
        raise _Refused(f"is an array of {plain.ndim} dimensions: use at most {SIDES_MAX}")
    plain = plain.astype(little, order="C", copy=False)
    if plain.dtype.kind == "b":
        plain = plain.view("|u1") != 0  # a view of foreign bytes may hold truths other than 1
    elif plain.dtype.kind in "fc":
        parts = plain.view(plain.real.dtype) if plain.ndim else plain.reshape(1).view(plain.real.dtype)
        if numpy.isnan(parts).any():
            parts = parts.copy()
            parts[numpy.isnan(parts)] = numpy.nan
            plain = parts.view(little).reshape(plain.shape)
    _encode_array(little, plain.shape, plain.tobytes(order="C"), out)


def _encode_array(dtype: str, shape: Any, data: bytes, out: List[bytes]) -> None:
    inner: List[bytes] = [b"\x93", _text(dtype), _head(len(shape), 0x90, 16, 0xDC)]
    inner.extend(_int(int(side)) for side in shape)
    inner.append(_bytes_head(len(data)))
    size = sum(map(len, inner)) + len(data)
    out.append(_ext_head(size))
    out.extend(inner)
    out.append(data)


def _int(value: int) -> bytes:
    if -32 <= value < 0x80:
        return bytes((value & 0xFF,))
    if value > 0:
        if value < 1 << 16:
            return struct.pack(">BB", 0xCC, value) if value < 1 << 8 else struct.pack(">BH", 0xCD, value)
        if value < 1 << 64:
            return struct.pack(">BI", 0xCE, value) if value < 1 << 32 else struct.pack(">BQ", 0xCF, value)
    elif value >= -(1 << 15):
        return struct.pack(">Bb", 0xD0, value) if value >= -(1 << 7) else struct.pack(">Bh", 0xD1, value)
    elif value >= -(1 << 63):
        return struct.pack(">Bi", 0xD2, value) if value >= -(1 << 31) else struct.pack(">Bq", 0xD3, value)
    raise _Refused("is an integer of more than 64 bits: return it as text")


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise _Refused("is text with lone surrogates: return bytes instead") from None


def _text(text: str) -> bytes:
    raw = _utf8(text)
    size = len(raw)
    return (bytes((0xA0 | size,)) if size < 32 else _text_head(size)) + raw


def _text_head(size: int) -> bytes:
    if 32 <= size < 1 << 8:
        return struct.pack(">BB", 0xD9, size)
    return _head(size, 0xA0, 32, 0xDA)


def _bytes_head(size: int) -> bytes:
    if size < 1 << 8:
        return struct.pack(">BB", 0xC4, size)
    if size >= 1 << 32:
        raise _Refused("is larger than 4 GiB: write a file instead")
    return struct.pack(">BH", 0xC5, size) if size < 1 << 16 else struct.pack(">BI", 0xC6, size)


def _head(size: int, fixed: int, fixed_limit: int, wide: int) -> bytes:
    """Header with the length inside its own byte, or in the two or four that follow codes `wide` and `wide` + 1."""
    if size < fixed_limit:
        return bytes((fixed | size,))
    if size >= 1 << 32:
        raise _Refused("has 2**32 parts or more: write a file instead")
    return struct.pack(">BH", wide, size) if size < 1 << 16 else struct.pack(">BI", wide + 1, size)


def _ext_head(size: int) -> bytes:
    fixed = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}.get(size)
    if fixed is not None:
        return bytes((fixed, ARRAY_EXT))
    if size < 1 << 8:
        return struct.pack(">BBB", 0xC7, size, ARRAY_EXT)
    if size >= 1 << 32:
        raise _Refused("is larger than 4 GiB: write a file instead")
    return struct.pack(">BHB", 0xC8, size, ARRAY_EXT) if size < 1 << 16 else struct.pack(">BIB", 0xC9, size, ARRAY_EXT)


# -- decode -----------------------------------------------------------------------------------------------------------


def decode(data: bytes, arrays: str = "raw") -> Any:
    """The value of canonical bytes. arrays: "raw" gives Array, "numpy" gives read-only numpy arrays.

    No length is believed before the bytes are there, so that memory is at most about 75 times the input (a list of
    empty maps, in CPython) and usually 2 times. Raises CanonError.
    """
    if arrays not in ("raw", "numpy"):
        raise ValueError(f"arrays is {arrays!r}: use 'raw' or 'numpy'")
    data = bytes(data)
    value, end = _decode(data, 0, 0, arrays == "numpy")
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
        size, start = _size(data, at, 0xA0, 0xC0, _TEXT_WIDTHS, 32)
        try:
            return _take(data, start, size).decode("utf-8"), start + size
        except UnicodeDecodeError:
            raise CanonError(f"text at byte {at} is not UTF-8") from None
    if code in (0xC4, 0xC5, 0xC6):
        size, start = _size(data, at, 0, 0, _BYTES_WIDTHS, 0)
        return _take(data, start, size), start + size
    if code == 0xC0:
        return None, at + 1
    if code in (0xC2, 0xC3):
        return code == 0xC3, at + 1
    if 0xCC <= code <= 0xD3:
        return _decode_int(data, at)
    return _decode_array(data, at, depth, as_numpy)


def _take(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise CanonError(f"the value ends early: {size} bytes wanted at byte {at}, {len(data) - at} there")
    return data[at : at + size]


def _size(data: bytes, at: int, fix_low: int, fix_high: int, widths: Dict[int, int], fix_limit: int) -> Tuple[int, int]:
    """Length behind a header, and where the content starts; only the shortest header is accepted."""
    code = data[at]
    if fix_low <= code < fix_high:
        return code - fix_low, at + 1
    width = widths[code]
    size = int.from_bytes(_take(data, at + 1, width), "big")
    narrower = fix_limit if width == 1 or (width == 2 and len(widths) == 2) else 1 << (width * 4)
    if size < narrower:
        raise CanonError(f"the length at byte {at} is not in its shortest form")
    return size, at + 1 + width


def _decode_float(data: bytes, at: int) -> Tuple[float, int]:
    raw = _take(data, at + 1, 8)
    value = struct.unpack(">d", raw)[0]
    if math.isnan(value) and raw != _NAN[1:]:
        raise CanonError(f"the NaN at byte {at} is not the canonical one")
    return value, at + 9


def _decode_int(data: bytes, at: int) -> Tuple[int, int]:
    form, width, needed = _INTS[data[at]]
    if at + width >= len(data):
        raise CanonError(f"the value ends early: {width} bytes wanted at byte {at + 1}")
    value = struct.unpack_from(form, data, at + 1)[0]
    if not needed(value):
        raise CanonError(f"the integer at byte {at} is not in its shortest form")
    return value, at + 1 + width


def _decode_map(data: bytes, at: int, depth: int, as_numpy: bool) -> Tuple[Any, int]:
    if depth >= DEPTH_MAX:
        raise CanonError(f"nested deeper than {DEPTH_MAX}")
    size, at = _size(data, at, 0x80, 0x90, _MAP_WIDTHS, 16)
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
    size, at = _size(data, at, 0x90, 0xA0, _LIST_WIDTHS, 16)
    value = []
    for _ in range(size):
        item, at = _decode(data, at, depth + 1, as_numpy)
        value.append(item)
    return value, at


def _decode_array(data: bytes, at: int, depth: int, as_numpy: bool) -> Tuple[Any, int]:
    code = data[at]
    size, width = _EXT_FIXED.get(code, 0), _EXT_WIDTHS.get(code, 0)
    if not size and not width:
        raise CanonError(f"byte {at} is 0x{code:02x}, which no value begins with")
    if depth > DEPTH_MAX:
        raise CanonError(f"the array at byte {at} is inside another")
    if width:
        size = int.from_bytes(_take(data, at + 1, width), "big")
    start = at + 2 + width
    if _take(data, at, 2 + width) != _ext_head(size):
        raise CanonError(f"the extension at byte {at} is not an array in its shortest form")
    if start + size > len(data):
        raise CanonError(f"the value ends early: {size} bytes wanted at byte {start}, {len(data) - start} there")
    dtype, shape, raw, end = _array_parts(data, at, start)
    if end != start + size:
        raise CanonError(f"the array at byte {at} is not as long as its content")
    fault = _array_fault(dtype, shape, raw)
    if fault:
        raise CanonError(f"the array at byte {at} {fault}")
    array = Array(dtype, tuple(shape), raw)
    return (array.numpy() if as_numpy else array), end


def _array_parts(data: bytes, at: int, start: int) -> Tuple[Any, List[Any], Any, int]:
    """dtype, shape, bytes, and where they end. No container is entered: an array costs no stack, whatever it claims."""
    inside = DEPTH_MAX + 1
    if data[start : start + 1] != b"\x93":
        raise CanonError(f"the array at byte {at} is not [dtype, shape, bytes]")
    dtype, start = _decode(data, start + 1, inside, False)
    if not 0x90 <= _take(data, start, 1)[0] < 0xA0 and data[start] not in _LIST_WIDTHS:
        raise CanonError(f"the array at byte {at} has a shape that is not a list")
    sides, start = _size(data, start, 0x90, 0xA0, _LIST_WIDTHS, 16)
    if sides > SIDES_MAX:
        raise CanonError(f"the array at byte {at} has more than {SIDES_MAX} dimensions")
    shape = []
    for _ in range(sides):
        side, start = _decode(data, start, inside, False)
        shape.append(side)
    raw, start = _decode(data, start, inside, False)
    return dtype, shape, raw, start


def _array_fault(dtype: Any, shape: Any, raw: Any) -> str:
    """Why these are not the parts of an array whose shape tells the truth about its bytes; "" when they are."""
    if type(dtype) is not str or dtype not in _DTYPES:
        return "has an unknown dtype"
    if type(raw) is not bytes:
        return "brings its content as something other than bytes"
    if len(shape) > SIDES_MAX:
        return f"has more than {SIDES_MAX} dimensions"
    if not all(type(side) is int and side >= 0 for side in shape):
        return "has a shape that is not of whole numbers"
    if 0 in shape and math.prod(side for side in shape if side) > EMPTY_SIDES_MAX:
        return "has a shape that no machine can hold"
    if math.prod(shape) * _DTYPES[dtype] != len(raw):
        return f"says {dtype} {tuple(shape)} and brings {len(raw)} bytes"
    if dtype == "|b1" and raw.strip(b"\0\1"):
        return "has truth values other than 0 and 1"
    if dtype in _NAN_WORDS and _foreign_nan(dtype, raw):
        return "has a NaN that is not the canonical one"
    return ""


def _foreign_nan(dtype: str, raw: bytes) -> bool:
    """Is any NaN other than the canonical one of its width? Looks closely only where a top byte could be a NaN's."""
    width, code, exponent, canonical, tops = _NAN_WORDS[dtype]
    top = raw[width - 1 :: width]
    if not any(bytes((one,)) in top for one in tops):
        return False
    magnitude = (1 << (width * 8 - 1)) - 1
    for index, one in enumerate(top):
        if one in tops:
            word = struct.unpack_from(code, raw, index * width)[0]
            if word & magnitude > exponent and word != canonical:
                return True
    return False
