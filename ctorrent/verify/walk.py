"""Two decoded values side by side, up to the first difference. What floats may do is the policy's to say.

Text, bytes, booleans, integers, keys, lengths, shapes and dtypes must be equal; floats (and complex numbers) may differ
by atol + rtol × the larger magnitude, which is symmetric on purpose: it must not matter which peer answered first.
Other measures (measures.py) override what is done with lists and arrays.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

from ctorrent import canon
from ctorrent.model.job import Equality, Verify

ELEMENTS_AT_ONCE = 1 << 20  # of an array: temporaries stay below 32 MiB
_SHOWN = 40  # characters of a value in words


@dataclass(frozen=True, slots=True)
class Same:
    pass


@dataclass(frozen=True, slots=True)
class Different:
    """`words`: 'result["loss"][3] is 0.1 and 0.2'. `exact`: not a matter of tolerance."""

    words: str
    exact: bool


SAME = Same()


def show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"



class Walk:
    """Two values side by side; every method gives None or the first difference. Depth is canon's, at most 64."""

    def __init__(self, verify: Verify) -> None:
        self._exact = verify.equal is Equality.EXACT
        self._integers_too = verify.equal is Equality.NUMERIC
        self.rtol, self.atol, self.nan_equal = verify.rtol, verify.atol, verify.nan_equal

    def begin(self, left: Any, right: Any) -> Different | None:
        """The whole outputs."""
        return self.compare(left, right, "result")

    def compare(self, left: Any, right: Any, path: str) -> Different | None:
        if self._integers_too and _is_number(left) and _is_number(right):
            return self.floats(float(left), float(right), path)
        if type(left) is not type(right):
            return Different(f"{path} is {_kind(left)} {show(left)} and {_kind(right)} {show(right)}", True)
        if isinstance(left, float):
            return self.floats(left, right, path)
        if isinstance(left, list):
            return self.lists(left, right, path)
        if isinstance(left, dict):
            return self.maps(left, right, path)
        if isinstance(left, canon.Array):
            return self.arrays(left, right, path)
        return None if left == right else _leaf(left, right, path)

    def floats(self, left: float, right: float, path: str) -> Different | None:
        if struct.pack("<d", left) == struct.pack("<d", right) and (self.nan_equal or left == left):
            return None
        if not self._exact and self._close(left, right):
            return None
        return Different(f"{path} is {left!r} and {right!r}", self._exact)

    def _close(self, left: float, right: float) -> bool:
        if left == right:  # also the infinities
            return True
        if math.isnan(left) and math.isnan(right):
            return self.nan_equal
        if not (math.isfinite(left) and math.isfinite(right)):
            return False
        return abs(left - right) <= self.atol + self.rtol * max(abs(left), abs(right))

    def lists(self, left: list[Any], right: list[Any], path: str) -> Different | None:
        if len(left) != len(right):
            return Different(f"{path} has {len(left)} and {len(right)} items", True)
        for at, (one, other) in enumerate(zip(left, right, strict=True)):
            found = self.compare(one, other, f"{path}[{at}]")
            if found:
                return found
        return None

    def maps(self, left: dict[str, Any], right: dict[str, Any], path: str) -> Different | None:
        missing = [key for key in (*left, *right) if key not in left or key not in right]
        if missing:
            return Different(f"{path} has the key {show(missing[0])} on one side only", True)
        for key, one in left.items():
            found = self.compare(one, right[key], f"{path}[{quoted(key)}]")
            if found:
                return found
        return None

    def arrays(self, left: canon.Array, right: canon.Array, path: str) -> Different | None:
        if left.dtype != right.dtype or tuple(left.shape) != tuple(right.shape):
            words = f"{path} is {left.dtype} {list(left.shape)} and {right.dtype} {list(right.shape)}"
            return Different(words, True)
        if left.data == right.data and (self.nan_equal or left.dtype[1] not in "fc"):
            return None
        return self.elements(left, right, path)

    def elements(self, left: canon.Array, right: canon.Array, path: str) -> Different | None:
        """Arrays of one dtype and shape, entry by entry."""
        import numpy  # only a job with arrays pays for it

        kind = left.dtype[1]
        tolerant = not self._exact and (kind in "fc" or (self._integers_too and kind in "iu"))
        one, other = (numpy.frombuffer(a.data, dtype=a.dtype) for a in (left, right))
        for start in range(0, len(one), ELEMENTS_AT_ONCE):
            stop = start + ELEMENTS_AT_ONCE
            bad = self._first(numpy, one[start:stop], other[start:stop], tolerant)
            if bad is not None:
                at = ", ".join(str(int(i)) for i in numpy.unravel_index(start + bad, left.shape)) if left.shape else ""
                place = f"{path}[{at}]" if at else path
                return Different(f"{place} is {one[start + bad]!s} and {other[start + bad]!s}", not tolerant)
        return None

    def _first(self, numpy: Any, left: Any, right: Any, tolerant: bool) -> int | None:
        """Position of the first pair that differs."""
        if not tolerant:
            width = left.dtype.itemsize
            wrong = (left.view("u1").reshape(-1, width) != right.view("u1").reshape(-1, width)).any(axis=1)
        else:
            wide = "c16" if left.dtype.kind == "c" else "f8"
            left, right = left.astype(wide), right.astype(wide)
            with numpy.errstate(all="ignore"):
                limit = self.atol + self.rtol * numpy.maximum(abs(left), abs(right))
                near = (abs(left - right) <= limit) & numpy.isfinite(left) & numpy.isfinite(right)
                both_nan = numpy.isnan(left) & numpy.isnan(right)
            wrong = ~((left == right) | near | (both_nan & self.nan_equal))
        where = numpy.flatnonzero(wrong)
        return int(where[0]) if len(where) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _leaf(left: Any, right: Any, path: str) -> Different:
    if isinstance(left, (str, bytes)) and max(len(left), len(right)) > _SHOWN:
        at = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
        return Different(f"{path} differs from place {at} on: {show(left[at:])} and {show(right[at:])}", True)
    return Different(f"{path} is {show(left)} and {show(right)}", True)


def _kind(value: Any) -> str:
    names = {bool: "the truth value", int: "the integer", float: "the float", str: "the text", bytes: "the bytes"}
    names.update({list: "the list", dict: "the map", canon.Array: "the array"})
    return names.get(type(value), "the value")


def quoted(key: str) -> str:
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"')[:_SHOWN] + '"'
