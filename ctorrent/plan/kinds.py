"""What a field may hold. A kind reads a spot, and describes itself as a JSON schema; both from one place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ctorrent.plan.tree import Spot, nearest

_SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
_SPANS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_MEASURE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")


@dataclass(frozen=True, slots=True)
class Kind:
    """`read` returns the model's value or raises JobFileError; `schema` says the same to an editor."""

    read: Callable[[Spot], Any]
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the job file. `to`: the model's attribute; `doc`: a sentence for people."""

    to: str
    kind: Kind
    doc: str


def whole(low: int, high: int) -> Kind:
    """A whole number within [low, high]."""

    def read(spot: Spot) -> int:
        value = spot.value
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)  # 1e6 is a way to write a million
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise spot.wrong(f"must be a whole number from {low} to {high}, not {_shown(spot)}")
        return value

    return Kind(read, {"type": "integer", "minimum": low, "maximum": high})


def number(low: float = 0.0, high: float = 1e15) -> Kind:
    """A finite number within [low, high]."""

    def read(spot: Spot) -> float:
        value = spot.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise spot.wrong(f"must be a number, not {_shown(spot)}")
        if not low <= value <= high:
            raise spot.wrong(f"must be from {low:g} to {high:g}, not {_shown(spot)}")
        return float(value)

    return Kind(read, {"type": "number", "minimum": low, "maximum": high})


def size(high: int = 1 << 50) -> Kind:
    """Bytes: a whole number, or text such as "2 GB" (10^9) or "512 MiB" (2^20)."""

    def read(spot: Spot) -> int:
        found = None if isinstance(spot.value, list | dict | bool) else _MEASURE.fullmatch(spot.raw)
        unit = _SIZES.get((found[2] or "B").upper()) if found else None
        if found is None or unit is None:
            raise spot.wrong(f'must be a size such as "500 MB", "2 GB" or "512 MiB", not {_shown(spot)}')
        value = int(float(found[1]) * unit) if "." in found[1] else int(found[1]) * unit
        if value > high:
            raise spot.wrong(f"must be at most {high} bytes, not {_shown(spot)}")
        return value

    return Kind(read, {"type": ["integer", "string"], "pattern": r"^\s*[0-9.]+\s*([KMGT]i?)?B?\s*$"})


def span() -> Kind:
    """Seconds above zero: a number, or text such as "90 s", "5 min", "2 h", "3 d"."""

    def read(spot: Spot) -> float:
        found = None if isinstance(spot.value, list | dict | bool) else _MEASURE.fullmatch(spot.raw)
        unit = _SPANS.get((found[2] or "s").lower()) if found else None
        if found is None or unit is None or not 0 < float(found[1]) * unit <= 1e9:
            raise spot.wrong(f'must be seconds above 0, or text such as "5 min", "2 h" or "3 d", not {_shown(spot)}')
        return float(found[1]) * unit

    return Kind(read, {"type": ["number", "string"], "pattern": r"^\s*[0-9.]+\s*(s|min|h|d)?\s*$"})


def text(limit: int = 200, pattern: str = "", such_as: str = "") -> Kind:
    """One line of text, as typed: `3.10` stays "3.10"."""

    def read(spot: Spot) -> str:
        if isinstance(spot.value, list | dict) or spot.value is None:
            raise spot.wrong(f"must be text{_example(such_as)}, not {_shown(spot)}")
        value = spot.raw.strip()
        if not value or len(value) > limit or "\n" in value or not value.isprintable():
            raise spot.wrong(f"must be one line of 1 to {limit} characters{_example(such_as)}")
        if pattern and not re.fullmatch(pattern, value):
            raise spot.wrong(f"must be{_example(such_as).removeprefix(' such as')}, not {value!r:.60}")
        return value

    schema: dict[str, Any] = {"type": ["string", "number"] if not pattern else "string", "maxLength": limit}
    return Kind(read, schema | ({"pattern": f"^{pattern}$"} if pattern else {}))


def choice(options: Mapping[str, Any]) -> Kind:
    """One word of a few; true and false are spelled as words too."""

    def read(spot: Spot) -> Any:
        word = spot.raw.strip().lower()
        if isinstance(spot.value, list | dict) or word not in options:
            shown = _shown(spot)
            raise spot.wrong(f"must be {' or '.join(options)}, not {shown}")
        return options[word]

    return Kind(read, {"enum": [{"true": True, "false": False}.get(word, word) for word in options]})


def several(each: Kind, limit: int, one_too: bool = False) -> Kind:
    """A list; with `one_too`, a single value stands for a list of it."""

    def read(spot: Spot) -> tuple[Any, ...]:
        if isinstance(spot.value, list):
            if len(spot.value) > limit:
                raise spot.wrong(f"has {len(spot.value)} items: at most {limit}")
            return tuple(each.read(item) for item in spot.value)
        if one_too and spot.value is not None:
            return (each.read(spot),)
        raise spot.wrong(f"must be a list, such as [a, b], not {_shown(spot)}")

    listed: dict[str, Any] = {"type": "array", "items": dict(each.schema), "maxItems": limit}
    return Kind(read, {"anyOf": [listed, dict(each.schema)]} if one_too else listed)


def section(fields: Mapping[str, Field], need: tuple[str, ...] = ()) -> Kind:
    """A map of known fields -> {attribute: value} of those that are there."""

    def read(spot: Spot) -> dict[str, Any]:
        entries = entries_of(spot, fields)
        for name in need:
            if name not in entries:
                raise spot.wrong(f"needs the field {name}: {fields[name].doc}")
        return {fields[name].to: fields[name].kind.read(entry) for name, entry in entries.items()}

    properties = {name: {**each.kind.schema, "description": each.doc} for name, each in fields.items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return Kind(read, schema | ({"required": list(need)} if need else {}))


def entries_of(spot: Spot, known: Mapping[str, Any]) -> dict[str, Spot]:
    """The map at a spot, every key of it known."""
    if not isinstance(spot.value, dict):
        raise spot.wrong(f"must be a map of {', '.join(known)}, not {_shown(spot)}")
    entries: dict[str, Spot] = spot.value
    for name, entry in entries.items():
        if name not in known:
            raise entry.wrong(f"is not a field; {nearest(name, known)}")
    return entries


def _shown(spot: Spot) -> str:
    """A value as the reader typed it, or what it is."""
    if isinstance(spot.value, list | dict) or spot.value is None:
        return spot.kind()
    return repr(spot.raw[:40]) if isinstance(spot.value, str) else spot.raw[:40]


def _example(such_as: str) -> str:
    return f" such as {such_as}" if such_as else ""
