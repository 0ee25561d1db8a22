"""Adding and joining values of any shape that a block may return, with errors that say which part does not fit."""

from __future__ import annotations

from typing import Any

from ctorrent.errors import WorkError

_ADDS = "sum and mean take numbers, arrays, and maps of them"
_JOINS = "concat takes lists, text, bytes or arrays, all of one kind"


def add(total: Any, value: Any, path: str, index: int) -> Any:
    """`total` + `value`, part by part. A new object unless `total` is an array of ours to add into."""
    if _is_number(total) and _is_number(value):
        return total + value
    if isinstance(total, dict) and isinstance(value, dict):
        if total.keys() != value.keys():
            other = sorted(total.keys() ^ value.keys())[0]
            raise _misfit(index, f"{path} has other keys than the blocks before: {other!r:.60}", _ADDS)
        return {key: add(total[key], value[key], f'{path}["{key[:40]}"]', index) for key in total}
    if _is_array(total) and _is_array(value):
        if total.shape != value.shape:
            raise _misfit(index, f"{path} has shape {value.shape}, the blocks before {total.shape}", _ADDS)
        return total + value
    raise _misfit(index, f"{path} is {named(value)}, in the blocks before {named(total)}", _ADDS)


def start(value: Any, path: str, index: int) -> Any:
    """The first total: checks that it can be added to, and widens what would overflow."""
    if _is_number(value):
        return value
    if isinstance(value, dict) and value:
        return {key: start(part, f'{path}["{key[:40]}"]', index) for key, part in value.items()}
    if _is_array(value):
        return _wide(value)
    raise _misfit(index, f"{path} is {named(value)}", _ADDS)


def divide(total: Any, count: int) -> Any:
    """Every part of a total divided by `count`; whole numbers become floats."""
    if isinstance(total, dict):
        return {key: divide(part, count) for key, part in total.items()}
    return total / count


def join(parts: list[Any], indices: list[int]) -> Any:
    """Lists, texts, bytes or arrays one behind the other (arrays along their first axis)."""
    first = parts[0]
    if not isinstance(first, str | bytes | list) and not (_is_array(first) and first.ndim):
        raise _misfit(indices[0], f"result is {named(first)}", _JOINS)
    for index, part in zip(indices, parts, strict=True):
        if named(part) != named(first):
            raise _misfit(index, f"result is {named(part)}, in the blocks before {named(first)}", _JOINS)
    if isinstance(first, str):
        return "".join(parts)
    if isinstance(first, bytes):
        return b"".join(parts)
    if isinstance(first, list):
        return [item for part in parts for item in part]
    return _joined_arrays(parts, indices)


def named(value: Any) -> str:
    """What a value is, in words."""
    if isinstance(value, bool):
        return "true or false"
    if _is_array(value):
        return "an array"
    words = {int: "a number", float: "a number", str: "text", bytes: "bytes", list: "a list", dict: "a map"}
    return words.get(type(value), "nothing" if value is None else type(value).__name__)


def _joined_arrays(parts: list[Any], indices: list[int]) -> Any:
    import numpy

    for index, part in zip(indices, parts, strict=True):
        if part.ndim != parts[0].ndim or part.shape[1:] != parts[0].shape[1:] or part.dtype != parts[0].dtype:
            raise _misfit(index, f"result is {part.dtype}{list(part.shape)}, before {parts[0].dtype}{list(parts[0].shape)}", _JOINS)
    return numpy.concatenate(parts)


def _wide(array: Any) -> Any:
    """Sums of small integers, truth values and half floats need more room than their parts."""
    kind = array.dtype.kind
    wide = {"b": "<i8", "i": "<i8", "u": "<u8", "f": "<f8", "c": "<c16"}[kind]
    return array.astype(wide)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape")


def _misfit(index: int, what: str, accepted: str) -> WorkError:
    return WorkError(f"reduce: block {index}: {what}.", f"{accepted}; or reduce by a function of your own.")
